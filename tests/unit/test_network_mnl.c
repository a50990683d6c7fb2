// SPDX-License-Identifier: GPL-2.0-or-later
/* tests/unit/test_network_mnl.c: our part of libmnl (netns/mnl/mnl.c) does what the system's does: the same calls, the
 * same bytes, the same verdicts.
 */
#include <dlfcn.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { ROOM = 512, SEQUENCE = 7, PORT = 77 };

/* Each function once from here and once from the library. */
static struct api {
	__typeof__(mnl_nlmsg_put_header) *header;
	__typeof__(mnl_nlmsg_put_extra_header) *extra;
	__typeof__(mnl_attr_put) *put;
	__typeof__(mnl_attr_put_u8) *put_u8;
	__typeof__(mnl_attr_put_u16) *put_u16;
	__typeof__(mnl_attr_put_u32) *put_u32;
	__typeof__(mnl_attr_put_u64) *put_u64;
	__typeof__(mnl_attr_put_str) *put_str;
	__typeof__(mnl_attr_put_strz) *put_strz;
	__typeof__(mnl_attr_nest_start) *nest;
	__typeof__(mnl_attr_nest_end) *nest_end;
	__typeof__(mnl_nlmsg_get_payload) *payload;
	__typeof__(mnl_nlmsg_get_payload_len) *payload_size;
	__typeof__(mnl_nlmsg_ok) *ok;
	__typeof__(mnl_nlmsg_next) *next;
	__typeof__(mnl_cb_run) *run;
} theirs, ours = { mnl_nlmsg_put_header, mnl_nlmsg_put_extra_header, mnl_attr_put, mnl_attr_put_u8, mnl_attr_put_u16,
	mnl_attr_put_u32, mnl_attr_put_u64, mnl_attr_put_str, mnl_attr_put_strz, mnl_attr_nest_start, mnl_attr_nest_end,
	mnl_nlmsg_get_payload, mnl_nlmsg_get_payload_len, mnl_nlmsg_ok, mnl_nlmsg_next, mnl_cb_run };

static int load(void **state)
{
	static const char *const names[] = { "mnl_nlmsg_put_header", "mnl_nlmsg_put_extra_header", "mnl_attr_put",
		"mnl_attr_put_u8", "mnl_attr_put_u16", "mnl_attr_put_u32", "mnl_attr_put_u64", "mnl_attr_put_str",
		"mnl_attr_put_strz", "mnl_attr_nest_start", "mnl_attr_nest_end", "mnl_nlmsg_get_payload",
		"mnl_nlmsg_get_payload_len", "mnl_nlmsg_ok", "mnl_nlmsg_next", "mnl_cb_run" };
	void *library = dlopen("libmnl.so.0", RTLD_NOW | RTLD_LOCAL), *found[sizeof names / sizeof *names];

	(void)state;
	_Static_assert(sizeof found == sizeof theirs, "a name for each function");
	assert_non_null(library);
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		found[i] = dlsym(library, names[i]);
		assert_non_null(found[i]);
	}
	memcpy(&theirs, found, sizeof theirs);
	return 0;
}

/* One of everything, every length from nothing to beyond a word. Filling up to the next word is left to what was there
 * by older releases of the library, to zeros by us. Return: its length. */
static uint32_t build(const struct api *api, char buffer[ROOM])
{
	static const char bytes[] = "abcdefghij";

	memset(buffer, 0, ROOM);
	struct nlmsghdr *message = api->header(buffer);
	message->nlmsg_type = NLMSG_MIN_TYPE;
	message->nlmsg_seq = SEQUENCE;
	memset(api->extra(message, 6), 0x33, 6);
	api->put_u8(message, 1, 0x11);
	api->put_u16(message, 2, 0x2222);
	api->put_u32(message, 3, 0x33333333);
	api->put_u64(message, 4, 0x4444444444444444);
	struct nlattr *outer = api->nest(message, 5), *inner = api->nest(message, 6);
	api->put_str(message, 7, "text");
	api->put_strz(message, 8, "text");
	api->nest_end(message, inner);
	api->put_strz(message, 9, "");
	api->nest_end(message, outer);
	for (size_t size = 0; size < sizeof bytes; size++)
		api->put(message, 10, size, size ? bytes : NULL);
	return message->nlmsg_len;
}

static void the_same_bytes_are_built(void **state)
{
	_Alignas(8) char a[ROOM], b[ROOM];

	(void)state;
	assert_int_equal(build(&ours, a), build(&theirs, b));
	assert_memory_equal(a, b, ROOM);
	const struct nlmsghdr *message = (void *)a;
	assert_ptr_equal(ours.payload(message), theirs.payload(message));
	assert_int_equal(ours.payload_size(message), theirs.payload_size(message));
}

static void the_same_messages_are_whole(void **state)
{
	static const uint32_t lengths[] = { 0, 1, 15, 16, 17, 20, 23, 24, 25, 64, INT32_MAX };
	_Alignas(8) char buffer[ROOM];
	struct nlmsghdr *message = (void *)buffer;

	(void)state;
	for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++)
		for (int size = -1; size < 32; size++) {
			memset(buffer, 0, sizeof buffer);
			message->nlmsg_len = lengths[i];
			assert_int_equal(ours.ok(message, size), theirs.ok(message, size));
			if (!ours.ok(message, size))
				continue;
			int left_a = size, left_b = size;
			assert_ptr_equal(ours.next(message, &left_a), theirs.next(message, &left_b));
			assert_int_equal(left_a, left_b);
		}
	/* The library takes this one. */
	message->nlmsg_len = UINT32_MAX;
	assert_false(ours.ok(message, 32));
}

struct seen {
	int messages, verdict;
};

static int each(const struct nlmsghdr *message, void *context)
{
	struct seen *seen = context;

	(void)message;
	seen->messages++;
	return seen->verdict;
}

/* An answer of two messages: @first, then one of a row. */
static void verdicts(const struct nlmsghdr *first, const void *payload, size_t payload_size, int verdict)
{
	_Alignas(8) char buffer[ROOM] = "";
	struct nlmsghdr *message = (void *)buffer;
	struct seen a = { 0, verdict }, b = { 0, verdict };

	*message = *first;
	message->nlmsg_len = (uint32_t)(sizeof *message + payload_size);
	if (payload_size)
		memcpy(message + 1, payload, payload_size);
	struct nlmsghdr *second = (void *)(buffer + NLMSG_ALIGN(message->nlmsg_len));
	*second = (struct nlmsghdr){ .nlmsg_len = sizeof *second, .nlmsg_type = NLMSG_MIN_TYPE };
	size_t size = (size_t)((char *)(second + 1) - buffer);
	errno = 0;
	int result_a = ours.run(buffer, size, SEQUENCE, PORT, each, &a), errno_a = errno;
	errno = 0;
	int result_b = theirs.run(buffer, size, SEQUENCE, PORT, each, &b), errno_b = errno;
	assert_int_equal(result_a, result_b);
	assert_int_equal(errno_a, errno_b);
	assert_int_equal(a.messages, b.messages);
}

static void answers_are_judged_the_same(void **state)
{
	static const uint16_t types[] = { NLMSG_NOOP, NLMSG_ERROR, NLMSG_DONE, NLMSG_OVERRUN, NLMSG_MIN_TYPE, 0x5fff };
	static const struct nlmsgerr codes[] = { { .error = 0 }, { .error = -EPERM }, { .error = EEXIST } };

	(void)state;
	for (size_t type = 0; type < sizeof types / sizeof *types; type++)
		for (int verdict = MNL_CB_ERROR; verdict <= MNL_CB_OK; verdict++)
			for (size_t code = 0; code < sizeof codes / sizeof *codes; code++) {
				struct nlmsghdr message = { .nlmsg_type = types[type] };
				verdicts(&message, &codes[code], sizeof codes[code], verdict);
				verdicts(&message, &codes[code], 4, verdict);
				verdicts(&message, NULL, 0, verdict);
				message.nlmsg_seq = SEQUENCE;
				message.nlmsg_pid = PORT;
				verdicts(&message, &codes[code], sizeof codes[code], verdict);
				message.nlmsg_flags = NLM_F_DUMP_INTR;
				verdicts(&message, &codes[code], sizeof codes[code], verdict);
				message.nlmsg_seq++;
				verdicts(&message, &codes[code], sizeof codes[code], verdict);
				message.nlmsg_pid++;
				verdicts(&message, &codes[code], sizeof codes[code], verdict);
			}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_same_bytes_are_built),
		cmocka_unit_test(the_same_messages_are_whole),
		cmocka_unit_test(answers_are_judged_the_same),
	};

	return cmocka_run_group_tests(tests, load, NULL);
}
