/* Opening, deadlines and closing of the etcd backend. The story is in etcd.h. */
#include "server/store/etcd.h"

#include "base/core/log.h"
#include "base/core/mem.h"
#include "base/io/file.h"
#include "base/io/tls.h"
#include "server/store/etcd_fault.h"

#define DEFAULT_PREFIX    "/registry/"
#define OPEN_MS           10000
#define PEM_MAX_BYTES     (256 * 1024)
#define CACHE_BYTES       (4u << 20) /* of hints only: gets ask etcd */
#define KUBERNETES_PREFIX "/registry/namespaces/"

/* ---- keys and values ---- */

struct str etcd_first_key(const struct etcd *q)
{
    return q->prefix[0] ? str_of(q->prefix) : str_n("", 1); /* etcd's least key is one zero byte */
}

bool etcd_is_ours(const struct etcd *q, struct str key)
{
    return str_starts(key, str_of(q->prefix));
}

int etcd_range_of(const struct etcd *q, struct str *start, struct buf *end, struct str prefix,
                  struct err *e)
{
    if (str_starts(str_of(q->prefix), prefix)) { /* all that is ours, or less */
        *start = etcd_first_key(q);
        if (buf_add_str(end, buf_str(&q->key_end)))
            return err_set(e, ERR_LIMIT, "a prefix of %zu bytes", prefix.n);
        return 0;
    }
    if (!etcd_is_ours(q, prefix))
        return err_set(e, ERR_INVALID, "prefix " STR_FMT " does not begin with %s", STR_ARG(prefix),
                       q->prefix);
    *start = prefix;
    if (etcd_prefix_end(end, prefix))
        return err_set(e, ERR_LIMIT, "a prefix of %zu bytes", prefix.n);
    return 0;
}

int etcd_check_value(struct str key, struct str value, struct err *e)
{
    if (!str_starts(value, str_n("k8s\0", 4)) && !str_starts(value, STR("k8s:enc:")))
        return 0;
    return err_set(e, ERR_INVALID,
                   "key " STR_FMT " holds an object of a K3s or Kubernetes (%s), which cannot be "
                   "taken over",
                   STR_ARG(key), value.p[3] ? "encrypted" : "protobuf");
}

struct store_obj *etcd_obj(const struct etcd_kv *kv)
{
    return store_obj_new(kv->key, kv->value, kv->create_rev, kv->mod_rev);
}

/* ---- what requests share ---- */

void etcd_unreachable(const struct etcd *q, struct err *e)
{
    if (q->closing)
        err_set(e, ERR_CANCELED, "the store is closing");
    else if (etcd_link_is_up(q->link))
        err_set(e, ERR_CLOSED, "the datastore did not answer within %d ms", ETCD_REQUEST_MS);
    else
        err_set(e, ERR_CLOSED, "the datastore is not in reach: %s", etcd_link_why(q->link)->text);
}

bool etcd_is_out_of_patience(const struct etcd *q)
{
    return !etcd_link_is_up(q->link) &&
           (q->closing || etcd_link_down_ms(q->link) >= ETCD_PATIENCE_MS);
}

enum etcd_fate etcd_call_failed(struct etcd *q, struct err *e)
{
    struct etcd_fault f = etcd_fault_of(e);

    if (f.token)
        etcd_link_renew_token(q->link);
    else if (f.fate != ETCD_REFUSED && !q->closing)
        etcd_link_suspect(q->link);
    return f.fate;
}

static void on_tick(void *arg);

void etcd_need_tick(struct etcd *q)
{
    if (!timer_is_running(&q->tick))
        timer_start_ms(&q->tick, ETCD_TICK_MS, on_tick, q);
}

static void tick(struct etcd *q, bool link_came_up)
{
    uint64_t now_ms = uv_now(q->loop);

    q->n_ticks++;
    etcd_write_tick(q, now_ms, link_came_up);
    etcd_read_tick(q, now_ms, link_came_up);
    etcd_log_tick(q, now_ms);
    etcd_feed_tick(q, now_ms);
}

static void on_tick(void *arg)
{
    struct etcd *q = arg;

    tick(q, false);
    if (!list_empty(&q->flights) || !list_empty(&q->asks) || !list_empty(&q->logs))
        etcd_need_tick(q);
    etcd_maybe_close(q);
}

/* ---- the link ---- */

static void on_up(void *arg)
{
    struct etcd *q = arg;

    if (!q->store)
        return; /* still opening */
    etcd_feed_start(q);
    tick(q, true);
    etcd_maybe_close(q);
}

/* ---- close ---- */

static void etcd_free(struct etcd *q)
{
    etcd_order_deinit(&q->order);
    etcd_marks_deinit(&q->marks);
    tls_client_config_free(q->tls);
    etcd_endpoints_deinit(&q->endpoints);
    buf_deinit(&q->key_end);
    free(q->feed_batch);
    free(q->prefix);
    free(q);
}

static void on_part_closed(void *arg)
{
    struct etcd *q = arg;
    struct store *s = q->store;

    if (--q->n_open > 0)
        return;
    if (!s) { /* it never opened: etcd_open waits for this */
        q->gone = true;
        return;
    }
    etcd_free(q);
    store_closed(s);
}

static void close_parts(struct etcd *q)
{
    q->parts_closing = true;
    etcd_feed_stop(q);
    timer_close(&q->tick, on_part_closed, q);
    timer_close(&q->feed_timer, on_part_closed, q);
    timer_close(&q->compact_timer, on_part_closed, q);
    etcd_link_close(q->link, on_part_closed, q);
}

void etcd_maybe_close(struct etcd *q)
{
    if (!q->closing || q->parts_closing || !list_empty(&q->flights) || !list_empty(&q->asks) ||
        !list_empty(&q->logs) || !list_empty(&q->ready_tasks) || q->n_compactions)
        return;
    close_parts(q);
}

static void etcd_close(void *impl)
{
    struct etcd *q = impl;

    q->closing = true;
    timer_stop(&q->compact_timer);
    etcd_read_cancel_all(q);
    etcd_log_cancel_all(q);
    etcd_compact_cancel(q);
    etcd_need_tick(q); /* writes end by their answers, the rest by the tick */
}

/* ---- the backend's side of store_ops ---- */

static void etcd_write(void *impl, struct store_write *w)
{
    etcd_write_start(impl, w);
}

static void etcd_flush(void *impl)
{
    (void)impl; /* each commit went out as it came: etcd groups them */
}

static void etcd_read(void *impl, struct store_read *r)
{
    if (r->kind == STORE_READ_LOG)
        etcd_log_start(impl, r);
    else
        etcd_read_start(impl, r);
}

static void etcd_compact(void *impl, struct store_task *t)
{
    etcd_compact_start(impl, t);
}

static int64_t etcd_compacted(const void *impl)
{
    const struct etcd *q = impl;

    return q->compacted;
}

static void etcd_stats(const void *impl, struct store_stats *out)
{
    const struct etcd *q = impl;

    out->n_objects = (uint64_t)MAX(q->n_objects, (int64_t)0);
    out->db_bytes = q->db_bytes;
}

static int etcd_trouble(void *impl, struct err *e)
{
    const struct etcd *q = impl;

    if (etcd_link_down_ms(q->link) == 0)
        return 0;
    *e = *etcd_link_why(q->link);
    return (int)e->code;
}

static void etcd_drain(void *impl)
{
    struct etcd *q = impl;
    struct list tasks = LIST(tasks), *l;

    list_move_all(&tasks, &q->ready_tasks);
    while ((l = list_pop(&tasks)))
        store_answer_task(q->store, container_of(l, struct store_task, link));
}

static const struct store_ops etcd_ops = {
    .name = "etcd",
    .shared = true,
    .write = etcd_write,
    .flush = etcd_flush,
    .read = etcd_read,
    .compact = etcd_compact,
    .compacted = etcd_compacted,
    .stats = etcd_stats,
    .trouble = etcd_trouble,
    .drain = etcd_drain,
    .close = etcd_close,
};

/* ---- open ---- */

static int read_pem(struct buf *out, const char *what, const char *path, struct err *e)
{
    if (!path || !*path)
        return 0;
    if (file_read(path, PEM_MAX_BYTES, out, e))
        return err_wrap(e, "%s", what);
    return 0;
}

static int load_tls(struct etcd *q, const struct store_etcd_options *o, struct err *e)
{
    static const char *const alpn[] = { "h2", NULL };
    auto_buf ca = BUF(PEM_MAX_BYTES), cert = BUF(PEM_MAX_BYTES), key = BUF_SECRET(PEM_MAX_BYTES);
    struct tls_client_options t = { .alpn = alpn };

    if (read_pem(&ca, "--datastore-cafile", o->ca_file, e) ||
        read_pem(&cert, "--datastore-certfile", o->cert_file, e) ||
        read_pem(&key, "--datastore-keyfile", o->key_file, e))
        return (int)e->code;
    if (!cert.n != !key.n)
        return err_set(e, ERR_INVALID,
                       "--datastore-certfile and --datastore-keyfile belong together");
    t.ca_pem = buf_str(&ca);
    t.system_trust = ca.n == 0;
    t.cert_chain_pem = buf_str(&cert);
    t.key_pem = buf_str(&key);
    return tls_client_config_new(&q->tls, &t, e);
}

static struct etcd *etcd_new(uv_loop_t *loop, const struct store_etcd_options *o)
{
    struct etcd *q = mem_alloc(sizeof *q);

    q->loop = loop;
    q->limits = store_limits_or_default(o->limits);
    if (!o->limits || !o->limits->write_timeout_ms)
        q->limits.write_timeout_ms = 2 * ETCD_REQUEST_MS; /* ours ends before: it knows the truth */
    if (!o->limits || !o->limits->cache_bytes)
        q->limits.cache_bytes = CACHE_BYTES;
    q->prefix = mem_strdup(o->prefix ? o->prefix : DEFAULT_PREFIX);
    q->key_end = BUF(4096);
    q->feed_batch = mem_alloc(sizeof *q->feed_batch);
    list_init(&q->flights);
    list_init(&q->asks);
    list_init(&q->logs);
    list_init(&q->ready_tasks);
    etcd_order_init(&q->order, 0);
    etcd_marks_init(&q->marks, o->writer);
    return q;
}

/* A first look at what is there, one question after the other. */
struct look {
    bool done;
    struct err err;
    int64_t rev, count;
    size_t n;
};

static void on_looked(void *arg, const struct etcd_answer *a, const struct err *e)
{
    struct look *k = arg;

    k->done = true;
    k->err = e ? *e : (struct err){ 0 };
    if (e)
        return;
    k->rev = a->rev;
    k->count = a->count;
    k->n = a->n;
    for (size_t i = 0; i < a->n && !k->err.code; i++)
        err_ignore(etcd_check_value(a->kvs[i].key, a->kvs[i].value, &k->err)); /* looked at */
}

static int look(struct etcd *q, struct look *k, const struct etcd_range *r, struct err *e)
{
    auto_buf b = BUF(16384);

    *k = (struct look){ 0 };
    err_ignore(etcd_pack_range(&b, r)); /* the keys are short */
    etcd_link_call(q->link, ETCD_RANGE, ETCD_ANSWER_RANGE, buf_str(&b), ETCD_ATTEMPT_MS, on_looked,
                   k);
    while (!k->done)
        uv_run(q->loop, UV_RUN_ONCE);
    if (k->err.code) {
        *e = k->err;
        etcd_fault_of(e);
    }
    return (int)e->code;
}

static int wait_until_up(struct etcd *q, uint64_t timeout_ms, struct err *e)
{
    uint64_t end_ms;

    uv_update_time(q->loop);
    end_ms = uv_now(q->loop) + timeout_ms;
    while (!etcd_link_is_up(q->link)) {
        if (uv_now(q->loop) >= end_ms) {
            *e = *etcd_link_why(q->link);
            return (int)e->code;
        }
        etcd_need_tick(q); /* so that the loop turns */
        uv_run(q->loop, UV_RUN_ONCE);
    }
    return 0;
}

static int first_look(struct etcd *q, struct look *k, uint64_t timeout_ms, struct err *e)
{
    auto_buf end = BUF(256);
    const struct etcd_range all = { .key = etcd_first_key(q),
                                    .end = buf_str(&q->key_end),
                                    .limit = 1 };
    struct etcd_range kube = { .key = STR(KUBERNETES_PREFIX), .limit = 1 };

    err_ignore(etcd_prefix_end(&end, kube.key)); /* short */
    kube.end = buf_str(&end);
    e->code = ERR_OK;
    if (wait_until_up(q, timeout_ms, e) || (etcd_is_ours(q, kube.key) && look(q, k, &kube, e)) ||
        look(q, k, &all, e))
        return (int)e->code;
    return 0;
}

static void give_up(struct etcd *q)
{
    q->closing = true;
    close_parts(q);
    while (!q->gone)
        uv_run(q->loop, UV_RUN_ONCE);
    etcd_free(q);
}

int store_etcd_open(struct store **out, uv_loop_t *loop, const struct store_etcd_options *o,
                    struct err *e)
{
    struct etcd *q = etcd_new(loop, o);
    struct etcd_link_config lc = {
        .loop = loop, .endpoints = &q->endpoints, .on_up = on_up, .arg = q
    };
    struct err why = { 0 };
    struct look k = { 0 };

    if (etcd_prefix_end(&q->key_end, str_of(q->prefix)) ||
        etcd_endpoints_parse(&q->endpoints, o->endpoints, &why) || load_tls(q, o, &why)) {
        etcd_free(q);
        *e = why;
        return err_wrap(e, "--datastore-endpoint");
    }
    lc.tls = q->tls;
    lc.probe_key = etcd_first_key(q);
    etcd_link_new(&q->link, &lc);
    timer_init(&q->tick, loop);
    timer_init(&q->feed_timer, loop);
    timer_init(&q->compact_timer, loop);
    q->n_open = 4;
    if (first_look(q, &k, o->timeout_ms ? o->timeout_ms : OPEN_MS, &why)) {
        give_up(q);
        *e = why;
        return err_wrap(e, "open datastore");
    }
    q->open_rev = q->turn_rev = k.rev;
    q->feed_rev = MAX(k.rev - q->limits.compact_keep_revs, (int64_t)0);
    q->n_objects = k.count;
    q->order.seen_rev = q->feed_rev;
    if (store_new(&q->store, loop, &etcd_ops, q, &q->limits, q->feed_rev, &why)) {
        give_up(q);
        *e = why;
        return (int)e->code;
    }
    store_know(q->store, k.rev);
    *out = q->store;
    etcd_feed_start(q);
    etcd_compact_open(q);
    return 0;
}
