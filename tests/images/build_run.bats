#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# azm-rootfs build: RUN, the cache of steps, what a build leaves.
# shellcheck disable=SC2154,SC2016,SC2011,SC2030,SC2031 # set by bats; quotes on purpose; names without blanks; subshells
load build

# ---- RUN ------------------------------------------------------------------------------------------------------------

@test "RUN: shell, exec form, SHELL, here-documents; environment, user, directory" {
	recipe <<-'END'
		FROM base
		WORKDIR /w
		ENV GREETING="hello  world"
		RUN echo "$GREETING" >shell && pwd >pwd && id -u >uid && echo $FROM_IMAGE >>uid
		RUN ["/bin/sh", "-c", "echo $0 $# >exec", "a b", "c"]
		RUN <<EOF
		set -e
		echo one >heredoc
		echo "$GREETING" >>heredoc
		EOF
		RUN <<EOF
		#!/bin/awk -f
		BEGIN { print "awk" > "/w/script" }
		EOF
		RUN cat <<A >both && cat <<B >>both
		first $GREETING
		A
		second
		B
		SHELL ["/bin/busybox", "sh", "-xc"]
		RUN echo $- >flags
		USER 1234
		RUN id -u >as-user; mkdir mine; chmod 700 mine; touch mine/file; echo >>shell
		USER root
		RUN rm exec
	END
	builds -q
	is 'hello  world' "$(head -1 "$ROOT/w/shell")"
	is '/w 0 yes' "$(cat "$ROOT/w/pwd" "$ROOT/w/uid" | xargs)"
	is 'one hello world' "$(xargs <"$ROOT/w/heredoc")"
	is awk "$(cat "$ROOT/w/script")"
	is 'first hello world second' "$(xargs <"$ROOT/w/both")"
	has "$(cat "$ROOT/w/flags")" x
	is 1234 "$(cat "$ROOT/w/as-user")"
	has "$(owner_of w/mine/file)" 'uid=1234 gid=4321'
	has "$(owner_of w/mine)" 'uid=1234 gid=4321 mode=0700'
	is '' "$(owner_of w/shell)" 'the owner of what was there'
	[ ! -e "$ROOT/w/exec" ]
	is '' "$(ls "$ROOT/dev")" /dev
}

@test "RUN as root: owners and devices are answered, nothing of the build is in the image" {
	recipe <<-'END'
		FROM base
		RUN chown 5:6 /etc/issue && mknod /dev/x c 1 3 && chmod 4755 /etc/issue; echo 127.0.0.1 me >>/etc/hosts; hostname >/name
		RUN mkdir -p /opt/a/b && rm -rf /opt/a && mkdir /opt/a && touch /opt/a/new
		RUN mv /opt /moved && ln -s /moved /opt
	END
	builds -q
	is build "$(cat "$ROOT/name")"
	is '' "$(cat "$ROOT/etc/hosts" "$ROOT/etc/resolv.conf")" 'of the sandbox'
	[ -f "$ROOT/moved/a/new" ] && [ ! -e "$ROOT/moved/a/b" ] && [ -L "$ROOT/opt" ]
	is '' "$(find "$ROOT" ! -user "$(id -u)" -o -type f -perm /6000)"
	printf 'FROM scratch\nCOPY --from=base /bin /bin\nRUN ["/bin/true"]\n' | recipe
	builds -q
	is bin "$(ls "$ROOT" | xargs)" 'mount points'
}

@test "RUN that fails: its line, its status, the end of its output; a hint about the network" {
	printf 'FROM base\n\nRUN echo before; \\\n  exit 42\n' | recipe
	rejects 'Dockerfile:3: RUN: the command ended with status 42'
	has "$stderr" '^before$'
	printf 'FROM base\nRUN kill -9 $$\n' | recipe
	rejects 'Dockerfile:2: .*signal 9'
	printf 'FROM base\nRUN ["/nosuch"]\n' | recipe
	rejects 'Dockerfile:2: .*status 127'
	printf 'FROM base\nRUN wget -q http://example.org/\n' | recipe
	rejects 'Dockerfile:2: '
	has "$stderr" '^hint: .*--egress'
	printf 'FROM scratch\nRUN true\n' | recipe
	rejects 'Dockerfile:2: RUN: there are no files yet'
	printf 'FROM base\nRUN --mount=type=bind,target=/x true\n' | recipe
	rejects 'Dockerfile:2: .*only type=cache and type=tmpfs'
	printf 'FROM base\nRUN --network=host true\n' | recipe
	rejects 'Dockerfile:2: .*only none and default'
	printf 'FROM base\nRUN true\n' | recipe
	rejects 'Dockerfile:2: RUN: the sandbox could not be made' --egress 'bad rule!'
}

@test "what a command prints cannot drive the terminal" {
	printf 'FROM base\nRUN printf "\\033]0;title\\007\\302\\233x\\n"\n' | recipe
	builds --no-cache
	is '' "$(tr -d '\n\t -~' <<<"$output")" 'control characters'
}

@test "a Dockerfile cannot configure the sandbox: no volume, no network, no workspace" {
	echo secret >"$BATS_TEST_TMPDIR/secret"
	recipe <<-END
		FROM base
		ENV SANDBOX_VOLUMES=$BATS_TEST_TMPDIR:/mnt WORKSPACE_MOUNT_PATH=$BATS_TEST_TMPDIR AZM_EGRESS=all SANDBOX_USER_ID=77
		ARG WORKSPACE_BASE=$BATS_TEST_TMPDIR
		RUN ls /mnt /workspace >/seen 2>&1; id -u >>/seen; env | grep -c SANDBOX_VOLUMES >>/seen
	END
	SANDBOX_VOLUMES=$BATS_TEST_TMPDIR:/mnt builds -q
	has_not "$(cat "$ROOT/seen")" secret
	has "$(cat "$ROOT/seen")" '^0$'
	is 1 "$(tail -1 "$ROOT/seen")" 'the variable itself'
}

@test "RUN --mount=type=cache keeps its files between builds and out of the image; tmpfs forgets" {
	recipe <<-'END'
		FROM base
		ARG N=1
		RUN --mount=type=cache,target=/cache,id=test --mount=type=tmpfs,target=/scratch \
		    echo $N >>/cache/runs; touch /scratch/x; cp /cache/runs /runs
	END
	builds -q --build-arg N=1
	builds -q --build-arg N=2
	is '1 2' "$(xargs <"$ROOT/runs")"
	[ ! -e "$ROOT/cache" ] && [ ! -e "$ROOT/scratch" ]
}

caches() { # KEY: of df
	"$ROOTFS_TOOL" df --json 3>&- | jq ".$1"
}

@test "caches of RUN --mount: df shows them, gc --build-cache takes those that no build uses" {
	"$ROOTFS_TOOL" gc --build-cache >/dev/null 3>&-
	is 0 "$(caches build_caches)"
	printf 'FROM base\nRUN --mount=type=cache,target=/a,sharing=locked head -c 300000 /dev/zero >/a/file\n' | recipe
	builds -q --no-cache
	printf 'FROM base\nRUN --mount=type=cache,target=/b touch /b/file; echo be""gun; while [ ! -e /b/end ]; do sleep 0.1; done\n' | recipe
	"$ROOTFS_TOOL" build --no-cache "$C" "$BATS_TEST_TMPDIR/running" >"$BATS_TEST_TMPDIR/log" 2>&1 3>&- &
	local pid=$!
	wait_for 30 grep -qs begun "$BATS_TEST_TMPDIR/log"
	is 2 "$(caches build_caches)"
	[ "$(caches build_caches_size)" -ge 300000 ]
	has "$("$ROOTFS_TOOL" df 3>&-)" '^build caches +[0-9.]+ KiB +2 of RUN --mount$'
	"$ROOTFS_TOOL" gc >/dev/null 3>&-
	is 2 "$(caches build_caches)" 'without --build-cache'
	is 1 "$("$ROOTFS_TOOL" gc --build-cache --json 3>&- | jq .build_caches)" removed
	is 1 "$(caches build_caches)" 'in use'
	touch "$(echo "$AZM_IMAGE_STORE"/build-cache/*)/end"
	wait "$pid"
	has "$("$ROOTFS_TOOL" gc --build-cache 3>&-)" '1 build caches removed'
	is '' "$(find "$AZM_IMAGE_STORE/build-cache" "$AZM_IMAGE_STORE/partial" -mindepth 1)"
}

# two_at_once RUN-TEXT: as WHO=1 and WHO=2, with a shared directory /meet; both have to succeed
two_at_once() {
	local who pids=()
	rm -rf "$AZM_IMAGE_STORE"/build-cache/* "$BATS_TEST_TMPDIR"/[12]
	printf 'FROM base\nARG WHO\nRUN --mount=type=cache,target=/meet,id=meet-%s %s\n' "$BATS_TEST_NUMBER" "$1" | recipe
	for who in 1 2; do
		timeout -k 5 100 "$ROOTFS_TOOL" build -q --build-arg WHO=$who "$C" "$BATS_TEST_TMPDIR/$who" 3>&- &
		pids+=($!)
	done
	for who in "${pids[@]}"; do wait "$who"; done
}
MEET='touch /meet/$WHO; until [ -e /meet/1 ] && [ -e /meet/2 ]; do sleep 0.1; done'

@test "caches of RUN --mount: shared by two at once, private to each" {
	two_at_once "--mount=type=cache,target=/x,id=both touch /x/\$WHO; $MEET; [ -e /x/1 ] && [ -e /x/2 ]"
	two_at_once "--mount=type=cache,target=/x,id=own,sharing=private touch /x/\$WHO; $MEET; ls /x >/seen"
	is '1 2' "$(cat "$BATS_TEST_TMPDIR/1/rootfs/seen" "$BATS_TEST_TMPDIR/2/rootfs/seen" | xargs)"
	printf 'FROM base\nRUN --mount=type=cache,target=/x,sharing=twice true\n' | recipe
	rejects 'Dockerfile:2: .*shared, locked or private'
}

@test "caches of RUN --mount: a locked one is waited for, and may be mounted twice" {
	two_at_once '--mount=type=cache,target=/x,id=one,sharing=locked --mount=type=cache,target=/y,id=one,sharing=locked \
		[ ! -e /x/busy ] && touch /x/busy && [ -e /y/busy ] && touch "/meet/$WHO" && sleep 0.5 && rm /x/busy'
	is '1 2' "$(find "$AZM_IMAGE_STORE/build-cache" -name '[12]' -printf '%f\n' | sort | xargs)"
}

# ---- the cache ------------------------------------------------------------------------------------------------------

cached_steps() {
	grep -c ' cached$' <<<"$output"
}

@test "a step is cached as long as what it is made of is the same" {
	make_context
	recipe <<-'END'
		FROM base
		ENV A=1
		COPY src /src
		RUN cat /proc/sys/kernel/random/uuid >/when; cat /src/a.txt >/copied
		COPY links /links
	END
	builds
	is 0 "$(cached_steps)"
	local first
	first=$(cat "$ROOT/when")
	touch "$C/src/a.txt" # times do not count
	builds
	is 3 "$(cached_steps)"
	is "$first" "$(cat "$ROOT/when")"
	echo changed >"$C/src/a.txt"
	builds
	is 0 "$(cached_steps)"
	is changed "$(cat "$ROOT/copied")"
	chmod 600 "$C/src/a.txt"
	builds
	is 0 "$(cached_steps)"
	sed -i 's/A=1/A=2/' "$C/Dockerfile" # COPY does not see variables
	builds
	is 1 "$(cached_steps)"
	first=$(cat "$ROOT/when")
	builds --no-cache
	is 0 "$(cached_steps)"
	[ "$first" != "$(cat "$ROOT/when")" ]
	first=$(cat "$ROOT/when")
	builds # later builds take the newest
	is 3 "$(cached_steps)"
	is "$first" "$(cat "$ROOT/when")"
}

@test "two builds of one recipe at once make each layer once" {
	printf 'FROM base\nRUN echo run; cat /proc/sys/kernel/random/uuid >/id\n' | recipe
	"$ROOTFS_TOOL" build "$C" "$BATS_TEST_TMPDIR/a" >"$BATS_TEST_TMPDIR/log" 2>&1 3>&- &
	local pid=$!
	"$ROOTFS_TOOL" build "$C" "$BATS_TEST_TMPDIR/b" >>"$BATS_TEST_TMPDIR/log" 2>&1 3>&-
	wait "$pid"
	cmp "$BATS_TEST_TMPDIR/a/rootfs/id" "$BATS_TEST_TMPDIR/b/rootfs/id"
}

# ---- the result -----------------------------------------------------------------------------------------------------

@test "-t: the image runs from the store, and is a base; with a directory, too" {
	printf 'FROM base\nRUN echo here >/file\nENV A=here\n' | recipe
	build -q -t mine:1
	rm -rf "$OUT"
	timeout 60 "$ROOTFS_TOOL" build -q -t mine:2 "$C" 3>&-
	run azm run --rm --rootfs azm:mine:1 -- sh -c 'cat /file; echo $A'
	is "here here" "$(xargs <<<"$output")"
	printf 'FROM mine:2\nRUN cat /file >/copy\n' | recipe
	builds -q
	is here "$(cat "$ROOT/copy")"
	run azm run --rm --rootfs "$OUT" -- cat /copy
	is here "$output"
}

@test "--json: a line a step, and the result" {
	printf 'FROM base\nRUN echo loud\n' | recipe
	run --separate-stderr build --json
	is 0 "$status"
	is 'start done start done' "$(jq -r 'select(.phase == "step").state' <<<"$output" | xargs)"
	is "$OUT" "$(jq -r 'select(.phase == "done").path' <<<"$output")"
	has "$stderr" '^loud$'
}

has_ended() { # COMMAND LINE
	! pgrep -xf "$1"
}

@test "SIGINT and SIGTERM end a build, its sandbox with it, and leave nothing half-made" {
	printf 'FROM base\nRUN echo beg""un; sleep 1000.%s\n' "$BATS_TEST_NUMBER" | recipe
	local signal
	for signal in INT TERM KILL; do
		rm -f "$BATS_TEST_TMPDIR/log"
		"$ROOTFS_TOOL" build "$C" "$OUT" >"$BATS_TEST_TMPDIR/log" 2>&1 3>&- &
		local pid=$!
		wait_for 30 grep -qs begun "$BATS_TEST_TMPDIR/log"
		kill "-$signal" "$pid"
		wait "$pid" || stopped=$?
		case $signal in
		INT) is 130 "$stopped" ;;
		TERM) is 143 "$stopped" ;;
		esac
		wait_for 20 has_ended "sleep 1000.$BATS_TEST_NUMBER"
		[ ! -e "$OUT" ]
		[ "$signal" = KILL ] || is '' "$(ls -A "$AZM_IMAGE_STORE/partial")" 'half-made layers'
	done
	"$ROOTFS_TOOL" gc >/dev/null 3>&-
	is '' "$(ls -A "$AZM_IMAGE_STORE/partial")" 'what a killed build left'
}
