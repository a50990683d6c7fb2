# SPDX-License-Identifier: GPL-2.0-or-later
"""The workspace API: what changed in a repository (spec: openhands 10.2), also in one that was made to confuse."""
import json
import time

from client import missing
from workspace import WorkspaceCase

GIT = 'git -c user.name=t -c user.email=t@t -c init.defaultBranch=main -c protocol.file.allow=always -c commit.gpgsign=false '


class GitCase(WorkspaceCase):
    def setUp(self):
        super().setUp()
        if self.execute('git --version')['exit_code'] != 0:
            missing(self, 'there is no git')

    def sh(self, script):
        """Runs in the test's directory; `g` is git with an identity."""
        result = self.execute('g() { %s "$@"; }; set -e; %s' % (GIT, script), cwd=self.dir)
        self.assertEqual(result['exit_code'], 0, result)
        return (result['stdout'] or '').strip()

    def repository(self, script=''):
        self.sh('g init -q .; printf "1\\n" > kept; printf "1\\n" > gone; g add .; g commit -q -m one; ' + script)

    def changes(self, path='', **query):
        status, answer = self.get('/api/git/changes', path=self.dir + path, **query)
        self.assertEqual(status, 200, answer)
        return [(item['status'], item['path']) for item in answer]

    def diff(self, path, **query):
        return self.get('/api/git/diff', path=self.dir + '/' + path, **query)


class Changes(GitCase):
    def test_added_updated_and_deleted_files_sorted_by_path(self):
        self.repository('echo 2 >> kept; rm gone; echo n > untracked; echo s > staged; g add staged')
        self.assertEqual(self.changes(), [('DELETED', 'gone'), ('UPDATED', 'kept'), ('ADDED', 'staged'), ('ADDED', 'untracked')])

    def test_a_renamed_file_is_a_deleted_and_an_added_one(self):
        self.repository('g mv kept moved')
        self.assertEqual(self.changes(), [('DELETED', 'kept'), ('ADDED', 'moved')])

    def test_ignored_files_are_left_out(self):
        self.repository('echo "*.o" > .gitignore; touch x.o')
        self.assertEqual(self.changes(), [('ADDED', '.gitignore')])

    def test_a_repository_without_commits_shows_everything_as_added(self):
        self.sh('g init -q .; touch a; touch b; g add a')
        self.assertEqual(self.changes(), [('ADDED', 'a'), ('ADDED', 'b')])

    def test_what_is_no_repository_has_no_changes(self):
        self.assertEqual(self.changes(), [])
        self.assertEqual(self.changes('/nothing'), [])

    def test_names_of_any_bytes_come_whole(self):
        self.repository()
        self.sh("""printf x > "$(printf 'new\\nline')"; printf x > ' blanks  in '; printf x > 'quote"\\'; printf x > ü;
            printf x > "$(printf 'tab\\there')"; printf x > "$(printf 'bad\\377')"; printf x > -f""")
        self.assertEqual(sorted(path for _, path in self.changes()),
                         sorted(['new\nline', ' blanks  in ', 'quote"\\', 'ü', 'tab\there', 'bad\ufffd', '-f']))

    def test_a_directory_in_a_repository_shows_its_own_part_with_paths_below_it(self):
        self.repository('mkdir -p sub; echo 1 > sub/a; g add .; g commit -q -m two; echo 2 > sub/a; echo 2 > sub/b; echo 2 > kept')
        self.assertEqual(self.changes('/sub'), [('UPDATED', 'a'), ('ADDED', 'b')])

    def test_repositories_directly_below_are_included_with_their_names(self):
        self.repository('g init -q inner; echo 1 > inner/a; echo x > inner-not')
        self.assertEqual(self.changes(), [('ADDED', 'inner-not'), ('ADDED', 'inner/a')])

    def test_a_directory_that_only_holds_repositories_shows_theirs(self):
        self.sh('g init -q one; echo 1 > one/a; g init -q two; echo 1 > two/b')
        self.assertEqual(self.changes(), [('ADDED', 'one/a'), ('ADDED', 'two/b')])

    def test_a_submodule_is_looked_into(self):
        self.repository('cd ..; d=$(mktemp -d /tmp/azm-test.XXXXXX); (cd "$d"; g init -q .; echo 1 > f; g add .; g commit -q -m s);'
                        'cd %s; g submodule --quiet add "$d" module; g commit -q -m module; echo 2 > module/f; rm -rf "$d"' % self.dir)
        self.assertEqual(self.changes(), [('UPDATED', 'module/f')])

    def test_a_broken_nested_repository_hides_no_other(self):
        self.repository('mkdir -p broken; echo "gitdir: /nonexistent" > broken/.git; g init -q good; echo 1 > good/a')
        self.assertEqual(self.changes(), [('ADDED', 'good/a')])

    def test_a_branch_is_compared_with_where_it_left_the_default_branch(self):
        self.sh('g init -q up; cd up; echo 1 > a; g add .; g commit -q -m 1; cd ..; g clone -q up work; cd work; g checkout -q -b topic;'
                'echo 2 > b; g add .; g commit -q -m 2; g push -q origin topic; cd ../up; echo 3 > c; g add .; g commit -q -m 3;'
                'cd ../work; g fetch -q')
        self.assertEqual(self.changes('/work'), [('ADDED', 'b')], 'pushed work stays visible')
        self.sh('cd work; echo 2 >> a')
        self.assertEqual(self.changes('/work'), [('UPDATED', 'a')], 'new edits are shown against the upstream')

    def test_without_a_remote_a_branch_is_compared_with_the_local_main(self):
        self.repository('g checkout -q -b topic; echo 2 > b; g add .; g commit -q -m 2')
        self.assertEqual(self.changes(), [('ADDED', 'b')])

    def test_ref_names_what_to_compare_with(self):
        self.repository('echo 2 > kept; g commit -q -a -m two')
        self.assertEqual(self.changes(ref='HEAD'), [])
        self.assertEqual(self.changes(ref='HEAD~1'), [('UPDATED', 'kept')])

    def test_a_ref_that_is_none_or_an_option_is_400(self):
        self.repository()
        for ref in ('nothing', '--output=%s/owned' % self.dir, '-h', 'a b'):
            status, answer = self.get('/api/git/changes', path=self.dir, ref=ref)
            self.assertEqual(status, 400, ref)
            self.assertIn('detail', answer)
        self.assertEqual(self.execute('test -e owned', cwd=self.dir)['exit_code'], 1)

    def test_a_relative_or_missing_path_is_refused(self):
        self.assertEqual(self.get('/api/git/changes', path='a/b')[0], 400)
        self.assertEqual(self.get('/api/git/changes')[0], 422)

    def test_a_repository_of_another_owner_is_no_stranger(self):
        self.repository('echo 2 > kept')
        if self.execute('chown -R 1:1 .git .', cwd=self.dir)['exit_code'] != 0:
            self.skipTest('owners cannot be changed here')
        self.assertEqual(self.changes(), [('UPDATED', 'kept')])

    def test_programs_the_configuration_names_cannot_hang_the_answer_or_change_it(self):
        self.repository('echo "* diff=x" > .gitattributes; g add .; g commit -q -m x; echo 2 > kept; l=$(mktemp /tmp/azm-liar.XXXXXX);'
                        "printf '#!/bin/sh\\necho lies; sleep 100\\n' > $l; chmod +x $l; g config diff.external $l; g config core.pager $l;"
                        'g config diff.x.textconv $l; g config color.ui always; g config diff.noprefix true; g config status.renames copies;'
                        'g config core.quotePath true; g config core.hooksPath /tmp; g config core.fsmonitor $l')
        began = time.monotonic()
        self.assertEqual(self.changes(), [('UPDATED', 'kept')])
        self.assertEqual(self.diff('kept'), (200, {'original': '1', 'modified': '2'}))
        self.assertLess(time.monotonic() - began, 20)
        self.sh('rm -f /tmp/azm-liar.*')

    def test_a_broken_repository_is_an_answer_not_a_crash(self):
        self.repository('printf garbage > .git/index; echo 2 > kept')
        status, answer = self.get('/api/git/changes', path=self.dir)
        self.assertEqual(status, 400, answer)
        self.assertIn('index', answer['detail'])
        self.sh('rm -rf .git; mkdir .git')
        self.assertEqual(self.changes(), [])

    def test_ten_thousand_files_are_listed(self):
        self.sh('g init -q .; i=0; while [ $i -lt 100 ]; do mkdir d$i; (cd d$i; seq 1 100 | while read -r n; do : > f$n; done);'
                'i=$((i+1)); done')
        self.assertEqual(len(self.changes()), 10000)


class Diff(GitCase):
    def test_both_sides_of_a_changed_file_without_the_last_newline(self):
        self.repository("printf 'one\\r\\ntwo\\n\\n' > kept")
        self.assertEqual(self.diff('kept'), (200, {'original': '1', 'modified': 'one\ntwo\n'}))

    def test_a_new_file_has_an_empty_original_and_a_deleted_one_is_empty_now(self):
        self.repository('echo n > new; rm gone')
        self.assertEqual(self.diff('new'), (200, {'original': '', 'modified': 'n'}))
        self.assertEqual(self.diff('gone'), (200, {'original': '1', 'modified': ''}))

    def test_a_file_in_a_directory_and_with_an_odd_name(self):
        self.repository("mkdir -p 'a b/:(top)'; echo 1 > 'a b/:(top)/c'; g add .; g commit -q -m two; echo 2 > 'a b/:(top)/c'")
        self.assertEqual(self.diff('a b/:(top)/c'), (200, {'original': '1', 'modified': '2'}))

    def test_outside_of_a_repository_both_sides_are_null(self):
        self.sh('echo 1 > file')
        self.assertEqual(self.diff('file'), (200, {'original': None, 'modified': None}))

    def test_what_exists_nowhere_is_400(self):
        self.repository()
        for path in ('nothing', 'nothing/below', 'kept/below'):
            status, answer = self.diff(path)
            self.assertEqual(status, 400, answer)
        self.assertIn('File does not exist', self.diff('nothing')[1]['detail'])

    def test_a_directory_a_fifo_and_a_file_that_is_too_large_are_400(self):
        self.repository('mkdir d; mkfifo p; head -c 1048577 /dev/zero > large')
        for path in ('d', 'p', 'large'):
            self.assertEqual(self.diff(path)[0], 400, path)
        self.assertIn('too large', self.diff('large')[1]['detail'])

    def test_a_file_that_is_no_text_is_empty_on_that_side(self):
        self.repository("printf '\\377\\376' > kept")
        self.assertEqual(self.diff('kept'), (200, {'original': '1', 'modified': ''}))

    def test_a_repository_without_commits_has_empty_originals(self):
        self.sh('g init -q .; echo 1 > a')
        self.assertEqual(self.diff('a'), (200, {'original': '', 'modified': '1'}))

    def test_ref_names_what_to_compare_with(self):
        self.repository('echo 2 > kept; g commit -q -a -m two; echo 3 > kept')
        self.assertEqual(self.diff('kept', ref='HEAD'), (200, {'original': '2', 'modified': '3'}))
        self.assertEqual(self.diff('kept', ref='HEAD~1'), (200, {'original': '1', 'modified': '3'}))
        self.assertEqual(self.diff('kept', ref='--help')[0], 400)


class WithoutGit(WorkspaceCase):
    def test_without_git_a_repository_is_400_with_the_reason_and_the_rest_has_no_changes(self):
        if self.execute('git --version')['exit_code'] == 0:
            self.skipTest('there is a git')
        self.assertEqual(self.get('/api/git/changes', path=self.dir), (200, []))
        self.execute('mkdir .git', cwd=self.dir)
        status, answer = self.get('/api/git/changes', path=self.dir)
        self.assertEqual(status, 400)
        self.assertIn('git is not installed', json.dumps(answer))
