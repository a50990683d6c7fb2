// SPDX-License-Identifier: GPL-2.0-or-later
/* signal_name.c: see signal_name.h */
#include "signal_name.h"

#include <signal.h>
#include <string.h>
#include <strings.h>

#include "base/str.h"

int signal_by_name(const char *text)
{
	uint64_t number;
	const char *name = strncasecmp(text, "SIG", 3) == 0 ? text + 3 : text;

	if (str_to_u64(text, NSIG - 1, &number))
		return (int)number;
	for (int i = 1; i < NSIG; i++) {
		const char *known = sigabbrev_np(i);
		if (known && strcasecmp(known, name) == 0)
			return i;
	}
	return 0;
}
