// SPDX-License-Identifier: GPL-2.0-or-later
/* scope.c: see scope.h. Source: systemd-run(1). */
#include "scope.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/str.h"
#include "idmap.h"
#include "resources.h"

static const char asked[] = "AZM_IN_SCOPE";

/* A user manager that can be spoken to. */
static bool has_manager(void)
{
	const char *runtime = getenv("XDG_RUNTIME_DIR");
	cleanup_free char *socket = xasprintf("%s/systemd/private", runtime ? runtime : "");

	return runtime && access(socket, F_OK) == 0;
}

/* Source: loginctl(1), enable-linger; org.freedesktop.login1(5). */
static bool lingers(void)
{
	cleanup_free char *name = user_name();
	cleanup_free char *file = xasprintf("/var/lib/systemd/linger/%s", name ? name : "");

	return name && access(file, F_OK) == 0;
}

/* Source: srun(1), output environment variables. */
bool scope_in_job(void)
{
	return getenv("SLURM_JOB_ID") != NULL;
}

void scope_enter(const struct config *config, char **argv, int keep_fd, bool stays)
{
	static const char *const front[] = { "systemd-run", "--user", "--scope", "--quiet", "--collect", "-p",
		"Delegate=yes", "--" };
	char self[PATH_MAX];
	struct str_list words = { 0 };

	if (!limits_need_cgroup(config) || config->cgroup_parent || scope_in_job() || !has_manager())
		return;
	if (getenv(asked)) {
		if (stays && !lingers())
			fprintf(stderr,
				"azm-sandbox: note: systemd ends a sandbox with these limits together with your last "
				"login session; it stays after: loginctl enable-linger\n");
		return;
	}
	/* The password of a proxy is overwritten in argv by now. */
	cleanup_free char *delegated = cgroup_delegated(config);
	ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
	if (delegated || config->egress_proxy || length <= 0)
		return;
	self[length] = '\0';
	for (size_t i = 0; i < sizeof front / sizeof *front; i++)
		str_list_add(&words, front[i]);
	str_list_add(&words, self);
	for (char **word = argv; *word; word++)
		str_list_add(&words, *word);
	setenv(asked, "1", 1);
	if (keep_fd > 2)
		fd_set_cloexec(keep_fd, false);
	execvp(words.items[0], words.items);
	/* There is no systemd-run: what is missing is said where it is missed. */
	unsetenv(asked);
	if (keep_fd > 2)
		fd_set_cloexec(keep_fd, true);
	str_list_free(&words);
}
