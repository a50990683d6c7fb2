#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# The runtime server's wire protocol (conformance/): on the host, and as `run` starts it, inside a sandbox.
# runner: timeout=400
# shellcheck disable=SC2154 # set by bats
load ../lib/common

setup_file() {
	make_rootfs
	# Beside busybox a shell as agents know it, and git with the parts of it that are programs of their own.
	local core
	core=$(git --exec-path)
	rootfs_programs /bin/bash /usr/bin/git "$core/git-submodule" "$core/git-sh-setup" "$core/git-sh-i18n"
	cp "$core/git-sh-i18n--envsubst" "$ROOTFS$core"
	for name in git-upload-pack git-receive-pack; do ln -s /usr/bin/git "$ROOTFS/usr/bin/$name"; done
}
setup() { NAME=$(new_name); }
teardown() { remove_sandboxes; }

conform() { # VARIABLE=VALUE...: run the suite, show what failed
	run env "$@" timeout 300 python3 "$AZM_TESTS/server/conformance" 3>&-
	[ "$status" -eq 0 ] || grep -A20 -E '^(FAIL|ERROR)' <<<"$output"
	is 0 "$status"
	has "$(tail -n 1 <<<"$output")" '^[1-9][0-9]* passed, 0 failed'
}

@test "every statement of the protocol holds for the server alone" {
	conform AZM_RUNTIME_SERVER="$AZM_BUILD/azm-runtime-server"
}

@test "every statement that does not need a server of its own holds in a sandbox" {
	local ready
	ready=$(azm run -d --json --name "$NAME" --rootfs "$ROOTFS" -w /tmp -e NO_CHANGE_TIMEOUT_SECONDS=2)
	conform AZM_TEST_SOFT_TIMEOUT=2 AZM_TEST_URL="$(field "$ready" url)" AZM_TEST_KEY="$(field "$ready" api_key)"
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
