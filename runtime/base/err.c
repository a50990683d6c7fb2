// SPDX-License-Identifier: GPL-2.0-or-later
/* base/err.c: see err.h. Uses no stdio streams but in err_print(), so that azm-init can link it cheaply. */
#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"

static void set_text(struct azm_err *err, const char *step, const char *object)
{
	if (object)
		snprintf(err->text, sizeof err->text, "%s %s", step, object);
	else
		snprintf(err->text, sizeof err->text, "%s", step);
}

int err_code(struct azm_err *err, int code, const char *step, const char *object)
{
	err_clear(err);
	err->code = code ? code : EIO;
	set_text(err, step, object);
	return -1;
}

int err_sys(struct azm_err *err, const char *step, const char *object)
{
	return err_code(err, errno, step, object);
}

int err_msg(struct azm_err *err, int code, const char *step, const char *object, const char *format, ...)
{
	va_list args;

	err_code(err, code, step, object);
	va_start(args, format);
	vsnprintf(err->reason, sizeof err->reason, format, args);
	va_end(args);
	return -1;
}

int err_wrap(struct azm_err *err, const char *step, const char *object)
{
	char inner[sizeof err->text];

	memcpy(inner, err->text, sizeof inner);
	set_text(err, step, object);
	size_t len = strlen(err->text);
	snprintf(err->text + len, sizeof err->text - len, ": %.*s", (int)sizeof inner - 1, inner);
	return -1;
}

int err_hint(struct azm_err *err, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(err->hint, sizeof err->hint, format, args);
	va_end(args);
	return -1;
}

bool err_is(const struct azm_err *err, int code)
{
	return err->code != 0 && err->code == code;
}

void err_clear(struct azm_err *err)
{
	err->code = 0;
	err->exit_status = 0;
	err->text[0] = err->reason[0] = err->hint[0] = '\0';
}

int err_print(const struct azm_err *err, const char *program)
{
	char line[sizeof err->text + sizeof err->reason + 64];
	char hint[sizeof err->hint];

	snprintf(line, sizeof line, "%s: %s: %s", program, err->text,
		err->reason[0] ? err->reason : strerror(err->code));
	str_sanitise(line);
	fprintf(stderr, "%s\n", line);
	if (err->hint[0]) {
		memcpy(hint, err->hint, sizeof hint);
		str_sanitise_lines(hint);
		fprintf(stderr, "hint: %s\n", hint);
	}
	return err->exit_status ? err->exit_status : EXIT_AZM;
}
