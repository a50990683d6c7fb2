// SPDX-License-Identifier: GPL-2.0-or-later
/* netns/dns_message.c: see dns_message.h.
 *
 * Names are unpacked and packed by ns_name_unpack(3) and ns_name_pack(3), records skipped by dn_skipname(3): those are
 * in the C library itself. ns_initparse(3) would be one more shared library to load at every start, for walking a
 * header and one question; and it stops where we must still say what is wrong.
 *
 * A query is a header, one question and, with EDNS, one OPT record. A compressed name in the question can only point
 * into the header, so it is refused before there is anything to loop.
 */
#include "netns/dns_message.h"

#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <resolv.h>
#include <stdio.h>
#include <string.h>

enum {
	FLAG_ANSWER = 0x8000,
	FLAG_AUTHORITATIVE = 0x0400,
	FLAG_TRUNCATED = 0x0200,
	FLAG_RECURSION_DESIRED = 0x0100,
	FLAG_RECURSION_AVAILABLE = 0x0080,
	FLAG_CHECKING_DISABLED = 0x0010,
	OPCODE_SHIFT = 11,
	RECORDS_MAX = 8, /* after the question; OPT, perhaps a signature */
	UDP_SIZE = 1232, /* what we take, DNS flag day 2020: never fragmented */
	POINTER_TO_QUESTION = 0xc000 | NS_HFIXEDSZ,
	OPT_BYTES = 11,
};

struct cursor {
	const uint8_t *at, *end;
};

static bool take_u16(struct cursor *in, unsigned *value)
{
	if (in->end - in->at < NS_INT16SZ)
		return false;
	*value = (unsigned)in->at[0] << 8 | in->at[1];
	in->at += NS_INT16SZ;
	return true;
}

/* ---- queries -------------------------------------------------------------------------------------------------- */

/* What is no host name gets an empty one: a label may hold a dot, a NUL, anything. */
static void name_text(const uint8_t *wire, char name[static HOST_NAME_SIZE])
{
	char text[NS_MAXDNAME];

	/* ns_name_ntop() writes odd bytes as \ddd and odd characters as \c, which no host name has. */
	if (ns_name_ntop(wire, text, sizeof text) < 0 || host_name_normalise(text, strlen(text), name))
		name[0] = '\0';
}

static int read_question(struct cursor *in, const uint8_t *packet, struct dns_query *query)
{
	uint8_t wire[NS_MAXCDNAME];
	const uint8_t *start = in->at;
	int size = ns_name_unpack(packet, in->end, in->at, wire, sizeof wire);
	unsigned type, class;

	/* A name in one piece is as long in the packet as it is unpacked. */
	if (size < 0 || dn_skipname(wire, wire + sizeof wire) != size || memcmp(wire, start, (size_t)size) != 0)
		return ns_r_formerr;
	in->at += size;
	if (!take_u16(in, &type) || !take_u16(in, &class))
		return ns_r_formerr;
	query->question = start;
	query->question_size = (size_t)(in->at - start);
	query->type = (uint16_t)type;
	name_text(wire, query->name);
	return class == ns_c_in ? ns_r_noerror : ns_r_refused;
}

static int read_opt(struct dns_query *query, const uint8_t *name, unsigned version)
{
	if (query->edns || *name != 0)
		return ns_r_formerr;
	query->edns = true;
	return version == 0 ? ns_r_noerror : ns_r_badvers;
}

/* One record after the question; only OPT means something to us. */
static int read_record(struct cursor *in, struct dns_query *query)
{
	const uint8_t *name = in->at;
	int size = dn_skipname(in->at, in->end);
	unsigned type, class, high, version, length;

	if (size < 0)
		return ns_r_formerr;
	in->at += size;
	/* The four bytes of the time to live are, of OPT, extended code, version and flags. */
	if (!take_u16(in, &type) || !take_u16(in, &class) || !take_u16(in, &high) || !take_u16(in, &version) ||
		!take_u16(in, &length) || in->end - in->at < (ptrdiff_t)length)
		return ns_r_formerr;
	in->at += length;
	return type == ns_t_opt ? read_opt(query, name, high & 0xff) : ns_r_noerror;
}

static int check_type(unsigned type)
{
	if (type == ns_t_axfr || type == ns_t_ixfr)
		return ns_r_refused;
	return type == 0 || type == ns_t_opt ? ns_r_formerr : ns_r_noerror;
}

static int read_body(struct cursor *in, const uint8_t *packet, const unsigned counts[4], struct dns_query *query)
{
	if (query->opcode != ns_o_query)
		return ns_r_notimpl;
	if (counts[0] != 1 || counts[1] != 0 || counts[2] != 0 || counts[3] > RECORDS_MAX)
		return ns_r_formerr;
	int result = read_question(in, packet, query);
	for (unsigned i = 0; i < counts[3] && query->question; i++) {
		int wrong = read_record(in, query);
		if (wrong != ns_r_noerror)
			return wrong;
	}
	if (in->at != in->end && result == ns_r_noerror)
		return ns_r_formerr;
	return result == ns_r_noerror ? check_type(query->type) : result;
}

int dns_query_read(const uint8_t *packet, size_t size, struct dns_query *query)
{
	struct cursor in = { packet, packet + size };
	unsigned id = 0, flags = 0, counts[4];

	memset(query, 0, sizeof *query);
	if (size < NS_HFIXEDSZ)
		return DNS_DROP;
	(void)take_u16(&in, &id);
	(void)take_u16(&in, &flags);
	for (int i = 0; i < 4; i++)
		(void)take_u16(&in, &counts[i]);
	if (flags & FLAG_ANSWER)
		return DNS_DROP;
	query->id = (uint16_t)id;
	query->opcode = flags >> OPCODE_SHIFT & 0xf;
	query->recursion_desired = flags & FLAG_RECURSION_DESIRED;
	query->checking_disabled = flags & FLAG_CHECKING_DISABLED;
	if (size > DNS_QUERY_MAX || flags & FLAG_TRUNCATED)
		return ns_r_formerr;
	return read_body(&in, packet, counts, query);
}

/* ---- answers -------------------------------------------------------------------------------------------------- */

/* NS_PUT16() of the C library does not compile with -Wconversion. */
static void put_u16(unsigned value, uint8_t **at)
{
	*(*at)++ = (uint8_t)(value >> 8);
	*(*at)++ = (uint8_t)value;
}

static void put_u32(uint32_t value, uint8_t **at)
{
	put_u16(value >> 16, at);
	put_u16(value & 0xffff, at);
}

static void put_header(const struct dns_query *query, int rcode, unsigned answers, uint8_t **at)
{
	unsigned flags = FLAG_ANSWER | FLAG_AUTHORITATIVE | FLAG_RECURSION_AVAILABLE |
			 (unsigned)query->opcode << OPCODE_SHIFT | ((unsigned)rcode & 0xf);

	if (query->recursion_desired)
		flags |= FLAG_RECURSION_DESIRED;
	if (query->checking_disabled)
		flags |= FLAG_CHECKING_DISABLED;
	put_u16(query->id, at);
	put_u16(flags, at);
	put_u16(query->question ? 1 : 0, at);
	put_u16(answers, at);
	put_u16(0, at);
	put_u16(query->edns ? 1 : 0, at);
}

static bool put_name(const char *name, uint8_t **at)
{
	uint8_t wire[NS_MAXCDNAME];

	if (ns_name_pton(name, wire, sizeof wire) < 0)
		return false;
	int size = ns_name_pack(wire, *at, NS_MAXCDNAME, NULL, NULL);
	if (size < 0)
		return false;
	*at += size;
	return true;
}

static bool put_record(const struct dns_answer *answer, uint8_t **at)
{
	put_u16(POINTER_TO_QUESTION, at);
	put_u16(answer->type, at);
	put_u16(ns_c_in, at);
	put_u32(answer->ttl, at);
	uint8_t *length = *at;
	*at += NS_INT16SZ;
	if (answer->type == ns_t_a)
		put_u32(answer->address, at);
	else if (answer->type != ns_t_ptr || !answer->name || !put_name(answer->name, at))
		return false;
	unsigned size = (unsigned)(*at - length - NS_INT16SZ);
	put_u16(size, &length);
	return true;
}

static void put_opt(int rcode, uint8_t **at)
{
	*(*at)++ = 0;
	put_u16(ns_t_opt, at);
	put_u16(UDP_SIZE, at);
	put_u32((uint32_t)rcode >> 4 << 24, at);
	put_u16(0, at);
}

_Static_assert(NS_HFIXEDSZ + NS_MAXCDNAME + NS_QFIXEDSZ + 2 + NS_RRFIXEDSZ + NS_MAXCDNAME + OPT_BYTES <= DNS_ANSWER_MAX,
	"the longest question with the longest name as answer");

size_t dns_answer(const struct dns_query *query, const struct dns_answer *answer, uint8_t packet[static DNS_ANSWER_MAX])
{
	uint8_t *at = packet;
	bool record = answer->type != 0 && query->question;

	put_header(query, answer->rcode, record ? 1 : 0, &at);
	if (query->question) {
		memcpy(at, query->question, query->question_size);
		at += query->question_size;
	}
	if (record && !put_record(answer, &at))
		return 0;
	if (query->edns)
		put_opt(answer->rcode, &at);
	return (size_t)(at - packet);
}

bool dns_reverse_name(const char *name, uint32_t *address)
{
	unsigned part[4];
	char again[sizeof "255.255.255.255.in-addr.arpa"];

	if (sscanf(name, "%3u.%3u.%3u.%3u.in-addr.arpa", &part[0], &part[1], &part[2], &part[3]) != 4)
		return false;
	for (int i = 0; i < 4; i++)
		if (part[i] > 255)
			return false;
	(void)snprintf(again, sizeof again, "%u.%u.%u.%u.in-addr.arpa", part[0], part[1], part[2], part[3]);
	if (strcmp(name, again) != 0)
		return false;
	*address = part[3] << 24 | part[2] << 16 | part[1] << 8 | part[0];
	return true;
}
