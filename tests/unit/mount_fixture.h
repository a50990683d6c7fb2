// SPDX-License-Identifier: GPL-2.0-or-later
/* tests/unit/mount_fixture.h: an image, a state directory and namespaces to mount them in, as an ordinary user. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "mount/mount.h"

/* A temporary directory with img/ (a small image), img2/ (an empty directory), state/upper, state/work, ws/ (a
 * workspace), canary/ (what a game with links would reach). The current directory of the process is the fixture's.
 */
struct fixture {
	char dir[64];
};

void fixture_make(struct fixture *f);
void fixture_remove(struct fixture *f);

/** become_ordinary_user() - tests started by root go on as an id without privileges. */
void become_ordinary_user(void);

/** refuse_calls() - system calls of this process answer ENOSYS from now on; -1 ends the list. */
void refuse_calls(const int *numbers);

/** in_namespaces() - run @inside as azm-init runs: process 1 of new namespaces with a single-id map, every capability.
 *
 * It fails the calling test when an EXPECT() inside fails, and skips it when that was for want of an overlay (before
 * Linux 5.11).
 */
void in_namespaces(void (*inside)(void *), void *argument);

/** nest_namespaces() - for @inside functions: the same once more, from inside. */
void nest_namespaces(void (*inside)(void *), void *argument);

/** default_plan() - an overlay of img/ with everything at its default. Never freed: processes are short. */
struct mount_plan default_plan(void);

/** host() - host_path_open() that must succeed. */
struct host_path host(const char *path);

/** Small helpers on paths, all relative to the current directory; they must succeed. */
void put(const char *path, const char *text);
void make_dir(const char *path);
void make_link(const char *target, const char *path);

/** get() - the text of a file, "" when it cannot be read. Overwritten by the next call. */
const char *get(const char *path);

bool exists(const char *path);
size_t count_entries(const char *directory);

/** EXPECT() - inside in_namespaces(): stop with a message unless @condition holds. */
#define EXPECT(condition, ...)                                                                                         \
	do {                                                                                                           \
		if (!(condition))                                                                                      \
			expect_failed(__FILE__, __LINE__, #condition, " " __VA_ARGS__);                                \
	} while (0)
[[gnu::noreturn, gnu::format(printf, 4, 5)]] void expect_failed(
	const char *file, int line, const char *condition, const char *format, ...);

/** EXPECT_OK() - a call that takes an error object as its last argument must succeed. */
#define EXPECT_OK(call, err)                                                                                           \
	EXPECT((call) == 0, "%s: %s (%d) hint: %s", (err)->text, (err)->reason, (err)->code, (err)->hint)

/** enter() - build the plan and make it the root of this process. */
void enter(const struct mount_plan *plan);

/** refused() - the plan must be refused with @code; returns the error. Tried in a copy of the mounts: a failed build
 * leaves them half made. */
struct azm_err refused(const struct mount_plan *plan, int code);

/** write_fails() - whether a file cannot be opened for writing; for another reason than @code the test ends. */
bool write_fails(const char *path, int code);

/** mount_line() - the last line of mountinfo with this mount point, NULL without one. */
char *mount_line(const char *point);

/** has_option() - whether the mount at @point has the option, of the mount or of the file system. */
bool has_option(const char *point, const char *option);
void expect_options(const char *point, const char *options);

/** one_volume(), one_file() - append to a plan. */
struct volume *one_volume(struct mount_plan *plan, enum volume_kind kind, const char *source, const char *target);
struct etc_file *one_file(struct mount_plan *plan, const char *target, const char *text, bool required);

/** setup_mounts(), teardown_mounts() - a fixture for each test, in *state. */
int setup_mounts(void **state);
int teardown_mounts(void **state);
#define MOUNT_TEST(name) cmocka_unit_test_setup_teardown(name, setup_mounts, teardown_mounts)

/**
 * run_mount_tests() - every test three times: on this kernel, without mount_setattr(2) (before Linux 5.12), and without
 * any call of the new mount API and openat2(2) (before 5.2)
 *
 * As an ordinary user. Return: the number of failures
 */
struct CMUnitTest;
int run_mount_tests(const struct CMUnitTest *tests, size_t count);
