#include "test/lib/admin.h"

#include "base/io/file.h"

#include <stdio.h>
#include <stdlib.h>

#define PEM_MAX (1 << 20)

static void read_pem(struct buf *out, const char *path)
{
    struct err e;

    if (file_read(path, PEM_MAX, out, &e)) {
        fprintf(stderr, "%s\n", e.text);
        exit(2);
    }
}

struct tls_client_config *admin_tls(const char *ca_path, const char *cert_path,
                                    const char *key_path, const char *const *alpn)
{
    auto_buf ca = BUF(PEM_MAX), cert = BUF(PEM_MAX), key = BUF_SECRET(PEM_MAX);
    struct tls_client_config *tls;
    struct err e;

    read_pem(&ca, ca_path);
    read_pem(&cert, cert_path);
    read_pem(&key, key_path);
    struct tls_client_options o = { .ca_pem = buf_str(&ca),
                                    .cert_chain_pem = buf_str(&cert),
                                    .key_pem = buf_str(&key),
                                    .alpn = alpn };
    if (tls_client_config_new(&tls, &o, &e)) {
        fprintf(stderr, "%s\n", e.text);
        exit(2);
    }
    return tls;
}
