// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/curl_api.c: see curl_api.h. */
#include "rootfs-tools/curl_api.h"

#include <dlfcn.h>
#include <errno.h>
#include <stddef.h>

static const struct {
	const char *name;
	size_t member;
} functions[] = {
#define CURL_API_ROW(function) { #function, offsetof(struct curl_api, function) },
	CURL_API_FUNCTIONS(CURL_API_ROW)
#undef CURL_API_ROW
		{ "curl_easy_setopt", offsetof(struct curl_api, setopt) },
	{ "curl_easy_getinfo", offsetof(struct curl_api, getinfo) },
};

static bool load_from(const char *library, struct curl_api *api)
{
	void *handle = dlopen(library, RTLD_NOW | RTLD_LOCAL);

	for (size_t i = 0; handle && i < sizeof functions / sizeof *functions; i++) {
		void *function = dlsym(handle, functions[i].name);
		if (!function) {
			dlclose(handle);
			return false;
		}
		*(void **)((char *)api + functions[i].member) = function;
	}
	return handle && api->curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
}

int curl_api_load(struct curl_api *api, struct azm_err *err)
{
	static const char *const libraries[] = { "libcurl.so.4", "libcurl-gnutls.so.4" };

	for (size_t i = 0; i < sizeof libraries / sizeof *libraries; i++)
		if (load_from(libraries[i], api))
			return 0;
	err_msg(err, ELIBACC, "talk to a registry", NULL, "this machine has no libcurl.so.4");
	return err_hint(err, "install libcurl (Debian, Ubuntu: apt-get install libcurl4), or copy the image to this "
			     "machine as an archive and unpack that");
}
