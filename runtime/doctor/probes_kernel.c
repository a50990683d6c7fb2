// SPDX-License-Identifier: GPL-2.0-or-later
/* doctor/probes_kernel.c: system calls and kernel features that need no namespace; see probes.h */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/memfd.h>
#include <linux/openat2.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/compat.h"
#include "doctor/probes.h"

/* A filter that gives getppid(2) an error it cannot have otherwise. */
int probe_seccomp(const struct probe_env *env, struct probe_outcome *out)
{
	struct sock_filter rows[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getppid, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOTNAM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog filter = { sizeof rows / sizeof *rows, rows };

	(void)env;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_sys(&out->err, "set no_new_privs", NULL);
	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &filter) != 0)
		return err_sys(&out->err, "install a seccomp filter", NULL);
	if (syscall(SYS_getppid) != -1 || errno != ENOTNAM)
		return err_msg(&out->err, EIO, "install a seccomp filter", NULL, "it has no effect");
	return 0;
}

int probe_landlock(const struct probe_env *env, struct probe_outcome *out)
{
	struct landlock_ruleset_attr rules = { .handled_access_fs = LANDLOCK_ACCESS_FS_READ_DIR };

	(void)env;
	long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	if (version < 0)
		return err_sys(&out->err, "ask for Landlock", NULL);
	cleanup_fd int ruleset = (int)syscall(SYS_landlock_create_ruleset, &rules, sizeof rules, 0);
	if (ruleset < 0)
		return err_sys(&out->err, "make a Landlock ruleset", NULL);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || syscall(SYS_landlock_restrict_self, ruleset, 0) < 0)
		return err_sys(&out->err, "apply a Landlock ruleset", NULL);
	cleanup_fd int directory = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (directory >= 0)
		return err_msg(&out->err, EIO, "apply a Landlock ruleset", NULL, "it has no effect");
	return probe_detail(out, "ABI %ld", version);
}

int probe_openat2(const struct probe_env *env, struct probe_outcome *out)
{
	struct open_how how = { .flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS };

	(void)env;
	cleanup_fd int proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	cleanup_fd int inside = (int)syscall(SYS_openat2, proc, "/../self/status", &how, sizeof how);
	return inside < 0 ? err_sys(&out->err, "openat2", NULL) : 0;
}

int probe_close_range(const struct probe_env *env, struct probe_outcome *out)
{
	(void)env;
	cleanup_fd int high = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 200);
	if (high < 0)
		return err_sys(&out->err, "open a file", NULL);
	if (syscall(SYS_close_range, high, high, 0) < 0)
		return err_sys(&out->err, "close_range", NULL);
	if (fcntl(high, F_GETFD) >= 0)
		return err_msg(&out->err, EIO, "close_range", NULL, "the file is still open");
	(void)steal_fd(&high);
	return 0;
}

int probe_pidfd(const struct probe_env *env, struct probe_outcome *out)
{
	cleanup_probe_child struct probe_child child = PROBE_NO_CHILD;

	(void)env;
	if (probe_child_hold(0, NULL, &child, &out->err) < 0)
		return -1;
	if (child.pidfd < 0)
		return err_code(&out->err, ENOSYS, "clone a process with a pidfd", NULL);
	if (syscall(SYS_pidfd_send_signal, child.pidfd, SIGKILL, NULL, 0) < 0)
		return err_sys(&out->err, "pidfd_send_signal", NULL);
	struct pollfd exited = { .fd = child.pidfd, .events = POLLIN };
	if (poll(&exited, 1, PROBE_INNER_DEADLINE_MS) != 1)
		return err_msg(&out->err, ETIMEDOUT, "wait for a process by pidfd", NULL, "poll reports nothing");
	return 0;
}

#ifndef MFD_EXEC /* Linux 6.3: without it a kernel with vm.memfd_noexec=1 makes the file not executable */
#define MFD_EXEC 0x10U
#endif

/* As in probes_layer.c: ENOEXEC is the answer to nonsense that one has the right to execute. */
int probe_memfd_exec(const struct probe_env *env, struct probe_outcome *out)
{
	static const char nonsense[] = "\177AZM";
	char *const argv[] = { (char *)"azm-init", NULL }, *const envp[] = { NULL };

	(void)env;
	cleanup_fd int fd = memfd_create("azm-init", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC);
	if (fd < 0 && errno == EINVAL)
		fd = memfd_create("azm-init", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return err_sys(&out->err, "make a memfd", NULL);
	if (write(fd, nonsense, sizeof nonsense) < 0 ||
		fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0)
		return err_sys(&out->err, "seal a memfd", NULL);
	syscall(SYS_execveat, fd, "", argv, envp, AT_EMPTY_PATH);
	return errno == ENOEXEC ? 0 : err_sys(&out->err, "execute a memfd", NULL);
}
