// SPDX-License-Identifier: GPL-2.0-or-later
/* tests/unit/runtime_fixture.h: a directory of its own for each test of runtime/, which is its working directory. */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/err.h"
#include "state.h"

/** enter_directory() / leave_directory() - setup and teardown. The environment that says where state is kept points
 * below the directory: XDG_RUNTIME_DIR=run, AZM_STATE_DIR=state. */
int enter_directory(void **state);
int leave_directory(void **state);

/** put() - make or replace a file; it must succeed. */
void put(const char *path, const void *bytes, size_t size);
void put_text(const char *path, const char *text);

/** here() - the absolute path of a file in the working directory; the caller owns it. */
char *here(const char *name);

/** open_state() - state_open() that must succeed. */
void open_state(struct state *store);

/** assert_ok() - a call that takes an error object must have succeeded: say what it complains about. */
#define assert_ok(call, err)                                                                                           \
	do {                                                                                                           \
		if ((call) < 0)                                                                                        \
			fail_msg("%s: %s: %s (%d)", #call, (err)->text, (err)->reason, (err)->code);                   \
	} while (0)

/** assert_refused() - it must have failed with this errno class. */
#define assert_refused(call, err, errno_value)                                                                         \
	do {                                                                                                           \
		assert_true((call) < 0);                                                                               \
		assert_int_equal((err)->code, errno_value);                                                            \
		err_clear(err);                                                                                        \
	} while (0)
