#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# --egress-engine pasta: full IP where the user wants it, on an internet of the tests' own.
# shellcheck disable=SC2154,SC2016 # set by bats; expanded inside
load ../lib/common
load ../lib/internet

setup_file() {
	make_internet
	make_clients
}

teardown_file() {
	remove_internet
}

teardown() {
	remove_spawned
	remove_sandboxes
}

needs_tun() {
	on_host sh -c ': <>/dev/net/tun' 2>/dev/null || skip 'no access to /dev/net/tun on this host'
}

full() { # OPTION... -- COMMAND...
	azm run --rm --rootfs "$ROOTFS" -v /usr:/usr:ro --egress all --egress-engine pasta "$@"
}

udp_to_the_world='import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.sendto(b"datagram", ("192.52.193.50", 9999))'

pasta_of() { # SANDBOX: pid, as its own host sees it
	on_host pgrep -x -s "$(supervisor_on_host "$1")" 'pas(ta|st).*'
}

@test "pasta: https, names and UDP work as on the host" {
	needs_tun
	full -- sh -ec "curl -sS https://www.example.test/
		python3 -c '$udp_to_the_world'" >"$BATS_TEST_TMPDIR/out"
	is 'hello from www.example.test at 192.52.193.10' "$(cat "$BATS_TEST_TMPDIR/out")"
	wait_for 10 grep -q ' 8$' "$INTERNET/udp.log"
}

@test "pasta: the host's loopback stays out of reach" {
	needs_tun
	on_host_spawn /dev/null python3 -m http.server --bind 127.0.0.1 8123
	wait_for 10 on_host curl -s -o /dev/null http://127.0.0.1:8123/
	run --separate-stderr full -- sh -c 'for to in 127.0.0.1 192.175.48.1 192.175.48.2 10.77.0.2 "[::1]"; do
		curl -sS -m 1 -o /dev/null "http://$to:8123/" && echo "reached $to"
	done; echo done'
	is 'done' "$output"
}

@test "pasta: publishing and the private network work beside it" {
	needs_tun
	local name port
	name=$(new_name)
	azm run -d --name "$name" --rootfs "$ROOTFS" -v /usr:/usr:ro --egress all --egress-engine pasta -p 0:8000 -- \
		python3 -m http.server --bind 0.0.0.0 8000
	port=$(azm inspect "$name" | jq -r '.[0].ports[0].host_port')
	wait_for 10 on_host curl -sS -o /dev/null "http://127.0.0.1:$port/"
	azm exec "$name" ip -4 -o addr | grep -q eth0
	azm exec "$name" curl -sS http://www.example.test/ | grep -q hello
}

@test "pasta: it ends with the sandbox, also when the supervisor is killed" {
	needs_tun
	local name pasta way forgetful=$BATS_TEST_TMPDIR/bin
	# As a pasta since 2024, it closes what it inherits; and AppArmor takes the parent-death signal away where it has a
	# profile for pasta.
	mkdir "$forgetful"
	cat >"$forgetful/pasta" <<-END
		#!/usr/bin/python3
		import ctypes, os, signal, sys
		os.closerange(3, 64)
		ctypes.CDLL(None).prctl(1, 0)
		signal.signal(signal.SIGPIPE, signal.SIG_DFL)
		os.execv("$(command -v pasta)", sys.argv)
	END
	chmod +x "$forgetful/pasta"
	for way in stop kill forgetful; do
		name=$(new_name)
		[ "$way" != forgetful ] || PATH=$forgetful:$PATH
		azm run -d --name "$name" --rootfs "$ROOTFS" -v /usr:/usr:ro --egress all --egress-engine pasta -- sleep 60
		pasta=$(pasta_of "$name")
		on_host test -d "/proc/$pasta"
		if [ "$way" = stop ]; then
			azm stop -t 0 "$name"
		else
			on_host kill -KILL "$(supervisor_on_host "$name")"
		fi
		wait_for 10 on_host sh -c "! kill -0 $pasta"
	done
}

@test "pasta: a stopped sandbox starts with it again; a running one takes no rules" {
	needs_tun
	local name
	name=$(new_name)
	azm run -d --name "$name" --rootfs "$ROOTFS" -v /usr:/usr:ro --egress all --egress-engine pasta -- sleep 60
	azm stop -t 0 "$name"
	azm start "$name"
	has "$(azm exec "$name" curl -sS http://www.example.test/)" 'hello from'
	refused 125 'pasta' azm egress "$name" --add '!other.test'
	is pasta "$(azm egress "$name" --json | jq -r .engine)"
}

@test "pasta: it keeps to no rules, and says so" {
	refused 125 'cannot keep to rules' azm run --rm --rootfs "$ROOTFS" --egress-engine pasta -- true
	refused 125 'no way out' azm run --rm --rootfs "$ROOTFS" --egress all --network none --egress-engine pasta -- true
	azm network create net$$ >/dev/null
	refused 125 'private network only' azm run --rm --rootfs "$ROOTFS" --egress all --network net$$ \
		--egress-engine pasta -- true
	azm network rm net$$
	refused 125 'is not one of broker, pasta' azm run --rm --rootfs "$ROOTFS" --egress-engine slirp -- true
}

@test "pasta: what is missing on the host is named" {
	local real=$BUILD/azm-sandbox
	refused 125 'no pasta in the PATH' env PATH=/none "$real" run --rm --rootfs "$ROOTFS" --egress all \
		--egress-engine pasta -- true
	has "$stderr" 'hint: install passt'
	if sh -c ': <>/dev/net/tun' 2>/dev/null; then
		skip 'this user has /dev/net/tun outside of the test too'
	fi
	refused 125 '/dev/net/tun' "$real" run --rm --rootfs "$ROOTFS" --egress all --egress-engine pasta -- true
	has "$stderr" 'hint: ask an administrator'
}
