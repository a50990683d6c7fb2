# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# internet.bash: an internet of the tests' own, for suites that try egress with real clients. See internet/internet.py.
#
#     load ../lib/common
#     load ../lib/internet
#     setup_file() { make_internet; make_clients; }     # or: make_internet --postgres
#     teardown_file() { remove_internet; }
#
# From then on azm, sandbox, background run azm-sandbox on that internet's "host", as this user without capabilities, and
# on_host runs any other command there. Rootfs $ROOTFS is the host's own installed programs, see make_clients.

# common.bash is loaded anew for every test; from setup_file on, AZM means the host of that internet.
[ -z "${INTERNET_PID:-}" ] || AZM=$BATS_FILE_TMPDIR/azm

make_internet() { # [--postgres]
	local starter
	INTERNET=$BATS_FILE_TMPDIR/internet
	unshare --user --map-current-user --keep-caps --net --mount --pid --fork --mount-proc --kill-child \
		/usr/bin/python3 -B "$TESTS/lib/internet/internet.py" "$INTERNET" "$@" >"$BATS_FILE_TMPDIR/internet.log" 2>&1 3>&- &
	starter=$!
	if ! wait_for 60 internet_is_up_or_gone "$starter" || [ ! -e "$INTERNET/ready" ]; then
		cat "$BATS_FILE_TMPDIR/internet.log"
		return 1
	fi
	INTERNET_PID=$(pgrep -P "$starter")
	# A host of its own has sockets of its own: a plain user's other suites have keepers in another pid namespace.
	mkdir -m 0700 "$BATS_FILE_TMPDIR/run"
	# A descendant of that pid namespace's init would outlive nothing: killing it kills all.
	cat >"$BATS_FILE_TMPDIR/azm" <<-END
		#!/bin/sh
		XDG_RUNTIME_DIR='$BATS_FILE_TMPDIR/run' exec nsenter --preserve-credentials -U -n -m -p -t $INTERNET_PID -- '$AZM' "\$@"
	END
	chmod +x "$BATS_FILE_TMPDIR/azm"
	export INTERNET INTERNET_PID
}

internet_is_up_or_gone() { # PID
	[ -e "$INTERNET/ready" ] || ! kill -0 "$1" 2>/dev/null
}

remove_internet() {
	[ -n "${INTERNET_PID:-}" ] || return 0
	kill -KILL "$INTERNET_PID" 2>/dev/null || true
	wait_for 10 internet_is_gone
}

internet_is_gone() {
	! kill -0 "$INTERNET_PID" 2>/dev/null
}

# Joining the user namespace gives capabilities over it, which an exec by an id other than 0 drops again.
on_host() {
	nsenter --preserve-credentials -U -n -m -p -t "$INTERNET_PID" -- "$@" 3>&-
}

# on_host_spawn FILE COMMAND...: in the background, with its output in FILE; ends with the test (remove_spawned).
on_host_spawn() {
	local file=$1
	shift
	# shellcheck disable=SC2016 # expanded on the host
	on_host sh -c 'echo $$ >>"$0"; exec "$@"' "$BATS_TEST_TMPDIR/host-pids" "$@" >"$file" 2>&1 </dev/null &
}

supervisor_on_host() { # SANDBOX: pid, as the host of that internet sees it
	on_host ps -o ppid= -p "$(pid_of "$1")" | tr -d ' '
}

# The same as this side sees it: it may look into the process, which nobody on that host may.
supervisor_here() { # SANDBOX
	# A process that ends meanwhile ends mawk, not cat.
	cat /proc/[0-9]*/status 2>/dev/null | awk -v inner="$(supervisor_on_host "$1")" '/^NSpid:/ && $3 == inner && NF == 3 { print $2 }'
}

remove_spawned() {
	[ ! -f "$BATS_TEST_TMPDIR/host-pids" ] || xargs nsenter --preserve-credentials -U -p -t "$INTERNET_PID" -- \
		kill -KILL <"$BATS_TEST_TMPDIR/host-pids" 2>/dev/null || true
}

# $ROOTFS: the host's /usr seen through a read-only volume, and an /etc, /var, /home of its own: every client that is
# installed here works inside, and nothing is copied. $PSQL and $PG are PostgreSQL's programs (Debian's psql in the path
# is a wrapper that wants its own configuration).
make_clients() {
	ROOTFS=$BATS_FILE_TMPDIR/clients
	PG=$(find /usr/lib/postgresql -maxdepth 2 -name bin 2>/dev/null | sort -V | tail -1)
	local link
	mkdir -p "$ROOTFS"/{usr,proc,sys,dev,run,tmp,root/.ssh,home/user,workspace,opt,etc/ssl/certs,etc/apt/apt.conf.d} \
		"$ROOTFS"/var/{tmp,lib/dpkg/info,lib/dpkg/updates,lib/apt/lists/partial,cache/apt/archives/partial,log/apt}
	for link in bin sbin lib lib64 lib32; do
		[ ! -L "/$link" ] || ln -s "usr/$link" "$ROOTFS/$link"
	done
	[ -L /bin ] || {
		echo 'internet.bash: /bin of this host is not a link to /usr/bin'
		return 1
	}
	cp -a /etc/alternatives "$ROOTFS/etc/" 2>/dev/null
	printf 'root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000::/home/user:/bin/sh\n_apt:x:42:65534::/:/bin/sh\n' \
		>"$ROOTFS/etc/passwd"
	printf 'root:x:0:\nuser:x:1000:\nnogroup:x:65534:\n' >"$ROOTFS/etc/group"
	: >"$ROOTFS/var/lib/dpkg/status"
	echo 'deb [trusted=yes] https://deb.test/ ./' >"$ROOTFS/etc/apt/sources.list"
	cp "$INTERNET/stock/ca.pem" "$ROOTFS/etc/ssl/certs/ca-certificates.crt"
	echo 'APT::Sandbox::User "root";' >"$ROOTFS/etc/apt/apt.conf.d/single-id" # as azm-rootfs bootstrap has it
	cp "$INTERNET/stock/ssh/id" "$ROOTFS/root/.ssh/id_ed25519"
	cp "$INTERNET/stock/ssh/known_hosts" "$ROOTFS/root/.ssh/"
	chmod 0600 "$ROOTFS/root/.ssh/id_ed25519"
	echo 'CheckHostIP no' >"$ROOTFS/root/.ssh/config" # as OpenSSH since 8.5 has it: the broker's addresses come and go
	cp "$PROBE" "$ROOTFS/opt/probe"
	cp "$TESTS/lib/internet/reach.py" "$ROOTFS/opt/reach"
	export ROOTFS PG
}

# client_options OPTION...: more options of run for the functions below, until the test ends. (Options with blanks: no.)
client_options() {
	export CLIENT_OPTIONS="$*"
}

# client RULES COMMAND...: one shot in the clients' root, with these egress rules.
client() {
	local rules=$1
	shift
	# shellcheck disable=SC2086 # words
	azm run --rm --rootfs "$ROOTFS" -v /usr:/usr:ro --egress "$rules" ${CLIENT_OPTIONS:-} -- "$@"
}

# client_stays NAME RULES: the same, detached, for `azm exec`.
client_stays() {
	# shellcheck disable=SC2086 # words
	azm run -d --name "$1" --rootfs "$ROOTFS" -v /usr:/usr:ro --egress "$2" ${CLIENT_OPTIONS:-} -- \
		/opt/probe sleep-forever >/dev/null
}

# reaches RESULT RULES TARGET...: with these rules, /opt/reach says RESULT (an extended regular expression) of every target.
reaches() {
	local want=$1 rules=$2 other
	shift 2
	output=$(client "$rules" /opt/reach "$@") || return 1
	[ "$(grep -c '' <<<"$output")" -eq $# ] || {
		echo "not an answer for each of: $*: $output"
		return 1
	}
	other=$(grep -Ev " ($want)\$" <<<"$output") || return 0
	echo "not $want with --egress $rules: $other"
	return 1
}

# A request that arrived at a server of that internet: asked PATTERN
asked() {
	grep -Eq -- "$1" "$INTERNET/web.log"
}
