// SPDX-License-Identifier: GPL-2.0-or-later
/* server/vscode.h: VS Code in the browser, when the image has it (spec: openhands 5.3). */
#pragma once
#include "server/children.h"

enum { VSCODE_TOKEN_SIZE = 37 /* a UUID and its NUL */ };

struct vscode {
	struct child child; /* pid 0: never started, -1: it has ended */
	char token[VSCODE_TOKEN_SIZE];
};

/**
 * vscode_token() - the connection token of a VS Code server, which is started if it does not run
 * @children:	who reaps it
 * @working_dir: where it opens
 *
 * The port is VSCODE_PORT's; without it, or without openvscode-server or code-server in the image, there is none.
 *
 * Return: the token, or NULL
 */
const char *vscode_token(struct vscode *vscode, struct child **children, const char *working_dir);

/** vscode_stop() - end it. */
void vscode_stop(struct vscode *vscode, struct child **children);
