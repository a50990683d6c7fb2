// SPDX-License-Identifier: GPL-2.0-or-later
/* server/upload.c: see upload.h */
#include "server/upload.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "server/server.h"

mode_t upload_mode(void)
{
	mode_t mask = umask(0);

	umask(mask);
	return 0666 & ~mask;
}

void upload_failed(struct request *request, const char *path, int code)
{
	bool full = code == ENOSPC || code == EDQUOT || code == EFBIG;

	request_fail(request, full ? 507 : 500, "[Errno %d] %s: '%s'", code, strerror(code), path);
}

static void on_begin(void *context, const char *name, const char *filename)
{
	struct upload *upload = context;

	upload->fd = -1;
	if (strcmp(name, "file") == 0 && filename && !upload->complete && !upload->request->status)
		upload->opened(upload, filename);
}

static void on_bytes(void *context, const char *bytes, size_t size)
{
	struct upload *upload = context;

	if (upload->fd < 0 || upload->request->status)
		return;
	if (write_full(upload->fd, bytes, size) < 0)
		upload_failed(upload->request, "file", errno);
}

static void on_end(void *context)
{
	struct upload *upload = context;

	upload->complete |= upload->fd >= 0;
	upload->fd = -1;
}

void upload_begin(
	struct upload *upload, struct request *request, void (*opened)(struct upload *upload, const char *filename))
{
	static const struct multipart_events events = { on_begin, on_bytes, on_end };

	upload->request = request;
	upload->opened = opened;
	upload->fd = -1;
	if (!multipart_begin(&upload->multipart, request_header(request, "Content-Type"), &events, upload))
		request_invalid(request, "the body is not multipart/form-data");
}

void upload_take(struct upload *upload, const char *bytes, size_t size)
{
	if (!multipart_take(&upload->multipart, bytes, size) && !upload->request->status)
		request_invalid(upload->request, "the body is not well-formed multipart/form-data");
}

bool upload_check(struct upload *upload)
{
	if (upload->complete && multipart_ended(&upload->multipart))
		return true;
	request_invalid(upload->request,
		upload->complete ? "the body is incomplete" : "file: a part with a file name is required");
	return false;
}

void upload_free(struct upload *upload)
{
	multipart_free(&upload->multipart);
}
