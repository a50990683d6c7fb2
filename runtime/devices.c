// SPDX-License-Identifier: GPL-2.0-or-later
/* devices.c: see devices.h. Sources: proc(5), the kernel's devices.txt. */
#include "devices.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "volumes.h"

enum { NODES_MOST = 256, DEPTH_MOST = 3 };

/* Drivers by their name in /proc/devices, "misc/NAME" by their name in /proc/misc. */
static const char *const allowed[] = { "misc/kvm", "misc/fuse", "misc/tun", "misc/rdma_cm", "misc/udmabuf",
	"misc/ntsync", "misc/vhost-net", "misc/vhost-vsock", "drm", "kfd", "accel", "nvidia", "nvidia-frontend",
	"nvidiactl", "nvidia-modeset", "nvidia-uvm", "nvidia-caps", "nvidia-nvswitch", "nvidia-caps-imex-channels",
	"infiniband_verbs", "infiniband_mad", "uverbs", "alsa", "video4linux", "media", "cec", "ttyUSB", "ttyACM",
	"usb_device", "vfio", "habanalabs", "rknpu", "mali", "xdma", "dvb" };

/* Of major 1. The rest of it is the host's memory. */
static const unsigned plain_minors[] = { 3, 5, 7, 8, 9 }; /* null, zero, full, random, urandom */

/* The word behind a number at the beginning of a line. */
static bool number_name(const char *file, const char *section, unsigned number, char *name, size_t size)
{
	cleanup_free char *text = read_path(file, 65536, NULL);
	const char *at = text ? section ? strstr(text, section) : text : NULL;

	for (const char *line = at; line && *line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
		unsigned found;
		char word[64];
		if (line != at && section && *line == '\n')
			return false; /* the other section */
		if (sscanf(line, " %u %63s", &found, word) == 2 && found == number) {
			snprintf(name, size, "%s", word);
			return true;
		}
	}
	return false;
}

static void driver_name(dev_t device, char *name, size_t size)
{
	char word[64];

	snprintf(name, size, "%u:%u", major(device), minor(device));
	if (major(device) == 10 && number_name("/proc/misc", NULL, minor(device), word, sizeof word))
		snprintf(name, size, "misc/%s", word);
	else if (major(device) != 10)
		number_name("/proc/devices", "Character devices:", major(device), name, size);
}

static bool is_allowed(dev_t device, const char *driver)
{
	for (size_t i = 0; major(device) == 1 && i < sizeof plain_minors / sizeof *plain_minors; i++)
		if (minor(device) == plain_minors[i])
			return true;
	for (size_t i = 0; i < sizeof allowed / sizeof *allowed; i++)
		if (strcmp(driver, allowed[i]) == 0)
			return true;
	return false;
}

static int check_kind(const char *path, const struct stat *st, struct azm_err *err)
{
	char driver[80];

	if (S_ISBLK(st->st_mode))
		return err_msg(err, EPERM, "use device", path,
			"it is a block device: its file system would be read and written past every permission");
	if (!S_ISCHR(st->st_mode))
		return err_msg(err, ENODEV, "use device", path, "it is no device");
	driver_name(st->st_rdev, driver, sizeof driver);
	if (is_allowed(st->st_rdev, driver))
		return 0;
	err_msg(err, EPERM, "use device", path, "devices of the kind %s are not let in", driver);
	return err_hint(err, "terminals, input, consoles and memory of the host stay outside; what is let in is in "
			     "docs/docker-runtime.md");
}

int device_add(const char *host, const char *inside, struct mount_plan *plan, struct azm_err *err)
{
	struct volume *volume = volume_add(plan, inside, err);

	if (!volume)
		return -1;
	volume->kind = VOLUME_BIND;
	if (host_path_open(host, &volume->source, err) < 0)
		return -1;
	if (volume->source.type != S_IFCHR)
		return err_msg(err, ENODEV, "use device", host, "it is no character device");
	if (faccessat(AT_FDCWD, volume->source.path, R_OK | W_OK, AT_EACCESS) == 0)
		return 0;
	err_sys(err, "use device", host);
	return err_hint(err, "you may not open it yourself: `ls -l %s` says which group may", host);
}

static int add_tree(const char *host, const char *inside, int depth, struct mount_plan *plan, struct azm_err *err);

static int add_node(const char *host, const char *inside, int depth, struct mount_plan *plan, struct azm_err *err)
{
	struct stat st;

	if (stat(host, &st) < 0)
		return err_sys(err, "use device", host);
	if (S_ISDIR(st.st_mode))
		return add_tree(host, inside, depth, plan, err);
	return check_kind(host, &st, err) < 0 ? -1 : device_add(host, inside, plan, err);
}

/* As Docker: all devices below a directory. Links in it (by-path) are names of the same. */
static int add_tree(const char *host, const char *inside, int depth, struct mount_plan *plan, struct azm_err *err)
{
	cleanup_dir DIR *dir = opendir(host);
	struct stat st;

	if (!dir)
		return err_sys(err, "use device", host);
	if (depth > DEPTH_MOST)
		return err_msg(err, ELOOP, "use device", host, "directories lie too deep");
	const struct dirent *entry;
	while ((entry = dir_next(dir))) {
		if (entry->d_name[0] == '.' || fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
			!(S_ISCHR(st.st_mode) || S_ISDIR(st.st_mode)))
			continue;
		if (plan->volume_count > NODES_MOST)
			return err_msg(err, E2BIG, "use device", host, "more than %d devices", NODES_MOST);
		cleanup_free char *below = xasprintf("%s/%s", host, entry->d_name);
		cleanup_free char *target = xasprintf("%s/%s", inside, entry->d_name);
		if (add_node(below, target, depth + 1, plan, err) < 0)
			return -1;
	}
	return errno ? err_sys(err, "use device", host) : 0;
}

static int check_permissions(const char *text, const char *words, struct azm_err *err)
{
	if (strspn(words, "rwm") != strlen(words) || !*words)
		return err_msg(err, EINVAL, "use --device", text, "permissions are of the letters r, w and m");
	if (!strchr(words, 'r') || !strchr(words, 'w')) {
		err_msg(err, EOPNOTSUPP, "use --device", text,
			"only rw and rwm: what a device node lets a process do is not a matter of the mount");
		return err_hint(err, "Docker uses a device cgroup for that, which only root can set");
	}
	return 0;
}

int devices_plan(const struct config *config, struct mount_plan *plan, struct azm_err *err)
{
	for (size_t i = 0; i < config->devices.count; i++) {
		const char *text = config->devices.items[i];
		cleanup_str_list struct str_list parts = { 0 };
		str_list_split(&parts, text, ':');
		bool only_words = parts.count == 2 && parts.items[1][0] != '/';
		const char *inside = parts.count >= 2 && !only_words ? parts.items[1] : parts.items[0];
		const char *words = parts.count == 3 ? parts.items[2] : only_words ? parts.items[1] : "rwm";
		if (parts.count > 3 || parts.items[0][0] != '/')
			return err_msg(err, EINVAL, "use --device", text, "expected /dev/NAME[:/dev/NAME[:rwm]]");
		if (check_permissions(text, words, err) < 0 || add_node(parts.items[0], inside, 0, plan, err) < 0)
			return -1;
	}
	return 0;
}
