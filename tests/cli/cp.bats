#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# cp: Docker's rules for SRC and DST in both directions, archives through -, what is kept and what is not.
# shellcheck disable=SC2154,SC2016 # set by bats; quotes on purpose
load ../lib/common

setup_file() {
	make_rootfs
	NAME=cp-$$-$RANDOM
	export NAME
	background "$NAME"
}
teardown_file() { azm rm -f "$NAME"; }
setup() {
	cd "$BATS_TEST_TMPDIR" || return
	IN=/t$BATS_TEST_NUMBER
	azm exec "$NAME" mkdir "$IN"
	mkdir -p tree/sub/deep
	echo one >tree/one
	echo two >tree/sub/deep/two
	ln -s ../one tree/sub/link
	chmod 750 tree/sub
	chmod 640 tree/one
	touch -d '2020-01-02 03:04:05 UTC' tree/one tree/sub
}

inside() { azm exec "$NAME" "$@"; }

@test "a file in: to a new name, over an old one, into a directory" {
	run --separate-stderr azm cp tree/one "$NAME:$IN/new"
	is 0 "$status"
	is '' "$output"
	has "$stderr" "^Successfully copied 4B to $NAME:$IN/new$"
	is one "$(inside cat "$IN/new")"
	echo changed >tree/one
	azm cp -q tree/one "$NAME:$IN/new"
	is changed "$(inside cat "$IN/new")"
	azm cp -q tree/one "$NAME:$IN"
	azm cp -q tree/one "$NAME:$IN/"
	is changed "$(inside cat "$IN/one")"
}

@test "a file out: to a new name, over an old one, into a directory; it is the caller's" {
	inside sh -c "echo data > $IN/file; chmod 604 $IN/file; touch -d @1500000000 $IN/file"
	azm cp -q "$NAME:$IN/file" new
	is data "$(cat new)"
	is "$(id -u) 604 1500000000" "$(stat -c '%u %a %Y' new)"
	mkdir dir
	echo old >dir/file
	azm cp -q "$NAME:$IN/file" dir
	is data "$(cat dir/file)"
	azm cp -q "$NAME:${IN#/}/file" ./dir/other
	is data "$(cat dir/other)"
}

@test "a directory in: new, into an existing one, and SRC/. its contents" {
	azm cp -q tree "$NAME:$IN/new"
	is two "$(inside cat "$IN/new/sub/deep/two")"
	is '640 1577934245' "$(inside stat -c '%a %Y' "$IN/new/one")"
	is '750 1577934245' "$(inside stat -c '%a %Y' "$IN/new/sub")"
	is ../one "$(inside readlink "$IN/new/sub/link")"
	azm cp -q tree "$NAME:$IN/new"
	is two "$(inside cat "$IN/new/tree/sub/deep/two")"
	inside mkdir "$IN/contents"
	azm cp -q tree/. "$NAME:$IN/contents"
	is two "$(inside cat "$IN/contents/sub/deep/two")"
	azm cp -q tree/. "$NAME:$IN/fresh"
	is two "$(inside cat "$IN/fresh/sub/deep/two")"
}

@test "a directory out: new, into an existing one, and SRC/. its contents" {
	azm cp -q tree "$NAME:$IN"
	azm cp -q "$NAME:$IN/tree" new
	diff -r --no-dereference tree new
	is "$(stat -c '%a %Y' tree/sub)" "$(stat -c '%a %Y' new/sub)"
	azm cp -q "$NAME:$IN/tree/" new
	diff -r --no-dereference tree new/tree
	mkdir contents
	azm cp -q "$NAME:$IN/tree/." contents
	diff -r --no-dereference tree contents
	# A directory that is there gets more, what is in it stays.
	echo mine >contents/mine
	azm cp -q "$NAME:$IN/tree/." contents
	is mine "$(cat contents/mine)"
}

@test "what does not fit is refused" {
	inside touch "$IN/file"
	refused 125 'cannot be copied over a file' azm cp tree "$NAME:$IN/file"
	refused 125 'no such directory' azm cp tree/one "$NAME:$IN/none/"
	refused 125 'No such file' azm cp tree/one "$NAME:$IN/none/file"
	refused 125 'No such file' azm cp none "$NAME:$IN"
	refused 125 'No such file' azm cp "$NAME:$IN/none" .
	refused 125 'no such directory' azm cp "$NAME:$IN/file" none/
	refused 125 'No such file' azm cp "$NAME:$IN/file" none/file
	mkdir -p place/file
	refused 125 'not replaced by a file' azm cp "$NAME:$IN/file" place
	mkdir -p place/t
	inside mkdir -p "$IN/d/one"
	refused 125 'not replaced by a directory' azm cp "$NAME:$IN/d/." tree
	refused 125 'one side' azm cp a b
	refused 125 'one side' azm cp "$NAME:/a" "$NAME:/b"
	refused 125 'needs SRC and DST' azm cp "$NAME:/a"
	refused 125 'no such sandbox' azm cp tree no-such-sandbox:/
	refused 125 'devices and sockets' azm cp "$NAME:/dev/null" .
}

stopped() { # NAME OPTION...: a sandbox that ran, made /made and /shut, and has ended
	local name=$1
	shift
	background "$name" "$@" -- /bin/sh -c 'echo ran >>/runs; mkdir -m 700 /shut; echo inside >/shut/file
		echo made >/made; exec /bin/probe sleep-forever' >/dev/null
	wait_for 10 azm exec "$name" test -s /made
	azm stop -t 0 "$name" >/dev/null
}

@test "a stopped sandbox: files out and in, with all its volumes; nothing of it runs, and start finds them" {
	local name volume
	name=$(new_name)
	volume=v-$name
	mkdir -p work/.git/hooks lower
	echo lower >lower/file
	stopped "$name" --workspace work -v "$volume:/data" -v "$PWD/lower:/own:overlay" --device /dev/null:/dev/mine
	azm cp -q "$name:/shut/." got
	is inside "$(cat got/file)"
	is made "$(azm cp "$name:/made" - | tar -xO)"
	azm cp -q tree "$name:/root"
	azm cp -q tree/one "$name:/workspace/new"
	azm cp -q tree/one "$name:/data"
	azm cp -q tree/one "$name:/own/file"
	tar -c -C tree one | azm cp -q - "$name:/shut"
	refused 125 'exist|No such' azm cp "$name:/no-such" .
	refused 125 'Read-only' azm cp tree/one "$name:/workspace/.git/hooks/pre-commit"
	is "$(cat tree/one)" "$(cat work/new)"
	is lower "$(cat lower/file)"
	is exited "$(state_of "$name")"
	is '.git new' "$(cd work && echo .[a-z]* *)"
	azm start "$name" >/dev/null
	wait_for 10 azm exec "$name" sh -c '[ "$(wc -l </runs)" = 2 ]'
	run azm exec "$name" sh -c 'cat /root/tree/one /data/one /own/file /shut/one | sort -u; stat -c %u:%g /root/tree'
	is "$(cat tree/one) 0:0" "$(xargs <<<"$output")"
	azm rm -f "$name" >/dev/null
	azm volume rm "$volume"
}

@test "a stopped sandbox: what cannot be, and several at once" {
	local name i
	name=$(new_name)
	stopped "$name" --user 1000:1000 --tmpfs /scratch
	for i in 1 2 3 4; do
		spawn "said$i" azm cp "$name:/made" "made$i"
	done
	for i in 1 2 3 4; do
		wait_for 20 test -s "made$i"
	done
	azm cp -q -a tree/one "$name:/home/user"
	azm cp -q "$name:/home/user/one" back
	is "$(cat tree/one)" "$(cat back)"
	azm rm "$name"
	background "$name" --rootfs-mode read-only >/dev/null
	azm stop -t 0 "$name" >/dev/null
	refused 125 'Read-only' azm cp tree/one "$name:/one"
	azm rm "$name"
}

nothing_held() { azm gc && [ ! -e work/.vscode ]; }

@test "a copy to a stopped sandbox that is interrupted leaves nothing held, and the sandbox usable" {
	local name signal
	name=$(new_name)
	mkdir -p work/.git
	mkfifo stream
	stopped "$name" --workspace work
	for signal in TERM HUP KILL; do
		spawn said sh -c 'exec "$0" cp - "$1:/root" <>stream' "$AZM" "$name"
		wait_for 10 test -e work/.vscode
		kill "-$signal" "$SPAWNED"
		wait "$SPAWNED" || true
		if [ "$signal" = KILL ]; then
			wait_for 10 nothing_held
		else
			[ ! -e work/.vscode ]
		fi
	done
	azm cp -q "$name:/made" .
	is made "$(cat made)"
	azm rm "$name"
}

@test "while a stopped sandbox is copied to, other commands say that, and not that it runs" {
	local name
	name=$(new_name)
	mkdir -p work/.git
	mkfifo stream
	stopped "$name" --workspace work
	spawn said sh -c 'exec "$0" cp - "$1:/root" <>stream' "$AZM" "$name"
	wait_for 10 test -e work/.vscode
	refused 125 "start $name: it is being copied from or to" azm start "$name"
	has "$stderr" 'hint: try again'
	refused 125 'it is being copied' azm rm "$name"
	refused 125 'it is being copied' azm commit "$name" image
	refused 125 'it is being copied' azm snapshot "$name" tag
	azm stop "$name"
	is exited "$(state_of "$name")"
	kill -KILL "$SPAWNED"
	wait "$SPAWNED" || true
	# What the killed command said is not taken for the supervisor's.
	wait_for 10 azm start "$name"
	refused 125 'running already' azm start "$name"
	refused 125 'it is running' azm rm "$name"
	azm rm -f "$name"
}

@test "symbolic links: kept, with -L followed; a link as DST leads to its file" {
	azm cp -q tree/sub/link "$NAME:$IN/link"
	is ../one "$(inside readlink "$IN/link")"
	azm cp -q -L tree/sub/link "$NAME:$IN/file"
	is one "$(inside cat "$IN/file")"
	inside sh -c "ln -s file $IN/to-file; ln -s /proc $IN/dir"
	azm cp -q "$NAME:$IN/to-file" link
	is file "$(readlink link)"
	azm cp -q -L "$NAME:$IN/to-file" file
	is one "$(cat file)"
	echo other >other
	azm cp -q other "$NAME:$IN/to-file"
	is other "$(inside cat "$IN/file")"
	is file "$(inside readlink "$IN/to-file")"
}

@test "archives: - is a tar stream in both directions" {
	azm cp -q tree "$NAME:$IN"
	azm cp "$NAME:$IN/tree" - | tar -tf - >list
	is "$(printf '%s\n' tree tree/one tree/sub tree/sub/deep tree/sub/deep/two tree/sub/link)" "$(sed 's,/$,,' list | sort)"
	mkdir unpacked
	azm cp "$NAME:$IN/tree" - | tar -xpf - -C unpacked
	diff -r --no-dereference tree unpacked/tree
	inside mkdir "$IN/into"
	tar -cf - --format=gnu -C tree . | azm cp -q - "$NAME:$IN/into"
	is two "$(inside cat "$IN/into/sub/deep/two")"
	tar -cf - --format=pax tree/sub/deep/two | azm cp -q - "$NAME:$IN/into"
	is two "$(inside cat "$IN/into/tree/sub/deep/two")"
	tar -czf - tree >tree.tgz
	refused 125 'compressed' azm cp - "$NAME:$IN/into" <tree.tgz
	refused 125 'not a tar header' azm cp - "$NAME:$IN/into" < <(head -c 4096 /dev/urandom)
	refused 125 'ended early' azm cp - "$NAME:$IN/into" < <(tar -cf - tree | head -c 1500)
	refused 125 'number of a header' azm cp - "$NAME:$IN/into" < <(python3 -c 'import sys, tarfile
file = tarfile.TarInfo("far"); file.uid = 1 << 32 # 0 for who keeps 32 bits of it
sys.stdout.buffer.write(file.tobuf(tarfile.GNU_FORMAT))')
	refused 125 'directory that exists' azm cp - "$NAME:$IN/none" < <(tar -cf - tree)
}

@test "long names, large and sparse files, hard links, FIFOs" {
	local long
	long=$(printf 'n%.0s' {1..250})
	mkdir -p "tree/$long/$long"
	echo deep >"tree/$long/$long/$long"
	ln -s "$long/$long/$long" tree/long-link
	truncate -s 5G tree/sparse
	ln tree/one tree/again
	mkfifo tree/fifo
	tar -cSf - --exclude sparse tree | azm cp -q - "$NAME:$IN"
	is "$(inside stat -c %i "$IN/tree/one")" "$(inside stat -c %i "$IN/tree/again")"
	rm tree/sparse
	truncate -s 300M tree/sparse
	azm cp -q tree "$NAME:$IN/copy"
	is deep "$(inside cat "$IN/copy/$long/$long/$long")"
	is 314572800 "$(inside stat -c %s "$IN/copy/sparse")"
	azm cp -q "$NAME:$IN/copy" back
	diff -r --no-dereference --exclude fifo --exclude sparse tree back
	[ -p back/fifo ]
	is "314572800 0" "$(stat -c '%s %b' back/sparse)"
}

@test "set-id bits are left behind, devices and sockets are counted" {
	inside sh -c "echo x > $IN/file; chmod 0755 $IN/file"
	cp tree/one suid
	chmod 6755 suid
	azm cp -q suid "$NAME:$IN/suid"
	is 755 "$(inside stat -c %a "$IN/suid")"
	tar -cf - suid | azm cp -q - "$NAME:$IN"
	is 755 "$(inside stat -c %a "$IN/suid")"
	mkdir with
	touch with/file
	python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind("with/socket")'
	run --separate-stderr azm cp with "$NAME:$IN"
	is 0 "$status"
	has "$stderr" 'passed over 1 '
}

@test "a paused sandbox is copied from, and one whose user is not 0; -a" {
	azm pause "$NAME"
	run azm cp -q "$NAME:/etc/passwd" passwd
	azm unpause "$NAME"
	is 0 "$status"
	[ -s passwd ]
	local name
	name=$(new_name)
	background "$name" --user 1234
	azm cp -qa tree "$name:/"
	is 1234 "$(azm exec "$name" stat -c %u /tree/one)"
	azm rm -f "$name"
}
