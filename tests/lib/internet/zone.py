# SPDX-License-Identifier: GPL-2.0-or-later
"""zone.py: who has which address in the tests' internet, and its name server (UDP and TCP).

Public hosts have addresses of AS112 and AMT (RFC 7535, RFC 7450): public to every classifier, unlike those for
documentation, and nobody's server. The namespaces have no way out anyway. The others have what a hostile or careless
zone would give them. Every question is a line of dns.log.
"""
import ipaddress
import itertools
import socketserver
import struct
import threading

HOST = "192.175.48.2"  # the host on which azm-sandbox runs
GATEWAY = "192.175.48.1"
RESOLVER = "192.175.48.53"
LAN_HOST = "10.77.0.2"  # the host's second interface
LAN = "10.77.0.3"  # a mirror in the host's private network
WEB, OTHER, SHOP, DATABASE = "192.52.193.10", "192.52.193.11", "192.52.193.30", "192.52.193.40"
HOSTILE, PROXY = "192.52.193.50", "192.52.193.60"
CLOSED = "192.52.193.249"  # refuses
DEAD = "192.52.193.250"  # no route to it
HOLE = "192.52.193.251"  # packets to it vanish
CGNAT, METADATA = "100.64.0.9", "169.254.169.254"
WEB6, LAN6 = "2620:4f:8000:77::10", "fd00:77::3"

# What the world's end of the wire answers for.
SERVED = [RESOLVER, LAN, WEB, OTHER, SHOP, DATABASE, HOSTILE, PROXY, CLOSED, CGNAT, METADATA, WEB6, LAN6]

ZONE = {
    "www.example.test": [WEB],
    "example.test": [WEB],
    "a.b.example.test": [WEB],
    "evilexample.test": [OTHER],
    "other.test": [OTHER],
    "git.example.test": [WEB],
    "six.example.test": [WEB6],
    "both.example.test": [WEB, WEB6],
    "pypi.test": [SHOP],
    "npm.test": [SHOP],
    "deb.test": [SHOP],
    "db.test": [DATABASE],
    "hostile.test": [HOSTILE],
    "proxy.test": [PROXY],
    # many addresses, the first of them dead
    "many.example.test": [CLOSED, DEAD, WEB] + [f"192.52.193.{i}" for i in range(200, 220)],
    "slow.example.test": [HOLE, WEB],
    "closed.example.test": [CLOSED],
    "dead.example.test": [DEAD],
    "hole.example.test": [HOLE],
    # what must never, or only by an exact name, be reached
    "private.example.test": [LAN],
    "ula.example.test": [LAN6],
    "cgnat.example.test": [CGNAT],
    "loop.example.test": ["127.0.0.1"],
    "loop6.example.test": ["::1"],
    "metadata.example.test": [METADATA],
    "own.example.test": [HOST],
    "ownlan.example.test": [LAN_HOST],
    "zero.example.test": ["0.0.0.0"],
    "multicast.example.test": ["224.0.0.1"],
    "mapped.example.test": ["::ffff:127.0.0.1"],
    "nat64.example.test": ["64:ff9b::7f00:1"],
    "sixtofour.example.test": ["2002:7f00:1::1"],
    "linklocal6.example.test": ["fe80::1"],
    # good and bad together: only the good one may be used
    "mixed.example.test": ["127.0.0.1", WEB],
    "none.example.test": [],
    "hang.example.test": None,  # the upstream never answers
}

# Every question gets the next answer: what a rebinding attack does between the check and the use.
REBIND = {"rebind.example.test": itertools.cycle(["127.0.0.1", LAN, METADATA])}

A, AAAA, ANY = 1, 28, 255


def question_of(message):
    """(name, type, end of the question) of a DNS message with one."""
    labels, offset = [], 12
    while message[offset]:
        length = message[offset]
        labels.append(message[offset + 1:offset + 1 + length].decode("ascii", "replace"))
        offset += 1 + length
    kind = struct.unpack_from("!H", message, offset + 1)[0]
    return ".".join(labels).lower(), kind, offset + 5


class Zone:
    def __init__(self, log):
        self.log = open(log, "a", buffering=1)
        self.lock = threading.Lock()

    def addresses(self, name, kind):
        """The addresses of a name; None when the server is to be silent, KeyError when there is no such name."""
        if name in REBIND:
            with self.lock:
                return [next(REBIND[name])] if kind == A else []
        return ZONE[name]

    def answer(self, message):
        name, kind, end = question_of(message)
        self.log.write(f"{name} {kind}\n")
        try:
            found = self.addresses(name, kind)
        except KeyError:
            return message[:2] + struct.pack("!HHHHH", 0x8583, 1, 0, 0, 0) + message[12:end]
        if found is None:
            return None
        records = [ipaddress.ip_address(text).packed for text in found]
        records = [record for record in records if kind == (A if len(record) == 4 else AAAA)]
        reply = message[:2] + struct.pack("!HHHHH", 0x8580, 1, len(records), 0, 0) + message[12:end]
        for record in records:
            reply += struct.pack("!HHHIH", 0xC00C, kind, 1, 0, len(record)) + record
        return reply


class Udp(socketserver.BaseRequestHandler):
    def handle(self):
        message, sock = self.request
        reply = self.server.zone.answer(message)
        if reply is not None:
            sock.sendto(reply if len(reply) <= 512 else reply[:2] + b"\x87\x80" + reply[4:6] + bytes(6) +
                        message[12:question_of(message)[2]], self.client_address)


class Tcp(socketserver.StreamRequestHandler):
    def handle(self):
        while head := self.rfile.read(2):
            reply = self.server.zone.answer(self.rfile.read(struct.unpack("!H", head)[0]))
            if reply is None:
                threading.Event().wait(60)
                return
            self.wfile.write(struct.pack("!H", len(reply)) + reply)


def start(log):
    zone = Zone(log)
    for kind, handler in ((socketserver.ThreadingUDPServer, Udp), (socketserver.ThreadingTCPServer, Tcp)):
        server = kind((RESOLVER, 53), handler)
        server.daemon_threads = True
        server.zone = zone
        threading.Thread(target=server.serve_forever, daemon=True).start()
