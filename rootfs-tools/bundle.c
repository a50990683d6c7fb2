// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/bundle.c: see bundle.h */
#include "rootfs-tools/bundle.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/str.h"

#define cleanup_json [[gnu::cleanup(release_json)]]

static void release_json(json_t **object)
{
	json_decref(*object);
}

const char *bundle_architecture(void)
{
	static const char *const names[][2] = {
		{ "x86_64", "amd64" },
		{ "aarch64", "arm64" },
		{ "riscv64", "riscv64" },
		{ "ppc64le", "ppc64le" },
		{ "s390x", "s390x" },
	};
	struct utsname host;

	if (uname(&host) < 0)
		return NULL;
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (strcmp(host.machine, names[i][0]) == 0)
			return names[i][1];
	return NULL;
}

struct platform bundle_platform(void)
{
	const char *architecture = bundle_architecture();

	return (struct platform){ .os = xstrdup("linux"), .architecture = architecture ? xstrdup(architecture) : NULL };
}

int bundle_created(char text[static 32], struct azm_err *err)
{
	const char *epoch = getenv("SOURCE_DATE_EPOCH");
	uint64_t seconds = (uint64_t)time(NULL);
	struct tm utc;

	/* Nine thousand years: what strftime() can still write with four digits. */
	if (epoch && !str_to_u64(epoch, 253402300799, &seconds))
		return err_msg(err, EINVAL, "SOURCE_DATE_EPOCH", epoch, "is not a number of seconds since 1970");
	time_t when = (time_t)seconds;
	gmtime_r(&when, &utc);
	strftime(text, 32, "%Y-%m-%dT%H:%M:%SZ", &utc);
	return 0;
}

static json_t *array_of(const char *const *items)
{
	json_t *array = json_array();

	for (; items && *items; items++)
		json_array_append_new(array, json_string(*items));
	return array;
}

/* OCI writes a set as an object whose values are empty objects. */
static json_t *set_of(const char *const *items)
{
	json_t *set = json_object();

	for (; items && *items; items++)
		json_object_set_new(set, *items, json_object());
	return set;
}

static json_t *labels_of(const char *const (*labels)[2])
{
	json_t *object = json_object();

	for (; labels && (*labels)[0]; labels++)
		json_object_set_new(object, (*labels)[0], json_string((*labels)[1]));
	return object;
}

static json_t *config_of(const struct bundle_config *config)
{
	json_t *object = json_pack("{s:o, s:s, s:o, s:o}", "Env", array_of(config->env), "WorkingDir",
		config->working_directory, "ExposedPorts", set_of(config->ports), "Labels", labels_of(config->labels));

	if (config->command)
		json_object_set_new(object, "Cmd", array_of(config->command));
	return object;
}

char *bundle_config_text(const struct bundle_config *config, struct azm_err *err)
{
	char created[32];

	if (bundle_created(created, err) < 0)
		return NULL;
	cleanup_json json_t *image = json_pack("{s:s, s:s, s:s, s:o, s:{s:s, s:[]}, s:[{s:s, s:s}]}", "created",
		created, "architecture", config->architecture, "os", "linux", "config", config_of(config), "rootfs",
		"type", "layers", "diff_ids", "history", "created", created, "created_by", config->created_by);
	cleanup_free char *text = image ? json_dumps(image, JSON_INDENT(2)) : NULL;
	if (!text) {
		err_code(err, ENOMEM, "write", "image.json");
		return NULL;
	}
	return xasprintf("%s\n", text);
}

int bundle_write_config(int dirfd, const struct bundle_config *config, struct azm_err *err)
{
	cleanup_free char *text = bundle_config_text(config, err);

	if (!text)
		return -1;
	if (write_file_at(dirfd, "image.json", text, strlen(text), 0644) < 0)
		return err_sys(err, "write", "image.json");
	return 0;
}

struct bundle_config bundle_plain_config(const char *architecture, const char *created_by)
{
	static const char *const env[] = { "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", NULL };
	static const char *const shell[] = { "/bin/sh", NULL };

	return (struct bundle_config){ .architecture = architecture ? architecture : "unknown",
		.env = env,
		.command = shell,
		.working_directory = "/",
		.created_by = created_by };
}
