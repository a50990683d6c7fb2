// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/digest.c: digests as text; see digest.h. Computing them is hasher.c's. */
#include "rootfs-tools/digest.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"

static const struct {
	const char *prefix;
	size_t bytes;
} algorithms[] = {
	[DIGEST_SHA256] = { "sha256:", 32 },
	[DIGEST_SHA512] = { "sha512:", 64 },
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

const char *digest_hex(const struct digest *digest, char text[DIGEST_TEXT_SIZE])
{
	digest_text(digest, text);
	return strchr(text, ':') + 1;
}

bool digest_equal(const struct digest *a, const struct digest *b)
{
	return a->algorithm == b->algorithm && memcmp(a->bytes, b->bytes, algorithms[a->algorithm].bytes) == 0;
}
