#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# What tests/cli/crash.bats has no time for in `make check`: the processes that have less to do with a command, and
# snapshots of running sandboxes that are copied in rounds. Part of `make check-crash`.
load ../lib/common
load ../lib/crash

# A paused sandbox, too.
goes_on_again() {
	azm unpause "$NAME" >/dev/null 2>&1 || true
	goes_on
}

@test "the keeper is killed in a stop" {
	sweep azm-keeper "$RUN" "$STOP; $KEEPER_ENDS"
}

@test "the supervisor or the command is killed in a snapshot of a running sandbox that takes rounds" {
	sweep azm-sandbox "$RUN; $CHANGE_MANY" "$SNAPSHOT" goes_on
}

@test "init is killed in a snapshot of a running sandbox" {
	sweep azm-init "$RUN; $CHANGE_MANY" "$SNAPSHOT" goes_on
}

@test "the runtime server is killed in a snapshot, at work" {
	sweep azm-runtime-ser "$SERVER; $CHANGE_MANY" "$ASK & $SNAPSHOT; wait" goes_on
}

# What is frozen is of one moment.
in_order() {
	goes_on || return 1
	azm snapshots ls -q | grep -qxF "$TAG" || return 0
	has "$(azm exec "$(azm fork --name-prefix "$NAME-o" "$TAG" 1 sleep 1000)" /bin/probe order-check /order)" '^order=kept$'
}

@test "the command of a sandbox is killed in a snapshot, at work" {
	sweep azm-sandbox:probe "$RUN_ORDER; $CHANGE_MANY" "$SNAPSHOT" in_order
}

@test "the supervisor or the command is killed in a snapshot of a sandbox at work" {
	sweep azm-sandbox "$RUN_ORDER; $CHANGE_MANY" "$SNAPSHOT" in_order
}

@test "inits are killed in a fork" {
	sweep azm-init "$RUN; $CHANGE; $STOP; $SNAPSHOT" "$FORK" still_kept
}

@test "the keeper is killed in a fork" {
	sweep azm-keeper "$RUN; $CHANGE; $STOP; $SNAPSHOT" "$FORK" still_kept
}

@test "the supervisor or the command is killed in a pause" {
	sweep azm-sandbox "$RUN; $CHANGE" "'$AZM' pause $NAME >/dev/null 2>&1" goes_on_again
}

@test "the command is killed in a copy to a stopped sandbox" {
	sweep azm-sandbox "$RUN; $CHANGE; $STOP" "$COPY" still_kept
}

@test "init is killed in a copy to a stopped sandbox" {
	sweep azm-init "$RUN; $CHANGE; $STOP" "$COPY" still_kept
}

@test "the keeper, and a server at rest, make no system call in an exec and a snapshot" {
	makes_no_call azm-keeper "$RUN" "$EXEC"
	makes_no_call azm-keeper "$RUN; $CHANGE" "$SNAPSHOT"
	makes_no_call azm-runtime-ser "$SERVER" "$EXEC"
}
