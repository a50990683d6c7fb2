// SPDX-License-Identifier: GPL-2.0-or-later
/* tests/fuzz/fuzz_plan_decode.c: any bytes as a plan: no crash, memory in proportion to the message, and what is
 * accepted is a plan that can be written again and read again. */
#include "init/plan.h"
#include "tests/fuzz/fuzz.h"
#include "tests/lib/plan_free.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned char *copy = (unsigned char *)fuzz_text(data, size);
	struct plan plan = { 0 }, again = { 0 };
	size_t written;

	if (plan_decode(copy, size, &plan) == 0) {
		unsigned char *message = plan_encode(&plan, &written);
		must(written <= size + sizeof(uint32_t));
		must(plan_decode(message + sizeof(uint32_t), written - sizeof(uint32_t), &again) == 0);
		must(again.argc == plan.argc && again.mount.volume_count == plan.mount.volume_count);
		plan_free(&again);
		free(message);
	}
	plan_free(&plan);
	free(copy);
	return 0;
}
