// SPDX-License-Identifier: GPL-2.0-or-later
/* seccomp/builtin.c: the filters that were compiled at build time. Linked into azm-init too: no library, no stdio. */
#include "seccomp/builtin.h"

#include "seccomp_filters.h"

#if defined(__x86_64__)
#define OF_THIS_ARCH(name) name##_x86_64
#elif defined(__aarch64__)
#define OF_THIS_ARCH(name) name##_aarch64
#else
#error "seccomp/table.h has no numbers for this architecture"
#endif

struct filter filter_builtin(unsigned flags)
{
	return OF_THIS_ARCH(sandbox_filters)[flags % FILTER_COMBINATIONS];
}

struct filter filter_builtin_supervisor(void)
{
	return OF_THIS_ARCH(supervisor_filter);
}

struct filter filter_builtin_emulation(void)
{
	return OF_THIS_ARCH(emulation_filter);
}
