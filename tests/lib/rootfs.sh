#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# rootfs.sh DIR [PROBE]: a minimal root file system: static busybox with its applets, the probe program, two users.
#
# A bare tree, not a bundle: what `--rootfs DIR` takes at its simplest. DIR is made; it may exist if it is empty.
set -eu
root=$1
probe=${2:-}
for busybox in /bin/busybox /usr/bin/busybox ''; do
	[ -x "$busybox" ] && break
done
[ -n "$busybox" ] || {
	echo 'rootfs.sh: no busybox on this host: apt-get install busybox-static' >&2
	exit 1
}
mkdir -p "$root"
cd "$root"
mkdir -p bin dev etc home/user proc root run sys tmp usr/bin var/tmp workspace
chmod 1777 tmp var/tmp
cp "$busybox" bin/busybox
for applet in $(./bin/busybox --list); do
	[ "$applet" = busybox ] || ln -s busybox "bin/$applet"
done
[ -z "$probe" ] || cp "$probe" bin/probe
# Before glibc 2.34 a static program loads these to look a name up.
case $(getconf GNU_LIBC_VERSION 2>/dev/null || :) in
'glibc 2.'[12]? | 'glibc 2.3'[0-3])
	for library in libnss_files.so.2 libnss_dns.so.2 libresolv.so.2 libc.so.6 ld-linux-x86-64.so.2 ld-linux-aarch64.so.1; do
		for file in /lib/*-linux-gnu/"$library"; do
			[ ! -e "$file" ] || { mkdir -p ".${file%/*}" && cp -L "$file" ".$file"; }
		done
	done
	;;
esac
cat >etc/passwd <<'END'
root:x:0:0:root:/root:/bin/sh
user:x:1000:1000:a user:/home/user:/bin/sh
agent:x:1234:4321:an agent:/home/user:/bin/sh
END
cat >etc/group <<'END'
root:x:0:
user:x:1000:
agents:x:4321:user
END
printf 'busybox test root\n' >etc/issue
# As in every image that came out of `docker export` or azm-rootfs: files to be covered.
: >etc/hostname
: >etc/hosts
: >etc/resolv.conf
