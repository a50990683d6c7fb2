#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# azm-rootfs export, inspect, verify: images that other tools read, with the owners, modes and devices one id cannot have
# on disk, and images that are not what they say.
# shellcheck disable=SC2154,SC2016,SC2030,SC2031 # set by bats; quotes on purpose; every test is a subshell
load ../lib/common

ROOTFS_TOOL=$BUILD/azm-rootfs
IMAGES=$TESTS/lib/make_images.py
LISTING=$TESTS/lib/list_tree.py
export SOURCE_DATE_EPOCH=1700000000

# The case "everything" as a layout (one layer), unpacked, and exported in all forms.
setup_file() {
	export DIR=$BATS_FILE_TMPDIR
	mkdir "$DIR/img" "$DIR/canary"
	python3 "$IMAGES" make "$DIR/img" "$DIR/canary" everything
	export LAYOUT=$DIR/img/everything IMAGE=$DIR/image
	tool unpack -q "$LAYOUT" "$IMAGE"
	tool export -q "$IMAGE" "oci:$DIR/dir:my/app:1"
	tool export -q --name my/app:1 --format oci "$IMAGE" "$DIR/oci.tar"
	tool export -q --name my/app:1 --format docker "$IMAGE" "$DIR/docker.tar"
}

tool() { timeout -k 5 60 "$ROOTFS_TOOL" "$@" 3>&-; }
skopeo_() { skopeo --tmpdir "$BATS_TEST_TMPDIR" --insecure-policy "$@"; }

# Whatever there is to be seen and remembered of an unpacked image, but the order of what is remembered.
facts() { # DIR
	python3 "$LISTING" strict "$1/rootfs"
	sort "$1/owners.mtree"
}

@test "unpack, export, unpack: in every form the same tree, owners, modes, devices, attributes, times" {
	local form
	facts "$IMAGE" >"$BATS_TEST_TMPDIR/before"
	grep -q 'device=1,3' "$IMAGE/owners.mtree"
	grep -q 'mode=4755' "$IMAGE/owners.mtree"
	grep -q 'xattr.security.capability=' "$IMAGE/owners.mtree"
	for form in dir oci.tar docker.tar; do
		tool unpack -q "$DIR/$form" "$BATS_TEST_TMPDIR/$form"
		facts "$BATS_TEST_TMPDIR/$form" >"$BATS_TEST_TMPDIR/after"
		diff "$BATS_TEST_TMPDIR/before" "$BATS_TEST_TMPDIR/after"
		is "$(jq -S .config "$BATS_TEST_TMPDIR/$form/image.json")" "$(jq -S .config "$IMAGE/image.json")"
	done
	is "$(stat -c %b "$BATS_TEST_TMPDIR/dir/rootfs/sparse")" "$(stat -c %b "$IMAGE/rootfs/sparse")" 'blocks of a sparse file'
}

@test "the same image twice gives the same bytes, also through a pipe; no file is younger than SOURCE_DATE_EPOCH" {
	cd "$BATS_TEST_TMPDIR"
	cp -a "$IMAGE" copy
	touch "$IMAGE/rootfs/dir" # its time is beyond the epoch: clamped, and so the same again
	tool export -q --name my/app:1 "$IMAGE" again.tar
	touch "$IMAGE/rootfs/dir"
	tool export -q --name my/app:1 "$IMAGE" - >piped.tar
	cmp again.tar piped.tar
	tool export -q --format docker "$IMAGE" a.tar
	tool export -q docker-archive:a.tar docker-archive:b.tar
	cmp a.tar b.tar
	tar -xOf b.tar "$(tar -xOf b.tar manifest.json | jq -r '.[0].Layers[0]')" | tar --full-time -tvf - |
		awk '{ print $4 }' | sort | tail -1 >last
	is "$(cat last)" 2023-11-14
	touch -d @1600000000 "$IMAGE/rootfs/dir"
}

@test "skopeo inspects and copies all three, umoci unpacks them" {
	local source
	for source in "oci:$DIR/dir:my/app:1" "oci-archive:$DIR/oci.tar" "docker-archive:$DIR/docker.tar"; do
		skopeo_ inspect "$source" | jq -e '.Architecture and (.Layers | length == 1)'
		skopeo_ copy -q "$source" "oci:$BATS_TEST_TMPDIR/copy-${source%%:*}:t"
	done
	is "$(tool inspect --json "$DIR/dir" | jq -r .digest)" "$(skopeo_ inspect "oci:$DIR/dir:my/app:1" | jq -r .Digest)"
	umoci raw unpack --rootless --image "$DIR/dir:my/app:1" "$BATS_TEST_TMPDIR/umoci" >/dev/null 2>&1
	umoci raw unpack --rootless --image "$LAYOUT:t" "$BATS_TEST_TMPDIR/direct" >/dev/null 2>&1
	chmod u+r "$BATS_TEST_TMPDIR"/{umoci,direct}/secret
	python3 "$LISTING" list "$BATS_TEST_TMPDIR/umoci" >"$BATS_TEST_TMPDIR/a"
	python3 "$LISTING" list "$BATS_TEST_TMPDIR/direct" >"$BATS_TEST_TMPDIR/b"
	diff "$BATS_TEST_TMPDIR/a" "$BATS_TEST_TMPDIR/b"
}

@test "podman loads both archives under their name" {
	command -v podman >/dev/null || skip 'podman is not installed'
	local root archive
	root=$(mktemp -d /tmp/azm-pXXXXXX) # podman wants a path of less than fifty bytes
	export XDG_RUNTIME_DIR=$root/run TMPDIR=$root
	mkdir -m 0700 "$XDG_RUNTIME_DIR"
	for archive in oci.tar docker.tar; do
		run podman --root "$root/store" --runroot "$root/live" --storage-driver vfs \
			--storage-opt vfs.ignore_chown_errors=true load -i "$DIR/$archive" 3>&-
		has "$output" 'Loaded image.*my/app:1'
	done
	kill "$(cat "$root/run/libpod/tmp/pause.pid")"
	chmod -R u+rwX "$root"
	rm -rf "$root"
}

@test "archives and layouts are converted with their layers and their ID as they are" {
	cd "$BATS_TEST_TMPDIR"
	local id
	id=$(tool inspect --json "$LAYOUT" | jq -r .id)
	tool export -q --compress none "$LAYOUT" one.tar
	tool export -q --format docker one.tar two.tar
	tool export -q --compress zstd two.tar oci:three:t
	tool export -q three four
	for form in one.tar two.tar three four; do
		is "$(tool inspect --json "$form" | jq -r .id)" "$id" "ID of $form"
		tool verify -q "$form"
	done
	is "$(tool inspect --json one.tar | jq -r '.layers[].digest')" "$(tool inspect --json "$LAYOUT" | jq -r '.layers[].digest')"
	is "$(jq -r '.layers[0].mediaType' <(tool inspect --raw three))" application/vnd.oci.image.layer.v1.tar+zstd
	cmp <(tool inspect --config three) <(tool inspect --config "$LAYOUT")
}

@test "inspect: what an image says, without what could drive a terminal" {
	make_hostile
	run tool inspect "$BATS_TEST_TMPDIR/hostile"
	is 0 "$status"
	has "$output" 'Labels +.*evil'
	[ "$(tr -d '\11\12\40-\176\303\251' <<<"$output" | wc -c)" -eq 0 ]
	run tool inspect --json "$BATS_TEST_TMPDIR/hostile"
	[ "$(tr -d '\12\40-\176\303\251' <<<"$output" | wc -c)" -eq 0 ]
	has "$output" 'René \\u009B31m\\u007F'
	is "$(jq -r '.config.Labels | keys[0] | explode[4]' <<<"$output")" 27
	run tool inspect --config "$BATS_TEST_TMPDIR/hostile"
	has "$output" 'u001b'
	run tool inspect "$IMAGE"
	has "$output" 'Platform +linux/'
	refused 125 'not packed has none' tool inspect --raw "$IMAGE"
}

make_hostile() {
	mkdir -p "$BATS_TEST_TMPDIR/hostile/rootfs"
	printf '{"architecture":"amd64","os":"linux","author":"Ren\303\251 \\u009b31m\177","config":{"Labels":{"evil\\u001b]0;x\\u0007":"\\u001b[2J"},"Env":["A=\\u001bc"]}}' \
		>"$BATS_TEST_TMPDIR/hostile/image.json"
}

@test "verify: every blob is read again, damage is found whatever it is" {
	cd "$BATS_TEST_TMPDIR"
	tool verify -q "$DIR/oci.tar"
	tool verify -q "$DIR/docker.tar"
	tool verify -q "$IMAGE"
	tool verify --json "$DIR/dir" | jq -e '.good and .layers == 1'
	cp -a "$DIR/dir" damaged
	local blob
	blob=damaged/blobs/sha256/$(tool inspect --json damaged | jq -r '.layers[0].digest' | cut -d: -f2)
	printf x | dd of="$blob" bs=1 seek=300 conv=notrunc status=none
	refused 125 'layer 1 of 1' tool verify -q damaged
	cp "$DIR/docker.tar" damaged.tar
	printf X | dd of=damaged.tar bs=1 seek=3000 conv=notrunc status=none
	refused 125 'is not what|ill-formed|damaged|[Cc]hecksum' tool verify -q damaged.tar
	truncate -s 3000 damaged.tar
	refused 125 '.' tool verify -q damaged.tar
}

@test "verify DIR SRC: every difference of an unpacked image from what it was made of" {
	cd "$BATS_TEST_TMPDIR"
	local form
	for form in "$LAYOUT" "$DIR/dir"; do
		tool unpack -q "$form" "x-${form##*/}"
		run -0 tool verify -q "x-${form##*/}" "$form"
		is "$output" ''
	done
	cp -a "$IMAGE" changed
	local root=changed/rootfs
	echo more >>"$root/etc/passwd"
	chmod 711 "$root/run.sh"
	rm "$root/dir/other"
	echo new >"$root/dir/new"
	rm "$root/link" && mkdir "$root/link"
	rm "$root/absolute" && ln -s elsewhere "$root/absolute"
	sed -i 's/uid=1000 gid=100/uid=1001 gid=100/; s/device=1,3/device=1,5/' changed/owners.mtree
	run -1 tool verify -q changed "$LAYOUT"
	has "$output" '^time, content +etc/again$'
	has "$output" '^mode +run.sh$'
	has "$output" '^missing +dir/other$'
	has "$output" '^added +dir/new$'
	has "$output" '^type +link/?$'
	has "$output" '^link, time +absolute$'
	has "$output" '^owner +owned$'
	has "$output" '^device +dev/null$'
	is "$(grep -c '' <<<"$output")" 8
	run -1 tool verify --json changed "$LAYOUT"
	is "$(jq '.differences | length' <<<"$output")" 8
	local differences=$output
	# Nothing is written: there is no place for it.
	run -1 env TMPDIR=/proc "$ROOTFS_TOOL" verify --json changed "$LAYOUT"
	is "$output" "$differences"
	# Where no file system in memory can be had, one is needed for names, not for content.
	local -a without=(unshare -Ur sh -c 'echo 0 >/proc/sys/user/max_user_namespaces && exec "$@"' sh)
	refused 125 '/proc' "${without[@]}" env TMPDIR=/proc "$ROOTFS_TOOL" verify -q changed "$LAYOUT"
	run -1 "${without[@]}" "$ROOTFS_TOOL" verify --json changed "$LAYOUT"
	is "$output" "$differences"
	refused 125 'only an unpacked image' tool verify -q "$LAYOUT" "$LAYOUT"
	is "$(find . "${TMPDIR:-/var/tmp}" -maxdepth 1 -name 'azm-rootfs-verify*' -user "$(id -u)" | wc -l)" 0
}

@test "what cannot be exported is said, and nothing is left" {
	mkdir "$BATS_TEST_TMPDIR/here" && cd "$BATS_TEST_TMPDIR/here"
	mkdir empty full && touch full/file
	tar -C "$IMAGE/rootfs" -cf root.tar etc
	local before
	before=$(ls)
	refused 125 'what, and where' tool export
	refused 125 'where is' tool export "$IMAGE"
	refused 125 'neither an image nor a root' tool export -q empty out.tar
	refused 125 'No such file' tool export -q missing out.tar
	refused 125 'it is the tar of a root' tool export -q root.tar out.tar
	refused 125 'exists' tool export -q "$IMAGE" root.tar
	refused 125 'not empty' tool export -q "$IMAGE" full
	refused 125 'not a format' tool export -q --format zip "$IMAGE" out
	refused 125 'another format' tool export -q --format docker "$IMAGE" oci:out
	refused 125 'not gzip, zstd or none' tool export -q --compress xz "$IMAGE" out
	refused 125 'a name already' tool export -q --name a "$IMAGE" oci:out:b
	refused 125 'not the name of an image' tool export -q --format docker --name 'A B' "$IMAGE" out.tar
	SOURCE_DATE_EPOCH=soon refused 125 'SOURCE_DATE_EPOCH' tool export -q "$IMAGE" out.tar
	cp -a "$IMAGE" "$BATS_TEST_TMPDIR/bad"
	echo './etc/passwd type=file uid=-1 gid=0 mode=0644' >>"$BATS_TEST_TMPDIR/bad/owners.mtree"
	refused 125 'remembered of etc/passwd' tool export -q "$BATS_TEST_TMPDIR/bad" out.tar
	is "$(ls)" "$before"
}
