// SPDX-License-Identifier: GPL-2.0-or-later
/* log_files.h: what a workload printed, kept in its sandbox's directory.
 *
 *     log, log.1, log.2 ...       the bytes as they came, newest file first
 *     log.times, log.1.times ...  when: a struct log_stamp for each piece that came a millisecond after the one before
 *
 * At its limit (--log-opt max-size, max-file) log becomes log.1, and so on; the last one goes.
 */
#pragma once
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/str.h"

enum { LOG_FILES_MOST = 100, LOG_NAME = 24 };

struct log_limits {
	uint64_t size; /* bytes of one file with its times */
	unsigned files;
};

/* The bytes from @offset on came at @time_ns (since 1970). */
struct log_stamp {
	uint64_t offset;
	int64_t time_ns;
};

struct log_file {
	int dir; /* sandbox's directory; -1: no log */
	int fd, times;
	uint64_t size, used; /* bytes; bytes with the stamps */
	int64_t stamped_ns;
	struct log_limits limits;
};

#define LOG_NONE                                                                                                       \
	{                                                                                                              \
		.dir = -1, .fd = -1, .times = -1                                                                       \
	}

/** log_limits_parse() - --log-opt values, "max-size=10m" and "max-file=3"; an error names the key. */
int log_limits_parse(const struct str_list *options, struct log_limits *limits, struct azm_err *err);

/** log_open() - append to the log of a sandbox's directory. Return: 0, -1 with @err set */
int log_open(struct log_file *log, int dir, struct azm_err *err);
void log_append(struct log_file *log, const char *data, size_t size);
void log_close(struct log_file *log);

/** log_name() - "log", "log.2"; of its times with @times. */
void log_name(char name[LOG_NAME], unsigned number, bool times);
