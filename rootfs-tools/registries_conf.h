// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/registries_conf.h: where a registry really is, and its mirrors: containers-registries.conf(5).
 *
 *     [[registry]]
 *     prefix = "docker.io"             the longest one that begins the name counts; left out: the location
 *     location = "mirror.site/docker"  takes its place; left out: the prefix
 *     insecure = true
 *     blocked = true
 *     [[registry.mirror]]              asked before, in this order
 *     location = "localhost:5001"
 *     insecure = true
 *
 * That much is read of $CONTAINERS_REGISTRIES_CONF, else of ~/.config/containers/registries.conf, else of
 * /etc/containers/registries.conf, and of the *.conf files in the directory registries.conf.d beside the latter two.
 * Everything else in them is passed over.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

struct registry_place {
	char *location; /* "host[:port][/path]", which takes the place of the prefix */
	bool insecure;
};

struct registry_rule {
	char *prefix;
	struct registry_place place;
	bool blocked;
	struct registry_place *mirrors;
	size_t mirror_count;
};

struct registries_conf {
	struct registry_rule *rules;
	size_t count;
};

#define cleanup_registries_conf [[gnu::cleanup(registries_conf_free)]]

/** registries_conf_load() - Return: 0, also when there is no file; -1 with @err. */
[[gnu::nonnull]] int registries_conf_load(struct registries_conf *conf, struct azm_err *err);

/**
 * registries_conf_add() - read one document
 * @file:	its name, for messages
 *
 * Return: 0; -1 with @err (EINVAL, and the line)
 */
[[gnu::nonnull]] int registries_conf_add(
	struct registries_conf *conf, const char *file, const char *text, struct azm_err *err);

/** registries_conf_find() - @name: "docker.io/library/debian". NULL: nothing is said about it. */
[[gnu::nonnull]] const struct registry_rule *registries_conf_find(const struct registries_conf *conf, const char *name);

[[gnu::nonnull]] void registries_conf_free(struct registries_conf *conf);
