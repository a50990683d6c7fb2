// SPDX-License-Identifier: GPL-2.0-or-later
/* netns/host_name.h: one spelling for host names, so that rules, DNS questions, SNI and Host can be compared.
 *
 * A name from the network passes host_name_normalise() before anything is decided about it. What does not pass is not
 * a host name: a NUL or a "%00" that ends the text for one reader and not for the next, an address in disguise
 * (2130706433, 0x7f.1, 127.1), user@host.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

enum {
	HOST_NAME_MAX_TEXT = 253,
	HOST_NAME_SIZE = HOST_NAME_MAX_TEXT + 1
}; /* RFC 1035 section 2.3.4, without the root's dot */

/**
 * host_name_normalise() - check a name of the network and put it into lower case without trailing dot
 * @text:	@length bytes; NULs among them are found
 * @name:	room for the result; empty when refused
 *
 * Accepted are labels of 1 to 63 letters, digits, hyphens and underscores. A last label that is a number, decimal or
 * hexadecimal, makes an IPv4 address of it for many parsers (WHATWG URL, "ends in a number"): refused.
 *
 * Return: NULL, or the reason why this is not a host name, a literal
 */
[[gnu::nonnull]] const char *host_name_normalise(const char *text, size_t length, char name[static HOST_NAME_SIZE]);

/**
 * host_name_of_user() - the same for what a user wrote: UTF-8 is converted as browsers do (UTS 46, IDNA 2008)
 *
 * Hyphens at the ends of a label and damaged xn-- labels are refused, too.
 */
[[gnu::nonnull]] const char *host_name_of_user(const char *text, size_t length, char name[static HOST_NAME_SIZE]);

/** host_name_below() - whether @name is a real subdomain of @domain: "a.b.org" of "b.org", but neither "b.org" nor
 * "ab.org". Both normalised. */
[[gnu::nonnull]] bool host_name_below(const char *name, const char *domain);
