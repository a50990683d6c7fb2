#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# `run` in the foreground: what goes in, what comes out, which status.
# shellcheck disable=SC2154,SC2016,SC2030,SC2031 # set by bats; quotes on purpose; every test is a subshell
load ../lib/common

setup_file() { make_rootfs; }
teardown() { remove_sandboxes; }

@test "run: output, error output and status are the command's own" {
	run --separate-stderr sandbox -- /bin/sh -c 'echo out; echo err >&2; exit 7'
	is 7 "$status" status
	is out "$output" stdout
	is err "$stderr" stderr
}

@test "run: a command that succeeds says nothing of ours" {
	run --separate-stderr sandbox -- /bin/true
	is 0 "$status" status
	is '' "$output" stdout
	is '' "$stderr" stderr
}

@test "run: 128+n when the command dies of signal n" {
	run sandbox -- /bin/probe die-signal 9
	is 137 "$status"
	run sandbox -- /bin/probe die-signal 15
	is 143 "$status"
	run sandbox -- /bin/probe die-signal 11
	is 139 "$status"
}

@test "run: 127 for a command that is not there, 126 for one that cannot be executed" {
	refused 127 'no-such-program' sandbox -- no-such-program
	refused 127 '/bin/no-such' sandbox -- /bin/no-such
	refused 126 '/etc/passwd' sandbox -- /etc/passwd
	refused 126 '/tmp' sandbox -- /tmp
}

@test "run: a command without a slash is looked up in the sandbox's PATH" {
	run sandbox -- probe exit 5
	is 5 "$status"
	run sandbox -e PATH=/nowhere -- probe exit 5
	is 127 "$status"
}

@test "run: every argument arrives as it was given" {
	run sandbox -- /bin/probe args '' ' ' '*' "it's" 'a"b' '--rm' '$HOME' 'ä'
	is 0 "$status"
	is "$(printf 'arg=%s\n' '' ' ' '*' "it's" 'a"b' '--rm' '$HOME' 'ä')" "$output"
}

@test "run: options after the command belong to the command, with and without --" {
	run sandbox /bin/probe args --name x -v
	is 0 "$status"
	is "$(printf 'arg=%s\n' --name x -v)" "$output"
}

@test "run: the command is a child of our init, in namespaces of its own" {
	run sandbox -- /bin/probe ids namespaces
	is 0 "$status"
	has "$output" '^ids.ppid=1$'
	local kind
	for kind in cgroup ipc mnt net pid user uts; do
		[ "$(value "namespaces.$kind")" != "$(readlink "/proc/self/ns/$kind")" ]
		has "$(value "namespaces.$kind")" "^$kind:"
	done
}

@test "run: --hostname, and without it the sandbox's name" {
	local name
	name=$(new_name)
	run sandbox --hostname box.example -- /bin/probe ids
	is box.example "$(value ids.hostname)"
	run sandbox --name "$name" -- /bin/probe ids
	is "$name" "$(value ids.hostname)"
	run sandbox --name "$name" -- /bin/cat /etc/hostname
	is "$name" "$output"
}

@test "run: --workdir, made when it is missing as Docker does" {
	run sandbox -w /home/user -- /bin/probe cwd
	is /home/user "$(value cwd)"
	run sandbox -w /new/dir -- /bin/probe cwd
	is /new/dir "$(value cwd)"
	run sandbox -- /bin/probe cwd
	is / "$(value cwd)"
}

@test "run: nothing of the caller's environment goes in but what -e names" {
	export SECRET_OF_CALLER=do-not-leak PASSED=yes
	run sandbox -e PASSED -e GIVEN='a b=c' -e EMPTY= -- /bin/probe env
	is 0 "$status"
	has "$output" '^env=PASSED=yes$'
	has "$output" '^env=GIVEN=a b=c$'
	has "$output" '^env=EMPTY=$'
	has_not "$output" 'do-not-leak|XDG_|BATS_|LC_ALL'
	has "$output" '^env=PATH=/'
	has "$output" '^env=HOME=/root$'
}

@test "run: --env-file, and -e wins over it" {
	printf '# comment\nA=from file\n\nB=two\n' >"$BATS_TEST_TMPDIR/env"
	run sandbox --env-file "$BATS_TEST_TMPDIR/env" -e B=three -- /bin/probe env
	is 0 "$status"
	has "$output" '^env=A=from file$'
	has "$output" '^env=B=three$'
	has_not "$output" 'comment|two'
}

@test "run: SANDBOX_ENV_K of the caller becomes K" {
	SANDBOX_ENV_MARK=hello run sandbox -- /bin/probe env
	has "$output" '^env=MARK=hello$'
}

@test "run: --user decides the ids, by number and by name, the host sees the caller" {
	local mark=$BATS_TEST_TMPDIR/work
	mkdir "$mark"
	run sandbox --user 1234 -v "$mark:/mark" -- /bin/sh -c 'probe ids; echo > /mark/by-number'
	is 0 "$status"
	is '1234 1234 1234' "$(value ids.uid)"
	run sandbox --user 1234:77 -- /bin/probe ids
	is '77 77 77' "$(value ids.gid)"
	run sandbox --user agent -v "$mark:/mark" -- /bin/sh -c 'probe ids; probe env; echo > /mark/by-name'
	is '1234 1234 1234' "$(value ids.uid)"
	is '4321 4321 4321' "$(value ids.gid)"
	has "$output" '^env=HOME=/home/user$'
	is "$(id -u)" "$(stat -c %u "$mark/by-number")"
	is "$(id -u)" "$(stat -c %u "$mark/by-name")"
}

@test "run: overlay leaves the image untouched, --rm leaves nothing" {
	local before mode
	before=$(find "$ROOTFS" | sort | sha256sum)
	mode=$(stat -c %a "$ROOTFS/etc") # the user's umask decided
	run sandbox -- /bin/sh -c 'echo x > /new && rm /etc/issue && mkdir -p /a/b && chmod 711 /etc && test ! -e /etc/issue'
	is 0 "$status"
	is "$before" "$(find "$ROOTFS" | sort | sha256sum)"
	[ -f "$ROOTFS/etc/issue" ]
	is "$mode" "$(stat -c %a "$ROOTFS/etc")"
	run sandbox -- /bin/ls /new
	[ "$status" -ne 0 ]
}

@test "run: many sandboxes share one image at once" {
	local i pids=()
	for i in 1 2 3 4 5 6 7 8; do
		sandbox -- /bin/sh -c "echo $i > /mine; cat /mine" >"$BATS_TEST_TMPDIR/out.$i" &
		pids+=($!)
	done
	wait "${pids[@]}"
	for i in 1 2 3 4 5 6 7 8; do
		is "$i" "$(cat "$BATS_TEST_TMPDIR/out.$i")"
	done
}

@test "run: --rootfs-mode direct writes into the image" {
	local copy
	copy=$(copy_rootfs)
	run azm run --rm --rootfs "$copy" --rootfs-mode direct -- /bin/sh -c 'echo direct > /written'
	is 0 "$status"
	is direct "$(cat "$copy/written")"
	is "$(id -u)" "$(stat -c %u "$copy/written")"
}

@test "run: --rootfs-mode read-only and --read-only refuse writes, --tmpfs and /tmp of one's own work" {
	run sandbox --rootfs-mode read-only -- /bin/sh -c 'echo x > /new'
	[ "$status" -ne 0 ]
	has "$output" 'Read-only file system'
	run sandbox --read-only --tmpfs /scratch -- /bin/sh -c 'echo x > /scratch/new && ! echo x 2>/dev/null > /new'
	is 0 "$status"
}

@test "run: --tmpfs takes a size and the sandbox cannot exceed it" {
	run sandbox --tmpfs /scratch:size=1m -- /bin/probe fill /scratch/file 8
	is 0 "$status"
	has "$output" '^fill=1 ENOSPC$'
}

@test "run: --shm-size sizes /dev/shm" {
	run sandbox --shm-size 2m -- /bin/probe fill /dev/shm/file 8
	has "$output" '^fill=2 ENOSPC$'
}

@test "run: --ulimit, and core dumps of a sandbox do not go to the host's handler" {
	run sandbox --ulimit nofile=123:456 -- /bin/probe limits
	is 0 "$status"
	is '123 456' "$(value limits.nofile)"
	# A hard limit of 1, not 0: with 0 the kernel still starts a pipe handler of the host.
	has "$(value limits.core)" '^[01] 1$'
}

@test "run: --pids-limit stops a fork bomb, and there is a limit without it" {
	run sandbox --pids-limit 20 -- /bin/probe fork-bomb 200
	is 0 "$status"
	has "$output" '^fork-bomb=[0-9]+ EAGAIN$'
	local count
	count=$(value fork-bomb)
	[ "${count%% *}" -le 20 ]
	run sandbox -- /bin/probe limits
	has_not "$(value limits.nproc)" unlimited
}

@test "run: orphans are reaped by init" {
	run sandbox -- /bin/sh -c 'probe zombie 50; i=0; while [ "$(ps | grep -c " Z ")" -gt 1 ] && [ $i -lt 100 ]; do
		i=$((i+1)); usleep 20000; done; probe processes | grep -c "^process=.* probe$"'
	is 1 "$(tail -1 <<<"$output")" 'probe processes alive'
}

@test "run: what the command left in the background ends with it" {
	run sandbox -- /bin/sh -c 'probe daemon /tmp/up; while ! [ -s /tmp/up ]; do usleep 10000; done; echo done'
	is 0 "$status"
	is "done" "$output"
	run sandbox_processes
	has_not "$output" probe
}

@test "run: --add-host appears in /etc/hosts, with the sandbox's own name" {
	run sandbox --hostname mybox --add-host db.example:192.0.2.7 -- /bin/cat /etc/hosts
	is 0 "$status"
	has "$output" '192\.0\.2\.7[[:space:]]+db\.example'
	has "$output" '127\.0\.0\.1[[:space:]]+localhost'
	has "$output" 'mybox'
}

@test "run: the sandbox has loopback and its own address, no route out, and everything is refused at once" {
	run sandbox -- /bin/probe net
	is 0 "$status"
	has "$output" '^net.link=lo up$'
	has "$output" '^net.link=eth0 up$'
	has "$output" '^net.address=eth0 [0-9.]+$'
	run sandbox -- /bin/probe connect 192.0.2.55 80
	has "$output" '^connect=(ENETUNREACH|EHOSTUNREACH|ECONNREFUSED)$'
	[ "$(value connect.ms)" -lt 2500 ] # where nobody refuses, it takes three seconds to know that nobody is there
}

@test "run: --network none has loopback only" {
	run sandbox --network none -- /bin/probe net
	is 0 "$status"
	has "$output" '^net.link=lo up$'
	has_not "$output" 'eth0'
}

@test "run: --entrypoint comes before the command" {
	run sandbox --entrypoint /bin/probe -- args one two
	is 0 "$status"
	is "$(printf 'arg=%s\n' one two)" "$output"
}

@test "run: image config gives command, environment, working directory and user" {
	local bundle=$BATS_TEST_TMPDIR/bundle
	mkdir "$bundle"
	cp -a "$ROOTFS" "$bundle/rootfs"
	cat >"$bundle/image.json" <<-'END'
		{"architecture":"amd64","os":"linux","config":{"Env":["PATH=/bin","FROM_IMAGE=1","OVER=image"],
		"Entrypoint":["/bin/sh","-c"],"Cmd":["probe ids cwd env"],"WorkingDir":"/home/user","User":"agent"}}
	END
	run azm run --rm --rootfs "$bundle" -e OVER=flag --entrypoint '' -- /bin/probe ids cwd env
	is 0 "$status"
	is '1234 1234 1234' "$(value ids.uid)"
	is /home/user "$(value cwd)"
	has "$output" '^env=FROM_IMAGE=1$'
	has "$output" '^env=OVER=flag$'
	run azm run --rm --rootfs "$bundle" --user 0 -w /tmp --entrypoint '' -- /bin/probe ids cwd
	is '0 0 0' "$(value ids.uid)"
	is /tmp "$(value cwd)"
}

@test "run: the configuration variables count from the environment and from -e, flags win" {
	SANDBOX_USER_ID=1234 run sandbox -- /bin/probe ids
	is '1234 1234 1234' "$(value ids.uid)"
	run sandbox -e SANDBOX_USER_ID=1000 -- /bin/probe ids
	is '1000 1000 1000' "$(value ids.uid)"
	SANDBOX_USER_ID=1234 run sandbox -e SANDBOX_USER_ID=1000 --user 55 -- /bin/probe ids
	is '55 55 55' "$(value ids.uid)"
}

@test "run: SANDBOX_RUNTIME_CONTAINER_IMAGE stands for --rootfs" {
	SANDBOX_RUNTIME_CONTAINER_IMAGE=$ROOTFS run azm run --rm -- /bin/probe exit 3
	is 3 "$status"
}

@test "run: --json prints one line when ready and one at the end" {
	local name ready last
	name=$(new_name)
	azm run --rm --json --name "$name" --rootfs "$ROOTFS" -- /bin/probe exit 4 >"$BATS_TEST_TMPDIR/out" || is 4 $?
	is 2 "$(grep -c '"' "$BATS_TEST_TMPDIR/out")" lines
	ready=$(head -1 "$BATS_TEST_TMPDIR/out")
	last=$(tail -1 "$BATS_TEST_TMPDIR/out")
	is "$name" "$(field "$ready" name)"
	has "$(field "$ready" pid)" '^[0-9]+$'
	is 4 "$(field "$last" exit_code)"
	local key
	for key in name pid state rootfs url host_port api_key ports network ip; do
		is true "$(jq "has(\"$key\")" <<<"$ready")" "key $key"
	done
}

@test "run: --status-fd carries the same lines and leaves stdout to the command" {
	azm run --rm --status-fd 7 --rootfs "$ROOTFS" -- /bin/sh -c 'echo mine; kill -9 $$' 7>"$BATS_TEST_TMPDIR/status" \
		>"$BATS_TEST_TMPDIR/out" || is 137 $?
	is mine "$(cat "$BATS_TEST_TMPDIR/out")"
	is 2 "$(wc -l <"$BATS_TEST_TMPDIR/status")" lines
	is 9 "$(field "$(tail -1 "$BATS_TEST_TMPDIR/status")" signal)"
}

@test "run: SIGTERM and SIGINT to run stop the sandbox" {
	local signal pid
	for signal in TERM INT; do
		spawn "$BATS_TEST_TMPDIR/out" "$AZM" run --rm --rootfs "$ROOTFS" -- /bin/probe catch
		pid=$SPAWNED
		wait_for 10 grep -q ready "$BATS_TEST_TMPDIR/out"
		kill -"$signal" "$pid"
		wait "$pid" || true
		has "$(cat "$BATS_TEST_TMPDIR/out")" '^caught=TERM|^caught=INT'
	done
	run sandbox_processes
	has_not "$output" probe
}

@test "run: a command that ignores TERM is killed with its whole pid namespace after the grace" {
	local pid
	spawn "$BATS_TEST_TMPDIR/out" "$AZM" run --rm --rootfs "$ROOTFS" -- /bin/probe ignore-term
	pid=$SPAWNED
	wait_for 10 grep -q ready "$BATS_TEST_TMPDIR/out"
	kill -TERM "$pid"
	wait_for 25 test ! -d "/proc/$pid"
	run wait "$pid"
	is 137 "$status"
	run sandbox_processes
	has_not "$output" probe
}

@test "run: --help of every command names its options and ends with 0" {
	local command
	for command in run exec ps inspect logs stop kill start wait rm gc doctor version; do
		run --separate-stderr azm "$command" --help
		is 0 "$status" "$command --help"
		has "$output" "azm-sandbox $command"
	done
	run azm --help
	is 0 "$status"
}

@test "run: a wrong option is one clear line and status 125" {
	refused 125 'no-such-option' azm run --no-such-option --rootfs "$ROOTFS"
	refused 125 'unknown|no such' azm no-such-command
}
