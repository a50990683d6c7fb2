// SPDX-License-Identifier: GPL-2.0-or-later
/* seccomp/rules.c: see rules.h.
 *
 * Every rule is a straight line of "load an argument, answer if it matches, else go on", so it can be read from top to
 * bottom. Arguments are loaded as their low 32 bits, because that is what the kernel reads of every argument judged
 * here: comparing 64 bits let socket(0x100000028) through as "not AF_VSOCK". Both architectures are little-endian.
 */
#include "seccomp/rules.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/prctl.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/compat.h"
#include "seccomp/seccomp.h"

/* CLONE_NEWTIME is missing on purpose: clone(2) takes its bit as part of the exit signal. */
#define NEW_NAMESPACES                                                                                                 \
	(CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET)

/* The kernel reads open's mode when it sees one of these. O_TMPFILE's own bit is without a public name. */
#define O_CREATES (O_CREAT | (O_TMPFILE & ~O_DIRECTORY))

#define SET_ID (S_ISUID | S_ISGID)

static void add(struct rule *r, struct sock_filter insn)
{
	if (r->count == sizeof r->insns / sizeof r->insns[0])
		abort(); /* on the build machine: a rule outgrew its buffer */
	r->insns[r->count++] = insn;
}

static void answer(struct rule *r, int code)
{
	if (code == ANSWER_CONTINUE)
		add(r, RULE_CONTINUE);
	else
		add(r, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K,
			       code == ANSWER_ALLOW ? SECCOMP_RET_ALLOW : SECCOMP_RET_ERRNO | (uint32_t)code));
}

static void load_arg(struct rule *r, unsigned arg)
{
	uint32_t offset = (uint32_t)(offsetof(struct seccomp_data, args) + arg * sizeof(uint64_t));

	add(r, (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offset));
}

static void keep_bits(struct rule *r, uint32_t mask)
{
	add(r, (struct sock_filter)BPF_STMT(BPF_ALU | BPF_AND | BPF_K, mask));
}

static void if_equal(struct rule *r, uint32_t value, int code)
{
	add(r, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, 1));
	answer(r, code);
}

static void if_any_bit(struct rule *r, uint32_t bits, int code)
{
	add(r, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, bits, 0, 1));
	answer(r, code);
}

static void if_no_bit(struct rule *r, uint32_t bits, int code)
{
	add(r, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, bits, 1, 0));
	answer(r, code);
}

/* Jump to a place that is not known yet: jump_here() completes it. */
static size_t jump_if_equal(struct rule *r, uint32_t value)
{
	add(r, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, 0));
	return r->count - 1;
}

static void jump_here(struct rule *r, size_t jump)
{
	r->insns[jump].jt = (uint8_t)(r->count - jump - 1);
}

/* Internet sockets: the protocols programs use. SCTP, DCCP, L2TP, SMC would be modules loaded at the agent's command.
 * SOCK_RAW takes any protocol, but a capability that the kernel asks for first. SOCK_PACKET is AF_PACKET in disguise:
 * the kernel changes the family behind the filter's back.
 */
static void internet_socket(struct rule *r)
{
	static const uint32_t protocols[] = { IPPROTO_IP, IPPROTO_ICMP, IPPROTO_TCP, IPPROTO_UDP, IPPROTO_ICMPV6,
		IPPROTO_UDPLITE, IPPROTO_MPTCP };

	load_arg(r, 1);
	keep_bits(r, 0xf); /* without SOCK_CLOEXEC, SOCK_NONBLOCK */
	if_equal(r, SOCK_PACKET, EAFNOSUPPORT);
	if_equal(r, SOCK_RAW, ANSWER_ALLOW);
	load_arg(r, 2);
	for (size_t i = 0; i < sizeof protocols / sizeof protocols[0]; i++)
		if_equal(r, protocols[i], ANSWER_ALLOW);
	answer(r, EPROTONOSUPPORT);
}

static void socket_families(struct rule *r, bool supervisor)
{
	load_arg(r, 0);
	if_equal(r, AF_UNIX, ANSWER_ALLOW);
	size_t inet = jump_if_equal(r, AF_INET);
	size_t inet6 = jump_if_equal(r, AF_INET6);
	size_t netlink = jump_if_equal(r, AF_NETLINK);
	answer(r, EAFNOSUPPORT);
	jump_here(r, netlink);
	load_arg(r, 2);
	if_equal(r, NETLINK_ROUTE, ANSWER_ALLOW);
	if (supervisor) {
		if_equal(r, NETLINK_SOCK_DIAG, ANSWER_ALLOW);
		if_equal(r, NETLINK_NETFILTER, ANSWER_ALLOW);
	}
	if_equal(r, NETLINK_AUDIT, EINVAL); /* what PAM and sudo take for "a kernel without audit" */
	answer(r, EPROTONOSUPPORT);
	jump_here(r, inet);
	jump_here(r, inet6);
	internet_socket(r);
}

static void set_id_mode(struct rule *r, unsigned mode_arg, bool allowed)
{
	if (!allowed) {
		load_arg(r, mode_arg);
		if_any_bit(r, SET_ID, EPERM);
	}
	answer(r, ANSWER_ALLOW);
}

static void open_file(struct rule *r, unsigned flags_arg, bool allowed)
{
	if (!allowed) {
		load_arg(r, flags_arg);
		if_no_bit(r, O_CREATES, ANSWER_ALLOW);
	}
	set_id_mode(r, flags_arg + 1, allowed);
}

static void make_node(struct rule *r, unsigned mode_arg, unsigned flags, bool set_id)
{
	int device = flags & FILTER_EMULATE_ROOT ? 0 : EPERM;

	if (flags & FILTER_NESTED) { /* overlay's whiteout: character device 0:0, which anybody may make */
		load_arg(r, mode_arg + 1);
		add(r, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 4));
		load_arg(r, mode_arg);
		keep_bits(r, S_IFMT);
		if_equal(r, S_IFCHR, ANSWER_ALLOW);
	}
	load_arg(r, mode_arg);
	if (!set_id)
		if_any_bit(r, SET_ID, EPERM);
	keep_bits(r, S_IFMT);
	if_equal(r, S_IFCHR, device);
	if_equal(r, S_IFBLK, device);
	if_equal(r, S_IFIFO, ANSWER_ALLOW);
	if_equal(r, S_IFSOCK, ANSWER_ALLOW);
	if_equal(r, S_IFREG, ANSWER_ALLOW);
	if_equal(r, 0, ANSWER_ALLOW); /* the same as S_IFREG */
	answer(r, EPERM);
}

static void terminal_ioctl(struct rule *r)
{
	/* type into the terminal; the console's own way to do that; take the console's output; load a line discipline
	 */
	static const uint32_t denied[] = { TIOCSTI, TIOCLINUX, TIOCCONS, TIOCSETD };

	load_arg(r, 1);
	for (size_t i = 0; i < sizeof denied / sizeof denied[0]; i++)
		if_equal(r, denied[i], EPERM);
	answer(r, ANSWER_ALLOW);
}

static void process_flags(struct rule *r)
{
	const uint32_t query = 0xffffffff;

	load_arg(r, 0);
	if_equal(r, query, ANSWER_ALLOW);
	if_any_bit(r, ~(uint32_t)(PER_LINUX32 | UNAME26 | ADDR_NO_RANDOMIZE), EPERM);
	answer(r, ANSWER_ALLOW);
}

static void clone_flags(struct rule *r, bool nested)
{
	if (!nested) {
		load_arg(r, 0);
		if_any_bit(r, NEW_NAMESPACES, EPERM);
	}
	answer(r, ANSWER_ALLOW);
}

static void process_control(struct rule *r)
{
	load_arg(r, 0);
	if_equal(r, PR_SET_MM, EPERM); /* lies about the process in /proc; only checkpointing needs it */
	answer(r, ANSWER_ALLOW);
}

static void socket_pair(struct rule *r)
{
	load_arg(r, 0);
	if_equal(r, AF_UNIX, ANSWER_ALLOW);
	answer(r, EOPNOTSUPP);
}

struct rule rule_answer(int code)
{
	struct rule r = { 0 };

	answer(&r, code);
	return r;
}

struct rule rule_build(enum treatment treatment, unsigned flags)
{
	bool nested = flags & FILTER_NESTED;
	bool emulate = flags & FILTER_EMULATE_ROOT;
	bool set_id = flags & (FILTER_EMULATE_ROOT | FILTER_SET_ID);
	struct rule r = { 0 };

	switch (treatment) {
	case TREAT_ALLOW:
		return rule_answer(ANSWER_ALLOW);
	case TREAT_DENY:
		return rule_answer(EPERM);
	case TREAT_ABSENT:
		return rule_answer(ENOSYS);
	case TREAT_NAMESPACE:
		return rule_answer(nested ? ANSWER_ALLOW : EPERM);
	case TREAT_HIDDEN:
		return rule_answer(nested ? ANSWER_ALLOW : ENOSYS);
	case TREAT_LDT:
		return rule_answer(flags & FILTER_COMPAT32 ? ANSWER_ALLOW : ENOSYS);
	case TREAT_OPENAT2:
		return rule_answer(set_id ? ANSWER_ALLOW : ENOSYS);
	case TREAT_IDENTITY:
		return rule_answer(emulate ? 0 : ANSWER_ALLOW);
	case TREAT_CLONE:
		clone_flags(&r, nested);
		break;
	case TREAT_SOCKET:
		socket_families(&r, false);
		break;
	case TREAT_SOCKETPAIR:
		socket_pair(&r);
		break;
	case TREAT_IOCTL:
		terminal_ioctl(&r);
		break;
	case TREAT_PRCTL:
		process_control(&r);
		break;
	case TREAT_PERSONALITY:
		process_flags(&r);
		break;
	case TREAT_SETID_ARG1:
		set_id_mode(&r, 1, set_id);
		break;
	case TREAT_SETID_ARG2:
		set_id_mode(&r, 2, set_id);
		break;
	case TREAT_OPEN:
		open_file(&r, 1, set_id);
		break;
	case TREAT_OPENAT:
		open_file(&r, 2, set_id);
		break;
	case TREAT_MKNOD:
		make_node(&r, 1, flags, set_id);
		break;
	case TREAT_MKNODAT:
		make_node(&r, 2, flags, set_id);
		break;
	}
	return r;
}

struct rule rule_emulate(enum treatment treatment)
{
	struct rule r = { 0 };

	if (treatment == TREAT_IDENTITY)
		return rule_answer(0);
	if (treatment == TREAT_MKNOD || treatment == TREAT_MKNODAT) {
		load_arg(&r, treatment == TREAT_MKNOD ? 1 : 2);
		keep_bits(&r, S_IFMT);
		if_equal(&r, S_IFCHR, 0);
		if_equal(&r, S_IFBLK, 0);
	}
	answer(&r, ANSWER_CONTINUE);
	return r;
}

static void relay_ioctl(struct rule *r)
{
	static const uint32_t allowed[] = { FIONREAD, FIONBIO, FIOCLEX, FIONCLEX, TIOCOUTQ, TCGETS, TCSETS, TCSETSW,
		TCSETSF, TIOCGWINSZ, TIOCSWINSZ, TIOCGPGRP, TIOCSPGRP, TIOCGPTN, TIOCSPTLCK, TIOCGPTPEER };

	load_arg(r, 1);
	for (size_t i = 0; i < sizeof allowed / sizeof allowed[0]; i++)
		if_equal(r, allowed[i], ANSWER_ALLOW);
	answer(r, EPERM);
}

struct rule rule_supervisor(enum supervisor_rule which)
{
	struct rule r = { 0 };

	switch (which) {
	case SUPERVISOR_ALLOW:
		break;
	case SUPERVISOR_ABSENT:
		return rule_answer(ENOSYS);
	case SUPERVISOR_CLONE:
		load_arg(&r, 0);
		if_any_bit(&r, NEW_NAMESPACES, EPERM);
		break;
	case SUPERVISOR_SOCKET:
		socket_families(&r, true);
		return r;
	case SUPERVISOR_IOCTL:
		relay_ioctl(&r);
		return r;
	case SUPERVISOR_OWN:
		load_arg(&r, 0);
		if_equal(&r, 0, ANSWER_ALLOW);
		answer(&r, EPERM);
		return r;
	case SUPERVISOR_NO_EXEC:
		load_arg(&r, 2);
		if_any_bit(&r, PROT_EXEC, EPERM);
		break;
	}
	answer(&r, ANSWER_ALLOW);
	return r;
}

bool rule_equal(const struct rule *a, const struct rule *b)
{
	return a->count == b->count && memcmp(a->insns, b->insns, a->count * sizeof a->insns[0]) == 0;
}
