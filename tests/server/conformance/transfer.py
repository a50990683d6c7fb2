# SPDX-License-Identifier: GPL-2.0-or-later
"""/upload_file and /download_files."""
import http.client
import io
import json
import os
import socket
import stat
import time
import unittest
import urllib.parse
import zipfile

from client import URL, Case, Client, Server

BOUNDARY = 'a-boundary-of-our-own'


def multipart(data, filename='f', name='file', boundary=BOUNDARY):
    head = '--%s\r\nContent-Disposition: form-data; name="%s"; filename="%s"\r\nContent-Type: application/octet-stream\r\n\r\n'
    return (head % (boundary, name, filename)).encode() + data + ('\r\n--%s--\r\n' % boundary).encode()


def archive(members, compression=zipfile.ZIP_STORED):
    out = io.BytesIO()
    with zipfile.ZipFile(out, 'w', compression) as file:
        for name, data in members:
            file.writestr(name, data)
    return out.getvalue()


class Transfers(Case):
    def raw(self, method, path, body=None, headers=None):
        connection = http.client.HTTPConnection(self.server.host, self.server.port, timeout=60)
        try:
            connection.request(method, path, body, {**({'X-Session-API-Key': self.server.key} if self.server.key else {}), **(headers or {})})
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def upload(self, data, filename='f', body=None, content_type='multipart/form-data; boundary=' + BOUNDARY, **query):
        query.setdefault('destination', self.dir)
        status, _, answer = self.raw('POST', '/upload_file?' + urllib.parse.urlencode(query),
                                     body if body is not None else multipart(data, filename), {'Content-Type': content_type})
        return status, json.loads(answer)

    def download(self, path):
        status, headers, body = self.raw('GET', '/download_files?' + urllib.parse.urlencode({'path': path}))
        self.assertEqual((status, headers['Content-Type']), (200, 'application/zip'), body)
        return headers, zipfile.ZipFile(io.BytesIO(body))

    def bytes_of(self, name):
        return bytes.fromhex(self.content("od -An -v -tx1 '%s' | tr -d ' \\n'" % name))

    # uploads

    def test_a_file_is_stored_under_its_name(self):
        self.assertEqual(self.upload(b'hello', 'a b.txt', destination=self.dir + '/new/dir'),
                         (200, {'filename': 'a b.txt', 'destination': self.dir + '/new/dir', 'recursive': False}))
        self.assertEqual(self.content("cat 'new/dir/a b.txt'"), 'hello')

    def test_any_bytes_arrive_unharmed(self):
        for data in (b'', b'\r\n', b'\r\n--', ('\r\n--' + BOUNDARY[:-1]).encode() * 3, b'\r' * 5000 + b'\n',
                     bytes(range(256)) * 20, b'--' + BOUNDARY.encode() + b'--\r\n', os.urandom(10000)):
            self.assertEqual(self.upload(data)[0], 200)
            self.assertEqual(self.bytes_of('f'), data)

    def test_a_body_may_arrive_in_any_pieces(self):
        data = ('\r\n--' + BOUNDARY[:-2] + '\r').encode() * 5
        body = b'preamble\r\n' + multipart(data) + b'epilogue'
        connection = http.client.HTTPConnection(self.server.host, self.server.port, timeout=60)
        connection.putrequest('POST', '/upload_file?destination=' + self.dir)
        for name, value in (('X-Session-API-Key', self.server.key or ''), ('Transfer-Encoding', 'chunked'),
                            ('Content-Type', 'Multipart/Form-Data; charset=x; boundary="%s"' % BOUNDARY)):
            connection.putheader(name, value)
        connection.endheaders()
        connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for i in range(len(body)):
            connection.send(b'1\r\n' + body[i:i + 1] + b'\r\n')
        connection.send(b'0\r\n\r\n')
        self.assertEqual(connection.getresponse().status, 200)
        connection.close()
        self.assertEqual(self.bytes_of('f'), data)

    def test_other_parts_are_passed_over(self):
        part = '--%s\r\nContent-Disposition: form-data; name="other"\r\n\r\nvalue\r\n' % BOUNDARY
        self.assertEqual(self.upload(None, body=part.encode() + multipart(b'mine'))[0], 200)
        self.assertEqual(self.content('cat f'), 'mine')

    def test_names_that_are_not_ascii(self):
        body = multipart(b'x').replace(b'filename="f"', b"filename*=utf-8''caf%C3%A9%20%E2%98%83")
        self.assertEqual(self.upload(None, body=body)[1]['filename'], 'café ☃')
        self.upload(b'x', 'ü')
        self.assertEqual(self.content("printf '%s\\n' *"), 'café ☃\nü')

    def test_the_default_destination_is_the_root(self):
        status, answer = self.upload(b'', 'azm-test-nothing/..', destination='/')
        self.assertEqual(status, 500)
        status, answer = self.raw('POST', '/upload_file', multipart(b'', 'x/y'), {'Content-Type': 'multipart/form-data; boundary=' + BOUNDARY})[::2]
        self.assertEqual(json.loads(answer), {'detail': '400: The name of the file must be a plain name'})

    def test_an_existing_file_is_replaced_and_keeps_mode_and_names(self):
        self.run_ok('echo old > f; chmod 751 f; ln f g')
        self.assertEqual(self.upload(b'new')[0], 200)
        self.assertEqual(self.content('cat f g; stat -c %a f'), 'newnew751')

    def test_a_link_is_replaced_not_followed(self):
        self.run_ok('mkdir out; echo kept > out/kept; ln -s out/kept f; mkfifo fifo; mkdir d')
        self.assertEqual(self.upload(b'new')[0], 200)
        self.assertEqual(self.content('cat out/kept f; [ -L f ] || echo " file"'), 'kept\nnew file')
        for name in ('fifo', 'd'):
            self.assertEqual(self.upload(b'new', name)[0], 500)

    def test_names_cannot_leave_the_destination(self):
        for name in ('../f', '/tmp/f', 'a/b', '..', '.', '', 'x' * 300):
            self.assertEqual(self.upload(b'x', name), (500, {'detail': '400: The name of the file must be a plain name'}), name)
        self.assertEqual(self.content('ls -A'), '')

    def test_what_is_refused_is_said(self):
        self.assertEqual(self.upload(b'', destination='relative'), (500, {'detail': '400: Destination must be an absolute path'}))
        self.assertEqual(self.upload(b'', recursive='true'), (500, {'detail': '400: Recursive uploads must be zip files'}))
        self.assertEqual(self.upload(b'', destination='/proc/no')[0], 500)
        for query, body, kind in (({'recursive': 'maybe'}, None, None), ({}, b'', None), ({}, b'--' + BOUNDARY.encode() + b'--', None),
                                  ({}, multipart(b'x', name='wrong'), None), ({}, multipart(b'x')[:-10], None),
                                  ({}, b'{}', 'application/json'), ({}, b'x', 'multipart/form-data')):
            status, answer = self.upload(b'', body=body, content_type=kind or 'multipart/form-data; boundary=' + BOUNDARY, **query)
            self.assertEqual((status, answer['detail']), (422, 'Invalid request parameters'), (query, body))
        self.assertEqual(self.content('ls -A'), '')

    def test_headers_of_a_part_are_limited(self):
        body = multipart(b'x').replace(b'Content-Type', b'X-Fill: ' + b'a' * 20000 + b'\r\nContent-Type')
        self.assertEqual(self.upload(None, body=body)[0], 422)

    # archives

    def test_a_directory_arrives_as_an_archive(self):
        data = archive([('top/a', b'1'), ('top/sub/b', b'2' * 100000), ('top/empty/', b''), ('top/☃', b'3')], zipfile.ZIP_DEFLATED)
        for recursive in ('true', '1', 'yes', 'on', 'True'):
            self.assertEqual(self.upload(data, 'tmp123.zip', recursive=recursive),
                             (200, {'filename': 'tmp123.zip', 'destination': self.dir, 'recursive': True}))
        self.assertEqual(self.content('find . -type f | sort; ls -d top/empty; wc -c < top/sub/b'),
                         './top/a\n./top/sub/b\n./top/☃\ntop/empty\n100000')

    def test_a_single_zip_is_unpacked_too(self):
        self.assertEqual(self.upload(archive([('x', b'1')]), 'a.zip')[1]['recursive'], False)
        self.assertEqual(self.content('ls -A'), 'x')

    def test_other_compressions_of_the_format(self):
        for compression in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
            self.assertEqual(self.upload(archive([('x', b'12' * 9999)], compression), 'a.zip')[0], 200)
            self.assertEqual(self.content('wc -c < x; rm x'), '19998')

    def test_members_cannot_leave_the_destination(self):
        self.run_ok('mkdir -p in out; echo kept > out/kept; ln -s ../out in/link; ln -s ../out/kept in/file')
        link = zipfile.ZipInfo('planted')
        link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
        device = zipfile.ZipInfo('device')
        device.create_system, device.external_attr = 3, (stat.S_IFCHR | 0o666) << 16
        data = archive([('../out/up', b'x'), (self.dir + '/out/absolute', b'x'), ('a/../../out/mid', b'x'), ('..', b'x'),
                        (link, b'../out'), ('planted2/x', b'x'), (device, b'x'), ('file', b'x')])
        self.assertEqual(self.upload(data, 'a.zip', destination=self.dir + '/in')[0], 200)
        self.assertEqual(self.content('ls -A out | cat; cat out/kept; cat in/planted; stat -c %F in/planted in/device in/file'),
                         'kept\nkept\n../outregular file\nregular empty file\nregular file')
        status, answer = self.upload(archive([('link/x', b'x')]), 'a.zip', destination=self.dir + '/in')
        self.assertEqual(status, 500)
        self.assertIn('link/x: a link or a file is in the place of a directory', answer['detail'])
        status, _ = self.upload(archive([(link, b'../out'), ('planted/x', b'x')]), 'a.zip', destination=self.dir + '/in')
        self.assertEqual(status, 500)
        self.assertEqual(self.content('ls -A out | cat'), 'kept')

    def test_modes_of_members_are_not_restored(self):
        info = zipfile.ZipInfo('x')
        info.create_system, info.external_attr = 3, 0o104777 << 16
        self.upload(archive([(info, b'x')]), 'a.zip')
        self.assertEqual(self.content('stat -c %a x'), self.content(': > y; stat -c %a y'))

    def test_damaged_archives_are_refused(self):
        good = archive([('x', b'1' * 1000), ('y', b'2' * 1000)], zipfile.ZIP_DEFLATED)
        for data in (b'', b'no archive', good[:50], good[:-30], good.replace(b'PK\x01\x02', b'PKxx')):
            status, answer = self.upload(data, 'a.zip')
            self.assertEqual(status, 500, data[:20])
            self.assertTrue(answer['detail'].startswith('a.zip: '), answer)

    # downloads

    def test_a_directory_is_sent_as_an_archive(self):
        self.run_ok('mkdir -p d/sub/deep d/empty; printf 1 > d/a; printf 22 > d/sub/b; ln -s a d/link; ln -s sub d/dirlink; ln -s no d/broken; '
                    "mkfifo d/fifo; printf 3 > 'd/sub/deep/☃'; : > d/.hidden")
        headers, file = self.download(self.dir + '/d')
        self.assertEqual(headers['Content-Disposition'], 'attachment; filename="d.zip"')
        self.assertEqual(sorted(file.namelist()), ['.hidden', 'a', 'link', 'sub/b', 'sub/deep/☃'])
        self.assertEqual([file.read(name) for name in ('a', 'link', 'sub/b', 'sub/deep/☃')], [b'1', b'1', b'22', b'3'])
        self.assertEqual({info.compress_type for info in file.infolist()}, {zipfile.ZIP_STORED})

    def test_a_single_file_is_an_archive_of_one(self):
        self.run_ok('printf x > f')
        self.assertEqual(self.download(self.dir + '/f')[1].namelist(), ['f'])

    def test_an_empty_directory_is_an_empty_archive(self):
        self.assertEqual(self.download(self.dir)[1].namelist(), [])

    def test_names_of_archives_are_quoted(self):
        self.run_ok("mkdir 'a\"b ☃'")
        self.assertEqual(self.download(self.dir + '/a"b ☃')[0]['Content-Disposition'], "attachment; filename*=utf-8''a%22b%20%E2%98%83.zip")

    def test_paths_that_cannot_be_sent(self):
        self.assertEqual(self.client.request('GET', '/download_files?path=relative'), (500, {'detail': '400: Path must be an absolute path'}))
        self.assertEqual(self.client.request('GET', '/download_files?path=/no/such'), (500, {'detail': '404: File not found'}))
        self.assertEqual(self.client.request('GET', '/download_files')[0], 422)

    def test_what_was_downloaded_can_be_uploaded(self):
        self.run_ok('mkdir -p from/sub to; seq 100000 > from/sub/numbers; seq 10 > from/few')
        _, _, body = self.raw('GET', '/download_files?path=%s/from' % self.dir)
        self.assertEqual(self.upload(body, 'x.zip', destination=self.dir + '/to', recursive='true')[0], 200)
        self.run_ok('diff -r from to')

    def test_a_client_that_leaves_does_no_harm(self):
        self.run_ok('mkdir d; truncate -s 200M d/large')
        with socket.create_connection((self.server.host, self.server.port), 10) as raw:
            raw.sendall(b'GET /download_files?path=%s/d HTTP/1.1\r\nHost: x\r\nX-Session-API-Key: %s\r\n\r\n'
                        % (self.dir.encode(), (self.server.key or '').encode()))
            self.assertTrue(raw.recv(1000).startswith(b'HTTP/1.1 200'))
        body = multipart(b'x' * 100000)
        with socket.create_connection((self.server.host, self.server.port), 10) as raw:
            raw.sendall(b'POST /upload_file?destination=%s HTTP/1.1\r\nHost: x\r\nX-Session-API-Key: %s\r\nContent-Length: %d\r\n'
                        b'Content-Type: multipart/form-data; boundary=%s\r\n\r\n' %
                        (self.dir.encode(), (self.server.key or '').encode(), len(body), BOUNDARY.encode()) + body[:50000])
            deadline = time.monotonic() + 60
            while '.azm-' not in self.content('find . -size +40k') and time.monotonic() < deadline:
                time.sleep(0.02)
        deadline = time.monotonic() + 60
        while self.content('ls -A | cat') != 'd' and time.monotonic() < deadline:
            time.sleep(0.05)
        self.assertEqual(self.content('ls -A | cat'), 'd')


@unittest.skipIf(URL, 'needs a server of its own')
class FullDisk(unittest.TestCase):
    def test_an_upload_leaves_the_old_file(self):
        mount = 'mount -t tmpfs -o size=256k,mode=777 none /mnt && exec "$0" "$@"'
        server = Server(wrapper=['unshare', '--user', '--map-current-user', '--mount', '--keep-caps', 'sh', '-c', mount])
        self.addCleanup(server.stop)
        client = Client(server)
        client.run('cd /mnt; echo old > f')
        kind = {'Content-Type': 'multipart/form-data; boundary=' + BOUNDARY}
        for body in (multipart(b'x' * 400000), multipart(archive([('f', b'x' * 400000)], zipfile.ZIP_DEFLATED), 'a.zip')):
            status, answer = client.request('POST', '/upload_file?destination=/mnt', body, kind)
            self.assertEqual(status, 507)
            self.assertIn('No space left on device', answer['detail'])
            self.assertEqual(client.run('cat f; ls -A | cat')['content'], 'old\nf')
