#include "test/unit/server/api/harness.h"

#include "base/core/clock.h"
#include "base/core/mem.h"
#include "base/io/tcp.h"
#include "base/io/timer.h"

#include <stdio.h>
#include <unistd.h>

/* ---- the server ---- */

static enum authn_result bearer(void *arg, const struct authn_credentials *c, struct identity **out,
                                struct err *e)
{
    struct str token = c->authorization, group;
    const char *groups[8];
    char text[256], *save = NULL;
    size_t n = 0;

    (void)arg;
    (void)e;
    if (!str_starts(token, STR("Bearer ")))
        return AUTHN_NONE;
    token = str_n(token.p + 7, token.n - 7);
    (void)group;
    snprintf(text, sizeof text, STR_FMT, STR_ARG(token));
    /* user names hold colons too: groups are behind '+' */
    char *user = strtok_r(text, "+", &save);
    for (char *g; (g = strtok_r(NULL, "+", &save)) && n < ARRAY_LEN(groups);)
        groups[n++] = g;
    if (!user || strcmp(user, "nobody") == 0)
        return AUTHN_FAILED;
    *out = identity_new(user, groups, n);
    return AUTHN_OK;
}

static void on_request(struct http_req *r, void *arg)
{
    struct harness *h = arg;

    api_handle(h->api, r);
}

static void on_accept(void *arg, struct stream *s)
{
    struct harness *h = arg;

    http_server_serve(h->http, s);
}

static void on_started(void *arg, const struct err *e)
{
    struct harness *h = arg;

    assert_null(e);
    h->flag = true;
}

static void raise_flag(void *arg)
{
    ((struct harness *)arg)->flag = true;
}

void harness_wait(struct harness *h, const bool *flag)
{
    uint64_t until = clock_mono_ms() + 30000;

    while (!*flag && clock_mono_ms() < until)
        uv_run(&h->loop, UV_RUN_ONCE);
    assert_true(*flag);
}

void harness_open(struct harness *h, const struct api_egress *egress)
{
    struct err e = { 0 };
    char path[80];

    memset(h, 0, sizeof *h);
    uv_loop_init(&h->loop);
    snprintf(h->dir, sizeof h->dir, "/tmp/api-test-XXXXXX");
    assert_non_null(mkdtemp(h->dir));
    snprintf(path, sizeof path, "%s/state.db", h->dir);
    assert_int_equal(store_sqlite_open(&h->store, &h->loop, path, &e), 0);
    authn_new(&h->authn);
    authn_add(h->authn, bearer, NULL);
    struct api_config cfg = { .loop = &h->loop,
                              .store = h->store,
                              .authn = h->authn,
                              .service_cidrs = { "10.43.0.0/16" },
                              .version = "test",
                              .commit = "0123456789abcdef0123456789abcdef01234567",
                              .advertise_host_port = "127.0.0.1:6443" };
    if (egress)
        cfg.egress = *egress;
    assert_int_equal(api_new(&h->api, &cfg, &e), 0);
    api_start(h->api, on_started, h);
    harness_wait(h, &h->flag);
    struct http_server_config hc = { .on_request = on_request, .arg = h };
    http_server_new(&h->http, &h->loop, &hc);
    assert_int_equal(tcp_listen(&h->listener, &h->loop, "127.0.0.1", 0, on_accept, h, &e), 0);
    h->authority = mem_printf("127.0.0.1:%u", listener_port(h->listener));
    struct http_endpoint_config ec = { .authority = h->authority,
                                       .proto = HTTP_H1,
                                       .n_connections_max = 512 };
    http_endpoint_new(&h->client, &h->loop, &ec);
    while (!api_is_informed(h->api))
        uv_run(&h->loop, UV_RUN_ONCE);
}

void harness_stop_api(struct harness *h)
{
    if (!h->api)
        return;
    h->flag = false;
    api_close(STEAL(h->api), raise_flag, h);
    harness_wait(h, &h->flag);
}

void harness_close(struct harness *h)
{
    char cmd[128];

    h->flag = false;
    http_endpoint_close(h->client, raise_flag, h);
    harness_wait(h, &h->flag);
    listener_close(h->listener, NULL, NULL);
    harness_stop_api(h);
    h->flag = false;
    http_server_close(h->http, raise_flag, h);
    harness_wait(h, &h->flag);
    h->flag = false;
    store_close(h->store, raise_flag, h);
    harness_wait(h, &h->flag);
    authn_free(h->authn);
    free(h->authority);
    uv_run(&h->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&h->loop), 0);
    snprintf(cmd, sizeof cmd, "rm -rf %s", h->dir);
    assert_int_equal(system(cmd), 0);
}

/* ---- one question ---- */

struct fill {
    size_t n_left;
    bool done;
};

static void on_filled(void *arg, int64_t rev, size_t failed, struct store_obj *current,
                      const struct err *e)
{
    struct fill *f = arg;
    (void)rev;
    (void)failed;
    (void)current;

    assert_null(e);
    f->done = --f->n_left == 0;
}

void harness_fill(struct harness *h, const char *ns, size_t n)
{
    struct fill f = { .n_left = n };

    for (size_t i = 0; i < n; i++) {
        auto_free char *key = mem_printf("/registry/core/configmaps/%s/c%04zu", ns, i);
        auto_free char *value =
            mem_printf("{\"kind\":\"ConfigMap\",\"apiVersion\":\"v1\",\"metadata\":"
                       "{\"name\":\"c%04zu\",\"namespace\":\"%s\"}}",
                       i, ns);
        struct store_op op = { STORE_CREATE, str_of(key), str_of(value), 0, false };
        store_commit(h->store, &op, 1, on_filled, &f);
    }
    harness_wait(h, &f.done);
}

struct question {
    struct answer a;
    bool done;
};

static void keep(char *out, size_t bytes, const struct http_headers *h, const char *name)
{
    struct str v = http_headers_get(h, name);

    snprintf(out, bytes, STR_FMT, STR_ARG(v));
}

static void on_answer(void *arg, int status, const struct http_headers *h, struct str body,
                      const struct err *e)
{
    struct question *q = arg;
    struct err ignored;

    q->done = true;
    if (e) {
        print_message("ask: %s\n", e->text);
        return;
    }
    q->a.code = status;
    keep(q->a.warning, sizeof q->a.warning, h, "warning");
    keep(q->a.type, sizeof q->a.type, h, "content-type");
    keep(q->a.encoding, sizeof q->a.encoding, h, "content-encoding");
    keep(q->a.vary, sizeof q->a.vary, h, "vary");
    keep(q->a.allow, sizeof q->a.allow, h, "allow");
    keep(q->a.retry_after, sizeof q->a.retry_after, h, "retry-after");
    keep(q->a.etag, sizeof q->a.etag, h, "etag");
    keep(q->a.location, sizeof q->a.location, h, "location");
    keep(q->a.cache_control, sizeof q->a.cache_control, h, "cache-control");
    assert_int_equal(buf_add_str(&q->a.body, body), 0);
    if (body.n && json_parse(&q->a.doc, body, &ignored))
        q->a.doc = NULL;
}

struct answer ask_with(struct harness *h, const char *who, const char *method, const char *target,
                       const struct http_header *extra, size_t n_extra, struct str body)
{
    struct question q = { .a.body = BUF(64 * 1024 * 1024) };
    auto_free char *auth = who ? mem_printf("Bearer %s", who) : mem_strdup("");
    struct http_header headers[9];
    size_t n = 0;

    if (who)
        headers[n++] = (struct http_header){ STR("Authorization"), str_of(auth) };
    for (size_t i = 0; i < n_extra && n < ARRAY_LEN(headers); i++)
        headers[n++] = extra[i];
    struct http_call_config c = { .method = method,
                                  .target = target,
                                  .headers = headers,
                                  .n_headers = n,
                                  .body = body,
                                  .timeout_ms = 20000 };
    http_fetch(h->client, &c, 64 * 1024 * 1024, on_answer, &q);
    harness_wait(h, &q.done);
    return q.a;
}

struct answer ask_as(struct harness *h, const char *who, const char *method, const char *target,
                     const char *content_type, const char *accept, const char *body)
{
    struct http_header headers[2];
    size_t n = 0;

    if (content_type)
        headers[n++] = (struct http_header){ STR("Content-Type"), str_of(content_type) };
    if (accept)
        headers[n++] = (struct http_header){ STR("Accept"), str_of(accept) };
    return ask_with(h, who, method, target, headers, n, str_of(body));
}

struct answer ask(struct harness *h, const char *method, const char *target, const char *body)
{
    const char *type =
        strcmp(method, "PATCH") == 0 ? "application/merge-patch+json" : "application/json";

    return ask_as(h, "admin+system:masters", method, target, type, NULL, body);
}

void answer_deinit(struct answer *a)
{
    json_decref(a->doc);
    buf_deinit(&a->body);
}

/* ---- watches ---- */

static size_t count(const struct lines *l)
{
    size_t n = 0;

    for (size_t i = 0; i < l->text.n; i++)
        n += l->text.p[i] == '\n';
    return n;
}

static void on_head(struct http_call *c, void *arg, int status, const struct http_headers *hd)
{
    struct lines *l = arg;

    (void)c;
    (void)hd;
    l->code = status;
    l->enough = l->want == 0;
}

static void on_body(struct http_call *c, void *arg, const char *p, size_t n)
{
    struct lines *l = arg;

    (void)c;
    assert_int_equal(buf_add(&l->text, p, n), 0);
    l->enough = count(l) >= l->want;
}

static void on_done(struct http_call *c, void *arg, const struct err *e)
{
    struct lines *l = arg;

    (void)c;
    l->ended = e ? e->code : 0;
    l->call = NULL;
    l->done = l->enough = true;
}

void lines_start(struct lines *l, struct harness *h, const char *who, const char *target,
                 const char *accept)
{
    static const struct http_call_events events = { .on_head = on_head,
                                                    .on_body = on_body,
                                                    .on_done = on_done };
    auto_free char *auth = mem_printf("Bearer %s", who);
    struct http_header headers[] = { { STR("Authorization"), str_of(auth) },
                                     { STR("Accept"), str_of(accept ? accept : "*/*") } };
    struct http_call_config c = {
        .method = "GET", .target = target, .headers = headers, .n_headers = 2
    };

    *l = (struct lines){ .h = h, .text = BUF(64 * 1024 * 1024) };
    http_call_start(&l->call, h->client, &c, &events, l);
    harness_wait(h, &l->enough); /* the head */
}

void lines_wait(struct lines *l, size_t n)
{
    l->want = n;
    l->enough = l->done || count(l) >= n;
    harness_wait(l->h, &l->enough);
    assert_true(count(l) >= n);
}

json_t *lines_at(struct lines *l, size_t i)
{
    struct str line, rest = buf_str(&l->text);
    json_t *doc = NULL;
    struct err e = { 0 };

    for (size_t k = 0; k <= i; k++)
        str_cut(rest, '\n', &line, &rest);
    if (json_parse(&doc, line, &e))
        fail_msg("line %zu: %s: " STR_FMT, i, e.text, STR_ARG(line));
    return doc;
}

void lines_stop(struct lines *l)
{
    if (l->call)
        http_call_cancel(l->call);
    harness_wait(l->h, &l->done);
    buf_deinit(&l->text);
}
