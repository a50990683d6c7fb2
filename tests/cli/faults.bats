#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# Things that go wrong from outside: kills at any moment, a full disk, low limits, an odd environment.
# runner: timeout=600
# shellcheck disable=SC2154,SC2016,SC2030,SC2031 # set by bats; quotes on purpose; every test is a subshell
load ../lib/common

setup_file() { make_rootfs; }
setup() { NAME=$(new_name); }
teardown() { remove_sandboxes; }

children_of() { # PID: its first child, from the host's view
	pgrep -P "$1" | head -1
}

our_files() { # everything below HOME but bats' own, and the empty directories that are kept for the next sandboxes
	find "${XDG_RUNTIME_DIR:-/tmp/azm-sandbox-$(id -u)}" "$HOME" \
		\( -path "$BATS_RUN_TMPDIR" -o -path '*/sandboxes/.spare-[0-3]' \) -prune -o -print 2>/dev/null | sort -u
}

no_new_files() {
	our_files >"$BATS_TEST_TMPDIR/after"
	[ -z "$(comm -13 "$BATS_TEST_TMPDIR/before" "$BATS_TEST_TMPDIR/after")" ]
}

nothing_left() {
	wait_for 10 sh -c '[ -z "$1" ] || ! ls -d $1 >/dev/null 2>&1' sh "$(printf '/proc/%s ' "$@")"
}

@test "kill -9 of the supervisor: the sandbox dies with it, the name can be removed" {
	background "$NAME" -- /bin/sh -c 'probe daemon /tmp/up; exec probe ignore-term'
	local supervisor init
	supervisor=$(supervisor_of "$NAME")
	init=$(pid_of "$NAME")
	[ -n "$init" ]
	kill -KILL "$supervisor"
	nothing_left "$supervisor" "$init"
	wait_for 10 sh -c "! pgrep -u $(id -u) -x probe"
	is_not_running "$NAME"
	run azm rm "$NAME"
	is 0 "$status"
}

@test "kill -9 of the supervisor in the foreground" {
	spawn "$BATS_TEST_TMPDIR/out" "$AZM" run --name "$NAME" --rootfs "$ROOTFS" -- /bin/probe ignore-term
	wait_for 10 grep -q ready "$BATS_TEST_TMPDIR/out"
	kill -KILL "$(supervisor_of "$NAME")"
	wait_for 10 sh -c "! pgrep -u $(id -u) -x probe"
}

@test "kill -9 of init: run ends with an error status and leaves nothing" {
	background "$NAME"
	local supervisor
	supervisor=$(supervisor_of "$NAME")
	kill -KILL "$(pid_of "$NAME")"
	nothing_left "$supervisor"
	is_not_running "$NAME"
	is 137 "$(azm wait "$NAME")"
}

@test "kill -9 of the command: its status, nothing left" {
	background "$NAME"
	local init
	init=$(pid_of "$NAME")
	kill -KILL "$(children_of "$init")"
	wait_for 10 is_not_running "$NAME"
	is 137 "$(azm wait "$NAME")"
}

@test "kill -9 of the keeper: who runs is not disturbed, the next start makes it anew" {
	background "$NAME"
	local keeper other
	other=$(new_name)
	keeper=$(pgrep -u "$(id -u)" -x azm-keeper | head -1)
	[ -n "$keeper" ] || keeper=$(pgrep -u "$(id -u)" -f keeper | head -1)
	[ -n "$keeper" ]
	kill -KILL "$keeper"
	run azm exec "$NAME" probe net
	is 0 "$status"
	has "$output" 'eth0'
	run background "$other"
	is 0 "$status"
	run azm exec "$other" probe net
	has "$output" 'eth0'
}

@test "kill -9 of run at every moment of the start leaves no process, and gc no directory" {
	local step pid
	for step in $(seq 0 2 60); do
		spawn /dev/null "$AZM" run --rm --name "$NAME" --rootfs "$ROOTFS" -p 0:80 -- /bin/probe sleep-forever
		pid=$SPAWNED
		# Not waiting for luck: each round kills at another point of the start.
		python3 -c "import time; time.sleep($step / 2000)"
		kill -KILL "$pid" 2>/dev/null
		wait "$pid" || true
		# A child that was killed before it became azm-init still has our name, and holds the sandbox's lock until it is gone.
		wait_for 10 sh -c "! pgrep -u $(id -u) -x 'probe|azm-init|azm-sandbox'"
	done
	azm gc
	has_not "$(azm ps -a)" "$NAME"
	run sandbox -- /bin/true
	is 0 "$status"
}

@test "SIGINT at every moment of the start ends run and leaves nothing" {
	local step pid
	for step in $(seq 0 3 60); do
		# A shell starts background jobs with SIGINT ignored; this does not.
		python3 - "$AZM" "$NAME" "$ROOTFS" "$step" <<-'END'
			import signal, subprocess, sys, time
			azm, name, rootfs, step = sys.argv[1:]
			signal.signal(signal.SIGINT, signal.SIG_DFL)
			run = subprocess.Popen([azm, "run", "--rm", "--name", name, "--rootfs", rootfs, "--", "/bin/probe",
			                        "sleep-forever"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
			time.sleep(int(step) / 2000)
			run.send_signal(signal.SIGINT)
			run.wait(20)
		END
		has_not "$(azm ps -a)" "$NAME"
	done
	no_processes_left
}

@test "the disk is full while the upper layer is written: ENOSPC inside, the sandbox goes on and can be removed" {
	# A small tmpfs of an outer user namespace is the disk.
	run --separate-stderr unshare -Urm --propagation private bash -c "
		mkdir -p '$BATS_TEST_TMPDIR/disk' && mount -t tmpfs -o size=3m,mode=700 none '$BATS_TEST_TMPDIR/disk' &&
		mkdir -p -m 700 '$HOME/live' &&
		export AZM_STATE_DIR='$BATS_TEST_TMPDIR/disk/state' XDG_RUNTIME_DIR='$HOME/live' AZM_KEEPER_GRACE=1
		'$AZM' run --as-root --rm --rootfs '$ROOTFS' -- /bin/sh -c 'probe fill /big 50; echo still here'
		echo status \$?
		# The layer is deleted behind the command's back, and gc leaves it to whoever is at it.
		for i in \$(seq 100); do '$AZM' gc; [ -n \"\$(ls -A '$BATS_TEST_TMPDIR/disk/state/sandboxes')\" ] || break; sleep 0.1; done
		ls -A '$BATS_TEST_TMPDIR/disk/state/sandboxes' | wc -l"
	has "$output$stderr" '^fill=[0-9]+ ENOSPC$'
	has "$output" '^still here$'
	has "$output" '^status 0$'
	is 0 "$(tail -1 <<<"$output")" 'directories left'
}

@test "the disk is full before the start: one clear message" {
	run --separate-stderr unshare -Urm --propagation private bash -c "
		mkdir -p '$BATS_TEST_TMPDIR/disk' && mount -t tmpfs -o size=1m,nr_inodes=12,mode=700 none '$BATS_TEST_TMPDIR/disk' &&
		mkdir -m 700 '$BATS_TEST_TMPDIR/disk/state' && export AZM_STATE_DIR='$BATS_TEST_TMPDIR/disk/state'
		i=0; while : > '$BATS_TEST_TMPDIR/disk/f'\$i; do i=\$((i+1)); done 2>/dev/null
		exec '$AZM' run --as-root --rm --rootfs '$ROOTFS' -- /bin/true"
	is 125 "$status"
	has "$stderr" 'No space left'
	has "$stderr" "disk"
}

@test "low RLIMIT_NOFILE: works or says so" {
	local limit
	for limit in 256 64 32 16 10 6; do
		run --separate-stderr bash -c "ulimit -n $limit; exec timeout 30 '$AZM' run --rm --rootfs '$ROOTFS' -p 0:80 -- /bin/true"
		[ "$status" -eq 0 ] || {
			is 125 "$status" "with $limit descriptors"
			has "$stderr" '[Tt]oo many open files|descriptor|nofile'
			one_message
		}
	done
	run bash -c "ulimit -n 64; '$AZM' run --rm --rootfs '$ROOTFS' -- /bin/true"
	is 0 "$status" '64 descriptors must do'
}

@test "an environment of 100 kB, by -e and by the caller" {
	local big
	big=$(printf 'x%.0s' {1..100000})
	BIG_OF_CALLER=$big run sandbox -- /bin/probe env-size
	is 0 "$status"
	[ "$(value env.bytes)" -lt 4096 ]
	run sandbox -e "BIG=$big" -- /bin/probe env-size
	is 0 "$status"
	[ "$(value env.bytes)" -gt 100000 ]
}

@test "HOME unset, no XDG_RUNTIME_DIR, an empty environment" {
	run env -u HOME -u XDG_DATA_HOME -u XDG_RUNTIME_DIR "$AZM" run --rm --rootfs "$ROOTFS" -- /bin/true
	is 0 "$status"
	run env -i TMPDIR="$BATS_TEST_TMPDIR" AZM_KEEPER_GRACE=1 "$AZM" run --rm --rootfs "$ROOTFS" -- /bin/probe exit 3
	is 3 "$status"
}

@test "an XDG_RUNTIME_DIR whose path is too long for a socket" {
	local long
	long=$BATS_TEST_TMPDIR/$(printf 'd%.0s' {1..120})
	mkdir -m 700 "$long"
	run --separate-stderr env XDG_RUNTIME_DIR="$long" "$AZM" run --rm --rootfs "$ROOTFS" -- /bin/true
	[ "$status" -eq 0 ] || { is 125 "$status" && has "$stderr" 'long' && one_message; }
}

@test "locale C and a UTF-8 locale give the same messages" {
	LC_ALL=C run --separate-stderr azm run --rootfs /no/ä -- true
	local first=$stderr
	LC_ALL=C.UTF-8 run --separate-stderr azm run --rootfs /no/ä -- true
	is "$first" "$stderr"
}

@test "ignored SIGCHLD and SIGPIPE, blocked signals of the caller do not matter" {
	run python3 - "$AZM" "$ROOTFS" <<-'END'
		import os, signal, subprocess, sys
		signal.signal(signal.SIGCHLD, signal.SIG_IGN)
		pid = os.spawnv(os.P_NOWAIT, "/bin/true", ["true"])
		os.setpgrp()
		def odd():
		    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
		    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
		    signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 32))
		signal.signal(signal.SIGCHLD, signal.SIG_DFL)
		done = subprocess.run([sys.argv[1], "run", "--rm", "--rootfs", sys.argv[2], "--", "/bin/sh", "-c",
		    "sleep 0 & wait; grep -E '^Sig(Blk|Ign)' /proc/self/status; exit 5"], preexec_fn=odd, timeout=30,
		    stdout=subprocess.PIPE, text=True)
		print(done.stdout, done.returncode)
	END
	is 0 "$status"
	has "$output" ' 5$'
	# The command starts with the signals a command expects.
	has "$output" 'SigBlk:[[:space:]]0000000000000000'
	has_not "$output" 'SigIgn:[[:space:]]0000000000001000'
}

@test "a full process table of the sandbox does not keep stop from working" {
	background "$NAME" --pids-limit 30 -- /bin/sh -c 'probe fork-bomb 100 & exec probe ignore-term'
	run azm stop -t 1 "$NAME"
	is 0 "$status"
	is_not_running "$NAME"
}

@test "two hundred starts leave no process, no descriptor and no file behind" {
	sandbox -- /bin/true
	our_files >"$BATS_TEST_TMPDIR/before"
	for _ in $(seq 200); do
		sandbox -- /bin/true
	done
	# The last writable layers are removed in the background.
	wait_for 10 no_new_files || is '' "$(comm -13 "$BATS_TEST_TMPDIR/before" "$BATS_TEST_TMPDIR/after")" 'new files'
	no_processes_left
}

@test "a directory that cannot be listed is an error, not an empty one" {
	local command deny=("$BUILD/tests/deny" getdents64=EIO "$AZM")
	azm volume create "v-$NAME" >/dev/null
	azm network create "n-$NAME" >/dev/null
	azm run --name "$NAME" --rootfs "$ROOTFS" -v "v-$NAME:/data" -- /bin/true
	azm snapshot "$NAME" "s-$NAME" >/dev/null
	for command in 'ps -a' 'stats --no-stream' 'volume ls' "volume rm v-$NAME" 'volume prune -f' 'network ls' \
		"network rm n-$NAME" 'network create other' 'snapshots ls'; do
		# shellcheck disable=SC2086 # words on purpose
		refused 125 'Input/output error' "${deny[@]}" $command
	done
	run "${deny[@]}" gc
	has "$output" 'warning: what crashed sandboxes left in .* cannot be listed: Input/output error'
	has "$(azm ps -a)" "^$NAME "
	azm snapshots rm "s-$NAME" >/dev/null
	azm rm "$NAME" >/dev/null
	azm volume rm "v-$NAME" >/dev/null
	azm network rm "n-$NAME" >/dev/null
}
