// SPDX-License-Identifier: GPL-2.0-or-later
/* netns/publish.c: the inner thread's life and what it is asked to do, see publish_new() ... publish_stop() in netns.h.
 *
 * Theory of operation
 *
 * The supervisor stays in the host's network; one thread of it enters the sandbox's. It starts after the sandbox was
 * cloned (only a process without threads may clone one), blocks all signals so that the main thread gets them, drops
 * its capabilities once it is inside, and from then on needs only sockets, epoll and pipes. Other threads talk to it
 * through an eventfd: to stop it, or to have something done by it (inner_call()): listen to more or fewer sockets, make
 * a socket of the sandbox's network, which keeps its namespace wherever it is used.
 */
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "netns/publish_internal.h"
#include "netns/thread.h"

static int enter_sandbox(struct publisher *publisher, struct azm_err *err)
{
	(void)prctl(PR_SET_NAME, "azm-publish");
	if (setns(publisher->netns, CLONE_NEWNET) < 0)
		return err_sys(err, "enter the sandbox's network", NULL);
	/* Nothing after setns() needs one. */
	if (thread_drop_capabilities() < 0)
		return err_sys(err, "drop the capabilities of the publishing thread", NULL);
	return 0;
}

static void set_state(struct publisher *publisher, enum thread_state state)
{
	pthread_mutex_lock(&publisher->lock);
	publisher->state = state;
	pthread_cond_broadcast(&publisher->answered);
	pthread_mutex_unlock(&publisher->lock);
}

static void *inner_thread(void *argument)
{
	struct publisher *publisher = argument;

	if (enter_sandbox(publisher, publisher->start_error) < 0) {
		set_state(publisher, THREAD_FAILED);
		return NULL;
	}
	set_state(publisher, THREAD_SERVING);
	publish_serve(publisher);
	/* A request that came too late must not wait for ever. */
	set_state(publisher, THREAD_FAILED);
	return NULL;
}

int publish_start(struct publisher *publisher, int sandbox_netns, uint32_t address, struct azm_err *err)
{
	if (publisher->state == THREAD_SERVING)
		return 0;
	if (publisher->state != THREAD_NONE)
		return err_msg(err, ECANCELED, "start publishing", NULL, "the publishing thread has ended");
	if (!publisher->relay && publish_prepare(publisher, err) < 0)
		return -1;
	publisher->address = address;
	publisher->netns = sandbox_netns;
	publisher->start_error = err;
	publisher->state = THREAD_ENTERING;
	int code = thread_start(&publisher->thread, inner_thread, publisher);
	if (code) {
		publisher->state = THREAD_NONE;
		return err_code(err, code, "start the publishing thread", NULL);
	}
	pthread_mutex_lock(&publisher->lock);
	while (publisher->state == THREAD_ENTERING)
		pthread_cond_wait(&publisher->answered, &publisher->lock);
	bool serving = publisher->state == THREAD_SERVING;
	pthread_mutex_unlock(&publisher->lock);
	return serving ? 0 : -1;
}

int publish_await(struct publisher *publisher, struct azm_err *err)
{
	return publisher->relay ? 0 : publish_prepare(publisher, err);
}

int publish_awaited(const struct publisher *publisher)
{
	return publisher && publisher->relay && publisher->state == THREAD_NONE ? relay_fd(publisher->relay) : -1;
}

/* ---- asking the thread ---------------------------------------------------------------------------------------- */

static void wake(struct publisher *publisher)
{
	static const uint64_t one = 1;

	(void)!write(publisher->wake, &one, sizeof one);
}

int inner_call(struct publisher *publisher, int (*run)(struct publisher *publisher, void *argument), void *argument)
{
	struct inner_call call = { .run = run, .argument = argument, .result = -ECANCELED };

	if (publisher->state == THREAD_NONE)
		return run(publisher, argument);
	pthread_mutex_lock(&publisher->lock);
	/* One at a time. */
	while (publisher->call && publisher->state == THREAD_SERVING)
		pthread_cond_wait(&publisher->answered, &publisher->lock);
	if (publisher->state == THREAD_SERVING) {
		/* cppcheck-suppress autoVariables ; taken back below, before it goes out of scope */
		publisher->call = &call;
		wake(publisher);
	}
	while (!call.done && publisher->state == THREAD_SERVING)
		pthread_cond_wait(&publisher->answered, &publisher->lock);
	if (publisher->call == &call)
		publisher->call = NULL;
	pthread_mutex_unlock(&publisher->lock);
	return call.result;
}

void inner_answer(struct publisher *publisher)
{
	pthread_mutex_lock(&publisher->lock);
	if (publisher->call) {
		publisher->call->result = publisher->call->run(publisher, publisher->call->argument);
		publisher->call->done = true;
		publisher->call = NULL;
		pthread_cond_broadcast(&publisher->answered);
	}
	pthread_mutex_unlock(&publisher->lock);
}

/* ---- listeners ------------------------------------------------------------------------------------------------ */

/* What publish_add() brings. */
struct addition {
	struct listener_list listeners;
	int diag; /* taken when the publisher has none yet; -1 */
};

static void unwatch_all(struct relay *relay, const struct listener_list *listeners)
{
	for (const struct listener *listener = LIST_FIRST(listeners); listener; listener = LIST_NEXT(listener, all))
		relay_unwatch(relay, listener->fd);
}

static int add_listeners(struct publisher *publisher, void *argument)
{
	struct addition *addition = argument;
	struct listener *listener = LIST_FIRST(&addition->listeners);

	for (; listener; listener = LIST_NEXT(listener, all)) {
		if (publisher->relay && listener_watch(listener) < 0) {
			int code = errno;
			unwatch_all(publisher->relay, &addition->listeners);
			return -code;
		}
	}
	while ((listener = LIST_FIRST(&addition->listeners))) {
		LIST_REMOVE(listener, all);
		LIST_INSERT_HEAD(&publisher->listeners, listener, all);
	}
	if (publisher->peers.diag < 0)
		publisher->peers.diag = steal_fd(&addition->diag);
	return 0;
}

static struct listener *make_listener(struct publisher *publisher, const struct publish_rule *rule, int fd)
{
	struct listener *listener = xcalloc(1, sizeof *listener);

	*listener = (struct listener){
		.publisher = publisher,
		.fd = fd,
		.rule = rule->id,
		.port = rule->port,
		/* A UNIX socket is guarded by its mode. */
		.checked = rule->family != AF_UNIX && !rule->any_user,
	};
	if (rule->family == AF_UNIX && lstat(rule->unix_path, &listener->created) == 0)
		listener->unix_path = xstrdup(rule->unix_path);
	return listener;
}

int publish_add(struct publisher *publisher, struct publish_rule *rules, size_t count, struct publish_sockets *sockets,
	struct azm_err *err)
{
	struct addition addition = { .listeners = LIST_HEAD_INITIALIZER(addition.listeners), .diag = sockets->diag };
	struct listener *listener;
	size_t used = 0;

	for (size_t i = 0; i < count; i++) {
		rules[i].id = ++publisher->last_id;
		for (int more = rules[i].both ? 2 : 1; more > 0 && used < sockets->count; more--) {
			listener = make_listener(publisher, &rules[i], sockets->fds[used++]);
			LIST_INSERT_HEAD(&addition.listeners, listener, all);
		}
	}
	int result = inner_call(publisher, add_listeners, &addition);
	if (result < 0) {
		while ((listener = LIST_FIRST(&addition.listeners))) {
			LIST_REMOVE(listener, all);
			free(listener->unix_path);
			free(listener);
		}
		return err_code(err, -result, "publish", NULL);
	}
	sockets->diag = addition.diag;
	sockets->count = 0;
	publish_sockets_free(sockets, NULL, 0);
	return 0;
}

static int remove_listeners(struct publisher *publisher, void *argument)
{
	struct listener *listener = LIST_FIRST(&publisher->listeners);

	while (listener) {
		struct listener *next = LIST_NEXT(listener, all);
		if (listener->rule == *(unsigned *)argument) {
			if (publisher->relay)
				relay_unwatch(publisher->relay, listener->fd);
			listener_close(listener);
		}
		listener = next;
	}
	return 0;
}

void publish_remove(struct publisher *publisher, unsigned id)
{
	(void)inner_call(publisher, remove_listeners, &id);
}

void listener_close(struct listener *listener)
{
	struct stat now;

	LIST_REMOVE(listener, all);
	close(listener->fd);
	/* Best effort: a locked-down process may not remove it; then the user's next command does. */
	if (listener->unix_path && lstat(listener->unix_path, &now) == 0 && now.st_dev == listener->created.st_dev &&
		now.st_ino == listener->created.st_ino)
		(void)unlink(listener->unix_path);
	free(listener->unix_path);
	free(listener);
}

/* ---- the whole ------------------------------------------------------------------------------------------------ */

struct publisher *publish_new(struct azm_err *err)
{
	cleanup_fd int wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	if (wake_fd < 0) {
		err_sys(err, "make an eventfd", NULL);
		return NULL;
	}
	struct publisher *publisher = xcalloc(1, sizeof *publisher);
	publisher->spare = -1;
	publisher->share.channel = -1;
	publisher->peers = (struct peer_check){ .diag = -1, .owner = geteuid() };
	publisher->wake = steal_fd(&wake_fd);
	pthread_mutex_init(&publisher->lock, NULL);
	pthread_cond_init(&publisher->answered, NULL);
	LIST_INIT(&publisher->dialling);
	LIST_INIT(&publisher->listeners);
	return publisher;
}

void publish_stop(struct publisher *publisher)
{
	if (!publisher)
		return;
	if (publisher->state != THREAD_NONE) {
		atomic_store(&publisher->stopping, true);
		wake(publisher);
		pthread_join(publisher->thread, NULL);
	}
	if (publisher->relay)
		publish_abandon(publisher);
	while (!LIST_EMPTY(&publisher->listeners))
		/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): closing takes it off the list */
		listener_close(LIST_FIRST(&publisher->listeners));
	peer_check_close(&publisher->peers);
	close(publisher->wake);
	pthread_cond_destroy(&publisher->answered);
	pthread_mutex_destroy(&publisher->lock);
	free(publisher);
}
