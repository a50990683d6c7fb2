// SPDX-License-Identifier: GPL-2.0-or-later
/* netns/hints.c: see hints.h.
 *
 * The kernel answers with an errno that several unrelated policies share; which one it was can be read from /proc/sys.
 * Rows are tried in order, the first whose setting has the telling value wins.
 */
#include "netns/hints.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/str.h"

struct hint_row {
	int code;	     /* errno */
	const char *setting; /* file of /proc/sys; NULL: no setting decides */
	int value;	     /* the telling value */
	const char *text;
};

#define APPARMOR                                                                                                       \
	"this host's AppArmor takes the capabilities away from user namespaces of programs without a profile. Ask an " \
	"administrator to install the profile `azm-sandbox doctor` prints, or: sysctl -w "                             \
	"kernel.apparmor_restrict_unprivileged_userns=0"

static const struct hint_row namespace_rows[] = {
	{ EPERM, "kernel/unprivileged_userns_clone", 0,
		"user namespaces are switched off for users; ask an administrator: sysctl -w "
		"kernel.unprivileged_userns_clone=1" },
	{ EPERM, "kernel/apparmor_restrict_unprivileged_userns", 1, APPARMOR },
	{ EACCES, "kernel/apparmor_restrict_unprivileged_userns", 1, APPARMOR },
	{ EPERM, NULL, 0,
		"a policy forbids user namespaces: the seccomp profile of an outer container, a chroot, or a security "
		"module; `azm-sandbox doctor` tells which" },
	{ ENOSPC, "user/max_user_namespaces", 0,
		"user namespaces are switched off; ask an administrator: sysctl -w user.max_user_namespaces=15000" },
	{ ENOSPC, "user/max_net_namespaces", 0,
		"network namespaces are switched off; ask an administrator: sysctl -w user.max_net_namespaces=15000" },
	{ ENOSPC, NULL, 0,
		"your limit of namespaces is reached: stop some sandboxes, or ask an administrator to raise "
		"user.max_user_namespaces and user.max_net_namespaces" },
	{ EUSERS, NULL, 0, "namespaces are nested too deep, or your limit is reached: see user.max_user_namespaces" },
	{ EINVAL, NULL, 0, "this kernel was built without user or network namespaces" },
	{ 0 },
};

static const struct hint_row link_rows[] = {
	{ EOPNOTSUPP, NULL, 0,
		"this kernel has no bridge or veth devices loaded; ask an administrator: modprobe -a bridge veth" },
	{ EPERM, "kernel/apparmor_restrict_unprivileged_userns", 1, APPARMOR },
	{ EACCES, "kernel/apparmor_restrict_unprivileged_userns", 1, APPARMOR },
	{ EPERM, NULL, 0, "a security policy of this host forbids network changes in user namespaces" },
	{ EXFULL, NULL, 0, "a bridge carries at most 1023 sandboxes: stop some, or use another --network" },
	{ 0 },
};

#define NO_NFTABLES                                                                                                    \
	"egress and named networks need nftables in the kernel, with the families ip and bridge and NAT; ask an "      \
	"administrator: modprobe -a nf_tables nft_chain_nat nft_redir nft_ct nft_reject_ipv4 (5.9 or later, "          \
	"CONFIG_NF_TABLES_BRIDGE). A sandbox on the private network without --egress works without"

static const struct hint_row filter_rows[] = {
	{ EPROTONOSUPPORT, NULL, 0, NO_NFTABLES },
	{ EAFNOSUPPORT, NULL, 0, NO_NFTABLES },
	{ EOPNOTSUPP, NULL, 0, NO_NFTABLES },
	{ ENOENT, NULL, 0, NO_NFTABLES }, /* a type of chain, an expression */
	{ EPERM, NULL, 0, "a security policy of this host forbids packet filters in user namespaces" },
	{ EACCES, NULL, 0, "a security policy of this host forbids packet filters in user namespaces" },
	{ 0 },
};

static bool setting_is(const char *setting, int value)
{
	char path[128];
	uint64_t number;
	cleanup_free char *text = NULL;

	snprintf(path, sizeof path, "/proc/sys/%s", setting);
	text = read_path(path, 64, NULL);
	if (!text)
		return false;
	text[strcspn(text, "\n")] = '\0';
	return str_to_u64(text, INT32_MAX, &number) && number == (uint64_t)value;
}

static int add_hint(const struct hint_row *row, struct azm_err *err)
{
	for (; row->code != 0; row++)
		if (err_is(err, row->code) && (!row->setting || setting_is(row->setting, row->value)))
			return err_hint(err, "%s", row->text);
	return -1;
}

int hint_namespaces(struct azm_err *err)
{
	return add_hint(namespace_rows, err);
}

int hint_links(struct azm_err *err)
{
	return add_hint(link_rows, err);
}

int hint_filter(struct azm_err *err)
{
	return add_hint(filter_rows, err);
}
