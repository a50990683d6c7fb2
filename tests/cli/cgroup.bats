#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# runner: cgroup
# What a delegated cgroup (version 2) gives: the freezer for pause; memory and processors where it has the controllers.
# shellcheck disable=SC2154,SC2016 # set by bats; quotes on purpose
load ../lib/common

setup_file() { make_rootfs; }
setup() {
	[ -n "${AZM_CGROUP:-}" ] || skip "cgroup v2: nobody has delegated one (root does, where it is mounted: tests/lib/as-user.sh)"
	NAME=$(new_name)
}
teardown() { remove_sandboxes; }

counting() {
	background "$NAME" "$@" -- /bin/sh -c 'i=0; while :; do i=$((i + 1)); (echo $i) > /new; mv /new /count; done'
	wait_for 10 test -s "$(inspect "$NAME" upper)/count"
}
counted() { cat "$(inspect "$NAME" upper)/count"; }
counts_on() { [ "$(counted)" != "$1" ]; }
has_controller() { grep -qw "$1" "$AZM_CGROUP/cgroup.controllers"; }

@test "cgroup v2: pause uses the freezer, which nothing inside can see; nothing is left" {
	counting
	is "$AZM_CGROUP/azm-$NAME" "$(inspect "$NAME" cgroup)"
	azm pause "$NAME"
	has "$(cat "$AZM_CGROUP/azm-$NAME/cgroup.events")" 'frozen 1'
	has_not "$(azm top "$NAME" -eo pid,stat,comm)" ' T'
	local before
	before=$(counted)
	is "$before" "$(counted)"
	azm unpause "$NAME"
	wait_for 10 counts_on "$before"
	azm pause "$NAME"
	azm stop -t 0 "$NAME"
	[ ! -e "$AZM_CGROUP/azm-$NAME" ]
}

is_removed_by() { # COMMAND...: the cgroup goes with it, once its last process has gone
	azm "$@" >/dev/null && [ ! -e "$AZM_CGROUP/azm-$NAME" ]
}

@test "cgroup v2: a killed supervisor's is removed by gc" {
	background "$NAME" >/dev/null
	[ -d "$AZM_CGROUP/azm-$NAME" ]
	kill -9 "$(inspect "$NAME" supervisor_pid)"
	wait_for 20 is_removed_by gc
}

@test "cgroup v2: --cgroup-parent names the directory; exec joins it" {
	mkdir "$AZM_CGROUP/parent"
	counting --cgroup-parent "$AZM_CGROUP/parent"
	spawn "$BATS_TEST_TMPDIR/out" "$AZM" exec "$NAME" sleep 1000
	wait_for 10 sh -c "'$AZM' top '$NAME' | grep -q 'sleep 1000'"
	is 3 "$(azm top "$NAME" -eo pid,comm | awk 'NR > 1 && $2 != "mv" { print $1 }' |
		grep -cxFf - "$AZM_CGROUP/parent/azm-$NAME/cgroup.procs")" 'azm-init, the shell and sleep'
	azm pause "$NAME"
	has "$(cat "$AZM_CGROUP/parent/azm-$NAME/cgroup.events")" 'frozen 1'
	azm rm -f "$NAME"
	rmdir "$AZM_CGROUP/parent"
}

@test "cgroup v2: a controller that the delegated cgroup lacks is named" {
	! has_controller memory || skip "cgroup v2: this host has the memory controller in it"
	refused 125 'no memory controller' azm run --rm --rootfs "$ROOTFS" --memory 64m -- true
	run --separate-stderr sandbox --memory 64m --best-effort -- echo ran
	is 0 "$status"
	has "$stderr" 'no memory controller'
}

@test "cgroup v2: --memory: out of memory is exit 137, OOMKilled and one line" {
	has_controller memory || skip "cgroup v2: this host has the memory controller in version 1"
	run --separate-stderr azm run --name "$NAME" --rootfs "$ROOTFS" --memory 32m -- /bin/sh -c \
		'dd if=/dev/zero of=/dev/null bs=200M count=1'
	is 137 "$status"
	is 1 "$(grep -c 'ran out of memory' <<<"$stderr")"
	is true "$(inspect "$NAME" oom_killed)"
	has "$(azm logs "$NAME")" 'out of memory'
}

@test "cgroup v2: --cpus" {
	has_controller cpu || skip "cgroup v2: this host has the cpu controller in version 1"
	background "$NAME" --cpus 0.5
	is "$AZM_CGROUP/azm-$NAME" "$(inspect "$NAME" cgroup)"
	is '50000 100000' "$(cat "$AZM_CGROUP/azm-$NAME/cpu.max")"
}
