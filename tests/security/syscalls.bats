#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# Class K: the filter as it is in force inside a sandbox; the table itself is tested in tests/unit.
# shellcheck disable=SC2154,SC2016,SC2030,SC2031 # set by bats; quotes on purpose; every test is a subshell
load ../lib/common

setup_file() {
	make_rootfs
	cp "$BUILD/tests/syscall-matrix" "$ROOTFS/bin/"
}
teardown() { remove_sandboxes; }

@test "t-k1: every system call number, x32 and i386, high-bit arguments: as the table says (inside root)" {
	run sandbox --userns single -- /bin/syscall-matrix --check emulate
	[ "$status" -eq 0 ] || tail -20 <<<"$output"
	is 0 "$status"
}

@test "t-k1: the same for another user" {
	run sandbox --userns single --user 1000 -- /bin/syscall-matrix --check none
	[ "$status" -eq 0 ] || tail -20 <<<"$output"
	is 0 "$status"
}

@test "t-k1: the same with exec" {
	local name
	name=$(new_name)
	background "$name" --userns single
	run azm exec "$name" /bin/syscall-matrix --check emulate
	[ "$status" -eq 0 ] || tail -20 <<<"$output"
	is 0 "$status"
}

@test "t-k2: no new namespace by unshare, clone, clone3 or setns, with no flag" {
	local user
	for user in 0 1000; do
		run sandbox --user "$user" -- /bin/probe new-namespaces
		is 0 "$status"
		has_not "$output" '=ok$'
		has "$output" '^new.unshare.user=EPERM$'
		has "$output" '^new.clone.user=EPERM$'
		has "$output" '^new.clone-high.user=EPERM$'
		has "$output" '^new.clone3.user=ENOSYS$'
		has "$output" '^new.unshare.time=EPERM$'
	done
}

@test "t-k2: and the belt: no user namespace is left to make, were the filter not there" {
	run sandbox -- /bin/cat /proc/sys/user/max_user_namespaces /proc/sys/user/max_net_namespaces
	is "$(printf '0\n0')" "$output"
}

@test "t-k2: --nested allows them, for a sandbox inside the sandbox" {
	run sandbox --nested -- /bin/probe new-namespaces
	is 0 "$status"
	has "$output" '^new.unshare.user=ok$'
}

@test "no mounting: EPERM for the old calls, ENOSYS for the new ones" {
	run sandbox -- /bin/probe mounting
	is 0 "$status"
	has_not "$output" '=ok$'
	is EPERM "$(value mounting.tmpfs)"
	is EPERM "$(value mounting.umount)"
	is ENOSYS "$(value mounting.fsopen)"
	is ENOSYS "$(value mounting.open_tree)"
}

@test "sockets: UNIX, INET, INET6 and NETLINK_ROUTE; nothing else, high bits or not" {
	local name
	run sandbox -- /bin/probe sockets
	is 0 "$status"
	for name in unix inet inet6 netlink-route; do
		is ok "$(value "socket.$name")" "$name"
	done
	for name in packet alg alg+high vsock vsock+high bluetooth can tipc rds x25; do
		is EAFNOSUPPORT "$(value "socket.$name")" "$name"
	done
	is EPERM "$(value socket.raw)" raw
	for name in netlink-netfilter netlink-netfilter+high netlink-xfrm; do
		is EPROTONOSUPPORT "$(value "socket.$name")" "$name"
	done
	is EINVAL "$(value socket.netlink-audit)" netlink-audit
}

@test "--compat32 lets 32-bit programs start, without it they do not" {
	# A 32-bit program of a few bytes: exit(7) by int 0x80, in a hand-made ELF.
	python3 - "$BATS_TEST_TMPDIR/tiny32" <<-'END'
		import struct, sys
		code = bytes.fromhex("31c040b307cd80")  # xor eax,eax; inc eax; mov bl,7; int 0x80
		base = 0x08048000
		header = struct.pack("<4s5B7x2HI3I I6H", b"\x7fELF", 1, 1, 1, 0, 0, 2, 3, 1, base + 84, 52, 0, 0, 52, 32, 1, 0, 0, 0)
		program = struct.pack("<8I", 1, 0, base, base, 84 + len(code), 84 + len(code), 5, 4096)
		open(sys.argv[1], "wb").write(header + program + code)
	END
	chmod +x "$BATS_TEST_TMPDIR/tiny32"
	"$BATS_TEST_TMPDIR/tiny32" && status=0 || status=$?
	[ "$status" -eq 7 ] || skip "this kernel runs no 32-bit programs (status $status)"
	run sandbox -v "$BATS_TEST_TMPDIR:/t" --compat32 -- /t/tiny32
	is 7 "$status"
	run sandbox -v "$BATS_TEST_TMPDIR:/t" -- /t/tiny32
	[ "$status" -ne 7 ]
}

@test "--seccomp FILE.json: a profile in Docker's format is in force, on top of nothing of ours" {
	cat >"$BATS_TEST_TMPDIR/profile.json" <<-'END'
		{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["mkdir","mkdirat"],"action":"SCMP_ACT_ERRNO","errnoRet":28}]}
	END
	run sandbox --seccomp "$BATS_TEST_TMPDIR/profile.json" -- /bin/mkdir /tmp/x
	[ "$status" -ne 0 ]
	has "$output" 'No space left'
}

@test "--seccomp: a wrong profile is refused with the entry that is wrong" {
	local text
	for text in '' '{' '{"defaultAction":"NO_SUCH"}' '{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":[7]}]}' '[]'; do
		printf '%s' "$text" >"$BATS_TEST_TMPDIR/profile.json"
		refused 125 'profile.json' sandbox --seccomp "$BATS_TEST_TMPDIR/profile.json" -- /bin/true
	done
}
