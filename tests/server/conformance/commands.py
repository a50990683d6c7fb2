# SPDX-License-Identifier: GPL-2.0-or-later
"""The `run` action: state, metadata, what is one command, static commands."""
from client import URL, DONE, metadata, Case


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
        self.assertIn('syntax error', self.content('if true; then )'))
        self.assertIn('unexpected EOF', self.content("echo 'unbalanced"))

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
        self.assertEqual(self.content('(exit 5)'), 'trapped')
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
