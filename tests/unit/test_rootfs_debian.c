// SPDX-License-Identifier: GPL-2.0-or-later
/* tests/unit/test_rootfs_debian.c: what azm-rootfs asks of Debian's tools, and what it understands of their answers. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "rootfs-tools/debian.h"
#include "rootfs-tools/transcript.h"

/* ---- packages and sources ------------------------------------------------------------------------------------- */

static void a_variant_holds_the_smaller_ones(void **state)
{
	struct str_list extra = { 0 };

	(void)state;
	str_list_add(&extra, "strace");
	char *list = debian_packages(debian_variant("standard"), &extra);
	assert_non_null(strstr(list, "bash,"));
	assert_non_null(strstr(list, ",nodejs,"));
	assert_string_equal(strrchr(list, ','), ",strace");
	assert_null(strpbrk(list, " "));
	assert_null(strstr(list, "build-essential"));
	assert_null(debian_variant("huge"));
	free(list);
	str_list_free(&extra);
}

static void a_release_has_updates_and_security(void **state)
{
	struct str_list mirrors = { 0 }, sources = { 0 };

	(void)state;
	debian_sources("bookworm", &mirrors, "/k.gpg", &sources);
	assert_int_equal(sources.count, 3);
	assert_string_equal(sources.items[0], "deb [signed-by=\"/k.gpg\"] http://deb.debian.org/debian bookworm main");
	assert_non_null(strstr(sources.items[2], " bookworm-security "));
	str_list_free(&sources);
	debian_sources("sid", &mirrors, NULL, &sources);
	assert_int_equal(sources.count, 1);
	assert_string_equal(sources.items[0], "deb http://deb.debian.org/debian sid main");
	str_list_free(&sources);
}

static void mirrors_replace_the_official_one(void **state)
{
	struct str_list mirrors = { 0 }, sources = { 0 };

	(void)state;
	str_list_add(&mirrors, "http://near/debian");
	str_list_add(&mirrors, "deb http://other/ubuntu noble main universe");
	debian_sources("bookworm", &mirrors, NULL, &sources);
	assert_int_equal(sources.count, 2);
	assert_string_equal(sources.items[0], "deb http://near/debian bookworm main");
	assert_string_equal(sources.items[1], mirrors.items[1]);
	str_list_free(&sources);
	str_list_free(&mirrors);
}

/* ---- the tools' output ---------------------------------------------------------------------------------------- */

struct session {
	struct progress progress;
	struct transcript transcript;
};

static struct session *new_session(void)
{
	struct session *session = xcalloc(1, sizeof *session);

	progress_begin(&session->progress, PROGRESS_QUIET, "test");
	session->transcript.progress = &session->progress;
	return session;
}

static void feed(struct session *session, const char *text)
{
	transcript_feed(&session->transcript, text, strlen(text));
}

static void phases_and_percentages_move_the_progress(void **state)
{
	struct session *session = new_session();

	(void)state;
	feed(session, "\033[0;32mI: running apt-get update...\033[0m\n");
	assert_string_equal(session->progress.phase, "update");
	feed(session, "I: installing remaining packages inside the chroot...\n");
	assert_string_equal(session->progress.phase, "download");
	double before = session->progress.percent;
	feed(session, "\033[2Kdownloading:  50.00 [====>    ]\r");
	assert_true(session->progress.percent > before);
	/* In pieces, as a terminal delivers it. */
	feed(session, "\033[2Kinstalli");
	feed(session, "ng:  20.00 [=>       ]\r");
	assert_string_equal(session->progress.phase, "install");
	before = session->progress.percent;
	feed(session, "\033[2Kinstalling:  10.00 [=>       ]\r");
	assert_true(session->progress.percent >= before);
	free(session);
}

static void lines_that_only_look_like_progress_change_nothing(void **state)
{
	struct session *session = new_session();

	(void)state;
	feed(session, "Setting up: 99.0 [x\n");
	feed(session, "downloading: nan [\r");
	feed(session, "downloading: 99.0 [\r"); /* before any phase */
	assert_null(session->progress.phase);
	assert_true(session->progress.percent <= 0);
	free(session);
}

static void expect_cause(const char *said, int code, const char *reason)
{
	struct session *session = new_session();
	struct azm_err err = { 0 };

	feed(session, "I: running apt-get update...\nReading package lists...\n");
	feed(session, said);
	feed(session, "E: apt-get update failed\n");
	assert_int_equal(transcript_explain(&session->transcript, "bookworm", &err), -1);
	assert_int_equal(err.code, code);
	assert_string_equal(err.reason, reason);
	free(session);
}

static void the_cause_is_found_among_the_last_lines(void **state)
{
	(void)state;
	expect_cause("E: The repository 'http://m x Release' does not have a Release file.\n", ENOENT,
		"The repository 'http://m x Release' does not have a Release file.");
	expect_cause("E: Unable to locate package nosuch\n", ENOENT, "Unable to locate package nosuch");
	expect_cause("dpkg: error: write (No space left on device)\nE: Unable to locate package x\n", ENOSPC,
		"dpkg: error: write (No space left on device)");
	expect_cause("  Temporary failure resolving 'deb.debian.org'\n", ENETUNREACH,
		"Temporary failure resolving 'deb.debian.org'");
	expect_cause("nothing known\n", EIO, "apt-get update failed");
}

static void silence_is_explained_too(void **state)
{
	struct session *session = new_session();
	struct azm_err err = { 0 };

	(void)state;
	assert_int_equal(transcript_explain(&session->transcript, "bookworm", &err), -1);
	assert_true(err.reason[0] != '\0');
	free(session);
}

static void endless_output_is_bounded_and_its_end_kept(void **state)
{
	struct session *session = new_session();
	struct azm_err err = { 0 };

	(void)state;
	for (int i = 0; i < 20000; i++)
		feed(session, "a line of a chatty maintainer script, 0123456789 0123456789\n");
	for (int i = 0; i < 100000; i++)
		feed(session, "x"); /* one endless line */
	feed(session, "\nE: Unable to locate package nosuch\n");
	assert_true(session->transcript.tail_length < sizeof session->transcript.tail);
	transcript_explain(&session->transcript, "bookworm", &err);
	assert_string_equal(err.reason, "Unable to locate package nosuch");
	free(session);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_variant_holds_the_smaller_ones),
		cmocka_unit_test(a_release_has_updates_and_security),
		cmocka_unit_test(mirrors_replace_the_official_one),
		cmocka_unit_test(phases_and_percentages_move_the_progress),
		cmocka_unit_test(lines_that_only_look_like_progress_change_nothing),
		cmocka_unit_test(the_cause_is_found_among_the_last_lines),
		cmocka_unit_test(silence_is_explained_too),
		cmocka_unit_test(endless_output_is_bounded_and_its_end_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
