// SPDX-License-Identifier: GPL-2.0-or-later
/* status.c: see status.h */
#include "status.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/clock.h"

char *status_time(void)
{
	struct timespec now;
	char text[CLOCK_UTC_TEXT];

	clock_gettime(CLOCK_REALTIME, &now);
	clock_utc_text(now.tv_sec, text);
	return xasprintf("%s.%03ldZ", text, now.tv_nsec / 1000000);
}

int status_exit_code(int wait_status)
{
	return WIFEXITED(wait_status)	  ? WEXITSTATUS(wait_status)
	       : WIFSIGNALED(wait_status) ? 128 + WTERMSIG(wait_status)
					  : EXIT_AZM;
}

char *status_url(const struct status *status)
{
	return status->serves && status->host_port ? xasprintf("http://127.0.0.1:%u", status->host_port) : NULL;
}

static json_t *port_json(const struct publish_rule *rule, const char *address)
{
	json_t *object = json_object();

	if (rule->family == AF_UNIX) {
		json_object_set_new(object, "unix", json_string(rule->unix_path));
	} else {
		json_object_set_new(object, "host_ip", json_string(address));
		json_object_set_new(object, "host_port", json_integer(rule->host_port));
	}
	json_object_set_new(object, "port", json_integer(rule->port));
	json_object_set_new(object, "protocol", json_string("tcp"));
	return object;
}

json_t *status_ports(const struct publish_rule *rules, size_t count)
{
	json_t *ports = json_array();

	for (size_t i = 0; i < count; i++) {
		char address[INET6_ADDRSTRLEN] = "127.0.0.1";
		if (rules[i].family == AF_INET || rules[i].family == AF_INET6)
			inet_ntop(rules[i].family, &rules[i].address, address, sizeof address);
		json_array_append_new(ports, port_json(&rules[i], address));
		if (rules[i].both)
			json_array_append_new(ports, port_json(&rules[i], "::1"));
	}
	return ports;
}

static void set_text(json_t *object, const char *key, const char *value)
{
	json_t *text = value && *value ? json_string(value) : NULL;

	json_object_set_new(object, key, text ? text : json_null());
}

static void set_exit(json_t *object, int wait_status)
{
	json_object_set_new(object, "exit_code", json_integer(status_exit_code(wait_status)));
	json_object_set_new(
		object, "signal", WIFSIGNALED(wait_status) ? json_integer(WTERMSIG(wait_status)) : json_null());
}

json_t *status_json(const struct config *config, const struct status *status)
{
	struct in_addr address = { .s_addr = htonl(status->address) };
	char ip[INET_ADDRSTRLEN] = "";
	cleanup_free char *url = status_url(status);
	json_t *object = json_object();

	if (status->address)
		inet_ntop(AF_INET, &address, ip, sizeof ip);
	set_text(object, "name", config->name);
	set_text(object, "state", status->wait_status >= 0 ? "exited" : status->paused ? "paused" : "running");
	json_object_set_new(object, "pid", json_integer(status->pid));
	json_object_set_new(object, "supervisor_pid", json_integer(status->supervisor));
	set_text(object, "rootfs", config->rootfs);
	set_text(object, "url", url);
	json_object_set_new(object, "host_port", status->host_port ? json_integer(status->host_port) : json_null());
	set_text(object, "api_key", status->serves ? config->api_key : NULL);
	json_object_set_new(object, "ports", status_ports(status->ports, status->port_count));
	set_text(object, "network", config->network);
	set_text(object, "ip", ip);
	set_text(object, "egress", status->egress ? status->egress : config->egress);
	set_text(object, "created", config->created);
	json_object_set_new(object, "uid", json_integer(status->uid));
	json_object_set_new(object, "gid", json_integer(status->gid));
	json_object_set_new(object, "single_id", json_boolean(!status->wide));
	set_text(object, "cgroup", status->cgroup);
	json_object_set_new(object, "disk_exceeded", json_boolean(status->disk_exceeded));
	json_object_set_new(object, "oom_killed", json_boolean(status->oom_killed));
	if (status->guard)
		json_object_set(object, "guard", status->guard);
	if (status->wait_status >= 0)
		set_exit(object, status->wait_status);
	return object;
}

int status_save(const struct config *config, const struct status *status, int dir, struct azm_err *err)
{
	json_t *object = status_json(config, status);
	int result = json_save_at(object, dir, "status.json", err);

	json_decref(object);
	return result;
}
