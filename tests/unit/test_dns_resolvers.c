// SPDX-License-Identifier: GPL-2.0-or-later
/* tests/unit/test_dns_resolvers.c: the name server asked by real resolvers: glibc's, musl's, busybox's.
 *
 * main() moves into namespaces where the test is root and puts its own resolv.conf over the host's.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/str.h"
#include "netns/dns.h"
#include "network_fixture.h"
#include "tests/unit/dns_fixture.h"

static char directory[64]; /* for resolv.conf; set by cover_files() */
static char programs[4096];

static void write_resolv_conf(const char *text)
{
	char path[sizeof directory + 16];
	cleanup_fd int fd = -1;

	(void)snprintf(path, sizeof path, "%s/resolv.conf", directory);
	fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(write_full(fd, text, strlen(text)), 0);
}

/* Run a program and return what it printed; owned by the caller. */
static char *output_of(char *const argv[])
{
	int ends[2];
	struct azm_err err = { 0 };

	assert_int_equal(pipe_pair(ends, &err), 0);
	pid_t child = fork();
	if (child == 0) {
		(void)dup2(ends[1], STDOUT_FILENO);
		execv(argv[0], argv);
		_exit(127);
	}
	close(ends[1]);
	char *text = read_file(ends[0], 1 << 16, NULL);
	close(ends[0]);
	waitpid(child, NULL, 0);
	assert_non_null(text);
	return text;
}

/* @program resolves @name (or an address, back). Return: what it found; owned by the caller. */
static char *lookup(const char *program, const char *name)
{
	char path[sizeof programs + 32], copy[300];

	(void)snprintf(path, sizeof path, "%s/%s", programs, program);
	(void)snprintf(copy, sizeof copy, "%s", name);
	char *argv[] = { path, copy, NULL };
	char *text = output_of(argv), *newline = strchr(text, '\n');
	assert_non_null(newline);
	*newline = '\0';
	assert_true(str_starts(text, name));
	memmove(text, text + strlen(name) + 1, strlen(text + strlen(name)));
	return text;
}

struct lookup_case {
	const char *name;
	const char *answer;  /* NULL: some synthetic address; "-": none */
	const char *reverse; /* what the address is called; NULL: @name */
};

static const struct lookup_case lookups[] = {
	{ "example.org", NULL, NULL },
	{ "EXAMPLE.org", NULL, "example.org" },
	{ "example.org.", NULL, "example.org" },
	{ "a.example.com", NULL, NULL },
	{ "a.b.c.example.com", NULL, NULL },
	{ "xn--bcher-kva.example", NULL, NULL },
	{ "host.azm.internal", NULL, NULL },
	{ "host.docker.internal", NULL, NULL },
	{ "web", "10.111.0.7", "web.azm" },
	{ "WEB", "10.111.0.7", "web.azm" },
	{ "web.azm", "10.111.0.7", NULL },
	{ "my.box", "10.111.0.8", "my.box.azm" },
	{ "my.box.azm", "10.111.0.8", NULL },
	{ "example.com", "-", NULL },
	{ "bad.example.com", "-", NULL },
	{ "www.example.org", "-", NULL },
	{ "evilexample.org", "-", NULL },
	{ "example.org.evil.com", "-", NULL },
	{ "example.org.azm", "-", NULL },
	{ "nobody", "-", NULL },
	{ "nobody.azm", "-", NULL },
	{ "localhost.example.net", "-", NULL },
};

static void check_lookup(const char *program, const struct lookup_case *row)
{
	cleanup_free char *answer = lookup(program, row->name);
	struct in_addr address;

	if (row->answer && strcmp(answer, row->answer) != 0)
		fail_msg("%s: %s is %s", program, row->name, answer);
	if (row->answer && strcmp(row->answer, "-") == 0)
		return;
	if (inet_pton(AF_INET, answer, &address) != 1 || (!row->answer && !synthetic_contains(ntohl(address.s_addr))))
		fail_msg("%s: %s is %s", program, row->name, answer);
	cleanup_free char *back = lookup(program, answer);
	if (strcmp(back, row->reverse ? row->reverse : row->name) != 0)
		fail_msg("%s: %s (%s) is called %s", program, answer, row->name, back);
}

static void check_lookups(const char *program)
{
	for (size_t i = 0; i < sizeof lookups / sizeof *lookups; i++)
		check_lookup(program, &lookups[i]);
}

static void glibc_asks_over_udp(void **state)
{
	(void)state;
	write_resolv_conf("nameserver 127.0.0.1\noptions timeout:3 attempts:1\n");
	check_lookups("lookup-glibc");
}

static void glibc_asks_over_tcp_with_edns(void **state)
{
	(void)state;
	write_resolv_conf("nameserver 127.0.0.1\noptions timeout:3 attempts:1 use-vc edns0 single-request\n");
	check_lookups("lookup-glibc");
}

static void glibc_asks_with_a_search_domain(void **state)
{
	(void)state;
	write_resolv_conf("nameserver 127.0.0.1\nsearch azm\noptions timeout:3 attempts:1 ndots:2\n");
	check_lookups("lookup-glibc");
}

static void musl_asks(void **state)
{
	(void)state;
	write_resolv_conf("nameserver 127.0.0.1\noptions timeout:3 attempts:1\n");
	check_lookups("lookup-musl");
	write_resolv_conf("nameserver 127.0.0.1\nsearch azm\noptions timeout:3 attempts:1 ndots:2\n");
	check_lookups("lookup-musl");
}

static void all_resolvers_get_the_same_address(void **state)
{
	char busybox[] = "/bin/busybox", nslookup[] = "nslookup", name[] = "a.example.com", server[] = "127.0.0.1",
	     nobody[] = "nobody.example";
	char *asks[] = { busybox, nslookup, name, server, NULL },
	     *asks_nobody[] = { busybox, nslookup, nobody, server, NULL };

	(void)state;
	write_resolv_conf("nameserver 127.0.0.1\noptions timeout:3 attempts:1\n");
	cleanup_free char *glibc = lookup("lookup-glibc", name), *musl = lookup("lookup-musl", name);
	cleanup_free char *answer = output_of(asks), *none = output_of(asks_nobody);
	assert_string_equal(glibc, musl);
	if (!strstr(answer, glibc))
		fail_msg("%s is not in %s", glibc, answer);
	if (!strstr(none, "NXDOMAIN"))
		fail_msg("%s", none);
}

static void cover(const char *path, const char *text)
{
	char own[sizeof directory + 16];

	(void)snprintf(own, sizeof own, "%s%s", directory, strrchr(path, '/'));
	int fd = open(own, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	must(fd >= 0 && write_full(fd, text, strlen(text)) == 0, own);
	close(fd);
	must(mount(own, path, NULL, MS_BIND, NULL) == 0, path);
}

/* Our own files over the resolver's. */
static void cover_files(void)
{
	must(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0, "mounts");
	strcpy(directory, "/tmp/azm-test-dns-XXXXXX");
	must(mkdtemp(directory) != NULL, directory);
	must(mount("test", directory, "tmpfs", 0, NULL) == 0, directory);
	cover("/etc/resolv.conf", "");
	cover("/etc/nsswitch.conf", "hosts: dns\n");
	cover("/etc/hosts", "");
}

static void find_programs(void)
{
	ssize_t size = readlink("/proc/self/exe", programs, sizeof programs - 1);

	must(size > 0, "/proc/self/exe");
	programs[size] = '\0';
	*strrchr(programs, '/') = '\0';
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		DNS_TEST(glibc_asks_over_udp),
		DNS_TEST(glibc_asks_over_tcp_with_edns),
		DNS_TEST(glibc_asks_with_a_search_domain),
		DNS_TEST(musl_asks),
		DNS_TEST(all_resolvers_get_the_same_address),
	};

	become_user();
	find_programs();
	dns_enter_world();
	cover_files();
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	(void)umount2(directory, MNT_DETACH);
	(void)rmdir(directory);
	return failed;
}
