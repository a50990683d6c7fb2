#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# logs: rotation, following across it, times.
# shellcheck disable=SC2154,SC2016 # set by bats; quotes on purpose
load ../lib/common

setup_file() { make_rootfs; }
setup() { NAME=$(new_name); }
teardown() { remove_sandboxes; }

ended() { [ "$(state_of "$NAME")" = exited ]; }
directory() { dirname "$(inspect "$NAME" upper)"; }

@test "--log-opt max-size and max-file: as many files, none larger, the newest lines kept in order" {
	background "$NAME" --log-opt max-size=10k --log-opt max-file=3 -- /bin/sh -c 'i=0; while [ $i -lt 3000 ]; do echo "line $i"; i=$((i + 1)); done'
	wait_for 20 ended
	is 'log log.1 log.2' "$(cd "$(directory)" && echo log log.[0-9] | tr ' ' '\n' | sort | tr '\n' ' ' | sed 's/ $//')"
	local file most
	for file in "$(directory)"/log{,.1,.2}; do
		[ "$(($(stat -c %s "$file") + $(stat -c %s "$file.times")))" -le 10240 ]
	done
	azm logs "$NAME" >"$BATS_TEST_TMPDIR/out"
	is 'line 2999' "$(tail -1 "$BATS_TEST_TMPDIR/out")"
	# What is left has no gap. How many lines fit depends on how many came at a time.
	[ "$(wc -l <"$BATS_TEST_TMPDIR/out")" -gt 700 ]
	awk 'NR > 2 && $2 != last + 1 { print; exit 1 } NR > 1 { last = $2 }' "$BATS_TEST_TMPDIR/out"
	# The end of it, over the borders of files.
	most=$(($(wc -l <"$BATS_TEST_TMPDIR/out") - 10))
	is "$most" "$(azm logs --tail "$most" "$NAME" | wc -l)"
	is "line $((3000 - most))" "$(azm logs --tail "$most" "$NAME" | head -1)"
	is '' "$(azm logs --tail 0 "$NAME")"
}

@test "--tail counts a line that goes on in the next file as one" {
	background "$NAME" --log-opt max-size=10k --log-opt max-file=3 -- /bin/true
	wait_for 10 ended
	printf 'one\ntwo\nthr' >"$(directory)/log.2"
	printf 'ee-and-a-' >"$(directory)/log.1"
	printf 'half\nfour\n' >"$(directory)/log"
	is four "$(azm logs --tail 1 "$NAME")"
	is "$(printf 'three-and-a-half\nfour')" "$(azm logs --tail 2 "$NAME")"
	is "$(printf 'two\nthree-and-a-half\nfour')" "$(azm logs --tail 3 "$NAME")"
	is "$(printf 'one\ntwo\nthree-and-a-half\nfour')" "$(azm logs --tail 4 "$NAME")"
	is "$(printf 'one\ntwo\nthree-and-a-half\nfour')" "$(azm logs --tail 5 "$NAME")"
}

@test "logs -f misses nothing across rotations" {
	background "$NAME" --log-opt max-size=64k --log-opt max-file=20 -- /bin/sh -c \
		'while ! [ -e /go ]; do usleep 10000; done; i=0; while [ $i -lt 20000 ]; do echo "line $i"; i=$((i + 1)); done'
	spawn "$BATS_TEST_TMPDIR/out" "$AZM" logs -f "$NAME"
	local pid=$SPAWNED
	let_go "$NAME" /go
	wait_for 30 sh -c "! kill -0 $pid"
	is 20000 "$(wc -l <"$BATS_TEST_TMPDIR/out")"
	awk '$2 != NR - 1 { print; exit 1 }' "$BATS_TEST_TMPDIR/out"
}

@test "-t, --since and --until" {
	background "$NAME" -- /bin/sh -c 'echo first; while ! [ -e /go ]; do usleep 10000; done; echo second; printf "no newline"'
	wait_for 10 sh -c "'$AZM' logs '$NAME' | grep -q first"
	local before after
	after=$(date +%s.%N)
	let_go "$NAME" /go
	wait_for 10 ended
	before=$(date -u +%Y-%m-%dT%H:%M:%S.%NZ)
	run azm logs -t "$NAME"
	is 3 "${#lines[@]}"
	has "${lines[0]}" '^20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9:]{8}\.[0-9]{9}Z first$'
	has "${lines[2]}" 'Z no newline$'
	is "$(printf 'second\nno newline')" "$(azm logs --since "$after" "$NAME")"
	is first "$(azm logs --until "$after" "$NAME")"
	is '' "$(azm logs --since "$before" "$NAME")"
	is first "$(azm logs --since 1h --until "$before" "$NAME" | head -1)"
	is '' "$(azm logs --since 1h --until 2020-01-01 "$NAME")"
	is first "$(azm logs --since 2020-01-01T00:00:00+02:00 "$NAME" | head -1)"
}

@test "bad options are refused" {
	refused 125 'max-size must be' azm run --rootfs "$ROOTFS" --log-opt max-size=1 -- true
	refused 125 'max-file must be' azm run --rootfs "$ROOTFS" --log-opt max-file=0 -- true
	refused 125 'max-size=BYTES' azm run --rootfs "$ROOTFS" --log-opt compress=true -- true
	refused 125 'expected 2026' azm logs --since yesterday "$NAME"
	refused 125 'expected 2026' azm logs --until 5x "$NAME"
}

@test "a log of an earlier start goes on, max-file 1 keeps one file" {
	background "$NAME" --log-opt max-size=4k --log-opt max-file=1 -- /bin/sh -c 'echo begin; i=0; while [ $i -lt 300 ]; do echo "line $i"; i=$((i + 1)); done; exec sleep 1000'
	wait_for 10 sh -c "'$AZM' logs '$NAME' | grep -q 'line 299'"
	azm stop -t 0 "$NAME"
	azm start "$NAME"
	wait_for 10 sh -c "[ \$('$AZM' logs '$NAME' | grep -c 'line 299') -ge 1 ]"
	[ ! -e "$(directory)/log.1" ]
	[ "$(stat -c %s "$(directory)/log")" -le 4096 ]
}
