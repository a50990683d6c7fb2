// SPDX-License-Identifier: GPL-2.0-or-later
/* netns/publish.c: the inner thread's life, see publish_start() and publish_stop() in netns.h.
 *
 * Theory of operation
 *
 * The supervisor stays in the host's network; one thread of it enters the sandbox's. It starts after the sandbox was
 * cloned (only a process without threads may clone one), blocks all signals so that the main thread gets them, drops
 * its capabilities once it is inside, and from then on needs only sockets, epoll and pipes. Other threads talk to it
 * through an eventfd: to stop it, or to be given a socket of the sandbox's network, which keeps its namespace wherever
 * it is used.
 */
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/cleanup.h"
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
	if (publisher->started)
		return err_msg(err, EALREADY, "start publishing", NULL, "it has been started");
	if (publish_prepare(publisher, err) < 0)
		return -1;
	publisher->address = address;
	publisher->netns = sandbox_netns;
	publisher->start_error = err;
	publisher->state = THREAD_ENTERING;
	int code = thread_start(&publisher->thread, inner_thread, publisher);
	if (code)
		return err_code(err, code, "start the publishing thread", NULL);
	publisher->started = true;

	pthread_mutex_lock(&publisher->lock);
	while (publisher->state == THREAD_ENTERING)
		pthread_cond_wait(&publisher->answered, &publisher->lock);
	bool serving = publisher->state == THREAD_SERVING;
	pthread_mutex_unlock(&publisher->lock);
	return serving ? 0 : -1;
}

static void wake(struct publisher *publisher)
{
	static const uint64_t one = 1;

	(void)!write(publisher->wake, &one, sizeof one);
}

int inside_socket_request(struct publisher *publisher, int family)
{
	pthread_mutex_lock(&publisher->lock);
	publisher->wanted_family = family;
	wake(publisher);
	while (publisher->wanted_family && publisher->state == THREAD_SERVING)
		pthread_cond_wait(&publisher->answered, &publisher->lock);
	int fd = publisher->wanted_family ? -ECANCELED : publisher->made;
	publisher->wanted_family = 0;
	pthread_mutex_unlock(&publisher->lock);
	if (fd < 0)
		errno = -fd;
	return fd < 0 ? -1 : fd;
}

void publish_stop(struct publisher *publisher)
{
	if (!publisher)
		return;
	if (publisher->started) {
		atomic_store(&publisher->stopping, true);
		wake(publisher);
		pthread_join(publisher->thread, NULL);
	}
	if (publisher->relay)
		publish_abandon(publisher);
	publish_close_listeners(publisher);
	peer_check_close(&publisher->peers);
	if (publisher->wake >= 0)
		close(publisher->wake);
	pthread_cond_destroy(&publisher->answered);
	pthread_mutex_destroy(&publisher->lock);
	free(publisher);
}
