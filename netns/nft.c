// SPDX-License-Identifier: GPL-2.0-or-later
/* netns/nft.c: see nft.h.
 *
 * nfnetlink carries a batch out before send() returns, and answers about every message that failed and about those that
 * asked for an acknowledgement. Only the last one asks; an answer to the opening message ends it all (no nf_tables in
 * this kernel, no permission).
 *
 * Sources: net/netfilter/nfnetlink.c (nfnetlink_rcv_batch) and nf_tables_api.c of the kernel, examples of libnftnl.
 */
#include "netns/nft.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <libnftnl/chain.h>
#include <libnftnl/common.h>
#include <libnftnl/expr.h>
#include <libnftnl/rule.h>
#include <libnftnl/set.h>
#include <libnftnl/table.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netlink.h>
#include <string.h>
#include <sys/socket.h>

enum { MESSAGE_MAX = 2048 }; /* room that every message finds */

/* Start a message. Return: NULL when there is no room; the batch has failed then. */
static struct nlmsghdr *start(struct nft_batch *batch, uint16_t type, uint16_t family, uint16_t flags)
{
	if (sizeof batch->buffer - batch->used < MESSAGE_MAX) {
		batch->failed = true;
		return NULL;
	}
	return nftnl_nlmsg_build_hdr(batch->buffer + batch->used, type, family, flags, ++batch->count);
}

static void finish(struct nft_batch *batch, const struct nlmsghdr *message)
{
	batch->used += NLMSG_ALIGN(message->nlmsg_len);
}

void nft_begin(struct nft_batch *batch)
{
	*batch = (struct nft_batch){ .count = 1 };
	finish(batch, nftnl_batch_begin(batch->buffer, batch->count));
}

void nft_table(struct nft_batch *batch, uint8_t family, const char *table)
{
	struct nlmsghdr *message = start(batch, NFT_MSG_NEWTABLE, family, NLM_F_CREATE | NLM_F_EXCL);
	struct nftnl_table *object = message ? nftnl_table_alloc() : NULL;

	if (!object || nftnl_table_set_str(object, NFTNL_TABLE_NAME, table) < 0) {
		batch->failed = true;
	} else {
		nftnl_table_nlmsg_build_payload(message, object);
		finish(batch, message);
	}
	if (object)
		nftnl_table_free(object);
}

void nft_set(struct nft_batch *batch, uint8_t family, const char *table, const struct nft_set_row *row, uint32_t id)
{
	struct nlmsghdr *message = start(batch, NFT_MSG_NEWSET, family, NLM_F_CREATE | NLM_F_EXCL);
	struct nftnl_set *object = message ? nftnl_set_alloc() : NULL;

	if (!object || nftnl_set_set_str(object, NFTNL_SET_TABLE, table) < 0 ||
		nftnl_set_set_str(object, NFTNL_SET_NAME, row->name) < 0) {
		batch->failed = true;
	} else {
		nftnl_set_set_u32(object, NFTNL_SET_ID, id);
		nftnl_set_set_u32(object, NFTNL_SET_FLAGS, row->data_size ? NFT_SET_MAP : 0);
		nftnl_set_set_u32(object, NFTNL_SET_KEY_TYPE, row->key_type);
		nftnl_set_set_u32(object, NFTNL_SET_KEY_LEN, row->key_size);
		if (row->data_size) {
			nftnl_set_set_u32(object, NFTNL_SET_DATA_TYPE, row->data_type);
			nftnl_set_set_u32(object, NFTNL_SET_DATA_LEN, row->data_size);
		}
		nftnl_set_nlmsg_build_payload(message, object);
		finish(batch, message);
	}
	if (object)
		nftnl_set_free(object);
}

void nft_chain(struct nft_batch *batch, uint8_t family, const char *table, const struct nft_chain_row *row)
{
	struct nlmsghdr *message = start(batch, NFT_MSG_NEWCHAIN, family, NLM_F_CREATE | NLM_F_EXCL);
	struct nftnl_chain *object = message ? nftnl_chain_alloc() : NULL;

	if (!object || nftnl_chain_set_str(object, NFTNL_CHAIN_TABLE, table) < 0 ||
		nftnl_chain_set_str(object, NFTNL_CHAIN_NAME, row->name) < 0 ||
		nftnl_chain_set_str(object, NFTNL_CHAIN_TYPE, row->type) < 0) {
		batch->failed = true;
	} else {
		nftnl_chain_set_u32(object, NFTNL_CHAIN_HOOKNUM, row->hook);
		nftnl_chain_set_s32(object, NFTNL_CHAIN_PRIO, row->priority);
		nftnl_chain_set_u32(object, NFTNL_CHAIN_POLICY, row->policy);
		nftnl_chain_nlmsg_build_payload(message, object);
		finish(batch, message);
	}
	if (object)
		nftnl_chain_free(object);
}

/* ---- rules ---------------------------------------------------------------------------------------------------- */

struct field {
	uint16_t attribute; /* of libnftnl; 0 ends a list: it is the expression's name there */
	uint32_t value;
};

static struct nftnl_expr *expression(const char *name, const struct field *fields)
{
	struct nftnl_expr *expr = nftnl_expr_alloc(name);

	for (; expr && fields->attribute; fields++)
		nftnl_expr_set_u32(expr, fields->attribute, fields->value);
	return expr;
}

static struct nftnl_expr *comparison(uint32_t reg, uint32_t how, const struct nft_step *step)
{
	struct nftnl_expr *expr = expression(
		"cmp", (struct field[]){ { NFTNL_EXPR_CMP_SREG, reg }, { NFTNL_EXPR_CMP_OP, how }, { 0, 0 } });

	if (expr)
		nftnl_expr_set(expr, NFTNL_EXPR_CMP_DATA, step->data, step->size);
	return expr;
}

static struct nftnl_expr *masking(uint32_t reg, const struct nft_step *step)
{
	static const uint8_t zeros[16];
	struct nftnl_expr *expr = expression(
		"bitwise", (struct field[]){ { NFTNL_EXPR_BITWISE_SREG, reg }, { NFTNL_EXPR_BITWISE_DREG, reg },
				   { NFTNL_EXPR_BITWISE_LEN, step->size }, { 0, 0 } });

	if (expr) {
		nftnl_expr_set(expr, NFTNL_EXPR_BITWISE_MASK, step->data, step->size);
		nftnl_expr_set(expr, NFTNL_EXPR_BITWISE_XOR, zeros, step->size);
	}
	return expr;
}

static struct nftnl_expr *look_up(uint32_t reg, const struct nft_step *step)
{
	struct nftnl_expr *expr = expression(
		"lookup", (struct field[]){ { NFTNL_EXPR_LOOKUP_SREG, reg },
				  { step->kind == NFT_STEP_MAP ? NFTNL_EXPR_LOOKUP_DREG : 0, reg }, { 0, 0 } });

	if (expr)
		nftnl_expr_set_str(expr, NFTNL_EXPR_LOOKUP_SET, step->set);
	return expr;
}

static struct nftnl_expr *reject(const struct nft_step *step)
{
	struct nftnl_expr *expr =
		expression("reject", (struct field[]){ { NFTNL_EXPR_REJECT_TYPE, step->what }, { 0, 0 } });

	if (expr)
		nftnl_expr_set_u8(expr, NFTNL_EXPR_REJECT_CODE, step->offset);
	return expr;
}

static struct nftnl_expr *make_step(const struct nft_step *step)
{
	uint32_t reg = NFT_REG32_00 + step->reg;

	switch (step->kind) {
	case NFT_STEP_LOAD:
		return expression("payload",
			(struct field[]){ { NFTNL_EXPR_PAYLOAD_DREG, reg }, { NFTNL_EXPR_PAYLOAD_BASE, step->what },
				{ NFTNL_EXPR_PAYLOAD_OFFSET, step->offset }, { NFTNL_EXPR_PAYLOAD_LEN, step->size },
				{ 0, 0 } });
	case NFT_STEP_META:
		return expression("meta", (struct field[]){ { NFTNL_EXPR_META_DREG, reg },
						  { NFTNL_EXPR_META_KEY, step->what }, { 0, 0 } });
	case NFT_STEP_STATUS:
		return expression("ct", (struct field[]){ { NFTNL_EXPR_CT_DREG, reg },
						{ NFTNL_EXPR_CT_KEY, NFT_CT_STATUS }, { 0, 0 } });
	case NFT_STEP_MASK:
		return masking(reg, step);
	case NFT_STEP_IS:
		return comparison(reg, NFT_CMP_EQ, step);
	case NFT_STEP_IS_NOT:
		return comparison(reg, NFT_CMP_NEQ, step);
	case NFT_STEP_IN:
	case NFT_STEP_MAP:
		return look_up(reg, step);
	case NFT_STEP_REDIRECT:
		return expression("redir", (struct field[]){ { NFTNL_EXPR_REDIR_REG_PROTO_MIN, reg }, { 0, 0 } });
	case NFT_STEP_REJECT:
		return reject(step);
	case NFT_STEP_VERDICT:
		return expression("immediate", (struct field[]){ { NFTNL_EXPR_IMM_DREG, NFT_REG_VERDICT },
						       { NFTNL_EXPR_IMM_VERDICT, step->what }, { 0, 0 } });
	case NFT_STEP_END:
		break;
	}
	return NULL;
}

void nft_rule(
	struct nft_batch *batch, uint8_t family, const char *table, const char *chain, const struct nft_step *steps)
{
	struct nlmsghdr *message = start(batch, NFT_MSG_NEWRULE, family, NLM_F_CREATE | NLM_F_APPEND);
	struct nftnl_rule *object = message ? nftnl_rule_alloc() : NULL;

	if (!object || nftnl_rule_set_str(object, NFTNL_RULE_TABLE, table) < 0 ||
		nftnl_rule_set_str(object, NFTNL_RULE_CHAIN, chain) < 0) {
		batch->failed = true;
	} else {
		for (; steps->kind != NFT_STEP_END; steps++) {
			struct nftnl_expr *expr = make_step(steps);
			if (expr)
				nftnl_rule_add_expr(object, expr);
			else
				batch->failed = true;
		}
		nftnl_rule_nlmsg_build_payload(message, object);
		finish(batch, message);
	}
	if (object)
		nftnl_rule_free(object);
}

/* ---- elements ------------------------------------------------------------------------------------------------- */

static bool add_element(struct nftnl_set *set, const struct nft_element *element)
{
	struct nftnl_set_elem *object = nftnl_set_elem_alloc();

	if (!object)
		return false;
	nftnl_set_elem_add(set, object); /* which owns it now */
	return nftnl_set_elem_set(object, NFTNL_SET_ELEM_KEY, element->key, element->key_size) == 0 &&
	       (element->data == 0 ||
		       nftnl_set_elem_set(object, NFTNL_SET_ELEM_DATA, &element->data, sizeof element->data) == 0);
}

void nft_element(struct nft_batch *batch, uint8_t family, const char *table, const char *set,
	const struct nft_element *element, bool add)
{
	struct nlmsghdr *message = start(
		batch, add ? NFT_MSG_NEWSETELEM : NFT_MSG_DELSETELEM, family, add ? NLM_F_CREATE | NLM_F_EXCL : 0);
	struct nftnl_set *object = message ? nftnl_set_alloc() : NULL;

	if (!object || nftnl_set_set_str(object, NFTNL_SET_TABLE, table) < 0 ||
		nftnl_set_set_str(object, NFTNL_SET_NAME, set) < 0 || !add_element(object, element)) {
		batch->failed = true;
	} else {
		nftnl_set_elems_nlmsg_build_payload(message, object);
		finish(batch, message);
	}
	if (object)
		nftnl_set_free(object);
}

/* ---- commit --------------------------------------------------------------------------------------------------- */

/* Errno (positive) that an answer reports; 0: an acknowledgement, or not an answer. */
static int answered_error(const struct nlmsghdr *answer)
{
	const struct nlmsgerr *error = mnl_nlmsg_get_payload(answer);

	return answer->nlmsg_type == NLMSG_ERROR && answer->nlmsg_len >= NLMSG_LENGTH(sizeof error->error)
		       ? -error->error
		       : 0;
}

/* All answers are there when send() returns: read until there are no more. */
static int read_answers(int fd, uint32_t last, const char *step, struct azm_err *err)
{
	_Alignas(struct nlmsghdr) char buffer[8192];
	bool done = false;
	int code = 0;

	for (;;) {
		ssize_t size = recv(fd, buffer, sizeof buffer, MSG_DONTWAIT);
		if (size < 0 && errno == EINTR)
			continue;
		if (size <= 0)
			break;
		int left = (int)size;
		for (const struct nlmsghdr *answer = (void *)buffer; mnl_nlmsg_ok(answer, left);
			answer = mnl_nlmsg_next(answer, &left)) {
			if (answer->nlmsg_type != NLMSG_ERROR)
				continue;
			code = code ? code : answered_error(answer);
			done = done || answer->nlmsg_seq == last;
		}
	}
	if (code)
		return err_code(err, code, step, NULL);
	return done ? 0 : err_msg(err, EIO, step, NULL, "the kernel did not answer");
}

int nft_commit(int fd, struct nft_batch *batch, const char *step, struct azm_err *err)
{
	const int on = 1;
	uint32_t last = batch->count;

	if (batch->failed || sizeof batch->buffer - batch->used < MESSAGE_MAX)
		return err_code(err, ENOMEM, step, NULL);
	/* The newest message is the last one that changes something: its answer comes when everything is done. */
	for (char *at = batch->buffer; at < batch->buffer + batch->used;) {
		struct nlmsghdr *message = (void *)at;
		if (message->nlmsg_seq == last)
			message->nlmsg_flags |= NLM_F_ACK;
		at += NLMSG_ALIGN(message->nlmsg_len);
	}
	finish(batch, nftnl_batch_end(batch->buffer + batch->used, ++batch->count));
	/* Answers without a copy of the message they are about. Where that is not known they are just longer. */
	(void)!setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof on);
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	if (sendto(fd, batch->buffer, batch->used, 0, (struct sockaddr *)&kernel, sizeof kernel) < 0)
		return err_sys(err, step, NULL);
	return read_answers(fd, last, step, err);
}
