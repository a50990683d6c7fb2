// SPDX-License-Identifier: GPL-2.0-or-later
/* server/commands.c: see commands.h
 *
 * Theory of operation
 *
 * A lexer walks the text once, with a stack of the compound commands that are open. It has to know where a command may
 * begin, because `if` and `}` are words of the grammar only there. A newline with an empty stack, not after an operator
 * that wants a right-hand side, ends a piece. Whatever the lexer does not understand makes the text one piece: the
 * shell will then say what is wrong with it.
 */
#include "server/commands.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

enum { DEPTH_MAX = 256, HEREDOCS_MAX = 16 };

enum opener { OPEN_IF, OPEN_LOOP, OPEN_BRACE, OPEN_PAREN };

struct heredoc {
	char *delimiter; /* unquoted */
	bool strip_tabs;
};

struct lexer {
	const char *text, *at;
	enum opener stack[DEPTH_MAX];
	int depth;
	bool command_may_begin;
	bool wants_more;   /* after | || &&: a newline ends nothing */
	bool name_follows; /* after `function`, `for`: the next word is a name */
	bool body_follows; /* after f(): a compound command */
	struct heredoc heredocs[HEREDOCS_MAX];
	int heredoc_count;
	bool failed;
};

static bool fail(struct lexer *lexer)
{
	lexer->failed = true;
	return false;
}

static bool push(struct lexer *lexer, enum opener opener)
{
	if (lexer->depth == DEPTH_MAX)
		return fail(lexer);
	lexer->stack[lexer->depth++] = opener;
	return true;
}

static bool inside(const struct lexer *lexer, enum opener opener)
{
	return lexer->depth && lexer->stack[lexer->depth - 1] == opener;
}

static bool pop(struct lexer *lexer, enum opener opener)
{
	if (!inside(lexer, opener))
		return fail(lexer);
	lexer->depth--;
	lexer->command_may_begin = false;
	return true;
}

/* ---- words ---- */

static const char *skip_expansion(const char *at, int depth);

/* After the opening quote. Return: after the closing one, NULL if there is none */
static const char *skip_single(const char *at, bool escapes)
{
	for (; *at && *at != '\''; at++)
		if (escapes && *at == '\\' && at[1])
			at++;
	return *at ? at + 1 : NULL;
}

static const char *skip_double(const char *at, int depth)
{
	while (at && *at && *at != '"') {
		if (*at == '\\' && at[1])
			at += 2;
		else if (*at == '$' || *at == '`')
			at = skip_expansion(at, depth);
		else
			at++;
	}
	return at && *at ? at + 1 : NULL;
}

static const char *skip_backquoted(const char *at)
{
	for (; *at && *at != '`'; at++)
		if (*at == '\\' && at[1])
			at++;
	return *at ? at + 1 : NULL;
}

/* Up to the bracket that closes one of @open that was just passed; quotes and expansions within are skipped. */
static const char *skip_nested(const char *at, char open, char close, int depth)
{
	int level = 1;

	while (at && *at && level) {
		if (*at == '\\' && at[1])
			at += 2;
		else if (*at == '\'')
			at = skip_single(at + 1, false);
		else if (*at == '"')
			at = skip_double(at + 1, depth);
		else if (*at == '$' || *at == '`')
			at = skip_expansion(at, depth);
		else
			level += (*at == open) - (*at == close), at++;
	}
	return at && !level ? at : NULL;
}

/* At a $ or `. Return: after the expansion, NULL when it does not end or is arithmetic */
static const char *skip_expansion(const char *at, int depth)
{
	if (depth > DEPTH_MAX)
		return NULL;
	if (*at == '`')
		return skip_backquoted(at + 1);
	switch (at[1]) {
	case '(':
		return at[2] == '(' ? NULL : skip_nested(at + 2, '(', ')', depth + 1);
	case '{':
		return skip_nested(at + 2, '{', '}', depth + 1);
	default:
		return at + 1;
	}
}

static bool ends_word(const char *at)
{
	return !*at || strchr(" \t\n;&|()<>", *at);
}

/* Return: after the word, NULL when it is not complete; *plain: it has no quotes or expansions */
static const char *skip_word(const char *at, bool *plain)
{
	*plain = true;
	while (at && !ends_word(at)) {
		char c = *at;
		*plain &= !strchr("\\'\"$`", c);
		if (c == '\\')
			at += at[1] ? 2 : 1;
		else if (c == '\'')
			at = skip_single(at + 1, false);
		else if (c == '$' && at[1] == '\'')
			at = skip_single(at + 2, true);
		else if (c == '"')
			at = skip_double(at + 1, 0);
		else if (c == '$' || c == '`')
			at = skip_expansion(at, 0);
		else
			at++;
	}
	return at;
}

static bool is_assignment(const char *word, size_t size)
{
	size_t i = 0;

	while (i < size && (isalnum((unsigned char)word[i]) || word[i] == '_'))
		i++;
	return i > 0 && i < size && !isdigit((unsigned char)word[0]) && strchr("=+[", word[i]) &&
	       memchr(word, '=', size);
}

/* ---- here-documents ---- */

static void expect_heredoc(struct lexer *lexer)
{
	bool strip = lexer->at[2] == '-', plain;
	const char *word = lexer->at + 2 + strip;

	word += strspn(word, " \t");
	const char *end = skip_word(word, &plain);
	if (!end || end == word || lexer->heredoc_count == HEREDOCS_MAX) {
		fail(lexer);
		return;
	}
	char *delimiter = xcalloc((size_t)(end - word) + 1, 1);
	size_t size = 0;
	for (const char *c = word; c < end; c++)
		if (!strchr("\\'\"", *c))
			delimiter[size++] = *c;
	lexer->heredocs[lexer->heredoc_count++] = (struct heredoc){ delimiter, strip };
	lexer->at = end;
}

/* At the first line of a body. Return: after the line with the delimiter (before its newline), NULL if it is missing */
static const char *skip_heredoc(const char *at, const struct heredoc *heredoc)
{
	size_t size = strlen(heredoc->delimiter);

	for (;;) {
		const char *line = heredoc->strip_tabs ? at + strspn(at, "\t") : at;
		const char *end = strchrnul(line, '\n');
		if ((size_t)(end - line) == size && memcmp(line, heredoc->delimiter, size) == 0)
			return end;
		if (!*end)
			return NULL;
		at = end + 1;
	}
}

/* At a newline. Afterwards at the newline that ends the last body. */
static void skip_heredocs(struct lexer *lexer)
{
	for (int i = 0; i < lexer->heredoc_count; i++) {
		const char *end =
			lexer->failed || !*lexer->at ? NULL : skip_heredoc(lexer->at + 1, &lexer->heredocs[i]);
		if (end)
			lexer->at = end;
		else
			lexer->failed = true;
		free(lexer->heredocs[i].delimiter);
	}
	lexer->heredoc_count = 0;
}

/* ---- reserved words, valid where a command may begin ---- */

struct reserved {
	const char *word;
	enum { PUSHES, POPS, CONTINUES, NAMES, FAILS } effect;
	enum opener opener;
};

static const struct reserved reserved_words[] = {
	{ "if", PUSHES, OPEN_IF },
	{ "then", CONTINUES, OPEN_IF },
	{ "elif", CONTINUES, OPEN_IF },
	{ "else", CONTINUES, OPEN_IF },
	{ "fi", POPS, OPEN_IF },
	{ "while", PUSHES, OPEN_LOOP },
	{ "until", PUSHES, OPEN_LOOP },
	{ "for", NAMES, OPEN_LOOP },
	{ "do", CONTINUES, OPEN_LOOP },
	{ "done", POPS, OPEN_LOOP },
	{ "{", PUSHES, OPEN_BRACE },
	{ "}", POPS, OPEN_BRACE },
	{ "case", FAILS, 0 },
	{ "select", FAILS, 0 },
	{ "coproc", FAILS, 0 },
	{ "[[", FAILS, 0 },
	{ 0 },
};

static bool is_word(const char *word, size_t size, const char *wanted)
{
	return strlen(wanted) == size && memcmp(word, wanted, size) == 0;
}

static bool take_reserved(struct lexer *lexer, const char *word, size_t size)
{
	const struct reserved *row = reserved_words;

	if (is_word(word, size, "!") || is_word(word, size, "time"))
		return true;
	while (row->word && !is_word(word, size, row->word))
		row++;
	if (!row->word)
		return false;
	if (row->effect == FAILS)
		return fail(lexer) || true;
	if (row->effect == POPS)
		return pop(lexer, row->opener) || true;
	if (row->effect == CONTINUES)
		return inside(lexer, row->opener) || fail(lexer) || true;
	push(lexer, row->opener);
	lexer->name_follows = row->effect == NAMES;
	lexer->command_may_begin = row->effect != NAMES;
	return true;
}

static void take_word(struct lexer *lexer)
{
	const char *word = lexer->at;
	bool plain;

	lexer->at = skip_word(word, &plain);
	if (!lexer->at) {
		lexer->at = word + strlen(word);
		fail(lexer);
		return;
	}
	size_t size = (size_t)(lexer->at - word);
	bool begins = lexer->command_may_begin;
	lexer->wants_more = false;
	if (lexer->name_follows) {
		lexer->name_follows = false;
		return;
	}
	if (begins && plain && is_word(word, size, "function")) {
		lexer->name_follows = lexer->body_follows = true;
		return;
	}
	if (begins && plain && take_reserved(lexer, word, size)) {
		lexer->body_follows = false;
		return;
	}
	if (lexer->body_follows)
		fail(lexer);
	lexer->command_may_begin = begins && is_assignment(word, size);
}

/* ---- operators ---- */

static void take_open(struct lexer *lexer)
{
	const char *close = lexer->at + 1 + strspn(lexer->at + 1, " \t");

	if (*close == ')' && (!lexer->command_may_begin || lexer->body_follows)) { /* f() */
		lexer->at = close + 1;
		lexer->command_may_begin = lexer->body_follows = true;
		return;
	}
	bool array = lexer->at > lexer->text && lexer->at[-1] == '=';
	if (!lexer->command_may_begin || array || lexer->at[1] == '(') {
		fail(lexer);
		return;
	}
	lexer->body_follows = false;
	push(lexer, OPEN_PAREN);
	lexer->at++;
}

static void take_close(struct lexer *lexer)
{
	lexer->at++;
	pop(lexer, OPEN_PAREN);
}

static void take_redirection(struct lexer *lexer)
{
	bool plain;

	if (str_starts(lexer->at, "<<<"))
		lexer->at += 3;
	else if (str_starts(lexer->at, "<<")) {
		expect_heredoc(lexer);
		return;
	} else if (lexer->at[1] == '(') { /* <( ) and >( ) are words */
		const char *end = skip_nested(lexer->at + 2, '(', ')', 0);
		lexer->at = end ? end : lexer->at + strlen(lexer->at);
		if (!end)
			fail(lexer);
		lexer->command_may_begin = false;
		return;
	} else {
		lexer->at += 1 + strspn(lexer->at + 1, "<>&|");
	}
	lexer->at += strspn(lexer->at, " \t");
	const char *end = *lexer->at == '<' || *lexer->at == '>' ? lexer->at : skip_word(lexer->at, &plain);
	if (end)
		lexer->at = end;
	else
		fail(lexer);
}

static void take_separator(struct lexer *lexer)
{
	size_t run = strspn(lexer->at, ";&|");

	if (str_starts(lexer->at, "&>")) {
		lexer->at++;
		take_redirection(lexer);
		return;
	}
	if (*lexer->at == ';' && run > 1)
		fail(lexer);
	lexer->wants_more = *lexer->at == '|' || str_starts(lexer->at, "&&");
	lexer->at += run;
	lexer->command_may_begin = true;
}

/* Return: whether a piece ends at this newline */
static bool take_newline(struct lexer *lexer)
{
	skip_heredocs(lexer);
	if (*lexer->at)
		lexer->at++;
	lexer->command_may_begin = true;
	return !lexer->depth && !lexer->wants_more && !lexer->body_follows;
}

static void take_token(struct lexer *lexer)
{
	char c = *lexer->at;

	if (c == ' ' || c == '\t' || c == '\r')
		lexer->at++;
	else if (c == '\\' && lexer->at[1] == '\n')
		lexer->at += 2;
	else if (c == '#')
		lexer->at = strchrnul(lexer->at, '\n');
	else if (c == '(')
		take_open(lexer);
	else if (c == ')')
		take_close(lexer);
	else if (c == '<' || c == '>')
		take_redirection(lexer);
	else if (strchr(";&|", c))
		take_separator(lexer);
	else
		take_word(lexer);
}

static void add_piece(struct str_list *out, const char *start, const char *end)
{
	while (start < end && isspace((unsigned char)*start))
		start++;
	while (end > start && isspace((unsigned char)end[-1]))
		end--;
	if (start < end)
		str_list_addf(out, "%.*s", (int)(end - start), start);
}

static bool only_comment(const char *start, const char *end)
{
	start += strspn(start, " \t\n");
	return start < end && *start == '#';
}

/* As upstream's splitter has it, comments belong to the command before them, and a first one stands for itself. */
static void end_piece(struct str_list *out, const char **start, const char *end)
{
	const char *next = end + strspn(end, " \t\n");

	if (*next == '#' && !only_comment(*start, end))
		return;
	add_piece(out, *start, end);
	*start = end;
}

/* Return: whether the text is complete; the pieces are in @out if so */
static bool split(const char *text, struct str_list *out)
{
	struct lexer lexer = { .text = text, .at = text, .command_may_begin = true };
	const char *start = text;

	while (*lexer.at && !lexer.failed) {
		if (*lexer.at != '\n')
			take_token(&lexer);
		else if (take_newline(&lexer))
			end_piece(out, &start, lexer.at);
	}
	bool complete =
		!lexer.failed && !lexer.depth && !lexer.wants_more && !lexer.body_follows && !lexer.heredoc_count;
	skip_heredocs(&lexer);
	if (complete)
		add_piece(out, start, start + strlen(start));
	return complete;
}

void commands_split(const char *text, struct str_list *out)
{
	if (!split(text, out)) {
		str_list_free(out);
		add_piece(out, text, text + strlen(text));
	}
	if (!out->count)
		str_list_add(out, "");
}

bool commands_complete(const char *text)
{
	cleanup_str_list struct str_list pieces = { 0 };
	size_t size = strlen(text);

	/* A last backslash would swallow the newline that follows. */
	return split(text, &pieces) && (!size || text[size - 1] != '\\');
}
