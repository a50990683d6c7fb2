#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# runner: alone
# The console page of a sandbox, in headless Chromium (console.py).
# shellcheck disable=SC2154 # set by bats
load ../lib/common

setup_file() {
	make_rootfs
	rootfs_programs /bin/bash
	mkdir -p "$ROOTFS/usr/lib/locale"
	cp -r /usr/lib/locale/C.* "$ROOTFS/usr/lib/locale" # without it bash knows no character that is not ASCII
}
setup() { NAME=$(new_name); }
teardown() { remove_sandboxes; }

@test "the console of a sandbox works in a browser, on a desk and on a phone" {
	command -v "${AZM_BROWSER:-chromium}" || skip 'chromium is missing: apt-get install chromium'
	local ready
	ready=$(azm run -d --json --name "$NAME" --rootfs "$ROOTFS" -w /tmp)
	run env AZM_TEST_URL="$(field "$ready" url)" AZM_TEST_KEY="$(field "$ready" api_key)" \
		timeout 200 python3 "$AZM_TESTS/server/console.py" 3>&-
	[ "$status" -eq 0 ] || grep -A20 -E '^(FAIL|ERROR)' <<<"$output"
	is 0 "$status"
	has "$(tail -n 1 <<<"$output")" '^[1-9][0-9]* passed, 0 failed'
}

@test "a terminal gets the address of the console with the key behind the #, a log does not" {
	local shown
	shown=$(timeout 60 python3 "$TESTS/lib/pty-run.py" --when 'Stop ' kill:TERM -- \
		"$AZM" run --rm --name "$NAME" --rootfs "$ROOTFS" -w /tmp 3>&- || true)
	has "$shown" 'Console +http://127\.0\.0\.1:[0-9]+/#[0-9a-f]+'

	spawn "$BATS_TEST_TMPDIR/log" "$AZM" run --rm --name "$NAME" --rootfs "$ROOTFS" -w /tmp
	wait_for 20 grep -q '^Stop ' "$BATS_TEST_TMPDIR/log"
	has "$(cat "$BATS_TEST_TMPDIR/log")" 'Console +http://127\.0\.0\.1:[0-9]+/$'
}
