// SPDX-License-Identifier: GPL-2.0-or-later
/* server/children.c: see children.h */
#include "server/children.h"

#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/signals.h"
#include "base/str.h"

void children_watch(struct child **list, struct child *child)
{
	child->next = *list;
	*list = child;
}

void children_forget(struct child **list, struct child *child)
{
	struct child **link = list;

	while (*link && *link != child)
		link = &(*link)->next;
	if (*link)
		*link = child->next;
}

void children_reap(struct child **list, pid_t pid, int status)
{
	struct child *child = *list;

	while (child && child->pid != pid)
		child = child->next;
	if (!child)
		return;
	children_forget(list, child);
	child->pid = -1;
	child->ended(child, status);
}

/* Between fork() and setsid() the group does not exist. A signal is blocked until child_begin(), and strikes then. */
void child_kill(pid_t pid, int number)
{
	if (kill(-pid, number) < 0)
		kill(pid, number);
}

int child_begin(const int stdio[static 3])
{
	/* A server started in the background of a script ignores SIGINT, and so would every command. */
	signals_default();
	setsid();
	for (int i = 0; i < 3; i++) {
		int fd = stdio[i] >= 0 ? stdio[i] : open("/dev/null", O_RDWR | O_CLOEXEC);
		if (fd < 0 || dup2(fd, i) < 0)
			return -1;
	}
	return 0;
}

char *executable_find(const char *name)
{
	const char *path = getenv("PATH");
	cleanup_str_list struct str_list directories = { 0 };

	str_list_split(&directories, path && *path ? path : "/usr/local/bin:/usr/bin:/bin", ':');
	for (size_t i = 0; i < directories.count; i++) {
		cleanup_free char *file = xasprintf("%s/%s", directories.items[i], name);
		if (*directories.items[i] == '/' && access(file, X_OK) == 0)
			return steal_ptr(&file);
	}
	return NULL;
}
