// SPDX-License-Identifier: GPL-2.0-or-later
/* Attaching sandboxes to a network: addresses, isolation, and what is left when somebody dies. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "network_fixture.h"
#include "netns/inside.h"

/* An ioctl about an interface of a namespace, see netdevice(7). */
static int ask_interface(int netns, const char *name, unsigned long request, struct ifreq *answer)
{
	struct azm_err err = { 0 };
	cleanup_fd int fd = netns_socket(netns, AF_INET, SOCK_DGRAM, 0, &err);

	*answer = (struct ifreq){ 0 };
	snprintf(answer->ifr_name, sizeof answer->ifr_name, "%s", name);
	return fd < 0 ? -1 : ioctl(fd, request, answer);
}

static uint32_t address_of(int netns, const char *name)
{
	struct ifreq answer;

	if (ask_interface(netns, name, SIOCGIFADDR, &answer) < 0)
		return 0;
	return ntohl(((struct sockaddr_in *)(void *)&answer.ifr_addr)->sin_addr.s_addr);
}

static bool is_up(int netns, const char *name)
{
	struct ifreq answer;

	return ask_interface(netns, name, SIOCGIFFLAGS, &answer) == 0 && (answer.ifr_flags & IFF_UP) != 0;
}

/* In a child that enters the namespace for good: the content of a file of /proc, a negative count when it differs. */
static int read_inside(int netns, const char *path, char *text, size_t size)
{
	int ends[2];

	CHECK(pipe(ends) == 0);
	pid_t child = fork();
	if (child == 0) {
		cleanup_fd int fd = setns(netns, CLONE_NEWNET) == 0 ? open(path, O_RDONLY | O_CLOEXEC) : -1;
		ssize_t n = fd < 0 ? -1 : read(fd, text, size);
		_exit(n < 0 || write_full(ends[1], text, (size_t)n) < 0);
	}
	close(ends[1]);
	ssize_t n = read_full(ends[0], text, size - 1);
	close(ends[0]);
	text[n > 0 ? n : 0] = '\0';
	return finish(child);
}

static int check_attached(struct world *world, void *argument)
{
	struct member member;
	struct ifreq answer;
	char text[8192];

	(void)argument;
	CHECK(become_member(world, &member) == 0);
	const struct network *network = &member.network;
	const int netns = member.sandbox.netns;
	CHECK(network->address > network->gateway && network->address < network->subnet + 65535);
	CHECK(address_of(netns, "eth0") == network->address);
	CHECK(address_of(netns, "lo") == INADDR_LOOPBACK);
	CHECK(is_up(netns, "eth0") && is_up(netns, "lo"));
	CHECK(ask_interface(netns, "eth0", SIOCGIFNETMASK, &answer) == 0);
	CHECK(ntohl(((struct sockaddr_in *)(void *)&answer.ifr_addr)->sin_addr.s_addr) ==
		~0u << (32 - network->prefix));
	/* the only route leads to the network itself: header and one line */
	CHECK(read_inside(netns, "/proc/self/net/route", text, sizeof text) == 0);
	CHECK(strstr(text, "eth0\t") && strchr(strchr(text, '\n') + 1, '\n')[1] == '\0');
	CHECK(!strstr(text, "eth0\t00000000\t"));
	/* IPv6: loopback, and no link-local address on eth0 */
	if (read_inside(netns, "/proc/self/net/if_inet6", text, sizeof text) == 0)
		CHECK(!strstr(text, "eth0"));
	CHECK(is_up(network->netns, network->bridge_port));
	return 0;
}

static void a_sandbox_gets_its_address_and_no_way_out(void **state)
{
	assert_int_equal(in_child(check_attached, *state, NULL), 0);
}

static int check_network(struct world *world, void *argument)
{
	static const struct {
		const char *path, *value;
	} settings[] = {
		{ "/proc/sys/net/ipv4/ip_forward", "0\n" },
		{ "/proc/sys/net/ipv4/conf/azm0/forwarding", "0\n" },
		{ "/proc/sys/net/ipv4/conf/azm0/route_localnet", "0\n" },
		{ "/proc/sys/net/ipv4/conf/azm0/proxy_arp", "0\n" },
		{ "/proc/sys/net/ipv4/conf/azm0/send_redirects", "0\n" },
		{ "/proc/sys/net/ipv4/conf/azm0/rp_filter", "1\n" },
	};
	struct azm_err err = { 0 };
	struct network network;
	char text[64];

	(void)argument;
	CHECK_OK(network_join(&world->options, &network, &err), &err);
	CHECK_OK(network_enter(&network, &err), &err);
	for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
		CHECK(read_inside(network.netns, settings[i].path, text, sizeof text) == 0);
		CHECK(strcmp(text, settings[i].value) == 0);
	}
	CHECK(address_of(network.netns, "azm0") == network.gateway);
	CHECK(is_up(network.netns, "azm0") && is_up(network.netns, "lo"));
	/* We ourselves are where we were. */
	cleanup_fd int here = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	CHECK(inode(here) != inode(network.netns));
	return 0;
}

static void the_network_forwards_nothing(void **state)
{
	assert_int_equal(in_child(check_network, *state, NULL), 0);
}

/* ---- two members ---------------------------------------------------------------------------------------------- */

/* Two supervisors in two processes, the second one a child of the first. It reports its address and then waits. */
struct second {
	pid_t pid;
	uint32_t address;
	uint16_t port; /* a TCP socket listens there in its sandbox */
	char bridge_port[16];
};

static int second_main(struct world *world, void *argument)
{
	struct second *shared = argument;
	struct azm_err err = { 0 };
	struct member member;
	struct sockaddr_in any = { .sin_family = AF_INET };
	socklen_t size = sizeof any;

	CHECK(become_member(world, &member) == 0);
	int listener = netns_socket(member.sandbox.netns, AF_INET, SOCK_STREAM, 0, &err);
	CHECK(listener >= 0 && listen(listener, 1) == 0);
	CHECK(getsockname(listener, (struct sockaddr *)&any, &size) == 0);
	shared->port = ntohs(any.sin_port);
	memcpy(shared->bridge_port, member.network.bridge_port, sizeof shared->bridge_port);
	__atomic_store_n(&shared->address, member.network.address, __ATOMIC_RELEASE);
	pause();
	return 0;
}

static int start_second(struct world *world, struct second **out)
{
	struct second *shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	const struct timespec pause = { .tv_nsec = 1000000 };

	CHECK(shared != MAP_FAILED);
	shared->pid = spawn(second_main, world, shared);
	for (int waited = 0; __atomic_load_n(&shared->address, __ATOMIC_ACQUIRE) == 0; waited++) {
		CHECK(waited < DEADLINE_MS && waitpid(shared->pid, NULL, WNOHANG) == 0);
		nanosleep(&pause, NULL);
	}
	*out = shared;
	return 0;
}

static int check_reach(struct world *world, void *argument)
{
	const int *expected = argument; /* of connect() from one sandbox to the other */
	struct second *second;
	struct member member;

	CHECK(start_second(world, &second) == 0);
	CHECK(become_member(world, &member) == 0);
	CHECK(member.network.address != second->address);
	CHECK(connect_from(member.sandbox.netns, second->address, second->port) == *expected);
	/* Isolated or not, the bridge itself is reached: it answers that nobody listens. */
	CHECK(connect_from(member.sandbox.netns, member.network.gateway, 9) == ECONNREFUSED);
	/* And the network reaches the sandbox. */
	CHECK(connect_from(member.network.netns, second->address, second->port) == 0);
	/* There is no way out, and the sandbox learns it at once. */
	CHECK(connect_from(member.sandbox.netns, 0x08080808, 53) == ENETUNREACH);
	return 0;
}

static void sandboxes_on_isolated_ports_cannot_talk(void **state)
{
	int unreachable = EHOSTUNREACH; /* nobody answers to ARP */

	assert_int_equal(in_child(check_reach, *state, &unreachable), 0);
}

static void sandboxes_of_a_named_network_can_talk(void **state)
{
	struct world *world = *state;
	int reached = 0;

	world->options.isolated = false;
	assert_int_equal(in_child(check_reach, world, &reached), 0);
}

static int check_killed_member(struct world *world, void *argument)
{
	const struct timespec pause = { .tv_nsec = 1000000 };
	struct azm_err err = { 0 };
	struct network network;
	struct second *second;
	struct ifreq answer;
	char leases[4096];

	(void)argument;
	CHECK(start_second(world, &second) == 0);
	CHECK_OK(network_join(&world->options, &network, &err), &err);
	CHECK_OK(network_enter(&network, &err), &err);
	CHECK(ask_interface(network.netns, second->bridge_port, SIOCGIFINDEX, &answer) == 0);
	struct flock lock = {
		.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = second->address - network.subnet, .l_len = 1
	};
	CHECK(fcntl(network.lease_fd, F_OFD_GETLK, &lock) == 0 && lock.l_type == F_WRLCK);
	kill(second->pid, SIGKILL);
	CHECK(finish(second->pid) == 128 + SIGKILL);
	for (int waited = 0; ask_interface(network.netns, second->bridge_port, SIOCGIFINDEX, &answer) == 0; waited++) {
		CHECK(waited < DEADLINE_MS);
		nanosleep(&pause, NULL);
	}
	lock = (struct flock){ .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 0 };
	CHECK(fcntl(network.lease_fd, F_OFD_GETLK, &lock) == 0 && lock.l_type == F_UNLCK);
	CHECK(pread(network.lease_fd, leases, sizeof leases, 0) == 0); /* locks only, no content */
	return 0;
}

static void a_killed_supervisor_leaves_no_port_and_no_lease(void **state)
{
	assert_int_equal(in_child(check_killed_member, *state, NULL), 0);
}

static int attach_after_keeper_died(struct world *world, void *argument)
{
	const int *go = argument;
	struct azm_err err = { 0 };
	struct member member;
	char byte;

	CHECK(become_member(world, &member) == 0);
	CHECK(write(go[1], "", 1) == 1 && read(go[0], &byte, 1) == 1);
	/* The keeper is dead now. Everything the member has still works, and more can be made. */
	CHECK(connect_from(member.sandbox.netns, member.network.gateway, 9) == ECONNREFUSED);
	struct sandbox another;
	CHECK(sandbox_start(&another) == 0);
	CHECK_OK(network_attach(&member.network, true, another.netns, false, &err), &err);
	CHECK(connect_from(another.netns, member.network.gateway, 9) == ECONNREFUSED);
	return 0;
}

static void members_outlive_their_keeper(void **state)
{
	struct world *world = *state;
	int go[2];
	pid_t keeper;
	char byte;

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, go), 0);
	int theirs[2] = { go[1], go[1] };
	pid_t child = spawn(attach_after_keeper_died, world, theirs);
	assert_int_equal(read(go[0], &byte, 1), 1);
	assert_int_equal(keepers(&keeper, 1), 1);
	kill(keeper, SIGKILL);
	assert_true(gone(keeper));
	assert_int_equal(write(go[0], "", 1), 1);
	assert_int_equal(finish(child), 0);
	close(go[0]);
	close(go[1]);
}

/* ---- odd cases ------------------------------------------------------------------------------------------------ */

static int check_taken_port(struct world *world, void *argument)
{
	struct azm_err err = { 0 };
	struct sandbox other;
	struct member member;

	(void)argument;
	CHECK(become_member(world, &member) == 0);
	uint32_t first = member.network.address;
	/* As if its holder had died and the kernel had not taken the port away yet: the next holder of the lease does.
	 */
	struct flock lock = { .l_type = F_UNLCK, .l_whence = SEEK_SET };
	CHECK(fcntl(member.network.lease_fd, F_OFD_SETLK, &lock) == 0);
	member.network.address = 0;
	CHECK(sandbox_start(&other) == 0);
	CHECK_OK(network_attach(&member.network, true, other.netns, false, &err), &err);
	CHECK(member.network.address == first);
	CHECK(address_of(other.netns, "eth0") == first);
	CHECK(address_of(member.sandbox.netns, "eth0") == 0);
	return 0;
}

static void a_port_that_outlived_its_holder_is_replaced(void **state)
{
	assert_int_equal(in_child(check_taken_port, *state, NULL), 0);
}

static int check_wrong_descriptor(struct world *world, void *argument)
{
	struct azm_err err = { 0 };
	struct network network;
	cleanup_fd int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	(void)argument;
	CHECK_OK(network_join(&world->options, &network, &err), &err);
	CHECK_OK(network_enter(&network, &err), &err);
	CHECK(network_attach(&network, true, null, false, &err) < 0 && err_is(&err, EINVAL));
	CHECK(network.address == 0 && network.bridge_port[0] == '\0');
	CHECK(network_loopback_up(null, &err) < 0 && err_is(&err, EINVAL));
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	cleanup_fd int again = openat(world->live, "net-test.leases", O_RDWR | O_CLOEXEC);
	CHECK(fcntl(again, F_OFD_GETLK, &lock) == 0 && lock.l_type == F_UNLCK);
	return 0;
}

static void attaching_nonsense_leaves_nothing(void **state)
{
	assert_int_equal(in_child(check_wrong_descriptor, *state, NULL), 0);
}

static int check_loopback(struct world *world, void *argument)
{
	struct azm_err err = { 0 };
	struct sandbox sandbox;

	(void)world;
	(void)argument;
	CHECK(sandbox_start(&sandbox) == 0);
	CHECK(!is_up(sandbox.netns, "lo"));
	CHECK_OK(network_loopback_up(sandbox.netns, &err), &err);
	CHECK(is_up(sandbox.netns, "lo"));
	CHECK(address_of(sandbox.netns, "lo") == INADDR_LOOPBACK);
	CHECK(prctl(PR_GET_DUMPABLE) == 1);
	CHECK(connect_from(sandbox.netns, INADDR_LOOPBACK, 9) == ECONNREFUSED);
	sandbox_stop(&sandbox);
	return 0;
}

static void loopback_needs_no_network(void **state)
{
	assert_int_equal(in_child(check_loopback, *state, NULL), 0);
}

#define WORLD_TEST(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORLD_TEST(a_sandbox_gets_its_address_and_no_way_out),
		WORLD_TEST(the_network_forwards_nothing),
		WORLD_TEST(sandboxes_on_isolated_ports_cannot_talk),
		WORLD_TEST(sandboxes_of_a_named_network_can_talk),
		WORLD_TEST(a_killed_supervisor_leaves_no_port_and_no_lease),
		WORLD_TEST(members_outlive_their_keeper),
		WORLD_TEST(a_port_that_outlived_its_holder_is_replaced),
		WORLD_TEST(attaching_nonsense_leaves_nothing),
		WORLD_TEST(loopback_needs_no_network),
	};

	become_user();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
