#include "base/kube/client.h"

#include "base/core/mem.h"
#include "base/data/json.h"
#include "base/http/url.h"
#include "base/kube/status.h"
#include "base/kube/watch_reader.h"

#include <string.h>

#define TIMEOUT_MS            30000
#define BODY_MAX_BYTES        (64u * 1024 * 1024)
#define TARGET_MAX_BYTES      HTTP_TARGET_MAX_BYTES
#define WATCH_TIMEOUT_S       300
#define WATCH_HEAD_TIMEOUT_MS 30000
#define WATCH_GRACE_MS        30000
#define RETRY_AFTER_MAX_MS    (10 * 60 * 1000) /* more is a broken clock or proxy */

struct kube_client {
    uv_loop_t *loop;
    struct http_endpoint *ep;
    char *user_agent;
    char *authorization; /* "Bearer ...", or NULL */
    uint64_t timeout_ms;
    size_t body_max_bytes;
    void (*close_done)(void *arg);
    void *close_arg;
};

struct kube_call {
    struct http_call *http;
    char *what; /* "GET /api/v1/pods", for errors */
    int status;
    const struct http_headers *headers;
    struct buf body;
    bool ended; /* our own verdict is in err, the cancellation follows */
    struct err err;

    kube_reply_fn done; /* not for watches */
    void *arg;

    bool is_watch;
    struct kube_watch_events events;
    struct watch_reader reader;
};

void kube_client_new(struct kube_client **out, uv_loop_t *loop, const struct kube_client_config *c)
{
    struct kube_client *k = mem_alloc(sizeof *k);

    k->loop = loop;
    k->user_agent = mem_strdup(c->user_agent ? c->user_agent : "coracle");
    if (c->bearer_token)
        k->authorization = mem_printf("Bearer %s", c->bearer_token);
    k->timeout_ms = c->timeout_ms ? c->timeout_ms : TIMEOUT_MS;
    k->body_max_bytes = c->body_max_bytes ? c->body_max_bytes : BODY_MAX_BYTES;
    http_endpoint_new(&k->ep, loop, &c->endpoint);
    *out = k;
}

static void on_endpoint_gone(void *arg)
{
    struct kube_client *k = arg;
    void (*done)(void *arg) = k->close_done;
    void *done_arg = k->close_arg;

    if (k->authorization)
        explicit_bzero(k->authorization, strlen(k->authorization));
    free(k->authorization);
    free(k->user_agent);
    free(k);
    if (done)
        done(done_arg);
}

void kube_client_close(struct kube_client *k, void (*done)(void *arg), void *arg)
{
    k->close_done = done;
    k->close_arg = arg;
    http_endpoint_close(k->ep, on_endpoint_gone, k);
}

void kube_client_reset(struct kube_client *k)
{
    http_endpoint_reset(k->ep);
}

uv_loop_t *kube_client_loop(const struct kube_client *k)
{
    return k->loop;
}

/* ---- errors ---- */

int kube_status_err(struct err *e, int status, const json_t *object)
{
    const char *reason = json_string_value(json_object_get(object, "reason"));
    const char *message = json_string_value(json_object_get(object, "message"));

    if (status / 100 == 2)
        return 0;
    if (message && *message)
        return err_set(e, status_err_code(reason, status), "%s", message);
    return err_set(e, status_err_code(reason, status), "HTTP status %d %s", status,
                   http_status_text(status));
}

int kube_status_object_err(struct err *e, const json_t *object)
{
    json_t *code = json_object_get(object, "code");
    int status = json_is_integer(code) ? (int)json_integer_value(code) : 500;

    return kube_status_err(e, status / 100 == 2 ? 500 : status, object);
}

static void fail(struct kube_call *c, const struct err *e)
{
    if (c->ended)
        return;
    c->ended = true;
    c->err = *e;
    http_call_cancel(c->http);
}

static uint64_t retry_after_ms(const struct http_headers *h, json_t *object)
{
    int64_t s = json_i64_at(object, "details.retryAfterSeconds", 0);
    uint64_t header_s;

    if (h && str_to_u64(http_headers_get(h, "Retry-After"), &header_s)) /* never the date form */
        s = (int64_t)MIN(header_s, (uint64_t)RETRY_AFTER_MAX_MS);
    return s > 0 ? MIN((uint64_t)s * 1000, (uint64_t)RETRY_AFTER_MAX_MS) : 0;
}

/* ---- events of the call ---- */

static void on_head(struct http_call *h, void *arg, int status, const struct http_headers *headers)
{
    struct kube_call *c = arg;

    (void)h;
    c->status = status;
    c->headers = headers;
}

static void on_watch_bytes(struct kube_call *c, struct str in)
{
    enum kube_event_type type;
    struct err e;

    while (in.n > 0 && !c->ended) {
        json_auto_t *object = NULL;
        if (watch_reader_read(&c->reader, &in, &type, &object, &e))
            fail(c, &e);
        else if (object)
            c->events.on_event(c->arg, type, object);
    }
}

static void on_body(struct http_call *h, void *arg, const char *p, size_t n)
{
    struct kube_call *c = arg;
    struct err e;

    (void)h;
    if (c->ended)
        return;
    if (c->is_watch && c->status == 200) {
        on_watch_bytes(c, str_n(p, n));
    } else if (buf_add(&c->body, p, n)) {
        err_set(&e, ERR_LIMIT, "the answer is longer than %zu bytes", c->body.max);
        fail(c, &e);
    }
}

/* The answer's document; NULL when it is none. ERR_PROTOCOL when it says it is JSON and is not. */
static int parse_body(struct kube_call *c, json_t **out, struct err *e)
{
    struct str type = c->headers ? http_headers_get(c->headers, "Content-Type") : STR(""), media;

    str_cut(type, ';', &media, &type);
    if (c->body.n == 0 || !str_eq_nocase(str_trim(media), STR("application/json")))
        return 0;
    if (!json_parse(out, buf_str(&c->body), e))
        return 0;
    e->code = e->code == ERR_LIMIT ? ERR_LIMIT : ERR_PROTOCOL;
    return err_wrap(e, "the answer");
}

static void on_done(struct http_call *h, void *arg, const struct err *transport)
{
    struct kube_call *c = arg;
    json_auto_t *object = NULL;
    struct kube_reply r = { .reason = "" };
    struct err e = { 0 };
    const char *reason;

    (void)h;
    if (c->ended)
        e = c->err;
    else if (transport)
        e = *transport;
    else if (c->is_watch && c->status == 200)
        err_ignore(watch_reader_finish(&c->reader, &e)); /* in e */
    else if (!parse_body(c, &object, &e) && !kube_status_err(&e, c->status, object) && c->is_watch)
        err_set(&e, ERR_PROTOCOL, "HTTP status %d to a watch", c->status);
    if (c->headers) {
        r.status = c->status;
        r.headers = c->headers;
        r.body = buf_str(&c->body);
        r.object = object;
        r.retry_after_ms = retry_after_ms(c->headers, object);
        reason = e.code ? json_string_value(json_object_get(object, "reason")) : NULL;
        r.reason = reason ? reason : "";
    }
    if (e.code)
        err_wrap(&e, "%s", c->what);
    if (c->is_watch)
        c->events.on_done(c->arg, r.retry_after_ms, e.code ? &e : NULL);
    else
        c->done(c->arg, &r, e.code ? &e : NULL);
    watch_reader_deinit(&c->reader);
    buf_deinit(&c->body);
    free(c->what);
    free(c);
}

static const struct http_call_events http_events = {
    .on_head = on_head,
    .on_body = on_body,
    .on_done = on_done,
};

static struct kube_call *call_new(struct kube_client *k, const char *method, const char *target)
{
    struct kube_call *c = mem_alloc(sizeof *c);

    c->what = mem_printf("%s %.*s", method, (int)strcspn(target, "?"), target);
    c->body = BUF(k->body_max_bytes);
    watch_reader_init(&c->reader, 0);
    return c;
}

static void call_start(struct kube_client *k, struct kube_call *c, struct http_call_config *cfg,
                       const char *content_type)
{
    struct http_header headers[4] = { { STR("Accept"), STR("application/json") },
                                      { STR("User-Agent"), str_of(k->user_agent) } };

    cfg->headers = headers;
    cfg->n_headers = 2;
    if (k->authorization)
        headers[cfg->n_headers++] =
            (struct http_header){ STR("Authorization"), str_of(k->authorization) };
    if (cfg->body.n > 0)
        headers[cfg->n_headers++] =
            (struct http_header){ STR("Content-Type"), str_of(content_type) };
    http_call_start(&c->http, k->ep, cfg, &http_events, c);
}

/* ---- requests ---- */

struct kube_call *kube_request(struct kube_client *k, const char *method, const char *path,
                               const char *content_type, struct str body, kube_reply_fn done,
                               void *arg)
{
    struct kube_call *c = call_new(k, method, path);
    struct http_call_config cfg = {
        .method = method, .target = path, .body = body, .timeout_ms = k->timeout_ms
    };

    c->done = done;
    c->arg = arg;
    call_start(k, c, &cfg, content_type ? content_type : "application/json");
    return c;
}

struct kube_call *kube_get(struct kube_client *k, const char *path, kube_reply_fn done, void *arg)
{
    return kube_request(k, "GET", path, NULL, (struct str){ NULL, 0 }, done, arg);
}

struct kube_call *kube_create(struct kube_client *k, const char *path, struct str body,
                              kube_reply_fn done, void *arg)
{
    return kube_request(k, "POST", path, NULL, body, done, arg);
}

struct kube_call *kube_update(struct kube_client *k, const char *path, struct str body,
                              kube_reply_fn done, void *arg)
{
    return kube_request(k, "PUT", path, NULL, body, done, arg);
}

struct kube_call *kube_patch(struct kube_client *k, const char *path, enum kube_patch type,
                             struct str body, kube_reply_fn done, void *arg)
{
    static const char *const types[] = {
        [KUBE_PATCH_JSON] = "application/json-patch+json",
        [KUBE_PATCH_MERGE] = "application/merge-patch+json",
        [KUBE_PATCH_STRATEGIC] = "application/strategic-merge-patch+json",
        [KUBE_PATCH_APPLY] = "application/apply-patch+yaml",
    };

    return kube_request(k, "PATCH", path, types[type], body, done, arg);
}

struct kube_call *kube_delete(struct kube_client *k, const char *path, struct str body,
                              kube_reply_fn done, void *arg)
{
    return kube_request(k, "DELETE", path, NULL, body, done, arg);
}

static int add_param(struct buf *out, const char *name, const char *value)
{
    return value && *value ? url_query_add(out, name, str_of(value)) : 0;
}

int kube_list_target(struct buf *out, const char *path, const struct kube_list_options *o)
{
    char limit[16] = "";

    if (o->limit)
        snprintf(limit, sizeof limit, "%u", o->limit);
    if (buf_adds(out, path) || add_param(out, "labelSelector", o->label_selector) ||
        add_param(out, "fieldSelector", o->field_selector) ||
        add_param(out, "resourceVersion", o->resource_version) ||
        add_param(out, "continue", o->continue_token) || add_param(out, "limit", limit))
        return ERR_LIMIT;
    return 0;
}

struct kube_call *kube_list(struct kube_client *k, const char *path,
                            const struct kube_list_options *o, kube_reply_fn done, void *arg)
{
    auto_buf target = BUF(TARGET_MAX_BYTES);
    struct kube_call *c;
    struct err e;

    if (!kube_list_target(&target, path, o))
        return kube_get(k, target.p, done, arg);
    c = kube_get(k, path, done, arg); /* never fails at once: it is canceled and says why */
    err_set(&e, ERR_LIMIT, "path and selectors are longer than %d bytes", TARGET_MAX_BYTES);
    fail(c, &e);
    return c;
}

void kube_call_cancel(struct kube_call *c)
{
    struct err e;

    err_set(&e, ERR_CANCELED, "the call was canceled");
    fail(c, &e);
}

/* ---- watch ---- */

struct kube_call *kube_watch(struct kube_client *k, const char *path,
                             const struct kube_watch_options *o,
                             const struct kube_watch_events *events, void *arg)
{
    const uint32_t timeout_s = o->timeout_s ? o->timeout_s : WATCH_TIMEOUT_S;
    const struct kube_list_options selection = { .label_selector = o->label_selector,
                                                 .field_selector = o->field_selector,
                                                 .resource_version = o->resource_version };
    struct http_call_config cfg = { .method = "GET",
                                    .timeout_ms = timeout_s * 1000ull + WATCH_GRACE_MS,
                                    .head_timeout_ms = WATCH_HEAD_TIMEOUT_MS };
    struct kube_call *c = call_new(k, "WATCH", path);
    auto_buf target = BUF(TARGET_MAX_BYTES);
    char seconds[16];
    struct err e;
    bool too_long;

    snprintf(seconds, sizeof seconds, "%u", timeout_s);
    too_long = kube_list_target(&target, path, &selection) || add_param(&target, "watch", "true") ||
               add_param(&target, "timeoutSeconds", seconds) ||
               (o->bookmarks && add_param(&target, "allowWatchBookmarks", "true"));
    c->is_watch = true;
    c->events = *events;
    c->arg = arg;
    cfg.target = too_long ? path : target.p;
    call_start(k, c, &cfg, NULL);
    if (too_long) {
        err_set(&e, ERR_LIMIT, "path and selectors are longer than %d bytes", TARGET_MAX_BYTES);
        fail(c, &e);
    }
    return c;
}
