// SPDX-License-Identifier: GPL-2.0-or-later
/* tests/fuzz/fuzz_options.c: any command line of `run` and any --env-file: the first piece of the input is the file,
 * the others are arguments. What was accepted goes on to the parsers of resources and capabilities. */
#include "base/io.h"
#include "caps.h"
#include "resources.h"
#include "run_options.h"
#include "tests/fuzz/fuzz.h"

enum { ARGUMENTS = 32 };

static const char *env_file;

/* Instead of base/io.c's: no file of the host is read. */
char *__wrap_read_path(const char *path, size_t limit, size_t *size);

char *__wrap_read_path(const char *path, size_t limit, size_t *size)
{
	(void)path;
	must(strlen(env_file) <= limit);
	if (size)
		*size = strlen(env_file);
	return strdup(env_file);
}

static void check_config(const struct config *config)
{
	struct plan plan = { 0 };
	struct azm_err err = { 0 };
	uint64_t caps;

	must(!config->name || strlen(config->name) <= 64);
	must(config->cpus == CONFIG_UNSET || (config->cpus >= 10 && config->cpus <= 4096000));
	must(config->memory == CONFIG_UNSET || config->memory <= INT64_MAX);
	must(strcmp(config->network, "private") == 0 || strcmp(config->network, "none") == 0);
	if (limits_plan(config, &plan, &err) == 0)
		for (size_t i = 0; i < plan.limit_count; i++)
			must(plan.limits[i].soft <= plan.limits[i].hard);
	free(plan.limits);
	err_clear(&err);
	if (caps_resolve(&config->cap_add, &config->cap_drop, &caps, &err) == 0)
		free(caps_text(caps));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct command run = { .name = "run", .options = run_option_rows };
	char *file = fuzz_piece(&data, &size);
	char *argv[ARGUMENTS + 2] = { (char *)(uintptr_t) "run" };
	int argc = 1;
	struct run_request request;
	struct azm_err err = { 0 };

	env_file = file;
	for (; size > 0 && argc < ARGUMENTS; argc++) {
		argv[argc] = fuzz_piece(&data, &size);
		if (strcmp(argv[argc], "--help") == 0)
			argv[argc][0] = 'x';
	}
	run_request_init(&request);
	int operand = options_parse(&run, &request, argc, argv, &err);
	must((operand < 0) == (err.code != 0));
	must(operand <= argc);
	if (operand >= 0)
		check_config(&request.config);
	run_request_free(&request);
	for (int i = 1; i < argc; i++)
		free(argv[i]);
	free(file);
	return 0;
}
