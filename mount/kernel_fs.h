// SPDX-License-Identifier: GPL-2.0-or-later
/* mount/kernel_fs.h: /dev, /proc and /sys of the sandbox. */
#pragma once
#include "mount/build.h"

/** open_host_null() - the host's /dev/null, checked to be it. Return: O_PATH descriptor, or -1 with @err set. */
[[gnu::nonnull]] int open_host_null(struct azm_err *err);

/** dev_make() - /dev with its nodes and links, /dev/pts, /dev/shm, /dev/mqueue. Return: 0, or -1. */
[[gnu::nonnull]] int dev_make(const struct build *b, struct azm_err *err);

/**
 * proc_make() - /proc as the plan says
 * @ahead:	what mount_proc_ahead() returned
 *
 * Return: 0, or -1 with a hint when an outer container hides parts of /proc
 */
[[gnu::nonnull]] int proc_make(const struct build *b, int ahead, struct azm_err *err);

/** sys_make() - /sys, read-only, and /sys/fs/cgroup when the plan has it. Return: 0, or -1. */
[[gnu::nonnull]] int sys_make(const struct build *b, struct azm_err *err);
