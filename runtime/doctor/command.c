// SPDX-License-Identifier: GPL-2.0-or-later
/* doctor/command.c: `azm-sandbox doctor`; see doctor.h */
#include <errno.h>
#include <jansson.h>
#include <linux/limits.h>
#include <unistd.h>

#include "commands.h"
#include "doctor/doctor.h"

static int set_json(void *config, const char *value, struct azm_err *err)
{
	(void)value;
	(void)err;
	*(bool *)config = true;
	return 0;
}

const struct option_row doctor_options[] = {
	{ 0, "json", NULL, set_json, "print one JSON object" },
	OPTIONS_END,
};

const char doctor_details[] =
	"Every primitive a sandbox is made of is really tried, in throw-away processes: `ok` works, `FAIL` is missing "
	"and "
	"needed, `--` is missing and `run` does without, `skip` could not be tried because of an earlier failure. The "
	"commands that help follow. The exit status is 0 when this host can run sandboxes, 125 when it cannot.";

int command_doctor(int argc, char **argv)
{
	struct azm_err err = { 0 };
	char self_path[PATH_MAX];
	bool json = false;
	int operand = options_parse(program_find(the_program(), "doctor"), &json, argc, argv, &err);

	if (operand >= 0 && operand < argc)
		operand = err_msg(&err, EINVAL, "doctor", NULL, "unexpected operand %s", argv[operand]);
	if (operand < 0)
		return fail_command(&err);
	ssize_t length = readlink("/proc/self/exe", self_path, sizeof self_path - 1);
	self_path[length > 0 ? length : 0] = '\0';
	int result = doctor_run(json, stdout, length > 0 ? self_path : NULL, NULL, &err);
	if (result < 0)
		return fail_command(&err);
	return result ? EXIT_AZM : 0;
}
