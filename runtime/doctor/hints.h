// SPDX-License-Identifier: GPL-2.0-or-later
/* doctor/hints.h: doctor's explanations as the hint of an error. Reads a few files of /proc and /sys, tries nothing. */
#pragma once
#include "base/err.h"

/**
 * hint_for_failure() - say why a step of `run` failed on this host and what helps
 * @err:	set; a hint that is already there stays, a step that is not known gets none
 */
[[gnu::nonnull]] void hint_for_failure(struct azm_err *err);

/** host_hint_userns() - the hint for a user namespace that could not be made, by the errno of clone(2). Return: -1 */
[[gnu::nonnull]] int host_hint_userns(int code, struct azm_err *err);
