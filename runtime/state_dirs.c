// SPDX-License-Identifier: GPL-2.0-or-later
/* state_dirs.c: choosing and checking the directories of state.h. */
#include "state.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/own_dir.h"
#include "base/str.h"
#include "mount/host_overlay.h"

/* Sockets of an earlier boot are dead: a new boot gets a new directory. */
static int open_live(struct state *state, struct azm_err *err)
{
	const char *runtime = getenv("XDG_RUNTIME_DIR");
	cleanup_free char *base = NULL;
	cleanup_free char *boot = read_path("/proc/sys/kernel/random/boot_id", 64, NULL);

	if (runtime && runtime[0] == '/' && access(runtime, W_OK | X_OK) == 0)
		base = xasprintf("%s/azm-sandbox", runtime);
	else
		base = xasprintf("/tmp/azm-sandbox-%u", geteuid());
	cleanup_fd int dir = own_dir_open(base, "XDG_RUNTIME_DIR", err);
	if (dir < 0) /* /tmp is everybody's: the name may be squatted */
		return err->hint[0] ? -1 : err_hint(err, "set XDG_RUNTIME_DIR to a directory of your own (mode 700)");
	state->live_path = xasprintf("%s/%.8s", base, boot ? boot : "boot");
	state->live = own_dir_below(dir, strrchr(state->live_path, '/') + 1, err);
	return state->live;
}

static int cannot_overlay(const char *path, struct azm_err *err)
{
	err_msg(err, EOPNOTSUPP, "use directory", path, "an overlay file system cannot be mounted there");
	return err_hint(err, "set AZM_STATE_DIR to a directory on a local disk (NFS and Lustre carry no upper layer), "
			     "or see `azm-sandbox doctor`");
}

/* Whether a real overlay works on this directory; a marker file keeps a good answer. */
static int check_overlay(int dir, const char *path, struct azm_err *err)
{
	if (faccessat(dir, ".overlay-works", F_OK, 0) == 0)
		return 0;
	if (overlay_trial(dir, err) < 0)
		return err_is(err, EOPNOTSUPP) ? cannot_overlay(path, err) : err_code(err, err->code, "write to", path);
	return write_file_at(dir, ".overlay-works", "", 0, 0600) < 0 ? err_sys(err, "write to", path) : 0;
}

static int use_candidate(struct state *state, const char *path, bool probe, struct azm_err *err)
{
	struct stat st;
	cleanup_fd int dir = path[0] == '/'
				     ? own_dir_open(path, "AZM_STATE_DIR", err)
				     : err_msg(err, EINVAL, "use directory", path, "it must be an absolute path");

	if (dir < 0)
		return -1;
	if (probe && check_overlay(dir, path, err) < 0)
		return -1;
	state->sandboxes = own_dir_below(dir, "sandboxes", err);
	if (state->sandboxes < 0)
		return -1;
	if (fstat(state->sandboxes, &st) < 0)
		return err_sys(err, "use directory", path);
	state->key = st.st_ino;
	state->path = xstrdup(path);
	state->dir = steal_fd(&dir);
	return 0;
}

static void say_choice(const struct state *state, const char *first, const struct azm_err *why)
{
	if (faccessat(state->dir, ".choice-said", F_OK, 0) == 0)
		return;
	fprintf(stderr, "azm-sandbox: note: %s cannot be used (%s); sandboxes are kept in %s\n", first,
		why->reason[0] ? why->reason : strerror(why->code), state->path);
	write_file_at(state->dir, ".choice-said", "", 0, 0600);
}

static int open_store(struct state *state, struct azm_err *err)
{
	char *candidates[OWN_DIR_CANDIDATES];
	size_t count = own_dir_candidates("azm-sandbox", "AZM_STATE_DIR", true, candidates);
	struct azm_err first = { 0 };
	int result = -1;

	for (size_t i = 0; i < count; i++) {
		result = use_candidate(state, candidates[i], true, err);
		if (result == 0) {
			if (i > 0)
				say_choice(state, candidates[0], &first);
			break;
		}
		if (i == 0)
			first = *err;
	}
	/* Nowhere an overlay: the first one will do for --rootfs-mode direct and read-only; overlay runs say why they
	 * fail. */
	if (result < 0 && first.code == EOPNOTSUPP)
		result = use_candidate(state, candidates[0], false, err);
	if (result < 0 && count == 1)
		*err = first;
	for (size_t i = 0; i < count; i++)
		free(candidates[i]);
	return result;
}

int state_open(struct state *state, struct azm_err *err)
{
	*state = (struct state){ .live = -1, .dir = -1, .sandboxes = -1 };
	if (open_live(state, err) < 0 || open_store(state, err) < 0) {
		state_close(state);
		return -1;
	}
	return 0;
}

void state_close(struct state *state)
{
	int *fds[] = { &state->live, &state->dir, &state->sandboxes };

	for (size_t i = 0; i < sizeof fds / sizeof *fds; i++) {
		if (*fds[i] >= 0)
			close(*fds[i]);
		*fds[i] = -1;
	}
	free(state->live_path);
	free(state->path);
	state->live_path = state->path = NULL;
}
