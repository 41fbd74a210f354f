#include "server/auth/impersonate.h"

#include "base/core/mem.h"
#include "base/data/json.h"
#include "base/http/http.h"
#include "base/http/url.h"
#include "base/kube/name.h"

#define SERVICE_ACCOUNT "system:serviceaccount:"

struct impersonation {
    char *user;
    char *sa_namespace, *sa_name; /* of a ServiceAccount's user, else NULL */
    char *uid;                    /* NULL: none */
    json_t *groups;               /* [name] */
    json_t *extra;                /* { key: [value] } */
    json_t *extras;               /* [key, value, key, value ...] in the order of the headers */
};

void impersonation_free(struct impersonation *m)
{
    if (!m)
        return;
    json_decref(m->extras);
    json_decref(m->extra);
    json_decref(m->groups);
    free(m->uid);
    free(m->sa_name);
    free(m->sa_namespace);
    free(m->user);
    free(m);
}

/* apiserver/pkg/authentication/serviceaccount, SplitUsername */
static void find_service_account(struct impersonation *m)
{
    struct str text = str_of(m->user), namespace_, name;

    if (!str_starts(text, STR(SERVICE_ACCOUNT)))
        return;
    text.p += sizeof SERVICE_ACCOUNT - 1;
    text.n -= sizeof SERVICE_ACCOUNT - 1;
    if (!str_cut(text, ':', &namespace_, &name) || name_check_label(namespace_) ||
        name_check_subdomain(name))
        return;
    m->sa_namespace = str_dup(namespace_);
    m->sa_name = str_dup(name);
}

static json_t *text_of(struct str s)
{
    return json_stringn(s.p ? s.p : "", s.n); /* NULL when it is not UTF-8 */
}

/* The key of a header's name is spelled without case, and percent-encoded where it has other bytes
 * than a header may have; a broken escape stands for itself. */
static json_t *extra_key(struct str name)
{
    auto_buf lower = BUF(HTTP_HEADERS_MAX_BYTES), plain = BUF(HTTP_HEADERS_MAX_BYTES);

    for (size_t i = 0; i < name.n; i++) {
        char c = name.p[i] >= 'A' && name.p[i] <= 'Z' ? (char)(name.p[i] + 'a' - 'A') : name.p[i];

        err_ignore(buf_add(&lower, &c, 1)); /* a name has passed that limit */
    }
    return text_of(url_decode(&plain, buf_str(&lower)) ? buf_str(&lower) : buf_str(&plain));
}

static int add_extra(struct impersonation *m, struct str name, struct str value, struct err *e)
{
    json_auto_t *key = extra_key(name), *text = text_of(value);

    if (!key || !text)
        return err_set(e, ERR_INVALID, "impersonated extra is not UTF-8");
    json_t *list = json_object_get(m->extra, json_string_value(key));
    if (!list) {
        list = json_array();
        json_object_set_new(m->extra, json_string_value(key), list);
    }
    json_array_append(list, text);
    json_array_append(m->extras, key);
    json_array_append(m->extras, text);
    return 0;
}

static int add_header(struct impersonation *m, const struct http_header *h, struct err *e)
{
    static const struct str extra = STR("impersonate-extra-");
    json_auto_t *text = NULL;

    if (h->name.n > extra.n && str_eq_nocase(str_n(h->name.p, extra.n), extra))
        return add_extra(m, str_n(h->name.p + extra.n, h->name.n - extra.n), h->value, e);
    bool user = str_eq_nocase(h->name, STR("impersonate-user"));
    bool uid = str_eq_nocase(h->name, STR("impersonate-uid"));
    bool group = str_eq_nocase(h->name, STR("impersonate-group"));
    if (!user && !uid && !group)
        return 0;
    text = text_of(h->value);
    if (!text)
        return err_set(e, ERR_INVALID, "impersonated identity is not UTF-8");
    if (group)
        json_array_append(m->groups, text);
    else if (user && !m->user && h->value.n)
        m->user = mem_strdup(json_string_value(text));
    else if (uid && !m->uid && h->value.n)
        m->uid = mem_strdup(json_string_value(text));
    return 0;
}

int impersonation_parse(struct impersonation **out, const struct http_headers *h, struct err *e)
{
    AUTO(impersonation) struct impersonation *m = mem_alloc(sizeof *m);

    m->groups = json_array();
    m->extra = json_object();
    m->extras = json_array();
    for (size_t i = 0; i < h->n; i++)
        if (add_header(m, &h->v[i], e))
            return e->code;
    if (!m->user) {
        if (json_array_size(m->groups) || json_array_size(m->extras) || m->uid)
            return err_set(e, ERR_INVALID,
                           "requested groups, a uid or an extra without impersonating a user");
        *out = NULL;
        return 0;
    }
    find_service_account(m);
    *out = STEAL(m);
    return 0;
}

static const char *item(const json_t *list, size_t i)
{
    return json_string_value(json_array_get(list, i));
}

bool impersonation_right(const struct impersonation *m, size_t i, const struct identity *by,
                         struct authz_attrs *out)
{
    size_t n_groups = json_array_size(m->groups), n_extras = json_array_size(m->extras) / 2;

    *out = (struct authz_attrs){ .id = by,
                                 .verb = "impersonate",
                                 .is_resource = true,
                                 .group = "",
                                 .version = "v1",
                                 .resource = "users",
                                 .subresource = "",
                                 .namespace_ = "",
                                 .name = m->user };
    if (i == 0 && m->sa_name) {
        out->resource = "serviceaccounts";
        out->namespace_ = m->sa_namespace;
        out->name = m->sa_name;
    } else if (i > 0 && i <= n_groups) {
        out->resource = "groups";
        out->name = item(m->groups, i - 1);
    } else if (i > n_groups && i <= n_groups + n_extras) {
        size_t at = (i - n_groups - 1) * 2;

        out->group = "authentication.k8s.io";
        out->resource = "userextras";
        out->subresource = item(m->extras, at);
        out->name = item(m->extras, at + 1);
    } else if (i == n_groups + n_extras + 1 && m->uid) {
        out->group = "authentication.k8s.io";
        out->resource = "uids";
        out->name = m->uid;
    } else if (i > 0) {
        return false;
    }
    return true;
}

struct identity *impersonation_identity(const struct impersonation *m)
{
    bool anonymous = strcmp(m->user, "system:anonymous") == 0, said = false;
    size_t n = json_array_size(m->groups), n_given = n;
    auto_free const char **groups = mem_calloc(n + 3, sizeof *groups);
    auto_free char *of_namespace = NULL;

    for (size_t i = 0; i < n; i++) {
        groups[i] = item(m->groups, i);
        said |= strcmp(groups[i], "system:unauthenticated") == 0 ||
                (!anonymous && strcmp(groups[i], "system:authenticated") == 0);
    }
    if (m->sa_name && !n_given) {
        of_namespace = mem_printf("system:serviceaccounts:%s", m->sa_namespace);
        groups[n++] = "system:serviceaccounts";
        groups[n++] = of_namespace;
    }
    if (!said)
        groups[n++] = anonymous ? "system:unauthenticated" : "system:authenticated";
    return identity_exact(m->user, groups, n, m->uid,
                          json_object_size(m->extra) ? json_incref(m->extra) : NULL);
}
