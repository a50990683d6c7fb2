// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/curl_api.h: libcurl, loaded when a registry is asked for the first time.
 *
 * Not linked: azm-rootfs must start where libcurl is missing, and Debian has no static archives of what it needs. Any
 * flavour of libcurl.so.4 since 7.68 serves.
 */
#pragma once
#include <curl/curl.h>

#include "base/err.h"

/* One row a function: its name and its type, from curl/curl.h. */
#define CURL_API_FUNCTIONS(row)                                                                                        \
	row(curl_global_init) row(curl_easy_init) row(curl_easy_cleanup) row(curl_easy_reset) row(curl_easy_perform)   \
		row(curl_easy_strerror) row(curl_slist_append) row(curl_slist_free_all) row(curl_url)                  \
			row(curl_url_cleanup) row(curl_url_get) row(curl_url_set) row(curl_free) row(curl_getdate)

/* Options that headers older than the library at hand do not have. */
#define CURL_OPTION_CA_BLOB   ((CURLoption)40309) /* CURLOPT_CAINFO_BLOB, since 7.77 */
#define CURL_OPTION_PROTOCOLS ((CURLoption)10318) /* CURLOPT_PROTOCOLS_STR, since 7.85 */

struct curl_api {
#define CURL_API_MEMBER(name) __typeof__(name) *name;
	CURL_API_FUNCTIONS(CURL_API_MEMBER)
#undef CURL_API_MEMBER
	/* Their headers make macros of them, which check types and call the function by its name. */
	CURLcode (*setopt)(CURL *curl, CURLoption option, ...);
	CURLcode (*getinfo)(CURL *curl, CURLINFO info, ...);
};

/**
 * curl_api_load() - before any thread uses it
 *
 * The library stays until the program ends. Return: 0; -1 with @err (ELIBACC) and what to install
 */
[[gnu::nonnull]] int curl_api_load(struct curl_api *api, struct azm_err *err);
