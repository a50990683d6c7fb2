#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-2.0-or-later
# azm-rootfs build: what a Dockerfile says. What it runs is in build_run.bats.
# shellcheck disable=SC2154,SC2016,SC2011,SC2030,SC2031 # set by bats; quotes on purpose; names without blanks; subshells
load build

IMAGES=$TESTS/lib/make_images.py

# ---- the configuration ----------------------------------------------------------------------------------------------

@test "every setting is in the image's configuration, with its history" {
	recipe <<-'END'
		FROM base
		MAINTAINER somebody
		ENV A=1 B="x y"
		ENV C=$A-${B:-no}-${N:-yes}
		LABEL one=1 "two words"="$A"
		WORKDIR /desk
		WORKDIR here
		USER user:agents
		EXPOSE 80 53/udp 8000-8002
		VOLUME /data /more
		STOPSIGNAL SIGINT
		HEALTHCHECK --interval=1m30s --retries=3 CMD true
		SHELL ["/bin/busybox", "sh", "-c"]
		ENTRYPOINT ["/bin/echo"]
		CMD hello $A
		ONBUILD COPY . /src
	END
	builds -q
	is '["PATH=/usr/local/bin:/usr/bin:/bin","FROM_IMAGE=yes","A=1","B=x y","C=1-x y-yes"]' "$(config Env)"
	is '{"azm.test":"busybox","one":"1","two words":"1"}' "$(config Labels)"
	is '"/desk/here"' "$(config WorkingDir)"
	is '"user:agents"' "$(config User)"
	is '["53/udp","80/tcp","8000/tcp","8001/tcp","8002/tcp"]' "$(config 'ExposedPorts | keys')"
	is '"SIGINT"' "$(config StopSignal)"
	is '{"Test":["CMD-SHELL","true"],"Interval":90000000000,"Retries":3}' "$(config Healthcheck)"
	is '["/bin/echo"]' "$(config Entrypoint)"
	is '["/bin/busybox","sh","-c","hello $A"]' "$(config Cmd)"
	is '["COPY . /src"]' "$(config OnBuild)"
	is '"somebody"' "$(jq .author "$OUT/image.json")"
	is 15 "$(jq '.history | length' "$OUT/image.json")"
	is '{"created_by":"WORKDIR /desk"}' "$(jq -c '.history[4] | del(.created)' "$OUT/image.json")"
	jq -e '.history[1].empty_layer' "$OUT/image.json"
	[ -d "$ROOT/desk/here" ]
}

@test "ENTRYPOINT takes the base's CMD away, not one of the same stage; SOURCE_DATE_EPOCH is the time" {
	printf 'FROM base\nENTRYPOINT ["/bin/echo"]\n' | recipe
	SOURCE_DATE_EPOCH=1700000000 builds -q
	is null "$(config Cmd)"
	is '"2023-11-14T22:13:20Z"' "$(jq .created "$OUT/image.json")"
	printf 'FROM base\nCMD ["x"]\nENTRYPOINT ["/bin/echo"]\n' | recipe
	builds -q
	is '["x"]' "$(config Cmd)"
}

@test "ARG: before FROM, in a stage, from the command line, hidden by ENV; platforms and proxies" {
	recipe <<-'END'
		ARG NAME=nobody
		ARG BASE=base
		FROM $BASE
		ARG NAME
		ARG LATE=$NAME-late
		ARG HIDDEN=arg
		ENV HIDDEN=env
		ARG TARGETARCH
		LABEL all="$NAME $LATE $HIDDEN ${TARGETARCH:+arch} [$BASE]"
		RUN echo "$NAME $LATE $HIDDEN [$http_proxy]" >/seen
	END
	builds -q
	is '"nobody nobody-late env arch []"' "$(config Labels.all)"
	is 'nobody nobody-late env []' "$(cat "$ROOT/seen")"
	has_not "$(config Env)" 'NAME|LATE'
	NAME=inherited builds --build-arg NAME --build-arg LATE=x --build-arg UNUSED=1 --build-arg http_proxy=http://p
	is '"inherited x env arch []"' "$(config Labels.all)"
	is 'inherited x env [http://p]' "$(cat "$ROOT/seen")"
	has "$output" 'no ARG asks for --build-arg UNUSED'
}

# ---- COPY and ADD ---------------------------------------------------------------------------------------------------

listing() { # of what is below $ROOT/x
	(cd "$ROOT/x" && find . -mindepth 1 -printf '%P %y %m %l\n' | sort)
}

@test "COPY: files, directories, patterns, JSON, targets; modes and times are kept" {
	make_context
	recipe <<-'END'
		FROM scratch
		COPY src /x/dir
		COPY src/a.txt /x/as
		COPY src/a.txt /x/into/
		COPY src/*.txt src/nothing* /x/pattern/
		COPY ["a b", "/x/blank/"]
		COPY src/[!a].txt /x/
		COPY s?c/sub/../sub /x/sub
		WORKDIR /x/work
		COPY src/a.txt .
		COPY src/a.txt rel/name
		COPY src/b.txt /x/as
	END
	sed -i 's/\[!a\]/[^a]/' "$C/Dockerfile"
	builds -q
	is "$(printf '%s\n' 'as f 640 ' 'b.txt f 640 ' 'blank d 755 ' 'blank/a b f 644 ' 'dir d 755 ' 'dir/a.txt f 644 ' 'dir/b.txt f 640 ' \
		'dir/sub d 751 ' 'dir/sub/c.md f 644 ' 'into d 755 ' 'into/a.txt f 644 ' 'pattern d 755 ' 'pattern/a.txt f 644 ' \
		'pattern/b.txt f 640 ' 'sub d 751 ' 'sub/c.md f 644 ' 'work d 755 ' 'work/a.txt f 644 ' 'work/rel d 755 ' \
		'work/rel/name f 644 ')" "$(listing)"
	is 2001-02-03 "$(date -r "$ROOT/x/dir/a.txt" +%F)"
	is b "$(cat "$ROOT/x/as")"
}

@test "COPY --parents: the directories in front, with their modes; from the pivot on; ** is any number of them" {
	make_context
	mkdir -p "$C/p/x/deep"
	cp "$C/src/a.txt" "$C/p/x/deep"
	chmod 750 "$C/p/x"
	recipe <<-'END'
		FROM scratch
		COPY --parents ./src/a.txt src/sub /x/plain/
		COPY --parents --chown=7 p/x/deep/a.txt /x/owned
		COPY --parents p/./x/deep/*.txt p/./x /x/pivot
		COPY --parents p/x/./ /x/contents/
		COPY --parents **/a.txt /x/all/
		COPY --parents ./p/./**/a.txt **/x/./deep /x/some/
		COPY --parents=false src/a.txt /x/not/
	END
	builds -q
	is "$(printf '%s\n' 'all d 755 ' 'all/p d 755 ' 'all/p/x d 750 ' 'all/p/x/deep d 755 ' 'all/p/x/deep/a.txt f 644 ' \
		'all/src d 755 ' 'all/src/a.txt f 644 ' 'contents d 750 ' 'contents/deep d 755 ' 'contents/deep/a.txt f 644 ' \
		'not d 755 ' 'not/a.txt f 644 ' 'owned d 755 ' 'owned/p d 755 ' 'owned/p/x d 750 ' 'owned/p/x/deep d 755 ' \
		'owned/p/x/deep/a.txt f 644 ' 'pivot d 755 ' 'pivot/x d 750 ' 'pivot/x/deep d 755 ' 'pivot/x/deep/a.txt f 644 ' \
		'plain d 755 ' 'plain/src d 755 ' 'plain/src/a.txt f 644 ' 'plain/src/sub d 751 ' 'plain/src/sub/c.md f 644 ' \
		'some d 755 ' 'some/deep d 755 ' 'some/deep/a.txt f 644 ' 'some/x d 750 ' 'some/x/deep d 755 ' \
		'some/x/deep/a.txt f 644 ')" "$(listing)"
	is 4 "$(grep -c '^./x/owned/p.* uid=7 gid=7 ' "$OUT/owners.mtree")"
	printf 'FROM scratch\nCOPY --parents src/nosuch /x/\n' | recipe
	rejects 'Dockerfile:2: copy src/nosuch: .*no such file'
	printf 'FROM scratch\nCOPY --parents links/directory/passwd links/**/passwd ../../**/secret /x/\n' | recipe
	rejects 'Dockerfile:2: .*no such file'
	printf 'FROM scratch\nCOPY --parents links/**/passwd ../../**/secret /x/\n' | recipe
	rejects 'Dockerfile:2: .*no file matches'
}

@test "COPY: links that leave the context are copied as links, never followed" {
	make_context
	recipe <<-'END'
		FROM scratch
		COPY links /x/all
		COPY links/inside /x/inside
		COPY links/up links/absolute /x/
		COPY links/src /x/src
		COPY links/* /x/pattern/
	END
	builds -q
	is a "$(cat "$ROOT/x/inside")"
	is ../../../outside "$(readlink "$ROOT/x/up")"
	is "$BATS_TEST_TMPDIR/secret" "$(readlink "$ROOT/x/absolute")"
	is ../src/a.txt "$(readlink "$ROOT/x/all/inside")"
	is /etc "$(readlink "$ROOT/x/all/directory")"
	[ -f "$ROOT/x/src/a.txt" ]
	is '' "$(grep -rl secret "$ROOT" || true)" 'read from outside'
	recipe <<<$'FROM scratch\nCOPY links/directory/passwd /x/'
	rejects 'Dockerfile:2: .*no such file'
	recipe <<<$'FROM scratch\nCOPY ../secret /x/'
	rejects 'Dockerfile:2: .*no such file'
	recipe <<<$'FROM scratch\nCOPY links/directory/pass* /x/'
	rejects 'Dockerfile:2: .*no file matches'
}

@test "COPY: links of the image are followed inside of it" {
	make_context
	mkdir -p "$C/root/usr/lib" "$BATS_TEST_TMPDIR/target"
	ln -s usr/lib "$C/root/lib"
	ln -s "$BATS_TEST_TMPDIR/target" "$C/root/evil"
	ln -s ../../../../.. "$C/root/up"
	recipe <<-'END'
		FROM scratch
		COPY root /
		COPY src/a.txt /lib/
		COPY src/a.txt /up/top
		COPY src /lib
	END
	builds -q
	[ -f "$ROOT/usr/lib/a.txt" ] && [ -f "$ROOT/top" ] && [ -L "$ROOT/lib" ] && [ -f "$ROOT/usr/lib/sub/c.md" ]
	printf 'FROM scratch\nCOPY root /\nCOPY src/a.txt /evil/\n' | recipe
	rejects 'Dockerfile:3: '
	is '' "$(ls "$BATS_TEST_TMPDIR/target")" 'written outside'
}

@test "COPY: --chown by name and number, --chmod, set-id bits: remembered, not on the disk" {
	make_context
	cp "$C/src/a.txt" "$C/set-id"
	chmod 4755 "$C/set-id"
	recipe <<-'END'
		FROM base
		ARG WHO=agent
		COPY --chown=$WHO src/a.txt /x/by-name
		COPY --chown=1000:agents src/a.txt /x/group
		COPY --chown=7 --chmod=2750 src /x/dir
		COPY set-id /x/
	END
	builds -q
	has "$(owner_of x/by-name)" 'uid=1234 gid=1234 mode=0644'
	has "$(owner_of x/group)" 'uid=1000 gid=4321 mode=0644'
	has "$(owner_of x/dir)" 'type=dir uid=7 gid=7 mode=2750'
	has "$(owner_of x/dir/sub/c.md)" 'uid=7 gid=7 mode=2750'
	has "$(owner_of x/set-id)" 'uid=0 gid=0 mode=4755'
	is '' "$(find "$ROOT" -type f -perm /6000)" 'set-id on disk'
	is "$(id -u)" "$(stat -c %u "$ROOT/x/group")"
	printf 'FROM base\nCOPY --chown=nobody-here src /x\n' | recipe
	rejects 'Dockerfile:2: use the owner nobody-here: /etc/passwd of the image does not have it'
	printf 'FROM base\nCOPY --chmod=u+x src /x\n' | recipe
	rejects 'Dockerfile:2: .*not an octal mode'
}

@test "COPY: here-documents, with and without variables" {
	recipe <<-'END'
		FROM base
		ENV WHO=world
		COPY <<one <<"two" <<-three /x/
		hello $WHO '$WHO' \$WHO
		one
		hello $WHO
		two
			tabs
			three
		COPY --chmod=0755 <<EOF /x/script
		#!/bin/sh
		EOF
	END
	builds -q
	is "hello world 'world' \$WHO" "$(cat "$ROOT/x/one")"
	is 'hello $WHO' "$(cat "$ROOT/x/two")"
	is tabs "$(cat "$ROOT/x/three")"
	[ -x "$ROOT/x/script" ]
}

@test ".dockerignore: what it leaves out is not there, also by name; FILE.dockerignore goes first; --exclude" {
	make_context
	printf '# no\n**/*.md\nlinks\n!src/sub/c.md\nsrc/b*\n' >"$C/.dockerignore"
	printf 'FROM scratch\nCOPY . /x\nCOPY --exclude=*.txt src /x/y\n' | recipe
	builds -q
	is "$(printf '%s\n' .dockerignore 'Dockerfile' 'a b' src src/a.txt src/sub src/sub/c.md y y/a.txt y/sub y/sub/c.md)" \
		"$(cd "$ROOT/x" && find . -mindepth 1 -printf '%P\n' | sort)"
	printf 'FROM scratch\nCOPY --exclude=src/*.txt src /x\n' | recipe
	builds -q
	is 'sub sub/c.md' "$(cd "$ROOT/x" && find . -mindepth 1 -printf '%P\n' | sort | xargs)"
	printf 'FROM scratch\nCOPY src/b.txt /x\n' | recipe
	rejects 'Dockerfile:2: copy src/b.txt: .dockerignore leaves it out'
	printf 'FROM scratch\nCOPY . /x\n' >"$BATS_TEST_TMPDIR/other"
	echo '*' >"$BATS_TEST_TMPDIR/other.dockerignore"
	builds -q -f "$BATS_TEST_TMPDIR/other"
	is x "$(ls "$ROOT")"
	is '' "$(ls -A "$ROOT/x")"
	echo '[' >"$C/.dockerignore"
	rejects '.dockerignore:1: '
}

@test "ADD unpacks archives of the context inside the target, and fetches nothing" {
	make_context
	mkdir "$BATS_TEST_TMPDIR/outside"
	tar -C "$C" -czf "$C/src.tar.gz" src
	tar -C "$C" -cJf "$C/src.tar.xz" --owner=12 --group=34 src
	gzip -k "$C/src/a.txt"
	python3 - "$C/evil.tar" "$BATS_TEST_TMPDIR/outside" <<-'END'
		import io, sys, tarfile
		tar = tarfile.open(sys.argv[1], "w")
		link = tarfile.TarInfo("link"); link.type = tarfile.SYMTYPE; link.linkname = sys.argv[2]; tar.addfile(link)
		for name in "../../up", "/etc/absolute", "link/through":
		    info = tarfile.TarInfo(name); info.size = 1; tar.addfile(info, io.BytesIO(b"x"))
		hard = tarfile.TarInfo("hard"); hard.type = tarfile.LNKTYPE; hard.linkname = "../../../../../etc/absolute"; tar.addfile(hard)
		tar.close()
	END
	recipe <<-'END'
		FROM base
		ADD src.tar.gz /x/
		ADD src.tar.xz /x/xz
		ADD --chown=5:6 src.tar.gz /x/owned
		ADD src/a.txt.gz /x/
		COPY src.tar.gz /x/
		ADD evil.tar /x/evil/
	END
	builds -q
	[ -f "$ROOT/x/src/sub/c.md" ] && [ -f "$ROOT/x/xz/src/a.txt" ] && [ -f "$ROOT/x/a.txt.gz" ] && [ -f "$ROOT/x/src.tar.gz" ]
	has "$(owner_of x/xz/src/a.txt)" 'uid=12 gid=34'
	has "$(owner_of x/owned/src/sub)" 'uid=5 gid=6'
	[ -f "$ROOT/x/evil/up" ] && [ -f "$ROOT/x/evil/etc/absolute" ] && [ ! -e "$ROOT/etc/absolute" ] && [ ! -e "$ROOT/up" ]
	is '' "$(ls "$BATS_TEST_TMPDIR/outside")" 'written outside'
	printf 'FROM base\nADD https://example.org/x /x\n' | recipe
	rejects 'Dockerfile:2: ADD https://example.org/x: nothing is fetched'
	has "$stderr" '^hint: .*--egress'
}

# ---- stages ---------------------------------------------------------------------------------------------------------

@test "stages: COPY --from by name, number and image; those nobody needs are not built; --target" {
	make_context
	recipe <<-'END'
		FROM base AS unneeded
		RUN exit 7
		FROM base AS tools
		COPY src /tools
		FROM tools AS more
		RUN echo made >/tools/made && rm /tools/a.txt
		FROM scratch AS last
		COPY --from=More /tools /x
		COPY --from=1 /tools/a.txt /x/a
		COPY --from=base /etc/issue /x/
		COPY --from=named /file /x/
	END
	mkdir "$BATS_TEST_TMPDIR/named"
	echo named >"$BATS_TEST_TMPDIR/named/file"
	builds --build-context named="$BATS_TEST_TMPDIR/named"
	is 'a b.txt file issue made sub' "$(ls "$ROOT/x" | xargs)"
	has_not "$output" unneeded
	builds --target tools
	[ -f "$ROOT/tools/a.txt" ]
	rejects 'Dockerfile:2: RUN: the command ended with status 7' --target unneeded
	rejects 'no stage is called that' --target nosuch
	printf 'FROM base\nCOPY --from=nosuch:1 /a /b\n' | recipe
	rejects 'Dockerfile:2: '
}

@test "bases: a bundle, a tree, an OCI layout, an archive, in the context and by --build-context" {
	python3 "$IMAGES" make "$C" "$BATS_TEST_TMPDIR" plain
	cp -a "$BASE" "$C/bundle"
	cp -a "$BASE/rootfs" "$C/tree"
	tar -C "$BASE/rootfs" -czf "$C/root.tar.gz" .
	local from
	for from in ./bundle ./tree ./root.tar.gz ./plain oci:plain:t; do
		printf 'FROM %s\nCOPY Dockerfile /added\n' "$from" | recipe
		builds -q
		[ -f "$ROOT/added" ]
		[ "$from" = ./tree ] || [ "$from" = ./root.tar.gz ] || [ "$(config Cmd)" != null ]
	done
	has "$(owner_of owned)" 'uid=1000 gid=100'
	printf 'FROM other\nCOPY Dockerfile /added\n' | recipe
	for from in "$C/bundle" "$C/root.tar.gz" "oci-layout://$C/plain" docker-image://base azm:base; do
		builds -q --build-context other="$from"
		[ -f "$ROOT/added" ]
	done
	printf 'FROM %s\n' "$BASE" | recipe
	rejects 'Dockerfile:1: .*reaches its context only'
	ln -s "$BASE" "$C/leaves"
	printf 'FROM ./leaves\n' | recipe
	rejects 'Dockerfile:1: open in the context'
	printf 'FROM $NOTHING\n' | recipe
	rejects 'Dockerfile:1: .*no image is left'
	printf 'FROM azm:nosuch\n' | recipe
	rejects 'Dockerfile:1: .*none of that name'
	printf 'FROM Bad//Name\n' | recipe
	rejects 'Dockerfile:1: '
}

@test "a directory as base is looked at again: what changed is seen" {
	cp -a "$BASE/rootfs" "$C/tree"
	printf 'FROM ./tree\n' | recipe
	builds -q
	echo changed >"$C/tree/etc/issue"
	builds -q
	is changed "$(cat "$ROOT/etc/issue")"
	rm "$C/tree/etc/issue"
	builds -q
	[ ! -e "$ROOT/etc/issue" ]
}

@test "ONBUILD: triggers run in the stage that builds on the image" {
	make_context
	printf 'FROM base\nONBUILD ARG X=1\nONBUILD COPY src /on\nONBUILD RUN echo $X >/x\n' | recipe
	build -q -t trigger
	printf 'FROM trigger\nRUN cat /on/a.txt /x >/seen\n' | recipe
	builds
	is 'a 1' "$(xargs <"$ROOT/seen")"
	is null "$(config OnBuild)"
	has "$output" 'COPY src /on'
}

# ---- refusals -------------------------------------------------------------------------------------------------------

@test "what is no Dockerfile: unknown instructions and flags, with file and line, before anything is made" {
	printf 'FROM base\nRUN true\n\nFOO bar\n' | recipe
	rejects '^azm-rootfs: Dockerfile:4: "FOO" is not an instruction$'
	printf 'FROM base\nRUN --privileged true\n' | recipe
	rejects 'Dockerfile:2: RUN has no flag --privileged'
	printf 'FROM base\nRUN <<EOF\ntrue\n' | recipe
	rejects 'Dockerfile:2: the here-document has no end'
	printf 'FROM base\nENV A=${B\n' | recipe
	rejects 'Dockerfile:2: .*"\$\{" without its "\}"'
	printf 'FROM base\nENV A="${B:?must be set}"\n' | recipe
	rejects 'Dockerfile:2: .*B: must be set'
	printf 'FROM base\nEXPOSE 99999\n' | recipe
	rejects 'Dockerfile:2: EXPOSE 99999'
	printf 'FROM base\nSTOPSIGNAL "no signal"\n' | recipe
	rejects 'Dockerfile:2: .*neither the name nor the number of a signal'
	printf 'FROM base\nHEALTHCHECK --interval=often CMD true\n' | recipe
	rejects 'Dockerfile:2: .*"often" is not a time'
	printf 'FROM base\nCOPY a b /x\n' | recipe
	touch "$C/a" "$C/b"
	rejects 'Dockerfile:2: .*target has to end'
	printf 'FROM base\nCOPY a /etc\nCOPY a /etc/a/b\n' | recipe
	rejects 'Dockerfile:3: '
	printf 'FROM base\nWORKDIR /etc/passwd\n' | recipe
	rejects 'Dockerfile:2: set WORKDIR /etc/passwd: Not a directory'
	rm "$C/Dockerfile"
	rejects 'read Dockerfile: No such file'
	head -c 100 /dev/urandom | tr '\0-\011' 'a' | tr -d '\n' >"$C/Dockerfile"
	rejects 'Dockerfile:1: '
}

@test "operands and options: what is missing, a target that is there" {
	printf 'FROM scratch\n' | recipe
	run timeout 20 "$ROOTFS_TOOL" build "$C" 3>&-
	is 125 "$status"
	has "$output" 'to which directory, or with which --tag'
	rejects 'not NAME=PATH' --build-context x
	rejects 'not NAME=VALUE' --build-arg =x
	mkdir "$OUT"
	touch "$OUT/mine"
	run build -q
	is 125 "$status"
	has "$output" 'exists and is not empty'
	is mine "$(ls "$OUT")"
	C=$BATS_TEST_TMPDIR/nosuch
	run build -q
	has "$output" 'use as context .*No such file'
}
