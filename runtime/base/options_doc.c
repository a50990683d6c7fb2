// SPDX-License-Identifier: GPL-2.0-or-later
/* base/options_doc.c: man page and shell completions, printed from the option tables. */
#include "base/options.h"

#include <string.h>
#include <time.h>
#include <stdlib.h>

#include "base/version.h"

/* Text for man(7): a leading dot or quote, a backslash and a hyphen would be read as markup. */
static void man_text(const char *text, FILE *out)
{
	for (const char *c = text; *c; c++) {
		if ((*c == '.' || *c == '\'') && (c == text || c[-1] == '\n'))
			fputs("\\&", out);
		if (*c == '\\')
			fputs("\\e", out);
		else if (*c == '-')
			fputs("\\-", out);
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
	fprintf(out, ".SS \"%s %s\"\n", program->name, command->name);
	man_text(command->summary, out);
	fprintf(out, ".\n.PP\n.nf\n%s %s%s%s%s\n.fi\n", program->name, command->name,
		command->options && command->options->name ? " [OPTIONS]" : "", command->operands ? " " : "",
		command->operands ? command->operands : "");
	if (command->details) {
		fputs(".PP\n", out);
		man_text(command->details, out);
		fputc('\n', out);
	}
	for (const struct option_row *row = command->options; row && row->name; row++)
		man_option(row, out);
}

void program_man(const struct program *program, FILE *out)
{
	const char *epoch = getenv("SOURCE_DATE_EPOCH");
	time_t when = epoch ? (time_t)strtoll(epoch, NULL, 10) : 0;
	struct tm day;
	char date[32] = "";

	if (epoch && gmtime_r(&when, &day))
		strftime(date, sizeof date, "%Y-%m-%d", &day);
	fprintf(out, ".TH %s 1 \"%s\" \"%s %s\" \"User Commands\"\n.SH NAME\n%s \\- ", program->name, date,
		program->name, AZM_VERSION, program->name);
	man_text(program->summary, out);
	fprintf(out, "\n.SH SYNOPSIS\n\\fB%s\\fR \\fICOMMAND\\fR [\\fIOPTIONS\\fR] ...\n.SH DESCRIPTION\n",
		program->name);
	man_text(program->description, out);
	fputs("\n.SH COMMANDS\n", out);
	for (const struct command *command = program->commands; command->name; command++)
		if (!command->hidden)
			man_command(program, command, out);
	fputs(".SH EXIT STATUS\nThe command's own; 128+n when it died of signal n; 125 when the program itself failed, "
	      "126 when COMMAND cannot be executed, 127 when it was not found.\n",
		out);
}

static void bash_completion(const struct program *program, FILE *out)
{
	const char *function = strchr(program->name, '-') ? strchr(program->name, '-') + 1 : program->name;

	fprintf(out, "# bash completion for %s\n_azm_%s() {\n", program->name, function);
	fputs("\tlocal cur=${COMP_WORDS[COMP_CWORD]} words\n\tif [ \"$COMP_CWORD\" -eq 1 ]; then\n\t\twords=\"help",
		out);
	for (const struct command *command = program->commands; command->name; command++)
		if (!command->hidden)
			fprintf(out, " %s", command->name);
	fputs("\"\n\telse\n\t\tcase ${COMP_WORDS[1]} in\n", out);
	for (const struct command *command = program->commands; command->name; command++) {
		fprintf(out, "\t\t%s) words=\"--help", command->name);
		for (const struct option_row *row = command->options; row && row->name; row++)
			fprintf(out, " --%s", row->name);
		fputs("\" ;;\n", out);
	}
	fputs("\t\tesac\n\tfi\n\tcase $cur in\n\t-* | '') mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$cur\") "
	      ";;\n"
	      "\t*) [ \"$COMP_CWORD\" -eq 1 ] && mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$cur\") ;;\n"
	      "\tesac\n}\n",
		out);
	fprintf(out, "complete -o default -F _azm_%s %s\n", function, program->name);
}

/* zsh and fish take descriptions; a quote in one would end the string. */
static void quoted(const char *text, const char *special, FILE *out)
{
	for (; *text; text++) {
		if (strchr(special, *text))
			fputc('\\', out);
		fputc(*text == '\'' ? '`' : *text, out);
	}
}

static void zsh_completion(const struct program *program, FILE *out)
{
	fprintf(out, "#compdef %s\nif (( CURRENT == 2 )); then\n\tlocal -a commands=(", program->name);
	for (const struct command *command = program->commands; command->name; command++) {
		if (command->hidden)
			continue;
		fprintf(out, "\n\t\t'%s:", command->name);
		quoted(command->summary, ":", out);
		fputc('\'', out);
	}
	fputs("\n\t)\n\t_describe command commands\n\treturn\nfi\ncase ${words[2]} in\n", out);
	for (const struct command *command = program->commands; command->name; command++) {
		fprintf(out, "%s) _arguments '--help[show this help]'", command->name);
		for (const struct option_row *row = command->options; row && row->name; row++) {
			fprintf(out, " \\\n\t'--%s[", row->name);
			quoted(row->help, "[]:", out);
			fprintf(out, "]%s'", row->arg ? ": :_files" : "");
		}
		fputs(" '*:: :_default' ;;\n", out);
	}
	fputs("esac\n", out);
}

static void fish_completion(const struct program *program, FILE *out)
{
	for (const struct command *command = program->commands; command->name; command++) {
		if (!command->hidden) {
			fprintf(out, "complete -c %s -n __fish_use_subcommand -a %s -d '", program->name,
				command->name);
			quoted(command->summary, "\\", out);
			fputs("'\n", out);
		}
		for (const struct option_row *row = command->options; row && row->name; row++) {
			fprintf(out, "complete -c %s -n '__fish_seen_subcommand_from %s' -l %s", program->name,
				command->name, row->name);
			if (row->letter)
				fprintf(out, " -s %c", row->letter);
			fprintf(out, "%s -d '", row->arg ? " -r" : "");
			quoted(row->help, "\\", out);
			fputs("'\n", out);
		}
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
