// SPDX-License-Identifier: GPL-2.0-or-later
/* tests/lib/plan_free.h: release a decoded plan. azm-init never does, its plan lives as long as it; tests look for
 * leaks. */
#pragma once
#include <stdlib.h>

#include "init/plan.h"

static inline void plan_free_strings(char **list, size_t count)
{
	for (size_t i = 0; list && i < count; i++)
		free(list[i]);
	free(list);
}

static inline void plan_free_mounts(struct mount_plan *mounts)
{
	for (size_t i = 0; i < mounts->lower_count; i++)
		free(mounts->lowers[i].path);
	free(mounts->lowers);
	free(mounts->upper.path);
	free(mounts->work.path);
	for (size_t i = 0; i < mounts->volume_count; i++) {
		free(mounts->volumes[i].source.path);
		free(mounts->volumes[i].upper.path);
		free(mounts->volumes[i].work.path);
		free(mounts->volumes[i].target);
		for (size_t k = 0; k < mounts->volumes[i].guarded_count; k++) {
			free(mounts->volumes[i].guarded[k].path);
			free(mounts->volumes[i].guarded[k].text);
		}
		free(mounts->volumes[i].guarded);
		for (size_t k = 0; k < mounts->volumes[i].layer_count; k++)
			free(mounts->volumes[i].layers[k].path);
		free(mounts->volumes[i].layers);
	}
	free(mounts->volumes);
	for (size_t i = 0; i < mounts->file_count; i++) {
		free(mounts->files[i].target);
		free(mounts->files[i].text);
	}
	free(mounts->files);
}

static inline void plan_free(struct plan *plan)
{
	plan_free_mounts(&plan->mount);
	free(plan->copy.path);
	free(plan->copy.name);
	free(plan->hostname);
	free(plan->groups);
	free(plan->filter);
	free(plan->limits);
	plan_free_strings(plan->argv, plan->argc);
	plan_free_strings(plan->envp, plan->envc);
	free(plan->cwd);
}
