// SPDX-License-Identifier: GPL-2.0-or-later
/* server/pty.h: a pseudo-terminal. */
#pragma once
#include "base/err.h"

/**
 * pty_open() - both ends
 * @peer:	set to the end that a program gets as its terminal
 *
 * Return: our end, non-blocking; -1 with @err set
 */
int pty_open(int rows, int columns, int *peer, struct azm_err *err);

/** pty_resize() - tell the programs on it a new size. */
void pty_resize(int terminal, int rows, int columns);
