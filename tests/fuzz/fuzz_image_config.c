// SPDX-License-Identifier: GPL-2.0-or-later
/* tests/fuzz/fuzz_image_config.c: any bytes as image.json. */
#include "image.h"
#include "tests/fuzz/fuzz.h"

static void check_list(const struct str_list *list)
{
	must(list->count <= 4096);
	for (size_t i = 0; i < list->count; i++)
		must(list->items[i]);
	must(!list->items || !list->items[list->count]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = fuzz_text(data, size);
	struct image image = { 0 };
	struct azm_err err = { 0 };
	int result = image_read_config(&image, text, size, &err);

	must((result < 0) == (err.code != 0));
	check_list(&image.env);
	check_list(&image.entrypoint);
	check_list(&image.cmd);
	must(!image.user || *image.user);
	image_close(&image);
	free(text);
	return 0;
}
