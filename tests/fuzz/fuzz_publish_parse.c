// SPDX-License-Identifier: GPL-2.0-or-later
/* tests/fuzz/fuzz_publish_parse.c: any text as -p: no crash, no leak, and what is accepted keeps the promises that
 * publish_listen() relies on. The first line is the argument, the second, if any, the default address. */
#include <arpa/inet.h>

#include "netns/netns.h"
#include "tests/fuzz/fuzz.h"

static void check_rule(const struct publish_rule *rule)
{
	bool loopback = rule->family == AF_UNSPEC || rule->family == AF_UNIX ||
			(rule->family == AF_INET && ntohl(rule->address.v4.s_addr) >> 24 == 127) ||
			(rule->family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&rule->address.v6));

	must(loopback);
	must(rule->port != 0);
	must((rule->family == AF_UNIX) == (rule->unix_path != NULL));
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
	publish_rules_free(rules, count);
	free(text);
	return 0;
}
