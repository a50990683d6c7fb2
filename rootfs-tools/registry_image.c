// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/registry_image.c: see registry_image.h.
 *
 * Theory of operation
 *
 * Documents are fetched by the thread that asks for them. The first layer that is asked for starts a few threads, which
 * take layers from the lowest to the topmost, the order they are unpacked in; whoever asks for one waits until its
 * state says that it is there, showing progress meanwhile. The first failure stops them all. `lock` guards the states,
 * and nobody but the asking thread touches the job.
 */
#include "rootfs-tools/registry_image.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "rootfs-tools/store.h"

enum { THREADS = 3, TICK_MS = 200 };

enum state { STATE_WAITING, STATE_DONE, STATE_FAILED };

struct registry_image {
	struct registry *registry;
	struct registry_client *client; /* of the asking thread */
	struct store store;
	struct blob_cache *cache;
	struct job *job;
	struct job_download download; /* what the job shows */

	struct image_layer *layers; /* digests and sizes */
	size_t count;

	pthread_mutex_t lock;
	pthread_cond_t changed;
	enum state *states;
	size_t first, next; /* layers the threads fetch: from which on, and the one nobody works on yet */
	struct azm_err err; /* why the first one failed */
	_Atomic bool stop;
	pthread_t threads[THREADS];
	size_t running;
};

/* ---- threads --------------------------------------------------------------------------------------------------- */

static int worker_tick(void *context, struct azm_err *err)
{
	const struct registry_image *image = context;

	return image->stop ? err_code(err, EINTR, "download", NULL) : 0;
}

static int fetch_layer(struct registry_image *image, struct registry_client *client, size_t index, struct azm_err *err)
{
	const struct image_layer *layer = &image->layers[index];
	struct blob there;

	if (blob_cache_find(image->cache, &layer->digest, layer->size, &there)) {
		close(there.fd);
		return 0;
	}
	return registry_get_blob(client, image->cache, &layer->digest, layer->size, &image->download.bytes, err);
}

static void *worker(void *context)
{
	struct registry_image *image = context;
	struct azm_err err = { 0 };
	struct registry_client *client = registry_client_new(image->registry, worker_tick, image, &err);

	pthread_mutex_lock(&image->lock);
	if (!client && image->err.code == 0)
		image->err = err;
	while (client && !image->stop && image->next < image->count) {
		size_t index = image->next++;
		pthread_mutex_unlock(&image->lock);
		err_clear(&err);
		int result = fetch_layer(image, client, index, &err);
		pthread_mutex_lock(&image->lock);
		image->states[index] = result == 0 ? STATE_DONE : STATE_FAILED;
		image->download.parts += result == 0;
		if (result < 0 && image->err.code == 0)
			image->err = err;
		image->stop |= result < 0;
		pthread_cond_broadcast(&image->changed);
	}
	image->stop |= !client;
	pthread_cond_broadcast(&image->changed);
	pthread_mutex_unlock(&image->lock);
	registry_client_free(client);
	return NULL;
}

/* What is to be waited for, as far as anybody can know. */
static void plan_download(struct registry_image *image, size_t first)
{
	struct blob there;

	image->download.total = 0;
	image->download.parts = (unsigned)first;
	for (size_t i = first; i < image->count; i++) {
		if (blob_cache_find(image->cache, &image->layers[i].digest, image->layers[i].size, &there))
			close(there.fd);
		else
			image->download.total += image->layers[i].size;
	}
}

/* Layers below @first are not needed: who asks has them in another form. */
static int start(struct registry_image *image, size_t first, struct azm_err *err)
{
	image->first = image->next = first;
	plan_download(image, first);
	while (image->running < THREADS && image->running < image->count) {
		int code = pthread_create(&image->threads[image->running], NULL, worker, image);
		if (code)
			return image->running ? 0 : err_code(err, code, "start a thread", NULL);
		image->running++;
	}
	return 0;
}

/* ---- what is asked for ----------------------------------------------------------------------------------------- */

static int wait_for_layer(struct registry_image *image, size_t index, struct azm_err *err)
{
	struct timespec until;
	int result = 0;

	pthread_mutex_lock(&image->lock);
	while (result == 0 && image->states[index] != STATE_DONE) {
		if (image->stop) {
			*err = image->err;
			result = -1;
			break;
		}
		clock_gettime(CLOCK_MONOTONIC, &until);
		until.tv_nsec += TICK_MS * 1000000L;
		until.tv_sec += until.tv_nsec / 1000000000L;
		until.tv_nsec %= 1000000000L;
		pthread_cond_clockwait(&image->changed, &image->lock, CLOCK_MONOTONIC, &until);
		pthread_mutex_unlock(&image->lock);
		result = job_tick(image->job, 0, err);
		pthread_mutex_lock(&image->lock);
	}
	pthread_mutex_unlock(&image->lock);
	return result;
}

static int need_document(struct registry_image *image, const struct digest *digest, uint64_t size, struct azm_err *err)
{
	char name[DIGEST_TEXT_SIZE];
	struct descriptor document;

	digest_text(digest, name);
	cleanup_free char *text = registry_get_document(image->client, name, digest, &document, err);
	if (!text)
		return -1;
	bool fits = document.size == size;
	descriptor_free(&document);
	return fits ? blob_cache_put(image->cache, digest, text, (size_t)size, err)
		    : err_msg(err, EBADMSG, "verify", name, "it has another size than the image says");
}

static int need(void *context, const struct digest *digest, uint64_t size, bool document, struct azm_err *err)
{
	struct registry_image *image = context;
	struct blob there;

	for (size_t i = 0; i < image->count; i++) {
		if (!digest_equal(&image->layers[i].digest, digest))
			continue;
		if (!image->running && start(image, i, err) < 0)
			return -1;
		return i < image->first ? fetch_layer(image, image->client, i, err) : wait_for_layer(image, i, err);
	}
	if (blob_cache_find(image->cache, digest, size, &there)) {
		close(there.fd);
		return 0;
	}
	if (document)
		return need_document(image, digest, size, err);
	return registry_get_blob(image->client, image->cache, digest, size, NULL, err);
}

/* ---- opening --------------------------------------------------------------------------------------------------- */

static int main_tick(void *context, struct azm_err *err)
{
	return job_tick(context, 0, err);
}

/* What the reference stands for: asked of the registry, unless a digest says it and it is in the store. */
static int find_top(
	struct registry_image *image, const struct reference *reference, struct descriptor *top, struct azm_err *err)
{
	struct digest pinned;
	const char *name = reference->digest ? reference->digest : reference->tag;

	if (reference->digest && digest_parse(reference->digest, &pinned, err) < 0)
		return -1;
	cleanup_free char *text =
		registry_get_document(image->client, name, reference->digest ? &pinned : NULL, top, err);
	return text ? blob_cache_put(image->cache, &top->digest, text, (size_t)top->size, err) : -1;
}

static int use_layers(
	struct registry_image *image, const struct packed_image *packed, uint64_t limit, struct azm_err *err)
{
	if (packed->size > limit)
		return err_msg(err, EFBIG, "pull", NULL, "its layers have %" PRIu64 " MiB, more than --max-size",
			packed->size >> 20);
	image->layers = xcalloc(packed->count + 1, sizeof *image->layers);
	image->states = xcalloc(packed->count + 1, sizeof *image->states);
	image->count = packed->count;
	for (size_t i = 0; i < packed->count; i++)
		image->layers[i] =
			(struct image_layer){ .digest = packed->layers[i].digest, .size = packed->layers[i].size };
	image->download.all_parts = (unsigned)packed->count;
	return 0;
}

static int open_image(struct registry_image *image, const struct reference *reference,
	const struct image_choice *choice, uint64_t limit, struct layout **layout, struct packed_image *packed,
	struct azm_err *err)
{
	const struct layout_supply supply = { .need = need, .context = image };
	struct descriptor top = { 0 };

	progress_phase(&image->job->progress, "find", "asking the registry", 0, 1);
	if (find_top(image, reference, &top, err) < 0)
		return -1;
	int fd = fcntl(image->store.dir, F_DUPFD_CLOEXEC, 3);
	*layout = fd < 0 ? NULL : layout_of_store(fd, &supply);
	int result = *layout ? packed_image_choose_below(*layout, &top, choice, packed, err)
			     : err_sys(err, "open", "the image store");
	descriptor_free(&top);
	if (result == 0)
		result = use_layers(image, packed, limit, err);
	if (result == 0)
		packed->name = reference_text(reference);
	return result;
}

struct registry_image *registry_image_open(const struct reference *reference, const struct registry_options *options,
	const struct image_choice *choice, uint64_t limit, struct job *job, struct layout **layout,
	struct packed_image *packed, struct azm_err *err)
{
	struct registry_image *image = xcalloc(1, sizeof *image);

	*image = (struct registry_image){ .job = job, .store = STORE_NONE };
	*layout = NULL;
	*packed = (struct packed_image){ 0 };
	pthread_mutex_init(&image->lock, NULL);
	pthread_cond_init(&image->changed, NULL);
	bool open = store_open(&image->store, STORE_BLOBS, err) == 0 &&
		    (image->cache = blob_cache_open(image->store.dir, err)) &&
		    (image->registry = registry_open(reference, options, false, err)) &&
		    (image->client = registry_client_new(image->registry, main_tick, job, err));
	if (open && open_image(image, reference, choice, limit, layout, packed, err) == 0) {
		job->download = &image->download;
		return image;
	}
	layout_free(*layout);
	*layout = NULL;
	packed_image_free(packed);
	registry_image_close(image);
	return NULL;
}

int registry_image_layer_failed(struct registry_image *image, const struct image_layer *layer, struct azm_err *err)
{
	char text[DIGEST_TEXT_SIZE];

	if (err_is(err, EINTR) || !layer->has_digest || blob_cache_verify(image->cache, &layer->digest, layer->size))
		return -1;
	digest_text(&layer->digest, text);
	err_msg(err, EBADMSG, "verify", text, "the copy in the image store was damaged; it has been removed");
	return err_hint(err, "run the command again: it is fetched anew");
}

void registry_image_close(struct registry_image *image)
{
	if (!image)
		return;
	image->stop = true;
	for (size_t i = 0; i < image->running; i++)
		pthread_join(image->threads[i], NULL);
	if (image->job->download == &image->download)
		image->job->download = NULL;
	registry_client_free(image->client);
	registry_close(image->registry);
	if (image->cache)
		(void)blob_cache_trim(image->cache, BLOB_CACHE_DEFAULT);
	blob_cache_close(image->cache);
	store_close(&image->store);
	pthread_mutex_destroy(&image->lock);
	pthread_cond_destroy(&image->changed);
	free(image->layers);
	free(image->states);
	free(image);
}
