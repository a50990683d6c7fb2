// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/config_change.c: see config_change.h. The lines are read and applied as `build` does it. */
#include "rootfs-tools/config_change.h"

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "rootfs-tools/build.h"

static bool changes_settings(enum instruction_kind kind)
{
	return kind != DF_ADD && kind != DF_ARG && kind != DF_COPY && kind != DF_FROM && kind != DF_RUN &&
	       kind != DF_MAINTAINER;
}

static int apply_line(struct build *build, struct stage *stage, const char *line, struct azm_err *err)
{
	/* A Dockerfile begins with FROM. */
	cleanup_free char *text = xasprintf("FROM scratch\n%s\n", line);

	if (dockerfile_parse(text, strlen(text), "--change", &build->dockerfile, err) < 0)
		return -1;
	int result = 0;
	for (size_t i = 1; result == 0 && i < build->dockerfile.count; i++) {
		const struct instruction *in = &build->dockerfile.items[i];
		result = changes_settings(in->kind)
				 ? build_setting(build, stage, in, err)
				 : err_msg(err, EINVAL, "change the image by", instruction_name(in->kind),
					   "only instructions that change the configuration can");
	}
	dockerfile_free(&build->dockerfile);
	return result;
}

int config_change(json_t *config, const struct str_list *lines, struct azm_err *err)
{
	struct build build = { 0 };
	struct stage stage = { .image = config, .lock = -1, .view = -1 };
	int result = 0;

	if (!json_is_object(json_object_get(config, "config")))
		json_object_set_new(config, "config", json_object());
	for (size_t i = 0; result == 0 && i < lines->count; i++)
		if (apply_line(&build, &stage, lines->items[i], err) < 0)
			result = err_wrap(err, "use --change", lines->items[i]);
	str_list_free(&stage.args);
	return result;
}
