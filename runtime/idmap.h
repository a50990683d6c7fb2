// SPDX-License-Identifier: GPL-2.0-or-later
/* idmap.h: who is who between the host, a network's user namespace and a sandbox's.
 *
 * Two worlds (design: Identity). Without sub-ids one id is mapped: inside any number the user likes, outside the
 * invoking user. With /etc/subuid and newuidmap the network's namespace holds the invoking user as 0 and the sub-ids
 * from 1 up; a sandbox maps 0..65535 within it, its inside user being the invoking user (podman's keep-id). newuidmap
 * runs once per network, never per sandbox.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

struct subids {
	bool usable;	 /* ranges for user and group, and both helpers */
	int lack;	 /* else an errno value: ENOENT helpers, EPERM privilege, EUSERS user name, ESRCH ranges */
	const char *why; /* the same in words */
	uint32_t uid_start, uid_count;
	uint32_t gid_start, gid_count;
};

/** subids_find() - the caller's first large enough ranges of /etc/subuid and /etc/subgid, by name or number. Never
 * fails: no entry is a normal case, and so is a process in which the set-uid helpers could gain nothing. */
struct subids subids_find(void);

/**
 * subids_find_range() - the range of one file (subuid(5))
 * @name:	the caller's name; entries by his number count as well
 *
 * The first of his ranges that is large enough for ids 1..65535; entries that are not understood are passed over.
 */
bool subids_find_range(const char *file, const char *name, uint32_t *start, uint32_t *count);

/**
 * user_name() - the invoking user's name, to be freed; NULL where he has none
 *
 * From /etc/passwd, else from id(1): a static program cannot load the host's name service modules.
 */
char *user_name(void);

/**
 * idmap_network() - write the maps of a network's user namespace (host side; runs newuidmap when @subids is usable)
 * @pid:	process in the new namespace
 */
int idmap_network(pid_t pid, const struct subids *subids, struct azm_err *err);

/** idmap_is_wide() - whether the user namespace the caller is in maps more than one id. */
bool idmap_is_wide(void);

/**
 * idmap_sandbox() - write the maps of a sandbox's user namespace, from within its network's
 * @pid:	the cloned child
 * @wide:	map 0..65535 within the network's sub-ids; else one id
 */
int idmap_sandbox(pid_t pid, uint32_t uid, uint32_t gid, bool wide, struct azm_err *err);

/** idmap_keep_id_lines() - a wide map: 0..65535 inside, where @id (at most 65535) is the network's 0 and everything
 * else the network's 1..65535 in order. 128 bytes are enough. */
void idmap_keep_id_lines(char *text, size_t size, uint32_t id);

/**
 * idmap_in_child() - do something to files of the caller's sub-ids: in a child that maps them all and has every
 * capability over them
 * @work:	runs in the child, as uid 0 of a user namespace like a network's; what it prints is seen
 *
 * Host side, single-threaded callers only. Return: what @work returned, with its @err; -1 when there is no such child
 */
int idmap_in_child(const struct subids *subids, int (*work)(void *context, struct azm_err *err), void *context,
	struct azm_err *err);
