// SPDX-License-Identifier: GPL-2.0-or-later
/* tests/unit/test_rootfs_blob_cache.c: blobs that are whole or not there, several writers, bounds. */
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "base/tree.h"
#include "rootfs-tools/blob_cache.h"

struct place {
	char path[32];
	int root;
	struct blob_cache *cache;
};

static int begin(void **state)
{
	struct place *p = xcalloc(1, sizeof *p);
	struct azm_err err = { 0 };

	strcpy(p->path, "/tmp/blob-cache-XXXXXX");
	if (!mkdtemp(p->path))
		return -1;
	p->root = open(p->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	p->cache = blob_cache_open(p->root, &err);
	*state = p;
	return p->cache ? 0 : -1;
}

static int end(void **state)
{
	struct place *p = *state;
	struct azm_err err = { 0 };

	blob_cache_close(p->cache);
	close(p->root);
	int result = tree_remove_at(AT_FDCWD, p->path, &err);
	free(p);
	return result;
}

static struct digest digest_of(const char *text)
{
	struct hasher *hasher = hasher_new(DIGEST_SHA256);
	struct digest digest;

	hasher_add(hasher, text, strlen(text));
	hasher_end(hasher, &digest);
	return digest;
}

static bool there(struct place *p, const char *text)
{
	const struct digest digest = digest_of(text);
	struct blob blob;
	char found[64] = "";

	if (!blob_cache_find(p->cache, &digest, strlen(text), &blob))
		return false;
	assert_int_equal(read(blob.fd, found, sizeof found - 1), strlen(text));
	assert_string_equal(found, text);
	close(blob.fd);
	return true;
}

static void what_is_put_is_there(void **state)
{
	struct place *p = *state;
	const struct digest digest = digest_of("content"), empty = digest_of("");
	struct azm_err err = { 0 };
	struct blob blob;

	assert_false(there(p, "content"));
	assert_int_equal(blob_cache_put(p->cache, &digest, "content", 7, &err), 0);
	assert_int_equal(blob_cache_put(p->cache, &digest, "content", 7, &err), 0);
	assert_true(there(p, "content"));
	assert_false(blob_cache_find(p->cache, &digest, 8, &blob));
	assert_int_equal(blob_cache_put(p->cache, &empty, "", 0, &err), 0);
	assert_true(blob_cache_verify(p->cache, &empty, 0));
}

static void what_is_wrong_is_not(void **state)
{
	struct place *p = *state;
	const struct digest digest = digest_of("content");
	struct azm_err err = { 0 };

	assert_int_equal(blob_cache_put(p->cache, &digest, "conTent", 7, &err), -1);
	assert_true(err_is(&err, EBADMSG));
	struct blob_writer *writer = blob_writer_begin(p->cache, &digest, 7, NULL, NULL, &err);
	assert_non_null(writer);
	assert_int_equal(blob_writer_offset(writer), 0);
	assert_int_equal(blob_writer_add(writer, "conte", 5, &err), 0);
	assert_int_equal(blob_writer_finish(writer, &err), -1);
	assert_true(err_is(&err, ENODATA));
	assert_int_equal(blob_writer_add(writer, "ntx", 3, &err), -1);
	assert_true(err_is(&err, EFBIG));
	assert_int_equal(blob_writer_add(writer, "xx", 2, &err), 0);
	assert_int_equal(blob_writer_finish(writer, &err), -1);
	assert_true(err_is(&err, EBADMSG));
	blob_writer_close(writer);
	assert_false(there(p, "content"));
}

static void a_beginning_is_gone_on_with(void **state)
{
	struct place *p = *state;
	const struct digest digest = digest_of("content");
	struct azm_err err = { 0 };

	struct blob_writer *writer = blob_writer_begin(p->cache, &digest, 7, NULL, NULL, &err);
	assert_int_equal(blob_writer_add(writer, "cont", 4, &err), 0);
	blob_writer_close(writer);
	assert_false(there(p, "content"));
	writer = blob_writer_begin(p->cache, &digest, 7, NULL, NULL, &err);
	assert_int_equal(blob_writer_offset(writer), 4);
	assert_int_equal(blob_writer_add(writer, "ent", 3, &err), 0);
	assert_int_equal(blob_writer_finish(writer, &err), 0);
	blob_writer_close(writer);
	assert_true(there(p, "content"));
	assert_null(blob_writer_begin(p->cache, &digest, 7, NULL, NULL, &err));
	assert_true(err_is(&err, EEXIST));
}

static int give_up(void *context, struct azm_err *err)
{
	return ++*(int *)context > 1 ? err_code(err, EINTR, "wait", NULL) : 0;
}

static void one_writes_at_a_time(void **state)
{
	struct place *p = *state;
	const struct digest digest = digest_of("content");
	struct azm_err err = { 0 };
	int waited = 0;

	struct blob_writer *writer = blob_writer_begin(p->cache, &digest, 7, NULL, NULL, &err);
	assert_null(blob_writer_begin(p->cache, &digest, 7, give_up, &waited, &err));
	assert_true(err_is(&err, EINTR));
	assert_int_equal(waited, 2);
	blob_writer_close(writer);
	writer = blob_writer_begin(p->cache, &digest, 7, give_up, &waited, &err);
	assert_non_null(writer);
	blob_writer_close(writer);
}

static void *put_one(void *context)
{
	struct place *p = context;
	const struct digest digest = digest_of("of many");
	struct azm_err err = { 0 };

	return blob_cache_put(p->cache, &digest, "of many", 7, &err) == 0 ? context : NULL;
}

static void many_writers_agree(void **state)
{
	pthread_t threads[8];
	void *result;

	for (size_t i = 0; i < 8; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, put_one, *state), 0);
	for (size_t i = 0; i < 8; i++) {
		pthread_join(threads[i], &result);
		assert_non_null(result);
	}
	assert_true(there(*state, "of many"));
}

static void damage_is_found(void **state)
{
	struct place *p = *state;
	const struct digest digest = digest_of("content");
	struct azm_err err = { 0 };
	char text[DIGEST_TEXT_SIZE];

	assert_int_equal(blob_cache_put(p->cache, &digest, "content", 7, &err), 0);
	assert_true(blob_cache_verify(p->cache, &digest, 7));
	digest_text(&digest, text);
	cleanup_free char *path = xasprintf("%s/blobs/sha256/%s", p->path, text + 7);
	cleanup_fd int fd = open(path, O_WRONLY | O_CLOEXEC);
	assert_int_equal(pwrite(fd, "C", 1, 0), 1);
	assert_false(blob_cache_verify(p->cache, &digest, 7));
	assert_false(there(p, "content"));
}

static void set_age(struct place *p, const struct digest *digest, time_t when)
{
	const struct timespec times[2] = { { .tv_sec = when }, { .tv_sec = when } };
	char text[DIGEST_TEXT_SIZE];

	digest_text(digest, text);
	cleanup_free char *name = xasprintf("blobs/sha256/%s", text + strlen("sha256:"));
	assert_int_equal(utimensat(p->root, name, times, 0), 0);
}

static void the_oldest_goes_first(void **state)
{
	struct place *p = *state;
	cleanup_free char *data = xcalloc(1, 100001);
	const char *const names = "abc";
	struct azm_err err = { 0 };
	uint64_t bytes, count;

	for (size_t i = 0; i < 3; i++) {
		memset(data, names[i], 100000);
		const struct digest digest = digest_of(data);
		assert_int_equal(blob_cache_put(p->cache, &digest, data, 100000, &err), 0);
		set_age(p, &digest, (time_t)i);
	}
	struct blob blob;
	memset(data, 'a', 100000);
	const struct digest used = digest_of(data);
	assert_true(blob_cache_find(p->cache, &used, 100000, &blob)); /* used now: b is the oldest */
	close(blob.fd);
	assert_int_equal(blob_cache_trim(p->cache, 250000), 100000);
	assert_true(blob_cache_find(p->cache, &used, 100000, &blob));
	close(blob.fd);
	blob_cache_usage(p->cache, &bytes, &count);
	assert_int_equal(count, 2);
	assert_int_equal(blob_cache_trim(p->cache, 0), 200000);
	blob_cache_usage(p->cache, &bytes, &count);
	assert_int_equal(count, 0);
}

static void links_and_others_directories_are_refused(void **state)
{
	struct place *p = *state;
	struct azm_err err = { 0 };

	assert_int_equal(renameat(p->root, "blobs", p->root, "elsewhere"), 0);
	assert_int_equal(symlinkat("elsewhere", p->root, "blobs"), 0);
	assert_null(blob_cache_open(p->root, &err));
	assert_int_equal(unlinkat(p->root, "blobs", 0), 0);
	assert_int_equal(mkdirat(p->root, "blobs", 0777), 0);
	assert_int_equal(fchmodat(p->root, "blobs", 0777, 0), 0);
	assert_null(blob_cache_open(p->root, &err));
	assert_true(err_is(&err, EPERM));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_is_put_is_there, begin, end),
		cmocka_unit_test_setup_teardown(what_is_wrong_is_not, begin, end),
		cmocka_unit_test_setup_teardown(a_beginning_is_gone_on_with, begin, end),
		cmocka_unit_test_setup_teardown(one_writes_at_a_time, begin, end),
		cmocka_unit_test_setup_teardown(many_writers_agree, begin, end),
		cmocka_unit_test_setup_teardown(damage_is_found, begin, end),
		cmocka_unit_test_setup_teardown(the_oldest_goes_first, begin, end),
		cmocka_unit_test_setup_teardown(links_and_others_directories_are_refused, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
