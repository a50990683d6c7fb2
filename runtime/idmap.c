// SPDX-License-Identifier: GPL-2.0-or-later
/* idmap.c: see idmap.h. Sources: user_namespaces(7), subuid(5), newuidmap(1), capabilities(7). */
#include "idmap.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/id_map.h"
#include "base/io.h"
#include "base/str.h"

enum { IDS = 65536 };

static const char *const helper_directories[] = { "/usr/bin", "/bin", "/usr/local/bin", "/usr/sbin", "/sbin" };

/* Fixed places: PATH is the caller's, and what runs here is set-uid root. */
static char *find_helper(const char *name)
{
	for (size_t i = 0; i < sizeof helper_directories / sizeof *helper_directories; i++) {
		char *path = xasprintf("%s/%s", helper_directories[i], name);
		if (access(path, X_OK) == 0)
			return path;
		free(path);
	}
	return NULL;
}

bool subids_find_range(const char *file, const char *name, uint32_t *start, uint32_t *count)
{
	char number[16];
	cleanup_free char *text = read_path(file, 4 << 20, NULL);
	char *rest = text;

	snprintf(number, sizeof number, "%u", getuid());
	for (char *line; rest && (line = strsep(&rest, "\n"));) {
		uint64_t first, length;
		const char *owner = strsep(&line, ":");
		const char *start_text = strsep(&line, ":");
		if (!start_text || !line || (strcmp(owner, number) != 0 && strcmp(owner, name) != 0))
			continue;
		if (!str_to_u64(start_text, UINT32_MAX, &first) || !str_to_u64(line, UINT32_MAX, &length) ||
			length < IDS - 1 || first + length > UINT32_MAX)
			continue;
		*start = (uint32_t)first;
		*count = (uint32_t)length;
		return true;
	}
	return false;
}

/* Run a program with one of its streams going to @file, and nothing else of ours. */
static int start_helper(char **argv, int file, int stream, pid_t *child)
{
	char *environment[] = { NULL };
	posix_spawn_file_actions_t actions;

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
	posix_spawn_file_actions_adddup2(&actions, file, stream);
	int failed = posix_spawn(child, argv[0], &actions, NULL, argv, environment);
	posix_spawn_file_actions_destroy(&actions);
	return failed;
}

static bool helper_succeeded(pid_t child)
{
	int status;

	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		continue;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* The name of @uid in a file like /etc/passwd, to be freed; NULL when it is not there. */
static char *name_in_passwd(const char *file, uid_t uid)
{
	FILE *passwd = fopen(file, "re");
	struct passwd entry, *found = NULL;
	char buffer[4096], *name = NULL;

	while (passwd && !name && fgetpwent_r(passwd, &entry, buffer, sizeof buffer, &found) == 0)
		name = found->pw_uid == uid ? xstrdup(found->pw_name) : NULL;
	if (passwd)
		fclose(passwd);
	return name;
}

/* Users of a directory service: its modules (sss, ldap) are for the host's C library, so a program of the host asks. */
static char *name_by_id(void)
{
	cleanup_free char *path = find_helper("id");
	cleanup_fd int said = memfd_create("stdout", MFD_CLOEXEC);
	char option[] = "-un", line[256] = "", *argv[] = { path, option, NULL };
	pid_t child;

	if (!path || said < 0 || start_helper(argv, said, STDOUT_FILENO, &child) || !helper_succeeded(child) ||
		pread(said, line, sizeof line - 1, 0) <= 0)
		return NULL;
	line[strcspn(line, "\n")] = '\0';
	return *line ? xstrdup(line) : NULL;
}

char *user_name(void)
{
	char *name = name_in_passwd("/etc/passwd", getuid());

	return name ? name : name_by_id();
}

/* A session that was started with no_new_privs or without these capabilities in its bounding set (a container, a
 * hardened service) has sub-ids on paper only: the set-uid helpers would run and be refused. */
static bool helpers_can_gain(void)
{
	return prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1 && prctl(PR_CAPBSET_READ, CAP_SETUID, 0, 0, 0) == 1 &&
	       prctl(PR_CAPBSET_READ, CAP_SETGID, 0, 0, 0) == 1;
}

static struct subids lacking(int code, const char *why)
{
	return (struct subids){ .lack = code, .why = why };
}

static bool has_text(const char *file)
{
	struct stat st;

	return access(file, R_OK) == 0 && stat(file, &st) == 0 && st.st_size > 0;
}

struct subids subids_find(void)
{
	static const char no_ranges[] = "no 65535 ids in /etc/subuid and /etc/subgid for this user";
	struct subids ids = { .usable = true };
	cleanup_free char *newuidmap = find_helper("newuidmap");
	cleanup_free char *newgidmap = find_helper("newgidmap");

	if (!newuidmap || !newgidmap)
		return lacking(ENOENT, "newuidmap and newgidmap are not installed");
	/* The usual host without sub-ids costs a few look-ups, not a walk through the user database. */
	if (!has_text("/etc/subuid") || !has_text("/etc/subgid"))
		return lacking(ESRCH, no_ranges);
	/* newuidmap looks its caller up by name, too, and refuses one without an entry. */
	cleanup_free char *name = user_name();
	const char *owner = name ? name : "";
	if (!subids_find_range("/etc/subuid", owner, &ids.uid_start, &ids.uid_count) ||
		!subids_find_range("/etc/subgid", owner, &ids.gid_start, &ids.gid_count))
		return lacking(ESRCH, no_ranges);
	if (!name)
		return lacking(EUSERS, "this uid has no user name, and newuidmap serves nobody else");
	if (!helpers_can_gain())
		return lacking(EPERM, "newuidmap can gain no privilege in this session (no_new_privs, bounding set)");
	return ids;
}

/* What the helper says on stderr belongs into our one message. */
static int refused(const char *path, int said, struct azm_err *err)
{
	char line[160] = "it refused the ranges of /etc/subuid and /etc/subgid";
	ssize_t size = pread(said, line, sizeof line - 1, 0);

	if (size > 0)
		line[size] = '\0';
	line[strcspn(line, "\n")] = '\0';
	str_sanitise(line);
	err_msg(err, EPERM, "run", path, "%s", line);
	return err_hint(err, "check that %s is set-uid root, or use --userns single", path);
}

static int run_helper(const char *name, pid_t pid, uint32_t own, uint32_t start, struct azm_err *err)
{
	char pid_text[16], own_text[16], start_text[16], count_text[16];
	cleanup_free char *path = find_helper(name);
	cleanup_fd int said = memfd_create("stderr", MFD_CLOEXEC);
	pid_t child;

	snprintf(pid_text, sizeof pid_text, "%d", (int)pid);
	snprintf(own_text, sizeof own_text, "%u", own);
	snprintf(start_text, sizeof start_text, "%u", start);
	snprintf(count_text, sizeof count_text, "%d", IDS - 1);
	char zero[] = "0", one[] = "1";
	char *argv[] = { path, pid_text, zero, own_text, one, one, start_text, count_text, NULL };
	if (!path || said < 0)
		return err_sys(err, "run", name);
	int failed = start_helper(argv, said, STDERR_FILENO, &child);
	if (failed)
		return err_code(err, failed, "run", path);
	return helper_succeeded(child) ? 0 : refused(path, said, err);
}

int idmap_network(pid_t pid, const struct subids *subids, struct azm_err *err)
{
	if (!subids->usable)
		return id_map_single(pid, 0, geteuid(), 0, getegid(), err);
	if (run_helper("newuidmap", pid, geteuid(), subids->uid_start, err) < 0)
		return -1;
	return run_helper("newgidmap", pid, getegid(), subids->gid_start, err);
}

bool idmap_is_wide(void)
{
	cleanup_free char *map = read_path("/proc/self/uid_map", 4096, NULL);

	return map && strchr(map, '\n') && strchr(map, '\n')[1] != '\0';
}

void idmap_keep_id_lines(char *text, size_t size, uint32_t id)
{
	size_t used = 0;

	if (id > 0)
		used += (size_t)snprintf(text, size, "0 1 %u\n", id);
	used += (size_t)snprintf(text + used, size - used, "%u 0 1\n", id);
	if (id < IDS - 1)
		snprintf(text + used, size - used, "%u %u %u\n", id + 1, id + 1, IDS - 1 - id);
}

int idmap_sandbox(pid_t pid, uint32_t uid, uint32_t gid, bool wide, struct azm_err *err)
{
	char text[128];

	if (!wide)
		return id_map_single(pid, uid, 0, gid, 0, err);
	idmap_keep_id_lines(text, sizeof text, uid);
	if (id_map_write(pid, "uid_map", text, err) < 0)
		return -1;
	idmap_keep_id_lines(text, sizeof text, gid);
	return id_map_write(pid, "gid_map", text, err);
}

_Noreturn static void work_in_child(int channel, int (*work)(void *context, struct azm_err *err), void *context)
{
	struct azm_err err = { 0 };
	char go;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (read_full(channel, &go, 1) != 1)
		_exit(EXIT_AZM);
	int result = work(context, &err);
	fflush(NULL);
	(void)!write(channel, &err, sizeof err);
	_exit(result < 0 ? EXIT_AZM : 0);
}

int idmap_in_child(const struct subids *subids, int (*work)(void *context, struct azm_err *err), void *context,
	struct azm_err *err)
{
	struct azm_err report;
	int ends[2], status;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return err_sys(err, "make a socket pair", NULL);
	cleanup_fd int ours = ends[0], theirs = ends[1];
	fflush(NULL); /* or the child would say it again */
	pid_t child = (pid_t)syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, NULL, NULL, NULL, NULL);
	if (child == 0) {
		close(steal_fd(&ours));
		work_in_child(theirs, work, context);
	}
	if (child < 0)
		return err_sys(err, "make a user namespace", NULL);
	close(steal_fd(&theirs));
	int result = idmap_network(child, subids, err);
	if (result == 0 && write_full(ours, "g", 1) == 0 &&
		read_full(ours, &report, sizeof report) == (ssize_t)sizeof report)
		*err = report;
	close(steal_fd(&ours));
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		continue;
	if (result < 0 || (WIFEXITED(status) && WEXITSTATUS(status) == 0))
		return result;
	return err->code ? -1 : err_msg(err, ECHILD, "map sub-ids", NULL, "the helper process died");
}
