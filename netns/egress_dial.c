// SPDX-License-Identifier: GPL-2.0-or-later
/* netns/egress_dial.c: one connection of the sandbox, from its destination to the relay.
 *
 * Theory of operation
 *
 *     destination -> name (synthetic address) or address -> rules -> RESOLVING -> every address checked -> DIALLING
 *                 -> ASKING (a site's proxy, if there is one) -> JOINED
 *
 * Rules are asked anew at each step, so a change counts for connections that are on their way. The check and the
 * connect() take the same bytes of an address: what a name resolves to a moment later does not matter.
 *
 * A refused connection is reset: the sandbox's program learns it at once. It has seen its connect() succeed, because
 * the packet filter sends it to us before anybody knows where it will lead.
 *
 * Whatever ends a connection before it is joined goes through finish(), which only unlinks it: events of the same batch
 * may still point to it, so the loop frees it later (broker.over).
 *
 * With a proxy, names are the proxy's to resolve, so their addresses are its business, too; a host on a site that needs
 * one often cannot resolve them at all. host:PORT never goes through it.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/str.h"
#include "netns/address_class.h"
#include "netns/egress_internal.h"

enum {
	DIAL_MS = 20000,
	DIAL_NEXT_MS = 4000, /* while there are other addresses to try */
	ASK_MS = 20000,
};

/* ---- ends ----------------------------------------------------------------------------------------------------- */

void connection_log(const struct connection *connection, enum egress_verdict verdict, const char *why)
{
	struct egress_event event = { .verdict = verdict,
		.name = connection->name,
		.has_address = !IN6_IS_ADDR_UNSPECIFIED(&connection->destination),
		.address = connection->destination,
		.port = connection->port,
		.rule = connection->rule,
		.why = why };

	egress_log_write(connection->broker->log, &event);
}

void connection_expect(struct connection *connection, int64_t ms)
{
	if (connection->deadline && !ms)
		LIST_REMOVE(connection, timed);
	if (!connection->deadline && ms)
		LIST_INSERT_HEAD(&connection->broker->timed, connection, timed);
	connection->deadline = ms ? clock_ms() + ms : 0;
}

static void drop_upstream(struct connection *connection)
{
	if (connection->upstream < 0)
		return;
	relay_unwatch(connection->broker->relay, connection->upstream);
	close(steal_fd(&connection->upstream));
}

/* Off the lists of the living; the sockets are gone already or the relay's. */
static void unlink_connection(struct connection *connection)
{
	struct broker *broker = connection->broker;

	connection_expect(connection, 0);
	connection->state = CONNECTION_OVER;
	LIST_REMOVE(connection, all);
	LIST_INSERT_HEAD(&broker->over, connection, all);
	broker->count--;
}

static void finish(struct connection *connection)
{
	if (connection->state == CONNECTION_RESOLVING)
		resolver_forget(&connection->waiter);
	drop_upstream(connection);
	relay_unwatch(connection->broker->relay, connection->client);
	socket_reset(steal_fd(&connection->client));
	unlink_connection(connection);
}

static void fail(struct connection *connection, const char *why)
{
	connection_log(connection, EGRESS_FAILED, why);
	finish(connection);
}

static void deny(struct connection *connection, const char *why)
{
	connection_log(connection, EGRESS_DENIED, why);
	finish(connection);
}

void connection_abandon(struct connection *connection)
{
	if (connection->state == CONNECTION_JOINED)
		relay_break(&connection->guard);
	else if (connection->state != CONNECTION_OVER)
		finish(connection);
}

static void set_rule(struct connection *connection, const struct egress_decision *decision)
{
	free(connection->rule);
	connection->rule = decision->rule ? xstrdup(decision->rule) : NULL;
}

/* ---- joining -------------------------------------------------------------------------------------------------- */

static void pair_ended(struct relay_guard *guard, uint64_t sent, uint64_t received)
{
	struct connection *connection = connection_of(guard);
	struct egress_event event = { .verdict = EGRESS_CLOSED,
		.name = connection->name,
		.has_address = !IN6_IS_ADDR_UNSPECIFIED(&connection->destination),
		.address = connection->destination,
		.port = connection->port,
		.rule = connection->rule,
		.sent = sent,
		.received = received };

	egress_log_write(connection->broker->log, &event);
	unlink_connection(connection);
}

static void join(struct connection *connection)
{
	struct relay *relay = connection->broker->relay;

	relay_unwatch(relay, connection->client);
	relay_unwatch(relay, connection->upstream);
	connection_expect(connection, 0);
	free(steal_ptr(&connection->addresses));
	connection->state = CONNECTION_JOINED;
	connection->last_look = false;
	connection->guard.look = connection->host_service ? NULL : connection_look;
	connection->guard.ended = pair_ended;
	(void)relay_join_guarded(
		relay, steal_fd(&connection->client), steal_fd(&connection->upstream), &connection->guard);
}

/* ---- a site's proxy ------------------------------------------------------------------------------------------- */

static void ask_proxy(struct connection *connection)
{
	struct broker *broker = connection->broker;
	char request[PROXY_REQUEST_MOST], address[INET6_ADDRSTRLEN];
	const char *target = connection->name;
	uint32_t v4;

	if (!target && address_to_v4(&connection->destination, &v4))
		target = inet_ntop(AF_INET, &(struct in_addr){ htonl(v4) }, address, sizeof address);
	else if (!target)
		target = inet_ntop(AF_INET6, &connection->destination, address, sizeof address);
	size_t size = egress_proxy_request(&broker->proxy, target, connection->port, request);
	ssize_t sent = send(connection->upstream, request, size, MSG_DONTWAIT | MSG_NOSIGNAL);
	explicit_bzero(request, sizeof request);
	connection->state = CONNECTION_ASKING;
	connection_expect(connection, ASK_MS);
	/* Edge-triggered: an answer that is not complete stays in the socket and is looked at again when more comes. */
	if (sent != (ssize_t)size || relay_rewatch(broker->relay, connection->upstream, EPOLLIN | EPOLLRDHUP | EPOLLET,
					     &connection->upstream_watch) < 0)
		fail(connection, "the egress proxy does not listen");
}

static const char *proxy_refusal(unsigned status)
{
	if (status == 407)
		return "the egress proxy wants a user and a password";
	return status == 403 ? "the egress proxy does not allow it" : "the egress proxy cannot reach it";
}

static void hear_proxy(struct connection *connection)
{
	char *answer = (char *)connection->broker->first_bytes;
	size_t length;
	unsigned status;
	ssize_t size = recv(connection->upstream, answer, PROXY_ANSWER_MOST, MSG_PEEK | MSG_DONTWAIT);

	if (size < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (size <= 0)
		return fail(connection, "the egress proxy hung up");
	int complete = egress_proxy_answer(answer, (size_t)size, &length, &status);
	if (complete == 0 && connection->last_look)
		return fail(connection, "the egress proxy hung up");
	if (complete == 0)
		return;
	if (complete < 0)
		return fail(connection, "the egress proxy is not one");
	if (status / 100 != 2)
		return fail(connection, proxy_refusal(status));
	/* What follows the answer is the tunnel's. */
	(void)!recv(connection->upstream, answer, length, MSG_DONTWAIT);
	connection_log(connection, EGRESS_ALLOWED, NULL);
	join(connection);
}

/* ---- dialling ------------------------------------------------------------------------------------------------- */

static void connected(struct connection *connection)
{
	if (connection->broker->proxied && !connection->host_service)
		return ask_proxy(connection);
	connection->destination = connection->addresses[connection->next];
	connection_log(connection, EGRESS_ALLOWED, NULL);
	join(connection);
}

static uint16_t upstream_port(const struct connection *connection)
{
	const struct broker *broker = connection->broker;

	return broker->proxied && !connection->host_service ? broker->proxy.port : connection->port;
}

static int make_socket(struct broker *broker, int family)
{
	static const int on = 1;
	cleanup_fd int fd = family == AF_INET ? steal_fd(&broker->spare) : -1;

	if (fd < 0)
		fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -1;
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	(void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
	return steal_fd(&fd);
}

static int start_connect(struct connection *connection)
{
	const struct in6_addr *address = &connection->addresses[connection->next];
	uint16_t port = htons(upstream_port(connection));
	struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = port };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_port = port, .sin6_addr = *address };
	bool is_v4 = address_to_v4(address, &v4.sin_addr.s_addr);

	v4.sin_addr.s_addr = htonl(v4.sin_addr.s_addr);
	connection->upstream = make_socket(connection->broker, is_v4 ? AF_INET : AF_INET6);
	if (connection->upstream < 0)
		return -1;
	return is_v4 ? connect(connection->upstream, (struct sockaddr *)&v4, sizeof v4)
		     : connect(connection->upstream, (struct sockaddr *)&v6, sizeof v6);
}

static const char *dial_reason(int code)
{
	switch (code) {
	case ECONNREFUSED:
		return "connection refused";
	case ETIMEDOUT:
		return "it does not answer";
	case ENETUNREACH:
	case EHOSTUNREACH:
		return "there is no route to it";
	case EMFILE:
	case ENFILE:
		return "too many open files";
	default:
		return "it cannot be reached";
	}
}

/* Start with the current address; those that fail at once are passed over. */
static void dial(struct connection *connection)
{
	struct broker *broker = connection->broker;
	int code = 0;

	connection->state = CONNECTION_DIALLING;
	for (; connection->next < connection->count; connection->next++) {
		if (start_connect(connection) < 0 && errno != EINPROGRESS) {
			code = errno;
			if (connection->upstream >= 0)
				close(steal_fd(&connection->upstream));
			continue;
		}
		bool more = connection->next + 1 < connection->count;
		connection_expect(connection, more ? DIAL_NEXT_MS : DIAL_MS);
		if (relay_watch(broker->relay, connection->upstream, EPOLLOUT, &connection->upstream_watch) == 0)
			return;
		code = errno;
		close(steal_fd(&connection->upstream));
	}
	fail(connection, dial_reason(code));
}

/* The current address did not work. */
static void dial_next(struct connection *connection, int code)
{
	drop_upstream(connection);
	connection->next++;
	if (connection->next < connection->count)
		dial(connection);
	else
		fail(connection, dial_reason(code));
}

static void upstream_ready(struct relay_watch *watch, uint32_t events)
{
	struct connection *connection =
		(struct connection *)((char *)watch - offsetof(struct connection, upstream_watch));
	int code = 0;
	socklen_t size = sizeof code;

	if (connection->state == CONNECTION_ASKING) {
		connection->last_look = events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR);
		hear_proxy(connection);
		return;
	}
	/* A late event of a connection that has moved on. */
	if (connection->state != CONNECTION_DIALLING || connection->upstream < 0)
		return;
	if (getsockopt(connection->upstream, SOL_SOCKET, SO_ERROR, &code, &size) < 0)
		code = errno;
	if (code)
		dial_next(connection, code);
	else if (events & EPOLLOUT)
		connected(connection);
}

/* Only errors are waited for: the client reset the connection. An orderly end is no reason, it may want an answer. */
static void client_ready(struct relay_watch *watch, uint32_t events)
{
	struct connection *connection =
		(struct connection *)((char *)watch - offsetof(struct connection, client_watch));

	if (connection->client >= 0 && (events & (EPOLLERR | EPOLLHUP)))
		fail(connection, "the sandbox gave up");
}

static void dial_addresses(struct connection *connection, const struct in6_addr *addresses, size_t count)
{
	free(connection->addresses);
	connection->addresses = xcalloc(count, sizeof *addresses);
	memcpy(connection->addresses, addresses, count * sizeof *addresses);
	connection->count = (uint8_t)count;
	connection->next = 0;
	dial(connection);
}

/* ---- deciding ------------------------------------------------------------------------------------------------- */

static const char own_address[] = "an address of this host";

/* Whether a name's connection may go to one of its addresses. Return: NULL, or why not. */
static const char *check_resolved(
	const struct connection *connection, const struct egress_decision *decision, const struct in6_addr *address)
{
	const struct broker *broker = connection->broker;
	struct egress_decision resolved = egress_decide_resolved(broker->rules, decision, address, connection->port);

	if (!resolved.allowed)
		return resolved.why ? resolved.why : "its address is not allowed";
	return address_is_own(broker->host, address) ? own_address : NULL;
}

static void name_resolved(
	struct resolver_waiter *waiter, const struct in6_addr *addresses, size_t count, const char *why)
{
	struct connection *connection = (struct connection *)((char *)waiter - offsetof(struct connection, waiter));
	struct in6_addr allowed[RESOLVER_ADDRESSES];
	size_t kept = 0;

	connection->state = CONNECTION_DIALLING;
	if (why)
		return fail(connection, why);
	struct egress_decision decision =
		egress_decide_name(connection->broker->rules, connection->name, connection->port);
	set_rule(connection, &decision);
	if (!decision.allowed)
		return deny(connection, decision.why);
	for (size_t i = 0; i < count; i++) {
		const char *refusal = check_resolved(connection, &decision, &addresses[i]);
		if (!refusal)
			allowed[kept++] = addresses[i];
		else if (!why)
			connection->destination = addresses[i];
		why = refusal && !why ? refusal : why;
	}
	if (kept == 0)
		return deny(connection, why);
	connection->destination = in6addr_any;
	dial_addresses(connection, allowed, kept);
}

/* The proxy is the user's own choice: its address may be anything, loopback too. */
static void proxy_resolved(
	struct resolver_waiter *waiter, const struct in6_addr *addresses, size_t count, const char *why)
{
	struct connection *connection = (struct connection *)((char *)waiter - offsetof(struct connection, waiter));

	connection->state = CONNECTION_DIALLING;
	if (why)
		return fail(connection, "the egress proxy's name cannot be resolved");
	dial_addresses(connection, addresses, count);
}

static void resolve(struct connection *connection, const char *name)
{
	struct broker *broker = connection->broker;

	if (!broker->resolver)
		return fail(connection, "there is no resolver: `azm-sandbox egress NAME --add RULE` starts one");
	connection->state = CONNECTION_RESOLVING;
	connection_expect(connection, RESOLVER_TIMEOUT_MS + 2000); /* the resolver's own comes first */
	resolver_ask(broker->resolver, name, &connection->waiter, clock_ms());
}

static void dial_proxy(struct connection *connection)
{
	const char *host = connection->broker->proxy.host;
	struct in6_addr address;
	struct in_addr v4;

	connection->waiter.resolved = proxy_resolved;
	if (inet_pton(AF_INET, host, &v4) == 1)
		address = address_from_v4(ntohl(v4.s_addr));
	else if (inet_pton(AF_INET6, host, &address) != 1)
		return resolve(connection, host);
	dial_addresses(connection, &address, 1);
}

/* The host's own loopback, where a service may listen on either. */
static void dial_host_service(struct connection *connection)
{
	struct in6_addr addresses[] = { address_from_v4(INADDR_LOOPBACK), in6addr_loopback };

	connection->host_service = true;
	dial_addresses(connection, addresses, 2);
}

static void begin_named(struct connection *connection)
{
	struct broker *broker = connection->broker;
	struct egress_decision decision = egress_decide_name(broker->rules, connection->name, connection->port);

	set_rule(connection, &decision);
	if (!decision.allowed)
		return deny(connection, decision.why);
	if (decision.host_service)
		return dial_host_service(connection);
	if (broker->proxied)
		return dial_proxy(connection);
	connection->waiter.resolved = name_resolved;
	resolve(connection, connection->name);
}

static void begin_address(struct connection *connection)
{
	struct broker *broker = connection->broker;
	struct egress_decision decision =
		egress_decide_address(broker->rules, &connection->destination, connection->port);

	set_rule(connection, &decision);
	if (!decision.allowed)
		return deny(connection, decision.why);
	if (address_is_own(broker->host, &connection->destination))
		return deny(connection, own_address);
	if (broker->proxied)
		return dial_proxy(connection);
	dial_addresses(connection, &connection->destination, 1);
}

/* What is the destination of @connection, in words of the rules? Return: NULL, or why it has none. */
static const char *identify(struct connection *connection, const struct sockaddr_in *destination)
{
	struct broker *broker = connection->broker;
	uint32_t address = ntohl(destination->sin_addr.s_addr);
	uint32_t mask = broker->options.prefix ? ~0u << (32 - broker->options.prefix) : 0;

	connection->port = ntohs(destination->sin_port);
	connection->destination = address_from_v4(address);
	/* Also the gateway: that is us, and dialling it would mean somebody else on the host's side. */
	if ((address & mask) == (broker->options.subnet & mask))
		return "an address of the sandbox's own network";
	if (!synthetic_contains(address))
		return NULL;
	const char *name = synthetic_name(broker->names, address, clock_ms());
	if (!name)
		return "an address that stands for no name";
	connection->name = xstrdup(name);
	connection->destination = in6addr_any;
	return NULL;
}

void connection_begin(struct broker *broker, int client, const struct sockaddr_in *destination)
{
	static const int on = 1;
	struct connection *connection = calloc(1, sizeof *connection);

	if (!connection) {
		socket_reset(client);
		return;
	}
	*connection = (struct connection){ .broker = broker,
		.client = client,
		.upstream = -1,
		.state = CONNECTION_DIALLING,
		.client_watch = { client_ready },
		.upstream_watch = { upstream_ready } };
	LIST_INSERT_HEAD(&broker->connections, connection, all);
	broker->count++;
	(void)setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	const char *why = identify(connection, destination);
	if (why)
		deny(connection, why);
	else if (relay_watch(broker->relay, client, 0, &connection->client_watch) < 0)
		fail(connection, "out of memory");
	else if (connection->name)
		begin_named(connection);
	else
		begin_address(connection);
}

void connection_timeout(struct connection *connection)
{
	switch (connection->state) {
	case CONNECTION_RESOLVING:
		fail(connection, "the name server does not answer");
		break;
	case CONNECTION_DIALLING:
		dial_next(connection, ETIMEDOUT);
		break;
	case CONNECTION_ASKING:
		fail(connection, "the egress proxy does not answer");
		break;
	case CONNECTION_JOINED:
		connection->last_look = true;
		connection_expect(connection, 0);
		relay_look_again(&connection->guard);
		break;
	case CONNECTION_OVER:
		break;
	}
}

/* What was dialled for a name with a proxy is not known, and the host's loopback is not classified. */
void connection_recheck(struct connection *connection)
{
	struct broker *broker = connection->broker;
	const struct in6_addr *address = &connection->destination;
	struct egress_decision decision =
		connection->name ? egress_decide_name(broker->rules, connection->name, connection->port)
				 : egress_decide_address(broker->rules, address, connection->port);
	bool allowed = decision.allowed && decision.host_service == connection->host_service;

	if (allowed && connection->name && !connection->host_service && !IN6_IS_ADDR_UNSPECIFIED(address))
		allowed = egress_decide_resolved(broker->rules, &decision, address, connection->port).allowed;
	if (allowed)
		return;
	connection_log(connection, EGRESS_DENIED, "the rules have changed");
	connection_abandon(connection);
}
