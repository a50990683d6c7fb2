// SPDX-License-Identifier: GPL-2.0-or-later
/* cmd_top.c: the processes of a sandbox, as this host's ps shows them (Docker's way: any option of ps works). */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "commands.h"
#include "members.h"

enum { OUTPUT_MOST = 32 << 20 };

/* The whole output of `ps OPTION...`; its messages go to our stderr. Return: allocated, NULL with @err set */
static char *run_ps(char **options, size_t count, struct azm_err *err)
{
	cleanup_free char **argv = xcalloc(count + 3, sizeof *argv);
	int ends[2], status;

	argv[0] = (char[]){ "ps" };
	argv[1] = (char[]){ "-ef" };
	for (size_t i = 0; i < count; i++)
		argv[i + 1] = options[i];
	if (pipe_pair(ends, err) < 0)
		return NULL;
	pid_t child = fork();
	if (child == 0) {
		dup2(ends[1], STDOUT_FILENO);
		execvp("ps", argv);
		_exit(EXIT_NOT_FOUND);
	}
	close(ends[1]);
	cleanup_fd int reader = ends[0];
	cleanup_free char *text = child < 0 ? NULL : read_file(reader, OUTPUT_MOST, NULL);
	int code = errno;
	if (child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) &&
		WEXITSTATUS(status) == EXIT_NOT_FOUND) {
		err_msg(err, ENOENT, "run", "ps", "this host has none");
		err_hint(err, "install procps, or: azm-sandbox exec NAME ps");
		return NULL;
	}
	if (!text) {
		err_code(err, code, "run", "ps");
		return NULL;
	}
	if (!*text)
		err_msg(err, EINVAL, "run", "ps", "it refused its options");
	return *text ? steal_ptr(&text) : NULL;
}

/* Which column of a header is PID; -1: none. */
static int pid_column(const char *header)
{
	int column = 0;

	for (const char *at = header; *(at += strspn(at, " \t"));) {
		size_t length = strcspn(at, " \t");
		if (length == 3 && strncmp(at, "PID", 3) == 0)
			return column;
		column++;
		at += length;
	}
	return -1;
}

static bool is_member(const char *row, int column, const struct member *list, size_t count)
{
	const char *at = row + strspn(row, " \t");

	while (column-- > 0) {
		at += strcspn(at, " \t");
		at += strspn(at, " \t");
	}
	long pid = strtol(at, NULL, 10);
	for (size_t i = 0; i < count; i++)
		if (list[i].pid == pid)
			return true;
	return false;
}

static int show(const struct state *state, const char *name, char **options, size_t option_count, struct azm_err *err)
{
	cleanup_free struct member *list = NULL;
	cleanup_str_list struct str_list rows = { 0 };
	size_t count;
	json_t *status = sandbox_status(state, name, err);
	pid_t init = (pid_t)json_integer_value(json_object_get(status, "pid"));

	json_decref(status);
	if (!status)
		return -1;
	if (init <= 0)
		return err_msg(err, ECONNREFUSED, "list processes of", name, "it is not running");
	cleanup_free char *text = run_ps(options, option_count, err);
	if (!text || members_list(init, &list, &count, err) < 0)
		return -1;
	str_list_split(&rows, text, '\n');
	int column = pid_column(rows.items[0]);
	if (column < 0)
		return err_msg(err, EINVAL, "list processes of", name, "ps shows no column PID with these options");
	for (size_t i = 0; i < rows.count; i++) {
		if (!*rows.items[i] || (i > 0 && !is_member(rows.items[i], column, list, count)))
			continue;
		str_sanitise(rows.items[i]); /* command lines are the sandbox's words */
		puts(rows.items[i]);
	}
	return 0;
}

int command_top(int argc, char **argv)
{
	struct azm_err err = { 0 };
	cleanup_state struct state state = { .live = -1, .dir = -1, .sandboxes = -1 };
	int first = options_parse(program_find(the_program(), "top"), NULL, argc, argv, &err);

	if (first >= 0 && first >= argc)
		first = err_msg(&err, EINVAL, "top", NULL, "needs the NAME of a sandbox");
	if (first < 0 || state_open(&state, &err) < 0 ||
		show(&state, argv[first], argv + first + 1, (size_t)(argc - first - 1), &err) < 0)
		return fail_command(&err);
	return end_command(0);
}
