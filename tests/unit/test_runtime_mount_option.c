// SPDX-License-Identifier: GPL-2.0-or-later
/* tests/unit/test_runtime_mount_option.c: --mount as text, and what a sandbox may change of the host
 * (mount_option.h). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "mount_option.h"
#include "tests/unit/runtime_fixture.h"

static void every_spelling_has_one_form(void **state)
{
	static const struct {
		const char *text, *form;
	} rows[] = {
		{ "type=bind,source=/a,target=/b", "type=bind,source=/a,target=/b" },
		{ "dst=/b,src=/a,type=bind", "type=bind,source=/a,target=/b" },
		{ "type=bind,source=/a,destination=/b,ro", "type=bind,source=/a,target=/b,readonly=true" },
		{ "type=bind,source=/a,target=/b,readonly=false", "type=bind,source=/a,target=/b" },
		{ "type=bind,source=/a,target=/b,readonly=1,bind-propagation=rslave,consistency=cached",
			"type=bind,source=/a,target=/b,readonly=true" },
		{ "source=v,target=/b", "type=volume,source=v,target=/b" },
		{ "type=volume,source=v,target=/b,volume-nocopy,volume-label=a=b,volume-driver=local",
			"type=volume,source=v,target=/b,volume-nocopy=true" },
		{ "type=tmpfs,target=/t,tmpfs-size=1m,tmpfs-mode=1770",
			"type=tmpfs,target=/t,tmpfs-size=1048576,tmpfs-mode=1770" },
		{ "type=bind,\"source=/a,b\",target=/c", "type=bind,\"source=/a,b\",target=/c" },
		{ "type=bind,\"source=/a\"\"q\"\"\",target=/c", "type=bind,\"source=/a\"\"q\"\"\",target=/c" },
		{ "type=bind,source=/a=b,target=/c", "type=bind,source=/a=b,target=/c" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct azm_err err = { 0 };
		cleanup_mount_option struct mount_option option, again;
		assert_ok(mount_option_parse(rows[i].text, &option, &err), &err);
		cleanup_free char *form = mount_option_text(&option);
		assert_string_equal(form, rows[i].form);
		/* what is stored is read back as the same */
		assert_ok(mount_option_parse(form, &again, &err), &err);
		cleanup_free char *twice = mount_option_text(&again);
		assert_string_equal(twice, form);
		mount_option_free(&again);
	}
}

static void what_is_no_mount_leaves_nothing(void **state)
{
	static const char *const rows[] = { "", ",", "type", "type=", "type=bind", "bind", "=",
		"type=bind,source=,target=/b", "type=bind,source=/a,target=", "type=bind,source=/a,target=/b,", "\"",
		"\"type=bind", "type=\"bind\"", "type=tmpfs,target=/t,tmpfs-size=0",
		"type=tmpfs,target=/t,tmpfs-mode=8", "type=tmpfs,target=/t,tmpfs-mode=2000",
		"type=volume,source=v,target=/b,tmpfs-size=1m", "TYPE=bind,source=/a,target=/b" };

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct azm_err err = { 0 };
		struct mount_option option;
		if (mount_option_parse(rows[i], &option, &err) == 0)
			fail_msg("\"%s\" was accepted", rows[i]);
		assert_int_equal(err.code, EINVAL);
		assert_true(!option.source && !option.target);
	}
}

static void only_what_the_host_shares_for_writing_counts(void **state)
{
	static const char *const volumes[] = { "/rw:/a", "/ro:/b:ro", "/copy:/c:overlay", "name:/d", "/z:/e:rw,z" };
	static const char *const mounts[] = { "type=bind,source=/m,target=/f",
		"type=bind,source=/mro,target=/g,readonly", "type=volume,source=v,target=/h", "type=tmpfs,target=/i" };
	static const char *const wanted[] = { "/work", "/rw", "/z", "/m" };
	char work[] = "/work";
	struct config config = { .workspace = work };
	cleanup_str_list struct str_list paths = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof volumes / sizeof *volumes; i++)
		str_list_add(&config.volumes, volumes[i]);
	for (size_t i = 0; i < sizeof mounts / sizeof *mounts; i++)
		str_list_add(&config.mounts, mounts[i]);
	writable_binds(&config, &paths);
	assert_int_equal(paths.count, sizeof wanted / sizeof *wanted);
	for (size_t i = 0; i < paths.count; i++)
		assert_string_equal(paths.items[i], wanted[i]);
	str_list_free(&config.volumes);
	str_list_free(&config.mounts);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_spelling_has_one_form),
		cmocka_unit_test(what_is_no_mount_leaves_nothing),
		cmocka_unit_test(only_what_the_host_shares_for_writing_counts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
