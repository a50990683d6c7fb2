// SPDX-License-Identifier: GPL-2.0-or-later
/* tests/fuzz/fuzz_registry.c: any bytes as what a registry answers (fields, tokens, complaints), as a login file, as
 * registries.conf.
 */
#include "base/cleanup.h"
#include "rootfs-tools/credentials.h"
#include "rootfs-tools/registries_conf.h"
#include "rootfs-tools/registry_text.h"
#include "tests/fuzz/fuzz.h"

static time_t no_date([[maybe_unused]] const char *text, [[maybe_unused]] const time_t *now)
{
	return (time_t)-1;
}

static void fields(const char *text)
{
	cleanup_challenge struct challenge challenge;
	uint64_t first, last, total;

	challenge_parse(text, &challenge);
	must(challenge.bearer || (!challenge.realm && !challenge.service && !challenge.scope));
	must(!challenge.realm || strlen(challenge.realm) <= strlen(text));
	if (content_range_parse(text, &first, &last, &total))
		must(first <= last && last < total);
	if (upload_range_parse(text, &first))
		must(first <= (uint64_t)INT64_MAX + 1);
	must(retry_after_parse(text, 0, no_date) >= -1);
	cleanup_free char *type = media_type_of(text);
	must(!strpbrk(type, "; \t"));
	cleanup_free char *url = url_encode(text);
	must(!*text || is_field_text(url));
	cleanup_free char *encoded = base64_encode(text);
	cleanup_free char *decoded = base64_decode(encoded);
	must(decoded ? strcmp(decoded, text) == 0 : !*text || strlen(text) > 4096);
	cleanup_free char *any = base64_decode(text);
	must(!any || strlen(any) < strlen(text));
}

static void documents(const char *text, size_t size)
{
	struct azm_err err = { 0 };
	cleanup_free char *token = NULL, *helper = NULL;
	uint64_t seconds;
	cleanup_credentials struct credentials credentials;

	if (token_parse(text, size, &token, &seconds, &err) == 0)
		must(is_field_text(token) && seconds > 0);
	cleanup_free char *complaint = registry_complaint(text, size);
	must(!complaint || !strpbrk(complaint, "\x1b\n\r"));
	bool known = credentials_parse(text, size, "docker.io", "library/x", &credentials, &helper);
	must(known == (credentials_any(&credentials) || helper));
}

static void conf(const char *text)
{
	cleanup_registries_conf struct registries_conf conf = { 0 };
	struct azm_err err = { 0 };

	if (registries_conf_add(&conf, "f", text, &err) < 0) {
		must(err.code);
		return;
	}
	for (size_t i = 0; i < conf.count; i++) {
		must(conf.rules[i].prefix);
		for (size_t m = 0; m < conf.rules[i].mirror_count; m++)
			must(conf.rules[i].mirrors[m].location);
	}
	(void)registries_conf_find(&conf, "docker.io/library/x");
	(void)registries_conf_find(&conf, text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = fuzz_text(data, size);

	fields(text);
	documents(text, size);
	conf(text);
	free(text);
	return 0;
}
