// SPDX-License-Identifier: GPL-2.0-or-later
/* tests/fuzz/fuzz_publish_parse.c: any text as -p: no crash, no leak, and what is accepted keeps the promises that
 * publish_bind() relies on, and is the same again when it is written and read (config.json). The first line is the
 * argument, the second, if any, the default address. */
#include <arpa/inet.h>

#include "netns/netns.h"
#include "tests/fuzz/fuzz.h"

static void check_text(const struct publish_rule *rule)
{
	struct publish_rule *again = NULL;
	struct azm_err err = { 0 };
	size_t count = 0;
	char *text = publish_rule_text(rule);

	must(publish_parse(text, "0.0.0.0", false, &again, &count, &err) == 0 && count == 1);
	must(again->family == rule->family && again->port == rule->port && again->host_port == rule->host_port);
	must(again->free_port == rule->free_port);
	must(rule->family != AF_INET || again->address.v4.s_addr == rule->address.v4.s_addr);
	must(rule->family != AF_INET6 || IN6_ARE_ADDR_EQUAL(&again->address.v6, &rule->address.v6));
	must(rule->family != AF_UNIX || !strcmp(again->unix_path, rule->unix_path));
	publish_rules_free(again, count);
	free(text);
}

static void check_rule(const struct publish_rule *rule)
{
	bool loopback = rule->family == AF_UNSPEC || rule->family == AF_UNIX ||
			(rule->family == AF_INET && ntohl(rule->address.v4.s_addr) >> 24 == 127) ||
			(rule->family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&rule->address.v6));

	must(loopback);
	must(rule->port != 0);
	must((rule->family == AF_UNIX) == (rule->unix_path != NULL));
	must(publish_rule_is_local(rule));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = fuzz_text(data, size);
	struct publish_rule *rules = NULL;
	struct azm_err err = { 0 };
	size_t count = 0;

	char *newline = strchr(text, '\n');
	if (newline)
		*newline++ = '\0';
	int result = publish_parse(text, newline, false, &rules, &count, &err);
	must((result < 0) == (err.code != 0));
	must((result < 0) == (count == 0));
	for (size_t i = 0; i < count; i++)
		check_rule(&rules[i]);
	if (count)
		check_text(&rules[count - 1]);
	publish_rules_free(rules, count);
	free(text);
	return 0;
}
