# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# host_usr.bash: this host's own programs as an image: its /usr is a volume, nothing is copied.

# Directories as this host has them: /bin may be a link into /usr, or a directory.
make_host_usr() { # sets $IMAGE
	local name
	export IMAGE=$BATS_FILE_TMPDIR/image
	mkdir -p "$IMAGE"/{dev,etc,home/user,proc,root,run,sys,usr,workspace} && mkdir -m 1777 "$IMAGE/tmp"
	for name in bin sbin lib lib64; do
		[ ! -L "/$name" ] || cp -a "/$name" "$IMAGE/$name"
	done
	printf 'root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000:a user:/home/user:/bin/sh\n' >"$IMAGE/etc/passwd"
	# pip 25 does not begin without them.
	name=/etc/ssl/certs/ca-certificates.crt
	[ ! -r "$name" ] || install -D -m 0644 "$name" "$IMAGE$name"
}

HOST_USR=(-v /usr:/usr:ro)
for name in bin sbin lib lib64; do
	[ -L "/$name" ] || [ ! -d "/$name" ] || HOST_USR+=(-v "/$name:/$name:ro")
done
# Where Debian keeps which program is whose, and what fonts there are.
for name in /etc/alternatives /etc/fonts; do
	[ ! -d "$name" ] || HOST_USR+=(-v "$name:$name:ro")
done

inside() { # OPTION... -- COMMAND...
	AZM_LIMIT=${AZM_LIMIT:-120} azm run --rm --rootfs "$IMAGE" "${HOST_USR[@]}" "$@"
}
