// SPDX-License-Identifier: GPL-2.0-or-later
/* tests/unit/test_runtime_volumes.c: -v, --tmpfs and --workspace as mounts, and what must stay outside (volumes.h). */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "tests/unit/runtime_fixture.h"
#include "volumes.h"

struct world {
	char *cwd;
	struct state store;
	int dir; /* a sandbox's directory */
	struct mount_plan plan;
};

static int make_world(void **state)
{
	static struct world world;

	if (enter_directory(state) < 0 || mkdir("data", 0700) < 0 || mkdir("data/sub", 0700) < 0 ||
		mkdir("box", 0700) < 0)
		return -1;
	put_text("data/file", "x");
	world = (struct world){ .cwd = *state, .dir = open("box", O_RDONLY | O_DIRECTORY | O_CLOEXEC) };
	open_state(&world.store);
	*state = &world;
	return world.dir < 0 ? -1 : 0;
}

static void drop_plan(struct world *world)
{
	for (size_t i = 0; i < world->plan.volume_count; i++) {
		host_path_free(&world->plan.volumes[i].source);
		host_path_free(&world->plan.volumes[i].upper);
		host_path_free(&world->plan.volumes[i].work);
		free(world->plan.volumes[i].target);
	}
	free(world->plan.volumes);
	world->plan = (struct mount_plan){ 0 };
}

static int unmake_world(void **state)
{
	struct world *world = *state;
	void *path = world->cwd;

	drop_plan(world);
	close(world->dir);
	state_close(&world->store);
	return leave_directory(&path);
}

/* Words separated by blanks: volumes, or a --tmpfs when they begin with "T". "@" stands for the working directory. */
static int plan_words(struct world *world, const char *words, struct azm_err *err)
{
	cleanup_str_list struct str_list list = { 0 };
	struct config config = { 0 };

	drop_plan(world);
	str_list_split(&list, words, ' ');
	for (size_t i = 0; i < list.count; i++) {
		const char *word = list.items[i], *at = strchr(word, '@');
		struct str_list *kind = *word == 'T' ? &config.tmpfs : &config.volumes;
		word += *word == 'T';
		if (at)
			str_list_addf(kind, "%.*s%s%s", (int)(at - word), word, world->cwd, at + 1);
		else
			str_list_add(kind, word);
	}
	int result = volumes_plan(&config, &world->store, world->dir, &world->plan, err);
	str_list_free(&config.volumes);
	str_list_free(&config.tmpfs);
	return result;
}

static void every_form_becomes_the_mount_it_means(void **state)
{
	static const struct {
		const char *text;
		struct volume volume;
	} rows[] = {
		{ "@/data:/d", { .kind = VOLUME_BIND, .target = (char *)(uintptr_t) "/d" } },
		{ "@/data:/d:rw", { .kind = VOLUME_BIND, .target = (char *)(uintptr_t) "/d" } },
		{ "@/data:/d:ro", { .kind = VOLUME_BIND, .target = (char *)(uintptr_t) "/d", .read_only = true } },
		{ "@/data:/d:ro,z,rslave",
			{ .kind = VOLUME_BIND, .target = (char *)(uintptr_t) "/d", .read_only = true } },
		{ "@/data:/d:overlay", { .kind = VOLUME_OVERLAY, .target = (char *)(uintptr_t) "/d" } },
		{ "@/data:/d:O", { .kind = VOLUME_OVERLAY, .target = (char *)(uintptr_t) "/d" } },
		{ "@/data/file:/etc/x:ro",
			{ .kind = VOLUME_BIND, .target = (char *)(uintptr_t) "/etc/x", .read_only = true } },
		{ "@/data://d///e/./f/", { .kind = VOLUME_BIND, .target = (char *)(uintptr_t) "/d/e/f" } },
		{ "T/t", { .kind = VOLUME_TMPFS, .target = (char *)(uintptr_t) "/t", .mode = 01777 } },
		{ "T/t:size=64m,mode=0750",
			{ .kind = VOLUME_TMPFS, .target = (char *)(uintptr_t) "/t", .mode = 0750, .size = 64 << 20 } },
		{ "T/t:ro,noexec,size=4096", { .kind = VOLUME_TMPFS,
						     .target = (char *)(uintptr_t) "/t",
						     .mode = 01777,
						     .size = 4096,
						     .read_only = true } },
	};
	struct world *world = *state;

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct azm_err err = { 0 };
		if (plan_words(world, rows[i].text, &err) < 0)
			fail_msg("\"%s\": %s %s", rows[i].text, err.text, err.reason);
		assert_int_equal(world->plan.volume_count, 1);
		const struct volume *volume = &world->plan.volumes[0];
		assert_string_equal(volume->target, rows[i].volume.target);
		assert_true(volume->kind == rows[i].volume.kind && volume->read_only == rows[i].volume.read_only &&
			    volume->size == rows[i].volume.size && volume->mode == rows[i].volume.mode);
		assert_true((volume->source.path != NULL) == (volume->kind != VOLUME_TMPFS));
		assert_true((volume->upper.path != NULL) == (volume->kind == VOLUME_OVERLAY));
	}
}

static void what_is_no_mount_is_refused(void **state)
{
	static const struct {
		const char *text;
		int code;
	} rows[] = {
		{ "", EINVAL },
		{ ":", EINVAL },
		{ "/", EINVAL },
		{ "@/data", EINVAL },
		{ "@/data:", EINVAL },
		{ ":/d", EINVAL },
		{ "@/data:/d:ro:x", EINVAL },
		{ "@/data:/d:", EINVAL },
		{ "@/data:/d:rx", EINVAL },
		{ "@/data:/d:ro,,rw", EINVAL },
		{ "@/data:d", EINVAL },
		{ "@/data:/", EINVAL },
		{ "@/data:///", EINVAL },
		{ "@/data:/.", EINVAL },
		{ "@/data:/./", EINVAL },
		{ "@/data:/..", EINVAL },
		{ "@/data:/a/../b", EINVAL },
		{ "@/data:/a/..", EINVAL },
		{ "@/nothing:/d", ENOENT },
		{ "@/data/file/x:/d", ENOTDIR },
		{ "@/data/file:/d:overlay", ENOTDIR },
		{ "@/data:/d @/data/sub:/d", EEXIST },
		{ "@/data:/d @/data/sub:/d/", EEXIST },
		{ "@/data:/d T/d", EEXIST },
		{ "T", EINVAL },
		{ "Tt", EINVAL },
		{ "T/", EINVAL },
		{ "T/a/../b", EINVAL },
		{ "T/t:size=", EINVAL },
		{ "T/t:size=4095", EINVAL },
		{ "T/t:size=-1", EINVAL },
		{ "T/t:size=50%", EINVAL },
		{ "T/t:mode=", EINVAL },
		{ "T/t:mode=8", EINVAL },
		{ "T/t:mode=4755", EINVAL },
		{ "T/t:mode=-1", EINVAL },
		{ "T/t:mode=+7", EINVAL },
		{ "T/t:suid", EINVAL },
		{ "T/t:uid=0", EINVAL },
	};
	struct world *world = *state;

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct azm_err err = { 0 };
		if (plan_words(world, rows[i].text, &err) == 0)
			fail_msg("\"%s\" was accepted", rows[i].text);
		if (err.code != rows[i].code)
			fail_msg("\"%s\": %d: %s %s", rows[i].text, err.code, err.text, err.reason);
	}
}

static void make_socket(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	cleanup_fd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
}

static void sockets_pipes_and_devices_stay_outside(void **state)
{
	struct world *world = *state;
	struct azm_err err = { 0 };

	make_socket("data/socket");
	assert_int_equal(mkfifo("data/fifo", 0600), 0);
	assert_int_equal(symlink("socket", "data/link"), 0);
	assert_refused(plan_words(world, "@/data/socket:/s", &err), &err, EINVAL);
	assert_int_equal(plan_words(world, "@/data/link:/s", &err), -1);
	assert_refused(plan_words(world, "@/data/fifo:/s", &err), &err, EINVAL);
	assert_refused(plan_words(world, "/dev/null:/s", &err), &err, EINVAL);
}

/* Whoever holds the sockets commands the sandbox, or the user's session. */
static void what_holds_or_lies_in_a_directory_of_ours_stays_outside(void **state)
{
	static const char *const texts[] = { "@/state:/s", "@/state/sandboxes:/s", "@/run:/s", "@/run/azm-sandbox:/s",
		"@:/s", "/:/s", "/tmp:/s", "@/to-state:/s", "@/to-here/run:/s:ro", "@/data/../state:/s:overlay" };
	struct world *world = *state;

	assert_int_equal(symlink("state", "to-state"), 0);
	assert_int_equal(symlink(".", "to-here"), 0);
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		struct azm_err err = { 0 };
		if (plan_words(world, texts[i], &err) == 0)
			fail_msg("\"%s\" was accepted", texts[i]);
		assert_true(err.code == EPERM || err.code == ELOOP); /* what is ours; a link to it */
	}
	/* A name that only begins like one of them is somebody else's. */
	struct azm_err err = { 0 };
	assert_int_equal(mkdir("statement", 0700), 0);
	assert_ok(plan_words(world, "@/statement:/s", &err), &err);
}

static void a_mount_below_another_comes_after_it(void **state)
{
	static const char *const order[] = { "/a", "/a-b", "/a/b", "/a/b/c", "/z" };
	struct world *world = *state;
	struct azm_err err = { 0 };

	assert_ok(plan_words(world, "@/data:/a/b/c @/data:/z T/a/b @/data:/a-b @/data:/a", &err), &err);
	for (size_t i = 0; i < sizeof order / sizeof *order; i++)
		assert_string_equal(world->plan.volumes[i].target, order[i]);
}

static void a_workspace_is_a_directory(void **state)
{
	struct world *world = *state;
	struct azm_err err = { 0 };
	cleanup_free char *data = here("data"), *file = here("data/file"), *store = here("state");
	struct config config = { .workspace = data, .workspace_target = (char *)(uintptr_t) "/workspace" };

	assert_ok(volumes_plan(&config, &world->store, world->dir, &world->plan, &err), &err);
	assert_string_equal(world->plan.volumes[0].target, "/workspace");
	assert_false(world->plan.volumes[0].read_only);
	drop_plan(world);
	config.workspace = file;
	assert_refused(volumes_plan(&config, &world->store, world->dir, &world->plan, &err), &err, ENOTDIR);
	drop_plan(world);
	config.workspace = store;
	assert_refused(volumes_plan(&config, &world->store, world->dir, &world->plan, &err), &err, EPERM);
}

#define IN_WORLD(test) cmocka_unit_test_setup_teardown(test, make_world, unmake_world)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_WORLD(every_form_becomes_the_mount_it_means),
		IN_WORLD(what_is_no_mount_is_refused),
		IN_WORLD(sockets_pipes_and_devices_stay_outside),
		IN_WORLD(what_holds_or_lies_in_a_directory_of_ours_stays_outside),
		IN_WORLD(a_mount_below_another_comes_after_it),
		IN_WORLD(a_workspace_is_a_directory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
