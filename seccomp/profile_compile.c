// SPDX-License-Identifier: GPL-2.0-or-later
/* seccomp/profile_compile.c: see profile_compile.h.
 *
 * Theory of operation
 *
 * libseccomp turns the entries into a program; we see to what it would let slip.
 *
 * Arguments the kernel reads as 32 bits (the masks of table.h). libseccomp compares 64 bits, so "socket, argument 0 >
 * 40: allow" also allows 0x100000028, which the kernel takes for 40, AF_VSOCK. Such a condition is rewritten as masked
 * comparisons of the low word. There is only one kind of masked comparison, equality, but every set of 32-bit values
 * that the six operators can describe is a union of at most 32 aligned blocks, as a range of addresses is a list of
 * prefixes. So the rewritten rule means for every caller what the written one means for a caller that fills in 32 bits,
 * whether it allows or denies.
 *
 * Names newer than the library (the table knows them) become comparisons of the number in front of its program.
 *
 * Contradictions: of two unconditional entries for a call the first counts, as everywhere (Podman's profile relies on
 * it). Where a conditional and an unconditional one differ, libseccomp would keep the unconditional one, which
 * may drop a denial: an error here. So is a name nobody knows where leaving it out would allow the call.
 */
#include "seccomp/profile_compile.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/str.h"
#include "seccomp/builtin.h"
#include "seccomp/rows.h"

enum { BLOCKS_MAX = 32, RULES_MAX = 2000, EXTRAS_MAX = 32, FIRST_SHARED_NUMBER = 424 };

/* A condition on one argument: any of these masked comparisons. */
struct alternatives {
	unsigned arg;
	size_t count;
	struct scmp_arg_cmp any[BLOCKS_MAX];
};

/* What entries said about a name so far. */
struct named {
	const char *name;
	bool always, sometimes, sometimes_mixed;
	uint32_t always_action, sometimes_action;
	size_t position;
};

struct builder {
	const struct profile *profile;
	scmp_filter_ctx ctx;
	struct named *names;
	size_t name_count;
	struct {
		const struct syscall_row *row;
		uint32_t action;
	} extras[EXTRAS_MAX];
	size_t extra_count;
	size_t rules;
};

/* Cover the 32-bit values lo..hi with aligned blocks, the largest that fit, from below. */
static void add_blocks(struct alternatives *out, uint64_t lo, uint64_t hi)
{
	while (lo <= hi) {
		uint64_t size = 1;
		while (lo % (size * 2) == 0 && lo + size * 2 - 1 <= hi)
			size *= 2;
		out->any[out->count++] = (struct scmp_arg_cmp){
			.arg = out->arg, .op = SCMP_CMP_MASKED_EQ, .datum_a = UINT32_MAX & ~(size - 1), .datum_b = lo
		};
		lo += size;
	}
}

/* A value as the kernel sees it: 32 bits, or a negative one that was written with its sign extended. */
static int low_word(const struct builder *b, size_t position, uint64_t value, uint64_t *low, struct azm_err *err)
{
	uint64_t high = value >> 32;

	*low = value & UINT32_MAX;
	if (high && !(high == UINT32_MAX && *low >> 31))
		return profile_error(b->profile, position, err,
			"%#llx does not fit into the 32 bits that the kernel reads of this argument",
			(unsigned long long)value);
	return 0;
}

static int narrow_condition(const struct builder *b, size_t position, const struct profile_arg *arg,
	struct alternatives *out, struct azm_err *err)
{
	uint64_t v;

	if (arg->op == SCMP_CMP_MASKED_EQ) {
		uint64_t mask = arg->value & UINT32_MAX, rest = arg->value_two & UINT32_MAX;
		if (!(arg->value_two & ~arg->value)) /* else it never matches */
			out->any[out->count++] = (struct scmp_arg_cmp){ out->arg, SCMP_CMP_MASKED_EQ, mask, rest };
		return 0;
	}
	if (low_word(b, position, arg->value, &v, err) < 0)
		return -1;
	if (v > 0 && (arg->op == SCMP_CMP_NE || arg->op == SCMP_CMP_LT || arg->op == SCMP_CMP_LE))
		add_blocks(out, 0, v - 1);
	if (arg->op == SCMP_CMP_EQ || arg->op == SCMP_CMP_LE || arg->op == SCMP_CMP_GE)
		add_blocks(out, v, v);
	if (arg->op == SCMP_CMP_NE || arg->op == SCMP_CMP_GT || arg->op == SCMP_CMP_GE)
		add_blocks(out, v + 1, UINT32_MAX);
	return 0;
}

static int condition(const struct builder *b, size_t position, const struct syscall_row *row,
	const struct profile_arg *arg, struct alternatives *out, struct azm_err *err)
{
	*out = (struct alternatives){ .arg = arg->index };
	if (row && row->narrow >> arg->index & 1)
		return narrow_condition(b, position, arg, out, err);
	if (arg->op != SCMP_CMP_MASKED_EQ || !(arg->value_two & ~arg->value))
		out->any[out->count++] = (struct scmp_arg_cmp){ arg->index, arg->op, arg->value, arg->value_two };
	return 0;
}

static int add_rule(struct builder *b, const struct profile_entry *entry, const char *name, int number,
	const struct scmp_arg_cmp *cmps, unsigned count, struct azm_err *err)
{
	if (++b->rules > RULES_MAX)
		return profile_error(b->profile, entry->position, err, "more than %d rules in all", RULES_MAX);
	int result = seccomp_rule_add_array(b->ctx, entry->action, number, count, cmps);
	if (result == -EEXIST)
		return profile_error(b->profile, entry->position, err, "%s: contradicts an earlier entry", name);
	if (result < 0)
		return profile_error(b->profile, entry->position, err, "%s: %s", name, strerror(-result));
	return 0;
}

/* All combinations of the alternatives of all arguments, counted up like an odometer. */
static int add_combinations(struct builder *b, const struct profile_entry *entry, const char *name, int number,
	const struct alternatives *conditions, struct azm_err *err)
{
	size_t at[PROFILE_ARGS_MAX] = { 0 };

	for (unsigned i = 0; i < entry->arg_count; i++)
		if (conditions[i].count == 0)
			return 0; /* a condition that nothing meets */
	for (;;) {
		struct scmp_arg_cmp cmps[PROFILE_ARGS_MAX];
		unsigned count = 0, i = 0;
		for (unsigned a = 0; a < entry->arg_count; a++) {
			const struct scmp_arg_cmp *cmp = &conditions[a].any[at[a]];
			if (cmp->op != SCMP_CMP_MASKED_EQ || cmp->datum_a) /* an empty mask is met by everything */
				cmps[count++] = *cmp;
		}
		if (add_rule(b, entry, name, number, cmps, count, err) < 0)
			return -1;
		while (i < entry->arg_count && ++at[i] == conditions[i].count)
			at[i++] = 0;
		if (i == entry->arg_count)
			return 0;
	}
}

/* Note what an entry says about a name. Return: 1 to add the rule, 0 when it changes nothing, -1 for a contradiction.
 */
static int note_name(struct builder *b, const struct profile_entry *entry, const char *name, struct azm_err *err)
{
	size_t i = 0;

	while (i < b->name_count && strcmp(b->names[i].name, name) != 0)
		i++;
	if (i == b->name_count) {
		b->names = xrealloc(b->names, b->name_count + 1, sizeof *b->names);
		b->names[b->name_count++] = (struct named){ .name = name, .position = entry->position };
	}
	struct named *n = &b->names[i];
	if (entry->arg_count == 0 && n->always)
		return 0;
	bool differs = entry->arg_count ? n->always && n->always_action != entry->action
					: n->sometimes && (n->sometimes_mixed || n->sometimes_action != entry->action);
	if (differs)
		return profile_error(b->profile, entry->position, err,
			"%s: syscalls[%zu] has another action for it, and one of the two is unconditional", name,
			n->position);
	bool covered = n->always;
	if (entry->arg_count == 0) {
		n->always = true;
		n->always_action = entry->action;
	} else {
		n->sometimes_mixed |= n->sometimes && n->sometimes_action != entry->action;
		n->sometimes = true;
		n->sometimes_action = entry->action;
	}
	return !covered && entry->action != b->profile->default_action;
}

static bool lets_pass(uint32_t action)
{
	return action == SCMP_ACT_ALLOW || action == SCMP_ACT_LOG;
}

static int add_extra(
	struct builder *b, const struct profile_entry *entry, const struct syscall_row *row, struct azm_err *err)
{
	int wanted = note_name(b, entry, row->name, err);

	if (wanted <= 0)
		return wanted;
	if (entry->arg_count)
		return profile_error(b->profile, entry->position, err,
			"%s: newer than libseccomp, its arguments cannot be compared", row->name);
	if (b->extra_count == EXTRAS_MAX)
		return profile_error(b->profile, entry->position, err, "too many calls newer than libseccomp");
	b->extras[b->extra_count].row = row;
	b->extras[b->extra_count++].action = entry->action;
	return 0;
}

static int add_name(struct builder *b, const struct profile_entry *entry, const char *name, struct azm_err *err)
{
	struct alternatives conditions[PROFILE_ARGS_MAX];
	const struct syscall_row *row = syscall_row_by_name(name);
	int number = seccomp_syscall_resolve_name(name);

	if (number == __NR_SCMP_ERROR && row)
		return add_extra(b, entry, row, err);
	if (number == __NR_SCMP_ERROR) {
		/* Files name calls of other processors, and may be newer than we. */
		if (lets_pass(entry->action) || !lets_pass(b->profile->default_action))
			return 0;
		return profile_error(
			b->profile, entry->position, err, "unknown system call \"%s\" cannot be denied", name);
	}
	int wanted = note_name(b, entry, name, err);
	if (wanted <= 0)
		return wanted;
	for (unsigned i = 0; i < entry->arg_count; i++)
		if (condition(b, entry->position, row, &entry->args[i], &conditions[i], err) < 0)
			return -1;
	return add_combinations(b, entry, name, number, conditions, err);
}

static int add_entries(struct builder *b, struct azm_err *err)
{
	for (size_t i = 0; i < json_array_size(b->profile->entries); i++) {
		struct profile_entry entry;
		size_t n;
		json_t *name;
		int applies = profile_entry(b->profile, i, &entry, err);
		if (applies < 0)
			return -1;
		if (!applies)
			continue;
		json_array_foreach(
			entry.names, n, name) if (add_name(b, &entry, json_string_value(name), err) < 0) return -1;
	}
	return 0;
}

static int library_error(const struct builder *b, int result, struct azm_err *err)
{
	return err_code(err, -result, "compile seccomp profile", b->profile->path);
}

/* Of an architecture without any rule, libseccomp before 2.5.4 (Debian 11's) makes a tree that answers every call as a
 * foreign architecture's: the sandbox could not even exit. */
static bool trees_are_sound(void)
{
	const struct scmp_version *v = seccomp_version();

	return v && v->major * 10000 + v->minor * 100 + v->micro >= 20504;
}

static int prepare(struct builder *b, struct azm_err *err)
{
	int result;

	b->ctx = seccomp_init(b->profile->default_action);
	if (!b->ctx)
		return library_error(b, -ENOMEM, err);
	for (size_t i = 1; i < b->profile->arch_count; i++) {
		result = seccomp_arch_add(b->ctx, b->profile->archs[i]);
		if (result < 0 && result != -EEXIST)
			return library_error(b, result, err);
	}
	result = seccomp_attr_set(b->ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ERRNO(ENOSYS));
	if (result == 0 && trees_are_sound())
		result = seccomp_attr_set(b->ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	return result < 0 ? library_error(b, result, err) : 0;
}

/* The number of a call the library does not know. Since 424 all architectures number alike. */
static int64_t extra_number(const struct syscall_row *row, uint32_t arch)
{
	int16_t shared = row->number[ARCH_X86_64];

	switch (arch) {
	case SCMP_ARCH_X86_64:
		return row->number[ARCH_X86_64];
	case SCMP_ARCH_AARCH64:
		return row->number[ARCH_AARCH64];
	case SCMP_ARCH_X86:
		return row->number[ARCH_I386];
	case SCMP_ARCH_X32:
		return shared < FIRST_SHARED_NUMBER ? -1 : shared | 0x40000000;
	default:
		return shared < FIRST_SHARED_NUMBER ? -1 : shared;
	}
}

static void append(struct sock_filter *insns, size_t *count, struct sock_filter insn)
{
	insns[(*count)++] = insn;
}

/* At most 2 + 2 * EXTRAS_MAX instructions an architecture: well within a conditional jump. */
static void append_extras(const struct builder *b, struct sock_filter *insns, size_t *count)
{
	for (size_t a = 0; b->extra_count && a < b->profile->arch_count; a++) {
		uint32_t arch = b->profile->archs[a];
		uint32_t audit = arch == SCMP_ARCH_X32 ? SCMP_ARCH_X86_64 : arch;
		append(insns, count,
			(struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)));
		size_t check = *count;
		append(insns, count, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, audit, 0, 0));
		append(insns, count,
			(struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)));
		for (size_t i = 0; i < b->extra_count; i++) {
			int64_t number = extra_number(b->extras[i].row, arch);
			if (number < 0)
				continue;
			append(insns, count,
				(struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)number, 0, 1));
			append(insns, count, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, b->extras[i].action));
		}
		insns[check].jf = (uint8_t)(*count - check - 1);
	}
}

static int export_program(const struct builder *b, char **program, size_t *size, struct azm_err *err)
{
	cleanup_fd int fd = memfd_create("seccomp", MFD_CLOEXEC);

	if (fd < 0)
		return err_sys(err, "compile seccomp profile", b->profile->path);
	int result = seccomp_export_bpf(b->ctx, fd);
	if (result < 0)
		return library_error(b, result, err);
	if (lseek(fd, 0, SEEK_SET) < 0)
		return err_sys(err, "compile seccomp profile", b->profile->path);
	*program = read_file(fd, BPF_MAXINSNS * sizeof(struct sock_filter), size);
	if (!*program && errno != EFBIG)
		return err_sys(err, "compile seccomp profile", b->profile->path);
	if (!*program)
		*size = SIZE_MAX;
	return 0;
}

static int link_program(const struct builder *b, bool emulate_root, struct filter *out, struct azm_err *err)
{
	const struct filter emulation = filter_builtin_emulation();
	cleanup_free char *program = NULL;
	cleanup_free struct sock_filter *insns = NULL;
	size_t size, count = 0;

	if (export_program(b, &program, &size, err) < 0)
		return -1;
	insns = xcalloc((size_t)BPF_MAXINSNS * 2, sizeof *insns);
	if (emulate_root) {
		memcpy(insns, emulation.insns, emulation.count * sizeof *insns);
		count = emulation.count;
	}
	append_extras(b, insns, &count);
	if (!program || count + size / sizeof *insns > BPF_MAXINSNS)
		return profile_error(b->profile, SIZE_MAX, err,
			"the program is longer than the kernel's %d instructions", BPF_MAXINSNS);
	memcpy(insns + count, program, size);
	count += size / sizeof *insns;
	*out = (struct filter){ xrealloc(steal_ptr(&insns), count, sizeof *insns), count, true };
	return 0;
}

int profile_compile(const struct profile *profile, bool emulate_root, struct filter *out, struct azm_err *err)
{
	struct builder b = { .profile = profile };
	int result = prepare(&b, err);

	if (result == 0)
		result = add_entries(&b, err);
	if (result == 0)
		result = link_program(&b, emulate_root, out, err);
	seccomp_release(b.ctx);
	free(b.names);
	return result;
}
