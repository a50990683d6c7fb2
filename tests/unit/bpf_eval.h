// SPDX-License-Identifier: GPL-2.0-or-later
/* tests/unit/bpf_eval.h: what a seccomp program answers, without a kernel.
 *
 * The instructions of classic BPF that the kernel accepts in filters, with the kernel's checks on them: anything else,
 * a jump out of the program or a load outside seccomp_data ends the test program.
 */
#pragma once
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct bpf_run {
	uint32_t answer;  /* SECCOMP_RET_* */
	bool saw_args;	  /* the answer depends on more than architecture and number: the kernel cannot cache it */
	bool fell_behind; /* jumped to the instruction behind the last one (a layer does) */
	unsigned steps;
};

static inline void bpf_invalid(const char *what, size_t pc)
{
	fprintf(stderr, "bpf_eval: %s at instruction %zu\n", what, pc);
	abort();
}

static inline bool bpf_compare(uint16_t code, uint32_t a, uint32_t k, size_t pc)
{
	switch (BPF_OP(code)) {
	case BPF_JEQ:
		return a == k;
	case BPF_JGT:
		return a > k;
	case BPF_JGE:
		return a >= k;
	case BPF_JSET:
		return a & k;
	}
	bpf_invalid("unknown comparison", pc);
	return false;
}

static inline uint32_t bpf_load(const struct seccomp_data *data, uint32_t offset, size_t pc)
{
	uint32_t word;

	if (offset % 4 || offset > sizeof *data - 4)
		bpf_invalid("load outside seccomp_data", pc);
	memcpy(&word, (const char *)data + offset, sizeof word);
	return word;
}

/** bpf_eval() - run a program on one system call. */
static inline struct bpf_run bpf_eval(const struct sock_filter *insns, size_t count, const struct seccomp_data *data)
{
	struct bpf_run run = { 0 };
	uint32_t a = 0, scratch[BPF_MEMWORDS] = { 0 };

	for (size_t pc = 0; pc < count; pc++) {
		const struct sock_filter *f = &insns[pc];
		run.steps++;
		switch (f->code) {
		case BPF_LD | BPF_W | BPF_ABS:
			a = bpf_load(data, f->k, pc);
			run.saw_args |= f->k >= offsetof(struct seccomp_data, instruction_pointer);
			break;
		case BPF_ALU | BPF_AND | BPF_K:
			a &= f->k;
			break;
		case BPF_ST: /* libseccomp keeps a word in scratch memory now and then */
			if (f->k >= BPF_MEMWORDS)
				bpf_invalid("store outside the scratch memory", pc);
			scratch[f->k] = a;
			break;
		case BPF_LD | BPF_MEM:
			if (f->k >= BPF_MEMWORDS)
				bpf_invalid("load outside the scratch memory", pc);
			a = scratch[f->k];
			break;
		case BPF_RET | BPF_K:
			run.answer = f->k;
			return run;
		case BPF_JMP | BPF_JA:
			pc += f->k;
			break;
		default:
			if (BPF_CLASS(f->code) != BPF_JMP || BPF_SRC(f->code) != BPF_K)
				bpf_invalid("instruction the kernel refuses", pc);
			pc += bpf_compare(f->code, a, f->k, pc) ? f->jt : f->jf;
		}
		if (pc + 1 > count)
			bpf_invalid("jump out of the program", pc);
	}
	run.fell_behind = true;
	return run;
}
