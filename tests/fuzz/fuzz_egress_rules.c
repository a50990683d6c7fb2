// SPDX-License-Identifier: GPL-2.0-or-later
/* tests/fuzz/fuzz_egress_rules.c: any text as egress rules, any name, any address: no crash, no leak, a normal form
 * that stays the same, and no decision that opens what must stay closed.
 *
 * The input: rules, 0xff, a name, 0xff, a port and an address in binary. */
#include "base/cleanup.h"
#include "netns/address_class.h"
#include "netns/egress_rules.h"
#include "netns/host_name.h"
#include "tests/fuzz/fuzz.h"

static void check_list(const struct egress_rules *rules)
{
	cleanup_free char *list = egress_rules_list(rules);
	cleanup_egress_rules struct egress_rules *again = NULL, *none = NULL;
	struct azm_err err = { 0 };

	must(egress_rules_parse(list, &again, &err) == 0);
	cleanup_free char *list_again = egress_rules_list(again);
	must(strcmp(list, list_again) == 0);
	if (egress_rules_count(rules) == 0)
		return;
	must(egress_rules_edit(rules, EGRESS_REMOVE, list, &none, &err) == 0);
	must(egress_rules_count(none) == 0);
}

static void check_name(const struct egress_rules *rules, const char *name, uint16_t port)
{
	struct egress_decision decision = egress_decide_name(rules, name, port);
	char normal[HOST_NAME_SIZE];

	must(decision.allowed == (decision.why == NULL));
	must(!decision.allowed || decision.rule);
	must(!decision.allowed || egress_rules_count(rules) > 0);
	must(!decision.allowed || egress_name_answerable(rules, name));
	must(!decision.allowed || decision.host_service || !egress_name_denied(rules, name, port));
	must(!decision.allowed || host_name_normalise(name, strlen(name), normal) == NULL);
}

static void check_address(
	const struct egress_rules *rules, const char *name, const struct in6_addr *address, uint16_t port)
{
	const struct address_class *class = address_classify(address);
	struct egress_decision by_name = egress_decide_name(rules, name, port);
	struct egress_decision decision = egress_decide_address(rules, address, port);

	must(decision.allowed == (decision.why == NULL));
	must(!decision.allowed || egress_rules_count(rules) > 0);
	must(!decision.allowed || !class || (class->kind == ADDRESS_PRIVATE && decision.exact));
	if (!by_name.allowed || by_name.host_service)
		return;
	struct egress_decision resolved = egress_decide_resolved(rules, &by_name, address, port);
	must(resolved.allowed == (resolved.why == NULL));
	must(!resolved.allowed || !class || (class->kind == ADDRESS_PRIVATE && resolved.exact));
}

/* NOLINTBEGIN(clang-analyzer-unix.Malloc): the analyzer does not know cleanup_free */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	cleanup_free char *text = fuzz_piece(&data, &size), *name = fuzz_piece(&data, &size);
	cleanup_egress_rules struct egress_rules *rules = NULL;
	struct in6_addr address = { 0 };
	struct azm_err err = { 0 };
	uint16_t port = 443;

	int result = egress_rules_parse(text, &rules, &err);
	must((result < 0) == (err.code != 0));
	must((result < 0) == (rules == NULL));
	if (!rules)
		return 0;
	if (size >= sizeof port)
		memcpy(&port, data, sizeof port);
	if (size >= sizeof port + sizeof address)
		memcpy(&address, data + sizeof port, sizeof address);
	check_list(rules);
	check_name(rules, name, port);
	check_address(rules, name, &address, port);
	return 0;
}
/* NOLINTEND(clang-analyzer-unix.Malloc) */
