#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# run-bench.sh BUILD [BENCH.PY-OPTION...]: install the peers this machine can have, then measure in a private copy.
#
# Started by root, every measured program runs as an id without privileges; root only reads the memory figures, which
# the kernel shows to nobody else.
set -eu
build=$1
shift
here=$(cd "$(dirname "$0")/../.." && pwd -P)
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
LC_ALL=C
export PATH LC_ALL

missing=
while read -r program package; do
	command -v "$program" >/dev/null || missing="$missing $package"
done <<END
bwrap bubblewrap
crun crun
runc runc
podman podman
slirp4netns slirp4netns
rootlesskit rootlesskit
newuidmap uidmap
pasta passt
wrk wrk
iperf3 iperf3
ip iproute2
busybox busybox-static
redis-cli redis-tools
dropbear dropbear-bin
umoci umoci
ch-convert charliecloud-builders
END
if [ -n "$missing" ]; then
	if [ "$(id -u)" -eq 0 ]; then
		sudo=
	elif sudo -n true 2>/dev/null; then
		sudo='sudo -n'
	else
		sudo=none
		echo "run-bench.sh: not installed, left out:$missing" >&2
	fi
	if [ "$sudo" != none ]; then
		$sudo apt-get update -qq >/dev/null || true
		for package in $missing; do
			$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$package" >/dev/null ||
				echo "run-bench.sh: $package could not be installed, left out" >&2
		done
	fi
fi

# Docker's proxy comes with Docker's daemon: only unpacked, never installed.
if [ "$(id -u)" -eq 0 ] && ! command -v docker-proxy >/dev/null; then
	unpacked=/var/cache/azm-bench
	if [ ! -x "$unpacked/usr/sbin/docker-proxy" ]; then
		mkdir -p "$unpacked"
		(cd "$unpacked" && apt-get download -qq docker.io >/dev/null 2>&1 && dpkg-deb -x docker.io_*.deb . && rm -f docker.io_*.deb) ||
			echo 'run-bench.sh: docker-proxy could not be unpacked, left out' >&2
	fi
	[ ! -x "$unpacked/usr/sbin/docker-proxy" ] || export AZM_DOCKER_PROXY="$unpacked/usr/sbin/docker-proxy"
fi

work=$(mktemp -d /var/tmp/azm-bench-XXXXXX)
trap 'rm -rf "$work"' EXIT INT TERM
chmod 0755 "$work"
mkdir "$work/build"
cp -a "$here/$build/azm-sandbox" "$here/$build/bench" "$work/build/"
for optional in azm-runtime-server azm-rootfs tests; do
	[ ! -e "$here/$build/$optional" ] || cp -a "$here/$build/$optional" "$work/build/"
done
cp -a "$here/tests" "$work/tests"
chmod -R a+rX "$work"
# An id of its own, so that memory and leftovers are surely this run's.
export AZM_USER_HOME="$work/home" AZM_TEST_UID="${AZM_TEST_UID:-$((60000 + $$ % 900))}"
cd "$work"
python3 "$work/tests/bench/bench.py" "$work" "$@" || echo "run-bench.sh: bench.py ended with status $?" >&2
exit 0
