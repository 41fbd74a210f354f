/*
 * etcd_bench ENDPOINT [SECONDS]: durable writes and reads per second of the etcd backend beside the
 * same etcd asked plainly: the transactions and ranges that kube-apiserver would send, over our own
 * gRPC client, without order, feed and marks. ENDPOINT is "http://host:port" of an etcd that may be
 * written to. Figures on stdout, one per line; the ratio is what counts.
 */
#include "base/core/mem.h"
#include "base/http/grpc.h"
#include "server/store/etcd_msg.h"

#include <stdio.h>

enum { VALUE_BYTES = 1024, WRITERS_MAX = 200 };

struct bench {
    uv_loop_t loop;
    struct store *s;
    struct http_endpoint *ep;
    uint64_t end_ns;
    size_t n_done, n_errors, n_running;
    int64_t seconds;
};

struct client {
    struct bench *b;
    char key[64];
    int64_t mod_rev; /* 0: not made yet */
};

static char value[VALUE_BYTES];

static void count(struct client *c, bool ok)
{
    c->b->n_running--;
    c->b->n_done += ok;
    c->b->n_errors += !ok;
}

/* ---- by the store ---- */

static void store_write_next(struct client *c);
static void on_stored(void *arg, int64_t rev, size_t failed, struct store_obj *current,
                      const struct err *e)
{
    struct client *c = arg;
    (void)failed;
    (void)current;

    count(c, !e);
    if (!e)
        c->mod_rev = rev;
    if (uv_hrtime() < c->b->end_ns)
        store_write_next(c);
}
static void store_write_next(struct client *c)
{
    struct store_op op = { .kind = c->mod_rev ? STORE_UPDATE : STORE_CREATE,
                           .key = str_of(c->key),
                           .value = str_n(value, sizeof value),
                           .if_mod_rev = c->mod_rev };

    c->b->n_running++;
    store_commit(c->b->s, &op, 1, on_stored, c);
}

static void store_read_next(struct client *c);
static void on_got(void *arg, struct store_obj *o, int64_t rev, const struct err *e)
{
    struct client *c = arg;
    (void)o;
    (void)rev;

    count(c, !e);
    if (uv_hrtime() < c->b->end_ns)
        store_read_next(c);
}
static void store_read_next(struct client *c)
{
    c->b->n_running++;
    store_get(c->b->s, str_of(c->key), on_got, c);
}

/* ---- plainly ---- */

static void plain_write_next(struct client *c);
static void on_txn(void *arg, struct str reply, const struct err *failure)
{
    struct client *c = arg;
    struct etcd_answer a = { .n = 0 };
    struct err e;
    bool ok = !failure && !etcd_answer_read(&a, ETCD_ANSWER_TXN, reply, &e) && a.succeeded;

    count(c, ok);
    if (ok)
        c->mod_rev = a.rev;
    etcd_answer_deinit(&a);
    if (uv_hrtime() < c->b->end_ns)
        plain_write_next(c);
}
static void plain_write_next(struct client *c)
{
    struct store_obj *now = store_obj_new(str_of(c->key), str_n(value, sizeof value), 0, 0);
    struct store_write_op op = { .kind = c->mod_rev ? STORE_UPDATE : STORE_CREATE,
                                 .key = str_of(c->key),
                                 .now = now,
                                 .if_mod_rev = c->mod_rev };
    const struct store_write w = { .n_ops = 1, .ops = &op };
    auto_buf b = BUF(65536);

    err_ignore(etcd_pack_commit(&b, &w, NULL)); /* fits */
    c->b->n_running++;
    grpc_unary(c->b->ep, ETCD_TXN, buf_str(&b), 30000, on_txn, c);
    store_obj_unref(now);
}

static void plain_read_next(struct client *c);
static void on_range(void *arg, struct str reply, const struct err *failure)
{
    struct client *c = arg;
    struct etcd_answer a = { .n = 0 };
    struct err e;

    count(c, !failure && !etcd_answer_read(&a, ETCD_ANSWER_RANGE, reply, &e) && a.n == 1);
    etcd_answer_deinit(&a);
    if (uv_hrtime() < c->b->end_ns)
        plain_read_next(c);
}
static void plain_read_next(struct client *c)
{
    auto_buf b = BUF(4096);

    err_ignore(etcd_pack_range(&b, &(struct etcd_range){ .key = str_of(c->key) })); /* fits */
    c->b->n_running++;
    grpc_unary(c->b->ep, ETCD_RANGE, buf_str(&b), 30000, on_range, c);
}

/* ---- one figure ---- */

static double run(struct bench *b, struct client *c, int n, void (*next)(struct client *c))
{
    uint64_t start = uv_hrtime();

    b->n_done = b->n_errors = 0;
    b->end_ns = start + (uint64_t)b->seconds * 1000000000u;
    for (int i = 0; i < n; i++)
        next(&c[i]);
    while (b->n_running)
        uv_run(&b->loop, UV_RUN_ONCE);
    if (b->n_errors)
        printf("errors=%zu\n", b->n_errors);
    return (double)b->n_done / ((double)(uv_hrtime() - start) / 1e9);
}

static void compare(struct bench *b, int n)
{
    struct client *ours = mem_calloc((size_t)n, sizeof *ours);
    struct client *plain = mem_calloc((size_t)n, sizeof *plain);
    double w[2] = { 0 }, r[2] = { 0 };

    for (int i = 0; i < n; i++) {
        ours[i].b = plain[i].b = b;
        snprintf(ours[i].key, sizeof ours->key, "/registry/bench/ours-%llu-%d",
                 (unsigned long long)uv_hrtime(), i);
        snprintf(plain[i].key, sizeof plain->key, "/registry/bench/plain-%llu-%d",
                 (unsigned long long)uv_hrtime(), i);
    }
    for (int turn = 0; turn < 3; turn++) { /* in turn, so that both meet the same machine */
        w[0] += run(b, ours, n, store_write_next) / 3;
        w[1] += run(b, plain, n, plain_write_next) / 3;
        r[0] += run(b, ours, n, store_read_next) / 3;
        r[1] += run(b, plain, n, plain_read_next) / 3;
    }
    printf("etcd_writes_per_s writers=%d ours=%.0f plain=%.0f ratio=%.2f\n", n, w[0], w[1],
           w[0] / w[1]);
    printf("etcd_reads_per_s readers=%d ours=%.0f plain=%.0f ratio=%.2f\n", n, r[0], r[1],
           r[0] / r[1]);
    free(ours);
    free(plain);
}

int main(int argc, char **argv)
{
    struct bench b = { .seconds = argc > 2 ? atoi(argv[2]) : 2 };
    struct store_etcd_options o = { .endpoints = argc > 1 ? argv[1] : "" };
    struct http_endpoint_config c = { .proto = HTTP_H2 };
    struct err e;

    if (argc < 2 || strncmp(argv[1], "http://", 7) != 0) {
        fprintf(stderr, "usage: %s http://HOST:PORT [SECONDS]\n", argv[0]);
        return 2;
    }
    memset(value, 'v', sizeof value);
    uv_loop_init(&b.loop);
    if (store_etcd_open(&b.s, &b.loop, &o, &e)) {
        fprintf(stderr, "%s\n", e.text);
        return 1;
    }
    c.authority = argv[1] + 7;
    http_endpoint_new(&b.ep, &b.loop, &c);
    compare(&b, 1);
    compare(&b, 64);
    compare(&b, WRITERS_MAX);
    store_close(b.s, NULL, NULL);
    http_endpoint_close(b.ep, NULL, NULL);
    uv_run(&b.loop, UV_RUN_DEFAULT);
    uv_loop_close(&b.loop);
    return 0;
}
