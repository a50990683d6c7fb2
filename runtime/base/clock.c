// SPDX-License-Identifier: GPL-2.0-or-later
/* base/clock.c: see clock.h. The Gregorian calendar repeats every 400 years, which are 146097 days; counted from the
 * 1st of March, a leap day is the last of its year (Howard Hinnant, "chrono-compatible low-level date algorithms"). */
#include "base/clock.h"

#include <stdio.h>

enum { DAY = 86400, ERA_DAYS = 146097, ERA_BEFORE_1970 = 719468 };

void clock_utc_text(int64_t seconds, char text[static CLOCK_UTC_TEXT])
{
	int64_t second = seconds % DAY, days = seconds / DAY + ERA_BEFORE_1970;

	if (second < 0) {
		second += DAY;
		days--;
	}
	int64_t era = (days < 0 ? days - (ERA_DAYS - 1) : days) / ERA_DAYS;
	int64_t of_era = days - era * ERA_DAYS;
	int64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / (ERA_DAYS - 1)) / 365;
	int64_t of_year = of_era - (365 * year + year / 4 - year / 100);
	int64_t from_march = (5 * of_year + 2) / 153;
	int64_t day = of_year - (153 * from_march + 2) / 5 + 1;
	int64_t month = from_march < 10 ? from_march + 3 : from_march - 9;

	/* Two digits each; said so that the compiler sees that they fit. */
	const unsigned parts[] = { (unsigned)month % 100, (unsigned)day % 100, (unsigned)(second / 3600) % 100,
		(unsigned)(second / 60 % 60), (unsigned)(second % 60) };
	snprintf(text, CLOCK_UTC_TEXT, "%04lld-%02u-%02uT%02u:%02u:%02u", (long long)(year + era * 400 + (month <= 2)),
		parts[0], parts[1], parts[2], parts[3], parts[4]);
}
