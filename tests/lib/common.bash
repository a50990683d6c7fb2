# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# common.bash: what every behaviour suite starts with.
#
#     load ../lib/common
#     setup_file() { make_rootfs; }          # $ROOTFS: busybox and the probe
#     teardown() { remove_sandboxes; }       # everything a test named with new_name
#
# The suites run from the checkout too (bats tests/cli/run.bats after make), as an ordinary user.

bats_require_minimum_version 1.5.0

TESTS=${AZM_TESTS:-$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)}
BUILD=${AZM_BUILD:-$TESTS/../build}
AZM=$BUILD/azm-sandbox
PROBE=$BUILD/tests/probe
export TESTS BUILD AZM PROBE LC_ALL=C
export AZM_KEEPER_GRACE=${AZM_KEEPER_GRACE:-2}

# A hang is a failure of the test, not of the run. Descriptor 3 is where bats writes its results.
azm() {
	timeout -k 5 "${AZM_LIMIT:-60}" "$AZM" "$@" 3>&-
}

# let_go NAME FILE: what the sandbox's command waits for. It may end, and the sandbox with it, before touch has ended.
let_go() {
	local status=0
	azm exec "$1" touch "$2" || status=$?
	[ "$status" -eq 0 ] || [ "$status" -eq 137 ]
}

# A root file system for the whole file, at $ROOTFS.
make_rootfs() {
	ROOTFS=$BATS_FILE_TMPDIR/rootfs
	"$TESTS/lib/rootfs.sh" "$ROOTFS" "$PROBE"
	export ROOTFS
}

# Programs of the host for $ROOTFS, with what they link to: rootfs_programs /bin/bash ...
rootfs_programs() {
	local file
	for file in "$@" $(ldd "$@" 2>/dev/null | grep -oP '\s\K/\S+' | sort -u); do
		mkdir -p "$ROOTFS$(dirname "$file")"
		cp -L "$file" "$ROOTFS$file"
	done
}

# A copy a test may spoil; hard links would spoil the original.
copy_rootfs() {
	local copy=$BATS_TEST_TMPDIR/rootfs
	cp -a "$ROOTFS" "$copy"
	echo "$copy"
}

# A name nobody else has, remembered for remove_sandboxes.
new_name() {
	local name="t$$-$BATS_TEST_NUMBER-$RANDOM"
	echo "$name" >>"$BATS_TEST_TMPDIR/names"
	echo "$name"
}

# For names that a test makes up.
remember_name() {
	echo "$1" >>"$BATS_TEST_TMPDIR/names"
}

remove_sandboxes() {
	local name
	if [ -f "$BATS_TEST_TMPDIR/pids" ]; then
		xargs kill <"$BATS_TEST_TMPDIR/pids" 2>/dev/null || true
	fi
	[ -f "$BATS_TEST_TMPDIR/names" ] || return 0
	while read -r name; do
		azm rm -f "$name" >/dev/null 2>&1 || true
	done <"$BATS_TEST_TMPDIR/names"
}

# spawn FILE COMMAND...: in the background with its output in FILE; $SPAWNED is its pid. Ended by remove_sandboxes. Bats
# waits for whoever holds its descriptor 3.
spawn() {
	local file=$1
	shift
	: >"$file" # now: nobody takes what was in it for an answer
	"$@" >"$file" 2>&1 3>&- &
	SPAWNED=$!
	echo "$SPAWNED" >>"$BATS_TEST_TMPDIR/pids"
}

# canary ADDRESS [PORT]: a server of the host that a sandbox must not reach; ADDRESS "@NAME" is an abstract socket.
canary() {
	spawn "$BATS_TEST_TMPDIR/canary-up" python3 -c '
import socket, sys, time
if sys.argv[1][0] == "@":
    s = socket.socket(socket.AF_UNIX)
    s.bind("\0" + sys.argv[1][1:])
    s.listen()
else:
    s = socket.create_server((sys.argv[1], int(sys.argv[2])))
print("up", flush=True)
time.sleep(300)' "$@"
	wait_for 10 grep -q up "$BATS_TEST_TMPDIR/canary-up"
}

# One-shot sandbox, nothing left afterwards: the form most tests use.
sandbox() {
	azm run --rm --rootfs "$ROOTFS" "$@"
}

# A detached sandbox that stays: background NAME [OPTION...] [-- COMMAND...]
background() {
	local name=$1
	shift
	case " $* " in
	*' -- '*) azm run -d --name "$name" --rootfs "$ROOTFS" "$@" ;;
	*) azm run -d --name "$name" --rootfs "$ROOTFS" "$@" -- /bin/probe sleep-forever ;;
	esac
}

# wait_for SECONDS COMMAND...: until the command succeeds; the only way a test waits. The seconds are what it may take here; a
# slow machine, or one that others use as well, has a minute at least.
wait_for() {
	local deadline=$((SECONDS + ($1 < 60 ? 60 : $1)))
	shift
	until "$@" >/dev/null 2>&1; do
		if [ "$SECONDS" -ge "$deadline" ]; then
			echo "still not true: $*"
			return 1
		fi
		sleep 0.02
	done
}

# The value of one "key=value" line of the probe, from $output or a file.
value() {
	local text=$output
	[ $# -lt 2 ] || text=$(cat "$2")
	awk -v key="$1=" 'index($0, key) == 1 { print substr($0, length(key) + 1) }' <<<"$text"
}

# is EXPECTED ACTUAL [WHAT]: equal, or both are shown.
is() {
	[ "$1" = "$2" ] && return
	echo "${3:-value}: expected '$1', got '$2'"
	[ -z "${output:-}" ] || printf 'output: %s\n' "$output"
	[ -z "${stderr:-}" ] || printf 'stderr: %s\n' "$stderr"
	return 1
}

# has TEXT PATTERN: an extended regular expression somewhere in the text.
has() {
	grep -Eq -- "$2" <<<"$1" && return
	printf "'%s' not found in: %s\n" "$2" "$1"
	return 1
}

has_not() {
	grep -Eq -- "$2" <<<"$1" || return 0
	printf "'%s' must not be in: %s\n" "$2" "$1"
	return 1
}

# refused STATUS PATTERN COMMAND...: fails with that status, one clear message in the house form, at most one hint,
# nothing on stdout, no sandbox left.
refused() {
	local want=$1 pattern=$2
	shift 2
	run --separate-stderr "$@"
	is "$want" "$status" "status of $*" || return 1
	# shellcheck disable=SC2154 # set by run
	has "$stderr" "$pattern" || return 1
	one_message || return 1
}

# stderr is one line "azm-sandbox: WHAT: WHY" and perhaps one "hint: FIX".
one_message() {
	local lines
	lines=$(grep -c '' <<<"$stderr")
	if [ "$lines" -gt 2 ] || ! head -1 <<<"$stderr" | grep -Eq '^azm-(sandbox|rootfs): ' ||
		{ [ "$lines" -eq 2 ] && ! tail -1 <<<"$stderr" | grep -q '^hint: '; }; then
		printf 'not one clear message: %s\n' "$stderr"
		return 1
	fi
}

field() { # JSON KEY: a field of one JSON object
	jq -r ".$2" <<<"$1"
}

# Processes of ours that belong to sandboxes: pid and name. The keeper of a network is not one of them.
sandbox_processes() {
	local status uid
	uid=$(id -u)
	for status in /proc/[0-9]*/status; do
		awk -v uid="$uid" '/^Name:/ { name = $2 } /^State:/ { state = $2 } /^Pid:/ { pid = $2 }
			/^Uid:/ { owner = $2 }
			END { if (owner == uid && state != "Z" && name ~ /^(azm-init|azm-sandbox|azm-runtime-ser|probe)$/)
				print pid, name }' "$status" 2>/dev/null
	done
}

# The supervisor, and who deletes its directory, may outlive the command for a moment.
no_processes_left() {
	wait_for 10 no_sandbox_processes || is '' "$(sandbox_processes)" 'processes left'
}

no_sandbox_processes() { [ -z "$(sandbox_processes)" ]; }

# A directory that the second user can enter, too: our HOME is closed, and what lies in it proves nothing. Without a
# second user, any.
shared_directory() {
	local dir=$BATS_TEST_TMPDIR
	[ -S "${AZM_OTHER_USER:-}" ] && dir=$(mktemp -d "$(dirname "$AZM_OTHER_USER")/shared-XXXXXX")
	chmod 755 "$dir"
	echo "$dir"
}

# Let the second user run a program: PATH ids.
as_other() {
	run "$TESTS/lib/other-user.py" ask "$AZM_OTHER_USER" run "$1"
}

inspect() { # NAME KEY
	azm inspect "$1" | jq -r ".[0].$2"
}

pid_of() { # NAME: pid of azm-init, from the host's view
	inspect "$1" pid
}

supervisor_of() { # NAME: its parent
	ps -o ppid= -p "$(pid_of "$1")" | tr -d ' '
}

state_of() {
	inspect "$1" state
}

is_running() { [ "$(state_of "$1")" = running ]; }
is_not_running() { ! is_running "$1"; }

# A port of the loopback that nobody listens on at the moment.
free_port() {
	python3 - <<-'END'
		import socket
		s = socket.socket()
		s.bind(("127.0.0.1", 0))
		print(s.getsockname()[1])
	END
}

# The first of COUNT ports in a row that nobody listens on, below those the kernel gives to clients.
free_range() { # COUNT
	local first
	while :; do
		first=$((20000 + RANDOM % 9000))
		[ -n "$(ss -Hltn "sport >= :$first and sport < :$((first + $1))")" ] || break
	done
	echo "$first"
}

# http URL [SECONDS]: status and body of a GET, without curl; it waits 10 seconds for each piece, or as many.
http() {
	python3 - "$@" <<-'END'
		import sys, urllib.request, urllib.error
		try:
		    patience = int(sys.argv[2]) if len(sys.argv) > 2 else 10
		    with urllib.request.urlopen(sys.argv[1], timeout=patience) as answer:
		        print(answer.status)
		        print(answer.read().decode().strip())
		except urllib.error.HTTPError as error:
		    print(error.code)
	END
}
