// SPDX-License-Identifier: GPL-2.0-or-later
/* seccomp/table.c: the rows of table.h as an array. */
#include "seccomp/rows.h"

#include <string.h>

#define SYSCALL(name, x86_64, aarch64, i386, narrow, treatment, reason)                                                \
	{ #name, { x86_64, aarch64, i386 }, narrow, TREAT_##treatment, reason },
const struct syscall_row syscall_table[] = {
#include "seccomp/table.h"
};
const size_t syscall_table_count = sizeof syscall_table / sizeof syscall_table[0];

const struct syscall_row *syscall_row_by_name(const char *name)
{
	for (size_t i = 0; i < syscall_table_count; i++)
		if (strcmp(syscall_table[i].name, name) == 0)
			return &syscall_table[i];
	return NULL;
}
