// SPDX-License-Identifier: GPL-2.0-or-later
/* server/crc_fast.c: zlib's crc32() as libarchive calls it, by libdeflate (the linker is told to --wrap it): zlib's
 * takes as long as copying the file does, nine times libdeflate's, and the download of a large file waits for it.
 */
#include <libdeflate.h>

unsigned long __wrap_crc32(unsigned long crc, const unsigned char *bytes, unsigned size);

unsigned long __wrap_crc32(unsigned long crc, const unsigned char *bytes, unsigned size)
{
	return libdeflate_crc32((uint32_t)crc, bytes, size);
}
