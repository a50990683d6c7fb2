// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/job.c: see job.h. */
#include "rootfs-tools/job.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"

#define MEMORY_MAX (512ull << 20)

enum { WAIT_MS = 50 };

int job_interrupted(const struct job *job, struct azm_err *err)
{
	struct signalfd_siginfo info;

	if (read(job->signals, &info, sizeof info) != sizeof info || info.ssi_signo == SIGCHLD)
		return 0;
	err_msg(err, EINTR, job->command, job->object, "interrupted by signal %u", info.ssi_signo);
	err->exit_status = 128 + (int)info.ssi_signo;
	return -1;
}

int job_lock(int fd, int how, const struct job *job, struct azm_err *err)
{
	while (flock(fd, how | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			return err_sys(err, "lock a directory of the store", NULL);
		if (job && job_interrupted(job, err) < 0)
			return -1;
		poll(NULL, 0, WAIT_MS);
	}
	return 0;
}

int job_tick(void *context, uint64_t consumed, struct azm_err *err)
{
	struct job *job = context;

	if (job_interrupted(job, err) < 0)
		return -1;
	job->progress.bytes = job->before + consumed;
	if (job->files)
		job->progress.files = *job->files;
	uint64_t done = job->progress.bytes, all = job->total;
	if (job->download) {
		job->progress.bytes = job->download->bytes;
		snprintf(job->progress.detail, sizeof job->progress.detail, "(%u of %u layers)", job->download->parts,
			job->download->all_parts);
		done += job->download->bytes;
		all += job->download->total;
	}
	if (all)
		progress_at(&job->progress, (double)done / (double)all);
	progress_draw(&job->progress);
	return 0;
}

void job_limit_memory(void)
{
	cleanup_free char *status = read_path("/proc/self/statm", 4096, NULL);
	unsigned long long pages = 0;

	if (!status || sscanf(status, "%*u %*u %*u %*u %*u %llu", &pages) != 1)
		return;
	const rlim_t most = pages * (rlim_t)sysconf(_SC_PAGESIZE) + MEMORY_MAX;
	(void)setrlimit(RLIMIT_DATA, &(struct rlimit){ most, most });
}
