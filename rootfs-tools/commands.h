// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/commands.h: the commands of azm-rootfs. Each has a file of its own and a row in main.c. */
#pragma once
#include "base/options.h"

extern const struct program rootfs_program;

/* bootstrap.c: make a Debian image from packages. */
extern const struct option_row bootstrap_options[];
int bootstrap_main(int argc, char **argv);
