#include "server/api/match.h"
#include "server/api/request.h"

#include "base/core/log.h"
#include "base/core/map.h"
#include "base/core/mem.h"
#include "base/data/json.h"
#include "base/kube/selector.h"
#include "base/kube/status.h"
#include "server/schema/fields.h"

#include <assert.h>

const char *const req_verb_names[VERBS_N] = { "get",    "list",  "watch",  "create",
                                              "update", "patch", "delete", "deletecollection",
                                              "connect" };

static const char *const STATE_NAMES[] = { "BODY", "START",  "NAMESPACE", "READ",    "LIST",
                                           "SEND", "COMMIT", "WATCH",     "CONNECT", "DONE" };

#define TO(s) (1u << (REQ_##s))
static const unsigned ALLOWED[] = {
    [REQ_BODY] = TO(START) | TO(DONE),
    [REQ_START] = TO(BODY) | TO(NAMESPACE) | TO(READ) | TO(COMMIT) | TO(LIST) | TO(WATCH) |
                  TO(CONNECT) | TO(DONE),
    [REQ_NAMESPACE] = TO(READ) | TO(COMMIT) | TO(DONE),
    [REQ_READ] = TO(NAMESPACE) | TO(COMMIT) | TO(CONNECT) | TO(READ) | TO(DONE),
    [REQ_LIST] = TO(LIST) | TO(SEND) | TO(WATCH) | TO(DONE),
    [REQ_SEND] = TO(WATCH) | TO(DONE),
    [REQ_COMMIT] = TO(READ) | TO(COMMIT) | TO(DONE),
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
    r->began_ms = uv_now(a->loop);
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
    r->api->n_running[r->class_]--;
    list_remove(&r->link);
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

/* ---- answers ---- */

/* What an answer to r is, in the encoding that the client wants. False: it does not fit. */
static bool encode_answer(struct buf *b, const struct api_req *r, const json_t *doc)
{
    struct encode_form f = req_form(r);
    struct err e;

    return encode_doc(b, &f, doc, &e) == 0;
}

static void reply(struct api_req *r, int code, const char *content_type, struct str body,
                  const struct http_header *extra, size_t n_extra)
{
    if (r->state != REQ_DONE)
        r->state = REQ_DONE; /* from any state: an answer ends them all */
    r->answered = true;
    api_count(r, code);
    r->sink->reply(r, code, content_type, body, extra, n_extra);
}

void req_text(struct api_req *r, int code, const char *content_type, struct str body)
{
    reply(r, code, content_type, body, NULL, 0);
}

void req_doc(struct api_req *r, int code, json_t *doc_take)
{
    json_auto_t *doc = doc_take;
    auto_buf b = BUF(API_ANSWER_MAX_BYTES);

    if (!encode_answer(&b, r, doc)) {
        req_status(r, status_new(STATUS_INTERNAL_ERROR, "the answer cannot be encoded"));
        return;
    }
    reply(r, code, req_media_type(r), buf_str(&b), NULL, 0);
}

void req_status(struct api_req *r, json_t *status_take)
{
    json_auto_t *status = status_take;
    auto_buf b = BUF(API_ANSWER_MAX_BYTES);
    int code = status_code(status);
    int64_t retry = json_i64_at(status, "details.retryAfterSeconds", 0);
    auto_free char *seconds = mem_printf("%lld", (long long)retry);
    struct http_header after = { STR("Retry-After"), str_of(seconds) };

    if (!encode_answer(&b, r, status)) { /* texts of ours that some type does not hold */
        r->accept.proto = false;
        err_ignore(!encode_answer(&b, r, status));
    }
    reply(r, code, req_media_type(r), buf_str(&b), &after, retry > 0);
}

void req_err(struct api_req *r, const struct err *e)
{
    if (status_reason_of_err(e->code) == STATUS_INTERNAL_ERROR)
        log_warn("request failed", kv("target", r->target), kv("err", e->text));
    req_status(r, status_of_err(e));
}

void req_commit_err(struct api_req *r, const struct err *e)
{
    if (e->code == ERR_LIMIT ||
        e->code == ERR_DENIED) /* full, read-only: the store has logged it */
        req_status(r, status_new(STATUS_SERVICE_UNAVAILABLE, "%s", e->text));
    else if (e->code == ERR_AGAIN)
        req_status(r, status_too_many_requests(e->text, 1));
    else
        req_err(r, e);
}

void req_not_found(struct api_req *r, const char *name)
{
    req_status(r, status_not_found(req_group(r), r->kind->plural, name));
}

void req_invalid(struct api_req *r, const char *name, const struct field_errors *fe)
{
    req_invalid_as(r, r->kind->group, r->kind->kind, name, fe);
}

void req_invalid_as(struct api_req *r, const char *group, const char *kind, const char *name,
                    const struct field_errors *fe)
{
    json_auto_t *causes = json_array();

    for (size_t i = 0; i < fe->n; i++)
        status_cause_add(causes, field_reason_name(fe->v[i].reason), fe->v[i].field, "%s",
                         fe->v[i].detail);
    req_status(r, status_invalid(group, kind, name, causes));
}

struct encode_form req_form(const struct api_req *r)
{
    struct encode_form f = {
        .kind = r->kind, .as = r->accept.as, .proto = r->accept.proto, .pretty = r->params.pretty
    };

    err_ignore(
        !table_include_of(&f.include, str_of(r->params.include_object))); /* checked before */
    return f;
}

const char *req_media_type(const struct api_req *r)
{
    return !r->accept.proto        ? "application/json"
           : r->verb == VERB_WATCH ? "application/vnd.kubernetes.protobuf;stream=watch"
                                   : "application/vnd.kubernetes.protobuf";
}

#define WARNINGS_MAX 32

/* RFC 7234 5.5, code 299. 1 when it was added. */
static size_t add_warning(struct buf *b, const char *note, size_t *end)
{
    json_auto_t *text = json_str_of(str_of(note));
    size_t was = b->n;

    if (buf_adds(b, "299 - ") || json_write(b, text)) {
        b->n = was;
        return 0;
    }
    *end = b->n;
    return 1;
}

/* A client that asks for something that nothing will do is told so. */
static bool warns_inert(const struct api_req *r)
{
    return r->kind->inert && !r->sub &&
           (r->verb == VERB_CREATE || r->verb == VERB_UPDATE || r->verb == VERB_PATCH);
}

void req_object(struct api_req *r, int code, struct str value, int64_t rev)
{
    auto_buf b = BUF(API_ANSWER_MAX_BYTES), warnings = BUF(64 * 1024);
    struct http_header extra[WARNINGS_MAX];
    size_t n = 0, ends[WARNINGS_MAX];
    struct encode_form f = req_form(r);
    struct err e;

    if (encode_object(&b, &f, value, rev, &e)) {
        if (r->key)
            err_wrap(&e, "%s", r->key);
        req_err(r, &e);
        return;
    }
    for (size_t i = 0; i < r->notes.n && n < WARNINGS_MAX; i++)
        n += add_warning(&warnings, r->notes.v[i], &ends[n]);
    if (warns_inert(r) && n < WARNINGS_MAX)
        n += add_warning(&warnings, r->kind->inert, &ends[n]);
    for (size_t i = 0, at = 0; i < n; at = ends[i++])
        extra[i] = (struct http_header){ STR("Warning"), str_n(warnings.p + at, ends[i] - at) };
    reply(r, code, req_media_type(r), buf_str(&b), extra, n);
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

/* False: answered with 403. */
static bool authorize(struct api_req *r, const struct method *m)
{
    struct authz_attrs at;
    AUTO(field_selector) struct field_selector *fs = NULL;
    char reason[AUTHZ_REASON_BYTES], what[512];
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
    authz_describe(&at, what, sizeof what);
    auto_free char *why = mem_printf("%s%s%s", what, *reason ? ": " : "", reason);
    req_status(r,
               status_forbidden(at.is_resource ? at.group : "", at.is_resource ? at.resource : "",
                                at.is_resource ? at.name : "", why));
    return false;
}

/* Which verb, and is it one of this resource? False: answered. */
static bool resolve(struct api_req *r, const struct method *m)
{
    struct api *a = r->api;
    const struct route *rt = &r->route;
    unsigned verbs;

    r->kind = schema_find(a->schema, str_of(rt->group), str_of(rt->version), str_of(rt->resource));
    if (!r->kind ||
        (!r->kind->namespaced && *rt->namespace_ && strcmp(rt->resource, "namespaces") != 0)) {
        req_status(r, status_path_not_found());
        return false;
    }
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
        auto_free char *verb =
            mem_strdup(r->verb == VERBS_N ? m->path_verb : req_verb_names[r->verb]);

        req_status(r, status_method_not_allowed(r->kind->group, r->kind->plural, verb));
        return false;
    }
    /* all namespaces at once can be read, not written (deletecollection neither) */
    if (r->kind->namespaced && !*rt->namespace_ && r->verb != VERB_LIST && r->verb != VERB_WATCH &&
        !(r->verb == VERB_CREATE && strcmp(r->kind->group, "") != 0 && !*rt->name &&
          strcmp(r->kind->plural, "localsubjectaccessreviews") == 0)) {
        req_status(
            r, status_method_not_allowed(r->kind->group, r->kind->plural, req_verb_names[r->verb]));
        return false;
    }
    /* POST to a name is for subresources only */
    if (r->verb == VERB_CREATE && *rt->name && !r->sub) {
        req_status(r, status_method_not_allowed(r->kind->group, r->kind->plural, "create"));
        return false;
    }
    return true;
}

static bool admit_class(struct api_req *r, enum req_class c)
{
    static const unsigned max[CLASSES_N] = { [CLASS_READ] = API_READS_MAX,
                                             [CLASS_WRITE] = API_WRITES_MAX,
                                             [CLASS_WATCH] = API_WATCHES_MAX,
                                             [CLASS_STREAM] = API_STREAMS_MAX };

    if (c == r->class_)
        return true;
    if (max[c] && r->http && r->api->n_running[c] >= max[c]) {
        req_status(r, status_too_many_requests("too many requests, please try again later", 1));
        return false;
    }
    r->api->n_running[r->class_]--;
    r->class_ = c;
    r->api->n_running[c]++;
    return true;
}

void req_begin(struct api_req *r, const char *method, struct str accept, struct str content_type)
{
    struct str path, query;
    const struct method *m = NULL;
    enum table_include include;
    bool acceptable;
    struct err e;

    str_cut(str_of(r->target), '?', &path, &query);
    for (size_t i = 0; i < ARRAY_LEN(METHODS); i++)
        if (strcmp(METHODS[i].name, method) == 0)
            m = &METHODS[i];
    if (!m) {
        req_status(r, status_method_not_allowed("", "", method));
        return;
    }
    if (route_parse(&r->route, path, &e) || params_parse(&r->params, query, &e)) {
        req_status(r, status_new(STATUS_BAD_REQUEST, "%s", e.text));
        return;
    }
    acceptable = !r->route.is_resource || accept_parse(&r->accept, accept);
    if (!acceptable)
        r->accept = (struct accept){ 0 };
    r->verb = *r->route.name ? m->one : m->many;
    if (r->route.old_watch || (r->params.watch && (r->verb == VERB_LIST || r->verb == VERB_GET) &&
                               !*r->route.subresource))
        r->verb = r->verb == VERB_LIST || r->verb == VERB_GET ? VERB_WATCH : VERBS_N;
    if (r->route.is_resource && r->verb == VERBS_N && !r->route.old_watch) {
        /* authorize speaks of a verb; 405 comes only to who may know that */
        r->verb = VERB_UPDATE;
        if (!authorize(r, m))
            return;
        r->verb = VERBS_N;
    } else if (!authorize(r, m)) {
        return;
    }
    if (!r->route.is_resource) {
        plain_step(r);
        return;
    }
    if (!r->api->serving && r->http) {
        req_status(r, status_new(STATUS_SERVICE_UNAVAILABLE, "apiserver not ready"));
        return;
    }
    if (!resolve(r, m))
        return;
    if (connect_is(r->kind, r->sub)) {
        if (admit_class(r, CLASS_STREAM)) {
            r->verb = VERB_CONNECT;
            connect_step(r);
        }
        return;
    }
    if (!acceptable) {
        req_status(r, status_new(STATUS_NOT_ACCEPTABLE,
                                 "only the following media types are accepted: application/json, "
                                 "application/vnd.kubernetes.protobuf"));
        return;
    }
    if (!table_include_of(&include, str_of(r->params.include_object))) {
        req_status(r, status_new(STATUS_BAD_REQUEST,
                                 "includeObject: Unsupported value: \"%s\": supported values: "
                                 "\"Metadata\", \"None\", \"Object\"",
                                 r->params.include_object));
        return;
    }
    r->content_type = content_type_of(content_type);
    bool reads = r->verb == VERB_GET || r->verb == VERB_LIST;
    if (!admit_class(r, r->verb == VERB_WATCH ? CLASS_WATCH : reads ? CLASS_READ : CLASS_WRITE))
        return;
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
