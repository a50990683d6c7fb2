// SPDX-License-Identifier: GPL-2.0-or-later
/* The packet filter of a network: who may send as whom. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <netinet/if_ether.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "network_fixture.h"
#include "netns/inside.h"
#include "netns/link.h"

/* Frames of a sandbox that took over its own wire: an AF_PACKET socket in its namespace. */
struct wire {
	int fd;
	uint8_t mac[ETH_ALEN], peer[ETH_ALEN];
	uint32_t address, peer_address, gateway;
};

static int open_wire(int netns, uint16_t protocol, int *fd)
{
	struct azm_err err = { 0 };
	struct sockaddr_ll eth0 = { .sll_family = AF_PACKET, .sll_protocol = htons(protocol) };
	struct ifreq request = { .ifr_name = "eth0" };

	CHECK_OK(*fd = netns_socket(netns, AF_PACKET, SOCK_RAW, 0, &err), &err);
	CHECK(ioctl(*fd, SIOCGIFINDEX, &request) == 0);
	eth0.sll_ifindex = request.ifr_ifindex;
	CHECK(bind(*fd, (struct sockaddr *)&eth0, sizeof eth0) == 0);
	return 0;
}

/* A frame with an UDP packet, or what is made of it by the tests below. The payload says which one it is. */
struct packet {
	struct iphdr ip;
	struct udphdr udp;
	char mark;
};

struct frame {
	struct ether_header ether;
	union {
		struct packet packet;
		struct ether_arp arp;
	};
};

static uint16_t ip_checksum(const struct iphdr *ip)
{
	uint32_t sum = 0;
	uint16_t words[10];

	memcpy(words, ip, sizeof words);
	for (size_t i = 0; i < 10; i++)
		sum += words[i];
	sum = (sum >> 16) + (sum & 0xffff);
	return (uint16_t) ~(sum + (sum >> 16));
}

static struct frame udp_frame(const struct wire *wire, char mark)
{
	struct frame frame = { .packet.mark = mark };

	memcpy(frame.ether.ether_dhost, wire->peer, ETH_ALEN);
	memcpy(frame.ether.ether_shost, wire->mac, ETH_ALEN);
	frame.ether.ether_type = htons(ETHERTYPE_IP);
	frame.packet.ip = (struct iphdr){ .version = 4,
		.ihl = 5,
		.ttl = 64,
		.protocol = IPPROTO_UDP,
		.tot_len = htons(sizeof frame.packet.ip + sizeof frame.packet.udp + 1),
		.saddr = htonl(wire->address),
		.daddr = htonl(wire->peer_address) };
	frame.packet.udp =
		(struct udphdr){ .source = htons(7), .dest = htons(7), .len = htons(sizeof frame.packet.udp + 1) };
	return frame;
}

static struct frame arp_frame(const struct wire *wire, uint16_t op)
{
	struct frame frame = udp_frame(wire, 0);
	uint32_t own = htonl(wire->address), peer = htonl(wire->peer_address);

	memset(&frame.arp, 0, sizeof frame.arp);
	frame.ether.ether_type = htons(ETHERTYPE_ARP);
	frame.arp.ea_hdr = (struct arphdr){ .ar_hrd = htons(ARPHRD_ETHER),
		.ar_pro = htons(ETHERTYPE_IP),
		.ar_hln = ETH_ALEN,
		.ar_pln = 4,
		.ar_op = htons(op) };
	memcpy(frame.arp.arp_sha, wire->mac, ETH_ALEN);
	memcpy(frame.arp.arp_spa, &own, 4);
	memcpy(frame.arp.arp_tpa, &peer, 4);
	return frame;
}

static bool put_frame(const struct wire *wire, struct frame frame, bool tagged)
{
	static const uint8_t vlan[] = { 0, 5, 0x08, 0x00 };
	uint8_t bytes[sizeof frame + sizeof vlan], *end = bytes + sizeof frame.ether;

	if (ntohs(frame.ether.ether_type) == ETHERTYPE_IP)
		frame.packet.ip.check = ip_checksum(&frame.packet.ip);
	if (tagged) {
		frame.ether.ether_type = htons(ETHERTYPE_VLAN);
		end = mempcpy(end, vlan, sizeof vlan);
	}
	memcpy(bytes, &frame.ether, sizeof frame.ether);
	end = mempcpy(end, &frame.packet, sizeof frame.packet);
	return send(wire->fd, bytes, (size_t)(end - bytes), 0) == end - bytes;
}

/* Everything a hostile sandbox can think of, with marks that must not arrive. */
static int put_forgeries(const struct wire *wire)
{
	struct frame frame = udp_frame(wire, '1');
	frame.ether.ether_shost[5] ^= 1; /* another MAC address */
	CHECK(put_frame(wire, frame, false));
	frame = udp_frame(wire, '2');
	frame.packet.ip.saddr = htonl(wire->address ^ 64); /* another member's address */
	CHECK(put_frame(wire, frame, false));
	frame = udp_frame(wire, '3');
	frame.packet.ip.saddr = htonl(wire->gateway); /* the gateway's */
	CHECK(put_frame(wire, frame, false));
	frame = udp_frame(wire, '4');
	frame.packet.ip.saddr = htonl(IP(127, 0, 0, 1));
	CHECK(put_frame(wire, frame, false));
	frame = udp_frame(wire, '5');
	memcpy(frame.ether.ether_shost, wire->peer, ETH_ALEN); /* its receiver itself */
	frame.packet.ip.saddr = htonl(wire->peer_address);
	CHECK(put_frame(wire, frame, false));
	CHECK(put_frame(wire, udp_frame(wire, '6'), true)); /* in a VLAN */
	frame = udp_frame(wire, '7');
	frame.ether.ether_type = htons(ETHERTYPE_IPV6);
	CHECK(put_frame(wire, frame, false));
	frame = udp_frame(wire, '8');
	frame.ether.ether_type = htons(0x88cc); /* LLDP */
	CHECK(put_frame(wire, frame, false));
	/* A way around the rules of a bridge, which it must not learn from where the victim is. */
	memcpy(frame.ether.ether_dhost, (uint8_t[]){ 0x01, 0x80, 0xc2, 0, 0, 0x0e }, ETH_ALEN);
	memcpy(frame.ether.ether_shost, wire->peer, ETH_ALEN);
	CHECK(put_frame(wire, frame, false));
	frame.ether.ether_dhost[5] = 0x03;
	CHECK(put_frame(wire, frame, false));
	frame = arp_frame(wire, ARPOP_REPLY);
	frame.arp.arp_spa[3] ^= 1; /* "that address is at my MAC" */
	CHECK(put_frame(wire, frame, false));
	frame = arp_frame(wire, ARPOP_REQUEST);
	frame.arp.arp_spa[3] ^= 1;
	CHECK(put_frame(wire, frame, false));
	frame = arp_frame(wire, ARPOP_REPLY);
	frame.arp.arp_sha[5] ^= 1; /* "my address is at that MAC" */
	CHECK(put_frame(wire, frame, false));
	frame = arp_frame(wire, ARPOP_REPLY);
	frame.arp.arp_sha[5] ^= 1;
	frame.ether.ether_shost[5] ^= 1;
	CHECK(put_frame(wire, frame, false));
	frame = arp_frame(wire, ARPOP_REPLY);
	frame.arp.ea_hdr.ar_hln = 8; /* sender fields where nobody looks for them */
	CHECK(put_frame(wire, frame, false));
	return 0;
}

/* Frames arrive in the order they were sent in: what comes before the genuine one has got through. Return: how many. */
static int count_before_genuine(int fd, const struct wire *sender)
{
	int count = 0;

	for (; readable(fd); count++) {
		uint8_t bytes[2048];
		struct frame frame = { 0 };
		ssize_t size = recv(fd, bytes, sizeof bytes, 0);
		if (size >= (ssize_t)(sizeof frame.ether + sizeof frame.packet)) {
			memcpy(&frame.ether, bytes, sizeof frame.ether);
			memcpy(&frame.packet, bytes + sizeof frame.ether, sizeof frame.packet);
		}
		if (frame.ether.ether_type == htons(ETHERTYPE_IP) && frame.packet.mark == 'G' &&
			frame.packet.ip.saddr == htonl(sender->address))
			return count;
		fprintf(stderr, "got through: type %04x, %zd bytes, mark '%c'\n", ntohs(frame.ether.ether_type), size,
			frame.packet.mark);
	}
	return -1;
}

/* The other member: says its address, and then how many forgeries it saw. */
struct victim {
	struct wire wire; /* of the sender; filled by it */
	uint32_t address;
	uint16_t port;
	int ends[2];
};

static int victim_main(struct world *world, void *argument)
{
	struct victim *victim = argument;
	struct served served;
	char byte;
	int fd;

	CHECK(become_served(world, &served) == 0);
	CHECK(open_wire(served.member.sandbox.netns, ETH_P_ALL, &fd) == 0);
	victim->address = served.member.network.address;
	CHECK(write(victim->ends[1], "", 1) == 1 && read(victim->ends[1], &byte, 1) == 1);
	CHECK(count_before_genuine(fd, &victim->wire) == 0);
	return 0;
}

static int start_victim(
	struct world *world, int (*body)(struct world *world, void *argument), struct victim **out, pid_t *child)
{
	struct victim *victim = mmap(NULL, sizeof *victim, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	char byte;

	CHECK(victim != MAP_FAILED && socketpair(AF_UNIX, SOCK_SEQPACKET, 0, victim->ends) == 0);
	*child = spawn(body, world, victim);
	close(victim->ends[1]);
	CHECK(read(victim->ends[0], &byte, 1) == 1);
	*out = victim;
	return 0;
}

static void aim(struct wire *wire, const struct network *network, uint32_t victim)
{
	wire->address = network->address;
	wire->peer_address = victim;
	wire->gateway = network->gateway;
	link_mac(network->address, wire->mac);
	link_mac(victim, wire->peer);
}

static int check_forgeries(struct world *world, void *argument)
{
	struct victim *victim;
	struct served served;
	pid_t child;

	(void)argument;
	CHECK(start_victim(world, victim_main, &victim, &child) == 0);
	CHECK(become_served(world, &served) == 0);
	aim(&victim->wire, &served.member.network, victim->address);
	CHECK(open_wire(served.member.sandbox.netns, ETH_P_IP, &victim->wire.fd) == 0);
	struct wire wire = victim->wire;
	CHECK(write(victim->ends[0], "", 1) == 1);
	CHECK(put_forgeries(&wire) == 0);
	CHECK(put_frame(&wire, udp_frame(&wire, 'G'), false));
	return finish(child);
}

static void forged_frames_do_not_leave_their_port(void **state)
{
	struct world *world = *state;

	world->options.isolated = false;
	assert_int_equal(in_child(check_forgeries, world, NULL), 0);
}

/* With br_netfilter asked to, as by a host whose /proc/sys could not be written when the network was made. */
static int call_iptables(struct world *world, void *argument)
{
	(void)world;
	CHECK(setns(*(int *)argument, CLONE_NEWNET) == 0);
	return write_path("/proc/sys/net/bridge/bridge-nf-call-iptables", "1") < 0 && errno != ENOENT;
}

static int listen_and_wait(struct world *world, void *argument)
{
	struct victim *victim = argument;
	struct azm_err err = { 0 };
	struct served served;
	struct sockaddr_in any = { .sin_family = AF_INET };
	socklen_t size = sizeof any;
	char byte;

	CHECK(become_served(world, &served) == 0);
	cleanup_fd int listener = netns_socket(served.member.sandbox.netns, AF_INET, SOCK_STREAM, 0, &err);
	CHECK(listener >= 0 && listen(listener, 1) == 0);
	CHECK(getsockname(listener, (struct sockaddr *)&any, &size) == 0);
	victim->address = served.member.network.address;
	victim->port = ntohs(any.sin_port);
	CHECK(write(victim->ends[1], "", 1) == 1);
	return read(victim->ends[1], &byte, 1) < 0;
}

static int check_bridged(struct world *world, void *argument)
{
	struct victim *victim;
	struct served served;
	pid_t child;

	(void)argument;
	CHECK(start_victim(world, listen_and_wait, &victim, &child) == 0);
	CHECK(become_served(world, &served) == 0);
	CHECK(connect_from(served.member.sandbox.netns, victim->address, victim->port) == 0);
	CHECK(in_child(call_iptables, world, &served.member.network.netns) == 0);
	CHECK(connect_from(served.member.sandbox.netns, victim->address, victim->port) == 0);
	CHECK(check_connection(&served, served.tcp, SOMEWHERE, OUTSIDE_PORT) == 0);
	CHECK(write(victim->ends[0], "", 1) == 1);
	return finish(child);
}

static void what_only_passes_the_bridge_is_left_alone(void **state)
{
	struct world *world = *state;

	world->options.isolated = false;
	assert_int_equal(in_child(check_bridged, world, NULL), 0);
}

/* A member without egress on the private network, beside one that has it: with that one's address it would have its
 * egress. What reaches the gateway is seen there. */
static int check_borrowed_address(struct world *world, void *argument)
{
	struct azm_err err = { 0 };
	struct victim *victim;
	struct member member;
	struct wire wire = { 0 };
	pid_t child;
	int there;

	(void)argument;
	CHECK(start_victim(world, victim_main, &victim, &child) == 0);
	CHECK(become_member(world, &member) == 0);
	struct network *network = &member.network;
	CHECK(in_child(hurry_arp, world, &member.sandbox.netns) == 0);
	aim(&wire, network, network->gateway);
	CHECK(open_wire(member.sandbox.netns, ETH_P_IP, &wire.fd) == 0);
	CHECK_OK(there = netns_socket(network->netns, AF_INET, SOCK_DGRAM, 0, &err), &err);
	struct sockaddr_in gateway = ipv4(network->gateway, 7);
	CHECK(bind(there, (struct sockaddr *)&gateway, sizeof gateway) == 0);
	struct frame frame = udp_frame(&wire, 'B');
	frame.packet.ip.saddr = htonl(victim->address);
	CHECK(put_frame(&wire, frame, false));
	link_mac(victim->address, frame.ether.ether_shost);
	CHECK(put_frame(&wire, frame, false));
	/* The filter keeps count of nothing, so a way is opened behind them, which what was sent before cannot use. */
	CHECK(connect_from(member.sandbox.netns, network->gateway, 9) == EHOSTUNREACH);
	char byte;
	CHECK(recv(there, &byte, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN);
	kill(child, SIGKILL);
	finish(child);
	return 0;
}

static void an_unserved_member_reaches_nobody_with_a_borrowed_address(void **state)
{
	assert_int_equal(in_child(check_borrowed_address, *state, NULL), 0);
}

#define WORLD_TEST(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORLD_TEST(forged_frames_do_not_leave_their_port),
		WORLD_TEST(what_only_passes_the_bridge_is_left_alone),
		WORLD_TEST(an_unserved_member_reaches_nobody_with_a_borrowed_address),
	};

	become_user();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
