#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# azm-rootfs pull and push with a real registry (Debian's docker-registry) on loopback: without and with a login, by
# password, by token, by helper; with TLS; mirrors; what the store keeps. What registries can do wrong: registry_hostile.bats.
load ../lib/common

ROOTFS_TOOL=$BUILD/azm-rootfs

setup_file() {
	export DIR=$BATS_FILE_TMPDIR PYTHONDONTWRITEBYTECODE=1
	export HOME=$DIR/home XDG_RUNTIME_DIR=$DIR/run
	unset REGISTRY_AUTH_FILE XDG_CONFIG_HOME XDG_DATA_HOME DOCKER_CONFIG http_proxy https_proxy all_proxy HTTPS_PROXY ALL_PROXY
	mkdir -p "$HOME" "$XDG_RUNTIME_DIR"
	python3 "$TESTS/lib/registry.py" layout "$DIR/img"
	export IMG=$DIR/img
	make_certificate authority -x509 -subj /CN=authority
	make_certificate server -subj /CN=127.0.0.1
	openssl x509 -req -in "$DIR/server.csr" -CA "$DIR/authority.pem" -CAkey "$DIR/authority.key" -CAcreateserial -days 3 \
		-extfile <(echo subjectAltName=IP:127.0.0.1) -out "$DIR/server.pem" 2>/dev/null
	make_certificate tokens -x509 -subj /CN=azm
	htpasswd -Bbnc -C 4 azm 'pass word' >"$DIR/htpasswd" 2>/dev/null || htpasswd -Bbn -C 4 azm 'pass word' >"$DIR/htpasswd"
	serve_tokens
	start open
	start basic "auth: {htpasswd: {realm: here, path: $DIR/htpasswd}}"
	start tls '' "  tls: {certificate: $DIR/server.pem, key: $DIR/server.key}"
	start token "auth: {token: {realm: 'http://127.0.0.1:$TOKENS/token', service: azm-registry, issuer: azm, rootcertbundle: $DIR/tokens.pem}}"
	OPEN=$(port_of open) BASIC=$(port_of basic) TLS=$(port_of tls) TOKEN=$(port_of token)
	export OPEN BASIC TLS TOKEN
	AZM_IMAGE_STORE=$DIR/seed "$ROOTFS_TOOL" push -q "oci:$IMG" "127.0.0.1:$OPEN/group/image:1" >"$DIR/digest"
	DIGEST=$(cat "$DIR/digest")
	export DIGEST
}

teardown_file() {
	xargs kill <"$DIR/servers" 2>/dev/null || true
}

make_certificate() { # NAME OPTION...: NAME.key, and NAME.pem or, to be signed, NAME.csr
	local name=$1 out=csr
	shift
	[ "$1" != -x509 ] || out=pem
	openssl req -newkey rsa:2048 -nodes -days 3 "$@" -keyout "$DIR/$name.key" -out "$DIR/$name.$out" 2>/dev/null
}

serve_tokens() {
	python3 "$TESTS/lib/registry.py" tokens "$DIR/tokens.key" "$DIR/tokens.pem" "$DIR/tokens.log" >"$DIR/tokens.port" 2>/dev/null 3>&- &
	echo $! >>"$DIR/servers"
	wait_for 20 test -s "$DIR/tokens.port"
	TOKENS=$(cat "$DIR/tokens.port")
	export TOKENS
}

# start NAME [AUTH [TLS]]: a registry on a port of its own choice, which it says in its log.
start() {
	mkdir -p "$DIR/$1.data"
	cat >"$DIR/$1.yml" <<END
version: 0.1
log: {level: info}
storage: {filesystem: {rootdirectory: $DIR/$1.data}, delete: {enabled: true}}
http:
  addr: 127.0.0.1:0
${3:-}
${2:-}
END
	docker-registry serve "$DIR/$1.yml" >"$DIR/$1.log" 2>&1 3>&- &
	echo $! >>"$DIR/servers"
	wait_for 30 grep -q 'listening on' "$DIR/$1.log"
}

port_of() {
	sed -n 's/.*listening on 127.0.0.1:\([0-9]*\).*/\1/p' "$DIR/$1.log" | head -n1
}

setup() {
	OUT=$BATS_TEST_TMPDIR/out
	mkdir "$OUT"
	export AZM_IMAGE_STORE=$BATS_TEST_TMPDIR/store
	rm -rf "$HOME/.docker" "$HOME/.config" "$XDG_RUNTIME_DIR/containers"
}

teardown() {
	remove_sandboxes
	chmod -R u+rwX "$BATS_TEST_TMPDIR"
}

rootfs() {
	timeout -k 5 60 "$ROOTFS_TOOL" "$@" 3>&-
}

is_whole() { # DIR: what the image is
	is "$(cat "$1/rootfs/etc/first" "$1/rootfs/etc/last" | xargs)" "1 4"
	is "$(stat -c %s "$1/rootfs/data/a" "$1/rootfs/data/b" | xargs)" "614400 614400"
	is "$(jq -r '.config.Cmd[0]' "$1/image.json")" /bin/sh
}

login_file() { # FILE HOST: as podman login writes it
	mkdir -p "$(dirname "$1")"
	printf '{"auths":{"%s":{"auth":"%s"}}}' "$2" "$(printf 'azm:pass word' | base64)" >"$1"
}

# ---- pull -----------------------------------------------------------------------------------------------------------

@test "pull by tag, by digest, with docker://; the same as unpack makes" {
	rootfs pull -q "127.0.0.1:$OPEN/group/image:1" "$OUT/tag"
	is_whole "$OUT/tag"
	rootfs unpack -q "$IMG" "$OUT/same"
	diff -r "$OUT/tag" "$OUT/same"
	rootfs pull -q "docker://127.0.0.1:$OPEN/group/image@$DIGEST" "$OUT/digest"
	is_whole "$OUT/digest"
	rootfs pull -q "localhost:$OPEN/group/image:1@$DIGEST" "$OUT/both"
	# No proxy has a way to this machine's loopback.
	http_proxy=http://127.0.0.1:1 https_proxy=http://127.0.0.1:1 all_proxy=http://127.0.0.1:1 \
		rootfs unpack -q "docker://127.0.0.1:$OPEN/group/image:1" "$OUT/unpack"
	is_whole "$OUT/unpack"
	refused 125 'manifest unknown' rootfs pull -q "127.0.0.1:$OPEN/group/image:2" "$OUT/x"
	refused 125 'manifest unknown' rootfs pull -q "127.0.0.1:$OPEN/group/image@${DIGEST%?????}00000" "$OUT/x"
	refused 125 'it is not there' rootfs pull -q "127.0.0.1:$OPEN/nothing" "$OUT/x"
	refused 125 'azm-rootfs unpack ./x DIR' rootfs pull -q ./x "$OUT/x"
	refused 125 'its tag is part of its name' rootfs pull -q --tag t "127.0.0.1:$OPEN/group/image" "$OUT/x"
	[ ! -e "$OUT/x" ]
}

@test "pull takes archives and layouts as unpack does" {
	rootfs pull -q "oci:$IMG:t" "$OUT/oci"
	is_whole "$OUT/oci"
	skopeo --tmpdir "$BATS_TEST_TMPDIR" --insecure-policy copy -q "oci:$IMG:t" "docker-archive:$OUT/a.tar:name:1"
	rootfs pull -q "docker-archive:$OUT/a.tar:name:1" "$OUT/docker"
	is_whole "$OUT/docker"
}

@test "what skopeo pushed, zstd and gzip, and an index of several machines" {
	local form
	for form in gzip zstd; do
		skopeo --tmpdir "$BATS_TEST_TMPDIR" --insecure-policy copy -q --dest-tls-verify=false --dest-compress-format "$form" \
			--dest-compress "oci:$IMG:t" "docker://127.0.0.1:$OPEN/skopeo/$form"
		rootfs pull -q "127.0.0.1:$OPEN/skopeo/$form" "$OUT/$form"
		is_whole "$OUT/$form"
	done
	skopeo --tmpdir "$BATS_TEST_TMPDIR" --insecure-policy copy -q --dest-tls-verify=false --format v2s2 "oci:$IMG:t" \
		"docker://127.0.0.1:$OPEN/skopeo/docker"
	rootfs pull -q "127.0.0.1:$OPEN/skopeo/docker" "$OUT/v2s2"
	is_whole "$OUT/v2s2"
	make_index
	rootfs pull -q "127.0.0.1:$OPEN/group/image:many" "$OUT/native"
	is_whole "$OUT/native"
	refused 125 'linux/mips: there is none' rootfs pull -q --platform linux/mips "127.0.0.1:$OPEN/group/image:many" "$OUT/x"
	refused 125 'it is for linux/amd64' rootfs pull -q --platform linux/s390x "127.0.0.1:$OPEN/group/image:many" "$OUT/x"
}

make_index() {
	local type=application/vnd.oci.image.index.v1+json
	python3 - "$DIGEST" "$(stat -c %s "$IMG/blobs/sha256/${DIGEST#*:}")" >"$BATS_TEST_TMPDIR/index" <<'END'
import json, sys
one = {"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": sys.argv[1], "size": int(sys.argv[2])}
print(json.dumps({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [
    {**one, "platform": {"os": "linux", "architecture": a}} for a in ("amd64", "arm64", "s390x")]}), end="")
END
	curl -sf -X PUT -H "Content-Type: $type" --data-binary "@$BATS_TEST_TMPDIR/index" \
		"http://127.0.0.1:$OPEN/v2/group/image/manifests/many"
}

@test "blobs are kept, shared and used again; damaged ones are fetched again; the store is bounded" {
	rootfs pull -q "127.0.0.1:$OPEN/group/image:1" "$OUT/a"
	local blobs=$AZM_IMAGE_STORE/blobs/sha256 before layer
	is "$(find "$blobs" -type f | wc -l)" 6
	is "$(find "$AZM_IMAGE_STORE/blobs/partial" -type f | wc -l)" 0
	(cd "$blobs" && for layer in *; do echo "$layer  $layer"; done | sha256sum -c --quiet)
	before=$(grep -c 'GET.*blobs' "$DIR/open.log")
	rootfs pull -q "127.0.0.1:$OPEN/group/image:1" "$OUT/b"
	is "$(grep -c 'GET.*blobs' "$DIR/open.log")" "$before"
	layer=$(find "$blobs" -type f -size +500k | head -n1)
	printf x | dd of="$layer" bs=1 seek=1000 conv=notrunc status=none
	refused 125 'run the command again' rootfs pull -q "127.0.0.1:$OPEN/group/image:1" "$OUT/c"
	rootfs pull -q "127.0.0.1:$OPEN/group/image:1" "$OUT/c"
	is_whole "$OUT/c"
	AZM_BLOB_CACHE_SIZE=700k rootfs pull -q "127.0.0.1:$OPEN/group/image:1" "$OUT/d"
	[ "$(du -sk "$blobs" | cut -f1)" -le 800 ]
	refused 125 'AZM_BLOB_CACHE_SIZE' env AZM_BLOB_CACHE_SIZE=much "$ROOTFS_TOOL" pull -q "127.0.0.1:$OPEN/group/image:1" "$OUT/e"
}

@test "progress and result as JSON" {
	run rootfs pull --json "127.0.0.1:$OPEN/group/image:1" "$OUT/x"
	is "$status" 0
	is "$(tail -n1 <<<"$output" | jq -r '.phase, .layers, .files' | xargs)" "done 4 5"
}

@test "pull --store: under its name, in layers; those that are there are not fetched" {
	rootfs pull -q --store "127.0.0.1:$OPEN/group/image:1"
	is "$(jq -r .manifest "$AZM_IMAGE_STORE"/images/*)" "$DIGEST"
	has "$(ls "$AZM_IMAGE_STORE/images")" "group%image:1"
	is "$(find "$AZM_IMAGE_STORE/layers" -mindepth 1 -maxdepth 1 | wc -l)" 4
	rm -r "$AZM_IMAGE_STORE/blobs"
	rootfs pull -q --store "127.0.0.1:$OPEN/group/image:1" other:2
	is "$(find "$AZM_IMAGE_STORE/blobs/sha256" -size +100k | wc -l)" 0
}

# ---- being let in ---------------------------------------------------------------------------------------------------

@test "a password: from every file podman and docker write, from --authfile; none, a wrong one, a file of others" {
	local ref=127.0.0.1:$BASIC/group/image:1 file n=0
	refused 125 'docker login 127.0.0.1' rootfs push -q "oci:$IMG" "$ref"
	for file in "$XDG_RUNTIME_DIR/containers/auth.json" "$HOME/.config/containers/auth.json" "$HOME/.docker/config.json"; do
		login_file "$file" "127.0.0.1:$BASIC"
		rootfs push -q "oci:$IMG" "$ref"
		rootfs pull -q "$ref" "$OUT/$((n += 1))"
		rm "$file"
	done
	login_file "$OUT/file" "https://127.0.0.1:$BASIC/v1/"
	rootfs pull -q --authfile "$OUT/file" "$ref" "$OUT/4"
	REGISTRY_AUTH_FILE=$OUT/file rootfs pull -q "$ref" "$OUT/5"
	login_file "$OUT/file" "127.0.0.1:$BASIC/group"
	rootfs pull -q --authfile "$OUT/file" "$ref" "$OUT/6"
	login_file "$OUT/file" "127.0.0.1:$BASIC/grou"
	refused 125 'who you are' rootfs pull -q --authfile "$OUT/file" "$ref" "$OUT/x"
	printf '{"auths":{"127.0.0.1:%s":{"auth":"%s"}}}' "$BASIC" "$(printf azm:wrong | base64)" >"$OUT/file"
	refused 125 'user or password is wrong' rootfs pull -q --authfile "$OUT/file" "$ref" "$OUT/x"
	chmod 666 "$OUT/file"
	refused 125 'others could have written it' rootfs pull -q --authfile "$OUT/file" "$ref" "$OUT/x"
	refused 125 'No such file' rootfs pull -q --authfile "$OUT/none" "$ref" "$OUT/x"
	has_not "$(cat "$DIR/basic.log")" 'pass word'
}

@test "credential helpers: of one registry, of all; one that fails, that hangs on, whose name is a path" {
	local ref=127.0.0.1:$BASIC/helped/image:1 bin=$BATS_TEST_TMPDIR/bin
	mkdir -p "$bin" "$HOME/.docker"
	cat >"$bin/docker-credential-azm" <<END
#!/bin/sh
read -r server
echo "\$1 \$server" >>$BATS_TEST_TMPDIR/asked
echo '{"ServerURL":"x","Username":"azm","Secret":"pass word"}'
END
	printf '#!/bin/sh\necho credentials not found in native keychain\nexit 1\n' >"$bin/docker-credential-none"
	printf '#!/bin/sh\nhead -c 200000 /dev/zero\n' >"$bin/docker-credential-long"
	chmod 755 "$bin"/*
	export PATH=$bin:$PATH
	printf '{"credHelpers":{"127.0.0.1:%s":"azm"},"credsStore":"none"}' "$BASIC" >"$HOME/.docker/config.json"
	rootfs push -q "oci:$IMG" "$ref"
	is "$(sort -u "$BATS_TEST_TMPDIR/asked")" "get 127.0.0.1:$BASIC"
	printf '{"auths":{"127.0.0.1:%s":{}},"credsStore":"azm"}' "$BASIC" >"$HOME/.docker/config.json"
	rootfs pull -q "$ref" "$OUT/a"
	echo '{"credsStore":"none"}' >"$HOME/.docker/config.json"
	refused 125 'who you are' rootfs pull -q "$ref" "$OUT/x"
	echo '{"credsStore":"long"}' >"$HOME/.docker/config.json"
	refused 125 'no usable answer' rootfs pull -q "$ref" "$OUT/x"
	echo '{"credsStore":"missing"}' >"$HOME/.docker/config.json"
	refused 125 'docker-credential-missing: No such file' rootfs pull -q "$ref" "$OUT/x"
	echo '{"credsStore":"../../bin/sh"}' >"$HOME/.docker/config.json"
	refused 125 'no name of a program' rootfs pull -q "$ref" "$OUT/x"
}

@test "tokens: of nobody for what is public, of a password, of a refresh token; push wants more than pull" {
	local name=127.0.0.1:$TOKEN
	refused 125 'who you are' rootfs push -q "oci:$IMG" "$name/public/image:1"
	login_file "$HOME/.docker/config.json" "$name"
	rootfs push -q "oci:$IMG" "$name/public/image:1"
	rootfs push -q "oci:$IMG" "$name/private/image:1"
	rootfs pull -q "$name/private/image:1" "$OUT/private"
	is_whole "$OUT/private"
	: >"$DIR/tokens.log"
	rm "$HOME/.docker/config.json"
	rootfs pull -q "$name/public/image:1" "$OUT/public"
	is "$(grep -c . "$DIR/tokens.log")" 1
	grep -q 'service=azm-registry&scope=repository%3Apublic%2Fimage%3Apull.*-$' "$DIR/tokens.log"
	refused 125 'who you are' rootfs pull -q "$name/private/image:1" "$OUT/x"
	printf '{"auths":{"%s":{"identitytoken":"refresh me"}}}' "$name" >"$HOME/.docker/config.json"
	rootfs pull -q "$name/private/image:1" "$OUT/refreshed"
	grep -q ^POST "$DIR/tokens.log"
}

@test "TLS: an authority in --cert-dir or certs.d; an unknown one is refused, also on loopback; --insecure" {
	local ref=127.0.0.1:$TLS/group/image:1
	refused 125 'certs.d/127.0.0.1' rootfs push -q "oci:$IMG" "$ref"
	mkdir "$BATS_TEST_TMPDIR/certs"
	cp "$DIR/authority.pem" "$BATS_TEST_TMPDIR/certs/ca.crt"
	rootfs push -q --cert-dir "$BATS_TEST_TMPDIR/certs" "oci:$IMG" "$ref"
	rootfs pull -q --cert-dir "$BATS_TEST_TMPDIR/certs" "$ref" "$OUT/a"
	is_whole "$OUT/a"
	refused 125 'No such file' rootfs pull -q --cert-dir "$BATS_TEST_TMPDIR/none" "$ref" "$OUT/x"
	mkdir -p "$HOME/.config/containers/certs.d/127.0.0.1:$TLS"
	cp "$DIR/authority.pem" "$HOME/.config/containers/certs.d/127.0.0.1:$TLS/ca.crt"
	rootfs pull -q "$ref" "$OUT/b"
	# The certificate is for 127.0.0.1.
	refused 125 'localhost' rootfs pull -q --cert-dir "$BATS_TEST_TMPDIR/certs" "localhost:$TLS/group/image:1" "$OUT/x"
	rm -r "$HOME/.config"
	rootfs pull -q --insecure "$ref" "$OUT/c"
	# Loopback may do without TLS; nobody else without being asked for.
	refused 125 'reach https://' rootfs pull -q --timeout 3 "0.0.0.0:$OPEN/group/image:1" "$OUT/x"
	rootfs pull -q --insecure "0.0.0.0:$OPEN/group/image:1" "$OUT/d"
}

@test "mirrors: --mirror, registries.conf; one that is down; what it does not have comes from the registry itself" {
	local conf=$HOME/.config/containers/registries.conf
	rootfs pull -q --insecure --mirror "127.0.0.1:$OPEN" registry.invalid/group/image:1 "$OUT/a"
	is_whole "$OUT/a"
	rootfs pull -q --mirror 127.0.0.1:1 --mirror "https://127.0.0.1:$BASIC/" "127.0.0.1:$OPEN/group/image:1" "$OUT/b"
	is_whole "$OUT/b"
	mkdir -p "$(dirname "$conf")"
	cat >"$conf" <<END
# as podman has it
unqualified-search-registries = [
  "docker.io",
]
[[registry]]
prefix = "docker.io"
location = "registry.invalid/hub" # never asked
[[registry.mirror]]
location = "127.0.0.1:1/hub"
[[registry.mirror]]
location = "127.0.0.1:$OPEN/hub"
[[registry]]
location = "blocked.invalid"
blocked = true
END
	rootfs push -q "oci:$IMG" "127.0.0.1:$OPEN/hub/library/debian:12"
	rootfs pull -q debian:12 "$OUT/c"
	is_whole "$OUT/c"
	refused 125 'registry.invalid/v2/hub/library/nothing' rootfs pull -q nothing "$OUT/x"
	refused 125 'blocked in registries.conf' rootfs pull -q blocked.invalid/x "$OUT/x"
	echo 'location = ' >>"$conf"
	refused 125 'registries.conf: line' rootfs pull -q debian:12 "$OUT/x"
	refused 125 'HOST' rootfs pull -q --mirror 'http://x' debian:12 "$OUT/x"
	refused 125 'HOST' rootfs pull -q --mirror 'a b' debian:12 "$OUT/x"
}

# ---- push -----------------------------------------------------------------------------------------------------------

@test "push keeps the digest; what is there is not sent again; another repository's blobs are taken over" {
	local name=127.0.0.1:$OPEN/pushed
	is "$(rootfs push -q "oci:$IMG" "$name/a:1")" "$DIGEST"
	is "$(skopeo inspect --tls-verify=false "docker://$name/a:1" | jq -r .Digest)" "$DIGEST"
	run rootfs push "oci:$IMG" "$name/a:2"
	has "$output" '4 layers, 4 of them were there'
	is "$(rootfs push -q "docker://$name/a:1" "$name/b:1")" "$DIGEST"
	grep -q "mount=sha256.*from=pushed%2Fa" "$DIR/open.log"
	skopeo --tmpdir "$BATS_TEST_TMPDIR" --insecure-policy copy -q "oci:$IMG:t" "oci-archive:$OUT/a.tar:t"
	is "$(rootfs push -q "$OUT/a.tar" "docker://$name/c:1")" "$(skopeo inspect --tls-verify=false "docker://$name/c:1" | jq -r .Digest)"
	is "$(rootfs push --json "oci:$IMG" "$name/d" | tail -n1 | jq -r '.phase, .digest, .layers_there' | xargs)" "done $DIGEST 0"
	refused 125 'a digest is not a name' rootfs push -q "oci:$IMG" "$name/a@$DIGEST"
	refused 125 'what, and to where' rootfs push
	tar -C "$OUT" -cf "$OUT/root.tar" --transform 's,^,etc/,' a.tar
	refused 125 'the tar of a root file system' rootfs push -q "$OUT/root.tar" "$name/e"
}

@test "push of an unpacked image, of a docker-archive; pulled again it is the same" {
	local name=127.0.0.1:$OPEN/round digest
	rootfs unpack -q "$IMG" "$OUT/image"
	ln -s first "$OUT/image/rootfs/etc/link"
	digest=$(SOURCE_DATE_EPOCH=1000 rootfs push -q "$OUT/image" "$name/unpacked:1")
	rootfs pull -q "$name/unpacked@$digest" "$OUT/again"
	diff -r "$OUT/image/rootfs" "$OUT/again/rootfs"
	is "$(jq -cS .config "$OUT/image/image.json")" "$(jq -cS .config "$OUT/again/image.json")"
	is "$(SOURCE_DATE_EPOCH=1000 rootfs push -q "$OUT/image" "$name/unpacked:2")" "$digest"
	skopeo --tmpdir "$BATS_TEST_TMPDIR" --insecure-policy copy -q "oci:$IMG:t" "docker-archive:$OUT/a.tar:name:1"
	rootfs push -q "$OUT/a.tar" "$name/docker:1"
	rootfs pull -q "$name/docker:1" "$OUT/docker"
	is_whole "$OUT/docker"
	is "$(skopeo inspect --raw --tls-verify=false "docker://$name/docker:1" | jq -r '[.layers[].mediaType] | unique[]')" \
		application/vnd.oci.image.layer.v1.tar+gzip
	is "$(find "$TMPDIR" /var/tmp -maxdepth 1 -name 'azm-push-*' -user "$(id -u)" 2>/dev/null)" ""
}

@test "push of an image in the store; what is pulled again has its files and its layers" {
	local name=127.0.0.1:$OPEN/stored
	rootfs pull -q --store "127.0.0.1:$OPEN/group/image:1" mine:1
	rootfs push -q azm:mine:1 "$name/image:1"
	rootfs pull -q "$name/image:1" "$OUT/x"
	is_whole "$OUT/x"
	is "$(jq '.rootfs.diff_ids | length' "$OUT/x/image.json")" 4
	refused 125 'nothing:1' rootfs push -q azm:nothing:1 "$name/image:2"
}

@test "built, pushed, pulled, run" {
	local name=127.0.0.1:$OPEN/built/image:1 context=$BATS_TEST_TMPDIR/context
	make_rootfs
	mkdir "$context"
	cp -a "$ROOTFS" "$context/root"
	printf 'FROM scratch\nCOPY root /\nRUN echo made here >/made\n' >"$context/Dockerfile"
	rootfs build -q -t built:1 "$context"
	rootfs push -q azm:built:1 "$name"
	AZM_IMAGE_STORE=$OUT/other rootfs pull -q "$name" "$OUT/image"
	run azm run --rm --rootfs "$OUT/image" -- /bin/cat /made
	is 0 "$status"
	has "$output" 'made here'
}

@test "a large blob goes in pieces" {
	local big=$BATS_TEST_TMPDIR/big
	mkdir -p "$big/etc"
	head -c 40000000 /dev/zero | openssl enc -aes-128-ctr -K 00 -iv 00 2>/dev/null >"$big/etc/noise"
	make_one_layer "$big"
	rootfs push -q "oci:$OUT/layout" "127.0.0.1:$OPEN/big/image:1"
	is "$(grep -c '"PATCH .*big/image/blobs/uploads.* 202 ' "$DIR/open.log")" 2
	rootfs pull -q "127.0.0.1:$OPEN/big/image:1" "$OUT/big"
	cmp "$OUT/big/rootfs/etc/noise" "$big/etc/noise"
}

make_one_layer() { # TREE: an OCI layout of it at $OUT/layout
	tar -C "$1" -cf "$BATS_TEST_TMPDIR/layer.tar" .
	python3 - "$OUT/layout" "$BATS_TEST_TMPDIR/layer.tar" <<'END'
import os, sys
sys.path.insert(0, os.environ["TESTS"] + "/lib")
import registry
registry.layout_of(sys.argv[1], [open(sys.argv[2], "rb").read()] , lambda i, data: data)
END
}

# ---- without libcurl ------------------------------------------------------------------------------------------------

@test "where libcurl is missing everything else works, and pull says what to install" {
	local broken=$BATS_TEST_TMPDIR/broken
	mkdir "$broken"
	touch "$broken/libcurl.so.4" "$broken/libcurl-gnutls.so.4"
	export LD_LIBRARY_PATH=$broken
	rootfs unpack -q "$IMG" "$OUT/x"
	is_whole "$OUT/x"
	refused 125 'apt-get install libcurl4' rootfs pull -q "127.0.0.1:$OPEN/group/image:1" "$OUT/y"
}
