// SPDX-License-Identifier: GPL-2.0-or-later
/* server/console_page.c: GET /: the console page (console/), embedded by console/assemble.sh.
 *
 * The page answers without the key: it holds no secret. The key is behind the # of its address, which browsers do not
 * send; its script puts it into the header of its requests. The policy lets the browser run that script and nothing
 * else, whatever a name of a file or the output of a program contains.
 */
#include <microhttpd.h>
#include <stdint.h>
#include <stdlib.h>

#include "console.h"
#include "server/server.h"

__asm__(".section .rodata\nconsole_page_start:\n.incbin \"" CONSOLE_PAGE "\"\nconsole_page_end:\n.balign 8\n"
	"console_page_size: .quad console_page_end - console_page_start\n.previous\n");
extern const char console_page_start[];
extern const uint64_t console_page_size;

static const char *const headers[][2] = {
	{ MHD_HTTP_HEADER_CONTENT_TYPE, "text/html; charset=utf-8" },
	{ "Content-Security-Policy", "default-src 'none'; script-src '" CONSOLE_SCRIPT "'; style-src '" CONSOLE_STYLE
				     "'; connect-src 'self'; img-src blob: data:; base-uri 'none'; form-action 'none'; "
				     "frame-ancestors 'none'; "
				     "require-trusted-types-for 'script'; trusted-types 'none'" },
	{ "Referrer-Policy", "no-referrer" },
	{ "Cross-Origin-Opener-Policy", "same-origin" },
	{ "Cross-Origin-Resource-Policy", "same-origin" },
	{ "X-Frame-Options", "DENY" },
};

void endpoint_console_page(struct request *request)
{
	struct MHD_Response *response = MHD_create_response_from_buffer(
		console_page_size, (void *)(uintptr_t)console_page_start, MHD_RESPMEM_PERSISTENT);

	if (!response)
		abort(); /* out of memory */
	for (size_t i = 0; i < sizeof headers / sizeof *headers; i++)
		MHD_add_response_header(response, headers[i][0], headers[i][1]);
	request_send(request, 200, response);
}
