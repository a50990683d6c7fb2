// SPDX-License-Identifier: GPL-2.0-or-later
/* server/server.h: what the parts of azm-runtime-server share: its settings, requests and jobs.
 *
 * A request is one HTTP exchange (http.c). An endpoint is a row of the table in endpoints.c. `/execute_action` makes
 * the request a job (jobs.c), which waits for its turn and is then given to an action, a row of the table in actions.c.
 * To add an endpoint or an action: one file, one declaration here, one row there.
 */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "server/bash_commands.h"
#include "server/body.h"
#include "server/editor.h"
#include "server/connections.h"
#include "server/loop.h"
#include "server/session.h"
#include "server/text.h"
#include "server/vscode.h"

struct options {
	const char *host;
	unsigned port; /* 0: any free one */
	const char *working_dir;
	const char *username;
	const char *key_file; /* NULL: from the environment */
	unsigned soft_timeout_s;
	unsigned client_timeout_s; /* a silent connection is ended */
	bool eval_words;	   /* --browsergym-eval-env was given: it may take any number of words */
};

struct job;
struct stream;
struct server {
	struct options options;
	char *api_key; /* NULL: no key is asked for */
	struct loop loop;
	struct shell_set shells;
	struct session *session; /* the persistent shell */
	struct editor editor;
	struct cells *cells; /* NULL until the first one */
	struct vscode vscode;
	struct MHD_Daemon *http;
	struct loop_source http_source;
	struct connections connections;
	struct job *jobs, **jobs_end; /* waiting for their turn; the first one is being executed */
	struct stream *streams;	      /* answers that are still being written: see stream.h */
	struct child *children;	      /* see children.h */
	struct worker *workers;	      /* see worker.h */
	struct follower *followers;   /* see events.h */
	struct terminal *terminals;   /* see terminal.h */
	json_int_t terminal_numbers;  /* given so far */
	json_int_t job_numbers;	      /* given so far */
	struct bash_commands bash;
	uint64_t started_at, last_action_at;
	int io_counters; /* /proc/self/io, opened while it could be; -1 if not */
};

/* ---- requests ---- */

struct request {
	struct server *server;
	struct MHD_Connection *connection;
	const struct endpoint *endpoint;
	struct body body;	       /* what was sent, unless the endpoint takes it in pieces */
	uint64_t received;	       /* bytes of it */
	void *state;		       /* of the endpoint's body_sink */
	char *segment;		       /* what stands for the `*` of the endpoint's path; NULL: it has none */
	unsigned status;	       /* 0 until there is an answer */
	char *answer;		       /* JSON, or */
	struct MHD_Response *response; /* anything else: see request_send() */
	bool sinking, suspended;
	bool unserved; /* it came while as many were served as can be */
};

/* How an endpoint takes a body in pieces, as it arrives: for what is large. Each function may answer; what the client
 * still sends is then read and forgotten. handle() is called after the last piece, if there is no answer yet.
 */
struct body_sink {
	uint64_t limit;				/* bytes; beyond it the answer is 413 */
	void (*start)(struct request *request); /* headers and query are there; sets request->state */
	void (*take)(struct request *request, const char *bytes, size_t size);
	void (*drop)(struct request *request); /* the request is over, answered or not; frees request->state */
};

struct endpoint {
	const char *method, *path;		 /* a `*` in the path stands for one component that is not empty */
	bool public;				 /* needs no key */
	void (*handle)(struct request *request); /* answers now or later */
	const struct body_sink *sink;		 /* NULL: the body is kept in request->body */
};

extern const struct endpoint endpoints[]; /* ended by a NULL path */
void endpoint_alive(struct request *request);
void endpoint_ready(struct request *request);
void endpoint_server_info(struct request *request);
void endpoint_execute_action(struct request *request);
void endpoint_list_files(struct request *request);
void endpoint_upload_file(struct request *request);
extern const struct body_sink upload_sink;
void endpoint_download_files(struct request *request);
void endpoint_update_mcp_server(struct request *request);
void endpoint_vscode_token(struct request *request);
void endpoint_bash_start(struct request *request);
void endpoint_bash_execute(struct request *request);
void endpoint_bash_stop(struct request *request);
void endpoint_bash_event(struct request *request);
void endpoint_bash_search(struct request *request);
void endpoint_bash_clear(struct request *request);
void endpoint_git_changes(struct request *request);
void endpoint_git_diff(struct request *request);
void endpoint_file_download(struct request *request);
void endpoint_file_upload(struct request *request);
extern const struct body_sink upload_file_sink;
void endpoint_console_page(struct request *request);
void endpoint_console_open(struct request *request);
void endpoint_console_screen(struct request *request);
void endpoint_console_keys(struct request *request);
void endpoint_console_size(struct request *request);
void endpoint_console_close(struct request *request);
void endpoint_console_files(struct request *request);
void endpoint_console_processes(struct request *request);

/** request_answer() - answer with a JSON value, which is consumed. Once per request. */
void request_answer(struct request *request, unsigned status, json_t *value);

/**
 * request_send() - answer with a response of libmicrohttpd's: a file, a page, a stream
 * @response:	with its own headers; consumed
 *
 * Once per request, in place of request_answer(). The headers that every answer has are added.
 */
void request_send(struct request *request, unsigned status, struct MHD_Response *response);

/** request_header() - the value of a header, NULL when it is absent. */
const char *request_header(const struct request *request, const char *name);

/** request_query() - a parameter of the query, decoded; NULL when it is absent. Lives as long as the request. */
const char *request_query(const struct request *request, const char *name);

/** request_fail() - answer {"detail": TEXT}. */
[[gnu::format(printf, 3, 4)]] void request_fail(struct request *request, unsigned status, const char *format, ...);

/** request_invalid() - 422 with the reason. */
void request_invalid(struct request *request, const char *reason);

/** http_start() / http_stop() / http_run() - the HTTP side; http_run() returns how long it may be left alone in ms, or
 * -1. */
int http_start(struct server *server, struct azm_err *err);
void http_stop(struct server *server);
int http_run(struct server *server);

/* ---- jobs and actions ---- */

struct job {
	struct server *server;
	json_int_t number;	 /* 1, 2, ... */
	struct request *request; /* its connection is suspended, so it cannot go away; NULL: only followers wait */
	json_t *action;
	struct session *own_session; /* of a static command */
	struct session *session;     /* whose output it makes; NULL: none */
	struct job *next;
};

struct action {
	const char *name;
	void (*start)(struct job *job, json_t *args); /* calls job_done() or job_fail(), now or later */
	const char *unsupported;		      /* without start: why there is only an error observation */
};

extern const struct action actions[]; /* ended by a NULL name */
void action_run(struct job *job, json_t *args);
void action_read(struct job *job, json_t *args);
void action_write(struct job *job, json_t *args);
void action_edit(struct job *job, json_t *args);
void action_ipython(struct job *job, json_t *args);

/** read_through_editor() - what `read` with impl_source oh_aci is answered with. @range: NULL or view_range */
json_t *read_through_editor(struct editor *editor, const char *path, const json_t *range);

/** job_add() - queue an action. @action: the object with "action" and "args"; a reference is taken.
 * @streamed: it is answered with events (events.h) */
void job_add(struct request *request, json_t *action, bool streamed);

/** job_done() - answer with an observation, which is consumed, and start the next job. */
void job_done(struct job *job, json_t *observation);

/** job_fail() - the action is malformed: a server error, as upstream answers it. */
[[gnu::format(printf, 2, 3)]] void job_fail(struct job *job, const char *format, ...);

/**
 * job_client_gone() - the client of a request that waits went away
 *
 * Its action is not begun any more. A command that runs goes on, as after a timeout: whoever asks next is told so.
 * Other actions end by themselves.
 */
void job_client_gone(struct request *request);

/** jobs_abort() - drop every job, answering 503 where somebody still waits. */
void jobs_abort(struct server *server);

/** job_string() / job_int() / job_bool() - an argument of an action, or the default when absent or null.
 * A wrong type fails the job and returns false.
 */
bool job_string(struct job *job, json_t *args, const char *name, const char **value);
bool job_int(struct job *job, json_t *args, const char *name, json_int_t *value);
bool job_bool(struct job *job, json_t *args, const char *name, bool *value);

/* ---- start-up ---- */

/** settings_parse() - the command line; --help ends the program. Return: 0, -1 with @err set */
int settings_parse(int argc, char *argv[], struct options *options, struct azm_err *err);

/** key_take() - the API key from its file or the environment, from where it is removed. NULL in *key: none is set. */
int key_take(const char *key_file, char **key, struct azm_err *err);

/** key_equal() - compare in a time that depends on the length of @given only. */
bool key_equal(const char *key, const char *given);
