// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/http.c: see http.h.
 *
 * Redirections are followed here and not by libcurl, so that what goes where is decided in one place: credentials stay
 * with the origin they are meant for, TLS is not left behind.
 */
#include "rootfs-tools/http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/version.h"

enum { REDIRECTS_MAX = 5, FIELD_MAX = 16 << 10, HEAD_MAX = 128 << 10, ERROR_BODY_MAX = 64 << 10, SLOW_BYTES = 256 };
enum { CONNECT_SECONDS = 20 };

struct http {
	const struct curl_api *api;
	CURL *curl;
	unsigned stall;
	int (*tick)(void *context, struct azm_err *err);
	void *context;
};

/* One request while it runs. */
struct exchange {
	struct http *http;
	const struct http_request *request;
	struct http_response *response;
	size_t head;  /* bytes of header lines so far */
	size_t taken; /* of what is sent */
	bool enough;  /* the rest of an error's text is not read */
	struct azm_err err;
};

static const char *const field_names[HTTP_FIELDS] = {
	[HTTP_CONTENT_TYPE] = "Content-Type",
	[HTTP_CONTENT_LENGTH] = "Content-Length",
	[HTTP_CONTENT_RANGE] = "Content-Range",
	[HTTP_CONTENT_DIGEST] = "Docker-Content-Digest",
	[HTTP_LOCATION] = "Location",
	[HTTP_RANGE] = "Range",
	[HTTP_RETRY_AFTER] = "Retry-After",
	[HTTP_WWW_AUTHENTICATE] = "WWW-Authenticate",
};

/* ---- answers --------------------------------------------------------------------------------------------------- */

static void forget_fields(struct http_response *response)
{
	for (size_t i = 0; i < HTTP_FIELDS; i++) {
		free(response->fields[i]);
		response->fields[i] = NULL;
	}
}

void http_response_free(struct http_response *response)
{
	forget_fields(response);
	free(response->url);
	free(response->body);
	*response = (struct http_response){ 0 };
}

void http_trust_free(struct http_trust *trust)
{
	free(trust->authorities);
	free(trust->certificate);
	free(trust->key);
	*trust = (struct http_trust){ 0 };
}

/* "Name: value" without its end of line. */
static void take_field(struct http_response *response, char *line)
{
	char *value = strchr(line, ':');

	if (!value)
		return;
	*value++ = '\0';
	value += strspn(value, " \t");
	for (size_t i = 0; i < HTTP_FIELDS; i++) {
		if (strcasecmp(line, field_names[i]) != 0)
			continue;
		cleanup_free char *before = response->fields[i];
		bool join = before && i == HTTP_WWW_AUTHENTICATE && strlen(before) < FIELD_MAX;
		response->fields[i] = join ? xasprintf("%s, %s", before, value) : xstrdup(value);
	}
}

static size_t on_head(char *data, [[maybe_unused]] size_t one, size_t size, void *context)
{
	struct exchange *x = context;
	char line[FIELD_MAX];
	size_t length = size;

	x->head += size;
	while (length > 0 && strchr("\r\n \t", data[length - 1]))
		length--;
	if (x->head > HEAD_MAX || length >= sizeof line) {
		err_msg(&x->err, EFBIG, "read", x->request->url, "the head of the answer is too large");
		return 0;
	}
	memcpy(line, data, length);
	line[length] = '\0';
	if (str_starts(line, "HTTP/")) { /* a 100 Continue may have come before */
		forget_fields(x->response);
		const char *status = strchr(line, ' ');
		x->response->status = status ? strtol(status, NULL, 10) : 0;
	} else {
		take_field(x->response, line);
	}
	return size;
}

static bool is_success(const struct http_response *response)
{
	return response->status >= 200 && response->status < 300;
}

static size_t on_body(char *data, [[maybe_unused]] size_t one, size_t size, void *context)
{
	struct exchange *x = context;
	struct http_response *response = x->response;
	const bool good = is_success(response);

	if (good && x->request->sink)
		return x->request->sink(x->request->context, response, data, size, &x->err) < 0 ? 0 : size;
	size_t limit = good ? x->request->limit : ERROR_BODY_MAX;
	if (size > limit - response->size) {
		x->enough = !good;
		if (good)
			err_msg(&x->err, EFBIG, "read", x->request->url, "the answer is larger than %zu KiB",
				limit >> 10);
		return 0;
	}
	response->body = xrealloc(response->body, 1, response->size + size + 1);
	memcpy(response->body + response->size, data, size);
	response->size += size;
	response->body[response->size] = '\0';
	return size;
}

/* ---- URLs ------------------------------------------------------------------------------------------------------ */

static bool parts_of(const struct curl_api *api, const char *url, char *parts[3])
{
	static const CURLUPart which[] = { CURLUPART_SCHEME, CURLUPART_HOST, CURLUPART_PORT };
	CURLU *parsed = api->curl_url();
	bool whole = parsed && api->curl_url_set(parsed, CURLUPART_URL, url, 0) == CURLUE_OK;

	for (size_t i = 0; i < 3; i++) {
		parts[i] = NULL;
		whole = whole && api->curl_url_get(parsed, which[i], &parts[i], CURLU_DEFAULT_PORT) == CURLUE_OK;
	}
	api->curl_url_cleanup(parsed);
	return whole;
}

bool http_same_origin(const struct curl_api *api, const char *a, const char *b)
{
	char *first[3], *second[3];
	bool whole = parts_of(api, a, first);
	bool same = parts_of(api, b, second) && whole;

	for (size_t i = 0; i < 3; i++) {
		same = same && strcasecmp(first[i], second[i]) == 0;
		api->curl_free(first[i]);
		api->curl_free(second[i]);
	}
	return same;
}

bool host_is_loopback(const char *host)
{
	unsigned char address[16];
	static const unsigned char loopback6[16] = { [15] = 1 };
	size_t length = *host == '[' ? strcspn(host, "]") : strcspn(host, ":");
	const char *begin = host + (*host == '[');
	cleanup_free char *name = xasprintf("%.*s", (int)(host + length - begin), begin);

	if (*host == '[')
		return host[length] == ']' && strchr(":", host[length + 1]) &&
		       inet_pton(AF_INET6, name, address) == 1 && memcmp(address, loopback6, 16) == 0;
	return strcmp(name, "localhost") == 0 || (inet_pton(AF_INET, name, address) == 1 && address[0] == 127);
}

static bool is_http(const char *url)
{
	return strncasecmp(url, "https://", 8) == 0 || strncasecmp(url, "http://", 7) == 0;
}

char *http_resolve(const struct curl_api *api, const char *base, const char *reference, struct azm_err *err)
{
	CURLU *parsed = api->curl_url();
	char *text = NULL, *result = NULL;

	if (!parsed)
		abort(); /* out of memory */
	/* Else it is taken for relative, and its user for the base's. */
	if (api->curl_url_set(parsed, CURLUPART_URL, base, CURLU_DISALLOW_USER) == CURLUE_OK &&
		api->curl_url_set(parsed, CURLUPART_URL, reference, CURLU_DISALLOW_USER) == CURLUE_OK &&
		api->curl_url_get(parsed, CURLUPART_URL, &text, 0) == CURLUE_OK && is_http(text))
		result = xstrdup(text);
	else
		err_msg(err, EINVAL, "follow", reference, "it is not the address of a web server");
	api->curl_free(text);
	api->curl_url_cleanup(parsed);
	return result;
}

/* ---- requests -------------------------------------------------------------------------------------------------- */

static size_t on_send(char *buffer, size_t one, size_t count, void *context)
{
	struct exchange *x = context;
	const struct http_request *request = x->request;
	size_t room = one * count, left = (size_t)request->blob.size - x->taken;
	off_t offset = (off_t)(request->blob.offset + x->taken);

	ssize_t n = TEMP_FAILURE_RETRY(pread(request->blob.fd, buffer, room < left ? room : left, offset));
	if (n < 0 || (n == 0 && left > 0)) {
		err_code(&x->err, n < 0 ? errno : EIO, "read", "the blob that is sent");
		return CURL_READFUNC_ABORT;
	}
	x->taken += (size_t)n;
	if (request->sent)
		*request->sent += (uint64_t)n;
	return (size_t)n;
}

static int on_progress(void *context, [[maybe_unused]] curl_off_t a, [[maybe_unused]] curl_off_t b,
	[[maybe_unused]] curl_off_t c, [[maybe_unused]] curl_off_t d)
{
	struct exchange *x = context;

	return x->http->tick && x->http->tick(x->http->context, &x->err) < 0;
}

static void add_field(const struct curl_api *api, struct curl_slist **list, const char *name, const char *value)
{
	cleanup_free char *line = xasprintf("%s: %s", name, value);
	struct curl_slist *longer = api->curl_slist_append(*list, line);

	if (!longer)
		abort(); /* out of memory */
	*list = longer;
}

static struct curl_slist *make_fields(const struct http *http, const struct http_request *request, bool own_origin)
{
	struct curl_slist *list = NULL;

	add_field(http->api, &list, "Accept", request->accept ? request->accept : "*/*");
	/* Servers that do not answer it would cost a second each. */
	list = http->api->curl_slist_append(list, "Expect:");
	if (request->authorization && own_origin)
		add_field(http->api, &list, "Authorization", request->authorization);
	if (request->content_type)
		add_field(http->api, &list, "Content-Type", request->content_type);
	for (size_t i = 0; i < sizeof request->fields / sizeof *request->fields; i++)
		if (request->fields[i])
			list = http->api->curl_slist_append(list, request->fields[i]);
	if (request->offset) {
		cleanup_free char *range = xasprintf("bytes=%llu-", (unsigned long long)request->offset);
		add_field(http->api, &list, "Range", range);
	}
	return list;
}

/* A proxy of the environment has no way to this machine's loopback; curl would ask it all the same. */
static void set_proxy(const struct http *http, const char *url)
{
	char *parts[3];

	if (parts_of(http->api, url, parts) && host_is_loopback(parts[1]))
		http->api->setopt(http->curl, CURLOPT_PROXY, "");
	for (size_t i = 0; i < 3; i++)
		http->api->curl_free(parts[i]);
}

static void set_method(const struct http *http, struct exchange *x)
{
	const struct curl_api *api = http->api;
	const struct http_request *request = x->request;
	const bool from_file = !request->data && request->method >= HTTP_PUT;

	if (request->method == HTTP_HEAD)
		api->setopt(http->curl, CURLOPT_NOBODY, 1L);
	if (request->method < HTTP_POST)
		return;
	if (from_file) {
		api->setopt(http->curl, CURLOPT_UPLOAD, 1L);
		api->setopt(http->curl, CURLOPT_READFUNCTION, on_send);
		api->setopt(http->curl, CURLOPT_READDATA, x);
		api->setopt(http->curl, CURLOPT_INFILESIZE_LARGE, (curl_off_t)request->blob.size);
	} else {
		api->setopt(http->curl, CURLOPT_POST, 1L);
		api->setopt(http->curl, CURLOPT_POSTFIELDS, request->data ? (const char *)request->data : "");
		api->setopt(http->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)(request->data ? request->size : 0));
	}
	if (request->method != HTTP_POST)
		api->setopt(http->curl, CURLOPT_CUSTOMREQUEST, request->method == HTTP_PUT ? "PUT" : "PATCH");
}

static int set_trust(const struct http *http, const struct http_trust *trust, bool own_origin, struct azm_err *err)
{
	const struct curl_api *api = http->api;

	if (trust->unverified) {
		api->setopt(http->curl, CURLOPT_SSL_VERIFYPEER, 0L);
		api->setopt(http->curl, CURLOPT_SSL_VERIFYHOST, 0L);
	}
	if (trust->authorities) {
		/* The system's directory of authorities still counts. */
		struct curl_blob blob = { .data = trust->authorities, .len = strlen(trust->authorities) };
		if (api->setopt(http->curl, CURL_OPTION_CA_BLOB, &blob) != CURLE_OK)
			return err_msg(err, ENOTSUP, "trust", "the registry's authority",
				"this libcurl is too old (before 7.77)");
	}
	if (trust->certificate && own_origin) {
		api->setopt(http->curl, CURLOPT_SSLCERT, trust->certificate);
		api->setopt(http->curl, CURLOPT_SSLKEY, trust->key);
	}
	return 0;
}

/* ---- outcomes -------------------------------------------------------------------------------------------------- */

static const struct {
	CURLcode code;
	int as;
} outcomes[] = {
	{ CURLE_COULDNT_CONNECT, ECONNREFUSED }, { CURLE_COULDNT_RESOLVE_HOST, EHOSTUNREACH },
	{ CURLE_COULDNT_RESOLVE_PROXY, EHOSTUNREACH }, { CURLE_PEER_FAILED_VERIFICATION, EKEYREJECTED },
	{ CURLE_SSL_CACERT_BADFILE, EKEYREJECTED }, { CURLE_SSL_CERTPROBLEM, EKEYREJECTED },
	{ CURLE_SSL_CONNECT_ERROR, EPROTO }, { CURLE_OPERATION_TIMEDOUT, ETIMEDOUT },
	{ CURLE_WEIRD_SERVER_REPLY, EBADMSG }, { CURLE_UNSUPPORTED_PROTOCOL, EBADMSG }, /* HTTP/0.9 */
};

static int explain(struct exchange *x, CURLcode code, const char *text, struct azm_err *err)
{
	int as = ECONNRESET;

	if (x->err.code) {
		*err = x->err;
		return -1;
	}
	for (size_t i = 0; i < sizeof outcomes / sizeof *outcomes; i++)
		if (outcomes[i].code == code)
			as = outcomes[i].as;
	return err_msg(err, as, "reach", x->request->url, "%s", *text ? text : x->http->api->curl_easy_strerror(code));
}

static int perform_once(struct http *http, const struct http_request *request, bool own_origin,
	struct http_response *response, struct azm_err *err)
{
	const struct curl_api *api = http->api;
	struct exchange x = { .http = http, .request = request, .response = response };
	struct curl_slist *fields = make_fields(http, request, own_origin);
	char text[CURL_ERROR_SIZE] = "";

	api->curl_easy_reset(http->curl);
	api->setopt(http->curl, CURLOPT_URL, request->url);
	/* Older ones do not know it: nothing but http and https comes here, see http_resolve(). */
	(void)api->setopt(http->curl, CURL_OPTION_PROTOCOLS, "http,https");
	api->setopt(http->curl, CURLOPT_HTTPHEADER, fields);
	api->setopt(http->curl, CURLOPT_USERAGENT, "azm-rootfs/" AZM_VERSION);
	api->setopt(http->curl, CURLOPT_NOSIGNAL, 1L);
	api->setopt(http->curl, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
	api->setopt(http->curl, CURLOPT_CONNECTTIMEOUT,
		(long)(http->stall < CONNECT_SECONDS ? http->stall : CONNECT_SECONDS));
	api->setopt(http->curl, CURLOPT_LOW_SPEED_LIMIT, (long)SLOW_BYTES);
	api->setopt(http->curl, CURLOPT_LOW_SPEED_TIME, (long)http->stall);
	api->setopt(http->curl, CURLOPT_TIMEOUT, (long)request->deadline);
	api->setopt(http->curl, CURLOPT_ERRORBUFFER, text);
	api->setopt(http->curl, CURLOPT_HEADERFUNCTION, on_head);
	api->setopt(http->curl, CURLOPT_HEADERDATA, &x);
	api->setopt(http->curl, CURLOPT_WRITEFUNCTION, on_body);
	api->setopt(http->curl, CURLOPT_WRITEDATA, &x);
	api->setopt(http->curl, CURLOPT_NOPROGRESS, 0L);
	api->setopt(http->curl, CURLOPT_XFERINFOFUNCTION, on_progress);
	api->setopt(http->curl, CURLOPT_XFERINFODATA, &x);
	set_proxy(http, request->url);
	set_method(http, &x);
	int result = set_trust(http, request->trust, own_origin, err);
	CURLcode code = result == 0 ? api->curl_easy_perform(http->curl) : CURLE_OK;
	if (code != CURLE_OK && !x.enough)
		result = explain(&x, code, text, err);
	api->curl_slist_free_all(fields);
	return result;
}

/* ---- all of it ------------------------------------------------------------------------------------------------- */

static bool is_redirection(const struct http_request *request, const struct http_response *response)
{
	static const long statuses[] = { 301, 302, 303, 307, 308 };

	if (request->method > HTTP_HEAD || !response->fields[HTTP_LOCATION])
		return false;
	for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++)
		if (response->status == statuses[i])
			return true;
	return false;
}

/* Where to now? NULL with @err. */
static char *next_hop(struct http *http, const struct http_request *request, const struct http_response *response,
	const char *from, struct azm_err *err)
{
	cleanup_free char *to = http_resolve(http->api, from, response->fields[HTTP_LOCATION], err);

	if (to && strncasecmp(from, "https:", 6) == 0 && strncasecmp(to, "http:", 5) == 0 &&
		!request->trust->unverified) {
		err_msg(err, EPERM, "follow", to, "it leads from an encrypted connection to one that is not");
		return NULL;
	}
	return steal_ptr(&to);
}

int http_perform(
	struct http *http, const struct http_request *request, struct http_response *response, struct azm_err *err)
{
	struct http_request hop = *request;
	cleanup_free char *url = xstrdup(request->url);

	*response = (struct http_response){ 0 };
	for (int hops = 0; hops <= REDIRECTS_MAX; hops++) {
		hop.url = url;
		http_response_free(response);
		if (perform_once(http, &hop, http_same_origin(http->api, url, request->url), response, err) < 0)
			return -1;
		response->url = xstrdup(url);
		if (!is_redirection(request, response))
			return 0;
		char *next = next_hop(http, request, response, url, err);
		free(url);
		url = next;
		if (!url)
			return -1;
	}
	return err_msg(err, ELOOP, "reach", request->url, "it redirects more than %d times", REDIRECTS_MAX);
}

struct http *http_new(const struct curl_api *api, unsigned stall, int (*tick)(void *context, struct azm_err *err),
	void *context, struct azm_err *err)
{
	struct http *http = xcalloc(1, sizeof *http);

	*http = (struct http){
		.api = api, .curl = api->curl_easy_init(), .stall = stall, .tick = tick, .context = context
	};
	if (http->curl)
		return http;
	err_code(err, ENOMEM, "talk to a registry", NULL);
	free(http);
	return NULL;
}

void http_free(struct http *http)
{
	if (!http)
		return;
	http->api->curl_easy_cleanup(http->curl);
	free(http);
}
