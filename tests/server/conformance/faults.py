# SPDX-License-Identifier: GPL-2.0-or-later
"""Programs that misbehave, clients that misbehave, and many of both: the server stays small, live and correct."""
import http.client
import json
import os
import socket
import threading
import time
import unittest

from client import BINARY, URL, Case, OwnServer, metadata, wait_until_read

CUT = '\n[... Observation truncated due to length ...]\n'


def memory(pid):
    """KiB that only this process uses."""
    with open('/proc/%d/smaps_rollup' % pid) as f:
        lines = dict(line.split(':') for line in f.read().splitlines()[1:])
    return sum(int(lines[name].split()[0]) for name in ('Private_Dirty', 'Private_Clean'))


class Programs(Case):
    def test_forty_megabytes_of_lines(self):
        answer = self.run_ok('yes 0123456789012345678901234567890123456789 | head -c 40000000', timeout=120.0)
        self.assertIn('Previous command outputs are truncated', metadata(answer)['prefix'])
        self.assertEqual(len(answer['content']), 30000 + len(CUT))

    def test_a_megabyte_on_one_line(self):
        answer = self.run_ok("head -c 1000000 /dev/zero | tr '\\0' x", hidden=True, timeout=60.0)
        self.assertEqual(answer['content'], 'x' * 1000000)

    def test_forty_megabytes_on_one_line(self):
        answer = self.run_ok("head -c 40000000 /dev/zero | tr '\\0' x; echo; echo end", timeout=120.0)
        self.assertTrue(answer['content'].endswith('x\nend'))

    def test_ten_thousand_children(self):
        answer = self.run_ok("sh -c 'i=0; while [ $i -lt 10000 ]; do : & i=$((i+1)); done; wait; echo all'", hidden=True, blocking=True, timeout=120.0)
        self.assertTrue(answer['content'].endswith('all'))
        self.assertEqual(self.content('echo next'), 'next')

    def test_binary_output_is_text_in_the_answer(self):
        answer = self.run_ok(r"printf 'a\000b\377c\302d\355\240\200e\303\251'")
        self.assertEqual(answer['content'], 'ab\ufffdc\ufffdd\ufffde\u00e9')

    def test_every_byte_many_times(self):
        self.run_ok("head -c 3000000 /dev/urandom", timeout=60.0)
        self.assertEqual(self.content('echo fine'), 'fine')

    def test_a_program_that_closes_its_terminal(self):
        answer = self.run_ok("sh -c 'exec <&- >&- 2>&-; sleep 0.1; exit 0'")
        self.assertEqual(answer['content'], '')

    def test_a_program_that_leaves_the_terminal_to_itself(self):
        self.run_ok(r"stty raw -echo; printf '\033[?1049h\033[?25l\033[5;10r\033[?7l\033(0\033[4h'")
        self.assertEqual(self.content(r"printf 'x\ny\n'; printf '%s' $(seq 700)"), 'x\ny\n' + ''.join(map(str, range(1, 701))))

    def test_a_very_long_command(self):
        text = 'x' * 1000000
        self.assertEqual(self.content('echo %s | wc -c' % text), '1000001')

    def test_a_program_that_reads_what_was_not_typed_gets_nothing(self):
        answer = self.client.run('IFS= read -r -t 0.3 line; echo "[$line]"')
        self.assertEqual(answer['content'], '[]')


class Clients(Case):
    def raw(self, command, timeout=60.0, **args):
        """Send an action and do not wait for its answer."""
        body = json.dumps({'action': {'action': 'run', 'args': dict(args, command=command), 'timeout': timeout}})
        connection = socket.create_connection((self.server.host, self.server.port), 30)
        connection.sendall(('POST /execute_action HTTP/1.1\r\nHost: localhost\r\nX-Session-API-Key: %s\r\nContent-Length: %d\r\n\r\n%s'
                            % (self.server.key or '', len(body), body)).encode())
        return connection

    def test_many_clients_at_once_are_served_in_turn(self):
        answers = []
        threads = [threading.Thread(target=lambda n=n: answers.append((n, self.content('echo %d' % n)))) for n in range(40)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(sorted(answers), [(n, str(n)) for n in range(40)])

    def test_a_client_that_goes_in_mid_command_does_not_hold_up_the_next(self):
        gone = self.raw('echo begun; touch begun; cat', timeout=300.0, blocking=True)
        self.wait_for('begun')
        gone.close()
        answer = self.client.run('echo next')
        self.assertIn('is NOT executed. The previous command is still running', metadata(answer)['suffix'])
        self.assertEqual(answer['content'], 'begun')
        self.assertEqual(metadata(self.client.run('C-c', is_input=True))['exit_code'], 130)

    def test_an_interrupt_between_two_programs_of_a_command_ends_it(self):
        missed = 0
        for n in range(60):
            before = self.client.run('touch begun; cat', timeout=0.001 * (n % 5 + 1), blocking=True)
            self.assertEqual(metadata(before)['exit_code'], -1)
            answer = self.client.run('C-c', is_input=True, timeout=2.0, blocking=True)
            if metadata(answer)['exit_code'] == -1:  # it met touch, but as it returned from main()
                missed += 1
                answer = self.client.run('C-c', is_input=True, timeout=60.0, blocking=True)
            self.assertEqual(metadata(answer)['exit_code'], 130)
            answer = self.client.run('echo next', timeout=60.0, blocking=True)
            self.assertEqual(metadata(answer)['exit_code'], 0)
            # bash that was interrupted before it gave cat the terminal says first that cat has stopped
            self.assertTrue(answer['content'].endswith('next'), answer)
        self.assertLess(missed, 5)  # one in ten, when nobody looks after it

    def test_what_is_typed_before_a_command_begins_is_for_the_command(self):
        for n in range(10):
            self.assertEqual(metadata(self.client.run('cat >typed', timeout=0.001, blocking=True))['exit_code'], -1)
            self.client.run('for %d' % n, is_input=True, timeout=0.001, blocking=True)
            self.client.run('C-d', is_input=True, timeout=60.0, blocking=True)
            self.assertEqual(self.content('cat typed'), 'for %d' % n)

    def wait_for(self, name):
        deadline = time.monotonic() + 60
        while name not in self.client.request('POST', '/list_files', json.dumps({'path': self.dir}))[1] and time.monotonic() < deadline:
            time.sleep(0.02)

    def test_the_action_of_a_client_that_went_while_it_queued_is_not_begun(self):
        self.run_ok('mkfifo gate')
        first = self.raw('touch waits; cat gate', blocking=True)
        self.wait_for('waits')
        gone = self.raw('touch begun')
        wait_until_read(self.server, gone)
        gone.close()
        last = self.raw('ls')
        wait_until_read(self.server, last)
        first.close()  # the command is not waited for any more; the next in the queue is told so
        answer = last.recv(65536)
        self.assertIn(b'is NOT executed', answer)
        self.client.run('C-c', is_input=True)
        self.assertEqual(self.content('echo *'), 'gate waits')

    def test_more_actions_than_can_wait_are_told_to_come_again(self):
        self.client.run('cat', timeout=0.5)
        waiting = [self.raw('', blocking=True, timeout=300.0) for _ in range(70)]
        refused = 0
        deadline = time.monotonic() + 60
        for connection in waiting:
            connection.setblocking(False)
        while refused < 6 and time.monotonic() < deadline:
            for connection in waiting:
                try:
                    refused += b' 429 ' in connection.recv(4096)[:30]
                except BlockingIOError:
                    pass
            time.sleep(0.01)
        self.assertEqual(self.client.request('GET', '/alive')[0], 200)
        for connection in waiting:
            connection.close()
        body = json.dumps({'action': {'action': 'run', 'args': {'command': 'C-c', 'is_input': True}, 'timeout': 5.0}})
        while self.client.request('POST', '/execute_action', body)[0] == 429 and time.monotonic() < deadline:
            time.sleep(0.02)
        self.assertEqual(refused, 6)

    def test_wrong_keys_on_every_path(self):
        if not self.server.key:
            self.skipTest('the server has no key')
        paths = ['/', '/docs', '/openapi.json', '/execute_action', '/list_files', '/upload_file', '/download_files?path=/etc', '/update_mcp_server',
                 '/vscode/connection_token', '/api/bash/execute_bash_command', '/api/bash/bash_events/search', '/api/file/upload/tmp/x', '/events',
                 '/nothing', '//alive', '/alive/', '/ALIVE', '/%61live/x', '/../alive']
        for path in paths:
            for method in ('GET', 'POST', 'DELETE', 'HEAD', 'OPTIONS', 'PUT'):
                with self.subTest(path=path, method=method):
                    status = self.status('%s %s HTTP/1.1\r\nHost: localhost\r\nX-Session-API-Key: wrong\r\nContent-Length: 0\r\n\r\n' % (method, path))
                    self.assertIn(status, (200, 405) if path == '/' else (401, 403))  # the console is for all

    def status(self, text):
        with socket.create_connection((self.server.host, self.server.port), 10) as connection:
            connection.sendall(text.encode('latin-1'))
            answer = connection.recv(4096)
        return int(answer.split()[1]) if answer else 0

    def test_what_is_no_http_is_refused(self):
        for text in ('\r\n' * 50 + 'x\r\n\r\n', 'GET\r\n\r\n', 'GET / HTTP/9.9\r\n\r\n', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03' * 20 + '\r\n\r\n',
                     'POST /execute_action HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n',
                     'POST /execute_action HTTP/1.1\r\nHost: x\r\nContent-Length: 5x\r\n\r\n',
                     'POST /execute_action HTTP/1.1\r\nHost: x\r\nX-Session-API-Key: %s\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n' % self.server.key):
            with self.subTest(text=text[:40]):
                self.assertIn(self.status(text), (0, 400, 403, 505))
        self.assertEqual(self.client.request('GET', '/alive')[0], 200)

    def test_a_head_that_is_too_large_is_431_or_414(self):
        self.assertEqual(self.status('GET /alive HTTP/1.1\r\nHost: x\r\nX-Fill: ' + 'a' * 140000 + '\r\n\r\n'), 431)
        self.assertIn(self.status('GET /' + 'a' * 140000 + ' HTTP/1.1\r\nHost: x\r\n\r\n'), (414, 431))
        self.assertIn(self.status('GET /alive HTTP/1.1\r\nHost: x\r\n' + 'A: b\r\n' * 20000 + '\r\n'), (413, 431))

    def test_json_of_any_depth_is_answered(self):
        for body in ('[' * 2000 + ']' * 2000, '{"action":' * 3000 + '1' + '}' * 3000, '{"action":' + '[' * 500000):
            self.assertEqual(self.client.request('POST', '/execute_action', body)[0], 422)


@unittest.skipIf(URL, 'needs a server of its own')
class Limits(OwnServer):
    def test_many_silent_connections_keep_nobody_out(self):
        server, client = self.start()
        idle = []
        self.addCleanup(lambda: [connection.close() for connection in idle])
        for _ in range(400):
            idle.append(socket.create_connection((server.host, server.port), 10))
        started = time.monotonic()
        self.assertEqual(client.request('GET', '/alive')[0], 200)
        self.assertEqual(client.run('echo served')['content'], 'served')
        self.assertLess(time.monotonic() - started, 25)  # before the first of the silent ones is ended for its silence

    def test_more_requests_than_can_be_served_are_told_to_come_again(self):
        server, client = self.start()
        held = []
        self.addCleanup(lambda: [connection.close() for connection in held])
        for _ in range(128):
            held.append(socket.create_connection((server.host, server.port), 10))
            held[-1].sendall(b'POST /list_files HTTP/1.1\r\nHost: x\r\nX-Session-API-Key: test-key\r\nContent-Length: 2\r\n\r\n{')

        def ask(method='GET', path='/events', key='test-key'):
            connection = http.client.HTTPConnection(server.host, server.port, timeout=30)
            self.addCleanup(connection.close)
            connection.request(method, path, headers={'X-Session-API-Key': key})
            return connection.getresponse()

        deadline = time.monotonic() + 30
        while ask('POST', '/list_files').status != 503:  # their heads may not have been read yet
            self.assertLess(time.monotonic(), deadline)
        for method, path in (('POST', '/execute_action'), ('GET', '/events'), ('GET', '/download_files?path=/tmp'), ('POST', '/upload_file')):
            refused = ask(method, path)
            self.assertEqual((refused.status, refused.getheader('Retry-After'), refused.getheader('Connection')), (503, '1', 'close'), path)
            self.assertEqual(json.loads(refused.read()), {'detail': 'Too many requests are being served'})
        for path in ('/alive', '/health', '/ready', '/server_info', '/'):
            self.assertEqual(ask(path=path).status, 200, path)
        self.assertEqual(ask(key='wrong').status, 403)
        held.pop().sendall(b'}')
        while ask('GET', '/vscode/connection_token').status == 503:
            self.assertLess(time.monotonic(), deadline)

    def ended(self, server, send, limit):
        """Seconds until the server ends a connection on which send() is called now and then."""
        with socket.create_connection((server.host, server.port), 10) as connection:
            started = time.monotonic()
            connection.settimeout(0.3)
            while time.monotonic() - started < limit:
                try:
                    send(connection)
                    if not connection.recv(4096):
                        break
                except socket.timeout:
                    continue
                except OSError:
                    break
            return time.monotonic() - started

    def test_silent_slow_and_half_open_clients_are_ended(self):
        server, client = self.start(arguments=['--client-timeout', '1'])
        head = b'POST /execute_action HTTP/1.1\r\nHost: x\r\nX-Session-API-Key: test-key\r\nContent-Length: 10000\r\n\r\n'
        sent = {}

        def once(bytes):
            return lambda connection: sent.setdefault((bytes, connection), connection.sendall(bytes) if (bytes, connection) not in sent else None)

        def body(connection):
            connection.sendall(b' ' if (head, connection) in sent else head)
            sent[(head, connection)] = True

        took = {}
        cases = {'silent': lambda connection: None, 'half a head': once(b'GET /alive HT'), 'half a body': once(head + b'{"action"'),
                 'a slow head': lambda connection: connection.sendall(b'x'), 'a slow body': body}
        threads = [threading.Thread(target=lambda name=name, send=send: took.update({name: self.ended(server, send, 15)})) for name, send in cases.items()]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for name, seconds in took.items():
            self.assertLess(seconds, 10, name)
        self.assertEqual(client.request('GET', '/alive')[0], 200)

    def test_a_thousand_actions_leave_the_memory_as_it_was(self):
        server, client = self.start()
        if os.geteuid() != 0 or BINARY.endswith('-san'):
            self.skipTest('the memory of the server is shown to root only, and sanitizers have their own')

        def some(count):
            for n in range(count):
                client.run('echo %d' % n)
                if n % 50 == 0:
                    client.run('ls', is_static=True)
                    client.run('seq 20000')
                    client.run('exit 1')
            client.run('true')
            return memory(server.process.pid), len(os.listdir('/proc/%d/fd' % server.process.pid))
        size, descriptors = some(200)
        size_later, descriptors_later = some(1000)
        self.assertLess(size_later, size + 64)
        self.assertLessEqual(descriptors_later, descriptors)

    def test_the_memory_after_a_huge_output_is_given_back(self):
        if os.geteuid() != 0 or BINARY.endswith('-san'):
            self.skipTest('the memory of the server is shown to root only, and sanitizers have their own')
        server, client = self.start()
        client.run('true')
        before = memory(server.process.pid)
        client.run('yes %s | head -c 30000000' % ('x' * 900), timeout=60.0)
        client.run('true')
        self.assertLess(memory(server.process.pid), before + 2048)

    def test_an_idle_server_is_small(self):
        if os.geteuid() != 0 or BINARY.endswith('-san'):
            self.skipTest('the memory of the server is shown to root only, and sanitizers have their own')
        server, _ = self.start()
        deadline = time.monotonic() + 60
        while memory(server.process.pid) >= 1024:
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.05)
