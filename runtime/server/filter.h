// SPDX-License-Identifier: GPL-2.0-or-later
/* server/filter.h: stands between the output of programs and libvterm 0.1, which does not survive every input.
 *
 * What is dealt with here, each found by feeding it random sequences:
 *
 * - a C1 control character in UTF-8 has width -1 and moves the cursor out of the window, where tab stops are then set
 *   outside their array; also when a control character stands between its two bytes. Only whole valid characters
 *   pass, others become U+FFFD, C1 controls vanish.
 * - combining marks on one character are collected without end. A few pass.
 * - REP (repeat the last character) never ends after a character of width 0, or none. It is done here.
 * - numbers in control sequences overflow. Nine digits pass.
 * - parameters are written behind the end of their array of 16. As many pass.
 * - arrays as long as the input are put on the stack. The pieces are bounded.
 *
 * "Erase saved lines", which libvterm ignores, is recognised on the way.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

struct filter {
	void (*pass)(void *context, const char *bytes, size_t size);
	void (*erase_saved)(void *context);
	void *context;
	int repeat_max; /* characters that REP may add */

	/* private */
	enum { FILTER_TEXT, FILTER_ESCAPE, FILTER_CSI } state;
	int digits;	 /* of the parameter that is being read */
	int separators;	 /* between parameters */
	int parameter;	 /* the first one of a control sequence, 0 if it has none */
	bool more;	 /* there are more parameters */
	bool special;	 /* or a private marker or intermediate characters */
	char partial[4]; /* beginning of a character */
	size_t partial_size;
	char last[4]; /* the character that REP would repeat */
	size_t last_size;
	int marks; /* combining marks in a row */
};

/** filter_write() - take output, hand on what is safe. */
void filter_write(struct filter *filter, const char *bytes, size_t size);
