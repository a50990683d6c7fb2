// SPDX-License-Identifier: GPL-2.0-or-later
/* seccomp/compile.c: build-time tool, writes seccomp_filters.h from the table.
 *
 * Theory of operation
 *
 * For every system call number a rule is built; neighbours with equal rules become one range; the ranges become a
 * binary search tree whose leaves are the rules. 470 calls are about 120 ranges, so a filter has some 300 instructions
 * and a decision takes seven comparisons. libseccomp, which keeps a leaf per call, needs four times as many, does not
 * know the newest names, and cannot express "answer EPERM if, else allow" over several arguments; it compiles the
 * custom profiles (profile.c) and checks our numbers in the unit test. Plain ranges also settle two questions for free:
 * x32 calls (number | 0x40000000) and calls newer than the table lie behind the last range and get ENOSYS.
 *
 * Number -1 is allowed: it is how a tracer (PRoot, gdb) cancels a call it has answered itself. The kernel does nothing.
 *
 * Programs that come out equal are written once (FILTER_LOG changes none of them).
 */
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "seccomp/rows.h"
#include "seccomp/rules.h"
#include "seccomp/seccomp.h"

enum { RANGES_MAX = SYSCALL_NUMBER_LIMIT + 2, PROGRAM_MAX = BPF_MAXINSNS, SHARED_MAX = 64 };

/* How far back a conditional jump is made to reach: 255, less two steps that may come in between. */
enum { JUMP_REACH = 253 };

struct range {
	uint32_t first; /* up to the next range's */
	struct rule rule;
};

/* Written from its end, so that every jump goes to a place that is known. A place is the number of instructions from
 * there to the end. */
struct program {
	struct sock_filter insns[PROGRAM_MAX]; /* the last @count are in use */
	size_t count;
	struct {
		struct rule rule;
		size_t place;
	} shared[SHARED_MAX]; /* rules that several leaves have in common */
	size_t shared_count;
};

/* What the program that is being made answers. */
struct answers {
	struct rule (*listed)(const struct syscall_row *row, unsigned flags);
	unsigned flags;
	struct rule unlisted;
	struct rule cancelled; /* number -1 */
};

static size_t emit(struct program *p, struct sock_filter insn)
{
	if (p->count == PROGRAM_MAX) {
		fprintf(stderr, "seccomp-compile: a filter is longer than %d instructions\n", PROGRAM_MAX);
		exit(1);
	}
	p->insns[PROGRAM_MAX - ++p->count] = insn;
	return p->count;
}

static size_t emit_load(struct program *p, size_t offset)
{
	return emit(p, (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset));
}

/* A place that a conditional jump made next reaches: @place itself, or a long jump to it. */
static size_t within_reach(struct program *p, size_t place)
{
	uint32_t distance = (uint32_t)(p->count - place);

	return distance <= JUMP_REACH ? place : emit(p, (struct sock_filter)BPF_STMT(BPF_JMP | BPF_JA, distance));
}

static size_t emit_branch(struct program *p, uint16_t comparison, uint32_t value, size_t met, size_t not_met)
{
	met = within_reach(p, met);
	not_met = within_reach(p, not_met);
	return emit(p, (struct sock_filter)BPF_JUMP((uint16_t)(BPF_JMP | comparison | BPF_K), value,
			       (uint8_t)(p->count - met), (uint8_t)(p->count - not_met)));
}

/* Leaves share what another one within reach has written already: most are one instruction, of few kinds. */
static size_t emit_rule(struct program *p, const struct rule *rule)
{
	size_t i = 0;

	while (i < p->shared_count && !rule_equal(&p->shared[i].rule, rule))
		i++;
	if (i < p->shared_count && p->count - p->shared[i].place <= JUMP_REACH)
		return p->shared[i].place;
	if (i == SHARED_MAX)
		abort(); /* on the build machine: more kinds of answers than anybody can review */
	for (size_t n = rule->count; n-- > 0;) {
		struct sock_filter insn = rule->insns[n];
		if (memcmp(&insn, &RULE_CONTINUE, sizeof insn) == 0)
			insn.k = (uint32_t)p->count; /* over all there is behind it */
		emit(p, insn);
	}
	p->shared[i].rule = *rule;
	p->shared[i].place = p->count;
	p->shared_count += i == p->shared_count;
	return p->count;
}

static size_t emit_tree(struct program *p, const struct range *ranges, size_t count)
{
	if (count == 1)
		return emit_rule(p, &ranges->rule);
	const struct range *middle = ranges + count / 2;
	size_t right = emit_tree(p, middle, count - count / 2);
	size_t left = emit_tree(p, ranges, count / 2);

	return emit_branch(p, BPF_JGE, middle->first, right, left);
}

static void add_range(struct range *ranges, size_t *count, uint32_t first, const struct rule *rule)
{
	if (*count && rule_equal(&ranges[*count - 1].rule, rule))
		return;
	ranges[(*count)++] = (struct range){ first, *rule };
}

/* The part of a program that decides one architecture's calls. */
static size_t emit_arch(struct program *p, enum table_arch arch, const struct answers *answers)
{
	static struct rule by_number[SYSCALL_NUMBER_LIMIT];
	static struct range ranges[RANGES_MAX];
	size_t count = 0;

	for (size_t n = 0; n < SYSCALL_NUMBER_LIMIT; n++)
		by_number[n] = answers->unlisted;
	for (size_t i = 0; i < syscall_table_count; i++)
		if (syscall_table[i].number[arch] >= 0)
			by_number[syscall_table[i].number[arch]] = answers->listed(&syscall_table[i], answers->flags);
	for (uint32_t n = 0; n < SYSCALL_NUMBER_LIMIT; n++)
		add_range(ranges, &count, n, &by_number[n]);
	add_range(ranges, &count, SYSCALL_NUMBER_LIMIT, &answers->unlisted);
	add_range(ranges, &count, 0xffffffff, &answers->cancelled);

	emit_tree(p, ranges, count);
	return emit_load(p, offsetof(struct seccomp_data, nr));
}

/* A whole program: @archs are tried in turn; calls of any other architecture are unlisted. */
static void emit_program(
	struct program *p, const enum table_arch *archs, size_t arch_count, const struct answers *answers)
{
	static const uint32_t audit[ARCH_COUNT] = { AUDIT_ARCH_X86_64, AUDIT_ARCH_AARCH64, AUDIT_ARCH_I386 };

	p->count = 0;
	p->shared_count = 0;
	size_t otherwise = emit_rule(p, &answers->unlisted);
	for (size_t i = arch_count; i-- > 0;) {
		size_t entry = emit_arch(p, archs[i], answers);
		otherwise = emit_branch(p, BPF_JEQ, audit[archs[i]], entry, otherwise);
	}
	emit_load(p, offsetof(struct seccomp_data, arch));
}

static const struct sock_filter *first_insn(const struct program *p)
{
	return p->insns + PROGRAM_MAX - p->count;
}

static bool same_program(const struct program *a, const struct program *b)
{
	return a->count == b->count && memcmp(first_insn(a), first_insn(b), a->count * sizeof a->insns[0]) == 0;
}

static void write_program(const char *name, const struct program *p)
{
	printf("static const struct sock_filter %s[] = {\n", name);
	for (size_t i = 0; i < p->count; i++) {
		const struct sock_filter *f = first_insn(p) + i;
		printf("%s{%u,%u,%u,%u},%s", i % 8 ? "" : "\t", f->code, f->jt, f->jf, f->k,
			i % 8 == 7 || i + 1 == p->count ? "\n" : " ");
	}
	printf("};\n");
}

static struct rule sandbox_rule(const struct syscall_row *row, unsigned flags)
{
	return rule_build(row->treatment, flags);
}

static struct rule emulation_rule(const struct syscall_row *row, unsigned flags)
{
	(void)flags;
	return rule_emulate(row->treatment);
}

static struct rule supervisor_rule(const struct syscall_row *row, unsigned flags)
{
#define SUPERVISOR(name, rule, reason) { #name, SUPERVISOR_##rule },
	static const struct {
		const char *name;
		enum supervisor_rule rule;
	} listed[] = {
#include "seccomp/table_supervisor.h"
	};

	(void)flags;
	for (size_t i = 0; i < sizeof listed / sizeof listed[0]; i++)
		if (strcmp(listed[i].name, row->name) == 0)
			return rule_supervisor(listed[i].rule);
	return rule_answer(EPERM);
}

static void write_sandbox_filters(const char *arch_name, enum table_arch arch)
{
	static struct program programs[FILTER_COMBINATIONS];
	unsigned same_as[FILTER_COMBINATIONS];
	struct answers answers = {
		.listed = sandbox_rule,
		.unlisted = rule_answer(ENOSYS),
		.cancelled = rule_answer(ANSWER_ALLOW),
	};

	for (unsigned flags = 0; flags < FILTER_COMBINATIONS; flags++) {
		const enum table_arch archs[] = { arch, ARCH_I386 };
		struct program *p = &programs[flags];
		char name[64];

		answers.flags = flags;
		emit_program(p, archs, arch == ARCH_X86_64 && flags & FILTER_COMPAT32 ? 2 : 1, &answers);
		same_as[flags] = 0;
		while (!same_program(p, &programs[same_as[flags]]))
			same_as[flags]++;
		if (same_as[flags] != flags)
			continue;
		snprintf(name, sizeof name, "sandbox_%s_%u", arch_name, flags);
		write_program(name, p);
	}
	printf("static const struct filter sandbox_filters_%s[] = {\n", arch_name);
	for (unsigned flags = 0; flags < FILTER_COMBINATIONS; flags++)
		printf("\t{ sandbox_%s_%u, %zu, false },\n", arch_name, same_as[flags], programs[flags].count);
	printf("};\n");
}

static void write_single(const char *kind, const char *arch_name, const struct program *p)
{
	char name[64];

	snprintf(name, sizeof name, "%s_%s", kind, arch_name);
	write_program(name, p);
	printf("static const struct filter %s_filter_%s = { %s, %zu, false };\n", kind, arch_name, name, p->count);
}

/* A custom profile may allow 32-bit programs, so the layer knows their calls too. */
static void write_emulation(const char *arch_name, enum table_arch arch)
{
	static struct program p;
	const struct answers answers = {
		.listed = emulation_rule,
		.unlisted = rule_answer(ANSWER_CONTINUE),
		.cancelled = rule_answer(ANSWER_CONTINUE),
	};

	emit_program(&p, (const enum table_arch[]){ arch, ARCH_I386 }, arch == ARCH_X86_64 ? 2 : 1, &answers);
	write_single("emulation", arch_name, &p);
}

static void write_supervisor(const char *arch_name, enum table_arch arch)
{
	static struct program p;
	const struct answers answers = {
		.listed = supervisor_rule,
		.unlisted = rule_answer(EPERM),
		.cancelled = rule_answer(EPERM),
	};

	emit_program(&p, &arch, 1, &answers);
	write_single("supervisor", arch_name, &p);
}

int main(void)
{
	static const struct {
		const char *name;
		enum table_arch arch;
	} targets[] = { { "x86_64", ARCH_X86_64 }, { "aarch64", ARCH_AARCH64 } };

	printf("/* Generated from seccomp/table.h by seccomp/compile.c. */\n#include \"seccomp/seccomp.h\"\n");
	for (size_t i = 0; i < sizeof targets / sizeof targets[0]; i++) {
		printf("#if defined(__%s__) || defined(SECCOMP_ALL_FILTERS)\n", targets[i].name);
		write_sandbox_filters(targets[i].name, targets[i].arch);
		write_emulation(targets[i].name, targets[i].arch);
		write_supervisor(targets[i].name, targets[i].arch);
		printf("#endif\n");
	}
	return ferror(stdout) || fflush(stdout) ? 1 : 0;
}
