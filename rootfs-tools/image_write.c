// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/image_write.c: see image_write.h. OCI image specification: image-layout.md, manifest.md, config.md; for
 * docker-archive, the manifest.json that `docker save` writes.
 *
 * Theory of operation
 *
 * Blobs are named by their content, which is known when they have been written. In a layout directory they are renamed
 * then. In an archive the block of the header is left free in front of each, and written afterwards; the archive is a
 * file that can be seeked in, made in a partial directory beside its final place (staging.h), or, for standard output,
 * without a name.
 *
 * No time, owner or order of anything depends on the run: the same layers and configuration give the same bytes.
 */
#include "rootfs-tools/image_write.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/str.h"
#include "rootfs-tools/bundle.h"
#include "rootfs-tools/layer_sink.h"
#include "rootfs-tools/manifest.h"
#include "rootfs-tools/reference.h"
#include "rootfs-tools/scratch.h"
#include "rootfs-tools/staging.h"
#include "rootfs-tools/stream.h"
#include "rootfs-tools/tar_write.h"

#define BLOBS	 "blobs/sha256/"
#define NEW_BLOB BLOBS ".new"
#define ARCHIVE	 "archive"

#define OCI		"application/vnd.oci.image."
#define ANNOTATION_NAME "org.opencontainers.image.ref.name"
#define CONTAINERD_NAME "io.containerd.image.name"

enum { COPY_BUFFER = 256 * 1024 };

struct written_layer {
	struct digest digest, diff_id;
	uint64_t size;
	enum codec codec;
};

struct image_writer {
	enum image_format format;
	struct staging staging; /* not for standard output */
	int out;		/* archives: the file; its position is its end. Directories: -1 */
	bool to_stdout;
	struct written_layer *layers;
	size_t count;
	struct tar_text text;
};

/* A blob on its way. */
struct pending {
	int fd;	     /* written to at its position; borrowed from the writer for archives */
	off_t begin; /* archives: where its header goes */
};

static bool is_directory(const struct image_writer *w)
{
	return w->format == IMAGE_OCI_DIRECTORY;
}

/* ---- begin and end --------------------------------------------------------------------------------------------- */

static int open_scratch(struct azm_err *err)
{
	cleanup_fd int dir = scratch_directory(err);

	return dir < 0 ? -1 : scratch_file(dir, err);
}

static int begin(struct image_writer *w, const char *path, struct azm_err *err)
{
	w->to_stdout = strcmp(path, "-") == 0;
	if (w->to_stdout && is_directory(w))
		return err_msg(err, EINVAL, "write", path, "a directory cannot go to standard output");
	if (w->to_stdout && isatty(STDOUT_FILENO))
		return err_msg(err, EINVAL, "write", "standard output", "it is a terminal");
	if (w->to_stdout)
		return w->out = open_scratch(err);
	if (staging_begin(path, &w->staging, err) < 0)
		return -1;
	if (!is_directory(w))
		w->out = openat(w->staging.fd, ARCHIVE, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	else if (mkdirat(w->staging.fd, "blobs", 0755) < 0 || mkdirat(w->staging.fd, "blobs/sha256", 0755) < 0)
		return err_sys(err, "write", path);
	return is_directory(w) || w->out >= 0 ? 0 : err_sys(err, "write", path);
}

/* Readers that unpack the archive want the directories said (containers/image as an ordinary user). */
static int put_directories(struct image_writer *w, struct azm_err *err)
{
	static const char *const names[] = { "blobs/", BLOBS };

	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		const struct tar_entry entry = { .path = names[i], .type = TAR_DIRECTORY, .mode = 0755 };
		tar_put(&w->text, &entry);
	}
	return write_full(w->out, w->text.data, w->text.size) < 0 ? err_sys(err, "write", "the archive") : 0;
}

struct image_writer *image_writer_new(enum image_format format, const char *path, struct azm_err *err)
{
	struct image_writer *w = xcalloc(1, sizeof *w);
	const struct staging none = STAGING_NONE;

	*w = (struct image_writer){ .format = format, .staging = none, .out = -1 };
	if (begin(w, path, err) >= 0 && (format != IMAGE_OCI_ARCHIVE || put_directories(w, err) == 0))
		return w;
	image_writer_free(w);
	return NULL;
}

void image_writer_free(struct image_writer *w)
{
	if (!w)
		return;
	cleanup_close_fd(&w->out);
	staging_discard(&w->staging);
	tar_text_free(&w->text);
	free(w->layers);
	free(w);
}

/* ---- blobs ----------------------------------------------------------------------------------------------------- */

static int pending_begin(struct image_writer *w, struct pending *p, struct azm_err *err)
{
	static const char header[TAR_BLOCK];

	if (is_directory(w)) {
		p->fd = openat(w->staging.fd, NEW_BLOB, O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644);
		return p->fd < 0 ? err_sys(err, "write", "a blob") : 0;
	}
	p->fd = w->out;
	p->begin = lseek(w->out, 0, SEEK_CUR);
	return p->begin < 0 || write_full(w->out, header, sizeof header) < 0 ? err_sys(err, "write", "the archive") : 0;
}

static void pending_end(const struct image_writer *w, struct pending *p)
{
	if (is_directory(w))
		cleanup_close_fd(&p->fd);
}

/* A name it has already: what was written is taken back. */
static int pending_drop(const struct image_writer *w, const struct pending *p, struct azm_err *err)
{
	if (is_directory(w))
		return unlinkat(w->staging.fd, NEW_BLOB, 0) < 0 ? err_sys(err, "write", "a blob") : 0;
	return lseek(w->out, p->begin, SEEK_SET) < 0 || ftruncate(w->out, p->begin) < 0
		       ? err_sys(err, "write", "the archive")
		       : 0;
}

/* Give it its name. */
static int pending_name(
	struct image_writer *w, const struct pending *p, const char *name, uint64_t size, struct azm_err *err)
{
	static const char zeros[TAR_BLOCK];
	const struct tar_entry entry = {
		.path = name, .type = TAR_FILE, .mode = 0644, .size = size, .one_block = true
	};

	if (is_directory(w))
		return renameat(w->staging.fd, NEW_BLOB, w->staging.fd, name) < 0 ? err_sys(err, "write", name) : 0;
	w->text.size = 0;
	tar_put(&w->text, &entry);
	if (TEMP_FAILURE_RETRY(pwrite(w->out, w->text.data, TAR_BLOCK, p->begin)) != TAR_BLOCK ||
		write_full(w->out, zeros, tar_padding(size)) < 0)
		return err_sys(err, "write", "the archive");
	return 0;
}

/* Documents: a name and all of the content. */
static int put_file(struct image_writer *w, const char *name, const char *data, size_t size, struct azm_err *err)
{
	struct pending p = { .fd = -1 };

	if (pending_begin(w, &p, err) < 0)
		return -1;
	int result =
		write_full(p.fd, data, size) < 0 ? err_sys(err, "write", name) : pending_name(w, &p, name, size, err);
	pending_end(w, &p);
	return result;
}

static char *hex_of(const struct digest *digest)
{
	char text[DIGEST_TEXT_SIZE];

	digest_text(digest, text);
	return xstrdup(strchr(text, ':') + 1);
}

static char *layer_name(const struct image_writer *w, const struct written_layer *layer)
{
	cleanup_free char *hex = hex_of(&layer->digest);

	return w->format == IMAGE_DOCKER_ARCHIVE ? xasprintf("%s.tar", hex) : xasprintf(BLOBS "%s", hex);
}

static bool is_there(const struct image_writer *w, const struct digest *digest)
{
	for (size_t i = 0; i < w->count; i++)
		if (digest_equal(&w->layers[i].digest, digest))
			return true;
	return false;
}

static int add_layer(
	struct image_writer *w, const struct pending *p, const struct written_layer *layer, struct azm_err *err)
{
	cleanup_free char *name = layer_name(w, layer);
	int result = is_there(w, &layer->digest) ? pending_drop(w, p, err) : pending_name(w, p, name, layer->size, err);

	w->layers = xrealloc(w->layers, w->count + 1, sizeof *w->layers);
	w->layers[w->count++] = *layer;
	return result;
}

/* ---- layers ---------------------------------------------------------------------------------------------------- */

int image_writer_add_tree(struct image_writer *w, const struct layer_write_source *source,
	const struct layer_write_options *options, struct layer_written *written, struct azm_err *err)
{
	struct layer_write_options mine = *options;
	struct layer_written result;
	struct pending p = { .fd = -1 };

	if (w->format == IMAGE_DOCKER_ARCHIVE)
		mine.codec = CODEC_NONE;
	if (pending_begin(w, &p, err) < 0)
		return -1;
	int failed = layer_write(source, &mine, p.fd, &result, err);
	if (failed == 0) {
		const struct written_layer layer = {
			.digest = result.digest, .diff_id = result.diff_id, .size = result.size, .codec = mine.codec
		};
		failed = add_layer(w, &p, &layer, err);
	}
	pending_end(w, &p);
	if (failed == 0 && written)
		*written = result;
	return failed;
}

/* Hash what is between two positions of a file. */
static int hash_part(int fd, off_t begin, uint64_t size, struct digest *digest, struct azm_err *err)
{
	cleanup_free unsigned char *buffer = xcalloc(1, COPY_BUFFER);
	struct hasher *hasher = hasher_new(DIGEST_SHA256);
	ssize_t n = 1;

	for (uint64_t done = 0; done < size && n > 0; done += (uint64_t)n) {
		size_t part = size - done < COPY_BUFFER ? (size_t)(size - done) : COPY_BUFFER;
		n = TEMP_FAILURE_RETRY(pread(fd, buffer, part, begin + (off_t)done));
		if (n > 0)
			hasher_add(hasher, buffer, (size_t)n);
	}
	hasher_end(hasher, digest);
	return n > 0 || size == 0 ? 0 : err_code(err, n < 0 ? errno : EIO, "read", "the layer");
}

static int copy_bytes(int fd, const struct blob *blob, const struct job *job, struct azm_err *err)
{
	cleanup_free unsigned char *buffer = xcalloc(1, COPY_BUFFER);

	for (uint64_t done = 0; done < blob->size;) {
		size_t part = blob->size - done < COPY_BUFFER ? (size_t)(blob->size - done) : COPY_BUFFER;
		ssize_t n = TEMP_FAILURE_RETRY(pread(blob->fd, buffer, part, (off_t)(blob->offset + done)));
		if (n <= 0)
			return err_code(err, n < 0 ? errno : EIO, "read", "the layer");
		if (write_full(fd, buffer, (size_t)n) < 0)
			return err_sys(err, "write", "the layer");
		done += (size_t)n;
		if (job && job_interrupted(job, err) < 0)
			return -1;
	}
	return 0;
}

/* Decompress a blob, which is what both digests say or an error; into @sink, where there is one. */
static int run_stream(const struct blob *blob, const struct digest *digest, const struct digest *diff_id,
	struct layer_sink *sink, struct job *job, struct azm_err *err)
{
	const struct stream_source source = { .fd = blob->fd,
		.offset = blob->offset,
		.size = blob->size,
		.digest = digest,
		.diff_id = diff_id,
		.tick = job ? job_tick : NULL,
		.context = job };
	struct stream *stream = stream_new(&source, err);
	const void *data;
	ssize_t n = stream ? 0 : -1;

	while (stream && (n = stream_next(stream, &data, err)) > 0)
		if (sink && layer_sink_add(sink, data, (size_t)n, err) < 0)
			break;
	int result = n != 0 || stream_finish(stream, err) < 0 ? -1 : 0;
	stream_close(stream);
	return result;
}

/* As it is. The copy is what is verified. */
static int add_copy(struct image_writer *w, const struct pending *p, const struct blob *blob,
	const struct digest *digest, struct written_layer *layer, struct job *job, struct azm_err *err)
{
	const off_t begin = is_directory(w) ? 0 : p->begin + TAR_BLOCK;
	const struct blob copy = { .fd = p->fd, .offset = (uint64_t)begin, .size = blob->size };

	layer->size = blob->size;
	if (copy_bytes(p->fd, blob, job, err) < 0 || run_stream(&copy, digest, &layer->diff_id, NULL, job, err) < 0)
		return -1;
	return hash_part(p->fd, begin, blob->size, &layer->digest, err);
}

/* In another compression. */
static int add_repacked(const struct pending *p, const struct blob *blob, const struct digest *digest, int level,
	struct written_layer *layer, struct job *job, struct azm_err *err)
{
	struct layer_sink *sink = layer_sink_new(layer->codec, level, p->fd, err);
	struct digest diff_id;

	int result = sink && run_stream(blob, digest, &layer->diff_id, sink, job, err) == 0
			     ? layer_sink_finish(sink, &layer->digest, &layer->size, &diff_id, err)
			     : -1;
	layer_sink_free(sink);
	return result;
}

/* What a blob is, and what it is to become. */
static int choose_codec(const struct image_writer *w, const struct blob *blob,
	const struct layer_write_options *options, enum codec *from, enum codec *to, struct azm_err *err)
{
	unsigned char first[CODEC_MAGIC];
	ssize_t n = TEMP_FAILURE_RETRY(pread(
		blob->fd, first, blob->size < sizeof first ? (size_t)blob->size : sizeof first, (off_t)blob->offset));

	if (n < 0)
		return err_sys(err, "read", "the layer");
	*from = codec_detect(first, (size_t)n);
	if (w->format == IMAGE_DOCKER_ARCHIVE)
		*to = CODEC_NONE;
	else /* OCI images have names for these two */
		*to = *from == CODEC_GZIP || *from == CODEC_ZSTD ? *from : options->codec;
	return 0;
}

int image_writer_add_blob(struct image_writer *w, const struct blob *blob, const struct digest *digest,
	const struct digest *diff_id, const struct layer_write_options *options, struct job *job, struct azm_err *err)
{
	struct written_layer layer = { .diff_id = *diff_id };
	struct pending p = { .fd = -1 };
	enum codec from = CODEC_NONE;

	if (choose_codec(w, blob, options, &from, &layer.codec, err) < 0 || pending_begin(w, &p, err) < 0)
		return -1;
	int result = from == layer.codec ? add_copy(w, &p, blob, digest, &layer, job, err)
					 : add_repacked(&p, blob, digest, options->level, &layer, job, err);
	if (result == 0)
		result = add_layer(w, &p, &layer, err);
	pending_end(w, &p);
	return result;
}

size_t image_writer_layers(const struct image_writer *w, uint64_t *bytes)
{
	*bytes = 0;
	for (size_t i = 0; i < w->count; i++)
		*bytes += w->layers[i].size;
	return w->count;
}

/* ---- documents ------------------------------------------------------------------------------------------------- */

static void digest_of_text(const char *text, size_t size, struct digest *digest)
{
	struct hasher *hasher = hasher_new(DIGEST_SHA256);

	hasher_add(hasher, text, size);
	hasher_end(hasher, digest);
}

/* A document as bytes; the caller frees. NULL with @err. */
static char *serialise(json_t *document, size_t *size, struct azm_err *err)
{
	char *text = document ? json_dumps(document, JSON_COMPACT) : NULL;

	if (!text)
		err_code(err, ENOMEM, "write the image's", "documents");
	else
		*size = strlen(text);
	return text;
}

static json_t *descriptor(const char *media_type, const struct digest *digest, uint64_t size)
{
	char text[DIGEST_TEXT_SIZE];

	digest_text(digest, text);
	return json_pack("{s:s, s:s, s:I}", "mediaType", media_type, "digest", text, "size", (json_int_t)size);
}

/* "alpine:3" in full, where it is the name of an image. */
static char *full_name(const char *name)
{
	cleanup_reference struct reference reference = { 0 };
	struct azm_err ignored = { 0 };

	return reference_parse(name, &reference, &ignored) == 0 ? reference_text(&reference) : NULL;
}

static int put_document(
	struct image_writer *w, const char *text, size_t size, struct digest *digest, struct azm_err *err)
{
	digest_of_text(text, size, digest);
	cleanup_free char *hex = hex_of(digest);
	cleanup_free char *name = xasprintf(w->format == IMAGE_DOCKER_ARCHIVE ? "%s.json" : BLOBS "%s", hex);
	return put_file(w, name, text, size, err);
}

static json_t *manifest_of(const struct image_writer *w, const struct digest *config, size_t config_size)
{
	json_t *layers = json_array();

	for (size_t i = 0; i < w->count; i++)
		json_array_append_new(layers,
			descriptor(layer_media_type(w->layers[i].codec), &w->layers[i].digest, w->layers[i].size));
	return json_pack("{s:i, s:s, s:o, s:o}", "schemaVersion", 2, "mediaType", OCI "manifest.v1+json", "config",
		descriptor(OCI "config.v1+json", config, config_size), "layers", layers);
}

static json_t *platform_of(const struct platform *platform)
{
	return json_pack("{s:s, s:s, s:s*}", "architecture", platform->architecture, "os", platform->os, "variant",
		platform->variant);
}

static json_t *index_of(const struct platform *platform, const char *name, const struct digest *manifest, size_t size)
{
	json_t *item = descriptor(OCI "manifest.v1+json", manifest, size);

	json_object_set_new(item, "platform", platform_of(platform));
	if (name) {
		cleanup_free char *full = full_name(name);
		json_t *annotations = json_object();
		if (full)
			json_object_set_new(annotations, CONTAINERD_NAME, json_string(full));
		json_object_set_new(annotations, ANNOTATION_NAME, json_string(name));
		json_object_set_new(item, "annotations", annotations);
	}
	return json_pack("{s:i, s:s, s:[o]}", "schemaVersion", 2, "mediaType", OCI "index.v1+json", "manifests", item);
}

static int put_oci_documents(struct image_writer *w, const struct platform *platform,
	const struct digest *config_digest, size_t config_size, const char *name, struct digest *manifest,
	struct azm_err *err)
{
	static const char layout[] = "{\"imageLayoutVersion\":\"1.0.0\"}";
	json_t *document = manifest_of(w, config_digest, config_size);
	size_t size = 0;
	cleanup_free char *text = serialise(document, &size, err);

	json_decref(document);
	if (!text || put_document(w, text, size, manifest, err) < 0)
		return -1;
	document = index_of(platform, name, manifest, size);
	cleanup_free char *index = serialise(document, &size, err);
	json_decref(document);
	if (!index || put_file(w, "index.json", index, size, err) < 0)
		return -1;
	return put_file(w, "oci-layout", layout, sizeof layout - 1, err);
}

static int put_docker_documents(
	struct image_writer *w, const struct digest *config_digest, const char *name, struct azm_err *err)
{
	cleanup_free char *hex = hex_of(config_digest);
	cleanup_free char *config_name = xasprintf("%s.json", hex);
	cleanup_free char *full = name ? full_name(name) : NULL;
	json_t *layers = json_array();
	size_t size = 0;

	if (name && !full) {
		json_decref(layers);
		return err_msg(err, EINVAL, "write", name, "not the name of an image");
	}
	for (size_t i = 0; i < w->count; i++) {
		cleanup_free char *layer = layer_name(w, &w->layers[i]);
		json_array_append_new(layers, json_string(layer));
	}
	json_t *tags = full ? json_pack("[s]", full) : json_null();
	json_t *document = json_pack("[{s:s, s:o, s:o}]", "Config", config_name, "RepoTags", tags, "Layers", layers);
	cleanup_free char *text = serialise(document, &size, err);
	json_decref(document);
	return text ? put_file(w, "manifest.json", text, size, err) : -1;
}

/* ---- the end --------------------------------------------------------------------------------------------------- */

static int copy_to_stdout(int fd, struct azm_err *err)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return err_sys(err, "read", "the archive");
	const struct blob all = { .fd = fd, .size = (uint64_t)st.st_size };
	return copy_bytes(STDOUT_FILENO, &all, NULL, err) < 0 ? err_wrap(err, "write", "standard output") : 0;
}

static int appear(struct image_writer *w, struct azm_err *err)
{
	static const char end[2 * TAR_BLOCK];

	if (is_directory(w))
		return staging_commit(&w->staging, err);
	if (write_full(w->out, end, sizeof end) < 0)
		return err_sys(err, "write", "the archive");
	return w->to_stdout ? copy_to_stdout(w->out, err) : staging_commit_file(&w->staging, ARCHIVE, err);
}

/* Whether a configuration is that of the layers that were added, and says what it must. */
static int check_config(const struct image_writer *w, const struct image_config *config, struct azm_err *err)
{
	bool same = config->count == w->count;

	for (size_t i = 0; same && i < w->count; i++)
		same = digest_equal(&config->diff_ids[i], &w->layers[i].diff_id);
	if (!same)
		return err_msg(err, EBADMSG, "write the image's", "configuration", "it names other layers");
	if (!config->platform.os || !config->platform.architecture)
		return err_msg(
			err, EINVAL, "write the image's", "configuration", "it does not say what machine it is for");
	return 0;
}

static int finish(struct image_writer *w, const char *text, size_t size, const struct platform *platform,
	const char *name, struct digest *manifest, struct azm_err *err)
{
	struct digest config_digest;

	if (put_document(w, text, size, &config_digest, err) < 0)
		return -1;
	*manifest = config_digest;
	int result = w->format == IMAGE_DOCKER_ARCHIVE
			     ? put_docker_documents(w, &config_digest, name, err)
			     : put_oci_documents(w, platform, &config_digest, size, name, manifest, err);
	return result < 0 ? -1 : appear(w, err);
}

int image_writer_finish_as_is(struct image_writer *w, const char *config, size_t size, const char *name,
	struct digest *manifest, struct azm_err *err)
{
	struct image_config parsed = { 0 };
	struct digest ignored;

	if (image_config_parse(config, size, &parsed, err) < 0)
		return -1;
	int result = check_config(w, &parsed, err);
	if (result == 0)
		result = finish(w, config, size, &parsed.platform, name, manifest ? manifest : &ignored, err);
	image_config_free(&parsed);
	return result;
}

/* The layers, and what every configuration must have. */
static void complete(const struct image_writer *w, json_t *config)
{
	const char *here = bundle_architecture();
	json_t *ids = json_array();
	char text[DIGEST_TEXT_SIZE];

	for (size_t i = 0; i < w->count; i++) {
		digest_text(&w->layers[i].diff_id, text);
		json_array_append_new(ids, json_string(text));
	}
	json_object_set_new(config, "rootfs", json_pack("{s:s, s:o}", "type", "layers", "diff_ids", ids));
	if (!json_is_string(json_object_get(config, "architecture")))
		json_object_set_new(config, "architecture", json_string(here ? here : "unknown"));
	if (!json_is_string(json_object_get(config, "os")))
		json_object_set_new(config, "os", json_string("linux"));
}

int image_writer_finish(
	struct image_writer *w, json_t *config, const char *name, struct digest *manifest, struct azm_err *err)
{
	size_t size = 0;

	complete(w, config);
	cleanup_free char *text = serialise(config, &size, err);
	return text ? image_writer_finish_as_is(w, text, size, name, manifest, err) : -1;
}
