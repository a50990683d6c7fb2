#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""soak.py BUILD [SECONDS]: sandboxes start, work, fork, stop and are killed, four at a time, for an hour.

One keeper and one sandbox live through all of it: their memory and descriptors have to be the same in the last third as in the first.
Every command has to do what it says, whatever was killed a moment ago; at the end nothing may be left. Started by root, all
of it runs as an id without privileges; root only counts descriptors, which the kernel shows to nobody else.
"""
import collections
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
UID = int(os.environ.get('AZM_TEST_UID', '61900')) if os.geteuid() == 0 else os.getuid()


def processes(names):
    """Of ours, by name: pid and name."""
    found = []
    for pid in filter(str.isdigit, os.listdir('/proc')):
        try:
            with open('/proc/%s/status' % pid) as file:
                status = dict(line.rstrip('\n').split(':\t', 1) for line in file if ':\t' in line)
        except (FileNotFoundError, ProcessLookupError):
            continue
        if status['Name'] in names and int(status['Uid'].split()[0]) == UID and not status['State'].startswith('Z'):
            found.append((int(pid), status['Name']))
    return found


def size(pid):
    """KiB of memory that is not of files, and descriptors (0: not to be seen)."""
    with open('/proc/%d/status' % pid) as file:
        memory = next(int(line.split()[1]) for line in file if line.startswith('RssAnon'))
    try:
        return memory, len(os.listdir('/proc/%d/fd' % pid))
    except PermissionError:
        return memory, 0


class Soak:
    def __init__(self, build):
        self.home = tempfile.mkdtemp(prefix='azm-soak.', dir='/var/tmp')
        os.chmod(self.home, 0o755)
        shutil.copy(os.path.join(build, 'azm-sandbox'), self.home)
        shutil.copy(os.path.join(build, 'tests/probe'), self.home)
        self.environment = dict(os.environ, AZM_TEST_UID=str(UID), AZM_USER_HOME=self.home + '/user', AZM_KEEPER_GRACE='3600')
        self.rootfs = self.home + '/user/rootfs'
        self.as_user('true')
        self.as_user(HERE + '/lib/rootfs.sh', self.rootfs, self.home + '/probe')
        self.done, self.failures, self.over = collections.Counter(), [], threading.Event()

    def as_user(self, *command, **options):
        return subprocess.run([HERE + '/lib/as-user.sh', *command], env=self.environment, stdin=subprocess.DEVNULL, text=True, cwd='/',
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=300, **options)

    def azm(self, *arguments, want=0):
        """@want: the exit status; None: any, as something was killed."""
        result = self.as_user(self.home + '/azm-sandbox', *arguments)
        if want is not None and result.returncode != want:
            raise AssertionError('%s: status %d, not %d: %s' % (' '.join(arguments), result.returncode, want, result.stdout))
        return result.stdout

    def start(self, name):
        self.azm('run', '-d', '--name', name, '--rootfs', self.rootfs, '-p', '0:80', '--', '/bin/probe', 'sleep-forever')

    def supervisor(self, name):
        pid = json.loads(self.azm('inspect', name))[0]['pid']
        with open('/proc/%d/status' % pid) as file:
            return pid, next(int(line.split()[1]) for line in file if line.startswith('PPid'))

    # What happens to a sandbox. Each leaves nothing of it.

    def once(self, name):
        self.azm('run', '--rm', '--name', name, '--rootfs', self.rootfs, '--', '/bin/sh', '-c', 'exit 7', want=7)

    def life(self, name):
        self.start(name)
        for _ in range(5):
            assert self.azm('exec', name, '/bin/echo', 'there') == 'there\n'
        self.azm('stop', '-t', '1', name)
        self.azm('start', name)
        self.azm('rm', '-f', name)

    def killed(self, name):
        self.start(name)
        os.kill(random.choice(self.supervisor(name)), signal.SIGKILL)
        self.azm('rm', '-f', name)

    def killed_in_the_start(self, name):
        run = subprocess.Popen([HERE + '/lib/as-user.sh', 'setsid', self.home + '/azm-sandbox', 'run', '-d', '--name', name, '--rootfs', self.rootfs,
                                '--', '/bin/probe', 'sleep-forever'], env=self.environment, stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd='/')
        time.sleep(random.uniform(0, 0.1))  # any moment
        run.kill()
        run.wait()
        self.azm('rm', '-f', name, want=None)

    def forked(self, name):
        self.start(name)
        self.azm('exec', name, '/bin/sh', '-c', 'echo %s >/text' % name)
        self.azm('snapshot', name, 'tag-' + name)
        self.azm('rm', '-f', name)
        self.azm('fork', '--name-prefix', name, 'tag-' + name, '3')
        os.kill(random.choice(self.supervisor(name + '-2')), signal.SIGKILL)
        assert self.azm('exec', name + '-1', '/bin/cat', '/text') == name + '\n'
        for number in (1, 2, 3):
            self.azm('rm', '-f', '%s-%d' % (name, number))
        self.azm('snapshots', 'rm', 'tag-' + name)

    def work(self, worker):
        deeds = [self.once, self.once, self.life, self.life, self.killed, self.killed, self.killed_in_the_start, self.forked]
        number = 0
        while not self.over.is_set():
            deed, number = random.choice(deeds), number + 1
            try:
                deed('soak-%d-%d' % (worker, number))
                self.done[deed.__name__] += 1
            except Exception as error:  # pylint: disable=broad-except # everything is a finding
                self.failures.append('%s: %s' % (deed.__name__, error))
                self.over.set()

    def watch(self, seconds):
        """Return: for the keeper and the supervisor of the anchor, sizes over the time"""
        self.start('anchor')
        keeper, = (pid for pid, _ in processes(('azm-keeper',)))
        watched = {'keeper': keeper, 'supervisor': self.supervisor('anchor')[1]}
        samples = {name: [] for name in watched}
        workers = [threading.Thread(target=self.work, args=(n,)) for n in range(4)]
        for worker in workers:
            worker.start()
        end = time.monotonic() + seconds
        while time.monotonic() < end and not self.over.wait(2):
            for name, pid in watched.items():
                samples[name].append(size(pid))
        self.over.set()
        for worker in workers:
            worker.join()
        assert self.azm('exec', 'anchor', '/bin/echo', 'there') == 'there\n'
        return samples

    def judge(self, samples):
        for name, sizes in samples.items():
            third = len(sizes) // 3
            for what, k, slack in (('KiB', 0, 64), ('descriptors', 1, 8)):
                early, late = max(s[k] for s in sizes[:third + 1]), max(s[k] for s in sizes[-third - 1:])
                print('%-10s %-11s %d to %d' % (name, what, early, late))
                if late > early + slack:
                    self.failures.append('%s: %s grew' % (name, what))

    def end(self):
        self.azm('rm', '-f', 'anchor')
        for name in self.azm('ps', '-aq').split():  # those that were killed in the start, or their command
            self.azm('rm', '-f', name)
        self.azm('gc')
        for pid, _ in processes(('azm-keeper',)):
            os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + 60
        names = ('azm-sandbox', 'azm-init', 'azm-keeper', 'azm-resolver', 'probe')
        while processes(names) and time.monotonic() < deadline:
            time.sleep(0.2)
        left = processes(names)
        left += [path for path, _, _ in os.walk(self.home + '/user') if '/layers/' in path or '/sandboxes/' in path and '/.spare-' not in path]
        with open('/proc/self/mountinfo') as mounts:
            left += [line for line in mounts if self.home in line]
        if left:
            self.failures.append('left behind: %s' % left)
        if not self.failures:
            shutil.rmtree(self.home, ignore_errors=True)


def main():
    soak = Soak(sys.argv[1])
    soak.judge(soak.watch(float(sys.argv[2]) if len(sys.argv) > 2 else 3600))
    soak.end()
    print(', '.join('%s: %d' % item for item in sorted(soak.done.items())))
    for failure in soak.failures:
        print('WRONG: ' + failure)
    return 1 if soak.failures else 0


if __name__ == '__main__':
    sys.exit(main())
