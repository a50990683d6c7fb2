// SPDX-License-Identifier: GPL-2.0-or-later
/* gpus.h: --gpus: NVIDIA devices, and of the host's driver the libraries and tools, in any image (Apptainer's --nv).
 *
 * The driver's user-space part must be of the version of the kernel's part, so it comes from the host: what ldconfig
 * knows of a list of libraries, bound read-only below GPU_TARGET, which is added to LD_LIBRARY_PATH and PATH. The list
 * is built in; $XDG_CONFIG_HOME/azm-sandbox/nvidia.list (default ~/.config) replaces it: one name a line, libraries up
 * to
 * ".so", programs without. AZM_NVIDIA_ROOT: the root of a driver that is installed elsewhere (/run/nvidia/driver).
 */
#pragma once
#include "config.h"
#include "mount/mount.h"

#define GPU_TARGET "/dev/.azm/nvidia"

/** gpus_check() - the syntax: all, a number, count=N, device=INDEX|UUID[,...]. */
int gpus_check(const char *text, struct azm_err *err);

/** gpus_plan() - the mounts. Return: 0 (also without --gpus), -1 with @err set: no such GPU, no driver, no library. */
int gpus_plan(const struct config *config, struct mount_plan *plan, struct azm_err *err);

/** gpus_environment() - where the libraries and programs are, behind what the image and the user have. */
void gpus_environment(const struct config *config, struct str_list *env);
