// SPDX-License-Identifier: GPL-2.0-or-later
/* netns/resolver_wire.h: what resolver.c and its helper say to each other, a message each. */
#pragma once
#include "netns/resolver.h"

struct resolver_question {
	uint32_t id;
	char name[HOST_NAME_SIZE]; /* NUL-terminated */
};

/* Answered instead of a question: questions may have been lost. */
enum { RESOLVER_ASK_AGAIN = 0 };

struct resolver_answer {
	uint32_t id;
	int32_t error; /* EAI_*, 0 with addresses */
	uint32_t count;
	struct in6_addr addresses[RESOLVER_ADDRESSES]; /* IPv4 as ::ffff:a.b.c.d, best first */
};

/** resolver_helper() - be the helper: answer on @fd until its other end is closed. */
[[gnu::noreturn]] void resolver_helper(int fd);
