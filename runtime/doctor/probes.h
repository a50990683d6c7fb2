// SPDX-License-Identifier: GPL-2.0-or-later
/* doctor/probes.h: the probes, one function each; doctor.c's table says in which namespaces each runs and what it
 * means.
 */
#pragma once
#include "doctor/probe.h"

/* namespaces: probes_ns.c */
probe_fn probe_user_namespace; /* made, without looking at what it is good for */
probe_fn probe_id_map;	       /* in it: the maps are there, and every capability */
probe_fn probe_bounding_set;
probe_fn probe_new_namespaces; /* in any mix of them: those asked for are really new */
probe_fn probe_nested;	       /* a sandbox's namespaces as children of a network's */
probe_fn probe_setns_pidfd;

/* mounts, in namespaces of their own: probes_mount.c */
probe_fn probe_propagation;
probe_fn probe_tmpfs;
probe_fn probe_proc;
probe_fn probe_sysfs;
probe_fn probe_devpts;
probe_fn probe_mqueue;
probe_fn probe_mount_setattr;
probe_fn probe_move_mount;

/* the writable layer: probes_layer.c */
probe_fn probe_overlay;
probe_fn probe_whiteout;
probe_fn probe_layer_first;
probe_fn probe_layer_exec;

/* network, in namespaces of their own: probes_net.c */
probe_fn probe_address;
probe_fn probe_veth;
probe_fn probe_bridge;
probe_fn probe_nftables;

/* kernel features: probes_kernel.c */
probe_fn probe_seccomp;
probe_fn probe_landlock;
probe_fn probe_openat2;
probe_fn probe_close_range;
probe_fn probe_pidfd;
probe_fn probe_memfd_exec;

/* the account and its session: probes_account.c */
probe_fn probe_subids;
probe_fn probe_cgroup;
probe_fn probe_systemd;
probe_fn probe_runtime_dir;
probe_fn probe_limits;
