#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# Class P: an image or a workspace plays with paths while the sandbox is set up. A canary directory of the host must
# not change, and nothing of the host may be seen inside.
# shellcheck disable=SC2154,SC2016,SC2030,SC2031 # set by bats; quotes on purpose; every test is a subshell
load ../lib/common

setup_file() { make_rootfs; }
setup() {
	CANARY=$BATS_TEST_TMPDIR/canary
	mkdir "$CANARY" "$CANARY/sub"
	echo secret-of-the-host >"$CANARY/file"
	chmod 700 "$CANARY"
	EVIL=$(copy_rootfs)
	CANARY_BEFORE=$(canary_state)
}
teardown() { remove_sandboxes; }

canary_state() { find "$CANARY" -printf '%p %y %m %T@ %s %l\n' | sort; }

# The canary is as it was, and the sandbox did not read it.
untouched() {
	is "$CANARY_BEFORE" "$(canary_state)" canary || return 1
	has_not "$output" secret-of-the-host
}

# Either refused with a message, or mounted inside: never silently something else.
evil_run() {
	run azm run --rm --rootfs "$EVIL" "$@"
	has "$status" '^(0|125)$' || return 1
	untouched
}

# Links out of the image: absolute, by .., and through another link of the image.
each_link() { # NAME: three ways, as lines
	printf '%s\n' "$CANARY" "../../../../../../../../../../../..$CANARY" "/hop$CANARY"
}

replace_by_link() { # PATH-IN-IMAGE TARGET
	rm -rf "${EVIL:?}/$1"
	mkdir -p "$(dirname "$EVIL/$1")"
	ln -s "$2" "$EVIL/$1"
}

@test "t-p1: /proc, /sys, /dev, /etc, /tmp, /run, /workspace as links out of the image" {
	local path target
	ln -s / "$EVIL/hop"
	for path in proc sys dev dev/pts dev/shm etc tmp run workspace; do
		each_link | while read -r target; do
			rm -rf "${EVIL:?}/dev" && mkdir "$EVIL/dev"
			replace_by_link "$path" "$target"
			evil_run --workspace "$BATS_TEST_TMPDIR/canary/../canary/sub" -- /bin/probe mounts || exit 1
			if [ "$status" -eq 0 ]; then
				has "$output" '^mounts.mount=/proc proc ' || exit 1
			fi
			rm "$EVIL/$path"
			mkdir -p "$EVIL/$path"
		done
	done
}

@test "t-p1: a link to another directory of the image is followed inside" {
	replace_by_link tmp /home/user
	evil_run --tmpfs /tmp/below -- /bin/probe mounts
	[ "$status" -eq 125 ] || has "$output" '^mounts.mount=/home/user/below '
}

@test "t-p2: a directory swapped for a link while it is bound: nothing is made outside" {
	mkdir -p "$EVIL/a/b" "$BATS_TEST_TMPDIR/data"
	# The swapper exchanges the directory and the link with one rename, as fast as it can.
	cat >"$BATS_TEST_TMPDIR/swap.py" <<-'END'
		import ctypes, os, sys
		base, canary = sys.argv[1:]
		libc = ctypes.CDLL(None, use_errno=True)
		os.symlink(canary, base + "/link")
		one, two = (base + "/b").encode(), (base + "/link").encode()
		while not os.path.exists(base + "/stop"):
		    for _ in range(1000):
		        libc.renameat2(-100, one, -100, two, 2)
	END
	spawn "$BATS_TEST_TMPDIR/swaps" python3 "$BATS_TEST_TMPDIR/swap.py" "$EVIL/a" "$CANARY"
	local swapper=$SPAWNED
	for _ in $(seq 40); do
		azm run --rm --rootfs "$EVIL" --rootfs-mode direct -v "$BATS_TEST_TMPDIR/data:/a/b/c" -v "$EVIL/etc/issue:/a/b/f" \
			-- /bin/true >/dev/null 2>&1 || true
	done
	touch "$EVIL/a/stop"
	wait "$swapper"
	output=
	untouched
}

@test "t-p3: /dev/null of the image is a link to something it wants written, masks stay masks" {
	rm -f "$EVIL/dev/null"
	ln -s /proc/sysrq-trigger "$EVIL/dev/null"
	mkdir -p "$EVIL/dev/pts"
	ln -s "$CANARY/file" "$EVIL/dev/pts/0"
	ln -s "$CANARY/file" "$EVIL/dev/console"
	run azm run --rm --rootfs "$EVIL" -- /bin/probe open /dev/null /proc/kcore /proc/keys /proc/timer_list
	is 0 "$status"
	has "$output" '^open./dev/null=stat=ok mode=20666 dev=1:3 '
	has_not "$(value open./proc/kcore)" 'bytes=[1-9]'
	has_not "$(value open./proc/keys)" 'bytes=[1-9]'
	untouched
}

@test "t-p4: a volume over /proc or below it is refused" {
	mkdir -p "$BATS_TEST_TMPDIR/fake/self/attr"
	local target
	for target in /proc /proc/self /proc/self/attr /proc/sys /sys /sys/fs; do
		refused 125 "$target" azm run --rm --rootfs "$EVIL" -v "$BATS_TEST_TMPDIR/fake:$target" -- /bin/true
		refused 125 "$target" azm run --rm --rootfs "$EVIL" --tmpfs "$target" -- /bin/true
	done
	# The same by a link of the image.
	ln -s /proc "$EVIL/p"
	run azm run --rm --rootfs "$EVIL" -v "$BATS_TEST_TMPDIR/fake:/p/self" -- /bin/probe mounts
	[ "$status" -eq 125 ] || has_not "$output" 'mounts.mount=/proc/self'
}

@test "t-p5: /dev of the image as a link: no node appears outside" {
	mkdir "$BATS_TEST_TMPDIR/outside"
	replace_by_link dev ../outside
	evil_run --rootfs-mode direct -- /bin/ls /dev
	is '' "$(ls -A "$BATS_TEST_TMPDIR/outside")" 'outside'
}

@test "t-p6: our own state replaced by links between two runs is refused" {
	local state=$BATS_TEST_TMPDIR/state name=game entry
	export AZM_STATE_DIR=$state
	for entry in "sandboxes/$name/upper" "sandboxes/$name/work" "sandboxes/$name" sandboxes; do
		azm run --name "$name" --rootfs "$ROOTFS" -- /bin/true
		mv "$state/$entry" "$BATS_TEST_TMPDIR/moved"
		ln -s "$CANARY" "$state/$entry"
		run azm start "$name"
		[ "$status" -ne 0 ]
		untouched
		azm rm -f "$name" || true
		untouched
		azm gc || true
		untouched
		rm -f "$state/$entry"
		chmod -R u+rwx "$BATS_TEST_TMPDIR/moved" # overlay's own directory has no permissions
		rm -rf "$BATS_TEST_TMPDIR/moved" "$state/sandboxes/$name"
	done
}

@test "t-p6: a workspace that becomes a link between two starts is not followed" {
	local name work=$BATS_TEST_TMPDIR/work
	name=$(new_name)
	mkdir "$work"
	azm run --name "$name" --rootfs "$ROOTFS" --workspace "$work" -- /bin/cat /workspace/file || true
	rmdir "$work"
	ln -s "$CANARY" "$work"
	run azm start "$name"
	azm wait "$name" >/dev/null 2>&1 || true
	output="$output $(azm logs "$name" 2>&1)"
	untouched
}

@test "t-p7: /etc/passwd as a link to the host, a FIFO, huge, a device: no hang, no leak" {
	local kind
	echo 'canary:x:777:777::/:/bin/sh' >"$CANARY/passwd"
	CANARY_BEFORE=$(canary_state)
	for kind in link dotdot fifo huge device directory loop; do
		rm -rf "$EVIL/etc/passwd"
		case $kind in
		link) ln -s "$CANARY/passwd" "$EVIL/etc/passwd" ;;
		dotdot) ln -s "../../../../../../../../../..$CANARY/passwd" "$EVIL/etc/passwd" ;;
		fifo) mkfifo "$EVIL/etc/passwd" ;;
		huge) truncate -s 2G "$EVIL/etc/passwd" ;;
		device) ln -s /dev/zero "$EVIL/etc/passwd" ;;
		directory) mkdir "$EVIL/etc/passwd" ;;
		loop) ln -s passwd "$EVIL/etc/passwd" ;;
		esac
		AZM_LIMIT=20 run azm run --rm --rootfs "$EVIL" --user canary -- /bin/probe ids
		is 125 "$status" "$kind"
		has_not "$output" 777
		AZM_LIMIT=20 run azm run --rm --rootfs "$EVIL" --user 1234 -- /bin/probe ids
		has "$status" '^(0|125)$'
		untouched
	done
}

@test "t-p7: /etc/group and image.json by the same tricks" {
	local kind bundle=$BATS_TEST_TMPDIR/bundle
	mkdir "$bundle"
	mv "$EVIL" "$bundle/rootfs"
	for kind in fifo huge directory; do
		rm -rf "$bundle/image.json" "$bundle/rootfs/etc/group"
		case $kind in
		fifo) mkfifo "$bundle/image.json" "$bundle/rootfs/etc/group" ;;
		huge) truncate -s 2G "$bundle/image.json" "$bundle/rootfs/etc/group" ;;
		directory) mkdir "$bundle/image.json" "$bundle/rootfs/etc/group" ;;
		esac
		AZM_LIMIT=20 run azm run --rm --rootfs "$bundle" --user user:agents -- /bin/true
		is 125 "$status" "$kind"
	done
}

@test "t-u4: no program and no library of the image runs on the host's side" {
	# Each poisoned file leaves a mark if it runs where the mark can be made.
	local mark=$BATS_TEST_TMPDIR/mark poison
	for poison in bin/sh bin/gzip bin/tar bin/cp lib64/ld-linux-x86-64.so.2 lib/libnss_files.so.2; do
		mkdir -p "$(dirname "$EVIL/$poison")"
		rm -f "$EVIL/$poison"
		printf '#!/bin/busybox sh\necho ran > %s\n' "$mark" >"$EVIL/$poison"
		chmod +x "$EVIL/$poison"
	done
	local name
	name=$(new_name)
	azm run -d --name "$name" --rootfs "$EVIL" -- /bin/probe sleep-forever
	azm exec "$name" probe ids >/dev/null
	azm exec "$name" sh || true
	azm ps >/dev/null
	azm logs "$name" >/dev/null
	azm inspect "$name" >/dev/null
	azm cp -q "$name:/bin/gzip" "$BATS_TEST_TMPDIR/copied"
	azm cp -q "$BATS_TEST_TMPDIR/copied" "$name:/tmp/copied"
	azm top "$name" >/dev/null
	azm commit -q "$name" "$BATS_TEST_TMPDIR/committed"
	azm rm -f "$name"
	[ ! -e "$mark" ]
}

@test "mount points that had to be made are inside, and the image has none of them" {
	local before
	before=$(find "$EVIL" | sort)
	mkdir "$BATS_TEST_TMPDIR/data"
	run azm run --rm --rootfs "$EVIL" -v "$BATS_TEST_TMPDIR/data:/not/there/yet" -- /bin/ls -d /not/there/yet
	is 0 "$status"
	is "$before" "$(find "$EVIL" | sort)" 'image'
}

@test "the host's tree is gone: no mount of it, no way up" {
	run sandbox -- /bin/sh -c 'ls /../../.. | sort | tr "\n" " "; echo; cd /; cd ../..; probe cwd; probe mounts'
	is 0 "$status"
	is / "$(value cwd)"
	has_not "$output" "${BATS_RUN_TMPDIR}[^ ]* (ext4|xfs|btrfs) .*propagation=shared"
	is 1 "$(grep -c '^mounts.mount=/ ' <<<"$output")" 'mounts at /'
}
