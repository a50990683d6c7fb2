#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# Old kernels and outer containers, met by a filter around the whole program: each system call that we would rather have
# answers ENOSYS, for the program, azm-init and everything inside. A life is lived with each missing: it goes as it does
# with all of them, or, where there is no other way, the start is refused with one clear message.
# shellcheck disable=SC2154,SC2016,SC2030,SC2031 # set by bats; quotes on purpose; every test is a subshell
load ../lib/common

setup_file() {
	make_rootfs
	REAL=$AZM
	export REAL
	make_directories "$BATS_FILE_TMPDIR"
	one_shot >"$BATS_FILE_TMPDIR/usual" || [ $? -eq 7 ]
}
setup() {
	NAME=$(new_name)
	TERMINAL=yes
	AZM=$BATS_TEST_TMPDIR/azm-sandbox
	make_directories "$BATS_TEST_TMPDIR"
}
teardown() { remove_sandboxes; }

make_directories() { # WHERE
	DATA=$1/data
	WORK=$1/work
	mkdir -p "$WORK/sub" "$DATA"
	git init -q "$WORK"
	echo outside >"$WORK/file"
	echo data >"$DATA/file"
}

# From here on $AZM is the program on a host without these calls. The keeper of the network is made anew: it must do
# without them, too.
host_without() { # NAME...
	local rules
	rules=$(printf '%s=ENOSYS,' "$@")
	printf '#!/bin/sh\nexec "%s" "%s" "%s" "$@"\n' "$BUILD/tests/deny" "${rules%,}" "$REAL" >"$AZM"
	chmod +x "$AZM"
	pkill -KILL -u "$(id -u)" -x azm-keeper || true
}

# Mounts of every kind, who one is, and that what must not work does not.
one_shot() {
	sandbox --workspace "$WORK" -v "$DATA:/ro:ro" -v "$DATA:/cow:overlay" --tmpfs /t:size=1m \
		-- /bin/sh -c '
			cat /workspace/file /ro/file; echo inside > /workspace/sub/made; echo x > /cow/file; echo x > /t/x
			echo x > /ro/file || echo ro; echo x > /workspace/.envrc || echo guarded
			echo x > /workspace/.git/config || echo git; echo x > /proc/sys/kernel/hostname || echo masked
			mv /workspace/.git /workspace/g || echo pinned
			probe fds | sed "s/\[.*//"; probe new-namespaces; grep -E "^(CapEff|NoNewPrivs|Seccomp):" /proc/self/status; pwd; exit 7' 2>/dev/null
}

whole_life() {
	local port
	run one_shot
	is 7 "$status"
	is 'outside data ro guarded git masked pinned' "$(head -7 <<<"$output" | tr '\n' ' ' | sed 's/ $//')"
	same_as_usual "$output"
	is inside "$(cat "$WORK/sub/made")"
	is data "$(cat "$DATA/file")"
	[ ! -e "$WORK/.envrc" ]
	run --separate-stderr sandbox --read-only --rootfs-mode read-only -- /bin/sh -c 'echo x > /x || echo frozen'
	is frozen "$output"
	background "$NAME" --workspace "$WORK" -p 0:8000 -- /bin/probe fake-server 8000
	wait_for 10 sh -c "'$AZM' logs '$NAME' 2>&1 | grep -q server=ready"
	port=$(azm port "$NAME" | sed -n 's/.*127.0.0.1:\([0-9]*\)$/\1/p')
	run http "http://127.0.0.1:$port/alive"
	is 200 "${lines[0]}"
	is hello "$(echo hello | azm exec -i "$NAME" cat)"
	if [ -n "$TERMINAL" ]; then
		run "$TESTS/lib/pty-run.py" -- "$AZM" exec -it "$NAME" /bin/sh -c 'tty; exit 5'
		is 5 "$status"
		has "$output" '/dev/pts/'
	fi
	azm stop -t 1 "$NAME"
	is_not_running "$NAME"
	azm start "$NAME"
	is_running "$NAME"
	azm rm -f "$NAME"
	wait_for 10 sh -c "! pgrep -u $(id -u) -x 'probe|azm-init|azm-sandbox'"
}

# The sandbox is the one that a host with everything has: the same confinement, to the last line.
same_as_usual() { # OUTPUT
	diff "$BATS_FILE_TMPDIR/usual" <(echo "$1")
}

@test "without openat2" {
	host_without openat2
	whole_life
}

@test "without mount_setattr" {
	host_without mount_setattr
	whole_life
}

@test "without open_tree" {
	host_without open_tree
	whole_life
}

@test "without move_mount" {
	host_without move_mount
	whole_life
}

@test "without fsopen, fsconfig and fsmount" {
	host_without fsopen fsconfig fsmount
	whole_life
}

@test "without fsopen only, without fsmount only" {
	local call
	for call in fsopen fsconfig fsmount; do
		host_without "$call"
		run one_shot
		is 7 "$status" "$call"
	done
}

@test "without close_range" {
	host_without close_range
	whole_life
}

@test "without clone3, statx, faccessat2, renameat2" {
	host_without clone3 statx faccessat2 renameat2
	whole_life
}

@test "without landlock" {
	host_without landlock_create_ruleset landlock_add_rule landlock_restrict_self
	whole_life
}

@test "without pidfd_getfd: everything but terminals, which say so" {
	host_without pidfd_getfd
	TERMINAL=
	whole_life
	refused 125 'terminal' azm run --rm -t --rootfs "$ROOTFS" -- /bin/true
	has "$stderr" 'hint: .*pidfd_getfd'
}

@test "without pidfd_open" {
	host_without pidfd_open
	whole_life
}

@test "without pidfd_send_signal" {
	host_without pidfd_send_signal
	whole_life
}

@test "without memfd_create" {
	host_without memfd_create
	whole_life
}

@test "without execveat" {
	host_without execveat
	whole_life
}

@test "without io_uring, keyctl, rseq, membarrier, epoll_pwait2, process_madvise" {
	host_without io_uring_setup keyctl rseq membarrier epoll_pwait2 process_madvise
	whole_life
}

@test "a kernel as old as overlay in user namespaces allows: without everything newer that has another way" {
	host_without openat2 mount_setattr open_tree move_mount fsopen fsconfig fsmount close_range clone3 statx faccessat2 \
		landlock_create_ruleset
	whole_life
}

@test "what has no other way is refused with the reason: namespaces of clone, setns, pivot_root, seccomp" {
	local rule
	for rule in 'clone:0x1000' 'clone:0x02000000' 'clone:0x20000000' 'clone:0x40000000' setns pivot_root seccomp; do
		run --separate-stderr "$BUILD/tests/deny" "$rule=ENOSYS" "$REAL" run --rm --name "$NAME" --rootfs "$ROOTFS" -- /bin/true
		is 125 "$status" "$rule"
		has "$stderr" '^azm-sandbox: .*Function not implemented'
		has "$stderr" '^hint: '
		has_not "$(azm ps -a 2>/dev/null)" "$NAME"
	done
}

@test "a command that fails while its root is still being built is refused with its own reason" {
	local mounts=() number
	for number in {1..60}; do
		mounts+=(--tmpfs "/m/$number")
	done
	# Of the three processes only the one that will be the command calls it.
	run --separate-stderr "$BUILD/tests/deny" setsid=ENOSYS "$REAL" run --rm --name "$NAME" --rootfs "$ROOTFS" "${mounts[@]}" -- /bin/true
	is 125 "$status"
	has "$stderr" '^azm-sandbox: make a session: Function not implemented'
}
