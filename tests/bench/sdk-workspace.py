#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""sdk-workspace.py: the agent SDK's own RemoteWorkspace against a running server (AZM_TEST_URL, AZM_TEST_KEY).

Not part of `make check`: the SDK is large. In a virtual environment with Python 3.12 or later:

    pip install openhands-sdk
    AZM_TEST_URL=... AZM_TEST_KEY=... python tests/bench/sdk-workspace.py

The requests it makes are in tests/server/conformance/workspace_files.py (Sdk), byte for byte. Exit status 0: all of it works.
"""
import asyncio
import os
import sys
import tempfile
import time

os.environ.update(LITELLM_LOCAL_MODEL_COST_MAP='True', OPENHANDS_SUPPRESS_BANNER='1')
from openhands.sdk.workspace.remote import AsyncRemoteWorkspace, RemoteWorkspace  # noqa: E402

ACCESS = {'host': os.environ['AZM_TEST_URL'], 'api_key': os.environ.get('AZM_TEST_KEY') or None}
failed = 0


def check(what, good):
    global failed
    failed += not good
    print('%-4s %s' % ('ok' if good else 'FAIL', what))


def drive(directory):
    workspace = RemoteWorkspace(working_dir=directory, **ACCESS)
    check('alive', workspace.alive)
    check('get_server_info', workspace.get_server_info()['title'] == 'azm-runtime-server')
    result = workspace.execute_command('echo out; echo err >&2; exit 3')
    check('execute_command', (result.exit_code, result.stdout, result.stderr) == (3, 'out\n', 'err\n'))
    result = workspace.execute_command('head -c 5000000 /dev/zero | tr "\\0" x; pwd >&2', cwd=directory)
    check('5 MB of output, a directory', (len(result.stdout), result.stderr) == (5000000, directory + '\n'))
    began = time.monotonic()
    result = workspace.execute_command('sleep 60', timeout=1)
    check('timeout', result.timeout_occurred and time.monotonic() - began < 5)
    command = workspace.start_command('echo a; sleep 60')
    workspace.stop_command(command)
    check('start_command, stop_command, get_command_output', workspace.get_command_output(command)['exit_code'] == -15)
    with tempfile.TemporaryDirectory() as here:
        content = os.urandom(3000000)
        sent = workspace.file_upload(content, directory + '/a/b c.bin')
        check('file_upload', sent.success and sent.file_size == len(content))
        got = workspace.file_download(directory + '/a/b c.bin', here + '/back')
        with open(here + '/back', 'rb') as file:
            check('file_download', got.success and file.read() == content)
        check('file_download of nothing fails', not workspace.file_download(directory + '/nothing', here + '/x').success)
    check('git_changes outside of a repository', workspace.git_changes('.') == [])
    workspace.execute_command('rm -r a; git init -q .; echo 1 > "x y"; git add .; git -c user.name=t -c user.email=t@t commit -q -m 1;'
                              'echo 2 > "x y"; touch new', cwd=directory)
    check('git_changes', [(change.status.value, str(change.path)) for change in workspace.git_changes('.')] ==
          [('ADDED', 'new'), ('UPDATED', 'x y')])
    diff = workspace.git_diff('x y')
    check('git_diff', (diff.original, diff.modified) == ('1', '2'))
    if ACCESS['api_key']:
        wrong = RemoteWorkspace(working_dir=directory, host=ACCESS['host'], api_key='wrong')
        check('a wrong key', '401' in wrong.execute_command('true').stderr)


async def drive_async(directory):
    async with AsyncRemoteWorkspace(working_dir=directory, **ACCESS) as workspace:
        results = await asyncio.gather(*[workspace.execute_command('echo %d' % i) for i in range(20)])
        check('twenty commands at once, asynchronously', [result.stdout for result in results] == ['%d\n' % i for i in range(20)])


def main():
    workspace = RemoteWorkspace(working_dir='/', **ACCESS)
    directory = workspace.execute_command('mktemp -d /tmp/azm-test.XXXXXX').stdout.strip()
    try:
        drive(directory)
        asyncio.run(drive_async(directory))
    finally:
        workspace.execute_command('rm -rf ' + directory)
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
