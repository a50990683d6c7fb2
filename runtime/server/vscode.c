// SPDX-License-Identifier: GPL-2.0-or-later
/* server/vscode.c: see vscode.h
 *
 * Upstream starts it with the runtime, whether somebody wants it or not: it is hundreds of megabytes. Here it starts
 * when the token is asked for, which the client does when it shows the link.
 *
 * The token is nowhere another user of the host could read it: arguments can be seen from there. openvscode-server
 * reads it from a descriptor; code-server, which knows passwords only, from its environment.
 */
#include "server/vscode.h"

#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/str.h"
#include "server/new_file.h"

enum { PORT_MAX = 65535, TOKEN_FD = 3 };

static const char settings[] = "{\n"
			       "    \"workbench.colorTheme\": \"Default Dark Modern\",\n"
			       "    \"workbench.startupEditor\": \"none\",\n"
			       "    \"chat.commandCenter.enabled\": false\n"
			       "}\n";

static const char *setting(const char *name, const char *otherwise)
{
	const char *value = getenv(name);

	return value && *value ? value : otherwise;
}

/* Return: path of the program, NULL if there is none; *is_code_server tells which one it is. Caller owns. */
static char *find_program(bool *is_code_server)
{
	const char *const roots[] = { setting("OPENVSCODE_SERVER_ROOT", NULL), "/openhands/.openvscode-server" };

	*is_code_server = false;
	for (size_t i = 0; i < sizeof roots / sizeof *roots; i++) {
		cleanup_free char *program = xasprintf("%s/bin/openvscode-server", roots[i] ? roots[i] : "");
		if (roots[i] && access(program, X_OK) == 0)
			return steal_ptr(&program);
	}
	char *program = executable_find("openvscode-server");
	if (program)
		return program;
	*is_code_server = true;
	return executable_find("code-server");
}

/* Version 4: random but for the two fields that say so. */
static bool make_token(char token[static VSCODE_TOKEN_SIZE])
{
	unsigned char b[16];

	if (getrandom(b, sizeof b, 0) != (ssize_t)sizeof b)
		return false;
	b[6] = (unsigned char)((b[6] & 0x0f) | 0x40);
	b[8] = (unsigned char)((b[8] & 0x3f) | 0x80);
	snprintf(token, VSCODE_TOKEN_SIZE, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0],
		b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]);
	return true;
}

/* What upstream sets, unless the workspace has settings of its own. */
static void write_settings(void)
{
	cleanup_free char *path = xasprintf("%s/.vscode/settings.json", setting("WORKSPACE_BASE", "/workspace"));

	if (access(setting("WORKSPACE_BASE", "/workspace"), W_OK) == 0 && access(path, F_OK) < 0 &&
		file_make_parents(path) == 0)
		file_write(path, settings, sizeof settings - 1, 0644);
}

static void arguments_openvscode(struct str_list *argv, const char *port)
{
	const char *base = setting("OPENVSCODE_SERVER_BASE_PATH", NULL);

	str_list_add(argv, "--host");
	str_list_add(argv, "0.0.0.0");
	str_list_add(argv, "--port");
	str_list_add(argv, port);
	str_list_add(argv, "--connection-token-file");
	str_list_addf(argv, "/proc/self/fd/%d", TOKEN_FD);
	str_list_add(argv, "--disable-workspace-trust");
	if (base) {
		str_list_add(argv, "--server-base-path");
		str_list_add(argv, base);
	}
}

static void arguments_code_server(struct str_list *argv, const char *port)
{
	str_list_add(argv, "--bind-addr");
	str_list_addf(argv, "0.0.0.0:%s", port);
	str_list_add(argv, "--auth");
	str_list_add(argv, "password");
	str_list_add(argv, "--disable-telemetry");
	str_list_add(argv, "--disable-workspace-trust");
}

[[gnu::noreturn]] static void become(char *const argv[], int token, const char *directory)
{
	int high = fcntl(token, F_DUPFD, TOKEN_FD + 1);

	if (high < 0 || child_begin((const int[]){ -1, -1, STDERR_FILENO }) < 0 || dup2(high, TOKEN_FD) < 0)
		_exit(EXIT_CANNOT_EXEC);
	(void)fd_close_range(TOKEN_FD + 1, ~0u);
	(void)!chdir(directory);
	execv(argv[0], argv);
	_exit(EXIT_CANNOT_EXEC);
}

static void on_ended(struct child *child, int status)
{
	(void)child; /* its pid is -1 now: the next one who asks starts it again */
	(void)status;
}

static int token_file(const char *token)
{
	cleanup_fd int fd = memfd_create("azm-vscode-token", MFD_CLOEXEC);

	return fd < 0 || write_full(fd, token, strlen(token)) < 0 ? -1 : steal_fd(&fd);
}

static bool start(struct vscode *vscode, struct child **children, const char *port, const char *working_dir)
{
	cleanup_str_list struct str_list argv = { 0 };
	bool is_code_server;
	cleanup_free char *program = find_program(&is_code_server);

	if (!program || (!*vscode->token && !make_token(vscode->token)))
		return false;
	cleanup_fd int token = token_file(vscode->token);
	if (token < 0)
		return false;
	str_list_add(&argv, program);
	(is_code_server ? arguments_code_server : arguments_openvscode)(&argv, port);
	write_settings();
	pid_t pid = fork();
	if (pid == 0) {
		if (is_code_server)
			setenv("PASSWORD", vscode->token, 1);
		become(argv.items, token, setting("WORKSPACE_MOUNT_PATH_IN_SANDBOX", working_dir));
	}
	if (pid < 0)
		return false;
	vscode->child = (struct child){ .pid = pid, .ended = on_ended };
	children_watch(children, &vscode->child);
	return true;
}

const char *vscode_token(struct vscode *vscode, struct child **children, const char *working_dir)
{
	const char *port = getenv("VSCODE_PORT");
	uint64_t number;

	if (!port || !str_to_u64(port, PORT_MAX, &number) || number == 0)
		return NULL;
	if (vscode->child.pid <= 0 && !start(vscode, children, port, working_dir))
		return NULL;
	return vscode->token;
}

void vscode_stop(struct vscode *vscode, struct child **children)
{
	if (vscode->child.pid <= 0)
		return;
	kill(-vscode->child.pid, SIGTERM);
	children_forget(children, &vscode->child);
}
