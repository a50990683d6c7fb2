// SPDX-License-Identifier: GPL-2.0-or-later
/* tests/lib/probe_facts.c: what the process is: ids, capabilities, descriptors, mounts, limits, namespaces. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/compat.h"
#include "base/io.h"
#include "base/str.h"
#include "tests/lib/probe.h"

enum { TEXT_LIMIT = 4 << 20 };

/* Print a whole file of /proc, a line a fact. */
static void print_lines(const char *key, const char *path)
{
	cleanup_free char *text = read_path(path, TEXT_LIMIT, NULL);
	char *rest = text;

	if (!text) {
		fact(key, "%s", result(-1));
		return;
	}
	for (char *line = strsep(&rest, "\n"); line; line = strsep(&rest, "\n"))
		if (*line)
			fact(key, "%s", line);
}

static int ids(int argc, char **argv)
{
	uid_t ruid, euid, suid;
	gid_t rgid, egid, sgid, groups[256];
	int count = getgroups(256, groups);
	struct utsname name;

	(void)argc, (void)argv;
	if (getresuid(&ruid, &euid, &suid) < 0 || getresgid(&rgid, &egid, &sgid) < 0 || uname(&name) < 0)
		return 1;
	fact("ids.uid", "%u %u %u", ruid, euid, suid);
	fact("ids.gid", "%u %u %u", rgid, egid, sgid);
	for (int i = 0; i < count; i++)
		fact("ids.group", "%u", groups[i]);
	print_lines("ids.uid_map", "/proc/self/uid_map");
	print_lines("ids.gid_map", "/proc/self/gid_map");
	print_lines("ids.setgroups", "/proc/self/setgroups");
	fact("ids.pid", "%d", getpid());
	fact("ids.ppid", "%d", getppid());
	fact("ids.hostname", "%s", name.nodename);
	fact("ids.domainname", "%s", name.domainname);
	return 0;
}

/* The lines of /proc/self/status that say what a process may do. */
static int caps(int argc, char **argv)
{
	static const char *const wanted[] = { "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp",
		"Seccomp_filters" };
	cleanup_free char *text = read_path("/proc/self/status", TEXT_LIMIT, NULL);
	char *rest = text;

	(void)argc, (void)argv;
	if (!text)
		return 1;
	for (char *line = strsep(&rest, "\n"); line; line = strsep(&rest, "\n")) {
		char *value = line;
		const char *key = strsep(&value, "\t ");
		char name[64];

		if (!value)
			continue;
		for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
			if (strncmp(key, wanted[i], strlen(wanted[i])) || key[strlen(wanted[i])] != ':')
				continue;
			snprintf(name, sizeof name, "caps.%s", wanted[i]);
			fact(name, "%s", value + strspn(value, " \t"));
		}
	}
	fact("caps.securebits", "%d", prctl(PR_GET_SECUREBITS));
	fact("caps.dumpable", "%d", prctl(PR_GET_DUMPABLE));
	return 0;
}

static const char *kind_of(mode_t mode)
{
	return S_ISREG(mode)	? "file"
	       : S_ISDIR(mode)	? "dir"
	       : S_ISCHR(mode)	? "chr"
	       : S_ISBLK(mode)	? "blk"
	       : S_ISFIFO(mode) ? "fifo"
	       : S_ISSOCK(mode) ? "sock"
	       : S_ISLNK(mode)	? "link"
				: "?";
}

/* Whether a socket lives in our own network namespace: its cookie is the one a new socket of ours has. */
static const char *socket_home(int fd)
{
	unsigned long long theirs = 0, ours = 0;
	socklen_t size = sizeof theirs;
	cleanup_fd int own = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &theirs, &size) < 0)
		return "unknown";
	size = sizeof ours;
	if (own < 0 || getsockopt(own, SOL_SOCKET, SO_NETNS_COOKIE, &ours, &size) < 0)
		return "unknown";
	return theirs == ours ? "own" : "FOREIGN";
}

static void describe_fd(int fd)
{
	char link[64], target[PATH_MAX + 1] = "?";
	struct stat st;

	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	ssize_t length = readlink(link, target, PATH_MAX);
	if (length >= 0)
		target[length] = 0;
	if (fstat(fd, &st) < 0)
		return;
	fact("fds.fd", "%d %s %s%s%s", fd, kind_of(st.st_mode), target, S_ISSOCK(st.st_mode) ? " netns=" : "",
		S_ISSOCK(st.st_mode) ? socket_home(fd) : "");
}

static int fds(int argc, char **argv)
{
	cleanup_dir DIR *dir = opendir("/proc/self/fd");
	const struct dirent *entry;
	int count = 0;

	(void)argc, (void)argv;
	if (!dir) {
		fact("fds", "%s", result(-1));
		return 1;
	}
	while ((entry = readdir(dir))) {
		if (*entry->d_name == '.' || atoi(entry->d_name) == dirfd(dir))
			continue;
		describe_fd(atoi(entry->d_name));
		count++;
	}
	fact("fds.count", "%d", count);
	return 0;
}

/* Target, type, options of the mount, source, options of the file system; in the order of the table. */
static int mounts(int argc, char **argv)
{
	cleanup_free char *text = read_path("/proc/self/mountinfo", TEXT_LIMIT, NULL);
	char *rest = text;

	(void)argc, (void)argv;
	if (!text)
		return 1;
	for (char *line = strsep(&rest, "\n"); line; line = strsep(&rest, "\n")) {
		cleanup_str_list struct str_list words = { 0 };
		size_t dash = 6;

		str_list_split(&words, line, ' ');
		while (dash < words.count && strcmp(words.items[dash], "-") != 0)
			dash++;
		if (dash + 3 >= words.count)
			continue;
		fact("mounts.mount", "%s %s %s root=%s source=%s fs=%s propagation=%s", words.items[4],
			words.items[dash + 1], words.items[5], words.items[3], words.items[dash + 2],
			words.items[dash + 3], dash > 6 ? words.items[6] : "none");
	}
	return 0;
}

static void print_limit(const char *name, int resource)
{
	struct rlimit limit;
	char key[64], value[2][32];
	rlim_t both[2];

	if (getrlimit((__rlimit_resource_t)resource, &limit) < 0)
		return;
	both[0] = limit.rlim_cur;
	both[1] = limit.rlim_max;
	for (int i = 0; i < 2; i++) {
		if (both[i] == RLIM_INFINITY)
			strcpy(value[i], "unlimited");
		else
			snprintf(value[i], sizeof value[i], "%llu", (unsigned long long)both[i]);
	}
	snprintf(key, sizeof key, "limits.%s", name);
	fact(key, "%s %s", value[0], value[1]);
}

static int limits(int argc, char **argv)
{
	static const struct {
		const char *name;
		int resource;
	} table[] = { { "as", RLIMIT_AS }, { "core", RLIMIT_CORE }, { "cpu", RLIMIT_CPU }, { "data", RLIMIT_DATA },
		{ "fsize", RLIMIT_FSIZE }, { "locks", RLIMIT_LOCKS }, { "memlock", RLIMIT_MEMLOCK },
		{ "msgqueue", RLIMIT_MSGQUEUE }, { "nice", RLIMIT_NICE }, { "nofile", RLIMIT_NOFILE },
		{ "nproc", RLIMIT_NPROC }, { "rss", RLIMIT_RSS }, { "rtprio", RLIMIT_RTPRIO },
		{ "rttime", RLIMIT_RTTIME }, { "sigpending", RLIMIT_SIGPENDING }, { "stack", RLIMIT_STACK } };

	(void)argc, (void)argv;
	for (size_t i = 0; i < sizeof table / sizeof *table; i++)
		print_limit(table[i].name, table[i].resource);
	return 0;
}

static int namespaces(int argc, char **argv)
{
	static const char *const names[] = { "cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts" };

	(void)argc, (void)argv;
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		char path[64], key[64], target[64] = "";

		snprintf(path, sizeof path, "/proc/self/ns/%s", names[i]);
		snprintf(key, sizeof key, "namespaces.%s", names[i]);
		ssize_t length = readlink(path, target, sizeof target - 1);
		fact(key, "%s", length < 0 ? result(-1) : target);
	}
	return 0;
}

/* The raw system call: glibc hides "(unreachable)", which tells that the directory lies outside of our root. */
static int cwd(int argc, char **argv)
{
	char buffer[PATH_MAX] = "";
	long length = syscall(SYS_getcwd, buffer, sizeof buffer);

	(void)argc, (void)argv;
	fact("cwd", "%s", length < 0 ? result(-1) : buffer);
	return 0;
}

static int env(int argc, char **argv)
{
	(void)argc, (void)argv;
	for (char **variable = environ; *variable; variable++)
		fact("env", "%s", *variable);
	return 0;
}

static int arguments(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		fact("arg", "%s", argv[i]);
	return 0;
}

static int env_size(int argc, char **argv)
{
	size_t bytes = 0;

	(void)argc, (void)argv;
	for (char **variable = environ; *variable; variable++)
		bytes += strlen(*variable) + 1;
	fact("env.bytes", "%zu", bytes);
	return 0;
}

/* Processes of the pid namespace, as far as /proc shows them. */
static int processes(int argc, char **argv)
{
	cleanup_dir DIR *dir = opendir("/proc");
	const struct dirent *entry;

	(void)argc, (void)argv;
	while (dir && (entry = readdir(dir))) {
		char path[300];
		cleanup_free char *name = NULL;

		if (*entry->d_name < '0' || *entry->d_name > '9')
			continue;
		snprintf(path, sizeof path, "/proc/%s/comm", entry->d_name);
		name = read_path(path, 4096, NULL);
		if (name)
			name[strcspn(name, "\n")] = 0;
		fact("process", "%s %s", entry->d_name, name ? name : "?");
	}
	return dir ? 0 : 1;
}

const struct probe_row probe_facts[] = {
	{ "ids", ids, 0, 0, "user and group ids, maps, pid, host name" },
	{ "caps", caps, 0, 0, "capability sets, no_new_privs, seccomp mode" },
	{ "fds", fds, 0, 0, "open descriptors; sockets with the home of their network namespace" },
	{ "mounts", mounts, 0, 0, "mount table" },
	{ "limits", limits, 0, 0, "resource limits, soft and hard" },
	{ "namespaces", namespaces, 0, 0, "identity of each namespace" },
	{ "cwd", cwd, 0, 0, "working directory as the kernel says it" },
	{ "env", env, 0, 0, "environment" },
	{ "env-size", env_size, 0, 0, "bytes of the environment" },
	{ "processes", processes, 0, 0, "processes /proc shows" },
	{ "args", arguments, 0, 1, "print the arguments that follow" },
	{ 0 },
};
