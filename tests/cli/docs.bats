#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# runner: timeout=900
# Every command line of docs/docker-runtime.md, as written, in a directory that has what the page talks about: img/
# (an image), image.tar (somebody else's), code/, dataset/ and shared/. What the page promises is checked afterwards.
# shellcheck disable=SC2154 # set by bats
load ../lib/common

PAGE=$TESTS/../docs/docker-runtime.md
BLOCKS=$TESTS/lib/docs-blocks.awk

setup_file() {
	make_rootfs
	tar -C "$ROOTFS" -cf "$BATS_FILE_TMPDIR/image.tar" .
	# The programs, and nothing else of the build directory, as `make install` would put them.
	mkdir "$BATS_FILE_TMPDIR/bin"
	ln -s "$(realpath "$AZM")" "$(realpath "$BUILD/azm-rootfs")" "$BATS_FILE_TMPDIR/bin"
}

setup() {
	PATH=$BATS_FILE_TMPDIR/bin:$PATH
	PLACE=$BATS_TEST_TMPDIR/place
	mkdir -p "$PLACE/code" "$PLACE/dataset" "$PLACE/shared"
	cd "$PLACE" || return 1
	echo 'original' >code/main.txt
	echo 'a,b' >dataset/table.csv
	cp -a "$ROOTFS" img
	cp "$BATS_FILE_TMPDIR/image.tar" .
}

teardown() {
	local name
	for name in $(azm ps -aq); do
		azm rm -f "$name" >/dev/null
	done
}

# All blocks of a section, one script: it stops at the first command that fails.
section() {
	local script
	script=$(awk -v section="$1" -v kind=sh -f "$BLOCKS" "$PAGE")
	[ -n "$script" ] || {
		echo "no block below a heading \"$1\" of the page"
		return 1
	}
	echo "$1" >>"$BATS_FILE_TMPDIR/done"
	run --separate-stderr timeout -k 5 "${AZM_LIMIT:-120}" bash -euc -o pipefail "$script" </dev/null
	[ "$status" -eq 0 ] || printf 'status %s\n%s\n%s\n%s\n' "$status" "$script" "$output" "$stderr"
	return "$status"
}

# Every line of the section's refused blocks fails with one clear message and leaves nothing.
refused_lines() {
	local line
	awk -v section="$1" -v kind='sh refused' -f "$BLOCKS" "$PAGE" >lines
	[ -s lines ] || return 1
	echo "$1 (refused)" >>"$BATS_FILE_TMPDIR/done"
	while IFS= read -r line; do
		refused 125 . timeout -k 5 30 bash -c "$line" || {
			echo "$line"
			return 1
		}
		is '' "$(azm ps -aq)" "sandboxes after $line"
	done <lines
}

@test "docker-runtime.md: the runtime image" {
	rm -rf img
	AZM_LIMIT=500 section 'The runtime image'
	has "$output" '^Python 3\.'
	[ -f img/image.json ] && [ -x img/rootfs/usr/local/bin/azm-runtime-server ]
}

@test "docker-runtime.md: building your own image" {
	AZM_LIMIT=300 section 'Building your own image'
	has "$output" '^ripgrep '
	has "$output" '^busybox test root$'
	has "$output" '^hello$'
	has "$output" '^1000$'
	has "$output" '^be kind$'
	is 'be kind' "$(cat bundle/rootfs/etc/motd)"
}

@test "docker-runtime.md: SANDBOX_VOLUMES" {
	section 'Using SANDBOX_VOLUMES'
	is 'a,b' "$(cat code/result.csv)"
	is "$(id -u)" "$(stat -c %u code/result.csv)"
	[ ! -e shared/note ]
	[ ! -e dataset/new ]
}

@test "docker-runtime.md: the WORKSPACE variables" {
	section 'Using the WORKSPACE variables'
	is changed "$(cat code/main.txt)"
	has "$output" '^changed$'
	has "$output" '^main.txt$'
}

@test "docker-runtime.md: whose files they are" {
	section 'Whose files they are'
	is "$(id -u)" "$(stat -c %u code/made-by-* | sort -u)"
}

@test "docker-runtime.md: reusing a sandbox" {
	section 'Reusing a sandbox'
	has "$output" '^/root/installed$'
	[ ! -e img/root/installed ]
}

@test "docker-runtime.md: volumes with a name" {
	section 'Volumes with a name'
	has "$output" '^kept$'
	is '' "$(azm volume ls -q)"
}

@test "docker-runtime.md: files in and out" {
	section 'Files in and out'
	is 'done' "$(cat result.txt)"
	has "$output" '^code/main.txt$'
}

@test "docker-runtime.md: looking and pausing" {
	section 'Looking and pausing'
	has "$output" 'azm-init'
	has "$output" '^busy +[0-9.]+%'
	has "$output" '^busy +paused'
	has "$output" 'Z working$'
}

@test "docker-runtime.md: network binding" {
	section 'Network binding'
	has "$output" '^3000/tcp -> 127\.0\.0\.1:3[0-9]{4}$'
	is 0 "$(grep -c '::' <<<"$output")" 'other addresses'
	refused_lines 'Network binding'
}

@test "docker-runtime.md: port binding" {
	section 'Port binding'
	has "$output" '"status": ?"ok"'
}

@test "docker-runtime.md: the key" {
	section 'The key'
	has "$output" 'from inside'
}

@test "docker-runtime.md: network isolation" {
	section 'Network isolation'
	has "$output" '^alone +running'
	has "$output" '^loopback +running'
	has "$output" '"status": ?"ok"'
	has "$output" '"name": "first"'
	is "private none" "$(azm network ls -q | xargs)" 'networks that are left'
	refused_lines 'Network isolation'
}

@test "docker-runtime.md: what may be reached" {
	section 'What may be reached'
	has "$output" '^nameserver 10\.'
}

@test "docker-runtime.md: resource limits" {
	section 'Resource limits'
	has "$output" '^1024$'
	has "$output" '128\.0M'
}

@test "docker-runtime.md: memory and processors (cgroup v2 delegation)" {
	local delegated
	# Asked as the section does it: a login's own cgroup belongs to root.
	delegated=$(systemd-run --user --scope -q -p Delegate=yes "$AZM" doctor --json 2>/dev/null |
		jq -r .probes.cgroup_delegation.status) || true
	[ "$delegated" = ok ] || skip "no user service manager, or no cgroup v2, on this host"
	section 'Memory and processors'
}

@test "docker-runtime.md: extra hardening" {
	section 'Extra hardening'
}

@test "docker-runtime.md: no block is left out" {
	awk -v list=1 -f "$BLOCKS" "$PAGE" | sort -u | while IFS=$'\t' read -r kind title; do
		[ "$kind" = sh ] || title+=' (refused)'
		[ "$title" = 'Memory and processors' ] || grep -Fxq -- "$title" "$BATS_FILE_TMPDIR/done" || {
			echo "nobody runs the blocks of: $title"
			exit 1
		}
	done
}

@test "help: every command has a man page entry and completions that the shells can read" {
	local program command shell
	for program in azm-sandbox azm-rootfs; do
		"$program" help man >page.1
		while read -r command; do
			has "$(cat page.1)" "^\.SS \"${program/-/\\\\-} $command\"" || return 1
			# shellcheck disable=SC2086 # "network create" is two words
			"$program" $command --help | grep -q "^Usage: $program $command"
		done < <("$program" help | sed -n '/^Commands:/,/^$/s/^  \([a-z][a-z ]*[a-z]\)  .*/\1/p')
		for shell in bash zsh fish; do
			"$program" help completion "$shell" >"$program.$shell"
			! command -v "$shell" >/dev/null || "$shell" -n "$program.$shell"
		done
		if command -v groff >/dev/null; then
			is '' "$(groff -man -ww -Tutf8 -z page.1 2>&1)" 'warnings of groff'
		fi
	done
}
