// SPDX-License-Identifier: GPL-2.0-or-later
/* server/connections.c: see connections.h */
#include "server/connections.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/str.h"

/* Places that no request may hold for long, and those of them kept for who comes next. */
enum { QUICK = 32, SPARE = 8 };

struct connection {
	struct connections *all;
	struct loop_timer deadline;
	struct loop_source source; /* its end, while a request waits */
	struct request *waiting;
	bool busy;   /* with a request, from its head to its answer */
	bool ending; /* it was shut down, and libmicrohttpd will notice */
	struct connection *next;
};

void connections_init(struct connections *connections, struct loop *loop, unsigned silence_s, unsigned most,
	void (*gone)(struct request *request))
{
	*connections = (struct connections){
		.loop = loop, .head_ms = (uint64_t)silence_s * 1000 * HEAD_SILENCES, .most = most, .gone = gone
	};
	connections->newest = &connections->oldest;
}

static void end(struct connection *connection)
{
	connection->ending = true;
	loop_set(connection->all->loop, &connection->deadline, 0);
	shutdown(connection->source.fd, SHUT_RDWR);
}

static void on_deadline(struct loop_timer *timer)
{
	end((struct connection *)(void *)((char *)timer - offsetof(struct connection, deadline)));
}

static void on_end(struct loop_source *source, uint32_t events)
{
	struct connection *connection =
		(struct connection *)(void *)((char *)source - offsetof(struct connection, source));
	struct request *request = connection->waiting;

	(void)events;
	connection_watch(connection, NULL);
	if (request)
		connection->all->gone(request);
}

static void make_room(struct connections *all)
{
	struct connection *connection = all->oldest;

	if (all->count + SPARE <= all->most)
		return;
	while (connection && (connection->busy || connection->ending))
		connection = connection->next;
	if (connection)
		end(connection);
}

/* A peer that vanished without a word is noticed by the kernel after a minute. */
static void watch_peer(int fd)
{
	int on = 1, idle_s = 30, interval_s = 10, probes = 3;

	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof idle_s);
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval_s, sizeof interval_s);
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof probes);
}

struct connection *connection_start(struct connections *all, int fd)
{
	struct connection *connection = xcalloc(1, sizeof *connection);

	connection->all = all;
	connection->deadline.fire = on_deadline;
	connection->source.fd = fd;
	connection->source.ready = on_end;
	*all->newest = connection;
	all->newest = &connection->next;
	all->count++;
	watch_peer(fd);
	connection_idle(connection);
	make_room(all);
	return connection;
}

void connection_end(struct connection *connection)
{
	struct connections *all = connection->all;
	struct connection **link = &all->oldest;

	connection_watch(connection, NULL);
	loop_set(all->loop, &connection->deadline, 0);
	while (*link != connection)
		link = &(*link)->next;
	*link = connection->next;
	if (all->newest == &connection->next)
		all->newest = link;
	all->count--;
	all->busy -= connection->busy;
	all->ended = true;
	free(connection);
}

bool connections_full(const struct connections *all)
{
	return all->busy + QUICK >= all->most;
}

static void set_busy(struct connection *connection, bool busy)
{
	if (connection->busy != busy)
		connection->all->busy += busy ? 1u : -1u;
	connection->busy = busy;
}

void connection_busy(struct connection *connection)
{
	set_busy(connection, true);
	loop_set(connection->all->loop, &connection->deadline, loop_now() + connection->all->head_ms);
}

void connection_body(struct connection *connection, size_t size)
{
	const size_t bytes_per_ms = 1;

	if (connection->deadline.at)
		loop_set(connection->all->loop, &connection->deadline, connection->deadline.at + size / bytes_per_ms);
}

void connection_watch(struct connection *connection, struct request *request)
{
	struct loop *loop = connection->all->loop;

	loop_set(loop, &connection->deadline, 0);
	if (connection->waiting)
		loop_remove(loop, &connection->source);
	connection->waiting = request;
	if (request && loop_add(loop, &connection->source, EPOLLRDHUP) < 0)
		connection->waiting = NULL;
}

void connection_idle(struct connection *connection)
{
	connection_watch(connection, NULL);
	set_busy(connection, false);
	if (!connection->ending)
		loop_set(connection->all->loop, &connection->deadline, loop_now() + connection->all->head_ms);
}
