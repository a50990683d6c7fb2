// SPDX-License-Identifier: GPL-2.0-or-later
/* server/endpoints.c: the table of endpoints (spec: openhands 1.3), and the small ones. */
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <sys/sysinfo.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/version.h"
#include "server/events.h"
#include "server/server.h"

const struct endpoint endpoints[] = {
	{ "GET", "/alive", true, endpoint_alive, NULL },
	{ "GET", "/health", true, endpoint_alive, NULL },
	{ "GET", "/ready", true, endpoint_ready, NULL },
	{ "GET", "/server_info", true, endpoint_server_info, NULL },
	{ "POST", "/execute_action", false, endpoint_execute_action, NULL },
	{ "GET", "/events", false, endpoint_events, NULL },
	{ "POST", "/list_files", false, endpoint_list_files, NULL },
	{ "POST", "/upload_file", false, endpoint_upload_file, &upload_sink },
	{ "GET", "/download_files", false, endpoint_download_files, NULL },
	{ "POST", "/update_mcp_server", false, endpoint_update_mcp_server, NULL },
	{ "GET", "/vscode/connection_token", false, endpoint_vscode_token, NULL },
	{ "POST", "/api/bash/start_bash_command", false, endpoint_bash_start, NULL },
	{ "POST", "/api/bash/execute_bash_command", false, endpoint_bash_execute, NULL },
	{ "POST", "/api/bash/bash_commands/*/stop", false, endpoint_bash_stop, NULL },
	{ "GET", "/api/bash/bash_events/search", false, endpoint_bash_search, NULL },
	{ "GET", "/api/bash/bash_events/*", false, endpoint_bash_event, NULL },
	{ "DELETE", "/api/bash/bash_events", false, endpoint_bash_clear, NULL },
	{ "GET", "/api/git/changes", false, endpoint_git_changes, NULL },
	{ "GET", "/api/git/diff", false, endpoint_git_diff, NULL },
	{ "GET", "/api/file/download", false, endpoint_file_download, NULL },
	{ "POST", "/api/file/upload", false, endpoint_file_upload, &upload_file_sink },
	{ "GET", "/", true, endpoint_console_page, NULL },
	{ "POST", "/api/console/terminals", false, endpoint_console_open, NULL },
	{ "DELETE", "/api/console/terminals/*", false, endpoint_console_close, NULL },
	{ "GET", "/api/console/terminals/*/screen", false, endpoint_console_screen, NULL },
	{ "POST", "/api/console/terminals/*/keys", false, endpoint_console_keys, NULL },
	{ "POST", "/api/console/terminals/*/size", false, endpoint_console_size, NULL },
	{ "GET", "/api/console/files", false, endpoint_console_files, NULL },
	{ "GET", "/api/console/processes", false, endpoint_console_processes, NULL },
	{ 0 },
};

void endpoint_alive(struct request *request)
{
	request_answer(request, 200, json_pack("{s:s}", "status", "ok"));
}

/* The socket is opened when everything else is ready. */
void endpoint_ready(struct request *request)
{
	request_answer(request, 200, json_pack("{s:s}", "status", "ready"));
}

void endpoint_vscode_token(struct request *request)
{
	struct server *server = request->server;

	request_answer(request, 200,
		json_pack("{s:s?}", "token",
			vscode_token(&server->vscode, &server->children, server->options.working_dir)));
}

static double percent(double part, double whole)
{
	return whole > 0 ? (double)(long long)(1000 * part / whole + 0.5) / 10 : 0;
}

/* Of this process over its whole life: a sample of 0.1 s, as upstream takes, would make the caller wait for it. */
static double cpu_percent(const struct server *server)
{
	struct timespec used;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
	return percent(
		(double)used.tv_sec * 1000 + (double)used.tv_nsec / 1e6, (double)(loop_now() - server->started_at));
}

static json_t *memory_info(void)
{
	unsigned long long total = 0, resident = 0;
	long long page = sysconf(_SC_PAGESIZE);
	struct sysinfo system = { 0 };
	cleanup_free char *text = read_path("/proc/self/statm", 4096, NULL);

	if (text) {
		char *rest;
		total = strtoull(text, &rest, 10);
		resident = strtoull(rest, NULL, 10);
	}
	sysinfo(&system);
	return json_pack("{s:I, s:I, s:f}", "rss", (json_int_t)resident * page, "vms", (json_int_t)total * page,
		"percent", percent((double)resident * (double)page, (double)system.totalram * system.mem_unit));
}

static json_t *disk_info(void)
{
	struct statvfs root = { 0 };

	statvfs("/", &root);
	double used = (double)(root.f_blocks - root.f_bfree), usable = used + (double)root.f_bavail;
	json_int_t unit = (json_int_t)root.f_frsize;
	return json_pack("{s:I, s:I, s:I, s:f}", "total", (json_int_t)root.f_blocks * unit, "used",
		(json_int_t)(root.f_blocks - root.f_bfree) * unit, "free", (json_int_t)root.f_bavail * unit, "percent",
		percent(used, usable));
}

static json_int_t io_counter(const char *text, const char *name)
{
	const char *found = strstr(text, name);

	return found ? strtoll(found + strlen(name), NULL, 10) : 0;
}

static json_t *io_info(const struct server *server)
{
	char text[512];
	ssize_t size = server->io_counters < 0 ? 0 : pread(server->io_counters, text, sizeof text - 1, 0);

	text[size > 0 ? size : 0] = '\0';
	return json_pack("{s:I, s:I}", "read_bytes", io_counter(text, "\nread_bytes:"), "write_bytes",
		io_counter(text, "\nwrite_bytes:"));
}

void endpoint_server_info(struct request *request)
{
	const struct server *server = request->server;
	uint64_t now = loop_now();
	json_t *resources = json_pack("{s:f, s:o, s:o, s:o}", "cpu_percent", cpu_percent(server), "memory",
		memory_info(), "disk", disk_info(), "io", io_info(server));

	request_answer(request, 200,
		json_pack("{s:f, s:f, s:o, s:s, s:s}", "uptime", (double)(now - server->started_at) / 1000, "idle_time",
			(double)(now - server->last_action_at) / 1000, "resources", resources, "title",
			"azm-runtime-server", "version", AZM_VERSION));
}
