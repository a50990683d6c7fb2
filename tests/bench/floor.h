// SPDX-License-Identifier: GPL-2.0-or-later
/* tests/bench/floor.h: the parts of the floor program. A step that fails ends the program: it has nothing to recover.
 */
#pragma once
#include <sys/types.h>

/* A network: a user namespace and the network namespace it owns, which holds a bridge. */
struct floor_network {
	int userns, netns;
	int keeper; /* connection to the process that holds it, -1 when it is our own */
};

/** must() - pass a result through, or end with the name of the step and errno. */
long must(long result, const char *step);

/** map_one() - map inside id 0 of process @pid to the ids @uid and @gid as our user namespace sees them. */
void map_one(pid_t pid, uid_t uid, gid_t gid);

/** network_make() - a network of our own with a bridge that is up and has an address. */
struct floor_network network_make(void);

/** network_ask() - the network a holder (floor --hold) keeps at a socket. */
struct floor_network network_ask(const char *path);

/** network_hold() - make a network and hand it out at a socket until killed. */
void network_hold(const char *path);

/** network_go_in() - enter both namespaces for good; dumpable again, so that children can be mapped. */
void network_go_in(const struct floor_network *network);

/** network_wire() - a veth pair from the bridge into the network namespace of @pid; ends are up. */
void network_wire(pid_t pid);

/** network_configure() - inside: loopback up, the address of eth0. */
void network_configure(void);

/* ---- floor_steps.c: what the default sandbox has beyond the floor, added one by one ---- */

/** layer_make(), layer_remove() - the directories of a writable layer; remove it when its overlay is gone. */
void layer_make(const char *layer);
void layer_remove(const char *layer);

/** layer_mount() - an overlay of @root and the layer, mounted over @root. */
void layer_mount(const char *root, const char *layer);

/** mount_rest() - the default sandbox's mounts but / and /proc, below the working directory: /dev, /sys, masks, files.
 */
void mount_rest(void);

/** confine_command() - no_new_privs and the default filter. */
void confine_command(void);

/** confine_parent() - as a supervisor: Landlock, with access to the directory of the layers, and its filter. */
void confine_parent(const char *layers);
