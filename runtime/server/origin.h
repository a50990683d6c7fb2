// SPDX-License-Identifier: GPL-2.0-or-later
/* server/origin.h: who a request without a key may come from.
 *
 * A browser lets any page send requests to 127.0.0.1, and a page whose name is made to point there (DNS rebinding) may
 * read the answers too. A key cannot be known to such a page. Where no key is needed, these two rules keep it out.
 */
#pragma once
#include <stdbool.h>

/** origin_is_ours() - whether an Origin header names the server that the Host header (may be NULL) names. */
bool origin_is_ours(const char *origin, const char *host);

/**
 * host_is_local() - whether a Host header is one that public DNS cannot have led here
 *
 * An address, a name without a dot, or a name below localhost, internal, local, lan or home.arpa, with or without port.
 */
bool host_is_local(const char *host);
