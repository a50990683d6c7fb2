// SPDX-License-Identifier: GPL-2.0-or-later
/* tests/unit/test_runtime_image.c: an image on disk and its image.json, honest or hostile (image.h). */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "image.h"
#include "tests/unit/runtime_fixture.h"

/* img/rootfs with something in it; tests add image.json. */
static int make_bundle(void **state)
{
	return enter_directory(state) < 0 || mkdir("img", 0755) < 0 || mkdir("img/rootfs", 0755) < 0 ||
			       mkdir("img/rootfs/etc", 0755) < 0
		       ? -1
		       : 0;
}

static int read_text(const char *text, struct image *image, struct azm_err *err)
{
	cleanup_free char *copy = xstrdup(text); /* of exactly its size, for sanitizers */

	*image = (struct image){ 0 };
	return image_read_config(image, copy, strlen(text), err);
}

static void a_configuration_is_read_whole(void **state)
{
	struct azm_err err = { 0 };
	struct image image;

	(void)state;
	assert_ok(read_text("{\"architecture\":\"amd64\",\"config\":{\"Env\":[\"PATH=/bin\",\"A=\"],"
			    "\"Entrypoint\":[\"/bin/sh\"],\"Cmd\":[\"-c\",\"\"],\"User\":\"agent:staff\","
			    "\"WorkingDir\":\"/work\",\"StopSignal\":\"SIGINT\","
			    "\"ExposedPorts\":{\"9000/tcp\":{},\"53/udp\":{},\"3000\":{}},\"Unknown\":[1]}}",
			  &image, &err),
		&err);
	assert_int_equal(image.env.count, 2);
	assert_string_equal(image.env.items[1], "A=");
	assert_string_equal(image.entrypoint.items[0], "/bin/sh");
	assert_int_equal(image.cmd.count, 2);
	assert_string_equal(image.user, "agent:staff");
	assert_string_equal(image.workdir, "/work");
	assert_string_equal(image.stop_signal, "SIGINT");
	assert_int_equal(image.port, 3000);
	assert_false(image.has_server);
	image_close(&image);
}

static void absent_null_and_empty_mean_not_given(void **state)
{
	static const char *const texts[] = { "{}", "{\"config\":null}", "{\"config\":{}}",
		"{\"config\":{\"Env\":null,\"Entrypoint\":null,\"Cmd\":null,\"User\":null,\"WorkingDir\":\"\","
		"\"StopSignal\":\"\",\"ExposedPorts\":null,\"Labels\":null}}",
		"{\"config\":{\"ExposedPorts\":[],\"Labels\":\"x\"}}",
		"{\"config\":{\"ExposedPorts\":{\"\":{},\"/tcp\":{},\"0\":{},\"65536\":{},\"-1\":{},\"1x\":{},"
		"\"80/udp\":{},\"80/tcp/x\":{},\"00000000080\":{}}}}" };

	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		struct azm_err err = { 0 };
		struct image image;
		assert_ok(read_text(texts[i], &image, &err), &err);
		assert_true(!image.user && !image.workdir && !image.stop_signal && !image.env.count &&
			    !image.entrypoint.count && !image.cmd.count && !image.port && !image.has_server);
		image_close(&image);
	}
}

static void a_server_is_known_by_its_command_or_its_label(void **state)
{
	static const struct {
		const char *text;
		bool server;
	} rows[] = {
		{ "{\"config\":{\"Cmd\":[\"/usr/bin/azm-runtime-server\",\"--port\",\"1\"]}}", true },
		{ "{\"config\":{\"Entrypoint\":[\"python\",\"-m\",\"openhands.agent_server\"]}}", true },
		{ "{\"config\":{\"Labels\":{\"org.azm-sandbox.server\":\"true\"}}}", true },
		{ "{\"config\":{\"Labels\":{\"org.azm-sandbox\":\"true\"},\"Cmd\":[\"bash\"]}}", false },
		{ "{\"config\":{\"Env\":[\"X=azm-runtime-server\"]}}", false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct azm_err err = { 0 };
		struct image image;
		assert_ok(read_text(rows[i].text, &image, &err), &err);
		assert_int_equal(image.has_server, rows[i].server);
		image_close(&image);
	}
}

static void wrong_types_and_broken_text_are_refused(void **state)
{
	static const char *const texts[] = { "", " ", "{", "[]", "null", "7", "\"x\"", "{}{}", "{\"config\":[]}",
		"{\"config\":\"x\"}", "{\"config\":1}", "{\"config\":{\"Env\":\"A=b\"}}", "{\"config\":{\"Env\":{}}}",
		"{\"config\":{\"Env\":[1]}}", "{\"config\":{\"Env\":[null]}}", "{\"config\":{\"Env\":[[\"A=b\"]]}}",
		"{\"config\":{\"Entrypoint\":\"/bin/sh\"}}", "{\"config\":{\"Cmd\":[\"a\",{}]}}",
		"{\"config\":{\"User\":0}}", "{\"config\":{\"User\":[\"root\"]}}", "{\"config\":{\"WorkingDir\":true}}",
		"{\"config\":{\"StopSignal\":15}}", "{\"config\":{},\"config\":{}}",
		"{\"config\":{\"User\":\"a\",\"User\":\"0\"}}", "{\"config\":{\"User\":\"a\\u0000b\"}}",
		"{\"config\":{\"User\":\"\xff\"}}", "{\"config\":{\"User\":\"\xed\xa0\x80\"}}",
		"{\"config\":{\"User\":\"\\ud800\"}}", "\xef\xbb\xbf{}", "\177ELF", "{'config':{}}", "{\"a\":01}",
		"{\"a\":1e999}", "{\"a\":99999999999999999999}", "{\"config\":{},}", "{\"config\":{}} // x" };

	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		struct azm_err err = { 0 };
		struct image image;
		if (read_text(texts[i], &image, &err) == 0)
			fail_msg("\"%s\" was accepted", texts[i]);
		assert_int_equal(err.code, EINVAL);
		image_close(&image);
	}
}

static void depth_and_numbers_of_things_are_bounded(void **state)
{
	enum { DEEP = 500000 };
	struct azm_err err = { 0 };
	struct image image;
	cleanup_free char *deep = xcalloc(DEEP + 1, 1);

	(void)state;
	memset(deep, '[', DEEP);
	assert_refused(read_text(deep, &image, &err), &err, EINVAL);
	image_close(&image);
	for (size_t i = 0; i + 5 <= DEEP; i += 5)
		memcpy(deep + i, "{\"a\":", 5);
	assert_refused(read_text(deep, &image, &err), &err, EINVAL);
	image_close(&image);

	cleanup_free char *many = NULL;
	size_t size;
	FILE *out = open_memstream(&many, &size);
	fputs("{\"config\":{\"Env\":[\"\"", out);
	for (size_t i = 0; i < 4096; i++)
		fputs(",\"\"", out);
	fputs("]}}", out);
	fclose(out);
	assert_refused(read_text(many, &image, &err), &err, EINVAL);
	image_close(&image);
}

/* ---- on disk --------------------------------------------------------------------------------------------------- */

static int open_image(const char *path, struct azm_err *err)
{
	struct image image;

	alarm(20);
	int result = image_open(path, NULL, &image, err);
	alarm(0);
	image_close(&image);
	return result;
}

static void a_bundle_or_a_root_tree_is_an_image(void **state)
{
	struct azm_err err = { 0 };

	(void)state;
	assert_ok(open_image("img/rootfs", &err), &err);
	put_text("img/image.json", "{}");
	assert_ok(open_image("img", &err), &err);
	put_text("img/rootfs/image.json", "not json"); /* without a rootfs beside it, this is just a file */
	assert_ok(open_image("img/rootfs", &err), &err);
}

static void what_cannot_be_an_image_is_refused(void **state)
{
	struct azm_err err = { 0 };

	(void)state;
	put_text("file", "");
	assert_int_equal(mkdir("empty", 0755), 0);
	assert_refused(open_image("nothing", &err), &err, ENOENT);
	assert_refused(open_image("", &err), &err, ENOENT);
	assert_refused(open_image("file", &err), &err, ENOTDIR);
	assert_refused(open_image("/dev/null", &err), &err, ENOTDIR);
	assert_refused(open_image("empty", &err), &err, ENOENT);
}

static void an_image_json_that_is_no_small_file_is_refused(void **state)
{
	const size_t size = 2 << 20;
	cleanup_free char *blanks = xcalloc(size, 1);
	struct azm_err err = { 0 };

	(void)state;
	assert_int_equal(mkfifo("img/image.json", 0644), 0);
	assert_refused(open_image("img", &err), &err, EINVAL);
	unlink("img/image.json");
	put_text("secret", "{}");
	assert_int_equal(symlink("../secret", "img/image.json"), 0);
	assert_refused(open_image("img", &err), &err, ELOOP);
	unlink("img/image.json");
	assert_int_equal(mkdir("img/image.json", 0755), 0);
	assert_refused(open_image("img", &err), &err, EINVAL);
	rmdir("img/image.json");
	memset(blanks, ' ', size);
	put("img/image.json", blanks, size);
	assert_refused(open_image("img", &err), &err, EFBIG);
}

static void programs_for_another_machine_are_told_at_once(void **state)
{
	/* an ELF header of the IBM S/390 (22), which nobody here has */
	static const unsigned char header[64] = { 0x7f, 'E', 'L', 'F', 2, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 22 };
	struct azm_err err = { 0 };

	(void)state;
	assert_int_equal(mkdir("img/rootfs/bin", 0755), 0);
	put("img/rootfs/bin/sh", header, sizeof header);
	assert_refused(open_image("img/rootfs", &err), &err, ENOEXEC);
	put("img/rootfs/bin/sh", header, 10); /* too short to tell */
	assert_ok(open_image("img/rootfs", &err), &err);
	unlink("img/rootfs/bin/sh");
	assert_int_equal(mkfifo("img/rootfs/bin/sh", 0755), 0);
	assert_ok(open_image("img/rootfs", &err), &err);
}

#define IN_BUNDLE(test) cmocka_unit_test_setup_teardown(test, make_bundle, leave_directory)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_configuration_is_read_whole),
		cmocka_unit_test(absent_null_and_empty_mean_not_given),
		cmocka_unit_test(a_server_is_known_by_its_command_or_its_label),
		cmocka_unit_test(wrong_types_and_broken_text_are_refused),
		cmocka_unit_test(depth_and_numbers_of_things_are_bounded),
		IN_BUNDLE(a_bundle_or_a_root_tree_is_an_image),
		IN_BUNDLE(what_cannot_be_an_image_is_refused),
		IN_BUNDLE(an_image_json_that_is_no_small_file_is_refused),
		IN_BUNDLE(programs_for_another_machine_are_told_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
