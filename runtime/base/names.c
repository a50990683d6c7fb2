// SPDX-License-Identifier: GPL-2.0-or-later
/* base/names.c: see names.h. Tables, since strerrorname_np() and sigabbrev_np() came with glibc 2.32. */
#include "base/names.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <strings.h>

#include "base/str.h"

/* clang-format off */
/* errno(3), Linux's numbers; EWOULDBLOCK and EDEADLOCK are other names of EAGAIN and EDEADLK. */
#define ERRNOS(X) \
	X(EPERM) X(ENOENT) X(ESRCH) X(EINTR) X(EIO) X(ENXIO) X(E2BIG) X(ENOEXEC) X(EBADF) X(ECHILD) \
	X(EAGAIN) X(ENOMEM) X(EACCES) X(EFAULT) X(ENOTBLK) X(EBUSY) X(EEXIST) X(EXDEV) X(ENODEV) X(ENOTDIR) \
	X(EISDIR) X(EINVAL) X(ENFILE) X(EMFILE) X(ENOTTY) X(ETXTBSY) X(EFBIG) X(ENOSPC) X(ESPIPE) X(EROFS) \
	X(EMLINK) X(EPIPE) X(EDOM) X(ERANGE) X(EDEADLK) X(ENAMETOOLONG) X(ENOLCK) X(ENOSYS) X(ENOTEMPTY) \
	X(ELOOP) X(ENOMSG) X(EIDRM) X(ECHRNG) X(EL2NSYNC) X(EL3HLT) X(EL3RST) X(ELNRNG) X(EUNATCH) \
	X(ENOCSI) X(EL2HLT) X(EBADE) X(EBADR) X(EXFULL) X(ENOANO) X(EBADRQC) X(EBADSLT) X(EBFONT) X(ENOSTR) \
	X(ENODATA) X(ETIME) X(ENOSR) X(ENONET) X(ENOPKG) X(EREMOTE) X(ENOLINK) X(EADV) X(ESRMNT) X(ECOMM) \
	X(EPROTO) X(EMULTIHOP) X(EDOTDOT) X(EBADMSG) X(EOVERFLOW) X(ENOTUNIQ) X(EBADFD) X(EREMCHG) \
	X(ELIBACC) X(ELIBBAD) X(ELIBSCN) X(ELIBMAX) X(ELIBEXEC) X(EILSEQ) X(ERESTART) X(ESTRPIPE) X(EUSERS) \
	X(ENOTSOCK) X(EDESTADDRREQ) X(EMSGSIZE) X(EPROTOTYPE) X(ENOPROTOOPT) X(EPROTONOSUPPORT) \
	X(ESOCKTNOSUPPORT) X(EOPNOTSUPP) X(EPFNOSUPPORT) X(EAFNOSUPPORT) X(EADDRINUSE) X(EADDRNOTAVAIL) \
	X(ENETDOWN) X(ENETUNREACH) X(ENETRESET) X(ECONNABORTED) X(ECONNRESET) X(ENOBUFS) X(EISCONN) \
	X(ENOTCONN) X(ESHUTDOWN) X(ETOOMANYREFS) X(ETIMEDOUT) X(ECONNREFUSED) X(EHOSTDOWN) X(EHOSTUNREACH) \
	X(EALREADY) X(EINPROGRESS) X(ESTALE) X(EUCLEAN) X(ENOTNAM) X(ENAVAIL) X(EISNAM) X(EREMOTEIO) \
	X(EDQUOT) X(ENOMEDIUM) X(EMEDIUMTYPE) X(ECANCELED) X(ENOKEY) X(EKEYEXPIRED) X(EKEYREVOKED) \
	X(EKEYREJECTED) X(EOWNERDEAD) X(ENOTRECOVERABLE) X(ERFKILL) X(EHWPOISON)

/* signal(7), without SIG; SIGIOT and SIGIO are other names of SIGABRT and SIGPOLL. */
#define SIGNALS(X) \
	X(HUP) X(INT) X(QUIT) X(ILL) X(TRAP) X(ABRT) X(BUS) X(FPE) X(KILL) X(USR1) X(SEGV) X(USR2) X(PIPE) \
	X(ALRM) X(TERM) X(STKFLT) X(CHLD) X(CONT) X(STOP) X(TSTP) X(TTIN) X(TTOU) X(URG) X(XCPU) X(XFSZ) \
	X(VTALRM) X(PROF) X(WINCH) X(POLL) X(PWR) X(SYS)
/* clang-format on */

#define ERRNO_ROW(name)	 [name] = #name,
#define SIGNAL_ROW(name) [SIG##name] = #name,

const char *errno_name(int number)
{
	static const char *const names[] = { ERRNOS(ERRNO_ROW) };

	return number > 0 && (size_t)number < sizeof names / sizeof *names ? names[number] : NULL;
}

const char *signal_name(int number)
{
	static const char *const names[] = { SIGNALS(SIGNAL_ROW) };

	return number > 0 && (size_t)number < sizeof names / sizeof *names ? names[number] : NULL;
}

int signal_by_name(const char *text)
{
	uint64_t number;
	const char *name = strncasecmp(text, "SIG", 3) == 0 ? text + 3 : text;

	if (str_to_u64(text, NSIG - 1, &number))
		return (int)number;
	for (int i = 1; i < NSIG; i++) {
		const char *known = signal_name(i);
		if (known && strcasecmp(known, name) == 0)
			return i;
	}
	return 0;
}
