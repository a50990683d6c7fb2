// SPDX-License-Identifier: GPL-2.0-or-later
/* netns/peer_check.c: see peer_check.h.
 *
 * Theory of operation
 *
 * The query names the peer's socket by its 4-tuple: the connection's own, turned round. What the answer must satisfy:
 *
 *  - It is that very socket. The kernel falls back to a *listener* on the peer's port when the connection is gone, so
 *    ports and addresses of the answer are compared, and the state must be one of a connection.
 *  - Its owner is still known. A closed socket that only drains (orphan, TIME_WAIT) is reported as uid 0 with inode 0:
 *    a stranger could connect, write a request, close, and pass for root. Without an inode only a non-zero id equal to
 *    ours counts (newer kernels remember the id of an orphan).
 *  - It is still *this* connection. Between accept() and the answer the peer may have reset the connection and left its
 *    port to somebody honest. While our end lives the kernel cannot give the 4-tuple away, so our end is looked at
 *    after the query.
 *
 * The kernel answers within send(), so the socket is non-blocking and the relay never waits here.
 */
#include "netns/peer_check.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/str.h"

union address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

/* In a namespace that maps only some ids, all others are shown as the overflow id. */
static bool id_is_ambiguous(uid_t id)
{
	cleanup_free char *overflow = read_path("/proc/sys/kernel/overflowuid", 32, NULL);
	cleanup_free char *map = read_path("/proc/self/uid_map", 65536, NULL);
	unsigned long inside, outside, length;

	if (overflow && id != (uid_t)strtoul(overflow, NULL, 10))
		return false;
	return !map || sscanf(map, "%lu %lu %lu", &inside, &outside, &length) != 3 || length != UINT32_MAX;
}

int peer_check_open(struct peer_check *check, struct azm_err *err)
{
	static const struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };

	*check = (struct peer_check){ .diag = -1, .owner = geteuid() };
	if (id_is_ambiguous(check->owner)) {
		err_msg(err, EPERM, "check who connects", NULL,
			"your user id is not mapped in this user namespace: you look like everybody else");
		return err_hint(err, "publish to a UNIX socket (-p unix:PATH:PORT), or add --publish-any-user");
	}
	cleanup_fd int diag = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_SOCK_DIAG);
	/* Connected, so that nobody but the kernel is heard. */
	if (diag < 0 || connect(diag, (const struct sockaddr *)&kernel, sizeof kernel) < 0)
		return err_sys(err, "open sock_diag", NULL);
	check->diag = steal_fd(&diag);
	return 0;
}

void peer_check_close(struct peer_check *check)
{
	if (check->diag >= 0)
		close(steal_fd(&check->diag));
}

/* Write an address as the kernel's query wants it; IPv4 fills the first word only. */
static void put_address(const union address *from, __be32 words[4], __be16 *port)
{
	if (from->any.sa_family == AF_INET) {
		words[0] = from->v4.sin_addr.s_addr;
		*port = from->v4.sin_port;
	} else {
		memcpy(words, &from->v6.sin6_addr, sizeof from->v6.sin6_addr);
		*port = from->v6.sin6_port;
	}
}

/* An IPv6 socket of the peer that talks to an IPv4 address is reported v4-mapped. */
static void normalise(uint8_t family, __be32 words[4])
{
	struct in6_addr address;

	memcpy(&address, words, sizeof address);
	if (family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&address)) {
		words[0] = words[3];
		words[1] = words[2] = words[3] = 0;
	}
}

static bool same_socket(const struct inet_diag_sockid *asked, const struct inet_diag_msg *answer)
{
	struct inet_diag_sockid id = answer->id;

	normalise(answer->idiag_family, id.idiag_src);
	normalise(answer->idiag_family, id.idiag_dst);
	return id.idiag_sport == asked->idiag_sport && id.idiag_dport == asked->idiag_dport &&
	       !memcmp(id.idiag_src, asked->idiag_src, sizeof id.idiag_src) &&
	       !memcmp(id.idiag_dst, asked->idiag_dst, sizeof id.idiag_dst);
}

static int keep_answer(const struct nlmsghdr *header, void *data)
{
	if (header->nlmsg_type != SOCK_DIAG_BY_FAMILY ||
		mnl_nlmsg_get_payload_len(header) < sizeof(struct inet_diag_msg))
		return MNL_CB_ERROR;
	memcpy(data, mnl_nlmsg_get_payload(header), sizeof(struct inet_diag_msg));
	return MNL_CB_STOP;
}

/* Ask for the socket bound to @local and connected to @remote. */
static bool ask(
	struct peer_check *check, const union address *local, const union address *remote, struct inet_diag_msg *answer)
{
	_Alignas(struct nlmsghdr) char buffer[512];
	struct nlmsghdr *header = mnl_nlmsg_put_header(buffer);
	struct inet_diag_req_v2 request = {
		.sdiag_family = (uint8_t)local->any.sa_family,
		.sdiag_protocol = IPPROTO_TCP,
		.idiag_states = UINT32_MAX,
		.id.idiag_cookie = { INET_DIAG_NOCOOKIE, INET_DIAG_NOCOOKIE },
	};

	put_address(local, request.id.idiag_src, &request.id.idiag_sport);
	put_address(remote, request.id.idiag_dst, &request.id.idiag_dport);
	header->nlmsg_type = SOCK_DIAG_BY_FAMILY;
	header->nlmsg_flags = NLM_F_REQUEST;
	header->nlmsg_seq = ++check->sequence;
	memcpy(mnl_nlmsg_put_extra_header(header, sizeof request), &request, sizeof request);
	if (send(check->diag, header, header->nlmsg_len, 0) < 0)
		return false;
	/* An answer left over from a query whose receive failed has an older number: skip it. */
	for (;;) {
		ssize_t size = recv(check->diag, buffer, sizeof buffer, MSG_TRUNC);
		if (size < (ssize_t)sizeof *header || size > (ssize_t)sizeof buffer)
			return false;
		if (header->nlmsg_seq != check->sequence)
			continue;
		return mnl_cb_run(buffer, (size_t)size, check->sequence, 0, keep_answer, answer) == MNL_CB_STOP &&
		       same_socket(&request.id, answer);
	}
}

int peer_check_prove(struct peer_check *check, int listener, struct azm_err *err)
{
	union address local = { 0 }, nowhere = { 0 };
	socklen_t size = sizeof local;
	struct inet_diag_msg answer = { 0 };

	if (getsockname(listener, &local.any, &size) < 0)
		return err_sys(err, "read the address of a listener", NULL);
	if (ask(check, &local, &nowhere, &answer) && answer.idiag_uid == check->owner)
		return 0;
	err_msg(err, ENOTSUP, "check who connects", NULL, "this kernel does not tell the owner of a TCP socket");
	return err_hint(err, "load the module tcp_diag; or publish to a UNIX socket (-p unix:PATH:PORT); or add "
			     "--publish-any-user to let every user of this host connect");
}

/* States in which a connection's opener can be that has sent its last byte at most. */
static bool is_connected(uint8_t state)
{
	return state == TCP_ESTABLISHED || state == TCP_FIN_WAIT1 || state == TCP_FIN_WAIT2;
}

bool peer_check_allows(struct peer_check *check, int connection)
{
	union address local = { 0 }, peer = { 0 }, again;
	socklen_t local_size = sizeof local, peer_size = sizeof peer, again_size = sizeof again;
	struct inet_diag_msg answer = { 0 };

	if (check->diag < 0 || getsockname(connection, &local.any, &local_size) < 0 ||
		getpeername(connection, &peer.any, &peer_size) < 0)
		return false;
	if (local.any.sa_family != AF_INET && local.any.sa_family != AF_INET6)
		return false;
	if (!ask(check, &peer, &local, &answer) || !is_connected(answer.idiag_state))
		return false;

	bool ours = answer.idiag_uid == check->owner && (check->owner != 0 || answer.idiag_inode != 0);
	bool roots = answer.idiag_uid == 0 && answer.idiag_inode != 0;
	return (ours || roots) && getpeername(connection, &again.any, &again_size) == 0;
}
