// SPDX-License-Identifier: GPL-2.0-or-later
/* tests/unit/test_egress_log.c: the lines of the egress log, hostile text in them, and their bounds. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/str.h"
#include "base/tree.h"
#include "netns/address_class.h"
#include "netns/egress_log.h"

struct place {
	char path[64];
	int dir;
};

static int set_up(void **state)
{
	struct place *place = calloc(1, sizeof *place);

	assert_non_null(place);
	const char *temporary = getenv("TMPDIR");
	snprintf(place->path, sizeof place->path, "%s/azm-log-XXXXXX",
		temporary && strlen(temporary) < 40 ? temporary : "/tmp");
	assert_non_null(mkdtemp(place->path));
	place->dir = open(place->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(place->dir >= 0);
	*state = place;
	return 0;
}

static int tear_down(void **state)
{
	struct place *place = *state;
	struct azm_err err = { 0 };

	close(place->dir);
	assert_int_equal(tree_remove_at(AT_FDCWD, place->path, &err), 0);
	free(place);
	return 0;
}

static struct egress_log *open_it(const struct place *place)
{
	struct azm_err err = { 0 };
	struct egress_log *log = egress_log_open(place->dir, &err);

	assert_non_null(log);
	return log;
}

static char *content(const struct place *place, const char *name)
{
	cleanup_free char *path = xasprintf("%s/%s", place->path, name);
	char *text = read_path(path, 16 << 20, NULL);

	assert_non_null(text);
	return text;
}

/* The text after the time, which begins every line. */
static const char *after_time(const char *line)
{
	static const char pattern[] = "{\"time\":\"dddd-dd-ddTdd:dd:dd.dddZ\",";

	for (size_t i = 0; i < strlen(pattern); i++) {
		if (pattern[i] == 'd')
			assert_true(line[i] >= '0' && line[i] <= '9');
		else
			assert_int_equal(line[i], pattern[i]);
	}
	return line + strlen(pattern);
}

static void lines(void **state)
{
	struct egress_log *log = open_it(*state);
	struct egress_event event = { .verdict = EGRESS_ALLOWED,
		.name = "a.example",
		.has_address = true,
		.address = address_from_v4(0xc0000201),
		.port = 443,
		.rule = "*.example" };

	egress_log_write(log, &event);
	event.verdict = EGRESS_CLOSED;
	event.sent = 10;
	event.received = 20;
	egress_log_write(log, &event);
	event = (struct egress_event){ .verdict = EGRESS_DENIED, .has_address = true, .port = 22, .why = "loopback" };
	inet_pton(AF_INET6, "2001:db8::1", &event.address);
	egress_log_write(log, &event);
	egress_log_close(log);

	cleanup_free char *text = content(*state, EGRESS_LOG);
	cleanup_str_list struct str_list list = { 0 };
	str_list_split(&list, text, '\n');
	assert_int_equal(list.count, 4);
	assert_string_equal(after_time(list.items[0]),
		"\"verdict\":\"allowed\",\"name\":\"a.example\",\"address\":\"192.0.2.1\",\"port\":443,"
		"\"rule\":\"*.example\",\"why\":null,\"bytes\":0}");
	assert_string_equal(after_time(list.items[1]),
		"\"verdict\":\"closed\",\"name\":\"a.example\",\"address\":\"192.0.2.1\",\"port\":443,"
		"\"rule\":\"*.example\",\"why\":null,\"bytes\":30,\"sent\":10,\"received\":20}");
	assert_string_equal(after_time(list.items[2]),
		"\"verdict\":\"denied\",\"name\":null,\"address\":\"2001:db8::1\",\"port\":22,"
		"\"rule\":null,\"why\":\"loopback\",\"bytes\":0}");
	assert_string_equal(list.items[3], "");
}

static void hostile_text_stays_in_its_string(void **state)
{
	struct egress_log *log = open_it(*state);
	char longest[2000];
	struct egress_event event = { .verdict = EGRESS_DENIED, .name = "a\",\"verdict\":\"allowed\\\n\x1b[2J\xff" };

	egress_log_write(log, &event);
	memset(longest, '"', sizeof longest - 1);
	longest[sizeof longest - 1] = '\0';
	event.name = event.why = event.rule = longest;
	egress_log_write(log, &event);
	egress_log_close(log);

	cleanup_free char *text = content(*state, EGRESS_LOG);
	cleanup_str_list struct str_list list = { 0 };
	str_list_split(&list, text, '\n');
	assert_int_equal(list.count, 3);
	assert_non_null(strstr(list.items[0], "\"name\":\"a\\\",\\\"verdict\\\":\\\"allowed\\\\"));
	for (const char *c = text; *c; c++)
		assert_true(*c == '\n' || ((unsigned char)*c >= ' ' && (unsigned char)*c < 0x7f));
	assert_string_equal(list.items[1] + strlen(list.items[1]) - 2, "0}");
}

static void a_flood_is_counted_not_written(void **state)
{
	struct egress_log *log = open_it(*state);
	struct egress_event event = { .verdict = EGRESS_DENIED, .name = "a.example" };
	unsigned long said = 0;
	size_t written = 0;

	for (int i = 0; i < 20000; i++)
		egress_log_write(log, &event);
	egress_log_close(log);

	cleanup_free char *text = content(*state, EGRESS_LOG);
	cleanup_str_list struct str_list list = { 0 };
	str_list_split(&list, text, '\n');
	for (size_t i = 0; i < list.count; i++) {
		const char *count = strstr(list.items[i], "\"omitted\",\"count\":");
		said += count ? strtoul(count + 18, NULL, 10) : 0;
		written += strstr(list.items[i], "\"denied\"") != NULL;
	}
	assert_int_equal(written + said, 20000);
	assert_true(written >= EGRESS_LOG_BURST && written < 2 * EGRESS_LOG_BURST);
}

static void a_full_log_makes_room_for_a_new_one(void **state)
{
	struct place *place = *state;
	struct stat st;
	struct egress_event event = { .verdict = EGRESS_DENIED, .name = "new.example" };

	cleanup_fd int fd = openat(place->dir, EGRESS_LOG, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(ftruncate(fd, EGRESS_LOG_BYTES - 10), 0);
	struct egress_log *log = open_it(place);
	egress_log_write(log, &event);
	egress_log_close(log);

	assert_int_equal(fstatat(place->dir, EGRESS_LOG_OLD, &st, 0), 0);
	assert_int_equal(st.st_size, EGRESS_LOG_BYTES - 10);
	cleanup_free char *text = content(place, EGRESS_LOG);
	assert_non_null(strstr(text, "new.example"));
	assert_true(strlen(text) < 300);
}

static void a_link_in_its_place_is_refused(void **state)
{
	struct place *place = *state;
	struct azm_err err = { 0 };

	assert_int_equal(symlinkat("elsewhere", place->dir, EGRESS_LOG), 0);
	assert_null(egress_log_open(place->dir, &err));
	assert_int_not_equal(err.code, 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(lines, set_up, tear_down),
		cmocka_unit_test_setup_teardown(hostile_text_stays_in_its_string, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_flood_is_counted_not_written, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_full_log_makes_room_for_a_new_one, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_link_in_its_place_is_refused, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
