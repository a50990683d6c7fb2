// SPDX-License-Identifier: GPL-2.0-or-later
/* supervisor.c: starting and ending a sandbox, see supervisor.h. The loop in between is supervisor_loop.c. */
#include "supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/tree.h"
#include "disk.h"
#include "doctor/hints.h"
#include "embed.h"
#include "host_sockets.h"
#include "idmap.h"
#include "lockdown.h"
#include "named_volumes.h"
#include "published.h"
#include "sweep.h"
#include "volumes.h"

enum { KEEPER_GRACE = 60, KILL_TIMEOUT_MS = 10000 };

/* "private" and "none" share the user's own bridge. */
static bool is_private(const struct config *config)
{
	return network_is_builtin(config->network);
}

/* A private network whose namespace maps sub-ids and one that maps a single id are two networks: either kind of sandbox
 * finds its own. On a network with a name they meet. */
static const char *private_name(const struct config *config)
{
	return strcmp(config->userns, "single") == 0 ? "private-single" : "private";
}

int supervisor_knock(const struct config *config, const struct state *state)
{
	return is_private(config) ? network_knock(state->live, private_name(config), embed_init_tag()) : 0;
}

void supervisor_init(struct supervisor *s, const struct config *config, const struct state *state, int dir, int lock)
{
	*s = (struct supervisor){ .config = config,
		.state = state,
		.dir = dir,
		.lock = lock,
		.netns = -1,
		.signals = -1,
		.disk = -1,
		.ready = -1,
		.ready_cancel = -1,
		.cgroup = CGROUP_NONE,
		.launch = { .image = { 0 } },
		.network = { .userns = -1,
			.netns = -1,
			.keeper = -1,
			.kept_fd = -1,
			.rtnl = -1,
			.lease_fd = -1,
			.filter = -1 },
		.egress = EGRESS_SERVICE_NONE,
		.pasta = PASTA_NONE,
		.child = { .pidfd = -1, .plan = -1, .report = -1, .command = -1 },
		.stdio = { -1, -1, -1 },
		.control = { .listener = -1 },
		.status = { .wait_status = -1 } };
	streams_init(&s->streams);
}

static const int watched_signals[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGWINCH, SIGCHLD };

static void watched_set(sigset_t *set)
{
	sigemptyset(set);
	for (size_t i = 0; i < sizeof watched_signals / sizeof *watched_signals; i++)
		sigaddset(set, watched_signals[i]);
}

/* SIGTTIN and SIGTTOU only turn into errors. */
void supervisor_block_signals(void)
{
	sigset_t set;

	watched_set(&set);
	sigaddset(&set, SIGTTIN);
	sigaddset(&set, SIGTTOU);
	sigaddset(&set, SIGTSTP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
}

/* Signals are events of the loop: nothing is interrupted half-way. */
static int watch_signals(struct supervisor *s, struct azm_err *err)
{
	sigset_t set;

	supervisor_block_signals();
	watched_set(&set);
	s->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return s->signals < 0 ? err_sys(err, "watch for signals", NULL) : 0;
}

static int write_network_maps(pid_t pid, void *context, struct azm_err *err)
{
	const struct supervisor *s = context;
	struct subids subids = { 0 };

	if (!is_private(s->config) || strcmp(s->config->userns, "single") != 0)
		subids = subids_find();
	return idmap_network(pid, &subids, err);
}

static int make_kept(void *context, struct azm_err *err)
{
	const struct supervisor *s = context;

	return embed_init_open(s->state, err);
}

/* AZM_KEEPER_GRACE: how many seconds an unused network is kept for the next run; the tests want to see it go. */
static unsigned keeper_grace(void)
{
	const char *text = getenv("AZM_KEEPER_GRACE");
	uint64_t seconds;

	return text && str_to_u64(text, 3600, &seconds) ? (unsigned)seconds : KEEPER_GRACE;
}

static int avoid_networks(struct subnet_list *list, void *context, struct azm_err *err)
{
	const struct supervisor *s = context;

	return network_subnets(s->state, list, err);
}

/* The record of a network the user made. What it forbids is said before anything is made. */
static int find_network(struct supervisor *s, struct azm_err *err)
{
	const struct config *config = s->config;

	if (network_find(s->state, config->network, &s->record, err) < 0)
		return -1;
	if (s->record.internal && strcmp(config->egress, "none") != 0) {
		err_msg(err, EPERM, "join network", config->network, "it is internal: --egress is not for its members");
		return err_hint(err, "use a network that was created without --internal");
	}
	return 0;
}

static int join_network(struct supervisor *s, struct azm_err *err)
{
	if (!is_private(s->config) && find_network(s, err) < 0)
		return -1;
	cleanup_free char *live_name = s->record.name ? network_live_name(&s->record) : NULL;
	struct network_options options = { .live_dirfd = s->state->live,
		.live_path = s->state->live_path,
		.name = live_name ? live_name : private_name(s->config),
		.isolated = !live_name,
		.subnet = s->record.subnet,
		.avoid = avoid_networks,
		.keep_fd = -1,
		.make_kept = make_kept,
		.keep_tag = embed_init_tag(),
		.grace_seconds = keeper_grace(),
		.knocked = s->knocked,
		.write_maps = write_network_maps,
		.context = s };

	s->knocked = 0; /* network_join() owns it now */
	if (network_join(&options, &s->network, err) < 0 || network_enter(&s->network, err) < 0)
		return -1;
	if (strcmp(s->config->network, "none") == 0)
		return 0;
	if (network_lease(&s->network, err) < 0)
		return -1;
	s->status.address = s->network.address;
	return 0;
}

static bool wants_pasta(const struct supervisor *s)
{
	return strcmp(s->config->egress_engine, "pasta") == 0;
}

/* On a network with a name: the others find us. (That nobody sends as somebody else is egress_begin()'s, before the
 * workload begins.) */
static int tell_names(struct supervisor *s, struct azm_err *err)
{
	const struct config *config = s->config;

	if (network_name_set(&s->network, config->name, err) < 0)
		return -1;
	if (config->hostname && network_name_set(&s->network, config->hostname, err) < 0)
		return -1;
	for (size_t i = 0; i < config->network_alias.count; i++)
		if (network_name_set(&s->network, config->network_alias.items[i], err) < 0)
			return -1;
	return 0;
}

static int wire_up(struct supervisor *s, struct azm_err *err)
{
	char path[64];

	snprintf(path, sizeof path, "/proc/%d/ns/net", (int)s->child.pid);
	s->netns = open(path, O_RDONLY | O_CLOEXEC);
	if (s->netns < 0)
		return err_sys(err, "open the sandbox's network", path);
	if (strcmp(s->config->network, "none") == 0)
		return network_loopback_up(s->netns, err);
	if (network_attach(&s->network, !s->record.name, s->netns, false, err) < 0 ||
		(s->record.name && tell_names(s, err) < 0))
		return -1;
	return wants_pasta(s) ? pasta_connect(&s->pasta, s->network.userns, s->netns, err) : 0;
}

/* Inside root may make set-id files (dpkg does), other users may not: the filter forbids it. */
static int mark_for_sweep(const struct supervisor *s, struct azm_err *err)
{
	const struct mount_plan *mounts = &s->launch.plan.mount;
	bool set_id = s->status.wide || s->launch.identity.uid == 0 || s->config->seccomp;
	bool shared = false;

	for (size_t i = 0; i < mounts->volume_count; i++)
		shared = shared || volume_is_shared(&mounts->volumes[i]);
	return shared && (set_id || strcmp(s->config->guard, "off") != 0) ? sweep_mark(s->dir, mounts, set_id, err) : 0;
}

/* The sandbox comes as early as it can: what azm-init is to know is put together while the kernel starts it on another
 * processor. */
static int spawn(struct supervisor *s, struct azm_err *err)
{
	const struct identity *identity = &s->launch.identity;

	if (spawn_sandbox(s->network.kept_fd, &s->stdio, &s->child, err) < 0)
		return -1;
	streams_close_child(&s->stdio);
	s->status.pid = s->child.pid;
	/* A network that the user made may be wide for others. */
	bool wide = idmap_is_wide() && strcmp(s->config->userns, "single") != 0;
	s->status.wide = wide;
	if (launch_finish(s->config, s->state, wide, s->status.address, s->network.gateway, &s->launch, err) < 0 ||
		mark_for_sweep(s, err) < 0 || control_open(&s->control, s->state, s->config->name, err) < 0)
		return -1;
	if (idmap_sandbox(s->child.pid, identity->uid, identity->gid, wide, err) < 0 ||
		cgroup_add(&s->cgroup, s->child.pid, err) < 0)
		return -1;
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	/* azm-init mounts while we wire up. */
	return spawn_send_plan(&s->child, &s->launch.plan, err) < 0 ? -1 : wire_up(s, err);
}

/* The next report, or an error when azm-init died or the user interrupted the start. */
static int await(struct supervisor *s, enum report_kind kind, struct report *report, struct azm_err *err)
{
	struct pollfd polls[] = { { .fd = s->child.report, .events = POLLIN }, { .fd = s->signals, .events = POLLIN } };
	struct signalfd_siginfo info;

	for (;;) {
		if (poll(polls, 2, -1) < 0 && errno != EINTR)
			return err_sys(err, "wait for azm-init", NULL);
		if (polls[0].revents)
			break;
		if (polls[1].revents && read(s->signals, &info, sizeof info) == (ssize_t)sizeof info &&
			(info.ssi_signo == SIGINT || info.ssi_signo == SIGTERM || info.ssi_signo == SIGHUP)) {
			err_msg(err, EINTR, "start", NULL, "interrupted");
			err->exit_status = 128 + (int)info.ssi_signo;
			return -1;
		}
	}
	int result = spawn_report(&s->child, report, err);
	if (result == 1)
		return err_msg(err, ECHILD, "start azm-init", NULL, "it died without a word");
	if (result == 0 && report->kind != kind)
		return err_msg(err, EPROTO, "start azm-init", NULL, "unexpected report %u", report->kind);
	return result;
}

static void fill_status(struct supervisor *s)
{
	struct status *status = &s->status;

	status->supervisor = getpid();
	status->uid = s->launch.identity.uid;
	status->gid = s->launch.identity.gid;
	status->cgroup = s->cgroup.path;
	status->serves = s->launch.serves;
	status->server_port = s->launch.server_port;
	published_status(s);
}

/* What is to be removed at its end says so in the directory: a crash then leaves it to anybody's next command. */
static int mark_for_removal(const struct supervisor *s, struct azm_err *err)
{
	if (!s->config->remove) {
		unlinkat(s->dir, "remove-me", 0); /* a spare directory may have it (spare.h) */
		return 0;
	}
	cleanup_fd int fd = openat(s->dir, "remove-me", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	return fd < 0 ? err_sys(err, "mark for removal", s->config->name) : 0;
}

int supervisor_publish(struct supervisor *s, struct azm_err *err)
{
	return publish_start(s->publisher, s->netns, s->status.address, err);
}

/* What the rest of our life needs, and nothing else. Before any thread is made: a thread inherits what the process gave
 * up, it does not learn of it later. */
static int settle(struct supervisor *s, struct azm_err *err)
{
	s->disk = disk_watch(s->config, s->dir, err);
	if (s->disk < 0 && disk_plan(s->config) == DISK_WATCHED)
		return -1;
	fill_status(s);
	if (status_save(s->config, &s->status, s->dir, err) < 0 ||
		supervisor_lockdown(s->state, &s->launch.plan.mount, strcmp(s->config->guard, "off") != 0, s->rules,
			s->rule_count, s->cgroup.parent, err) < 0)
		return -1;
	if (s->rule_count && (s->launch.serves ? supervisor_publish(s, err) : publish_await(s->publisher, err)) < 0)
		return -1;
	return egress_begin(s, err);
}

/* Without a terminal there is nothing to be done between BUILT and the workload: the second go byte is sent ahead, so
 * that azm-init never has to be woken for it, and we settle while it mounts. With egress there is: the workload's first
 * connection must find its broker. */
static int launch_workload(struct supervisor *s, struct azm_err *err)
{
	bool tty = s->config->tty, ahead = !egress_wanted(s->config);
	struct report report = { 0 };

	if (!tty && (ahead ? spawn_go(&s->child, err) < 0 || settle(s, err) < 0
			   : settle(s, err) < 0 || spawn_go(&s->child, err) < 0))
		return -1;
	if (await(s, REPORT_BUILT, &report, err) < 0)
		return -1;
	if (tty && (streams_take_terminal(&s->streams, s->child.pidfd, report.value, s->config->interactive, err) < 0 ||
			   settle(s, err) < 0 || spawn_go(&s->child, err) < 0))
		return -1;
	if (await(s, REPORT_STARTED, &report, err) < 0)
		return -1;
	named_volumes_filled(&s->launch);
	return 0;
}

int supervisor_start(struct supervisor *s, struct azm_err *err)
{
	const struct config *config = s->config;

	raise_open_files(); /* each published connection takes two */
	if (watch_signals(s, err) < 0 || mark_for_removal(s, err) < 0 ||
		launch_prepare(config, s->state, s->dir, &s->launch, err) < 0 ||
		host_sockets_check(config, &s->launch.plan.mount, err) < 0 ||
		guard_prepare(config, s->state, s->dir, &s->launch.plan.mount, &s->guard, err) < 0)
		return -1;
	if (streams_open(&s->streams, config->interactive, config->tty, s->foreground, s->dir, &s->stdio, err) < 0 ||
		log_limits_parse(&config->log_opts, &s->streams.log.limits, err) < 0 ||
		cgroup_make(config, config->name, &s->cgroup, err) < 0 || published_open(s, err) < 0)
		return -1;
	if (egress_prepare(s, err) < 0 || (wants_pasta(s) && pasta_prepare(&s->pasta, s->dir, err) < 0))
		return -1;
	if (join_network(s, err) < 0 || spawn(s, err) < 0 || launch_workload(s, err) < 0) {
		spawn_reason(&s->child, err);
		if (!err->hint[0])
			hint_for_failure(err);
		return -1;
	}
	return 0;
}

static void reap(struct supervisor *s)
{
	struct pollfd polled = { .fd = s->child.pidfd, .events = POLLIN };

	if (s->child.pid <= 0)
		return;
	if (!s->ended)
		kill(s->child.pid, SIGKILL);
	/* Process 1 is a zombie only after every other process of its namespace is gone. */
	if (poll(&polled, 1, KILL_TIMEOUT_MS) > 0)
		waitpid(s->child.pid, NULL, 0);
	else
		fprintf(stderr, "azm-sandbox: sandbox \"%s\" does not die: a process is stuck in the kernel\n",
			s->config->name);
	s->child.pid = 0;
}

static void keep_or_remove(struct supervisor *s)
{
	struct azm_err err = { 0 };

	if (s->config->remove) {
		if (sandbox_remove_later(s->state, s->config->name, s->lock, &err) < 0)
			err_print(&err, "azm-sandbox");
	} else if (s->status.wait_status >= 0 && status_save(s->config, &s->status, s->dir, &err) < 0) {
		err_print(&err, "azm-sandbox");
	}
}

/* Said where it is looked for: in inspect, on our stderr, in the log. */
static void report_oom(struct supervisor *s)
{
	unsigned long long kills = cgroup_oom_kills(&s->cgroup);

	if (kills == 0)
		return;
	s->status.oom_killed = true;
	cleanup_free char *line = xasprintf("azm-sandbox: sandbox \"%s\" ran out of memory: the kernel killed %llu of "
					    "its processes (--memory %llu)\n",
		s->config->name, kills, (unsigned long long)s->config->memory);
	fputs(line, stderr);
	streams_log(&s->streams, line);
}

void supervisor_end(struct supervisor *s)
{
	if (s->child.plan >= 0)
		close(steal_fd(&s->child.plan));
	reap(s);
	streams_drain(&s->streams);
	streams_tell_exit(&s->streams, status_exit_code(s->status.wait_status));
	report_oom(s);
	streams_close(&s->streams);
	streams_close_child(&s->stdio);
	if (s->ready_cancel >= 0) {
		close(steal_fd(&s->ready_cancel));
		pthread_join(s->ready_thread, NULL);
	}
	publish_stop(s->publisher);
	s->publisher = NULL;
	egress_end(s);
	pasta_end(&s->pasta);
	network_leave(&s->network);
	network_record_free(&s->record);
	if (s->knocked > 0)
		close(s->knocked);
	s->status.cgroup = NULL;
	cgroup_remove(&s->cgroup);
	guard_close(&s->guard);
	s->status.guard = sweep(s->dir, s->state);
	s->status.pid = 0;
	launch_unlock(&s->launch);
	/* The name becomes free with its directory: whoever takes it next makes a socket of the same name. */
	control_hide(&s->control);
	keep_or_remove(s);
	/* Whoever is told of the end may start it again, remove it or its network at once. */
	if (s->lock >= 0)
		close(steal_fd(&s->lock));
	control_end(&s->control, s->status.wait_status);
	child_close(&s->child);
	s->status.ports = NULL; /* nothing is published any more */
	s->status.port_count = 0;
	publish_rules_free(s->rules, s->rule_count);
	s->rules = NULL;
	s->rule_count = 0;
	int *fds[] = { &s->netns, &s->signals, &s->ready, &s->disk };
	for (size_t i = 0; i < sizeof fds / sizeof *fds; i++)
		if (*fds[i] >= 0)
			close(steal_fd(fds[i]));
	launch_free(&s->launch);
}
