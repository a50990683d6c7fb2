// SPDX-License-Identifier: GPL-2.0-or-later
/* state.h: where sandboxes live on disk, and who owns a name.
 *
 * Theory of operation
 *
 * The live directory (sockets, leases) lasts as long as the login; the state directory holds one directory per sandbox:
 *
 *     sandboxes/NAME/lock          flock'ed by the supervisor as long as the sandbox runs
 *                    config.json   what `run` was asked for; `start` uses it again
 *                    status.json   what became of it: pid, ports, exit status
 *                    upper/ work/  the writable layer
 *                    log           output of the workload
 *
 * A sandbox appears under its name by one rename of a complete, already locked directory: of fifty runs with one name,
 * one wins, and nobody ever sees half a sandbox. Whether it runs is a question to the kernel (is the lock held?), not
 * to a file, so a killed supervisor needs no clean-up to be recognised.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/str.h"
#include "mount/mount.h"

struct state {
	char *live_path;	/* sockets; keyed by boot */
	int live;		/* the same, open */
	char *path;		/* writable layers and logs */
	int dir;		/* the same, open */
	int sandboxes;		/* path/sandboxes, open */
	unsigned long long key; /* inode of the state directory: keeps the sockets of several apart */
};

/**
 * state_open() - find or make both directories
 *
 * Every directory must be the caller's own, mode 0700, no symbolic link, and not below a directory that others may
 * write without the sticky bit; anything else is refused. The state directory is the first of AZM_STATE_DIR,
 * $XDG_DATA_HOME/azm-sandbox, $TMPDIR/azm-sandbox, /var/tmp/azm-sandbox-UID that can carry an overlay (tried once per
 * directory); a choice that is not the first is said on stderr once.
 *
 * Return: 0, or -1 with @err set. Release with state_close().
 */
[[gnu::nonnull]] int state_open(struct state *state, struct azm_err *err);
void state_close(struct state *state);

#define cleanup_state [[gnu::cleanup(state_close)]]

/** name_check() - [a-zA-Z0-9][a-zA-Z0-9_.-]*, at most 64 bytes (Docker's rule, and a file name). */
int name_check(const char *name, struct azm_err *err);

/** name_generate() - a free-looking random name ("quiet-otter-4821"); allocated. */
char *name_generate(void);

/**
 * sandbox_create() - a new sandbox's directory, locked, still under a temporary name
 * @temporary:	set to that name (allocated)
 * @lock:	set to the lock's descriptor
 *
 * Return: descriptor of the directory, -1 with @err set
 */
int sandbox_create(const struct state *state, char **temporary, int *lock, struct azm_err *err);

/** sandbox_publish_name() - let it appear as @name; EEXIST when the name is taken. */
int sandbox_publish_name(const struct state *state, const char *temporary, const char *name, struct azm_err *err);

/** sandbox_open() - the directory of an existing sandbox. Return: descriptor, -1 with @err ("no such sandbox"). */
int sandbox_open(const struct state *state, const char *name, struct azm_err *err);

/**
 * sandbox_directory() - a directory inside a sandbox's directory, as a path for the mount plan
 * @name:	"upper", "work", ...; a symbolic link there is refused: it would lead the writable layer anywhere
 */
int sandbox_directory(int dir, const char *name, struct host_path *path, struct azm_err *err);

/**
 * sandbox_lock() - take the lock of a sandbox that does not run
 * @doing:	what takes long while it is held, as "it is being ...": others are told; NULL
 *
 * Return: descriptor, -1 (EWOULDBLOCK: it runs, or another command has it)
 */
int sandbox_lock(int dir, const char *doing, struct azm_err *err);

/** sandbox_busy() - whether a command has the lock that said what it does, and no supervisor: then @err says so. */
bool sandbox_busy(int dir, const char *step, const char *name, struct azm_err *err);

/**
 * sandbox_settle() - look at what a killed supervisor left in the user's directories (sweep.h), if nobody has yet
 *
 * To be called by whoever locked a sandbox and is about to mount its directories anew, or to remove the sandbox: what
 * is known of them is lost then.
 */
void sandbox_settle(const struct state *state, const char *name, int dir);

/** sandbox_running() - whether a supervisor holds the lock. */
bool sandbox_running(int dir);

/**
 * sandbox_remove_later() - let a sandbox vanish at once and have its directory deleted
 * @lock:	the sandbox's lock
 *
 * Deleting waits for the disk (each directory may mean a discard), and nobody has to wait for that: a copy of this
 * process does it. It holds the lock until it is done, so that nobody else reclaims the directory meanwhile; if it
 * dies, the next command does. Return: 0, -1 with @err set
 */
int sandbox_remove_later(const struct state *state, const char *name, int lock, struct azm_err *err);

/** sandbox_remove() - delete a sandbox's directory with its writable layer; the caller holds its lock. */
int sandbox_remove(const struct state *state, const char *name, struct azm_err *err);

/** sandbox_remove_mapped() - the same on the host side, where files of the caller's sub-ids take a child that maps
 * them. */
int sandbox_remove_mapped(const struct state *state, const char *name, struct azm_err *err);

/** sandbox_names() - append all names, sorted. Return: 0, -1 with @err set */
int sandbox_names(const struct state *state, struct str_list *names, struct azm_err *err);

/** state_reclaim() - remove what crashed runs left: half-made directories and dead sandboxes that were to be removed.
 */
void state_reclaim(const struct state *state);
