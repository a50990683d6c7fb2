#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# Class W: what the agent leaves in the workspace must not command the user's own tools. Every attempt is really made
# from inside, by inside root; the host's tree is compared before and after. Here is what is covered while a sandbox runs;
# what is found at its end is in guard_end.bats.
# shellcheck disable=SC2154,SC2016,SC2030,SC2031 # set by bats; quotes on purpose; every test is a subshell
load ../lib/common
load ../lib/guard

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

@test "--guard off: nothing is covered, nothing is said" {
	run sandbox --guard off --json --workspace "$WORK" -w /workspace -- /bin/sh -c 'echo x > .envrc; mkdir .vscode'
	is 0 "$status"
	has_not "$output" 'note|guard'
	is x "$(cat .envrc)"
	refused 125 'not one of on, off, report' azm run --rm --rootfs "$ROOTFS" --guard maybe -- /bin/true
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
