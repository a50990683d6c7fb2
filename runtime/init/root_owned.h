// SPDX-License-Identifier: GPL-2.0-or-later
/* init/root_owned.h: make the image's own sudo and su work where several ids are mapped. */
#pragma once
#include "base/err.h"
#include "init/plan.h"

/**
 * root_owned_restore() - give root inside what sudo and su insist to find root's, and the set-uid bit they need
 * @rootfd:	the finished root, before the pivot
 *
 * Only with a wide map, in the writable layer over an image, and without no_new_privs; else nothing is done.
 * Return: 0, or -1 with @err set
 */
int root_owned_restore(int rootfd, const struct plan *plan, struct azm_err *err);
