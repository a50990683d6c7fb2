// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/dockerfile_internal.h: what dockerfile.c (lines, flags, here-documents) and instructions.c (what each
 * instruction may say) share. */
#pragma once
#include <string.h>

#include "rootfs-tools/dockerfile.h"

struct parser {
	struct dockerfile *file;
	char *at;	 /* the next line; NULL: there is none. Lines end in NUL when they have been read */
	unsigned next;	 /* number of the line that was read last, from 1 */
	unsigned line;	 /* of the instruction that is being read */
	unsigned nested; /* in an ONBUILD */
	struct azm_err *err;
};

struct instruction_row {
	const char *name;
	/* The text behind the flags, which is not empty. */
	int (*parse)(struct parser *p, struct instruction *instruction, const char *rest);
	bool heredocs;
	const char *flags[8]; /* "name": yes or no, "name=": has a value, "name=*": and may be given again */
};

/* By enum instruction_kind. */
extern const struct instruction_row instruction_rows[];
extern const size_t instruction_row_count;

/* An error of the line that is being read. */
#define fail(p, ...) dockerfile_fail((p)->file, (p)->line, (p)->err, __VA_ARGS__)

/** parse_instruction() - one instruction. @text: without blanks at its ends. Return: 0, -1 with the error set. */
int parse_instruction(struct parser *p, char *text, struct instruction *instruction);

/** instruction_free() - everything it holds. */
void instruction_free(struct instruction *instruction);

static inline const char *skip_blanks(const char *text)
{
	return text + strspn(text, " \t\r\v\f");
}
