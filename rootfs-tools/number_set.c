// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/number_set.c: see number_set.h. Open addressing, never more than half full. */
#include "rootfs-tools/number_set.h"

#include <stdlib.h>

#include "base/str.h"

enum { FIRST_SIZE = 1024 };

/* The finalizer of MurmurHash3. */
uint64_t number_set_mix(uint64_t number)
{
	number ^= number >> 33;
	number *= 0xff51afd7ed558ccdu;
	number ^= number >> 33;
	number *= 0xc4ceb9fe1a85ec53u;
	return number ^ number >> 33;
}

/* The slot of a number, or the empty one where it belongs. */
static size_t slot_of(const struct number_set *set, uint64_t number)
{
	size_t i = (size_t)number_set_mix(number) & (set->size - 1);

	while (set->slots[i] && set->slots[i] != number)
		i = (i + 1) & (set->size - 1);
	return i;
}

static void grow(struct number_set *set, bool values)
{
	struct number_set larger = { .size = set->size ? 2 * set->size : FIRST_SIZE, .count = set->count };

	larger.slots = xcalloc(larger.size, sizeof *larger.slots);
	larger.values = values ? xcalloc(larger.size, sizeof *larger.values) : NULL;
	for (size_t i = 0; i < set->size; i++) {
		if (!set->slots[i])
			continue;
		size_t to = slot_of(&larger, set->slots[i]);
		larger.slots[to] = set->slots[i];
		if (values)
			larger.values[to] = set->values[i];
	}
	number_set_free(set);
	*set = larger;
}

static size_t make_slot(struct number_set *set, uint64_t number, bool values)
{
	number += number == 0;
	if (2 * set->count >= set->size)
		grow(set, values);
	size_t i = slot_of(set, number);
	set->count += !set->slots[i];
	set->slots[i] = number;
	return i;
}

void number_set_add(struct number_set *set, uint64_t number)
{
	(void)make_slot(set, number, false);
}

void number_set_put(struct number_set *set, uint64_t number, uint64_t value)
{
	size_t slot = make_slot(set, number, true); /* may move the values */

	/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): grow() has put other arrays in the place of those it frees */
	set->values[slot] = value;
}

bool number_set_get(const struct number_set *set, uint64_t number, uint64_t *value)
{
	if (!number_set_has(set, number))
		return false;
	*value = set->values[slot_of(set, number + (number == 0))];
	return true;
}

bool number_set_has(const struct number_set *set, uint64_t number)
{
	number += number == 0;
	return set->size && set->slots[slot_of(set, number)];
}

void number_set_free(struct number_set *set)
{
	free(set->slots);
	free(set->values);
	*set = (struct number_set){ 0 };
}
