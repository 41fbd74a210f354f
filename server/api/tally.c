#include "server/api/tally.h"

#include "base/core/err.h"
#include "base/core/map.h"
#include "base/core/mem.h"

#include <inttypes.h>

#define LABELS_MAX 1024
#define CODES_MAX  12 /* of one series; others count as the last one */

/* Upper bounds of upstream's buckets. */
static const double SECONDS[] = { 0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1,  1.25, 1.5, 2,
                                  3,     4,     5,    6,   8,   10,  15,  20,  30, 45,   60 };
static const double SIZES[] = { 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9 };
#define N_SECONDS ARRAY_LEN(SECONDS)
#define N_SIZES   ARRAY_LEN(SIZES)

struct series {
    struct {
        int code;
        uint64_t n;
    } codes[CODES_MAX];
    size_t n_codes;
    uint64_t n, seconds[N_SECONDS]; /* each value in its own bucket only; summed when written */
    double sum_s;
    bool sizes_too;
    uint64_t sizes[N_SIZES];
    double sum_bytes;
};

struct events {
    uint64_t n, bytes;
};

struct tally {
    struct map *series; /* labels -> struct series */
    struct map *events; /* labels -> struct events */
};

struct tally *tally_new(void)
{
    struct tally *m = mem_alloc(sizeof *m);

    m->series = map_new();
    m->events = map_new();
    return m;
}

static void free_all(struct map *m)
{
    struct str key;
    void *v;

    for (size_t i = 0; map_next(m, &i, &key, &v);)
        free(v);
    map_free(m);
}

void tally_free(struct tally *m)
{
    if (!m)
        return;
    free_all(m->series);
    free_all(m->events);
    free(m);
}

int tally_labels(struct buf *b, const struct tally_request *r)
{
    return buf_join(b, "component=\"apiserver\",group=\"", r->group, "\",resource=\"", r->resource,
                    "\",scope=\"", r->scope, "\",subresource=\"", r->subresource, "\",verb=\"",
                    r->verb, "\",version=\"", r->version, "\"");
}

static void *entry(struct map *m, struct str labels, size_t bytes)
{
    void *v = map_get(m, labels);

    if (v)
        return v;
    if (map_len(m) >= TALLY_SERIES_MAX) {
        static const char other[] = "component=\"apiserver\",group=\"\",resource=\"other\","
                                    "scope=\"\",subresource=\"\",verb=\"\",version=\"\"";

        labels = str_of(other);
        if ((v = map_get(m, labels)))
            return v;
    }
    v = mem_alloc(bytes);
    map_set(m, labels, v);
    return v;
}

static void count_code(struct series *s, int code)
{
    size_t i = 0;

    while (i < s->n_codes && s->codes[i].code != code)
        i++;
    if (i == s->n_codes) {
        if (s->n_codes == CODES_MAX)
            i--;
        else
            s->codes[s->n_codes++].code = code;
    }
    s->codes[i].n++;
}

static void observe(uint64_t *buckets, const double *bounds, size_t n, double v)
{
    for (size_t i = 0; i < n; i++)
        if (v <= bounds[i]) {
            buckets[i]++;
            return;
        }
}

void tally_count(struct tally *m, const struct tally_request *r, int code, uint64_t took_ns,
                 uint64_t sent_bytes)
{
    auto_buf labels = BUF(LABELS_MAX);
    double took_s = (double)took_ns / 1e9;
    struct series *s;

    if (tally_labels(&labels, r) || buf_join(&labels, ",dry_run=\"", r->dry_run ? "All" : "", "\""))
        return; /* kinds and subresources are short */
    s = entry(m->series, buf_str(&labels), sizeof *s);
    count_code(s, code);
    s->n++;
    s->sum_s += took_s;
    observe(s->seconds, SECONDS, N_SECONDS, took_s);
    if (!r->is_long && (strcmp(r->verb, "GET") == 0 || strcmp(r->verb, "LIST") == 0)) {
        s->sizes_too = true;
        s->sum_bytes += (double)sent_bytes;
        observe(s->sizes, SIZES, N_SIZES, (double)sent_bytes);
    }
}

void tally_watch_event(struct tally *m, const char *group, const char *version, const char *kind,
                       size_t bytes)
{
    auto_buf labels = BUF(LABELS_MAX);
    struct events *ev;

    if (buf_join(&labels, "group=\"", group, "\",kind=\"", kind, "\",version=\"", version, "\""))
        return;
    ev = entry(m->events, buf_str(&labels), sizeof *ev);
    ev->n++;
    ev->bytes += bytes;
}

/* ---- text ---- */

void tally_head(struct buf *b, const char *name, const char *type, const char *help)
{
    err_ignore(
        buf_addf(b, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type)); /* cut is fine */
}

static void histogram(struct buf *b, const char *name, struct str labels, const double *bounds,
                      const uint64_t *buckets, size_t n_buckets, uint64_t n, double sum)
{
    uint64_t below = 0;

    for (size_t i = 0; i < n_buckets; i++) {
        below += buckets[i];
        err_ignore(buf_addf(b, "%s_bucket{" STR_FMT ",le=\"%g\"} %" PRIu64 "\n", name,
                            STR_ARG(labels), bounds[i], below));
    }
    err_ignore(buf_addf(b,
                        "%s_bucket{" STR_FMT ",le=\"+Inf\"} %" PRIu64 "\n%s_sum{" STR_FMT
                        "} %.9g\n%s_count{" STR_FMT "} %" PRIu64 "\n",
                        name, STR_ARG(labels), n, name, STR_ARG(labels), sum, name, STR_ARG(labels),
                        n));
}

void tally_write(const struct tally *m, struct buf *b)
{
    struct str labels;
    void *v;

    tally_head(b, "apiserver_request_total", "counter",
               "Requests by verb, resource, scope and code.");
    for (size_t i = 0; map_next(m->series, &i, &labels, &v);)
        for (size_t c = 0; c < ((struct series *)v)->n_codes; c++)
            err_ignore(buf_addf(b, "apiserver_request_total{code=\"%d\"," STR_FMT "} %" PRIu64 "\n",
                                ((struct series *)v)->codes[c].code, STR_ARG(labels),
                                ((struct series *)v)->codes[c].n));
    tally_head(b, "apiserver_request_duration_seconds", "histogram",
               "How long requests took until the answer was handed over.");
    for (size_t i = 0; map_next(m->series, &i, &labels, &v);) {
        const struct series *s = v;

        histogram(b, "apiserver_request_duration_seconds", labels, SECONDS, s->seconds, N_SECONDS,
                  s->n, s->sum_s);
    }
    tally_head(b, "apiserver_response_sizes", "histogram",
               "Bytes of answers to reads, before they are packed.");
    for (size_t i = 0; map_next(m->series, &i, &labels, &v);) {
        const struct series *s = v;

        if (s->sizes_too)
            histogram(b, "apiserver_response_sizes", labels, SIZES, s->sizes, N_SIZES, s->n,
                      s->sum_bytes);
    }
    tally_head(b, "apiserver_watch_events_total", "counter", "Events sent to watchers.");
    for (size_t i = 0; map_next(m->events, &i, &labels, &v);)
        err_ignore(buf_addf(b, "apiserver_watch_events_total{" STR_FMT "} %" PRIu64 "\n",
                            STR_ARG(labels), ((struct events *)v)->n));
    tally_head(b, "apiserver_watch_events_bytes_total", "counter", "Bytes of these events.");
    for (size_t i = 0; map_next(m->events, &i, &labels, &v);)
        err_ignore(buf_addf(b, "apiserver_watch_events_bytes_total{" STR_FMT "} %" PRIu64 "\n",
                            STR_ARG(labels), ((struct events *)v)->bytes));
}
