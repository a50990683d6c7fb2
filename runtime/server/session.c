// SPDX-License-Identifier: GPL-2.0-or-later
/* server/session.c: see session.h; numbers in comments are sections of spec openhands.
 *
 * Theory of operation
 *
 * Two things are "running" and they differ. To the client a command runs from the report of a timeout until a report of
 * its end (unfinished). To the shell it runs until its prompt (ended): it may have come back while nobody was waiting.
 * A request is answered from the shell's callbacks and one timer; nothing is polled.
 */
#include "server/session.h"

#include <ctype.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "server/commands.h"
#include "server/observation.h"
#include "server/text.h"

/* How long a shell that sits at its prompt may be silent about it before it is asked (see shell_probe()), and how
 * often; each time waits twice as long. */
enum { PROBE_AFTER_MS = 1000, PROBES_MAX = 4 };

#define BELOW_IS_PREVIOUS "[Below is the output of the previous command.]\n"
#define ADVICE                                                                                                         \
	"You may wait longer to see additional output by sending empty command '', send other commands to interact "   \
	"with the current process, send keys (\"C-c\", \"C-z\", \"C-d\") to interrupt/kill the previous command "      \
	"before sending your new command, or use the timeout parameter in execute_bash for future commands."

struct session {
	struct session_config config;
	struct shell *shell; /* NULL before the first command and after the shell exited */
	bool distrust_user_files;
	bool unfinished; /* the last report was a timeout */
	bool ended;	 /* the shell is at its prompt, or gone */
	char *reported;	 /* raw output of an unfinished command that was reported already; NULL: none */

	/* of the last prompt */
	int exit_code;
	long background;
	uid_t uid;
	char *cwd, *path;

	/* the request being served; active while its done is set */
	struct session_request request;
	char *command;	      /* stripped */
	bool typed;	      /* the command went to a program that runs, so the terminal echoed it */
	char *output_of_dead; /* what the shell's screen showed when it exited */
	bool output_of_dead_lost;
	char *news; /* about the shell, to be told with the next report */
	bool told_posix;
	int probes;
	bool sent_again; /* to a new shell, as the old one never began it */
	uint64_t sent_at, changed_at;
	struct loop_timer timer;
};

static const struct run_metadata unknown_metadata = { .exit_code = -1, .background = -1 };

static bool is_special_key(const char *command)
{
	return strlen(command) == 3 && str_starts(command, "C-");
}

/* What a terminal sends for control and a letter, a sign, or a digit. */
static char control_character(char key)
{
	static const char digits[] = "\0\033\034\035\036\037\177"; /* of 2 to 8 */

	if (key >= '2' && key <= '8')
		return digits[key - '2'];
	return key == '?' ? '\177' : key == '/' ? '\037' : (char)(key & 0x1f);
}

/* The name of @uid by the password file alone: name services have no place in a static program. */
static char *name_of(uid_t uid, const char *fallback)
{
	cleanup_file FILE *file = fopen("/etc/passwd", "re");
	struct passwd *entry;

	while (file && (entry = fgetpwent(file)))
		if (entry->pw_uid == uid)
			return xstrdup(entry->pw_name);
	return xstrdup(fallback);
}

static char *find_python(const char *path)
{
	cleanup_str_list struct str_list dirs = { 0 };

	str_list_split(&dirs, path ? path : "", ':');
	for (size_t i = 0; i < dirs.count; i++) {
		char *candidate = xasprintf("%s/python", dirs.items[i]);
		if (dirs.items[i][0] && access(candidate, X_OK) == 0)
			return candidate;
		free(candidate);
	}
	return xstrdup("");
}

static void finish(struct session *session, json_t *observation)
{
	struct session_request request = session->request;

	session->request.done = NULL;
	free(steal_ptr(&session->command));
	loop_set(session->config.loop, &session->timer, 0);
	request.done(request.context, observation);
}

static void finish_plain(struct session *session, const char *content)
{
	finish(session, observation_run("", content, &unknown_metadata, session->request.hidden));
}

/* What was printed since the last report, without the echo of what was typed (3.7). */
static char *new_output(struct session *session)
{
	char *raw = session->shell ? shell_text(session->shell) : steal_ptr(&session->output_of_dead);
	if (!raw)
		raw = xstrdup("");
	char *fresh = xstrdup(session->reported ? text_remove_prefix(raw, session->reported) : raw);

	free(session->reported);
	session->reported = raw;
	text_strip_left(fresh);
	if (session->typed) {
		char *rest = xstrdup(text_remove_prefix(fresh, session->command));
		free(fresh);
		fresh = text_strip_left(rest);
	}
	text_strip_right(fresh);
	return session->request.hidden ? fresh : text_limit(fresh);
}

static size_t count_lines(const char *text)
{
	size_t lines = 1;

	for (; *text; text++)
		lines += *text == '\n';
	return lines;
}

/* What the reader should know of the shell: before the output if it happened before the command. The client itself does
 * not show the reports of hidden commands. */
static void add_news(struct session *session, struct text *prefix, struct text *suffix)
{
	if (session->request.hidden)
		return;
	if (session->shell && shell_is_posix(session->shell) && !session->told_posix) {
		text_addf(prefix, "[There is no bash here: commands run in sh.]\n");
		session->told_posix = true;
	}
	if (session->news && session->shell)
		text_addf(prefix, "%s\n", session->news);
	else if (session->news)
		text_addf(suffix, "\n%s", session->news);
	free(steal_ptr(&session->news));
}

/* 3.4, "completed" */
static void report_completed(struct session *session)
{
	bool lost = session->shell ? shell_lost_lines(session->shell) : session->output_of_dead_lost;
	cleanup_free char *content = new_output(session);
	cleanup_free char *name = name_of(session->uid, session->config.username);
	cleanup_free char *python = find_python(session->path);
	cleanup_text struct text prefix = { 0 }, suffix = { 0 };
	char host[65] = "";

	text_addf(&suffix, "\n[The command completed with exit code %d.", session->exit_code);
	if (is_special_key(session->command))
		text_addf(&suffix, " CTRL+%c was sent.", toupper((unsigned char)session->command[2]));
	text_addf(&suffix, "]");
	add_news(session, &prefix, &suffix);
	if (lost)
		text_addf(&prefix,
			"[Previous command outputs are truncated. Showing the last %zu lines of the output below.]\n",
			count_lines(session->reported));
	gethostname(host, sizeof host - 1);
	host[strcspn(host, ".")] = '\0';

	struct run_metadata metadata = { session->exit_code, session->background, name, host, session->cwd, python,
		prefix.bytes, suffix.bytes };
	session->unfinished = false;
	free(steal_ptr(&session->reported));
	if (session->shell)
		shell_clear(session->shell);
	finish(session, observation_run(session->command, content, &metadata, session->request.hidden));
}

static void report_timeout(struct session *session, const char *suffix)
{
	struct run_metadata metadata = unknown_metadata;

	metadata.prefix = session->reported ? BELOW_IS_PREVIOUS : "";
	metadata.suffix = suffix;
	cleanup_free char *content = new_output(session);
	session->unfinished = true;
	finish(session, observation_run(session->command, content, &metadata, false));
}

static void report_not_executed(struct session *session)
{
	struct run_metadata metadata = unknown_metadata;
	cleanup_free char *suffix = xasprintf("\n[Your command \"%s\" is NOT executed. The previous command is still "
					      "running - You CANNOT send new commands until the previous command is "
					      "completed. By setting `is_input` to `true`, you can interact with the "
					      "current process: " ADVICE "]",
		session->command);

	metadata.prefix = session->reported ? BELOW_IS_PREVIOUS : "";
	metadata.suffix = suffix;
	cleanup_free char *content = new_output(session);
	finish(session, observation_run(session->command, content, &metadata, session->request.hidden));
}

static uint64_t soft_deadline(const struct session *session)
{
	return session->request.blocking ? 0 : session->changed_at + session->config.soft_timeout_s * 1000ull;
}

/* A request may carry any number; a century is as good as for ever, and can be counted in milliseconds. */
#define TIMEOUT_MOST_S 3.2e9

static uint64_t hard_deadline(const struct session *session)
{
	double seconds = session->request.timeout_s < TIMEOUT_MOST_S ? session->request.timeout_s : TIMEOUT_MOST_S;

	return seconds > 0 ? session->sent_at + (uint64_t)(seconds * 1000) : 0;
}

static uint64_t probe_time(const struct session *session)
{
	return session->probes < PROBES_MAX ? session->changed_at + ((uint64_t)PROBE_AFTER_MS << session->probes) : 0;
}

/* The deadlines move with every output: the timer is set to the earliest and looks again when it fires. */
static void arm_timer(struct session *session)
{
	uint64_t soft = soft_deadline(session), hard = hard_deadline(session);
	uint64_t at = !soft || (hard && hard < soft) ? hard : soft;

	uint64_t next = probe_time(session);
	if (next && (!at || next < at))
		at = next;
	loop_set(session->config.loop, &session->timer, at);
}

static void on_timer(struct loop_timer *timer)
{
	struct session *session = (struct session *)(void *)((char *)timer - offsetof(struct session, timer));
	uint64_t now = loop_now(), soft = soft_deadline(session), hard = hard_deadline(session);
	char seconds[32];

	if (soft && now >= soft) {
		cleanup_free char *suffix = xasprintf("\n[The command has no new output after %u seconds. " ADVICE "]",
			session->config.soft_timeout_s);
		report_timeout(session, suffix);
	} else if (hard && now >= hard) {
		cleanup_free char *suffix = xasprintf("\n[The command timed out after %s seconds. " ADVICE "]",
			text_from_double(session->request.timeout_s, seconds));
		report_timeout(session, suffix);
	} else {
		if (probe_time(session) && now >= probe_time(session)) {
			session->probes++;
			if (session->shell)
				shell_probe(session->shell);
		}
		arm_timer(session);
	}
}

static void on_output(void *context)
{
	struct session *session = context;

	session->changed_at = loop_now();
	session->probes = 0;
	if (session->request.done && session->request.output)
		session->request.output(session->request.context);
}

static void on_prompt(void *context, const struct shell_prompt *prompt)
{
	struct session *session = context;

	session->ended = true;
	session->exit_code = prompt->exit_code;
	session->background = prompt->background;
	session->uid = prompt->uid;
	free(session->cwd);
	session->cwd = xstrdup(prompt->cwd);
	free(session->path);
	session->path = xstrdup(prompt->path);
	if (session->request.done)
		report_completed(session);
}

static void send_command(struct session *session);

/* The shell is gone; the next command starts another one where it was. */
static void note_end(struct session *session, const struct shell_end *end)
{
	cleanup_free char *how = end->signal
					 ? xasprintf("was ended by signal %d (%s)", end->signal, strsignal(end->signal))
					 : xasprintf("exited with code %d", end->exit_code);

	free(session->news);
	session->news =
		xasprintf("[The shell %s. A new one starts in %s; variables, functions and jobs of the old one are "
			  "gone.]",
			how, session->cwd);
}

static void on_exited(void *context, const struct shell_end *end)
{
	struct session *session = context;

	free(session->output_of_dead);
	session->output_of_dead = shell_text(session->shell);
	session->output_of_dead_lost = shell_lost_lines(session->shell);
	shell_free(steal_ptr(&session->shell));
	session->ended = true;
	session->exit_code = end->exit_code;
	if (end->progress != SHELL_NEVER_READY && !session->config.single)
		note_end(session, end);
	if (!session->request.done)
		return;
	if (end->progress == SHELL_NOT_BEGUN && !session->sent_again && !is_special_key(session->command)) {
		session->sent_again = true;
		send_command(session);
	} else if (end->progress != SHELL_NEVER_READY) {
		report_completed(session);
	} else if (!session->distrust_user_files) {
		session->distrust_user_files = true;
		send_command(session);
	} else {
		finish(session, observation_error("The shell ended with status %d before it was ready: %s",
					end->exit_code, session->output_of_dead));
	}
}

static const struct shell_events shell_events = { on_output, on_prompt, on_exited };

struct session *session_new(const struct session_config *config)
{
	struct session *session = xcalloc(1, sizeof *session);

	session->config = *config;
	session->ended = true;
	session->background = -1;
	session->uid = geteuid();
	session->cwd = xstrdup(config->cwd);
	session->path = xstrdup("");
	session->timer.fire = on_timer;
	return session;
}

void session_free(struct session *session)
{
	if (!session)
		return;
	loop_set(session->config.loop, &session->timer, 0);
	if (session->shell)
		shell_free(session->shell);
	free(session->reported);
	free(session->cwd);
	free(session->path);
	free(session->command);
	free(session->output_of_dead);
	free(session->news);
	free(session);
}

char *session_output(const struct session *session)
{
	cleanup_free char *raw = session->shell ? shell_text(session->shell) : xstrdup("");

	return xstrdup(session->reported ? text_remove_prefix(raw, session->reported) : raw);
}

const char *session_cwd(const struct session *session)
{
	return session->cwd;
}

static int ensure_shell(struct session *session, struct azm_err *err)
{
	const struct shell_config config = {
		.loop = session->config.loop,
		.set = session->config.shells,
		.cwd = session->cwd,
		.without_user_files = session->distrust_user_files,
		.events = &shell_events,
		.context = session,
	};

	if (!session->shell)
		session->shell = shell_start(&config, err);
	return session->shell ? 0 : -1;
}

static void send_command(struct session *session)
{
	struct azm_err err = { 0 };

	session->ended = false;
	if (ensure_shell(session, &err) < 0 || shell_run(session->shell, session->command, &err) < 0) {
		session->ended = true;
		finish(session, observation_error("%s: %s", err.text, err.reason[0] ? err.reason : strerror(err.code)));
		return;
	}
	arm_timer(session);
}

/* At the prompt only two keys bring a new prompt, or the shell's end; nothing would ever answer another one. End of
 * file is put into words: the character itself is lost when it comes while readline takes the terminal over.
 */
static void send_key_to_idle_shell(struct session *session, char letter)
{
	const char interrupt = 'c' & 0x1f;
	struct azm_err err = { 0 };

	if (!session->shell || (letter != 'c' && letter != 'd')) {
		report_completed(session);
		return;
	}
	session->ended = false;
	if (letter == 'c') {
		shell_await_line(session->shell);
		shell_type(session->shell, &interrupt, 1);
	} else if (shell_run(session->shell, "exit", &err) < 0) {
		session->ended = true;
	}
	arm_timer(session);
}

static void send_to_program(struct session *session)
{
	const char *command = session->command;

	session->typed = !is_special_key(command);
	if (!session->typed) {
		shell_press(session->shell, control_character(command[2]));
	} else if (*command) {
		shell_type(session->shell, command, strlen(command));
		shell_type(session->shell, "\r", 1);
	}
	arm_timer(session);
}

/* 3.4, step 3. Return: whether the request was answered */
static bool refuse_several(struct session *session)
{
	cleanup_str_list struct str_list pieces = { 0 };
	cleanup_text struct text answer = { 0 };

	commands_split(session->command, &pieces);
	if (pieces.count < 2)
		return false;
	text_addf(&answer,
		"ERROR: Cannot execute multiple commands at once.\nPlease run each command separately OR chain "
		"them into a single command via && or ;\nProvided commands:");
	for (size_t i = 0; i < pieces.count; i++)
		text_addf(&answer, "\n(%zu) %s", i + 1, pieces.items[i]);
	/* A hidden command wants a run observation whatever happens: clients cannot decode another one (trap 3). */
	if (session->request.hidden)
		finish(session, observation_run(session->command, answer.bytes, &unknown_metadata, true));
	else
		finish(session, observation_error("%s", answer.bytes));
	return true;
}

void session_execute(struct session *session, const struct session_request *request)
{
	session->request = *request;
	free(session->command);
	session->command = text_strip(xstrdup(request->command));
	session->request.command = session->command;
	session->typed = session->sent_again = false;
	session->probes = 0;
	session->sent_at = session->changed_at = loop_now();

	bool empty = !*session->command, key = is_special_key(session->command);
	if (!session->unfinished && empty)
		finish_plain(session, "ERROR: No previous running command to retrieve logs from.");
	else if (!session->unfinished && request->is_input)
		finish_plain(session, "ERROR: No previous running command to interact with.");
	else if (refuse_several(session))
		return;
	else if (!session->ended && !request->is_input && !empty)
		report_not_executed(session);
	else if (!session->ended)
		send_to_program(session);
	else if (session->unfinished && (empty || key))
		report_completed(session);
	else if (key)
		send_key_to_idle_shell(session, (char)tolower((unsigned char)session->command[2]));
	else
		send_command(session);
}

void session_abandon(struct session *session)
{
	if (!session->request.done)
		return;
	session->unfinished = true;
	finish(session, observation_error("Nobody waits for the command any more; it runs on."));
}
