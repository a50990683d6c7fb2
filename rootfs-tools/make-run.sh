#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# make-run.sh BUILD: what `make run` does once everything is built: an image if there is none, then a sandbox.
#
# Started by root it works as an id without privileges (tests/lib/as-user.sh). Where that id cannot reach the checkout (it
# lies in /root, say), image, workspace and programs live in a directory of the id's own instead.
set -eu

build=$1
top=$(cd "$(dirname "$0")/.." && pwd -P)
place=$top
id=
as_user=

if [ "$(id -u)" -eq 0 ]; then
	id=${AZM_TEST_UID:-61234}
	as_user=$top/tests/lib/as-user.sh
	if ! setpriv --reuid "$id" --regid "$id" --clear-groups test -x "$top/$build/azm-sandbox"; then
		place=/var/tmp/azm-run-$id
		mkdir -p "$place/$build"
		cp "$top/$build"/azm-sandbox "$top/$build"/azm-rootfs "$top/$build"/azm-runtime-server "$place/$build"
		echo "make run: uid $id cannot reach the checkout, so everything is in $place"
	fi
fi

cd "$place"
mkdir -p workspace
[ -z "$id" ] || chown "$id:$id" workspace
if [ ! -e img ]; then
	# An image appears by a rename within its parent directory, which therefore has to be its owner's.
	mkdir -p .make-img
	[ -z "$id" ] || chown "$id:$id" .make-img
	$as_user "$place/$build/azm-rootfs" bootstrap "$place/.make-img/img"
	mv .make-img/img img
	rmdir .make-img
fi
exec $as_user "$place/$build/azm-sandbox" run --rm --rootfs img/ --workspace workspace/
