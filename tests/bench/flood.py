#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""flood.py SERVER [GIGABYTES]: one command that prints ten thousand million bytes.

The runtime server has to stay live and small all the while, and to answer with the right end of the output. The rate is shown beside
the one of a program that only reads the same terminal: nobody can be faster than that.
"""
import json
import os
import pty
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), 'server', 'conformance'))
os.environ['AZM_RUNTIME_SERVER'] = os.path.abspath(sys.argv[1])
from client import Client, Server, metadata  # noqa: E402

LINE = '0123456789' * 8


def printing(size):
    return "yes %s | head -c %d; echo; echo 'the end'" % (LINE, size)


def bare_rate(size):
    """Bytes in a second that a terminal hands on to somebody who throws them away."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv('/bin/sh', ['sh', '-c', printing(size)])
    begun, seen = time.monotonic(), 0
    try:
        while piece := os.read(terminal, 65536):
            seen += len(piece)
    except OSError:  # everybody closed the other end
        pass
    os.waitpid(pid, 0)
    os.close(terminal)
    return seen / (time.monotonic() - begun)


def memory(pid):
    """KiB: what is only this process's now, and the most that ever was in memory."""
    with open('/proc/%d/status' % pid) as f:
        status = dict(line.split(':', 1) for line in f.read().splitlines())
    return int(status['RssAnon'].split()[0]), int(status['VmHWM'].split()[0])


class Watcher(threading.Thread):
    """Asks four times a second, while the command runs, whether the server is alive and how large it is."""

    def __init__(self, server, client):
        super().__init__()
        self.server, self.client = server, client
        self.samples, self.slowest, self.over = [], 0.0, threading.Event()

    def run(self):
        while not self.over.wait(0.25):
            begun = time.monotonic()
            status = self.client.request('GET', '/alive')[0]
            self.slowest = max(self.slowest, time.monotonic() - begun)
            self.samples.append(memory(self.server.process.pid)[0] if status == 200 else sys.maxsize)


def flood(server, client, size):
    """Return: seconds, the watcher's findings, the answer"""
    client.run(printing(50 * 1000 * 1000), timeout=600.0)  # the screen and its history have been full once
    watcher = Watcher(server, client)
    watcher.start()
    begun = time.monotonic()
    body = {'action': {'action': 'run', 'args': {'command': printing(size), 'blocking': True}, 'timeout': 36000.0}}
    answer = client.request('POST', '/execute_action', json.dumps(body), timeout=36000)[1]
    took = time.monotonic() - begun
    watcher.over.set()
    watcher.join()
    return took, watcher, answer


def judge(size, watcher, answer):
    """Return: what is wrong"""
    quarter = len(watcher.samples) // 4
    early, late = max(watcher.samples[:quarter + 1]), max(watcher.samples[-quarter - 1:])
    last_lines = LINE[:size % (len(LINE) + 1)] + '\nthe end'
    return [wrong for wrong, found in (
        ('exit code', metadata(answer)['exit_code'] != 0),
        ('the end of the output', not answer['content'].endswith(last_lines)),
        ('the length of the answer', not 30000 <= len(answer['content']) < 30100),
        ('memory grew: %d to %d KiB' % (early, late), late > early + 256),
    ) if found]


def main():
    size = int(float(sys.argv[2] if len(sys.argv) > 2 else 10) * 1e9)
    server = Server(soft=3600)
    try:
        took, watcher, answer = flood(server, Client(server), size)
        peak = memory(server.process.pid)[1]
    finally:
        server.stop()
    wrong = judge(size, watcher, answer)
    rate, bare = size / took, bare_rate(min(size, 1000 * 1000 * 1000))
    print('printed %.1f GB in %.1f s: %.1f MB/s, %.2f of a reader that keeps nothing (%.1f MB/s)'
          % (size / 1e9, took, rate / 1e6, rate / bare, bare / 1e6))
    print('memory: %d to %d KiB of its own while it ran, peak with the program %d KiB; slowest /alive %.0f ms'
          % (min(watcher.samples), max(watcher.samples), peak, watcher.slowest * 1000))
    for what in wrong:
        print('WRONG: ' + what)
    return 1 if wrong else 0


if __name__ == '__main__':
    sys.exit(main())
