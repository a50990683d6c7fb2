#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# Frozen states of sandboxes: snapshot, fork, rollback, diff, snapshots ls, inspect and rm.
# shellcheck disable=SC2153,SC2154,SC2016,SC2030,SC2031 # set by bats; quotes on purpose; every test is a subshell
load ../lib/common

setup_file() {
	make_rootfs
	mkdir -p "$ROOTFS/opt/a/deep" "$ROOTFS/opt/b" "$ROOTFS/opt/c"
	echo image >"$ROOTFS/opt/a/deep/file"
	echo image >"$ROOTFS/opt/b/file"
	echo image >"$ROOTFS/opt/c/file"
	# A state directory of its own: what is left in it at the end is this suite's.
	export AZM_STATE_DIR=$BATS_FILE_TMPDIR/state
}

setup() {
	NAME=$(new_name)
	TAG=tag-$NAME
}

teardown() {
	remove_sandboxes
	azm snapshots ls -q | while read -r tag; do
		case $tag in
		"$TAG"*) azm snapshots rm "$tag" >/dev/null ;;
		esac
	done
	# Nothing stands on a layer any more.
	is lock "$(ls "$AZM_STATE_DIR/layers" 2>/dev/null || echo lock)"
}

# inside SCRIPT: change the state of $NAME, which then is stopped
inside() {
	if [ -d "$AZM_STATE_DIR/sandboxes/$NAME" ]; then
		azm start "$NAME" >/dev/null
	else
		background "$NAME" >/dev/null
	fi
	azm exec "$NAME" sh -ec "$1"
	azm stop -t 0 "$NAME" >/dev/null
}

counts_beyond() { # NUMBER: whether the loop in $NAME has gone on
	[ "$(azm exec "$NAME" cat /last)" -gt "$1" ]
}

forked() { # TAG SCRIPT: what a fork of it says, and ends
	azm fork --rm --name-prefix "$NAME-f$RANDOM" "$1" 1 sleep 1000 >"$BATS_TEST_TMPDIR/fork"
	local name
	name=$(cat "$BATS_TEST_TMPDIR/fork")
	remember_name "$name"
	azm exec "$name" sh -c "$2" || echo "status $?"
	azm rm -f "$name" >/dev/null
}

@test "a snapshot of a stopped sandbox is a layer below an empty one, and the sandbox is the same" {
	inside 'echo one >/new; rm /etc/issue; chmod 711 /'
	run azm snapshot "$NAME" "$TAG"
	is 0 "$status" status
	is "$TAG" "$output"
	is '' "$(ls -A "$AZM_STATE_DIR/sandboxes/$NAME/upper")"
	is 1 "$(azm inspect "$NAME" | jq '.[0].config.layers | length')"
	azm start "$NAME" >/dev/null
	run azm exec "$NAME" sh -c 'cat /new; ls /etc/issue; stat -c %a /'
	has "$output" 'one'
	has "$output" 'No such file'
	has "$output" '711'
}

@test "a snapshot is refused where it makes no sense" {
	refused 125 'no such sandbox' azm snapshot "$NAME" "$TAG"
	inside true
	refused 125 'not a valid name' azm snapshot "$NAME" ../x
	refused 125 'a sandbox has that name' azm snapshot "$NAME" "$NAME"
	refused 125 'needs the NAME of a sandbox and a TAG' azm snapshot "$NAME"
	azm snapshot "$NAME" "$TAG"
	refused 125 'there is one of that name' azm snapshot "$NAME" "$TAG"
	refused 125 'no such snapshot' azm snapshots rm "$TAG-other"
	refused 125 'no such sandbox or snapshot' azm fork "$TAG-other"
	refused 125 'how many' azm fork "$TAG" 0
	refused 125 'how many' azm fork "$TAG" x
	refused 125 'no such snapshot' azm rollback "$NAME" "$TAG-other"
	azm rm "$NAME"
	background "$NAME" --rootfs-mode read-only
	refused 125 'no writable layer' azm snapshot "$NAME" "$TAG-2"
	refused 125 'no writable layer' azm diff "$NAME"
}

@test "while a stopped sandbox is snapshotted, another snapshot or fork of it says that" {
	inside 'echo one >/new'
	# The lock as the first command has it, for as long as it is looked at.
	local lock=$AZM_STATE_DIR/sandboxes/$NAME/lock said='take a snapshot of .*: a snapshot of it is being taken'
	exec 7<>"$lock"
	flock -n 7
	printf 'a snapshot of it is being taken' >&7
	refused 125 "$said" azm snapshot "$NAME" "$TAG"
	has "$stderr" 'hint: try again'
	refused 125 "$said" azm fork "$NAME"
	refused 125 'being taken' azm rm "$NAME"
	exec 7>&-
	# What it had said is not taken for somebody's who has the lock now.
	azm snapshot "$NAME" "$TAG"
	is one "$(forked "$TAG" 'cat /new')"
}

@test "deleted, replaced and renamed directories stay what they were across snapshots" {
	inside 'rm -r /opt/a; rm -r /opt/b; mkdir /opt/b; echo new >/opt/b/new; mv /opt/c/file /opt/c/moved; mkdir -p /own/x; echo 1 >/own/x/y'
	azm snapshot "$NAME" "$TAG-1"
	inside 'mkdir /opt/a; echo again >/opt/a/again; mv /own /renamed || { cp -a /own /renamed; rm -r /own; }; rm /opt/b/new; ln /opt/c/moved /opt/c/twin'
	azm snapshot "$NAME" "$TAG-2"
	inside 'rm -r /opt/a /renamed; mkdir /opt/b/deep; touch /opt/b/deep/f'
	azm snapshot "$NAME" "$TAG-3"
	local look='cd /opt; find a b c | sort | tr "\n" " "; cat c/moved; ls -d /own /renamed 2>/dev/null'
	is 'b b/new c c/moved image /own' "$(forked "$TAG-1" "$look" | grep -v 'No such\|status' | xargs)"
	is 'a a/again b c c/moved c/twin image /renamed' "$(forked "$TAG-2" "$look" | grep -v 'No such\|status' | xargs)"
	is 'b b/deep b/deep/f c c/moved c/twin image' "$(forked "$TAG-3" "$look" | grep -v 'No such\|status' | xargs)"
	# The image underneath is what it was.
	is image "$(cat "$ROOTFS/opt/a/deep/file")"
}

@test "a running sandbox goes on while its state is frozen: open files, mappings, sockets, locks" {
	background "$NAME" -- sh -c 'i=0; exec 3>/log; while :; do i=$((i + 1)); echo "$i" >&3; echo "$i" >/last.new; mv /last.new /last; done'
	wait_for 10 azm exec "$NAME" test -s /last
	azm exec "$NAME" sh -c 'mkfifo /fifo; mkdir /closed; echo x >/closed/x; chmod 000 /closed; dd if=/dev/zero of=/sparse bs=1 count=1 seek=100000000 2>/dev/null; echo text >/twin1; ln /twin1 /twin2; ln -s /nowhere /link'
	azm snapshot "$NAME" "$TAG"
	is running "$(state_of "$NAME")"
	local before
	before=$(azm exec "$NAME" cat /last)
	wait_for 10 counts_beyond "$before"
	# What the loop wrote last in both files was of one moment: never more than a line apart.
	run forked "$TAG" 'a=$(cat /last); b=$(tail -n 1 /log); echo "apart $((b - a))"; test -p /fifo && echo fifo; chmod 700 /closed; cat /closed/x; du -k /sparse | cut -f1; [ "$(stat -c %i /twin1)" = "$(stat -c %i /twin2)" ] && echo twins; readlink /link'
	has "$output" 'apart [01]$'
	has "$output" '^fifo$'
	has "$output" '^x$'
	has "$output" '^twins$'
	has "$output" '^/nowhere$'
	[ "$(grep -E '^[0-9]+$' <<<"$output" | head -n 1)" -lt 1000 ]
}

order_is_kept() { # TAG: whether the files of `probe order` in it are of one moment
	azm snapshot --json "$NAME" "$1" | jq -e '.frozen_ms >= 0' >/dev/null
	run forked "$1" '/bin/probe order-check /order'
	has "$output" '^order=kept$'
}

@test "a snapshot is one moment of all files, whichever way they are written: also through mappings" {
	background "$NAME" -- sh -ec 'mkdir /order /cold; dd if=/dev/zero of=/cold/large bs=1M count=12 2>/dev/null
		for i in $(seq 50); do echo "$i" >"/cold/$i"; done; exec /bin/probe order /order'
	wait_for 30 azm exec "$NAME" /bin/probe order-began /order
	order_is_kept "$TAG-1"
	order_is_kept "$TAG-2"
	# What is known of a mapping is its name; this file has another one.
	azm exec "$NAME" rm /order/twin-mapped
	order_is_kept "$TAG-3"
	is '1275 12582912' "$(forked "$TAG-3" 'cat /cold/[0-9]* | { s=0; while read -r i; do s=$((s + i)); done; echo $s; }; stat -c %s /cold/large' | xargs)"
	# Copies that were made ahead and not used are gone.
	is '' "$(find "$AZM_STATE_DIR/layers" -name ready)"
	azm snapshots ls -q | grep "^$TAG" | xargs "$AZM" snapshots rm >/dev/null
}

@test "a fork of a running sandbox has its state and not its future" {
	background "$NAME" >/dev/null
	azm exec "$NAME" sh -c 'echo past >/file; chmod 711 /'
	azm fork "$NAME" 2 --name-prefix "$NAME-f" >"$BATS_TEST_TMPDIR/names.new"
	cat "$BATS_TEST_TMPDIR/names.new" >>"$BATS_TEST_TMPDIR/names"
	azm exec "$NAME" sh -c 'echo future >/file'
	is running "$(state_of "$NAME")"
	is past "$(azm exec "$NAME-f-1" cat /file)"
	azm exec "$NAME-f-1" sh -c 'echo own >/file'
	is past "$(azm exec "$NAME-f-2" cat /file)"
	is "$(azm exec "$NAME" stat -c '%a %u %Y' /)" "$(azm exec "$NAME-f-2" stat -c '%a %u %Y' /)"
	is future "$(azm exec "$NAME" cat /file)"
}

@test "a paused sandbox stays paused while it is frozen; one without changes makes no new layer" {
	background "$NAME" >/dev/null
	azm exec "$NAME" touch /new
	azm pause "$NAME"
	azm snapshot "$NAME" "$TAG-1"
	is paused "$(state_of "$NAME")"
	azm unpause "$NAME"
	is running "$(state_of "$NAME")"
	azm exec "$NAME" true
	azm stop -t 0 "$NAME"
	azm snapshot "$NAME" "$TAG-2"
	local layers
	layers=$(find "$AZM_STATE_DIR/layers" -maxdepth 1 | wc -l)
	azm snapshot "$NAME" "$TAG-3"
	is "$layers" "$(find "$AZM_STATE_DIR/layers" -maxdepth 1 | wc -l)"
	is '' "$(azm diff "$NAME" "$TAG-1")"
}

@test "two hundred forks of one state share its layers" {
	inside 'dd if=/dev/zero of=/blob bs=1M count=4 2>/dev/null'
	azm snapshot "$NAME" "$TAG"
	AZM_LIMIT=120 azm fork --rm "$TAG" 200 /bin/probe sleep-forever >"$BATS_TEST_TMPDIR/forks"
	cat "$BATS_TEST_TMPDIR/forks" >>"$BATS_TEST_TMPDIR/names"
	is 200 "$(sort -u "$BATS_TEST_TMPDIR/forks" | wc -l)"
	is 200 "$(azm ps -q | grep -cFx -f "$BATS_TEST_TMPDIR/forks")"
	# 800 MiB if each had a copy.
	[ "$(du -sm "$AZM_STATE_DIR" | cut -f1)" -lt 100 ]
	xargs "$AZM" rm -f <"$BATS_TEST_TMPDIR/forks" >/dev/null
}

@test "forks have keys and ports of their own and may run another command" {
	local port
	port=$(free_port)
	background "$NAME" -p "$port:8000" --hostname box >/dev/null
	azm fork "$NAME" 2 --name-prefix "$NAME-f" --rm --json -- sleep 1000 >"$BATS_TEST_TMPDIR/json"
	printf '%s\n' "$NAME-f-1" "$NAME-f-2" >>"$BATS_TEST_TMPDIR/names"
	is 2 "$(wc -l <"$BATS_TEST_TMPDIR/json")"
	is 3 "$({
		echo "$port"
		jq '.ports[0].host_port' "$BATS_TEST_TMPDIR/json"
	} | sort -u | wc -l)"
	is 3 "$({
		azm inspect "$NAME"
		azm inspect "$NAME-f-1" "$NAME-f-2"
	} | jq -r '.[].config.api_key' | sort -u | wc -l)"
	is '["sleep","1000"]' "$(azm inspect "$NAME-f-1" | jq -c '.[0].config.command')"
}

@test "diff says what changed since the image and since a snapshot" {
	inside 'echo 1 >/new; rm /etc/issue; mkdir -p /d/e; echo 1 >/opt/b/file; rm -r /opt/a'
	local expected='A /d A /d/e C /etc D /etc/issue A /new C /opt D /opt/a C /opt/b C /opt/b/file'
	is "$expected" "$(azm diff "$NAME" | xargs)"
	azm snapshot "$NAME" "$TAG"
	is "$expected" "$(azm diff "$NAME" | xargs)"
	is '' "$(azm diff "$NAME" "$TAG")"
	inside 'rm -r /d; mkdir /opt/a; chmod 700 /opt/c; echo 2 >/new'
	is 'D /d C /new C /opt A /opt/a C /opt/c' "$(azm diff "$NAME" "$TAG" | xargs)"
	is '{"kind":"D","path":"/d"}' "$(azm diff --json "$NAME" "$TAG" | jq -c '.[0]')"
}

@test "diff of a running sandbox, and names that would drive a terminal" {
	background "$NAME" >/dev/null
	azm exec "$NAME" sh -c 'touch "/$(printf "\033[31mred")"'
	azm snapshot "$NAME" "$TAG"
	is '' "$(azm diff "$NAME" "$TAG")"
	run azm diff "$NAME"
	has "$output" '^A /.\[31mred$'
	has_not "$output" $'\033'
}

@test "rollback is refused while it runs, and brings back every file when it does not" {
	inside 'echo good >/state; mkdir /keep; echo k >/keep/k'
	azm snapshot "$NAME" "$TAG"
	inside 'echo bad >/state; rm -r /keep; echo more >/more'
	azm start "$NAME" >/dev/null
	refused 125 'it is running' azm rollback "$NAME" "$TAG"
	azm stop -t 0 "$NAME" >/dev/null
	run azm rollback "$NAME" "$TAG"
	is "$NAME" "$output"
	is '' "$(azm diff "$NAME" "$TAG")"
	azm start "$NAME" >/dev/null
	is 'good k' "$(azm exec "$NAME" cat /state /keep/k | xargs)"
	run azm exec "$NAME" cat /more
	has "$output" 'No such file'
}

@test "rollback --restart stops it, and starts it again" {
	background "$NAME" >/dev/null
	azm snapshot "$NAME" "$TAG"
	azm exec "$NAME" touch /later
	azm rollback --restart "$NAME" "$TAG"
	is running "$(state_of "$NAME")"
	run azm exec "$NAME" ls /later
	has "$output" 'No such file'
}

@test "rollback to a state of another image is refused" {
	inside true
	azm snapshot "$NAME" "$TAG"
	local other
	other=$(new_name)
	azm run --rootfs "$(copy_rootfs)" --name "$other" -- true
	refused 125 'another image' azm rollback "$other" "$TAG"
	refused 125 'another image' azm diff "$other" "$TAG"
}

@test "copy-on-write volumes are part of the state" {
	mkdir "$BATS_TEST_TMPDIR/ws"
	echo host >"$BATS_TEST_TMPDIR/ws/file"
	azm run -d --name "$NAME" --rootfs "$ROOTFS" -v "$BATS_TEST_TMPDIR/ws:/ws:overlay" -- /bin/probe sleep-forever
	azm exec "$NAME" sh -c 'echo one >/ws/file; echo one >/ws/one; chmod 711 /ws'
	azm snapshot "$NAME" "$TAG-1"
	azm stop -t 0 "$NAME" >/dev/null
	azm snapshot "$NAME" "$TAG-2"
	azm start "$NAME" >/dev/null
	is 711 "$(azm exec "$NAME" stat -c %a /ws)"
	azm exec "$NAME" sh -c 'rm /ws/file; echo two >/ws/one; chmod 700 /ws'
	is 'one one 711' "$(forked "$TAG-1" 'cat /ws/file /ws/one; stat -c %a /ws' | xargs)"
	is 'one one' "$(forked "$TAG-2" 'cat /ws/file /ws/one' | xargs)"
	azm rollback --restart "$NAME" "$TAG-2"
	is 'one one 711' "$(azm exec "$NAME" sh -c 'cat /ws/file /ws/one; stat -c %a /ws' | xargs)"
	is host "$(cat "$BATS_TEST_TMPDIR/ws/file")"
}

@test "what cannot be listed or opened is an error, and the sandbox is what it was" {
	local layer
	mkdir "$BATS_TEST_TMPDIR/ws"
	azm run -d --name "$NAME" --rootfs "$ROOTFS" -v "$BATS_TEST_TMPDIR/ws:/ws:overlay" -- /bin/probe sleep-forever
	azm exec "$NAME" sh -c 'echo one >/ws/one'
	azm stop -t 0 "$NAME" >/dev/null
	azm snapshot "$NAME" "$TAG-1"
	refused 125 'Input/output error' "$BUILD/tests/deny" getdents64=EIO "$AZM" snapshot "$NAME" "$TAG-2"
	refused 125 'Input/output error' "$BUILD/tests/deny" getdents64=EIO "$AZM" rollback "$NAME" "$TAG-1"
	layer=$(echo "$AZM_STATE_DIR"/layers/*/volume-[0-9]*)
	mv "$layer" "$layer.away"
	: >"$layer"
	refused 125 'Not a directory' azm rollback "$NAME" "$TAG-1"
	rm "$layer"
	mv "$layer.away" "$layer"
	azm rollback "$NAME" "$TAG-1"
	azm start "$NAME"
	is one "$(azm exec "$NAME" cat /ws/one)"
}

@test "many snapshots do not make a deep stack" {
	background "$NAME" >/dev/null
	azm exec "$NAME" sh -c 'rm -r /opt/a; echo 0 >/count'
	azm stop -t 0 "$NAME" >/dev/null
	local i upper=$AZM_STATE_DIR/sandboxes/$NAME/upper
	for i in $(seq 40); do
		# As the sandbox would leave it: a new file, a changed one, a deleted one, an opaque directory.
		echo "$i" >"$upper/count"
		echo "$i" >"$upper/file-$i"
		[ "$i" -ne 20 ] || mknod "$upper/file-5" c 0 0
		azm snapshot "$NAME" "$TAG-$i" >/dev/null
	done
	[ "$(azm inspect "$NAME" | jq '.[0].config.layers | length')" -le 32 ]
	azm start "$NAME" >/dev/null
	is 40 "$(azm exec "$NAME" cat /count)"
	is 39 "$(azm exec "$NAME" sh -c 'ls -d /file-*' | wc -l)"
	run azm exec "$NAME" ls /opt
	is 'b c' "$(xargs <<<"$output")"
	is '7 7' "$(forked "$TAG-7" 'cat /count; ls -d /file-* | wc -l' | xargs)"
	azm snapshots ls -q | grep "^$TAG" | xargs "$AZM" snapshots rm >/dev/null
}

@test "snapshots outlive their sandbox; their layers go with the last that stands on them" {
	inside 'echo one >/new'
	azm snapshot "$NAME" "$TAG"
	azm rm "$NAME" >/dev/null
	is one "$(forked "$TAG" 'cat /new')"
	azm fork "$TAG" 1 --name-prefix "$NAME-f" >/dev/null
	remember_name "$NAME-f-1"
	azm snapshots rm "$TAG" >/dev/null
	azm gc
	is one "$(azm exec "$NAME-f-1" cat /new)"
	azm rm -f "$NAME-f-1" >/dev/null
}

@test "snapshots ls and inspect show what there is" {
	inside 'echo one >/new'
	azm snapshot --json "$NAME" "$TAG" | jq -e ".tag == \"$TAG\" and .own_layers == 1"
	azm snapshots ls --json | jq -e "map(select(.tag == \"$TAG\"))[0].sandbox == \"$NAME\""
	is "$TAG" "$(azm inspect "$NAME" | jq -r '.[0].snapshots | join(" ")')"
	run azm snapshots ls
	has "$output" "^TAG "
	has "$output" "^$TAG +$NAME "
	azm snapshots inspect "$TAG" | jq -e ".[0].config.rootfs == \"$ROOTFS\" and .[0].config.api_key == null and (.[0].layers | length) == 1"
}

@test "a snapshot killed at any moment leaves a usable sandbox and a running one running" {
	inside 'echo 1 >/state; for i in $(seq 200); do echo $i >/f$i; done'
	local delay total
	for delay in 0 0.001 0.002 0.003 0.004 0.005 0.007 0.01 0.02; do
		"$AZM" snapshot "$NAME" "$TAG-$delay" >/dev/null 2>&1 3>&- &
		local pid=$!
		sleep "$delay"
		kill -9 "$pid" 2>/dev/null || true
		wait "$pid" 2>/dev/null || true
		total=$(azm diff "$NAME" | wc -l)
		is 201 "$total" "after $delay seconds"
	done
	azm start "$NAME" >/dev/null
	for delay in 0 0.001 0.002 0.004 0.006 0.01 0.02 0.05; do
		"$AZM" snapshot "$NAME" "$TAG-r$delay" >/dev/null 2>&1 3>&- &
		local pid=$!
		sleep "$delay"
		kill -9 "$pid" 2>/dev/null || true
		wait "$pid" 2>/dev/null || true
		is 1 "$(azm exec "$NAME" cat /state)"
	done
	azm gc
}

@test "a rollback killed at any moment is one or the other state" {
	inside 'echo good >/state'
	azm snapshot "$NAME" "$TAG"
	local delay now
	for delay in 0 0.001 0.002 0.003 0.004 0.005 0.007 0.01 0.02; do
		inside 'echo bad >/state; echo x >/x'
		"$AZM" rollback "$NAME" "$TAG" >/dev/null 2>&1 3>&- &
		local pid=$!
		sleep "$delay"
		kill -9 "$pid" 2>/dev/null || true
		wait "$pid" 2>/dev/null || true
		now=$(azm diff "$NAME" "$TAG" | xargs)
		[ -z "$now" ] || is 'C /state A /x' "$now" "after $delay seconds"
	done
}

@test "an image of the store stays below a snapshot, and an image can be made of a fork" {
	export AZM_IMAGE_STORE=$BATS_TEST_TMPDIR/store
	local rootfs=$BUILD/azm-rootfs
	inside 'echo base >/base; rm /etc/issue'
	azm commit "$NAME" "azm:base$$" >/dev/null
	local other
	other=$(new_name)
	azm run -d --name "$other" --rootfs "azm:base$$" -- /bin/probe sleep-forever >/dev/null
	azm exec "$other" sh -c 'echo own >/own'
	azm snapshot "$other" "$TAG" >/dev/null
	is 'A /own' "$(azm diff "$other")"
	azm rm -f "$other" >/dev/null
	azm fork "$TAG" 1 --name-prefix "$NAME-f" >/dev/null
	remember_name "$NAME-f-1"
	azm exec "$NAME-f-1" sh -c 'echo forked >/forked'
	azm stop -t 0 "$NAME-f-1" >/dev/null
	azm commit "$NAME-f-1" "$BATS_TEST_TMPDIR/image" >/dev/null
	is 'base own forked' "$(cd "$BATS_TEST_TMPDIR/image/rootfs" && cat base own forked | xargs)"
	azm rm "$NAME-f-1" >/dev/null
	"$rootfs" rm --force "azm:base$$" >/dev/null
	"$rootfs" gc >/dev/null
	is 'base own' "$(forked "$TAG" 'cat /base /own; ls /etc/issue 2>/dev/null' | grep -v status | xargs)"
}
