// SPDX-License-Identifier: GPL-2.0-or-later
/* doctor/doctor.h: `azm-sandbox doctor`: try every primitive a sandbox is made of, and say how to get what is missing.
 */
#pragma once
#include <stdbool.h>
#include <stdio.h>

#include "base/err.h"
#include "base/options.h"
#include "base/str.h"

/**
 * doctor_run() - try everything and report
 * @json:	one JSON object instead of lines for people
 * @out:	where the report goes
 * @self_path:	the installed program, for the AppArmor profile; NULL if unknown
 * @layers:	absolute paths where the writable layer may lie, best first; NULL for the usual ones (cli.md, State)
 *
 * Single-threaded callers only. Every probe runs in a throw-away child with a deadline; nothing is left on the host.
 *
 * Return: 0 when the host can run azm-sandbox, 1 when it cannot, -1 with @err set when the report could not be written
 */
[[gnu::nonnull(2, 5)]] int doctor_run(
	bool json, FILE *out, const char *self_path, const struct str_list *layers, struct azm_err *err);

/** command_doctor() - the command. Return: exit status: 0 the host can run sandboxes, 125 it cannot. */
int command_doctor(int argc, char **argv);

/* For the table of commands. */
extern const struct option_row doctor_options[];
extern const char doctor_details[];
