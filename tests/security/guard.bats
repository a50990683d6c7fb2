#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# Class W: what the agent leaves in the workspace must not command the user's own tools. Every attempt is really made
# from inside, by inside root; the host's tree is compared before and after.
# shellcheck disable=SC2154,SC2016,SC2030,SC2031 # set by bats; quotes on purpose; every test is a subshell
load ../lib/common

setup_file() {
	make_rootfs
	rootfs_programs /usr/bin/git
	mkdir -p "$ROOTFS/usr/lib/git-core"
	ln -s ../../bin/git "$ROOTFS/usr/lib/git-core/git"
	ln -s git "$ROOTFS/usr/bin/git-upload-pack"
	printf '[user]\n\tname = agent\n\temail = agent@example.org\n[safe]\n\tdirectory = *\n' >"$ROOTFS/root/.gitconfig"
	# The second is for a git before 2.32.
	export GIT_CONFIG_GLOBAL=$BATS_FILE_TMPDIR/config/git/config XDG_CONFIG_HOME=$BATS_FILE_TMPDIR/config
	mkdir -p "$XDG_CONFIG_HOME/git"
	printf '[user]\n\tname = user\n\temail = user@example.org\n[init]\n\tdefaultBranch = main\n' >"$GIT_CONFIG_GLOBAL"
}
setup() {
	WORK=$BATS_TEST_TMPDIR/work
	mkdir "$WORK"
	cd "$WORK" || return 1
}
teardown() {
	cd /
	remove_sandboxes
}

# A repository with a hook, a nested one, a submodule and an .npmrc that is a link.
make_project() {
	git init -q .
	echo one >file
	mkdir conf
	echo 'registry=https://example.org' >conf/npmrc
	ln -s conf/npmrc .npmrc
	printf '#!/bin/sh\n' >.git/hooks/pre-commit
	chmod +x .git/hooks/pre-commit
	echo /lib/ >>.git/info/exclude
	git init -q ../origin-of-module
	git -C ../origin-of-module commit -q --allow-empty -m module
	git -c protocol.file.allow=always submodule --quiet add ../origin-of-module module
	git init -q lib/nested
	git add file conf .npmrc
	git commit -q -m first
}

# Everything, with times but for directories, whose own the attempts change: remember_tree, and later same_tree.
tree() {
	find "$WORK" -path '*/.git/objects' -prune -o -type d -printf '%P %y %m\n' -o -printf '%P %y %m %s %T@ %l\n' | sort
}
remember_tree() { tree >"$BATS_TEST_TMPDIR/tree"; }
same_tree() { tree | diff "$BATS_TEST_TMPDIR/tree" -; }

in_work() { # SCRIPT: run by sh in /workspace
	sandbox --workspace "$WORK" -w /workspace -- /bin/sh -c "$1"
}

held='.gitmodules .envrc .vscode .idea .devcontainer .devcontainer.json .claude .codex .cursor .gemini .mcp.json
pyvenv.cfg pip.conf .npmrc .yarnrc .cargo'

@test "t-w1: absent names cannot be created, renamed to, linked to, and the host's tree gets nothing" {
	echo x >plain
	remember_tree
	run in_work "for name in $(tr '\n' ' ' <<<"$held"); do"'
		echo evil > $name && echo "written $name"
		mkdir -p $name/sub && echo "made $name/sub"
		echo evil > $name/settings.json && echo "written $name/settings.json"
		ln plain $name/x && echo "linked $name"
		ln -s plain $name/x && echo "symlinked $name"
		rmdir $name && echo "removed $name"
		mv $name other && echo "moved $name"
		echo evil > new; busybox mv -T new $name && echo "renamed over $name"
		mkdir -p newdir; busybox mv -T newdir $name && echo "directory renamed over $name"
		rm -rf new newdir
	done 2>/tmp/errors; grep -c . /tmp/errors; mkdir new; probe rename new .envrc; probe rename .envrc new; rmdir new'
	is 0 "$status"
	has_not "$output" 'written|made|linked|removed|moved|renamed'
	[ "$(head -1 <<<"$output")" -gt 100 ]
	is 'EBUSY EBUSY' "$(value rename.rename | tr '\n' ' ' | sed 's/ $//')"
	is 'EBUSY EBUSY' "$(value rename.exchange | tr '\n' ' ' | sed 's/ $//')"
	same_tree
}

@test "t-w1: present names keep content, mode and time: file, directory, link and its target" {
	make_project
	mkdir .vscode .claude
	echo '{}' >.vscode/settings.json
	echo '{}' >.claude/settings.json
	echo 'layout python' >.envrc
	remember_tree
	run in_work '
		for name in .envrc .npmrc conf/npmrc .vscode/settings.json .claude/settings.json .gitmodules; do
			echo evil >> $name && echo "written $name"
			rm -f $name && echo "removed $name"
			echo evil > /workspace/new; mv -f new $name && echo "renamed over $name"
			chmod 777 $name && echo "mode of $name"
			touch -d 2001-01-01 $name && echo "time of $name"
			ln $name /workspace/again && echo "hard-linked $name"
		done
		for name in .vscode .claude conf; do
			mv $name moved && echo "moved $name"
			rm -rf $name/settings.json $name/npmrc && [ ! -e $name/settings.json ] && [ ! -e $name/npmrc ] && echo "emptied $name"
		done
		rm -f new' 2>/dev/null
	is '' "$(grep -E '^(written|removed|renamed|mode|time|hard|moved|emptied)' <<<"$output")"
	same_tree
}

@test "t-w1: .git: hooks, config, commondir, the directory itself; submodule and nested repository too" {
	make_project
	remember_tree
	run in_work '
		for git in .git .git/modules/module lib/nested/.git; do
			echo "#!/bin/sh" > $git/hooks/post-checkout && echo "hook in $git"
			echo evil >> $git/hooks/pre-commit && echo "changed hook of $git"
			mv $git/hooks $git/h && echo "moved hooks of $git"
			printf "[core]\n\tfsmonitor = evil\n" >> $git/config && echo "config of $git"
			cp $git/config $git/c && mv -f $git/c $git/config && echo "renamed over config of $git"
			ln $git/config again && echo "linked config of $git"
			git -C $git config core.fsmonitor evil && echo "git config in $git"
			rm -f $git/c
			echo ../evil > $git/commondir && echo "commondir of $git"
			probe rename $git gone | grep =ok
			rm -rf $git/config $git/hooks && [ ! -e $git/config ] && echo "removed config of $git"
		done
		echo "gitdir: /workspace/evil" > module/.git && echo "worktree file"
		mv module/.git m && echo "moved worktree file"
		rm -f module/.git && echo "removed worktree file"' 2>/dev/null
	is '' "$(grep -E '^(hook|changed|moved|config|rename|linked|git|commondir|removed|worktree)' <<<"$output")"
	same_tree
}

@test "t-w1: the directory above a repository's .git cannot be exchanged at the top" {
	make_project
	run in_work 'mkdir y; probe rename .git x; probe rename y .git; probe rename /workspace /w2; rmdir y'
	is 'EBUSY EBUSY EBUSY' "$(value rename.rename | tr '\n' ' ' | sed 's/ $//')"
	[ -f .git/config ]
}

@test "t-w1: nothing of it can be unmounted or uncovered, with --nested either" {
	make_project
	echo good >.envrc
	run sandbox --workspace "$WORK" -w /workspace -- /bin/sh -c 'umount .envrc || umount -l .git/hooks; mount -o remount,rw,bind .envrc'
	[ "$status" -ne 0 ]
	run sandbox --nested --workspace "$WORK" -w /workspace -- /bin/sh -c '
		unshare -Urm sh -c "umount .envrc; umount -l .git/hooks; mount -o remount,rw,bind .envrc; echo evil > .envrc;
			mkdir -p /tmp/b; mount -o bind . /tmp/b && echo evil > /tmp/b/.envrc;
			mount -o rbind . /tmp/b && { umount /tmp/b/.envrc; echo evil > /tmp/b/.envrc; }; touch .git/hooks/x; true"'
	is good "$(cat .envrc)"
	[ ! -e .git/hooks/x ]
}

@test "t-w1: core.hooksPath and include.path: what they name is covered, present or absent" {
	make_project
	git config core.hooksPath .husky/_
	git config include.path ../team.gitconfig
	run in_work 'mkdir -p .husky/_ && echo "made"; echo evil > .husky/_/pre-commit && echo "hook"
		echo "[core]" > team.gitconfig && echo "include"; mv .husky x && echo "moved"' 2>/dev/null
	is '' "$(grep -E '^(made|hook|include|moved)' <<<"$output")"
	[ ! -e .husky ] && [ ! -e team.gitconfig ]
	mkdir -p .husky/_
	echo good >.husky/_/pre-commit
	echo '[core]' >team.gitconfig
	run in_work 'echo evil > .husky/_/pre-commit; echo evil > team.gitconfig; mv .husky x; rm -rf .husky; true'
	is good "$(cat .husky/_/pre-commit)"
	is '[core]' "$(cat team.gitconfig)"
	mkdir hooks
	echo good >hooks/pre-commit
	git config core.hooksPath "$WORK/hooks" # absolute, and yet in the directory
	run in_work 'echo evil > hooks/pre-commit; mv hooks x; true'
	is good "$(cat hooks/pre-commit)"
}

@test "t-w1: a .git file: what it names in the directory is covered, of a work tree its repository" {
	git init -q --separate-git-dir .bare main
	git -C main commit -q --allow-empty -m first
	git -C main worktree add -q ../linked
	rm -r main
	attempts='for file in .bare/hooks/post-checkout .bare/config .bare/worktrees/linked/commondir; do
			echo evil >> $file && echo "written $file"
		done; mv .bare away && echo moved; echo x > .bare/worktrees/linked/note || echo "not as usual"'
	run in_work "$attempts" 2>/dev/null
	is '' "$(grep -E '^(written|moved|not)' <<<"$output")"
	rm -r linked
	echo 'gitdir: ./.bare' >.git
	run in_work "$attempts" 2>/dev/null
	is '' "$(grep -E '^(written|moved|not)' <<<"$output")"
}

@test "every row of the documented table is what it says: held, covered when there, moved aside or listed" {
	local name how page=$TESTS/../docs/workspace-guard.md
	rows() { sed -nE 's/^\| `([^`]+)` \| (held|covered|listed) \|.*/\1 \2/p' "$page" | grep -v /; }
	is "$(echo "$held" | tr ' ' '\n' | sort)" "$(rows | sed -n 's/ held$//p' | sort)"
	[ "$(rows | wc -l)" -gt 40 ]
	mkdir absent present
	rows | while read -r name how; do echo good >"present/$name"; done
	git init -q absent
	run sandbox -v "$WORK/absent:/workspace" -v "$WORK/present:/present" --json -- /bin/sh -c "for name in $(rows | cut -d' ' -f1 | tr '\n' ' '); do
		echo evil > /workspace/\$name; echo evil > /present/\$name; rm -f /present/\$name; done 2>/dev/null"
	output=$(grep '^{.*"exited"' <<<"$output" | jq -r '.guard.findings[] | "\(.path) \(.action)"' | sed "s,^$WORK/,,")
	rows | while read -r name how; do
		case $how in
		held) [ ! -e "absent/$name" ] && is good "$(cat "present/$name")" ;;
		covered) [ ! -e "absent/$name" ] && [ -f "absent/$name.azm-quarantined" ] && is good "$(cat "present/$name")" ;;
		listed) [ -f "absent/$name" ] && has "$output" "^absent/$name seen" && [ ! -e "present/$name" ] ;;
		esac || {
			echo "$name is not $how"
			exit 1
		}
	done
}

@test "CVE-2026-25725: .claude/settings.json that is absent at the start does not appear" {
	run in_work 'mkdir -p .claude && echo "{\"hooks\":{}}" > .claude/settings.json'
	[ "$status" -ne 0 ]
	[ -z "$(ls -A)" ]
}

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

@test "git inside works: add, commit, branch, checkout, stash, rebase, merge, tag, worktree, gc; status is clean" {
	make_project
	run in_work 'set -e
		[ -z "$(git status --porcelain)" ] || { git status; exit 9; }
		echo two > two; git add -A; git commit -q -m two
		git branch topic; git checkout -q topic; echo three > three; git add .; git commit -q -m three
		echo dirty >> two; echo new > new; git stash -q -u; [ ! -e new ]; git stash pop -q; [ -e new ]; rm new; git checkout -q two
		git checkout -q main; echo four > four; git add .; git commit -q -m four
		git rebase -q topic; git merge -q topic; git tag v1
		git worktree add -q ../workspace/wt -b wt; git -C wt status --porcelain; echo w > wt/w; git -C wt add w; git -C wt commit -q -m w
		git worktree remove wt; git cherry-pick wt > /dev/null; git reset -q --hard HEAD~1; git reflog > /dev/null
		git gc -q; git fsck --no-progress --no-dangling; git submodule status > /dev/null 2>&1 || true
		[ -z "$(git status --porcelain)" ]; git log --format=%s | tr "\n" " "'
	is 0 "$status"
	is 'four three two first ' "$output"
	git fsck --no-progress --no-dangling
	is '' "$(git status --porcelain)"
}

@test "git outside works while the sandbox runs, and shows nothing of the guard" {
	local name
	name=$(new_name)
	make_project
	background "$name" --workspace "$WORK"
	is '' "$(git status --porcelain)"
	echo more >>file
	git commit -q -a -m more
	git worktree list >/dev/null
	git add -A
	is '' "$(git status --porcelain)"
	azm rm -f "$name"
	[ ! -e .envrc ] && [ ! -e .git/commondir ]
}

@test "what the user writes into a held directory meanwhile is the user's" {
	local name
	name=$(new_name)
	background "$name" --workspace "$WORK"
	echo mine >.vscode/settings.json
	run azm exec -w /workspace "$name" /bin/sh -c 'cat .vscode/settings.json; echo evil > .vscode/settings.json'
	has "$output" '^mine$'
	azm stop -t 0 "$name"
	is mine "$(cat .vscode/settings.json)"
	is .vscode "$(ls -A)"
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

@test "two sandboxes on one workspace: the names stay held until the last one ends" {
	local one two
	one=$(new_name)
	two=$(new_name)
	background "$one" --workspace "$WORK"
	background "$two" --workspace "$WORK"
	azm rm -f "$one"
	[ -d .envrc ]
	run azm exec -w /workspace "$two" /bin/sh -c 'echo evil > .envrc || rmdir .envrc'
	[ "$status" -ne 0 ]
	azm rm -f "$two"
	[ -z "$(ls -A)" ]
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

@test "--guard off: nothing is covered, nothing is said" {
	run sandbox --guard off --json --workspace "$WORK" -w /workspace -- /bin/sh -c 'echo x > .envrc; mkdir .vscode'
	is 0 "$status"
	has_not "$output" 'note|guard'
	is x "$(cat .envrc)"
	refused 125 'not one of on, off, report' azm run --rm --rootfs "$ROOTFS" --guard maybe -- /bin/true
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

@test "-v: a work tree is guarded as the workspace is, other directories keep what they have" {
	mkdir repo data
	git init -q repo
	echo good >data/.envrc
	run sandbox -v "$WORK/repo:/repo" -v "$WORK/data:/data" -- /bin/sh -c 'echo e > /repo/.envrc; echo e > /repo/.git/hooks/x
		echo e > /data/.envrc; mkdir /data/.vscode && echo ok > /data/.vscode/x; true'
	is good "$(cat data/.envrc)"
	is ok "$(cat data/.vscode/x)"
	[ ! -e repo/.envrc ] && [ ! -e repo/.git/hooks/x ]
	has "$output" 'data/.vscode/x changed while the sandbox ran'
}

@test "a volume that the user puts on a guarded name works" {
	mkdir "$BATS_TEST_TMPDIR/claude"
	run sandbox --workspace "$WORK" -v "$BATS_TEST_TMPDIR/claude:/workspace/.claude" -- /bin/sh -c 'echo x > /workspace/.claude/x'
	is 0 "$status"
	is x "$(cat "$BATS_TEST_TMPDIR/claude/x")"
	[ -z "$(ls -A)" ]
}

@test "a workspace of other rights: read-only to the user, a linked work tree, a bare .git link" {
	mkdir locked real
	chmod 555 locked
	run sandbox --workspace "$WORK/locked" -- /bin/sh -c 'echo x > /workspace/.envrc'
	[ "$status" -ne 0 ]
	has_not "$output" 'azm-sandbox:'
	chmod 755 locked
	git init -q --separate-git-dir "$WORK/real/there.git" real/here
	rm real/here/.git
	ln -s ../there.git real/here/.git
	run sandbox --workspace "$WORK/real/here" -- /bin/sh -c 'rm /workspace/.git || mv /workspace/.git /workspace/g'
	[ "$status" -ne 0 ]
	[ -L real/here/.git ]
	cd real
	WORK=$WORK/real
	run in_work 'echo x > there.git/hooks/x || mv there.git t'
	[ "$status" -ne 0 ]
}

@test "t-w3: known sockets of the host are refused, others at the top are reported" {
	python3 -c 'import socket
for name in "docker.sock", "other.sock", "keyring":
    if name == "keyring":
        import os; os.mkdir(name); name += "/ssh"
    socket.socket(socket.AF_UNIX).bind(name)'
	refused 125 'docker.sock in it would let the sandbox command Docker' sandbox -v "$WORK:/data:ro" -- /bin/true
	rm docker.sock
	refused 125 'keyring/ssh in it would let the sandbox command ssh-agent' sandbox --workspace "$WORK" -- /bin/true
	run sandbox --guard report -v "$WORK:/data:ro" -- /bin/true
	is 0 "$status"
	has "$output" 'can connect to the socket .*/keyring/ssh of ssh-agent'
	rm keyring/ssh
	run sandbox -v "$WORK:/data:ro" -- /bin/true
	is 0 "$status"
	has "$output" 'can connect to the socket .*/other.sock$'
	run sandbox --guard off -v "$WORK:/data:ro" -- /bin/true
	is '' "$output"
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
