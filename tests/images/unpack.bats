#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# runner: timeout=600
# azm-rootfs unpack: every form of archive, and class I of the threats: what hostile images do.
#
# Images are made by lib/make_images.py. Whatever a case does, the directory beside the target, which hostile names and
# links lead to, must stay as it is; and where umoci's answer is right, ours is the same.
load ../lib/common

ROOTFS_TOOL=$BUILD/azm-rootfs
IMAGES=$TESTS/lib/make_images.py
LISTING=$TESTS/lib/list_tree.py

setup() {
	OUT=$BATS_TEST_TMPDIR/out
	CANARY=$BATS_TEST_TMPDIR/canary
	mkdir "$OUT" "$CANARY" "$BATS_TEST_TMPDIR/img"
	echo secret >"$CANARY/secret"
	CANARY_BEFORE=$(python3 "$LISTING" strict "$CANARY")
}

# What the user made the user can remove, with nothing special.
teardown() {
	remove_sandboxes
	rm -rf "$OUT"
}

unpack() {
	timeout -k 5 60 "$ROOTFS_TOOL" unpack "$@" 3>&-
}

make() { # CASE: an OCI layout at $IMG
	python3 "$IMAGES" make "$BATS_TEST_TMPDIR/img" "$CANARY" "$1"
	IMG=$BATS_TEST_TMPDIR/img/$1
}

outside_is_untouched() {
	[ "$(python3 "$LISTING" strict "$CANARY")" = "$CANARY_BEFORE" ]
	[ "$(ls "$OUT")" = "${1:-}" ]
}

# unpacks CASE: into $OUT/x, and nowhere else
unpacks() {
	make "$1"
	run unpack -q "$IMG" "$OUT/x"
	[ "$status" -eq 0 ] || { echo "$output" && return 1; }
	outside_is_untouched x
	ROOT=$OUT/x/rootfs
}

# refuses CASE PATTERN: with a message that says why, leaving nothing
refuses() {
	make "$1"
	run unpack -q "$IMG" "$OUT/x"
	is "$status" 125
	has "$output" "$2"
	outside_is_untouched
}

# The tree is umoci's, but for set-id bits and what its owner must be able to do.
as_umoci() {
	umoci raw unpack --rootless --image "$IMG:t" "$BATS_TEST_TMPDIR/umoci" >/dev/null 2>&1
	same_trees "$BATS_TEST_TMPDIR/umoci" "$ROOT"
}

same_trees() {
	diff <(python3 "$LISTING" list "$1") <(python3 "$LISTING" list "$2")
}

same_tree() { # ROOT: as $ROOT
	same_trees "$ROOT" "$1"
}

# Peak memory of the last unpack through this, in KiB, in $PEAK.
measured() {
	run timeout -k 5 100 /usr/bin/env python3 -c '
import os, resource, subprocess, sys
status = subprocess.call(sys.argv[1:], close_fds=True)
print("peak", resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(status)' "$ROOTFS_TOOL" unpack -q "$@"
	PEAK=$(awk '/^peak/ { print $2 }' <<<"$output")
}

# in_memory KIB: so much was enough for the last `measured`. What sanitizers keep beside each byte does not count.
in_memory() {
	[[ $BUILD == *-san ]] || [ "$PEAK" -lt "$1" ]
}

# ---- forms of archives ----------------------------------------------------------------------------------------------

@test "an OCI layout, by itself, with its tag, and as umoci unpacks it" {
	unpacks plain
	as_umoci
	is "$(stat -c %a "$OUT/x")" 755
	is "$(jq -r .config.Cmd[0] "$OUT/x/image.json")" /bin/sh
	has_not "$(cat "$OUT/x/owners.mtree")" passwd
	grep -qx './owned type=file uid=1000 gid=100 mode=0644' "$OUT/x/owners.mtree"
	unpack -q "oci:$IMG:t" "$OUT/y"
	same_tree "$OUT/y/rootfs"
	unpack -q "oci:$IMG" "$OUT/z" --tag t
	same_tree "$OUT/z/rootfs"
	refused 125 'there is: t' unpack -q "oci:$IMG:other" "$OUT/w"
}

@test "archives of docker, podman, skopeo: plain, gzip, zstd, xz, bzip2, from a file and from a pipe" {
	unpacks plain
	local archive form pack
	for form in oci docker; do
		archive=$BATS_TEST_TMPDIR/$form.tar
		skopeo --tmpdir "$BATS_TEST_TMPDIR" --insecure-policy copy -q "oci:$IMG:t" "$form-archive:$archive:name:1"
		unpack -q "$archive" "$OUT/$form"
		same_tree "$OUT/$form/rootfs"
		unpack -q "$form-archive:$archive:name:1" "$OUT/$form-named"
		same_tree "$OUT/$form-named/rootfs"
		unpack -q - "$OUT/$form-pipe" < <(cat "$archive")
		same_tree "$OUT/$form-pipe/rootfs"
		for pack in gzip xz bzip2 zstd; do
			command -v "$pack" >/dev/null || continue
			"$pack" -c "$archive" >"$archive.$pack"
			unpack -q "$archive.$pack" "$OUT/$form-$pack"
			same_tree "$OUT/$form-$pack/rootfs"
			cmp "$OUT/$form-$pack/image.json" "$OUT/$form/image.json"
		done
	done
	refused 125 'none of that name' unpack -q "docker-archive:$archive:other" "$OUT/w"
	tar -C "$IMG" -cf "$BATS_TEST_TMPDIR/dot.tar" .
	unpack -q "$BATS_TEST_TMPDIR/dot.tar" "$OUT/dot"
	same_tree "$OUT/dot/rootfs"
}

@test "the tar of a root file system, as docker export writes it, from a file and from a pipe" {
	unpacks plain
	local tree=$ROOT
	touch "$tree/.dockerenv" "$tree/.wh.kept"
	tar -C "$tree" --sort=name --owner=0 --group=0 -cf "$BATS_TEST_TMPDIR/root.tar" .
	gzip -k "$BATS_TEST_TMPDIR/root.tar"
	unpack -q "$BATS_TEST_TMPDIR/root.tar" "$OUT/plain"
	same_tree "$OUT/plain/rootfs"
	is "$(cat "$OUT/plain/owners.mtree")" "#mtree"
	is "$(jq -r .config.Cmd[0] "$OUT/plain/image.json")" /bin/sh
	unpack -q "$BATS_TEST_TMPDIR/root.tar.gz" "$OUT/gz"
	same_tree "$OUT/gz/rootfs"
	(cd "$tree" && tar -cf - -- * .dockerenv .wh.kept) | unpack -q - "$OUT/pipe"
	same_tree "$OUT/pipe/rootfs"
	unpack -q - "$OUT/stdin" <"$BATS_TEST_TMPDIR/root.tar"
	same_tree "$OUT/stdin/rootfs"
}

@test "sparse files of GNU tar, in all its formats, stay sparse and whole" {
	mkdir -p "$BATS_TEST_TMPDIR/src/etc"
	truncate -s 40M "$BATS_TEST_TMPDIR/src/etc/holes"
	printf middle | dd of="$BATS_TEST_TMPDIR/src/etc/holes" bs=1M seek=20 conv=notrunc status=none
	printf data | dd of="$BATS_TEST_TMPDIR/src/etc/late" bs=1M seek=5 status=none
	local format
	for format in gnu 'pax --sparse-version=0.0' 'pax --sparse-version=0.1' 'pax --sparse-version=1.0'; do
		rm -rf "$OUT/x"
		# shellcheck disable=SC2086 # two words
		tar -C "$BATS_TEST_TMPDIR/src" -S --format=$format -cf "$BATS_TEST_TMPDIR/sparse.tar" etc
		unpack -q "$BATS_TEST_TMPDIR/sparse.tar" "$OUT/x"
		cmp "$BATS_TEST_TMPDIR/src/etc/holes" "$OUT/x/rootfs/etc/holes"
		cmp "$BATS_TEST_TMPDIR/src/etc/late" "$OUT/x/rootfs/etc/late"
		[ "$(du -k "$OUT/x/rootfs/etc/holes" | cut -f1)" -lt 2000 ]
	done
}

@test "--platform chooses from an index; several images have to be chosen from" {
	make plain
	local arm=$BATS_TEST_TMPDIR/arm
	cp -a "$IMG" "$arm"
	python3 - "$arm" <<'END'
import json, sys
path = sys.argv[1] + "/index.json"
index = json.load(open(path))
one = index["manifests"][0]
index["manifests"] = [{**one, "platform": {"os": "linux", "architecture": a}} for a in ("amd64", "s390x", "arm64", "riscv64")]
index["manifests"].append({**one, "digest": "sha256:" + "0" * 64, "platform": {"os": "windows", "architecture": "amd64"}})
json.dump(index, open(path, "w"))
END
	unpack -q "$arm" "$OUT/native"
	refused 125 'windows/amd64' unpack -q "$arm" "$OUT/x" --platform plan9/amd64
	refused 125 'it is for linux/amd64' unpack -q "$arm" "$OUT/x" --platform linux/arm64
	refused 125 'blobs/sha256/000' unpack -q "$arm" "$OUT/x" --platform windows/amd64
	jq '.manifests += [.manifests[0] | .annotations["org.opencontainers.image.ref.name"] = "two" | .digest = "sha256:'"$(printf %064d 1)"'"]' \
		"$IMG/index.json" >"$IMG/new" && mv "$IMG/new" "$IMG/index.json"
	refused 125 'choose one with --tag: t, two' unpack -q "$IMG" "$OUT/x"
	unpack -q "$IMG" "$OUT/x" --tag t
}

@test "the result runs" {
	make_rootfs
	tar -C "$ROOTFS" --owner=0 --group=0 -czf "$BATS_TEST_TMPDIR/root.tar.gz" .
	unpack -q "$BATS_TEST_TMPDIR/root.tar.gz" "$OUT/x"
	run azm run --rm --rootfs "$OUT/x" -- /bin/sh -c 'echo works'
	is "$status" 0
	has "$output" works
}

@test "progress and result as JSON; a terminal gets a bar with files and time" {
	make plain
	run unpack --json "$IMG" "$OUT/x"
	is "$status" 0
	is "$(tail -n1 <<<"$output" | jq -r '.phase, .layers, (.files > 10)' | xargs)" "done 3 true"
	is "$(jq -r .phase <<<"$output" | uniq | xargs)" "unpack finish done"
	TERM=xterm run "$TESTS/lib/pty-run.py" --size 100x24 -- "$ROOTFS_TOOL" unpack "$IMG" "$OUT/y"
	has "$output" ' files'
	has "$output" '99%'
	run unpack -q "$IMG" "$OUT/z"
	is "$output" ""
}

@test "bad command lines and sources say what is wrong" {
	make plain
	refused 125 'what, and to which' unpack
	refused 125 'which directory' unpack "$IMG"
	refused 125 'more than is expected' unpack "$IMG" "$OUT/x" y
	refused 125 'No such file' unpack "$BATS_TEST_TMPDIR/none" "$OUT/x"
	refused 125 'not an OCI layout' unpack "$OUT" "$OUT/x"
	refused 125 'linux/amd64' unpack "$IMG" "$OUT/x" --platform amd64
	refused 125 'not a size' unpack "$IMG" "$OUT/x" --max-size none
	refused 125 'not the name of an image' unpack docker://BusyBox "$OUT/x"
	refused 125 'one too many' unpack "oci:$IMG:t" "$OUT/x" --tag t
	refused 125 'ends too early' unpack -q - "$OUT/x" </dev/null
	mkdir "$OUT/full" && touch "$OUT/full/file"
	refused 125 'not empty' unpack "$IMG" "$OUT/full"
	is "$(ls "$OUT")" full
}

# ---- appears whole or not at all ------------------------------------------------------------------------------------

@test "t-i2: directories nobody may enter are unpacked and can be removed" {
	unpacks modes
	is "$(cat "$ROOT/closed/file" "$ROOT/closed/in/deep" "$ROOT/read-only/file")" xyz
	grep -qx './closed type=dir uid=0 gid=0 mode=0000' "$OUT/x/owners.mtree"
	rm -r "$OUT/x"
}

@test "t-i3: killed at any point, nothing half-made is visible and the next run cleans up" {
	make many_files
	local delay pid
	for delay in 0.005 0.02 0.05 0.1 0.2 0.3; do
		"$ROOTFS_TOOL" unpack -q "$IMG" "$OUT/x" 3>&- &
		pid=$!
		python3 -c "import time; time.sleep($delay)" # where in its work it dies is left to chance
		kill -KILL "$pid" 2>/dev/null || true
		wait "$pid" || true
		[ ! -e "$OUT/x" ] || { [ -f "$OUT/x/owners.mtree" ] && rm -rf "$OUT/x"; }
	done
	unpack -q "$IMG" "$OUT/x"
	outside_is_untouched x
	is "$(find "$OUT/x/rootfs" -type f | wc -l)" 30000
}

@test "t-i3: a signal ends it at once, also while it waits for a pipe, and it leaves nothing" {
	mkfifo "$BATS_TEST_TMPDIR/fifo"
	exec 7<>"$BATS_TEST_TMPDIR/fifo"
	"$ROOTFS_TOOL" unpack -q "$BATS_TEST_TMPDIR/fifo" "$OUT/x" 3>&- 7>&- &
	local pid=$!
	wait_for 10 sh -c "ls -A '$OUT' | grep -q ."
	kill -TERM "$pid"
	local result=0
	wait "$pid" || result=$?
	exec 7>&-
	is "$result" 143
	outside_is_untouched
}

@test "t-i4: the same image unpacked by several at once, to one place and to several" {
	make plain
	local i pids=() others=() won=0
	for i in 1 2 3 4; do
		unpack -q "$IMG" "$OUT/same" 2>/dev/null &
		pids+=($!)
		unpack -q "$IMG" "$OUT/$i" &
		others+=($!)
	done
	for i in "${pids[@]}"; do
		if wait "$i"; then won=$((won + 1)); fi
	done
	wait "${others[@]}"
	[ "$won" -ge 1 ]
	for i in 1 2 3 4; do same_trees "$OUT/same/rootfs" "$OUT/$i/rootfs"; done
	outside_is_untouched "$(printf '1\n2\n3\n4\nsame')"
}

# ---- t-i1: names and links ------------------------------------------------------------------------------------------

@test "t-i1: '..' in names stays inside" { unpacks dotdot && as_umoci; }
@test "t-i1: absolute names are below the root" { unpacks absolute && as_umoci; }
@test "t-i1: the root as a link (CVE-2021-29136)" { refuses root_symlink 'something else than a directory'; }
@test "t-i1: the root as a file" { refuses root_file 'unpack'; }
@test "t-i1: writing through a link" { unpacks symlink_through && as_umoci; }
@test "t-i1: writing through a link that leads up" { unpacks symlink_up && as_umoci; }
@test "t-i1: a link is replaced, not followed" { unpacks symlink_replaced && as_umoci; }
@test "t-i1: links over links" { unpacks symlink_chain && as_umoci; }
@test "t-i1: links in a circle" { refuses symlink_loop 'symbolic links'; }
@test "t-i1: a directory becomes a link between its files" { unpacks symlink_dir_replaced && as_umoci; }
@test "t-i1: a hard link to ../../etc/passwd" { refuses hardlink_up 'there is no'; }
@test "t-i1: a hard link to an absolute path outside" { refuses hardlink_outside 'there is no'; }
@test "t-i1: a hard link through a symbolic one" { refuses hardlink_through_symlink 'there is no'; }
@test "t-i1: a hard link to a symbolic one" { unpacks hardlink_to_symlink && as_umoci; }
@test "t-i1: a hard link to a whiteout" { refuses hardlink_to_whiteout 'there is no'; }
@test "t-i1: a hard link to a directory" { refuses hardlink_to_directory 'names a directory'; }
@test "t-i1: a whiteout of '..'" { refuses whiteout_dotdot 'not a whiteout'; }
@test "t-i1: a whiteout of '.'" { refuses whiteout_dot 'not a whiteout'; }
@test "t-i1: a whiteout of nothing" { refuses whiteout_alone 'not a whiteout'; }
@test "t-i1: an opaque directory" { unpacks opaque && as_umoci; }
@test "t-i1: an opaque directory, marked after its files" { unpacks opaque_late && as_umoci; }
@test "t-i1: an opaque directory through a link" { unpacks opaque_through_symlink && as_umoci; }
@test "t-i1: a whiteout through a link" { unpacks whiteout_through_symlink && as_umoci; }
@test "t-i1: a whiteout of a link" { unpacks whiteout_of_symlink && as_umoci; }
@test "t-i1: a whiteout above the root" { unpacks whiteout_up && as_umoci; }
@test "t-i1: a whiteout of its own layer's file" { unpacks whiteout_same_layer && as_umoci; }
@test "t-i1: a file as a directory" { refuses parent_is_a_file 'Not a directory'; }
@test "t-i1: names that come twice, as something else" { unpacks duplicates && as_umoci; }
@test "t-i1: PAX paths and link targets" { unpacks pax_path && as_umoci; }
@test "t-i1: a path longer than PATH_MAX" { refuses long_name 'File name too long'; }
@test "t-i1: a name longer than NAME_MAX" { refuses long_component 'File name too long'; }
@test "t-i1: newlines, escape codes, blanks, backslashes in names" {
	unpacks odd_names && as_umoci
	grep -qF './owned\012\040\033[1m type=file uid=5' "$OUT/x/owners.mtree"
}
@test "t-i1: names in messages do not drive the terminal" {
	refuses odd_error 'there is no'
	has_not "$output" $'\033'
}
@test "t-i1: names that differ in case only" { unpacks case_twins && as_umoci; }
@test "t-i1: a NUL in a name cuts it" {
	unpacks nul_name
	is "$(ls "$ROOT")" cut
}
@test "t-i1: a path of 1500 directories" { refuses deep 'nested too deeply'; }

# ---- t-i1: what one id cannot have ----------------------------------------------------------------------------------

@test "t-i1: devices are empty files, remembered" {
	unpacks devices && as_umoci
	[ -f "$ROOT/dev/sda" ]
	[ -p "$ROOT/dev/pipe" ]
	grep -qx './dev/null type=char uid=0 gid=0 mode=0666 device=1,3' "$OUT/x/owners.mtree"
	grep -qx './dev/sda type=block uid=0 gid=0 mode=0644 device=8,0' "$OUT/x/owners.mtree"
}

@test "t-i1: set-id bits are not on disk, but remembered, for every name" {
	unpacks setuid && as_umoci
	is "$(find "$OUT/x" -perm /6000)" ""
	grep -qx './su type=file uid=0 gid=0 mode=4755' "$OUT/x/owners.mtree"
	grep -qx './su2 type=file uid=0 gid=0 mode=4755' "$OUT/x/owners.mtree"
	grep -qx './shared type=dir uid=0 gid=0 mode=2775' "$OUT/x/owners.mtree"
}

@test "t-i1: capabilities are remembered, overlay's marks dropped, user attributes kept" {
	unpacks xattrs
	grep -q '^./ping .*xattr.security.capability=AQAAAgAg' "$OUT/x/owners.mtree"
	run python3 -c '
import os, sys
for name in ("ping", "fixed", "smuggled"):
    path = os.path.join(sys.argv[1], name)
    print(name, *[f"{key}={os.getxattr(path, key).decode()}" for key in os.listxattr(path) if key.startswith("user.")])
probe = os.path.join(sys.argv[1], "probe")
open(probe, "w").close()
try:
    os.setxattr(probe, "user.x", b"1")
except OSError:
    print("no user attributes here")' "$ROOT"
	has_not "$output" overlay
	has_not "$output" containers
	[[ $output == *"no user attributes"* ]] || has "$output" 'ping user.note=kept'
	[[ $output == *"no user attributes"* ]] || has "$output" 'fixed user.note=read-only'
	is "$(stat -c %a "$ROOT/fixed")" 444
}

# ---- t-i1: numbers, headers, compressions ---------------------------------------------------------------------------

@test "t-i1: a size in PAX counts" { unpacks pax_size && as_umoci; }
@test "t-i1: a negative size" { refuses negative_size 'negative'; }
@test "t-i1: a size of exabytes" { refuses huge_size 'overflow|too early|too large'; }
@test "t-i1: a size of exabytes in PAX" { refuses pax_size_huge 'overflow|too large'; }
@test "t-i1: a sparse file of exabytes" { refuses sparse_huge 'too large'; }
@test "t-i1: times beyond all calendars" { unpacks mtime_far; }
@test "t-i1: a type nobody knows is a file" { unpacks unknown_type && is "$(cat "$ROOT/what")" 1; }
@test "t-i1: a layer that is no tar" { refuses not_a_tar 'Unrecognized archive'; }
@test "t-i1: a layer that is cut off" { refuses cut_tar 'Truncated'; }
@test "t-i1: gzip that is cut off" { refuses gzip_cut 'ends too early'; }
@test "t-i1: gzip in many members" { unpacks gzip_members && as_umoci; }
@test "t-i1: something behind the gzip" { refuses gzip_tail 'something follows'; }
@test "t-i1: zstd that wants a window of gigabytes" { refuses zstd_window 'more memory than is allowed'; }

@test "t-i1: a plain tar cut off between two files is not taken for a root" {
	python3 "$IMAGES" tar "$BATS_TEST_TMPDIR/cut.tar" "$CANARY" no_end
	refused 125 'ends too early' unpack -q "$BATS_TEST_TMPDIR/cut.tar" "$OUT/x"
	outside_is_untouched
}

@test "t-i1: a gzip bomb stops at --max-size, in little memory" {
	make gzip_bomb
	measured "$IMG" "$OUT/x" --max-size 100m
	is "$status" 125
	has "$output" 'too large|larger than'
	in_memory 65536
	outside_is_untouched
}

@test "t-i1: endless zeros behind a layer's end" {
	make zeros_after_end
	measured "$IMG" "$OUT/x"
	is "$status" 125
	has "$output" 'follow its end'
	in_memory 65536
}

@test "t-i1: a million entries, in little memory" {
	make many_entries
	measured "$IMG" "$OUT/x"
	is "$status" 0
	in_memory 65536
	is "$(ls "$OUT/x/rootfs")" d
}

@test "t-i1: a sparse map of millions of pieces ends, it does not eat the machine" {
	make sparse_map
	measured "$IMG" "$OUT/x"
	# The sanitizers' allocator ends the program where ours gets an error, as a kill would.
	if [[ $BUILD != *-san ]]; then
		[ "$status" -eq 125 ] || [ "$status" -eq 0 ]
		[ "$status" -eq 0 ] || outside_is_untouched
	fi
	in_memory 700000
}

# ---- t-i1: documents ------------------------------------------------------------------------------------------------

@test "t-i1: foreign layers are not fetched" { refuses foreign_layer 'which we never do'; }
@test "t-i1: layers with URLs are not fetched" { refuses layer_urls 'which we never do'; }
@test "t-i1: a layer whose digest is wrong" { refuses blob_digest 'not what the image names'; }
@test "t-i1: a configuration whose digest is wrong" { refuses config_digest 'not what the image names'; }
@test "t-i1: a manifest whose digest is wrong" { refuses manifest_digest 'not what the image names'; }
@test "t-i1: a layer whose size is wrong" { refuses layer_size 'another size'; }
@test "t-i1: a layer of negative size" { refuses layer_size_negative 'without media type, digest or size'; }
@test "t-i1: a layer that is not the configuration's" { refuses diff_id 'not what the configuration names'; }
@test "t-i1: more layers than the configuration has" { refuses diff_ids_count 'manifest has 2 layers, the configuration 1'; }
@test "t-i1: a digest that is a path" { refuses digest_traversal 'hexadecimal'; }
@test "t-i1: a manifest that is an index, too (CVE-2021-41190)" { refuses media_type_confusion 'in two ways'; }
@test "t-i1: a manifest that says it is an index" { refuses media_type_lies 'something else'; }
@test "t-i1: keys that come twice" { refuses duplicate_keys 'duplicate'; }
@test "t-i1: JSON nested a hundred thousand deep" { refuses deep_json 'depth'; }
@test "t-i1: an index in an index" { unpacks index_nested && as_umoci; }
@test "t-i1: indices without end" { refuses index_recursion 'too deeply'; }
@test "t-i1: an artifact that is no image" { refuses artifact 'not of a container image'; }

@test "t-i1: no system call names a path outside but the archive, the target and the libraries" {
	make symlink_chain
	# The sanitizer build looks for leaks with ptrace, which strace has already.
	ASAN_OPTIONS=detect_leaks=0 strace -f -e trace=%file -e signal=none -o "$BATS_TEST_TMPDIR/trace" "$ROOTFS_TOOL" unpack -q "$IMG" "$OUT/x" 3>&-
	run grep -F "canary" "$BATS_TEST_TMPDIR/trace"
	# The link's own text may be written, the tree's names read: never opened absolutely.
	has_not "$(grep -E '^[0-9]+ +(open|openat|mkdir|stat|unlink)[a-z]*\((AT_FDCWD, )?"/[^"]*canary' "$BATS_TEST_TMPDIR/trace" || true)" canary
}
