#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""reach.py TARGET...: what becomes of a connection to each HOST:PORT, all at once; one line "TARGET RESULT" each.

    reached   the host answered an HTTP request for its own name (whatever it answered, but the broker's own refusal)
    refused   connect(2) failed at once, or the answer was the broker's 403
    closed    accepted, then closed or reset without a byte
    unknown   no such name
    timeout   nothing of this within ten seconds (socket.timeout: Python before 3.10 has no other name for it)
"""
import concurrent.futures
import socket
import sys


def reach(target):
    host, _, port = target.rpartition(":")
    host = host.strip("[]")
    try:
        address = socket.getaddrinfo(host, int(port), type=socket.SOCK_STREAM)[0]
    except OSError:
        return "unknown"
    with socket.socket(address[0], socket.SOCK_STREAM) as sock:
        sock.settimeout(10)
        try:
            sock.connect(address[4])
        except socket.timeout:
            return "timeout"
        except OSError:
            return "refused"
        try:
            sock.sendall(f"GET / HTTP/1.0\r\nHost: {target.rpartition(':')[0]}\r\n\r\n".encode())
            answer = sock.recv(4096)
        except socket.timeout:
            return "timeout"
        except OSError:
            return "closed"
        return "closed" if not answer else "refused" if b" 403 " in answer else "reached"


with concurrent.futures.ThreadPoolExecutor(64) as pool:
    for name, result in zip(sys.argv[1:], pool.map(reach, sys.argv[1:])):
        print(name, result)
