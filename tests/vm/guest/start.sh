#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# start.sh: what a guest of check-vm.sh does, as root, from the second disk: the hosts it can be turned into
# (hosts.bats), then the suites named on the kernel's command line as alice, a plain user in a login of her own, and
# `make run` as the README has it. Everything said here goes to the second serial port; the last line is for check-vm.sh.
set -u -o pipefail
export LC_ALL=C PATH=/azm/bats/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export AZM_GUEST_TREE=${AZM_GUEST_TREE:-/azm}

# Without a machine of its own (AZM_VM_KERNEL=host) the words come from check-vm.sh.
word() { tr ' ' '\n' <<<"${AZM_GUEST_WORDS-$(cat /proc/cmdline)}" | sed -n "s/^azm\.$1=//p" | tr , ' '; }

# An ordinary user has overlays since Linux 5.11: before, the suites' sandboxes get the image as it is.
without_overlays() {
	local program=$AZM_GUEST_TREE/build/azm-sandbox
	mkdir -p /run/azm/upper /run/azm/work
	mount -t overlay -o "lowerdir=$AZM_GUEST_TREE,upperdir=/run/azm/upper,workdir=/run/azm/work" overlay "$AZM_GUEST_TREE"
	# By the same name: tests find it among the processes, and its messages have it.
	mkdir "$AZM_GUEST_TREE/build/real"
	mv "$program" "$AZM_GUEST_TREE/build/real/"
	# shellcheck disable=SC2016 # the script's own
	printf '#!/bin/bash\n[ "$1" != run ] || { shift; set -- run --rootfs-mode direct "$@"; }\nself=$(readlink -f "$0")\nexec -a "$0" "${self%%/*}/real/azm-sandbox" "$@"\n' >"$program"
	chmod 755 "$program"
}

limits='export AZM_TEST_LIMIT=1800 AZM_TEST_TIMEOUT=7200 AZM_LIMIT=600 AZM_TEST_PATH=/azm/bats/bin'

# Started by root they run as ids without a login, and there is a second user.
run_from_root() { # SUITE...
	(cd "$AZM_GUEST_TREE" && eval "$limits" && tests/run-tests.sh build "$@" </dev/null)
}

# run_suites SCOPE SUITE...: those that want a cgroup get the one that systemd delegates to a scope of the user's.
run_suites() {
	local scope=$1
	shift
	# shellcheck disable=SC2016 # expanded in the scope
	su -l alice -s /bin/bash -c "cd $AZM_GUEST_TREE && $limits &&
		$scope sh -c '${scope:+export AZM_CGROUP=/sys/fs/cgroup\$(sed -n s/^0:://p /proc/self/cgroup);} tests/run-tests.sh build $*'" </dev/null
}

network_up() {
	local card
	card=$(basename "$(find /sys/class/net -name 'e*' | head -1)")
	ip link set "$card" up && ip address add 10.0.2.15/24 dev "$card" && ip route add default via 10.0.2.2 &&
		echo nameserver 10.0.2.3 >/etc/resolv.conf
}

# What the README promises of `make run`: it installs, makes an image, starts the server; the printed curl answers.
readme() {
	local make try
	[ -n "${AZM_GUEST_WORDS+set}" ] || network_up || return 1
	rm -rf /srv/copy
	mkdir /srv/copy && tar cf - -C "$AZM_GUEST_TREE" --exclude=./img . | tar xf - -C /srv/copy && cd /srv/copy || return 1
	# AZM_VM_IMAGE: made before, because hundreds of packages are configured in an hour here.
	[ ! -d "$AZM_GUEST_TREE/img" ] || { mkdir img && mount --bind "$AZM_GUEST_TREE/img" img; } || return 1
	make run </dev/null >/run/readme 2>&1 &
	make=$!
	until grep -q '^Stop ' /run/readme || ! kill -0 "$make" 2>/dev/null; do
		sleep 1
	done
	tail -n 40 /run/readme
	try=$(sed -n '/^Try /,/execute_action$/{s/^Try *//;p}' /run/readme)
	setpriv --reuid 61234 --regid 61234 --clear-groups bash -c "$try" | tee /run/answer
	echo
	grep -q 'executed with exit code 0' /run/answer || return 1
	pkill -INT -u 61234 -x azm-sandbox
	wait "$make"
	echo "make run ended with status $?"
}

# From here on: the boot of a machine whose policy has never seen it is not what is tried.
! selinuxenabled 2>/dev/null || setenforce 1

failed=0
echo "guest: $(sed -n 's/^PRETTY_NAME="\(.*\)"/\1/p' /etc/os-release), Linux $(uname -r)"
if [ -n "$(word hosts)" ]; then
	only=$(word hosts)
	bats --tap --filter "${only/#yes/.}" "$AZM_GUEST_TREE/tests/vm/guest/hosts.bats" || failed=1
fi
read -ra suites <<<"$(word suites)"
[[ ${#suites[@]} -eq 0 || $(uname -r) != 5.10.* ]] || without_overlays
own=() delegated=() from_root=()
for suite in "${suites[@]}"; do
	if [[ $suite == unit* ]]; then
		suite=${suite#unit} suite=${suite#:}
		mapfile -t -O ${#own[@]} own < <(cd "$AZM_GUEST_TREE" && find build -type f -perm -u+x -name "test_$suite*" | sort)
		continue
	fi
	if [[ $suite == root:* ]]; then
		from_root+=("tests/${suite#root:}.bats")
		continue
	fi
	suite=tests/$suite.bats
	# Without a machine there is no systemd to ask.
	if [ -z "${AZM_GUEST_WORDS+set}" ] && grep -q '^# runner:.*cgroup' "$AZM_GUEST_TREE/$suite"; then
		delegated+=("$suite")
	else
		own+=("$suite")
	fi
done
[ ${#own[@]} -eq 0 ] || run_suites '' "${own[@]}" || failed=1
[ ${#delegated[@]} -eq 0 ] || run_suites 'systemd-run --user --scope -q -p Delegate=yes' "${delegated[@]}" || failed=1
[ ${#from_root[@]} -eq 0 ] || run_from_root "${from_root[@]}" || failed=1
if [ -n "$(word readme)" ]; then
	readme || failed=1
fi
echo "guest: status $failed"
