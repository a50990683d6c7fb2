// SPDX-License-Identifier: GPL-2.0-or-later
/* egress_service.c: see egress_service.h */
#include "egress_service.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "netns/address_class.h"
#include "netns/egress_proxy.h"
#include "netns/resolver.h"
#include "supervisor.h"

static bool is_named_network(const struct config *config)
{
	return !network_is_builtin(config->network);
}

static bool is_broker(const struct config *config)
{
	return strcmp(config->egress_engine, "broker") == 0;
}

static bool has_rules(const struct config *config)
{
	return *config->egress && strcmp(config->egress, "none") != 0;
}

bool egress_wanted(const struct config *config)
{
	return is_broker(config) && (has_rules(config) || is_named_network(config));
}

/* ---- before the start ------------------------------------------------------------------------------------------ */

/* A name server of the user's own: UDP leads nowhere, so it has to be reached over TCP, and for that a rule is needed.
 */
static int check_name_server(const struct egress_rules *rules, const char *text, struct azm_err *err)
{
	struct in_addr v4;

	if (inet_pton(AF_INET, text, &v4) != 1)
		return err_msg(err, EINVAL, "use --dns", text, "it is not an IPv4 address");
	struct in6_addr address = address_from_v4(ntohl(v4.s_addr));
	if (egress_decide_address(rules, &address, 53).allowed)
		return 0;
	err_msg(err, EINVAL, "use --dns", text, "no egress rule lets the sandbox reach it");
	return err_hint(err,
		"leave it out: names that --egress allows are answered without it; or add --egress %s:53 (it is asked "
		"over TCP)",
		text);
}

int egress_check(const struct config *config, struct azm_err *err)
{
	cleanup_egress_rules struct egress_rules *rules = NULL;
	struct egress_proxy proxy;

	if (egress_rules_parse(config->egress, &rules, err) < 0)
		return -1;
	if (config->egress_proxy && egress_proxy_parse(config->egress_proxy, &proxy, err) < 0)
		return -1;
	if (strcmp(config->network, "none") == 0 && has_rules(config)) {
		err_msg(err, EINVAL, "use --egress", NULL, "--network none has no way out");
		return err_hint(err, "leave --network out: `private`, the default, reaches what --egress allows and "
				     "nothing else");
	}
	for (size_t i = 0; is_broker(config) && i < config->dns.count; i++)
		if (check_name_server(rules, config->dns.items[i], err) < 0)
			return -1;
	return 0;
}

int egress_prepare(struct supervisor *s, struct azm_err *err)
{
	struct egress_service *service = &s->egress;

	if (egress_rules_parse(s->config->egress, &service->rules, err) < 0)
		return -1;
	if (!is_broker(s->config) || !has_rules(s->config))
		return 0;
	service->resolver = resolver_start(err);
	return service->resolver < 0 ? -1 : 0;
}

/* ---- serving --------------------------------------------------------------------------------------------------- */

static bool find_member(void *context, const char *name, uint32_t *address)
{
	return network_name_find(context, name, address);
}

static bool find_member_name(void *context, uint32_t address, char *name, size_t size)
{
	return network_address_find(context, address, name, size);
}

static void close_fds(const int *fds, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

/* The sockets of the broker, in the network's namespace, and what the packet filter is to send there. */
static int listen_inside(
	struct supervisor *s, struct broker_options *options, struct network_service *ports, struct azm_err *err)
{
	options->tcp = network_listen(&s->network, SOCK_STREAM, &ports->tcp, err);
	options->dns_udp = options->tcp < 0 ? -1 : network_listen(&s->network, SOCK_DGRAM, &ports->dns_udp, err);
	options->dns_tcp = options->dns_udp < 0 ? -1 : network_listen(&s->network, SOCK_STREAM, &ports->dns_tcp, err);
	if (options->dns_tcp >= 0)
		return 0;
	const int fds[] = { options->tcp, options->dns_udp };
	close_fds(fds, 2);
	return -1;
}

/* A copy of the rules for the broker's thread. */
static struct egress_rules *copy_rules(const struct egress_rules *rules, struct azm_err *err)
{
	cleanup_free char *text = egress_rules_list(rules);
	struct egress_rules *copy;

	return egress_rules_parse(text, &copy, err) < 0 ? NULL : copy;
}

/* Without rules the broker answers names only: the packet filter refuses connections at once. */
static int serve(struct supervisor *s, const struct egress_rules *rules, struct azm_err *err)
{
	struct network_service service = s->egress.ports;

	if (!egress_rules_count(rules))
		service.tcp = 0;
	return network_serve(&s->network, &service, err);
}

/* The thread first, then the way to it: what comes before that is refused by the kernel. */
static int start_broker(struct supervisor *s, const struct egress_rules *rules, int *resolver, struct azm_err *err)
{
	struct network *network = &s->network;
	bool members = is_named_network(s->config);
	struct broker_options options = { .client = network->address,
		.subnet = network->subnet,
		.prefix = network->prefix,
		.log_dir = s->dir,
		.resolver = -1,
		.proxy = s->config->egress_proxy,
		.member_find = members ? find_member : NULL,
		.member_name = members ? find_member_name : NULL,
		.context = network };
	struct network_service *ports = &s->egress.ports;
	struct egress_rules *own = copy_rules(rules, err);

	if (!own || listen_inside(s, &options, ports, err) < 0) {
		egress_rules_free(own);
		return -1;
	}
	options.tcp_port = ports->tcp;
	options.resolver = steal_fd(resolver);
	s->egress.broker = broker_start(&options, own, err);
	if (!s->egress.broker)
		return -1;
	if (serve(s, rules, err) == 0 && network_route(network, s->netns, err) == 0)
		return 0;
	broker_stop(steal_ptr(&s->egress.broker));
	return -1;
}

int egress_begin(struct supervisor *s, struct azm_err *err)
{
	if (!egress_wanted(s->config))
		return 0;
	if (start_broker(s, s->egress.rules, &s->egress.resolver, err) < 0)
		return err_wrap(err, "start egress", NULL);
	return 0;
}

void egress_end(struct supervisor *s)
{
	broker_stop(steal_ptr(&s->egress.broker));
	egress_rules_free(steal_ptr(&s->egress.rules));
	if (s->egress.resolver >= 0)
		close(steal_fd(&s->egress.resolver));
}

/* ---- changing -------------------------------------------------------------------------------------------------- */

int egress_save(int dir, const struct egress_rules *rules, struct azm_err *err)
{
	cleanup_config struct config config;

	config_init(&config);
	if (config_load(&config, dir, err) < 0)
		return -1;
	free(config.egress);
	config.egress = egress_rules_list(rules);
	return config_save(&config, dir, err);
}

static int save(struct supervisor *s, const struct egress_rules *rules, struct azm_err *err)
{
	if (egress_save(s->dir, rules, err) < 0)
		return -1;
	free(s->status.egress);
	s->status.egress = egress_rules_list(rules);
	return status_save(s->config, &s->status, s->dir, err);
}

static int apply(struct supervisor *s, const struct egress_rules *rules, int *resolver, struct azm_err *err)
{
	struct egress_rules *own;
	int none = -1;

	if (!s->egress.broker)
		return egress_rules_count(rules) ? start_broker(s, rules, resolver ? resolver : &none, err) : 0;
	own = copy_rules(rules, err);
	if (!own)
		return -1;
	broker_change(s->egress.broker, own, resolver ? steal_fd(resolver) : -1);
	return serve(s, rules, err);
}

static const char *why_fixed(const struct supervisor *s)
{
	if (!is_broker(s->config))
		return "it was started with --egress-engine pasta, which knows no rules";
	if (s->record.internal)
		return "its network was created with --internal";
	return strcmp(s->config->network, "none") == 0 ? "it was started with --network none, which has no way out"
						       : NULL;
}

static bool needs_resolver(const struct supervisor *s, const struct egress_rules *rules)
{
	return egress_rules_count(rules) && !(s->egress.broker && broker_resolves(s->egress.broker));
}

int egress_edit_parse(const char *word, enum egress_edit *edit, struct azm_err *err)
{
	static const char *const words[] = { [EGRESS_SET] = "set", [EGRESS_ADD] = "add", [EGRESS_REMOVE] = "rm" };

	for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
		if (strcmp(word, words[i]) == 0) {
			*edit = (enum egress_edit)i;
			return 0;
		}
	}
	return err_msg(err, EINVAL, "change egress", NULL, "no such request");
}

int egress_request(struct supervisor *s, const json_t *request, int *resolver, struct azm_err *err)
{
	const char *word = json_string_value(json_object_get(request, "edit"));
	const char *list = json_string_value(json_object_get(request, "rules"));
	cleanup_egress_rules struct egress_rules *rules = NULL;
	enum egress_edit edit = EGRESS_SET;

	if (!word || !list)
		return err_msg(err, EINVAL, "change egress", NULL, "no such request");
	if (egress_edit_parse(word, &edit, err) < 0)
		return -1;
	if (why_fixed(s))
		return err_msg(err, ENOTSUP, "change egress", NULL, "%s", why_fixed(s));
	if (egress_rules_edit(s->egress.rules, edit, list, &rules, err) < 0)
		return -1;
	if (!resolver && needs_resolver(s, rules))
		return EGRESS_NEEDS_RESOLVER;
	if (apply(s, rules, resolver, err) < 0 || save(s, rules, err) < 0)
		return -1;
	egress_rules_free(s->egress.rules);
	s->egress.rules = steal_ptr(&rules);
	return 0;
}
