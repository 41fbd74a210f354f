/*
 * mangle HOST:PORT CA CERT KEY N: N requests that are nearly right (test/lib/mangled.h) on a
 * server, over few connections of HTTP/1.1 and one of HTTP/2. Each has to be answered, and with
 * what the API answers: an object or a list, a Status whose code is the answer's, or plain text
 * where upstream has that. A 500 is a failure: nobody's bytes may be more than we understand.
 *
 * FAULT_SEED repeats a run. Prints what came, and the requests whose answers are wrong.
 */
#include "base/core/log.h"
#include "base/core/mem.h"
#include "base/data/json.h"
#include "base/data/yaml.h"
#include "base/http/client.h"
#include "base/io/loop.h"
#include "base/io/timer.h"
#include "test/lib/admin.h"
#include "test/lib/mangled.h"

#include <inttypes.h>
#include <stdio.h>

enum {
    AT_ONCE = 8,
    CALL_MS = 30 * 1000,
    STREAM_MS = 50, /* a watch is listened to for so long */
    ANSWER_MAX = 64 << 20,
    WRONG_MAX = 20,
};

struct mangle;
struct slot { /* one request under way */
    struct mangle *m;
    struct mangled request;
    struct http_call *call;
    struct timer timer;
    struct buf body;
    int code;
    char type[64];
    bool packed, listening;
};

struct mangle {
    uv_loop_t loop;
    struct tls_client_config *tls[2];
    struct http_endpoint *h1, *h2;
    struct fault_rand rand;
    struct mangled_seeds seeds;
    size_t n_left, n_open, n_wrong;
    size_t by_class[6]; /* of codes: 2xx, ... */
    struct slot slots[AT_ONCE];
};

/* ---- is this an answer? NULL: yes ---- */

static const char *wrong_document(const struct slot *s, const json_t *doc)
{
    const char *kind = json_str_at(doc, "kind", "");

    if (!json_is_object(doc))
        return "no object";
    if (s->code < 400) /* /version has no kind, nor has OpenAPI */
        return *kind || s->request.target.p == NULL || json_object_size(doc) ? NULL : "empty";
    if (strcmp(kind, "Status") != 0)
        return "an error that is no Status";
    if (json_i64_at(doc, "code", 0) != s->code)
        return "a Status of another code";
    if (strcmp(json_str_at(doc, "status", ""), "Failure") != 0 ||
        !*json_str_at(doc, "reason", "") || !*json_str_at(doc, "message", ""))
        return "a Status that says nothing";
    return NULL;
}

/* Upstream's answer to a field that the schema does not have, in server-side apply. */
static bool is_upstreams_500(const struct slot *s)
{
    return memmem(s->body.p, s->body.n, "failed to create typed patch object", 35) != NULL;
}

static const char *wrong_answer(const struct slot *s)
{
    json_auto_t *doc = NULL;
    struct str body = buf_str(&s->body);
    struct err e;

    if (s->code == 500 && is_upstreams_500(s))
        return NULL;
    if (s->code < 200 || s->code > 599 || s->code == 500)
        return "code";
    /* of what is packed or has no body (304, the 301 of an OpenAPI hash) the code is all */
    if (s->packed || s->code / 100 == 3 || strcmp(s->request.method, "HEAD") == 0)
        return NULL;
    if (s->listening) /* whole lines or frames came, or nothing yet */
        return s->code == 200 ? NULL : "a stream of errors";
    if (strcmp(s->type, "application/json") == 0)
        return json_parse(&doc, body, &e) ? "no JSON" : wrong_document(s, doc);
    if (strcmp(s->type, "application/yaml") == 0)
        return yaml_parse(&doc, body, &e) ? "no YAML" : wrong_document(s, doc);
    if (strncmp(s->type, "application/vnd.kubernetes.protobuf", 35) == 0)
        return strstr(s->type, "stream=watch") || str_starts(body, str_n("k8s\0", 4))
                   ? NULL
                   : "no protobuf";
    if (strncmp(s->type, "text/plain", 10) == 0 || strncmp(s->type, "application/", 12) == 0)
        return body.n ? NULL : "empty text"; /* health, metrics, OpenAPI; 404 page not found */
    return "type";
}

static void show(const struct slot *s, const char *why)
{
    const struct mangled *r = &s->request;

    if (++s->m->n_wrong > WRONG_MAX)
        return;
    printf("wrong: %s: %s %s (%s)\n  -> %d %s " STR_FMT "\n", why, r->method, buf_cstr(&r->target),
           s - s->m->slots < AT_ONCE / 2 ? "h1" : "h2", s->code, s->type,
           (int)MIN(s->body.n, (size_t)600), s->body.p);
    for (size_t i = 0; i < r->n_headers; i++)
        printf("  " STR_FMT ": " STR_FMT "\n", STR_ARG(r->headers[i].name),
               STR_ARG(r->headers[i].value));
    printf("  body: " STR_FMT "\n", (int)MIN(r->body.n, (size_t)1000), r->body.p);
}

/* ---- one request ---- */

static void slot_start(struct slot *s);

static void slot_next(struct slot *s)
{
    mangled_deinit(&s->request);
    buf_deinit(&s->body);
    timer_stop(&s->timer);
    if (s->m->n_left)
        slot_start(s);
    else if (--s->m->n_open == 0)
        uv_stop(&s->m->loop);
}

static void on_head(struct http_call *c, void *arg, int status, const struct http_headers *h)
{
    struct slot *s = arg;
    struct str type = http_headers_get(h, "content-type");

    (void)c;
    s->code = status;
    s->packed = http_headers_get(h, "content-encoding").n > 0;
    snprintf(s->type, sizeof s->type, STR_FMT, STR_ARG(type));
}

static void on_body(struct http_call *c, void *arg, const char *p, size_t n)
{
    struct slot *s = arg;

    (void)c;
    err_ignore(buf_add(&s->body, p, n)); /* cut: it will be no document then */
}

static void on_done(struct http_call *c, void *arg, const struct err *e)
{
    struct slot *s = arg;
    const char *why;

    (void)c;
    s->call = NULL;
    s->m->by_class[s->code / 100 < 6 ? s->code / 100 : 0]++;
    why = e && !(s->listening && e->code == ERR_CANCELED) ? e->text : wrong_answer(s);
    if (why)
        show(s, why);
    slot_next(s);
}

/* A watch with a wrong timeout goes on for an hour: we are not that patient. */
static void on_tired(void *arg)
{
    struct slot *s = arg;

    if (s->code == 200 && strstr(buf_cstr(&s->request.target), "watch")) {
        s->listening = true;
        http_call_cancel(s->call);
    } else if (!s->code) { /* it waits for its turn */
        timer_start_ms(&s->timer, STREAM_MS, on_tired, s);
    }
}

static void slot_start(struct slot *s)
{
    static const struct http_call_events events = { .on_head = on_head,
                                                    .on_body = on_body,
                                                    .on_done = on_done };
    struct mangle *m = s->m;
    struct http_call_config c = { .timeout_ms = CALL_MS };

    m->n_left--;
    s->code = 0;
    s->type[0] = '\0';
    s->packed = s->listening = false;
    s->body = BUF(ANSWER_MAX);
    mangled_init(&s->request, &m->rand, &m->seeds);
    c.method = s->request.method;
    c.target = buf_cstr(&s->request.target);
    c.headers = s->request.headers;
    c.n_headers = s->request.n_headers;
    c.body = buf_str(&s->request.body);
    timer_start_ms(&s->timer, STREAM_MS, on_tired, s);
    http_call_start(&s->call, s - m->slots < AT_ONCE / 2 ? m->h1 : m->h2, &c, &events, s);
}

/* ---- what the server gives ---- */

struct fetched {
    struct buf body;
    int code;
    bool done;
};

static void on_fetched(void *arg, int status, const struct http_headers *h, struct str body,
                       const struct err *e)
{
    struct fetched *f = arg;

    (void)h;
    f->done = true;
    f->code = e ? 0 : status;
    if (e)
        fprintf(stderr, "mangle: %s\n", e->text);
    else
        err_ignore(buf_add_str(&f->body, body));
}

static struct fetched fetch(struct mangle *m, const char *method, const char *target,
                            const char *accept, const char *body)
{
    struct fetched f = { .body = BUF(ANSWER_MAX) };
    struct http_header headers[] = { { STR("Accept"), str_of(accept) },
                                     { STR("Content-Type"), STR("application/json") } };
    struct http_call_config c = { .method = method,
                                  .target = target,
                                  .headers = headers,
                                  .n_headers = 2,
                                  .body = str_of(body),
                                  .timeout_ms = CALL_MS };

    http_fetch(m->h1, &c, ANSWER_MAX, on_fetched, &f);
    while (!f.done)
        uv_run(&m->loop, UV_RUN_ONCE);
    return f;
}

/* The namespace with two objects: one in protobuf and the token of a page are seeds. */
static void prepare(struct mangle *m, struct fetched *proto, char **token)
{
    static const char ns[] = "{\"metadata\":{\"name\":\"" MANGLED_NS "\"}}";
    json_auto_t *page = NULL;
    struct err e;

    for (int i = 0; i < 3; i++) {
        auto_free char *cm =
            mem_printf("{\"metadata\":{\"name\":\"seed%d\"},\"data\":{\"a\":\"b\"}}", i);
        struct fetched made =
            i ? fetch(m, "POST", "/api/v1/namespaces/" MANGLED_NS "/configmaps", "*/*", cm)
              : fetch(m, "POST", "/api/v1/namespaces", "*/*", ns);

        buf_deinit(&made.body);
    }
    *proto = fetch(m, "GET", "/api/v1/namespaces/" MANGLED_NS "/configmaps/seed1",
                   "application/vnd.kubernetes.protobuf", "");
    struct fetched list =
        fetch(m, "GET", "/api/v1/namespaces/" MANGLED_NS "/configmaps?limit=1", "*/*", "");
    if (proto->code != 200 || json_parse(&page, buf_str(&list.body), &e)) {
        fprintf(stderr, "mangle: the server does not answer\n");
        exit(2);
    }
    *token = mem_strdup(json_str_at(page, "metadata.continue", ""));
    buf_deinit(&list.body);
    m->seeds = (struct mangled_seeds){ buf_str(&proto->body), str_of(*token) };
}

static void open_endpoints(struct mangle *m, const char *authority)
{
    struct http_endpoint_config c = {
        .authority = authority, .tls = m->tls[0], .proto = HTTP_H1, .n_connections_max = AT_ONCE / 2
    };

    http_endpoint_new(&m->h1, &m->loop, &c);
    c.proto = HTTP_H2;
    c.tls = m->tls[1];
    c.n_connections_max = 1;
    http_endpoint_new(&m->h2, &m->loop, &c);
}

int main(int argc, char **argv)
{
    static struct mangle m;
    uint64_t seed = fault_seed();
    struct fetched proto, alive;
    char *token;

    if (argc != 6) {
        fprintf(stderr, "usage: mangle HOST:PORT CA CERT KEY N\n");
        return 2;
    }
    loop_ignore_sigpipe();
    log_level_min = LOG_LVL_ERROR;
    uv_loop_init(&m.loop);
    m.tls[0] = admin_tls(argv[2], argv[3], argv[4], NULL);
    m.tls[1] = admin_tls(argv[2], argv[3], argv[4], (const char *const[]){ "h2", NULL });
    open_endpoints(&m, argv[1]);
    m.rand.state = seed;
    printf("seed %" PRIu64 "\n", seed);
    prepare(&m, &proto, &token);

    m.n_left = strtoull(argv[5], NULL, 10);
    m.n_open = AT_ONCE;
    for (size_t i = 0; i < AT_ONCE; i++) {
        m.slots[i].m = &m;
        timer_init(&m.slots[i].timer, &m.loop);
        slot_start(&m.slots[i]);
    }
    uv_run(&m.loop, UV_RUN_DEFAULT);
    alive = fetch(&m, "GET", "/livez", "*/*", "");
    printf("mangle: 2xx %zu, 4xx %zu, 5xx %zu, none %zu; %zu wrong; /livez %d\n", m.by_class[2],
           m.by_class[4], m.by_class[5], m.by_class[0], m.n_wrong, alive.code);
    for (size_t i = 0; i < AT_ONCE; i++)
        timer_close(&m.slots[i].timer, NULL, NULL);
    http_endpoint_close(m.h1, NULL, NULL);
    http_endpoint_close(m.h2, NULL, NULL);
    uv_run(&m.loop, UV_RUN_DEFAULT);
    buf_deinit(&alive.body);
    buf_deinit(&proto.body);
    free(token);
    tls_client_config_free(m.tls[0]);
    tls_client_config_free(m.tls[1]);
    uv_loop_close(&m.loop);
    return m.n_wrong > 0 || alive.code != 200 || m.by_class[2] == 0 || m.by_class[4] == 0;
}
