// SPDX-License-Identifier: GPL-2.0-or-later
/* netns/rtnl.c: see rtnl.h.
 *
 * Theory of operation
 *
 * rtnetlink works synchronously: when sendmsg(2) returns, every request in it was carried out and its answers are
 * queued. Only the last request asks for an acknowledgement; failures are always answered. So a batch that succeeds
 * costs one sendmsg and one recv, and a batch that fails is read up to the answer of the last request, which leaves
 * the socket clean for the next one.
 */
#include "netns/rtnl.h"

#include <errno.h>
#include <netlink/attr.h>
#include <sys/socket.h>

void rtnl_batch_free(struct rtnl_batch *batch)
{
	for (size_t i = 0; i < batch->count; i++)
		nlmsg_free(batch->messages[i]);
	batch->count = 0;
}

static struct nl_msg *newest(const struct rtnl_batch *batch)
{
	return batch->count ? batch->messages[batch->count - 1] : NULL;
}

void rtnl_request(
	struct rtnl_batch *batch, const char *step, uint16_t type, uint16_t flags, const void *header, size_t size)
{
	struct nl_msg *message = batch->count < RTNL_BATCH_MAX ? nlmsg_alloc_size(1024) : NULL;

	if (!message) {
		batch->failed = true;
		return;
	}
	batch->steps[batch->count] = step;
	batch->messages[batch->count++] = message;
	/* Sequence numbers are the place in the batch: answers name the request they belong to. */
	if (!nlmsg_put(message, 0, (uint32_t)batch->count, type, 0, NLM_F_REQUEST | flags) ||
		nlmsg_append(message, (void *)(uintptr_t)header, size, NLMSG_ALIGNTO) < 0)
		batch->failed = true;
}

void rtnl_put(struct rtnl_batch *batch, int attribute, const void *data, size_t size)
{
	struct nl_msg *message = newest(batch);

	if (!message || nla_put(message, attribute, (int)size, data) < 0)
		batch->failed = true;
}

void rtnl_put_u8(struct rtnl_batch *batch, int attribute, uint8_t value)
{
	rtnl_put(batch, attribute, &value, sizeof value);
}

void rtnl_put_u32(struct rtnl_batch *batch, int attribute, uint32_t value)
{
	rtnl_put(batch, attribute, &value, sizeof value);
}

void rtnl_put_string(struct rtnl_batch *batch, int attribute, const char *text)
{
	rtnl_put(batch, attribute, text, strlen(text) + 1);
}

struct nlattr *rtnl_nest(struct rtnl_batch *batch, int attribute)
{
	struct nl_msg *message = newest(batch);
	struct nlattr *nest = message ? nla_nest_start(message, attribute) : NULL;

	if (!nest)
		batch->failed = true;
	return nest;
}

void rtnl_nest_end(struct rtnl_batch *batch, struct nlattr *nest)
{
	if (nest)
		nla_nest_end(newest(batch), nest);
}

void rtnl_put_raw(struct rtnl_batch *batch, const void *data, size_t size)
{
	struct nl_msg *message = newest(batch);

	if (!message || nlmsg_append(message, (void *)(uintptr_t)data, size, NLMSG_ALIGNTO) < 0)
		batch->failed = true;
}

static int send_batch(int fd, const struct rtnl_batch *batch)
{
	struct iovec parts[RTNL_BATCH_MAX];
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	struct msghdr whole = {
		.msg_name = &kernel, .msg_namelen = sizeof kernel, .msg_iov = parts, .msg_iovlen = batch->count
	};

	for (size_t i = 0; i < batch->count; i++) {
		struct nlmsghdr *header = nlmsg_hdr(batch->messages[i]);
		if (i == batch->count - 1)
			header->nlmsg_flags |= NLM_F_ACK;
		parts[i] = (struct iovec){ .iov_base = header, .iov_len = header->nlmsg_len };
	}
	return sendmsg(fd, &whole, 0) < 0 ? -1 : 0;
}

/* One datagram of answers from the kernel itself. Return: its size, -1 with errno. */
static int receive(int fd, void *buffer, size_t size)
{
	for (;;) {
		struct sockaddr_nl from = { 0 };
		socklen_t from_size = sizeof from;
		ssize_t n = recvfrom(fd, buffer, size, MSG_TRUNC, (struct sockaddr *)&from, &from_size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n >= 0 && from.nl_pid != 0)
			continue; /* any process of the namespace may write to our port */
		if (n > (ssize_t)size) {
			errno = EMSGSIZE;
			return -1;
		}
		return (int)n;
	}
}

/* Errno value (positive) of an NLMSG_ERROR message; 0 is an acknowledgement. */
static int answered_error(const struct nlmsghdr *answer)
{
	const struct nlmsgerr *error = NLMSG_DATA(answer);

	if (answer->nlmsg_len < NLMSG_LENGTH(sizeof *error))
		return EBADMSG;
	return -error->error;
}

/* Read answers up to the one for the last request. Return: 0, or -1 with @err about the first that failed. */
static int read_answers(int fd, const struct rtnl_batch *batch, struct azm_err *err)
{
	_Alignas(struct nlmsghdr) char buffer[8192];
	size_t failed = 0;
	int code = 0;

	for (uint32_t seen = 0; seen < batch->count;) {
		int left = receive(fd, buffer, sizeof buffer);
		if (left < 0)
			return err_sys(err, "read the kernel's answer", "rtnetlink");
		for (struct nlmsghdr *answer = (void *)buffer; nlmsg_ok(answer, left);
			answer = nlmsg_next(answer, &left)) {
			if (answer->nlmsg_type != NLMSG_ERROR || answer->nlmsg_seq == 0 ||
				answer->nlmsg_seq > batch->count)
				continue;
			seen = answer->nlmsg_seq;
			if (code == 0) {
				code = answered_error(answer);
				failed = seen - 1;
			}
		}
	}
	return code ? err_code(err, code, batch->steps[failed], NULL) : 0;
}

int rtnl_commit(int fd, struct rtnl_batch *batch, struct azm_err *err)
{
	if (batch->failed || batch->count == 0)
		return err_code(err, ENOMEM, "build an rtnetlink request", NULL);
	if (send_batch(fd, batch) < 0)
		return err_sys(err, batch->steps[0], NULL);
	return read_answers(fd, batch, err);
}

/* Return: true when this message ends the answer, with *code set to what the kernel thinks of the request. */
static bool take_answer(const struct nlmsghdr *answer, const struct nlmsghdr *request,
	void (*row)(const struct nlmsghdr *row, void *context), void *context, int *code)
{
	if (answer->nlmsg_seq != request->nlmsg_seq)
		return false;
	if (answer->nlmsg_type == NLMSG_ERROR)
		*code = answered_error(answer);
	if (answer->nlmsg_type == NLMSG_ERROR || answer->nlmsg_type == NLMSG_DONE)
		return true;
	row(answer, context);
	return !(answer->nlmsg_flags & NLM_F_MULTI);
}

int rtnl_ask(int fd, struct nlmsghdr *request, void (*row)(const struct nlmsghdr *row, void *context), void *context,
	struct azm_err *err)
{
	_Alignas(struct nlmsghdr) char buffer[32768]; /* the kernel never makes a larger part of a dump */
	int code = 0;

	request->nlmsg_flags |= NLM_F_REQUEST;
	request->nlmsg_seq = 1;
	if (send(fd, request, request->nlmsg_len, 0) < 0)
		return err_sys(err, "ask for the host's routes", NULL);
	for (;;) {
		int left = receive(fd, buffer, sizeof buffer);
		if (left < 0)
			return err_sys(err, "read the host's routes", NULL);
		for (struct nlmsghdr *answer = (void *)buffer; nlmsg_ok(answer, left);
			answer = nlmsg_next(answer, &left))
			if (take_answer(answer, request, row, context, &code))
				return code ? err_code(err, code, "read the host's routes", NULL) : 0;
	}
}

int rtnl_dump(int fd, uint16_t type, void (*row)(const struct nlmsghdr *row, void *context), void *context,
	struct azm_err *err)
{
	struct {
		struct nlmsghdr header;
		struct rtgenmsg family;
	} request = {
		.header = { .nlmsg_len = NLMSG_LENGTH(sizeof(struct rtgenmsg)),
			.nlmsg_type = type,
			.nlmsg_flags = NLM_F_DUMP },
		.family = { .rtgen_family = AF_INET },
	};

	return rtnl_ask(fd, &request.header, row, context, err);
}
