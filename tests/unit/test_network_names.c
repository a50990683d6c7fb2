// SPDX-License-Identifier: GPL-2.0-or-later
/* Names of members: who is found, and who is not any more. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "network_fixture.h"
#include "netns/names.h"

/* A member that has leased an address, which is all that names need. */
static int lease(const struct world *world, struct network *network)
{
	struct azm_err err = { 0 };

	CHECK_OK(network_join(&world->options, network, &err), &err);
	CHECK_OK(network_lease(network, &err), &err);
	return 0;
}

/* Another process with a name; it ends when the other end of its channel is closed, or of a signal. */
struct other {
	const char *name;
	uint32_t address;
	pid_t pid;
	int ends[2];
};

static int other_main(struct world *world, void *argument)
{
	struct other *other = argument;
	struct azm_err err = { 0 };
	struct network network;
	char byte;

	close(other->ends[0]);
	CHECK(lease(world, &network) == 0);
	if (other->name)
		CHECK_OK(network_name_set(&network, other->name, &err), &err);
	other->address = network.address;
	CHECK(write(other->ends[1], "", 1) == 1);
	return read(other->ends[1], &byte, 1) < 0;
}

static struct other *start_other(struct world *world, const char *name)
{
	struct other *other = mmap(NULL, sizeof *other, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	char byte;

	assert_true(other != MAP_FAILED);
	other->name = name;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, other->ends), 0);
	other->pid = spawn(other_main, world, other);
	close(other->ends[1]);
	assert_int_equal(read(other->ends[0], &byte, 1), 1);
	return other;
}

static void stop_other(struct other *other, int signal)
{
	kill(other->pid, signal);
	assert_int_equal(finish(other->pid), 128 + signal);
	close(other->ends[0]);
	munmap(other, sizeof *other);
}

static uint32_t find(const struct network *network, const char *name)
{
	uint32_t address = 0;

	return network_name_find(network, name, &address) ? address : 0;
}

static void a_living_member_is_found_and_a_dead_one_is_not(void **state)
{
	struct world *world = *state;
	struct network network;
	struct azm_err err = { 0 };
	char name[NETWORK_NAME_MAX + 1];

	assert_int_equal(lease(world, &network), 0);
	struct other *other = start_other(world, "Web.1");
	uint32_t address = other->address;
	assert_int_equal(find(&network, "Web.1"), address);
	assert_int_equal(find(&network, "web.1"), address);
	assert_int_equal(find(&network, "WEB.1.azm"), address);
	static const char *const not_it[] = { "", "we", "web", "web.12", "xweb.1", ".azm", "web.1.", "web.1.azm.azm" };
	for (size_t i = 0; i < sizeof not_it / sizeof *not_it; i++)
		assert_int_equal(find(&network, not_it[i]), 0);
	assert_true(network_address_find(&network, address, name, sizeof name));
	assert_string_equal(name, "Web.1");
	assert_false(network_address_find(&network, address, name, 5));
	assert_false(network_address_find(&network, address + 1, name, sizeof name));
	assert_false(network_address_find(&network, network.gateway, name, sizeof name));
	assert_false(network_address_find(&network, network.subnet, name, sizeof name));
	assert_false(network_address_find(&network, 0, name, sizeof name));
	assert_false(network_address_find(&network, 0xffffffff, name, sizeof name));

	/* Ourselves, once we have one. */
	assert_false(network_address_find(&network, network.address, name, sizeof name));
	assert_int_equal(network_name_set(&network, "me", &err), 0);
	assert_int_equal(find(&network, "me"), network.address);

	stop_other(other, SIGKILL);
	assert_int_equal(find(&network, "web.1"), 0);
	assert_false(network_address_find(&network, address, name, sizeof name));
	network_leave(&network);
}

static void the_next_holder_of_an_address_has_not_its_name(void **state)
{
	struct world *world = *state;
	struct network network;
	struct flock rest = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 2, .l_len = 3 };

	/* A subnet of five, three of which are taken: two members, one of which changes. */
	world->options.subnet = (struct subnet){ IP(10, 111, 7, 0), 29 };
	cleanup_fd int held = openat(world->live, "net-test.leases", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(fcntl(held, F_OFD_SETLK, &rest), 0);
	assert_int_equal(lease(world, &network), 0);
	struct other *old = start_other(world, "old");
	uint32_t address = old->address;
	assert_int_equal(find(&network, "old"), address);
	stop_other(old, SIGKILL);
	struct other *nameless = start_other(world, NULL);
	assert_int_equal(nameless->address, address);
	assert_int_equal(find(&network, "old"), 0);
	stop_other(nameless, SIGTERM);
	struct other *new = start_other(world, "new");
	assert_int_equal(new->address, address);
	assert_int_equal(find(&network, "old"), 0);
	assert_int_equal(find(&network, "new"), address);
	stop_other(new, SIGTERM);
	network_leave(&network);
}

static void a_member_has_several_names(void **state)
{
	struct world *world = *state;
	struct network network;
	struct azm_err err = { 0 };
	char name[NETWORK_NAME_MAX + 1], longest[NETWORK_NAME_MAX + 2];

	assert_int_equal(lease(world, &network), 0);
	memset(longest, 'x', sizeof longest - 1);
	longest[sizeof longest - 1] = '\0';
	static const char *const bad[] = { "", "a b", "a\n", "\x7f", "tab\t" };
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_true(network_name_set(&network, bad[i], &err) < 0 && err_is(&err, EINVAL));
	assert_true(network_name_set(&network, longest, &err) < 0 && err_is(&err, EINVAL));
	longest[NETWORK_NAME_MAX] = '\0';
	assert_int_equal(network_name_set(&network, "first", &err), 0);
	assert_int_equal(network_name_set(&network, "FIRST", &err), 0);
	assert_int_equal(network_name_set(&network, longest, &err), 0);
	assert_int_equal(network_name_set(&network, "third", &err), 0);
	assert_int_equal(find(&network, "first"), network.address);
	assert_int_equal(find(&network, longest), network.address);
	assert_int_equal(find(&network, "third"), network.address);
	assert_true(network_address_find(&network, network.address, name, sizeof name));
	assert_string_equal(name, "first");
	/* There is an end to it, and what was there before stays. */
	int result = 0;
	for (int i = 0; i < 40 && result == 0; i++) {
		char more[16];
		snprintf(more, sizeof more, "more-%d", i);
		result = network_name_set(&network, more, &err);
	}
	assert_true(result < 0 && err_is(&err, ENOSPC));
	assert_int_equal(find(&network, "third"), network.address);
	network_leave(&network);
}

static void of_two_with_one_name_the_lower_address_counts(void **state)
{
	struct world *world = *state;
	struct network network;

	assert_int_equal(lease(world, &network), 0);
	struct other *one = start_other(world, "same"), *two = start_other(world, "same");
	struct other *low = one->address < two->address ? one : two, *high = low == one ? two : one;
	assert_int_equal(find(&network, "same"), low->address);
	stop_other(low, SIGKILL);
	assert_int_equal(find(&network, "same"), high->address);
	stop_other(high, SIGTERM);
	network_leave(&network);
}

static void members_of_a_network_that_was_made_anew_are_others(void **state)
{
	struct world *world = *state;
	struct network network;
	pid_t keeper;

	struct other *old = start_other(world, "old");
	assert_int_equal(keepers(&keeper, 1), 1);
	kill(keeper, SIGKILL);
	assert_true(gone(keeper));
	assert_int_equal(lease(world, &network), 0);
	assert_int_not_equal(network.address, old->address); /* leases are one file */
	assert_int_equal(find(&network, "old"), 0);
	stop_other(old, SIGTERM);
	network_leave(&network);
}

static void nonsense_in_the_file_is_nobodys_name(void **state)
{
	struct world *world = *state;
	struct network network;
	char nonsense[4096];

	assert_int_equal(lease(world, &network), 0);
	struct other *other = start_other(world, "x");
	memset(nonsense, 'x', sizeof nonsense);
	cleanup_fd int fd = openat(world->live, "net-test.leases", O_RDWR | O_CLOEXEC);
	off_t size = lseek(fd, 0, SEEK_END);
	for (off_t at = 0; at < size + 8192; at += (off_t)sizeof nonsense)
		assert_int_equal(pwrite(fd, nonsense, sizeof nonsense, at), sizeof nonsense);
	assert_int_equal(find(&network, "x"), 0);
	assert_int_equal(find(&network, "xx"), 0);
	assert_int_equal(ftruncate(fd, size / 2 + 100), 0);
	assert_int_equal(find(&network, "x"), 0);
	stop_other(other, SIGTERM);
	network_leave(&network);
}

#define WORLD_TEST(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORLD_TEST(a_living_member_is_found_and_a_dead_one_is_not),
		WORLD_TEST(the_next_holder_of_an_address_has_not_its_name),
		WORLD_TEST(a_member_has_several_names),
		WORLD_TEST(of_two_with_one_name_the_lower_address_counts),
		WORLD_TEST(members_of_a_network_that_was_made_anew_are_others),
		WORLD_TEST(nonsense_in_the_file_is_nobodys_name),
	};

	become_user();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
