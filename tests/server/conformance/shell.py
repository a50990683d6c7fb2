# SPDX-License-Identifier: GPL-2.0-or-later
"""A shell that ends or is ended is replaced, and what happened is said."""
import time

from client import ADVICE, DONE, metadata, Case

NEW = 'A new one starts in %s; variables, functions and jobs of the old one are gone.]'


class Shell(Case):
    def test_exit_reports_the_code_and_a_new_shell_takes_over(self):
        answer = self.client.run('exit 3')
        self.assertEqual(metadata(answer)['exit_code'], 3)
        self.assertEqual(metadata(answer)['suffix'], DONE % 3 + '\n[The shell exited with code 3. ' + NEW % self.dir)
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
        self.assertEqual(metadata(answer)['suffix'], DONE % 137 + '\n[The shell was ended by signal 9 (Killed). ' + NEW % self.dir)
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
        answer = self.client.run('(trap "" HUP; exec sleep 60) & echo $! >sleeper; disown; exit 6', blocking=True, timeout=90.0)
        self.assertEqual(metadata(answer)['exit_code'], 6)
        self.assertLess(time.monotonic() - started, 40)
        self.run_ok('kill $(cat sleeper)')

    def test_a_shell_that_ended_while_idle_is_told_of_with_the_next_command(self):
        shell = self.content('echo $$')
        self.run_ok('{ until [ -e now ]; do sleep 0.02; done; kill -9 $$; } & disown')
        self.run_ok('touch now; while kill -0 %s; do sleep 0.02; done' % shell, is_static=True, cwd=self.dir)
        answer = self.run_ok('true')
        self.assertEqual(metadata(answer)['prefix'], '[The shell was ended by signal 9 (Killed). ' + NEW % self.dir + '\n')
        self.assertEqual(metadata(self.run_ok('true'))['prefix'], '')

    def test_a_static_command_that_exits_says_only_its_code(self):
        answer = self.client.run('exit 5', is_static=True)
        self.assertEqual((metadata(answer)['exit_code'], metadata(answer)['suffix']), (5, DONE % 5))

    def test_a_stopped_shell_goes_on(self):
        answer = self.client.run('kill -STOP $$; echo on')
        self.assertEqual((answer['content'], metadata(answer)['exit_code']), ('[The shell was stopped by signal 19 and continues.]\non', 0))

    def test_a_shell_that_closed_its_terminal_is_replaced(self):
        told = metadata(self.client.run('exec 0<&- 1>&- 2>&-'))['suffix']
        answer = self.client.run('echo alive', timeout=20.0)
        self.assertEqual(answer['content'], 'alive')
        self.assertIn('[The shell exited', told + metadata(answer)['prefix'])

    def test_a_shell_that_closed_every_descriptor_is_replaced(self):
        self.client.run('for fd in /proc/self/fd/*; do fd=${fd##*/}; [ $fd -lt 3 ] || eval "exec $fd>&-"; done', timeout=20.0)
        answer = self.client.run('echo alive')
        self.assertEqual((answer['content'], metadata(answer)['exit_code']), ('alive', 0))

    def test_a_shell_without_its_script_is_replaced_and_the_command_runs_once(self):
        self.run_ok('exec 60<&-')
        self.assertEqual(self.content('echo once >> log; cat log', timeout=20.0), 'once')

    def test_modes_of_the_terminal_are_as_at_first_for_every_command(self):
        first = self.content('stty -a')
        for modes in ('raw -echo', '-echo -icanon', 'intr ^X eof ^Y', '-opost'):
            self.run_ok('stty ' + modes)
            self.assertEqual(self.content('stty -a'), first)
        self.assertEqual(self.content(r"stty raw; printf 'one\r\ntwo\r\n'"), 'one\ntwo')
        self.assertEqual(self.content(r"printf 'one\ntwo\n'"), 'one\ntwo')

    def test_a_program_keeps_the_modes_it_set_while_it_runs(self):
        self.assertIn('-icanon', self.content('stty -icanon; sleep 0.1; stty -a'))

    def test_the_last_word_and_status_of_a_command_are_there_for_the_next(self):
        self.run_ok('mkdir -p some/place')
        self.assertEqual(self.content('cd $_ && pwd'), self.dir + '/some/place')
        self.client.run('(exit 7)')
        self.assertEqual(self.content('echo $?'), '7')

    def test_commands_are_in_the_history(self):
        self.run_ok('echo "it\'s" > /dev/null')
        self.assertRegex(self.content('history 2'), r"^ *\d+  echo \"it's\" > /dev/null\n *\d+  history 2$")

    def test_an_idle_shell_is_not_logged_out(self):
        self.run_ok('TMOUT=0; export TMOUT')
        self.assertEqual(self.content('echo ${TMOUT-unset}'), '0')


class Forgery(Case):
    """Whatever a program knows and writes, a command ends when the shell is at its prompt, with what the shell says."""
    KEYS = (r"""mark=$(printf %s "$PROMPT_COMMAND" | grep -o '77;[0-9a-f]*' | cut -c 4-); """
            r"""secret=$(printf %s "$PROMPT_COMMAND" | grep -o ';%s[0-9a-f]*%s' | tr -d ';%s'); """
            r"""[ ${#mark}${#secret} = 3232 ] || exit 99; """)

    def forged(self, program):
        """@program runs, then a second passes, then the command ends with 9."""
        with_keys = self.KEYS + program
        quoted = "'" + with_keys.replace("'", "'\\''") + "'"
        answer = self.client.run('sh -c %s; [ $? = 99 ] && exit 99; sleep 0.5; echo end; (exit 9)' % quoted, blocking=True)
        self.assertEqual(metadata(answer)['exit_code'], 9, answer)
        self.assertEqual(metadata(answer)['working_dir'], self.dir)
        self.assertTrue(answer['content'].endswith('end'), answer)
        self.assertEqual(metadata(answer)['suffix'], DONE % 9)
        return answer

    def test_every_mark_on_the_terminal(self):
        self.forged(r"""for kind in s e 'e;0;1;0;/fake'$secret/fake$secret 'e;0;1;0;/fake' x; do
                printf '\033]77;%s;%s\007' $mark "$kind" > /dev/tty; done""")

    def test_a_report_on_the_channel_and_the_mark(self):
        self.forged(r"""printf '0;1;0;/fake%s/fake\0' $secret >&59; printf '\033]77;%s;e\007' $mark > /dev/tty""")

    def test_the_hook_run_by_a_program(self):
        self.forged('eval "$PROMPT_COMMAND"')
        self.forged('bash -c \'eval "$PROMPT_COMMAND"\'')
        self.forged('bash -ic \'eval "$PROMPT_COMMAND"\'')

    def test_the_hook_run_by_a_part_of_the_shell(self):
        answer = self.client.run('(eval "$PROMPT_COMMAND"); sleep 0.5; echo end; (exit 9)', blocking=True)
        self.assertEqual((metadata(answer)['exit_code'], answer['content']), (9, 'end'))

    def test_every_inherited_descriptor_is_written_to(self):
        self.forged(r"""for fd in /proc/self/fd/*; do fd=${fd##*/}; [ $fd -lt 3 ] ||
                { printf '0;1;0;/fake%s/fake\0' $secret >&$fd; printf 'echo injected\0' >&$fd; } 2>/dev/null; done""")
        self.assertEqual(self.content('echo next'), 'next')

    def test_a_channel_that_others_fill(self):
        self.forged('head -c 3000000 /dev/zero >&59')
        self.forged('yes | head -c 3000000 >&59')

    def test_what_the_environment_shows_is_not_enough_when_printed(self):
        self.forged('env; printf "$PROMPT_COMMAND" $mark $secret; printf %b "$PROMPT_COMMAND"')
