#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""HTTP conformance of azm-runtime-server: what clients of the action execution server rely on.

Starts the server (AZM_RUNTIME_SERVER, default build/azm-runtime-server) on a free loopback port as an unprivileged id
and talks to it over HTTP. With AZM_TEST_URL and AZM_TEST_KEY set it tests a running server instead, for example one in
a sandbox (AZM_TEST_SOFT_TIMEOUT says what NO_CHANGE_TIMEOUT_SECONDS it has; default 10); the tests that need a
server of their own are skipped then. Only the standard library is needed. The last line is "N passed, N failed, N skipped".
"""
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import urllib.parse

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BINARY = os.environ.get('AZM_RUNTIME_SERVER', os.path.join(ROOT, 'build', 'azm-runtime-server'))
URL = os.environ.get('AZM_TEST_URL')
MUST_WORK = os.environ.get('AZM_MUST_WORK') == '1'
UNPRIVILEGED = 61234
ADVICE = (
    "You may wait longer to see additional output by sending empty command '', send other commands to interact with "
    'the current process, send keys ("C-c", "C-z", "C-d") to interrupt/kill the previous command before sending your '
    'new command, or use the timeout parameter in execute_bash for future commands.'
)
BELOW = '[Below is the output of the previous command.]\n'
DONE = '\n[The command completed with exit code %d.]'


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
        deadline = time.monotonic() + 10
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
        for _ in range(4):
            answer = self.client.run('C-c', is_input=True, timeout=5.0)
            if 'No previous running command' in answer['content'] or metadata(answer)['exit_code'] != -1:
                break
        self.client.run('cd / && rm -rf ' + self.dir)

    def run_ok(self, command, **args):
        answer = self.client.run(command, **args)
        self.assertEqual(answer['observation'], 'run', answer)
        self.assertEqual(metadata(answer)['exit_code'], 0, answer)
        return answer

    def content(self, command, **args):
        return self.client.run(command, **args)['content']


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
        self.assertLess(self.client.request('GET', '/server_info')[1]['idle_time'], 5)

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
        for name in ('run_ipython', 'frobnicate'):
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
        self.assertLess(time.monotonic() - started, 5)
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
            time.sleep(0.05)  # they have to arrive in this order; nothing tells when one has
        with open(os.path.join(self.dir, 'gate'), 'w') as gate:
            gate.write('go')
        answers = [json.loads(connection.getresponse().read())['content'] for connection in waiting]
        self.assertEqual(answers, ['go', '', '', '0\n1\n2'])


class Commands(Case):
    def test_a_run_observation_has_every_member(self):
        answer = self.run_ok('echo hello')
        self.assertEqual(answer['message'], 'Command `echo hello` executed with exit code 0.')
        self.assertEqual(answer['content'], 'hello')
        self.assertIs(answer['success'], True)
        self.assertEqual(answer['extras']['command'], 'echo hello')
        self.assertIs(answer['extras']['hidden'], False)
        details = metadata(answer)
        self.assertEqual(details['working_dir'], self.dir)
        self.assertEqual(details['pid'], -1)
        self.assertEqual(details['prefix'], '')
        self.assertEqual(details['suffix'], DONE % 0)
        self.assertTrue(details['username'] and details['hostname'])
        self.assertEqual(details['py_interpreter_path'], self.content('command -v python'))

    def test_exit_codes(self):
        for command, code in (('false', 1), ('nonexistent_command_12345', 127), ('(exit 42)', 42), ('/etc/passwd', 126)):
            answer = self.client.run(command)
            self.assertEqual(metadata(answer)['exit_code'], code)
            self.assertEqual(metadata(answer)['suffix'], DONE % code)
            self.assertIs(answer['success'], False)
        self.assertEqual(self.content('echo $?'), '126')

    def test_state_persists_between_commands(self):
        self.run_ok('export AZM_X=1; azm_y=2; azm_f() { echo f; }; cd /usr; alias azm_a="echo a"; umask 027')
        self.assertEqual(self.content('echo $AZM_X $azm_y $(azm_f) $(pwd) $(umask)'), '1 2 f /usr 0027')
        self.assertEqual(self.content('azm_a'), 'a')

    def test_stdin_and_stdout_are_a_terminal(self):
        self.assertEqual(self.content('[ -t 0 ] && [ -t 1 ] && [ -t 2 ] && echo tty'), 'tty')
        self.assertEqual(self.content('stty size'), '1000 1000')

    def test_commands_with_awkward_characters_arrive_unharmed(self):
        for text in ('tab\there', "quote ' and \" and \\", 'bell \x07 and \x03 and \x1a and \x16', 'snow ☃ 𝄞', '!bang !! !$', '$dollar `tick`'):
            quoted = "'" + text.replace("'", "'\\''") + "'"
            self.run_ok('printf %s ' + quoted + ' > out')
            self.assertEqual(self.content("od -An -v -tx1 out | tr -d ' \\n'"), text.encode().hex())

    def test_history_expansion_does_not_bite(self):
        self.assertEqual(self.content('echo "a !foo b"'), 'a !foo b')

    def test_trailing_backslash_semicolon_reaches_find(self):
        self.run_ok('touch a.txt')
        self.assertEqual(self.content('find . -name a.txt -exec echo {} \\; -print'), './a.txt\n./a.txt')
        self.assertEqual(self.content('echo foo;'), 'foo')

    def test_here_documents_write_what_they_say(self):
        self.run_ok("cat <<'EOF' > f\n\tindented $x\nline 2\nEOF")
        self.assertEqual(self.content('cat -A f'), '^Iindented $x$\nline 2$')

    def test_a_comment_alone_is_a_command(self):
        self.assertEqual(self.content('# nothing'), '')

    def test_multi_line_compound_commands_are_one(self):
        self.assertEqual(self.content('for i in 1 2 3; do\n  echo "$i"\ndone'), '1\n2\n3')
        self.assertEqual(self.content('f() {\n  echo in f\n}; f'), 'in f')
        self.assertEqual(self.content('echo "a\nb"'), 'a\nb')
        self.assertEqual(self.content('echo a \\\n  b'), 'a b')

    def test_several_commands_are_refused_with_the_list(self):
        answer = self.client.run('ls\npwd')
        self.assertEqual(answer['observation'], 'error')
        self.assertEqual(answer['content'],
                         'ERROR: Cannot execute multiple commands at once.\nPlease run each command separately OR chain '
                         'them into a single command via && or ;\nProvided commands:\n(1) ls\n(2) pwd')

    def test_a_hidden_request_always_gets_a_run_observation(self):
        answer = self.client.run('ls\npwd', hidden=True)
        self.assertEqual(answer['observation'], 'run')
        self.assertIs(answer['extras']['hidden'], True)

    def test_syntax_errors_are_reported_at_once(self):
        started = time.monotonic()
        self.assertIn('syntax error', self.content('if true; then )'))
        self.assertIn('unexpected EOF', self.content("echo 'unbalanced"))
        self.assertLess(time.monotonic() - started, 1.5)

    def test_background_jobs(self):
        answer = self.run_ok('sleep 30 &')
        pid = metadata(answer)['pid']
        self.assertRegex(answer['content'], r'^\[1\] %d$' % pid)
        self.assertEqual(metadata(self.run_ok('true'))['pid'], pid)
        self.run_ok('kill %1; wait')

    def test_output_of_a_background_job_comes_with_the_next_command(self):
        self.run_ok('mkfifo p; { cat p; echo late; touch done; } &')
        words = self.content('echo go > p; until [ -e done ]; do sleep 0.05; done; echo now').split()
        self.assertTrue({'go', 'late', 'now'} <= set(words), words)

    def test_empty_command_without_a_running_one(self):
        for command in ('', '  \n'):
            answer = self.client.run(command)
            self.assertEqual(answer['content'], 'ERROR: No previous running command to retrieve logs from.')
            self.assertEqual(answer['extras']['command'], '')
            self.assertEqual(metadata(answer), {'exit_code': -1, 'pid': -1, 'username': None, 'hostname': None, 'working_dir': None,
                                                'py_interpreter_path': None, 'prefix': '', 'suffix': ''})

    def test_input_without_a_running_command(self):
        self.assertEqual(self.content('x', is_input=True), 'ERROR: No previous running command to interact with.')

    def test_interrupt_at_the_prompt(self):
        answer = self.client.run('C-c')
        self.assertEqual((answer['content'], metadata(answer)['exit_code']), ('^C', 130))
        self.assertEqual(metadata(answer)['suffix'], '\n[The command completed with exit code 130. CTRL+C was sent.]')

    def test_set_u_set_x_and_redirected_output_do_not_break_the_session(self):
        self.assertEqual(self.content('set -u; echo $UNSET_VARIABLE_X; echo no').count('no'), 0)
        self.assertRegex(self.content('set -x; echo traced'), r'^\++ echo traced\ntraced$')
        self.assertRegex(self.content('set +x'), r'^\++ set \+x$')
        self.run_ok('exec 7>&1 8>&2 >log 2>&1')
        self.assertEqual(self.content('echo into the file'), '')
        self.run_ok('exec >&7 2>&8 7>&- 8>&-; set +u')
        self.assertIn('into the file', self.content('cat log'))

    def test_err_trap_and_last_status_are_not_disturbed(self):
        self.run_ok('trap "echo trapped" ERR')
        self.assertEqual(set(self.content('(exit 5)').split()), {'trapped'})
        self.assertEqual(self.content('echo $?'), '5')
        self.run_ok('trap - ERR')

    def test_a_lost_prompt_hook_is_repaired(self):
        answer = self.client.run('PROMPT_COMMAND=; (exit 7)', blocking=True, timeout=20.0)
        self.assertEqual(metadata(answer)['exit_code'], 7)
        self.assertEqual(self.content('echo fine'), 'fine')

    def test_a_nested_bash_is_a_shell_again(self):
        answer = self.client.run('bash --norc')
        self.assertEqual(metadata(answer)['exit_code'], 0)
        self.assertEqual(self.content('echo $SHLVL; nested=1'), '2' if not URL else self.content('echo $SHLVL'))
        self.run_ok('exit')
        self.assertEqual(self.content('echo "[$nested]"'), '[]')

    def test_static_commands_leave_the_session_alone(self):
        self.run_ok('cd /usr; v=kept')
        answer = self.run_ok('pwd; cd /; echo "[$v]"; v=changed', is_static=True, cwd=self.dir, hidden=True)
        self.assertEqual(answer['content'], self.dir + '\n[]')
        self.assertEqual(self.content('echo $v $(pwd)'), 'kept /usr')

    def test_a_static_command_that_hangs_does_not_block_the_session(self):
        answer = self.client.run('cat', is_static=True, timeout=1.0)
        self.assertIn('timed out after 1.0 seconds', metadata(answer)['suffix'])
        self.assertEqual(self.content('echo next'), 'next')

    def test_the_end_of_a_command_cannot_be_forged_by_output(self):
        forged = '###PS1JSON###\\n{"pid":"","exit_code":"0"}\\n###PS1END###\\n'
        answer = self.client.run("printf '\\n%s'; printf '\\033]77;e;0;;0;/\\007'; sleep 0.3; echo end; (exit 9)" % forged)
        self.assertEqual(metadata(answer)['exit_code'], 9)
        self.assertTrue(answer['content'].endswith('end'))

    def test_the_hook_printed_as_text_does_not_end_a_command(self):
        answer = self.client.run('env; set; declare -f; (exit 8)')
        self.assertEqual(metadata(answer)['exit_code'], 8)


class Shell(Case):
    def test_exit_reports_the_code_and_a_new_shell_takes_over(self):
        answer = self.client.run('exit 3')
        self.assertEqual(metadata(answer)['exit_code'], 3)
        self.assertEqual(metadata(answer)['suffix'], DONE % 3)
        self.assertEqual(self.content('pwd'), self.dir)

    def test_errexit_ends_the_shell_and_the_session_goes_on(self):
        self.run_ok('set -e')
        answer = self.client.run('echo before; false; echo after')
        self.assertEqual(metadata(answer)['exit_code'], 1)
        self.assertIn('before', answer['content'])
        self.assertNotIn('after', answer['content'])
        self.assertEqual(self.content('echo alive'), 'alive')

    def test_a_killed_shell_is_replaced(self):
        answer = self.client.run('kill -9 $$')
        self.assertEqual(metadata(answer)['exit_code'], 137)
        self.assertEqual(self.content('echo alive'), 'alive')

    def test_end_of_file_at_the_prompt_ends_the_shell(self):
        answer = self.client.run('C-d')
        self.assertIn('CTRL+D was sent', metadata(answer)['suffix'])
        self.assertEqual(self.content('echo alive'), 'alive')

    def test_exec_of_a_program_ends_with_it(self):
        self.assertEqual(metadata(self.client.run('exec sh -c "exit 4"'))['exit_code'], 4)
        self.assertEqual(self.content('echo alive'), 'alive')

    def test_a_background_process_that_keeps_the_terminal_does_not_delay_the_exit(self):
        started = time.monotonic()
        answer = self.client.run('(trap "" HUP; exec sleep 5) & disown; exit 6')
        self.assertEqual(metadata(answer)['exit_code'], 6)
        self.assertLess(time.monotonic() - started, 3)


class Timeouts(Case):
    def test_soft_timeout(self):
        answer = self.client.run('echo first; cat', timeout=600.0)
        self.assertEqual(answer['content'], 'first')
        details = metadata(answer)
        self.assertEqual(details['suffix'], '\n[The command has no new output after %d seconds. %s]' % (self.server.soft, ADVICE))
        self.assertEqual((details['exit_code'], details['pid'], details['prefix']), (-1, -1, ''))
        self.assertEqual([details[k] for k in ('username', 'hostname', 'working_dir', 'py_interpreter_path')], [None] * 4)
        self.assertIs(answer['success'], False)

    def test_output_postpones_the_soft_timeout(self):
        n = self.server.soft * 2 + 2
        answer = self.client.run('for i in $(seq %d); do echo $i; sleep 0.5; done' % n, timeout=60.0)
        self.assertEqual(metadata(answer)['exit_code'], 0)

    def test_hard_timeout_prints_a_float(self):
        for timeout, text in ((1, '1.0'), (0.5, '0.5'), (1.25, '1.25')):
            answer = self.client.run('sleep 60', timeout=timeout, blocking=True)
            self.assertEqual(metadata(answer)['suffix'], '\n[The command timed out after %s seconds. %s]' % (text, ADVICE))
            self.assertEqual(metadata(answer)['exit_code'], -1)
            interrupted = self.client.run('C-c', is_input=True)
            self.assertEqual((interrupted['content'], metadata(interrupted)['exit_code']), ('^C', 130))

    def test_blocking_commands_have_no_soft_timeout(self):
        answer = self.client.run('sleep %d; echo done' % (self.server.soft + 1), timeout=60.0, blocking=True)
        self.assertEqual((answer['content'], metadata(answer)['exit_code']), ('done', 0))

    def test_each_report_carries_only_what_is_new(self):
        self.run_ok('mkfifo p')
        answer = self.client.run('echo one; cat p; echo two; cat p; echo three', timeout=0.5)
        self.assertEqual((answer['content'], metadata(answer)['prefix']), ('one', ''))
        answer = self.client.run('', timeout=0.5)
        self.assertEqual((answer['content'], metadata(answer)['prefix']), ('', BELOW))
        self.run_ok('echo a > p', is_static=True, cwd=self.dir)
        answer = self.client.run('', timeout=0.5)
        self.assertEqual((answer['content'], metadata(answer)['prefix']), ('a\ntwo', BELOW))
        self.run_ok('echo b > p', is_static=True, cwd=self.dir)
        answer = self.client.run('', timeout=5.0)
        self.assertEqual((answer['content'], metadata(answer)['prefix'], metadata(answer)['suffix']), ('b\nthree', '', DONE % 0))

    def test_a_command_is_not_executed_while_another_one_runs(self):
        self.client.run('cat', timeout=0.5)
        for command in ('echo no', 'C-c'):
            answer = self.client.run(command)
            self.assertEqual(metadata(answer)['suffix'],
                             '\n[Your command "%s" is NOT executed. The previous command is still running - You CANNOT send new commands until the '
                             'previous command is completed. By setting `is_input` to `true`, you can interact with the current process: %s]'
                             % (command, ADVICE))
            self.assertEqual((metadata(answer)['prefix'], metadata(answer)['exit_code'], answer['extras']['command']), (BELOW, -1, command))

    def test_input_goes_to_the_running_program(self):
        self.client.run('read -p "name? " name && echo "hello $name"', timeout=0.5)
        answer = self.client.run('world', is_input=True)
        self.assertEqual((answer['content'], metadata(answer)['exit_code']), ('hello world', 0))
        self.client.run('cat', timeout=0.5)
        self.assertEqual(self.client.run('hello', is_input=True, timeout=0.5)['content'], 'hello')
        answer = self.client.run('C-d', is_input=True)
        self.assertEqual((answer['content'], metadata(answer)['exit_code']), ('', 0))
        self.assertEqual(metadata(answer)['suffix'], '\n[The command completed with exit code 0. CTRL+D was sent.]')

    def test_a_command_that_ended_meanwhile_is_reported_by_a_poll(self):
        self.client.run("sh -c 'echo $$ > pid; exec cat'", timeout=0.5)
        self.run_ok('kill $(cat pid)', is_static=True, cwd=self.dir)
        answer = self.client.run('')
        self.assertEqual(metadata(answer)['exit_code'], 143)
        self.assertEqual(self.content(''), 'ERROR: No previous running command to retrieve logs from.')

    def test_after_a_command_ended_meanwhile_a_new_one_is_executed(self):
        self.run_ok('mkfifo p')
        self.client.run('echo old; cat p; touch done', timeout=0.5)
        self.run_ok('echo rest > p; until [ -e done ]; do sleep 0.05; done; sleep 0.2', is_static=True, cwd=self.dir)
        answer = self.client.run('echo new')
        self.assertEqual((answer['content'], metadata(answer)['exit_code']), ('rest\nnew', 0))

    def test_stopping_a_program(self):
        self.client.run('sleep 100', timeout=0.5)
        answer = self.client.run('C-z', is_input=True)
        self.assertRegex(answer['content'], r'^\^Z\n\[1\]\+  Stopped +sleep 100$')
        self.assertEqual(metadata(answer)['exit_code'], 148)
        self.run_ok('kill -9 %1; wait %1; true')

    def test_interrupting_a_loop(self):
        self.client.run('for i in 1 2 3; do sleep 10; done; echo not reached', timeout=0.5)
        answer = self.client.run('C-c', is_input=True)
        self.assertEqual((answer['content'], metadata(answer)['exit_code']), ('^C', 130))

    def test_a_program_that_handles_the_interrupt(self):
        if not self.content('command -v python3'):
            self.skipTest('no python3 there')
        self.client.run('python3 -u -m http.server 0 --bind 127.0.0.1', timeout=3.0)
        answer = self.client.run('C-c', is_input=True)
        self.assertIn('Keyboard interrupt received, exiting.', answer['content'])
        self.assertEqual(metadata(answer)['exit_code'], 0)


class Rendering(Case):
    def test_carriage_returns_cursor_moves_and_colours(self):
        self.assertEqual(self.content(r"printf 'abc\rX\n\033[31mred\033[0m\ntab\tx\nab\bc\n\007'"), 'Xbc\nred\ntab     x\nac')
        self.assertEqual(self.content(r"printf 'one\ntwo\033[1A\rONE\n'"), 'ONE\ntwo')

    def test_progress_bars_show_their_last_state(self):
        self.assertEqual(self.content(r"for i in $(seq 100); do printf '\rdone %d%%' $i; done; echo"), 'done 100%')

    def test_leading_blanks_go_and_inner_blank_lines_stay(self):
        self.assertEqual(self.content(r"printf '\n\n  lead\n\nmore   \n\n'"), 'lead\n\nmore')

    def test_long_lines_come_back_unwrapped(self):
        self.assertEqual(self.content("printf 'x%.0s' $(seq 2500); echo; echo y"), 'x' * 2500 + '\ny')
        self.assertEqual(self.content("printf 'x%.0s' $(seq 1000); echo; echo y"), 'x' * 1000 + '\ny')

    def test_unicode(self):
        for text in ('snow ☃ 日本語 é', 'e\u0301 combined', '𝄞 clef'):
            self.assertEqual(self.content("printf '%%s\\n' '%s'" % text), text)

    def test_bytes_that_are_no_text_do_no_harm(self):
        answer = self.run_ok('head -c 200000 /dev/urandom')
        json.dumps(answer)
        self.assertEqual(self.content('echo fine'), 'fine')
        self.run_ok(r"printf '\033]0;never ended'")
        self.assertEqual(self.content('echo fine'), 'fine')
        self.run_ok(r"printf '\033[?1049h\033(0'")
        self.assertEqual(self.content('echo fine'), 'fine')

    def test_terminal_queries_are_answered_and_their_answers_do_not_become_commands(self):
        self.assertIn('R', self.content(r"printf '\033[6n'; IFS= read -rs -d R -t 5 x; echo \"${x#?}R\""))
        self.run_ok(r"printf '\033[6n\033[c'")
        self.assertEqual(self.content('echo fine'), 'fine')

    def test_clear_leaves_what_came_after_it(self):
        answer = self.client.run(r"echo before; printf '\033[H\033[2J\033[3J'; echo after")
        self.assertEqual(answer['content'], 'after')
        self.assertEqual(metadata(answer)['prefix'],
                         '[Previous command outputs are truncated. Showing the last 1 lines of the output below.]\n')

    def test_the_newest_ten_thousand_lines_are_kept(self):
        answer = self.run_ok('for i in $(seq 1 50000); do echo "Line $i"; done', timeout=60.0)
        found = re.fullmatch(r'\[Previous command outputs are truncated. Showing the last (\d+) lines of the output below.\]\n', metadata(answer)['prefix'])
        self.assertTrue(10000 < int(found.group(1)) <= 11363, found.group(1))
        self.assertIn('Line 40000\n', answer['content'])
        self.assertTrue(answer['content'].endswith('Line 50000'))

    def test_content_is_limited_to_30000_characters(self):
        answer = self.run_ok("printf 'é%.0s' $(seq 40000)")
        self.assertEqual(answer['content'], 'é' * 15000 + '\n[... Observation truncated due to length ...]\n' + 'é' * 15000)
        answer = self.run_ok("printf 'é%.0s' $(seq 40000)", hidden=True)
        self.assertEqual(answer['content'], 'é' * 40000)
        self.assertIs(answer['extras']['hidden'], True)
        self.assertEqual(len(self.content("printf 'x%.0s' $(seq 30000)")), 30000)


class Files(Case):
    def write(self, path, content, **args):
        return self.client.action('write', path=path, content=content, **args)

    def read(self, path, **args):
        return self.client.action('read', path=path, **args)

    def test_write_and_read_back(self):
        answer = self.write(self.dir + '/f', 'Line 1\nLine 2\nLine 3')
        self.assertEqual((answer['observation'], answer['content'], answer['extras']), ('write', '', {'path': self.dir + '/f'}))
        self.assertEqual(self.content("od -An -c f | tr -d ' \\n'"), r'Line1\nLine2\nLine3\n')
        answer = self.read(self.dir + '/f')
        self.assertEqual((answer['observation'], answer['content']), ('read', 'Line 1\nLine 2\nLine 3\n'))
        self.assertEqual(answer['extras'], {'path': self.dir + '/f', 'impl_source': 'default'})

    def test_every_piece_gets_a_newline(self):
        for content, expected in (('', r'\n'), ('x', r'x\n'), ('a\n', r'a\n\n')):
            self.write(self.dir + '/g', content)
            self.assertEqual(self.content("od -An -c g | tr -d ' \\n'; rm g"), expected)

    def test_relative_paths_follow_the_shell(self):
        self.run_ok('mkdir sub && cd sub')
        self.assertEqual(self.write('rel', 'x')['extras']['path'], self.dir + '/sub/rel')
        self.assertEqual(self.read('rel')['content'], 'x\n')
        self.run_ok('cd ..')

    def test_parents_are_made_and_modes(self):
        self.write(self.dir + '/a/b/c/new', 'x')
        self.assertEqual(self.content('stat -c %a a/b/c/new'), '664')
        self.run_ok('chmod 751 a/b/c/new; ln -s a/b/c/new link')
        self.write(self.dir + '/link', 'y')
        self.assertEqual(self.content('stat -c %a a/b/c/new; cat a/b/c/new; readlink link'), '751\ny\na/b/c/new')

    def test_a_second_name_of_a_file_sees_the_new_text(self):
        self.run_ok('echo old > one; ln one two')
        self.write(self.dir + '/one', 'new')
        self.assertEqual(self.content('cat two'), 'new')

    def test_read_slices(self):
        self.run_ok("printf 'a\\nb\\nc\\nd\\ne\\n' > five")
        for start, end, expected in ((0, -1, 'abcde'), (1, 3, 'bc'), (0, 0, 'a'), (2, 2, 'c'), (4, 5, 'de'), (10, 20, 'de'), (4, -1, 'e'),
                                     (0, -5, 'a'), (10, -1, ''), (-3, 2, 'ab')):
            with self.subTest(start=start, end=end):
                self.assertEqual(self.read(self.dir + '/five', start=start, end=end)['content'], ''.join(c + '\n' for c in expected))

    def test_write_replaces_a_range(self):
        for start, end, expected in ((1, 3, 'aXde'), (0, 1, 'Xbcde'), (5, -1, 'abcdeX'), (-1, -1, 'abcdX'), (0, -1, 'X'), (2, 2, 'abXcde')):
            self.run_ok("printf 'a\\nb\\nc\\nd\\ne\\n' > five")
            self.write(self.dir + '/five', 'X', start=start, end=end)
            self.assertEqual(self.content("tr -d '\\n' < five"), expected)

    def test_read_errors(self):
        gone = self.dir + '/gone'
        self.assertEqual(self.read(gone)['content'], 'File not found: %s. Your current working directory is %s.' % (gone, self.dir))
        self.assertEqual(self.read(self.dir)['content'], 'Path is a directory: %s. You can only read files' % self.dir)
        self.run_ok("printf 'caf\\351 au lait, bien sur' > latin; mkfifo fifo; ln -s loop loop")
        self.assertEqual(self.read(self.dir + '/latin')['content'], 'File could not be decoded as utf-8: %s/latin.' % self.dir)
        for name in ('fifo', 'loop'):
            self.assertEqual(self.read(self.dir + '/' + name)['observation'], 'error')

    def test_write_errors(self):
        self.assertEqual(self.write(self.dir, 'x')['content'], 'Path is a directory: %s. You can only write to files' % self.dir)
        self.assertEqual(self.write('/proc/nothing/here', 'x')['observation'], 'error')
        self.run_ok("printf '\\377\\376x' > odd")
        self.assertEqual(self.write(self.dir + '/odd', 'x')['content'], 'File could not be decoded as utf-8: %s/odd' % self.dir)

    def test_binary_files_and_media(self):
        self.run_ok("printf '\\211PNG\\r\\n\\032\\n\\0\\0\\0\\rIHDR\\377' > p.png; printf 'plain' > t.PNG; head -c 3000 /dev/zero > z; printf x > m.pyc")
        for name in ('p.png', 'z', 'm.pyc'):
            answer = self.read(self.dir + '/' + name)
            self.assertEqual((answer['observation'], answer['content']), ('error', 'ERROR_BINARY_FILE'), name)
        self.assertEqual(self.read(self.dir + '/t.PNG')['content'], 'data:image/png;base64,cGxhaW4=')
        self.assertTrue(self.read('p.png')['content'].startswith('data:image/png;base64,iVBORw0K'))

    def test_nul_in_content_is_written(self):
        self.write(self.dir + '/n', 'a\0b')
        self.assertEqual(self.content("od -An -c n | tr -d ' \\n'"), r'a\0b\n')

    def test_list_files(self):
        self.run_ok('mkdir Dir .hid; touch b A .dot; ln -s gone broken; ln -s Dir ldir')
        self.assertEqual(self.client.request('POST', '/list_files', json.dumps({'path': self.dir})),
                         (200, ['.hid/', 'Dir/', 'ldir/', '.dot', 'A', 'b']))
        for path in ('/nonexistent', '/etc/passwd'):
            self.assertEqual(self.client.request('POST', '/list_files', json.dumps({'path': path})), (200, []))
        self.assertEqual(self.client.request('POST', '/list_files', '{}')[0], 200)
        self.assertEqual(self.client.request('POST', '/list_files', '[]')[0], 422)


@unittest.skipIf(URL, 'needs a server of its own')
class Process(unittest.TestCase):
    def start(self, **args):
        server = Server(**args)
        self.addCleanup(server.stop)
        return server, Client(server)

    def test_the_first_command_is_right_and_the_bashrc_is_read(self):
        home = tempfile.mkdtemp(dir='/tmp')
        self.addCleanup(shutil.rmtree, home)
        os.chmod(home, 0o755)
        with open(home + '/.bashrc', 'w') as rc:
            rc.write('echo welcome; export FROM_RC=1; PROMPT_COMMAND="echo prompt"; PS1="user\\$ "; set -o vi\n')
        _, client = self.start(home=home)
        self.assertEqual(client.run('echo $FROM_RC')['content'], '1')

    def test_a_bashrc_that_exits_does_not_lock_the_user_out(self):
        home = tempfile.mkdtemp(dir='/tmp')
        self.addCleanup(shutil.rmtree, home)
        os.chmod(home, 0o755)
        with open(home + '/.bashrc', 'w') as rc:
            rc.write('exit 1\n')
        _, client = self.start(home=home)
        self.assertEqual(client.run('echo in')['content'], 'in')

    def test_the_key_is_nowhere_a_command_can_see_it(self):
        key = 'secret-key-5f2a'
        server, client = self.start(key=key)
        self.assertEqual(client.run('echo "[$SESSION_API_KEY]"')['content'], '[]')
        self.assertNotIn(key, client.run('env; set; ps axww 2>/dev/null', hidden=True)['content'])
        with open('/proc/%d/cmdline' % server.process.pid, 'rb') as f:
            self.assertNotIn(key.encode(), f.read())
        if os.geteuid() == 0:  # ids other than root's are refused by the kernel; root sees that it is not there
            with open('/proc/%d/environ' % server.process.pid, 'rb') as f:
                self.assertNotIn(key.encode(), f.read())
        answer = client.run('cat /proc/%d/environ /proc/%d/mem' % (server.process.pid, server.process.pid))
        self.assertEqual(answer['content'].count('Permission denied'), 2, answer)

    def test_the_key_from_an_inherited_descriptor(self):
        reader, writer = os.pipe()
        os.write(writer, b'from-the-pipe\n')
        os.close(writer)
        dir = tempfile.mkdtemp(dir='/tmp')
        self.addCleanup(shutil.rmtree, dir)
        os.chmod(dir, 0o777)
        with open(dir + '/log', 'w') as log:
            process = subprocess.Popen([BINARY, '--port', '0', '--host', '127.0.0.1', '--working-dir', dir, '--key-file',
                                        '/proc/self/fd/%d' % reader], pass_fds=[reader], stderr=log, env={'SESSION_API_KEY': 'other'})
        os.close(reader)
        self.addCleanup(process.wait)
        self.addCleanup(process.terminate)
        server = Server.__new__(Server)
        server.process, server.key, server.host = process, 'from-the-pipe', '127.0.0.1'
        server.log = open(dir + '/log')
        self.addCleanup(server.log.close)
        server.port = server.wait_for_port()
        client = Client(server)
        self.assertEqual(client.request('GET', '/nothing', headers={'X-Session-API-Key': 'other'})[0], 403)
        self.assertNotIn(' %d -> ' % reader, client.run('ls -l /proc/$$/fd')['content'])

    def test_without_a_key_nothing_is_asked_for(self):
        _, client = self.start(key=None)
        self.assertEqual(client.run('echo open')['content'], 'open')

    def test_children_inherit_no_descriptor_of_the_server(self):
        _, client = self.start()
        fds = set(client.run('for f in /proc/$$/fd/*; do readlink $f; done')['content'].split('\n'))
        self.assertTrue(all(re.match(r'/dev/pts/|/memfd:azm-shell', fd) or not fd for fd in fds), fds)

    def test_upstream_command_line(self):
        self.start(arguments=['--plugins', 'agent_skills', 'jupyter', '--username', 'openhands', '--user-id', '1000',
                              '--browsergym-eval-env', 'a', 'b', '--no-enable-browser'])

    def test_bad_arguments_fail_with_one_line(self):
        for arguments in ([], ['x'], ['70000'], ['--port'], ['--nonsense'], ['80', '--plugins', 'nope'], ['0', '--host', 'localhost'],
                          ['0', '--key-file', '/nonexistent'], ['0', '--key-file', '/dev/null'], ['0', '--working-dir', 'relative']):
            with self.subTest(arguments=arguments):
                done = subprocess.run([BINARY, *arguments], capture_output=True, text=True, timeout=10)
                self.assertEqual(done.returncode, 125)
                self.assertRegex(done.stderr, r'^azm-runtime-server: [^\n]+\n(hint: [^\n]+\n)?$')

    def test_a_port_in_use_is_said(self):
        server, _ = self.start()
        done = subprocess.run([BINARY, str(server.port), '--host', '127.0.0.1'], capture_output=True, text=True, timeout=10)
        self.assertEqual(done.returncode, 125)
        self.assertIn('Address already in use', done.stderr)

    def test_sigterm_ends_it_and_its_shells_while_a_command_runs(self):
        server, client = self.start(soft=1)
        marker = 'sleep 4%06d' % os.getpid()
        client.run(marker, timeout=0.5)
        failures = []
        thread = threading.Thread(target=lambda: failures.append(client.request(
            'POST', '/execute_action', json.dumps({'action': {'action': 'run', 'args': {'command': '', 'blocking': True}}}))))
        thread.start()
        time.sleep(0.2)  # the request should be waiting in the server; nothing tells when it is
        server.process.send_signal(signal.SIGTERM)
        self.assertEqual(server.process.wait(5), 0)
        thread.join()
        self.assertEqual(failures[0][0], 503)
        deadline = time.monotonic() + 5
        while subprocess.run(['pgrep', '-f', '^' + marker], capture_output=True).stdout and time.monotonic() < deadline:
            time.sleep(0.02)
        self.assertEqual(subprocess.run(['pgrep', '-f', '^' + marker], capture_output=True).stdout, b'')

    def test_commands_can_be_interrupted_although_the_server_was_started_with_sigint_ignored(self):
        _, client = self.start(wrapper=['sh', '-c', 'trap "" INT QUIT HUP; exec "$0" "$@"'])
        client.run('cat', timeout=0.5)
        self.assertEqual(metadata(client.run('C-c', is_input=True))['exit_code'], 130)

    def test_it_reaps_its_children(self):
        server, client = self.start()
        for _ in range(5):
            client.run('exit 1')
            client.run('true', is_static=True)
        client.run('true')
        deadline = time.monotonic() + 5
        def zombies():
            out = subprocess.run(['ps', '-o', 'stat=', '--ppid', str(server.process.pid)], capture_output=True, text=True).stdout
            return [line for line in out.split() if line.startswith('Z')]
        while zombies() and time.monotonic() < deadline:
            time.sleep(0.02)
        self.assertEqual(zombies(), [])

    def test_many_silent_connections_do_not_keep_others_out_for_ever(self):
        server, client = self.start()
        idle = [socket.create_connection((server.host, server.port)) for _ in range(100)]
        self.assertEqual(client.request('GET', '/alive')[0], 200)
        for connection in idle:
            connection.close()

    def test_without_bash_the_posix_shell_serves(self):
        bwrap, busybox = shutil.which('bwrap'), shutil.which('busybox')
        if not bwrap or not busybox:
            (self.fail if MUST_WORK else self.skipTest)('bwrap and busybox are needed')
        with open(BINARY, 'rb') as program:
            if b'/ld-linux' in program.read():
                self.skipTest('this build of the server is dynamic')
        root = tempfile.mkdtemp(dir='/tmp')
        self.addCleanup(shutil.rmtree, root)
        os.chmod(root, 0o755)
        for name in ('bin', 'tmp', 'proc', 'dev'):
            os.mkdir(os.path.join(root, name))
        os.chmod(root + '/tmp', 0o777)
        shutil.copy(busybox, root + '/bin/busybox')
        shutil.copy(BINARY, root + '/server')
        for name in ('sh', 'cat', 'sleep', 'ls', 'seq'):
            os.symlink('busybox', root + '/bin/' + name)
        _, client = self.start(binary='/server', wrapper=[bwrap, '--bind', root, '/', '--dev', '/dev', '--proc', '/proc', '--unshare-user', '--die-with-parent', '--'])
        answer = client.run('echo hello; cd /tmp')
        self.assertEqual((answer['content'], metadata(answer)['exit_code'], metadata(answer)['working_dir']), ('hello', 0, '/tmp'))
        self.assertEqual(metadata(client.run('(exit 5)'))['exit_code'], 5)
        self.assertEqual(client.run('echo $?')['content'], '5')
        self.assertEqual(client.run("cat <<'E'\ntab\there $x\nE")['content'], 'tab     here $x')
        self.assertIn('timed out', metadata(client.run('cat', timeout=0.5))['suffix'])
        self.assertEqual(metadata(client.run('C-c', is_input=True))['exit_code'], 130)
        self.assertEqual(metadata(client.run('exit 3'))['exit_code'], 3)
        self.assertEqual(client.run('echo back')['content'], 'back')


def main():
    suite = unittest.defaultTestLoader.loadTestsFromModule(sys.modules[__name__])
    if len(sys.argv) > 1:
        suite = unittest.defaultTestLoader.loadTestsFromNames(sys.argv[1:], sys.modules[__name__])
    result = unittest.TextTestRunner(stream=sys.stdout, verbosity=2).run(suite)
    failed = len(result.failures) + len(result.errors)
    print('%d passed, %d failed, %d skipped' % (result.testsRun - failed - len(result.skipped), failed, len(result.skipped)))
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
