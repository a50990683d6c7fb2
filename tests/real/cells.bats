#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# Python cells with packages from a registry, as agents install them: `%pip`, figures of matplotlib. Part of `make check-images`.
# shellcheck disable=SC2154 # set by bats
load ../server/conform
load ../lib/host_usr

setup_file() {
	make_host_usr
	export WHEELS=$BATS_FILE_TMPDIR/wheels
	python3 -m pip download -q -d "$WHEELS" matplotlib
}
teardown() { remove_sandboxes; }

cell() { # CODE: the answer
	jq -n --arg code "$1" '{action: {action: "run_ipython", args: {code: $code}, timeout: 120}}' |
		curl -sSf -m 130 -H "X-Session-API-Key: $key" -H 'Content-Type: application/json' -d @- "$url/execute_action"
}

@test "%pip installs matplotlib while Python runs; its figures come back as PNG data" {
	mkdir "$BATS_TEST_TMPDIR/modules"
	NAME=$(new_name)
	ready=$(azm run -d --json --name "$NAME" --rootfs "$IMAGE" "${HOST_USR[@]}" -v "$WHEELS:/wheels:ro" \
		-v "$BATS_TEST_TMPDIR/modules:/modules" -e PYTHONPATH=/modules -w /tmp -e NO_CHANGE_TIMEOUT_SECONDS=2)
	url=$(field "$ready" url)
	key=$(field "$ready" api_key)
	has "$(cell 'import matplotlib')" ModuleNotFoundError
	has "$(cell '%pip install -q --no-index --find-links /wheels --target /modules matplotlib')" 'restart the kernel'
	cell 'import importlib; importlib.invalidate_caches()'
	conform ipython.Cells AZM_MUST_WORK=1 AZM_TEST_HAS=matplotlib AZM_TEST_SOFT_TIMEOUT=2 AZM_TEST_URL="$url" AZM_TEST_KEY="$key"
}
