// SPDX-License-Identifier: GPL-2.0-or-later
/* main.c: the program azm-sandbox: its table of commands, and what every invocation begins with. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/signals.h"
#include "commands.h"
#include "doctor/doctor.h"
#include "run_options.h"

static const char egress_details[] =
	"Without options: the rules, and for every name or address how often it was reached, refused, could not be "
	"reached, "
	"and the bytes moved. That comes from egress.log in the sandbox's directory, one JSON object a decision.\n\n"
	"A RULE is all, HOST, *.DOMAIN (not DOMAIN itself), an ADDRESS or a CIDR, each also with :PORT; host:PORT, a "
	"service "
	"on this host's loopback, inside host.azm.internal; !RULE, which refuses and wins. Private addresses are "
	"reached "
	"only by a rule that names them, or through an exact HOST; this host's own addresses, link-local ones and a "
	"cloud's "
	"metadata service never. Only TCP leads out.\n\n"
	"Changes count at once, also for open connections, and for later starts. A sandbox that does not run is "
	"changed for "
	"its next start.";

static const struct command commands[] = {
	{ .name = "run",
		.operands = "[--] [COMMAND [ARG...]]",
		.summary = "create a sandbox and start it; without COMMAND, the runtime server",
		.options = run_option_rows,
		.run = command_run,
		.details =
			"The image is mounted below a writable layer of the sandbox's own and stays untouched. The "
			"sandbox has a network "
			"of its own; its server is published on the host's loopback for you alone.\n\nVariables of the "
			"Docker runtime "
			"count below the flags: SANDBOX_RUNTIME_CONTAINER_IMAGE, WORKSPACE_BASE, WORKSPACE_MOUNT_PATH, "
			"WORKSPACE_MOUNT_PATH_IN_SANDBOX, SANDBOX_VOLUMES, SANDBOX_USER_ID, "
			"SANDBOX_RUNTIME_BINDING_ADDRESS, "
			"SANDBOX_ENV_*, SESSION_API_KEY." },
	{ .name = "start",
		.operands = "NAME...",
		.summary = "start stopped sandboxes again, with their writable layer",
		.options = start_option_rows,
		.run = command_start },
	{ .name = "exec",
		.operands = "NAME COMMAND [ARG...]",
		.summary = "run a command in a running sandbox",
		.options = exec_option_rows,
		.run = command_exec },
	{ .name = "ps", .summary = "list sandboxes", .options = ps_option_rows, .run = command_ps },
	{ .name = "inspect",
		.operands = "NAME...",
		.summary = "everything about sandboxes, as JSON",
		.options = inspect_option_rows,
		.run = command_inspect },
	{ .name = "port",
		.operands = "NAME [PORT[/tcp]]",
		.summary = "list published ports, or where one of them is",
		.options = port_option_rows,
		.run = command_port },
	{ .name = "publish",
		.operands = "NAME [OPTIONS...]",
		.summary = "publish more ports of a running sandbox, or stop publishing some",
		.options = publish_option_rows,
		.run = command_publish,
		.details = "What is changed lasts: the next start of the sandbox publishes the same. Connections that "
			   "exist "
			   "go on when their port is not published any more.\n\nWhoever may connect is as with run: "
			   "your own "
			   "processes of this host (and root's), unless run or this command had --publish-any-user." },
	{ .name = "logs",
		.operands = "NAME",
		.summary = "show what the workload printed",
		.options = logs_option_rows,
		.run = command_logs },
	{ .name = "egress",
		.operands = "NAME",
		.summary = "what a sandbox may reach and did; change it",
		.options = egress_option_rows,
		.run = command_egress,
		.details = egress_details },
	{ .name = "stop",
		.operands = "NAME...",
		.summary = "end sandboxes: TERM, grace, KILL",
		.options = stop_option_rows,
		.run = command_stop },
	{ .name = "pause",
		.operands = "NAME...",
		.summary = "let nothing run in sandboxes until they are unpaused",
		.run = command_pause,
		.details = "Where the sandbox has a cgroup (version 2) of its own, because the host delegates one to "
			   "you, it is "
			   "frozen, and nothing inside can tell. Elsewhere every process is sent SIGSTOP through "
			   "azm-init, and "
			   "SIGCONT by unpause: a parent inside may see its children stop, and what was stopped before "
			   "goes on, "
			   "too. A paused sandbox takes no exec; stop and kill end it." },
	{ .name = "unpause", .operands = "NAME...", .summary = "let paused sandboxes go on", .run = command_unpause },
	{ .name = "attach",
		.operands = "NAME",
		.summary = "join a running sandbox's standard streams",
		.options = attach_option_rows,
		.run = command_attach,
		.details = "Output from now on, and input where the sandbox was started with -i. Signals go to the "
			   "command. With -t, "
			   "ctrl-p ctrl-q leaves it running; else leaving is closing: kill the attach with SIGKILL, or "
			   "use "
			   "--sig-proxy=false and interrupt it. The exit status is the command's." },
	{ .name = "cp",
		.operands = "NAME:SRC DST|-  |  SRC|- NAME:DST",
		.summary = "copy files between a sandbox and the host",
		.options = cp_option_rows,
		.run = command_cp,
		.details =
			"By Docker's rules: into DST when it is a directory, under the name DST when there is nothing; "
			"SRC/. is "
			"what is in SRC; a path inside begins at /. With - the other side is a tar stream on stdin or "
			"stdout.\n\nA sandbox that does not run is mounted for the copy as for a start, volumes "
			"included; "
			"nothing "
			"of it is executed, and it cannot be started meanwhile.\n\nModes and times are kept, set-id "
			"bits are not; devices and sockets are passed "
			"over. Nothing "
			"is written outside of DST on the host, and a link that a sandbox made in a mount of its own "
			"does not "
			"lead out of that mount." },
	{ .name = "top",
		.operands = "NAME [PS-OPTION...]",
		.summary = "list the processes of a sandbox, with this host's ps",
		.run = command_top,
		.details = "PS-OPTION is what ps understands, -ef without any. Ids and numbers are this host's." },
	{ .name = "stats",
		.operands = "[NAME...]",
		.summary = "processors, memory, traffic and processes of running sandboxes",
		.options = stats_option_rows,
		.run = command_stats,
		.details = "CPU % counts one processor as 100. MEM is the sandbox's cgroup's, and without one the "
			   "processes' share "
			   "(PSS). NET is the sandbox's own interface's, BLOCK what its running processes moved." },
	{ .name = "commit",
		.operands = "NAME DIR|ARCHIVE|azm:IMAGE",
		.summary = "make an image of what a sandbox is now",
		.options = commit_option_rows,
		.run = command_commit,
		.details =
			"DIR is a new directory and gets the whole tree, to be run again; an archive (a name that ends "
			"in "
			".tar, oci:DIR[:TAG], oci-archive:FILE[:TAG], docker-archive:FILE[:NAME]) gets the changes as "
			"a layer of their own above "
			"the image's; azm:IMAGE is a name in the store of azm-rootfs, which does the work. Owners and "
			"set-id bits are those the sandbox sees. Volumes and the workspace are no part of it. Nothing "
			"inside a running sandbox runs meanwhile, unless --pause=false says so." },
	{ .name = "kill",
		.operands = "NAME...",
		.summary = "send a signal",
		.options = kill_option_rows,
		.run = command_kill },
	{ .name = "wait",
		.operands = "NAME...",
		.summary = "wait for sandboxes to end and print their exit status",
		.run = command_wait },
	{ .name = "rm",
		.operands = "NAME...",
		.summary = "remove sandboxes and their writable layers",
		.options = rm_option_rows,
		.run = command_rm },
	{ .name = "snapshot",
		.operands = "NAME TAG",
		.summary = "freeze what a sandbox is now and keep it as TAG",
		.options = snapshot_option_rows,
		.run = command_snapshot,
		.details = "What was changed in the sandbox, in \"/\" and in copy-on-write volumes, becomes a layer "
			   "that never "
			   "changes again. A stopped sandbox gets an empty writable layer on top of it, in the same "
			   "time whatever "
			   "its size. A running one goes on with the layer it has: its processes are stopped for a "
			   "moment while "
			   "that is copied, by reference where the file system can (XFS, btrfs), else byte by byte. "
			   "Memory, "
			   "processes and ordinary volumes are no part of a snapshot." },
	{ .name = "fork",
		.operands = "NAME|TAG [N [COMMAND [ARG...]]]",
		.summary = "start N new sandboxes from the state of a sandbox or a snapshot",
		.options = fork_option_rows,
		.run = command_fork,
		.details = "Each has a writable layer, a name, an address and a key of its own, and shares the layers "
			   "below. The "
			   "rest is as the first sandbox was run, but for COMMAND when one is given; published ports "
			   "are free "
			   "ones of the host. Volumes other than copy-on-write ones are the same directories for all "
			   "of them." },
	{ .name = "rollback",
		.operands = "NAME TAG",
		.summary = "make a stopped sandbox what it was at a snapshot",
		.options = rollback_option_rows,
		.run = command_rollback,
		.details =
			"What changed since is lost, unless a snapshot has it. TAG may be of any sandbox with the same "
			"image and volumes." },
	{ .name = "diff",
		.operands = "NAME [TAG]",
		.summary = "list what a sandbox changed since its image, or since a snapshot",
		.options = diff_option_rows,
		.run = command_diff,
		.details = "A: added, C: changed, D: deleted." },
	{ .name = "snapshots ls",
		.summary = "list snapshots",
		.options = snapshots_ls_option_rows,
		.run = command_snapshots_ls },
	{ .name = "snapshots inspect",
		.operands = "TAG...",
		.summary = "everything about snapshots, as JSON: their layers, top-most first, and configuration",
		.options = inspect_option_rows,
		.run = command_snapshots_inspect },
	{ .name = "snapshots rm",
		.operands = "TAG...",
		.summary = "remove snapshots, and layers that nothing stands on any more",
		.run = command_snapshots_rm },
	{ .name = "network create",
		.operands = "NAME",
		.summary = "make a network on which sandboxes meet",
		.options = network_create_option_rows,
		.run = command_network_create,
		.details = "Sandboxes started with `run --network NAME` reach each other by address and by name, and "
			   "nobody "
			   "else. Nothing runs for a network without members." },
	{ .name = "network ls", .summary = "list networks", .options = ls_option_rows, .run = command_network_ls },
	{ .name = "network inspect",
		.operands = "NAME...",
		.summary = "everything about networks and their members, as JSON",
		.options = inspect_option_rows,
		.run = command_network_inspect },
	{ .name = "network rm",
		.operands = "NAME...",
		.summary = "remove networks that have no members",
		.run = command_network_rm },
	{ .name = "volume create",
		.operands = "NAME",
		.summary = "make a volume",
		.options = volume_create_option_rows,
		.run = command_volume_create,
		.details = "A volume is a directory of yours that sandboxes mount by its name: run -v NAME:/path, "
			   "which makes it when "
			   "it is not there. An empty one gets what the image has at that place." },
	{ .name = "volume ls", .summary = "list volumes", .options = ls_option_rows, .run = command_volume_ls },
	{ .name = "volume inspect",
		.operands = "NAME...",
		.summary = "everything about volumes and who has them, as JSON",
		.options = inspect_option_rows,
		.run = command_volume_inspect },
	{ .name = "volume rm",
		.operands = "NAME...",
		.summary = "remove volumes that no sandbox has, with what is in them",
		.options = volume_rm_option_rows,
		.run = command_volume_rm },
	{ .name = "volume prune",
		.summary = "remove all volumes that no sandbox has",
		.options = volume_prune_option_rows,
		.run = command_volume_prune },
	{ .name = "gc", .summary = "remove what crashed sandboxes left behind", .run = command_gc },
	{ .name = "doctor",
		.summary = "try every primitive on this host and say what is missing",
		.options = doctor_options,
		.run = command_doctor,
		.details = doctor_details },
	{ .name = "version", .summary = "show the version", .options = version_option_rows, .run = command_version },
	{ .name = NULL },
};

static const struct program program = {
	.name = PROGRAM_NAME,
	.summary = "run an AI agent's runtime server in a rootless sandbox",
	.description = "azm-sandbox starts the runtime server of an AI coding agent (OpenHands and relatives), or any "
		       "command, from an "
		       "unpacked image in Linux namespaces of its own: as an ordinary user, without Docker, without "
		       "root, without a "
		       "daemon. Files made in the workspace belong to the user; the server is reachable on the host's "
		       "loopback only.",
	.commands = commands,
	.sections = man_sections,
};

const struct program *the_program(void)
{
	return &program;
}

int fail_command(const struct azm_err *err)
{
	return err_print(err, PROGRAM_NAME);
}

/* A closed stdin, stdout or stderr would give its number to the next file we open, and that file to the sandbox. */
static void fill_stdio(void)
{
	for (int fd = 0; fd <= 2; fd++)
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd == 0 ? O_RDONLY : O_WRONLY) < 0)
			_exit(EXIT_AZM);
}

/* A caller may ignore or block signals (nohup, a job of a shell, a careless parent): what we wait for must arrive. */
static void own_signals(void)
{
	signal(SIGCHLD, SIG_DFL);
	signals_unblock();
}

/* The one descriptor a caller may hand over: the value of --status-fd, looked for before anything is parsed. Return: 2
 * without one. */
static int find_status_fd(int argc, char **argv)
{
	static const char option[] = "--status-fd";
	uint64_t fd;

	for (int i = 1; i < argc && argv[i] && strcmp(argv[i], "--") != 0; i++) {
		const char *value = strcmp(argv[i], option) == 0 ? argv[i + 1]
				    : str_starts(argv[i], option) && argv[i][sizeof option - 1] == '='
					    ? argv[i] + sizeof option
					    : NULL;
		if (value && str_to_u64(value, 1 << 20, &fd) && fd > 2)
			return (int)fd;
	}
	return 2;
}

/* Whatever else the caller left open is closed: it must not get into a sandbox, nor be held open by one that is
 * detached. */
static void close_others(int keep)
{
	if (keep > 2)
		fd_set_cloexec(keep, true);
	if (keep <= 3 || fd_close_range(3, (unsigned)keep - 1) == 0)
		(void)fd_close_range((unsigned)keep + 1, ~0u);
}

#ifdef __SANITIZE_ADDRESS__
/* The leak check traces its own process, which a supervisor has made impossible; the unit tests look for leaks. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "detect_leaks=0";
}
#endif

int main(int argc, char **argv)
{
	program_refuse_privileges(&program);
	fill_stdio();
	own_signals();
	close_others(find_status_fd(argc, argv));
	return program_main(&program, argc, argv);
}
