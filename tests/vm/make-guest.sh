#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# make-guest.sh SUITE DIR: a Debian machine for check-vm.sh, in DIR: disk.img, kernel, initrd, and root/, in which the
# program is built with that release's own compiler and libraries.
#
# The machine is as Debian makes it (systemd, its kernel, AppArmor) plus a user `alice` without sub-ids and one unit,
# which runs what the second disk brings (guest/start.sh) and powers off. Needs root: device nodes, chroot. The host's own settings for packages
# (proxies, mirrors by name resolution) apply; nothing is signed by anybody but Debian.
set -euo pipefail

suite=$1 dir=$2
here=$(cd "$(dirname "$0")" && pwd -P)
[ "$(id -u)" -eq 0 ] || { echo "make-guest.sh: needs root, for chroot and the owners on the disk" >&2; exit 1; }

# What a machine of its kind has, and what the suites use.
machine=linux-image-amd64,systemd-sysv,udev,kmod,dbus,dbus-user-session,libpam-systemd,apparmor,nfs-kernel-server
suites=bats,jq,busybox-static,strace,python3,procps,iproute2,git,curl,bc,psmisc,openssl,man-db,groff,libcmocka0
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
	--customize-hook='chroot "$1" systemctl mask systemd-networkd-wait-online.service nfs-server.service' \
	"$suite" "$dir.part/root" "deb http://deb.debian.org/debian $suite main"
cp "$dir.part"/root/boot/vmlinuz-* "$dir.part/kernel"
cp "$dir.part"/root/boot/initrd.img-* "$dir.part/initrd"
truncate -s 6G "$dir.part/disk.img"
mkfs.ext4 -q -F -E lazy_itable_init=1 -d "$dir.part/root" "$dir.part/disk.img"
rm -rf "$dir" && mv "$dir.part" "$dir"
