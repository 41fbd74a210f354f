/*
 * The agent's account of itself: the documents behind `agent status` and `agent lb status`, and its
 * part of /metrics.
 */
#include "agent/boot/agent_int.h"
#include "base/core/clock.h"
#include "base/core/mem.h"
#include "base/data/json.h"
#include "base/data/time.h"

static const char *state_text(const struct agent *a)
{
    if (a->cause != CAUSE_NONE)
        return a->node ? "joined, but the server is out of reach" : "not joined yet";
    if (!a->node)
        return "joining";
    switch (node_state(a->node)) {
    case NODE_REGISTERING:
        return "joined, registering the node";
    case NODE_GONE:
        return "deleted from the cluster";
    case NODE_RUNNING:
        break;
    }
    if (!runtime_is_ready(a->runtime))
        return "NotReady: the container runtime is down";
    return servers_n_connected(a->servers) ? "Ready" : "Ready, without a tunnel";
}

static json_t *tunnels_json(const struct agent *a)
{
    static const char *const states[] = { [TUNNEL_CLIENT_CONNECTING] = "connecting",
                                          [TUNNEL_CLIENT_CONNECTED] = "connected",
                                          [TUNNEL_CLIENT_WAITING] = "waiting" };
    struct tunnel_client_status st[TUNNEL_SERVERS_MAX];
    size_t n = servers_status(a->servers, st, ARRAY_LEN(st));
    json_t *list = json_array();

    for (size_t i = 0; i < n; i++) {
        char since[TIME_TEXT_BYTES];
        time_text_s(since, st[i].since_unix_s);
        json_array_append_new(list,
                              json_pack("{s:s, s:s, s:s, s:s, s:s, s:I, s:I}", "address",
                                        st[i].address, "state", states[st[i].state], "failure",
                                        tunnel_failure_name(st[i].failure), "error", st[i].error,
                                        "since", since, "streams", (json_int_t)st[i].n_streams,
                                        "rttMilliseconds", (json_int_t)st[i].rtt_ms));
    }
    return list;
}

static json_t *status_json(const struct agent *a)
{
    const char *why = a->why;
    const char *cause = cause_name(a->cause);
    json_t *d = json_object();
    char text[TIME_TEXT_BYTES];

    if (a->cause == CAUSE_NONE && a->node && *node_last_error(a->node)) {
        cause = "node";
        why = node_last_error(a->node);
    }
    json_object_set_new(d, "node", json_string(a->node_name));
    json_object_set_new(d, "state", json_string(state_text(a)));
    json_object_set_new(d, "ready", json_boolean(a->is_ready && a->cause == CAUSE_NONE));
    json_object_set_new(d, "server", json_str_of(str_of(a->o->server)));
    json_object_set_new(d, "join", json_string(a->join ? join_state_name(a->join) : ""));
    json_object_set_new(d, "cause", json_string(cause));
    json_object_set_new(d, "why", json_str_of(str_of(why)));
    json_object_set_new(d, "advice", json_string(cause_advice(a->cause)));
    time_text_s(text, a->since_unix_s);
    json_object_set_new(d, "since", json_string(text));
    if (a->servers)
        json_object_set_new(d, "tunnels", tunnels_json(a));
    if (a->node && node_lease_renewed_unix_s(a->node)) {
        time_text_s(text, node_lease_renewed_unix_s(a->node));
        json_object_set_new(d, "leaseRenewed", json_string(text));
    }
    json_object_set_new(d, "runtime",
                        json_pack("{s:b, s:s, s:s}", "ready", runtime_is_ready(a->runtime),
                                  "version", runtime_version(a->runtime), "why",
                                  runtime_why(a->runtime)));
    if (a->pods)
        json_object_set_new(d, "pods", json_integer((json_int_t)pods_n(a->pods)));
    if (a->node) {
        char until[TIME_TEXT_BYTES];
        time_text_s(until, a->credentials.pairs[CRED_KUBELET].not_after_unix_s);
        time_text_s(text, credentials_renew_at_unix_s(&a->credentials));
        json_object_set_new(d, "certificates",
                            json_pack("{s:s, s:s}", "notAfter", until, "renewAt", text));
    }
    return d;
}

static json_t *server_json(const struct balancer_server_status *st)
{
    char since[TIME_TEXT_BYTES];
    json_t *d;

    time_text_s(since, clock_wall_s() - (int64_t)(st->in_state_ms / 1000));
    d = json_pack("{s:s, s:s, s:b, s:b, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:s}", "address",
                  st->address, "state", lb_state_name(st->state), "default", (int)st->is_default,
                  "reached", (int)st->reached, "since", since, "inStateSeconds",
                  (json_int_t)(st->in_state_ms / 1000), "connections", (json_int_t)st->n_conns,
                  "dials", (json_int_t)st->n_dials, "failures", (json_int_t)st->n_failures,
                  "bytesUp", (json_int_t)st->n_up, "bytesDown", (json_int_t)st->n_down,
                  "rttMicroseconds", (json_int_t)st->rtt_us, "lastError", st->last_error);
    if (*st->last_error)
        json_object_set_new(d, "lastErrorSecondsAgo",
                            json_integer((json_int_t)(st->last_error_ago_ms / 1000)));
    return d;
}

static json_t *balancer_json(const struct balancer *b)
{
    struct balancer_server_status st[LB_SERVERS_MAX + 1];
    size_t n = balancer_status(b, st, ARRAY_LEN(st));
    json_t *list = json_array();

    for (size_t i = 0; i < n; i++)
        json_array_append_new(list, server_json(&st[i]));
    return json_pack("{s:s, s:i, s:o}", "name", balancer_name(b), "port", (int)balancer_port(b),
                     "servers", list);
}

static json_t *lb_json(const struct agent *a)
{
    json_t *d = balancer_json(a->balancer);

    if (a->proxy.kind != LB_PROXY_NONE)
        json_object_set_new(d, "proxy", json_string(a->proxy.address));
    if (a->api_balancer)
        json_object_set_new(d, "api", balancer_json(a->api_balancer));
    return d;
}

json_t *account_make(void *arg, enum agent_report what)
{
    const struct agent *a = arg;

    return what == AGENT_REPORT_LB ? lb_json(a) : status_json(a);
}

void account_add_metrics(void *arg, struct buf *out)
{
    const struct agent *a = arg;
    const struct balancer *balancers[] = { a->balancer, a->api_balancer };
    int r = lb_metrics_add(out, balancers, a->api_balancer ? 2 : 1);

    if (a->servers)
        r |= buf_addf(out, "coracle_tunnels_connected %zu\n", servers_n_connected(a->servers));
    err_ignore(r); /* a page that is too long is cut by its owner */
}
