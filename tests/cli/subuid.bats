#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# runner: subuid
# A user with sub-ids: 65536 ids inside, the sandbox's user is the caller, every other one a sub-id.
# shellcheck disable=SC2154,SC2016,SC2030,SC2031 # set by bats; quotes on purpose; every test is a subshell
load ../lib/common

# CHOWN DAC_OVERRIDE FOWNER FSETID KILL SETGID SETUID SETPCAP NET_BIND_SERVICE SYS_CHROOT SETFCAP
readonly ROOT_CAPS=00000000800405fb
readonly NO_CAPS=0000000000000000

has_subids() {
	[ -n "${AZM_SUBUID_START:-}" ] || { command -v newuidmap && grep -q "^\($(id -un)\|$(id -u)\):" /etc/subuid; } >/dev/null 2>&1
}

setup_file() {
	make_rootfs
	echo 'nobody:x:65534:65534:nobody:/:/bin/sh' >>"$ROOTFS/etc/passwd"
}
setup() {
	has_subids || skip 'this user has no sub-ids (a run started by root makes one that has)'
	WORK=$BATS_TEST_TMPDIR/work
	mkdir "$WORK"
}
teardown() { remove_sandboxes; }

# A layer that its user cannot remove: closed directories of other ids, a sticky one.
readonly FOREIGN='mkdir -p -m 700 /d/e && touch /d/e/f && chown -R 5:5 /d && mkdir -m 1777 /s && chown 7:7 /s &&
	su user -c "mkdir -m 0 /s/closed" && touch /made'

supervisor_of() { # NAME
	azm inspect "$1" | jq -r '.[0].supervisor_pid'
}

upper_of() { # NAME
	azm inspect "$1" | jq -r '.[0].upper'
}

caps_are() { # EFFECTIVE: the sets in $output
	is "$NO_CAPS" "$(value caps.CapInh)" inheritable &&
		is "$1" "$(value caps.CapPrm)" permitted &&
		is "$1" "$(value caps.CapEff)" effective &&
		is "$ROOT_CAPS" "$(value caps.CapBnd)" bounding &&
		is "$NO_CAPS" "$(value caps.CapAmb)" ambient &&
		is 2 "$(value caps.Seccomp)" seccomp &&
		is 0 "$(value caps.NoNewPrivs)" no_new_privs
}

no_probe() { # MARK: no probe of that mark runs
	! pgrep -f "^probe [a-z-]+ $1\$"
}

# Processes of the caller's sub-ids.
subid_processes() {
	awk -v start="${AZM_SUBUID_START:-$(awk -F: -v n="$(id -un)" '$1 == n { print $2; exit }' /etc/subuid)}" '
		/^Name:/ { name = $2 } /^State:/ { state = $2 }
		/^Uid:/ && $2 >= start && $2 < start + 65536 && state != "Z" { print name }
	' /proc/[0-9]*/status 2>/dev/null
}

# ---- who is who ---------------------------------------------------------------------------------------------------

@test "sub-ids: all ids from 0 to 65535 exist, the sandbox's user is the caller" {
	run sandbox -- /bin/probe ids
	is 0 "$status"
	is "$(printf ' 0 0 1\n 1 1 65535')" "$(value ids.uid_map | tr -s ' ')"
	is allow "$(value ids.setgroups)"
	run sandbox --user 1234:4321 -- /bin/probe ids
	is '1234 1234 1234' "$(value ids.uid)"
	is '4321 4321 4321' "$(value ids.gid)"
	is "$(printf ' 0 1 1234\n 1234 0 1\n 1235 1235 64301')" "$(value ids.uid_map | tr -s ' ')"
	is "$(printf ' 0 1 4321\n 4321 0 1\n 4322 4322 61214')" "$(value ids.gid_map | tr -s ' ')"
	for id in 1 65534 65535; do
		run sandbox --user "$id" -v "$WORK:/w" -- /bin/sh -c 'id -u; echo > /w/by-$(id -u)'
		is "$id" "$output"
		is "$(id -u) $(id -g)" "$(stat -c '%u %g' "$WORK/by-$id")"
	done
	refused 125 '65536' sandbox --user 65536 -- /bin/true
}

@test "sub-ids: root inside changes owners, groups and users for real" {
	run sandbox -- /bin/sh -ec '
		touch /file && chown 1000:4321 /file && stat -c "owner %u %g" /file
		su user -c "id; test -O /file && echo mine; touch /home/user/x 2>/dev/null || echo not-mine"'
	is 0 "$status"
	has "$output" '^owner 1000 4321$'
	has "$output" '^uid=1000\(user\) gid=1000\(user\) groups=.*4321\(agents\)'
	has "$output" '^mine$'
	has "$output" '^not-mine$'
}

@test "t-u2 with sub-ids: root's eleven capabilities, none of another user's, no no_new_privs unless asked for" {
	local name user
	run sandbox -- /bin/probe caps
	caps_are "$ROOT_CAPS"
	run sandbox --user 1000 -- /bin/probe caps
	caps_are "$NO_CAPS"
	run sandbox --no-new-privileges -- /bin/probe caps
	is 1 "$(value caps.NoNewPrivs)"
	is "$ROOT_CAPS" "$(value caps.CapEff)"
	name=$(new_name)
	background "$name" --user 1000
	run azm exec "$name" probe caps
	caps_are "$NO_CAPS"
	run azm exec -u 0 "$name" probe caps
	caps_are "$ROOT_CAPS"
	for user in nobody 1 1234:4321; do
		run azm exec -u "$user" "$name" probe caps
		caps_are "$NO_CAPS"
	done
}

@test "exec -u: root, names, numbers, with the groups the image gives them" {
	local name
	name=$(new_name)
	background "$name" --user 1000
	run azm exec "$name" id
	is 'uid=1000(user) gid=1000(user) groups=4321(agents)' "$output"
	run azm exec -u 0 "$name" probe ids
	is '0 0 0' "$(value ids.uid)"
	is '0 0 0' "$(value ids.gid)"
	is '' "$(value ids.group)"
	run azm exec -u nobody "$name" probe ids
	is '65534 65534 65534' "$(value ids.uid)"
	is '' "$(value ids.group)"
	run azm exec -u 7:8 "$name" probe ids
	is '7 7 7' "$(value ids.uid)"
	is '8 8 8' "$(value ids.gid)"
	refused 125 '65536' azm exec -u 65536 "$name" id
}

@test "a set-uid program of the layer works, --no-new-privileges stops it" {
	local make='cp /bin/probe /bin/suid && chmod 4755 /bin/suid && su user -c "suid ids; suid caps"'
	run sandbox -- /bin/sh -c "$make"
	is 0 "$status"
	is '1000 0 0' "$(value ids.uid)"
	is "$ROOT_CAPS" "$(value caps.CapEff)"
	is "$ROOT_CAPS" "$(value caps.CapBnd)"
	is 2 "$(value caps.Seccomp)"
	run sandbox --no-new-privileges -- /bin/sh -c "$make"
	is 0 "$status"
	is '1000 1000 1000' "$(value ids.uid)"
	is "$NO_CAPS" "$(value caps.CapEff)"
}

@test "t-u3 with sub-ids: the caller's groups stay with the caller's own id, nobody else has them" {
	[ -d "${AZM_SUBUID_SHARED:-}" ] || skip 'only a run started by root has a group to share'
	local name user
	for user in 0 1234; do
		# DAC_OVERRIDE of inside root does not reach root's files: the groups decide.
		run sandbox --user "$user" -v "$AZM_SUBUID_SHARED:/shared" -- /bin/sh -c \
			'cat /shared/project/file; cat /shared/closed; echo new > /shared/project/by-$(id -u)'
		has "$output" '^members$'
		has_not "$output" '^closed$'
		[ -O "$AZM_SUBUID_SHARED/project/by-$user" ]
	done
	name=$(new_name)
	background "$name" -v "$AZM_SUBUID_SHARED:/shared"
	run azm exec "$name" cat /shared/project/file
	is members "$output"
	run azm exec -u nobody "$name" cat /shared/project/file
	has_not "$output" '^members$'
	[ "$status" -ne 0 ]
}

# ---- what every user inside can use -------------------------------------------------------------------------------

@test "every user inside can enter /, and what was copied on write" {
	mkdir "$WORK/shared" "$WORK/private"
	chmod 755 "$WORK/shared"
	chmod 700 "$WORK/private"
	local name
	name=$(new_name)
	(umask 077 && background "$name" -v "$WORK/shared:/shared:overlay" -v "$WORK/private:/private:overlay" -w /new/dir)
	run azm exec -u nobody "$name" sh -c 'ls / /shared /new/dir >/dev/null && echo entered; ls /private; touch /x'
	has "$output" '^entered$'
	has "$output" 'ls: .*/private.*denied'
	has "$output" 'touch: /x.*denied'
	is 755 "$(azm exec "$name" stat -c %a /)"
	run azm exec -u nobody "$name" sh -c 'echo > /dev/null && echo > /dev/shm/x && echo > /tmp/x && head -c 1 /dev/urandom | wc -c'
	is 1 "$output"
}

@test "exec -u: the terminal and the standard streams belong to the command's user" {
	local name
	name=$(new_name)
	background "$name" --user 1000
	for user in 0 1000 nobody; do
		run azm exec -u "$user" "$name" sh -c 'echo out > /dev/stdout; echo err > /dev/stderr'
		is 0 "$status"
		is "$(printf 'out\nerr')" "$output"
		run "$TESTS/lib/pty-run.py" -- "$AZM" exec -it -u "$user" "$name" sh -c \
			'echo written > $(tty); stat -c "mode %a group %g" $(tty)'
		is 0 "$status"
		has "$output" '^written'
		has "$output" '^mode 620 group 5'
	done
	run azm exec -i -u nobody "$name" sh -c 'cat /dev/stdin' <<<hello
	is hello "$output"
}

@test "a command of exec ends with its client, whoever it runs as" {
	local name user client
	name=$(new_name)
	background "$name"
	for user in 0 1000 nobody; do
		"$AZM" exec -u "$user" "$name" probe ignore-term "mark-$user" >"$BATS_TEST_TMPDIR/out" 2>&1 3>&- &
		client=$!
		wait_for 10 pgrep -f "^probe ignore-term mark-$user"
		kill -KILL "$client"
		wait "$client" || true
		wait_for 10 no_probe "mark-$user"
	done
}

# ---- whose files --------------------------------------------------------------------------------------------------

@test "the workspace belongs to the caller on both sides, by --user and by SANDBOX_USER_ID" {
	local user
	echo outside >"$WORK/from-host"
	chmod 600 "$WORK/from-host"
	for user in 0 1000 1234:4321; do
		run sandbox --user "$user" --workspace "$WORK" -- /bin/sh -ec 'cat /workspace/from-host
			echo inside > /workspace/made; mkdir -p /workspace/dir/sub; echo more >> /workspace/from-host
			stat -c "%u %g" /workspace/from-host /workspace/made /workspace'
		is 0 "$status" "$user"
		local expected=${user/:/ }
		case $user in 0) expected='0 0' ;; 1000) expected='1000 1000' ;; esac
		is 3 "$(grep -cx "$expected" <<<"$output")" "owner inside as $user"
		is "$(id -u) $(id -g)" "$(stat -c '%u %g' "$WORK/made")"
		is "$(id -u) $(id -g)" "$(stat -c '%u %g' "$WORK/dir/sub")"
		rm -rf "$WORK/made" "$WORK/dir"
	done
	SANDBOX_USER_ID=1000 run sandbox --workspace "$WORK" -- /bin/sh -c 'id -u; stat -c %u /workspace; touch /workspace/by-id'
	is "$(printf '1000\n1000')" "$output"
	is "$(id -u) $(id -g)" "$(stat -c '%u %g' "$WORK/by-id")"
}

@test "rm and rm -f remove what other ids own in the layer" {
	local name upper
	for user in 0 1000; do
		name=$(new_name)
		background "$name" --user "$user"
		azm exec -u 0 "$name" sh -c "$FOREIGN"
		upper=$(upper_of "$name")
		[ -d "$upper/d" ]
		if [ "$user" = 0 ]; then
			azm stop -t 1 "$name"
			run --separate-stderr azm rm "$name"
		else
			run --separate-stderr azm rm -f "$name"
		fi
		is 0 "$status"
		is '' "$stderr"
		[ ! -e "${upper%/upper}" ]
	done
}

# One that finds another at work ends at once, but is there for a moment.
keepers() { pgrep -u "$(id -u)" -x azm-keeper; }
keepers_are() { [ "$(keepers)" = "$1" ]; }
keepers_are_many() { [ "$(keepers | wc -l)" -eq "$1" ]; }

@test "rm in a keeper's time leaves the running network alone" {
	local one two keepers
	one=$(new_name) two=$(new_name)
	background "$one" -- /bin/sh -c "$FOREIGN"
	background "$two"
	wait_for 10 keepers_are_many 1
	keepers=$(keepers)
	wait_for 10 is_not_running "$one"
	azm rm "$one"
	wait_for 10 keepers_are "$keepers"
	run sandbox -- /bin/probe net
	is 0 "$status"
	wait_for 10 keepers_are "$keepers"
}

@test "--rm leaves nothing, whoever owned it" {
	local name dir before
	name=$(new_name)
	background "$name" # an earlier test's that is still being removed is not what this one is about
	before=$(dirname "$(dirname "$(upper_of "$name")")")
	before=$(ls -A "$before")
	azm rm -f "$name"
	run --separate-stderr azm run --rm --name "$name" --rootfs "$ROOTFS" -- /bin/sh -c "$FOREIGN"
	is 0 "$status"
	is '' "$stderr"
	background "$name" --rm -- /bin/sh -c "$FOREIGN; exec probe sleep-forever"
	wait_for 10 azm exec "$name" test -e /made
	dir=$(dirname "$(upper_of "$name")")
	azm stop -t 1 "$name"
	[ ! -e "$dir" ]
	wait_for 10 is_empty "$(dirname "$dir")" "$before" || { ls -laR "$(dirname "$dir")"; pgrep -a azm-; return 1; }
}

@test "a supervisor that is killed leaves no process, and gc removes what other ids own" {
	local name dir
	name=$(new_name)
	background "$name" --rm -- /bin/sh -c "$FOREIGN; su user -c 'exec probe sleep-forever mark-$name'"
	wait_for 10 azm exec "$name" test -e /made
	wait_for 10 subid_processes_are_some
	azm exec -u nobody "$name" probe sleep-forever "mark-$name" >/dev/null 2>&1 &
	dir=$(dirname "$(upper_of "$name")")
	kill -KILL "$(supervisor_of "$name")"
	wait_for 10 no_probe "mark-$name"
	wait_for 10 subid_processes_are_none
	[ -d "$dir/upper/d" ]
	run azm gc
	is 0 "$status"
	[ ! -e "$dir" ]
}

# is_empty DIR NAMES: nothing in it but NAMES, and nothing of another id. What is kept for the next sandboxes are empty
# directories of ours.
# A directory .new-* is a spare one that was taken before who gave it had ended: empty, and the next command's to remove.
is_empty() {
	! find "$1" -mindepth 1 -maxdepth 1 ! -name '.spare-[0-3]' ! -name '.new-*' -printf '%f\n' | grep -qvxF "$2" &&
		[ -z "$(find "$1" \( -path '*/.spare-*' -o -path '*/.new-*' \) ! -uid "$(id -u)")" ]
}
subid_processes_are_some() { [ -n "$(subid_processes)" ]; }
subid_processes_are_none() { [ -z "$(subid_processes)" ]; }

# ---- set-id files -------------------------------------------------------------------------------------------------

readonly SET_ID='cd /workspace && for f in mine theirs closed/deep; do mkdir -p closed; cp /bin/probe $f; done
	chown 7:7 theirs closed/deep && chmod 6755 mine theirs closed/deep && chown 8:8 closed && chmod 700 closed &&
	stat -c "mode %a" mine theirs closed/deep'

# From inside: on the host a directory of another id is closed to the one it was made for, who cannot remove it either.
set_id_left() {
	sandbox -v "$WORK:/w" -- /bin/sh -c 'find /w -type f -perm +6000; rm -r /w/closed'
}

@test "t-w4 with sub-ids: set-id bits work in the layer, and are gone from the workspace after the end" {
	run sandbox --user 1000 -- /bin/sh -c 'cp /bin/probe /tmp/p && chmod 4755 /tmp/p && stat -c %a /tmp/p'
	is 4755 "$output"
	run sandbox --workspace "$WORK" -- /bin/sh -c "$SET_ID"
	is 3 "$(grep -c '^mode 6755$' <<<"$output")"
	is 3 "$(grep -c 'note: took the set-id bits from' <<<"$output")"
	run set_id_left
	is '' "$output"
}

@test "t-w4 with sub-ids: after kill -9 the next command takes them" {
	local name
	name=$(new_name)
	background "$name" --workspace "$WORK"
	azm exec "$name" sh -c "$SET_ID"
	kill -KILL "$(supervisor_of "$name")"
	wait_for 10 is_not_running "$name"
	[ -u "$WORK/mine" ]
	run azm gc
	is 0 "$status"
	is 3 "$(grep -c 'note: took the set-id bits from' <<<"$output")"
	run set_id_left
	is '' "$output"
}

# ---- beside one id ------------------------------------------------------------------------------------------------

@test "t-w1 with sub-ids: the workspace guard holds against root inside, who is another id than the caller" {
	git init -q "$WORK"
	echo good >"$WORK/.npmrc"
	run sandbox --user 0 --workspace "$WORK" -w /workspace -- /bin/sh -c '
		echo evil > .npmrc; echo evil > .envrc; mkdir .vscode/x; echo evil >> .git/config; echo x > .git/hooks/x
		probe rename .git g; mkdir -p -m 700 new/objects new/refs new/hooks; echo x > new/hooks/pre-commit
		printf "[core]\n\tpager = evil\n" > new/config; chown -R 5:5 new; echo x > .mise.toml'
	is good "$(cat "$WORK/.npmrc")"
	is EBUSY "$(value rename.rename)"
	[ ! -e "$WORK/.envrc" ] && [ ! -e "$WORK/.vscode" ] && [ ! -e "$WORK/.git/hooks/x" ] && [ ! -e "$WORK/.git/commondir" ]
	has "$output" 'new/config moved aside'
	has "$output" 'new/hooks/pre-commit moved aside'
	[ -e "$WORK/.mise.toml.azm-quarantined" ]
	azm run --rm --user 0 --rootfs "$ROOTFS" -v "$WORK:/w" --guard off -- /bin/rm -r /w/new
}

@test "--userns single beside it: one id, root emulation, a network of its own" {
	local wide single
	wide=$(new_name) single=$(new_name)
	background "$wide"
	background "$single" --userns single
	wait_for 10 keepers_are_many 2
	is false "$(azm inspect "$wide" | jq '.[0].single_id')"
	is true "$(azm inspect "$single" | jq '.[0].single_id')"
	run azm exec "$single" probe ids caps identity
	is 1 "$(value ids.uid_map | wc -l)"
	is deny "$(value ids.setgroups)"
	is 1 "$(value caps.NoNewPrivs)"
	is ok "$(value identity.setuid)"
	refused 125 'single id' azm exec -u 1000 "$single" id
	run azm exec "$wide" probe ids
	is 2 "$(value ids.uid_map | wc -l)"
	run azm exec "$wide" su user -c 'id -u'
	is 1000 "$output"
}

@test "on a network with a name both kinds meet, whoever comes first" {
	local first second order
	for order in 'auto single' 'single auto'; do
		first=$(new_name) second=$(new_name)
		azm network create "n$first"
		background "$first" --network "n$first" --userns "${order% *}" -- /bin/probe fake-server 8000
		background "$second" --network "n$first" --userns "${order#* }"
		wait_for 10 azm exec "$second" probe connect "$(inspect "$first" ip)" 8000
		run azm exec "$second" nslookup "$first"
		has "$output" "^Address: $(inspect "$first" ip)$"
		is "$(jq -c 'map(. == "single")' <<<"[\"${order/ /\",\"}\"]")" "[$(inspect "$first" single_id),$(inspect "$second" single_id)]"
		azm rm -f "$first" "$second"
		azm network rm "n$first"
	done
}

@test "where newuidmap can gain nothing there is one id, and doctor says why" {
	run azm doctor --json
	is "${AZM_SUBUID_START:-}" "$([ -z "${AZM_SUBUID_START:-}" ] || grep -o "$AZM_SUBUID_START" <<<"$output" | head -1)"
	run setpriv --no-new-privs "$AZM" doctor
	has "$output" 'sub-ids.*no_new_privs'
	AZM_STATE_DIR=$BATS_TEST_TMPDIR/state XDG_RUNTIME_DIR='' run setpriv --no-new-privs "$AZM" run --rm --rootfs "$ROOTFS" \
		--userns auto -- /bin/probe ids
	is 0 "$status"
	is '0 0 0' "$(value ids.uid)"
}

@test "commit: an image has the owners the sandbox sees, whoever the files belong to on this host" {
	local name second out=$WORK/image
	name=$(new_name)
	second=$(new_name)
	azm run --name "$name" --rootfs "$ROOTFS" -- /bin/sh -c "$FOREIGN; chmod 4755 /made; touch /etc/passwd"
	azm commit -q "$name" "$out"
	grep -qx './d type=dir uid=5 gid=5 mode=0755' "$out/owners.mtree"
	grep -qx './d/e type=dir uid=5 gid=5 mode=0700' "$out/owners.mtree"
	grep -qx './d/e/f type=file uid=5 gid=5 mode=0644' "$out/owners.mtree"
	grep -qx './s type=dir uid=7 gid=7 mode=1777' "$out/owners.mtree"
	grep -q './s/closed type=dir uid=[1-9].* mode=0000' "$out/owners.mtree"
	grep -qx './made type=file uid=0 gid=0 mode=4755' "$out/owners.mtree"
	has_not "$(cat "$out/owners.mtree")" ./etc/passwd
	is "$(find "$out" ! -uid "$(id -u)" | wc -l)" 0 'files of others'
	azm run --name "$second" --user 1000:1000 --rootfs "$out" -- /bin/sh -c 'echo x >/tmp/mine'
	azm commit -q "$second" "$WORK/again.tar"
	"$BUILD/azm-rootfs" unpack -q "$WORK/again.tar" "$WORK/again"
	grep -qx './tmp/mine type=file uid=1000 gid=1000 mode=0644' "$WORK/again/owners.mtree"
	grep -qx './d type=dir uid=5 gid=5 mode=0755' "$WORK/again/owners.mtree"
}

@test "snapshots: files of every id are frozen, forked, compared, gone back to and removed" {
	local name tag look='stat -c "%u %a %n" / /d /d/e /s /s/closed /made; id -u; cat /d/e/f'
	export AZM_STATE_DIR=$WORK/state
	name=$(new_name)
	azm run -d --name "$name" --rootfs "$ROOTFS" -- /bin/sh -c "$FOREIGN; echo text >/d/e/f; chmod 4755 /made; chown 9:9 /; chmod 555 /; touch /ready; exec sleep 1000"
	wait_for 20 azm exec "$name" test -e /ready
	local expected
	expected=$(azm exec "$name" sh -c "$look")
	has "$expected" '^9 555 /$'
	has "$expected" '^5 700 /d/e$'
	has "$expected" '^0 4755 /made$'
	azm snapshot "$name" running
	is '' "$(azm diff "$name" running)"
	azm stop -t 0 "$name"
	azm snapshot "$name" stopped
	is '' "$(azm diff "$name" stopped)"
	for tag in running stopped; do
		azm fork "$tag" 1 --name-prefix "f-$tag-$name" -- sleep 1000
		remember_name "f-$tag-$name-1"
		is "$expected" "$(azm exec "f-$tag-$name-1" sh -c "$look")"
	done
	azm start "$name"
	azm exec "$name" rm -r /d /s
	azm rollback --restart "$name" running
	is "$expected" "$(azm exec "$name" sh -c "$look")"
	azm rm -f "$name" "f-running-$name-1" "f-stopped-$name-1"
	azm snapshots rm running stopped
	is lock "$(ls "$AZM_STATE_DIR/layers")"
}

@test "cp with sub-ids: copied in it is root's, with -a its owner's; copied out it is the caller's" {
	local name
	name=$(new_name)
	background "$name" --user 1000
	mkdir "$BATS_TEST_TMPDIR/tree"
	echo x >"$BATS_TEST_TMPDIR/tree/file"
	azm cp -q "$BATS_TEST_TMPDIR/tree" "$name:/plain"
	azm cp -qa "$BATS_TEST_TMPDIR/tree" "$name:/archive"
	is '0 0' "$(azm exec "$name" stat -c '%u %g' /plain/file)"
	is '1000 1000' "$(azm exec "$name" stat -c '%u %g' /archive/file)"
	azm exec -u 0 "$name" sh -c 'echo secret > /root-file; chmod 600 /root-file'
	azm cp -q "$name:/root-file" "$BATS_TEST_TMPDIR/out"
	is "$(id -u) 600" "$(stat -c '%u %a' "$BATS_TEST_TMPDIR/out")"
	# The same when it does not run.
	azm exec -u 0 "$name" sh -c "$FOREIGN"
	azm stop -t 0 "$name"
	azm cp -q "$BATS_TEST_TMPDIR/tree" "$name:/d/e/plain"
	azm cp -qa "$BATS_TEST_TMPDIR/tree" "$name:/d/e/archive"
	azm cp -q "$name:/d" "$BATS_TEST_TMPDIR/foreign"
	is "$(id -u) 700" "$(stat -c '%u %a' "$BATS_TEST_TMPDIR/foreign/e")"
	azm start "$name"
	is '0 0 1000 1000 5 5' "$(azm exec -u 0 "$name" stat -c '%u %g' /d/e/plain/file /d/e/archive /d/e/f | xargs)"
}

@test "a volume with sub-ids is filled with the image's owners and can be removed" {
	local volume=v$$-$BATS_TEST_NUMBER
	sandbox --user 0 -v "$volume:/etc" -- sh -c 'touch /etc/made; chown 33:33 /etc/made'
	is '33' "$(sandbox --user 0 -v "$volume:/x" -- stat -c %u /x/made)"
	sandbox -v "$volume:/x" -- test -f /x/passwd
	azm volume rm "$volume"
	has_not "$(azm volume ls -q)" "$volume"
}

@test "pause and stats with sub-ids" {
	local name
	name=$(new_name)
	background "$name" --user 0 -- sh -c 'while :; do (:); done'
	is 2 "$(azm stats --no-stream --json "$name" | jq '.[0].pids | if . >= 2 then 2 else . end')"
	azm pause "$name"
	is paused "$(state_of "$name")"
	azm unpause "$name"
}
