// SPDX-License-Identifier: GPL-2.0-or-later
/* tests/security/with_filter.c: run a command under a built-in filter and nothing else of a sandbox.
 *
 *     with-filter FLAGS [--] COMMAND [ARG...]
 *
 * FLAGS: `none`, or some of emulate,nested,compat32,log,set-id with commas between. Sets no_new_privs.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/str.h"
#include "seccomp/seccomp.h"
#include "tests/security/filter_flags.h"

int main(int argc, char **argv)
{
	struct azm_err err = { 0 };
	unsigned flags;
	int command = argc > 2 && strcmp(argv[2], "--") == 0 ? 3 : 2;

	if (argc <= command || !filter_flags_parse(argv[1], &flags)) {
		fprintf(stderr, "usage: with-filter none|FLAG[,FLAG...] [--] COMMAND [ARG...]\n");
		return EXIT_AZM;
	}
	const struct filter filter = filter_builtin(flags);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) {
		err_sys(&err, "set no_new_privs", NULL);
		return err_print(&err, "with-filter");
	}
	if (filter_install(&filter, flags & FILTER_LOG, &err) < 0)
		return err_print(&err, "with-filter");
	execvp(argv[command], argv + command);
	err_sys(&err, "run", argv[command]);
	err.exit_status = err_is(&err, ENOENT) ? EXIT_NOT_FOUND : EXIT_CANNOT_EXEC;
	return err_print(&err, "with-filter");
}
