// SPDX-License-Identifier: GPL-2.0-or-later
/* server/terminal.h: terminals of the console page: a shell on a pseudo-terminal each, looked at by one page at a time.
 *
 * They are people's: the agent's shell (shell.h) is another one.
 */
#pragma once
#include <jansson.h>
#include <stdbool.h>

#include "base/err.h"

struct request;
struct server;
struct terminal;

enum { TERMINALS_MAX = 8, TERMINAL_KEEP_MS = 3600 * 1000 };

/**
 * terminal_start() - a new one
 *
 * When there are TERMINALS_MAX, the one that nobody has looked at for longest makes room. Without a viewer it lives for
 * TERMINAL_KEEP_MS, so that a page can be loaded again. Return: it; NULL with @err set (EBUSY: all are looked at)
 */
struct terminal *terminal_start(struct server *server, int rows, int columns, struct azm_err *err);

/** terminal_find() - by its number. NULL: there is none */
struct terminal *terminal_find(const struct server *server, const char *number);
json_int_t terminal_number(const struct terminal *terminal);

/**
 * terminal_show() - answer a request with what the screen shows, from now on: events `screen` (a frame of display.h),
 * `exit` {"code": N} when the shell has ended, `taken` when another page looks now
 */
void terminal_show(struct terminal *terminal, struct request *request);

/** terminal_keys() - press keys: an array of items of display_key(). Return: false: malformed (those before count) */
bool terminal_keys(struct terminal *terminal, const json_t *items);

void terminal_resize(struct terminal *terminal, int rows, int columns);

/** terminal_free() - hang up on its shell. */
void terminal_free(struct terminal *terminal);
void terminals_free(struct server *server);
