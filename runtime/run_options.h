// SPDX-License-Identifier: GPL-2.0-or-later
/* run_options.h: the command line of `run`, and the environment variables that mean the same. */
#pragma once
#include "base/options.h"
#include "config.h"

/* What concerns this one invocation and is not kept. */
struct run_request {
	struct config config;
	struct str_list env; /* -e and --env-file in order: K=V, or K to pass the caller's */
	char *api_key_file;
	bool api_key_off; /* --api-key none */
	bool json;
	int status_fd; /* -1: none */
};

#define cleanup_run_request [[gnu::cleanup(run_request_free)]]

void run_request_init(struct run_request *request);
void run_request_free(struct run_request *request);

/* config: struct run_request */
extern const struct option_row run_option_rows[];

/** random_key() - a new key of a server; allocated. */
char *random_key(void);

/**
 * run_request_complete() - lay the environment under the flags and fill in what follows from them
 *
 * Flags win over -e, -e over the caller's environment (cli.md). Also makes the API key, reads --env-file and
 * --api-key-file, makes host paths absolute. Return: 0, or -1 with @err set
 */
int run_request_complete(struct run_request *request, struct azm_err *err);
