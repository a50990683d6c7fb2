// SPDX-License-Identifier: GPL-2.0-or-later
/* tests/unit/test_dns_message.c: packets as they should be, and every way in which they should not. Answers are read
 * back by the C library's own parser. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <resolv.h>
#include <stdlib.h>
#include <string.h>

#include "netns/dns_message.h"

/* Literals with bytes in them: the size without the final NUL. */
#define BYTES(text)		      (const uint8_t *)(text), sizeof(text) - 1
#define HEADER(flags, qd, an, ns, ar) "\x12\x34" flags "\0" qd "\0" an "\0" ns "\0" ar
#define ASK			      HEADER("\x01\x00", "\1", "\0", "\0", "\0")
#define EXAMPLE_ORG		      "\7example\3org\0"
#define A_IN			      "\0\1\0\1"
#define OPT			      "\0\0\x29\x04\xd0\0\0\0\0\0\0"
#define A63			      "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define L63			      "\x3f" A63

struct packet_case {
	const char *what;
	const uint8_t *bytes;
	size_t size;
	int rcode;
	const char *name;
};

static const struct packet_case packets[] = {
	{ "a plain question", BYTES(ASK EXAMPLE_ORG A_IN), ns_r_noerror, "example.org" },
	{ "with EDNS", BYTES(HEADER("\x01\x00", "\1", "\0", "\0", "\1") EXAMPLE_ORG A_IN OPT), ns_r_noerror,
		"example.org" },
	{ "with an EDNS cookie",
		BYTES(HEADER("\x01\x20", "\1", "\0", "\0", "\1") EXAMPLE_ORG A_IN
			"\0\0\x29\x04\xd0\0\0\0\0\0\x0c\0\x0a\0\x08"
			"12345678"),
		ns_r_noerror, "example.org" },
	{ "upper case", BYTES(ASK "\7EXAMPLE\3oRg\0" A_IN), ns_r_noerror, "example.org" },
	{ "AAAA", BYTES(ASK EXAMPLE_ORG "\0\x1c\0\1"), ns_r_noerror, "example.org" },
	{ "an unknown type", BYTES(ASK EXAMPLE_ORG "\xff\x00\0\1"), ns_r_noerror, "example.org" },
	{ "a label of 63", BYTES(ASK L63 "\0" A_IN), ns_r_noerror, A63 },
	{ "the root", BYTES(ASK "\0" A_IN), ns_r_noerror, "" },
	{ "a NUL in a label",
		BYTES(ASK "\x0c"
			  "evil\0example\3org\0" A_IN),
		ns_r_noerror, "" },
	{ "a dot in a label",
		BYTES(ASK "\x0b"
			  "example.org\0" A_IN),
		ns_r_noerror, "" },
	{ "a backslash in a label", BYTES(ASK "\4a\\.b\3org\0" A_IN), ns_r_noerror, "" },
	{ "a blank in a label", BYTES(ASK "\3a b\3org\0" A_IN), ns_r_noerror, "" },
	{ "UTF-8 in a label",
		BYTES(ASK "\7b\xc3\xbc"
			  "cher\3org\0" A_IN),
		ns_r_noerror, "" },
	{ "\"%00\" in a label",
		BYTES(ASK "\x0b"
			  "example%00x\3org\0" A_IN),
		ns_r_noerror, "" },
	{ "an address as name",
		BYTES(ASK "\3"
			  "127\1"
			  "1\0" A_IN),
		ns_r_noerror, "" },
	{ "a number as name", BYTES(ASK "\n2130706433\0" A_IN), ns_r_noerror, "" },
	{ "name of 254 bytes",
		BYTES(ASK L63 L63 L63 "\x3d"
				      "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
				      "\0" A_IN),
		ns_r_noerror, NULL },
	{ "name longer than 255 bytes", BYTES(ASK L63 L63 L63 L63 "\0" A_IN), ns_r_formerr, NULL },

	{ "nothing", BYTES(""), DNS_DROP, NULL },
	{ "eleven bytes", BYTES("\x12\x34\x01\x00\0\1\0\0\0\0\0"), DNS_DROP, NULL },
	{ "an answer", BYTES(HEADER("\x81\x80", "\1", "\0", "\0", "\0") EXAMPLE_ORG A_IN), DNS_DROP, NULL },
	{ "a header alone", BYTES(ASK), ns_r_formerr, NULL },
	{ "no question", BYTES(HEADER("\x01\x00", "\0", "\0", "\0", "\0")), ns_r_formerr, NULL },
	{ "two questions", BYTES(HEADER("\x01\x00", "\2", "\0", "\0", "\0") EXAMPLE_ORG A_IN EXAMPLE_ORG A_IN),
		ns_r_formerr, NULL },
	{ "65535 questions", BYTES("\x12\x34\x01\x00\xff\xff\0\0\0\0\0\0" EXAMPLE_ORG A_IN), ns_r_formerr, NULL },
	{ "an answer section", BYTES(HEADER("\x01\x00", "\1", "\1", "\0", "\0") EXAMPLE_ORG A_IN), ns_r_formerr, NULL },
	{ "an authority section", BYTES(HEADER("\x01\x00", "\1", "\0", "\1", "\0") EXAMPLE_ORG A_IN), ns_r_formerr,
		NULL },
	{ "65535 additional records", BYTES("\x12\x34\x01\x00\0\1\0\0\0\0\xff\xff" EXAMPLE_ORG A_IN), ns_r_formerr,
		NULL },
	{ "truncated flag", BYTES(HEADER("\x03\x00", "\1", "\0", "\0", "\0") EXAMPLE_ORG A_IN), ns_r_formerr, NULL },
	{ "opcode IQUERY", BYTES(HEADER("\x09\x00", "\1", "\0", "\0", "\0") EXAMPLE_ORG A_IN), ns_r_notimpl, NULL },
	{ "opcode STATUS", BYTES(HEADER("\x11\x00", "\1", "\0", "\0", "\0") EXAMPLE_ORG A_IN), ns_r_notimpl, NULL },
	{ "opcode NOTIFY", BYTES(HEADER("\x21\x00", "\1", "\0", "\0", "\0") EXAMPLE_ORG A_IN), ns_r_notimpl, NULL },
	{ "opcode UPDATE", BYTES(HEADER("\x29\x00", "\1", "\0", "\0", "\0") EXAMPLE_ORG A_IN), ns_r_notimpl, NULL },
	{ "class CHAOS", BYTES(ASK "\7version\4bind\0\0\x10\0\3"), ns_r_refused, "version.bind" },
	{ "class HESIOD", BYTES(ASK EXAMPLE_ORG "\0\1\0\4"), ns_r_refused, "example.org" },
	{ "class ANY", BYTES(ASK EXAMPLE_ORG "\0\1\0\xff"), ns_r_refused, "example.org" },
	{ "class 0", BYTES(ASK EXAMPLE_ORG "\0\1\0\0"), ns_r_refused, "example.org" },
	{ "AXFR", BYTES(ASK EXAMPLE_ORG "\0\xfc\0\1"), ns_r_refused, "example.org" },
	{ "IXFR", BYTES(ASK EXAMPLE_ORG "\0\xfb\0\1"), ns_r_refused, "example.org" },
	{ "OPT as question", BYTES(ASK EXAMPLE_ORG "\0\x29\0\1"), ns_r_formerr, "example.org" },
	{ "type 0", BYTES(ASK EXAMPLE_ORG "\0\0\0\1"), ns_r_formerr, "example.org" },

	{ "cut in the name", BYTES(ASK "\7exam"), ns_r_formerr, NULL },
	{ "cut before the root", BYTES(ASK "\7example\3org"), ns_r_formerr, NULL },
	{ "cut before the type", BYTES(ASK EXAMPLE_ORG), ns_r_formerr, NULL },
	{ "cut in the type", BYTES(ASK EXAMPLE_ORG "\0"), ns_r_formerr, NULL },
	{ "cut before the class", BYTES(ASK EXAMPLE_ORG "\0\1"), ns_r_formerr, NULL },
	{ "cut in the class", BYTES(ASK EXAMPLE_ORG "\0\1\0"), ns_r_formerr, NULL },
	{ "bytes after the question", BYTES(ASK EXAMPLE_ORG A_IN "x"), ns_r_formerr, "example.org" },
	{ "a name that points to itself", BYTES(ASK "\xc0\x0c" A_IN), ns_r_formerr, NULL },
	{ "two pointers in a circle", BYTES(ASK "\xc0\x0e\xc0\x0c" A_IN), ns_r_formerr, NULL },
	{ "a label, then back to itself", BYTES(ASK "\3www\xc0\x0c" A_IN), ns_r_formerr, NULL },
	{ "a pointer into the header", BYTES(ASK "\3www\xc0\x04" A_IN), ns_r_formerr, NULL },
	{ "a pointer behind the end", BYTES(ASK "\3www\xff\xff" A_IN), ns_r_formerr, NULL },
	{ "half a pointer", BYTES(ASK "\3www\xc0"), ns_r_formerr, NULL },
	{ "label type 01", BYTES(ASK "\x43www\0" A_IN), ns_r_formerr, NULL },
	{ "label type 10", BYTES(ASK "\x83www\0" A_IN), ns_r_formerr, NULL },

	{ "an OPT that is not there", BYTES(HEADER("\x01\x00", "\1", "\0", "\0", "\1") EXAMPLE_ORG A_IN), ns_r_formerr,
		NULL },
	{ "an OPT cut off", BYTES(HEADER("\x01\x00", "\1", "\0", "\0", "\1") EXAMPLE_ORG A_IN "\0\0\x29\x04\xd0\0\0"),
		ns_r_formerr, NULL },
	{ "an OPT with more data than there is",
		BYTES(HEADER("\x01\x00", "\1", "\0", "\0", "\1") EXAMPLE_ORG A_IN "\0\0\x29\x04\xd0\0\0\0\0\xff\xff"),
		ns_r_formerr, NULL },
	{ "two OPTs", BYTES(HEADER("\x01\x00", "\1", "\0", "\0", "\2") EXAMPLE_ORG A_IN OPT OPT), ns_r_formerr, NULL },
	{ "an OPT with a name",
		BYTES(HEADER("\x01\x00", "\1", "\0", "\0", "\1") EXAMPLE_ORG A_IN "\1x\0\0\x29\x04\xd0\0\0\0\0\0\0"),
		ns_r_formerr, NULL },
	{ "EDNS version 1",
		BYTES(HEADER("\x01\x00", "\1", "\0", "\0", "\1") EXAMPLE_ORG A_IN "\0\0\x29\x04\xd0\0\1\0\0\0\0"),
		ns_r_badvers, NULL },
	{ "another additional record",
		BYTES(HEADER("\x01\x00", "\1", "\0", "\0", "\1") EXAMPLE_ORG A_IN "\xc0\x0c\0\x10\0\1\0\0\0\0\0\1\0"),
		ns_r_noerror, "example.org" },
	{ "an additional record that points in a circle",
		BYTES(HEADER("\x01\x00", "\1", "\0", "\0", "\1") EXAMPLE_ORG A_IN "\xc0\x1d\0\x10\0\1\0\0\0\0\0\1\0"),
		ns_r_noerror, "example.org" }, /* its name is nobody's business and never followed */
};

/* From the heap and of the exact size, so that a read behind the end is noticed. */
static int read_packet(const uint8_t *bytes, size_t size, struct dns_query *query, uint8_t **copy)
{
	*copy = malloc(size ? size : 1);
	assert_non_null(*copy);
	memcpy(*copy, bytes, size);
	return dns_query_read(*copy, size, query);
}

static void packets_are_taken_apart(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof packets / sizeof *packets; i++) {
		const struct packet_case *row = &packets[i];
		struct dns_query query;
		uint8_t *copy;
		int rcode = read_packet(row->bytes, row->size, &query, &copy);

		if (rcode != row->rcode)
			fail_msg("%s: code %d instead of %d", row->what, rcode, row->rcode);
		if (row->name && strcmp(query.name, row->name) != 0)
			fail_msg("%s: name \"%s\"", row->what, query.name);
		free(copy);
	}
}

static void every_beginning_of_a_packet_is_harmless(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof packets / sizeof *packets; i++)
		for (size_t size = 0; size < packets[i].size; size++) {
			struct dns_query query;
			uint8_t out[DNS_ANSWER_MAX], *copy;
			int rcode = read_packet(packets[i].bytes, size, &query, &copy);
			struct dns_answer answer = { .rcode = rcode };

			if (packets[i].rcode == ns_r_noerror)
				assert_int_not_equal(rcode, ns_r_noerror);
			if (rcode != DNS_DROP)
				assert_true(dns_answer(&query, &answer, out) >= NS_HFIXEDSZ);
			free(copy);
		}
}

static void oversized_queries_are_format_errors(void **state)
{
	static uint8_t packet[65535];
	static const char start[] =
		HEADER("\x01\x00", "\1", "\0", "\0", "\1") EXAMPLE_ORG A_IN "\0\0\x29\x04\xd0\0\0\0\0";
	struct dns_query query;
	size_t used = sizeof start - 1;

	(void)state;
	memcpy(packet, start, used);
	packet[used] = (uint8_t)((sizeof packet - used - 2) >> 8);
	packet[used + 1] = (uint8_t)(sizeof packet - used - 2);
	assert_int_equal(dns_query_read(packet, sizeof packet, &query), ns_r_formerr);
	packet[used] = (uint8_t)((DNS_QUERY_MAX - used - 2) >> 8);
	packet[used + 1] = (uint8_t)((DNS_QUERY_MAX - used - 2) & 0xff);
	assert_int_equal(dns_query_read(packet, DNS_QUERY_MAX, &query), ns_r_noerror);
	assert_int_equal(dns_query_read(packet, DNS_QUERY_MAX + 1, &query), ns_r_formerr);
}

/* ---- answers -------------------------------------------------------------------------------------------------- */

static void parse(const uint8_t *packet, size_t size, ns_msg *message)
{
	assert_true(size <= NS_PACKETSZ); /* nobody needs EDNS or TCP for our answers */
	assert_int_equal(ns_initparse(packet, (int)size, message), 0);
	assert_true(ns_msg_getflag(*message, ns_f_qr));
	assert_false(ns_msg_getflag(*message, ns_f_tc));
	assert_int_equal(ns_msg_id(*message), 0x1234);
}

static void an_address_answers_a_question(void **state)
{
	static const char packet[] = ASK "\7eXample\3org\0" A_IN;
	struct dns_query query;
	struct dns_answer answer = { .type = ns_t_a, .ttl = 30, .address = 0xc6120001 };
	uint8_t out[DNS_ANSWER_MAX];
	ns_msg message;
	ns_rr record;

	(void)state;
	assert_int_equal(dns_query_read(BYTES(packet), &query), ns_r_noerror);
	parse(out, dns_answer(&query, &answer, out), &message);
	assert_int_equal(ns_msg_getflag(message, ns_f_rcode), ns_r_noerror);
	assert_true(ns_msg_getflag(message, ns_f_rd));
	assert_true(ns_msg_getflag(message, ns_f_ra));
	assert_int_equal(ns_msg_count(message, ns_s_qd), 1);
	assert_int_equal(ns_msg_count(message, ns_s_an), 1);
	assert_int_equal(ns_msg_count(message, ns_s_ar), 0);
	assert_int_equal(ns_parserr(&message, ns_s_an, 0, &record), 0);
	assert_string_equal(ns_rr_name(record), "eXample.org"); /* the case of the question: some clients check */
	assert_int_equal(ns_rr_type(record), ns_t_a);
	assert_int_equal(ns_rr_ttl(record), 30);
	assert_int_equal(ns_rr_rdlen(record), 4);
	assert_memory_equal(ns_rr_rdata(record), "\xc6\x12\0\1", 4);
}

static void a_name_answers_a_reverse_question(void **state)
{
	static const char packet[] = ASK "\1"
					 "1\1"
					 "0\2"
					 "18\3"
					 "198\7in-addr\4arpa\0\0\x0c\0\1";
	char longest[HOST_NAME_SIZE], text[NS_MAXDNAME];
	struct dns_query query;
	struct dns_answer answer = { .type = ns_t_ptr, .ttl = 5, .name = longest };
	uint8_t out[DNS_ANSWER_MAX];
	uint32_t address;
	ns_msg message;
	ns_rr record;

	(void)state;
	memset(longest, 'a', HOST_NAME_MAX_TEXT);
	longest[63] = longest[127] = longest[191] = '.';
	longest[HOST_NAME_MAX_TEXT] = '\0';
	assert_int_equal(dns_query_read(BYTES(packet), &query), ns_r_noerror);
	assert_true(dns_reverse_name(query.name, &address));
	assert_int_equal(address, 0xc6120001);
	parse(out, dns_answer(&query, &answer, out), &message);
	assert_int_equal(ns_parserr(&message, ns_s_an, 0, &record), 0);
	assert_int_equal(ns_rr_type(record), ns_t_ptr);
	assert_true(ns_name_uncompress(
			    ns_msg_base(message), ns_msg_end(message), ns_rr_rdata(record), text, sizeof text) > 0);
	assert_string_equal(text, longest);
}

static void edns_is_answered_with_edns(void **state)
{
	static const char packet[] =
		HEADER("\x01\x00", "\1", "\0", "\0", "\1") EXAMPLE_ORG A_IN "\0\0\x29\x04\xd0\0\1\0\0\0\0";
	struct dns_query query;
	uint8_t out[DNS_ANSWER_MAX];
	ns_msg message;
	ns_rr record;

	(void)state;
	struct dns_answer answer = { .rcode = dns_query_read(BYTES(packet), &query) };
	assert_int_equal(answer.rcode, ns_r_badvers);
	parse(out, dns_answer(&query, &answer, out), &message);
	assert_int_equal(ns_msg_getflag(message, ns_f_rcode), 0);
	assert_int_equal(ns_parserr(&message, ns_s_ar, 0, &record), 0);
	assert_int_equal(ns_rr_type(record), ns_t_opt);
	assert_int_equal(ns_rr_ttl(record) >> 24, 1); /* BADVERS is 16: the high bits are here */
}

static void an_error_repeats_what_it_could_read(void **state)
{
	static const char packet[] = HEADER("\x09\x10", "\1", "\0", "\0", "\0") EXAMPLE_ORG A_IN;
	struct dns_query query;
	uint8_t out[DNS_ANSWER_MAX];
	ns_msg message;

	(void)state;
	struct dns_answer answer = { .rcode = dns_query_read(BYTES(packet), &query) };
	parse(out, dns_answer(&query, &answer, out), &message);
	assert_int_equal(ns_msg_getflag(message, ns_f_rcode), ns_r_notimpl);
	assert_int_equal(ns_msg_getflag(message, ns_f_opcode), ns_o_iquery);
	assert_true(ns_msg_getflag(message, ns_f_cd));
	assert_int_equal(ns_msg_count(message, ns_s_qd), 0);
}

static void the_longest_answer_fits(void **state)
{
	static const char packet[] = HEADER("\x01\x00", "\1", "\0", "\0", "\1") L63 L63 L63
		"\x3d"
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
		"\0\0\x0c\0\1" OPT;
	char longest[HOST_NAME_SIZE];
	struct dns_query query;
	struct dns_answer answer = { .type = ns_t_ptr, .name = longest };
	uint8_t *out = malloc(DNS_ANSWER_MAX);

	(void)state;
	assert_non_null(out);
	memset(longest, 'b', HOST_NAME_MAX_TEXT);
	longest[63] = longest[127] = longest[191] = '.';
	longest[HOST_NAME_MAX_TEXT] = '\0';
	assert_int_equal(dns_query_read(BYTES(packet), &query), ns_r_noerror);
	assert_true(dns_answer(&query, &answer, out) > NS_PACKETSZ);
	answer.name = "a..b";
	assert_int_equal(dns_answer(&query, &answer, out), 0);
	free(out);
}

static void reverse_names_have_one_spelling(void **state)
{
	static const char *const bad[] = { "in-addr.arpa", "1.2.3.in-addr.arpa", "1.2.3.4.5.in-addr.arpa",
		"256.2.3.4.in-addr.arpa", "01.2.3.4.in-addr.arpa", "+1.2.3.4.in-addr.arpa", "1.2.3.4.in-addr.arpax",
		"1.2.3.4.in-addr", "x.1.2.3.4.in-addr.arpa", "-1.2.3.4.in-addr.arpa", "1.2.3.4.ip6.arpa", "" };
	uint32_t address = 0;

	(void)state;
	assert_true(dns_reverse_name("255.0.18.198.in-addr.arpa", &address));
	assert_int_equal(address, 0xc61200ff);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		if (dns_reverse_name(bad[i], &address))
			fail_msg("%s", bad[i]);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(packets_are_taken_apart),
		cmocka_unit_test(every_beginning_of_a_packet_is_harmless),
		cmocka_unit_test(oversized_queries_are_format_errors),
		cmocka_unit_test(an_address_answers_a_question),
		cmocka_unit_test(a_name_answers_a_reverse_question),
		cmocka_unit_test(edns_is_answered_with_edns),
		cmocka_unit_test(an_error_repeats_what_it_could_read),
		cmocka_unit_test(the_longest_answer_fits),
		cmocka_unit_test(reverse_names_have_one_spelling),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
