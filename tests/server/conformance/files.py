# SPDX-License-Identifier: GPL-2.0-or-later
"""The `read` and `write` actions and /list_files."""
import json

from client import Case


class Files(Case):
    def write(self, path, content, **args):
        return self.client.action('write', path=path, content=content, **args)

    def read(self, path, **args):
        return self.client.action('read', path=path, **args)

    def test_write_and_read_back(self):
        answer = self.write(self.dir + '/f', 'Line 1\nLine 2\nLine 3')
        self.assertEqual((answer['observation'], answer['content'], answer['extras']), ('write', '', {'path': self.dir + '/f'}))
        self.assertEqual(self.content("od -An -c f | tr -d ' \\n'"), r'Line1\nLine2\nLine3\n')
        answer = self.read(self.dir + '/f')
        self.assertEqual((answer['observation'], answer['content']), ('read', 'Line 1\nLine 2\nLine 3\n'))
        self.assertEqual(answer['extras'], {'path': self.dir + '/f', 'impl_source': 'default'})

    def test_every_piece_gets_a_newline(self):
        for content, expected in (('', r'\n'), ('x', r'x\n'), ('a\n', r'a\n\n')):
            self.write(self.dir + '/g', content)
            self.assertEqual(self.content("od -An -c g | tr -d ' \\n'; rm g"), expected)

    def test_relative_paths_follow_the_shell(self):
        self.run_ok('mkdir sub && cd sub')
        self.assertEqual(self.write('rel', 'x')['extras']['path'], self.dir + '/sub/rel')
        self.assertEqual(self.read('rel')['content'], 'x\n')
        self.run_ok('cd ..')

    def test_parents_are_made_and_modes(self):
        self.write(self.dir + '/a/b/c/new', 'x')
        self.assertEqual(self.content('stat -c %a a/b/c/new'), '664')
        self.run_ok('chmod 751 a/b/c/new; ln -s a/b/c/new link')
        self.write(self.dir + '/link', 'y')
        self.assertEqual(self.content('stat -c %a a/b/c/new; cat a/b/c/new; readlink link'), '751\ny\na/b/c/new')

    def test_a_second_name_of_a_file_sees_the_new_text(self):
        self.run_ok('echo old > one; ln one two')
        self.write(self.dir + '/one', 'new')
        self.assertEqual(self.content('cat two'), 'new')

    def test_read_slices(self):
        self.run_ok("printf 'a\\nb\\nc\\nd\\ne\\n' > five")
        for start, end, expected in ((0, -1, 'abcde'), (1, 3, 'bc'), (0, 0, 'a'), (2, 2, 'c'), (4, 5, 'de'), (10, 20, 'de'), (4, -1, 'e'),
                                     (0, -5, 'a'), (10, -1, ''), (-3, 2, 'ab')):
            with self.subTest(start=start, end=end):
                self.assertEqual(self.read(self.dir + '/five', start=start, end=end)['content'], ''.join(c + '\n' for c in expected))

    def test_write_replaces_a_range(self):
        for start, end, expected in ((1, 3, 'aXde'), (0, 1, 'Xbcde'), (5, -1, 'abcdeX'), (-1, -1, 'abcdX'), (0, -1, 'X'), (2, 2, 'abXcde')):
            self.run_ok("printf 'a\\nb\\nc\\nd\\ne\\n' > five")
            self.write(self.dir + '/five', 'X', start=start, end=end)
            self.assertEqual(self.content("tr -d '\\n' < five"), expected)

    def test_read_errors(self):
        gone = self.dir + '/gone'
        self.assertEqual(self.read(gone)['content'], 'File not found: %s. Your current working directory is %s.' % (gone, self.dir))
        self.assertEqual(self.read(self.dir)['content'], 'Path is a directory: %s. You can only read files' % self.dir)
        self.run_ok("printf 'caf\\351 au lait, bien sur' > latin; mkfifo fifo; ln -s loop loop")
        self.assertEqual(self.read(self.dir + '/latin')['content'], 'File could not be decoded as utf-8: %s/latin.' % self.dir)
        for name in ('fifo', 'loop'):
            self.assertEqual(self.read(self.dir + '/' + name)['observation'], 'error')

    def test_write_errors(self):
        self.assertEqual(self.write(self.dir, 'x')['content'], 'Path is a directory: %s. You can only write to files' % self.dir)
        self.assertEqual(self.write('/proc/nothing/here', 'x')['observation'], 'error')
        self.run_ok("printf '\\377\\376x' > odd")
        self.assertEqual(self.write(self.dir + '/odd', 'x')['content'], 'File could not be decoded as utf-8: %s/odd' % self.dir)

    def test_binary_files_and_media(self):
        self.run_ok("printf '\\211PNG\\r\\n\\032\\n\\0\\0\\0\\rIHDR\\377' > p.png; printf 'plain' > t.PNG; head -c 3000 /dev/zero > z; printf x > m.pyc")
        for name in ('p.png', 'z', 'm.pyc'):
            answer = self.read(self.dir + '/' + name)
            self.assertEqual((answer['observation'], answer['content']), ('error', 'ERROR_BINARY_FILE'), name)
        self.assertEqual(self.read(self.dir + '/t.PNG')['content'], 'data:image/png;base64,cGxhaW4=')
        self.assertTrue(self.read('p.png')['content'].startswith('data:image/png;base64,iVBORw0K'))

    def test_nul_in_content_is_written(self):
        self.write(self.dir + '/n', 'a\0b')
        self.assertEqual(self.content("od -An -c n | tr -d ' \\n'"), r'a\0b\n')

    def test_list_files(self):
        self.run_ok('mkdir Dir .hid; touch b A .dot; ln -s gone broken; ln -s Dir ldir')
        self.assertEqual(self.client.request('POST', '/list_files', json.dumps({'path': self.dir})),
                         (200, ['.hid/', 'Dir/', 'ldir/', '.dot', 'A', 'b']))
        for path in ('/nonexistent', '/etc/passwd'):
            self.assertEqual(self.client.request('POST', '/list_files', json.dumps({'path': path})), (200, []))
        self.assertEqual(self.client.request('POST', '/list_files', '{}')[0], 200)
        self.assertEqual(self.client.request('POST', '/list_files', '[]')[0], 422)
