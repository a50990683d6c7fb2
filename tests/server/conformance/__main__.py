#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""HTTP conformance of azm-runtime-server: what clients of the action execution server rely on.

    python3 tests/server/conformance [AREA[.CLASS[.TEST]]... | -AREA...]

Every file beside this one is an area, except client.py, which they share; -AREA leaves one out. Starts the server (AZM_RUNTIME_SERVER, default
build/azm-runtime-server) on a free loopback port as an unprivileged id and talks to it over HTTP. With AZM_TEST_URL and
AZM_TEST_KEY set it tests a running server instead, for example one in a sandbox (AZM_TEST_SOFT_TIMEOUT says what
NO_CHANGE_TIMEOUT_SECONDS it has; default 10); the tests that need a server of their own are skipped then. Only the
standard library is needed. The last line is "N passed, N failed, N skipped".
"""
import os
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))


def areas():
    names = [file[:-3] for file in sorted(os.listdir(HERE)) if file.endswith('.py')]
    return [name for name in names if name not in ('__main__', 'client')]


def main():
    sys.dont_write_bytecode = True
    if HERE not in sys.path:
        sys.path.insert(0, HERE)
    wanted = [word for word in sys.argv[1:] if word[0] != '-'] or [name for name in areas() if '-' + name not in sys.argv]
    suite = unittest.defaultTestLoader.loadTestsFromNames(wanted)
    result = unittest.TextTestRunner(stream=sys.stdout, verbosity=2).run(suite)
    failed = len(result.failures) + len(result.errors)
    print('%d passed, %d failed, %d skipped' % (result.testsRun - failed - len(result.skipped), failed, len(result.skipped)))
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
