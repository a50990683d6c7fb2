#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# The runtime server's wire protocol (conformance/): on the host, and as `run` starts it, inside a sandbox.
# runner: timeout=400
# shellcheck disable=SC2154 # set by bats
load conform

setup_file() { make_agent_rootfs; }
setup() { NAME=$(new_name); }
teardown() { remove_sandboxes; }

@test "every statement of the protocol holds for the server alone" {
	conform AZM_RUNTIME_SERVER="$AZM_BUILD/azm-runtime-server"
}

@test "every statement that does not need a server of its own holds in a sandbox" {
	conform_in_sandbox
}

@test "an image without bash gets sh, and commands still work" {
	local ready
	rm "$ROOTFS/bin/bash"
	ready=$(azm run -d --json --name "$NAME" --rootfs "$ROOTFS" --api-key none)
	run curl -s -H 'Content-Type: application/json' "$(field "$ready" url)/execute_action" \
		-d '{"action":{"action":"run","args":{"command":"cd /etc && pwd"},"timeout":20}}'
	is 0 "$status"
	is /etc "$(jq -r .content <<<"$output")"
	is 0 "$(jq -r .extras.metadata.exit_code <<<"$output")"
}
