// SPDX-License-Identifier: GPL-2.0-or-later
/* supervisor.h: one process on the host for each running sandbox.
 *
 * Theory of operation
 *
 * supervisor_start() takes the sandbox from a locked directory to a running workload; supervisor_serve() is the loop
 * that relays, obeys and waits; supervisor_end() leaves nothing behind. The order of the start follows from what each
 * step may still do:
 *
 *     as the user on the host   image and volumes opened, cgroup made, ports bound, network joined (newuidmap)
 *     enter the network         setns into its user namespace, for good; the host's network and files stay ours
 *     clone                     one clone(2); maps written; the plan; veth, address
 *     settle                    lockdown; for a server of ours the thread that publishes, else the first client has it
 *     azm-init reports BUILT    a terminal is taken over, go
 *     azm-init reports STARTED
 *
 * If it dies at any point, the kernel kills azm-init (pdeathsig, and end of file on the command pipe) and with it the
 * sandbox.
 */
#pragma once
#include <jansson.h>
#include <pthread.h>
#include <stdbool.h>
#include <sys/types.h>

#include "config.h"
#include "control.h"
#include "egress_service.h"
#include "guard.h"
#include "resources.h"
#include "make_plan.h"
#include "netns/netns.h"
#include "networks.h"
#include "netns/pasta.h"
#include "state.h"
#include "status.h"
#include "streams.h"

struct supervisor {
	const struct config *config;
	const struct state *state;
	int dir;  /* the sandbox's directory */
	int lock; /* held for as long as we live */
	bool foreground;

	struct launch launch;
	struct cgroup cgroup;
	struct publish_rule *rules;
	size_t rule_count;
	struct publisher *publisher;
	unsigned server_rule; /* id of the rule that nobody asked for, for the server; 0: none */
	struct network network;
	struct network_record record; /* of the network the sandbox is on, when it is one the user made */
	int knocked;		      /* the keeper's answer is on its way here; 0: not asked */
	struct egress_service egress;
	struct pasta pasta; /* of --egress-engine pasta */
	struct child child;
	int netns; /* the sandbox's */
	struct child_stdio stdio;
	struct streams streams;
	struct control control;
	struct guard guard;
	struct status status;

	int signals;	  /* signalfd */
	int disk;	  /* what the watcher of --disk says; -1 */
	int ready;	  /* read end: result of waiting for the server; -1 */
	int ready_cancel; /* write end: closing it ends the waiting */
	pthread_t ready_thread;
	long long stop_at;    /* monotonic milliseconds: when the grace of a stop is over; 0: not stopping */
	long long publish_at; /* likewise: when to try again to serve the published ports; 0: when somebody connects */
	long long trim_at;    /* likewise: when to give back what only the start needed; 0: done */
	bool paused, held;
	bool ended;
	/* Called once when the sandbox is ready. Return -1 to stop it. */
	int (*on_ready)(struct supervisor *supervisor, void *context, struct azm_err *err);
	void *context;
};

/**
 * supervisor_knock() - let the network's keeper wake up while the sandbox's directory is being made
 *
 * Return: what belongs into supervisor.knocked; 0 when there is no keeper
 */
int supervisor_knock(const struct config *config, const struct state *state);

/** supervisor_init() - all descriptors to -1. */
void supervisor_init(
	struct supervisor *supervisor, const struct config *config, const struct state *state, int dir, int lock);

/** supervisor_block_signals() - from now on signals wait for supervisor_start(): nothing that is being made is left
 * half-way. */
void supervisor_block_signals(void);

/** supervisor_start() - up to a started workload. Return: 0, or -1 with @err set; call supervisor_end() in both cases.
 */
int supervisor_start(struct supervisor *supervisor, struct azm_err *err);

/** supervisor_serve() - until the sandbox is gone. Return: 0, or -1 with @err set (it did not become ready, azm-init
 * failed). */
int supervisor_serve(struct supervisor *supervisor, struct azm_err *err);

/** supervisor_stop() - TERM to the workload now, KILL of everything after @seconds. */
void supervisor_stop(struct supervisor *supervisor, unsigned seconds);

/** supervisor_signal() - deliver one signal to the workload through azm-init. To a paused one it is delivered when it
 * goes on, which the signals that end it make it do, as Docker. */
void supervisor_signal(struct supervisor *supervisor, int signal);

/**
 * supervisor_pause() - let nothing inside run any more
 *
 * Through the freezer of the sandbox's cgroup when there is one, else azm-init stops all processes with one kill(-1),
 * which forks in progress do not escape (Linux 4.19). The kernel acts on its own time: the asking command looks whether
 * everything has stopped, and asks again. Return: 0, -1 with @err set
 */
int supervisor_pause(struct supervisor *supervisor, struct azm_err *err);
int supervisor_resume(struct supervisor *supervisor, struct azm_err *err);

/** supervisor_hold() - the same for the moment of a command that looks at the files (pause.h): no state of the sandbox,
 * beside a pause. One at a time: the lock of pause.h sees to that. */
void supervisor_hold(struct supervisor *supervisor, bool on);

/** supervisor_publish() - start serving the published ports. Return: 0, -1 with @err set */
int supervisor_publish(struct supervisor *supervisor, struct azm_err *err);

/** supervisor_kill() - end the sandbox at once. */
void supervisor_kill(struct supervisor *supervisor);

/** supervisor_end() - wait for the sandbox's end, release everything, write down what became of it. */
void supervisor_end(struct supervisor *supervisor);
