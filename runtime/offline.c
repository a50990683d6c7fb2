// SPDX-License-Identifier: GPL-2.0-or-later
/* offline.c: see offline.h. */
#include "offline.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "disk.h"
#include "host_sockets.h"
#include "named_volumes.h"
#include "sweep.h"

int offline_begin(
	struct offline *offline, struct config *config, const struct state *state, int dir, struct azm_err *err)
{
	*offline = (struct offline){ .config = config, .state = state, .dir = dir };
	if (disk_plan(config) == DISK_MEMORY) {
		err_msg(err, EINVAL, "copy", config->name,
			"its writable layer was in memory (--storage-opt mode=memory) and ended with it");
		return -1;
	}
	/* Hardware that is gone is no reason to keep the files, too. */
	str_list_free(&config->devices);
	free(config->gpus);
	config->gpus = NULL;
	if (strcmp(config->userns, "single") != 0)
		offline->subids = subids_find();
	struct launch *launch = &offline->launch;
	return launch_prepare(config, state, dir, launch, err) < 0 ||
			       host_sockets_check(config, &launch->plan.mount, err) < 0 ||
			       guard_prepare(config, state, dir, &launch->plan.mount, &offline->guard, err) < 0
		       ? -1
		       : 0;
}

bool offline_is_wide(const struct offline *offline)
{
	return offline->subids.usable;
}

struct job {
	struct offline *offline;
	int init;
	const struct child_stdio *stdio;
	int said; /* write end: how many objects were passed over */
};

/* In a user namespace like a network's. */
static int build_and_copy(void *context, struct azm_err *err)
{
	const struct job *job = context;
	struct offline *offline = job->offline;
	struct launch *launch = &offline->launch;
	struct child child = { .pidfd = -1, .plan = -1, .report = -1, .command = -1 };
	bool wide = idmap_is_wide();
	int32_t skipped = 0;

	if (launch_finish(offline->config, offline->state, wide, 0, 0, launch, err) < 0 ||
		spawn_sandbox(job->init, job->stdio, &child, err) < 0)
		return -1;
	/* Their ends are azm-init's alone: the other side has to see them close. */
	close(job->stdio->in);
	close(job->stdio->out);
	int result = idmap_sandbox(child.pid, launch->identity.uid, launch->identity.gid, wide, err);
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	if (result == 0)
		result = spawn_copy(&child, &launch->plan, &skipped, err);
	kill(child.pid, SIGKILL);
	while (waitpid(child.pid, NULL, 0) < 0 && errno == EINTR)
		continue;
	child_close(&child);
	return result == 0 && write_full(job->said, &skipped, sizeof skipped) < 0 ? err_sys(err, "copy", NULL) : result;
}

int offline_copy(struct offline *offline, int init, const struct plan_copy *copy, const struct child_stdio *stdio,
	int32_t *skipped, struct azm_err *err)
{
	struct plan *plan = &offline->launch.plan;
	int said[2];

	if (pipe_pair(said, err) < 0)
		return -1;
	cleanup_fd int heard = said[0];
	struct job job = { .offline = offline, .init = init, .stdio = stdio, .said = said[1] };
	plan->copy = *copy;
	plan->tty = false;
	int result = idmap_in_child(&offline->subids, build_and_copy, &job, err);
	close(said[1]);
	close(stdio->in);
	close(stdio->out);
	if (result == 0 && read_full(heard, skipped, sizeof *skipped) != (ssize_t)sizeof *skipped)
		return err_msg(err, ECHILD, "copy", NULL, "the process inside was killed");
	return result;
}

void offline_end(struct offline *offline, bool good)
{
	if (good)
		named_volumes_filled(&offline->launch);
	guard_close(&offline->guard);
	/* Nothing was marked for it: only what was held is taken away. */
	json_decref(sweep(offline->dir, offline->state));
	launch_unlock(&offline->launch);
	launch_free(&offline->launch);
}
