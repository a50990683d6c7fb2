// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/config_change.h: lines of a Dockerfile that change an image's configuration: --change. */
#pragma once
#include <jansson.h>

#include "base/err.h"
#include "base/str.h"

/**
 * config_change() - apply such lines, one after the other
 * @config:	an OCI image configuration
 *
 * CMD, ENTRYPOINT, ENV, EXPOSE, HEALTHCHECK, LABEL, ONBUILD, SHELL, STOPSIGNAL, USER, VOLUME and WORKDIR; others would
 * change files. Return: 0, or -1 with @err
 */
[[gnu::nonnull]] int config_change(json_t *config, const struct str_list *lines, struct azm_err *err);
