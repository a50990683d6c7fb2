// SPDX-License-Identifier: GPL-2.0-or-later
/* mount/pivot.c: leave the host's tree (see mount.h).
 *
 * pivot_root(".", ".") puts the old root on top of the new one, from where it is detached with everything below it: no
 * directory of the image is needed for it (pivot_root(2), NOTES).
 */
#include "mount/mount.h"

#include <unistd.h>

#include "mount/newapi.h"

int mount_pivot(int rootfd, struct azm_err *err)
{
	if (fchdir(rootfd) < 0)
		return err_sys(err, "enter", "the new root");
	if (sys_pivot_root(".", ".") < 0)
		return err_sys(err, "change the root", NULL);
	if (umount2(".", MNT_DETACH) < 0)
		return err_sys(err, "detach the host's tree", NULL);
	return chdir("/") < 0 ? err_sys(err, "enter", "/") : 0;
}
