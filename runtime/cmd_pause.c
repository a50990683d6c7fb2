// SPDX-License-Identifier: GPL-2.0-or-later
/* cmd_pause.c: pause and unpause, see pause.h. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "commands.h"
#include "control.h"
#include "pause.h"

static int check_state(const struct state *state, const char *name, bool wanted, struct azm_err *err)
{
	json_t *status = sandbox_status(state, name, err);
	const char *text = json_string_value(json_object_get(status, "state"));
	bool paused = text && strcmp(text, "paused") == 0;

	json_decref(status);
	if (!status)
		return -1;
	if (paused != wanted)
		return err_msg(err, EBUSY, wanted ? "unpause" : "pause", name,
			wanted ? "it is not paused" : "it is paused already");
	return 0;
}

struct asked {
	const struct state *state;
	const char *name;
};

static int ask_again(void *context, struct azm_err *err)
{
	const struct asked *asked = context;
	json_t *answer = control_ask(asked->state, asked->name, json_pack("{s:s}", "op", "pause"), NULL, err);

	json_decref(answer);
	return answer ? 0 : -1;
}

static int pause_one(const struct state *state, const char *name, void *context, struct azm_err *err)
{
	struct paused paused = { 0 };
	struct azm_err ignored = { 0 };

	(void)context;
	if (check_state(state, name, false, err) < 0)
		return -1;
	json_t *answer = control_ask(state, name, json_pack("{s:s}", "op", "pause"), NULL, err);
	if (!answer)
		return -1;
	json_decref(answer);
	struct asked asked = { state, name };
	cleanup_fd int dir = sandbox_open(state, name, err);
	int result = dir < 0 ? -1 : paused_find(dir, &paused, err);
	if (result == 0)
		result = paused_settle(name, &paused, ask_again, &asked, err);
	if (result < 0) { /* half paused is nothing anybody asked for */
		json_decref(control_ask(state, name, json_pack("{s:s}", "op", "resume"), NULL, &ignored));
		paused_let_go(&paused);
	} else {
		printf("%s\n", name);
	}
	paused_free(&paused);
	return result;
}

static int unpause_one(const struct state *state, const char *name, void *context, struct azm_err *err)
{
	struct paused paused = { 0 };

	(void)context;
	cleanup_fd int dir = sandbox_open(state, name, err);
	if (dir < 0 || check_state(state, name, true, err) < 0 || paused_find(dir, &paused, err) < 0)
		return -1;
	json_t *answer = control_ask(state, name, json_pack("{s:s}", "op", "resume"), NULL, err);
	if (answer) {
		paused_let_go(&paused);
		printf("%s\n", name);
	}
	json_decref(answer);
	paused_free(&paused);
	return answer ? 0 : -1;
}

int command_pause(int argc, char **argv)
{
	struct azm_err err = { 0 };
	int first = options_parse(program_find(the_program(), "pause"), NULL, argc, argv, &err);

	return first < 0 ? fail_command(&err) : for_each_name("pause", argc, argv, first, pause_one, NULL);
}

int command_unpause(int argc, char **argv)
{
	struct azm_err err = { 0 };
	int first = options_parse(program_find(the_program(), "unpause"), NULL, argc, argv, &err);

	return first < 0 ? fail_command(&err) : for_each_name("unpause", argc, argv, first, unpause_one, NULL);
}
