// SPDX-License-Identifier: GPL-2.0-or-later
/* embed.h: the two static programs that azm-sandbox carries inside itself. */
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "state.h"

/**
 * embed_init_open() - azm-init ready for fexecve: in a sealed memfd, or where the host refuses to execute those
 * (vm.memfd_noexec=2, fapolicyd) as a file of the state directory, opened read-only
 *
 * Return: descriptor, -1 with @err set
 */
int embed_init_open(const struct state *state, struct azm_err *err);

/** embed_init_tag() - identifies the embedded azm-init (first 8 bytes of its SHA-256). */
uint64_t embed_init_tag(void);

/**
 * embed_server_path() - azm-runtime-server as a file of the state directory
 *
 * A file and not a memfd: its pages are then shared by all sandboxes. Written once per version, atomically; its content
 * is checked by size and by being in a directory only the user can write.
 *
 * Return: allocated path, NULL with @err set
 */
char *embed_server_path(const struct state *state, struct azm_err *err);

/** embed_remove_others() - delete the programs that other versions wrote to the state directory. */
void embed_remove_others(const struct state *state);
