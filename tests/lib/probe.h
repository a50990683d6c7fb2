// SPDX-License-Identifier: GPL-2.0-or-later
/* tests/lib/probe.h: what the parts of the probe program share.
 *
 * Every fact is one line "section.key=value" on stdout, so that a test greps for exactly what it means. An errno is
 * printed by its name ("EPERM"), success as "ok".
 */
#pragma once
#include <stddef.h>

/* One word of the command line and what it does. An action takes the rest of the command line; facts can be chained. */
struct probe_row {
	const char *name;
	int (*run)(int argc, char **argv); /* argv[0] is the name */
	int arguments;			   /* least number of arguments after the name; 0 and !action: a fact */
	int action;
	const char *help;
};

extern const struct probe_row probe_facts[], probe_tty[], probe_net[], probe_acts[], probe_kernel[], probe_order[];

/** fact() - print one "key=value" line, control characters of the value replaced. */
[[gnu::format(printf, 2, 3)]] void fact(const char *key, const char *format, ...);

/** result() - "ok" for a call that returned at least 0, else the name of errno. */
const char *result(long returned);

/** number() - an argument as a number, any base strtoull knows; ends the program when it is none. */
unsigned long number(const char *text);
