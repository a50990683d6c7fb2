// SPDX-License-Identifier: GPL-2.0-or-later
/* seccomp/describe.c: the table for people (`inspect --security`). */
#include <stdio.h>

#include "seccomp/rows.h"
#include "seccomp/seccomp.h"

#if defined(__x86_64__)
enum { NATIVE = ARCH_X86_64 };
#else
enum { NATIVE = ARCH_AARCH64 };
#endif

int filter_describe(FILE *stream)
{
	for (size_t i = 0; i < syscall_table_count; i++) {
		const struct syscall_row *row = &syscall_table[i];
		if (row->number[NATIVE] >= 0 && row->treatment != TREAT_ALLOW)
			fprintf(stream, "%-20s %-60s # %s\n", row->name, treatment_text(row->treatment), row->reason);
	}
	fprintf(stream, "%-20s allowed\n%-20s ENOSYS\n", "other known calls", "unknown calls");
	return ferror(stream) ? -1 : 0;
}
