// SPDX-License-Identifier: GPL-2.0-or-later
/* server/shell_process.h: start bash, or sh where there is no bash, on a terminal of its own. */
#pragma once
#include <stdbool.h>
#include <sys/types.h>
#include <termios.h>

#include "base/err.h"
#include "server/shell_channel.h"
#include "server/shell_script.h"

struct shell_process {
	pid_t pid;
	enum shell_dialect dialect;
	struct shell_keys keys;
	int terminal;		      /* our end; non-blocking */
	struct termios modes;	      /* of the terminal as the shell finds it */
	int script;		      /* the memory file (shell_script.h) */
	struct shell_channel channel; /* our end */
};

/**
 * shell_process_start() - start it in @cwd, or in / if that is gone
 * @process:	filled; what is open in it is the caller's also after a failure: descriptors, -1 if there is none
 * @user_files:	read ~/.bashrc
 */
int shell_process_start(struct shell_process *process, const char *cwd, bool user_files, struct azm_err *err);

/** shell_process_script() - what the shell will read next. */
int shell_process_script(const struct shell_process *process, const struct text *script, struct azm_err *err);
