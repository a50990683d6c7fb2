// SPDX-License-Identifier: GPL-2.0-or-later
/* guard_rules.c: see guard_rules.h
 *
 * What git keeps in .git has rules of its own (guard_git.c). A name is held only where an empty directory in its place
 * does no harm to the tools inside: yarn 2, for one, refuses to work when .yarnrc.yml is a directory.
 */
#include "guard_rules.h"

#include <stddef.h>
#include <string.h>

const struct guard_rule guard_rules[] = {
	{ ".gitmodules", GUARD_HOLD, "git: where submodules come from" },
	{ ".envrc", GUARD_HOLD, "direnv: a script that the shell runs" },
	{ ".vscode", GUARD_HOLD, "VS Code: tasks, settings that name programs" },
	{ ".idea", GUARD_HOLD, "JetBrains IDEs: run configurations" },
	{ ".devcontainer", GUARD_HOLD, "dev containers: commands run on the host" },
	{ ".devcontainer.json", GUARD_HOLD, "dev containers: commands run on the host" },
	{ ".zed", GUARD_COVER, "Zed: tasks, settings that name programs" },
	{ ".claude", GUARD_HOLD, "Claude Code: hooks, permissions" },
	{ ".codex", GUARD_HOLD, "Codex: settings, programs it starts" },
	{ ".cursor", GUARD_HOLD, "Cursor: programs it starts, rules" },
	{ ".gemini", GUARD_HOLD, "Gemini CLI: settings, programs it starts" },
	{ ".mcp.json", GUARD_HOLD, "agents: programs they start" },
	{ ".aider.conf.yml", GUARD_COVER, "aider: commands it runs" },
	{ ".continue", GUARD_COVER, "Continue: programs it starts" },
	{ ".windsurf", GUARD_COVER, "Windsurf: settings, rules" },
	{ "pyvenv.cfg", GUARD_HOLD, "Python: which interpreter a directory uses" },
	{ "pip.conf", GUARD_HOLD, "pip: where packages come from" },
	{ ".npmrc", GUARD_HOLD, "npm: where packages come from, programs it starts" },
	{ ".yarnrc", GUARD_HOLD, "yarn 1: which yarn is run" },
	{ ".yarnrc.yml", GUARD_COVER, "yarn: which yarn is run" },
	{ ".pnpmfile.cjs", GUARD_COVER, "pnpm: code it runs" },
	{ ".cargo", GUARD_HOLD, "cargo: programs it starts" },
	{ ".mvn", GUARD_COVER, "Maven: code it loads" },
	{ "bunfig.toml", GUARD_COVER, "bun: code it loads" },
	{ ".mise.toml", GUARD_COVER, "mise: commands it runs" },
	{ "mise.toml", GUARD_COVER, "mise: commands it runs" },
	{ ".gitattributes", GUARD_LIST, "git: filters for files" },
	{ ".husky", GUARD_LIST, "husky: git hooks" },
	{ ".githooks", GUARD_LIST, "git hooks, by agreement" },
	{ ".pre-commit-config.yaml", GUARD_LIST, "pre-commit: git hooks" },
	{ ".openhands", GUARD_LIST, "OpenHands: scripts it runs, in a sandbox" },
	{ "AGENTS.md", GUARD_LIST, "instructions for agents" },
	{ "CLAUDE.md", GUARD_LIST, "instructions for agents" },
	{ "Makefile", GUARD_LIST, "make" },
	{ "makefile", GUARD_LIST, "make" },
	{ "GNUmakefile", GUARD_LIST, "make" },
	{ "Justfile", GUARD_LIST, "just" },
	{ "justfile", GUARD_LIST, "just" },
	{ "package.json", GUARD_LIST, "npm scripts" },
	{ "setup.py", GUARD_LIST, "Python build" },
	{ "pyproject.toml", GUARD_LIST, "Python build and tools" },
	{ "conftest.py", GUARD_LIST, "pytest" },
	{ "CMakeLists.txt", GUARD_LIST, "CMake" },
	{ "build.rs", GUARD_LIST, "cargo" },
	{ "Dockerfile", GUARD_LIST, "Docker" },
	{ "compose.yaml", GUARD_LIST, "Docker" },
	{ "docker-compose.yml", GUARD_LIST, "Docker" },
	{ 0 },
};

const struct guard_rule *guard_rule_find(const char *name)
{
	for (const struct guard_rule *rule = guard_rules; rule->name; rule++)
		if (strcmp(rule->name, name) == 0)
			return rule;
	return NULL;
}
