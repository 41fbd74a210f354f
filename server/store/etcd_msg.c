#include "server/store/etcd_msg.h"

#include "base/data/protobuf.h"
#include "server/store/etcd.pb-c.h"

#define PB(name) Etcdserverpb__##name

/* ---- answers ---- */

static struct str view(ProtobufCBinaryData b)
{
    return str_n(b.data, b.len);
}

static int read_kv(struct etcd_kv *out, const PB(KeyValue) * kv, struct err *e)
{
    if (kv->key.len == 0 || kv->mod_revision <= 0 || kv->create_revision < 0 ||
        kv->create_revision > kv->mod_revision)
        return err_set(e, ERR_PROTOCOL,
                       "etcd told of a key of %zu bytes with revisions %lld and %lld", kv->key.len,
                       (long long)kv->create_revision, (long long)kv->mod_revision);
    *out = (struct etcd_kv){ .key = view(kv->key),
                             .value = view(kv->value),
                             .create_rev = kv->create_revision,
                             .mod_rev = kv->mod_revision,
                             .version = kv->version };
    return 0;
}

static void *list_of(struct etcd_answer *a, size_t n, size_t size, struct err *e)
{
    void *p = arena_calloc(&a->arena, n, size);

    if (!p)
        err_set(e, ERR_LIMIT, "the answer needs more than %u bytes", ETCD_ANSWER_MAX_BYTES);
    return p;
}

static int read_header(struct etcd_answer *a, const PB(ResponseHeader) * h, struct err *e)
{
    if (h && h->revision < 0)
        return err_set(e, ERR_PROTOCOL, "etcd is at revision %lld", (long long)h->revision);
    a->rev = h ? h->revision : 0;
    return 0;
}

static int read_range(struct etcd_answer *a, struct str bytes, struct err *e)
{
    PB(RangeResponse) *m =
        protobuf_unpack(&a->arena, &etcdserverpb__range_response__descriptor, bytes, e);
    struct etcd_kv *kvs;

    if (!m || read_header(a, m->header, e) || !(kvs = list_of(a, m->n_kvs, sizeof *kvs, e)))
        return e->code;
    for (size_t i = 0; i < m->n_kvs; i++)
        if (read_kv(&kvs[i], m->kvs[i], e))
            return e->code;
    if (a->rev == 0 || m->count < 0)
        return err_set(e, ERR_PROTOCOL, "Range: an answer without a revision");
    a->kvs = kvs;
    a->n = m->n_kvs;
    a->more = m->more;
    a->count = m->count;
    return 0;
}

static int read_txn(struct etcd_answer *a, struct str bytes, struct err *e)
{
    PB(TxnResponse) *m =
        protobuf_unpack(&a->arena, &etcdserverpb__txn_response__descriptor, bytes, e);
    struct etcd_kv *kvs;

    if (!m || read_header(a, m->header, e) || !(kvs = list_of(a, m->n_responses, sizeof *kvs, e)))
        return e->code;
    for (size_t i = 0; i < m->n_responses; i++) {
        const PB(ResponseOp) *op = m->responses[i];
        if (op->response_case != ETCDSERVERPB__RESPONSE_OP__RESPONSE_RESPONSE_RANGE ||
            op->response_range->n_kvs == 0)
            continue;
        if (read_kv(&kvs[i], op->response_range->kvs[0], e))
            return e->code;
    }
    if (a->rev == 0)
        return err_set(e, ERR_PROTOCOL, "Txn: an answer without a revision");
    a->kvs = kvs;
    a->n = m->n_responses;
    a->succeeded = m->succeeded;
    return 0;
}

static int read_event(struct etcd_event *out, const PB(Event) * ev, struct err *e)
{
    if (!ev->kv || (ev->type != ETCDSERVERPB__EVENT__EVENT_TYPE__PUT &&
                    ev->type != ETCDSERVERPB__EVENT__EVENT_TYPE__DELETE))
        return err_set(e, ERR_PROTOCOL, "Watch: an event of type %d without a key", (int)ev->type);
    out->deleted = ev->type == ETCDSERVERPB__EVENT__EVENT_TYPE__DELETE;
    if (read_kv(&out->kv, ev->kv, e) || (ev->prev_kv && read_kv(&out->prev, ev->prev_kv, e)))
        return e->code;
    if (out->prev.key.n &&
        (!str_eq(out->prev.key, out->kv.key) || out->prev.mod_rev >= out->kv.mod_rev))
        return err_set(e, ERR_PROTOCOL, "Watch: an event whose previous state is another key's");
    if (!out->deleted && out->kv.create_rev == 0)
        return err_set(e, ERR_PROTOCOL, "Watch: an object that was never created");
    return 0;
}

static int read_watch(struct etcd_answer *a, struct str bytes, struct err *e)
{
    PB(WatchResponse) *m =
        protobuf_unpack(&a->arena, &etcdserverpb__watch_response__descriptor, bytes, e);
    struct etcd_event *evs;

    if (!m || read_header(a, m->header, e) || !(evs = list_of(a, m->n_events, sizeof *evs, e)))
        return e->code;
    for (size_t i = 0; i < m->n_events; i++) {
        if (read_event(&evs[i], m->events[i], e))
            return e->code;
        if (i && evs[i].kv.mod_rev < evs[i - 1].kv.mod_rev)
            return err_set(e, ERR_PROTOCOL, "Watch: events out of order");
    }
    a->events = evs;
    a->n_events = m->n_events;
    a->created = m->created;
    a->canceled = m->canceled;
    a->fragment = m->fragment;
    a->compact_rev = MAX(m->compact_revision, (int64_t)0);
    a->text = m->cancel_reason ? m->cancel_reason : "";
    return 0;
}

static int read_authenticate(struct etcd_answer *a, struct str bytes, struct err *e)
{
    PB(AuthenticateResponse) *m =
        protobuf_unpack(&a->arena, &etcdserverpb__authenticate_response__descriptor, bytes, e);

    if (!m)
        return e->code;
    if (!m->token || !*m->token)
        return err_set(e, ERR_PROTOCOL, "Authenticate: an answer without a token");
    a->text = m->token;
    return 0;
}

static int read_status(struct etcd_answer *a, struct str bytes, struct err *e)
{
    PB(StatusResponse) *m =
        protobuf_unpack(&a->arena, &etcdserverpb__status_response__descriptor, bytes, e);

    if (!m)
        return e->code;
    a->db_bytes = (uint64_t)MAX(m->dbsize, (int64_t)0);
    return 0;
}

int etcd_answer_read(struct etcd_answer *a, enum etcd_answer_kind kind, struct str bytes,
                     struct err *e)
{
    static int (*const readers[])(struct etcd_answer *, struct str, struct err *) = {
        [ETCD_ANSWER_RANGE] = read_range,   [ETCD_ANSWER_TXN] = read_txn,
        [ETCD_ANSWER_WATCH] = read_watch,   [ETCD_ANSWER_AUTHENTICATE] = read_authenticate,
        [ETCD_ANSWER_STATUS] = read_status,
    };
    struct etcd_answer r = { .arena = ARENA(ETCD_ANSWER_MAX_BYTES), .text = "" };

    if (kind < ARRAY_LEN(readers) && readers[kind](&r, bytes, e)) {
        arena_deinit(&r.arena);
        return e->code;
    }
    *a = r;
    return 0;
}

void etcd_answer_deinit(struct etcd_answer *a)
{
    arena_deinit(&a->arena);
}

/* ---- requests ---- */

/* Packing only reads, but protobuf-c's fields are not const. */
static ProtobufCBinaryData bytes_of(struct str s)
{
    return (ProtobufCBinaryData){ s.n, (uint8_t *)(uintptr_t)(s.p ? s.p : "") };
}

int etcd_prefix_end(struct buf *out, struct str prefix)
{
    size_t n = prefix.n;

    while (n && (unsigned char)prefix.p[n - 1] == 0xff)
        n--;
    if (n == 0)
        return buf_addc(out, '\0');
    if (buf_add(out, prefix.p, n))
        return ERR_LIMIT;
    out->p[out->n - 1]++;
    return 0;
}

int etcd_pack_range(struct buf *out, const struct etcd_range *r)
{
    PB(RangeRequest) m = ETCDSERVERPB__RANGE_REQUEST__INIT;

    m.key = bytes_of(r->key);
    m.range_end = bytes_of(r->end);
    m.limit = r->limit;
    m.revision = r->rev;
    m.keys_only = r->keys_only;
    m.count_only = r->count_only;
    return protobuf_pack(out, &m.base);
}

/* A request with n of everything, in an arena. */
struct txn {
    PB(TxnRequest) m;
    PB(Compare) * compare;
    PB(RequestOp) * success, *failure;
    PB(PutRequest) * put;
    PB(DeleteRangeRequest) * remove;
    PB(RangeRequest) * range;
};

#define NEW_N(arena, ptr, n, init)                                                                 \
    do {                                                                                           \
        (ptr) = arena_calloc(arena, n, sizeof *(ptr));                                             \
        for (size_t i_ = 0; i_ < (n); i_++)                                                        \
            init(&(ptr)[i_]);                                                                      \
    } while (0)

#define NEW_LIST(arena, ptrs, ptr, n, init)                                                        \
    do {                                                                                           \
        NEW_N(arena, ptr, n, init);                                                                \
        (ptrs) = arena_calloc(arena, n, sizeof *(ptrs));                                           \
        for (size_t j_ = 0; j_ < (n); j_++)                                                        \
            (ptrs)[j_] = &(ptr)[j_];                                                               \
    } while (0)

static void txn_init(struct txn *t, struct arena *a, size_t n)
{
    etcdserverpb__txn_request__init(&t->m);
    NEW_LIST(a, t->m.compare, t->compare, n, etcdserverpb__compare__init);
    NEW_LIST(a, t->m.success, t->success, n, etcdserverpb__request_op__init);
    NEW_LIST(a, t->m.failure, t->failure, n, etcdserverpb__request_op__init);
    NEW_N(a, t->put, n, etcdserverpb__put_request__init);
    NEW_N(a, t->remove, n, etcdserverpb__delete_range_request__init);
    NEW_N(a, t->range, n, etcdserverpb__range_request__init);
    t->m.n_compare = t->m.n_success = t->m.n_failure = n;
}

static void txn_put(struct txn *t, size_t i, struct str key, struct str value)
{
    t->put[i].key = bytes_of(key);
    t->put[i].value = bytes_of(value);
    t->success[i].request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT;
    t->success[i].request_put = &t->put[i];
}

static void txn_remove(struct txn *t, size_t i, struct str key)
{
    t->remove[i].key = bytes_of(key);
    t->success[i].request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_DELETE_RANGE;
    t->success[i].request_delete_range = &t->remove[i];
}

static void txn_look(struct txn *t, size_t i, struct str key)
{
    t->range[i].key = bytes_of(key);
    t->failure[i].request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_RANGE;
    t->failure[i].request_range = &t->range[i];
}

static void txn_expect(struct txn *t, size_t i, struct str key, int64_t mod_rev, bool any_live)
{
    PB(Compare) *c = &t->compare[i];

    c->key = bytes_of(key);
    c->target = ETCDSERVERPB__COMPARE__COMPARE_TARGET__MOD;
    c->target_union_case = ETCDSERVERPB__COMPARE__TARGET_UNION_MOD_REVISION;
    c->result = any_live ? ETCDSERVERPB__COMPARE__COMPARE_RESULT__GREATER
                         : ETCDSERVERPB__COMPARE__COMPARE_RESULT__EQUAL;
    c->mod_revision = mod_rev;
}

int etcd_pack_commit(struct buf *out, const struct store_write *w, const struct etcd_mark *mark)
{
    auto_arena a = ARENA(SIZE_MAX);
    struct txn t;

    txn_init(&t, &a, w->n_ops + (mark != NULL));
    for (size_t i = 0; i < w->n_ops; i++) {
        const struct store_write_op *op = &w->ops[i];
        txn_expect(&t, i, op->key, op->kind == STORE_CREATE ? 0 : op->if_mod_rev,
                   op->kind != STORE_CREATE && !op->if_mod_rev);
        if (op->kind == STORE_DELETE)
            txn_remove(&t, i, op->key);
        else
            txn_put(&t, i, op->key, store_obj_value(op->now));
        txn_look(&t, i, op->key);
    }
    if (mark) {
        txn_expect(&t, w->n_ops, str_of(mark->key), mark->mod_rev, false);
        txn_put(&t, w->n_ops, str_of(mark->key), str_of(mark->value));
        txn_look(&t, w->n_ops, str_of(mark->key));
    }
    return protobuf_pack(out, &t.m.base);
}

int etcd_pack_fence(struct buf *out, const struct etcd_mark *mark, struct str value)
{
    auto_arena a = ARENA(SIZE_MAX);
    struct txn t;

    txn_init(&t, &a, 1);
    txn_expect(&t, 0, str_of(mark->key), mark->mod_rev, false);
    txn_put(&t, 0, str_of(mark->key), value);
    txn_look(&t, 0, str_of(mark->key));
    return protobuf_pack(out, &t.m.base);
}

int etcd_pack_claim(struct buf *out, struct str key, int64_t version, struct str value)
{
    auto_arena a = ARENA(SIZE_MAX);
    struct txn t;
    PB(Compare) * c;

    txn_init(&t, &a, 1);
    c = &t.compare[0];
    c->key = bytes_of(key);
    c->target = ETCDSERVERPB__COMPARE__COMPARE_TARGET__VERSION;
    c->target_union_case = ETCDSERVERPB__COMPARE__TARGET_UNION_VERSION;
    c->result = ETCDSERVERPB__COMPARE__COMPARE_RESULT__EQUAL;
    c->version = version;
    txn_put(&t, 0, key, value);
    txn_look(&t, 0, key);
    return protobuf_pack(out, &t.m.base);
}

int etcd_pack_compact(struct buf *out, int64_t rev)
{
    PB(CompactionRequest) m = ETCDSERVERPB__COMPACTION_REQUEST__INIT;

    m.revision = rev;
    return protobuf_pack(out, &m.base);
}

int etcd_pack_watch(struct buf *out, struct str key, struct str end, int64_t start_rev)
{
    PB(WatchRequest) m = ETCDSERVERPB__WATCH_REQUEST__INIT;
    PB(WatchCreateRequest) c = ETCDSERVERPB__WATCH_CREATE_REQUEST__INIT;

    c.key = bytes_of(key);
    c.range_end = bytes_of(end);
    c.start_revision = start_rev;
    c.progress_notify = c.prev_kv = c.fragment = true;
    m.request_union_case = ETCDSERVERPB__WATCH_REQUEST__REQUEST_UNION_CREATE_REQUEST;
    m.create_request = &c;
    return protobuf_pack(out, &m.base);
}

int etcd_pack_authenticate(struct buf *out, const char *name, const char *password)
{
    PB(AuthenticateRequest) m = ETCDSERVERPB__AUTHENTICATE_REQUEST__INIT;

    m.name = (char *)(uintptr_t)name;
    m.password = (char *)(uintptr_t)password;
    return protobuf_pack(out, &m.base);
}
