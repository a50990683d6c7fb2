// SPDX-License-Identifier: GPL-2.0-or-later
/* server/bash_commands.c: see bash_commands.h
 *
 * Theory of operation
 *
 * A command has ended when its process is gone and both pipes are closed. A process it left in the background may hold
 * the pipes for ever; so when they stayed silent for QUIET_MS after the process was gone, that is the end too.
 * (Upstream waits for the timeout then, and kills the background process.) What such a process prints later is read and
 * forgotten, so that it neither blocks nor dies of SIGPIPE.
 *
 * Output waits in memory until there is a chunk of it, the command ends, or somebody asks (bash_commands_flush()): a
 * client that polls sees it as it comes, and events stay few when nobody looks.
 */
#include "server/bash_commands.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/str.h"
#include "server/children.h"
#include "server/observation.h"
#include "server/text.h"

enum {
	QUIET_MS = 500,
	KILL_AFTER_MS = 1000,
	FLUSHED_MAX = 10000,	  /* events of one command that flushing may make */
	TIMEOUT_MOST_S = 1 << 30, /* a number of milliseconds fits any timer */
};

enum stage { RUNNING, TERMINATED, KILLED };

struct pipe_end {
	struct loop_source source; /* fd -1: closed */
	struct bash_command *command;
	struct text pending;
};

struct waiter {
	void (*done)(void *context, const char *id);
	void *context;
	struct waiter *next;
};

struct bash_command {
	struct bash_commands *all;
	struct child child;
	struct pipe_end pipes[2]; /* stdout, stderr */
	struct loop_timer timer;
	enum stage stage;
	uint64_t deadline;
	bool timed_out;
	bool reported; /* the last event is made; kept for the sake of a background process */
	int status;    /* of waitpid(), once child.pid is -1 */
	long timeout_s;
	pid_t group;
	int64_t order;
	char id[BASH_ID_LENGTH + 1];
	struct waiter *waiters;
	struct bash_command *next;
};

static struct bash_command *find(const struct bash_commands *commands, const char *id)
{
	struct bash_command *command = commands->running;

	while (command && (command->reported || strcmp(command->id, id) != 0))
		command = command->next;
	return command;
}

/* How much of the pending bytes makes a text: at most a chunk, and no part of a character at its end. */
static size_t whole_characters(const struct text *pending, bool last)
{
	size_t size = pending->size < BASH_CHUNK_MAX ? pending->size : BASH_CHUNK_MAX;

	if (last && size == pending->size)
		return size;
	for (size_t back = 1; back <= 3 && back <= size; back++) {
		unsigned char byte = (unsigned char)pending->bytes[size - back];
		if (byte < 0x80)
			break;
		size_t needs = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 0;
		if (needs)
			return needs > back ? size - back : size;
	}
	return size;
}

static void take(struct text *pending, size_t size)
{
	if (!pending->bytes)
		return;
	pending->size -= size;
	memmove(pending->bytes, pending->bytes + size, pending->size);
	if (!pending->size)
		text_free(pending);
}

/* An event of what is pending. @ended: it is the last one */
static void emit(struct bash_command *command, bool ended, int exit_code)
{
	struct text *out = &command->pipes[0].pending, *err = &command->pipes[1].pending;
	struct bash_event event = {
		.kind = BASH_OUTPUT,
		.order = command->order,
		.ended = ended,
		.exit_code = exit_code,
		.stdout_size = whole_characters(out, ended),
		.stderr_size = whole_characters(err, ended),
	};

	if (!ended && !event.stdout_size && !event.stderr_size)
		return;
	memcpy(event.command_id, command->id, sizeof event.command_id);
	command->order++;
	const struct bash_event *kept = bash_events_add(
		&command->all->events, event, out->bytes ? out->bytes : "", err->bytes ? err->bytes : "");
	take(out, event.stdout_size);
	take(err, event.stderr_size);
	if (ended)
		command->all->changed(command->all, kept);
}

static void close_pipe(struct pipe_end *end)
{
	if (end->source.fd < 0)
		return;
	loop_remove(end->command->all->loop, &end->source);
	close(end->source.fd);
	end->source.fd = -1;
}

static void command_free(struct bash_command *command)
{
	struct bash_command **link = &command->all->running;

	while (*link && *link != command)
		link = &(*link)->next;
	if (*link)
		*link = command->next;
	loop_set(command->all->loop, &command->timer, 0);
	children_forget(command->all->children, &command->child);
	for (int i = 0; i < 2; i++) {
		close_pipe(&command->pipes[i]);
		text_free(&command->pipes[i].pending);
	}
	free(command);
}

static int exit_code_of(const struct bash_command *command)
{
	if (command->timed_out || command->child.pid >= 0)
		return -1;
	return WIFSIGNALED(command->status) ? -WTERMSIG(command->status) : WEXITSTATUS(command->status);
}

/* Make the last event and tell those who wait. */
static void report(struct bash_command *command)
{
	struct waiter *waiters = steal_ptr(&command->waiters);

	loop_set(command->all->loop, &command->timer, 0);
	if (command->timed_out) {
		struct text *err = &command->pipes[1].pending;
		text_addf(err, "%s[The command timed out after %ld seconds.]\n",
			err->size && err->bytes[err->size - 1] != '\n' ? "\n" : "", command->timeout_s);
	}
	while (command->pipes[0].pending.size > BASH_CHUNK_MAX || command->pipes[1].pending.size > BASH_CHUNK_MAX)
		emit(command, false, 0);
	emit(command, true, exit_code_of(command));
	command->reported = true;
	while (waiters) {
		struct waiter *waiter = waiters;
		waiters = waiter->next;
		waiter->done(waiter->context, command->id);
		free(waiter);
	}
}

static void finish(struct bash_command *command)
{
	report(command);
	if (command->child.pid < 0 && command->pipes[0].source.fd < 0 && command->pipes[1].source.fd < 0)
		command_free(command);
}

static uint64_t sooner(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* Something happened: is it the end? Frees a command that nothing is left of. */
static void look(struct bash_command *command)
{
	bool gone = command->child.pid < 0;
	bool silent = command->pipes[0].source.fd < 0 && command->pipes[1].source.fd < 0;

	if (command->reported && gone && silent)
		command_free(command);
	else if (command->reported)
		return;
	else if (gone && silent)
		finish(command);
	else if (gone)
		loop_set(command->all->loop, &command->timer, sooner(loop_now() + QUIET_MS, command->deadline));
}

static void add_output(struct pipe_end *end, const char *bytes, size_t size)
{
	struct bash_command *command = end->command;

	text_add(&end->pending, bytes, size);
	command->all->printed(command->all, command->id, end == &command->pipes[1], bytes, size);
}

static void on_readable(struct loop_source *source, uint32_t events)
{
	struct pipe_end *end = (struct pipe_end *)(void *)source;
	struct bash_command *command = end->command;
	char bytes[64 << 10];
	ssize_t n = read(source->fd, bytes, sizeof bytes);

	(void)events;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0)
		close_pipe(end);
	else if (!command->reported)
		add_output(end, bytes, (size_t)n);
	if (end->pending.size >= BASH_CHUNK_MAX)
		emit(command, false, 0);
	look(command);
}

static void on_ended(struct child *child, int status)
{
	struct bash_command *command =
		(struct bash_command *)(void *)((char *)child - offsetof(struct bash_command, child));

	command->status = status;
	look(command);
}

static void terminate(struct bash_command *command)
{
	command->stage++;
	if (command->stage <= KILLED)
		child_kill(command->group, command->stage == TERMINATED ? SIGTERM : SIGKILL);
	loop_set(command->all->loop, &command->timer, loop_now() + KILL_AFTER_MS);
}

static void on_timer(struct loop_timer *timer)
{
	struct bash_command *command =
		(struct bash_command *)(void *)((char *)timer - offsetof(struct bash_command, timer));

	if (command->child.pid < 0 || command->stage == KILLED) {
		finish(command);
		return;
	}
	if (command->stage == RUNNING)
		command->timed_out = true;
	terminate(command);
}

[[gnu::noreturn]] static void exec_command(const char *text, int cwd, const int stdio[static 3])
{
	if (child_begin(stdio) < 0 || fchdir(cwd) < 0)
		_exit(EXIT_CANNOT_EXEC);
	execl("/bin/sh", "sh", "-c", text, (char *)NULL);
	dprintf(STDERR_FILENO, "Error executing command: /bin/sh: %s\n", strerror(errno));
	_exit(EXIT_NOT_FOUND);
}

static int add_pipe(struct bash_command *command, int i, int fd)
{
	command->pipes[i].source.fd = fd;
	return fd_set_nonblock(fd, true) < 0 ? -1 : loop_add(command->all->loop, &command->pipes[i].source, EPOLLIN);
}

/* Return: 0, or -1 with @err set to what the client is to read */
static int launch(struct bash_command *command, const char *text, const char *cwd, struct azm_err *err)
{
	int out[2] = { -1, -1 }, errors[2] = { -1, -1 };
	cleanup_fd int directory = open(cwd, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (directory < 0)
		return err_sys(err, "change to directory", cwd);
	if (pipe_pair(out, err) < 0)
		return -1;
	cleanup_fd int out_writer = out[1];
	if (pipe_pair(errors, err) < 0) {
		close(out[0]);
		return -1;
	}
	cleanup_fd int error_writer = errors[1];
	if (add_pipe(command, 0, out[0]) < 0 || add_pipe(command, 1, errors[0]) < 0)
		return err_sys(err, "watch the command's output", NULL);
	pid_t pid = fork();
	if (pid == 0)
		exec_command(text, directory, (const int[]){ -1, out_writer, error_writer });
	if (pid < 0)
		return err_sys(err, "start a process", NULL);
	command->child.pid = command->group = pid;
	children_watch(command->all->children, &command->child);
	return 0;
}

static struct bash_command *new_command(struct bash_commands *commands, long timeout_s)
{
	struct bash_command *command = xcalloc(1, sizeof *command);

	command->all = commands;
	command->child = (struct child){ .pid = -1, .ended = on_ended };
	for (int i = 0; i < 2; i++) {
		command->pipes[i].source = (struct loop_source){ .fd = -1, .ready = on_readable };
		command->pipes[i].command = command;
	}
	command->timer.fire = on_timer;
	command->timeout_s = timeout_s < 0 ? 0 : timeout_s > TIMEOUT_MOST_S ? TIMEOUT_MOST_S : timeout_s;
	command->deadline = loop_now() + (uint64_t)command->timeout_s * 1000;
	command->next = commands->running;
	commands->running = command;
	return command;
}

static void refuse(struct bash_command *command, const struct azm_err *err)
{
	text_addf(&command->pipes[1].pending, "Error executing command: %s: %s", err->text,
		err->reason[0] ? err->reason : strerror(err->code));
	for (int i = 0; i < 2; i++)
		close_pipe(&command->pipes[i]);
	emit(command, true, -1);
	command_free(command);
}

static size_t count(const struct bash_commands *commands, bool reported)
{
	size_t found = 0;

	for (const struct bash_command *command = commands->running; command; command = command->next)
		found += command->reported == reported;
	return found;
}

/* Pipes of commands that left a process behind are descriptors of ours: the oldest are closed when there are many. */
static void forget_old(struct bash_commands *commands)
{
	while (count(commands, true) > BASH_RUNNING_MAX) {
		struct bash_command *oldest = NULL;
		for (struct bash_command *command = commands->running; command; command = command->next)
			oldest = command->reported ? command : oldest;
		command_free(oldest);
	}
}

int bash_commands_start(struct bash_commands *commands, const char *command, const char *cwd, long timeout_s,
	char id[static BASH_ID_LENGTH + 1])
{
	struct azm_err err = { 0 };
	struct bash_event event = { .kind = BASH_COMMAND };

	forget_old(commands);
	if (count(commands, false) >= BASH_RUNNING_MAX) {
		errno = EAGAIN;
		return -1;
	}
	event.request = json_pack("{s:o, s:o, s:I}", "command", json_text(command), "cwd", json_text(cwd), "timeout",
		(json_int_t)timeout_s);
	const struct bash_event *kept = bash_events_add(&commands->events, event, "", "");
	memcpy(id, kept->id, BASH_ID_LENGTH + 1);
	commands->changed(commands, kept);
	struct bash_command *new = new_command(commands, timeout_s);
	memcpy(new->id, id, BASH_ID_LENGTH + 1);
	if (launch(new, command, cwd ? cwd : commands->default_cwd, &err) < 0)
		refuse(new, &err);
	else
		loop_set(commands->loop, &new->timer, new->deadline);
	return 0;
}

bool bash_commands_is_running(const struct bash_commands *commands, const char *id)
{
	return find(commands, id);
}

void bash_commands_stop(struct bash_commands *commands, const char *id)
{
	struct bash_command *command = find(commands, id);

	if (command && command->child.pid < 0)
		finish(command);
	else if (command && command->stage == RUNNING)
		terminate(command);
}

void bash_commands_wait(
	struct bash_commands *commands, const char *id, void (*done)(void *context, const char *id), void *context)
{
	struct bash_command *command = find(commands, id);
	struct waiter *waiter = xcalloc(1, sizeof *waiter);

	*waiter = (struct waiter){ .done = done, .context = context, .next = command->waiters };
	command->waiters = waiter;
}

void bash_commands_flush(struct bash_commands *commands, const char *id)
{
	struct bash_command *command = find(commands, id);

	if (command && command->order < FLUSHED_MAX)
		emit(command, false, 0);
}

void bash_commands_end(struct bash_commands *commands)
{
	for (struct bash_command *command = commands->running, *next; command; command = next) {
		next = command->next;
		if (command->child.pid >= 0)
			child_kill(command->group, SIGKILL);
		if (!command->reported)
			report(command);
		command_free(command);
	}
	bash_events_clear(&commands->events);
	free(commands->events.events);
	spool_close(&commands->events.spool);
}
