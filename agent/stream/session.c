/*
 * Session: exec, attach and port-forward. The runtime runs a streaming server of its own on
 * loopback and says by which URL a session begins there; the same upgrade is asked of it, and from
 * then on the bytes of both connections are passed through as they are.
 *
 *   (checks) --> URL (CRI Exec, ...) --> DIAL (the upgrade asked there) --> PUMP --> gone
 *                  +------------------------+--> refused: its status and words, or ours
 *
 * What goes through is SPDY/3.1 or a websocket of the older channel protocols; websockets that only
 * speak what streaming servers do not are refused, and kubectl goes on with SPDY.
 *
 * Each of request, CRI call, endpoint and pump holds the session; it ends with the last of them.
 */
#include "agent/stream/port_impl.h"
#include "base/core/log.h"
#include "base/core/mem.h"
#include "base/http/client.h"
#include "base/http/url.h"
#include "base/io/pump.h"

#define DIAL_TIMEOUT_MS     10000
#define LEFTOVER_MAX_BYTES  (1024u * 1024)
#define REFUSAL_MAX_BYTES   4096
#define HEADERS_FORWARD_MAX 100

struct session {
    struct port_job job;
    unsigned n_holds;
    enum session_kind kind;
    struct http_req *req;      /* NULL once it is over */
    struct cri_call *cri_call; /* while it runs */
    struct http_endpoint *ep;  /* the runtime's streaming server, until closed */
    struct http_call *call;    /* the upgrade there, while it runs */
    struct pump *pump;         /* while it runs */
    bool canceled;
    struct str protocol; /* the Upgrade header; in the request */
    char *ws_protocols;  /* what may be offered on, for a websocket that names some */
    int refusal_status;  /* the streaming server's, 0: none yet */
    struct buf refusal;
};

static void let_go(struct session *s)
{
    if (--s->n_holds)
        return;
    free(s->ws_protocols);
    buf_deinit(&s->refusal);
    port_job_end(&s->job);
    free(s);
}

static const char *name_of(enum session_kind kind)
{
    return kind == SESSION_EXEC ? "exec" : kind == SESSION_ATTACH ? "attach" : "port-forward";
}

/* ---- the upgrade ---- */

/* RFC 9110 7.6.1, and what the client and server layers write themselves. */
static bool is_passed_on(struct str name)
{
    static const char *const not [] = { "connection",
                                        "keep-alive",
                                        "proxy-connection",
                                        "te",
                                        "trailer",
                                        "transfer-encoding",
                                        "upgrade",
                                        "host",
                                        "content-length",
                                        "authorization",
                                        "cookie",
                                        "expect",
                                        "date",
                                        "sec-websocket-protocol" };

    for (size_t i = 0; i < ARRAY_LEN(not ); i++)
        if (str_eq_nocase(name, str_of(not [i])))
            return false;
    return true;
}

static size_t copy_headers(struct http_header *out, const struct http_headers *in)
{
    size_t n = 0;

    for (size_t i = 0; i < in->n && n < HEADERS_FORWARD_MAX; i++)
        if (is_passed_on(in->v[i].name))
            out[n++] = in->v[i];
    return n;
}

static void on_pump_done(void *arg, const struct err *e)
{
    struct session *s = arg;

    log_debug("session ended", kv("kind", name_of(s->kind)), kv("err", e ? e->text : ""));
    s->pump = NULL;
    let_go(s);
}

/* The streaming server agreed: so do we, and join the two. */
static void join(struct session *s, struct http_call *call, const struct http_headers *h)
{
    struct http_header out[HEADERS_FORWARD_MAX + 3];
    size_t n = copy_headers(out, h);
    struct str ws = http_headers_get(h, "sec-websocket-protocol");
    auto_buf from_runtime = BUF(LEFTOVER_MAX_BYTES), from_peer = BUF(LEFTOVER_MAX_BYTES);
    struct stream *runtime = http_call_take_stream(call, &from_runtime), *peer;
    struct err e;

    out[n++] = (struct http_header){ STR("Connection"), STR("Upgrade") };
    out[n++] = (struct http_header){ STR("Upgrade"), http_headers_get(h, "upgrade") };
    if (ws.n)
        out[n++] = (struct http_header){ STR("Sec-WebSocket-Protocol"), ws };
    if (http_upgrade(s->req, 101, out, n, &peer, &from_peer, &e)) {
        stream_close(runtime);
        if (s->req)
            http_reply_abort(s->req);
        return;
    }
    s->n_holds++;
    s->pump =
        pump_start((struct pump_end){ peer, true, buf_str(&from_peer) },
                   (struct pump_end){ runtime, true, buf_str(&from_runtime) }, on_pump_done, s);
}

static void on_head(struct http_call *call, void *arg, int status, const struct http_headers *h)
{
    struct session *s = arg;

    if (status == 101 && s->req)
        join(s, call, h);
    else
        s->refusal_status = status;
}

static void on_body(struct http_call *call, void *arg, const char *p, size_t n)
{
    struct session *s = arg;

    (void)call;
    if (s->refusal_status && buf_add(&s->refusal, p, MIN(n, REFUSAL_MAX_BYTES - s->refusal.n)))
        return; /* cannot be: that is its maximum */
}

static void on_endpoint_closed(void *arg)
{
    struct session *s = arg;

    s->ep = NULL;
    let_go(s);
}

static void on_call_done(struct http_call *call, void *arg, const struct err *e)
{
    struct session *s = arg;

    (void)call;
    s->call = NULL;
    if (s->req && s->refusal_status)
        port_reply_text(s->req, s->refusal_status >= 400 ? s->refusal_status : 502, STR_FMT,
                        STR_ARG(str_trim(buf_str(&s->refusal))));
    else if (s->req)
        port_reply_text(s->req, 502, "the container runtime's streaming server: %s",
                        e ? e->text : "it closed");
    http_endpoint_close(s->ep, on_endpoint_closed, s);
}

static void dial(struct session *s, const char *text)
{
    static const struct http_call_events events = { .on_head = on_head,
                                                    .on_body = on_body,
                                                    .on_done = on_call_done };
    struct http_header out[HEADERS_FORWARD_MAX + 3];
    size_t n = copy_headers(out, http_req_headers(s->req));
    auto_buf authority = BUF(512);
    struct url u;
    struct err e;

    if (url_parse(&u, str_of(text), &e) || url_join_host_port(&authority, u.host, u.port)) {
        port_reply_text(s->req, 502, "the container runtime's streaming URL is not usable");
        return;
    }
    if (!str_is(u.scheme, "http")) {
        port_reply_text(s->req, 502,
                        "the container runtime's streaming server wants TLS, which is not "
                        "supported: turn it off in its configuration (enable_tls_streaming)");
        return;
    }
    struct http_endpoint_config ep = {
        .authority = buf_cstr(&authority),
        .proto = HTTP_H1,
        .no_keep_alive = true,
        .dial_timeout_ms = DIAL_TIMEOUT_MS,
        .n_connections_max = 1,
    };
    http_endpoint_new(&s->ep, port_loop(s->job.port), &ep);
    s->n_holds++;
    out[n++] = (struct http_header){ STR("Connection"), STR("Upgrade") };
    out[n++] = (struct http_header){ STR("Upgrade"), s->protocol };
    if (s->ws_protocols)
        out[n++] = (struct http_header){ STR("Sec-WebSocket-Protocol"), str_of(s->ws_protocols) };
    auto_free char *method = str_dup(http_req_method(s->req));
    auto_free char *target = str_dup(u.target);
    struct http_call_config cfg = {
        .method = method,
        .target = target,
        .headers = out,
        .n_headers = n,
        .upgrade = true,
    };
    http_call_start(&s->call, s->ep, &cfg, &events, s);
}

static void on_url(void *arg, const char *text, const struct err *e)
{
    struct session *s = arg;

    s->cri_call = NULL;
    if (!s->req)
        log_debug("session given up", kv("kind", name_of(s->kind)));
    else if (e)
        port_reply_err(s->req, e);
    else
        dial(s, text);
    let_go(s);
}

/* ---- the request ---- */

static void cancel(struct session *s)
{
    if (s->canceled)
        return;
    s->canceled = true;
    if (s->pump)
        pump_cancel(s->pump);
    else if (s->call)
        http_call_cancel(s->call);
    else if (s->cri_call)
        port_view(s->job.port).source->cancel(s->cri_call);
}

static void on_req_done(struct http_req *r, void *arg, const struct err *e)
{
    struct session *s = arg;

    (void)r;
    s->req = NULL;
    if (e) /* else it was answered, or upgraded this very moment */
        cancel(s);
    let_go(s);
}

static void stop(struct port_job *j)
{
    cancel(container_of(j, struct session, job));
}

static int find(struct node_view node, const struct session_path *path, struct session_ask *ask,
                const char **id, struct err *e)
{
    struct pods_container c;

    if (!node.pods)
        return err_set(e, ERR_NOT_FOUND, "pod does not exist");
    if (path->kind == SESSION_PORT_FORWARD)
        return node.source->sandbox(node.pods, path->ns, path->pod, path->uid, id, e);
    if (node.source->container(node.pods, path->ns, path->pod, path->uid, path->container, &c, e))
        return e->code;
    if (!c.running)
        return err_set(e, ERR_INVALID, "container \"%s\" in pod \"%s\" is not running",
                       path->container, path->pod);
    *id = c.container_id;
    if (path->kind == SESSION_ATTACH) { /* whether it has a terminal was decided at its start */
        ask->tty = c.tty;
        ask->err = ask->err && !c.tty;
    }
    return 0;
}

/* The upgrade that is asked for, as far as we can pass it on. False: answered. */
static bool check_upgrade(struct http_req *r, enum session_kind kind, char **ws_protocols)
{
    const struct http_headers *h = http_req_headers(r);
    struct str upgrade = http_headers_get(h, "upgrade");
    struct str offered = http_headers_get(h, "sec-websocket-protocol");
    auto_buf protocols = BUF(1024);

    if (!upgrade.n || !http_headers_has_token(h, "connection", "upgrade") || http_req_is_h2(r)) {
        port_reply_text(r, 400, "Upgrade request required");
        return false;
    }
    if (!str_eq_nocase(upgrade, STR("websocket")))
        return true;
    if (!offered.n)
        return true; /* the oldest form: channels without a name for it */
    if (!session_ws_protocols(&protocols, kind, offered)) {
        port_reply_text(r, 400,
                        "unable to upgrade: websocket subprotocol " STR_FMT
                        " is not supported for %s, SPDY/3.1 is",
                        STR_ARG(offered), name_of(kind));
        return false;
    }
    *ws_protocols = buf_take(&protocols);
    return true;
}

void session_serve(struct port *p, struct http_req *r, const struct session_path *path)
{
    static const struct http_req_events events = { .on_done = on_req_done };
    struct node_view node = port_view(p);
    auto_free char *ws_protocols = NULL;
    struct session_ask ask;
    struct session *s;
    const char *id;
    struct err e;

    if (!str_is(http_req_method(r), "POST") && !str_is(http_req_method(r), "GET")) {
        port_reply_text(r, 405, "405: Method Not Allowed");
        return;
    }
    if (session_ask_parse(&ask, path->kind, http_req_query(r), &e)) {
        port_reply_err(r, &e);
        return;
    }
    if (find(node, path, &ask, &id, &e)) {
        port_reply_err(r, &e);
        session_ask_deinit(&ask);
        return;
    }
    if (!check_upgrade(r, path->kind, &ws_protocols)) {
        session_ask_deinit(&ask);
        return;
    }
    s = mem_alloc(sizeof *s);
    s->kind = path->kind;
    s->protocol = http_headers_get(http_req_headers(r), "upgrade");
    s->ws_protocols = STEAL(ws_protocols);
    s->refusal = BUF(REFUSAL_MAX_BYTES);
    s->req = r;
    s->n_holds = 2; /* the request and the CRI call */
    port_job_begin(p, &s->job, stop);
    http_req_accept(r, &events, s);
    err_set(&e, ERR_AGAIN, "container runtime is not running");
    if (!node.runtime || node.source->url(node.runtime, id, &ask, &s->cri_call, on_url, s, &e)) {
        port_reply_err(r, &e);
        let_go(s);
    }
    session_ask_deinit(&ask);
}
