// SPDX-License-Identifier: GPL-2.0-or-later
/* cmd_logs.c: what the workload printed, and what it prints on.
 *
 * The files of the log are read oldest first (log_files.h), through one cursor that knows where lines begin and when
 * they came. Following goes on from file to file: the one that is open is found again by its inode under the number it
 * was moved to, so that nothing is left out however often the log was rotated in between.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/io.h"
#include "commands.h"
#include "log_files.h"

struct logs_options {
	bool follow, timestamps;
	uint64_t tail;	      /* lines; CONFIG_UNSET: all */
	int64_t since, until; /* nanoseconds since 1970; 0: any */
};

OPTION_STORES(opt_follow, struct logs_options, follow, true)
OPTION_STORES(opt_timestamps, struct logs_options, timestamps, true)

static int opt_tail(void *target, const char *value, struct azm_err *err)
{
	struct logs_options *options = target;

	if (strcmp(value, "all") == 0)
		options->tail = CONFIG_UNSET;
	else if (!str_to_u64(value, UINT32_MAX, &options->tail))
		return err_msg(err, EINVAL, "use number", NULL, "\"%s\" is not a number of lines", value);
	return 0;
}

/* "1h30m", "10s", "250ms": nanoseconds. */
static bool parse_duration(const char *text, int64_t *ns)
{
	static const struct {
		const char *name;
		double factor;
	} units[] = { { "ms", 1e6 }, { "h", 3600e9 }, { "m", 60e9 }, { "s", 1e9 } };
	double total = 0;

	if (!*text)
		return false;
	while (*text) {
		char *end;
		size_t i = 0;
		if (!isdigit((unsigned char)*text))
			return false;
		double number = strtod(text, &end);
		while (i < sizeof units / sizeof *units && !str_starts(end, units[i].name))
			i++;
		if (i == sizeof units / sizeof *units || !(number < 1e9))
			return false;
		total += number * units[i].factor;
		text = end + strlen(units[i].name);
	}
	*ns = total < 9e18 ? (int64_t)total : INT64_MAX;
	return true;
}

/* RFC 3339 or a shorter form of it, in local time unless it names a zone. */
static bool parse_date(const char *text, int64_t *ns)
{
	static const char *const forms[] = { "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%d" };

	for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
		struct tm day = { .tm_isdst = -1 };
		const char *rest = strptime(text, forms[i], &day);
		double fraction = 0;
		int hours, minutes, used = 0;
		char sign;
		if (!rest)
			continue;
		if (*rest == '.') {
			char *end;
			fraction = strtod(rest, &end);
			rest = end;
		}
		time_t seconds = *rest ? timegm(&day) : mktime(&day);
		if (sscanf(rest, "%c%2d:%2d%n", &sign, &hours, &minutes, &used) == 3 && !rest[used] &&
			(sign == '+' || sign == '-'))
			seconds -= (sign == '+' ? 1 : -1) * (hours * 3600 + minutes * 60);
		else if (*rest && strcmp(rest, "Z") != 0)
			continue;
		*ns = (int64_t)seconds * 1000000000 + (int64_t)(fraction * 1e9);
		return true;
	}
	return false;
}

static int parse_time(const char *text, int64_t *ns, struct azm_err *err)
{
	struct timespec now;
	char *end = NULL;

	clock_gettime(CLOCK_REALTIME, &now);
	if (parse_duration(text, ns)) {
		*ns = now.tv_sec * 1000000000ll + now.tv_nsec - *ns;
		*ns = *ns > 0 ? *ns : 1;
		return 0;
	}
	double seconds = isdigit((unsigned char)*text) ? strtod(text, &end) : -1;
	if (seconds >= 0 && end && !*end && seconds < 9e9) {
		*ns = (int64_t)(seconds * 1e9) + 1;
		return 0;
	}
	if (parse_date(text, ns))
		return 0;
	return err_msg(
		err, EINVAL, "use time", text, "expected 2026-01-31T12:00:00Z, seconds since 1970, or 1h30m (ago)");
}

static int opt_since(void *target, const char *value, struct azm_err *err)
{
	return parse_time(value, &((struct logs_options *)target)->since, err);
}

static int opt_until(void *target, const char *value, struct azm_err *err)
{
	return parse_time(value, &((struct logs_options *)target)->until, err);
}

const struct option_row logs_option_rows[] = {
	{ 'f', "follow", NULL, opt_follow, "go on until the sandbox ends" },
	{ 'n', "tail", "LINES", opt_tail, "only the last LINES (default: all)" },
	{ 't', "timestamps", NULL, opt_timestamps, "say before each line when it came" },
	{ 0, "since", "TIME", opt_since, "only what came after TIME: a date, seconds since 1970, or 10m ago" },
	{ 0, "until", "TIME", opt_until, "only what came before TIME" },
	OPTIONS_END,
};

/* ---- one file after the other ---------------------------------------------------------------------------------- */

struct cursor {
	const struct logs_options *options;
	int dir, fd, times;
	struct log_stamp *stamps;
	size_t stamp_count;
	off_t offset;
	bool in_line, shown; /* in the middle of a line, which is shown */
};

static void cursor_close(struct cursor *cursor)
{
	cleanup_close_fd(&cursor->fd);
	cleanup_close_fd(&cursor->times);
	cursor->fd = cursor->times = -1;
	free(cursor->stamps);
	cursor->stamps = NULL;
	cursor->stamp_count = 0;
}

/* Return: 0, -1 with errno when there is no such file */
static int cursor_open(struct cursor *cursor, unsigned number)
{
	char name[LOG_NAME];

	cursor_close(cursor);
	log_name(name, number, false);
	cursor->fd = openat(cursor->dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (cursor->fd < 0)
		return -1;
	log_name(name, number, true);
	cursor->times = openat(cursor->dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	cursor->offset = 0;
	return 0;
}

static void read_stamps(struct cursor *cursor)
{
	struct log_stamp stamp;

	while (cursor->times >= 0 && read(cursor->times, &stamp, sizeof stamp) == (ssize_t)sizeof stamp) {
		cursor->stamps = xrealloc(cursor->stamps, cursor->stamp_count + 1, sizeof stamp);
		cursor->stamps[cursor->stamp_count++] = stamp;
	}
}

/* When the bytes at an offset came; 0: nobody knows. */
static int64_t time_of(const struct cursor *cursor, off_t offset)
{
	size_t low = 0, high = cursor->stamp_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (cursor->stamps[middle].offset <= (uint64_t)offset)
			low = middle + 1;
		else
			high = middle;
	}
	return low ? cursor->stamps[low - 1].time_ns : 0;
}

static void print_time(int64_t ns)
{
	char text[CLOCK_UTC_TEXT];

	clock_utc_text(ns / 1000000000, text);
	printf("%s.%09lldZ ", text, (long long)(ns % 1000000000));
}

/* One line, or a part of one. */
static void put_piece(struct cursor *cursor, const char *piece, size_t length)
{
	const struct logs_options *options = cursor->options;

	if (!cursor->in_line) {
		int64_t when = time_of(cursor, cursor->offset);
		cursor->shown =
			(!options->since || when >= options->since) && (!options->until || when <= options->until);
		if (cursor->shown && options->timestamps)
			print_time(when);
	}
	if (cursor->shown)
		fwrite(piece, 1, length, stdout);
	cursor->in_line = piece[length - 1] != '\n';
	cursor->offset += (off_t)length;
}

/* Everything that is in the file now. Return: 0, -1 when our reader is gone */
static int copy_out(struct cursor *cursor)
{
	char buffer[16384];
	ssize_t n;
	const struct logs_options *options = cursor->options;
	bool timed = options->timestamps || options->since || options->until;

	while ((n = read(cursor->fd, buffer, sizeof buffer)) > 0) {
		if (!timed) {
			if (write_full(STDOUT_FILENO, buffer, (size_t)n) < 0)
				return -1;
			continue;
		}
		read_stamps(cursor);
		for (const char *at = buffer, *end = buffer + n; at < end;) {
			const char *newline = memchr(at, '\n', (size_t)(end - at));
			size_t length = newline ? (size_t)(newline + 1 - at) : (size_t)(end - at);
			put_piece(cursor, at, length);
			at += length;
		}
	}
	return timed && fflush(stdout) != 0 ? -1 : 0;
}

/* A line may go on from one file to the next. */
static bool ends_within_line(const struct cursor *cursor, unsigned number)
{
	char name[LOG_NAME], last;
	struct stat st;

	log_name(name, number, false);
	cleanup_fd int fd = openat(cursor->dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	return fd >= 0 && fstat(fd, &st) == 0 && st.st_size > 0 && pread(fd, &last, 1, st.st_size - 1) == 1 &&
	       last != '\n';
}

/* Where the last @lines of the lines that begin in a file do; what is still missing of them in *@lines.
 * @whole: the file begins with the beginning of a line */
static off_t tail_start(int fd, off_t size, bool whole, uint64_t *lines)
{
	char buffer[8192];
	off_t at = size;

	while (at > 0) {
		size_t want = at < (off_t)sizeof buffer ? (size_t)at : sizeof buffer;
		at -= (off_t)want;
		if (pread(fd, buffer, want, at) != (ssize_t)want)
			return 0;
		for (size_t i = want; i > 0; i--) {
			/* The newline at the very end closes the last line, it does not begin another. */
			if (buffer[i - 1] != '\n' || at + (off_t)i == size)
				continue;
			if (--*lines == 0)
				return at + (off_t)i;
		}
	}
	*lines -= whole && size > 0; /* the first line has none before it */
	return 0;
}

/* Go to the oldest file that is to be shown, and to the place in it. Return: its number, -1 without any */
static int go_to_start(struct cursor *cursor, unsigned oldest)
{
	uint64_t lines = cursor->options->tail;
	struct stat st;

	for (unsigned number = 0; lines != CONFIG_UNSET && number <= oldest; number++) {
		if (cursor_open(cursor, number) < 0 || fstat(cursor->fd, &st) < 0)
			return -1;
		bool whole = number == oldest || !ends_within_line(cursor, number + 1);
		off_t start = lines ? tail_start(cursor->fd, st.st_size, whole, &lines) : st.st_size;
		if (lines == 0 || number == oldest) {
			cursor->offset = lseek(cursor->fd, start, SEEK_SET);
			return (int)number;
		}
	}
	return cursor_open(cursor, oldest) < 0 ? -1 : (int)oldest;
}

static unsigned oldest_number(int dir)
{
	char name[LOG_NAME];
	unsigned number = 0;

	for (; number < LOG_FILES_MOST; number++) {
		log_name(name, number + 1, false);
		if (faccessat(dir, name, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
			break;
	}
	return number;
}

/* Under which number the open file is by now; the oldest there is when it is gone. */
static unsigned number_now(const struct cursor *cursor)
{
	struct stat ours, st;
	unsigned number = 0;
	char name[LOG_NAME];

	if (fstat(cursor->fd, &ours) < 0)
		return 0;
	for (; number <= LOG_FILES_MOST; number++) {
		log_name(name, number, false);
		if (fstatat(cursor->dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			break;
		if (st.st_ino == ours.st_ino && st.st_dev == ours.st_dev)
			return number;
	}
	return number; /* one more than the oldest: the next file is that one */
}

/* Copy the open file, and all that are newer. Return: 0, 1 when our reader is gone, -1 when there is no log any more */
static int catch_up(struct cursor *cursor)
{
	for (;;) {
		if (copy_out(cursor) < 0)
			return 1;
		unsigned number = number_now(cursor);
		if (number == 0)
			return 0;
		/* What was written between the last read and the move. */
		if (copy_out(cursor) < 0)
			return 1;
		if (cursor_open(cursor, number - 1) < 0 && cursor_open(cursor, 0) < 0)
			return -1;
	}
}

static bool is_over(const struct logs_options *options)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return options->until && now.tv_sec * 1000000000ll + now.tv_nsec > options->until;
}

static int follow(struct cursor *cursor, struct azm_err *err)
{
	char path[64];
	char events[4096];
	cleanup_fd int watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	struct pollfd polled = { .fd = watch, .events = POLLIN };

	snprintf(path, sizeof path, "/proc/self/fd/%d", cursor->dir);
	if (watch < 0 || inotify_add_watch(watch, path,
				 IN_MODIFY | IN_CREATE | IN_CLOSE_WRITE | IN_DELETE_SELF | IN_MOVED_TO) < 0)
		return err_sys(err, "watch the log", NULL);
	for (;;) {
		/* Looked at before the last copy: what was written until the lock went is then complete. */
		bool running = sandbox_running(cursor->dir);
		if (catch_up(cursor) != 0 || !running || is_over(cursor->options))
			return 0;
		/* The end of a sandbox writes status.json or removes the directory; a killed supervisor does neither,
		 * hence the limit. */
		poll(&polled, 1, 1000);
		while (read(watch, events, sizeof events) > 0)
			continue;
	}
}

static int logs_one(const struct state *state, const char *name, void *context, struct azm_err *err)
{
	cleanup_fd int dir = sandbox_open(state, name, err);
	struct cursor cursor = { .options = context, .dir = dir, .fd = -1, .times = -1 };

	if (dir < 0)
		return -1;
	int result = go_to_start(&cursor, oldest_number(dir)) < 0 ? err_sys(err, "read the log of", name) : 0;
	if (result == 0 && cursor.options->follow)
		result = follow(&cursor, err);
	else if (result == 0)
		catch_up(&cursor);
	cursor_close(&cursor);
	return result;
}

int command_logs(int argc, char **argv)
{
	struct azm_err err = { 0 };
	struct logs_options options = { .tail = CONFIG_UNSET };
	int first = options_parse(program_find(the_program(), "logs"), &options, argc, argv, &err);

	if (first >= 0 && argc - first > 1)
		first = err_msg(&err, EINVAL, "logs", NULL, "takes one NAME");
	return first < 0 ? fail_command(&err) : for_each_name("logs", argc, argv, first, logs_one, &options);
}
