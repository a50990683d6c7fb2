// SPDX-License-Identifier: GPL-2.0-or-later
/* mount/stack.c: look files up in a stack of layers as the overlay of them would show them (see mount.h).
 *
 * Theory of operation
 *
 * The supervisor has to read /etc/passwd before the overlay is mounted, and may not mount it in its own namespace. A
 * path is walked component by component; each is looked for in every layer that can still contribute, top-most first:
 * a whiteout ends the search, a directory goes on with what the layers below it hold of it, unless it is opaque, and
 * anything else is what the overlay shows if it is met first and hides what is below. The layers that an ancestor has
 * cut off never come back further down, so one number, the bottom, is all there is to remember. Links are read, not
 * followed by the kernel; ".." and links start the walk again at the root with the text they lead to.
 */
#include "mount/mount.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "mount/resolve.h"

enum { MAX_LINKS = 40, MAX_STEPS = 4096 };

struct search {
	const struct stack *stack;
	size_t bottom; /* layers from here on do not contribute any more */
	size_t layer;  /* where the component looked for last was found */
	int links;
	char done[PATH_MAX];  /* directories between the root and here, each with a '/' behind it */
	char found[PATH_MAX]; /* the component looked for last, with what leads to it */
	char todo[PATH_MAX];
};

static int fail(int code)
{
	errno = code;
	return -1;
}

static bool is_opaque(int directory)
{
	char value = 0;
	cleanup_fd int fd = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd >= 0 && fgetxattr(fd, "user.overlay.opaque", &value, 1) == 1 && value == 'y';
}

/* Look at search->found in every layer that counts. Return: O_PATH descriptor of what the overlay shows, *st filled. */
static int look(struct search *s, struct stat *st)
{
	cleanup_fd int best = -1;

	for (size_t i = 0; i < s->bottom; i++) {
		struct stat here;
		cleanup_fd int fd = resolve_beneath(s->stack->fds[i], s->found, O_PATH);
		if (fd < 0 && errno == ENOENT)
			continue;
		if (fd < 0 || fstat(fd, &here) < 0)
			return -1;
		bool directory = S_ISDIR(here.st_mode);
		if (!directory)
			s->bottom = i;
		else if (is_opaque(fd))
			s->bottom = i + 1;
		if (best < 0 && (directory || !(S_ISCHR(here.st_mode) && here.st_rdev == 0))) {
			*st = here;
			s->layer = i;
			best = steal_fd(&fd);
		}
	}
	return best < 0 ? fail(ENOENT) : steal_fd(&best);
}

/* Start again at the root with @head and then what is still to be walked. */
static int restart(struct search *s, const char *head)
{
	char text[PATH_MAX];
	int length = snprintf(text, sizeof text, "%s%s%s", head, s->todo[0] ? "/" : "", s->todo);

	if (length < 0 || (size_t)length >= sizeof text)
		return fail(ENAMETOOLONG);
	memcpy(s->todo, text, (size_t)length + 1);
	s->done[0] = '\0';
	s->bottom = s->stack->count;
	s->layer = 0;
	return 0;
}

static int go_up(struct search *s)
{
	char above[PATH_MAX];
	size_t length = strlen(s->done);

	if (length == 0)
		return 0;
	do
		length--;
	while (length > 0 && s->done[length - 1] != '/');
	memcpy(above, s->done, length);
	above[length] = '\0';
	return restart(s, above);
}

static int follow(struct search *s, int link)
{
	char target[PATH_MAX], text[2 * PATH_MAX];
	ssize_t length = readlinkat(link, "", target, sizeof target);

	if (length < 0)
		return -1;
	if (length == 0 || (size_t)length >= sizeof target || ++s->links > MAX_LINKS)
		return fail(ELOOP);
	target[length] = '\0';
	snprintf(text, sizeof text, "%s%s", target[0] == '/' ? "" : s->done, target);
	return restart(s, text);
}

/* One step down: s->found is looked at; links start again, directories are entered. */
static int step(struct search *s)
{
	struct stat st = { 0 }; /* gcc 14 does not see that it is set where there is a descriptor */
	cleanup_fd int fd = look(s, &st);

	if (fd < 0)
		return -1;
	if (S_ISLNK(st.st_mode))
		return follow(s, fd);
	if (!S_ISDIR(st.st_mode))
		return s->todo[0] ? fail(ENOTDIR) : 0;
	size_t length = strlen(s->found);
	if (length + 2 > sizeof s->done)
		return fail(ENAMETOOLONG);
	memcpy(s->done, s->found, length);
	memcpy(s->done + length, "/", 2);
	return 0;
}

/* Take the next component off s->todo. Return: its length, 0 at the end, -1 with errno. */
static ssize_t next_name(struct search *s, char name[NAME_MAX + 1])
{
	const char *start = s->todo + strspn(s->todo, "/");
	size_t length = strcspn(start, "/");

	if (length > NAME_MAX)
		return fail(ENAMETOOLONG);
	memcpy(name, start, length);
	name[length] = '\0';
	memmove(s->todo, start + length, strlen(start + length) + 1);
	return (ssize_t)length;
}

static int search(struct search *s)
{
	char name[NAME_MAX + 1];
	ssize_t length;

	for (int steps = 0; (length = next_name(s, name)) > 0; steps++) {
		if (steps >= MAX_STEPS)
			return fail(ELOOP);
		if (strcmp(name, ".") == 0)
			continue;
		if (strcmp(name, "..") == 0) {
			if (go_up(s) < 0)
				return -1;
			s->found[0] = '\0';
			continue;
		}
		int used = snprintf(s->found, sizeof s->found, "%s%s", s->done, name);
		if ((size_t)used >= sizeof s->found)
			return fail(ENAMETOOLONG);
		if (step(s) < 0)
			return -1;
	}
	return (int)length;
}

int stack_open(const struct stack *stack, const char *path, int flags)
{
	struct search s = { .stack = stack };

	if (stack->count == 1)
		return resolve_in_root(stack->fds[0], path, flags);
	if (stack->count == 0 || restart(&s, path) < 0)
		return stack->count ? -1 : fail(ENOENT);
	if (search(&s) < 0)
		return -1;
	return resolve_beneath(stack->fds[s.layer], *s.found ? s.found : ".", flags);
}

char *stack_read(const struct stack *stack, const char *path, size_t limit, size_t *size)
{
	struct search s = { .stack = stack };

	if (stack->count == 1)
		return resolve_read(stack->fds[0], path, limit, size);
	if (stack->count == 0 || restart(&s, path) < 0)
		return NULL;
	if (search(&s) < 0)
		return NULL;
	return resolve_read(stack->fds[s.layer], *s.found ? s.found : "/", limit, size);
}

void stack_close(struct stack *stack)
{
	for (size_t i = 0; i < stack->count; i++)
		close(stack->fds[i]);
	free(stack->fds);
	*stack = (struct stack){ 0 };
}
