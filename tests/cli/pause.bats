#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# pause and unpause: nothing inside runs meanwhile, what else Docker's commands do with a paused sandbox; StopSignal.
# shellcheck disable=SC2154,SC2016 # set by bats; quotes on purpose
load ../lib/common

setup_file() { make_rootfs; }
setup() { NAME=$(new_name); }
teardown() { remove_sandboxes; }

# A sandbox whose command counts in /count as fast as it can, with children that come and go.
counting() {
	background "$NAME" -- /bin/sh -c 'i=0; while :; do i=$((i + 1)); (echo $i) > /new; mv /new /count; done'
	wait_for 10 test -s "$(inspect "$NAME" upper)/count"
}

counted() { cat "$(inspect "$NAME" upper)/count"; }
counts_on() { [ "$(counted)" != "$1" ]; }

@test "pause stops everything, unpause lets it go on" {
	counting
	run azm pause "$NAME"
	is 0 "$status"
	is "$NAME" "$output"
	is paused "$(state_of "$NAME")"
	has "$(azm ps)" "$NAME +paused"
	local before
	before=$(counted)
	# Nothing of it is runnable: not a matter of time.
	local pid
	for pid in $(azm top "$NAME" -eo pid,comm | awk 'NR > 1 && $2 != "azm-init" { print $1 }'); do
		has "$(cat "/proc/$pid/stat")" '\) [TZ] '
	done
	is "$before" "$(counted)"
	run azm unpause "$NAME"
	is 0 "$status"
	is running "$(state_of "$NAME")"
	wait_for 10 counts_on "$before"
}

@test "processes that do nothing but fork are stopped whole" {
	background "$NAME" -- /bin/sh -c 'for i in 1 2 3 4 5 6; do while :; do (:); done & done; touch /up; exec probe sleep-forever'
	wait_for 10 test -e "$(inspect "$NAME" upper)/up"
	local round
	for round in 1 2 3; do
		run azm pause "$NAME"
		is 0 "$status" "pause $round"
		has_not "$(azm top "$NAME" -eo pid,stat,comm | grep -v azm-init)" '^ *[0-9]+ [RSD]'
		azm unpause "$NAME"
	done
}

@test "exec is refused while it is paused, top and inspect work, and twice is an error" {
	counting
	azm pause "$NAME"
	refused 125 paused azm exec "$NAME" true
	refused 125 'paused already' azm pause "$NAME"
	has "$(azm top "$NAME")" PID
	azm unpause "$NAME"
	azm exec "$NAME" true
	refused 125 'not paused' azm unpause "$NAME"
	refused 125 'no such sandbox' azm pause no-such-sandbox
	azm stop -t 0 "$NAME"
	refused 125 'not running|not paused' azm unpause "$NAME"
	refused 125 'not running' azm pause "$NAME"
}

@test "exec that runs when it is paused stands still, too" {
	counting
	spawn "$BATS_TEST_TMPDIR/out" "$AZM" exec "$NAME" /bin/sh -c 'i=0; while :; do i=$((i + 1)); echo $i > /tmp/exec; done'
	wait_for 10 test -s "$(inspect "$NAME" upper)/tmp/exec"
	azm pause "$NAME"
	has_not "$(azm top "$NAME" -eo pid,stat,comm | grep -v azm-init)" '^ *[0-9]+ [RSD]'
	azm unpause "$NAME"
}

@test "stop of a paused sandbox: the command still gets its signal" {
	background "$NAME" -- /bin/sh -c 'trap "echo saved; exit 3" TERM; echo up; while :; do usleep 10000; done'
	wait_for 10 sh -c "'$AZM' logs '$NAME' | grep -q up"
	azm pause "$NAME"
	run azm stop -t 20 "$NAME"
	is 0 "$status"
	is 3 "$(azm wait "$NAME")"
	has "$(azm logs "$NAME")" saved
}

@test "kill ends a paused sandbox; another signal waits until it goes on" {
	background "$NAME" -- /bin/sh -c 'trap "echo caught" USR1; echo up; while :; do usleep 10000; done'
	wait_for 10 sh -c "'$AZM' logs '$NAME' | grep -q up"
	azm pause "$NAME"
	azm kill -s USR1 "$NAME"
	is paused "$(state_of "$NAME")"
	has_not "$(azm logs "$NAME")" caught
	azm unpause "$NAME"
	wait_for 10 sh -c "'$AZM' logs '$NAME' | grep -q caught"
	azm pause "$NAME"
	azm kill "$NAME"
	wait_for 10 is_not_running "$NAME"
	is 137 "$(azm wait "$NAME")"
}

@test "rm -f removes a paused sandbox" {
	counting
	azm pause "$NAME"
	azm rm -f "$NAME"
	refused 125 'no such sandbox' azm inspect "$NAME"
}

@test "a paused sandbox whose supervisor is killed is dead" {
	counting
	azm pause "$NAME"
	kill -KILL "$(inspect "$NAME" supervisor_pid)"
	wait_for 10 sh -c "[ \"\$('$AZM' inspect '$NAME' | jq -r '.[0].state')\" = dead ]"
}

@test "stop begins with the image's StopSignal, or --stop-signal" {
	local image=$BATS_TEST_TMPDIR/bundle
	mkdir "$image"
	cp -a "$ROOTFS" "$image/rootfs"
	echo '{"config": {"StopSignal": "SIGUSR2"}}' >"$image/image.json"
	local command='trap "exit 12" USR2; trap "exit 15" TERM; trap "exit 10" USR1; echo up; while :; do usleep 10000; done'
	azm run -d --name "$NAME" --rootfs "$image" -- /bin/sh -c "$command"
	wait_for 10 sh -c "'$AZM' logs '$NAME' | grep -q up"
	azm stop "$NAME"
	is 12 "$(azm wait "$NAME")"
	azm rm "$NAME"
	azm run -d --name "$NAME" --stop-signal usr1 --rootfs "$image" -- /bin/sh -c "$command"
	wait_for 10 sh -c "'$AZM' logs '$NAME' | grep -q up"
	azm stop "$NAME"
	is 10 "$(azm wait "$NAME")"
	refused 125 'no such signal' azm run --stop-signal NOPE --rootfs "$ROOTFS" -- true
}
