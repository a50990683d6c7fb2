// SPDX-License-Identifier: GPL-2.0-or-later
/* tests/fuzz/fuzz_git_config.c: any git configuration: what is harmless stays so with a dangerous line behind it made
 * dangerous, and every setting that is passed on is whole. */
#include "base/cleanup.h"
#include "base/str.h"
#include "git_config.h"
#include "tests/fuzz/fuzz.h"

static void look(const struct git_setting *setting, void *context)
{
	(void)context;
	must(setting->section && setting->subsection && setting->key && setting->value);
	must(!strchr(setting->value, '\n') && !strchr(setting->key, '='));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	cleanup_free char *text = fuzz_text(data, size);
	cleanup_free char *first = NULL, *second = NULL;

	git_config_each(text, look, NULL);
	cleanup_free char *risk = git_config_risk(text, 1, &first);
	must(!risk == !first);
	cleanup_free char *longer = xasprintf("%s\n[core]\n\tfsmonitor = evil\n", text);
	cleanup_free char *more = git_config_risk(longer, 1, &second);
	must(more && (!risk || strcmp(more, risk) != 0) && second);
	return 0;
}
