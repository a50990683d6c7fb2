// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/registry.c: see registry.h. Requests and what may go wrong with them; fetching documents and blobs.
 *
 * Theory of operation
 *
 * Each thing is asked of the endpoints in order, beginning with the one that had the image. What fails in passing (a
 * connection that breaks, a server that is busy) is tried again after a pause that doubles each time, or is as long as
 * the server says; attempts that brought something on do not count. A blob goes on where it was. What cannot get better
 * (wrong content, more bytes than there are) is not tried again there.
 */
#include "rootfs-tools/registry.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "rootfs-tools/registry_internal.h"
#include "rootfs-tools/registry_text.h"

enum { STALL_SECONDS = 30, PAUSE_MS = 250, PAUSE_MAX_SECONDS = 120, SLICE_MS = 100, WORTH_IT = 64 << 10 };

static const char manifest_types[] = "application/vnd.oci.image.index.v1+json, "
				     "application/vnd.docker.distribution.manifest.list.v2+json, "
				     "application/vnd.oci.image.manifest.v1+json, "
				     "application/vnd.docker.distribution.manifest.v2+json";

/* ---- opening --------------------------------------------------------------------------------------------------- */

struct registry *registry_open(
	const struct reference *reference, const struct registry_options *options, bool push, struct azm_err *err)
{
	struct registry *r = xcalloc(1, sizeof *r);

	*r = (struct registry){
		.options = options, .host = xstrdup(reference->domain), .path = xstrdup(reference->path), .push = push
	};
	pthread_mutex_init(&r->lock, NULL);
	if (endpoints_find(r, err) == 0 && curl_api_load(&r->api, err) == 0)
		return r;
	registry_close(r);
	return NULL;
}

void registry_close(struct registry *r)
{
	if (!r)
		return;
	for (size_t i = 0; i < r->count; i++)
		endpoint_free(&r->endpoints[i]);
	free(r->endpoints);
	free(r->host);
	free(r->path);
	free(r->mount_from);
	pthread_mutex_destroy(&r->lock);
	free(r);
}

struct registry_client *registry_client_new(
	struct registry *registry, int (*tick)(void *context, struct azm_err *err), void *context, struct azm_err *err)
{
	struct registry_client *client = xcalloc(1, sizeof *client);
	const unsigned stall = registry->options->stall ? registry->options->stall : STALL_SECONDS;

	*client = (struct registry_client){ .registry = registry, .tick = tick, .context = context };
	client->http = http_new(&registry->api, stall, tick, context, err);
	if (client->http)
		return client;
	free(client);
	return NULL;
}

void registry_client_free(struct registry_client *client)
{
	if (!client)
		return;
	http_free(client->http);
	free(client);
}

/* ---- one request ----------------------------------------------------------------------------------------------- */

static bool is_plain(struct registry *r, const struct endpoint *e)
{
	pthread_mutex_lock(&r->lock);
	bool plain = e->plain;
	pthread_mutex_unlock(&r->lock);
	return plain;
}

static char *address(const struct endpoint *e, bool plain, const char *where)
{
	if (strstr(where, "://"))
		return xstrdup(where);
	return xasprintf("%s://%s/v2/%s/%s", plain ? "http" : "https", e->host, e->path, where);
}

/* Where no TLS is spoken and none is needed. @plain: how it was tried. Return: whether it is worth another try. */
static bool try_plain(struct registry *r, struct endpoint *e, bool plain, const struct azm_err *err)
{
	pthread_mutex_lock(&r->lock);
	if (e->plain_allowed && !e->decided && (err_is(err, EPROTO) || err_is(err, ECONNREFUSED)))
		e->plain = true;
	bool change = e->plain && !plain; /* by us or by another thread */
	pthread_mutex_unlock(&r->lock);
	return change;
}

static void note_answer(struct registry *r, struct endpoint *e, const char *authorization, long status)
{
	pthread_mutex_lock(&r->lock);
	e->decided = true;
	if (authorization && e->authorization && status != 401 && strcmp(authorization, e->authorization) == 0)
		e->accepted = true;
	pthread_mutex_unlock(&r->lock);
}

static int send_once(struct registry_client *client, struct endpoint *e, struct http_request *request,
	const char *where, char **authorization, struct http_response *response, struct azm_err *err)
{
	struct registry *r = client->registry;

	for (;;) {
		bool plain = is_plain(r, e);
		cleanup_free char *url = address(e, plain, where);
		cleanup_free char *root = address(e, plain, "");
		free(*authorization);
		/* An upload's address may be on another host, which has no business with it. */
		*authorization = http_same_origin(&r->api, url, root) ? endpoint_authorization(r, e) : NULL;
		request->url = url;
		request->authorization = *authorization;
		request->trust = &e->trust;
		err_clear(err);
		int result = http_perform(client->http, request, response, err);
		request->url = request->authorization = NULL;
		if (result == 0)
			note_answer(r, e, *authorization, response->status);
		else if (try_plain(r, e, plain, err))
			continue;
		return result;
	}
}

int registry_request(struct registry_client *client, struct endpoint *e, struct http_request *request,
	const char *where, struct http_response *response, struct azm_err *err)
{
	cleanup_free char *authorization = NULL;

	/* Twice: what we had has expired; what we got. */
	for (int logins = 0;; logins++) {
		http_response_free(response);
		if (send_once(client, e, request, where, &authorization, response, err) < 0)
			return -1;
		const char *challenge = response->fields[HTTP_WWW_AUTHENTICATE];
		if (response->status != 401 || logins >= 2)
			return 0;
		if (endpoint_authorize(client, e, challenge ? challenge : "", authorization, err) < 0)
			return -1;
	}
}

/* ---- what goes wrong ------------------------------------------------------------------------------------------- */

bool registry_is_passing(int result, const struct http_response *response, const struct azm_err *err)
{
	static const long statuses[] = { 408, 425, 429, 500, 502, 503, 504 };

	if (result < 0)
		return err_is(err, ETIMEDOUT) || err_is(err, ECONNRESET) || err_is(err, ENODATA);
	for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++)
		if (response->status == statuses[i])
			return true;
	return false;
}

int registry_pause(
	struct registry_client *client, unsigned attempt, const struct http_response *response, struct azm_err *err)
{
	const char *text = response->fields[HTTP_RETRY_AFTER];
	int64_t ms = (int64_t)PAUSE_MS << (attempt - 1);
	int64_t told = text ? retry_after_parse(text, time(NULL), client->registry->api.curl_getdate) : -1;

	if (told > PAUSE_MAX_SECONDS)
		return err_msg(err, EBUSY, "ask the registry", client->registry->host,
			"it is busy and says to come back in %" PRId64 " s", told);
	for (int64_t until = clock_ms() + (told >= 0 ? told * 1000 : ms); clock_ms() < until;) {
		if (client->tick && client->tick(client->context, err) < 0)
			return -1;
		nanosleep(&(struct timespec){ .tv_nsec = SLICE_MS * 1000000L }, NULL);
	}
	return 0;
}

static const struct {
	long status;
	int code;
	const char *text;
} refusals[] = {
	{ 401, EACCES, "it does not let us in" },
	{ 403, EACCES, "it does not allow that" },
	{ 404, ENOENT, "it is not there" },
	{ 429, EBUSY, "it is asked too often" },
};

int registry_refusal(const struct endpoint *e, const char *step, const char *object,
	const struct http_response *response, struct azm_err *err)
{
	cleanup_free char *complaint = registry_complaint(response->body, response->size);
	const char *text = "it refuses";
	int code = EIO;

	for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
		if (refusals[i].status == response->status) {
			code = refusals[i].code;
			text = refusals[i].text;
		}
	}
	err_msg(err, code, step, object, "%s: %s%s%s (status %ld)", e->host, text, complaint ? ": " : "",
		complaint ? complaint : "", response->status);
	if (code == EACCES)
		err_hint(err, "a login at %s that may do it: podman, skopeo or docker login %s", e->name, e->name);
	return -1;
}

static int explain_trust(const struct endpoint *e, struct azm_err *err)
{
	if (err_is(err, EKEYREJECTED))
		err_hint(err,
			"put its authority's certificate into ~/.config/containers/certs.d/%s/ca.crt or name a "
			"directory with "
			"--cert-dir; --insecure accepts any",
			e->name);
	if (err_is(err, EPROTO))
		err_hint(err, "if it does not speak TLS, --insecure talks to it without");
	return -1;
}

int registry_insist(struct registry_client *client, struct endpoint *e, struct http_request *request, const char *where,
	struct http_response *response, struct azm_err *err)
{
	for (unsigned attempt = 1;; attempt++) {
		int result = registry_request(client, e, request, where, response, err);
		if (attempt >= ATTEMPTS_MAX || !registry_is_passing(result, response, err))
			return result < 0 ? explain_trust(e, err) : 0;
		if (registry_pause(client, attempt, response, err) < 0)
			return -1;
	}
}

void registry_mount_from(struct registry *registry, const char *path)
{
	free(registry->mount_from);
	registry->mount_from = xstrdup(path);
}

/* ---- documents ------------------------------------------------------------------------------------------------- */

static bool is_schema_1(const char *media_type)
{
	return strcmp(media_type, "application/vnd.docker.distribution.manifest.v1+json") == 0 ||
	       strcmp(media_type, "application/vnd.docker.distribution.manifest.v1+prettyjws") == 0 ||
	       strcmp(media_type, "application/json") == 0;
}

static int check_type(const char *name, const struct http_response *response, struct descriptor *d, struct azm_err *err)
{
	const char *field = response->fields[HTTP_CONTENT_TYPE];

	d->media_type = media_type_of(field ? field : "");
	d->media = media_of(d->media_type);
	if (d->media == MEDIA_INDEX || d->media == MEDIA_MANIFEST)
		return 0;
	if (is_schema_1(d->media_type)) {
		err_msg(err, ENOTSUP, "pull", name, "the registry has it in the form of before 2016 (schema 1) only");
		return err_hint(err, "nothing in that form can be verified: push it anew with a tool of today");
	}
	return err_msg(
		err, EBADMSG, "pull", name, "that is no image, but %s", *d->media_type ? d->media_type : "untyped");
}

/* What it is must be what was asked for and what the registry says it is. */
static int check_digest(const char *name, const struct digest *expected, const struct http_response *response,
	struct descriptor *d, struct azm_err *err)
{
	const char *field = response->fields[HTTP_CONTENT_DIGEST];
	struct digest said;
	struct azm_err ignored = { 0 };
	bool known = field && digest_parse(field, &said, &ignored) == 0;

	struct hasher *hasher = hasher_new(expected ? expected->algorithm : known ? said.algorithm : DIGEST_SHA256);
	hasher_add(hasher, response->body ? response->body : "", response->size);
	hasher_end(hasher, &d->digest);
	d->size = response->size;
	if (expected && !digest_equal(expected, &d->digest))
		return err_msg(err, EBADMSG, "verify", name, "the registry gave something else");
	if (known && said.algorithm == d->digest.algorithm && !digest_equal(&said, &d->digest))
		return err_msg(err, EBADMSG, "verify", name, "it is not what the registry itself says it is");
	return 0;
}

static char *get_document_from(struct registry_client *client, struct endpoint *e, const char *name,
	const struct digest *expected, struct descriptor *d, struct azm_err *err)
{
	cleanup_free char *where = xasprintf("manifests/%s", name);
	cleanup_http_response struct http_response response = { 0 };
	struct http_request request = {
		.method = HTTP_GET, .accept = manifest_types, .limit = DOCUMENT_MAX, .deadline = DOCUMENT_SECONDS
	};

	*d = (struct descriptor){ 0 };
	if (registry_insist(client, e, &request, where, &response, err) < 0)
		return NULL;
	if (response.status != 200) {
		cleanup_free char *what = xasprintf("%s/%s:%s", e->name, e->path, name);
		registry_refusal(e, "pull", what, &response, err);
		return NULL;
	}
	if (check_type(name, &response, d, err) == 0 && check_digest(name, expected, &response, d, err) == 0)
		return response.body ? steal_ptr(&response.body) : xstrdup("");
	descriptor_free(d);
	*d = (struct descriptor){ 0 };
	return NULL;
}

char *registry_get_document(struct registry_client *client, const char *name, const struct digest *expected,
	struct descriptor *document, struct azm_err *err)
{
	struct registry *r = client->registry;

	for (size_t i = r->chosen; i < r->count; i++) {
		err_clear(err);
		char *text = get_document_from(client, &r->endpoints[i], name, expected, document, err);
		if (text)
			r->chosen = i;
		if (text || err_is(err, EINTR))
			return text;
	}
	return NULL;
}

/* ---- blobs ----------------------------------------------------------------------------------------------------- */

struct download {
	struct blob_writer *writer;
	const char *name;
	uint64_t size;
	_Atomic uint64_t *received;
	uint64_t counted; /* of these bytes in *received */
	bool begun;	  /* this answer's place in the blob has been checked */
};

static void uncount(struct download *d)
{
	if (d->received)
		*d->received -= d->counted;
	d->counted = 0;
}

static int restart(struct download *d, struct azm_err *err)
{
	uncount(d);
	return blob_writer_restart(d->writer, err);
}

static int check_place(struct download *d, const struct http_response *response, struct azm_err *err)
{
	const char *range = response->fields[HTTP_CONTENT_RANGE], *length = response->fields[HTTP_CONTENT_LENGTH];
	const uint64_t offset = blob_writer_offset(d->writer);
	uint64_t first, last, total;

	if (response->status == 206) {
		if (!range || !content_range_parse(range, &first, &last, &total) || first != offset ||
			(total != UINT64_MAX && total != d->size))
			return err_msg(
				err, EBADMSG, "download", d->name, "the registry gave another part than asked for");
		return 0;
	}
	if (length && str_to_u64(length, INT64_MAX, &total) && total != d->size)
		return err_msg(err, EBADMSG, "download", d->name,
			"the registry has %" PRIu64 " bytes of it, the image says %" PRIu64, total, d->size);
	return offset ? restart(d, err) : 0;
}

static int take_bytes(
	void *context, const struct http_response *response, const void *data, size_t size, struct azm_err *err)
{
	struct download *d = context;

	if (!d->begun && check_place(d, response, err) < 0)
		return -1;
	d->begun = true;
	if (blob_writer_add(d->writer, data, size, err) < 0)
		return -1;
	d->counted += size;
	if (d->received)
		*d->received += size;
	return 0;
}

/* Return: 1 all is there, 0 try again, -1. */
static int get_some(struct registry_client *client, struct endpoint *e, struct download *d, bool *passing,
	struct http_response *response, struct azm_err *err)
{
	cleanup_free char *where = xasprintf("blobs/%s", d->name);
	struct http_request request = {
		.method = HTTP_GET, .offset = blob_writer_offset(d->writer), .sink = take_bytes, .context = d
	};

	d->begun = false;
	int result = d->size > blob_writer_offset(d->writer)
			     ? registry_request(client, e, &request, where, response, err)
			     : 0;
	*passing = registry_is_passing(result, response, err);
	if (blob_writer_offset(d->writer) == d->size) /* however the answer ended */
		return 1;
	if (result == 0 && response->status == 416 && request.offset) {
		*passing = true;
		return restart(d, err);
	}
	if (result == 0 && (response->status == 200 || response->status == 206)) {
		*passing = true;
		return err_msg(err, ENODATA, "download", d->name, "the answer is too short");
	}
	return result < 0 ? -1 : registry_refusal(e, "download", d->name, response, err);
}

static int get_blob_from(struct registry_client *client, struct endpoint *e, struct download *d, struct azm_err *err)
{
	cleanup_http_response struct http_response response = { 0 };
	const bool resumed = blob_writer_offset(d->writer) > 0;
	unsigned attempt = 1;
	bool passing;

	for (;;) {
		uint64_t before = blob_writer_offset(d->writer);
		int result = get_some(client, e, d, &passing, &response, err);
		if (result > 0)
			break;
		if (blob_writer_offset(d->writer) >= before + WORTH_IT)
			attempt = 1;
		if (!passing || attempt >= ATTEMPTS_MAX)
			return result < 0 ? explain_trust(e, err) : err_code(err, EIO, "download", d->name);
		if (registry_pause(client, attempt++, &response, err) < 0)
			return -1;
	}
	err_clear(err);
	if (blob_writer_finish(d->writer, err) == 0)
		return 0;
	/* What an earlier run left may be what was wrong. */
	return resumed && err_is(err, EBADMSG) ? 1 : -1;
}

static int fetch(struct registry_client *client, struct endpoint *e, struct blob_cache *cache,
	const struct digest *digest, struct download *d, struct azm_err *err)
{
	for (int again = 0;; again++) {
		d->writer = blob_writer_begin(cache, digest, d->size, client->tick, client->context, err);
		if (!d->writer)
			break;
		d->counted = blob_writer_offset(d->writer);
		if (d->received)
			*d->received += d->counted;
		int result = get_blob_from(client, e, d, err);
		/* Nothing good is in what a host added that lies. */
		if (result < 0 && (err_is(err, EFBIG) || err_is(err, EBADMSG))) {
			struct azm_err ignored = { 0 };
			(void)blob_writer_restart(d->writer, &ignored);
		}
		blob_writer_close(d->writer);
		d->writer = NULL;
		if (result == 0)
			return 0;
		uncount(d);
		if (result < 0 || again)
			return -1;
	}
	if (!err_is(err, EEXIST))
		return -1;
	err_clear(err); /* somebody else was quicker */
	if (d->received)
		*d->received += d->size;
	return 0;
}

int registry_get_blob(struct registry_client *client, struct blob_cache *cache, const struct digest *digest,
	uint64_t size, _Atomic uint64_t *received, struct azm_err *err)
{
	struct registry *r = client->registry;
	char name[DIGEST_TEXT_SIZE];
	struct download download = { .name = name, .size = size, .received = received };

	digest_text(digest, name);
	for (size_t i = r->chosen; i < r->count; i++) {
		err_clear(err);
		if (fetch(client, &r->endpoints[i], cache, digest, &download, err) == 0) {
			if (i > r->chosen) /* the one before failed: it is not waited for again */
				r->chosen = i;
			return 0;
		}
		if (err_is(err, EINTR) || err_is(err, ENOSPC))
			return -1;
	}
	return -1;
}
