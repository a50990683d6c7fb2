#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# The life of a sandbox that outlives its `run`: run -d, exec, ps, inspect, logs, stop, kill, start, wait, rm, gc.
# shellcheck disable=SC2154,SC2016,SC2030,SC2031 # set by bats; quotes on purpose; every test is a subshell
load ../lib/common

setup_file() { make_rootfs; }
setup() { NAME=$(new_name); }
teardown() { remove_sandboxes; }

ps_row() { # NAME: its object in ps -a --json
	azm ps -a --json | jq -c ".[] | select(.name == \"$1\")"
}

@test "run -d returns when the sandbox runs and prints its name" {
	run --separate-stderr background "$NAME"
	is 0 "$status" status
	is "$NAME" "$output"
	is running "$(state_of "$NAME")"
}

@test "run -d --json prints the ready line" {
	run --separate-stderr background "$NAME" --json
	is 0 "$status" status
	is "$NAME" "$(field "$output" name)"
	is running "$(field "$output" state)"
	kill -0 "$(field "$output" pid)"
}

@test "run -d without a name makes one up" {
	run --separate-stderr azm run -d --rootfs "$ROOTFS" -- /bin/probe sleep-forever
	is 0 "$status" status
	has "$output" '^[a-zA-Z0-9][a-zA-Z0-9_.-]*$'
	remember_name "$output"
	is running "$(state_of "$output")"
}

@test "a detached sandbox survives the end of the caller's session and holds nothing of its terminal" {
	setsid -w "$AZM" run -d --name "$NAME" --rootfs "$ROOTFS" -- /bin/probe sleep-forever </dev/null >/dev/null 2>&1
	is running "$(state_of "$NAME")"
	local pid
	pid=$(supervisor_of "$NAME")
	# The supervisor leads a session of its own, so that a hang-up of the caller's does not reach it.
	[ "$(ps -o sid= -p "$pid" | tr -d ' ')" != "$(ps -o sid= -p $$ | tr -d ' ')" ]
}

@test "run -d does not keep the caller's pipe open" {
	# A reader of the output must see its end although the sandbox goes on.
	run timeout 20 sh -c "'$AZM' run -d --name '$NAME' --rootfs '$ROOTFS' -- /bin/probe sleep-forever | cat"
	is 0 "$status"
	is running "$(state_of "$NAME")"
}

@test "run -d keeps no descriptor of the caller" {
	run python3 - "$AZM" "$NAME" "$ROOTFS" <<-'END'
		import os, select, subprocess, sys
		azm, name, rootfs = sys.argv[1:]
		ours, theirs = os.pipe()
		os.dup2(theirs, 77, inheritable=True)
		os.close(theirs)
		subprocess.run([azm, "run", "-d", "--name", name, "--rootfs", rootfs, "--", "/bin/probe", "sleep-forever"],
		               close_fds=False, stdout=77, stderr=77, check=True, timeout=20)
		os.close(77)
		while select.select([ours], [], [], 5)[0]:
		    if not os.read(ours, 100):
		        print("let go")
		        break
	END
	is 0 "$status"
	has "$output" 'let go'
	is running "$(state_of "$NAME")"
}

@test "exec runs in the sandbox and returns the command's status" {
	background "$NAME"
	run --separate-stderr azm exec "$NAME" /bin/sh -c 'echo out; echo err >&2; exit 9'
	is 9 "$status" status
	is out "$output"
	is err "$stderr"
}

@test "exec: same namespaces, same root, same limits as the sandbox's own command" {
	background "$NAME" -- /bin/sh -c 'probe namespaces > /tmp/ns; probe limits > /tmp/limits; probe caps > /tmp/caps; exec probe sleep-forever'
	wait_for 10 azm exec "$NAME" test -s /tmp/caps
	is "$(azm exec "$NAME" cat /tmp/ns)" "$(azm exec "$NAME" probe namespaces)" namespaces
	is "$(azm exec "$NAME" cat /tmp/limits)" "$(azm exec "$NAME" probe limits)" limits
	is "$(azm exec "$NAME" cat /tmp/caps | grep -v Seccomp_filters)" \
		"$(azm exec "$NAME" probe caps | grep -v Seccomp_filters)" capabilities
}

@test "exec -u -w -e" {
	background "$NAME"
	run azm exec -w /home/user -e K=v "$NAME" probe cwd env
	is 0 "$status"
	is /home/user "$(value cwd)"
	has "$output" '^env=K=v$'
	run azm exec -u 0 "$NAME" probe ids
	is '0 0 0' "$(value ids.uid)"
}

@test "exec -u 0 beside a sandbox user who is not 0" {
	background "$NAME" --user 1234
	run azm exec "$NAME" probe ids
	is '1234 1234 1234' "$(value ids.uid)"
	run azm exec -u 0 "$NAME" probe ids
	is 0 "$status"
	is '0 0 0' "$(value ids.uid)"
}

@test "exec -i passes standard input" {
	background "$NAME"
	run bash -c "echo through | '$AZM' exec -i '$NAME' cat"
	is 0 "$status"
	is through "$output"
}

@test "exec: 127 and 126 as in run, 125 for a sandbox that is not there or does not run" {
	background "$NAME"
	refused 127 no-such-program azm exec "$NAME" no-such-program
	refused 126 /etc/passwd azm exec "$NAME" /etc/passwd
	refused 125 'no such sandbox|not found' azm exec no-such-sandbox true
	azm stop -t 0 "$NAME"
	refused 125 'not running|stopped|does not run' azm exec "$NAME" true
}

@test "exec: 128+n, and a signal to exec does not stop the sandbox" {
	background "$NAME"
	run azm exec "$NAME" probe die-signal 9
	is 137 "$status"
	spawn "$BATS_TEST_TMPDIR/out" "$AZM" exec "$NAME" probe sleep-forever
	local pid=$SPAWNED
	wait_for 10 grep -q ready "$BATS_TEST_TMPDIR/out"
	kill -TERM "$pid"
	wait "$pid" || true
	is running "$(state_of "$NAME")"
}

@test "exec: ten at once" {
	background "$NAME"
	local i pids=()
	for i in 1 2 3 4 5 6 7 8 9 10; do
		azm exec "$NAME" sh -c "echo $i" >"$BATS_TEST_TMPDIR/out.$i" &
		pids+=($!)
	done
	wait "${pids[@]}"
	for i in 1 2 3 4 5 6 7 8 9 10; do
		is "$i" "$(cat "$BATS_TEST_TMPDIR/out.$i")"
	done
}

@test "ps lists what runs, ps -a also what ended, --json with stable keys" {
	background "$NAME"
	has "$(azm ps)" "$NAME"
	is running "$(field "$(ps_row "$NAME")" state)"
	azm stop -t 0 "$NAME"
	has_not "$(azm ps)" "$NAME"
	has "$(azm ps -a)" "$NAME"
	has "$(field "$(ps_row "$NAME")" state)" 'exited|stopped'
}

@test "ps with nothing to show is an empty array, not an error" {
	AZM_STATE_DIR=$BATS_TEST_TMPDIR/state run --separate-stderr azm ps --json
	is 0 "$status" status
	is '[]' "$(jq -c . <<<"$output")"
}

@test "inspect says what was asked for and what became of it" {
	local c1=$'\302\233' del=$'\177'
	background "$NAME" --label team=red --label "café=${c1}31m$del" -e SHOWN=1
	run --separate-stderr azm inspect "$NAME"
	is 0 "$status" status
	jq -e . <<<"$output" >/dev/null
	has "$output" "$ROOTFS"
	has "$output" 'team.*red'
	# What a terminal would obey is escaped, what people read is not.
	has_not "$output" "[$c1$del]"
	has "$output" 'café=\\u009B31m\\u007F'
	refused 125 'no such sandbox|not found' azm inspect no-such-sandbox
}

@test "logs has the output of the command, --tail its end, also after the end" {
	background "$NAME" -- /bin/sh -c 'for i in 1 2 3 4 5; do echo line $i; done; echo problem >&2; exec probe sleep-forever'
	wait_for 10 sh -c "'$AZM' logs '$NAME' 2>&1 | grep -q problem"
	has "$(azm logs "$NAME" 2>&1)" '^line 1$'
	azm stop -t 0 "$NAME"
	has "$(azm logs "$NAME" 2>&1)" '^line 5$'
	run bash -c "'$AZM' logs --tail 2 '$NAME' 2>&1"
	is 2 "${#lines[@]}" lines
}

@test "logs -f follows until the sandbox ends" {
	background "$NAME" -- /bin/sh -c 'echo first; while ! [ -e /tmp/go ]; do usleep 20000; done; echo last'
	spawn "$BATS_TEST_TMPDIR/out" "$AZM" logs -f "$NAME"
	local pid=$SPAWNED
	wait_for 10 grep -q first "$BATS_TEST_TMPDIR/out"
	let_go "$NAME" /tmp/go
	wait_for 10 sh -c "! kill -0 $pid"
	has "$(cat "$BATS_TEST_TMPDIR/out")" '^last$'
}

@test "stop: TERM first, the command may finish in order" {
	background "$NAME" -- /bin/sh -c 'trap "echo saved > /state; exit 3" TERM; touch /tmp/ready; while :; do usleep 20000; done'
	wait_for 10 azm exec "$NAME" test -e /tmp/ready
	run azm stop -t 20 "$NAME"
	is 0 "$status"
	is_not_running "$NAME"
	is 3 "$(azm wait "$NAME")"
}

@test "stop -t: KILL after the grace, everything of the pid namespace" {
	background "$NAME" -- /bin/sh -c 'probe daemon /tmp/up & exec probe ignore-term'
	wait_for 10 azm exec "$NAME" test -s /tmp/up
	local supervisor
	supervisor=$(supervisor_of "$NAME")
	run azm stop -t 1 "$NAME"
	is 0 "$status"
	is_not_running "$NAME"
	wait_for 5 test ! -d "/proc/$supervisor"
	is 137 "$(azm wait "$NAME")"
}

@test "stop of a stopped sandbox is no error, of an unknown one it is" {
	background "$NAME"
	azm stop -t 0 "$NAME"
	run azm stop "$NAME"
	is 0 "$status"
	refused 125 'no such sandbox|not found' azm stop no-such-sandbox
}

@test "kill -s sends that signal to the command" {
	background "$NAME" -- /bin/sh -c 'probe catch > /tmp/caught; exec probe sleep-forever'
	wait_for 10 azm exec "$NAME" grep -q ready /tmp/caught
	# The shell is the workload: a signal for it does nothing, so ask for the one it dies of.
	run azm kill -s USR1 "$NAME"
	is 0 "$status"
	refused 125 'NOSUCH' azm kill -s NOSUCH "$NAME"
}

@test "kill without -s ends it at once" {
	background "$NAME" -- /bin/probe ignore-term
	azm kill "$NAME"
	wait_for 5 is_not_running "$NAME"
	is 137 "$(azm wait "$NAME")"
}

@test "start again finds the same writable layer and the same command" {
	background "$NAME" -- /bin/sh -c 'echo run >> /counter; exec probe sleep-forever'
	wait_for 10 azm exec "$NAME" test -s /counter
	azm stop -t 0 "$NAME"
	run azm start "$NAME"
	is 0 "$status"
	wait_for 10 sh -c "[ \"\$('$AZM' exec '$NAME' grep -c run /counter)\" = 2 ]"
	is_running "$NAME"
	refused 125 'running' azm start "$NAME"
}

@test "wait returns the exit status of a sandbox that ends later, and of one that has ended" {
	background "$NAME" -- /bin/sh -c 'while ! [ -e /tmp/go ]; do usleep 20000; done; exit 6'
	spawn "$BATS_TEST_TMPDIR/out" "$AZM" wait "$NAME"
	local pid=$SPAWNED
	let_go "$NAME" /tmp/go
	wait "$pid"
	is 6 "$(cat "$BATS_TEST_TMPDIR/out")"
	is 6 "$(azm wait "$NAME")"
}

@test "rm removes what ended, refuses what runs, rm -f removes both" {
	background "$NAME"
	refused 125 'running' azm rm "$NAME"
	azm stop -t 0 "$NAME"
	run azm rm "$NAME"
	is 0 "$status"
	refused 125 'no such sandbox|not found' azm inspect "$NAME"
	background "$NAME"
	run azm rm -f "$NAME"
	is 0 "$status"
	refused 125 'no such sandbox|not found' azm inspect "$NAME"
}

@test "stop, kill, rm take several names and go on after a bad one" {
	local other
	other=$(new_name)
	background "$NAME"
	background "$other"
	run azm stop -t 0 "$NAME" no-such-sandbox "$other"
	is 125 "$status"
	has_not "$(azm ps)" "$NAME|$other"
	run azm rm "$NAME" no-such-sandbox "$other"
	is 125 "$status"
	has_not "$(azm ps -a)" "$NAME|$other"
}

@test "rm removes a writable layer with directories of mode 000" {
	background "$NAME" -- /bin/sh -c 'mkdir -p /deep/er; touch /deep/er/file; chmod 000 /deep/er /deep; touch /made; exec probe sleep-forever'
	wait_for 10 azm exec "$NAME" test -e /made
	run azm rm -f "$NAME"
	is 0 "$status"
	has_not "$(azm ps -a)" "$NAME"
}

@test "--rm with -d removes the sandbox when it ends" {
	background "$NAME" --rm -- /bin/sh -c 'while ! [ -e /tmp/go ]; do usleep 20000; done'
	let_go "$NAME" /tmp/go
	wait_for 10 sh -c "! '$AZM' inspect '$NAME'"
}

@test "gc reclaims what a killed supervisor left and leaves the others alone" {
	local other pid
	other=$(new_name)
	background "$NAME" --rm
	background "$other"
	pid=$(supervisor_of "$NAME")
	kill -KILL "$pid"
	wait_for 5 test ! -d "/proc/$pid"
	run azm gc
	is 0 "$status"
	has_not "$(azm ps -a)" "$NAME"
	is running "$(state_of "$other")"
}

@test "stop and rm -f of a sandbox that is just starting are heard" {
	local _
	for _ in $(seq 8); do
		spawn "$BATS_TEST_TMPDIR/out" "$AZM" run -d --name "$NAME" --rootfs "$ROOTFS" -- /bin/probe sleep-forever
		# What was heard too early says that there is no such sandbox yet.
		wait_for 20 timeout 15 "$AZM" stop -t 1 "$NAME"
		wait "$SPAWNED" || true
		is_not_running "$NAME"
		azm rm "$NAME"
		spawn "$BATS_TEST_TMPDIR/out" "$AZM" run -d --name "$NAME" --rootfs "$ROOTFS" -- /bin/probe sleep-forever
		wait_for 20 sh -c "[ \"\$(timeout 15 '$AZM' rm -f '$NAME')\" = '$NAME' ]"
		wait "$SPAWNED" || true
		has_not "$(azm ps -aq)" "$NAME"
	done
}
