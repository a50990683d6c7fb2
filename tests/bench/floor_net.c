// SPDX-License-Identifier: GPL-2.0-or-later
/* tests/bench/floor_net.c: the network of the floor program, in raw netlink.
 *
 * Each message is one send and one receive of the acknowledgement; links are made with every attribute they need
 * (master, peer, namespace) so that a whole veth pair is one message.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "tests/bench/floor.h"

static const char bridge_name[] = "floor0";

struct message {
	struct nlmsghdr head;
	char body[1024];
};

static void *append(struct message *message, const void *data, size_t size)
{
	void *place = (char *)message + NLMSG_ALIGN(message->head.nlmsg_len);

	if (data)
		memcpy(place, data, size);
	message->head.nlmsg_len = (uint32_t)(NLMSG_ALIGN(message->head.nlmsg_len) + size);
	return place;
}

static struct rtattr *attribute(struct message *message, unsigned short type, const void *data, size_t size)
{
	struct rtattr *start =
		append(message, &(struct rtattr){ (unsigned short)RTA_LENGTH(size), type }, sizeof *start);

	if (data)
		append(message, data, size);
	return start;
}

/* Close a nested attribute: its length is what was appended since. */
static void nest_end(struct message *message, struct rtattr *start)
{
	start->rta_len = (unsigned short)((char *)message + message->head.nlmsg_len - (char *)start);
}

static struct message begin(unsigned short type, unsigned flags, const void *head, size_t size)
{
	struct message message = { .head = {
					   .nlmsg_len = NLMSG_HDRLEN,
					   .nlmsg_type = type,
					   .nlmsg_flags = (unsigned short)(NLM_F_REQUEST | NLM_F_ACK | flags),
				   } };

	append(&message, head, size);
	return message;
}

static void talk(int fd, const struct message *message, const char *step)
{
	struct {
		struct nlmsghdr head;
		struct nlmsgerr error;
		char rest[1024];
	} reply;

	must(send(fd, message, message->head.nlmsg_len, 0), step);
	must(recv(fd, &reply, sizeof reply, 0), step);
	if (reply.head.nlmsg_type == NLMSG_ERROR && reply.error.error) {
		errno = -reply.error.error;
		must(-1, step);
	}
}

static int route_socket(void)
{
	return (int)must(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE), "netlink");
}

static void set_up(int fd, unsigned index)
{
	struct ifinfomsg link = { .ifi_index = (int)index, .ifi_flags = IFF_UP, .ifi_change = IFF_UP };
	struct message message = begin(RTM_NEWLINK, 0, &link, sizeof link);

	talk(fd, &message, "link up");
}

static void add_address(int fd, unsigned index, uint32_t address)
{
	struct ifaddrmsg head = { .ifa_family = AF_INET, .ifa_prefixlen = 16, .ifa_index = index };
	struct message message = begin(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, &head, sizeof head);
	uint32_t net_order = htonl(address);

	attribute(&message, IFA_LOCAL, &net_order, sizeof net_order);
	attribute(&message, IFA_ADDRESS, &net_order, sizeof net_order);
	talk(fd, &message, "address");
}

static void make_bridge(void)
{
	cleanup_fd int fd = route_socket();
	struct ifinfomsg link = { .ifi_flags = IFF_UP, .ifi_change = IFF_UP };
	struct message message = begin(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &link, sizeof link);

	attribute(&message, IFLA_IFNAME, bridge_name, sizeof bridge_name);
	struct rtattr *info = attribute(&message, IFLA_LINKINFO, NULL, 0);
	attribute(&message, IFLA_INFO_KIND, "bridge", 6);
	nest_end(&message, info);
	talk(fd, &message, "bridge");
	add_address(fd, if_nametoindex(bridge_name), 0x0a6f0001);
}

/* The throw-away child only carries the two namespaces until we hold them. */
struct floor_network network_make(void)
{
	struct floor_network network = { .keeper = -1 };
	char path[64];
	uid_t uid = getuid();
	gid_t gid = getgid();
	pid_t pid =
		(pid_t)must(syscall(SYS_clone, CLONE_NEWUSER | CLONE_NEWNET | SIGCHLD, 0, 0, 0, 0), "clone network");

	if (!pid)
		for (;;)
			pause();
	map_one(pid, uid, gid);
	snprintf(path, sizeof path, "/proc/%d/ns/user", pid);
	network.userns = (int)must(open(path, O_RDONLY | O_CLOEXEC), path);
	snprintf(path, sizeof path, "/proc/%d/ns/net", pid);
	network.netns = (int)must(open(path, O_RDONLY | O_CLOEXEC), path);
	must(kill(pid, SIGKILL), "kill");
	must(waitpid(pid, NULL, 0), "wait");
	network_go_in(&network);
	make_bridge();
	return network;
}

void network_go_in(const struct floor_network *network)
{
	/* Already inside after network_make(): the second time is EINVAL by the kernel's own rule. */
	if (setns(network->userns, CLONE_NEWUSER) < 0 && errno != EINVAL)
		must(-1, "enter user namespace");
	must(setns(network->netns, CLONE_NEWNET), "enter network namespace");
	must(prctl(PR_SET_DUMPABLE, 1), "dumpable");
}

void network_wire(pid_t pid)
{
	cleanup_fd int fd = route_socket();
	struct ifinfomsg link = { .ifi_flags = IFF_UP, .ifi_change = IFF_UP };
	struct message message = begin(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &link, sizeof link);
	uint32_t master = if_nametoindex(bridge_name), target = (uint32_t)pid;
	char name[IFNAMSIZ];

	snprintf(name, sizeof name, "f%d", pid);
	attribute(&message, IFLA_IFNAME, name, strlen(name) + 1);
	attribute(&message, IFLA_MASTER, &master, sizeof master);
	struct rtattr *info = attribute(&message, IFLA_LINKINFO, NULL, 0);
	attribute(&message, IFLA_INFO_KIND, "veth", 4);
	struct rtattr *data = attribute(&message, IFLA_INFO_DATA, NULL, 0);
	struct rtattr *peer = attribute(&message, VETH_INFO_PEER, NULL, 0);
	/* Not up yet: the kernel opens the inner end before it knows its peer, which is ENOTCONN. */
	append(&message, &(struct ifinfomsg){ 0 }, sizeof link);
	attribute(&message, IFLA_IFNAME, "eth0", 5);
	attribute(&message, IFLA_NET_NS_PID, &target, sizeof target);
	nest_end(&message, peer);
	nest_end(&message, data);
	nest_end(&message, info);
	talk(fd, &message, "veth");
}

void network_configure(void)
{
	cleanup_fd int fd = route_socket();
	unsigned index = if_nametoindex("eth0");

	set_up(fd, 1); /* lo is the first link of every namespace */
	/* Any address of the subnet does: nothing looks for a duplicate in a benchmark. */
	add_address(fd, index, 0x0a6f0002);
	set_up(fd, index);
}

static struct sockaddr_un socket_address(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
	return address;
}

struct floor_network network_ask(const char *path)
{
	struct floor_network network;
	struct sockaddr_un address = socket_address(path);
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(2 * sizeof(int))];
	} control;
	char byte;
	struct iovec data = { &byte, 1 };
	struct msghdr message = {
		.msg_iov = &data,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof control,
	};
	int fds[2];

	network.keeper = (int)must(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0), "socket");
	must(connect(network.keeper, (struct sockaddr *)&address, sizeof address), path);
	must(recvmsg(network.keeper, &message, MSG_CMSG_CLOEXEC), "ask the holder");
	const struct cmsghdr *rights = CMSG_FIRSTHDR(&message);
	if (!rights || rights->cmsg_len != CMSG_LEN(sizeof fds)) {
		errno = EPROTO;
		must(-1, "ask the holder");
		_exit(1); /* not reached, but must() does not say so */
	}
	memcpy(fds, CMSG_DATA(rights), sizeof fds);
	network.userns = fds[0];
	network.netns = fds[1];
	return network;
}

static void hand_out(int fd, const struct floor_network *network)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(2 * sizeof(int))];
	} control = { 0 };
	struct iovec data = { &(char){ 'n' }, 1 };
	struct msghdr message = {
		.msg_iov = &data,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof control,
	};
	struct cmsghdr *rights = CMSG_FIRSTHDR(&message);
	const int fds[2] = { network->userns, network->netns };

	rights->cmsg_level = SOL_SOCKET;
	rights->cmsg_type = SCM_RIGHTS;
	rights->cmsg_len = CMSG_LEN(sizeof fds);
	memcpy(CMSG_DATA(rights), fds, sizeof fds);
	sendmsg(fd, &message, MSG_NOSIGNAL);
}

void network_hold(const char *path)
{
	struct sockaddr_un address = socket_address(path);
	cleanup_fd int listener = (int)must(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0), "socket");

	must(bind(listener, (struct sockaddr *)&address, sizeof address), path);
	must(listen(listener, 1024), "listen");
	const struct floor_network network = network_make();
	for (;;) {
		cleanup_fd int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

		if (fd >= 0)
			hand_out(fd, &network);
	}
}
