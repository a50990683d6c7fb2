// SPDX-License-Identifier: GPL-2.0-or-later
/* tests/lib/probe_order.c: a program whose files tell whether a copy of them is of one moment.
 *
 * `probe order` counts, and writes the number in one way after the other, always in the same order: a moment has files
 * that went on and files that did not yet, never two steps between them. `probe order-check` looks at a copy.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "tests/lib/probe.h"

enum { LARGE = 6 << 20, PAGE = 4096 };

static void need(bool ok, const char *what)
{
	if (ok)
		return;
	fact("order.failed", "%s: %s", what, result(-1));
	exit(1);
}

static void put(const char *name, off_t at, uint64_t value)
{
	cleanup_fd int fd = open(name, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

	need(fd >= 0 && pwrite(fd, &value, sizeof value, at) == sizeof value, name);
}

/* Return: what is there; 0 for no such file, or an empty one */
static uint64_t get(const char *name, off_t at)
{
	uint64_t value = 0;
	cleanup_fd int fd = open(name, O_RDONLY | O_CLOEXEC);

	return fd >= 0 && pread(fd, &value, sizeof value, at) == sizeof value ? value : 0;
}

static uint64_t *map(const char *name)
{
	cleanup_fd int fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0644);

	need(fd >= 0 && ftruncate(fd, PAGE) == 0, name);
	void *memory = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	need(memory != MAP_FAILED, name);
	return memory;
}

/* ---- the ways ---------------------------------------------------------------------------------------------------- */

static void write_plain(uint64_t value)
{
	put("plain", 0, value);
}

static uint64_t read_plain(void)
{
	return get("plain", 0);
}

/* A mapping that stays, so that only the first store is seen by the kernel. */
static void store_mapped(uint64_t value)
{
	static uint64_t *memory;

	if (!memory)
		memory = map("mapped");
	*(volatile uint64_t *)memory = value;
}

static uint64_t read_mapped(void)
{
	return get("mapped", 0);
}

/* The same by one name of two. */
static void store_twin(uint64_t value)
{
	static uint64_t *memory;

	if (!memory) {
		memory = map("twin-mapped");
		need(link("twin-mapped", "a-twin") == 0, "a-twin");
	}
	*(volatile uint64_t *)memory = value;
}

static uint64_t read_twin(void)
{
	return get("a-twin", 0);
}

/* A mapping for one store. */
static void store_once(uint64_t value)
{
	uint64_t *memory = map("once");

	*(volatile uint64_t *)memory = value;
	munmap(memory, PAGE);
}

static uint64_t read_once(void)
{
	return get("once", 0);
}

static void replace(uint64_t value)
{
	put("replaced.new", 0, value);
	need(rename("replaced.new", "replaced") == 0, "replaced");
}

static uint64_t read_replaced(void)
{
	return get("replaced", 0);
}

static void link_again(uint64_t value)
{
	put("first", 0, value);
	need(unlink("second") == 0 || errno == ENOENT, "second");
	need(link("first", "second") == 0, "second");
}

static uint64_t read_linked(void)
{
	uint64_t second = get("second", 0);

	return second && second != get("first", 0) ? UINT64_MAX : get("first", 0);
}

/* In a directory that is renamed; a file that is as old as it stays in it. */
static void move_directory(uint64_t value)
{
	const char *from = value % 2 ? "odd" : "even", *to = value % 2 ? "even" : "odd";

	if (mkdir(from, 0755) == 0)
		put(value % 2 ? "odd/old" : "even/old", 0, 1);
	else
		need(errno == EEXIST, from);
	put(value % 2 ? "odd/moved" : "even/moved", 0, value);
	need(rename(from, to) == 0, to);
}

static uint64_t read_moved(void)
{
	uint64_t odd = get("odd/moved", 0), even = get("even/moved", 0);

	return odd + even && get("odd/old", 0) + get("even/old", 0) != 1 ? UINT64_MAX : odd + even;
}

static void create(uint64_t value)
{
	char name[32];

	snprintf(name, sizeof name, "new-%llu", (unsigned long long)value % 4);
	put(name, 0, value);
	snprintf(name, sizeof name, "new-%llu", (unsigned long long)(value + 3) % 4);
	need(unlink(name) == 0 || errno == ENOENT, name);
}

static uint64_t read_created(void)
{
	static const char *const names[] = { "new-0", "new-1", "new-2", "new-3" };
	uint64_t most = 0;

	for (size_t i = 0; i < 4; i++)
		most = get(names[i], 0) > most ? get(names[i], 0) : most;
	return most;
}

static void set_attribute(uint64_t value)
{
	if (value == 1)
		put("attribute", 0, 0);
	need(setxattr("attribute", "user.order", &value, sizeof value, 0) == 0, "attribute");
}

static uint64_t read_attribute(void)
{
	uint64_t value;

	return getxattr("attribute", "user.order", &value, sizeof value) == sizeof value ? value : 0;
}

static void write_first(uint64_t value)
{
	put("large", 0, value);
}

static uint64_t read_first(void)
{
	return get("large", 0);
}

static void write_last(uint64_t value)
{
	put("large", LARGE, value);
}

static uint64_t read_last(void)
{
	return get("large", LARGE);
}

static const struct way {
	const char *name;
	void (*write)(uint64_t value);
	uint64_t (*read)(void);
} ways[] = {
	{ "plain", write_plain, read_plain },
	{ "mapped", store_mapped, read_mapped },
	{ "replaced", replace, read_replaced },
	{ "twin", store_twin, read_twin },
	{ "linked", link_again, read_linked },
	{ "moved", move_directory, read_moved },
	{ "once", store_once, read_once },
	{ "created", create, read_created },
	{ "attribute", set_attribute, read_attribute },
	{ "first", write_first, read_first },
	{ "last", write_last, read_last },
};

enum { WAYS = sizeof ways / sizeof *ways };

static int order(int argc, char **argv)
{
	(void)argc;
	need(chdir(argv[1]) == 0, argv[1]);
	for (uint64_t value = 1; value < UINT64_MAX; value++)
		for (size_t i = 0; i < WAYS; i++)
			ways[i].write(value);
	return 0;
}

static int order_check(int argc, char **argv)
{
	(void)argc;
	need(chdir(argv[1]) == 0, argv[1]);
	uint64_t began = ways[0].read(), before = began;
	bool good = began > 0;
	for (size_t i = 0; i < WAYS; i++) {
		uint64_t value = ways[i].read();
		good = good && value <= before && value + 1 >= began;
		before = value;
		fact(ways[i].name, "%llu", (unsigned long long)value);
	}
	fact("order", good ? "kept" : "broken");
	return !good;
}

/* Whether every way was gone through. */
static int order_began(int argc, char **argv)
{
	(void)argc;
	need(chdir(argv[1]) == 0, argv[1]);
	return ways[WAYS - 1].read() == 0;
}

const struct probe_row probe_order[] = {
	{ "order", order, 1, 1, "DIR: write numbers to files, in an order" },
	{ "order-check", order_check, 1, 1, "DIR: whether a copy of them is of one moment" },
	{ "order-began", order_began, 1, 1, "DIR: whether each of them was written" },
	{ NULL, NULL, 0, 0, NULL },
};
