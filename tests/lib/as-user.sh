#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# as-user.sh CMD [ARG...]: run CMD as an id without any privilege; started by an ordinary user, just run it.
#
# The case azm-sandbox is made for is a user without root, sub-ids, capabilities or even a line in /etc/passwd. CI runs
# as root, so tests and `make run` go through this program:
#   - id AZM_TEST_UID (61234), a group of the same number, no other groups, no capability in any set; no_new_privs is
#     left alone on purpose: a test must see that azm-sandbox sets it itself
#   - HOME, TMPDIR and the XDG directories below AZM_USER_HOME (/var/tmp/azm-user-ID), which belong to the id and stay
#     for its next run (caches of downloads)
#   - AZM_TEST_CGROUP=1: in a cgroup (version 2) that is delegated to the id, AZM_CGROUP, where the host has them
#   - AZM_AS_USER_LOGIN=1 (subuid-user.sh): with the groups and the bounding set of a login session instead, because
#     set-uid programs are to work
#   - of the caller's environment only what is listed in `keep` and every AZM_* variable
# Exit status: CMD's own; 125 when it could not be started as that id.
set -eu

keep='PATH LANG LANGUAGE LC_ALL LC_CTYPE TERM COLORTERM NO_COLOR TZ CI SAN SOURCE_DATE_EPOCH DEBIAN_FRONTEND
http_proxy https_proxy ftp_proxy no_proxy all_proxy HTTP_PROXY HTTPS_PROXY FTP_PROXY NO_PROXY ALL_PROXY
SSL_CERT_FILE SSL_CERT_DIR REQUESTS_CA_BUNDLE CURL_CA_BUNDLE NODE_EXTRA_CA_CERTS GIT_SSL_CAINFO
PIP_INDEX_URL PIP_EXTRA_INDEX_URL PIP_TRUSTED_HOST PIP_CERT PIP_CONFIG_FILE PIP_FIND_LINKS PIP_NO_INDEX
UV_INDEX_URL UV_DEFAULT_INDEX NPM_CONFIG_REGISTRY NPM_CONFIG_CAFILE NPM_CONFIG_USERCONFIG
npm_config_registry npm_config_cafile npm_config_userconfig'

fail() {
	echo "as-user.sh: $*" >&2
	exit 125
}

[ $# -gt 0 ] || fail 'usage: as-user.sh CMD [ARG...]'
[ "$(id -u)" -eq 0 ] || exec "$@"

id=${AZM_TEST_UID:-61234}
case $id in
'' | *[!0-9]* | 0*) fail "AZM_TEST_UID: $id is not the number of an unprivileged id" ;;
esac
command -v setpriv >/dev/null || fail 'setpriv is missing: install util-linux'

home=${AZM_USER_HOME:-/var/tmp/azm-user-$id}
case $home in
/*) ;;
*) fail "AZM_USER_HOME: $home is not an absolute path" ;;
esac
# /var/tmp is everybody's: somebody else may have made the directory, or a link of that name, to catch our files.
if mkdir -m 0700 -- "$home" 2>/dev/null; then
	chown -h "$id:$id" -- "$home"
fi
if [ -L "$home" ] || [ ! -d "$home" ]; then
	fail "$home is not a directory that could be made"
fi
[ "$(stat -c %u -- "$home")" = "$id" ] || fail "$home does not belong to id $id: remove it or set AZM_USER_HOME"

# AZM_TEST_CGROUP: a cgroup (version 2) of the id's own, with this process in it, as systemd delegates them.
if [ -n "${AZM_TEST_CGROUP:-}" ]; then
	# At the top, where processes do not keep controllers from being handed down.
	group=$(awk '/ - cgroup2 / && $4 == "/" { print $5; exit }' /proc/self/mountinfo)
	for controller in memory cpu pids; do
		echo "+$controller" 2>/dev/null >"$group/cgroup.subtree_control" || true
	done
	group=${group:+$group/azm-test-$id}
	if [ -n "$group" ] && mkdir -p "$group" 2>/dev/null && echo $$ 2>/dev/null >"$group/cgroup.procs"; then
		chown "$id:$id" "$group" "$group/cgroup.procs" "$group/cgroup.subtree_control" "$group/cgroup.threads"
		export AZM_CGROUP="$group"
	fi
fi

# In front of the command come the assignments for env(1), built back to front.
# shellcheck disable=SC2016 # expanded by the inner shell, as the id
set -- sh -c '
	# An inherited working directory works even where its path is closed to the id, which only confuses later.
	path=
	rest=${1#/}/
	while [ -n "$rest" ]; do
		path=$path/${rest%%/*}
		rest=${rest#*/}
		if ! [ -x "$path" ]; then
			echo "as-user.sh: id $(id -u) cannot enter $path: run from a copy it can reach" >&2
			exit 125
		fi
	done
	cd "$HOME" && mkdir -p "$TMPDIR" "$XDG_DATA_HOME" "$XDG_CACHE_HOME" "$XDG_CONFIG_HOME" "$XDG_STATE_HOME" &&
		mkdir -p -m 0700 "$XDG_RUNTIME_DIR" && cd "$1" || exit 125
	shift
	exec "$@"' as-user.sh "$(pwd -P)" "$@"
for name in $keep $(env | sed -n 's/^\(AZM_[A-Za-z0-9_]*\)=.*/\1/p'); do
	# A line of some value may only look like an assignment: such a name is not set.
	if eval "[ -n \"\${$name+set}\" ]"; then
		eval "set -- \"$name=\$$name\" \"\$@\""
	fi
done
if [ -n "${AZM_AS_USER_LOGIN:-}" ]; then
	session=--init-groups
else
	session='--clear-groups --bounding-set=-all'
fi
# shellcheck disable=SC2086 # one word each
exec setpriv --reuid "$id" --regid "$id" $session --inh-caps=-all --ambient-caps=-all \
	env -i HOME="$home" TMPDIR="$home/tmp" SHELL=/bin/sh \
	XDG_RUNTIME_DIR="$home/run" XDG_DATA_HOME="$home/share" XDG_CACHE_HOME="$home/cache" \
	XDG_CONFIG_HOME="$home/config" XDG_STATE_HOME="$home/state" "$@"
