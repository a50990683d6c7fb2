// SPDX-License-Identifier: GPL-2.0-or-later
/* gpus.c: see gpus.h. Sources: Apptainer's nvliblist.conf, ldconfig(8), the driver's README on /proc/driver/nvidia. */
#include "gpus.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "devices.h"
#include "make_plan.h"
#include "volumes.h"

enum { GPUS_MOST = 64, LIST_MOST = 1 << 20, CACHE_MOST = 8 << 20 };

static const char built_in_list[] =
	"nvidia-smi nvidia-debugdump nvidia-persistenced nvidia-cuda-mps-control "
	"nvidia-cuda-mps-server libcuda.so libcudadebugger.so libnvcuvid.so libnvidia-allocator.so "
	"libnvidia-api.so libnvidia-cbl.so libnvidia-cfg.so libnvidia-compiler.so libnvidia-egl-gbm.so "
	"libnvidia-egl-wayland.so libnvidia-eglcore.so libnvidia-encode.so libnvidia-fatbinaryloader.so "
	"libnvidia-fbc.so libnvidia-glcore.so libnvidia-glsi.so libnvidia-glvkspirv.so "
	"libnvidia-gpucomp.so libnvidia-gtk2.so libnvidia-gtk3.so libnvidia-ifr.so libnvidia-ml.so "
	"libnvidia-ngx.so libnvidia-nscq.so libnvidia-nvvm.so libnvidia-opencl.so "
	"libnvidia-opticalflow.so libnvidia-pkcs11.so libnvidia-pkcs11-openssl3.so "
	"libnvidia-ptxjitcompiler.so libnvidia-rtcore.so libnvidia-tls.so libnvidia-vksc-core.so "
	"libnvoptix.so libEGL_nvidia.so libGLX_nvidia.so libGLESv1_CM_nvidia.so libGLESv2_nvidia.so "
	"libvdpau_nvidia.so libnvidia-wfb.so "
	/* What finds the driver's: one that fits it, also where the image has none or Mesa's. */
	"libGL.so libGLX.so libGLdispatch.so libOpenGL.so libGLESv1_CM.so libGLESv2.so libEGL.so libOpenCL.so";

static const char *driver_root(void)
{
	const char *root = getenv("AZM_NVIDIA_ROOT");

	return root && root[0] == '/' && root[1] ? root : "";
}

/* ---- which ----------------------------------------------------------------------------------------------------- */

struct gpu {
	unsigned minor;
	char uuid[64];
};

struct choice {
	bool all;
	uint64_t count;
	struct str_list names; /* indices or UUIDs */
};

static int parse(const char *text, struct choice *choice, struct azm_err *err)
{
	size_t length = strlen(text);
	/* Docker wants '"device=0,1"', with the quotes, because the value is a line of CSV. */
	bool quoted = length >= 2 && text[0] == '"' && text[length - 1] == '"';
	cleanup_free char *plain = xasprintf("%.*s", (int)(quoted ? length - 2 : length), text + quoted);

	*choice = (struct choice){ 0 };
	if (strcmp(plain, "all") == 0 || strcmp(plain, "count=all") == 0 || strcmp(plain, "-1") == 0) {
		choice->all = true;
		return 0;
	}
	const char *count = str_starts(plain, "count=") ? plain + strlen("count=") : plain;
	if (str_to_u64(count, GPUS_MOST, &choice->count) && choice->count > 0)
		return 0;
	if (str_starts(plain, "device=") && plain[strlen("device=")]) {
		str_list_split(&choice->names, plain + strlen("device="), ',');
		return 0;
	}
	return err_msg(err, EINVAL, "use --gpus", text, "expected all, a number, or device=INDEX|UUID[,...]");
}

int gpus_check(const char *text, struct azm_err *err)
{
	struct choice choice;
	int result = parse(text, &choice, err);

	str_list_free(&choice.names);
	return result;
}

/* What the kernel's part says of each GPU; without it (an old driver) they have no UUID. */
static void read_uuids(struct gpu *gpus, size_t count)
{
	cleanup_free char *path = xasprintf("%s/proc/driver/nvidia/gpus", driver_root());
	cleanup_dir DIR *dir = opendir(path);

	for (const struct dirent *entry; dir && (entry = dir_next(dir));) {
		char uuid[64] = "";
		unsigned minor;
		cleanup_free char *file = xasprintf("%s/%s/information", path, entry->d_name);
		cleanup_free char *text = read_path(file, 65536, NULL);
		const char *id = text ? strstr(text, "GPU UUID:") : NULL;
		const char *number = text ? strstr(text, "Device Minor:") : NULL;
		if (!id || !number || sscanf(id, "GPU UUID: %63s", uuid) != 1 ||
			sscanf(number, "Device Minor: %u", &minor) != 1)
			continue;
		for (size_t i = 0; i < count; i++)
			if (gpus[i].minor == minor)
				memcpy(gpus[i].uuid, uuid, sizeof uuid);
	}
}

static int by_minor(const void *a, const void *b)
{
	const struct gpu *left = a, *right = b;

	return left->minor < right->minor ? -1 : left->minor > right->minor;
}

static size_t find_gpus(struct gpu gpus[GPUS_MOST])
{
	cleanup_free char *path = xasprintf("%s/dev", driver_root());
	cleanup_dir DIR *dir = opendir(path);
	size_t count = 0;
	uint64_t minor;

	for (const struct dirent *entry; dir && count < GPUS_MOST && (entry = dir_next(dir));)
		if (str_starts(entry->d_name, "nvidia") &&
			str_to_u64(entry->d_name + strlen("nvidia"), 1 << 20, &minor))
			gpus[count++] = (struct gpu){ .minor = (unsigned)minor };
	if (count > 1)
		qsort(gpus, count, sizeof *gpus, by_minor);
	read_uuids(gpus, count);
	return count;
}

static int add_node(const char *name, bool required, struct mount_plan *plan, struct azm_err *err)
{
	cleanup_free char *host = xasprintf("%s/dev/%s", driver_root(), name);
	cleanup_free char *inside = xasprintf("/dev/%s", name);

	if (!required && access(host, F_OK) < 0)
		return 0;
	return device_add(host, inside, plan, err);
}

/* One node for each right of a part of a GPU (MIG); the host's administrator gives them to users by their modes. */
static int add_capabilities(struct mount_plan *plan, struct azm_err *err)
{
	static const char directory[] = "nvidia-caps", prefix[] = "nvidia-cap";
	cleanup_free char *path = xasprintf("%s/dev/%s", driver_root(), directory);
	cleanup_dir DIR *dir = opendir(path);
	uint64_t number;

	for (const struct dirent *entry; dir && (entry = dir_next(dir));) {
		if (!str_starts(entry->d_name, prefix) ||
			!str_to_u64(entry->d_name + strlen(prefix), 1 << 20, &number) ||
			faccessat(dirfd(dir), entry->d_name, R_OK, AT_EACCESS) < 0)
			continue;
		cleanup_free char *name = xasprintf("%s/%s", directory, entry->d_name);
		if (add_node(name, true, plan, err) < 0)
			return -1;
	}
	return 0;
}

static int add_gpu(const struct gpu *gpu, struct mount_plan *plan, struct azm_err *err)
{
	char name[32];

	snprintf(name, sizeof name, "nvidia%u", gpu->minor);
	return add_node(name, true, plan, err);
}

static int add_named(
	const char *name, const struct gpu *gpus, size_t count, struct mount_plan *plan, struct azm_err *err)
{
	uint64_t index;

	if (str_to_u64(name, GPUS_MOST, &index) && index < count)
		return add_gpu(&gpus[index], plan, err);
	for (size_t i = 0; i < count; i++)
		if (*gpus[i].uuid && strcmp(gpus[i].uuid, name) == 0)
			return add_gpu(&gpus[i], plan, err);
	err_msg(err, ENODEV, "use --gpus device", name, "this host has no such GPU (it has %zu)", count);
	return err_hint(err, "`nvidia-smi -L` lists them");
}

static int add_chosen(const struct choice *choice, struct mount_plan *plan, struct azm_err *err)
{
	struct gpu gpus[GPUS_MOST];
	size_t count = find_gpus(gpus);

	if (count == 0) {
		err_msg(err, ENODEV, "use --gpus", NULL,
			"this host has no NVIDIA GPU, or its driver is not loaded: there is no %s/dev/nvidia0",
			driver_root());
		return err_hint(err, "`nvidia-smi` on the host must work first; it also makes the device nodes");
	}
	if (choice->count > count)
		return err_msg(err, ENODEV, "use --gpus", NULL, "%llu were asked for, this host has %zu",
			(unsigned long long)choice->count, count);
	for (size_t i = 0; i < (choice->all ? count : choice->count); i++)
		if (add_gpu(&gpus[i], plan, err) < 0)
			return -1;
	for (size_t i = 0; i < choice->names.count; i++)
		if (add_named(choice->names.items[i], gpus, count, plan, err) < 0)
			return -1;
	return 0;
}

/* ---- libraries and programs ------------------------------------------------------------------------------------ */

static void read_list(struct str_list *names)
{
	const char *config = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
	cleanup_free char *path = config && *config ? xasprintf("%s/azm-sandbox/nvidia.list", config)
						    : xasprintf("%s/.config/azm-sandbox/nvidia.list", home ? home : "");
	cleanup_free char *own = read_path(path, LIST_MOST, NULL);
	cleanup_str_list struct str_list lines = { 0 };

	if (!own) {
		str_list_split(names, built_in_list, ' ');
		return;
	}
	str_list_split(&lines, own, '\n');
	for (size_t i = 0; i < lines.count; i++) {
		char *line = lines.items[i] + strspn(lines.items[i], " \t");
		line[strcspn(line, " \t\r#")] = '\0';
		if (*line && !strchr(line, '/'))
			str_list_add(names, line);
	}
}

/* What `ldconfig -p` prints; it reads the cache of a driver's own root, too. */
static char *read_cache(struct azm_err *err)
{
	static const char *const programs[] = { "/sbin/ldconfig", "/usr/sbin/ldconfig", "/usr/bin/ldconfig" };
	int ends[2];
	cleanup_free char *cache = xasprintf("%s/etc/ld.so.cache", driver_root());
	const char *program = NULL;

	for (size_t i = 0; !program && i < sizeof programs / sizeof *programs; i++)
		if (access(programs[i], X_OK) == 0)
			program = programs[i];
	if (!program) {
		err_msg(err, ENOENT, "use --gpus", NULL,
			"this host has no ldconfig to find the driver's libraries with");
		return NULL;
	}
	if (pipe_pair(ends, err) < 0)
		return NULL;
	pid_t child = fork();
	if (child == 0) {
		char *const argv[] = { (char[]){ "ldconfig" }, (char[]){ "-C" }, cache, (char[]){ "-p" }, NULL };
		char *const envp[] = { (char[]){ "LC_ALL=C" }, NULL };
		dup2(ends[1], STDOUT_FILENO);
		execve(program, argv, envp);
		_exit(EXIT_NOT_FOUND);
	}
	close(ends[1]);
	cleanup_fd int reader = ends[0];
	char *text = child < 0 ? NULL : read_file(reader, CACHE_MOST, NULL);
	if (!text)
		err_sys(err, "run", program);
	if (child > 0)
		waitpid(child, NULL, 0);
	return text;
}

/* "libcuda.so" is the beginning of "libcuda.so.1", not of "libcuda.sophisticated". */
static bool is_listed(const char *name, const struct str_list *names)
{
	for (size_t i = 0; i < names->count; i++) {
		size_t length = strlen(names->items[i]);
		if (strncmp(name, names->items[i], length) == 0 && strchr(".", name[length]))
			return true;
	}
	return false;
}

static bool is_this_machine(const char *flags)
{
#if defined(__x86_64__)
	return strstr(flags, "x86-64") != NULL;
#elif defined(__aarch64__)
	return strstr(flags, "AArch64") != NULL;
#else
	(void)flags;
	return true;
#endif
}

static bool has_target(const struct mount_plan *plan, const char *target)
{
	for (size_t i = 0; i < plan->volume_count; i++)
		if (strcmp(plan->volumes[i].target, target) == 0)
			return true;
	return false;
}

/* A file of the driver; its path is as its own root sees it, or already the host's. */
static int add_file(const char *path, const char *target, struct mount_plan *plan, struct azm_err *err)
{
	cleanup_free char *below = xasprintf("%s%s", driver_root(), path);

	if (has_target(plan, target))
		return 0; /* the first one in the cache is the one the loader takes */
	struct volume *volume = volume_add(plan, target, err);
	if (!volume)
		return -1;
	volume->kind = VOLUME_BIND;
	volume->read_only = true;
	if (host_path_open(access(below, F_OK) == 0 ? below : path, &volume->source, err) < 0)
		return -1;
	return S_ISREG(volume->source.type) ? 0 : err_msg(err, EINVAL, "use the driver's", path, "it is no file");
}

/* "\tlibcuda.so.1 (libc6,x86-64) => /usr/lib/x86_64-linux-gnu/libcuda.so.1" */
static int add_library(
	const char *line, const struct str_list *names, struct mount_plan *plan, bool *cuda, struct azm_err *err)
{
	char name[256], flags[256], path[1024];

	if (sscanf(line, " %255s (%255[^)]) => %1023s", name, flags, path) != 3 || strchr(name, '/') ||
		!is_this_machine(flags) || !is_listed(name, names))
		return 0;
	*cuda = *cuda || str_starts(name, "libcuda.so");
	cleanup_free char *target = xasprintf(GPU_TARGET "/lib64/%s", name);
	return add_file(path, target, plan, err);
}

static int add_libraries(const struct str_list *names, struct mount_plan *plan, struct azm_err *err)
{
	cleanup_free char *cache = read_cache(err);
	cleanup_str_list struct str_list lines = { 0 };
	bool cuda = false;

	if (!cache)
		return -1;
	str_list_split(&lines, cache, '\n');
	for (size_t i = 0; i < lines.count; i++)
		if (add_library(lines.items[i], names, plan, &cuda, err) < 0)
			return -1;
	if (cuda)
		return 0;
	err_msg(err, ENOENT, "use --gpus", NULL,
		"ldconfig's cache has no libcuda.so: the driver's libraries are not installed where "
		"the loader finds them");
	return err_hint(err, "run ldconfig as root after installing the driver, or set AZM_NVIDIA_ROOT to its root");
}

static int add_programs(const struct str_list *names, struct mount_plan *plan, struct azm_err *err)
{
	static const char *const directories[] = { "/usr/bin", "/usr/local/bin", "/bin", "/usr/sbin" };

	for (size_t i = 0; i < names->count; i++) {
		if (strstr(names->items[i], ".so"))
			continue;
		for (size_t k = 0; k < sizeof directories / sizeof *directories; k++) {
			cleanup_free char *path = xasprintf("%s/%s", directories[k], names->items[i]);
			cleanup_free char *host = xasprintf("%s%s", driver_root(), path);
			cleanup_free char *target = xasprintf(GPU_TARGET "/bin/%s", names->items[i]);
			if (access(host, X_OK) == 0 && add_file(path, target, plan, err) < 0)
				return -1;
		}
	}
	return 0;
}

int gpus_plan(const struct config *config, struct mount_plan *plan, struct azm_err *err)
{
	static const char *const optional[] = { "nvidia-uvm", "nvidia-uvm-tools", "nvidia-modeset" };
	struct choice choice = { 0 };
	cleanup_str_list struct str_list names = { 0 };

	if (!config->gpus)
		return 0;
	int result = parse(config->gpus, &choice, err);
	if (result == 0)
		result = add_chosen(&choice, plan, err);
	str_list_free(&choice.names);
	if (result < 0 || add_node("nvidiactl", true, plan, err) < 0)
		return -1;
	for (size_t i = 0; i < sizeof optional / sizeof *optional; i++)
		if (add_node(optional[i], false, plan, err) < 0)
			return -1;
	if (add_capabilities(plan, err) < 0)
		return -1;
	read_list(&names);
	return add_libraries(&names, plan, err) < 0 ? -1 : add_programs(&names, plan, err);
}

static void append(struct str_list *env, const char *name, const char *directory)
{
	size_t length = strlen(name);

	for (size_t i = 0; i < env->count; i++) {
		if (strncmp(env->items[i], name, length) != 0 || env->items[i][length] != '=')
			continue;
		cleanup_free char *longer =
			xasprintf("%s%s%s", env->items[i], env->items[i][length + 1] ? ":" : "", directory);
		env_set(env, longer);
		return;
	}
	cleanup_free char *alone = xasprintf("%s=%s", name, directory);
	env_set(env, alone);
}

void gpus_environment(const struct config *config, struct str_list *env)
{
	if (!config->gpus)
		return;
	append(env, "LD_LIBRARY_PATH", GPU_TARGET "/lib64");
	append(env, "PATH", GPU_TARGET "/bin");
}
