#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# Two sandboxes on a named network talk by name, with real programs: a web server, PostgreSQL.
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

setup() {
	NETWORK=net$$-$BATS_TEST_NUMBER
	azm network create "$NETWORK" >/dev/null
}

teardown() {
	remove_sandboxes
	azm network rm "$NETWORK" >/dev/null 2>&1 || true
}

member() { # NAME [OPTION...] -- COMMAND...: detached on the network
	local name=$1
	shift
	remember_name "$name"
	azm run -d --name "$name" --rootfs "$ROOTFS" -v /usr:/usr:ro --network "$NETWORK" "$@" >/dev/null
}

on_network() { # COMMAND...: one shot beside them
	azm run --rm --rootfs "$ROOTFS" -v /usr:/usr:ro --network "$NETWORK" -- "$@"
}

answers() { # MEMBER URL
	azm exec "$1" curl -sS -m 2 -o /dev/null "$2"
}

@test "curl: by NAME, by NAME.azm and by address, both ways" {
	local name
	for name in "one$$" "two$$"; do
		member "$name" -- sh -c "mkdir /tmp/$name; echo I am $name >/tmp/$name/index.html; exec python3 -m http.server -d /tmp/$name 8000"
	done
	wait_for 10 answers "two$$" "http://one$$:8000/"
	wait_for 10 answers "one$$" "http://two$$:8000/"
	is "I am two$$" "$(azm exec "one$$" curl -sS "http://two$$:8000/")"
	is "I am one$$" "$(azm exec "two$$" curl -sS "http://one$$.azm:8000/")"
	is "I am one$$" "$(azm exec "two$$" curl -sS "http://$(inspect "one$$" ip):8000/")"
	is "I am one$$" "$(on_network curl -sS "http://one$$:8000/")"
	# the peer's own address arrives: nothing is translated between members
	is "$(inspect "one$$" ip)" "$(azm exec "two$$" getent hosts "one$$" | awk '{ print $1 }')"
}

@test "psql: a database in one sandbox, its client in another" {
	[ -n "$PG" ]
	member "db$$" --user 1000 --tmpfs /data:mode=1777 -- sh -c "$PG/initdb -D /data/d -U azm -A trust --no-sync --locale=C >/dev/null && echo 'host all all 0.0.0.0/0 trust' >>/data/d/pg_hba.conf &&
		exec $PG/postgres -D /data/d -h '*' -k '' -F"
	wait_for 180 on_network "$PG/pg_isready" -h "db$$" # initdb takes minutes under emulation
	is 42 "$(on_network "$PG/psql" -h "db$$" -U azm -Atc 'select 6*7' postgres)"
}

@test "names come and go with their sandboxes" {
	member "stays$$" -- /opt/probe sleep-forever
	run azm exec "stays$$" getent hosts "comes$$"
	is 2 "$status"
	member "comes$$" -- /opt/probe sleep-forever
	azm exec "stays$$" getent hosts "comes$$"
	azm rm -f "comes$$" >/dev/null
	run azm exec "stays$$" getent hosts "comes$$"
	is 2 "$status"
	# killed, not stopped: gone as well
	member "dies$$" -- /opt/probe sleep-forever
	azm exec "stays$$" getent hosts "dies$$"
	on_host kill -KILL "$(supervisor_on_host "dies$$")"
	wait_for 10 is_not_running "dies$$"
	run azm exec "stays$$" getent hosts "dies$$"
	is 2 "$status"
}

@test "a named network and egress together: members by name, the allowed outside by name, nothing else" {
	member "web$$" -- python3 -m http.server 8000
	local name
	name=$(new_name)
	member "$name" --egress www.example.test -- /opt/probe sleep-forever
	wait_for 10 answers "$name" "http://web$$:8000/"
	answers "$name" http://www.example.test/
	run azm exec "$name" curl -sS -m 5 http://other.test/
	is 6 "$status"
	# its neighbour has no egress of its own, and cannot use the other one's
	run azm exec "web$$" curl -sS -m 5 http://www.example.test/
	is 6 "$status"
}

@test "two networks do not see each other" {
	local other=other$$ name
	azm network create "$other" >/dev/null
	member "here$$" -- python3 -m http.server 8000
	name=$(new_name)
	azm run -d --name "$name" --rootfs "$ROOTFS" -v /usr:/usr:ro --network "$other" -- /opt/probe sleep-forever >/dev/null
	run azm exec "$name" curl -sS -m 3 "http://here$$:8000/"
	is 6 "$status"
	run azm exec "$name" curl -sS -m 3 "http://$(inspect "here$$" ip):8000/"
	is 7 "$status"
	azm rm -f "$name" >/dev/null
	azm network rm "$other"
}
