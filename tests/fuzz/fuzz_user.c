// SPDX-License-Identifier: GPL-2.0-or-later
/* tests/fuzz/fuzz_user.c: any --user with any passwd and group file: pieces of the input in that order. */
#include <errno.h>

#include "mount/mount.h"
#include "tests/fuzz/fuzz.h"
#include "user.h"

static const char *passwd_file, *group_file;

/* Instead of mount/stack.c's: the files are the input's. */
char *__wrap_stack_read(const struct stack *stack, const char *path, size_t limit, size_t *size);

char *__wrap_stack_read(const struct stack *stack, const char *path, size_t limit, size_t *size)
{
	const char *text = strcmp(path, "/etc/passwd") == 0 ? passwd_file : group_file;

	(void)stack;
	must(strlen(text) <= limit);
	if (size)
		*size = strlen(text);
	return strdup(text);
}

static void check_identity(const char *asked, const struct identity *identity)
{
	size_t digits = strspn(asked, "0123456789");

	must(identity->uid != UINT32_MAX && identity->gid != UINT32_MAX);
	must(identity->home && identity->home[0] == '/');
	must(!identity->shell || identity->shell[0] == '/');
	must(identity->group_count <= 1024);
	for (size_t i = 0; i < identity->group_count; i++)
		must(identity->groups[i] <= ID_MAX);
	if (digits && (asked[digits] == '\0' || asked[digits] == ':'))
		must(identity->uid == strtoull(asked, NULL, 10));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct identity identity;
	struct azm_err err = { 0 };
	char *user = fuzz_piece(&data, &size);
	char *passwd = fuzz_piece(&data, &size);
	char *group = fuzz_piece(&data, &size);

	passwd_file = passwd;
	group_file = group;
	int result = user_resolve(user, &(struct stack){ 0 }, &identity, &err);
	must((result < 0) == (err.code != 0));
	if (result == 0)
		check_identity(user, &identity);
	identity_free(&identity);
	free(user);
	free(passwd);
	free(group);
	return 0;
}
