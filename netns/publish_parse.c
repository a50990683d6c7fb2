// SPDX-License-Identifier: GPL-2.0-or-later
/* netns/publish_parse.c: the -p argument, see publish_parse() in netns.h.
 *
 *     PORT                        a free port of the host
 *     [HOST]:PORT                 HOST empty or 0: a free one
 *     IP:[HOST]:PORT              IPv6 in brackets
 *     unix:PATH:PORT
 *
 * HOST and PORT may be ranges A-B; a single HOST in front of a range is its first port. "/tcp" may follow. Everything
 * is split in a bounded copy, so no input is walked more than once and none can grow.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "netns/netns.h"

enum { MAX_PORT = 65535, MAX_TEXT = 255 };

struct span {
	unsigned first, last;
};

/* One -p argument, split; the strings point into a private copy. */
struct pieces {
	const char *text; /* the whole, for messages */
	const char *ip, *host, *port;
};

static unsigned span_length(const struct span *span)
{
	return span->last - span->first + 1;
}

/* "A" or "A-B", 1..65535, A <= B. @what names the piece in messages. */
static int parse_span(const char *text, const char *what, struct span *span, const char *whole, struct azm_err *err)
{
	char first[8] = "";
	const char *dash = strchr(text, '-');
	size_t length = dash ? (size_t)(dash - text) : strlen(text);
	uint64_t low, high;

	if (length < sizeof first)
		snprintf(first, sizeof first, "%.*s", (int)length, text);
	if (!str_to_u64(first, MAX_PORT, &low) || !str_to_u64(dash ? dash + 1 : first, MAX_PORT, &high))
		return err_msg(err, EINVAL, "publish", whole, "%s port \"%s\" is not a number from 1 to %d", what, text,
			MAX_PORT);
	if (low == 0 || high < low)
		return err_msg(err, EINVAL, "publish", whole, "%s port%s \"%s\" %s", what, dash ? "s" : "", text,
			low == 0 ? "cannot be 0" : "run backwards");
	span->first = (unsigned)low;
	span->last = (unsigned)high;
	return 0;
}

static struct publish_rule *append_rules(struct publish_rule **rules, size_t *count, size_t more)
{
	*rules = xrealloc(*rules, *count + more, sizeof **rules);
	struct publish_rule *first = *rules + *count;
	memset(first, 0, more * sizeof *first);
	*count += more;
	return first;
}

/* unix:PATH:PORT, after the prefix */
static int parse_unix(
	const char *text, const char *whole, struct publish_rule **rules, size_t *count, struct azm_err *err)
{
	const char *colon = strrchr(text, ':');
	struct span port = { 0 };

	if (!colon || colon == text)
		return err_msg(err, EINVAL, "publish", whole, "expected unix:PATH:PORT");
	if (strlen(text) >= PATH_MAX)
		return err_msg(
			err, ENAMETOOLONG, "publish", "a UNIX socket", "a path has at most %d bytes", PATH_MAX - 1);
	for (const char *c = text; c < colon; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			return err_msg(err, EINVAL, "publish", whole, "control characters in a path");
	if (parse_span(colon + 1, "sandbox", &port, whole, err) < 0)
		return -1;
	if (span_length(&port) != 1)
		return err_msg(err, EINVAL, "publish", whole, "one socket cannot stand for a range of ports");

	struct publish_rule *rule = append_rules(rules, count, 1);
	rule->family = AF_UNIX;
	rule->port = (uint16_t)port.first;
	rule->unix_path = xasprintf("%.*s", (int)(colon - text), text);
	return 0;
}

bool publish_rule_is_local(const struct publish_rule *rule)
{
	if (rule->family == AF_INET)
		return ntohl(rule->address.v4.s_addr) >> 24 == IN_LOOPBACKNET;
	return rule->family != AF_INET6 || IN6_IS_ADDR_LOOPBACK(&rule->address.v6);
}

/* Set family and address from text; no address is both loopbacks. */
static int parse_address(
	const char *ip, bool allow_non_loopback, const char *whole, struct publish_rule *rule, struct azm_err *err)
{
	char bare[INET6_ADDRSTRLEN] = "";
	size_t length = strlen(ip);

	rule->family = AF_UNSPEC;
	if (length == 0 || !strcmp(ip, "localhost"))
		return 0;
	/* The brackets are optional where nothing can be mistaken: in the environment variable. */
	if (ip[0] == '[' && ip[length - 1] == ']') {
		ip++;
		length -= 2;
	}
	if (length < sizeof bare)
		snprintf(bare, sizeof bare, "%.*s", (int)length, ip);
	if (inet_pton(AF_INET, bare, &rule->address.v4) == 1)
		rule->family = AF_INET;
	else if (inet_pton(AF_INET6, bare, &rule->address.v6) == 1)
		rule->family = AF_INET6;
	else
		return err_msg(err, EINVAL, "publish", whole, "\"%s\" is not an IP address", ip);

	if (rule->family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&rule->address.v6))
		return err_msg(err, EINVAL, "publish", whole, "write an IPv4 address as IPv4");
	if (!publish_rule_is_local(rule) && !allow_non_loopback) {
		err_msg(err, EPERM, "publish", whole, "%s is not a loopback address: other machines could connect",
			bare);
		return err_hint(err, "add --allow-non-loopback if that is what you want");
	}
	return 0;
}

/* Take "/tcp" off the end; anything else after a slash is refused with its reason. */
static int strip_protocol(char *copy, const char *whole, struct azm_err *err)
{
	char *slash = strchr(copy, '/');

	if (!slash)
		return 0;
	*slash++ = '\0';
	if (!strcasecmp(slash, "tcp"))
		return 0;
	if (!strcasecmp(slash, "udp"))
		return err_msg(err, EPROTONOSUPPORT, "publish", whole,
			"only TCP is published: a UDP datagram has no connection whose owner could be checked");
	return err_msg(err, EPROTONOSUPPORT, "publish", whole, "only TCP is published, not \"%s\"", slash);
}

/* Cut @copy at its colons, from the right; an IPv6 address keeps its own inside the brackets. */
static int split(char *copy, struct pieces *pieces, struct azm_err *err)
{
	char *rest = copy;

	if (copy[0] == '[') {
		char *close = strchr(copy, ']');
		if (!close || close[1] != ':')
			return err_msg(err, EINVAL, "publish", pieces->text, "expected [IPv6]:HOST:PORT");
		*close = '\0';
		pieces->ip = copy + 1;
		rest = close + 2;
	}

	char *port = strrchr(rest, ':');
	pieces->port = port ? port + 1 : rest;
	if (!port) {
		if (pieces->ip)
			return err_msg(
				err, EINVAL, "publish", pieces->text, "expected [IPv6]:HOST:PORT (HOST may be empty)");
		return 0;
	}
	*port = '\0';
	char *host = strrchr(rest, ':');
	pieces->host = host ? host + 1 : rest;
	if (!host)
		return 0;
	*host = '\0';
	if (pieces->ip || strchr(rest, ':'))
		return err_msg(err, EINVAL, "publish", pieces->text,
			"too many colons: expected [IP:][HOST]:PORT, an IPv6 address in brackets");
	if (rest[0] == '\0')
		return err_msg(
			err, EINVAL, "publish", pieces->text, "the address in front of the first colon is empty");
	pieces->ip = rest;
	return 0;
}

/* The host's ports for @port; first = 0 means free ones. */
static int parse_host(const struct pieces *pieces, const struct span *port, struct span *host, struct azm_err *err)
{
	const char *text = pieces->host ? pieces->host : "";
	struct in_addr ignored;

	*host = (struct span){ 0 };
	if (text[0] == '\0' || !strcmp(text, "0"))
		return 0;
	if (!pieces->ip && inet_pton(AF_INET, text, &ignored) == 1)
		return err_msg(err, EINVAL, "publish", pieces->text,
			"no host port after the address: write %s:HOST:PORT, or %s::PORT for a free one", text, text);
	if (parse_span(text, "host", host, pieces->text, err) < 0)
		return -1;
	if (!strchr(text, '-'))
		host->last = host->first + span_length(port) - 1;
	if (span_length(host) != span_length(port))
		return err_msg(err, EINVAL, "publish", pieces->text, "%u host ports for %u ports of the sandbox",
			span_length(host), span_length(port));
	if (host->last > MAX_PORT)
		return err_msg(err, EINVAL, "publish", pieces->text, "the host's ports would end at %u, above %d",
			host->last, MAX_PORT);
	return 0;
}

int publish_parse(const char *text, const char *default_ip, bool allow_non_loopback, struct publish_rule **rules,
	size_t *count, struct azm_err *err)
{
	char copy[MAX_TEXT + 1];
	struct pieces pieces = { .text = text, .port = "" };
	struct publish_rule model = { 0 };
	struct span port = { 0 }, host = { 0 };

	if (str_starts(text, "unix:"))
		return parse_unix(text + strlen("unix:"), text, rules, count, err);
	if (strlen(text) > MAX_TEXT)
		return err_msg(err, EINVAL, "publish", "ports", "an argument longer than %d bytes", MAX_TEXT);

	memcpy(copy, text, strlen(text) + 1);
	if (strip_protocol(copy, text, err) < 0 || split(copy, &pieces, err) < 0)
		return -1;
	if (parse_span(pieces.port, "sandbox", &port, text, err) < 0 || parse_host(&pieces, &port, &host, err) < 0)
		return -1;
	if (parse_address(pieces.ip    ? pieces.ip
			  : default_ip ? default_ip
				       : "",
		    allow_non_loopback, text, &model, err) < 0)
		return -1;

	unsigned length = span_length(&port);
	struct publish_rule *rule = append_rules(rules, count, length);
	for (unsigned i = 0; i < length; i++) {
		rule[i] = model;
		rule[i].port = (uint16_t)(port.first + i);
		rule[i].host_port = (uint16_t)(host.first ? host.first + i : 0);
		rule[i].free_port = !host.first;
	}
	return 0;
}

char *publish_rule_text(const struct publish_rule *rule)
{
	char address[INET6_ADDRSTRLEN] = "", host[8] = "";

	if (rule->family == AF_UNIX)
		return xasprintf("unix:%s:%u", rule->unix_path, rule->port);
	if (!rule->free_port)
		snprintf(host, sizeof host, "%u", rule->host_port);
	if (rule->family == AF_UNSPEC)
		return xasprintf("localhost:%s:%u", host, rule->port);
	inet_ntop(rule->family, &rule->address, address, sizeof address);
	return xasprintf(rule->family == AF_INET ? "%s:%s:%u" : "[%s]:%s:%u", address, host, rule->port);
}

void publish_rules_free(struct publish_rule *rules, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free(rules[i].unix_path);
	free(rules);
}
