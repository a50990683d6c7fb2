// SPDX-License-Identifier: GPL-2.0-or-later
/* server/session.h: what a client sees of a shell: one command at a time, soft and hard timeouts (spec: openhands 3).
 */
#pragma once
#include <jansson.h>
#include <stdbool.h>

#include "server/shell.h"

struct session;

struct session_config {
	struct loop *loop;
	struct shell_set *shells;
	const char *cwd;	 /* where the first shell starts */
	const char *username;	 /* reported when the password file does not know the shell's uid */
	unsigned soft_timeout_s; /* without new output */
	bool single;		 /* for one command only: what becomes of its shell is of no interest */
};

struct session_request {
	const char *command;
	bool is_input, blocking, hidden;
	double timeout_s;				  /* hard timeout; 0: none */
	void (*done)(void *context, json_t *observation); /* owns the observation; may free the session */
	void (*output)(void *context);			  /* session_output() has changed; may be NULL */
	void *context;
};

/** session_new() - no shell yet: it is started by the first command. The strings of @config are not copied. */
struct session *session_new(const struct session_config *config);
void session_free(struct session *session);

/** session_execute() - execute or type a command; done() is called once, now or later. One request at a time. */
void session_execute(struct session *session, const struct session_request *request);

/** session_abandon() - answer the request that is being served, since nobody waits for it: its command runs on, and
 * nothing of its output counts as reported. */
void session_abandon(struct session *session);

/** session_output() - what the running command has printed that was not reported yet, as the screen shows it. Caller
 * owns. */
char *session_output(const struct session *session);

/** session_cwd() - the shell's working directory as of its last prompt. */
const char *session_cwd(const struct session *session);
