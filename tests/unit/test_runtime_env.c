// SPDX-License-Identifier: GPL-2.0-or-later
/* tests/unit/test_runtime_env.c: flags win over -e, -e over the caller's environment; nothing else of that environment
 * goes in (cli.md; t-u5). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "run_options.h"
#include "tests/unit/runtime_fixture.h"

/* A caller's environment of the test's own, beside what enter_directory() sets. */
static int enter(void **state)
{
	static const char *const kept[] = { "PATH", NULL };
	cleanup_free char *path = xstrdup(getenv(kept[0]) ? getenv(kept[0]) : "");

	return clearenv() != 0 || setenv(kept[0], path, 1) < 0 ? -1 : enter_directory(state);
}

/* @words: options separated by blanks. */
static int complete(const char *words, struct run_request *request, struct azm_err *err)
{
	static const struct command run = { .name = "run", .options = run_option_rows };
	cleanup_str_list struct str_list argv = { 0 };

	run_request_init(request);
	str_list_add(&argv, "run");
	if (*words)
		str_list_split(&argv, words, ' ');
	return options_parse(&run, request, (int)argv.count, argv.items, err) < 0 ? -1
										  : run_request_complete(request, err);
}

static const char *variable(const struct config *config, const char *name)
{
	const char *found = NULL;
	size_t length = strlen(name);

	for (size_t i = 0; i < config->env.count; i++)
		if (strncmp(config->env.items[i], name, length) == 0 && config->env.items[i][length] == '=')
			found = config->env.items[i] + length + 1;
	return found;
}

static void flags_win_over_e_and_e_over_the_environment(void **state)
{
	static const struct {
		const char *name, *flag;
		size_t member; /* offset of the text in struct config */
	} rows[] = {
		{ "SANDBOX_RUNTIME_CONTAINER_IMAGE", "--rootfs", offsetof(struct config, rootfs) },
		{ "WORKSPACE_MOUNT_PATH", "--workspace", offsetof(struct config, workspace) },
		{ "WORKSPACE_BASE", "--workspace", offsetof(struct config, workspace) },
		{ "WORKSPACE_MOUNT_PATH_IN_SANDBOX", NULL, offsetof(struct config, workspace_target) },
		{ "SANDBOX_USER_ID", "--user", offsetof(struct config, user) },
		{ "SANDBOX_RUNTIME_BINDING_ADDRESS", NULL, offsetof(struct config, binding_address) },
		{ "SESSION_API_KEY", NULL, offsetof(struct config, api_key) },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		const char *wanted[] = { "/caller", "/e", "/flag" };
		cleanup_free char *e = xasprintf("-e %s=/e", rows[i].name);
		cleanup_free char *flag = rows[i].flag ? xasprintf("%s %s /flag", e, rows[i].flag) : NULL;
		const char *words[] = { "", e, flag };
		setenv(rows[i].name, "/caller", 1);
		for (size_t w = 0; w < 3; w++) {
			struct run_request request;
			struct azm_err err = { 0 };
			if (!words[w])
				continue;
			assert_ok(complete(words[w], &request, &err), &err);
			assert_string_equal(*(char **)((char *)&request.config + rows[i].member), wanted[w]);
			assert_null(variable(&request.config, rows[i].name)); /* configures us, not the workload */
			run_request_free(&request);
		}
		unsetenv(rows[i].name);
	}
}

static void an_empty_value_means_not_given(void **state)
{
	struct run_request request;
	struct azm_err err = { 0 };

	(void)state;
	setenv("SANDBOX_USER_ID", "7", 1);
	setenv("WORKSPACE_BASE", "", 1);
	assert_ok(complete("-e SANDBOX_USER_ID=", &request, &err), &err); /* switches the caller's off */
	assert_null(request.config.user);
	assert_null(request.config.workspace);
	run_request_free(&request);
}

static void the_newer_workspace_variable_wins(void **state)
{
	struct run_request request;
	struct azm_err err = { 0 };

	(void)state;
	setenv("WORKSPACE_MOUNT_PATH", "/mount", 1);
	setenv("WORKSPACE_BASE", "/base", 1);
	assert_ok(complete("-e WORKSPACE_BASE=/e", &request, &err), &err);
	assert_string_equal(request.config.workspace, "/mount");
	assert_string_equal(request.config.workspace_target, "/workspace");
	run_request_free(&request);
}

static void only_what_was_named_goes_inside(void **state)
{
	struct run_request request;
	struct azm_err err = { 0 };

	(void)state;
	setenv("SECRET", "1", 1);
	setenv("PASSED", "2=2", 1);
	setenv("SANDBOX_ENV_FROM", "3", 1);
	setenv("SANDBOX_ENV_BOTH", "4", 1);
	setenv("SANDBOX_ENV_", "5", 1);
	assert_ok(complete("-e PASSED -e UNSET -e SET=x=y -e EMPTY= -e BOTH=e", &request, &err), &err);
	const struct config *config = &request.config;
	assert_string_equal(variable(config, "PASSED"), "2=2");
	assert_string_equal(variable(config, "FROM"), "3");
	assert_string_equal(variable(config, "BOTH"), "e");
	assert_string_equal(variable(config, "SET"), "x=y");
	assert_string_equal(variable(config, "EMPTY"), "");
	assert_null(variable(config, "UNSET"));
	assert_null(variable(config, "SECRET"));
	assert_null(variable(config, ""));
	assert_int_equal(config->env.count, 6); /* BOTH twice: the later one counts */
	run_request_free(&request);
}

static void an_env_file_is_read_as_docker_reads_it(void **state)
{
	struct run_request request;
	struct azm_err err = { 0 };

	(void)state;
	setenv("PASSED", "p", 1);
	put_text("file", "# comment\n\n  A=1\r\nB=two words # kept\n\tPASSED\nC=\nA=2");
	assert_ok(complete("--env-file file -e B=flag", &request, &err), &err);
	assert_string_equal(variable(&request.config, "A"), "2");
	assert_string_equal(variable(&request.config, "B"), "flag");
	assert_string_equal(variable(&request.config, "PASSED"), "p");
	assert_string_equal(variable(&request.config, "C"), "");
	run_request_free(&request);
	put_text("file", "=x\n");
	assert_refused(complete("--env-file file", &request, &err), &err, EINVAL);
	run_request_free(&request);
	assert_refused(complete("--env-file nothing", &request, &err), &err, ENOENT);
	run_request_free(&request);
	assert_refused(complete("-e =x", &request, &err), &err, EINVAL);
	run_request_free(&request);
}

static bool has_volume(const struct config *config, const char *text)
{
	for (size_t i = 0; i < config->volumes.count; i++)
		if (strcmp(config->volumes.items[i], text) == 0)
			return true;
	return false;
}

static void volumes_of_the_environment_give_way_to_flags(void **state)
{
	struct run_request request;
	struct azm_err err = { 0 };
	struct config *config = &request.config;

	(void)state;
	setenv("SANDBOX_VOLUMES", "/env/a:/a,/env/b:/b:ro,,/env/w:/workspace", 1);
	assert_ok(complete("-v /flag/a:/a", &request, &err), &err);
	assert_int_equal(config->volumes.count, 3);
	assert_true(has_volume(config, "/flag/a:/a") && has_volume(config, "/env/b:/b:ro"));
	assert_false(has_volume(config, "/env/a:/a"));
	run_request_free(&request);
	assert_ok(complete("--workspace /flag", &request, &err), &err);
	assert_string_equal(config->workspace, "/flag");
	assert_false(has_volume(config, "/env/w:/workspace"));
	run_request_free(&request);
	setenv("WORKSPACE_BASE", "/base", 1); /* the old variable gives way, as upstream */
	assert_ok(complete("", &request, &err), &err);
	assert_null(config->workspace);
	assert_true(has_volume(config, "/env/w:/workspace"));
	run_request_free(&request);
}

static void host_paths_become_absolute(void **state)
{
	struct run_request request;
	struct azm_err err = { 0 };
	cleanup_free char *image = here("img"), *inside = here("x");

	(void)state;
	assert_int_equal(mkdir("img", 0700), 0);
	assert_int_equal(mkdir("x", 0700), 0);
	assert_ok(complete("--rootfs img/ --workspace / -v ./x:/x", &request, &err), &err);
	assert_string_equal(request.config.rootfs, image);
	assert_string_equal(request.config.workspace, "/");
	/* The host side, whatever way it is written. */
	cleanup_free char *host = xstrdup(request.config.volumes.items[0]);
	host[strlen(host) - strlen(":/x")] = '\0';
	cleanup_free char *real = realpath(host, NULL);
	assert_string_equal(real, inside);
	run_request_free(&request);
}

static void the_key_is_random_unless_given_and_never_odd(void **state)
{
	struct run_request one, two;
	struct azm_err err = { 0 };

	(void)state;
	assert_ok(complete("", &one, &err), &err);
	assert_ok(complete("", &two, &err), &err);
	assert_int_equal(strlen(one.config.api_key), 32);
	assert_string_not_equal(one.config.api_key, two.config.api_key);
	run_request_free(&one);
	run_request_free(&two);
	assert_ok(complete("--api-key none -e SESSION_API_KEY=x", &one, &err), &err);
	assert_string_equal(one.config.api_key, "");
	run_request_free(&one);
	put_text("key", "from-file\r\nsecond line\n");
	assert_ok(complete("--api-key-file key -e SESSION_API_KEY=x", &one, &err), &err);
	assert_string_equal(one.config.api_key, "from-file");
	run_request_free(&one);

	static const char *const bad[] = { "", "\n", "two words\n", "caf\xc3\xa9\n", "a\tb", "a\x1b[m" };
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		put_text("key", bad[i]);
		assert_refused(complete("--api-key-file key", &one, &err), &err, EINVAL);
		run_request_free(&one);
	}
	assert_refused(complete("--api-key-file nothing", &one, &err), &err, ENOENT);
	run_request_free(&one);
	assert_refused(complete("--api-key none --api-key-file key", &one, &err), &err, EINVAL);
	run_request_free(&one);
	assert_refused(complete("--api-key the-key-itself", &one, &err), &err, EINVAL);
	run_request_free(&one);
}

static void expect_egress(const char *line, const char *egress, const char *proxy)
{
	struct run_request request;
	struct azm_err err = { 0 };

	assert_ok(complete(line, &request, &err), &err);
	assert_string_equal(request.config.egress, egress);
	assert_string_equal(request.config.egress_proxy ? request.config.egress_proxy : "", proxy);
	for (size_t i = 0; i < request.config.env.count; i++)
		assert_null(strstr(request.config.env.items[i], "AZM_EGRESS"));
	run_request_free(&request);
}

static void egress_comes_from_flags_then_e_then_the_environment(void **state)
{
	(void)state;
	expect_egress("", "none", "");
	setenv("AZM_EGRESS", "a.example", 1);
	setenv("AZM_EGRESS_PROXY", "http://u:p@proxy.example:3128", 1);
	expect_egress("", "a.example", "http://u:p@proxy.example:3128");
	expect_egress("-e AZM_EGRESS=b.example", "b.example", "http://u:p@proxy.example:3128");
	expect_egress("-e AZM_EGRESS=b.example --egress c.example:22 --egress !d.example", "c.example:22,!d.example",
		"http://u:p@proxy.example:3128");
	expect_egress("--egress none", "none", "http://u:p@proxy.example:3128");
	expect_egress("--egress all --egress none --egress-proxy http://q.example:1", "none", "http://q.example:1");
	expect_egress("--egress 192.0.2.0/24 --dns 192.0.2.7", "192.0.2.0/24", "http://u:p@proxy.example:3128");
	put_text("proxy", "http://u:p@file.example:1\nsecond line\n");
	expect_egress("--egress-proxy-file proxy", "a.example", "http://u:p@file.example:1");
}

static void egress_that_cannot_be_is_refused(void **state)
{
	static const char *const bad[] = { "--egress *", "--egress a..b", "--egress a.example:0",
		"--egress 10.0.0.0/33", "--egress none,all", "--egress-proxy ftp://x:1", "--egress-proxy-file nothing",
		"--network none --egress all", "--network none -e AZM_EGRESS=a.example", "-e AZM_EGRESS=*.*",
		"-e AZM_EGRESS_PROXY=nonsense", "--dns 192.0.2.7", "--dns 192.0.2.7 --egress a.example",
		"--dns a.example --egress all", "--dns ::1 --egress all" };

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct run_request request;
		struct azm_err err = { 0 };
		if (complete(bad[i], &request, &err) == 0)
			fail_msg("\"%s\" was accepted", bad[i]);
		assert_int_not_equal(err.code, 0);
		run_request_free(&request);
	}
}

static void a_proxys_password_leaves_the_command_line(void **state)
{
	char given[] = "http://user:secret@proxy.example:3128";
	char *argv[] = { (char *)(uintptr_t) "run", (char *)(uintptr_t) "--egress-proxy", given, NULL };
	struct run_request request;
	struct azm_err err = { 0 };

	(void)state;
	run_request_init(&request);
	assert_true(options_parse(&(struct command){ .name = "run", .options = run_option_rows }, &request, 3, argv,
			    &err) == 3);
	assert_string_equal(request.config.egress_proxy, "http://user:secret@proxy.example:3128");
	assert_string_equal(given, "http://xxxxxxxxxxx@proxy.example:3128");
	run_request_free(&request);
}

static void values_of_flags_are_checked(void **state)
{
	static const char *const bad[] = { "--memory 5m", "--memory -1", "--memory 9223372036854775808",
		"--shm-size 4095", "--shm-size x", "--cpus 0", "--cpus 0.001", "--cpus -1", "--cpus nan", "--cpus inf",
		"--cpus 4097", "--cpus 1x", "--cpus ", "--pids-limit -2", "--pids-limit 4194305", "--pids-limit x",
		"--name ../x", "--name -x", "--hostname -x", "--hostname a_b", "--hostname ", "--hostname a/b",
		"--network host", "--network container:x", "--network bridge", "--rootfs-mode x", "--userns host",
		"--proc x", "--status-fd 9999", "--status-fd x", "--status-fd -1", "-e ", "--env-file " };

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct run_request request;
		struct azm_err err = { 0 };
		if (complete(bad[i], &request, &err) == 0)
			fail_msg("\"%s\" was accepted", bad[i]);
		assert_int_not_equal(err.code, 0);
		run_request_free(&request);
	}
}

#define IN_DIRECTORY(test) cmocka_unit_test_setup_teardown(test, enter, leave_directory)

int main(void)
{
	/* The tests replace the environment, where cmocka looks for its format after each of them. */
	const char *format = getenv("CMOCKA_MESSAGE_OUTPUT");

	if (format && strcmp(format, "TAP") == 0)
		cmocka_set_message_output(CM_OUTPUT_TAP);
	const struct CMUnitTest tests[] = {
		IN_DIRECTORY(flags_win_over_e_and_e_over_the_environment),
		IN_DIRECTORY(an_empty_value_means_not_given),
		IN_DIRECTORY(the_newer_workspace_variable_wins),
		IN_DIRECTORY(only_what_was_named_goes_inside),
		IN_DIRECTORY(an_env_file_is_read_as_docker_reads_it),
		IN_DIRECTORY(volumes_of_the_environment_give_way_to_flags),
		IN_DIRECTORY(host_paths_become_absolute),
		IN_DIRECTORY(the_key_is_random_unless_given_and_never_odd),
		IN_DIRECTORY(egress_comes_from_flags_then_e_then_the_environment),
		IN_DIRECTORY(egress_that_cannot_be_is_refused),
		IN_DIRECTORY(a_proxys_password_leaves_the_command_line),
		IN_DIRECTORY(values_of_flags_are_checked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
