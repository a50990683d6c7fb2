// SPDX-License-Identifier: GPL-2.0-or-later
/* snapshots/layers.h: where frozen layers live, and when they go.
 *
 *     STATE/layers/lock               shared: reading or making references; exclusive: removing layers
 *                  ID/tree            what a sandbox changed in "/", as an upper directory of overlay(5), userxattr
 *                     volume-N        the same for its N-th copy-on-write volume
 *                     layer.json      {"created":..., "sandbox":...}
 *           snapshots/TAG.json        a snapshot that has a name
 *
 * A layer is referred to by the path of its tree in config.layers of a sandbox's config.json or of a snapshot. Nothing
 * counts references: whoever removes layers looks at all of them, while nobody can make one.
 */
#pragma once
#include "config.h"
#include "state.h"

struct layers {
	char *path; /* STATE/layers, canonical */
	int dir;
	int lock;
};

#define LAYERS_NONE ((struct layers){ .dir = -1, .lock = -1 })

/** layers_open() - with the shared lock held until layers_close(). */
int layers_open(const struct state *state, struct layers *layers, struct azm_err *err);
void layers_close(struct layers *layers);

#define cleanup_layers [[gnu::cleanup(layers_close)]]

/**
 * layers_new() - an empty layer
 * @names:	its directories: "tree", "volume-N"
 * @sandbox:	whose it is; NULL: of several
 *
 * It is removed by layers_gc() unless something refers to it. Return: its identity, allocated; NULL with @err set
 */
char *layers_new(const struct layers *layers, const struct str_list *names, const char *sandbox, struct azm_err *err);

/** layers_open_one() - the directory of a layer. Return: descriptor, -1 with @err set */
int layers_open_one(const struct layers *layers, const char *id, struct azm_err *err);

/** layers_path() - what config.layers says of a layer; allocated. */
char *layers_path(const struct layers *layers, const char *id);

/**
 * layers_show_root() - give the empty upper directory of a new sandbox owner, mode and times of the root below it
 * @dir:	the sandbox's directory
 *
 * The upper-most directory is what shows. Return: 0, or -1 with @err set
 */
int layers_show_root(const struct config *config, int dir, struct azm_err *err);

/**
 * layers_own() - the identity of a layer of ours
 * @path:	an item of config.layers
 *
 * Return: allocated; NULL when it is not one of @layers
 */
char *layers_own(const struct layers *layers, const char *path);

/**
 * layers_gc() - remove layers that nothing refers to
 *
 * Does nothing while somebody makes references. With a configuration that cannot be read nothing is removed: it may
 * refer to anything. Return: how many went, -1 with @err set
 */
int layers_gc(const struct state *state, struct azm_err *err);

/* The writable directories of a sandbox: "upper" and "volume-N-upper". */
struct uppers {
	struct str_list in_sandbox; /* below the sandbox's directory */
	struct str_list in_layer;   /* the same in a layer: "tree", "volume-N" */
};

int uppers_list(int dir, struct uppers *uppers, struct azm_err *err);
void uppers_free(struct uppers *uppers);

#define cleanup_uppers [[gnu::cleanup(uppers_free)]]
