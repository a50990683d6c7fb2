// SPDX-License-Identifier: GPL-2.0-or-later
/* Doctor's explanations for hosts that are only described: no such host is needed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "doctor/apparmor.h"
#include "doctor/explain.h"
#include "doctor/hints.h"
#include "doctor/report.h"

/* A healthy host of today. */
static struct host_facts healthy(void)
{
	struct host_facts host = { .uid = 1000,
		.gid = 1000,
		.kernel_major = 6,
		.kernel_minor = 8,
		.kernel = "6.8.0",
		.apparmor_restrict = HOST_UNKNOWN,
		.userns_clone = HOST_UNKNOWN,
		.memfd_noexec = 0 };

	for (int kind = 0; kind < NS_KINDS; kind++) {
		host.max_ns[kind] = 60000;
		host.ns_inode[kind] = 4026531835;
	}
	return host;
}

static struct azm_err failure(int code, const char *text)
{
	struct azm_err err = { .code = code };

	snprintf(err.text, sizeof err.text, "%s", text);
	return err;
}

static bool fix_has(const struct advice *advice, const char *words)
{
	for (size_t i = 0; i < advice->fix.count; i++)
		if (strstr(advice->fix.items[i], words))
			return true;
	return false;
}

/* One expectation: on this host, with this failure, the cause and a fix contain these words. */
static void expect(const struct host_facts *host, explain_fn *explain, int code, const char *text, const char *cause,
	const char *fix)
{
	cleanup_advice struct advice advice = { 0 };
	struct azm_err err = failure(code, text);

	explain(host, &err, &advice);
	if (!strstr(advice.cause, cause))
		fail_msg("%s (%d): cause \"%s\" lacks \"%s\"", text, code, advice.cause, cause);
	if (fix && !fix_has(&advice, fix))
		fail_msg("%s (%d): no fix with \"%s\"", text, code, fix);
}

static const char *const symptoms[] = { "write /proc/4711/uid_map", "add an address (RTM_NEWADDR)", "make / rslave",
	"drop a capability from the bounding set" };

static bool says_apparmor(const struct host_facts *host, int code, const char *text)
{
	cleanup_advice struct advice advice = { 0 };
	struct azm_err err = failure(code, text);

	explain_restricted(host, &err, &advice);
	return advice.apparmor && strstr(advice.cause, "AppArmor");
}

static void apparmor_is_known_by_each_of_its_four_symptoms(void **state)
{
	struct host_facts host = healthy();

	(void)state;
	host.apparmor = true;
	host.apparmor_restrict = 1;
	for (size_t i = 0; i < sizeof symptoms / sizeof *symptoms; i++) {
		assert_true(says_apparmor(&host, EPERM, symptoms[i]));
		assert_true(says_apparmor(&host, EACCES, symptoms[i]));
		assert_false(says_apparmor(&host, ENOMEM, symptoms[i]));
	}
}

static void apparmor_is_suspected_by_its_pattern_where_the_sysctl_cannot_be_read(void **state)
{
	struct host_facts host = healthy();

	(void)state;
	for (size_t i = 0; i < sizeof symptoms / sizeof *symptoms; i++)
		assert_true(says_apparmor(&host, EPERM, symptoms[i]));
}

static void a_filter_around_us_is_blamed_before_apparmor_is_guessed(void **state)
{
	struct host_facts host = healthy();

	(void)state;
	host.seccomp = true;
	expect(&host, explain_restricted, EPERM, symptoms[2], "seccomp", "seccomp policy");
	snprintf(host.container, sizeof host.container, "docker");
	expect(&host, explain_restricted, EPERM, symptoms[2], "container", "docker run --security-opt");
	snprintf(host.container, sizeof host.container, "kubernetes");
	expect(&host, explain_userns, EPERM, "make a user namespace", "container", "procMount: Unmasked");
}

static void an_id_that_is_not_mapped_around_us_is_not_apparmor(void **state)
{
	struct host_facts host = healthy();

	(void)state;
	host.nested_userns = host.unmapped = true;
	host.uid = 65534;
	expect(&host, explain_restricted, EPERM, symptoms[0], "does not map id 65534", "map");
	expect(&host, explain_userns, EPERM, "clone", "does not map id 65534", "map");
}

static void sysctls_that_are_zero_are_named_with_their_command(void **state)
{
	struct host_facts host = healthy();

	(void)state;
	host.max_ns[NS_NET] = 0;
	expect(&host, explain_namespace, ENOSPC, "clone", "user.max_net_namespaces is 0",
		"sysctl -w user.max_net_namespaces=15000");
	host.max_ns[NS_NET] = 60000;
	host.max_ns[NS_USER] = 0;
	expect(&host, explain_userns, ENOSPC, "clone", "user.max_user_namespaces is 0",
		"sysctl -w user.max_user_namespaces=15000");
	expect(&host, explain_userns, EUSERS, "clone", "user.max_user_namespaces is 0", "/etc/sysctl.d/");
	host = healthy();
	host.userns_clone = 0;
	expect(&host, explain_userns, EPERM, "clone", "unprivileged_userns_clone",
		"sysctl -w kernel.unprivileged_userns_clone=1");
	/* Beside a keeper that was there before it was switched off, the sandbox's own namespaces come first. */
	expect(&host, explain_namespace, EPERM, "make the sandbox's namespaces", "unprivileged_userns_clone",
		"sysctl -w kernel.unprivileged_userns_clone=1");
	host = healthy();
	host.memfd_noexec = 2;
	expect(&host, explain_memfd, EACCES, "make a memfd", "vm.memfd_noexec is 2", "sysctl -w vm.memfd_noexec=1");
}

static void a_limit_that_is_used_up_is_not_called_zero(void **state)
{
	struct host_facts host = healthy();

	(void)state;
	expect(&host, explain_userns, ENOSPC, "clone", "limit of namespaces is reached",
		"user.max_user_namespaces=120000");
}

static void other_reasons_against_user_namespaces_are_told_apart(void **state)
{
	struct host_facts host = healthy();

	(void)state;
	expect(&host, explain_userns, EINVAL, "clone", "without user namespaces", "CONFIG_USER_NS");
	expect(&host, explain_userns, ENOSYS, "clone", "seccomp", NULL);
	expect(&host, explain_userns, EAGAIN, "clone", "limit of processes", "ulimit -u");
	host.chrooted = true;
	expect(&host, explain_userns, EPERM, "clone", "chroot", "outside");
	expect(&host, explain_namespace, EPERM, "make the sandbox's namespaces", "chroot", "outside");
	host.chrooted = false;
	host.selinux_enforcing = true;
	expect(&host, explain_userns, EACCES, "clone", "SELinux", "ausearch");
	host = healthy();
	host.ns_inode[NS_CGROUP] = 0;
	expect(&host, explain_namespace, EINVAL, "clone", "no cgroup namespaces", "CONFIG_CGROUPS");
}

static void a_masked_proc_names_the_mount_that_hides_part_of_it(void **state)
{
	struct host_facts host = healthy();

	(void)state;
	snprintf(host.proc_mask, sizeof host.proc_mask, "/proc/kcore");
	expect(&host, explain_proc, EPERM, "mount proc", "/proc/kcore", "--proc bind");
	snprintf(host.container, sizeof host.container, "podman");
	expect(&host, explain_proc, EPERM, "mount proc", "/proc/kcore", "unmask=ALL");
}

static void overlay_failures_are_told_apart(void **state)
{
	struct host_facts host = healthy();

	(void)state;
	expect(&host, explain_overlay, ENODEV, "mount overlay", "module", "modprobe overlay");
	expect(&host, explain_overlay, EINVAL, "mount overlay", "network file systems", "AZM_STATE_DIR");
	expect(&host, explain_overlay, EACCES, "make a directory in /nfs", "file system", "AZM_STATE_DIR");
	host.apparmor_restrict = 1;
	expect(&host, explain_overlay, EACCES, "mount overlay", "AppArmor", NULL);
	host.kernel_major = 5;
	host.kernel_minor = 10;
	expect(&host, explain_overlay, EPERM, "mount overlay", "needs Linux 5.11", "--rootfs-mode");
}

static void missing_modules_are_named(void **state)
{
	struct host_facts host = healthy();

	(void)state;
	expect(&host, explain_links, EOPNOTSUPP, "make the network link", "veth and bridge", "modprobe -a veth bridge");
	expect(&host, explain_nftables, ENOENT, "make a redirect rule", "nftables", "nft_redir");
	expect(&host, explain_nftables, EPROTONOSUPPORT, "open an nfnetlink socket", "nftables", "modprobe");
}

static void the_profile_is_for_our_path_and_no_other(void **state)
{
	cleanup_free char *profile = apparmor_profile("/usr/local/bin/azm-sandbox");
	cleanup_free char *odd = apparmor_profile("/opt/my tools{a,b}/*\"/azm-sandbox");

	(void)state;
	assert_string_equal(profile, "abi <abi/4.0>,\n"
				     "include <tunables/global>\n"
				     "\n"
				     "profile azm-sandbox \"/usr/local/bin/azm-sandbox\" flags=(unconfined) {\n"
				     "  userns,\n"
				     "\n"
				     "  include if exists <local/azm-sandbox>\n"
				     "}\n");
	assert_non_null(strstr(odd, "\"/opt/my tools\\{a\\,b\\}/\\*\\\"/azm-sandbox\""));
	assert_null(apparmor_profile("azm-sandbox"));
	assert_null(apparmor_profile("/tmp/a\nprofile x /** { }/azm-sandbox"));
}

static void the_profile_comes_with_the_commands_that_load_it(void **state)
{
	cleanup_str_list struct str_list commands = { 0 };

	(void)state;
	apparmor_commands("/bin/sh", &commands);
	assert_int_equal(commands.count, 2);
	assert_non_null(strstr(commands.items[0], "sudo tee /etc/apparmor.d/azm-sandbox"));
	assert_non_null(strstr(commands.items[0], "\"/bin/sh\""));
	assert_string_equal(commands.items[1], "sudo apparmor_parser -r /etc/apparmor.d/azm-sandbox");
}

static void a_hint_is_added_to_known_steps_and_never_replaced(void **state)
{
	struct azm_err err = failure(ENOSPC, "start \"demo\": make the network's namespaces private");

	(void)state;
	hint_for_failure(&err);
	assert_non_null(strstr(err.hint, "namespaces"));
	snprintf(err.hint, sizeof err.hint, "mine");
	hint_for_failure(&err);
	assert_string_equal(err.hint, "mine");
	err = failure(ENOENT, "open image /nowhere");
	hint_for_failure(&err);
	assert_string_equal(err.hint, "");
	err_clear(&err);
	hint_for_failure(&err);
	assert_string_equal(err.hint, "");
	err = failure(ENOSYS, "anything");
	assert_int_equal(host_hint_userns(ENOSYS, &err), -1);
	assert_non_null(strstr(err.hint, "refuses user namespaces"));
}

static void a_hint_is_cut_at_a_line_not_within(void **state)
{
	struct azm_err err = failure(EACCES, "mount overlay /x");

	(void)state;
	hint_for_failure(&err);
	assert_true(strlen(err.hint) < sizeof err.hint - 1);
}

static size_t occurrences(const char *text, const char *words)
{
	size_t count = 0;

	for (const char *at = strstr(text, words); at; at = strstr(at + 1, words))
		count++;
	return count;
}

static void one_profile_is_shown_for_all_symptoms_and_repeated_for_programs(void **state)
{
	static const struct probe_row rows[] = {
		{ .key = "id_map", .title = "id map", .explain = explain_restricted },
		{ .key = "address", .title = "network address", .explain = explain_restricted },
		{ .key = "bridge", .title = "bridge", .after = "address" },
	};
	struct host_facts host = healthy();
	struct probe_result results[] = {
		{ .row = &rows[0], .status = PROBE_FAILED, .outcome.err = failure(EACCES, symptoms[0]) },
		{ .row = &rows[1], .status = PROBE_FAILED, .outcome.err = failure(EPERM, symptoms[1]) },
		{ .row = &rows[2], .status = PROBE_SKIPPED },
	};
	struct doctor_report report = { &host, "/usr/bin/azm-sandbox", results, 3 };
	char *text = NULL, *json = NULL;
	size_t size;

	(void)state;
	host.apparmor_restrict = 1;
	for (size_t i = 0; i < 2; i++)
		results[i].row->explain(&host, &results[i].outcome.err, &results[i].advice);
	FILE *out = open_memstream(&text, &size);
	report_text(&report, out);
	fclose(out);
	out = open_memstream(&json, &size);
	assert_int_equal(report_json(&report, out), 0);
	fclose(out);
	assert_int_equal(occurrences(text, "sudo apparmor_parser -r"), 1);
	assert_non_null(strstr(text, "\nid map, network address: AppArmor"));
	assert_non_null(strstr(text, "profile azm-sandbox \"/usr/bin/azm-sandbox\""));
	assert_non_null(strstr(text, "\nEOF\n"));
	assert_non_null(strstr(text, "not tried without: network address"));
	assert_int_equal(occurrences(json, "sudo apparmor_parser -r"), 2);
	assert_false(report_can_run(&report));
	for (size_t i = 0; i < 2; i++)
		advice_free(&results[i].advice);
	free(text);
	free(json);
}

static void versions_are_compared_as_numbers(void **state)
{
	struct host_facts host = healthy();

	(void)state;
	assert_true(host_older_than(&host, 6, 10));
	assert_false(host_older_than(&host, 5, 11));
	assert_false(host_older_than(&host, 6, 8));
	assert_true(host_older_than(&host, 7, 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(apparmor_is_known_by_each_of_its_four_symptoms),
		cmocka_unit_test(apparmor_is_suspected_by_its_pattern_where_the_sysctl_cannot_be_read),
		cmocka_unit_test(a_filter_around_us_is_blamed_before_apparmor_is_guessed),
		cmocka_unit_test(an_id_that_is_not_mapped_around_us_is_not_apparmor),
		cmocka_unit_test(sysctls_that_are_zero_are_named_with_their_command),
		cmocka_unit_test(a_limit_that_is_used_up_is_not_called_zero),
		cmocka_unit_test(other_reasons_against_user_namespaces_are_told_apart),
		cmocka_unit_test(a_masked_proc_names_the_mount_that_hides_part_of_it),
		cmocka_unit_test(overlay_failures_are_told_apart),
		cmocka_unit_test(missing_modules_are_named),
		cmocka_unit_test(the_profile_is_for_our_path_and_no_other),
		cmocka_unit_test(the_profile_comes_with_the_commands_that_load_it),
		cmocka_unit_test(a_hint_is_added_to_known_steps_and_never_replaced),
		cmocka_unit_test(a_hint_is_cut_at_a_line_not_within),
		cmocka_unit_test(one_profile_is_shown_for_all_symptoms_and_repeated_for_programs),
		cmocka_unit_test(versions_are_compared_as_numbers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
