#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# The runtime server's files, transfers and Python cells: on the host, and inside a sandbox.
# shellcheck disable=SC2154 # set by bats
load conform

setup_file() { make_agent_rootfs; }
setup() {
	NAME=$(new_name)
	export NAME
}
teardown() { remove_sandboxes; }

@test "what has to do with files holds for the server alone" {
	conform "${FILE_AREAS[@]}" AZM_RUNTIME_SERVER="$AZM_BUILD/azm-runtime-server"
}

@test "what has to do with files holds in a sandbox" {
	conform_in_sandbox "${FILE_AREAS[@]}"
}
