# SPDX-License-Identifier: GPL-2.0-or-later
"""What the areas share: a server under test, ours or somebody else's, a client of it, and a test case that uses both."""
import http.client
import json
import os
import re
import shutil
import subprocess
import tempfile
import time
import unittest
import urllib.parse

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
BINARY = os.environ.get('AZM_RUNTIME_SERVER', os.path.join(ROOT, 'build', 'azm-runtime-server'))
URL = os.environ.get('AZM_TEST_URL')
HAS = os.environ.get('AZM_TEST_HAS', '').split()  # modules that the python3 of a server under test has for certain
MUST_WORK = os.environ.get('AZM_MUST_WORK') == '1'
UNPRIVILEGED = 61234
ADVICE = (
    "You may wait longer to see additional output by sending empty command '', send other commands to interact with "
    'the current process, send keys ("C-c", "C-z", "C-d") to interrupt/kill the previous command before sending your '
    'new command, or use the timeout parameter in execute_bash for future commands.'
)
BELOW = '[Below is the output of the previous command.]\n'
DONE = '\n[The command completed with exit code %d.]'


def missing(case, what):
    """An image may be without it, a machine that must work not."""
    (case.fail if MUST_WORK and not URL else case.skipTest)(what)


def drop_privileges():
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(UNPRIVILEGED, UNPRIVILEGED, UNPRIVILEGED)
        os.setresuid(UNPRIVILEGED, UNPRIVILEGED, UNPRIVILEGED)


class Server:
    """A server process of this test run, in a directory of its own."""

    def __init__(self, key='test-key', soft=2, arguments=(), env=None, home=None, wrapper=(), binary=BINARY):
        self.key = key
        self.soft = soft
        self.dir = tempfile.mkdtemp(prefix='azm-server-test.', dir='/tmp')
        os.chmod(self.dir, 0o777)
        environment = {
            'PATH': '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
            'HOME': home or self.dir,
            'LANG': 'C.UTF-8',
            'NO_CHANGE_TIMEOUT_SECONDS': str(soft),
        }
        if key:
            environment['SESSION_API_KEY'] = key
        environment.update(env or {})
        self.log = open(os.path.join(self.dir, 'server.log'), 'w+')
        self.process = subprocess.Popen(
            [*wrapper, binary, '0', '--host', '127.0.0.1', '--working-dir', self.dir, *arguments],
            env=environment, stdin=subprocess.DEVNULL, stderr=self.log, preexec_fn=drop_privileges)
        self.host, self.port = '127.0.0.1', self.wait_for_port()

    def wait_for_port(self):
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            with open(self.log.name) as log:
                found = re.search(r'listening on http://\S+:(\d+)', log.read())
            if found:
                return int(found.group(1))
            if self.process.poll() is not None:
                break
            time.sleep(0.005)
        with open(self.log.name) as log:
            raise RuntimeError('the server did not start: ' + log.read())

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        if self.process.returncode != 0:
            with open(self.log.name) as log:
                print('the server ended with status %d: %s' % (self.process.returncode, log.read()))
        self.log.close()
        shutil.rmtree(self.dir, ignore_errors=True)


class Remote:
    """A server that somebody else runs."""

    def __init__(self):
        parts = urllib.parse.urlsplit(URL)
        self.host, self.port = parts.hostname, parts.port
        self.key = os.environ.get('AZM_TEST_KEY')
        self.soft = int(os.environ.get('AZM_TEST_SOFT_TIMEOUT', '10'))

    def stop(self):
        pass


class Client:
    def __init__(self, server):
        self.server = server

    def request(self, method, path, body=None, headers=None, timeout=60):
        connection = http.client.HTTPConnection(self.server.host, self.server.port, timeout=timeout)
        sent = {'X-Session-API-Key': self.server.key} if self.server.key else {}
        sent.update(headers or {})
        sent = {name: value for name, value in sent.items() if value is not None}
        try:
            connection.request(method, path, body, sent)
            response = connection.getresponse()
            return response.status, json.loads(response.read())
        finally:
            connection.close()

    def action(self, name, timeout=30.0, **args):
        status, answer = self.request(
            'POST', '/execute_action', json.dumps({'action': {'action': name, 'args': args, 'timeout': timeout}}))
        assert status == 200, (status, answer)
        return answer

    def run(self, command, timeout=30.0, **args):
        return self.action('run', timeout, command=command, **args)


def wait_until_read(server, connection):
    """Until the server has taken in what was sent: what is sent on another connection now comes later."""
    here, there = connection.getsockname()[1], server.port
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with open('/proc/net/tcp') as table:
            rows = [line.split() for line in table]
        unread = [int(row[4].split(':')[1], 16) for row in rows
                  if row[1].endswith(':%04X' % there) and row[2].endswith(':%04X' % here)]
        if unread == [0]:
            break
        time.sleep(0.005)
    if URL:
        time.sleep(0.5)  # somebody stands between: nothing tells when it has passed it on


def wait_for_file(path):
    deadline = time.monotonic() + 60
    while not os.path.exists(path) and time.monotonic() < deadline:
        time.sleep(0.005)


def metadata(observation):
    return observation['extras']['metadata']


class Case(unittest.TestCase):
    """Tests that share one server; setUp leaves an idle shell in a fresh directory."""

    @classmethod
    def setUpClass(cls):
        cls.server = Remote() if URL else Server()
        cls.client = Client(cls.server)

    @classmethod
    def tearDownClass(cls):
        cls.server.stop()

    def setUp(self):
        made = self.run_ok('cd $(mktemp -d /tmp/azm-test.XXXXXX) && pwd')
        self.dir = made['content']
        self.addCleanup(self.leave)

    def leave(self):
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            answer = self.client.run('C-c', is_input=True, timeout=5.0)
            if 'No previous running command' in answer['content'] or metadata(answer)['exit_code'] != -1:
                break
        self.client.run('cd / && rm -rf ' + self.dir, blocking=True, timeout=60.0)

    def run_ok(self, command, **args):
        args.setdefault('blocking', True)  # a slow machine may print nothing for longer than the soft timeout
        answer = self.client.run(command, **args)
        self.assertEqual(answer['observation'], 'run', answer)
        self.assertEqual(metadata(answer)['exit_code'], 0, answer)
        return answer

    def content(self, command, **args):
        args.setdefault('blocking', True)
        return self.client.run(command, **args)['content']


class OwnServer(unittest.TestCase):
    """Tests that start servers of their own."""

    def start(self, **args):
        server = Server(**args)
        self.addCleanup(server.stop)
        return server, Client(server)
