// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/bootstrap.c: `azm-rootfs bootstrap DIR`.
 *
 * The order: refuse what cannot work, lock the cache, make the partial directory, let mmdebstrap fill its rootfs, turn
 * that into an image, rename. Until the rename nothing is visible under DIR; every way out removes the partial
 * directory, but kill -9, after which the next run does.
 */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <linux/limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/json_out.h"
#include "base/str.h"
#include "mount/mount.h"
#include "rootfs-tools/bundle.h"
#include "rootfs-tools/cache.h"
#include "rootfs-tools/commands.h"
#include "rootfs-tools/debian.h"
#include "rootfs-tools/mmdebstrap.h"
#include "rootfs-tools/progress.h"
#include "rootfs-tools/staging.h"

#define SERVER_NAME "azm-runtime-server"
#define SERVER_PATH "/usr/local/bin/azm-runtime-server" /* inside */

static const char keyring[] = "/usr/share/keyrings/debian-archive-keyring.gpg";

struct bootstrap {
	const char *target;
	const char *suite;
	const struct debian_variant *variant;
	struct str_list include, mirrors;
	const char *server; /* --server; NULL: look for it */
	char *server_found; /* what goes into the image, NULL: none */
	enum progress_style style;
	bool as_root;
};

/* ---- options -------------------------------------------------------------------------------------------------- */

/* Names of suites and packages end up in command lines and apt's files: nothing but what Debian allows in them. */
static bool is_plain_name(const char *text, const char *extra)
{
	static const char usual[] = "abcdefghijklmnopqrstuvwxyz0123456789-.";
	size_t length = strlen(text);

	if (length == 0 || length > 128 || text[0] == '-')
		return false;
	for (const char *c = text; *c; c++)
		if (!strchr(usual, *c) && !strchr(extra, *c))
			return false;
	return true;
}

static int set_suite(void *config, const char *value, struct azm_err *err)
{
	struct bootstrap *b = config;

	if (!is_plain_name(value, ""))
		return err_msg(err, EINVAL, "choose", NULL, "not the name of a Debian suite");
	b->suite = value;
	return 0;
}

static int set_variant(void *config, const char *value, struct azm_err *err)
{
	struct bootstrap *b = config;

	b->variant = debian_variant(value);
	return b->variant ? 0 : err_msg(err, EINVAL, "choose", NULL, "minimal, standard or build");
}

static int add_include(void *config, const char *value, struct azm_err *err)
{
	struct bootstrap *b = config;
	size_t before = b->include.count;

	str_list_split(&b->include, value, ',');
	for (size_t i = before; i < b->include.count; i++)
		if (!is_plain_name(b->include.items[i], "+:~=/ABCDEFGHIJKLMNOPQRSTUVWXYZ") ||
			b->include.items[i][0] == '/')
			return err_msg(err, EINVAL, "install", b->include.items[i], "not the name of a package");
	return 0;
}

static int add_mirror(void *config, const char *value, struct azm_err *err)
{
	struct bootstrap *b = config;

	if ((!strstr(value, "://") && !str_starts(value, "deb ")) || strpbrk(value, "\n\"") || value[0] == '-')
		return err_msg(err, EINVAL, "use mirror", NULL, "neither a URL nor a \"deb ...\" line");
	str_list_add(&b->mirrors, value);
	return 0;
}

OPTION_STORES(set_server, struct bootstrap, server, value)
OPTION_STORES(set_as_root, struct bootstrap, as_root, true)
OPTION_STORES(set_json, struct bootstrap, style, PROGRESS_JSON)
OPTION_STORES(set_quiet, struct bootstrap, style, PROGRESS_QUIET)

const struct option_row bootstrap_options[] = {
	{ 's', "suite", "NAME", set_suite, "release of Debian: bookworm (default), trixie, sid ..." },
	{ 'i', "include", "PKG[,PKG...]", add_include, "more packages" },
	{ 'm', "mirror", "URL", add_mirror, "where packages come from (http://deb.debian.org/debian)" },
	{ 0, "variant", "NAME", set_variant, "minimal, standard (default) or build" },
	{ 0, "server", "PATH", set_server, "runtime server to put in (default: the one that came with azm-rootfs)" },
	{ 'q', "quiet", NULL, set_quiet, "no progress display" },
	{ 0, "json", NULL, set_json, "progress and result as JSON lines on standard output" },
	{ 0, "as-root", NULL, set_as_root, "run although started by root" },
	OPTIONS_END,
};

static int parse(struct bootstrap *b, int argc, char **argv, struct azm_err *err)
{
	int count = command_operands("bootstrap", b, argc, argv, &b->target, 1, err);

	if (count < 0)
		return -1;
	if (count == 0) {
		err_msg(err, EINVAL, "bootstrap", NULL, "which directory is the image to be made in?");
		return err_hint(err, "%s bootstrap DIR", rootfs_program.name);
	}
	return 0;
}

/* ---- what has to be right before anything is made ------------------------------------------------------------- */

static bool is_program(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, R_OK | X_OK) == 0;
}

/* The server given, or the one beside this program, or where `make install` puts it. */
static int find_server(struct bootstrap *b, struct azm_err *err)
{
	static const char *const places[] = { "", "../libexec/azm-sandbox/", NULL };
	char self[PATH_MAX];

	if (b->server) {
		if (!is_program(b->server))
			return err_msg(err, ENOENT, "put in the server", b->server,
				"not a program that can be read and executed");
		b->server_found = xstrdup(b->server);
		return 0;
	}
	ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
	if (length <= 0)
		return 0;
	self[length] = '\0';
	char *slash = strrchr(self, '/');
	if (!slash)
		return 0;
	slash[1] = '\0';
	for (const char *const *place = places; *place && !b->server_found; place++) {
		cleanup_free char *path = xasprintf("%s%s%s", self, *place, SERVER_NAME);
		if (is_program(path))
			b->server_found = steal_ptr(&path);
	}
	return 0;
}

static int check(struct bootstrap *b, struct azm_err *err)
{
	if ((!b->as_root && refuse_root("bootstrap", b->target, err) < 0) || staging_check(b->target, err) < 0 ||
		mmdebstrap_present(err) < 0 || find_server(b, err) < 0)
		return -1;
	if (!bundle_architecture())
		return err_msg(err, ENOTSUP, "bootstrap", NULL, "this machine's architecture is not known to us");
	if (b->mirrors.count == 0 && access(keyring, R_OK) < 0) {
		err_sys(err, "check signatures with", keyring);
		return err_hint(err, "apt-get install debian-archive-keyring");
	}
	return 0;
}

/* Running out of space after ten minutes is no way to learn it. */
static int check_space(int dirfd, const char *path, uint64_t needed, struct azm_err *err)
{
	struct statvfs fs;

	if (fstatvfs(dirfd, &fs) < 0)
		return err_sys(err, "look at the free space of", path);
	uint64_t available = (uint64_t)fs.f_bavail * fs.f_frsize;
	if (available >= needed)
		return 0;
	err_msg(err, ENOSPC, "make image", path, "%llu MiB are free, %llu MiB are needed",
		(unsigned long long)(available >> 20), (unsigned long long)(needed >> 20));
	return err_hint(err, "free some space, or name a directory on another file system");
}

/* ---- making it ------------------------------------------------------------------------------------------------ */

static int copy_server(const char *source, int rootfd, struct azm_err *err)
{
	cleanup_fd int directory = resolve_make(rootfd, "usr/local/bin", true);
	cleanup_fd int in = open(source, O_RDONLY | O_CLOEXEC);
	size_t size;
	cleanup_free char *program = in < 0 ? NULL : read_file(in, 256 << 20, &size);

	if (!program)
		return err_sys(err, "read", source);
	if (directory < 0 || write_file_at(directory, SERVER_NAME, program, size, 0755) < 0)
		return err_sys(err, "write in the image", SERVER_PATH);
	return 0;
}

static int write_config(const struct bootstrap *b, int dirfd, struct azm_err *err)
{
	static const char *const env[] = {
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"LANG=C.UTF-8",
		"PIP_BREAK_SYSTEM_PACKAGES=1",
		NULL,
	};
	static const char *const server[] = { SERVER_PATH, "--port", "3000", "--working-dir", "/workspace", NULL };
	static const char *const shell[] = { "/bin/bash", NULL };
	static const char *const ports[] = { "3000/tcp", NULL };
	static const char *const labels[][2] = { { "org.azm-sandbox.server", SERVER_PATH }, { NULL, NULL } };
	cleanup_free char *created_by =
		xasprintf("azm-rootfs bootstrap --suite %s --variant %s", b->suite, b->variant->name);
	struct bundle_config config = {
		.architecture = bundle_architecture(),
		.env = env,
		.command = b->server_found ? server : shell,
		.ports = b->server_found ? ports : NULL,
		.labels = b->server_found ? labels : NULL,
		.working_directory = "/workspace",
		.created_by = created_by,
	};

	return bundle_write_config(dirfd, &config, err);
}

static int install(const struct bootstrap *b, const char *root, const struct cache *cache, int signals,
	struct progress *progress, struct azm_err *err)
{
	cleanup_free char *archives = cache_directory(cache, "archives", err);
	cleanup_free char *lists = archives ? cache_directory(cache, "lists", err) : NULL;
	cleanup_free char *log = xasprintf("%s/bootstrap.log", cache->path);
	cleanup_free char *packages = debian_packages(b->variant, &b->include);
	cleanup_str_list struct str_list sources = { 0 };

	if (!lists)
		return -1;
	debian_sources(b->suite, &b->mirrors, access(keyring, R_OK) == 0 ? keyring : NULL, &sources);
	struct mmdebstrap job = {
		.root = root,
		.archives = archives,
		.lists = lists,
		.log = log,
		.suite = b->suite,
		.packages = packages,
		.sources = &sources,
		.hooks = debian_hooks,
		.signals = signals,
		.progress = progress,
	};
	return mmdebstrap_run(&job, err);
}

/* Fills the partial directory. */
static int fill(const struct bootstrap *b, const struct staging *staging, const struct cache *cache,
	const char *host_settings, int signals, struct progress *progress, struct debian_summary *summary,
	struct azm_err *err)
{
	cleanup_free char *root = xasprintf("%s/rootfs", staging->path);

	if (mkdirat(staging->fd, "rootfs", 0755) < 0)
		return err_sys(err, "make", root);
	cleanup_fd int rootfd = openat(staging->fd, "rootfs", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (rootfd < 0)
		return err_sys(err, "open", root);
	if (debian_prepare(rootfd, host_settings, err) < 0 || install(b, root, cache, signals, progress, err) < 0)
		return -1;
	progress_phase(progress, "finish", "finishing", 97, 100);
	if (b->server_found && copy_server(b->server_found, rootfd, err) < 0)
		return -1;
	if (debian_finish(root, b->suite, &b->mirrors, summary, err) < 0)
		return -1;
	return write_config(b, staging->fd, err);
}

static void say_done(const struct bootstrap *b, const struct progress *progress, const struct debian_summary *summary)
{
	if (progress->style == PROGRESS_JSON) {
		json_t *object = json_pack("{s:s, s:s, s:i, s:I, s:I, s:b, s:f}", "phase", "done", "path", b->target,
			"packages", (int)summary->packages, "disk_bytes", (json_int_t)summary->disk, "downloaded_bytes",
			(json_int_t)progress->bytes, "server", b->server_found != NULL, "elapsed",
			progress_seconds(progress));
		json_print(object, JSON_COMPACT | JSON_REAL_PRECISION(6), stdout);
	} else if (progress->style != PROGRESS_QUIET) {
		fprintf(stderr, "%s: %s: %u packages, %.0f MiB on disk, %.1f MiB downloaded, %.0f s\n",
			rootfs_program.name, b->target, summary->packages, (double)summary->disk / (1 << 20),
			(double)progress->bytes / (1 << 20), progress_seconds(progress));
		if (!b->server_found)
			fprintf(stderr, "%s: no %s found to put in: azm-sandbox will mount its own\n",
				rootfs_program.name, SERVER_NAME);
	}
}

static void say_waiting(const char *path)
{
	fprintf(stderr, "%s: another bootstrap uses %s: waiting for it\n", rootfs_program.name, path);
}

static int bootstrap(struct bootstrap *b, struct azm_err *err)
{
	cleanup_cache struct cache cache = CACHE_NONE;
	cleanup_staging struct staging staging = STAGING_NONE;
	struct debian_summary summary = { 0 };
	struct progress progress;

	if (check(b, err) < 0 || cache_open(&cache, say_waiting, err) < 0)
		return -1;
	cleanup_free char *host_settings = mmdebstrap_host_settings();
	cleanup_fd int signals = watch_signals(err);
	if (signals < 0 || staging_begin(b->target, &staging, err) < 0 ||
		check_space(staging.fd, b->target, b->variant->disk, err) < 0 ||
		check_space(cache.fd, cache.path, b->variant->download, err) < 0)
		return -1;
	progress_begin(&progress, b->style, rootfs_program.name);
	int result = fill(b, &staging, &cache, host_settings, signals, &progress, &summary, err);
	progress_end(&progress);
	if (result < 0 || staging_commit(&staging, err) < 0)
		return -1;
	say_done(b, &progress, &summary);
	return 0;
}

int bootstrap_main(int argc, char **argv)
{
	struct bootstrap b = { .suite = "bookworm", .variant = debian_variant(NULL) };
	struct azm_err err = { 0 };

	int result = parse(&b, argc, argv, &err);
	if (result == 0)
		result = bootstrap(&b, &err);
	str_list_free(&b.include);
	str_list_free(&b.mirrors);
	free(b.server_found);
	return command_end(result, &err);
}
