// SPDX-License-Identifier: GPL-2.0-or-later
/* spare.h: directories of removed sandboxes, kept for the next ones.
 *
 * Making the directories of a sandbox is a tenth of a start, and deleting them means a discard each on some disks. So
 * the process that empties a sandbox's directory in the background leaves a few of them as `.spare-N`: the lock, an
 * empty `upper` and an empty `work`. Taking one is a rename.
 *
 * Nothing of the last sandbox may come along. `upper` is "/" inside, where mode, owner, attributes and flags can be
 * changed; each such change changes its ctime, so a directory whose ctime is not its time of birth is made anew, and
 * one in which anything is seen that a change within the same tick of the kernel's clock would leave.
 */
#pragma once
#include <stdbool.h>

/** spare_take() - let a spare directory become @name. Return: 0; -1 when there is none. */
int spare_take(int sandboxes, const char *name);

/**
 * spare_give() - empty the directory @name and keep it, if there is room for one more
 *
 * The caller holds its lock. Return: 0; -1 when it is still @name and to be removed in the usual way
 */
int spare_give(int sandboxes, const char *name);

/** spare_is_name() - whether a name in the directory of sandboxes is a spare one's. */
bool spare_is_name(const char *name);

/** spare_retire() - give the spare directories names that state_reclaim() deletes. */
void spare_retire(int sandboxes);
