// SPDX-License-Identifier: GPL-2.0-or-later
/* tests/unit/test_egress_rules.c: every form of an egress rule that is accepted, every one that is refused and the
 * words of the refusal, and lists of rules. What rules decide is in test_egress_decide.c. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "netns/egress_rules.h"

#define L16  "aaaaaaaaaaaaaaaa"
#define L63  L16 L16 L16 "aaaaaaaaaaaaaaa"
#define N253 L63 "." L63 "." L63 "." L16 L16 L16 "aaaaaaaaa.org" /* 3 * 64 + 57 + 4 */

static struct egress_rules *parse(const char *text)
{
	struct egress_rules *rules = NULL;
	struct azm_err err = { 0 };

	if (egress_rules_parse(text, &rules, &err) < 0)
		fail_msg("%s: %s: %s", text, err.text, err.reason);
	return rules;
}

/* What is written, and its normal form. */
static const char *const good[][2] = {
	{ "all", "all" },
	{ "ALL", "all" },
	{ "all:443", "all:443" },
	{ "example.org", "example.org" },
	{ "example.org:443", "example.org:443" },
	{ "example.org:1", "example.org:1" },
	{ "example.org:65535", "example.org:65535" },
	{ "example.org:0443", "example.org:443" },
	{ "Example.ORG", "example.org" },
	{ "example.org.", "example.org" },
	{ "EXAMPLE.org.:443", "example.org:443" },
	{ "mirror", "mirror" },
	{ "my_host.example.org", "my_host.example.org" },
	{ "r3---sn-5hne.example.org", "r3---sn-5hne.example.org" },
	{ "1.example.org", "1.example.org" },
	{ "xn--bcher-kva.example", "xn--bcher-kva.example" },
	{ "b\xc3\xbc"
	  "cher.example",
		"xn--bcher-kva.example" },
	{ "B\xc3\x9c"
	  "CHER.example:443",
		"xn--bcher-kva.example:443" },
	{ "*.b\xc3\xbc"
	  "cher.example",
		"*.xn--bcher-kva.example" },
	{ "example\xe3\x80\x82org", "example.org" }, /* ideographic full stop */
	{ L63 ".org", L63 ".org" },
	{ N253, N253 },
	{ N253 ".", N253 },
	{ "*.example.org", "*.example.org" },
	{ "*.Example.org.:443", "*.example.org:443" },
	{ "*.internal", "*.internal" },
	{ "host:5432", "host:5432" },
	{ "HOST:5432", "host:5432" },
	{ "!host:22", "!host:22" },
	{ "!host", "!host" },
	{ "1.2.3.4", "1.2.3.4" },
	{ "1.2.3.4/32", "1.2.3.4" },
	{ "1.2.3.4:80", "1.2.3.4:80" },
	{ "10.0.0.0/8", "10.0.0.0/8" },
	{ "10.1.0.0/16:5432", "10.1.0.0/16:5432" },
	{ "0.0.0.0/0", "0.0.0.0/0" },
	{ "2600::1", "2600::1" },
	{ "2600:0:0::0001", "2600::1" },
	{ "[2600::1]", "2600::1" },
	{ "[2600::1]:443", "[2600::1]:443" },
	{ "2600::/32", "2600::/32" },
	{ "2600::1/128", "2600::1" },
	{ "[2600::/32]", "2600::/32" },
	{ "[2600::/32]:443", "[2600::/32]:443" },
	{ "[2600::]/32:443", "[2600::/32]:443" },
	{ "[2600::]/32", "2600::/32" },
	{ "fd00:1::/32", "fd00:1::/32" },
	{ "::/0", "::/0" },
	{ "!example.org", "!example.org" },
	{ "!*.example.org:25", "!*.example.org:25" },
	{ "!10.0.0.0/8", "!10.0.0.0/8" },
	{ "!127.0.0.1", "!127.0.0.1" },
	{ "![2600::1]:443", "![2600::1]:443" },
	{ "!all:25", "!all:25" },
};

static void accepted_rules_get_one_normal_form(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		cleanup_egress_rules struct egress_rules *rules = parse(good[i][0]);
		assert_int_equal(egress_rules_count(rules), 1);
		assert_string_equal(egress_rules_text(rules, 0), good[i][1]);
		cleanup_egress_rules struct egress_rules *again = parse(good[i][1]);
		assert_string_equal(egress_rules_text(again, 0), good[i][1]);
	}
}

/* Rule, and a piece of the reason. */
static const char *const bad[][2] = {
	/* ports */
	{ "example.org:", "is not a number from 1 to 65535" },
	{ "example.org:0", "is not a number from 1 to 65535" },
	{ "example.org:65536", "is not a number from 1 to 65535" },
	{ "example.org:99999999999999999999", "is not a number from 1 to 65535" },
	{ "example.org:-1", "not a range" },
	{ "example.org:+1", "is not a number from 1 to 65535" },
	{ "example.org:0x50", "is not a number from 1 to 65535" },
	{ "example.org:https", "is not a number from 1 to 65535" },
	{ "example.org:*", "is not a number from 1 to 65535" },
	{ "example.org:443/tcp", "is not a number from 1 to 65535" },
	{ "example.org:80-90", "not a range" },
	{ "example.org:80:90", "not an IP address" },
	{ ":443", "there is no host before the port" },
	{ "!:443", "there is no host before the port" },
	{ "all:0", "is not a number from 1 to 65535" },
	{ "10.0.0.0/8:0", "is not a number from 1 to 65535" },
	{ "[2600::1]:65536", "is not a number from 1 to 65535" },
	{ "[2600::1]:", "is not a number from 1 to 65535" },
	/* words */
	{ "none:443", "\"none\" stands alone" },
	{ "!none", "\"none\" stands alone" },
	{ "host", "one by one" },
	{ "host.", "a word of the rules" },
	{ "ALL.", "a word of the rules" },
	{ "none.:443", "a word of the rules" },
	{ "\xef\xbd\x81\xef\xbd\x8c\xef\xbd\x8c", "a word of the rules" }, /* full-width "all" */
	{ "!", "followed by the rule" },
	{ "!!example.org", "followed by the rule" },
	/* wildcards */
	{ "*", "\"*\" alone" },
	{ "*:443", "\"*\" alone" },
	{ "*.", "the name is empty" },
	{ "*.*", "only be the first label" },
	{ "*.*.example.org", "only be the first label" },
	{ "*example.org", "only be the first label" },
	{ "a.*.example.org", "only be the first label" },
	{ "example.*", "only be the first label" },
	{ "*.10", "ends in a number" },
	{ "*.1.2.3.4", "ends in a number" },
	{ "*.10.0.0.0/8", "not an IP address" },
	{ "*.localhost", "localhost is the sandbox's own" },
	/* labels and names */
	{ ".", "the name is empty" },
	{ "..", "a label of the name is empty" },
	{ ".example.org", "a label of the name is empty" },
	{ "example..org", "a label of the name is empty" },
	{ "example.org..", "a label of the name is empty" },
	{ "a" L63 ".org", "longer than 63 bytes" },
	{ "a" N253, "longer than 253 bytes" },
	{ N253 N253 N253 N253 N253, "at most 1023 bytes" },
	{ "-example.org", "begins or ends with a hyphen" },
	{ "example-.org", "begins or ends with a hyphen" },
	{ "www.-example.org", "begins or ends with a hyphen" },
	{ "exa mple.org", "blanks and control characters" },
	{ " example.org", "blanks and control characters" },
	{ "example.org ", "blanks and control characters" },
	{ "example.org\n", "blanks and control characters" },
	{ "exa\tmple.org", "blanks and control characters" },
	{ "exa\x1bmple.org", "blanks and control characters" },
	{ "exa\x7fmple.org", "blanks and control characters" },
	{ "user@example.org", "a user before \"@\"" },
	{ "user:password@example.org", "is not a number" },
	{ "example.org%00.evil.org", "\"%\" is not part of a host name" },
	{ "example%2eorg", "\"%\" is not part of a host name" },
	{ "https://example.org", "this is a URL" },
	{ "example.org/path", "not an IP address" },
	{ "example.org?", "letters, digits" },
	{ "exa\\mple.org", "letters, digits" },
	{ "exa'mple.org", "letters, digits" },
	{ "example.org;evil.org", "letters, digits" },
	/* other scripts */
	{ "xn--a", "" },
	{ "xn--.org", "" },
	{ "xn--99999999.org", "" },
	{ "\xe2\x80\xae"
	  "abc.org",
		"" }, /* right-to-left override */
	{ "a\xe2\x80\x8b b.org", "blanks and control characters" },
	{ "\xff\xfe.org", "" },						  /* not UTF-8 */
	{ "b\xc3.example", "" },					  /* cut off */
	{ "\xef\xbc\x91\xef\xbc\x92\xef\xbc\x97.1", "ends in a number" }, /* full-width 127 */
	{ "127\xe3\x80\x82"
	  "0\xe3\x80\x82"
	  "0\xe3\x80\x82"
	  "1",
		"ends in a number" },		    /* ideographic full stops */
	{ "example.\xc2\xb2", "ends in a number" }, /* superscript two */
	/* addresses in disguise */
	{ "127.1", "ends in a number" },
	{ "127.0.1", "ends in a number" },
	{ "2130706433", "ends in a number" },
	{ "0x7f.1", "ends in a number" },
	{ "0x7f000001", "ends in a number" },
	{ "0x7F000001", "ends in a number" },
	{ "0177.0.0.1", "ends in a number" },
	{ "010.0.0.1", "ends in a number" },
	{ "1.2.3.0x4", "ends in a number" },
	{ "1.2.3.256", "ends in a number" },
	{ "1.2.3.4.5", "ends in a number" },
	{ "1.2.3.4.", "ends in a number" },
	{ "0x.org.0x", "ends in a number" },
	{ "::ffff:10.0.0.1", "IPv4 notation" },
	{ "::ffff:a00:1", "IPv4 notation" },
	{ "[::ffff:10.0.0.1]:80", "IPv4 notation" },
	{ "::ffff:0:0/96", "IPv4 notation" },
	/* addresses and subnets */
	{ "1.2.3.4/33", "prefix length \"33\"" },
	{ "1.2.3.4/", "prefix length \"\"" },
	{ "1.2.3.4/-1", "prefix length" },
	{ "1.2.3.4/8/8", "prefix length" },
	{ "1.2.3.4/255.0.0.0", "prefix length" },
	{ "10.1.2.3/8", "bits set after the prefix" },
	{ "2600::1/32", "bits set after the prefix" },
	{ "2600::/129", "prefix length \"129\"" },
	{ "[2600::1", "\"[\" without \"]\"" },
	{ "[]", "not an IPv6 address" },
	{ "[]:80", "not an IPv6 address" },
	{ "[1.2.3.4]:80", "not an IPv6 address" },
	{ "[example.org]:80", "not an IPv6 address" },
	{ "[2600::1]80", "expected [IPv6]:PORT" },
	{ "[2600::1]]:80", "expected [IPv6]:PORT" },
	{ "[2600::/32]/32", "prefix length" },
	{ "2600::1]:80", "not an IP address" },
	{ "2600:::1", "not an IP address" },
	{ "fe80::1%eth0", "link-local" },
	{ "[fe80::1%25eth0]:80", "link-local" },
	{ "1.2.3/24", "not an IP address" },
	{ "/24", "not an IP address" },
	/* what could never work */
	{ "127.0.0.1", "loopback (127.0.0.0/8, RFC 1122" },
	{ "127.0.0.1:8080", "loopback" },
	{ "127.0.0.0/8", "loopback" },
	{ "::1", "loopback" },
	{ "[::1]:8080", "loopback" },
	{ "0.0.0.0", "never reachable" },
	{ "::", "never reachable" },
	{ "169.254.169.254", "metadata" },
	{ "169.254.0.0/16", "metadata" },
	{ "fd00:ec2::254", "metadata" },
	{ "224.0.0.1", "multicast" },
	{ "ff02::1", "multicast" },
	{ "255.255.255.255", "broadcast" },
	{ "198.18.0.1", "the sandbox's names" },
	{ "64:ff9b::a00:1", "NAT64" },
	{ "2002:a00:1::", "6to4" },
	{ "::10.0.0.1", "not global unicast" },
	{ "localhost", "localhost is the sandbox's own" },
	{ "localhost:80", "localhost is the sandbox's own" },
	{ "LOCALHOST.", "localhost is the sandbox's own" },
	{ "host.azm.internal:80", "host:PORT" },
	{ "host.docker.internal:80", "host:PORT" },
	{ "!host.azm.internal:80", "host:PORT" },
	{ "web.azm", "members of the sandbox's network" },
	{ "*.azm", "members of the sandbox's network" },
	/* lists */
	{ ",", "a rule is empty" },
	{ "example.org,", "a rule is empty" },
	{ ",example.org", "a rule is empty" },
	{ "example.org,,example.com", "a rule is empty" },
	{ "example.org, example.com", "blanks and control characters" },
	{ "example.org,none", "\"none\" stands alone" },
	{ "none,example.org", "\"none\" stands alone" },
};

static void refused_rules_say_why(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct egress_rules *rules = NULL;
		struct azm_err err = { 0 };

		if (egress_rules_parse(bad[i][0], &rules, &err) == 0)
			fail_msg("%s was accepted as %s", bad[i][0], egress_rules_text(rules, 0));
		assert_null(rules);
		assert_int_equal(err.code, EINVAL);
		assert_true(err.reason[0] != '\0');
		if (!strstr(err.reason, bad[i][1]))
			fail_msg("%s: \"%s\" instead of \"%s\"", bad[i][0], err.reason, bad[i][1]);
	}
}

static void an_error_names_the_rule_of_the_list(void **state)
{
	struct egress_rules *rules = NULL;
	struct azm_err err = { 0 };

	(void)state;
	assert_int_equal(egress_rules_parse("example.org,10.1.2.3/8,all", &rules, &err), -1);
	assert_string_equal(err.text, "egress rule 10.1.2.3/8");
	assert_string_equal(err.hint, "the subnet is 10.0.0.0/8");
	assert_int_equal(egress_rules_parse("127.0.0.1:80", &rules, &err), -1);
	assert_string_equal(err.hint, "a service on the host's loopback is host:PORT");
}

static void empty_lists_have_no_rules(void **state)
{
	static const char *const empty[] = { NULL, "", "none", "NONE" };

	(void)state;
	for (size_t i = 0; i < sizeof empty / sizeof *empty; i++) {
		cleanup_egress_rules struct egress_rules *rules = parse(empty[i]);
		cleanup_free char *list = egress_rules_list(rules);
		assert_int_equal(egress_rules_count(rules), 0);
		assert_string_equal(list, "none");
	}
}

static void lists_keep_their_order_without_repetitions(void **state)
{
	cleanup_egress_rules struct egress_rules *rules = parse("b.org,!a.org,B.ORG.,10.0.0.0/8,[2600::1]:80,b.org:80");
	cleanup_free char *list = egress_rules_list(rules);

	(void)state;
	assert_string_equal(list, "b.org,!a.org,10.0.0.0/8,[2600::1]:80,b.org:80");
	cleanup_egress_rules struct egress_rules *again = parse(list);
	cleanup_free char *list_again = egress_rules_list(again);
	assert_string_equal(list_again, list);
}

static void too_many_rules_are_refused(void **state)
{
	cleanup_free char *text = xcalloc(EGRESS_RULES_MAX + 1, 16);
	struct egress_rules *rules = NULL;
	struct azm_err err = { 0 };
	char *end = text;

	(void)state;
	for (int i = 0; i < EGRESS_RULES_MAX; i++)
		end += sprintf(end, "%sn%d.org", i ? "," : "", i);
	cleanup_egress_rules struct egress_rules *most = parse(text);
	assert_int_equal(egress_rules_count(most), EGRESS_RULES_MAX);
	(void)sprintf(end, ",more.org");
	assert_int_equal(egress_rules_parse(text, &rules, &err), -1);
	assert_non_null(strstr(err.reason, "more than 1024"));
}

/* ---- changing ------------------------------------------------------------------------------------------------- */

struct edit_case {
	const char *old, *list;
	enum egress_edit edit;
	const char *result; /* NULL: refused */
	int code;
};

static const struct edit_case edits[] = {
	{ "none", "a.org", EGRESS_ADD, "a.org", 0 },
	{ "a.org", "b.org,!c.org", EGRESS_ADD, "a.org,b.org,!c.org", 0 },
	{ "a.org", "A.org.", EGRESS_ADD, "a.org", 0 },
	{ "a.org,b.org,c.org", "b.org", EGRESS_REMOVE, "a.org,c.org", 0 },
	{ "a.org,b.org", "B.ORG.,a.org", EGRESS_REMOVE, "none", 0 },
	{ "10.0.0.0/8:80", "10.0.0.0/8:080", EGRESS_REMOVE, "none", 0 },
	{ "a.org,b.org", "c.org:443", EGRESS_SET, "c.org:443", 0 },
	{ "a.org,b.org", "none", EGRESS_SET, "none", 0 },
	{ "a.org,b.org", "", EGRESS_SET, "none", 0 },
	{ "a.org", "b.org", EGRESS_REMOVE, NULL, ENOENT },
	{ "a.org:443", "a.org", EGRESS_REMOVE, NULL, ENOENT },
	{ "a.org", "!a.org", EGRESS_REMOVE, NULL, ENOENT },
	{ "a.org", "a.org,a.org", EGRESS_REMOVE, NULL, ENOENT },
	{ "none", "a.org", EGRESS_REMOVE, NULL, ENOENT },
	{ "a.org", "none", EGRESS_ADD, NULL, EINVAL },
	{ "a.org", "none", EGRESS_REMOVE, NULL, EINVAL },
	{ "a.org", "", EGRESS_ADD, NULL, EINVAL },
	{ "a.org", "b.org,127.1", EGRESS_ADD, NULL, EINVAL },
	{ "a.org", "127.1", EGRESS_SET, NULL, EINVAL },
};

static void rules_are_changed_as_a_whole_or_not_at_all(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof edits / sizeof *edits; i++) {
		const struct edit_case *row = &edits[i];
		cleanup_egress_rules struct egress_rules *old = parse(row->old);
		cleanup_egress_rules struct egress_rules *made = NULL;
		struct azm_err err = { 0 };

		int result = egress_rules_edit(old, row->edit, row->list, &made, &err);
		cleanup_free char *before = egress_rules_list(old);
		assert_string_equal(before, row->old);
		assert_int_equal(result, row->result ? 0 : -1);
		assert_int_equal(err.code, row->code);
		if (!row->result)
			continue;
		cleanup_free char *list = egress_rules_list(made);
		assert_string_equal(list, row->result);
	}
}

static void removing_an_unknown_rule_lists_the_known_ones(void **state)
{
	cleanup_egress_rules struct egress_rules *old = parse("a.org:443,!b.org"), *made = NULL;
	struct azm_err err = { 0 };

	(void)state;
	assert_int_equal(egress_rules_edit(old, EGRESS_REMOVE, "a.org", &made, &err), -1);
	assert_non_null(strstr(err.hint, "a.org:443,!b.org"));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(accepted_rules_get_one_normal_form),
		cmocka_unit_test(refused_rules_say_why),
		cmocka_unit_test(an_error_names_the_rule_of_the_list),
		cmocka_unit_test(empty_lists_have_no_rules),
		cmocka_unit_test(lists_keep_their_order_without_repetitions),
		cmocka_unit_test(too_many_rules_are_refused),
		cmocka_unit_test(rules_are_changed_as_a_whole_or_not_at_all),
		cmocka_unit_test(removing_an_unknown_rule_lists_the_known_ones),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
