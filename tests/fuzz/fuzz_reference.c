// SPDX-License-Identifier: GPL-2.0-or-later
/* tests/fuzz/fuzz_reference.c: any text as the name of an image, a source, a platform or a digest. */
#include "base/cleanup.h"
#include "rootfs-tools/manifest.h"
#include "rootfs-tools/reference.h"
#include "tests/fuzz/fuzz.h"

/* What a name is in full names the same. */
static void check_reference(const char *text)
{
	cleanup_reference struct reference first = { 0 }, second = { 0 };
	struct azm_err err = { 0 };

	if (reference_parse(text, &first, &err) < 0) {
		must(err.code && !first.path);
		return;
	}
	must(first.domain && first.path && (first.tag || first.digest));
	must(!strstr(first.path, "..") && !strchr(first.path, '\n') && *first.path != '/');
	cleanup_free char *whole = reference_text(&first);
	must(reference_parse(whole, &second, &err) == 0);
	cleanup_free char *again = reference_text(&second);
	must(strcmp(whole, again) == 0);
	must(reference_same(text, whole));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = fuzz_text(data, size);
	struct azm_err err = { 0 };
	struct source_name source;
	struct platform platform;
	struct digest digest;
	char written[DIGEST_TEXT_SIZE];

	check_reference(text);
	must((source_parse(text, &source, &err) == 0) == (source.path != NULL));
	source_name_free(&source);
	if (platform_parse(text, &platform, &err) == 0) {
		cleanup_free char *again = platform_text(&platform);
		must(strcmp(again, text) == 0);
	}
	platform_free(&platform);
	if (digest_parse(text, &digest, &err) == 0) {
		digest_text(&digest, written);
		must(strcmp(written, text) == 0);
	}
	free(text);
	return 0;
}
