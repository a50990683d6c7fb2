// SPDX-License-Identifier: GPL-2.0-or-later
/* tests/unit/network_fixture.h: what the tests of networks share.
 *
 * A test runs the code in children, because entering a network is for good; a child says how it went by its exit
 * status. The test program is the subreaper of the keepers it makes, so it can find, kill and wait for them.
 */
#pragma once
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "netns/netns.h"

enum { DEADLINE_MS = 20000 }; /* for conditions that come true at once unless something is broken */

struct world {
	char directory[64]; /* the live directory */
	int live;
	struct network_options options; /* network "test", grace of 60 s */
};

/** world_setup(), world_teardown() - for cmocka: a live directory; ends every keeper and child that is left. */
int world_setup(void **state);
int world_teardown(void **state);

/** become_user() - give up root for good, as every program here has to work without; call first in main(). */
void become_user(void);

/* In a child: leave it with the line number on stderr when a condition fails. */
#define CHECK(condition)                                                                                               \
	do {                                                                                                           \
		if (!(condition)) {                                                                                    \
			fprintf(stderr, "%s:%d: %s failed\n", __FILE__, __LINE__, #condition);                         \
			return 1;                                                                                      \
		}                                                                                                      \
	} while (0)

/* The same for a function with an error object, which is shown. */
#define CHECK_OK(call, err)                                                                                            \
	do {                                                                                                           \
		if ((call) < 0) {                                                                                      \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #call);                                     \
			err_print(err, "test");                                                                        \
			return 1;                                                                                      \
		}                                                                                                      \
	} while (0)

/** spawn() - run @body in a child. Return: its pid. */
pid_t spawn(int (*body)(struct world *world, void *argument), struct world *world, void *argument);

/** finish() - wait for a child. Return: its exit status, 128 + signal. */
int finish(pid_t child);

/** in_child() - spawn() and finish(). */
int in_child(int (*body)(struct world *world, void *argument), struct world *world, void *argument);

/** keepers() - the keepers that run below the test. Return: how many; @pids gets up to @room of them. */
size_t keepers(pid_t *pids, size_t room);

/** gone() - wait until a child (a keeper, too) has ended. Return: false after the deadline. */
bool gone(pid_t child);

/** inode() - number of the file behind a descriptor: which namespace, which memfd. */
ino_t inode(int fd);

bool exists(const struct world *world, const char *file);

/* A stand-in for a sandbox: a process in its own user and network namespace. */
struct sandbox {
	pid_t pid;
	int netns;
};

/** sandbox_start() - in a child, after network_enter() (or without, for network none). Return: 0, -1. */
int sandbox_start(struct sandbox *sandbox);
void sandbox_stop(struct sandbox *sandbox);

/* A member with a sandbox, as a supervisor is one. */
struct member {
	struct network network;
	struct sandbox sandbox;
};

/** become_member() - join, enter and attach, in a child of the test, for good. Return: 0; 1 after saying why not. */
int become_member(const struct world *world, struct member *member);

/** ipv4() - a socket address; both in host byte order. */
struct sockaddr_in ipv4(uint32_t address, uint16_t port);
#define IP(a, b, c, d) ((uint32_t)(a) << 24 | (uint32_t)(b) << 16 | (uint32_t)(c) << 8 | (uint32_t)(d))
enum { SOMEWHERE = IP(93, 184, 215, 14), OUTSIDE_PORT = 443 };

/** same() - whether a socket address is this one; port 0: any. */
bool same(const struct sockaddr_in *a, uint32_t address, uint16_t port);

/** readable() - wait until a descriptor can be read. Return: false after the deadline. */
bool readable(int fd);

/** connect_from() - connect() a TCP socket in a namespace. Return: 0 or errno. */
int connect_from(int netns, uint32_t address, uint16_t port);

/** connect_within() - the same, ETIMEDOUT at the first repetition (1 s, 3 s, 7 s) after @ms without an answer. */
int connect_within(int netns, uint32_t address, uint16_t port, unsigned ms);

/* A member whose sandbox has a default route, and that is served. */
struct served {
	struct member member;
	struct network_service service;
	int tcp, dns_udp, dns_tcp;
};

/** serve_member() - have a member, the rest of @served still 0, served. Return: 0; 1 after saying why not. */
int serve_member(struct served *served);

/** become_served() - become_member() and listen for what its rules redirect. Return: 0; 1 after saying why not. */
int become_served(const struct world *world, struct served *served);

/** check_connection() - one connection from the sandbox, accepted on @listener with the destination it was meant for.
 * Return: 0; 1 after saying why not.
 */
int check_connection(const struct served *served, int listener, uint32_t address, uint16_t port);

/** hurry_arp() - for in_child() with a namespace: nobody answers to ARP there, have the kernel give up after a tenth of
 * the usual second and try.
 */
int hurry_arp(struct world *world, void *netns);

/** stall_arp() - the opposite: what was asked in vain once is not asked again within the hour. */
int stall_arp(struct world *world, void *netns);
