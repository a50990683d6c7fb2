// SPDX-License-Identifier: GPL-2.0-or-later
/* tests/fuzz/fuzz_server_multipart.c: a multipart body is the same whether it arrives at once or in pieces. The first
 * byte sets the size of the pieces, the first line is the content type. */
#include <stdlib.h>
#include <string.h>

#include "server/multipart.h"
#include "tests/fuzz/fuzz.h"

struct seen {
	struct text text;
	bool open;
};

static void on_begin(void *context, const char *name, const char *filename)
{
	struct seen *seen = context;

	must(!seen->open && name);
	seen->open = true;
	text_addf(&seen->text, "<%s|%s>", name, filename ? filename : "-");
}

static void on_bytes(void *context, const char *bytes, size_t size)
{
	struct seen *seen = context;

	must(seen->open && size);
	text_add(&seen->text, bytes, size);
}

static void on_end(void *context)
{
	struct seen *seen = context;

	must(seen->open);
	seen->open = false;
	text_add(&seen->text, "</>", 3);
}

static bool parse(const char *type, const char *body, size_t size, size_t piece, struct seen *seen)
{
	static const struct multipart_events events = { on_begin, on_bytes, on_end };
	struct multipart multipart;
	bool good = multipart_begin(&multipart, type, &events, seen);

	for (size_t at = 0; good && at < size; at += piece) {
		size_t now = size - at < piece ? size - at : piece;
		char *copy = malloc(now); /* so that reading beyond a piece shows */
		must(copy);
		memcpy(copy, body + at, now);
		good = multipart_take(&multipart, copy, now);
		free(copy);
	}
	good = good && multipart_ended(&multipart);
	multipart_free(&multipart);
	return good;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct seen whole = { 0 }, pieces = { 0 };

	if (!size)
		return 0;
	char *text = fuzz_text(data + 1, size - 1);
	size_t piece = *data % 40u + 1, type = strcspn(text, "\n"), body = type + 1 < size ? type + 1 : size - 1;
	text[type] = '\0';
	bool good = parse(text, text + body, size - 1 - body, size, &whole);
	must(parse(text, text + body, size - 1 - body, piece, &pieces) == good);
	if (good) {
		must(whole.text.size == pieces.text.size);
		must(!whole.text.size || memcmp(whole.text.bytes, pieces.text.bytes, whole.text.size) == 0);
	}
	text_free(&whole.text);
	text_free(&pieces.text);
	free(text);
	return 0;
}
