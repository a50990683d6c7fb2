// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/registry_push.c: sending blobs and documents to a registry; see registry.h.
 *
 * A small blob goes in one request, a large one in pieces: what a broken connection has taken along is asked for, and
 * the rest is sent. Registries that know no pieces get it in one.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "rootfs-tools/registry_internal.h"
#include "rootfs-tools/registry_text.h"

enum { PIECE = 32 << 20 };

struct upload {
	struct registry_client *client;
	struct endpoint *endpoint;
	const char *name; /* digest */
	const struct blob *blob;
	const char *from;
	_Atomic uint64_t *sent;
	char *location; /* where the upload goes on */
	bool whole;	/* in one piece: others were refused */
	struct http_response response;
};

static struct endpoint *target_of(const struct registry *r)
{
	return &r->endpoints[r->count - 1];
}

static int ask(struct upload *u, struct http_request *request, const char *where, struct azm_err *err)
{
	const uint64_t before = u->sent ? *u->sent : 0;

	request->sent = u->sent;
	int result = registry_request(u->client, u->endpoint, request, where, &u->response, err);
	if (u->sent && (result < 0 || u->response.status >= 300))
		*u->sent = before;
	return result;
}

/* The next address, where the answer has one. */
static int follow(struct upload *u, struct azm_err *err)
{
	const char *location = u->response.fields[HTTP_LOCATION];
	const struct registry *r = u->client->registry;

	char *next = location ? http_resolve(&r->api, u->response.url, location, err) : NULL;
	if (!next)
		return location ? -1 : err_msg(err, EBADMSG, "upload", u->name, "the registry does not say where to");
	if (strncasecmp(next, "http:", 5) == 0 && strncasecmp(u->response.url, "https:", 6) == 0 &&
		!u->endpoint->trust.unverified) {
		free(next);
		return err_msg(err, EPERM, "upload", u->name, "the registry wants it sent without TLS");
	}
	free(u->location);
	u->location = next;
	return 0;
}

/* Return: 1 it is there, 0 it is not, -1. */
static int is_there(struct upload *u, struct azm_err *err)
{
	cleanup_free char *where = xasprintf("blobs/%s", u->name);
	struct http_request request = { .method = HTTP_HEAD, .deadline = DOCUMENT_SECONDS };

	if (registry_insist(u->client, u->endpoint, &request, where, &u->response, err) < 0)
		return -1;
	if (u->response.status == 404)
		return 0;
	return u->response.status == 200 ? 1 : registry_refusal(u->endpoint, "upload", u->name, &u->response, err);
}

/* Return: 1 the registry has taken it from the other repository, 0 an upload has begun, -1. */
static int begin(struct upload *u, struct azm_err *err)
{
	struct http_request request = { .method = HTTP_POST, .deadline = DOCUMENT_SECONDS };
	cleanup_free char *from = u->from ? url_encode(u->from) : NULL;
	cleanup_free char *where =
		from ? xasprintf("blobs/uploads/?mount=%s&from=%s", u->name, from) : xstrdup("blobs/uploads/");

	if (registry_insist(u->client, u->endpoint, &request, where, &u->response, err) < 0)
		return -1;
	if (u->response.status == 201 && from)
		return 1;
	if (u->response.status != 202)
		return registry_refusal(u->endpoint, "upload", u->name, &u->response, err);
	return follow(u, err);
}

/* The last request: @offset and what is behind it, or nothing. */
static int put_rest(struct upload *u, uint64_t offset, bool *passing, struct azm_err *err)
{
	cleanup_free char *where =
		xasprintf("%s%cdigest=%s", u->location, strchr(u->location, '?') ? '&' : '?', u->name);
	struct http_request request = { .method = HTTP_PUT,
		.content_type = "application/octet-stream",
		.blob = { .fd = u->blob->fd, .offset = u->blob->offset + offset, .size = u->blob->size - offset } };

	int result = ask(u, &request, where, err);
	*passing = registry_is_passing(result, &u->response, err);
	if (result < 0)
		return -1;
	return u->response.status == 201 || u->response.status == 204
		       ? 0
		       : registry_refusal(u->endpoint, "upload", u->name, &u->response, err);
}

/* How many bytes the registry has of a broken upload. Return: 0, or -1: nobody knows. */
static int ask_offset(struct upload *u, uint64_t *offset)
{
	struct http_request request = { .method = HTTP_GET, .deadline = DOCUMENT_SECONDS };
	struct azm_err ignored = { 0 };

	if (registry_request(u->client, u->endpoint, &request, u->location, &u->response, &ignored) < 0 ||
		u->response.status != 204 || !u->response.fields[HTTP_RANGE] ||
		!upload_range_parse(u->response.fields[HTTP_RANGE], offset) || *offset > u->blob->size)
		return -1;
	return u->response.fields[HTTP_LOCATION] ? follow(u, &ignored) : 0;
}

static int send_piece(struct upload *u, uint64_t *offset, bool *passing, struct azm_err *err)
{
	uint64_t left = u->blob->size - *offset, size = left < PIECE ? left : PIECE, had;
	cleanup_free char *range = xasprintf("Content-Range: %" PRIu64 "-%" PRIu64, *offset, *offset + size - 1);
	struct http_request request = { .method = HTTP_PATCH,
		.content_type = "application/octet-stream",
		.fields = { range },
		.blob = { .fd = u->blob->fd, .offset = u->blob->offset + *offset, .size = size } };

	int result = ask(u, &request, u->location, err);
	*passing = registry_is_passing(result, &u->response, err);
	if (result < 0)
		return -1;
	if (u->response.status != 202) {
		u->whole = !*passing; /* it may not know pieces */
		return registry_refusal(u->endpoint, "upload", u->name, &u->response, err);
	}
	if (u->response.fields[HTTP_RANGE] && upload_range_parse(u->response.fields[HTTP_RANGE], &had) &&
		had != *offset + size) {
		u->whole = true;
		return err_msg(err, EBADMSG, "upload", u->name, "the registry took another part than was sent");
	}
	*offset += size;
	return follow(u, err);
}

static int send_pieces(struct upload *u, bool *passing, struct azm_err *err)
{
	uint64_t offset = 0;
	unsigned attempt = 1;

	*passing = false;
	while (offset < u->blob->size) {
		uint64_t before = offset;
		if (send_piece(u, &offset, passing, err) == 0) {
			attempt = 1;
			continue;
		}
		if (!*passing || attempt >= ATTEMPTS_MAX || registry_pause(u->client, attempt++, &u->response, err) < 0)
			return -1;
		if (ask_offset(u, &offset) < 0)
			return -1; /* from the beginning, then */
		if (u->sent)
			*u->sent = *u->sent - before + offset;
	}
	return put_rest(u, offset, passing, err);
}

static int upload_once(struct upload *u, bool *passing, struct azm_err *err)
{
	int result = begin(u, err);

	*passing = false;
	if (result != 0)
		return result;
	if (u->blob->size <= PIECE || u->whole)
		return put_rest(u, 0, passing, err);
	return send_pieces(u, passing, err);
}

static int upload(struct upload *u, struct azm_err *err)
{
	const uint64_t before = u->sent ? *u->sent : 0;

	for (unsigned attempt = 1;; attempt++) {
		bool was_whole = u->whole, passing;
		err_clear(err);
		int result = upload_once(u, &passing, err);
		if (result >= 0)
			return result;
		if (u->sent)
			*u->sent = before;
		if (u->whole && !was_whole && !err_is(err, EINTR))
			continue;
		if (!passing || attempt >= ATTEMPTS_MAX || registry_pause(u->client, attempt, &u->response, err) < 0)
			return -1;
	}
}

int registry_put_blob(struct registry_client *client, const struct digest *digest, const struct blob *blob,
	const char *from, _Atomic uint64_t *sent, struct azm_err *err)
{
	char name[DIGEST_TEXT_SIZE];
	struct upload u = { .client = client,
		.endpoint = target_of(client->registry),
		.name = name,
		.blob = blob,
		.from = from,
		.sent = sent };

	digest_text(digest, name);
	int result = is_there(&u, err);
	if (result == 0) {
		result = upload(&u, err);
	} else if (result > 0 && sent) {
		*sent += blob->size;
	}
	if (result > 0 && u.from && sent && u.response.status == 201)
		*sent += blob->size;
	free(u.location);
	http_response_free(&u.response);
	return result;
}

int registry_put_document(struct registry_client *client, const char *name, const char *media_type, const char *text,
	size_t size, const struct digest *digest, struct azm_err *err)
{
	struct endpoint *e = target_of(client->registry);
	cleanup_free char *where = xasprintf("manifests/%s", name);
	cleanup_http_response struct http_response response = { 0 };
	struct http_request request = {
		.method = HTTP_PUT, .content_type = media_type, .data = text, .size = size, .deadline = DOCUMENT_SECONDS
	};
	struct digest said;
	struct azm_err ignored = { 0 };

	if (registry_insist(client, e, &request, where, &response, err) < 0)
		return -1;
	if (response.status != 201 && response.status != 200)
		return registry_refusal(e, "push", name, &response, err);
	const char *field = response.fields[HTTP_CONTENT_DIGEST];
	if (field && digest_parse(field, &said, &ignored) == 0 && said.algorithm == digest->algorithm &&
		!digest_equal(&said, digest))
		return err_msg(err, EBADMSG, "push", name, "the registry made something else of it: %s", field);
	return 0;
}
