#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# runner: timeout=600
# shellcheck disable=SC2154 # stderr is set by run
# The layered store: unpack --store, run --rootfs azm:NAME, ls, rm, gc, df, diff. Whatever hostile images do to a tree
# (unpack.bats) they do not do to layers either: what the layers show together is what unpacking into one tree gives.
load ../lib/common

ROOTFS_TOOL=$BUILD/azm-rootfs
IMAGES=$TESTS/lib/make_images.py
LISTING=$TESTS/lib/list_tree.py

# Four honest images, each one layer more than the last: base, one, two, hidden.
setup_file() {
	make_rootfs
	local trees=$BATS_FILE_TMPDIR/trees
	mkdir -p "$trees/one/opt" "$trees/two/etc" "$trees/hidden/opt"
	echo one >"$trees/one/opt/one"
	echo two >"$trees/two/etc/two"
	touch "$trees/hidden/opt/.wh.one"
	LAYOUTS=$BATS_FILE_TMPDIR/layouts
	mkdir "$LAYOUTS"
	python3 "$IMAGES" layers "$LAYOUTS/base" "$ROOTFS"
	python3 "$IMAGES" layers "$LAYOUTS/one" "$ROOTFS" "$trees/one"
	python3 "$IMAGES" layers "$LAYOUTS/two" "$ROOTFS" "$trees/one" "$trees/two"
	python3 "$IMAGES" layers "$LAYOUTS/hidden" "$ROOTFS" "$trees/one" "$trees/two" "$trees/hidden"
	export LAYOUTS
}

setup() {
	export AZM_IMAGE_STORE=$BATS_TEST_TMPDIR/store
}

teardown() {
	remove_sandboxes
	chmod -R u+rwx "$BATS_TEST_TMPDIR" # work directories of overlays that were killed
	rm -rf "${BATS_TEST_TMPDIR:?}"/*
}

tool() {
	timeout -k 5 60 "$ROOTFS_TOOL" "$@" 3>&-
}

put() { # NAME...: honest images
	local name
	for name in "$@"; do tool unpack -q --store "$LAYOUTS/$name" "$name"; done
}

layers() {
	find "$AZM_IMAGE_STORE/layers" -mindepth 1 -maxdepth 1 | wc -l
}

top_of() { # NAME: ID of its topmost layer
	tool ls --json | jq -r --arg name "docker.io/library/$1:latest" '.[] | select(.name == $name).layers[-1]'
}

# ---- what is in it --------------------------------------------------------------------------------------------------

@test "ten images with a common base cost one base, and layers that are there are not read" {
	put base
	local before i after
	before=$(du -sk "$AZM_IMAGE_STORE" | cut -f1)
	for i in 1 2 3 4 5 6 7 8 9; do
		mkdir -p "$BATS_TEST_TMPDIR/own/etc"
		echo "$i" >"$BATS_TEST_TMPDIR/own/etc/own"
		python3 "$IMAGES" layers "$BATS_TEST_TMPDIR/img$i" "$ROOTFS" "$BATS_TEST_TMPDIR/own"
		# The blob of the base is not needed any more.
		rm "$BATS_TEST_TMPDIR/img$i/blobs/sha256/$(jq -r '.layers[0].digest[7:]' \
			"$BATS_TEST_TMPDIR/img$i/blobs/sha256/$(jq -r '.manifests[0].digest[7:]' "$BATS_TEST_TMPDIR/img$i/index.json")")"
		tool unpack -q --store "$BATS_TEST_TMPDIR/img$i" "img:$i"
	done
	after=$(du -sk "$AZM_IMAGE_STORE" | cut -f1)
	[ "$after" -lt $((before + before / 4 + 600)) ]
	is "$(layers)" 10
	run tool df --json
	is "$(jq '.layers, (.images | length), .unused_layers' <<<"$output" | xargs)" "10 10 0"
	is "$(jq '.images[] | select(.name == "docker.io/library/img:3") | .size == .shared_size + .unique_size and .unique_size < 50000' \
		<<<"$output")" true
}

@test "ls, df: names as people write them, and all of it as JSON" {
	run tool ls
	is "$(wc -l <<<"$output")" 1
	is "$(tool ls --json)" "[]"
	tool unpack -q --store "$LAYOUTS/two" registry.example:5000/team/two:v1
	put base
	run tool ls
	has "$output" '^base:latest +1 '
	has "$output" '^registry.example:5000/team/two:v1 +3 '
	run tool df
	has "$output" '^base:latest '
	has "$output" 'layers +[0-9.]+ MiB +3 layers'
	is "$(tool ls --json | jq -r '.[0] | .name, (.layers | length), .complete' | xargs)" "docker.io/library/base:latest 1 true"
}

@test "an image is called as its archive says, or as its file" {
	skopeo --tmpdir "$BATS_TEST_TMPDIR" --insecure-policy copy -q "oci:$LAYOUTS/two:t" \
		"docker-archive:$BATS_TEST_TMPDIR/x.tar:example.org/named:7"
	tool unpack -q --store "$BATS_TEST_TMPDIR/x.tar"
	tool unpack -q --store "$LAYOUTS/two"
	tar -C "$ROOTFS" --owner=0 --group=0 -czf "$BATS_TEST_TMPDIR/My Root.tar.gz" .
	tool unpack -q --store "$BATS_TEST_TMPDIR/My Root.tar.gz"
	is "$(tool ls --json | jq -r '.[].name' | xargs)" \
		"docker.io/library/my-root:latest docker.io/library/two:t example.org/named:7"
	refused 125 'what it is to be called' tool unpack -q --store - <"$BATS_TEST_TMPDIR/My Root.tar.gz"
	refused 125 'not a host' tool unpack --store "$LAYOUTS/two" ../../etc
	refused 125 'what, and to which' tool unpack --store
	run azm run --rm --rootfs azm:my-root -- /bin/sh -c 'echo runs'
	is "$output" runs
}

@test "diff: added, changed, deleted, as docker writes it; of stored images, unpacked ones, trees" {
	put base two hidden
	is "$(tool diff azm:base azm:two | xargs)" "C /etc A /etc/two A /opt A /opt/one"
	is "$(tool diff azm:two hidden | xargs)" "C /opt D /opt/one"
	is "$(tool diff azm:two azm:two)" ""
	tool unpack -q "$LAYOUTS/two" "$BATS_TEST_TMPDIR/flat"
	is "$(tool diff azm:two "$BATS_TEST_TMPDIR/flat")" ""
	cp -a "$BATS_TEST_TMPDIR/flat/rootfs" "$BATS_TEST_TMPDIR/tree"
	echo TWO >"$BATS_TEST_TMPDIR/tree/etc/two"
	chmod 700 "$BATS_TEST_TMPDIR/tree/opt"
	rm "$BATS_TEST_TMPDIR/tree/etc/passwd"
	mkdir "$BATS_TEST_TMPDIR/tree/etc/passwd"
	touch "$BATS_TEST_TMPDIR/tree/etc/passwd/in"
	is "$(tool diff azm:two "$BATS_TEST_TMPDIR/tree" | xargs)" "C /etc C /etc/passwd A /etc/passwd/in C /etc/two C /opt"
	is "$(tool diff --json "$BATS_TEST_TMPDIR/tree" "$BATS_TEST_TMPDIR/flat" | jq -r '.[] | .kind + .path' | xargs)" \
		"C/etc C/etc/passwd C/etc/two C/opt"
	touch "$BATS_TEST_TMPDIR/tree/"$'\033[1m'
	has_not "$(tool diff azm:two "$BATS_TEST_TMPDIR/tree")" $'\033'
	refused 125 'two images' tool diff azm:two
	refused 125 'No such file' tool diff azm:two ./none
}

# ---- the same as one tree -------------------------------------------------------------------------------------------

# Cases as they are, or in more layers. Those that are refused are refused alike.
same_as_flat() { # make|split AT-LEAST NAME...
	local cases=$BATS_TEST_TMPDIR/cases flat=$BATS_TEST_TMPDIR/flat name made=() form=$1 least=$2 one two
	shift 2
	mkdir "$cases" "$flat" "$BATS_TEST_TMPDIR/canary"
	echo secret >"$BATS_TEST_TMPDIR/canary/secret"
	python3 "$IMAGES" "$form" "$cases" "$BATS_TEST_TMPDIR/canary" "$@"
	for name in "$@"; do
		one=0 two=0
		tool unpack -q "$cases/$name" "$flat/$name" 2>"$BATS_TEST_TMPDIR/one" || one=$?
		tool unpack -q --store "$cases/$name" "$name" 2>"$BATS_TEST_TMPDIR/two" || two=$?
		is "$one" "$two" "$name: $(cat "$BATS_TEST_TMPDIR/two")"
		if [ "$one" -eq 0 ]; then
			made+=("$name")
			is "$(tool diff "azm:$name" "$flat/$name")" "" "$name: diff"
		else
			cmp "$BATS_TEST_TMPDIR/one" "$BATS_TEST_TMPDIR/two"
			is "$(ls "$AZM_IMAGE_STORE/partial")" "" "$name: left"
			[ ! -e "$AZM_IMAGE_STORE/images/docker.io%library%$name:latest" ]
		fi
	done
	[ "${#made[@]}" -ge "$least" ]
	unshare -Urm python3 "$LISTING" merged "$AZM_IMAGE_STORE" "$flat" "${made[@]}"
	is "$(find "$AZM_IMAGE_STORE" -perm /6000)" ""
	is "$(find "$BATS_TEST_TMPDIR/canary" | wc -l)" 2
	is "$(cat "$BATS_TEST_TMPDIR/canary/secret")" secret
}

# Large cases are unpack.bats'; those with something wrong in their documents are, too.
case_names() { # PATTERN
	python3 "$IMAGES" names | grep -E "$1" |
		grep -Ev 'bomb|many|window|digest|size$|diff_id|media|keys|json|index|artifact|names_below|sparse_map'
}

@test "t-i1: layers of hostile images show together what one tree has, and nothing else is touched" {
	# shellcheck disable=SC2046 # words
	same_as_flat make 12 $(case_names 'opaque|whiteout|inherited|links_to_come|deep_removed|plain|modes')
}

@test "t-i1: all hostile and odd images, in several layers each" {
	# shellcheck disable=SC2046 # words
	same_as_flat split 35 $(case_names .)
}

@test "of a file with several names below only those a layer names are changed, as in every overlay" {
	python3 "$IMAGES" make "$BATS_TEST_TMPDIR" "$BATS_TEST_TMPDIR" names_below
	tool unpack -q --store "$BATS_TEST_TMPDIR/names_below" x
	local tree
	tree=$AZM_IMAGE_STORE/layers/$(top_of x)
	is "$(cd "$tree/tree" && find . -type f | sort | xargs)" "./dir/two ./etc/two"
	is "$(stat -c %i "$tree/tree/dir/two")" "$(stat -c %i "$tree/tree/etc/two")"
	grep -qx './dir/two type=file uid=5 gid=0 mode=0644' "$tree/owners.mtree"
	grep -qx './etc/two type=file uid=5 gid=0 mode=0644' "$tree/owners.mtree"
}

@test "a layer's owners.mtree says everything about its files, copied ones too" {
	python3 "$IMAGES" make "$BATS_TEST_TMPDIR" "$BATS_TEST_TMPDIR" inherited
	tool unpack -q --store "$BATS_TEST_TMPDIR/inherited" x
	local second third
	second=$AZM_IMAGE_STORE/layers/$(tool ls --json | jq -r '.[0].layers[1]')/owners.mtree
	third=$AZM_IMAGE_STORE/layers/$(top_of x)/owners.mtree
	grep -qx './home type=dir uid=1000 gid=1000 mode=2750' "$second"
	grep -qx './home/old type=file uid=1000 gid=0 mode=4755' "$second"
	grep -qx './etc/old type=file uid=1000 gid=0 mode=4755' "$second"
	grep -qx './srv type=dir uid=7 gid=0 mode=0755' "$second"
	grep -qx './srv/root type=file uid=0 gid=0 mode=0644' "$third"
	grep -qx './srv type=dir uid=7 gid=0 mode=0755' "$third"
	is "$(grep '^./home ' "$third" | tail -n1)" './home type=dir uid=0 gid=0 mode=0711'
}

# ---- sandboxes ------------------------------------------------------------------------------------------------------

@test "run --rootfs azm:NAME: the layers' files, the image's configuration, nothing written to them" {
	put two hidden
	# shellcheck disable=SC2016 # expanded inside
	run azm run --rm --rootfs azm:two -- /bin/sh -c 'cat /opt/one /etc/two; echo $LAYERED; echo x >/etc/two; rm /opt/one; ls -A /opt'
	is "$(xargs <<<"$output")" "one two yes"
	run azm run --rm --rootfs azm:hidden -- /bin/sh -c 'ls -A /opt; cat /etc/two'
	is "$output" two
	is "$(SANDBOX_RUNTIME_CONTAINER_IMAGE=azm:two azm run --rm -- /bin/cat /opt/one)" one
	run azm run --rm --rootfs azm:two --rootfs-mode read-only -- /bin/sh -c 'cat /opt/one; touch /opt/new'
	[ "$status" -ne 0 ]
	has "$output" 'Read-only file system'
	tool unpack -q "$LAYOUTS/two" "$BATS_TEST_TMPDIR/flat"
	is "$(tool diff azm:two "$BATS_TEST_TMPDIR/flat")" ""
}

@test "run says which names there are, what is missing, and why a store image is not written to" {
	refused 125 'there is none yet' azm run --rootfs azm:two -- /bin/true
	put two base
	refused 125 'none of that name' azm run --rootfs azm:tow -- /bin/true
	has "$stderr" 'there is: two:latest'
	refused 125 'not a host' azm run --rootfs azm:../two -- /bin/true
	refused 125 'shared with other sandboxes' azm run --rootfs azm:two --rootfs-mode direct -- /bin/true
	mv "$AZM_IMAGE_STORE/layers/$(top_of base)" "$BATS_TEST_TMPDIR/away"
	refused 125 'not in the store any more' azm run --rootfs azm:two -- /bin/true
	has "$stderr" 'unpack or pull it again'
	has "$(tool ls)" 'layers are missing'
	put base two
	is "$(azm run --rm --rootfs azm:two -- /bin/cat /opt/one)" one
	echo '{"name": 1}' >"$AZM_IMAGE_STORE/images/docker.io%library%two:latest"
	refused 125 'damaged' azm run --rootfs azm:two -- /bin/true
	refused 125 'cannot be read' tool gc
	[ "$(layers)" -gt 2 ]
}

@test "what cannot be listed is an error, and not taken for empty" {
	local command denied=("$BUILD/tests/deny" getdents64=EIO "$ROOTFS_TOOL")
	put two
	for command in ls df gc 'rm two' 'diff azm:two azm:two' "export -q azm:two $BATS_TEST_TMPDIR/out.tar"; do
		# shellcheck disable=SC2086 # words
		refused 125 'Input/output error' "${denied[@]}" $command
	done
	is "$(tool ls --json | jq -r '.[].complete')" true
}

@test "an image of 130 layers runs; more than an overlay takes are refused, with advice" {
	mkdir "$BATS_TEST_TMPDIR/tree"
	local trees=() i
	for ((i = 0; i < 129; i++)); do trees+=("$BATS_TEST_TMPDIR/tree"); done
	echo many >"$BATS_TEST_TMPDIR/tree/many"
	python3 "$IMAGES" layers "$BATS_TEST_TMPDIR/many" "$ROOTFS" "${trees[@]}"
	tool unpack -q --store "$BATS_TEST_TMPDIR/many" many
	is "$(layers)" 130
	is "$(azm run --rm --rootfs azm:many -- /bin/cat /many)" many
	for ((i = 0; i < 372; i++)); do trees+=("$BATS_TEST_TMPDIR/tree"); done
	python3 "$IMAGES" layers "$BATS_TEST_TMPDIR/more" "$ROOTFS" "${trees[@]}"
	refused 125 'it has 502 layers' tool unpack -q --store "$BATS_TEST_TMPDIR/more" more
	has "$stderr" 'without --store they become one tree'
}

# ---- removing -------------------------------------------------------------------------------------------------------

@test "rm and gc leave a running sandbox its layers, and take them when it is gone" {
	local name
	name=$(new_name)
	put base two
	azm run -d --rm --name "$name" --rootfs azm:two -- /bin/probe sleep-forever
	refused 125 'uses it' tool rm two
	has "$stderr" 'force'
	tool rm -f two
	tool gc
	is "$(layers)" 3
	is "$(azm exec "$name" /bin/cat /opt/one)" one
	azm rm -f "$name"
	tool gc
	is "$(layers)" 1
	is "$(azm run --rm --rootfs azm:base -- /bin/sh -c 'echo still here')" "still here"
}

@test "a stopped sandbox is started again on the layers it had, whatever became of the name" {
	local name
	name=$(new_name)
	put two
	azm run -d --name "$name" --rootfs azm:two -- /bin/probe sleep-forever
	azm exec "$name" /bin/sh -c 'echo mine >>/etc/two'
	azm stop -t 0 "$name"
	refused 125 "\"$name\" stands on it" tool rm two
	tool unpack -q --store "$LAYOUTS/base" two
	tool gc
	is "$(layers)" 3
	azm start "$name"
	is "$(azm exec "$name" /bin/cat /etc/two /opt/one | xargs)" "two mine one"
	azm rm -f "$name"
	tool gc
	is "$(layers)" 1
}

@test "a snapshot keeps the layers its forks will need, and lets them go" {
	local name fork
	name=$(new_name)
	fork=$(new_name)
	put two
	azm run -d --rm --name "$name" --rootfs azm:two -- /bin/probe sleep-forever
	azm exec "$name" /bin/sh -c 'echo mine >>/etc/two'
	azm snapshot "$name" "$name-s"
	azm rm -f "$name"
	refused 125 "stands on it" tool rm two
	tool rm -f two
	tool gc
	is "$(layers)" 3
	azm fork --name-prefix "$fork" "$name-s"
	fork=$fork-1
	remember_name "$fork"
	is "$(azm exec "$fork" /bin/cat /etc/two /opt/one | xargs)" "two mine one"
	azm rm -f "$fork"
	azm snapshots rm "$name-s"
	tool gc
	is "$(layers)" 0
}

@test "rm takes the layers nobody else has; names share" {
	put base two
	tool unpack -q --store "$LAYOUTS/two" again
	run tool rm azm:two
	has "$output" '0 layers removed'
	run tool rm again
	has "$output" '2 layers removed'
	is "$(tool ls --json | jq -r '.[].name')" docker.io/library/base:latest
	refused 125 'none of that name' tool rm two
	refused 125 'which image' tool rm
	run tool gc --json
	is "$(jq .layers <<<"$output")" 0
}

# ---- at any time ----------------------------------------------------------------------------------------------------

# Every layer that can be seen is whole, and every name stands for layers that are there.
store_is_whole() {
	local layer name
	for layer in "$AZM_IMAGE_STORE"/layers/*; do
		[ ! -e "$layer" ] || { [ -d "$layer/tree" ] && [ -f "$layer/owners.mtree" ] && jq -e .size "$layer/layer.json" >/dev/null; }
	done
	for name in $(tool ls --json | jq -r '.[] | select(.complete | not).name'); do
		echo "$name is not complete"
		return 1
	done
}

layers_have_gone() { [ -z "$(ls "$AZM_IMAGE_STORE/layers")" ]; }

@test "t-i3: killed at any point, no half layer is visible, and the next run goes on" {
	python3 "$IMAGES" make "$BATS_TEST_TMPDIR" "$BATS_TEST_TMPDIR" many_files
	local delay pid image=$BATS_TEST_TMPDIR/many_files
	for delay in 0.01 0.05 0.1 0.2; do
		"$ROOTFS_TOOL" unpack -q --store "$image" many 3>&- &
		pid=$!
		python3 -c "import time; time.sleep($delay)" # where in its work it dies is left to chance
		kill -KILL "$pid" 2>/dev/null || true
		wait "$pid" || true
		store_is_whole
	done
	tool unpack -q --store "$image" many
	store_is_whole
	is "$(find "$AZM_IMAGE_STORE/layers/$(top_of many)/tree" -type f | wc -l)" 30000
	"$ROOTFS_TOOL" rm many 3>&- &
	pid=$!
	wait_for 10 layers_have_gone || true
	kill -KILL "$pid" 2>/dev/null || true
	wait "$pid" || true
	store_is_whole
	tool gc
	is "$(ls "$AZM_IMAGE_STORE/partial")" ""
}

@test "t-i4: one image put by several at once, while others collect" {
	local i pids=()
	for i in 1 2 3 4; do
		tool unpack -q --store "$LAYOUTS/hidden" "n$i" &
		pids+=($!)
		tool gc >/dev/null &
		pids+=($!)
	done
	for i in "${pids[@]}"; do wait "$i"; done
	store_is_whole
	is "$(layers)" 4
	is "$(tool ls --json | jq length)" 4
	is "$(ls "$AZM_IMAGE_STORE/partial")" ""
}

@test "a signal ends it, also while it waits for somebody who makes the same layer" {
	mkfifo "$BATS_TEST_TMPDIR/fifo"
	put base
	local id pid result=0
	id=$(python3 -c "import json; print(json.load(open('$AZM_IMAGE_STORE/images/docker.io%library%base:latest'))['layers'][0])")
	tool rm base
	mkdir "$AZM_IMAGE_STORE/partial/$id"
	exec 7<"$AZM_IMAGE_STORE/partial/$id"
	flock 7
	"$ROOTFS_TOOL" unpack -q --store "$LAYOUTS/base" base 3>&- 7>&- &
	pid=$!
	wait_for 10 sh -c "ls -l /proc/$pid/fd | grep -q partial/$id"
	kill -TERM "$pid"
	wait "$pid" || result=$?
	exec 7>&-
	is "$result" 143
	put base
	store_is_whole
}

# ---- where it is ----------------------------------------------------------------------------------------------------

@test "a store that is not the user's own, or others may write to, is refused" {
	mkdir -m 700 "$BATS_TEST_TMPDIR/real"
	ln -s real "$BATS_TEST_TMPDIR/link"
	AZM_IMAGE_STORE=$BATS_TEST_TMPDIR/link refused 125 'symbolic link' tool unpack -q --store "$LAYOUTS/base" x
	chmod 755 "$BATS_TEST_TMPDIR/real"
	AZM_IMAGE_STORE=$BATS_TEST_TMPDIR/real refused 125 'mode is 755' tool unpack -q --store "$LAYOUTS/base" x
	mkdir -m 777 "$BATS_TEST_TMPDIR/open"
	AZM_IMAGE_STORE=$BATS_TEST_TMPDIR/open/store refused 125 'writable for everybody' tool unpack -q --store "$LAYOUTS/base" x
	AZM_IMAGE_STORE=store refused 125 'absolute' tool unpack -q --store "$LAYOUTS/base" x
	unset AZM_IMAGE_STORE
	XDG_DATA_HOME=$BATS_TEST_TMPDIR/data tool unpack -q --store "$LAYOUTS/base" x
	[ -d "$BATS_TEST_TMPDIR/data/azm-rootfs/layers" ]
	is "$(stat -c %a "$BATS_TEST_TMPDIR/data/azm-rootfs")" 700
}

@test "a file system that cannot hold layers is recognised, and said" {
	mkdir -p "$BATS_TEST_TMPDIR"/{lower,upper,work,mnt}
	cat >"$BATS_TEST_TMPDIR/in" <<-END
		mount -t overlay -o userxattr,lowerdir=$BATS_TEST_TMPDIR/lower,upperdir=$BATS_TEST_TMPDIR/upper,workdir=$BATS_TEST_TMPDIR/work none $BATS_TEST_TMPDIR/mnt
		AZM_IMAGE_STORE=$BATS_TEST_TMPDIR/mnt/store $ROOTFS_TOOL unpack -q --store $LAYOUTS/base x
	END
	refused 125 'layers cannot be kept there' unshare -Urm sh "$BATS_TEST_TMPDIR/in"
	has "$stderr" 'AZM_IMAGE_STORE to a directory on a local disk'
}
