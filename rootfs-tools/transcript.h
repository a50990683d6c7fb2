// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/transcript.h: understanding what mmdebstrap, apt and dpkg say. */
#pragma once
#include <stddef.h>
#include <stdio.h>

#include "base/err.h"
#include "rootfs-tools/progress.h"

struct transcript {
	struct progress *progress;
	FILE *log;	/* gets every line; may be NULL */
	char line[512]; /* the current one, so far */
	size_t length;
	char tail[24576]; /* the last lines, each ended by a newline: the cause of a failure is among them */
	size_t tail_length;
};

/** transcript_feed() - the next bytes of the tools' terminal: phases and percentages move the progress. */
[[gnu::nonnull]] void transcript_feed(struct transcript *transcript, const char *data, size_t size);

/**
 * transcript_explain() - why it failed, from the last lines
 * @suite:	for the message
 *
 * Return: -1 with @err set; a hint where the cause is known
 */
[[gnu::nonnull]] int transcript_explain(const struct transcript *transcript, const char *suite, struct azm_err *err);
