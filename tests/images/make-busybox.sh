#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# make-busybox.sh DIR [PROBE]: the smallest bundle: DIR/rootfs as tests/lib/rootfs.sh makes it, DIR/image.json.
#
# For tests of what an image's configuration does: PATH, a variable, a working directory, a command, a label.
set -eu
[ $# -ge 1 ] || {
	echo 'usage: make-busybox.sh DIR [PROBE]' >&2
	exit 1
}
bundle=$1
here=$(dirname "$0")
mkdir -p "$bundle"
"$here/../lib/rootfs.sh" "$bundle/rootfs" "${2:-}"
case $(uname -m) in
x86_64) architecture=amd64 ;;
aarch64) architecture=arm64 ;;
*) architecture=$(uname -m) ;;
esac
cat >"$bundle/image.json" <<END
{
  "created": "2023-11-14T22:13:20Z",
  "architecture": "$architecture",
  "os": "linux",
  "config": {
    "Env": ["PATH=/usr/local/bin:/usr/bin:/bin", "FROM_IMAGE=yes"],
    "WorkingDir": "/workspace",
    "Cmd": ["/bin/sh", "-c", "echo busybox says hello"],
    "Labels": {"azm.test": "busybox"}
  },
  "rootfs": {"type": "layers", "diff_ids": []},
  "history": []
}
END
