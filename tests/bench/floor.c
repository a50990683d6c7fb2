// SPDX-License-Identifier: GPL-2.0-or-later
/* tests/bench/floor.c: the least a sandbox can do, as the line every other figure is compared with.
 *
 *     floor ROOT COMMAND...                      namespaces, maps, bind + pivot_root, exec, wait
 *     floor --net ROOT COMMAND...                and a network of its own: bridge, veth, addresses, proc
 *     floor --net --holder SOCKET ROOT COMMAND   and a veth on the bridge another process holds (the keeper's case)
 *     floor --hold SOCKET                        that process
 *
 * It makes the system calls nobody can leave out and no others: no overlay, no seccomp filter, no limits, no masks, no
 * lease, no published port, no state. What azm-sandbox takes beyond it is the price of everything it adds. How much of
 * that is the kernel's price of the isolation, these options show (with --net; floor_steps.c):
 *
 *     --overlay DIR   a writable layer, made in DIR and removed at the end
 *     --mounts        the other mounts of the default sandbox: /dev, /sys, masks, files
 *     --exec          process 1 is a program of its own, executed in the new namespaces
 *     --confine       the default filter around the command; Landlock and the supervisor's filter around us
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "tests/bench/floor.h"

enum {
	SANDBOX_FLAGS = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS |
			CLONE_NEWCGROUP
};

struct steps {
	const char *layers; /* NULL: no overlay */
	int mounts, exec, confine;
	char layer[PATH_MAX]; /* this run's, in layers */
};

long must(long result, const char *step)
{
	if (result >= 0)
		return result;
	fprintf(stderr, "floor: %s: %s\n", step, strerror(errno));
	_exit(125);
}

static void write_proc(pid_t pid, const char *file, const char *text)
{
	char path[64];

	snprintf(path, sizeof path, "/proc/%d/%s", pid, file);
	must(write_path(path, text), path);
}

void map_one(pid_t pid, uid_t uid, gid_t gid)
{
	char map[64];

	write_proc(pid, "setgroups", "deny");
	snprintf(map, sizeof map, "0 %u 1", uid);
	write_proc(pid, "uid_map", map);
	snprintf(map, sizeof map, "0 %u 1", gid);
	write_proc(pid, "gid_map", map);
}

static void enter_root(const char *root, int with_proc, const struct steps *steps)
{
	must(mount(NULL, "/", NULL, MS_SLAVE | MS_REC, NULL), "propagation");
	if (*steps->layer)
		layer_mount(root, steps->layer);
	else
		must(mount(root, root, NULL, MS_BIND | MS_REC, NULL), "bind root");
	must(chdir(root), "chdir root");
	if (with_proc)
		must(mount("proc", "proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL), "mount proc");
	if (steps->mounts)
		mount_rest();
	must(syscall(SYS_pivot_root, ".", "."), "pivot_root");
	must(umount2(".", MNT_DETACH), "detach the host");
	must(chdir("/"), "chdir /");
}

_Noreturn static void build_and_run(const char *root, int with_network, const struct steps *steps, char **command)
{
	enter_root(root, with_network, steps);
	if (with_network)
		network_configure();
	if (steps->confine)
		confine_command();
	execv(command[0], command);
	must(-1, command[0]);
	_exit(125);
}

/* Ourselves again, with what is left to do: floor --inside LAYER MOUNTS CONFINE ROOT COMMAND... */
static void second_exec(const char *root, const struct steps *steps, char **command)
{
	enum { OWN = 6, MOST = 32 };
	char *argv[MOST] = { "floor", "--inside", (char *)steps->layer, steps->mounts ? "1" : "",
		steps->confine ? "1" : "", (char *)root };

	for (int i = 0; command[i] && OWN + i < MOST - 1; i++)
		argv[OWN + i] = command[i];
	execv("/proc/self/exe", argv);
	must(-1, "execute floor");
}

static void inside(int go, const char *root, int with_network, const struct steps *steps, char **command)
{
	char byte;

	must(prctl(PR_SET_PDEATHSIG, SIGKILL), "pdeathsig");
	if (read(go, &byte, 1) != 1)
		_exit(125);
	if (steps->exec)
		second_exec(root, steps, command);
	build_and_run(root, with_network, steps, command);
}

static int run(const char *root, const struct floor_network *network, struct steps *steps, char **command)
{
	uid_t uid = getuid();
	gid_t gid = getgid();
	int go[2], status;

	must(pipe2(go, O_CLOEXEC), "pipe");
	if (steps->layers) {
		snprintf(steps->layer, sizeof steps->layer, "%s/%d", steps->layers, getpid());
		layer_make(steps->layer);
	}
	if (network) {
		network_go_in(network);
		uid = gid = 0; /* as the network's user namespace calls us */
	}
	pid_t pid = (pid_t)must(syscall(SYS_clone, SANDBOX_FLAGS | SIGCHLD, 0, 0, 0, 0), "clone");
	if (!pid) {
		close(go[1]);
		inside(go[0], root, !!network, steps, command);
	}
	map_one(pid, uid, gid);
	if (network)
		network_wire(pid);
	must(write(go[1], "g", 1), "go");
	if (steps->confine)
		confine_parent(steps->layers);
	must(waitpid(pid, &status, 0), "wait");
	if (steps->layers)
		layer_remove(steps->layer);
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

int main(int argc, char **argv)
{
	const char *holder = NULL;
	int with_network = 0, i = 1;
	struct floor_network network;
	struct steps steps = { 0 };

	if (argc > 6 && !strcmp(argv[1], "--inside")) {
		snprintf(steps.layer, sizeof steps.layer, "%s", argv[2]);
		steps.mounts = argv[3][0] != 0;
		steps.confine = argv[4][0] != 0;
		build_and_run(argv[5], 1, &steps, argv + 6);
	}

	for (; i < argc && !strncmp(argv[i], "--", 2); i++) {
		if (!strcmp(argv[i], "--net"))
			with_network = 1;
		else if (!strcmp(argv[i], "--holder") && i + 1 < argc)
			holder = argv[++i];
		else if (!strcmp(argv[i], "--hold") && i + 1 < argc)
			network_hold(argv[i + 1]);
		else if (!strcmp(argv[i], "--overlay") && i + 1 < argc)
			steps.layers = argv[++i];
		else if (!strcmp(argv[i], "--mounts"))
			steps.mounts = 1;
		else if (!strcmp(argv[i], "--exec"))
			steps.exec = 1;
		else if (!strcmp(argv[i], "--confine"))
			steps.confine = 1;
		else
			argc = 0;
	}
	if (argc - i < 2 || (steps.confine && !steps.layers)) {
		fprintf(stderr,
			"usage: floor [--net [--holder SOCKET] [--overlay DIR [--confine]] [--mounts] [--exec]] "
			"ROOT COMMAND...\n       floor --hold SOCKET\n");
		return 125;
	}
	if (!with_network)
		return run(argv[i], NULL, &steps, argv + i + 1);
	network = holder ? network_ask(holder) : network_make();
	return run(argv[i], &network, &steps, argv + i + 1);
}
