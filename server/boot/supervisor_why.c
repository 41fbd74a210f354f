/* Why a node is away: who was refused, what agents report, and who asks
 * (docs/protocols/node-why.md). */
#include "base/core/mem.h"
#include "base/data/json.h"
#include "base/http/url.h"
#include "base/io/tls.h"
#include "base/kube/name.h"
#include "base/kube/node_report.h"
#include "server/boot/node_why.h"
#include "server/boot/supervisor_ask.h"

#include <stdio.h>

void supervisor_address_of(const struct http_req *r, char out[TCP_ADDR_TEXT_BYTES])
{
    struct sockaddr_storage addr;
    char *port;

    snprintf(out, TCP_ADDR_TEXT_BYTES, "an unknown address");
    if (!stream_peer_addr(http_req_stream(r), &addr))
        return;
    tcp_addr_text(out, (struct sockaddr *)&addr);
    port = strrchr(out, ':'); /* another one each time */
    if (port)
        *port = '\0';
}

void supervisor_note_refusal(struct supervisor *s, const struct http_req *r)
{
    const struct tls_peer *peer = stream_tls_peer(http_req_stream(r));
    const struct http_headers *h = http_req_headers(r);
    char address[TCP_ADDR_TEXT_BYTES];
    struct node_why_caller c = { .leaf_der = peer ? peer->leaf_der : STR(""),
                                 .name_header = http_headers_get(h, "k3s-node-name"),
                                 .authorization = http_headers_get(h, "authorization"),
                                 .address = address };

    supervisor_address_of(r, address);
    node_why_refused(s->c.why, &c);
}

static void on_report(struct http_req *r, void *arg, struct str body)
{
    struct ask *a = arg;
    struct node_report report;
    struct err e;

    (void)r;
    if (node_report_parse(&report, body, &e)) {
        ask_reply_status(a->req, status_of_err(&e));
        return;
    }
    node_why_report(a->s->c.why, a->id->node, &report);
    http_reply(a->req, 204, NULL, STR(""), NULL, 0);
}

void supervisor_run_report(struct ask *a)
{
    if (!a->id->node)
        ask_refuse(a, STATUS_FORBIDDEN, "only a node's client certificate may report, of itself");
    else if (!str_is(http_req_method(a->req), "POST"))
        ask_refuse(a, STATUS_METHOD_NOT_ALLOWED, "only POST is known here");
    else
        http_req_read_body(a->req, NODE_REPORT_MAX_BYTES, on_report);
}

static void on_told(void *arg, json_t *doc_take)
{
    struct ask *a = arg;
    json_auto_t *doc = doc_take;

    if (!ask_resume(a))
        return;
    if (!json_bool_at(doc, "known", true)) {
        ask_reply_status(a->req, status_new(STATUS_NOT_FOUND, "%s", json_str_at(doc, "line", "")));
        return;
    }
    auto_free char *text = json_text(doc);
    ask_reply_json(a, str_of(text));
}

void supervisor_run_why(struct ask *a)
{
    auto_buf node = BUF(NAME_SUBDOMAIN_MAX);
    int r = url_query_get(&node, http_req_query(a->req), "node");

    if (r != ERR_NOT_FOUND && (r || name_check_subdomain(buf_str(&node)))) {
        ask_refuse(a, STATUS_BAD_REQUEST, "node=... cannot name a node");
        return;
    }
    a->waiting = true;
    node_why_tell(a->s->c.why, r ? NULL : buf_cstr(&node), on_told, a);
}
