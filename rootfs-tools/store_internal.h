// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/store_internal.h: what the parts of the store share. */
#pragma once
#include <jansson.h>

#include "rootfs-tools/store.h"

/* The name that goes into $AZM_IMAGE_STORE's place in hints. */
#define STORE_VARIABLE "AZM_IMAGE_STORE"

/* The longest images/NAME: a configuration of 1 MiB, escaped. */
enum { STORE_DOCUMENT_MAX = 4 << 20 };

/** store_file_name() - the name of images/NAME: '/' becomes '%', which no reference has. Caller owns; NULL with @err.
 */
[[gnu::nonnull]] char *store_file_name(const char *name, struct azm_err *err);

/** store_load_json() - an object from a file. Return: caller owns the reference; NULL with @err. */
[[gnu::nonnull]] json_t *store_load_json(int dir, const char *name, size_t limit, struct azm_err *err);

/** store_is_id() - 64 lower-case hexadecimal digits. */
[[gnu::nonnull]] bool store_is_id(const char *text);

/** store_names_in() - the names in one of its directories, sorted, but those that begin with a dot. 0, -1 with @err. */
[[gnu::nonnull]] int store_names_in(const struct store *store, int dir, struct str_list *names, struct azm_err *err);

/** store_write_lock() - hold `lock`. @how: LOCK_SH or LOCK_EX. Return: descriptor, -1 with @err. */
[[gnu::nonnull]] int store_write_lock(const struct store *store, int how, struct azm_err *err);

/** store_linked() - whether an open directory is still what has that name. */
[[gnu::nonnull]] bool store_linked(int parent, const char *name, int fd);
