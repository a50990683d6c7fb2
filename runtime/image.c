// SPDX-License-Identifier: GPL-2.0-or-later
/* image.c: see image.h. Sources: OCI image-spec config.md; spec of the runtime image for what counts as a server. */
#include "image.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"

/* Commands that serve OpenHands' protocol themselves; a label says it for every other image. */
static const char server_label[] = "org.azm-sandbox.server";
static const char *const server_words[] = { "azm-runtime-server", "openhands-agent-server", "openhands.agent_server",
	"action_execution_server" };

static int wrong_type(const char *key, struct azm_err *err)
{
	return err_msg(err, EINVAL, "read image.json", NULL, "config.%s has the wrong type", key);
}

static int take_list(const json_t *config, const char *key, struct str_list *list, struct azm_err *err)
{
	const json_t *array = json_object_get(config, key);
	size_t i;
	json_t *item;

	if (!array || json_is_null(array))
		return 0;
	if (!json_is_array(array) || json_array_size(array) > 4096)
		return wrong_type(key, err);
	json_array_foreach((json_t *)(uintptr_t)array, i, item)
	{
		if (!json_is_string(item))
			return wrong_type(key, err);
		str_list_add(list, json_string_value(item));
	}
	return 0;
}

static int take_text(const json_t *config, const char *key, char **text, struct azm_err *err)
{
	const json_t *value = json_object_get(config, key);

	if (!value || json_is_null(value))
		return 0;
	if (!json_is_string(value))
		return wrong_type(key, err);
	if (*json_string_value(value))
		*text = xstrdup(json_string_value(value));
	return 0;
}

static uint16_t first_port(const json_t *ports)
{
	const char *key;
	json_t *value;
	uint64_t best = 0;

	json_object_foreach((json_t *)(uintptr_t)ports, key, value)
	{
		char digits[8] = "";
		size_t length = strcspn(key, "/");
		uint64_t port;
		if (length >= sizeof digits || (key[length] && strcmp(key + length, "/tcp") != 0))
			continue;
		memcpy(digits, key, length);
		if (str_to_u64(digits, 65535, &port) && port && (!best || port < best))
			best = port;
	}
	return (uint16_t)best;
}

static bool starts_server(const struct image *image, const json_t *config)
{
	const struct str_list *lists[] = { &image->entrypoint, &image->cmd };

	if (json_object_get(json_object_get(config, "Labels"), server_label))
		return true;
	for (size_t l = 0; l < 2; l++)
		for (size_t i = 0; i < lists[l]->count; i++)
			for (size_t w = 0; w < sizeof server_words / sizeof *server_words; w++)
				if (strstr(lists[l]->items[i], server_words[w]))
					return true;
	return false;
}

int image_read_config(struct image *image, const char *text, size_t size, struct azm_err *err)
{
	json_error_t detail;
	json_t *object = json_loadb(text, size, JSON_REJECT_DUPLICATES, &detail);
	const json_t *config = json_object_get(object, "config");
	int result = -1;

	if (!json_is_object(object))
		err_msg(err, EINVAL, "read image.json", NULL, "line %d: %s", detail.line,
			object ? "not an object" : detail.text);
	else if (config && !json_is_object(config) && !json_is_null(config))
		wrong_type("*", err);
	else if (take_list(config, "Env", &image->env, err) == 0 &&
		 take_list(config, "Entrypoint", &image->entrypoint, err) == 0 &&
		 take_list(config, "Cmd", &image->cmd, err) == 0 && take_text(config, "User", &image->user, err) == 0 &&
		 take_text(config, "WorkingDir", &image->workdir, err) == 0 &&
		 take_text(config, "StopSignal", &image->stop_signal, err) == 0)
		result = 0;
	if (result == 0) {
		image->port = first_port(json_object_get(config, "ExposedPorts"));
		image->has_server = starts_server(image, config);
	}
	json_decref(object);
	return result;
}

/* An image of another architecture fails at the first exec with a riddle; say it now. Looks at what most images have.
 */
int image_check_architecture(const struct image *image, const char *name, struct azm_err *err)
{
	static const char *const programs[] = { "/bin/sh", "/bin/bash", "/bin/busybox", "/usr/bin/env" };
#if defined __x86_64__
	enum { OURS = EM_X86_64 };
#elif defined __aarch64__
	enum { OURS = EM_AARCH64 };
#else
#error "the syscall table has no column for this architecture"
#endif
	for (size_t i = 0; i < sizeof programs / sizeof *programs; i++) {
		Elf64_Ehdr header;
		cleanup_fd int fd = stack_open(&image->stack, programs[i], O_RDONLY | O_NONBLOCK);
		if (fd < 0 || read_full(fd, &header, sizeof header) != (ssize_t)sizeof header ||
			memcmp(header.e_ident, ELFMAG, SELFMAG) != 0)
			continue;
		if (header.e_machine != OURS && header.e_machine != EM_386 && header.e_machine != EM_ARM) {
			err_msg(err, ENOEXEC, "use image", name,
				"its programs are for another architecture (ELF machine %u)", header.e_machine);
			return err_hint(err, "get the image for this machine's architecture");
		}
		return 0;
	}
	return 0;
}

static bool has_child(int dir, const char *name)
{
	return faccessat(dir, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

int image_add_lower(const char *path, struct image *image, struct azm_err *err)
{
	struct stat st;
	struct host_path lower;

	if (host_path_open(path, &lower, err) < 0)
		return -1;
	image->lowers = xrealloc(image->lowers, image->lower_count + 1, sizeof *image->lowers);
	image->lowers[image->lower_count++] = lower;
	if (lower.type != S_IFDIR) {
		err_msg(err, ENOTDIR, "use image", path, "it is not a directory");
		return err_hint(err, "unpack it first; --rootfs takes a directory");
	}
	cleanup_fd int fd = open(lower.path, O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_sys(err, "open image", path);
	if (st.st_dev != lower.dev || st.st_ino != lower.ino)
		return err_msg(err, EAGAIN, "open image", path, "it changed just now");
	if (faccessat(fd, ".", R_OK | X_OK, 0) < 0)
		return err_sys(err, "read image", path);
	image->owner = st.st_uid;
	image->stack.fds = xrealloc(image->stack.fds, image->stack.count + 1, sizeof *image->stack.fds);
	image->stack.fds[image->stack.count++] = steal_fd(&fd);
	return 0;
}

static int open_root(const char *path, struct image *image, struct azm_err *err)
{
	if (image_add_lower(path, image, err) == 0)
		return 0;
	return err_is(err, ENOENT) ? err_hint(err, "make an image with `azm-rootfs bootstrap %s`", path) : -1;
}

/* The lowest directory is no part of the tree after all: it holds the one that is. */
static void drop_lowest(struct image *image)
{
	host_path_free(&image->lowers[--image->lower_count]);
	close(image->stack.fds[--image->stack.count]);
}

static int open_bundle(const char *path, struct image *image, struct azm_err *err)
{
	cleanup_free char *config = xasprintf("%s/image.json", path);
	cleanup_free char *root = xasprintf("%s/rootfs", path);
	size_t size;
	cleanup_fd int fd = open(config, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return err_sys(err, "read", config);
	if (!S_ISREG(st.st_mode))
		return err_msg(err, EINVAL, "read", config, "it is not a regular file");
	cleanup_free char *text = read_file(fd, 1 << 20, &size);
	if (!text)
		return err_sys(err, "read", config);
	if (image_read_config(image, text, size, err) < 0)
		return err_wrap(err, "use image", path);
	drop_lowest(image);
	return open_root(root, image, err);
}

int image_open(const char *path, const struct str_list *layers, struct image *image, struct azm_err *err)
{
	*image = (struct image){ 0 };
	for (size_t i = 0; layers && i < layers->count; i++)
		if (image_add_lower(layers->items[i], image, err) < 0)
			return err_wrap(err, "use layer", layers->items[i]);
	if (open_root(path, image, err) < 0)
		return -1;
	/* A bundle is told from a root tree by its two names; a root tree has no /image.json beside a /rootfs. */
	int root = image->stack.fds[image->stack.count - 1];
	if (has_child(root, "image.json") && has_child(root, "rootfs") && open_bundle(path, image, err) < 0)
		return -1;
	if (dir_is_empty(image->stack.fds[image->stack.count - 1], ".")) {
		err_msg(err, ENOENT, "use image", path, "the directory is empty");
		return err_hint(err, "make an image with `azm-rootfs bootstrap DIR`");
	}
	return image_check_architecture(image, path, err);
}

void image_close(struct image *image)
{
	for (size_t i = 0; i < image->lower_count; i++)
		host_path_free(&image->lowers[i]);
	free(image->lowers);
	stack_close(&image->stack);
	if (image->stored)
		close(image->store_lock);
	str_list_free(&image->env);
	str_list_free(&image->entrypoint);
	str_list_free(&image->cmd);
	free(image->user);
	free(image->workdir);
	free(image->stop_signal);
	*image = (struct image){ 0 };
}
