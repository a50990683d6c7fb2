// SPDX-License-Identifier: GPL-2.0-or-later
/* mount/populate.h: what an image has at the place of an empty volume, copied into the volume (Docker's rule). */
#pragma once
#include "base/err.h"

/**
 * populate() - copy a directory's content
 * @from:	directory of the root that is being built (O_PATH is enough); nothing of the image runs yet
 * @to:		root of the volume; what an interrupted copy left there is replaced
 *
 * Files, directories, links and FIFOs with modes (no set-id bits), times, and owners where they are mapped. Nothing is
 * followed. Return: 0, or -1 with @err set
 */
int populate(int from, int to, struct azm_err *err);
