/*
 * /metrics: what was counted (tally.h), what runs now, what is stored, and the process.
 *
 * How many objects each resource has is asked of the store, one resource after the other, when a
 * scrape comes and the last answers are older than COUNT_EVERY_MS; that scrape still shows the old
 * ones. Upstream too counts once a minute.
 */
#include "base/core/map.h"
#include "base/core/mem.h"
#include "base/io/process_metrics.h"
#include "server/api/tally.h"
#include "server/api/scrape.h"

#define COUNT_EVERY_MS 60000
#define SCRAPE_MAX     (32 * 1024 * 1024)

/* ---- objects of each resource ---- */

struct counted {
    int64_t n; /* -1: more than the store counts (100 000); not shown */
};

struct scrape {
    struct api *api;
    struct map *counts; /* "pods", "deployments.apps" -> struct counted */
    struct map *next;   /* those of the count under way: kinds that are gone are not in it */
    size_t at_kind;     /* the next one; kinds may come and go meanwhile */
    char *asked;        /* the name of the one that is asked for */
    bool asking;
    uint64_t asked_at_ms; /* 0: never */
};

static void ask_next(struct scrape *s);

static void counts_free(struct map *counts)
{
    struct str key;
    void *v;

    for (size_t i = 0; counts && map_next(counts, &i, &key, &v);)
        free(v);
    map_free(counts);
}

/* Several versions and groups may share their objects: counted where they are stored. */
static bool has_objects(const struct schema_kind *k)
{
    const char *stored = k->storage_group && *k->storage_group ? k->storage_group : "core";

    return (k->verbs & SCHEMA_LIST_VERB) && strcmp(k->version, k->storage_version) == 0 &&
           strcmp(stored, *k->group ? k->group : "core") == 0;
}

static void on_counted(void *arg, const struct store_list *l, const struct err *e)
{
    struct scrape *s = arg;

    if (!e) {
        struct counted *c = mem_alloc(sizeof *c);

        free(map_set(s->next, str_of(s->asked), c)); /* none: each is asked for once */
        c->n = !l->more ? (int64_t)l->n : l->n_remaining < 0 ? -1 : (int64_t)l->n + l->n_remaining;
    }
    free(STEAL(s->asked));
    ask_next(s);
}

static void ask_next(struct scrape *s)
{
    size_t n;
    const struct schema_kind *const *kinds = schema_kinds(s->api->schema, &n);

    while (s->at_kind < n && !has_objects(kinds[s->at_kind]))
        s->at_kind++;
    if (s->at_kind >= n || s->api->closing) {
        s->asking = false;
        counts_free(s->counts);
        s->counts = s->next;
        s->next = NULL;
        return;
    }
    const struct schema_kind *k = kinds[s->at_kind++];
    auto_free char *prefix = resource_prefix(k, "");
    s->asked = mem_printf("%s%s%s", k->plural, *k->group ? "." : "", k->group);
    store_list(s->api->store, str_of(prefix), &(struct store_list_opts){ .limit = 1 }, on_counted,
               s);
}

struct scrape *scrape_new(struct api *a)
{
    struct scrape *s = mem_alloc(sizeof *s);

    s->api = a;
    s->counts = map_new();
    return s;
}

void scrape_free(struct scrape *s)
{
    if (!s)
        return;
    counts_free(s->counts);
    counts_free(s->next);
    free(s);
}

bool scrape_is_busy(const struct scrape *s)
{
    return s->asking;
}

static void objects(struct scrape *s, struct buf *b)
{
    uint64_t now = uv_now(s->api->loop);
    struct str name;
    void *v;

    tally_head(b, "apiserver_storage_objects", "gauge",
               "Objects of each resource, counted once a minute.");
    for (size_t i = 0; map_next(s->counts, &i, &name, &v);)
        if (((struct counted *)v)->n >= 0)
            err_ignore(buf_addf(b, "apiserver_storage_objects{resource=\"" STR_FMT "\"} %lld\n",
                                STR_ARG(name), (long long)((struct counted *)v)->n));
    if (s->asking || (s->asked_at_ms && now - s->asked_at_ms < COUNT_EVERY_MS) || !s->api->serving)
        return;
    s->asking = true;
    s->asked_at_ms = MAX(now, (uint64_t)1);
    s->at_kind = 0;
    s->next = map_new();
    ask_next(s);
}

/* ---- the store ---- */

static void value(struct buf *b, const char *name, const char *type, const char *help, double v)
{
    tally_head(b, name, type, help);
    err_ignore(buf_addf(b, "%s %.15g\n", name, v));
}

static void storage(struct api *a, struct buf *b)
{
    struct store_written w[STORE_WRITERS_MAX];
    struct store_stats s;
    struct err e;
    size_t n = store_written(a->store, w);

    store_stats(a->store, &s);
    tally_head(b, "apiserver_storage_size_bytes", "gauge", "Size of the datastore.");
    err_ignore(buf_addf(b, "apiserver_storage_size_bytes{storage_cluster_id=\"%s\"} %llu\n",
                        store_is_shared(a->store) ? "etcd-0" : "sqlite-0",
                        (unsigned long long)s.db_bytes));
    value(b, "coracle_store_objects", "gauge", "Objects of all resources.", (double)s.n_objects);
    value(b, "coracle_store_log_bytes", "gauge", "Size of the log of SQLite.", (double)s.wal_bytes);
    value(b, "coracle_store_commits_total", "counter", "Commits.", (double)s.n_commits);
    value(b, "coracle_store_revision", "gauge", "The newest revision.",
          (double)store_revision(a->store));
    value(b, "coracle_store_compacted_revision", "gauge", "What is older is forgotten.",
          (double)store_compacted_rev(a->store));
    value(b, "coracle_store_trouble", "gauge", "1 while writes fail.",
          store_trouble(a->store, &e) ? 1 : 0);
    tally_head(b, "coracle_store_written_bytes_total", "counter",
               "Bytes given to the disk, by what caused them.");
    for (size_t i = 0; i < n; i++)
        err_ignore(buf_addf(b, "coracle_store_written_bytes_total{writer=\"%s\"} %llu\n",
                            w[i].writer, (unsigned long long)w[i].bytes));
}

/* ---- what runs ---- */

static void long_running(struct api *a, struct buf *b)
{
    AUTO(map) struct map *by_labels = map_new();
    struct str labels;
    void *v;

    list_each (r, &a->reqs, struct api_req, link) {
        auto_buf l = BUF(1024);
        struct tally_request what;

        if (r->class_ != CLASS_WATCH && r->class_ != CLASS_STREAM)
            continue;
        scrape_labels(r, &what);
        if (tally_labels(&l, &what))
            continue;
        uintptr_t n = (uintptr_t)map_get(by_labels, buf_str(&l));
        map_set(by_labels, buf_str(&l), (void *)(n + 1));
    }
    tally_head(b, "apiserver_longrunning_requests", "gauge", "Watches and streams that run.");
    for (size_t i = 0; map_next(by_labels, &i, &labels, &v);)
        err_ignore(buf_addf(b, "apiserver_longrunning_requests{" STR_FMT "} %zu\n", STR_ARG(labels),
                            (size_t)(uintptr_t)v));
}

static void in_flight(struct api *a, struct buf *b)
{
    tally_head(b, "apiserver_current_inflight_requests", "gauge",
               "Requests that run, without watches and streams.");
    err_ignore(buf_addf(b,
                        "apiserver_current_inflight_requests{request_kind=\"mutating\"} %u\n"
                        "apiserver_current_inflight_requests{request_kind=\"readOnly\"} %u\n",
                        a->n_running[CLASS_WRITE], a->n_running[CLASS_READ]));
}

/* ---- labels ---- */

static const char *verb_of(const struct api_req *r)
{
    static const char *const names[VERBS_N] = {
        [VERB_GET] = "GET",         [VERB_LIST] = "LIST",
        [VERB_WATCH] = "WATCH",     [VERB_CREATE] = "POST",
        [VERB_UPDATE] = "PUT",      [VERB_PATCH] = "PATCH",
        [VERB_DELETE] = "DELETE",   [VERB_DELETECOLLECTION] = "DELETECOLLECTION",
        [VERB_CONNECT] = "CONNECT",
    };

    if (r->verb == VERB_PATCH && r->content_type == CONTENT_APPLY_PATCH)
        return "APPLY";
    return r->verb < VERBS_N ? names[r->verb] : "other";
}

/* What a plain path counts as: upstream has it as subresource. Paths that are none of ours are one.
 */
static const char *plain_of(const struct api_req *r)
{
    static const char *const paths[] = { "/healthz", "/livez", "/readyz", "/metrics",
                                         "/version", "/apis",  "/api",    "/openapi" };
    const char *path = r->route.path ? r->route.path : "";

    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        size_t n = strlen(paths[i]);

        if (strncmp(path, paths[i], n) == 0 && (path[n] == '\0' || path[n] == '/'))
            return paths[i];
    }
    return "";
}

void scrape_labels(const struct api_req *r, struct tally_request *out)
{
    const struct schema_kind *k = r->kind;

    *out =
        (struct tally_request){ .verb = verb_of(r),
                                .group = "",
                                .version = "",
                                .resource = "",
                                .subresource = "",
                                .scope = "",
                                .dry_run = r->params.dry_run,
                                .is_long = r->class_ == CLASS_WATCH || r->class_ == CLASS_STREAM };
    if (!k) {
        out->subresource = r->route.is_resource ? "" : plain_of(r);
        out->verb = r->route.is_resource || r->verb >= VERBS_N ? "other"
                    : r->verb == VERB_LIST                     ? "GET"
                                                               : out->verb;
        return;
    }
    out->group = k->group;
    out->version = k->version;
    out->resource = k->plural;
    out->subresource = r->sub ? r->sub->name : "";
    out->scope = *r->route.name || r->verb == VERB_CREATE ? "resource"
                 : *r->route.namespace_                   ? "namespace"
                                                          : "cluster";
}

void api_count(struct api_req *r, int code)
{
    struct tally_request what;

    scrape_labels(r, &what);
    tally_count(r->api->tally, &what, code, uv_hrtime() - r->began_ns, r->sent_bytes);
}

void scrape_answer(struct api_req *r)
{
    struct api *a = r->api;
    auto_buf b = BUF(SCRAPE_MAX);

    tally_write(a->tally, &b);
    in_flight(a, &b);
    long_running(a, &b);
    objects(a->scrape, &b);
    storage(a, &b);
    process_metrics_write(&b);
    tally_head(&b, "kubernetes_build_info", "gauge", "The version of this program.");
    err_ignore(buf_addf(&b,
                        "kubernetes_build_info{git_version=\"%s\",major=\"1\",minor=\"32\"} 1\n",
                        a->git_version));
    req_text(r, 200, "text/plain; version=0.0.4; charset=utf-8", buf_str(&b));
}
