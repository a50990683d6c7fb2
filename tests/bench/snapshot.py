# SPDX-License-Identifier: GPL-2.0-or-later
"""snapshot.py: how long a snapshot takes, by what is in the writable layer and by whether the sandbox runs.

bench.py's part. Leaves the snapshot bench-large for forks.
"""
import json
import time

ROUNDS = 5
FILES = 5000


def milliseconds(user, command):
    """The least of several would flatter: the median. {} in a word is the round's number."""
    times = []
    for number in range(ROUNDS):
        words = [str(word).format(number) for word in command]
        began = time.monotonic()
        if user(words).returncode:
            return None
        times.append((time.monotonic() - began) * 1000)
    return sorted(times)[ROUNDS // 2]


def fill(user, azm, name, megabytes):
    """Half of it in large files, the rest of the entries small ones."""
    return user([azm, "exec", name, "sh", "-ec",
                 f"mkdir /large /small; for i in $(seq {megabytes // 10}); do"
                 " dd if=/dev/urandom of=/large/$i bs=1M count=10 2>/dev/null; done;"
                 f" for i in $(seq {FILES}); do echo $i >/small/$i; done"]).returncode


def frozen(user, azm, name):
    """The same, of the time in which nothing ran inside, as the program says it."""
    times = []
    for number in range(ROUNDS):
        answer = user([azm, "snapshot", "--json", name, f"{name}-frozen-{number}"])
        if answer.returncode:
            return None
        times.append(json.loads(answer.stdout)["frozen_ms"])
    return sorted(times)[ROUNDS // 2]


def take(user, azm, root, megabytes):
    """Label -> milliseconds of `snapshot`; the start of a program as another user is in all of them."""
    times = {}
    for size, label in ((0, "empty"), (megabytes, f"{megabytes} MB")):
        name = f"bench-{size}"
        if user([azm, "run", "-d", "--name", name, "--rootfs", root, "--", "/bin/probe", "sleep-forever"]).returncode:
            return None
        if size and fill(user, azm, name, size):
            return None
        times[f"running, {label}"] = milliseconds(user, [azm, "snapshot", name, f"{name}-running-{{}}"])
        times[f"running, {label}: stands still"] = frozen(user, azm, name)
        user([azm, "stop", "-t", "0", name])
        if size:  # one that freezes it all; a second one would find nothing new
            began = time.monotonic()
            if user([azm, "snapshot", name, "bench-large"]).returncode:
                return None
            times[f"stopped, {label}"] = (time.monotonic() - began) * 1000
        else:
            times[f"stopped, {label}"] = milliseconds(user, [azm, "snapshot", name, f"{name}-stopped-{{}}"])
    return None if None in times.values() else times


def end(user, azm):
    """Remove what take() made."""
    tags = user([azm, "snapshots", "ls", "-q"]).stdout.split()
    user([azm, "rm", "-f", "bench-0", *(name for name in user([azm, "ps", "-aq"]).stdout.split())])
    user([azm, "snapshots", "rm", *(tag for tag in tags if tag.startswith("bench-"))])
