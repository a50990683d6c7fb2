#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""frames.py forge OWN VICTIM GATEWAY  |  frames.py watch OWN SENDER

What a sandbox could send that had got hold of its own wire, and what of it arrives. Runs in the namespaces of a sandbox
(nsenter), where an AF_PACKET socket is allowed. `forge` sends frames under false addresses to VICTIM and then a genuine
one; `watch` says "up", prints what comes from SENDER's side and ends with the genuine frame. Addresses are IPv4; the
links' MAC addresses follow from them (netns/link.c).
"""
import socket
import struct
import sys

IPV4, ARP, IPV6, VLAN = 0x0800, 0x0806, 0x86DD, 0x8100
MARK = b"genuine"


def mac(address):
    return b"\x0a\x5a" + socket.inet_aton(address)


def open_wire(protocol):
    wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(protocol))
    wire.bind(("eth0", protocol))
    wire.settimeout(30)
    return wire


def checksum(data):
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while total >> 16:
        total = (total >> 16) + (total & 0xFFFF)
    return ~total & 0xFFFF


def udp(source, destination, payload):
    body = struct.pack("!HHHH", 7, 7, 8 + len(payload), 0) + payload
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(body), 1, 0, 64, 17, 0, socket.inet_aton(source),
                       socket.inet_aton(destination))
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + body


def arp(operation, hardware, address, target):
    return struct.pack("!HHBBH6s4s6s4s", 1, IPV4, 6, 4, operation, hardware, socket.inet_aton(address), b"\0" * 6,
                       socket.inet_aton(target))


def router_advertisement():
    source, everybody = socket.inet_pton(socket.AF_INET6, "fe80::1"), socket.inet_pton(socket.AF_INET6, "ff02::1")
    body = struct.pack("!BBHBBHII", 134, 0, 0, 64, 0, 1800, 0, 0)
    return struct.pack("!IHBB", 6 << 28, len(body), 58, 255) + source + everybody + body


def forge(own, victim, gateway):
    wire = open_wire(IPV4)

    def send(kind, payload, to=mac(victim), sender=mac(own)):
        wire.send(to + sender + struct.pack("!H", kind) + payload)

    other_mac = b"\x02" + mac(own)[1:]
    everybody = b"\xff" * 6
    send(IPV4, udp(own, victim, b"mac"), sender=other_mac)
    send(IPV4, udp(victim, victim, b"own ip of the victim"))
    send(IPV4, udp(gateway, victim, b"ip of the gateway"))
    send(IPV4, udp(gateway, victim, b"gateway"), sender=mac(gateway))
    send(IPV4, udp("127.0.0.1", victim, b"loopback"))
    send(ARP, arp(2, mac(own), gateway, victim))
    send(ARP, arp(1, mac(own), gateway, victim), to=everybody)
    send(ARP, arp(2, other_mac, own, victim))
    send(IPV6, router_advertisement(), to=b"\x33\x33\0\0\0\x01")
    send(VLAN, struct.pack("!HH", 5, IPV4) + udp(own, victim, b"vlan"))
    send(0x88CC, b"lldp", to=b"\x01\x80\xc2\0\0\x0e", sender=mac(victim))
    send(0x888E, b"eapol", to=b"\x01\x80\xc2\0\0\x03", sender=mac(victim))
    send(IPV4, udp(own, victim, MARK))


def watch(own, sender):
    wire = open_wire(3)  # ETH_P_ALL
    print("up", flush=True)
    while True:
        frame = wire.recv(2048)
        if frame[6:12] == mac(own):
            continue
        # The sender may ask where we are, as everybody may.
        honest = frame[6:12] == mac(sender) and frame[12:14] == b"\x08\x06" and frame[22:28] == mac(sender) \
            and frame[28:32] == socket.inet_aton(sender)
        if frame.endswith(MARK) and frame[6:12] == mac(sender):
            print("genuine", flush=True)
            return
        if not honest:
            print("arrived: " + frame.hex(), flush=True)


if __name__ == "__main__":
    {"forge": forge, "watch": watch}[sys.argv[1]](*sys.argv[2:])
