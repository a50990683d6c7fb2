// SPDX-License-Identifier: GPL-2.0-or-later
/* server/shell.c: see shell.h; how commands and their ends are recognised is told in shell_script.h.
 *
 * Theory of operation
 *
 * STARTING -> (first end mark) -> READY -> shell_run() -> TYPED -> (start mark) -> RUNNING -> (end mark) -> READY
 *
 * Output is rendered in every phase but TYPED, where it is the echo of the line that was typed. An end mark counts in
 * RUNNING, and in READY after control characters were typed at the prompt; in TYPED it belongs to an earlier prompt.
 *
 * The report that goes with bash's end mark counts if the shell wrote it. From another process it counts if that is a
 * bash, owns the terminal and reads it the way a command line is read: an interactive shell within the shell. It may
 * take a moment from its report to that state, so it is looked at a few times.
 *
 * The start of a command waits for our word (shell_channel_go()), so that the terminal has its first modes again when
 * it runs, whatever the command before did to them. What is typed for a command waits for its start as well, since the
 * shell would take it for itself; but not for ever, as something may keep the shell from it that a key can end.
 *
 * A key that sends a signal is looked after for a while: see foreground.h.
 *
 * A command may take the prompt hook away, and busybox forgets to print its prompt when a background process ends
 * meanwhile (a write that a signal interrupts is not repeated); then nothing says that the command has ended. Such a
 * shell is asked (shell_probe()) once it reads a line and is silent: at two looks, as what it printed last may be on
 * its way through the kernel, or have arrived while nobody let us run, and would be taken for echo. A shell that edits
 * no lines (dash) reads them as any program does, and cannot be known to.
 *
 * The end of the shell is known from its status and the end of its terminal, in either order: the last output may still
 * be on its way when the process is gone, and a background process may keep the terminal open for ever, so after the
 * status the output gets a moment and no more.
 */
#include "server/shell.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/str.h"
#include "server/foreground.h"
#include "server/screen.h"
#include "server/shell_process.h"
#include "server/shell_script.h"

enum {
	LAST_OUTPUT_MS = 50,
	NESTED_LOOKS = 8, /* the first after 1 ms, then twice as long each */
	SIGNAL_LOOKS = 8, /* the first after 8 ms, then twice as long each */
	HELD_MS = 1000,
	SECOND_LOOK_MS = 250,
	REPLIES_MAX = 4096, /* answers to terminal queries that nobody reads are dropped beyond this */
};

enum phase { STARTING, READY, TYPED, RUNNING, GONE };

struct shell {
	struct shell_config config;
	struct shell_process process;
	enum phase phase;
	bool started;  /* there was a first prompt */
	bool begun;    /* and the last command was begun */
	bool refused;  /* instead, there was another prompt */
	char *waiting; /* command given to shell_run() before it; NULL if none */
	bool busy;     /* its callbacks are running: shell_free() only sets doomed */
	bool doomed;
	bool wants_write; /* the loop watches for room to write */
	bool silent;	  /* there was no output since the first look of a probe */
	bool replied;	  /* the terminal answered a query of the command that runs or ran last */
	int status;	  /* of waitpid(), once phase is GONE */
	struct loop_source terminal, reports;
	bool terminal_open;
	struct loop_timer last_output, nested, held_long, signalled, second_look;
	int nested_looks, signal_looks;
	struct foreground hit; /* who had the terminal when the last key was typed that sends a signal */
	char key;	       /* that one */
	struct text held;      /* not yet typed: the command has not begun */
	struct text input;     /* not yet written to the terminal */
	struct text output;    /* read, not yet taken apart: an incomplete mark */
	struct screen *screen;
	struct shell *next;
};

static struct shell *shell_of_terminal(struct loop_source *source)
{
	return (struct shell *)(void *)((char *)source - offsetof(struct shell, terminal));
}

static struct shell *shell_of_reports(struct loop_source *source)
{
	return (struct shell *)(void *)((char *)source - offsetof(struct shell, reports));
}

static void write_input(struct shell *shell)
{
	if (!shell->terminal_open)
		return;
	while (shell->input.size) {
		ssize_t n = write(shell->terminal.fd, shell->input.bytes, shell->input.size);
		if (n <= 0)
			break;
		shell->input.size -= (size_t)n;
		memmove(shell->input.bytes, shell->input.bytes + n, shell->input.size);
	}
	if (shell->wants_write != (shell->input.size > 0)) {
		shell->wants_write = !shell->wants_write;
		loop_want(shell->config.loop, &shell->terminal, EPOLLIN | (shell->wants_write ? EPOLLOUT : 0u));
	}
}

static void type_now(struct shell *shell, const char *bytes, size_t size)
{
	text_add(&shell->input, bytes, size);
	write_input(shell);
}

static void release_held(struct shell *shell)
{
	loop_set(shell->config.loop, &shell->held_long, 0);
	type_now(shell, shell->held.bytes, shell->held.size);
	text_free(&shell->held);
}

static void on_held_long(struct loop_timer *timer)
{
	release_held((struct shell *)(void *)((char *)timer - offsetof(struct shell, held_long)));
}

static int type_command(struct shell *shell, const char *command, struct azm_err *err)
{
	const char *line = shell_script_line(shell->process.dialect);
	cleanup_text struct text script = { 0 };

	shell->process.keys.command++;
	shell_script_command(&script, shell->process.dialect, &shell->process.keys, command);
	if (shell_process_script(&shell->process, &script, err) < 0)
		return -1;
	shell->phase = TYPED;
	shell->begun = shell->refused = false;
	loop_set(shell->config.loop, &shell->signalled, 0);
	loop_set(shell->config.loop, &shell->second_look, 0);
	type_now(shell, line, strlen(line));
	return 0;
}

static void first_prompt(struct shell *shell)
{
	struct azm_err ignored;
	cleanup_free char *command = steal_ptr(&shell->waiting);

	shell->started = true;
	shell->phase = READY;
	screen_clear(shell->screen);
	/* A memory file that was written a moment ago can be written again; without memory left nothing works anyway.
	 */
	if (command && type_command(shell, command, &ignored) < 0)
		shell->phase = READY;
}

static void handle_prompt(struct shell *shell, const struct shell_prompt *prompt)
{
	switch (shell->phase) {
	case STARTING:
		first_prompt(shell);
		break;
	case READY:
	case RUNNING:
		shell->phase = READY;
		shell->config.events->prompt(shell->config.context, prompt);
		break;
	case TYPED:
	case GONE:
		break;
	}
}

void shell_await_line(const struct shell *shell)
{
	enum { PAUSE_US = 500, PAUSES = 100 };

	for (int i = 0; shell->process.dialect == SHELL_BASH && i < PAUSES &&
			!foreground_reads_line(shell->terminal.fd, shell->process.pid);
		i++)
		usleep(PAUSE_US);
}

static void look_at_nested(struct shell *shell)
{
	struct shell_prompt prompt;
	pid_t reporter;
	char *report = shell_channel_report(&shell->process.channel, &reporter);

	if (!report || reporter == shell->process.pid || !foreground_is_bash(reporter)) /* it is an impostor */
		return;
	if (!foreground_reads_line(shell->terminal.fd, reporter)) {
		if (shell->nested_looks < NESTED_LOOKS)
			loop_set(shell->config.loop, &shell->nested, loop_now() + (1u << shell->nested_looks++));
		return;
	}
	shell_channel_forget(&shell->process.channel);
	if (shell_report_parse(report, &shell->process.keys, &prompt))
		handle_prompt(shell, &prompt);
}

static void on_nested(struct loop_timer *timer)
{
	look_at_nested((struct shell *)(void *)((char *)timer - offsetof(struct shell, nested)));
}

/* @report: what came with the mark; if marks carry none, it came through the channel just before a genuine one. */
static void handle_end_mark(struct shell *shell, char *report)
{
	struct shell_prompt prompt;
	pid_t reporter = shell->process.pid;

	shell->refused |= shell->phase == TYPED;
	if (!shell->process.keys.marks_report) {
		shell_channel_receive(&shell->process.channel);
		report = shell_channel_report(&shell->process.channel, &reporter);
	}
	if (!report)
		return;
	if (reporter != shell->process.pid) {
		shell->nested_looks = 0;
		look_at_nested(shell);
		return;
	}
	shell_channel_forget(&shell->process.channel);
	if (shell_report_parse(report, &shell->process.keys, &prompt))
		handle_prompt(shell, &prompt);
}

static bool same_modes(const struct termios *a, const struct termios *b)
{
	return a->c_iflag == b->c_iflag && a->c_oflag == b->c_oflag && a->c_cflag == b->c_cflag &&
	       a->c_lflag == b->c_lflag && memcmp(a->c_cc, b->c_cc, sizeof a->c_cc) == 0;
}

/* The shell waits for our word. What programs did to the terminal is undone. */
static void handle_start_mark(struct shell *shell)
{
	struct termios modes;

	if (shell->phase != TYPED)
		return;
	if (tcgetattr(shell->terminal.fd, &modes) == 0 && !same_modes(&modes, &shell->process.modes))
		tcsetattr(shell->terminal.fd, TCSANOW, &shell->process.modes);
	shell_channel_receive(&shell->process.channel);
	shell_channel_forget(&shell->process.channel);
	shell->phase = RUNNING;
	shell->begun = true;
	shell->replied = false;
	shell_channel_go(&shell->process.channel, shell->process.keys.command);
	release_held(shell);
}

/* The rest is echo: of the line that was typed, or at the prompt of answers to queries that the command left unread. */
static bool is_output(const struct shell *shell)
{
	return shell->phase != TYPED && !(shell->phase == READY && shell->replied);
}

/* Take the output apart, up to a mark that is not complete yet. */
static void digest_output(struct shell *shell)
{
	size_t done = 0;

	while (done < shell->output.size && !shell->doomed) {
		size_t plain, whole;
		char *bytes = shell->output.bytes + done, *report;
		enum mark_kind kind = shell_mark_find(
			bytes, shell->output.size - done, &shell->process.keys, &plain, &whole, &report);
		if (plain && is_output(shell))
			screen_write(shell->screen, bytes, plain);
		done += whole;
		if (kind == MARK_PARTIAL)
			break;
		if (kind == MARK_START)
			handle_start_mark(shell);
		if (kind == MARK_END)
			handle_end_mark(shell, report);
	}
	shell->output.size -= done;
	memmove(shell->output.bytes, shell->output.bytes + done, shell->output.size);
}

static void close_terminal(struct shell *shell)
{
	if (!shell->terminal_open)
		return;
	loop_remove(shell->config.loop, &shell->terminal);
	close(shell->terminal.fd);
	shell->terminal_open = false;
}

static void close_channel(struct shell *shell)
{
	if (shell->process.channel.fd >= 0)
		loop_remove(shell->config.loop, &shell->reports);
	shell_channel_close(&shell->process.channel);
}

static void stop_timers(struct shell *shell)
{
	loop_set(shell->config.loop, &shell->last_output, 0);
	loop_set(shell->config.loop, &shell->nested, 0);
	loop_set(shell->config.loop, &shell->held_long, 0);
	loop_set(shell->config.loop, &shell->signalled, 0);
	loop_set(shell->config.loop, &shell->second_look, 0);
}

static void report_exit(struct shell *shell)
{
	struct shell_end end = { .progress = !shell->started ? SHELL_NEVER_READY
					     : shell->begun  ? SHELL_BEGUN
							     : SHELL_NOT_BEGUN };

	if (WIFSIGNALED(shell->status))
		end.signal = WTERMSIG(shell->status);
	end.exit_code = end.signal ? 128 + end.signal : WEXITSTATUS(shell->status);
	stop_timers(shell);
	close_terminal(shell);
	close_channel(shell);
	shell->config.events->exited(shell->config.context, &end);
}

static void on_last_output(struct loop_timer *timer)
{
	report_exit((struct shell *)(void *)((char *)timer - offsetof(struct shell, last_output)));
}

/* Return: whether there may be more to read */
static bool read_output(struct shell *shell)
{
	char bytes[4096]; /* what a terminal gives at most in one read */
	ssize_t n = read(shell->terminal.fd, bytes, sizeof bytes);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (n <= 0) { /* everybody closed the other end: the shell has exited, or will at once */
		close_terminal(shell);
		return false;
	}
	shell->silent = false;
	text_add(&shell->output, bytes, (size_t)n);
	digest_output(shell);
	return !shell->doomed;
}

static void on_terminal(struct loop_source *source, uint32_t events)
{
	struct shell *shell = shell_of_terminal(source);
	enum { READS_PER_TURN = 16 };

	if (events & EPOLLOUT)
		write_input(shell);
	shell->busy = true;
	for (int i = 0; i < READS_PER_TURN && read_output(shell); i++)
		;
	if (!shell->doomed && screen_changed(shell->screen))
		shell->config.events->output(shell->config.context);
	shell->busy = false;
	if (shell->doomed)
		shell_free(shell);
	else if (!shell->terminal_open && shell->phase == GONE)
		report_exit(shell);
}

/* The shell closed a descriptor by which it is spoken to. A new one will serve. */
static void end_unreachable(struct shell *shell)
{
	if (shell->process.pid > 0)
		kill(shell->process.pid, SIGHUP);
}

/* The channel is drained even while no mark comes: a program may fill it, and the shell's report would wait for room.
 * Nobody can write: the shell closed its end, and would be waited for in vain. */
static void on_reports(struct loop_source *source, uint32_t events)
{
	struct shell *shell = shell_of_reports(source);

	(void)events;
	if (shell_channel_receive(&shell->process.channel))
		return;
	close_channel(shell);
	end_unreachable(shell);
}

/* Nobody is there who would continue a shell that was stopped; its session would hang for good. */
static void continue_shell(struct shell *shell, int signal)
{
	char notice[96];
	int size =
		snprintf(notice, sizeof notice, "\r\n[The shell was stopped by signal %d and continues.]\r\n", signal);

	kill(shell->process.pid, SIGCONT);
	screen_write(shell->screen, notice, (size_t)size);
	shell->config.events->output(shell->config.context);
}

void shell_set_reap(struct shell_set *set, pid_t pid, int status)
{
	struct shell *shell = set->first;

	while (shell && shell->process.pid != pid)
		shell = shell->next;
	if (!shell)
		return;
	if (WIFSTOPPED(status)) {
		continue_shell(shell, WSTOPSIG(status));
		return;
	}
	shell->process.pid = -1;
	shell->status = status;
	shell->phase = GONE;
	if (shell->terminal_open)
		loop_set(shell->config.loop, &shell->last_output, loop_now() + LAST_OUTPUT_MS);
	else
		report_exit(shell);
}

static void on_reply(const char *bytes, size_t size, void *context)
{
	struct shell *shell = context;

	shell->replied = true;
	if (shell->input.size + size <= REPLIES_MAX)
		type_now(shell, bytes, size);
}

static void look_later(struct shell *shell)
{
	const unsigned first_ms = 8;

	if (shell->signal_looks < SIGNAL_LOOKS)
		loop_set(shell->config.loop, &shell->signalled, loop_now() + (first_ms << shell->signal_looks++));
}

static void on_signalled(struct loop_timer *timer)
{
	struct shell *shell = (struct shell *)(void *)((char *)timer - offsetof(struct shell, signalled));

	if ((shell->phase != RUNNING && shell->phase != TYPED && shell->phase != STARTING) || !shell->terminal_open)
		return;
	struct foreground now = foreground_look(shell->terminal.fd);
	if (shell->phase == RUNNING && foreground_missed(&shell->hit, &now, shell->process.pid)) {
		shell->hit = now;
		type_now(shell, &shell->key, 1);
	}
	look_later(shell);
}

static bool waits_silently(const struct shell *shell)
{
	struct pollfd terminal = { .fd = shell->terminal.fd, .events = POLLIN };

	return shell->terminal_open && foreground_reads_line(shell->terminal.fd, shell->process.pid) &&
	       poll(&terminal, 1, 0) == 0;
}

static void on_second_look(struct loop_timer *timer)
{
	struct shell *shell = (struct shell *)(void *)((char *)timer - offsetof(struct shell, second_look));
	struct azm_err ignored;

	if (!shell->silent || !waits_silently(shell))
		return;
	if (shell->phase == RUNNING)
		type_command(shell, "", &ignored);
	else if (shell->phase == TYPED && shell->refused)
		end_unreachable(shell);
}

struct shell *shell_start(const struct shell_config *config, struct azm_err *err)
{
	struct shell *shell = xcalloc(1, sizeof *shell);

	shell->config = *config;
	shell->config.cwd = NULL; /* it is the caller's */
	shell->terminal.ready = on_terminal;
	shell->reports.ready = on_reports;
	shell->last_output.fire = on_last_output;
	shell->nested.fire = on_nested;
	shell->held_long.fire = on_held_long;
	shell->signalled.fire = on_signalled;
	shell->second_look.fire = on_second_look;
	shell->next = config->set->first;
	config->set->first = shell;
	bool started = shell_process_start(&shell->process, config->cwd, !config->without_user_files, err) == 0;
	shell->terminal.fd = shell->process.terminal;
	shell->reports.fd = shell->process.channel.fd;
	shell->terminal_open = shell->terminal.fd >= 0;
	shell->screen = screen_new(SCREEN_ROWS, SCREEN_COLUMNS, on_reply, shell);
	if (started && (loop_add(config->loop, &shell->terminal, EPOLLIN) < 0 ||
			       loop_add(config->loop, &shell->reports, EPOLLIN) < 0))
		started = err_sys(err, "watch the shell's terminal", NULL) == 0;
	if (!started) {
		shell_free(shell);
		return NULL;
	}
	return shell;
}

/* Closing the terminal hangs up: the kernel sends SIGHUP to the shell, and bash passes it on to its jobs. */
void shell_free(struct shell *shell)
{
	struct shell **link = &shell->config.set->first;

	if (shell->busy) {
		shell->doomed = true;
		return;
	}
	while (*link != shell)
		link = &(*link)->next;
	*link = shell->next;
	stop_timers(shell);
	close_channel(shell);
	close_terminal(shell);
	if (shell->process.script >= 0)
		close(shell->process.script);
	screen_free(shell->screen);
	text_free(&shell->held);
	text_free(&shell->input);
	text_free(&shell->output);
	free(shell->waiting);
	free(shell);
}

int shell_run(struct shell *shell, const char *command, struct azm_err *err)
{
	if (shell->phase != STARTING)
		return type_command(shell, command, err);
	free(shell->waiting);
	shell->waiting = xstrdup(command);
	return 0;
}

void shell_type(struct shell *shell, const char *bytes, size_t size)
{
	if (shell->phase != TYPED) {
		type_now(shell, bytes, size);
		return;
	}
	text_add(&shell->held, bytes, size);
	loop_set(shell->config.loop, &shell->held_long, loop_now() + HELD_MS);
}

void shell_press(struct shell *shell, char key)
{
	bool sends_signal = key == ('c' & 0x1f) || key == ('z' & 0x1f) || key == ('\\' & 0x1f);

	if (sends_signal && shell->terminal_open) {
		shell->hit = foreground_look(shell->terminal.fd);
		shell->key = key;
		shell->signal_looks = 0;
		look_later(shell);
	}
	shell_type(shell, &key, 1);
}

void shell_probe(struct shell *shell)
{
	if (!waits_silently(shell))
		return;
	shell->silent = true;
	loop_set(shell->config.loop, &shell->second_look, loop_now() + SECOND_LOOK_MS);
}

bool shell_is_posix(const struct shell *shell)
{
	return shell->process.dialect == SHELL_POSIX;
}

char *shell_text(const struct shell *shell)
{
	return screen_text(shell->screen);
}

bool shell_lost_lines(const struct shell *shell)
{
	return screen_lost_lines(shell->screen);
}

void shell_clear(struct shell *shell)
{
	screen_clear(shell->screen);
}
