#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""bench.py WORK [--quick] [--only NAME,...]: every figure of design.md section 8 in one table.

WORK is run-bench.sh's private copy. Ratios of one run are what counts: machines differ, and so do their bad days; the
contenders of one figure therefore take turns. A peer that does not work for this user gets a row that says why.
Sections: start, isolation, cycles, burst, alive, memory, action, server, files, publish, egress, members, unpack,
store, snapshot, exec, guard, many.
"""
import json
import os
import pathlib
import re
import shutil
import signal
import stat
import subprocess
import sys
import time

import isolation
import peers
import publish
import running
import snapshot
import store
import unpack

WORK = pathlib.Path(sys.argv[1])
QUICK = "--quick" in sys.argv
ONLY = sys.argv[sys.argv.index("--only") + 1].split(",") if "--only" in sys.argv else None
BUILD = WORK / "build"
AZM, FLOOR, SPAWN = BUILD / "azm-sandbox", BUILD / "bench/floor", BUILD / "bench/spawn_bench"
AS_USER = [str(WORK / "tests/lib/as-user.sh")]
UID = int(os.environ.get("AZM_TEST_UID", "61234")) if os.getuid() == 0 else os.getuid()
HOME = pathlib.Path(os.environ["AZM_USER_HOME"]) if os.getuid() == 0 else pathlib.Path.home()
SCRATCH = WORK / "scratch"
ROOT = SCRATCH / "bb"
BWRAP = f"bwrap --unshare-all --die-with-parent --bind {ROOT} / --proc /proc --dev /dev --tmpfs /tmp"
KIB = 1024


def user(command, **options):
    """Run a command as the unprivileged id."""
    return subprocess.run(AS_USER + [str(word) for word in command], text=True, capture_output=True, check=False,
                          timeout=600, **options)


PEERS = peers.Peers(user, SCRATCH, ROOT)


def note(text):
    print(f"  {text}", flush=True)


# ---- results --------------------------------------------------------------------------------------------------------

TABLE = []


def row(what, value, against, base, bar, aim, lower_is_better=True):
    """One line of the closing table; the ratio is value / base."""
    ratio = value / base
    if lower_is_better:
        mark = "PASS, aim" if ratio <= aim else "PASS" if ratio <= bar else "below"
    else:
        mark = "PASS, aim" if ratio >= aim else "PASS" if ratio >= bar else "below"
    TABLE.append((what, against, f"{ratio:.2f}x", f"{bar:g}x", f"{aim:g}x", mark))


def missing(what, why):
    TABLE.append((what, "-", "-", "-", "-", why))


def show_table():
    head = ("what", "against", "ratio", "bar", "aim", "reached")
    widths = [max(len(str(line[i])) for line in [head] + TABLE) for i in range(len(head))]
    print()
    for line in [head] + TABLE:
        print("  ".join(str(cell).ljust(width) for cell, width in zip(line, widths)).rstrip())


def spawn(mode, count, *commands):
    """spawn_bench as the user: label -> figures."""
    done = user([SPAWN, mode, count, *commands], cwd=SCRATCH)
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    if not lines:
        note(f"spawn_bench {mode}: {done.stderr.strip()[-300:]}")
    results = {line.get("label", str(i)): line for i, line in enumerate(lines)}
    for command in commands:
        label, _, words = command.partition("=")
        if label in results and "median" not in results[label]:
            said = user(words.split(), cwd=SCRATCH).stderr.strip().splitlines() or ["?"]
            results[label]["reason"] = said[-1]
    return results


def show_times(results):
    for label, figures in results.items():
        if "median" not in figures:
            note(f"{label:<22} does not work for this user: status {figures['status']}: "
                 f"{figures.get('reason', '')[:110]}")
            continue
        note(f"{label:<22} median {figures['median'] / 1000:8.2f} ms   mean {figures['mean'] / 1000:8.2f}   "
             f"p99 {figures['p99'] / 1000:8.2f}   n {figures['n']}")


def worked(results, label):
    return "median" in results.get(label, {})


# ---- memory ---------------------------------------------------------------------------------------------------------

def processes():
    """pid -> name of every process of the user, except this program's own tools."""
    found = {}
    for status in pathlib.Path("/proc").glob("[0-9]*/status"):
        try:
            text = status.read_text()
        except OSError:
            continue
        if int(re.search(r"^Uid:\s+(\d+)", text, re.M)[1]) != UID or "State:\tZ" in text:
            continue
        name = re.search(r"^Name:\s+(.*)", text, re.M)[1]
        if name not in ("spawn_bench", "python3", "sh", "as-user.sh", "floor"):
            found[int(status.parent.name)] = name
    return found


def memory(pids):
    """(KiB by name, total KiB): PSS of the processes, and pages of memfds that no mapping accounts for."""
    by_name, memfds, mapped = {}, {}, 0.0
    for pid, name in pids.items():
        proc = pathlib.Path(f"/proc/{pid}")
        pss = int(re.search(r"^Pss:\s+(\d+)", (proc / "smaps_rollup").read_text(), re.M)[1])
        by_name[name] = by_name.get(name, 0) + pss
        for part in re.split(r"(?m)^(?=[0-9a-f]+-[0-9a-f]+ )", (proc / "smaps").read_text()):
            if "/memfd:" in part.split("\n", 1)[0]:
                mapped += int(re.search(r"^Pss:\s+(\d+)", part, re.M)[1])
        for link in (proc / "fd").iterdir():
            try:
                if os.readlink(link).startswith("/memfd:"):
                    info = link.stat()
                    memfds[info.st_ino] = info.st_blocks * 512 / KIB
            except OSError:
                pass
    extra = max(0.0, sum(memfds.values()) - mapped)
    if extra:
        by_name["memfd, not mapped"] = extra
    return by_name, sum(by_name.values())


# ---- sections -------------------------------------------------------------------------------------------------------

def azm_run(options="", command="/bin/true"):
    words = f"{AZM} run --rm --rootfs {ROOT} -p 127.0.0.1:0:80 {options} -- {command}"
    return " ".join(words.split())  # spawn_bench takes every blank for a separator


class Holder:
    """The process that keeps floor's network, as the keeper keeps azm-sandbox's."""

    def __enter__(self):
        self.path = SCRATCH / "holder"
        self.process = subprocess.Popen(AS_USER + [str(FLOOR), "--hold", str(self.path)])
        while not self.path.exists():
            time.sleep(0.01)
        return f"{FLOOR} --net --holder {self.path}"

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()
        self.path.unlink(missing_ok=True)


def bench_start():
    print("cold start of /bin/true in a busybox root, interleaved")
    with Holder() as shared:
        commands = {"floor": f"{FLOOR} {ROOT} /bin/true", "floor, own bridge": f"{FLOOR} --net {ROOT} /bin/true",
                    "floor, shared bridge": f"{shared} {ROOT} /bin/true", "bwrap": f"{BWRAP} /bin/true", "azm-sandbox": azm_run()}
        reasons = {}
        for tool in ("crun", "runc"):
            command, reason = PEERS.oci(tool, "run", "/bin/true")
            if command:
                commands[tool] = command
            else:
                reasons[tool] = reason
        results = spawn("cycles", 30 if QUICK else 150, *(f"{k}={v}" for k, v in commands.items()))
        show_times(results)
        command, reason = PEERS.podman()
        if command:
            slow = spawn("cycles", 5, f"podman -p={command}")
            show_times(slow)
        else:
            reasons["podman -p"] = reason
        for tool, reason in reasons.items():
            note(f"{tool:<22} does not work for this user: {reason}")
    if not worked(results, "azm-sandbox"):
        missing("cold start", "azm-sandbox run fails")
        return
    ours = results["azm-sandbox"]["median"]
    if worked(results, "bwrap"):
        row("cold start", ours, "bwrap --unshare-all", results["bwrap"]["median"], 1.0, 0.8)
    row("cold start", ours, "floor, veth+bridge+proc", results["floor, shared bridge"]["median"], 1.3, 1.15)


def bench_isolation():
    print("what of a start is the kernel's price of the isolation: floor, step by step, interleaved")
    user(["mkdir", "-p", SCRATCH / "layers"])
    with Holder() as shared:
        commands = isolation.commands(shared, ROOT, SCRATCH / "layers", azm_run())
        results = spawn("cycles", 30 if QUICK else 150, *(f"{k}={v}" for k, v in commands.items()))
    price = isolation.show(results, note)
    if price is None:
        show_times(results)
        missing("cold start against the same isolation", "a contender fails")
    else:
        row("cold start", results["azm-sandbox"]["median"], "floor with the same isolation", price, 1.3, 1.15)


def bench_cycles():
    print("sequential start/stop cycles, each contender in one block")
    results = spawn("blocks", 40 if QUICK else 200, f"azm-sandbox={azm_run()}", f"bwrap={BWRAP} /bin/true")
    show_times(results)
    if not worked(results, "azm-sandbox") or not worked(results, "bwrap"):
        missing("200 cycles", "a contender fails")
        return
    for figure in ("mean", "p99"):
        row(f"200 cycles, {figure}", results["azm-sandbox"][figure], "bwrap", results["bwrap"][figure], 1.0, 0.7)


def one_burst(label, count, command):
    """count sandboxes at once: milliseconds up and down, KiB of memory each (or None)."""
    bench = subprocess.Popen(AS_USER + [str(SPAWN), "burst", str(count), command], stdin=subprocess.PIPE, text=True,
                             stdout=subprocess.PIPE, cwd=SCRATCH)
    up = json.loads(bench.stdout.readline() or "{}")
    each, detail = None, ""
    if os.getuid() == 0 and up.get("ready") == count:
        by_name, total = memory(processes())
        each = total / count
        detail = ", ".join(f"{name} {size / count:.0f}" for name, size in sorted(by_name.items()))
    bench.stdin.write("\n")
    bench.stdin.close()
    down = json.loads(bench.stdout.readline() or "{}")
    bench.wait()
    if up.get("ready") != count or down.get("failures"):
        note(f"{label:<22} only {up.get('ready', 0)} of {count} came up, {down.get('failures')} ended badly")
        return None
    note(f"{label:<22} up {up['up'] / 1000:7.1f} ms   down {down['down'] / 1000:7.1f} ms" +
         (f"   {each:.0f} KiB each ({detail})" if each else ""))
    return up["up"] + down["down"], each


def bench_burst():
    count = 20 if QUICK else 100
    print(f"{count} sandboxes at once: all up, all gone")
    with Holder() as shared:
        one_burst("floor, shared bridge", count, f"{shared} {ROOT} /bin/probe hold")
    theirs = [one_burst("bwrap", count, f"{BWRAP} /bin/probe hold") for _ in range(3)]
    ours = [one_burst("azm-sandbox", count, azm_run("-i", "/bin/probe hold")) for _ in range(3)]
    if None in ours or None in theirs:
        missing(f"{count} at once", "not all came up")
        return
    row(f"{count} at once, up and down", sorted(x[0] for x in ours)[1], "bwrap", sorted(x[0] for x in theirs)[1], 1.5, 1.0)


def bench_alive():
    print("run to the first 200 on /alive, embedded server")
    results = spawn("alive", 10 if QUICK else 40, f"{AZM} run --rm --json --rootfs {ROOT}")
    with Holder() as shared:
        floor = spawn("cycles", 20 if QUICK else 60, f"floor={shared} {ROOT} /bin/true")
    show_times(results)
    show_times(floor)
    if not worked(results, "alive"):
        missing("run to /alive", "the server does not come up")
        return
    row("run to /alive", results["alive"]["median"], "floor, veth+bridge+proc", floor["floor"]["median"], 3, 2)


class Server:
    """A sandbox with the runtime server, idle."""

    def __init__(self, name):
        self.name = name
        done = user([AZM, "run", "-d", "--json", "--name", name, "--rootfs", ROOT])
        self.facts = json.loads(done.stdout.splitlines()[0]) if done.stdout.startswith("{") else None
        if not self.facts:
            note(f"the server does not start: {done.stderr.strip()[-200:]}")

    def remove(self):
        user([AZM, "rm", "-f", self.name])


def bench_memory():
    print("memory of an idle sandbox with its server")
    if os.getuid() != 0:
        missing("memory", "only root may read it: run make bench as root")
        return
    for count in (1, 10):
        servers = [Server(f"mem{i}") for i in range(count)]
        if all(server.facts for server in servers):
            time.sleep(1.5)  # idle, as in bench_server()
            by_name, total = memory(processes())
            note(f"{count:>3} sandboxes: {total / count:7.0f} KiB each: " +
                 ", ".join(f"{name} {size / count:.0f}" for name, size in sorted(by_name.items())))
            row(f"memory, one of {count}", total / count / KIB, "1 MiB", 1, 3, 1)
        else:
            missing("memory", "the server does not start")
        for server in servers:
            server.remove()


def bench_action():
    print("one warm action `true` over HTTP")
    server = Server("action")
    if not server.facts:
        missing("warm action", "the server does not start")
        return
    done = user([BUILD / "bench/action_bench", "50" if QUICK else "300", str(server.facts["host_port"]),
                 server.facts["api_key"]])
    server.remove()
    results = {figures["label"]: figures for figures in map(json.loads, done.stdout.splitlines())}
    if "action" not in results:
        missing("warm action", done.stderr.strip()[-80:])
        return
    show_times(results)
    polling = 650000.0
    row("warm action", polling / results["action"]["median"], "faster than polling (0.65 s)", 1, 200, 1000,
        lower_is_better=False)
    note(f"{results['action']['median'] / results['true']['median']:.1f}x of vfork+exec+wait of /bin/true")


def bench_files():
    size = 256 if QUICK else 1024
    print(f"a file of {size} MiB to and from the server, the copy of cp beside it")
    place = SCRATCH / "files"
    user(["mkdir", "-p", place / "from", place / "to"])
    user(["sh", "-c", f"head -c {size}M /dev/urandom > {place}/from/file"])
    with open(SCRATCH / "files.log", "w") as log:
        server = subprocess.Popen(AS_USER + [str(BUILD / "azm-runtime-server"), "0", "--host", "127.0.0.1", "--working-dir", str(place)],
                                  stdout=log, stderr=log)
    deadline = time.monotonic() + 10
    while not (found := re.search(r":(\d+)$", (SCRATCH / "files.log").read_text())) and time.monotonic() < deadline:
        time.sleep(0.01)
    url = f"http://127.0.0.1:{found.group(1)}" if found else ""
    ways = {"cp": f"cp {place}/from/file {place}/to/copy",
            "upload": f"curl -sf -o /dev/null -H Expect: -F file=@{place}/from/file '{url}/upload_file?destination={place}/to'",
            "download": f"curl -sf -o {place}/to/zip '{url}/download_files?path={place}/from'"}
    times = {way: [] for way in ways}
    for _ in range(3):
        for way, command in ways.items():
            user(["sh", "-c", f"rm -f {place}/to/*; sync -f {place}"])
            begin = time.monotonic()
            if user(["sh", "-c", command]).returncode == 0:
                times[way].append(time.monotonic() - begin)
    server.terminate()
    server.wait()
    shutil.rmtree(place, ignore_errors=True)
    best = {way: min(taken, default=None) for way, taken in times.items()}
    note("  ".join(f"{way} {taken:.2f} s" for way, taken in best.items() if taken))
    for way in ("upload", "download"):
        if best[way] and best["cp"]:
            row(f"file {way}", best["cp"] / best[way], "speed of cp", 1, 0.5, 0.8, lower_is_better=False)
        else:
            missing(f"file {way}", "it does not work")


# ---- the server by itself --------------------------------------------------------------------------------------------

class LoneServer:
    """azm-runtime-server or its floor on the host, as the user; a context."""

    def __init__(self, *command):
        self.command = AS_USER + [str(word) for word in command]

    def __enter__(self):
        self.process = subprocess.Popen(self.command, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, cwd=SCRATCH)
        self.port = int(re.search(r"(\d+)\s*$", self.process.stdout.readline())[1])
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.terminate()
        self.process.wait()

    def pid(self):
        """The program's: as-user.sh execs its way to it."""
        return self.process.pid

    def request(self, path, *options):
        """Seconds that curl takes."""
        done = user(["curl", "-sf", "-o", SCRATCH / "answer", "-w", "%{time_total}", *options,
                     f"http://127.0.0.1:{self.port}{path}"], cwd=SCRATCH)
        return float(done.stdout) if done.returncode == 0 else None

    def run(self, command):
        action = {"action": {"action": "run", "args": {"command": command, "blocking": True}, "timeout": 300.0}}
        return self.request("/execute_action", "-d", json.dumps(action))


def lone_server():
    return LoneServer(BUILD / "azm-runtime-server", "0", "--host", "127.0.0.1", "--working-dir", SCRATCH)


def median(values):
    return sorted(values)[len(values) // 2]


def timed(*command):
    begin = time.monotonic()
    user(command, cwd=SCRATCH)
    return time.monotonic() - begin


def bench_floor_action(server):
    rounds = "100" if QUICK else "1000"
    with LoneServer(BUILD / "bench/floor_http") as floor:
        times = {}
        for label, port in (("floor", floor.port), ("server", server.port)) * 2:
            done = user([BUILD / "bench/action_bench", rounds, port, "none"])
            times.setdefault(label, []).append(json.loads(done.stdout.splitlines()[0])["median"])
    note(f"one action: server {min(times['server']):.0f} us, HTTP echo and /bin/true {min(times['floor']):.0f} us")
    row("warm action", min(times["server"]), "echo on the same library + true", min(times["floor"]), 3, 1)


def bench_output(server):
    numbers = 200000 if QUICK else 2000000
    ours, scripts = [], []
    for _ in range(3):
        ours.append(server.run(f"seq 1 {numbers}"))
        scripts.append(timed("script", "-qec", f"seq 1 {numbers}", "/dev/null"))
    row(f"seq 1 {numbers}", median(ours), "in script(1)", median(scripts), 2, 1.3)


def bench_server():
    print("the runtime server by itself: an action, much output, memory")
    with lone_server() as server:
        if os.getuid() == 0:
            time.sleep(1.5)  # it is idle, and gives memory back, a second after the last thing it did
            row("memory of an idle server", memory({server.pid(): "server"})[1] / KIB, "1 MiB", 1, 1, 1)
        bench_floor_action(server)
        if os.getuid() == 0:
            time.sleep(1.5)
            before = memory({server.pid(): "server"})[1]
            user([BUILD / "bench/action_bench", "1000", server.port, "none"])
            time.sleep(1.5)
            after = memory({server.pid(): "server"})[1]
            note(f"after 1000 more actions: {before:.0f} -> {after:.0f} KiB")
        bench_output(server)


def bench_publish():
    print("published port, ours and others'")
    publish.run(publish.Bench(WORK, BUILD, AZM, ROOT, SCRATCH, AS_USER, QUICK), note, row, missing)


def throughput(what):
    """throughput.py as the user: label -> bytes per second up and down."""
    tun = SCRATCH / "tun"
    if os.getuid() == 0 and not tun.exists():
        # pasta and slirp4netns need it; the id of this run must not have it otherwise.
        os.mknod(tun, 0o666 | stat.S_IFCHR, os.makedev(10, 200))
        tun.chmod(0o666)
        os.environ["AZM_TUN"] = str(tun)
    done = user([WORK / "tests/bench/throughput.py", AZM, what] + (["2", "1"] if QUICK else []), cwd=SCRATCH)
    if done.returncode:
        missing(what, (done.stderr.strip().splitlines() or ["?"])[-1][-80:])
        return {}
    results = json.loads(done.stdout.splitlines()[-1])
    for label, figures in results.items():
        if "reason" in figures:
            note(f"{label:<22} does not work for this user: {figures['reason']}")
        else:
            note(f"{label:<22} up {figures['up'] / 1e9:6.2f} GB/s   down {figures['down'] / 1e9:6.2f} GB/s")
    return {label: figures for label, figures in results.items() if "up" in figures}


def bench_egress():
    print("egress, one TCP stream to a server on the other side of a veth")
    results = throughput("egress")
    for peer in ("pasta", "slirp4netns"):
        for way in ("up", "down"):
            if peer in results and "azm-sandbox" in results:
                row(f"egress, {way}", results["azm-sandbox"][way], peer, results[peer][way], 1.0, 1.5, lower_is_better=False)
            else:
                missing(f"egress, {way}", f"no figure for {peer}")


def bench_members():
    print("two sandboxes on a named network, one TCP stream")
    results = throughput("members")
    for way in ("up", "down"):
        if "veth" in results and "azm-sandbox" in results:
            row(f"sandbox to sandbox, {way}", results["azm-sandbox"][way], "plain veth pair", results["veth"][way], 0.95, 1.0,
                lower_is_better=False)
        else:
            missing(f"sandbox to sandbox, {way}", "a contender fails")


def bench_unpack():
    print("an image of one gzip layer, verified and unpacked")
    size, files, results = unpack.bench(AS_USER, BUILD, SCRATCH, QUICK)
    note(f"{size >> 20} MiB, {files} files")
    for name, (seconds, kib) in results.items():
        note(f"{name:12} {seconds:6.2f} s  {kib / KIB:6.1f} MiB")
    if "azm-rootfs" not in results or "tar" not in results:
        missing("unpack", "a contender fails")
        return
    ours, kib = results["azm-rootfs"]
    row("gzip image unpacked", ours, "tar -xf of the plain layer", results["tar"][0], 1.0, 0.7)
    for peer in ("umoci", "podman load", "charliecloud"):
        if peer in results:
            row("gzip image unpacked", ours, peer, results[peer][0], 0.5, 0.35)
    row("memory to unpack", kib, "64 MiB", 64 * KIB, 1.0, 0.5)


def bench_store():
    print(f"an image of {store.LAYERS} layers in the store, and the same unpacked to one tree")
    tool, scratch = BUILD / "azm-rootfs", SCRATCH / "store"
    user(["mkdir", "-p", scratch])
    times = store.prepare(user, tool, WORK / "tests", scratch, ROOT)
    if times is None:
        missing("store", "azm-rootfs unpack --store fails")
        return
    note(f"{store.LAYERS} layers put in {times[0] * 1000:.0f} ms, one more on a base that is there in {times[1] * 1000:.0f} ms")
    results = spawn("cycles", 60 if QUICK else 200, f"store={AZM} run --rm --rootfs azm:bench-layers -- /bin/true",
                    f"flat={AZM} run --rm --rootfs {scratch}/flat -- /bin/true")
    show_times(results)
    if worked(results, "store") and worked(results, "flat"):
        row(f"start from {store.LAYERS} layers", results["store"]["median"], "one tree", results["flat"]["median"], 1.3, 1.1)
    sizes = store.disk(user, tool, scratch)
    store.end(user, tool, scratch)
    if sizes:
        note(f"{store.IMAGES} images on one base {sizes[0] / KIB:.1f} MiB, one of them unpacked {sizes[1] / KIB:.1f} MiB")
        row(f"disk of {store.IMAGES} images on one base", sizes[0], "each unpacked", store.IMAGES * sizes[1], 0.3, 0.2)


def bench_snapshot():
    print("snapshots, and forks of what they froze")
    large = 100 if QUICK else 500
    times = snapshot.take(user, AZM, ROOT, large)
    if times is None:
        missing("snapshot", "azm-sandbox snapshot fails")
        return
    for what, milliseconds in times.items():
        note(f"{what:<44} {milliseconds:8.1f} ms")
    results = spawn("cycles", 20 if QUICK else 60, f"fork={AZM} fork --rm bench-large 1 -- /bin/true",
                    f"start={AZM} run -d --rm --rootfs {ROOT} -- /bin/true")
    show_times(results)
    snapshot.end(user, AZM)
    if worked(results, "fork") and worked(results, "start"):
        row(f"fork of {large} MB", results["fork"]["median"], "run -d", results["start"]["median"], 1.5, 1.1)
    running = f"running, {large} MB"
    row(f"snapshot of {large} MB: it stands still", times[f"{running}: stands still"], "all of it", times[running], 0.3, 0.1)
    row(f"snapshot of {large} MB, stopped", times[f"stopped, {large} MB"], "of an empty layer", times["stopped, empty"], 1.5, 1.1)


TOOLS = running.Tools(user, spawn, show_times, worked, note, row, missing, memory, processes, AZM, ROOT, SCRATCH, QUICK)


def end_leftovers():
    """Peers leave helpers behind (podman's pause process); the id is this run's own."""
    if os.getuid() == 0:
        for pid in processes():
            os.kill(pid, signal.SIGKILL)


def main():
    user(["mkdir", "-p", "-m", "0755", HOME])
    made = subprocess.run(["install", "-d", "-o", str(UID), "-g", str(UID), str(SCRATCH)] if os.getuid() == 0 else
                          ["mkdir", "-p", str(SCRATCH)], check=False)
    if made.returncode or user([WORK / "tests/lib/rootfs.sh", ROOT, BUILD / "tests/probe"]).returncode:
        sys.exit("bench.py: cannot make the root file system")
    print(f"kernel {os.uname().release}, {os.cpu_count()} processors, as id {UID}\n")
    for name, section in (("start", bench_start), ("isolation", bench_isolation), ("cycles", bench_cycles),
                          ("burst", bench_burst), ("alive", bench_alive), ("memory", bench_memory), ("action", bench_action),
                          ("server", bench_server), ("files", bench_files), ("publish", bench_publish),
                          ("egress", bench_egress), ("members", bench_members), ("unpack", bench_unpack),
                          ("store", bench_store), ("snapshot", bench_snapshot), ("exec", lambda: running.bench_exec(TOOLS, PEERS)),
                          ("guard", lambda: running.bench_guard(TOOLS)), ("many", lambda: running.bench_many(TOOLS))):
        if not ONLY or name in ONLY:
            try:
                section()
            finally:
                end_leftovers()
            print()
    show_table()


main()
