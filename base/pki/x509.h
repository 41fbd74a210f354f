#pragma once
/*
 * X509: a certificate, parsed once into plain fields; chain verification at a given time.
 *
 * Times are Unix seconds. Texts are UTF-8 and terminated; bytes that could end a text early or
 * forge a log line are refused. Errors: ERR_INVALID for what is no certificate. Any thread;
 * constant once made.
 */
#include "base/core/buf.h"
#include "base/core/err.h"

struct x509_st; /* OpenSSL's, for base/pki only */
struct key;

struct x509 {
    const char *common_name; /* "" when the subject has none */
    const char *subject;     /* "O=k3s,CN=k3s": RFC 2253, for people */
    const char *issuer;
    const char *const *organizations; /* in the order of the certificate */
    size_t n_organizations;
    const char *const *dns_names;
    size_t n_dns_names;
    const char *const *ips; /* "10.43.0.1", "::1" */
    size_t n_ips;
    int64_t not_before_unix_s;
    int64_t not_after_unix_s;
    const char *serial;         /* lower-case hex without leading zeros, "0" */
    const char *subject_key_id; /* lower-case hex, "" when absent */
    const char *authority_key_id;
    bool is_ca;                    /* BasicConstraints CA:TRUE */
    bool client_auth, server_auth; /* extended key usages; both true when there is no EKU */
    struct str der;
    struct x509_st *ossl;
};

#define X509_MAX_BYTES (64 * 1024) /* one certificate; real ones have 0.5 to 4 KiB */
#define X509_LIST_MAX  64          /* certificates in one bundle */

MUST_USE int x509_parse_der(struct x509 **out, struct str der, struct err *e);
/* The first certificate of the text; ERR_NOT_FOUND when it has none. */
MUST_USE int x509_parse_pem(struct x509 **out, struct str pem, struct err *e);
void x509_free(struct x509 *x);
DEFINE_AUTO(x509);

MUST_USE int x509_to_pem(const struct x509 *x, struct buf *out); /* appends; 0 or ERR_LIMIT */

/* Every certificate of a PEM text, in order. */
struct x509_list {
    struct x509 **v;
    size_t n;
};
MUST_USE int x509_list_parse_pem(struct x509_list *out, struct str pem, struct err *e);
void x509_list_deinit(struct x509_list *l);
#define auto_x509_list __attribute__((cleanup(x509_list_deinit))) struct x509_list

/* When to ask for a new one: after two thirds of its life, and up to a twentieth of it later, by
 * the serial number, so that what was issued together is not renewed together. */
int64_t x509_renew_at_unix_s(const struct x509 *x);
/* Then, or when it is not valid yet: it was made while the clock was wrong. */
bool x509_is_due(const struct x509 *x, int64_t now_unix_s);

enum x509_usage { X509_ANY, X509_CLIENT, X509_SERVER };

#define X509_ANY_TIME INT64_MIN /* for at_unix_s: dates do not count */

/* Does leaf chain to a certificate of trusted (any of them is an anchor, as in Go), perhaps by way
 * of more, at that time? more may be NULL. ERR_DENIED says why not and names both ends. */
MUST_USE int x509_verify(const struct x509 *leaf, const struct x509_list *more,
                         const struct x509_list *trusted, int64_t at_unix_s, enum x509_usage usage,
                         struct err *e);

/* For CA hashes: list[0] is validated against the others as Go would (roots are those without
 * AuthorityKeyId or with their own), *root_der is the last certificate of its chain, borrowed. 0,
 * or ERR_DENIED. */
MUST_USE int x509_chain_root(const struct x509_list *l, int64_t at_unix_s, struct str *root_der);

/* Is one of the SANs this DNS name (wildcards count, no case) or this IP? */
bool x509_has_name(const struct x509 *x, const char *name);
/* Do certificate and key belong together? */
bool x509_fits_key(const struct x509 *x, const struct key *k);
MUST_USE int x509_public_key(const struct x509 *x, struct key **out, struct err *e);
/* Was it signed by that certificate's key? Names and times are not looked at. */
bool x509_signed_by(const struct x509 *x, const struct x509 *ca);
/* Upper-case hex SHA-1 of the DER, as in "SHA1=..." annotations; out holds 41 bytes. */
void x509_fingerprint_sha1(const struct x509 *x, char out[41]);
