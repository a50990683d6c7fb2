#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# The wire protocol (conformance/) without files.bats and workspace.bats: on the host, and as `run` starts it, in a sandbox.
# runner: timeout=400
# shellcheck disable=SC2154 # set by bats
load conform

setup_file() { make_agent_rootfs; }
setup() {
	NAME=$(new_name)
	export NAME
}
teardown() { remove_sandboxes; }

@test "every statement of the protocol holds for the server alone" {
	conform "${OTHER_AREAS[@]}" AZM_RUNTIME_SERVER="$AZM_BUILD/azm-runtime-server"
}

@test "every statement that does not need a server of its own holds in a sandbox" {
	conform_in_sandbox "${OTHER_AREAS[@]}"
}

@test "an image without bash or a libc gets sh, and its statements hold" {
	ROOTFS=$BATS_TEST_TMPDIR/busybox
	"$TESTS/lib/rootfs.sh" "$ROOTFS" "$PROBE"
	export AZM_TEST_SHELL=sh
	conform_in_sandbox without_bash
}
