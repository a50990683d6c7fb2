// SPDX-License-Identifier: GPL-2.0-or-later
/* tests/unit/test_rootfs_names.c: names of images, sources and platforms (rootfs-tools/reference.h, manifest.h), and of
 * files in an archive (tar_index.h).
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/str.h"
#include "rootfs-tools/manifest.h"
#include "rootfs-tools/reference.h"
#include "rootfs-tools/tar_index.h"

#define ZEROS "0000000000000000000000000000000000000000000000000000000000000000"

static void references_are_completed(void **state)
{
	static const char *const cases[][2] = {
		{ "busybox", "docker.io/library/busybox:latest" },
		{ "busybox:1.36", "docker.io/library/busybox:1.36" },
		{ "me/tool", "docker.io/me/tool:latest" },
		{ "index.docker.io/library/busybox", "docker.io/library/busybox:latest" },
		{ "docker.io/busybox", "docker.io/library/busybox:latest" },
		{ "ghcr.io/a/b/c:v1", "ghcr.io/a/b/c:v1" },
		{ "localhost/x", "localhost/x:latest" },
		{ "localhost:5000/x:y", "localhost:5000/x:y" },
		{ "[::1]:5000/x", "[::1]:5000/x:latest" },
		{ "x@sha256:" ZEROS, "docker.io/library/x@sha256:" ZEROS },
		{ "x:t@sha256:" ZEROS, "docker.io/library/x:t@sha256:" ZEROS },
		{ "a-b__c.d---e", "docker.io/library/a-b__c.d---e:latest" },
		{ "x:Tag_1.2-3", "docker.io/library/x:Tag_1.2-3" },
	};
	struct azm_err err = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		cleanup_reference struct reference reference = { 0 };
		assert_int_equal(reference_parse(cases[i][0], &reference, &err), 0);
		cleanup_free char *text = reference_text(&reference);
		assert_string_equal(text, cases[i][1]);
		assert_true(reference_same(cases[i][0], cases[i][1]));
	}
	assert_false(reference_same("busybox", "busybox:1"));
	assert_true(reference_same("Not A Reference", "Not A Reference"));
}

static void what_is_no_reference_is_refused(void **state)
{
	static const char *const cases[] = { "", "/", "x/", "/x", "x//y", "X", "x:", "x:-t", "x:a b", "x@sha256:12",
		"x@", "-x", "x-", "x___y", "../x", "a/../b", "a b", "x\ny", "http://x/y", "-h.io/x", "x:t:u/../v" };
	struct azm_err err = { 0 };
	char long_name[400];

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct reference reference;
		assert_int_equal(reference_parse(cases[i], &reference, &err), -1);
		assert_null(reference.path);
	}
	/* Too long only once it is complete. */
	memset(long_name, 'a', 250);
	long_name[250] = '\0';
	struct reference reference;
	assert_int_equal(reference_parse(long_name, &reference, &err), -1);
}

static void sources_say_what_they_are(void **state)
{
	static const struct {
		const char *text;
		enum source_kind kind;
		const char *path, *tag;
	} cases[] = {
		{ "image.tar", SOURCE_AUTO, "image.tar", NULL },
		{ "odd:name", SOURCE_AUTO, "odd:name", NULL },
		{ "-", SOURCE_AUTO, "-", NULL },
		{ "oci:dir", SOURCE_OCI_DIRECTORY, "dir", NULL },
		{ "oci:/a/b:tag", SOURCE_OCI_DIRECTORY, "/a/b", "tag" },
		{ "oci-archive:f.tar:t", SOURCE_OCI_ARCHIVE, "f.tar", "t" },
		{ "docker-archive:f.tar:docker.io/library/x:1", SOURCE_DOCKER_ARCHIVE, "f.tar",
			"docker.io/library/x:1" },
	};
	struct azm_err err = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		cleanup_source_name struct source_name source = { 0 };
		assert_int_equal(source_parse(cases[i].text, &source, &err), 0);
		assert_int_equal(source.kind, cases[i].kind);
		assert_string_equal(source.path, cases[i].path);
		assert_true(!source.tag == !cases[i].tag && (!source.tag || strcmp(source.tag, cases[i].tag) == 0));
	}
	struct source_name source;
	assert_int_equal(source_parse("", &source, &err), -1);
	assert_int_equal(source_parse("oci:", &source, &err), -1);
}

static void platforms_fit_what_they_do_not_contradict(void **state)
{
	static const struct {
		const char *wanted, *offered;
		bool fits;
	} cases[] = {
		{ "linux/amd64", "linux/amd64", true },
		{ "linux/arm64", "linux/arm64/v8", true },
		{ "linux/arm/v7", "linux/arm/v6", false },
		{ "linux/amd64", "windows/amd64", false },
	};
	static const char *const bad[] = { "", "linux", "linux/", "/amd64", "a/b/c/d", "linux//v8" };
	struct azm_err err = { 0 };
	struct platform none = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct platform wanted, offered;
		assert_int_equal(platform_parse(cases[i].wanted, &wanted, &err), 0);
		assert_int_equal(platform_parse(cases[i].offered, &offered, &err), 0);
		assert_int_equal(platform_fits(&wanted, &offered), cases[i].fits);
		assert_true(platform_fits(&wanted, &none));
		platform_free(&wanted);
		platform_free(&offered);
	}
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct platform platform;
		assert_int_equal(platform_parse(bad[i], &platform, &err), -1);
		platform_free(&platform);
	}
}

/* ---- archives -------------------------------------------------------------------------------------------------- */

struct archive_text {
	unsigned char bytes[64 * TAR_BLOCK];
	size_t size;
};

static void put(struct archive_text *a, char type, const char *name, const char *link, const char *data)
{
	unsigned char *h = a->bytes + a->size;
	unsigned sum = 0;

	memset(h, 0, TAR_BLOCK);
	snprintf((char *)h, 100, "%s", name);
	snprintf((char *)h + 124, 12, "%011o", (unsigned)strlen(data));
	h[156] = (unsigned char)type;
	snprintf((char *)h + 157, 100, "%s", link);
	snprintf((char *)h + 257, 8, "ustar");
	memset(h + 148, ' ', 8);
	for (size_t i = 0; i < TAR_BLOCK; i++)
		sum += h[i];
	snprintf((char *)h + 148, 8, "%06o", sum);
	memset(h + TAR_BLOCK, 0, TAR_BLOCK);
	snprintf((char *)h + TAR_BLOCK, TAR_BLOCK, "%s", data);
	a->size += (size_t)TAR_BLOCK * (*data ? 2 : 1);
}

static struct tar_index *index_of(const struct archive_text *a, size_t size, struct azm_err *err)
{
	cleanup_fd int fd = memfd_create("tar", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write_full(fd, a->bytes, size), 0);
	return tar_index_new(fd, size, err);
}

static void files_of_an_archive_are_found_through_links(void **state)
{
	static struct archive_text a; /* zeros: the end is there */
	struct azm_err err = { 0 };
	uint64_t offset, size;

	(void)state;
	a.size = 0;
	put(&a, '5', "./", "", "");
	put(&a, '0', "./one/layer.tar", "", "first");
	put(&a, '2', "two/layer.tar", "../one/layer.tar", "");
	put(&a, '1', "three", "./one/layer.tar", "");
	put(&a, '2', "round", "round", "");
	put(&a, '2', "out", "../../../../etc/passwd", "");
	put(&a, '0', "same", "", "old");
	put(&a, '0', "same", "", "newer");
	put(&a, 'x', "pax", "", "22 path=a/longer/name\n");
	put(&a, '0', "short", "", "pax");
	put(&a, 'L', "././@LongLink", "", "gnu/long");
	put(&a, '0', "gnu", "", "gnu!");
	struct tar_index *index = index_of(&a, a.size + 2 * (size_t)TAR_BLOCK, &err);
	assert_non_null(index);
	assert_true(tar_index_find(index, "one/layer.tar", &offset, &size));
	assert_memory_equal(a.bytes + offset, "first", 5);
	assert_int_equal(size, 5);
	assert_true(tar_index_find(index, "./two/layer.tar", &offset, &size) && size == 5);
	assert_true(tar_index_find(index, "three", &offset, &size) && size == 5);
	assert_true(tar_index_find(index, "same", &offset, &size) && size == 5);
	assert_true(tar_index_find(index, "a/longer/name", &offset, &size) && size == 3);
	assert_true(tar_index_find(index, "gnu/long", &offset, &size) && size == 4);
	assert_false(tar_index_find(index, "short", &offset, &size));
	assert_false(tar_index_find(index, "round", &offset, &size));
	assert_false(tar_index_find(index, "out", &offset, &size));
	assert_false(tar_index_find(index, "one", &offset, &size));
	tar_index_free(index);
	/* Cut off anywhere: never taken for whole. */
	for (size_t cut = 0; cut <= a.size; cut += TAR_BLOCK / 4)
		assert_null(index_of(&a, cut, &err));
}

static void damaged_headers_are_refused(void **state)
{
	static struct archive_text a;
	struct azm_err err = { 0 };

	(void)state;
	a.size = 0;
	put(&a, '0', "file", "", "data");
	a.bytes[0] ^= 1;
	assert_null(index_of(&a, sizeof a.bytes, &err));
	a.size = 0;
	put(&a, 'x', "pax", "", "99 path=too-short\n");
	assert_null(index_of(&a, sizeof a.bytes, &err));
}

static void roots_are_told_from_images(void **state)
{
	static struct archive_text a;

	(void)state;
	a.size = 0;
	put(&a, '5', "./", "", "");
	put(&a, '0', "manifest.json", "", "[]");
	assert_false(tar_is_root(a.bytes, a.size));
	put(&a, '5', "./etc/", "", "");
	assert_true(tar_is_root(a.bytes, a.size));
	assert_false(tar_is_root(a.bytes, TAR_BLOCK - 1));
	assert_false(tar_is_root((const unsigned char *)"", 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(references_are_completed),
		cmocka_unit_test(what_is_no_reference_is_refused),
		cmocka_unit_test(sources_say_what_they_are),
		cmocka_unit_test(platforms_fit_what_they_do_not_contradict),
		cmocka_unit_test(files_of_an_archive_are_found_through_links),
		cmocka_unit_test(damaged_headers_are_refused),
		cmocka_unit_test(roots_are_told_from_images),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
