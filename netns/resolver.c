// SPDX-License-Identifier: GPL-2.0-or-later
/* netns/resolver.c: the asking side of the resolver, see resolver.h.
 *
 * Theory of operation
 *
 * A name is an entry from its first question until its answer is too old. Everybody who asks in between waits for, or
 * is given, the same answer: a burst of a thousand connections to one host is one lookup. The table is small; when it
 * is full of names that are still being looked up, further names are refused at once.
 *
 * The helper's answers are checked like a stranger's: it has read strangers' packets.
 */
#include "netns/resolver.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/io.h"
#include "netns/resolver_wire.h"

enum { FAREWELL_MS = 500, KEEP_FAILURE_MS = 1000 };

LIST_HEAD(waiters, resolver_waiter);

struct entry {
	LIST_ENTRY(entry) all;
	struct waiters waiters;
	char name[HOST_NAME_SIZE];
	uint32_t id;
	bool known;
	int64_t until; /* known: when it is too old; else when to give up */
	const char *why;
	size_t count;
	struct in6_addr addresses[RESOLVER_ADDRESSES];
};

struct resolver {
	struct relay_watch watch;
	struct relay *relay;
	int fd; /* -1: the helper is gone */
	uint32_t last_id;
	unsigned count;
	LIST_HEAD(entries, entry) entries;
};

static void forget(struct resolver *resolver, struct entry *entry)
{
	LIST_REMOVE(entry, all);
	resolver->count--;
	free(entry);
}

/* Tell all who wait. The entry is not touched afterwards: whoever is told may ask again, which may replace it. */
static void tell(struct entry *entry)
{
	struct in6_addr addresses[RESOLVER_ADDRESSES];
	size_t count = entry->count;
	const char *why = entry->why;
	struct waiters waiters = LIST_HEAD_INITIALIZER(waiters);
	struct resolver_waiter *waiter;

	memcpy(addresses, entry->addresses, sizeof addresses);
	while ((waiter = LIST_FIRST(&entry->waiters))) {
		LIST_REMOVE(waiter, waiting);
		LIST_INSERT_HEAD(&waiters, waiter, waiting);
	}
	while ((waiter = LIST_FIRST(&waiters))) {
		LIST_REMOVE(waiter, waiting);
		waiter->resolved(waiter, addresses, count, why);
	}
}

static void settle(struct entry *entry, const char *why, int64_t keep_ms)
{
	entry->known = true;
	entry->why = why;
	entry->until = clock_ms() + keep_ms;
	tell(entry);
}

static void helper_gone(struct resolver *resolver)
{
	struct entry *entry, *next;

	if (resolver->fd < 0)
		return;
	relay_unwatch(resolver->relay, resolver->fd);
	close(steal_fd(&resolver->fd));
	for (entry = LIST_FIRST(&resolver->entries); entry; entry = next) {
		next = LIST_NEXT(entry, all);
		if (!entry->known)
			settle(entry, "the resolver has ended", 0);
	}
}

static const char *reason(int error)
{
	if (error == EAI_NONAME || error == EAI_NODATA)
		return "the name does not exist";
	return error == EAI_AGAIN ? "the name server does not answer" : "the name cannot be resolved";
}

static struct entry *find_question(struct resolver *resolver, uint32_t id)
{
	struct entry *entry;

	for (entry = LIST_FIRST(&resolver->entries); entry; entry = LIST_NEXT(entry, all))
		if (entry->id == id && !entry->known)
			return entry;
	return NULL;
}

static void take_answer(struct resolver *resolver, const struct resolver_answer *answer)
{
	struct entry *entry = find_question(resolver, answer->id);

	if (!entry || answer->count > RESOLVER_ADDRESSES || (answer->count == 0) != (answer->error != 0))
		return;
	entry->count = answer->count;
	memcpy(entry->addresses, answer->addresses, sizeof entry->addresses);
	if (answer->error)
		settle(entry, reason(answer->error), KEEP_FAILURE_MS);
	else
		settle(entry, NULL, RESOLVER_KEEP_MS);
}

static bool send_question(const struct resolver *resolver, const struct entry *entry)
{
	struct resolver_question question = { .id = entry->id };

	memcpy(question.name, entry->name, sizeof question.name);
	return send(resolver->fd, &question, sizeof question, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0;
}

/* What cannot be sent now is given up in time, as if the answer had been lost. */
static void ask_again(struct resolver *resolver)
{
	struct entry *entry;

	for (entry = LIST_FIRST(&resolver->entries); entry; entry = LIST_NEXT(entry, all))
		if (!entry->known)
			(void)send_question(resolver, entry);
}

static void helper_ready(struct relay_watch *watch, uint32_t events)
{
	struct resolver *resolver = (struct resolver *)((char *)watch - offsetof(struct resolver, watch));
	struct resolver_answer answer;

	(void)events;
	while (resolver->fd >= 0) {
		ssize_t size = recv(resolver->fd, &answer, sizeof answer, MSG_DONTWAIT);
		if (size < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (size <= 0)
			return helper_gone(resolver);
		if (size != (ssize_t)sizeof answer)
			continue;
		if (answer.id == RESOLVER_ASK_AGAIN)
			ask_again(resolver);
		else
			take_answer(resolver, &answer);
	}
}

/* Room for one more: of the answers, the oldest goes. */
static bool make_room(struct resolver *resolver)
{
	struct entry *entry, *oldest = NULL;

	if (resolver->count < RESOLVER_NAMES)
		return true;
	for (entry = LIST_FIRST(&resolver->entries); entry; entry = LIST_NEXT(entry, all))
		/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): forget() takes what it frees off the list */
		if (entry->known && (!oldest || entry->until < oldest->until))
			oldest = entry;
	if (oldest)
		forget(resolver, oldest);
	return oldest != NULL;
}

/* One that is too old is gone afterwards. */
static struct entry *find(struct resolver *resolver, const char *name, int64_t now)
{
	struct entry *entry;

	for (entry = LIST_FIRST(&resolver->entries); entry; entry = LIST_NEXT(entry, all))
		if (strcmp(entry->name, name) == 0)
			break;
	if (!entry || !entry->known || entry->until > now)
		return entry;
	forget(resolver, entry);
	return NULL;
}

static uint32_t next_id(struct resolver *resolver)
{
	do
		resolver->last_id++;
	while (resolver->last_id == RESOLVER_ASK_AGAIN);
	return resolver->last_id;
}

/* Return: NULL, or why it cannot be asked. */
static const char *ask(struct resolver *resolver, const char *name, int64_t now, struct entry **out)
{
	if (resolver->fd < 0)
		return "there is no resolver";
	if (strlen(name) >= sizeof(*out)->name)
		return "the name is too long";
	if (!make_room(resolver))
		return "too many names are being resolved";
	struct entry *entry = calloc(1, sizeof *entry);
	if (!entry)
		return "out of memory";
	memcpy(entry->name, name, strlen(name) + 1);
	entry->id = next_id(resolver);
	entry->until = now + RESOLVER_TIMEOUT_MS;
	if (!send_question(resolver, entry)) {
		free(entry);
		return "the resolver does not keep up";
	}
	LIST_INIT(&entry->waiters);
	LIST_INSERT_HEAD(&resolver->entries, entry, all);
	resolver->count++;
	*out = entry;
	return NULL;
}

void resolver_ask(struct resolver *resolver, const char *name, struct resolver_waiter *waiter, int64_t now)
{
	struct entry *entry = find(resolver, name, now);
	const char *why = entry ? NULL : ask(resolver, name, now, &entry);

	if (why) {
		waiter->resolved(waiter, NULL, 0, why);
		return;
	}
	LIST_INSERT_HEAD(&entry->waiters, waiter, waiting);
	if (entry->known)
		tell(entry);
}

void resolver_forget(struct resolver_waiter *waiter)
{
	LIST_REMOVE(waiter, waiting);
}

void resolver_tick(struct resolver *resolver, int64_t now)
{
	struct entry *entry, *next;

	for (entry = LIST_FIRST(&resolver->entries); entry; entry = next) {
		next = LIST_NEXT(entry, all);
		if (entry->until > now)
			continue;
		if (!entry->known)
			settle(entry, "the name server does not answer", KEEP_FAILURE_MS);
		else
			forget(resolver, entry);
	}
}

bool resolver_alive(const struct resolver *resolver)
{
	return resolver->fd >= 0;
}

struct resolver *resolver_new(struct relay *relay, int fd, struct azm_err *err)
{
	cleanup_fd int owned = fd;
	struct resolver *resolver = calloc(1, sizeof *resolver);

	if (!resolver) {
		err_sys(err, "use the resolver", NULL);
		return NULL;
	}
	*resolver = (struct resolver){ .watch = { helper_ready }, .relay = relay, .fd = owned };
	LIST_INIT(&resolver->entries);
	if (fd_set_nonblock(owned, true) < 0 || relay_watch(relay, owned, EPOLLIN, &resolver->watch) < 0) {
		err_sys(err, "use the resolver", NULL);
		free(resolver);
		return NULL;
	}
	steal_fd(&owned);
	return resolver;
}

/* Its end is told by the end of our socket; waiting for the helper's keeps a command from leaving a process behind that
 * is gone a moment later. */
static void farewell(int fd)
{
	struct pollfd gone = { .fd = fd };

	(void)shutdown(fd, SHUT_WR);
	(void)poll(&gone, 1, FAREWELL_MS);
}

void resolver_free(struct resolver *resolver)
{
	if (!resolver)
		return;
	int fd = resolver->fd;
	if (fd >= 0) {
		int copy = dup(fd);
		helper_gone(resolver);
		if (copy >= 0) {
			farewell(copy);
			close(copy);
		}
	}
	while (!LIST_EMPTY(&resolver->entries)) /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): as above */
		forget(resolver, LIST_FIRST(&resolver->entries));
	free(resolver);
}

int resolver_start(struct azm_err *err)
{
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return err_sys(err, "start the resolver", NULL);
	cleanup_fd int ours = ends[0], theirs = ends[1];
	pid_t child = fork();
	if (child < 0)
		return err_sys(err, "start the resolver", NULL);
	if (child == 0)
		resolver_helper(theirs);
	return fd_set_nonblock(ours, true) < 0 ? err_sys(err, "start the resolver", NULL) : steal_fd(&ours);
}
