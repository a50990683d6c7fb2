// SPDX-License-Identifier: GPL-2.0-or-later
/* server/terminal.c: see terminal.h
 *
 * A frame is made when something changed and the viewer has taken the frame before: a program that floods the screen
 * costs as many frames as the viewer can follow, not as many as it prints.
 */
#include "server/terminal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "server/children.h"
#include "server/display.h"
#include "server/pty.h"
#include "server/server.h"
#include "server/stream.h"

enum {
	FRAME_MS = 16,
	READS_PER_TURN = 16,
	LAST_OUTPUT_MS = 50,
	INPUT_MAX = 1 << 20, /* waiting for a program that does not read; more is dropped */
};

struct terminal {
	struct server *server;
	json_int_t number;
	struct loop_source source; /* our end; fd -1: everybody closed the other end */
	struct child child;
	int status;
	struct display *display;
	struct text input;
	bool wants_write;
	struct stream *viewer;
	struct loop_timer frame; /* or the end, once the shell is gone */
	struct loop_timer unseen;
	uint64_t seen_at;
	struct terminal *next;
};

static struct terminal *terminal_of(struct loop_timer *timer, size_t offset)
{
	return (struct terminal *)(void *)((char *)timer - offset);
}

static void close_pty(struct terminal *terminal)
{
	if (terminal->source.fd < 0)
		return;
	loop_remove(&terminal->server->loop, &terminal->source);
	close(terminal->source.fd);
	terminal->source.fd = -1;
}

static void send_frame(struct terminal *terminal)
{
	if (terminal->viewer && !stream_waiting(terminal->viewer) && display_changed(terminal->display))
		stream_send(terminal->viewer, "screen", display_frame(terminal->display));
}

static void end(struct terminal *terminal)
{
	int code = WIFSIGNALED(terminal->status) ? 128 + WTERMSIG(terminal->status) : WEXITSTATUS(terminal->status);

	if (terminal->viewer) {
		stream_send(terminal->viewer, "screen", display_frame(terminal->display));
		stream_send(terminal->viewer, "exit", json_pack("{s:i}", "code", code));
	}
	terminal_free(terminal);
}

static void on_frame(struct loop_timer *timer)
{
	struct terminal *terminal = terminal_of(timer, offsetof(struct terminal, frame));

	if (terminal->child.pid < 0)
		end(terminal);
	else
		send_frame(terminal);
}

static void on_unseen(struct loop_timer *timer)
{
	terminal_free(terminal_of(timer, offsetof(struct terminal, unseen)));
}

static void frame_soon(struct terminal *terminal)
{
	if (terminal->viewer && !terminal->frame.at)
		loop_set(&terminal->server->loop, &terminal->frame, loop_now() + FRAME_MS);
}

static void write_input(struct terminal *terminal)
{
	struct text *input = &terminal->input;
	ssize_t n = 1;

	if (terminal->source.fd < 0)
		return;
	while (input->size && (n = write(terminal->source.fd, input->bytes, input->size)) > 0) {
		input->size -= (size_t)n;
		memmove(input->bytes, input->bytes + n, input->size);
	}
	if (!input->size)
		text_free(input);
	if (terminal->wants_write != (input->size > 0)) {
		terminal->wants_write = !terminal->wants_write;
		loop_want(
			&terminal->server->loop, &terminal->source, EPOLLIN | (terminal->wants_write ? EPOLLOUT : 0u));
	}
}

static void on_type(const char *bytes, size_t size, void *context)
{
	struct terminal *terminal = context;

	if (terminal->input.size + size <= INPUT_MAX)
		text_add(&terminal->input, bytes, size);
	write_input(terminal);
}

static void on_pty(struct loop_source *source, uint32_t events)
{
	struct terminal *terminal = (struct terminal *)(void *)((char *)source - offsetof(struct terminal, source));
	char bytes[4096];
	ssize_t n = 1;

	if (events & EPOLLOUT)
		write_input(terminal);
	for (int i = 0; i < READS_PER_TURN && n > 0; i++) {
		n = read(source->fd, bytes, sizeof bytes);
		if (n > 0)
			display_write(terminal->display, bytes, (size_t)n);
	}
	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		close_pty(terminal);
	frame_soon(terminal);
}

/* The last output may still be on its way. */
static void on_ended(struct child *child, int status)
{
	struct terminal *terminal = (struct terminal *)(void *)((char *)child - offsetof(struct terminal, child));

	terminal->status = status;
	loop_set(&terminal->server->loop, &terminal->frame, loop_now() + LAST_OUTPUT_MS);
}

[[gnu::noreturn]] static void exec_shell(const struct server *server, int peer)
{
	static const char *const unwanted[] = { "COLUMNS", "LINES", "PS1", "ENV", "BASH_ENV", "PROMPT_COMMAND" };
	/* The screen is UTF-8. In the C locale bash takes the bytes of other characters for keys of its editor. */
	static const char script[] = "if [ -z \"$LC_ALL$LC_CTYPE$LANG\" ]; then for l in C.utf8 C.UTF-8; do "
				     "[ ! -e /usr/lib/locale/$l ] || export LC_CTYPE=C.UTF-8; done; fi; unset l; "
				     "if bash -c : 2>/dev/null; then exec bash -i; fi; exec sh -i";

	if (child_begin((const int[]){ peer, peer, peer }) < 0 || ioctl(STDIN_FILENO, TIOCSCTTY, 0) < 0)
		_exit(EXIT_CANNOT_EXEC);
	if (chdir(server->options.working_dir) < 0 && chdir("/") < 0)
		_exit(EXIT_CANNOT_EXEC);
	for (size_t i = 0; i < sizeof unwanted / sizeof *unwanted; i++)
		unsetenv(unwanted[i]);
	setenv("TERM", "xterm-256color", 1);
	execl("/bin/sh", "sh", "-c", script, (char *)NULL);
	_exit(EXIT_NOT_FOUND);
}

/* Make room for one more. */
static int evict(struct server *server, struct azm_err *err)
{
	struct terminal *oldest = NULL;
	int count = 0;

	for (struct terminal *terminal = server->terminals; terminal; terminal = terminal->next) {
		count++;
		if (!terminal->viewer && (!oldest || terminal->seen_at <= oldest->seen_at))
			oldest = terminal;
	}
	if (count < TERMINALS_MAX)
		return 0;
	if (!oldest)
		return err_msg(err, EBUSY, "start a terminal", NULL, "%d are open already", TERMINALS_MAX);
	terminal_free(oldest);
	return 0;
}

static int launch(struct terminal *terminal, int rows, int columns, struct azm_err *err)
{
	cleanup_fd int peer = -1;
	struct server *server = terminal->server;

	terminal->source.fd = pty_open(rows, columns, &peer, err);
	if (terminal->source.fd < 0)
		return -1;
	if (loop_add(&server->loop, &terminal->source, EPOLLIN) < 0)
		return err_sys(err, "watch a terminal", NULL);
	pid_t pid = fork();
	if (pid == 0)
		exec_shell(server, peer);
	if (pid < 0)
		return err_sys(err, "start a shell", NULL);
	terminal->child.pid = pid;
	children_watch(&server->children, &terminal->child);
	return 0;
}

struct terminal *terminal_start(struct server *server, int rows, int columns, struct azm_err *err)
{
	if (evict(server, err) < 0)
		return NULL;
	struct terminal *terminal = xcalloc(1, sizeof *terminal);
	terminal->server = server;
	terminal->number = ++server->terminal_numbers;
	terminal->source = (struct loop_source){ .fd = -1, .ready = on_pty };
	terminal->child = (struct child){ .pid = -1, .ended = on_ended };
	terminal->display = display_new(rows, columns, on_type, terminal);
	terminal->frame.fire = on_frame;
	terminal->unseen.fire = on_unseen;
	terminal->seen_at = loop_now();
	terminal->next = server->terminals;
	server->terminals = terminal;
	loop_set(&server->loop, &terminal->unseen, loop_now() + TERMINAL_KEEP_MS);
	if (launch(terminal, rows, columns, err) < 0) {
		terminal_free(terminal);
		return NULL;
	}
	return terminal;
}

struct terminal *terminal_find(const struct server *server, const char *number)
{
	struct terminal *terminal = server->terminals;
	uint64_t wanted;

	if (!str_to_u64(number, INT64_MAX, &wanted))
		return NULL;
	while (terminal && terminal->number != (json_int_t)wanted)
		terminal = terminal->next;
	return terminal;
}

json_int_t terminal_number(const struct terminal *terminal)
{
	return terminal->number;
}

static void on_drained(void *context)
{
	frame_soon(context);
}

static void on_closed(void *context)
{
	struct terminal *terminal = context;

	terminal->viewer = NULL;
	terminal->seen_at = loop_now();
	loop_set(&terminal->server->loop, &terminal->unseen, loop_now() + TERMINAL_KEEP_MS);
}

static const struct stream_events viewer_events = { .drained = on_drained, .closed = on_closed };

/* It gets what was sent already. */
static void dismiss_viewer(struct terminal *terminal)
{
	struct stream *viewer = steal_ptr(&terminal->viewer);

	if (viewer)
		stream_leave(viewer);
}

void terminal_show(struct terminal *terminal, struct request *request)
{
	if (terminal->viewer)
		stream_send(terminal->viewer, "taken", json_object());
	dismiss_viewer(terminal);
	loop_set(&terminal->server->loop, &terminal->unseen, 0);
	terminal->viewer = stream_start(request, &viewer_events, terminal);
	display_touch(terminal->display);
	frame_soon(terminal);
}

bool terminal_keys(struct terminal *terminal, const json_t *items)
{
	size_t i;
	json_t *item;

	json_array_foreach(items, i, item) if (!display_key(terminal->display, item)) return false;
	return json_is_array(items);
}

void terminal_resize(struct terminal *terminal, int rows, int columns)
{
	display_resize(terminal->display, rows, columns);
	if (terminal->source.fd >= 0)
		pty_resize(terminal->source.fd, rows, columns);
	frame_soon(terminal);
}

void terminal_free(struct terminal *terminal)
{
	struct server *server = terminal->server;
	struct terminal **link = &server->terminals;

	while (*link != terminal)
		link = &(*link)->next;
	*link = terminal->next;
	dismiss_viewer(terminal);
	loop_set(&server->loop, &terminal->frame, 0);
	loop_set(&server->loop, &terminal->unseen, 0);
	children_forget(&server->children, &terminal->child);
	close_pty(terminal);
	display_free(terminal->display);
	text_free(&terminal->input);
	free(terminal);
}

void terminals_free(struct server *server)
{
	for (struct terminal *terminal = server->terminals, *next; terminal; terminal = next) {
		next = terminal->next;
		terminal_free(terminal);
	}
}
