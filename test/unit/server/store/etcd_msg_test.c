#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "server/store/etcd_msg.h"

/* ---- a protobuf writer of a few lines: tag and varint, or tag, length and bytes ---- */

struct pb {
    unsigned char p[512];
    size_t n;
};

static void varint(struct pb *b, uint64_t v)
{
    while (v >= 0x80) {
        b->p[b->n++] = (unsigned char)(v | 0x80);
        v >>= 7;
    }
    b->p[b->n++] = (unsigned char)v;
}
static void num(struct pb *b, unsigned field, uint64_t v)
{
    varint(b, field << 3);
    varint(b, v);
}
static void bytes(struct pb *b, unsigned field, const void *p, size_t n)
{
    varint(b, field << 3 | 2);
    varint(b, n);
    memcpy(b->p + b->n, p, n);
    b->n += n;
}
static void text(struct pb *b, unsigned field, const char *s)
{
    bytes(b, field, s, strlen(s));
}
static void sub(struct pb *b, unsigned field, const struct pb *m)
{
    bytes(b, field, m->p, m->n);
}

static struct pb kv(const char *key, const char *value, uint64_t create, uint64_t mod)
{
    struct pb b = { .n = 0 };

    text(&b, 1, key);
    num(&b, 2, create);
    num(&b, 3, mod);
    num(&b, 4, 7); /* version */
    text(&b, 5, value);
    num(&b, 99, 1); /* of a later release */
    return b;
}
static void header(struct pb *b, uint64_t rev)
{
    struct pb h = { .n = 0 };

    num(&h, 1, 0x123456789abcdefULL);
    num(&h, 3, rev);
    sub(b, 1, &h);
}
static struct pb event(unsigned type, const struct pb *now, const struct pb *prev)
{
    struct pb b = { .n = 0 };

    if (type)
        num(&b, 1, type);
    sub(&b, 2, now);
    if (prev)
        sub(&b, 3, prev);
    return b;
}

static int read_as(struct etcd_answer *a, enum etcd_answer_kind kind, const struct pb *b,
                   struct err *e)
{
    return etcd_answer_read(a, kind, str_n(b->p, b->n), e);
}

/* ---- answers ---- */

static void a_range_has_its_objects_and_revision(void **state)
{
    struct pb b = { .n = 0 }, one = kv("/r/a", "{}", 3, 9), two = kv("/r/b", "", 4, 4);
    struct etcd_answer a;
    struct err e;
    (void)state;

    header(&b, 12);
    sub(&b, 2, &one);
    sub(&b, 2, &two);
    num(&b, 3, 1);
    num(&b, 4, 5);
    assert_int_equal(read_as(&a, ETCD_ANSWER_RANGE, &b, &e), 0);
    assert_int_equal(a.rev, 12);
    assert_int_equal(a.n, 2);
    assert_true(a.more);
    assert_int_equal(a.count, 5);
    assert_true(str_is(a.kvs[0].key, "/r/a") && str_is(a.kvs[0].value, "{}"));
    assert_int_equal(a.kvs[0].create_rev, 3);
    assert_int_equal(a.kvs[0].mod_rev, 9);
    assert_int_equal(a.kvs[0].version, 7);
    assert_int_equal(a.kvs[1].value.n, 0);
    etcd_answer_deinit(&a);
}

static void a_refused_transaction_has_one_state_for_each_key(void **state)
{
    struct pb b = { .n = 0 }, found = { .n = 0 }, none = { .n = 0 }, op = { .n = 0 },
              empty = { .n = 0 }, one = kv("/r/b", "x", 2, 3);
    struct etcd_answer a;
    struct err e;
    (void)state;

    header(&found, 4);
    sub(&found, 2, &one);
    sub(&op, 1, &found);
    sub(&empty, 1, &none);
    header(&b, 4);
    sub(&b, 3, &empty);
    sub(&b, 3, &op);
    assert_int_equal(read_as(&a, ETCD_ANSWER_TXN, &b, &e), 0);
    assert_false(a.succeeded);
    assert_int_equal(a.n, 2);
    assert_int_equal(a.kvs[0].key.n, 0);
    assert_true(str_is(a.kvs[1].key, "/r/b"));
    etcd_answer_deinit(&a);
}

static void a_watch_tells_events_with_what_was_before(void **state)
{
    struct pb b = { .n = 0 }, old = kv("/r/a", "old", 2, 5), new = kv("/r/a", "new", 2, 6),
              gone = { .n = 0 }, put, del;
    struct etcd_answer a;
    struct err e;
    (void)state;

    text(&gone, 1, "/r/a");
    num(&gone, 3, 7);
    put = event(0, &new, &old);
    del = event(1, &gone, &new);
    header(&b, 7);
    num(&b, 7, 1);
    sub(&b, 11, &put);
    sub(&b, 11, &del);
    assert_int_equal(read_as(&a, ETCD_ANSWER_WATCH, &b, &e), 0);
    assert_true(a.fragment && !a.created && !a.canceled);
    assert_int_equal(a.n_events, 2);
    assert_false(a.events[0].deleted);
    assert_true(str_is(a.events[0].prev.value, "old"));
    assert_true(a.events[1].deleted);
    assert_int_equal(a.events[1].kv.mod_rev, 7);
    assert_true(str_is(a.events[1].prev.value, "new"));
    etcd_answer_deinit(&a);
}

static void a_canceled_watch_says_why(void **state)
{
    struct pb b = { .n = 0 };
    struct etcd_answer a;
    struct err e;
    (void)state;

    num(&b, 4, 1);
    num(&b, 5, 77);
    text(&b, 6, "compacted");
    assert_int_equal(read_as(&a, ETCD_ANSWER_WATCH, &b, &e), 0);
    assert_true(a.canceled);
    assert_int_equal(a.compact_rev, 77);
    assert_string_equal(a.text, "compacted");
    etcd_answer_deinit(&a);
}

static void what_is_missing_is_named(void **state)
{
    struct pb no_header = { .n = 0 }, one = kv("/r/a", "x", 2, 3), no_key = { .n = 0 },
              no_mod = kv("/r/a", "x", 2, 0), backwards = kv("/r/a", "x", 9, 3), bad = { .n = 0 },
              no_token = { .n = 0 }, ev = { .n = 0 }, other = kv("/r/b", "x", 1, 2),
              wrong_prev = { .n = 0 }, order = { .n = 0 };
    struct pb e1 = event(0, &one, NULL), e2 = event(0, &other, NULL), e3 = event(0, &one, &other);
    struct etcd_answer a;
    struct err e;
    (void)state;

    sub(&no_header, 2, &one);
    assert_int_equal(read_as(&a, ETCD_ANSWER_RANGE, &no_header, &e), ERR_PROTOCOL);
    header(&no_key, 3);
    sub(&no_key, 2, &(struct pb){ .n = 0 });
    assert_int_equal(read_as(&a, ETCD_ANSWER_RANGE, &no_key, &e), ERR_PROTOCOL);
    for (int i = 0; i < 2; i++) {
        bad = (struct pb){ .n = 0 };
        header(&bad, 3);
        sub(&bad, 2, i ? &no_mod : &backwards);
        assert_int_equal(read_as(&a, ETCD_ANSWER_RANGE, &bad, &e), ERR_PROTOCOL);
    }
    assert_int_equal(read_as(&a, ETCD_ANSWER_AUTHENTICATE, &no_token, &e), ERR_PROTOCOL);
    sub(&ev, 11, &(struct pb){ .n = 0 });
    assert_int_equal(read_as(&a, ETCD_ANSWER_WATCH, &ev, &e), ERR_PROTOCOL);
    sub(&wrong_prev, 11, &e3);
    assert_int_equal(read_as(&a, ETCD_ANSWER_WATCH, &wrong_prev, &e), ERR_PROTOCOL);
    sub(&order, 11, &e1);
    sub(&order, 11, &e2);
    assert_int_equal(read_as(&a, ETCD_ANSWER_WATCH, &order, &e), ERR_PROTOCOL);
    assert_int_equal(etcd_answer_read(&a, ETCD_ANSWER_RANGE, STR("\xff\xff\xff"), &e),
                     ERR_PROTOCOL);
}

/* Every prefix and every flipped bit of a good answer is read or refused, within bounds. */
static void broken_answers_are_refused(void **state)
{
    struct pb b = { .n = 0 }, one = kv("/r/a", "{}", 3, 9), ev = event(0, &one, NULL);
    struct etcd_answer a;
    struct err e;
    size_t n_bad = 0;
    (void)state;

    header(&b, 12);
    sub(&b, 11, &ev);
    for (size_t n = 0; n < b.n; n++)
        if (etcd_answer_read(&a, ETCD_ANSWER_WATCH, str_n(b.p, n), &e))
            n_bad++;
        else
            etcd_answer_deinit(&a);
    for (size_t bit = 0; bit < 8 * b.n; bit++) {
        struct pb c = b;
        c.p[bit / 8] ^= (unsigned char)(1u << bit % 8);
        if (read_as(&a, ETCD_ANSWER_WATCH, &c, &e))
            n_bad++;
        else
            etcd_answer_deinit(&a);
    }
    assert_true(n_bad > b.n);
}

/* ---- requests ---- */

static void the_end_of_a_prefix(void **state)
{
    static const struct {
        const char *prefix;
        size_t n;
        const char *end;
        size_t n_end;
    } rows[] = {
        { "/registry/", 10, "/registry0", 10 },
        { "a", 1, "b", 1 },
        { "a\xff\xff", 3, "b", 1 },
        { "\xff", 1, "\0", 1 },
        { "", 0, "\0", 1 },
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        auto_buf end = BUF(64);
        assert_int_equal(etcd_prefix_end(&end, str_n(rows[i].prefix, rows[i].n)), 0);
        assert_true(str_eq(buf_str(&end), str_n(rows[i].end, rows[i].n_end)));
    }
}

static void a_commit_is_one_transaction(void **state)
{
    struct store_obj *o = store_obj_new(STR("/a"), STR("v"), 0, 0);
    struct store_write_op ops[] = {
        { .kind = STORE_CREATE, .key = STR("/a"), .now = o },
        { .kind = STORE_DELETE, .key = STR("/b"), .if_mod_rev = 5 },
        { .kind = STORE_UPDATE, .key = STR("/a"), .now = o },
    };
    struct store_write w = { .n_ops = 3, .ops = ops };
    struct pb c[3] = { { .n = 0 } }, put = { .n = 0 }, del = { .n = 0 }, ok[3] = { { .n = 0 } },
              look[3] = { { .n = 0 } }, range[2] = { { .n = 0 } }, want = { .n = 0 };
    auto_buf got = BUF(1024);
    (void)state;

    num(&c[0], 2, 2); /* MOD of /a EQUAL 0 */
    text(&c[0], 3, "/a");
    num(&c[0], 6, 0);
    num(&c[1], 2, 2);
    text(&c[1], 3, "/b");
    num(&c[1], 6, 5);
    num(&c[2], 1, 1); /* MOD of /a GREATER 0: any live one */
    num(&c[2], 2, 2);
    text(&c[2], 3, "/a");
    num(&c[2], 6, 0);
    text(&put, 1, "/a");
    text(&put, 2, "v");
    text(&del, 1, "/b");
    sub(&ok[0], 2, &put);
    sub(&ok[1], 3, &del);
    ok[2] = ok[0];
    text(&range[0], 1, "/a");
    text(&range[1], 1, "/b");
    for (int i = 0; i < 3; i++)
        sub(&look[i], 1, &range[i == 1]);
    for (int i = 0; i < 3; i++)
        sub(&want, 1, &c[i]);
    for (int i = 0; i < 3; i++)
        sub(&want, 2, &ok[i]);
    for (int i = 0; i < 3; i++)
        sub(&want, 3, &look[i]);
    assert_int_equal(etcd_pack_commit(&got, &w, NULL), 0);
    assert_int_equal(got.n, want.n);
    assert_memory_equal(got.p, want.p, want.n);
    store_obj_unref(o);
}

static struct pb one_txn(const struct pb *compare, const struct pb *ok, const struct pb *look)
{
    struct pb b = { .n = 0 };

    sub(&b, 1, compare);
    sub(&b, 2, ok);
    sub(&b, 3, look);
    return b;
}

/* A put of key and value, should its revision be rev; else a look at it. */
static struct pb guarded_put(const char *key, uint64_t rev, const char *value)
{
    struct pb c = { .n = 0 }, put = { .n = 0 }, ok = { .n = 0 }, range = { .n = 0 },
              look = { .n = 0 };

    num(&c, 2, 2);
    text(&c, 3, key);
    num(&c, 6, rev);
    text(&put, 1, key);
    text(&put, 2, value);
    sub(&ok, 2, &put);
    text(&range, 1, key);
    sub(&look, 1, &range);
    return one_txn(&c, &ok, &look);
}

static void a_mark_is_one_more_operation_and_a_fence_moves_it_alone(void **state)
{
    struct store_obj *o = store_obj_new(STR("/a"), STR("v"), 0, 0);
    struct store_write_op op = {
        .kind = STORE_UPDATE, .key = STR("/a"), .now = o, .if_mod_rev = 9
    };
    struct store_write w = { .n_ops = 1, .ops = &op };
    const struct etcd_mark mark = { .mod_rev = 5, .key = "m/0", .value = "id" };
    struct pb plain = guarded_put("/a", 9, "v"), with = guarded_put("m/0", 5, "id"),
              fence = guarded_put("m/0", 5, "id!");
    auto_buf got = BUF(1024), alone = BUF(1024), fenced = BUF(1024);
    (void)state;

    assert_int_equal(etcd_pack_commit(&alone, &w, NULL), 0);
    assert_int_equal(alone.n, plain.n);
    assert_memory_equal(alone.p, plain.p, plain.n);
    assert_int_equal(etcd_pack_commit(&got, &w, &mark), 0);
    assert_int_equal(got.n, plain.n + with.n); /* the same fields, in turn */
    assert_int_equal(etcd_pack_fence(&fenced, &mark, STR("id!")), 0);
    assert_int_equal(fenced.n, fence.n);
    assert_memory_equal(fenced.p, fence.p, fence.n);
    store_obj_unref(o);
}

static void a_watch_asks_for_previous_values_in_fragments(void **state)
{
    struct pb create = { .n = 0 }, want = { .n = 0 };
    auto_buf got = BUF(1024);
    (void)state;

    text(&create, 1, "/a/");
    text(&create, 2, "/a0");
    num(&create, 3, 9);
    num(&create, 4, 1);
    num(&create, 6, 1);
    num(&create, 8, 1);
    sub(&want, 1, &create);
    assert_int_equal(etcd_pack_watch(&got, STR("/a/"), STR("/a0"), 9), 0);
    assert_int_equal(got.n, want.n);
    assert_memory_equal(got.p, want.p, want.n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_range_has_its_objects_and_revision),
        cmocka_unit_test(a_refused_transaction_has_one_state_for_each_key),
        cmocka_unit_test(a_watch_tells_events_with_what_was_before),
        cmocka_unit_test(a_canceled_watch_says_why),
        cmocka_unit_test(what_is_missing_is_named),
        cmocka_unit_test(broken_answers_are_refused),
        cmocka_unit_test(the_end_of_a_prefix),
        cmocka_unit_test(a_commit_is_one_transaction),
        cmocka_unit_test(a_mark_is_one_more_operation_and_a_fence_moves_it_alone),
        cmocka_unit_test(a_watch_asks_for_previous_values_in_fragments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
