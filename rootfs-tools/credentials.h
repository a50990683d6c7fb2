// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/credentials.h: who the user is at a registry, as podman login, skopeo login and docker login wrote it.
 *
 * The first file that knows the registry counts:
 *
 *     --authfile FILE, or $REGISTRY_AUTH_FILE: then this one only (containers-auth.json(5))
 *     $XDG_RUNTIME_DIR/containers/auth.json
 *     $XDG_CONFIG_HOME/containers/auth.json, else ~/.config/containers/auth.json
 *     $DOCKER_CONFIG/config.json, else ~/.docker/config.json
 *
 * In a file: credHelpers of the registry, auths of the longest part of the name ("host/group/image", "host/group",
 * "host"), credsStore. Helpers are docker-credential-NAME programs in PATH.
 */
#pragma once
#include <stdbool.h>

#include "base/err.h"

struct credentials {
	char *user, *password; /* NULL: none */
	char *refresh_token;   /* instead of the two: for the token server (docker's identitytoken) */
	char *bearer;	       /* instead: for the registry itself (docker's registrytoken) */
};

#define cleanup_credentials [[gnu::cleanup(credentials_free)]]

/**
 * credentials_find() - look them up
 * @file:	--authfile; NULL: the places above
 * @host:	"docker.io", "host:5000"
 * @path:	of the image there, "group/image"
 *
 * A file that others could have written is refused: it may name programs. Return: 0, also when there are none; -1 with
 * @err
 */
[[gnu::nonnull(2, 3, 4, 5)]] int credentials_find(
	const char *file, const char *host, const char *path, struct credentials *credentials, struct azm_err *err);

/** credentials_parse() - the same from one document, without helpers; for tests. Return: whether it knows the host. */
[[gnu::nonnull(1, 3, 4, 5)]] bool credentials_parse(const char *text, size_t size, const char *host, const char *path,
	struct credentials *credentials, char **helper);

[[gnu::nonnull]] void credentials_free(struct credentials *credentials);
[[gnu::nonnull]] bool credentials_any(const struct credentials *credentials);
