// SPDX-License-Identifier: GPL-2.0-or-later
/* tests/unit/test_egress_decide.c: what rules decide about names, ports and addresses, and which addresses are out of
 * reach whatever the rules say. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <sched.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "netns/address_class.h"
#include "netns/egress_rules.h"
#include "netns/host_name.h"
#include "netns/link.h"
#include "network_fixture.h"

static struct egress_rules *parse(const char *text)
{
	struct egress_rules *rules = NULL;
	struct azm_err err = { 0 };

	if (egress_rules_parse(text, &rules, &err) < 0)
		fail_msg("%s: %s: %s", text, err.text, err.reason);
	return rules;
}

static struct in6_addr address_of(const char *text)
{
	struct in6_addr address;
	struct in_addr v4;

	if (inet_pton(AF_INET, text, &v4) == 1)
		return address_from_v4(ntohl(v4.s_addr));
	assert_int_equal(inet_pton(AF_INET6, text, &address), 1);
	return address;
}

/* ---- by name -------------------------------------------------------------------------------------------------- */

struct name_case {
	const char *rules, *name;
	uint16_t port;
	const char *rule; /* that decides; NULL: none */
	bool allowed, exact, host;
};

static const struct name_case names[] = {
	/* rules, name, port, rule, allowed, exact, host service */
	{ "none", "example.org", 443, NULL, false, false, false },
	{ "", "example.org", 443, NULL, false, false, false },
	{ "example.org", "example.org", 443, "example.org", true, true, false },
	{ "example.org", "EXAMPLE.org.", 443, "example.org", true, true, false },
	{ "example.org", "www.example.org", 443, NULL, false, false, false },
	{ "example.org", "example.org.evil.com", 443, NULL, false, false, false },
	{ "example.org", "evilexample.org", 443, NULL, false, false, false },
	{ "example.org", "org", 443, NULL, false, false, false },
	{ "example.org:443", "example.org", 443, "example.org:443", true, true, false },
	{ "example.org:443", "example.org", 80, NULL, false, false, false },
	{ "example.org:443,example.org:22", "example.org", 22, "example.org:22", true, true, false },
	{ "*.example.org", "a.example.org", 443, "*.example.org", true, false, false },
	{ "*.example.org", "A.Example.ORG", 443, "*.example.org", true, false, false },
	{ "*.example.org", "a.b.c.example.org", 443, "*.example.org", true, false, false },
	{ "*.example.org", "example.org", 443, NULL, false, false, false },
	{ "*.example.org", "evilexample.org", 443, NULL, false, false, false },
	{ "*.example.org", "a.evilexample.org", 443, NULL, false, false, false },
	{ "*.example.org", "example.org.evil.com", 443, NULL, false, false, false },
	{ "*.example.org", ".example.org", 443, NULL, false, false, false },
	{ "*.example.org", "a..example.org", 443, NULL, false, false, false },
	{ "*.example.org:443", "a.example.org", 80, NULL, false, false, false },
	{ "*.example.org,a.example.org", "a.example.org", 443, "a.example.org", true, true, false },
	{ "a.example.org,*.example.org", "a.example.org", 443, "a.example.org", true, true, false },
	{ "all", "anything.example", 1, "all", true, false, false },
	{ "all:443", "anything.example", 80, NULL, false, false, false },
	{ "all,mirror", "mirror", 80, "mirror", true, true, false },
	{ "b\xc3\xbc"
	  "cher.example",
		"xn--bcher-kva.example", 443, "xn--bcher-kva.example", true, true, false },
	/* refusing wins, wherever it stands */
	{ "all,!evil.org", "evil.org", 443, "!evil.org", false, false, false },
	{ "!evil.org,all", "evil.org", 443, "!evil.org", false, false, false },
	{ "!evil.org,evil.org", "evil.org", 443, "!evil.org", false, false, false },
	{ "all,!evil.org", "www.evil.org", 443, "all", true, false, false },
	{ "all,!*.evil.org", "www.evil.org", 443, "!*.evil.org", false, false, false },
	{ "all,!*.evil.org", "evil.org", 443, "all", true, false, false },
	{ "all,!evil.org:25", "evil.org", 25, "!evil.org:25", false, false, false },
	{ "all,!evil.org:25", "evil.org", 443, "all", true, false, false },
	{ "all,!all:25", "example.org", 25, "!all:25", false, false, false },
	{ "!evil.org", "example.org", 443, NULL, false, false, false },
	/* the host's services */
	{ "host:5432", "host.azm.internal", 5432, "host:5432", true, true, true },
	{ "host:5432", "host.docker.internal", 5432, "host:5432", true, true, true },
	{ "host:5432", "HOST.azm.internal.", 5432, "host:5432", true, true, true },
	{ "host:5432", "host.azm.internal", 22, NULL, false, false, false },
	{ "host:5432", "host", 5432, NULL, false, false, false },
	{ "host:5432", "localhost", 5432, NULL, false, false, false },
	{ "host:5432,!host:5432", "host.azm.internal", 5432, "!host:5432", false, false, false },
	{ "host:5432,!host", "host.azm.internal", 5432, "!host", false, false, false },
	{ "all", "host.azm.internal", 22, NULL, false, false, false },
	{ "all,*.azm.internal", "host.azm.internal", 22, NULL, false, false, false },
	{ "all,*.internal", "host.docker.internal", 22, NULL, false, false, false },
	/* never asked outside */
	{ "all", "localhost", 80, NULL, false, false, false },
	{ "all", "a.localhost", 80, NULL, false, false, false },
	{ "all", "web.azm", 80, NULL, false, false, false },
	{ "all", "a.host.azm.internal", 80, NULL, false, false, false },
	/* what is no host name */
	{ "all", "", 80, NULL, false, false, false },
	{ "all", "127.1", 80, NULL, false, false, false },
	{ "all", "2130706433", 80, NULL, false, false, false },
	{ "all", "0x7f.1", 80, NULL, false, false, false },
	{ "all", "0177.0.0.1", 80, NULL, false, false, false },
	{ "all", "1.2.3.4", 80, NULL, false, false, false },
	{ "all", "::1", 80, NULL, false, false, false },
	{ "all", "a b.org", 80, NULL, false, false, false },
	{ "all", "user@example.org", 80, NULL, false, false, false },
	{ "all", "evil.org%00.example.org", 80, NULL, false, false, false },
	{ "all",
		"b\xc3\xbc"
		"cher.example",
		80, NULL, false, false, false }, /* UTF-8 does not come over the wire */
	{ "10.0.0.0/8", "10.0.0.1", 80, NULL, false, false, false },
};

static void names_are_decided(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		const struct name_case *row = &names[i];
		cleanup_egress_rules struct egress_rules *rules = parse(row->rules);
		struct egress_decision decision = egress_decide_name(rules, row->name, row->port);

		if (decision.allowed != row->allowed || decision.exact != row->exact ||
			decision.host_service != row->host || !decision.rule != !row->rule ||
			(row->rule && strcmp(row->rule, decision.rule) != 0) || !decision.why != decision.allowed)
			fail_msg("%s: %s:%u: allowed %d exact %d host %d rule %s why %s", row->rules, row->name,
				row->port, decision.allowed, decision.exact, decision.host_service, decision.rule,
				decision.why);
	}
}

struct answer_case {
	const char *rules, *name;
	bool answered;
};

static const struct answer_case answers[] = {
	{ "none", "example.org", false },
	{ "example.org:443", "example.org", true },
	{ "example.org:443", "www.example.org", false },
	{ "*.example.org", "example.org", false },
	{ "*.example.org:22", "a.example.org", true },
	{ "all", "example.org", true },
	{ "all:443", "example.org", true },
	{ "all,!evil.org", "evil.org", false },
	{ "all,!evil.org:25", "evil.org", true },
	{ "evil.org:25,!evil.org:25", "evil.org", false },
	{ "evil.org:25,evil.org:80,!evil.org:25", "evil.org", true },
	{ "evil.org:25,!all:25", "evil.org", false },
	{ "evil.org:25,!*.org", "evil.org", false },
	{ "all,!all", "evil.org", false },
	{ "!evil.org", "example.org", false },
	{ "10.0.0.0/8", "example.org", false },
	{ "host:22", "host.azm.internal", true },
	{ "host:22", "host.docker.internal", true },
	{ "host:22,!host", "host.azm.internal", false },
	{ "host:22,!host:22", "host.azm.internal", false },
	{ "all", "host.azm.internal", false },
	{ "all", "host.docker.internal", false },
	{ "host:22", "example.org", false },
	{ "all", "web.azm", false },
	{ "all", "localhost", false },
	{ "all", "127.1", false },
	{ "all", "", false },
};

static void dns_answers_names_with_an_allowed_port(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
		cleanup_egress_rules struct egress_rules *rules = parse(answers[i].rules);
		if (egress_name_answerable(rules, answers[i].name) != answers[i].answered)
			fail_msg("%s: %s", answers[i].rules, answers[i].name);
	}
}

static void names_inside_of_connections_can_be_denied(void **state)
{
	cleanup_egress_rules struct egress_rules *rules = parse("10.0.0.0/8,!*.evil.org,!bad.com:443");

	(void)state;
	assert_true(egress_name_denied(rules, "a.evil.org", 80));
	assert_true(egress_name_denied(rules, "A.EVIL.org.", 80));
	assert_true(egress_name_denied(rules, "bad.com", 443));
	assert_false(egress_name_denied(rules, "bad.com", 80));
	assert_false(egress_name_denied(rules, "evil.org", 80));
	assert_false(egress_name_denied(rules, "example.org", 443));
	assert_true(egress_name_denied(rules, "exa mple.org", 443));
}

/* ---- by address ----------------------------------------------------------------------------------------------- */

struct address_case {
	const char *rules;
	const char *name; /* NULL: the sandbox named the address itself */
	const char *address;
	uint16_t port;
	bool allowed;
};

static const struct address_case addresses[] = {
	/* literal addresses */
	{ "none", NULL, "8.8.8.8", 443, false },
	{ "example.org", NULL, "8.8.8.8", 443, false },
	{ "all", NULL, "8.8.8.8", 443, true },
	{ "all", NULL, "2600::1", 443, true },
	{ "all:443", NULL, "8.8.8.8", 80, false },
	{ "8.8.8.8", NULL, "8.8.8.8", 443, true },
	{ "8.8.8.8", NULL, "8.8.8.9", 443, false },
	{ "8.8.8.8:443", NULL, "8.8.8.8", 80, false },
	{ "8.8.0.0/16", NULL, "8.8.255.1", 443, true },
	{ "8.8.0.0/16", NULL, "8.9.0.1", 443, false },
	{ "0.0.0.0/0", NULL, "8.8.8.8", 443, true },
	{ "0.0.0.0/0", NULL, "2600::1", 443, false },
	{ "::/0", NULL, "2600::1", 443, true },
	{ "::/0", NULL, "8.8.8.8", 443, false },
	{ "2600::/32", NULL, "2600:0:1::5", 443, true },
	{ "2600::/32", NULL, "2600:1::5", 443, false },
	{ "[2600::1]:443", NULL, "2600::1", 443, true },
	{ "[2600::1]:443", NULL, "2600::1", 80, false },
	{ "all,!8.8.8.8", NULL, "8.8.8.8", 443, false },
	{ "!8.8.8.0/24,8.8.8.8", NULL, "8.8.8.8", 443, false },
	{ "all,!8.8.8.8:25", NULL, "8.8.8.8", 443, true },
	{ "all,!all:25", NULL, "8.8.8.8", 25, false },
	/* private ranges are opened by whoever names them */
	{ "all", NULL, "10.0.0.1", 443, false },
	{ "all", NULL, "172.16.0.1", 443, false },
	{ "all", NULL, "192.168.0.1", 443, false },
	{ "all", NULL, "100.64.0.1", 443, false },
	{ "all", NULL, "fd00::1", 443, false },
	{ "0.0.0.0/0", NULL, "10.0.0.1", 443, false },
	{ "8.0.0.0/6", NULL, "10.0.0.1", 443, false },
	{ "::/0", NULL, "fd00::1", 443, false },
	{ "10.0.0.0/8", NULL, "10.0.0.1", 443, true },
	{ "all,10.0.0.0/8", NULL, "10.0.0.1", 443, true },
	{ "10.0.0.0/8,all", NULL, "10.0.0.1", 443, true },
	{ "10.0.0.1:443", NULL, "10.0.0.1", 443, true },
	{ "10.0.0.1:443", NULL, "10.0.0.1", 80, false },
	{ "100.64.0.0/10", NULL, "100.64.0.1", 443, true },
	{ "fc00::/7", NULL, "fd00::1", 443, true },
	{ "fd00:1::/32", NULL, "fd00:1::1", 443, true },
	{ "10.0.0.0/8,!10.0.0.0/8", NULL, "10.0.0.1", 443, false },
	/* never, even when a wide rule covers them */
	{ "0.0.0.0/0", NULL, "127.0.0.1", 443, false },
	{ "0.0.0.0/0", NULL, "169.254.169.254", 80, false },
	{ "100.64.0.0/10", NULL, "100.100.100.200", 80, false },
	{ "fc00::/7", NULL, "fd00:ec2::254", 80, false },
	{ "all,::/0", NULL, "::1", 80, false },
	{ "all", NULL, "168.63.129.16", 80, false },
	/* what names resolve to */
	{ "example.org", "example.org", "8.8.8.8", 443, true },
	{ "example.org", "example.org", "2600::1", 443, true },
	{ "*.example.org", "a.example.org", "8.8.8.8", 443, true },
	{ "all", "example.org", "8.8.8.8", 443, true },
	{ "mirror.corp", "mirror.corp", "10.0.0.1", 443, true },
	{ "mirror.corp", "mirror.corp", "192.168.0.1", 443, true },
	{ "mirror.corp", "mirror.corp", "100.64.0.1", 443, true },
	{ "mirror.corp", "mirror.corp", "fd00::1", 443, true },
	{ "*.corp", "mirror.corp", "10.0.0.1", 443, false },
	{ "*.corp", "mirror.corp", "fd00::1", 443, false },
	{ "all", "mirror.corp", "10.0.0.1", 443, false },
	{ "*.corp,10.0.0.0/8", "mirror.corp", "10.0.0.1", 443, true },
	{ "*.corp,10.0.0.0/8:443", "mirror.corp", "10.0.0.1", 80, false },
	{ "*.corp,0.0.0.0/0", "mirror.corp", "10.0.0.1", 443, false },
	{ "all,mirror.corp", "mirror.corp", "10.0.0.1", 443, true },
	{ "mirror.corp,!10.0.0.0/8", "mirror.corp", "10.0.0.1", 443, false },
	{ "example.org,!8.8.8.8", "example.org", "8.8.8.8", 443, false },
	{ "example.org,!8.8.8.8:25", "example.org", "8.8.8.8", 443, true },
	{ "example.org", "example.org", "127.0.0.1", 443, false },
	{ "example.org", "example.org", "127.9.9.9", 443, false },
	{ "example.org", "example.org", "::1", 443, false },
	{ "example.org", "example.org", "0.0.0.0", 443, false },
	{ "example.org", "example.org", "::", 443, false },
	{ "example.org", "example.org", "::ffff:127.0.0.1", 443, false },
	{ "example.org", "example.org", "::127.0.0.1", 443, false },
	{ "example.org", "example.org", "169.254.169.254", 80, false },
	{ "example.org", "example.org", "fd00:ec2::254", 80, false },
	{ "example.org", "example.org", "100.100.100.200", 80, false },
	{ "example.org", "example.org", "fe80::1", 443, false },
	{ "example.org", "example.org", "224.0.0.1", 443, false },
	{ "example.org", "example.org", "ff02::1", 443, false },
	{ "example.org", "example.org", "255.255.255.255", 443, false },
	{ "example.org", "example.org", "64:ff9b::a00:1", 443, false },
	{ "example.org", "example.org", "2002:a00:1::1", 443, false },
	{ "example.org", "example.org", "2001::1", 443, false },
	{ "example.org", "example.org", "198.18.0.1", 443, false },
};

static void addresses_are_decided(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof addresses / sizeof *addresses; i++) {
		const struct address_case *row = &addresses[i];
		cleanup_egress_rules struct egress_rules *rules = parse(row->rules);
		struct in6_addr address = address_of(row->address);
		struct egress_decision decision;

		if (row->name) {
			struct egress_decision name = egress_decide_name(rules, row->name, row->port);
			assert_true(name.allowed);
			decision = egress_decide_resolved(rules, &name, &address, row->port);
		} else {
			decision = egress_decide_address(rules, &address, row->port);
		}
		if (decision.allowed != row->allowed || !decision.why != decision.allowed)
			fail_msg("%s: %s %s:%u: allowed %d, rule %s, why %s", row->rules, row->name, row->address,
				row->port, decision.allowed, decision.rule, decision.why);
	}
}

static void a_decision_names_its_rule(void **state)
{
	cleanup_egress_rules struct egress_rules *rules = parse("*.corp,10.0.0.0/8:443,!8.8.8.8");
	struct egress_decision name = egress_decide_name(rules, "a.corp", 443);
	struct in6_addr inside = address_of("10.0.0.1"), denied = address_of("8.8.8.8"),
			outside = address_of("9.9.9.9");
	struct egress_decision decision = egress_decide_resolved(rules, &name, &inside, 443);

	(void)state;
	assert_string_equal(decision.rule, "10.0.0.0/8:443");
	assert_true(decision.exact);
	decision = egress_decide_resolved(rules, &name, &denied, 443);
	assert_string_equal(decision.rule, "!8.8.8.8");
	assert_string_equal(decision.why, "a rule refuses it");
	decision = egress_decide_resolved(rules, &name, &outside, 443);
	assert_string_equal(decision.rule, "*.corp");
	assert_false(decision.exact);
}

/* ---- classes -------------------------------------------------------------------------------------------------- */

struct class_case {
	const char *address;
	const char *what; /* NULL: public */
	enum address_kind kind;
};

static const struct class_case classes[] = {
	{ "0.0.0.0", "\"this network\"", ADDRESS_NEVER },
	{ "0.255.255.255", "\"this network\"", ADDRESS_NEVER },
	{ "1.0.0.0", NULL, 0 },
	{ "9.255.255.255", NULL, 0 },
	{ "10.0.0.0", "private", ADDRESS_PRIVATE },
	{ "10.255.255.255", "private", ADDRESS_PRIVATE },
	{ "11.0.0.0", NULL, 0 },
	{ "100.63.255.255", NULL, 0 },
	{ "100.64.0.0", "carrier NAT", ADDRESS_PRIVATE },
	{ "100.127.255.255", "carrier NAT", ADDRESS_PRIVATE },
	{ "100.128.0.0", NULL, 0 },
	{ "126.255.255.255", NULL, 0 },
	{ "127.0.0.0", "loopback", ADDRESS_NEVER },
	{ "127.255.255.255", "loopback", ADDRESS_NEVER },
	{ "169.253.255.255", NULL, 0 },
	{ "169.254.0.0", "link-local and cloud metadata", ADDRESS_NEVER },
	{ "169.254.255.255", "link-local and cloud metadata", ADDRESS_NEVER },
	{ "172.15.255.255", NULL, 0 },
	{ "172.16.0.0", "private", ADDRESS_PRIVATE },
	{ "172.31.255.255", "private", ADDRESS_PRIVATE },
	{ "172.32.0.0", NULL, 0 },
	{ "192.0.0.192", "protocol assignments", ADDRESS_NEVER },
	{ "192.88.99.1", "6to4 relays", ADDRESS_NEVER },
	{ "192.168.0.0", "private", ADDRESS_PRIVATE },
	{ "192.169.0.0", NULL, 0 },
	{ "198.17.255.255", NULL, 0 },
	{ "198.18.0.0", "the sandbox's names", ADDRESS_NEVER },
	{ "198.19.255.255", "the sandbox's names", ADDRESS_NEVER },
	{ "198.20.0.0", NULL, 0 },
	{ "223.255.255.255", NULL, 0 },
	{ "224.0.0.0", "multicast", ADDRESS_NEVER },
	{ "240.0.0.0", "reserved and broadcast", ADDRESS_NEVER },
	{ "255.255.255.255", "reserved and broadcast", ADDRESS_NEVER },
	{ "::", "not global unicast", ADDRESS_NEVER },
	{ "::1", "loopback", ADDRESS_NEVER },
	{ "::2", "not global unicast", ADDRESS_NEVER },
	{ "::ffff:0:10.0.0.1", "not global unicast", ADDRESS_NEVER }, /* RFC 2765, translated */
	{ "::ffff:8.8.8.8", NULL, 0 },				      /* is 8.8.8.8 */
	{ "::ffff:10.0.0.1", "private", ADDRESS_PRIVATE },
	{ "64:ff9b::808:808", "NAT64, which holds an IPv4 address", ADDRESS_NEVER },
	{ "64:ff9b:1::1", "NAT64, which holds an IPv4 address", ADDRESS_NEVER },
	{ "100::1", "discard only", ADDRESS_NEVER },
	{ "2001::1", "Teredo and protocol assignments", ADDRESS_NEVER },
	{ "2001:1ff::1", "Teredo and protocol assignments", ADDRESS_NEVER },
	{ "2001:200::1", NULL, 0 },
	{ "2002::1", "6to4, which holds an IPv4 address", ADDRESS_NEVER },
	{ "2606:4700::1111", NULL, 0 },
	{ "3fff:ffff::1", NULL, 0 },
	{ "4000::1", "not global unicast", ADDRESS_NEVER },
	{ "fbff::1", "not global unicast", ADDRESS_NEVER },
	{ "fc00::1", "unique local", ADDRESS_PRIVATE },
	{ "fdff::1", "unique local", ADDRESS_PRIVATE },
	{ "fe00::1", "not global unicast", ADDRESS_NEVER },
	{ "fe80::1", "link-local", ADDRESS_NEVER },
	{ "febf::1", "link-local", ADDRESS_NEVER },
	{ "fec0::1", "site-local", ADDRESS_NEVER },
	{ "ff02::1", "multicast", ADDRESS_NEVER },
	{ "fd00:ec2::254", "cloud metadata", ADDRESS_NEVER },
	{ "fd20:ce::254", "cloud metadata", ADDRESS_NEVER },
	{ "100.100.100.200", "cloud metadata", ADDRESS_NEVER },
	{ "168.63.129.16", "cloud metadata", ADDRESS_NEVER },
};

static void addresses_are_classified(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof classes / sizeof *classes; i++) {
		struct in6_addr address = address_of(classes[i].address);
		const struct address_class *class = address_classify(&address);

		if (!class != !classes[i].what)
			fail_msg("%s: %s", classes[i].address, class ? class->what : "public");
		if (!class)
			continue;
		assert_string_equal(class->what, classes[i].what);
		assert_int_equal(class->kind, classes[i].kind);
		assert_true(class->source[0] != '\0');
	}
}

/* In a network namespace of its own: azm0 has 203.0.113.1/24. */
static int own_addresses(struct world *world, void *argument)
{
	static const struct {
		const char *address;
		bool own;
	} cases[] = {
		{ "203.0.113.1", true },
		{ "203.0.113.255", true }, /* broadcast reaches ourselves, too */
		{ "203.0.113.9", false },
		{ "127.0.0.1", true },
		{ "127.1.2.3", true },
		{ "::1", true },
		{ "8.8.8.8", false }, /* no route: connect(2) says so */
		{ "2600::1", false },
	};
	struct subnet subnet = { 0xcb007100, 24 };
	struct azm_err err = { 0 };

	(void)world, (void)argument;
	CHECK(unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0);
	cleanup_fd int rtnl = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 0);
	CHECK_OK(link_make_bridge(rtnl, &subnet, &err), &err);
	cleanup_fd int host = address_host_open(&err);
	CHECK(host >= 0);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct in6_addr address;
		struct in_addr v4;
		if (inet_pton(AF_INET, cases[i].address, &v4) == 1)
			address = address_from_v4(ntohl(v4.s_addr));
		else
			CHECK(inet_pton(AF_INET6, cases[i].address, &address) == 1);
		if (address_is_own(host, &address) != cases[i].own) {
			fprintf(stderr, "%s\n", cases[i].address);
			return 1;
		}
	}
	struct in6_addr public = address_from_v4(0x08080808);
	CHECK(address_is_own(-1, &public)); /* who cannot ask refuses */
	return 0;
}

static void the_hosts_own_addresses_are_known(void **state)
{
	assert_int_equal(in_child(own_addresses, *state, NULL), 0);
}

static void prefixes_and_families_are_told_apart(void **state)
{
	struct in6_addr a = address_of("10.128.0.1"), prefix = address_of("10.128.0.0"), v6 = address_of("2600::1");
	uint32_t v4 = 0;

	(void)state;
	assert_true(address_in(&a, &prefix, 96 + 9));
	assert_true(address_in(&a, &prefix, 96 + 31));
	assert_false(address_in(&a, &prefix, 128));
	assert_true(address_in(&a, &v6, 0));
	assert_false(address_in(&a, &v6, 3));
	assert_true(address_to_v4(&a, &v4));
	assert_int_equal(v4, 0x0a800001);
	assert_false(address_to_v4(&v6, &v4));
}

/* ---- names of the network ------------------------------------------------------------------------------------- */

static void names_from_packets_keep_their_whole_length(void **state)
{
	char name[HOST_NAME_SIZE];

	(void)state;
	assert_null(host_name_normalise("Example.ORG.", 12, name));
	assert_string_equal(name, "example.org");
	assert_null(host_name_normalise("-odd-.example.org", 17, name));
	assert_string_equal(host_name_normalise("evil.org\0.example.org", 21, name), "it holds a NUL");
	assert_string_equal(name, "");
	assert_string_equal(host_name_normalise("example.org\0", 12, name), "it holds a NUL");
	assert_non_null(host_name_normalise("", 0, name));
	assert_non_null(host_name_normalise(".", 1, name));
	assert_non_null(host_name_normalise("a..", 3, name));
	assert_non_null(host_name_normalise("a:80", 4, name));
	assert_non_null(host_name_normalise("\xc3\xbc.org", 6, name));
}

static void a_subdomain_is_a_whole_label_more(void **state)
{
	(void)state;
	assert_true(host_name_below("a.example.org", "example.org"));
	assert_true(host_name_below("a.b.example.org", "example.org"));
	assert_false(host_name_below("example.org", "example.org"));
	assert_false(host_name_below("evilexample.org", "example.org"));
	assert_false(host_name_below(".example.org", "example.org"));
	assert_false(host_name_below("org", "example.org"));
	assert_false(host_name_below("example.org.evil.com", "example.org"));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_decided),
		cmocka_unit_test(dns_answers_names_with_an_allowed_port),
		cmocka_unit_test(names_inside_of_connections_can_be_denied),
		cmocka_unit_test(addresses_are_decided),
		cmocka_unit_test(a_decision_names_its_rule),
		cmocka_unit_test(addresses_are_classified),
		cmocka_unit_test_setup_teardown(the_hosts_own_addresses_are_known, world_setup, world_teardown),
		cmocka_unit_test(prefixes_and_families_are_told_apart),
		cmocka_unit_test(names_from_packets_keep_their_whole_length),
		cmocka_unit_test(a_subdomain_is_a_whole_label_more),
	};

	become_user();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
