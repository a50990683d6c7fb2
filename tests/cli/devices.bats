#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# --device and --gpus: device nodes of the host inside, and which stay outside.
# shellcheck disable=SC2154,SC2016 # set by bats; quotes on purpose
load ../lib/common

setup_file() { make_rootfs; }
teardown() { remove_sandboxes; }

@test "--device: a node under its own name or another, which works" {
	run sandbox --device /dev/zero:/dev/other/name --device /dev/full:rw -- \
		sh -c 'head -c 3 /dev/other/name | od -An -c; ls -l /dev/full; echo x > /dev/full'
	has "$output" '\\0 +\\0 +\\0'
	has "$output" 'No space left'
}

@test "--device: what is refused, and why" {
	refused 125 'terminal|kind' azm run --rm --rootfs "$ROOTFS" --device /dev/tty -- true
	refused 125 'kinds? ' azm run --rm --rootfs "$ROOTFS" --device /dev/ptmx -- true
	refused 125 'no device' azm run --rm --rootfs "$ROOTFS" --device /etc/passwd -- true
	refused 125 'No such file' azm run --rm --rootfs "$ROOTFS" --device /dev/no-such-device -- true
	refused 125 'only rw and rwm' azm run --rm --rootfs "$ROOTFS" --device /dev/zero:/dev/z:r -- true
	refused 125 'letters r, w and m' azm run --rm --rootfs "$ROOTFS" --device /dev/zero:/dev/z:x -- true
	refused 125 'expected /dev/NAME' azm run --rm --rootfs "$ROOTFS" --device zero -- true
	refused 125 'proc or /sys|same target|must be absolute|\.\.' azm run --rm --rootfs "$ROOTFS" --device /dev/zero:/dev/../x -- true
	local node
	for node in /dev/loop0 /dev/sda /dev/vda /dev/mem /dev/uinput /dev/input/event0 /dev/console; do
		[ -e "$node" ] || continue
		refused 125 'block device|not let in|may not open' azm run --rm --rootfs "$ROOTFS" --device $node -- true
	done
}

@test "--device: one that the user may not open says whom to ask" {
	local node
	for node in /dev/fuse /dev/net/tun /dev/kvm /dev/vhost-net /dev/rdma_cm; do
		if [ -c $node ] && ! [ -w $node ]; then
			refused 125 'Permission denied' azm run --rm --rootfs "$ROOTFS" --device $node -- true
			has "$stderr" 'may not open it yourself'
			return
		fi
	done
	[ ! -w /dev/fuse ] || sandbox --device /dev/fuse -- test -c /dev/fuse
}
