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
	export AZM_KEEPER_GRACE=0 AZM_STATE_DIR=$BATS_FILE_TMPDIR/state
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
	TAG=tag-$NAME
	CHANGE="'$AZM' exec $NAME /bin/sh -c 'echo kept >/kept' >/dev/null 2>&1"
	SNAPSHOT="'$AZM' snapshot $NAME $TAG >/dev/null 2>&1"
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

# Directories of sandboxes, but for those that are kept for the next ones and have no name, and frozen layers.
directories() {
	find "$AZM_STATE_DIR" \( -path '*/sandboxes/*' ! -name '.spare-*' -o -path '*/layers/*' ! -name lock -o -path '*/snapshots/*' \) -prune -print
}

# Of a sandbox that has to have survived.
still_kept() {
	is_running "$NAME" || azm start "$NAME" >/dev/null || return 1
	is kept "$(azm exec "$NAME" cat /kept)"
}

after_kill() {
	local out name
	eval "$1" || { echo "not true: $1"; return 1; }
	for name in "$NAME" $(azm ps -aq); do
		out=$(azm rm -f "$name" 2>&1) || has "$out" 'no such sandbox' || { echo "rm -f: $out"; return 1; }
	done
	out=$(azm snapshots rm "$TAG" 2>&1) || has "$out" 'no such snapshot' || { echo "snapshots rm: $out"; return 1; }
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

# kill_at NAME POINT SETUP COMMAND: sets $out; 1: it made fewer calls this time, and $calls is how many
kill_at() {
	local status=0
	out=$("$BUILD/tests/crash" "$1" "$2" "$3" "$4" 3>&-) || status=$?
	[ "$status" -ne 0 ] || return 0
	is 3 "$status" "crash: $out" || return 2
	calls=${out#*only } calls=${calls% calls}
	return 1
}

# sweep NAME SETUP COMMAND [CHECK]: kill that process at AZM_CRASH_POINTS points of all its calls, evenly spread. CHECK has to
# be true afterwards.
sweep() {
	local points=${AZM_CRASH_POINTS:-2} i tries calls killed=0 before out
	before=$(files "$ROOTFS"; files "$WORKSPACE")
	! kill_at "$1" 1000000 "$2" "$3"
	[ "$calls" -gt 0 ]
	after_kill "${4:-true}" || { echo "without a kill"; return 1; }
	[ "$points" -lt "$calls" ] || points=$calls
	for ((i = 1; i <= points; i++)); do
		for ((tries = 0; tries < 3; tries++)); do
			kill_at "$1" $((i * calls / (points + 1) + 1)) "$2" "$3" && killed=$((killed + 1)) && tries=3
			after_kill "${4:-true}" || { echo "$out"; return 1; }
		done
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

@test "the command is killed in a snapshot of a stopped sandbox" {
	sweep azm-sandbox "$RUN; $CHANGE; $STOP" "$SNAPSHOT" still_kept
}

@test "the supervisor or the command is killed in a snapshot of a running sandbox" {
	sweep azm-sandbox "$RUN; $CHANGE" "$SNAPSHOT" still_kept
}

@test "the supervisors or the command are killed in a fork" {
	sweep azm-sandbox "$RUN; $CHANGE; $STOP; $SNAPSHOT" "'$AZM' fork $TAG 2 --name-prefix $NAME-f >/dev/null 2>&1" still_kept
}

@test "the command is killed in a rollback" {
	sweep azm-sandbox "$RUN; $CHANGE; $STOP; $SNAPSHOT" "'$AZM' rollback $NAME $TAG >/dev/null 2>&1" still_kept
}

@test "the command is killed in the removal of a snapshot" {
	sweep azm-sandbox "$RUN; $CHANGE; $STOP; $SNAPSHOT" "'$AZM' snapshots rm $TAG >/dev/null 2>&1" still_kept
}

@test "what kills left is taken away: an empty directory by rm, a half-written snapshot by gc" {
	sandbox -- /bin/true
	mkdir "$AZM_STATE_DIR/sandboxes/$NAME"
	run azm rm "$NAME"
	is "0 $NAME" "$status $output"
	(umask 077 && mkdir -p "$AZM_STATE_DIR"/{layers,snapshots})
	: >"$AZM_STATE_DIR/snapshots/..half.1.1"
	azm gc
	is '' "$(directories)"
}
