#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# compare-buildah.sh BUILD [NAME...]: build every recipe of dockerfiles/ with buildah and with azm-rootfs, and compare
# trees and configurations. Not part of `make check`: buildah wants root or sub-ids.
#
# A recipe is a Dockerfile over the context that make_context makes. What must differ is left out of the comparison:
# times, buildah's own label, and what the sandbox answers instead of doing (owners).
set -eu
build=$(cd "${1:?usage: compare-buildah.sh BUILD [NAME...]}" && pwd -P)
shift
here=$(cd "$(dirname "$0")" && pwd -P)
if [ "$(id -u)" -ne 0 ] || ! command -v buildah >/dev/null; then
	echo 'compare-buildah.sh: needs root and buildah' >&2
	exit 2
fi
work=$(mktemp -d /var/tmp/azm-compare.XXXXXX)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
export BUILDAH_ISOLATION=chroot TMPDIR=$work

buildah_() {
	buildah --storage-driver vfs --root "$work/storage" --runroot "$work/runroot" "$@"
}

make_context() {
	mkdir -p "$work/context"/{dir/sub,links,empty}
	cd "$work/context"
	echo a >dir/a.txt
	echo b >dir/b.txt
	echo c >dir/sub/c.md
	echo hidden >dir/.hidden
	echo 'a b' >'a b'
	echo top >top
	printf '#!/bin/sh\necho tool\n' >tool
	chmod 751 tool dir/sub
	chmod 640 dir/b.txt
	ln -s a.txt dir/link
	ln -s ../dir links/dir
	ln -s ../dir/a.txt links/file
	tar -czf archive.tgz dir
	gzip -k top
	printf '*.log\n!keep.log\n' >.dockerignore
	touch x.log keep.log
	"$here/make-busybox.sh" "$work/base" >/dev/null
	mv "$work/base/rootfs" root
	ln -s bin root/sbin
	chown -R "${AZM_TEST_UID:-61234}" .
}

tree() { # DIR
	(cd "$1" && find . -mindepth 1 ! -path './dev/*' ! -path './proc/*' ! -path './sys/*' ! -path './bin/*' \
		\( -type f -exec sh -c 'for f; do printf "%s %s\n" "$f" "$(sha256sum <"$f")"; done' sh {} + -o -true \) \
		-printf '%P %y %m %l\n' | sed 's/ l 777 / l /' | sort)
}

config() { # JSON: the part both have to agree on
	jq -S '.config | {Env, Cmd, Entrypoint, WorkingDir, User, ExposedPorts, Labels, Volumes, StopSignal, Shell, OnBuild,
		Healthcheck} | .Labels = ((.Labels // {}) | del(."io.buildah.version")) | with_entries(select(.value != null and
		.value != {} and .value != [] and .value != "" and .value != "/"))' "$1"
}

compare() { # RECIPE
	local name theirs=0 ours=0 container mounted
	name=$(basename "$1")
	buildah_ build -q --format docker --network none --layers=false -t "$name" -f "$1" "$work/context" >"$work/theirs.log" 2>&1 ||
		theirs=$?
	"$here/../lib/as-user.sh" "$build/azm-rootfs" build -q -f "$1" "$work/context" "$work/out/$name" >"$work/ours.log" 2>&1 || ours=$?
	if [ $((theirs != 0)) -ne $((ours != 0)) ]; then
		echo "$name: buildah says $theirs, azm-rootfs says $ours"
		tail -n 5 "$work/theirs.log" "$work/ours.log"
		return 1
	fi
	[ "$ours" -eq 0 ] || return 0
	container=$(buildah_ from "$name")
	mounted=$(buildah_ mount "$container")
	buildah_ inspect "$container" | jq -r .Docker >"$work/theirs.json"
	{
		diff <(tree "$mounted") <(tree "$work/out/$name/rootfs") || true
		diff <(config "$work/theirs.json") <(config "$work/out/$name/image.json") || true
	} >"$work/diff"
	buildah_ rm "$container" >/dev/null
	[ -s "$work/diff" ] || return 0
	echo "$name: < buildah, > azm-rootfs"
	cat "$work/diff"
	return 1
}

make_context
install -d -o "${AZM_TEST_UID:-61234}" "$work/out"
failed=0
count=0
for recipe in "$here"/dockerfiles/*; do
	[ $# -eq 0 ] || [[ " $* " == *" $(basename "$recipe") "* ]] || continue
	count=$((count + 1))
	compare "$recipe" || failed=$((failed + 1))
done
echo "$count recipes, $failed differ"
[ "$failed" -eq 0 ]
