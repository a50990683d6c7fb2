// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/registry_internal.h: what the files of the registry share: see registry.h. */
#pragma once
#include <pthread.h>
#include <time.h>

#include "rootfs-tools/credentials.h"
#include "rootfs-tools/http.h"
#include "rootfs-tools/registry.h"

enum { DOCUMENT_SECONDS = 120, ATTEMPTS_MAX = 5 };

/* One place where the repository may be: a mirror, or the registry itself. */
struct endpoint {
	char *host;	    /* "registry-1.docker.io", "localhost:5000" */
	char *path;	    /* of the repository there */
	char *name;	    /* host as credentials know it, "docker.io" */
	bool plain_allowed; /* it may be spoken to without TLS */
	struct http_trust trust;

	/* Under the registry's lock: */
	bool plain;   /* it does not speak TLS */
	bool decided; /* plain has been found out */
	bool asked_credentials;
	struct credentials credentials;
	char *authorization; /* NULL: none needed, or not known yet */
	int64_t expires;     /* clock_ms(); 0: never */
	bool accepted;	     /* it has been good for something */
};

struct registry {
	const struct registry_options *options;
	struct curl_api api;
	char *host, *path; /* as the user said */
	bool push;
	char *mount_from;	    /* a second repository to be read */
	struct endpoint *endpoints; /* mirrors first, the registry itself last */
	size_t count;
	_Atomic size_t chosen; /* where the image was found: earlier ones are not asked again */
	pthread_mutex_t lock;
};

struct registry_client {
	struct registry *registry;
	struct http *http;
	int (*tick)(void *context, struct azm_err *err);
	void *context;
};

/* ---- registry_hosts.c --- */

/** endpoints_find() - fill registry->endpoints. Return: 0, or -1 with @err. */
[[gnu::nonnull]] int endpoints_find(struct registry *registry, struct azm_err *err);
[[gnu::nonnull]] void endpoint_free(struct endpoint *endpoint);

/* ---- registry_auth.c --- */

/** endpoint_authorization() - what to send now; caller owns. NULL: nothing. */
[[gnu::nonnull]] char *endpoint_authorization(struct registry *registry, struct endpoint *endpoint);

/**
 * endpoint_authorize() - do as a challenge says
 * @wanted:	the field of the answer
 * @refused:	what was sent with the request that was refused; NULL: nothing
 *
 * Return: 0, and endpoint_authorization() has something new; -1 with @err (EACCES: nothing more can be done)
 */
[[gnu::nonnull(1, 2, 3, 5)]] int endpoint_authorize(struct registry_client *client, struct endpoint *endpoint,
	const char *wanted, const char *refused, struct azm_err *err);

/* ---- registry.c --- */

/**
 * registry_request() - one request to an endpoint, with what it needs to be let in; not repeated when it fails
 * @request:	without URL, trust and authorization
 * @where:	"manifests/latest", below the repository; or an absolute URL the endpoint gave
 */
[[gnu::nonnull]] int registry_request(struct registry_client *client, struct endpoint *endpoint,
	struct http_request *request, const char *where, struct http_response *response, struct azm_err *err);

/**
 * registry_is_passing() - whether a failure may be gone when it is tried again
 * @result:	of registry_request()
 */
[[gnu::nonnull]] bool registry_is_passing(int result, const struct http_response *response, const struct azm_err *err);

/**
 * registry_pause() - wait before attempt number @attempt (from 1), as long as the registry says, else a little longer
 *		      every time
 *
 * Return: 0; -1 with @err: ended, or it wants too long a wait (EBUSY)
 */
[[gnu::nonnull]] int registry_pause(
	struct registry_client *client, unsigned attempt, const struct http_response *response, struct azm_err *err);

/** registry_insist() - registry_request(), again when a failure may pass. @response is of the last attempt. */
[[gnu::nonnull]] int registry_insist(struct registry_client *client, struct endpoint *endpoint,
	struct http_request *request, const char *where, struct http_response *response, struct azm_err *err);

/** registry_refusal() - the error an answer stands for. Return: -1. */
[[gnu::nonnull]] int registry_refusal(const struct endpoint *endpoint, const char *step, const char *object,
	const struct http_response *response, struct azm_err *err);
