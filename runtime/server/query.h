// SPDX-License-Identifier: GPL-2.0-or-later
/* server/query.h: parameters of requests, checked. What is wrong is answered with 422, and the request is done then. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct request;

/** query_int() - a whole number between @least and @most; *value stays as it is when the parameter is absent.
 * Return: false: it is not one, and the request was answered */
bool query_int(struct request *request, const char *name, int64_t least, int64_t most, int64_t *value);

/** query_choice() - the index of the parameter in a list ended by NULL; *index stays when it is absent. */
bool query_choice(struct request *request, const char *name, const char *const choices[], unsigned *index);

/** query_path() - a path that has to be there and absolute, else the answer is 422 or 400. Return: NULL then */
const char *query_path(struct request *request, const char *name);
