# SPDX-License-Identifier: GPL-2.0-or-later
"""The `run_ipython` action: Python cells, with and without IPython."""
import json
import os
import shutil
import subprocess
import tempfile
import time
import unittest

from client import HAS, URL, Case, Client, Server, missing

NOTHING = '[Code executed successfully with no output]'
PNG = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=='


class Cells(Case):
    """With whatever the image's python3 has."""

    def setUp(self):
        super().setUp()
        if not self.content('command -v python3 python'):
            missing(self, 'no python there')

    def answer(self, code, timeout=30.0, **args):
        answer = self.client.action('run_ipython', timeout, code=code, **args)
        self.assertEqual(answer['observation'], 'run_ipython', answer)
        return answer

    def cell(self, code, timeout=30.0, **args):
        return self.answer(code, timeout, include_extra=False, **args)['content']

    def test_an_observation_has_every_member(self):
        answer = self.answer('print("hi")')
        self.assertEqual(answer['message'], 'Code executed in IPython cell.')
        self.assertEqual(answer['extras'], {'code': 'print("hi")', 'image_urls': None})
        self.assertIs(answer['success'], True)
        python = self.cell('import sys; print(sys.executable)')
        self.assertEqual(answer['content'],
                         'hi\n[Jupyter current working directory: %s]\n[Jupyter Python interpreter: %s]' % (self.dir, python))

    def test_the_first_action_of_a_client(self):
        answer = self.answer('import os; os.environ["AZM_CELL"] = "1"', 120.0, kernel_init_code='', thought='', confirmation_state='confirmed',
                             security_risk=-1)
        self.assertTrue(answer['content'].startswith(NOTHING + '\n[Jupyter current'), answer)
        self.assertEqual(self.cell('!echo "[$AZM_CELL]"'), '[1]')

    def test_state_is_kept(self):
        self.assertEqual(self.cell('x = 41\ndef f():\n    return x + 1'), NOTHING)
        self.assertEqual(self.cell('print(f())'), '42')
        self.assertEqual(self.cell('import pickle\nclass C: pass\nprint(type(pickle.loads(pickle.dumps(C()))).__name__)'), 'C')

    def test_the_value_of_the_last_expression_is_shown(self):
        self.assertEqual(self.cell('1 + 1'), '2')
        self.assertEqual(self.cell('print("a")\n"b"'), "a\n'b'")
        self.assertEqual(self.cell('None'), NOTHING)
        self.assertEqual(self.cell('5;'), NOTHING)
        self.assertEqual(self.cell('_'), "'b'")

    def test_no_output_is_said(self):
        for code in ('', 'pass', '# comment', 'x = 1'):
            self.assertEqual(self.cell(code), NOTHING)

    def test_both_streams_and_programs_in_the_order_they_wrote(self):
        self.assertEqual(self.cell('import sys, os\nprint("a")\nprint("b", file=sys.stderr)\nos.system("echo c")\nos.write(1, b"d\\n")\nprint("e")'),
                         'a\nb\nc\nd\ne')

    def test_exceptions_are_tracebacks(self):
        text = self.cell('def f():\n    return 1 / 0\nprint("before")\nf()\nprint("after")')
        self.assertTrue(text.startswith('before'), text)
        self.assertIn('Traceback (most recent call last)', text)
        self.assertIn('return 1 / 0', text)
        self.assertTrue(text.endswith('ZeroDivisionError: division by zero'), text)
        self.assertNotIn('\nafter', text)
        self.assertNotIn('\033', text)
        self.assertIn('SyntaxError', self.cell('1 +* 2'))
        self.assertIn('ModuleNotFoundError', self.cell('import no_such_module_azm'))

    def test_exit_does_not_end_the_process(self):
        self.cell('kept = 1')
        self.cell('import sys; sys.exit(3)')
        self.assertEqual(self.cell('kept'), '1')

    def test_it_follows_the_shell(self):
        self.run_ok('mkdir sub; cd sub')
        self.assertEqual(self.cell('import os; print(os.getcwd())'), self.dir + '/sub')
        self.cell('os.chdir("/")')
        self.assertEqual(self.cell('print(os.getcwd())'), '/')  # the shell has not moved
        self.run_ok('cd ..')
        self.assertEqual(self.cell('print(os.getcwd())'), self.dir)

    def test_images_are_data_urls(self):
        code = 'import base64\nclass P:\n    def __repr__(self): return "<P>"\n    def _repr_png_(self): return base64.b64decode("%s")\ndisplay(P())\nP()' % PNG
        answer = self.answer(code, include_extra=False)
        self.assertEqual(answer['content'], '<P><P>')
        self.assertEqual(answer['extras']['image_urls'], ['data:image/png;base64,' + PNG] * 2)
        self.assertIsNone(self.answer('1')['extras']['image_urls'])

    def test_figures_of_matplotlib(self):
        if 'matplotlib' not in HAS:
            self.skipTest('no matplotlib there; tests/real/cells.bats has it')
        self.assertEqual(self.cell('import matplotlib.pyplot as plt', 120.0), NOTHING)
        answer = self.answer('plt.plot([1, 2])\nplt.show()\nplt.figure(); plt.plot([2, 1]);', 120.0, include_extra=False)
        urls = answer['extras']['image_urls']
        self.assertEqual(len(urls), 2, answer)
        self.assertTrue(all(url.startswith('data:image/png;base64,iVBORw0K') for url in urls))
        self.assertIn('<Figure size', answer['content'])

    def test_commands_of_the_shell(self):
        self.assertEqual(self.cell('!echo one; echo two >&2'), 'one\ntwo')
        self.assertEqual(self.cell('for i in range(2):\n    !echo loop'), 'loop\nloop')
        self.assertEqual(self.cell('lines = !printf "a\\nb"\nprint(list(lines))'), "['a', 'b']")
        self.assertEqual(self.cell('text = """\n!echo no\n"""\nprint(text.strip())'), '!echo no')
        self.assertEqual(self.cell('%%bash\nx=5\necho $x'), '5')

    def test_pip(self):
        text = self.cell('%pip --version')
        self.assertTrue(text.startswith('pip ') or 'No module named pip' in text, text)
        self.assertIn('Note: you may need to restart the kernel to use updated packages.', text)

    def test_a_magic_that_is_unknown(self):
        self.assertIn('UsageError: Line magic function `%no_such_magic` not found', self.cell('%no_such_magic 3'))

    def test_await_at_the_top(self):
        if self.cell('import sys; sys.version_info < (3, 8)') == 'True':
            self.skipTest('python is older')
        self.assertEqual(self.cell('import asyncio\nasync def f():\n    return 7\nprint(await f())'), '7')

    def test_a_cell_that_takes_too_long_is_interrupted(self):
        self.cell('kept = 1\nimport time')
        started = time.monotonic()
        self.assertEqual(self.cell('print("so far")\ntime.sleep(60)', 1.0), 'so far\n[Execution timed out (1.0 seconds).]')
        self.assertLess(time.monotonic() - started, 30)
        self.assertEqual(self.cell('!sleep 60', 0.5), '[Execution timed out (0.5 seconds).]')
        self.assertEqual(self.cell('while True: pass', 0.5), '[Execution timed out (0.5 seconds).]')
        self.assertEqual(self.cell('kept'), '1')

    def test_a_cell_that_cannot_be_interrupted_is_killed_and_that_is_said(self):
        self.cell('lost = 1')
        started = time.monotonic()
        text = self.cell('import time\nwhile True:\n    try:\n        time.sleep(60)\n    except BaseException:\n        pass', 0.5)
        self.assertEqual(text, '[Execution timed out (0.5 seconds).]\n[The Python process did not stop and was killed: its variables are lost.]')
        self.assertLess(time.monotonic() - started, 30)
        self.assertIn('NameError', self.cell('lost'))

    def test_a_process_that_dies_says_so_and_is_replaced(self):
        self.assertEqual(self.cell('print("last", flush=True)\nimport os; os._exit(3)'),
                         'last\n[The Python process ended with exit code 3: its variables are lost.]')
        self.assertIn('was killed by signal 9', self.cell('import os; os.kill(os.getpid(), 9)'))
        self.assertEqual(self.cell('1'), '1')

    def test_a_process_started_in_a_cell_does_not_hold_it(self):
        started = time.monotonic()
        self.assertEqual(self.cell('import subprocess\np = subprocess.Popen(["sleep", "30"])\nprint("on")'), 'on')
        self.assertLess(time.monotonic() - started, 25)
        self.cell('p.kill()')

    def test_much_output_is_bounded(self):
        text = self.cell('print("first")\nfor i in range(400): print("x" * 100000)\nprint("last")', 60.0)
        self.assertTrue(text.startswith('first\n') and text.endswith('\nlast'))
        self.assertIn('bytes of output are left out', text)
        self.assertLess(len(text), 8 << 20)

    def test_bytes_and_characters(self):
        self.assertEqual(self.cell('print("☃ é 𝄞")'), '☃ é 𝄞')
        self.cell('import os; os.write(1, bytes(range(256)))')
        self.assertEqual(self.cell('print("\\033[31mred\\033[0m")'), 'red')
        self.assertEqual(self.cell('1\0'[:1]), '1')

    def test_stdin_is_empty(self):
        self.assertIn('Error', self.cell('input("name? ")'))

    def test_cells_and_commands_take_turns(self):
        self.cell('import time; time.sleep(0.1); open("%s/f", "w").write("x")' % self.dir)
        self.assertEqual(self.content('cat f'), 'x')

    def test_code_of_the_wrong_type_is_500(self):
        for args in ({}, {'code': 3}, {'code': None}, {'code': '1', 'kernel_init_code': 3}):
            status, _ = self.client.request('POST', '/execute_action', json.dumps({'action': {'action': 'run_ipython', 'args': args}}))
            self.assertEqual(status, 500)


@unittest.skipIf(URL, 'needs a server of its own')
class PlainCells(Cells):
    """The same with IPython hidden."""

    @classmethod
    def setUpClass(cls):
        if subprocess.run(['/usr/bin/env', '-i', 'PATH=/usr/local/bin:/usr/bin:/bin', 'python3', '-c', 'import IPython'], capture_output=True).returncode:
            raise unittest.SkipTest('there is no IPython to hide')
        cls.modules = tempfile.mkdtemp(dir='/tmp')
        os.chmod(cls.modules, 0o755)
        with open(cls.modules + '/IPython.py', 'w') as module:
            module.write('raise ImportError("hidden by the test")\n')
        cls.server = Server(env={'PYTHONPATH': cls.modules})
        cls.client = Client(cls.server)

    @classmethod
    def tearDownClass(cls):
        super().tearDownClass()
        shutil.rmtree(cls.modules)


@unittest.skipIf(URL, 'needs a server of its own')
class Interpreter(unittest.TestCase):
    def test_nothing_of_the_server_is_in_the_process(self):
        server = Server()
        self.addCleanup(server.stop)
        code = ('import os\nprint(os.environ.get("SESSION_API_KEY"))\nfor f in range(3, 100):\n    try:\n'
                '        print(f, os.readlink("/proc/self/fd/%d" % f))\n    except OSError:\n        pass')
        answer = Client(server).action('run_ipython', code=code, include_extra=False)
        self.assertRegex(answer['content'], r'^None\n3 socket:\[\d+\](\n\d+ /dev/null)*$')

    def test_an_image_without_python_says_so(self):
        bin = tempfile.mkdtemp(dir='/tmp')
        self.addCleanup(shutil.rmtree, bin)
        os.chmod(bin, 0o755)
        for name in ('bash', 'sh', 'rm', 'mktemp'):
            os.symlink(shutil.which(name), bin + '/' + name)
        server = Server(env={'PATH': bin})
        self.addCleanup(server.stop)
        answer = Client(server).action('run_ipython', code='1')
        self.assertEqual((answer['observation'], answer['content']),
                         ('error', 'There is no python3 in this image, so Python cells cannot be run.'))

    def test_a_python_that_does_not_start_says_so(self):
        bin = tempfile.mkdtemp(dir='/tmp')
        self.addCleanup(shutil.rmtree, bin)
        os.chmod(bin, 0o755)
        with open(bin + '/python3', 'w') as script:
            script.write('#!/bin/sh\necho broken >&2\nexit 4\n')
        os.chmod(bin + '/python3', 0o755)
        server = Server(env={'PATH': bin + ':/bin:/usr/bin'})
        self.addCleanup(server.stop)
        answer = Client(server).action('run_ipython', code='1', include_extra=False)
        self.assertEqual(answer['content'], 'broken\n[The Python process ended with exit code 4: its variables are lost.]')
