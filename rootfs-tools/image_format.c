// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/image_format.c: see image_format.h. Names of formats are those of `podman save`. */
#include "rootfs-tools/image_format.h"

#include <errno.h>
#include <string.h>

int image_format_parse(const char *text, enum wanted_format *wanted, struct azm_err *err)
{
	static const struct {
		const char *name;
		enum wanted_format wanted;
	} formats[] = { { "oci", WANT_OCI }, { "oci-dir", WANT_OCI_DIRECTORY }, { "oci-archive", WANT_OCI_ARCHIVE },
		{ "docker", WANT_DOCKER_ARCHIVE }, { "docker-archive", WANT_DOCKER_ARCHIVE } };

	for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
		if (strcmp(formats[i].name, text) == 0) {
			*wanted = formats[i].wanted;
			return 0;
		}
	}
	err_msg(err, EINVAL, "write the format", text, "not a format we know");
	return err_hint(err, "oci, oci-dir, oci-archive, docker");
}

bool image_path_is_archive(const char *path)
{
	size_t length = strlen(path);

	return strcmp(path, "-") == 0 || (length > 4 && strcmp(path + length - 4, ".tar") == 0);
}

int image_format_choose(
	enum wanted_format wanted, const struct source_name *out, enum image_format *format, struct azm_err *err)
{
	enum wanted_format said = WANT_OCI;

	if (out->kind != SOURCE_AUTO) {
		said = out->kind == SOURCE_OCI_DIRECTORY ? WANT_OCI_DIRECTORY
		       : out->kind == SOURCE_OCI_ARCHIVE ? WANT_OCI_ARCHIVE
							 : WANT_DOCKER_ARCHIVE;
		bool same =
			wanted == said || wanted == WANT_AUTO || (wanted == WANT_OCI && said != WANT_DOCKER_ARCHIVE);
		if (!same)
			return err_msg(err, EINVAL, "write the image", out->path,
				"its name says another format than --format");
		wanted = said;
	}
	if (wanted == WANT_AUTO || wanted == WANT_OCI)
		wanted = image_path_is_archive(out->path) ? WANT_OCI_ARCHIVE : WANT_OCI_DIRECTORY;
	*format = wanted == WANT_OCI_DIRECTORY ? IMAGE_OCI_DIRECTORY
		  : wanted == WANT_OCI_ARCHIVE ? IMAGE_OCI_ARCHIVE
					       : IMAGE_DOCKER_ARCHIVE;
	return 0;
}

const char *image_format_name(enum image_format format)
{
	static const char *const names[] = { [IMAGE_OCI_DIRECTORY] = "oci-dir",
		[IMAGE_OCI_ARCHIVE] = "oci-archive",
		[IMAGE_DOCKER_ARCHIVE] = "docker-archive" };

	return names[format];
}
