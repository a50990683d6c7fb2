// SPDX-License-Identifier: GPL-2.0-or-later
/* base/id_map.c: see id_map.h */
#include "base/id_map.h"

#include <stdio.h>

#include "base/io.h"

int id_map_write(pid_t pid, const char *file, const char *text, struct azm_err *err)
{
	char path[64];

	if (pid)
		snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, file);
	else
		snprintf(path, sizeof path, "/proc/self/%s", file);
	return write_path(path, text) < 0 ? err_sys(err, "write", path) : 0;
}

int id_map_single(
	pid_t pid, uid_t inside_uid, uid_t outside_uid, gid_t inside_gid, gid_t outside_gid, struct azm_err *err)
{
	char map[64];

	if (id_map_write(pid, "setgroups", "deny", err) < 0)
		return -1;
	snprintf(map, sizeof map, "%u %u 1", inside_uid, outside_uid);
	if (id_map_write(pid, "uid_map", map, err) < 0)
		return -1;
	snprintf(map, sizeof map, "%u %u 1", inside_gid, outside_gid);
	return id_map_write(pid, "gid_map", map, err);
}
