/*
 * Three keys, one per object: each is created when it is missing and patched when it is edited.
 * live_servers is the one place that knows who lives: with SQLite that is this server alone; with a
 * shared datastore the owner knows. Whoever else stands in the endpoints is dead and removed.
 */
#include "server/controller/kubernetes_service.h"

#include "base/core/log.h"
#include "base/core/mem.h"
#include "base/data/json.h"
#include "base/kube/metadata.h"
#include "server/controller/controller.h"
#include "server/schema/validate_check.h"

#include <stdio.h>
#include <string.h>

#define SERVERS_MAX 64 /* of one cluster; K3s is run with up to nine */

/* ---- decisions ---- */

bool kubernetes_publishes(const char *ip, char *why, size_t n_bytes)
{
    auto_field_errors fe = { 0 };

    if (check_plain_ip(&fe, FIELD_AT(NULL, "ip"), ip))
        return true;
    snprintf(why, n_bytes, "%s", fe.v[0].detail);
    return false;
}

json_t *kubernetes_service_new(const struct kubernetes_want *w)
{
    return json_pack("{s:{s:s, s:s, s:{s:s, s:s}}, s:{s:s, s:[s], s:s, s:s, s:[{s:s, s:i, s:s, "
                     "s:i}]}}",
                     "metadata", "name", "kubernetes", "namespace", "default", "labels",
                     "component", "apiserver", "provider", "kubernetes", "spec", "clusterIP",
                     w->service_ip, "clusterIPs", w->service_ip, "type", "ClusterIP",
                     "sessionAffinity", "None", "ports", "name", "https", "port", 443, "protocol",
                     "TCP", "targetPort", (int)w->service_port);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Sorted, so that servers agree about the order. */
static size_t sorted(const char *out[SERVERS_MAX], const struct kubernetes_want *w)
{
    size_t n = MIN(w->n_ips, (size_t)SERVERS_MAX);

    for (size_t i = 0; i < n; i++)
        out[i] = w->ips[i];
    qsort(out, n, sizeof *out, by_text);
    return n;
}

json_t *kubernetes_endpoints_new(const struct kubernetes_want *w)
{
    json_t *addresses = json_array();
    const char *ips[SERVERS_MAX] = { NULL };
    size_t n = sorted(ips, w);

    for (size_t i = 0; i < n; i++)
        json_array_append_new(addresses, json_pack("{s:s}", "ip", ips[i]));
    return json_pack("{s:{s:s, s:s, s:{s:s}}, s:[{s:o, s:[{s:s, s:i, s:s}]}]}", "metadata", "name",
                     "kubernetes", "namespace", "default", "labels",
                     "endpointslice.kubernetes.io/skip-mirror", "true", "subsets", "addresses",
                     addresses, "ports", "name", "https", "port", (int)w->port, "protocol", "TCP");
}

static bool is_v6(const char *ip)
{
    return strchr(ip, ':') != NULL;
}

static bool any_v6(const char *const *ips, size_t n, bool v6)
{
    for (size_t i = 0; i < n; i++)
        if (is_v6(ips[i]) == v6)
            return true;
    return false;
}

json_t *kubernetes_slice_new(const struct kubernetes_want *w)
{
    json_t *endpoints = json_array();
    const char *ips[SERVERS_MAX] = { NULL };
    size_t n = sorted(ips, w);
    bool v6 = is_v6(w->service_ip);

    v6 = any_v6(ips, n, v6) ? v6 : !v6;
    for (size_t i = 0; i < n; i++)
        if (is_v6(ips[i]) == v6)
            json_array_append_new(endpoints, json_pack("{s:[s], s:{s:b}}", "addresses", ips[i],
                                                       "conditions", "ready", 1));
    return json_pack("{s:{s:s, s:s, s:{s:s}}, s:s, s:o, s:[{s:s, s:i, s:s}]}", "metadata", "name",
                     "kubernetes", "namespace", "default", "labels", "kubernetes.io/service-name",
                     "kubernetes", "addressType", v6 ? "IPv6" : "IPv4", "endpoints", endpoints,
                     "ports", "name", "https", "port", (int)w->port, "protocol", "TCP");
}

json_t *kubernetes_fix(const json_t *now, const json_t *want, const char *const *fields)
{
    json_auto_t *patch = controller_patch_of(now);
    json_t *labels = json_object(), *v;
    const char *key;

    json_object_foreach(json_at(want, "metadata.labels"), key,
                        v) if (strcmp(meta_label(now, key), json_string_value(v)) != 0)
        json_object_set(labels, key, v);
    bool wrong = json_object_size(labels) > 0;
    json_object_set_new(json_object_get(patch, "metadata"), "labels", labels);
    for (; *fields; fields++) {
        struct str outer, inner;
        json_t *wanted = json_at(want, *fields), *part;

        if (json_equal(json_at(now, *fields), wanted))
            continue;
        wrong = true;
        if (!str_cut(str_of(*fields), '.', &outer, &inner)) {
            json_object_set(patch, *fields, wanted);
            continue;
        }
        part = json_object_getn(patch, outer.p, outer.n);
        if (!part) {
            part = json_object();
            json_object_setn_new(patch, outer.p, outer.n, part);
        }
        json_object_setn(part, inner.p, inner.n, wanted);
    }
    return wrong ? STEAL(patch) : NULL;
}

bool kubernetes_slice_must_go(const json_t *now, const json_t *want)
{
    return strcmp(json_str_at(now, "addressType", ""), json_str_at(want, "addressType", "")) != 0;
}

/* ---- the controller ---- */

static const char *const service_fields[] = { "spec.ports", "spec.type", "spec.sessionAffinity",
                                              NULL };
static const char *const endpoints_fields[] = { "subsets", NULL };
static const char *const slice_fields[] = { "endpoints", "ports", NULL };

static const struct {
    const char *key;
    enum watched watch;
    struct local_ref ref;
    json_t *(*make)(const struct kubernetes_want *w);
    const char *const *fields;
} objects[] = {
    { "service",
      WATCH_SERVICE,
      { .resource = "services", .ns = "default", .name = "kubernetes" },
      kubernetes_service_new,
      service_fields },
    { "endpoints",
      WATCH_ENDPOINTS,
      { .resource = "endpoints", .ns = "default", .name = "kubernetes" },
      kubernetes_endpoints_new,
      endpoints_fields },
    { "slice",
      WATCH_SLICE,
      { .group = "discovery.k8s.io",
        .resource = "endpointslices",
        .ns = "default",
        .name = "kubernetes" },
      kubernetes_slice_new,
      slice_fields },
};

/* Those that can be told of. What cannot, no retry would mend: --advertise-address is another at
 * the next start only. */
static size_t live_servers(const struct controller *c, const char *ips[SERVERS_MAX])
{
    static struct log_limit limit = LOG_LIMIT(1, 3600000);
    const struct controllers_config *cfg = &c->env->config;
    size_t n = 1, n_good = 0;
    char why[160];

    ips[0] = cfg->advertise_ip;
    if (cfg->live_servers)
        n = cfg->live_servers(cfg->live_arg, ips, SERVERS_MAX);
    for (size_t i = 0; i < n; i++) {
        if (kubernetes_publishes(ips[i], why, sizeof why))
            ips[n_good++] = ips[i];
        else if (log_allowed(&limit))
            log_warn(
                "a server is not published: agents reach it only by the address that they were "
                "given; set --advertise-address",
                kv("address", ips[i]), kv("why", why));
    }
    return n_good;
}

void kubernetes_service_changed(struct controller *c)
{
    queue_add(c->queue, "endpoints");
    queue_add(c->queue, "slice");
}

static void start(struct controller *c)
{
    for (size_t i = 0; i < ARRAY_LEN(objects); i++)
        queue_add(c->queue, objects[i].key);
}

static void on_event(struct controller *c, enum watched w, enum local_event ev, const json_t *obj)
{
    (void)ev;
    (void)obj;
    for (size_t i = 0; i < ARRAY_LEN(objects); i++)
        if (objects[i].watch == w)
            queue_add(c->queue, objects[i].key);
}

static void check_address(const struct controller *c, const json_t *service)
{
    static struct log_limit limit = LOG_LIMIT(1, 600000);
    const char *ip = json_str_at(service, "spec.clusterIP", "");

    if (strcmp(ip, c->env->config.service_ip) != 0 && log_allowed(&limit))
        log_warn("the kubernetes Service has another address than the service CIDR's first; "
                 "delete it to have it made anew",
                 kv("address", ip), kv("expected", c->env->config.service_ip));
}

static void work(struct controller *c, struct queue_item *it)
{
    const struct controllers_config *cfg = &c->env->config;
    const char *ips[SERVERS_MAX] = { NULL };
    struct kubernetes_want w = { .service_ip = cfg->service_ip,
                                 .service_port = cfg->service_port,
                                 .ips = ips,
                                 .n_ips = live_servers(c, ips),
                                 .port = cfg->advertise_port };
    size_t i = 0;

    while (i < ARRAY_LEN(objects) - 1 && strcmp(objects[i].key, queue_key(it)) != 0)
        i++;
    if (!w.n_ips && objects[i].watch != WATCH_SERVICE) { /* what is there stays */
        queue_done(it, NULL);
        return;
    }
    const json_t *now = local_watch_get(c->env->watches[objects[i].watch], "default", "kubernetes");
    json_auto_t *want = objects[i].make(&w);

    if (!now) {
        local_create(cfg->api, &objects[i].ref, want, queue_done_local, it);
        return;
    }
    if (objects[i].watch == WATCH_SERVICE)
        check_address(c, now);
    if (objects[i].watch == WATCH_SLICE && kubernetes_slice_must_go(now, want)) {
        struct local_delete_opts o = { .grace_period_s = -1, .uid = meta_uid(now) };

        local_delete(cfg->api, &objects[i].ref, &o, queue_done_local, it);
        return; /* its event brings the create */
    }
    json_t *patch = kubernetes_fix(now, want, objects[i].fields);
    if (!patch) {
        queue_done(it, NULL);
        return;
    }
    log_info("repairing default/kubernetes", kv("object", objects[i].ref.resource));
    controller_patch(c, it, &objects[i].ref, patch);
}

const struct controller_ops kubernetes_service_controller = {
    .name = "kubernetes_service",
    .watches = WATCH_BIT(WATCH_SERVICE) | WATCH_BIT(WATCH_ENDPOINTS) | WATCH_BIT(WATCH_SLICE),
    .n_parallel = 3,
    .retry_max_ms = 10000,
    .start = start,
    .on_event = on_event,
    .work = work,
};
