// SPDX-License-Identifier: GPL-2.0-or-later
/* netns/pasta.c: see pasta.h. Source: pasta(1).
 *
 * Theory of operation
 *
 * pasta runs in the host's namespaces and reaches into the sandbox's, whose user namespace the user owns. A process
 * that has entered the network's user namespace could not start it any more, and before that the sandbox does not
 * exist: so a child is forked early, waits for the two namespaces on a socket, puts them where pasta's command line
 * names them and becomes pasta. It runs in the foreground, so that its end is seen.
 *
 * It must not outlive the supervisor, whatever happens to that. The parent-death signal is lost where AppArmor has a
 * profile for pasta, as Debian's package brings one: an exec that changes the profile clears it. So pasta's parent is a
 * process of ours that waits, executes nothing and therefore keeps its own such signal.
 *
 * In the foreground pasta does not say when it is done. It adds the default route last, for each family that the host
 * has one for, and connect(2) on a datagram socket tells whether there is one without sending anything.
 */
#include "netns/pasta.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/die_with.h"
#include "base/fd_passing.h"
#include "base/io.h"
#include "base/signals.h"
#include "base/str.h"
#include "netns/inside.h"

enum {
	CONNECT_MS = 10000,
	PROBE_MS = 2,
	/* pasta's descriptors: since 2024 it closes what it inherits but the standard streams, of which it needs one.
	 */
	FD_USERNS = STDIN_FILENO,
	FD_NETNS = STDOUT_FILENO,
};

#define TUN_DEVICE "/dev/net/tun"

/* Nothing of the host's loopback: neither its ports (-T, -U) nor the gateway's address as another name for it. */
static const char *const pasta_arguments[] = { "pasta", "--foreground", "--quiet", "--config-net", "--no-map-gw",
	"--no-netns-quit", "--ns-ifname", PASTA_INTERFACE, "--dns-forward", PASTA_DNS, "-t", "none", "-u", "none", "-T",
	"none", "-U", "none", "--userns", "/proc/self/fd/0", "--netns", "/proc/self/fd/1", NULL };

/* pasta in the user's PATH. Return: owned by the caller; NULL when there is none */
static char *find_program(void)
{
	cleanup_str_list struct str_list dirs = { 0 };
	const char *path = getenv("PATH");

	str_list_split(&dirs, path ? path : "/usr/bin:/bin", ':');
	for (size_t i = 0; i < dirs.count; i++) {
		cleanup_free char *program = xasprintf("%s/pasta", dirs.items[i]);
		if (dirs.items[i][0] == '/' && access(program, X_OK) == 0)
			return steal_ptr(&program);
	}
	return NULL;
}

static int check_tun(struct azm_err *err)
{
	cleanup_fd int tun = open(TUN_DEVICE, O_RDWR | O_CLOEXEC);

	if (tun >= 0)
		return 0;
	const char *cure = errno == EACCES || errno == EPERM ? "chmod 666 " TUN_DEVICE : "modprobe tun";
	err_sys(err, "use --egress-engine pasta", TUN_DEVICE);
	return err_hint(
		err, "ask an administrator: %s; without the device, rules (--egress HOST) open TCP by name", cure);
}

[[gnu::noreturn]] static void become_pasta(pid_t minder, int from, int log, const char *program)
{
	int fds[2]; /* what pasta_connect() sends */
	size_t count = 2;
	char byte;

	die_with_parent(minder, SIGKILL);
	if (fds_receive(from, &byte, 1, fds, &count, 0) != 1 || count != 2)
		_exit(0);
	signals_unblock();
	signal(SIGPIPE, SIG_DFL);
	/* Out of the way first: either could be where the other one belongs. */
	int userns = fcntl(fds[0], F_DUPFD_CLOEXEC, 16), netns = fcntl(fds[1], F_DUPFD_CLOEXEC, 16);
	int output = fcntl(log, F_DUPFD_CLOEXEC, 16);
	if (dup2(output, STDERR_FILENO) < 0 || dup2(userns, FD_USERNS) < 0 || dup2(netns, FD_NETNS) < 0)
		_exit(1);
	execv(program, (char *const *)(uintptr_t)pasta_arguments);
	dprintf(STDERR_FILENO, "%s: %s\n", program, strerror(errno));
	_exit(1);
}

/* Have a child become pasta; end it when the maker ends or says so (SIGTERM), end when it ends. */
[[gnu::noreturn]] static void mind_pasta(pid_t maker, int from, int log, const char *program)
{
	const pid_t self = getpid();
	sigset_t all;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL); /* what is not waited for is not meant for this process */
	signal(SIGCHLD, SIG_DFL);
	die_with_parent(maker, SIGTERM);
	(void)prctl(PR_SET_NAME, "azm-pasta");
	pid_t child = fork();
	if (child == 0)
		become_pasta(self, from, log, program);
	(void)fd_close_range(0, ~0u);
	if (child < 0)
		_exit(1);

	sigemptyset(&all);
	sigaddset(&all, SIGCHLD);
	sigaddset(&all, SIGTERM);
	while (sigwaitinfo(&all, NULL) != SIGTERM)
		if (waitpid(child, NULL, WNOHANG) == child)
			_exit(0);
	kill(child, SIGKILL);
	(void)TEMP_FAILURE_RETRY(waitpid(child, NULL, 0));
	_exit(0);
}

int pasta_prepare(struct pasta *pasta, int dir, struct azm_err *err)
{
	cleanup_free char *program = find_program();
	pid_t maker = getpid();
	int ends[2];

	if (!program) {
		err_msg(err, ENOENT, "use --egress-engine pasta", NULL, "there is no pasta in the PATH");
		return err_hint(err,
			"install passt (Debian, Fedora and others call the package so), or use rules: --egress HOST");
	}
	if (check_tun(err) < 0)
		return -1;
	cleanup_fd int log = openat(dir, "pasta.log", O_RDWR | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
	if (log < 0 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
		return err_sys(err, "prepare for pasta", NULL);
	cleanup_fd int ours = ends[0], theirs = ends[1];
	pid_t child = fork();
	if (child < 0)
		return err_sys(err, "start pasta", NULL);
	if (child == 0) {
		close(ours); /* or it would wait for itself */
		mind_pasta(maker, theirs, log, program);
	}
	*pasta = (struct pasta){ .pid = child, .socket = steal_fd(&ours), .log = steal_fd(&log) };
	return 0;
}

/* Its last words, without what it says about a missing system log. */
static int last_words(const struct pasta *pasta, struct azm_err *err)
{
	cleanup_str_list struct str_list lines = { 0 };
	char text[4096];
	off_t size = lseek(pasta->log, 0, SEEK_END);
	off_t start = size > (off_t)sizeof text - 1 ? size - (off_t)sizeof text + 1 : 0;
	ssize_t length = pread(pasta->log, text, sizeof text - 1, start);
	const char *said = "it ended without a word";

	text[length > 0 ? length : 0] = '\0';
	str_list_split(&lines, text, '\n');
	for (size_t i = 0; i < lines.count; i++)
		if (lines.items[i][0] && !strstr(lines.items[i], "to syslog"))
			said = lines.items[i];
	cleanup_free char *safe = xstrdup(said);
	str_sanitise(safe);
	return err_msg(err, ECHILD, "start pasta", NULL, "%s", safe);
}

/* Whether a packet to an address of nobody (RFC 5737, RFC 3849) would find a route. */
static bool has_route(int fd, int family)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons(9) };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_port = htons(9) };

	inet_pton(AF_INET, "192.0.2.1", &v4.sin_addr);
	inet_pton(AF_INET6, "2001:db8::1", &v6.sin6_addr);
	return (family == AF_INET ? connect(fd, (struct sockaddr *)&v4, sizeof v4)
				  : connect(fd, (struct sockaddr *)&v6, sizeof v6)) == 0;
}

static bool host_has_route(int family)
{
	cleanup_fd int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	return fd >= 0 && has_route(fd, family);
}

/* Wait for the route of one family, unless the host has none either. */
static int await_route(struct pasta *pasta, int netns, int family, struct azm_err *err)
{
	const struct timespec pause = { .tv_nsec = PROBE_MS * 1000000L };

	if (!host_has_route(family))
		return 0;
	cleanup_fd int fd = netns_socket(netns, family, SOCK_DGRAM, 0, err);
	if (fd < 0)
		return -1;
	for (int waited = 0; waited < CONNECT_MS; waited += PROBE_MS) {
		if (has_route(fd, family))
			return 0;
		if (waitpid(pasta->pid, NULL, WNOHANG) == pasta->pid) {
			pasta->pid = 0;
			return last_words(pasta, err);
		}
		nanosleep(&pause, NULL);
	}
	return err_msg(err, ETIMEDOUT, "start pasta", NULL, "it made no route in %d seconds", CONNECT_MS / 1000);
}

int pasta_connect(struct pasta *pasta, int userns, int netns, struct azm_err *err)
{
	const int fds[] = { userns, netns };

	if (fds_send(pasta->socket, "", 1, fds, 2, 0) < 0)
		return err_sys(err, "hand the sandbox's network to pasta", NULL);
	return await_route(pasta, netns, AF_INET, err) < 0 ? -1 : await_route(pasta, netns, AF_INET6, err);
}

void pasta_end(struct pasta *pasta)
{
	if (pasta->pid > 0) {
		kill(pasta->pid, SIGTERM);
		(void)TEMP_FAILURE_RETRY(waitpid(pasta->pid, NULL, 0));
	}
	if (pasta->socket >= 0)
		close(pasta->socket);
	if (pasta->log >= 0)
		close(pasta->log);
	*pasta = (struct pasta)PASTA_NONE;
}
