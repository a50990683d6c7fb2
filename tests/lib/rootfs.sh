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
