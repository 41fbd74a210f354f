#include "base/pki/issue.h"

#include "base/core/mem.h"
#include "base/core/rand.h"
#include "base/pki/key.h"
#include "base/pki/ossl.h"
#include "base/pki/x509.h"

#include <arpa/inet.h>
#include <openssl/x509v3.h>
#include <stdio.h>

enum { DAY_S = 86400, KU_SIGNATURE = 0, KU_ENCIPHER = 2, KU_CERT_SIGN = 5 /* RFC 5280 4.2.1.3 */ };

static bool set_validity(X509 *c, int64_t from, int64_t to)
{
    return ASN1_TIME_set(X509_getm_notBefore(c), (time_t)from) &&
           ASN1_TIME_set(X509_getm_notAfter(c), (time_t)to);
}

static bool add_key_usage(X509 *c, bool is_ca)
{
    ASN1_BIT_STRING *ku = ASN1_BIT_STRING_new();
    bool ok = ku && ASN1_BIT_STRING_set_bit(ku, KU_SIGNATURE, 1) &&
              ASN1_BIT_STRING_set_bit(ku, KU_ENCIPHER, 1) &&
              (!is_ca || ASN1_BIT_STRING_set_bit(ku, KU_CERT_SIGN, 1)) &&
              X509_add1_ext_i2d(c, NID_key_usage, ku, 1, X509V3_ADD_APPEND) == 1;

    ASN1_BIT_STRING_free(ku);
    return ok;
}

/* A plain type: with MBSTRING_UTF8 OpenSSL holds us to X.520's 64 characters, but a node's name may
 * have 253, and Go writes and reads such names. */
static bool add_text(X509_NAME *n, int nid, const char *text, int set)
{
    return X509_NAME_add_entry_by_NID(n, nid, V_ASN1_UTF8STRING, (const unsigned char *)text, -1,
                                      -1, set);
}

/* Basic constraints and the key id (SHA-1 of the public key's bits, RFC 5280 4.2.1.2). */
static bool add_ca_parts(X509 *c)
{
    BASIC_CONSTRAINTS *bc = BASIC_CONSTRAINTS_new();
    ASN1_OCTET_STRING *ski = ASN1_OCTET_STRING_new();
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    bool ok = bc && ski && X509_pubkey_digest(c, EVP_sha1(), digest, &n) &&
              ASN1_OCTET_STRING_set(ski, digest, (int)n);

    if (ok)
        bc->ca = 0xff;
    ok = ok && X509_add1_ext_i2d(c, NID_basic_constraints, bc, 1, X509V3_ADD_APPEND) == 1 &&
         X509_add1_ext_i2d(c, NID_subject_key_identifier, ski, 0, X509V3_ADD_APPEND) == 1;
    ASN1_OCTET_STRING_free(ski);
    BASIC_CONSTRAINTS_free(bc);
    return ok;
}

static int finish(struct x509 **out, X509 **c, const struct key *signer, struct err *e)
{
    if (!X509_sign(*c, signer->pkey, key_digest(signer)))
        return ossl_err(e, ERR_INVALID, "sign a certificate");
    return x509_wrap(out, STEAL(*c), e);
}

int issue_ca(struct x509 **out, const struct key *key, const char *prefix, int64_t now_unix_s,
             struct err *e)
{
    OSSL_AUTO(X509) *c = X509_new();
    char cn[128];

    if (!key->is_private)
        return err_set(e, ERR_INVALID, "a CA needs a private key");
    if (snprintf(cn, sizeof cn, "%s-ca@%lld", prefix, (long long)now_unix_s) > 64)
        return err_set(e, ERR_INVALID, "the CA name %s is too long", cn);
    if (!c || !X509_set_version(c, X509_VERSION_3) ||
        !ASN1_INTEGER_set(X509_get_serialNumber(c), 0) ||
        !add_text(X509_get_subject_name(c), NID_commonName, cn, 0) ||
        !X509_set_issuer_name(c, X509_get_subject_name(c)) || !X509_set_pubkey(c, key->pkey) ||
        !set_validity(c, ISSUE_CA_FROM_UNIX_S, now_unix_s + (int64_t)ISSUE_CA_DAYS * DAY_S) ||
        !add_key_usage(c, true) || !add_ca_parts(c))
        return ossl_err(e, ERR_INVALID, "make the CA %s", cn);
    return finish(out, &c, key, e);
}

static bool add_usages(X509 *c, const struct issue_spec *spec)
{
    EXTENDED_KEY_USAGE *eku = sk_ASN1_OBJECT_new_null();
    bool ok = eku &&
              (!spec->server_auth || sk_ASN1_OBJECT_push(eku, OBJ_nid2obj(NID_server_auth))) &&
              (!spec->client_auth || sk_ASN1_OBJECT_push(eku, OBJ_nid2obj(NID_client_auth)));

    ok = ok && (!sk_ASN1_OBJECT_num(eku) ||
                X509_add1_ext_i2d(c, NID_ext_key_usage, eku, 0, X509V3_ADD_APPEND) == 1);
    EXTENDED_KEY_USAGE_free(eku);
    return ok;
}

static bool add_authority(X509 *c, const X509 *ca)
{
    /* OpenSSL's signature lacks a const */
    const ASN1_OCTET_STRING *ski = X509_get0_subject_key_id((X509 *)(uintptr_t)ca);
    AUTHORITY_KEYID *aki = AUTHORITY_KEYID_new();
    bool ok = true;

    if (ski) {
        ok = aki && (aki->keyid = ASN1_OCTET_STRING_dup(ski)) != NULL &&
             X509_add1_ext_i2d(c, NID_authority_key_identifier, aki, 0, X509V3_ADD_APPEND) == 1;
    }
    AUTHORITY_KEYID_free(aki);
    return ok;
}

static bool is_dns_name(const char *s)
{
    size_t n = strlen(s), label = 0;

    if (!n || n > 253)
        return false;
    for (size_t i = 0; i < n; i++) {
        char ch = s[i];

        if (ch == '.') {
            if (!label)
                return false;
            label = 0;
            continue;
        }
        if (ch == '*' && (i != 0 || s[1] != '.'))
            return false;
        if (!((ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') || (ch >= '0' && ch <= '9') ||
              ch == '-' || ch == '_' || ch == '*') ||
            ++label > 63)
            return false;
    }
    return true;
}

static bool push_name(GENERAL_NAMES *names, int type, const void *p, size_t n)
{
    GENERAL_NAME *g = GENERAL_NAME_new();
    ASN1_STRING *s = ASN1_STRING_type_new(type == GEN_DNS ? V_ASN1_IA5STRING : V_ASN1_OCTET_STRING);

    if (!g || !s || !ASN1_STRING_set(s, p, (int)n)) {
        GENERAL_NAME_free(g);
        ASN1_STRING_free(s);
        return false;
    }
    GENERAL_NAME_set0_value(g, type, s);
    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++)
        if (GENERAL_NAME_cmp(sk_GENERAL_NAME_value(names, i), g) == 0) {
            GENERAL_NAME_free(g);
            return true;
        }
    if (sk_GENERAL_NAME_push(names, g))
        return true;
    GENERAL_NAME_free(g);
    return false;
}

/* DNS names first and then addresses, each in the given order: so Go's encoder writes them. */
static int collect_sans(GENERAL_NAMES *names, const struct issue_spec *spec, struct err *e)
{
    if (spec->n_sans > ISSUE_SANS_MAX)
        return err_set(e, ERR_LIMIT, "%zu names for one certificate, at most %d", spec->n_sans,
                       ISSUE_SANS_MAX);
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < spec->n_sans; i++) {
            const char *san = spec->sans[i];
            unsigned char ip[16];
            size_t n_ip = inet_pton(AF_INET, san, ip) == 1    ? 4
                          : inet_pton(AF_INET6, san, ip) == 1 ? 16
                                                              : 0;

            if (!n_ip && !is_dns_name(san))
                return err_set(e, ERR_INVALID, "\"%.80s\" is neither an address nor a DNS name",
                               san);
            if (pass == 0 && !n_ip && !push_name(names, GEN_DNS, san, strlen(san)))
                return ossl_err(e, ERR_INVALID, "add the name %.80s", san);
            if (pass == 1 && n_ip && !push_name(names, GEN_IPADD, ip, n_ip))
                return ossl_err(e, ERR_INVALID, "add the address %s", san);
        }
    }
    return 0;
}

static int add_sans(X509 *c, const struct issue_spec *spec, struct err *e)
{
    GENERAL_NAMES *names = sk_GENERAL_NAME_new_null();
    int r = names ? collect_sans(names, spec, e) : ossl_err(e, ERR_IO, "no memory");

    if (!r && sk_GENERAL_NAME_num(names) &&
        X509_add1_ext_i2d(c, NID_subject_alt_name, names, 0, X509V3_ADD_APPEND) != 1)
        r = ossl_err(e, ERR_INVALID, "add the names of the certificate");
    GENERAL_NAMES_free(names);
    return r;
}

static int add_subject(X509 *c, const struct issue_spec *spec, struct err *e)
{
    X509_NAME *n = X509_get_subject_name(c);

    if (!spec->common_name || !*spec->common_name)
        return err_set(e, ERR_INVALID, "a certificate needs a common name");
    /* all O values share one RDN, as in Go */
    for (size_t i = 0; i < spec->n_organizations; i++)
        if (!add_text(n, NID_organizationName, spec->organizations[i], i ? -1 : 0))
            return ossl_err(e, ERR_INVALID, "organisation \"%.80s\"", spec->organizations[i]);
    if (!add_text(n, NID_commonName, spec->common_name, 0))
        return ossl_err(e, ERR_INVALID, "common name \"%.80s\"", spec->common_name);
    return 0;
}

static unsigned days_of(const struct issue_spec *spec)
{
    const char *env = getenv(ISSUE_LIFE_ENV);
    uint64_t days;

    if (spec->days)
        return spec->days;
    if (env && str_to_u64(str_of(env), &days) && days > 0 && days <= ISSUE_CA_DAYS)
        return (unsigned)days;
    return ISSUE_LEAF_DAYS;
}

int issue_leaf(struct x509 **out, const struct x509 *ca, const struct key *ca_key,
               const struct key *public, const struct issue_spec *spec, int64_t now_unix_s,
               struct err *e)
{
    int64_t from = MAX(now_unix_s - ISSUE_BACKDATE_S, ca->not_before_unix_s);
    uint64_t serial = MAX(rand_u64() >> 1, (uint64_t)1); /* 0 is the CA's */
    OSSL_AUTO(X509) *c = X509_new();

    if (now_unix_s > ca->not_after_unix_s)
        return err_set(e, ERR_EXPIRED, "the CA %s expired, or this host's clock is wrong",
                       ca->subject);
    if (!x509_fits_key(ca, ca_key))
        return err_set(e, ERR_INVALID, "the key does not belong to the CA %s", ca->subject);
    if (!c)
        return ossl_err(e, ERR_IO, "no memory");
    if (add_subject(c, spec, e))
        return (int)e->code;
    if (!X509_set_version(c, X509_VERSION_3) ||
        !ASN1_INTEGER_set_uint64(X509_get_serialNumber(c), serial) ||
        !X509_set_issuer_name(c, X509_get_subject_name(ca->ossl)) ||
        !X509_set_pubkey(c, public->pkey) ||
        !set_validity(c, from, from + (int64_t)days_of(spec) * DAY_S) || !add_key_usage(c, false) ||
        !add_usages(c, spec) || !add_authority(c, ca->ossl))
        return ossl_err(e, ERR_INVALID, "make a certificate for %s", spec->common_name);
    if (add_sans(c, spec, e))
        return err_wrap(e, "certificate for %s", spec->common_name);
    return finish(out, &c, ca_key, e);
}
