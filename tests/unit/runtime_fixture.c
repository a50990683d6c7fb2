// SPDX-License-Identifier: GPL-2.0-or-later
/* tests/unit/runtime_fixture.c: see runtime_fixture.h */
#include "tests/unit/runtime_fixture.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/str.h"
#include "base/tree.h"

int enter_directory(void **state)
{
	char *path = xstrdup("/tmp/azm-runtime-XXXXXX");

	*state = path;
	if (!mkdtemp(path) || chdir(path) < 0 || mkdir("run", 0700) < 0)
		return -1;
	cleanup_free char *run = here("run");
	cleanup_free char *store = here("state");
	return setenv("XDG_RUNTIME_DIR", run, 1) < 0 || setenv("AZM_STATE_DIR", store, 1) < 0 ? -1 : 0;
}

int leave_directory(void **state)
{
	struct azm_err err = { 0 };
	int result = chdir("/") == 0 ? tree_remove_at(AT_FDCWD, (const char *)*state + 1, &err) : -1;

	free(*state);
	return result;
}

void put(const char *path, const void *bytes, size_t size)
{
	cleanup_fd int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write_full(fd, bytes, size), 0);
}

void put_text(const char *path, const char *text)
{
	put(path, text, strlen(text));
}

char *here(const char *name)
{
	cleanup_free char *cwd = getcwd(NULL, 0);

	assert_non_null(cwd);
	return xasprintf("%s/%s", cwd, name);
}

void open_state(struct state *store)
{
	struct azm_err err = { 0 };

	assert_ok(state_open(store, &err), &err);
}
