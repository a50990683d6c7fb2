// SPDX-License-Identifier: GPL-2.0-or-later
/* tests/unit/test_runtime_fd_passing.c: messages that carry descriptors (base/fd_passing.h). */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd_passing.h"
#include "tests/unit/runtime_fixture.h"

struct channel {
	int ends[2];
	int file; /* what is sent */
};

static int open_channel(void **state)
{
	static struct channel channel;

	channel.file = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
	*state = &channel;
	return channel.file < 0 ? -1 : socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, channel.ends);
}

static int close_channel(void **state)
{
	const struct channel *channel = *state;

	close(channel->file);
	close(channel->ends[0]);
	return close(channel->ends[1]);
}

static int open_descriptors(void)
{
	int count = 0;

	for (int fd = 0; fd < 1024; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

static void send_many(const struct channel *channel, size_t count)
{
	int fds[FDS_MAX];

	for (size_t i = 0; i < count; i++)
		fds[i] = channel->file;
	assert_int_equal(fds_send(channel->ends[0], "hello", 5, fds, count, 0), 5);
}

/* Return: how many descriptors came, all of them the file, and closed again */
static size_t receive_many(const struct channel *channel, size_t room)
{
	struct stat sent, came;
	char text[8];
	int fds[FDS_MAX];
	size_t count = room;

	assert_int_equal(fds_receive(channel->ends[1], text, sizeof text, fds, &count, 0), 5);
	assert_memory_equal(text, "hello", 5);
	assert_return_code(fstat(channel->file, &sent), errno);
	for (size_t i = 0; i < count; i++) {
		assert_int_equal(fcntl(fds[i], F_GETFD), FD_CLOEXEC);
		assert_return_code(fstat(fds[i], &came), errno);
		assert_true(came.st_ino == sent.st_ino && came.st_dev == sent.st_dev);
		close(fds[i]);
	}
	return count;
}

static void as_many_as_there_is_room_for_arrive(void **state)
{
	static const size_t counts[] = { 0, 1, 2, 3, FDS_MAX };
	int before = open_descriptors();

	for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
		send_many(*state, counts[i]);
		assert_int_equal(receive_many(*state, counts[i]), counts[i]);
		send_many(*state, counts[i]);
		assert_int_equal(receive_many(*state, FDS_MAX), counts[i]);
	}
	assert_int_equal(open_descriptors(), before);
}

/* CMSG_SPACE(1 * sizeof(int)) has room for two. */
static void of_more_than_there_is_room_for_none_is_left(void **state)
{
	int before = open_descriptors();

	for (size_t room = 0; room < 4; room++)
		for (size_t count = room + 1; count < 8; count++) {
			send_many(*state, count);
			assert_int_equal(receive_many(*state, room), 0);
			assert_int_equal(open_descriptors(), before);
		}
}

static void of_more_than_the_process_may_have_none_is_left(void **state)
{
	const struct channel *channel = *state;
	struct rlimit limit, lowered;
	int before = open_descriptors(), last = -1, taken[3];

	for (size_t i = 0; i < 3; i++)
		last = taken[i] = dup(channel->file);
	for (size_t i = 0; i < 3; i++)
		close(taken[i]);
	assert_return_code(getrlimit(RLIMIT_NOFILE, &limit), errno);
	lowered = (struct rlimit){ .rlim_cur = (rlim_t)last + 1, .rlim_max = limit.rlim_max };
	send_many(channel, 3);
	assert_return_code(setrlimit(RLIMIT_NOFILE, &lowered), errno);
	send_many(channel, 4);
	size_t three = receive_many(channel, 4), four = receive_many(channel, 4);
	assert_return_code(setrlimit(RLIMIT_NOFILE, &limit), errno);
	assert_int_equal(three, 3);
	assert_int_equal(four, 0);
	assert_int_equal(open_descriptors(), before);
}

static void what_fails_leaves_no_descriptor(void **state)
{
	const struct channel *channel = *state;
	char byte;
	int fds[FDS_MAX + 1] = { 0 }, before = open_descriptors();
	size_t count = 1;

	assert_int_equal(fds_send(channel->ends[0], "", 1, fds, FDS_MAX + 1, 0), -1);
	assert_int_equal(errno, EINVAL);
	assert_int_equal(fds_receive(channel->ends[1], &byte, 1, fds, &count, MSG_DONTWAIT), -1);
	assert_int_equal(errno, EAGAIN);
	assert_int_equal(count, 0);
	count = 1;
	send_many(channel, 1);
	assert_int_equal(
		fds_receive(channel->ends[1], &byte, 1, fds, &count, MSG_TRUNC), 5); /* too long, but counted */
	assert_int_equal(count, 1);
	close(fds[0]);
	assert_int_equal(open_descriptors(), before);
}

/* SIGPIPE would end this program. */
static void the_end_of_the_other_side_is_no_signal(void **state)
{
	struct channel *channel = *state;
	char byte;
	int fd;
	size_t count = 1;

	signal(SIGPIPE, SIG_DFL);
	shutdown(channel->ends[0], SHUT_WR);
	assert_int_equal(fds_receive(channel->ends[1], &byte, 1, &fd, &count, 0), 0);
	assert_int_equal(count, 0);
	assert_int_equal(fds_send(channel->ends[0], "", 1, &channel->file, 1, 0), -1);
	assert_int_equal(errno, EPIPE);
}

#define over_a_channel(test) cmocka_unit_test_setup_teardown(test, open_channel, close_channel)

int main(void)
{
	const struct CMUnitTest tests[] = {
		over_a_channel(as_many_as_there_is_room_for_arrive),
		over_a_channel(of_more_than_there_is_room_for_none_is_left),
		over_a_channel(of_more_than_the_process_may_have_none_is_left),
		over_a_channel(what_fails_leaves_no_descriptor),
		over_a_channel(the_end_of_the_other_side_is_no_signal),
	};

	return cmocka_run_group_tests_name("fd_passing", tests, NULL, NULL);
}
