// SPDX-License-Identifier: GPL-2.0-or-later
/* base/footprint.h: the memory a process keeps that waits most of its life. */
#pragma once

/**
 * footprint_trim() - give back the pages of our own program that only the start needed
 *
 * Code and constants are unmapped from this process, not lost: what is used again comes back from the page cache, which
 * all sandboxes share. With a thousand idle sandboxes it is the supervisors' size that counts.
 */
void footprint_trim(void);
