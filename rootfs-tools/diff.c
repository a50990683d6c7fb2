// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/diff.c: `azm-rootfs diff A B`: what one has to do to A to get B, as `docker diff` writes it.
 *
 *     A /added   C /changed   D /deleted
 *
 * Both are trees: of an unpacked image, of a directory, or what the layers of a stored image show together. They are
 * walked side by side, in the order of names. A directory is changed when something in it is. Of what is added
 * everything is listed, of what is deleted its top. Times do not count. Owners, modes and devices that are remembered
 * beside the trees (owners.h) do, where something is remembered of both.
 */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/json_out.h"
#include "rootfs-tools/commands.h"
#include "rootfs-tools/layer_lower.h"
#include "rootfs-tools/layer_xattrs.h"
#include "rootfs-tools/store_make.h"

enum { DEPTH_MAX = 1024, BLOCK = 128 << 10, CAPABILITY_ROOM = 64 };

/* One side. */
struct view {
	int root;
	struct recorded_tree *trees; /* what it is made of and what is remembered, the topmost first */
	size_t tree_count;
	bool recorded; /* something is remembered */
	int lock;      /* of a stored image */
};

#define VIEW_NONE                                                                                                      \
	{                                                                                                              \
		.root = -1, .lock = -1                                                                                 \
	}
#define cleanup_view [[gnu::cleanup(view_close)]]

struct diff {
	bool json, stored; /* both in the store: one file has one inode number */
	struct view *a, *b;
	char path[PATH_MAX];
	size_t told; /* so much of the path, directories, has been printed already */
	uint64_t count;
	struct azm_err *err;
};

OPTION_STORES(set_json, struct diff, json, true)

const struct option_row diff_options[] = {
	{ 0, "json", NULL, set_json, "an array of objects" },
	OPTIONS_END,
};

/* ---- the two sides --------------------------------------------------------------------------------------------- */

static void view_close(struct view *view)
{
	for (size_t i = 0; i < view->tree_count; i++) {
		cleanup_close_fd(&view->trees[i].root);
		owner_book_free(view->trees[i].owners);
	}
	free(view->trees);
	cleanup_close_fd(&view->root);
	cleanup_close_fd(&view->lock);
	*view = (struct view)VIEW_NONE;
}

/* What is remembered below @dir of the tree @name in it. */
static int add_tree(struct view *view, int dir, const char *name, struct azm_err *err)
{
	struct recorded_tree *tree = &view->trees[view->tree_count++];

	*tree = (struct recorded_tree){ .root = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) };
	if (tree->root < 0)
		return err_sys(err, "open", name);
	view->recorded |= faccessat(dir, "owners.mtree", F_OK, AT_SYMLINK_NOFOLLOW) == 0;
	tree->owners = owner_book_open(dir, err);
	return tree->owners ? 0 : -1;
}

static int view_directory(struct view *view, const char *path, struct azm_err *err)
{
	cleanup_fd int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (dir < 0)
		return err_sys(err, "look at", path);
	bool bundle = faccessat(dir, "image.json", F_OK, AT_SYMLINK_NOFOLLOW) == 0 &&
		      faccessat(dir, "rootfs", F_OK, AT_SYMLINK_NOFOLLOW) == 0;
	view->trees = xcalloc(1, sizeof *view->trees);
	if (bundle && add_tree(view, dir, "rootfs", err) < 0)
		return -1;
	view->root = fcntl(bundle ? view->trees[0].root : dir, F_DUPFD_CLOEXEC, 3);
	return view->root < 0 ? err_sys(err, "look at", path) : 0;
}

static int view_stored(struct view *view, const char *name, struct azm_err *err)
{
	cleanup_store struct store store = STORE_NONE;
	cleanup_store_image struct store_image image = { 0 };

	if (store_open(&store, STORE_READ, err) < 0 || store_image_load(&store, name, &image, err) < 0)
		return -1;
	const size_t count = image.layers.count;
	view->lock = count ? store_layer_lock(&store, image.layers.items[count - 1], err) : -1;
	if (count && view->lock < 0)
		return -1;
	view->root = store_mount(&store, &image, err);
	if (view->root < 0)
		return -1;
	view->trees = xcalloc(count, sizeof *view->trees);
	for (size_t i = count; i-- > 0;) {
		cleanup_fd int dir = store_layer_open(&store, image.layers.items[i], err);
		if (dir < 0 || add_tree(view, dir, "tree", err) < 0)
			return -1;
	}
	return 0;
}

/* Return: 1 it is a stored image, 0 a directory, -1 with @err. */
static int view_open(struct view *view, const char *text, struct azm_err *err)
{
	struct stat st;

	if (str_starts(text, STORE_SCHEME))
		return view_stored(view, text + strlen(STORE_SCHEME), err) < 0 ? -1 : 1;
	if (stat(text, &st) == 0 || strchr("./", text[0]))
		return view_directory(view, text, err);
	return view_stored(view, text, err) < 0 ? -1 : 1;
}

/* ---- telling --------------------------------------------------------------------------------------------------- */

static void tell_path(struct diff *d, char kind, size_t length)
{
	cleanup_free char *path = xasprintf("/%.*s", (int)length, d->path);
	const char word[2] = { kind, '\0' };

	str_sanitise(path);
	if (d->json) {
		json_t *object = json_pack("{s:s, s:s}", "kind", word, "path", path);
		cleanup_free char *text = json_escaped(object, JSON_COMPACT);
		printf("%s%s", d->count ? ",\n " : "[\n ", text ? text : "null");
		json_decref(object);
	} else {
		printf("%c %s\n", kind, path);
	}
	d->count++;
}

/* The directories on the way are changed, too. */
static void tell(struct diff *d, char kind)
{
	const size_t length = strlen(d->path);

	for (size_t at = 0; at < length; at++)
		if (d->path[at] == '/' && at > d->told) {
			tell_path(d, 'C', at);
			d->told = at;
		}
	if (length > d->told || kind != 'C')
		tell_path(d, kind, length);
	d->told = kind == 'D' ? d->told : length;
}

/* ---- comparing ------------------------------------------------------------------------------------------------- */

/* One name on one side. */
struct side {
	struct view *view;
	int dir; /* where it is; -1: on the other side only */
	const char *name;
	struct stat st;
};

static int owner_of(const struct diff *d, const struct side *side, struct owner *owner)
{
	*owner = (struct owner){ .mode = side->st.st_mode };
	if (layer_lower_find(side->view->trees, side->view->tree_count, d->path, &side->st, owner, d->err) < 0)
		return -1;
	/* What was changed on disk since is not what is remembered. */
	bool changed = (side->st.st_mode & 07777) != owner_mode_on_disk(owner->mode) && !S_ISLNK(side->st.st_mode);
	owner->mode = changed ? (owner->mode & S_IFMT) | (side->st.st_mode & 07777) : owner->mode;
	return 0;
}

/* Return: 1 the same, 0, -1. */
static int same_owner(const struct diff *d, const struct side *a, const struct side *b)
{
	struct owner one, two;

	if (!d->a->recorded || !d->b->recorded)
		return S_ISLNK(a->st.st_mode) || (a->st.st_mode & 07777) == (b->st.st_mode & 07777);
	if (owner_of(d, a, &one) < 0)
		return -1;
	/* A book's answer is valid until its next one. */
	char capability[CAPABILITY_ROOM];
	const size_t size = one.capability && one.capability_size <= sizeof capability ? one.capability_size : 0;
	if (size)
		memcpy(capability, one.capability, size);
	if (owner_of(d, b, &two) < 0)
		return -1;
	return one.uid == two.uid && one.gid == two.gid && one.mode == two.mode && one.major == two.major &&
	       one.minor == two.minor && size == (two.capability ? two.capability_size : 0) &&
	       (size == 0 || memcmp(capability, two.capability, size) == 0);
}

static int same_link(const struct side *a, const struct side *b)
{
	char one[PATH_MAX], two[PATH_MAX];
	ssize_t size = readlinkat(a->dir, a->name, one, sizeof one);

	return size >= 0 && readlinkat(b->dir, b->name, two, sizeof two) == size && memcmp(one, two, (size_t)size) == 0;
}

static int same_bytes(struct diff *d, int a, int b)
{
	static const size_t room = BLOCK;
	cleanup_free char *one = xcalloc(2, room);

	for (;;) {
		ssize_t n = read_full(a, one, room), m = read_full(b, one + room, room);
		if (n < 0 || m < 0)
			return err_sys(d->err, "read", d->path);
		if (n != m || memcmp(one, one + room, (size_t)n) != 0)
			return 0;
		if (n == 0)
			return 1;
	}
}

static int same_xattrs(struct diff *d, int a, int b)
{
	struct xattr_list one = { 0 }, two = { 0 };
	const struct owner nobody = { 0 };
	int same = xattr_list_read(&one, a, false, &nobody, d->path, d->err) < 0 ||
				   xattr_list_read(&two, b, false, &nobody, d->path, d->err) < 0
			   ? -1
			   : one.count == two.count;

	for (size_t i = 0; same > 0 && i < one.count; i++)
		same = strcmp(one.items[i].name, two.items[i].name) == 0 && one.items[i].size == two.items[i].size &&
		       memcmp(one.items[i].value, two.items[i].value, one.items[i].size) == 0;
	xattr_list_free(&one);
	xattr_list_free(&two);
	return same;
}

static int same_content(struct diff *d, const struct side *a, const struct side *b)
{
	const int flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
	const bool file = S_ISREG(a->st.st_mode);

	if (file && a->st.st_size != b->st.st_size)
		return 0;
	if (file && d->stored && a->st.st_ino == b->st.st_ino && a->st.st_mtim.tv_sec == b->st.st_mtim.tv_sec &&
		a->st.st_mtim.tv_nsec == b->st.st_mtim.tv_nsec)
		return 1;
	cleanup_fd int one = openat(a->dir, a->name, flags);
	cleanup_fd int two = one < 0 ? -1 : openat(b->dir, b->name, flags);
	if (two < 0)
		return err_sys(d->err, "read", d->path);
	int same = same_xattrs(d, one, two);
	return same > 0 && file ? same_bytes(d, one, two) : same;
}

/* Return: 1 the same, 0, -1 with the error set. */
static int same(struct diff *d, const struct side *a, const struct side *b)
{
	if ((a->st.st_mode & S_IFMT) != (b->st.st_mode & S_IFMT))
		return 0;
	int result = same_owner(d, a, b);
	if (result <= 0)
		return result;
	if (S_ISLNK(a->st.st_mode))
		return same_link(a, b);
	return S_ISREG(a->st.st_mode) || S_ISDIR(a->st.st_mode) ? same_content(d, a, b)
								: a->st.st_rdev == b->st.st_rdev;
}

/* ---- walking --------------------------------------------------------------------------------------------------- */

static int walk(struct diff *d, int a, int b, unsigned depth);

/* Names of a directory, sorted. */
static int list_names(struct diff *d, int dir, struct str_list *names)
{
	if (dir >= 0 && dir_names(dir, names) < 0)
		return err_sys(d->err, "read", d->path);
	str_list_sort(names);
	return 0;
}

/* Below what is a directory on one side at least. */
static int descend(struct diff *d, const struct side *a, const struct side *b, unsigned depth)
{
	const int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
	bool first = a->dir >= 0 && S_ISDIR(a->st.st_mode), second = b->dir >= 0 && S_ISDIR(b->st.st_mode);
	cleanup_fd int one = first ? openat(a->dir, a->name, flags) : -1;
	cleanup_fd int two = second ? openat(b->dir, b->name, flags) : -1;

	if ((first && one < 0) || (second && two < 0))
		return err_sys(d->err, "read", d->path);
	/* Of what is deleted its top is told. */
	return two < 0 ? 0 : walk(d, one, two, depth + 1);
}

static int visit(struct diff *d, const struct side *a, const struct side *b, unsigned depth)
{
	if (a->dir < 0 || b->dir < 0) {
		tell(d, a->dir < 0 ? 'A' : 'D');
	} else {
		int result = same(d, a, b);
		if (result < 0)
			return -1;
		if (result == 0)
			tell(d, 'C');
	}
	return descend(d, a, b, depth);
}

static int visit_name(struct diff *d, int a, int b, const char *name, unsigned depth)
{
	struct side sides[2] = { { .view = d->a, .dir = a, .name = name }, { .view = d->b, .dir = b, .name = name } };
	const size_t length = strlen(d->path);

	if (snprintf(d->path + length, sizeof d->path - length, "%s%s", length ? "/" : "", name) >=
		(int)(sizeof d->path - length))
		return err_code(d->err, ENAMETOOLONG, "read", name);
	for (size_t i = 0; i < 2; i++)
		if (sides[i].dir >= 0 && fstatat(sides[i].dir, name, &sides[i].st, AT_SYMLINK_NOFOLLOW) < 0)
			return err_sys(d->err, "look at", d->path);
	int result = visit(d, &sides[0], &sides[1], depth);
	d->path[length] = '\0';
	/* Whatever was told in it, the directory itself was. */
	d->told = d->told > length ? length : d->told;
	return result;
}

static int walk(struct diff *d, int a, int b, unsigned depth)
{
	cleanup_str_list struct str_list first = { 0 }, second = { 0 };
	size_t i = 0, j = 0;

	if (depth > DEPTH_MAX)
		return err_code(d->err, ELOOP, "read", d->path);
	if (list_names(d, a, &first) < 0 || list_names(d, b, &second) < 0)
		return -1;
	while (i < first.count || j < second.count) {
		int order = i == first.count ? 1 : j == second.count ? -1 : strcmp(first.items[i], second.items[j]);
		const char *name = order <= 0 ? first.items[i] : second.items[j];
		if (visit_name(d, order <= 0 ? a : -1, order >= 0 ? b : -1, name, depth) < 0)
			return -1;
		i += order <= 0;
		j += order >= 0;
	}
	return 0;
}

static int diff_views(struct diff *d)
{
	struct side a = { .view = d->a, .dir = d->a->root, .name = "." },
		    b = { .view = d->b, .dir = d->b->root, .name = "." };

	if (fstat(d->a->root, &a.st) < 0 || fstat(d->b->root, &b.st) < 0)
		return err_sys(d->err, "look at", "/");
	int result = same(d, &a, &b);
	if (result == 0)
		tell_path(d, 'C', 0);
	return result < 0 ? -1 : walk(d, d->a->root, d->b->root, 0);
}

int diff_main(int argc, char **argv)
{
	struct azm_err err = { 0 };
	struct diff d = { .err = &err };
	cleanup_view struct view a = VIEW_NONE, b = VIEW_NONE;
	const char *operands[2] = { 0 };
	int result = command_operands("diff", &d, argc, argv, operands, 2, &err);

	d.a = &a;
	d.b = &b;
	if (result >= 0 && result < 2) {
		result = err_msg(&err, EINVAL, "diff", result ? operands[0] : NULL, "two images are needed");
		err_hint(&err, "%s diff A B", rootfs_program.name);
	}
	int first = result < 0 ? -1 : view_open(&a, operands[0], &err);
	int second = first < 0 ? -1 : view_open(&b, operands[1], &err);
	d.stored = first > 0 && second > 0;
	result = second < 0 ? -1 : diff_views(&d);
	if (result == 0 && d.json)
		fputs(d.count ? "\n]\n" : "[]\n", stdout);
	return command_end(result, &err);
}
