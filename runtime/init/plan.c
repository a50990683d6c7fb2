// SPDX-License-Identifier: GPL-2.0-or-later
/* init/plan.c: the plan as bytes, see plan.h.
 *
 * Theory of operation
 *
 * A codec walks the fields of the plan in a fixed order. In writing direction each step appends the field's bytes, in
 * reading direction the same step takes them; walk_plan() is therefore the one description of the format. Counts are
 * checked against what is left of the message before anything is allocated, so a damaged message cannot make azm-init
 * allocate more than a small multiple of its own size.
 */
#include "init/plan.h"

#include <stdlib.h>
#include <string.h>

#include "base/str.h"

struct codec {
	bool reading;
	bool damaged;
	unsigned char *data;
	size_t size; /* reading: length of data; writing: room in data */
	size_t at;
};

static void raw(struct codec *c, void *field, size_t size)
{
	if (size == 0)
		return;
	if (c->reading) {
		if (c->damaged || size > c->size - c->at) {
			c->damaged = true;
			memset(field, 0, size);
			return;
		}
		memcpy(field, c->data + c->at, size);
	} else {
		while (size > c->size - c->at) {
			c->size = c->size ? c->size * 2 : 8192;
			c->data = xrealloc(c->data, c->size, 1);
		}
		memcpy(c->data + c->at, field, size);
	}
	c->at += size;
}

#define FIELD(c, field) raw(c, &(field), sizeof(field))

/* A flag is one byte that is 0 or 1: any other value would not be a valid bool. */
static void flag(struct codec *c, bool *value)
{
	unsigned char byte = *value;

	raw(c, &byte, 1);
	if (byte > 1)
		c->damaged = true;
	*value = byte == 1;
}

/* The length of an array or a string whose elements take at least @least bytes each. */
static size_t count(struct codec *c, size_t value, size_t least)
{
	uint32_t n = (uint32_t)value;

	FIELD(c, n);
	if (c->reading && n > (c->size - c->at) / least) {
		c->damaged = true;
		return 0;
	}
	return n;
}

/* An optional string: its length plus one, or 0 for NULL, then the bytes. */
static void text(struct codec *c, char **string)
{
	size_t n = count(c, *string ? strlen(*string) + 1 : 0, 1);

	if (c->reading)
		*string = n ? xcalloc(n, 1) : NULL;
	if (n)
		raw(c, *string, n - 1);
}

static void strings(struct codec *c, char ***list, size_t *length)
{
	*length = count(c, *length, 4);
	if (c->reading)
		*list = xcalloc(*length + 1, sizeof **list);
	for (size_t i = 0; i < *length; i++)
		text(c, &(*list)[i]);
}

/* Make room for an array while reading; the element walk follows. */
#define ARRAY(c, array, length, least)                                                                                 \
	do {                                                                                                           \
		(length) = count(c, length, least);                                                                    \
		if ((c)->reading)                                                                                      \
			(array) = xcalloc((length) + 1, sizeof *(array));                                              \
	} while (0)

static void walk_host_path(struct codec *c, struct host_path *path)
{
	text(c, &path->path);
	FIELD(c, path->dev);
	FIELD(c, path->ino);
	FIELD(c, path->type);
}

static void walk_volume(struct codec *c, struct volume *volume)
{
	FIELD(c, volume->kind);
	walk_host_path(c, &volume->source);
	ARRAY(c, volume->layers, volume->layer_count, 24);
	for (size_t i = 0; i < volume->layer_count; i++)
		walk_host_path(c, &volume->layers[i]);
	walk_host_path(c, &volume->upper);
	walk_host_path(c, &volume->work);
	text(c, &volume->target);
	flag(c, &volume->read_only);
	flag(c, &volume->populate);
	flag(c, &volume->exec_server);
	FIELD(c, volume->size);
	FIELD(c, volume->mode);
	ARRAY(c, volume->guarded, volume->guarded_count, 9);
	for (size_t i = 0; i < volume->guarded_count; i++) {
		text(c, &volume->guarded[i].path);
		flag(c, &volume->guarded[i].pin);
		text(c, &volume->guarded[i].text);
	}
}

static void walk_mounts(struct codec *c, struct mount_plan *mounts)
{
	FIELD(c, mounts->mode);
	ARRAY(c, mounts->lowers, mounts->lower_count, 24);
	for (size_t i = 0; i < mounts->lower_count; i++)
		walk_host_path(c, &mounts->lowers[i]);
	walk_host_path(c, &mounts->upper);
	walk_host_path(c, &mounts->work);
	flag(c, &mounts->read_only);
	ARRAY(c, mounts->volumes, mounts->volume_count, 24);
	for (size_t i = 0; i < mounts->volume_count; i++)
		walk_volume(c, &mounts->volumes[i]);
	ARRAY(c, mounts->files, mounts->file_count, 12);
	for (size_t i = 0; i < mounts->file_count; i++) {
		text(c, &mounts->files[i].target);
		text(c, &mounts->files[i].text);
		FIELD(c, mounts->files[i].mode);
		flag(c, &mounts->files[i].required);
	}
	FIELD(c, mounts->proc);
	FIELD(c, mounts->shm_size);
	FIELD(c, mounts->tty_gid);
	flag(c, &mounts->cgroup);
	FIELD(c, mounts->memory_layer);
	FIELD(c, mounts->memory_inodes);
}

static void walk_identity(struct codec *c, struct plan *plan)
{
	FIELD(c, plan->uid);
	FIELD(c, plan->gid);
	ARRAY(c, plan->groups, plan->group_count, sizeof *plan->groups);
	raw(c, plan->groups, plan->group_count * sizeof *plan->groups);
	flag(c, &plan->wide_map);
	FIELD(c, plan->caps);
	flag(c, &plan->no_new_privs);
	flag(c, &plan->emulate_root);
	flag(c, &plan->log_denials);
	ARRAY(c, plan->filter, plan->filter_count, sizeof *plan->filter);
	raw(c, plan->filter, plan->filter_count * sizeof *plan->filter);
}

static void walk_process(struct codec *c, struct plan *plan)
{
	ARRAY(c, plan->limits, plan->limit_count, sizeof *plan->limits);
	raw(c, plan->limits, plan->limit_count * sizeof *plan->limits);
	strings(c, &plan->argv, &plan->argc);
	strings(c, &plan->envp, &plan->envc);
	text(c, &plan->cwd);
	flag(c, &plan->make_cwd);
	flag(c, &plan->tty);
}

static void walk_copy(struct codec *c, struct plan_copy *copy)
{
	FIELD(c, copy->op);
	text(c, &copy->path);
	text(c, &copy->name);
	flag(c, &copy->follow);
	flag(c, &copy->contents);
	flag(c, &copy->plain);
	flag(c, &copy->set_owner);
	flag(c, &copy->keep_owner);
	FIELD(c, copy->uid);
	FIELD(c, copy->gid);
	FIELD(c, copy->from_uid);
}

static void walk_plan(struct codec *c, struct plan *plan)
{
	flag(c, &plan->enter);
	walk_copy(c, &plan->copy);
	walk_mounts(c, &plan->mount);
	text(c, &plan->hostname);
	flag(c, &plan->nested);
	walk_identity(c, plan);
	walk_process(c, plan);
}

unsigned char *plan_encode(struct plan *plan, size_t *size)
{
	struct codec c = { 0 };
	uint32_t length = 0;

	FIELD(&c, length);
	walk_plan(&c, plan);
	length = (uint32_t)(c.at - sizeof length);
	memcpy(c.data, &length, sizeof length);
	*size = c.at;
	return c.data;
}

int plan_decode(unsigned char *data, size_t size, struct plan *plan)
{
	struct codec c = { .reading = true, .data = data, .size = size };

	walk_plan(&c, plan);
	return c.damaged || c.at != size ? -1 : 0;
}
