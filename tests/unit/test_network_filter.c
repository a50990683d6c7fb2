// SPDX-License-Identifier: GPL-2.0-or-later
/* The packet filter of a network: what is redirected, what is refused, what is inherited. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "network_fixture.h"
#include "netns/inside.h"
#include "netns/names.h"

/* ---- what is redirected --------------------------------------------------------------------------------------- */

static int check_question(const struct served *served)
{
	struct azm_err err = { 0 };
	struct sockaddr_in peer = { 0 }, from = { 0 }, server = ipv4(served->member.network.gateway, 53);
	socklen_t peer_size = sizeof peer, from_size = sizeof from;
	cleanup_fd int client = netns_socket(served->member.sandbox.netns, AF_INET, SOCK_DGRAM, 0, &err);
	char text[8];

	CHECK(sendto(client, "who?", 4, 0, (struct sockaddr *)&server, sizeof server) == 4);
	CHECK(readable(served->dns_udp));
	CHECK(recvfrom(served->dns_udp, text, sizeof text, 0, (struct sockaddr *)&peer, &peer_size) == 4);
	CHECK(same(&peer, served->member.network.address, 0));
	CHECK(sendto(served->dns_udp, "me", 2, 0, (struct sockaddr *)&peer, peer_size) == 2);
	CHECK(readable(client));
	CHECK(recvfrom(client, text, sizeof text, 0, (struct sockaddr *)&from, &from_size) == 2);
	CHECK(same(&from, served->member.network.gateway, 53)); /* not the responder's own port */
	return 0;
}

static int check_redirects(struct world *world, void *argument)
{
	struct served served;
	struct azm_err err = { 0 };

	(void)argument;
	CHECK(become_served(world, &served) == 0);
	const uint32_t gateway = served.member.network.gateway;
	CHECK(check_connection(&served, served.tcp, SOMEWHERE, OUTSIDE_PORT) == 0);
	CHECK(check_connection(&served, served.tcp, SOMEWHERE, 53) == 0);
	CHECK(check_connection(&served, served.tcp, gateway, 8080) == 0);
	CHECK(check_connection(&served, served.dns_tcp, gateway, 53) == 0);
	CHECK(check_question(&served) == 0);
	/* Other ports, as after a change of rules. */
	cleanup_fd int other = network_listen(&served.member.network, SOCK_STREAM, &served.service.tcp, &err);
	CHECK_OK(network_serve(&served.member.network, &served.service, &err), &err);
	CHECK(check_connection(&served, other, SOMEWHERE, OUTSIDE_PORT) == 0);
	CHECK(check_question(&served) == 0);
	return 0;
}

static void connections_and_questions_are_redirected(void **state)
{
	assert_int_equal(in_child(check_redirects, *state, NULL), 0);
}

/* ---- what is refused ------------------------------------------------------------------------------------------ */

/* How a datagram ends: errno that the sender learns, 0 when it learns nothing within the deadline. */
static int datagram_from(int netns, uint32_t address, uint16_t port)
{
	struct azm_err err = { 0 };
	struct sockaddr_in far = ipv4(address, port);
	struct timeval patience = { .tv_sec = DEADLINE_MS / 1000 };
	cleanup_fd int fd = netns_socket(netns, AF_INET, SOCK_DGRAM, 0, &err);
	char byte;

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
	if (connect(fd, (struct sockaddr *)&far, sizeof far) < 0 || send(fd, "x", 1, 0) < 0)
		return errno;
	return recv(fd, &byte, 1, 0) < 0 && errno != EAGAIN ? errno : 0;
}

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int check_refusals(struct world *world, void *argument)
{
	static const struct network_service nothing;
	struct azm_err err = { 0 };
	struct served served;

	(void)argument;
	CHECK(become_served(world, &served) == 0);
	const struct network *network = &served.member.network;
	const int netns = served.member.sandbox.netns;
	int64_t start = now_ms();
	/* A direct call to what listens there: the broker would dial itself. */
	CHECK(connect_from(netns, network->gateway, served.service.tcp) == ECONNREFUSED);
	CHECK(connect_from(netns, network->gateway, served.service.dns_tcp) == 0 /* by way of the broker */);
	CHECK(datagram_from(netns, network->gateway, served.service.dns_udp) == EHOSTUNREACH);
	/* Other UDP, again and again: each time at once. */
	for (uint16_t port = 1000; port < 1020; port++)
		CHECK(datagram_from(netns, SOMEWHERE, port) == EHOSTUNREACH);
	CHECK(datagram_from(netns, SOMEWHERE, 53) == EHOSTUNREACH);
	CHECK_OK(network_serve(&served.member.network, &nothing, &err), &err);
	CHECK(connect_from(netns, SOMEWHERE, OUTSIDE_PORT) == ECONNREFUSED);
	CHECK(connect_from(netns, network->gateway, served.service.tcp) == ECONNREFUSED);
	CHECK(connect_from(netns, network->gateway, 53) == ECONNREFUSED);
	CHECK(datagram_from(netns, network->gateway, 53) == EHOSTUNREACH);
	CHECK(now_ms() - start < 10000);
	return 0;
}

static void everything_else_is_refused_at_once(void **state)
{
	assert_int_equal(in_child(check_refusals, *state, NULL), 0);
}

/* ---- what is inherited ---------------------------------------------------------------------------------------- */

static int serve_and_die(struct world *world, void *argument)
{
	struct served served;

	CHECK(become_served(world, &served) == 0);
	*(struct network_service *)argument = served.service;
	raise(SIGKILL);
	return 0;
}

/* A killed member's sandbox, which has a copy of its descriptor of the leases, dies a moment later. */
static int await_free_lease(const struct world *world, off_t lease)
{
	cleanup_fd int fd = openat(world->live, "net-test.leases", O_RDWR | O_CLOEXEC);
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = lease, .l_len = 1 };

	return fcntl(fd, F_OFD_SETLKW, &lock);
}

/* The subnet has one address left: the dead member's. */
static int check_inheritance(struct world *world, void *argument)
{
	struct network_service *old =
		mmap(NULL, sizeof *old, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct azm_err err = { 0 };
	struct served served;

	(void)argument;
	CHECK(old != MAP_FAILED);
	CHECK(finish(spawn(serve_and_die, world, old)) == 128 + SIGKILL);
	CHECK(old->tcp != 0);
	CHECK(await_free_lease(world, 6) == 0);
	CHECK(become_member(world, &served.member) == 0); /* no egress: never calls network_serve() */
	struct network *network = &served.member.network;
	uint32_t lease = network->address - network->subnet;
	CHECK(!lease_is_marked(network->lease_fd, lease));
	CHECK_OK(network_route(network, served.member.sandbox.netns, &err), &err);
	CHECK(connect_within(served.member.sandbox.netns, network->gateway, old->tcp, 100) == ETIMEDOUT);
	CHECK(connect_within(served.member.sandbox.netns, SOMEWHERE, OUTSIDE_PORT, 100) == ETIMEDOUT);
	/* With egress from now on, it has its own, and not its predecessor's. */
	CHECK_OK(served.tcp = network_listen(network, SOCK_STREAM, &served.service.tcp, &err), &err);
	served.service.dns_udp = served.service.dns_tcp = 0;
	CHECK_OK(network_serve(network, &served.service, &err), &err);
	CHECK(lease_is_marked(network->lease_fd, lease));
	CHECK(check_connection(&served, served.tcp, SOMEWHERE, OUTSIDE_PORT) == 0);
	CHECK(datagram_from(served.member.sandbox.netns, network->gateway, 53) == EHOSTUNREACH);
	return 0;
}

static int hold_all_but_one(struct world *world)
{
	int fd = openat(world->live, "net-test.leases", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 2, .l_len = 4 };

	assert_int_equal(fcntl(fd, F_OFD_SETLK, &lock), 0);
	return fd;
}

static void nobody_inherits_a_redirect(void **state)
{
	struct world *world = *state;

	world->options.subnet = (struct subnet){ IP(10, 111, 7, 0), 29 };
	[[gnu::unused]] cleanup_fd int held = hold_all_but_one(world);
	assert_int_equal(in_child(check_inheritance, world, NULL), 0);
}

static int check_exhausted(struct world *world, void *argument)
{
	struct azm_err err = { 0 };
	struct member member;
	struct network second;

	(void)argument;
	CHECK(become_member(world, &member) == 0);
	CHECK(member.network.address == IP(10, 111, 7, 6));
	CHECK_OK(network_join(&world->options, &second, &err), &err);
	CHECK(network_lease(&second, &err) < 0 && err_is(&err, EUSERS));
	CHECK(strstr(err.reason, "all 5 addresses"));
	return 0;
}

static void a_subnet_of_five_has_room_for_five(void **state)
{
	struct world *world = *state;

	world->options.subnet = (struct subnet){ IP(10, 111, 7, 0), 29 };
	[[gnu::unused]] cleanup_fd int held = hold_all_but_one(world);
	assert_int_equal(in_child(check_exhausted, world, NULL), 0);
}

/* ---- many at once --------------------------------------------------------------------------------------------- */

static int serve_once(struct world *world, void *argument)
{
	struct served served;

	(void)argument;
	CHECK(become_served(world, &served) == 0);
	return check_connection(&served, served.tcp, SOMEWHERE, OUTSIDE_PORT);
}

static void members_that_are_served_at_once_do_not_disturb_each_other(void **state)
{
	pid_t children[8];

	for (size_t i = 0; i < 8; i++)
		children[i] = spawn(serve_once, *state, NULL);
	for (size_t i = 0; i < 8; i++)
		assert_int_equal(finish(children[i]), 0);
}

static int check_asked_before(struct world *world, void *argument)
{
	struct azm_err err = { 0 };
	struct served late = { 0 };
	struct member *member = &late.member;

	(void)argument;
	CHECK(become_member(world, member) == 0);
	CHECK(in_child(stall_arp, world, &member->sandbox.netns) == 0);
	struct sockaddr_in gateway = ipv4(member->network.gateway, 53);
	cleanup_fd int fd = netns_socket(member->sandbox.netns, AF_INET, SOCK_DGRAM, 0, &err);
	CHECK(sendto(fd, "who?", 4, 0, (struct sockaddr *)&gateway, sizeof gateway) == 4);
	CHECK(serve_member(&late) == 0);
	CHECK(check_question(&late) == 0);
	return check_connection(&late, late.tcp, SOMEWHERE, OUTSIDE_PORT);
}

static void who_asked_before_it_was_served_need_not_wait(void **state)
{
	/* From the first served member on, frames of whoever is not served are dropped. */
	assert_int_equal(in_child(serve_once, *state, NULL), 0);
	assert_int_equal(in_child(check_asked_before, *state, NULL), 0);
}

#define WORLD_TEST(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORLD_TEST(connections_and_questions_are_redirected),
		WORLD_TEST(who_asked_before_it_was_served_need_not_wait),
		WORLD_TEST(everything_else_is_refused_at_once),
		WORLD_TEST(nobody_inherits_a_redirect),
		WORLD_TEST(a_subnet_of_five_has_room_for_five),
		WORLD_TEST(members_that_are_served_at_once_do_not_disturb_each_other),
	};

	become_user();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
