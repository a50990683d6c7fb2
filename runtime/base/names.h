// SPDX-License-Identifier: GPL-2.0-or-later
/* base/names.h: numbers of the kernel, and their names. */
#pragma once

/** errno_name() - "ENOENT" for ENOENT; NULL where there is none. */
const char *errno_name(int number);

/** signal_name() - "TERM" for SIGTERM; NULL where there is none, as for real-time signals. */
const char *signal_name(int number);

/** signal_by_name() - "9", "KILL" or "SIGKILL", in any case. Return: the number, 0 if there is no such signal. */
int signal_by_name(const char *text);
