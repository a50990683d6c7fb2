// SPDX-License-Identifier: GPL-2.0-or-later
/* Doctor on hosts that lack something: this program runs itself with --report below a filter (tests/lib/deny), in a
 * user namespace with changed sysctls, or under strace's fault injection, and reads the JSON.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/tree.h"
#include "doctor/doctor.h"
#include "doctor/probe.h"

enum { MOST_ARGS = 16 };

struct world {
	char *self, *deny;  /* programs */
	char *top, *layers; /* a directory of ours, and one below it for writable layers */
};

/* ---- running doctor elsewhere --------------------------------------------------------------------------------- */

static int report_main(int argc, char **argv)
{
	struct str_list layers = { 0 };
	struct azm_err err = { 0 };

	for (int i = 2; i < argc; i++)
		str_list_add(&layers, argv[i]);
	int result = doctor_run(true, stdout, "/usr/local/bin/azm-sandbox", &layers, &err);
	str_list_free(&layers);
	return result < 0 ? err_print(&err, "test") : result;
}

/* Run a command line and parse what it writes. Return: the report, owned by the caller. */
static json_t *run_report(char *const argv[], int *status)
{
	json_error_t error;
	int ends[2];

	assert_non_null(argv[0]);
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	fflush(NULL);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		dup2(ends[1], STDOUT_FILENO);
		/* Leaks cannot be looked for under strace, and the sanitizer would call that a failure. */
		setenv("ASAN_OPTIONS", "detect_leaks=0", 1);
		if (argv[0])
			execvp(argv[0], argv);
		_exit(127);
	}
	close(ends[1]);
	FILE *out = fdopen(ends[0], "r");
	assert_non_null(out);
	json_t *report = json_loadf(out, 0, &error);
	fclose(out);
	assert_int_equal(waitpid(pid, status, 0), pid);
	if (!report)
		fail_msg("%s: no report (status %d): %s", argv[0], *status, error.text);
	return report;
}

/* @prefix... SELF --report LAYERS */
static json_t *report_below(const struct world *world, const char *const prefix[], bool *can_run)
{
	char *argv[MOST_ARGS];
	int count = 0, status;

	for (; prefix[count]; count++)
		argv[count] = (char *)prefix[count];
	argv[count++] = world->self;
	argv[count++] = (char *)"--report";
	argv[count++] = world->layers;
	argv[count] = NULL;
	json_t *report = run_report(argv, &status);
	*can_run = json_is_true(json_object_get(report, "can_run"));
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), *can_run ? 0 : 1);
	return report;
}

static json_t *probe_of(const json_t *report, const char *key)
{
	json_t *probe = json_object_get(json_object_get(report, "probes"), key);

	if (!probe)
		fail_msg("the report has no %s", key);
	return probe;
}

static const char *text_of(const json_t *probe, const char *key)
{
	const char *text = json_string_value(json_object_get(probe, key));

	return text ? text : "";
}

static void assert_status(const json_t *report, const char *key, const char *status)
{
	const json_t *probe = probe_of(report, key);

	if (strcmp(text_of(probe, "status"), status) != 0)
		fail_msg("%s is %s instead of %s: %s", key, text_of(probe, "status"), status, text_of(probe, "detail"));
}

static void assert_failure(const json_t *report, const char *key, const char *name, const char *words)
{
	const json_t *probe = probe_of(report, key);

	assert_status(report, key, "failed");
	assert_string_equal(text_of(probe, "errno"), name);
	if (!strstr(text_of(probe, "detail"), words))
		fail_msg("%s: \"%s\" lacks \"%s\"", key, text_of(probe, "detail"), words);
}

static bool fixed_by(const json_t *report, const char *key, const char *words)
{
	const json_t *fix = json_object_get(probe_of(report, key), "fix");

	for (size_t i = 0; i < json_array_size(fix); i++)
		if (strstr(json_string_value(json_array_get(fix, i)), words))
			return true;
	return false;
}

/* Whether a program is there; without it a test is skipped. */
static void need(const char *program)
{
	cleanup_free char *command = xasprintf("command -v %s >/dev/null", program);

	if (system(command) != 0) {
		print_message("SKIP: %s is not installed\n", program);
		skip();
	}
}

#define BELOW(...) ((const char *const[]){ __VA_ARGS__, NULL })

/* A host that cannot run sandboxes, before anything is taken from it. */
static void need_sandboxes(const struct world *world)
{
	bool can_run;
	json_t *report = report_below(world, BELOW("env"), &can_run);

	if (!can_run) {
		cleanup_free char *missing = json_dumps(json_object_get(report, "missing"), JSON_COMPACT);
		json_decref(report);
		if (getenv("AZM_MUST_WORK"))
			fail_msg("missing: %s", missing);
		print_message("SKIP: this host lacks %s\n", missing);
		skip();
	}
	assert_int_equal(json_array_size(json_object_get(report, "missing")), 0);
	json_decref(report);
}

/* ---- hosts ---------------------------------------------------------------------------------------------------- */

static void this_host_can_run_sandboxes(void **state)
{
	need_sandboxes(*state);
}

static void user_namespaces_refused_by_a_filter(void **state)
{
	const struct world *world = *state;
	bool can_run;
	json_t *report = report_below(world, BELOW(world->deny, "clone:0x10000000=EPERM", "--"), &can_run);

	assert_false(can_run);
	assert_failure(report, "user_namespace", "EPERM", "make a user namespace");
	assert_status(report, "id_map", "skipped");
	assert_status(report, "bridge", "skipped");
	assert_status(report, "seccomp", "ok");
	json_decref(report);
}

static void user_namespaces_used_up(void **state)
{
	const struct world *world = *state;
	bool can_run;
	json_t *report = report_below(world, BELOW(world->deny, "clone:0x10000000=ENOSPC", "--"), &can_run);

	assert_failure(report, "user_namespace", "ENOSPC", "make a user namespace");
	assert_true(fixed_by(report, "user_namespace", "sysctl -w user.max_user_namespaces="));
	json_decref(report);
}

static void network_namespaces_forbidden_by_sysctl(void **state)
{
	const struct world *world = *state;
	bool can_run;

	need("unshare");
	need_sandboxes(world);
	json_t *report = report_below(world,
		BELOW("unshare", "-Ur", "sh", "-c", "echo 0 >/proc/sys/user/max_net_namespaces && exec \"$@\"", "sh"),
		&can_run);
	assert_false(can_run);
	assert_failure(report, "net_namespace", "ENOSPC", "net");
	assert_true(fixed_by(report, "net_namespace", "sysctl -w user.max_net_namespaces=15000"));
	assert_status(report, "mnt_namespace", "ok");
	assert_status(report, "overlay", "ok");
	assert_status(report, "bridge", "skipped");
	json_decref(report);
}

static void entering_namespaces_refused_by_a_filter(void **state)
{
	const struct world *world = *state;
	bool can_run;
	json_t *report = report_below(world, BELOW(world->deny, "setns=EPERM", "--"), &can_run);

	assert_status(report, "sandbox_namespaces", "ok");
	assert_failure(report, "nested_namespaces", "EPERM", "enter a user namespace");
	json_decref(report);
}

static void an_id_without_a_map_around_it(void **state)
{
	const struct world *world = *state;
	bool can_run;

	need("unshare");
	json_t *report = report_below(world, BELOW("unshare", "-U"), &can_run);
	assert_failure(report, "user_namespace", "EPERM", "make a user namespace");
	assert_non_null(strstr(text_of(probe_of(report, "user_namespace"), "cause"), "does not map id"));
	json_decref(report);
}

static void apparmor_symptom_uid_map(void **state)
{
	const struct world *world = *state;
	bool can_run;

	need("strace");
	/* Written by the first process: a go byte, setgroups, uid_map. */
	json_t *report = report_below(world,
		BELOW("strace", "-f", "-qq", "-o", "/dev/null", "-e", "inject=write:error=EACCES:when=3"), &can_run);
	assert_failure(report, "id_map", "EACCES", "uid_map");
	json_decref(report);
}

static void apparmor_symptom_address(void **state)
{
	const struct world *world = *state;
	bool can_run;

	need("strace");
	json_t *report = report_below(
		world, BELOW("strace", "-f", "-qq", "-o", "/dev/null", "-e", "inject=sendto:error=EPERM"), &can_run);
	assert_failure(report, "address", "EPERM", "RTM_NEWADDR");
	assert_status(report, "propagation", "ok");
	json_decref(report);
}

static void apparmor_symptom_propagation(void **state)
{
	const struct world *world = *state;
	bool can_run;
	json_t *report = report_below(world, BELOW(world->deny, "mount[3==0x84000]=EACCES", "--"), &can_run);

	assert_failure(report, "propagation", "EACCES", "rslave");
	assert_status(report, "mnt_namespace", "ok");
	json_decref(report);
}

static void apparmor_symptom_bounding_set(void **state)
{
	const struct world *world = *state;
	bool can_run;
	json_t *report = report_below(world, BELOW(world->deny, "prctl[0==24]=EPERM", "--"), &can_run);

	assert_failure(report, "bounding_set", "EPERM", "bounding set");
	json_decref(report);
}

static void masked_proc(void **state)
{
	const struct world *world = *state;
	bool can_run;

	need("unshare");
	json_t *report = report_below(world,
		BELOW("unshare", "-Urm", "sh", "-c", "mount --bind /dev/null /proc/version && exec \"$@\"", "sh"),
		&can_run);
	assert_failure(report, "proc", "EPERM", "mount proc");
	assert_non_null(strstr(text_of(probe_of(report, "proc"), "cause"), "/proc/version"));
	assert_true(fixed_by(report, "proc", "--proc bind"));
	assert_status(report, "tmpfs", "ok");
	json_decref(report);
}

static void an_old_kernel_still_runs_sandboxes(void **state)
{
	static const char *const optional[] = { "openat2", "mount_setattr", "move_mount", "close_range", "landlock" };
	const struct world *world = *state;
	bool can_run;

	need_sandboxes(world);
	json_t *report = report_below(world,
		BELOW(world->deny,
			"openat2=ENOSYS,mount_setattr=ENOSYS,open_tree=ENOSYS,close_range=ENOSYS,pidfd_open=ENOSYS,"
			"landlock_create_ruleset=ENOSYS",
			"--"),
		&can_run);

	assert_true(can_run);
	for (size_t i = 0; i < sizeof optional / sizeof *optional; i++)
		assert_status(report, optional[i], "missing");
	json_decref(report);
}

static void a_filter_that_kills(void **state)
{
	const struct world *world = *state;
	bool can_run;
	json_t *report = report_below(world, BELOW(world->deny, "seccomp=KILL", "--"), &can_run);

	assert_failure(report, "seccomp", "ENOSYS", "SIGSYS");
	assert_status(report, "bridge", "ok");
	json_decref(report);
}

static void a_kernel_without_overlay(void **state)
{
	const struct world *world = *state;
	bool can_run;
	/* The overlay is mounted with MS_NOSUID|MS_NODEV and nothing else. */
	json_t *report = report_below(world, BELOW(world->deny, "mount[3==6]=ENODEV", "--"), &can_run);

	assert_failure(report, "overlay", "ENODEV", "mount overlay");
	assert_true(fixed_by(report, "overlay", "modprobe overlay"));
	json_decref(report);
}

static void a_first_choice_that_carries_no_layer_is_passed_over(void **state)
{
	const struct world *world = *state;
	bool can_run;

	need_sandboxes(world);
	json_t *report = report_below(world, BELOW(world->self, "--report", "/proc/azm-sandbox"), &can_run);

	/* The rest of the command line names the second choice. */
	assert_true(can_run);
	assert_status(report, "state_directory", "missing");
	assert_true(fixed_by(report, "state_directory", "AZM_STATE_DIR"));
	assert_non_null(strstr(text_of(probe_of(report, "overlay"), "detail"), world->layers));
	json_decref(report);
}

static void runtime_directory(void **state)
{
	const struct world *world = *state;
	bool can_run;

	need_sandboxes(world);
	json_t *unset = report_below(world, BELOW("env", "-u", "XDG_RUNTIME_DIR"), &can_run);
	cleanup_free char *open_to_all = xasprintf("XDG_RUNTIME_DIR=%s", world->top);

	assert_true(can_run);
	assert_status(unset, "runtime_dir", "missing");
	json_decref(unset);
	assert_int_equal(chmod(world->top, 0755), 0);
	json_t *open_dir = report_below(world, BELOW("env", open_to_all), &can_run);
	assert_status(open_dir, "runtime_dir", "missing");
	json_decref(open_dir);
	assert_int_equal(chmod(world->top, 0700), 0);
	json_t *own = report_below(world, BELOW("env", open_to_all), &can_run);
	assert_status(own, "runtime_dir", "ok");
	json_decref(own);
}

/* ---- doctor itself -------------------------------------------------------------------------------------------- */

static int hang(const struct probe_env *env, struct probe_outcome *out)
{
	(void)env;
	(void)out;
	pause();
	return 0;
}

static int die(const struct probe_env *env, struct probe_outcome *out)
{
	(void)env;
	(void)out;
	raise(SIGKILL);
	return 0;
}

static void a_probe_that_hangs_or_dies_is_a_failure_and_is_reaped(void **state)
{
	struct probe_env env = { 0 };
	struct probe_outcome out;

	(void)state;
	assert_int_equal(probe_call(0, hang, &env, 50, &out), -1);
	assert_int_equal(out.err.code, ETIMEDOUT);
	assert_int_equal(probe_call(0, die, &env, 5000, &out), -1);
	assert_int_equal(out.err.code, EIO);
	assert_non_null(strstr(out.err.reason, "signal 9"));
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
}

static void nothing_is_left_on_the_host(void **state)
{
	const struct world *world = *state;
	struct str_list layers = { 0 };
	struct azm_err err = { 0 };
	cleanup_file FILE *out = fopen("/dev/null", "we");

	str_list_add(&layers, world->layers);
	assert_true(doctor_run(false, out, NULL, &layers, &err) >= 0);
	str_list_free(&layers);
	/* The directory for layers did not exist and still does not: its parent was used, and is empty again. */
	assert_int_equal(access(world->layers, F_OK), -1);
	assert_int_equal(rmdir(world->top), 0);
	assert_int_equal(mkdir(world->top, 0700), 0);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

static void a_report_that_cannot_be_written_is_an_error(void **state)
{
	const struct world *world = *state;
	struct str_list layers = { 0 };
	struct azm_err err = { 0 };
	cleanup_file FILE *out = fopen("/dev/full", "we");

	str_list_add(&layers, world->layers);
	assert_int_equal(doctor_run(true, out, NULL, &layers, &err), -1);
	assert_int_equal(err.code, ENOSPC);
	str_list_free(&layers);
}

static void the_text_ends_with_the_verdict(void **state)
{
	const struct world *world = *state;
	struct str_list layers = { 0 };
	struct azm_err err = { 0 };
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	str_list_add(&layers, world->layers);
	int result = doctor_run(false, out, NULL, &layers, &err);
	fclose(out);
	str_list_free(&layers);
	assert_true(result >= 0);
	const char *verdict =
		result ? "\nthis host cannot run azm-sandbox as it is" : "\nthis host can run azm-sandbox\n";
	const char *found = strstr(text, verdict);
	assert_non_null(found);
	assert_ptr_equal(strchr(found + 1, '\n'), text + size - 1);
	free(text);
}

/* ---- the world ------------------------------------------------------------------------------------------------ */

static int make_world(void **state)
{
	struct world *world = xcalloc(1, sizeof *world);
	const char *tmp = getenv("TMPDIR");

	world->self = realpath("/proc/self/exe", NULL);
	assert_non_null(world->self);
	world->deny = xasprintf("%.*s/deny", (int)(strrchr(world->self, '/') - world->self), world->self);
	world->top = xasprintf("%s/azm-doctor-test-XXXXXX", tmp ? tmp : "/var/tmp");
	assert_non_null(mkdtemp(world->top));
	world->layers = xasprintf("%s/state", world->top);
	*state = world;
	return 0;
}

static int remove_world(void **state)
{
	struct world *world = *state;
	struct azm_err err = { 0 };
	char *slash = strrchr(world->top, '/');

	*slash = '\0';
	cleanup_fd int parent = open(world->top, O_PATH | O_DIRECTORY | O_CLOEXEC);
	int result = tree_remove_at(parent, slash + 1, &err);
	free(world->self);
	free(world->deny);
	free(world->top);
	free(world->layers);
	free(world);
	return result;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(this_host_can_run_sandboxes),
		cmocka_unit_test(user_namespaces_refused_by_a_filter),
		cmocka_unit_test(user_namespaces_used_up),
		cmocka_unit_test(network_namespaces_forbidden_by_sysctl),
		cmocka_unit_test(entering_namespaces_refused_by_a_filter),
		cmocka_unit_test(an_id_without_a_map_around_it),
		cmocka_unit_test(apparmor_symptom_uid_map),
		cmocka_unit_test(apparmor_symptom_address),
		cmocka_unit_test(apparmor_symptom_propagation),
		cmocka_unit_test(apparmor_symptom_bounding_set),
		cmocka_unit_test(masked_proc),
		cmocka_unit_test(an_old_kernel_still_runs_sandboxes),
		cmocka_unit_test(a_filter_that_kills),
		cmocka_unit_test(a_kernel_without_overlay),
		cmocka_unit_test(a_first_choice_that_carries_no_layer_is_passed_over),
		cmocka_unit_test(runtime_directory),
		cmocka_unit_test(a_probe_that_hangs_or_dies_is_a_failure_and_is_reaped),
		cmocka_unit_test(nothing_is_left_on_the_host),
		cmocka_unit_test(a_report_that_cannot_be_written_is_an_error),
		cmocka_unit_test(the_text_ends_with_the_verdict),
	};

	if (argc > 1 && strcmp(argv[1], "--report") == 0)
		return report_main(argc, argv);
	return cmocka_run_group_tests(tests, make_world, remove_world);
}
