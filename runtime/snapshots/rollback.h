// SPDX-License-Identifier: GPL-2.0-or-later
/* snapshots/rollback.h: going back to a snapshot.
 *
 * New empty writable directories are made beside the old ones (next-*), then the intention is written down
 * (rollback.json, with the layers to stand on), then it is carried out: each directory is put aside (old-*) and the new
 * one takes its name, config.json gets the layers, rollback.json goes, what was put aside is deleted. Until
 * rollback.json is there nothing has happened; from then on whoever takes the sandbox's lock carries it out.
 */
#pragma once
#include "config.h"
#include "snapshots/snapshot.h"

/**
 * rollback_begin() - up to the written intention; rollback_finish() does the rest
 * @dir:	directory of a sandbox whose lock the caller holds
 */
int rollback_begin(const struct state *state, int dir, const struct config *config, const struct snapshot *snapshot,
	struct azm_err *err);

/** rollback_finish() - carry out what is intended, if anything; remove what an interrupted one left. For every command
 * that uses the writable layer of a sandbox whose lock it holds. Return: 0, or -1 with @err set */
int rollback_finish(int dir, struct azm_err *err);
