#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# real.sh BUILD [CACHE]: real images through every form: `make check-images`, not part of `make check`.
#
# A Debian system of some hundred megabytes and tens of thousands of files, made by mmdebstrap once and kept in CACHE
# (/var/tmp/azm-check-images), becomes images through umoci, skopeo and, where it is there, buildah; azm-rootfs unpacks
# each, exports it again, and what it wrote is read by skopeo, umoci and podman. Everything runs as the caller, or, when
# root starts it, as an id without privileges (none of those that tests/run-tests.sh uses, and cleans up after).
set -eu -o pipefail
export LC_ALL=C
build=$(cd "$1" && pwd -P)
cache=${2:-/var/tmp/azm-check-images}
here=$(dirname "$(readlink -f "$0")")
mkdir -p "$cache"
# Without the one directory that has an access control list for a group: buildah and podman cannot set it with one id,
# and end there.
system=$cache/debian-without-acls.tar
if [ ! -s "$system" ]; then
	echo 'making a Debian system with mmdebstrap'
	# shellcheck disable=SC2016 # expanded by mmdebstrap's shell
	mmdebstrap --quiet --variant=standard --include=python3,git,perl-doc --customize-hook='rm -r "$1/var/log/journal"' \
		bookworm "$cache/new.tar" >/dev/null
	mv "$cache/new.tar" "$system"
fi
if [ "$(id -u)" -eq 0 ]; then
	chmod a+rx "$cache" && chmod a+r "$system"
	work=$(mktemp -d "$cache/work-XXXXXX")
	cp "$build/azm-rootfs" "$here/../lib/list_tree.py" "$here/real.sh" "$work"
	chown -R 60997:60997 "$work"
	trap 'rm -rf "$work"' EXIT
	AZM_WORK=$work setpriv --reuid 60997 --regid 60997 --clear-groups --inh-caps=-all \
		env HOME="$work" TMPDIR="$work" bash "$work/real.sh" "$work" "$cache"
	exit
fi
if [ -z "${AZM_WORK:-}" ]; then
	AZM_WORK=$(mktemp -d "$cache/work-XXXXXX")
	trap 'chmod -R u+rwX "$AZM_WORK"; rm -rf "$AZM_WORK"' EXIT
	cp "$build/azm-rootfs" "$here/../lib/list_tree.py" "$AZM_WORK"
fi
cd "$AZM_WORK"
export TMPDIR=$AZM_WORK
rootfs=$AZM_WORK/azm-rootfs

say() { printf '%6d s  %s\n' "$SECONDS" "$*"; }
# A program that may be missing, but not where everything must work.
has() {
	command -v "$1" >/dev/null && return
	say "left out: $1 is not installed"
	[ -z "${AZM_MUST_WORK:-}" ] || exit 1
	return 1
}
# Times as whole seconds: that is what we write.
facts() {
	python3 list_tree.py strict "$1/rootfs" | sed -E 's/([0-9]{10})[0-9]{9}$/\1/'
	sort "$1/owners.mtree"
}
skopeo_() { skopeo --tmpdir "$AZM_WORK" --insecure-policy "$@"; }

# Device nodes are not umoci's to make as an ordinary user; the tar has them as it is: one layer of an image.
say 'one layer of an OCI layout, by umoci'
umoci init --layout layout
umoci new --image layout:t
umoci raw add-layer --image layout:t "$system"
"$rootfs" unpack -q layout reference
facts reference >reference.facts
say "$(wc -l <reference.facts) files and records"

for form in oci-archive docker-archive; do
	skopeo_ copy -q oci:layout:t "$form:$form.tar:debian:test"
	"$rootfs" unpack -q "$form.tar" "from-$form"
	facts "from-$form" | diff reference.facts -
	rm -rf "from-$form"
	say "$form, by skopeo, unpacked"
done
if has buildah; then
	# It wants its user to have a name: root of a namespace has one.
	_CONTAINERS_USERNS_CONFIGURED=1 unshare -r -m buildah --root "$AZM_WORK/b" --runroot "$AZM_WORK/r" \
		--storage-driver vfs --storage-opt vfs.ignore_chown_errors=true pull -q oci-archive:oci-archive.tar >/dev/null
	chmod -R u+rwX b r && rm -rf b r
	say 'pulled by buildah'
fi

"$rootfs" verify -q reference layout
say 'compared with its source'
for form in oci docker; do
	"$rootfs" export -q --format $form --name debian:again reference $form.tar
	"$rootfs" export -q --format $form --name debian:again reference - | cmp - $form.tar
	"$rootfs" verify -q $form.tar
	"$rootfs" unpack -q $form.tar again
	facts again | diff reference.facts -
	rm -rf again
	say "exported as $form, twice the same bytes, verified, unpacked"
done
"$rootfs" export -q reference oci:exported:t
skopeo_ inspect oci:exported:t >/dev/null
skopeo_ copy -q docker-archive:docker.tar oci:copied:t
umoci raw unpack --rootless --image exported:t by-umoci >/dev/null
[ "$(find by-umoci | wc -l)" -eq "$(find reference/rootfs | wc -l)" ]
chmod -R u+rwX by-umoci && rm -rf by-umoci
say 'read by skopeo and umoci'
if has podman; then
	short=$(mktemp -d /tmp/azm-pXXXXXX) # podman wants a short path
	mkdir -m 0700 "$short/run"
	XDG_RUNTIME_DIR=$short/run podman --root "$AZM_WORK/p" --runroot "$short/live" --storage-driver vfs \
		--storage-opt vfs.ignore_chown_errors=true load -q -i docker.tar | grep -q debian:again
	kill "$(cat "$short/run/libpod/tmp/pause.pid")"
	chmod -R u+rwX "$AZM_WORK/p" "$short" && rm -rf "$AZM_WORK/p" "$short"
	say 'loaded by podman'
fi
echo 'real images: all good'
