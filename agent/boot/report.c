#include "agent/boot/report.h"

#include "base/core/clock.h"
#include "base/core/mem.h"
#include "base/data/json.h"
#include "base/data/time.h"
#include "base/http/client.h"
#include "base/http/server.h"
#include "base/io/file.h"
#include "base/io/unix.h"

#include <stdio.h>
#include <sys/stat.h>

#define ASK_TIMEOUT_MS 5000
#define ANSWER_MAX     (1024 * 1024)

/* ---- the serving end ---- */

struct report {
    struct listener *listener;
    struct http_server *http;
    json_t *(*make)(void *arg, enum agent_report what);
    void *arg;
    void (*done)(void *arg);
    void *done_arg;
};

static void on_accept(void *arg, struct stream *s)
{
    struct report *r = arg;

    http_server_serve(r->http, s);
}

static void on_request(struct http_req *req, void *arg)
{
    struct report *r = arg;
    bool is_lb = str_is(http_req_path(req), "/lb");
    json_auto_t *doc = NULL;
    auto_free char *text = NULL;

    if (!is_lb && !str_is(http_req_path(req), "/status")) {
        http_reply(req, 404, "text/plain", STR("no such page\n"), NULL, 0);
        return;
    }
    doc = r->make(r->arg, is_lb ? AGENT_REPORT_LB : AGENT_REPORT_STATUS);
    text = json_text(doc);
    http_reply(req, 200, "application/json", str_of(text), NULL, 0);
}

int report_start(struct report **out, uv_loop_t *loop, const char *socket_path,
                 json_t *(*make)(void *arg, enum agent_report what), void *arg, struct err *e)
{
    struct report *r = mem_alloc(sizeof *r);
    struct http_server_config c = { .on_request = on_request, .arg = r, .n_connections_max = 16 };

    r->make = make;
    r->arg = arg;
    if (unix_listen(&r->listener, loop, socket_path, 0600, on_accept, r, e)) {
        free(r);
        return err_wrap(e, "status socket");
    }
    http_server_new(&r->http, loop, &c);
    *out = r;
    return 0;
}

static void on_http_closed(void *arg)
{
    struct report *r = arg;
    void (*done)(void *) = r->done;
    void *done_arg = r->done_arg;

    free(r);
    if (done)
        done(done_arg);
}

static void on_listener_closed(void *arg)
{
    struct report *r = arg;

    http_server_close(r->http, on_http_closed, r);
}

void report_close(struct report *r, void (*done)(void *arg), void *arg)
{
    r->done = done;
    r->done_arg = arg;
    listener_close(r->listener, on_listener_closed, r);
}

/* ---- the asking end ---- */

struct ask {
    uv_loop_t *loop;
    const char *path;
    struct buf *body;
    struct err err;
    struct http_endpoint *ep;
};

static void dial_socket(void *arg, uint64_t timeout_ms, http_dialed_fn done, void *done_arg)
{
    struct ask *a = arg;

    unix_dial(a->loop, a->path, timeout_ms, done, done_arg);
}

static void on_answer(void *arg, int status, const struct http_headers *h, struct str body,
                      const struct err *e)
{
    struct ask *a = arg;

    (void)h;
    if (e)
        a->err = *e;
    else if (status != 200)
        err_set(&a->err, ERR_PROTOCOL, "the agent answered %d", status);
    else if (buf_add_str(a->body, body))
        err_set(&a->err, ERR_LIMIT, "the agent's answer is too long");
    http_endpoint_close(a->ep, NULL, NULL);
}

static int fetch(const char *path, const char *target, struct buf *body, struct err *e)
{
    uv_loop_t loop;
    struct ask a = { .loop = &loop, .path = path, .body = body };
    struct http_endpoint_config ec = { .authority = "agent",
                                       .dial = dial_socket,
                                       .dial_arg = &a,
                                       .proto = HTTP_H1,
                                       .no_keep_alive = true };
    struct http_call_config cc = { .method = "GET",
                                   .target = target,
                                   .timeout_ms = ASK_TIMEOUT_MS };

    uv_loop_init(&loop);
    http_endpoint_new(&a.ep, &loop, &ec);
    http_fetch(a.ep, &cc, ANSWER_MAX, on_answer, &a);
    uv_run(&loop, UV_RUN_DEFAULT);
    uv_loop_close(&loop);
    if (a.err.code)
        *e = a.err;
    return (int)a.err.code;
}

int agent_report(const char *data_dir, enum agent_report what, bool as_json, struct buf *out,
                 struct err *e)
{
    auto_free char *path = mem_printf("%s/agent/" REPORT_SOCKET, data_dir);
    auto_free char *cert = mem_printf("%s/agent/client-kubelet.crt", data_dir);
    auto_buf body = BUF(ANSWER_MAX);
    json_auto_t *doc = NULL;
    struct err why;

    if (fetch(path, what == AGENT_REPORT_LB ? "/lb" : "/status", &body, &why)) {
        bool was_here = file_exists(cert);
        return err_set(e, ERR_NOT_FOUND, "no agent answers at %s: %s (%s)", path,
                       file_exists(path) ? why.text : "it does not run, or has another --data-dir",
                       was_here ? "this machine has joined a cluster before"
                                : "this machine has not joined a cluster");
    }
    if (json_parse(&doc, buf_str(&body), e))
        return err_wrap(e, "the agent's answer");
    if (as_json ? json_write_indented(out, doc, 2) || buf_addc(out, '\n')
                : report_text(out, what, doc))
        return err_set(e, ERR_LIMIT, "the agent's answer is too long");
    return 0;
}

/* ---- text ---- */

static int add_ago(struct buf *out, const char *when)
{
    int64_t us;

    if (!when || !time_parse(&us, str_of(when)))
        return buf_adds(out, "never");
    int64_t s = (clock_wall_us() - us) / 1000000;
    if (s < 0)
        return buf_addf(out, "%s", when);
    if (s < 120)
        return buf_addf(out, "%lld s ago", (long long)s);
    if (s < 7200)
        return buf_addf(out, "%lld min ago", (long long)s / 60);
    return buf_addf(out, "%s", when);
}

static int runtime_line(struct buf *out, const json_t *d)
{
    const char *version = json_str_at(d, "runtime.version", "");
    const char *why = json_str_at(d, "runtime.why", "");

    if (json_bool_at(d, "runtime.ready", false))
        why = "";
    return buf_addf(out, "  runtime       %s%s%s\n", version, *version && *why ? ": " : "", why);
}

static int status_text(struct buf *out, const json_t *d)
{
    const json_t *t;
    size_t i;
    int r = buf_addf(out, "Node %s: %s\n  server        %s\n", json_str_at(d, "node", "?"),
                     json_str_at(d, "state", "?"), json_str_at(d, "server", "?"));

    if (!r && *json_str_at(d, "cause", ""))
        r = buf_addf(out, "  cause         %s: %s\n", json_str_at(d, "cause", ""),
                     json_str_at(d, "why", ""));
    if (!r && *json_str_at(d, "advice", ""))
        r = buf_addf(out, "  what to do    %s\n", json_str_at(d, "advice", ""));
    json_array_foreach(json_object_get(d, "tunnels"), i, t)
    {
        r = r ? r
              : buf_addf(out, "  tunnel        %s %s", json_str_at(t, "address", "?"),
                         json_str_at(t, "state", "?"));
        if (!r && *json_str_at(t, "error", ""))
            r = buf_addf(out, " (%s: %s)", json_str_at(t, "failure", ""),
                         json_str_at(t, "error", ""));
        r = r ? r : buf_addc(out, '\n');
    }
    if (!r && json_at(d, "leaseRenewed")) {
        r = buf_adds(out, "  lease         renewed ");
        r = r ? r : add_ago(out, json_str_at(d, "leaseRenewed", NULL));
        r = r ? r : buf_addc(out, '\n');
    }
    if (!r)
        r = runtime_line(out, d);
    if (!r && json_at(d, "pods"))
        r = buf_addf(out, "  pods          %lld\n", (long long)json_i64_at(d, "pods", 0));
    if (!r && json_at(d, "certificates.renewAt"))
        r = buf_addf(out, "  certificates  until %s, renewed at %s\n",
                     json_str_at(d, "certificates.notAfter", ""),
                     json_str_at(d, "certificates.renewAt", ""));
    return r;
}

static void duration_text(char out[32], int64_t s)
{
    if (s < 120)
        snprintf(out, 32, "%llds", (long long)s);
    else if (s < 7200)
        snprintf(out, 32, "%lldm", (long long)s / 60);
    else if (s < 48 * 3600)
        snprintf(out, 32, "%lldh", (long long)s / 3600);
    else
        snprintf(out, 32, "%lldd", (long long)s / 86400);
}

static void bytes_text(char out[32], int64_t n)
{
    static const char units[] = "BKMGT";
    double v = (double)n;
    size_t u = 0;

    while (v >= 1000 && u + 2 < sizeof units) {
        v /= 1000;
        u++;
    }
    snprintf(out, 32, u ? "%.1f%c" : "%.0f%c", v, units[u]);
}

static int lb_text(struct buf *out, const json_t *d)
{
    const json_t *s;
    size_t i;
    int r = buf_addf(out, "%s on 127.0.0.1:%lld\n", json_str_at(d, "name", ""),
                     (long long)json_i64_at(d, "port", 0));

    if (!r && json_at(d, "proxy"))
        r = buf_addf(out, "through the proxy %s\n", json_str_at(d, "proxy", ""));
    r = r ? r
          : buf_addf(out, "%-28s %-11s %6s %6s %7s %7s %8s  %s\n", "SERVER", "STATE", "SINCE",
                     "CONNS", "UP", "DOWN", "RTT", "LAST ERROR");
    json_array_foreach(json_object_get(d, "servers"), i, s)
    {
        char rtt[32] = "-", since[32], up[32], down[32];
        int64_t us = json_i64_at(s, "rttMicroseconds", 0);
        if (us)
            snprintf(rtt, sizeof rtt, "%.1f ms", (double)us / 1000);
        duration_text(since, json_i64_at(s, "inStateSeconds", 0));
        bytes_text(up, json_i64_at(s, "bytesUp", 0));
        bytes_text(down, json_i64_at(s, "bytesDown", 0));
        r = r ? r
              : buf_addf(out, "%-28s %-11s %6s %6lld %7s %7s %8s  %s%s\n",
                         json_str_at(s, "address", ""), json_str_at(s, "state", ""), since,
                         (long long)json_i64_at(s, "connections", 0), up, down, rtt,
                         json_str_at(s, "lastError", ""),
                         json_bool_at(s, "default", false) ? " (--server)" : "");
    }
    if (!r && json_object_get(d, "api"))
        r = lb_text(out, json_object_get(d, "api"));
    return r;
}

int report_text(struct buf *out, enum agent_report what, const json_t *doc)
{
    return what == AGENT_REPORT_LB ? lb_text(out, doc) : status_text(out, doc);
}
