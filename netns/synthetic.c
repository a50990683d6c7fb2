// SPDX-License-Identifier: GPL-2.0-or-later
/* netns/synthetic.c: see synthetic.h.
 *
 * Two hash tables over the same entries, by name and by address, and one queue in order of last use. A sandbox chooses
 * the names (below a wildcard), so it can make chains long; a chain is never longer than the map, and it waits for its
 * own answers only.
 */
#include "netns/synthetic.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "base/cleanup.h"

enum { BUCKETS = 4096 };
#define RANGE (1u << (32 - SYNTHETIC_PREFIX))

struct entry {
	LIST_ENTRY(entry) by_name, by_address;
	TAILQ_ENTRY(entry) by_use;
	int64_t used_ms;
	uint32_t address;
	char name[];
};
LIST_HEAD(bucket, entry);

struct synthetic {
	size_t count, most;
	uint32_t turn;		      /* offset given out last */
	TAILQ_HEAD(uses, entry) uses; /* longest unused first */
	struct bucket names[BUCKETS], addresses[BUCKETS];
};

/* FNV-1a */
static struct bucket *name_bucket(struct synthetic *map, const char *name)
{
	uint32_t hash = 2166136261u;

	for (const char *c = name; *c; c++)
		hash = (hash ^ (unsigned char)*c) * 16777619u;
	return &map->names[(hash ^ hash >> 16) % BUCKETS];
}

/* Addresses are given out in turn: their low bits are as even as it gets. */
static struct bucket *address_bucket(struct synthetic *map, uint32_t address)
{
	return &map->addresses[address % BUCKETS];
}

struct synthetic *synthetic_new(size_t names, struct azm_err *err)
{
	struct synthetic *map = calloc(1, sizeof *map);

	if (!map) {
		(void)err_code(err, ENOMEM, "make the map of names", NULL);
		return NULL;
	}
	map->most = names < RANGE / 2 ? names : RANGE / 2;
	TAILQ_INIT(&map->uses);
	return map;
}

static void forget(struct synthetic *map, struct entry *entry)
{
	LIST_REMOVE(entry, by_name);
	LIST_REMOVE(entry, by_address);
	TAILQ_REMOVE(&map->uses, entry, by_use);
	map->count--;
	free(entry);
}

void synthetic_free(struct synthetic *map)
{
	struct entry *entry;

	if (!map)
		return;
	while ((entry = TAILQ_FIRST(&map->uses)))
		forget(map, entry); /* NOLINT(clang-analyzer-unix.Malloc): it takes itself off the queue */
	free(map);
}

bool synthetic_contains(uint32_t address)
{
	return (address & ~(RANGE - 1)) == SYNTHETIC_BASE;
}

static struct entry *find_name(struct synthetic *map, const char *name)
{
	struct entry *entry;

	LIST_FOREACH(entry, name_bucket(map, name), by_name)
	if (strcmp(entry->name, name) == 0)
		return entry;
	return NULL;
}

static struct entry *find_address(struct synthetic *map, uint32_t address)
{
	struct entry *entry;

	LIST_FOREACH(entry, address_bucket(map, address), by_address)
	if (entry->address == address)
		return entry;
	return NULL;
}

static void use(struct synthetic *map, struct entry *entry, int64_t now_ms)
{
	entry->used_ms = now_ms;
	TAILQ_REMOVE(&map->uses, entry, by_use);
	TAILQ_INSERT_TAIL(&map->uses, entry, by_use);
}

/* The next address that is not mapped; the first and the last of the range look like a network's and a broadcast's. At
 * most half the range is mapped, so there is one. */
static uint32_t next_address(struct synthetic *map)
{
	do
		map->turn = map->turn >= RANGE - 2 ? 1 : map->turn + 1;
	while (find_address(map, SYNTHETIC_BASE + map->turn));
	return SYNTHETIC_BASE + map->turn;
}

static bool make_room(struct synthetic *map, int64_t now_ms)
{
	struct entry *oldest = TAILQ_FIRST(&map->uses);

	if (map->count < map->most)
		return true;
	if (!oldest || now_ms - oldest->used_ms < SYNTHETIC_KEEP_MS)
		return false;
	forget(map, oldest);
	return true;
}

static struct entry *add(struct synthetic *map, const char *name)
{
	size_t size = strlen(name) + 1;
	struct entry *entry = calloc(1, sizeof *entry + size);

	if (!entry)
		return NULL;
	memcpy(entry->name, name, size);
	entry->address = next_address(map);
	LIST_INSERT_HEAD(name_bucket(map, name), entry, by_name);
	LIST_INSERT_HEAD(address_bucket(map, entry->address), entry, by_address);
	TAILQ_INSERT_TAIL(&map->uses, entry, by_use);
	map->count++;
	return entry;
}

bool synthetic_address(struct synthetic *map, const char *name, int64_t now_ms, uint32_t *address)
{
	struct entry *entry = find_name(map, name);

	if (!entry && make_room(map, now_ms))
		entry = add(map, name);
	if (!entry)
		return false;
	use(map, entry, now_ms);
	*address = entry->address;
	return true;
}

const char *synthetic_name(struct synthetic *map, uint32_t address, int64_t now_ms)
{
	struct entry *entry = find_address(map, address);

	if (!entry)
		return NULL;
	use(map, entry, now_ms);
	return entry->name;
}
