/*
 * Compaction. Servers take turns by a key whose version is the number of the turn: whoever raises
 * it first has this one, and forgets what was the newest revision at the turn before. It is the key
 * and the rule of kube-apiserver (storage/etcd3/compact.go, 1.32), whose value is the revision that
 * goes. At each turn the member is asked how large it is, for the metrics.
 */
#include "server/store/etcd.h"

#include "base/core/log.h"
#include "base/core/mem.h"
#include "base/core/rand.h"
#include "server/store/etcd_fault.h"

#include <inttypes.h>
#include <stdio.h>

#define TURN_KEY "compact_rev_key"

enum { COMPACT_MS = 30000 };

struct compaction {
    struct etcd *q;
    int64_t rev;
    struct store_task *task; /* NULL: our own turn */
};

static void on_compacted(void *arg, const struct etcd_answer *a, const struct err *failure)
{
    struct compaction c = *(struct compaction *)arg;
    struct etcd *q = c.q;
    struct err e = failure ? *failure : (struct err){ 0 };

    (void)a;
    free(arg);
    q->n_compactions--;
    if (failure) {
        etcd_call_failed(q, &e);
        if (e.code == ERR_EXPIRED)
            e.code = ERR_OK; /* it is behind already */
    }
    if (!e.code)
        q->compacted = MAX(q->compacted, c.rev);
    if (c.task) {
        c.task->err = e;
        store_answer_task(q->store, c.task);
    } else if (e.code) {
        log_warn("compaction of etcd failed, will retry at the next turn", kv("err", e.text));
    } else {
        log_debug("old revisions are compacted", kv("rev", c.rev));
    }
    etcd_maybe_close(q);
}

static void compact(struct etcd *q, int64_t rev, struct store_task *task)
{
    struct compaction *c = mem_alloc(sizeof *c);
    auto_buf b = BUF(64);

    *c = (struct compaction){ q, rev, task };
    q->n_compactions++;
    err_ignore(etcd_pack_compact(&b, rev)); /* a few bytes */
    etcd_link_call(q->link, ETCD_COMPACT, ETCD_ANSWER_NONE, buf_str(&b), COMPACT_MS, on_compacted,
                   c);
}

void etcd_compact_start(struct etcd *q, struct store_task *t)
{
    if (t->rev > q->compacted && t->rev > 0 && etcd_link_is_up(q->link)) {
        compact(q, t->rev, t);
        return;
    }
    if (t->rev > q->compacted && t->rev > 0)
        etcd_unreachable(q, &t->err);
    list_push(&q->ready_tasks, &t->link); /* never from inside: the store drains it */
    store_wake(q->store);
}

/* ---- turns ---- */

static void on_turn_claimed(void *arg, const struct etcd_answer *a, const struct err *failure)
{
    struct etcd *q = arg;
    struct err e = failure ? *failure : (struct err){ 0 };
    int64_t rev, was;

    q->n_compactions--;
    if (failure)
        etcd_call_failed(q, &e);
    if (failure || q->closing) {
        etcd_maybe_close(q);
        return;
    }
    store_know(q->store, a->rev);
    if (a->succeeded) {
        q->turn++;
        rev = MIN(q->turn_rev, a->rev - q->limits.compact_keep_revs);
        if (rev > q->compacted && etcd_link_is_up(q->link))
            compact(q, rev, NULL);
    } else {
        q->turn = a->n ? a->kvs[0].version : 0;
        if (a->n && str_to_i64(a->kvs[0].value, &was) && was <= a->rev)
            q->compacted = MAX(q->compacted, was);
    }
    q->turn_rev = a->rev;
}

static void on_status(void *arg, const struct etcd_answer *a, const struct err *failure)
{
    struct etcd *q = arg;

    q->status_call = NULL;
    q->n_compactions--;
    if (!failure)
        q->db_bytes = a->db_bytes; /* who may not know it goes without */
    etcd_maybe_close(q);
}

static void ask_size(struct etcd *q)
{
    q->n_compactions++;
    q->status_call = etcd_link_call(q->link, ETCD_STATUS, ETCD_ANSWER_STATUS, STR(""),
                                    ETCD_ATTEMPT_MS, on_status, q);
}

static void arm(struct etcd *q);

static void on_timer(void *arg)
{
    struct etcd *q = arg;
    auto_buf b = BUF(256);
    char text[24];
    int n;

    arm(q);
    if (!etcd_link_is_up(q->link) || q->n_compactions)
        return;
    n = snprintf(text, sizeof text, "%" PRId64, q->turn_rev);
    err_ignore(etcd_pack_claim(&b, STR(TURN_KEY), q->turn, str_n(text, (size_t)n))); /* short */
    q->n_compactions++;
    etcd_link_call(q->link, ETCD_TXN, ETCD_ANSWER_TXN, buf_str(&b), ETCD_ATTEMPT_MS,
                   on_turn_claimed, q);
    ask_size(q);
}

static void arm(struct etcd *q)
{
    timer_start_ms(&q->compact_timer, rand_jitter_ms(q->limits.compact_ms, 10), on_timer, q);
}

void etcd_compact_cancel(struct etcd *q)
{
    if (q->status_call)
        etcd_call_cancel(q->status_call);
}

void etcd_compact_open(struct etcd *q)
{
    arm(q);
    if (etcd_link_is_up(q->link))
        ask_size(q);
}
