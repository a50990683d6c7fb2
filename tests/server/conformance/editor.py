# SPDX-License-Identifier: GPL-2.0-or-later
"""The `edit` action, and `read` with impl_source oh_aci."""
import difflib
import json
import unittest

from client import URL, Case, Client, Server

REVIEW = 'Review the changes and make sure they are as expected. Edit the file again if necessary.'
REVIEW_INSERT = ('Review the changes and make sure they are as expected (correct indentation, no duplicate lines, etc). '
                 'Edit the file again if necessary.')
CLIPPED = ('<response clipped><NOTE>Due to the max output limit, only part of this file has been shown to you. You should '
           'retry this tool after you have searched inside the file with `grep -n` in order to find the line numbers of '
           'what you are looking for.</NOTE>')
DIRECTORY_CLIPPED = ('<response clipped><NOTE>Due to the max output limit, only part of this directory has been shown to '
                     'you. You should use `ls -la` instead to view large directories incrementally.</NOTE>')


def listing(text, what, first=1):
    lines = ''.join('%6d\t%s\n' % (first + i, line) for i, line in enumerate(text.split('\n')))
    return "Here's the result of running `cat -n` on %s:\n%s" % (what, lines)


def unified(old, new, path):
    return '\n'.join(line.rstrip() for line in difflib.unified_diff(
        old.split('\n'), new.split('\n'), fromfile=path, tofile=path, n=0))


class Editor(Case):
    def setUp(self):
        super().setUp()
        self.path = self.dir + '/f'

    def edit(self, command, path=None, **args):
        answer = self.client.action('edit', command=command, path=path or self.path, **args)
        self.assertEqual(answer['observation'], 'edit', answer)
        return answer

    def text(self, command, path=None, **args):
        return self.edit(command, path, **args)['content']

    def view(self, path=None, **args):
        answer = self.client.action('read', path=path or self.path, impl_source='oh_aci', **args)
        self.assertEqual(answer['observation'], 'read', answer)
        self.assertEqual(answer['extras'], {'path': path or self.path, 'impl_source': 'oh_aci'})
        return answer['content']

    def make(self, text):
        self.run_ok('rm -f f')
        self.assertEqual(self.text('create', file_text=text), 'File created successfully at: ' + self.path)

    def stored(self, name='f'):
        return bytes.fromhex(self.content("od -An -v -tx1 %s | tr -d ' \\n'" % name))

    def test_an_observation_has_every_member(self):
        self.make('a\nb\n')
        answer = self.edit('str_replace', old_str='b', new_str='c')
        self.assertEqual(answer['message'], 'I edited the file %s.' % self.path)
        self.assertEqual(answer['extras'], {
            'path': self.path, 'prev_exist': False, 'old_content': 'b', 'new_content': 'c', 'impl_source': 'oh_aci',
            'diff': '--- {0}\n+++ {0}\n@@ -2 +2 @@\n-b\n+c'.format(self.path), '_diff_cache': None})

    # create

    def test_create_writes_verbatim_and_its_diff_is_everything(self):
        for text in ('', 'x', 'a\nb\n', 'tab\there\r\n', 'nul\0 \u2603\n'):
            self.run_ok('rm -f f')
            answer = self.edit('create', file_text=text)
            self.assertEqual(answer['content'], 'File created successfully at: ' + self.path)
            self.assertEqual(answer['extras']['diff'], unified('', text, self.path))
            self.assertEqual(self.stored(), text.encode())

    def test_create_needs_its_text_a_new_path_and_a_parent(self):
        self.assertEqual(self.text('create'), 'ERROR:\nParameter `file_text` is required for command: create.')
        self.make('x')
        self.assertEqual(self.text('create', file_text='y'),
                         'ERROR:\nInvalid `path` parameter: {0}. File already exists at: {0}. Cannot overwrite files using '
                         'command `create`.'.format(self.path))
        gone = self.dir + '/no/such/f'
        self.assertEqual(self.text('create', gone, file_text='y'),
                         "ERROR:\nRan into [Errno 2] No such file or directory: '{0}' while trying to write to {0}".format(gone))

    # str_replace

    def test_str_replace_shows_a_snippet(self):
        lines = ['line %d' % i for i in range(1, 21)]
        self.make('\n'.join(lines) + '\n')
        answer = self.edit('str_replace', old_str='line 10', new_str='ten\nten and a half')
        after = lines[:9] + ['ten', 'ten and a half'] + lines[10:]
        self.assertEqual(answer['content'],
                         'The file %s has been edited. ' % self.path +
                         listing('\n'.join(after[6:15]) + '\n', 'a snippet of ' + self.path, 7) + REVIEW)
        self.assertEqual(self.stored().decode(), '\n'.join(after) + '\n')

    def test_str_replace_at_both_ends_of_a_file_without_a_last_newline(self):
        self.make('Line 1\nLine 2\nLine 3')
        self.assertEqual(self.text('str_replace', old_str='Line 1', new_str='L1'),
                         'The file %s has been edited. ' % self.path +
                         listing('L1\nLine 2\nLine 3', 'a snippet of ' + self.path) + REVIEW)
        self.text('str_replace', old_str='Line 3')
        self.assertEqual(self.stored(), b'L1\nLine 2\n')

    def test_str_replace_must_change_something(self):
        self.make('a')
        self.assertEqual(self.text('str_replace', old_str='a', new_str='a'),
                         'ERROR:\nInvalid `new_str` parameter: a. No replacement was performed. `new_str` and `old_str` must be different.')
        self.assertEqual(self.text('str_replace', new_str='a'), 'ERROR:\nParameter `old_str` is required for command: str_replace.')

    def test_str_replace_without_a_match(self):
        self.make('a.c\n')
        self.assertEqual(self.text('str_replace', old_str='abc', new_str='x'),
                         'ERROR:\nNo replacement was performed, old_str `abc` did not appear verbatim in %s.' % self.path)
        self.assertEqual(self.stored(), b'a.c\n')

    def test_str_replace_tries_again_without_the_white_space_around(self):
        self.make('one\ntwo\nthree\n')
        self.text('str_replace', old_str=' \n two \n', new_str='  2  ')
        self.assertEqual(self.stored(), b'one\n2\nthree\n')

    def test_str_replace_with_several_matches_names_their_lines(self):
        self.make('x x\ny\nx\n')
        self.assertEqual(self.text('str_replace', old_str='x', new_str='z'),
                         'ERROR:\nNo replacement was performed. Multiple occurrences of old_str `x` in lines [1, 3]. Please ensure it is unique.')
        self.client.action('write', path=self.path, content='Line 1\nLine 2\nLine 3')
        self.assertEqual(self.text('str_replace', old_str='', new_str='z'),
                         'ERROR:\nNo replacement was performed. Multiple occurrences of old_str `` in lines [1, 2, 3, 4]. Please ensure it is unique.')

    def test_str_replace_of_text_over_several_lines(self):
        self.make('def f():\n    a = 1\n    return a\n')
        self.text('str_replace', old_str='    a = 1\n    return a\n', new_str='    return 1\n')
        self.assertEqual(self.stored(), b'def f():\n    return 1\n')

    # insert

    def test_insert_shows_a_snippet(self):
        lines = ['line %d' % i for i in range(1, 21)]
        self.make('\n'.join(lines) + '\n')
        answer = self.edit('insert', insert_line=10, new_str='new\nlines')
        after = lines[:10] + ['new', 'lines'] + lines[10:]
        self.assertEqual(answer['content'],
                         'The file %s has been edited. ' % self.path +
                         listing('\n'.join(after[6:16]) + '\n', 'a snippet of the edited file', 7) + REVIEW_INSERT)
        self.assertEqual(answer['extras']['diff'], unified('\n'.join(lines) + '\n', '\n'.join(after) + '\n', self.path))

    def test_insert_at_both_ends(self):
        self.make('b\n')
        self.text('insert', insert_line=0, new_str='a')
        self.text('insert', insert_line='2', new_str='c')
        self.assertEqual(self.stored(), b'a\nb\nc\n')

    def test_insert_after_a_last_line_without_newline_begins_a_new_line(self):
        self.make('a')
        self.text('insert', insert_line=1, new_str='b')
        self.assertEqual(self.stored(), b'a\nb\n')

    def test_insert_keeps_mode_and_names(self):
        self.make('a\n')
        self.run_ok('chmod 751 f; ln f g')
        self.text('insert', insert_line=0, new_str='b')
        self.assertEqual(self.content('stat -c %a f; cat g'), '751\nb\na')

    def test_insert_checks_its_arguments(self):
        self.make('a\nb\n')
        for args, error in (
                ({'new_str': 'x'}, 'Parameter `insert_line` is required for command: insert.'),
                ({'insert_line': 1}, 'Parameter `new_str` is required for command: insert.'),
                ({'insert_line': 'two', 'new_str': 'x'}, "Invalid insert_line value: 'two'. Expected an integer."),
                ({'insert_line': 3, 'new_str': 'x'},
                 'Invalid `insert_line` parameter: 3. It should be within the range of allowed values: [0, 2]'),
                ({'insert_line': -1, 'new_str': 'x'},
                 'Invalid `insert_line` parameter: -1. It should be within the range of allowed values: [0, 2]')):
            self.assertEqual(self.text('insert', **args), 'ERROR:\n' + error)
        self.assertEqual(self.stored(), b'a\nb\n')

    # undo_edit

    def test_undo_goes_back_one_edit_at_a_time(self):
        self.make('a\n')
        self.text('str_replace', old_str='a', new_str='b')
        self.text('insert', insert_line=1, new_str='c')
        answer = self.edit('undo_edit')
        self.assertEqual(answer['content'], 'Last edit to %s undone successfully. ' % self.path + listing('b\n', self.path))
        self.assertEqual(answer['extras']['diff'], unified('b\nc\n', 'b\n', self.path))
        self.text('undo_edit')
        self.assertEqual(self.stored(), b'a\n')
        self.text('undo_edit')  # create saved the new text
        self.assertEqual(self.stored(), b'a\n')
        self.assertEqual(self.text('undo_edit'), 'ERROR:\nNo edit history found for %s.' % self.path)

    def test_undo_remembers_ten_edits_of_a_file(self):
        self.make('0')
        for i in range(12):
            self.text('str_replace', old_str=str(i), new_str=str(i + 1))
        for _ in range(10):
            self.assertIn('undone successfully', self.text('undo_edit'))
        self.assertEqual(self.stored(), b'2')
        self.assertIn('No edit history found', self.text('undo_edit'))

    # paths

    def test_paths_are_checked(self):
        gone = self.dir + '/gone'
        for command in ('view', 'str_replace', 'insert', 'undo_edit', 'frobnicate'):
            self.assertEqual(self.text(command, gone),
                             'ERROR:\nInvalid `path` parameter: {0}. The path {0} does not exist. Please provide a valid path.'.format(gone))
        self.assertEqual(self.text('str_replace', self.dir + '/', old_str='a', new_str='b'),
                         'ERROR:\nInvalid `path` parameter: {0}. The path {0} is a directory and only the `view` command can be used '
                         'on directories.'.format(self.dir))
        self.make('x')
        self.assertEqual(self.text('frobnicate'),
                         'ERROR:\nUnrecognized command frobnicate. The allowed commands for the oh_editor tool are: view, create, '
                         'str_replace, insert, undo_edit')

    def test_relative_paths_are_refused_with_a_suggestion(self):
        self.assertEqual(self.text('view', 'no/such'),
                         'ERROR:\nInvalid `path` parameter: no/such. The path should be an absolute path, starting with `/`.')
        name = '../' * 12 + self.path[1:]
        self.make('x')
        answer = self.text('view', name)
        self.assertRegex(answer, r'starting with `/`\. Maybe you meant /.*%s\?$' % self.path)

    def test_documents_are_only_for_view_and_cannot_be_converted(self):
        self.run_ok("printf '%%PDF-1.4 text' > d.PDF")
        path = self.dir + '/d.PDF'
        self.assertEqual(self.text('str_replace', path, old_str='a', new_str='b'),
                         'ERROR:\nInvalid `path` parameter: {0}. The path {0} points to a binary file (.PDF) and only the `view` command '
                         'can be used on supported binary files.'.format(path))
        self.assertIn('Error in converting file to Markdown', self.text('view', path))

    def test_binary_and_large_files_are_refused(self):
        self.run_ok("printf 'a\\0b' > f; head -c 10485760 /dev/zero | tr '\\0' x > ok; truncate -s 11010048 large")
        self.assertEqual(self.text('view'), 'ERROR:\nFile validation failed for %s: File appears to be binary and this file type cannot '
                         'be read or edited by this tool.' % self.path)
        self.assertEqual(self.text('view', self.dir + '/large'),
                         'ERROR:\nFile validation failed for %s/large: File is too large (10.5MB). Maximum allowed size is 10MB.' % self.dir)
        self.assertIn('response clipped', self.text('view', self.dir + '/ok'))

    def test_errors_of_the_file_system_carry_their_text(self):
        if self.content('id -u') == '0':
            self.skipTest('nothing is refused to root')
        self.run_ok('echo a > f; chmod 000 f')
        self.assertEqual(self.text('view'), "ERROR:\nRan into [Errno 13] Permission denied: '{0}' while trying to read {0}".format(self.path))
        self.run_ok('mkdir ro; chmod 555 ro')
        self.assertIn("[Errno 13] Permission denied", self.text('create', self.dir + '/ro/x', file_text=''))
        self.run_ok('chmod 755 ro; mkfifo fifo')
        self.assertIn('ERROR:\nRan into ', self.text('view', self.dir + '/fifo'))

    # view

    def test_view_numbers_lines_with_one_more_for_the_last_newline(self):
        self.make('a\n\nc\n')
        self.assertEqual(self.text('view'), listing('a\n\nc\n', self.path))
        self.assertEqual(self.view(), listing('a\n\nc\n', self.path))
        self.make('')
        self.assertEqual(self.text('view'), listing('', self.path))

    def test_view_ranges(self):
        self.make('a\nb\nc\nd\n')
        self.assertEqual(self.view(view_range=[2, 3]), listing('b\nc', self.path, 2))
        self.assertEqual(self.view(view_range=[3, -1]), listing('c\nd', self.path, 3))
        self.assertEqual(self.view(view_range=[4, 9]),
                         "NOTE: We only show up to 4 since there're only 4 lines in this file.\n" + listing('d', self.path, 4))
        for given, hint in (
                ([0, 2], 'Its first element `0` should be within the range of lines of the file: [1, 4].'),
                ([5, 6], 'Its first element `5` should be within the range of lines of the file: [1, 4].'),
                ([3, 2], 'Its second element `2` should be greater than or equal to the first element `3`.'),
                ([1], 'It should be a list of two integers.'), ([1, 2, 3], 'It should be a list of two integers.')):
            self.assertEqual(self.view(view_range=given), 'ERROR:\nInvalid `view_range` parameter: %s. %s' % (given, hint))
        self.assertEqual(self.view(self.dir, view_range=[1, 2]),
                         'ERROR:\nInvalid `view_range` parameter: [1, 2]. The `view_range` parameter is not allowed when `path` points to a directory.')

    def test_view_is_clipped_at_16000_characters(self):
        self.make('é' * 16001)
        self.assertEqual(self.text('view'), listing('é' * 16000 + CLIPPED, self.path))
        self.run_ok('rm f')
        self.make('é' * 16000)
        self.assertEqual(self.text('view'), listing('é' * 16000, self.path))

    def test_view_of_a_directory(self):
        self.run_ok('mkdir -p d/e/deep .hidden d/.h2; touch a d/b d/e/deep/x .dot d/e/.dot; ln -s d link; ln -s gone broken')
        listed = [''] + ['/a', '/broken', '/d/', '/d/b', '/d/e/', '/link/', '/link/b', '/link/e/']
        expected = ("Here's the files and directories up to 2 levels deep in %s, excluding hidden items:\n" % self.dir +
                    '\n'.join([self.dir + '/'] + [self.dir + name for name in listed[1:]]) +
                    "\n\n2 hidden files/directories in this directory are excluded. You can use 'ls -la %s' to see them." % self.dir)
        self.assertEqual(self.text('view', self.dir), expected)
        self.assertEqual(self.view(self.dir + '/./'), expected)
        self.assertEqual(self.text('view', self.dir + '/d/e/deep'),
                         "Here's the files and directories up to 2 levels deep in {0}, excluding hidden items:\n{0}/\n{0}/x".format(self.dir + '/d/e/deep'))

    def test_view_of_a_large_directory_is_clipped(self):
        self.run_ok('mkdir l; cd l; for i in $(seq 100 999); do : > name-that-is-long-$i; done; cd ..')
        text = self.text('view', self.dir + '/l').split('\n', 1)[1]
        whole = '\n'.join(['%s/l' % self.dir] + ['%s/l/name-that-is-long-%d' % (self.dir, i) for i in range(100, 1000)])
        self.assertEqual(text.replace('/l/\n', '/l\n', 1), whole[:16000] + DIRECTORY_CLIPPED)

    # encodings

    def test_other_encodings_come_back_as_they_were(self):
        for bytes_, old, new, expected in (
                ('café\nx\n'.encode('latin-1'), 'x', 'é', 'café\né\n'.encode('latin-1')),
                ('\ufeffa\n\U0001d11e\n'.encode('utf-16-le'), 'a', '☃', '\ufeff☃\n\U0001d11e\n'.encode('utf-16-le')),
                ('\ufeffa\nb\n'.encode('utf-16-be'), 'b', 'c', '\ufeffa\nc\n'.encode('utf-16-be')),
                (b'one\r\ntwo\r\n', 'two', '2\n3', b'one\r\n2\r\n3\r\n'),
                ('\ufeffbom\n'.encode(), 'bom', 'x', '\ufeffx\n'.encode())):
            self.run_ok("printf '%s' > f" % ''.join('\\%03o' % b for b in bytes_))
            self.assertIn('has been edited', self.text('str_replace', old_str=old, new_str=new))
            self.assertEqual(self.stored(), expected)

    def test_a_character_the_encoding_lacks_changes_nothing(self):
        self.run_ok("printf 'caf\\351 x\\n' > f")
        self.assertIn("'latin-1' codec can't encode character", self.text('str_replace', old_str='x', new_str='☃'))
        self.assertEqual(self.stored(), 'café x\n'.encode('latin-1'))

    def test_edits_made_by_the_client_are_not_taken(self):
        answer = self.client.action('edit', path=self.path, command='view', impl_source='llm_based_edit')
        self.assertEqual(answer['observation'], 'error')

    def test_arguments_of_the_wrong_type_are_500(self):
        for args in ({'path': 3}, {'command': []}, {'file_text': 3, 'command': 'create'}, {'old_str': {}, 'command': 'str_replace'}):
            body = {'action': {'action': 'edit', 'args': {'path': self.path, **args}}}
            self.assertEqual(self.client.request('POST', '/execute_action', json.dumps(body))[0], 500)


@unittest.skipIf(URL, 'needs a server of its own')
class FullDisk(unittest.TestCase):
    """A working directory of 64 KiB."""

    def setUp(self):
        mount = 'mount -t tmpfs -o size=64k,mode=777 none /mnt && cd /mnt && exec "$0" "$@"'
        self.server = Server(wrapper=['unshare', '--user', '--map-current-user', '--mount', '--keep-caps', 'sh', '-c', mount])
        self.addCleanup(self.server.stop)
        self.client = Client(self.server)
        self.client.run('cd /mnt; echo old > one; chmod 640 one; echo old > two; ln two three; head -c 40000 /dev/zero > fill')

    def check(self):
        answer = self.client.run('cat one two three; stat -c %a one; ls -A | cat')
        self.assertEqual(answer['content'], 'old\nold\nold\n640\nfill\none\nthree\ntwo')

    def test_write_leaves_the_old_file(self):
        for name in ('one', 'two'):
            answer = self.client.action('write', path='/mnt/' + name, content='x' * 50000)
            self.assertEqual(answer['content'], 'File could not be written: /mnt/%s: No space left on device' % name)
            self.check()

    def test_edit_leaves_the_old_file(self):
        for name in ('one', 'two'):
            answer = self.client.action('edit', command='insert', path='/mnt/' + name, insert_line=1, new_str='x' * 50000)
            self.assertIn('[Errno 28] No space left on device', answer['content'])
            self.check()
