#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# fetch-libmnl.sh FILE: libmnl.a of Debian 13's libmnl-dev, for a release that has none of its own (Debian 11 and 12).
#
# From this host's Debian mirror or else from Debian's own, by the digest that Debian 13 signs. 25 KB that call nothing
# but what every C library has.
set -eu
target=$1
version=1.0.5-3
architecture=$(dpkg --print-architecture)
case $architecture in
amd64) digest=7f9a7c3f470ec400171981816df189ec86b11083c3f8d391d0800ed09a87bfc3 ;;
arm64) digest=046ecea98bfb827fffdc9a19c3efd75b9862995e3532987a9272787e70a3a9b6 ;;
*) digest= ;;
esac

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"

fetch() { # DIRECTORY-OF-THE-MIRROR
	[ -n "$digest" ] && /usr/lib/apt/apt-helper -o Acquire::Retries=3 -o APT::Sandbox::User= download-file \
		"$1/libmnl-dev_${version}_$architecture.deb" "$work/deb" "SHA256:$digest" >>"$work/log" 2>&1
}

fetched=
for place in $(apt-get download --print-uris libmnl-dev 2>/dev/null | sed -n "s|^'\(.*\)/[^/]*'.*|\1|p") \
	http://deb.debian.org/debian/pool/main/libm/libmnl; do
	fetch "$place" && fetched=yes && break
done
if [ -z "$fetched" ]; then
	cat "$work/log" >&2 2>/dev/null || true
	echo "make: this host has no libmnl.a, and Debian's could not be fetched; \`make SHARED=1\` links shared libraries instead" >&2
	exit 1
fi
dpkg-deb -x "$work/deb" "$work/tree"
mkdir -p "$(dirname "$target")"
cp "$work"/tree/usr/lib/*/libmnl.a "$target.new"
mv "$target.new" "$target"
