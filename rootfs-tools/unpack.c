// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/unpack.c: `azm-rootfs unpack SRC DIR`.
 *
 * What SRC is, is found out by looking into it. The tar of a root file system is applied as it comes, from a pipe, too.
 * An image's parts are needed in another order than they have in an archive: one that is compressed, or a pipe, is
 * written to an unnamed file beside the image first.
 *
 * As in bootstrap.c nothing is visible under DIR until everything is there and verified.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/str.h"
#include "rootfs-tools/bundle.h"
#include "rootfs-tools/commands.h"
#include "rootfs-tools/layer.h"
#include "rootfs-tools/packed_image.h"
#include "rootfs-tools/progress.h"
#include "rootfs-tools/reference.h"
#include "rootfs-tools/scratch.h"
#include "rootfs-tools/staging.h"
#include "rootfs-tools/tar_index.h"

#define MAX_SIZE_DEFAULT (128ull << 30)
#define MEMORY_MAX	 (512ull << 20) /* beyond what the program has when it begins */

struct unpack {
	const char *operands[2]; /* SRC, DIR */
	struct source_name source;
	struct platform platform;
	const char *tag;
	bool platform_given;
	uint64_t max_size;
	enum progress_style style;

	struct progress progress;
	struct staging staging;
	struct layer_target target;
	int signals;
	uint64_t before, total;	     /* bytes of the parts that are done, and of all; total 0: not known */
	size_t layers;		     /* of the image; 0: it was a root file system */
	struct digest config_digest; /* when there are layers */
};

/* ---- options --------------------------------------------------------------------------------------------------- */

static int set_platform(void *config, const char *value, struct azm_err *err)
{
	struct unpack *u = config;

	platform_free(&u->platform);
	u->platform_given = true;
	return platform_parse(value, &u->platform, err);
}

static int set_tag(void *config, const char *value, [[maybe_unused]] struct azm_err *err)
{
	((struct unpack *)config)->tag = value;
	return 0;
}

static int set_max_size(void *config, const char *value, struct azm_err *err)
{
	struct unpack *u = config;

	return str_to_bytes(value, &u->max_size) && u->max_size > 0
		       ? 0
		       : err_msg(err, EINVAL, "limit the size to", value, "not a size such as 500m or 20g");
}

static int set_json(void *config, [[maybe_unused]] const char *value, [[maybe_unused]] struct azm_err *err)
{
	((struct unpack *)config)->style = PROGRESS_JSON;
	return 0;
}

static int set_quiet(void *config, [[maybe_unused]] const char *value, [[maybe_unused]] struct azm_err *err)
{
	((struct unpack *)config)->style = PROGRESS_QUIET;
	return 0;
}

const struct option_row unpack_options[] = {
	{ 0, "platform", "OS/ARCH[/VARIANT]", set_platform, "which image of several (default: this machine's)" },
	{ 't', "tag", "NAME", set_tag, "which image of several, by its tag or whole name" },
	{ 0, "max-size", "SIZE", set_max_size, "largest sum of all files (default 128g)" },
	{ 'q', "quiet", NULL, set_quiet, "no progress display" },
	{ 0, "json", NULL, set_json, "progress and result as JSON lines on standard output" },
	OPTIONS_END,
};

static int parse(struct unpack *u, int argc, char **argv, struct azm_err *err)
{
	int count = command_operands("unpack", u, argc, argv, u->operands, 2, err);

	if (count < 0)
		return -1;
	if (count < 2) {
		err_msg(err, EINVAL, "unpack", count ? u->operands[0] : NULL,
			count ? "which directory is the image to be made in?" : "what, and to which directory?");
		return err_hint(err, "%s unpack SRC DIR", rootfs_program.name);
	}
	if (!u->platform_given) {
		u->platform.os = xstrdup("linux");
		u->platform.architecture = bundle_architecture() ? xstrdup(bundle_architecture()) : NULL;
	}
	if (source_parse(u->operands[0], &u->source, err) < 0)
		return -1;
	if (u->tag && u->source.tag)
		return err_msg(err, EINVAL, "unpack", u->operands[0], "it has a tag already: --tag is one too many");
	return 0;
}

/* ---- while it runs --------------------------------------------------------------------------------------------- */

/* Of every stream: see stream.h. */
static int tick(void *context, uint64_t consumed, struct azm_err *err)
{
	struct unpack *u = context;
	struct signalfd_siginfo info;

	if (read(u->signals, &info, sizeof info) == sizeof info && info.ssi_signo != SIGCHLD) {
		err_msg(err, EINTR, "unpack", u->operands[0], "interrupted by signal %u", info.ssi_signo);
		err->exit_status = 128 + (int)info.ssi_signo;
		return -1;
	}
	u->progress.bytes = u->before + consumed;
	u->progress.files = u->target.files;
	if (u->total)
		progress_at(&u->progress, (double)u->progress.bytes / (double)u->total);
	progress_draw(&u->progress);
	return 0;
}

static struct stream *open_stream(struct unpack *u, int fd, struct azm_err *err)
{
	struct stat st;

	if (fstat(fd, &st) < 0) {
		err_sys(err, "read", u->source.path);
		return NULL;
	}
	off_t at = S_ISREG(st.st_mode) ? lseek(fd, 0, SEEK_CUR) : -1;
	bool known = at >= 0 && at <= st.st_size;
	u->total = known ? (uint64_t)(st.st_size - at) : 0;
	struct stream_source source = {
		.fd = fd,
		.offset = known ? (uint64_t)at : 0,
		.size = known ? (uint64_t)(st.st_size - at) : STREAM_SIZE_UNKNOWN,
		.limit = u->max_size,
		.tick = tick,
		.context = u,
	};
	return stream_new(&source, err);
}

/* ---- a root file system ---------------------------------------------------------------------------------------- */

/* Nothing says how it is to be run. */
static int write_plain_config(const struct unpack *u, struct azm_err *err)
{
	static const char *const env[] = { "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", NULL };
	static const char *const shell[] = { "/bin/sh", NULL };
	const struct bundle_config config = {
		.architecture = u->platform.architecture ? u->platform.architecture : "unknown",
		.env = env,
		.command = shell,
		.working_directory = "/",
		.created_by = "azm-rootfs unpack",
	};

	return bundle_write_config(u->staging.fd, &config, err);
}

static int unpack_root(struct unpack *u, struct stream *stream, struct azm_err *err)
{
	if (u->tag || u->source.tag)
		return err_msg(err, EINVAL, "unpack", u->source.path,
			"it is the tar of a root file system: it has no tags to choose from");
	progress_phase(&u->progress, "unpack", "unpacking", 0, 99);
	u->target.whiteouts = false;
	return layer_apply(&u->target, stream, err) < 0 ? -1 : write_plain_config(u, err);
}

/* ---- an image -------------------------------------------------------------------------------------------------- */

static int unpack_layer(struct unpack *u, struct layout *layout, const struct image_layer *layer, struct azm_err *err)
{
	struct blob blob;

	if (packed_image_open_layer(layout, layer, &blob, err) < 0)
		return -1;
	struct stream_source source = {
		.fd = blob.fd,
		.offset = blob.offset,
		.size = blob.size,
		.digest = layer->has_digest ? &layer->digest : NULL,
		.diff_id = &layer->diff_id,
		.limit = u->max_size,
		.tick = tick,
		.context = u,
	};
	struct stream *stream = stream_new(&source, err);
	int result = stream ? layer_apply(&u->target, stream, err) : -1;
	stream_close(stream);
	layout_close_blob(layout, &blob);
	u->before += layer->size;
	return result;
}

static int check_platform(const struct unpack *u, const struct packed_image *image, struct azm_err *err)
{
	cleanup_free char *wanted = platform_text(&u->platform);
	cleanup_free char *found = platform_text(&image->platform);

	if (image->fits)
		return 0;
	if (u->platform_given)
		return err_msg(err, EINVAL, "choose the image", wanted, "it is for %s", found);
	if (u->style != PROGRESS_QUIET) {
		str_sanitise(found);
		fprintf(stderr, "%s: the image is for %s, this machine is %s\n", rootfs_program.name, found, wanted);
	}
	return 0;
}

static int unpack_image(struct unpack *u, struct layout *layout, double from, struct azm_err *err)
{
	cleanup_packed_image struct packed_image image = { 0 };
	const struct image_choice choice = { .platform = &u->platform,
		.tag = u->tag ? u->tag : u->source.tag,
		.docker = u->source.kind == SOURCE_DOCKER_ARCHIVE };

	if (packed_image_choose(layout, &choice, &image, err) < 0 || check_platform(u, &image, err) < 0)
		return -1;
	u->layers = image.count;
	u->config_digest = image.config_digest;
	u->total = image.size;
	u->before = 0;
	u->target.whiteouts = true;
	progress_phase(&u->progress, "unpack", "unpacking", from, 99);
	for (size_t i = 0; i < image.count; i++) {
		if (unpack_layer(u, layout, &image.layers[i], err) < 0) {
			cleanup_free char *which = xasprintf("%zu of %zu", i + 1, image.count);
			return err_wrap(err, "layer", which);
		}
	}
	if (write_file_at(u->staging.fd, "image.json", image.config, image.config_size, 0644) < 0)
		return err_sys(err, "write", "image.json");
	return 0;
}

/* ---- which of them it is --------------------------------------------------------------------------------------- */

/* The decompressed archive as a file. Return: descriptor at its beginning, -1 with @err. */
static int spool(struct unpack *u, struct stream *stream, struct azm_err *err)
{
	cleanup_fd int fd = scratch_file(u->staging.fd, err);
	const void *data;
	ssize_t n;

	if (fd < 0)
		return -1;
	progress_phase(&u->progress, "read", "reading the archive", 0, 40);
	while ((n = stream_next(stream, &data, err)) > 0)
		if (write_full(fd, data, (size_t)n) < 0)
			return err_sys(err, "keep", "the archive");
	if (n < 0 || stream_finish(stream, err) < 0)
		return -1;
	return lseek(fd, 0, SEEK_SET) < 0 ? err_sys(err, "keep", "the archive") : steal_fd(&fd);
}

/* As an image, when it is one. Return: 1 it is none, 0, -1. */
static int try_image(struct unpack *u, int fd, double from, struct azm_err *err)
{
	const bool told = u->source.kind != SOURCE_AUTO;
	struct stat st;
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);

	if (copy < 0 || fstat(copy, &st) < 0)
		return err_sys(err, "read", u->source.path);
	struct layout *layout = layout_of_archive(copy, (uint64_t)st.st_size, err);
	if (!layout && told)
		return -1;
	err_clear(err);
	bool image = layout && (layout_has(layout, "manifest.json") ||
				       (layout_has(layout, "index.json") && layout_has(layout, "oci-layout")));
	int result = image || told ? unpack_image(u, layout, from, err) : 1;
	layout_free(layout);
	return result;
}

static int unpack_spooled(struct unpack *u, struct stream *stream, struct azm_err *err)
{
	cleanup_fd int fd = spool(u, stream, err);
	int result = fd < 0 ? -1 : try_image(u, fd, 40, err);

	if (result <= 0)
		return result;
	struct stream *again = open_stream(u, fd, err);
	result = again ? unpack_root(u, again, err) : -1;
	stream_close(again);
	return result;
}

static int unpack_stream(struct unpack *u, int fd, struct stream *stream, struct azm_err *err)
{
	const void *data;
	ssize_t size = stream_peek(stream, &data, err);

	if (size < 0)
		return -1;
	if (u->source.kind == SOURCE_AUTO && tar_is_root(data, (size_t)size))
		return unpack_root(u, stream, err);
	if (u->total == 0 || stream_codec(stream) != CODEC_NONE || lseek(fd, 0, SEEK_CUR) != 0)
		return unpack_spooled(u, stream, err);
	int result = try_image(u, fd, 0, err);
	return result > 0 ? unpack_root(u, stream, err) : result;
}

static int unpack_source(struct unpack *u, int fd, struct azm_err *err)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return err_sys(err, "read", u->source.path);
	if (S_ISDIR(st.st_mode)) {
		struct layout *layout = layout_of_directory(fcntl(fd, F_DUPFD_CLOEXEC, 3), err);
		int result = layout ? unpack_image(u, layout, 0, err) : -1;
		layout_free(layout);
		return result;
	}
	if (u->source.kind == SOURCE_OCI_DIRECTORY)
		return err_code(err, ENOTDIR, "read", u->source.path);
	struct stream *stream = open_stream(u, fd, err);
	int result = stream ? unpack_stream(u, fd, stream, err) : -1;
	stream_close(stream);
	return result;
}

/* ---- the command ----------------------------------------------------------------------------------------------- */

/* What a hostile archive can make the libraries ask for ends here: their allocations fail, and with them the reading.
 */
static void limit_memory(void)
{
	cleanup_free char *status = read_path("/proc/self/statm", 4096, NULL);
	unsigned long long pages = 0;

	if (!status || sscanf(status, "%*u %*u %*u %*u %*u %llu", &pages) != 1)
		return;
	const rlim_t most = pages * (rlim_t)sysconf(_SC_PAGESIZE) + MEMORY_MAX;
	(void)setrlimit(RLIMIT_DATA, &(struct rlimit){ most, most });
}

/* Everything below the partial directory. */
static int fill(struct unpack *u, int fd, struct azm_err *err)
{
	if (mkdirat(u->staging.fd, "rootfs", 0755) < 0)
		return err_sys(err, "make", "rootfs");
	cleanup_fd int root = openat(u->staging.fd, "rootfs", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		return err_sys(err, "open", "rootfs");
	u->target = (struct layer_target){ .root = root,
		.owners = owner_log_new(u->staging.fd, err),
		.scratch = u->staging.fd,
		.size_left = u->max_size };
	if (!u->target.owners)
		return -1;
	int result = unpack_source(u, fd, err);
	if (result == 0) {
		progress_phase(&u->progress, "finish", "finishing", 99, 100);
		result = owner_log_save(u->target.owners, root, u->staging.fd, err);
	}
	owner_log_free(u->target.owners);
	return result;
}

static void say_done(const struct unpack *u)
{
	char digest[DIGEST_TEXT_SIZE] = "";

	if (u->layers)
		digest_text(&u->config_digest, digest);
	if (u->style == PROGRESS_JSON) {
		json_t *object = json_pack("{s:s, s:s, s:I, s:I, s:I, s:s*, s:f}", "phase", "done", "path",
			u->operands[1], "files", (json_int_t)u->target.files, "layers", (json_int_t)u->layers, "bytes",
			(json_int_t)u->progress.bytes, "config_digest", *digest ? digest : NULL, "elapsed",
			progress_seconds(&u->progress));
		if (object)
			json_dumpf(object, stdout, JSON_COMPACT | JSON_REAL_PRECISION(6));
		putchar('\n');
		json_decref(object);
	} else if (u->style != PROGRESS_QUIET) {
		fprintf(stderr, "%s: %s: %" PRIu64 " files, %zu layers, %.1f MiB read, %.1f s\n", rootfs_program.name,
			u->operands[1], u->target.files, u->layers, (double)u->progress.bytes / (1 << 20),
			progress_seconds(&u->progress));
	}
}

static int open_source(const struct unpack *u, struct azm_err *err)
{
	if (strcmp(u->source.path, "-") != 0) {
		int fd = open(u->source.path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
		return fd < 0 ? err_sys(err, "read", u->source.path) : fd;
	}
	if (isatty(STDIN_FILENO)) {
		err_msg(err, EINVAL, "read", "standard input", "it is a terminal");
		return err_hint(err, "docker export NAME | %s unpack - DIR", rootfs_program.name);
	}
	int fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
	return fd < 0 ? err_sys(err, "read", "standard input") : fd;
}

static int unpack(struct unpack *u, struct azm_err *err)
{
	cleanup_staging struct staging staging = STAGING_NONE;
	cleanup_fd int fd = open_source(u, err);
	cleanup_fd int signals = fd < 0 ? -1 : watch_signals(err);

	if (signals < 0 || staging_begin(u->operands[1], &staging, err) < 0)
		return -1;
	u->signals = signals;
	u->staging = staging; /* borrowed: only its descriptor is used */
	limit_memory();
	progress_begin(&u->progress, u->style, rootfs_program.name);
	u->progress.steady = true;
	int result = fill(u, fd, err);
	progress_end(&u->progress);
	if (result < 0 || staging_commit(&staging, err) < 0)
		return -1;
	say_done(u);
	return 0;
}

int unpack_main(int argc, char **argv)
{
	struct unpack u = { .max_size = MAX_SIZE_DEFAULT };
	struct azm_err err = { 0 };

	int result = parse(&u, argc, argv, &err);
	if (result == 0)
		result = unpack(&u, &err);
	source_name_free(&u.source);
	platform_free(&u.platform);
	return result < 0 ? err_print(&err, rootfs_program.name) : fflush(stdout) == 0 ? 0 : EXIT_AZM;
}
