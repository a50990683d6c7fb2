#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# run-tests.sh BUILD [FILE...]: run the unit tests and the behaviour tests, say what failed, close with the counts.
#
# Without FILE: every program tests/unit/test_*.c became and every *.bats below tests/{cli,security,images,server}.
# Started by root, everything runs as an id without privileges, from a private copy that id can read. A file gets its
# own id (when root), HOME, TMPDIR and state, at most AZM_TEST_TIMEOUT seconds (300; `# runner: timeout=N` in the file where that is more), and
# shares the machine with a few others unless it says `# runner: alone`; `# runner: subuid` gives it a user with sub-ids, `# runner: cgroup` a
# delegated cgroup.
#
# AZM_TEST_PATH is looked at first for programs: a bats that is newer than the system's.
#
# The last line is "N passed, N failed, N skipped"; the exit status is 0 only when nothing failed and something passed.
# Processes and mounts that are left at the end are a failure. With AZM_MUST_WORK=1 a skip is a failure too, unless
# tests/allowed-skips lists it with its reason.
set -u -o pipefail
export LC_ALL=C PATH=${AZM_TEST_PATH:+$AZM_TEST_PATH:}/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

jobs=${AZM_TEST_JOBS:-$(($(nproc) + 1))} # half of their time they wait
default_limit=${AZM_TEST_TIMEOUT:-300}
test_limit=${AZM_TEST_LIMIT:-240}
source_dir=$(cd "$(dirname "$0")/.." && pwd -P)
passed=0 failed=0 skipped=0
failures=()
other_user=

die() {
	echo "run-tests.sh: $*" >&2
	exit 1
}

[ $# -ge 1 ] || die 'usage: run-tests.sh BUILD [FILE...]'
build=$1
shift
[ -x "$source_dir/$build/azm-sandbox" ] || die "$build/azm-sandbox: not built; run make"
command -v bats >/dev/null || die 'bats is missing: apt-get install bats'

# Processes of the test ids; of an ordinary user, who has others too, only those that can be ours.
processes_left() {
	local status
	for status in /proc/[0-9]*/status; do
		awk -v first="$first_id" -v last="$last_id" -v me="$(id -u)" '
			/^Name:/ { name = $2 } /^State:/ { state = $2 } /^Pid:/ { pid = $2 }
			/^Uid:/ { owner = $2 }
			END { if (owner >= first && owner <= last && state != "Z" && (me == 0 || name ~ /^(azm-|probe$)/))
				print "process", pid, name, "of id", owner }
		' "$status" 2>/dev/null
	done
}

# ---- a place the test id can use -----------------------------------------------------------------------------------

work=$(mktemp -d /tmp/azm-check-XXXXXX) || die 'no temporary directory'
chmod 0755 "$work"
if [ "$(id -u)" -eq 0 ]; then
	# An id of its own for every file of every run: limits counted per user do not meet, and what is left at the end is
	# surely ours.
	for slot in $(seq 0 21); do
		first_id=$((61000 + slot * 200))
		last_id=$((first_id + 198))
		exec 9>"/run/azm-check-ids-$first_id" && flock -n 9 && [ -z "$(processes_left)" ] && break
		first_id=
	done
	[ -n "$first_id" ] || die 'twenty-two test runs at once are enough'
	other_id=$((first_id + 199))
else
	first_id=$(id -u)
	last_id=$first_id
	jobs=1
fi
export AZM_BUILD=$work/$build AZM_TESTS=$work/tests
[ -n "${AZM_MUST_WORK:-}" ] || unset AZM_MUST_WORK
# Keepers of the tests' networks go soon after the last sandbox, so that the end of the run can be checked.
export AZM_KEEPER_GRACE=${AZM_KEEPER_GRACE:-2}

copy_tree() {
	mkdir -p "$work/$build"
	cp -a "$source_dir/tests" "$work/tests" || return 1
	# Programs only: objects are many and nobody runs them.
	(cd "$source_dir/$build" && find . \( -path ./obj -o -path ./static \) -prune -o -type f -perm -u+x -print0 |
		tar cf - --null -T -) | tar xf - -C "$work/$build" || return 1
	# Tests try the command lines of the documentation as written.
	cp -a "$source_dir"/{docs,README.md} "$work" 2>/dev/null
	chmod -R a+rX "$work"
}

mounts_left() {
	awk -v work="$work/" 'index($5, work) == 1 { print "mount", $5 }' /proc/self/mountinfo
}

# What a run leaves goes through the program's own `gc` first: a state directory may only be emptied from inside its map.
clean_up() {
	local pid id
	trap - EXIT INT TERM
	[ -z "$other_user" ] || kill "$other_user" 2>/dev/null
	if [ "$(id -u)" -eq 0 ]; then
		for pid in $(processes_left | cut -d' ' -f2); do
			kill -KILL "$pid" 2>/dev/null
		done
		# What the program falls back to without an XDG directory, a test has made on purpose.
		for id in $(seq "$first_id" "$last_id"); do
			rm -rf "/tmp/azm-sandbox-$id" "/var/tmp/azm-sandbox-$id"
		done
	fi
	chmod -R u+rwX "$work" 2>/dev/null
	rm -rf "$work" 2>/dev/null
}
trap clean_up EXIT
trap 'exit 130' INT TERM

# ---- one file ------------------------------------------------------------------------------------------------------

directive() { # FILE NAME DEFAULT
	local value
	value=$(sed -n "s/^# runner:.*\b$2=\([0-9]*\).*/\1/p" "$1" | head -1)
	echo "${value:-$3}"
}

# The keeper of a network outlives the tests for a moment: it goes where it would be without them.
remove_cgroup() { # NAME
	local root group pid
	root=$(awk '/ - cgroup2 / && $4 == "/" { print $5; exit }' /proc/self/mountinfo)
	for group in ${root:+$(find "$root" -depth -type d -path "*/$1*" 2>/dev/null)}; do
		while read -r pid; do
			echo "$pid" >"$root/cgroup.procs"
		done <"$group/cgroup.procs" 2>/dev/null
		rmdir "$group" 2>/dev/null
	done
}

# bats would take it for a failure of the tests that a directory which is just being removed by a sandbox cannot be.
remove_scratch() { # DIRECTORY...
	for _ in {1..100}; do
		chmod -R u+rwX "$@"
		rm -rf "$@" && break
		sleep 0.1
	done 2>/dev/null
}

run_file() { # INDEX FILE: writes logs/INDEX.tap and logs/INDEX.meta
	local index=$1 file=$2 limit command begin status home id=$first_id as=as-user.sh cgroup=
	local tap=$work/logs/$index.tap
	home=$work/home/$index
	case $file in
	*.bats)
		limit=$(directive "$file" timeout 0)
		[ "$limit" -gt "$default_limit" ] || limit=$default_limit # raised for a slow machine
		command=(bats --no-tempdir-cleanup --tap "$file")
		;;
	*)
		limit=$default_limit
		command=("$file")
		;;
	esac
	begin=$(date +%s.%N)
	[ "$first_id" -eq "$last_id" ] || id=$((first_id + index))
	grep -qs '^# runner:.*\bsubuid\b' "$file" && as=subuid-user.sh
	grep -qs '^# runner:.*\bcgroup\b' "$file" && cgroup=1
	AZM_TEST_CGROUP=$cgroup AZM_TEST_UID=$id AZM_USER_HOME=$home timeout -k 10 "$limit" \
		"$work/tests/lib/$as" env CMOCKA_MESSAGE_OUTPUT=TAP BATS_TEST_TIMEOUT="$test_limit" HOME="$home" "${command[@]}" \
		>"$tap" 2>&1 </dev/null 9>&-
	status=$?
	remove_scratch "$home"/tmp/bats-run-*
	[ -z "$cgroup" ] || remove_cgroup "azm-test-$id"
	echo "$status $(echo "$(date +%s.%N) - $begin" | bc 2>/dev/null || echo 0) $limit" >"$work/logs/$index.meta"
}

allowed_skip() { # FILE NAME
	local file=$1 name=$2 row_file row_name reason
	while IFS='|' read -r row_file row_name reason; do
		case $row_file in '' | '#'*) continue ;; esac
		# shellcheck disable=SC2053 # the row is a pattern
		if [ -n "$reason" ] && [[ $file == $row_file && $name == $row_name ]]; then
			return 0
		fi
	done <"$work/tests/allowed-skips"
	return 1
}

# Read one file's TAP: count, and show what failed with the lines that belong to it.
judge() { # INDEX FILE
	local index=$1 file=$2 name line plan=-1 seen=0 status seconds limit
	local ok=0 bad=0 skip=0 shown=${2#"$work"/} reason details=
	read -r status seconds limit <"$work/logs/$index.meta"
	local failing='' before=''
	while IFS= read -r line; do
		case $line in
		1..*)
			line=${line#1..}
			plan=$((plan < 0 ? ${line%% *} : plan + ${line%% *})) # a program may hold several groups
			;;
		'ok '*' # SKIP'* | 'ok '*' # skip'* | 'not ok '*' # SKIP '*)
			# bats: "ok 3 NAME # skip REASON"; cmocka: "not ok 3 # SKIP NAME", its reason was printed before.
			seen=$((seen + 1)) failing=
			name=$(sed -E 's/^(not )?ok [0-9]+ (- )?//; s/^# SKIP //; s/ # [sS][kK][iI][pP].*//' <<<"$line")
			reason=$(sed -E 's/.*# [sS][kK][iI][pP] ?//' <<<"$line")
			[ "$reason" != "$name" ] || reason=${before:-see the program}
			if [ -n "${AZM_MUST_WORK:-}" ] && ! allowed_skip "$shown" "$name"; then
				bad=$((bad + 1))
				failures+=("$shown: $name: skipped, but AZM_MUST_WORK is set: $reason")
			else
				skip=$((skip + 1))
				details+="    skipped: $name: $reason"$'\n'
			fi
			;;
		'ok '*) ok=$((ok + 1)) seen=$((seen + 1)) failing= ;;
		'not ok '*)
			bad=$((bad + 1)) seen=$((seen + 1)) failing=1
			name=$(sed -E 's/^not ok [0-9]+ (- )?//' <<<"$line")
			failures+=("$shown: $name")
			details+="    FAILED: $name"$'\n'
			;;
		'#'*)
			[ -n "$failing" ] && [ "$failing" -le 25 ] && details+="      $line"$'\n' && failing=$((failing + 1))
			;;
		*) before=$line ;;
		esac
	done <"$work/logs/$index.tap"
	if [ "$status" -eq 124 ] || [ "$status" -eq 137 ]; then
		bad=$((bad + 1))
		failures+=("$shown: still running after $limit s")
	elif [ "$plan" -ge 0 ] && [ "$seen" -ne "$plan" ]; then
		bad=$((bad + 1))
		failures+=("$shown: ended after $seen of $plan tests (status $status)")
	elif [ "$status" -ne 0 ] && [ "$bad" -eq 0 ]; then
		bad=1
		failures+=("$shown: ended with status $status")
	elif [ "$seen" -eq 0 ]; then
		bad=1
		failures+=("$shown: no test in it")
	fi
	[ "$bad" -gt 0 ] && [ -z "$details" ] && details=$(tail -20 "$work/logs/$index.tap" | sed 's/^/      /')$'\n'
	printf '%-4s %-40s %3d passed %3d failed %3d skipped  %6.1f s\n' "$([ "$bad" -eq 0 ] && echo ok || echo FAIL)" \
		"$shown" "$ok" "$bad" "$skip" "$seconds"
	printf '%s' "$details"
	passed=$((passed + ok)) failed=$((failed + bad)) skipped=$((skipped + skip))
}

# ---- all files -----------------------------------------------------------------------------------------------------

list_files() {
	local program
	if [ $# -gt 0 ]; then
		for program; do
			program=$(realpath -e "$program") || die "$program: no such test"
			case $program in
			"$source_dir/$build"/*) echo "$work/$build${program#"$source_dir/$build"}" ;;
			"$source_dir"/tests/*) echo "$work${program#"$source_dir"}" ;;
			*) die "$program: not below tests/ or $build/" ;;
			esac
		done
		return
	fi
	find "$work/$build" -type f -perm -u+x -name 'test_*' | sort
	find "$work"/tests/{cli,security,images,server} -name '*.bats' | sort
}

copy_tree || die 'could not copy the programs and tests'
mkdir -p "$work/logs" && mkdir -m 0711 "$work/home"
mapfile -t files < <(list_files "$@")
[ ${#files[@]} -gt 0 ] || die 'no tests found'
[ ${#files[@]} -lt 199 ] || die 'more files than ids: widen first_id..last_id'

cd "$work" || exit 1
# A second user of the host, for what such a user must not be able to do.
if [ "$(id -u)" -eq 0 ]; then
	mkdir "$work/other"
	chmod 1777 "$work/other" # also for what both users have to reach: the ids' HOMEs are closed
	setpriv --reuid "$other_id" --regid "$other_id" --clear-groups --inh-caps=-all --bounding-set=-all \
		/usr/bin/python3 "$work/tests/lib/other-user.py" serve "$work/other/socket" 9>&- &
	other_user=$!
	export AZM_OTHER_USER=$work/other/socket
	# For tests/lib/internet: the device pasta needs, which the ids above must not have otherwise.
	mknod -m 0666 "$work/tun" c 10 200 2>/dev/null && export AZM_TUN=$work/tun
fi

running=0 next=0
declare -A index_of
finish_one() {
	local done_pid
	wait -n -p done_pid "${!index_of[@]}"
	judge "${index_of[$done_pid]}" "${files[${index_of[$done_pid]}]}"
	unset "index_of[$done_pid]"
	running=$((running - 1))
}
# Those that must be alone come last, one at a time.
order=() alone=()
for next in "${!files[@]}"; do
	if grep -qs '^# runner:.*\balone\b' "${files[$next]}" && [[ ${files[$next]} == *.bats ]]; then
		alone+=("$next")
	else
		order+=("$next")
	fi
done
for next in "${order[@]}" "${alone[@]}"; do
	[[ " ${alone[*]} " == *" $next "* ]] && width=1 || width=$jobs
	while [ "$running" -ge "$width" ]; do
		finish_one
	done
	run_file "$next" "${files[$next]}" &
	index_of[$!]=$next
	running=$((running + 1))
done
while [ "$running" -gt 0 ]; do
	finish_one
done

# ---- nothing may be left --------------------------------------------------------------------------------------------

left=
for _ in $(seq $((AZM_KEEPER_GRACE * 5 + 50))); do
	left=$(processes_left; mounts_left)
	[ -n "$left" ] || break
	sleep 0.2
done
if [ -n "$left" ]; then
	failed=$((failed + 1))
	failures+=("left behind: $(tr '\n' ';' <<<"$left")")
fi

if [ ${#failures[@]} -gt 0 ]; then
	echo
	echo 'Failures:'
	printf '  %s\n' "${failures[@]}"
fi
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
