// SPDX-License-Identifier: GPL-2.0-or-later
/* netns/keeper_wire.h: what goes over a keeper's socket. Change KEEPER_MAGIC with the layout: a keeper or a member of
 * another version of the program is then not understood, hung up on, and replaced. */
#pragma once
#include <stdint.h>

enum { KEEPER_MAGIC = 0x617a6b31 }; /* "azk1" */

struct keeper_hello {
	uint32_t magic;
	uint32_t reserved;
	uint64_t tag;
};

enum keeper_status { KEEPER_WELCOME = 1, KEEPER_RETIRED, KEEPER_REFUSED };

/* With KEEPER_WELCOME come the descriptors: user namespace, network namespace, and the kept one if there is any. */
struct keeper_answer {
	uint32_t magic;
	uint32_t status;
	uint32_t subnet_base;
	uint32_t subnet_prefix;
};

enum { KEEPER_FDS_MAX = 3 };
