// SPDX-License-Identifier: GPL-2.0-or-later
/* tests/unit/test_rootfs_dockerfile.c: what a Dockerfile's text means, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "rootfs-tools/dockerfile.h"

/* The file in one line: KIND@LINE(flags)[exec]{args}<heredocs>; ... */
static char *shown(const struct dockerfile *file)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	for (size_t i = 0; i < file->count; i++) {
		const struct instruction *in = &file->items[i];
		fprintf(out, "%s%s@%u", i ? "; " : "", instruction_name(in->kind), in->line);
		for (size_t j = 0; j < in->flags.count; j++)
			fprintf(out, " --%s", in->flags.items[j]);
		fputs(in->exec ? " [" : " {", out);
		for (size_t j = 0; j < in->args.count; j++)
			fprintf(out, "%s%s", j ? "|" : "", in->args.items[j]);
		putc(in->exec ? ']' : '}', out);
		for (size_t j = 0; j < in->heredoc_count; j++)
			fprintf(out, " <%s%s:%s>", in->heredocs[j].name, in->heredocs[j].expand ? "" : " raw",
				in->heredocs[j].text);
	}
	fclose(out);
	return text;
}

#define F "FROM x\n"
#define G "FROM@1 {x}; "

static const struct {
	const char *text, *want;
} good[] = {
	{ "FROM scratch", "FROM@1 {scratch}" },
	{ "\xef\xbb\xbf"
	  "from  a:b  As  Build-1\r\n",
		"FROM@1 {a:b|build-1}" },
	{ "# c\n\n  # d\nARG V=1\nFROM --platform=$P x:$V", "ARG@4 {V=1}; FROM@5 --platform=$P {x:$V}" },
	{ "FROM x\n\tRUN a  b \t\n", G "RUN@2 {a  b}" },
	/* directives */
	{ "# syntax=docker/dockerfile:1.7\n# escape=`\nFROM x\nRUN a `\n  b\\\n", "FROM@3 {x}; RUN@4 {a   b\\}" },
	{ "#ESCAPE = `  \nFROM x\nRUN a `\nb", "FROM@2 {x}; RUN@3 {a b}" },
	{ "# a comment\n# escape=`\nFROM x\nRUN a `\nRUN b", "FROM@3 {x}; RUN@4 {a `}; RUN@5 {b}" },
	{ "\n# escape=`\nFROM x\nRUN a `\nRUN b", "FROM@3 {x}; RUN@4 {a `}; RUN@5 {b}" },
	{ "# foo=bar\n# escape=`\nFROM x", "FROM@3 {x}" },
	/* continued lines */
	{ F "RUN a \\\n  b \\  \n\n  # comment\n  c\nUSER u", G "RUN@2 {a   b   c}; USER@7 {u}" },
	{ F "RUN a \\\\\nRUN b", G "RUN@2 {a \\\\}; RUN@3 {b}" },
	{ F "RUN a \\", G "RUN@2 {a}" },
	{ F "RUN a \\\r\n b\r\n", G "RUN@2 {a  b}" },
	{ F "RUN echo a#b # c", G "RUN@2 {echo a#b # c}" },
	{ F "EN\\\nV A=b", G "ENV@2 {A|b}" },
	/* lists */
	{ F "CMD [\"a\", \"b c\"]", G "CMD@2 [a|b c]" },
	{ F "CMD [ \"a\\u00e9\\n\" ]", G "CMD@2 [a\xc3\xa9\n]" },
	{ F "CMD []", G "CMD@2 []" },
	{ F "CMD ['a']", G "CMD@2 {['a']}" },
	{ F "CMD [ -f x ] && y", G "CMD@2 {[ -f x ] && y}" },
	{ F "ENTRYPOINT [\"a\"] b", G "ENTRYPOINT@2 {[\"a\"] b}" },
	{ F "SHELL [\"/bin/bash\", \"-c\"]", G "SHELL@2 [/bin/bash|-c]" },
	{ F "VOLUME /a /b\nVOLUME [\"/c d\"]", G "VOLUME@2 {/a|/b}; VOLUME@3 [/c d]" },
	{ F "EXPOSE 80 443/tcp", G "EXPOSE@2 {80|443/tcp}" },
	/* pairs */
	{ F "ENV A=1 B=\"x y\" C='z w' D=a\\ b", G "ENV@2 {A|1|B|\"x y\"|C|'z w'|D|a\\ b}" },
	{ F "ENV A b c=d", G "ENV@2 {A|b c=d}" },
	{ F "ENV A=", G "ENV@2 {A|}" },
	{ F "ENV A=b=c \\\n B=2", G "ENV@2 {A|b=c|B|2}" },
	{ F "LABEL a.b=\"c\" \"d e\"=f", G "LABEL@2 {a.b|\"c\"|\"d e\"|f}" },
	{ F "ARG A B=2 C=\"x y\"", G "ARG@2 {A|B=2|C=\"x y\"}" },
	/* flags */
	{ F "COPY --from=b --chown=1:2 --chmod=755 --link a b c/",
		G "COPY@2 --from=b --chown=1:2 --chmod=755 --link {a|b|c/}" },
	{ F "COPY --link=false [\"a b\", \"c\"]", G "COPY@2 [a b|c]" },
	{ F "ADD --chown=\"a b\" x y", G "ADD@2 --chown=a b {x|y}" },
	{ F "COPY -- --x y", G "COPY@2 {--x|y}" },
	{ F "RUN --mount=type=cache,target=/a --mount=type=tmpfs,target=/b x --y",
		G "RUN@2 --mount=type=cache,target=/a --mount=type=tmpfs,target=/b {x --y}" },
	{ F "RUN --network=none \\\n  [\"a\"]", G "RUN@2 --network=none [a]" },
	{ F "COPY a --chown=b c", G "COPY@2 {a|--chown=b|c}" },
	/* the rest */
	{ F "HEALTHCHECK --interval=5s --retries=2 CMD [\"a\"]", G "HEALTHCHECK@2 --interval=5s --retries=2 [CMD|a]" },
	{ F "HEALTHCHECK CMD a || b\nHEALTHCHECK none", G "HEALTHCHECK@2 {CMD|a || b}; HEALTHCHECK@3 {NONE}" },
	{ F "ONBUILD COPY --chown=1 a b", G "ONBUILD@2 {COPY --chown=1 a b}" },
	{ F "MAINTAINER a <b@c>\nWORKDIR /a b\nUSER a:b\nSTOPSIGNAL SIGINT",
		G "MAINTAINER@2 {a <b@c>}; WORKDIR@3 {/a b}; USER@4 {a:b}; STOPSIGNAL@5 {SIGINT}" },
	/* here-documents */
	{ F "RUN <<EOF\na\n  b \\\n# c\nEOF\nRUN d", G "RUN@2 {<<EOF} <EOF:a\n  b \\\n# c\n>; RUN@7 {d}" },
	{ F "RUN <<-EOF\n\t\ta\n\tEOF", G "RUN@2 {<<-EOF} <EOF:a\n>" },
	{ F "RUN <<EOF\n\tEOF\nEOF", G "RUN@2 {<<EOF} <EOF:\tEOF\n>" },
	{ F "COPY <<\"a\" <<'b' <<c /d/\n1\na\n2\nb\n3\nc",
		G "COPY@2 {<<\"a\"|<<'b'|<<c|/d/} <a raw:1\n> <b raw:2\n> <c:3\n>" },
	{ F "RUN cat <<A >x && cat 3<<B\n1\nA\n2\nB", G "RUN@2 {cat <<A >x && cat 3<<B} <A:1\n> <B:2\n>" },
	{ F "RUN python <<E\r\na\r\nE\r\nUSER u", G "RUN@2 {python <<E} <E:a\r\n>; USER@5 {u}" },
	{ F "RUN <<E\nE", G "RUN@2 {<<E} <E:>" },
	{ F "RUN echo $((1 <<2)) \"a <<B\" <<<here", G "RUN@2 {echo $((1 <<2)) \"a <<B\" <<<here}" },
	{ F "CMD cat <<EOF", G "CMD@2 {cat <<EOF}" },
	{ F "RUN [\"cat\", \"<<EOF\"]", G "RUN@2 [cat|<<EOF]" },
};

static void test_good(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		cleanup_dockerfile struct dockerfile file = { 0 };
		struct azm_err err = { 0 };
		if (dockerfile_parse(good[i].text, strlen(good[i].text), "Dockerfile", &file, &err) < 0)
			fail_msg("%s\nis refused: %s: %s", good[i].text, err.text, err.reason);
		cleanup_free char *got = shown(&file);
		assert_string_equal(got, good[i].want);
	}
}

static const struct {
	const char *text, *where, *reason;
} bad[] = {
	{ "", "D:1", "there is no FROM" },
	{ "# only\n", "D:2", "there is no FROM" },
	{ "ARG A\n", "D:2", "there is no FROM" },
	{ "RUN a\nFROM x", "D:1", "RUN before the first FROM" },
	{ F "\nFOO bar", "D:3", "\"FOO\" is not an instruction" },
	{ F "RUNS bar", "D:2", "\"RUNS\" is not an instruction" },
	{ F "RUN \\\n\n", "D:2", "RUN needs something" },
	{ F "\nRUN --foo=1 x", "D:3", "RUN has no flag --foo" },
	{ F "COPY --mount=type=bind a b", "D:2", "COPY has no flag --mount" },
	{ F "COPY --from= a b", "D:2", "--from= needs a value" },
	{ F "COPY --chown a b", "D:2", "--chown needs a value" },
	{ F "COPY --link=perhaps a b", "D:2", "--link is true or false" },
	{ F "COPY --chown=1 --chown=2 a b", "D:2", "--chown is given twice" },
	{ F "COPY --=x a b", "D:2", "COPY has no flag --" },
	{ F "COPY --chow=x a b", "D:2", "no flag --chow" },
	{ F "USER --x y", "D:2", "USER has no flag" },
	{ F "COPY a", "D:2", "COPY needs at least one source and a target" },
	{ F "ADD [\"a\"]", "D:2", "ADD needs at least one" },
	{ F "CMD [1]", "D:2", "strings only" },
	{ F "CMD [\"a\\u0000b\"]", "D:2", "strings only" },
	{ F "RUN []", "D:2", "RUN needs a command" },
	{ F "SHELL bash -c", "D:2", "SHELL needs a list" },
	{ F "SHELL []", "D:2", "SHELL needs a list" },
	{ F "ENV A", "D:2", "ENV needs a name and a value" },
	{ F "ENV A=1 B", "D:2", "\"B\" is not of the form" },
	{ F "LABEL =b", "D:2", "has no name" },
	{ F "ARG 1A", "D:2", "neither NAME nor" },
	{ F "ARG A=1 B-C=2", "D:2", "neither NAME nor" },
	{ "FROM", "D:1", "FROM needs something" },
	{ "FROM a b", "D:1", "FROM needs an image" },
	{ "FROM a AS", "D:1", "FROM needs an image" },
	{ "FROM a AS 1b", "D:1", "not the name of a stage" },
	{ "FROM a AS b/c", "D:1", "not the name of a stage" },
	{ "FROM a AS scratch", "D:1", "no stage can be called" },
	{ F "VOLUME [\"\"]", "D:2", "VOLUME needs a path" },
	{ F "HEALTHCHECK", "D:2", "needs something" },
	{ F "HEALTHCHECK RUN x", "D:2", "needs CMD or NONE" },
	{ F "HEALTHCHECK CMD", "D:2", "CMD needs a command" },
	{ F "HEALTHCHECK --interval=1s NONE", "D:2", "NONE takes nothing else" },
	{ F "ONBUILD ONBUILD RUN x", "D:2", "ONBUILD ONBUILD" },
	{ F "ONBUILD FROM x", "D:2", "ONBUILD FROM" },
	{ F "ONBUILD MAINTAINER x", "D:2", "ONBUILD MAINTAINER" },
	{ F "ONBUILD NOPE x", "D:2", "\"NOPE\" is not an instruction" },
	{ F "ONBUILD RUN <<EOF\nEOF", "D:2", "cannot stand in ONBUILD" },
	{ F "RUN <<EOF\na\nEOF2\n", "D:2", "\"EOF\" does not follow" },
	{ F "RUN a\nCOPY <<A <<B /x/\nA\n", "D:3", "\"B\" does not follow" },
	{ "# escape=x\nFROM x", "D:1", "must be" },
	{ "# escape=`\n# escape=`\nFROM x", "D:2", "only one" },
	{ "# syntax=evil/frontend\nFROM x", "D:1", "is not known" },
};

static void test_bad(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct dockerfile file = { 0 };
		struct azm_err err = { 0 };
		if (dockerfile_parse(bad[i].text, strlen(bad[i].text), "D", &file, &err) == 0)
			fail_msg("is accepted: %s", bad[i].text);
		assert_null(file.items);
		assert_string_equal(err.text, bad[i].where);
		if (!strstr(err.reason, bad[i].reason))
			fail_msg("%s\n\"%s\" is not in \"%s\"", bad[i].text, bad[i].reason, err.reason);
	}
}

static char *repeat(const char *text, size_t times)
{
	char *all = NULL;
	size_t size = 0;
	FILE *stream = open_memstream(&all, &size);

	assert_non_null(stream);
	for (size_t i = 0; i < times; i++)
		fputs(text, stream);
	fclose(stream);
	return all;
}

/* A text of @count pieces behind a FROM. */
static int parse_many(const char *piece, size_t count, const char *end, struct azm_err *err)
{
	cleanup_free char *pieces = repeat(piece, count), *text = xasprintf("%s%s%s", F, pieces, end);
	struct dockerfile file = { 0 };

	int result = dockerfile_parse(text, strlen(text), "D", &file, err);
	dockerfile_free(&file);
	return result;
}

static void test_bounds(void **state)
{
	struct azm_err err = { 0 };

	(void)state;
	assert_int_equal(parse_many("USER u\n", DOCKERFILE_INSTRUCTIONS_MAX - 1, "", &err), 0);
	assert_int_equal(parse_many("USER u\n", DOCKERFILE_INSTRUCTIONS_MAX, "", &err), -1);
	assert_string_equal(err.reason, "more than 4096 instructions");
	assert_int_equal(parse_many("# comment\n", (1 << 20) / 10, "", &err), -1);
	assert_int_equal(err.code, E2BIG);
	assert_int_equal(parse_many("RUN a \\\n", 1, "", &err), 0);
	assert_int_equal(parse_many("ENV\\\n", 200000, "", &err), -1);
	assert_int_equal(dockerfile_parse(F "RUN a\0b", sizeof F "RUN a\0b", "D", &(struct dockerfile){ 0 }, &err), -1);
	assert_string_equal(err.reason, "it is not a text");
}

static void test_many_flags_and_heredocs(void **state)
{
	struct azm_err err = { 0 };

	(void)state;
	assert_int_equal(parse_many("", 0, "RUN --mount=a --mount=b c", &err), 0);
	cleanup_free char *flags = repeat(" --mount=a", 65), *flagged = xasprintf("RUN%s b", flags);
	assert_int_equal(parse_many("", 0, flagged, &err), -1);
	assert_string_equal(err.reason, "more than 64 flags");
	cleanup_free char *marks = repeat(" <<A", 65), *ends = repeat("A\n", 65),
			  *documents = xasprintf("RUN%s\n%s", marks, ends);
	assert_int_equal(parse_many("", 0, documents, &err), -1);
	assert_string_equal(err.reason, "more than 64 here-documents");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_bad),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_many_flags_and_heredocs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
