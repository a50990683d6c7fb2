// SPDX-License-Identifier: GPL-2.0-or-later
/* tests/unit/dns_fixture.h: the name server on 127.0.0.1 port 53 of a network namespace of its own: a child, new for
 * every test.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>

enum { PORT = 53, SERVER_FILES = 64 };

struct server_options {
	size_t names;
	rlim_t files;
};

/** dns_enter_world() - become root of a user, mount and network namespace with lo up; ends the program when it cannot.
 */
void dns_enter_world(void);

/** must() - end the program, with errno's text, unless @good. */
void must(bool good, const char *step);

/** bound() - a socket of 127.0.0.0/8. */
int bound(int type, const char *address, uint16_t port);

/** dns_setup(), dns_teardown() - for cmocka: a server, whose pid is in *state; the end of one that is still alive. */
int dns_setup(void **state);
int dns_teardown(void **state);
#define DNS_TEST(function) cmocka_unit_test_setup_teardown(function, dns_setup, dns_teardown)

/** dns_restart() - a server of another kind than dns_setup() started. */
void dns_restart(void **state, const struct server_options *options);
