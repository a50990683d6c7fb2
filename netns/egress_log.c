// SPDX-License-Identifier: GPL-2.0-or-later
/* netns/egress_log.c: see egress_log.h.
 *
 * A sandbox decides how many lines it causes. Two bounds keep it from filling the disk and from drowning what matters:
 * the files' size, and a bucket of lines that refills slowly. What the bucket swallows is counted and said.
 */
#include "netns/egress_log.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/str.h"

enum { TEXT_MOST = 400 };

struct egress_log {
	int dir, fd; /* fd: -1 after a failed rotation */
	size_t size;
	int64_t refilled_ms;
	unsigned lines; /* in the bucket */
	unsigned long omitted;
};

static const char *const verdicts[] = {
	[EGRESS_ALLOWED] = "allowed", [EGRESS_DENIED] = "denied", [EGRESS_FAILED] = "failed", [EGRESS_CLOSED] = "closed"
};

static void time_text(char *text, size_t size)
{
	struct timespec now;
	char seconds[CLOCK_UTC_TEXT];

	clock_gettime(CLOCK_REALTIME, &now);
	clock_utc_text(now.tv_sec, seconds);
	snprintf(text, size, "%s.%03ldZ", seconds, now.tv_nsec / 1000000);
}

/* A JSON string or null. Control characters are gone after sanitising, so two escapes are all. */
static void string_text(const char *text, char out[static 2 * TEXT_MOST + 3])
{
	char safe[TEXT_MOST + 1];

	if (!text) {
		memcpy(out, "null", sizeof "null");
		return;
	}
	snprintf(safe, sizeof safe, "%s", text);
	str_sanitise(safe);
	*out++ = '"';
	for (const char *c = safe; *c; c++) {
		if (*c == '"' || *c == '\\')
			*out++ = '\\';
		*out++ = *c;
	}
	memcpy(out, "\"", sizeof "\"");
}

static int open_log(struct egress_log *log, int flags)
{
	struct stat st;

	log->fd = openat(log->dir, EGRESS_LOG, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW | flags, 0600);
	if (log->fd < 0 || fstat(log->fd, &st) < 0)
		return -1;
	log->size = (size_t)st.st_size;
	return 0;
}

static void append(struct egress_log *log, const char *line)
{
	size_t size = strlen(line);

	if (log->size + size > EGRESS_LOG_BYTES) {
		if (log->fd >= 0)
			close(log->fd);
		renameat(log->dir, EGRESS_LOG, log->dir, EGRESS_LOG_OLD);
		(void)open_log(log, O_TRUNC);
	}
	if (log->fd >= 0 && write_full(log->fd, line, size) == 0)
		log->size += size;
}

static void say_omitted(struct egress_log *log)
{
	char when[64], line[160];

	if (!log->omitted)
		return;
	time_text(when, sizeof when);
	snprintf(line, sizeof line, "{\"time\":\"%s\",\"verdict\":\"omitted\",\"count\":%lu}\n", when, log->omitted);
	log->omitted = 0;
	append(log, line);
}

/* Return: false when the bucket is empty. */
static bool take_from_bucket(struct egress_log *log)
{
	int64_t now = clock_ms(), more = (now - log->refilled_ms) * EGRESS_LOG_PER_SECOND / 1000;

	if (more > 0) {
		log->refilled_ms = now;
		log->lines = more + log->lines < EGRESS_LOG_BURST ? (unsigned)more + log->lines : EGRESS_LOG_BURST;
	}
	if (log->lines == 0) {
		log->omitted++;
		return false;
	}
	log->lines--;
	return true;
}

static void address_text(const struct egress_event *event, char text[static INET6_ADDRSTRLEN])
{
	if (IN6_IS_ADDR_V4MAPPED(&event->address))
		inet_ntop(AF_INET, &event->address.s6_addr[12], text, INET6_ADDRSTRLEN);
	else
		inet_ntop(AF_INET6, &event->address, text, INET6_ADDRSTRLEN);
}

void egress_log_write(struct egress_log *log, const struct egress_event *event)
{
	char when[64], line[4096], address[INET6_ADDRSTRLEN];
	char texts[4][2 * TEXT_MOST + 3];
	char bytes[96] = "0";

	if (!take_from_bucket(log))
		return;
	say_omitted(log);
	time_text(when, sizeof when);
	if (event->has_address)
		address_text(event, address);
	string_text(event->name, texts[0]);
	string_text(event->has_address ? address : NULL, texts[1]);
	string_text(event->rule, texts[2]);
	string_text(event->why, texts[3]);
	if (event->verdict == EGRESS_CLOSED)
		snprintf(bytes, sizeof bytes, "%llu,\"sent\":%llu,\"received\":%llu",
			(unsigned long long)(event->sent + event->received), (unsigned long long)event->sent,
			(unsigned long long)event->received);
	snprintf(line, sizeof line,
		"{\"time\":\"%s\",\"verdict\":\"%s\",\"name\":%s,\"address\":%s,\"port\":%u,\"rule\":%s,\"why\":%s,"
		"\"bytes\":%s}\n",
		when, verdicts[event->verdict], texts[0], texts[1], event->port, texts[2], texts[3], bytes);
	append(log, line);
}

struct egress_log *egress_log_open(int dir, struct azm_err *err)
{
	struct egress_log *log = calloc(1, sizeof *log);

	if (log) {
		*log = (struct egress_log){ .dir = -1, .fd = -1, .lines = EGRESS_LOG_BURST, .refilled_ms = clock_ms() };
		log->dir = fcntl(dir, F_DUPFD_CLOEXEC, 3);
	}
	if (!log || log->dir < 0 || open_log(log, 0) < 0) {
		err_sys(err, "open the egress log", NULL);
		egress_log_close(log);
		return NULL;
	}
	return log;
}

void egress_log_close(struct egress_log *log)
{
	if (!log)
		return;
	say_omitted(log);
	if (log->fd >= 0)
		close(log->fd);
	if (log->dir >= 0)
		close(log->dir);
	free(log);
}
