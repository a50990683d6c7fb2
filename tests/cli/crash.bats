#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# Each process of a sandbox is killed before one system call after the other of a start, an exec, a stop; then nothing may
# be left, and the next command works. AZM_CRASH_POINTS kills for each test (`make check-crash`), a few otherwise.
# shellcheck disable=SC2154 # set by bats
load ../lib/common

setup_file() {
	make_rootfs
	WORKSPACE=$BATS_FILE_TMPDIR/workspace
	mkdir -p "$WORKSPACE/.git/hooks" "$WORKSPACE/src"
	echo text >"$WORKSPACE/src/file"
	export WORKSPACE
	export AZM_KEEPER_GRACE=0
}
setup() {
	NAME=$(new_name)
	export NAME
	RUN="'$AZM' run -d --name $NAME --rootfs '$ROOTFS' -v '$WORKSPACE:/workspace' -p 0:80 -- /bin/probe sleep-forever >/dev/null 2>&1"
	SERVER="'$AZM' run -d --name $NAME --rootfs '$ROOTFS' -v '$WORKSPACE:/workspace' >/dev/null 2>&1"
	STOP="'$AZM' stop -t 5 $NAME >/dev/null 2>&1"
	START="'$AZM' start $NAME >/dev/null 2>&1"
	REMOVE="'$AZM' rm -f $NAME >/dev/null 2>&1"
	EXEC="'$AZM' exec $NAME /bin/true >/dev/null 2>&1"
}
teardown() { remove_sandboxes; }

# What a kill must leave as it was, by name, mode, size, time and content. The time of a directory tells that the guard
# held a name in it.
files() {
	(cd "$1" && find . -type d -printf '%p %y %m\n' -o -printf '%p %y %m %s %T@ %l\n' | sort && find . -type f -exec sha256sum {} + | sort)
}

ours() {
	# shellcheck disable=SC2009 # pgrep cannot leave zombies out
	ps -u "$(id -u)" -o stat=,pid=,comm= | grep -E '^[^Z].*(azm-|probe)'
}

nothing_runs() { [ -z "$(ours)" ]; }

# Directories of sandboxes: those that are kept for the next ones have no name.
directories() {
	find "$XDG_DATA_HOME" -path '*/sandboxes/*' -prune ! -name '.spare-*' -print
}

after_kill() {
	local out
	out=$(azm rm -f "$NAME" 2>&1) || has "$out" 'no such sandbox' || { echo "rm -f: $out"; return 1; }
	wait_for 30 nothing_runs || { ours; return 1; }
	is '' "$(azm ps -aq)" 'sandboxes' || return 1
	out=$(azm run --rm --name "$NAME" --rootfs "$ROOTFS" -v "$WORKSPACE:/workspace" -- /bin/echo works 2>&1) || { echo "$out"; return 1; }
	is works "$out" 'the next run' || return 1
	wait_for 30 nothing_runs || { ours; return 1; }
	azm gc
	is '' "$(directories)" 'directories left' || return 1
	is '' "$(grep -F "$HOME" /proc/self/mountinfo)" 'mounts left' || return 1
	diff <(echo "$before") <(files "$ROOTFS"; files "$WORKSPACE") || { echo 'image or workspace differ'; return 1; }
}

# sweep NAME SETUP COMMAND: kill that process at AZM_CRASH_POINTS points of all its calls, evenly spread.
sweep() {
	local points=${AZM_CRASH_POINTS:-3} calls point killed=0 before status out
	before=$(files "$ROOTFS"; files "$WORKSPACE")
	out=$("$BUILD/tests/crash" "$1" 1000000 "$2" "$3" 3>&-) || is 3 $? "$out"
	calls=${out#*only } calls=${calls% calls}
	[ "$calls" -gt 0 ]
	after_kill || { echo "without a kill"; return 1; }
	[ "$points" -lt "$calls" ] || points=$calls
	for point in $(seq "$points"); do
		point=$(((point * calls - calls / 2) / points))
		status=0
		out=$("$BUILD/tests/crash" "$1" "$((point > 0 ? point : 1))" "$2" "$3" 3>&-) || status=$?
		case $status in
		0) killed=$((killed + 1)) ;;
		3) ;; # it was quicker this time
		*) is 0 "$status" "crash: $out" || return 1 ;;
		esac
		after_kill || { echo "$out"; return 1; }
	done
	echo "$1: $killed kills among $calls calls" | tee -a "${AZM_CRASH_LOG:-/dev/null}"
	[ "$killed" -gt $((points / 2)) ]
}

@test "the supervisor or the command is killed in a start" {
	sweep azm-sandbox true "$RUN"
}

@test "init is killed in a start" {
	sweep azm-init true "$RUN"
}

@test "the keeper is killed in a start" {
	sweep azm-keeper true "$RUN"
}

@test "the runtime server is killed in a start" {
	sweep azm-runtime-ser true "$SERVER"
}

@test "the supervisor or the command is killed in an exec" {
	sweep azm-sandbox "$RUN" "$EXEC"
}

@test "init is killed in an exec" {
	sweep azm-init "$RUN" "$EXEC"
}

@test "the supervisor or the command is killed in a stop" {
	sweep azm-sandbox "$RUN" "$STOP"
}

@test "init is killed in a stop" {
	sweep azm-init "$RUN" "$STOP"
}

@test "the runtime server is killed in a stop" {
	sweep azm-runtime-ser "$SERVER" "$STOP"
}

@test "the supervisor or the command is killed in another start" {
	sweep azm-sandbox "$RUN; $STOP" "$START"
}

@test "the supervisor or the command is killed in a removal" {
	sweep azm-sandbox "$RUN" "$REMOVE"
}

@test "gc is killed" {
	sweep azm-sandbox "$RUN; pkill -KILL -u $(id -u) azm-sandbox; true" "'$AZM' gc"
}
