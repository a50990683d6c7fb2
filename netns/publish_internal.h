// SPDX-License-Identifier: GPL-2.0-or-later
/* netns/publish_internal.h: what the files publish*.c share. */
#pragma once
#include <pthread.h>
#include <stdatomic.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "netns/netns.h"
#include "netns/peer_check.h"
#include "netns/relay.h"

struct listener {
	struct relay_watch watch;
	struct publisher *publisher;
	LIST_ENTRY(listener) all;
	int fd;
	unsigned rule; /* publish_rule.id */
	uint16_t port; /* inside */
	bool checked;  /* ask whose connection it is */
	/* A UNIX socket's file, so that only that one is removed; owned. */
	char *unix_path;
	struct stat created;
};
LIST_HEAD(listener_list, listener);

/* A connection that was accepted and waits for the sandbox to accept it. */
struct dialling {
	struct relay_watch watch;
	struct publisher *publisher;
	LIST_ENTRY(dialling) all;
	int client, inner;
	int attempt;   /* index for inside_address() */
	uint16_t port; /* inside */
};

/* The second process, which takes half of the connections when there are many: publish_share.c. */
struct share {
	int channel;	     /* to it; -1: there is none */
	pid_t child;	     /* 0: not started */
	bool tried;	     /* to start it */
	unsigned long given; /* connections so far */
	atomic_ulong *ended; /* of those; memory of both processes */
};

enum { DELIVER_MS = 2000 /* for clients that read slowly */ };

enum thread_state { THREAD_NONE, THREAD_ENTERING, THREAD_SERVING, THREAD_FAILED };

/* Something another thread wants done in the inner one, between two turns of its loop. */
struct inner_call {
	int (*run)(struct publisher *publisher, void *argument);
	void *argument;
	int result; /* of run(); -ECANCELED when the thread has ended */
	bool done;
};

struct publisher {
	uint32_t address; /* the sandbox's own, host byte order; 0 for none */
	unsigned last_id; /* of a rule */

	/* Owned by the inner thread while it runs. */
	struct listener_list listeners;
	struct relay *relay;
	struct share share;
	struct relay_watch wake_watch;
	struct peer_check peers;
	LIST_HEAD(dialling_list, dialling) dialling;
	int spare;		/* an unconnected socket of the sandbox's network: the next connection's; -1 */
	bool paused;		/* not accepting: descriptors have run out */
	unsigned long ended_at; /* relay_ended() when that happened */
	uint64_t resume_at;	/* milliseconds of the monotonic clock */

	/* Between the threads. */
	pthread_t thread;
	int wake; /* eventfd */
	atomic_bool stopping;
	pthread_mutex_t lock;
	pthread_cond_t answered;
	_Atomic(enum thread_state) state;
	int netns;		     /* what to enter; only during publish_start() */
	struct azm_err *start_error; /* the same; filled when the state is FAILED */
	struct inner_call *call;     /* what is to be done; NULL: nothing */
};

union inside_address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

/**
 * inside_address() - where a server of the sandbox may be listening, in the order to try
 * @attempt: from 0
 *
 * Return: length of the address, 0 after the last
 */
socklen_t inside_address(const struct publisher *publisher, int attempt, uint16_t port, union inside_address *address);

/**
 * loopback_tuning() - give a socket buffers and a congestion control that fit loopback
 *
 * Left alone, the kernel grows buffers to several megabytes: what lies there has left the caches when it is copied out.
 * Small ones made a published port a third faster, and a stalled connection holds less of the kernel's memory. Loopback
 * loses nothing: reno does least there, where a host's default may pace every packet with a timer (bbr).
 */
void loopback_tuning(int fd);

/** inside_socket() - non-blocking TCP socket of the calling thread's network. Return: fd, -1 with errno. */
int inside_socket(int family);

/** inner_call() - have the inner thread do something and wait for it; done at once when it does not run. Return: what
 * @run returned, -ECANCELED when the thread has ended. */
int inner_call(struct publisher *publisher, int (*run)(struct publisher *publisher, void *argument), void *argument);

/** inner_answer() - the inner thread's side: do what is wanted, if anything. */
void inner_answer(struct publisher *publisher);

/** publish_prepare() - make the loop and put the listeners into it. Return: 0, -1 with @err. */
int publish_prepare(struct publisher *publisher, struct azm_err *err);

/** publish_serve() - the inner thread's work: accept, dial, relay until told to stop. */
void publish_serve(struct publisher *publisher);

/** publish_deliver() - keep a loop going until clients have what the sandbox had sent, but not for long. */
void publish_deliver(struct relay *relay);

/**
 * share_give() - hand a connection to the second process if it is its turn
 * @kept: connections the caller's own loop has
 *
 * Return: whether the sockets were taken over
 */
bool share_give(struct share *share, unsigned long kept, int client, int inner);

/** share_close() - have the second process deliver what there is, and end. */
void share_close(struct share *share);

/** share_stop() - share_close(), and see to it that it has ended. By the thread that calls share_give(). */
void share_stop(struct share *share);

/** publish_abandon() - after the thread has ended: reset what is still connected and release the loop. */
void publish_abandon(struct publisher *publisher);

/** listener_watch() - begin to accept. Return: 0, -1 with errno. */
int listener_watch(struct listener *listener);

/** listener_close() - close and free it, remove a UNIX socket's file. */
void listener_close(struct listener *listener);

/** unix_listen() - a listening socket with mode 0600 at a path of any length. Return: fd, -1 with @err. */
int unix_listen(const char *path, struct azm_err *err);
