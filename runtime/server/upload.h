// SPDX-License-Identifier: GPL-2.0-or-later
/* server/upload.h: the file of a multipart/form-data body, written where it belongs as it arrives.
 *
 * For the body_sink of an endpoint: upload_begin() in start(), upload_take() in take(), upload_free() in drop().
 */
#pragma once
#include <stdbool.h>

#include "server/multipart.h"
#include "server/new_file.h"

struct request;

enum { UPLOAD_NAME_MAX = 255 };
#define UPLOAD_MAX (1ull << 40) /* the disk is the limit; this one keeps sizes within reason */

struct upload {
	struct request *request;
	struct multipart multipart;
	/* The part "file" begins: say where its bytes go, by setting fd, or answer the request. */
	void (*opened)(struct upload *upload, const char *filename);
	int fd; /* -1: nowhere (yet) */
	bool complete;
};

/** upload_begin() - the headers are there. Answers the request when the body is no multipart/form-data. */
void upload_begin(
	struct upload *upload, struct request *request, void (*opened)(struct upload *upload, const char *filename));

/** upload_take() - the next bytes of the body; answers the request when they cannot be stored. */
void upload_take(struct upload *upload, const char *bytes, size_t size);

/** upload_check() - the body is there. Return: whether a whole file was in it; if not, the request is answered */
bool upload_check(struct upload *upload);

void upload_free(struct upload *upload);

/** upload_failed() - answer for an error of the file system: 507 for a full disk, else 500, with the reason. */
void upload_failed(struct request *request, const char *path, int code);

/** upload_mode() - of a file that did not exist: as open() would make it. */
mode_t upload_mode(void);
