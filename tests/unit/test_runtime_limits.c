// SPDX-License-Identifier: GPL-2.0-or-later
/* tests/unit/test_runtime_limits.c: --ulimit, --pids-limit, --cap-add, --cap-drop, and the cgroup for the rest, on a
 * directory that looks like a delegated one (resources.h, caps.h). */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/str.h"
#include "caps.h"
#include "resources.h"
#include "tests/unit/runtime_fixture.h"

#define DEFAULT_HARD 1000

/* What the test asks for must not depend on the limits of whoever runs it. */
static int set_own_limits(void **state)
{
	const struct rlimit limit = { 512, DEFAULT_HARD };

	(void)state;
	return setrlimit(RLIMIT_NOFILE, &limit);
}

static const struct plan_limit *find(const struct plan *plan, uint32_t resource)
{
	const struct plan_limit *found = NULL;

	for (size_t i = 0; i < plan->limit_count; i++) {
		if (plan->limits[i].resource == resource) {
			assert_null(found); /* twice would mean that the order decides */
			found = &plan->limits[i];
		}
	}
	return found;
}

static int plan_limits(const char *ulimit, uint64_t pids, struct plan *plan, struct azm_err *err)
{
	struct config config = { .pids_limit = pids };

	*plan = (struct plan){ 0 };
	if (ulimit)
		str_list_add(&config.ulimits, ulimit);
	int result = limits_plan(&config, plan, err);
	str_list_free(&config.ulimits);
	return result;
}

static void limits_are_read_as_docker_reads_them(void **state)
{
	static const struct {
		const char *text;
		uint32_t resource;
		uint64_t soft, hard;
	} rows[] = {
		{ "nofile=100", RLIMIT_NOFILE, 100, 100 },
		{ "nofile=100:200", RLIMIT_NOFILE, 100, 200 },
		{ "nofile=0:0", RLIMIT_NOFILE, 0, 0 },
		{ "nofile=1000:1000", RLIMIT_NOFILE, 1000, 1000 },
		{ "core=0", RLIMIT_CORE, 0, 0 },
		{ "nproc=5:6", RLIMIT_NPROC, 5, 6 },
		{ "stack=8192:16384", RLIMIT_STACK, 8192, 16384 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct azm_err err = { 0 };
		struct plan plan;
		assert_ok(plan_limits(rows[i].text, CONFIG_UNSET, &plan, &err), &err);
		const struct plan_limit *limit = find(&plan, rows[i].resource);
		assert_non_null(limit);
		assert_true(limit->soft == rows[i].soft && limit->hard == rows[i].hard);
		free(plan.limits);
	}
}

static void what_is_no_limit_is_refused(void **state)
{
	static const char *const texts[] = { "", "=", "nofile", "nofile=", "nofile=:", "nofile=1:", "nofile=:1",
		"nofile=2:1", "nofile=1:2:3", "nofile=1=2", "nofile=-2", "nofile=1x", "nofile= 1", "nofile=0x10",
		"nofile=18446744073709551615", "nofile=18446744073709551616", "nofile=-1:5", "nope=1", "NOFILE=1",
		"rlimit_nofile=1" };

	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		struct azm_err err = { 0 };
		struct plan plan;
		if (plan_limits(texts[i], CONFIG_UNSET, &plan, &err) == 0)
			fail_msg("\"%s\"", texts[i]);
		assert_int_equal(err.code, EINVAL);
		free(plan.limits);
	}
}

static void a_limit_above_ones_own_is_refused_not_lowered(void **state)
{
	static const char *const texts[] = { "nofile=1001", "nofile=1:1001", "nofile=unlimited", "nofile=-1",
		"nofile=5:-1" };

	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		struct azm_err err = { 0 };
		struct plan plan;
		assert_refused(plan_limits(texts[i], CONFIG_UNSET, &plan, &err), &err, EPERM);
		free(plan.limits);
	}
}

static void processes_and_core_files_are_limited_by_default(void **state)
{
	struct azm_err err = { 0 };
	struct rlimit own;
	struct plan plan;

	(void)state;
	getrlimit(RLIMIT_NPROC, &own);
	assert_ok(plan_limits(NULL, CONFIG_UNSET, &plan, &err), &err);
	assert_true(find(&plan, RLIMIT_NPROC)->hard ==
		    (own.rlim_max < DEFAULT_PIDS_LIMIT ? own.rlim_max : DEFAULT_PIDS_LIMIT));
	assert_true(find(&plan, RLIMIT_CORE)->soft == 0 && find(&plan, RLIMIT_CORE)->hard == 1);
	assert_true(find(&plan, RLIMIT_NOFILE)->soft == DEFAULT_HARD);
	free(plan.limits);
	assert_ok(plan_limits(NULL, 20, &plan, &err), &err);
	assert_true(find(&plan, RLIMIT_NPROC)->soft == 20 && find(&plan, RLIMIT_NPROC)->hard == 20);
	free(plan.limits);
	assert_ok(plan_limits(NULL, 0, &plan, &err), &err); /* no limit was asked for */
	assert_null(find(&plan, RLIMIT_NPROC));
	free(plan.limits);
}

/* ---- capabilities ---------------------------------------------------------------------------------------------- */

static int resolve(const char *add, const char *drop, uint64_t *caps, struct azm_err *err)
{
	cleanup_str_list struct str_list added = { 0 };
	cleanup_str_list struct str_list dropped = { 0 };

	if (*add)
		str_list_split(&added, add, ',');
	if (*drop)
		str_list_split(&dropped, drop, ',');
	return caps_resolve(&added, &dropped, caps, err);
}

#define BIT(cap) (1ull << (cap))

static void capabilities_are_added_and_dropped_as_docker_does(void **state)
{
	struct azm_err err = { 0 };
	uint64_t usual, all, caps;

	(void)state;
	assert_ok(resolve("", "", &usual, &err), &err);
	assert_true(usual & BIT(CAP_CHOWN));
	assert_false(usual & (BIT(CAP_NET_RAW) | BIT(CAP_MKNOD) | BIT(CAP_SYS_ADMIN) | BIT(CAP_NET_ADMIN)));
	assert_ok(resolve("ALL", "", &all, &err), &err);
	assert_true(all & BIT(CAP_SYS_ADMIN));
	const struct {
		const char *add, *drop;
		uint64_t caps;
	} rows[] = {
		{ "NET_ADMIN", "", usual | BIT(CAP_NET_ADMIN) },
		{ "cap_net_admin,CAP_net_RAW", "", usual | BIT(CAP_NET_ADMIN) | BIT(CAP_NET_RAW) },
		{ "", "CHOWN,cap_kill", usual & ~(BIT(CAP_CHOWN) | BIT(CAP_KILL)) },
		{ "", "ALL", 0 },
		{ "", "all", 0 },
		{ "CHOWN", "ALL", BIT(CAP_CHOWN) },
		{ "CHOWN", "CHOWN", usual }, /* named on both sides: what was added wins */
		{ "ALL", "ALL", all },
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		assert_ok(resolve(rows[i].add, rows[i].drop, &caps, &err), &err);
		if (caps != rows[i].caps)
			fail_msg("+%s -%s: %#llx", rows[i].add, rows[i].drop, (unsigned long long)caps);
	}
}

/* azm-init is out of the workload's reach because it alone holds this one. */
static void ptrace_over_init_is_never_given(void **state)
{
	struct azm_err err = { 0 };
	uint64_t caps;

	(void)state;
	assert_refused(resolve("SYS_PTRACE", "", &caps, &err), &err, EPERM);
	assert_refused(resolve("ALL,cap_sys_ptrace", "", &caps, &err), &err, EPERM);
	assert_ok(resolve("ALL", "", &caps, &err), &err);
	assert_false(caps & BIT(CAP_SYS_PTRACE));
	assert_ok(resolve("", "SYS_PTRACE", &caps, &err), &err);
}

static void what_is_no_capability_is_refused(void **state)
{
	static const char *const names[] = { "NOPE", "CAP_", "cap_cap_chown", "0", "63", "99", "-1", "CHOWN ", " CHOWN",
		"cap_chown=ep", "chown\n", "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx" };

	(void)state;
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		struct azm_err err = { 0 };
		uint64_t caps;
		if (resolve(names[i], "", &caps, &err) == 0 || resolve("", names[i], &caps, &err) == 0)
			fail_msg("\"%s\": %#llx", names[i], (unsigned long long)caps);
		assert_int_equal(err.code, EINVAL);
	}
	cleanup_free char *text = caps_text(BIT(CAP_CHOWN) | BIT(CAP_KILL));
	assert_string_equal(text, "cap_chown,cap_kill");
	cleanup_free char *none = caps_text(0);
	assert_string_equal(none, "");
}

/* ---- cgroup ---------------------------------------------------------------------------------------------------- */

/* A directory with the files a delegated cgroup has; the kernel would make those of the child. */
static void make_tree(const char *child)
{
	static const char *const files[] = { "memory.max", "memory.swap.max", "cpu.max", "pids.max", "cgroup.procs" };

	put_text("cgroup.procs", "");
	put_text("cgroup.subtree_control", "");
	assert_int_equal(mkdir(child, 0700), 0);
	for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
		cleanup_free char *path = xasprintf("%s/%s", child, files[i]);
		put_text(path, "");
	}
}

static void holds(const char *path, const char *wanted)
{
	cleanup_free char *text = read_path(path, 4096, NULL);

	assert_non_null(text);
	assert_string_equal(text, wanted);
}

static void limits_are_written_into_a_cgroup_of_its_own(void **state)
{
	const struct config config = { .memory = 64 << 20, .cpus = 1500, .pids_limit = 100 };
	struct azm_err err = { 0 };
	struct cgroup cgroup;
	cleanup_free char *own = here(".");

	(void)state;
	make_tree("azm-box");
	assert_ok(cgroup_make_below(own, &config, "box", &cgroup, &err), &err);
	holds("cgroup.subtree_control", "+memory +pids +cpu");
	holds("azm-box/memory.max", "67108864");
	holds("azm-box/memory.swap.max", "0");
	holds("azm-box/cpu.max", "150000 100000");
	holds("azm-box/pids.max", "101"); /* azm-init is one more */
	assert_ok(cgroup_add(&cgroup, 4242, &err), &err);
	holds("azm-box/cgroup.procs", "4242");
	cgroup_remove(&cgroup);
	assert_null(cgroup.path);
	assert_int_equal(cgroup.dir, -1);
}

static void a_limit_that_cannot_be_set_is_an_error(void **state)
{
	const struct config memory = { .memory = 64 << 20, .cpus = CONFIG_UNSET, .pids_limit = CONFIG_UNSET };
	const struct config cpus = { .memory = CONFIG_UNSET, .cpus = 500, .pids_limit = CONFIG_UNSET };
	const struct config *configs[] = { &memory, &cpus };
	cleanup_free char *own = here(".");

	(void)state;
	put_text("cgroup.procs", "");
	put_text("cgroup.subtree_control", "");
	for (size_t i = 0; i < 2; i++) {
		struct azm_err err = { 0 };
		struct cgroup cgroup;
		assert_refused(cgroup_make_below(own, configs[i], "box", &cgroup, &err), &err, ENOENT);
		assert_null(cgroup.path);
		assert_int_equal(access("azm-box", F_OK), -1); /* and nothing is left */
	}
}

static void without_delegation_only_what_needs_no_cgroup_works(void **state)
{
	const struct config memory = { .memory = 64 << 20, .cpus = CONFIG_UNSET, .pids_limit = CONFIG_UNSET };
	const struct config plain = { .memory = CONFIG_UNSET, .cpus = CONFIG_UNSET, .pids_limit = 100 };
	struct azm_err err = { 0 };
	struct cgroup cgroup;
	cleanup_free char *own = here(".");

	(void)state;
	assert_ok(cgroup_make_below(NULL, &plain, "box", &cgroup, &err), &err); /* nothing needs one */
	assert_null(cgroup.path);
	assert_ok(cgroup_add(&cgroup, 1, &err), &err);
	assert_refused(cgroup_make_below(NULL, &memory, "box", &cgroup, &err), &err, EPERM);
	assert_refused(cgroup_make_below(own, &memory, "box", &cgroup, &err), &err, EPERM);
	cgroup_remove(&cgroup);
}

static void what_a_host_lacks_is_named_or_left_out(void **state)
{
	struct config config = { .memory = 64 << 20, .cpus = CONFIG_UNSET, .pids_limit = CONFIG_UNSET };
	struct azm_err err = { 0 };
	struct cgroup cgroup;
	cleanup_free char *own = here(".");

	(void)state;
	put_text("cgroup.procs", "");
	put_text("cgroup.subtree_control", "");
	put_text("cgroup.controllers", "cpuset cpu pids\n");
	assert_int_equal(cgroup_make_below(own, &config, "box", &cgroup, &err), -1);
	assert_int_equal(err.code, EOPNOTSUPP);
	assert_non_null(strstr(err.reason, "no memory controller"));
	config.best_effort = true;
	assert_ok(cgroup_make_below(own, &config, "box", &cgroup, &err), &err);
	assert_null(cgroup.path);
	/* Without limits the cgroup is for the freezer: no controller is asked for. */
	config.memory = CONFIG_UNSET;
	assert_ok(cgroup_make_below(own, &config, "box", &cgroup, &err), &err);
	assert_non_null(cgroup.path);
	holds("cgroup.subtree_control", "");
	assert_int_equal(cgroup_freeze(&cgroup, true), -1); /* this "kernel" has none */
	cgroup_remove(&cgroup);
	assert_int_equal(access("azm-box", F_OK), -1);
}

static void the_freezer_and_the_count_of_kills_stay_open(void **state)
{
	const struct config plain = { .memory = CONFIG_UNSET, .cpus = CONFIG_UNSET, .pids_limit = CONFIG_UNSET };
	struct azm_err err = { 0 };
	struct cgroup cgroup;
	cleanup_free char *own = here(".");

	(void)state;
	make_tree("azm-box");
	put_text("azm-box/cgroup.freeze", "");
	put_text("azm-box/memory.events", "low 0\nhigh 0\nmax 12\noom 3\noom_kill 2\noom_group_kill 0\n");
	assert_ok(cgroup_make_below(own, &plain, "box", &cgroup, &err), &err);
	assert_int_equal(cgroup_oom_kills(&cgroup), 2);
	assert_int_equal(cgroup_freeze(&cgroup, true), 0);
	assert_int_equal(cgroup_freeze(&cgroup, false), 0);
	holds("azm-box/cgroup.freeze", "10"); /* a file keeps what a kernel's would take */
	cgroup_remove(&cgroup);
	assert_int_equal(cgroup_oom_kills(&cgroup), 0);
}

#define IN_DIRECTORY(test) cmocka_unit_test_setup_teardown(test, enter_directory, leave_directory)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(limits_are_read_as_docker_reads_them),
		cmocka_unit_test(what_is_no_limit_is_refused),
		cmocka_unit_test(a_limit_above_ones_own_is_refused_not_lowered),
		cmocka_unit_test(processes_and_core_files_are_limited_by_default),
		cmocka_unit_test(capabilities_are_added_and_dropped_as_docker_does),
		cmocka_unit_test(ptrace_over_init_is_never_given),
		cmocka_unit_test(what_is_no_capability_is_refused),
		IN_DIRECTORY(limits_are_written_into_a_cgroup_of_its_own),
		IN_DIRECTORY(a_limit_that_cannot_be_set_is_an_error),
		IN_DIRECTORY(what_a_host_lacks_is_named_or_left_out),
		IN_DIRECTORY(the_freezer_and_the_count_of_kills_stay_open),
		IN_DIRECTORY(without_delegation_only_what_needs_no_cgroup_works),
	};

	return cmocka_run_group_tests(tests, set_own_limits, NULL);
}
