// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/reference.c: see reference.h. */
#include "rootfs-tools/reference.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "rootfs-tools/digest.h"

enum { PATH_LENGTH_MAX = 255, TAG_LENGTH_MAX = 128 };

static const char lower[] = "abcdefghijklmnopqrstuvwxyz0123456789";
static const char word[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_";

static int bad(const char *text, const char *why, struct azm_err *err)
{
	return err_msg(err, EINVAL, "use the name", text, "%s", why);
}

static bool is_of(char c, const char *allowed)
{
	return c && strchr(allowed, c);
}

static bool is_tag(const char *text)
{
	size_t length = strlen(text);

	if (length == 0 || length > TAG_LENGTH_MAX || !is_of(*text, word))
		return false;
	for (; *text; text++)
		if (!is_of(*text, word) && *text != '.' && *text != '-')
			return false;
	return true;
}

/* "." or "_" or "__" or any number of "-" between letters and digits. */
static size_t separator_length(const char *text)
{
	if (text[0] == '.')
		return 1;
	if (text[0] == '_')
		return text[1] == '_' ? 2 : 1;
	return strspn(text, "-");
}

static bool is_path(const char *text)
{
	if (strlen(text) > PATH_LENGTH_MAX)
		return false;
	for (;;) {
		size_t letters = strspn(text, lower);
		if (letters == 0)
			return false;
		text += letters;
		if (!*text)
			return true;
		text += *text == '/' ? 1 : separator_length(text);
	}
}

/* A host name or address, with a port or not. */
static bool is_domain(const char *text)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-:[]";
	size_t length = strlen(text);

	return length > 0 && length <= 255 && strspn(text, allowed) == length && text[0] != '-' && text[0] != ':' &&
	       text[0] != '.';
}

/* The first component is a domain when it cannot be a directory: "localhost/x", "a.b/x", "host:5000/x". */
static bool begins_with_domain(const char *text, size_t length)
{
	return (length == strlen("localhost") && strncmp(text, "localhost", length) == 0) ||
	       memchr(text, '.', length) || memchr(text, ':', length);
}

static int parse_tail(char *rest, struct reference *r, const char *text, struct azm_err *err)
{
	struct digest digest;
	char *at = strchr(rest, '@');

	if (at) {
		*at = '\0';
		if (digest_parse(at + 1, &digest, err) < 0)
			return -1;
		r->digest = xstrdup(at + 1);
	}
	char *colon = strrchr(rest, ':');
	if (colon) {
		*colon = '\0';
		if (!is_tag(colon + 1))
			return bad(text, "the part behind the colon is not a tag", err);
	}
	if (colon || !at)
		r->tag = xstrdup(colon ? colon + 1 : "latest");
	return is_path(rest) ? 0 : bad(text, "not the name of an image", err);
}

int reference_parse(const char *text, struct reference *reference, struct azm_err *err)
{
	struct reference r = { 0 };

	*reference = r;
	if (strlen(text) > REFERENCE_MAX)
		return err_code(err, ENAMETOOLONG, "use the name", "of an image");
	cleanup_free char *copy = xstrdup(text);
	char *slash = strchr(copy, '/'), *rest = copy;
	if (slash && begins_with_domain(copy, (size_t)(slash - copy))) {
		*slash = '\0';
		rest = slash + 1;
	}
	if (rest != copy && !is_domain(copy))
		return bad(text, "the part before the first slash is not a host", err);
	if (parse_tail(rest, &r, text, err) < 0) {
		reference_free(&r);
		return -1;
	}
	r.domain = xstrdup(rest != copy && strcmp(copy, "index.docker.io") != 0 ? copy : "docker.io");
	bool official = strcmp(r.domain, "docker.io") == 0 && !strchr(rest, '/');
	r.path = xasprintf("%s%s", official ? "library/" : "", rest);
	if (strlen(r.path) > PATH_LENGTH_MAX) {
		reference_free(&r);
		return bad(text, "it is too long", err);
	}
	*reference = r;
	return 0;
}

char *reference_text(const struct reference *r)
{
	return xasprintf("%s/%s%s%s%s%s", r->domain, r->path, r->tag ? ":" : "", r->tag ? r->tag : "",
		r->digest ? "@" : "", r->digest ? r->digest : "");
}

void reference_free(struct reference *r)
{
	free(r->domain);
	free(r->path);
	free(r->tag);
	free(r->digest);
	*r = (struct reference){ 0 };
}

bool reference_same(const char *a, const char *b)
{
	cleanup_reference struct reference first = { 0 }, second = { 0 };
	struct azm_err ignored = { 0 };

	if (strcmp(a, b) == 0)
		return true;
	if (reference_parse(a, &first, &ignored) < 0 || reference_parse(b, &second, &ignored) < 0)
		return false;
	cleanup_free char *whole = reference_text(&first);
	cleanup_free char *other = reference_text(&second);
	return strcmp(whole, other) == 0;
}

/* ---- sources --------------------------------------------------------------------------------------------------- */

static const struct {
	const char *prefix;
	enum source_kind kind;
} schemes[] = {
	{ "oci:", SOURCE_OCI_DIRECTORY },
	{ "oci-archive:", SOURCE_OCI_ARCHIVE },
	{ "docker-archive:", SOURCE_DOCKER_ARCHIVE },
};

static const char docker_prefix[] = "docker://";

static int parse_name(const char *text, struct source_name *source, struct azm_err *err)
{
	cleanup_reference struct reference reference = { 0 };

	if (reference_parse(text, &reference, err) < 0)
		return -1;
	*source = (struct source_name){ .kind = SOURCE_REGISTRY, .path = reference_text(&reference) };
	return 0;
}

int source_parse(const char *text, struct source_name *source, struct azm_err *err)
{
	*source = (struct source_name){ 0 };
	if (!*text || strlen(text) > SOURCE_TEXT_MAX)
		return err_code(err, *text ? ENAMETOOLONG : EINVAL, "unpack", NULL);
	if (str_starts(text, docker_prefix))
		return parse_name(text + strlen(docker_prefix), source, err);
	for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++) {
		if (!str_starts(text, schemes[i].prefix))
			continue;
		source->kind = schemes[i].kind;
		text += strlen(schemes[i].prefix);
		break;
	}
	source->path = xstrdup(text);
	char *colon = source->kind == SOURCE_AUTO ? NULL : strchr(source->path, ':');
	if (colon) {
		*colon = '\0';
		source->tag = colon[1] ? xstrdup(colon + 1) : NULL;
	}
	if (*source->path)
		return 0;
	source_name_free(source);
	return err_msg(err, EINVAL, "unpack", NULL, "which file or directory?");
}

int source_parse_image(const char *text, struct source_name *source, struct azm_err *err)
{
	bool prefixed = str_starts(text, docker_prefix);

	*source = (struct source_name){ 0 };
	for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++)
		prefixed |= str_starts(text, schemes[i].prefix);
	if (prefixed)
		return source_parse(text, source, err);
	if (*text == '/' || *text == '.' || strcmp(text, "-") == 0) {
		err_msg(err, EINVAL, "pull", text, "that is a file, not the name of an image");
		return err_hint(err, "azm-rootfs unpack %s DIR", text);
	}
	return parse_name(text, source, err);
}

void source_name_free(struct source_name *source)
{
	free(source->path);
	free(source->tag);
	*source = (struct source_name){ 0 };
}
