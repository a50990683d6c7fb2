// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/credentials.c: see credentials.h. */
#include "rootfs-tools/credentials.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/str.h"
#include "rootfs-tools/registry_text.h"

enum { FILE_MAX = 1 << 20, ANSWER_MAX = 64 << 10, HELPER_SECONDS = 60, HELPER_NAME_MAX = 64 };

#define cleanup_json [[gnu::cleanup(release_json)]]

static void release_json(json_t **object)
{
	json_decref(*object);
}

void credentials_free(struct credentials *c)
{
	char *secrets[] = { c->password, c->refresh_token, c->bearer };

	for (size_t i = 0; i < sizeof secrets / sizeof *secrets; i++)
		if (secrets[i])
			explicit_bzero(secrets[i], strlen(secrets[i]));
	free(c->user);
	free(c->password);
	free(c->refresh_token);
	free(c->bearer);
	*c = (struct credentials){ 0 };
}

bool credentials_any(const struct credentials *c)
{
	return c->user || c->refresh_token || c->bearer;
}

/* ---- one document ---------------------------------------------------------------------------------------------- */

static const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text && *text ? text : NULL;
}

/* Docker's registry has had several names. */
static const char *canonical_host(const char *host)
{
	return strcmp(host, "index.docker.io") == 0 || strcmp(host, "registry-1.docker.io") == 0 ? "docker.io" : host;
}

/* "https://index.docker.io/v1/" is docker.io; "host/group" is what it is. Caller owns. */
static char *canonical_key(const char *key)
{
	const char *scheme = strstr(key, "://");
	const char *rest = scheme ? scheme + 3 : key;
	size_t host_length = strcspn(rest, "/");
	cleanup_free char *host = xasprintf("%.*s", (int)host_length, rest);
	cleanup_free char *path = xstrdup(scheme ? "" : rest + host_length);

	for (size_t length = strlen(path); length > 0 && path[length - 1] == '/';)
		path[--length] = '\0';
	return xasprintf("%s%s", canonical_host(host), path);
}

/* The member that is called @name, or means it. */
static const json_t *member_of(const json_t *object, const char *name)
{
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)object, key, value)
	{
		cleanup_free char *canonical = canonical_key(key);
		if (strcmp(canonical, name) == 0)
			return value;
	}
	return NULL;
}

/* Of auths: the longest part of the name that is there. */
static const json_t *entry_of(const json_t *auths, const char *host, const char *path)
{
	cleanup_free char *name = xasprintf("%s/%s", host, path);

	for (;;) {
		const json_t *entry = member_of(auths, name);
		char *slash = strrchr(name, '/');
		if (entry || !slash)
			return entry;
		*slash = '\0';
	}
}

static void take_entry(const json_t *entry, struct credentials *c)
{
	const char *refresh = text_of(entry, "identitytoken"), *bearer = text_of(entry, "registrytoken");
	const char *encoded = text_of(entry, "auth");
	cleanup_free char *pair = encoded ? base64_decode(encoded) : NULL;
	char *colon = pair ? strchr(pair, ':') : NULL;

	if (refresh && is_field_text(refresh)) {
		c->refresh_token = xstrdup(refresh);
	} else if (bearer && is_field_text(bearer)) {
		c->bearer = xstrdup(bearer);
	} else if (colon) {
		*colon = '\0';
		c->user = xstrdup(pair);
		c->password = xstrdup(colon + 1);
		explicit_bzero(colon + 1, strlen(colon + 1));
	}
}

bool credentials_parse(
	const char *text, size_t size, const char *host, const char *path, struct credentials *c, char **helper)
{
	json_error_t error;
	cleanup_json json_t *object = json_loadb(text, size, 0, &error);
	const char *name;

	*c = (struct credentials){ 0 };
	*helper = NULL;
	name = json_string_value(member_of(json_object_get(object, "credHelpers"), canonical_host(host)));
	if (name) {
		*helper = xstrdup(name);
		return true;
	}
	take_entry(entry_of(json_object_get(object, "auths"), canonical_host(host), path), c);
	name = text_of(object, "credsStore");
	if (!credentials_any(c) && name)
		*helper = xstrdup(name);
	return credentials_any(c) || *helper;
}

/* ---- helpers --------------------------------------------------------------------------------------------------- */

static int check_helper_name(const char *name, struct azm_err *err)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";

	if (*name && strlen(name) <= HELPER_NAME_MAX && strspn(name, allowed) == strlen(name))
		return 0;
	return err_msg(err, EINVAL, "log in with the credential helper", name, "that is no name of a program");
}

static int spawn_helper(const char *program, int in, int out, pid_t *child)
{
	char *argv[] = { (char *)program, (char *)"get", NULL };
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	sigset_t none, all;

	sigemptyset(&none);
	sigfillset(&all);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, in, STDIN_FILENO);
	posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
	posix_spawnattr_init(&attributes);
	posix_spawnattr_setsigmask(&attributes, &none);
	posix_spawnattr_setsigdefault(&attributes, &all);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	int code = posix_spawnp(child, program, &actions, &attributes, argv, environ);
	posix_spawnattr_destroy(&attributes);
	posix_spawn_file_actions_destroy(&actions);
	return code;
}

/* What it says, bounded in time and size. NULL: too long, too late. */
static char *read_answer(int fd, size_t *size)
{
	cleanup_free char *answer = xcalloc(1, ANSWER_MAX + 1);
	const int64_t until = clock_ms() + HELPER_SECONDS * 1000;

	for (*size = 0; *size < ANSWER_MAX;) {
		struct pollfd ready = { .fd = fd, .events = POLLIN };
		int64_t left = until - clock_ms();
		if (left <= 0 || poll(&ready, 1, (int)left) == 0)
			return NULL;
		ssize_t n = read(fd, answer + *size, ANSWER_MAX - *size);
		if (n < 0 && errno != EINTR)
			return NULL;
		if (n == 0)
			return steal_ptr(&answer);
		*size += n > 0 ? (size_t)n : 0;
	}
	return NULL;
}

/* Docker's protocol: the server on its input, a JSON document on its output. */
static int ask_helper(const char *name, const char *host, struct credentials *c, struct azm_err *err)
{
	int in[2], out[2], status = 0;
	pid_t child;
	size_t size = 0;

	if (check_helper_name(name, err) < 0 || pipe_pair(in, err) < 0)
		return -1;
	cleanup_fd int in_read = in[0], in_write = in[1];
	if (pipe_pair(out, err) < 0)
		return -1;
	cleanup_fd int out_read = out[0], out_write = out[1];
	cleanup_free char *program = xasprintf("docker-credential-%s", name);
	int code = spawn_helper(program, in_read, out_write, &child);
	if (code) {
		err_code(err, code, "log in with the credential helper", program);
		return err_hint(
			err, "your login file names it: install it, or log in with podman, skopeo or docker login");
	}
	close(steal_fd(&out_write));
	close(steal_fd(&in_read));
	const char *server = strcmp(host, "docker.io") == 0 ? "https://index.docker.io/v1/" : host;
	(void)write_full(in_write, server, strlen(server));
	close(steal_fd(&in_write));
	cleanup_free char *answer = read_answer(out_read, &size);
	if (!answer)
		kill(child, SIGKILL);
	TEMP_FAILURE_RETRY(waitpid(child, &status, 0));
	if (!answer)
		return err_msg(
			err, ETIMEDOUT, "log in with the credential helper", program, "it gave no usable answer");
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		return 0; /* it does not know the registry */
	json_error_t error;
	cleanup_json json_t *object = json_loadb(answer, size, 0, &error);
	explicit_bzero(answer, size);
	const char *user = text_of(object, "Username"), *secret = text_of(object, "Secret");
	if (!user || !secret)
		return err_msg(err, EBADMSG, "log in with the credential helper", program, "it gave no usable answer");
	if (strcmp(user, "<token>") == 0) {
		c->refresh_token = xstrdup(secret);
	} else {
		c->user = xstrdup(user);
		c->password = xstrdup(secret);
	}
	return 0;
}

/* ---- files ----------------------------------------------------------------------------------------------------- */

/* Return: 1 it knows the registry, 0 not, or there is no such file, -1 with @err. */
static int look_into(
	const char *file, bool must, const char *host, const char *path, struct credentials *c, struct azm_err *err)
{
	struct stat st;
	cleanup_free char *helper = NULL;
	size_t size;
	cleanup_fd int fd = open(file, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

	if (fd < 0)
		return !must && (errno == ENOENT || errno == ENOTDIR || errno == EACCES)
			       ? 0
			       : err_sys(err, "read the login file", file);
	if (fstat(fd, &st) < 0)
		return err_sys(err, "read the login file", file);
	if (!S_ISREG(st.st_mode))
		return err_msg(err, EINVAL, "read the login file", file, "not a regular file");
	if ((st.st_uid != geteuid() && st.st_uid != 0) || (st.st_mode & (S_IWGRP | S_IWOTH))) {
		err_msg(err, EPERM, "read the login file", file,
			"others could have written it, and it may name programs");
		return err_hint(err, "chmod go-w %s", file);
	}
	cleanup_free char *text = read_file(fd, FILE_MAX, &size);
	if (!text)
		return err_sys(err, "read the login file", file);
	bool known = credentials_parse(text, size, host, path, c, &helper);
	explicit_bzero(text, size);
	if (helper && ask_helper(helper, host, c, err) < 0)
		return -1;
	return known && credentials_any(c) ? 1 : 0;
}

/* $VARIABLE/below when that is set and absolute, else $HOME/or_else; NULL: neither. Caller owns. */
static char *in_environment(const char *variable, const char *below, const char *or_else)
{
	const char *value = getenv(variable), *home = getenv("HOME");

	if (value && *value == '/')
		return xasprintf("%s/%s", value, below);
	return or_else && home && *home == '/' ? xasprintf("%s/%s", home, or_else) : NULL;
}

int credentials_find(const char *file, const char *host, const char *path, struct credentials *c, struct azm_err *err)
{
	static const char *const places[][3] = {
		{ "XDG_RUNTIME_DIR", "containers/auth.json", NULL },
		{ "XDG_CONFIG_HOME", "containers/auth.json", ".config/containers/auth.json" },
		{ "DOCKER_CONFIG", "config.json", ".docker/config.json" },
	};
	const char *given = file ? file : getenv("REGISTRY_AUTH_FILE");
	int known = 0;

	*c = (struct credentials){ 0 };
	if (given && *given)
		return look_into(given, true, host, path, c, err) < 0 ? -1 : 0;
	for (size_t i = 0; known == 0 && i < sizeof places / sizeof *places; i++) {
		cleanup_free char *name = in_environment(places[i][0], places[i][1], places[i][2]);
		if (name)
			known = look_into(name, false, host, path, c, err);
	}
	if (known < 0)
		credentials_free(c);
	return known < 0 ? -1 : 0;
}
