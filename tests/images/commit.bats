#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# azm-sandbox commit: what a sandbox has become is an image again, to be run here or anywhere else.
# shellcheck disable=SC2154,SC2016,SC2030,SC2031 # set by bats; quotes on purpose; every test is a subshell
load ../lib/common

ROOTFS_TOOL=$BUILD/azm-rootfs

# One image that was unpacked from layers, and a sandbox that changed it: for all tests.
setup_file() {
	make_rootfs
	export IMAGE=$BATS_FILE_TMPDIR/image NAME=commit-$$-$RANDOM AZM_IMAGE_STORE=$BATS_FILE_TMPDIR/store
	touch "$ROOTFS/removed" "$ROOTFS/etc/kept"
	mkdir "$ROOTFS/replaced" && touch "$ROOTFS/replaced/lower"
	tar -C "$ROOTFS" --owner=0 --group=0 -cf "$BATS_FILE_TMPDIR/root.tar" .
	truncate -s 4 "$BATS_FILE_TMPDIR/owned"
	tar -C "$BATS_FILE_TMPDIR" --owner=1000 --group=100 --mode=4755 -rf "$BATS_FILE_TMPDIR/root.tar" owned
	"$ROOTFS_TOOL" unpack -q "$BATS_FILE_TMPDIR/root.tar" "$IMAGE" 3>&-
	azm run --name "$NAME" --rootfs "$IMAGE" -- /bin/sh -c 'echo new >/made && chmod 640 /made
		rm /removed && rm -r /replaced && mkdir /replaced && echo upper >/replaced/upper && echo x >>/etc/kept
		ln -s made /link && ln /made /twice && mkfifo /pipe && chmod 4755 /replaced/upper
		mkdir /closed && echo secret >/closed/file && chmod 0 /closed/file /closed && chmod u+x /owned'
}
teardown_file() { azm rm -f "$NAME" >/dev/null; }
teardown() { remove_sandboxes; }

commit() { azm commit -q "$NAME" "$@"; }

# What the sandbox's changes must have made of an image's tree.
check_tree() { # DIR: an unpacked image
	is "$(cat "$1/rootfs/made")" new
	is "$(stat -c %a "$1/rootfs/made")" 640
	is "$(stat -c %i "$1/rootfs/made")" "$(stat -c %i "$1/rootfs/twice")"
	is "$(readlink "$1/rootfs/link")" made
	is "$(cat "$1/rootfs/etc/kept")" x
	[ -p "$1/rootfs/pipe" ] && [ ! -e "$1/rootfs/removed" ]
	is "$(ls "$1/rootfs/replaced")" upper
	is "$(cat "$1/rootfs/closed/file")" secret
	grep -qx './closed type=dir uid=0 gid=0 mode=0000' "$1/owners.mtree"
	grep -qx './replaced/upper type=file uid=0 gid=0 mode=4755' "$1/owners.mtree"
	grep -qx './owned type=file uid=1000 gid=100 mode=4755' "$1/owners.mtree"
}

@test "commit to a directory: an image that runs, with its changes, owners and modes" {
	local out=$BATS_TEST_TMPDIR/out
	commit "$out"
	check_tree "$out"
	run azm run --rm --rootfs "$out" -- /bin/sh -c 'cat /made && ls /removed'
	has "$output" new
	has "$output" 'removed: No such file'
}

@test "commit to archives: the changes are a layer of their own, twice the same bytes" {
	local dir=$BATS_TEST_TMPDIR form
	export SOURCE_DATE_EPOCH=1700000000
	for form in oci docker; do
		commit --format $form "$dir/$form.tar"
		commit --format $form "$dir/$form-again.tar"
		cmp "$dir/$form.tar" "$dir/$form-again.tar"
		"$ROOTFS_TOOL" unpack -q "$dir/$form.tar" "$dir/$form"
		check_tree "$dir/$form"
		is "$(jq '.rootfs.diff_ids | length' "$dir/$form/image.json")" 2
	done
	skopeo --tmpdir "$dir" --insecure-policy inspect --raw "oci-archive:$dir/oci.tar" | jq -e '.layers | length == 2'
	tar -xOf "$dir/docker.tar" "$(tar -xOf "$dir/docker.tar" manifest.json | jq -r '.[0].Layers[1]')" |
		tar -tf - >"$dir/names"
	grep -qx '.wh.removed' "$dir/names"
	grep -qx 'replaced/.wh..wh..opq' "$dir/names"
	run -1 grep "^bin/" "$dir/names"
}

@test "commit to the store: the image's own layers are there once" {
	commit azm:base:1
	local second
	second=$(new_name)
	azm run --name "$second" --rootfs "$IMAGE" -- /bin/sh -c 'echo second >/second'
	azm commit -q "$second" azm:base:2
	is "$(find "$AZM_IMAGE_STORE/layers" -mindepth 1 -maxdepth 1 | wc -l)" 3
	"$ROOTFS_TOOL" export -q azm:base:1 "$BATS_TEST_TMPDIR/1.tar"
	"$ROOTFS_TOOL" unpack -q "$BATS_TEST_TMPDIR/1.tar" "$BATS_TEST_TMPDIR/1"
	check_tree "$BATS_TEST_TMPDIR/1"
	"$ROOTFS_TOOL" export -q azm:base:2 "$BATS_TEST_TMPDIR/2.tar"
	"$ROOTFS_TOOL" unpack -q "$BATS_TEST_TMPDIR/2.tar" "$BATS_TEST_TMPDIR/2"
	is "$(cat "$BATS_TEST_TMPDIR/2/rootfs/second")" second
}

@test "a sandbox on an image of the store, also when its name means another one by now" {
	local name out=$BATS_TEST_TMPDIR
	name=$(new_name)
	"$ROOTFS_TOOL" unpack -q --store "$BATS_FILE_TMPDIR/root.tar" named:1
	azm run --name "$name" --rootfs azm:named:1 -- /bin/sh -c 'echo third >/third; rm /removed; chmod u+x /owned'
	commit azm:named:1
	azm commit -q "$name" azm:result:1
	azm commit -q "$name" "$out/dir"
	azm commit -q "$name" "$out/out.tar"
	"$ROOTFS_TOOL" unpack -q "$out/out.tar" "$out/unpacked"
	"$ROOTFS_TOOL" export -q azm:result:1 "$out/result.tar"
	"$ROOTFS_TOOL" unpack -q "$out/result.tar" "$out/result"
	for dir in dir unpacked result; do
		is "$(cat "$out/$dir/rootfs/third")" third
		[ ! -e "$out/$dir/rootfs/made" ] && [ ! -e "$out/$dir/rootfs/removed" ]
		grep -qx './owned type=file uid=1000 gid=100 mode=4755' "$out/$dir/owners.mtree"
	done
	run azm run --rm --rootfs azm:result:1 -- /bin/cat /third
	has "$output" third
}

@test "a running sandbox stands still while it is committed, and goes on" {
	local name out=$BATS_TEST_TMPDIR/out
	name=$(new_name)
	background "$name" -- /bin/sh -c 'i=0; while :; do i=$((i + 1)); echo $i >/a.new; mv /a.new /a; echo $i >/b.new; mv /b.new /b; done'
	wait_for 20 azm exec "$name" /bin/sh -c '[ -s /b ]'
	azm commit -q "$name" "$out"
	local a b before
	a=$(cat "$out/rootfs/a") b=$(cat "$out/rootfs/b")
	[ "$a" -eq "$b" ] || [ "$a" -eq $((b + 1)) ]
	before=$(azm exec "$name" /bin/cat /b)
	wait_for 20 azm exec "$name" /bin/sh -c "[ \$(cat /b) -gt $before ]"
}

@test "--change, -m and -a: configuration and history" {
	local config=$BATS_TEST_TMPDIR/out/image.json
	commit -c 'CMD ["/bin/cat", "/made"]' -c 'ENV A="x y" B=z' --change 'LABEL k=v' -c 'EXPOSE 8080' -c 'USER 5' \
		-c 'WORKDIR /etc' -m 'a message' -a 'A. U. Thor' "$BATS_TEST_TMPDIR/out"
	is "$(jq -c .config.Cmd "$config")" '["/bin/cat","/made"]'
	jq -e '.config.Env | index("A=x y") and index("B=z")' "$config"
	is "$(jq -r .config.Labels.k "$config")" v
	is "$(jq -c .config.ExposedPorts "$config")" '{"8080/tcp":{}}'
	is "$(jq -r .config.User "$config")" 5
	is "$(jq -r .config.WorkingDir "$config")" /etc
	is "$(jq -r .author "$config")" 'A. U. Thor'
	is "$(jq -r '.history[-1].comment' "$config")" 'a message'
}

@test "what cannot be committed is said, and nothing is left" {
	mkdir "$BATS_TEST_TMPDIR/here" && cd "$BATS_TEST_TMPDIR/here"
	mkdir full && touch full/file
	refused 125 'which sandbox' azm commit
	refused 125 'to where' azm commit "$NAME"
	refused 125 'no such sandbox' azm commit -q no-such-sandbox out
	refused 125 'not empty' azm commit -q "$NAME" full
	refused 125 'only instructions that change the configuration' azm commit -q -c 'RUN true' "$NAME" out
	refused 125 'change' azm commit -q -c 'NONSENSE x' "$NAME" out
	refused 125 'true or false' azm commit -q --pause=maybe "$NAME" out
	refused 125 'not a format' azm commit -q --format tar "$NAME" out
	is "$(ls)" full
	local direct
	direct=$(new_name)
	azm run --name "$direct" --rootfs "$(copy_rootfs)" --rootfs-mode direct -- /bin/true
	refused 125 'direct' azm commit -q "$direct" out
	local wh
	wh=$(new_name)
	azm run --name "$wh" --rootfs "$IMAGE" -- /bin/touch /.wh.bin
	refused 125 'would hide a file' azm commit -q "$wh" out
	refused 125 'would hide a file' azm commit -q "$wh" out.tar
	is "$(ls)" full
}
