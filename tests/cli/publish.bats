#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# Published ports: on the loopback and nowhere else, for the caller only, whatever the server inside bound to.
# shellcheck disable=SC2154,SC2016,SC2030,SC2031 # set by bats; quotes on purpose; every test is a subshell
load ../lib/common

setup_file() { make_rootfs; }
setup() { NAME=$(new_name); }
teardown() { remove_sandboxes; }

serve() { # INSIDE-ADDRESS OPTION...: a server on port 8000 of the sandbox
	local address=$1
	shift
	background "$NAME" "$@" -- /bin/probe fake-server 8000 "$address" >/dev/null
	wait_for 10 sh -c "'$AZM' logs '$NAME' 2>&1 | grep -q server=ready"
}

host_port() { # INSIDE-PORT: where it is published
	azm port "$NAME" 2>/dev/null | sed -n "s/.*:\([0-9]*\)$/\1/p" | head -1
}

@test "-p HOST:PORT answers on 127.0.0.1 and on [::1]" {
	local port
	port=$(free_port)
	serve 0.0.0.0 -p "$port:8000"
	run http "http://127.0.0.1:$port/alive"
	is 200 "${lines[0]}"
	run http "http://[::1]:$port/alive"
	is 200 "${lines[0]}"
}

@test "-p PORT and -p 0:PORT take a free port of 30000-39999 and say which" {
	local json port
	json=$(background "$NAME" --json -p 8000 -- /bin/probe fake-server 8000)
	port=$(jq -r '.ports[0].host_port' <<<"$json")
	[ "$port" -ge 30000 ] && [ "$port" -le 39999 ]
	wait_for 10 sh -c "'$AZM' logs '$NAME' 2>&1 | grep -q server=ready"
	run http "http://127.0.0.1:$port/alive"
	is 200 "${lines[0]}"
}

threads_of() { # SUPERVISOR
	cat /proc/"$1"/task/*/comm
}

@test "the first client is served by a thread that nobody before it needed" {
	local supervisor
	serve 0.0.0.0 -p 8000
	supervisor=$(supervisor_of "$NAME")
	has_not "$(threads_of "$supervisor")" azm-publish
	run http "http://127.0.0.1:$(host_port 8000)/alive"
	is 200 "${lines[0]}"
	has "$(threads_of "$supervisor")" azm-publish
}

@test "a host that has no thread for the first client now: it waits for one, and the sandbox goes on" {
	local out=$BATS_TEST_TMPDIR/out err=$BATS_TEST_TMPDIR/err answer=$BATS_TEST_TMPDIR/answer supervisor limit client
	AZM_LIMIT=200 azm run --name "$NAME" --rootfs "$ROOTFS" -p 8000 -- /bin/probe fake-server 8000 >"$out" 2>"$err" &
	wait_for 10 grep -qs server=ready "$out"
	supervisor=$(supervisor_of "$NAME")
	limit=$(prlimit --pid "$supervisor" --nproc --output SOFT --noheadings --raw)
	prlimit --pid "$supervisor" --nproc=1:
	http "http://127.0.0.1:$(host_port 8000)/alive" 60 >"$answer" &
	client=$!
	wait_for 10 grep -q 'start the publishing thread' "$err"
	has_not "$(threads_of "$supervisor")" azm-publish
	prlimit --pid "$supervisor" --nproc="$limit:"
	wait "$client"
	is 200 "$(head -1 "$answer")"
	has "$(threads_of "$supervisor")" azm-publish
}

@test "a server bound to the sandbox's loopback only is reached too" {
	local port
	port=$(free_port)
	serve 127.0.0.1 -p "$port:8000"
	run http "http://127.0.0.1:$port/alive"
	is 200 "${lines[0]}"
}

@test "t-n1: the peer the server sees is never loopback unless it listens only there" {
	local port
	port=$(free_port)
	serve 0.0.0.0 -p "$port:8000"
	run http "http://127.0.0.1:$port/alive"
	is 200 "${lines[0]}"
	has_not "${lines[1]}" '^127\.'
}

@test "t-n4: it listens on the loopback and nowhere else" {
	local port
	port=$(free_port)
	serve 0.0.0.0 -p "$port:8000"
	run bash -c "ss -Hltn 'sport = :$port' | awk '{ print \$4 }' | sort"
	is "$(printf '127.0.0.1:%s\n[::1]:%s' "$port" "$port")" "$output"
	local address
	for address in $(hostname -I 2>/dev/null); do
		case $address in *:*) continue ;; esac
		run python3 -c "import socket; socket.create_connection(('$address', $port), 3)"
		[ "$status" -ne 0 ]
		has "$output" 'refused'
	done
}

@test "-p 127.0.0.1:HOST:PORT leaves [::1] alone" {
	local port
	port=$(free_port)
	serve 0.0.0.0 -p "127.0.0.1:$port:8000"
	run bash -c "ss -Hltn 'sport = :$port' | awk '{ print \$4 }'"
	is "127.0.0.1:$port" "$output"
}

@test "SANDBOX_RUNTIME_BINDING_ADDRESS is the address of -p without one" {
	local port
	port=$(free_port)
	SANDBOX_RUNTIME_BINDING_ADDRESS=127.0.0.1 serve 0.0.0.0 -p "$port:8000"
	run bash -c "ss -Hltn 'sport = :$port' | awk '{ print \$4 }'"
	is "127.0.0.1:$port" "$output"
}

@test "another address needs --allow-non-loopback, in -p and in SANDBOX_RUNTIME_BINDING_ADDRESS" {
	refused 125 'not a loopback address: other machines could connect' sandbox -p 0.0.0.0:0:8000 /bin/true
	has "$stderr" '--allow-non-loopback'
	refused 125 'not a loopback address' sandbox -p '[::]:0:8000' /bin/true
	SANDBOX_RUNTIME_BINDING_ADDRESS=0.0.0.0 refused 125 'not a loopback address' sandbox -p 8000 /bin/true
	refused 125 'not a loopback address' sandbox -e SANDBOX_RUNTIME_BINDING_ADDRESS=0.0.0.0 -p 8000 /bin/true
}

@test "an address for other machines says that it refuses them without --publish-any-user" {
	run --separate-stderr sandbox --allow-non-loopback -p 0.0.0.0:0:8000 -- /bin/true
	is 0 "$status"
	has "$stderr" 'open to other machines, but their connections are refused'
	has "$stderr" '^hint: .*--publish-any-user'
	run --separate-stderr sandbox --allow-non-loopback --publish-any-user -p 0.0.0.0:0:8000 -- /bin/true
	is '' "$stderr"
	run --separate-stderr sandbox -p 127.0.0.2:0:8000 -- /bin/true
	is '' "$stderr"
}

@test "on all addresses, own clients are served over each of them" {
	local port address
	port=$(free_port)
	SANDBOX_RUNTIME_BINDING_ADDRESS=0.0.0.0 serve 0.0.0.0 --allow-non-loopback -p "$port:8000" 2>/dev/null
	is "0.0.0.0:$port" "$(ss -Hltn "sport = :$port" | awk '{ print $4 }')"
	for address in 127.0.0.1 $(hostname -I 2>/dev/null); do
		case $address in *:*) continue ;; esac
		run http "http://$address:$port/alive"
		is 200 "${lines[0]}"
	done
}

# A host of the test's own with one neighbour, 198.51.100.1 and .2; what it says goes to the script's output.
with_neighbour() { # SCRIPT: a shell script that finds azm, here and there in front of a command
	mkdir -m 700 "$BATS_TEST_TMPDIR/run"
	XDG_RUNTIME_DIR=$BATS_TEST_TMPDIR/run AZM_STATE_DIR=$BATS_TEST_TMPDIR/state run timeout 60 \
		unshare --user --map-current-user --keep-caps --net sh -ec '
		ip link set lo up
		ip link add up0 type veth peer name up1
		ip addr add 198.51.100.1/24 dev up0
		ip link set up0 up
		mkfifo "$DIR/started"
		unshare --net sh -c "echo \$\$ >\"\$0\"; exec sleep 300" "$DIR/started" &
		read -r neighbour <"$DIR/started"
		trap "kill $neighbour" EXIT
		ip link set up1 netns "$neighbour"
		there() { nsenter -n -t "$neighbour" "$@"; }
		there ip addr add 198.51.100.2/24 dev up1
		there ip link set up1 up
		here() { setpriv --ambient-caps=-all --inh-caps=-all "$@"; }
		cat >"$DIR/get" <<-END
			#!/bin/sh
			python3 -c "import sys, urllib.request as r; print(r.urlopen(sys.argv[1], timeout=10).status)" "\$1" 2>&1 | tail -1
		END
		chmod +x "$DIR/get"
		'"$1" 3>&-
}

@test "another machine is refused, over an address of its network too, unless --publish-any-user" {
	export DIR=$BATS_TEST_TMPDIR AZM NAME ROOTFS
	with_neighbour '
		here "$AZM" run -d --name "$NAME" --rootfs "$ROOTFS" --allow-non-loopback -p 0.0.0.0:8123:8000 -- \
			/bin/probe fake-server 8000 0.0.0.0 >"$DIR/out" 2>&1
		until here "$AZM" logs "$NAME" | grep -q server=ready; do :; done
		here "$AZM" publish "$NAME" --publish-any-user -p 0.0.0.0:8124:8000 >"$DIR/out"
		echo "here $("$DIR/get" http://198.51.100.1:8123/alive)"
		echo "there $(there "$DIR/get" http://198.51.100.1:8123/alive)"
		echo "open $(there "$DIR/get" http://198.51.100.1:8124/alive)"
		here "$AZM" rm -f "$NAME" >"$DIR/out"'
	has "$output" '^here 200'
	has "$output" '^there .*(reset|closed|Remote end)'
	has "$output" '^open 200'
}

@test "/udp is refused with the reason" {
	refused 125 'only TCP is published: a UDP datagram has no connection' sandbox -p 53:53/udp /bin/true
}

@test "a port in use within a range: nothing of it stays bound, no sandbox is left" {
	local port
	port=$(($(free_range 5) + 2))
	canary 127.0.0.1 "$port"
	refused 125 "127.0.0.1:$port: Address already in use" sandbox -p "$((port - 2))-$((port + 2)):8000-8004" /bin/true
	run bash -c "ss -Hltn 'sport >= :$((port - 2)) and sport <= :$((port + 2))' | awk '{ print \$4 }'"
	is "127.0.0.1:$port" "$output"
}

@test "-p unix:PATH:PORT is a socket of ours with mode 0600" {
	local path=$BATS_TEST_TMPDIR/socket
	serve 0.0.0.0 -p "unix:$path:8000"
	is 600 "$(stat -c %a "$path")"
	run python3 - "$path" <<-'END'
		import socket, sys
		s = socket.socket(socket.AF_UNIX)
		s.connect(sys.argv[1])
		s.sendall(b"GET /alive HTTP/1.1\r\n\r\n")
		print(s.recv(100).decode().split("\r\n")[0])
	END
	is 'HTTP/1.1 200 OK' "$output"
	azm rm -f "$NAME"
	[ ! -e "$path" ]
}

@test "a range of ports" {
	local first
	first=$(free_range 4)
	serve 0.0.0.0 -p "$first-$((first + 3)):8000-8003"
	run http "http://127.0.0.1:$first/alive"
	is 200 "${lines[0]}"
	is 8 "$(ss -Hltn "sport >= :$first and sport <= :$((first + 3))" | wc -l)"
}

@test "a connection to a port nobody serves inside is closed, the sandbox goes on" {
	local port
	port=$(free_port)
	background "$NAME" -p "$port:9" >/dev/null
	run python3 -c "
import socket
try:
    s = socket.create_connection(('127.0.0.1', $port), 5)
    s.settimeout(10)
    print(repr(s.recv(10)))
except ConnectionError as error:
    print('reset')"
	is 0 "$status"
	has "$output" "b''|reset"
	is running "$(state_of "$NAME")"
}

@test "t-n8: another user of the host is refused" {
	local port
	port=$(free_port)
	serve 0.0.0.0 -p "$port:8000"
	[ -S "${AZM_OTHER_USER:-}" ] || skip 'only a run started by root has a second user'
	run "$TESTS/lib/other-user.py" ask "$AZM_OTHER_USER" get "$port"
	has "$output" '^refused'
	run http "http://127.0.0.1:$port/alive"
	is 200 "${lines[0]}"
}

@test "--publish-any-user accepts another user" {
	local port
	port=$(free_port)
	[ -S "${AZM_OTHER_USER:-}" ] || skip 'only a run started by root has a second user'
	serve 0.0.0.0 --publish-any-user -p "$port:8000"
	run "$TESTS/lib/other-user.py" ask "$AZM_OTHER_USER" get "$port"
	is 200 "${lines[0]}"
}

@test "bytes arrive whole in both directions, with half-close" {
	local port
	port=$(free_port)
	background "$NAME" -p "$port:8000" -- /bin/sh -c 'nc -l -p 8000 -e /bin/cat; exec probe sleep-forever' >/dev/null
	run python3 - "$port" <<-'END'
		import hashlib, os, socket, sys, threading, time
		data = os.urandom(5 << 20)
		for attempt in range(100):
		    try:
		        s = socket.create_connection(("127.0.0.1", int(sys.argv[1])), 10)
		        s.settimeout(20)
		        s.sendall(data[:1])
		        if s.recv(1) == data[:1]:
		            break
		    except ConnectionError:
		        pass
		    time.sleep(0.1)
		def send():
		    s.sendall(data[1:])
		    s.shutdown(socket.SHUT_WR)
		threading.Thread(target=send).start()
		got = bytearray(data[:1])
		while chunk := s.recv(1 << 16):
		    got += chunk
		print("same" if got == data else f"differs: {len(got)} of {len(data)}")
	END
	is same "$output"
}

@test "a supervisor killed in mid-transfer: both ends hear of it at once, the port is free, nothing stays" {
	local port
	port=$(free_port)
	background "$NAME" -p "$port:8000" -- /bin/sh -c 'while :; do nc -l -p 8000 -e /bin/cat /dev/zero; done' >/dev/null
	run python3 - "$port" "$(supervisor_of "$NAME")" <<-'END'
		import os, signal, socket, sys, time
		for attempt in range(100):
		    try:
		        s = socket.create_connection(("127.0.0.1", int(sys.argv[1])), 10)
		        s.settimeout(10)
		        if len(s.recv(1 << 16)) > 0:
		            break
		    except ConnectionError:
		        pass
		    time.sleep(0.05)
		for chunk in range(1000):
		    s.recv(1 << 16)
		os.kill(int(sys.argv[2]), signal.SIGKILL)
		try:
		    while s.recv(1 << 16):
		        pass
		    print("ended")
		except ConnectionError:
		    print("ended")
	END
	is ended "$output"
	wait_for 10 is_not_running "$NAME"
	is '' "$(ss -Hltn "sport = :$port")"
	wait_for 10 no_sandbox_processes
}

@test "the ports are free again when the sandbox is gone" {
	local port
	port=$(free_port)
	serve 0.0.0.0 -p "$port:8000"
	azm rm -f "$NAME"
	run bash -c "ss -Hltn 'sport = :$port'"
	is '' "$output"
}
