// SPDX-License-Identifier: GPL-2.0-or-later
/* tests/security/syscall_matrix.c: make every system call for real and see who answers.
 *
 *     syscall-matrix                  print NAME NUMBER ANSWER for everything
 *     syscall-matrix --check FLAGS    compare with the table (FLAGS as with-filter's); print what differs, exit 1
 *
 * Runs inside a sandbox or under with-filter; static. Every number from 0 to 600 through each of the three entries
 * (native; x32: number | 0x40000000; i386: int 0x80), and the calls whose arguments are judged with interesting ones,
 * with and without bits above the 32 that the kernel reads. Each call happens in a child of its own, with arguments
 * (all bits set: a bad descriptor, a bad pointer, unknown flags) that make an allowed call fail in the kernel without
 * effect.
 *
 * ANSWER is an errno name, `ok` with the value, or how the child ended: exited, blocked, or a signal. A denial answers
 * before any argument is looked at, so EPERM or ENOSYS on an allowed row is a difference, except where the kernel
 * itself says so to these arguments (lists below).
 */
#include <errno.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/names.h"
#include "tests/security/expected.h"
#include "tests/security/filter_flags.h"

enum { HIGHEST = 600, X32_BIT = 0x40000000 };
enum entry { ENTRY_NATIVE, ENTRY_X32, ENTRY_I386 };
static const char *const entry_prefix[] = { "", "x32:", "i386:" };

#if defined(__x86_64__)
enum { NATIVE = ARCH_X86_64 };
#else
enum { NATIVE = ARCH_AARCH64 };
#endif

struct call {
	enum entry entry;
	uint32_t number;
	uint64_t args[6];
};

struct outcome {
	enum { RETURNED, EXITED, BLOCKED, SIGNALLED } how;
	long value; /* what the call returned, or the signal */
};

struct matrix {
	bool check;
	unsigned flags;
	unsigned calls, differences;
	struct report {
		bool returned;
		long value;
	} * report; /* shared with the children */
};

#if defined(__x86_64__)
[[gnu::always_inline]] static inline long enter(const struct call *c)
{
	long result = (long)(c->number | (c->entry == ENTRY_X32 ? X32_BIT : 0));

	if (c->entry == ENTRY_I386) {
		register uint64_t a6 __asm__("r12") = (uint32_t)c->args[5];
		__asm__ volatile("xchg %%rbp, %%r12\n\tint $0x80\n\txchg %%rbp, %%r12"
				 : "+a"(result), "+r"(a6)
				 : "b"((uint32_t)c->args[0]), "c"((uint32_t)c->args[1]), "d"((uint32_t)c->args[2]),
				 "S"((uint32_t)c->args[3]), "D"((uint32_t)c->args[4])
				 : "r8", "r9", "r10", "r11", "memory");
		return (int)result;
	}
	register uint64_t r10 __asm__("r10") = c->args[3];
	register uint64_t r8 __asm__("r8") = c->args[4];
	register uint64_t r9 __asm__("r9") = c->args[5];
	__asm__ volatile("syscall"
			 : "+a"(result)
			 : "D"(c->args[0]), "S"(c->args[1]), "d"(c->args[2]), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return result;
}
#else
[[gnu::always_inline]] static inline long enter(const struct call *c)
{
	register uint64_t x8 __asm__("x8") = c->number;
	register uint64_t x0 __asm__("x0") = c->args[0];
	register uint64_t x1 __asm__("x1") = c->args[1];
	register uint64_t x2 __asm__("x2") = c->args[2];
	register uint64_t x3 __asm__("x3") = c->args[3];
	register uint64_t x4 __asm__("x4") = c->args[4];
	register uint64_t x5 __asm__("x5") = c->args[5];

	__asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
	return (long)x0;
}
#endif

/* The call and what follows it touch no stack frame but this one, because a vfork()ed child returns here first. */
[[gnu::noreturn]] static void make_call(struct report *report, const struct call *c)
{
	static struct call self = { .number = SYS_getpid }, leave = { .number = SYS_exit_group };
	pid_t me = getpid();
	long result = enter(c);

	if (enter(&self) == me) { /* else a process that the call made */
		report->value = result;
		report->returned = true;
	}
	enter(&leave);
	__builtin_trap();
}

/* @seconds: what takes longer is taken for a call that waits. */
static struct outcome run_call(struct matrix *m, const struct call *c, time_t seconds)
{
	const struct timespec deadline = { .tv_sec = seconds };
	sigset_t child_ends;
	int status;

	m->report->returned = false;
	sigemptyset(&child_ends);
	sigaddset(&child_ends, SIGCHLD);
	sigprocmask(SIG_BLOCK, &child_ends, NULL);
	pid_t pid = fork();
	if (pid < 0) {
		perror("syscall-matrix: fork");
		exit(2);
	}
	if (pid == 0) {
		if (c->entry == ENTRY_NATIVE && c->number == SYS_vhangup)
			setsid(); /* allowed by mistake, it would hang up the terminal of who runs us */
		make_call(m->report, c);
	}
	while (waitpid(pid, &status, WNOHANG) == 0)
		if (sigtimedwait(&child_ends, NULL, &deadline) < 0 && errno == EAGAIN) {
			kill(pid, SIGKILL);
			waitpid(pid, &status, 0);
			return (struct outcome){ BLOCKED, 0 };
		}
	if (m->report->returned)
		return (struct outcome){ RETURNED, m->report->value };
	return WIFSIGNALED(status) ? (struct outcome){ SIGNALLED, WTERMSIG(status) } : (struct outcome){ EXITED, 0 };
}

static bool listed(const char *name, const char *const *names)
{
	while (*names && strcmp(*names, name) != 0)
		names++;
	return *names;
}

/* Calls that a kernel may be built or booted without, or that answer ENOSYS to unknown operations. */
static const char *const kernel_lacks[] = { "set_thread_area", "get_thread_area", "memfd_secret", "map_shadow_stack",
	"uretprobe", "uprobe", "rseq", "rseq_slice_yield", "cachestat", "landlock_create_ruleset", "landlock_add_rule",
	"landlock_restrict_self", "pkey_alloc", "pkey_free", "pkey_mprotect", "mbind", "get_mempolicy", "set_mempolicy",
	"set_mempolicy_home_node", "process_vm_readv", "process_vm_writev", "process_madvise", "process_mrelease",
	"kcmp", "sgetmask", "ssetmask", "modify_ldt", "futex_waitv", "fchmodat2", "futex_wake", "futex_wait",
	"futex_requeue", "statmount", "listmount", "mseal", "setxattrat", "getxattrat", "listxattrat", "removexattrat",
	"arch_prctl", "remap_file_pages", "membarrier", "epoll_pwait2", NULL };

/* Treatments under which an allowed call still needs a privilege that the caller may not have. */
static bool kernel_may_refuse(const struct syscall_row *row)
{
	switch (row->treatment) {
	case TREAT_NAMESPACE:
	case TREAT_HIDDEN:
	case TREAT_CLONE:
	case TREAT_IDENTITY:
		return true;
	default:
		return false;
	}
}

static bool as_expected(const struct matrix *m, const struct call *c, const struct outcome *o)
{
	enum table_arch arch = c->entry == ENTRY_I386 ? ARCH_I386 : NATIVE;
	int want = c->entry == ENTRY_X32 ? ENOSYS : expected_answer(arch, c->number, c->args, m->flags);
	const struct syscall_row *row = expected_row(arch, c->number);

	if (o->how == SIGNALLED && o->value == SIGSYS)
		return false;
	if (want >= 0)
		return o->how == RETURNED && o->value == -want;
	if (o->how != RETURNED)
		return true;
	return o->value == -EPERM    ? kernel_may_refuse(row)
	       : o->value == -ENOSYS ? listed(row->name, kernel_lacks)
				     : true;
}

static void print_outcome(const struct outcome *o)
{
	switch (o->how) {
	case RETURNED:
		if (o->value < 0 && o->value > -4096 && errno_name((int)-o->value))
			printf(" %s\n", errno_name((int)-o->value));
		else
			printf(" ok(%ld)\n", o->value);
		break;
	case EXITED:
		printf(" exited\n");
		break;
	case BLOCKED:
		printf(" blocked\n");
		break;
	case SIGNALLED:
		printf(" SIG%s\n", signal_name((int)o->value) ? signal_name((int)o->value) : "?");
		break;
	}
}

/* Make one call; print it when asked for everything or when it differs. @shown: how many arguments to print. */
static void try_call(struct matrix *m, const struct call *c, unsigned shown)
{
	const struct syscall_row *row = expected_row(c->entry == ENTRY_I386 ? ARCH_I386 : NATIVE, c->number);
	struct outcome o = run_call(m, c, 1);
	bool differs = m->check && !as_expected(m, c, &o);
	if (differs && o.how == BLOCKED) { /* unless this host was asleep */
		o = run_call(m, c, 30);
		differs = !as_expected(m, c, &o);
	}

	m->calls++;
	m->differences += differs;
	if (m->check && !differs)
		return;
	printf("%s%s%s", differs ? "differs: " : "", entry_prefix[c->entry], row ? row->name : "unknown");
	for (unsigned i = 0; i < shown; i++)
		printf("%s%#llx%s", i ? "," : "(", (unsigned long long)c->args[i], i + 1 == shown ? ")" : "");
	printf(" %u", c->number | (c->entry == ENTRY_X32 ? X32_BIT : 0));
	print_outcome(&o);
}

/* Arguments for calls that would do something with all bits set, or be refused by the kernel itself. */
static void choose_arguments(struct call *c, const struct syscall_row *row)
{
	static const struct {
		const char *name;
		uint64_t args[3];
	} special[] = { { "msgget", { 0x41, 0, 0 } }, { "futex", { 1, 1, 1 } }, { "futex_time64", { 1, 1, 1 } },
		{ "nice", { 0, 0, 0 } }, { "brk", { 0, 0, 0 } }, { "modify_ldt", { 0, 0, 0 } },
		{ "ipc", { 11, 0, 0 } } };

	memset(c->args, 0xff, sizeof c->args);
	for (size_t i = 0; row && i < sizeof special / sizeof special[0]; i++)
		if (strcmp(special[i].name, row->name) == 0)
			memcpy(c->args, special[i].args, sizeof special[i].args);
}

static void try_every_number(struct matrix *m, enum entry entry)
{
	for (uint32_t n = 0; n <= HIGHEST; n++) {
		struct call c = { .entry = entry, .number = n };
		choose_arguments(&c, expected_row(entry == ENTRY_I386 ? ARCH_I386 : NATIVE, n));
		try_call(m, &c, 0);
	}
}

/* One call with given leading arguments, also with each of them carrying bits the kernel does not read. */
static void try_arguments(struct matrix *m, const char *name, unsigned count, ...)
{
	const struct syscall_row *row = syscall_row_by_name(name);
	struct call c = { .entry = ENTRY_NATIVE };
	va_list list;

	if (row->number[NATIVE] < 0)
		return;
	c.number = (uint32_t)row->number[NATIVE];
	memset(c.args, 0xff, sizeof c.args);
	va_start(list, count);
	for (unsigned i = 0; i < count; i++)
		c.args[i] = va_arg(list, uint64_t);
	va_end(list);
	try_call(m, &c, count);
	for (unsigned i = 0; i < count; i++) {
		const uint64_t plain = c.args[i];
		if (plain >> 32)
			continue; /* a pointer */
		c.args[i] = plain | 1ull << 32;
		try_call(m, &c, count);
		c.args[i] = plain | 0xffffffffull << 32;
		try_call(m, &c, count);
		c.args[i] = plain;
	}
}

#define BAD UINT64_MAX /* a pointer to nowhere, a closed descriptor */

static void try_sockets(struct matrix *m)
{
	static const uint64_t inet_protocols[] = { 0, 6, 17, 33, 132, 262 };

	for (uint64_t family = 0; family < 48; family++) {
		try_arguments(m, "socket", 3, family, (uint64_t)1, (uint64_t)0);
		try_arguments(m, "socketpair", 3, family, (uint64_t)1, (uint64_t)0);
	}
	for (uint64_t protocol = 0; protocol < 24; protocol++)
		try_arguments(m, "socket", 3, (uint64_t)16, (uint64_t)3, protocol);
	for (size_t i = 0; i < sizeof inet_protocols / sizeof inet_protocols[0]; i++)
		try_arguments(m, "socket", 3, (uint64_t)2, (uint64_t)5, inet_protocols[i]);
	try_arguments(m, "socket", 3, (uint64_t)2, (uint64_t)10, (uint64_t)0); /* SOCK_PACKET */
}

static void try_namespaces(struct matrix *m)
{
	static const uint64_t flags[] = { 0x80, CLONE_NEWNS, CLONE_NEWCGROUP, CLONE_NEWUTS, CLONE_NEWIPC, CLONE_NEWUSER,
		CLONE_NEWPID, CLONE_NEWNET, CLONE_NEWUSER | CLONE_NEWNET };

	for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++) {
		struct clone_args how = { .flags = flags[i], .exit_signal = SIGCHLD };
		try_arguments(m, "unshare", 1, flags[i]);
		try_arguments(m, "setns", 2, BAD, flags[i]);
		try_arguments(m, "clone", 2, flags[i] | SIGCHLD, (uint64_t)0);
		try_arguments(m, "clone3", 2, (uint64_t)(uintptr_t)&how, (uint64_t)sizeof how);
	}
}

static void try_modes(struct matrix *m)
{
	static const uint64_t modes[] = { 0755, 02755, 04755, 06755, 01777 };
	static const uint64_t types[] = { 0, 0010000, 0020000, 0040000, 0060000, 0100000, 0140000 };

	for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
		try_arguments(m, "chmod", 2, BAD, modes[i]);
		try_arguments(m, "fchmod", 2, BAD, modes[i]);
		try_arguments(m, "fchmodat", 3, BAD, BAD, modes[i]);
		try_arguments(m, "fchmodat2", 4, BAD, BAD, modes[i], (uint64_t)0);
		try_arguments(m, "creat", 2, BAD, modes[i]);
		try_arguments(m, "open", 3, BAD, (uint64_t)0100, modes[i]);
		try_arguments(m, "open", 3, BAD, (uint64_t)0, modes[i]);
		try_arguments(m, "openat", 4, BAD, BAD, (uint64_t)0100, modes[i]);
		try_arguments(m, "openat", 4, BAD, BAD, (uint64_t)020200002, modes[i]);
		for (size_t t = 0; t < sizeof types / sizeof types[0]; t++) {
			try_arguments(m, "mknod", 3, BAD, types[t] | modes[i], (uint64_t)0x103);
			try_arguments(m, "mknodat", 4, BAD, BAD, types[t] | modes[i], (uint64_t)0x103);
		}
	}
	try_arguments(m, "mknod", 3, BAD, (uint64_t)0020000, (uint64_t)0);
}

static void try_controls(struct matrix *m)
{
	static const uint64_t options[] = { 1, 3, 15, 16, 21, 35, 39, 40 }; /* 35 is PR_SET_MM */
	static const uint64_t ioctls[] = { 0x5401, 0x5412, 0x541c, 0x541d, 0x5423, 0x541b };
	static const uint64_t personas[] = { 0, 8, 0x20000, 0x20008, 0x40000, 0x400000, 0x100000, 0xffffffff, 4,
		0x80000 };

	for (size_t i = 0; i < sizeof ioctls / sizeof ioctls[0]; i++)
		try_arguments(m, "ioctl", 2, BAD, ioctls[i]);
	for (size_t i = 0; i < sizeof personas / sizeof personas[0]; i++)
		try_arguments(m, "personality", 1, personas[i]);
	for (size_t i = 0; i < sizeof options / sizeof options[0]; i++)
		try_arguments(m, "prctl", 2, options[i], BAD);
}

/* Whether int 0x80 enters the kernel at all: it may be disabled at boot (ia32_emulation=off). */
static bool has_i386(struct matrix *m)
{
#if defined(__x86_64__)
	const struct call c = { .entry = ENTRY_I386, .number = 20 /* getpid */ };

	return run_call(m, &c, 1).how == RETURNED;
#else
	(void)m;
	return false;
#endif
}

int main(int argc, char **argv)
{
	struct matrix m = { 0 };

	m.check = argc == 3 && strcmp(argv[1], "--check") == 0;
	if (argc != 1 && !(m.check && filter_flags_parse(argv[2], &m.flags))) {
		fprintf(stderr, "usage: syscall-matrix [--check none|FLAG[,FLAG...]]\n");
		return 2;
	}
	m.report = mmap(NULL, sizeof *m.report, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (m.report == MAP_FAILED) {
		perror("syscall-matrix: mmap");
		return 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0); /* children must not inherit half a buffer */
	try_every_number(&m, ENTRY_NATIVE);
	try_sockets(&m);
	try_namespaces(&m);
	try_modes(&m);
	try_controls(&m);
#if defined(__x86_64__)
	try_every_number(&m, ENTRY_X32);
#endif
	if (has_i386(&m))
		try_every_number(&m, ENTRY_I386);
	else
		printf("i386 entry: not in this kernel\n");
	printf("%u calls, %u differences\n", m.calls, m.differences);
	return m.differences ? 1 : 0;
}
