#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# This host's chromium in a sandbox: with a sandbox of its own inside, and without. Part of `make check-images`.
# shellcheck disable=SC2154 # set by bats
load ../lib/common
load ../lib/host_usr

setup_file() {
	make_host_usr
	export BROWSER=/usr/lib/chromium/chromium
	[ -x "$BROWSER" ] || skip "no $BROWSER on this host: apt-get install chromium"
}
teardown() { remove_sandboxes; }

browse() { # OPTION... -- BROWSER-OPTION...
	local options=()
	while [ "$1" != -- ]; do
		options+=("$1")
		shift
	done
	shift
	run inside "${options[@]}" -- "$BROWSER" --headless --disable-gpu "$@" --dump-dom \
		'data:text/html,<p id=a></p><script>a.textContent=6*7</script>'
}

@test "chromium as an ordinary user with --nested uses a sandbox of its own" {
	browse --user 1000 --nested --
	is 0 "$status"
	has "$output" '<p id="a">42</p>'
}

@test "chromium without one of its own, as root and as an ordinary user" {
	browse -- --no-sandbox
	has "$output" '<p id="a">42</p>'
	browse --user 1000 -- --no-sandbox
	has "$output" '<p id="a">42</p>'
}

@test "chromium with a sandbox of its own and no --nested says that it has none, as documented" {
	browse --user 1000 --
	[ "$status" -ne 0 ]
	has "$output" 'No usable sandbox'
}
