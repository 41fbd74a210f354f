/*
 * The chain: Basic, client certificate, then what was added (bearer tokens). K3s puts Basic first,
 * so an agent that sends its token and a good kubelet certificate is user "node"
 * (spec/registration.md 1.1); wire compatibility wants the same.
 */
#include "server/auth/authenticate.h"

#include "base/core/clock.h"
#include "base/core/mem.h"
#include "base/http/server.h"
#include "base/io/tls.h"
#include "base/pki/x509.h"
#include "server/ca/passwd.h"

#define AUTHENTICATORS_MAX 8

/* What a certificate says: read once per connection, not once per request, and kept with it. */
struct cert_entry {
    struct identity *id;
    int64_t not_before_unix_s, not_after_unix_s;
};

struct authn {
    const struct passwd *passwd;
    struct {
        authenticator_fn fn;
        void *arg;
    } more[AUTHENTICATORS_MAX];
    size_t n_more;
};

/* ---- identity ---- */

struct identity *identity_exact(const char *user, const char *const *groups, size_t n_groups,
                                const char *uid, json_t *extra_take)
{
    struct identity *id = mem_alloc(sizeof *id);
    static const char node_prefix[] = "system:node:";

    id->refs = 1;
    id->user = mem_strdup(user);
    id->groups = mem_calloc(n_groups + 1, sizeof *id->groups); /* and one for identity_new */
    for (size_t i = 0; i < n_groups; i++)
        id->groups[id->n_groups++] = mem_strdup(groups[i]);
    if (identity_in(id, "system:nodes") &&
        strncmp(user, node_prefix, sizeof node_prefix - 1) == 0 && user[sizeof node_prefix - 1])
        id->node = mem_strdup(user + sizeof node_prefix - 1);
    if (uid && *uid)
        id->uid = mem_strdup(uid);
    id->extra = extra_take;
    return id;
}

struct identity *identity_new(const char *user, const char *const *groups, size_t n_groups)
{
    struct identity *id = identity_exact(user, groups, n_groups, NULL, NULL);

    if (!identity_in(id, "system:authenticated"))
        id->groups[id->n_groups++] = mem_strdup("system:authenticated");
    return id;
}

struct identity *identity_ref(struct identity *id)
{
    id->refs++;
    return id;
}

void identity_unref(struct identity *id)
{
    if (!id || --id->refs > 0)
        return;
    for (size_t i = 0; i < id->n_groups; i++)
        free(id->groups[i]);
    free(id->groups);
    free(id->user);
    free(id->node);
    free(id->uid);
    json_decref(id->extra);
    free(id);
}

bool identity_in(const struct identity *id, const char *group)
{
    for (size_t i = 0; i < id->n_groups; i++)
        if (strcmp(id->groups[i], group) == 0)
            return true;
    return false;
}

struct identity *identity_masters(void)
{
    static const char *const groups[] = { "system:masters" };

    return identity_new("system:apiserver", groups, ARRAY_LEN(groups));
}

/* ---- the chain ---- */

void authn_new(struct authn **out)
{
    *out = mem_alloc(sizeof **out);
}

void authn_free(struct authn *a)
{
    free(a);
}

void authn_set_passwd(struct authn *a, const struct passwd *p)
{
    a->passwd = p;
}

void authn_add(struct authn *a, authenticator_fn fn, void *arg)
{
    if (a->n_more == AUTHENTICATORS_MAX)
        abort(); /* our own wiring, not input */
    a->more[a->n_more].fn = fn;
    a->more[a->n_more++].arg = arg;
}

static enum authn_result check_basic(struct authn *a, const struct authn_credentials *c,
                                     struct identity **out, struct err *e)
{
    const struct passwd_user *u;

    if (!a->passwd)
        return AUTHN_NONE;
    switch (passwd_verify_basic(a->passwd, c->authorization, &u)) {
    case PASSWD_NO_BASIC:
        return AUTHN_NONE;
    case PASSWD_BAD:
        err_set(e, ERR_DENIED, "basic: wrong user or password");
        return AUTHN_FAILED;
    case PASSWD_GOOD:
        break;
    }
    *out = identity_new(u->name, u->groups, u->n_groups);
    return AUTHN_OK;
}

static void cert_release(void *data)
{
    struct cert_entry *c = data;

    identity_unref(c->id);
    free(c);
}

/* Of a certificate whose chain is good. */
static int cert_read(struct cert_entry **out, struct str der, struct err *e)
{
    AUTO(x509) struct x509 *x = NULL;

    if (x509_parse_der(&x, der, e))
        return err_wrap(e, "client certificate");
    if (!*x->common_name)
        return err_set(e, ERR_DENIED, "client certificate: subject has no common name");
    if (!x->client_auth)
        return err_set(e, ERR_DENIED, "client certificate: not for client authentication");
    *out = mem_alloc(sizeof **out);
    **out = (struct cert_entry){
        .id = identity_new(x->common_name, x->organizations, x->n_organizations),
        .not_before_unix_s = x->not_before_unix_s,
        .not_after_unix_s = x->not_after_unix_s,
    };
    return 0;
}

static enum authn_result check_cert(const struct authn_credentials *c, struct identity **out,
                                    struct err *e)
{
    int64_t now = clock_wall_s();
    struct cert_entry *entry = c->req ? http_req_peer_data(c->req) : NULL;
    bool is_new = !entry;

    if (!c->peer || c->peer->leaf_der.n == 0)
        return AUTHN_NONE;
    if (c->peer->verify_error) {
        err_set(e, ERR_DENIED, "client certificate: %s", c->peer->verify_text);
        return AUTHN_FAILED;
    }
    if (is_new && cert_read(&entry, c->peer->leaf_der, e))
        return AUTHN_FAILED;
    /* the handshake looked at the dates too, but a connection may live for weeks */
    bool valid = now <= entry->not_after_unix_s && now >= entry->not_before_unix_s;
    if (valid)
        *out = identity_ref(entry->id);
    else
        err_set(e, ERR_DENIED, "client certificate of %s: expired or not yet valid",
                entry->id->user);
    if (is_new && c->req)
        http_req_set_peer_data(c->req, entry, cert_release);
    else if (is_new)
        cert_release(entry);
    return valid ? AUTHN_OK : AUTHN_FAILED;
}

enum authn_result authn_check(struct authn *a, const struct authn_credentials *c,
                              struct identity **out, struct err *e)
{
    struct err first = { 0 };
    enum authn_result r = check_basic(a, c, out, &first);

    for (size_t i = 0; r != AUTHN_OK && i <= a->n_more; i++) {
        struct err now = { 0 };
        enum authn_result more =
            i == 0 ? check_cert(c, out, &now) : a->more[i - 1].fn(a->more[i - 1].arg, c, out, &now);

        if (more == AUTHN_NONE)
            continue;
        if (more == AUTHN_FAILED && r != AUTHN_FAILED)
            first = now;
        r = more;
    }
    if (r == AUTHN_NONE &&
        c->authorization.n) { /* a scheme nobody here knows is a credential too */
        err_set(&first, ERR_DENIED, "authorization: no authenticator takes it");
        r = AUTHN_FAILED;
    }
    if (r == AUTHN_FAILED)
        *e = first;
    return r;
}

enum authn_result authn_check_req(struct authn *a, struct http_req *r, struct identity **out,
                                  struct err *e)
{
    struct authn_credentials c = {
        .authorization = http_headers_get(http_req_headers(r), "authorization"),
        .peer = stream_tls_peer(http_req_stream(r)),
        .req = r,
    };

    return authn_check(a, &c, out, e);
}
