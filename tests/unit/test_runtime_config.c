// SPDX-License-Identifier: GPL-2.0-or-later
/* tests/unit/test_runtime_config.c: config.json gives back what `run` was asked for (config.h). */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "config.h"
#include "run_options.h"
#include "tests/unit/runtime_fixture.h"

static int here_fd(void)
{
	int fd = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

/* Every field set, through the command line where there is an option for it. */
static void fill(struct run_request *request)
{
	static const char *const words[] = { "run", "--rootfs=/img", "--rootfs-mode=direct", "--server=builtin",
		"--workspace=/ws", "-v/a:/b:ro", "-v/c:/d", "--tmpfs=/t:size=4096", "-u1000:1000", "--userns=single",
		"-p8080:80", "--allow-non-loopback", "--publish-any-user", "--network=none", "-w/work", "-hhost",
		"--entrypoint=/bin/x", "-dit", "--rm", "--as-root", "--read-only", "--shm-size=1g",
		"--ulimit=nofile=10", "-m9223372036854775807", "--cpus=0.5", "--pids-limit=0", "--cap-add=A",
		"--cap-drop=B", "--seccomp=/s.json", "--add-host=h:1.2.3.4", "-lk=v", "--no-new-privileges", "--nested",
		"--compat32", "--seccomp-log", "--proc=bind", "--egress-engine=pasta", "--network-alias=db",
		"--egress=a.example:443,!b.example", "--egress-proxy=http://p.example:1", "--dns=192.0.2.1",
		"--mount=type=tmpfs,target=/m", "--device=/dev/zero", "--cgroup-parent=/c", "--best-effort",
		"--stop-signal=INT", "--guard=report", "--disk=1g", "--storage-opt=inodes=1000",
		"--storage-opt=mode=watch", "--name=box" };
	static const struct command run = { .name = "run", .options = run_option_rows };
	struct azm_err err = { 0 };
	int argc = (int)(sizeof words / sizeof *words);
	struct config *config = &request->config;

	run_request_init(request);
	assert_ok(options_parse(&run, request, argc, (char **)(uintptr_t)words, &err), &err);
	config->workspace_target = xstrdup("/workspace \"quoted\" \\ \xe2\x98\x83\n");
	config->binding_address = xstrdup("127.0.0.1");
	config->api_key = xstrdup("");
	config->created = xstrdup("2026-01-01T00:00:00Z");
	config->gpus = xstrdup("all");
	config->image = xstrdup("{\"name\": \"docker.io/library/x:latest\"}");
	str_list_add(&config->log_opts, "max-size=1m");
	str_list_add(&config->env, "A=b=c");
	str_list_add(&config->env, "EMPTY=");
	str_list_add(&config->publish_open, "8081:80");
	str_list_add(&config->layers, "/layers/a/tree");
	str_list_add(&config->command, "sh");
	str_list_add(&config->command, "");
}

static void every_field_comes_back(void **state)
{
	struct run_request request;
	struct config back;
	struct azm_err err = { 0 };
	cleanup_fd int dir = here_fd();

	(void)state;
	fill(&request);
	config_init(&back);
	assert_ok(config_save(&request.config, dir, &err), &err);
	assert_ok(config_load(&back, dir, &err), &err);
	json_t *before = config_json(&request.config), *after = config_json(&back);
	assert_true(json_equal(before, after));
	/* and none of them was left at its default, or this test would prove nothing */
	struct config fresh;
	config_init(&fresh);
	json_t *defaults = config_json(&fresh), *value;
	const char *key;
	json_object_foreach(before, key, value)
	{
		if (json_equal(value, json_object_get(defaults, key)))
			fail_msg("%s is not set by this test", key);
	}
	assert_true(back.memory == INT64_MAX && back.cpus == 500 && back.pids_limit == 0);
	json_decref(before);
	json_decref(after);
	json_decref(defaults);
	config_free(&fresh);
	config_free(&back);
	run_request_free(&request);
}

static void defaults_come_back(void **state)
{
	struct config config, back;
	struct azm_err err = { 0 };
	cleanup_fd int dir = here_fd();

	(void)state;
	config_init(&config);
	config_init(&back);
	str_list_add(&back.env, "LEFT=over");
	assert_ok(config_save(&config, dir, &err), &err);
	assert_ok(config_load(&back, dir, &err), &err);
	assert_true(back.memory == CONFIG_UNSET && back.pids_limit == CONFIG_UNSET);
	assert_null(back.name);
	assert_int_equal(back.env.count, 0);
	assert_string_equal(back.network, "private");
	config_free(&config);
	config_free(&back);
}

/* `start` would make another sandbox than `run` did. */
static void what_json_cannot_hold_is_refused_not_dropped(void **state)
{
	struct config config;
	struct azm_err err = { 0 };
	cleanup_fd int dir = here_fd();

	(void)state;
	config_init(&config);
	str_list_add(&config.env, "A=\xff");
	assert_refused(config_save(&config, dir, &err), &err, EILSEQ);
	str_list_free(&config.env);
	config.workspace = xstrdup("/caf\xe9");
	assert_refused(config_save(&config, dir, &err), &err, EILSEQ);
	assert_int_equal(access("config.json", F_OK), -1);
	config_free(&config);
}

static void the_key_is_for_the_user_alone(void **state)
{
	struct config config;
	struct azm_err err = { 0 };
	struct stat st;
	cleanup_fd int dir = here_fd();

	(void)state;
	umask(0);
	config_init(&config);
	config.api_key = xstrdup("secret");
	assert_ok(config_save(&config, dir, &err), &err);
	assert_int_equal(stat("config.json", &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	config_free(&config);
}

static int load(const char *text, size_t size, struct config *config, struct azm_err *err)
{
	cleanup_fd int dir = here_fd();

	put("config.json", text, size);
	config_init(config);
	return config_load(config, dir, err);
}

static void a_damaged_file_is_an_error(void **state)
{
	static const char *const texts[] = { "", "{", "[]", "null", "\"x\"", "{\"name\":}", "{\"name\":\"\\u0000\"}",
		"{\"name\":\"\xff\"}", "{} x" };
	cleanup_free char *deep = xcalloc(200000, 1);
	cleanup_free char *large = xcalloc(5 << 20, 1);
	struct azm_err err = { 0 };
	struct config config;

	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		assert_refused(load(texts[i], strlen(texts[i]), &config, &err), &err, EINVAL);
		config_free(&config);
	}
	memset(deep, '[', 200000);
	assert_refused(load(deep, 200000, &config, &err), &err, EINVAL);
	config_free(&config);
	memset(large, ' ', 5 << 20);
	assert_refused(load(large, 5 << 20, &config, &err), &err, EFBIG);
	config_free(&config);
}

static void fields_of_another_type_count_as_not_given(void **state)
{
	static const char text[] = "{\"name\":7,\"volumes\":\"x\",\"tty\":1,\"memory\":\"9\",\"env\":[1,\"A=b\",null],"
				   "\"cpus\":1.5,\"labels\":{\"a\":\"b\"}}";
	struct azm_err err = { 0 };
	struct config config;

	(void)state;
	assert_ok(load(text, sizeof text - 1, &config, &err), &err);
	assert_null(config.name);
	assert_false(config.tty);
	assert_true(config.memory == CONFIG_UNSET && config.cpus == CONFIG_UNSET);
	assert_int_equal(config.volumes.count, 0);
	assert_int_equal(config.labels.count, 0);
	assert_int_equal(config.env.count, 1);
	config_free(&config);
}

static void a_link_in_its_place_is_not_followed(void **state)
{
	struct azm_err err = { 0 };
	struct config config;
	cleanup_fd int dir = here_fd();

	(void)state;
	put_text("elsewhere", "{}");
	assert_int_equal(symlink("elsewhere", "config.json"), 0);
	config_init(&config);
	assert_refused(config_load(&config, dir, &err), &err, ELOOP);
	assert_ok(config_save(&config, dir, &err), &err); /* replaces the link, not what it points to */
	struct stat st;
	assert_int_equal(stat("elsewhere", &st), 0);
	assert_int_equal(st.st_size, 2);
	config_free(&config);
}

#define IN_DIRECTORY(test) cmocka_unit_test_setup_teardown(test, enter_directory, leave_directory)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_DIRECTORY(every_field_comes_back),
		IN_DIRECTORY(defaults_come_back),
		IN_DIRECTORY(what_json_cannot_hold_is_refused_not_dropped),
		IN_DIRECTORY(the_key_is_for_the_user_alone),
		IN_DIRECTORY(a_damaged_file_is_an_error),
		IN_DIRECTORY(fields_of_another_type_count_as_not_given),
		IN_DIRECTORY(a_link_in_its_place_is_not_followed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
