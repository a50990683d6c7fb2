// SPDX-License-Identifier: GPL-2.0-or-later
/* doctor/explain.h: from a failure and the facts of the host to the reason and the way out.
 *
 * Pure functions, one a topic: no file is read and nothing is tried here. `doctor` shows their advice for every probe,
 * and `run` the first lines of it as the hint of the step that failed (hints.h).
 */
#pragma once
#include <stdbool.h>

#include "base/err.h"
#include "base/str.h"
#include "doctor/host.h"

struct advice {
	char cause[320];     /* one sentence without a full stop; "" when the errno says it all */
	struct str_list fix; /* each one line: a command for a shell, or what to do */
	bool apparmor;	     /* the profile for our own path (apparmor.h) cures it: more than a line */
};

#define cleanup_advice [[gnu::cleanup(advice_free)]]

void advice_free(struct advice *advice);

/* @failure is set; @advice starts empty and is owned by the caller. */
typedef void explain_fn(const struct host_facts *host, const struct azm_err *failure, struct advice *advice);

/* A user namespace could not be made. */
explain_fn explain_userns;
/* Some other namespace could not be made; the facts tell which. */
explain_fn explain_namespace;
/* The user namespace is there, but what its owner may do in it was refused. The four symptoms of AppArmor's restriction
 * end here: writing uid_map, RTM_NEWADDR, mount / rslave, dropping from the bounding set. */
explain_fn explain_restricted;
explain_fn explain_mount;
explain_fn explain_proc;
explain_fn explain_overlay;
explain_fn explain_links;
explain_fn explain_nftables;
explain_fn explain_seccomp;
explain_fn explain_syscall; /* the kernel is too old, or a filter pretends that it is */
explain_fn explain_memfd;
explain_fn explain_subids;
explain_fn explain_cgroup;
explain_fn explain_systemd;
explain_fn explain_runtime_dir;
explain_fn explain_layer_exec;
explain_fn explain_limits;
