/* Bytes of an agent's request: PKCS#10, and the PEM walker and certificate parser that read
 * answers. */
#include "base/core/macros.h"
#include "base/pki/bundle.h"
#include "base/pki/csr.h"
#include "base/pki/key.h"
#include "base/pki/x509.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    auto_buf certs = BUF(BUNDLE_MAX_BYTES), keys = BUF_SECRET(BUNDLE_MAX_BYTES);
    AUTO(key) struct key *public = NULL;
    AUTO(x509) struct x509 *cert = NULL;
    char hash[BUNDLE_HASH_CHARS + 1];
    struct err e;

    err_ignore(csr_parse(&public, str_n(data, n), &e)); /* only crashes count */
    bool checked = csr_check(str_n(data, n), &e) == 0;
    if (public && !checked)
        __builtin_trap(); /* what is accepted is a request */
    csr_asks_for_organization(str_n(data, n), "system:masters");
    err_ignore(x509_parse_der(&cert, str_n(data, n), &e));
    err_ignore(bundle_split(str_n(data, n), &certs, &keys, &e));
    bundle_ca_hash(hash, str_n(data, n), 1795400000);
    return 0;
}
