// SPDX-License-Identifier: GPL-2.0-or-later
/* netns/names.c: names of a network's members; see netns.h.
 *
 * Theory of operation
 *
 * The lease file (lease.h) says by its locks which addresses are held. Its content says more about each of them:
 *
 *     0 ...             one byte a lease: 1 when its holder, or an earlier one, is known to the packet filter
 *     RECORDS_AT ...    one struct record a lease: its names
 *
 * A record says nothing by itself: it counts as long as its holder keeps a second lock, on byte NAMED_AT + lease. Both
 * locks belong to the same open file description, and the kernel drops all locks of one at once, so nobody can hold
 * an address while the names of its last holder still count, and nothing has to be cleaned up after a crash. The record
 * is written before the lock is taken; more names are added behind those that are there already, which a reader sees or
 * does not see.
 *
 * After its keeper was killed a network is made anew, while members of the old one may still live. They share the
 * file, and their leases, but not the wire: a record names the network namespace it belongs to.
 */
#include "netns/names.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "netns/netns.h"

enum {
	RECORDS_AT = 1 << 16, /* no lease has a greater number: SUBNET_LARGEST */
	NAMED_AT = 1 << 20,
	NAMES_ROOM = 240,
	RECORDS_A_READ = 16,
};

struct record {
	uint64_t netns;		/* inode of the network namespace */
	uint64_t reserved;	/* 0 */
	char names[NAMES_ROOM]; /* one after the other, NUL-terminated; an empty one ends the list */
};

static off_t record_at(uint32_t lease)
{
	return RECORDS_AT + (off_t)lease * (off_t)sizeof(struct record);
}

int lease_mark(int lease_fd, uint32_t lease, bool filtered, struct azm_err *err)
{
	const char byte = filtered;

	return pwrite(lease_fd, &byte, 1, lease) == 1 ? 0 : err_sys(err, "write the address leases", NULL);
}

bool lease_is_marked(int lease_fd, uint32_t lease)
{
	char byte = 0;

	/* What cannot be read is taken for marked: cleaning up once too often does no harm. */
	return pread(lease_fd, &byte, 1, lease) < 0 || byte != 0;
}

static uint64_t netns_id(const struct network *network)
{
	struct stat status;

	return fstat(network->netns, &status) < 0 ? 0 : status.st_ino;
}

/* The next name of a record, NULL at its end. The file is ours, but a bug of today must not crash tomorrow's reader. */
static const char *next_name(const struct record *record, const char *name)
{
	const char *end = record->names + sizeof record->names;

	name = name ? name + strlen(name) + 1 : record->names;
	return name < end && *name && memchr(name, '\0', (size_t)(end - name)) ? name : NULL;
}

static int check_name(const char *name, struct azm_err *err)
{
	size_t length = strlen(name);
	bool good = length > 0 && length <= NETWORK_NAME_MAX;

	for (const char *c = name; good && *c; c++)
		good = (unsigned char)*c > ' ' && *c != 0x7f;
	return good ? 0
		    : err_msg(err, EINVAL, "use name", name, "a member's name has 1 to %d printable bytes",
			      NETWORK_NAME_MAX);
}

int network_name_set(struct network *network, const char *name, struct azm_err *err)
{
	uint32_t lease = network->address - network->subnet;
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = NAMED_AT + (off_t)lease, .l_len = 1 };
	struct record record = { 0 };
	const char *end = record.names;

	if (check_name(name, err) < 0)
		return -1;
	if (network->named && pread(network->lease_fd, &record, sizeof record, record_at(lease)) < 0)
		return err_sys(err, "read the address leases", NULL);
	for (const char *known = NULL; (known = next_name(&record, known));) {
		if (strcasecmp(known, name) == 0)
			return 0;
		end = known + strlen(known) + 1;
	}
	size_t used = (size_t)(end - record.names);
	if (used + strlen(name) + 1 > sizeof record.names)
		return err_msg(err, ENOSPC, "use name", name, "the sandbox has too many names");
	record.netns = netns_id(network);
	snprintf(record.names + used, sizeof record.names - used, "%s", name);
	if (pwrite(network->lease_fd, &record, sizeof record, record_at(lease)) != sizeof record ||
		fcntl(network->lease_fd, F_OFD_SETLK, &lock) < 0)
		return err_sys(err, "write the address leases", NULL);
	network->named = true;
	return 0;
}

/* Whether the record of a lease is that of a living member. Our own lock is not shown to ourselves. */
static bool is_alive(const struct network *network, uint32_t lease)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = NAMED_AT + (off_t)lease, .l_len = 1 };

	if (lease == network->address - network->subnet)
		return network->named;
	return fcntl(network->lease_fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

static bool has_name(const struct record *record, const char *name, size_t length)
{
	for (const char *known = NULL; (known = next_name(record, known));)
		if (strlen(known) == length && strncasecmp(known, name, length) == 0)
			return true;
	return false;
}

bool network_name_find(const struct network *network, const char *name, uint32_t *address)
{
	static const char domain[] = ".azm";
	const struct subnet subnet = { .base = network->subnet, .prefix = network->prefix };
	uint64_t netns = netns_id(network);
	size_t length = strlen(name), tail = sizeof domain - 1;
	struct record records[RECORDS_A_READ];

	if (length > tail && strcasecmp(name + length - tail, domain) == 0)
		length -= tail;
	for (uint32_t lease = SUBNET_FIRST_LEASE; lease <= subnet_last_lease(&subnet);) {
		/* Most of the file is a hole that has never been written. */
		off_t data = lseek(network->lease_fd, record_at(lease), SEEK_DATA);
		if (data < 0)
			return false;
		if (data > record_at(lease))
			lease = (uint32_t)((data - RECORDS_AT) / (off_t)sizeof *records);
		ssize_t n = pread(network->lease_fd, records, sizeof records, record_at(lease));
		if (n < (ssize_t)sizeof *records)
			return false;
		for (size_t i = 0; i < (size_t)n / sizeof *records; i++, lease++)
			if (records[i].netns == netns && has_name(&records[i], name, length) &&
				is_alive(network, lease)) {
				*address = network->subnet + lease;
				return true;
			}
	}
	return false;
}

bool network_address_find(const struct network *network, uint32_t address, char *name, size_t size)
{
	const struct subnet subnet = { .base = network->subnet, .prefix = network->prefix };
	uint32_t lease = address - network->subnet;
	struct record record;

	if (lease < SUBNET_FIRST_LEASE || lease > subnet_last_lease(&subnet) || !is_alive(network, lease) ||
		pread(network->lease_fd, &record, sizeof record, record_at(lease)) != sizeof record ||
		record.netns != netns_id(network))
		return false;
	const char *first = next_name(&record, NULL);
	return first && snprintf(name, size, "%s", first) < (int)size;
}
