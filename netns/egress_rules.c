// SPDX-License-Identifier: GPL-2.0-or-later
/* netns/egress_rules.c: lists of rules and what they decide, see egress_rules.h.
 *
 * A decision looks at every rule: a refusing one anywhere in the list wins, among the allowing ones the one that opens
 * most. Lists are short, and every lookup costs the sandbox a connection or a question anyway.
 */
#include "netns/egress_rules.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "netns/address_class.h"
#include "netns/egress_rule.h"
#include "netns/host_name.h"

struct egress_rules {
	size_t count;
	struct egress_rule *items;
};

/* ---- lists ---------------------------------------------------------------------------------------------------- */

void egress_rules_free(struct egress_rules *rules)
{
	if (!rules)
		return;
	for (size_t i = 0; i < rules->count; i++)
		egress_rule_release(&rules->items[i]);
	free(rules->items);
	free(rules);
}

size_t egress_rules_count(const struct egress_rules *rules)
{
	return rules->count;
}

const char *egress_rules_text(const struct egress_rules *rules, size_t index)
{
	return rules->items[index].text;
}

char *egress_rules_list(const struct egress_rules *rules)
{
	size_t size = 1;

	if (rules->count == 0)
		return xstrdup("none");
	for (size_t i = 0; i < rules->count; i++)
		size += strlen(rules->items[i].text) + 1;
	char *list = xcalloc(1, size), *end = list;
	for (size_t i = 0; i < rules->count; i++) {
		if (i)
			*end++ = ',';
		end = stpcpy(end, rules->items[i].text);
	}
	return list;
}

static struct egress_rule *find(const struct egress_rules *rules, const char *text)
{
	for (size_t i = 0; i < rules->count; i++)
		if (strcmp(rules->items[i].text, text) == 0)
			return &rules->items[i];
	return NULL;
}

static int add_rule(struct egress_rules *rules, const char *text, struct azm_err *err)
{
	struct egress_rule rule;

	if (egress_rule_parse(text, &rule, err) < 0)
		return -1;
	if (find(rules, rule.text)) {
		egress_rule_release(&rule);
		return 0;
	}
	if (rules->count == EGRESS_RULES_MAX) {
		egress_rule_release(&rule);
		return err_msg(err, EINVAL, "egress rules", NULL, "there are more than %d", EGRESS_RULES_MAX);
	}
	rules->items = xrealloc(rules->items, rules->count + 1, sizeof *rules->items);
	rules->items[rules->count++] = rule;
	return 0;
}

static int remove_rule(struct egress_rules *rules, const char *text, struct azm_err *err)
{
	struct egress_rule rule;

	if (egress_rule_parse(text, &rule, err) < 0)
		return -1;
	struct egress_rule *there = find(rules, rule.text);
	egress_rule_release(&rule);
	if (!there) {
		cleanup_free char *list = egress_rules_list(rules);
		(void)err_msg(err, ENOENT, "egress rule", text, "it is not among the rules");
		return err_hint(err, "they are: %s", list);
	}
	egress_rule_release(there);
	size_t after = rules->count - (size_t)(there + 1 - rules->items);
	memmove(there, there + 1, after * sizeof *there);
	rules->count--;
	return 0;
}

/* Call @each with every rule of a list. */
static int for_list(struct egress_rules *rules, const char *list,
	int (*each)(struct egress_rules *rules, const char *text, struct azm_err *err), struct azm_err *err)
{
	cleanup_free char *copy = xstrdup(list);
	char *rest = copy, *text;

	while ((text = strsep(&rest, ",")))
		if (each(rules, text, err) < 0)
			return -1;
	return 0;
}

static bool is_none(const char *list)
{
	return !list || !*list || strcasecmp(list, "none") == 0;
}

int egress_rules_parse(const char *text, struct egress_rules **rules, struct azm_err *err)
{
	cleanup_egress_rules struct egress_rules *made = xcalloc(1, sizeof *made);

	if (!is_none(text) && for_list(made, text, add_rule, err) < 0)
		return -1;
	*rules = steal_ptr(&made);
	return 0;
}

int egress_rules_edit(const struct egress_rules *old, enum egress_edit edit, const char *list,
	struct egress_rules **rules, struct azm_err *err)
{
	cleanup_egress_rules struct egress_rules *made = xcalloc(1, sizeof *made);

	if (edit == EGRESS_SET)
		return egress_rules_parse(list, rules, err);
	for (size_t i = 0; i < old->count; i++)
		if (add_rule(made, old->items[i].text, err) < 0)
			return -1;
	if (for_list(made, list, edit == EGRESS_ADD ? add_rule : remove_rule, err) < 0)
		return -1;
	*rules = steal_ptr(&made);
	return 0;
}

/* ---- decisions ------------------------------------------------------------------------------------------------ */

static const struct egress_decision no_rule = { .why = "no rule allows it" };

static struct egress_decision refused(const char *why)
{
	return (struct egress_decision){ .why = why };
}

static struct egress_decision refused_by(const struct egress_rule *rule)
{
	return (struct egress_decision){ .rule = rule->text, .why = "a rule refuses it" };
}

static struct egress_decision allowed_by(const struct egress_rule *rule, bool exact)
{
	return (struct egress_decision){ .allowed = true, .exact = exact, .rule = rule->text };
}

static bool is_about_port(const struct egress_rule *rule, uint16_t port)
{
	return rule->port == 0 || rule->port == port;
}

/* @name is normalised. */
static bool is_about_name(const struct egress_rule *rule, const char *name)
{
	switch (rule->kind) {
	case EGRESS_ALL:
		return true;
	case EGRESS_NAME:
		return strcmp(rule->name, name) == 0;
	case EGRESS_BELOW:
		return host_name_below(name, rule->name);
	default:
		return false;
	}
}

static bool is_about_address(const struct egress_rule *rule, const struct in6_addr *address)
{
	if (rule->kind == EGRESS_ALL)
		return true;
	/* ::/0 is not about IPv4. */
	return rule->kind == EGRESS_SUBNET && IN6_IS_ADDR_V4MAPPED(&rule->prefix) == IN6_IS_ADDR_V4MAPPED(address) &&
	       address_in(address, &rule->prefix, rule->length);
}

/* 10.0.0.0/8 names private addresses, 0.0.0.0/0 does not. */
static bool names_class(const struct egress_rule *rule, const struct address_class *class)
{
	return rule->kind == EGRESS_SUBNET && address_classify_subnet(&rule->prefix, rule->length) == class;
}

static const char *normalise(const char *text, char name[static HOST_NAME_SIZE])
{
	return host_name_normalise(text, strlen(text), name);
}

static bool is_host_name(const char *name)
{
	return strcmp(name, EGRESS_HOST_NAME) == 0 || strcmp(name, EGRESS_HOST_ALIAS) == 0;
}

static struct egress_decision decide_host_service(const struct egress_rules *rules, uint16_t port)
{
	struct egress_decision decision = no_rule;

	for (size_t i = 0; i < rules->count; i++) {
		const struct egress_rule *rule = &rules->items[i];
		if (rule->kind != EGRESS_HOST_SERVICE || !is_about_port(rule, port))
			continue;
		if (rule->deny)
			return refused_by(rule);
		decision = allowed_by(rule, true);
		decision.host_service = true;
	}
	return decision;
}

struct egress_decision egress_decide_name(const struct egress_rules *rules, const char *name, uint16_t port)
{
	struct egress_decision decision = no_rule;
	char normal[HOST_NAME_SIZE];
	const char *wrong = normalise(name, normal);

	if (!wrong && is_host_name(normal))
		return decide_host_service(rules, port);
	if (!wrong)
		wrong = egress_name_reserved(normal);
	if (wrong)
		return refused(wrong);
	for (size_t i = 0; i < rules->count; i++) {
		const struct egress_rule *rule = &rules->items[i];
		if (!is_about_port(rule, port) || !is_about_name(rule, normal))
			continue;
		if (rule->deny)
			return refused_by(rule);
		if (!decision.exact)
			decision = allowed_by(rule, rule->kind == EGRESS_NAME);
	}
	return decision;
}

struct egress_decision egress_decide_address(
	const struct egress_rules *rules, const struct in6_addr *address, uint16_t port)
{
	const struct address_class *class = address_classify(address);
	struct egress_decision decision = no_rule;

	if (class && class->kind == ADDRESS_NEVER)
		return refused(class->what);
	for (size_t i = 0; i < rules->count; i++) {
		const struct egress_rule *rule = &rules->items[i];
		if (!is_about_port(rule, port) || !is_about_address(rule, address))
			continue;
		if (rule->deny)
			return refused_by(rule);
		bool exact = class ? names_class(rule, class) : rule->kind == EGRESS_SUBNET;
		if (class && !exact)
			decision = decision.allowed ? decision : refused(class->what);
		else if (!decision.exact)
			decision = allowed_by(rule, exact);
	}
	return decision;
}

/* The rules about addresses are asked as if the sandbox had named it: what they refuse is refused, what they open is
 * open, and on what they leave undecided the name decides. */
struct egress_decision egress_decide_resolved(const struct egress_rules *rules, const struct egress_decision *name,
	const struct in6_addr *address, uint16_t port)
{
	const struct address_class *class = address_classify(address);
	struct egress_decision by_address = egress_decide_address(rules, address, port);
	bool denied = !by_address.allowed && by_address.rule;

	if (denied || (class && class->kind == ADDRESS_NEVER) || by_address.exact)
		return by_address;
	return !class || name->exact ? *name : refused(class->what);
}

static bool denies_whole_name(const struct egress_rules *rules, const char *name)
{
	for (size_t i = 0; i < rules->count; i++)
		if (rules->items[i].deny && rules->items[i].port == 0 && is_about_name(&rules->items[i], name))
			return true;
	return false;
}

bool egress_name_answerable(const struct egress_rules *rules, const char *name)
{
	char normal[HOST_NAME_SIZE];

	if (normalise(name, normal))
		return false;
	bool host = is_host_name(normal);
	if (!host && (egress_name_reserved(normal) || denies_whole_name(rules, normal)))
		return false;
	for (size_t i = 0; i < rules->count; i++) {
		const struct egress_rule *rule = &rules->items[i];
		if (rule->deny || !(host ? rule->kind == EGRESS_HOST_SERVICE : is_about_name(rule, normal)))
			continue;
		/* Refused ports are single ones: they leave others of a rule for all ports. */
		if (rule->port == 0 || egress_decide_name(rules, normal, rule->port).allowed)
			return true;
	}
	return false;
}

bool egress_name_denied(const struct egress_rules *rules, const char *name, uint16_t port)
{
	char normal[HOST_NAME_SIZE];

	if (normalise(name, normal))
		return true;
	for (size_t i = 0; i < rules->count; i++) {
		const struct egress_rule *rule = &rules->items[i];
		if (rule->deny && is_about_port(rule, port) && is_about_name(rule, normal))
			return true;
	}
	return false;
}
