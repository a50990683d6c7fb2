// SPDX-License-Identifier: GPL-2.0-or-later
/* server/endpoint_file.c: /api/file/upload and /api/file/download: one file, by its absolute path (spec:
 * openhands 10.2).
 *
 * An upload goes to disk as it arrives and into its place when all of it has come.
 */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/str.h"
#include "server/query.h"
#include "server/server.h"
#include "server/upload.h"

/* ---- download ---- */

/* The name of a file as a header can carry it (RFC 6266, RFC 8187): every byte that is not plain is escaped. */
static char *attachment_header(const char *path)
{
	static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
	const char *name = strrchr(path, '/') + 1;
	struct text header = { 0 };

	text_addf(&header, "attachment; filename*=UTF-8''");
	for (; *name; name++)
		text_addf(&header, strchr(plain, *name) ? "%c" : "%%%02X", (unsigned char)*name);
	return text_take(&header);
}

static void refuse(struct request *request, int code, const char *what)
{
	if (code == ENOENT || code == ENOTDIR)
		request_fail(request, 404, "File not found");
	else if (code == EISDIR || code == EINVAL || code == ENXIO)
		request_fail(request, 400, "Path is not a file");
	else
		request_fail(request, code == EACCES ? 403 : 500, "%s: %s", what, strerror(code));
}

void endpoint_file_download(struct request *request)
{
	const char *path = query_path(request, "path");
	struct stat info;

	if (!path)
		return;
	request->server->last_action_at = loop_now();
	cleanup_fd int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &info) < 0) {
		refuse(request, errno, "Failed to download file");
		return;
	}
	if (!S_ISREG(info.st_mode)) {
		refuse(request, EISDIR, "");
		return;
	}
	struct MHD_Response *response = MHD_create_response_from_fd64((uint64_t)info.st_size, fd);
	if (!response) {
		request_fail(request, 500, "Failed to download file");
		return;
	}
	steal_fd(&fd);
	cleanup_free char *header = attachment_header(path);
	MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, "application/octet-stream");
	MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_DISPOSITION, header);
	request_send(request, 200, response);
}

/* ---- upload ---- */

struct incoming {
	struct upload upload;
	struct new_file file; /* open while .fd >= 0 */
};

/* A symbolic link is followed, as open() would. */
static int open_destination(struct new_file *file, const char *path)
{
	cleanup_free char *target = realpath(path, NULL);
	cleanup_free char *for_directory = xstrdup(target ? target : path);
	cleanup_free char *for_name = xstrdup(for_directory);

	if (path[strlen(path) - 1] == '/')
		return errno = EISDIR, -1;
	if (file_make_parents(for_directory) < 0)
		return -1;
	cleanup_fd int directory = open(dirname(for_directory), O_PATH | O_DIRECTORY | O_CLOEXEC);
	return directory < 0 ? -1 : new_file_open(file, directory, basename(for_name), upload_mode());
}

static void on_opened(struct upload *upload, const char *filename)
{
	struct incoming *incoming = (struct incoming *)(void *)upload;
	const char *path = request_query(upload->request, "path");

	(void)filename; /* the path has the name */
	if (open_destination(&incoming->file, path) == 0)
		upload->fd = incoming->file.fd;
	else if (errno == EISDIR || errno == EINVAL)
		request_fail(upload->request, 400, "Path is not a file");
	else if (errno == ENOTDIR || errno == EEXIST)
		request_fail(upload->request, 400, "A parent of the path is not a directory");
	else
		upload_failed(upload->request, path, errno);
}

static void start(struct request *request)
{
	struct incoming *incoming = request->state = xcalloc(1, sizeof *incoming);

	incoming->file.fd = incoming->file.dir = -1;
	request->server->last_action_at = loop_now();
	if (query_path(request, "path"))
		upload_begin(&incoming->upload, request, on_opened);
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
	upload_free(&incoming->upload);
	free(incoming);
}

const struct body_sink upload_file_sink = { .limit = UPLOAD_MAX, .start = start, .take = take, .drop = drop };

void endpoint_file_upload(struct request *request)
{
	struct incoming *incoming = request->state;
	struct stat info = { 0 };

	if (!upload_check(&incoming->upload))
		return;
	fstat(incoming->file.fd, &info);
	if (new_file_commit(&incoming->file) < 0)
		upload_failed(request, request_query(request, "path"), errno);
	else
		request_answer(
			request, 200, json_pack("{s:b, s:I}", "success", 1, "file_size", (json_int_t)info.st_size));
}
