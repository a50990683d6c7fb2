// SPDX-License-Identifier: GPL-2.0-or-later
/* server/locale_utf8.c: names of files are UTF-8.
 *
 * libarchive asks the locale how names of members are to be written, and a static program has no locale but "C", which
 * knows ASCII only: names with other characters could not be read. So the one question it asks is answered here, in the
 * place of the C library's function.
 */
#include <langinfo.h>

char *nl_langinfo(nl_item item)
{
	static char utf8[] = "UTF-8", empty[] = "";

	return item == CODESET ? utf8 : empty;
}
