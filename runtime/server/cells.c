// SPDX-License-Identifier: GPL-2.0-or-later
/* server/cells.c: see cells.h
 *
 * Theory of operation
 *
 * cells.py runs in a process of its own. A cell goes to it as a line of JSON on a socket, and comes back as one when it
 * is done; what it prints comes through a pipe meanwhile. The line is sent after the last byte was written to the pipe,
 * so draining the pipe then gives all of the cell's output.
 *
 * A cell that takes too long is interrupted: SIGINT to the process group, so that programs it runs stop as well. If the
 * cell is not done GRACE_MS later, everything is killed, and the next cell begins with a new process.
 */
#include "server/cells.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/str.h"
#include "server/text.h"

enum {
	GRACE_MS = 2000, /* the client waits five seconds more than the timeout */
	ANSWER_MAX = 64 << 20,
	KEEP_HEAD = 1 << 20,
	KEEP_TAIL = 1 << 20,
	CONTROL_FD = 3,
	SOURCE_FD = 4,
};

__asm__(".section .rodata\n.balign 8\ncells_source_start:\n.incbin \"runtime/server/cells.py\"\ncells_source_end:\n"
	".balign 8\ncells_source_size: .quad cells_source_end - cells_source_start\n.previous\n");
extern const char cells_source_start[];
extern const uint64_t cells_source_size;

/* The helper's source comes through a descriptor: nothing is written into the image. */
static const char boot[] =
	"import os\nwith os.fdopen(4, 'rb') as f:\n    code = compile(f.read(), '<azm-cells>', 'exec')\nexec(code)\n";

struct cells {
	struct child child; /* pid -1 while there is no process */
	struct loop *loop;
	struct child **children;
	struct loop_source control, output;
	struct loop_timer timer;
	struct text sending, answer; /* what is still to be sent; the line that comes back */
	struct text printed;
	size_t dropped; /* bytes of the middle of what was printed */
	double timeout_s;
	bool busy, interrupted, killed;
	void (*done)(void *context, const char *text, json_t *images, const char *python);
	void *context;
};

/* ---- the interpreter ---- */

/* Upstream's image has an interpreter of its own, with the functions its agents expect. Caller owns; NULL: none */
static char *find_python(void)
{
	glob_t found;
	char *python = NULL;

	if (glob("/openhands/poetry/openhands-ai-*/bin/python", GLOB_NOSORT, NULL, &found) == 0) {
		if (access(found.gl_pathv[0], X_OK) == 0)
			python = xstrdup(found.gl_pathv[0]);
		globfree(&found);
	}
	if (!python)
		python = executable_find("python3");
	return python ? python : executable_find("python");
}

[[gnu::noreturn]] static void become_python(const char *python, int control, int output, int source)
{
	char *const argv[] = { (char *)(uintptr_t)python, (char *)(uintptr_t) "-c", (char *)(uintptr_t)boot, NULL };
	int high_control = fcntl(control, F_DUPFD, SOURCE_FD + 1), high_source = fcntl(source, F_DUPFD, SOURCE_FD + 1);

	if (high_control < 0 || high_source < 0 || child_begin((const int[]){ -1, output, output }) < 0 ||
		dup2(high_control, CONTROL_FD) < 0 || dup2(high_source, SOURCE_FD) < 0)
		_exit(EXIT_CANNOT_EXEC);
	(void)fd_close_range(SOURCE_FD + 1, ~0u);
	execv(python, argv);
	_exit(EXIT_CANNOT_EXEC);
}

static int source_file(void)
{
	cleanup_fd int fd = memfd_create("azm-cells", MFD_CLOEXEC);

	if (fd < 0 || write_full(fd, cells_source_start, cells_source_size) < 0 || lseek(fd, 0, SEEK_SET) < 0)
		return -1;
	return steal_fd(&fd);
}

static void on_control(struct loop_source *source, uint32_t events);
static void on_output(struct loop_source *source, uint32_t events);
static void on_ended(struct child *child, int status);

static int watch(struct cells *cells, int control, int output)
{
	cells->control = (struct loop_source){ .fd = control, .ready = on_control };
	cells->output = (struct loop_source){ .fd = output, .ready = on_output };
	fd_set_nonblock(control, true);
	fd_set_nonblock(output, true);
	return loop_add(cells->loop, &cells->control, EPOLLIN) < 0 || loop_add(cells->loop, &cells->output, EPOLLIN) < 0
		       ? -1
		       : 0;
}

/* Return: 0, -1 with errno */
static int start(struct cells *cells, const char *python)
{
	int control[2], output[2];
	cleanup_fd int source = source_file();

	if (source < 0 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, control) < 0)
		return -1;
	if (pipe2(output, O_CLOEXEC) < 0) {
		close(control[0]);
		close(control[1]);
		return -1;
	}
	pid_t pid = fork();
	if (pid == 0)
		become_python(python, control[1], output[1], source);
	close(control[1]);
	close(output[1]);
	if (pid < 0 || watch(cells, control[0], output[0]) < 0) {
		close(control[0]);
		close(output[0]);
		return -1;
	}
	cells->child = (struct child){ .pid = pid, .ended = on_ended };
	children_watch(cells->children, &cells->child);
	return 0;
}

/* The process is gone, or is to be: nothing of it is kept. */
static void forget_process(struct cells *cells)
{
	loop_remove(cells->loop, &cells->control);
	loop_remove(cells->loop, &cells->output);
	close(cells->control.fd);
	close(cells->output.fd);
	cells->child.pid = -1;
	text_free(&cells->sending);
	text_free(&cells->answer);
}

/* ---- what a cell prints ---- */

/* The first and the last part of what does not fit are kept. */
static void limit_printed(struct cells *cells)
{
	struct text *printed = &cells->printed;

	if (printed->size < KEEP_HEAD + 4 * KEEP_TAIL)
		return;
	memmove(printed->bytes + KEEP_HEAD, printed->bytes + printed->size - KEEP_TAIL, KEEP_TAIL);
	cells->dropped += printed->size - KEEP_HEAD - KEEP_TAIL;
	printed->size = KEEP_HEAD + KEEP_TAIL;
}

/* Return: whether there may be more */
static bool read_output(struct cells *cells)
{
	char bytes[64 << 10];
	ssize_t n = read(cells->output.fd, bytes, sizeof bytes);

	if (n <= 0)
		return n < 0 && errno == EINTR;
	if (!cells->interrupted) { /* what comes after it is only the traceback of the interrupt */
		text_add(&cells->printed, bytes, (size_t)n);
		limit_printed(cells);
	}
	return true;
}

/* Bytes of a colour escape at @at, ESC [ digits ; ... m; 0: there is none */
static size_t colour_escape(const char *at, const char *end)
{
	const char *s = at + 2;

	if (end - at < 3 || at[0] != '\033' || at[1] != '[')
		return 0;
	while (s < end && ((*s >= '0' && *s <= '9') || *s == ';'))
		s++;
	return s < end && *s == 'm' ? (size_t)(s + 1 - at) : 0;
}

/* What the agent reads: no colours, no NUL, nothing blank at the end. */
static void add_clean(struct text *out, const char *bytes, size_t size)
{
	const char *end = bytes + size;

	while (bytes < end) {
		size_t skip = colour_escape(bytes, end);
		const char *next = bytes + 1;
		while (!skip && next < end && *next != '\033')
			next++;
		if (!skip)
			text_add(out, bytes, (size_t)(next - bytes));
		bytes = skip ? bytes + skip : next;
	}
}

static char *printed_text(const struct cells *cells)
{
	const struct text *printed = &cells->printed;
	size_t head = cells->dropped ? (size_t)KEEP_HEAD : printed->size;
	struct text out = { 0 };

	if (head)
		add_clean(&out, printed->bytes, head);
	if (cells->dropped) {
		text_addf(&out, "\n[... %zu bytes of output are left out ...]\n", cells->dropped);
		add_clean(&out, printed->bytes + head, printed->size - head);
	}
	for (size_t i = 0; i < out.size; i++)
		if (!out.bytes[i])
			out.bytes[i] = '?';
	return text_strip_right(text_take(&out));
}

/* ---- the end of a cell ---- */

/* @note: appended on a line of its own; NULL: none */
static void finish(struct cells *cells, const char *note, json_t *images, const char *python)
{
	cleanup_free char *printed = printed_text(cells);
	cleanup_free char *text = note	     ? xasprintf("%s%s%s", printed, *printed ? "\n" : "", note)
				  : *printed ? xstrdup(printed)
					     : xstrdup("[Code executed successfully with no output]");

	cells->busy = false;
	loop_set(cells->loop, &cells->timer, 0);
	text_free(&cells->printed);
	cells->dropped = 0;
	cells->done(cells->context, text, images, python);
}

static char *timeout_note(const struct cells *cells)
{
	char number[32];

	return xasprintf("[Execution timed out (%s seconds).]%s", text_from_double(cells->timeout_s, number),
		cells->killed ? "\n[The Python process did not stop and was killed: its variables are lost.]" : "");
}

static json_t *data_urls(const json_t *images)
{
	size_t i;
	json_t *image, *urls = json_array_size(images) ? json_array() : NULL;

	json_array_foreach(images, i, image)
	{
		const char *data = json_string_value(image);
		cleanup_free char *url = xasprintf("data:image/png;base64,%s", data ? data : "");
		url[strcspn(url, "\n")] = '\0';
		json_array_append_new(urls, json_string(url));
	}
	return urls;
}

static void take_answer(struct cells *cells)
{
	json_error_t error;
	json_t *answer = json_loadb(cells->answer.bytes, cells->answer.size, 0, &error);
	json_t *urls = data_urls(json_object_get(answer, "images"));
	const char *python = json_string_value(json_object_get(answer, "python"));
	cleanup_free char *note = cells->interrupted ? timeout_note(cells) : NULL;

	while (read_output(cells))
		;
	text_free(&cells->answer);
	finish(cells, note, urls, python ? python : "");
	json_decref(urls);
	json_decref(answer);
}

static void end_process(struct cells *cells)
{
	cells->killed = true;
	kill(-cells->child.pid, SIGKILL);
}

static void on_ended(struct child *child, int status)
{
	struct cells *cells = (struct cells *)(void *)((char *)child - offsetof(struct cells, child));
	cleanup_free char *note = NULL;

	while (read_output(cells))
		;
	forget_process(cells);
	if (!cells->busy)
		return;
	if (cells->interrupted)
		note = timeout_note(cells);
	else if (WIFSIGNALED(status))
		note = xasprintf("[The Python process was killed by signal %d (%s): its variables are lost.]",
			WTERMSIG(status), strsignal(WTERMSIG(status)));
	else
		note = xasprintf(
			"[The Python process ended with exit code %d: its variables are lost.]", WEXITSTATUS(status));
	finish(cells, note, NULL, "");
}

static void on_output(struct loop_source *source, uint32_t events)
{
	struct cells *cells = (struct cells *)(void *)((char *)source - offsetof(struct cells, output));

	(void)events;
	/* All writers are gone although the process may live on: it has closed its descriptors. */
	if (!read_output(cells) && errno != EAGAIN)
		loop_want(cells->loop, source, 0);
}

static void send_rest(struct cells *cells)
{
	ssize_t n = send(cells->control.fd, cells->sending.bytes, cells->sending.size, MSG_NOSIGNAL | MSG_DONTWAIT);

	if (n > 0) {
		cells->sending.size -= (size_t)n;
		memmove(cells->sending.bytes, cells->sending.bytes + n, cells->sending.size);
	}
	loop_want(cells->loop, &cells->control, cells->sending.size ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

static void on_control(struct loop_source *source, uint32_t events)
{
	struct cells *cells = (struct cells *)(void *)((char *)source - offsetof(struct cells, control));
	char bytes[64 << 10];

	if (events & EPOLLOUT)
		send_rest(cells);
	ssize_t n = recv(source->fd, bytes, sizeof bytes, MSG_DONTWAIT);
	if (n < 0)
		return;
	if (n == 0 || cells->answer.size + (size_t)n > ANSWER_MAX) { /* it is ending, or has gone mad */
		loop_want(cells->loop, source, 0);
		end_process(cells);
		return;
	}
	text_add(&cells->answer, bytes, (size_t)n);
	if (cells->answer.bytes[cells->answer.size - 1] == '\n' && cells->busy)
		take_answer(cells);
}

static void on_timer(struct loop_timer *timer)
{
	struct cells *cells = (struct cells *)(void *)((char *)timer - offsetof(struct cells, timer));

	if (cells->interrupted) {
		end_process(cells);
		return;
	}
	while (read_output(cells))
		;
	cells->interrupted = true;
	kill(-cells->child.pid, SIGINT);
	loop_set(cells->loop, &cells->timer, loop_now() + GRACE_MS);
}

/* ---- for others ---- */

struct cells *cells_new(struct loop *loop, struct child **children)
{
	struct cells *cells = xcalloc(1, sizeof *cells);

	cells->loop = loop;
	cells->children = children;
	cells->child.pid = -1;
	cells->timer.fire = on_timer;
	return cells;
}

static void send_cell(struct cells *cells, const struct cell *cell)
{
	json_t *request = json_pack(
		"{s:s%, s:s, s:s}", "code", cell->code, cell->code_size, "init", cell->init, "cwd", cell->cwd);
	cleanup_free char *line = json_dumps(request, JSON_COMPACT | JSON_ENSURE_ASCII);

	text_addf(&cells->sending, "%s\n", line ? line : "");
	json_decref(request);
	send_rest(cells);
}

void cells_run(struct cells *cells, const struct cell *cell)
{
	cells->busy = true;
	cells->interrupted = cells->killed = false;
	cells->timeout_s = cell->timeout_s;
	cells->done = cell->done;
	cells->context = cell->context;
	if (cells->child.pid < 0) {
		cleanup_free char *python = find_python();
		cleanup_free char *why = NULL;
		if (!python)
			why = xstrdup("There is no python3 in this image, so Python cells cannot be run.");
		else if (start(cells, python) < 0)
			why = xasprintf("Python cells cannot be run: %s: %s", python, strerror(errno));
		if (why) {
			finish(cells, why, NULL, NULL);
			return;
		}
	}
	uint64_t timeout_ms = cell->timeout_s < 1e9 ? (uint64_t)(cell->timeout_s * 1000) : (uint64_t)1e12;
	loop_set(cells->loop, &cells->timer, loop_now() + timeout_ms);
	send_cell(cells, cell);
}

void cells_free(struct cells *cells)
{
	if (!cells)
		return;
	loop_set(cells->loop, &cells->timer, 0);
	if (cells->child.pid > 0) {
		kill(-cells->child.pid, SIGKILL);
		children_forget(cells->children, &cells->child);
		forget_process(cells);
	}
	text_free(&cells->printed);
	free(cells);
}
