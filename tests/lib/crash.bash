# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# crash.bash: kill a process of a sandbox before one system call after the other, and look at what is left.
#
#     load ../lib/common
#     load ../lib/crash
#     @test "..." { sweep azm-init "$RUN" "$STOP"; }
#
# AZM_CRASH_POINTS: kills for each test. AZM_CRASH_LOG: a file that is told how many there were.
# shellcheck disable=SC2034,SC2154 # for the suites; set by bats

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
	export NAME AZM_STATE_DIR=$BATS_TEST_TMPDIR/state
	RUN="'$AZM' run -d --name $NAME --rootfs '$ROOTFS' -v '$WORKSPACE:/workspace' -p 0:80 -- /bin/probe sleep-forever >/dev/null 2>&1"
	# It writes all the time, in an order; started again, where that would fail, it does not.
	RUN_ORDER="'$AZM' run -d --name $NAME --rootfs '$ROOTFS' -- /bin/sh -c 'mkdir /order && exec /bin/probe order /order; exec /bin/probe sleep-forever' >/dev/null 2>&1;
		until '$AZM' exec $NAME /bin/probe order-began /order >/dev/null 2>&1; do :; done"
	SERVER="'$AZM' run -d --name $NAME --rootfs '$ROOTFS' -v '$WORKSPACE:/workspace' >/dev/null 2>&1"
	STOP="'$AZM' stop -t 5 $NAME >/dev/null 2>&1"
	START="'$AZM' start $NAME >/dev/null 2>&1"
	REMOVE="'$AZM' rm -f $NAME >/dev/null 2>&1"
	EXEC="'$AZM' exec $NAME /bin/true >/dev/null 2>&1"
	TAG=tag-$NAME
	CHANGE="'$AZM' exec $NAME /bin/sh -c 'echo kept >/kept' >/dev/null 2>&1"
	# More than one round of copies is worth its time while it runs.
	CHANGE_MANY="'$AZM' exec $NAME /bin/sh -c 'mkdir /many; for i in \$(seq 100 140); do echo \$i >/many/\$i; done; dd if=/dev/zero of=/many/zero bs=1M count=5; echo kept >/kept' >/dev/null 2>&1"
	MANY=$({ seq 100 140; head -c 5242880 /dev/zero; } | md5sum | cut -d' ' -f1)
	SNAPSHOT="'$AZM' snapshot $NAME $TAG >/dev/null 2>&1"
	# The keeper ends after the last sandbox, on its own.
	KEEPER_ENDS="while ps -u $(id -u) -o stat=,comm= | grep -q '^[^Z].*azm-keeper'; do :; done"
	ASK="'$AZM' exec $NAME /bin/sh -c 'for i in 1 2 3 4 5 6; do wget -q -O /dev/null http://127.0.0.1:3000/alive; done' >/dev/null 2>&1"
	COPY="'$AZM' cp -q '$ROOTFS/bin' $NAME:/workspace/../copied >/dev/null 2>&1"
	FORK="'$AZM' fork $TAG 2 --name-prefix $NAME-f >/dev/null 2>&1"
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

# Whether a process of ours stands still that nobody will let go on.
stands() {
	# shellcheck disable=SC2009 # as above
	ps -u "$(id -u)" -o stat=,comm= | grep -E '^T.*probe'
}

nothing_stands() { [ -z "$(stands)" ]; }

# Of a sandbox that has to have survived; it may be about to end.
has_kept() {
	is_running "$NAME" || azm start "$NAME" >/dev/null || return 1
	is kept "$(azm exec "$NAME" cat /kept)"
}

still_kept() { wait_for 10 has_kept; }

# The same, and what it did goes on; a snapshot of that name is whole.
goes_on() {
	local fork
	still_kept && wait_for 10 nothing_stands || return 1
	azm snapshots ls -q | grep -qxF "$TAG" || return 0
	fork=$(azm fork --name-prefix "$NAME-g" "$TAG" 1 sleep 1000) || return 1
	is "kept $MANY" "$(azm exec "$fork" sh -c "cat /kept; cat /many/* | md5sum" | tr '\n' ' ' | cut -d' ' -f1,2)"
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

# makes_no_call NAME SETUP COMMAND
makes_no_call() {
	local before calls=
	before=$(files "$ROOTFS"; files "$WORKSPACE")
	! kill_at "$1" 1 "$2" "$3"
	is 0 "$calls" "calls of $1"
	after_kill true
}
