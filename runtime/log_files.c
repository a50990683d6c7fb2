// SPDX-License-Identifier: GPL-2.0-or-later
/* log_files.c: see log_files.h */
#include "log_files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"

enum { STAMP_DISTANCE_NS = 1000000, SIZE_LEAST = 4096 };

/* A workload cannot fill the disk with output unless somebody lets it. */
static const struct log_limits defaults = { .size = 32 << 20, .files = 2 };

void log_name(char name[LOG_NAME], unsigned number, bool times)
{
	char suffix[12] = "";

	if (number)
		snprintf(suffix, sizeof suffix, ".%u", number);
	snprintf(name, LOG_NAME, "log%s%s", suffix, times ? ".times" : "");
}

static int take_option(const char *option, struct log_limits *limits, struct azm_err *err)
{
	uint64_t files;

	if (str_starts(option, "max-size=")) {
		if (strcmp(option, "max-size=-1") == 0)
			limits->size = UINT64_MAX;
		else if (!str_to_bytes(option + strlen("max-size="), &limits->size) || limits->size < SIZE_LEAST)
			return err_msg(err, EINVAL, "use --log-opt", option,
				"max-size must be a size of at least %d bytes, or -1", SIZE_LEAST);
		return 0;
	}
	if (str_starts(option, "max-file=")) {
		if (!str_to_u64(option + strlen("max-file="), LOG_FILES_MOST, &files) || files == 0)
			return err_msg(err, EINVAL, "use --log-opt", option, "max-file must be a number from 1 to %d",
				LOG_FILES_MOST);
		limits->files = (unsigned)files;
		return 0;
	}
	return err_msg(err, EINVAL, "use --log-opt", option, "there are max-size=BYTES and max-file=NUMBER");
}

int log_limits_parse(const struct str_list *options, struct log_limits *limits, struct azm_err *err)
{
	*limits = defaults;
	for (size_t i = 0; i < options->count; i++)
		if (take_option(options->items[i], limits, err) < 0)
			return -1;
	return 0;
}

static int open_file(int dir, bool times, int flags)
{
	char name[LOG_NAME];

	log_name(name, 0, times);
	return openat(dir, name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW | flags, 0600);
}

int log_open(struct log_file *log, int dir, struct azm_err *err)
{
	struct stat st, times;

	*log = (struct log_file){ .dir = dir, .fd = -1, .times = -1, .limits = defaults };
	if (dir < 0)
		return 0;
	log->fd = open_file(dir, false, 0);
	log->times = open_file(dir, true, 0);
	if (log->fd < 0 || log->times < 0 || fstat(log->fd, &st) < 0 || fstat(log->times, &times) < 0)
		return err_sys(err, "open the log", NULL);
	log->size = (uint64_t)st.st_size;
	log->used = log->size + (uint64_t)times.st_size;
	return 0;
}

static void rotate(struct log_file *log)
{
	char from[LOG_NAME], to[LOG_NAME];

	for (unsigned number = log->limits.files - 1; number > 0; number--) {
		for (int times = 0; times < 2; times++) {
			log_name(from, number - 1, times);
			log_name(to, number, times);
			renameat(log->dir, from, log->dir, to);
		}
	}
	cleanup_close_fd(&log->fd);
	cleanup_close_fd(&log->times);
	log->fd = open_file(log->dir, false, O_TRUNC);
	log->times = open_file(log->dir, true, O_TRUNC);
	log->size = log->used = 0;
	log->stamped_ns = 0;
}

/* Before the bytes: whoever reads those finds their time. */
static void stamp(struct log_file *log)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	struct log_stamp record = { .offset = log->size, .time_ns = now.tv_sec * 1000000000ll + now.tv_nsec };
	if (log->stamped_ns && record.time_ns >= log->stamped_ns &&
		record.time_ns - log->stamped_ns < STAMP_DISTANCE_NS)
		return;
	if (log->times >= 0 && write_full(log->times, &record, sizeof record) == 0)
		log->used += sizeof record;
	log->stamped_ns = record.time_ns;
}

/* How much of it goes into one file: all, or whole lines, or what there is room for. */
static size_t piece_of(const struct log_file *log, const char *data, size_t size)
{
	uint64_t room = log->limits.size - sizeof(struct log_stamp);

	if (size <= room)
		return size;
	const char *newline = memrchr(data, '\n', (size_t)room);
	return newline ? (size_t)(newline + 1 - data) : (size_t)room;
}

void log_append(struct log_file *log, const char *data, size_t size)
{
	while (log->fd >= 0 && size > 0) {
		size_t piece = piece_of(log, data, size);
		if (log->used > 0 && (log->used > log->limits.size ||
					     piece + sizeof(struct log_stamp) > log->limits.size - log->used))
			rotate(log);
		if (log->fd < 0)
			return;
		stamp(log);
		if (write_full(log->fd, data, piece) == 0) {
			log->size += piece;
			log->used += piece;
		}
		data += piece;
		size -= piece;
	}
}

void log_close(struct log_file *log)
{
	cleanup_close_fd(&log->fd);
	cleanup_close_fd(&log->times);
	*log = (struct log_file)LOG_NONE;
}
