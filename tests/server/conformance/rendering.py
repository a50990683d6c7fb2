# SPDX-License-Identifier: GPL-2.0-or-later
"""Terminal output as the text an agent reads."""
import json
import re

from client import metadata, Case


class Rendering(Case):
    def test_carriage_returns_cursor_moves_and_colours(self):
        self.assertEqual(self.content(r"printf 'abc\rX\n\033[31mred\033[0m\ntab\tx\nab\bc\n\007'"), 'Xbc\nred\ntab     x\nac')
        self.assertEqual(self.content(r"printf 'one\ntwo\033[1A\rONE\n'"), 'ONE\ntwo')

    def test_progress_bars_show_their_last_state(self):
        self.assertEqual(self.content(r"for i in $(seq 100); do printf '\rdone %d%%' $i; done; echo"), 'done 100%')

    def test_leading_blanks_go_and_inner_blank_lines_stay(self):
        self.assertEqual(self.content(r"printf '\n\n  lead\n\nmore   \n\n'"), 'lead\n\nmore')

    def test_long_lines_come_back_unwrapped(self):
        self.assertEqual(self.content("printf 'x%.0s' $(seq 2500); echo; echo y"), 'x' * 2500 + '\ny')
        self.assertEqual(self.content("printf 'x%.0s' $(seq 1000); echo; echo y"), 'x' * 1000 + '\ny')

    def test_unicode(self):
        for text in ('snow ☃ 日本語 é', 'e\u0301 combined', '𝄞 clef'):
            self.assertEqual(self.content("printf '%%s\\n' '%s'" % text), text)

    def test_bytes_that_are_no_text_do_no_harm(self):
        answer = self.run_ok('head -c 200000 /dev/urandom')
        json.dumps(answer)
        self.assertEqual(self.content('echo fine'), 'fine')
        self.run_ok(r"printf '\033]0;never ended'")
        self.assertEqual(self.content('echo fine'), 'fine')
        self.run_ok(r"printf '\033[?1049h\033(0'")
        self.assertEqual(self.content('echo fine'), 'fine')

    def test_terminal_queries_are_answered_and_their_answers_do_not_become_commands(self):
        self.assertIn('R', self.content(r"printf '\033[6n'; IFS= read -rs -d R -t 5 x; echo \"${x#?}R\""))
        self.run_ok(r"printf '\033[6n\033[c'")
        self.assertEqual(self.content('echo fine'), 'fine')

    def test_clear_leaves_what_came_after_it(self):
        answer = self.client.run(r"echo before; printf '\033[H\033[2J\033[3J'; echo after")
        self.assertEqual(answer['content'], 'after')
        self.assertEqual(metadata(answer)['prefix'],
                         '[Previous command outputs are truncated. Showing the last 1 lines of the output below.]\n')

    def test_the_newest_ten_thousand_lines_are_kept(self):
        answer = self.run_ok('for i in $(seq 1 50000); do echo "Line $i"; done', timeout=60.0)
        found = re.fullmatch(r'\[Previous command outputs are truncated. Showing the last (\d+) lines of the output below.\]\n', metadata(answer)['prefix'])
        self.assertTrue(10000 < int(found.group(1)) <= 11363, found.group(1))
        self.assertIn('Line 40000\n', answer['content'])
        self.assertTrue(answer['content'].endswith('Line 50000'))

    def test_content_is_limited_to_30000_characters(self):
        answer = self.run_ok("printf 'é%.0s' $(seq 40000)")
        self.assertEqual(answer['content'], 'é' * 15000 + '\n[... Observation truncated due to length ...]\n' + 'é' * 15000)
        answer = self.run_ok("printf 'é%.0s' $(seq 40000)", hidden=True)
        self.assertEqual(answer['content'], 'é' * 40000)
        self.assertIs(answer['extras']['hidden'], True)
        self.assertEqual(len(self.content("printf 'x%.0s' $(seq 30000)")), 30000)
