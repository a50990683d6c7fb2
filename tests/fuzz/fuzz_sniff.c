// SPDX-License-Identifier: GPL-2.0-or-later
/* tests/fuzz/fuzz_sniff.c: any bytes as the beginning of a connection: no read outside of them, an answer that more
 * bytes do not change, and a host only where one was named. */
#include "netns/sniff.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sniffed whole, part, end;
	uint8_t *bytes = malloc(size + !size);

	must(bytes);
	if (size)
		memcpy(bytes, data, size);
	enum sniff_result result = sniff(bytes, size, false, &whole);
	must((result == SNIFF_NAMED) == (whole.host[0] != '\0'));
	must((result == SNIFF_GARBLED) == (whole.why != NULL));
	must(size < SNIFF_MOST || result != SNIFF_MORE);
	must(sniff(bytes, size, true, &end) != SNIFF_MORE);
	if (result != SNIFF_MORE)
		must(sniff(bytes, size, true, &end) == result && strcmp(end.host, whole.host) == 0);
	size_t cut = size ? data[0] % (size + 1) : 0;
	enum sniff_result earlier = sniff(bytes, size - cut, false, &part);
	must(earlier == SNIFF_MORE || (earlier == result && strcmp(part.host, whole.host) == 0));
	free(bytes);
	return 0;
}
