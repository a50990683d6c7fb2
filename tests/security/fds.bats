#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# Class F: descriptors and handles. Inside there are fd 0, 1, 2 and nothing of the host.
# shellcheck disable=SC2154,SC2016,SC2030,SC2031 # set by bats; quotes on purpose; every test is a subshell
load ../lib/common

setup_file() { make_rootfs; }
teardown() { remove_sandboxes; }

only_three() {
	is 3 "$(value fds.count)" descriptors || return 1
	has_not "$output" 'FOREIGN|fds.fd=[3-9]'
}

# Run a command with descriptors 3..4096 open, among them a host directory, a file and a host TCP socket.
with_many_fds() {
	python3 - "$@" <<-'END'
		import os, resource, socket, sys
		resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
		root = os.open("/", os.O_RDONLY | os.O_DIRECTORY)
		file = os.open("/etc/passwd", os.O_RDONLY)
		listener = socket.create_server(("127.0.0.1", 0))
		unix = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
		kinds = [root, file, listener.fileno(), unix.fileno()]
		for fd in list(range(20, 300)) + [1024, 2048, 4096]:
		    os.dup2(kinds[fd % 4], fd, inheritable=True)
		for fd in kinds:
		    os.set_inheritable(fd, True)
		os.execvp(sys.argv[1], sys.argv[1:])
	END
}

@test "t-f1: a working directory that is a descriptor of the host is refused" {
	local name fd
	for fd in 3 4 5 6 7 8 9 10 11 12 20; do
		run with_many_fds timeout 30 "$AZM" run --rm --rootfs "$ROOTFS" -w "/proc/self/fd/$fd" -- /bin/probe cwd
		is 125 "$status" "fd $fd"
	done
	name=$(new_name)
	background "$name"
	for fd in 3 7 20; do
		run with_many_fds timeout 30 "$AZM" exec -w "/proc/self/fd/$fd" "$name" probe cwd
		is 125 "$status" "exec, fd $fd"
	done
}

@test "t-f1: the image's working directory is a descriptor: refused too" {
	local bundle=$BATS_TEST_TMPDIR/bundle fd
	mkdir "$bundle"
	cp -a "$ROOTFS" "$bundle/rootfs"
	for fd in 3 4 5 6 7 8 9 10 20; do
		echo '{"architecture":"amd64","os":"linux","config":{"WorkingDir":"/proc/self/fd/'$fd'"}}' >"$bundle/image.json"
		run with_many_fds timeout 30 "$AZM" run --rm --rootfs "$bundle" -- /bin/probe cwd
		is 125 "$status" "fd $fd"
	done
}

@test "t-f1: a working directory through a link of the image to a descriptor" {
	local copy fd
	copy=$(copy_rootfs)
	# The low ones are azm-init's own: one of /proc/sys/user led below what is bound read-only over /proc/sys.
	for fd in 3 4 5 6 7 8 9 10 20; do
		ln -s "/proc/self/fd/$fd" "$copy/link$fd"
		run with_many_fds timeout 30 "$AZM" run --rm --rootfs "$copy" -w "/link$fd" -- /bin/probe cwd
		[ "$status" -ne 0 ] || is / "$(value cwd)" "fd $fd"
		has_not "$output" unreachable
	done
	ln -s /proc/self/cwd "$copy/cwd"
	run azm run --rm --rootfs "$copy" -w /cwd -- /bin/probe cwd
	has_not "$output" unreachable
	run azm run --rm --rootfs "$copy" -w //proc/self/task -- /bin/probe cwd
	is 125 "$status"
}

@test "t-f2: descriptors the caller left open do not go in, with run" {
	run with_many_fds timeout 30 "$AZM" run --rm --rootfs "$ROOTFS" -- /bin/probe fds
	is 0 "$status"
	only_three
}

@test "t-f2: nor with exec" {
	local name
	name=$(new_name)
	with_many_fds timeout 30 "$AZM" run -d --name "$name" --rootfs "$ROOTFS" -- /bin/probe sleep-forever
	run with_many_fds timeout 30 "$AZM" exec "$name" probe fds
	is 0 "$status"
	only_three
}

@test "t-f2: nor on a kernel without close_range" {
	run with_many_fds timeout 30 "$BUILD/tests/deny" close_range=ENOSYS "$AZM" run --rm --rootfs "$ROOTFS" -- /bin/probe fds
	is 0 "$status"
	only_three
}

@test "t-f2: the server's and the published port's sockets stay outside" {
	local name
	name=$(new_name)
	background "$name" -p 0:80 -p 0:81
	run azm exec "$name" probe fds
	only_three
	run azm exec "$name" sh -c 'for f in /proc/[0-9]*/fd/*; do readlink $f; done 2>/dev/null | grep socket'
	is '' "$output"
}

# The command begins while azm-init still has all its capabilities; this is the last thing it gives up.
settled='until grep -q "^NoNewPrivs:.1" /proc/1/status; do :; done'

@test "t-f3: pid 1's descriptors cannot be listed or opened" {
	for _ in 1 2 3 4 5; do
		run sandbox -- /bin/sh -c "$settled; ls -l /proc/1/fd/ 2>&1; ls -l /proc/1/root/ /proc/1/cwd/ 2>&1; true"
		has "$output" 'Permission denied|can.t open'
		has_not "$output" ' -> '
	done
}

@test "t-f4: #!/proc/self/exe and a writer on /proc/PID/exe do not change our program" {
	local copy sum name
	copy=$(copy_rootfs)
	sum=$(sha256sum "$AZM")
	printf '#!/proc/self/exe\n' >"$copy/bin/evil"
	chmod +x "$copy/bin/evil"
	cat >"$copy/bin/overwriter" <<-'END'
		#!/bin/sh
		# Overwrite whatever program shows up as a process of this sandbox, until told to stop.
		while ! [ -e /tmp/stop ]; do
			for exe in /proc/[0-9]*/exe; do
				case $(readlink $exe) in
				*busybox | *probe | '') ;;
				*) (echo owned > $exe) 2>/dev/null && echo "wrote $exe" ;;
				esac
			done
		done
	END
	chmod +x "$copy/bin/overwriter"
	name=$(new_name)
	azm run -d --name "$name" --rootfs "$copy" -- /bin/overwriter

	for _ in $(seq 20); do
		azm exec "$name" /bin/evil >/dev/null 2>&1 || true
	done
	let_go "$name" /tmp/stop
	is "$sum" "$(sha256sum "$AZM")"
	has_not "$(azm logs "$name" 2>&1)" wrote
}

@test "t-f4: azm-init is a memory file that nobody can change any more" {
	local name
	name=$(new_name)
	background "$name"
	run python3 - "$(inspect "$name" pid)" <<-'END'
		import fcntl, os, sys
		fd = os.open(f"/proc/{sys.argv[1]}/exe", os.O_RDONLY)
		F_GET_SEALS, SEAL_SEAL_SHRINK_GROW_WRITE = 1034, 15
		print(os.readlink(f"/proc/self/fd/{fd}"), fcntl.fcntl(fd, F_GET_SEALS) & SEAL_SEAL_SHRINK_GROW_WRITE)
	END
	is '/memfd:azm-init (deleted) 15' "$output"
}

@test "t-f5: pid 1 cannot be read, traced, killed or stopped from inside" {
	local user
	for user in 0 1000; do
		run sandbox --user "$user" -- /bin/sh -c "$settled; exec probe pid1"
		is 0 "$status" "as $user"
		has_not "$(value pid1.environ)$(value pid1.mem)$(value pid1.maps)$(value pid1.exe)" 'read=ok|write=ok'
		has_not "$(value pid1.fd/0)$(value pid1.root/.)$(value pid1.cwd/.)" 'read=ok|write=ok'
		has_not "$(value pid1.ptrace)$(value pid1.vm_read)$(value pid1.vm_write)$(value pid1.pidfd_getfd)" ok
		# A signal to pid 1 of a namespace from inside is dropped: still alive to print the last line.
		has "$output" '^pid1.stop='
	done
}

@test "t-f5: the supervisor and everything else of the host is not visible" {
	run sandbox -- /bin/probe processes
	is 0 "$status"
	is 2 "$(grep -c '^process=' <<<"$output")"
	has "$output" '^process=1 azm-init$'
}

@test "t-f7: an inherited socket of the host cannot be re-connected from inside" {
	local port
	port=$(free_port)
	canary 127.0.0.1 "$port"
	run with_many_fds timeout 30 "$AZM" run --rm --rootfs "$ROOTFS" -- /bin/probe reconnect 127.0.0.1 "$port"
	has "$output" '^reconnect.done=ok$'
	has_not "$output" '^reconnect=[0-9]+ ok'
	run python3 - "$AZM" "$ROOTFS" "$port" <<-'END'
		import socket, subprocess, sys
		listener = socket.create_server(("127.0.0.1", 0))
		client = socket.create_connection(listener.getsockname())
		accepted, _ = listener.accept()
		for given in (listener, accepted, client):
		    done = subprocess.run([sys.argv[1], "run", "--rm", "-i", "--rootfs", sys.argv[2], "--", "/bin/probe",
		                           "reconnect", "127.0.0.1", sys.argv[3]], stdin=given, capture_output=True, timeout=30, text=True)
		    print(done.stdout, done.stderr)
	END
	has_not "$output" '^reconnect=[0-9]+ ok'
}

@test "t-s1: keys and secrets are in no argument, no environment of pid 1, no ps, no log" {
	local name key
	name=$(new_name)
	SESSION_API_KEY="key-of-this-test" background "$name" -- /bin/sh -c 'tr "\0" "\n" < /proc/1/cmdline; tr "\0" "\n" < /proc/1/environ; exec probe sleep-forever'
	key="key-of-this-test"
	run bash -c "cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\0' '\n' | grep -c -- '$key'"
	# The grep itself and its shell carry it; nobody else.
	run bash -c "for f in /proc/[0-9]*; do case \$(cat \$f/comm 2>/dev/null) in azm-*) tr '\0' ' ' < \$f/cmdline ;; esac; done"
	has_not "$output" "$key"
	run azm logs "$name"
	has_not "$output" "$key"
	run azm ps -a --json
	has_not "$output" "$key"
}
