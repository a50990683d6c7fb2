// SPDX-License-Identifier: GPL-2.0-or-later
/* tests/fuzz/fuzz_seccomp_profile.c: any bytes as a seccomp profile. Parsed whole; compiled when small enough that
 * libseccomp keeps up. */
#include "seccomp/profile_compile.h"
#include "seccomp/profile_parse.h"
#include "seccomp/seccomp.h"
#include "tests/fuzz/fuzz.h"

static void check_entry(const struct profile *profile, size_t position)
{
	struct profile_entry entry;
	struct azm_err err = { 0 };
	int result = profile_entry(profile, position, &entry, &err);

	must((result < 0) == (err.code != 0));
	if (result != 1)
		return;
	must(entry.arg_count <= PROFILE_ARGS_MAX);
	for (unsigned i = 0; i < entry.arg_count; i++)
		must(entry.args[i].index < PROFILE_ARGS_MAX);
}

static void compile(const struct profile *profile)
{
	struct filter filter = { 0 };
	struct azm_err err = { 0 };
	int result = profile_compile(profile, false, &filter, &err);

	must((result < 0) == (err.code != 0));
	must(result < 0 || (filter.count > 0 && filter.count <= BPF_MAXINSNS));
	if (filter.owned)
		free((void *)(uintptr_t)filter.insns);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = fuzz_text(data, size);
	struct profile profile = { 0 };
	struct azm_err err = { 0 };
	int result = profile_parse(text, size, "profile", 0, &profile, &err);

	must((result < 0) == (err.code != 0));
	must(result < 0 || (profile.arch_count >= 1 && profile.arch_count <= PROFILE_ARCHS_MAX));
	for (size_t i = 0; result == 0 && i < json_array_size(profile.entries); i++)
		check_entry(&profile, i);
	if (result == 0 && size < 2048)
		compile(&profile);
	profile_free(&profile);
	free(text);
	return 0;
}
