#include "server/api/match.h"
#include "server/api/request.h"

#include "base/core/log.h"
#include "base/core/mem.h"
#include "base/data/json.h"
#include "base/kube/selector.h"
#include "base/kube/status.h"
#include "server/api/charge.h"
#include "server/api/deadline.h"
#include "server/api/options.h"
#include "server/api/share.h"
#include "server/schema/crd.h"
#include "server/schema/fields.h"

#include <assert.h>

const char *const req_verb_names[VERBS_N] = { "get",    "list",  "watch",  "create",
                                              "update", "patch", "delete", "deletecollection",
                                              "connect" };

static const char *const STATE_NAMES[] = { "BODY",  "START",   "NAMESPACE", "READ",
                                           "LIST",  "SEND",    "QUOTA",     "COMMIT",
                                           "WATCH", "CONNECT", "DONE" };

#define TO(s) (1u << (REQ_##s))
static const unsigned ALLOWED[] = {
    [REQ_BODY] = TO(START) | TO(DONE),
    [REQ_START] = TO(BODY) | TO(NAMESPACE) | TO(READ) | TO(QUOTA) | TO(COMMIT) | TO(LIST) |
                  TO(WATCH) | TO(CONNECT) | TO(DONE),
    [REQ_NAMESPACE] = TO(READ) | TO(QUOTA) | TO(COMMIT) | TO(DONE),
    [REQ_READ] = TO(NAMESPACE) | TO(QUOTA) | TO(COMMIT) | TO(CONNECT) | TO(READ) | TO(DONE),
    [REQ_LIST] = TO(LIST) | TO(SEND) | TO(WATCH) | TO(DONE),
    [REQ_SEND] = TO(WATCH) | TO(DONE),
    [REQ_QUOTA] = TO(COMMIT) | TO(DONE),
    [REQ_COMMIT] = TO(READ) | TO(QUOTA) | TO(COMMIT) | TO(DONE),
    [REQ_WATCH] = TO(DONE),
    [REQ_CONNECT] = TO(DONE),
    [REQ_DONE] = 0,
};

void req_move(struct api_req *r, enum req_state to)
{
    assert(ALLOWED[r->state] & (1u << to));
    if (log_level_min <= LOG_LVL_DEBUG)
        log_debug("request moves", kv("target", r->target), kv("from", STATE_NAMES[r->state]),
                  kv("to", STATE_NAMES[to]));
    r->state = to;
}

struct api_req *req_new(struct api *a, const struct req_sink *sink, const char *method,
                        struct str path, struct str query)
{
    struct api_req *r = mem_alloc(sizeof *r);

    (void)method;
    r->api = a;
    r->sink = sink;
    r->state = REQ_START;
    r->class_ = CLASS_FREE;
    r->began_ns = uv_hrtime();
    r->body = BUF(API_BODY_MAX_BYTES);
    r->after = BUF(4096);
    r->ok_code = 200;
    r->n_remaining = -1;
    r->target = mem_printf(STR_FMT "%s" STR_FMT, STR_ARG(path), query.n ? "?" : "", STR_ARG(query));
    list_push(&a->reqs, &r->link);
    a->n_running[r->class_]++;
    return r;
}

static void req_free(struct api_req *r)
{
    share_give(r);
    charge_leave(r);
    deadline_stop(r);
    reply_deinit(r);
    list_remove(&r->link);
    schema_kind_unref(r->kind);
    identity_unref(r->id);
    route_deinit(&r->route);
    params_deinit(&r->params);
    buf_deinit(&r->body);
    buf_deinit(&r->after);
    decode_notes_deinit(&r->notes);
    label_selector_free(r->labels);
    field_selector_free(r->fields);
    for (size_t i = r->at_obj; i < r->n_objs; i++)
        store_obj_unref(r->objs[i]);
    free(r->objs);
    free(r->size);
    store_obj_unref(r->old);
    json_decref(r->in);
    json_decref(r->opts);
    json_decref(r->old_doc);
    json_decref(r->obj);
    json_decref(r->taken);
    free(r->text);
    free(r->key);
    free(r->name);
    free(r->continue_);
    free(r->target);
    free(r);
}

void req_release(struct api_req *r)
{
    if (r->gone && r->n_pending == 0 && !r->watch && !r->connect)
        req_free(r);
}

void req_gone(struct api_req *r)
{
    r->gone = true;
    if (r->watch)
        watch_stop(r);
    if (r->connect)
        connect_stop(r);
    req_release(r);
}

const char *req_group(const struct api_req *r)
{
    return r->kind ? r->kind->group : "";
}

const char *req_ns(const struct api_req *r)
{
    return r->kind && r->kind->namespaced ? r->route.namespace_ : "";
}

/* ---- what verbs share ---- */

bool req_selectors(struct api_req *r)
{
    struct err e;

    if (label_selector_parse(&r->labels, str_of(r->params.label_selector), &e) ||
        field_selector_parse(&r->fields, str_of(r->params.field_selector), &e) ||
        fields_check(r->kind, r->fields, &e)) {
        req_status(r, status_new(STATUS_BAD_REQUEST, "%s", e.text));
        return false;
    }
    return true;
}

const json_t *req_parsed(struct api *a, struct store_obj *o, const struct schema_kind *k)
{
    struct err e;
    json_t *doc;

    for (size_t i = 0; i < API_PARSED_N; i++)
        if (a->parsed[i].o == o && a->parsed[i].kind == k)
            return a->parsed[i].doc;
    if (encode_parse(&doc, k, store_obj_value(o), o->mod_rev, &e)) {
        log_error("stored object is damaged", kv("key", store_obj_key(o)), kv("err", e.text));
        return NULL;
    }
    unsigned at = a->parsed_at++ % API_PARSED_N;
    store_obj_unref(a->parsed[at].o);
    json_decref(a->parsed[at].doc);
    schema_kind_unref(a->parsed[at].kind);
    schema_kind_ref(k);
    a->parsed[at].o = store_obj_ref(o);
    a->parsed[at].kind = k;
    a->parsed[at].doc = doc;
    return doc;
}

static struct match match_of(const struct api_req *r)
{
    return (struct match){ .kind = r->kind, .labels = r->labels, .fields = r->fields };
}

bool req_matches(struct api_req *r, struct store_obj *o)
{
    struct match m = match_of(r);
    const json_t *doc = match_is_all(&m) ? NULL : req_parsed(r->api, o, r->kind);

    return match_is_all(&m) || (doc && match_doc(&m, doc));
}

bool req_matches_once(struct api_req *r, struct store_obj *o)
{
    struct match m = match_of(r);
    enum match_verdict v = match_object(&m, o);

    return v == MATCH_PARSE ? req_matches(r, o) : v == MATCH_YES;
}

void req_listed(struct api_req *r, const struct store_list *l,
                bool (*matches)(struct api_req *r, struct store_obj *o), const struct err *e)
{
    r->n_pending--;
    r->err = e ? *e : (struct err){ 0 };
    if (!e && !r->gone) {
        r->list_rev = l->rev;
        r->objs = mem_calloc(l->n + 1, sizeof(struct store_obj *));
        for (size_t i = 0; i < l->n; i++)
            if (matches(r, l->v[i]))
                r->objs[r->n_objs++] = store_obj_ref(l->v[i]);
    }
    api_step(r);
}

static void on_read(void *arg, struct store_obj *o, int64_t rev, const struct err *e)
{
    struct api_req *r = arg;

    (void)rev;
    r->n_pending--;
    r->err = e && e->code != ERR_NOT_FOUND ? *e : (struct err){ 0 };
    r->old = o ? store_obj_ref(o) : NULL;
    api_step(r);
}

void req_read(struct api_req *r)
{
    store_obj_unref(r->old);
    json_decref(r->old_doc);
    r->old_doc = NULL;
    r->err = (struct err){ 0 };
    /* Others write into a shared store: what is in memory may be older than what the client saw. */
    r->old = store_is_shared(r->api->store) ? NULL : store_peek(r->api->store, str_of(r->key));
    if (r->state != REQ_READ)
        req_move(r, REQ_READ);
    if (r->old) {
        api_step(r);
        return;
    }
    r->n_pending++;
    store_get(r->api->store, str_of(r->key), on_read, r);
}

void req_authz_attrs(const struct api_req *r, struct authz_attrs *out)
{
    *out = (struct authz_attrs){
        .id = r->id,
        .verb = req_verb_names[r->verb],
        .is_resource = r->route.is_resource,
        .group = r->route.group,
        .version = r->route.version,
        .resource = r->route.resource,
        .subresource = r->route.subresource,
        .namespace_ = r->route.namespace_,
        .name = r->route.name,
        .field_selector = r->params.field_selector,
        .label_selector = r->params.label_selector,
        .path = r->route.path,
    };
}

/* ---- the beginning ---- */

struct method {
    const char *name;
    const char *path_verb; /* for plain paths */
    enum req_verb one, many;
};
static const struct method METHODS[] = {
    { "GET", "get", VERB_GET, VERB_LIST },
    { "HEAD", "head", VERB_GET, VERB_LIST },
    { "POST", "post", VERB_CREATE, VERB_CREATE },
    { "PUT", "put", VERB_UPDATE, VERBS_N },
    { "PATCH", "patch", VERB_PATCH, VERBS_N },
    { "DELETE", "delete", VERB_DELETE, VERB_DELETECOLLECTION },
    { "OPTIONS", "options", VERBS_N, VERBS_N }, /* no browser is told what it may do */
};

static unsigned schema_verb_of(enum req_verb v)
{
    static const unsigned bits[VERBS_N] = {
        [VERB_GET] = SCHEMA_GET,       [VERB_LIST] = SCHEMA_LIST_VERB,
        [VERB_WATCH] = SCHEMA_WATCH,   [VERB_CREATE] = SCHEMA_CREATE,
        [VERB_UPDATE] = SCHEMA_UPDATE, [VERB_PATCH] = SCHEMA_PATCH,
        [VERB_DELETE] = SCHEMA_DELETE, [VERB_DELETECOLLECTION] = SCHEMA_DELETECOLLECTION,
    };
    return bits[v];
}

void req_forbidden(struct api_req *r, const struct authz_attrs *at, const char *reason)
{
    char what[512];

    authz_describe(at, what, sizeof what);
    auto_free char *why = mem_printf("%s%s%s", what, *reason ? ": " : "", reason);
    req_status(r, status_forbidden(at->is_resource ? at->group : "",
                                   at->is_resource ? at->resource : "",
                                   at->is_resource ? at->name : "", why));
}

/* False: answered with 403. */
static bool authorize(struct api_req *r, const struct method *m)
{
    struct authz_attrs at;
    AUTO(field_selector) struct field_selector *fs = NULL;
    char reason[AUTHZ_REASON_BYTES];
    struct err e;

    req_authz_attrs(r, &at);
    if (!at.is_resource)
        at.verb = m->path_verb;
    /* a list or watch of one name is a question about that name (requestinfo.go) */
    if (at.is_resource && !*at.name && (r->verb == VERB_LIST || r->verb == VERB_WATCH) &&
        *r->params.field_selector &&
        !field_selector_parse(&fs, str_of(r->params.field_selector), &e)) {
        const char *name = field_selector_requires(fs, "metadata.name");

        at.name = name ? name : "";
    }
    if (authz_allowed(r->api->authz, &at, reason))
        return true;
    req_forbidden(r, &at, reason);
    return false;
}

/* A 405 with the methods that the path of r takes. */
static void method_not_allowed(struct api_req *r)
{
    static const struct {
        unsigned one, many; /* of enum schema_verb */
        const char *name;
    } methods[] = {
        { SCHEMA_DELETE, SCHEMA_DELETECOLLECTION, "DELETE" },
        { SCHEMA_GET, SCHEMA_LIST_VERB | SCHEMA_WATCH, "GET" },
        { SCHEMA_PATCH, 0, "PATCH" },
        { 0, SCHEMA_CREATE, "POST" },
        { SCHEMA_UPDATE, 0, "PUT" },
    };
    auto_buf text = BUF(64);
    unsigned verbs = r->sub ? r->sub->verbs : r->kind->verbs;

    if (r->kind->namespaced && !*r->route.namespace_) /* all namespaces at once can only be read */
        verbs &= SCHEMA_LIST_VERB | SCHEMA_WATCH;
    for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
        bool many = !*r->route.name || (r->sub && methods[i].many == SCHEMA_CREATE);

        if (verbs & (many ? methods[i].many : methods[i].one))
            err_ignore(buf_addf(&text, "%s%s", text.n ? ", " : "", methods[i].name)); /* short */
    }
    r->allow = buf_cstr(&text);
    req_status(r, status_method_not_allowed("", "", ""));
}

bool req_knows_group(const struct api *a, struct str group)
{
    size_t n;
    const struct schema_kind *const *kinds = schema_kinds(a->schema, &n);

    for (size_t i = 0; i < n; i++)
        if (str_is(group, kinds[i]->group))
            return true;
    return false;
}

static void nothing_there(struct api_req *r)
{
    if (req_knows_group(r->api, str_of(r->route.group)))
        req_status(r, status_path_not_found());
    else
        req_page_not_found(r);
}

/* Which verb, and is it one of this resource? False: answered. */
static bool resolve(struct api_req *r)
{
    struct api *a = r->api;
    const struct route *rt = &r->route;
    unsigned verbs;

    r->kind = schema_find(a->schema, str_of(rt->group), str_of(rt->version), str_of(rt->resource));
    if (!r->kind ||
        (!r->kind->namespaced && *rt->namespace_ && strcmp(rt->resource, "namespaces") != 0)) {
        r->kind = NULL;
        nothing_there(r);
        return false;
    }
    schema_kind_ref(r->kind);
    r->hooks = resource_hooks_find(r->kind);
    if (*rt->subresource) {
        r->sub = schema_find_sub(r->kind, str_of(rt->subresource));
        if (!r->sub || (rt->rest.n > 1 && strcmp(rt->subresource, "proxy") != 0)) {
            req_status(r, status_path_not_found());
            return false;
        }
    }
    verbs = r->sub ? r->sub->verbs : r->kind->verbs;
    if (r->verb == VERBS_N || !(verbs & schema_verb_of(r->verb))) {
        method_not_allowed(r);
        return false;
    }
    if (r->verb == VERB_CREATE && r->kind->custom && r->kind->custom->terminating) {
        req_status(r, status_new(STATUS_METHOD_NOT_ALLOWED,
                                 "create not allowed while custom resource definition is "
                                 "terminating"));
        return false;
    }
    /* all namespaces at once can be read, not written (deletecollection neither) */
    if (r->kind->namespaced && !*rt->namespace_ && r->verb != VERB_LIST && r->verb != VERB_WATCH &&
        !(r->verb == VERB_CREATE && strcmp(r->kind->group, "") != 0 && !*rt->name &&
          strcmp(r->kind->plural, "localsubjectaccessreviews") == 0)) {
        method_not_allowed(r);
        return false;
    }
    /* POST to a name is for subresources only */
    if (r->verb == VERB_CREATE && *rt->name && !r->sub) {
        method_not_allowed(r);
        return false;
    }
    return true;
}

/* What the Accept header asks for cannot be made of this answer. False: answered with 406. */
static bool check_accept(struct api_req *r, bool acceptable)
{
    bool watch = r->verb == VERB_WATCH, list = r->verb == VERB_LIST;

    if (!acceptable || (watch && r->accept.yaml)) {
        r->accept = (struct accept){ 0 };
        req_status(r, status_new(STATUS_NOT_ACCEPTABLE,
                                 "only the following media types are accepted: %s",
                                 watch ? ACCEPT_STREAM_TYPES : ACCEPT_MEDIA_TYPES));
        return false;
    }
    if (watch || r->accept.as != ACCEPT_PARTIAL || r->accept.as_list == list ||
        r->verb == VERB_DELETECOLLECTION)
        return true;
    r->accept.as = ACCEPT_OBJECT;
    req_status(r, status_new(STATUS_NOT_ACCEPTABLE,
                             list ? "you requested PartialObjectMetadata, but the requested object "
                                    "is a list (*%.*s.%sList)"
                                  : "you requested PartialObjectMetadataList, but the requested "
                                    "object is not a list (*%.*s.%s)",
                             (int)strcspn(*r->kind->group ? r->kind->group : "core", "."),
                             *r->kind->group ? r->kind->group : "core", r->kind->kind));
    return false;
}

/* Who reads it? apiserver/pkg/endpoints/handlers/negotiation, isPrettyPrint */
static bool wants_pretty(const struct api_req *r)
{
    struct str agent;

    if (r->params.has_pretty || r->accept.pretty || !r->http)
        return r->params.has_pretty ? r->params.pretty : r->accept.pretty;
    agent = http_headers_get(http_req_headers(r->http), "user-agent");
    return str_starts(agent, STR("curl")) || str_starts(agent, STR("Wget")) ||
           str_starts(agent, STR("Mozilla/5.0"));
}

void req_begin(struct api_req *r, const char *method, struct str accept, struct str content_type)
{
    struct str path, query;
    const struct method *m = NULL;
    enum req_verb asked;
    bool acceptable, is_head = strcmp(method, "HEAD") == 0;
    struct err e;

    str_cut(str_of(r->target), '?', &path, &query);
    for (size_t i = 0; i < ARRAY_LEN(METHODS); i++)
        if (strcmp(METHODS[i].name, method) == 0)
            m = &METHODS[i];
    if (!m) {
        req_status(r, status_method_not_allowed("", "", ""));
        return;
    }
    if (route_parse(&r->route, path, &e) || params_parse(&r->params, query, &e)) {
        req_status(r, status_new(STATUS_BAD_REQUEST, "%s", e.text));
        return;
    }
    acceptable = !r->route.is_resource || accept_parse(&r->accept, accept, ACCEPT_ALL);
    if (!acceptable)
        r->accept = (struct accept){ 0 };
    r->pretty = wants_pretty(r);
    r->verb = *r->route.name ? m->one : m->many;
    /* a watch whose head alone is wanted would hold its connection, and say nothing */
    if (r->route.old_watch || (r->params.watch && r->verb == VERB_LIST && !is_head))
        r->verb = !is_head && (r->verb == VERB_LIST || r->verb == VERB_GET) ? VERB_WATCH : VERBS_N;
    asked = r->verb;
    if (asked == VERBS_N) /* authorize speaks of a verb; 405 comes only to who may know that */
        r->verb = r->route.old_watch ? VERB_WATCH : VERB_UPDATE;
    if (!authorize(r, m))
        return;
    r->verb = asked;
    if (!r->route.is_resource) {
        plain_step(r);
        return;
    }
    if (!r->api->serving && r->http) {
        req_status(r, status_new(STATUS_SERVICE_UNAVAILABLE, "apiserver not ready"));
        return;
    }
    if (!resolve(r))
        return;
    if (connect_is(r->kind, r->sub)) {
        if (share_take(r, CLASS_STREAM)) {
            r->verb = VERB_CONNECT;
            connect_step(r);
        }
        return;
    }
    r->content_type = content_type_of(content_type);
    unsigned without = (r->kind->custom ? ACCEPT_NO_PROTO : 0) | /* no table says how it looks */
                       (r->kind->verbs & SCHEMA_GET ? 0 : ACCEPT_NO_TABLE);
    if (without)
        acceptable = accept_parse(&r->accept, accept, without);
    if (!check_accept(r, acceptable) || !options_check(r))
        return;
    bool reads = r->verb == VERB_GET || r->verb == VERB_LIST;
    if (!share_take(r, r->verb == VERB_WATCH ? CLASS_WATCH : reads ? CLASS_READ : CLASS_WRITE))
        return;
    if (r->verb != VERB_WATCH)
        deadline_start(r);
    if (reads || r->verb == VERB_WATCH || !r->http)
        api_step(r);
    else
        req_move(r, REQ_BODY); /* the http side steps us when it has come */
}

static void on_refreshed(void *arg)
{
    struct api_req *r = arg;

    r->n_pending--;
    api_step(r);
}

/* The client has seen a newer state than we know of, from another server perhaps: look first. */
static bool is_ahead(const struct api_req *r)
{
    return r->state == REQ_START && !r->refreshed && store_is_shared(r->api->store) &&
           r->params.resource_version > store_revision(r->api->store);
}

/* What we waited for has ended; r->err has its outcome. */
void api_step(struct api_req *r)
{
    if (r->gone) {
        req_release(r);
        return;
    }
    if (r->state == REQ_DONE) /* the deadline has answered it */
        return;
    if (r->err.code && r->state != REQ_COMMIT && r->state != REQ_LIST) {
        req_err(r, &r->err);
        return;
    }
    if (is_ahead(r)) {
        r->refreshed = true;
        r->n_pending++;
        store_refresh(r->api->store, on_refreshed, r);
        return;
    }
    switch (r->verb) {
    case VERB_GET:
    case VERB_LIST:
        read_step(r);
        break;
    case VERB_WATCH:
        watch_step(r);
        break;
    case VERB_CREATE:
        if (strcmp(r->kind->group, "authorization.k8s.io") == 0 ||
            strcmp(r->kind->group, "authentication.k8s.io") == 0)
            review_step(r);
        else
            write_step(r);
        break;
    case VERB_UPDATE:
    case VERB_PATCH:
        write_step(r);
        break;
    case VERB_DELETE:
    case VERB_DELETECOLLECTION:
        remove_step(r);
        break;
    case VERB_CONNECT:
        connect_step(r);
        break;
    case VERBS_N:
        break;
    }
}
