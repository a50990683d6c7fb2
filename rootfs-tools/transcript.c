// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/transcript.c: see transcript.h
 *
 * mmdebstrap writes "I: PHASE..." lines and, because it has a terminal, redraws "STATUS:  PERCENT [===>  ]" after a
 * carriage return; what apt and dpkg said follows only when they fail. All of it is text for people: a line that is not
 * understood is only logged.
 */
#include "rootfs-tools/transcript.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "base/str.h"

/* ---- phases --------------------------------------------------------------------------------------------------- */

/* The percentages are the shares of the time that a build of the standard variant takes. */
static const struct phase {
	const char *said; /* what the line begins with, or the status word in front of the percentage */
	const char *key, *text;
	double from, to;
} phases[] = {
	{ "I: running apt-get update", "update", "reading package lists", 0, 5 },
	{ "I: downloading packages", "download-base", "downloading the base system", 5, 10 },
	{ "I: extracting archives", "extract", "extracting the base system", 10, 14 },
	{ "I: installing essential packages", "install-base", "installing the base system", 14, 28 },
	{ "I: installing remaining packages", "download", "downloading packages", 28, 45 },
	{ "I: running --customize-hook", "configure", "configuring", 95, 96 },
	{ "I: cleaning", "clean", "cleaning up", 96, 97 },
};

/* apt downloads and then installs in one phase of mmdebstrap's; only the status word tells. */
static const struct phase install_phase = { "installing", "install", "installing packages", 45, 95 };

static void enter_phase(struct progress *progress, const struct phase *phase)
{
	if (!progress->phase || strcmp(progress->phase, phase->key) != 0)
		progress_phase(progress, phase->key, phase->text, phase->from, phase->to);
}

static void note_percentage(struct progress *progress, const char *line)
{
	char status[16] = "";
	double percent;
	char bracket;

	if (sscanf(line, " %15[a-z]: %lf %c", status, &percent, &bracket) != 3) {
		status[0] = '\0';
		if (sscanf(line, " %lf %c", &percent, &bracket) != 2)
			return;
	}
	if (bracket != '[' || !progress->phase)
		return;
	if (strcmp(status, install_phase.said) == 0 && strcmp(progress->phase, "download") == 0)
		enter_phase(progress, &install_phase);
	progress_at(progress, percent / 100);
	progress_draw(progress);
}

static void note_phase(struct progress *progress, const char *line)
{
	for (size_t i = 0; i < sizeof phases / sizeof *phases; i++)
		if (str_starts(line, phases[i].said))
			enter_phase(progress, &phases[i]);
}

/* ---- lines ---------------------------------------------------------------------------------------------------- */

static void remember(struct transcript *transcript, const char *line)
{
	size_t length = strlen(line);

	if (transcript->log)
		fprintf(transcript->log, "%s\n", line);
	if (transcript->tail_length + length + 2 > sizeof transcript->tail) {
		size_t half = transcript->tail_length / 2;
		memmove(transcript->tail, transcript->tail + half, transcript->tail_length - half);
		transcript->tail_length -= half;
	}
	memcpy(transcript->tail + transcript->tail_length, line, length);
	transcript->tail_length += length;
	transcript->tail[transcript->tail_length++] = '\n';
	transcript->tail[transcript->tail_length] = '\0';
}

/* "ESC [ ... letter" moves a cursor that is not ours. */
static void drop_escapes(char *line)
{
	char *out = line;

	for (const char *in = line; *in;) {
		if (in[0] == '\033' && in[1] == '[') {
			in += 2;
			in += strcspn(in, "ABCDEFGHJKSTfmnsu");
			in += *in != '\0';
			continue;
		}
		*out++ = *in++;
	}
	*out = '\0';
}

static void end_line(struct transcript *transcript, bool redrawn)
{
	transcript->line[transcript->length] = '\0';
	transcript->length = 0;
	drop_escapes(transcript->line);
	str_sanitise(transcript->line);
	if (!transcript->line[0])
		return;
	if (redrawn) {
		note_percentage(transcript->progress, transcript->line);
		return;
	}
	note_phase(transcript->progress, transcript->line);
	remember(transcript, transcript->line);
}

void transcript_feed(struct transcript *transcript, const char *data, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		if (data[i] == '\n' || data[i] == '\r')
			end_line(transcript, data[i] == '\r');
		else if (transcript->length < sizeof transcript->line - 1 && data[i] != '\0')
			transcript->line[transcript->length++] = data[i];
	}
}

/* ---- causes --------------------------------------------------------------------------------------------------- */

/* The first row that is found decides: the more certain a sign, the earlier it stands. */
static const struct cause {
	const char *said;
	int code;
	const char *hint;
} causes[] = {
	{ "No space left on device", ENOSPC, "free some space, or name a directory on another file system" },
	{ "Disk quota exceeded", EDQUOT, "name a directory on another file system" },
	{ "does not have a Release file", ENOENT,
		"is the suite's name right (bookworm, trixie, sid), and does the mirror carry it?" },
	{ "Unable to locate package", ENOENT, "check the names given with --include" },
	{ "has no installation candidate", ENOENT, "check the names given with --include" },
	{ "unmet dependencies", EINVAL, "check the packages given with --include" },
	{ "Release file for", ETIME, "is the clock of this machine right?" },
	{ "NO_PUBKEY", EPERM, "the archive's keys are missing or too old: install the newest debian-archive-keyring" },
	{ "is not signed", EPERM,
		"the archive's keys are missing or too old: install the newest debian-archive-keyring" },
	{ "Temporary failure resolving", ENETUNREACH,
		"no name resolution: is there a network? behind a proxy, set http_proxy=http://HOST:PORT" },
	{ "Could not resolve", ENETUNREACH,
		"no name resolution: is there a network? behind a proxy, set http_proxy=http://HOST:PORT" },
	{ "Could not connect", ENETUNREACH,
		"is the mirror reachable? behind a proxy, set http_proxy=http://HOST:PORT; another one: --mirror URL" },
	{ "Unable to connect", ENETUNREACH,
		"is the mirror reachable? behind a proxy, set http_proxy=http://HOST:PORT; another one: --mirror URL" },
	{ "Connection failed", ENETUNREACH, "run it again: what was downloaded is kept. Another mirror: --mirror URL" },
	{ "Connection timed out", ENETUNREACH,
		"run it again: what was downloaded is kept. Another mirror: --mirror URL" },
	{ "File not found", ENOENT, "check what was given with --mirror" },
	{ "Hash Sum mismatch", EBADMSG, "the mirror is being updated: run it again, or use another with --mirror URL" },
	{ "404  Not Found", ENOENT, "run it again; if that does not help, use another mirror with --mirror URL" },
	{ "Failed to fetch", ENETUNREACH, "run it again: what was downloaded is kept. Another mirror: --mirror URL" },
	{ "E: ", EIO, NULL },
};

/* The whole line around @found, without apt's "E: ". */
static void copy_line(const struct transcript *transcript, const char *found, char *line, size_t size)
{
	const char *start = found;

	while (start > transcript->tail && start[-1] != '\n')
		start--;
	while (str_starts(start, "E: ") || str_starts(start, "Err:") || *start == ' ')
		start += strcspn(start, " ") + 1;
	snprintf(line, size, "%.*s", (int)strcspn(start, "\n"), start);
}

int transcript_explain(const struct transcript *transcript, const char *suite, struct azm_err *err)
{
	char line[320];

	for (size_t i = 0; i < sizeof causes / sizeof *causes; i++) {
		const struct cause *cause = &causes[i];
		const char *found = transcript->tail_length ? strstr(transcript->tail, cause->said) : NULL;
		if (!found)
			continue;
		copy_line(transcript, found, line, sizeof line);
		err_msg(err, cause->code, "install Debian", suite, "%s", line);
		return cause->hint ? err_hint(err, "%s", cause->hint) : -1;
	}
	return err_msg(err, EIO, "install Debian", suite, "mmdebstrap failed without a word");
}
