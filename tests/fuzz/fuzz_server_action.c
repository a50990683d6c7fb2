// SPDX-License-Identifier: GPL-2.0-or-later
/* tests/fuzz/fuzz_server_action.c: any body of POST /execute_action: one answer, a JSON value, whatever it is. Reads
 * and writes go to one file of the target's own; the shell is left out. */
#include <fcntl.h>
#include <unistd.h>

#include "base/str.h"
#include "server/events.h"
#include "server/files.h"
#include "server/observation.h"
#include "server/server.h"
#include "tests/fuzz/fuzz.h"

static unsigned answers;
static char file[64];

/* Instead of http.c */
void request_answer(struct request *request, unsigned status, json_t *value)
{
	(void)request;
	must(value && status >= 200 && status < 600);
	char *text = json_dumps(value, JSON_COMPACT);
	must(text);
	free(text);
	json_decref(value);
	answers++;
}

void request_fail(struct request *request, unsigned status, const char *format, ...)
{
	(void)format;
	request_answer(request, status, json_object());
}

void request_invalid(struct request *request, const char *reason)
{
	must(reason);
	request_answer(request, 422, json_object());
}

const char *request_query(const struct request *request, const char *name)
{
	must(request && name);
	return NULL;
}

/* Instead of events.c: nobody follows. */
void events_follow(struct request *request, const struct job *job)
{
	must(request && job);
}

void events_job_started(const struct job *job)
{
	must(job->number > 0);
}

void events_job_output(const struct job *job)
{
	must(job);
}

void events_job_done(const struct job *job, json_t *observation)
{
	must(job && json_is_object(observation));
}

void events_job_failed(const struct job *job, const char *detail)
{
	must(job && detail);
}

/* Instead of session.c */
struct session *session_new(const struct session_config *config)
{
	(void)config;
	return calloc(1, 1);
}

void session_free(struct session *session)
{
	free(session);
}

const char *session_cwd(const struct session *session)
{
	(void)session;
	return "/";
}

void session_execute(struct session *session, const struct session_request *request)
{
	struct run_metadata metadata = { .exit_code = 0, .background = -1 };

	(void)session;
	must(request->command);
	request->done(
		request->context, observation_run(request->command, request->command, &metadata, request->hidden));
}

void session_abandon(struct session *session)
{
	must(session);
}

/* Instead of files.c's: every path is the target's file. */
char *__wrap_file_path(const char *cwd, const char *path);
bool __wrap_file_looks_binary(const char *path);

char *__wrap_file_path(const char *cwd, const char *path)
{
	must(cwd && path);
	return xstrdup(file);
}

bool __wrap_file_looks_binary(const char *path)
{
	return *path == 'b';
}

/* Instead of edit_files.c and edit_show.c: every path is a file in memory. */
bool __wrap_edit_load(const char *path, struct text *text, struct encoding *encoding, struct edit_result *result);
bool __wrap_edit_store(const char *path, const struct text *text, struct encoding encoding, struct edit_result *result);
bool __wrap_edit_view_directory(const char *path, struct edit_result *result);

bool __wrap_edit_load(const char *path, struct text *text, struct encoding *encoding, struct edit_result *result)
{
	static const char bytes[] = "one\r\ntwo\r\n\xe9\r\nthree";

	if (strlen(path) % 4 == 1)
		return edit_fail(result, "no");
	*encoding = encoding_decode(bytes, strlen(path) % 2 ? sizeof bytes - 1 : 10, text);
	return true;
}

bool __wrap_edit_store(const char *path, const struct text *text, struct encoding encoding, struct edit_result *result)
{
	struct text bytes = { 0 };
	uint32_t lacking = 0;
	int encoded = encoding_encode(encoding, text->bytes, text->size, &bytes, &lacking);

	must(encoded == 0 || lacking > 0xff);
	text_free(&bytes);
	return strlen(path) % 4 == 3 ? edit_fail(result, "no") : true;
}

bool __wrap_edit_view_directory(const char *path, struct edit_result *result)
{
	must(*path == '/');
	text_addf(&result->output, "%s", path);
	return true;
}

/* Instead of action_ipython.c: no program is run. */
void __wrap_action_ipython(struct job *job, json_t *args);

void __wrap_action_ipython(struct job *job, json_t *args)
{
	json_t *code = json_object_get(args, "code");

	if (json_is_string(code))
		job_done(job, observation_ipython(code, "", NULL));
	else
		job_fail(job, "no code");
}

static void remove_file(void)
{
	unlink(file);
}

static void make_file(void)
{
	static const char text[] = "one\ntwo\nthree\n";
	int fd;

	if (!*file) {
		snprintf(file, sizeof file, "/dev/shm/azm-fuzz-action-%d", (int)getpid());
		atexit(remove_file);
	}
	fd = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	must(fd >= 0 && write(fd, text, sizeof text - 1) == (ssize_t)sizeof text - 1);
	close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct server server = { .options = { .working_dir = "/", .username = "user", .soft_timeout_s = 10 },
		.editor = { .working_dir = "/" } };
	struct request request = { .server = &server,
		.body = { .text = { .bytes = fuzz_text(data, size), .size = size } } };

	make_file();
	answers = 0;
	endpoint_execute_action(&request);
	must(answers == 1);
	must(!server.jobs);
	body_free(&request.body);
	edit_history_free(&server.editor.history);
	return 0;
}
