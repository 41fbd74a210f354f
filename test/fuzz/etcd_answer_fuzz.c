/*
 * Answers of etcd, as gRPC brings them: the first byte is the kind, the second in which pieces the
 * rest comes. What is read keeps what etcd_msg.h promises; events go on into the hub's form.
 */
#include "base/core/mem.h"
#include "base/http/grpc.h"
#include "server/store/etcd.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const unsigned char *p, size_t n);

static void check_kv(const struct etcd_kv *kv)
{
    if (kv->key.n == 0 || kv->mod_rev <= 0 || kv->create_rev > kv->mod_rev)
        abort();
}

static void use_events(const struct etcd_answer *a)
{
    struct etcd_batch *b = mem_alloc(sizeof *b);
    struct err e;

    for (size_t i = 0; i < a->n_events; i++) {
        check_kv(&a->events[i].kv);
        if (b->n && b->rev != a->events[i].kv.mod_rev) {
            if (b->rev > a->events[i].kv.mod_rev)
                abort();
            etcd_batch_clear(b);
        }
        if (etcd_batch_add(b, &a->events[i], &e))
            break;
        if (store_ev_key(&b->evs[b->n - 1]).n == 0)
            abort();
    }
    etcd_batch_clear(b);
    free(b);
}

static void use(enum etcd_answer_kind kind, struct str message)
{
    struct etcd_answer a;
    struct err e;

    if (etcd_answer_read(&a, kind, message, &e))
        return;
    for (size_t i = 0; i < a.n; i++)
        if (kind == ETCD_ANSWER_RANGE || a.kvs[i].key.n)
            check_kv(&a.kvs[i]);
    use_events(&a);
    etcd_answer_deinit(&a);
}

int LLVMFuzzerTestOneInput(const unsigned char *p, size_t n)
{
    size_t piece = n > 1 && p[1] ? p[1] : 1;
    struct grpc_reader r;
    struct err e;

    if (n < 2)
        return 0;
    use((enum etcd_answer_kind)(p[0] % ETCD_ANSWER_KINDS_N), str_n(p + 2, n - 2));
    grpc_reader_init(&r, 1 << 20);
    for (size_t at = 2; at < n; at += piece) {
        struct str in = str_n(p + at, MIN(piece, n - at));
        bool done = true;
        while (done) {
            if (grpc_reader_read(&r, &in, &done, &e))
                goto out;
            if (done)
                use((enum etcd_answer_kind)(p[0] % ETCD_ANSWER_KINDS_N), buf_str(&r.message));
        }
    }
out:
    grpc_reader_deinit(&r);
    return 0;
}
