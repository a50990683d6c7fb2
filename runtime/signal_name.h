// SPDX-License-Identifier: GPL-2.0-or-later
/* signal_name.h: signals as users and images write them. */
#pragma once

/** signal_by_name() - "9", "KILL" or "SIGKILL", in any case. Return: the number, 0 if there is no such signal. */
int signal_by_name(const char *text);
