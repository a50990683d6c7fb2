// SPDX-License-Identifier: GPL-2.0-or-later
/* tests/unit/seccomp_fixture.c: see seccomp_fixture.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/str.h"
#include "tests/unit/bpf_eval.h"
#include "tests/unit/seccomp_fixture.h"

const char docker_style[] =
	"{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"defaultErrnoRet\":1,"
	"\"archMap\":["
	" {\"architecture\":\"SCMP_ARCH_X86_64\",\"subArchitectures\":[\"SCMP_ARCH_X86\",\"SCMP_ARCH_X32\"]},"
	" {\"architecture\":\"SCMP_ARCH_AARCH64\",\"subArchitectures\":[\"SCMP_ARCH_ARM\"]},"
	" {\"architecture\":\"SCMP_ARCH_S390X\",\"subArchitectures\":[\"SCMP_ARCH_S390\"]}],"
	"\"syscalls\":["
	"{\"names\":[\"accept\",\"accept4\",\"access\",\"bind\",\"brk\",\"chdir\",\"chmod\",\"chown\",\"close\","
	" \"connect\",\"dup\",\"execve\",\"exit\",\"exit_group\",\"fchown\",\"fork\",\"fstat\",\"futex\",\"getpid\","
	" \"getuid\",\"lseek\",\"mmap\",\"mprotect\",\"munmap\",\"nanosleep\",\"open\",\"openat\",\"pipe2\",\"poll\","
	" \"read\",\"rt_sigaction\",\"rt_sigreturn\",\"sigaltstack\",\"setgroups\",\"setuid\",\"socketcall\","
	"\"stat64\",\"umask\","
	" \"unlink\",\"wait4\",\"write\",\"writev\",\"_llseek\",\"mseal\",\"statmount\"],"
	" \"action\":\"SCMP_ACT_ALLOW\"},"
	"{\"names\":[\"ptrace\"],\"action\":\"SCMP_ACT_ALLOW\",\"includes\":{\"minKernel\":\"4.8\"}},"
	"{\"names\":[\"process_vm_readv\"],\"action\":\"SCMP_ACT_ALLOW\",\"includes\":{\"minKernel\":\"99.0\"}},"
	"{\"names\":[\"socket\"],\"action\":\"SCMP_ACT_ALLOW\",\"args\":[{\"index\":0,\"value\":38,\"op\":\"SCMP_CMP_"
	"LT\"}]},"
	"{\"names\":[\"socket\"],\"action\":\"SCMP_ACT_ALLOW\",\"args\":[{\"index\":0,\"value\":39,\"op\":\"SCMP_CMP_"
	"EQ\"}]},"
	"{\"names\":[\"socket\"],\"action\":\"SCMP_ACT_ALLOW\",\"args\":[{\"index\":0,\"value\":40,\"op\":\"SCMP_CMP_"
	"GT\"}]},"
	"{\"names\":[\"personality\"],\"action\":\"SCMP_ACT_ALLOW\",\"args\":[{\"index\":0,\"value\":0,\"op\":\"SCMP_"
	"CMP_EQ\"}]},"
	"{\"names\":[\"personality\"],\"action\":\"SCMP_ACT_ALLOW\","
	" \"args\":[{\"index\":0,\"value\":4294967295,\"op\":\"SCMP_CMP_EQ\"}]},"
	"{\"names\":[\"arm_fadvise64_64\",\"sync_file_range2\",\"s390_pci_mmio_read\",\"a_call_of_the_future\"],"
	" \"action\":\"SCMP_ACT_ALLOW\",\"includes\":{}},"
	"{\"names\":[\"mount\",\"umount2\",\"setns\"],\"action\":\"SCMP_ACT_ALLOW\",\"includes\":{\"caps\":[\"CAP_SYS_"
	"ADMIN\"]}},"
	"{\"names\":[\"clone\"],\"action\":\"SCMP_ACT_ALLOW\",\"args\":[{\"index\":0,\"value\":2114060288,\"valueTwo\":"
	"0,"
	" \"op\":\"SCMP_CMP_MASKED_EQ\"}],\"excludes\":{\"caps\":[\"CAP_SYS_ADMIN\"],\"arches\":[\"s390\",\"s390x\"]}},"
	"{\"names\":[\"clone\"],\"action\":\"SCMP_ACT_ALLOW\",\"includes\":{\"caps\":[\"CAP_SYS_ADMIN\"]}},"
	"{\"names\":[\"clone3\"],\"action\":\"SCMP_ACT_ERRNO\",\"errnoRet\":38,\"args\":null,"
	" \"excludes\":{\"caps\":[\"CAP_SYS_ADMIN\"]}},"
	"{\"names\":[\"reboot\"],\"action\":\"SCMP_ACT_ALLOW\",\"includes\":{\"caps\":[\"CAP_SYS_BOOT\",\"CAP_SYS_"
	"ADMIN\"]}},"
	"{\"names\":[\"s390_runtime_instr\"],\"action\":\"SCMP_ACT_ALLOW\",\"includes\":{\"arches\":[\"s390x\"]}}"
	"]}";

int make_dir(void **state)
{
	static struct fixture f;

	snprintf(f.dir, sizeof f.dir, "/tmp/azm-seccomp-XXXXXX");
	if (!mkdtemp(f.dir))
		return -1;
	f.dirfd = open(f.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	*state = &f;
	return f.dirfd < 0 ? -1 : 0;
}

void for_each_file(const struct fixture *f, void (*visit)(int dirfd, const char *name))
{
	cleanup_dir DIR *dir = opendir(f->dir);

	for (struct dirent *e; (e = readdir(dir));)
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			visit(f->dirfd, e->d_name);
}

static void remove_one(int dirfd, const char *name)
{
	unlinkat(dirfd, name, 0);
}

int remove_dir(void **state)
{
	struct fixture *f = *state;

	for_each_file(f, remove_one);
	close(f->dirfd);
	return rmdir(f->dir);
}

int compile_text(const struct fixture *f, const char *text, int cachefd, unsigned flags, unsigned long long caps,
	struct filter *out, struct azm_err *err)
{
	cleanup_free char *path = xasprintf("%s/profile.json", f->dir);

	err_clear(err);
	assert_int_equal(write_file_at(f->dirfd, "profile.json", text, strlen(text), 0600), 0);
	return filter_from_profile(path, cachefd, flags, caps, out, err);
}

uint32_t ask(const struct filter *f, int nr, uint64_t a0, uint64_t a1, uint64_t a2)
{
	struct seccomp_data call = { .arch = NATIVE_AUDIT, .nr = nr, .args = { a0, a1, a2 } };

	return bpf_eval(f->insns, f->count, &call).answer;
}
