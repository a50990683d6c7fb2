# SPDX-License-Identifier: GPL-2.0-or-later
"""Soft and hard timeouts, polling, input and special keys."""
import http.client

from client import ADVICE, BELOW, DONE, metadata, missing, Case


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
        for _ in range(5):  # the machine may stand still for the soft timeout
            answer = self.client.run('for i in $(seq %d); do echo $i; sleep 0.5; done' % n, timeout=60.0)
            if metadata(answer)['exit_code'] == 0:
                break
            self.client.run('C-c', is_input=True, blocking=True)
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
            missing(self, 'no python3 there')
        self.client.run('python3 -u -m http.server 0 --bind 127.0.0.1', timeout=3.0)
        answer = self.client.run('C-c', is_input=True)
        self.assertIn('Keyboard interrupt received, exiting.', answer['content'])
        self.assertEqual(metadata(answer)['exit_code'], 0)
