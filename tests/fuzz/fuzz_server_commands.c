// SPDX-License-Identifier: GPL-2.0-or-later
/* tests/fuzz/fuzz_server_commands.c: any text cut into commands: nothing is lost but white space around the pieces. */
#include "server/commands.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = fuzz_text(data, size);
	struct str_list pieces = { 0 };
	const char *at = text;

	commands_split(text, &pieces);
	must(pieces.count >= 1);
	for (size_t i = 0; i < pieces.count; i++) {
		at = strstr(at, pieces.items[i]);
		must(at);
		at += strlen(pieces.items[i]);
	}
	str_list_free(&pieces);
	free(text);
	return 0;
}
