// SPDX-License-Identifier: GPL-2.0-or-later
/* lockdown.h: what the supervisor gives up once the sandbox runs.
 *
 * It parses bytes the sandbox writes (reports, logs, connections) with the user's whole account behind it. After the
 * start it needs little: its own files, sockets, signals to one process.
 */
#pragma once
#include "base/err.h"
#include "mount/mount.h"
#include "netns/netns.h"
#include "state.h"

/**
 * supervisor_lockdown() - capabilities, Landlock, seccomp, for good
 * @mounts:	the writable mounts' directories stay readable, to be swept at the end
 * @guarded:	names in them can be removed and renamed, too, and git's configuration read
 * @rules:	the directories of published UNIX sockets stay open for their removal
 *
 * @cgroups:	where the sandbox's own cgroup is removed at the end; -1: nowhere
 *
 * The sandboxes' and the live directory stay writable, /proc readable; nothing can be executed.
 *
 * Where the kernel has no Landlock that layer is left out (it is a second line, not the boundary). Return: 0, or -1
 * with @err set
 */
int supervisor_lockdown(const struct state *state, const struct mount_plan *mounts, bool guarded,
	const struct publish_rule *rules, size_t rule_count, int cgroups, struct azm_err *err);
