#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""other-user.py serve SOCKET  |  other-user.py ask SOCKET get PORT  |  other-user.py ask SOCKET run PATH

Another user of the same host, for tests that must see what such a user can do. run-tests.sh, when it is root, starts
`serve` under a second id without privileges; a test asks it to fetch http://127.0.0.1:PORT/alive or to run a program.
The answer is one line: "200", "refused: ...", or the program's output.
"""
import os
import socket
import subprocess
import sys
import urllib.error
import urllib.request


def get(port):
    with urllib.request.urlopen(f"http://127.0.0.1:{int(port)}/alive", timeout=5) as answer:
        return str(answer.status)


def run(path):
    done = subprocess.run([path, "ids"], capture_output=True, text=True, timeout=5, check=False)
    return done.stdout + done.stderr


def serve(path):
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    os.chmod(path, 0o666)
    listener.listen()
    while True:
        peer, _ = listener.accept()
        verb, argument = peer.recv(4096).decode().split(" ", 1)
        try:
            answer = {"get": get, "run": run}[verb](argument)
        except (OSError, ValueError, KeyError, subprocess.SubprocessError) as error:
            answer = f"refused: {error}"
        peer.sendall(answer.encode())
        peer.close()


def ask(path, *words):
    peer = socket.socket(socket.AF_UNIX)
    peer.settimeout(20)
    peer.connect(path)
    peer.sendall(" ".join(words).encode())
    while data := peer.recv(4096):
        print(data.decode(), end="")
    print()


{"serve": serve, "ask": ask}[sys.argv[1]](*sys.argv[2:])
