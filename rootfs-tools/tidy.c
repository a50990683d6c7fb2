// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/tidy.c: see tidy.h */
#include "rootfs-tools/tidy.h"

#include <errno.h>
#include <fts.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/str.h"

/* Directories whose files nobody reads in a sandbox. The licences must stay. */
static const char *const documentation[] = {
	"/usr/share/doc/",
	"/usr/share/info/",
	"/usr/share/lintian/",
	"/usr/share/locale/",
	"/usr/share/man/",
	NULL,
};

static const char kept_name[] = "copyright";

static bool is_documentation(const char *path_in_root)
{
	for (const char *const *prefix = documentation; *prefix; prefix++)
		if (str_starts(path_in_root, *prefix))
			return true;
	return false;
}

/* A file, link or whatever is not a directory. */
static int tidy_file(const FTSENT *entry, const char *inside, uint64_t *disk, struct azm_err *err)
{
	const struct stat *st = entry->fts_statp;

	if (is_documentation(inside) && strcmp(entry->fts_name, kept_name) != 0) {
		if (unlink(entry->fts_accpath) < 0)
			return err_sys(err, "remove from the image", inside);
		return 0;
	}
	if (S_ISREG(st->st_mode) && (st->st_mode & (S_ISUID | S_ISGID)) &&
		chmod(entry->fts_accpath, st->st_mode & 01777) < 0)
		return err_sys(err, "take the set-id bit from", inside);
	*disk += (uint64_t)st->st_blocks * 512 / (st->st_nlink ? st->st_nlink : 1);
	return 0;
}

/* A directory, before (FTS_D) or after (FTS_DP) its contents. */
static int tidy_directory(const FTSENT *entry, const char *inside, struct azm_err *err)
{
	const struct stat *st = entry->fts_statp;

	if (entry->fts_info == FTS_DP) {
		if (is_documentation(inside))
			(void)rmdir(entry->fts_accpath);
		return 0;
	}
	if ((st->st_mode & S_IRWXU) != S_IRWXU && chmod(entry->fts_accpath, (st->st_mode & 07777) | S_IRWXU) < 0)
		return err_sys(err, "open up the directory", inside);
	return 0;
}

static int tidy_entry(const FTSENT *entry, const char *inside, uint64_t *disk, struct azm_err *err)
{
	switch (entry->fts_info) {
	case FTS_D:
	case FTS_DP:
		return tidy_directory(entry, inside, err);
	case FTS_DNR: /* fts has looked before tidy_directory() could help: nobody but a package script makes these */
		if (chmod(entry->fts_accpath, S_IRWXU) < 0)
			return err_sys(err, "open up the directory", inside);
		return 0;
	case FTS_ERR:
	case FTS_NS:
		return err_code(err, entry->fts_errno, "look at", inside);
	default:
		return tidy_file(entry, inside, disk, err);
	}
}

int tidy_tree(const char *path, uint64_t *disk, struct azm_err *err)
{
	char *roots[] = { xstrdup(path), NULL };
	size_t prefix = strlen(path);
	int result = 0;
	FTS *walk = fts_open(roots, FTS_PHYSICAL | FTS_XDEV, NULL);

	*disk = 0;
	if (!walk)
		result = err_sys(err, "look at", path);
	for (FTSENT *entry; result == 0 && (entry = fts_read(walk));)
		result = tidy_entry(entry, entry->fts_path + prefix, disk, err);
	if (walk)
		fts_close(walk);
	free(roots[0]);
	return result;
}
