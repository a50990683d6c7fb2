#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# What people do in a sandbox, with the real programs: this host's own /usr is the image.
# shellcheck disable=SC2154,SC2016 # set by bats; quotes on purpose
load ../lib/common
load ../lib/host_usr

setup_file() {
	make_host_usr
	# git before 2.32 knows no GIT_CONFIG_GLOBAL.
	export GIT_CONFIG_GLOBAL=$BATS_FILE_TMPDIR/config/git/config XDG_CONFIG_HOME=$BATS_FILE_TMPDIR/config
	mkdir -p "${GIT_CONFIG_GLOBAL%/*}"
	printf '[user]\n\tname = user\n\temail = user@example.org\n[init]\n\tdefaultBranch = main\n' |
		tee "$GIT_CONFIG_GLOBAL" >"$IMAGE/root/.gitconfig"
}
setup() {
	WORK=$BATS_TEST_TMPDIR/work
	mkdir "$WORK"
}
teardown() { remove_sandboxes; }

in_work() { # SCRIPT: by sh, in the workspace
	inside --workspace "$WORK" -w /workspace -- sh -ec "$1"
}

# serve PORT COMMAND...: in the workspace; its URL outside is in $url
serve() {
	local name port=$1
	shift
	name=$(new_name)
	azm run -d --name "$name" --rootfs "$IMAGE" "${HOST_USR[@]}" --workspace "$WORK" -w /workspace -p "127.0.0.1:0:$port" -- "$@"
	url=http://$(azm port "$name" "$port" | head -1)
}

answers() { # URL TEXT
	http "$1" | grep -qx -- "$2"
}

all_mine() { [ -z "$(find "$WORK" ! -uid "$(id -u)" -print -quit)" ]; }

@test "git: a repository is cloned, branched, committed to and pushed inside; its files are the user's, the guard leaves nothing" {
	git init -q "$WORK/origin"
	echo one >"$WORK/origin/file"
	git -C "$WORK/origin" add file
	git -C "$WORK/origin" commit -q -m first
	run in_work 'git clone -q origin clone; cd clone; git checkout -q -b topic
		echo two >>file; git commit -q -a -m second; git push -q origin topic; git status --porcelain; git log --format=%s'
	is 0 "$status"
	is "$(printf 'second\nfirst')" "$output"
	is second "$(git -C "$WORK/origin" log -1 --format=%s topic)"
	is "$(printf 'one\ntwo')" "$(cat "$WORK/clone/file")"
	git -C "$WORK/clone" fsck --no-progress
	is "$(printf 'clone\norigin')" "$(ls -A "$WORK")"
	is '' "$(git -C "$WORK/origin" status --porcelain)$(git -C "$WORK/clone" status --porcelain)"
	all_mine
}

@test "Python: a project is built to a wheel, installed into its venv, tested and served" {
	mkdir "$WORK/greet"
	cat >"$WORK/pyproject.toml" <<-'END'
		[build-system]
		requires = ["setuptools"]
		build-backend = "setuptools.build_meta"
	END
	# setuptools before 61 reads the rest here only.
	cat >"$WORK/setup.cfg" <<-'END'
		[metadata]
		name = greet
		version = 1.0
		[options]
		packages = greet
		[options.entry_points]
		console_scripts = greet = greet:main
	END
	printf 'def main():\n\tprint("from the wheel")\n' >"$WORK/greet/__init__.py"
	cat >"$WORK/test_greet.py" <<-'END'
		import unittest, greet
		class Test(unittest.TestCase):
		    def test_main(self):
		        self.assertIsNone(greet.main())
	END
	run in_work '/usr/bin/python3 -m venv --system-site-packages --without-pip .venv
		/usr/bin/python3 -m pip wheel -q --no-index --no-deps --no-build-isolation -w dist .
		.venv/bin/python -m pip install -q --no-index --no-deps dist/*.whl
		.venv/bin/python -m unittest -q test_greet
		cd /tmp; /workspace/.venv/bin/greet'
	is 0 "$status"
	has "$output" '^OK$'
	is 2 "$(grep -c '^from the wheel$' <<<"$output")"
	all_mine
	serve 8000 .venv/bin/python -m http.server 8000
	wait_for 10 answers "$url/greet/__init__.py" 'def main():'
}

@test "Node: a project gets its local dependency from npm, is tested and served" {
	mkdir "$WORK/dependency"
	echo '{"name": "dependency", "version": "1.0.0"}' >"$WORK/dependency/package.json"
	echo 'module.exports = "from the dependency"' >"$WORK/dependency/index.js"
	cat >"$WORK/package.json" <<-'END'
		{ "name": "project", "version": "1.0.0", "scripts": { "test": "node test.js" } }
	END
	echo 'require("assert").equal(require("dependency"), "from the dependency"); console.log("tested")' >"$WORK/test.js"
	echo 'require("http").createServer((_, r) => r.end(require("dependency"))).listen(8000, "0.0.0.0")' >"$WORK/serve.js"
	run in_work 'npm install --offline --no-audit --no-fund --loglevel=error ./dependency; npm test'
	is 0 "$status"
	has "$output" '^tested$'
	is file:dependency "$(jq -r .dependencies.dependency "$WORK/package.json")"
	all_mine
	serve 8000 node serve.js
	wait_for 10 answers "$url/" 'from the dependency'
}

@test "gdb and strace work on what runs inside, and on nothing else" {
	run inside -- gdb -q -batch -ex 'break exit' -ex run -ex bt -ex kill /bin/true
	is 0 "$status"
	has "$output" '#0 .*exit'
	has_not "$output" 'disabling address space randomization'
	run inside -- strace -f -o /dev/stdout -e trace=execve sh -c 'true; exec true'
	is 0 "$status"
	has "$output" 'execve\("/(usr/)?bin/true"'
	run inside -- strace -p 1
	[ "$status" -ne 0 ]
	has "$output" 'Operation not permitted'
	run inside -- gdb -q -batch -p 1
	has "$output" 'Operation not permitted'
	run inside -- sh -c 'sleep 100 & exec gdb -q -batch -ex "info proc" -p $!'
	has "$output" "^cwd = '/'"
}

# perf itself is a package of its own for every kernel; its first system call is what counts.
@test "perf is refused, --seccomp with a profile of one's own lets the kernel decide" {
	local event='import ctypes, errno, platform
number = {"x86_64": 298}.get(platform.machine(), 241)
libc = ctypes.CDLL(None, use_errno=True)
attributes = (ctypes.c_uint32 * 32)(1, 128)
print("event", libc.syscall(number, attributes, 0, -1, -1, 0) >= 0 or errno.errorcode[ctypes.get_errno()])'
	echo '{"defaultAction": "SCMP_ACT_ALLOW"}' >"$BATS_TEST_TMPDIR/all.json"
	run inside -- /usr/bin/python3 -c "$event"
	is 'event EPERM' "$output"
	# What perf_event_paranoid says, or that there is no such counter: EACCES, ENOENT, or an event.
	run inside --seccomp "$BATS_TEST_TMPDIR/all.json" -- /usr/bin/python3 -c "$event"
	has "$output" '^event (True|EACCES|ENOENT)$'
}
