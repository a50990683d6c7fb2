// SPDX-License-Identifier: GPL-2.0-or-later
/* netns/egress_rule.c: the grammar of one egress rule, see egress_rules.h.
 *
 * Everything that could be read in two ways is refused, and so is an allowing rule that could never allow anything:
 * the user would believe it works.
 */
#include "netns/egress_rule.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "netns/address_class.h"
#include "netns/egress_rules.h"
#include "netns/host_name.h"

enum { TEXT_MAX = 1023, PORT_MAX = 65535, V4_BITS = 96 };

/* A rule's text, cut in pieces that point into a private copy. */
struct pieces {
	const char *whole; /* for messages */
	char *target;
	const char *port; /* NULL: none was written */
	bool bracketed;
};

[[gnu::format(printf, 3, 4)]] static int refuse(struct azm_err *err, const char *rule, const char *format, ...)
{
	char reason[sizeof err->reason];
	va_list arguments;

	va_start(arguments, format);
	(void)vsnprintf(reason, sizeof reason, format, arguments);
	va_end(arguments);
	return err_msg(err, EINVAL, "egress rule", rule, "%s", reason);
}

/* ---- cutting -------------------------------------------------------------------------------------------------- */

static int check_bytes(const char *text, struct azm_err *err)
{
	if (!*text)
		return refuse(err, "\"\"", "a rule is empty; the list is RULE[,RULE...]");
	if (strlen(text) > TEXT_MAX)
		return refuse(err, text, "a rule has at most %d bytes", TEXT_MAX);
	for (const char *c = text; *c; c++)
		if ((unsigned char)*c <= ' ' || *c == 0x7f)
			return refuse(err, text, "blanks and control characters are not allowed");
	if (strstr(text, "://")) {
		(void)refuse(err, text, "this is a URL");
		return err_hint(err, "write the host and the port, for example example.org:443");
	}
	return 0;
}

/* "[V6]", "[V6]:PORT", "[V6/LENGTH]:PORT" and "[V6]/LENGTH:PORT" */
static int cut_brackets(struct pieces *p, struct azm_err *err)
{
	char *close = strchr(p->target, ']');
	char *rest = close ? close + 1 : NULL;

	if (!close)
		return refuse(err, p->whole, "\"[\" without \"]\"");
	if (*rest == '/') {
		size_t digits = strcspn(rest, ":");
		memmove(close, rest, digits);
		rest += digits;
		close += digits;
	}
	if (*rest == ':')
		p->port = rest + 1;
	else if (*rest)
		return refuse(err, p->whole, "expected [IPv6]:PORT");
	*close = '\0';
	p->target++;
	p->bracketed = true;
	return 0;
}

static int cut(struct pieces *p, struct azm_err *err)
{
	char *colon = strchr(p->target, ':');

	if (p->target[0] == '[')
		return cut_brackets(p, err);
	if (colon && colon == strrchr(p->target, ':')) {
		*colon = '\0';
		p->port = colon + 1;
	}
	return *p->target ? 0 : refuse(err, p->whole, "there is no host before the port");
}

static int read_port(const struct pieces *p, uint16_t *port, struct azm_err *err)
{
	uint64_t number;

	if (!p->port)
		return 0;
	if (strchr(p->port, '-'))
		return refuse(err, p->whole, "a rule has one port, not a range: write a rule for each");
	if (!str_to_u64(p->port, PORT_MAX, &number) || number == 0)
		return refuse(err, p->whole, "port \"%s\" is not a number from 1 to %d", p->port, PORT_MAX);
	*port = (uint16_t)number;
	return 0;
}

/* ---- addresses ------------------------------------------------------------------------------------------------ */

static struct in6_addr masked(const struct in6_addr *address, unsigned length)
{
	struct in6_addr result = { 0 };
	unsigned bytes = length / 8;

	memcpy(result.s6_addr, address->s6_addr, bytes);
	if (length % 8)
		result.s6_addr[bytes] = (uint8_t)(address->s6_addr[bytes] & 0xff << (8 - length % 8));
	return result;
}

/* "192.0.2.1", "2001:db8::/32" */
static void subnet_text(const struct in6_addr *prefix, unsigned length, char *text, size_t size)
{
	char address[INET6_ADDRSTRLEN];
	bool v4 = IN6_IS_ADDR_V4MAPPED(prefix);

	(void)inet_ntop(
		v4 ? AF_INET : AF_INET6, v4 ? (const void *)&prefix->s6_addr32[3] : prefix, address, sizeof address);
	if (length == 128)
		(void)snprintf(text, size, "%s", address);
	else
		(void)snprintf(text, size, "%s/%u", address, v4 ? length - V4_BITS : length);
}

static int check_subnet(const struct pieces *p, const struct egress_rule *rule, struct azm_err *err)
{
	struct in6_addr clean = masked(&rule->prefix, rule->length);
	const struct address_class *class = address_classify_subnet(&rule->prefix, rule->length);

	if (memcmp(&clean, &rule->prefix, sizeof clean) != 0) {
		char right[INET6_ADDRSTRLEN + 8];
		subnet_text(&clean, rule->length, right, sizeof right);
		(void)refuse(err, p->whole, "the address has bits set after the prefix");
		return err_hint(err, "the subnet is %s", right);
	}
	if (rule->deny || !class || class->kind != ADDRESS_NEVER)
		return 0;
	(void)refuse(err, p->whole, "%s (%s/%u, %s) is never reachable", class->what, class->prefix, class->length,
		class->source);
	return err_hint(err, "a service on the host's loopback is host:PORT");
}

static int read_address(const struct pieces *p, const char *text, struct in6_addr *address, struct azm_err *err)
{
	struct in_addr v4;

	if (strchr(text, '%'))
		return refuse(err, p->whole, "link-local addresses are not reachable");
	if (!p->bracketed && inet_pton(AF_INET, text, &v4) == 1) {
		*address = address_from_v4(ntohl(v4.s_addr));
		return 0;
	}
	if (inet_pton(AF_INET6, text, address) != 1)
		return refuse(err, p->whole, "\"%s\" is not an %s address", text, p->bracketed ? "IPv6" : "IP");
	if (IN6_IS_ADDR_V4MAPPED(address))
		return refuse(err, p->whole, "write an IPv4 address in IPv4 notation");
	return 0;
}

static int read_subnet(const struct pieces *p, struct egress_rule *rule, struct azm_err *err)
{
	char *slash = strchr(p->target, '/');
	uint64_t length = 0;

	rule->kind = EGRESS_SUBNET;
	if (slash)
		*slash++ = '\0';
	if (read_address(p, p->target, &rule->prefix, err) < 0)
		return -1;
	unsigned outer = IN6_IS_ADDR_V4MAPPED(&rule->prefix) ? V4_BITS : 0;
	if (slash && !str_to_u64(slash, 128 - outer, &length))
		return refuse(err, p->whole, "prefix length \"%s\" is not a number up to %u", slash, 128 - outer);
	rule->length = (uint8_t)(slash ? length + outer : 128);
	return check_subnet(p, rule, err);
}

/* ---- names ---------------------------------------------------------------------------------------------------- */

const char *egress_name_reserved(const char *name)
{
	static const struct {
		const char *name, *why;
	} reserved[] = {
		{ "localhost", "localhost is the sandbox's own" },
		{ EGRESS_HOST_NAME, "the host's own services are reached with host:PORT rules" },
		{ EGRESS_HOST_ALIAS, "the host's own services are reached with host:PORT rules" },
		{ EGRESS_MEMBER_DOMAIN, "names below .azm are members of the sandbox's network" },
	};

	for (size_t i = 0; i < sizeof reserved / sizeof *reserved; i++)
		if (strcmp(name, reserved[i].name) == 0 || host_name_below(name, reserved[i].name))
			return reserved[i].why;
	return NULL;
}

static bool is_keyword(const char *target)
{
	return strcasecmp(target, "none") == 0 || strcasecmp(target, "all") == 0 || strcasecmp(target, "host") == 0;
}

static int read_name(const struct pieces *p, struct egress_rule *rule, struct azm_err *err)
{
	const char *text = p->target;
	char name[HOST_NAME_SIZE];

	rule->kind = EGRESS_NAME;
	if (strcmp(text, "*") == 0) {
		(void)refuse(err, p->whole, "\"*\" alone is not a rule");
		return err_hint(err, "the rule for everything is \"all\"");
	}
	if (str_starts(text, "*.")) {
		rule->kind = EGRESS_BELOW;
		text += 2;
	}
	const char *wrong = host_name_of_user(text, strlen(text), name);
	if (!wrong)
		wrong = egress_name_reserved(name);
	if (wrong)
		return refuse(err, p->whole, "%s", wrong);
	/* "host." and the like: their normal form would be the word. */
	if (rule->kind == EGRESS_NAME && is_keyword(name))
		return refuse(err, p->whole, "\"%s\" is a word of the rules, not a name", name);
	rule->name = xstrdup(name);
	return 0;
}

/* ---- the whole ------------------------------------------------------------------------------------------------ */

static int read_keyword(const struct pieces *p, struct egress_rule *rule, struct azm_err *err)
{
	if (strcasecmp(p->target, "none") == 0)
		return refuse(err, p->whole, "\"none\" stands alone, without other rules, port or \"!\"");
	if (strcasecmp(p->target, "all") == 0) {
		rule->kind = EGRESS_ALL;
		return 0;
	}
	rule->kind = EGRESS_HOST_SERVICE;
	if (p->port || rule->deny)
		return 0;
	(void)refuse(err, p->whole, "services of the host are opened one by one");
	return err_hint(err, "write host:PORT");
}

static bool is_address(const struct pieces *p)
{
	struct in_addr v4;

	return p->bracketed || strpbrk(p->target, "/:") || inet_pton(AF_INET, p->target, &v4) == 1;
}

static char *normal_form(const struct egress_rule *rule)
{
	static const char *const words[] = { [EGRESS_ALL] = "all", [EGRESS_HOST_SERVICE] = "host" };
	char subnet[INET6_ADDRSTRLEN + 8] = "", port[8] = "";
	const char *target = rule->name ? rule->name : subnet;

	if (rule->kind == EGRESS_SUBNET)
		subnet_text(&rule->prefix, rule->length, subnet, sizeof subnet);
	else if (!rule->name)
		target = words[rule->kind];
	if (rule->port)
		(void)snprintf(port, sizeof port, ":%u", rule->port);
	bool brackets = rule->port && strchr(subnet, ':');
	return xasprintf("%s%s%s%s%s%s", rule->deny ? "!" : "", rule->kind == EGRESS_BELOW ? "*." : "",
		brackets ? "[" : "", target, brackets ? "]" : "", port);
}

static int read_rule(struct pieces *p, struct egress_rule *rule, struct azm_err *err)
{
	if (p->target[0] == '!') {
		rule->deny = true;
		p->target++;
	}
	if (p->target[0] == '!' || p->target[0] == '\0')
		return refuse(err, p->whole, "\"!\" is followed by the rule it refuses");
	if (cut(p, err) < 0 || read_port(p, &rule->port, err) < 0)
		return -1;
	if (!p->bracketed && is_keyword(p->target))
		return read_keyword(p, rule, err);
	return is_address(p) ? read_subnet(p, rule, err) : read_name(p, rule, err);
}

int egress_rule_parse(const char *text, struct egress_rule *rule, struct azm_err *err)
{
	char copy[TEXT_MAX + 1];
	struct pieces p = { .whole = text, .target = copy };

	memset(rule, 0, sizeof *rule);
	if (check_bytes(text, err) < 0)
		return -1;
	memcpy(copy, text, strlen(text) + 1);
	if (read_rule(&p, rule, err) < 0) {
		egress_rule_release(rule);
		return -1;
	}
	rule->text = normal_form(rule);
	return 0;
}

void egress_rule_release(struct egress_rule *rule)
{
	free(rule->name);
	free(rule->text);
	memset(rule, 0, sizeof *rule);
}
