// SPDX-License-Identifier: GPL-2.0-or-later
/* tests/unit/test_publish.c: which sockets publishing holds on the host, and whose connections it takes. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "netns/peer_check.h"
#include "tests/unit/publish_world.h"

static const int on = 1;

static int listen_v(int family, uint16_t port)
{
	struct sockaddr_in v4 = {
		.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)
	};
	struct sockaddr_in6 v6 = {
		.sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = IN6ADDR_LOOPBACK_INIT
	};
	const struct sockaddr *address = family == AF_INET ? (struct sockaddr *)&v4 : (struct sockaddr *)&v6;
	cleanup_fd int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	if (bind(fd, address, family == AF_INET ? sizeof v4 : sizeof v6) < 0 || listen(fd, 16) < 0)
		return -1;
	return steal_fd(&fd);
}

static uint16_t port_of(int fd)
{
	struct sockaddr_in6 address = { 0 };
	socklen_t size = sizeof address;

	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
	return ntohs(address.sin6_port); /* where sin_port is, too */
}

/* Listen for one argument; NULL with @err. */
static struct publisher *listen_for(const char *text, struct publish_rule *out, struct azm_err *err)
{
	struct publish_rule *rules = NULL;
	size_t count = 0;

	assert_int_equal(publish_parse(text, NULL, false, &rules, &count, err), 0);
	struct publisher *publisher = world_publish(rules, count, err);
	*out = rules[0];
	out->unix_path = NULL;
	publish_rules_free(rules, count);
	return publisher;
}

static bool can_connect(int family, uint16_t port)
{
	cleanup_fd int fd = world_connect(family, port);

	return fd >= 0;
}

/* ---- addresses and ports -------------------------------------------------------------------------------------- */

static void a_rule_without_address_holds_both_loopbacks_on_one_free_port(void **state)
{
	struct azm_err err = { 0 };
	struct publish_rule rule;
	struct publisher *publisher = listen_for("8000", &rule, &err);

	(void)state;
	assert_non_null(publisher);
	assert_in_range(rule.host_port, 30000, 39999);
	assert_true(can_connect(AF_INET, rule.host_port));
	assert_true(can_connect(AF_INET6, rule.host_port));
	publish_stop(publisher);
	assert_false(can_connect(AF_INET, rule.host_port));
	assert_false(can_connect(AF_INET6, rule.host_port));
}

static void a_rule_with_an_address_holds_only_that(void **state)
{
	struct azm_err err = { 0 };
	struct publish_rule rule;
	struct publisher *publisher = listen_for("127.0.0.1::8000", &rule, &err);

	(void)state;
	assert_non_null(publisher);
	assert_true(can_connect(AF_INET, rule.host_port));
	assert_false(can_connect(AF_INET6, rule.host_port));
	publish_stop(publisher);

	publisher = listen_for("[::1]::8000", &rule, &err);
	assert_non_null(publisher);
	assert_false(can_connect(AF_INET, rule.host_port));
	assert_true(can_connect(AF_INET6, rule.host_port));
	publish_stop(publisher);
}

static void a_taken_port_is_an_error_that_names_the_address_and_leaves_nothing(void **state)
{
	static const int families[] = { AF_INET, AF_INET6 };

	(void)state;
	for (int i = 0; i < 2; i++) {
		cleanup_fd int squatter = listen_v(families[i], 0);
		uint16_t port = port_of(squatter);
		cleanup_free char *text = xasprintf("%u:8000", port);
		cleanup_free char *name = xasprintf(i ? "[::1]:%u" : "127.0.0.1:%u", port);
		struct azm_err err = { 0 };
		struct publish_rule rule;

		assert_null(listen_for(text, &rule, &err));
		assert_int_equal(err.code, EADDRINUSE);
		assert_non_null(strstr(err.text, name));
		cleanup_fd int free_again = listen_v(families[!i], port);
		assert_true(free_again >= 0);
	}
}

static void a_port_in_use_within_a_range_leaves_none_of_it_bound(void **state)
{
	uint16_t taken = (uint16_t)(20002 + getpid() % 9000); /* below those the kernel gives to clients */
	cleanup_fd int squatter = listen_v(AF_INET6, taken);
	cleanup_free char *text = xasprintf("%u-%u:8000-8004", taken - 2, taken + 2);
	struct azm_err err = { 0 };
	struct publish_rule rule;

	(void)state;
	assert_true(squatter >= 0);
	assert_null(listen_for(text, &rule, &err));
	assert_int_equal(err.code, EADDRINUSE);
	for (int port = taken - 2; port <= taken + 2; port++) {
		assert_false(can_connect(AF_INET, (uint16_t)port));
		assert_int_equal(can_connect(AF_INET6, (uint16_t)port), port == taken);
	}
}

/* t-n9: who holds only one of the loopbacks gets the other's clients. */
static void t_n9_neither_loopback_of_a_published_port_can_be_squatted(void **state)
{
	struct azm_err err = { 0 };
	struct publish_rule rule;
	struct publisher *publisher = listen_for("8000", &rule, &err);

	(void)state;
	assert_non_null(publisher);
	assert_int_equal(listen_v(AF_INET, rule.host_port), -1);
	assert_int_equal(errno, EADDRINUSE);
	assert_int_equal(listen_v(AF_INET6, rule.host_port), -1);
	assert_int_equal(errno, EADDRINUSE);
	publish_stop(publisher);
}

static void sockets_of_another_process_are_recognised_or_refused(void **state)
{
	struct publish_rule *rules = NULL, *asked = NULL;
	struct publish_sockets sockets;
	struct azm_err err = { 0 };
	size_t count = 0, asked_count = 0;

	(void)state;
	assert_int_equal(publish_parse("8000-8001", NULL, false, &rules, &count, &err), 0);
	assert_int_equal(publish_bind(rules, count, &sockets, &err), 0);
	assert_int_equal(sockets.count, 4);
	assert_int_equal(publish_parse("8000-8001", NULL, false, &asked, &asked_count, &err), 0);
	assert_int_equal(publish_recognise(asked, asked_count, &sockets, &err), 0);
	assert_int_equal(asked[1].host_port, rules[1].host_port);
	assert_true(asked[0].both && asked[1].both);
	/* too few, too many, the wrong way round, not listening, no way to tell users apart */
	sockets.count--;
	assert_int_equal(publish_recognise(asked, asked_count, &sockets, &err), 0);
	assert_false(asked[1].both);
	sockets.count = 4;
	assert_int_equal(publish_recognise(asked, 1, &sockets, &err), -1);
	asked[0].free_port = false;
	asked[0].host_port = (uint16_t)(rules[0].host_port + 1);
	assert_int_equal(publish_recognise(asked, asked_count, &sockets, &err), -1);
	asked[0].free_port = true;
	int swapped[] = { sockets.fds[1], sockets.fds[0], sockets.fds[2], sockets.fds[3] };
	struct publish_sockets wrong = { .fds = swapped, .count = 4, .diag = sockets.diag };
	assert_int_equal(publish_recognise(asked, asked_count, &wrong, &err), -1);
	wrong = sockets;
	wrong.diag = sockets.fds[0];
	assert_int_equal(publish_recognise(asked, asked_count, &wrong, &err), -1);
	publish_sockets_free(&sockets, NULL, 0);
	publish_rules_free(rules, count);
	publish_rules_free(asked, asked_count);
}

static void the_free_port_of_a_rule_is_free_on_both_loopbacks(void **state)
{
	/* Squat on many ports of [::1], so that some tries must move on. */
	enum { SQUATTERS = 300, TRIES = 100 };
	int squatters[SQUATTERS];
	struct azm_err err = { 0 };

	(void)state;
	for (int i = 0; i < SQUATTERS; i++)
		squatters[i] = listen_v(AF_INET6, (uint16_t)(30000 + i * 33));
	for (int i = 0; i < TRIES; i++) {
		struct publish_rule rule;
		struct publisher *publisher = listen_for("8000", &rule, &err);
		assert_non_null(publisher);
		cleanup_fd int v4 = listen_v(AF_INET, rule.host_port);
		cleanup_fd int v6 = listen_v(AF_INET6, rule.host_port);
		assert_true(v4 < 0 && v6 < 0);
		/* The last ports are nobody's, and somebody else may have had one when we wanted to squat on it. */
		int offset = rule.host_port - 30000;
		assert_true(offset % 33 || offset / 33 >= SQUATTERS || squatters[offset / 33] < 0);
		publish_stop(publisher);
	}
	for (int i = 0; i < SQUATTERS; i++)
		close(squatters[i]);
}

/* In a network of its own whose lo has no [::1]. */
static int check_without_ipv6(void)
{
	uid_t uid = geteuid();
	gid_t gid = getegid();
	struct azm_err err = { 0 };
	struct publish_rule rule;

	if (unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0)
		return 77;
	world_check(id_map_single(0, 0, uid, 0, gid, &err) == 0, "id maps");
	if (write_path("/proc/sys/net/ipv6/conf/lo/disable_ipv6", "1") < 0)
		return 77;
	world_lo_up();
	struct publisher *publisher = listen_for("8000", &rule, &err);
	int result = publisher && can_connect(AF_INET, rule.host_port) ? 0 : err_print(&err, "listen");
	publish_stop(publisher);
	if (result == 0 && listen_for("[::1]:8000:8000", &rule, &err))
		result = 1;
	return result;
}

static void a_host_without_ipv6_publishes_on_ipv4_alone(void **state)
{
	int status;
	pid_t child = fork();

	(void)state;
	if (child == 0)
		_exit(check_without_ipv6());
	assert_int_equal(waitpid(child, &status, 0), child);
	if (WEXITSTATUS(status) == 77 && !getenv("AZM_MUST_WORK")) {
		print_message("skipped: no namespace without IPv6 can be made here\n");
		skip();
	}
	assert_int_equal(status, 0);
}

/* ---- UNIX sockets --------------------------------------------------------------------------------------------- */

struct place {
	char dir[32], *path, *text;
};

static int make_place(void **state)
{
	struct place *place = xcalloc(1, sizeof *place);

	strcpy(place->dir, "/tmp/publish-XXXXXX");
	if (!mkdtemp(place->dir))
		return -1;
	place->path = xasprintf("%s/sock", place->dir);
	place->text = xasprintf("unix:%s:8000", place->path);
	*state = place;
	return 0;
}

static int remove_place(void **state)
{
	struct place *place = *state;

	unlink(place->path);
	int result = rmdir(place->dir);
	free(place->path);
	free(place->text);
	free(place);
	return result;
}

static int listen_unix(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	cleanup_fd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strncpy(address.sun_path, path, sizeof address.sun_path - 1);
	if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || listen(fd, 1) < 0)
		return -1;
	return steal_fd(&fd);
}

static void a_unix_socket_is_private_whatever_the_umask_and_goes_away(void **state)
{
	struct place *place = *state;
	struct azm_err err = { 0 };
	struct publish_rule rule;
	struct stat file;
	mode_t before = umask(0);
	struct publisher *publisher = listen_for(place->text, &rule, &err);

	umask(before);
	assert_non_null(publisher);
	assert_int_equal(lstat(place->path, &file), 0);
	assert_true(S_ISSOCK(file.st_mode));
	assert_int_equal(file.st_mode & 07777, 0600);
	publish_stop(publisher);
	assert_int_equal(lstat(place->path, &file), -1);
}

static void a_dead_socket_is_replaced(void **state)
{
	struct place *place = *state;
	struct azm_err err = { 0 };
	struct publish_rule rule;

	close(listen_unix(place->path));
	struct publisher *publisher = listen_for(place->text, &rule, &err);
	assert_non_null(publisher);
	publish_stop(publisher);
}

static void a_socket_somebody_serves_stays(void **state)
{
	struct place *place = *state;
	struct azm_err err = { 0 };
	struct publish_rule rule;
	cleanup_fd int served = listen_unix(place->path);

	assert_true(served >= 0);
	assert_null(listen_for(place->text, &rule, &err));
	assert_int_equal(err.code, EADDRINUSE);
	assert_int_equal(access(place->path, F_OK), 0);
}

static void what_is_not_a_socket_stays(void **state)
{
	struct place *place = *state;
	struct azm_err err = { 0 };
	struct publish_rule rule;

	close(open(place->path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	assert_null(listen_for(place->text, &rule, &err));
	assert_int_equal(err.code, EEXIST);
	assert_int_equal(unlink(place->path), 0);

	assert_int_equal(symlink("/nowhere", place->path), 0);
	assert_null(listen_for(place->text, &rule, &err));
	assert_int_equal(err.code, EEXIST);
}

static void a_socket_that_took_our_place_stays(void **state)
{
	struct place *place = *state;
	struct azm_err err = { 0 };
	struct publish_rule rule;
	struct publisher *publisher = listen_for(place->text, &rule, &err);

	assert_non_null(publisher);
	assert_int_equal(unlink(place->path), 0);
	cleanup_fd int successor = listen_unix(place->path);
	assert_true(successor >= 0);
	publish_stop(publisher);
	assert_int_equal(access(place->path, F_OK), 0);
}

/* ---- whose connection ----------------------------------------------------------------------------------------- */

/* A connection between two sockets of ours; the check is asked about the accepted one. */
struct link {
	int listener, client, accepted;
};

static struct link make_link(int family)
{
	struct link link = { .listener = listen_v(family, 0) };

	link.client = world_connect(family, port_of(link.listener));
	link.accepted = accept(link.listener, NULL, NULL);
	assert_true(link.client >= 0 && link.accepted >= 0);
	return link;
}

static void drop_link(struct link *link)
{
	close(link->listener);
	if (link->client >= 0)
		close(link->client);
	close(link->accepted);
}

/* Ask as ourselves, or as if the connection were a stranger's. */
static bool allowed(const struct link *link, bool as_stranger)
{
	struct peer_check check;
	struct azm_err err = { 0 };

	assert_int_equal(peer_check_open(&check, &err), 0);
	assert_int_equal(peer_check_prove(&check, link->listener, &err), 0);
	if (as_stranger)
		check.owner++;
	bool result = peer_check_allows(&check, link->accepted);
	assert_int_equal(peer_check_allows(&check, link->accepted), result);
	peer_check_close(&check);
	return result;
}

static void own_connections_are_allowed_and_anothers_are_not(void **state)
{
	static const int families[] = { AF_INET, AF_INET6 };

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct link link = make_link(families[i]);
		assert_true(allowed(&link, false));
		assert_int_equal(allowed(&link, true), geteuid() == 0);
		drop_link(&link);
	}
}

static void an_ipv6_socket_that_connects_to_ipv4_is_recognised(void **state)
{
	struct link link = { .listener = listen_v(AF_INET, 0) };
	struct sockaddr_in6 mapped = { .sin6_family = AF_INET6, .sin6_port = htons(port_of(link.listener)) };

	(void)state;
	assert_int_equal(inet_pton(AF_INET6, "::ffff:127.0.0.1", &mapped.sin6_addr), 1);
	link.client = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(link.client, (struct sockaddr *)&mapped, sizeof mapped), 0);
	link.accepted = accept(link.listener, NULL, NULL);
	assert_true(allowed(&link, false));
	assert_int_equal(allowed(&link, true), geteuid() == 0);
	drop_link(&link);
}

static void a_half_closed_client_is_still_known(void **state)
{
	struct link link = make_link(AF_INET);

	(void)state;
	assert_int_equal(shutdown(link.client, SHUT_WR), 0);
	assert_true(allowed(&link, false));
	assert_int_equal(allowed(&link, true), geteuid() == 0);
	drop_link(&link);
}

/* The kernel reports a closed socket as root's: a stranger must not pass by sending and leaving. */
static void a_stranger_who_has_closed_is_not_taken_for_root(void **state)
{
	struct link link = make_link(AF_INET);

	(void)state;
	assert_int_equal(send(link.client, "x", 1, 0), 1);
	close(link.client);
	link.client = -1;
	assert_false(allowed(&link, true));
	drop_link(&link);
}

static void a_client_that_has_reset_is_refused(void **state)
{
	static const struct linger at_once = { 1, 0 };
	struct link link = make_link(AF_INET);

	(void)state;
	setsockopt(link.client, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
	close(link.client);
	link.client = -1;
	assert_false(allowed(&link, false));
	drop_link(&link);
}

/* When the connection is gone, the kernel finds whoever listens on the client's port. */
static void a_listener_on_the_clients_port_does_not_vouch_for_it(void **state)
{
	struct link link = { .listener = listen_v(AF_INET, 0), .client = socket(AF_INET, SOCK_STREAM, 0) };
	struct sockaddr_in local = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr_in remote = local;
	static const struct linger at_once = { 1, 0 };

	(void)state;
	remote.sin_port = htons(port_of(link.listener));
	setsockopt(link.client, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	assert_int_equal(bind(link.client, (struct sockaddr *)&local, sizeof local), 0);
	uint16_t port = port_of(link.client);
	assert_int_equal(connect(link.client, (struct sockaddr *)&remote, sizeof remote), 0);
	link.accepted = accept(link.listener, NULL, NULL);
	setsockopt(link.client, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
	close(link.client);
	link.client = listen_v(AF_INET, port);
	assert_true(link.client >= 0);
	assert_false(allowed(&link, false));
	drop_link(&link);
}

static void a_socket_that_is_not_tcp_is_refused(void **state)
{
	struct peer_check check;
	struct azm_err err = { 0 };
	int ends[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	assert_int_equal(peer_check_open(&check, &err), 0);
	assert_false(peer_check_allows(&check, ends[0]));
	assert_false(peer_check_allows(&check, -1));
	peer_check_close(&check);
	assert_false(peer_check_allows(&check, ends[0]));
	close(ends[0]);
	close(ends[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_rule_without_address_holds_both_loopbacks_on_one_free_port),
		cmocka_unit_test(a_rule_with_an_address_holds_only_that),
		cmocka_unit_test(a_taken_port_is_an_error_that_names_the_address_and_leaves_nothing),
		cmocka_unit_test(a_port_in_use_within_a_range_leaves_none_of_it_bound),
		cmocka_unit_test(t_n9_neither_loopback_of_a_published_port_can_be_squatted),
		cmocka_unit_test(sockets_of_another_process_are_recognised_or_refused),
		cmocka_unit_test(the_free_port_of_a_rule_is_free_on_both_loopbacks),
		cmocka_unit_test(a_host_without_ipv6_publishes_on_ipv4_alone),
		cmocka_unit_test_setup_teardown(
			a_unix_socket_is_private_whatever_the_umask_and_goes_away, make_place, remove_place),
		cmocka_unit_test_setup_teardown(a_dead_socket_is_replaced, make_place, remove_place),
		cmocka_unit_test_setup_teardown(a_socket_somebody_serves_stays, make_place, remove_place),
		cmocka_unit_test_setup_teardown(what_is_not_a_socket_stays, make_place, remove_place),
		cmocka_unit_test_setup_teardown(a_socket_that_took_our_place_stays, make_place, remove_place),
		cmocka_unit_test(own_connections_are_allowed_and_anothers_are_not),
		cmocka_unit_test(an_ipv6_socket_that_connects_to_ipv4_is_recognised),
		cmocka_unit_test(a_half_closed_client_is_still_known),
		cmocka_unit_test(a_stranger_who_has_closed_is_not_taken_for_root),
		cmocka_unit_test(a_client_that_has_reset_is_refused),
		cmocka_unit_test(a_listener_on_the_clients_port_does_not_vouch_for_it),
		cmocka_unit_test(a_socket_that_is_not_tcp_is_refused),
	};

	return cmocka_run_group_tests_name("publish", tests, NULL, NULL);
}
