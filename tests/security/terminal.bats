#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# Class T: a terminal is a way to type commands for somebody else.
# shellcheck disable=SC2154,SC2016,SC2030,SC2031 # set by bats; quotes on purpose; every test is a subshell
load ../lib/common

setup_file() { make_rootfs; }
teardown() { remove_sandboxes; }

on_terminal() { # run option...
	"$TESTS/lib/pty-run.py" -- "$AZM" run --rm --rootfs "$ROOTFS" "$@"
}

injections_denied() {
	local name
	for name in TIOCSTI TIOCSTI+high TIOCLINUX TIOCLINUX+high TIOCCONS TIOCCONS+high TIOCSETD TIOCSETD+high; do
		has "$output" "ioctl\.${name/+/\\+}=EPERM" || return 1
	done
}

@test "t-t1: TIOCSTI, TIOCLINUX, TIOCCONS, TIOCSETD are denied on our pty, high bits or not" {
	run on_terminal -it -- /bin/probe tty-ioctls
	is 0 "$status"
	injections_denied
	has_not "$output" 'left in the terminal'
}

@test "t-t1: and on a pty the sandbox makes itself, without -t" {
	run sandbox -- /bin/probe tty-ioctls
	is 0 "$status"
	injections_denied
	run sandbox --user 1000 -- /bin/probe tty-ioctls
	injections_denied
}

@test "t-t1: and with exec" {
	local name
	name=$(new_name)
	background "$name"
	run "$TESTS/lib/pty-run.py" -- "$AZM" exec -it "$name" probe tty-ioctls
	is 0 "$status"
	injections_denied
	has_not "$output" 'left in the terminal'
}

@test "t-t1: nothing is left in the caller's terminal when a sandbox without -t is started from it" {
	run on_terminal -i -- /bin/sh -c 'probe tty-ioctls; probe tty'
	has_not "$output" 'left in the terminal'
	has "$output" 'tty.dev_tty=ENXIO'
}

@test "t-t2: the command leads a session of its own on a pty of its own" {
	run on_terminal -it -- /bin/probe tty ids namespaces
	is 0 "$status"
	# Session and process group ids of the host would be 0 here: not of this pid namespace.
	has "$output" 'tty\.session=sid=[1-9][0-9]* pgid=[1-9]'
	has "$output" 'tty\.0=isatty=1 name=/dev/(pts/0|console)'
	run on_terminal -it -- /bin/sh -c 'ls /dev/pts; stat -c %d /dev/pts/0'
	[ "$(tail -1 <<<"$output" | tr -d '\r')" != "$(stat -c %d /dev/pts)" ]
}

@test "t-t2: without -t there is no controlling terminal" {
	run on_terminal -- /bin/probe tty
	has "$output" 'tty.dev_tty=ENXIO'
}

@test "t-t3: escape sequences of names and images are not printed by us" {
	local copy evil=$'\e]0;owned\a\e[31m'
	copy=$BATS_TEST_TMPDIR/$evil
	run --separate-stderr azm run --rm --rootfs "$copy" -- /bin/true
	is 125 "$status"
	has_not "$stderr" $'\e'
	run --separate-stderr sandbox -- "/bin/$evil"
	is 127 "$status"
	has_not "$stderr" $'\e'
	run --separate-stderr sandbox -w "/$evil/../proc/self/fd/9" -- /bin/true
	has_not "$stderr" $'\e'
	run --separate-stderr sandbox --user "$evil" -- /bin/true
	has_not "$stderr" $'\e'
}

@test "t-t3: ps and inspect show labels of a sandbox without their escape sequences" {
	local name
	name=$(new_name)
	background "$name" --label "x=$(printf '\e[31mred\e[0m')"
	run bash -c "'$AZM' ps; '$AZM' inspect '$name'"
	is 0 "$status"
	has_not "$output" $'\e'
}
