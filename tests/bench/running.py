# SPDX-License-Identifier: GPL-2.0-or-later
"""running.py: sandboxes that run: a command in one of them, a thousand of them, one on a large work tree.

bench.py's part.
"""
import collections
import json
import os
import pathlib
import re
import time

KIB = 1024
SLEEPER = ("/bin/probe", "sleep-forever")

# bench.py's own functions and places, by name.
Tools = collections.namedtuple("Tools", "user spawn show_times worked note row missing memory processes azm root scratch quick")


# ---- exec -----------------------------------------------------------------------------------------------------------

def workload_of(pid):
    """The child of azm-init: azm-init itself cannot be entered from outside."""
    for status in pathlib.Path("/proc").glob("[0-9]*/status"):
        try:
            if re.search(rf"^PPid:\s+{pid}$", status.read_text(), re.M):
                return int(status.parent.name)
        except OSError:
            pass
    return None


def bench_exec(tools, peers):
    print("exec of /bin/true in a sandbox that runs, interleaved")
    name = "bench-exec"
    if tools.user([tools.azm, "run", "-d", "--name", name, "--rootfs", tools.root, "--", *SLEEPER]).returncode:
        tools.missing("exec", "azm-sandbox run fails")
        return
    target = workload_of(json.loads(tools.user([tools.azm, "inspect", name]).stdout)[0]["pid"])
    # The same namespaces, without a filter, limits, streams of its own: the least an entry costs.
    rounds = 20 if tools.quick else 100
    results = tools.spawn("cycles", rounds, f"azm-sandbox={tools.azm} exec {name} /bin/true",
                          f"nsenter=nsenter -t {target} -U -m -n -p -i -u -C --preserve-credentials /bin/true")
    # By themselves: what podman leaves to do in the background would be the next one's loss.
    for tool, (command, reason) in (("crun", peers.oci_exec("crun", *SLEEPER)), ("runc", peers.oci_exec("runc", *SLEEPER)),
                                    ("podman", peers.podman_exec(*SLEEPER))):
        if command:
            results.update(tools.spawn("cycles", min(rounds, 30), f"{tool}={command} /bin/true"))
        else:
            tools.note(f"{tool:<22} does not work for this user: {reason}")
    tools.show_times(results)
    peers.end()
    tools.user([tools.azm, "rm", "-f", name])
    for peer, bar, aim in (("nsenter", 2.0, 1.5), ("podman", 1.0, 0.2), ("runc", 1.0, 0.5)):
        if tools.worked(results, "azm-sandbox") and tools.worked(results, peer):
            tools.row("exec", results["azm-sandbox"]["median"], peer, results[peer]["median"], bar, aim)
        elif peer == "nsenter":
            tools.missing("exec", "nsenter or azm-sandbox fails")


# ---- many -----------------------------------------------------------------------------------------------------------

def names(tools):
    return tools.user([tools.azm, "ps", "-q"]).stdout.split()


def kernel_memory():
    """KiB the kernel uses for things of its own: namespaces, mounts, page tables, stacks."""
    facts = dict(re.findall(r"(?m)^(\w+):\s+(\d+)", pathlib.Path("/proc/meminfo").read_text()))
    return sum(int(facts[key]) for key in ("SUnreclaim", "KernelStack", "PageTables", "Percpu"))


def start_many(tools, count):
    """In ten blocks, one after another: the milliseconds of each start of the first and the last block, and of all."""
    means = []
    for _ in range(10):
        # spawn_bench warms up with three, which stay as well.
        done = tools.spawn("blocks", count // 10 - 3, f"start={tools.azm} run -d --rootfs {tools.root}")
        if not tools.worked(done, "start") or done["start"]["failures"]:
            return None
        means.append(done["start"]["mean"] / 1000)
    return means[0], means[-1], sum(means) / len(means)


def bench_many(tools):
    count = 100 if tools.quick else 1000
    print("many idle sandboxes at once, each with its server and its place on the private network")
    before = kernel_memory()
    times = start_many(tools, count)
    alive = names(tools)
    if times is None or len(alive) != count:
        tools.missing(f"{count} idle sandboxes", f"only {len(alive)} came up")
    else:
        tools.note(f"start: {times[0]:.1f} ms each of the first {count // 10}, {times[1]:.1f} of the last, "
                   f"{1000 / times[2]:.0f} a second over all")
        tools.row(f"start beside {count} idle ones", times[1], "the first hundred" if count > 100 else "the first ten",
                  times[0], 4, 2)
        tools.note(f"kernel's own memory: {(kernel_memory() - before) / count:.0f} KiB each")
        if os.getuid() == 0:
            by_name, total = tools.memory(tools.processes())
            tools.note(f"PSS {total / count:.0f} KiB each: " +
                       ", ".join(f"{name} {size / count:.0f}" for name, size in sorted(by_name.items())))
            tools.row(f"memory, one of {count}", total / count / KIB, "1 MiB", 1, 3, 1)
        results = tools.spawn("cycles", 20, f"exec beside {count}={tools.azm} exec {alive[count // 2]} /bin/true",
                              f"ps of {count}={tools.azm} ps -q")
        tools.show_times(results)
    for verb in (["stop", "-t", "0"], ["rm", "-f"]):
        began = time.monotonic()
        tools.user([tools.azm, *verb, *alive])
        tools.note(f"{verb[0]}: {len(alive) / (time.monotonic() - began):.0f} a second, one command for all")


# ---- guard ----------------------------------------------------------------------------------------------------------

def bench_guard(tools):
    files = 1000 if tools.quick else 5000
    print("start of a sandbox on a work tree of many files, with the workspace guard and without")
    tree = tools.scratch / "work-tree"
    made = tools.user(["sh", "-ec", f"""mkdir {tree}; cd {tree}; git init -q .
for d in $(seq {files // 100}); do mkdir -p src/$d; for f in $(seq 100); do echo $d $f >src/$d/$f.c; done; done
git add . && git -c user.name=bench -c user.email=bench@localhost commit -q -m all"""])
    if made.returncode:
        tools.missing("guard", f"git: {made.stderr.strip()[-80:]}")
        return
    start = f"{tools.azm} run --rm --rootfs {tools.root} --workspace {tree}"
    results = tools.spawn("cycles", 20 if tools.quick else 100, f"guard={start} -- /bin/true",
                          f"without={start} --guard off -- /bin/true")
    tools.show_times(results)
    if tools.worked(results, "guard") and tools.worked(results, "without"):
        tools.row(f"work tree of {files} files", results["guard"]["median"], "--guard off", results["without"]["median"], 1.5,
                  1.25)
