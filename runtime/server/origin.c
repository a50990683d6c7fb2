// SPDX-License-Identifier: GPL-2.0-or-later
/* server/origin.c: see origin.h */
#include "server/origin.h"

#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

#include "base/str.h"

enum { NAME_MAX_LENGTH = 253 };

bool origin_is_ours(const char *origin, const char *host)
{
	const char *named = strstr(origin, "://");

	return named && host && strcasecmp(named + 3, host) == 0;
}

static bool is_address(const char *name)
{
	struct in6_addr address;

	return inet_pton(AF_INET, name, &address) == 1 || inet_pton(AF_INET6, name, &address) == 1;
}

/* The name in "NAME", "NAME:PORT", "[ADDRESS]" or "[ADDRESS]:PORT". Return: whether the whole is well formed */
static bool take_name(const char *host, char name[static NAME_MAX_LENGTH + 1])
{
	bool bracketed = *host == '[';
	const char *start = host + bracketed;
	size_t length = strcspn(start, bracketed ? "]" : ":");
	const char *rest = start + length + (bracketed && start[length]);
	uint64_t port;

	if (!length || length > NAME_MAX_LENGTH || (bracketed && !start[length]))
		return false;
	memcpy(name, start, length);
	name[length] = '\0';
	return !*rest || (*rest == ':' && str_to_u64(rest + 1, 65535, &port));
}

bool host_is_local(const char *host)
{
	static const char *const private_ends[] = { ".localhost", ".internal", ".local", ".lan", ".home.arpa", NULL };
	char name[NAME_MAX_LENGTH + 1];

	if (!take_name(host, name))
		return false;
	if (is_address(name) || !strchr(name, '.'))
		return true;
	size_t length = strlen(name);
	for (size_t i = 0; private_ends[i]; i++) {
		size_t end = strlen(private_ends[i]);
		if (length > end && strcasecmp(name + length - end, private_ends[i]) == 0)
			return true;
	}
	return false;
}
