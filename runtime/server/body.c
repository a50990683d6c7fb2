// SPDX-License-Identifier: GPL-2.0-or-later
/* server/body.c: see body.h */
#include "server/body.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"

int file_nameless(void)
{
	static const char *const places[] = { "/tmp", "/var/tmp", NULL };

	for (size_t i = 0; places[i]; i++) {
		int fd = open(places[i], O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
		if (fd >= 0)
			return fd;
	}
	return memfd_create("azm-body", MFD_CLOEXEC);
}

static int move_to_file(struct body *body)
{
	cleanup_fd int fd = file_nameless();

	if (fd < 0 || write_full(fd, body->text.bytes, body->text.size) < 0)
		return -1;
	text_free(&body->text);
	body->file = steal_fd(&fd);
	return 0;
}

int body_add(struct body *body, const char *bytes, size_t size)
{
	bool in_memory = body->size <= BODY_IN_MEMORY;

	if (in_memory)
		text_add(&body->text, bytes, size);
	else if (write_full(body->file, bytes, size) < 0)
		return -1;
	if (in_memory && body->text.size > BODY_IN_MEMORY && move_to_file(body) < 0) {
		text_free(&body->text);
		body->size = 0;
		return -1;
	}
	body->size += size;
	return 0;
}

json_t *body_json(const struct body *body, size_t flags, json_error_t *error)
{
	const char *text = body->text.bytes ? body->text.bytes : "";

	if (body->size <= BODY_IN_MEMORY)
		return json_loadb(text, body->text.size, flags, error);
	void *mapped = mmap(NULL, body->size, PROT_READ, MAP_PRIVATE, body->file, 0);
	if (mapped == MAP_FAILED)
		return json_loadb(text, 0, flags, error);
	json_t *value = json_loadb(mapped, body->size, flags, error);
	munmap(mapped, body->size);
	return value;
}

void body_free(struct body *body)
{
	if (body->size > BODY_IN_MEMORY)
		close(body->file);
	text_free(&body->text);
	*body = (struct body){ 0 };
}
