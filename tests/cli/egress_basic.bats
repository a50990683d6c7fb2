#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# egress_basic.bats: egress as users of the command line see it: rules, services of the host, changes while it runs, the
# tally, and what must not be there. Real clients and a whole internet are egress.bats's.

load ../lib/common

setup_file() {
	make_rootfs
	mkdir -p "$BATS_FILE_TMPDIR/www"
	echo 'hello from the host' >"$BATS_FILE_TMPDIR/www/index.html"
	(cd "$BATS_FILE_TMPDIR/www" && exec python3 -u -m http.server --bind 127.0.0.1 0) >"$BATS_FILE_TMPDIR/web" 2>&1 3>&- &
	echo $! >"$BATS_FILE_TMPDIR/web.pid"
	wait_for 20 grep -q 'port [0-9]' "$BATS_FILE_TMPDIR/web"
	WEB=$(sed -n 's/.*port \([0-9]*\).*/\1/p' "$BATS_FILE_TMPDIR/web")
	export WEB
}

teardown_file() {
	kill "$(cat "$BATS_FILE_TMPDIR/web.pid")"
}

teardown() {
	remove_sandboxes
}

fetch() { # NAME [PORT]: the page of the host's service, from inside
	azm exec "$1" wget -qO- "http://host.azm.internal:${2:-$WEB}/"
}

cannot_fetch() {
	! fetch "$@" 2>/dev/null
}

has_allowed() { # NAME: the tally knows of a connection
	azm egress "$1" | grep -q 'host\.azm\.internal  *[1-9]'
}

resolvers() {
	ps -u "$(id -u)" -o stat=,comm= | awk '$2 == "azm-resolver" && $1 !~ /Z/' | wc -l
}

no_resolvers() {
	[ "$(resolvers)" -eq 0 ]
}

threads_of() { # SUPERVISOR
	cat /proc/"$1"/task/*/comm | sort | tr '\n' ' '
}

@test "a private sandbox without egress has no thread, process or route for it" {
	local name
	name=$(new_name)
	background "$name"
	no_resolvers
	has_not "$(threads_of "$(supervisor_of "$name")")" azm-egress
	has_not "$(azm exec "$name" ip route)" default
	# and what it asks for is refused at once, names too
	SECONDS=0
	run azm exec "$name" wget -qO- http://example.org/
	[ "$status" -ne 0 ]
	run azm exec "$name" wget -qO- http://192.0.2.1/
	[ "$status" -ne 0 ]
	[ "$SECONDS" -lt 25 ]
	is none "$(inspect "$name" egress)"
}

@test "host:PORT reaches that service of the host's loopback, under both names, and no other port" {
	local name
	name=$(new_name)
	background "$name" --egress "host:$WEB"
	is 'hello from the host' "$(fetch "$name")"
	is 'hello from the host' "$(azm exec "$name" wget -qO- "http://host.docker.internal:$WEB/")"
	cannot_fetch "$name" "$((WEB == 65535 ? WEB - 1 : WEB + 1))"
	run azm exec "$name" wget -qO- "http://127.0.0.1:$WEB/"
	[ "$status" -ne 0 ]
}

@test "the first connection of a workload finds its broker" {
	local try
	for try in 1 2 3 4 5; do
		is 'hello from the host' "$(sandbox --egress "host:$WEB" -- wget -qO- "http://host.azm.internal:$WEB/")" "try $try"
	done
	is 'hello from the host' "$(AZM_EGRESS=host:$WEB sandbox -- wget -qO- "http://host.azm.internal:$WEB/")"
	is 'hello from the host' "$(sandbox --add-host host.docker.internal:host-gateway --egress "host:$WEB" \
		-- wget -qO- "http://host.docker.internal:$WEB/")"
}

@test "resolv.conf names our name server, never the host's" {
	local conf
	conf=$(sandbox --egress example.org -- cat /etc/resolv.conf)
	has "$conf" '^nameserver 10\.'
	is 1 "$(grep -c '^nameserver' <<<"$conf")"
	has_not "$conf" '^(search|domain)'
	conf=$(sandbox --egress 192.0.2.0/24 --dns 192.0.2.53 --dns 192.0.2.54 -- cat /etc/resolv.conf)
	is "$(printf 'nameserver 192.0.2.53\nnameserver 192.0.2.54\noptions use-vc')" "$conf"
	has_not "$(sandbox --network none -- cat /etc/resolv.conf)" nameserver
}

@test "names that no rule allows do not exist; names it allows do" {
	run sandbox --egress "host:$WEB" -- nslookup example.org
	has "$output" NXDOMAIN
	run sandbox --egress "host:$WEB" -- nslookup host.azm.internal
	has "$output" '198\.1[89]\.'
	run sandbox --egress '*.example.org:443' -- nslookup a.example.org
	has "$output" '198\.1[89]\.'
}

@test "rules of a running sandbox: added, shown, taken away, kept for the next start" {
	local name
	name=$(new_name)
	background "$name"
	is none "$(azm egress "$name")"
	cannot_fetch "$name"
	azm egress "$name" --add "host:$WEB"
	is "host:$WEB" "$(azm egress "$name" | head -1)"
	is "host:$WEB" "$(inspect "$name" egress)"
	is 'hello from the host' "$(fetch "$name")"
	azm egress --set 'a.example:443,!b.a.example' "$name"
	cannot_fetch "$name"
	is "$(printf 'a.example:443\n!b.a.example')" "$(azm egress "$name" | sed '/^$/,$d')"
	azm egress "$name" --rm '!b.a.example' --rm a.example:443
	is none "$(inspect "$name" egress)"
	azm egress "$name" --add "host:$WEB"
	azm stop -t 0 "$name"
	azm start "$name"
	is 'hello from the host' "$(fetch "$name")"
	azm stop -t 0 "$name"
	azm egress "$name" --set none
	azm start "$name"
	cannot_fetch "$name"
	has_not "$(threads_of "$(supervisor_of "$name")")" azm-egress
}

@test "a connection that the new rules refuse ends" {
	local name
	name=$(new_name)
	background "$name" --egress "host:$WEB"
	azm exec "$name" sh -c "nc host.azm.internal $WEB </dev/zero >/dev/null; echo ended" >"$BATS_TEST_TMPDIR/out" 3>&- &
	wait_for 10 has_allowed "$name"
	azm egress "$name" --set none
	wait_for 10 grep -q ended "$BATS_TEST_TMPDIR/out"
}

@test "what cannot be changed says why" {
	local name stopped
	name=$(new_name)
	background "$name" --network none
	refused 125 'network none' azm egress "$name" --add all
	stopped=$(new_name)
	background "$stopped"
	refused 125 'rule' azm egress "$stopped" --add 'a..b'
	refused 125 'rule|there' azm egress "$stopped" --rm a.example
	refused 125 'go together' azm egress "$stopped" --rm a.example --add b.example
	is none "$(azm egress "$stopped")"
	refused 125 'no such sandbox|No such' azm egress "nobody-$$" --add all
	refused 125 NAME azm egress --add all
	refused 125 'one NAME' azm egress "$name" "$stopped"
	refused 125 'network none' azm run --rm --rootfs "$ROOTFS" --network none --egress all -- true
	refused 125 'rule lets' azm run --rm --rootfs "$ROOTFS" --dns 192.0.2.53 -- true
	refused 125 'no address' azm run --rm --rootfs "$ROOTFS" --add-host other:host-gateway -- true
}

@test "the tally counts by name, and the log has a line for every decision" {
	local name tally log
	name=$(new_name)
	background "$name" --egress "host:$WEB,!host:1"
	fetch "$name" >/dev/null
	fetch "$name" >/dev/null
	cannot_fetch "$name" 1
	run azm exec "$name" nslookup denied.example
	run azm exec "$name" wget -qO- http://192.0.2.1/
	tally=$(azm egress "$name" --json)
	is 2 "$(jq '.tally[] | select(.name == "host.azm.internal") | .allowed' <<<"$tally")"
	is 1 "$(jq '.tally[] | select(.name == "host.azm.internal") | .denied' <<<"$tally")"
	is 1 "$(jq '.tally[] | select(.name == "denied.example") | .denied' <<<"$tally")"
	is 1 "$(jq '.tally[] | select(.name == "192.0.2.1") | .denied' <<<"$tally")"
	[ "$(jq '.tally[] | select(.name == "host.azm.internal") | .bytes' <<<"$tally")" -gt 100 ]
	log=$(dirname "$(inspect "$name" upper)")/egress.log
	is "host:$WEB" "$(jq -rs 'map(select(.verdict == "allowed"))[0].rule' "$log")"
	is 127.0.0.1 "$(jq -rs 'map(select(.verdict == "allowed"))[0].address' "$log")"
	jq -se 'all(.[]; has("time") and has("verdict"))' "$log" >/dev/null
	is 600 "$(stat -c %a "$log")"
}

@test "text of the sandbox in the log does not reach a terminal" {
	local name
	name=$(new_name)
	background "$name" --egress "host:$WEB"
	# a name with an escape sequence in it, as a raw question
	# shellcheck disable=SC2016 # expanded inside
	azm exec "$name" sh -c 'printf "\\022\\064\\001\\000\\000\\001\\000\\000\\000\\000\\000\\000\\006a\\033[31m\\000\\000\\001\\000\\001" |
		nc -u -w 1 "$(sed -n "s/^nameserver //p" /etc/resolv.conf)" 53 >/dev/null' || true
	has_not "$(azm egress "$name" | od -c)" '033'
	is 'hello from the host' "$(fetch "$name")"
}

@test "a killed supervisor leaves nothing of egress, and the log can still be read" {
	local name supervisor
	name=$(new_name)
	background "$name" --egress "host:$WEB"
	fetch "$name" >/dev/null
	[ "$(resolvers)" -ge 1 ]
	supervisor=$(supervisor_of "$name")
	azm exec "$name" sh -c "nc host.azm.internal $WEB </dev/zero >/dev/null" 3>&- &
	kill -KILL "$supervisor"
	wait_for 10 no_resolvers
	has "$(azm egress "$name")" 'host.azm.internal +[12] '
	azm start "$name"
	is 'hello from the host' "$(fetch "$name")"
	azm rm -f "$name"
	wait_for 10 no_resolvers
}

@test "a proxy's password is nowhere: ps, inspect, the log, the sandbox" {
	local name secret=s3cr3t-$$ supervisor
	name=$(new_name)
	printf 'http://user:%s@127.0.0.1:9\n' "$secret" >"$BATS_TEST_TMPDIR/proxy"
	background "$name" --egress all --egress-proxy-file "$BATS_TEST_TMPDIR/proxy"
	supervisor=$(supervisor_of "$name")
	run azm exec "$name" wget -qO- http://example.org/
	has_not "$(azm inspect "$name"; azm egress "$name"; azm egress "$name" --json; azm logs "$name")" "$secret"
	has "$(azm egress "$name")" 'through http://127.0.0.1:9'
	has_not "$(azm exec "$name" env)" "$secret"
	has_not "$(tr '\0' ' ' </proc/"$supervisor"/cmdline)" "$secret"
	has_not "$(cat "$(dirname "$(inspect "$name" upper)")/egress.log")" "$secret"
	azm rm -f "$name"
	# given on the command line, it is overwritten there
	name=$(new_name)
	background "$name" --egress all --egress-proxy "http://user:$secret@127.0.0.1:9"
	has_not "$(tr '\0' ' ' </proc/"$(supervisor_of "$name")"/cmdline)" "$secret"
}

@test "the foreground says what may be reached" {
	local name
	name=$(new_name)
	spawn "$BATS_TEST_TMPDIR/out" "$AZM" run --name "$name" --rootfs "$ROOTFS" --server builtin --egress "host:$WEB"
	wait_for 20 grep -q "^Egress  *host:$WEB" "$BATS_TEST_TMPDIR/out"
	azm stop -t 1 "$name"
}
