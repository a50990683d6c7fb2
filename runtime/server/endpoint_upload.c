// SPDX-License-Identifier: GPL-2.0-or-later
/* server/endpoint_upload.c: POST /upload_file (spec: openhands 1.3): a file, or a directory as a zip archive.
 *
 * Upstream answers what it refuses with 500 and the status it meant in the text; clients know that form.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "server/body.h"
#include "server/observation.h"
#include "server/server.h"
#include "server/upload.h"
#include "server/worker.h"
#include "server/zip.h"

enum { UNPACK_TIMEOUT_S = 280 /* the client waits 300 */ };

struct incoming {
	struct upload upload;
	const char *destination; /* lives as long as the request */
	bool recursive, is_zip;
	int dir;     /* the destination */
	int archive; /* a zip, until it is unpacked; -1 */
	char filename[UPLOAD_NAME_MAX + 1];
	struct new_file file; /* anything else; open while .fd >= 0 */
};

/* As FastAPI reads a truth value. Return: false: it is none */
static bool parse_bool(const char *text, bool *value)
{
	static const char *const words[] = { "false", "true", "0", "1", "no", "yes", "off", "on", "f", "t", "n", "y" };

	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		if (strcasecmp(text, words[i]) == 0) {
			*value = i % 2;
			return true;
		}
	return false;
}

/* A name that is one component: anything else could lead out of the destination. */
static bool is_plain_name(const char *name)
{
	return *name && !strchr(name, '/') && strcmp(name, ".") != 0 && strcmp(name, "..") != 0 &&
	       strlen(name) <= UPLOAD_NAME_MAX;
}

static bool ends_in_zip(const char *name)
{
	size_t size = strlen(name);

	return size >= 4 && strcmp(name + size - 4, ".zip") == 0;
}

static void on_opened(struct upload *upload, const char *filename)
{
	struct incoming *incoming = (struct incoming *)(void *)upload;
	struct request *request = upload->request;

	incoming->is_zip = incoming->recursive || ends_in_zip(filename);
	if (!is_plain_name(filename)) {
		request_fail(request, 500, "400: The name of the file must be a plain name");
	} else if (incoming->recursive && !ends_in_zip(filename)) {
		request_fail(request, 500, "400: Recursive uploads must be zip files");
	} else if (incoming->is_zip) {
		incoming->archive = upload->fd = file_nameless();
		if (incoming->archive < 0)
			upload_failed(request, filename, errno);
	} else if (new_file_open(&incoming->file, incoming->dir, filename, upload_mode()) < 0) {
		upload_failed(request, filename, errno);
	} else {
		upload->fd = incoming->file.fd;
	}
	snprintf(incoming->filename, sizeof incoming->filename, "%s", filename);
}

static void start(struct request *request)
{
	struct incoming *incoming = request->state = xcalloc(1, sizeof *incoming);
	const char *destination = request_query(request, "destination"),
		   *recursive = request_query(request, "recursive");

	incoming->dir = incoming->archive = incoming->file.fd = incoming->file.dir = -1;
	incoming->destination = destination ? destination : "/";
	request->server->last_action_at = loop_now();
	upload_begin(&incoming->upload, request, on_opened);
	if (request->status)
		return;
	if (recursive && !parse_bool(recursive, &incoming->recursive))
		request_invalid(request, "recursive: a truth value is required");
	else if (*incoming->destination != '/')
		request_fail(request, 500, "400: Destination must be an absolute path");
	else if (file_make_directories(incoming->destination) < 0 ||
		 (incoming->dir = open(incoming->destination, O_PATH | O_DIRECTORY | O_CLOEXEC)) < 0)
		upload_failed(request, incoming->destination, errno);
}

static void take(struct request *request, const char *bytes, size_t size)
{
	struct incoming *incoming = request->state;

	upload_take(&incoming->upload, bytes, size);
}

static void drop(struct request *request)
{
	struct incoming *incoming = request->state;

	if (incoming->file.fd >= 0)
		new_file_drop(&incoming->file);
	if (incoming->archive >= 0)
		close(incoming->archive);
	if (incoming->dir >= 0)
		close(incoming->dir);
	upload_free(&incoming->upload);
	free(incoming);
}

const struct body_sink upload_sink = { .limit = UPLOAD_MAX, .start = start, .take = take, .drop = drop };

static json_t *answer(const struct incoming *incoming)
{
	return json_pack("{s:o, s:o, s:b}", "filename", json_text(incoming->filename), "destination",
		json_text(incoming->destination), "recursive", (int)incoming->recursive);
}

/* In a child process: unpack. */
static json_t *unpack(void *input, unsigned *status)
{
	const struct incoming *incoming = input;
	struct azm_err err = { 0 };
	off_t size = lseek(WORKER_FDS, 0, SEEK_END);
	struct zip_limits limits = zip_limits_for(size > 0 ? (uint64_t)size : 0);

	lseek(WORKER_FDS, 0, SEEK_SET);
	if (zip_extract(WORKER_FDS, WORKER_FDS + 1, &limits, &err) == 0)
		return answer(incoming);
	*status = err.code == ENOSPC || err.code == EDQUOT ? 507 : 500;
	cleanup_free char *detail =
		xasprintf("%s: %s: %s", incoming->filename, err.text, *err.reason ? err.reason : strerror(err.code));
	return json_pack("{s:o}", "detail", json_text(detail));
}

void endpoint_upload_file(struct request *request)
{
	struct incoming *incoming = request->state;

	if (!upload_check(&incoming->upload))
		return;
	if (incoming->is_zip)
		worker_start(request, &(const struct worker_job){ .work = unpack,
					      .input = incoming,
					      .timeout_s = UNPACK_TIMEOUT_S,
					      .keep = { incoming->archive, incoming->dir } });
	else if (new_file_commit(&incoming->file) < 0)
		upload_failed(request, incoming->filename, errno);
	else
		request_answer(request, 200, answer(incoming));
}
