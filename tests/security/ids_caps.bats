#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# Class U: who the command is and what it may do.
# shellcheck disable=SC2154,SC2016,SC2030,SC2031 # set by bats; quotes on purpose; every test is a subshell
load ../lib/common

# CHOWN DAC_OVERRIDE FOWNER FSETID KILL SETGID SETUID SETPCAP NET_BIND_SERVICE SYS_CHROOT SETFCAP
readonly ROOT_CAPS=00000000800405fb
readonly NO_CAPS=0000000000000000

setup_file() { make_rootfs; }
teardown() { remove_sandboxes; }

single_id() { # whether this host gives the caller no sub-ids (the sandbox then has one id)
	! grep -qs "^\($(id -un 2>/dev/null)\|$(id -u)\):" /etc/subuid
}

check_caps() { # EFFECTIVE: the five sets of $output
	is "$NO_CAPS" "$(value caps.CapInh)" inheritable &&
		is "$1" "$(value caps.CapPrm)" permitted &&
		is "$1" "$(value caps.CapEff)" effective &&
		is "$ROOT_CAPS" "$(value caps.CapBnd)" bounding &&
		is "$NO_CAPS" "$(value caps.CapAmb)" ambient
}

@test "t-u2: capabilities of inside root: eleven, none inheritable or ambient" {
	run sandbox -- /bin/probe caps
	is 0 "$status"
	check_caps "$ROOT_CAPS"
	is 2 "$(value caps.Seccomp)" seccomp
}

@test "t-u2: another user has none" {
	run sandbox --user 1000 -- /bin/probe caps
	is 0 "$status"
	check_caps "$NO_CAPS"
}

@test "t-u2: the same with exec, as root and as another user" {
	local name
	name=$(new_name)
	background "$name"
	run azm exec "$name" probe caps
	check_caps "$ROOT_CAPS"
	run azm exec -u 1000 "$name" probe caps
	[ "$status" -eq 125 ] || check_caps "$NO_CAPS"
	azm rm -f "$name"
	background "$name" --user 1000
	run azm exec "$name" probe caps
	check_caps "$NO_CAPS"
	run azm exec -u 0 "$name" probe caps
	is 0 "$status"
	check_caps "$ROOT_CAPS"
}

@test "t-u2: --cap-drop ALL, --cap-add of one" {
	run sandbox --cap-drop ALL -- /bin/probe caps
	is 0 "$status"
	is "$NO_CAPS" "$(value caps.CapEff)"
	is "$NO_CAPS" "$(value caps.CapBnd)"
	run sandbox --cap-drop ALL --cap-add NET_BIND_SERVICE -- /bin/probe caps
	is 0000000000000400 "$(value caps.CapEff)"
	run sandbox --cap-drop CHOWN -- /bin/probe caps
	is 00000000800405fa "$(value caps.CapEff)"
}

@test "t-u2: no_new_privs: always with one id; with sub-ids only when asked for" {
	run sandbox --userns single -- /bin/probe caps
	is 0 "$status"
	is 1 "$(value caps.NoNewPrivs)"
	run sandbox --no-new-privileges -- /bin/probe caps
	is 1 "$(value caps.NoNewPrivs)"
	if ! single_id; then
		run sandbox -- /bin/probe caps
		is 0 "$(value caps.NoNewPrivs)"
	fi
}

@test "t-u2: a set-uid program of the image gains nothing with one id" {
	local copy
	copy=$(copy_rootfs)
	cp "$PROBE" "$copy/bin/suid"
	chmod 6755 "$copy/bin/suid"
	run azm run --rm --userns single --user 1000 --rootfs "$copy" -- /bin/suid ids caps
	is 0 "$status"
	is '1000 1000 1000' "$(value ids.uid)"
	is "$NO_CAPS" "$(value caps.CapEff)"
}

@test "t-u1: exec -u with the table of odd values" {
	local name bad
	name=$(new_name)
	background "$name"
	for bad in -1 4294967295 4294967296 1abc 1:2:3 1: :1 ' 1' '1 ' 0x1 no-such-user user:no-such; do
		refused 125 'user|group' azm exec -u "$bad" "$name" probe ids
	done
	run azm exec -u '' "$name" probe ids
	has "$status" '^(0|125)$'
	# -u 1 must be 1 or refused, never 0.
	for bad in 1 01 1:2 user user:agents; do
		run azm exec -u "$bad" "$name" probe ids
		has "$status" '^(0|125)$'
		[ "$status" -ne 0 ] || has_not "$(value ids.uid)" '^0 '
	done
}

@test "t-u3: with one id setgroups is denied and the map is one line" {
	run sandbox --userns single -- /bin/probe ids
	is 0 "$status"
	is deny "$(value ids.setgroups)"
	is 1 "$(value ids.uid_map | wc -l)"
	has "$(value ids.uid_map)" "^ +0 +0 +1$"
	run sandbox --userns single --user 1234:99 -- /bin/probe ids
	has "$(value ids.uid_map)" '^ +1234 +0 +1$'
	has "$(value ids.gid_map)" '^ +99 +0 +1$'
}

@test "t-u3: a file that is closed to a group the caller is in stays closed" {
	# Mode 0070 denies the owner: inside root has DAC_OVERRIDE over its own files, another user has not.
	local work=$BATS_TEST_TMPDIR/work
	mkdir "$work"
	echo closed >"$work/file"
	chmod 0070 "$work/file"
	run sandbox --user 1000 --workspace "$work" -- /bin/cat /workspace/file
	[ "$status" -ne 0 ]
	has_not "$output" '^closed$'
}

@test "the host's files of other users are not writable by inside root" {
	run sandbox -v /etc/passwd:/mnt/passwd -- /bin/sh -c 'echo x >> /mnt/passwd'
	[ "$status" -ne 0 ]
	has_not "$(tail -1 /etc/passwd)" '^x$'
}

@test "ids cannot be changed by another user; root emulation answers inside root" {
	run sandbox --userns single --user 1000 -- /bin/probe identity
	# EINVAL: with one id mapped, 0 is no id at all.
	has "$(value identity.setuid)" '^(EPERM|EINVAL)$'
	has "$(value identity.setgid)" '^(EPERM|EINVAL)$'
	run sandbox --userns single -- /bin/probe identity
	is ok "$(value identity.setuid)"
	is ok "$(value identity.setresuid1000)"
	is ok "$(value identity.setgroups)"
	run sandbox --userns single -- /bin/sh -c 'touch /tmp/f && chown 1000:1000 /tmp/f && stat -c %u /tmp/f'
	is 0 "$status"
}

@test "t-u5: secrets of the caller's environment are not inside, not even with pid 1" {
	export AWS_SECRET_ACCESS_KEY=very-secret SSH_AUTH_SOCK=/very-secret
	run sandbox -- /bin/sh -c 'env; cat /proc/1/environ; cat /proc/self/environ' 
	has_not "$output" very-secret
	run --separate-stderr sandbox -- /bin/probe env
	# Only what a command needs to find its way.
	is '' "$(grep -Ev '^env=(PATH|HOME|HOSTNAME|TERM|USER|LANG)=' <<<"$output")" 'unexpected variables'
}

@test "keys in the caller's session keyring stay outside" {
	local all=$BATS_TEST_TMPDIR/all.json key=azm-test-$$ name
	name=$(new_name)
	echo '{"defaultAction": "SCMP_ACT_ALLOW"}' >"$all"
	with_key() { "$PROBE" with-key "$key" "$@"; }
	with_key true || skip "this host refuses keyrings"
	is 'key=ok' "$(with_key "$PROBE" find-key "$key")" # else the rest would say nothing
	is 'key=ENOSYS' "$(with_key "$AZM" run --rm --rootfs "$ROOTFS" -- /bin/probe find-key "$key")"
	# The filter's answer is not the only reason.
	is 'key=ENOKEY' "$(with_key "$AZM" run --rm --rootfs "$ROOTFS" --seccomp "$all" -- /bin/probe find-key "$key")"
	with_key "$AZM" run -d --name "$name" --rootfs "$ROOTFS" --seccomp "$all" -- /bin/probe sleep-forever
	is 'key=ENOKEY' "$(with_key "$AZM" exec "$name" /bin/probe find-key "$key")"
}

@test "t-w4: set-id bits cannot be put on files of the workspace by another user" {
	local work=$BATS_TEST_TMPDIR/work
	mkdir "$work"
	run sandbox --user 1000 --workspace "$work" -- /bin/probe set-id /workspace/f
	has_not "$output" 'setid.mode=[2467][0-7]{3}'
	run find "$work" -perm /6000
	is '' "$output"
}

@test "t-w4: set-id bits in the workspace are gone and reported after a stop" {
	local work
	work=$(shared_directory)/work
	mkdir "$work"
	chmod 755 "$work"
	run sandbox --workspace "$work" -- /bin/sh -c 'cp /bin/probe /workspace/tool; chmod 6755 /workspace/tool 2>/dev/null; true'
	is 0 "$status"
	has "$output" 'took the set-id bits from .*/work/tool'
	is '' "$(find "$work" -perm /6000)" 'set-id files'
	[ -S "${AZM_OTHER_USER:-}" ] || return 0
	as_other "$work/tool"
	has "$output" '^ids.uid='
	has_not "$output" "ids.uid=[0-9]+ $(id -u) "
}

@test "t-w4: set-id bits of the upper layer cannot be used from outside: the directory is closed" {
	[ -S "${AZM_OTHER_USER:-}" ] || skip 'only a run started by root has a second user'
	local name path dir
	dir=$(shared_directory)
	export AZM_STATE_DIR=$dir/state
	name=$(new_name)
	background "$name" -- /bin/sh -c 'cp /bin/probe /tool; chmod 6755 /tool; touch /made; exec probe sleep-forever'
	wait_for 10 azm exec "$name" test -e /made
	path=$(find "$AZM_STATE_DIR" -path "*$name*" -name tool -perm -6000 2>/dev/null || true)
	[ -n "$path" ]
	cp "$PROBE" "$dir/probe"
	as_other "$dir/probe"
	has "$output" '^ids.uid='
	as_other "$path"
	has "$output" '^refused: .*Permission denied'
}

@test "t-b1: a copy of our programs that is set-uid refuses to work for anybody" {
	[ -S "${AZM_OTHER_USER:-}" ] || skip 'only a run started by root has a second user'
	local name dir
	dir=$(shared_directory)
	cp "$PROBE" "$BUILD/azm-sandbox" "$BUILD/azm-rootfs" "$dir"
	chmod 4755 "$dir"/{probe,azm-sandbox,azm-rootfs}
	as_other "$dir/probe"
	has "$output" '^ids.uid='
	grep -Eq "^ids.uid=[0-9]+ $(id -u) " <<<"$output" || skip 'set-uid means nothing on this file system'
	for name in azm-sandbox azm-rootfs; do
		as_other "$dir/$name"
		has "$output" "^$name: start: the program must not be set-uid"
		# Of a sanitizer build: that leaks cannot be looked for in such a process.
		is 1 "$(grep -vc '^==[0-9]*==' <<<"$output")" 'lines said'
	done
}
