// SPDX-License-Identifier: GPL-2.0-or-later
/* cmd_attach.c: the standard streams of a sandbox that runs already.
 *
 * The supervisor gets one end of a socket and treats it as one more reader of the output and writer of the input
 * (streams.h says what the messages are). Input is read only when the socket takes it, so that a command that does not
 * read holds up nothing but our input.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "commands.h"
#include "control.h"
#include "streams.h"

enum { KEYS_MOST = 16 };

struct attach_options {
	bool no_stdin, no_proxy;
	unsigned char keys[KEYS_MOST]; /* that detach, one after the other */
	size_t key_count;
};

OPTION_STORES(opt_no_stdin, struct attach_options, no_stdin, true)

static int opt_sig_proxy(void *target, const char *value, struct azm_err *err)
{
	struct attach_options *options = target;

	if (strcmp(value, "true") != 0 && strcmp(value, "false") != 0)
		return err_msg(err, EINVAL, "choose", NULL, "true or false");
	options->no_proxy = strcmp(value, "false") == 0;
	return 0;
}

/* "a", "ctrl-a", "ctrl-[": Docker's notation. */
static bool parse_key(const char *text, unsigned char *key)
{
	if (strlen(text) == 1) {
		*key = (unsigned char)text[0];
		return true;
	}
	if (!str_starts(text, "ctrl-") || strlen(text) != 6)
		return false;
	char c = text[5];
	if (!((c >= 'a' && c <= 'z') || strchr("@[\\]^_", c)))
		return false;
	*key = (unsigned char)(c & 31);
	return true;
}

static int opt_detach_keys(void *target, const char *value, struct azm_err *err)
{
	struct attach_options *options = target;
	cleanup_str_list struct str_list words = { 0 };

	str_list_split(&words, value, ',');
	options->key_count = 0;
	for (size_t i = 0; i < words.count; i++)
		if (i == KEYS_MOST || !parse_key(words.items[i], &options->keys[options->key_count++]))
			return err_msg(
				err, EINVAL, "use keys", value, "expected characters or ctrl-X, separated by commas");
	return 0;
}

const struct option_row attach_option_rows[] = {
	{ 0, "no-stdin", NULL, opt_no_stdin, "do not pass stdin on" },
	{ 0, "detach-keys", "KEYS", opt_detach_keys, "keys that leave a terminal (default: ctrl-p,ctrl-q)" },
	{ 0, "sig-proxy", "true|false", opt_sig_proxy, "pass signals on to the command (default: true)" },
	OPTIONS_END,
};

struct attach {
	const struct attach_options *options;
	const struct state *state;
	const char *name;
	int socket, signals;
	bool tty, input;
	size_t matched; /* of the keys */
	char message[ATTACH_MESSAGE];
	size_t pending; /* of the message, input that the socket has not taken */
	struct termios saved;
	bool raw;
	int status; /* exit status; -1: not over */
};

static void make_raw(struct attach *attach)
{
	struct termios raw;

	if (!attach->tty || !attach->input || tcgetattr(STDIN_FILENO, &attach->saved) < 0)
		return;
	raw = attach->saved;
	cfmakeraw(&raw);
	attach->raw = tcsetattr(STDIN_FILENO, TCSADRAIN, &raw) == 0;
}

static void send_size(const struct attach *attach)
{
	struct winsize window;
	char message[1 + 2 * sizeof(uint16_t)] = { ATTACH_SIZE };

	if (!attach->tty ||
		(ioctl(STDIN_FILENO, TIOCGWINSZ, &window) < 0 && ioctl(STDOUT_FILENO, TIOCGWINSZ, &window) < 0))
		return;
	const uint16_t cells[2] = { window.ws_row, window.ws_col };
	memcpy(message + 1, cells, sizeof cells);
	(void)!send(attach->socket, message, sizeof message, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* Return: true when the keys were typed. What of them came so far is kept back until another key follows. */
static bool filter_keys(struct attach *attach, const char *input, size_t size)
{
	const struct attach_options *options = attach->options;
	char *out = attach->message + 1;

	attach->pending = 0;
	for (size_t i = 0; i < size; i++) {
		if (attach->tty && options->key_count && (unsigned char)input[i] == options->keys[attach->matched]) {
			if (++attach->matched == options->key_count)
				return true;
			continue;
		}
		for (size_t k = 0; k < attach->matched; k++)
			out[attach->pending++] = (char)options->keys[k];
		attach->matched = attach->tty && options->key_count && (unsigned char)input[i] == options->keys[0];
		if (!attach->matched)
			out[attach->pending++] = input[i];
		else if (options->key_count == 1)
			return true;
	}
	return false;
}

static void read_input(struct attach *attach)
{
	char input[4096];
	ssize_t n = read(STDIN_FILENO, input, sizeof input);

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n <= 0) { /* the command's stdin stays open for others, as Docker's */
		attach->input = false;
		return;
	}
	attach->message[0] = ATTACH_IN;
	if (filter_keys(attach, input, (size_t)n)) {
		attach->status = 0;
		attach->pending = 0;
		fputs("\r\nread escape sequence\r\n", stderr);
	}
}

static void send_input(struct attach *attach)
{
	if (send(attach->socket, attach->message, attach->pending + 1, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
		attach->pending = 0;
}

/* Return: false at the end. */
static bool take_output(struct attach *attach)
{
	char message[ATTACH_MESSAGE];
	ssize_t n = recv(attach->socket, message, sizeof message, MSG_DONTWAIT);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	if (n >= 2 && message[0] == ATTACH_EXIT)
		attach->status = (unsigned char)message[1];
	if (n < 2 || message[0] == ATTACH_EXIT)
		return false;
	int out = message[0] == ATTACH_ERR ? STDERR_FILENO : STDOUT_FILENO;
	return write_full(out, message + 1, (size_t)n - 1) == 0;
}

static void take_signal(struct attach *attach)
{
	struct signalfd_siginfo info;
	struct azm_err ignored = { 0 };

	if (read(attach->signals, &info, sizeof info) != (ssize_t)sizeof info)
		return;
	int number = (int)info.ssi_signo;
	if (number == SIGWINCH)
		send_size(attach);
	else if (number == SIGCHLD || number == SIGPIPE)
		return;
	else if (attach->options->no_proxy)
		attach->status = number == SIGCONT || number == SIGTSTP ? attach->status : 128 + number;
	else
		json_decref(control_ask(attach->state, attach->name,
			json_pack("{s:s,s:i}", "op", "signal", "signal", number), NULL, &ignored));
}

static void relay(struct attach *attach)
{
	while (attach->status < 0) {
		struct pollfd polls[] = { { .fd = attach->signals, .events = POLLIN },
			{ .fd = attach->socket, .events = (short)(POLLIN | (attach->pending ? POLLOUT : 0)) },
			{ .fd = attach->input && !attach->pending ? STDIN_FILENO : -1, .events = POLLIN } };
		if (poll(polls, 3, -1) < 0)
			continue;
		if (polls[0].revents)
			take_signal(attach);
		if ((polls[1].revents & (POLLIN | POLLHUP | POLLERR)) && !take_output(attach))
			return;
		if (polls[1].revents & POLLOUT)
			send_input(attach);
		if (polls[2].revents)
			read_input(attach);
	}
}

static int watch_signals(struct attach *attach, struct azm_err *err)
{
	sigset_t set;

	sigfillset(&set);
	sigdelset(&set, SIGTTIN);
	sigdelset(&set, SIGTTOU);
	attach->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	sigprocmask(SIG_BLOCK, &set, NULL);
	return attach->signals < 0 ? err_sys(err, "watch for signals", NULL) : 0;
}

static int join(struct attach *attach, struct azm_err *err)
{
	int ends[2];
	cleanup_config struct config config;

	config_init(&config);
	cleanup_fd int dir = sandbox_open(attach->state, attach->name, err);
	if (dir < 0 || config_load(&config, dir, err) < 0)
		return -1;
	attach->tty = config.tty;
	attach->input = config.interactive && !attach->options->no_stdin;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return err_sys(err, "make a socket", NULL);
	attach->socket = ends[0];
	cleanup_fd int theirs = ends[1];
	json_t *answer = control_pass(attach->state, attach->name, json_pack("{s:s}", "op", "attach"), &theirs, 1, err);
	json_decref(answer);
	return answer ? 0 : -1;
}

static int run(struct attach *attach, struct azm_err *err)
{
	if (watch_signals(attach, err) < 0 || join(attach, err) < 0)
		return -1;
	send_size(attach);
	make_raw(attach);
	relay(attach);
	if (attach->raw)
		tcsetattr(STDIN_FILENO, TCSADRAIN, &attach->saved);
	return attach->status < 0 ? err_msg(err, ECONNRESET, "attach", attach->name, "the sandbox's supervisor is gone")
				  : 0;
}

int command_attach(int argc, char **argv)
{
	struct azm_err err = { 0 };
	struct attach_options options = { .keys = { 'P' & 31, 'Q' & 31 }, .key_count = 2 };
	cleanup_state struct state state = { .live = -1, .dir = -1, .sandboxes = -1 };
	int name = options_around_name("attach", &options, argc, argv, &err);

	if (name < 0 || state_open(&state, &err) < 0)
		return fail_command(&err);
	struct attach attach = {
		.options = &options, .state = &state, .name = argv[name], .socket = -1, .signals = -1, .status = -1
	};
	int result = run(&attach, &err);
	cleanup_close_fd(&attach.socket);
	cleanup_close_fd(&attach.signals);
	return result < 0 ? fail_command(&err) : attach.status;
}
