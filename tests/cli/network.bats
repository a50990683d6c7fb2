#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# Networks with names: create, ls, inspect, rm; members that meet; what happens when somebody dies.
# shellcheck disable=SC2154,SC2016,SC2030,SC2031 # set by bats; quotes on purpose; every test is a subshell
load ../lib/common

setup_file() { make_rootfs; }
# A state directory for each test: networks of their own, and none left.
setup() {
	AZM_STATE_DIR=$BATS_TEST_TMPDIR/state
	export AZM_STATE_DIR
}
teardown() { remove_sandboxes; }

# As refused, in this test's own words: what it was is said when it was not refused.
no() { # PATTERN ARGUMENT...
	local pattern=$1
	shift
	refused 125 "$pattern" azm "$@" || {
		echo "azm-sandbox $*"
		return 1
	}
}

network() { # NAME KEY
	azm network inspect "$1" | jq -r ".[0].$2"
}

ip_of() { inspect "$1" ip; }

# The address a name has for a member; "NXDOMAIN" without one.
ask() { # MEMBER NAME
	local answer
	answer=$(azm exec "$1" nslookup "$2" 2>&1) || true
	grep -q NXDOMAIN <<<"$answer" && echo NXDOMAIN
	awk '/^Name:/ { found = 1 } found && /^Address:/ { print $2; exit }' <<<"$answer"
}

no_files_of() { # NETWORK
	[ -z "$(find "${XDG_RUNTIME_DIR:-/tmp/azm-sandbox-$(id -u)}" -name "net-$1-*" 2>/dev/null)" ]
}

@test "create, ls, inspect, rm" {
	run azm network create --label team=red -l empty shop
	is 0 "$status" && is shop "$output"
	is 'private none shop' "$(azm network ls -q | xargs)"
	is shop "$(network shop name)"
	is false "$(network shop internal)" && is false "$(network shop builtin)"
	is '{"team":"red","empty":""}' "$(network shop labels | jq -c .)"
	is '[]' "$(network shop members)"
	has "$(network shop created)" '^20[0-9]{2}-[01][0-9]-[0-3][0-9]T'
	has "$(network shop subnet)" '^[0-9.]+\.0/[0-9]+$'
	is "$(network shop subnet | sed 's,0/.*,1,')" "$(network shop gateway)"
	has "$(azm network ls)" "^shop +$(network shop subnet) +0 +-$"
	is "$(azm network inspect shop | jq -c '.[0]')" "$(azm network ls --json | jq -c '.[] | select(.name == "shop")')"
	is '["private","none"]' "$(azm network inspect private none | jq -c '[.[].name]')"
	azm network create back --subnet 10.9.8.0/29 --internal
	is 10.9.8.0/29 "$(network back subnet)" && is true "$(network back internal)"
	run azm network rm shop back
	is 0 "$status" && is $'shop\nback' "$output"
	is 'private none' "$(azm network ls -q | xargs)"
	no 'no such network' network rm shop
	no 'always there' network rm private
	no 'one NAME' network create
	no 'one NAME' network create a b
	no 'NAME of a network' network rm
	run --separate-stderr azm network inspect shop
	is 125 "$status" && has "$stderr" 'hint: azm-sandbox network create shop'
}

@test "create --json is the object that inspect shows" {
	local object
	object=$(azm network create --json shop)
	is "$(jq -cS . <<<"$object")" "$(azm network inspect shop | jq -cS '.[0]')"
}

@test "names that cannot be" {
	local name
	for name in '' . .. -x .hidden 'a b' a/b ../x 'x;y' $'a\nb' 'nähe' '*' "$(printf 'x%.0s' {1..65})"; do
		no 'name|option' network create -- "$name"
	done
	for name in private none host bridge default private-single; do
		no 'reserved' network create "$name"
	done
	is 'private none' "$(azm network ls -q | xargs)"
	name=$(printf 'x%.0s' {1..64})
	azm network create "$name"
	run azm run --rm --rootfs "$ROOTFS" --network "$name" -- /bin/true
	is 0 "$status"
	no 'there is one of that name' network create "$name"
}

@test "subnets that cannot be" {
	local line
	while IFS=: read -r line pattern; do
		no "$pattern" network create --subnet "$line" x
	done <<-'END'
		:IPv4 subnet
		nonsense:IPv4 subnet
		10.5.0.0:IPv4 subnet
		10.5.0.0/24x:IPv4 subnet
		10.5.0.300/24:IPv4 subnet
		10.5.0.1/24:10\.5\.0\.0/24
		10.0.0.0/8:too large
		10.5.0.0/30:too small
		10.5.0.0/32:too small
		8.8.8.0/24:private range
		127.0.0.0/16:private range
		169.254.0.0/16:private range
	END
	azm network create --subnet 10.9.8.0/24 other
	no 'overlaps 10\.9\.8\.0/24, the network other' network create --subnet 10.9.8.128/25 x
	no 'overlaps 10\.9\.8\.0/24, the network other' network create --subnet 10.9.0.0/16 x
	azm network create --subnet 10.9.9.0/24 x
}

@test "subnets avoid the host's routes, the private network and each other" {
	local private pids=()
	# A host with routes: the outside of an unprivileged namespace.
	run --separate-stderr unshare -Urn sh -c "ip link add dummy0 type veth peer name dummy1 &&
		ip link set dummy0 up && ip link set dummy1 up &&
		ip addr add 10.77.0.1/16 dev dummy0 && ip route add 10.111.0.0/16 dev dummy0 &&
		! '$AZM' network create --subnet 10.77.4.0/24 bad && '$AZM' network create good && '$AZM' network inspect good"
	is 0 "$status"
	has "$stderr" 'use subnet 10\.77\.4\.0/24: it overlaps 10\.77\.0\.0/16, which this host has a route to'
	has_not "$output" '"subnet": "10\.(111|77)\.'
	background "$(new_name)"
	private=$(network private subnet)
	no "overlaps $private, the network private" network create --subnet "${private%/16}/24" x
	for name in a b c d e f g h; do
		azm network create "$name" >/dev/null &
		pids+=($!)
	done
	wait "${pids[@]}"
	is 11 "$(azm network ls -q | wc -l)"
	is '' "$(azm network ls --json | jq -r '.[].subnet | strings' | sort | uniq -d)" 'subnets used twice'
}

@test "of ten that create one network one succeeds" {
	local i pids=()
	for i in {1..10}; do
		azm network create same >"$BATS_TEST_TMPDIR/out$i" 2>"$BATS_TEST_TMPDIR/err$i" &
		pids+=($!)
	done
	wait "${pids[@]}" || true
	is 1 "$(cat "$BATS_TEST_TMPDIR"/out* | grep -c '^same$')"
	is 9 "$(cat "$BATS_TEST_TMPDIR"/err* | grep -c 'there is one of that name')"
	network same subnet
}

@test "a network that was not created: an error with the line that creates it" {
	no 'no such network' run --rootfs "$ROOTFS" --network shop -- /bin/true
	has "$stderr" '^hint: azm-sandbox network create shop$'
	is '' "$(azm ps -aq)"
	no 'own' run --rootfs "$ROOTFS" --network host -- /bin/true
	no 'name' run --rootfs "$ROOTFS" --network ../shop -- /bin/true
}

@test "members reach each other by address and by name, and are seen as who they are" {
	local one two
	one=$(new_name) two=$(new_name)
	azm network create shop
	background "$one" --network shop --network-alias web --network-alias WWW -- /bin/probe fake-server 8000
	background "$two" --network shop --hostname second
	wait_for 10 azm exec "$two" probe connect "$(ip_of "$one")" 8000
	run azm exec "$two" wget -qO- "http://$(ip_of "$one"):8000/"
	is "$(ip_of "$two")" "$output" 'the peer that the server sees'
	for name in "$one" "$one.azm" web www.azm "${one^^}"; do
		is "$(ip_of "$one")" "$(ask "$two" "$name")" "$name"
	done
	is "$(ip_of "$two")" "$(ask "$one" second)"
	is NXDOMAIN "$(ask "$two" nobody)"
	# --json, ps and inspect say where they are.
	is "shop $(ip_of "$two")" "$(azm ps --json | jq -r --arg n "$two" '.[] | select(.name == $n) | "\(.network) \(.ip)"')"
	is "$(ip_of "$one") $(ip_of "$two")" "$(network shop members | jq -r --arg a "$one" --arg b "$two" \
		'[(.[] | select(.name == $a).ip), (.[] | select(.name == $b).ip)] | join(" ")')"
	has "$(azm network ls)" '^shop .* 2 +-$'
	azm stop -t 0 "$two"
	is NXDOMAIN "$(ask "$one" second)" 'the name of a stopped member'
	is "$one" "$(network shop 'members[].name')"
}

@test "a stopped member starts again where it was" {
	local one two
	one=$(new_name) two=$(new_name)
	azm network create shop
	background "$one" --network shop -- /bin/probe fake-server 8000
	background "$two" --network shop
	azm stop -t 0 "$one"
	azm start "$one"
	wait_for 10 azm exec "$two" probe connect "$(ip_of "$one")" 8000
	is "$(ip_of "$one")" "$(ask "$two" "$one")"
	azm stop -t 0 "$one" "$two"
	azm network rm shop
	run --separate-stderr azm start "$one"
	is 125 "$status"
	has "$stderr" '^hint: azm-sandbox network create shop$'
}

@test "a network with members is not removed; several names, one of them wrong" {
	local one
	one=$(new_name)
	azm network create party
	azm network create empty
	background "$one" --network party
	no "it has members: $one" network rm party
	has "$stderr" "hint: azm-sandbox stop $one"
	run --separate-stderr azm network rm nobody party empty
	is 125 "$status" && is empty "$output"
	azm exec "$one" true
	azm stop -t 0 "$one"
	azm network rm party
	# Nothing of it is left, once its keeper is gone.
	wait_for 10 no_files_of party
	azm network create party
}

@test "internal: members meet, and nobody can be given egress" {
	local one two
	one=$(new_name) two=$(new_name)
	azm network create --internal back
	no 'it is internal' run --rootfs "$ROOTFS" --network back --egress all -- /bin/true
	is '' "$(azm ps -aq)"
	background "$one" --network back -- /bin/probe fake-server 8000
	background "$two" --network back
	wait_for 10 azm exec "$two" probe connect "$(ip_of "$one")" 8000
	is "$(ip_of "$one")" "$(ask "$two" "$one")"
	no 'internal' egress "$two" --add all
	run azm exec "$two" probe connect 192.0.2.1 80
	has "$output" 'connect=(ECONNREFUSED|ENETUNREACH)'
}

@test "a killed supervisor's address and name are free at once" {
	local names=() name address i
	azm network create --subnet 10.9.8.0/29 small
	for i in 1 2 3 4 5; do
		names+=("$(new_name)")
		background "${names[-1]}" --network small
	done
	no 'all 5 addresses of the network are in use' run --rootfs "$ROOTFS" --network small -- /bin/true
	address=$(ip_of "${names[2]}")
	kill -KILL "$(supervisor_of "${names[2]}")"
	wait_for 10 is_not_running "${names[2]}"
	is NXDOMAIN "$(ask "${names[0]}" "${names[2]}")"
	is 4 "$(network small 'members | length')"
	name=$(new_name)
	background "$name" --network small -- /bin/probe fake-server 8000
	is "$address" "$(ip_of "$name")"
	wait_for 10 azm exec "${names[0]}" probe connect "$address" 8000
	is "$address" "$(ask "${names[0]}" "$name")"
}

@test "a killed keeper: members stay together, newcomers are among themselves" {
	local one two three
	one=$(new_name) two=$(new_name) three=$(new_name)
	azm network create shop
	background "$one" --network shop -- /bin/probe fake-server 8000
	background "$two" --network shop
	# Those of earlier tests may be ending by themselves.
	pkill -KILL -u "$(id -u)" -x azm-keeper
	background "$three" --network shop
	wait_for 10 azm exec "$two" probe connect "$(ip_of "$one")" 8000
	is "$(ip_of "$one")" "$(ask "$two" "$one")"
	is NXDOMAIN "$(ask "$three" "$one")"
	is NXDOMAIN "$(ask "$one" "$three")"
	[ "$(ip_of "$three")" != "$(ip_of "$one")" ]
}

@test "no network namespaces, no packet filter: said, with the way out" {
	azm network create shop
	run --separate-stderr unshare -Ur sh -c "echo 0 > /proc/sys/user/max_net_namespaces &&
		exec '$AZM' run --as-root --rm --rootfs '$ROOTFS' --network shop -- /bin/true"
	is 125 "$status"
	has "$stderr" 'max_net_namespaces'
	run --separate-stderr "$BUILD/tests/deny" 'socket[2==12]=EPROTONOSUPPORT' \
		"$AZM" run --rm --rootfs "$ROOTFS" --network shop -- /bin/true
	is 125 "$status"
	has "$stderr" '^hint: .*nftables'
	is '' "$(azm ps -aq)"
	run "$BUILD/tests/deny" 'socket[2==12]=EPROTONOSUPPORT' "$AZM" run --rm --rootfs "$ROOTFS" -- /bin/true
	is 0 "$status" 'the private network needs no packet filter'
}

@test "a damaged record: said, the others are listed, rm removes it" {
	azm network create good
	azm network create bad
	echo '{"id":' >"$AZM_STATE_DIR/networks/bad.json"
	run --separate-stderr azm network ls
	is 125 "$status"
	has "$output" '^good '
	has "$stderr" 'read network bad: its record in the state directory is damaged'
	no 'damaged' run --rootfs "$ROOTFS" --network bad -- /bin/true
	no 'there is one of that name' network create bad
	azm network rm bad
	azm network create bad
	echo '{"id":"../../x","subnet":"10.5.0.0/24"}' >"$AZM_STATE_DIR/networks/bad.json"
	no 'damaged' run --rootfs "$ROOTFS" --network bad -- /bin/true
	echo '{"id":"01234567","subnet":"8.8.8.0/24"}' >"$AZM_STATE_DIR/networks/bad.json"
	no 'damaged' run --rootfs "$ROOTFS" --network bad -- /bin/true
}

@test "labels that cannot be" {
	no 'label' network create --label =x bad
	no 'label' network create --label '' bad
	no 'label' network create --label "k=$(printf 'x%.0s' {1..1100})" bad
	no 'UTF-8' network create --label $'k=\xff' bad
	is 'private none' "$(azm network ls -q | xargs)"
}
