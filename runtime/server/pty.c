// SPDX-License-Identifier: GPL-2.0-or-later
/* server/pty.c: see pty.h */
#include "server/pty.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <termios.h>

#include "base/cleanup.h"

void pty_resize(int terminal, int rows, int columns)
{
	const struct winsize size = { .ws_row = (unsigned short)rows, .ws_col = (unsigned short)columns };

	ioctl(terminal, TIOCSWINSZ, &size);
}

/* The peer is taken by ioctl: its name may not be visible where we are. */
int pty_open(int rows, int columns, int *peer, struct azm_err *err)
{
	struct termios modes;
	int unlock = 0;
	cleanup_fd int terminal = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);

	if (terminal < 0)
		return err_sys(err, "open a terminal", "/dev/ptmx");
	if (ioctl(terminal, TIOCSPTLCK, &unlock) < 0)
		return err_sys(err, "set up a terminal", NULL);
	pty_resize(terminal, rows, columns);
	cleanup_fd int other = ioctl(terminal, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (other < 0 || tcgetattr(other, &modes) < 0)
		return err_sys(err, "open a terminal", "its other end");
	modes.c_iflag |= IUTF8;
	tcsetattr(other, TCSANOW, &modes);
	*peer = steal_fd(&other);
	return steal_fd(&terminal);
}
