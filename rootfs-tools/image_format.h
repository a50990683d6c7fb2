// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/image_format.h: in which format an image is written: said by an option, by what stands in front of a
 * path, or by the path's end.
 */
#pragma once
#include "rootfs-tools/image_write.h"
#include "rootfs-tools/reference.h"

enum wanted_format { WANT_AUTO, WANT_OCI, WANT_OCI_DIRECTORY, WANT_OCI_ARCHIVE, WANT_DOCKER_ARCHIVE };

/** image_format_parse() - the value of --format. Return: 0, or -1 with @err. */
[[gnu::nonnull]] int image_format_parse(const char *text, enum wanted_format *wanted, struct azm_err *err);

/** image_format_choose() - for this result. Return: 0, or -1 with @err: the option says another one than the path. */
[[gnu::nonnull]] int image_format_choose(
	enum wanted_format wanted, const struct source_name *out, enum image_format *format, struct azm_err *err);

/** image_path_is_archive() - "-", or a path that ends in ".tar". */
[[gnu::nonnull]] bool image_path_is_archive(const char *path);

/** image_format_name() - "oci-archive" */
const char *image_format_name(enum image_format format);
