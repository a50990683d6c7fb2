// SPDX-License-Identifier: GPL-2.0-or-later
/* tests/fuzz/fuzz_layer_overlay.c: any bytes as a layer of the image store, over another one: an overlay, whiteouts,
 * its upper directory changed while it is not mounted. The same bytes go over a plain tree of the same files, and where
 * both can be done, both show the same. Neither the layer below nor what lies beside changes.
 */
#include <dirent.h>
#include <limits.h>

#include "base/tree.h"
#include "rootfs-tools/layer.h"
#include "rootfs-tools/store_make.h"
#include "tests/fuzz/tar_input.h"

#define BELOW "00000000000000000000000000000000000000000000000000000000000000b0"
#define LAYER "00000000000000000000000000000000000000000000000000000000000000a0"

enum { DEPTH_MAX = 40, TARGET_SIZE = 1 << 22 };

/* ---- a tree as text --------------------------------------------------------------------------------------------- */

static void describe(int dir, const char *path, unsigned depth, FILE *out);

static void describe_entry(int dir, const char *name, const char *path, unsigned depth, FILE *out)
{
	char target[PATH_MAX] = "";
	struct stat st;

	must(fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0);
	fprintf(out, "%s %o", path, S_ISLNK(st.st_mode) ? (unsigned)S_IFLNK : st.st_mode);
	if (S_ISLNK(st.st_mode)) {
		must(readlinkat(dir, name, target, sizeof target - 1) >= 0);
		fprintf(out, " %s\n", target);
	} else if (S_ISREG(st.st_mode)) {
		cleanup_fd int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
		char begin[4096];
		ssize_t n = fd < 0 ? -1 : read(fd, begin, sizeof begin);
		must(n >= 0);
		fprintf(out, " %lld ", (long long)st.st_size);
		fwrite(begin, 1, (size_t)n, out);
		fputc('\n', out);
	} else {
		fputc('\n', out);
	}
	if (S_ISDIR(st.st_mode) && depth < DEPTH_MAX) {
		cleanup_fd int inner = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		must(inner >= 0);
		describe(inner, path, depth + 1, out);
	}
}

static void describe(int dir, const char *path, unsigned depth, FILE *out)
{
	struct dirent **names = NULL;
	int count = scandirat(dir, ".", &names, NULL, alphasort);

	must(count >= 0);
	for (int i = 0; i < count; i++) {
		const char *name = names[i]->d_name;
		if (strcmp(name, ".") != 0 && strcmp(name, "..") != 0) {
			cleanup_free char *inner = xasprintf("%s/%s", path, name);
			describe_entry(dir, name, inner, depth, out);
		}
		free(names[i]);
	}
	free(names);
}

/* Caller frees. */
static char *description(int dir)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	must(out);
	describe(dir, "", 0, out);
	fclose(out);
	return text;
}

/* ---- the store, and the layer below ------------------------------------------------------------------------------ */

static char home[64];
static char *below; /* what its tree is */

static void remove_home(void)
{
	struct azm_err err = { 0 };

	free(below);
	(void)tree_remove_at(AT_FDCWD, home, &err);
}

static int open_below(const struct store *store)
{
	struct azm_err err = { 0 };
	cleanup_fd int dir = store_layer_open(store, BELOW, &err);
	int tree = dir < 0 ? -1 : openat(dir, "tree", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	must(tree >= 0);
	return tree;
}

static void make_below(const struct store *store)
{
	const struct layer_about about = { .created_by = "test" };
	cleanup_layer_maker struct layer_maker maker = LAYER_MAKER_NONE;
	struct azm_err err = { 0 };

	must(layer_maker_begin(store, BELOW, NULL, NULL, &maker, &err) == 0);
	fill_root(maker.root);
	must(layer_maker_commit(&maker, &about, &err) == 0);
	cleanup_fd int tree = open_below(store);
	below = description(tree);
}

/* One for the whole run. /dev/shm carries layers since Linux 6.6. */
static void make_store(struct store *store)
{
	static const char *const places[] = { "/dev/shm", "/var/tmp" };
	struct azm_err err = { 0 };

	for (size_t i = 0; i < sizeof places / sizeof *places && store->dir < 0; i++) {
		snprintf(home, sizeof home, "%s/azm-fuzz-overlay-XXXXXX", places[i]);
		must(mkdtemp(home) && setenv("AZM_IMAGE_STORE", home, 1) == 0);
		err_clear(&err);
		if (store_open(store, STORE_LAYERS, &err) < 0)
			must(tree_remove_at(AT_FDCWD, home, &err) == 0);
	}
	must(store->dir >= 0);
	atexit(remove_home);
	make_below(store);
}

/* ---- both ways --------------------------------------------------------------------------------------------------- */

static struct stream *open_stream(int tar, size_t size)
{
	struct azm_err err = { 0 };
	const struct stream_source source = { .fd = tar, .size = size, .limit = TARGET_SIZE };
	struct stream *stream = stream_new(&source, &err);

	must(stream);
	return stream;
}

/* Return: what the tree is then, caller frees; NULL: the layer is not applied. */
static char *apply_plain(int dir, int tar, size_t size)
{
	struct azm_err err = { 0 };
	cleanup_fd int root = openat(dir, "root", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct layer_target target = { .root = root,
		.scratch = dir,
		.whiteouts = true,
		.size_left = TARGET_SIZE,
		.owners = owner_log_new(dir, &err) };

	must(root >= 0 && target.owners);
	fill_root(root);
	struct stream *stream = open_stream(tar, size);
	bool applied = layer_apply(&target, stream, &err) == 0;
	stream_close(stream);
	owner_log_free(target.owners);
	return applied ? description(root) : NULL;
}

static char *apply_over(const struct store *store, int tar, size_t size)
{
	cleanup_layer_maker struct layer_maker maker = LAYER_MAKER_NONE;
	struct layer_target target = { .whiteouts = true, .size_left = TARGET_SIZE };
	struct azm_err err = { 0 };

	must(layer_maker_begin(store, LAYER, BELOW, NULL, &maker, &err) == 0);
	make_outside(maker.dir);
	struct stream *stream = open_stream(tar, size);
	bool applied = layer_maker_apply(&maker, &target, stream, &err) == 0;
	must(applied == (err.code == 0));
	stream_close(stream);
	check_outside(maker.dir);
	return applied ? description(maker.root) : NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char path[] = "/dev/shm/azm-fuzz-layer-XXXXXX";
	cleanup_store struct store store = STORE_NONE;
	struct azm_err err = { 0 };

	if (size > INPUT_MAX)
		return 0;
	if (!below)
		make_store(&store);
	else
		must(store_open(&store, STORE_LAYERS, &err) == 0);
	unsigned char *copy = (unsigned char *)fuzz_text(data, size);
	right_checksums(copy, size);
	cleanup_fd int tar = file_of(copy, size);
	free(copy);
	must(mkdtemp(path));
	{
		cleanup_fd int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		must(dir >= 0 && mkdirat(dir, "root", 0755) == 0);
		make_outside(dir);
		cleanup_free char *plain = apply_plain(dir, tar, size);
		cleanup_free char *over = apply_over(&store, tar, size);
		must(!plain == !over);
		must(!plain || strcmp(plain, over) == 0);
		check_outside(dir);
		cleanup_fd int tree = open_below(&store);
		cleanup_free char *still = description(tree);
		must(strcmp(still, below) == 0);
	}
	must(tree_remove_at(AT_FDCWD, path, &err) == 0);
	return 0;
}
