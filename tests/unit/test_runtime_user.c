// SPDX-License-Identifier: GPL-2.0-or-later
/* tests/unit/test_runtime_user.c: who --user is inside an image, honest or hostile (t-u1: crun CVE-2026-30892,
 * containerd CVE-2026-46680). */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "tests/unit/runtime_fixture.h"
#include "user.h"

static const char passwd[] = "root:x:0:0:root:/root:/bin/bash\n"
			     "agent:x:1000:1001:An agent:/home/agent:/bin/sh\n"
			     "again:x:1000:7::/again:/bin/again\n"
			     "relative:x:1002:1002::home:sh\n"
			     "short:x:1003\n"
			     "minus:x:-1:0::/:/bin/sh\n"
			     "huge:x:4294967296:0::/:/bin/sh\n"
			     "noid:x:4294967295:0::/:/bin/sh\n"
			     "text:x:0abc:0::/:/bin/sh\n"
			     ":x:1004:1004::/:/bin/sh\n"
			     "2000:x:0:0::/root:/bin/sh\n"
			     "last:x:65535:65535::/last:"; /* no newline at the end */
static const char group[] = "root:x:0:\n"
			    "staff:x:50:agent,root\n"
			    "docker:x:60:root,agent\n"
			    "prefix:x:70:agen,agents\n"
			    "far:x:70000:agent\n"
			    "noid:x:4294967295:agent\n"
			    "nomembers:x:80\n";

static int make_image(void **state)
{
	if (enter_directory(state) < 0 || mkdir("etc", 0755) < 0)
		return -1;
	put_text("etc/passwd", passwd);
	put_text("etc/group", group);
	return 0;
}

static int resolve(const char *text, struct identity *identity, struct azm_err *err)
{
	cleanup_fd int root = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);

	assert_true(root >= 0);
	return user_resolve(text, &(struct stack){ .fds = &root, .count = 1 }, identity, err);
}

static void numbers_and_names_mean_what_the_image_says(void **state)
{
	static const struct {
		const char *text;
		uint32_t uid, gid;
		const char *name, *home;
		size_t groups;
	} rows[] = {
		{ "0", 0, 0, "root", "/root", 2 },
		{ "root", 0, 0, "root", "/root", 2 },
		{ "1", 1, 0, NULL, "/", 0 },
		{ "01", 1, 0, NULL, "/", 0 },
		{ "1:2", 1, 2, NULL, "/", 0 },
		{ "1000", 1000, 1001, "agent", "/home/agent", 2 }, /* the first entry of a number */
		{ "agent", 1000, 1001, "agent", "/home/agent", 2 },
		{ "agent:5", 1000, 5, "agent", "/home/agent", 2 },
		{ "agent:staff", 1000, 50, "agent", "/home/agent", 2 },
		{ "1000:docker", 1000, 60, "agent", "/home/agent", 2 },
		{ "7:staff", 7, 50, NULL, "/", 0 },
		{ "again", 1000, 7, "again", "/again", 0 },
		{ "relative", 1002, 1002, "relative", "/", 0 },
		{ "2000", 2000, 0, NULL, "/", 0 }, /* a number stays one, whatever names there are */
		{ "last", 65535, 65535, "last", "/last", 0 },
		{ "4294967294", 4294967294u, 0, NULL, "/", 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct azm_err err = { 0 };
		struct identity identity;
		if (resolve(rows[i].text, &identity, &err) < 0)
			fail_msg("\"%s\": %s %s", rows[i].text, err.text, err.reason);
		assert_int_equal(identity.uid, rows[i].uid);
		assert_int_equal(identity.gid, rows[i].gid);
		assert_string_equal(identity.name ? identity.name : "-", rows[i].name ? rows[i].name : "-");
		assert_string_equal(identity.home, rows[i].home);
		assert_int_equal(identity.group_count, rows[i].groups);
		identity_free(&identity);
	}
}

static void what_is_no_user_is_refused_and_never_becomes_root(void **state)
{
	static const char *const texts[] = { "", ":", ":0", "0:", "0:0:0", "agent:", "agent:staff:x", "-1", "+1", " 1",
		"1 ", "1abc", "0x0", "1.0", "1e3", "4294967295", "4294967296", "18446744073709551616",
		"99999999999999999999999", "1:4294967295", "1:4294967296", "1:-1", "1:nosuch", "nosuch", "short",
		"minus", "huge", "noid", "text", "agent:noid", "agen", "agent ", "root\n", "\xff" };

	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		struct azm_err err = { 0 };
		struct identity identity;
		if (resolve(texts[i], &identity, &err) == 0)
			fail_msg("\"%s\" is %u:%u", texts[i], identity.uid, identity.gid);
		assert_int_equal(err.code, EINVAL);
		assert_null(identity.name);
		assert_null(identity.groups);
	}
}

/* ---- images made to harm --------------------------------------------------------------------------------------- */

/* Whatever /etc/passwd is: at once a number is a number, a name is nobody, and nothing outside was read. */
static void nothing_is_known(void)
{
	struct azm_err err = { 0 };
	struct identity identity;

	alarm(20); /* a FIFO without a writer would wait for ever */
	assert_ok(resolve("1000", &identity, &err), &err);
	alarm(0);
	assert_int_equal(identity.uid, 1000);
	assert_int_equal(identity.gid, 0);
	assert_null(identity.name);
	assert_string_equal(identity.home, "/");
	identity_free(&identity);
	assert_refused(resolve("root", &identity, &err), &err, EINVAL);
}

static void a_fifo_is_no_user_database(void **state)
{
	(void)state;
	unlink("etc/passwd");
	unlink("etc/group");
	assert_int_equal(mkfifo("etc/passwd", 0644), 0);
	assert_int_equal(mkfifo("etc/group", 0644), 0);
	nothing_is_known();
}

static void a_directory_or_nothing_is_no_user_database(void **state)
{
	(void)state;
	unlink("etc/passwd");
	nothing_is_known();
	assert_int_equal(mkdir("etc/passwd", 0755), 0);
	nothing_is_known();
}

static void links_stay_inside_the_image(void **state)
{
	static const char *const targets[] = { "/host-passwd", "../../../../../../host-passwd", "/proc/self/environ",
		"/dev/zero", "passwd" };

	(void)state;
	for (size_t i = 0; i < sizeof targets / sizeof *targets; i++) {
		unlink("etc/passwd");
		assert_int_equal(symlink(targets[i], "etc/passwd"), 0);
		nothing_is_known();
	}
	/* The same links reach a file of the image where it has one. */
	unlink("etc/passwd");
	put_text("host-passwd", "agent:x:5:6::/five:/bin/sh\n");
	assert_int_equal(symlink("../../../../../../host-passwd", "etc/passwd"), 0);
	struct azm_err err = { 0 };
	struct identity identity;
	assert_ok(resolve("agent", &identity, &err), &err);
	assert_int_equal(identity.uid, 5);
	identity_free(&identity);
}

/* mknod takes root; a device that every host has is reached through a bind or a link only, see above. */
static void a_device_is_no_user_database(void **state)
{
	(void)state;
	unlink("etc/passwd");
	if (mknod("etc/passwd", S_IFCHR | 0666, 1 << 8 | 5) < 0)
		skip();
	nothing_is_known();
}

static void five_mebibytes_are_too_many(void **state)
{
	const size_t size = 5 << 20;
	cleanup_free char *text = xcalloc(size, 1);

	(void)state;
	memset(text, 'x', size);
	memcpy(text, passwd, sizeof passwd - 1);
	put("etc/passwd", text, size);
	nothing_is_known();
}

static void odd_bytes_and_long_lines_are_passed_over(void **state)
{
	const size_t size = 3 << 20;
	cleanup_free char *text = xcalloc(size + 64, 1);
	struct azm_err err = { 0 };
	struct identity identity;

	(void)state;
	memset(text, ':', size);
	memcpy(text + size, "\n\n:::::\nagent:x:9:9::/nine:/bin/sh\n", 36);
	put("etc/passwd", text, size + 35);
	assert_ok(resolve("agent", &identity, &err), &err);
	assert_int_equal(identity.uid, 9);
	identity_free(&identity);
	/* A NUL ends the text: what is behind it is not there. */
	put("etc/passwd", "root:x:0:0::/root:/bin/sh\0\nagent:x:9:9::/:/bin/sh\n", 51);
	assert_refused(resolve("agent", &identity, &err), &err, EINVAL);
}

static void groups_are_bounded(void **state)
{
	struct azm_err err = { 0 };
	struct identity identity;

	(void)state;
	cleanup_free char *text = xcalloc(5000, 24);
	size_t used = 0;
	for (unsigned i = 0; i < 5000; i++)
		used += (size_t)snprintf(text + used, 24, "g%u:x:%u:agent\n", i, i);
	put("etc/group", text, used);
	assert_ok(resolve("agent", &identity, &err), &err);
	assert_int_equal(identity.group_count, 1024);
	identity_free(&identity);
}

#define IN_IMAGE(test) cmocka_unit_test_setup_teardown(test, make_image, leave_directory)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_IMAGE(numbers_and_names_mean_what_the_image_says),
		IN_IMAGE(what_is_no_user_is_refused_and_never_becomes_root),
		IN_IMAGE(a_fifo_is_no_user_database),
		IN_IMAGE(a_directory_or_nothing_is_no_user_database),
		IN_IMAGE(links_stay_inside_the_image),
		IN_IMAGE(a_device_is_no_user_database),
		IN_IMAGE(five_mebibytes_are_too_many),
		IN_IMAGE(odd_bytes_and_long_lines_are_passed_over),
		IN_IMAGE(groups_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
