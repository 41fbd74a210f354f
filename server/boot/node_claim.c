#include "server/boot/node_claim.h"

#include "base/core/mem.h"
#include "base/data/time.h"
#include "base/kube/name.h"
#include "base/pki/x509.h"

#include <ctype.h>
#include <stdio.h>

#define NODE_PREFIX "system:node:"

static bool take_name(struct node_claim *c, struct str name)
{
    if (!name.n || name.n >= sizeof c->node)
        return false;
    for (size_t i = 0; i < name.n; i++)
        c->node[i] = (char)tolower((unsigned char)name.p[i]);
    c->node[name.n] = '\0';
    return !name_check_subdomain(str_of(c->node)) && strlen(c->node) == name.n;
}

/* Looked at in the middle of its life, so that only the signature counts. */
static bool is_ours(const struct x509 *x, struct str client_ca_pem)
{
    int64_t middle = x->not_before_unix_s + (x->not_after_unix_s - x->not_before_unix_s) / 2;
    auto_x509_list cas = { 0 };
    bool is_node = false;
    struct err e;

    for (size_t i = 0; i < x->n_organizations; i++)
        is_node |= strcmp(x->organizations[i], "system:nodes") == 0;
    return is_node && x509_list_parse_pem(&cas, client_ca_pem, &e) == 0 &&
           x509_verify(x, NULL, &cas, middle, X509_CLIENT, &e) == 0;
}

static bool of_certificate(struct node_claim *c, const struct node_claim_input *in)
{
    AUTO(x509) struct x509 *x = NULL;
    char at[TIME_TEXT_BYTES];
    struct str cn;
    struct err e;

    if (!in->leaf_der.n || x509_parse_der(&x, in->leaf_der, &e))
        return false;
    cn = str_of(x->common_name);
    if (!str_starts(cn, STR(NODE_PREFIX)) ||
        !take_name(c, str_n(cn.p + strlen(NODE_PREFIX), cn.n - strlen(NODE_PREFIX))))
        return false;
    c->is_proved = is_ours(x, in->client_ca_pem);
    if (!c->is_proved) {
        c->cause = CAUSE_TLS;
        snprintf(c->text, sizeof c->text,
                 "its client certificate is not of this cluster, but of %s", x->issuer);
    } else if (in->now_unix_s > x->not_after_unix_s) {
        time_text_s(at, x->not_after_unix_s);
        c->cause = CAUSE_TLS;
        snprintf(c->text, sizeof c->text, "its client certificate has expired at %s", at);
    } else if (in->now_unix_s < x->not_before_unix_s) {
        time_text_s(at, x->not_before_unix_s);
        c->cause = CAUSE_CLOCK;
        snprintf(c->text, sizeof c->text,
                 "its client certificate is valid from %s only: this server's clock is behind", at);
    } else {
        return false;
    }
    return true;
}

bool node_claim_of(struct node_claim *out, const struct node_claim_input *in)
{
    struct node_claim c = { 0 };

    if (in->has_authorization && take_name(&c, in->name)) { /* then the token was to decide */
        c.cause = CAUSE_TOKEN;
        snprintf(c.text, sizeof c.text, "the token that it shows is refused");
    } else if (!of_certificate(&c, in)) {
        return false;
    }
    *out = c;
    return true;
}
