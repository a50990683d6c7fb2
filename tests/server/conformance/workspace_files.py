# SPDX-License-Identifier: GPL-2.0-or-later
"""The workspace API: one file up or down by its path (spec: openhands 10.2), and what the console page asks for."""
import http.client
import json
import re
import socket
import time
import urllib.parse

from events import Follower
from workspace import WorkspaceCase

BOUNDARY = '8deb59c9e3df6c986d701813bac811c7'


def form(content, name='file', filename='upload'):
    """A form with one file, byte for byte as httpx makes it."""
    return b'--%s\r\nContent-Disposition: form-data; name="%s"; filename="%s"\r\nContent-Type: application/octet-stream\r\n\r\n%s\r\n--%s--\r\n' % (
        BOUNDARY.encode(), name.encode(), filename.encode(), content, BOUNDARY.encode())


class FileCase(WorkspaceCase):
    def upload(self, path, content, **kwargs):
        return self.client.request('POST', '/api/file/upload?' + urllib.parse.urlencode({'path': path}), form(content, **kwargs),
                                   {'Content-Type': 'multipart/form-data; boundary=' + BOUNDARY})

    def download(self, path, key=True):
        connection = http.client.HTTPConnection(self.server.host, self.server.port, timeout=60)
        connection.request('GET', '/api/file/download?' + urllib.parse.urlencode({'path': path}),
                           headers={'X-Session-API-Key': self.server.key} if self.server.key and key else {})
        response = connection.getresponse()
        body = response.read()
        connection.close()
        return response.status, body, response.headers

    def sh(self, script):
        result = self.execute('set -e; ' + script, cwd=self.dir)
        self.assertEqual(result['exit_code'], 0, result)
        return result['stdout'] or ''


class Upload(FileCase):
    def test_success_and_the_size_are_answered_and_the_file_is_what_was_sent(self):
        content = bytes(range(256)) * 4096
        self.assertEqual(self.upload(self.dir + '/a.bin', content), (200, {'success': True, 'file_size': len(content)}))
        self.assertEqual(self.download(self.dir + '/a.bin')[:2], (200, content))

    def test_directories_that_are_missing_are_made(self):
        self.assertEqual(self.upload(self.dir + '/x/y z/a', b'1')[0], 200)
        self.assertEqual(self.sh("cat 'x/y z/a'"), '1')

    def test_a_relative_path_is_400_and_a_missing_one_422(self):
        self.assertEqual(self.upload('relative/a', b'1'), (400, {'detail': 'Path must be absolute'}))
        self.assertEqual(self.client.request('POST', '/api/file/upload', form(b'1'), {
            'Content-Type': 'multipart/form-data; boundary=' + BOUNDARY})[0], 422)

    def test_a_directory_or_a_file_as_directory_in_the_path_is_400(self):
        self.sh('mkdir d; touch f; mkfifo p')
        for path in ('/d', '/f/below', '/p', '/new/'):
            self.assertEqual(self.upload(self.dir + path, b'1')[0], 400, path)

    def test_a_file_that_is_there_is_replaced_and_keeps_its_mode(self):
        self.sh('echo old > a; chmod 640 a')
        self.assertEqual(self.upload(self.dir + '/a', b'new')[0], 200)
        self.assertEqual(self.sh('cat a; stat -c %a a'), 'new640\n')

    def test_a_symbolic_link_is_followed(self):
        self.sh('mkdir d; echo old > d/a; ln -s d/a link; ln -s d dlink')
        self.assertEqual(self.upload(self.dir + '/link', b'new')[0], 200)
        self.assertEqual(self.upload(self.dir + '/dlink/b', b'other')[0], 200)
        self.assertEqual(self.sh('cat d/a d/b; readlink link'), 'newotherd/a\n')

    def test_an_empty_file_and_one_with_a_boundary_like_text_arrive_whole(self):
        for content in (b'', b'\r\n--' + BOUNDARY[:-1].encode() + b'x\r\n--\r\n', b'\r\n' * 1000):
            self.assertEqual(self.upload(self.dir + '/a', content)[0], 200)
            self.assertEqual(self.download(self.dir + '/a')[1], content)

    def test_a_body_without_a_file_is_422(self):
        path = '/api/file/upload?path=%s/a' % self.dir
        headers = {'Content-Type': 'multipart/form-data; boundary=' + BOUNDARY}
        self.assertEqual(self.client.request('POST', path, form(b'1', name='other'), headers)[0], 422)
        self.assertEqual(self.client.request('POST', path, b'', headers)[0], 422)
        self.assertEqual(self.client.request('POST', path, b'{}', {'Content-Type': 'application/json'})[0], 422)
        self.assertEqual(self.execute('test -e a', cwd=self.dir)['exit_code'], 1)

    def test_an_upload_that_breaks_off_leaves_the_old_file_and_nothing_else(self):
        self.sh('echo old > a')
        body = form(b'n' * 1000000)
        with socket.create_connection((self.server.host, self.server.port)) as connection:
            connection.sendall(('POST /api/file/upload?path=%s/a HTTP/1.1\r\nHost: x\r\nX-Session-API-Key: %s\r\nContent-Length: %d\r\n'
                                'Content-Type: multipart/form-data; boundary=%s\r\n\r\n' % (self.dir, self.server.key or '', len(body), BOUNDARY)
                                ).encode() + body[:500000])
        deadline = time.monotonic() + 60
        while self.sh('ls -A') != 'a\n':
            self.assertLess(time.monotonic(), deadline, self.sh('ls -A'))
            time.sleep(0.02)
        self.assertEqual(self.sh('cat a'), 'old\n')

    def test_without_the_key_nothing_is_written(self):
        if not self.server.key:
            self.skipTest('this server has no key')
        status, _ = self.client.request('POST', '/api/file/upload?path=%s/a' % self.dir, form(b'1'), {
            'X-Session-API-Key': 'x', 'Content-Type': 'multipart/form-data; boundary=' + BOUNDARY})
        self.assertEqual((status, self.execute('test -e a', cwd=self.dir)['exit_code']), (401, 1))


class Download(FileCase):
    def test_the_bytes_come_as_an_attachment_of_an_unknown_type(self):
        self.sh("printf 'a\\000b' > 'x \"y.bin'")
        status, body, headers = self.download(self.dir + '/x "y.bin')
        self.assertEqual((status, body, headers['Content-Type']), (200, b'a\0b', 'application/octet-stream'))
        self.assertEqual(headers['Content-Disposition'], "attachment; filename*=UTF-8''x%20%22y.bin")

    def test_a_name_cannot_add_a_header(self):
        self.sh("printf 1 > \"$(printf 'a\\r\\nSet-Cookie: b')\"")
        status, _, headers = self.download(self.dir + '/a\r\nSet-Cookie: b')
        self.assertEqual((status, headers['Set-Cookie']), (200, None))

    def test_missing_is_404_and_what_is_no_file_is_400(self):
        self.sh('mkdir d; mkfifo p; touch f')
        self.assertEqual(self.download(self.dir + '/nothing')[0], 404)
        self.assertEqual(self.download(self.dir + '/f/below')[0], 404)
        for path in (self.dir, self.dir + '/d', self.dir + '/p', '/dev/zero', 'relative'):
            self.assertEqual(self.download(path)[0], 400, path)

    def test_without_the_key_nothing_is_read(self):
        if not self.server.key:
            self.skipTest('this server has no key')
        self.assertEqual(self.download('/etc/passwd', key=False)[:2], (401, b'{"detail":"Unauthorized"}'))

    def test_an_empty_file_is_an_empty_body(self):
        self.sh(': > a')
        self.assertEqual(self.download(self.dir + '/a')[:2], (200, b''))


class Sdk(FileCase):
    """The requests of openhands-sdk 1.58, recorded on the wire; HOST, KEY, DIR and ID are put in."""

    def raw(self, request, body=b''):
        with socket.create_connection((self.server.host, self.server.port)) as connection:
            connection.settimeout(20)
            connection.sendall(request.replace('HOST', '%s:%d' % (self.server.host, self.server.port)).replace(
                'KEY', self.server.key or '').replace('\n', '\r\n').encode() + body)
            response = http.client.HTTPResponse(connection)
            response.begin()
            answer = response.read()
            return response.status, answer

    HTTPX = ' HTTP/1.1\nHost: HOST\nAccept: */*\nAccept-Encoding: gzip, deflate\nConnection: keep-alive\nUser-Agent: python-httpx/0.28.1\nX-Session-API-Key: KEY\n'

    def get_raw(self, path):
        return self.raw('GET ' + path + self.HTTPX + '\n')

    def test_alive(self):
        status, _ = self.raw('GET /health HTTP/1.1\nAccept-Encoding: identity\nHost: HOST\nUser-Agent: Python-urllib/3.12\nConnection: close\n\n')
        self.assertEqual(status, 200)

    def test_server_info(self):
        status, answer = self.get_raw('/server_info')
        self.assertIsInstance((status, json.loads(answer))[1], dict)

    def test_start_command_poll_and_stop(self):
        body = b'{"command":"echo a; sleep 9","timeout":30,"cwd":"/tmp"}'
        status, answer = self.raw('POST /api/bash/start_bash_command' + self.HTTPX + 'Content-Length: %d\nContent-Type: application/json\n\n' % len(body), body)
        id = json.loads(answer)['id']
        self.assertEqual(status, 200)
        deadline = time.monotonic() + 60
        search = '/api/bash/bash_events/search?kind__eq=BashOutput&sort_order=TIMESTAMP&limit=100&command_id__eq=' + id
        while not (items := json.loads(self.get_raw(search)[1])['items']):
            self.assertLess(time.monotonic(), deadline)
        self.assertEqual(items[0]['stdout'], 'a\n')
        status, _ = self.raw('POST /api/bash/bash_commands/%s/stop HTTP/1.1\nHost: HOST\nContent-Length: 0\nAccept: */*\n'
                             'Accept-Encoding: gzip, deflate\nConnection: keep-alive\nUser-Agent: python-httpx/0.28.1\nX-Session-API-Key: KEY\n\n' % id)
        self.assertEqual(status, 200)
        status, answer = self.get_raw('/api/bash/bash_events/search?kind__eq=BashOutput&sort_order=TIMESTAMP_DESC&limit=1&command_id__eq=' + id)
        self.assertEqual(json.loads(answer)['items'][0]['exit_code'], -15)

    def test_upload_in_pieces_and_download(self):
        path = (self.dir + '/x y/z.bin').replace('/', '%2F').replace(' ', '+')
        body = form(b'abc\0')
        self.assertEqual(len(body), 186)
        status, answer = self.raw('POST /api/file/upload?path=' + path + self.HTTPX + 'Content-Length: 186\n'
                                  'Content-Type: multipart/form-data; boundary=' + BOUNDARY + '\n\n', body)
        self.assertEqual((status, json.loads(answer)), (200, {'success': True, 'file_size': 4}))
        self.assertEqual(self.get_raw('/api/file/download?path=' + path), (200, b'abc\0'))

    def test_git_changes_and_diff(self):
        self.assertEqual(self.get_raw('/api/git/changes?path=%s%%2F.' % self.dir.replace('/', '%2F')), (200, b'[]'))
        self.assertEqual(self.get_raw('/api/git/diff?path=%s%%2Fa+b' % self.dir.replace('/', '%2F'))[0], 400)


class ConsoleApi(FileCase):
    def test_the_page_needs_no_key_and_runs_only_its_own_script(self):
        connection = http.client.HTTPConnection(self.server.host, self.server.port, timeout=10)
        connection.request('GET', '/')
        response = connection.getresponse()
        page = response.read().decode()
        self.assertEqual((response.status, response.headers['Content-Type']), (200, 'text/html; charset=utf-8'))
        policy = response.headers['Content-Security-Policy']
        for rule in ("default-src 'none'", "frame-ancestors 'none'", "require-trusted-types-for 'script'", "connect-src 'self'"):
            self.assertIn(rule, policy)
        self.assertNotIn('unsafe', policy)
        self.assertEqual(response.headers['Referrer-Policy'], 'no-referrer')
        self.assertIsNone(re.search(r'(src|href)="(?!data:,)', page), 'assets of its own only')
        self.assertNotIn('innerHTML', page)
        connection.close()

    def test_everything_of_it_needs_the_key(self):
        if not self.server.key:
            self.skipTest('this server has no key')
        for method, path in (('POST', 'terminals'), ('GET', 'terminals/1/screen'), ('POST', 'terminals/1/keys'), ('POST', 'terminals/1/size'),
                             ('DELETE', 'terminals/1'), ('GET', 'files?path=/'), ('GET', 'processes')):
            self.assertEqual(self.client.request(method, '/api/console/' + path, headers={'X-Session-API-Key': 'x'})[0], 401, path)

    def open_terminal(self, rows=10, columns=40):
        status, answer = self.post('/api/console/terminals', {'rows': rows, 'columns': columns})
        self.assertEqual(status, 200, answer)
        path = '/api/console/terminals/%d' % answer['id']
        self.addCleanup(self.client.request, 'DELETE', path)
        return path

    def watch(self, path):
        follower = Follower(self.server, path=path + '/screen', timeout=10)
        self.addCleanup(follower.close)
        return follower

    def until_shown(self, follower, text):
        """Frames until a row has the text; all rows as they are then."""
        lines, deadline = {}, time.monotonic() + 60
        for name, frame in follower:
            self.assertEqual(name, 'screen', frame)
            self.assertLess(time.monotonic(), deadline, lines)
            for row, runs in frame['lines'].items():
                lines[int(row)] = ''.join(run[0] for run in runs)
            if any(text in line for line in lines.values()):
                return lines
        self.fail('%r not in %r' % (text, lines))

    def test_a_terminal_shows_what_is_typed_and_has_its_size(self):
        path = self.open_terminal(12, 50)
        follower = self.watch(path)
        self.assertEqual(self.post(path + '/keys', [{'text': 'stty size; tput cols 2>/dev/null; echo d""one'}, {'key': 'Enter'}]), (200, {'success': True}))
        lines = self.until_shown(follower, 'done')
        self.assertIn('12 50', lines.values())
        self.assertEqual(self.post(path + '/size', {'rows': 20, 'columns': 60})[0], 200)
        self.post(path + '/keys', [{'text': 'stty size; echo ag""ain\r'}])
        self.assertIn('20 60', self.until_shown(follower, 'again').values())

    def test_the_end_of_its_shell_is_an_event_and_the_terminal_is_gone(self):
        path = self.open_terminal()
        follower = self.watch(path)
        self.post(path + '/keys', [{'text': 'exit 7'}, {'key': 'Enter'}])
        self.assertEqual(follower.until('exit')[-1], ('exit', {'code': 7}))
        self.assertEqual(self.post(path + '/keys', [])[0], 404)

    def test_a_second_page_takes_the_terminal_over(self):
        path = self.open_terminal()
        first, second = self.watch(path), self.watch(path)
        self.assertEqual(first.until('taken')[-1][0], 'taken')
        self.post(path + '/keys', [{'text': 'echo sec""ond\r'}])
        self.until_shown(second, 'second')

    def test_control_keys_and_names_of_keys(self):
        path = self.open_terminal()
        follower = self.watch(path)
        self.post(path + '/keys', [{'text': 'echo r""eady; cat -v; echo b""ack\r'}])
        self.until_shown(follower, 'ready')
        self.post(path + '/keys', [{'text': 'v', 'ctrl': True}, {'key': 'ArrowUp'}, {'text': 'x', 'alt': True}, {'key': 'F1'}, {'key': 'Enter'}])
        self.until_shown(follower, '^[[A')
        self.post(path + '/keys', [{'text': 'd', 'ctrl': True}])
        self.until_shown(follower, 'back')

    def test_what_is_no_key_no_size_or_no_terminal_is_refused(self):
        path = self.open_terminal()
        for keys in ({}, [{}], [{'key': 'Nonsense'}], [1], [{'text': 1}], None):
            self.assertEqual(self.post(path + '/keys', keys)[0], 422, keys)
        for size in ({}, {'rows': 1, 'columns': 80}, {'rows': 10, 'columns': 100000}, {'rows': '10', 'columns': 80}, []):
            self.assertEqual(self.post(path + '/size', size)[0], 422, size)
            self.assertEqual(self.post('/api/console/terminals', size)[0], 422, size)
        for number in ('999999', 'x', '-1', '18446744073709551617'):
            self.assertEqual(self.post('/api/console/terminals/%s/keys' % number, [])[0], 404)

    def test_terminals_nobody_looks_at_make_room_for_new_ones(self):
        paths = [self.open_terminal() for _ in range(12)]
        self.assertEqual([self.post(path + '/keys', [])[0] for path in paths], [404] * 4 + [200] * 8)

    def test_a_terminal_that_is_closed_hangs_up_on_its_shell(self):
        path = self.open_terminal()
        follower = self.watch(path)
        self.post(path + '/keys', [{'text': 'echo p=$$=\r'}])
        pid = None
        while not pid:
            _, frame = next(iter(follower))
            pid = re.search(r'p=(\d+)=', ' '.join(run[0] for runs in frame['lines'].values() for run in runs))
        self.assertEqual(self.client.request('DELETE', path)[0], 200)
        gone = '! [ -e /proc/{0} ] || grep -q "^State:.Z" /proc/{0}/status'.format(pid.group(1))
        self.assertEqual(self.execute('until %s; do sleep 0.05; done' % gone, timeout=10)['exit_code'], 0)

    def test_files_are_listed_directories_first_with_type_size_and_mode(self):
        self.sh('mkdir b; printf 123 > a; chmod 640 a; ln -s b l; ln -s nowhere dead; mkfifo p')
        status, listing = self.get('/api/console/files', path=self.dir)
        self.assertEqual((status, listing['path'], listing['truncated']), (200, self.dir, False))
        self.assertEqual([(entry['name'], entry['type']) for entry in listing['entries']],
                         [('b', 'directory'), ('l', 'directory'), ('a', 'file'), ('dead', 'link'), ('p', 'other')])
        self.assertEqual((listing['entries'][2]['size'], listing['entries'][2]['mode']), (3, '0640'))
        self.assertEqual(self.get('/api/console/files', path=self.dir + '/nothing')[0], 404)
        self.assertEqual(self.get('/api/console/files', path=self.dir + '/a')[0], 400)

    def test_processes_have_a_command_an_owner_and_what_they_use(self):
        command = self.start('exec sleep 4321')
        deadline = time.monotonic() + 60
        while True:
            found = [one for one in self.get('/api/console/processes')[1]['processes'] if one['command'] == 'sleep 4321']
            asleep = [one for one in found if one['state'] == 'S']
            if asleep or time.monotonic() > deadline:
                break
        self.client.request('POST', '/api/bash/bash_commands/%s/stop' % command['id'])
        self.assertEqual(len(found), 1)
        self.assertEqual((found[0]['state'], found[0]['uid'] >= 0, found[0]['memory'] > 0, found[0]['cpu'] >= 0), ('S', True, True, True))
