#include "base/pki/x509.h"

#include "base/core/mem.h"
#include "base/pki/bundle.h"
#include "base/pki/key.h"
#include "base/pki/ossl.h"

#include <arpa/inet.h>
#include <openssl/sha.h>
#include <openssl/x509v3.h>
#include <time.h>

enum { NAMES_MAX = 1024 }; /* of one kind in one certificate */

/* What struct x509 points to: one block that x509_free can give back. */
struct full {
    struct x509 x;
    char *texts[5]; /* CN, subject, issuer, ski, aki */
    char *serial;
    char **orgs, **dns, **ips;
    unsigned char *der;
};

static void free_texts(char **v, size_t n)
{
    for (size_t i = 0; v && i < n; i++)
        free(v[i]);
    free(v);
}

void x509_free(struct x509 *x)
{
    struct full *f = x ? container_of(x, struct full, x) : NULL;

    if (!f)
        return;
    for (size_t i = 0; i < ARRAY_LEN(f->texts); i++)
        free(f->texts[i]);
    free(f->serial);
    free_texts(f->orgs, x->n_organizations);
    free_texts(f->dns, x->n_dns_names);
    free_texts(f->ips, x->n_ips);
    OPENSSL_free(f->der);
    X509_free(x->ossl);
    free(f);
}

/* A copy, unless it holds control bytes: they would cut a C string or forge a line. */
static char *clean_copy(const void *p, int n)
{
    const unsigned char *b = p;

    for (int i = 0; i < n; i++)
        if (b[i] < 0x20 || b[i] == 0x7f)
            return NULL;
    return mem_strndup(p, (size_t)MAX(n, 0));
}

static char *utf8_copy(const ASN1_STRING *s)
{
    unsigned char *p = NULL;
    int n = ASN1_STRING_to_UTF8(&p, s);
    char *copy = n >= 0 ? clean_copy(p, n) : NULL;

    OPENSSL_free(p);
    return copy;
}

static int read_subject(struct full *f, X509_NAME *name, struct err *e)
{
    int n = X509_NAME_entry_count(name);

    f->orgs = mem_calloc((size_t)n + 1, sizeof *f->orgs);
    for (int i = 0; i < n; i++) {
        const X509_NAME_ENTRY *entry = X509_NAME_get_entry(name, i);
        int nid = OBJ_obj2nid(X509_NAME_ENTRY_get_object(entry));
        char *text;

        if (nid != NID_commonName && nid != NID_organizationName)
            continue;
        text = utf8_copy(X509_NAME_ENTRY_get_data(entry));
        if (!text)
            return err_set(e, ERR_INVALID, "the subject of the certificate holds control bytes");
        if (nid == NID_commonName) { /* the last one counts, as in Go */
            free(f->texts[0]);
            f->texts[0] = text;
        } else {
            f->orgs[f->x.n_organizations++] = text;
        }
    }
    if (!f->texts[0])
        f->texts[0] = mem_strdup("");
    return 0;
}

static char *name_text(const X509_NAME *name)
{
    OSSL_AUTO(BIO) *bio = BIO_new(BIO_s_mem());
    char *p;
    long n;

    /* RFC 2253 form escapes control bytes; UTF-8 stays readable */
    if (!bio || X509_NAME_print_ex(bio, name, 0,
                                   XN_FLAG_RFC2253 & ~(unsigned long)ASN1_STRFLGS_ESC_MSB) < 0)
        return mem_strdup("");
    n = BIO_get_mem_data(bio, &p);
    return mem_strndup(p, (size_t)n);
}

static int read_sans(struct full *f, X509 *c, struct err *e)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(c, NID_subject_alt_name, NULL, NULL);
    int n = names ? sk_GENERAL_NAME_num(names) : 0, r = 0;

    if (n > NAMES_MAX) {
        r = err_set(e, ERR_LIMIT, "the certificate has %d names", n);
        n = 0;
    }
    f->dns = mem_calloc((size_t)n + 1, sizeof *f->dns);
    f->ips = mem_calloc((size_t)n + 1, sizeof *f->ips);
    for (int i = 0; i < n && !r; i++) {
        const GENERAL_NAME *g = sk_GENERAL_NAME_value(names, i);

        if (g->type == GEN_DNS) {
            char *text =
                clean_copy(ASN1_STRING_get0_data(g->d.dNSName), ASN1_STRING_length(g->d.dNSName));
            if (text)
                f->dns[f->x.n_dns_names++] = text;
            else
                r = err_set(e, ERR_INVALID, "a DNS name of the certificate holds control bytes");
        } else if (g->type == GEN_IPADD) {
            int n_ip = ASN1_STRING_length(g->d.iPAddress);
            char text[INET6_ADDRSTRLEN];

            if ((n_ip == 4 || n_ip == 16) &&
                inet_ntop(n_ip == 4 ? AF_INET : AF_INET6, ASN1_STRING_get0_data(g->d.iPAddress),
                          text, sizeof text))
                f->ips[f->x.n_ips++] = mem_strdup(text);
        }
    }
    GENERAL_NAMES_free(names);
    return r;
}

static char *hex_of(const ASN1_OCTET_STRING *s)
{
    size_t n = s ? (size_t)ASN1_STRING_length(s) : 0;
    char *hex = mem_alloc(2 * n + 1);

    str_hex(hex, n ? ASN1_STRING_get0_data(s) : (const unsigned char *)"", n);
    return hex;
}

static char *serial_of(const X509 *c)
{
    BIGNUM *bn = ASN1_INTEGER_to_BN(X509_get0_serialNumber(c), NULL);
    char *hex = bn ? BN_bn2hex(bn) : NULL;
    const char *at = hex ? hex : "";
    char *out;

    while (*at == '0' && at[1])
        at++;
    out = mem_strdup(at);
    for (char *p = out; *p; p++)
        *p = (char)(*p >= 'A' && *p <= 'F' ? *p + 32 : *p);
    OPENSSL_free(hex);
    BN_free(bn);
    return out;
}

static bool unix_s_of(const ASN1_TIME *t, int64_t *out)
{
    struct tm tm;

    if (!t || !ASN1_TIME_to_tm(t, &tm))
        return false;
    *out = timegm(&tm);
    return true;
}

int x509_wrap(struct x509 **out, X509 *take, struct err *e)
{
    struct full *f = mem_alloc(sizeof *f);
    AUTO(x509) struct x509 *x = &f->x;
    uint32_t eku;
    int n;

    x->ossl = take;
    n = i2d_X509(take, &f->der);
    if (n <= 0)
        return ossl_err(e, ERR_INVALID, "encode the certificate");
    x->der = str_n(f->der, (size_t)n);
    if (X509_check_purpose(take, -1, 0) != 1) /* makes OpenSSL look at every extension */
        return ossl_err(e, ERR_INVALID, "the certificate has a broken extension");
    if (read_subject(f, X509_get_subject_name(take), e) || read_sans(f, take, e))
        return (int)e->code;
    f->texts[1] = name_text(X509_get_subject_name(take));
    f->texts[2] = name_text(X509_get_issuer_name(take));
    f->texts[3] = hex_of(X509_get0_subject_key_id(take));
    f->texts[4] = hex_of(X509_get0_authority_key_id(take));
    f->serial = serial_of(take);
    if (!unix_s_of(X509_get0_notBefore(take), &x->not_before_unix_s) ||
        !unix_s_of(X509_get0_notAfter(take), &x->not_after_unix_s))
        return err_set(e, ERR_INVALID, "the certificate's times are wrong");
    eku = X509_get_extended_key_usage(take); /* UINT32_MAX when there is none */
    x->client_auth = (eku & (XKU_SSL_CLIENT | XKU_ANYEKU)) != 0;
    x->server_auth = (eku & (XKU_SSL_SERVER | XKU_ANYEKU)) != 0;
    x->is_ca = (X509_get_extension_flags(take) & EXFLAG_CA) != 0;
    x->common_name = f->texts[0];
    x->subject = f->texts[1];
    x->issuer = f->texts[2];
    x->subject_key_id = f->texts[3];
    x->authority_key_id = f->texts[4];
    x->serial = f->serial;
    x->organizations = (const char *const *)f->orgs;
    x->dns_names = (const char *const *)f->dns;
    x->ips = (const char *const *)f->ips;
    *out = STEAL(x);
    return 0;
}

int x509_parse_der(struct x509 **out, struct str der, struct err *e)
{
    const unsigned char *at = (const unsigned char *)der.p;
    X509 *c;

    if (!der.n)
        return err_set(e, ERR_INVALID, "the certificate is empty");
    if (der.n > X509_MAX_BYTES)
        return err_set(e, ERR_LIMIT, "a certificate of %zu bytes is too large", der.n);
    c = d2i_X509(NULL, &at, (long)der.n);
    if (!c)
        return ossl_err(e, ERR_INVALID, "parse the certificate");
    if (at != (const unsigned char *)der.p + der.n) {
        X509_free(c);
        return err_set(e, ERR_INVALID, "bytes follow the certificate");
    }
    return x509_wrap(out, c, e);
}

static int parse_block(struct x509 **out, const struct bundle_block *b, struct err *e)
{
    auto_buf der = BUF(X509_MAX_BYTES);

    if (bundle_decode(b, &der, e))
        return (int)e->code;
    return x509_parse_der(out, buf_str(&der), e);
}

int x509_parse_pem(struct x509 **out, struct str pem, struct err *e)
{
    struct bundle_block b;

    while (bundle_next(&pem, &b))
        if (str_is(b.type, "CERTIFICATE"))
            return parse_block(out, &b, e);
    return err_set(e, ERR_NOT_FOUND, "there is no certificate in PEM form");
}

int x509_to_pem(const struct x509 *x, struct buf *out)
{
    return bundle_encode(out, "CERTIFICATE", x->der);
}

int x509_list_parse_pem(struct x509_list *out, struct str pem, struct err *e)
{
    auto_x509_list l = { .v = mem_calloc(X509_LIST_MAX, sizeof(struct x509 *)) };
    struct bundle_block b;

    if (pem.n > BUNDLE_MAX_BYTES)
        return err_set(e, ERR_LIMIT, "a bundle of %zu bytes is too large", pem.n);
    while (bundle_next(&pem, &b)) {
        if (!str_is(b.type, "CERTIFICATE"))
            continue;
        if (l.n == X509_LIST_MAX)
            return err_set(e, ERR_LIMIT, "more than %d certificates in a bundle", X509_LIST_MAX);
        if (parse_block(&l.v[l.n], &b, e))
            return err_wrap(e, "certificate %zu of the bundle", l.n + 1);
        l.n++;
    }
    if (!l.n)
        return err_set(e, ERR_NOT_FOUND, "there is no certificate in PEM form");
    *out = l;
    l = (struct x509_list){ 0 };
    return 0;
}

void x509_list_deinit(struct x509_list *l)
{
    for (size_t i = 0; i < l->n; i++)
        x509_free(l->v[i]);
    free(l->v);
    *l = (struct x509_list){ 0 };
}

int64_t x509_renew_at_unix_s(const struct x509 *x)
{
    int64_t life_s = x->not_after_unix_s - x->not_before_unix_s;
    uint64_t serial = 0;

    for (const char *p = x->serial; *p; p++) /* random: its low half decides */
        serial = serial * 16 + (uint64_t)(*p <= '9' ? *p - '0' : *p - 'a' + 10);
    return x->not_before_unix_s + life_s / 3 * 2 + life_s / 20 * (int64_t)(serial % 1024) / 1024;
}

bool x509_is_due(const struct x509 *x, int64_t now_unix_s)
{
    return now_unix_s >= x509_renew_at_unix_s(x) || now_unix_s < x->not_before_unix_s;
}

bool x509_has_name(const struct x509 *x, const char *name)
{
    unsigned char ip[16];

    if (inet_pton(AF_INET, name, ip) == 1 || inet_pton(AF_INET6, name, ip) == 1)
        return X509_check_ip_asc(x->ossl, name, 0) == 1;
    return X509_check_host(x->ossl, name, 0, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT, NULL) == 1;
}

bool x509_fits_key(const struct x509 *x, const struct key *k)
{
    EVP_PKEY *p = X509_get0_pubkey(x->ossl);

    return p && EVP_PKEY_eq(p, k->pkey) == 1;
}

int x509_public_key(const struct x509 *x, struct key **out, struct err *e)
{
    EVP_PKEY *p = X509_get_pubkey(x->ossl);

    if (!p)
        return ossl_err(e, ERR_INVALID, "the public key of %s", x->subject);
    *out = key_wrap(p, false);
    return 0;
}

bool x509_signed_by(const struct x509 *x, const struct x509 *ca)
{
    EVP_PKEY *p = X509_get0_pubkey(ca->ossl);

    return p && X509_verify(x->ossl, p) == 1;
}

void x509_fingerprint_sha1(const struct x509 *x, char out[41])
{
    unsigned char digest[SHA_DIGEST_LENGTH];

    SHA1((const unsigned char *)x->der.p, x->der.n, digest);
    str_hex(out, digest, sizeof digest);
    for (char *p = out; *p; p++)
        *p = (char)(*p >= 'a' ? *p - 32 : *p);
}
