#include "server/boot/node_ask.h"

#include "base/core/mem.h"
#include "base/data/json.h"
#include "base/http/client.h"
#include "base/http/url.h"
#include "base/io/tcp.h"
#include "base/io/tls.h"
#include "base/pki/kubeconfig.h"

#include <stdio.h>

#define ASK_TIMEOUT_MS 30000 /* the server waits 10 s for a kubelet */
/* Every server's certificate of this cluster carries it, whatever address it is asked at. */
#define SERVER_NAME "kubernetes"

struct ask {
    uv_loop_t loop;
    char *host;
    uint16_t port;
    struct buf body;
    int status;
    struct err err;
    struct http_endpoint *ep;
};

static void dial_server(void *arg, uint64_t timeout_ms, http_dialed_fn done, void *done_arg)
{
    struct ask *a = arg;

    tcp_dial(NULL, &a->loop, a->host, a->port, timeout_ms, done, done_arg);
}

static void on_answer(void *arg, int status, const struct http_headers *h, struct str body,
                      const struct err *e)
{
    struct ask *a = arg;

    (void)h;
    a->status = status;
    if (e)
        a->err = *e;
    else if (buf_add_str(&a->body, body))
        err_set(&a->err, ERR_LIMIT, "the server's answer is too long");
    http_endpoint_close(a->ep, NULL, NULL);
}

static void exchange(struct ask *a, const struct tls_client_config *tls, const char *target)
{
    struct http_endpoint_config ec = { .authority = SERVER_NAME,
                                       .dial = dial_server,
                                       .dial_arg = a,
                                       .tls = tls,
                                       .proto = HTTP_H1,
                                       .no_keep_alive = true };
    struct http_call_config cc = { .method = "GET",
                                   .target = target,
                                   .timeout_ms = ASK_TIMEOUT_MS };

    uv_loop_init(&a->loop);
    http_endpoint_new(&a->ep, &a->loop, &ec);
    http_fetch(a->ep, &cc, NODE_ASK_MAX_BYTES, on_answer, a);
    uv_run(&a->loop, UV_RUN_DEFAULT);
    uv_loop_close(&a->loop);
}

static int ask_server(struct ask *a, const struct node_ask *q, const struct kubeconfig *k,
                      struct err *e)
{
    const char *server = q->server ? q->server : k->server_url;
    struct tls_client_options o = { .ca_pem = buf_str(&k->ca_pem),
                                    .cert_chain_pem = buf_str(&k->cert_pem),
                                    .key_pem = buf_str(&k->key_pem) };
    auto_buf target = BUF(1024);
    struct tls_client_config *tls;
    struct url url;

    if (url_parse(&url, str_of(server), e))
        return err_wrap(e, "server \"%s\"", server);
    if (!str_is(url.scheme, "https"))
        return err_set(e, ERR_INVALID, "server \"%s\": only https:// is possible", server);
    if (buf_adds(&target, "/v1-coracle/why") ||
        (q->node && url_query_add(&target, "node", str_of(q->node))))
        return err_set(e, ERR_LIMIT, "the node's name is too long");
    if (tls_client_config_new(&tls, &o, e))
        return err_wrap(e, "kubeconfig %s", q->kubeconfig);
    a->host = str_dup(url.host);
    a->port = url.port;
    exchange(a, tls, buf_cstr(&target));
    tls_client_config_free(tls);
    if (!a->err.code)
        return 0;
    *e = a->err;
    return err_wrap(e, "server %s", server);
}

/* The answer that is none. */
static int refused(int status, const json_t *doc, struct err *e)
{
    const char *message = json_str_at(doc, "message", "");

    if (status == 404 && strstr(message, "nobody of that name"))
        return err_set(e, ERR_NOT_FOUND, "%s", message);
    if (status == 404 || (status == 403 && strstr(message, "/v1-coracle/why") == NULL))
        return err_set(e, ERR_NOT_FOUND,
                       "the server does not know this question: it is a K3s, or an older Coracle");
    return err_set(e, status == 401 || status == 403 ? ERR_DENIED : ERR_PROTOCOL,
                   "the server answered %d: %s", status, message);
}

int node_ask(const struct node_ask *q, struct buf *out, struct err *e)
{
    struct ask a = { .body = BUF(NODE_ASK_MAX_BYTES) };
    struct kubeconfig k;
    json_auto_t *doc = NULL;
    struct err why;
    int r;

    if (kubeconfig_read(&k, q->kubeconfig, e))
        return (int)e->code;
    r = ask_server(&a, q, &k, e);
    if (!r && json_parse(&doc, buf_str(&a.body), &why) && a.status == 200)
        r = err_set(e, ERR_PROTOCOL, "the server's answer: %s", why.text);
    if (!r && a.status != 200)
        r = refused(a.status, doc, e);
    if (!r && (q->as_json ? json_write_indented(out, doc, 2) || buf_addc(out, '\n')
                          : node_ask_text(out, doc)))
        r = err_set(e, ERR_LIMIT, "the answer is too long");
    kubeconfig_deinit(&k);
    buf_deinit(&a.body);
    free(a.host);
    return r;
}

/* ---- text ---- */

static int event_text(struct buf *out, const json_t *ev)
{
    const char *until = json_str_at(ev, "until", "");
    long long times = json_i64_at(ev, "times", 1);
    char more[96] = "";

    if (times > 1 && *until)
        snprintf(more, sizeof more, " (%lld times, until %.40s)", times, until);
    else if (*until)
        snprintf(more, sizeof more, " (until %.40s)", until);
    else if (times > 1)
        snprintf(more, sizeof more, " (%lld times)", times);
    return buf_addf(out, "  %-20s  %-6s  %-4s  %-12s  %s%s\n", json_str_at(ev, "time", ""),
                    json_str_at(ev, "from", ""), json_bool_at(ev, "up", false) ? "up" : "down",
                    json_str_at(ev, "cause", ""), json_str_at(ev, "text", ""), more);
}

int node_ask_text(struct buf *out, const json_t *doc)
{
    const json_t *x;
    size_t i;

    if (json_at(doc, "nodes")) {
        json_array_foreach(json_object_get(doc, "nodes"), i, x)
        {
            if (buf_addf(out, "%s\n", json_str_at(x, "line", "")))
                return ERR_LIMIT;
        }
        return 0;
    }
    if (buf_addf(out, "%s\n", json_str_at(doc, "line", "")))
        return ERR_LIMIT;
    if (*json_str_at(doc, "advice", "") &&
        buf_addf(out, "what to do: %s\n", json_str_at(doc, "advice", "")))
        return ERR_LIMIT;
    json_array_foreach(json_object_get(doc, "transitions"), i, x)
    {
        if (event_text(out, x))
            return ERR_LIMIT;
    }
    return 0;
}
