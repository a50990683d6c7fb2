// SPDX-License-Identifier: GPL-2.0-or-later
/* netns/egress.c: the broker's thread: accept, keep time, obey; see egress.h. What becomes of a connection is
 * egress_dial.c.
 *
 * Theory of operation
 *
 * One thread, one loop (relay.h). Whoever sends us a connection is checked twice: it has to come from our sandbox's
 * address, and to have been meant for somebody else. The packet filter redirects, and connection tracking remembers
 * where a connection was going (SO_ORIGINAL_DST); one made to our own port has no other destination and would have us
 * dial ourselves, or worse, whatever has that address on the host's side.
 *
 * The socket for the next connection is made before that connection is accepted. When descriptors run out or there are
 * too many connections, clients wait in the backlog until one ends or a moment has passed.
 *
 * Deadlines are rare and coarse: connections that have one are on a list, which is walked every TICK_MS while it is not
 * empty. The main thread leaves its wishes under a lock and writes to an eventfd.
 */
#include "netns/egress.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/netfilter_ipv4.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/str.h"
#include "netns/address_class.h"
#include "netns/egress_internal.h"
#include "netns/thread.h"

enum {
	ACCEPTS = 32,
	PAUSE_MS = 100,
	DELIVER_MS = 2000,
	TICK_MS = 250,
	CONNECTIONS_MOST = 8192,
	REMEMBER_MS = 5000, /* a client asks for a name several times */
};

/* ---- accepting ------------------------------------------------------------------------------------------------ */

static void set_paused(struct broker *broker, bool paused)
{
	(void)relay_rewatch(broker->relay, broker->options.tcp, paused ? 0 : EPOLLIN, &broker->listen_watch);
	broker->paused = paused;
	broker->ended_at = relay_ended(broker->relay);
	broker->resume_at = clock_ms() + PAUSE_MS;
}

static void log_refusal(struct broker *broker, const struct sockaddr_in *destination, const char *why)
{
	struct egress_event event = { .verdict = EGRESS_DENIED,
		.has_address = true,
		.address = address_from_v4(ntohl(destination->sin_addr.s_addr)),
		.port = ntohs(destination->sin_port),
		.why = why };

	egress_log_write(broker->log, &event);
}

static void take_client(struct broker *broker, int client, const struct sockaddr_in *peer)
{
	struct sockaddr_in wanted = { 0 }, own = { 0 };
	socklen_t wanted_size = sizeof wanted, own_size = sizeof own;

	if (peer->sin_family != AF_INET || ntohl(peer->sin_addr.s_addr) != broker->options.client)
		return socket_reset(client);
	if (getsockname(client, (struct sockaddr *)&own, &own_size) < 0)
		return socket_reset(client);
	/* Not tracked, not redirected: not meant for anybody else. */
	if (getsockopt(client, IPPROTO_IP, SO_ORIGINAL_DST, &wanted, &wanted_size) < 0)
		wanted = own;
	if (wanted.sin_addr.s_addr == own.sin_addr.s_addr && wanted.sin_port == own.sin_port) {
		log_refusal(broker, &own, "the broker itself");
		return socket_reset(client);
	}
	connection_begin(broker, client, &wanted);
}

static void listener_ready(struct relay_watch *watch, uint32_t events)
{
	struct broker *broker = (struct broker *)((char *)watch - offsetof(struct broker, listen_watch));
	struct sockaddr_in peer = { 0 };

	(void)events;
	for (int i = 0; i < ACCEPTS && !broker->paused; i++) {
		socklen_t size = sizeof peer;
		if (broker->spare < 0)
			broker->spare = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		if (broker->spare < 0 || broker->count >= broker->most)
			return set_paused(broker, true);
		int client =
			accept4(broker->options.tcp, (struct sockaddr *)&peer, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (client >= 0) {
			take_client(broker, client, &peer);
			continue;
		}
		if (errno == EINTR || errno == ECONNABORTED)
			continue;
		if (errno != EAGAIN)
			set_paused(broker, true);
		return;
	}
}

/* ---- names ---------------------------------------------------------------------------------------------------- */

/* Denied a moment ago? Clients ask for both kinds of address, and again. */
static bool remembers(struct broker *broker, const char *name)
{
	int64_t now = clock_ms();

	for (size_t i = 0; i < BROKER_REMEMBERED; i++)
		if (broker->remembered[i].until > now && strcmp(broker->remembered[i].name, name) == 0)
			return true;
	struct remembered *next = &broker->remembered[broker->next_remembered++ % BROKER_REMEMBERED];
	strncpy(next->name, name, sizeof next->name - 1);
	next->until = now + REMEMBER_MS;
	return false;
}

static bool name_answerable(void *context, const char *name)
{
	struct broker *broker = context;
	struct egress_event event = { .verdict = EGRESS_DENIED, .name = name, .why = "no rule allows this name" };

	if (egress_name_answerable(broker->rules, name))
		return true;
	if (!remembers(broker, name))
		egress_log_write(broker->log, &event);
	return false;
}

static bool find_member(void *context, const char *name, uint32_t *address)
{
	const struct broker_options *options = &((struct broker *)context)->options;

	return options->member_find(options->context, name, address);
}

static bool find_member_name(void *context, uint32_t address, char *name, size_t size)
{
	const struct broker_options *options = &((struct broker *)context)->options;

	return options->member_name(options->context, address, name, size);
}

static struct dns_responder *start_dns(struct broker *broker, struct azm_err *err)
{
	const struct broker_options *options = &broker->options;
	struct dns_config config = { .loop = broker->relay,
		.udp = options->dns_udp,
		.tcp = options->dns_tcp,
		.client = options->client,
		.names = broker->names,
		.context = broker,
		.answerable = name_answerable,
		.member_find = options->member_find ? find_member : NULL,
		.member_name = options->member_name ? find_member_name : NULL };

	return dns_start(&config, err);
}

/* ---- the thread ----------------------------------------------------------------------------------------------- */

static void use_resolver(struct broker *broker, int fd)
{
	struct azm_err ignored;

	if (broker->resolver)
		resolver_free(broker->resolver);
	broker->resolver = resolver_new(broker->relay, fd, &ignored);
}

static void use_rules(struct broker *broker, struct egress_rules *rules)
{
	struct connection *connection = LIST_FIRST(&broker->connections);

	egress_rules_free(broker->rules);
	broker->rules = rules;
	while (connection) {
		struct connection *next = LIST_NEXT(connection, all);
		connection_recheck(connection);
		connection = next;
	}
}

static void wake_ready(struct relay_watch *watch, uint32_t events)
{
	struct broker *broker = (struct broker *)((char *)watch - offsetof(struct broker, wake_watch));
	uint64_t count;

	(void)events;
	(void)!read(broker->wake, &count, sizeof count);
	pthread_mutex_lock(&broker->lock);
	struct egress_rules *rules = steal_ptr(&broker->new_rules);
	int resolver = steal_fd(&broker->new_resolver);
	pthread_mutex_unlock(&broker->lock);
	if (resolver >= 0)
		use_resolver(broker, resolver);
	if (rules)
		use_rules(broker, rules);
}

static void keep_time(struct broker *broker)
{
	struct connection *connection = LIST_FIRST(&broker->timed);
	int64_t now = clock_ms();

	if (broker->resolver && connection)
		resolver_tick(broker->resolver, now);
	/* From the beginning again after each: what one causes may end another. */
	while ((connection = LIST_FIRST(&broker->timed))) {
		while (connection && connection->deadline > now)
			connection = LIST_NEXT(connection, timed);
		if (!connection)
			break;
		connection_timeout(connection);
	}
}

static void free_connections(struct connection_list *list)
{
	struct connection *connection;

	while ((connection = LIST_FIRST(list))) {
		LIST_REMOVE(connection, all);
		free(connection->addresses);
		free(connection->name);
		free(connection->rule);
		free(connection);
	}
}

static int patience(const struct broker *broker)
{
	if (broker->paused)
		return PAUSE_MS;
	return LIST_EMPTY(&broker->timed) ? -1 : TICK_MS;
}

/* Wait for events and serve them. Return: 0, -1 when that is not possible any more. */
static int turn(struct broker *broker, int timeout_ms)
{
	if (relay_turn(broker->relay, timeout_ms) < 0)
		return -1;
	int64_t now = clock_ms();
	if (now >= broker->tick && !LIST_EMPTY(&broker->timed)) {
		keep_time(broker);
		broker->tick = now + TICK_MS;
	}
	free_connections(&broker->over);
	atomic_store(&broker->resolves, broker->resolver && resolver_alive(broker->resolver));
	bool fewer = relay_ended(broker->relay) != broker->ended_at && broker->count < broker->most;
	if (broker->paused && (fewer || now >= broker->resume_at))
		set_paused(broker, false);
	return 0;
}

/* Whether something the sandbox sent is not on its way yet. */
static bool is_delivering(const struct broker *broker)
{
	const struct connection *connection;
	char byte;

	LIST_FOREACH(connection, &broker->connections, all)
	if (connection->state < CONNECTION_JOINED && recv(connection->client, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0)
		return true;
	return relay_delivering(broker->relay, 0);
}

/* The sandbox is gone, and its ends of the connections with it; what it said last may still be here: a command that
 * sends something and exits expects it to arrive. */
static void deliver_rest(struct broker *broker)
{
	int64_t deadline = clock_ms() + DELIVER_MS;
	int result = turn(broker, 0);

	while (result == 0 && is_delivering(broker) && clock_ms() < deadline)
		result = turn(broker, TICK_MS);
}

static void serve(struct broker *broker)
{
	while (!atomic_load(&broker->stopping))
		if (turn(broker, patience(broker)) < 0)
			return;
	deliver_rest(broker);
}

static void *egress_thread(void *argument)
{
	struct broker *broker = argument;

	(void)prctl(PR_SET_NAME, "azm-egress");
	/* Serving with capabilities is worse than not serving. */
	if (thread_drop_capabilities() == 0)
		serve(broker);
	return NULL;
}

/* ---- from outside --------------------------------------------------------------------------------------------- */

/* Two descriptors a connection, and as many again for what else the process does. */
static unsigned connections_most(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur / 4 >= CONNECTIONS_MOST)
		return CONNECTIONS_MOST;
	return limit.rlim_cur / 4 > 8 ? (unsigned)(limit.rlim_cur / 4) : 8;
}

static int make_parts(struct broker *broker, struct azm_err *err)
{
	struct broker_options *options = &broker->options;

	broker->host = address_host_open(err);
	broker->log = broker->host < 0 ? NULL : egress_log_open(options->log_dir, err);
	broker->relay = broker->log ? relay_new(err) : NULL;
	broker->names = broker->relay ? synthetic_new(SYNTHETIC_NAMES, err) : NULL;
	broker->dns = broker->names ? start_dns(broker, err) : NULL;
	if (!broker->dns)
		return -1;
	if (options->resolver >= 0) {
		broker->resolver = resolver_new(broker->relay, steal_fd(&options->resolver), err);
		if (!broker->resolver)
			return -1;
	}
	atomic_store(&broker->resolves, broker->resolver != NULL);
	broker->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (broker->wake < 0 || relay_watch(broker->relay, broker->wake, EPOLLIN, &broker->wake_watch) < 0 ||
		relay_watch(broker->relay, options->tcp, EPOLLIN, &broker->listen_watch) < 0)
		return err_sys(err, "start the egress broker", NULL);
	return 0;
}

struct broker *broker_start(const struct broker_options *options, struct egress_rules *rules, struct azm_err *err)
{
	struct broker *broker = xcalloc(1, sizeof *broker);

	*broker = (struct broker){ .options = *options,
		.rules = rules,
		.host = -1,
		.spare = -1,
		.wake = -1,
		.new_resolver = -1,
		.proxied = options->proxy != NULL,
		.most = connections_most(),
		.listen_watch = { listener_ready },
		.wake_watch = { wake_ready } };
	pthread_mutex_init(&broker->lock, NULL);
	int code = 0;
	if ((options->proxy && egress_proxy_parse(options->proxy, &broker->proxy, err) < 0) ||
		make_parts(broker, err) < 0 || (code = thread_start(&broker->thread, egress_thread, broker)) != 0) {
		if (code)
			err_code(err, code, "start the egress broker", NULL);
		broker_stop(broker);
		return NULL;
	}
	broker->started = true;
	return broker;
}

static void wake(struct broker *broker)
{
	static const uint64_t one = 1;

	(void)!write(broker->wake, &one, sizeof one);
}

void broker_change(struct broker *broker, struct egress_rules *rules, int resolver)
{
	pthread_mutex_lock(&broker->lock);
	egress_rules_free(broker->new_rules);
	broker->new_rules = rules;
	if (resolver >= 0) {
		if (broker->new_resolver >= 0)
			close(broker->new_resolver);
		broker->new_resolver = resolver;
	}
	pthread_mutex_unlock(&broker->lock);
	wake(broker);
}

bool broker_resolves(const struct broker *broker)
{
	return atomic_load(&broker->resolves);
}

void broker_stop(struct broker *broker)
{
	struct connection *connection;

	if (!broker)
		return;
	if (broker->started) {
		atomic_store(&broker->stopping, true);
		wake(broker);
		pthread_join(broker->thread, NULL);
	}
	while ((connection = LIST_FIRST(&broker->connections)))
		connection_abandon(connection);
	dns_stop(broker->dns);
	resolver_free(broker->resolver);
	free_connections(&broker->over);
	relay_free(broker->relay);
	synthetic_free(broker->names);
	egress_log_close(broker->log);
	egress_rules_free(broker->rules);
	egress_rules_free(broker->new_rules);
	int fds[] = { broker->options.tcp, broker->options.dns_udp, broker->options.dns_tcp, broker->options.resolver,
		broker->new_resolver, broker->host, broker->spare, broker->wake };
	for (size_t i = 0; i < sizeof fds / sizeof *fds; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	pthread_mutex_destroy(&broker->lock);
	explicit_bzero(&broker->proxy, sizeof broker->proxy);
	free(broker);
}
