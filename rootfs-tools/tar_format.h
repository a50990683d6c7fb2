// SPDX-License-Identifier: GPL-2.0-or-later
/* rootfs-tools/tar_format.h: a header as it stands in a tar (POSIX.1-2017 pax(1), "ustar Interchange Format"). */
#pragma once

enum { TAR_BLOCK = 512 };

struct tar_header {
	char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], checksum[8], type, link[100], magic[6],
		version[2], user[32], group[32], major[8], minor[8], prefix[155], rest[12];
};
_Static_assert(sizeof(struct tar_header) == TAR_BLOCK, "no padding");
