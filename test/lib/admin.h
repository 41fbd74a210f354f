#pragma once
/*
 * Admin: the credentials of a server's administrator, for the programs of test/tools.
 */
#include "base/io/tls.h"

/* From three PEM files; alpn NULL: none is offered. What is wrong with them goes to stderr, and the
 * process ends with 2. */
struct tls_client_config *admin_tls(const char *ca_path, const char *cert_path,
                                    const char *key_path, const char *const *alpn);
