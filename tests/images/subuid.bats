#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# runner: subuid timeout=900
# A bootstrapped image with 65536 ids inside: sudo, su and apt work as they do on Debian.
# shellcheck disable=SC2154,SC2016,SC2030,SC2031 # set by bats; quotes on purpose; every test is a subshell
load ../lib/common

setup_file() {
	export IMAGE=$BATS_FILE_TMPDIR/image
	[ -n "${AZM_SUBUID_START:-}" ] || return 0
	"$BUILD/azm-rootfs" bootstrap "$IMAGE" --variant minimal --include sudo --json >"$BATS_FILE_TMPDIR/progress.json" 3>&-
	make_package "$BATS_FILE_TMPDIR/repository"
}
setup() {
	[ -n "${AZM_SUBUID_START:-}" ] || skip 'this user has no sub-ids (a run started by root makes one that has)'
}
teardown() { remove_sandboxes; }

# A repository of one package: a user and group of its own, files of theirs, a set-uid program.
make_package() { # DIR
	local tree=$BATS_FILE_TMPDIR/package deb=$1/azm-test.deb
	mkdir -p "$tree/DEBIAN" "$tree/usr/bin" "$1"
	printf '#!/bin/sh\necho installed\n' >"$tree/usr/bin/azm-test"
	chmod 755 "$tree/usr/bin/azm-test"
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
		chown azmtest:adm /usr/bin/azm-test
		chmod 4750 /usr/bin/azm-test
	END
	chmod 755 "$tree/DEBIAN/postinst"
	dpkg-deb --root-owner-group --build "$tree" "$deb" >/dev/null
	{
		cat "$tree/DEBIAN/control"
		echo "Filename: ./azm-test.deb"
		echo "Size: $(stat -c %s "$deb")"
		echo "SHA256: $(sha256sum "$deb" | cut -d' ' -f1)"
	} >"$1/Packages"
}

image() { # OPTION... -- COMMAND...
	AZM_LIMIT=120 azm run --rm --rootfs "$IMAGE" -v "$BATS_FILE_TMPDIR/repository:/repository:ro" "$@"
}

readonly INSTALL='apt-get update && apt-get install -y azm-test && azm-test &&
	stat -c "owner %U %G %a" /usr/bin/azm-test /var/lib/azm-test'

installed() { # what INSTALL printed
	is 0 "$status" status &&
		has "$output" '^installed$' &&
		has "$output" '^owner azmtest adm 4750$' &&
		has "$output" '^owner azmtest adm 2750$'
}

@test "apt-get installs a package as inside root, with the owners it asks for" {
	run image --user 0 -- sh -ec "echo 'deb [trusted=yes] file:/repository ./' >/etc/apt/sources.list; $INSTALL"
	installed
}

@test "apt-get installs a package through sudo, as the user SANDBOX_USER_ID names" {
	SANDBOX_USER_ID=1000 run image -- sh -ec "id -un
		echo 'deb [trusted=yes] file:/repository ./' | sudo tee /etc/apt/sources.list; sudo sh -ec '$INSTALL'"
	installed
	has "$output" '^openhands$'
}

@test "the image's own sudo: to root and to others, by run and by exec, with the sandbox's filter" {
	local name
	run image --user 1000 -- sh -c 'sudo id -u; sudo -u nobody id -un; sudo grep -E "^(Seccomp|CapEff):" /proc/self/status'
	is 0 "$status"
	is "$(printf '0\nnobody\nCapEff:\t00000000800405fb\nSeccomp:\t2')" "$output"
	name=$(new_name)
	azm run -d --name "$name" --rootfs "$IMAGE" --user 0 -- sleep 1000
	run azm exec -u 1000 "$name" sudo id -u
	is 0 "$output"
	run azm exec -u nobody "$name" sudo -n id -u
	[ "$status" -ne 0 ]
	has "$output" 'password is required|not in the sudoers'
	run azm exec "$name" su openhands -c 'sudo id -u'
	is 0 "$output"
	run azm exec "$name" setpriv --reuid 1000 --regid 1000 --init-groups sudo id -u
	is 0 "$output"
}

@test "--no-new-privileges stops sudo" {
	run image --user 1000 --no-new-privileges -- sudo id -u
	[ "$status" -ne 0 ]
	has "$output" 'no new privileges'
	run image --user 0 --no-new-privileges -- su openhands -c 'sudo id -u'
	[ "$status" -ne 0 ]
}

@test "the image stays as it was: no set-id file, every file the caller's" {
	run image --user 1000 -- sudo true
	is 0 "$status"
	run find "$IMAGE" '(' -perm /6000 -type f -o ! -user "$(id -u)" ')' -print
	is '' "$output"
}

@test "a volume keeps its owner, even where sudo's rules are" {
	mkdir "$BATS_TEST_TMPDIR/rules"
	echo 'nobody ALL=(ALL) NOPASSWD: ALL' >"$BATS_TEST_TMPDIR/rules/mine"
	run image --user 1000 -v "$BATS_TEST_TMPDIR/rules:/etc/sudoers.d" -- sudo -n true
	[ "$status" -ne 0 ]
	is "$(id -u)" "$(stat -c %u "$BATS_TEST_TMPDIR/rules")"
	is "$(id -u)" "$(stat -c %u "$BATS_TEST_TMPDIR/rules/mine")"
}

@test "with --userns single the same image runs with one id" {
	run image --userns single --user 0 -- sh -c 'sudo id -u; chown 1000 /etc/issue && stat -c %u /etc/issue'
	is 0 "$status"
	is "$(printf '0\n0')" "$output"
}
