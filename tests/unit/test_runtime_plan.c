// SPDX-License-Identifier: GPL-2.0-or-later
/* tests/unit/test_runtime_plan.c: a plan arrives as it was sent, and a damaged one is noticed (init/plan.h). */
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "init/plan.h"
#include "tests/lib/plan_free.h"
#include "tests/unit/runtime_fixture.h"

static char empty[] = "", name[] = "box", image[] = "/img/rootfs", upper[] = "/s/upper", work[] = "/s/work",
	    target[] = "/workspace", hosts[] = "127.0.0.1\tlocalhost\n", program[] = "/bin/true", option[] = "-x",
	    variable[] = "PATH=/bin";

/* Every field differs from its default and from its neighbours. */
static struct plan whole_plan(void)
{
	static struct host_path lowers[] = { { image, 1, 2, S_IFDIR }, { work, 3, UINT64_MAX, S_IFDIR } };
	static struct guarded guarded[] = { { name, true, NULL, 0 }, { target, false, hosts, 0 } };
	static struct volume volumes[] = {
		{ VOLUME_OVERLAY, { image, 4, 5, S_IFDIR }, { upper, 6, 7, S_IFDIR }, { work, 8, 9, S_IFDIR }, target,
			true, true, false, 0, 0, guarded, 2, lowers, 2 },
		{ VOLUME_TMPFS, { 0 }, { 0 }, { 0 }, empty, false, false, true, 4096, 01777, NULL, 0, NULL, 0 },
	};
	static struct etc_file files[] = { { target, hosts, 0644, true }, { name, empty, 0755, false } };
	static uint32_t groups[] = { 4, 27, 65535 };
	static struct sock_filter filter[] = { { 0x20, 0, 0, 4 }, { 6, 1, 2, 0x7fff0000 } };
	static struct plan_limit limits[] = { { RLIMIT_NOFILE, 1024, RLIM_INFINITY } };
	static char *argv[] = { program, option, empty, NULL }, *envp[] = { variable, NULL };

	return (struct plan){ .enter = true,
		.mount = { .mode = ROOT_READ_ONLY,
			.lowers = lowers,
			.lower_count = 2,
			.upper = { upper, 10, 11, S_IFDIR },
			.work = { work, 12, 13, S_IFDIR },
			.read_only = true,
			.volumes = volumes,
			.volume_count = 2,
			.files = files,
			.file_count = 2,
			.proc = PROC_BIND,
			.shm_size = 1ull << 40,
			.tty_gid = -1,
			.cgroup = true,
			.memory_layer = 1ull << 33,
			.memory_inodes = 77 },
		.hostname = name,
		.nested = true,
		.uid = 1000,
		.gid = UINT32_MAX - 1,
		.groups = groups,
		.group_count = 3,
		.wide_map = true,
		.caps = UINT64_MAX,
		.no_new_privs = true,
		.emulate_root = true,
		.log_denials = true,
		.filter = filter,
		.filter_count = 2,
		.limits = limits,
		.limit_count = 1,
		.argv = argv,
		.argc = 3,
		.envp = envp,
		.envc = 1,
		.cwd = target,
		.make_cwd = true,
		.tty = true };
}

static void same_text(const char *a, const char *b)
{
	assert_string_equal(a ? a : "(null)", b ? b : "(null)");
}

static void same_path(const struct host_path *a, const struct host_path *b)
{
	same_text(a->path, b->path);
	assert_true(a->dev == b->dev && a->ino == b->ino && a->type == b->type);
}

static void same_mounts(const struct mount_plan *a, const struct mount_plan *b)
{
	assert_true(a->mode == b->mode && a->read_only == b->read_only && a->proc == b->proc &&
		    a->shm_size == b->shm_size && a->tty_gid == b->tty_gid && a->cgroup == b->cgroup &&
		    a->memory_layer == b->memory_layer && a->memory_inodes == b->memory_inodes);
	assert_true(a->lower_count == b->lower_count && a->volume_count == b->volume_count &&
		    a->file_count == b->file_count);
	for (size_t i = 0; i < a->lower_count; i++)
		same_path(&a->lowers[i], &b->lowers[i]);
	same_path(&a->upper, &b->upper);
	same_path(&a->work, &b->work);
	for (size_t i = 0; i < a->volume_count; i++) {
		const struct volume *v = &a->volumes[i], *w = &b->volumes[i];
		same_path(&v->source, &w->source);
		assert_int_equal(v->layer_count, w->layer_count);
		for (size_t k = 0; k < v->layer_count; k++)
			same_path(&v->layers[k], &w->layers[k]);
		same_path(&v->upper, &w->upper);
		same_path(&v->work, &w->work);
		same_text(v->target, w->target);
		assert_true(v->kind == w->kind && v->read_only == w->read_only && v->exec_server == w->exec_server &&
			    v->size == w->size && v->mode == w->mode && v->guarded_count == w->guarded_count);
		for (size_t k = 0; k < v->guarded_count; k++) {
			same_text(v->guarded[k].path, w->guarded[k].path);
			same_text(v->guarded[k].text, w->guarded[k].text);
			assert_true(v->guarded[k].pin == w->guarded[k].pin);
		}
	}
	for (size_t i = 0; i < a->file_count; i++) {
		same_text(a->files[i].target, b->files[i].target);
		same_text(a->files[i].text, b->files[i].text);
		assert_true(a->files[i].mode == b->files[i].mode && a->files[i].required == b->files[i].required);
	}
}

static void same_strings(char **a, size_t a_count, char **b, size_t b_count)
{
	assert_int_equal(a_count, b_count);
	for (size_t i = 0; i < a_count; i++)
		same_text(a[i], b[i]);
	assert_null(b[b_count]); /* execve() wants it */
}

static void same_plan(const struct plan *a, const struct plan *b)
{
	same_mounts(&a->mount, &b->mount);
	same_text(a->hostname, b->hostname);
	assert_true(a->enter == b->enter && a->nested == b->nested && a->uid == b->uid && a->gid == b->gid);
	assert_true(a->wide_map == b->wide_map && a->caps == b->caps && a->no_new_privs == b->no_new_privs &&
		    a->emulate_root == b->emulate_root && a->log_denials == b->log_denials);
	assert_true(a->group_count == b->group_count && a->filter_count == b->filter_count &&
		    a->limit_count == b->limit_count);
	if (a->group_count)
		assert_memory_equal(a->groups, b->groups, a->group_count * sizeof *a->groups);
	if (a->filter_count)
		assert_memory_equal(a->filter, b->filter, a->filter_count * sizeof *a->filter);
	for (size_t i = 0; i < a->limit_count; i++)
		assert_true(a->limits[i].resource == b->limits[i].resource && a->limits[i].soft == b->limits[i].soft &&
			    a->limits[i].hard == b->limits[i].hard);
	same_strings(a->argv, a->argc, b->argv, b->argc);
	same_strings(a->envp, a->envc, b->envp, b->envc);
	same_text(a->cwd, b->cwd);
	assert_true(a->make_cwd == b->make_cwd && a->tty == b->tty);
}

/* Encode without the length in front, which azm-init reads apart. */
static unsigned char *message_of(struct plan *plan, size_t *size)
{
	uint32_t length;
	unsigned char *data = plan_encode(plan, size);

	memcpy(&length, data, sizeof length);
	*size -= sizeof length;
	assert_int_equal(length, *size);
	memmove(data, data + sizeof length, *size);
	return data;
}

static void round_trip(struct plan *plan)
{
	struct plan back = { 0 };
	size_t size;
	cleanup_free unsigned char *data = message_of(plan, &size);

	assert_int_equal(plan_decode(data, size, &back), 0);
	same_plan(plan, &back);
	plan_free(&back);
}

static void a_plan_arrives_as_it_was_sent(void **state)
{
	struct plan plan = whole_plan(), nothing = { 0 };

	(void)state;
	round_trip(&plan);
	round_trip(&nothing);
}

static void a_megabyte_of_arguments_arrives(void **state)
{
	cleanup_str_list struct str_list list = { 0 };
	struct plan plan = { 0 };

	(void)state;
	for (unsigned i = 0; i < 20000; i++)
		str_list_addf(&list, "argument %u that is fifty bytes long or thereabouts", i);
	plan.argv = list.items;
	plan.argc = list.count;
	round_trip(&plan);
}

/* Return: what plan_decode() said of a private copy, so that a sanitizer sees every byte past its end. */
static int decode_copy(const unsigned char *data, size_t size)
{
	struct plan plan = { 0 };
	cleanup_free unsigned char *copy = xcalloc(size, 1);

	memcpy(copy, data, size);
	int result = plan_decode(copy, size, &plan);
	plan_free(&plan);
	return result;
}

static void a_message_that_is_cut_or_too_long_is_noticed(void **state)
{
	struct plan plan = whole_plan();
	size_t size;
	cleanup_free unsigned char *data = message_of(&plan, &size);

	(void)state;
	for (size_t cut = 0; cut < size; cut++)
		assert_int_equal(decode_copy(data, cut), -1);
	cleanup_free unsigned char *longer = xcalloc(size + 1, 1);
	memcpy(longer, data, size);
	assert_int_equal(decode_copy(longer, size + 1), -1);
}

static void changed_bytes_do_no_harm(void **state)
{
	static const unsigned char values[] = { 0x00, 0x01, 0x02, 0x7f, 0x80, 0xff };
	struct plan plan = whole_plan();
	size_t size;
	cleanup_free unsigned char *data = message_of(&plan, &size);

	(void)state;
	for (size_t at = 0; at < size; at++) {
		unsigned char was = data[at];
		for (size_t v = 0; v < sizeof values; v++) {
			data[at] = values[v];
			decode_copy(data, size);
		}
		data[at] = was;
	}
	/* The first byte is a flag: everything but 0 and 1 is damage. */
	data[0] = 2;
	assert_int_equal(decode_copy(data, size), -1);
}

/* Counts are checked before memory is taken: four bytes must not cost gigabytes. */
static void a_count_beyond_the_message_takes_no_memory(void **state)
{
	struct rlimit before;
	struct plan nothing = { 0 };
	size_t size;
	cleanup_free unsigned char *data = message_of(&nothing, &size);

	(void)state;
	getrlimit(RLIMIT_AS, &before);
#if !defined __SANITIZE_ADDRESS__ /* whose shadow is larger than any limit */
	assert_int_equal(setrlimit(RLIMIT_AS, &(struct rlimit){ 1ull << 30, before.rlim_max }), 0);
#endif
	for (size_t at = 0; at + 4 <= size; at++) {
		unsigned char was[4];
		memcpy(was, data + at, 4);
		memset(data + at, 0xff, 4);
		decode_copy(data, size);
		memcpy(data + at, was, 4);
	}
	setrlimit(RLIMIT_AS, &before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_plan_arrives_as_it_was_sent),
		cmocka_unit_test(a_megabyte_of_arguments_arrives),
		cmocka_unit_test(a_message_that_is_cut_or_too_long_is_noticed),
		cmocka_unit_test(changed_bytes_do_no_harm),
		cmocka_unit_test(a_count_beyond_the_message_takes_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
