// SPDX-License-Identifier: GPL-2.0-or-later
/* tests/lib/lookup.c: what a C library's resolver makes of names: `lookup NAME|IPv4...`.
 *
 * One line for each: what was asked, then every address (or the name of an address), or "-" and the reason. Built once
 * with the host's C library and once, statically, with musl: their resolvers ask in different ways.
 */
#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

static void print_name(const struct sockaddr_in *address)
{
	char name[NI_MAXHOST];
	int code =
		getnameinfo((const struct sockaddr *)address, sizeof *address, name, sizeof name, NULL, 0, NI_NAMEREQD);

	printf(" %s\n", code ? "-" : name);
}

static void print_addresses(const char *name)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *list = NULL;
	char text[INET6_ADDRSTRLEN];

	if (getaddrinfo(name, NULL, &hints, &list) != 0) {
		printf(" -\n");
		return;
	}
	for (struct addrinfo *one = list; one; one = one->ai_next) {
		const void *address = one->ai_family == AF_INET
					      ? (const void *)&((struct sockaddr_in *)one->ai_addr)->sin_addr
					      : (const void *)&((struct sockaddr_in6 *)one->ai_addr)->sin6_addr;
		printf(" %s", inet_ntop(one->ai_family, address, text, sizeof text));
	}
	printf("\n");
	freeaddrinfo(list);
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		struct sockaddr_in address = { .sin_family = AF_INET };
		printf("%s", argv[i]);
		if (inet_pton(AF_INET, argv[i], &address.sin_addr) == 1)
			print_name(&address);
		else
			print_addresses(argv[i]);
	}
	return 0;
}
