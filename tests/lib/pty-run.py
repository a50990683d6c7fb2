#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""pty-run.py [--size COLSxROWS] [--when PATTERN ACTION]... -- COMMAND...

Run COMMAND on a new terminal and print everything it shows. ACTIONs are done in order, each when its PATTERN has
appeared in the output since the last one: resize:COLSxROWS, send:TEXT (backslash escapes), kill:SIGNAL (to the command),
hangup (the terminal goes away). Ends with the command's status; 124 when nothing happened for 30 s. Afterwards prints
"pty-run: left in the terminal: TEXT" if something was put into the terminal's input and never read.
"""
import codecs
import fcntl
import os
import pty
import select
import signal
import struct
import sys
import termios

LIMIT = 30


def set_size(fd, text):
    cols, rows = (int(n) for n in text.split("x"))
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))


def main():
    args = sys.argv[1:]
    size, steps = "80x24", []
    while args and args[0] != "--":
        if args[0] == "--size":
            size, args = args[1], args[2:]
        elif args[0] == "--when":
            steps.append((args[1].encode(), args[2]))
            args = args[3:]
        else:
            sys.exit(f"pty-run.py: {args[0]}: unknown")
    command = args[1:]

    master, slave = pty.openpty()
    set_size(master, size)
    before = termios.tcgetattr(slave)
    pid = os.fork()
    if pid == 0:
        os.close(master)
        os.login_tty(slave) if hasattr(os, "login_tty") else login_tty(slave)
        os.execvp(command[0], command)
    status, seen = None, b""
    while status is None or select.select([master], [], [], 0.2)[0]:
        if select.select([master], [], [], 0.05)[0]:
            try:
                data = os.read(master, 65536)
            except OSError:
                break
            if not data:
                break
            os.write(1, data)
            seen += data
        while steps and steps[0][0] in seen:
            pattern, action = steps.pop(0)
            seen = seen[seen.index(pattern) + len(pattern):]
            kind, _, argument = action.partition(":")
            if kind == "resize":
                set_size(master, argument)
            elif kind == "send":
                os.write(master, codecs.decode(argument, "unicode_escape").encode())
            elif kind == "kill":
                os.kill(pid, signal.Signals["SIG" + argument])
            elif kind == "hangup":
                os.close(master)
                os.close(slave)
                _, status = os.waitpid(pid, 0)
                sys.exit(os.waitstatus_to_exitcode(status) & 0xFF)
        if status is None:
            done, result = os.waitpid(pid, os.WNOHANG)
            if done:
                status = result
    if status is None:
        _, status = os.waitpid(pid, 0)
    after = termios.tcgetattr(slave)
    flags = fcntl.fcntl(slave, fcntl.F_GETFL)
    fcntl.fcntl(slave, fcntl.F_SETFL, flags | os.O_NONBLOCK)
    try:
        left = os.read(slave, 4096)
    except BlockingIOError:
        left = b""
    if left:
        print(f"pty-run: left in the terminal: {left!r}")
    if after != before:
        print("pty-run: the terminal's settings were changed")
    code = os.waitstatus_to_exitcode(status)
    sys.exit(code if code >= 0 else 128 - code)


def login_tty(slave):
    os.setsid()
    fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
    for fd in range(3):
        os.dup2(slave, fd)
    if slave > 2:
        os.close(slave)


signal.alarm(LIMIT)
main()
