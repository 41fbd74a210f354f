/*
 * Certificates of agents: the four paths that issue them.
 *
 *   head --> BODY (a CSR, or none) --> PASSWORD (only kubelet certificates) --> answer
 */
#include "base/core/log.h"
#include "base/core/mem.h"
#include "base/kube/name.h"
#include "base/pki/csr.h"
#include "base/pki/key.h"
#include "server/api/local.h"
#include "server/boot/node_password.h"
#include "server/boot/node_why.h"
#include "server/boot/supervisor_ask.h"
#include "server/ca/ca.h"

#include <ctype.h>

static int issue(struct ask *a, struct buf *pem, struct err *e)
{
    struct ca *ca = a->s->c.ca;
    char ips[CA_NODE_IPS_MAX][46];
    const char *list[CA_NODE_IPS_MAX];
    size_t n = 0;

    if (a->route->cert == CERT_PROXY)
        return ca_issue_kube_proxy(ca, a->pub, pem, e);
    if (a->route->cert == CERT_CONTROLLER)
        return ca_issue_k3s_controller(ca, a->pub, pem, e);
    if (a->route->cert == CERT_KUBELET)
        return ca_issue_client_kubelet(ca, a->node, a->pub, pem, e);
    if (ca_parse_ips(http_headers_get(http_req_headers(a->req), "k3s-node-ip"), ips, &n, e)) {
        e->code = ERR_IO; /* K3s answers 500 to an unreadable k3s-Node-IP */
        return (int)e->code;
    }
    for (size_t i = 0; i < n; i++)
        list[i] = ips[i];
    return ca_issue_serving_kubelet(ca, a->node, list, n, a->pub, pem, e);
}

static void answer_cert(struct ask *a)
{
    auto_buf pem = BUF_SECRET(CA_NODE_PEM_MAX_BYTES); /* without a CSR a key is in it */
    struct err e;

    if (issue(a, &pem, &e)) {
        ask_reply_status(a->req, status_of_err(&e));
        return;
    }
    log_debug("certificate issued", kv("path", a->route->path), kv("node", a->node),
              kv("csr", a->pub != NULL));
    ask_reply_text(a, buf_str(&pem));
}

static void on_password(void *arg, const struct err *e)
{
    struct ask *a = arg;

    if (!ask_resume(a))
        return;
    if (!e && a->returning)
        log_info("a node came back after its certificate had expired", kv("node", a->node));
    if (!e) {
        answer_cert(a);
    } else if (e->code == ERR_DENIED) {
        char address[TCP_ADDR_TEXT_BYTES];
        supervisor_address_of(a->req, address);
        node_why_password(a->s->c.why, a->node, address);
        ask_refuse(a, STATUS_FORBIDDEN, e->text);
    } else if (e->code == ERR_NOT_FOUND) {
        ask_refuse(
            a, STATUS_UNAUTHORIZED,
            "the certificate has expired and this cluster has no password of the node any more: "
            "it needs a token");
    } else {
        ask_refuse(a, STATUS_SERVICE_UNAVAILABLE, e->text);
    }
}

/* Rule 6: a node identity counts only while its Node exists; the agent then shows its token again.
 */
static void on_own_node(void *arg, int code, const json_t *obj, const struct err *e)
{
    struct ask *a = arg;

    (void)code;
    (void)obj;
    if (!ask_resume(a))
        return;
    if (e) {
        ask_refuse(a, e->code == ERR_NOT_FOUND ? STATUS_UNAUTHORIZED : STATUS_SERVICE_UNAVAILABLE,
                   e->code == ERR_NOT_FOUND ? "the node of this certificate does not exist any more"
                                            : "the node cannot be looked up now");
        return;
    }
    struct str password = http_headers_get(http_req_headers(a->req), "k3s-node-password");
    a->waiting = true;
    node_passwords_check(a->s->passwords, a->node, password, !a->returning, on_password, a);
}

/* The node headers (spec 3): who it says it is, and whether it may. */
static void check_node(struct ask *a)
{
    const struct http_headers *h = http_req_headers(a->req);
    struct str name = http_headers_get(h, "k3s-node-name");
    struct str password = http_headers_get(h, "k3s-node-password");

    if (!name.n || !password.n) {
        ask_refuse(a, STATUS_BAD_REQUEST,
                   "the headers k3s-Node-Name and k3s-Node-Password are needed");
        return;
    }
    if (name.n >= sizeof a->node || password.n > NODE_PASSWORD_MAX_BYTES) {
        ask_refuse(a, STATUS_BAD_REQUEST, "k3s-Node-Name or k3s-Node-Password is too long");
        return;
    }
    for (size_t i = 0; i < name.n; i++)
        a->node[i] = (char)tolower((unsigned char)name.p[i]);
    /* It becomes part of a store key, and JSON. */
    if (name_check_subdomain(str_of(a->node)) || strlen(a->node) != name.n) {
        ask_refuse(a, STATUS_BAD_REQUEST, "k3s-Node-Name cannot name a node");
        return;
    }
    if (a->id->node && strcmp(a->id->node, a->node) != 0) {
        ask_refuse(a, STATUS_BAD_REQUEST,
                   "k3s-Node-Name is not the node of the client certificate");
        return;
    }
    if (!a->s->passwords) { /* nothing can be verified yet: closed */
        ask_refuse(a, STATUS_SERVICE_UNAVAILABLE, "the server is starting");
        return;
    }
    a->waiting = true;
    if (a->id->node) {
        struct local_ref ref = { .resource = "nodes", .name = a->node };
        local_get(a->s->c.api, &ref, on_own_node, a);
    } else {
        node_passwords_check(a->s->passwords, a->node, password, true, on_password, a);
    }
}

static void on_csr(struct http_req *r, void *arg, struct str body)
{
    struct ask *a = arg;
    struct err e;

    (void)r;
    if (body.n && csr_parse(&a->pub, body, &e)) {
        ask_reply_status(a->req, status_new(STATUS_BAD_REQUEST, "certificate request: %s", e.text));
        return;
    }
    if (a->returning && !a->pub) /* it must not get the key that old agents share */
        ask_refuse(a, STATUS_BAD_REQUEST, "a node that comes back must send a certificate request");
    else if (a->route->cert == CERT_SERVING_KUBELET || a->route->cert == CERT_KUBELET)
        check_node(a);
    else
        answer_cert(a);
}

void supervisor_run_cert(struct ask *a)
{
    struct str method = http_req_method(a->req);

    if (!str_is(method, "GET") && !str_is(method, "POST")) {
        ask_refuse(a, STATUS_METHOD_NOT_ALLOWED, "only GET and POST are known here");
        return;
    }
    http_req_read_body(a->req, CSR_MAX_BYTES, on_csr);
}
