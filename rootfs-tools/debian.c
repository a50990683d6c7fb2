// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/debian.c: see debian.h */
#include "rootfs-tools/debian.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "mount/mount.h"
#include "rootfs-tools/tidy.h"

/* ---- packages ------------------------------------------------------------------------------------------------- */

#define MIB (UINT64_C(1) << 20)

static const struct debian_variant variants[] = {
	{ "minimal", "bash ca-certificates curl findutils git passwd procps sudo", "what the runtime server needs",
		200 * MIB, 60 * MIB },
	{ "standard",
		"python3 python3-pip python3-venv python-is-python3 nodejs npm ripgrep "
		"bzip2 file iproute2 jq less netbase openssh-client patch tmux tzdata unzip wget xz-utils zip",
		"Python 3, Node.js and the tools agents expect (the default)", 600 * MIB, 120 * MIB },
	{ "build", "build-essential pkg-config python3-dev", "and compilers", 950 * MIB, 200 * MIB },
};

static const size_t variant_count = sizeof variants / sizeof *variants;

const struct debian_variant *debian_variant(const char *name)
{
	for (size_t i = 0; i < variant_count; i++)
		if (strcmp(variants[i].name, name ? name : "standard") == 0)
			return &variants[i];
	return NULL;
}

static void append_package(char **list, const char *packages)
{
	cleanup_free char *before = *list;

	*list = xasprintf("%s %s", before, packages);
}

char *debian_packages(const struct debian_variant *variant, const struct str_list *extra)
{
	char *list = xstrdup(variants[0].packages);

	for (const struct debian_variant *row = variants + 1; row <= variant; row++)
		append_package(&list, row->packages);
	for (size_t i = 0; extra && i < extra->count; i++)
		append_package(&list, extra->items[i]);
	for (char *blank = list; (blank = strchr(blank, ' '));)
		*blank = ',';
	return list;
}

/* ---- sources -------------------------------------------------------------------------------------------------- */

static const char debian_mirror[] = "http://deb.debian.org/debian";

struct source_row {
	const char *mirror, *suffix;
};

static const struct source_row released[] = {
	{ debian_mirror, "" },
	{ debian_mirror, "-updates" },
	{ "http://deb.debian.org/debian-security", "-security" },
	{ NULL, NULL },
};

static const struct source_row rolling[] = {
	{ debian_mirror, "" },
	{ NULL, NULL },
};

static const struct source_row *official_sources(const char *suite)
{
	static const char *const unreleased[] = { "sid", "unstable", "experimental", NULL };

	for (const char *const *name = unreleased; *name; name++)
		if (strcmp(*name, suite) == 0)
			return rolling;
	return released;
}

static bool is_whole_line(const char *mirror)
{
	return str_starts(mirror, "deb ");
}

void debian_sources(const char *suite, const struct str_list *mirrors, const char *keyring, struct str_list *sources)
{
	cleanup_free char *option = keyring ? xasprintf(" [signed-by=\"%s\"]", keyring) : xstrdup("");

	for (size_t i = 0; i < mirrors->count; i++) {
		if (is_whole_line(mirrors->items[i]))
			str_list_add(sources, mirrors->items[i]);
		else
			str_list_addf(sources, "deb%s %s %s main", option, mirrors->items[i], suite);
	}
	if (mirrors->count > 0)
		return;
	for (const struct source_row *row = official_sources(suite); row->mirror; row++)
		str_list_addf(sources, "deb%s %s %s%s main", option, row->mirror, suite, row->suffix);
}

/* What the image itself uses: whole lines of the user's stay, a bare URL was only a nearer copy of the archive. */
static char *lasting_sources(const char *suite, const struct str_list *mirrors)
{
	cleanup_str_list struct str_list chosen = { 0 }, lines = { 0 };
	char *text = xstrdup("");

	for (size_t i = 0; i < mirrors->count; i++)
		if (is_whole_line(mirrors->items[i]))
			str_list_add(&chosen, mirrors->items[i]);
	debian_sources(suite, &chosen, NULL, &lines);
	for (size_t i = 0; i < lines.count; i++) {
		cleanup_free char *before = text;
		text = xasprintf("%s%s\n", before, lines.items[i]);
	}
	return text;
}

/* ---- settings ------------------------------------------------------------------------------------------------- */

static const char host_settings_name[] = "00azm-host";

struct setting {
	const char *directory; /* below the root; made when missing */
	const char *name;
	mode_t mode;
	const char *text; /* NULL: only the directory */
};

/* In the root before the first package is installed. */
static const struct setting early_settings[] = {
	{ "dev", NULL, 0755, NULL },
	{ "var/cache/apt/archives", NULL, 0755, NULL },
	{ "var/lib/apt/lists", NULL, 0755, NULL },
	/* A file that exists already is not copied from the host by the installer. */
	{ "etc", "hostname", 0644, "sandbox\n" },
	{ "etc", "resolv.conf", 0644, "" },
	{ "etc/apt/apt.conf.d", "90azm-sandbox", 0644,
		"// There is one id in a sandbox, so apt cannot change to its own user for downloads.\n"
		"APT::Sandbox::User \"root\";\n"
		"Acquire::Languages \"none\";\n" },
	{ "etc/dpkg/dpkg.cfg.d", "azm-slim", 0644,
		"# An image is thrown away when a crash corrupts it: no fsync for every file.\n"
		"force-unsafe-io\n"
		"# As in Debian's \"slim\" container images.\n"
		"path-exclude /usr/share/doc/*\n"
		"path-include /usr/share/doc/*/copyright\n"
		"path-exclude /usr/share/info/*\n"
		"path-exclude /usr/share/lintian/*\n"
		"path-exclude /usr/share/locale/*\n"
		"path-exclude /usr/share/man/*\n" },
	{ NULL, NULL, 0, NULL },
};

/* Added when everything is installed. */
static const struct setting late_settings[] = {
	{ "etc", "hosts", 0644, "127.0.0.1 localhost\n::1 localhost\n" },
	{ "etc", "pip.conf", 0644,
		"# The sandbox is the virtual environment.\n"
		"[global]\n"
		"break-system-packages = true\n"
		"root-user-action = ignore\n" },
	{ "etc/sudoers.d", "openhands", 0440, "openhands ALL=(ALL:ALL) NOPASSWD: ALL\n" },
	{ "usr/sbin", "policy-rc.d", 0755,
		"#!/bin/sh\n"
		"# No init system runs here: packages must not start their daemons.\n"
		"exit 101\n" },
	/* update-alternatives of some packages fails without them. */
	{ "usr/share/man/man1", NULL, 0755, NULL },
	{ "usr/share/man/man7", NULL, 0755, NULL },
	{ "usr/share/man/man8", NULL, 0755, NULL },
	{ "workspace", NULL, 0755, NULL },
	{ NULL, NULL, 0, NULL },
};

const char *const debian_hooks[] = {
	"chroot \"$1\" useradd --create-home --uid 1000 --user-group --shell /bin/bash openhands",
	NULL,
};

static int write_setting(int rootfd, const struct setting *setting, struct azm_err *err)
{
	cleanup_fd int fd = resolve_make(rootfd, setting->directory, true);

	if (fd < 0)
		return err_sys(err, "make directory in the image", setting->directory);
	if (!setting->text)
		return 0;
	if (write_file_at(fd, setting->name, setting->text, strlen(setting->text), setting->mode) < 0)
		return err_sys(err, "write in the image", setting->name);
	return 0;
}

static int write_settings(int rootfd, const struct setting *table, struct azm_err *err)
{
	for (const struct setting *row = table; row->directory; row++)
		if (write_setting(rootfd, row, err) < 0)
			return -1;
	return 0;
}

int debian_prepare(int rootfd, const char *host_settings, struct azm_err *err)
{
	struct setting host = { "etc/apt/apt.conf.d", host_settings_name, 0644, host_settings };

	if (write_settings(rootfd, early_settings, err) < 0)
		return -1;
	return *host_settings ? write_setting(rootfd, &host, err) : 0;
}

/* What the build left behind that is of no use, or speaks of this host. */
static const struct setting leftovers[] = {
	{ "etc/apt/apt.conf.d", host_settings_name, 0, NULL },
	{ "var/cache/apt", "pkgcache.bin", 0, NULL },
	{ "var/cache/apt", "srcpkgcache.bin", 0, NULL },
	{ "var/cache/debconf", "templates.dat-old", 0, NULL },
	{ "var/cache/debconf", "config.dat-old", 0, NULL },
	{ "var/lib/dpkg", "status-old", 0, NULL },
	{ NULL, NULL, 0, NULL },
};

static void remove_leftovers(int rootfd)
{
	for (const struct setting *row = leftovers; row->directory; row++) {
		cleanup_fd int fd = resolve_in_root(rootfd, row->directory, O_PATH | O_DIRECTORY);
		if (fd >= 0)
			(void)unlinkat(fd, row->name, 0);
	}
}

/* dpkg keeps one "NAME.list" a package. */
static unsigned count_packages(int rootfd)
{
	cleanup_fd int dir = resolve_in_root(rootfd, "var/lib/dpkg/info", O_RDONLY | O_DIRECTORY);
	cleanup_str_list struct str_list names = { 0 };
	unsigned count = 0;

	if (dir < 0 || dir_names(dir, &names) < 0)
		return 0;
	for (size_t i = 0; i < names.count; i++) {
		const char *dot = strrchr(names.items[i], '.');
		count += dot && strcmp(dot, ".list") == 0;
	}
	return count;
}

int debian_finish(const char *root, const char *suite, const struct str_list *mirrors, struct debian_summary *summary,
	struct azm_err *err)
{
	cleanup_free char *sources = lasting_sources(suite, mirrors);
	struct setting sources_list = { "etc/apt", "sources.list", 0644, sources };
	cleanup_fd int rootfd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (rootfd < 0)
		return err_sys(err, "open", root);
	remove_leftovers(rootfd);
	summary->packages = count_packages(rootfd);
	if (tidy_tree(root, &summary->disk, err) < 0 || write_settings(rootfd, late_settings, err) < 0)
		return -1;
	return write_setting(rootfd, &sources_list, err);
}
