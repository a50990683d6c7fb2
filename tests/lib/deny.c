// SPDX-License-Identifier: GPL-2.0-or-later
/* tests/lib/deny.c: run a command on a host that refuses some system calls.
 *
 *     deny RULE[,RULE...] [--] CMD [ARG...]
 *
 *     RULE = NAME=ERRNO                every call of NAME
 *            NAME:MASK=ERRNO           calls whose first argument has every bit of MASK (unshare:0x10000000=EPERM)
 *            NAME[N&MASK]=ERRNO        calls whose argument N (0..5) has every bit of MASK
 *            NAME[N==VALUE]=ERRNO      calls whose argument N, as 32 bits, is VALUE
 *     ERRNO = a name (ENOSYS), a number, or KILL (the caller dies of SIGSYS)
 *
 * This is how the tests meet old kernels (openat2=ENOSYS), outer containers (clone:0x10000000=EPERM) and security
 * modules (mount[3==0x84000]=EACCES) on a machine that has none of them. Numbers are decimal, hexadecimal or octal.
 * Exit status: CMD's; 125 wrong usage or no filter; 127 CMD not found.
 */
#include <errno.h>
#include <seccomp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/names.h"

enum { LARGEST_ERRNO = 4095 };

[[gnu::noreturn, gnu::format(printf, 1, 2)]] static void die(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fputs("deny: ", stderr);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	exit(125);
}

static uint64_t number(const char *text)
{
	char *end;

	errno = 0;
	uint64_t value = strtoull(text, &end, 0);
	if (errno || end == text || *end)
		die("%s is not a number", text);
	return value;
}

static uint32_t action_of(const char *name)
{
	if (strcmp(name, "KILL") == 0)
		return SCMP_ACT_KILL_PROCESS;
	for (int code = 1; code < LARGEST_ERRNO; code++) {
		const char *known = errno_name(code);
		if (known && strcmp(known, name) == 0)
			return SCMP_ACT_ERRNO((uint32_t)code);
	}
	uint64_t code = number(name);
	if (code > LARGEST_ERRNO)
		die("%s is not an errno", name);
	return SCMP_ACT_ERRNO((uint32_t)code);
}

/* The condition of a rule: what follows the name, "" for none. */
static bool parse_condition(char *text, struct scmp_arg_cmp *condition)
{
	unsigned argument = 0;
	const char *value = text + 1;

	if (!*text)
		return false;
	if (*text == '[') {
		char *close = strchr(text, ']');
		if (!close || close[1] || text[1] < '0' || text[1] > '5')
			die("%s is not [N&MASK] or [N==VALUE] with N from 0 to 5", text);
		*close = '\0';
		argument = (unsigned)(text[1] - '0');
		value = text + 3;
		if (text[2] == '=' && text[3] == '=') {
			*condition = SCMP_CMP(argument, SCMP_CMP_MASKED_EQ, 0xffffffff, number(text + 4));
			return true;
		}
		if (text[2] != '&')
			die("%s is neither & nor ==", text + 2);
	}
	uint64_t mask = number(value);
	*condition = SCMP_CMP(argument, SCMP_CMP_MASKED_EQ, mask, mask);
	return true;
}

static void add_rule(scmp_filter_ctx filter, char *rule)
{
	struct scmp_arg_cmp condition = { 0 };
	/* The last one: "==" may stand in the condition. */
	char *errno_name = strrchr(rule, '=');

	if (!errno_name)
		die("%s: expected NAME=ERRNO", rule);
	*errno_name++ = '\0';
	uint32_t action = action_of(errno_name);
	size_t name_length = strcspn(rule, ":[");
	char *name = strndup(rule, name_length);
	bool conditional = parse_condition(rule + name_length, &condition);
	int nr = name ? seccomp_syscall_resolve_name(name) : __NR_SCMP_ERROR;
	if (nr == __NR_SCMP_ERROR)
		die("%s is no system call", name ? name : rule);
	int result = seccomp_rule_add_array(filter, action, nr, conditional ? 1 : 0, &condition);
	if (result < 0)
		die("%s: %s", name, strerror(-result));
	free(name);
}

int main(int argc, char **argv)
{
	int command = argc > 2 && strcmp(argv[2], "--") == 0 ? 3 : 2;

	if (argc <= command)
		die("usage: deny SYSCALL[:MASK]=ERRNO[,...] [--] CMD [ARG...]");
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
	if (!filter)
		die("no memory for a filter");
	for (char *rule = strtok(argv[1], ","); rule; rule = strtok(NULL, ","))
		add_rule(filter, rule);
	/* Root needs no no_new_privs, and setting it would change what a test sees. */
	seccomp_attr_set(filter, SCMP_FLTATR_CTL_NNP, geteuid() != 0);
	seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ALLOW);
	int result = seccomp_load(filter);
	if (result < 0)
		die("cannot load the filter: %s", strerror(-result));
	seccomp_release(filter);
	execvp(argv[command], argv + command);
	/* execve itself may be what is denied. */
	fprintf(stderr, "deny: %s: %s\n", argv[command], strerror(errno));
	return errno == ENOENT ? 127 : 126;
}
