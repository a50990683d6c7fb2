#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# t-d1: copying in and out while the sandbox does what it can: links swapped under every step, streams that lead out,
# programs of the image. (CVE-2018-15664, CVE-2019-14271, CVE-2019-10152, CVE-2019-18466, kubectl cp's.)
# shellcheck disable=SC2154,SC2016 # set by bats; quotes on purpose
load ../lib/common

setup_file() { make_rootfs; }
setup() {
	NAME=$(new_name)
	cd "$BATS_TEST_TMPDIR" || return
	mkdir canary
	echo untouched >canary/file
	echo secret >canary/secret
}
teardown() { remove_sandboxes; }

canary_is_untouched() {
	is untouched "$(cat canary/file)"
	is 'file secret' "$(cd canary && echo *)"
}

@test "t-d1: copies out while the sandbox swaps a directory for a link: what arrives is the sandbox's" {
	background "$NAME" -- /bin/sh -c 'mkdir -p /a/real /a/other; echo inside > /a/real/file; echo inside > /a/other/file
		touch /up; while :; do mv /a/real /a/dir; mv /a/dir /a/real; ln -s '"$PWD"'/canary /a/dir; rm /a/dir
		ln -s /proc/1/root/'"$PWD"'/canary /a/dir; rm /a/dir; done'
	wait_for 10 azm exec "$NAME" test -e /up
	local i
	mkdir out
	for i in {1..25}; do
		azm cp -q "$NAME:/a/dir/file" "out/file$i" 2>/dev/null || true
		azm cp -q "$NAME:/a" "out/tree$i" 2>/dev/null || true
	done
	has_not "$(find out -type f -exec cat {} +)" 'untouched|secret'
	canary_is_untouched
}

@test "t-d1: copies in while the sandbox swaps the target for a link to the host's path" {
	background "$NAME" -- /bin/sh -c 'mkdir -p /a/real; touch /up; while :; do mv /a/real /a/dir; mv /a/dir /a/real
		ln -s '"$PWD"'/canary /a/dir; rm /a/dir; ln -s ../../../../../..'"$PWD"'/canary /a/dir; rm /a/dir; done'
	wait_for 10 azm exec "$NAME" test -e /up
	local i
	mkdir src
	echo evil >src/file
	for i in {1..25}; do
		azm cp -q src/. "$NAME:/a/dir" 2>/dev/null || true
		azm cp -q src/file "$NAME:/a/dir/file" 2>/dev/null || true
	done
	canary_is_untouched
}

@test "t-d1: a link the sandbox puts into the workspace leads nobody out of it, in either direction" {
	mkdir work
	background "$NAME" --workspace work
	azm exec "$NAME" sh -c "ln -s $PWD/canary /workspace/dir; ln -s ../canary /workspace/near
		ln -s $PWD/canary/file /workspace/link; echo evil > /tmp/file; echo evil > /tmp/secret"
	local path
	for path in work/dir/ work/dir/file work/near/ work/near/file work/near/../near/new; do
		refused 125 'copy' azm cp "$NAME:/tmp/file" $path
	done
	refused 125 'copy' azm cp "$NAME:/tmp/." work/near
	for path in work/dir/secret work/near/secret work/near/. work/dir/; do
		refused 125 'copy' azm cp $path "$NAME:/tmp/stolen"
	done
	azm cp -qL work/link "$NAME:/tmp/stolen" || true
	has_not "$(azm exec "$NAME" sh -c 'cat /tmp/stolen' 2>/dev/null)" untouched
	# The link itself may be replaced; what it leads to is not.
	azm cp -q "$NAME:/tmp/file" work/link
	canary_is_untouched
	is evil "$(cat work/link)"
	(cd work && refused 125 'copy' azm cp "$NAME:/tmp/file" near/file)
	canary_is_untouched
}

@test "t-d1: the workspace's directories are swapped while they are copied to and from" {
	mkdir -p work/real
	echo inside >work/real/file
	background "$NAME" --workspace work -- /bin/sh -c 'cd /workspace; while :; do mv real dir; mv dir real
		ln -s ../canary dir; rm dir; done'
	azm exec "$NAME" sh -c 'mkdir /src; echo evil > /src/file; echo evil > /src/secret'
	local i
	for i in {1..25}; do
		azm cp -q "$NAME:/src/." work/dir 2>/dev/null || true
		azm cp -q "$NAME:/src/file" work/dir/file 2>/dev/null || true
		azm cp -q work/dir/secret "$NAME:/stolen" 2>/dev/null || true
		azm cp -q work/dir/. "$NAME:/stolen-tree" 2>/dev/null || true
	done
	canary_is_untouched
	has_not "$(azm exec "$NAME" sh -c 'cat /stolen* /stolen-tree/*' 2>/dev/null)" 'untouched|^secret'
}

@test "t-d1: a stopped sandbox: its links lead where they do inside, to the guard's covers and to nothing of ours" {
	mkdir -p work/.git/hooks src
	echo evil >src/file
	background "$NAME" --workspace work
	azm exec "$NAME" sh -c "mkdir -p $PWD/canary; echo inside > $PWD/canary/file; ln -s $PWD/canary /dir
		ln -s /proc/1/root$PWD/canary /root-of-init; ln -s /proc/1/fd /fds; ln -s /proc/self/fd/0 /stdin; ln -s /proc/1/environ /environ
		ln -s /workspace/.git/hooks /hooks; ln -s /workspace/.envrc /absent; ln -s ../../../../..$PWD/canary /workspace/up
		ln -s /proc/self/cwd/../../../..$PWD/canary /cwd; echo evil > /bin/tar; echo evil > /lib.so; echo /lib.so > /etc/ld.so.preload"
	azm stop -t 0 "$NAME"
	azm cp -q "$NAME:/dir/file" got
	is inside "$(cat got)"
	local path
	for path in dir root-of-init fds stdin environ cwd workspace/up hooks absent; do
		azm cp -q src/. "$NAME:/$path" 2>/dev/null || true
		azm cp -q src/file "$NAME:/$path" 2>/dev/null || true
		azm cp -q "$NAME:/$path/." "out-$path" 2>/dev/null || true
		azm cp -q -L "$NAME:/$path" "out-$path" 2>/dev/null || true
	done
	canary_is_untouched
	is '' "$(ls -A work/.git/hooks)"
	is '.git up' "$(cd work && echo .[a-z]* *)"
	has_not "$(cat out-*/* out-* 2>/dev/null | tr '\0' ' ')" 'untouched|secret|AZM_'
}

@test "t-d1: an archive whose names lead out writes nothing there" {
	background "$NAME"
	python3 - <<-'END'
		import io, tarfile
		def archive(name, *entries):
		    with tarfile.open(name, "w", format=tarfile.PAX_FORMAT) as tar:
		        for path, kind, target in entries:
		            info = tarfile.TarInfo(path)
		            info.type, info.linkname = kind, target
		            data = b"evil" if kind == tarfile.REGTYPE else b""
		            info.size = len(data)
		            tar.addfile(info, io.BytesIO(data))
		F, L, H = tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE
		archive("up.tar", ("../../etc/evil", F, ""))
		archive("abs.tar", ("/etc/evil", F, ""))
		archive("link.tar", ("d", L, "/etc"), ("d/evil", F, ""))
		archive("hard.tar", ("h", H, "../etc/passwd"), ("h", F, ""))
		archive("through.tar", ("f", L, "/etc/passwd"), ("f", F, ""))
	END
	azm exec "$NAME" mkdir /in
	local before
	before=$(azm exec "$NAME" sh -c 'ls -l /etc; cat /etc/passwd')
	refused 125 'leads out' azm cp - "$NAME:/in" <up.tar
	azm cp -q - "$NAME:/in" <abs.tar
	is evil "$(azm exec "$NAME" cat /in/etc/evil)"
	refused 125 'directory of' azm cp - "$NAME:/in" <link.tar
	refused 125 'leads out' azm cp - "$NAME:/in" <hard.tar
	azm cp -q - "$NAME:/in" <through.tar
	is evil "$(azm exec "$NAME" cat /in/f)"
	is "$before" "$(azm exec "$NAME" sh -c 'ls -l /etc; cat /etc/passwd')"
}

is_up() { azm logs "$NAME" | grep -qx up; }

@test "t-d1: the process inside can be killed or stopped, and cp says so" {
	background "$NAME" -- /bin/sh -c 'head -c 100000000 /dev/urandom > /large; echo up
		while :; do for p in /proc/[0-9]*; do [ "$(cat $p/comm 2>/dev/null)" != azm-init ] || [ ${p#/proc/} = 1 ] ||
		kill -KILL ${p#/proc/}; done; done'
	# Not by exec: what that puts inside is killed as well.
	wait_for 30 is_up
	run --separate-stderr azm cp "$NAME:/large" out
	# It may have been through before it was found.
	[ "$status" = 0 ] || has "$stderr" 'killed|ended early'
}

@test "t-d1: the process inside cannot be looked into, and holds nothing of the host" {
	mkdir shared
	background "$NAME" -v "$PWD/shared:/shared" -- /bin/sh -c 'head -c 3000000 /dev/zero > /file; touch /shared/up
		while :; do for p in /proc/[0-9]*; do [ "$(cat $p/comm 2>/dev/null)" = azm-init ] && [ ${p#/proc/} != 1 ] &&
		{ echo seen; ls -l $p/fd $p/exe $p/cwd/ $p/root/; cat $p/maps $p/environ; } >> /shared/found 2>/dev/null; done; done'
	wait_for 20 test -e shared/up
	# Its stream is not read, so it stays for as long as it takes to be found.
	mkfifo stream
	timeout 100 "$AZM" cp "$NAME:/file" - >stream 3>&- &
	exec 8<stream
	wait_for 60 grep -q seen shared/found
	[ "$(wc -c <&8)" -gt 3000000 ]
	exec 8<&-
	# That it has descriptors is all there is to learn: no target, no memory, no environment.
	has_not "$(cat shared/found)" ' -> |r-xp|azm-init|='
}

@test "t-d1: a tree without end or bottom is bounded" {
	background "$NAME" -- /bin/sh -c 'mkdir /deep; cd /deep; i=0; while [ $i -lt 700 ]; do mkdir d; cd d; i=$((i + 1)); done; touch /up; exec probe sleep-forever'
	wait_for 20 azm exec "$NAME" test -e /up
	refused 125 'deep' azm cp "$NAME:/deep" out
	# The kernel's trees are entered by nobody.
	run azm cp -q "$NAME:/proc" proc
	is 0 "$status"
	is '' "$(ls proc)"
}

@test "t-d1: a commit takes links as links, wherever they lead, and nothing of the host" {
	background "$NAME"
	azm exec "$NAME" sh -ec "mkdir /d; ln -s $PWD/canary /d/host; ln -s /proc/1/root /d/root; ln -s ../../../../../../../.. /d/up
		rm -rf /home; ln -s $PWD/canary /home; rm -rf /root; ln -s / /root"
	azm commit -q "$NAME" out
	is "$PWD/canary" "$(readlink out/rootfs/d/host)"
	is "$PWD/canary" "$(readlink out/rootfs/home)"
	is / "$(readlink out/rootfs/root)"
	is 3 "$(find out/rootfs/d -mindepth 1 | wc -l)"
	is '' "$(grep -rlsx --devices=skip 'untouched\|secret' out/rootfs)" 'files of the host'
	canary_is_untouched
}
