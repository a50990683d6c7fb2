#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# start.sh: what a guest of check-vm.sh does, as root, from the second disk: the hosts it can be turned into
# (hosts.bats), then the suites named on the kernel's command line as alice, a plain user in a login of his own.
# Everything said here goes to the second serial port; the last line is for check-vm.sh.
set -u -o pipefail
export LC_ALL=C PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export AZM_GUEST_TREE=/azm

word() { tr ' ' '\n' </proc/cmdline | sed -n "s/^azm\.$1=//p" | tr , ' '; }

failed=0
echo "guest: $(sed -n 's/^PRETTY_NAME="\(.*\)"/\1/p' /etc/os-release), Linux $(uname -r)"
if [ -n "$(word hosts)" ]; then
	bats --tap "$AZM_GUEST_TREE/tests/vm/guest/hosts.bats" || failed=1
fi
read -ra suites <<<"$(word suites)"
if [ ${#suites[@]} -gt 0 ]; then
	su -l alice -s /bin/bash -c "cd $AZM_GUEST_TREE && AZM_TEST_LIMIT=1200 AZM_TEST_TIMEOUT=3600 AZM_LIMIT=600 \
		tests/run-tests.sh build ${suites[*]}" </dev/null || failed=1
fi
echo "guest: status $failed"
