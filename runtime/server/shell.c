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
 * The end of the shell is known from its status and the end of its terminal, in either order: the last output may still
 * be on its way when the process is gone, and a background process may keep the terminal open for ever, so after the
 * status the output gets a moment and no more.
 */
#include "server/shell.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/str.h"
#include "server/screen.h"
#include "server/shell_script.h"

#ifndef MFD_NOEXEC_SEAL /* Linux 6.3 */
#define MFD_NOEXEC_SEAL 8u
#endif

enum {
	LAST_OUTPUT_MS = 50,
	REPLIES_MAX = 4096, /* answers to terminal queries that nobody reads are dropped beyond this */
};

enum phase { STARTING, READY, TYPED, RUNNING, GONE };

struct shell {
	struct shell_config config;
	enum shell_dialect dialect;
	enum phase phase;
	bool started;  /* there was a first prompt */
	char *waiting; /* command given to shell_run() before it; NULL if none */
	bool busy;     /* its callbacks are running: shell_free() only sets doomed */
	bool doomed;
	bool wants_write; /* the loop watches for room to write */
	bool replied;	  /* the terminal answered a query of the command that runs or ran last */
	pid_t pid;
	int status; /* of waitpid(), once phase is GONE */
	int script; /* the memory file */
	char key[SHELL_KEY_LENGTH + 1];
	struct loop_source terminal;
	bool terminal_open;
	struct loop_timer last_output;
	struct text input;  /* not yet written to the terminal */
	struct text output; /* read, not yet taken apart: an incomplete mark */
	struct screen *screen;
	struct shell *next;
};

static struct shell *shell_of_terminal(struct loop_source *source)
{
	return (struct shell *)(void *)((char *)source - offsetof(struct shell, terminal));
}

static struct shell *shell_of_timer(struct loop_timer *timer)
{
	return (struct shell *)(void *)((char *)timer - offsetof(struct shell, last_output));
}

static int make_key(char key[static SHELL_KEY_LENGTH + 1], struct azm_err *err)
{
	unsigned char random[SHELL_KEY_LENGTH / 2];

	if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
		return err_sys(err, "get random bytes", NULL);
	for (size_t i = 0; i < sizeof random; i++)
		snprintf(key + 2 * i, 3, "%02x", random[i]);
	return 0;
}

/* The script file: without a name, so that `rm -rf /tmp/` in a command does not take it away. */
static int make_script(struct azm_err *err)
{
	int fd = memfd_create("azm-shell", MFD_CLOEXEC | MFD_NOEXEC_SEAL);

	if (fd < 0 && errno == EINVAL) /* before Linux 6.3 */
		fd = memfd_create("azm-shell", MFD_CLOEXEC);
	return fd < 0 ? err_sys(err, "make the shell's script file", NULL) : fd;
}

static int write_script(const struct shell *shell, const struct text *script, struct azm_err *err)
{
	if (ftruncate(shell->script, 0) < 0 || lseek(shell->script, 0, SEEK_SET) < 0 ||
		write_full(shell->script, script->bytes, script->size) < 0 || lseek(shell->script, 0, SEEK_SET) < 0)
		return err_sys(err, "hand the command to the shell", NULL);
	return 0;
}

static char *find_program(const char *name)
{
	const char *path = getenv("PATH");
	cleanup_str_list struct str_list dirs = { 0 };

	str_list_split(&dirs, path && *path ? path : "/usr/local/bin:/usr/bin:/bin", ':');
	str_list_split(&dirs, "/bin:/usr/bin:/usr/local/bin", ':');
	for (size_t i = 0; i < dirs.count; i++) {
		char *candidate = xasprintf("%s/%s", dirs.items[i], name);
		if (dirs.items[i][0] == '/' && access(candidate, X_OK) == 0)
			return candidate;
		free(candidate);
	}
	return NULL;
}

/* Open both ends. The peer is taken by ioctl: its name may not be visible where we are. */
static int open_terminal(int *peer, struct azm_err *err)
{
	const struct winsize size = { .ws_row = SCREEN_ROWS, .ws_col = SCREEN_COLUMNS };
	struct termios modes;
	int unlock = 0;
	cleanup_fd int terminal = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);

	if (terminal < 0)
		return err_sys(err, "open a terminal", "/dev/ptmx");
	if (ioctl(terminal, TIOCSPTLCK, &unlock) < 0 || ioctl(terminal, TIOCSWINSZ, &size) < 0)
		return err_sys(err, "set up a terminal", NULL);
	cleanup_fd int other = ioctl(terminal, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (other < 0 || tcgetattr(other, &modes) < 0)
		return err_sys(err, "open a terminal", "its other end");
	modes.c_iflag |= IUTF8;
	tcsetattr(other, TCSANOW, &modes);
	*peer = steal_fd(&other);
	return steal_fd(&terminal);
}

/* In the child. Only system calls from here on; a failure ends in status 126 or 127, reported as the shell's. */
[[gnu::noreturn]] static void exec_shell(
	const struct shell *shell, int peer, const char *program, char *const argv[], char *const env[])
{
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	/* A server started in the background of a script ignores SIGINT, and so would every command: C-c would be lost.
	 */
	for (int number = 1; number < NSIG; number++)
		signal(number, SIG_DFL);
	setsid();
	if (ioctl(peer, TIOCSCTTY, 0) < 0 || dup2(peer, 0) < 0 || dup2(peer, 1) < 0 || dup2(peer, 2) < 0 ||
		dup2(shell->script, SHELL_SCRIPT_FD) < 0)
		_exit(EXIT_CANNOT_EXEC);
	if (chdir(shell->config.cwd) < 0 && chdir("/") < 0)
		_exit(EXIT_CANNOT_EXEC);
	execve(program, argv, env);
	_exit(errno == ENOENT ? EXIT_NOT_FOUND : EXIT_CANNOT_EXEC);
}

static void shell_environment(struct str_list *env, const struct shell *shell)
{
	static const char *const replaced[] = { "TERM=", "PROMPT_COMMAND=", "PS1=", "PS2=", "ENV=", "BASH_ENV=", "PWD=",
		"OLDPWD=", "COLUMNS=", "LINES=", NULL };

	for (char **entry = environ; *entry; entry++) {
		bool drop = false;
		for (size_t i = 0; replaced[i]; i++)
			drop |= str_starts(*entry, replaced[i]);
		if (!drop)
			str_list_add(env, *entry);
	}
	str_list_add(env, "TERM=xterm-256color");
	str_list_addf(env, "PWD=%s", shell->config.cwd);
	if (shell->dialect == SHELL_POSIX)
		str_list_addf(env, "ENV=/proc/self/fd/%d", SHELL_SCRIPT_FD);
}

static int spawn(struct shell *shell, struct azm_err *err)
{
	cleanup_free char *program = find_program("bash");
	cleanup_str_list struct str_list argv = { 0 }, env = { 0 };
	cleanup_text struct text script = { 0 };
	cleanup_fd int peer = -1;

	shell->dialect = program ? SHELL_BASH : SHELL_POSIX;
	if (!program)
		program = find_program("sh");
	if (!program)
		return err_msg(err, ENOENT, "start a shell", NULL, "there is neither bash nor sh");
	str_list_add(&argv, shell->dialect == SHELL_BASH ? "bash" : "sh");
	if (shell->dialect == SHELL_BASH) {
		str_list_add(&argv, "--rcfile");
		str_list_addf(&argv, "/proc/self/fd/%d", SHELL_SCRIPT_FD);
	}
	str_list_add(&argv, "-i");
	shell_environment(&env, shell);
	shell_script_start(&script, shell->dialect, shell->key, !shell->config.without_user_files);
	if (write_script(shell, &script, err) < 0)
		return -1;

	shell->terminal.fd = open_terminal(&peer, err);
	if (shell->terminal.fd < 0)
		return -1;
	shell->pid = fork();
	if (shell->pid == 0)
		exec_shell(shell, peer, program, argv.items, env.items);
	return shell->pid < 0 ? err_sys(err, "start a shell", program) : 0;
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

static int type_command(struct shell *shell, const char *command, struct azm_err *err)
{
	const char *line = shell_script_line(shell->dialect);
	cleanup_text struct text script = { 0 };

	shell_script_command(&script, shell->dialect, shell->key, command);
	if (write_script(shell, &script, err) < 0)
		return -1;
	shell->phase = TYPED;
	shell_type(shell, line, strlen(line));
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

static void handle_end_mark(struct shell *shell, const struct shell_prompt *prompt)
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

/* The rest is echo: of the line that was typed, or at the prompt of answers to queries that the command left unread. */
static bool is_output(const struct shell *shell)
{
	return shell->phase != TYPED && !(shell->phase == READY && shell->replied);
}

static void take_output(struct shell *shell, const char *bytes, size_t size)
{
	screen_write(shell->screen, bytes, size);
	if (shell->phase == RUNNING || shell->phase == READY || shell->phase == GONE)
		shell->config.events->bytes(shell->config.context, bytes, size);
}

/* Take the output apart, up to a mark that is not complete yet. */
static void digest_output(struct shell *shell)
{
	size_t done = 0;

	while (done < shell->output.size && !shell->doomed) {
		struct shell_prompt prompt;
		size_t plain, whole;
		char *bytes = shell->output.bytes + done;
		enum mark_kind kind =
			shell_mark_find(bytes, shell->output.size - done, shell->key, &plain, &whole, &prompt);
		if (plain && is_output(shell))
			take_output(shell, bytes, plain);
		done += whole;
		if (kind == MARK_PARTIAL)
			break;
		if (kind == MARK_START && shell->phase == TYPED) {
			shell->phase = RUNNING;
			shell->replied = false;
		}
		if (kind == MARK_END)
			handle_end_mark(shell, &prompt);
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

static void report_exit(struct shell *shell)
{
	int code = WIFSIGNALED(shell->status) ? 128 + WTERMSIG(shell->status) : WEXITSTATUS(shell->status);

	loop_set(shell->config.loop, &shell->last_output, 0);
	close_terminal(shell);
	shell->config.events->exited(shell->config.context, code, shell->started);
}

static void on_last_output(struct loop_timer *timer)
{
	report_exit(shell_of_timer(timer));
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

void shell_set_reap(struct shell_set *set, pid_t pid, int status)
{
	struct shell *shell = set->first;

	while (shell && shell->pid != pid)
		shell = shell->next;
	if (!shell)
		return;
	shell->pid = -1;
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
		shell_type(shell, bytes, size);
}

struct shell *shell_start(const struct shell_config *config, struct azm_err *err)
{
	struct shell *shell = xcalloc(1, sizeof *shell);

	shell->config = *config;
	shell->config.cwd = xstrdup(config->cwd);
	shell->terminal = (struct loop_source){ .fd = -1, .ready = on_terminal };
	shell->last_output.fire = on_last_output;
	shell->pid = -1;
	shell->next = config->set->first;
	config->set->first = shell;
	shell->script = make_script(err);
	if (shell->script < 0 || make_key(shell->key, err) < 0 || spawn(shell, err) < 0) {
		shell_free(shell);
		return NULL;
	}
	shell->screen = screen_new(SCREEN_ROWS, SCREEN_COLUMNS, on_reply, shell);
	shell->terminal_open = true;
	if (loop_add(config->loop, &shell->terminal, EPOLLIN) < 0) {
		err_sys(err, "watch the shell's terminal", NULL);
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
	loop_set(shell->config.loop, &shell->last_output, 0);
	if (shell->terminal_open)
		close_terminal(shell);
	else if (shell->terminal.fd >= 0 && !shell->screen)
		close(shell->terminal.fd);
	if (shell->script >= 0)
		close(shell->script);
	screen_free(shell->screen);
	text_free(&shell->input);
	text_free(&shell->output);
	free(shell->waiting);
	free((char *)shell->config.cwd);
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
	text_add(&shell->input, bytes, size);
	write_input(shell);
}

bool shell_at_prompt(const struct shell *shell)
{
	struct termios modes;

	return shell->dialect == SHELL_BASH && shell->phase == RUNNING && tcgetpgrp(shell->terminal.fd) == shell->pid &&
	       tcgetattr(shell->terminal.fd, &modes) == 0 && !(modes.c_lflag & ICANON);
}

int shell_probe(struct shell *shell, struct azm_err *err)
{
	return shell_run(shell, "", err);
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
