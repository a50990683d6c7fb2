#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# check-vm.sh [SUITE...]: the program on other hosts: Debian 11 (Linux 5.10), 12 (6.1), 13 (6.12), each a machine under
# qemu with Debian's kernel and systemd. In each the program is built with that release's compiler and libraries; the
# machine is turned into hosts that people have (guest/hosts.bats) and runs the behaviour suites as a plain user.
#
# Machines and results are kept below AZM_VM_DIR (~/.cache/azm-vm). AZM_VM_SUITES names other suites, AZM_VM_ACCEL
# another accelerator than software emulation, which works everywhere and is slow: ten minutes and more a machine.
# AZM_VM_KERNEL=host boots none: the release's compiler, libraries and tools are tried on the kernel that is there.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd -P)
source=$(cd "$here/../.." && pwd -P)
vm_dir=${AZM_VM_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/azm-vm}
accel=${AZM_VM_ACCEL:-tcg,thread=multi}
limit=${AZM_VM_TIMEOUT:-7200}
# Below tests/, without .bats: what depends on the host. Images, the server and networks have it from these.
all_suites='cli/run cli/lifecycle cli/bad_input cli/stdio cli/workspace cli/volumes cli/publish cli/network cli/cp cli/attach
cli/pause cli/stats cli/logs cli/snapshot cli/disk cli/devices cli/faults cli/names cli/cgroup security/fds security/ids_caps
security/kernel_files security/path_games security/guard security/guard_end security/syscalls security/terminal security/network security/cp'
failed=0

# The release's own compiler, headers and libraries, in its own root.
build_in() { # GUEST
	local root=$1/root
	mkdir -p "$root/src"
	(cd "$source" && git ls-files -zco --exclude-standard | xargs -0 tar cf - --) | tar xf - -C "$root/src"
	chroot "$root" make -sk -C /src -j"$(nproc)" all tests >"$1/build.log" 2>&1
}

# The suites need a newer one than Debian 11 has; it is all shell.
bats_for() { # DIR
	mkdir -p "$1/bats"
	(cd /usr && tar cf - bin/bats lib/bats-core libexec/bats-core) | tar xf - -C "$1/bats"
}

# No machine, the kernel at hand: the release's compiler, libraries and tools at the speed of this host.
on_this_kernel() { # GUEST
	local suites=${AZM_VM_SUITES-$all_suites}
	mkdir -p "$1/root/azm"
	bats_for "$1/root/azm"
	chmod -R a+rX "$1/root/src" "$1/root/azm"
	# A root directory by chroot(2) would have no user namespaces.
	# shellcheck disable=SC2016 # expanded inside
	unshare --mount --pid --fork --kill-child --propagation private env -u CC sh -euc '
		mount --bind "$1" "$1" && cd "$1" && mkdir -p .host
		mount -t proc proc proc && mount --rbind /sys sys && mount --rbind /dev dev
		mount -t tmpfs -o mode=1777 tmpfs tmp && mount -t tmpfs -o mode=755 tmpfs run
		pivot_root . .host && umount -l /.host && cd /
		AZM_GUEST_TREE=/src AZM_GUEST_WORDS="$2" exec bash /src/tests/vm/guest/start.sh' sh "$1/root" \
		"azm.suites=$(tr -s ' \n' , <<<"$suites" | sed 's/,$//') azm.readme=${AZM_VM_README-}" >"$1/result.log" 2>&1
}

# The second disk: the tree as it was built.
payload() { # GUEST
	local without=()
	rm -rf "$1/payload" "$1/payload.img"
	mkdir "$1/payload"
	# Objects are for `make run` only, which would make them again.
	[ -n "${AZM_VM_README-}" ] || without=(--exclude=build/obj --exclude=build/static --exclude=build/init --exclude='*.o')
	(cd "$1/root/src" && tar cf - "${without[@]}" .) | tar xf - -C "$1/payload"
	bats_for "$1/payload"
	chmod -R a+rX "$1/payload"
	if [ -n "${AZM_VM_IMAGE-}" ]; then
		cp -a "$AZM_VM_IMAGE" "$1/payload/img"
		chown -Rh 61234:61234 "$1/payload/img" # what `make run` takes for a user when root starts it
	fi
	truncate -s 2G "$1/payload.img"
	mkfs.ext4 -q -F -d "$1/payload" "$1/payload.img"
	rm -rf "$1/payload"
}

boot() { # GUEST
	local suites=${AZM_VM_SUITES-$all_suites} security='' network=none
	# They use overlays, which an ordinary user has since Linux 5.11.
	[ "$(basename "$1")" != bullseye ] || suites=${AZM_VM_SUITES-}
	suites=$(tr -s ' \n' , <<<"$suites")
	case $1 in *-selinux) security='security=selinux selinux=1 enforcing=0' ;; esac
	[ -z "${AZM_VM_README-}" ] || network=user,model=virtio-net-pci
	rm -f "$1/result.log"
	# Emulated walks of five page table levels cost more than of four.
	timeout "$limit" qemu-system-x86_64 -accel "$accel" -cpu max,la57=off -smp "${AZM_VM_CPUS:-2}" -m 2048 -nodefaults -no-reboot -display none \
		-nic "$network" -kernel "$1/kernel" -initrd "$1/initrd" \
		-append "root=/dev/vda rw quiet console=ttyS0 mitigations=off systemd.mask=serial-getty@ttyS0.service azm.hosts=${AZM_VM_HOSTS-yes} azm.suites=${suites%,} azm.readme=${AZM_VM_README-} $security" \
		-drive file="$1/disk.img",if=virtio,format=raw,snapshot=on \
		-drive file="$1/payload.img",if=virtio,format=raw,readonly=on \
		-serial file:"$1/console.log" -serial file:"$1/result.log"
}

check() { # SUITE
	local guest=$vm_dir/$1
	if [ "$(cat "$guest/packages" 2>/dev/null)" != "$(make -s -C "$source" print-deps-build | tr ' ' ',')" ]; then
		"$here/make-guest.sh" "$1" "$guest" >"$vm_dir/make-$1.log" 2>&1 || {
			echo "FAIL $1: the machine cannot be made, see $vm_dir/make-$1.log"
			return 1
		}
	fi
	if ! build_in "$guest"; then
		echo "FAIL $1: does not build, see $guest/build.log"
		return 1
	fi
	if [ "${AZM_VM_KERNEL-}" = host ]; then
		on_this_kernel "$guest" || :
	else
		payload "$guest"
		boot "$guest" || echo "     $1: the machine did not end by itself, see $guest/console.log"
	fi
	sed 's/\r$//; s/^/     /' "$guest/result.log"
	grep -q '^guest: status 0' "$guest/result.log"
}

mkdir -p "$vm_dir"
for suite in "${@:-bullseye bookworm trixie}"; do
	for one in $suite; do
		if check "$one"; then
			echo "ok   $one"
		else
			echo "FAIL $one"
			failed=1
		fi
	done
done
exit "$failed"
