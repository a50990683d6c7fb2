// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/http.h: one HTTP request and its answer, everything bounded. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"
#include "rootfs-tools/curl_api.h"
#include "rootfs-tools/layout.h"

/* How a host proves to be the one it is said to be, and we to it. */
struct http_trust {
	bool unverified;	 /* TLS certificates are not looked at, redirects may leave TLS */
	char *authorities;	 /* certificates in PEM, besides the system's; NULL: none */
	char *certificate, *key; /* paths of our own; NULL: none */
};

[[gnu::nonnull]] void http_trust_free(struct http_trust *trust);

enum http_method { HTTP_GET, HTTP_HEAD, HTTP_POST, HTTP_PUT, HTTP_PATCH };

/* Fields of an answer that anybody asks for. */
enum http_field {
	HTTP_CONTENT_TYPE,
	HTTP_CONTENT_LENGTH,
	HTTP_CONTENT_RANGE,
	HTTP_CONTENT_DIGEST,
	HTTP_LOCATION,
	HTTP_RANGE,
	HTTP_RETRY_AFTER,
	HTTP_WWW_AUTHENTICATE, /* several are joined by ", " */
	HTTP_FIELDS
};

struct http_response {
	long status;
	char *fields[HTTP_FIELDS]; /* NULL: not there */
	char *url;		   /* where the answer came from, after redirections */
	char *body;		   /* NUL-terminated; NULL: empty, or given to the sink */
	size_t size;
};

#define cleanup_http_response [[gnu::cleanup(http_response_free)]]

struct http_request {
	enum http_method method;
	const char *url;
	const struct http_trust *trust;
	const char *authorization; /* value of that field; goes to the URL's own origin, not to where it redirects */
	const char *accept;	   /* value of that field; NULL: anything */
	const char *fields[2];	   /* further lines, "Name: value"; NULL: none */
	uint64_t offset;	   /* ask for the rest from there on; 0: for all */
	/* What is sent with POST, PUT and PATCH. */
	const char *content_type;
	const void *data; /* @size bytes; or, when NULL, */
	struct blob blob; /* a part of a file */
	size_t size;
	/* A body of an answer 2xx goes here as it comes; NULL: it is kept, if it is not larger than @limit. */
	int (*sink)(void *context, const struct http_response *response, const void *data, size_t size,
		struct azm_err *err);
	size_t limit;
	unsigned deadline; /* seconds for all of it; 0: as long as bytes come */
	void *context;
	_Atomic uint64_t *sent; /* bytes of the blob that have gone are added here; may be NULL */
};

struct http;

/**
 * http_new() - a client, for one thread; keeps its connections between requests
 * @stall:	seconds without hardly any byte after which a transfer is given up
 * @tick:	called a few times a second; ends the request with -1 and @err. May be NULL
 */
[[gnu::nonnull(1, 5)]] struct http *http_new(const struct curl_api *api, unsigned stall,
	int (*tick)(void *context, struct azm_err *err), void *context, struct azm_err *err);
void http_free(struct http *http);

/**
 * http_perform() - send a request and take its answer
 * @response:	set in any case, release with http_response_free(); the status may be anything but a redirection
 *
 * Proxies are those of the environment, but for loopback none. Of GET and HEAD up to five redirections are followed,
 * from https to http only where nothing is verified. Return: 0; -1 with @err and its code: ECONNREFUSED, EHOSTUNREACH
 * (no connection), EKEYREJECTED (certificate), EPROTO (no TLS spoken there), ETIMEDOUT, ECONNRESET (broken off), EFBIG,
 * ELOOP; what sink and tick said
 */
[[gnu::nonnull]] int http_perform(
	struct http *http, const struct http_request *request, struct http_response *response, struct azm_err *err);
[[gnu::nonnull]] void http_response_free(struct http_response *response);

/** host_is_loopback() - "localhost", 127.0.0.0/8 or [::1], with a port or not. */
[[gnu::nonnull]] bool host_is_loopback(const char *host);

/** http_same_origin() - whether two URLs have the same scheme, host and port. */
[[gnu::nonnull]] bool http_same_origin(const struct curl_api *api, const char *a, const char *b);

/**
 * http_resolve() - what a reference in an answer means
 *
 * Return: an absolute URL of http or https without user and password, owned by the caller; NULL with @err (EINVAL)
 */
[[gnu::nonnull]] char *http_resolve(
	const struct curl_api *api, const char *base, const char *reference, struct azm_err *err);
