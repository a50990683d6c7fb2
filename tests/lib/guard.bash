# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# guard.bash: a workspace with projects in it, for suites about the guard.

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
