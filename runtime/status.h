// SPDX-License-Identifier: GPL-2.0-or-later
/* status.h: what became of a sandbox, as status.json and as the lines of --json. */
#pragma once
#include <jansson.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "config.h"
#include "netns/netns.h"

/* Facts that `run`, `ps`, `inspect` and the status lines share. */
struct status {
	pid_t pid; /* azm-init, as the host sees it; 0: not running */
	pid_t supervisor;
	uint32_t uid, gid;
	bool wide; /* several ids are mapped */
	bool paused;
	bool disk_exceeded; /* it wrote more than --disk allows, and was ended */
	bool oom_killed;    /* the kernel killed something of it for want of memory */
	const char *cgroup; /* the sandbox's own, as a directory; NULL: none */
	uint32_t address;   /* eth0's, host order; 0: none */
	bool serves;
	uint16_t server_port; /* inside */
	uint16_t host_port;   /* outside; 0: not published on TCP */
	const struct publish_rule *ports;
	size_t port_count;
	char *egress;	 /* the rules of now, owned; NULL: as configured */
	json_t *guard;	 /* what the workspace guard found at the end, owned; NULL before and without */
	int wait_status; /* of the workload, once it ended; -1 before */
};

/** status_json() - one object: name, pid, state, rootfs, url, host_port, api_key, ports, network, ip, ... The caller
 * owns it. */
json_t *status_json(const struct config *config, const struct status *status);

/** status_save() - the same as status.json in the sandbox's directory. */
int status_save(const struct config *config, const struct status *status, int dir, struct azm_err *err);

/** status_ports() - published ports, an object for each socket of the host: host_ip and host_port, or unix; port,
 * protocol. The caller owns the array. */
json_t *status_ports(const struct publish_rule *rules, size_t count);

/** status_url() - "http://127.0.0.1:PORT", NULL when nothing is served; allocated. */
char *status_url(const struct status *status);

/** status_exit_code() - the exit status that a wait status stands for (128+n for a signal). */
int status_exit_code(int wait_status);

/** status_time() - now, RFC 3339 in UTC; allocated. */
char *status_time(void);
