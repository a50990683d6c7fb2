// SPDX-License-Identifier: GPL-2.0-or-later
/* tests/fuzz/fuzz_dns_message.c: any packet as a query: no crash, and every answer made of it is one that the C
 * library's parser takes. */
#include <arpa/nameser.h>
#include <resolv.h>

#include "netns/dns_message.h"
#include "tests/fuzz/fuzz.h"

static void check_query(const struct dns_query *query, const uint8_t *packet, size_t size, int rcode)
{
	char again[HOST_NAME_SIZE];

	must(rcode != ns_r_noerror || query->question);
	must(!query->question ||
		(query->question >= packet && query->question + query->question_size <= packet + size));
	if (!query->name[0])
		return;
	must(host_name_normalise(query->name, strlen(query->name), again) == NULL);
	must(strcmp(query->name, again) == 0);
}

static void check_answer(const struct dns_query *query, const struct dns_answer *answer)
{
	uint8_t *out = malloc(DNS_ANSWER_MAX);
	ns_msg message;
	ns_rr record;

	must(out);
	size_t size = dns_answer(query, answer, out);
	must(size >= NS_HFIXEDSZ && size <= DNS_ANSWER_MAX);
	must(ns_initparse(out, (int)size, &message) == 0);
	must(ns_msg_end(message) == out + size);
	must(ns_msg_id(message) == query->id);
	must(ns_msg_count(message, ns_s_an) == (answer->type != 0 && query->question));
	for (int section = ns_s_an; section < ns_s_max; section++)
		for (int i = 0; i < ns_msg_count(message, section); i++)
			must(ns_parserr(&message, (ns_sect)section, i, &record) == 0);
	free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct dns_query query;
	uint32_t address;
	int rcode = dns_query_read(data, size, &query);

	if (rcode == DNS_DROP)
		return 0;
	check_query(&query, data, size, rcode);
	(void)dns_reverse_name(query.name, &address);
	check_answer(&query, &(struct dns_answer){ .rcode = rcode });
	check_answer(&query, &(struct dns_answer){ .rcode = rcode, .type = ns_t_a, .address = 0xc6120001 });
	check_answer(&query, &(struct dns_answer){ .rcode = rcode, .type = ns_t_ptr, .name = "web.azm" });
	return 0;
}
