# SPDX-License-Identifier: GPL-2.0-or-later
"""Server-sent events: a command is followed while it runs, beside the classic call."""
import http.client
import json
import threading
import time
import unittest

from client import Case, Server, URL


class Follower:
    """A connection that is answered with events."""

    def __init__(self, server, method='GET', path='/events', body=None, timeout=20):
        self.connection = http.client.HTTPConnection(server.host, server.port, timeout=timeout)
        self.connection.request(method, path, body, {'X-Session-API-Key': server.key} if server.key else {})
        self.response = self.connection.getresponse()

    def __iter__(self):
        name = None
        for line in self.response:
            line = line.decode().rstrip('\n')
            if line.startswith('event: '):
                name = line[len('event: '):]
            elif line.startswith('data: '):
                yield name, json.loads(line[len('data: '):])

    def until(self, *names):
        """Events up to the first of one of these names."""
        seen = []
        for name, data in self:
            seen.append((name, data))
            if name in names:
                return seen
        raise AssertionError('the stream ended: %r' % seen)

    def close(self):
        self.connection.close()


def screen(events):
    """What the outputs make, as documented."""
    lines = []
    for name, data in events:
        if name == 'output':
            lines = lines[:data['from_line']] + data['text'].split('\n')
    return '\n'.join(lines)


def run(command, timeout=20.0, **args):
    return json.dumps({'action': {'action': 'run', 'args': {'command': command, **args}, 'timeout': timeout}})


class EventsCase(Case):
    def follow(self, *args, **kwargs):
        follower = Follower(self.server, *args, **kwargs)
        self.addCleanup(follower.close)
        return follower



class Streamed(EventsCase):
    def execute(self, body):
        return self.follow('POST', '/execute_action?stream=1', body)

    def test_an_action_is_answered_with_its_beginning_its_output_and_its_observation(self):
        follower = self.execute(run('echo one; sleep 0.3; echo two; (exit 4)'))
        self.assertEqual(follower.response.status, 200)
        self.assertTrue(follower.response.headers['Content-Type'].startswith('text/event-stream'))
        self.assertEqual(follower.response.headers['Cache-Control'], 'no-store')
        events = list(follower)
        self.assertEqual([events[0][0], events[-1][0]], ['action', 'observation'])
        self.assertEqual({data['id'] for _, data in events}, {events[0][1]['id']})
        self.assertIn('one', screen(events))
        observation = events[-1][1]['observation']
        self.assertEqual((observation['content'], observation['extras']['metadata']['exit_code']), ('one\ntwo', 4))

    def test_output_comes_while_the_command_runs(self):
        follower = self.execute(run('echo early; until [ -e %s/go ]; do sleep 0.02; done; echo late' % self.dir))
        self.assertEqual(screen(follower.until('output')), 'early')
        open_file = self.client.request('POST', '/api/bash/execute_bash_command', json.dumps({'command': 'touch %s/go' % self.dir}))
        self.assertEqual(open_file[0], 200)
        self.assertEqual(follower.until('observation')[-1][1]['observation']['content'], 'early\nlate')

    def test_a_line_that_changes_is_sent_again_from_its_beginning(self):
        steps = ['10 %', '20 %', '30 %', 'done']
        follower = self.execute(run("echo first; for i in %s; do printf '\\r%%s' \"$i\"; until [ -e \"%s/$i\" ]; do sleep 0.02; done; done"
                                    % (' '.join('"%s"' % step for step in steps), self.dir), blocking=True))
        events = []
        for event in follower:
            events.append(event)
            if steps and screen(events) == 'first\n' + steps[0]:
                touch = json.dumps({'command': 'touch "%s/%s"' % (self.dir, steps.pop(0))})
                self.assertEqual(self.client.request('POST', '/api/bash/execute_bash_command', touch)[0], 200)
        self.assertEqual((steps, screen(events)), ([], 'first\ndone'))
        self.assertTrue(any(data['from_line'] == 1 for name, data in events if name == 'output'))

    def test_every_kind_of_action_can_be_streamed(self):
        events = list(self.execute(json.dumps({'action': {'action': 'read', 'args': {'path': '/etc/hostname-no'}}})))
        self.assertEqual([name for name, _ in events], ['action', 'observation'])
        self.assertEqual(events[1][1]['observation']['observation'], 'error')

    def test_what_would_be_an_http_error_is_an_error_event(self):
        events = list(self.execute(json.dumps({'action': {'action': 'run', 'args': {'command': 1}}})))
        self.assertEqual([name for name, _ in events], ['action', 'error'])
        self.assertIn('Internal server error', events[1][1]['detail'])

    def test_a_body_that_is_no_action_is_the_classic_error(self):
        for body in ('', '{}', '[]'):
            self.assertEqual(self.client.request('POST', '/execute_action?stream=1', body)[0], 422)
        self.assertEqual(self.client.request('POST', '/execute_action?stream=2', run('true'))[0], 422)

    def test_without_stream_or_with_0_it_is_the_classic_call(self):
        for path in ('/execute_action', '/execute_action?stream=0'):
            status, answer = self.client.request('POST', path, run('echo x'))
            self.assertEqual((status, answer['observation'], answer['content']), (200, 'run', 'x'))

    def test_a_follower_that_leaves_does_not_end_the_command(self):
        follower = self.execute(run('echo x; sleep 0.3; touch made'))
        follower.until('output')
        follower.close()
        self.assertEqual(self.run_ok('ls')['content'], 'made')

    def test_streams_need_the_key(self):
        if not self.server.key:
            self.skipTest('this server has no key')
        for method, path in (('GET', '/events'), ('POST', '/execute_action?stream=1')):
            self.assertEqual(self.client.request(method, path, headers={'X-Session-API-Key': 'x'})[0], 403)


class Events(EventsCase):
    def test_others_actions_are_seen(self):
        follower = self.follow()
        self.client.run('echo seen')
        events = follower.until('observation')
        self.assertEqual(events[0][1]['action']['args']['command'], 'echo seen')
        self.assertEqual(events[-1][1]['observation']['content'], 'seen')

    def test_who_comes_late_gets_what_is_on_the_screen(self):
        runner = threading.Thread(target=self.client.run, args=('echo early; until [ -e %s/go ]; do sleep 0.02; done' % self.dir,))
        runner.start()
        try:
            deadline = time.monotonic() + 60
            while True: # until it runs
                follower = self.follow(timeout=2)
                try:
                    events = follower.until('output')
                    break
                except OSError:
                    self.assertLess(time.monotonic(), deadline)
            self.assertEqual((events[0][0], screen(events)), ('action', 'early'))
        finally:
            self.client.request('POST', '/api/bash/execute_bash_command', json.dumps({'command': 'touch %s/go' % self.dir}))
            runner.join()

    def test_commands_of_the_workspace_api_are_seen(self):
        follower = self.follow()
        self.client.request('POST', '/api/bash/execute_bash_command', json.dumps({'command': 'echo out; echo err >&2'}))
        events = follower.until('bash_end')
        self.assertEqual(events[0][0], 'bash_command')
        self.assertEqual(sorted((data['stream'], data['text']) for name, data in events if name == 'bash_output'),
                         [('stderr', 'err\n'), ('stdout', 'out\n')])
        self.assertEqual(events[-1][1]['exit_code'], 0)

    def test_two_followers_see_the_same(self):
        followers = [self.follow(), self.follow()]
        self.client.run('echo both')
        for follower in followers:
            self.assertEqual(follower.until('observation')[-1][1]['observation']['content'], 'both')

    def test_a_follower_that_reads_nothing_holds_nobody_up(self):
        self.follow()
        for _ in range(3):
            self.assertEqual(len(self.client.run('seq 1 20000')['content'].split('\n')) > 1000, True)
        self.assertEqual(self.client.request('GET', '/alive')[0], 200)


@unittest.skipIf(URL, 'needs a server of its own')
class Stopping(unittest.TestCase):
    def test_a_server_that_stops_ends_its_streams(self):
        server = Server()
        follower = Follower(server)
        server.stop()
        self.assertEqual(server.process.returncode, 0)
        self.assertEqual(list(follower), [])
        follower.close()
