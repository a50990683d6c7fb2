// SPDX-License-Identifier: GPL-2.0-or-later
/* git_config.h: what a git configuration file says, as far as it matters to whoever runs git next. */
#pragma once

/* One "key = value"; section and key in lower case, subsection and value as written ("" for none). */
struct git_setting {
	const char *section, *subsection, *key, *value;
};

/**
 * git_config_each() - call @visit for every setting of a configuration file
 *
 * A line that is not understood in full (a continued value, a section header of another form) is passed as a setting
 * with an empty key, the line as its value: for who looks for danger it is one.
 */
void git_config_each(const char *text, void (*visit)(const struct git_setting *setting, void *context), void *context);

/**
 * git_config_risk() - the settings by which git can be made to run a program or to leave the repository
 * @depth:	how many directories above the git directory are still the project's: core.worktree may climb so far
 * @first:	set to the name of the first one found (allocated), or NULL
 *
 * Everything is a risk but the settings that git itself writes, and common ones without commands: see the table.
 *
 * Return: all of them in ASCII (allocated), equal for two files that differ in harmless settings only; NULL: none. Not
 * a hash, for which whoever writes the file could find a match.
 */
char *git_config_risk(const char *text, unsigned depth, char **first);
