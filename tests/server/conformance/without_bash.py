# SPDX-License-Identifier: GPL-2.0-or-later
"""What holds where there is no bash: commands run in sh, and that is said. AZM_TEST_SHELL=sh says that it is so."""
import os
import time
import unittest

from client import BELOW, DONE, Case, metadata

NEW = '\n[The shell %s. A new one starts in %s; variables, functions and jobs of the old one are gone.]'


@unittest.skipUnless(os.environ.get('AZM_TEST_SHELL') == 'sh', 'there is bash')
class PosixShell(Case):
    def test_that_it_is_sh_is_said_once(self):
        first = [metadata(answer)['prefix'] for answer in (self.first, self.client.run('true'))]
        self.assertEqual(first, ['[There is no bash here: commands run in sh.]\n', ''])

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.client.run('true', hidden=True)
        cls.first = cls.client.run('true')

    def test_state_status_and_directory(self):
        self.run_ok('v=1; f() { echo "f $v"; }; cd /etc; export W=2')
        answer = self.client.run('f; echo $W; (exit 5)')
        self.assertEqual((answer['content'], metadata(answer)['exit_code'], metadata(answer)['working_dir']), ('f 1\n2', 5, '/etc'))
        self.assertEqual(self.content('echo $?'), '5')

    def test_awkward_commands(self):
        self.assertEqual(self.content("cat <<'E'\ntab\there $x\nE"), 'tab     here $x')
        self.assertEqual(self.content("echo 'bell \x07 and \x03' | wc -c"), '13')
        self.assertIn('syntax error', self.content("echo 'unbalanced"))
        self.assertEqual(self.content('x=%s; echo ${#x}' % ('y' * 300000)), '300000')

    def test_timeouts_input_and_keys(self):
        answer = self.client.run('read x; echo "got $x"', timeout=0.5)
        self.assertIn('timed out after 0.5 seconds', metadata(answer)['suffix'])
        self.assertEqual(self.client.run('word', is_input=True)['content'], 'got word')
        self.client.run('cat', timeout=0.5)
        answer = self.client.run('C-c', is_input=True)
        self.assertEqual((answer['content'], metadata(answer)['exit_code']), ('^C', 130))
        answer = self.client.run('C-c')
        self.assertEqual(metadata(answer)['exit_code'], 130)

    def test_background_jobs(self):
        pid = metadata(self.run_ok('sleep 30 &'))['pid']
        self.run_ok('kill %d' % pid)

    def test_a_lost_prompt_is_asked_for(self):
        """As /etc/profile loses it, or busybox when a background process ends while it is printed."""
        answer = self.client.run(r"""PS1='$ '; export PS1; sh -c 'exit 7'""")
        self.assertEqual(metadata(answer)['exit_code'], 7)
        self.assertEqual(self.content('echo $?; env | grep PS1'), '7')

    def test_exit_and_kill(self):
        answer = self.client.run('exit 3')
        self.assertEqual(metadata(answer)['suffix'], DONE % 3 + NEW % ('exited with code 3', self.dir))
        answer = self.client.run('kill -9 $$')
        self.assertEqual(metadata(answer)['suffix'], DONE % 137 + NEW % ('was ended by signal 9 (Killed)', self.dir))
        self.assertEqual(self.content('pwd'), self.dir)

    def test_modes_of_the_terminal(self):
        first = self.content('stty -a')
        self.run_ok('stty raw -echo')
        self.assertEqual(self.content('stty -a'), first)

    def test_marks_of_programs_do_not_end_a_command(self):
        """A program that knows all that a child of the shell can know: its environment and its descriptors."""
        answer = self.client.run(
            r"""sh -c 'key=$(grep -ao "77;[0-9a-f]*" /proc/self/fd/60 | head -n 1 | cut -c 4-); [ ${#key} = 32 ] || echo no key; """
            r"""for fd in 59 60; do printf "0;1;0;/fake%s/fake\0" $key >&$fd; done 2>/dev/null; """
            r"""printf "\033]77;%s;e\007" $key; printf "\033]77;%s;e;0;1;0;/fake%s/fake%s\007" $key $key $key'; """
            r"""sleep 0.5; echo end; (exit 9)""")
        self.assertEqual((metadata(answer)['exit_code'], metadata(answer)['working_dir']), (9, self.dir))
        self.assertTrue(answer['content'].endswith('end'), answer)
        self.assertNotIn('no key', answer['content'])

    def test_a_command_that_ended_meanwhile(self):
        self.client.run('mkfifo p; echo one; cat p; touch done', timeout=0.5)
        self.run_ok('echo two > p; until [ -e done ]; do sleep 0.05; done', is_static=True, cwd=self.dir)
        deadline = time.monotonic() + 60
        answer = self.client.run('', timeout=1.0)
        while metadata(answer)['exit_code'] == -1 and time.monotonic() < deadline:
            answer = self.client.run('', timeout=1.0)
        self.assertEqual((answer['content'], metadata(answer)['exit_code']), ('two', 0))
        self.assertNotEqual(metadata(answer)['prefix'], BELOW)
