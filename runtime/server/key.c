// SPDX-License-Identifier: GPL-2.0-or-later
/* server/key.c: the API key: where it comes from, and that it goes nowhere else.
 *
 * Commands run as the same user as the server, so the key must not stay where they could read it: not in the
 * environment they inherit, not in /proc/PID/environ (which shows the memory the kernel put the environment in,
 * whatever unsetenv() did), not in a descriptor they inherit. main() also makes the process non-dumpable, which closes
 * /proc/PID/mem.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/str.h"
#include "server/server.h"

enum { KEY_MAX = 4096 };

static int take_from_file(const char *path, char **key, struct azm_err *err)
{
	size_t size;
	cleanup_free char *text = read_path(path, KEY_MAX, &size);

	if (!text)
		return err_sys(err, "read the API key from", path);
	text[strcspn(text, "\r\n")] = '\0';
	if (!*text)
		return err_msg(err, EINVAL, "read the API key from", path, "it is empty");
	*key = steal_ptr(&text);
	return 0;
}

static void take_from_environment(char **key)
{
	char *value = getenv("SESSION_API_KEY");

	if (value && *value)
		*key = xstrdup(value);
	if (value)
		explicit_bzero(value, strlen(value));
	unsetenv("SESSION_API_KEY");
}

int key_take(const char *key_file, char **key, struct azm_err *err)
{
	*key = NULL;
	take_from_environment(key);
	if (!key_file)
		return 0;
	free(steal_ptr(key));
	return take_from_file(key_file, key, err);
}

bool key_equal(const char *key, const char *given)
{
	size_t key_size = strlen(key), given_size = strlen(given);
	unsigned difference = key_size != given_size;

	for (size_t i = 0; i < given_size; i++)
		difference |= (unsigned char)(given[i] ^ key[i < key_size ? i : 0]);
	return difference == 0;
}
