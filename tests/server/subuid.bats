#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# The runtime server in a sandbox of a user with sub-ids: what has to do with files, owners and processes.
# runner: subuid
# shellcheck disable=SC2154 # set by bats
load conform

setup_file() { make_agent_rootfs; }
setup() {
	NAME=$(new_name)
	export NAME
}
teardown() { remove_sandboxes; }

@test "files, editor, transfers and Python cells hold with sub-ids" {
	[ -n "${AZM_SUBUID_START:-}" ] || skip 'this user has no sub-ids (a run started by root makes one that has)'
	conform_in_sandbox "${FILE_AREAS[@]}" protocol
}

@test "the shell holds with sub-ids, for a user of the image" {
	[ -n "${AZM_SUBUID_START:-}" ] || skip 'this user has no sub-ids (a run started by root makes one that has)'
	conform_in_sandbox --user=user shell commands rendering
}
