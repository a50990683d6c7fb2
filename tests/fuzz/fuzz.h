// SPDX-License-Identifier: GPL-2.0-or-later
/* tests/fuzz/fuzz.h: what the fuzz targets share.
 *
 * A target is one fuzz_NAME.c with LLVMFuzzerTestOneInput(): any bytes go in, and besides what the sanitizers see it
 * checks with must() what callers of the tested code rely on. `make fuzz` runs it under libFuzzer; replay.c gives it
 * the files of corpus/NAME in `make check`.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define must(condition)                                                                                                \
	do {                                                                                                           \
		if (!(condition)) {                                                                                    \
			fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition);                 \
			abort();                                                                                       \
		}                                                                                                      \
	} while (0)

/** fuzz_text() - the bytes as text of exactly that size, so that reading past its end is noticed; caller owns. */
static inline char *fuzz_text(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);

	must(text);
	if (size)
		memcpy(text, data, size);
	text[size] = '\0';
	return text;
}

/** fuzz_piece() - the next piece of the input, up to a 0xff byte or its end; caller owns. */
static inline char *fuzz_piece(const uint8_t **data, size_t *size)
{
	const uint8_t *end = *size ? memchr(*data, 0xff, *size) : NULL;
	size_t length = end ? (size_t)(end - *data) : *size;
	char *piece = fuzz_text(*data, length);

	*data += length + (end != NULL);
	*size -= length + (end != NULL);
	return piece;
}
