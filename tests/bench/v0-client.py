#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""v0-client.py: OpenHands' own V0 client, unchanged, against a running server (AZM_TEST_URL, AZM_TEST_KEY).

Not part of `make check`: the client is large. In a virtual environment with Python 3.12:

    pip install openhands-ai==0.62.0
    AZM_TEST_URL=... AZM_TEST_KEY=... python tests/bench/v0-client.py

The class below is all that a runtime of its own needs there. The statements of the protocol, one by one, are in
tests/server/conformance. Exit status 0: all of it works.
"""
import asyncio
import os
import sys
import tempfile
import time
import zipfile

os.environ.update(LITELLM_LOCAL_MODEL_COST_MAP='True', LOG_LEVEL='ERROR')
from openhands.core.config import OpenHandsConfig  # noqa: E402
from openhands.core.config.mcp_config import MCPStdioServerConfig  # noqa: E402
from openhands.events import EventStream  # noqa: E402
from openhands.events.action import (  # noqa: E402
    BrowseURLAction, CmdRunAction, FileEditAction, FileReadAction, FileWriteAction, IPythonRunCellAction)
from openhands.events.event import FileEditSource, FileReadSource  # noqa: E402
from openhands.llm.llm_registry import LLMRegistry  # noqa: E402
from openhands.runtime.impl.action_execution.action_execution_client import ActionExecutionClient  # noqa: E402
from openhands.runtime.plugins import AgentSkillsRequirement, JupyterRequirement, VSCodeRequirement  # noqa: E402
from openhands.runtime.runtime_status import RuntimeStatus  # noqa: E402
from openhands.storage import get_file_store  # noqa: E402
from openhands.utils.async_utils import call_sync_from_async  # noqa: E402

KEY = os.environ.get('AZM_TEST_KEY')
failed = 0


class SandboxRuntime(ActionExecutionClient):
    """A runtime whose server is there already."""

    @property
    def action_execution_server_url(self):
        return os.environ['AZM_TEST_URL']

    @property
    def session_api_key(self):
        return KEY

    async def connect(self):
        self.set_runtime_status(RuntimeStatus.STARTING_RUNTIME)
        if KEY:
            self.session.headers['X-Session-API-Key'] = KEY
        await call_sync_from_async(self.check_if_alive)
        await call_sync_from_async(self.setup_initial_env)
        self.set_runtime_status(RuntimeStatus.READY)
        self._runtime_initialized = True


def check(what, good, shown=None):
    global failed
    failed += not good
    print('%-4s %s' % ('ok' if good else 'FAIL', what), '' if good else repr(shown))


def run(runtime, command, timeout=None, **more):
    action = CmdRunAction(command=command, **more)
    if timeout:
        action.set_hard_timeout(timeout)
    return runtime.run(action)


def commands(runtime, directory):
    got = run(runtime, 'mkdir -p %s && cd %s && export AZM_X=7' % (directory, directory))
    check('run: the directory is in the metadata', got.metadata.working_dir == directory, got)
    got = run(runtime, 'echo "$AZM_X $AZM_GIVEN"; false')
    check('run: state is kept, exit codes', (got.content.split('\n')[0], got.exit_code) == ('7 given', 1), got)
    got = run(runtime, 'echo hidden', hidden=True)
    check('run: hidden', got.hidden and got.content.strip() == 'hidden', got)
    began = time.monotonic()
    got = run(runtime, 'sleep 60', timeout=1)
    check('run: a hard timeout', got.exit_code == -1 and time.monotonic() - began < 4 and 'timed out after 1' in got.metadata.suffix, got)
    got = run(runtime, 'C-c', is_input=True)
    check('run: C-c', got.exit_code == 130, got)
    run(runtime, 'read -p "name? " name && echo "hello $name"', timeout=1)
    got = run(runtime, 'world', is_input=True)
    check('run: input to a running program', 'hello world' in got.content and got.exit_code == 0, got)
    got = run(runtime, 'echo 1\necho 2')
    check('run: two commands are refused', 'Cannot execute multiple commands at once' in str(got), got)
    got = run(runtime, 'seq 100000')
    check('run: much output is cut', len(got.content) < 40000 and got.content.rstrip().endswith('100000'), len(got.content))
    got = run(runtime, 'pwd', is_static=True, cwd='/')
    check('run: static, elsewhere', got.content.strip() == '/', got)
    check('run: ... does not move the shell', run(runtime, 'pwd').content.strip() == directory)


def files(runtime, directory):
    path = directory + '/a.txt'
    got = runtime.write(FileWriteAction(path=path, content='one\ntwo\nthree\n'))
    check('write', got.observation == 'write' and got.path == path, got)
    check('read', runtime.read(FileReadAction(path=path)).content == 'one\ntwo\nthree\n\n')  # upstream ends every line it writes
    got = runtime.read(FileReadAction(path=directory + '/none'))
    check('read: what is not there', got.observation == 'error' and 'File not found' in got.content, got)
    got = runtime.read(FileReadAction(path=path, impl_source=FileReadSource.OH_ACI))
    check('read with numbers', "Here's the result of running `cat -n` on " + path in got.content, got)

    def edit(command, **more):
        return runtime.edit(FileEditAction(path=path, command=command, impl_source=FileEditSource.OH_ACI, **more))
    got = edit('str_replace', old_str='two', new_str='zwei')
    check('edit: str_replace', 'has been edited' in got.content and (got.old_content, got.new_content) == ('two', 'zwei'), got)
    check('edit: its diff as the client shows it', '-1|two' in got.visualize_diff() and '+1|zwei' in got.visualize_diff(), got.visualize_diff())
    got = edit('insert', insert_line=0, new_str='zero')
    check('edit: insert', '     1\tzero\n     2\tone\n' in got.content, got)
    edit('undo_edit')
    check('edit: undo_edit', runtime.read(FileReadAction(path=path)).content == 'one\nzwei\nthree\n\n')
    got = edit('str_replace', old_str='nowhere', new_str='x')
    check('edit: a text that is not there', 'did not appear verbatim' in got.content, got)
    with tempfile.TemporaryDirectory() as here:
        os.makedirs(here + '/tree/sub')
        for name in ('tree/x', 'tree/sub/y'):
            with open(here + '/' + name, 'w') as file:
                file.write(name)
        runtime.copy_to(here + '/tree/x', directory)
        runtime.copy_to(here + '/tree', directory, recursive=True)
        check('copy_to', runtime.read(FileReadAction(path=directory + '/tree/sub/y')).content == 'tree/sub/y')
        check('list_files', runtime.list_files(directory) == ['tree/', 'a.txt', 'x'], runtime.list_files(directory))
        back = runtime.copy_from(directory + '/tree')
        with zipfile.ZipFile(back) as archive:
            check('copy_from', sorted(name for name in archive.namelist() if name[-1] != '/') == ['sub/y', 'x'] and archive.testzip() is None,
                  archive.namelist())
        os.unlink(back)


def the_rest(runtime, directory):
    got = runtime.run_ipython(IPythonRunCellAction(code='import os\nx = 6\nprint(os.getcwd())\nx * 7'))
    check('run_ipython', got.observation == 'run_ipython' and directory in got.content and '42' in got.content, got)
    got = runtime.browse(BrowseURLAction(url='http://localhost/'))
    check('browse without a browser is an error the agent reads', got.observation == 'error', got)
    run(runtime, 'git init -q . && git add a.txt && git -c user.name=t -c user.email=t@t commit -q -m 1 && echo 4 >> a.txt')
    runtime.config.workspace_mount_path_in_sandbox = directory
    changes = runtime.get_git_changes(directory)
    check('get_git_changes', {'status': 'A', 'path': 'a.txt'} in changes, changes)  # there is no remote to compare with
    diff = runtime.get_git_diff('a.txt', directory)
    check('get_git_diff', diff['modified'].rstrip().endswith('4') and not diff['original'].rstrip().endswith('4'), diff)
    check('get_vscode_token', isinstance(runtime.get_vscode_token(), str))
    config = runtime.get_mcp_config([MCPStdioServerConfig(name='none', command='none')])
    check('get_mcp_config', [server.url.endswith('/mcp/sse') for server in config.sse_servers] == [True], config)


def main():
    with tempfile.TemporaryDirectory() as store:
        config = OpenHandsConfig()
        config.sandbox.timeout = 30
        plugins = [AgentSkillsRequirement(), JupyterRequirement(), VSCodeRequirement()]
        runtime = SandboxRuntime(config, EventStream('azm', get_file_store('local', store)), LLMRegistry(config), sid='azm', plugins=plugins,
                                 env_vars={'AZM_GIVEN': 'given'}, headless_mode=True)
        asyncio.run(runtime.connect())
        directory = run(runtime, 'mktemp -d /tmp/azm-v0.XXXXXX').content.strip()
        commands(runtime, directory)
        files(runtime, directory)
        the_rest(runtime, directory)
        run(runtime, 'cd / && rm -r ' + directory)
        runtime.close()
    print('%s' % ('all of it works' if not failed else '%d failed' % failed))
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
