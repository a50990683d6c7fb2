// SPDX-License-Identifier: GPL-2.0-or-later
/* man_sections.c: what azm-sandbox(1) says after its commands; program_main() prints it for `help man`. */
#include "commands.h"

const struct man_section man_sections[] = {
	{ "ENVIRONMENT",
		"Variables of the Docker runtime that configure run are listed there; they count from -e and from the "
		"caller's environment. Nothing else of the caller's environment goes in.\n\n"
		"AZM_STATE_DIR: where writable layers and logs are kept, instead of the first of "
		"$XDG_DATA_HOME/azm-sandbox (or ~/.local/share/azm-sandbox), $TMPDIR/azm-sandbox and "
		"/var/tmp/azm-sandbox-UID on which an overlay works.\n\n"
		"AZM_IMAGE_STORE: where the images azm:NAME are, instead of $XDG_DATA_HOME/azm-rootfs (or "
		"~/.local/share/azm-rootfs) or /var/tmp/azm-rootfs-UID; see azm-rootfs(1).\n\n"
		"XDG_RUNTIME_DIR: where sockets are kept; /tmp/azm-sandbox-UID without it.\n" },
	{ "FILES", "DIR/rootfs and DIR/image.json: an image as a bundle; image.json is an OCI image configuration.\n\n"
		   "STATE/sandboxes/NAME: config.json (what run was asked for), status.json, log, upper (the writable "
		   "layer). STATE is the directory above; it belongs to the user alone.\n\n"
		   "STATE/sandboxes/NAME/egress.log, egress.log.1: what it tried to reach, one JSON object a line.\n\n"
		   "STATE/networks/NAME.json: a network that was created.\n" },
	{ "EXAMPLES", "The runtime server, with a workspace, on port 3000 of the host's loopback:\n\n"
		      "    azm-sandbox run --rootfs img/ --workspace workspace/ -p 127.0.0.1:3000:3000\n\n"
		      "A shell in a throw-away sandbox:\n\n"
		      "    azm-sandbox run --rm -it --rootfs img/ -- /bin/bash\n\n"
		      "Several, in the background:\n\n"
		      "    azm-sandbox run -d --name one --rootfs img/\n"
		      "    azm-sandbox exec one uname -a\n"
		      "    azm-sandbox logs one\n"
		      "    azm-sandbox stop one\n"
		      "    azm-sandbox rm one\n\n"
		      "Two that meet on a network of their own:\n\n"
		      "    azm-sandbox network create shop\n"
		      "    azm-sandbox run -d --name db --rootfs img/ --network shop -- postgres\n"
		      "    azm-sandbox run --rm -it --rootfs img/ --network shop -- psql -h db\n\n"
		      "One that may fetch packages and use a model server of this host, and what it did:\n\n"
		      "    azm-sandbox run -d --name dev --rootfs img/ --egress "
		      "pypi.org:443,files.pythonhosted.org:443,host:11434\n"
		      "    azm-sandbox egress dev\n" },
	{ "WORKSPACE GUARD",
		"Tools on the host obey files in a workspace: git hooks and configuration, tasks of an editor, "
		"settings of "
		"an agent. With --guard on, the default, known names in the workspace and in other directories mounted "
		"read-write stay as they are, and those that are absent cannot be made. At the end hooks and dangerous "
		"git configuration of new repositories are renamed to NAME.azm-quarantined, other such changes are "
		"listed "
		"on standard error and in status.json. --guard report only lists; --guard off does nothing.\n" },
	{ "EXIT STATUS", "run, start -a and exec: the command's own; 128+n when it died of signal n; 125 when "
			 "azm-sandbox itself "
			 "failed, 126 when COMMAND cannot be executed, 127 when it was not found. Other commands: 0, "
			 "or 125 when "
			 "they failed; doctor fails when this host cannot run sandboxes.\n" },
	{ "SEE ALSO", "azm-rootfs(1), user_namespaces(7), subuid(5)\n" },
	{ NULL, NULL },
};
