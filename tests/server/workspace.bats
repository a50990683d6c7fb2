#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# The workspace API, events and origins: on the host, and inside a sandbox.
# shellcheck disable=SC2154 # set by bats
load conform

setup_file() { make_agent_rootfs; }
setup() {
	NAME=$(new_name)
	export NAME
}
teardown() { remove_sandboxes; }

@test "the workspace API and events hold for the server alone" {
	conform "${WORKSPACE_AREAS[@]}" AZM_RUNTIME_SERVER="$AZM_BUILD/azm-runtime-server"
}

@test "the workspace API and events hold in a sandbox" {
	conform_in_sandbox "${WORKSPACE_AREAS[@]}"
}
