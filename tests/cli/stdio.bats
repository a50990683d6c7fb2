#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# Standard input, output and terminals: always our pipe or our pty, whatever the caller has there.
# shellcheck disable=SC2154,SC2016,SC2030,SC2031 # set by bats; quotes on purpose; every test is a subshell
load ../lib/common

setup_file() { make_rootfs; }
teardown() { remove_sandboxes; }

on_terminal() { # [pty-run option...] -- run option...
	local options=()
	while [ "$1" != -- ]; do
		options+=("$1")
		shift
	done
	shift
	"$TESTS/lib/pty-run.py" "${options[@]}" -- "$AZM" run --rm --rootfs "$ROOTFS" "$@"
}

@test "without -i the command's standard input is empty, not the caller's" {
	run bash -c "echo secret | '$AZM' run --rm --rootfs '$ROOTFS' -- /bin/cat"
	is 0 "$status"
	is '' "$output"
}

@test "-i passes bytes and the end of file" {
	run bash -c "printf 'a\nb' | '$AZM' run --rm -i --rootfs '$ROOTFS' -- /bin/cat"
	is 0 "$status"
	is "$(printf 'a\nb')" "$output"
	run bash -c "head -c 3000000 /dev/urandom > '$BATS_TEST_TMPDIR/in'; '$AZM' run --rm -i --rootfs '$ROOTFS' -- /bin/cat \
		< '$BATS_TEST_TMPDIR/in' | cmp - '$BATS_TEST_TMPDIR/in'"
	is 0 "$status"
}

@test "-i with a standard input that nobody reads does not hold the end up" {
	run timeout 20 bash -c "yes | '$AZM' run --rm -i --rootfs '$ROOTFS' -- /bin/true"
	is 0 "$status"
	mkfifo "$BATS_TEST_TMPDIR/silent"
	run timeout 20 "$AZM" run --rm -i --rootfs "$ROOTFS" -- /bin/true <>"$BATS_TEST_TMPDIR/silent"
	is 0 "$status"
}

@test "every byte of the output arrives, also the last before the end" {
	run bash -c "'$AZM' run --rm --rootfs '$ROOTFS' -- /bin/probe flood 6400000 2>/dev/null | wc -c"
	is 6400000 "$output"
	run bash -c "'$AZM' run --rm --rootfs '$ROOTFS' -- /bin/probe flood 640 2>&1 >/dev/null"
	is 'flood done' "$output"
}

@test "stdout a closed pipe: the command gets EPIPE or SIGPIPE, run ends, nothing hangs" {
	run timeout 20 bash -c "'$AZM' run --rm --rootfs '$ROOTFS' -- /bin/probe flood 100000000 2>/dev/null | head -c 10 >/dev/null; echo \${PIPESTATUS[0]}"
	is 0 "$status"
	has "$output" '^(141|1|0)$'
	run sandbox_processes
	has_not "$output" probe
}

@test "stdin, stdout and stderr closed: the sandbox still has all three" {
	run --separate-stderr bash -c "'$AZM' run --rm --rootfs '$ROOTFS' -- /bin/probe fds <&-"
	is 0 "$status" status
	is 3 "$(value fds.count)"
	"$AZM" run --rm --rootfs "$ROOTFS" -v "$BATS_TEST_TMPDIR:/out" -- /bin/sh -c 'probe fds > /out/fds' <&- >&- 2>&- || is 0 $?
	is 3 "$(value fds.count "$BATS_TEST_TMPDIR/fds")"
}

@test "a directory as standard input is refused or replaced, never handed in" {
	local where
	for where in run exec; do
		if [ "$where" = run ]; then
			run bash -c "'$AZM' run --rm -i --rootfs '$ROOTFS' -- /bin/probe stdio < /"
		else
			local name
			name=$(new_name)
			background "$name"
			run bash -c "'$AZM' exec -i '$name' probe stdio < /"
		fi
		if [ "$status" -eq 0 ]; then
			has "$(value stdio.0)" 'as_dir=ENOTDIR'
		else
			is 125 "$status"
			has "$output" 'directory'
		fi
	done
}

@test "a host file, device or socket as standard descriptor is relayed, never handed in" {
	echo 'file content' >"$BATS_TEST_TMPDIR/file"
	run bash -c "'$AZM' run --rm -i --rootfs '$ROOTFS' -- /bin/probe fds < '$BATS_TEST_TMPDIR/file'"
	is 0 "$status"
	has_not "$output" "$BATS_TEST_TMPDIR"
	run bash -c "'$AZM' run --rm -i --rootfs '$ROOTFS' -- /bin/cat < '$BATS_TEST_TMPDIR/file'"
	is 'file content' "$output"
	run bash -c "'$AZM' run --rm -i --rootfs '$ROOTFS' -- /bin/head -c 4 < /dev/zero | wc -c"
	is 4 "$output"
	run bash -c "'$AZM' run --rm --rootfs '$ROOTFS' -- /bin/probe fds > '$BATS_TEST_TMPDIR/out' 2>&1; cat '$BATS_TEST_TMPDIR/out'"
	has_not "$output" "$BATS_TEST_TMPDIR"
	run python3 - "$AZM" "$ROOTFS" <<-'END'
		import socket, subprocess, sys
		for family in (socket.AF_UNIX, socket.AF_INET):
		    if family == socket.AF_UNIX:
		        ours, theirs = socket.socketpair()
		    else:
		        listener = socket.create_server(("127.0.0.1", 0))
		        ours = socket.create_connection(listener.getsockname())
		        theirs, _ = listener.accept()
		    subprocess.run([sys.argv[1], "run", "--rm", "-i", "--rootfs", sys.argv[2], "--", "/bin/probe", "fds"],
		                   stdin=theirs, stdout=theirs, stderr=subprocess.STDOUT, timeout=30)
		    theirs.close()
		    print(ours.makefile().read())
	END
	is 0 "$status"
	is 2 "$(grep -c '^fds.count=3$' <<<"$output")"
	has_not "$output" 'sock|FOREIGN'
}

@test "-t: a terminal of the sandbox's own, with the caller's size before the command starts" {
	run on_terminal --size 123x45 -- -it -- /bin/probe tty
	is 0 "$status"
	has "$output" 'tty\.0=isatty=1 name=/dev/(pts/[0-9]+|console)'
	has "$output" 'tty\.size=123x45'
	has "$output" 'tty\.dev_tty=ok'
}

@test "-t: SIGWINCH arrives with the new size" {
	run on_terminal --size 80x24 --when 'winch.start=80x24' resize:100x50 --when 'winch.size=100x50' resize:33x11 -- \
		-it -- /bin/probe winch 2
	is 0 "$status"
	has "$output" 'winch.size=33x11'
}

@test "-t: what is typed arrives, control-C interrupts the command inside" {
	run on_terminal --when 'ready' 'send:hello\r' --when 'got hello' 'send:\x03' -- -it -- \
		/bin/sh -c 'echo ready; read x; echo got $x; exec probe sleep-forever'
	is 130 "$status"
}

@test "-t: the caller's terminal is as before afterwards, also when the command is killed" {
	run on_terminal -- -it -- /bin/sh -c 'stty raw -echo; kill -9 $$'
	is 137 "$status"
	has_not "$output" 'settings were changed'
}

@test "-t: a hang-up of the terminal ends the sandbox" {
	run on_terminal --when ready hangup -- -it -- /bin/probe sleep-forever
	wait_for 15 sh -c "! pgrep -u $(id -u) -x probe"
}

@test "-t without a terminal is said, and works with -t alone for programs that want one" {
	run bash -c "'$AZM' run --rm -t --rootfs '$ROOTFS' -- /bin/probe tty < /dev/null"
	if [ "$status" -eq 0 ]; then
		has "$output" 'tty\.0=isatty=1'
		has_not "$output" 'tty\.size=0x0'
	else
		is 125 "$status"
		has "$output" 'terminal'
	fi
}

@test "exec -it has a terminal of its own with the size set" {
	local name
	name=$(new_name)
	background "$name"
	run "$TESTS/lib/pty-run.py" --size 99x33 -- "$AZM" exec -it "$name" probe tty
	is 0 "$status"
	has "$output" 'tty\.size=99x33'
	run "$TESTS/lib/pty-run.py" --when 'winch.start' resize:55x22 -- "$AZM" exec -it "$name" probe winch 1
	is 0 "$status"
	has "$output" 'winch.size=55x22'
}

@test "without -t a command does not get the caller's terminal" {
	run on_terminal -- -i -- /bin/probe tty
	is 0 "$status"
	has "$output" 'tty\.0=isatty=0'
	has "$output" 'tty\.1=isatty=0'
	has "$output" 'tty\.dev_tty=ENXIO'
}
