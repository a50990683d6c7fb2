// SPDX-License-Identifier: GPL-2.0-or-later
/* netns/netns.h: the private network of a sandbox and how the host reaches into it.
 *
 * A network is a user namespace plus a network namespace with the bridge azm0. It is held by a keeper process, which
 * hands both descriptors to members over a UNIX socket in the live state directory and exits a while after the last
 * member. A sandbox's user namespace is a child of its network's, so the supervisor, having entered the network's user
 * namespace, may wire it up while the sandbox itself has no say over its wires.
 */
#pragma once
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "netns/subnet.h"

/* ---- joining a network ---------------------------------------------------------------------------------------- */

struct network_options {
	int live_dirfd; /* live state directory (0700, ours); the keeper's socket and the lease file live in it */
	const char *live_path; /* the same as a path, for messages; may be NULL */
	const char *name;     /* of the network's files in the live directory: "private", or one of a created network */
	bool isolated;	      /* for network_attach(): ports cannot talk to each other ("private") */
	struct subnet subnet; /* its addresses, when it has to be made; prefix 0: free ones are looked for */
	/* Appends subnets that a free one must not touch, other networks of the user; NULL: only the host's routes
	 * count. */
	int (*avoid)(struct subnet_list *list, void *context, struct azm_err *err);
	int keep_fd; /* a descriptor the keeper holds for all members (azm-init's sealed memfd); -1 for none */
	/* The same, made only when there is no keeper yet that has it; NULL: keep_fd. The result is closed after use.
	 */
	int (*make_kept)(void *context, struct azm_err *err);
	uint64_t keep_tag;	/* identifies keep_fd's content: a keeper with another tag is not used but replaced */
	unsigned grace_seconds; /* the keeper's time to live without members; 60 */
	int knocked;		/* what network_knock() returned; 0 when it was not called */
	/* Writes the id maps of the network's user namespace for process @pid of it; called on the host side, before
	 * any setns. */
	int (*write_maps)(pid_t pid, void *context, struct azm_err *err);
	void *context; /* of all functions */
};

/* Where the packet filter sends what the sandbox sends: ports of network_listen() sockets; 0: nowhere. */
struct network_service {
	uint16_t tcp;	  /* connections to any address */
	uint16_t dns_udp; /* port 53 of the gateway */
	uint16_t dns_tcp;
};

struct network {
	int userns, netns; /* namespaces; owned */
	int keeper;	   /* connection to the keeper: its being open is the membership; owned */
	int kept_fd;	   /* the keeper's copy of keep_fd; owned, -1 if none */
	int rtnl;	   /* NETLINK_ROUTE socket inside the network's namespace, after network_attach(); owned */
	int lease_fd;	   /* lease file whose locked byte is our address; owned */
	uint32_t subnet;   /* host byte order, for example 10.111.0.0 */
	unsigned prefix;   /* its length, for example 16 */
	uint32_t address;  /* our lease, host byte order; 0 before network_attach() */
	uint32_t gateway;
	char bridge_port[16]; /* our end of the veth on the bridge */
	int filter;	      /* NETLINK_NETFILTER socket inside the network's namespace, once needed; owned, else -1 */
	bool filtered;	      /* network_serve() was called, and this is what it was told: */
	struct network_service served;
	bool named; /* network_name_set() was called */
};

/**
 * network_knock() - begin network_join() early, when there is other work to do before its result is needed
 * @tag:	network_options.keep_tag
 *
 * An idle keeper takes a hundred microseconds to wake up and answer; this lets it do so meanwhile. Not waiting for
 * anything, and not failing: without a keeper, network_join() makes one as always.
 *
 * Return: a descriptor for network_options.knocked, which network_join() then owns; 0 when nobody is there
 */
[[gnu::nonnull]] int network_knock(int live_dirfd, const char *name, uint64_t tag);

/**
 * network_join() - become a member of a network, making it (and its keeper) when it does not exist
 *
 * Single-threaded callers only (it may clone). The first member of a burst makes the network under a lock, the others
 * wait for it. Messages from a keeper are checked: right uid, right kind of namespace, a user namespace whose owner is
 * the caller.
 *
 * Return: 0 and @out filled, release with network_leave(); -1 with @err (and a hint when the host forbids namespaces)
 */
[[gnu::nonnull]] int network_join(const struct network_options *options, struct network *out, struct azm_err *err);

/** network_enter() - enter the network's user namespace with setns (single-threaded, for good). */
[[gnu::nonnull]] int network_enter(struct network *network, struct azm_err *err);

/**
 * network_lease() - take the sandbox's address ahead of network_attach(), which does it otherwise
 *
 * @network->address is final afterwards. Freed by the kernel when the process dies.
 */
[[gnu::nonnull]] int network_lease(struct network *network, struct azm_err *err);

/**
 * network_attach() - give a sandbox its veth, address, route and loopback
 * @sandbox_netns: the sandbox's network namespace
 *
 * Leases an address unless network_lease() has, makes the pair with the inner end eth0 in the
 * sandbox, the outer end on azm0, isolated when the network is. Without @gateway_route there is no default route: the
 * network has nowhere to go until egress is allowed, so everything else is refused at once (ENETUNREACH) instead of
 * timing out.
 * @gateway_route: as network_route()
 */
[[gnu::nonnull]] int network_attach(
	struct network *network, bool isolated, int sandbox_netns, bool gateway_route, struct azm_err *err);

/**
 * network_route() - give an attached sandbox a default route through azm0's address
 *
 * The gateway forwards nothing: packets end at what network_serve() redirects them to. Also on a running sandbox,
 * after lockdown. One that is there already is no error. The gateway's MAC comes along: what the sandbox asked for in
 * vain before it was served would otherwise be asked for again only a second later.
 */
[[gnu::nonnull]] int network_route(struct network *network, int sandbox_netns, struct azm_err *err);

/** network_loopback_up() - for `--network none`: bring up lo in a namespace and nothing else. */
[[gnu::nonnull]] int network_loopback_up(int sandbox_netns, struct azm_err *err);

/** network_leave() - close everything; our port goes with the sandbox's network namespace. Also safe on a network that
 * was only partly joined. */
void network_leave(struct network *network);

/**
 * network_peek() - where a network that is up is, without becoming a member
 * @tag:	network_options.keep_tag; a keeper with another one retires
 *
 * Return: whether it is up
 */
[[gnu::nonnull]] bool network_peek(int live_dirfd, const char *name, uint64_t tag, struct subnet *subnet);

/** network_forget() - of a network that is not to be joined again and has no members: end its keeper, remove its files.
 */
[[gnu::nonnull]] void network_forget(int live_dirfd, const char *name);

/* ---- serving members ------------------------------------------------------------------------------------------- */

/**
 * network_listen() - a socket on the gateway's address, in the network's namespace
 * @type:	SOCK_STREAM (listening) or SOCK_DGRAM
 * @port:	set to its port, a free one
 *
 * Members reach it only through network_serve(). The caller must not take the packet filter's word for who is calling:
 * a peer that does not have @network->address, and a connection whose original destination (SO_ORIGINAL_DST) is the
 * socket's own address, are to be refused. After network_enter(), before and after lockdown.
 *
 * Return: descriptor (close-on-exec, non-blocking), -1 with @err
 */
[[gnu::nonnull]] int network_listen(struct network *network, int type, uint16_t *port, struct azm_err *err);

/**
 * network_serve() - redirect what our sandbox sends to listening sockets; replaces what was said before
 *
 * From now on, UDP and TCP to port 53 of the gateway go to the DNS ports and every other TCP connection to @service's
 * tcp port; the rest is rejected at once (reset, or ICMP "prohibited"). Frames of our port whose source MAC, IPv4 or
 * ARP sender is not ours are dropped, and so is everything that is neither IPv4 nor ARP. Ports 0 everywhere: nothing is
 * redirected, members are protected from each other all the same: what a member of a named network needs at least.
 *
 * Loads the network's tables when it has none yet. What an earlier holder of the address left is replaced. After
 * network_attach(), before and after lockdown (CAP_NET_ADMIN).
 *
 * Return: 0, or -1 with @err and a hint when the kernel has no nftables; nothing is changed then
 */
[[gnu::nonnull]] int network_serve(struct network *network, const struct network_service *service, struct azm_err *err);

/* ---- names of members ------------------------------------------------------------------------------------------ */

enum { NETWORK_NAME_MAX = 64 }; /* bytes of a member's name */

/**
 * network_name_set() - let other members of the network find us under a name
 * @name:	1 to NETWORK_NAME_MAX bytes without control characters; compared without regard to case
 *
 * Call it again for more names (aliases); there is room for 240 bytes in all. After network_lease(). Names vanish with
 * the process, whatever ends it.
 */
[[gnu::nonnull]] int network_name_set(struct network *network, const char *name, struct azm_err *err);

/** network_name_find() - the address of the live member (ourselves included) of that name, or NAME.azm; the lowest one
 * when there are several. From any thread, after lockdown. */
[[gnu::nonnull]] bool network_name_find(const struct network *network, const char *name, uint32_t *address);

/** network_address_find() - the first name of the live member that has an address. @name: NETWORK_NAME_MAX + 1 bytes
 * are enough. */
[[gnu::nonnull]] bool network_address_find(const struct network *network, uint32_t address, char *name, size_t size);

/* ---- publishing ----------------------------------------------------------------------------------------------- */

struct publish_rule {
	int family; /* AF_INET, AF_INET6, AF_UNIX; AF_UNSPEC = 127.0.0.1 and [::1] together */
	union {
		struct in_addr v4;
		struct in6_addr v6;
	} address;
	uint16_t host_port; /* 0 = a free one in 30000..39999; set to the real one by publish_bind() */
	uint16_t port;	    /* inside */
	char *unix_path;    /* AF_UNIX */
	bool any_user;	    /* accept other users of the host */
	bool free_port;	    /* host_port was 0 */
	bool both;	    /* AF_UNSPEC: [::1] is really held, the host has IPv6; set by publish_bind() */
	unsigned id;	    /* names it to publish_remove(); set by publish_add() */
};

/**
 * publish_parse() - one -p argument
 * @text:	[IP:][HOST]:PORT[-END][/tcp], PORT, or unix:PATH:PORT (cli.md)
 * @default_ip:	SANDBOX_RUNTIME_BINDING_ADDRESS, or NULL
 * @allow_non_loopback: else a non-loopback address is an error that names the switch
 * @rules:	array, appended to (realloc'ed); @count updated
 */
[[gnu::nonnull(1, 4, 5, 6)]] int publish_parse(const char *text, const char *default_ip, bool allow_non_loopback,
	struct publish_rule **rules, size_t *count, struct azm_err *err);

/** publish_rule_text() - a rule as a -p argument, with a free port left free; allocated. */
[[gnu::nonnull]] char *publish_rule_text(const struct publish_rule *rule);

/** publish_rule_is_local() - whether nobody but processes of this host can connect. */
[[gnu::nonnull]] bool publish_rule_is_local(const struct publish_rule *rule);

/** publish_rules_free() - release an array that publish_parse() made. */
void publish_rules_free(struct publish_rule *rules, size_t count);

/* Listening sockets in the order of their rules (two for one that holds both loopbacks), and the sock_diag socket that
 * tells whose connections come in; -1: no rule needs it. */
struct publish_sockets {
	int *fds;
	size_t count;
	int diag;
};

/**
 * publish_bind() - bind and listen for every rule, in the caller's (the host's) network and user namespace
 *
 * The sock_diag socket reports ids as its opener's user namespace sees them. On failure nothing stays bound.
 * Return: 0, @out is the caller's to publish_sockets_free(); -1 with @err
 */
[[gnu::nonnull(3, 4)]] int publish_bind(
	struct publish_rule *rules, size_t count, struct publish_sockets *out, struct azm_err *err);

/**
 * publish_recognise() - the counterpart for sockets that another process has bound: fill in what it decided
 *
 * Sets host_port and both. Descriptors that are not what the rules ask for are an error. Return: 0, -1 with @err
 */
[[gnu::nonnull(3, 4)]] int publish_recognise(
	struct publish_rule *rules, size_t count, const struct publish_sockets *sockets, struct azm_err *err);

/** publish_sockets_free() - close them. @rules: their UNIX sockets' files are removed, too; NULL: they stay, somebody
 * else has the sockets. */
void publish_sockets_free(struct publish_sockets *sockets, const struct publish_rule *rules, size_t count);

/**
 * publish_remove_socket() - remove the file of a UNIX socket of ours that nobody listens on any more
 * @device, @inode: remove only that file; 0: any
 *
 * Return: 0, also when nothing is there; -1 with @err: EADDRINUSE it is served, EEXIST it is not a socket of ours
 */
[[gnu::nonnull]] int publish_remove_socket(const char *path, dev_t device, ino_t inode, struct azm_err *err);

struct publisher; /* listeners and the inner thread that serves them */

/** publish_new() - nothing is published yet. The caller is still in the host's user namespace: its id there is who may
 * connect. Return: publish_stop() releases it; NULL with @err */
[[gnu::nonnull]] struct publisher *publish_new(struct azm_err *err);

/**
 * publish_add() - serve more sockets, from now on or from publish_start() on
 * @rules:	what the sockets are for; each is given an id
 *
 * Return: 0, the sockets are taken over and @sockets is empty; -1 with @err, nothing has changed
 */
[[gnu::nonnull(1, 4, 5)]] int publish_add(struct publisher *publisher, struct publish_rule *rules, size_t count,
	struct publish_sockets *sockets, struct azm_err *err);

/** publish_remove() - stop listening for the rule with that id; its connections go on. */
[[gnu::nonnull]] void publish_remove(struct publisher *publisher, unsigned id);

/**
 * publish_start() - start the inner thread, which enters the sandbox's network namespace and serves until
 * publish_stop()
 * @sandbox_netns: only used during the call
 * @address:	the sandbox's eth0 address, host byte order, 0 for `--network none`: tried first, then 127.0.0.1
 *
 * Call after the sandbox was cloned: the thread must not exist before. Nothing happens when it has been started.
 */
[[gnu::nonnull]] int publish_start(
	struct publisher *publisher, int sandbox_netns, uint32_t address, struct azm_err *err);

/**
 * publish_await() - have the inner thread started by the first client, instead of ahead
 *
 * A sandbox that nobody connects to then never has one. Return: 0, -1 with @err; publish_awaited() is what to poll
 */
[[gnu::nonnull]] int publish_await(struct publisher *publisher, struct azm_err *err);

/** publish_awaited() - a descriptor that becomes readable when publish_start() is due; -1 when it is not awaited. */
int publish_awaited(const struct publisher *publisher);

/**
 * publish_wait_ready() - wait until the server inside answers GET @path with a 2xx
 * @port:	inside port
 * @path:	"/alive"
 * @cancel_fd:	becomes readable when waiting is pointless (the sandbox died); -1 for none
 *
 * Connects from inside the sandbox's namespace, first tries at sub-millisecond distance, then backs off to 20 ms.
 * Return: 0 ready, 1 cancelled, -1 with @err on timeout
 */
[[gnu::nonnull]] int publish_wait_ready(struct publisher *publisher, uint16_t port, const char *path, int cancel_fd,
	unsigned timeout_ms, struct azm_err *err);

/** publish_stop() - stop accepting, let clients have what the sandbox had sent (two seconds at most), close everything;
 * publisher is freed. NULL is allowed. Call it when the sandbox is gone. */
void publish_stop(struct publisher *publisher);
