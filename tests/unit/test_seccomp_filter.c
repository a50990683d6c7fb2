// SPDX-License-Identifier: GPL-2.0-or-later
/* tests/unit/test_seccomp_filter.c: the compiled filters answer what the table says, for every architecture, flag
 * combination, number and interesting argument, and the kernel accepts them.
 */
#define SECCOMP_ALL_FILTERS
#include <linux/audit.h>
#include <linux/capability.h>
#include <pthread.h>
#include <sched.h>
#include <seccomp.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "seccomp/builtin.h"
#include "seccomp_filters.h"
#include "tests/security/expected.h"
#include "tests/unit/bpf_eval.h"

static const struct arch_case {
	const char *name;
	enum table_arch arch;
	uint32_t audit, scmp;
	const struct filter *filters; /* NULL: judged by the filters of x86_64 */
} archs[] = {
	{ "x86_64", ARCH_X86_64, AUDIT_ARCH_X86_64, SCMP_ARCH_X86_64, sandbox_filters_x86_64 },
	{ "aarch64", ARCH_AARCH64, AUDIT_ARCH_AARCH64, SCMP_ARCH_AARCH64, sandbox_filters_aarch64 },
	{ "i386", ARCH_I386, AUDIT_ARCH_I386, SCMP_ARCH_X86, sandbox_filters_x86_64 },
};
enum { ARCH_CASES = sizeof archs / sizeof archs[0] };

static int as_errno(uint32_t answer)
{
	if (answer == SECCOMP_RET_ALLOW)
		return EXPECT_ALLOW;
	assert_int_equal(answer & SECCOMP_RET_ACTION_FULL, SECCOMP_RET_ERRNO);
	return (int)(answer & SECCOMP_RET_DATA);
}

static void check(const struct arch_case *a, unsigned flags, const struct seccomp_data *call)
{
	const struct filter *f = &a->filters[flags];
	struct bpf_run run = bpf_eval(f->insns, f->count, call);
	int want = expected_answer(a->arch, (uint32_t)call->nr, (const uint64_t *)call->args, flags);

	if (run.fell_behind || as_errno(run.answer) != want)
		fail_msg("%s nr %d flags %u args %llx %llx %llx %llx: answer %x, want %d", a->name, call->nr, flags,
			call->args[0], call->args[1], call->args[2], call->args[3], run.answer, want);
}

static void every_number_is_answered_as_the_table_says(void **state)
{
	static const uint32_t beyond[] = { 0x40000000, 0x40000000 + 59, 0x40000000 + 520, 0x7fffffff, 0x80000000,
		0xfffffffe, 0xffffffff };

	(void)state;
	for (size_t i = 0; i < ARCH_CASES; i++)
		for (unsigned flags = 0; flags < FILTER_COMBINATIONS; flags++) {
			struct seccomp_data call = { .arch = archs[i].audit };
			for (int n = 0; n < 1024; n++) {
				call.nr = n;
				check(&archs[i], flags, &call);
			}
			for (size_t b = 0; b < sizeof beyond / sizeof beyond[0]; b++) {
				call.nr = (int)beyond[b];
				check(&archs[i], flags, &call);
			}
		}
}

static void x32_calls_do_not_exist(void **state)
{
	(void)state;
	for (unsigned flags = 0; flags < FILTER_COMBINATIONS; flags++)
		for (int n = 0; n < 1024; n++) {
			struct seccomp_data call = { .arch = AUDIT_ARCH_X86_64, .nr = n | 0x40000000 };
			const struct filter *f = &sandbox_filters_x86_64[flags];
			assert_int_equal(as_errno(bpf_eval(f->insns, f->count, &call).answer), ENOSYS);
		}
}

static void foreign_architectures_do_not_exist(void **state)
{
	static const uint32_t foreign[] = { AUDIT_ARCH_ARM, AUDIT_ARCH_PPC64LE, AUDIT_ARCH_RISCV64, 0 };

	(void)state;
	for (size_t i = 0; i < 2; i++)
		for (unsigned flags = 0; flags < FILTER_COMBINATIONS; flags++)
			for (size_t a = 0; a < sizeof foreign / sizeof foreign[0]; a++)
				for (int n = 0; n < 512; n++) {
					struct seccomp_data call = { .arch = foreign[a], .nr = n };
					const struct filter *f = &archs[i].filters[flags];
					assert_int_equal(as_errno(bpf_eval(f->insns, f->count, &call).answer), ENOSYS);
				}
}

/* Values that some rule looks for, and their neighbours. */
static const uint32_t interesting[] = { 0, 1, 2, 3, 5, 8, 9, 10, 16, 17, 33, 35, 38, 40, 44, 132, 262, 0x80, 0x100,
	0x800, 0x5411, 0x5412, 0x541c, 0x541d, 0x5423, 0x20000, 0x20008, 0x40000, 0x60008, 0x400000, 0x2000000,
	0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000, 0x80000000, 0xffffffff, 0755, 02755, 04755, 06000,
	0100, 020200000, 0010644, 0020644, 0022644, 0060644, 0100644, 0104755, 0120777, 0140755, 0040755 };
enum { INTERESTING = sizeof interesting / sizeof interesting[0] };

static void check_arguments(const struct arch_case *a, const struct syscall_row *row, unsigned flags)
{
	static const uint64_t high[] = { 0, 1ull << 32 };
	struct seccomp_data call = { .arch = a->audit, .nr = row->number[a->arch] };

	for (size_t i = 0; i < (size_t)INTERESTING * INTERESTING; i++)
		for (size_t h = 0; h < sizeof high / sizeof high[0]; h++)
			for (size_t first = 0; first < 3; first++) {
				memset(call.args, 0, sizeof call.args);
				call.args[first] = interesting[i / INTERESTING] | high[h];
				call.args[first + 1] = interesting[i % INTERESTING] | high[h];
				check(a, flags, &call);
				call.args[0] = call.args[0] ? call.args[0] : 2; /* AF_INET with every type, protocol */
				check(a, flags, &call);
			}
}

static void arguments_are_judged_by_their_low_32_bits(void **state)
{
	static const unsigned modes[] = { 0, FILTER_EMULATE_ROOT, FILTER_NESTED, FILTER_COMPAT32, FILTER_SET_ID,
		FILTER_EMULATE_ROOT | FILTER_NESTED, FILTER_COMPAT32 | FILTER_SET_ID };

	(void)state;
	for (size_t i = 0; i < ARCH_CASES; i++)
		for (size_t r = 0; r < syscall_table_count; r++) {
			const struct syscall_row *row = &syscall_table[r];
			if (row->number[archs[i].arch] < 0 || row->treatment <= TREAT_HIDDEN)
				continue;
			for (size_t m = 0; m < sizeof modes / sizeof modes[0]; m++)
				check_arguments(&archs[i], row, modes[m]);
		}
}

static void allowed_rows_are_decided_without_arguments(void **state)
{
	(void)state;
	for (size_t i = 0; i < 2; i++)
		for (size_t r = 0; r < syscall_table_count; r++) {
			struct seccomp_data call = { .arch = archs[i].audit,
				.nr = syscall_table[r].number[archs[i].arch] };
			if (call.nr < 0 || syscall_table[r].treatment != TREAT_ALLOW)
				continue;
			for (unsigned flags = 0; flags < FILTER_COMBINATIONS; flags++) {
				const struct filter *f = &archs[i].filters[flags];
				assert_false(bpf_eval(f->insns, f->count, &call).saw_args);
			}
		}
}

static void a_decision_takes_few_steps(void **state)
{
	unsigned most = 0;

	(void)state;
	for (int n = 0; n < SYSCALL_NUMBER_LIMIT; n++) {
		struct seccomp_data call = { .arch = AUDIT_ARCH_X86_64, .nr = n };
		struct bpf_run run = bpf_eval(sandbox_filters_x86_64[0].insns, sandbox_filters_x86_64[0].count, &call);
		if (!run.saw_args && run.steps > most)
			most = run.steps;
	}
	assert_in_range(most, 1, 16);
}

static void numbers_agree_with_libseccomp(void **state)
{
	unsigned compared = 0;

	(void)state;
	for (size_t i = 0; i < ARCH_CASES; i++) {
		for (size_t r = 0; r < syscall_table_count; r++) {
			const struct syscall_row *row = &syscall_table[r];
			int number = seccomp_syscall_resolve_name_arch(archs[i].scmp, row->name);
			if (number < 0)
				continue; /* newer than the library, or a number it makes up: the loop below sees to it
					   */
			if (number != row->number[archs[i].arch])
				fail_msg("%s on %s is %d, the table has %d", row->name, archs[i].name, number,
					row->number[archs[i].arch]);
			compared++;
		}
		for (int n = 0; n < SYSCALL_NUMBER_LIMIT; n++) { /* and the table lacks none */
			char *name = seccomp_syscall_resolve_num_arch(archs[i].scmp, n);
			if (name && !expected_row(archs[i].arch, (uint32_t)n))
				fail_msg("%s (%d on %s) has no row", name, n, archs[i].name);
			free(name);
		}
	}
	assert_true(compared > 1000);
}

static void every_number_has_one_row_and_a_reason(void **state)
{
	(void)state;
	for (size_t r = 0; r < syscall_table_count; r++) {
		assert_true(syscall_table[r].reason[0]);
		for (size_t s = 0; s < r; s++) {
			assert_string_not_equal(syscall_table[r].name, syscall_table[s].name);
			for (size_t i = 0; i < ARCH_COUNT; i++)
				if (syscall_table[r].number[i] >= 0)
					assert_int_not_equal(syscall_table[r].number[i], syscall_table[s].number[i]);
		}
		for (size_t i = 0; i < ARCH_COUNT; i++)
			assert_in_range(syscall_table[r].number[i] + 1, 0, SYSCALL_NUMBER_LIMIT);
	}
}

static void the_emulation_layer_answers_its_calls_only(void **state)
{
	const struct filter layers[] = { emulation_filter_x86_64, emulation_filter_aarch64, emulation_filter_x86_64 };

	(void)state;
	for (size_t i = 0; i < ARCH_CASES; i++)
		for (int n = -1; n < 1024; n++)
			for (size_t m = 0; m < (size_t)INTERESTING * 2; m++) {
				struct seccomp_data call = { .arch = archs[i].audit, .nr = n };
				const struct syscall_row *row = expected_row(archs[i].arch, (uint32_t)n);
				call.args[1 + m % 2] = interesting[m / 2];
				struct bpf_run run = bpf_eval(layers[i].insns, layers[i].count, &call);
				bool fake = false;
				if (row && row->treatment == TREAT_IDENTITY)
					fake = true;
				if (row && (row->treatment == TREAT_MKNOD || row->treatment == TREAT_MKNODAT))
					fake = expected_mknod(
						       (uint32_t)call.args[row->treatment == TREAT_MKNOD ? 1 : 2], 1,
						       FILTER_EMULATE_ROOT) == 0;
				assert_int_equal(run.fell_behind, !fake);
				if (fake)
					assert_int_equal(run.answer, SECCOMP_RET_ERRNO);
			}
}

/* In a child, as an id without privilege when started by root: what body() returns is its exit status. */
static int in_child(int (*body)(void))
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		if (geteuid() == 0 && setresuid(61234, 61234, 61234) < 0)
			_exit(99);
		_exit(body());
	}
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int install_all_filters(void)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return 1;
	for (unsigned flags = 0; flags < FILTER_COMBINATIONS; flags++) {
		struct azm_err err = { 0 };
		struct filter f = filter_builtin(flags);
		if (filter_install(&f, flags & FILTER_LOG, &err) < 0)
			return 2;
	}
	return unshare(CLONE_NEWUSER) == -1 && errno == EPERM ? 0 : 3;
}

static void the_kernel_accepts_every_combination(void **state)
{
	(void)state;
	assert_int_equal(in_child(install_all_filters), 0);
}

static int install_without_no_new_privs(void)
{
	struct azm_err err = { 0 };
	struct filter f = filter_builtin(0), empty = { 0 };

	if (filter_install(&empty, false, &err) == 0 || err.code != EINVAL)
		return 1;
	if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1)
		return 0; /* set by who started the tests: nothing left to refuse */
	if (filter_install(&f, false, &err) == 0)
		return 2;
	return err.code == EACCES && strstr(err.hint, "no_new_privs") ? 0 : 3;
}

static void installation_fails_with_a_reason(void **state)
{
	(void)state;
	assert_int_equal(in_child(install_without_no_new_privs), 0);
}

static void *thread_body(void *result)
{
	*(int *)result = 7;
	return NULL;
}

static int act_as_supervisor(void)
{
	struct azm_err err = { 0 };
	struct filter f = filter_builtin_supervisor();
	pthread_t thread;
	int result = 0, pair[2];

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || filter_install(&f, false, &err) < 0)
		return 1;
	if (pthread_create(&thread, NULL, thread_body, &result) != 0 || pthread_join(thread, NULL) != 0 || result != 7)
		return 2;
	if (socket(AF_INET, SOCK_STREAM, 0) < 0 || socket(AF_NETLINK, SOCK_RAW, 4 /* sock_diag */) < 0)
		return 3;
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0 || write(pair[0], "x", 1) != 1)
		return 4;
	pid_t copy = fork();
	if (copy == 0)
		_exit(7);
	if (copy < 0 || waitpid(copy, &result, 0) != copy || WEXITSTATUS(result) != 7)
		return 5;
	if (syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0) != -1 || errno != EPERM)
		return 11;
	if (execl("/bin/true", "true", (char *)NULL) != -1 || errno != EPERM)
		return 6;
	if (mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED || errno != EPERM)
		return 7;
	if (socket(AF_ALG, SOCK_SEQPACKET, 0) != -1 || errno != EAFNOSUPPORT)
		return 8;
	if (syscall(SYS_ptrace, 0, 0, 0, 0) != -1 || errno != EPERM)
		return 9;
	cpu_set_t cpus;
	if (sched_getaffinity(0, sizeof cpus, &cpus) < 0 || sched_setaffinity(0, sizeof cpus, &cpus) < 0)
		return 12;
	if (sched_setaffinity(getpid(), sizeof cpus, &cpus) != -1 || errno != EPERM)
		return 13;
	return syscall(SYS_chown, "/", -1, -1) == -1 && errno == EPERM ? 0 : 10;
}

static void the_supervisor_keeps_copies_and_sockets_but_no_programs(void **state)
{
	(void)state;
	assert_int_equal(in_child(act_as_supervisor), 0);
}

static void every_row_of_the_supervisor_is_a_system_call(void **state)
{
#define SUPERVISOR(name, rule, reason) { #name, (reason) },
	static const char *const listed[][2] = {
#include "seccomp/table_supervisor.h"
	};

	(void)state;
	for (size_t i = 0; i < sizeof listed / sizeof listed[0]; i++) {
		if (!syscall_row_by_name(listed[i][0]))
			fail_msg("table_supervisor.h: no call is named %s", listed[i][0]);
		assert_true(listed[i][1][0]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_number_is_answered_as_the_table_says),
		cmocka_unit_test(x32_calls_do_not_exist),
		cmocka_unit_test(foreign_architectures_do_not_exist),
		cmocka_unit_test(arguments_are_judged_by_their_low_32_bits),
		cmocka_unit_test(allowed_rows_are_decided_without_arguments),
		cmocka_unit_test(a_decision_takes_few_steps),
		cmocka_unit_test(numbers_agree_with_libseccomp),
		cmocka_unit_test(every_number_has_one_row_and_a_reason),
		cmocka_unit_test(the_emulation_layer_answers_its_calls_only),
		cmocka_unit_test(the_kernel_accepts_every_combination),
		cmocka_unit_test(installation_fails_with_a_reason),
		cmocka_unit_test(the_supervisor_keeps_copies_and_sockets_but_no_programs),
		cmocka_unit_test(every_row_of_the_supervisor_is_a_system_call),
	};

	return cmocka_run_group_tests_name("seccomp filters", tests, NULL, NULL);
}
