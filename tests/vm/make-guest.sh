#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# make-guest.sh SUITE[-selinux] DIR: a Debian machine for check-vm.sh, in DIR: disk.img, kernel, initrd, and root/, in
# which the program is built with that release's own compiler and libraries.
#
# The machine is as Debian makes it (systemd, its kernel, AppArmor) plus a user `alice` without sub-ids and one unit,
# which runs what the second disk brings (guest/start.sh) and powers off. With -selinux it has Debian's SELinux policy
# instead of AppArmor, every file labelled, and sshd, whose logins get the domain a user's login has. Needs root: device nodes, chroot.
# The host's own settings for packages (proxies, mirrors by name resolution) apply; nothing is signed by anybody but
# Debian.
set -euo pipefail

suite=${1%-selinux} dir=$2
selinux=${1#"$suite"}
here=$(cd "$(dirname "$0")" && pwd -P)
[ "$(id -u)" -eq 0 ] || { echo "make-guest.sh: needs root, for chroot and the owners on the disk" >&2; exit 1; }

# What a machine of its kind has, and what the suites use.
machine=linux-image-amd64,systemd-sysv,udev,kmod,dbus,dbus-user-session,libpam-systemd,apparmor,nfs-kernel-server
suites=bats,jq,busybox-static,strace,python3,procps,iproute2,git,curl,bc,psmisc,openssl,man-db,groff,libcmocka0
# And those about real programs, sub-ids and egress. Debian 11 has no pasta; its installer merges /usr, its packages do not.
suites+=,uidmap,openssh-client,dropbear-bin,redis-tools,postgresql,gdb,npm,python3-pip,python3-ipython
[ "$suite" = bullseye ] && suites+=,usrmerge || suites+=,passt
hooks=()
if [ -n "$selinux" ]; then
	machine+=,selinux-policy-default,policycoreutils,policycoreutils-python-utils,auditd,openssh-server,openssh-client
	# shellcheck disable=SC2016 # the hook's own $1
	hooks=(
		--customize-hook='chroot "$1" su alice -c "mkdir -m 700 ~/.ssh && ssh-keygen -q -t ed25519 -N \"\" -f ~/.ssh/id_ed25519 && cp ~/.ssh/id_ed25519.pub ~/.ssh/authorized_keys"'
	)
fi
build=$(make -s -C "$here/../.." print-deps-build | tr ' ' ',')

rm -rf "$dir.part" && mkdir -p "$dir.part"
echo "$build" >"$dir.part/packages"
# The hooks expand $1, the root, themselves.
# shellcheck disable=SC2016
mmdebstrap --variant=minbase --include="$machine,$suites,$build,libcmocka-dev" \
	--aptopt='Acquire::Check-Valid-Until "false"' \
	--customize-hook='cp /etc/resolv.conf "$1/etc/resolv.conf" && echo guest >"$1/etc/hostname" && echo "127.0.0.1 localhost guest" >"$1/etc/hosts"' \
	--customize-hook='chroot "$1" useradd -m -s /bin/bash alice && : >"$1/etc/subuid" && : >"$1/etc/subgid"' \
	--customize-hook="cp '$here/guest/azm-guest.service' \"\$1/etc/systemd/system/\" && chroot \"\$1\" systemctl enable azm-guest.service" \
	--customize-hook='chroot "$1" systemctl mask systemd-networkd-wait-online.service nfs-server.service postgresql.service' \
	"${hooks[@]}" \
	"$suite" "$dir.part/root" "deb http://deb.debian.org/debian $suite main"
if [ -n "$selinux" ]; then
	# An id made at boot has a label that journald may not read. This kernel need not know SELinux to write labels.
	chroot "$dir.part/root" systemd-machine-id-setup
	chroot "$dir.part/root" setfiles -m -F /etc/selinux/default/contexts/files/file_contexts /
fi
cp "$dir.part"/root/boot/vmlinuz-* "$dir.part/kernel"
cp "$dir.part"/root/boot/initrd.img-* "$dir.part/initrd"
truncate -s 6G "$dir.part/disk.img"
mkfs.ext4 -q -F -E lazy_itable_init=1 -d "$dir.part/root" "$dir.part/disk.img"
rm -rf "$dir" && mv "$dir.part" "$dir"
