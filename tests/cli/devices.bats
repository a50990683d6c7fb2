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

# A driver as it looks on disk: nodes (links to harmless ones), what the kernel's part says, libraries in a cache, tools.
make_driver() { # LIBRARY...: besides the usual ones
	local root=$BATS_TEST_TMPDIR/driver name minor
	mkdir -p "$root"/{dev,etc,usr/bin,lib} "$root"/proc/driver/nvidia/gpus/{a,b}
	for name in nvidia0 nvidia1 nvidiactl nvidia-uvm; do
		ln -s /dev/zero "$root/dev/$name"
	done
	for minor in 0 1; do
		printf 'Model: \t\t Fake\nGPU UUID: \t GPU-0000%s\nDevice Minor: \t %s\n' $minor $minor \
			>"$root/proc/driver/nvidia/gpus/$(tr 01 ab <<<$minor)/information"
	done
	mkdir "$root/dev/nvidia-caps"
	ln -s /dev/zero "$root/dev/nvidia-caps/nvidia-cap2"
	ln -s "$root/none" "$root/dev/nvidia-caps/nvidia-cap1" # as one that we may not open
	for name in libcuda.so.1 libnvidia-ml.so.1 libother.so.1 "$@"; do
		${CC:-cc} -shared -nostdlib -o "$root/lib/$name.535" -Wl,-soname,"$name" -x c /dev/null 2>/dev/null ||
			skip "no C compiler to make libraries with"
		ln -s "$name.535" "$root/lib/$name"
	done
	printf '#!/bin/sh\necho smi\n' >"$root/usr/bin/nvidia-smi"
	chmod 755 "$root/usr/bin/nvidia-smi"
	echo "$root/lib" >"$root/etc/ld.so.conf"
	/sbin/ldconfig -X -C "$root/etc/ld.so.cache" -f "$root/etc/ld.so.conf"
	export AZM_NVIDIA_ROOT=$root
}

@test "--gpus: nodes, libraries and tools of the driver, with the variables that find them" {
	local name
	local neutral=(libGL.so.1 libEGL.so.1 libOpenCL.so.1 libGLX_nvidia.so.0 libEGL_nvidia.so.0 libnvidia-opencl.so.1 libnvidia-cbl.so.1)
	make_driver "${neutral[@]}" libGLU.so.1
	run sandbox --gpus all -e LD_LIBRARY_PATH=/mine -- sh -c '
		cd /dev; ls -d nvidia*; ls nvidia-caps; head -c 1 nvidia-caps/nvidia-cap2 | od -An -c; cd .azm/nvidia; ls lib64; echo $LD_LIBRARY_PATH; echo $PATH; nvidia-smi
		head -c 1 /dev/nvidia1 | od -An -c; echo x > lib64/libcuda.so.1'
	has "$output" '^nvidia-uvm$'
	has "$output" '^nvidia0$'
	has "$output" '^nvidia1$'
	has "$output" '^nvidiactl$'
	has "$output" '^libcuda.so.1$'
	has "$output" '^libnvidia-ml.so.1$'
	has_not "$output" 'libother|libGLU|nvidia-cap1'
	for name in "${neutral[@]}"; do
		has "$output" "^$name$"
	done
	has "$output" '^nvidia-cap2$'
	has "$output" '^/mine:/dev/.azm/nvidia/lib64$'
	has "$output" ':/dev/.azm/nvidia/bin$'
	has "$output" '^smi$'
	has "$output" 'Read-only file system'
}

@test "--gpus: some of them, also by UUID, for exec and start as well" {
	make_driver
	local name
	has_not "$(sandbox --gpus 1 -- ls /dev)" nvidia1
	has "$(sandbox --gpus device=1 -- ls /dev)" nvidia1
	has_not "$(sandbox --gpus device=1 -- ls /dev)" nvidia0
	has "$(sandbox --gpus '"device=GPU-00001,0"' -- ls /dev)" nvidia1
	name=$(new_name)
	background "$name" --gpus device=GPU-00001
	is smi "$(azm exec "$name" nvidia-smi)"
	azm stop -t 0 "$name"
	azm start "$name"
	has_not "$(azm exec "$name" ls /dev)" nvidia0
}

@test "--gpus: what is missing is said" {
	AZM_NVIDIA_ROOT=$BATS_TEST_TMPDIR/none refused 125 'no NVIDIA GPU' azm run --rm --rootfs "$ROOTFS" --gpus all -- true
	refused 125 'expected all' azm run --rm --rootfs "$ROOTFS" --gpus some -- true
	make_driver
	refused 125 '3 were asked for, this host has 2' azm run --rm --rootfs "$ROOTFS" --gpus 3 -- true
	refused 125 'no such GPU' azm run --rm --rootfs "$ROOTFS" --gpus device=GPU-none -- true
	rm "$AZM_NVIDIA_ROOT"/etc/ld.so.cache
	refused 125 'no libcuda|ldconfig' azm run --rm --rootfs "$ROOTFS" --gpus all -- true || has "$stderr" 'no libcuda'
}

@test "--gpus: a list of the user's own replaces the built-in one" {
	make_driver
	mkdir -p "$BATS_TEST_TMPDIR/config/azm-sandbox"
	printf '# mine\nlibcuda.so\nlibother.so # and this\n' >"$BATS_TEST_TMPDIR/config/azm-sandbox/nvidia.list"
	XDG_CONFIG_HOME=$BATS_TEST_TMPDIR/config run sandbox --gpus all -- ls /dev/.azm/nvidia/lib64
	is "$(printf 'libcuda.so.1\nlibother.so.1')" "$output"
}
