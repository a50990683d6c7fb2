// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/tree_compare.h: every difference of two trees, as an image has them. */
#pragma once
#include <stdint.h>

#include "rootfs-tools/content_book.h"
#include "rootfs-tools/job.h"
#include "rootfs-tools/layer_write.h"

struct tree_comparison {
	struct recorded_tree found, wanted;
	const struct content_book *contents; /* of `wanted`, whose files have none on disk */
	struct job *job;
	/* Called for each difference: "missing", "added", or what is another: "type", "mode", "owner", "content" ...
	 * separated by ", ". The path is not sanitised. */
	void (*report)(void *context, const char *path, const char *what);
	void *context;
	uint64_t files, differences; /* results */
};

/**
 * tree_compare() - compare types, content, modes, owners, links, devices, attributes, and times but those of
 * directories
 *
 * Return: 0, @comparison's results set; -1 with @err
 */
[[gnu::nonnull]] int tree_compare(struct tree_comparison *comparison, struct azm_err *err);
