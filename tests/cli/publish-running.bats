#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# Ports of a running sandbox: listed, added, taken away, and what of it lasts.
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

listeners() { # PORT: addresses of the host that are listened on
	ss -Hltn "sport = :$1" | awk '{ print $4 }' | sort | tr '\n' ' '
}

answers() { # PORT
	run http "http://127.0.0.1:$1/alive"
	is 200 "${lines[0]}"
}

unix_answers() { # PATH: longer ones than sun_path, too
	run python3 - "$1" <<-'END'
		import os, socket, sys
		directory = os.open(os.path.dirname(sys.argv[1]), os.O_PATH)
		s = socket.socket(socket.AF_UNIX)
		s.connect(f"/proc/self/fd/{directory}/{os.path.basename(sys.argv[1])}")
		s.sendall(b"GET /alive HTTP/1.1\r\n\r\n")
		print(s.recv(100).decode().split("\r\n")[0])
	END
	is 'HTTP/1.1 200 OK' "$output"
}

@test "port lists every place, or one port's, as docker port does" {
	local port
	port=$(free_range 2)
	serve 0.0.0.0 -p "$port:8000" -p "127.0.0.1:$((port + 1)):9000"
	run azm port "$NAME"
	is "$(printf '8000/tcp -> 127.0.0.1:%s\n8000/tcp -> [::1]:%s\n9000/tcp -> 127.0.0.1:%s' "$port" "$port" $((port + 1)))" "$output"
	run azm port "$NAME" 9000
	is "127.0.0.1:$((port + 1))" "$output"
	run azm port "$NAME" 9000/tcp
	is "127.0.0.1:$((port + 1))" "$output"
	run azm port --json "$NAME" 9000
	is "127.0.0.1 $((port + 1)) 9000 tcp" "$(jq -r '.[] | "\(.host_ip) \(.host_port) \(.port) \(.protocol)"' <<<"$output")"
	refused 125 'port 7 is not published' azm port "$NAME" 7
	refused 125 'only TCP' azm port "$NAME" 9000/udp
	refused 125 'not a number' azm port "$NAME" http
	refused 125 'takes the NAME' azm port
}

@test "publish adds a port to a running sandbox, on both loopbacks" {
	local port
	port=$(free_port)
	serve 0.0.0.0 -p 0:9000
	run azm publish "$NAME" -p "$port:8000"
	is 0 "$status"
	is "$(printf '8000/tcp -> 127.0.0.1:%s\n8000/tcp -> [::1]:%s' "$port" "$port")" "$output"
	answers "$port"
	is "127.0.0.1:$port [::1]:$port " "$(listeners "$port")"
	is "$port" "$(inspect "$NAME" 'ports[] | select(.port == 8000 and .host_ip == "127.0.0.1") | .host_port')"
}

@test "publish works on a sandbox that had no port at all" {
	serve 127.0.0.1
	is '' "$(azm port "$NAME")"
	local port
	port=$(azm publish --json -p 8000 "$NAME" | jq -r '.[0].host_port')
	[ "$port" -ge 30000 ] && [ "$port" -le 39999 ]
	answers "$port"
}

@test "publish --network none: the sandbox's loopback is reached" {
	serve 127.0.0.1 --network none
	local port
	port=$(azm publish --json -p 8000 "$NAME" | jq -r '.[0].host_port')
	answers "$port"
}

@test "publish --rm takes a port away, connections that exist go on" {
	local port other
	port=$(free_range 2)
	other=$((port + 1))
	background "$NAME" -p "$port:8000" -p "$other:8000" -- /bin/sh -c 'while :; do nc -l -p 8000 -e /bin/cat; done' >/dev/null
	run python3 - "$AZM" "$NAME" "$port" <<-'END'
		import socket, subprocess, sys, time
		azm, name, port = sys.argv[1:]
		for attempt in range(100):
		    try:
		        s = socket.create_connection(("127.0.0.1", int(port)), 10)
		        s.settimeout(20)
		        s.sendall(b"one")
		        if s.recv(3) == b"one":
		            break
		    except ConnectionError:
		        time.sleep(0.05)
		subprocess.run([azm, "publish", name, "--rm", f"{port}:8000"], check=True)
		s.sendall(b"two")
		print(s.recv(3).decode())
	END
	is two "$output"
	is '' "$(listeners "$port")"
	is "127.0.0.1:$other [::1]:$other " "$(listeners "$other")"
	azm publish "$NAME" --rm 8000
	is '' "$(listeners "$other")"
	is '' "$(azm port "$NAME")"
	refused 125 'it is not published' azm publish "$NAME" --rm 8000
	is running "$(state_of "$NAME")"
}

@test "what was published is published again by start, what was taken away is not" {
	local port gone open
	port=$(free_range 3)
	gone=$((port + 1))
	open=$((port + 2))
	serve 0.0.0.0 -p "$gone:8000"
	azm publish "$NAME" -p "$port:8000" -p 8000 --rm "$gone:8000" >/dev/null
	azm publish "$NAME" --publish-any-user -p "$open:8000" >/dev/null
	azm stop -t 0 "$NAME"
	is '' "$(listeners "$port")"
	azm start "$NAME"
	wait_for 10 sh -c "'$AZM' logs '$NAME' 2>&1 | grep -c server=ready | grep -qx 2"
	answers "$port"
	answers "$open"
	is '' "$(listeners "$gone")"
	is 3 "$(inspect "$NAME" 'ports | map(select(.host_ip == "127.0.0.1")) | length')"
	is "localhost:$open:8000" "$(inspect "$NAME" 'config.publish_open[]')"
}

@test "publish of a taken port, or of one taken in a range, changes nothing" {
	local port
	serve 0.0.0.0 -p 0:8000
	local before
	before=$(azm port "$NAME")
	port=$(($(free_range 3) + 1))
	canary 127.0.0.1 "$port"
	refused 125 "127.0.0.1:$port: Address already in use" azm publish "$NAME" -p "$((port - 1))-$((port + 1)):7999-8001"
	is '' "$(listeners $((port - 1)))"
	is "$before" "$(azm port "$NAME")"
	refused 125 'not a loopback address' azm publish "$NAME" -p "0.0.0.0:0:8000"
	refused 125 'UDP datagram' azm publish "$NAME" -p "8000/udp"
	refused 125 'too many for one command' azm publish "$NAME" -p "7000-7200"
	refused 125 'neither -p nor --rm' azm publish "$NAME"
	refused 125 'one NAME only' azm publish "$NAME" 8000
	refused 125 'no such sandbox' azm publish nobody-there -p 8000
	azm stop -t 0 "$NAME"
	refused 125 'it is not running' azm publish "$NAME" -p 8000
}

@test "a UNIX socket on a running sandbox: mode 0600, gone with it" {
	local path=$BATS_TEST_TMPDIR/live
	serve 0.0.0.0
	run azm publish "$NAME" -p "unix:$path:8000"
	is "8000/tcp -> unix:$path" "$output"
	is 600 "$(stat -c %a "$path")"
	unix_answers "$path"
	azm publish "$NAME" --rm "unix:$path:8000"
	[ ! -e "$path" ]
	azm publish "$NAME" -p "unix:$path:8000" >/dev/null
	azm rm -f "$NAME"
	[ ! -e "$path" ]
}

@test "a relative path of a UNIX socket is the caller's directory, also for start" {
	mkdir "$BATS_TEST_TMPDIR/here"
	cd "$BATS_TEST_TMPDIR/here"
	serve 0.0.0.0 -p unix:sock:8000
	unix_answers "$BATS_TEST_TMPDIR/here/sock"
	azm stop -t 0 "$NAME"
	[ ! -e sock ]
	cd /
	azm start "$NAME"
	wait_for 10 sh -c "'$AZM' logs '$NAME' 2>&1 | grep -c server=ready | grep -qx 2"
	unix_answers "$BATS_TEST_TMPDIR/here/sock"
}

@test "a UNIX socket at a path longer than sun_path, with run and with publish" {
	local deep
	deep=$BATS_TEST_TMPDIR/$(printf 'd%.0s' {1..100})/$(printf 'e%.0s' {1..100})
	mkdir -p "$deep"
	serve 0.0.0.0 -p "unix:$deep/run:8000"
	unix_answers "$deep/run"
	azm publish "$NAME" -p "unix:$deep/live:8000" >/dev/null
	unix_answers "$deep/live"
	azm rm -f "$NAME"
	[ ! -e "$deep/run" ] && [ ! -e "$deep/live" ]
}

@test "a UNIX socket whose supervisor was killed is removed by gc, a foreign file in its place is not" {
	local path=$BATS_TEST_TMPDIR/orphan
	serve 0.0.0.0 -p "unix:$path:8000" -p "unix:$path-taken:8000"
	kill -KILL "$(supervisor_of "$NAME")"
	wait_for 10 is_not_running "$NAME"
	[ -S "$path" ]
	rm "$path-taken"
	echo precious >"$path-taken"
	azm gc
	[ ! -e "$path" ]
	is precious "$(cat "$path-taken")"
}

@test "a UNIX socket never takes the place of a file, a live socket or a link" {
	local path=$BATS_TEST_TMPDIR/place
	serve 0.0.0.0
	echo precious >"$path"
	refused 125 'exists and is not a socket' azm publish "$NAME" -p "unix:$path:8000"
	refused 125 'exists and is not a socket' sandbox -p "unix:$path:8000" /bin/true
	is precious "$(cat "$path")"
	rm "$path"
	ln -s /nowhere "$path"
	refused 125 'exists and is not a socket' azm publish "$NAME" -p "unix:$path:8000"
	rm "$path"
	azm publish "$NAME" -p "unix:$path:8000" >/dev/null
	refused 125 'a process is listening there' azm publish "$NAME" -p "unix:$path:8000"
	unix_answers "$path"
}

@test "t-n8: a port added to a running sandbox refuses another user of the host" {
	[ -S "${AZM_OTHER_USER:-}" ] || skip 'only a run started by root has a second user'
	local port open
	serve 0.0.0.0
	port=$(azm publish --json "$NAME" -p 8000 | jq -r '.[0].host_port')
	open=$(azm publish --json "$NAME" --publish-any-user -p 8000 | jq -r '.[0].host_port')
	run "$TESTS/lib/other-user.py" ask "$AZM_OTHER_USER" get "$port"
	has "$output" '^refused'
	run "$TESTS/lib/other-user.py" ask "$AZM_OTHER_USER" get "$open"
	is 200 "${lines[0]}"
	answers "$port"
}

@test "a request of nonsense on the control socket is refused and the sandbox goes on" {
	local port
	port=$(free_port)
	serve 0.0.0.0 -p "$port:8000"
	local live=${XDG_RUNTIME_DIR:-/nonexistent}/azm-sandbox
	[ -d "$live" ] || live=/tmp/azm-sandbox-$(id -u)
	run python3 - "$live" "$NAME" <<-'END'
		import array, glob, json, os, socket, sys
		[path] = glob.glob(f"{sys.argv[1]}/**/{sys.argv[2]}.*.sock", recursive=True)
		def ask(request, *sockets):
		    s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
		    s.connect(path)
		    fds = array.array("i", [x.fileno() for x in sockets])
		    s.sendmsg([json.dumps(request).encode()], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)] if sockets else [])
		    print(json.loads(s.recv(8192)).get("error"))
		listening = socket.create_server(("127.0.0.1", 0))
		plain = socket.socket()
		spec = f"127.0.0.1:{listening.getsockname()[1]}:8000"
		ask({"op": "publish"})
		ask({"op": "publish", "publish": [1]})
		ask({"op": "publish", "publish": ["8000"]})
		ask({"op": "publish", "publish": [spec]}, listening)
		ask({"op": "publish", "publish": [spec], "diag": True}, listening, plain)
		ask({"op": "publish", "publish": ["127.0.0.1:1:8000"], "any_user": True}, listening)
		ask({"op": "publish", "publish": [spec], "any_user": True}, plain)
		ask({"op": "publish", "publish": [spec], "any_user": True}, listening, plain)
		ask({"op": "publish", "publish": [spec], "any_user": True}, open("/dev/null"))
		ask({"op": "unpublish", "publish": ["unix:/a:1"]})
		ask({"op": "unpublish", "publish": [spec]}, plain)
	END
	is 0 "$status"
	is 11 "${#lines[@]}"
	has_not "$output" '^None$'
	is "$(printf '8000/tcp -> 127.0.0.1:%s\n8000/tcp -> [::1]:%s' "$port" "$port")" "$(azm port "$NAME")"
	answers "$port"
}
