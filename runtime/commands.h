// SPDX-License-Identifier: GPL-2.0-or-later
/* commands.h: the commands of azm-sandbox, one file each (cmd_*.c), and what they share. */
#pragma once
#include "base/options.h"
#include "config.h"
#include "state.h"

#define PROGRAM_NAME "azm-sandbox"

extern const struct option_row exec_option_rows[], ps_option_rows[], inspect_option_rows[], logs_option_rows[],
	stats_option_rows[], commit_option_rows[], stop_option_rows[], kill_option_rows[], start_option_rows[],
	rm_option_rows[], version_option_rows[], port_option_rows[], egress_option_rows[], publish_option_rows[],
	network_create_option_rows[], ls_option_rows[];

extern const struct option_row attach_option_rows[], cp_option_rows[], volume_create_option_rows[],
	volume_rm_option_rows[], volume_prune_option_rows[];

extern const struct option_row snapshot_option_rows[], fork_option_rows[], rollback_option_rows[], diff_option_rows[],
	snapshots_ls_option_rows[];

int command_run(int argc, char **argv);
int command_start(int argc, char **argv);
int command_egress(int argc, char **argv);
int command_exec(int argc, char **argv);
int command_ps(int argc, char **argv);
int command_inspect(int argc, char **argv);
int command_port(int argc, char **argv);
int command_publish(int argc, char **argv);
int command_volume_create(int argc, char **argv);
int command_volume_ls(int argc, char **argv);
int command_volume_inspect(int argc, char **argv);
int command_volume_rm(int argc, char **argv);
int command_volume_prune(int argc, char **argv);
int command_attach(int argc, char **argv);
int command_cp(int argc, char **argv);
int command_pause(int argc, char **argv);
int command_unpause(int argc, char **argv);
int command_top(int argc, char **argv);
int command_stats(int argc, char **argv);
int command_commit(int argc, char **argv);
int command_logs(int argc, char **argv);
int command_stop(int argc, char **argv);
int command_kill(int argc, char **argv);
int command_wait(int argc, char **argv);
int command_rm(int argc, char **argv);
int command_gc(int argc, char **argv);
int command_network_create(int argc, char **argv);
int command_network_ls(int argc, char **argv);
int command_network_inspect(int argc, char **argv);
int command_network_rm(int argc, char **argv);
int command_version(int argc, char **argv);
int command_snapshot(int argc, char **argv);
int command_fork(int argc, char **argv);
int command_rollback(int argc, char **argv);
int command_diff(int argc, char **argv);
int command_snapshots_ls(int argc, char **argv);
int command_snapshots_inspect(int argc, char **argv);
int command_snapshots_rm(int argc, char **argv);

/* What the man page says after the commands (man_sections.c). */
extern const struct man_section man_sections[];

/** the_program() - the table of commands (main.c); for help texts. */
const struct program *the_program(void);

/** fail_command() - render an error. Return: the exit status. */
int fail_command(const struct azm_err *err);

/** end_command() - Return: @status, or 125 when what was printed could not be written. */
int end_command(int status);

/**
 * options_around_name() - options_parse() for a command with one NAME, before or after its options
 *
 * Return: the index of NAME, -1 with @err set
 */
int options_around_name(const char *command, void *options, int argc, char **argv, struct azm_err *err);

/**
 * run_detached() - `run -d` for a configuration that is complete but for its name
 * @json:	print the ready line, else the name
 * @closed:	descriptor that the supervisor must not keep; -1
 *
 * Errors are printed. Return: the exit status, when the sandbox is ready
 */
int run_detached(struct config *config, const struct state *state, bool json, int closed);

/** start_again() - `start` of one sandbox; errors are printed. Return: the exit status */
int start_again(const struct state *state, const char *name);

/**
 * for_each_name() - run one action for every NAME of a command line
 *
 * Goes on after a failure, as Docker does; each name is printed when its action succeeded. Return: the exit status,
 * that of the last failure
 */
int for_each_name(const char *command, int argc, char **argv, int first,
	int (*action)(const struct state *state, const char *name, void *context, struct azm_err *err), void *context);

/**
 * inspect_names() - the whole of an `inspect` command, whose options are inspect_option_rows
 * @look:	what there is to say of a NAME, owned by the caller; NULL with @err
 *
 * Return: as for_each_name()
 */
int inspect_names(const char *command, int argc, char **argv,
	json_t *(*look)(const struct state *state, const char *name, struct azm_err *err));

/**
 * list_names() - the whole of an `ls` command, whose options are ls_option_rows
 * @names:	adds what there is; -1 with @err
 * @look:	as inspect_names(); what cannot be looked at is said so, and the others are listed
 * @print_row:	for people: what @look returned, or NULL for the headline
 *
 * Return: the exit status
 */
int list_names(const char *command, int argc, char **argv,
	int (*names)(const struct state *state, struct str_list *names, struct azm_err *err),
	json_t *(*look)(const struct state *state, const char *name, struct azm_err *err),
	void (*print_row)(const json_t *object));

/**
 * invocation_check() - refuse what must not be: real root without --as-root, set-uid start
 * @as_root:	the switch was given
 */
int invocation_check(bool as_root, struct azm_err *err);

/** print_json() - on stdout, indented; the reference is taken over. */
void print_json(json_t *value);

/** print_ports() - status_ports() as `docker port` prints them, "8000/tcp -> 127.0.0.1:30000" a line. @only: bare
 * addresses of that inside port; 0: all. Return: how many lines */
size_t print_ports(const json_t *ports, uint16_t only);

/** sandbox_status() - status.json of a sandbox with the state brought up to date ("running" only when its lock is
 * held); caller owns. */
json_t *sandbox_status(const struct state *state, const char *name, struct azm_err *err);
