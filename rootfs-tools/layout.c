// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/layout.c: see layout.h. OCI image specification, image-layout.md. */
#include "rootfs-tools/layout.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "mount/mount.h"
#include "rootfs-tools/tar_index.h"

struct layout {
	int fd;
	struct tar_index *index; /* NULL: fd is a directory */
	struct layout_supply supply;
};

struct layout *layout_of_directory(int dirfd, struct azm_err *err)
{
	struct layout *layout = xcalloc(1, sizeof *layout);

	layout->fd = dirfd;
	if (layout_has(layout, "index.json"))
		return layout;
	err_msg(err, EINVAL, "read the image", NULL, "the directory has no index.json: it is not an OCI layout");
	layout_free(layout);
	return NULL;
}

struct layout *layout_of_archive(int fd, uint64_t size, struct azm_err *err)
{
	struct layout *layout = xcalloc(1, sizeof *layout);

	layout->fd = fd;
	layout->index = tar_index_new(fd, size, err);
	if (layout->index)
		return layout;
	layout_free(layout);
	return NULL;
}

struct layout *layout_of_store(int dirfd, const struct layout_supply *supply)
{
	struct layout *layout = xcalloc(1, sizeof *layout);

	layout->fd = dirfd;
	layout->supply = *supply;
	return layout;
}

int layout_need(struct layout *layout, const struct digest *digest, uint64_t size, bool document, struct azm_err *err)
{
	const struct layout_supply *supply = &layout->supply;

	return supply->need ? supply->need(supply->context, digest, size, document, err) : 0;
}

void layout_free(struct layout *layout)
{
	if (!layout)
		return;
	tar_index_free(layout->index);
	close(layout->fd);
	free(layout);
}

/* Looked at before it is opened: a layout made by somebody else may have a FIFO for a blob. */
static int open_file(const struct layout *layout, const char *name, struct blob *blob, struct azm_err *err)
{
	struct stat st;
	cleanup_fd int seen = resolve_in_root(layout->fd, name, O_PATH);

	if (seen < 0 || fstat(seen, &st) < 0)
		return err_sys(err, "read the image's", name);
	if (!S_ISREG(st.st_mode))
		return err_msg(err, EINVAL, "read the image's", name, "not a regular file");
	cleanup_fd int fd = resolve_in_root(layout->fd, name, O_RDONLY | O_NONBLOCK | O_NOCTTY);
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_sys(err, "read the image's", name);
	if (!S_ISREG(st.st_mode))
		return err_msg(err, EINVAL, "read the image's", name, "not a regular file");
	*blob = (struct blob){ .fd = steal_fd(&fd), .size = (uint64_t)st.st_size };
	return 0;
}

bool layout_has(struct layout *layout, const char *name)
{
	struct azm_err ignored = { 0 };
	struct blob blob;

	if (layout_open(layout, name, &blob, &ignored) < 0)
		return false;
	layout_close_blob(layout, &blob);
	return true;
}

int layout_open(struct layout *layout, const char *name, struct blob *blob, struct azm_err *err)
{
	*blob = (struct blob){ .fd = -1 };
	if (!layout->index)
		return open_file(layout, name, blob, err);
	if (!tar_index_find(layout->index, name, &blob->offset, &blob->size))
		return err_code(err, ENOENT, "read the image's", name);
	blob->fd = layout->fd;
	return 0;
}

int layout_open_blob(
	struct layout *layout, const struct digest *digest, uint64_t size, struct blob *blob, struct azm_err *err)
{
	char text[DIGEST_TEXT_SIZE];

	digest_text(digest, text);
	*strchr(text, ':') = '/';
	cleanup_free char *name = xasprintf("blobs/%s", text);
	if (layout_open(layout, name, blob, err) < 0)
		return -1;
	if (blob->size == size)
		return 0;
	layout_close_blob(layout, blob);
	return err_msg(err, EBADMSG, "verify", name, "it has another size than the image says");
}

void layout_close_blob(const struct layout *layout, struct blob *blob)
{
	if (blob->fd >= 0 && blob->fd != layout->fd)
		close(blob->fd);
	blob->fd = -1;
}

char *layout_read(const struct blob *blob, const struct digest *digest, size_t limit, size_t *size, struct azm_err *err)
{
	char text[DIGEST_TEXT_SIZE] = "a document of the image";

	if (digest)
		digest_text(digest, text);
	if (blob->size > limit) {
		err_msg(err, EFBIG, "read", text, "it is larger than %zu KiB", limit >> 10);
		return NULL;
	}
	const size_t length = (size_t)blob->size;
	cleanup_free char *data = xcalloc(1, length + 1);
	for (size_t had = 0; had < length;) {
		ssize_t n = TEMP_FAILURE_RETRY(pread(blob->fd, data + had, length - had, (off_t)(blob->offset + had)));
		if (n <= 0) {
			err_code(err, n < 0 ? errno : EIO, "read", text);
			return NULL;
		}
		had += (size_t)n;
	}
	if (digest) {
		struct digest found;
		struct hasher *hasher = hasher_new(digest->algorithm);
		hasher_add(hasher, data, length);
		hasher_end(hasher, &found);
		if (!digest_equal(&found, digest)) {
			err_msg(err, EBADMSG, "verify", text, "the content is not what the image names");
			return NULL;
		}
	}
	if (size)
		*size = length;
	return steal_ptr(&data);
}
