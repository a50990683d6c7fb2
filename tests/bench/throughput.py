#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""throughput.py AZM WHAT [ROUNDS [SECONDS]]: how fast a sandbox's packets get out, and to each other; one JSON object.

WHAT is "egress": from a sandbox to a server outside, through our broker and through the peers', against the host's own
connection; or "members": between two sandboxes on a named network, against a plain veth pair. iperf3 measures one TCP
stream each way; the contenders take turns, and the median of each is printed, or why it does not work here.

Runs as an ordinary user, on the tests' own internet (tests/lib/internet): the server is on the other side of a veth.
"""
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
AZM, WHAT = sys.argv[1], sys.argv[2]
ROUNDS = int(sys.argv[3]) if len(sys.argv) > 3 else 7
SECONDS = sys.argv[4] if len(sys.argv) > 4 else "1"
SERVER, PORT = "192.52.193.50", "5201"
IPERF = shutil.which("iperf3")


def wait_until(condition, what):
    deadline = time.monotonic() + 30
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(what)
        time.sleep(0.02)


class Internet:
    """internet.py with a place on its host and one in its world to run commands in."""

    def __init__(self, directory):
        self.directory = directory
        self.starter = subprocess.Popen(
            ["unshare", "--user", "--map-current-user", "--keep-caps", "--net", "--mount", "--pid", "--fork",
             "--mount-proc", "--kill-child", sys.executable, "-B", HERE.parent / "lib/internet/internet.py", directory],
            stdout=subprocess.DEVNULL, stderr=sys.stderr)
        wait_until(lambda: (directory / "ready").exists() or self.starter.poll() is not None, "the internet")
        children = subprocess.check_output(["pgrep", "-P", str(self.starter.pid)], text=True).split()
        self.host = children[0]
        self.world = subprocess.check_output(["pgrep", "-P", self.host, "-f", "world"], text=True).split()[0]

    def on(self, pid, *command):
        return ["nsenter", "--preserve-credentials", "-U", "-n", "-m", "-p", "-t", pid, "--", *map(str, command)]

    def end(self):
        self.starter.kill()
        self.starter.wait()


def iperf(command, direction):
    """Bits per second of one run, or what went wrong."""
    for _ in range(50):
        done = subprocess.run(command + [IPERF, "-J", "-t", SECONDS, *direction], capture_output=True, text=True,
                              check=False, timeout=60)
        # A server that is not there yet, or not done with the last one.
        if not any(reason in done.stdout for reason in ("Connection refused", "server is busy")):
            break
        time.sleep(0.1)
    try:
        result = json.loads(done.stdout[done.stdout.index("{"):])
        return result["end"]["sum_received"]["bits_per_second"]
    except (ValueError, KeyError):
        raise RuntimeError((done.stderr.strip() or done.stdout.strip()).replace("\n", " ")[-120:]) from None


def measure(contenders):
    """contenders: label -> (command prefix, server). Medians of interleaved rounds."""
    results = {label: {"up": [], "down": []} for label in contenders}
    failed = {}
    for _ in range(ROUNDS):
        for label, (prefix, server) in contenders.items():
            for way, switch in (("up", []), ("down", ["-R"])):
                if label in failed:
                    continue
                try:
                    results[label][way].append(iperf(prefix, ["-c", server, "-p", PORT, *switch]))
                except (RuntimeError, subprocess.TimeoutExpired) as error:
                    failed[label] = str(error)
    for label in results:
        if label in failed:
            results[label] = {"reason": failed[label]}
        else:
            results[label] = {way: statistics.median(values) / 8 for way, values in results[label].items()}
    return results


def rootfs(directory):
    """The host's /usr behind a volume, so that iperf3 is there."""
    root = directory / "root"
    for name in ("usr", "proc", "sys", "dev", "run", "tmp", "etc"):
        (root / name).mkdir(parents=True)
    for name in ("bin", "sbin", "lib", "lib64"):
        if os.path.islink("/" + name):
            (root / name).symlink_to("usr/" + name)
    (root / "etc/passwd").write_text("root:x:0:0:root:/:/bin/sh\n")
    return ["--rootfs", str(root), "-v", "/usr:/usr:ro"]


SLIRP = """
mkfifo "$1.ready"
unshare --user --map-root-user --net sh -c 'echo $$ >"$0.pid"; exec sleep 1000 >/dev/null' "$1" &
while [ ! -s "$1.pid" ]; do sleep 0.01; done
slirp4netns --configure --mtu=65520 --ready-fd=3 "$(cat "$1.pid")" tap0 3>"$1.ready" >/dev/null 2>"$1.log" &
read -r -n 1 _ <"$1.ready" || { tail -1 "$1.log"; kill %1; exit 1; }
echo up
sleep 1000
"""


def bench_egress(net, directory):
    image = rootfs(directory)
    server = subprocess.Popen(net.on(net.world, IPERF, "-s", "-B", SERVER, "-p", PORT), stdout=subprocess.DEVNULL)
    contenders = {"host": (net.on(net.host), SERVER)}
    subprocess.run(net.on(net.host, AZM, "run", "-d", "--name", "bench-egress", *image, "--egress", f"{SERVER}:{PORT}",
                          "--", "sleep", "10000"), check=True, stdout=subprocess.DEVNULL)
    contenders["azm-sandbox"] = (net.on(net.host, AZM, "exec", "bench-egress"), SERVER)
    if shutil.which("pasta"):
        contenders["pasta"] = (net.on(net.host, "pasta", "--config-net", "--quiet", "-t", "none", "-u", "none", "-T",
                                      "none", "-U", "none", "--"), SERVER)
    slirp = None
    if shutil.which("slirp4netns"):
        state = directory / "slirp"
        slirp = subprocess.Popen(net.on(net.host, "bash", "-c", SLIRP, "slirp", state), stdout=subprocess.PIPE, text=True)
        if (said := slirp.stdout.readline()) != "up\n":
            print(f"slirp4netns: {said.strip()}", file=sys.stderr)
        else:
            pid = pathlib.Path(f"{state}.pid").read_text().strip()
            contenders["slirp4netns"] = (net.on(net.host, "nsenter", "--preserve-credentials", "-U", "-n", "-t", pid), SERVER)
    results = measure(contenders)
    subprocess.run(net.on(net.host, AZM, "rm", "-f", "bench-egress"), check=False, stdout=subprocess.DEVNULL)
    server.kill()
    if slirp:
        slirp.kill()
    return results


VETH = """
ip link set lo up
unshare --net sh -c 'echo $$ >"$0.pid"; exec sleep 1000' "$1" &
while [ ! -s "$1.pid" ]; do sleep 0.01; done
ip link add v0 type veth peer name v1 netns "$(cat "$1.pid")"
ip address add 10.211.0.1/24 dev v0
ip link set v0 up
nsenter -t "$(cat "$1.pid")" -n sh -c 'ip address add 10.211.0.2/24 dev v1 && ip link set v1 up'
echo $$ >"$1.other"
echo up
sleep 1000
"""


def bench_members(net, directory):
    image = rootfs(directory)
    quiet = {"check": True, "stdout": subprocess.DEVNULL}
    subprocess.run(net.on(net.host, AZM, "network", "create", "bench"), **quiet)
    for name, command in (("bench-a", [IPERF, "-s", "-p", PORT]), ("bench-b", ["sleep", "10000"])):
        subprocess.run(net.on(net.host, AZM, "run", "-d", "--name", name, "--network", "bench", *image, "--", *command), **quiet)
    state = directory / "veth"
    pair = subprocess.Popen(["unshare", "--user", "--map-root-user", "--net", "bash", "-c", VETH, "veth", state],
                            stdout=subprocess.PIPE, text=True)
    if pair.stdout.readline() != "up\n":
        raise ChildProcessError("no veth pair")
    ends = [pathlib.Path(f"{state}.{end}").read_text().strip() for end in ("pid", "other")]
    into = [["nsenter", "--preserve-credentials", "-U", "-n", "-t", pid] for pid in ends]
    server = subprocess.Popen(into[0] + [IPERF, "-s", "-p", PORT], stdout=subprocess.DEVNULL)
    results = measure({"veth": (into[1], "10.211.0.2"),
                       "azm-sandbox": (net.on(net.host, AZM, "exec", "bench-b"), "bench-a")})
    for name in ("bench-a", "bench-b"):
        subprocess.run(net.on(net.host, AZM, "rm", "-f", name), check=False, stdout=subprocess.DEVNULL)
    subprocess.run(net.on(net.host, AZM, "network", "rm", "bench"), check=False, stdout=subprocess.DEVNULL)
    server.kill()
    subprocess.run(["kill", "-KILL", *ends], check=False)
    pair.wait()
    return results


def main():
    with tempfile.TemporaryDirectory() as name:
        directory = pathlib.Path(name)
        net = Internet(directory / "internet")
        try:
            print(json.dumps({"egress": bench_egress, "members": bench_members}[WHAT](net, directory)))
        finally:
            net.end()


main()
