// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/digest.h: names of content, "sha256:HEX" (OCI image specification, descriptor.md, "Digests"). */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

enum { DIGEST_BYTES_MAX = 64, DIGEST_TEXT_SIZE = 7 + 2 * DIGEST_BYTES_MAX + 1 };

enum digest_algorithm { DIGEST_SHA256, DIGEST_SHA512 };

struct digest {
	enum digest_algorithm algorithm;
	unsigned char bytes[DIGEST_BYTES_MAX];
};

/**
 * digest_parse() - "sha256:" or "sha512:" and as many lower-case hexadecimal digits as belong to it
 *
 * Return: 0, or -1 with @err (EINVAL)
 */
[[gnu::nonnull]] int digest_parse(const char *text, struct digest *digest, struct azm_err *err);

/** digest_text() - the opposite. */
[[gnu::nonnull]] void digest_text(const struct digest *digest, char text[DIGEST_TEXT_SIZE]);

/** digest_hex() - its digits alone. Return: within @text. */
[[gnu::nonnull]] const char *digest_hex(const struct digest *digest, char text[DIGEST_TEXT_SIZE]);

[[gnu::nonnull]] bool digest_equal(const struct digest *a, const struct digest *b);

/* A digest that is being computed. */
struct hasher;

/** hasher_new() - out of memory aborts; release with hasher_end() or hasher_free(). */
struct hasher *hasher_new(enum digest_algorithm algorithm);
[[gnu::nonnull]] void hasher_add(struct hasher *hasher, const void *data, size_t size);

/** hasher_end() - the result; the hasher is gone. */
[[gnu::nonnull]] void hasher_end(struct hasher *hasher, struct digest *digest);
void hasher_free(struct hasher *hasher);
