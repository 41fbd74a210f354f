/*
 * certificates.k8s.io/v1: pkg/apis/certificates/validation. The spec is fixed at create (the
 * strategy carries it over, resource/csr.c); approval alone may set Approved and Denied, status
 * alone the certificate.
 */
#include "base/data/base64.h"
#include "base/kube/name.h"
#include "base/pki/bundle.h"
#include "base/pki/csr.h"
#include "base/pki/x509.h"
#include "server/schema/rule.h"
#include "server/schema/validate_kinds.h"

enum { TEXT_MAX_BYTES = 256 * 1024, SIGNER_MAX_BYTES = 571, LIFE_MIN_S = 600 };

/* ---- bytes ---- */

/* The bytes of a base64 value; false: none, or too many. */
static bool bytes_of(struct buf *out, const json_t *v, const char *key)
{
    return base64_decode(out, str_of(part_str(v, key)), false) == 0;
}

static int check_request(const json_t *spec, struct err *e)
{
    auto_buf pem = BUF(TEXT_MAX_BYTES), der = BUF(TEXT_MAX_BYTES);
    struct bundle_block block;
    struct str rest;

    if (!bytes_of(&pem, spec, "request"))
        return err_set(e, ERR_INVALID, "PEM block type must be CERTIFICATE REQUEST");
    rest = buf_str(&pem);
    if (!bundle_next(&rest, &block) || !str_is(block.type, "CERTIFICATE REQUEST"))
        return err_set(e, ERR_INVALID, "PEM block type must be CERTIFICATE REQUEST");
    if (bundle_decode(&block, &der, e))
        return (int)e->code;
    return csr_check(buf_str(&der), e);
}

/* []byte{0x2d, ...}, as Go prints what it was given */
static void invalid_bytes(struct field_errors *fe, const struct field_path *p, const json_t *v,
                          const char *key, const char *why)
{
    auto_buf bytes = BUF(TEXT_MAX_BYTES), b = BUF(32 * 1024);
    int r = buf_adds(&b, "[]byte{");

    if (!bytes_of(&bytes, v, key))
        bytes.n = 0;
    for (size_t i = 0; !r && i < bytes.n; i++)
        r = buf_addf(&b, "%s0x%x", i ? ", " : "", (unsigned char)bytes.p[i]);
    r = r ? r : buf_addc(&b, '}');
    field_add(fe, FIELD_INVALID, p, "Invalid value: %s: %s", r ? "..." : buf_cstr(&b), why);
}

/* ---- signer ---- */

static void check_labels_of(struct str text, const char *(*check)(struct str),
                            const struct field_path *p, struct field_errors *fe)
{
    struct str label, rest = text;
    auto_free char *shown = str_dup(text);
    bool more = true;

    while (more) {
        more = str_cut(rest, '.', &label, &rest);
        if (!check(label))
            continue;
        auto_free char *why =
            mem_printf("validating label \"" STR_FMT "\": %s", STR_ARG(label), check(label));
        field_invalid(fe, p, shown, why);
        return;
    }
}

static void check_signer(const char *name, const struct field_path *p, struct field_errors *fe)
{
    struct str domain, path;

    if (!*name) {
        field_required(fe, p, "signerName must be provided");
        return;
    }
    if (!str_cut(str_of(name), '/', &domain, &path) || strchr(path.p, '/')) {
        field_invalid(
            fe, p, name,
            "must be a fully qualified domain and path of the form 'example.com/signer-name'");
        return;
    }
    if (domain.n > NAME_SUBDOMAIN_MAX)
        field_too_long(fe, p, NAME_SUBDOMAIN_MAX);
    check_labels_of(domain, name_check_label, p, fe);
    if (!domain.n || !memchr(domain.p, '.', domain.n)) {
        auto_free char *shown = str_dup(domain);
        field_invalid(fe, p, shown,
                      "should be a domain with at least two segments separated by dots");
    }
    check_labels_of(path, name_check_subdomain, p, fe);
    if (strlen(name) > SIGNER_MAX_BYTES)
        field_too_long(fe, p, SIGNER_MAX_BYTES);
}

void certificates_request_spec(const json_t *v, const struct field_path *p, struct field_errors *fe)
{
    AUTO(map) struct map *seen = map_new();
    const json_t *seconds = json_object_get(v, "expirationSeconds");
    const struct field_path *list = FIELD_AT(p, "usages");
    const char *signer = part_str(v, "signerName");
    json_t *usage;
    struct err e;
    size_t i;

    if (check_request(v, &e))
        invalid_bytes(fe, FIELD_AT(p, "request"), v, "request", e.text);
    if (!json_array_size(json_object_get(v, "usages")))
        field_required(fe, list, "usages must be provided");
    json_array_foreach(json_object_get(v, "usages"), i, usage)
        rule_unique(seen, json_string_value(usage), FIELD_INDEX(list, i), fe);
    if (strcmp(signer, "kubernetes.io/legacy-unknown") == 0)
        field_invalid(fe, FIELD_AT(p, "signerName"), signer,
                      "the legacy signerName is not allowed via this API version");
    else
        check_signer(signer, FIELD_AT(p, "signerName"), fe);
    if (seconds && json_integer_value(seconds) < LIFE_MIN_S)
        field_invalid_json(fe, FIELD_AT(p, "expirationSeconds"), seconds,
                           "may not specify a duration less than 600 seconds (10 minutes)");
}

/* ---- status ---- */

static int check_certificate(const json_t *status, struct err *e)
{
    auto_buf pem = BUF(TEXT_MAX_BYTES);
    struct bundle_block block;
    struct str rest;
    size_t n = 0;

    if (!*part_str(status, "certificate"))
        return 0;
    if (!bytes_of(&pem, status, "certificate"))
        return err_set(e, ERR_INVALID, "must contain at least one CERTIFICATE PEM block");
    rest = buf_str(&pem);
    for (; bundle_next(&rest, &block); n++) {
        auto_buf der = BUF(TEXT_MAX_BYTES);
        AUTO(x509) struct x509 *x = NULL;
        if (!str_is(block.type, "CERTIFICATE"))
            return err_set(e, ERR_INVALID,
                           "only CERTIFICATE PEM blocks are allowed, found \"" STR_FMT "\"",
                           STR_ARG(block.type));
        if (memchr(block.body.p, ':', block.body.n))
            return err_set(e, ERR_INVALID, "no PEM block headers are permitted");
        if (bundle_decode(&block, &der, e) || x509_parse_der(&x, buf_str(&der), e))
            return (int)e->code;
    }
    if (!n)
        return err_set(e, ERR_INVALID, "must contain at least one CERTIFICATE PEM block");
    return 0;
}

void certificates_request_status(const json_t *v, const struct field_path *p,
                                 struct field_errors *fe)
{
    static const char *const once[] = { "Approved", "Denied", "Failed", NULL };
    static const char *const any[] = { "False", "True", "Unknown", NULL };
    static const char *const true_only[] = { "True", NULL };
    AUTO(map) struct map *seen = map_new();
    const struct field_path *list = FIELD_AT(p, "conditions");
    bool approved = false, denied = false;
    json_t *c;
    struct err e;
    size_t i;

    json_array_foreach(json_object_get(v, "conditions"), i, c)
    {
        const struct field_path *at = FIELD_INDEX(list, i);
        const char *type = part_str(c, "type"), *status = part_str(c, "status");
        if (!*type)
            field_required(fe, FIELD_AT(at, "type"), "");
        if (!*status)
            field_required(fe, FIELD_AT(at, "status"), "");
        else
            (void)check_listed(fe, FIELD_AT(at, "status"), status,
                               text_listed(once, type) ? true_only : any);
        approved |= strcmp(type, "Approved") == 0;
        denied |= strcmp(type, "Denied") == 0;
        if (approved && denied && (strcmp(type, "Approved") == 0 || strcmp(type, "Denied") == 0))
            field_invalid(fe, FIELD_AT(at, "type"), type,
                          "Approved and Denied conditions are mutually exclusive");
        rule_unique(seen, type, FIELD_AT(at, "type"), fe);
    }
    if (check_certificate(v, &e))
        field_invalid(fe, FIELD_AT(p, "certificate"), "<certificate data>", e.text);
}

/* ---- updates ---- */

static size_t count_of(const json_t *conditions, const char *type)
{
    json_t *c;
    size_t i, n = 0;

    json_array_foreach(conditions, i, c) n += part_is(c, "type", type);
    return n;
}

static void check_update(const json_t *v, const json_t *old, bool approval, bool certificate,
                         struct field_errors *fe)
{
    static const char *const types[] = { "Approved", "Denied", "Failed" };
    const json_t *now = json_object_get(v, "status"), *was = json_object_get(old, "status");
    const json_t *a = json_object_get(now, "conditions"), *b = json_object_get(was, "conditions");
    const struct field_path *p = FIELD_AT(NULL, "status"), *at = FIELD_AT(p, "conditions");

    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        size_t n = count_of(a, types[i]), n_was = count_of(b, types[i]);
        if (n < n_was)
            field_add(fe, FIELD_FORBIDDEN, at,
                      "Forbidden: updates may not remove a condition of type \"%s\"", types[i]);
        if (approval || i == 2)
            continue;
        if (n > n_was)
            field_add(fe, FIELD_FORBIDDEN, at,
                      "Forbidden: updates may not add a condition of type \"%s\"", types[i]);
        else if (n == n_was && !rule_same(rule_condition(a, types[i]), rule_condition(b, types[i])))
            field_add(fe, FIELD_FORBIDDEN, at,
                      "Forbidden: updates may not modify a condition of type \"%s\"", types[i]);
    }
    if (part_is(now, "certificate", part_str(was, "certificate")))
        return;
    if (!certificate)
        field_forbidden(fe, FIELD_AT(p, "certificate"), "updates may not set certificate content");
    else if (*part_str(was, "certificate"))
        field_forbidden(fe, FIELD_AT(p, "certificate"),
                        "updates may not modify existing certificate content");
}

void certificates_update(const json_t *v, const json_t *old, struct field_errors *fe)
{
    check_update(v, old, false, false, fe);
}

void certificates_status(const json_t *v, const json_t *old, struct field_errors *fe)
{
    check_update(v, old, false, true, fe);
}

void certificates_approval(const json_t *v, const json_t *old, struct field_errors *fe)
{
    check_update(v, old, true, false, fe);
}
