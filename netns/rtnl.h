// SPDX-License-Identifier: GPL-2.0-or-later
/* netns/rtnl.h: several rtnetlink requests in one system call, on a socket somebody else opened.
 *
 * libnl builds the messages; its own sockets are not used, because ours are opened inside another network namespace,
 * and because one sendmsg(2) and one recv(2) for a whole batch is what keeps attaching a sandbox at kernel speed.
 */
#pragma once
#include <linux/rtnetlink.h>
#include <netlink/msg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum { RTNL_BATCH_MAX = 4 };

struct rtnl_batch {
	struct nl_msg *messages[RTNL_BATCH_MAX];
	const char *steps[RTNL_BATCH_MAX]; /* what each one does, for the error */
	size_t count;
	bool failed; /* a message could not be built; rtnl_commit() says so */
};

#define cleanup_rtnl_batch [[gnu::cleanup(rtnl_batch_free)]]
void rtnl_batch_free(struct rtnl_batch *batch);

/**
 * rtnl_request() - begin another request; the rtnl_put functions below add to the newest one
 * @step:	a literal: verb phrase for errors
 * @type:	RTM_*
 * @flags:	NLM_F_* beside NLM_F_REQUEST
 * @header:	struct ifinfomsg, ifaddrmsg, ...
 */
void rtnl_request(
	struct rtnl_batch *batch, const char *step, uint16_t type, uint16_t flags, const void *header, size_t size);

void rtnl_put(struct rtnl_batch *batch, int attribute, const void *data, size_t size);
void rtnl_put_u8(struct rtnl_batch *batch, int attribute, uint8_t value);
void rtnl_put_u32(struct rtnl_batch *batch, int attribute, uint32_t value);
void rtnl_put_string(struct rtnl_batch *batch, int attribute, const char *text);

/** rtnl_nest() - open a nested attribute, to be closed with rtnl_nest_end(). NULL when out of room. */
struct nlattr *rtnl_nest(struct rtnl_batch *batch, int attribute);
void rtnl_nest_end(struct rtnl_batch *batch, struct nlattr *nest);

/** rtnl_put_raw() - bytes without an attribute header: the struct ifinfomsg that starts VETH_INFO_PEER. */
void rtnl_put_raw(struct rtnl_batch *batch, const void *data, size_t size);

/**
 * rtnl_commit() - send the batch and wait for its end
 * @fd:		NETLINK_ROUTE socket, blocking
 *
 * The kernel works through all requests even when one fails: the first failure is reported, later requests must not do
 * harm without the earlier ones.
 *
 * Return: 0, or -1 with @err (step and errno of the first request that failed)
 */
[[gnu::nonnull]] int rtnl_commit(int fd, struct rtnl_batch *batch, struct azm_err *err);

/**
 * rtnl_ask() - send one request and see every message that answers it
 * @request:	type and length set, and NLM_F_DUMP for a table; the rest of its header is filled in
 * @row:	called for each message of the answer
 *
 * Return: 0, or -1 with @err; a refusal of the kernel has its errno
 */
[[gnu::nonnull(2, 3, 5)]] int rtnl_ask(int fd, struct nlmsghdr *request,
	void (*row)(const struct nlmsghdr *row, void *context), void *context, struct azm_err *err);

/**
 * rtnl_dump() - ask for a table and see every row
 * @type:	RTM_GETROUTE, ...
 * @row:	called for each message of the answer
 *
 * Return: 0, or -1 with @err
 */
[[gnu::nonnull(3, 5)]] int rtnl_dump(int fd, uint16_t type, void (*row)(const struct nlmsghdr *row, void *context),
	void *context, struct azm_err *err);
