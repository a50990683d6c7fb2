// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/registry_auth.c: being let in: Basic, or a token of the server the registry names (the distribution
 * project's "Token Authentication Specification" and "OAuth2 Token Authentication").
 *
 * Nothing is sent before a registry asks for it. Where TLS is required of the registry it is required of its token
 * server. What was given is kept for the next requests, until it expires.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/str.h"
#include "rootfs-tools/registry_internal.h"
#include "rootfs-tools/registry_text.h"

enum { ANSWER_MAX = 1 << 20, EARLY_MS = 5000 };

char *endpoint_authorization(struct registry *registry, struct endpoint *e)
{
	pthread_mutex_lock(&registry->lock);
	bool good = e->authorization && (e->expires == 0 || clock_ms() < e->expires);
	char *copy = good ? xstrdup(e->authorization) : NULL;
	pthread_mutex_unlock(&registry->lock);
	return copy;
}

static void keep(struct endpoint *e, char *authorization, int64_t expires)
{
	free(e->authorization);
	e->authorization = authorization;
	e->expires = expires;
	e->accepted = false;
}

static int ask_credentials(const struct registry *r, struct endpoint *e, struct azm_err *err)
{
	if (e->asked_credentials)
		return 0;
	if (credentials_find(r->options->auth_file, e->name, e->path, &e->credentials, err) < 0)
		return -1;
	e->asked_credentials = true;
	return 0;
}

static char *basic(const struct credentials *c)
{
	cleanup_free char *pair = xasprintf("%s:%s", c->user, c->password);
	cleanup_free char *encoded = base64_encode(pair);

	explicit_bzero(pair, strlen(pair));
	return xasprintf("Basic %s", encoded);
}

/* ---- tokens ---------------------------------------------------------------------------------------------------- */

/* What we are about to do, whatever the challenge says: it names the one request only. */
static void add_scopes(const struct registry *r, const struct endpoint *e, struct str_list *query)
{
	cleanup_free char *scope = xasprintf("repository:%s:%s", e->path, r->push ? "pull,push" : "pull");
	cleanup_free char *encoded = url_encode(scope);

	str_list_addf(query, "scope=%s", encoded);
	if (r->mount_from) {
		cleanup_free char *from = xasprintf("repository:%s:pull", r->mount_from);
		cleanup_free char *second = url_encode(from);
		str_list_addf(query, "scope=%s", second);
	}
}

static char *join(const struct str_list *list, const char *first)
{
	char *text = xstrdup(first);

	for (size_t i = 0; i < list->count; i++) {
		cleanup_free char *before = text;
		text = xasprintf("%s%s%s", before, i ? "&" : "", list->items[i]);
	}
	return text;
}

static void add_encoded(struct str_list *query, const char *key, const char *value)
{
	cleanup_free char *encoded = url_encode(value);

	str_list_addf(query, "%s=%s", key, encoded);
}

/* OAuth2 wants its scopes in one. */
static char *refresh_form(const struct registry *r, const struct endpoint *e, const struct challenge *challenge)
{
	cleanup_str_list struct str_list form = { 0 };

	str_list_add(&form, "grant_type=refresh_token");
	str_list_add(&form, "client_id=azm-rootfs");
	add_encoded(&form, "service", challenge->service ? challenge->service : "");
	cleanup_free char *scope = xasprintf("repository:%s:%s%s%s%s", e->path, r->push ? "pull,push" : "pull",
		r->mount_from ? " repository:" : "", r->mount_from ? r->mount_from : "", r->mount_from ? ":pull" : "");
	add_encoded(&form, "scope", scope);
	add_encoded(&form, "refresh_token", e->credentials.refresh_token);
	return join(&form, "");
}

static char *token_url(const struct registry *r, const struct endpoint *e, const struct challenge *challenge)
{
	cleanup_str_list struct str_list query = { 0 };

	if (challenge->service)
		add_encoded(&query, "service", challenge->service);
	add_scopes(r, e, &query);
	if (e->credentials.user)
		add_encoded(&query, "account", e->credentials.user);
	cleanup_free char *base = xasprintf("%s%c", challenge->realm, strchr(challenge->realm, '?') ? '&' : '?');
	return join(&query, base);
}

static int check_realm(const struct registry *r, const struct endpoint *e, const char *realm, struct azm_err *err)
{
	cleanup_free char *url = http_resolve(&r->api, realm, "", err);

	if (!url)
		return err_msg(err, EBADMSG, "log in at", e->name, "its token server's address cannot be used");
	if (strncasecmp(url, "https:", 6) != 0 && !e->plain)
		return err_msg(
			err, EPERM, "log in at", e->name, "its token server is not asked without TLS: %s", realm);
	return 0;
}

static int get_token(
	struct registry_client *client, struct endpoint *e, const struct challenge *challenge, struct azm_err *err)
{
	const struct registry *r = client->registry;
	const bool refresh = e->credentials.refresh_token != NULL;

	if (!challenge->realm || check_realm(r, e, challenge->realm, err) < 0)
		return err->code ? -1 : err_msg(err, EBADMSG, "log in at", e->name, "it does not say where");
	cleanup_free char *url = refresh ? xstrdup(challenge->realm) : token_url(r, e, challenge);
	cleanup_free char *form = refresh ? refresh_form(r, e, challenge) : NULL;
	cleanup_free char *authorization = e->credentials.user ? basic(&e->credentials) : NULL;
	cleanup_http_response struct http_response response = { 0 };
	struct http_request request = {
		.method = refresh ? HTTP_POST : HTTP_GET,
		.url = url,
		.trust = &e->trust,
		.authorization = refresh ? NULL : authorization,
		.accept = "application/json",
		.content_type = refresh ? "application/x-www-form-urlencoded" : NULL,
		.data = form,
		.size = form ? strlen(form) : 0,
		.limit = ANSWER_MAX,
		.deadline = DOCUMENT_SECONDS,
	};
	for (unsigned attempt = 1;; attempt++) {
		http_response_free(&response);
		err_clear(err);
		int result = http_perform(client->http, &request, &response, err);
		if (result == 0 && response.status == 200)
			break;
		if (attempt >= ATTEMPTS_MAX || !registry_is_passing(result, &response, err))
			return result < 0 ? err_wrap(err, "log in at", e->name)
					  : registry_refusal(e, "log in at", e->name, &response, err);
		if (registry_pause(client, attempt, &response, err) < 0)
			return -1;
	}
	cleanup_free char *token = NULL;
	uint64_t seconds;
	if (token_parse(response.body ? response.body : "", response.size, &token, &seconds, err) < 0)
		return -1;
	int64_t ms = (int64_t)seconds * 1000;
	keep(e, xasprintf("Bearer %s", token), clock_ms() + (ms > 2 * EARLY_MS ? ms - EARLY_MS : ms));
	return 0;
}

/* ---- challenges ------------------------------------------------------------------------------------------------ */

static int denied(const struct endpoint *e, bool known, struct azm_err *err)
{
	err_msg(err, EACCES, "log in at", e->name,
		known ? "user or password is wrong, or they may not do this" : "it wants to know who you are");
	return err_hint(err,
		"podman, skopeo or docker login %s writes ~/.config/containers/auth.json or ~/.docker/config.json, "
		"which "
		"are read here (or --authfile)",
		e->name);
}

static int authorize(
	struct registry_client *client, struct endpoint *e, const struct challenge *challenge, struct azm_err *err)
{
	const struct credentials *c = &e->credentials;

	if (ask_credentials(client->registry, e, err) < 0)
		return -1;
	if (challenge->bearer && c->bearer) {
		keep(e, xasprintf("Bearer %s", c->bearer), 0);
		return 0;
	}
	if (challenge->bearer)
		return get_token(client, e, challenge, err);
	if (challenge->basic && c->user) {
		keep(e, basic(c), 0);
		return 0;
	}
	if (!challenge->basic)
		return err_msg(err, ENOTSUP, "log in at", e->name, "it wants a way of logging in that we do not know");
	return denied(e, credentials_any(c), err);
}

int endpoint_authorize(struct registry_client *client, struct endpoint *e, const char *wanted, const char *refused,
	struct azm_err *err)
{
	cleanup_challenge struct challenge challenge = { 0 };
	struct registry *r = client->registry;
	int result = 0;

	challenge_parse(wanted, &challenge);
	pthread_mutex_lock(&r->lock);
	bool ours = e->authorization && refused && strcmp(e->authorization, refused) == 0;
	bool expired = e->authorization && e->expires != 0 && clock_ms() >= e->expires;
	if (ours && !expired && !e->accepted) /* what we have is not good enough */
		result = denied(e, credentials_any(&e->credentials), err);
	else if (ours || expired || !e->authorization) /* else another thread was quicker */
		result = authorize(client, e, &challenge, err);
	pthread_mutex_unlock(&r->lock);
	return result;
}
