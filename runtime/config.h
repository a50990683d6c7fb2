// SPDX-License-Identifier: GPL-2.0-or-later
/* config.h: what a sandbox was asked to be.
 *
 * Filled from flags, -e, the environment and the image, in that order of priority (cli.md); kept as config.json in the
 * sandbox's directory, so that `start` makes the same sandbox again. One table (config.c) names the fields; saving,
 * loading and `inspect` walk it.
 */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

/* Numbers that were not given. */
#define CONFIG_UNSET UINT64_MAX

struct config {
	char *name;
	char *rootfs; /* as given; absolute, or azm:NAME */
	char *image;  /* what azm:NAME stood for when the sandbox was made (rootfs-tools/store.h); else NULL */
	struct str_list layers; /* directories between the writable layer and rootfs, top-most first: frozen layers, the
				   layers of a stored image */
	char *rootfs_mode;	/* overlay, direct, read-only */
	char *server;		/* auto, builtin, image, or a path of the host */
	char *workspace;	/* directory of the host, or NULL */
	char *workspace_target;
	struct str_list volumes; /* HOST:CTR[:MODE] */
	struct str_list tmpfs;	 /* PATH[:OPTIONS] */
	struct str_list mounts;	 /* type=...,source=...,target=... */
	struct str_list devices; /* HOST[:CTR[:rw]] */
	char *gpus;		 /* all, a number, device=LIST; NULL: none */
	char *user;
	char *userns; /* auto, single */
	struct str_list publish;
	struct str_list publish_open; /* the same, for every user of the host whatever publish_any_user says */
	char *binding_address;
	bool allow_non_loopback;
	bool publish_any_user;
	char *network;
	struct str_list network_alias; /* more names on a network that has names */
	char *egress;		       /* a list of rules, or none */
	char *egress_proxy;	       /* URL, with its password; NULL */
	struct str_list dns;	       /* addresses of name servers instead of ours */
	char *egress_engine;	       /* broker: by rules; pasta: the host's network in full */
	struct str_list env;	       /* K=V, final for the workload except what the image adds */
	char *api_key;		       /* the key itself; "" = none */
	char *workdir;
	char *hostname;
	char *entrypoint;
	struct str_list command; /* empty: the runtime server */
	bool tty, interactive, detach, remove, as_root;
	bool read_only;
	uint64_t shm_size;
	struct str_list ulimits; /* NAME=SOFT[:HARD] */
	uint64_t memory;	 /* bytes */
	uint64_t cpus;		 /* thousandths of a processor */
	uint64_t pids_limit;
	char *cgroup_parent;	  /* delegated cgroup to use; NULL: find one */
	uint64_t disk;		  /* bytes the sandbox may add and change in "/" */
	uint64_t disk_inodes;	  /* files it may make there */
	char *disk_mode;	  /* auto, memory, watch; NULL: auto */
	bool best_effort;	  /* limits this host cannot enforce are left out, not errors */
	char *stop_signal;	  /* NULL: the image's, else TERM */
	struct str_list log_opts; /* K=V of Docker's json-file driver */
	struct str_list cap_add, cap_drop;
	char *seccomp;		  /* profile file, "unconfined" is refused */
	struct str_list add_host; /* NAME:ADDRESS */
	struct str_list labels;	  /* K=V */
	bool no_new_privileges;
	bool nested, compat32, seccomp_log;
	char *proc;    /* fresh, bind, none */
	char *guard;   /* on, off, report */
	char *created; /* RFC 3339, set by run */
};

/** config_init() - defaults. */
void config_init(struct config *config);
void config_free(struct config *config);

#define cleanup_config [[gnu::cleanup(config_free)]]

/** config_save() - write config.json into a sandbox's directory. */
int config_save(const struct config *config, int dir, struct azm_err *err);

/** config_load() - read it back into a config_init()ed object. */
int config_load(struct config *config, int dir, struct azm_err *err);

/** config_from_json() - the same of an object, into a config_init()ed one. @file: where it comes from. */
int config_from_json(struct config *config, const json_t *object, const char *file, struct azm_err *err);

/** config_json() - the same as an object, for inspect; the caller owns the reference. NULL: a value is not UTF-8. */
json_t *config_json(const struct config *config);

/** json_save_at() / json_load_at() - one JSON object as a file of a sandbox's directory (at most 4 MiB). */
int json_save_at(json_t *object, int dir, const char *file, struct azm_err *err);
json_t *json_load_at(int dir, const char *file, struct azm_err *err);
