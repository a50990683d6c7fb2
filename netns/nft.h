// SPDX-License-Identifier: GPL-2.0-or-later
/* netns/nft.h: transactions of nf_tables: messages that take effect all together or not at all.
 *
 * libnftnl builds the messages. Its objects live for one call: a transaction is one buffer of finished messages, sent
 * with one system call over a socket somebody else opened (inside another network namespace).
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum { NFT_BUFFER = 16384, NFT_KEY_MAX = 32 };

struct nft_batch {
	_Alignas(8) char buffer[NFT_BUFFER];
	size_t used;
	uint32_t count; /* of messages, which are numbered from 1 */
	bool failed;	/* out of memory or room; nft_commit() says so */
};

/** nft_begin() - an empty transaction. */
void nft_begin(struct nft_batch *batch);

/** nft_table() - a new table; the transaction fails with EEXIST when there is one of that name. */
void nft_table(struct nft_batch *batch, uint8_t family, const char *table);

struct nft_set_row {
	const char *name;
	uint32_t key_type; /* as `nft list` numbers types, for humans */
	uint32_t key_size;
	uint32_t data_type, data_size; /* of a map; 0: a set */
};

void nft_set(struct nft_batch *batch, uint8_t family, const char *table, const struct nft_set_row *row, uint32_t id);

struct nft_chain_row {
	const char *name;
	const char *type; /* "filter", "nat" */
	uint32_t hook;	  /* NF_INET_*, NF_BR_* */
	int32_t priority;
	uint32_t policy; /* NF_ACCEPT, NF_DROP */
};

void nft_chain(struct nft_batch *batch, uint8_t family, const char *table, const struct nft_chain_row *row);

/* One step of a rule. Registers are numbered in words of four bytes, from 0. */
struct nft_step {
	enum {
		NFT_STEP_END,
		NFT_STEP_LOAD,	 /* @size bytes of header @what (NFT_PAYLOAD_*) at @offset into @reg */
		NFT_STEP_META,	 /* NFT_META_* @what into @reg */
		NFT_STEP_STATUS, /* status bits of the connection into @reg */
		NFT_STEP_MASK,	 /* @reg &= @data, @size bytes */
		NFT_STEP_IS,	 /* go on when @reg equals @data, @size bytes */
		NFT_STEP_IS_NOT,
		NFT_STEP_IN,	   /* go on when what begins in @reg is an element of @set */
		NFT_STEP_MAP,	   /* the same; its value replaces @reg */
		NFT_STEP_REDIRECT, /* to the port in @reg */
		NFT_STEP_REJECT,   /* NFT_REJECT_* @what, ICMP code @offset */
		NFT_STEP_VERDICT,  /* NF_ACCEPT, NF_DROP: @what */
	} kind;
	uint32_t what;
	uint8_t reg, offset, size;
	const char *set;
	const void *data;
};

/** nft_rule() - append a rule to a chain; @steps ends with NFT_STEP_END. */
void nft_rule(
	struct nft_batch *batch, uint8_t family, const char *table, const char *chain, const struct nft_step *steps);

struct nft_element {
	uint8_t key[NFT_KEY_MAX];
	uint32_t key_size;
	uint16_t data; /* of a map: network byte order; 0: a set */
};

/** nft_element() - add an element to a set or map of a table, or (@add false) delete the one with its key. */
void nft_element(struct nft_batch *batch, uint8_t family, const char *table, const char *set,
	const struct nft_element *element, bool add);

/** nft_commit() - carry the transaction out. @fd: NETLINK_NETFILTER socket. Return: 0, or -1 with @err: @step and the
 * errno of the first message that failed. Nothing has changed then. */
int nft_commit(int fd, struct nft_batch *batch, const char *step, struct azm_err *err);
