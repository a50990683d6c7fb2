# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash disable=SC2034,SC2153,SC2154 # set by bats and by the suite
# What the suites of the runtime server share: an image as agents know it, and the conformance suite.
load ../lib/common

# Areas that files.bats and workspace.bats have, so that no test of the runner takes too long.
FILE_AREAS=(editor files ipython tools transfer)
WORKSPACE_AREAS=(workspace workspace_files workspace_git events origins)
OTHER_AREAS=("${FILE_AREAS[@]/#/-}" "${WORKSPACE_AREAS[@]/#/-}")

# Beside busybox a shell as agents know it, git with the parts of it that are programs of their own, and python3, whose
# modules come as a volume.
make_agent_rootfs() {
	local core name
	make_rootfs
	core=$(git --exec-path)
	rootfs_programs /bin/bash /usr/bin/git "$core/git-submodule" "$core/git-sh-setup" "$core/git-sh-i18n"
	cp "$core/git-sh-i18n--envsubst" "$ROOTFS$core"
	for name in git-upload-pack git-receive-pack; do ln -s /usr/bin/git "$ROOTFS/usr/bin/$name"; done
	[ -x /usr/bin/python3 ] || return 0
	rootfs_programs /usr/bin/python3
	PYTHON_LIB=$(/usr/bin/python3 -c 'import os; print(os.path.dirname(os.__file__))')
	export PYTHON_LIB
}

conform() { # [AREA...] VARIABLE=VALUE...: run the suite, show what failed
	local areas=() variables=() word
	for word; do
		case $word in
		*=*) variables+=("$word") ;;
		*) areas+=("$word") ;;
		esac
	done
	run env "${variables[@]}" timeout 300 python3 "$AZM_TESTS/server/conformance" "${areas[@]}" 3>&-
	[ "$status" -eq 0 ] || grep -A20 -E '^(FAIL|ERROR)' <<<"$output"
	is 0 "$status"
	has "$(tail -n 1 <<<"$output")" '^[1-9][0-9]* passed, 0 failed'
}

conform_in_sandbox() { # [--OPTION=VALUE of run...] [AREA...]: the suite on the server of a sandbox
	local ready options=()
	[ -z "${PYTHON_LIB:-}" ] || options=(-v "$PYTHON_LIB:$PYTHON_LIB:ro")
	while [[ ${1:-} == --* ]]; do
		options+=("$1")
		shift
	done
	ready=$(azm run -d --json --name "$NAME" --rootfs "$ROOTFS" "${options[@]}" -w /tmp -e NO_CHANGE_TIMEOUT_SECONDS=2)
	conform "$@" AZM_TEST_SOFT_TIMEOUT=2 AZM_TEST_URL="$(field "$ready" url)" AZM_TEST_KEY="$(field "$ready" api_key)"
}
