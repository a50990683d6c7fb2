// SPDX-License-Identifier: GPL-2.0-or-later
/* doctor/hints.c: see hints.h */
#include "doctor/hints.h"

#include <stdio.h>
#include <string.h>

#include "doctor/explain.h"

/* Words of a step (the text of an error, from the outermost context to the innermost step) and who explains it; the
 * first that fits. Steps of mount/, netns/, init/ and idmap.c.
 */
static const struct {
	const char *words;
	explain_fn *explain;
} steps[] = {
	{ "newuidmap", explain_subids },
	{ "newgidmap", explain_subids },
	{ "uid_map", explain_restricted },
	{ "gid_map", explain_restricted },
	{ "setgroups", explain_restricted },
	{ "separate the mounts", explain_restricted },
	{ "bounding set", explain_restricted },
	{ "set the address", explain_restricted },
	{ "set for the network", explain_restricted },
	{ "bring up", explain_links },
	{ "make the bridge", explain_links },
	{ "make the network link", explain_links },
	{ "packet filter", explain_nftables },
	{ "nftables", explain_nftables },
	{ "mount overlay", explain_overlay },
	{ "mount /proc", explain_proc },
	{ "mount /sys", explain_mount },
	{ "mount /dev", explain_mount },
	{ "mount tmpfs", explain_mount },
	{ "change the root", explain_mount },
	{ "memfd", explain_memfd },
	{ "seccomp filter", explain_seccomp },
	{ "namespaces", explain_namespace },
	{ "user namespace", explain_userns },
};

/* As many fixes as fit in a hint; the rest, and long ones like a profile, are doctor's to show. */
static void write_hint(const struct advice *advice, struct azm_err *err)
{
	size_t used = (size_t)snprintf(err->hint, sizeof err->hint, "%s", advice->cause);

	if (advice->apparmor)
		used += (size_t)snprintf(err->hint + used, sizeof err->hint - used,
			"%sload the profile that `azm-sandbox doctor` prints", used ? "; " : "");
	for (size_t i = 0; i < advice->fix.count && used < sizeof err->hint; i++) {
		const char *line = advice->fix.items[i];
		if (used + strlen(line) + 2 >= sizeof err->hint)
			break;
		used += (size_t)snprintf(err->hint + used, sizeof err->hint - used, "%s%s", used ? "\n" : "", line);
	}
}

static void explain_as_hint(explain_fn *explain, const struct azm_err *failure, struct azm_err *err)
{
	cleanup_advice struct advice advice = { 0 };
	struct host_facts host;

	host_facts_read(&host);
	explain(&host, failure, &advice);
	write_hint(&advice, err);
}

void hint_for_failure(struct azm_err *err)
{
	if (!err->code || err->hint[0])
		return;
	for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
		if (strstr(err->text, steps[i].words)) {
			explain_as_hint(steps[i].explain, err, err);
			return;
		}
}

int host_hint_userns(int code, struct azm_err *err)
{
	struct azm_err failure = { .code = code, .text = "make a user namespace" };

	explain_as_hint(explain_userns, &failure, err);
	return -1;
}
