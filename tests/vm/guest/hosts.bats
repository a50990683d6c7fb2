#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# hosts.bats: one machine turned into many hosts. Runs as root of a guest of check-vm.sh, never on a host of anybody;
# every command of the program is alice's: a login of her own (PAM, systemd --user), no sub-ids, no sudo.

TREE=$AZM_GUEST_TREE
AZM=$TREE/build/azm-sandbox

selinux() { selinuxenabled 2>/dev/null; }

# login COMMAND: as alice types it after logging in: a session of its own, which ends with the command. Where SELinux
# is, by ssh: su leaves the domain as it was.
login() {
	local command="export AZM=$AZM ROOTFS=/var/lib/azm-rootfs; $1"
	if selinux; then
		timeout 600 ssh -i /home/alice/.ssh/id_ed25519 -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null \
			-o LogLevel=ERROR alice@127.0.0.1 "$command" </dev/null
	else
		timeout 600 su -l alice -s /bin/bash -c "$command" </dev/null
	fi
}

# no_login COMMAND: alice's process where nobody logged in, as cron or a batch system starts it.
no_login() {
	timeout 600 setpriv --reuid alice --regid alice --clear-groups env -i HOME=/home/alice PATH="$PATH" \
		AZM="$AZM" ROOTFS=/var/lib/azm-rootfs /bin/bash -c "cd; $1"
}

# What a kernel without overlays in user namespaces (< 5.11) has to be told.
mode() {
	case $(uname -r) in
	5.10.*) echo '--rootfs-mode read-only' ;;
	esac
}

setup_file() {
	"$TREE/tests/lib/rootfs.sh" /var/lib/azm-rootfs "$TREE/build/tests/probe"
	chown -R alice: /var/lib/azm-rootfs
	mkdir -p /home/alice/work
	chown alice: /home/alice/work
}

setup() {
	RUN="\$AZM run --rm --rootfs \$ROOTFS $(mode)"
}

logged_in() {
	local session
	for session in $(loginctl list-sessions --no-legend | awk '$3 == "alice" { print $1 }'); do
		# Closing: what is left of one in which something still runs. Since systemd 256 the manager has one, too.
		case $(loginctl show-session "$session" -p State -p Class 2>&1) in
		*State=closing* | *Class=manager*) ;;
		*) return 0 ;;
		esac
	done
	return 1
}

# Until systemd has noticed that nobody is logged in.
logged_out() {
	local deadline=$((SECONDS + 120))
	while logged_in; do
		[ "$SECONDS" -lt "$deadline" ] || { loginctl list-sessions; return 1; }
		sleep 0.1
	done
}

# Without lingering the last thing that goes with a user is his service manager.
manager_gone() {
	local deadline=$((SECONDS + 120))
	while systemctl is-active -q "user@$(id -u alice).service"; do
		[ "$SECONDS" -lt "$deadline" ] || { loginctl user-status alice; return 1; }
		sleep 0.1
	done
}

# A setting of the kernel for one test.
setting() { # NAME VALUE
	[ -e "/proc/sys/${1//./\/}" ] || skip "this kernel has no $1"
	echo "$1=$(sysctl -n "$1")" >>"$BATS_TEST_TMPDIR/settings"
	sysctl -qw "$1=$2"
}

teardown() {
	[ ! -f "$BATS_TEST_TMPDIR/settings" ] || tac "$BATS_TEST_TMPDIR/settings" | sysctl -qp -
	login "\$AZM ps -aq 2>/dev/null | xargs -r \$AZM rm -f" >/dev/null 2>&1 || true
}

has() {
	grep -Eq -- "$2" <<<"$1" && return
	printf "'%s' not found in: %s\n" "$2" "$1"
	return 1
}

@test "a plain user's login runs a sandbox" {
	run login "$RUN -- /bin/sh -c 'id -u; cat /proc/sys/kernel/hostname'"
	echo "$output"
	[ "$status" -eq 0 ]
	has "$output" '^0$'
}

@test "doctor finds what is there" {
	run login "\$AZM doctor"
	echo "$output"
	case $(uname -r) in
	5.10.*) has "$output" 'overlay' ;;
	*) [ "$status" -eq 0 ] ;;
	esac
}

@test "a kernel without overlays in user namespaces is told from one with" {
	run login "\$AZM run --rm --rootfs \$ROOTFS -- /bin/true"
	echo "$output"
	case $(uname -r) in
	5.10.*)
		[ "$status" -eq 125 ]
		has "$output" '5\.11'
		has "$output" 'rootfs-mode'
		;;
	*) [ "$status" -eq 0 ] ;;
	esac
}

@test "the runtime server answers, and its files are the user's" {
	run login "\$AZM run -d --name served --rootfs \$ROOTFS $(mode) --tmpfs /tmp --workspace work --json >ready && tail -1 ready &&
		url=\$(jq -r .url ready) key=\$(jq -r .api_key ready) &&
		curl -sS -m 60 -H \"X-Session-API-Key: \$key\" -H 'Content-Type: application/json' \"\$url/execute_action\" -d '{\"action\":{\"action\":\"run\",\"args\":{\"command\":\"touch /workspace/made && id -u\"}}}' &&
		echo && stat -c %U work/made; \$AZM rm -f served"
	echo "$output"
	has "$output" '^alice$'
	[ "$status" -eq 0 ]
}

@test "a cgroup that systemd delegated carries the limits" {
	# A login's own scope is root's; the program asks the user's manager for one of its own.
	local cpus='--cpus 0.5'
	[ "$(uname -r | cut -d. -f1-2)" != 5.10 ] || cpus=
	run login "$RUN --memory 64m --pids-limit 50 $cpus -- \
		/bin/busybox dd if=/dev/zero of=/dev/null bs=256M count=1"
	echo "$output"
	[ "$status" -eq 137 ]
	has "$output" 'memory'
}

@test "without delegation a limit is refused, and --best-effort goes on" {
	run no_login "$RUN --memory 64m -- /bin/true"
	echo "$output"
	[ "$status" -eq 125 ]
	has "$output" 'systemd-run|delegat'
	run no_login "$RUN --memory 64m --best-effort -- /bin/true"
	echo "$output"
	[ "$status" -eq 0 ]
}

@test "a user without a login has a sandbox, too" {
	run no_login "$RUN -- /bin/sh -c 'id -u'"
	echo "$output"
	[ "$status" -eq 0 ]
}

@test "a detached sandbox outlives the login, with lingering and without" {
	local linger
	for linger in disable enable; do
		loginctl "$linger-linger" alice
		run login "\$AZM run -d --name stays --rootfs \$ROOTFS $(mode) -- /bin/probe sleep-forever"
		echo "$output"
		[ "$status" -eq 0 ]
		logged_out
		run login "\$AZM exec stays /bin/probe ids && \$AZM rm -f stays"
		echo "$output"
		[ "$status" -eq 0 ]
	done
	loginctl disable-linger alice
}

@test "with limits it needs lingering to outlive the login, and is told so" {
	loginctl enable-linger alice
	run login "\$AZM run -d --name stays --memory 64m --rootfs \$ROOTFS $(mode) -- /bin/probe sleep-forever"
	echo "$output"
	[ "$status" -eq 0 ]
	[ "$output" = stays ]
	logged_out
	run login "\$AZM exec stays /bin/probe ids && \$AZM rm -f stays"
	echo "$output"
	[ "$status" -eq 0 ]

	# A keeper in a session of its own would keep that session, and with it the manager.
	loginctl disable-linger alice
	pkill -KILL -u alice -x azm-keeper || true
	run login "\$AZM run -d --name stays --memory 64m --rootfs \$ROOTFS $(mode) -- /bin/probe sleep-forever"
	echo "$output"
	[ "$status" -eq 0 ]
	has "$output" 'note: .*enable-linger'
	manager_gone
	run login "\$AZM ps -a --json && \$AZM start stays && \$AZM exec stays /bin/probe ids; \$AZM rm -f stays"
	echo "$output"
	[ "$status" -eq 0 ]
}

@test "user.max_user_namespaces=0 is named, with the line that mends it" {
	setting user.max_user_namespaces 0
	run login "$RUN -- /bin/true"
	echo "$output"
	[ "$status" -eq 125 ]
	has "$output" 'user\.max_user_namespaces'
}

@test "kernel.unprivileged_userns_clone=0 is named" {
	setting kernel.unprivileged_userns_clone 0
	run login "$RUN -- /bin/true"
	echo "$output"
	[ "$status" -eq 125 ]
	has "$output" 'unprivileged_userns_clone'
}

@test "user.max_net_namespaces=0 is named" {
	setting user.max_net_namespaces 0
	run login "$RUN -- /bin/true"
	echo "$output"
	[ "$status" -eq 125 ]
	has "$output" 'user\.max_net_namespaces'
}

@test "AppArmor enforces and does not mind" {
	! selinux || skip 'SELinux is in its place here'
	[ "$(cat /sys/module/apparmor/parameters/enabled)" = Y ]
	has "$(cat /sys/kernel/security/apparmor/profiles)" '\(enforce\)'
	run login "$RUN -- /bin/true"
	echo "$output"
	[ "$status" -eq 0 ]
}

@test "AppArmor that forbids user namespaces is named" {
	setting kernel.apparmor_restrict_unprivileged_userns 1
	run login "$RUN -- /bin/true"
	echo "$output"
	[ "$status" -eq 125 ]
	has "$output" 'AppArmor'
}

@test "SELinux enforces and does not mind" {
	selinux || skip 'not a machine with SELinux'
	[ "$(getenforce)" = Enforcing ]
	run login "id -Z && $RUN -- /bin/true"
	echo "$output"
	ausearch -m avc,user_avc,selinux_err -ts recent 2>/dev/null | tail -n 40
	[ "$status" -eq 0 ]
	has "$output" 'unconfined_t'
}

@test "SELinux that confines the user is named" {
	selinux || skip 'not a machine with SELinux'
	semanage login -a -s user_u alice
	run login "id -Z; $RUN -- /bin/true; echo ended \$?; \$AZM doctor"
	semanage login -d alice
	echo "$output"
	has "$output" 'user_t'
	has "$output" '^ended 125$'
	has "$output" 'SELinux is enforcing'
}

@test "a /tmp without exec is no obstacle" {
	mount -t tmpfs -o noexec,mode=1777 tmpfs /tmp
	run login "$RUN -- /bin/true"
	umount -l /tmp
	echo "$output"
	[ "$status" -eq 0 ]
}

@test "a /proc with hidepid is no obstacle" {
	mount -o remount,hidepid=2 /proc
	run login "$RUN -- /bin/true"
	mount -o remount,hidepid=0 /proc
	echo "$output"
	[ "$status" -eq 0 ]
}

@test "a home on NFS keeps the workspace, the writable layer goes elsewhere" {
	mkdir -p /srv/home/alice /mnt/nfs
	chown alice: /srv/home/alice
	echo '/srv/home 127.0.0.1(rw,no_root_squash,fsid=0,insecure)' >/etc/exports
	modprobe nfsd && modprobe nfs
	systemctl unmask nfs-server && systemctl start nfs-server
	mount -t nfs -o vers=4 127.0.0.1:/ /mnt/nfs
	run login "export HOME=/mnt/nfs/alice; cd && mkdir -p work && cp -a \$ROOTFS rootfs && unset XDG_DATA_HOME &&
		\$AZM run --rm --rootfs rootfs $(mode) --workspace work -- /bin/sh -c 'echo hello >/workspace/made' && stat -fc %T . && stat -c %U work/made"
	umount -l /mnt/nfs
	systemctl stop nfs-server
	echo "$output"
	[ "$status" -eq 0 ]
	has "$output" '^nfs$'
	has "$output" '^alice$'
}
