// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/store_make.c: see store_make.h.
 *
 * A layer is made in partial/ID, which its maker has locked, and renamed to layers/ID. Who wants the same layer waits
 * for that lock; what a killed maker left is removed by the next one, or by gc.
 */
#include "rootfs-tools/store_make.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>
#include <linux/mount.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/tree.h"
#include "mount/host_overlay.h"
#include "rootfs-tools/layer_lower.h"
#include "rootfs-tools/store_internal.h"
#include "rootfs-tools/tree_walk.h"

enum { DEPTH_MAX = 512 };

/* ---- the directory it is made in ------------------------------------------------------------------------------- */

static int empty_directory(int dir, struct azm_err *err)
{
	cleanup_str_list struct str_list names = { 0 };

	if (dir_names(dir, &names) < 0)
		return err_sys(err, "read", "what is left of a layer");
	for (size_t i = 0; i < names.count; i++)
		if (tree_remove_at(dir, names.items[i], err) < 0)
			return -1;
	return 0;
}

static int take_existing(struct layer_maker *m, const char *id, struct azm_err *err)
{
	m->dir = store_layer_lock(m->store, id, err);
	if (m->dir < 0)
		return err_is(err, ENOENT) ? 0 : -1;
	m->committed = true;
	return 1;
}

/* Lock partial/ID. Return: 1 somebody has made the layer meanwhile, 0, -1. */
static int lock_partial(struct layer_maker *m, const struct job *job, struct azm_err *err)
{
	for (;;) {
		int there = *m->id ? take_existing(m, m->id, err) : 0;
		if (there != 0)
			return there;
		err_clear(err);
		if (mkdirat(m->store->partial, m->partial, 0700) < 0 && errno != EEXIST)
			return err_sys(err, "make a layer in", m->store->path);
		cleanup_fd int fd =
			openat(m->store->partial, m->partial, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (fd < 0 && errno == ENOENT)
			continue;
		if (fd < 0)
			return err_sys(err, "make a layer in", m->store->path);
		if (job_lock(fd, LOCK_EX, job, err) < 0)
			return -1;
		/* It may be layers/ID by now, or somebody's clean-up was faster. */
		if (!store_linked(m->store->partial, m->partial, fd))
			continue;
		if (*m->id && (there = take_existing(m, m->id, err)) != 0) {
			(void)unlinkat(m->store->partial, m->partial, AT_REMOVEDIR);
			return there;
		}
		err_clear(err);
		m->dir = steal_fd(&fd);
		return empty_directory(m->dir, err);
	}
}

/* ---- the tree -------------------------------------------------------------------------------------------------- */

static int open_books(struct layer_maker *m, const struct str_list *chain, struct azm_err *err)
{
	m->below = xcalloc(chain->count, sizeof *m->below);
	for (size_t i = chain->count; i-- > 0; m->below_count++) {
		cleanup_fd int dir = store_layer_open(m->store, chain->items[i], err);
		struct recorded_tree *tree = &m->below[m->below_count];
		if (dir < 0)
			return -1;
		tree->owners = owner_book_open(dir, err);
		if (!tree->owners)
			return -1;
		tree->root = openat(dir, "tree", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (tree->root < 0) {
			owner_book_free(tree->owners);
			return err_sys(err, "open layer", chain->items[i]);
		}
	}
	return 0;
}

static int open_below(struct layer_maker *m, struct azm_err *err)
{
	struct store_image below = { .name = m->parent };
	char top[STORE_ID_SIZE];

	memcpy(top, m->parent, sizeof top);
	int result = store_layer_chain(m->store, top, &below.layers, err);
	if (result == 0 && below.layers.count >= OVERLAY_LAYERS_MAX) {
		result = err_msg(err, E2BIG, "make a layer on", top,
			"%zu layers are below it already, an overlay takes %d", below.layers.count, OVERLAY_LAYERS_MAX);
		err_hint(err, "unpack the image without --store: that makes one tree of its layers");
	}
	raise_open_files(); /* each layer takes a few while an overlay is made */
	if (result == 0)
		result = store_lowers(m->store, &below, &m->lowers, &m->lower_count, &m->below_lock, err);
	if (result == 0)
		result = open_books(m, &below.layers, err);
	str_list_free(&below.layers);
	return result;
}

static void close_below(struct layer_maker *m)
{
	for (size_t i = 0; i < m->below_count; i++) {
		cleanup_close_fd(&m->below[i].root);
		owner_book_free(m->below[i].owners);
	}
	free(m->below);
	store_lowers_free(m->lowers, m->lower_count);
	cleanup_close_fd(&m->below_lock);
	m->below = NULL;
	m->lowers = NULL;
	m->below_count = m->lower_count = 0;
	m->below_lock = -1;
}

/* The layers below and the tree, as one. Return: its root, -1 with @err. */
static int mount_tree(void *context, struct azm_err *err)
{
	struct layer_maker *m = context;
	cleanup_free char *base = xasprintf("%s/partial/%s", m->store->path, m->partial);
	cleanup_free char *upper_path = xasprintf("%s/tree", base);
	cleanup_free char *work_path = xasprintf("%s/work", base);
	struct host_path upper = { 0 }, work = { 0 };
	int root = -1;

	if (host_path_open(upper_path, &upper, err) == 0 && host_path_open(work_path, &work, err) == 0)
		root = host_overlay(m->lowers, m->lower_count, &upper, &work, 0, err);
	host_path_free(&upper);
	host_path_free(&work);
	return root < 0 ? err_wrap(err, "stack layers in", m->store->path) : root;
}

/* The root of an upper directory is not copied up by anybody. */
static int copy_root_mode(struct layer_maker *m, struct azm_err *err)
{
	struct stat st = { .st_mode = 0755 };

	if (m->below_count && fstat(m->below[0].root, &st) < 0)
		return err_sys(err, "look at layer", m->parent);
	return fchmod(m->tree, st.st_mode & 07777) < 0 ? err_sys(err, "make", "tree") : 0;
}

static int make_tree(struct layer_maker *m, struct azm_err *err)
{
	if (mkdirat(m->dir, "tree", 0700) < 0)
		return err_sys(err, "make", "tree");
	m->tree = openat(m->dir, "tree", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	m->owners = m->tree < 0 ? NULL : owner_log_new(m->dir, err);
	if (!m->owners)
		return m->tree < 0 ? err_sys(err, "open", "tree") : -1;
	if (*m->parent && open_below(m, err) < 0)
		return -1;
	if (copy_root_mode(m, err) < 0)
		return -1;
	if (!*m->parent) {
		m->root = fcntl(m->tree, F_DUPFD_CLOEXEC, 3);
		return m->root < 0 ? err_sys(err, "open", "tree") : 0;
	}
	if (mkdirat(m->dir, "work", 0700) < 0)
		return err_sys(err, "make", "work");
	m->root = mount_tree(m, err);
	m->overlay = (struct layer_overlay){
		.upper = m->tree, .below = m->below, .below_count = m->below_count, .mount = mount_tree, .context = m
	};
	return m->root < 0 ? -1 : 0;
}

static int copy_id(char to[static STORE_ID_SIZE], const char *id, struct azm_err *err)
{
	if (!store_is_id(id))
		return err_msg(err, EINVAL, "make layer", id, "not the ID of a layer");
	memcpy(to, id, STORE_ID_SIZE);
	return 0;
}

int layer_maker_begin(const struct store *store, const char *id, const char *parent, const struct job *job,
	struct layer_maker *m, struct azm_err *err)
{
	uint64_t random[2] = { 0 };

	*m = (struct layer_maker)LAYER_MAKER_NONE;
	m->store = store;
	if ((id && copy_id(m->id, id, err) < 0) || (parent && copy_id(m->parent, parent, err) < 0))
		return -1;
	(void)!getrandom(random, sizeof random, 0);
	if (id)
		memcpy(m->partial, id, STORE_ID_SIZE);
	else
		snprintf(m->partial, sizeof m->partial, "new-%016" PRIx64 "%016" PRIx64, random[0], random[1]);
	int result = lock_partial(m, job, err);
	if (result == 0)
		result = make_tree(m, err);
	if (result < 0)
		layer_maker_end(m);
	return result;
}

int layer_maker_apply(struct layer_maker *m, struct layer_target *target, struct stream *stream, struct azm_err *err)
{
	target->root = m->root;
	target->owners = m->owners;
	target->scratch = m->dir;
	target->overlay = *m->parent ? &m->overlay : NULL;
	int result = layer_apply(target, stream, err);
	m->root = target->root; /* it may have been mounted anew */
	return result;
}

/* ---- a tree that is there already ------------------------------------------------------------------------------ */

struct adoption {
	struct layer_maker *maker;
	struct owner_book *book; /* of the tree; NULL: none */
	char path[PATH_MAX];
	struct azm_err *err;
};

static int adopt_one(struct adoption *a, const struct stat *st)
{
	struct owner owner;
	int found = a->book ? owner_book_find(a->book, a->path, &owner, a->err) : 0;

	if (st->st_uid != geteuid())
		return err_msg(a->err, EPERM, "take over", a->path, "it belongs to uid %u, not to you", st->st_uid);
	if (S_ISCHR(st->st_mode) && st->st_rdev == 0)
		return 0;
	if (found == 0)
		found = layer_lower_find(a->maker->below, a->maker->below_count, a->path, st, &owner, a->err);
	if (found <= 0 || owner_is_plain(&owner, st->st_mode & 07777) ||
		(owner.mode & S_IFMT) != (st->st_mode & S_IFMT))
		return found < 0 ? -1 : 0;
	return owner_log_add(a->maker->owners, *a->path ? a->path : ".", st->st_ino, &owner, false, a->err);
}

/* @dir is closed. */
static int adopt_directory(struct adoption *a, int dir, size_t length, unsigned depth)
{
	cleanup_dir DIR *list = fdopendir(dir);
	struct stat st;

	if (!list) {
		close(dir);
		return err_sys(a->err, "read", a->path);
	}
	if (depth > DEPTH_MAX)
		return err_code(a->err, ELOOP, "read", a->path);
	for (const struct dirent *entry; (entry = dir_next(list));) {
		const char *name = entry->d_name;
		int more = snprintf(a->path + length, sizeof a->path - length, "%s%s", length ? "/" : "", name);
		if (more < 0 || (size_t)more >= sizeof a->path - length)
			return err_code(a->err, ENAMETOOLONG, "read", name);
		if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			return err_sys(a->err, "look at", a->path);
		if (adopt_one(a, &st) < 0)
			return -1;
		int inner =
			S_ISDIR(st.st_mode) ? openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) : -1;
		if (S_ISDIR(st.st_mode) && inner < 0)
			return err_sys(a->err, "read", a->path);
		if (inner >= 0 && adopt_directory(a, inner, length + (size_t)more, depth + 1) < 0)
			return -1;
		a->path[length] = '\0';
	}
	return errno ? err_sys(a->err, "read", a->path) : 0;
}

int layer_maker_adopt(struct layer_maker *m, int dirfd, const char *name, int owners, struct azm_err *err)
{
	struct adoption a = { .maker = m, .err = err };
	struct stat st;

	close(steal_fd(&m->root));
	close(steal_fd(&m->tree));
	if (tree_remove_at(m->dir, "tree", err) < 0)
		return -1;
	if (renameat(dirfd, name, m->dir, "tree") < 0)
		return err_sys(err, "take over", name);
	m->tree = openat(m->dir, "tree", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (m->tree < 0 || fstat(m->tree, &st) < 0)
		return err_sys(err, "take over", name);
	a.book = owners < 0 ? NULL : owner_book_open(owners, err);
	if (owners >= 0 && !a.book)
		return -1;
	int result = adopt_one(&a, &st);
	int dir = result < 0 ? -1 : openat(m->tree, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir >= 0)
		result = adopt_directory(&a, dir, 0, 0);
	owner_book_free(a.book);
	return result;
}

/* ---- letting it appear ----------------------------------------------------------------------------------------- */

static int write_about(struct layer_maker *m, const struct layer_about *about, struct azm_err *err)
{
	struct tree_size size = { 0 };
	char diff_id[DIGEST_TEXT_SIZE] = "";

	if (tree_measure(m->tree, &size) < 0)
		return err_sys(err, "measure", "the layer");
	if (about->diff_id)
		digest_text(about->diff_id, diff_id);
	json_t *object = json_pack("{s:s*, s:s*, s:s*, s:I, s:I}", "parent", *m->parent ? m->parent : NULL, "diff_id",
		*diff_id ? diff_id : NULL, "created_by", about->created_by, "size", (json_int_t)size.bytes, "files",
		(json_int_t)size.files);
	cleanup_free char *text = json_dumps(object, JSON_INDENT(1));
	json_decref(object);
	if (!text)
		return err_code(err, EILSEQ, "write", "layer.json");
	return write_file_at(m->dir, "layer.json", text, strlen(text), 0600) < 0 ? err_sys(err, "write", "layer.json")
										 : 0;
}

/* Under its name, and kept from gc from then on. */
static int publish(struct layer_maker *m, struct azm_err *err)
{
	cleanup_fd int lock = store_write_lock(m->store, LOCK_SH, err);

	if (lock < 0)
		return -1;
	if (renameat2(m->store->partial, m->partial, m->store->layers, m->id, RENAME_NOREPLACE) < 0) {
		if (errno != EEXIST)
			return err_sys(err, "put layer", m->id);
		struct layer_maker other = *m;
		int there = take_existing(&other, m->id, err);
		if (there != 1)
			return there < 0 ? -1 : err_code(err, ENOENT, "put layer", m->id);
		layer_maker_end(m);
		*m = (struct layer_maker)LAYER_MAKER_NONE;
		memcpy(m->id, other.id, sizeof m->id);
		m->store = other.store;
		m->dir = other.dir;
		m->committed = true;
		return 0;
	}
	m->committed = true;
	return flock(m->dir, LOCK_SH) < 0 ? err_sys(err, "lock layer", m->id) : 0;
}

int layer_maker_commit(struct layer_maker *m, const struct layer_about *about, struct azm_err *err)
{
	if (about->id && copy_id(m->id, about->id, err) < 0)
		return -1;
	if (!*m->id)
		return err_msg(err, EINVAL, "put layer", NULL, "it has no ID");
	if (owner_log_save(m->owners, m->root < 0 ? m->tree : m->root, m->dir, err) < 0)
		return -1;
	cleanup_close_fd(&m->root);
	m->root = -1;
	if (tree_remove_at(m->dir, "work", err) < 0 || write_about(m, about, err) < 0)
		return -1;
	err_clear(err);
	return publish(m, err);
}

void layer_maker_end(struct layer_maker *m)
{
	struct azm_err ignored = { 0 };

	cleanup_close_fd(&m->root);
	cleanup_close_fd(&m->tree);
	owner_log_free(m->owners);
	close_below(m);
	if (!m->committed && m->dir >= 0)
		(void)tree_remove_at(m->store->partial, m->partial, &ignored);
	cleanup_close_fd(&m->dir);
	*m = (struct layer_maker)LAYER_MAKER_NONE;
}

/* ---- looking at an image --------------------------------------------------------------------------------------- */

int store_mount(const struct store *store, const struct store_image *image, struct azm_err *err)
{
	struct host_path *lowers;
	size_t count;
	cleanup_fd int lock = -1;

	if (store_lowers(store, image, &lowers, &count, &lock, err) < 0)
		return -1;
	int root = -1;
	if (count == 1)
		root = open(lowers[0].path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	else
		root = host_overlay(lowers, count, NULL, NULL, MOUNT_ATTR_RDONLY, err);
	store_lowers_free(lowers, count);
	return root < 0 && !err->code ? err_sys(err, "open", image->name) : root;
}
