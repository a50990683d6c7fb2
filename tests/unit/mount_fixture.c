// SPDX-License-Identifier: GPL-2.0-or-later
/* tests/unit/mount_fixture.c: see mount_fixture.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/compat.h"
#include "base/id_map.h"
#include "base/io.h"
#include "base/str.h"
#include "base/tree.h"
#include "tests/unit/mount_fixture.h"

enum { ORDINARY_ID = 61234 };

void become_ordinary_user(void)
{
	if (geteuid() == 0) {
		assert_return_code(setgroups(0, NULL), errno);
		assert_return_code(setresgid(ORDINARY_ID, ORDINARY_ID, ORDINARY_ID), errno);
		assert_return_code(setresuid(ORDINARY_ID, ORDINARY_ID, ORDINARY_ID), errno);
	}
	/* Changing ids clears it, and then /proc/self/uid_map is root's. */
	assert_return_code(prctl(PR_SET_DUMPABLE, 1), errno);
	assert_return_code(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), errno);
}

void refuse_calls(const int *numbers)
{
	struct sock_filter code[32];
	unsigned short used = 0;

	code[used++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
	for (; *numbers >= 0; numbers++) {
		code[used++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)*numbers, 0, 1);
		code[used++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS);
	}
	code[used++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	struct sock_fprog program = { .len = used, .filter = code };
	assert_return_code(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), errno);
}

void put(const char *path, const char *text)
{
	cleanup_fd int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	if (fd < 0 || write_full(fd, text, strlen(text)) < 0)
		expect_failed(__FILE__, __LINE__, "write", "%s: %s", path, strerror(errno));
}

void make_dir(const char *path)
{
	if (mkdir(path, 0755) < 0)
		expect_failed(__FILE__, __LINE__, "mkdir", "%s: %s", path, strerror(errno));
}

void make_link(const char *target, const char *path)
{
	if (symlink(target, path) < 0)
		expect_failed(__FILE__, __LINE__, "symlink", "%s: %s", path, strerror(errno));
}

const char *get(const char *path)
{
	static char text[1 << 18];
	cleanup_free char *read = read_path(path, sizeof text - 1, NULL);

	snprintf(text, sizeof text, "%s", read ? read : "");
	return text;
}

bool exists(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0;
}

size_t count_entries(const char *directory)
{
	cleanup_dir DIR *dir = opendir(directory);
	size_t count = 0;

	while (dir && readdir(dir))
		count++;
	return count < 2 ? 0 : count - 2;
}

struct host_path host(const char *path)
{
	struct host_path result;
	struct azm_err err;

	if (host_path_open(path, &result, &err) < 0)
		expect_failed(__FILE__, __LINE__, "host_path_open", "%s: %s", path, strerror(err.code));
	return result;
}

struct mount_plan default_plan(void)
{
	struct host_path *lower = xcalloc(1, sizeof *lower);

	*lower = host("img");
	return (struct mount_plan){
		.mode = ROOT_OVERLAY,
		.lowers = lower,
		.lower_count = 1,
		.upper = host("state/upper"),
		.work = host("state/work"),
		.tty_gid = -1,
	};
}

void fixture_make(struct fixture *f)
{
	static const char *const directories[] = { "img", "img/etc", "img/proc", "img/sys", "img/dev", "img/tmp",
		"img/run", "img/home", "img2", "state", "state/upper", "state/work", "ws", "ws/sub", "canary" };

	snprintf(f->dir, sizeof f->dir, "/tmp/azm-mount-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	assert_return_code(chdir(f->dir), errno);
	for (size_t i = 0; i < sizeof directories / sizeof *directories; i++)
		make_dir(directories[i]);
	put("img/etc/hosts", "image's hosts\n");
	put("img/etc/os-release", "ID=test\n");
	put("ws/file", "workspace\n");
	put("canary/file", "canary\n");
}

void fixture_remove(struct fixture *f)
{
	struct azm_err err;
	cleanup_fd int tmp = open("/tmp", O_PATH | O_DIRECTORY | O_CLOEXEC);

	assert_return_code(chdir("/"), errno);
	if (tree_remove_at(tmp, f->dir + strlen("/tmp/"), &err) < 0)
		fail_msg("%s: %s", err.text, strerror(err.code));
}

/* Where a process inside reports to; the test process has none. */
static int report = -1;

void expect_failed(const char *file, int line, const char *condition, const char *format, ...)
{
	char text[2048];
	va_list args;

	int used = snprintf(text, sizeof text, "%s:%d: %s: ", file, line, condition);
	va_start(args, format);
	vsnprintf(text + used, sizeof text - (size_t)used, format, args);
	va_end(args);
	if (report < 0)
		fail_msg("%s", text);
	(void)!write(report, text, strlen(text));
	_exit(1);
}

/* Enter new namespaces and run @inside as process 1 of them; ends the process. */
static void run_inside(void (*inside)(void *), void *argument)
{
	uid_t uid = geteuid();
	gid_t gid = getegid();
	struct azm_err err;
	int status;

	EXPECT(unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS |
		       CLONE_NEWCGROUP) == 0,
		"%s", strerror(errno));
	EXPECT(id_map_single(0, 0, uid, 0, gid, &err) == 0, "%s: %s", err.text, strerror(err.code));
	pid_t pid = fork();
	if (pid == 0) {
		inside(argument);
		_exit(0);
	}
	EXPECT(waitpid(pid, &status, 0) == pid);
	_exit(status == 0 ? 0 : 1);
}

static bool run_child(void (*inside)(void *), void *argument)
{
	int status;
	pid_t pid = fork();

	if (pid == 0)
		run_inside(inside, argument);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return status == 0;
}

void nest_namespaces(void (*inside)(void *), void *argument)
{
	if (!run_child(inside, argument))
		_exit(1); /* it has reported */
}

void in_namespaces(void (*inside)(void *), void *argument)
{
	int ends[2];

	assert_return_code(pipe2(ends, O_CLOEXEC), errno);
	report = ends[1];
	bool done = run_child(inside, argument);
	close(ends[1]);
	report = -1;
	cleanup_free char *text = read_file(ends[0], 1 << 16, NULL);
	close(ends[0]);
	assert_non_null(text);
	if (strstr(text, "overlay in a user namespace needs Linux 5.11")) {
		print_message("skipped: %s\n", text);
		skip();
	}
	if (!done || *text)
		fail_msg("%s", *text ? text : "the process inside died");
}

int setup_mounts(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);

	fixture_make(f);
	*state = f;
	return 0;
}

int teardown_mounts(void **state)
{
	fixture_remove(*state);
	free(*state);
	return 0;
}

void enter(const struct mount_plan *plan)
{
	struct azm_err err = { 0 };
	int root = -1;

	EXPECT_OK(mount_build(plan, -1, NULL, &root, &err), &err);
	EXPECT_OK(mount_pivot(root, &err), &err);
	close(root);
}

/* The plan must be refused; returns the error. Tried in a copy of the mounts: a failed build leaves them half made. */
struct azm_err refused(const struct mount_plan *plan, int code)
{
	struct azm_err *err = mmap(NULL, sizeof *err, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int root = -1, status;

	EXPECT(err != MAP_FAILED);
	pid_t pid = fork();
	if (pid == 0) {
		EXPECT(unshare(CLONE_NEWNS) == 0, "%s", strerror(errno));
		EXPECT(mount_build(plan, -1, NULL, &root, err) == -1 && root == -1, "the plan was accepted");
		_exit(0);
	}
	EXPECT(waitpid(pid, &status, 0) == pid);
	if (status)
		_exit(1); /* it has reported */
	EXPECT(err->code == code, "%s: %s (%s) hint: %s", err->text, strerror(err->code), err->reason, err->hint);
	return *err;
}

bool write_fails(const char *path, int code)
{
	cleanup_fd int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	if (fd >= 0)
		return false;
	EXPECT(errno == code, "%s: %s", path, strerror(errno));
	return true;
}

/* The last line of mountinfo with this mount point: "ID PARENT DEV ROOT POINT OPTIONS ... - TYPE SOURCE SUPER". */
char *mount_line(const char *point)
{
	char *rest = xstrdup(get("/proc/self/mountinfo")), *found = NULL;
	char *wanted = xasprintf(" %s ", point);

	for (char *line; (line = strsep(&rest, "\n")) != NULL;) {
		const char *at = line;
		for (int field = 0; at && field < 4; field++) {
			at = strchr(at, ' ');
			at = at && field < 3 ? at + 1 : at;
		}
		if (at && str_starts(at, wanted))
			found = line;
	}
	return found;
}

/* Whether the mount at @point has the option, of the mount or of the file system. */
bool has_option(const char *point, const char *option)
{
	char *line = mount_line(point);

	EXPECT(line, "%s is not mounted", point);
	for (char *word; (word = strsep(&line, " ,")) != NULL;)
		if (strcmp(word, option) == 0)
			return true;
	return false;
}

void expect_options(const char *point, const char *options)
{
	char *rest = xstrdup(options);

	for (char *option; (option = strsep(&rest, ",")) != NULL;)
		EXPECT(has_option(point, option), "%s lacks %s: %s", point, option, mount_line(point));
}

struct volume *one_volume(struct mount_plan *plan, enum volume_kind kind, const char *source, const char *target)
{
	plan->volumes = xrealloc(plan->volumes, plan->volume_count + 1, sizeof *plan->volumes);
	struct volume *v = &plan->volumes[plan->volume_count++];
	*v = (struct volume){ .kind = kind, .target = xstrdup(target) };
	if (source)
		v->source = host(source);
	return v;
}

struct etc_file *one_file(struct mount_plan *plan, const char *target, const char *text, bool required)
{
	plan->files = xrealloc(plan->files, plan->file_count + 1, sizeof *plan->files);
	struct etc_file *file = &plan->files[plan->file_count++];
	*file = (struct etc_file){
		.target = xstrdup(target), .text = xstrdup(text), .mode = 0644, .required = required
	};
	return file;
}

int run_mount_tests(const struct CMUnitTest *tests, size_t count)
{
	become_ordinary_user();
	int failed = _cmocka_run_group_tests("mounts on this kernel", tests, count, NULL, NULL);
	refuse_calls((const int[]){ SYS_mount_setattr, -1 });
	failed += _cmocka_run_group_tests("mounts without mount_setattr", tests, count, NULL, NULL);
	refuse_calls(
		(const int[]){ SYS_fsopen, SYS_fsconfig, SYS_fsmount, SYS_open_tree, SYS_move_mount, SYS_openat2, -1 });
	return failed + _cmocka_run_group_tests("mounts without the new mount API", tests, count, NULL, NULL);
}
