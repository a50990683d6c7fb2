// SPDX-License-Identifier: GPL-2.0-or-later
/* base/options_doc.c: man page and shell completions, printed from the option tables. */
#include "base/options.h"

#include <string.h>
#include <time.h>
#include <stdlib.h>

#include "base/version.h"

/* ---- man page ------------------------------------------------------------------------------------------------- */

/* Text for man(7): what would be read as markup, or be printed as a typographic relative of itself, is escaped. */
static void man_text(const char *text, FILE *out)
{
	static const struct {
		char c;
		const char *escape;
	} escapes[] = { { '\\', "\\e" }, { '-', "\\-" }, { '\'', "\\(aq" }, { '`', "\\(ga" }, { '^', "\\(ha" },
		{ '~', "\\(ti" } };

	for (const char *c = text; *c; c++) {
		const char *escape = NULL;
		for (size_t i = 0; i < sizeof escapes / sizeof *escapes; i++)
			if (escapes[i].c == *c)
				escape = escapes[i].escape;
		if (*c == '.' && (c == text || c[-1] == '\n'))
			fputs("\\&", out);
		if (escape)
			fputs(escape, out);
		else if (*c == '\n' && c[1] == '\n')
			fputs("\n.PP", out);
		else
			fputc(*c, out);
	}
}

static void man_option(const struct option_row *row, FILE *out)
{
	fputs(".TP\n\\fB", out);
	if (row->letter)
		fprintf(out, "\\-%c\\fR, \\fB", row->letter);
	fputs("\\-\\-", out);
	man_text(row->name, out);
	fputs("\\fR", out);
	if (row->arg) {
		fputs(" \\fI", out);
		man_text(row->arg, out);
		fputs("\\fR", out);
	}
	fputc('\n', out);
	man_text(row->help, out);
	fputc('\n', out);
}

static void man_command(const struct program *program, const struct command *command, FILE *out)
{
	fputs(".SS \"", out);
	man_text(program->name, out);
	fprintf(out, " %s\"\n", command->name);
	man_text(command->summary, out);
	fputs(".\n.PP\n\\fB", out);
	man_text(program->name, out);
	fprintf(out, " %s\\fR%s ", command->name,
		command->options && command->options->name ? " [\\fIOPTIONS\\fR]" : "");
	man_text(command->operands ? command->operands : "", out);
	fputc('\n', out);
	if (command->details) {
		fputs(".PP\n", out);
		man_text(command->details, out);
		fputc('\n', out);
	}
	for (const struct option_row *row = command->options; row && row->name; row++)
		man_option(row, out);
}

/* A paragraph whose lines begin with a blank is an example: its lines stay lines. */
static void man_section(const struct man_section *section, FILE *out)
{
	bool example = false;
	bool paragraph = false;

	fprintf(out, ".SH %s\n", section->title);
	for (const char *line = section->text; *line;) {
		size_t length = strcspn(line, "\n");
		char *copy = strndup(line, length);
		if (length > 0 && (line[0] == ' ') != example)
			fputs(example ? ".RE\n.fi\n.PP\n" : ".PP\n.nf\n.RS 4\n", out);
		else if (length > 0 && paragraph)
			fputs(".PP\n", out);
		paragraph = length == 0;
		if (copy && length > 0) {
			example = line[0] == ' ';
			man_text(copy + strspn(copy, " "), out);
			fputc('\n', out);
		}
		free(copy);
		line += length + (line[length] == '\n');
	}
	if (example)
		fputs(".RE\n.fi\n", out);
}

void program_man(const struct program *program, FILE *out)
{
	static const struct man_section usual[] = {
		{ "EXIT STATUS", "0 when it worked, 125 when it failed; a message on standard error says why." },
		{ NULL, NULL },
	};
	const char *epoch = getenv("SOURCE_DATE_EPOCH");
	time_t when = epoch ? (time_t)strtoll(epoch, NULL, 10) : 0;
	struct tm day;
	char date[32] = AZM_RELEASE_DATE;

	if (epoch && gmtime_r(&when, &day))
		strftime(date, sizeof date, "%Y-%m-%d", &day);
	fprintf(out, ".TH %s 1 \"%s\" \"%s %s\" \"User Commands\"\n.SH NAME\n", program->name, date, program->name,
		AZM_VERSION);
	man_text(program->name, out);
	fputs(" \\- ", out);
	man_text(program->summary, out);
	fputs("\n.SH SYNOPSIS\n\\fB", out);
	man_text(program->name, out);
	fputs("\\fR \\fICOMMAND\\fR [\\fIOPTIONS\\fR] ...\n.SH DESCRIPTION\n", out);
	man_text(program->description, out);
	fputs("\n.SH COMMANDS\n", out);
	for (const struct command *command = program->commands; command->name; command++)
		if (!command->hidden)
			man_command(program, command, out);
	for (const struct man_section *section = program->sections ? program->sections : usual; section->title;
		section++)
		man_section(section, out);
}

/* ---- completions ---------------------------------------------------------------------------------------------- */

/* Commands whose operand is a NAME complete it: of sandboxes with what `ps` lists, of a group's things with its `ls`.
 */
static bool wants_names(const struct command *command)
{
	return command->operands && strncmp(command->operands, "NAME", 4) == 0;
}

static void names_command(const struct program *program, const struct command *command, FILE *out)
{
	size_t group = command_group(command);

	if (group)
		fprintf(out, "%s %.*s ls -q", program->name, (int)group, command->name);
	else
		fprintf(out, "%s ps -aq", program->name);
}

/* The words at one place of the command line: first words of all commands, or second words of one group's. */
static void each_word(const struct program *program, const struct command *group, FILE *out)
{
	size_t length = group ? command_group(group) : 0;
	const char *before = "";

	for (const struct command *command = program->commands; command->name; command++) {
		if (command->hidden)
			continue;
		if (group ? !command_in_group(command, group->name, length)
			  : command_group(command) && !command_begins_group(program, command))
			continue;
		const char *word = command->name + (group ? length + 1 : 0);
		fprintf(out, "%s%.*s", before, (int)strcspn(word, " "), word);
		before = " ";
	}
}

static void each_option(const struct command *command, bool with_value, const char *separator, FILE *out)
{
	const char *before = "";

	for (const struct option_row *row = command->options; row && row->name; row++) {
		if (with_value && !row->arg)
			continue;
		fprintf(out, "%s--%s", before, row->name);
		before = separator;
		if (with_value && row->letter)
			fprintf(out, "%s-%c", separator, row->letter);
	}
}

static bool has_values(const struct command *command)
{
	for (const struct option_row *row = command->options; row && row->name; row++)
		if (row->arg)
			return true;
	return false;
}

/* What is left empty falls to -o default: names of files. */
static void bash_completion(const struct program *program, FILE *out)
{
	const char *function = strchr(program->name, '-') ? strchr(program->name, '-') + 1 : program->name;

	fprintf(out, "# bash completion for %s\n_azm_%s() {\n", program->name, function);
	fputs("\tlocal cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} words='' names=''\n"
	      "\tlocal command=${COMP_WORDS[1]}\n\tcase \"$COMP_CWORD $command\" in\n\t'1 '*) names=\"help ",
		out);
	each_word(program, NULL, out);
	fputs("\" command='' ;;\n", out);
	for (const struct command *command = program->commands; command->name; command++)
		if (command_begins_group(program, command)) {
			int length = (int)command_group(command);
			fprintf(out, "\t'2 %.*s') names=\"", length, command->name);
			each_word(program, command, out);
			fprintf(out, "\" command='' ;;\n\t*' %.*s') command+=\" ${COMP_WORDS[2]}\" ;;\n", length,
				command->name);
		}
	fputs("\tesac\n\tcase $command in\n", out);
	for (const struct command *command = program->commands; command->name; command++) {
		fprintf(out, "\t'%s')\n", command->name);
		if (has_values(command)) {
			fputs("\t\tcase $prev in ", out);
			each_option(command, true, " | ", out);
			fputs(") return ;; esac\n", out);
		}
		fputs("\t\twords=\"--help ", out);
		each_option(command, false, " ", out);
		fputs("\"\n", out);
		if (wants_names(command)) {
			fputs("\t\tnames=$(", out);
			names_command(program, command, out);
			fputs(" 2>/dev/null)\n", out);
		}
		fputs("\t\t;;\n", out);
	}
	fputs("\tesac\n\t[[ $cur == -* ]] || words=$names\n"
	      "\tmapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$cur\")\n}\n",
		out);
	fprintf(out, "complete -o default -F _azm_%s %s\n", function, program->name);
}

/* Text between single quotes; @quote is what a quote itself becomes there, @special are escaped with a backslash. */
static void quoted(const char *text, const char *special, const char *quote, FILE *out)
{
	for (; *text; text++) {
		if (strchr(special, *text))
			fputc('\\', out);
		if (*text == '\'')
			fputs(quote, out);
		else
			fputc(*text, out);
	}
}

static void zsh_option(const struct option_row *row, FILE *out)
{
	fputs(" \\\n\t'*", out);
	if (row->letter)
		fprintf(out, "'{-%c,--%s}'[", row->letter, row->name);
	else
		fprintf(out, "--%s[", row->name);
	quoted(row->help, "[]:", "'\\''", out);
	fputc(']', out);
	if (row->arg) {
		fputc(':', out);
		quoted(row->arg, "[]:", "'\\''", out);
		fputs(":_files", out);
	}
	fputc('\'', out);
}

/* The description of a word: a command's summary; of a group, its commands. */
static void zsh_word(const struct program *program, const struct command *command, size_t skip, FILE *out)
{
	size_t group = skip ? 0 : command_group(command);

	fprintf(out, "\n\t\t'%.*s:", group ? (int)group : (int)strlen(command->name + skip), command->name + skip);
	if (group)
		each_word(program, command, out);
	else
		quoted(command->summary, ":", "'\\''", out);
	fputc('\'', out);
}

static void zsh_words(const struct program *program, const struct command *group, FILE *out)
{
	size_t length = group ? command_group(group) : 0;

	fputs("\tlocal -a commands=(", out);
	for (const struct command *command = program->commands; command->name; command++) {
		if (command->hidden)
			continue;
		if (group ? command_in_group(command, group->name, length)
			  : !command_group(command) || command_begins_group(program, command))
			zsh_word(program, command, group ? length + 1 : 0, out);
	}
	fputs("\n\t)\n\t_describe command commands\n\treturn\nfi\n", out);
}

static void zsh_completion(const struct program *program, FILE *out)
{
	fprintf(out, "#compdef %s\nif (( CURRENT == 2 )); then\n", program->name);
	zsh_words(program, NULL, out);
	fputs("local -a names\nlocal command=${words[2]}\nshift words\n(( CURRENT-- ))\n", out);
	for (const struct command *command = program->commands; command->name; command++)
		if (command_begins_group(program, command)) {
			int length = (int)command_group(command);
			fprintf(out, "if [[ $command == %.*s ]] && (( CURRENT == 2 )); then\n", length, command->name);
			zsh_words(program, command, out);
			fprintf(out,
				"if [[ $command == %.*s ]]; then\n\tcommand+=\" ${words[2]}\"\n\tshift words\n\t(( "
				"CURRENT-- "
				"))\nfi\n",
				length, command->name);
		}
	fputs("case $command in\n", out);
	for (const struct command *command = program->commands; command->name; command++) {
		fprintf(out, "'%s')", command->name);
		if (wants_names(command)) {
			fputs(" names=(${(f)\"$(", out);
			names_command(program, command, out);
			fputs(" 2>/dev/null)\"});", out);
		}
		fputs(" _arguments -s '--help[show this help]'", out);
		for (const struct option_row *row = command->options; row && row->name; row++)
			zsh_option(row, out);
		fputs(wants_names(command) ? " '*:name:($names)' ;;\n" : " '*:: :_default' ;;\n", out);
	}
	fputs("esac\n", out);
}

/* The condition that a command was typed: each word of it. */
static void fish_seen(const struct program *program, const struct command *command, FILE *out)
{
	size_t group = command_group(command);

	fprintf(out, "complete -c %s -n '", program->name);
	if (group)
		fprintf(out, "__fish_seen_subcommand_from %.*s; and ", (int)group, command->name);
	fprintf(out, "__fish_seen_subcommand_from %s", command->name + (group ? group + 1 : 0));
	/* "rm" is also the second word of "network rm". */
	for (const struct command *other = program->commands; !group && other->name; other++) {
		size_t length = command_group(other);
		if (length && strcmp(other->name + length + 1, command->name) == 0)
			fprintf(out, "; and not __fish_seen_subcommand_from %.*s", (int)length, other->name);
	}
	fputc('\'', out);
}

static void fish_option(
	const struct program *program, const struct command *command, const struct option_row *row, FILE *out)
{
	fish_seen(program, command, out);
	fprintf(out, " -l %s", row->name);
	if (row->letter)
		fprintf(out, " -s %c", row->letter);
	fprintf(out, "%s -d '", row->arg ? " -r" : "");
	quoted(row->help, "\\", "\\'", out);
	fputs("'\n", out);
}

static void fish_completion(const struct program *program, FILE *out)
{
	fprintf(out, "complete -c %s -n __fish_use_subcommand -f\n", program->name);
	for (const struct command *command = program->commands; command->name; command++) {
		size_t group = command_group(command);
		if (command_begins_group(program, command)) {
			fprintf(out, "complete -c %s -n __fish_use_subcommand -a %.*s -d '", program->name, (int)group,
				command->name);
			each_word(program, command, out);
			fputs("'\n", out);
		}
		if (!command->hidden) {
			fprintf(out, "complete -c %s -n '", program->name);
			if (group)
				fprintf(out, "__fish_seen_subcommand_from %.*s' -f -a %s", (int)group, command->name,
					command->name + group + 1);
			else
				fprintf(out, "__fish_use_subcommand' -a %s", command->name);
			fputs(" -d '", out);
			quoted(command->summary, "\\", "\\'", out);
			fputs("'\n", out);
		}
		if (wants_names(command)) {
			fish_seen(program, command, out);
			fputs(" -f -a '(", out);
			names_command(program, command, out);
			fputs(")'\n", out);
		}
		for (const struct option_row *row = command->options; row && row->name; row++)
			fish_option(program, command, row, out);
	}
}

int program_completion(const struct program *program, const char *shell, FILE *out)
{
	static const struct {
		const char *shell;
		void (*print)(const struct program *program, FILE *out);
	} printers[] = { { "bash", bash_completion }, { "zsh", zsh_completion }, { "fish", fish_completion } };

	for (size_t i = 0; i < sizeof printers / sizeof *printers; i++) {
		if (strcmp(shell, printers[i].shell) == 0) {
			printers[i].print(program, out);
			return 0;
		}
	}
	return -1;
}
