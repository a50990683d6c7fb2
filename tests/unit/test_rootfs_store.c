// SPDX-License-Identifier: GPL-2.0-or-later
/* tests/unit/test_rootfs_store.c: the image store as its users in C see it (rootfs-tools/store.h, store_make.h). What
 * the commands do is in tests/images/store.bats.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/tree.h"
#include "rootfs-tools/store_internal.h"
#include "rootfs-tools/store_make.h"

static const char low[] = "1111111111111111111111111111111111111111111111111111111111111111";
static const char high[] = "2222222222222222222222222222222222222222222222222222222222222222";
static const char other[] = "3333333333333333333333333333333333333333333333333333333333333333";

struct world {
	char path[64];
	int dir;
	struct store store;
};

static void assert_ok(int result, const struct azm_err *err)
{
	if (result < 0) {
		err_print(err, "test");
		fail();
	}
}

static void assert_refused(int result, const struct azm_err *err, int code)
{
	assert_true(result < 0);
	assert_int_equal(err->code, code);
	assert_true(err->text[0] != '\0');
}

static int make_world(void **state)
{
	struct world *w = calloc(1, sizeof *w);

	*state = w;
	w->store = (struct store)STORE_NONE;
	strcpy(w->path, "/tmp/azm-store-XXXXXX");
	if (!mkdtemp(w->path))
		return -1;
	w->dir = open(w->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cleanup_free char *store = xasprintf("%s/store", w->path);
	setenv("AZM_IMAGE_STORE", store, 1);
	return 0;
}

static int end_world(void **state)
{
	struct world *w = *state;
	struct azm_err err = { 0 };

	store_close(&w->store);
	close(w->dir);
	int result = tree_remove_at(AT_FDCWD, w->path, &err);
	free(w);
	return result;
}

/* Not in make_world(), which cannot skip. */
static struct world *with_store(void **state)
{
	struct world *w = *state;
	struct azm_err err = { 0 };
	int result = store_open(&w->store, STORE_LAYERS, &err);

	if (result < 0 && err_is(&err, EOPNOTSUPP)) {
		print_message("skipped: users have no overlay here: %s\n", err.reason);
		skip();
	}
	assert_ok(result, &err);
	return w;
}

static void put_file(int dir, const char *name, const char *text)
{
	cleanup_fd int fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write_full(fd, text, strlen(text)), 0);
}

static bool there(int dir, const char *name, mode_t type)
{
	struct stat st;

	return fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && (st.st_mode & S_IFMT) == type;
}

static void remember(struct layer_maker *maker, const char *path, uint32_t uid)
{
	struct azm_err err = { 0 };
	struct stat st;

	assert_int_equal(fstatat(maker->root, path, &st, 0), 0);
	const struct owner owner = { .uid = uid, .mode = st.st_mode };
	assert_ok(owner_log_add(maker->owners, path, st.st_ino, &owner, false, &err), &err);
}

static void commit(struct layer_maker *maker)
{
	const struct layer_about about = { .created_by = "test" };
	struct azm_err err = { 0 };

	assert_ok(layer_maker_commit(maker, &about, &err), &err);
}

/* d/a d/b e, all of uid 7. */
static void make_low(struct world *w, struct layer_maker *maker)
{
	struct azm_err err = { 0 };

	assert_ok(layer_maker_begin(&w->store, low, NULL, NULL, maker, &err), &err);
	assert_int_equal(mkdirat(maker->root, "d", 0750), 0);
	put_file(maker->root, "d/a", "a");
	put_file(maker->root, "d/b", "b");
	put_file(maker->root, "e", "e");
	remember(maker, "d", 7);
	remember(maker, "d/a", 7);
	remember(maker, "e", 7);
	commit(maker);
}

static void put_image(struct world *w, const char *name, const char *top)
{
	struct azm_err err = { 0 };
	cleanup_store_image struct store_image image = { .name = store_name(name, &err), .config = xstrdup("{}") };

	assert_ok(store_layer_chain(&w->store, top, &image.layers, &err), &err);
	assert_ok(store_image_put(&w->store, &image, &err), &err);
}

static size_t layer_count(const struct world *w)
{
	struct azm_err err = { 0 };
	cleanup_str_list struct str_list ids = { 0 };

	assert_ok(store_layers(&w->store, &ids, &err), &err);
	return ids.count;
}

/* What is remembered of a layer's file. Return: its uid; -1: nothing is. */
static int remembered(const struct world *w, const char *id, const char *path)
{
	struct azm_err err = { 0 };
	struct owner owner = { 0 };
	cleanup_fd int dir = store_layer_open(&w->store, id, &err);
	struct owner_book *book = owner_book_open(dir, &err);

	assert_non_null(book);
	int found = owner_book_find(book, path, &owner, &err);
	owner_book_free(book);
	assert_true(found >= 0);
	return found ? (int)owner.uid : -1;
}

static void names_are_references(void **state)
{
	struct azm_err err = { 0 };
	char long_name[300];

	(void)state;
	cleanup_free char *full = store_name("debian", &err);
	assert_string_equal(full, "docker.io/library/debian:latest");
	cleanup_free char *brief = store_name_short(full);
	assert_string_equal(brief, "debian:latest");
	cleanup_free char *file = store_file_name(full, &err);
	assert_string_equal(file, "docker.io%library%debian:latest");
	static const char *const bad[] = { "", "..", "../x", "/x", "x/../y", "X", "x%2fy", "x\ny" };
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_null(store_name(bad[i], &err));
	memset(long_name, 'a', sizeof long_name - 1);
	long_name[sizeof long_name - 1] = '\0';
	assert_null(store_file_name(long_name, &err));
	assert_int_equal(err.code, ENAMETOOLONG);
}

static void a_layer_holds_what_is_changed(void **state)
{
	struct world *w = with_store(state);
	cleanup_layer_maker struct layer_maker lower = LAYER_MAKER_NONE, upper = LAYER_MAKER_NONE;
	struct azm_err err = { 0 };
	struct store_layer layer;

	make_low(w, &lower);
	assert_ok(layer_maker_begin(&w->store, high, low, NULL, &upper, &err), &err);
	assert_true(there(upper.root, "d/a", S_IFREG));
	assert_int_equal(unlinkat(upper.root, "d/a", 0), 0);
	put_file(upper.root, "d/c", "c");
	assert_true(layer_count(w) == 1); /* nothing is visible yet */
	commit(&upper);

	cleanup_fd int dir = store_layer_open(&w->store, high, &err);
	assert_true(there(dir, "tree/d/a", S_IFCHR));
	assert_true(there(dir, "tree/d/c", S_IFREG));
	assert_false(there(dir, "tree/d/b", S_IFREG));
	assert_false(there(dir, "work", S_IFDIR));
	assert_ok(store_layer_load(&w->store, high, &layer, &err), &err);
	assert_string_equal(layer.parent, low);
	assert_int_equal(layer.files, 3);
	store_layer_free(&layer);
}

static void lowers_come_topmost_first_and_are_kept(void **state)
{
	struct world *w = with_store(state);
	struct layer_maker lower = LAYER_MAKER_NONE, upper = LAYER_MAKER_NONE;
	struct azm_err err = { 0 };
	cleanup_store_image struct store_image image = { 0 };
	struct store_removed removed;
	struct host_path *lowers;
	size_t count;
	int lock;

	make_low(w, &lower);
	assert_ok(layer_maker_begin(&w->store, high, low, NULL, &upper, &err), &err);
	commit(&upper);
	put_image(w, "x:1", high);
	layer_maker_end(&upper);
	layer_maker_end(&lower);
	assert_ok(store_image_load(&w->store, "x:1", &image, &err), &err);
	assert_ok(store_lowers(&w->store, &image, &lowers, &count, &lock, &err), &err);
	assert_int_equal(count, 2);
	assert_non_null(strstr(lowers[0].path, high));
	assert_non_null(strstr(lowers[1].path, low));
	store_lowers_free(lowers, count);
	cleanup_fd int merged = store_mount(&w->store, &image, &err);
	assert_true(merged >= 0);
	assert_true(there(merged, "d/a", S_IFREG));
	assert_true(openat(merged, "d/a", O_WRONLY | O_CLOEXEC) < 0);

	assert_refused(store_image_remove(&w->store, "x:1", false, &removed, &err), &err, EBUSY);
	assert_ok(store_image_remove(&w->store, "x:1", true, &removed, &err), &err);
	assert_int_equal(layer_count(w), 2);
	close(lock);
	assert_ok(store_gc(&w->store, &removed, &err), &err);
	assert_int_equal(removed.layers, 2);
	assert_int_equal(layer_count(w), 0);
	assert_refused(store_lowers(&w->store, &image, &lowers, &count, &lock, &err), &err, ESTALE);
}

static void an_upper_directory_becomes_a_layer(void **state)
{
	struct world *w = with_store(state);
	cleanup_layer_maker struct layer_maker lower = LAYER_MAKER_NONE, taken = LAYER_MAKER_NONE;
	struct azm_err err = { 0 };

	make_low(w, &lower);
	assert_int_equal(mkdirat(w->dir, "upper", 0755), 0);
	assert_int_equal(mkdirat(w->dir, "upper/d", 0750), 0);
	assert_int_equal(mknodat(w->dir, "upper/d/a", S_IFCHR, 0), 0);
	put_file(w->dir, "upper/e", "changed");
	put_file(w->dir, "upper/new", "new");
	assert_ok(layer_maker_begin(&w->store, high, low, NULL, &taken, &err), &err);
	assert_ok(layer_maker_adopt(&taken, w->dir, "upper", -1, &err), &err);
	commit(&taken);
	assert_false(there(w->dir, "upper", S_IFDIR));
	assert_int_equal(remembered(w, high, "d"), 7);
	assert_int_equal(remembered(w, high, "e"), 7);
	assert_int_equal(remembered(w, high, "new"), -1);
	assert_int_equal(remembered(w, high, "d/a"), -1);
}

static void who_comes_second_gets_the_first_ones_layer(void **state)
{
	struct world *w = with_store(state);
	struct azm_err err = { 0 };
	cleanup_layer_maker struct layer_maker first = LAYER_MAKER_NONE, second = LAYER_MAKER_NONE,
					       late = LAYER_MAKER_NONE;
	const struct layer_about about = { .id = low };

	make_low(w, &first);
	assert_int_equal(layer_maker_begin(&w->store, low, NULL, NULL, &second, &err), 1);
	/* One whose ID is known at the end only. */
	assert_ok(layer_maker_begin(&w->store, NULL, NULL, NULL, &late, &err), &err);
	put_file(late.root, "mine", "x");
	assert_ok(layer_maker_commit(&late, &about, &err), &err);
	assert_int_equal(layer_count(w), 1);
	assert_true(there(late.dir, "tree/e", S_IFREG));
	assert_false(there(late.dir, "tree/mine", S_IFREG));
	cleanup_str_list struct str_list left = { 0 };
	assert_ok(store_names_in(&w->store, w->store.partial, &left, &err), &err);
	assert_int_equal(left.count, 0);
}

static void what_is_not_committed_vanishes(void **state)
{
	struct world *w = with_store(state);
	struct azm_err err = { 0 };
	struct layer_maker maker = LAYER_MAKER_NONE;
	cleanup_str_list struct str_list left = { 0 };

	assert_ok(layer_maker_begin(&w->store, low, NULL, NULL, &maker, &err), &err);
	put_file(maker.root, "x", "x");
	layer_maker_end(&maker);
	assert_ok(store_names_in(&w->store, w->store.partial, &left, &err), &err);
	assert_int_equal(left.count, 0);
	assert_int_equal(layer_count(w), 0);
	assert_refused(layer_maker_begin(&w->store, high, low, NULL, &maker, &err), &err, ENOENT);
	assert_refused(layer_maker_begin(&w->store, "../x", NULL, NULL, &maker, &err), &err, EINVAL);
}

static void a_stopped_user_keeps_its_layer(void **state)
{
	struct world *w = with_store(state);
	struct azm_err err = { 0 };
	struct layer_maker maker = LAYER_MAKER_NONE;
	struct store_removed removed;
	cleanup_free char *path = xasprintf("%s/box", w->path);

	make_low(w, &maker);
	layer_maker_end(&maker);
	assert_int_equal(mkdir(path, 0700), 0);
	{
		cleanup_fd int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		assert_ok(store_keep_for(&w->store, dir, path, low, &err), &err);
	}
	assert_ok(store_gc(&w->store, &removed, &err), &err);
	assert_int_equal(layer_count(w), 1);
	/* Another directory of that name is another user. */
	cleanup_free char *aside = xasprintf("%s/aside", w->path);
	assert_int_equal(rename(path, aside), 0);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_ok(store_gc(&w->store, &removed, &err), &err);
	assert_int_equal(layer_count(w), 0);
}

static void damaged_documents_are_said_and_nothing_is_lost(void **state)
{
	static const char *const texts[] = { "", "{", "[]", "{\"name\": \"x\", \"config\": \"{}\"}",
		"{\"name\": \"x\", \"config\": \"{}\", \"layers\": [\"../../x\"]}",
		"{\"name\": \"x\", \"config\": \"{}\", \"layers\": [7]}" };
	struct world *w = with_store(state);
	struct azm_err err = { 0 };
	struct layer_maker maker = LAYER_MAKER_NONE;
	struct store_image image;
	struct store_removed removed;

	make_low(w, &maker);
	layer_maker_end(&maker);
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		put_file(w->store.images, "docker.io%library%x:latest", texts[i]);
		assert_refused(store_image_load(&w->store, "x", &image, &err), &err, EINVAL);
		assert_refused(store_image_parse(texts[i], strlen(texts[i]), &image, &err), &err, EINVAL);
		assert_refused(store_gc(&w->store, &removed, &err), &err, EINVAL);
	}
	assert_int_equal(layer_count(w), 1);
	unlinkat(w->store.images, "docker.io%library%x:latest", 0);
	put_image(w, "y", low);
	cleanup_fd int dir = store_layer_open(&w->store, low, &err);
	put_file(dir, "layer.json", "{\"parent\": \"../..\"}");
	struct store_layer layer;
	assert_refused(store_layer_load(&w->store, low, &layer, &err), &err, EINVAL);
	/* A name holds it all the same. */
	assert_ok(store_gc(&w->store, &removed, &err), &err);
	assert_int_equal(layer_count(w), 1);
}

static void similar_names_are_suggested(void **state)
{
	struct world *w = with_store(state);
	struct azm_err err = { 0 };
	struct layer_maker maker = LAYER_MAKER_NONE;
	struct store_image image;

	assert_refused(store_image_load(&w->store, "debian", &image, &err), &err, ENOENT);
	assert_non_null(strstr(err.hint, "unpack --store"));
	make_low(w, &maker);
	layer_maker_end(&maker);
	put_image(w, "something/else:9", low);
	put_image(w, "debian:12", low);
	assert_refused(store_image_load(&w->store, "debian:21", &image, &err), &err, ENOENT);
	assert_non_null(strstr(err.hint, "there is: debian:12, something/else:9"));
}

static void chain_ids_are_those_of_oci(void **state)
{
	struct digest first, second;
	struct azm_err err = { 0 };
	char id[STORE_ID_SIZE], top[STORE_ID_SIZE];
	cleanup_free char *one = xasprintf("sha256:%s", low), *two = xasprintf("sha256:%s", other);

	(void)state;
	assert_ok(digest_parse(one, &first, &err), &err);
	assert_ok(digest_parse(two, &second, &err), &err);
	store_chain_id(NULL, &first, id);
	assert_string_equal(id, low);
	store_chain_id(id, &second, top);
	/* printf 'sha256:111... sha256:333...' | sha256sum */
	assert_string_equal(top, "5d524dbe4a740c66d7606dd358e246bcf757e021b9beafa71af02b4ac7b1ccda");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_references),
		cmocka_unit_test(chain_ids_are_those_of_oci),
		cmocka_unit_test_setup_teardown(a_layer_holds_what_is_changed, make_world, end_world),
		cmocka_unit_test_setup_teardown(lowers_come_topmost_first_and_are_kept, make_world, end_world),
		cmocka_unit_test_setup_teardown(an_upper_directory_becomes_a_layer, make_world, end_world),
		cmocka_unit_test_setup_teardown(who_comes_second_gets_the_first_ones_layer, make_world, end_world),
		cmocka_unit_test_setup_teardown(what_is_not_committed_vanishes, make_world, end_world),
		cmocka_unit_test_setup_teardown(a_stopped_user_keeps_its_layer, make_world, end_world),
		cmocka_unit_test_setup_teardown(damaged_documents_are_said_and_nothing_is_lost, make_world, end_world),
		cmocka_unit_test_setup_teardown(similar_names_are_suggested, make_world, end_world),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
