// SPDX-License-Identifier: GPL-2.0-or-later
/* tests/lib/crash.c: kill a program after its n-th system call.
 *
 *     crash NAME[:VICTIM] N SETUP COMMAND
 *
 * SETUP and COMMAND are for /bin/sh. Both run under ptrace with everything they start, daemons included. While COMMAND
 * runs, the calls of all processes with that name (comm) are counted together; who is about to make the N-th one is
 * killed instead, or those called VICTIM then. The rest runs on, traced until COMMAND has ended and free afterwards.
 * One line is printed:
 *
 *     killed NAME before N CALL      exit status 0
 *     NAME made only N calls         3: COMMAND ended before it made more
 *     hung                           124: COMMAND did not end within a minute
 *
 * 125: wrong usage, SETUP failed, or tracing is refused.
 *
 * A thread counts as its process. The name is read anew where it can have changed: execve() and PR_SET_NAME. The
 * tests' probe does not stop at its calls: while it stands because it is traced, its sandbox looks paused.
 */
#include <errno.h>
#include <seccomp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TRACEES_MAX = 4096, NAME_SIZE = 32, LIMIT_S = 60, EXIT_FEWER = 3, EXIT_HUNG = 124, EXIT_USAGE = 125 };

struct tracee {
	pid_t tid, process; /* tid 0: free */
	bool named, stale;  /* it has the name that is looked for; that has to be found out again */
	bool probe;
};

struct tracer {
	struct tracee tracees[TRACEES_MAX];
	const char *name, *victim; /* the latter: NULL for who made the call */
	long left;		   /* calls until the kill; 0: done, or not yet begun */
	long calls;
};

[[gnu::noreturn]] static void die(const char *what)
{
	fprintf(stderr, "crash: %s: %s\n", what, strerror(errno));
	exit(EXIT_USAGE);
}

static struct tracee *tracee_of(struct tracer *tracer, pid_t tid)
{
	for (unsigned i = 0; i < TRACEES_MAX; i++) {
		struct tracee *at = &tracer->tracees[((unsigned)tid + i) % TRACEES_MAX];
		if (at->tid == tid)
			return at;
		if (!at->tid) {
			*at = (struct tracee){ .tid = tid, .stale = true };
			return at;
		}
	}
	die("too many processes");
}

/* A line of /proc/TID/status as a word. */
static bool status_word(pid_t tid, const char *key, char word[static NAME_SIZE])
{
	char path[64], line[128];
	bool found = false;

	snprintf(path, sizeof path, "/proc/%d/status", (int)tid);
	FILE *file = fopen(path, "re");
	while (file && !found && fgets(line, sizeof line, file))
		found = strncmp(line, key, strlen(key)) == 0 && sscanf(line + strlen(key), " %31s", word) == 1;
	if (file)
		fclose(file);
	return found;
}

static void learn(const struct tracer *tracer, struct tracee *tracee)
{
	char word[NAME_SIZE];

	tracee->stale = false;
	tracee->process = status_word(tracee->tid, "Tgid:", word) ? (pid_t)strtol(word, NULL, 10) : tracee->tid;
	tracee->named = tracee->probe = false;
	if (!status_word(tracee->process, "Name:", word))
		return;
	tracee->named = strcmp(word, tracer->name) == 0;
	tracee->probe = strcmp(word, "probe") == 0;
}

static void kill_victims(const struct tracer *tracer)
{
	char word[NAME_SIZE];

	for (unsigned i = 0; i < TRACEES_MAX; i++) {
		pid_t tid = tracer->tracees[i].tid;
		if (tid && status_word(tid, "Name:", word) && strcmp(word, tracer->victim) == 0)
			kill(tid, SIGKILL);
	}
}

static void on_call(struct tracer *tracer, struct tracee *tracee)
{
	struct __ptrace_syscall_info info;

	if (ptrace(PTRACE_GET_SYSCALL_INFO, tracee->tid, sizeof info, &info) < 0 ||
		info.op != PTRACE_SYSCALL_INFO_ENTRY)
		return;
	tracee->stale = info.entry.nr == SYS_prctl || info.entry.nr == SYS_execve || info.entry.nr == SYS_execveat;
	if (!tracee->named || !tracer->left)
		return;
	tracer->calls++;
	if (--tracer->left)
		return;
	char *call = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, (int)info.entry.nr);
	if (tracer->victim)
		kill_victims(tracer);
	else
		kill(tracee->process, SIGKILL);
	printf("killed %s before %ld %s\n", tracer->victim ? tracer->victim : tracer->name, tracer->calls,
		call ? call : "?");
	free(call);
}

/* One event of one tracee, which goes on. */
static void on_stop(struct tracer *tracer, pid_t tid, int status)
{
	struct tracee *tracee = tracee_of(tracer, tid);
	int event = status >> 16, signal = WSTOPSIG(status), deliver = 0;

	if (tracee->stale || event == PTRACE_EVENT_EXEC)
		learn(tracer, tracee);
	enum __ptrace_request how = tracee->probe ? PTRACE_CONT : PTRACE_SYSCALL;
	if (signal == (SIGTRAP | 0x80)) {
		on_call(tracer, tracee);
	} else if (event == PTRACE_EVENT_STOP) {
		if (signal != SIGTRAP) /* it stopped as a process stops, and stays so until SIGCONT */
			how = PTRACE_LISTEN;
	} else if (!event) {
		deliver = signal;
	}
	ptrace(how, tid, NULL, deliver); /* it may have been killed meanwhile */
}

/* Return: the status of the process when it has ended */
static int trace_until_end(struct tracer *tracer, pid_t process)
{
	int status;

	for (;;) {
		pid_t tid = waitpid(-1, &status, __WALL);
		if (tid < 0 && errno == EINTR) {
			puts("hung");
			exit(EXIT_HUNG);
		}
		if (tid < 0)
			die("waitpid");
		if (WIFSTOPPED(status))
			on_stop(tracer, tid, status);
		else
			tracee_of(tracer, tid)->stale = true; /* another one may get the number */
		if (tid == process && !WIFSTOPPED(status))
			return status;
	}
}

static int run(struct tracer *tracer, const char *command)
{
	const long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE |
			     PTRACE_O_TRACEEXEC;
	int gate[2];

	if (pipe(gate) < 0)
		die("pipe");
	pid_t pid = fork();
	if (pid < 0)
		die("fork");
	if (pid == 0) {
		char byte;
		close(gate[1]);
		if (read(gate[0], &byte, 1) == 1) {
			close(gate[0]);
			execl("/bin/sh", "sh", "-c", command, NULL);
		}
		_exit(EXIT_USAGE);
	}
	close(gate[0]);
	if (ptrace(PTRACE_SEIZE, pid, NULL, options) < 0 || ptrace(PTRACE_INTERRUPT, pid, NULL, NULL) < 0)
		die("ptrace");
	if (write(gate[1], "", 1) != 1)
		die("write");
	close(gate[1]);
	return trace_until_end(tracer, pid);
}

static void on_alarm(int signal)
{
	(void)signal; /* waitpid() is interrupted */
}

int main(int argc, char *argv[])
{
	static struct tracer tracer;
	const struct sigaction action = { .sa_handler = on_alarm };

	if (argc != 5 || strtol(argv[2], NULL, 10) < 1) {
		fputs("usage: crash NAME[:VICTIM] N SETUP COMMAND\n", stderr);
		return EXIT_USAGE;
	}
	tracer.name = strsep(&argv[1], ":");
	tracer.victim = argv[1];
	setvbuf(stdout, NULL, _IOLBF, 0);
	sigaction(SIGALRM, &action, NULL);
	alarm(LIMIT_S);
	if (run(&tracer, argv[3]) != 0) {
		fputs("crash: SETUP failed\n", stderr);
		return EXIT_USAGE;
	}
	alarm(LIMIT_S);
	tracer.left = strtol(argv[2], NULL, 10);
	run(&tracer, argv[4]);
	if (tracer.left)
		printf("%s made only %ld calls\n", tracer.name, tracer.calls);
	return tracer.left ? EXIT_FEWER : 0;
}
