# SPDX-License-Identifier: GPL-2.0-or-later
"""Requests, keys, limits, errors and the queue: what holds for every endpoint and action."""
import http.client
import json
import os
import re
import socket
import threading
import time

from client import URL, Case, wait_until_read


class Protocol(Case):
    def test_alive_needs_no_key(self):
        self.assertEqual(self.client.request('GET', '/alive', headers={'X-Session-API-Key': None}), (200, {'status': 'ok'}))

    def test_server_info_has_the_documented_members(self):
        status, info = self.client.request('GET', '/server_info', headers={'X-Session-API-Key': None})
        self.assertEqual(status, 200)
        self.assertGreaterEqual(info['uptime'], 0)
        self.assertGreaterEqual(info['idle_time'], 0)
        resources = info['resources']
        self.assertIsInstance(resources['cpu_percent'], float)
        self.assertEqual(set(resources['memory']), {'rss', 'vms', 'percent'})
        self.assertGreater(resources['memory']['rss'], 0)
        self.assertEqual(set(resources['disk']), {'total', 'used', 'free', 'percent'})
        self.assertEqual(set(resources['io']), {'read_bytes', 'write_bytes'})

    def test_idle_time_counts_from_the_last_action(self):
        self.run_ok('true')
        self.assertLess(self.client.request('GET', '/server_info')[1]['idle_time'], 30)

    def test_wrong_and_missing_keys_are_refused_everywhere_else(self):
        if not self.server.key:
            self.skipTest('the server has no key')
        for key in (None, '', 'x', self.server.key + 'x', self.server.key[:-1]):
            for method, path in (('POST', '/execute_action'), ('GET', '/nothing'), ('GET', '/docs'), ('POST', '/list_files')):
                with self.subTest(key=key, path=path):
                    answer = self.client.request(method, path, '{}' if method == 'POST' else None, {'X-Session-API-Key': key})
                    self.assertEqual(answer, (403, {'detail': 'Invalid API Key'}))

    def test_unknown_paths_and_methods(self):
        self.assertEqual(self.client.request('GET', '/nothing'), (404, {'detail': 'Not Found'}))
        self.assertEqual(self.client.request('GET', '/execute_action'), (405, {'detail': 'Method Not Allowed'}))
        self.assertEqual(self.client.request('POST', '/alive', '{}'), (405, {'detail': 'Method Not Allowed'}))

    def test_malformed_bodies_are_422(self):
        for body in ('', '{', '[]', '3', '{}', '{"action": 3}', '{"action": {}', '[' * 100000, '{"a":' * 100000, '\xff'):
            with self.subTest(body=body[:20]):
                status, answer = self.client.request('POST', '/execute_action', body.encode('latin-1'))
                self.assertEqual(status, 422)
                self.assertEqual(answer['detail'], 'Invalid request parameters')
                self.assertIsInstance(answer['errors'], str)

    def test_malformed_actions_are_500_with_a_reason(self):
        for action in ({}, {'action': 'run'}, {'action': 'run', 'args': []}, {'action': 'run', 'args': {'command': 3}},
                       {'action': 'run', 'args': {'command': 'true', 'blocking': 'x'}}, {'action': 'read', 'args': {}},
                       {'action': 'write', 'args': {'path': '/tmp/x'}}, {'action': 'run', 'args': {'command': 'a\0b'}}):
            with self.subTest(action=action):
                status, answer = self.client.request('POST', '/execute_action', json.dumps({'action': action}))
                self.assertEqual(status, 500)
                self.assertTrue(answer['detail'].startswith('Internal server error: '), answer)

    def test_unsupported_actions_are_error_observations_with_status_200(self):
        for name in ('frobnicate', 'think'):
            answer = self.client.action(name, code='1')
            self.assertEqual(answer['observation'], 'error')
            self.assertIn(name, answer['content'])
            self.assertEqual(answer['message'], answer['content'])
            self.assertEqual(answer['extras'], {'error_id': ''})
        answer = self.client.action('browse', url='http://localhost')
        self.assertIn('Browser functionality is not supported or disabled', answer['content'])

    def test_unknown_members_of_an_action_are_ignored(self):
        body = {'action': {'action': 'run', 'id': 1, 'timestamp': 'x', 'source': 'agent', 'cause': 3, 'message': 'x', 'timeout': 20.0,
                           'args': {'command': 'echo hi', 'thought': 'x', 'confirmation_state': 'confirmed',
                                    'security_risk': -1, 'new': 1, 'cwd': None, 'is_static': False}}}
        status, answer = self.client.request('POST', '/execute_action', json.dumps(body))
        self.assertEqual((status, answer['content']), (200, 'hi'))

    def test_a_body_that_is_too_large_is_413(self):
        status, answer = self.client.request('POST', '/execute_action', headers={'Content-Length': str(1 << 40)})
        self.assertEqual(status, 413)
        self.assertIn('detail', answer)

    def test_a_body_beyond_the_limit_is_413_also_when_it_does_not_say_its_size(self):
        head = b'POST /list_files HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n' + b'X-Session-API-Key: %s\r\n' % (self.server.key or '').encode() + b'\r\n'
        with socket.create_connection((self.server.host, self.server.port), 60) as connection:
            connection.sendall(head)
            piece = b'100000\r\n' + b' ' * 0x100000 + b'\r\n'
            for _ in range(65):
                connection.sendall(piece)
            connection.sendall(b'0\r\n\r\n')
            self.assertTrue(connection.recv(100).startswith(b'HTTP/1.1 413'))

    def test_a_large_body_is_read_as_well_as_a_small_one(self):
        for size in (1000, 256 << 10, (256 << 10) + 1, 5 << 20):
            body = json.dumps({'action': {'action': 'write', 'args': {'path': self.dir + '/f', 'content': 'x' * size}}})
            self.assertEqual(self.client.request('POST', '/execute_action', body)[0], 200)
            self.assertEqual(self.content('wc -c < f'), str(size + 1))

    def test_headers_that_are_too_large_are_refused(self):
        with socket.create_connection((self.server.host, self.server.port), 10) as raw:
            raw.sendall(b'GET /alive HTTP/1.1\r\nHost: x\r\nX-Fill: ' + b'a' * 200000 + b'\r\n\r\n')
            try:
                answer = raw.recv(100)
            except ConnectionResetError:
                answer = b''
        self.assertTrue(answer == b'' or re.match(rb'HTTP/1.1 4\d\d', answer), answer)
        self.assertEqual(self.client.request('GET', '/alive')[0], 200)

    def test_keep_alive_serves_many_requests_on_a_connection(self):
        connection = http.client.HTTPConnection(self.server.host, self.server.port, timeout=30)
        for i in range(5):
            connection.request('GET', '/alive')
            self.assertEqual(connection.getresponse().read(), b'{"status":"ok"}')
        connection.close()

    def test_other_endpoints_answer_while_a_command_runs(self):
        thread = threading.Thread(target=self.client.run, args=('read -t 20 x < <(sleep 20); true',))
        thread.start()
        started = time.monotonic()
        for _ in range(20):
            self.assertEqual(self.client.request('GET', '/alive')[0], 200)
        self.assertLess(time.monotonic() - started, 15)  # the command takes longer
        thread.join()

    def test_actions_run_in_the_order_they_arrive(self):
        if URL:
            self.skipTest('the gate can only be opened from the same file system')
        self.run_ok('mkfifo gate')
        waiting = []
        for command in ['cat gate; echo 0 >> order', 'echo 1 >> order', 'echo 2 >> order', 'cat order']:
            connection = http.client.HTTPConnection(self.server.host, self.server.port, timeout=30)
            body = {'action': {'action': 'run', 'args': {'command': command, 'blocking': True}, 'timeout': 30.0}}
            connection.request('POST', '/execute_action', json.dumps(body), {'X-Session-API-Key': self.server.key or ''})
            waiting.append(connection)
            wait_until_read(self.server, connection.sock)
        with open(os.path.join(self.dir, 'gate'), 'w') as gate:
            gate.write('go')
        answers = [json.loads(connection.getresponse().read())['content'] for connection in waiting]
        self.assertEqual(answers, ['go', '', '', '0\n1\n2'])
