// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/registry_hosts.c: where a repository may be found, and how these hosts are trusted.
 *
 * Certificates are looked for as podman and Docker do: --cert-dir, else the first directory there is of
 * ~/.config/containers/certs.d/HOST, /etc/containers/certs.d/HOST, /etc/docker/certs.d/HOST.
 *
 * On loopback TLS may be missing, since nobody listens on the way; but a certificate that is shown has to be good all
 * the same: on a shared machine another user may have the port.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/str.h"
#include "rootfs-tools/registries_conf.h"
#include "rootfs-tools/registry_internal.h"

enum { AUTHORITIES_MAX = 1 << 20 };

void endpoint_free(struct endpoint *e)
{
	free(e->host);
	free(e->path);
	free(e->name);
	http_trust_free(&e->trust);
	credentials_free(&e->credentials);
	if (e->authorization)
		explicit_bzero(e->authorization, strlen(e->authorization));
	free(e->authorization);
}

/* ---- certificates ---------------------------------------------------------------------------------------------- */

static bool ends_with(const char *name, const char *end)
{
	size_t length = strlen(name), tail = strlen(end);

	return length > tail && strcmp(name + length - tail, end) == 0;
}

static int add_authority(struct http_trust *trust, const char *path, struct azm_err *err)
{
	cleanup_free char *text = read_path(path, AUTHORITIES_MAX, NULL);
	cleanup_free char *before = trust->authorities;

	if (!text)
		return err_sys(err, "read the certificate", path);
	trust->authorities = xasprintf("%s%s\n", before ? before : "", text);
	return 0;
}

/* Return: 1 the directory is there, 0 it is not, -1 with @err. */
static int trust_directory(struct http_trust *trust, const char *path, struct azm_err *err)
{
	cleanup_fd int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cleanup_str_list struct str_list names = { 0 };
	int result = 0;

	if (dir < 0 && (errno == ENOENT || errno == ENOTDIR || errno == EACCES))
		return 0;
	if (dir < 0 || dir_names(dir, &names) < 0)
		return err_sys(err, "read", path);
	for (size_t i = 0; result == 0 && i < names.count; i++) {
		cleanup_free char *file = xasprintf("%s/%s", path, names.items[i]);
		if (ends_with(file, ".crt"))
			result = add_authority(trust, file, err);
		if (!ends_with(file, ".cert") || trust->certificate)
			continue;
		trust->key = xasprintf("%.*s.key", (int)(strlen(file) - strlen(".cert")), file);
		if (access(trust->key, R_OK) < 0)
			result = err_sys(err, "read the key", trust->key);
		trust->certificate = steal_ptr(&file);
	}
	return result < 0 ? -1 : 1;
}

static int find_trust(const struct registry_options *options, struct endpoint *e, struct azm_err *err)
{
	const char *home = getenv("HOME"), *base = getenv("XDG_CONFIG_HOME");
	cleanup_free char *own = base && *base == '/'	? xasprintf("%s/containers/certs.d", base)
				 : home && *home == '/' ? xasprintf("%s/.config/containers/certs.d", home)
							: NULL;
	const char *const places[] = { own, "/etc/containers/certs.d", "/etc/docker/certs.d" };

	if (options->cert_dir) {
		int found = trust_directory(&e->trust, options->cert_dir, err);
		return found == 0  ? err_code(err, ENOENT, "read certificates in", options->cert_dir)
		       : found < 0 ? -1
				   : 0;
	}
	for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
		cleanup_free char *path = places[i] ? xasprintf("%s/%s", places[i], e->name) : NULL;
		int found = path ? trust_directory(&e->trust, path, err) : 0;
		if (found != 0)
			return found < 0 ? -1 : 0;
	}
	return 0;
}

/* ---- places ---------------------------------------------------------------------------------------------------- */

/* @place: "host[:port][/path]", the path that of the repository there. */
static int add_endpoint(struct registry *r, const char *place, bool insecure, struct azm_err *err)
{
	cleanup_reference struct reference checked = { 0 };
	size_t host_length = strcspn(place, "/");
	cleanup_free char *domain = xasprintf("%.*s", (int)host_length, place);
	cleanup_free char *text = xasprintf("%s:x", place);

	/* As strict as names are: what is said in a file goes into URLs, too. */
	if (!place[host_length] || reference_parse(text, &checked, err) < 0 || strcmp(checked.domain, domain) != 0)
		return err_msg(err, EINVAL, "ask the registry", place, "that is not HOST[:PORT][/PATH]");
	r->endpoints = xrealloc(r->endpoints, r->count + 1, sizeof *r->endpoints);
	struct endpoint *e = &r->endpoints[r->count++];
	*e = (struct endpoint){ .name = xstrdup(checked.domain), .path = xstrdup(checked.path) };
	e->host = xstrdup(strcmp(e->name, "docker.io") == 0 ? "registry-1.docker.io" : e->name);
	e->trust.unverified = insecure || r->options->insecure;
	e->plain_allowed = e->trust.unverified || host_is_loopback(e->host);
	return find_trust(r->options, e, err);
}

/* @location takes the place of the rule's prefix. */
static int add_place(struct registry *r, const char *name, const struct registry_rule *rule,
	const struct registry_place *place, struct azm_err *err)
{
	const bool all_hosts = str_starts(rule->prefix, "*.");
	const char *rest = name + (all_hosts ? strcspn(name, "/") : strlen(rule->prefix));
	cleanup_free char *there =
		xasprintf("%s%s", place->location ? place->location : "", place->location ? rest : name);

	return add_endpoint(r, there, place->insecure, err);
}

static int add_configured(struct registry *r, const char *name, struct azm_err *err)
{
	cleanup_registries_conf struct registries_conf conf = { 0 };

	if (registries_conf_load(&conf, err) < 0)
		return -1;
	const struct registry_rule *rule = registries_conf_find(&conf, name);
	if (rule && rule->blocked)
		return err_msg(err, EACCES, "ask the registry", name, "it is blocked in registries.conf");
	for (size_t i = 0; rule && !r->push && i < rule->mirror_count; i++)
		if (add_place(r, name, rule, &rule->mirrors[i], err) < 0)
			return -1;
	return rule ? add_place(r, name, rule, &rule->place, err) : add_endpoint(r, name, false, err);
}

int endpoints_find(struct registry *r, struct azm_err *err)
{
	cleanup_free char *name = xasprintf("%s/%s", r->host, r->path);

	for (size_t i = 0; !r->push && i < r->options->mirrors.count; i++) {
		const char *mirror = r->options->mirrors.items[i];
		cleanup_free char *place = xasprintf("%s/%s", mirror, r->path);
		if (add_endpoint(r, place, false, err) < 0)
			return -1;
	}
	return add_configured(r, name, err);
}

/* ---- options --------------------------------------------------------------------------------------------------- */

int registry_set_auth_file(void *config, const char *value, [[maybe_unused]] struct azm_err *err)
{
	((struct registry_options *)config)->auth_file = value;
	return 0;
}

int registry_set_cert_dir(void *config, const char *value, [[maybe_unused]] struct azm_err *err)
{
	((struct registry_options *)config)->cert_dir = value;
	return 0;
}

int registry_set_insecure(void *config, [[maybe_unused]] const char *value, [[maybe_unused]] struct azm_err *err)
{
	((struct registry_options *)config)->insecure = true;
	return 0;
}

int registry_set_timeout(void *config, const char *value, struct azm_err *err)
{
	uint64_t seconds;

	if (!str_to_u64(value, 3600, &seconds) || seconds == 0)
		return err_msg(err, EINVAL, "give up after", value, "not a number of seconds, 1 to 3600");
	((struct registry_options *)config)->stall = (unsigned)seconds;
	return 0;
}

int registry_set_mirror(void *config, const char *value, struct azm_err *err)
{
	struct registry_options *options = config;

	/* As Docker's registry-mirrors are written. */
	if (str_starts(value, "https://"))
		value += strlen("https://");
	cleanup_free char *mirror = xstrdup(value);
	for (size_t length = strlen(mirror); length > 1 && mirror[length - 1] == '/';)
		mirror[--length] = '\0';
	if (!*mirror || strstr(mirror, "://"))
		return err_msg(err, EINVAL, "ask the mirror", value, "that is not HOST[:PORT][/PATH]");
	str_list_add(&options->mirrors, mirror);
	return 0;
}

void registry_options_free(struct registry_options *options)
{
	str_list_free(&options->mirrors);
}
