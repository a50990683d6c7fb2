// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/registry_text.h: understanding what registries say: fields of answers and small documents. Hostile. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "base/err.h"

/* WWW-Authenticate: what a registry wants to see (RFC 9110, 11.6.1; the distribution project's token specification). */
struct challenge {
	bool basic, bearer;
	char *realm, *service, *scope; /* of the bearer; NULL: not said */
};

#define cleanup_challenge [[gnu::cleanup(challenge_free)]]

/** challenge_parse() - of several schemes those we know; the first of each counts. Nothing known: neither is set. */
[[gnu::nonnull]] void challenge_parse(const char *text, struct challenge *challenge);
[[gnu::nonnull]] void challenge_free(struct challenge *challenge);

/** content_range_parse() - "bytes 100-199/200". Return: whether it is one; @total is UINT64_MAX for "*". */
[[gnu::nonnull]] bool content_range_parse(const char *text, uint64_t *first, uint64_t *last, uint64_t *total);

/** upload_range_parse() - "0-1023" of an upload: how many bytes the registry has. Return: whether it is one. */
[[gnu::nonnull]] bool upload_range_parse(const char *text, uint64_t *had);

/** retry_after_parse() - "30", or a date that @date reads (-1: not one). Return: seconds from @now; -1: neither. */
[[gnu::nonnull]] int64_t retry_after_parse(const char *text, time_t now, time_t (*date)(const char *, const time_t *));

/**
 * token_parse() - a token server's answer
 * @token:	set, owned by the caller; fit to stand in a field
 * @seconds:	how long it is good for
 *
 * Return: 0, or -1 with @err
 */
[[gnu::nonnull]] int token_parse(const char *text, size_t size, char **token, uint64_t *seconds, struct azm_err *err);

/** is_field_text() - whether a text can stand in a field: visible ASCII and inner blanks, not empty. */
[[gnu::nonnull]] bool is_field_text(const char *text);

/** registry_complaint() - what an error document says, "manifest unknown"; caller owns. NULL: it is none. */
char *registry_complaint(const char *text, size_t size);

/** media_type_of() - a Content-Type without its parameters, in lower case; caller owns. */
[[gnu::nonnull]] char *media_type_of(const char *content_type);

/** url_encode() - for a query; caller owns. */
[[gnu::nonnull]] char *url_encode(const char *text);

/** base64_encode(), base64_decode() - RFC 4648, section 4; caller owns. NULL: it is not base64, or has a NUL in it. */
[[gnu::nonnull]] char *base64_encode(const char *text);
[[gnu::nonnull]] char *base64_decode(const char *text);
