// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/hasher.c: computing digests, see digest.h. By OpenSSL, which uses the processor's SHA instructions. */
#include <openssl/evp.h>
#include <stdlib.h>

#include "base/str.h"
#include "rootfs-tools/digest.h"

struct hasher {
	enum digest_algorithm algorithm;
	EVP_MD_CTX *context;
};

static const EVP_MD *method_of(enum digest_algorithm algorithm)
{
	return algorithm == DIGEST_SHA512 ? EVP_sha512() : EVP_sha256();
}

struct hasher *hasher_new(enum digest_algorithm algorithm)
{
	struct hasher *hasher = xcalloc(1, sizeof *hasher);

	hasher->algorithm = algorithm;
	hasher->context = EVP_MD_CTX_new();
	if (!hasher->context || EVP_DigestInit_ex(hasher->context, method_of(algorithm), NULL) != 1)
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
