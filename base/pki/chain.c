/* The part of x509.h that walks chains: OpenSSL finds the path, the rules are Go's: any trusted
 * certificate is an anchor, extended key usages nest along the path, other purposes do not count.
 */
#include "base/pki/ossl.h"
#include "base/pki/x509.h"

#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

struct path {
    STACK_OF(X509) * trusted, *more;
    X509_STORE *store; /* empty, but OpenSSL insists on one */
    X509_STORE_CTX *ctx;
};

static void path_init(struct path *p)
{
    p->trusted = sk_X509_new_null();
    p->more = sk_X509_new_null();
    p->store = X509_STORE_new();
    p->ctx = X509_STORE_CTX_new();
    if (!p->trusted || !p->more || !p->store || !p->ctx)
        abort(); /* out of memory */
}

static void path_deinit(struct path *p)
{
    X509_STORE_CTX_free(p->ctx);
    X509_STORE_free(p->store);
    sk_X509_free(p->more); /* the certificates are borrowed */
    sk_X509_free(p->trusted);
}

static void add_all(STACK_OF(X509) * to, const struct x509_list *l)
{
    for (size_t i = 0; l && i < l->n; i++)
        if (!sk_X509_push(to, l->v[i]->ossl))
            abort();
}

static bool usage_allows(X509 *c, enum x509_usage usage)
{
    uint32_t eku = X509_get_extended_key_usage(c);

    return usage == X509_ANY ||
           (eku & (XKU_ANYEKU | (usage == X509_CLIENT ? XKU_SSL_CLIENT : XKU_SSL_SERVER)));
}

static int path_find(struct path *p, const struct x509 *leaf, int64_t at_unix_s,
                     enum x509_usage usage, struct err *e)
{
    X509_VERIFY_PARAM *param;
    STACK_OF(X509) * chain;

    if (!X509_STORE_CTX_init(p->ctx, p->store, leaf->ossl, p->more))
        return ossl_err(e, ERR_IO, "verify %s", leaf->subject);
    X509_STORE_CTX_set0_trusted_stack(p->ctx, p->trusted);
    param = X509_STORE_CTX_get0_param(p->ctx);
    if (at_unix_s == X509_ANY_TIME)
        X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_NO_CHECK_TIME);
    else
        X509_VERIFY_PARAM_set_time(param, (time_t)at_unix_s);
    X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_PARTIAL_CHAIN);
    if (X509_verify_cert(p->ctx) != 1) {
        int depth = X509_STORE_CTX_get_error_depth(p->ctx);
        const char *why = X509_verify_cert_error_string(X509_STORE_CTX_get_error(p->ctx));

        return ossl_err(e, ERR_DENIED, "certificate %s of issuer %s is not trusted: %s%s",
                        leaf->subject, leaf->issuer, why, depth > 0 ? " (of an issuer)" : "");
    }
    chain = X509_STORE_CTX_get0_chain(p->ctx);
    for (int i = 0; i < sk_X509_num(chain); i++)
        if (!usage_allows(sk_X509_value(chain, i), usage))
            return err_set(e, ERR_DENIED, "certificate %s of issuer %s is not for %s use",
                           leaf->subject, leaf->issuer, usage == X509_CLIENT ? "client" : "server");
    return 0;
}

int x509_verify(const struct x509 *leaf, const struct x509_list *more,
                const struct x509_list *trusted, int64_t at_unix_s, enum x509_usage usage,
                struct err *e)
{
    struct path p;
    int r;

    path_init(&p);
    add_all(p.trusted, trusted);
    add_all(p.more, more);
    r = path_find(&p, leaf, at_unix_s, usage, e);
    path_deinit(&p);
    return r;
}

int x509_chain_root(const struct x509_list *l, int64_t at_unix_s, struct str *root_der)
{
    struct err e = { 0 };
    struct path p;
    int r;

    path_init(&p);
    for (size_t i = 1; i < l->n; i++) {
        const struct x509 *c = l->v[i];
        bool is_root = !c->authority_key_id[0] || !strcmp(c->authority_key_id, c->subject_key_id);

        if (!sk_X509_push(is_root ? p.trusted : p.more, c->ossl))
            abort();
    }
    r = l->n < 2 ? (int)ERR_DENIED : path_find(&p, l->v[0], at_unix_s, X509_SERVER, &e);
    if (!r) {
        STACK_OF(X509) *chain = X509_STORE_CTX_get0_chain(p.ctx);
        const X509 *root = sk_X509_value(chain, sk_X509_num(chain) - 1);

        r = ERR_DENIED;
        for (size_t i = 0; i < l->n && r; i++)
            if (X509_cmp(l->v[i]->ossl, root) == 0) {
                *root_der = l->v[i]->der;
                r = 0;
            }
    }
    path_deinit(&p);
    return r;
}
