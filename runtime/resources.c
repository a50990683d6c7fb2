// SPDX-License-Identifier: GPL-2.0-or-later
/* resources.c: resource limits, see resources.h. Source: getrlimit(2). */
#include "resources.h"

#include <errno.h>
#include <string.h>
#include <sys/resource.h>

#include "base/cleanup.h"

static const struct {
	const char *name; /* Docker's */
	int resource;
} limits[] = {
	{ "as", RLIMIT_AS },
	{ "core", RLIMIT_CORE },
	{ "cpu", RLIMIT_CPU },
	{ "data", RLIMIT_DATA },
	{ "fsize", RLIMIT_FSIZE },
	{ "locks", RLIMIT_LOCKS },
	{ "memlock", RLIMIT_MEMLOCK },
	{ "msgqueue", RLIMIT_MSGQUEUE },
	{ "nice", RLIMIT_NICE },
	{ "nofile", RLIMIT_NOFILE },
	{ "nproc", RLIMIT_NPROC },
	{ "rss", RLIMIT_RSS },
	{ "rtprio", RLIMIT_RTPRIO },
	{ "rttime", RLIMIT_RTTIME },
	{ "sigpending", RLIMIT_SIGPENDING },
	{ "stack", RLIMIT_STACK },
};

static int find_limit(const char *name)
{
	for (size_t i = 0; i < sizeof limits / sizeof *limits; i++)
		if (strcmp(limits[i].name, name) == 0)
			return limits[i].resource;
	return -1;
}

static void set_limit(struct plan *plan, int resource, uint64_t soft, uint64_t hard)
{
	for (size_t i = 0; i < plan->limit_count; i++) {
		if (plan->limits[i].resource == (uint32_t)resource) {
			plan->limits[i].soft = soft;
			plan->limits[i].hard = hard;
			return;
		}
	}
	plan->limits = xrealloc(plan->limits, plan->limit_count + 1, sizeof *plan->limits);
	plan->limits[plan->limit_count++] = (struct plan_limit){ (uint32_t)resource, soft, hard };
}

static bool parse_value(const char *text, uint64_t *value)
{
	if (strcmp(text, "-1") == 0 || strcmp(text, "unlimited") == 0) {
		*value = RLIM_INFINITY;
		return true;
	}
	return str_to_u64(text, RLIM_INFINITY - 1, value);
}

/* "nofile=1024" or "nofile=1024:4096" */
static int add_ulimit(const char *text, struct plan *plan, struct azm_err *err)
{
	cleanup_str_list struct str_list sides = { 0 };
	cleanup_str_list struct str_list values = { 0 };
	uint64_t soft, hard;
	struct rlimit own;

	str_list_split(&sides, text, '=');
	int resource = find_limit(sides.items[0]);
	if (resource < 0)
		return err_msg(err, EINVAL, "use --ulimit", text, "\"%s\" is no resource limit", sides.items[0]);
	if (sides.count == 2)
		str_list_split(&values, sides.items[1], ':');
	if (values.count < 1 || values.count > 2 || !parse_value(values.items[0], &soft) ||
		!parse_value(values.items[values.count - 1], &hard) || soft > hard)
		return err_msg(err, EINVAL, "use --ulimit", text, "expected NAME=SOFT[:HARD] with SOFT not above HARD");
	/* Raising a hard limit takes CAP_SYS_RESOURCE on the host, which nobody here has. */
	if (getrlimit((__rlimit_resource_t)resource, &own) == 0 && hard > own.rlim_max) {
		err_msg(err, EPERM, "use --ulimit", text, "your own hard limit is %llu",
			(unsigned long long)own.rlim_max);
		return err_hint(err, "ask for at most that, or raise it (ulimit -H, /etc/security/limits.conf)");
	}
	set_limit(plan, resource, soft, hard);
	return 0;
}

int limits_plan(const struct config *config, struct plan *plan, struct azm_err *err)
{
	uint64_t pids = config->pids_limit == CONFIG_UNSET ? DEFAULT_PIDS_LIMIT : config->pids_limit;
	struct rlimit own;

	set_limit(plan, RLIMIT_CORE, 0, 1);
	if (getrlimit(RLIMIT_NOFILE, &own) == 0)
		set_limit(plan, RLIMIT_NOFILE, own.rlim_max < 65536 ? own.rlim_max : 65536, own.rlim_max);
	if (pids > 0 && getrlimit(RLIMIT_NPROC, &own) == 0)
		set_limit(plan, RLIMIT_NPROC, pids < own.rlim_max ? pids : own.rlim_max,
			pids < own.rlim_max ? pids : own.rlim_max);
	for (size_t i = 0; i < config->ulimits.count; i++)
		if (add_ulimit(config->ulimits.items[i], plan, err) < 0)
			return -1;
	return 0;
}
