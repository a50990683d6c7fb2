// SPDX-License-Identifier: GPL-2.0-or-later
/* git_config.c: see git_config.h. Source: git-config(1), "Syntax".
 *
 * The file may have been written by the sandbox. The reader is deliberately narrower than git's: whatever it does not
 * take for a plain setting is passed on as a strange line, never skipped.
 */
#include "git_config.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"
#include "base/str.h"

static void lower(char *text)
{
	for (; *text; text++)
		*text = (char)tolower((unsigned char)*text);
}

static char *skip_blanks(char *text)
{
	return text + strspn(text, " \t");
}

static void cut_blanks(char *text)
{
	size_t length = strlen(text);

	while (length > 0 && strchr(" \t\r", text[length - 1]))
		text[--length] = '\0';
}

/* "[section]" or "[section "sub"]". Return: what follows it, NULL if it is of another form. */
static char *take_header(char *at, struct git_setting *setting)
{
	char *name = at + 1;
	char *end = name + strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-");
	char *sub = skip_blanks(end);

	setting->subsection = "";
	if (*sub == '"') {
		char *close = strchr(sub + 1, '"');
		if (!close || memchr(sub, '\\', (size_t)(close - sub)) || close[1] != ']' || sub == end)
			return NULL;
		setting->subsection = sub + 1;
		*close = *end = '\0';
		at = close + 2;
	} else if (*end == ']') {
		*end = '\0';
		at = end + 1;
	} else {
		return NULL;
	}
	lower(name);
	setting->section = name;
	return at;
}

/* "key", "key = value". Return: whether it was one. */
static bool take_setting(char *at, struct git_setting *setting)
{
	char *end = at + strspn(at, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-");
	char *value = skip_blanks(end);

	if (end == at || (*value && *value != '='))
		return false;
	setting->value = "";
	if (*value == '=') {
		setting->value = skip_blanks(value + 1);
		if (setting->value[0] && setting->value[strlen(setting->value) - 1] == '\\')
			return false;
	}
	*end = '\0';
	lower(at);
	setting->key = at;
	return true;
}

void git_config_each(const char *text, void (*visit)(const struct git_setting *setting, void *context), void *context)
{
	cleanup_str_list struct str_list lines = { 0 };
	struct git_setting setting = { "", "", "", "" };

	str_list_split(&lines, text, '\n');
	for (size_t i = 0; i < lines.count; i++) {
		cleanup_free char *whole = xstrdup(lines.items[i]);
		char *at = skip_blanks(lines.items[i]);
		cut_blanks(at);
		char *rest = *at == '[' ? take_header(at, &setting) : at;
		rest = rest ? skip_blanks(rest) : NULL;
		if (rest && (!*rest || *rest == '#' || *rest == ';'))
			continue;
		if (!rest || !take_setting(rest, &setting)) {
			setting.key = "";
			setting.value = whole;
		}
		visit(&setting, context);
	}
}

/* Settings without commands and without paths. */
static const struct {
	const char *section;
	const char *keys; /* each between blanks; "*": all of them */
} harmless[] = {
	{ "core", " repositoryformatversion filemode bare logallrefupdates ignorecase precomposeunicode symlinks "
		  "autocrlf "
		  "eol safecrlf abbrev quotepath compression bigfilethreshold sharedrepository untrackedcache "
		  "preloadindex "
		  "splitindex commentchar longpaths sparsecheckout sparsecheckoutcone protecthfs protectntfs " },
	{ "remote", " url pushurl fetch push tagopt mirror prune prunetags promisor partialclonefilter "
		    "skipdefaultupdate skipfetchall " },
	{ "branch", " remote merge rebase pushremote description " },
	{ "submodule", " url active branch path ignore shallow fetchrecursesubmodules update recurse " },
	{ "extensions", " objectformat compatobjectformat refstorage partialclone preciousobjects relativeworktrees "
			"worktreeconfig noop " },
	{ "user", " name email useconfigonly " },
	{ "init", " defaultbranch " },
	{ "pull", " rebase ff " },
	{ "push", " default autosetupremote followtags " },
	{ "fetch", " prune prunetags parallel writecommitgraph fsckobjects " },
	{ "gc", " auto autodetach pruneexpire " },
	{ "merge", " ff conflictstyle renames " },
	{ "rebase", " autostash autosquash updaterefs " },
	{ "rerere", " enabled autoupdate " },
	{ "index", " version threads " },
	{ "status", " showuntrackedfiles short branch " },
	{ "feature", " manyfiles " },
	{ "lfs", " repositoryformatversion " },
	{ "color", "*" },
	{ "advice", "*" },
};

static bool is_listed(const struct git_setting *setting)
{
	cleanup_free char *key = xasprintf(" %s ", setting->key);

	for (size_t i = 0; i < sizeof harmless / sizeof *harmless; i++)
		if (strcmp(harmless[i].section, setting->section) == 0)
			return *harmless[i].keys == '*' || strstr(harmless[i].keys, key);
	return false;
}

/* "../../../name": not above the project. */
static bool stays_inside(const char *path, unsigned depth)
{
	unsigned up = 0;

	for (; str_starts(path, "../"); path += 3)
		up++;
	return up <= depth && *path != '/' && *path != '~' && *path != '"' && !strstr(path, "..");
}

static bool is_harmless(const struct git_setting *setting, unsigned depth)
{
	if (strcmp(setting->section, "core") == 0 && strcmp(setting->key, "worktree") == 0)
		return stays_inside(setting->value, depth);
	/* "!command" is what submodule.NAME.update takes, "helper::address" makes git run git-remote-helper. */
	return is_listed(setting) && setting->value[strspn(setting->value, "\" \t")] != '!' &&
	       !strstr(setting->value, "::");
}

struct risk {
	unsigned depth;
	FILE *all;
	char *first;
};

/* A line of its own, in ASCII. */
static void put_part(FILE *all, const char *text)
{
	for (; *text; text++) {
		if (*text >= ' ' && *text < 0x7f && *text != '\\')
			fputc(*text, all);
		else
			fprintf(all, "\\%02x", (unsigned char)*text);
	}
	fputc('\n', all);
}

static void weigh(const struct git_setting *setting, void *context)
{
	struct risk *risk = context;
	const char *parts[] = { setting->section, setting->subsection, setting->key, setting->value };

	if (is_harmless(setting, risk->depth))
		return;
	if (!risk->first)
		risk->first = *setting->key ? xasprintf("%s.%s%s%s", setting->section, setting->subsection,
						      *setting->subsection ? "." : "", setting->key)
					    : xstrdup("a line that is not understood");
	for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
		put_part(risk->all, parts[i]);
}

char *git_config_risk(const char *text, unsigned depth, char **first)
{
	char *all = NULL;
	size_t size;
	struct risk risk = { .depth = depth, .all = open_memstream(&all, &size) };

	if (!risk.all)
		abort();
	git_config_each(text, weigh, &risk);
	if (fclose(risk.all) != 0)
		abort();
	*first = risk.first;
	if (!risk.first)
		free(steal_ptr(&all));
	return all;
}
