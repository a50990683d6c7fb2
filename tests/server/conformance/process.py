# SPDX-License-Identifier: GPL-2.0-or-later
"""The program itself: start, command line, key, signals, children. Needs servers of its own."""
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import unittest

from client import BINARY, URL, Server, Client, metadata, missing, OwnServer, wait_for_file, wait_until_read


@unittest.skipIf(URL, 'needs a server of its own')
class Process(OwnServer):
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
        self.assertNotIn(key, client.run('env; set; ps axww 2>/dev/null', hidden=True, blocking=True)['content'])
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
        self.assertTrue(all(re.match(r'/dev/pts/|/memfd:azm-shell|socket:', fd) or not fd for fd in fds), fds)
        self.assertEqual(len([fd for fd in fds if fd.startswith('socket:')]), 1, fds)

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
        waiting = http.client.HTTPConnection(server.host, server.port, timeout=60)
        self.addCleanup(waiting.close)
        waiting.request('POST', '/execute_action', json.dumps({'action': {'action': 'run', 'args': {'command': '', 'blocking': True}}}),
                        {'X-Session-API-Key': server.key})
        wait_until_read(server, waiting.sock)
        server.process.send_signal(signal.SIGTERM)
        self.assertEqual(server.process.wait(60), 0)
        self.assertEqual(waiting.getresponse().status, 503)
        deadline = time.monotonic() + 60
        while subprocess.run(['pgrep', '-f', '^' + marker], capture_output=True).stdout and time.monotonic() < deadline:
            time.sleep(0.02)
        self.assertEqual(subprocess.run(['pgrep', '-f', '^' + marker], capture_output=True).stdout, b'')

    def test_commands_can_be_interrupted_although_the_server_was_started_with_sigint_ignored(self):
        _, client = self.start(wrapper=['sh', '-c', 'trap "" INT QUIT HUP; exec "$0" "$@"'])
        client.run('cat', timeout=0.5)
        self.assertEqual(metadata(client.run('C-c', is_input=True))['exit_code'], 130)

    def test_output_is_not_lost_when_the_server_could_not_run_for_a_while(self):
        server, client = self.start()
        answers = []
        command = ': >began; until [ -e go ]; do sleep 0.05; done; echo done; : >ended'
        asking = threading.Thread(target=lambda: answers.append(client.run(command, blocking=True, timeout=60.0)))
        asking.start()
        wait_for_file(server.dir + '/began')
        os.kill(server.process.pid, signal.SIGSTOP)
        with open(server.dir + '/go', 'w'):
            wait_for_file(server.dir + '/ended')
        time.sleep(1.5)  # the silence after which a shell is asked whether it sits at its prompt
        os.kill(server.process.pid, signal.SIGCONT)
        asking.join()
        self.assertEqual((answers[0]['content'], metadata(answers[0])['exit_code']), ('done', 0))

    def test_it_reaps_its_children(self):
        server, client = self.start()
        for _ in range(5):
            client.run('exit 1')
            client.run('true', is_static=True)
        client.run('true')
        deadline = time.monotonic() + 60
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
            missing(self, 'bwrap and busybox are needed')
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
