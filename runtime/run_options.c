// SPDX-License-Identifier: GPL-2.0-or-later
/* run_options.c: one row an option of `run`, see run_options.h. */
#include "run_options.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/names.h"
#include "gpus.h"
#include "log_files.h"
#include "mount_option.h"
#include "networks.h"
#include "disk.h"
#include "published.h"
#include "netns/egress_proxy.h"
#include "netns/egress_rules.h"
#include "state.h"

#define CONFIG(target) (&((struct run_request *)(target))->config)

/* Setters for plain members: SET_TEXT(rootfs) defines opt_rootfs(). */
#define SET_TEXT(member)                                                                                               \
	static int opt_##member(void *target, const char *value, struct azm_err *err)                                  \
	{                                                                                                              \
		(void)err;                                                                                             \
		free(CONFIG(target)->member);                                                                          \
		CONFIG(target)->member = xstrdup(value);                                                               \
		return 0;                                                                                              \
	}
#define SET_FLAG(member) OPTION_STORES(opt_##member, struct run_request, config.member, true)
#define SET_LIST(member)                                                                                               \
	static int opt_##member(void *target, const char *value, struct azm_err *err)                                  \
	{                                                                                                              \
		(void)err;                                                                                             \
		str_list_add(&CONFIG(target)->member, value);                                                          \
		return 0;                                                                                              \
	}

SET_TEXT(rootfs)
SET_TEXT(server)
SET_TEXT(workspace)
SET_TEXT(user)
SET_TEXT(workdir)
SET_TEXT(entrypoint)
SET_TEXT(seccomp)
SET_TEXT(cgroup_parent)
SET_FLAG(best_effort)
SET_FLAG(allow_non_loopback)
SET_FLAG(publish_any_user)
SET_FLAG(tty)
SET_FLAG(interactive)
SET_FLAG(detach)
SET_FLAG(remove)
SET_FLAG(as_root)
SET_FLAG(read_only)
SET_FLAG(no_new_privileges)
SET_FLAG(nested)
SET_FLAG(compat32)
SET_FLAG(seccomp_log)
SET_LIST(volumes)
SET_LIST(tmpfs)
SET_LIST(devices)
SET_LIST(ulimits)
SET_LIST(cap_add)
SET_LIST(cap_drop)
SET_LIST(add_host)
SET_LIST(dns)
SET_LIST(labels)

/* Kept in one spelling; a path of the host becomes absolute with the others. */
static int opt_mount(void *target, const char *value, struct azm_err *err)
{
	cleanup_mount_option struct mount_option option;

	if (mount_option_parse(value, &option, err) < 0)
		return -1;
	cleanup_free char *text = mount_option_text(&option);
	str_list_add(&CONFIG(target)->mounts, text);
	return 0;
}

static int opt_log_opt(void *target, const char *value, struct azm_err *err)
{
	struct log_limits limits;

	str_list_add(&CONFIG(target)->log_opts, value);
	return log_limits_parse(&CONFIG(target)->log_opts, &limits, err);
}

static int opt_gpus(void *target, const char *value, struct azm_err *err)
{
	free(CONFIG(target)->gpus);
	CONFIG(target)->gpus = xstrdup(value);
	return gpus_check(value, err);
}

static int choose(char **member, const char *value, const char *const *choices, struct azm_err *err)
{
	char list[128] = "";

	for (const char *const *choice = choices; *choice; choice++) {
		if (strcmp(value, *choice) == 0) {
			free(*member);
			*member = xstrdup(value);
			return 0;
		}
		strncat(list, choice == choices ? "" : ", ", sizeof list - strlen(list) - 1);
		strncat(list, *choice, sizeof list - strlen(list) - 1);
	}
	return err_msg(err, EINVAL, "choose", NULL, "\"%s\" is not one of %s", value, list);
}

#define SET_CHOICE(member, ...)                                                                                        \
	static int opt_##member(void *target, const char *value, struct azm_err *err)                                  \
	{                                                                                                              \
		static const char *const choices[] = { __VA_ARGS__, NULL };                                            \
		return choose(&CONFIG(target)->member, value, choices, err);                                           \
	}

SET_CHOICE(rootfs_mode, "overlay", "direct", "read-only")
SET_CHOICE(userns, "auto", "single")
SET_CHOICE(egress_engine, "broker", "pasta")
SET_CHOICE(proc, "fresh", "bind", "none")
SET_CHOICE(guard, "on", "off", "report")

static int opt_publish(void *target, const char *value, struct azm_err *err)
{
	cleanup_free char *argument = published_argument(value);

	(void)err;
	str_list_add(&CONFIG(target)->publish, argument);
	return 0;
}

static int opt_network(void *target, const char *value, struct azm_err *err)
{
	if (strcmp(value, "host") == 0 || str_starts(value, "container:"))
		return err_msg(err, EINVAL, "choose", NULL,
			"a sandbox always has a network of its own; publish ports with -p instead");
	if (strcmp(value, "bridge") == 0 || strcmp(value, "default") == 0) {
		err_msg(err, EINVAL, "choose", NULL, "there is no network that all sandboxes share");
		return err_hint(err, "leave it out: `private`, the default, keeps every sandbox alone on its network");
	}
	if (!network_is_builtin(value) && network_check_name(value, err) < 0)
		return -1;
	free(CONFIG(target)->network);
	CONFIG(target)->network = xstrdup(value);
	return 0;
}

static int opt_network_alias(void *target, const char *value, struct azm_err *err)
{
	if (name_check(value, err) < 0)
		return -1;
	str_list_add(&CONFIG(target)->network_alias, value);
	return 0;
}

/* Several --egress are one list; the last `none` empties it. */
static int opt_egress(void *target, const char *value, struct azm_err *err)
{
	cleanup_egress_rules struct egress_rules *rules = NULL;
	char **egress = &CONFIG(target)->egress;

	if (egress_rules_parse(value, &rules, err) < 0)
		return -1;
	bool first = !*egress || strcmp(*egress, "none") == 0 || strcmp(value, "none") == 0;
	char *list = first ? xstrdup(value) : xasprintf("%s,%s", *egress, value);
	free(*egress);
	*egress = list;
	return 0;
}

/* Everybody can read a command line in ps: the user and the password are overwritten in ours, a moment after it was
 * given. */
static int opt_egress_proxy(void *target, const char *value, struct azm_err *err)
{
	struct egress_proxy proxy;
	char *shown = (char *)(uintptr_t)value;

	if (egress_proxy_parse(value, &proxy, err) < 0)
		return -1;
	free(CONFIG(target)->egress_proxy);
	CONFIG(target)->egress_proxy = xstrdup(value);
	char *at = strrchr(shown, '@');
	if (at)
		memset(shown + strlen("http://"), 'x', (size_t)(at - shown) - strlen("http://"));
	return 0;
}

static int opt_egress_proxy_file(void *target, const char *value, struct azm_err *err)
{
	cleanup_free char *url = read_path(value, 4096, NULL);
	struct egress_proxy proxy;

	if (!url)
		return err_sys(err, "read the egress proxy from", value);
	url[strcspn(url, "\r\n")] = '\0';
	if (egress_proxy_parse(url, &proxy, err) < 0)
		return err_wrap(err, "read", value);
	free(CONFIG(target)->egress_proxy);
	CONFIG(target)->egress_proxy = steal_ptr(&url);
	return 0;
}

static int opt_name(void *target, const char *value, struct azm_err *err)
{
	if (name_check(value, err) < 0)
		return -1;
	free(CONFIG(target)->name);
	CONFIG(target)->name = xstrdup(value);
	return 0;
}

static int opt_hostname(void *target, const char *value, struct azm_err *err)
{
	size_t length = strlen(value);

	if (length == 0 || length > 63 ||
		strspn(value, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.") != length ||
		value[0] == '-' || value[0] == '.')
		return err_msg(err, EINVAL, "use hostname", NULL, "letters, digits, '-' and '.', at most 63 bytes");
	free(CONFIG(target)->hostname);
	CONFIG(target)->hostname = xstrdup(value);
	return 0;
}

static int opt_env(void *target, const char *value, struct azm_err *err)
{
	if (value[0] == '=' || value[0] == '\0')
		return err_msg(err, EINVAL, "set variable", NULL, "the name is missing");
	str_list_add(&((struct run_request *)target)->env, value);
	return 0;
}

static int opt_env_file(void *target, const char *value, struct azm_err *err)
{
	cleanup_free char *text = read_path(value, 1 << 20, NULL);
	cleanup_str_list struct str_list lines = { 0 };

	if (!text)
		return err_sys(err, "read", value);
	str_list_split(&lines, text, '\n');
	for (size_t i = 0; i < lines.count; i++) {
		char *line = lines.items[i] + strspn(lines.items[i], " \t");
		line[strcspn(line, "\r")] = '\0';
		if (*line && *line != '#' && opt_env(target, line, err) < 0)
			return -1;
	}
	return 0;
}

static int opt_api_key(void *target, const char *value, struct azm_err *err)
{
	struct run_request *request = target;

	if (strcmp(value, "auto") != 0 && strcmp(value, "none") != 0) {
		err_msg(err, EINVAL, "choose", NULL, "auto or none; a key itself would be visible to everybody in ps");
		return err_hint(err, "put the key into a file and use --api-key-file, or into SESSION_API_KEY");
	}
	request->api_key_off = strcmp(value, "none") == 0;
	return 0;
}

static int opt_api_key_file(void *target, const char *value, struct azm_err *err)
{
	struct run_request *request = target;

	(void)err;
	free(request->api_key_file);
	request->api_key_file = xstrdup(value);
	return 0;
}

static int bytes(uint64_t *number, const char *value, uint64_t least, struct azm_err *err)
{
	if (!str_to_bytes(value, number) || *number < least)
		return err_msg(err, EINVAL, "use size", NULL,
			"\"%s\" is not a size of at least %llu bytes (500m, 2g, ...)", value,
			(unsigned long long)least);
	return 0;
}

static int opt_disk(void *target, const char *value, struct azm_err *err)
{
	return bytes(&CONFIG(target)->disk, value, 1 << 20, err);
}

/* Docker's name; of its keys there is size, the others are ours. */
static int opt_storage(void *target, const char *value, struct azm_err *err)
{
	struct config *config = CONFIG(target);

	if (str_starts(value, "size="))
		return opt_disk(target, value + 5, err);
	if (str_starts(value, "inodes=")) {
		if (str_to_u64(value + 7, UINT32_MAX, &config->disk_inodes) && config->disk_inodes >= 16)
			return 0;
		config->disk_inodes = CONFIG_UNSET;
		return err_msg(err, EINVAL, "use", value, "not a number of files from 16 up");
	}
	if (str_starts(value, "mode=")) {
		free(config->disk_mode);
		config->disk_mode = xstrdup(value + 5);
		return disk_check_mode(config->disk_mode, err);
	}
	return err_msg(err, EINVAL, "use storage option", value, "unknown (size=, inodes=, mode=)");
}

static int opt_memory(void *target, const char *value, struct azm_err *err)
{
	return bytes(&CONFIG(target)->memory, value, 6 << 20, err);
}

static int opt_shm_size(void *target, const char *value, struct azm_err *err)
{
	return bytes(&CONFIG(target)->shm_size, value, 4096, err);
}

static int opt_cpus(void *target, const char *value, struct azm_err *err)
{
	char *end;
	double number = strtod(value, &end);

	if (end == value || *end || !(number >= 0.01) || number > 4096)
		return err_msg(err, EINVAL, "use number", NULL,
			"\"%s\" is not a number of processors from 0.01 to 4096", value);
	CONFIG(target)->cpus = (uint64_t)(number * 1000 + 0.5);
	return 0;
}

static int opt_pids_limit(void *target, const char *value, struct azm_err *err)
{
	if (strcmp(value, "-1") == 0)
		value = "0"; /* Docker's spelling of "no limit" */
	if (!str_to_u64(value, 4194304, &CONFIG(target)->pids_limit))
		return err_msg(
			err, EINVAL, "use number", NULL, "\"%s\" is not a number of processes (0 = no limit)", value);
	return 0;
}

static int opt_stop_signal(void *target, const char *value, struct azm_err *err)
{
	if (signal_by_name(value) == 0)
		return err_msg(err, EINVAL, "use signal", value, "there is no such signal");
	free(CONFIG(target)->stop_signal);
	CONFIG(target)->stop_signal = xstrdup(value);
	return 0;
}

static int opt_status_fd(void *target, const char *value, struct azm_err *err)
{
	uint64_t fd;

	if (!str_to_u64(value, 1 << 20, &fd) || fcntl((int)fd, F_GETFD) < 0)
		return err_msg(err, EBADF, "use descriptor", value, "it is not open");
	((struct run_request *)target)->status_fd = (int)fd;
	return 0;
}

OPTION_STORES(opt_json, struct run_request, json, true)

static int opt_init(void *target, const char *value, struct azm_err *err)
{
	(void)target;
	(void)value;
	(void)err;
	return 0; /* every sandbox has one */
}

const struct option_row run_option_rows[] = {
	{ 0, "rootfs", "DIR|azm:NAME", opt_rootfs,
		"unpacked image: a root tree, or DIR/rootfs with DIR/image.json; azm:NAME: one of the image store" },
	{ 0, "rootfs-mode", "MODE", opt_rootfs_mode, "overlay (default: image untouched), direct, or read-only" },
	{ 0, "server", "WHICH", opt_server, "runtime server: auto (default), builtin, image, or a PATH of the host" },
	{ 0, "workspace", "DIR", opt_workspace, "mount DIR read-write at /workspace" },
	{ 'v', "volume", "HOST:CTR[:MODE]", opt_volumes,
		"mount HOST, a path or the name of a volume, at CTR; MODE is rw (default), ro or overlay" },
	{ 0, "mount", "KEY=VALUE[,...]", opt_mount,
		"type=bind|volume|tmpfs, source=, target=, readonly, ...: as Docker's" },
	{ 0, "device", "PATH[:CTR[:rwm]]", opt_devices, "a device node of the host that you may open" },
	{ 0, "gpus", "all|N|device=ID[,ID]", opt_gpus, "NVIDIA GPUs, with the host's driver libraries and tools" },
	{ 0, "tmpfs", "PATH[:OPTIONS]", opt_tmpfs, "empty memory file system at PATH (size=, mode=)" },
	{ 'u', "user", "UID[:GID]|NAME", opt_user, "identity inside; outside it is always you" },
	{ 0, "userns", "MODE", opt_userns, "auto (default: sub-ids when the host has them) or single" },
	{ 'p', "publish", "[IP:][HOST]:PORT", opt_publish, "reach PORT of the sandbox on the host's loopback" },
	{ 0, "allow-non-loopback", NULL, opt_allow_non_loopback, "let -p bind to an address others can reach" },
	{ 0, "publish-any-user", NULL, opt_publish_any_user, "accept connections of other users of this host" },
	{ 0, "network", "NAME", opt_network,
		"private (default): alone; none: loopback only; or one of `network create`" },
	{ 0, "network-alias", "NAME", opt_network_alias, "one more name for the others on its network" },
	{ 0, "egress", "RULE[,RULE]", opt_egress,
		"what may be reached: none (default), all, HOST, *.DOMAIN, CIDR, each with :PORT; host:PORT; !RULE" },
	{ 0, "egress-proxy", "URL", opt_egress_proxy, "reach out through http://[USER:PASSWORD@]HOST:PORT" },
	{ 0, "egress-proxy-file", "FILE", opt_egress_proxy_file, "the same, URL in a file" },
	{ 0, "egress-engine", "ENGINE", opt_egress_engine,
		"broker (default): TCP by the rules; pasta: with `--egress all`, the host's network in full" },
	{ 'e', "env", "K=V|K", opt_env, "set a variable, or pass the caller's" },
	{ 0, "env-file", "FILE", opt_env_file, "variables from a file, one K=V a line" },
	{ 0, "api-key-file", "FILE", opt_api_key_file, "the key the server demands" },
	{ 0, "api-key", "auto|none", opt_api_key, "make a random key (default), or demand none" },
	{ 0, "name", "NAME", opt_name, "name of the sandbox (default: a random one)" },
	{ 'd', "detach", NULL, opt_detach, "return when it is ready, leave it running" },
	{ 0, "rm", NULL, opt_remove, "remove the sandbox when it ends" },
	{ 'w', "workdir", "DIR", opt_workdir, "working directory inside" },
	{ 'h', "hostname", "NAME", opt_hostname, "hostname inside (default: the sandbox's name)" },
	{ 'i', "interactive", NULL, opt_interactive, "pass stdin on" },
	{ 't', "tty", NULL, opt_tty, "give the command a terminal of its own" },
	{ 0, "entrypoint", "PROGRAM", opt_entrypoint, "replace the image's entrypoint" },
	{ 0, "read-only", NULL, opt_read_only, "make the root file system read-only inside" },
	{ 0, "shm-size", "BYTES", opt_shm_size, "size of /dev/shm (default: 64m)" },
	{ 0, "ulimit", "NAME=SOFT[:HARD]", opt_ulimits, "resource limit (nofile, core, ...)" },
	{ 'm', "memory", "BYTES", opt_memory, "memory limit (needs cgroup v2 delegation)" },
	{ 0, "cpus", "NUMBER", opt_cpus, "processor limit (needs cgroup v2 delegation)" },
	{ 0, "pids-limit", "NUMBER", opt_pids_limit, "process limit (default: 4096; 0: none)" },
	{ 0, "cgroup-parent", "DIR", opt_cgroup_parent, "delegated cgroup to make the sandbox's own in" },
	{ 0, "disk", "BYTES", opt_disk, "what may be written in \"/\" (needs mode=memory, or --best-effort)" },
	{ 0, "storage-opt", "KEY=VALUE", opt_storage, "size=BYTES (as --disk), inodes=N, mode=auto|memory|watch" },
	{ 0, "best-effort", NULL, opt_best_effort, "start without the limits this host cannot enforce" },
	{ 0, "log-opt", "KEY=VALUE", opt_log_opt, "max-size=BYTES (default: 32m) and max-file=NUMBER (2) of the log" },
	{ 0, "stop-signal", "SIGNAL", opt_stop_signal, "what `stop` begins with (default: the image's, else TERM)" },
	{ 0, "cap-add", "CAP", opt_cap_add, "keep a capability inside (or ALL)" },
	{ 0, "cap-drop", "CAP", opt_cap_drop, "drop a capability inside (or ALL)" },
	{ 0, "seccomp", "FILE.json", opt_seccomp, "use a seccomp profile in Docker's format" },
	{ 0, "no-new-privileges", NULL, opt_no_new_privileges, "set-id programs inside gain nothing" },
	{ 0, "nested", NULL, opt_nested, "allow namespaces and mounts inside" },
	{ 0, "compat32", NULL, opt_compat32, "allow 32-bit programs" },
	{ 0, "seccomp-log", NULL, opt_seccomp_log, "log denied system calls to the kernel log" },
	{ 0, "proc", "MODE", opt_proc, "how /proc is made: fresh (default), bind, none" },
	{ 0, "guard", "MODE", opt_guard,
		"keep files that your tools obey (.git/hooks, .vscode, ...) as they are: on (default), report, off" },
	{ 0, "dns", "ADDRESS", opt_dns, "name server instead of ours, over TCP; an --egress rule must allow it" },
	{ 0, "add-host", "NAME:IP", opt_add_host, "line of /etc/hosts" },
	{ 'l', "label", "K=V", opt_labels, "metadata, shown by inspect and ps" },
	{ 0, "init", NULL, opt_init, "accepted for Docker's sake: there is always an init" },
	{ 0, "json", NULL, opt_json, "one JSON line on stdout when ready and one at exit" },
	{ 0, "status-fd", "FD", opt_status_fd, "the same JSON lines on a descriptor" },
	{ 0, "as-root", NULL, opt_as_root, "run although started by real root" },
	OPTIONS_END,
};

void run_request_init(struct run_request *request)
{
	*request = (struct run_request){ .status_fd = -1 };
	config_init(&request->config);
	free(steal_ptr(&request->config.egress)); /* AZM_EGRESS comes before the default */
}

void run_request_free(struct run_request *request)
{
	config_free(&request->config);
	str_list_free(&request->env);
	free(request->api_key_file);
}
