// SPDX-License-Identifier: GPL-2.0-or-later
/* seccomp/install.c: hand a program to the kernel. Linked into azm-init too: no library, no stdio. */
#include <errno.h>
#include <linux/seccomp.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "seccomp/seccomp.h"

static int explain(struct azm_err *err)
{
	err_sys(err, "install the system call filter", NULL);
	if (err->code == EACCES)
		err_hint(err, "no_new_privs is not set and CAP_SYS_ADMIN was dropped already");
	else if (err->code == ENOSYS || err->code == EINVAL)
		err_hint(err, "the kernel needs CONFIG_SECCOMP_FILTER; an outer sandbox may forbid seccomp(2)");
	return -1;
}

int filter_install(const struct filter *filter, bool log, struct azm_err *err)
{
	struct sock_fprog program = {
		.len = (unsigned short)filter->count,
		.filter = (struct sock_filter *)filter->insns, /* the kernel only reads it */
	};
	/* All threads or none: a supervisor that filters one thread of two has filtered nothing. */
	unsigned flags = SECCOMP_FILTER_FLAG_TSYNC | (log ? SECCOMP_FILTER_FLAG_LOG : 0);

	if (!filter->count || filter->count > BPF_MAXINSNS)
		return err_msg(err, EINVAL, "install the system call filter", NULL,
			"a program has 1 to %d instructions, not %zu", BPF_MAXINSNS, filter->count);
	long result = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
	if (result < 0)
		return explain(err);
	if (result > 0)
		return err_msg(err, EBUSY, "install the system call filter", NULL, "thread %ld has a filter of its own",
			result);
	return 0;
}
