// SPDX-License-Identifier: GPL-2.0-or-later
/* cmd_stats.c: what running sandboxes use.
 *
 * From the sandbox's cgroup where it has one with the controller, else summed over its processes: an unprivileged user
 * may read all of that of his own sandboxes. Processor time is the difference of two looks a second apart.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/json_out.h"
#include "commands.h"
#include "members.h"

enum { INTERVAL_MS = 1000 };

struct stats_options {
	bool once, json, all;
};

OPTION_STORES(opt_no_stream, struct stats_options, once, true)
OPTION_STORES(opt_json, struct stats_options, json, true)
OPTION_STORES(opt_all, struct stats_options, all, true)

const struct option_row stats_option_rows[] = {
	{ 0, "no-stream", NULL, opt_no_stream, "one look, not one every second" },
	{ 'a', "all", NULL, opt_all, "those that do not run, too" },
	{ 0, "json", NULL, opt_json, "an array of objects a look" },
	OPTIONS_END,
};

struct sample {
	char *name;
	bool running;
	unsigned long long cpu_us, memory, memory_limit, pids, received, sent, read_bytes, written;
	int64_t when_ms;
};

static bool cgroup_number(const char *cgroup, const char *file, const char *key, unsigned long long *value)
{
	if (!cgroup)
		return false;
	cleanup_free char *path = xasprintf("%s/%s", cgroup, file);
	cleanup_free char *text = read_path(path, 65536, NULL);
	const char *at = text && key ? strstr(text, key) : text;
	return at && sscanf(at + (key ? strlen(key) : 0), "%llu", value) == 1;
}

/* The number behind "KEY" at the beginning of a line of /proc/PID/FILE; 0 when there is none. */
static unsigned long long proc_number(pid_t pid, const char *file, const char *key)
{
	char path[64];
	unsigned long long value = 0;

	snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, file);
	cleanup_free char *text = read_path(path, 65536, NULL);
	const char *at = text ? strstr(text, key) : NULL;
	return at && sscanf(at + strlen(key), "%llu", &value) == 1 ? value : 0;
}

static unsigned long long host_memory(void)
{
	unsigned long long kib = 0;
	cleanup_free char *text = read_path("/proc/meminfo", 65536, NULL);

	if (!text || sscanf(text, "MemTotal: %llu", &kib) != 1)
		return 0;
	return kib * 1024;
}

/* Every interface but the loopback: eth0, and pasta's. */
static void traffic(pid_t init, struct sample *sample)
{
	char path[64];

	snprintf(path, sizeof path, "/proc/%d/net/dev", (int)init);
	cleanup_free char *text = read_path(path, 65536, NULL);
	for (char *line = text, *next; line && *line; line = next) {
		char name[32];
		unsigned long long in, out;
		next = strchr(line, '\n');
		if (next)
			*next++ = '\0';
		if (sscanf(line, " %31[^:]: %llu %*u %*u %*u %*u %*u %*u %*u %llu", name, &in, &out) != 3 ||
			strcmp(name, "lo") == 0)
			continue;
		sample->received += in;
		sample->sent += out;
	}
}

static int measure(const json_t *status, struct sample *sample, struct azm_err *err)
{
	cleanup_free struct member *list = NULL;
	size_t count = 0;
	const char *cgroup = json_string_value(json_object_get(status, "cgroup"));
	pid_t init = (pid_t)json_integer_value(json_object_get(status, "pid"));
	unsigned long long ticks = 0, pss = 0;

	sample->name = xstrdup(json_string_value(json_object_get(status, "name")));
	sample->when_ms = clock_ms();
	sample->running = init > 0;
	if (!sample->running)
		return 0;
	if (members_list(init, &list, &count, err) < 0) {
		sample->running = false; /* it has just ended */
		return err_is(err, ESRCH) || err_is(err, EACCES) ? (err_clear(err), 0) : -1;
	}
	bool charged = cgroup_number(cgroup, "memory.current", NULL, &sample->memory);
	for (size_t i = 0; i < count; i++) {
		ticks += list[i].ticks;
		pss += charged ? 0 : proc_number(list[i].pid, "smaps_rollup", "\nPss:") * 1024;
		sample->read_bytes += proc_number(list[i].pid, "io", "\nread_bytes:");
		sample->written += proc_number(list[i].pid, "io", "\nwrite_bytes:");
	}
	if (!charged)
		sample->memory = pss;
	if (!cgroup_number(cgroup, "cpu.stat", "usage_usec ", &sample->cpu_us))
		sample->cpu_us = ticks * 1000000 / (unsigned long long)sysconf(_SC_CLK_TCK);
	if (!cgroup_number(cgroup, "memory.max", NULL, &sample->memory_limit))
		sample->memory_limit = host_memory();
	sample->pids = count;
	traffic(init, sample);
	return 0;
}

struct samples {
	struct sample *items;
	size_t count;
};

static void samples_free(struct samples *samples)
{
	for (size_t i = 0; i < samples->count; i++)
		free(samples->items[i].name);
	free(samples->items);
	*samples = (struct samples){ 0 };
}

static int take(const struct state *state, char *const *names, size_t count, bool must_exist, bool all,
	struct samples *samples, struct azm_err *err)
{
	*samples = (struct samples){ .items = xcalloc(count + 1, sizeof *samples->items) };
	for (size_t i = 0; i < count; i++) {
		struct sample *sample = &samples->items[samples->count];
		json_t *status = sandbox_status(state, names[i], err);
		if (!status && must_exist)
			return -1;
		*sample = (struct sample){ 0 };
		int result = status ? measure(status, sample, err) : 0;
		json_decref(status);
		if (result < 0)
			return -1;
		if (sample->name && !sample->running && !all)
			free(steal_ptr(&sample->name));
		samples->count += sample->name != NULL;
	}
	return 0;
}

static double cpu_percent(const struct sample *now, const struct samples *before)
{
	for (size_t i = 0; i < before->count; i++) {
		const struct sample *old = &before->items[i];
		if (strcmp(old->name, now->name) == 0 && now->when_ms > old->when_ms && now->cpu_us >= old->cpu_us)
			return (double)(now->cpu_us - old->cpu_us) / 10.0 / (double)(now->when_ms - old->when_ms);
	}
	return 0;
}

static double memory_percent(const struct sample *sample)
{
	return sample->memory_limit ? 100.0 * (double)sample->memory / (double)sample->memory_limit : 0;
}

static json_t *sample_json(const struct sample *s, double cpu)
{
	return json_pack("{s:s,s:b,s:f,s:I,s:I,s:f,s:I,s:I,s:I,s:I,s:I}", "name", s->name, "running", s->running,
		"cpu_percent", cpu, "memory_bytes", (json_int_t)s->memory, "memory_limit_bytes",
		(json_int_t)s->memory_limit, "memory_percent", memory_percent(s), "pids", (json_int_t)s->pids,
		"network_received_bytes", (json_int_t)s->received, "network_sent_bytes", (json_int_t)s->sent,
		"block_read_bytes", (json_int_t)s->read_bytes, "block_written_bytes", (json_int_t)s->written);
}

static char *of_both(uint64_t one, uint64_t other)
{
	char left[STR_SIZE_TEXT], right[STR_SIZE_TEXT];

	return xasprintf("%s / %s", str_size(one, left), str_size(other, right));
}

static void print_row(const struct sample *s, double cpu)
{
	cleanup_free char *memory = of_both(s->memory, s->memory_limit);
	cleanup_free char *net = of_both(s->received, s->sent);
	cleanup_free char *block = of_both(s->read_bytes, s->written);

	printf("%-24s %6.2f%%  %-20s %5.2f%%  %-20s %-20s %4llu\n", s->name, cpu, memory, memory_percent(s), net, block,
		s->pids);
}

static void print_samples(const struct samples *now, const struct samples *before, const struct stats_options *options)
{
	json_t *list = json_array();

	if (!options->json) {
		if (!options->once && isatty(STDOUT_FILENO))
			fputs("\033[H\033[J", stdout);
		printf("%-24s %7s  %-20s %6s  %-20s %-20s %4s\n", "NAME", "CPU %", "MEM USAGE / LIMIT", "MEM %",
			"NET I/O", "BLOCK I/O", "PIDS");
	}
	for (size_t i = 0; i < now->count; i++) {
		double cpu = cpu_percent(&now->items[i], before);
		if (options->json)
			json_array_append_new(list, sample_json(&now->items[i], cpu));
		else
			print_row(&now->items[i], cpu);
	}
	if (options->json)
		json_print(json_incref(list), JSON_COMPACT | JSON_REAL_PRECISION(6), stdout);
	json_decref(list);
}

/* One look at those that are named, else at all there are now. */
static int look(const struct state *state, char **given, size_t given_count, const struct stats_options *options,
	struct samples *samples, struct azm_err *err)
{
	cleanup_str_list struct str_list all = { 0 };

	if (given_count)
		return take(state, given, given_count, true, true, samples, err);
	return sandbox_names(state, &all, err) < 0
		       ? -1
		       : take(state, all.items, all.count, false, options->all, samples, err);
}

static int report(
	const struct state *state, char **names, size_t count, const struct stats_options *options, struct azm_err *err)
{
	const struct timespec interval = { .tv_sec = INTERVAL_MS / 1000 };
	[[gnu::cleanup(samples_free)]] struct samples before = { 0 };

	if (look(state, names, count, options, &before, err) < 0)
		return -1;
	do {
		[[gnu::cleanup(samples_free)]] struct samples now = { 0 };
		nanosleep(&interval, NULL);
		if (look(state, names, count, options, &now, err) < 0)
			return -1;
		print_samples(&now, &before, options);
		if (fflush(stdout) != 0)
			return err_sys(err, "write to stdout", NULL);
		samples_free(&before);
		before = now;
		now = (struct samples){ 0 };
	} while (!options->once);
	return 0;
}

int command_stats(int argc, char **argv)
{
	struct azm_err err = { 0 };
	struct stats_options options = { 0 };
	cleanup_state struct state state = { .live = -1, .dir = -1, .sandboxes = -1 };
	int first = options_parse(program_find(the_program(), "stats"), &options, argc, argv, &err);

	if (first < 0 || state_open(&state, &err) < 0 ||
		report(&state, argv + first, (size_t)(argc - first), &options, &err) < 0)
		return fail_command(&err);
	return 0;
}
