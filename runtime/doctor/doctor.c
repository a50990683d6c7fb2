// SPDX-License-Identifier: GPL-2.0-or-later
/* doctor/doctor.c: see doctor.h. The table below is the whole programme; rows run in its order. */
#include "doctor/doctor.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "doctor/probes.h"
#include "doctor/report.h"

enum { USER = CLONE_NEWUSER, MOUNT = CLONE_NEWUSER | CLONE_NEWNS, NET = CLONE_NEWUSER | CLONE_NEWNET };

#define REQUIRED NEED_REQUIRED
#define OPTIONAL NEED_OPTIONAL

/* clang-format off */
static const struct probe_row rows[] = {
	{ "user_namespace", "user namespace", REQUIRED, NULL, 0, probe_user_namespace, explain_userns, NULL },
	{ "id_map", "id map", REQUIRED, "user_namespace", USER, probe_id_map, explain_restricted, NULL },
	{ "bounding_set", "capability bounding set", REQUIRED, "id_map", USER, probe_bounding_set, explain_restricted, NULL },
	{ "mnt_namespace", "mount namespace", REQUIRED, "id_map", MOUNT, probe_new_namespaces, explain_namespace, NULL },
	{ "net_namespace", "network namespace", REQUIRED, "id_map", NET, probe_new_namespaces, explain_namespace, NULL },
	{ "pid_namespace", "pid namespace", REQUIRED, "id_map", USER | CLONE_NEWPID, probe_new_namespaces, explain_namespace, NULL },
	{ "ipc_namespace", "ipc namespace", REQUIRED, "id_map", USER | CLONE_NEWIPC, probe_new_namespaces, explain_namespace, NULL },
	{ "uts_namespace", "uts namespace", REQUIRED, "id_map", USER | CLONE_NEWUTS, probe_new_namespaces, explain_namespace, NULL },
	{ "cgroup_namespace", "cgroup namespace", REQUIRED, "id_map", USER | CLONE_NEWCGROUP, probe_new_namespaces, explain_namespace, NULL },
	{ "sandbox_namespaces", "all of them at once", REQUIRED, "id_map", PROBE_SANDBOX, probe_new_namespaces, explain_namespace, NULL },
	{ "nested_namespaces", "a sandbox in a network", REQUIRED, "sandbox_namespaces", 0, probe_nested, explain_namespace, NULL },
	{ "propagation", "mount propagation", REQUIRED, "mnt_namespace", MOUNT, probe_propagation, explain_restricted, NULL },
	{ "tmpfs", "tmpfs", REQUIRED, "propagation", MOUNT, probe_tmpfs, explain_mount, NULL },
	{ "proc", "proc", REQUIRED, "propagation", MOUNT | CLONE_NEWPID, probe_proc, explain_proc, NULL },
	{ "sysfs", "sysfs", OPTIONAL, "propagation", MOUNT | CLONE_NEWNET, probe_sysfs, explain_mount, "/sys is empty inside" },
	{ "devpts", "devpts", REQUIRED, "propagation", MOUNT, probe_devpts, explain_mount, NULL },
	{ "mqueue", "mqueue", REQUIRED, "propagation", MOUNT | CLONE_NEWIPC, probe_mqueue, explain_mount, NULL },
	{ "overlay", "overlay", REQUIRED, "propagation", 0, probe_overlay, explain_overlay, NULL },
	{ "overlay_whiteout", "deleting in an overlay", REQUIRED, "overlay", 0, probe_whiteout, explain_overlay, NULL },
	{ "state_directory", "overlay at the first choice", OPTIONAL, "overlay", 0, probe_layer_first, explain_overlay,
	  "writable layers lie elsewhere" },
	{ "exec_state", "programs in the layers", OPTIONAL, NULL, 0, probe_layer_exec, explain_layer_exec,
	  "a server kept as a file cannot be run from there" },
	{ "address", "network address", REQUIRED, "net_namespace", NET, probe_address, explain_restricted, NULL },
	{ "veth", "veth pair into a sandbox", REQUIRED, "address", NET, probe_veth, explain_links, NULL },
	{ "bridge", "bridge with isolated port", REQUIRED, "veth", NET, probe_bridge, explain_links, NULL },
	{ "nftables", "nftables", OPTIONAL, "net_namespace", NET, probe_nftables, explain_nftables, "no egress, no named networks" },
	{ "seccomp", "seccomp filter", REQUIRED, NULL, 0, probe_seccomp, explain_seccomp, NULL },
	{ "landlock", "Landlock (5.13)", OPTIONAL, NULL, 0, probe_landlock, explain_syscall, "the supervisor sees all your files" },
	{ "openat2", "openat2 (5.6)", OPTIONAL, NULL, 0, probe_openat2, explain_syscall, "paths are walked one component at a time" },
	{ "mount_setattr", "mount_setattr (5.12)", OPTIONAL, "propagation", MOUNT, probe_mount_setattr, explain_syscall,
	  "read-only volumes are remounted one by one" },
	{ "move_mount", "open_tree, move_mount (5.2)", OPTIONAL, "propagation", MOUNT, probe_move_mount, explain_syscall,
	  "mounts go through /proc/self/fd" },
	{ "close_range", "close_range (5.9)", OPTIONAL, NULL, 0, probe_close_range, explain_syscall, "files are closed one by one" },
	{ "pidfd", "pidfd (5.3)", REQUIRED, NULL, 0, probe_pidfd, explain_syscall, NULL },
	{ "setns_pidfd", "setns by pidfd (5.8)", OPTIONAL, "net_namespace", 0, probe_setns_pidfd, explain_syscall, "no `exec` into a sandbox" },
	{ "memfd_exec", "programs in a memfd", OPTIONAL, NULL, 0, probe_memfd_exec, explain_memfd, "azm-init is run from a file" },
	{ "subids", "sub-ids (newuidmap)", OPTIONAL, "id_map", 0, probe_subids, explain_subids, "one id inside, root emulation" },
	{ "cgroup_delegation", "cgroup v2 delegation", OPTIONAL, NULL, 0, probe_cgroup, explain_cgroup, "--memory and --cpus need systemd-run" },
	{ "systemd_run", "systemd-run --user", OPTIONAL, NULL, 0, probe_systemd, explain_systemd, "no cgroup limits without delegation" },
	{ "runtime_dir", "XDG_RUNTIME_DIR", OPTIONAL, NULL, 0, probe_runtime_dir, explain_runtime_dir, NULL },
	{ "limits", "resource limits", OPTIONAL, NULL, 0, probe_limits, explain_limits, "few sandboxes at once" },
};
/* clang-format on */

enum { ROWS = sizeof rows / sizeof *rows };

/* Where state.h keeps writable layers, in its order. */
static void usual_layers(struct str_list *layers)
{
	static const struct {
		const char *variable, *below;
	} places[] = { { "XDG_DATA_HOME", "azm-sandbox" }, { "TMPDIR", "azm-sandbox" } };
	const char *forced = getenv("AZM_STATE_DIR"), *data = getenv("XDG_DATA_HOME"), *home = getenv("HOME");

	if (forced && *forced == '/') {
		str_list_add(layers, forced);
		return;
	}
	if ((!data || *data != '/') && home && *home == '/')
		str_list_addf(layers, "%s/.local/share/azm-sandbox", home);
	for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
		const char *value = getenv(places[i].variable);
		if (value && *value == '/')
			str_list_addf(layers, "%s/%s", value, places[i].below);
	}
	str_list_addf(layers, "/var/tmp/azm-sandbox-%u", geteuid());
}

/* A directory to mount on, in mount namespaces that go away with their process. */
static const char *mount_target(void)
{
	static const char *const places[] = { "/tmp", "/var/tmp", "/mnt", "/run", "/dev" };

	for (size_t i = 0; i < sizeof places / sizeof *places; i++)
		if (access(places[i], F_OK) == 0)
			return places[i];
	return "/";
}

static bool works(const struct probe_result *results, const char *key)
{
	for (const struct probe_result *result = results; result->row; result++)
		if (strcmp(result->row->key, key) == 0)
			return result->status == PROBE_OK;
	return false;
}

static void try_row(const struct probe_env *env, const struct probe_row *row, const struct probe_result *earlier,
	struct probe_result *result)
{
	result->row = row;
	if (row->after && !works(earlier, row->after)) {
		result->status = PROBE_SKIPPED;
		return;
	}
	if (probe_call(row->namespaces, row->run, env, PROBE_DEADLINE_MS, &result->outcome) == 0)
		return;
	result->status = row->need == NEED_REQUIRED ? PROBE_FAILED : PROBE_MISSING;
	row->explain(&env->facts, &result->outcome.err, &result->advice);
}

int doctor_run(bool json, FILE *out, const char *self_path, const struct str_list *layers, struct azm_err *err)
{
	struct probe_env env = { .target = mount_target() };
	cleanup_str_list struct str_list usual = { 0 };
	/* The last one has no row and ends the list. */
	cleanup_free struct probe_result *results = xcalloc(ROWS + 1, sizeof *results);
	void (*old_handler)(int) = signal(SIGPIPE, SIG_IGN);

	host_facts_read(&env.facts);
	if (!layers)
		usual_layers(&usual);
	env.layers = layers ? *layers : usual;
	/* A child must not write again what is still in our buffers. */
	fflush(NULL);
	for (size_t i = 0; i < ROWS; i++)
		try_row(&env, &rows[i], results, &results[i]);

	struct doctor_report report = { &env.facts, self_path, results, ROWS };
	bool can_run = report_can_run(&report);
	if (json)
		report_json(&report, out);
	else
		report_text(&report, out);
	for (size_t i = 0; i < ROWS; i++)
		advice_free(&results[i].advice);
	int written = fflush(out) != 0 || ferror(out) ? err_sys(err, "write", "the report") : 0;
	signal(SIGPIPE, old_handler);
	return written < 0 ? -1 : !can_run;
}
