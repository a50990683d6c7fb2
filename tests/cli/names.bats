#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# Names of sandboxes: which are good, which are refused, who wins.
# shellcheck disable=SC2154,SC2016,SC2030,SC2031 # set by bats; quotes on purpose; every test is a subshell
load ../lib/common

setup_file() { make_rootfs; }
teardown() { remove_sandboxes; }

@test "good names are accepted as they are" {
	local name
	for name in a A9 a.b a_b a-b 0start x...y "$(printf 'n%.0s' {1..64})"; do
		remember_name "$name"
		run --separate-stderr sandbox --name "$name" -- /bin/true
		is 0 "$status" "$name"
	done
}

@test "bad names are refused with one line" {
	local name
	for name in '' . .. .hidden -dash _under a/b ../x /abs 'a b' $'a\nb' $'a\tb' $'a\eb' 'a:b' 'a*b' 'ä' 'a@b' \
		"$(printf 'n%.0s' {1..65})" "$(printf 'n%.0s' {1..5000})"; do
		refused 125 'name' sandbox --name "$name" -- /bin/true
	done
}

@test "control characters of a bad name do not reach the terminal" {
	run --separate-stderr sandbox --name $'x\e[31mred' -- /bin/true
	is 125 "$status"
	has_not "$stderr" $'\e'
	run --separate-stderr azm inspect $'no\e]0;title\asuch'
	is 125 "$status"
	has_not "$stderr" $'\e'
}

@test "a name that is taken is refused, running or ended; the one who has it is not disturbed" {
	local name
	name=$(new_name)
	background "$name"
	refused 125 "$name.*(taken|in use|exists)" sandbox --name "$name" -- /bin/true
	is running "$(state_of "$name")"
	azm stop -t 0 "$name"
	refused 125 "$name.*(taken|in use|exists)" sandbox --name "$name" -- /bin/true
	azm rm "$name"
	run sandbox --name "$name" -- /bin/true
	is 0 "$status"
}

@test "of fifty runs of one name at once one wins, and no half sandbox is left" {
	local name i pids=() won=0 lost=0
	name=$(new_name)
	for i in $(seq 50); do
		background "$name" >"$BATS_TEST_TMPDIR/out.$i" 2>&1 &
		pids+=($!)
	done
	for i in "${pids[@]}"; do
		if wait "$i"; then
			won=$((won + 1))
		else
			lost=$((lost + 1))
		fi
	done
	is '1 49' "$won $lost"
	is 1 "$(azm ps --json | jq "[.[] | select(.name == \"$name\")] | length")"
	is running "$(state_of "$name")"
	is 49 "$(grep -lE 'taken|in use|exists' "$BATS_TEST_TMPDIR"/out.* | wc -l)" 'clear messages'
	azm rm -f "$name"
	no_processes_left
}

@test "two generated names differ" {
	local one two
	one=$(azm run -d --rootfs "$ROOTFS" -- /bin/probe sleep-forever)
	remember_name "$one"
	two=$(azm run -d --rootfs "$ROOTFS" -- /bin/probe sleep-forever)
	remember_name "$two"
	[ -n "$one" ] && [ "$one" != "$two" ]
}
