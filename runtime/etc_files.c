// SPDX-License-Identifier: GPL-2.0-or-later
/* etc_files.c: see etc_files.h */
#include "etc_files.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "egress_service.h"
#include "netns/pasta.h"

/* With one mapped id there is nobody else to become: sudo as root runs the command, sudo as another id says why it
 * cannot. */
static const char sudo_stand_in[] =
	"#!/bin/sh\n"
	"# Stands in for sudo in a sandbox with a single user id (azm-sandbox).\n"
	"if [ \"$(id -u)\" != 0 ]; then\n"
	"\techo 'sudo: this sandbox has one user id, so there is no root to become' >&2\n"
	"\techo 'sudo: run it with --user 0, or use: azm-sandbox exec -u 0 NAME COMMAND' >&2\n"
	"\texit 1\n"
	"fi\n"
	"login=no\n"
	"while [ $# -gt 0 ]; do\n"
	"\tcase $1 in\n"
	"\t-[ugprtChUTRD]) shift 2 ;;\n"
	"\t--user | --group | --prompt | --chdir | --host | --role | --type) shift 2 ;;\n"
	"\t-i | -s | --login | --shell) login=yes; shift ;;\n"
	"\t-v | -k | -K | -l | -V) exit 0 ;;\n"
	"\t--) shift; break ;;\n"
	"\t-*) shift ;;\n"
	"\t*=*) export \"$1\"; shift ;;\n"
	"\t*) break ;;\n"
	"\tesac\n"
	"done\n"
	"SUDO_UID=0 SUDO_GID=0 SUDO_USER=root\n"
	"export SUDO_UID SUDO_GID SUDO_USER\n"
	"if [ $# -eq 0 ]; then [ $login = yes ] && exec \"${SHELL:-/bin/sh}\"; echo 'usage: sudo COMMAND' >&2; exit 1; "
	"fi\n"
	"exec \"$@\"\n";

static void add_file(struct mount_plan *plan, const char *target, char *text, uint32_t mode)
{
	plan->files = xrealloc(plan->files, plan->file_count + 1, sizeof *plan->files);
	plan->files[plan->file_count++] = (struct etc_file){ .target = xstrdup(target), .text = text, .mode = mode };
}

static int add_host_line(char **hosts, const char *entry, struct azm_err *err)
{
	struct in6_addr scratch;
	size_t length = strcspn(entry, ":=");
	bool is_alias = (length == strlen(EGRESS_HOST_NAME) && strncmp(entry, EGRESS_HOST_NAME, length) == 0) ||
			(length == strlen(EGRESS_HOST_ALIAS) && strncmp(entry, EGRESS_HOST_ALIAS, length) == 0);
	const char *address = entry + length + (entry[length] ? 1 : 0);

	if (strcmp(address, "host-gateway") == 0) {
		/* Our name server knows it, for as long as a rule opens a port of the host. */
		if (is_alias)
			return 0;
		err_msg(err, EINVAL, "use --add-host", entry, "the host has no address a sandbox could reach");
		return err_hint(err, "inside it is called " EGRESS_HOST_NAME " and " EGRESS_HOST_ALIAS
				     "; --egress host:PORT opens single ports of it");
	}
	for (size_t i = 0; i < length; i++)
		if ((unsigned char)entry[i] <= ' ' || (unsigned char)entry[i] > '~' || entry[i] == '#')
			length = 0;
	if (length == 0 || length > 253 ||
		(inet_pton(AF_INET, address, &scratch) != 1 && inet_pton(AF_INET6, address, &scratch) != 1))
		return err_msg(err, EINVAL, "use --add-host", entry, "expected NAME:ADDRESS");
	char *longer = xasprintf("%s%s\t%.*s\n", *hosts, address, (int)length, entry);
	free(*hosts);
	*hosts = longer;
	return 0;
}

static int hosts_file(const struct config *config, uint32_t address, char **hosts, struct azm_err *err)
{
	const char *hostname = config->hostname ? config->hostname : config->name;
	struct in_addr own = { .s_addr = htonl(address) };
	char text[INET_ADDRSTRLEN] = "127.0.1.1";

	if (address)
		inet_ntop(AF_INET, &own, text, sizeof text);
	*hosts = xasprintf("127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n%s\t%s\n", text, hostname);
	for (size_t i = 0; i < config->add_host.count; i++)
		if (add_host_line(hosts, config->add_host.items[i], err) < 0)
			return -1;
	return 0;
}

/* The stand-in goes over what the image has, so that scripts which name the path find it too. */
static void add_sudo(const struct stack *stack, struct mount_plan *plan)
{
	cleanup_fd int found = stack_open(stack, "/usr/bin/sudo", O_PATH);

	if (found >= 0)
		add_file(plan, "/usr/bin/sudo", xstrdup(sudo_stand_in), 0755);
}

/* An id the image does not know gets a line, as podman does: git, ssh, npm and whoami look their user up. */
static void add_passwd(const struct config *config, const struct identity *identity, const struct stack *stack,
	struct mount_plan *plan)
{
	size_t size = 0;

	if (identity->name)
		return;
	cleanup_free char *passwd = stack_read(stack, "/etc/passwd", 1 << 20, &size);
	if (!passwd)
		return;
	add_file(plan, "/etc/passwd",
		xasprintf("%s%sazm:x:%u:%u:azm-sandbox user:%s:/bin/sh\n", passwd,
			size && passwd[size - 1] != '\n' ? "\n" : "", identity->uid, identity->gid,
			config->workspace ? config->workspace_target : identity->home),
		0644);
}

/* Our name server answers at the gateway, or will when egress is allowed later; until then the kernel refuses questions
 * at once. It answers from memory, so more patience than that is for a busy machine. */
static char *resolv_conf(const struct config *config, uint32_t gateway)
{
	struct in_addr address = { .s_addr = htonl(gateway) };
	char server[INET_ADDRSTRLEN];

	if (strcmp(config->egress_engine, "pasta") == 0)
		return xstrdup("nameserver " PASTA_DNS "\n");
	if (config->dns.count) {
		char *text = xstrdup("");
		for (size_t i = 0; i < config->dns.count; i++) {
			char *longer = xasprintf("%snameserver %s\n", text, config->dns.items[i]);
			free(text);
			text = longer;
		}
		/* Only TCP leads out. */
		char *text_tcp = xasprintf("%soptions use-vc\n", text);
		free(text);
		return text_tcp;
	}
	if (strcmp(config->network, "none") == 0)
		return xstrdup("# azm-sandbox: no network, no name server\noptions timeout:1 attempts:1\n");
	inet_ntop(AF_INET, &address, server, sizeof server);
	return xasprintf(
		"# azm-sandbox: names that the egress rules allow\nnameserver %s\noptions timeout:1 attempts:%d\n",
		server, egress_wanted(config) ? 3 : 1);
}

int etc_files_plan(const struct config *config, uint32_t address, uint32_t gateway, bool wide,
	const struct identity *identity, const struct stack *stack, struct mount_plan *plan, struct azm_err *err)
{
	cleanup_free char *hosts = NULL;
	const char *hostname = config->hostname ? config->hostname : config->name;

	if (hosts_file(config, address, &hosts, err) < 0)
		return -1;
	add_file(plan, "/etc/hosts", steal_ptr(&hosts), 0644);
	add_file(plan, "/etc/hostname", xasprintf("%s\n", hostname), 0644);
	add_file(plan, "/etc/resolv.conf", resolv_conf(config, gateway), 0644);
	add_passwd(config, identity, stack, plan);
	if (!wide)
		add_sudo(stack, plan);
	return 0;
}
