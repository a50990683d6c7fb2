// SPDX-License-Identifier: GPL-2.0-or-later
/* tests/lib/probe.c: a static program that runs inside a sandbox and says what it sees.
 *
 *     probe ids caps fds            prints three sections
 *     probe connect 127.0.0.1 3000  does one thing and says how it went
 *
 * Tests put it into a minimal root file system and compare its lines with what the sandbox promises. This file finds
 * the words of the command line in the tables of the other parts.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/names.h"
#include "base/str.h"
#include "tests/lib/probe.h"

static const struct probe_row *const tables[] = { probe_facts, probe_kernel, probe_tty, probe_net, probe_acts,
	probe_order };

enum { TABLES = sizeof tables / sizeof tables[0] }; /* NOLINT(bugprone-sizeof-expression): an array of tables */

void fact(const char *key, const char *format, ...)
{
	cleanup_free char *value = NULL;
	va_list list;

	va_start(list, format);
	if (vasprintf(&value, format, list) < 0)
		abort();
	va_end(list);
	str_sanitise(value);
	printf("%s=%s\n", key, value);
	fflush(stdout);
}

const char *result(long returned)
{
	const char *name = errno_name(errno);

	if (returned >= 0)
		return "ok";
	return name ? name : "E?";
}

unsigned long number(const char *text)
{
	char *end;
	unsigned long value = strtoul(text, &end, 0);

	if (*end || end == text) {
		fprintf(stderr, "probe: %s: not a number\n", text);
		exit(2);
	}
	return value;
}

static const struct probe_row *find(const char *name)
{
	for (size_t t = 0; t < TABLES; t++)
		for (const struct probe_row *row = tables[t]; row->name; row++)
			if (!strcmp(row->name, name))
				return row;
	return NULL;
}

static int usage(void)
{
	fprintf(stderr, "usage: probe FACT... | probe ACTION [ARGUMENT...]\n");
	for (size_t t = 0; t < TABLES; t++)
		for (const struct probe_row *row = tables[t]; row->name; row++)
			fprintf(stderr, "  %-16s %s\n", row->name, row->help);
	return 2;
}

int main(int argc, char **argv)
{
	if (argc < 2)
		return usage();
	for (int i = 1; i < argc; i++) {
		const struct probe_row *row = find(argv[i]);

		if (!row || argc - i - 1 < row->arguments)
			return usage();
		if (row->action)
			return row->run(argc - i, argv + i);
		int status = row->run(1, argv + i);
		if (status)
			return status;
	}
	return 0;
}
