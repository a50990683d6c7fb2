// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/number_set.h: a set of 64-bit numbers, some eight to sixteen bytes each, and twice that with values. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Begins as { 0 }. The number 0 counts as 1. */
struct number_set {
	uint64_t *slots;  /* 0: empty */
	uint64_t *values; /* of the slots, where number_set_put() is used */
	size_t size, count;
};

/** number_set_mix() - spread the bits of a number over all 64, one to one. */
uint64_t number_set_mix(uint64_t number);

/** number_set_add() - out of memory aborts. */
[[gnu::nonnull]] void number_set_add(struct number_set *set, uint64_t number);

/** number_set_put() - the same with a value, or another value; not to be mixed with number_set_add(). */
[[gnu::nonnull]] void number_set_put(struct number_set *set, uint64_t number, uint64_t value);

/** number_set_get() - Return: whether it is there, *value set then. */
[[gnu::nonnull]] bool number_set_get(const struct number_set *set, uint64_t number, uint64_t *value);
[[gnu::nonnull]] bool number_set_has(const struct number_set *set, uint64_t number);

/** number_set_free() - the set is empty afterwards. */
[[gnu::nonnull]] void number_set_free(struct number_set *set);
