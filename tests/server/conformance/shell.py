# SPDX-License-Identifier: GPL-2.0-or-later
"""A shell that ends or is ended is replaced, and what happened is said."""
import time

from client import DONE, metadata, Case


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
