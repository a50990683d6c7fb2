#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# subuid-user.sh CMD [ARG...]: as as-user.sh, but as a user with sub-ids, for the time of CMD.
#
# newuidmap serves users of the user database only, so root makes one (azmsub-PID, id AZM_TEST_UID, a supplementary
# group, 65536 sub-ids) and removes it afterwards, whatever happens; what an earlier, killed run left goes first. CMD
# sees AZM_SUBUID_START, the first sub-id, and AZM_SUBUID_SHARED, a directory of root's with what only the supplementary
# group decides about:
#     project/    0770, for members only
#     closed      0604, for everybody but members
#
# Started by an ordinary user, or where such a user cannot be made, just as-user.sh: tests look for AZM_SUBUID_START.
# Exit status: CMD's own; 125 when the user could not be made; 1 when processes of sub-ids were left.
set -eu

as_user=$(dirname "$0")/as-user.sh
if [ "$(id -u)" -ne 0 ] || ! command -v newuidmap newgidmap useradd >/dev/null; then
	exec "$as_user" "$@"
fi

id=${AZM_TEST_UID:-61234}
user=azmsub-$$
shared=
start=
child=
status=125

processes_of_subids() {
	awk -v start="$start" '/^Name:/ { name = $2 } /^Pid:/ { pid = $2 } /^State:/ { state = $2 }
		/^Uid:/ && $2 >= start && $2 < start + 65536 && state != "Z" { print pid, name }
	' /proc/[0-9]*/status 2>/dev/null || true
}

remove_user() { # NAME
	userdel -f "$1" >/dev/null 2>&1 || true # the keeper of the last sandbox lives for some seconds more
	groupdel "$1" >/dev/null 2>&1 || true
	groupdel "$1-x" >/dev/null 2>&1 || true
	# userdel takes the ranges along, but not on every system.
	if grep -qs "^$1:" /etc/subuid /etc/subgid; then
		sed -i "/^$1:/d" /etc/subuid /etc/subgid
	fi
}

clean_up() {
	trap '' INT TERM
	trap - EXIT
	if [ -n "$child" ]; then
		kill "$child" 2>/dev/null || true
		wait "$child" || true
	fi
	if [ -n "$start" ]; then
		left=$(processes_of_subids)
		if [ -n "$left" ]; then
			echo "subuid-user.sh: processes of sub-ids were left: $left" >&2
			echo "$left" | while read -r pid rest; do kill -KILL "$pid" 2>/dev/null || true; done
			status=1
		fi
	fi
	flock 9
	remove_user "$user"
	[ -z "$shared" ] || rm -rf "$shared"
	exit "$status"
}
# Two at once would choose the same range, or write over what the other one added.
exec 9</
trap clean_up EXIT
trap 'status=130; exit' INT
trap 'status=143; exit' TERM

flock 9
sed -n 's/^\(azmsub-[0-9]*\):.*/\1/p' /etc/passwd | while read -r stale; do
	[ -d "/proc/${stale#azmsub-}" ] || remove_user "$stale"
done

# A range above all that exist: useradd's own choice depends on its configuration.
start=$(awk -F: '{ end = $2 + $3; if (end > top) top = end } END { printf "%.0f\n", (top > 524288 ? top : 524288) }' \
	/etc/subuid /etc/subgid)
home=${AZM_USER_HOME:-/var/tmp/azm-user-$id}
if ! { groupadd -g "$id" "$user" && groupadd "$user-x" &&
	useradd -M -d "$home" -s /bin/sh -u "$id" -g "$user" -G "$user-x" -K UID_MAX=4000000 -K SUB_UID_COUNT=0 \
		-K SUB_GID_COUNT=0 "$user" &&
	usermod --add-subuids "$start-$((start + 65535))" --add-subgids "$start-$((start + 65535))" "$user"; }; then
	echo "subuid-user.sh: the user $user could not be made" >&2
	exit 125
fi >&2
flock -u 9

shared=$(mktemp -d /tmp/azmsub-XXXXXX)
chmod 0755 "$shared"
mkdir "$shared/project"
echo members >"$shared/project/file"
echo closed >"$shared/closed"
chgrp -R "$user-x" "$shared/project" "$shared/closed"
chmod 0770 "$shared/project"
chmod 0604 "$shared/closed"

export AZM_SUBUID_START="$start" AZM_SUBUID_SHARED="$shared" AZM_AS_USER_LOGIN=1
"$as_user" "$@" 9<&- &
child=$!
# Not waited for in the foreground: a signal has to reach clean_up at once.
wait "$child" && status=0 || status=$?
child=
