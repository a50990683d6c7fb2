# SPDX-License-Identifier: GPL-2.0-or-later
"""What surrounds the actions: VS Code, MCP, the browser that is not there."""
import json
import os
import re
import shutil
import tempfile
import time
import unittest

from client import URL, Case, Client, Server


class Tools(Case):
    def test_browsing_is_answered_with_an_error_observation(self):
        for name, args in (('browse', {'url': 'http://localhost'}), ('browse_interactive', {'browser_actions': 'noop()'})):
            answer = self.client.action(name, thought='', security_risk=-1, return_axtree=False, **args)
            self.assertEqual(answer, {'message': answer['content'], 'observation': 'error', 'extras': {'error_id': ''},
                                      'content': 'Browser functionality is not supported or disabled.'})

    def test_mcp_servers_are_acknowledged_and_not_started(self):
        self.assertEqual(self.client.request('POST', '/update_mcp_server', '[]'),
                         (200, {'detail': 'MCP server updated successfully', 'router_error_log': ''}))
        servers = [{'name': 'fetch', 'command': 'uvx', 'args': ['mcp-server-fetch'], 'env': {}}, {'name': 'x', 'command': 'y'}, 3]
        self.assertEqual(self.client.request('POST', '/update_mcp_server', json.dumps(servers)),
                         (200, {'detail': 'MCP server updated successfully', 'router_error_log':
                                'MCP servers are not started by azm-runtime-server: fetch, x, (without a name)'}))

    def test_mcp_needs_a_list(self):
        self.assertEqual(self.client.request('POST', '/update_mcp_server', '{}'), (400, {'detail': 'Request must be a list of MCP tools to sync'}))
        self.assertEqual(self.client.request('POST', '/update_mcp_server', '[')[0], 422)

    def test_without_vscode_the_token_is_null(self):
        self.assertEqual(self.client.request('GET', '/vscode/connection_token'), (200, {'token': None}))


@unittest.skipIf(URL, 'needs a server of its own')
class VsCode(unittest.TestCase):
    """A program that says how it was started stands for the real one."""

    def start(self, name, **env):
        root = tempfile.mkdtemp(dir='/tmp')
        self.addCleanup(shutil.rmtree, root, ignore_errors=True)
        os.makedirs(root + '/bin')
        os.makedirs(root + '/workspace')
        with open(root + '/bin/' + name, 'w') as program:
            program.write('#!/bin/sh\n{ echo "$@"; pwd; [ -e /proc/self/fd/3 ] && cat /proc/self/fd/3; echo; echo "$PASSWORD"; } > %s/started.new\n'
                          'mv %s/started.new %s/started\nexec sleep 1000\n' % (root, root, root))
        os.chmod(root + '/bin/' + name, 0o755)
        for path in (root, root + '/workspace', root + '/bin'):
            os.chmod(path, 0o777)
        self.server = Server(env={'WORKSPACE_BASE': root + '/workspace', 'VSCODE_PORT': '41234', 'PATH': root + '/bin:/usr/bin:/bin', **env})
        self.addCleanup(self.server.stop)
        self.root = root
        return Client(self.server)

    def started(self):
        deadline = time.monotonic() + 60
        while not os.path.exists(self.root + '/started') and time.monotonic() < deadline:
            time.sleep(0.01)
        with open(self.root + '/started') as file:
            return file.read().split('\n')

    def token(self, client):
        return client.request('GET', '/vscode/connection_token')[1]['token']

    def test_openvscode_server_is_started_with_a_token_that_arguments_do_not_show(self):
        client = self.start('openvscode-server')
        token = self.token(client)
        self.assertTrue(re.fullmatch('[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}', token), token)
        arguments, directory, given, password = self.started()[:4]
        self.assertEqual(arguments, '--host 0.0.0.0 --port 41234 --connection-token-file /proc/self/fd/3 --disable-workspace-trust')
        self.assertEqual((directory, given, password), (self.server.dir, token, ''))
        with open(self.root + '/workspace/.vscode/settings.json') as settings:
            self.assertEqual(json.load(settings)['workbench.startupEditor'], 'none')
        self.assertEqual(self.token(client), token)

    def test_it_is_started_again_when_it_has_ended(self):
        client = self.start('openvscode-server')
        token = self.token(client)
        self.started()
        os.unlink(self.root + '/started')
        client.run('pkill -f "^sleep 1000"')
        deadline = time.monotonic() + 60
        while not os.path.exists(self.root + '/started') and time.monotonic() < deadline:
            self.assertEqual(self.token(client), token)
            time.sleep(0.02)
        self.assertEqual(self.started()[2], token)

    def test_settings_of_the_workspace_are_kept(self):
        client = self.start('openvscode-server', OPENVSCODE_SERVER_BASE_PATH='/x')
        os.makedirs(self.root + '/workspace/.vscode')
        with open(self.root + '/workspace/.vscode/settings.json', 'w') as settings:
            settings.write('{}')
        self.token(client)
        self.assertTrue(self.started()[0].endswith('--server-base-path /x'))
        with open(self.root + '/workspace/.vscode/settings.json') as settings:
            self.assertEqual(settings.read(), '{}')

    def test_code_server_gets_the_token_as_its_password(self):
        client = self.start('code-server')
        token = self.token(client)
        arguments, _, _, password = self.started()[:4]
        self.assertEqual((arguments.split()[:4], password), (['--bind-addr', '0.0.0.0:41234', '--auth', 'password'], token))

    def test_a_port_is_needed(self):
        for port in ('', '0', 'x', '70000'):
            self.assertIsNone(self.token(self.start('openvscode-server', VSCODE_PORT=port)))
