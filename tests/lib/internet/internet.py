#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""internet.py DIR [--postgres]: an internet for the tests, made by an ordinary user out of namespaces.

Started as process 1 of namespaces of its own (../internet.bash): user (same id, with capabilities), network, mount and
pid, so that everything here dies with it.

    the namespace it is started in: the "host"       h0 192.175.48.2, 2620:4f:8000:1::2  ------.
        its resolv.conf, nsswitch.conf, hosts and    l0 10.77.0.2                    --.   |
        passwd are ours; azm-sandbox runs here                                         |   |
    a second network namespace: the "world"          every other address of zone.py ---'---'
        name server, web, git, ssh, mirrors, databases, proxy, a hostile host

Neither has a way out. DIR gets the logs, the stock and, when everything listens, the file "ready".
"""
import ctypes
import os
import pathlib
import signal
import socket
import ssl
import subprocess
import sys
import time

import hostile
import web
import zone

CLONE_NEWNET = 0x40000000
MS_BIND = 4096
MS_REC = 16384
HERE = pathlib.Path(__file__).resolve().parent
DIR = pathlib.Path(sys.argv[1]).resolve()
STOCK = DIR / "stock"
LIBC = ctypes.CDLL(None, use_errno=True)


def libc(call, *arguments):
    if getattr(LIBC, call)(*arguments):
        raise OSError(ctypes.get_errno(), f"{call}{arguments}: {os.strerror(ctypes.get_errno())}")


def ip(*lines):
    subprocess.run(["ip", "-batch", "-"], input="\n".join(lines) + "\n", text=True, check=True)


def own_etc():
    """An /etc of our own: links to the real one, in which we may replace files. A file that was covered by a mount would
    show again as soon as the host replaces it, as useradd does with /etc/passwd in the middle of another suite."""
    real, own = DIR / "etc.host", DIR / "etc"
    real.mkdir()
    own.mkdir()
    libc("mount", b"/etc", str(real).encode(), None, MS_BIND | MS_REC, None)
    for name in os.listdir(real):
        (own / name).symlink_to(real / name)
    libc("mount", str(own).encode(), b"/etc", None, MS_BIND, None)


def in_etc(text, name):
    path = DIR / "etc" / name
    path.unlink(missing_ok=True)
    path.write_text(text)


def furnish_host():
    own_etc()
    in_etc(f"nameserver {zone.RESOLVER}\noptions timeout:1 attempts:2\n", "resolv.conf")
    in_etc("passwd: files\ngroup: files\nhosts: files dns\n", "nsswitch.conf")
    in_etc("127.0.0.1 localhost\n::1 localhost\n", "hosts")
    if os.environ.get("AZM_TUN") and os.path.exists("/dev/net/tun"):
        libc("mount", os.environ["AZM_TUN"].encode(), b"/dev/net/tun", None, MS_BIND, None)
    in_etc(f"root:x:0:0:root:/root:/bin/sh\ngit:x:{os.getuid()}:{os.getgid()}::{STOCK}/home:/bin/sh\n", "passwd")


def wire(world):
    """Two wires from the host to the world: its uplink and its private network."""
    ip("link set lo up",
       f"link add h0 type veth peer name w0 netns {world}",
       f"link add l0 type veth peer name w1 netns {world}",
       f"address add {zone.HOST}/24 dev h0", f"address add {zone.LAN_HOST}/24 dev l0",
       "address add 2620:4f:8000:1::2/64 dev h0 nodad", "address add fd00:77::2/64 dev l0 nodad",
       "link set h0 up", "link set l0 up",
       f"route add default via {zone.GATEWAY}", "route add default via 2620:4f:8000:1::1",
       f"route add {zone.METADATA} via {zone.GATEWAY}", f"route add unreachable {zone.DEAD}",
       f"route add {zone.LAN6} via fd00:77::1")


def wire_world():
    ip("link set lo up", f"address add {zone.GATEWAY}/24 dev w0", "address add 10.77.0.1/24 dev w1",
       "address add 2620:4f:8000:1::1/64 dev w0 nodad", "address add fd00:77::1/64 dev w1 nodad",
       "link set w0 up", "link set w1 up",
       *(f"address add {address}/{128 if ':' in address else 32} dev lo" + (" nodad" if ":" in address else "")
         for address in zone.SERVED))


def start_redis():
    # redis-server and redis-check-rdb are one program, which goes by its name; only the second is in redis-tools.
    server = DIR / "redis-server"
    server.symlink_to("/usr/bin/redis-check-rdb")
    subprocess.Popen([server, "--bind", zone.DATABASE, "--save", "", "--protected-mode", "no", "--dir", DIR,
                      "--logfile", DIR / "redis.log"])


def start_postgres():
    programs = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin"))[-1]
    data = DIR / "postgres"
    subprocess.run([programs / "initdb", "-D", data, "-U", "azm", "-A", "trust", "--no-sync", "--locale=C", "-E", "UTF8"],
                   check=True, stdout=subprocess.DEVNULL)
    with open(data / "pg_hba.conf", "a") as file:
        file.write("host all all 0.0.0.0/0 trust\n")
    subprocess.Popen([programs / "postgres", "-D", data, "-h", zone.DATABASE, "-k", "", "-F"],
                     stdout=open(DIR / "postgres.log", "w"), stderr=subprocess.STDOUT)


def start_ssh():
    subprocess.Popen(["dropbear", "-F", "-E", "-s", "-P", "", "-p", f"{zone.WEB}:22", "-r", STOCK / "ssh/host.dropbear"],
                     stderr=open(DIR / "ssh.log", "w"))


def start_web():
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(STOCK / "server.pem", STOCK / "server.key")
    for address in (zone.WEB, zone.OTHER, zone.SHOP, zone.LAN, zone.CGNAT, zone.METADATA, zone.WEB6, zone.LAN6):
        web.start(address, 80, STOCK, DIR / "web.log")
        web.start(address, 443, STOCK, DIR / "web.log", tls=tls)
    for port in (3128, 3129):
        web.start(zone.PROXY, port, STOCK, DIR / "proxy.log", handler=web.Tunnel)


def listening(address, port):
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as sock:
        return sock.connect_ex((address, port)) == 0


def be_world():
    libc("unshare", CLONE_NEWNET)
    os.write(1, b"here\n")
    sys.stdin.readline()  # the wires are there
    wire_world()
    zone.start(DIR / "dns.log")
    hostile.start(DIR)
    start_redis()
    start_ssh()
    start_web()
    wanted = [(zone.WEB, 22), (zone.DATABASE, 6379)]
    if "--postgres" in sys.argv:
        start_postgres()
        wanted.append((zone.DATABASE, 5432))
    deadline = time.monotonic() + 30
    while not all(listening(*place) for place in wanted):
        if time.monotonic() > deadline:
            raise TimeoutError(f"servers do not listen: {wanted}")
        time.sleep(0.02)
    (DIR / "ready.new").write_text("ready\n")
    (DIR / "ready.new").rename(DIR / "ready")
    signal.pause()


def main():
    if sys.argv[-1] == "world":
        return be_world()
    DIR.mkdir(exist_ok=True)
    furnish_host()  # ssh-keygen wants a user with a name
    subprocess.run([HERE / "stock.sh", STOCK], check=True)
    for log in ("dns", "web", "proxy", "udp", "half-close", "last-words"):
        (DIR / f"{log}.log").touch()
    world = subprocess.Popen([sys.executable, "-B", *sys.argv, "world"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    if world.stdout.readline() != b"here\n":
        raise ChildProcessError("the world did not come about")
    wire(world.pid)
    world.stdin.write(b"wired\n")
    world.stdin.flush()
    # Process 1 reaps whatever ends here.
    while True:
        pid, status = os.wait()
        if pid == world.pid:
            raise ChildProcessError(f"the world ended: {status}")


main()
