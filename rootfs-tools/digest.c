// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/digest.c: see digest.h. The hashing is OpenSSL's, which uses the processor's SHA instructions. */
#include "rootfs-tools/digest.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

static const struct {
	const char *prefix;
	size_t bytes;
	const EVP_MD *(*method)(void);
} algorithms[] = {
	[DIGEST_SHA256] = { "sha256:", 32, EVP_sha256 },
	[DIGEST_SHA512] = { "sha512:", 64, EVP_sha512 },
};

struct hasher {
	enum digest_algorithm algorithm;
	EVP_MD_CTX *context;
};

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool parse_hex(const char *hex, unsigned char *bytes, size_t count)
{
	if (strlen(hex) != 2 * count)
		return false;
	for (size_t i = 0; i < count; i++) {
		int high = hex_value(hex[2 * i]), low = hex_value(hex[2 * i + 1]);
		if (high < 0 || low < 0)
			return false;
		bytes[i] = (unsigned char)(high << 4 | low);
	}
	return true;
}

int digest_parse(const char *text, struct digest *digest, struct azm_err *err)
{
	for (size_t i = 0; i < sizeof algorithms / sizeof *algorithms; i++) {
		if (!str_starts(text, algorithms[i].prefix))
			continue;
		*digest = (struct digest){ .algorithm = (enum digest_algorithm)i };
		if (parse_hex(text + strlen(algorithms[i].prefix), digest->bytes, algorithms[i].bytes))
			return 0;
	}
	return err_msg(err, EINVAL, "use digest", text, "not sha256: or sha512: with its hexadecimal digits");
}

void digest_text(const struct digest *digest, char text[DIGEST_TEXT_SIZE])
{
	char *end = stpcpy(text, algorithms[digest->algorithm].prefix);

	for (size_t i = 0; i < algorithms[digest->algorithm].bytes; i++)
		end += snprintf(end, 3, "%02x", digest->bytes[i]);
}

bool digest_equal(const struct digest *a, const struct digest *b)
{
	return a->algorithm == b->algorithm && memcmp(a->bytes, b->bytes, algorithms[a->algorithm].bytes) == 0;
}

struct hasher *hasher_new(enum digest_algorithm algorithm)
{
	struct hasher *hasher = xcalloc(1, sizeof *hasher);

	hasher->algorithm = algorithm;
	hasher->context = EVP_MD_CTX_new();
	if (!hasher->context || EVP_DigestInit_ex(hasher->context, algorithms[algorithm].method(), NULL) != 1)
		abort(); /* out of memory */
	return hasher;
}

void hasher_add(struct hasher *hasher, const void *data, size_t size)
{
	EVP_DigestUpdate(hasher->context, data, size);
}

void hasher_end(struct hasher *hasher, struct digest *digest)
{
	*digest = (struct digest){ .algorithm = hasher->algorithm };
	EVP_DigestFinal_ex(hasher->context, digest->bytes, NULL);
	hasher_free(hasher);
}

void hasher_free(struct hasher *hasher)
{
	if (!hasher)
		return;
	EVP_MD_CTX_free(hasher->context);
	free(hasher);
}
