#include "server/boot/bootstrap_tokens.h"

#include "base/core/clock.h"
#include "base/core/mem.h"
#include "base/data/base64.h"
#include "base/data/json.h"
#include "base/data/time.h"
#include "base/pki/token.h"
#include "server/api/local.h"

#include <stdio.h>

#define FIELD_MAX_BYTES 1024
#define GROUPS_MAX      16

struct bootstrap_tokens {
    struct local_watch *secrets;
};

static void on_event(void *arg, enum local_event ev, const json_t *obj)
{
    (void)arg; /* the cache is what we are after */
    (void)ev;
    (void)obj;
}

void bootstrap_tokens_new(struct bootstrap_tokens **out, struct api *api)
{
    static const struct local_watch_events events = { .on_event = on_event };
    struct bootstrap_tokens *bt = mem_alloc(sizeof *bt);
    struct local_ref ref = { .resource = "secrets", .ns = "kube-system" };
    struct local_list_opts opts = { .field_selector = "type=bootstrap.kubernetes.io/token" };

    local_watch_start(&bt->secrets, api, &ref, &opts, &events, bt);
    *out = bt;
}

void bootstrap_tokens_free(struct bootstrap_tokens *bt)
{
    if (!bt)
        return;
    local_watch_stop(bt->secrets);
    free(bt);
}

/* data.<key> of the Secret, decoded into text (FIELD_MAX_BYTES); "" when absent or broken. */
static const char *field(const json_t *secret, const char *key, struct buf *text)
{
    const char *b64 = json_string_value(json_object_get(json_at(secret, "data"), key));

    buf_clear(text);
    if (!b64 || base64_decode(text, str_of(b64), false))
        buf_clear(text);
    return buf_cstr(text);
}

static struct identity *identity_of(const char *id, char *extra_groups)
{
    const char *groups[GROUPS_MAX] = { "system:bootstrappers" };
    char *rest = NULL;
    size_t n = 1;
    char user[64];

    /* only groups below system:bootstrappers: are let in (kubernetes bootstraptokenapi) */
    for (char *g = strtok_r(extra_groups, ",", &rest); g && n < GROUPS_MAX;
         g = strtok_r(NULL, ",", &rest))
        if (str_starts(str_of(g), STR("system:bootstrappers:")))
            groups[n++] = g;
    snprintf(user, sizeof user, "system:bootstrap:%s", id);
    return identity_new(user, groups, n);
}

enum authn_result bootstrap_tokens_check(void *arg, const struct authn_credentials *c,
                                         struct identity **out, struct err *e)
{
    struct bootstrap_tokens *bt = arg;
    struct str scheme, token, id, secret;
    auto_buf text = BUF_SECRET(FIELD_MAX_BYTES);
    char name[64], id_text[8];
    const json_t *obj;
    int64_t expires_us;

    if (!str_cut(c->authorization, ' ', &scheme, &token) || !str_eq_nocase(scheme, STR("Bearer")) ||
        !token_is_bootstrap_text(token))
        return AUTHN_NONE;
    str_cut(token, '.', &id, &secret);
    snprintf(id_text, sizeof id_text, STR_FMT, STR_ARG(id));
    snprintf(name, sizeof name, "bootstrap-token-%s", id_text);
    obj = local_watch_get(bt->secrets, "kube-system", name);
    if (!obj) {
        err_set(e, ERR_DENIED,
                "bootstrap token %s is not known (deleted, expired or of another cluster)",
                id_text);
        return AUTHN_FAILED;
    }
    field(obj, "token-secret", &text);
    if (!str_eq_secret(buf_str(&text), secret)) {
        err_set(e, ERR_DENIED, "bootstrap token %s: wrong secret", id_text);
        return AUTHN_FAILED;
    }
    if (strcmp(field(obj, "usage-bootstrap-authentication", &text), "true") != 0) {
        err_set(e, ERR_DENIED, "bootstrap token %s is not for authentication", id_text);
        return AUTHN_FAILED;
    }
    field(obj, "expiration", &text);
    if (text.n && (!time_parse(&expires_us, buf_str(&text)) || expires_us <= clock_wall_us())) {
        err_set(e, ERR_EXPIRED, "bootstrap token %s has expired at %s", id_text, buf_cstr(&text));
        return AUTHN_FAILED;
    }
    field(obj, "auth-extra-groups", &text);
    auto_free char *groups = mem_strdup(buf_cstr(&text));
    *out = identity_of(id_text, groups);
    return AUTHN_OK;
}
