// SPDX-License-Identifier: GPL-2.0-or-later
/* tests/security/filter_flags.h: enum filter_flag as words, for the command lines of the tests. */
#pragma once
#include <stdbool.h>
#include <string.h>

#include "seccomp/seccomp.h"

/** filter_flags_parse() - `none` or a comma list of flag names. Return: false for anything else. */
static inline bool filter_flags_parse(const char *text, unsigned *flags)
{
	static const struct {
		const char *name;
		unsigned flag;
	} words[] = { { "none", 0 }, { "emulate", FILTER_EMULATE_ROOT }, { "nested", FILTER_NESTED },
		{ "compat32", FILTER_COMPAT32 }, { "log", FILTER_LOG }, { "set-id", FILTER_SET_ID } };

	*flags = 0;
	for (;;) {
		size_t length = strcspn(text, ",");
		size_t i = 0;
		while (i < sizeof words / sizeof words[0] &&
			(strlen(words[i].name) != length || strncmp(words[i].name, text, length) != 0))
			i++;
		if (i == sizeof words / sizeof words[0])
			return false;
		*flags |= words[i].flag;
		if (!text[length])
			return true;
		text += length + 1;
	}
}
