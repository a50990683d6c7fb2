// SPDX-License-Identifier: GPL-2.0-or-later
/* caps.c: see caps.h */
#include "caps.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/capability.h>

#include "base/cleanup.h"

static const cap_value_t default_caps[] = { CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_FOWNER, CAP_FSETID, CAP_KILL,
	CAP_NET_BIND_SERVICE, CAP_SETFCAP, CAP_SETGID, CAP_SETPCAP, CAP_SETUID, CAP_SYS_CHROOT };

/* azm-init is out of the workload's reach because it holds this and the workload does not (init/identity.h). */
static const cap_value_t reserved_caps[] = { CAP_SYS_PTRACE };

static uint64_t all_caps(void)
{
	uint64_t caps = 0;

	for (cap_value_t cap = 0; cap <= CAP_LAST_CAP; cap++)
		caps |= 1ull << cap;
	for (size_t i = 0; i < sizeof reserved_caps / sizeof *reserved_caps; i++)
		caps &= ~(1ull << reserved_caps[i]);
	return caps;
}

static const char name_letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_";

static int one(const char *name, uint64_t *mask, struct azm_err *err)
{
	char full[64];
	cap_value_t cap;

	if (strcasecmp(name, "ALL") == 0) {
		*mask = all_caps();
		return 0;
	}
	snprintf(full, sizeof full, "%s%s", strncasecmp(name, "cap_", 4) == 0 ? "" : "cap_", name);
	/* cap_from_name() is content with a name that something else follows. */
	if (full[strspn(full, name_letters)] || cap_from_name(full, &cap) < 0 || cap < 0 || cap > CAP_LAST_CAP)
		return err_msg(err, EINVAL, "use capability", name, "there is no such capability");
	*mask = 1ull << cap;
	return 0;
}

int caps_resolve(const struct str_list *add, const struct str_list *drop, uint64_t *caps, struct azm_err *err)
{
	uint64_t added = 0, dropped = 0, mask;

	*caps = 0;
	for (size_t i = 0; i < sizeof default_caps / sizeof *default_caps; i++)
		*caps |= 1ull << default_caps[i];
	for (size_t i = 0; i < drop->count; i++) {
		if (one(drop->items[i], &mask, err) < 0)
			return -1;
		dropped |= mask;
	}
	for (size_t i = 0; i < add->count; i++) {
		if (one(add->items[i], &mask, err) < 0)
			return -1;
		added |= mask;
	}
	if (added & ~all_caps())
		return err_msg(err, EPERM, "add capability", "SYS_PTRACE",
			"it would open the sandbox's init; tracing own processes works without it");
	/* As Docker: --cap-drop ALL --cap-add X leaves X. */
	*caps = (*caps & ~dropped) | added;
	return 0;
}

char *caps_text(uint64_t caps)
{
	char *text = xstrdup("");

	for (cap_value_t cap = 0; cap <= CAP_LAST_CAP; cap++) {
		char *name = caps >> cap & 1 ? cap_to_name(cap) : NULL;
		if (!name)
			continue;
		char *longer = xasprintf("%s%s%s", text, *text ? "," : "", name);
		free(text);
		text = longer;
		cap_free(name);
	}
	return text;
}
