// SPDX-License-Identifier: GPL-2.0-or-later
/* netns/resolver_helper.c: the process that runs getaddrinfo(3), see resolver.h.
 *
 * Theory of operation
 *
 * Two processes. The *worker* reads questions and hands them to threads, because a lookup blocks for as long as the
 * host's name service likes. Modules of that service crash and hang: so the *watcher*, which does nothing else, starts
 * another worker when one dies, and a worker whose threads have all been stuck for long ends itself.
 *
 * azm-sandbox is a static program. The C library it was built with brings `files` and `dns` of nsswitch.conf along and
 * loads other modules from the host, which is sure to work only with the same version of it: a binary that was copied
 * to another distribution may crash in one. So the worker after one that died of a signal uses the two only.
 *
 * Before glibc 2.34 a static program loads `files` and `dns`, too, and they bring a second C library along, which knows
 * only the thread that loaded it: in any other they crash. There each lookup has a process of its own, in which it is
 * the first.
 *
 * The end is the end of file on the socket. The worker sees it and says so to the watcher with its exit status.
 *
 * What it may do: read what a name service reads, and talk to the network. Landlock denies every change to a file and
 * every program; nothing of the supervisor's but the socket is open.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <netdb.h>
#include <nss.h>
#include <pthread.h>
#include <resolv.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/compat.h"
#include "base/io.h"
#include "base/signals.h"
#include "netns/address_class.h"
#include "netns/resolver_wire.h"

enum {
	QUEUE = RESOLVER_NAMES,
	STACK_BYTES = 512 * 1024, /* modules of the name service are not written for small ones */
	STUCK_MS = 30000,
	RESTART_US = 200000,
	EXIT_OVER = 0,
	EXIT_STUCK = 1,
	OLD_LIBC = !__GLIBC_PREREQ(2, 34)
};

struct question {
	struct resolver_question asked;
	int64_t at;
};

struct worker {
	int fd;
	pthread_mutex_t lock;
	pthread_cond_t more;
	struct question queue[QUEUE]; /* ring */
	unsigned first, count;
	unsigned threads, idle;
	int64_t progress; /* when a thread last took or finished something, or the queue began */
};

/* ---- one lookup ----------------------------------------------------------------------------------------------- */

static void add_address(struct resolver_answer *answer, const struct sockaddr *address)
{
	struct in6_addr *next = &answer->addresses[answer->count];

	if (answer->count == RESOLVER_ADDRESSES)
		return;
	if (address->sa_family == AF_INET)
		*next = address_from_v4(ntohl(((const struct sockaddr_in *)(const void *)address)->sin_addr.s_addr));
	else if (address->sa_family == AF_INET6)
		*next = ((const struct sockaddr_in6 *)(const void *)address)->sin6_addr;
	else
		return;
	answer->count++;
}

/* The host's search list would turn a name that does not exist into another one that does, so it is left out for names
 * with a dot. Setting that means reading resolv.conf anew, which is right for a laptop that moves, too. */
static void look_up(const struct resolver_question *question, struct resolver_answer *answer)
{
	static const struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_family = AF_UNSPEC };
	struct addrinfo *found = NULL;

	*answer = (struct resolver_answer){ .id = question->id };
	if (res_init() == 0)
		_res.options &= ~(unsigned long)RES_DNSRCH;
	answer->error = getaddrinfo(question->name, NULL, &hints, &found);
	if (answer->error == 0) {
		for (const struct addrinfo *one = found; one; one = one->ai_next)
			add_address(answer, one->ai_addr);
		freeaddrinfo(found);
	}
	if (answer->error == 0 && answer->count == 0)
		answer->error = EAI_NONAME;
}

static bool crashed(int status)
{
	static const int crashes[] = { SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL };

	for (size_t i = 0; WIFSIGNALED(status) && i < sizeof crashes / sizeof *crashes; i++)
		if (WTERMSIG(status) == crashes[i])
			return true;
	return false;
}

static void reply(int fd, const struct resolver_question *question)
{
	struct resolver_answer answer;

	look_up(question, &answer);
	(void)!send(fd, &answer, sizeof answer, MSG_NOSIGNAL);
}

/* A crash is the worker's, for the watcher to see. Setting options of this program's C library would not reach the
 * loaded one: LOCALDOMAIN does, and an empty search list leaves a name as it is. */
static void reply_from_child(int fd, const struct resolver_question *question)
{
	int status = 0;
	pid_t child = fork();

	if (child == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (strchr(question->name, '.'))
			(void)setenv("LOCALDOMAIN", "", 1);
		reply(fd, question);
		_exit(0);
	}
	while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR)
		continue;
	if (crashed(status))
		abort();
}

/* ---- the worker ----------------------------------------------------------------------------------------------- */

static void *resolve(void *argument)
{
	struct worker *worker = argument;

	pthread_mutex_lock(&worker->lock);
	for (;;) {
		while (worker->count == 0) {
			worker->idle++;
			pthread_cond_wait(&worker->more, &worker->lock);
			worker->idle--;
		}
		struct question question = worker->queue[worker->first];
		worker->first = (worker->first + 1) % QUEUE;
		worker->count--;
		worker->progress = clock_ms();
		pthread_mutex_unlock(&worker->lock);
		/* Whoever asked has given up. */
		if (clock_ms() - question.at < RESOLVER_TIMEOUT_MS)
			(OLD_LIBC ? reply_from_child : reply)(worker->fd, &question.asked);
		pthread_mutex_lock(&worker->lock);
		worker->progress = clock_ms();
	}
	return NULL;
}

static void one_more_thread(struct worker *worker)
{
	pthread_attr_t attributes;
	pthread_t thread;

	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, STACK_BYTES);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	if (pthread_create(&thread, &attributes, resolve, worker) == 0)
		worker->threads++;
	pthread_attr_destroy(&attributes);
}

/* A full queue loses the question: its asker's patience ends the matter. */
static void enqueue(struct worker *worker, const struct resolver_question *question)
{
	pthread_mutex_lock(&worker->lock);
	if (worker->count == 0)
		worker->progress = clock_ms(); /* nobody could have been late before */
	if (worker->count < QUEUE) {
		struct question *last = &worker->queue[(worker->first + worker->count++) % QUEUE];
		last->asked = *question;
		last->at = clock_ms();
		if (worker->count > worker->idle && worker->threads < RESOLVER_THREADS)
			one_more_thread(worker);
	}
	pthread_cond_signal(&worker->more);
	pthread_mutex_unlock(&worker->lock);
}

static bool is_stuck(struct worker *worker)
{
	pthread_mutex_lock(&worker->lock);
	bool stuck = worker->count > 0 && worker->idle == 0 && clock_ms() - worker->progress > STUCK_MS;
	pthread_mutex_unlock(&worker->lock);
	return stuck;
}

[[gnu::noreturn]] static void work(int fd)
{
	static struct worker worker = { .lock = PTHREAD_MUTEX_INITIALIZER, .more = PTHREAD_COND_INITIALIZER };
	static const struct timeval patience = { .tv_sec = 1 };
	struct resolver_question question;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
	worker.fd = fd;
	for (;;) {
		ssize_t size = recv(fd, &question, sizeof question, 0);
		if (size == 0)
			_exit(EXIT_OVER);
		if (size < 0 && errno != EAGAIN && errno != EINTR)
			_exit(EXIT_OVER);
		if (size == (ssize_t)sizeof question) {
			question.name[sizeof question.name - 1] = '\0';
			enqueue(&worker, &question);
		}
		if (is_stuck(&worker))
			_exit(EXIT_STUCK);
	}
}

/* ---- confinement ---------------------------------------------------------------------------------------------- */

/* What name services read: configuration, libraries, and the caches of daemons. */
static const char *const readable[] = { "/etc", "/usr", "/lib", "/lib64", "/lib32", "/nix/store", "/gnu/store",
	"/run/systemd", "/run/nscd", "/run/resolvconf", "/run/NetworkManager", "/run/connman", "/var/lib/sss",
	"/var/cache/nscd", "/var/lib/extrausers", "/dev", "/proc/sys", NULL };
/* These may be links to anywhere. */
static const char *const linked[] = { "/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf", "/etc/gai.conf", NULL };

static void allow_reading(int ruleset, const char *path, bool directory)
{
	cleanup_fd int fd = open(path, O_PATH | O_CLOEXEC);
	struct landlock_path_beneath_attr rule = { .allowed_access = LANDLOCK_ACCESS_FS_READ_FILE |
								     (directory ? LANDLOCK_ACCESS_FS_READ_DIR : 0u),
		.parent_fd = fd };

	if (fd >= 0)
		(void)syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
}

/* A second line: a kernel without Landlock goes without. */
static void confine_files(void)
{
	/* All of the first version: reading, writing, making, removing, executing. */
	struct landlock_ruleset_attr attributes = { .handled_access_fs = (1 << 13) - 1 };
	cleanup_fd int ruleset = (int)syscall(SYS_landlock_create_ruleset, &attributes, sizeof attributes, 0);

	if (ruleset < 0)
		return;
	for (const char *const *path = readable; *path; path++)
		allow_reading(ruleset, *path, true);
	for (const char *const *path = linked; *path; path++)
		allow_reading(ruleset, *path, false);
	(void)syscall(SYS_landlock_restrict_self, ruleset, 0);
}

static void confine(void)
{
	static const struct rlimit none = { 0, 0 }, files = { 256, 256 };
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct no_caps[2] = { 0 };

	(void)setrlimit(RLIMIT_CORE, &none);
	(void)setrlimit(RLIMIT_FSIZE, &none);
	(void)setrlimit(RLIMIT_NOFILE, &files);
	(void)prctl(PR_SET_DUMPABLE, 0);
	/* Without these two it would be more than a helper: rather no names than that. */
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || syscall(SYS_capset, &header, no_caps) < 0)
		_exit(EXIT_OVER);
	confine_files();
}

/* ---- the watcher ---------------------------------------------------------------------------------------------- */

/* The socket as 3, /dev/null below it, nothing above. */
static void keep_only(int fd)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (fd != 3 && dup2(fd, 3) < 0)
		_exit(EXIT_OVER);
	for (int i = 0; i < 3 && null >= 0; i++)
		(void)dup2(null, i);
	(void)fd_close_range(4, ~0u);
}

void resolver_helper(int fd)
{
	static const struct resolver_answer ask_again = { .id = RESOLVER_ASK_AGAIN };

	(void)setsid();
	signals_unblock();
	(void)prctl(PR_SET_NAME, "azm-resolver");
	keep_only(fd);
	confine();
	for (;;) {
		int status = 0;
		pid_t worker = fork();
		if (worker == 0)
			work(3);
		while (worker > 0 && waitpid(worker, &status, 0) < 0 && errno == EINTR)
			continue;
		if (worker > 0 && WIFEXITED(status) && WEXITSTATUS(status) == EXIT_OVER)
			_exit(EXIT_OVER);
		if (worker > 0 && crashed(status))
			(void)__nss_configure_lookup("hosts", "files dns");
		usleep(RESTART_US);
		(void)!send(3, &ask_again, sizeof ask_again, MSG_NOSIGNAL | MSG_DONTWAIT);
	}
}
