#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# --workspace and -v: whose the files are on either side, the modes, the variables that mean the same.
# shellcheck disable=SC2154,SC2016,SC2030,SC2031 # set by bats; quotes on purpose; every test is a subshell
load ../lib/common

setup_file() { make_rootfs; }
setup() {
	WORK=$BATS_TEST_TMPDIR/work
	mkdir "$WORK"
	echo outside >"$WORK/from-host"
}
teardown() { remove_sandboxes; }

@test "--workspace: files made inside belong to the caller outside, and the other way round" {
	local user
	for user in 0 1000 1234:4321; do
		run sandbox --user "$user" --workspace "$WORK" -- /bin/sh -c 'cat /workspace/from-host &&
			echo inside > /workspace/made && mkdir -p /workspace/dir/sub && echo more >> /workspace/from-host &&
			stat -c "%u %g" /workspace/from-host /workspace/made /workspace'
		is 0 "$status" "$user"
		has "$output" '^outside$'
		local expected=${user/:/ }
		case $user in 0) expected='0 0' ;; 1000) expected='1000 1000' ;; esac
		is 3 "$(grep -cx "$expected" <<<"$output")" "owner inside as $user"
		is "$(id -u) $(id -g)" "$(stat -c '%u %g' "$WORK/made")"
		is "$(id -u) $(id -g)" "$(stat -c '%u %g' "$WORK/dir/sub")"
		rm -rf "$WORK/made" "$WORK/dir"
		echo outside >"$WORK/from-host"
	done
}

@test "--workspace is the working directory of nothing but the server, and appears where it is asked to" {
	WORKSPACE_MOUNT_PATH_IN_SANDBOX=/elsewhere run sandbox --workspace "$WORK" -- /bin/cat /elsewhere/from-host
	is 0 "$status"
	is outside "$output"
}

@test "WORKSPACE_BASE and WORKSPACE_MOUNT_PATH stand for --workspace, the flag wins" {
	WORKSPACE_BASE=$WORK run sandbox -- /bin/cat /workspace/from-host
	is outside "$output"
	run sandbox -e "WORKSPACE_MOUNT_PATH=$WORK" -- /bin/cat /workspace/from-host
	is outside "$output"
	mkdir "$BATS_TEST_TMPDIR/other"
	echo other >"$BATS_TEST_TMPDIR/other/from-host"
	WORKSPACE_BASE=$WORK run sandbox --workspace "$BATS_TEST_TMPDIR/other" -- /bin/cat /workspace/from-host
	is other "$output"
}

@test "-v: rw is the default, ro refuses writes all the way down, overlay keeps them inside" {
	mkdir "$WORK/sub"
	run sandbox -v "$WORK:/data" -- /bin/sh -c 'echo x > /data/new'
	is 0 "$status"
	is x "$(cat "$WORK/new")"
	run sandbox -v "$WORK:/data:ro" -- /bin/sh -c 'echo x > /data/no; echo x > /data/sub/no; rm /data/new; cat /data/from-host'
	has "$output" 'Read-only file system'
	has "$output" '^outside$'
	[ ! -e "$WORK/no" ] && [ ! -e "$WORK/sub/no" ] && [ -e "$WORK/new" ]
	run sandbox -v "$WORK:/data:overlay" -- /bin/sh -c 'echo y > /data/only-inside; rm /data/from-host; cat /data/only-inside'
	is 0 "$status"
	is y "$output"
	[ ! -e "$WORK/only-inside" ] && [ -e "$WORK/from-host" ]
}

@test "-v: a single file" {
	run sandbox -v "$WORK/from-host:/etc/one-file:ro" -- /bin/cat /etc/one-file
	is 0 "$status"
	is outside "$output"
}

@test "-v: several, one below another, in any order" {
	mkdir "$BATS_TEST_TMPDIR/inner"
	echo inner >"$BATS_TEST_TMPDIR/inner/file"
	mkdir "$WORK/sub"
	run sandbox -v "$BATS_TEST_TMPDIR/inner:/data/sub" -v "$WORK:/data" -- /bin/cat /data/from-host /data/sub/file
	is 0 "$status"
	is "$(printf 'outside\ninner')" "$output"
}

@test "SANDBOX_VOLUMES: comma separated, with modes" {
	SANDBOX_VOLUMES="$WORK:/one:ro,$WORK:/two:rw" run sandbox -- /bin/sh -c 'cat /one/from-host && ! touch /one/x 2>/dev/null && touch /two/x'
	is 0 "$status"
	[ -e "$WORK/x" ]
}

@test "binds are nosuid and nodev inside" {
	run sandbox --workspace "$WORK" -v "$WORK:/data" -- /bin/probe mounts
	is 0 "$status"
	is 2 "$(grep -E '^mounts.mount=/(workspace|data) ' <<<"$output" | grep nosuid | grep -c nodev)"
}

@test "later mounts of the host do not fail and nothing of ours shows in the host's mount table" {
	local before name
	before=$(cat /proc/self/mountinfo)
	name=$(new_name)
	background "$name" --workspace "$WORK"
	is "$before" "$(cat /proc/self/mountinfo)"
	azm rm -f "$name"
	is "$before" "$(cat /proc/self/mountinfo)"
}

@test "names with blanks, colons escaped away by a relative path, commas and unicode" {
	local odd="$BATS_TEST_TMPDIR/a b,ä'\"\\"
	mkdir "$odd"
	echo odd >"$odd/file"
	run sandbox -v "$odd:/odd" -- /bin/cat /odd/file
	is odd "$output"
	run sandbox --workspace "$odd" -- /bin/cat /workspace/file
	is odd "$output"
	run sandbox -v "$odd:/odd:overlay" -- /bin/cat /odd/file
	is odd "$output"
}

@test "the image below a directory with commas and backslashes" {
	local odd="$BATS_TEST_TMPDIR/i,m\\g e"
	mkdir "$odd"
	cp -a "$ROOTFS" "$odd/root"
	run azm run --rm --rootfs "$odd/root" -- /bin/cat /etc/issue
	is 0 "$status"
	is 'busybox test root' "$output"
}

@test "a workspace with a thousand files keeps every owner and mode" {
	(cd "$WORK" && for i in $(seq 1000); do : >"f$i"; done && chmod 640 f*)
	local before
	before=$(cd "$WORK" && stat -c '%n %u %g %a' f* | sha256sum)
	run sandbox --workspace "$WORK" -- /bin/sh -c 'ls /workspace | wc -l'
	is 0 "$status"
	is "$before" "$(cd "$WORK" && stat -c '%n %u %g %a' f* | sha256sum)"
}
