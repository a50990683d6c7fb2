// SPDX-License-Identifier: GPL-2.0-or-later
/* doctor/report.c: see report.h.
 *
 * One cause often fails many probes (AppArmor, one sysctl): the text gives the fix once, under all their names; the
 * JSON repeats it in each, so that a program can look at one probe alone.
 */
#include "doctor/report.h"

#include <jansson.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json_out.h"
#include "base/names.h"
#include "doctor/apparmor.h"

static const char *const status_words[] = {
	[PROBE_OK] = "ok", [PROBE_FAILED] = "failed", [PROBE_MISSING] = "missing", [PROBE_SKIPPED] = "skipped"
};

static bool needs_help(const struct probe_result *result)
{
	return result->status == PROBE_FAILED || result->status == PROBE_MISSING;
}

bool report_can_run(const struct doctor_report *report)
{
	for (size_t i = 0; i < report->count; i++)
		if (report->results[i].status == PROBE_FAILED)
			return false;
	return true;
}

/* "step: reason", as err_print() says it. Allocated. */
static char *failure_text(const struct azm_err *err)
{
	char *text = xasprintf("%s: %s", err->text, err->reason[0] ? err->reason : strerror(err->code));

	str_sanitise(text);
	return text;
}

/* What to do, with the AppArmor profile where that is the cure. */
static void collect_fix(const struct doctor_report *report, const struct probe_result *result, struct str_list *fix)
{
	if (result->advice.apparmor)
		apparmor_commands(report->self_path ? report->self_path : "", fix);
	for (size_t i = 0; i < result->advice.fix.count; i++)
		str_list_add(fix, result->advice.fix.items[i]);
}

/* ---- for people ----------------------------------------------------------------------------------------------- */

static const char *title_of(const struct doctor_report *report, const char *key)
{
	for (size_t i = 0; i < report->count; i++)
		if (strcmp(report->results[i].row->key, key) == 0)
			return report->results[i].row->title;
	return key;
}

static void text_line(const struct doctor_report *report, const struct probe_result *result, FILE *out)
{
	static const char *const marks[] = {
		[PROBE_OK] = "ok", [PROBE_FAILED] = "FAIL", [PROBE_MISSING] = "--", [PROBE_SKIPPED] = "skip"
	};
	const struct probe_row *row = result->row;
	cleanup_free char *detail = NULL;

	if (result->status == PROBE_SKIPPED)
		detail = xasprintf("not tried without: %s", title_of(report, row->after));
	else if (!needs_help(result))
		detail = xstrdup(result->outcome.detail);
	else
		detail = failure_text(&result->outcome.err);
	str_sanitise(detail);
	fprintf(out, *detail ? "%-5s %-28s %s" : "%-5s %s", marks[result->status], row->title, detail);
	if (result->status == PROBE_MISSING && row->without)
		fprintf(out, " (without it: %s)", row->without);
	fputc('\n', out);
}

static bool same_advice(const struct advice *a, const struct advice *b)
{
	if (a->apparmor != b->apparmor || strcmp(a->cause, b->cause) != 0 || a->fix.count != b->fix.count)
		return false;
	for (size_t i = 0; i < a->fix.count; i++)
		if (strcmp(a->fix.items[i], b->fix.items[i]) != 0)
			return false;
	return true;
}

static bool has_advice(const struct probe_result *result)
{
	return needs_help(result) && (result->advice.cause[0] || result->advice.fix.count || result->advice.apparmor);
}

/* The first result with this advice speaks for all. */
static bool said_before(const struct doctor_report *report, size_t index)
{
	for (size_t i = 0; i < index; i++)
		if (has_advice(&report->results[i]) &&
			same_advice(&report->results[i].advice, &report->results[index].advice))
			return true;
	return false;
}

static void text_advice(const struct doctor_report *report, size_t index, FILE *out)
{
	const struct probe_result *result = &report->results[index];
	cleanup_str_list struct str_list fix = { 0 };

	fprintf(out, "\n%s", result->row->title);
	for (size_t i = index + 1; i < report->count; i++)
		if (has_advice(&report->results[i]) && same_advice(&report->results[i].advice, &result->advice))
			fprintf(out, ", %s", report->results[i].row->title);
	fprintf(out, ": %s\n", result->advice.cause);
	collect_fix(report, result, &fix);
	/* Not indented: whole lines are copied into a shell, here documents among them. */
	for (size_t i = 0; i < fix.count; i++) {
		str_sanitise_lines(fix.items[i]);
		fprintf(out, "%s\n", fix.items[i]);
	}
}

/* What stops `run` comes first. */
static void text_fixes(const struct doctor_report *report, enum probe_status status, const char *heading, FILE *out)
{
	bool any = false;

	for (size_t i = 0; i < report->count; i++) {
		if (report->results[i].status != status || !has_advice(&report->results[i]) || said_before(report, i))
			continue;
		if (!any)
			fprintf(out, "\n%s\n", heading);
		any = true;
		text_advice(report, i, out);
	}
}

static void text_verdict(const struct doctor_report *report, FILE *out)
{
	const char *separator = ": ";

	if (report_can_run(report)) {
		fputs("\nthis host can run azm-sandbox\n", out);
		return;
	}
	fputs("\nthis host cannot run azm-sandbox as it is", out);
	for (size_t i = 0; i < report->count; i++)
		if (report->results[i].status == PROBE_FAILED) {
			fprintf(out, "%s%s", separator, report->results[i].row->title);
			separator = ", ";
		}
	fputc('\n', out);
}

void report_text(const struct doctor_report *report, FILE *out)
{
	const struct host_facts *host = report->host;

	fprintf(out, "Linux %s %s, uid %u%s%s%s%s\n", host->kernel, host->machine, host->uid,
		host->container[0] ? ", in a container: " : "", host->container,
		host->nested_userns ? ", in a user namespace" : "", host->seccomp ? ", under a seccomp filter" : "");
	if (host->uid == 0 && !host->nested_userns)
		fputs("note: this is root's view; run it as the user who will run sandboxes\n", out);
	for (size_t i = 0; i < report->count; i++)
		text_line(report, &report->results[i], out);
	text_fixes(report, PROBE_FAILED, "=== needed", out);
	text_fixes(report, PROBE_MISSING, "=== not needed, but useful", out);
	text_verdict(report, out);
}

/* ---- for programs --------------------------------------------------------------------------------------------- */

/* Text that may hold any byte (paths do): what is not UTF-8 is replaced, or jansson would drop it. */
static json_t *json_text(const char *text)
{
	cleanup_free char *copy = xstrdup(text);

	str_sanitise_lines(copy);
	return json_string(copy);
}

static void json_failure(const struct doctor_report *report, const struct probe_result *result, json_t *object)
{
	cleanup_str_list struct str_list fix = { 0 };
	const struct azm_err *err = &result->outcome.err;
	const char *name = errno_name(err->code);
	cleanup_free char *detail = failure_text(err);
	json_t *lines = json_array();

	collect_fix(report, result, &fix);
	for (size_t i = 0; i < fix.count; i++)
		json_array_append_new(lines, json_text(fix.items[i]));
	json_object_set_new(object, "detail", json_text(detail));
	json_object_set_new(object, "step", json_text(err->text));
	json_object_set_new(object, "errno", name ? json_string(name) : json_null());
	json_object_set_new(object, "cause", result->advice.cause[0] ? json_text(result->advice.cause) : json_null());
	json_object_set_new(object, "fix", lines);
	if (result->row->without)
		json_object_set_new(object, "without", json_string(result->row->without));
}

static json_t *json_probe(const struct doctor_report *report, const struct probe_result *result)
{
	json_t *object = json_object();

	json_object_set_new(object, "title", json_string(result->row->title));
	json_object_set_new(object, "status", json_string(status_words[result->status]));
	json_object_set_new(object, "required", json_boolean(result->row->need == NEED_REQUIRED));
	if (needs_help(result))
		json_failure(report, result, object);
	else if (result->status == PROBE_SKIPPED)
		json_object_set_new(object, "needs", json_string(result->row->after));
	else if (result->outcome.detail[0])
		json_object_set_new(object, "detail", json_text(result->outcome.detail));
	return object;
}

static json_t *json_host(const struct host_facts *host)
{
	json_t *object = json_object();

	json_object_set_new(object, "kernel", json_text(host->kernel));
	json_object_set_new(object, "machine", json_text(host->machine));
	json_object_set_new(object, "uid", json_integer(host->uid));
	json_object_set_new(object, "container", host->container[0] ? json_text(host->container) : json_null());
	json_object_set_new(object, "in_user_namespace", json_boolean(host->nested_userns));
	json_object_set_new(object, "seccomp_filter", json_boolean(host->seccomp));
	json_object_set_new(object, "apparmor", json_boolean(host->apparmor));
	json_object_set_new(object, "apparmor_restricts_userns", json_boolean(host->apparmor_restrict > 0));
	json_object_set_new(object, "selinux_enforcing", json_boolean(host->selinux_enforcing));
	return object;
}

int report_json(const struct doctor_report *report, FILE *out)
{
	json_t *object = json_object(), *probes = json_object(), *missing = json_array();

	for (size_t i = 0; i < report->count; i++) {
		const struct probe_result *result = &report->results[i];
		json_object_set_new(probes, result->row->key, json_probe(report, result));
		if (result->status == PROBE_FAILED)
			json_array_append_new(missing, json_string(result->row->key));
	}
	json_object_set_new(object, "can_run", json_boolean(report_can_run(report)));
	json_object_set_new(object, "missing", missing);
	json_object_set_new(object, "host", json_host(report->host));
	json_object_set_new(object, "probes", probes);
	return json_print(object, JSON_INDENT(2), out);
}
