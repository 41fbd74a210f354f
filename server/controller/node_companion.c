/*
 * When a Node is deleted its companions go at once: the next to show its name sets a new password.
 * Only the very objects that were known at that moment go (by uid), so a node that joins again
 * right then keeps what it brings. Orphans that nobody saw become so (a crash between) go after
 * COMPANION_ORPHAN_MS, counted by this server's clock: creation times may come from a clock that
 * was wrong.
 */
#include "server/controller/node_companion.h"

#include "base/core/log.h"
#include "base/core/map.h"
#include "base/core/mem.h"
#include "base/data/json.h"
#include "base/kube/metadata.h"
#include "server/controller/controller.h"

#include <stdio.h>

enum companion_verdict companion_judge(const struct companion_facts *f)
{
    if (f->doomed)
        return COMPANION_DELETE;
    if (f->has_node)
        return f->owned || !f->wants_owner ? COMPANION_KEEP : COMPANION_OWN;
    return f->orphan_ms >= COMPANION_ORPHAN_MS ? COMPANION_DELETE : COMPANION_WAIT;
}

enum kind { KIND_PASSWORD, KIND_LEASE, KINDS_N };
static const struct {
    const char *group, *resource, *ns, *suffix;
    bool wants_owner;
} kinds[KINDS_N] = {
    [KIND_PASSWORD] = { "", "secrets", "kube-system", ".node-password.k3s", true },
    [KIND_LEASE] = { "coordination.k8s.io", "leases", "kube-node-lease", "", false },
};

struct companion { /* one object that exists */
    char uid[40];
    char owner_uid[40]; /* of the Node that its ownerReference names; "" */
    bool doomed;
    bool orphan;
    uint64_t orphan_since_ms;
};

struct companions {
    struct controller c;
    struct map *known[KINDS_N]; /* node -> struct companion * */
};

/* Keys are "<kind digit><node>". */
static void look(struct companions *cs, enum kind k, const char *node)
{
    auto_free char *key = mem_printf("%d%s", (int)k, node);

    queue_add(cs->c.queue, key);
}

static void on_node(struct companions *cs, enum local_event ev, const json_t *node)
{
    const char *name = meta_name(node), *uid = meta_uid(node);

    for (enum kind k = 0; k < KINDS_N; k++) {
        struct companion *m = map_get(cs->known[k], str_of(name));

        if (!m)
            continue;
        if (ev == LOCAL_DELETED && (!*m->owner_uid || !*uid || strcmp(m->owner_uid, uid) == 0))
            m->doomed = true;
        /* nothing to learn from the heartbeats of a node whose companions are its own */
        if (ev == LOCAL_DELETED || m->orphan || strcmp(m->owner_uid, uid) != 0)
            look(cs, k, name);
    }
}

static void learn(struct companions *cs, enum kind k, const char *node, const json_t *obj)
{
    struct companion *m = map_get(cs->known[k], str_of(node));
    const json_t *o;
    size_t i;

    if (m && strcmp(m->uid, meta_uid(obj)) != 0) { /* another one under its name */
        free(map_remove(cs->known[k], str_of(node)));
        m = NULL;
    }
    bool is_new = !m;
    if (!m) {
        m = mem_alloc(sizeof *m);
        snprintf(m->uid, sizeof m->uid, "%s", meta_uid(obj));
        map_set(cs->known[k], str_of(node), m);
    }
    char before[sizeof m->owner_uid];
    memcpy(before, m->owner_uid, sizeof before);
    m->owner_uid[0] = '\0';
    json_array_foreach(json_at(obj, "metadata.ownerReferences"), i,
                       o) if (strcmp(json_str_at(o, "kind", ""), "Node") == 0)
        snprintf(m->owner_uid, sizeof m->owner_uid, "%s", json_str_at(o, "uid", ""));
    if (is_new || strcmp(before, m->owner_uid) != 0)
        look(cs, k, node);
}

static void on_event(struct controller *c, enum watched w, enum local_event ev, const json_t *obj)
{
    struct companions *cs = (struct companions *)c;
    enum kind k = w == WATCH_SECRETS ? KIND_PASSWORD : KIND_LEASE;
    struct str name = str_of(meta_name(obj)), suffix = str_of(kinds[k].suffix);

    if (w == WATCH_NODES) {
        on_node(cs, ev, obj);
        return;
    }
    if (!str_ends(name, suffix))
        return;
    auto_free char *node = str_dup(str_n(name.p, name.n - suffix.n));

    if (ev != LOCAL_DELETED)
        learn(cs, k, node, obj);
    else
        free(map_remove(cs->known[k], str_of(node)));
}

static void own(struct companions *cs, struct queue_item *it, const struct local_ref *ref,
                const struct companion *m, const json_t *node)
{
    json_t *patch = json_pack("{s:{s:s, s:[{s:s, s:s, s:s, s:s}]}}", "metadata", "uid", m->uid,
                              "ownerReferences", "apiVersion", "v1", "kind", "Node", "name",
                              meta_name(node), "uid", meta_uid(node));

    controller_patch(&cs->c, it, ref, patch);
}

static void work(struct controller *c, struct queue_item *it)
{
    struct companions *cs = (struct companions *)c;
    enum kind k = queue_key(it)[0] - '0';
    const char *name = queue_key(it) + 1;
    struct companion *m = map_get(cs->known[k], str_of(name));
    const json_t *node = controller_node(c, name);
    auto_free char *object = mem_printf("%s%s", name, kinds[k].suffix);
    struct local_ref ref = {
        .group = kinds[k].group, .resource = kinds[k].resource, .ns = kinds[k].ns, .name = object
    };
    uint64_t now_ms = controller_now_ms(c);

    if (!m) {
        queue_done(it, NULL);
        return;
    }
    if (!m->orphan || node)
        m->orphan_since_ms = now_ms;
    m->orphan = !node;
    struct companion_facts f = { .has_node = node != NULL,
                                 .owned = node && strcmp(m->owner_uid, meta_uid(node)) == 0,
                                 .wants_owner = kinds[k].wants_owner,
                                 .doomed = m->doomed,
                                 .orphan_ms = now_ms - m->orphan_since_ms };
    struct local_delete_opts o = { .grace_period_s = -1, .uid = m->uid };

    switch (companion_judge(&f)) {
    case COMPANION_KEEP:
        queue_done(it, NULL);
        break;
    case COMPANION_WAIT:
        queue_done_again(it, COMPANION_ORPHAN_MS - f.orphan_ms);
        break;
    case COMPANION_OWN:
        own(cs, it, &ref, m, node);
        break;
    case COMPANION_DELETE:
        log_info("deleting what belonged to a deleted node", kv("node", name),
                 kv("resource", kinds[k].resource), kv("name", object));
        local_delete(c->env->config.api, &ref, &o, queue_done_local, it);
        break;
    }
}

static struct controller *make(const struct controllers_config *config)
{
    struct companions *cs = mem_alloc(sizeof *cs);

    (void)config;
    for (size_t k = 0; k < KINDS_N; k++)
        cs->known[k] = map_new();
    return &cs->c;
}

static void companions_free(struct controller *c)
{
    struct companions *cs = (struct companions *)c;
    struct str key;
    void *v;

    for (size_t k = 0; k < KINDS_N; k++) {
        for (size_t i = 0; map_next(cs->known[k], &i, &key, &v);)
            free(v);
        map_free(cs->known[k]);
    }
    free(cs);
}

const struct controller_ops node_companion_controller = {
    .name = "node_companion",
    .watches = WATCH_BIT(WATCH_NODES) | WATCH_BIT(WATCH_LEASES) | WATCH_BIT(WATCH_SECRETS),
    .n_parallel = 8,
    .make = make,
    .on_event = on_event,
    .work = work,
    .free = companions_free,
};
