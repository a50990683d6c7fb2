#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# Class W: what the guard finds when a sandbox has ended, or the next command after a crash: it is moved aside, listed, loses
# its set-id bits. What is covered while it runs is in guard.bats.
# shellcheck disable=SC2154,SC2016,SC2030,SC2031 # set by bats; quotes on purpose; every test is a subshell
load ../lib/common
load ../lib/guard

@test "CVE-2026-55607: a git directory elsewhere, named by .git or commondir, is found at the end" {
	make_project
	run in_work '
		git init -q --bare evil 2>/dev/null; printf "[core]\n\tbare = true\n\tfsmonitor = touch /tmp/owned\n" > evil/config
		mkdir -p trap split/objects split/refs; echo "gitdir: ../evil" > trap/.git
		printf "[core]\n\tsshCommand = evil\n" > split/config
		mkdir -p linked && echo "ref: refs/heads/main" > linked/HEAD && echo "../split" > linked/commondir'
	is 0 "$status"
	has "$output" 'evil/config moved aside \(git: sets core.fsmonitor\)'
	has "$output" 'split/config moved aside \(git: sets core.sshcommand\)'
	has "$output" 'linked/commondir moved aside'
	has "$output" 'trap/.git changed while the sandbox ran'
	[ -f evil/config.azm-quarantined ] && [ ! -e evil/config ]
	[ ! -e split/config ] && [ ! -e linked/commondir ]
}

@test "t-w1: a repository made inside works, its harmless configuration stays, its hooks do not" {
	git init -q "$BATS_TEST_TMPDIR/origin"
	git -C "$BATS_TEST_TMPDIR/origin" commit -q --allow-empty -m first
	run sandbox --workspace "$WORK" -v "$BATS_TEST_TMPDIR/origin:/origin:ro" -w /workspace -- /bin/sh -c '
		git clone -q /origin clone && cd clone && git config user.name agent && mkdir -p .git/hooks && git checkout -q -b topic &&
		echo x > x && git add x && git commit -q -m x && echo "#!/bin/sh" > .git/hooks/pre-push &&
		cd .. && git init -q other && git -C other config core.pager "sh -c evil"'
	is 0 "$status"
	has "$output" 'clone/.git/hooks/pre-push moved aside \(git: a hook\)'
	has "$output" 'other/.git/config moved aside \(git: sets core.pager\)'
	is topic "$(git -C clone branch --show-current)"
	is agent "$(git -C clone config user.name)"
	[ -f clone/.git/hooks/pre-push.azm-quarantined ]
}

@test "a held name that the host gave up, and that the sandbox took, is moved aside" {
	local name
	name=$(new_name)
	background "$name" --workspace "$WORK"
	rmdir .claude # as git clean would: the kernel drops the cover
	azm exec -w /workspace "$name" /bin/sh -c 'mkdir .claude && echo evil > .claude/settings.json; echo x > .yarnrc.yml'
	azm stop -t 0 "$name"
	wait_for 10 [ ! -e .claude ]
	is evil "$(cat .claude.azm-quarantined/settings.json)"
	[ -f .yarnrc.yml.azm-quarantined ]
	is 2 "$(inspect "$name" 'guard.findings | map(select(.action == "moved aside")) | length')"
	azm rm "$name"
}

@test "what the host gave up is moved aside, too, when something older takes its place" {
	local name
	name=$(new_name)
	git init -q .
	mkdir old oldhooks
	echo evil >old/settings.json
	echo evil >oldhooks/pre-commit
	printf '[core]\n\tfsmonitor = evil\n' >oldconfig
	background "$name" --workspace "$WORK"
	rmdir .claude
	rm -r .git/hooks .git/config
	azm exec -w /workspace "$name" /bin/sh -c 'mv old .claude; mv oldhooks .git/hooks; touch .git/hooks/pre-commit; mv oldconfig .git/config; touch .git/config'
	azm stop -t 0 "$name"
	wait_for 10 [ ! -e .claude ]
	is evil "$(cat .claude.azm-quarantined/settings.json)"
	is evil "$(cat .git/hooks/pre-commit.azm-quarantined)"
	[ ! -e .git/hooks/pre-commit ] && [ ! -e .git/config ] && [ -e .git/config.azm-quarantined ]
	azm rm "$name"
}

@test "a second file of the same name is quarantined beside the first" {
	run in_work 'echo 1 > .mise.toml'
	run in_work 'echo 2 > .mise.toml'
	is 1 "$(cat .mise.toml.azm-quarantined)"
	is 2 "$(cat .mise.toml.azm-quarantined.1)"
}

@test "after a crash the next command cleans up and reports, and the workspace is as it was" {
	local name
	name=$(new_name)
	make_project
	remember_tree
	background "$name" --workspace "$WORK"
	azm exec -w /workspace "$name" /bin/sh -c 'git init -q evil; mkdir -p evil/.git/hooks; echo "#!/bin/sh" > evil/.git/hooks/pre-commit'
	[ -d .envrc ]
	kill -KILL "$(supervisor_of "$name")"
	wait_for 10 is_not_running "$name"
	run azm gc
	is 0 "$status"
	has "$output" 'evil/.git/hooks/pre-commit moved aside'
	rm -rf evil
	same_tree
	run azm gc
	is '' "$output"
}

@test "after a crash start, cp and rm look first, too: nothing is lost by what they mount or remove" {
	local name verb
	name=$(new_name)
	make_project
	remember_tree
	for verb in start cp rm; do
		background "$name" --workspace "$WORK"
		azm exec -w /workspace "$name" /bin/sh -c 'git init -q evil; mkdir -p evil/.git/hooks .zed
			echo "#!/bin/sh" > evil/.git/hooks/pre-commit; echo {} > .zed/tasks.json'
		kill -KILL "$(supervisor_of "$name")"
		wait_for 10 is_not_running "$name"
		case $verb in
		cp) run azm cp "$name:/etc/passwd" "$BATS_TEST_TMPDIR" ;;
		*) run azm "$verb" "$name" ;;
		esac
		is 0 "$status" "$verb"
		has "$output" 'evil/.git/hooks/pre-commit moved aside'
		has "$output" '/.zed moved aside'
		azm rm -f "$name"
		rm -rf evil .zed*
		same_tree
	done
}

@test "a guard.json that is damaged or gone is no guard that was not there" {
	local name damage record
	name=$(new_name)
	export AZM_STATE_DIR=$BATS_TEST_TMPDIR/state
	record=$AZM_STATE_DIR/sandboxes/$name/guard.json
	make_project
	remember_tree
	for damage in 'truncate -s 40' 'truncate -s 0' 'chmod 0' 'rm' 'ln -sf /dev/null'; do
		background "$name" --workspace "$WORK"
		azm exec -w /workspace "$name" /bin/sh -c 'git init -q evil; mkdir -p evil/.git/hooks .zed
			echo "#!/bin/sh" > evil/.git/hooks/pre-commit; echo {} > .zed/tasks.json'
		printf '#!/bin/sh\n' >.git/hooks/mine
		if [ "$damage" = rm ]; then
			$damage "$record"
			run azm stop -t 0 "$name"
			is true "$(azm inspect "$name" | jq .[0].guard.record_lost)"
			output=$(azm inspect "$name" | jq -r '.[0].guard.findings[] | .path + " " + .action')
			has "$output" '/.zed/tasks.json listed'
		else
			kill -KILL "$(supervisor_of "$name")"
			wait_for 10 is_not_running "$name"
			$damage "$record"
			run azm gc
			is 0 "$status" "$damage"
			has "$output" 'warning: guard: what it knew .* is lost \(guard.json: .*\): what has changed is listed'
			has "$output" '/.zed/tasks.json changed while'
			has "$output" '/.git/hooks/mine changed while'
		fi
		has "$output" 'evil/.git/hooks/pre-commit moved aside'
		rm -rf evil .zed .git/hooks/mine
		same_tree
		azm rm -f "$name"
	done
	background "$name" --workspace "$WORK"
	kill -KILL "$(supervisor_of "$name")"
	wait_for 10 is_not_running "$name"
	chmod 0 "${record%/*}/sweep"
	run azm gc
	has "$output" 'warning: which directories a sandbox could write to cannot be read \(sweep: Permission denied\)'
	same_tree
}

@test "a start that is killed at any moment leaves no held name behind, after gc" {
	local step pid name
	name=$(new_name)
	make_project
	remember_tree
	for step in $(seq 0 2 30); do
		spawn /dev/null "$AZM" run --rm --name "$name" --rootfs "$ROOTFS" --workspace "$WORK" -- /bin/probe sleep-forever
		pid=$SPAWNED
		python3 -c "import time; time.sleep($step / 2000)"
		kill -KILL "$pid" 2>/dev/null
		wait "$pid" || true
		wait_for 10 sh -c "! pgrep -u $(id -u) -x 'probe|azm-init|azm-sandbox'"
	done
	azm gc
	same_tree
	[ -z "$(find "${XDG_RUNTIME_DIR:-/tmp/azm-sandbox-$(id -u)}" -name 'guard-*')" ]
}

@test "--guard report: nothing is covered, everything is listed, nothing is moved" {
	local json
	make_project
	run sandbox --guard report --json --workspace "$WORK" -w /workspace -- /bin/sh -c 'echo evil > .envrc &&
		mkdir .vscode && echo "{}" > .vscode/tasks.json && echo "#!/bin/sh" > .git/hooks/post-merge &&
		git config core.fsmonitor evil && echo all: > Makefile && mkdir -p node_modules/a && echo > node_modules/a/.npmrc'
	is 0 "$status"
	json=$(grep '^{.*"exited"' <<<"$output")
	is report "$(jq -r .guard.mode <<<"$json")"
	is ".envrc .git/config .git/hooks/post-merge .vscode .vscode/tasks.json Makefile" "$(jq -r '.guard.findings[].path' <<<"$json" |
		sed "s,^$WORK/,," | sort | tr '\n' ' ' | sed 's/ $//')"
	is 'listed seen' "$(jq -r '.guard.findings[].action' <<<"$json" | sort -u | tr '\n' ' ' | sed 's/ $//')"
	has "$output" 'Makefile changed while the sandbox ran'
	is evil "$(cat .envrc)"
	[ -z "$(find . -name '*azm-quarantined*')" ]
}

@test "t-w2: what was changed in a nested directory is listed, what packages bring along is not" {
	mkdir -p sub/.vscode
	echo '{}' >sub/.vscode/old.json
	# What changed within a tick of the clock before the start counts as changed since.
	wait_for 5 sh -c '[ $(($(date +%s%N) / 1000000 - 200)) -gt $(($(stat -c %.9Z sub/.vscode/old.json | tr -d .) / 1000000)) ]'
	run in_work 'echo x > sub/.vscode/settings.json; echo x > sub/.envrc; mkdir -p node_modules/p/.vscode; echo x > node_modules/p/.vscode/a
		echo x > sub/Makefile; echo x > Makefile'
	is 0 "$status"
	has "$output" 'sub/.vscode/settings.json changed while the sandbox ran'
	has "$output" 'sub/.envrc changed'
	has_not "$output" 'node_modules|Makefile|old.json'
	[ -f sub/.envrc ]
}

@test "a flood of what is only listed hides nothing else" {
	run in_work 'mkdir -p .openhands/x; for i in $(seq 300); do echo x > .openhands/$i; done; echo x > .openhands/x/.envrc'
	is 0 "$status"
	has "$output" 'x/.envrc changed'
	has_not "$output" 'openhands/[0-9]|more'
}

@test "names with control characters are printed harmlessly" {
	run in_work 'mkdir -p "$(printf "a\033[31mb")"; echo x > "$(printf "a\033[31mb")/.envrc"'
	is 0 "$status"
	has "$output" 'envrc changed'
	has_not "$output" "$(printf '\033')"
}

@test "t-w4: set-id bits and the guard share one look, for root inside and for others" {
	run in_work 'cp /bin/busybox tool; chmod 4755 tool; echo x > .mise.toml'
	has "$output" 'took the set-id bits from .*/tool'
	has "$output" '.mise.toml moved aside'
	is 755 "$(stat -c %a tool)"
	rm -f .mise* tool
	run sandbox --user 1000 --workspace "$WORK" -w /workspace -- /bin/sh -c 'echo x > .mise.toml'
	has "$output" '.mise.toml moved aside'
}

@test "t-w4: set-id bits deeper than a path can say are found, or it is said that nobody looked" {
	local name
	name=$(printf 'd%.0s' {1..200})
	run in_work 'deeper() { for i in $(seq $1); do mkdir '"$name"' && cd -P '"$name"' || exit 1; done; }
		deeper 30; cp /bin/busybox tool; chmod 4755 tool; deeper 60; cp /bin/busybox tool; chmod 4755 tool'
	is 0 "$status"
	is 1 "$(grep -c 'took the set-id bits from .*/tool, which' <<<"$output")"
	has "$output" '[0-9]+ files or directories below .* could not be looked at: find .* -perm /6000'
	is 1 "$(find . -name tool -perm /6000 | wc -l)"
	is 2 "$(find . -name tool | wc -l)"
}

@test "t-w4: file systems that are mounted in the workspace are looked at as well" {
	mkdir "$BATS_TEST_TMPDIR/run" mounted proc
	chmod 700 "$BATS_TEST_TMPDIR/run"
	XDG_RUNTIME_DIR=$BATS_TEST_TMPDIR/run AZM_STATE_DIR=$BATS_TEST_TMPDIR/state AZM_KEEPER_GRACE=0 run timeout 60 \
		unshare --user --map-current-user --keep-caps --mount --pid --fork --mount-proc --kill-child sh -ec '
		mount -t tmpfs -o mode=755 tmpfs mounted
		mount -t proc proc proc
		mkdir mounted/sub
		setpriv --ambient-caps=-all --inh-caps=-all "$AZM" run --rm --rootfs "$ROOTFS" --workspace "$0" -w /workspace -- \
			/bin/sh -c "cp /bin/busybox mounted/sub/tool; chmod 4755 mounted/sub/tool; stat -c \"inside %a\" mounted/sub/tool"
		stat -c "outside %a" mounted/sub/tool' "$WORK" 3>&-
	has "$output" '^inside 4755$'
	has "$output" 'took the set-id bits from .*/mounted/sub/tool'
	has "$output" '^outside 755$'
	has_not "$output" 'could not be looked at'
	is 0 "$status"
}
