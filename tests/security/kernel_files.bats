#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# Class C and t-l1: files of the kernel, control groups, and what is counted per user of the host.
# shellcheck disable=SC2154,SC2016,SC2030,SC2031 # set by bats; quotes on purpose; every test is a subshell
load ../lib/common

setup_file() { make_rootfs; }
teardown() { remove_sandboxes; }

# Hidden: not there, or nothing to read, and no way to write.
hidden() { # PATH
	local line
	line=$(value "open.$1")
	case $line in
	'' | 'stat=ENOENT' | 'stat=EACCES') return 0 ;;
	esac
	has_not "$line" 'bytes=[1-9]' || return 1
	# The host's null device may be written: it is what covers the file.
	has "$line" 'write=(EACCES|EROFS|EPERM|EISDIR|EIO|ENXIO)|dev=1:3 '
}

@test "t-c1: the masked files are empty or absent, as inside root and as another user" {
	local masked=(/proc/acpi /proc/asound /proc/interrupts /proc/kcore /proc/keys /proc/latency_stats /proc/sched_debug
		/proc/scsi /proc/timer_list /proc/timer_stats /sys/devices/virtual/powercap /sys/firmware /sys/fs/selinux
		/sys/devices/system/cpu/cpu0/thermal_throttle) path user
	for user in 0 1000; do
		run sandbox --user "$user" -- /bin/probe open "${masked[@]}"
		is 0 "$status"
		for path in "${masked[@]}"; do
			hidden "$path"
		done
		run sandbox --user "$user" -- /bin/sh -c 'ls -A /proc/acpi /proc/scsi /proc/asound /sys/firmware /sys/fs/selinux 2>/dev/null | grep -v :; true'
		is '' "$output" "$user"
	done
}

@test "t-c1: a mask cannot be taken off" {
	run sandbox -- /bin/sh -c 'umount /proc/kcore || umount -l /proc/timer_list || mount -o remount,rw /sys'
	[ "$status" -ne 0 ]
}

@test "t-c1: /sys is read-only and knows nothing of the host's network" {
	run sandbox -- /bin/probe mounts
	has "$output" '^mounts.mount=/sys sysfs [^ ]*\bro\b'
	run sandbox -- /bin/sh -c 'ls /sys/class/net | sort | tr "\n" " "; echo 1 > /sys/kernel/mm/ksm/run'
	has "$output" '^eth0 lo '
	has "$output" 'Read-only|denied|nonexistent'
}

@test "t-c2: no control group can be written, no other can be seen" {
	run sandbox -- /bin/sh -c 'find /sys/fs/cgroup -name cgroup.procs -o -name release_agent 2>/dev/null | while read f; do
		(echo 0 > $f) 2>/dev/null && echo "wrote $f"; done; cat /proc/self/cgroup; true'
	is 0 "$status"
	has_not "$output" wrote
	has_not "$output" '^0::/.+/\.\.'
	has_not "$output" ':/[a-z].*azm'
	run sandbox -- /bin/sh -c 'mount -t cgroup2 none /tmp || mount -t cgroup -o none,name=x none /tmp'
	[ "$status" -ne 0 ]
}

@test "t-c2: --cgroup-parent: what is no delegated cgroup is refused, however it is spelled, and nothing is made there" {
	local place fake=$BATS_TEST_TMPDIR/fake
	mkdir "$fake"
	touch "$fake"/cgroup.{procs,subtree_control,controllers}
	for place in '' / . .. ../../../.. /nowhere /etc /sys/fs/cgroup/../../../etc /proc/self/fd/0 "$BATS_TEST_TMPDIR" \
		"$BATS_TEST_TMPDIR/../.." "$fake" "$fake/../fake"; do
		refused 125 '.' sandbox --cgroup-parent "$place" --memory 64m -- /bin/true
		[ -z "$place" ] || refused 125 '.' sandbox --cgroup-parent "$place" -- /bin/true
	done
	is 'cgroup.controllers cgroup.procs cgroup.subtree_control' "$(cd "$fake" && echo *)"
	is '' "$(cat "$fake"/*)"
}

@test "t-c3: /proc/sys, sysrq-trigger, irq, bus, fs cannot be written by inside root" {
	local files=(/proc/sysrq-trigger /proc/sys/kernel/core_pattern /proc/sys/kernel/hostname /proc/sys/kernel/modprobe
		/proc/sys/vm/drop_caches /proc/sys/net/ipv4/ip_forward /proc/sys/user/max_user_namespaces
		/proc/sys/fs/binfmt_misc/register /proc/irq/default_smp_affinity /proc/sys/kernel/ns_last_pid) path
	run sandbox -- /bin/probe open "${files[@]}"
	is 0 "$status"
	for path in "${files[@]}"; do
		has "$(value "open.$path")" '^stat=ENOENT|write=(EACCES|EROFS|EPERM)'
	done
	run sandbox -- /bin/probe mounts
	local dir
	for dir in bus fs irq sys sysrq-trigger; do
		[ -e "/proc/$dir" ] || continue
		has "$output" "^mounts.mount=/proc/$dir [^ ]+ [^ ]*\bro\b"
	done
}

@test "the mounts are what is promised: options of /proc, /dev, /dev/shm, /dev/pts, /dev/mqueue, /tmp" {
	run sandbox -- /bin/probe mounts
	is 0 "$status"
	has "$output" '^mounts.mount=/proc proc [^ ]*nosuid[^ ]*nodev[^ ]*noexec'
	has "$output" '^mounts.mount=/dev tmpfs [^ ]*nosuid'
	has "$output" '^mounts.mount=/dev/pts devpts [^ ]*nosuid[^ ]*noexec'
	has "$output" '^mounts.mount=/dev/pts devpts .*max=256'
	has "$output" '^mounts.mount=/dev/shm tmpfs [^ ]*nosuid[^ ]*nodev'
	has "$output" '^mounts.mount=/dev/mqueue mqueue [^ ]*nosuid[^ ]*nodev[^ ]*noexec'
	# Every tmpfs has both limits: a file system without them is a way to use up the host's memory.
	has_not "$(grep -E '^mounts.mount=[^ ]+ tmpfs [^ ]*\brw\b' <<<"$output" | grep -v 'size=.*nr_inodes=')" 'tmpfs'
}

@test "nothing of the host's mounts can be seen or reached by propagation" {
	run sandbox -- /bin/probe mounts
	has_not "$output" 'propagation=shared'
	has_not "$output" "root=/[^ ]*${BATS_RUN_TMPDIR}[^ ]* .*rw,"
}

@test "/dev holds the eight devices and the links, all of them the kernel's own" {
	run sandbox -- /bin/sh -c 'cd /dev; ls -A | sort | tr "\n" " "'
	is 0 "$status"
	local name
	for name in fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero; do
		has "$output" "(^| )$name "
	done
	has_not "$output" '(^| )(mem|kmsg|kmem|sda|vda|loop|fuse|kvm|net|mapper|console[0-9]) '
	run sandbox -- /bin/probe open /dev/null /dev/zero /dev/full /dev/random /dev/urandom
	has "$output" '/dev/null=stat=ok mode=20666 dev=1:3 '
	has "$output" '/dev/zero=stat=ok mode=20666 dev=1:5 '
	has "$output" '/dev/full=stat=ok mode=20666 dev=1:7 '
	has "$output" '/dev/random=stat=ok mode=20666 dev=1:8 '
	has "$output" '/dev/urandom=stat=ok mode=20666 dev=1:9 '
}

@test "a device node cannot be made for real" {
	run sandbox -- /bin/sh -c 'mknod /tmp/mem c 1 1; head -c 1 /tmp/mem'
	[ "$status" -ne 0 ]
	run sandbox --user 1000 -- /bin/mknod /tmp/mem c 1 1
	[ "$status" -ne 0 ]
}

@test "t-l1: inotify, ptys, queues and inodes run out inside before they do for the user outside" {
	run sandbox -- /bin/probe take inotify 1000
	is 0 "$status"
	local taken
	taken=$(value take.inotify)
	[ "${taken%% *}" -lt "$(cat /proc/sys/user/max_inotify_instances)" ]
	run sandbox -- /bin/probe take pty 5000
	taken=$(value take.pty)
	[ "${taken%% *}" -le 256 ]
	run sandbox -- /bin/probe take mqueue 100000
	has "$output" '^take.mqueue=[0-9]+ (EMFILE|ENOSPC|ENFILE|ENOMEM)$'
	run sandbox -- /bin/probe take inodes 3000000
	has "$output" '^take.inodes=[0-9]+ ENOSPC$'
}

@test "t-l1: while a sandbox holds all it gets, the user outside still gets its own" {
	local name
	name=$(new_name)
	background "$name" -- /bin/sh -c 'probe take inotify 1000 > /tmp/taken; exec probe sleep-forever'
	wait_for 20 azm exec "$name" test -s /tmp/taken
	run "$PROBE" take inotify 10
	is '10 ok' "$(value take.inotify)"
	run "$PROBE" take pty 10
	is '10 ok' "$(value take.pty)"
}

@test "t-n2: no abstract socket of the host is listed or reachable" {
	canary "@azm-canary-$$"
	run sandbox -- /bin/probe net
	has_not "$output" azm-canary
	run sandbox -- /bin/probe connect "unix:@azm-canary-$$" 0
	has "$output" '^connect=ECONNREFUSED$'
}

@test "t-n3: a service on the host's loopback is not reachable, by no address of the host" {
	local port address
	port=$(free_range 1)
	canary 0.0.0.0 "$port"
	for address in 127.0.0.1 ::1 10.0.2.2 169.254.169.254 $(hostname -I 2>/dev/null); do
		run sandbox -- /bin/probe connect "$address" "$port" 2000
		has_not "$output" '^connect=ok$'
	done
	# The gateway of its own bridge is the network's namespace, not the host's.
	run sandbox -- /bin/probe net
	address=$(sed -n 's/^net.address=eth0 \([0-9.]*\)$/\1/p' <<<"$output" | head -1)
	run sandbox -- /bin/probe connect "${address%.*}.1" "$port" 2000
	has_not "$output" '^connect=ok$'
}

@test "t-n5: two sandboxes of the private network cannot reach each other" {
	local one two address
	one=$(new_name)
	two=$(new_name)
	background "$one" -- /bin/probe fake-server 8000
	background "$two"
	address=$(inspect "$one" ip)
	has "$address" '^[0-9.]+$'
	run azm exec "$one" probe connect "$address" 8000
	is 0 "$status" 'reaches itself'
	run azm exec "$two" probe connect "$address" 8000 1500
	has_not "$output" '^connect=ok$'
}

@test "t-w5: our control socket refuses a peer from inside, even through a bind" {
	local name socket work=$BATS_TEST_TMPDIR/work
	name=$(new_name)
	mkdir "$work"
	# A login's runtime directory is a file system of its own, without workspaces.
	mkdir -m 0700 "$BATS_TEST_TMPDIR/run"
	export XDG_RUNTIME_DIR=$BATS_TEST_TMPDIR/run
	background "$name" --workspace "$work"
	socket=$(find "${XDG_RUNTIME_DIR:-/nowhere}" "/tmp/azm-sandbox-$(id -u)" -type s 2>/dev/null | grep -- "$name" | head -1)
	[ -n "$socket" ] || skip 'no control socket found for the sandbox'
	# A hard link is the only way to bring it in: binds of the directory are refused.
	ln "$socket" "$work/control" 2>/dev/null || skip 'the socket cannot be linked here: another file system'
	# The user is served; the sandbox can connect, being the same uid, and is not.
	run env -C "$(dirname "$socket")" "$PROBE" ask "$(basename "$socket")" '{"op":"signal","signal":0}'
	has "$output" '^ask=.*no such signal'
	run azm exec "$name" probe ask /workspace/control '{"op":"signal","signal":0}'
	is 'ask=' "$output"
	run azm exec "$name" probe ask /workspace/control '{"op":"stop","seconds":0}'
	is 'ask=' "$output"
	is running "$(state_of "$name")"
}
