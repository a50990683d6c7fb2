// SPDX-License-Identifier: GPL-2.0-or-later
/* netns/publish_relay.c: what the inner thread does for published ports: accept, ask who it is, dial inside, join.
 *
 * Theory of operation
 *
 * The thread lives in the sandbox's network namespace, but a listening socket keeps the namespace it was made in: one
 * thread accepts on the host's loopback and dials inside. It dials the sandbox's eth0 address first, so that the peer a
 * server sees is the sandbox itself and never loopback, which many servers trust (CVE-2021-20199); its loopback only
 * after that was refused, for servers that listen nowhere else.
 *
 * Over loopback the kernel has settled a connection by the time connect() returns, so a second connect() usually tells
 * the result at once; only what is still open then waits for an event.
 *
 * When there are many connections, half of them are given to a second process (publish_share.c).
 *
 * The socket for the next connection is made before that connection is accepted. When descriptors run out, the client
 * stays in the backlog, unharmed, until a connection ends or a moment has passed.
 */
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>

#include "base/cleanup.h"
#include "netns/publish_internal.h"

enum { ACCEPTS = 32, PAUSE_MS = 100, SEND_BYTES = 128 * 1024, RECEIVE_BYTES = 208 * 1024 };

void loopback_tuning(int fd)
{
	static const int send_bytes = SEND_BYTES, receive_bytes = RECEIVE_BYTES;
	static const char reno[] = "reno";

	(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &send_bytes, sizeof send_bytes);
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_bytes, sizeof receive_bytes);
	(void)setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, reno, sizeof reno - 1);
}

int inside_socket(int family)
{
	static const int on = 1;
	cleanup_fd int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0 || setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) < 0)
		return -1;
	loopback_tuning(fd);
	return steal_fd(&fd);
}

socklen_t inside_address(const struct publisher *publisher, int attempt, uint16_t port, union inside_address *address)
{
	if (publisher->address == 0)
		attempt++;
	memset(address, 0, sizeof *address);
	if (attempt == 2) {
		address->v6.sin6_family = AF_INET6;
		address->v6.sin6_port = htons(port);
		address->v6.sin6_addr = in6addr_loopback;
		return sizeof address->v6;
	}
	address->v4.sin_family = AF_INET;
	address->v4.sin_port = htons(port);
	address->v4.sin_addr.s_addr = htonl(attempt == 0 ? publisher->address : INADDR_LOOPBACK);
	return attempt < 2 ? sizeof address->v4 : 0;
}

/* ---- dialling ------------------------------------------------------------------------------------------------- */

enum dialled { CONNECTED, WAITING, REFUSED };

static enum dialled dial_result(int result)
{
	if (result == 0 || errno == EISCONN)
		return CONNECTED;
	return errno == EINPROGRESS || errno == EALREADY ? WAITING : REFUSED;
}

/* Carry on with the current address: starts a connection, or tells what has become of it. */
static enum dialled dial_address(struct dialling *dialling)
{
	union inside_address address;
	socklen_t size = inside_address(dialling->publisher, dialling->attempt, dialling->port, &address);
	enum dialled result = dial_result(connect(dialling->inner, &address.any, size));

	return result == WAITING ? dial_result(connect(dialling->inner, &address.any, size)) : result;
}

/* Point @dialling at its next address. A refused IPv4 socket can be used again, but not for IPv6. */
static bool next_address(struct dialling *dialling)
{
	union inside_address address;

	if (!inside_address(dialling->publisher, ++dialling->attempt, dialling->port, &address))
		return false;
	if (address.any.sa_family == AF_INET)
		return true;
	close(dialling->inner);
	dialling->inner = inside_socket(AF_INET6);
	return dialling->inner >= 0;
}

static enum dialled dial(struct dialling *dialling)
{
	enum dialled result;

	do {
		result = dial_address(dialling);
	} while (result == REFUSED && next_address(dialling));
	return result;
}

static void give_up(struct dialling *dialling)
{
	socket_reset(dialling->client);
	if (dialling->inner >= 0)
		close(dialling->inner);
}

/* Both sockets are taken over. */
static void join_ends(struct publisher *publisher, int client, int inner)
{
	if (!share_give(&publisher->share, relay_count(publisher->relay), client, inner))
		(void)relay_join(publisher->relay, client, inner);
}

static void dialling_ready(struct relay_watch *watch, uint32_t events)
{
	struct dialling *dialling = (struct dialling *)((char *)watch - offsetof(struct dialling, watch));
	struct relay *relay = dialling->publisher->relay;
	int was = dialling->inner;

	(void)events;
	/* Taken out of the loop first: dial() may close it, and the pair registers it anew. */
	relay_unwatch(relay, was);
	enum dialled result = dial(dialling);
	if (result == WAITING && relay_watch(relay, dialling->inner, EPOLLOUT, &dialling->watch) == 0)
		return;
	LIST_REMOVE(dialling, all);
	if (result == CONNECTED)
		join_ends(dialling->publisher, dialling->client, dialling->inner);
	else
		give_up(dialling);
	free(dialling);
}

/* Both sockets are taken over. */
static void connect_inside(struct publisher *publisher, uint16_t port, int client, int inner)
{
	struct dialling now = {
		.watch = { dialling_ready }, .publisher = publisher, .client = client, .inner = inner, .port = port
	};
	enum dialled result = dial(&now);

	if (result == CONNECTED) {
		join_ends(publisher, now.client, now.inner);
		return;
	}
	struct dialling *later = result == WAITING ? malloc(sizeof *later) : NULL;
	if (!later) {
		give_up(&now);
		return;
	}
	*later = now;
	if (relay_watch(publisher->relay, later->inner, EPOLLOUT, &later->watch) < 0) {
		give_up(later);
		free(later);
		return;
	}
	LIST_INSERT_HEAD(&publisher->dialling, later, all);
}

/* ---- accepting ------------------------------------------------------------------------------------------------ */

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void set_paused(struct publisher *publisher, bool paused)
{
	struct listener *listener = LIST_FIRST(&publisher->listeners);

	for (; listener; listener = LIST_NEXT(listener, all))
		(void)relay_rewatch(publisher->relay, listener->fd, paused ? 0 : EPOLLIN, &listener->watch);
	publisher->paused = paused;
	publisher->ended_at = relay_ended(publisher->relay);
	publisher->resume_at = now_ms() + PAUSE_MS;
}

static void listener_ready(struct relay_watch *watch, uint32_t events)
{
	struct listener *listener = (struct listener *)((char *)watch - offsetof(struct listener, watch));
	struct publisher *publisher = listener->publisher;

	(void)events;
	for (int i = 0; i < ACCEPTS && !publisher->paused; i++) {
		if (publisher->spare < 0)
			publisher->spare = inside_socket(AF_INET);
		if (publisher->spare < 0)
			return set_paused(publisher, true);
		int client = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (client < 0) {
			if (errno == EINTR || errno == ECONNABORTED)
				continue;
			if (errno != EAGAIN)
				set_paused(publisher, true);
			return;
		}
		if (listener->checked && !peer_check_allows(&publisher->peers, client)) {
			socket_reset(client);
			continue;
		}
		connect_inside(publisher, listener->port, client, steal_fd(&publisher->spare));
	}
}

/* ---- the thread ----------------------------------------------------------------------------------------------- */

static void wake_ready(struct relay_watch *watch, uint32_t events)
{
	struct publisher *publisher = (struct publisher *)((char *)watch - offsetof(struct publisher, wake_watch));
	uint64_t count;

	(void)events;
	(void)!read(publisher->wake, &count, sizeof count);
	inner_answer(publisher);
}

int listener_watch(struct listener *listener)
{
	struct publisher *publisher = listener->publisher;

	listener->watch.ready = listener_ready;
	return relay_watch(publisher->relay, listener->fd, publisher->paused ? 0 : EPOLLIN, &listener->watch);
}

int publish_prepare(struct publisher *publisher, struct azm_err *err)
{
	struct listener *listener = LIST_FIRST(&publisher->listeners);

	publisher->relay = relay_new(err);
	if (!publisher->relay)
		return -1;
	publisher->wake_watch.ready = wake_ready;
	if (relay_watch(publisher->relay, publisher->wake, EPOLLIN, &publisher->wake_watch) < 0)
		return err_sys(err, "watch an eventfd", NULL);
	for (; listener; listener = LIST_NEXT(listener, all))
		if (listener_watch(listener) < 0)
			return err_sys(err, "watch a published port", NULL);
	return 0;
}

/* The sandbox is gone, and its ends of the connections with it; what its servers said last may still be on the way. */
void publish_deliver(struct relay *relay)
{
	uint64_t now = now_ms(), deadline = now + DELIVER_MS;

	for (; relay_delivering(relay, 1) && now < deadline; now = now_ms())
		if (relay_turn(relay, (int)(deadline - now)) < 0)
			return;
}

void publish_serve(struct publisher *publisher)
{
	while (!atomic_load(&publisher->stopping)) {
		if (relay_turn(publisher->relay, publisher->paused ? PAUSE_MS : -1) < 0)
			break;
		if (publisher->paused &&
			(relay_ended(publisher->relay) != publisher->ended_at || now_ms() >= publisher->resume_at))
			set_paused(publisher, false);
	}
	set_paused(publisher, true);
	/* Both processes at a time. */
	share_close(&publisher->share);
	publish_deliver(publisher->relay);
	share_stop(&publisher->share);
}

void publish_abandon(struct publisher *publisher)
{
	struct dialling *dialling;

	while ((dialling = LIST_FIRST(&publisher->dialling))) {
		LIST_REMOVE(dialling, all);
		relay_unwatch(publisher->relay, dialling->inner);
		give_up(dialling);
		free(dialling);
	}
	relay_free(publisher->relay);
	publisher->relay = NULL;
	if (publisher->spare >= 0)
		close(publisher->spare);
	publisher->spare = -1;
}
