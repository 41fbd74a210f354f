#include "server/controller/controller.h"

#include "base/core/log.h"
#include "base/core/mem.h"
#include "base/core/rand.h"
#include "base/data/json.h"
#include "base/data/time.h"
#include "base/kube/metadata.h"
#include "server/api/api.h"

#define EVENT_NAME_MAX 200 /* of the object's name in the event's; 17 bytes follow */

static const struct controller_ops *const all[] = {
    &kubernetes_service_controller, /* first: agents wait for what it publishes */
    &node_lifecycle_controller,      &node_ipam_controller,      &cloud_node_controller,
    &node_role_controller,           &node_companion_controller, &namespace_defaults_controller,
    &namespace_lifecycle_controller, &pod_gc_controller,         &event_ttl_controller,
    &token_cleaner_controller,       &disruption_controller,     &gc_controller,
    &system_priorities_controller,   &api_services_controller,   &quota_controller,
    &crd_names_controller,           &crd_finalizer_controller,  &flow_keeper_controller,
};

static const struct {
    struct local_ref ref;
    struct local_list_opts opts;
    bool no_cache;
} kinds[WATCHES_N] = {
    [WATCH_NODES] = { .ref = { .resource = "nodes" } },
    [WATCH_LEASES] = { .ref = { .group = "coordination.k8s.io",
                                .resource = "leases",
                                .ns = "kube-node-lease" },
                       .no_cache = true },
    [WATCH_PODS] = { .ref = { .resource = "pods" }, .no_cache = true },
    [WATCH_NAMESPACES] = { .ref = { .resource = "namespaces" } },
    [WATCH_SECRETS] = { .ref = { .resource = "secrets", .ns = "kube-system" }, .no_cache = true },
    [WATCH_EVENTS] = { .ref = { .resource = "events" }, .no_cache = true },
    [WATCH_SERVICE] = { .ref = { .resource = "services", .ns = "default" },
                        .opts = { .field_selector = "metadata.name=kubernetes" } },
    [WATCH_ENDPOINTS] = { .ref = { .resource = "endpoints", .ns = "default" },
                          .opts = { .field_selector = "metadata.name=kubernetes" } },
    [WATCH_SLICE] = { .ref = { .group = "discovery.k8s.io",
                               .resource = "endpointslices",
                               .ns = "default" },
                      .opts = { .field_selector = "metadata.name=kubernetes" } },
    [WATCH_CA_MAPS] = { .ref = { .resource = "configmaps" },
                        .opts = { .field_selector = "metadata.name=kube-root-ca.crt" } },
    [WATCH_ACCOUNTS] = { .ref = { .resource = "serviceaccounts" },
                         .opts = { .field_selector = "metadata.name=default" } },
    [WATCH_QUOTAS] = { .ref = { .resource = "resourcequotas" } },
    [WATCH_BUDGETS] = { .ref = { .group = "policy", .resource = "poddisruptionbudgets" } },
    [WATCH_API_SERVICES] = { .ref = { .group = "apiregistration.k8s.io",
                                      .resource = "apiservices" } },
    [WATCH_CRDS] = { .ref = { .group = "apiextensions.k8s.io",
                              .resource = "customresourcedefinitions" } },
    [WATCH_PRIORITIES] = { .ref = { .group = "scheduling.k8s.io", .resource = "priorityclasses" },
                           .no_cache = true },
    [WATCH_FLOWS] = { .ref = { .group = "flowcontrol.apiserver.k8s.io",
                               .resource = "flowschemas" } },
    [WATCH_LEVELS] = { .ref = { .group = "flowcontrol.apiserver.k8s.io",
                                .resource = "prioritylevelconfigurations" } },
};

struct watching {
    struct controllers *cs;
    enum watched what;
};

struct controllers {
    struct controller_env env;
    struct watching watching[WATCHES_N];
    unsigned synced; /* WATCH_BITs */
    struct controller *list[ARRAY_LEN(all)];
    bool started[ARRAY_LEN(all)];
    size_t n, n_open;
    void (*done)(void *arg);
    void *done_arg;
};

/* ---- what controllers share ---- */

const json_t *controller_node(const struct controller *c, const char *name)
{
    return local_watch_get(c->env->watches[WATCH_NODES], "", name);
}

uint64_t controller_now_ms(const struct controller *c)
{
    return uv_now(c->env->config.loop);
}

json_t *controller_patch_of(const json_t *obj)
{
    return json_pack("{s:{s:s}}", "metadata", "resourceVersion", meta_str(obj, "resourceVersion"));
}

void controller_patch(struct controller *c, struct queue_item *it, const struct local_ref *r,
                      json_t *patch_take)
{
    json_auto_t *patch = patch_take;

    local_patch(c->env->config.api, r, LOCAL_PATCH_MERGE, patch, queue_done_local, it);
}

static void on_event_written(void *arg, int code, const json_t *obj, const struct err *e)
{
    (void)arg;
    (void)obj;
    if (e)
        log_debug("event of a controller not written", kv("code", code), kv("err", e->text));
}

json_t *controller_reference(const json_t *obj)
{
    json_t *ref = json_object();

    json_object_set(ref, "apiVersion", json_object_get(obj, "apiVersion"));
    json_object_set(ref, "kind", json_object_get(obj, "kind"));
    for (size_t i = 0; i < 4; i++) {
        static const char *const members[] = { "namespace", "name", "uid", "resourceVersion" };

        json_object_set(ref, members[i],
                        json_object_get(json_object_get(obj, "metadata"), members[i]));
    }
    return ref;
}

void controller_event(const struct controller *c, const json_t *involved, const char *type,
                      const char *reason, const char *message)
{
    const char *home = json_str_at(involved, "namespace", "default");
    struct local_ref ref = { .resource = "events", .ns = home };
    char suffix[17], now[TIME_TEXT_BYTES];
    auto_free char *component = mem_printf("%s-controller", c->ops->name);

    rand_hex(suffix, 8);
    time_now_s(now);
    auto_free char *name =
        mem_printf("%.*s.%s", EVENT_NAME_MAX, json_str_at(involved, "name", ""), suffix);
    json_auto_t *ev = json_pack(
        "{s:{s:s, s:s}, s:O, s:s, s:s, s:s, s:{s:s}, s:s, s:s, s:s, s:s, s:i}", "metadata", "name",
        name, "namespace", home, "involvedObject", involved, "type", type, "reason", reason,
        "message", message, "source", "component", component, "reportingComponent", component,
        "reportingInstance", component, "firstTimestamp", now, "lastTimestamp", now, "count", 1);
    local_create(c->env->config.api, &ref, ev, on_event_written, NULL);
}

/* ---- events ---- */

static void on_event(void *arg, enum local_event ev, const json_t *obj)
{
    struct watching *w = arg;
    struct controllers *cs = w->cs;

    for (size_t i = 0; i < cs->n; i++)
        if (cs->list[i]->ops->watches & WATCH_BIT(w->what))
            cs->list[i]->ops->on_event(cs->list[i], w->what, ev, obj);
}

static void start_ready(struct controllers *cs)
{
    for (size_t i = 0; i < cs->n; i++) {
        struct controller *c = cs->list[i];

        if (cs->started[i] || (c->ops->watches & ~cs->synced))
            continue;
        cs->started[i] = true;
        if (c->ops->start)
            c->ops->start(c);
        if (!c->ops->stop)
            queue_release(c->queue);
    }
}

static void on_synced(void *arg)
{
    struct watching *w = arg;

    w->cs->synced |= WATCH_BIT(w->what);
    start_ready(w->cs);
}

void controllers_node_news(struct controllers *cs, const char *node)
{
    for (size_t i = 0; i < cs->n; i++)
        if (cs->list[i]->ops == &node_lifecycle_controller)
            queue_add(cs->list[i]->queue, node);
}

/* ---- life ---- */

static void work(void *arg, struct queue_item *it)
{
    struct controller *c = arg;

    c->ops->work(c, it);
}

static void add(struct controllers *cs, const struct controller_ops *ops)
{
    struct controller *c =
        ops->make ? ops->make(&cs->env.config) : mem_alloc(sizeof(struct controller));
    struct queue_config qc = { .loop = cs->env.config.loop,
                               .name = ops->name,
                               .n_parallel = ops->n_parallel,
                               .retry_max_ms = ops->retry_max_ms,
                               .held = true,
                               .work = work,
                               .arg = c };

    c->ops = ops;
    c->env = &cs->env;
    queue_new(&c->queue, &qc);
    cs->list[cs->n++] = c;
}

static const char *copy(const char *s)
{
    return mem_strdup(s ? s : "");
}

void controllers_start(struct controllers **out, const struct controllers_config *config)
{
    struct controllers *cs = mem_alloc(sizeof *cs);
    struct controllers_config *c = &cs->env.config;
    unsigned wanted = 0;

    *c = *config;
    c->advertise_ip = copy(config->advertise_ip);
    c->cluster_cidr = copy(config->cluster_cidr);
    c->service_ip = copy(config->service_ip);
    c->cluster_dns = copy(config->cluster_dns);
    c->cluster_domain = copy(config->cluster_domain);
    c->server_ca_pem.p = str_dup(config->server_ca_pem);
    c->own_node = copy(config->own_node);
    c->node_grace_ms = config->node_grace_ms ? config->node_grace_ms : 40000;
    c->pod_quarantine_ms = config->pod_quarantine_ms ? config->pod_quarantine_ms : 40000;
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        if (all[i]->is_wanted && !all[i]->is_wanted(c))
            continue;
        if (c->part != CONTROLLERS_ALL && all[i]->on_each_server != (c->part == CONTROLLERS_EACH))
            continue;
        add(cs, all[i]);
        wanted |= all[i]->watches;
    }
    /* the kubernetes Service's first: their lists are short, and agents wait */
    static const enum watched order[] = {
        WATCH_SERVICE, WATCH_ENDPOINTS,  WATCH_SLICE,        WATCH_NODES,    WATCH_LEASES,
        WATCH_SECRETS, WATCH_NAMESPACES, WATCH_CA_MAPS,      WATCH_ACCOUNTS, WATCH_BUDGETS,
        WATCH_PODS,    WATCH_EVENTS,     WATCH_API_SERVICES, WATCH_CRDS,     WATCH_PRIORITIES,
        WATCH_QUOTAS,  WATCH_LEVELS,     WATCH_FLOWS,
    };
    _Static_assert(ARRAY_LEN(order) == WATCHES_N, "each is started");
    for (size_t i = 0; i < WATCHES_N; i++) {
        enum watched w = order[i];
        struct local_watch_events events = { .on_event = on_event,
                                             .on_synced = on_synced,
                                             .no_cache = kinds[w].no_cache };

        cs->watching[w] = (struct watching){ cs, w };
        if (wanted & WATCH_BIT(w))
            local_watch_start(&cs->env.watches[w], c->api, &kinds[w].ref, &kinds[w].opts, &events,
                              &cs->watching[w]);
    }
    *out = cs;
    start_ready(cs); /* those that watch nothing here */
}

void controllers_servers_changed(struct controllers *cs)
{
    for (size_t i = 0; i < cs->n; i++)
        if (cs->list[i]->ops == &kubernetes_service_controller)
            kubernetes_service_changed(cs->list[i]);
}

static void on_queue_closed(void *arg)
{
    struct controllers *cs = arg;
    struct controllers_config *c = &cs->env.config;
    const char *texts[] = { c->advertise_ip,   c->cluster_cidr,    c->service_ip, c->cluster_dns,
                            c->cluster_domain, c->server_ca_pem.p, c->own_node };
    void (*done)(void *) = cs->done;
    void *done_arg = cs->done_arg;

    if (--cs->n_open)
        return;
    for (size_t i = 0; i < cs->n; i++) {
        if (cs->list[i]->ops->free)
            cs->list[i]->ops->free(cs->list[i]);
        else
            free(cs->list[i]);
    }
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        free((char *)texts[i]);
    free(cs);
    if (done)
        done(done_arg);
}

void controllers_close(struct controllers *cs, void (*done)(void *arg), void *arg)
{
    cs->done = done;
    cs->done_arg = arg;
    for (size_t i = 0; i < WATCHES_N; i++) {
        if (cs->env.watches[i])
            local_watch_stop(cs->env.watches[i]);
        cs->env.watches[i] = NULL;
    }
    for (size_t i = 0; i < cs->n; i++)
        if (cs->started[i] && cs->list[i]->ops->stop)
            cs->list[i]->ops->stop(cs->list[i]);
    cs->n_open = cs->n;
    for (size_t i = 0, n = cs->n; i < n; i++)
        queue_close(cs->list[i]->queue, on_queue_closed, cs);
}
