// SPDX-License-Identifier: GPL-2.0-or-later
/* server/commands.h: how many commands a text holds (spec: openhands 3.6). */
#pragma once
#include <stdbool.h>

#include "base/str.h"

/**
 * commands_split() - cut a text at the newlines that end a command
 * @out:	filled with the pieces, white space around them removed; a text that the shell would not accept, and
 *		one without a command, is one piece
 *
 * Newlines in quotes, expansions, compound commands, here-documents and after an operator end nothing.
 */
void commands_split(const char *text, struct str_list *out);

/** commands_complete() - whether the text is surely whole: nothing in it is open, and it was understood. */
bool commands_complete(const char *text);
