// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/registry.h: one repository of a registry (OCI distribution specification): documents and blobs, both
 * ways. What is fetched has been verified.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"
#include "rootfs-tools/blob_cache.h"
#include "rootfs-tools/manifest.h"
#include "rootfs-tools/reference.h"

/* What the user says about registries; all zero is the default. */
struct registry_options {
	struct str_list mirrors; /* HOST[/PATH], asked before the registry itself */
	const char *auth_file;	 /* see credentials.h; NULL: the usual places */
	const char *cert_dir;	 /* *.crt, and NAME.cert with NAME.key; NULL: the usual places */
	bool insecure;		 /* without TLS, or without its certificates being verified */
	unsigned stall;		 /* seconds without hardly any byte; 0: 30 */
};

/**
 * REGISTRY_OPTION_ROWS - for the table of a command whose configuration begins with a struct registry_options
 *
 * registry_options_free() releases what they set.
 */
#define REGISTRY_OPTION_ROWS                                                                                           \
	{ 0, "authfile", "FILE", registry_set_auth_file, "who you are there, as podman or docker login wrote it" },    \
		{ 0, "cert-dir", "DIR", registry_set_cert_dir, "certificates to trust (*.crt) and to show there" },    \
		{ 0, "insecure", NULL, registry_set_insecure,                                                          \
			"allow a registry without TLS or with a certificate nobody vouches for" },                     \
	{                                                                                                              \
		0, "timeout", "SECONDS", registry_set_timeout, "give a silent connection up after (default 30)"        \
	}

int registry_set_auth_file(void *config, const char *value, struct azm_err *err);
int registry_set_cert_dir(void *config, const char *value, struct azm_err *err);
int registry_set_insecure(void *config, const char *value, struct azm_err *err);
int registry_set_timeout(void *config, const char *value, struct azm_err *err);
int registry_set_mirror(void *config, const char *value, struct azm_err *err);
[[gnu::nonnull]] void registry_options_free(struct registry_options *options);

/* A repository; shared by threads. */
struct registry;

/**
 * registry_open() - nothing is sent yet
 * @reference:	copied
 * @options:	must outlive it
 * @push:	whether things are going to be put there
 *
 * Return: owned by the caller, registry_close(); NULL with @err
 */
[[gnu::nonnull]] struct registry *registry_open(
	const struct reference *reference, const struct registry_options *options, bool push, struct azm_err *err);
void registry_close(struct registry *registry);

/* One thread's way to it. */
struct registry_client;

/**
 * registry_client_new() - @tick: called a few times a second, also while waiting; ends things with -1 and @err
 */
[[gnu::nonnull(1, 2, 4)]] struct registry_client *registry_client_new(
	struct registry *registry, int (*tick)(void *context, struct azm_err *err), void *context, struct azm_err *err);
void registry_client_free(struct registry_client *client);

/**
 * registry_get_document() - an index or a manifest
 * @name:	tag or digest
 * @expected:	what it has to be; NULL: not known, a tag is resolved
 * @document:	set: media type, digest and size
 *
 * Return: its text, verified, owned by the caller; NULL with @err (ENOENT, EACCES, EBADMSG ...)
 */
[[gnu::nonnull(1, 2, 4, 5)]] char *registry_get_document(struct registry_client *client, const char *name,
	const struct digest *expected, struct descriptor *document, struct azm_err *err);

/**
 * registry_get_blob() - into the cache, going on with what is there of it
 * @received:	bytes are added to it as they come, and taken back when they were in vain; may be NULL
 *
 * Return: 0, or -1 with @err
 */
[[gnu::nonnull(1, 2, 3, 6)]] int registry_get_blob(struct registry_client *client, struct blob_cache *cache,
	const struct digest *digest, uint64_t size, _Atomic uint64_t *received, struct azm_err *err);

/**
 * registry_put_blob() - send a blob that is not there yet
 * @from:	another repository of the same registry that has it; NULL: none is known
 * @sent:	bytes are added to it as they go, and taken back when they were in vain: no other thread may; may be
 *		NULL
 *
 * Return: 0; 1 the registry had it, or took it from @from; -1 with @err
 */
[[gnu::nonnull(1, 2, 3, 6)]] int registry_put_blob(struct registry_client *client, const struct digest *digest,
	const struct blob *blob, const char *from, _Atomic uint64_t *sent, struct azm_err *err);

/** registry_put_document() - give a manifest a name: a tag or its digest. Return: 0, or -1 with @err. */
[[gnu::nonnull]] int registry_put_document(struct registry_client *client, const char *name, const char *media_type,
	const char *text, size_t size, const struct digest *digest, struct azm_err *err);

/** registry_mount_from() - what may be taken from another repository of the same registry; before anything is sent. */
[[gnu::nonnull]] void registry_mount_from(struct registry *registry, const char *path);
