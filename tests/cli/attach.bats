#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# attach: the streams of a sandbox that runs already.
# shellcheck disable=SC2154,SC2016 # set by bats; quotes on purpose
load ../lib/common

setup_file() { make_rootfs; }
setup() { NAME=$(new_name); }
teardown() { remove_sandboxes; }

@test "attach: output of both streams from now on, and the command's exit status" {
	background "$NAME" -i -- /bin/sh -c 'echo before; read go; echo out; echo err >&2; exit 7'
	wait_for 10 sh -c "'$AZM' logs '$NAME' | grep -q before"
	run --separate-stderr bash -c "echo go | timeout 30 '$AZM' attach '$NAME'"
	is 7 "$status"
	is out "$output"
	is err "$stderr"
}

@test "attach: several at once see the same, and one that leaves changes nothing" {
	background "$NAME" -i -- /bin/sh -c 'while read line; do echo "got $line"; [ "$line" != end ] || exit 3; done'
	spawn "$BATS_TEST_TMPDIR/one" "$AZM" attach --no-stdin "$NAME"
	local one=$SPAWNED two
	spawn "$BATS_TEST_TMPDIR/two" "$AZM" attach --no-stdin "$NAME"
	two=$SPAWNED
	mkfifo "$BATS_TEST_TMPDIR/in"
	timeout 60 "$AZM" attach "$NAME" <"$BATS_TEST_TMPDIR/in" >"$BATS_TEST_TMPDIR/three" 3>&- &
	exec 8>"$BATS_TEST_TMPDIR/in"
	echo first >&8
	wait_for 10 grep -q 'got first' "$BATS_TEST_TMPDIR/three"
	# Whoever came later than the line does not have it: ask until both do.
	echo_until() {
		grep -q got "$BATS_TEST_TMPDIR/one" && grep -q got "$BATS_TEST_TMPDIR/two" || { echo again >&8 && return 1; }
	}
	wait_for 20 echo_until
	kill -KILL "$one"
	echo second >&8
	wait_for 10 grep -q 'got second' "$BATS_TEST_TMPDIR/two"
	echo end >&8
	exec 8>&-
	wait "$two" || is 3 $?
	wait_for 10 is_not_running "$NAME"
	is 3 "$(azm wait "$NAME")"
}

@test "attach: end of input leaves the command's stdin open" {
	background "$NAME" -i -- /bin/sh -c 'while read line; do echo "got $line"; done; echo closed; sleep 1000'
	spawn "$BATS_TEST_TMPDIR/out" "$AZM" attach --no-stdin "$NAME"
	bash -c "echo one | timeout 20 '$AZM' attach --sig-proxy=false '$NAME' > '$BATS_TEST_TMPDIR/first' & echo \$! > '$BATS_TEST_TMPDIR/pid'; wait" 3>&- &
	wait_for 10 sh -c "'$AZM' logs '$NAME' | grep -q 'got one'"
	pkill -INT -P "$(cat "$BATS_TEST_TMPDIR/pid")" || kill -INT "$(cat "$BATS_TEST_TMPDIR/pid")"
	spawn "$BATS_TEST_TMPDIR/second" bash -c "echo two | timeout 20 '$AZM' attach '$NAME'"
	wait_for 10 sh -c "'$AZM' logs '$NAME' | grep -q 'got two'"
	has_not "$(azm logs "$NAME")" closed
	is running "$(state_of "$NAME")"
}

@test "attach: signals go to the command, unless --sig-proxy=false" {
	background "$NAME" -- /bin/sh -c 'trap "echo caught" USR1; trap "exit 9" TERM; echo up; while :; do usleep 10000; echo tick; done'
	wait_for 10 sh -c "'$AZM' logs '$NAME' | grep -q up"
	spawn "$BATS_TEST_TMPDIR/quiet" "$AZM" attach --sig-proxy=false "$NAME"
	local quiet=$SPAWNED
	spawn "$BATS_TEST_TMPDIR/out" "$AZM" attach "$NAME"
	local pid=$SPAWNED
	wait_for 10 grep -q tick "$BATS_TEST_TMPDIR/out"
	wait_for 10 grep -q tick "$BATS_TEST_TMPDIR/quiet"
	kill -USR1 "$pid"
	wait_for 10 grep -q caught "$BATS_TEST_TMPDIR/out"
	kill -INT "$quiet"
	wait "$quiet" || is 130 $?
	is running "$(state_of "$NAME")"
	kill -TERM "$pid"
	wait "$pid" || is 9 $?
	is 9 "$(azm wait "$NAME")"
}

@test "attach -t: the terminal, its size, and the keys that leave it" {
	background "$NAME" -it -- /bin/sh
	run timeout 60 python3 - "$AZM" "$NAME" <<-'END'
		import fcntl, os, pty, select, struct, sys, termios, time
		def session(arguments, script):
		    pid, master = pty.fork()
		    if pid == 0:
		        os.execv(sys.argv[1], [sys.argv[1], "attach", *arguments, sys.argv[2]])
		    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 77, 0, 0))
		    seen = b""
		    def until(text, retry=None):
		        nonlocal seen
		        end = time.monotonic() + 20
		        while text not in seen:
		            if time.monotonic() > end:
		                sys.exit(f"no {text} in {seen}")
		            if select.select([master], [], [], 0.3)[0]:
		                try:
		                    seen += os.read(master, 4096)
		                except OSError:
		                    break
		            elif retry:
		                os.write(master, retry)
		    script(master, until)
		    while True:
		        try:
		            if not os.read(master, 4096):
		                break
		        except OSError:
		            break
		    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
		def first(master, until):
		    until(b"33 77", b"stty size\r")
		    os.write(master, b"echo a\x10b\r")  # the first key alone is passed on
		    until(b"echo a")
		    os.write(master, b"\x10\x11")
		    until(b"read escape sequence")
		assert session([], first) == 0
		def second(master, until):
		    until(b"here-42", b"echo here-$((6*7))\r")
		    os.write(master, b"xy")
		    until(b"read escape sequence")
		assert session(["--detach-keys", "x,y"], second) == 0
		def third(master, until):
		    until(b"here-43", b"\r\recho here-$((42+1))\r")
		    os.write(master, b"\rexit 5\r")
		assert session([], third) == 5
		print("all well")
	END
	is 0 "$status"
	has "$output" 'all well'
}

@test "attach: a reader that does not read holds up the command, not the supervisor" {
	background "$NAME" -- /bin/sh -c 'while ! [ -e /go ]; do usleep 10000; done; head -c 3000000 /dev/zero | tr "\\0" x; echo; echo last'
	mkfifo "$BATS_TEST_TMPDIR/pipe"
	timeout 60 "$AZM" attach "$NAME" >"$BATS_TEST_TMPDIR/pipe" 3>&- &
	exec 8<"$BATS_TEST_TMPDIR/pipe"
	azm exec "$NAME" touch /go
	azm exec "$NAME" true
	is running "$(state_of "$NAME")"
	is last "$(tail -1 <&8)"
	exec 8<&-
}

@test "attach: what cannot be" {
	refused 125 'no such sandbox' azm attach no-such-sandbox
	background "$NAME"
	refused 125 'expected characters' azm attach --detach-keys ctrl-1 "$NAME"
	azm pause "$NAME"
	refused 125 paused azm attach "$NAME"
	azm unpause "$NAME"
	azm stop -t 0 "$NAME"
	refused 125 'not running' azm attach "$NAME"
}
