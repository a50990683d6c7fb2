// SPDX-License-Identifier: GPL-2.0-or-later
/* What git can be made to do by a configuration file: runtime/git_config.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "git_config.h"

static void expect(const char *text, unsigned depth, const char *risk)
{
	char *first = NULL;
	char *all = git_config_risk(text, depth, &first);

	if (risk && (!all || !first || strcmp(first, risk) != 0))
		fail_msg("expected %s, got %s in: %s", risk, first ? first : "nothing", text);
	if (!risk && (all || first))
		fail_msg("expected nothing, got %s in: %s", first ? first : all, text);
	free(first);
	free(all);
}

static void test_what_git_writes_is_harmless(void **state)
{
	(void)state;
	expect("", 0, NULL);
	expect("\n\n# comment\n; comment\n \t\n", 0, NULL);
	expect("[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = false\n\tlogallrefupdates = true\n"
	       "[remote \"origin\"]\n\turl = https://example.org/a.git\n\tfetch = +refs/heads/*:refs/remotes/origin/*\n"
	       "[branch \"main\"]\n\tremote = origin\n\tmerge = refs/heads/main\n",
		1, NULL);
	expect("[core] bare = true # with a comment\n[CORE]\r\n\tFileMode=true\r\n[user]name=x\n", 1, NULL);
	expect("[submodule \"lib/a\"]\n\tactive = true\n\turl = ../a\n\tupdate = rebase\n[advice]\n\tanything = "
	       "false\n",
		1, NULL);
	expect("[core]\n\tworktree = ../../../module\n", 3, NULL);
}

static void test_what_runs_programs_is_found(void **state)
{
	(void)state;
	expect("[core]\n\tfsmonitor = evil\n", 1, "core.fsmonitor");
	expect("[Core]\n\tSshCommand = evil\n", 1, "core.sshcommand");
	expect("[core]hooksPath=evil", 1, "core.hookspath");
	expect("[core] bare = true\n[core] pager = evil\n", 1, "core.pager");
	expect("[alias]\n\tst = !evil\n", 1, "alias.st");
	expect("[filter \"x\"]\n\tsmudge = evil\n", 1, "filter.x.smudge");
	expect("[include]\n\tpath = ../evil\n", 1, "include.path");
	expect("[includeIf \"gitdir:/\"]\n\tpath = ../evil\n", 1, "includeif.gitdir:/.path");
	expect("[remote \"o\"]\n\tuploadpack = evil\n", 1, "remote.o.uploadpack");
	expect("[remote \"o\"]\n\turl = ext::sh -c evil\n", 1, "remote.o.url");
	expect("[submodule \"s\"]\n\tupdate = !evil\n", 1, "submodule.s.update");
	expect("[submodule \"s\"]\n\tupdate = \"!evil\"\n", 1, "submodule.s.update");
	expect("[gc]\n\trecentObjectsHook = evil\n", 1, "gc.recentobjectshook");
	expect("[credential]\n\thelper = evil\n", 1, "credential.helper");
	expect("[diff \"x\"]\n\ttextconv = evil\n", 1, "diff.x.textconv");
}

static void test_what_leaves_the_project_is_found(void **state)
{
	(void)state;
	expect("[core]\n\tworktree = /home/user\n", 3, "core.worktree");
	expect("[core]\n\tworktree = ../../..\n", 2, "core.worktree");
	expect("[core]\n\tworktree = ../../../../x\n", 3, "core.worktree");
	expect("[core]\n\tworktree = ../a/../../../x\n", 3, "core.worktree");
	expect("[core]\n\tworktree = \"/home\"\n", 3, "core.worktree");
	expect("[core]\n\tworktree = ~/x\n", 3, "core.worktree");
}

static void test_what_is_not_understood_is_a_risk(void **state)
{
	static const char strange[] = "a line that is not understood";

	(void)state;
	expect("[core]\n\tbare = a\\\nfsmonitor = evil\n", 1, strange);
	expect("[core\n\tfsmonitor = evil\n", 1, strange);
	expect("[core.x]\n", 1, strange);
	expect("[core \"a\\\"]\\nfsmonitor\"]\n", 1, strange);
	expect("\xef\xbb\xbf[core]\n\tfsmonitor = evil\n", 1, strange);
	expect("[core]\n\tfs monitor = evil\n", 1, strange);
	expect("[core]\n\tbare = true\n\1\n", 1, strange);
	expect("]\n", 1, strange);
	expect("[", 1, strange);
}

static char *all_risks(const char *text)
{
	char *first = NULL;
	char *all = git_config_risk(text, 1, &first);

	free(first);
	return all;
}

/* The second line of the guard takes equal risks for an unchanged file. */
static void test_files_with_the_same_risks_are_equal_and_no_others(void **state)
{
	char *one = all_risks("[core]\n\tpager = less\n\tbare = false\n");
	char *two = all_risks("[user]\n\tname = x\n[core]\n\tbare = true\n\tpager = less\n");
	char *three = all_risks("[core]\n\tpager = evil\n");
	char *odd = all_risks("[core]\n\tpager = a\\0a\xc3\xa4\n");

	(void)state;
	assert_string_equal(one, "core\n\npager\nless\n");
	assert_string_equal(one, two);
	assert_string_equal(three, "core\n\npager\nevil\n");
	assert_string_equal(odd, "core\n\npager\na\\5c0a\\c3\\a4\n");
	free(one);
	free(two);
	free(three);
	free(odd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_git_writes_is_harmless),
		cmocka_unit_test(test_what_runs_programs_is_found),
		cmocka_unit_test(test_what_leaves_the_project_is_found),
		cmocka_unit_test(test_what_is_not_understood_is_a_risk),
		cmocka_unit_test(test_files_with_the_same_risks_are_equal_and_no_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
