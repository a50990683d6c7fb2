// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/source.c: see source.h.
 *
 * What a file or a pipe is, its first bytes tell when they are surely those of a root file system's tar; otherwise all
 * headers of the decompressed archive are looked at. Only what has to be is written out for that.
 */
#include "rootfs-tools/source.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/str.h"
#include "rootfs-tools/commands.h"
#include "rootfs-tools/scratch.h"
#include "rootfs-tools/tar_index.h"

enum { SPOOLED_PERCENT = 40 };

struct opening {
	const struct source_name *name;
	const struct source_options *options;
	struct job *job;
	struct source *source; /* what it becomes */
};

/* ---- an image -------------------------------------------------------------------------------------------------- */

static int check_platform(const struct opening *o, const struct packed_image *image, struct azm_err *err)
{
	cleanup_free char *wanted = platform_text(o->options->platform);
	cleanup_free char *found = platform_text(&image->platform);

	if (image->fits)
		return 0;
	if (o->options->platform_given)
		return err_msg(err, EINVAL, "choose the image", wanted, "it is for %s", found);
	if (o->job->progress.style != PROGRESS_QUIET) {
		str_sanitise(found);
		fprintf(stderr, "%s: the image is for %s, this machine is %s\n", rootfs_program.name, found, wanted);
	}
	return 0;
}

/* @layout is taken over. */
static int use_image(struct opening *o, struct layout *layout, struct azm_err *err)
{
	const struct image_choice choice = { .platform = o->options->platform,
		.tag = o->options->tag ? o->options->tag : o->name->tag,
		.docker = o->name->kind == SOURCE_DOCKER_ARCHIVE };

	o->source->layout = layout;
	if (packed_image_choose(layout, &choice, &o->source->image, err) < 0 ||
		check_platform(o, &o->source->image, err) < 0)
		return -1;
	o->job->total = o->source->image.size;
	o->job->before = 0;
	return 0;
}

/* ---- a file or a pipe ------------------------------------------------------------------------------------------ */

/* A stream from where the descriptor is. */
static struct stream *stream_of(struct opening *o, int fd, struct azm_err *err)
{
	struct stat st;

	if (fstat(fd, &st) < 0) {
		err_sys(err, "read", o->name->path);
		return NULL;
	}
	off_t at = S_ISREG(st.st_mode) ? lseek(fd, 0, SEEK_CUR) : -1;
	bool known = at >= 0 && at <= st.st_size;
	o->job->total = known ? (uint64_t)(st.st_size - at) : 0;
	struct stream_source from = {
		.fd = fd,
		.offset = known ? (uint64_t)at : 0,
		.size = known ? (uint64_t)(st.st_size - at) : STREAM_SIZE_UNKNOWN,
		.measure = o->options->measure,
		.limit = o->options->limit,
		.tick = job_tick,
		.context = o->job,
	};
	return stream_new(&from, err);
}

/* @stream and @fd are taken over. */
static int use_root(struct opening *o, struct stream *stream, int fd, struct azm_err *err)
{
	const char *architecture = o->options->platform->architecture;

	o->source->stream = stream;
	o->source->fd = fd;
	o->source->architecture = architecture ? xstrdup(architecture) : NULL;
	if (o->options->tag || o->name->tag)
		return err_msg(err, EINVAL, o->job->command, o->name->path,
			"it is the tar of a root file system: it has no tags to choose from");
	return 0;
}

/* The decompressed archive as a file. Return: descriptor at its beginning, -1 with @err. */
static int spool(struct opening *o, struct stream *stream, struct azm_err *err)
{
	cleanup_fd int fd = scratch_file(o->options->scratch, err);
	const void *data;
	ssize_t n;

	if (fd < 0)
		return -1;
	progress_phase(&o->job->progress, "read", "reading the archive", 0, SPOOLED_PERCENT);
	o->source->from = SPOOLED_PERCENT;
	while ((n = stream_next(stream, &data, err)) > 0)
		if (write_full(fd, data, (size_t)n) < 0)
			return err_sys(err, "keep", "the archive");
	if (n < 0 || stream_finish(stream, err) < 0)
		return -1;
	return lseek(fd, 0, SEEK_SET) < 0 ? err_sys(err, "keep", "the archive") : steal_fd(&fd);
}

/* As an image, when it is one. Return: 1 it is none, 0, -1. */
static int try_image(struct opening *o, int fd, struct azm_err *err)
{
	const bool told = o->name->kind != SOURCE_AUTO;
	struct stat st;
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);

	if (copy < 0 || fstat(copy, &st) < 0) {
		cleanup_close_fd(&copy);
		return err_sys(err, "read", o->name->path);
	}
	struct layout *layout = layout_of_archive(copy, (uint64_t)st.st_size, err);
	if (!layout && told)
		return -1;
	err_clear(err);
	if (told || (layout && (layout_has(layout, "manifest.json") ||
				       (layout_has(layout, "index.json") && layout_has(layout, "oci-layout")))))
		return use_image(o, layout, err);
	layout_free(layout);
	return 1;
}

/* It has to be looked at as a whole, and is no plain file. */
static int open_spooled(struct opening *o, struct stream *stream, struct azm_err *err)
{
	cleanup_fd int fd = spool(o, stream, err);
	int result = fd < 0 ? -1 : try_image(o, fd, err);

	if (result <= 0)
		return result;
	struct stream *again = stream_of(o, fd, err);
	return again ? use_root(o, again, steal_fd(&fd), err) : -1;
}

/* @fd is taken over. */
static int open_file(struct opening *o, int file, struct azm_err *err)
{
	cleanup_fd int fd = file;
	const void *data;
	struct stream *stream = stream_of(o, fd, err);
	ssize_t size = stream ? stream_peek(stream, &data, err) : -1;
	int result = size < 0 ? -1 : 1;

	if (result > 0 && !(o->name->kind == SOURCE_AUTO && tar_is_root(data, (size_t)size))) {
		bool plain = o->job->total > 0 && stream_codec(stream) == CODEC_NONE && lseek(fd, 0, SEEK_CUR) == 0;
		result = plain ? try_image(o, fd, err) : open_spooled(o, stream, err);
	}
	if (result > 0)
		return use_root(o, stream, steal_fd(&fd), err);
	stream_close(stream);
	return result;
}

/* ---- a registry ------------------------------------------------------------------------------------------------ */

static int open_remote(struct opening *o, struct azm_err *err)
{
	static const struct registry_options defaults;
	const struct image_choice choice = { .platform = o->options->platform };
	cleanup_reference struct reference reference = { 0 };
	struct source *source = o->source;

	if (o->options->tag)
		return err_msg(err, EINVAL, o->job->command, o->name->path, "its tag is part of its name");
	if (reference_parse(o->name->path, &reference, err) < 0)
		return -1;
	source->remote = registry_image_open(&reference, o->options->registry ? o->options->registry : &defaults,
		&choice, o->options->limit, o->job, &source->layout, &source->image, err);
	if (!source->remote || check_platform(o, &source->image, err) < 0)
		return -1;
	o->job->total = source->image.size;
	o->job->before = 0;
	source->from = 1;
	return 0;
}

int source_read_layer(struct source *source, size_t index, uint64_t limit, struct job *job,
	const struct layer_taker *taker, struct azm_err *err)
{
	const struct image_layer *layer = &source->image.layers[index];
	struct blob blob;

	if (packed_image_open_layer(source->layout, layer, &blob, err) < 0)
		return -1;
	const struct stream_source from = { .fd = blob.fd,
		.offset = blob.offset,
		.size = blob.size,
		.digest = layer->has_digest ? &layer->digest : NULL,
		.diff_id = &layer->diff_id,
		.limit = limit,
		.tick = job_tick,
		.context = job };
	struct stream *stream = stream_new(&from, err);
	int result = stream ? taker->apply(taker->context, stream, err) : -1;
	stream_close(stream);
	layout_close_blob(source->layout, &blob);
	return result;
}

int source_layer_failed(struct source *source, size_t index, struct azm_err *err)
{
	const struct image_layer *layer = &source->image.layers[index];
	cleanup_free char *which = xasprintf("%zu of %zu", index + 1, source->image.count);

	if (source->remote)
		registry_image_layer_failed(source->remote, layer, err);
	return err_wrap(err, "layer", which);
}

/* ---- whatever it is -------------------------------------------------------------------------------------------- */

static int open_path(const struct opening *o, struct azm_err *err)
{
	if (strcmp(o->name->path, "-") != 0) {
		int fd = open(o->name->path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
		return fd < 0 ? err_sys(err, "read", o->name->path) : fd;
	}
	if (isatty(STDIN_FILENO)) {
		err_msg(err, EINVAL, "read", "standard input", "it is a terminal");
		return err_hint(err, "docker export NAME | %s unpack - DIR", rootfs_program.name);
	}
	int fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
	return fd < 0 ? err_sys(err, "read", "standard input") : fd;
}

static int open_any(struct opening *o, struct azm_err *err)
{
	cleanup_fd int fd = open_path(o, err);
	struct stat st;

	if (fd < 0)
		return -1;
	if (fstat(fd, &st) < 0)
		return err_sys(err, "read", o->name->path);
	if (S_ISDIR(st.st_mode)) {
		struct layout *layout = layout_of_directory(steal_fd(&fd), err);
		return layout ? use_image(o, layout, err) : -1;
	}
	if (o->name->kind == SOURCE_OCI_DIRECTORY)
		return err_code(err, ENOTDIR, "read", o->name->path);
	return open_file(o, steal_fd(&fd), err);
}

int source_open(const struct source_name *name, const struct source_options *options, struct job *job,
	struct source *source, struct azm_err *err)
{
	struct opening opening = { .name = name, .options = options, .job = job, .source = source };

	*source = (struct source){ .fd = -1 };
	if (options->tag && name->tag)
		return err_msg(err, EINVAL, job->command, name->path, "it has a tag already: --tag is one too many");
	if ((name->kind == SOURCE_REGISTRY ? open_remote(&opening, err) : open_any(&opening, err)) == 0)
		return 0;
	source_close(source);
	return -1;
}

void source_close(struct source *source)
{
	stream_close(source->stream);
	if (source->stream)
		cleanup_close_fd(&source->fd);
	packed_image_free(&source->image);
	layout_free(source->layout);
	registry_image_close(source->remote);
	free(source->architecture);
	*source = (struct source){ .fd = -1 };
}
