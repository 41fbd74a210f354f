#include "test/unit/server/boot/harness.h"

#include "base/core/clock.h"
#include "base/core/log.h"
#include "base/data/base64.h"
#include "base/io/file.h"
#include "base/io/tcp.h"
#include "base/io/tls.h"

#include <stdio.h>
#include <stdlib.h>

void harness_wait(struct harness *h, const bool *flag)
{
    uint64_t until = clock_mono_ms() + 30000;

    while (!*flag && clock_mono_ms() < until)
        uv_run(&h->loop, UV_RUN_ONCE);
    assert_true(*flag);
}

void harness_turns(struct harness *h, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        uv_run(&h->loop, UV_RUN_NOWAIT);
        uv_sleep(1);
    }
}

static void raise_flag(void *arg)
{
    ((struct harness *)arg)->flag = true;
}

static void on_started(void *arg, const struct err *e)
{
    assert_null(e);
    raise_flag(arg);
}

static void on_request(struct http_req *r, void *arg)
{
    struct harness *h = arg;

    if (!supervisor_handle(h->supervisor, r))
        api_handle(h->api, r);
}

static void on_accept(void *arg, struct stream *s)
{
    struct harness *h = arg;

    http_server_serve(h->http, tls_server_wrap(h->tls, s));
}

static void open_ca(struct harness *h)
{
    static const char *const ips[] = { "127.0.0.1" };
    auto_free char *kubeconfig = mem_printf("%s/k3s.yaml", h->dir);
    struct ca_options o = { .data_dir = h->dir,
                            .node_name = OWN_NODE,
                            .node_ips = ips,
                            .n_node_ips = 1,
                            .token = SERVER_PASSWORD,
                            .agent_token = AGENT_PASSWORD,
                            .kubeconfig_default = kubeconfig };
    struct err e = { 0 };

    if (ca_open(&h->ca, &o, &e))
        fail_msg("%s", e.text);
}

void harness_open(struct harness *h, enum tunnel_egress_mode mode)
{
    struct egress_config ec = { .own_node = OWN_NODE,
                                .mode = mode,
                                .on_outcome = node_why_on_outcome };
    struct tunnel_server_config tc = { .on_node = node_why_on_tunnel };
    struct http_server_config hc = { .on_request = on_request, .arg = h };
    struct err e = { 0 };

    log_level_min = LOG_LVL_ERROR; /* refusals are warnings */
    memset(h, 0, sizeof *h);
    uv_loop_init(&h->loop);
    snprintf(h->dir, sizeof h->dir, "/tmp/boot-test-XXXXXX");
    assert_non_null(mkdtemp(h->dir));
    snprintf(h->db, sizeof h->db, "%s/state.db", h->dir);
    open_ca(h);
    assert_int_equal(store_sqlite_open(&h->store, &h->loop, h->db, &e), 0);
    authn_new(&h->authn);
    authn_set_passwd(h->authn, ca_passwd(h->ca));
    auto_free char *client_ca = str_dup(ca_client_ca(h->ca));
    struct node_why_config wc = { .loop = &h->loop,
                                  .own_node = OWN_NODE,
                                  .disabled = mode == TUNNEL_EGRESS_DISABLED,
                                  .client_ca_pem = client_ca };
    node_why_new(&h->why, &wc);
    tc.arg = ec.outcome_arg = h->why;
    tunnel_server_new(&h->tunnels, &h->loop, &tc);
    ec.loop = &h->loop;
    ec.tunnels = h->tunnels;
    egress_new(&h->egress, &ec);
    struct tls_client_options kubelet = { .ca_pem = ca_cacerts(h->ca),
                                          .cert_chain_pem =
                                              ca_client_cert(h->ca, CA_CLIENT_API_SERVER),
                                          .key_pem = ca_client_key(h->ca, CA_CLIENT_API_SERVER) };
    assert_int_equal(tls_client_config_new(&h->kubelet_tls, &kubelet, &e), 0);
    struct node_why_ways ways = { h->tunnels, h->kubelet_tls, egress_dial, h->egress };
    node_why_set_ways(h->why, &ways);
    struct api_config ac = { .loop = &h->loop,
                             .store = h->store,
                             .authn = h->authn,
                             .service_cidrs = { "10.43.0.0/16" },
                             .version = "test",
                             .advertise_host_port = "127.0.0.1:6443",
                             .egress = { egress_dial, egress_dial_address, h->egress, node_why_on_outcome, h->why },
                             .kubelet_tls = h->kubelet_tls };
    assert_int_equal(api_new(&h->api, &ac, &e), 0);
    struct supervisor_config sc = { .loop = &h->loop,
                                    .ca = h->ca,
                                    .authn = h->authn,
                                    .api = h->api,
                                    .tunnels = h->tunnels,
                                    .egress = h->egress,
                                    .why = h->why,
                                    .config_doc = CONFIG_DOC };
    supervisor_new(&h->supervisor, &sc);
    http_server_new(&h->http, &h->loop, &hc);
    assert_int_equal(tls_server_config_new(&h->tls, ca_listener_cert(h->ca), ca_listener_key(h->ca),
                                           ca_client_ca(h->ca), NULL, &e),
                     0);
    assert_int_equal(tcp_listen(&h->listener, &h->loop, "127.0.0.1", 0, on_accept, h, &e), 0);
    h->port = listener_port(h->listener);
    api_start(h->api, on_started, h);
    harness_wait(h, &h->flag);
    bootstrap_tokens_new(&h->bootstrap, h->api);
    authn_add(h->authn, bootstrap_tokens_check, h->bootstrap);
    egress_start(h->egress, h->api);
    node_why_start(h->why, h->api);
    while (!api_is_informed(h->api)) /* from here on a change is heard with its answer */
        uv_run(&h->loop, UV_RUN_ONCE);
}

void harness_start_supervisor(struct harness *h)
{
    supervisor_start(h->supervisor);
}

void harness_stop_dials(struct harness *h)
{
    egress_stop(h->egress);
    tunnel_server_stop(h->tunnels);
}

/* The order of server.c. */
void harness_close(struct harness *h)
{
    struct err e;

    listener_close(h->listener, NULL, NULL);
    h->flag = false;
    supervisor_stop(h->supervisor, raise_flag, h);
    harness_wait(h, &h->flag);
    harness_stop_dials(h);
    h->flag = false;
    node_why_stop(h->why, raise_flag, h);
    harness_wait(h, &h->flag);
    bootstrap_tokens_free(h->bootstrap);
    h->flag = false;
    api_close(h->api, raise_flag, h);
    harness_wait(h, &h->flag);
    h->flag = false;
    http_server_close(h->http, raise_flag, h);
    harness_wait(h, &h->flag);
    h->flag = false;
    egress_close(h->egress, raise_flag, h);
    harness_wait(h, &h->flag);
    h->flag = false;
    supervisor_close(h->supervisor, raise_flag, h);
    harness_wait(h, &h->flag);
    h->flag = false;
    tunnel_server_close(h->tunnels, raise_flag, h);
    harness_wait(h, &h->flag);
    node_why_free(h->why);
    tls_client_config_free(h->kubelet_tls);
    h->flag = false;
    store_close(h->store, raise_flag, h);
    harness_wait(h, &h->flag);
    uv_run(&h->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&h->loop), 0);
    tls_server_config_free(h->tls);
    authn_free(h->authn);
    ca_free(h->ca);
    assert_int_equal(file_remove_tree(h->dir, &e), 0);
}

/* ---- asking over the port ---- */

char *basic(const char *user, const char *password)
{
    auto_free char *plain = mem_printf("%s:%s", user, password);
    auto_buf text = BUF(4096);

    assert_int_equal(buf_adds(&text, "Basic "), 0);
    assert_int_equal(base64_add(&text, str_of(plain)), 0);
    return buf_take(&text);
}

struct http_endpoint *endpoint_of(struct harness *h, const struct caller *who,
                                  struct tls_client_config **tls_out)
{
    struct tls_client_options o = { .ca_pem = ca_cacerts(h->ca),
                                    .cert_chain_pem = str_of(who->cert_pem),
                                    .key_pem = str_of(who->key_pem) };
    auto_free char *authority = mem_printf("127.0.0.1:%u", h->port);
    struct http_endpoint_config ec = {
        .authority = authority, .proto = HTTP_H1, .no_keep_alive = true, .n_connections_max = 64
    };
    struct http_endpoint *ep;
    struct err e = { 0 };

    if (tls_client_config_new(tls_out, &o, &e))
        fail_msg("%s", e.text);
    ec.tls = *tls_out;
    http_endpoint_new(&ep, &h->loop, &ec);
    return ep;
}

void endpoint_gone(struct harness *h, struct http_endpoint *ep, struct tls_client_config *tls)
{
    h->flag = false;
    http_endpoint_close(ep, raise_flag, h);
    harness_wait(h, &h->flag);
    tls_client_config_free(tls);
}

struct question {
    struct answer a;
    bool done;
};

static void copy(char *out, size_t n, struct str s)
{
    snprintf(out, n, STR_FMT, STR_ARG(s));
}

static void on_answer(void *arg, int status, const struct http_headers *hd, struct str body,
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
    copy(q->a.retry_after, sizeof q->a.retry_after, http_headers_get(hd, "retry-after"));
    copy(q->a.content_type, sizeof q->a.content_type, http_headers_get(hd, "content-type"));
    q->a.closes = http_headers_has_token(hd, "connection", "close");
    assert_int_equal(buf_add_str(&q->a.body, body), 0);
    if (body.n && json_parse(&q->a.doc, body, &ignored))
        q->a.doc = NULL;
}

struct answer ask(struct harness *h, const struct caller *who, const char *method,
                  const char *target, const struct http_header *headers, size_t n_headers,
                  struct str body)
{
    struct question q = { .a.body = BUF(1 << 20) };
    struct tls_client_config *tls;
    struct http_endpoint *ep = endpoint_of(h, who, &tls);
    struct http_header all[8];
    size_t n = 0;

    if (who->authorization)
        all[n++] = (struct http_header){ STR("Authorization"), str_of(who->authorization) };
    for (size_t i = 0; i < n_headers; i++)
        all[n++] = headers[i];
    struct http_call_config c = { .method = method,
                                  .target = target,
                                  .headers = all,
                                  .n_headers = n,
                                  .body = body,
                                  .timeout_ms = 20000 };
    http_fetch(ep, &c, 1 << 20, on_answer, &q);
    harness_wait(h, &q.done);
    endpoint_gone(h, ep, tls);
    return q.a;
}

void answer_deinit(struct answer *a)
{
    buf_deinit(&a->body);
    json_decref(a->doc);
}

/* ---- asking from inside ---- */

struct inside {
    bool done;
    int code;
    json_t *doc;
};

static void on_inside(void *arg, int code, const json_t *obj, const struct err *e)
{
    struct inside *in = arg;

    in->done = true;
    in->code = code;
    in->doc = e ? NULL : json_deep_copy(obj);
    if (e && code != 404)
        print_message("inside: %d %s\n", code, e->text);
}

int create(struct harness *h, const char *resource, const char *ns, const char *text)
{
    struct local_ref ref = { .resource = resource, .ns = ns };
    struct inside in = { 0 };
    json_auto_t *obj = NULL;
    struct err e = { 0 };

    if (json_parse(&obj, str_of(text), &e))
        fail_msg("%s: %s", e.text, text);
    local_create(h->api, &ref, obj, on_inside, &in);
    harness_wait(h, &in.done);
    json_decref(in.doc);
    return in.code;
}

void patch_status(struct harness *h, const char *resource, const char *ns, const char *name,
                  const char *text)
{
    struct local_ref ref = {
        .resource = resource, .ns = ns, .name = name, .subresource = "status"
    };
    struct inside in = { 0 };
    json_auto_t *obj = NULL;
    struct err e = { 0 };

    if (json_parse(&obj, str_of(text), &e))
        fail_msg("%s: %s", e.text, text);
    local_patch(h->api, &ref, LOCAL_PATCH_MERGE, obj, on_inside, &in);
    harness_wait(h, &in.done);
    json_decref(in.doc);
    assert_int_equal(in.code, 200);
}

json_t *get(struct harness *h, const char *resource, const char *ns, const char *name)
{
    struct local_ref ref = { .resource = resource, .ns = ns, .name = name };
    struct inside in = { 0 };

    local_get(h->api, &ref, on_inside, &in);
    harness_wait(h, &in.done);
    return in.doc;
}

json_t *list(struct harness *h, const char *resource, const char *ns)
{
    struct local_ref ref = { .resource = resource, .ns = ns };
    struct local_list_opts o = { 0 };
    struct inside in = { 0 };

    local_list(h->api, &ref, &o, on_inside, &in);
    harness_wait(h, &in.done);
    return in.doc;
}

void delete (struct harness *h, const char *resource, const char *ns, const char *name)
{
    struct local_ref ref = { .resource = resource, .ns = ns, .name = name };
    struct local_delete_opts o = { .grace_period_s = 0 };
    struct inside in = { 0 };

    local_delete(h->api, &ref, &o, on_inside, &in);
    harness_wait(h, &in.done);
    json_decref(in.doc);
    assert_int_equal(in.code, 200);
}

void node_cert(struct harness *h, const char *node, char **cert_pem, char **key_pem)
{
    AUTO(key) struct key *key = NULL;
    auto_buf cert = BUF(CA_NODE_PEM_MAX_BYTES), pem = BUF_SECRET(KEY_PEM_MAX_BYTES);
    struct err e = { 0 };

    if (key_generate(&key, KEY_P256, &e) || ca_issue_client_kubelet(h->ca, node, key, &cert, &e) ||
        key_to_pem(key, &pem, &e))
        fail_msg("%s", e.text);
    *cert_pem = buf_take(&cert);
    *key_pem = buf_take(&pem);
}

void stranger_cert(const char *node, char **cert, char **key)
{
    struct harness other = { 0 };
    static const char *const ips[] = { "127.0.0.1" };
    char dir[64] = "/tmp/boot-test-XXXXXX";
    assert_non_null(mkdtemp(dir));
    auto_free char *kubeconfig = mem_printf("%s/k", dir);
    auto_free char *cmd = mem_printf("rm -rf %s", dir);
    struct ca_options o = { .data_dir = dir,
                            .node_name = "x",
                            .node_ips = ips,
                            .n_node_ips = 1,
                            .kubeconfig_default = kubeconfig };
    struct err e = { 0 };

    if (ca_open(&other.ca, &o, &e))
        fail_msg("%s", e.text);
    node_cert(&other, node, cert, key);
    ca_free(other.ca);
    assert_int_equal(system(cmd), 0);
}
