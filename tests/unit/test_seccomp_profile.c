// SPDX-License-Identifier: GPL-2.0-or-later
/* tests/unit/test_seccomp_profile.c: custom profiles compile to what they say, wide arguments find no hole in them, bad
 * ones are refused with the entry named.
 */
#include <errno.h>
#include <seccomp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "seccomp/rows.h"
#include "seccomp/seccomp.h"
#include "tests/unit/bpf_eval.h"
#include "tests/unit/seccomp_fixture.h"

static struct filter compile_ok(const struct fixture *f, const char *text, unsigned flags, unsigned long long caps)
{
	struct filter out = { 0 };
	struct azm_err err = { 0 };

	if (compile_text(f, text, -1, flags, caps, &out, &err) < 0)
		fail_msg("%s: %s", err.text, err.reason);
	return out;
}

static void a_docker_profile_means_what_it_says(void **state)
{
	struct filter f = compile_ok(*state, docker_style, 0, 0);

	assert_int_equal(ask(&f, SYS_read, 0, 0, 0), ALLOW);
	assert_int_equal(ask(&f, SYS_ptrace, 0, 0, 0), ALLOW);
	assert_int_equal(ask(&f, SYS_process_vm_readv, 0, 0, 0), ERRNO(EPERM));
	assert_int_equal(ask(&f, SYS_mount, 0, 0, 0), ERRNO(EPERM));
	assert_int_equal(ask(&f, SYS_clone3, 0, 0, 0), ERRNO(ENOSYS));
	assert_int_equal(ask(&f, SYS_clone, 0x10000011, 0, 0), ERRNO(EPERM));
	assert_int_equal(ask(&f, SYS_clone, 0x11, 0, 0), ALLOW);
	assert_int_equal(ask(&f, 462 /* mseal: newer than libseccomp 2.5 */, 0, 0, 0), ALLOW);
	assert_int_equal(ask(&f, 457 /* statmount */, 0, 0, 0), ALLOW);
	assert_int_equal(ask(&f, 458 /* listmount */, 0, 0, 0), ERRNO(EPERM));
	filter_free(&f);
}

static void capabilities_decide_includes_and_excludes(void **state)
{
	struct filter f = compile_ok(*state, docker_style, 0, ADMIN);

	assert_int_equal(ask(&f, SYS_mount, 0, 0, 0), ALLOW);
	assert_int_equal(ask(&f, SYS_clone, 0x10000011, 0, 0), ALLOW);
	assert_int_equal(ask(&f, SYS_clone3, 0, 0, 0), ERRNO(EPERM));
	assert_int_equal(ask(&f, SYS_reboot, 0, 0, 0), ERRNO(EPERM)); /* needs CAP_SYS_BOOT as well */
	filter_free(&f);
}

static void wide_arguments_find_no_hole(void **state)
{
	static const uint64_t high[] = { 0, 1ull << 32, 1ull << 63, 0xffffffffull << 32 };
	struct filter f = compile_ok(*state, docker_style, 0, 0);

	for (size_t h = 0; h < sizeof high / sizeof high[0]; h++) {
		for (uint64_t family = 0; family < 64; family++)
			assert_int_equal(ask(&f, SYS_socket, high[h] | family, 1, 0),
				family == 38 || family == 40 ? ERRNO(EPERM) : ALLOW);
		assert_int_equal(ask(&f, SYS_socket, high[h] | 0x80000000, 1, 0), ALLOW);
		assert_int_equal(ask(&f, SYS_personality, high[h], 0, 0), ALLOW);
		assert_int_equal(ask(&f, SYS_personality, high[h] | 0xffffffff, 0, 0), ALLOW);
		assert_int_equal(ask(&f, SYS_personality, high[h] | 0x400000, 0, 0), ERRNO(EPERM));
		assert_int_equal(ask(&f, SYS_clone, high[h] | 0x20000, 0, 0), ERRNO(EPERM));
		assert_int_equal(ask(&f, SYS_clone, high[h] | 0x11, 0, 0), ALLOW);
	}
	filter_free(&f);
}

static bool holds(const char *op, uint32_t a, uint32_t v)
{
	return strcmp(op, "NE") == 0   ? a != v
	       : strcmp(op, "LT") == 0 ? a < v
	       : strcmp(op, "LE") == 0 ? a <= v
	       : strcmp(op, "EQ") == 0 ? a == v
	       : strcmp(op, "GE") == 0 ? a >= v
				       : a > v;
}

static void every_operator_compares_the_low_word(void **state)
{
	static const char *const ops[] = { "NE", "LT", "LE", "EQ", "GE", "GT" };
	static const uint32_t values[] = { 0, 1, 2, 37, 38, 39, 40, 0x5412, 0x7fffffff, 0x80000000, 0xfffffffe,
		0xffffffff };
	enum { N = sizeof values / sizeof values[0] };

	for (size_t o = 0; o < 6; o++)
		for (size_t v = 0; v < N; v++)
			for (int deny = 0; deny < 2; deny++) {
				cleanup_free char *text =
					xasprintf("{\"defaultAction\":\"%s\",\"syscalls\":[{\"names\":[\"ioctl\"],"
						  "\"action\":\"%s\",\"args\":[{\"index\":1,\"value\":%u,\"op\":\"SCMP_"
						  "CMP_%s\"}]}]}",
						deny ? "SCMP_ACT_ALLOW" : "SCMP_ACT_ERRNO",
						deny ? "SCMP_ACT_ERRNO" : "SCMP_ACT_ALLOW", values[v], ops[o]);
				struct filter f = compile_ok(*state, text, 0, 0);
				for (size_t a = 0; a < (size_t)N * 3; a++) {
					uint64_t arg = values[a / 3] | (uint64_t)(a % 3) << 32;
					bool match = holds(ops[o], values[a / 3], values[v]);
					assert_int_equal(
						ask(&f, SYS_ioctl, 0, arg, 0), match != deny ? ALLOW : ERRNO(EPERM));
				}
				filter_free(&f);
			}
}

static void conditions_on_two_arguments_must_both_hold(void **state)
{
	static const char text[] =
		"{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":["
		"{\"names\":[\"socket\"],\"action\":\"SCMP_ACT_ERRNO\",\"errnoRet\":22,\"args\":["
		" {\"index\":0,\"value\":16,\"op\":\"SCMP_CMP_EQ\"},{\"index\":2,\"value\":0,\"op\":\"SCMP_CMP_NE\"}]},"
		"{\"names\":[\"sendfile\"],\"action\":\"SCMP_ACT_ERRNO\",\"args\":["
		" {\"index\":3,\"value\":4294967296,\"op\":\"SCMP_CMP_GE\"}]}]}";
	struct filter f = compile_ok(*state, text, 0, 0);

	for (uint64_t family = 0; family < 64; family++)
		for (uint64_t protocol = 0; protocol < 32; protocol++)
			for (uint64_t high = 0; high < 4; high++)
				assert_int_equal(
					ask(&f, SYS_socket, family | (high & 1) << 32, 3, protocol | (high >> 1) << 40),
					family == 16 && protocol ? ERRNO(EINVAL) : ALLOW);
	/* sendfile's count is 64 bits wide for the kernel too */
	struct seccomp_data call = { .arch = NATIVE_AUDIT, .nr = SYS_sendfile, .args = { 0, 0, 0, 1ull << 32 } };
	assert_int_equal(bpf_eval(f.insns, f.count, &call).answer, ERRNO(EPERM));
	call.args[3] = UINT32_MAX;
	assert_int_equal(bpf_eval(f.insns, f.count, &call).answer, ALLOW);
	filter_free(&f);
}

static void of_two_unconditional_entries_the_first_counts(void **state)
{
	static const char text[] = "{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"defaultErrnoRet\":38,\"syscalls\":["
				   "{\"names\":[\"setns\",\"mount\"],\"action\":\"SCMP_ACT_ALLOW\"},"
				   "{\"names\":[\"bpf\",\"setns\"],\"action\":\"SCMP_ACT_ERRNO\"},"
				   "{\"names\":[\"bpf\",\"mount\"],\"action\":\"SCMP_ACT_KILL_PROCESS\"}]}";
	struct filter f = compile_ok(*state, text, 0, 0);

	assert_int_equal(ask(&f, SYS_setns, 0, 0, 0), ALLOW);
	assert_int_equal(ask(&f, SYS_mount, 0, 0, 0), ALLOW);
	assert_int_equal(ask(&f, SYS_bpf, 0, 0, 0), ERRNO(EPERM));
	assert_int_equal(ask(&f, SYS_read, 0, 0, 0), ERRNO(ENOSYS));
	filter_free(&f);
}

static void root_emulation_lies_over_the_profile(void **state)
{
	struct filter f = compile_ok(*state, docker_style, FILTER_EMULATE_ROOT, 0);

	assert_int_equal(ask(&f, SYS_fchown, 1, 0, 0), ERRNO(0));
	assert_int_equal(ask(&f, SYS_setuid, 1, 0, 0), ERRNO(0));
	assert_int_equal(ask(&f, SYS_setresuid, 1, 0, 0), ERRNO(0)); /* the profile denies it */
	assert_int_equal(ask(&f, SYS_mknodat, 1, 0, S_IFCHR | 0644), ERRNO(0));
	assert_int_equal(ask(&f, SYS_mknodat, 1, 0, S_IFIFO | 0644), ERRNO(EPERM)); /* the profile's answer */
	assert_int_equal(ask(&f, SYS_read, 0, 0, 0), ALLOW);
	assert_int_equal(ask(&f, SYS_mount, 0, 0, 0), ERRNO(EPERM));
	filter_free(&f);
}

static void other_architectures_are_as_the_profile_lists_them(void **state)
{
#if defined(__x86_64__)
	static const char only_native[] = "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[]}";
	static const char deny_new[] = "{\"defaultAction\":\"SCMP_ACT_ALLOW\","
				       "\"architectures\":[\"SCMP_ARCH_X86\",\"SCMP_ARCH_X32\",\"SCMP_ARCH_PPC64LE\"],"
				       "\"syscalls\":[{\"names\":[\"open_tree_attr\"],\"action\":\"SCMP_ACT_ERRNO\"}]}";
	struct seccomp_data i386 = { .arch = AUDIT_ARCH_I386, .nr = 3 }, x32 = { .arch = AUDIT_ARCH_X86_64 };
	struct filter f = compile_ok(*state, docker_style, 0, 0);

	assert_int_equal(bpf_eval(f.insns, f.count, &i386).answer, ALLOW); /* read */
	filter_free(&f);
	f = compile_ok(*state, only_native, 0, 0);
	assert_int_equal(bpf_eval(f.insns, f.count, &i386).answer, ERRNO(ENOSYS));
	x32.nr = 0x40000000;
	assert_int_equal(bpf_eval(f.insns, f.count, &x32).answer, ERRNO(ENOSYS));
	filter_free(&f);
	f = compile_ok(*state, deny_new, 0, 0); /* the library does not know the name: no entry may be open */
	i386.nr = 467;
	x32.nr = 467 | 0x40000000;
	assert_int_equal(ask(&f, 467, 0, 0, 0), ERRNO(EPERM));
	assert_int_equal(bpf_eval(f.insns, f.count, &i386).answer, ERRNO(EPERM));
	assert_int_equal(bpf_eval(f.insns, f.count, &x32).answer, ERRNO(EPERM));
	filter_free(&f);
#else
	skip();
#endif
}

static void refused(const struct fixture *f, const char *text, const char *reason)
{
	struct filter out = { 0 };
	struct azm_err err = { 0 };

	if (compile_text(f, text, -1, 0, 0, &out, &err) == 0)
		fail_msg("accepted: %s", text);
	if (!strstr(err.reason, reason))
		fail_msg("%s: expected a reason with \"%s\", got \"%s\"", text, reason, err.reason);
	assert_null(out.insns);
}

static void bad_profiles_are_refused_with_the_entry_named(void **state)
{
	static const struct {
		const char *defaults, *entries, *reason;
	} cases[] = {
		{ "ERRNO", "{\"names\":[\"read\"],\"action\":\"ALLOW\"}", "syscalls[0]: unknown action \"ALLOW\"" },
		{ "ERRNO", "{\"names\":[\"read\"]}", "syscalls[0]: \"action\" is missing" },
		{ "ERRNO", "{\"action\":\"SCMP_ACT_ALLOW\"}", "syscalls[0]: \"names\" is missing" },
		{ "ERRNO", "{\"names\":[7],\"action\":\"SCMP_ACT_ALLOW\"}", "names[0] is not a string" },
		{ "ERRNO", "7", "syscalls[0]: not an object" },
		{ "ERRNO", "{\"names\":[\"read\"],\"action\":\"SCMP_ACT_NOTIFY\"}", "listener" },
		{ "ERRNO", "{\"names\":[\"read\"],\"action\":\"SCMP_ACT_ERRNO\",\"errnoRet\":5000}", "not an errno" },
		{ "ERRNO", "{\"names\":[\"read\"],\"action\":\"SCMP_ACT_ALLOW\",\"args\":[{\"op\":\"SCMP_CMP_EQ\"}]}",
			"no \"index\"" },
		{ "ERRNO",
			"{\"names\":[\"read\"],\"action\":\"SCMP_ACT_ALLOW\",\"args\":[{\"index\":6,\"op\":\"SCMP_CMP_"
			"EQ\"}]}",
			"no argument 6" },
		{ "ERRNO",
			"{\"names\":[\"read\"],\"action\":\"SCMP_ACT_ALLOW\",\"args\":[{\"index\":0,\"op\":\"EQ\"}]}",
			"unknown comparison \"EQ\"" },
		{ "ERRNO",
			"{\"names\":[\"read\"],\"action\":\"SCMP_ACT_ALLOW\",\"args\":[{\"index\":0,\"op\":\"SCMP_CMP_"
			"EQ\"},"
			"{\"index\":0,\"value\":1,\"op\":\"SCMP_CMP_NE\"}]}",
			"two conditions on argument 0" },
		{ "ERRNO",
			"{\"names\":[\"socket\"],\"action\":\"SCMP_ACT_ALLOW\",\"args\":[{\"index\":0,\"value\":"
			"4294967336,"
			"\"op\":\"SCMP_CMP_EQ\"}]}",
			"0x100000028 does not fit" },
		{ "ERRNO", "{\"names\":[\"read\"],\"action\":\"SCMP_ACT_ALLOW\",\"includes\":{\"caps\":[\"CAP_FOO\"]}}",
			"unknown capability \"CAP_FOO\"" },
		{ "ERRNO", "{\"names\":[\"read\"],\"action\":\"SCMP_ACT_ALLOW\",\"includes\":{\"minKernel\":\"new\"}}",
			"minKernel" },
		{ "ERRNO", "{\"names\":[\"read\"],\"action\":\"SCMP_ACT_ALLOW\",\"includes\":[]}", "wrong type" },
		{ "ALLOW", "{\"names\":[\"moutn\"],\"action\":\"SCMP_ACT_ERRNO\"}",
			"unknown system call \"moutn\" cannot be denied" },
		{ "ERRNO",
			"{\"names\":[\"clone\"],\"action\":\"SCMP_ACT_ERRNO\",\"args\":[{\"index\":0,\"value\":"
			"268435456,"
			"\"valueTwo\":268435456,\"op\":\"SCMP_CMP_MASKED_EQ\"}]},"
			"{\"names\":[\"clone\"],\"action\":\"SCMP_ACT_ALLOW\"}",
			"syscalls[1]: clone: syscalls[0] has another action" },
		{ "ERRNO",
			"{\"names\":[\"clone\"],\"action\":\"SCMP_ACT_ALLOW\"},"
			"{\"names\":[\"clone\"],\"action\":\"SCMP_ACT_ERRNO\",\"args\":[{\"index\":0,\"value\":1,"
			"\"op\":\"SCMP_CMP_GT\"}]}",
			"syscalls[1]: clone: syscalls[0] has another action" },
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		cleanup_free char *text = xasprintf(
			"{\"defaultAction\":\"SCMP_ACT_%s\",\"syscalls\":[%s]}", cases[i].defaults, cases[i].entries);
		refused(*state, text, cases[i].reason);
	}
	refused(*state, "{", "line 1");
	refused(*state, "[]", "no JSON object");
	refused(*state, "{}", "\"defaultAction\" is missing");
	refused(*state, "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"defaultAction\":\"SCMP_ACT_ALLOW\"}", "duplicate");
	refused(*state, "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"flags\":[\"SECCOMP_FILTER_FLAG_NEW_LISTENER\"]}",
		"flags[0]");
	refused(*state, "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":{}}", "wrong type");
	refused(*state, "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"architectures\":[\"SCMP_ARCH_X86\"],\"archMap\":[{}]}",
		"not both");
}

static void a_profile_without_an_entry_is_its_default(void **state)
{
	struct filter f = compile_ok(*state, "{\"defaultAction\":\"SCMP_ACT_ALLOW\"}", 0, 0);

	assert_int_equal(ask(&f, SYS_exit, 0, 0, 0), ALLOW);
	assert_int_equal(ask(&f, SYS_keyctl, 0, 0, 0), ALLOW);
	filter_free(&f);
	f = compile_ok(*state, "{\"defaultAction\":\"SCMP_ACT_ERRNO\"}", 0, 0);
	assert_int_equal(ask(&f, SYS_exit, 0, 0, 0), ERRNO(EPERM));
	filter_free(&f);
}

/* Which call that is depends on the library of the release the program is built on. */
static void arguments_of_calls_newer_than_libseccomp_are_refused(void **state)
{
	for (const struct syscall_row *row = syscall_table; row < syscall_table + syscall_table_count; row++) {
		if (row->number[ARCH_X86_64] < 0 || row->number[ARCH_AARCH64] < 0 ||
			seccomp_syscall_resolve_name(row->name) != __NR_SCMP_ERROR)
			continue;
		cleanup_free char *text = xasprintf(
			"{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"%s\"],"
			"\"action\":\"SCMP_ACT_ERRNO\",\"args\":[{\"index\":2,\"value\":1,\"op\":\"SCMP_CMP_EQ\"}]}]}",
			row->name);
		refused(*state, text, "newer than libseccomp");
		return;
	}
	skip(); /* it knows the whole table */
}

static void files_that_are_no_profile_are_refused(void **state)
{
	struct fixture *f = *state;
	struct filter out = { 0 };
	struct azm_err err = { 0 };
	cleanup_free char *path = xasprintf("%s/fifo", f->dir);
	cleanup_free char *huge = xcalloc(1, (1 << 20) + 2);

	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(filter_from_profile(path, -1, 0, 0, &out, &err), -1); /* and does not hang */
	assert_non_null(strstr(err.reason, "not a regular file"));
	assert_int_equal(filter_from_profile(f->dir, -1, 0, 0, &out, &err), -1);
	assert_int_equal(filter_from_profile("/nonexistent", -1, 0, 0, &out, &err), -1);
	assert_int_equal(err.code, ENOENT);
	memset(huge, ' ', (1 << 20) + 1);
	assert_int_equal(compile_text(f, huge, -1, 0, 0, &out, &err), -1);
	assert_int_equal(err.code, EFBIG);
}

static void a_profile_that_explodes_is_refused_in_time(void **state)
{
	struct fixture *f = *state;
	struct filter out = { 0 };
	struct azm_err err = { 0 };
	static const char part[] = "{\"index\":%d,\"value\":1431655765,\"op\":\"SCMP_CMP_NE\"}%s";
	char args[512] = "";

	for (int i = 0; i < 5; i++)
		snprintf(args + strlen(args), sizeof args - strlen(args), part, i, i < 4 ? "," : "");
	cleanup_free char *text = xasprintf("{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":"
					    "[\"prctl\",\"fsconfig\",\"clone\",\"renameat2\"],"
					    "\"action\":\"SCMP_ACT_ERRNO\",\"args\":[%s]}]}",
		args);
	assert_int_equal(compile_text(f, text, -1, 0, 0, &out, &err), -1);
	assert_int_equal(err.code, EINVAL);
}

static void the_kernel_takes_a_compiled_profile(void **state)
{
	struct filter f = compile_ok(*state, docker_style, FILTER_EMULATE_ROOT, 0);
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		struct azm_err err = { 0 };
		if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || filter_install(&f, false, &err) < 0)
			_exit(1);
		_exit(chown("/nonexistent", 0, 0) == 0 && syscall(SYS_socket, 1ull << 32 | 40, 1, 0) == -1 &&
					errno == EPERM
				? 0
				: 2);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	filter_free(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_docker_profile_means_what_it_says),
		TEST(capabilities_decide_includes_and_excludes),
		TEST(wide_arguments_find_no_hole),
		TEST(every_operator_compares_the_low_word),
		TEST(conditions_on_two_arguments_must_both_hold),
		TEST(of_two_unconditional_entries_the_first_counts),
		TEST(root_emulation_lies_over_the_profile),
		TEST(other_architectures_are_as_the_profile_lists_them),
		TEST(bad_profiles_are_refused_with_the_entry_named),
		TEST(a_profile_without_an_entry_is_its_default),
		TEST(arguments_of_calls_newer_than_libseccomp_are_refused),
		TEST(files_that_are_no_profile_are_refused),
		TEST(a_profile_that_explodes_is_refused_in_time),
		TEST(the_kernel_takes_a_compiled_profile),
	};

	return cmocka_run_group_tests_name("seccomp profiles", tests, NULL, NULL);
}
