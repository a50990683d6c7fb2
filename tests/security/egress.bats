#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# egress.bats: what the broker refuses whatever the rules say, names that are meant to be misread, and the broker itself.

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
	load ../lib/common
	load ../lib/internet
}

teardown() {
	remove_spawned
	remove_sandboxes
}

# log_of NAME: the egress log of a sandbox that is there.
log_of() {
	cat "$(dirname "$(azm inspect "$1" | jq -r '.[0].upper')")/egress.log"
}

# denied NAME JQ: a line of the log says so
denied() {
	log_of "$1" | jq -se "any(.[]; .verdict == \"denied\" and ($2))" >/dev/null || {
		log_of "$1"
		return 1
	}
}

# say_tls HOST PORT SNI: a ClientHello, and what comes back ("alert 49", "server hello", "reset")
say_tls='
import socket, ssl, sys
context = ssl.create_default_context()
context.check_hostname = False
context.verify_mode = ssl.CERT_NONE
try:
    with socket.create_connection((sys.argv[1], int(sys.argv[2])), 10) as raw:
        with context.wrap_socket(raw, server_hostname=sys.argv[3] or None) as tls:
            print("server hello", tls.version())
except ssl.SSLError as error:
    print("alert", error.reason)
except OSError as error:
    print("reset", error)
'

# say HOST PORT: stdin goes out, what comes back to stdout.
say='
import socket, sys
with socket.create_connection((sys.argv[1], int(sys.argv[2])), 10) as sock:
    sock.settimeout(10)
    sock.sendall(sys.stdin.buffer.read())
    try:
        while data := sock.recv(4096):
            sys.stdout.buffer.write(data)
    except ConnectionResetError:
        print("RESET")
'

@test "t-n6 metadata and private addresses are refused, also behind names and after the check" {
	reaches 'closed|refused' all 169.254.169.254:80 10.77.0.3:80 100.64.0.9:80 127.0.0.1:80 0.0.0.0:80
	reaches 'closed|refused' all metadata.example.test:80 private.example.test:80 ula.example.test:80 \
		cgnat.example.test:80 loop.example.test:80 loop6.example.test:80 zero.example.test:80 \
		multicast.example.test:80 mapped.example.test:80 nat64.example.test:80 sixtofour.example.test:80 \
		linklocal6.example.test:80
	reaches 'closed|refused' '*.example.test' metadata.example.test:80 private.example.test:80 rebind.example.test:80
	# even the exact name opens no more than private ranges
	reaches 'closed|refused' metadata.example.test,loop.example.test,rebind.example.test metadata.example.test:80 \
		loop.example.test:80
	reaches reached private.example.test,cgnat.example.test private.example.test:80 cgnat.example.test:80
	reaches reached 10.77.0.0/24 10.77.0.3:80
	# of good and bad addresses, the good one
	reaches reached mixed.example.test mixed.example.test:80
	run ! asked '169\.254\.169\.254'
}

@test "t-n6 a rebinding name is resolved once a connection, and that answer is checked" {
	local name
	name=$(new_name)
	client_stays "$name" 'rebind.example.test'
	azm exec "$name" /opt/reach rebind.example.test:80 rebind.example.test:80 rebind.example.test:80 >"$BATS_TEST_TMPDIR/out"
	run ! grep -q '127\.0\.0\.1' "$INTERNET/web.log"
	log_of "$name" | jq -se 'all(.[]; .verdict != "allowed" or (.address | test("^10\\.77\\.")))' >/dev/null
}

@test "t-n7 names that are meant to be misread" {
	local name
	# case and the root's dot are spelling
	reaches reached www.example.test WWW.Example.TEST:80 www.example.test.:80
	# look-alikes are other names
	reaches unknown '*.example.test' evilexample.test:80 example.test:80 www.example.test.evil.test:80
	reaches unknown www.example.test a.www.example.test:80 www.example.tes:80 wwwxexample.test:80
	# numbers are addresses, whatever their spelling, and addresses are not names
	reaches 'closed|refused|unknown' www.example.test 192.52.193.10:80 3224682762:80 0300.064.0301.012:80 \
		0xc0.0x34.0xc1.0x0a:80 192.52.49418:80 '[::ffff:192.52.193.10]:80'
	for name in 'a%00.www.example.test' 'user@www.example.test' 'www.example.test%2eevil.test' 'www_example_test'; do
		reaches unknown www.example.test "$name:80"
	done
}

@test "t-n7 an empty list allows nothing" {
	reaches 'unknown' none www.example.test:80
	reaches 'closed|refused' none 192.52.193.10:80 8.8.8.8:53
	reaches 'unknown' '!other.test' www.example.test:80 other.test:80
	reaches 'closed|refused' '!other.test' 192.52.193.10:80
}

@test "t-n7 a rule that cannot be understood is refused, not ignored" {
	local rule
	for rule in '*' '*.' '*.*' 'a..b' 'a b' 'a.test:0' 'a.test:65536' 'a.test:http' '10.0.0.0/33' '10.0.0.1/8x' '!' \
		'none,all' 'http://a.test/' 'user@a.test' '2130706433' '0x7f.1' '127.0.0.1' '169.254.169.254' "$(printf 'a%.0s' {1..300})"; do
		refused 125 'egress|rule' azm run --rm --rootfs "$ROOTFS" --egress "$rule" -- /opt/probe ids
	done
}

@test "t-n7 SNI and Host must agree with the name that was dialled" {
	local name
	name=$(new_name)
	client_stays "$name" 'www.example.test,git.example.test,192.52.193.11'
	is "$(azm exec "$name" python3 -c "$say_tls" www.example.test 443 www.example.test)" 'server hello TLSv1.3'
	is "$(azm exec "$name" python3 -c "$say_tls" www.example.test 443 '')" 'server hello TLSv1.3'
	# another name that the rules allow
	is "$(azm exec "$name" python3 -c "$say_tls" www.example.test 443 git.example.test)" 'server hello TLSv1.3'
	has "$(azm exec "$name" python3 -c "$say_tls" www.example.test 443 other.test)" 'ACCESS_DENIED'
	has "$(azm exec "$name" python3 -c "$say_tls" www.example.test 443 evilwww.example.test)" 'ACCESS_DENIED'
	# to an address the rules name, any host may be asked for
	is "$(azm exec "$name" python3 -c "$say_tls" 192.52.193.11 443 other.test)" 'server hello TLSv1.3'
	denied "$name" '.name == "www.example.test" and (.why | test("other\\.test"))'

	has "$(printf 'GET / HTTP/1.1\r\nHost: other.test\r\n\r\n' | azm exec -i "$name" python3 -c "$say" www.example.test 80)" '403 Forbidden'
	has "$(printf 'GET http://other.test/ HTTP/1.1\r\nHost: www.example.test\r\n\r\n' |
		azm exec -i "$name" python3 -c "$say" www.example.test 80)" '403 Forbidden'
	has "$(printf 'GET / HTTP/1.1\r\nHost: www.example.test\r\nHost: other.test\r\n\r\n' |
		azm exec -i "$name" python3 -c "$say" www.example.test 80)" '403 Forbidden'
	has "$(printf 'GET / HTTP/1.1\r\nHost: www.example.test\r\nConnection: close\r\n\r\n' |
		azm exec -i "$name" python3 -c "$say" www.example.test 80)" 'hello from www.example.test'
	# a tunnel through an allowed host to one that is not
	has "$(printf 'CONNECT other.test:443 HTTP/1.1\r\nHost: other.test:443\r\n\r\n' |
		azm exec -i "$name" python3 -c "$say" www.example.test 80)" '403 Forbidden'
	run ! asked ' other\.test '
}

@test "t-n7 a greeting in pieces is looked at whole" {
	local name
	name=$(new_name)
	client_stays "$name" 'www.example.test'
	cat >"$BATS_TEST_TMPDIR/slow.py" <<-'END'
		import socket, ssl, sys, time
		incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
		tls = ssl.create_default_context().wrap_bio(incoming, outgoing, server_hostname=sys.argv[1])
		try:
		    tls.do_handshake()
		except ssl.SSLWantReadError:
		    pass
		hello = outgoing.read()
		# one record becomes many, and each byte a segment of its own
		body, records = hello[5:], b""
		for at in range(0, len(body), 7):
		    piece = body[at:at + 7]
		    records += b"\x16\x03\x01" + len(piece).to_bytes(2, "big") + piece
		with socket.create_connection(("www.example.test", 443), 10) as sock:
		    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
		    for byte in records:
		        sock.send(bytes([byte]))
		    answer = sock.recv(7)
		    print("alert" if answer[:1] == b"\x15" else "hello" if answer[:1] == b"\x16" else answer)
	END
	is "$(azm exec -i "$name" python3 - www.example.test <"$BATS_TEST_TMPDIR/slow.py")" hello
	is "$(azm exec -i "$name" python3 - other.test <"$BATS_TEST_TMPDIR/slow.py")" alert
}

@test "t-n10 the broker dialled directly refuses" {
	local name gateway
	name=$(new_name)
	# private ranges too: or the rules refuse the gateway, whatever it is
	client_stays "$name" all,10.0.0.0/8,172.16.0.0/12,192.168.0.0/16
	gateway=$(azm exec "$name" sh -c 'sed -n "s/^nameserver //p" /etc/resolv.conf')
	# its ports are in the network's namespace: try all that could be
	cat >"$BATS_TEST_TMPDIR/scan.py" <<-'END'
		import socket, sys
		gateway, answered = sys.argv[1], []
		for port in list(range(1, 53)) + list(range(32768, 61000)):
		    with socket.socket() as sock:
		        sock.settimeout(5)
		        try:
		            sock.connect((gateway, port))
		            sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
		            if sock.recv(1):
		                answered.append(port)
		        except OSError:
		            pass
		print("answered", answered)
	END
	is "$(azm exec -i "$name" python3 - "$gateway" <"$BATS_TEST_TMPDIR/scan.py")" 'answered []'
	# it is still there, and nothing on the host's side was dialled for it
	has "$(azm exec "$name" /opt/reach www.example.test:80)" reached
	log_of "$name" | jq -se --arg gateway "$gateway" '[.[] | select(.address == $gateway)] |
		length > 0 and all(.[]; .verdict == "denied" and (.why | test("the broker itself|own network")))' >/dev/null
}

@test "t-n11 the host's own addresses, through all, by name and by address" {
	on_host_spawn "$BATS_TEST_TMPDIR/canary" python3 -m http.server --bind 0.0.0.0 8123
	wait_for 10 on_host python3 -c 'import socket; socket.create_connection(("127.0.0.1", 8123), 1)' 2>/dev/null
	reaches 'closed|refused' all 192.175.48.2:8123 10.77.0.2:8123 own.example.test:8123 ownlan.example.test:8123 \
		loop.example.test:8123 127.0.0.1:8123
	reaches 'closed|refused' 10.0.0.0/8,192.175.48.0/24 192.175.48.2:8123 10.77.0.2:8123
	reaches 'closed|refused' own.example.test,ownlan.example.test own.example.test:8123 ownlan.example.test:8123
	# the way that is meant for it
	reaches reached host:8123 host.azm.internal:8123 host.docker.internal:8123
	reaches 'closed|refused' host:8124 host.azm.internal:8123
}
