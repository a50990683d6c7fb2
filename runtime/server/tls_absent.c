// SPDX-License-Identifier: GPL-2.0-or-later
/* server/tls_absent.c: the GnuTLS entry points that Debian's libmicrohttpd.a refers to.
 *
 * The distribution builds libmicrohttpd with TLS, in objects too coarse for the linker to drop, and a static GnuTLS
 * cannot be had (its closure ends in p11-kit, which loads modules and has no archive) nor is it wanted: the server
 * speaks plain HTTP to the loopback side of a sandbox. So the references are satisfied here. gnutls_global_init() is
 * called at start-up whatever the flags are and succeeds. The two calls that every TLS daemon makes first, and whose
 * results libmicrohttpd checks, report failure: a daemon asked for TLS does not start. The others cannot be reached
 * without a session that those two would have made, and abort if they are.
 */
#include <stdlib.h>

enum { NOT_BUILT_IN = -1250 /* GNUTLS_E_UNIMPLEMENTED_FEATURE */ };

/* The prototypes are not GnuTLS's (its header is not needed to build): nothing is ever passed or returned for real. */
#define ANSWERS(name, value)                                                                                           \
	int name(void);                                                                                                \
	int name(void)                                                                                                 \
	{                                                                                                              \
		return value;                                                                                          \
	}
#define UNREACHABLE(name)                                                                                              \
	void name(void);                                                                                               \
	void name(void)                                                                                                \
	{                                                                                                              \
		abort();                                                                                               \
	}

/* clang-format off */
ANSWERS(gnutls_global_init, 0)
ANSWERS(gnutls_global_deinit, 0)
ANSWERS(gnutls_priority_init, NOT_BUILT_IN)
ANSWERS(gnutls_priority_init2, NOT_BUILT_IN)
ANSWERS(gnutls_certificate_allocate_credentials, NOT_BUILT_IN)
UNREACHABLE(gnutls_alpn_set_protocols)
UNREACHABLE(gnutls_bye)
UNREACHABLE(gnutls_certificate_free_credentials)
UNREACHABLE(gnutls_certificate_server_set_request)
UNREACHABLE(gnutls_certificate_set_dh_params)
UNREACHABLE(gnutls_certificate_set_retrieve_function2)
UNREACHABLE(gnutls_certificate_set_retrieve_function3)
UNREACHABLE(gnutls_certificate_set_x509_key_mem)
UNREACHABLE(gnutls_certificate_set_x509_key_mem2)
UNREACHABLE(gnutls_certificate_set_x509_trust_mem)
UNREACHABLE(gnutls_cipher_get)
UNREACHABLE(gnutls_credentials_set)
UNREACHABLE(gnutls_deinit)
UNREACHABLE(gnutls_dh_params_deinit)
UNREACHABLE(gnutls_dh_params_import_pkcs3)
UNREACHABLE(gnutls_dh_params_init)
UNREACHABLE(gnutls_handshake)
UNREACHABLE(gnutls_init)
UNREACHABLE(gnutls_malloc)
UNREACHABLE(gnutls_priority_deinit)
UNREACHABLE(gnutls_priority_set)
UNREACHABLE(gnutls_protocol_get_version)
UNREACHABLE(gnutls_psk_allocate_server_credentials)
UNREACHABLE(gnutls_psk_free_server_credentials)
UNREACHABLE(gnutls_psk_set_server_credentials_function)
UNREACHABLE(gnutls_record_check_pending)
UNREACHABLE(gnutls_record_get_direction)
UNREACHABLE(gnutls_record_recv)
UNREACHABLE(gnutls_record_send)
UNREACHABLE(gnutls_session_get_ptr)
UNREACHABLE(gnutls_session_set_ptr)
UNREACHABLE(gnutls_strerror)
UNREACHABLE(gnutls_transport_set_int2)
/* clang-format on */
