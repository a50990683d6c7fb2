// SPDX-License-Identifier: GPL-2.0-or-later
/* host_sockets.c: see host_sockets.h */
#include "host_sockets.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/str.h"

enum { ENTRIES_MAX = 4096, NOTES_MAX = 4 };

/* Where they lie in a directory people mount: /run, /var/run, /run/user/UID, /tmp, a home. */
static const struct known_socket {
	const char *path;
	const char *service;
} known[] = {
	{ "docker.sock", "Docker" },
	{ ".docker/run/docker.sock", "Docker" },
	{ ".docker/desktop/docker.sock", "Docker" },
	{ "podman.sock", "podman" },
	{ "podman/podman.sock", "podman" },
	{ "containerd.sock", "containerd" },
	{ "containerd/containerd.sock", "containerd" },
	{ "crio/crio.sock", "CRI-O" },
	{ "lxd.socket", "LXD" },
	{ "libvirt/libvirt-sock", "libvirt" },
	{ "snapd.sock", "snapd" },
	{ "bus", "the session's D-Bus" },
	{ "dbus/system_bus_socket", "D-Bus" },
	{ "system_bus_socket", "D-Bus" },
	{ "systemd/private", "systemd" },
	{ "S.gpg-agent", "gpg-agent" },
	{ "S.gpg-agent.ssh", "gpg-agent" },
	{ "gnupg/S.gpg-agent", "gpg-agent" },
	{ "gnupg/S.gpg-agent.ssh", "gpg-agent" },
	{ ".gnupg/S.gpg-agent", "gpg-agent" },
	{ ".gnupg/S.gpg-agent.ssh", "gpg-agent" },
	{ "ssh-agent", "ssh-agent" },
	{ "ssh-agent.socket", "ssh-agent" },
	{ "keyring/ssh", "ssh-agent" },
	{ "gcr/ssh", "ssh-agent" },
	{ "wayland-0", "the desktop" },
	{ ".X11-unix/X0", "the desktop" },
	{ "pipewire-0", "the desktop" },
	{ "pulse/native", "the desktop" },
};

static bool is_socket(int dir, const char *path)
{
	struct stat st;

	return fstatat(dir, path, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISSOCK(st.st_mode);
}

static bool is_known(const char *name)
{
	for (size_t i = 0; i < sizeof known / sizeof *known; i++)
		if (strcmp(known[i].path, name) == 0)
			return true;
	return false;
}

static void tell(const char *directory, const char *path, const char *service)
{
	cleanup_free char *text = xasprintf("%s/%s", directory, path);

	str_sanitise(text);
	fprintf(stderr, "azm-sandbox: note: guard: the sandbox can connect to the socket %s%s%s\n", text,
		service ? " of " : "", service ? service : "");
}

/* ssh-agent's own are called agent.PID. */
static const char *service_by_name(const char *name)
{
	return str_starts(name, "agent.") ? "ssh-agent" : str_starts(name, "S.gpg-agent") ? "gpg-agent" : NULL;
}

static int refuse(const char *directory, const char *path, const char *service, struct azm_err *err)
{
	err_msg(err, EPERM, "mount", directory, "the socket %s in it would let the sandbox command %s", path, service);
	return err_hint(err, "mount a directory without it; --guard report mounts it and says so");
}

static int check_top(const char *directory, int copy, bool refusing, struct azm_err *err)
{
	cleanup_dir DIR *dir = fdopendir(copy);
	int told = 0;

	for (int i = 0; dir && i < ENTRIES_MAX; i++) {
		const struct dirent *entry = dir_next(dir);
		if (!entry && errno)
			return err_sys(err, "look for sockets of the host in", directory);
		if (!entry)
			break;
		if ((entry->d_type != DT_SOCK && entry->d_type != DT_UNKNOWN) || is_known(entry->d_name) ||
			!is_socket(dirfd(dir), entry->d_name))
			continue;
		const char *service = service_by_name(entry->d_name);
		if (service && refusing)
			return refuse(directory, entry->d_name, service, err);
		if (told++ < NOTES_MAX)
			tell(directory, entry->d_name, service);
	}
	return 0;
}

static int check_directory(const char *directory, bool refusing, struct azm_err *err)
{
	/* What we cannot read, the sandbox can neither list nor, as a rule, enter. */
	int dir = open(directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	cleanup_fd int path = open(directory, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	for (size_t i = 0; path >= 0 && i < sizeof known / sizeof *known; i++) {
		if (!is_socket(path, known[i].path))
			continue;
		if (refusing) {
			if (dir >= 0)
				close(dir);
			return refuse(directory, known[i].path, known[i].service, err);
		}
		tell(directory, known[i].path, known[i].service);
	}
	return dir < 0 ? 0 : check_top(directory, dir, refusing, err);
}

int host_sockets_check(const struct config *config, const struct mount_plan *mounts, struct azm_err *err)
{
	bool refusing = strcmp(config->guard, "on") == 0;

	if (strcmp(config->guard, "off") == 0)
		return 0;
	for (size_t i = 0; i < mounts->volume_count; i++) {
		const struct volume *volume = &mounts->volumes[i];
		/* A socket in the lower layer of an overlay is a dead file there: connect() goes by the inode. */
		if (volume->kind == VOLUME_BIND && volume->source.type == S_IFDIR &&
			check_directory(volume->source.path, refusing, err) < 0)
			return -1;
	}
	return 0;
}
