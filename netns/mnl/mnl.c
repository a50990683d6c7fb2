// SPDX-License-Identifier: GPL-2.0-or-later
/* netns/mnl/mnl.c: the part of libmnl that is called here, where the system has no libmnl.a.
 *
 * azm-sandbox is a static program; libnftnl has an archive everywhere, but calls libmnl, of which Debian ships a shared
 * library only up to release 12 (see module.mk). What builds messages is here, and what walks over answers. What takes
 * attributes apart is not: libnftnl refers to it, in functions that nobody calls.
 *
 * Sources: the reference of libmnl, netlink(7). tests/unit/test_network_mnl.c compares the messages with libmnl's.
 */
#include <errno.h>
#include <libmnl/libmnl.h>
#include <string.h>

/* A message and an attribute begin with these; both are multiples of four bytes long. */
enum { HEADER = sizeof(struct nlmsghdr), ATTRIBUTE = sizeof(struct nlattr) };

static size_t aligned(size_t size)
{
	return (size + 3) & ~(size_t)3;
}

/* ---- building ------------------------------------------------------------------------------------------------- */

static void *tail(struct nlmsghdr *nlh)
{
	return (char *)nlh + aligned(nlh->nlmsg_len);
}

struct nlmsghdr *mnl_nlmsg_put_header(void *buf)
{
	struct nlmsghdr *nlh = buf;

	*nlh = (struct nlmsghdr){ .nlmsg_len = HEADER };
	return nlh;
}

void *mnl_nlmsg_put_extra_header(struct nlmsghdr *nlh, size_t size)
{
	void *extra = (char *)nlh + nlh->nlmsg_len;

	memset(extra, 0, aligned(size));
	nlh->nlmsg_len += (uint32_t)aligned(size);
	return extra;
}

void mnl_attr_put(struct nlmsghdr *nlh, uint16_t type, size_t len, const void *data)
{
	struct nlattr *attribute = tail(nlh);
	char *payload = (char *)attribute + ATTRIBUTE;

	*attribute = (struct nlattr){ .nla_len = (uint16_t)(ATTRIBUTE + len), .nla_type = type };
	if (len)
		memcpy(payload, data, len);
	memset(payload + len, 0, aligned(len) - len);
	nlh->nlmsg_len += (uint32_t)aligned(ATTRIBUTE + len);
}

void mnl_attr_put_u8(struct nlmsghdr *nlh, uint16_t type, uint8_t data)
{
	mnl_attr_put(nlh, type, sizeof data, &data);
}

void mnl_attr_put_u16(struct nlmsghdr *nlh, uint16_t type, uint16_t data)
{
	mnl_attr_put(nlh, type, sizeof data, &data);
}

void mnl_attr_put_u32(struct nlmsghdr *nlh, uint16_t type, uint32_t data)
{
	mnl_attr_put(nlh, type, sizeof data, &data);
}

void mnl_attr_put_u64(struct nlmsghdr *nlh, uint16_t type, uint64_t data)
{
	mnl_attr_put(nlh, type, sizeof data, &data);
}

void mnl_attr_put_str(struct nlmsghdr *nlh, uint16_t type, const char *data)
{
	mnl_attr_put(nlh, type, strlen(data), data);
}

void mnl_attr_put_strz(struct nlmsghdr *nlh, uint16_t type, const char *data)
{
	mnl_attr_put(nlh, type, strlen(data) + 1, data);
}

struct nlattr *mnl_attr_nest_start(struct nlmsghdr *nlh, uint16_t type)
{
	struct nlattr *nest = tail(nlh);

	/* The length comes at the end. */
	nest->nla_type = (uint16_t)(NLA_F_NESTED | type);
	nlh->nlmsg_len += ATTRIBUTE;
	return nest;
}

void mnl_attr_nest_end(struct nlmsghdr *nlh, struct nlattr *start)
{
	start->nla_len = (uint16_t)((char *)tail(nlh) - (char *)start);
}

/* ---- answers -------------------------------------------------------------------------------------------------- */

void *mnl_nlmsg_get_payload(const struct nlmsghdr *nlh)
{
	return (char *)(uintptr_t)nlh + HEADER;
}

size_t mnl_nlmsg_get_payload_len(const struct nlmsghdr *nlh)
{
	return nlh->nlmsg_len - HEADER;
}

bool mnl_nlmsg_ok(const struct nlmsghdr *nlh, int len)
{
	return len >= HEADER && nlh->nlmsg_len >= HEADER && nlh->nlmsg_len <= (uint32_t)len;
}

struct nlmsghdr *mnl_nlmsg_next(const struct nlmsghdr *nlh, int *len)
{
	*len -= (int)aligned(nlh->nlmsg_len);
	return (void *)((char *)(uintptr_t)nlh + aligned(nlh->nlmsg_len));
}

static int failed(int code)
{
	errno = code;
	return MNL_CB_ERROR;
}

static int see_verdict(const struct nlmsghdr *nlh)
{
	const struct nlmsgerr *verdict = mnl_nlmsg_get_payload(nlh);

	if (nlh->nlmsg_len < NLMSG_LENGTH(sizeof *verdict))
		return failed(EBADMSG);
	return verdict->error ? failed(verdict->error < 0 ? -verdict->error : verdict->error) : MNL_CB_STOP;
}

static int see_message(const struct nlmsghdr *nlh, mnl_cb_t each, void *context)
{
	switch (nlh->nlmsg_type) {
	case NLMSG_ERROR:
		return see_verdict(nlh);
	case NLMSG_DONE:
		return MNL_CB_STOP;
	default:
		return nlh->nlmsg_type >= NLMSG_MIN_TYPE && each ? each(nlh, context) : MNL_CB_OK;
	}
}

int mnl_cb_run(const void *buf, size_t numbytes, unsigned seq, unsigned portid, mnl_cb_t cb_data, void *data)
{
	const struct nlmsghdr *nlh = buf;
	int left = (int)numbytes, result = MNL_CB_OK;

	for (; mnl_nlmsg_ok(nlh, left); nlh = mnl_nlmsg_next(nlh, &left)) {
		if (nlh->nlmsg_pid && portid && nlh->nlmsg_pid != portid)
			return failed(ESRCH);
		if (nlh->nlmsg_seq && seq && nlh->nlmsg_seq != seq)
			return failed(EPROTO);
		if (nlh->nlmsg_flags & NLM_F_DUMP_INTR)
			return failed(EINTR);
		result = see_message(nlh, cb_data, data);
		if (result <= MNL_CB_STOP)
			break;
	}
	return result;
}
