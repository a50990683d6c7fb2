# SPDX-License-Identifier: GPL-2.0-or-later
"""hostile.py: a host that does to its clients what hosts should not. One port a kind of harm."""
import socket
import struct
import threading

import zone


def reset(connection):
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def reset_at_once(connection):
    reset(connection)


def reset_after_data(connection):
    connection.sendall(bytes(65536))
    connection.recv(1)
    reset(connection)


def flood(connection):
    block = bytes(1 << 18)
    while True:
        connection.sendall(block)


def hang(connection):
    """Never answers; goes with its client, or ten thousand threads would wait here."""
    while connection.recv(65536):
        pass


def half_close(connection):
    """Ends its own direction first and still wants to hear everything."""
    connection.sendall(b"over to you\n")
    connection.shutdown(socket.SHUT_WR)
    heard = b""
    while data := connection.recv(65536):
        heard += data
    with open(half_close.log, "a") as log:
        log.write(f"{len(heard)}\n")


def half_a_handshake(connection):
    """A TLS record that promises more than ever comes."""
    connection.recv(4096)
    connection.sendall(b"\x16\x03\x03\x40\x00\x02\x00\x00")
    hang(connection)


def listen_late(connection):
    """Reads nothing for a while, then everything."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    threading.Event().wait(0.5)
    heard = 0
    while data := connection.recv(65536):
        heard += len(data)
    with open(listen_late.log, "a") as log:
        log.write(f"{heard}\n")


def speak_first(connection):
    connection.sendall(b"220 I speak first\r\n")
    connection.sendall(b"you said " + connection.recv(4096))
    connection.close()


def count(connection):
    """Say how many bytes came, once the client has finished."""
    total = 0
    while data := connection.recv(1 << 18):
        total += len(data)
    connection.sendall(f"{total}\n".encode())
    connection.close()


PORTS = {1001: reset_at_once, 1002: reset_after_data, 1003: flood, 1004: hang, 1005: half_close,
         1006: half_a_handshake, 1007: speak_first, 1008: count, 1009: listen_late}


def serve(listener, harm):
    def meet(connection):
        try:
            harm(connection)
        except OSError:
            pass
        finally:
            connection.close()

    while True:
        threading.Thread(target=meet, args=(listener.accept()[0],), daemon=True).start()


def udp_canary(log):
    """Nobody should ever be heard here."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("0.0.0.0", 9999))
    while True:
        data, peer = sock.recvfrom(2048)
        with open(log, "a") as out:
            out.write(f"{peer[0]} {len(data)}\n")


def start(directory):
    half_close.log = directory / "half-close.log"
    listen_late.log = directory / "last-words.log"
    threading.stack_size(1 << 18)
    for port, harm in PORTS.items():
        listener = socket.create_server((zone.HOSTILE, port), backlog=4096)
        threading.Thread(target=serve, args=(listener, harm), daemon=True).start()
    threading.Thread(target=udp_canary, args=(directory / "udp.log",), daemon=True).start()
