// SPDX-License-Identifier: GPL-2.0-or-later
/* netns/egress_look.c: does a connection say, in its first bytes, that it wants another host than it was allowed?
 *
 * Many hosts share an address, and the server decides by SNI or Host which one answers. So a connection to an allowed
 * name whose first bytes name another one is ended, unless the rules allow that name by itself as well: a request
 * through an allowed proxy to an allowed host is fine. A connection to an allowed address may name anything that no
 * rule denies.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/str.h"
#include "netns/address_class.h"
#include "netns/egress_internal.h"

enum { GREETING_MS = 5000 /* to finish what was begun */ };

static bool parse_address(const char *text, struct in6_addr *address)
{
	struct in_addr v4;

	if (inet_pton(AF_INET6, text, address) == 1)
		return true;
	if (inet_pton(AF_INET, text, &v4) != 1)
		return false;
	*address = address_from_v4(ntohl(v4.s_addr));
	return true;
}

static bool agrees(const struct connection *connection, const struct sniffed *said)
{
	const struct egress_rules *rules = connection->broker->rules;
	uint16_t port = said->port ? said->port : connection->port;
	char name[HOST_NAME_SIZE];
	struct in6_addr address;

	if (parse_address(said->host, &address))
		return (!connection->name && memcmp(&address, &connection->destination, sizeof address) == 0) ||
		       egress_decide_address(rules, &address, port).allowed;
	if (host_name_normalise(said->host, strlen(said->host), name))
		return false;
	if (!connection->name)
		return !egress_name_denied(rules, name, port);
	return strcmp(name, connection->name) == 0 || egress_decide_name(rules, name, port).allowed;
}

/* Say no in the client's own language. What it has sent is taken first: closing a socket with unread bytes resets the
 * connection, and the answer would be lost. */
static enum relay_verdict refuse(
	struct connection *connection, int client, enum sniff_protocol protocol, const char *why)
{
	struct broker *broker = connection->broker;
	size_t size;
	const void *answer = sniff_refusal(protocol, &size);

	connection_log(connection, EGRESS_DENIED, why);
	while (recv(client, broker->first_bytes, sizeof broker->first_bytes, MSG_DONTWAIT) ==
		(ssize_t)sizeof broker->first_bytes)
		continue;
	(void)!send(client, answer, size, MSG_DONTWAIT | MSG_NOSIGNAL);
	return RELAY_CLOSE;
}

static bool has_ended(int fd)
{
	struct pollfd polled = { .fd = fd, .events = POLLRDHUP };

	return poll(&polled, 1, 0) > 0 && (polled.revents & (POLLRDHUP | POLLHUP | POLLERR));
}

/* Nobody answers half a greeting, so only a client that fell silent waits here: not for ever. */
static enum relay_verdict wait_for_more(struct connection *connection)
{
	if (!connection->deadline)
		connection_expect(connection, GREETING_MS);
	return RELAY_WAIT;
}

enum relay_verdict connection_look(struct relay_guard *guard, int first)
{
	struct connection *connection = connection_of(guard);
	uint8_t *bytes = connection->broker->first_bytes;
	struct sniffed said;
	ssize_t size = recv(first, bytes, SNIFF_MOST, MSG_PEEK | MSG_DONTWAIT);

	if (size < 0 && (errno == EAGAIN || errno == EINTR))
		return RELAY_WAIT;
	if (size <= 0)
		return RELAY_PASS; /* the relay finds out what it is */
	bool last = connection->last_look || has_ended(first);
	enum sniff_result result = sniff(bytes, (size_t)size, last, &said);
	if (result == SNIFF_MORE)
		return wait_for_more(connection);
	connection_expect(connection, 0);
	if (result == SNIFF_GARBLED) {
		cleanup_free char *why = xasprintf("it begins with %s", said.why);
		return refuse(connection, first, said.protocol, why);
	}
	if (result == SNIFF_NAMED && !agrees(connection, &said)) {
		cleanup_free char *why = xasprintf("it asks for \"%s\"", said.host);
		return refuse(connection, first, said.protocol, why);
	}
	return RELAY_PASS;
}
