#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# Class N with egress open: the host's loopback and its network stay out of reach (t-n3), and neither a hostile sandbox
# nor a hostile server harms the broker.
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

# Connections of the broker to a host, by number; its descriptors themselves are nobody's to see.
upstreams_are() { # ADDRESS COUNT
	[ "$(on_host ss -Htn state all dst "$1" | grep -vcE 'TIME-WAIT|FIN-WAIT|LAST-ACK')" -eq "$2" ]
}

memory() { # SUPERVISOR: KiB of its own
	awk '/^Pss_Anon/ { print $2 }' "/proc/$1/smaps_rollup"
}

still_serves() { # SANDBOX
	has "$(azm exec "$1" curl -sS -m "${AZM_LIMIT:-10}" http://www.example.test/)" 'hello from'
}

@test "t-n3: with egress all, no way to the host's loopback, its addresses, the gateway or what they disguise as" {
	local gateway targets=() to
	on_host_spawn /dev/null python3 -m http.server --bind 0.0.0.0 8080
	on_host_spawn /dev/null python3 -m http.server --bind ::1 8080
	wait_for 10 on_host curl -s -o /dev/null http://127.0.0.1:8080/ 'http://[::1]:8080/'
	gateway=$(client all sh -c "ip -4 -o route show default | awk '{ print \$3 }'")
	has "$gateway" '^10\.'
	for to in 127.0.0.1 127.1.2.3 "$gateway" 10.0.2.2 10.0.2.3 169.254.169.254 169.254.1.1 192.175.48.2 10.77.0.2 0.0.0.0 \
		198.18.0.1 255.255.255.255 224.0.0.1 2130706433 0x7f000001 017700000001 127.1 '[::1]' '[::ffff:127.0.0.1]' \
		'[::ffff:7f00:1]' '[64:ff9b::7f00:1]' '[fd00:77::2]' '[2620:4f:8000:1::2]' localhost host.azm.internal; do
		targets+=("$to:8080" "$to:80")
	done
	reaches 'refused|closed|unknown' all "${targets[@]}"
	run ! asked '169\.254|metadata'
}

@test "t-n3: the broker's own ports and another sandbox's are not there for a sandbox" {
	local name address
	name=$(new_name)
	client_stays "$name" all
	address=$(inspect "$name" ip)
	# every port of the gateway, quickly: whatever accepts must not lead anywhere
	run client all python3 -c '
import socket, subprocess
gateway = subprocess.check_output(["ip", "-4", "-o", "route", "show", "default"], text=True).split()[2]
led = 0
for port in list(range(1, 1024)) + list(range(32768, 33800)):
    with socket.socket() as s:
        s.settimeout(2)
        try:
            s.connect((gateway, port))
            s.sendall(b"GET / HTTP/1.0\r\n\r\n")
            if b" 200 " in s.recv(100):
                led += 1
        except OSError:
            pass
print("led", led)'
	is 'led 0' "$output"
	reaches 'refused|closed' all "$address:80"
}

@test "10 000 connections opened and abandoned: all of them end, memory is bounded, others are served" {
	local name supervisor
	name=$(new_name)
	client_options --ulimit nofile=4096
	client_stays "$name" hostile.test,www.example.test
	supervisor=$(supervisor_here "$name")
	still_serves "$name"
	run azm exec "$name" python3 -c '
import resource, socket, struct
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
address = socket.gethostbyname("hostile.test")
opened, held = 0, []
while opened < 10000:
    s = socket.socket()
    s.setblocking(False)
    s.connect_ex((address, 1004))
    held.append(s)
    opened += 1
    if len(held) == 500:
        for i, s in enumerate(held):
            if i % 2:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            s.close()
        held = []
print(opened)'
	is 10000 "$output"
	still_serves "$name"
	wait_for 30 upstreams_are 192.52.193.50 0
	[ "$(memory "$supervisor")" -le 40960 ]
}

@test "an upstream that resets, floods, hangs and never finishes TLS: bounded memory, others are served" {
	local name supervisor
	name=$(new_name)
	client_stays "$name" hostile.test,www.example.test
	supervisor=$(supervisor_here "$name")
	run azm exec "$name" python3 -c '
import socket, time
def outcome(port, send=b""):
    total = 0
    try:
        s = socket.create_connection(("hostile.test", port), 10) # a reset at once may come before it returns
        s.settimeout(10)
        s.sendall(send)
        while data := s.recv(65536):
            total += len(data)
        return f"end after {total}"
    except (ConnectionResetError, BrokenPipeError):
        return f"reset after {total}"
print("at once:", outcome(1001))
print("after data:", outcome(1002, b"x"))
# nobody reads: back-pressure has to reach the server, not our memory
idle = [socket.create_connection(("hostile.test", 1003)) for _ in range(50)]
hung = [socket.create_connection(("hostile.test", 1004)) for _ in range(50)]
half = [socket.create_connection(("hostile.test", 1006)) for _ in range(50)]
for s in half:
    s.sendall(b"\x16\x03\x01\x02\x00\x01")
print("held", flush=True)'
	has "$output" '^at once: (reset|end) after 0$'
	has "$output" '^after data: reset after (65536|[0-9]+)$'
	has "$output" '^held$'
	azm exec "$name" python3 -c '
import socket, time
flood = [socket.create_connection(("hostile.test", 1003)) for _ in range(50)]
print("flooded", flush=True)
time.sleep(100)' >"$BATS_TEST_TMPDIR/out" 2>&1 3>&- &
	wait_for 10 grep -q flooded "$BATS_TEST_TMPDIR/out"
	still_serves "$name"
	[ "$(memory "$supervisor")" -le 40960 ]
}

@test "supervisor killed in mid-transfer: the sandbox is gone, the transfer ends, the next start works" {
	local name supervisor
	name=$(new_name)
	client_stays "$name" hostile.test,www.example.test
	supervisor=$(supervisor_on_host "$name")
	azm exec "$name" curl -sS -o /dev/null http://www.example.test/flow/100000000000 >/dev/null 2>&1 3>&- &
	wait_for 10 on_host sh -c "ss -Htn state established dst 192.52.193.10 | grep -q :80"
	on_host kill -KILL "$supervisor"
	wait_for 10 on_host sh -c "! ss -Htn state established dst 192.52.193.10 | grep -q :80"
	wait_for 10 is_not_running "$name"
	wait_for 10 sh -c "! kill -0 $! 2>/dev/null"
	reaches reached www.example.test www.example.test:80
}

@test "sandbox killed in mid-transfer: its connections end on the host, too" {
	local name
	name=$(new_name)
	client_stays "$name" www.example.test
	azm exec "$name" curl -sS -o /dev/null http://www.example.test/flow/100000000000 >/dev/null 2>&1 3>&- &
	wait_for 10 on_host sh -c "ss -Htn state established dst 192.52.193.10 | grep -q :80"
	azm kill "$name" >/dev/null
	wait_for 10 on_host sh -c "! ss -Htn state established dst 192.52.193.10 | grep -q :80"
}

@test "the workload cannot touch the packet filter, raw sockets or the broker's thread" {
	run client all python3 -c '
import socket
def tried(what, call):
    try:
        call()
        print("got", what)
    except OSError:
        pass
tried("nfnetlink", lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12))
tried("raw", lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1))
tried("packet", lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 3))
print("done")'
	is 'done' "$output"
	run client all sh -c 'ip route replace default via 10.0.2.2; ip link set eth0 down; ip addr add 10.9.9.9/8 dev eth0
		ip -o addr'
	has_not "$output" '10\.9\.9\.9'
}
