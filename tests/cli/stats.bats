#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# top and stats: the processes of a sandbox and what they use, as the host sees them; limits that cannot be enforced.
# shellcheck disable=SC2154,SC2016 # set by bats; quotes on purpose
load ../lib/common

setup_file() { make_rootfs; }
setup() { NAME=$(new_name); }
teardown() { remove_sandboxes; }

@test "top: the processes of this sandbox, exec's too, and no others" {
	local other
	other=$(new_name)
	background "$NAME" -- /bin/sh -c 'sleep 1000 & exec sleep 2000'
	background "$other" -- /bin/sh -c 'exec sleep 3000'
	spawn "$BATS_TEST_TMPDIR/out" "$AZM" exec "$NAME" sleep 4000
	wait_for 10 sh -c "'$AZM' top '$NAME' | grep -q 'sleep 4000'"
	run azm top "$NAME"
	has "${lines[0]}" 'PID'
	has "$output" 'azm-init'
	has "$output" 'sleep 1000'
	has "$output" 'sleep 2000'
	has_not "$output" 'sleep 3000'
	run azm top "$NAME" -o pid,comm
	has "${lines[0]}" '^ *PID COMMAND$'
	refused 125 'no column PID' azm top "$NAME" -eo comm
	azm stop -t 0 "$NAME"
	refused 125 'not running' azm top "$NAME"
	refused 125 'no such sandbox' azm top no-such-sandbox
}

@test "top: what a process calls itself cannot drive the terminal" {
	background "$NAME" -- /bin/sh -c 'exec -a "$(printf "\033]0;title\007evil")" sleep 1000' ||
		background "$NAME" -- /bin/sh -c 'sleep 1000 "$(printf "\033]0;title\007evil")"'
	[ "$(azm top "$NAME" | tr -d '\n' | tr -dc '\000-\037' | wc -c)" = 0 ]
}

@test "stats --json: processor time, memory, processes" {
	background "$NAME" -- /bin/sh -c 'while :; do :; done'
	run azm stats --no-stream --json "$NAME"
	is 0 "$status"
	is "$NAME" "$(jq -r '.[0].name' <<<"$output")"
	is 2 "$(jq '.[0].pids' <<<"$output")"
	jq -e '.[0].cpu_percent > 5 and .[0].cpu_percent < 250' <<<"$output"
	jq -e '.[0].memory_bytes > 50000 and .[0].memory_bytes < 50000000' <<<"$output"
	jq -e '.[0].memory_limit_bytes > .[0].memory_bytes' <<<"$output"
}

@test "stats: a table of what runs, a stream of looks, unknown names" {
	local other
	other=$(new_name)
	background "$NAME"
	background "$other"
	azm stop -t 0 "$other"
	run azm stats --no-stream
	has "${lines[0]}" '^NAME +CPU % +MEM USAGE / LIMIT'
	has "$output" "^$NAME "
	has_not "$output" "^$other "
	has "$(azm stats --no-stream --all)" "^$other "
	spawn "$BATS_TEST_TMPDIR/stream" "$AZM" stats --json "$NAME"
	wait_for 20 sh -c "[ \$(grep -c '\"$NAME\"' '$BATS_TEST_TMPDIR/stream') -ge 2 ]"
	refused 125 'no such sandbox' azm stats --no-stream no-such-sandbox
}

@test "a limit that this host cannot enforce is an error, and a note with --best-effort" {
	# Named, so that a cgroup of the machine this runs on does not matter.
	mkdir "$BATS_TEST_TMPDIR/none"
	refused 125 'not a cgroup' azm run --rm --rootfs "$ROOTFS" --cgroup-parent "$BATS_TEST_TMPDIR/none" --memory 64m -- true
	run --separate-stderr sandbox --cgroup-parent "$BATS_TEST_TMPDIR/none" --memory 64m --best-effort -- echo ran
	is 0 "$status"
	is ran "$output"
	has "$stderr" 'note: no limit on memory'
}

@test "inspect has the capabilities" {
	background "$NAME" --cap-drop ALL --cap-add CHOWN
	is cap_chown "$(inspect "$NAME" capabilities)"
	is false "$(inspect "$NAME" oom_killed)"
}

@test "limits under a systemd user manager: the run goes on in a scope of its own" {
	local bin=$BATS_TEST_TMPDIR/bin
	mkdir -p "$bin" "$BATS_TEST_TMPDIR/run/systemd"
	touch "$BATS_TEST_TMPDIR/run/systemd/private"
	cat >"$bin/systemd-run" <<-'END'
		#!/bin/sh
		echo "asked: $*" >&2
		while [ "$1" != -- ]; do shift; done
		shift
		exec "$@"
	END
	chmod 755 "$bin/systemd-run"
	# The one that pretends gives no cgroup, so the second time the error is said; what was given by the caller is kept.
	PATH=$bin:$PATH XDG_RUNTIME_DIR=$BATS_TEST_TMPDIR/run run --separate-stderr bash -c \
		"exec 7>'$BATS_TEST_TMPDIR/status'; '$AZM' run --rm --rootfs '$ROOTFS' --memory 64m --status-fd 7 -- echo 'two words'"
	is 125 "$status"
	has "$stderr" "asked: --user --scope --quiet --collect -p Delegate=yes -- $AZM run --rm .* -- echo two words"
	is 1 "$(grep -c asked <<<"$stderr")"
	has "$stderr" 'has not delegated|controller'
	# Best effort goes on in it.
	PATH=$bin:$PATH XDG_RUNTIME_DIR=$BATS_TEST_TMPDIR/run run --separate-stderr bash -c \
		"exec 7>'$BATS_TEST_TMPDIR/status'; '$AZM' run --rm --rootfs '$ROOTFS' --memory 64m --best-effort --status-fd 7 -- echo 'two words'"
	is 0 "$status"
	is 'two words' "$output"
	is running "$(head -1 "$BATS_TEST_TMPDIR/status" | jq -r .state)"
	# Not in a job, which it would leave.
	PATH=$bin:$PATH XDG_RUNTIME_DIR=$BATS_TEST_TMPDIR/run SLURM_JOB_ID=1 run --separate-stderr sandbox --memory 64m -- true
	is 125 "$status"
	has "$stderr" 'hint: in a job of Slurm'
	has_not "$stderr" asked
	# Not when nothing needs it.
	PATH=$bin:$PATH XDG_RUNTIME_DIR=$BATS_TEST_TMPDIR/run run --separate-stderr sandbox --pids-limit 100 -- true
	has_not "$stderr" asked
}
