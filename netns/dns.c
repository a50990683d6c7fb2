// SPDX-License-Identifier: GPL-2.0-or-later
/* netns/dns.c: see dns.h.
 *
 * Theory of operation
 *
 * A question is answered from memory, at once: there is nothing to wait for, so there is no state between a query and
 * its answer. Over UDP that is one receive and one send. Over TCP a connection is one of a few slots with room for one
 * query and one answer: while the answer does not go out nothing more is read, and a connection on which no query was
 * completed and answered for a while is closed, however many bytes dripped in. When all slots are in use, the longest
 * idle one makes room. A slot is never freed, so an event that is reported late finds an empty one.
 *
 * Answers are rationed (a token bucket). When the ration is eaten up, nothing is read from any socket until the timer
 * brings more: the kernel drops what does not fit its buffers, and a flood costs us nothing. The timer runs only then
 * and while connections are open.
 */
#include "netns/dns.h"

#include <arpa/nameser.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "netns/dns_message.h"
#include "netns/egress_rules.h"

enum {
	SLOTS = 32,
	IDLE_MS = 3000, /* RFC 7766, section 6.2.3: seconds; who comes back connects again */
	RATE = 4000,	/* answers a second, and at once after a rest */
	TICK_MS = 50,
	COST = 1000,	  /* of an answer, a datagram or a connection: what a token is divided into */
	BATCH = 32,	  /* datagrams or connections before other sockets get their turn */
	MEMBER_TTL_S = 5, /* members come and go */
	KERNEL_BUFFER = 16384,
	PREFIX = NS_INT16SZ, /* of a message on TCP, RFC 1035 section 4.2.2 */
};

struct slot {
	struct relay_watch watch;
	struct dns_responder *dns;
	int fd; /* -1: empty */
	int64_t active_ms;
	size_t have;		/* bytes of in */
	size_t out_at, out_end; /* what is left of out */
	uint8_t in[PREFIX + DNS_QUERY_MAX], out[PREFIX + DNS_ANSWER_MAX];
};

struct dns_responder {
	struct dns_config config;
	struct relay_watch udp_watch, tcp_watch, timer_watch;
	int timer;
	bool ticking;
	bool paused; /* nothing is read: the ration is eaten up */
	bool full;   /* nobody is let in: no descriptor was left */
	int64_t refilled_ms;
	int64_t tokens; /* COST is one answer */
	struct slot slots[SLOTS];
};

/* ---- answers -------------------------------------------------------------------------------------------------- */

static bool find_member(const struct dns_config *config, const char *name, uint32_t *address)
{
	char bare[HOST_NAME_SIZE];
	size_t length = strlen(name);

	if (!config->member_find)
		return false;
	if (host_name_below(name, EGRESS_MEMBER_DOMAIN))
		length -= sizeof EGRESS_MEMBER_DOMAIN;
	memcpy(bare, name, length);
	bare[length] = '\0';
	return config->member_find(config->context, bare, address);
}

/* Return: false: there is no such name. Else *rcode, and *address when @wanted. */
static bool find_name(struct dns_responder *dns, const char *name, bool wanted, int *rcode, uint32_t *address)
{
	const struct dns_config *config = &dns->config;

	if (find_member(config, name, address))
		return true;
	if (host_name_below(name, EGRESS_MEMBER_DOMAIN) || !config->answerable(config->context, name))
		return false;
	if (wanted && !synthetic_address(config->names, name, clock_ms(), address))
		*rcode = ns_r_servfail;
	return true;
}

/* Return: false: nobody has that address. Else @name, of HOST_NAME_SIZE. */
static bool find_address(struct dns_responder *dns, uint32_t address, char *name)
{
	const struct dns_config *config = &dns->config;
	const char *synthetic = synthetic_name(config->names, address, clock_ms());
	char member[HOST_NAME_SIZE];

	if (synthetic) {
		(void)snprintf(name, HOST_NAME_SIZE, "%s", synthetic);
		return true;
	}
	if (!config->member_name || !config->member_name(config->context, address, member, sizeof member))
		return false;
	int size = snprintf(name, HOST_NAME_SIZE, "%s." EGRESS_MEMBER_DOMAIN, member);
	return size < HOST_NAME_SIZE;
}

static bool is_reverse(const char *name)
{
	return host_name_below(name, "in-addr.arpa") || host_name_below(name, "ip6.arpa");
}

static bool asks_for(const struct dns_query *query, uint16_t type)
{
	return query->type == type || query->type == ns_t_any;
}

/* No SOA goes with "no such name" and "no such type": without one nobody may remember it (RFC 2308, section 5), and
 * the rules can change at any time. @name is room for the answer's. */
static void answer_question(
	struct dns_responder *dns, const struct dns_query *query, struct dns_answer *answer, char *name)
{
	uint32_t address;
	bool known = query->name[0] != '\0', wanted = asks_for(query, ns_t_a);

	if (is_reverse(query->name)) {
		known = dns_reverse_name(query->name, &address) && find_address(dns, address, name);
		if (known && asks_for(query, ns_t_ptr)) {
			answer->type = ns_t_ptr;
			answer->name = name;
			answer->ttl = MEMBER_TTL_S;
		}
	} else if (known) {
		known = find_name(dns, query->name, wanted, &answer->rcode, &answer->address);
		if (known && wanted && answer->rcode == ns_r_noerror) {
			answer->type = ns_t_a;
			answer->ttl = synthetic_contains(answer->address) ? SYNTHETIC_TTL_S : MEMBER_TTL_S;
		}
	}
	if (!known)
		answer->rcode = ns_r_nxdomain;
}

/* Return: size of the answer in @out; 0: none. */
static size_t respond(struct dns_responder *dns, const uint8_t *packet, size_t size, uint8_t out[static DNS_ANSWER_MAX])
{
	struct dns_query query;
	char name[HOST_NAME_SIZE];
	struct dns_answer answer = { .rcode = dns_query_read(packet, size, &query) };

	if (answer.rcode == DNS_DROP)
		return 0;
	if (answer.rcode == ns_r_noerror)
		answer_question(dns, &query, &answer, name);
	return dns_answer(&query, &answer, out);
}

/* ---- the ration ----------------------------------------------------------------------------------------------- */

static void tick_on(struct dns_responder *dns, bool on)
{
	struct timespec period = { .tv_nsec = on ? TICK_MS * 1000000L : 0 };
	struct itimerspec spec = { .it_interval = period, .it_value = period };

	if (dns->ticking != on && timerfd_settime(dns->timer, 0, &spec, NULL) == 0)
		dns->ticking = on;
}

static uint32_t slot_events(const struct slot *slot)
{
	if (slot->dns->paused)
		return 0;
	return slot->out_at < slot->out_end ? EPOLLOUT : EPOLLIN;
}

static void pause_reading(struct dns_responder *dns, bool pause)
{
	struct relay *loop = dns->config.loop;
	uint32_t events = pause ? 0 : EPOLLIN;

	dns->paused = pause;
	if (pause)
		tick_on(dns, true);
	(void)relay_rewatch(loop, dns->config.udp, events, &dns->udp_watch);
	(void)relay_rewatch(loop, dns->config.tcp, dns->full ? 0 : events, &dns->tcp_watch);
	for (struct slot *slot = dns->slots; slot < dns->slots + SLOTS; slot++)
		if (slot->fd >= 0)
			(void)relay_rewatch(loop, slot->fd, slot_events(slot), &slot->watch);
}

static void refill(struct dns_responder *dns)
{
	int64_t now = clock_ms();

	dns->tokens += (now - dns->refilled_ms) * RATE; /* per ms, COST being 1000 */
	if (dns->tokens > RATE * COST)
		dns->tokens = RATE * COST;
	dns->refilled_ms = now;
}

/* Whether there is a ration for another answer; if not, reading has stopped until the timer brings more. */
static bool may_serve(struct dns_responder *dns)
{
	if (dns->tokens < COST)
		refill(dns);
	if (dns->tokens < COST)
		pause_reading(dns, true);
	return !dns->paused;
}

/* ---- UDP ------------------------------------------------------------------------------------------------------ */

static bool is_client(const struct dns_responder *dns, const struct sockaddr_in *from)
{
	return from->sin_family == AF_INET && ntohl(from->sin_addr.s_addr) == dns->config.client;
}

/* Return: false: nothing is waiting. */
static bool serve_datagram(struct dns_responder *dns)
{
	/* One byte more than we take shows what is too long, and it is answered so. */
	uint8_t packet[DNS_QUERY_MAX + 1], out[DNS_ANSWER_MAX];
	struct sockaddr_in from = { 0 };
	socklen_t from_size = sizeof from;
	ssize_t size =
		recvfrom(dns->config.udp, packet, sizeof packet, MSG_DONTWAIT, (struct sockaddr *)&from, &from_size);

	if (size < 0)
		return errno == EINTR;
	dns->tokens -= COST;
	if (!is_client(dns, &from))
		return true;
	size_t answer = respond(dns, packet, (size_t)size, out);
	if (answer)
		(void)sendto(
			dns->config.udp, out, answer, MSG_DONTWAIT | MSG_NOSIGNAL, (struct sockaddr *)&from, from_size);
	return true;
}

/* A pending error is reported even while we do not read; asking takes it away. */
static void clear_error(int fd)
{
	int code;
	socklen_t size = sizeof code;

	(void)getsockopt(fd, SOL_SOCKET, SO_ERROR, &code, &size);
}

static void udp_ready(struct relay_watch *watch, uint32_t events)
{
	struct dns_responder *dns = (struct dns_responder *)((char *)watch - offsetof(struct dns_responder, udp_watch));

	if (events & EPOLLERR)
		clear_error(dns->config.udp);
	for (int i = 0; i < BATCH; i++)
		if (!may_serve(dns) || !serve_datagram(dns))
			return;
}

/* ---- TCP ------------------------------------------------------------------------------------------------------ */

static void slot_close(struct slot *slot)
{
	relay_unwatch(slot->dns->config.loop, slot->fd);
	close(slot->fd);
	slot->fd = -1;
}

static bool slot_stuck(const struct slot *slot)
{
	return slot->fd < 0 || slot->out_at < slot->out_end;
}

/* Send what is left of the answer. A connection that fails is closed. */
static void slot_send(struct slot *slot)
{
	ssize_t sent =
		send(slot->fd, slot->out + slot->out_at, slot->out_end - slot->out_at, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (sent < 0 && errno != EAGAIN && errno != EINTR)
		return slot_close(slot);
	slot->out_at += sent > 0 ? (size_t)sent : 0;
	if (slot->out_at == slot->out_end)
		slot->active_ms = clock_ms();
}

static void slot_answer(struct slot *slot, size_t size)
{
	size_t answer = respond(slot->dns, slot->in + PREFIX, size, slot->out + PREFIX);

	if (answer == 0)
		return slot_close(slot);
	slot->out[0] = (uint8_t)(answer >> 8);
	slot->out[1] = (uint8_t)answer;
	slot->out_at = 0;
	slot->out_end = PREFIX + answer;
	slot->have -= PREFIX + size;
	memmove(slot->in, slot->in + PREFIX + size, slot->have);
	slot_send(slot);
}

/* Answer the queries that are complete. */
static void slot_serve(struct slot *slot)
{
	while (!slot_stuck(slot) && slot->have >= PREFIX) {
		size_t size = (size_t)slot->in[0] << 8 | slot->in[1];

		if (size > DNS_QUERY_MAX)
			return slot_close(slot);
		if (slot->have < PREFIX + size || !may_serve(slot->dns))
			return;
		slot->dns->tokens -= COST;
		slot_answer(slot, size);
	}
}

static void slot_read(struct slot *slot)
{
	ssize_t size = recv(slot->fd, slot->in + slot->have, sizeof slot->in - slot->have, MSG_DONTWAIT);

	if (size < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (size <= 0)
		return slot_close(slot);
	slot->have += (size_t)size;
	slot_serve(slot);
}

static void slot_run(struct slot *slot, uint32_t events)
{
	if (slot_stuck(slot) && events & EPOLLOUT)
		slot_send(slot);
	slot_serve(slot);
	if (!slot_stuck(slot) && !slot->dns->paused && events & EPOLLIN)
		slot_read(slot);
	if (slot->fd >= 0)
		(void)relay_rewatch(slot->dns->config.loop, slot->fd, slot_events(slot), &slot->watch);
}

static void slot_ready(struct relay_watch *watch, uint32_t events)
{
	struct slot *slot = (struct slot *)((char *)watch - offsetof(struct slot, watch));

	if (slot->fd < 0)
		return;
	if (events & (EPOLLERR | EPOLLHUP))
		slot_close(slot);
	else
		slot_run(slot, events);
}

/* An empty slot; when there is none, the one that did nothing for the longest time. */
static struct slot *slot_take(struct dns_responder *dns)
{
	struct slot *oldest = dns->slots;

	for (struct slot *slot = dns->slots; slot < dns->slots + SLOTS; slot++) {
		if (slot->fd < 0)
			return slot;
		if (slot->active_ms < oldest->active_ms)
			oldest = slot;
	}
	slot_close(oldest);
	return oldest;
}

static void slot_open(struct dns_responder *dns, int fd)
{
	struct slot *slot = slot_take(dns);
	int size = KERNEL_BUFFER;

	slot->fd = fd;
	slot->active_ms = clock_ms();
	slot->have = slot->out_at = slot->out_end = 0;
	/* Otherwise the kernel keeps megabytes of answers that nobody takes. */
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
	if (relay_watch(dns->config.loop, fd, EPOLLIN, &slot->watch) < 0) {
		close(fd);
		slot->fd = -1;
	}
	tick_on(dns, true);
}

static void stop_accepting(struct dns_responder *dns)
{
	dns->full = true;
	(void)relay_rewatch(dns->config.loop, dns->config.tcp, 0, &dns->tcp_watch);
	tick_on(dns, true);
}

/* Return: false: nobody is waiting, or nobody can be let in. */
static bool accept_one(struct dns_responder *dns)
{
	struct sockaddr_in from = { 0 };
	socklen_t size = sizeof from;
	cleanup_fd int fd = accept4(dns->config.tcp, (struct sockaddr *)&from, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd < 0) {
		/* Without a descriptor for it, it would be reported again and again. */
		if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)
			stop_accepting(dns);
		return false;
	}
	dns->tokens -= COST;
	if (is_client(dns, &from))
		slot_open(dns, steal_fd(&fd));
	return true;
}

static void tcp_ready(struct relay_watch *watch, uint32_t events)
{
	struct dns_responder *dns = (struct dns_responder *)((char *)watch - offsetof(struct dns_responder, tcp_watch));

	(void)events;
	for (int i = 0; i < BATCH; i++)
		if (!may_serve(dns) || !accept_one(dns))
			return;
}

/* ---- the timer ------------------------------------------------------------------------------------------------ */

/* Return: whether a connection is left. */
static bool serve_slots(struct dns_responder *dns, bool resumed)
{
	int64_t now = clock_ms();
	bool left = false;

	for (struct slot *slot = dns->slots; slot < dns->slots + SLOTS; slot++) {
		if (slot->fd >= 0 && now - slot->active_ms >= IDLE_MS)
			slot_close(slot);
		if (slot->fd >= 0 && resumed)
			slot_run(slot, 0);
		left |= slot->fd >= 0;
	}
	return left;
}

static void timer_ready(struct relay_watch *watch, uint32_t events)
{
	struct dns_responder *dns =
		(struct dns_responder *)((char *)watch - offsetof(struct dns_responder, timer_watch));
	bool was_paused = dns->paused;
	uint64_t ticks;

	(void)events;
	(void)!read(dns->timer, &ticks, sizeof ticks);
	refill(dns);
	if (was_paused || dns->full) {
		dns->full = false;
		pause_reading(dns, false);
	}
	if (!serve_slots(dns, was_paused) && !dns->paused)
		tick_on(dns, false);
}

/* ---- start and stop ------------------------------------------------------------------------------------------- */

static int watch_sockets(struct dns_responder *dns, struct azm_err *err)
{
	struct relay *loop = dns->config.loop;

	if (relay_watch(loop, dns->timer, EPOLLIN, &dns->timer_watch) < 0 ||
		relay_watch(loop, dns->config.udp, EPOLLIN, &dns->udp_watch) < 0 ||
		relay_watch(loop, dns->config.tcp, EPOLLIN, &dns->tcp_watch) < 0)
		return err_sys(err, "wait for DNS questions", NULL);
	return 0;
}

struct dns_responder *dns_start(const struct dns_config *config, struct azm_err *err)
{
	struct dns_responder *dns = calloc(1, sizeof *dns);

	if (!dns) {
		(void)err_code(err, ENOMEM, "start the name server", NULL);
		return NULL;
	}
	dns->config = *config;
	dns->udp_watch.ready = udp_ready;
	dns->tcp_watch.ready = tcp_ready;
	dns->timer_watch.ready = timer_ready;
	dns->refilled_ms = clock_ms();
	dns->tokens = RATE * COST;
	for (struct slot *slot = dns->slots; slot < dns->slots + SLOTS; slot++) {
		slot->watch.ready = slot_ready;
		slot->dns = dns;
		slot->fd = -1;
	}
	dns->timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	if (dns->timer < 0)
		(void)err_sys(err, "start the name server", "timer");
	else if (watch_sockets(dns, err) == 0)
		return dns;
	dns_stop(dns);
	return NULL;
}

void dns_stop(struct dns_responder *dns)
{
	if (!dns)
		return;
	for (struct slot *slot = dns->slots; slot < dns->slots + SLOTS; slot++)
		if (slot->fd >= 0)
			slot_close(slot);
	relay_unwatch(dns->config.loop, dns->config.udp);
	relay_unwatch(dns->config.loop, dns->config.tcp);
	if (dns->timer >= 0) {
		relay_unwatch(dns->config.loop, dns->timer);
		close(dns->timer);
	}
	free(dns);
}
