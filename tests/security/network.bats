#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# Class N: what cannot be reached from a sandbox, and who cannot pretend to be whom.
# shellcheck disable=SC2154,SC2016,SC2030,SC2031 # set by bats; quotes on purpose; every test is a subshell
load ../lib/common

setup_file() { make_rootfs; }
setup() {
	AZM_STATE_DIR=$BATS_TEST_TMPDIR/state
	export AZM_STATE_DIR
}
teardown() { remove_sandboxes; }

ip_of() { inspect "$1" ip; }

# A program of the host in the namespaces of a sandbox, with every capability over them: more than any workload has.
inside() { # NAME COMMAND...
	local name=$1
	shift
	nsenter --user --net --preserve-credentials -t "$(pid_of "$name")" "$@"
}

# Connecting ends at once, without a connection.
cannot_reach() { # NAME ADDRESS PORT
	run azm exec "$1" probe connect "$2" "$3" 8000
	has "$output" '^connect=(ECONNREFUSED|ENETUNREACH|EHOSTUNREACH)$' || {
		echo "$1 to $2:$3"
		return 1
	}
}

addresses_of_host() {
	ip -4 -o addr show 2>/dev/null | awk '{ sub("/.*", "", $4); print $4 }' | grep -v '^127\.'
}

@test "t-n2: no abstract socket of the host is there" {
	local name
	canary @azm-canary-$$
	azm network create shop
	for network in private shop none; do
		name=$(new_name)
		background "$name" --network "$network"
		run azm exec "$name" cat /proc/net/unix
		has_not "$output" '@' || return 1
		run azm exec "$name" probe connect "unix:@azm-canary-$$" 0
		has_not "$output" '^connect=ok'
	done
}

@test "t-n3: a service of the host's loopback or network is not reached by any address" {
	local name port network address gateway
	port=$(free_range 1)
	canary 0.0.0.0 "$port"
	azm network create shop
	for network in private shop; do
		name=$(new_name)
		background "$name" --network "$network"
		gateway=$(azm network inspect "$network" | jq -r '.[0].gateway')
		for address in 127.0.0.1 "$gateway" 10.0.2.2 10.0.2.3 169.254.169.254 192.0.0.192 100.100.100.200 \
			192.168.0.1 172.17.0.1 $(addresses_of_host); do
			cannot_reach "$name" "$address" "$port" || return 1
		done
	done
}

@test "t-n5: members of two networks, and of none, are out of each other's reach" {
	local one two private other
	one=$(new_name) two=$(new_name) private=$(new_name) other=$(new_name)
	azm network create red
	azm network create blue
	background "$one" --network red -- /bin/probe fake-server 8000
	background "$two" --network blue -- /bin/probe fake-server 8000
	background "$private" -- /bin/probe fake-server 8000
	background "$other"
	wait_for 10 azm exec "$one" probe connect 127.0.0.1 8000
	wait_for 10 azm exec "$two" probe connect 127.0.0.1 8000
	wait_for 10 azm exec "$private" probe connect 127.0.0.1 8000
	cannot_reach "$two" "$(ip_of "$one")" 8000
	cannot_reach "$one" "$(ip_of "$two")" 8000
	cannot_reach "$one" "$(ip_of "$private")" 8000
	cannot_reach "$private" "$(ip_of "$one")" 8000
	cannot_reach "$other" "$(ip_of "$private")" 8000
	run azm exec "$two" nslookup "$one"
	has "$output" NXDOMAIN
	# Whatever address it gives itself, it is on another wire.
	inside "$two" ip addr add "$(ip_of "$one" | sed 's/\.[0-9]*$/.250/')/16" dev eth0
	cannot_reach "$two" "$(ip_of "$one")" 8000
}

@test "t-n5: forged MAC, IPv4 and ARP senders, IPv6 and VLANs do not leave their port" {
	local one two gateway
	one=$(new_name) two=$(new_name)
	azm network create shop
	gateway=$(azm network inspect shop | jq -r '.[0].gateway')
	background "$one" --network shop
	background "$two" --network shop
	spawn "$BATS_TEST_TMPDIR/seen" inside "$two" "$TESTS/lib/frames.py" watch "$(ip_of "$two")" "$(ip_of "$one")"
	wait_for 10 grep -q up "$BATS_TEST_TMPDIR/seen"
	inside "$one" "$TESTS/lib/frames.py" forge "$(ip_of "$one")" "$(ip_of "$two")" "$gateway"
	wait_for 10 grep -q genuine "$BATS_TEST_TMPDIR/seen"
	is $'up\ngenuine' "$(cat "$BATS_TEST_TMPDIR/seen")"
}

@test "t-n5: a member that takes another's address does not get its connections" {
	local one two three
	one=$(new_name) two=$(new_name) three=$(new_name)
	azm network create shop
	background "$one" --network shop -- /bin/probe fake-server 8000
	background "$two" --network shop
	background "$three" --network shop
	inside "$three" ip addr add "$(ip_of "$one")/22" dev eth0
	wait_for 10 azm exec "$two" probe connect "$(ip_of "$one")" 8000
	# From the thief's own sandbox, under the stolen address: nothing comes through.
	run inside "$three" python3 -c '
import socket, sys
s = socket.socket(); s.settimeout(2); s.bind((sys.argv[1], 0))
try:
    s.connect((sys.argv[2], 8000)); print("connected")
except OSError as error:
    print(error)' "$(ip_of "$one")" "$(ip_of "$two")"
	has_not "$output" connected
}

@test "the workload has no say over its wires" {
	local name
	azm network create shop
	name=$(new_name)
	background "$name" --network shop --user 0
	for command in 'ip link set eth0 down' 'ip addr add 10.1.2.3/8 dev eth0' 'ip route add 10.0.0.0/8 dev eth0' \
		'ip link set eth0 address 02:00:00:00:00:01' 'ip link add type dummy'; do
		# shellcheck disable=SC2086 # words
		run azm exec "$name" $command
		[ "$status" -ne 0 ] || {
			echo "$command"
			return 1
		}
	done
}

@test "two users: the other one cannot even look at our networks" {
	[ -S "${AZM_OTHER_USER:-}" ] || skip 'only a run started by root has a second user'
	local name dir live
	dir=$(shared_directory)
	mkdir -m 755 "$dir/run"
	export XDG_RUNTIME_DIR=$dir/run AZM_STATE_DIR=$dir/state
	azm network create shop
	name=$(new_name)
	background "$name" --network shop
	live=$(dirname "$(find "$XDG_RUNTIME_DIR" -name 'net-shop-*.sock' | head -1)")
	[ -d "$live" ]
	cat >"$dir/look" <<-END
		#!/bin/sh
		ls $live 2>&1 | tail -1
		ls $AZM_STATE_DIR 2>&1 | tail -1
		nsenter -n -t $(pid_of "$name") true 2>&1 | tail -1
	END
	chmod 755 "$dir/look"
	as_other "$dir/look"
	has_not "$output" 'net-shop|networks|sandboxes'
	is 3 "$(grep -c ': Permission denied$' <<<"$output")" denials
}
