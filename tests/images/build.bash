# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash disable=SC2034,SC2153,SC2154 # set by bats and by the suite
# What the suites of azm-rootfs build share: recipes by an id without privileges, over a root of busybox.
#
# The store is the file's: what a test builds twice it takes from the cache the second time.
load ../lib/common

ROOTFS_TOOL=$BUILD/azm-rootfs

setup_file() {
	export AZM_IMAGE_STORE=$BATS_FILE_TMPDIR/store BASE=$BATS_FILE_TMPDIR/base
	"$TESTS/images/make-busybox.sh" "$BASE"
	mkdir "$BATS_FILE_TMPDIR/empty"
	printf 'FROM base\n' | "$ROOTFS_TOOL" build -q -f - --build-context base="$BASE" -t base "$BATS_FILE_TMPDIR/empty" 3>&-
}

setup() {
	C=$BATS_TEST_TMPDIR/context
	OUT=$BATS_TEST_TMPDIR/out
	mkdir "$C"
}

teardown() {
	remove_sandboxes
}

build() { # OPTION... : of $C to $OUT
	timeout -k 5 100 "$ROOTFS_TOOL" build "$@" "$C" "$OUT" 3>&-
}

# recipe: standard input is the Dockerfile
recipe() {
	cat >"$C/Dockerfile"
}

# builds OPTION...: without a word but what commands say
builds() {
	rm -rf "$OUT"
	run build "$@"
	[ "$status" -eq 0 ] || { echo "$output" && return 1; }
	ROOT=$OUT/rootfs
}

# rejects PATTERN [OPTION...]: one message at a line, nothing made
rejects() {
	local pattern=$1
	shift
	rm -rf "$OUT"
	run --separate-stderr build -q "$@"
	is 125 "$status" status
	has "$stderr" "$pattern"
	is 1 "$(grep -c '^azm-rootfs: ' <<<"$stderr")" messages
	[ ! -e "$OUT" ]
	is '' "$(ls -A "$AZM_IMAGE_STORE/partial")" 'half-made layers'
}

config() { # KEY: of the image's configuration
	jq -c ".config.$1" "$OUT/image.json"
}

owner_of() { # PATH: as owners.mtree has it
	awk -v path="./$1" '$1 == path { $1 = ""; print }' "$OUT/owners.mtree"
}

make_context() {
	mkdir -p "$C/src/sub" "$C/links"
	echo a >"$C/src/a.txt"
	echo b >"$C/src/b.txt"
	echo c >"$C/src/sub/c.md"
	echo 'a b' >"$C/a b"
	chmod 751 "$C/src/sub"
	chmod 640 "$C/src/b.txt"
	touch -d 2001-02-03 "$C/src/a.txt"
	ln -s ../src/a.txt "$C/links/inside"
	ln -s ../../../outside "$C/links/up"
	ln -s "$BATS_TEST_TMPDIR/secret" "$C/links/absolute"
	ln -s /etc "$C/links/directory"
	ln -s ../src "$C/links/src"
	echo secret >"$BATS_TEST_TMPDIR/secret"
}
