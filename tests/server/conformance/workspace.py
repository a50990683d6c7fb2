# SPDX-License-Identifier: GPL-2.0-or-later
"""The workspace API: what RemoteWorkspace of the agent SDK calls (spec: openhands 10.2)."""
import json
import re
import threading
import time
import unittest
import urllib.parse

from client import Client, Remote, Server, URL

ID = re.compile(r'^[0-9a-f]{32}$')
TIME = re.compile(r'^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$')


class WorkspaceCase(unittest.TestCase):
    """Tests that share one server; each has a directory of its own in it."""

    @classmethod
    def setUpClass(cls):
        cls.server = Remote() if URL else Server()
        cls.client = Client(cls.server)

    @classmethod
    def tearDownClass(cls):
        cls.server.stop()

    def setUp(self):
        self.dir = self.execute('mktemp -d /tmp/azm-test.XXXXXX')['stdout'].strip()
        self.addCleanup(self.execute, 'rm -rf ' + self.dir, cwd='/')

    def get(self, path, /, **query):
        return self.client.request('GET', path + ('?' + urllib.parse.urlencode(query) if query else ''))

    def post(self, path, body):
        return self.client.request('POST', path, json.dumps(body), {'Content-Type': 'application/json'})

    def start(self, command, **arguments):
        status, answer = self.post('/api/bash/start_bash_command', {'command': command, **arguments})
        self.assertEqual(status, 200, answer)
        return answer

    def execute(self, command, **arguments):
        status, answer = self.post('/api/bash/execute_bash_command', {'command': command, **arguments})
        self.assertEqual(status, 200, answer)
        return answer

    def search(self, **query):
        status, page = self.get('/api/bash/bash_events/search', **query)
        self.assertEqual(status, 200, page)
        return page

    def outputs(self, command, **query):
        return self.search(command_id__eq=command['id'], kind__eq='BashOutput', sort_order='TIMESTAMP', **query)['items']

    def poll(self, command, deadline=60):
        """As the client does it: new outputs every 0.1 s until one has an exit code."""
        seen, last, end = [], -1, time.monotonic() + deadline
        while time.monotonic() < end:
            items = self.outputs(command, limit=100, **({'order__gt': last} if last >= 0 else {}))
            seen += items
            last = max([last] + [item['order'] for item in items])
            if any(item['exit_code'] is not None for item in items):
                self.assertEqual(len(seen), len({item['id'] for item in seen}), 'an event came twice')
                return seen
            time.sleep(0.1)
        self.fail('the command did not end: %r' % seen)


class Health(WorkspaceCase):
    def test_health_alive_and_ready_answer_without_a_key(self):
        for path, word in (('/health', 'ok'), ('/alive', 'ok'), ('/ready', 'ready')):
            self.assertEqual(self.client.request('GET', path, headers={'X-Session-API-Key': None}), (200, {'status': word}))

    def test_server_info_is_an_object_with_uptime_idle_time_title_and_version(self):
        status, info = self.client.request('GET', '/server_info', headers={'X-Session-API-Key': None})
        self.assertEqual(status, 200)
        for name in ('uptime', 'idle_time', 'title', 'version'):
            self.assertIn(name, info)

    def test_a_wrong_or_missing_key_is_401_on_every_path_of_the_api(self):
        if not self.server.key:
            self.skipTest('this server has no key')
        for method, path in (('POST', '/api/bash/start_bash_command'), ('GET', '/api/bash/bash_events/search'),
                             ('POST', '/api/bash/execute_bash_command'), ('DELETE', '/api/bash/bash_events'),
                             ('POST', '/api/bash/bash_commands/%032x/stop' % 1), ('GET', '/api/bash/bash_events/%032x' % 1),
                             ('GET', '/api/git/changes?path=/'), ('GET', '/api/git/diff?path=/'), ('GET', '/api/nothing')):
            for key in (None, '', 'wrong', self.server.key + 'x', self.server.key[:-1]):
                status, answer = self.client.request(method, path, headers={'X-Session-API-Key': key})
                self.assertEqual((status, answer), (401, {'detail': 'Unauthorized'}), (method, path, key))

    def test_a_method_that_a_path_does_not_have_is_405(self):
        status, _ = self.client.request('GET', '/api/bash/start_bash_command')
        self.assertEqual(status, 405)


class Commands(WorkspaceCase):
    def test_start_answers_at_once_with_the_command_event(self):
        began = time.monotonic()
        command = self.start('sleep 20', timeout=25, cwd=self.dir)
        self.assertLess(time.monotonic() - began, 15)
        self.assertRegex(command['id'], ID)
        self.assertRegex(command['timestamp'], TIME)
        self.assertEqual({key: command[key] for key in ('kind', 'command', 'cwd', 'timeout')},
                         {'kind': 'BashCommand', 'command': 'sleep 20', 'cwd': self.dir, 'timeout': 25})

    def test_the_default_timeout_is_300_and_a_whole_float_is_a_number(self):
        self.assertEqual(self.start('true')['timeout'], 300)
        self.assertEqual(self.start('true', timeout=30.0)['timeout'], 30)

    def test_output_events_carry_stdout_stderr_and_the_exit_code(self):
        events = self.poll(self.start('echo out; echo err >&2; exit 3'))
        self.assertEqual(events[-1]['exit_code'], 3)
        self.assertEqual(''.join(event['stdout'] or '' for event in events), 'out\n')
        self.assertEqual(''.join(event['stderr'] or '' for event in events), 'err\n')
        self.assertEqual([event['order'] for event in events], list(range(len(events))))
        for event in events:
            self.assertEqual(event['kind'], 'BashOutput')
            self.assertRegex(event['id'], ID)
            self.assertRegex(event['timestamp'], TIME)

    def test_a_command_without_output_ends_with_one_event_and_null_texts(self):
        command = self.start('true')
        events = self.poll(command)
        self.assertEqual([(event['exit_code'], event['stdout'], event['stderr']) for event in events], [(0, None, None)])
        self.assertEqual(events[0]['command_id'], command['id'])

    def test_a_poll_sees_output_while_the_command_runs(self):
        command = self.start('echo early; sleep 20', timeout=30)
        deadline = time.monotonic() + 60
        while not (items := self.outputs(command)):
            self.assertLess(time.monotonic(), deadline, 'nothing came')
            time.sleep(0.02)
        self.assertEqual((items[0]['stdout'], items[0]['exit_code']), ('early\n', None))
        self.post('/api/bash/bash_commands/%s/stop' % command['id'], None)

    def test_commands_run_in_a_session_of_their_own_not_in_the_terminal(self):
        self.client.run('cd / && azm_variable=1')
        result = self.execute('echo "[$azm_variable] $(cut -d" " -f6 /proc/self/stat) $$"')
        self.assertRegex(result['stdout'], r'^\[\] (\d+) \1\n$')

    def test_commands_run_at_the_same_time(self):
        first = self.start('while [ ! -e %s/go ]; do sleep 0.02; done; echo first' % self.dir, timeout=20)
        self.execute('touch %s/go' % self.dir)
        self.assertEqual(self.poll(first)[-1]['exit_code'], 0)

    def test_the_working_directory_is_the_one_asked_for(self):
        self.assertEqual(self.execute('pwd', cwd=self.dir)['stdout'], self.dir + '\n')

    def test_a_directory_that_is_not_there_is_an_output_with_exit_code_minus_one(self):
        result = self.execute('true', cwd='/nonexistent')
        self.assertEqual(result['exit_code'], -1)
        self.assertIn('/nonexistent', result['stderr'])
        self.assertIn('Error executing command', result['stderr'])

    def test_standard_input_is_empty(self):
        self.assertEqual(self.execute('cat; echo "$?"')['stdout'], '0\n')

    def test_death_by_a_signal_is_its_negative_number(self):
        self.assertEqual(self.execute('kill -9 $$')['exit_code'], -9)

    def test_a_timeout_sends_term_and_the_exit_code_is_minus_one(self):
        began = time.monotonic()
        result = self.execute('trap "echo cleaned; exit 5" TERM; sleep 60 & wait', timeout=1)
        self.assertLess(time.monotonic() - began, 20)
        self.assertEqual((result['exit_code'], result['stdout']), (-1, 'cleaned\n'))
        self.assertIn('timed out', result['stderr'])

    def test_who_ignores_term_is_killed_a_second_later_with_all_its_children(self):
        began = time.monotonic()
        result = self.execute('trap "" TERM; (trap "" TERM; sleep 300) & echo $!; while :; do sleep 1; done', timeout=1)
        self.assertLess(time.monotonic() - began, 20)
        self.assertEqual(result['exit_code'], -1)
        deadline = time.monotonic() + 30  # before it would end by itself
        while self.execute('cut -d" " -f3 /proc/%s/stat' % result['stdout'].strip())['stdout'] not in (None, 'Z\n'):
            self.assertLess(time.monotonic(), deadline)

    def test_a_process_left_in_the_background_neither_delays_the_end_nor_is_killed(self):
        began = time.monotonic()
        result = self.execute('sleep 60 & echo $!', timeout=50)
        self.assertLess(time.monotonic() - began, 30)
        self.assertEqual(result['exit_code'], 0)
        self.assertEqual(self.execute('kill %s' % result['stdout'].strip())['exit_code'], 0)

    def test_output_is_cut_into_chunks_of_at_most_a_mebi_of_characters(self):
        events = self.poll(self.start("head -c 5000000 /dev/zero | tr '\\0' x; printf y"))
        sizes = [len(event['stdout'] or '') for event in events]
        self.assertEqual(sum(sizes), 5000001)
        self.assertLessEqual(max(sizes), 1 << 20)
        self.assertEqual(events[-1]['stdout'][-1], 'y')

    def test_characters_are_not_cut_in_two_and_what_is_no_text_is_replaced(self):
        result = self.execute("printf '\\377'; i=0; while [ $i -lt 12 ]; do s=$s$(printf '\\303\\274\\342\\202\\254')"
                              "$s; i=$((i+1)); done; printf %s \"$s\"; printf 'a\\000b\\303'")
        self.assertEqual(result['stdout'], '\ufffd' + 'ü€' * 4095 + 'a\0b\ufffd')

    def test_execute_waits_and_answers_with_all_output(self):
        result = self.execute("head -c 3000000 /dev/zero | tr '\\0' x; exit 4")
        self.assertEqual((result['kind'], result['exit_code'], len(result['stdout'])), ('BashOutput', 4, 3000000))

    def test_stop_ends_a_command_and_may_be_repeated(self):
        command = self.start('sleep 60')
        for _ in range(2):
            self.assertEqual(self.client.request('POST', '/api/bash/bash_commands/%s/stop' % command['id']),
                             (200, {'success': True}))
        self.assertEqual(self.poll(command)[-1]['exit_code'], -15)

    def test_stop_reaches_a_command_that_has_hardly_begun(self):
        codes = []
        for _ in range(20):
            command = self.start('sleep 60')
            self.client.request('POST', '/api/bash/bash_commands/%s/stop' % command['id'])
            codes.append(self.poll(command)[-1]['exit_code'])
        self.assertIn(-15, codes)
        self.assertLess(codes.count(-9), 5, 'killed a second later, as if the signal had been lost')

    def test_stop_of_an_unknown_command_is_404(self):
        for path in ('%032x' % 7, 'nonsense'):
            self.assertEqual(self.client.request('POST', '/api/bash/bash_commands/%s/stop' % path)[0], 404)

    def test_bodies_that_are_no_request_are_422(self):
        for body in ('', 'null', '[]', '{', '{"command":1}', '{"command":"true","timeout":1.5}', '{"timeout":1}',
                     '{"command":"true","timeout":"x"}', '{"command":"true","cwd":1}', '{"command":"a\\u0000b"}'):
            self.assertEqual(self.client.request('POST', '/api/bash/start_bash_command', body)[0], 422, body)

    def test_a_client_that_leaves_does_not_stop_its_command(self):
        connection = Client(self.server)
        try:
            connection.request('POST', '/api/bash/execute_bash_command', timeout=0.3, body=json.dumps(
                {'command': 'sleep 1; touch %s/made' % self.dir}))
        except OSError:
            pass
        self.assertEqual(self.execute('until [ -e %s/made ]; do sleep 0.02; done' % self.dir, timeout=10)['exit_code'], 0)

    def test_too_many_commands_at_once_are_429(self):
        started = []
        try:
            for _ in range(200):
                status, answer = self.post('/api/bash/start_bash_command', {'command': 'sleep 60'})
                if status != 200:
                    break
                started.append(answer['id'])
            self.assertEqual((status, len(started) <= 64), (429, True))
        finally:
            threads = [threading.Thread(target=self.client.request, args=('POST', '/api/bash/bash_commands/%s/stop' % id))
                       for id in started]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        self.assertEqual(self.execute('true')['exit_code'], 0)

    def test_a_flood_of_output_is_bounded_and_ends_with_the_timeout(self):
        command = self.start('cat /dev/zero', timeout=1)
        deadline = time.monotonic() + 60
        while not (last := self.search(command_id__eq=command['id'], sort_order='TIMESTAMP_DESC', limit=1)['items']) or \
                last[0]['exit_code'] is None:
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.1)
        self.assertEqual(last[0]['exit_code'], -1)
        self.assertEqual(self.execute('echo well')['stdout'], 'well\n')


class Events(WorkspaceCase):
    def test_a_search_for_a_command_gives_its_outputs_only(self):
        self.execute('echo other')
        command = self.start('echo mine')
        self.poll(command)
        items = self.search(command_id__eq=command['id'])['items']
        self.assertEqual({(item['kind'], item['command_id']) for item in items}, {('BashOutput', command['id'])})

    def test_an_id_with_dashes_is_the_same_id(self):
        command = self.start('echo mine')
        self.poll(command)
        dashed = re.sub(r'(.{8})(.{4})(.{4})(.{4})(.*)', r'\1-\2-\3-\4-\5', command['id'])
        found = self.search(command_id__eq=dashed)['items']
        self.assertTrue(found)
        self.assertEqual(found, self.search(command_id__eq=command['id'])['items'])
        self.assertEqual(self.get('/api/bash/bash_events/' + dashed)[1]['id'], command['id'])

    def test_order_gt_leaves_out_what_was_seen(self):
        command = self.start("head -c 3000000 /dev/zero")
        events = self.poll(command)
        self.assertGreater(len(events), 2)
        rest = self.outputs(command, order__gt=events[1]['order'])
        self.assertEqual([event['id'] for event in rest], [event['id'] for event in events[2:]])
        self.assertEqual(self.outputs(command, order__gt=events[-1]['order']), [])

    def test_kind_and_sort_order_select_and_turn_round(self):
        first, second = self.start('true'), self.start('true')
        ids = [item['id'] for item in self.search(kind__eq='BashCommand', sort_order='TIMESTAMP_DESC', limit=2)['items']]
        self.assertEqual(ids, [second['id'], first['id']])
        times = [item['timestamp'] for item in self.search()['items']]
        self.assertEqual(times, sorted(times))

    def test_pages_follow_each_other_by_next_page_id(self):
        for order in ('TIMESTAMP', 'TIMESTAMP_DESC'):
            self.client.request('DELETE', '/api/bash/bash_events')
            started = [self.execute('true')['command_id'] for _ in range(5)]
            found, page_id = [], None
            for _ in range(9):
                page = self.search(kind__eq='BashCommand', limit=2, sort_order=order, **({'page_id': page_id} if page_id else {}))
                found += [item['id'] for item in page['items']]
                page_id = page['next_page_id']
                if not page_id:
                    break
            self.assertEqual(found, started if order == 'TIMESTAMP' else started[::-1])

    def test_times_bound_a_search(self):
        first, second = self.start('true'), self.start('true')
        ids = [item['id'] for item in self.search(kind__eq='BashCommand', timestamp__gte=second['timestamp'])['items']]
        self.assertIn(second['id'], ids)
        self.assertNotIn(first['id'], ids)
        ids = [item['id'] for item in self.search(
            kind__eq='BashCommand', sort_order='TIMESTAMP_DESC', timestamp__lt=second['timestamp'])['items']]
        self.assertEqual(ids[0], first['id'])

    def test_parameters_that_are_wrong_are_422(self):
        for query in ({'limit': 0}, {'limit': 101}, {'limit': 'x'}, {'sort_order': 'UP'}, {'kind__eq': 'Dog'},
                      {'command_id__eq': 'x'}, {'order__gt': '1.5'}, {'timestamp__gte': 'yesterday'}, {'timestamp__lt': ''}):
            self.assertEqual(self.get('/api/bash/bash_events/search', **query)[0], 422, query)

    def test_an_event_is_found_by_its_id_and_an_unknown_one_is_404(self):
        command = self.start('echo x')
        output = self.poll(command)[-1]
        self.assertEqual(self.get('/api/bash/bash_events/' + command['id']), (200, command))
        self.assertEqual(self.get('/api/bash/bash_events/' + output['id']), (200, output))
        for id in ('%032x' % 1, 'x', '..'):
            self.assertEqual(self.get('/api/bash/bash_events/' + id)[0], 404)

    def test_delete_forgets_all_and_says_how_many(self):
        self.execute('true')
        status, answer = self.client.request('DELETE', '/api/bash/bash_events')
        self.assertEqual(status, 200)
        self.assertGreaterEqual(answer['cleared_count'], 2)
        self.assertEqual(self.search(), {'items': [], 'next_page_id': None})

    def test_the_latest_output_of_a_command_that_ended_is_all_of_it(self):
        """A client that asks for the last event only, as get_command_output() does, misses nothing."""
        command = self.start('echo one; sleep 0.3; echo two')
        deadline = time.monotonic() + 60
        while not (items := self.search(command_id__eq=command['id'], kind__eq='BashOutput',
                                        sort_order='TIMESTAMP_DESC', limit=1)['items']):
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.02)
        self.assertEqual((items[0]['stdout'], items[0]['exit_code']), ('one\ntwo\n', 0))
