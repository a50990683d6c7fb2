# SPDX-License-Identifier: GPL-2.0-or-later
"""publish.py: what a published port costs, ours and others': one server, one client, something in between.

Contenders take turns within every round, because a machine has bad moments, and each figure is the median of its
rounds. What a peer needs and this machine does not have is said in the table's place. Throughput is iperf3's and rates
are wrk's where they are installed; the bare exchange of bench_publish (100-byte requests, nobody parses anything) is the
hardest case, shown beside them.
"""
import contextlib
import json
import os
import pathlib
import re
import resource
import shutil
import signal
import statistics
import subprocess
import time

INSIDE = 7000  # bench_publish's services and iperf3 behind them
SERVICES = 5
PORTS = f"{INSIDE}-{INSIDE + SERVICES - 1}"
SINK, SOURCE, ECHO, HTTP, IPERF = range(SERVICES)


class Unavailable(Exception):
    """Why a contender is left out."""


def listening(port):
    """Whether somebody accepts on the loopback, without connecting: a forwarder would accept for a dead server."""
    wanted = f":{port:04X}"
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in pathlib.Path(table).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[1].endswith(wanted) and fields[3] == "0A":
                return True
    return False


class Bench:
    """Where things are: filled in by bench.py."""

    def __init__(self, work, build, azm, root, scratch, as_user, quick):
        self.work, self.build, self.azm, self.root, self.scratch = work, build, azm, root, scratch
        self.as_user, self.quick = as_user, quick
        self.program = scratch / "bench_publish"
        self.base = 20000
        self.server = scratch / "serve.sh"

    def prepare(self):
        """Programs for both sides; iperf3 with its libraries for a root that has none."""
        shutil.copy(self.build / "bench/bench_publish", self.program)
        shutil.copy(self.program, self.root / "bin/bench_publish")
        iperf = shutil.which("iperf3")
        if iperf:
            shutil.copy(iperf, self.root / "bin/iperf3")
            for path in re.findall(r"(/\S+) \(0x", subprocess.run(["ldd", iperf], capture_output=True, text=True,
                                                                  check=True).stdout):
                target = self.root / path.lstrip("/")
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, target)
        script = "#!/bin/sh\nIPERF\nexec PROGRAM serve $1\n"
        for place, program in ((self.server, self.program), (self.root / "bin/serve.sh", "/bin/bench_publish")):
            run = "iperf3 -s -p $(($1 + 4)) >/dev/null 2>&1 &" if iperf else ""
            place.write_text(script.replace("IPERF", run).replace("PROGRAM", str(program)))
            place.chmod(0o755)

    def next_base(self):
        self.base += 10
        return self.base

    @contextlib.contextmanager
    def process(self, command, port, **options):
        """A contender in the background until its first port listens; its whole session ends with the block."""
        log = self.scratch / f"publish-{port}.log"
        with log.open("w") as out:
            running = subprocess.Popen([str(word) for word in command], stdout=out, stderr=out, stdin=subprocess.DEVNULL,
                                       start_new_session=True, **options)
        try:
            deadline = time.monotonic() + 15
            while not listening(port):
                if running.poll() is not None or time.monotonic() > deadline:
                    said = log.read_text().strip().splitlines() or [f"status {running.poll()}"]
                    raise Unavailable(said[-1][-110:])
                time.sleep(0.02)
            time.sleep(0.3)  # some forward before their server listens
            yield
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(running.pid, signal.SIGTERM)
            try:
                running.wait(5)
            except subprocess.TimeoutExpired:
                os.killpg(running.pid, signal.SIGKILL)
                running.wait()

    # ---- contenders --------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def loopback(self):
        base = self.next_base()
        with self.process(self.as_user + [self.server, base], base + HTTP):
            yield base

    @contextlib.contextmanager
    def least(self):
        """The least a relay can do (bench_publish.c): how much of a distance to loopback is the kernel's."""
        server, base = self.next_base(), self.next_base()
        with self.process(self.as_user + [self.server, server], server + HTTP):
            with self.process(self.as_user + [self.program, "relay", base, server], base):
                yield base

    @contextlib.contextmanager
    def ours(self):
        base = self.next_base()
        with self.process(self.as_user + [self.azm, "run", "--rm", "--name", f"bench-{base}", "--rootfs", self.root,
                                          "-p", f"127.0.0.1:{base}-{base + SERVICES - 1}:{PORTS}", "--",
                                          "/bin/serve.sh", INSIDE], base):
            yield base

    def with_tun(self, command):
        """Peers that open /dev/net/tun: lend one to the unprivileged id, in a mount namespace of the bench's own."""
        if os.access("/dev/net/tun", os.R_OK | os.W_OK) and os.getuid() != 0:
            return command
        if os.getuid() != 0:
            raise Unavailable("/dev/net/tun is closed to this user")
        lend = ('t=$(mktemp /var/tmp/azm-bench-tun-XXXXXX); rm "$t"; mknod -m 666 "$t" c 10 200 || exit 1; '
                'mount --bind "$t" /dev/net/tun && rm "$t" && exec "$@"')
        return ["unshare", "-m", "sh", "-c", lend, "sh", *command]

    @contextlib.contextmanager
    def pasta(self):
        if not shutil.which("pasta"):
            raise Unavailable("not installed")
        base = self.next_base()
        with self.process(self.with_tun(self.as_user + ["pasta", "--config-net", "-f", "-q", "-t",
                                                        f"127.0.0.1/{base}-{base + SERVICES - 1}:{PORTS}", "-T", "none",
                                                        "-u", "none", "-U", "none", "--", self.server, INSIDE]), base):
            yield base

    @contextlib.contextmanager
    def rootlesskit(self):
        for program in ("rootlesskit", "slirp4netns", "newuidmap"):
            if not shutil.which(program):
                raise Unavailable(f"{program} is not installed")
        base = self.next_base()
        ports = [word for i in range(SERVICES) for word in ("-p", f"127.0.0.1:{base + i}:{INSIDE + i}/tcp")]
        user = [str(self.work / "tests/lib/subuid-user.sh")] if os.getuid() == 0 else self.as_user
        with self.process(self.with_tun(user + ["rootlesskit", "--net=slirp4netns", "--disable-host-loopback",
                                                "--port-driver=builtin", f"--state-dir={self.scratch}/rootlesskit-{base}",
                                                *ports, self.server, INSIDE]), base):
            yield base

    @contextlib.contextmanager
    def docker_proxy(self):
        """Docker's proxy as Docker uses it, beside a namespace that root wires up; the package is only unpacked."""
        proxy = shutil.which("docker-proxy") or os.environ.get("AZM_DOCKER_PROXY", "")
        if os.getuid() != 0 or not proxy or not shutil.which("ip"):
            raise Unavailable("needs root and docker-proxy" if not proxy else "needs root")
        base, name = self.next_base(), f"azmbench{os.getpid() % 10000}"
        subprocess.run(["sh", "-ec", f"ip netns add {name}; ip link add {name[-10:]}h type veth peer name eth0 netns {name}; "
                        f"ip addr add 198.19.77.1/30 dev {name[-10:]}h; ip link set {name[-10:]}h up; "
                        f"ip -n {name} addr add 198.19.77.2/30 dev eth0; ip -n {name} link set eth0 up; "
                        f"ip -n {name} link set lo up"], check=True)
        proxies = "; ".join(f"{proxy} -proto tcp -host-ip 127.0.0.1 -host-port {base + i} -container-ip 198.19.77.2 "
                            f"-container-port {INSIDE + i} 3>/dev/null &" for i in range(SERVICES)).replace("&;", "&")
        run = f"ip netns exec {name} {' '.join(self.as_user)} {self.server} {INSIDE} & {proxies} wait"
        try:
            with self.process(["sh", "-c", run], base):
                yield base
        finally:
            subprocess.run(["ip", "netns", "del", name], check=False)

    # ---- measuring ---------------------------------------------------------------------------------------------

    def client(self, *command):
        done = subprocess.run(self.as_user + [str(word) for word in command], capture_output=True, text=True, check=False,
                              timeout=60)
        if done.returncode:
            raise Unavailable((done.stderr.strip().splitlines() or done.stdout.strip().splitlines() or ["?"])[-1][-110:])
        return done.stdout

    def iperf(self, base, seconds, *options):
        said = json.loads(self.client("iperf3", "-J", "-c", "127.0.0.1", "-p", base + IPERF, "-t", max(1, round(seconds)),
                                      *options))
        return said["end"]["sum_received"]["bits_per_second"] / 8, None

    def wrk(self, base, seconds, connections):
        said = self.client("wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--latency",
                           f"http://127.0.0.1:{base + HTTP}/")
        p99 = re.search(r"99%\s+([\d.]+)(us|ms|s)", said)
        unit = {"us": 1, "ms": 1e3, "s": 1e6}
        return (float(re.search(r"Requests/sec:\s+([\d.]+)", said)[1]),
                float(p99[1]) * unit[p99[2]] if p99 else None)

    def bare(self, base, seconds, what, service, *options):
        return float(self.client(self.program, what, base + service, seconds, *options)), None

    def tests(self):
        """name -> (function of base and seconds, unit divisor and name, bar, aim)"""
        seen = {}
        iperf, wrk = shutil.which("iperf3"), shutil.which("wrk")
        seen["throughput in"] = (lambda b, s: self.iperf(b, s) if iperf else self.bare(b, s, "upload", SINK),
                                 1e9, "GB/s", 0.65, 0.8)
        seen["throughput out"] = (lambda b, s: self.iperf(b, s, "-R") if iperf else self.bare(b, s, "download", SOURCE),
                                  1e9, "GB/s", 0.65, 0.8)
        if wrk:
            seen["HTTP, 64 connections"] = (lambda b, s: self.wrk(b, s, 64), 1e3, "k/s", 0.55, 0.7)
            seen["HTTP, 1 connection"] = (lambda b, s: self.wrk(b, s, 1), 1e3, "k/s", 0.75, 0.75)
        seen["bare, 64 connections"] = (lambda b, s: self.bare(b, s, "requests", ECHO, 64), 1e3, "k/s", 0.55, 0.7)
        seen["bare, 1 connection"] = (lambda b, s: self.bare(b, s, "requests", ECHO, 1), 1e3, "k/s", 0.75, 0.75)
        return seen


def measure(bench, bases):
    """test -> contender -> (median, median p99 or None)"""
    rounds, seconds = (1, 1) if bench.quick else (5, 1)
    results = {}
    for name, (run, *_) in bench.tests().items():
        samples = {label: [] for label in bases}
        for _ in range(rounds):
            for label, base in bases.items():
                with contextlib.suppress(Unavailable, subprocess.TimeoutExpired):
                    samples[label].append(run(base, seconds))
        results[name] = {label: (statistics.median(value for value, _ in rows),
                                 statistics.median([p99 for _, p99 in rows if p99] or [0]))
                         for label, rows in samples.items() if rows}
    return results


def show(bench, results, bases, note):
    note(f"{'':<22}" + "".join(f"{label:>18}" for label in bases))
    for name, (_, divisor, unit, *_) in bench.tests().items():
        plain = results[name].get("loopback", (0, 0))[0]
        cells = []
        for label in bases:
            value, p99 = results[name].get(label, (0, 0))
            cells.append(f"{value / divisor:8.3g} {value / plain:8.2f}x" if value and plain else f"{'fails':>18}")
        note(f"{name:<22}" + "".join(f"{cell:>18}" for cell in cells) + f"   {unit}")
        if any(results[name].get(label, (0, 0))[1] for label in bases):
            note(f"{'  p99 latency':<22}" + "".join(f"{results[name].get(label, (0, 0))[1]:15.0f} us" for label in bases))


def supervisors(bench, base):
    """/proc directories of the processes that relay for our contender."""
    found = []
    for cmdline in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            words = cmdline.read_bytes()
            if f"bench-{base}\0".encode() in words and words.startswith(str(bench.azm).encode()):
                found.append(cmdline.parent)
    return found


def idle_memory(bench, base, note, row):
    """Ten thousand idle connections: PSS of the supervisor and its second process, which has half of them."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]  # two are needed for each
    count = 500 if bench.quick else min(10000, hard // 2 - 100)
    client = subprocess.Popen(bench.as_user + [str(bench.program), "idle", str(base + ECHO), str(count)],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    if client.stdout.readline() != "open\n":
        note(f"{count} idle connections cannot be opened here")
        return
    deadline, held, processes = time.monotonic() + 20, 0, []
    while held < 2 * count and time.monotonic() < deadline:
        time.sleep(0.05)
        processes = supervisors(bench, base)
        held = sum(len(list((process / "fd").iterdir())) for process in processes)
    pss = sum(int(re.search(r"^Pss:\s+(\d+)", (process / "smaps_rollup").read_text(), re.M)[1]) for process in processes)
    note(f"{count} idle connections: {len(processes)} processes have {held} descriptors, PSS {pss} KiB")
    if held >= 2 * count:
        row(f"{count} idle connections", pss / 1024, "1 MiB", 1, 40, 8)
    client.stdin.close()
    client.wait()


def run(bench, note, row, missing):
    """The section: a table of all contenders, rows of ours for the closing table."""
    bench.prepare()
    contenders = {"loopback": bench.loopback, "minimal relay": bench.least, "azm-sandbox": bench.ours,
                  "pasta": bench.pasta, "rootlesskit": bench.rootlesskit, "docker-proxy": bench.docker_proxy}
    with contextlib.ExitStack() as stack:
        bases = {}
        for label, start in contenders.items():
            try:
                bases[label] = stack.enter_context(start())
            except (Unavailable, subprocess.CalledProcessError) as reason:
                note(f"{label:<22} left out: {reason}")
        if "loopback" not in bases or "azm-sandbox" not in bases:
            missing("published port", "no server")
            return
        results = measure(bench, bases)
        show(bench, results, bases, note)
        for name, (_, _, _, bar, aim) in bench.tests().items():
            figures = {label: value for label, (value, _) in results[name].items()}
            if "azm-sandbox" not in figures or "loopback" not in figures:
                missing(f"published port, {name}", "failed")
                continue
            row(f"published port, {name}", figures["azm-sandbox"], "plain loopback", figures["loopback"], bar, aim,
                lower_is_better=False)
            peers = {label: value for label, value in figures.items()
                     if label not in ("loopback", "minimal relay", "azm-sandbox")}
            if peers:
                best = max(peers, key=peers.get)
                row(f"published port, {name}", figures["azm-sandbox"], f"best peer: {best}", peers[best], 1, 1.2,
                    lower_is_better=False)
        if os.getuid() == 0:
            idle_memory(bench, bases["azm-sandbox"], note, row)
