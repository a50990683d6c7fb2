#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# Volumes with a name, and --mount.
# shellcheck disable=SC2154,SC2016 # set by bats; quotes on purpose
load ../lib/common

setup_file() {
	make_rootfs
	mkdir -p "$ROOTFS/data/sub" "$ROOTFS/hollow"
	echo from-image >"$ROOTFS/data/file"
	ln -s file "$ROOTFS/data/link"
	ln -s /etc/passwd "$ROOTFS/data/out"
	chmod 700 "$ROOTFS/data/sub"
	touch -d @1500000000 "$ROOTFS/data/file"
}
setup() {
	VOLUME=v$$-$BATS_TEST_NUMBER
	cd "$BATS_TEST_TMPDIR" || return
}
teardown() {
	remove_sandboxes
	azm volume rm -f "$VOLUME" >/dev/null 2>&1 || true
}

data() { azm volume inspect "$VOLUME" | jq -r '.[0].mountpoint'; }

@test "volume create, ls, inspect, rm" {
	is "$VOLUME" "$(azm volume create --label a=b "$VOLUME")"
	is "$VOLUME" "$(azm volume create "$VOLUME")"
	has "$(azm volume ls)" "^$VOLUME "
	has "$(azm volume ls -q)" "^$VOLUME$"
	is b "$(azm volume ls --json | jq -r ".[] | select(.name == \"$VOLUME\") | .labels.a")"
	[ -d "$(data)" ]
	is "$VOLUME" "$(azm volume rm "$VOLUME")"
	refused 125 'no such volume' azm volume inspect "$VOLUME" || [ "$output" = '[]' ]
	refused 125 'no such volume' azm volume rm "$VOLUME"
	azm volume rm -f "$VOLUME"
	refused 125 'name' azm volume create ../evil
	refused 125 'needs one NAME' azm volume create
}

@test "-v NAME:/path: made at first use, kept for the next sandbox, not in either's layer" {
	sandbox -v "$VOLUME:/hollow" -- sh -c 'echo kept > /hollow/note'
	is kept "$(sandbox -v "$VOLUME:/elsewhere" -- cat /elsewhere/note)"
	run sandbox -v "$VOLUME:/hollow:ro" -- sh -c 'cat /hollow/note; echo x > /hollow/new'
	is 1 "$status"
	has "$output" kept
	has "$output" 'Read-only'
	is kept "$(cat "$(data)/note")"
	is "$(id -u)" "$(stat -c %u "$(data)/note")"
}

@test "an empty volume gets what the image has there, once" {
	sandbox -v "$VOLUME:/data" -- rm /data/link
	is 'from-image' "$(cat "$(data)/file")"
	is '1500000000' "$(stat -c %Y "$(data)/file")"
	is 700 "$(stat -c %a "$(data)/sub")"
	# A link is a link, whatever it names.
	is /etc/passwd "$(readlink "$(data)/out")"
	# What was deleted stays deleted.
	run sandbox -v "$VOLUME:/data" -- ls /data
	is 'file out sub' "$(tr '\n' ' ' <<<"$output" | sed 's/ $//')"
}

@test "volume-nocopy leaves it empty; a read-only one is filled, too" {
	is '' "$(sandbox --mount "type=volume,source=$VOLUME,target=/data,volume-nocopy" -- ls /data)"
	run sandbox -v "$VOLUME:/data:ro" -- sh -c 'cat /data/file; touch /data/new'
	has "$output" from-image
	has "$output" 'Read-only'
}

@test "a volume that was being filled when its start was killed is filled by the next" {
	azm volume create "$VOLUME"
	echo half >"$(data)/file"
	printf f >"$(dirname "$(data)")/lock"
	is from-image "$(sandbox -v "$VOLUME:/data" -- cat /data/file)"
	is - "$(cat "$(dirname "$(data)")/lock")"
}

@test "two sandboxes at once on one new volume: it is filled once and whole" {
	local i pids=()
	for i in 1 2 3 4; do
		sandbox -v "$VOLUME:/data" -- sh -c 'cat /data/file /data/link' >out.$i &
		pids+=($!)
	done
	wait "${pids[@]}"
	for i in 1 2 3 4; do
		is "$(printf 'from-image\nfrom-image')" "$(cat out.$i)"
	done
}

@test "twice in one sandbox" {
	is both "$(sandbox -v "$VOLUME:/one" -v "$VOLUME:/two" -- sh -c 'echo both > /one/x; cat /two/x')"
}

@test "rm and prune leave alone what a sandbox has, running or not" {
	local name other=o$$-$BATS_TEST_NUMBER
	name=$(new_name)
	background "$name" -v "$VOLUME:/data"
	azm volume create "$other"
	is "$name" "$(azm volume inspect "$VOLUME" | jq -r '.[0].sandboxes[]')"
	refused 125 "\"$name\" has it" azm volume rm "$VOLUME"
	azm stop -t 0 "$name"
	refused 125 "\"$name\" has it" azm volume rm "$VOLUME"
	run azm volume prune </dev/null
	is 1 "$status"
	run azm volume prune -f
	has "$output" "^$other$"
	has_not "$output" "$VOLUME"
	azm start "$name"
	is from-image "$(azm exec "$name" cat /data/file)"
	azm rm -f "$name"
	azm volume rm "$VOLUME"
}

@test "--mount type=bind, tmpfs, and as start makes them again" {
	mkdir -p 'dir,with comma' ro
	echo host >ro/file
	local name
	name=$(new_name)
	background "$name" --mount "\"type=bind,source=./dir,with comma\"" --mount x 2>/dev/null && return 1
	background "$name" --mount 'type=bind,"src=dir,with comma",dst=/comma' \
		--mount type=bind,source=ro,target=/ro,readonly,bind-propagation=rslave \
		--mount type=tmpfs,destination=/mem,tmpfs-size=1m,tmpfs-mode=0700
	azm exec "$name" sh -c 'echo x > /comma/made; cat /ro/file; ! touch /ro/new; ! head -c 2m /dev/zero > /mem/file'
	is x "$(cat 'dir,with comma/made')"
	azm stop -t 0 "$name"
	cd /
	azm start "$name"
	is host "$(azm exec "$name" cat /ro/file)"
	is 700 "$(azm exec "$name" stat -c %a /mem)"
}

@test "--mount: errors name the key" {
	local text
	while IFS='|' read -r text pattern; do
		refused 125 "$pattern" azm run --rm --rootfs "$ROOTFS" --mount "$text" -- true
	done <<-'END'
		type=nfs,source=/x,target=/y|type: it must be bind, volume or tmpfs
		type=bind,target=/y|source: it is missing
		type=bind,source=/tmp|target: it is missing
		type=bind,source=/tmp,target=/y,colour=red|colour: there is no such key
		type=bind,source=/tmp,target=/y,bind-propagation=shared|bind-propagation: mounts made inside
		type=bind,source=/tmp,target=/y,bind-nonrecursive|bind-nonrecursive: the kernel
		type=bind,source=/tmp,target=/y,readonly=perhaps|readonly: the value must be true or false
		type=bind,source=/tmp,target=/y,tmpfs-size=1m|tmpfs-size: it goes with type=tmpfs, not with type=bind
		type=tmpfs,source=/x,target=/y|source: a tmpfs has none
		type=tmpfs,target=/y,tmpfs-size=tiny|tmpfs-size: it must be a size
		type=tmpfs,target=/y,tmpfs-mode=rwx|tmpfs-mode: it must be an octal mode
		type=volume,source=x,target=/y,volume-driver=nfs|volume-driver: there is only
		type=volume,source=x,target=/y,volume-subpath=z|volume-subpath: it is not supported
		type=bind,source=/nowhere/at/all,target=/y|/nowhere/at/all: No such file
		type=bind,source=/tmp,target=y|must be absolute
		type=bind,"source=/tmp,target=/y|double quote
	END
}

@test "the state directory does not get in through --mount" {
	refused 125 'must stay outside' azm run --rm --rootfs "$ROOTFS" \
		--mount "type=bind,source=$(dirname "$(dirname "$(azm volume create "$VOLUME" >/dev/null && data)")"),target=/x" -- true
	refused 125 'overlay is for directories' azm run --rm --rootfs "$ROOTFS" -v "$VOLUME:/x:overlay" -- true
}
