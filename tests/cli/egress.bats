#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# Egress by name, with real clients and real servers on an internet of the tests' own (tests/lib/internet).
# shellcheck disable=SC2154,SC2016 # set by bats; expanded inside
load ../lib/common
load ../lib/internet

setup_file() {
	make_internet --postgres
	make_clients
}

teardown_file() {
	remove_internet
}

teardown() {
	[ -n "${BATS_TEST_COMPLETED:-}" ] || tail -n 20 "$INTERNET"/{ssh,proxy}.log
	remove_spawned
	remove_sandboxes
}

web=192.52.193.10 lan=10.77.0.3

# ---- real clients ---------------------------------------------------------------------------------------------------

@test "curl: https end to end, http, and IPv6 upstream" {
	run client www.example.test,six.example.test curl -sS https://www.example.test/ http://www.example.test/ \
		https://six.example.test/
	is "hello from www.example.test at $web
hello from www.example.test at $web
hello from six.example.test at 2620:4f:8000:77::10" "$output"
}

@test "curl: megabytes both ways arrive unchanged" {
	run client www.example.test:443 sh -ec 'head -c 20000000 /dev/urandom >/tmp/a
		curl -sS --data-binary @/tmp/a -H "Expect:" -o /tmp/b https://www.example.test/echo
		cmp /tmp/a /tmp/b && curl -sS https://www.example.test/flow/50000000 | wc -c'
	is 50000000 "$output"
}

@test "git: clone over https, clone and push over ssh" {
	run client git.example.test:443,git.example.test:22 sh -ec "cd /tmp
		git clone -q https://git.example.test/git/hello.git one && cat one/README
		git clone -q git@git.example.test:$INTERNET/stock/git/hello.git two && cat two/README
		cd two && git checkout -q -b branch-$BATS_TEST_NUMBER && git push -q origin HEAD && echo pushed"
	is 'hello from git
hello from git
pushed' "$output"
	on_host env HOME=/nonexistent git -C "$INTERNET/stock/git/hello.git" rev-parse -q --verify \
		"refs/heads/branch-$BATS_TEST_NUMBER"
}

@test "pip installs from an index" {
	run client pypi.test sh -ec 'cd /tmp; export PIP_ROOT_USER_ACTION=ignore # pip before 22.1 does not know the option
		python3 -m pip install -q --disable-pip-version-check --no-cache-dir --cert /etc/ssl/certs/ca-certificates.crt -i https://pypi.test/simple --target /tmp/t azm-hello
		PYTHONPATH=/tmp/t python3 -m azm_hello'
	has "$output" '^hello from pip$'
}

@test "npm installs from a registry" {
	run client npm.test sh -ec 'mkdir /tmp/npm && cd /tmp/npm && export NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt
		npm install --silent --no-audit --no-fund --no-update-notifier --fetch-retries 0 --registry https://npm.test/ azm-hello >&2
		node -e "require(\"azm-hello\")"'
	has "$output" '^hello from npm$'
}

@test "apt: update and install from a repository" {
	run client deb.test sh -ec 'apt-get -q update >&2 && apt-get -q -y install azm-hello >&2 && cat /opt/azm-hello/said'
	has "$output" '^hello from apt$'
}

@test "psql and redis-cli talk to their servers" {
	run client db.test:5432,db.test:6379 sh -ec "$PG/psql -h db.test -U azm -Atc 'select 6*7' postgres
		redis-cli -h db.test set key value && redis-cli -h db.test get key"
	is '42
OK
value' "$output"
}

@test "a server that speaks first, a half-closed connection" {
	local name
	name=$(new_name)
	client_stays "$name" hostile.test # what is on its way when a sandbox ends is lost, as with its network
	run azm exec "$name" python3 -c '
import socket
s = socket.create_connection(("hostile.test", 1007))
print(s.recv(100).decode().strip())
s.sendall(b"this")
print(s.recv(100).decode())
s = socket.create_connection(("hostile.test", 1008))
s.sendall(bytes(3000000))
s.shutdown(socket.SHUT_WR)
print(s.recv(100).decode().strip())
s = socket.create_connection(("hostile.test", 1005))
print(s.recv(100).decode().strip(), s.recv(100))
s.sendall(bytes(2000000))
s.close()'
	is "220 I speak first
you said this
3000000
over to you b''" "$output"
	wait_for 10 grep -q '^2000000$' "$INTERNET/half-close.log"
}

@test "what a command sends before its sandbox ends arrives" {
	run client hostile.test:1009 python3 -c '
import socket
s = socket.create_connection(("hostile.test", 1009))
s.sendall(b"last words" + bytes(1999990))'
	is 0 "$status"
	wait_for 10 grep -q '^2000000$' "$INTERNET/last-words.log"
}

# ---- rules ----------------------------------------------------------------------------------------------------------

@test "an exact name: itself, on its ports, in any spelling; nothing beside it" {
	reaches reached www.example.test www.example.test:80 WWW.Example.TEST:80 www.example.test.:80
	reaches unknown www.example.test example.test:80 a.b.example.test:80 evilexample.test:80 other.test:80
	reaches reached www.example.test:80 www.example.test:80
	reaches 'refused|closed' www.example.test:443 www.example.test:80
}

@test "a wildcard: every name below it, not the domain, no look-alike" {
	reaches reached '*.example.test' www.example.test:80 a.b.example.test:80
	reaches unknown '*.example.test' example.test:80 evilexample.test:80 example.test.evil.test:80 other.test:80
}

@test "a name that was refused is not even asked for on the host" {
	: >"$INTERNET/dns.log"
	reaches unknown www.example.test other.test:80 evil.www.example.test:80
	run ! grep -E 'other|evil' "$INTERNET/dns.log"
}

@test "private addresses: only for an exact name or the address itself, never by a wildcard or all" {
	local names='private.example.test:80 ula.example.test:80 cgnat.example.test:80' wild
	# shellcheck disable=SC2086 # words
	reaches reached private.example.test,ula.example.test,cgnat.example.test $names
	for wild in '*.example.test' all; do
		# shellcheck disable=SC2086 # words
		reaches 'refused|closed|unknown' "$wild" $names $lan:80
	done
	reaches reached $lan $lan:80
	reaches reached 10.77.0.0/24:80 $lan:80
	reaches 'refused|closed' 10.77.0.0/24:443 $lan:80
}

@test "loopback, the host's own addresses, metadata and their disguises: never, even by exact name" {
	local kinds='loop loop6 metadata own ownlan zero multicast mapped nat64 sixtofour linklocal6' kind rules='' targets=()
	on_host_spawn /dev/null python3 -m http.server --bind 0.0.0.0 8080
	wait_for 10 on_host curl -s -o /dev/null http://127.0.0.1:8080/
	for kind in $kinds; do
		rules+="$kind.example.test,"
		targets+=("$kind.example.test:8080" "$kind.example.test:80")
	done
	reaches 'refused|closed|unknown' "${rules%,}" "${targets[@]}"
	reaches 'refused|closed|unknown' all "${targets[@]}" 192.175.48.2:8080 10.77.0.2:8080 169.254.169.254:80 127.0.0.1:8080
	run ! asked 'metadata|169\.254'
}

@test "a name that changes its address between two looks is never followed inwards" {
	local targets=()
	for _ in 1 2 3 4 5 6 7 8; do
		targets+=(rebind.example.test:80)
	done
	reaches 'refused|closed|unknown' '*.example.test' "${targets[@]}"
	run ! asked rebind
}

@test "a name with many addresses, dead ones first; good beside bad; none; no answer at all" {
	reaches reached '*.example.test' many.example.test:80 mixed.example.test:80 slow.example.test:80 both.example.test:80
	reaches 'refused|closed' '*.example.test' none.example.test:80 closed.example.test:80 dead.example.test:80 \
		hang.example.test:80 no-such-name.example.test:80
}

@test "all: every public name and address, but what a rule denies" {
	reaches reached 'all,!other.test,!192.52.193.30' www.example.test:80 evilexample.test:80 $web:80
	reaches 'refused|closed|unknown' 'all,!other.test,!192.52.193.30' other.test:80 pypi.test:80 192.52.193.30:80
}

@test "host:PORT: that port of the host's loopback, by two names, and nothing else of it" {
	on_host_spawn /dev/null python3 -m http.server --bind 127.0.0.1 8080
	on_host_spawn /dev/null python3 -m http.server --bind 127.0.0.1 8081
	wait_for 10 on_host curl -s -o /dev/null http://127.0.0.1:8080/
	wait_for 10 on_host curl -s -o /dev/null http://127.0.0.1:8081/
	reaches reached host:8080 host.azm.internal:8080 host.docker.internal:8080
	reaches 'refused|closed' host:8080 host.azm.internal:8081 host.docker.internal:22
	reaches 'refused|closed|unknown' host:8080 127.0.0.1:8080 192.175.48.2:8080 www.example.test:80
	reaches 'refused|closed|unknown' all host.azm.internal:8080 host.docker.internal:8080
}

@test "SNI and Host have to agree with the name that was allowed" {
	run client www.example.test sh -c 'curl -sS --connect-to other.test:443:www.example.test:443 https://other.test/; echo "$?"'
	has_not "$output" hello
	has_not "$output" '^0$'
	run client www.example.test curl -sS -H 'Host: other.test' http://www.example.test/
	has_not "$output" hello
	run ! asked other.test
	# what is allowed by itself may be named
	run client www.example.test,other.test curl -sS -H 'Host: other.test' http://www.example.test/
	is "hello from other.test at $web" "$output"
	run client "$web" curl -sS "http://$web/"
	is "hello from $web at $web" "$output"
}

@test "UDP is off, whatever the rules" {
	local before
	before=$(wc -l <"$INTERNET/udp.log")
	run client all python3 -c '
import socket
for host in ("192.52.193.50", "hostile.test"):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.settimeout(1)
    try:
        s.connect((host, 9999))
        s.send(b"x")
        s.recv(1)
    except socket.timeout:
        print("silence")
    except OSError:
        print("refused")'
	is 'refused
refused' "$output"
	is "$before" "$(wc -l <"$INTERNET/udp.log")"
}

@test "no egress: everything is refused at once" {
	local begin=$SECONDS
	reaches 'refused|unknown' none www.example.test:80 $web:80 $lan:80 169.254.169.254:80 192.175.48.2:80 "[2620:4f:8000:77::10]:80"
	[ $((SECONDS - begin)) -le 15 ]
}

# ---- ways out -------------------------------------------------------------------------------------------------------

@test "clients with proxy variables work: the proxy is a host like any other" {
	run client proxy.test:3128,www.example.test:443 env https_proxy=http://proxy.test:3128 curl -sS https://www.example.test/
	is "hello from www.example.test at $web" "$output"
	# the proxy is no way around the rules
	run client proxy.test:3128 env https_proxy=http://proxy.test:3128 curl -sS https://other.test/
	has_not "$output" hello
}

@test "--egress-proxy: everything leaves through the site's proxy, which resolves the names" {
	: >"$INTERNET/dns.log"
	: >"$INTERNET/proxy.log"
	client_options --egress-proxy http://proxy.test:3128
	run client www.example.test,git.example.test:22 sh -ec "curl -sS https://www.example.test/ http://www.example.test/
		git clone -q git@git.example.test:$INTERNET/stock/git/hello.git /tmp/three && cat /tmp/three/README"
	is "hello from www.example.test at $web
hello from www.example.test at $web
hello from git" "$output"
	for port in www.example.test:443 www.example.test:80 git.example.test:22; do
		grep -q "^CONNECT $port -" "$INTERNET/proxy.log"
	done
	run ! grep -E 'www|git' "$INTERNET/dns.log"
}

@test "--egress-proxy: with a password, which is not shown; a proxy that says no" {
	client_options --egress-proxy http://user:secret@proxy.test:3129
	reaches reached www.example.test www.example.test:80
	local name
	name=$(new_name)
	client_stays "$name" www.example.test
	azm inspect "$name" >"$BATS_TEST_TMPDIR/shown"
	run ! grep secret "$BATS_TEST_TMPDIR/shown"
	client_options --egress-proxy http://proxy.test:3129
	reaches 'refused|closed' www.example.test www.example.test:80
	client_options --egress-proxy http://closed.example.test:3128
	reaches 'refused|closed' www.example.test www.example.test:80
}

# ---- a running sandbox ----------------------------------------------------------------------------------------------

inside() { # NAME RESULT TARGET
	has "$(azm exec "$1" /opt/reach "$3")" " ($2)\$"
}

@test "rules change while it runs: from none to a name and back, open connections included" {
	local name
	name=$(new_name)
	client_stays "$name" none
	inside "$name" 'unknown|refused' www.example.test:80
	azm egress "$name" --add www.example.test
	inside "$name" reached www.example.test:80
	azm egress "$name" --add other.test
	azm exec "$name" curl -sS -m 60 -o /dev/null http://other.test/flow/100000000000 >/dev/null 2>&1 3>&- &
	wait_for 10 on_host sh -c 'ss -Htn state established dst 192.52.193.11 | grep -q :80'
	azm egress "$name" --rm other.test
	wait_for 10 sh -c "! kill -0 $! 2>/dev/null"
	inside "$name" reached www.example.test:80
	azm egress "$name" --set none
	inside "$name" 'unknown|refused|closed' www.example.test:80
}

@test "egress NAME: the rules, and a tally of what was tried" {
	local name json
	name=$(new_name)
	client_stays "$name" 'www.example.test:80,*.corp.test'
	azm exec "$name" /opt/reach www.example.test:80 www.example.test:443 other.test:80 >/dev/null
	run azm egress "$name"
	has "$output" 'www\.example\.test:80'
	has "$output" '\*\.corp\.test'
	has "$output" 'other\.test'
	json=$(azm egress "$name" --json)
	jq -e '.rules | index("www.example.test:80") and index("*.corp.test")' <<<"$json"
	jq -e '[.. | objects | select(.name? == "www.example.test")] | length > 0' <<<"$json"
	refused 125 '.' azm egress "$name" --add 'bad rule'
	refused 125 '.' azm egress no-such-sandbox
}

@test "resolv.conf, hosts and hostname are the sandbox's own" {
	client_options --add-host db.corp.test:10.77.0.3 --hostname inside
	run client www.example.test sh -c 'cat /etc/resolv.conf /etc/hosts /etc/hostname; hostname; getent hosts db.corp.test'
	has_not "$output" '192\.175\.48\.53'
	has "$output" '^10\.77\.0\.3[[:space:]]+db\.corp\.test'
	is 2 "$(grep -cx inside <<<"$output")" 'lines with the hostname'
}
