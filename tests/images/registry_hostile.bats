#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# azm-rootfs pull from registries that lie, break off, never end, ask too much, and from networks that do. What each
# repository does is in lib/registry.py. Whatever it is: bounded in time and memory, a clear message, nothing half-made.
load ../lib/common

ROOTFS_TOOL=$BUILD/azm-rootfs

setup_file() {
	export DIR=$BATS_FILE_TMPDIR PYTHONDONTWRITEBYTECODE=1
	export HOME=$DIR/home
	unset REGISTRY_AUTH_FILE XDG_RUNTIME_DIR XDG_CONFIG_HOME XDG_DATA_HOME DOCKER_CONFIG http_proxy https_proxy all_proxy \
		HTTPS_PROXY ALL_PROXY
	mkdir "$HOME"
	python3 "$TESTS/lib/registry.py" layout "$DIR/img"
	mkdir "$DIR/certs"
	openssl req -x509 -newkey rsa:2048 -nodes -days 3 -subj /CN=127.0.0.1 -addext 'subjectAltName=IP:127.0.0.1,DNS:localhost' \
		-keyout "$DIR/tls.key" -out "$DIR/certs/tls.crt" 2>/dev/null
	serve plain
	AZM_TLS=$DIR/certs/tls.crt,$DIR/tls.key serve tls
	PLAIN=127.0.0.1:$(cat "$DIR/plain.port") TLS=127.0.0.1:$(cat "$DIR/tls.port")
	export PLAIN TLS
}

serve() { # NAME
	mkdir "$DIR/$1"
	python3 "$TESTS/lib/registry.py" serve "$DIR/$1" "$DIR/img" "$DIR/$1.requests" >"$DIR/$1.port" 2>/dev/null 3>&- &
	echo $! >>"$DIR/servers"
	wait_for 20 test -s "$DIR/$1.port"
}

teardown_file() {
	xargs kill <"$DIR/servers" 2>/dev/null || true
}

setup() {
	OUT=$BATS_TEST_TMPDIR/out
	mkdir "$OUT"
	export AZM_IMAGE_STORE=$BATS_TEST_TMPDIR/store
	rm -rf "$HOME/.docker"
	: >"$DIR/plain.requests"
	: >"$DIR/tls.requests"
}

teardown() {
	touch "$DIR/plain/go"
	rm -f "$DIR/plain/go"
	remove_sandboxes
}

pull() { # REPOSITORY [OPTION...]: into $OUT/x
	local name=$1
	shift
	timeout -k 5 60 "$ROOTFS_TOOL" pull -q "$@" "$PLAIN/$name/x:t" "$OUT/x" 3>&-
}

pulls() {
	run pull "$@"
	[ "$status" -eq 0 ] || { echo "$output" && return 1; }
	is "$(cat "$OUT/x/rootfs/etc/first" "$OUT/x/rootfs/etc/last" | xargs)" "1 4"
	is "$(stat -c %s "$OUT/x/rootfs/data/a" "$OUT/x/rootfs/data/b" | xargs)" "614400 614400"
	no_wrong_blobs
}

refuses() { # PATTERN REPOSITORY [OPTION...]
	refused 125 "$1" pull "${@:2}"
	is "$(ls -A "$OUT")" ""
	no_wrong_blobs
}

# Whatever is in the store under a name is what the name says.
no_wrong_blobs() {
	local blobs=$AZM_IMAGE_STORE/blobs/sha256 blob
	for blob in "$blobs"/*; do
		[ ! -e "$blob" ] || is "$(sha256sum <"$blob" | cut -d' ' -f1)" "${blob##*/}"
	done
}

requests() { # PATTERN [FILE]
	grep -cE "$1" "$DIR/${2:-plain}.requests" || true
}

layer() { # NUMBER: its digest
	local manifest
	manifest=$(jq -r '.manifests[0].digest' "$DIR/img/index.json")
	jq -r ".layers[$1].digest" "$DIR/img/blobs/${manifest/://}"
}

# ---- lies -----------------------------------------------------------------------------------------------------------

@test "a registry that says another digest than its manifest has" {
	refuses 'not what the registry itself says' lies
}

@test "a digest that was asked for and is not what comes" {
	refused 125 'gave something else' "$ROOTFS_TOOL" pull -q \
		"$PLAIN/other/x@$(jq -r '.manifests[0].digest' "$DIR/img/index.json")" "$OUT/x"
	is "$(ls -A "$OUT")" ""
}

@test "a layer with another content, and one that is a byte longer" {
	refuses 'not what the image names' wrong
	refuses 'the registry has .* bytes of it, the image says' longer
}

@test "a layer that never ends, and a manifest that never ends" {
	refuses 'more comes than the' endless
	refuses 'larger than 4096 KiB' endless-manifest
	is "$(find "$AZM_IMAGE_STORE/blobs/partial" -type f -size +700k | wc -l)" 0
}

@test "a layer of an exabyte is not begun" {
	refuses 'more than --max-size' huge
	is "$(requests /blobs/)" 1
}

@test "another part of a layer than was asked for" {
	refuses 'gave another part than asked for' elsewhere
}

@test "media types: schema 1, a web page, an index that is a manifest" {
	refuses 'schema 1' schema1
	refuses 'that is no image, but text/html' portal
	refuses 'is something else' confused
}

@test "layers of somebody else: foreign ones and those with URLs are not fetched" {
	refuses 'never do' foreign
	refuses 'never do' urls
	is "$(requests /blobs/)" 0
}

@test "a lying mirror costs nothing but time: the registry itself has it" {
	local way
	for way in wrong endless lies; do
		timeout 60 "$ROOTFS_TOOL" pull -q --mirror "$PLAIN/$way" "$PLAIN/good/x:t" "$OUT/$way"
		is "$(cat "$OUT/$way/rootfs/etc/last")" 4
		rm -rf "$AZM_IMAGE_STORE"
	done
}

# ---- ways elsewhere -------------------------------------------------------------------------------------------------

@test "redirections: in a circle, to a file, out of TLS" {
	refuses 'redirects more than 5 times' loop
	refuses 'not the address of a web server' file
	is "$(requests /loop/)" 6
	refused 125 'to one that is not' "$ROOTFS_TOOL" pull -q --cert-dir "$DIR/certs" "$TLS/downgrade/x:t" "$OUT/x"
}

@test "who we are is not told to the host a redirection leads to" {
	pulls moved
	is "$(requests 'Bearer tok-moved')" "$(($(requests /moved/) - 6))"
	# Once without, the rest with it; of the other host's six (five blobs, redirected) none.
	is "$(requests '/blobs/.*Bearer')" 5
	is "$(requests '/blobs/.*-$')" 5
}

@test "a token server is not asked without TLS where the registry has it" {
	AZM_TLS=$DIR/certs/tls.crt,$DIR/tls.key AZM_REALM=http://$PLAIN/token serve realm
	mkdir -p "$HOME/.docker"
	printf '{"auths":{"127.0.0.1:%s":{"auth":"%s"}}}' "$(cat "$DIR/realm.port")" "$(printf azm:secret | base64)" >"$HOME/.docker/config.json"
	refused 125 'not asked without TLS' "$ROOTFS_TOOL" pull -q --cert-dir "$DIR/certs" "127.0.0.1:$(cat "$DIR/realm.port")/moved/x:t" "$OUT/x"
	is "$(requests /token)" 0
}

@test "tokens that would be header lines, that are empty; challenges nobody knows" {
	refuses 'no usable token' evil
	refuses 'no usable token' empty
	refuses 'a way of logging in that we do not know' odd
}

# ---- what may pass --------------------------------------------------------------------------------------------------

@test "busy: 429 with Retry-After is waited for; too long a wait is said" {
	pulls busy
	refused 125 'come back in 4000 s' "$ROOTFS_TOOL" pull -q "$PLAIN/closed/x:t" "$OUT/y"
}

@test "5xx and then fine; 5xx for ever, with what it says, made safe for a terminal" {
	pulls flaky
	refused 125 'on fire .\[31m \(status 500\)' "$ROOTFS_TOOL" pull -q "$PLAIN/down/x:t" "$OUT/y"
	is "$(requests /down/)" 5
	# shellcheck disable=SC2154 # set by refused
	has_not "$stderr" $'\e'
}

@test "broken connections: a layer goes on where it was, and begins anew where the registry knows no ranges" {
	pulls breaks
	[ "$(requests "/breaks/.*$(layer 1).*bytes=[1-9][0-9]*-")" -ge 2 ]
	rm -rf "$OUT/x" "$AZM_IMAGE_STORE"
	pulls no-range
}

@test "a layer that always breaks off at the same place is given up, and nothing of it is taken for whole" {
	refuses 'reach|download' truncated
}

@test "a connection that gives a byte now and then is left: in a layer, in a head" {
	pulls slow --timeout 1
	rm -rf "$OUT/x"
	pulls drips --timeout 1
}

@test "a head without end" {
	refuses 'head of the answer is too large' fields
}

# ---- together and interrupted ---------------------------------------------------------------------------------------

@test "layers come several at a time" {
	pulls together
}

@test "a platform of several" {
	pulls arms --platform linux/amd64
	refused 125 'there is none' "$ROOTFS_TOOL" pull -q --platform linux/mips "$PLAIN/arms/x:t" "$OUT/y"
	refused 125 'gave something else' "$ROOTFS_TOOL" pull -q --platform linux/arm64 "$PLAIN/arms/x:t" "$OUT/y"
}

partial_has() { # the partial image has the first layer
	compgen -G "$OUT/x.partial-*/rootfs/etc/first" >/dev/null
}

has_half_a_layer() {
	[ -n "$(find "$AZM_IMAGE_STORE/blobs/partial" -type f -size +200k)" ]
}

@test "the first layers are unpacked while others still come; the bar says how many" {
	TERM=xterm spawn "$BATS_TEST_TMPDIR/bar" "$TESTS/lib/pty-run.py" --size 120x24 -- "$ROOTFS_TOOL" pull "$PLAIN/held/x:t" "$OUT/x"
	local pid=$SPAWNED
	wait_for 20 partial_has
	wait_for 20 grep -q '2 of 4 layers' "$BATS_TEST_TMPDIR/bar"
	[ ! -e "$OUT/x" ]
	touch "$DIR/plain/go"
	wait "$pid"
	is "$(cat "$OUT/x/rootfs/etc/last")" 4
}

@test "interrupted: nothing is visible, what came stays for the next pull" {
	spawn "$BATS_TEST_TMPDIR/log" "$ROOTFS_TOOL" pull -q "$PLAIN/held/x:t" "$OUT/x"
	local pid=$SPAWNED
	wait_for 20 has_half_a_layer
	kill -INT "$pid"
	wait "$pid" && status=0 || status=$?
	is 130 "$status"
	has "$(cat "$BATS_TEST_TMPDIR/log")" 'interrupted by signal 2'
	is "$(ls -A "$OUT")" ""
	touch "$DIR/plain/go"
	pulls held
	[ "$(requests "$(layer 1).*bytes=[1-9][0-9]*-")" -ge 1 ]
}

@test "killed: the same" {
	spawn "$BATS_TEST_TMPDIR/log" "$ROOTFS_TOOL" pull -q "$PLAIN/held/x:t" "$OUT/x"
	local pid=$SPAWNED
	wait_for 20 has_half_a_layer
	kill -KILL "$pid"
	wait "$pid" || true
	[ ! -e "$OUT/x" ]
	touch "$DIR/plain/go"
	pulls held
	is "$(ls -A "$OUT")" x
	[ "$(requests "$(layer 1).*bytes=[1-9][0-9]*-")" -ge 1 ]
}

@test "a beginning in the store that is wrong is fetched anew" {
	local name
	name=$(layer 1)
	mkdir -m 700 "$AZM_IMAGE_STORE" "$AZM_IMAGE_STORE/blobs" "$AZM_IMAGE_STORE/blobs/partial"
	head -c 300000 /dev/zero >"$AZM_IMAGE_STORE/blobs/partial/${name/:/-}"
	pulls good
}

@test "two pulls of one image at once fetch each layer once" {
	spawn "$BATS_TEST_TMPDIR/a" "$ROOTFS_TOOL" pull -q "$PLAIN/held/x:t" "$OUT/a"
	local first=$SPAWNED
	spawn "$BATS_TEST_TMPDIR/b" "$ROOTFS_TOOL" pull -q "$PLAIN/held/x:t" "$OUT/b"
	local second=$SPAWNED
	wait_for 20 has_half_a_layer
	touch "$DIR/plain/go"
	wait "$first" "$second"
	diff -r "$OUT/a" "$OUT/b"
	is "$(requests "$(layer 2)")" 1
	is "$(requests "$(layer 3)")" 1
}

@test "memory stays small whatever comes" {
	run timeout 60 python3 -c '
import resource, subprocess, sys
subprocess.call(sys.argv[1:], close_fds=True, stderr=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)' "$ROOTFS_TOOL" pull -q "$PLAIN/endless-manifest/x:t" "$OUT/x"
	[[ $BUILD == *-san ]] || [ "$output" -lt 65536 ]
}
