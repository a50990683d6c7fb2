// SPDX-License-Identifier: GPL-2.0-or-later
/* seccomp/builtin.h: a build-time program that is not a filter by itself. Internal to seccomp/ and its tests. */
#pragma once
#include "seccomp/seccomp.h"

/**
 * filter_builtin_emulation() - root emulation as a layer to put in front of another program
 *
 * What it does not answer goes on at the instruction behind its last one, with the accumulator undefined.
 */
struct filter filter_builtin_emulation(void);
