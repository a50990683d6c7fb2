// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/build.h: what the parts of `azm-rootfs build` share.
 *
 * A stage is a configuration and a stack of layers of the store. An instruction changes the configuration (settings),
 * or puts a layer on top (copy, run), which is found again in the store when everything it was made of is the same.
 */
#pragma once
#include <jansson.h>
#include <stdbool.h>

#include "base/err.h"
#include "base/str.h"
#include "rootfs-tools/digest.h"
#include "rootfs-tools/dockerfile.h"
#include "rootfs-tools/dockerignore.h"
#include "rootfs-tools/job.h"
#include "rootfs-tools/manifest.h"
#include "rootfs-tools/registry.h"
#include "rootfs-tools/store.h"
#include "rootfs-tools/store_make.h"

struct stage {
	const struct instruction *from; /* its FROM; those up to the next FROM belong to it */
	size_t first, end;		/* of its other instructions */
	bool needed, done;
	json_t *image; /* OCI image configuration; "config" in it is an object */
	struct str_list layers;
	int lock;	      /* keeps the topmost layer, and so all; -1 */
	int view;	      /* what the layers show, read-only, opened when it is asked for; -1 */
	struct str_list args; /* NAME=VALUE of ARG */
	bool has_command;     /* a CMD of its own: ENTRYPOINT does not take it away */
};

struct build {
	struct registry_options registry; /* first: see REGISTRY_OPTION_ROWS */
	/* the command line */
	const char *operands[2]; /* CONTEXT, DIR (may be NULL) */
	const char *file;
	const char *tag, *target, *egress, *egress_proxy_file;
	struct str_list build_args; /* NAME=VALUE */
	struct str_list contexts;   /* NAME=PATH */
	struct platform platform;
	bool platform_given, no_cache, pull, as_root;
	uint64_t max_size;
	enum progress_style style;

	struct job job;
	struct store store;
	int context; /* directory */
	struct dockerignore ignore;
	struct dockerfile dockerfile;
	struct str_list meta_args; /* ARG in front of the first FROM, and what is always set */
	struct str_list used_args; /* names of build_args that something asked for */
	struct stage *stages;
	size_t stage_count;
	unsigned step, steps;
};

/* ---- variables (build_settings.c) ------------------------------------------------------------------------------- */

/** list_get(), list_set() - lists of NAME=VALUE. NULL: not there. */
[[gnu::nonnull]] const char *list_get(const struct str_list *list, const char *name);
[[gnu::nonnull]] void list_set(struct str_list *list, const char *name, const char *value);

/** build_expand() - a word with the variables of a stage. Caller owns; NULL with @err. */
[[gnu::nonnull]] char *build_expand(
	const struct build *build, const struct stage *stage, const char *word, struct azm_err *err);

/** build_expand_heredoc() - the same for the text of a here-document. */
[[gnu::nonnull]] char *build_expand_heredoc(
	const struct build *build, const struct stage *stage, const char *text, struct azm_err *err);

/** build_expand_meta() - with the ARGs in front of the first FROM only. */
[[gnu::nonnull]] char *build_expand_meta(const struct build *build, const char *word, struct azm_err *err);

/** build_declare_args() - ARG. @stage: NULL: in front of the first FROM. Return: 0, or -1 with @err. */
[[gnu::nonnull(1, 3, 4)]] int build_declare_args(
	struct build *build, struct stage *stage, const struct instruction *instruction, struct azm_err *err);

/* ---- instructions that change the configuration (build_settings.c) ----------------------------------------------- */

/** stage_config() - the object "config" of its image. Borrowed. */
[[gnu::nonnull]] json_t *stage_config(const struct stage *stage);

/** stage_text() - a text of it; "" when there is none. Borrowed. */
[[gnu::nonnull]] const char *stage_text(const struct stage *stage, const char *key);

/** stage_env() - its environment as a list. Caller releases. */
[[gnu::nonnull]] struct str_list stage_env(const struct stage *stage);

/** stage_shell() - SHELL, or /bin/sh -c. Caller releases. */
[[gnu::nonnull]] struct str_list stage_shell(const struct stage *stage);

/** stage_path() - a path of an instruction as an absolute, clean one: relative ones begin at WORKDIR. Caller owns. */
[[gnu::nonnull]] char *stage_path(const struct stage *stage, const char *path);

/** build_setting() - all instructions but FROM, ARG, RUN, COPY, ADD; WORKDIR's directory is not made. 0, -1 with @err.
 */
[[gnu::nonnull]] int build_setting(
	struct build *build, struct stage *stage, const struct instruction *instruction, struct azm_err *err);

/* ---- layers (build_layer.c) ------------------------------------------------------------------------------------- */

/* One layer on its way: looked for by its key, made when it is not there. */
struct layer_step {
	struct build *build;
	struct stage *stage;
	struct hasher *key; /* what the layer depends on is added to it */
	struct layer_maker maker;
	bool cached;
};

#define cleanup_layer_step [[gnu::cleanup(layer_step_end)]]

/** layer_step_begin() - @kind: of instruction; the layers below are part of the key. */
[[gnu::nonnull]] void layer_step_begin(
	struct layer_step *step, struct build *build, struct stage *stage, const char *kind);

/** layer_step_add() - a text the layer depends on. */
[[gnu::nonnull]] void layer_step_add(struct layer_step *step, const char *text);

/** layer_step_find() - the key is complete. Return: 1 the layer was there and is the stage's now; 0 step->maker waits
 * for it to be made; -1 with @err */
[[gnu::nonnull]] int layer_step_find(struct layer_step *step, struct azm_err *err);

/** layer_step_commit() - it is made: the stage's topmost layer. Return: 0, or -1 with @err. */
[[gnu::nonnull]] int layer_step_commit(struct layer_step *step, const char *created_by, struct azm_err *err);
[[gnu::nonnull]] void layer_step_end(struct layer_step *step);

/** stage_view() - what its layers show: a directory, borrowed; an empty one for none. Return: -1 with @err. */
[[gnu::nonnull]] int stage_view(struct build *build, struct stage *stage, struct azm_err *err);

/** stage_release() - everything it holds. */
[[gnu::nonnull]] void stage_release(struct stage *stage);

/**
 * build_owner() - USER[:GROUP], names as the stage's /etc/passwd and /etc/group have them (build_owner.c)
 * @same:	without GROUP the group has the user's number (--chown); else it is the user's own, or 0 (USER)
 *
 * Return: 0, uid and gid of @owner set; -1 with @err
 */
[[gnu::nonnull]] int build_owner(struct build *build, struct stage *stage, const char *text, bool same,
	struct owner *owner, struct azm_err *err);

/* ---- the instructions that make layers --------------------------------------------------------------------------- */

/**
 * build_from() - what a stage begins with (build_from.c)
 * @name:	of the base, variables replaced
 * @platform:	NULL: the build's
 *
 * Return: 0, or -1 with @err
 */
[[gnu::nonnull(1, 2, 3, 5)]] int build_from(struct build *build, struct stage *stage, const char *name,
	const struct platform *platform, struct azm_err *err);

/** build_find_stage() - an earlier stage by its name or number; NULL: there is none. @before: how many are earlier. */
[[gnu::nonnull]] struct stage *build_find_stage(const struct build *build, const char *name, size_t before);

/** build_run() - RUN (build_run.c). Return: 1 cached, 0 made, -1 with @err. */
[[gnu::nonnull]] int build_run(
	struct build *build, struct stage *stage, const struct instruction *instruction, struct azm_err *err);

/** build_copy() - COPY and ADD (build_copy.c). Return: 1 cached, 0 made, -1 with @err. */
[[gnu::nonnull]] int build_copy(
	struct build *build, struct stage *stage, const struct instruction *instruction, struct azm_err *err);

/** build_workdir() - the directory of WORKDIR, when it is missing (build_copy.c). Return: 1 there, 0 made, -1. */
[[gnu::nonnull]] int build_workdir(struct build *build, struct stage *stage, struct azm_err *err);

/** build_result() - the stage as DIR and under its name in the store (build_result.c). Return: 0, or -1 with @err. */
[[gnu::nonnull]] int build_result(struct build *build, struct stage *stage, struct azm_err *err);
