#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# runner: timeout=1200
# azm-rootfs bootstrap: a Debian image made by an id without privileges, sub-ids or a line in /etc/passwd.
#
# One image is built for the whole file (a minute and 110 MB), unless AZM_TEST_IMAGE names one of this id's own.
load ../server/conform

ROOTFS_TOOL=$BUILD/azm-rootfs

setup_file() {
	export IMAGE=$BATS_FILE_TMPDIR/image
	if [ -O "${AZM_TEST_IMAGE:-}" ]; then
		IMAGE=$AZM_TEST_IMAGE
		return
	fi
	mkdir "$IMAGE" # an empty directory is as good as none
	SOURCE_DATE_EPOCH=1700000000 "$ROOTFS_TOOL" bootstrap "$IMAGE" --json >"$BATS_FILE_TMPDIR/first.json" 3>&-
}

teardown() {
	remove_sandboxes
}

# What the user made the user can remove, with nothing special.
teardown_file() {
	[ "$IMAGE" = "${AZM_TEST_IMAGE:-}" ] || rm -rf "$IMAGE"
}

bootstrap() {
	timeout -k 5 300 "$ROOTFS_TOOL" bootstrap "$@" 3>&-
}

# start_bootstrap DIR [OPTION...]: in the background, JSON lines in $JSON, pid in $pid
start_bootstrap() {
	JSON=$BATS_TEST_TMPDIR/progress.json
	: >"$JSON" # now: what it said the last time is not what it says this time
	"$ROOTFS_TOOL" bootstrap "$@" --variant minimal --json >"$JSON" 2>"$BATS_TEST_TMPDIR/stderr" 3>&- &
	pid=$!
}

reached() { # PHASE
	grep -q "\"phase\":\"$1\"" "$JSON"
}

# status_of_stopped SIGNAL PHASE: send it when the phase is reached; the status is in $stopped
stop_in() {
	wait_for 240 reached "$2"
	kill "-$1" "$pid"
	stopped=0
	wait "$pid" || stopped=$?
}

left_in() { # DIR: names of everything there
	ls -A "$1"
}

# Installer processes of this test that are left, zombies apart.
installers_left() {
	local stat
	for stat in /proc/[0-9]*/cmdline; do
		if tr '\0' ' ' <"$stat" 2>/dev/null | grep -qF "$BATS_TEST_TMPDIR"; then
			case $(tr '\0' ' ' <"$stat" 2>/dev/null) in *mmdebstrap* | *dpkg*) echo "$stat" ;; esac
		fi
	done
}

# What the installer left in a directory for temporary files since the test began.
temporary_left() {
	find /tmp /var/tmp "${TMPDIR:-/tmp}" -maxdepth 1 -user "$(id -u)" -newer "$BATS_TEST_TMPDIR/began" \
		\( -name 'mmdebstrap.*' -o -name 'apt.*' \) 2>/dev/null || true
}

no_installers_left() {
	[ -z "$(installers_left)" ]
}

tool_refused() { # PATTERN COMMAND...: 125, one message of azm-rootfs and perhaps a hint
	local pattern=$1
	shift
	run --separate-stderr "$@"
	is 125 "$status" status
	# shellcheck disable=SC2154 # set by run
	has "$stderr" "$pattern"
	has "$stderr" '^azm-rootfs: '
	is 0 "$(grep -Evc '^(azm-rootfs|hint): ' <<<"$stderr")" 'lines in another form'
}

# ---- the image ----------------------------------------------------------------------------------------------------

@test "the image is a bundle: a root and a configuration" {
	is 'image.json rootfs' "$(left_in "$IMAGE" | sort | tr '\n' ' ' | sed 's/ $//')"
	is linux "$(jq -r .os "$IMAGE/image.json")"
	is layers "$(jq -r .rootfs.type "$IMAGE/image.json")"
	is /workspace "$(jq -r .config.WorkingDir "$IMAGE/image.json")"
	jq -e '.config.Env | index("LANG=C.UTF-8") and any(startswith("PATH=")) and index("PIP_BREAK_SYSTEM_PACKAGES=1")' \
		"$IMAGE/image.json"
	[ -d "$IMAGE/rootfs/workspace" ]
}

@test "SOURCE_DATE_EPOCH is the image's time of creation" {
	[ "$IMAGE" != "${AZM_TEST_IMAGE:-}" ] || skip 'the image given was made without it'
	is 2023-11-14T22:13:20Z "$(jq -r .created "$IMAGE/image.json")"
}

@test "the image carries the runtime server and its configuration starts it" {
	cmp "$BUILD/azm-runtime-server" "$IMAGE/rootfs/usr/local/bin/azm-runtime-server" || [ "$IMAGE" = "${AZM_TEST_IMAGE:-}" ]
	[ -x "$IMAGE/rootfs/usr/local/bin/azm-runtime-server" ]
	is /usr/local/bin/azm-runtime-server "$(jq -r '.config.Cmd[0]' "$IMAGE/image.json")"
	jq -e '.config.ExposedPorts | has("3000/tcp")' "$IMAGE/image.json"
}

@test "every file belongs to the user, no directory is closed to him, no file is set-id" {
	is '' "$(find "$IMAGE" ! -user "$(id -u)" -print -quit)" 'somebody else owns'
	is '' "$(find "$IMAGE" -type d ! -perm -u=rwx -print -quit)" 'closed directory'
	is '' "$(find "$IMAGE" ! -type d ! -type l -perm /6000 -print -quit)" 'set-id file'
}

@test "nothing of the build host is in the image" {
	is '' "$(left_in "$IMAGE/rootfs/dev")" /dev
	is '' "$(left_in "$IMAGE/rootfs/tmp")" /tmp
	is '' "$(left_in "$IMAGE/rootfs/var/lib/apt/lists")" 'package lists'
	is '' "$(left_in "$IMAGE/rootfs/var/cache/apt/archives")" archives
	is '' "$(cat "$IMAGE/rootfs/etc/resolv.conf")" resolv.conf
	is sandbox "$(cat "$IMAGE/rootfs/etc/hostname")" hostname
	is '' "$(grep -v '^deb http://deb.debian.org/debian' "$IMAGE/rootfs/etc/apt/sources.list")" 'other sources'
	[ ! -e "$IMAGE/rootfs/etc/apt/apt.conf.d/00azm-host" ]
}

@test "the tools agents expect run inside" {
	# shellcheck disable=SC2016 # expanded inside
	AZM_LIMIT=120 run azm run --rm --rootfs "$IMAGE" --user 0 -- bash -ec '
		for tool in python python3 pip node npm git curl rg ps sudo bash find jq tmux; do
			command -v $tool >/dev/null || { echo "no $tool"; exit 1; }
		done
		python -c "import venv, sys; print(sys.version_info[0])"
		node -e "console.log(40 + 2)"
		id -nu 1000; getent passwd openhands | cut -d: -f6; sudo -n true && echo may sudo; pwd'
	is 0 "$status" status
	is '3 42 openhands /home/openhands may sudo /workspace' "$(tr '\n' ' ' <<<"$output" | sed 's/ $//')"
}

# ---- installing inside, from local files --------------------------------------------------------------------------

# A package that does what real ones do as root: a system user, foreign owners, a set-id program, a device.
make_package() { # REPOSITORY
	local tree=$BATS_TEST_TMPDIR/azm-test deb
	mkdir -p "$tree/DEBIAN" "$tree/usr/bin" "$1"
	printf '#!/bin/sh\necho installed\n' >"$tree/usr/bin/azm-test"
	chmod 4755 "$tree/usr/bin/azm-test"
	cat >"$tree/DEBIAN/control" <<-'END'
		Package: azm-test
		Version: 1
		Architecture: all
		Maintainer: nobody <nobody@example.org>
		Description: does what packages do
	END
	cat >"$tree/DEBIAN/postinst" <<-'END'
		#!/bin/sh
		set -e
		useradd --system --no-create-home azmtest
		install -d -o azmtest -g adm -m 2750 /var/lib/azm-test
		chown -R azmtest:adm /var/lib/azm-test
		mknod /var/lib/azm-test/null c 1 3
		invoke-rc.d azm-test start || true
	END
	chmod 755 "$tree/DEBIAN/postinst"
	dpkg-deb --root-owner-group --build "$tree" "$1/azm-test.deb" >/dev/null
	deb=$1/azm-test.deb
	{
		cat "$tree/DEBIAN/control"
		echo "Filename: ./azm-test.deb"
		echo "Size: $(stat -c %s "$deb")"
		echo "SHA256: $(sha256sum "$deb" | cut -d' ' -f1)"
	} >"$1/Packages"
}

# Without sudo: in the test of a Dockerfile, below.
@test "sudo apt-get installs a package as the inside root, with one id" {
	make_package "$BATS_TEST_TMPDIR/repository"
	AZM_LIMIT=120 run azm run --rm --rootfs "$IMAGE" --user 0 -v "$BATS_TEST_TMPDIR/repository:/repository:ro" -- sh -ec '
		echo "deb [trusted=yes] file:/repository ./" >/etc/apt/sources.list
		apt-get update && sudo DEBIAN_FRONTEND=noninteractive apt-get install -y azm-test && azm-test && getent passwd azmtest'
	is 0 "$status" status
	has "$output" '^installed$'
	has "$output" '^azmtest:'
}

@test "with one id sudo of another user than root says that there is no root, and what to do" {
	run azm run --rm --rootfs "$IMAGE" --userns single --user 1000 -- sudo apt-get install azm-test
	is 1 "$status" status
	has "$output" '^sudo: this sandbox has one user id'
	has "$output" '--user 0'
}

# A Python package and a JavaScript one.
make_sources() { # DIR
	mkdir -p "$1/py" "$1/js"
	cat >"$1/py/setup.py" <<-'END'
		from setuptools import setup
		setup(name="azm-test", version="1", py_modules=["azm_test"])
	END
	echo 'print("from pip")' >"$1/py/azm_test.py"
	echo '{"name": "azm-test", "version": "1.0.0", "main": "index.js"}' >"$1/js/package.json"
	echo 'console.log("from npm")' >"$1/js/index.js"
}

@test "pip and npm install as the inside root" {
	make_sources "$BATS_TEST_TMPDIR/src"
	AZM_LIMIT=120 run azm run --rm --rootfs "$IMAGE" --user 0 -v "$BATS_TEST_TMPDIR/src:/src:ro" -- sh -ec '
		cp -r /src /tmp/src && cd /tmp
		pip install --quiet --no-index --no-build-isolation /tmp/src/py && python -m azm_test
		npm install --offline --no-audit --no-fund /tmp/src/js >/dev/null && node -e "require(\"azm-test\")"'
	is 0 "$status" status
	has "$output" '^from pip$'
	has "$output" '^from npm$'
}

# The recipe of upstream's "custom sandbox" guide: a Debian base and what apt, pip and npm install.
@test "a Dockerfile with apt, pip and npm installs on the image builds, is cached, runs and serves" {
	local context=$BATS_TEST_TMPDIR/context name
	make_package "$context/repository"
	make_sources "$context/src"
	cat >"$context/Dockerfile" <<-'END'
		FROM debian
		COPY repository /repository
		RUN echo "deb [trusted=yes] file:/repository ./" >/etc/apt/sources.list && \
		    apt-get update && apt-get install -y azm-test && rm -rf /var/lib/apt/lists/*
		COPY --chown=openhands:openhands src /src
		RUN pip install --quiet --no-index --no-build-isolation /src/py && npm install -g --offline --no-audit --no-fund /src/js
		RUN useradd --create-home --uid 4242 builder
		USER builder
		WORKDIR /home/builder/project
		RUN id -un >who && azm-test >out && python -m azm_test >>out && \
		    NODE_PATH=$(npm root -g) node -e 'require("azm-test")' >>out && git init -q repository
		ENV RECIPE=custom
	END
	export AZM_IMAGE_STORE=$BATS_TEST_TMPDIR/store
	run timeout 200 "$ROOTFS_TOOL" build --build-context "debian=$IMAGE" -t custom "$context" 3>&-
	is 0 "$status" status
	run timeout 100 "$ROOTFS_TOOL" build --build-context "debian=$IMAGE" -t custom "$context" 3>&-
	is 7 "$(grep -c ' cached$' <<<"$output")" 'cached steps'
	# shellcheck disable=SC2016 # expanded inside
	run azm run --rm --rootfs azm:custom -- sh -c 'echo $RECIPE; pwd; cat who out; getent passwd azmtest | cut -d: -f1; ls -A /dev | grep -c azm'
	is 'custom /home/builder/project builder installed from pip from npm azmtest 0' "$(xargs <<<"$output")"
	name=$(new_name)
	azm run -d --name "$name" --rootfs azm:custom --api-key none
	is 200 "$(http "$(azm inspect "$name" | jq -r '.[0].url')/alive" | head -1)"
	azm rm -f "$name"
	"$ROOTFS_TOOL" rm custom 3>&-
	rm -rf "$AZM_IMAGE_STORE"
}

# ---- whole or not at all ------------------------------------------------------------------------------------------

@test "SIGINT leaves nothing, and the next run downloads nothing twice" {
	mkdir "$BATS_TEST_TMPDIR/here"
	touch "$BATS_TEST_TMPDIR/began"
	start_bootstrap "$BATS_TEST_TMPDIR/here/image"
	stop_in INT install
	is 130 "$stopped" status
	is '' "$(left_in "$BATS_TEST_TMPDIR/here")" left
	no_installers_left

	start_bootstrap "$BATS_TEST_TMPDIR/here/image"
	stop_in TERM install
	is 143 "$stopped" status
	# What the first run had when it was stopped; where the machine is slow, this one may have got further since.
	is 0 "$(jq -s '.[:map(.phase == "install") | index(true) + 1] | map(.bytes) | max' "$JSON")" 'bytes downloaded'
	is '' "$(left_in "$BATS_TEST_TMPDIR/here")" left
	is '' "$(temporary_left)" 'temporary files'
}

@test "kill -9 shows no image, ends the installer, and the next run removes what it left" {
	mkdir "$BATS_TEST_TMPDIR/here"
	touch "$BATS_TEST_TMPDIR/began"
	start_bootstrap "$BATS_TEST_TMPDIR/here/image"
	stop_in KILL extract
	is 137 "$stopped" status
	wait_for 10 no_installers_left
	is '' "$(temporary_left)" 'temporary files'
	[ ! -e "$BATS_TEST_TMPDIR/here/image" ]
	has "$(left_in "$BATS_TEST_TMPDIR/here")" '^image\.partial-......$'

	run bootstrap "$BATS_TEST_TMPDIR/here/image" --suite nosuch
	is 125 "$status" status
	is '' "$(left_in "$BATS_TEST_TMPDIR/here")" left
}

@test "a directory that is somebody's work is not a leftover" {
	mkdir -p "$BATS_TEST_TMPDIR/here/image.partial-2024-notes" "$BATS_TEST_TMPDIR/here/other.partial-abcdef"
	run bootstrap "$BATS_TEST_TMPDIR/here/image" --suite nosuch
	is 125 "$status" status
	is 2 "$(left_in "$BATS_TEST_TMPDIR/here" | wc -l)" kept
}

# ---- refusals -----------------------------------------------------------------------------------------------------

@test "a directory that is not empty is refused and stays as it is" {
	mkdir -p "$BATS_TEST_TMPDIR/here/full"
	echo mine >"$BATS_TEST_TMPDIR/here/full/file"
	tool_refused 'exists and is not empty' bootstrap "$BATS_TEST_TMPDIR/here/full"
	is mine "$(cat "$BATS_TEST_TMPDIR/here/full/file")"
	is full "$(left_in "$BATS_TEST_TMPDIR/here")"
}

@test "a file, a link and a missing parent are refused" {
	touch "$BATS_TEST_TMPDIR/file"
	ln -s nowhere "$BATS_TEST_TMPDIR/link"
	tool_refused 'not a directory' bootstrap "$BATS_TEST_TMPDIR/file"
	tool_refused 'not a directory' bootstrap "$BATS_TEST_TMPDIR/link"
	tool_refused 'hint: .*mkdir -p' bootstrap "$BATS_TEST_TMPDIR/missing/image"
	tool_refused 'Permission denied' bootstrap /usr/image
	tool_refused 'which directory' bootstrap
}

@test "options with bad values are refused before anything is made" {
	local dir=$BATS_TEST_TMPDIR/image
	tool_refused 'not the name of a Debian suite' bootstrap "$dir" --suite '../x'
	tool_refused 'minimal, standard or build' bootstrap "$dir" --variant huge
	tool_refused 'not the name of a package' bootstrap "$dir" --include 'jq,;reboot'
	tool_refused 'neither a URL' bootstrap "$dir" --mirror debian
	tool_refused 'not a program' bootstrap "$dir" --server /nonexistent
	tool_refused 'more than is expected' bootstrap "$dir" "$dir"
	[ ! -e "$dir" ]
}

@test "a suite that does not exist is named, with a hint" {
	tool_refused "nosuch.*does not have a Release file" bootstrap "$BATS_TEST_TMPDIR/image" --suite nosuch
	has "$stderr" "^hint: .*suite's name"
	[ ! -e "$BATS_TEST_TMPDIR/image" ]
}

@test "a mirror or proxy that does not answer is named, with a hint" {
	local port
	port=$(free_port)
	tool_refused "127.0.0.1:$port" bootstrap "$BATS_TEST_TMPDIR/image" --mirror "http://127.0.0.1:$port/debian"
	has "$stderr" '^hint: .*--mirror'
	tool_refused "127.0.0.1:$port" env http_proxy="http://127.0.0.1:$port" no_proxy= \
		timeout -k 5 120 "$ROOTFS_TOOL" bootstrap "$BATS_TEST_TMPDIR/image"
}

# mmdebstrap_of VERSION: a stand-in that says what it was asked, and what the cache is; then it fails.
mmdebstrap_of() {
	local bin=$BATS_TEST_TMPDIR/bin-$1
	mkdir "$bin"
	cat >"$bin/mmdebstrap" <<-END
		#!/bin/sh
		[ "\$1" != --version ] || { echo "mmdebstrap $1"; exit; }
		{
			printf '%s\n' "\$@"
			echo "cache \$(stat -fc %T "$BATS_TEST_TMPDIR"/image-$1.partial-*/rootfs/var/cache/apt/archives)"
		} >"$BATS_TEST_TMPDIR/asked-$1"
		exit 1
	END
	chmod +x "$bin/mmdebstrap"
	! PATH=$bin:$PATH bootstrap "$BATS_TEST_TMPDIR/image-$1" || return 1
	asked=$(cat "$BATS_TEST_TMPDIR/asked-$1")
}

@test "mmdebstrap of Debian 11 mounts nothing and gets an empty cache; later ones are not told to" {
	local asked
	mmdebstrap_of 0.7.5
	has "$asked" '^--skip=check/canmount$'
	has "$asked" '^--extract-hook=mount -t proc '
	has "$asked" '^cache tmpfs$'
	has_not "$asked" 'essential/unlink'
	mmdebstrap_of 1.3.5
	has "$asked" '^--skip=chroot/mount/dev$'
	has "$asked" '^--skip=essential/unlink$'
	has_not "$asked" 'canmount|extract-hook'
	has "$asked" "^cache $(stat -fc %T "$HOME")\$"
}

@test "a host without mmdebstrap is told how to get it" {
	tool_refused 'find mmdebstrap' env PATH=/nonexistent "$ROOTFS_TOOL" bootstrap "$BATS_TEST_TMPDIR/image"
	has "$stderr" '^hint: .*apt-get install mmdebstrap'
}

@test "a host that forbids user namespaces is recognised" {
	tool_refused 'user namespace' "$BUILD/tests/deny" clone:0x10000000=EPERM -- "$ROOTFS_TOOL" bootstrap \
		"$BATS_TEST_TMPDIR/image"
	has "$stderr" '^hint: .*unprivileged_userns'
	[ ! -e "$BATS_TEST_TMPDIR/image" ]
}

@test "real root is refused with the setpriv line, root of a user namespace is not" {
	echo '         0          0 4294967295' >"$BATS_TEST_TMPDIR/uid_map"
	# shellcheck disable=SC2016 # expanded inside
	tool_refused 'started by root' unshare -rm sh -c 'mount --bind "$1" /proc/$$/uid_map && exec "$2" bootstrap "$3"' \
		sh "$BATS_TEST_TMPDIR/uid_map" "$ROOTFS_TOOL" "$BATS_TEST_TMPDIR/image"
	has "$stderr" '^hint: .*setpriv .*--as-root'
	run unshare -r "$ROOTFS_TOOL" bootstrap "$BATS_TEST_TMPDIR/image" --suite nosuch
	has "$output" 'does not have a Release file'
}

@test "no HOME, locale C and a working directory that cannot be read are no obstacle" {
	mkdir "$BATS_TEST_TMPDIR/closed"
	cd "$BATS_TEST_TMPDIR/closed"
	chmod 0 .
	run env -u HOME -u XDG_CACHE_HOME LANG=C LC_ALL=C timeout -k 5 120 "$ROOTFS_TOOL" bootstrap \
		"$BATS_TEST_TMPDIR/image" --suite nosuch 3>&-
	chmod 700 "$BATS_TEST_TMPDIR/closed"
	is 125 "$status" status
	has "$output" 'does not have a Release file'
	is 700 "$(stat -c %a "/var/tmp/azm-rootfs-$(id -u)")" 'mode of the cache'
	rm -rf "/var/tmp/azm-rootfs-$(id -u)"
}

@test "a cache that others could write to is not used" {
	mkdir -p "$BATS_TEST_TMPDIR/cache/azm-rootfs" "$BATS_TEST_TMPDIR/home"
	chmod 777 "$BATS_TEST_TMPDIR/cache/azm-rootfs"
	XDG_CACHE_HOME=$BATS_TEST_TMPDIR/cache HOME=$BATS_TEST_TMPDIR/home run bootstrap "$BATS_TEST_TMPDIR/image" --suite nosuch
	is '' "$(left_in "$BATS_TEST_TMPDIR/cache/azm-rootfs")" used
	[ -d "$BATS_TEST_TMPDIR/home/.cache/azm-rootfs/archives" ]
}

@test "every statement of the server's protocol holds in the Debian image" {
	NAME=$(new_name)
	export NAME
	ROOTFS=$IMAGE conform_in_sandbox
}
