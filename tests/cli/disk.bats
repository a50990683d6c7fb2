#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# How much a sandbox may write in "/": --disk, --storage-opt.
# shellcheck disable=SC2154,SC2016,SC2030,SC2031 # set by bats; quotes on purpose; every test is a subshell
load ../lib/common

setup_file() { make_rootfs; }
setup() { NAME=$(new_name); }
teardown() { remove_sandboxes; }

memory_layers() { # whether this kernel has them (Linux 6.6)
	[ "$(printf '6.6\n%s\n' "$(uname -r)" | sort -V | head -n 1)" = 6.6 ]
}

is_gone() { # PID
	! kill -0 "$1"
}

@test "a limit that cannot be enforced is an error that says what can be had" {
	refused 125 'only be set by root of this host' sandbox --disk 10m -- true
	has "$stderr" 'mode=memory'
	has "$stderr" '--best-effort'
	refused 125 'no writable layer' sandbox --rootfs-mode read-only --disk 10m --best-effort -- true
	refused 125 'none of auto, memory, watch' sandbox --storage-opt mode=loop -- true
	refused 125 'unknown' sandbox --storage-opt dm.basesize=1g -- true
	refused 125 'number of files' sandbox --storage-opt inodes=few -- true
	refused 125 '' sandbox --disk 1k -- true
}

@test "a layer in memory takes its size and no more" {
	memory_layers || skip 'a memory file system carries no writable layer before Linux 6.6'
	run sandbox --storage-opt mode=memory --storage-opt size=8m -- sh -c '
		dd if=/dev/zero of=/small bs=1M count=4 2>/dev/null && echo fits
		dd if=/dev/zero of=/large bs=1M count=8 2>&1 | grep -o "No space left on device"
		rm /large; rm -r /usr; mkdir /usr; ls /usr; echo changed >/etc/issue; cat /etc/issue'
	is 0 "$status" status
	is 'fits No space left on device changed' "$(xargs <<<"$output")"
	is 'busybox test root' "$(cat "$ROOTFS/etc/issue")"
}

@test "a layer in memory takes its number of files and no more" {
	memory_layers || skip 'a memory file system carries no writable layer before Linux 6.6'
	run sandbox --storage-opt mode=memory --storage-opt inodes=100 -- sh -c '
		mkdir /d; for i in $(seq 300); do touch "/d/$i" 2>/dev/null || break; done; ls /d | wc -l'
	[ "$output" -ge 50 ]
	[ "$output" -le 100 ]
}

@test "a layer in memory is gone at the end and cannot be frozen" {
	memory_layers || skip 'a memory file system carries no writable layer before Linux 6.6'
	background "$NAME" --storage-opt mode=memory >/dev/null
	azm exec "$NAME" touch /new
	refused 125 'in memory' azm snapshot "$NAME" "tag-$NAME"
	refused 125 'in memory' azm diff "$NAME"
	refused 125 'in memory' azm commit "$NAME" "$BATS_TEST_TMPDIR/image"
	azm stop -t 0 "$NAME" >/dev/null
	azm start "$NAME" >/dev/null
	run azm exec "$NAME" ls /new
	has "$output" 'No such file'
}

@test "a watched sandbox that writes too much is ended, and says why" {
	background "$NAME" --disk 8m --best-effort -- sh -c 'dd if=/dev/zero of=/blob bs=1M count=32 2>/dev/null; sleep 1000' >/dev/null
	wait_for 20 is_not_running "$NAME"
	is 137 "$(azm wait "$NAME")"
	is true "$(azm inspect "$NAME" | jq '.[0].disk_exceeded')"
	run azm logs "$NAME"
	has "$output" 'wrote more than its disk limit allows'
}

@test "a watched sandbox that makes too many files, or directories too deep to measure, is ended" {
	background "$NAME" --storage-opt inodes=100 --storage-opt mode=watch -- sh -c 'for i in $(seq 300); do : >"/f$i"; done; sleep 1000' >/dev/null
	wait_for 20 is_not_running "$NAME"
	is 137 "$(azm wait "$NAME")"
	local deep
	deep=$(new_name)
	background "$deep" --disk 1g --best-effort -- sh -c 'for i in $(seq 600); do mkdir d; cd d; done; sleep 1000' >/dev/null
	wait_for 20 is_not_running "$deep"
	is 137 "$(azm wait "$deep")"
	run azm logs "$deep"
	has "$output" 'directories in each other'
}

@test "a watched sandbox within its limit is left alone, and its watcher goes with it" {
	background "$NAME" --disk 64m --best-effort >/dev/null
	azm exec "$NAME" dd if=/dev/zero of=/blob bs=1M count=8 2>/dev/null
	local supervisor
	supervisor=$(supervisor_of "$NAME")
	wait_for 5 pgrep -P "$supervisor" -x azm-disk-watch
	local watcher
	watcher=$(pgrep -P "$supervisor" -x azm-disk-watch)
	is running "$(state_of "$NAME")"
	azm stop -t 0 "$NAME" >/dev/null
	wait_for 5 is_gone "$watcher"
	is false "$(azm inspect "$NAME" | jq '.[0].disk_exceeded')"
}
