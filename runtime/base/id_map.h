// SPDX-License-Identifier: GPL-2.0-or-later
/* base/id_map.h: which ids a new user namespace has; user_namespaces(7). */
#pragma once
#include <sys/types.h>

#include "base/err.h"

/** id_map_write() - one of "setgroups", "uid_map", "gid_map" of a process, 0 for the caller. Return: 0, -1 with @err */
int id_map_write(pid_t pid, const char *file, const char *text, struct azm_err *err);

/** id_map_single() - one user id and one group id, which needs no privilege; as id_map_write(). */
int id_map_single(
	pid_t pid, uid_t inside_uid, uid_t outside_uid, gid_t inside_gid, gid_t outside_gid, struct azm_err *err);
