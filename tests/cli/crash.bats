#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# Each process of a sandbox is killed before one system call after the other of a start, an exec, a stop; then nothing may
# be left, and the next command works. AZM_CRASH_POINTS kills for each test (`make check-crash`), a few otherwise.
load ../lib/common
load ../lib/crash

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
	sweep azm-sandbox "$RUN; $CHANGE; $STOP; $SNAPSHOT" "$FORK" still_kept
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
