#include "test/unit/server/api/fixture.h"

#include "base/core/mem.h"
#include "base/data/wire.h"
#include "server/api/proto.h"

#include <string.h>

#define CM    "/api/v1/namespaces/default/configmaps"
#define PROTO "application/vnd.kubernetes.protobuf"

static struct answer get(const char *target, const char *accept)
{
    return ask_as(&h, "admin+system:masters", "GET", target, NULL, accept, NULL);
}

static json_t *read_as(struct str body, const char *gv, const char *type)
{
    json_t *doc = NULL;
    struct err e = { 0 };

    if (proto_read(&doc, schema_builtin_type(gv, type), body, &e))
        fail_msg("%s: %s", type, e.text);
    return doc;
}

static void make(unsigned from, unsigned n)
{
    for (unsigned i = from; i < from + n; i++) {
        auto_free char *body =
            mem_printf("{\"metadata\":{\"name\":\"c%04u\",\"labels\":{\"l\":\"1\"}},"
                       "\"data\":{\"k\":\"%0512u\"}}",
                       i, i);
        auto_answer a = ask(&h, "POST", CM, body);

        assert_int_equal(a.code, 201);
    }
}

static void objects_and_errors_come_as_protobuf(void **state)
{
    (void)state;
    make(0, 1);
    auto_answer a = get(CM "/c0000", PROTO ",application/json");
    assert_int_equal(a.code, 200);
    json_auto_t *doc = read_as(buf_str(&a.body), "core/v1", "ConfigMap");
    assert_string_equal(json_str_at(doc, "kind", ""), "ConfigMap");
    assert_string_equal(json_str_at(doc, "apiVersion", ""), "v1");
    assert_string_equal(json_str_at(doc, "metadata.name", ""), "c0000");
    assert_true(*json_str_at(doc, "metadata.resourceVersion", ""));
    assert_string_equal(json_str_at(doc, "metadata.managedFields[0].operation", ""), "Update");
    assert_non_null(json_at(doc, "metadata.managedFields[0].fieldsV1.f:data"));
    /* what is not there, too */
    auto_answer no = get(CM "/absent", PROTO);
    assert_int_equal(no.code, 404);
    json_auto_t *status = read_as(buf_str(&no.body), "meta/v1", "Status");
    assert_string_equal(json_str_at(status, "reason", ""), "NotFound");
    assert_string_equal(json_str_at(status, "message", ""), "configmaps \"absent\" not found");
    assert_int_equal(json_i64_at(status, "code", 0), 404);
    /* and what a delete says */
    auto_answer gone = ask_as(&h, "admin+system:masters", "DELETE", CM "/c0000", NULL, PROTO, NULL);
    json_auto_t *success = read_as(buf_str(&gone.body), "meta/v1", "Status");
    assert_string_equal(json_str_at(success, "status", ""), "Success");
    /* metadata alone */
    make(0, 1);
    auto_answer part = get(CM "/c0000", PROTO ";as=PartialObjectMetadata;g=meta.k8s.io;v=v1");
    json_auto_t *meta = read_as(buf_str(&part.body), "meta/v1", "PartialObjectMetadata");
    assert_string_equal(json_str_at(meta, "kind", ""), "PartialObjectMetadata");
    assert_string_equal(json_str_at(meta, "metadata.name", ""), "c0000");
}

/* The bytes of field number of a message. */
static struct str part_of(struct str message, uint32_t number)
{
    struct wire_cursor c = wire_over(message);
    struct wire_item it;
    int rc;

    while ((rc = wire_next(&c, &it)) > 0)
        if (it.number == number)
            return it.bytes;
    assert_int_equal(rc, 0);
    return (struct str){ 0 };
}

/* The items of a list's body; the whole of it must be well-formed. */
static unsigned count_items(struct str body, const char *kind)
{
    struct str unknown = str_n(body.p + 4, body.n - 4);
    struct wire_cursor c = wire_over(part_of(unknown, 2));
    struct wire_item it;
    unsigned n = 0;
    int rc;

    assert_memory_equal(body.p, "k8s\0", 4);
    assert_true(str_is(part_of(part_of(unknown, 1), 2), kind));
    while ((rc = wire_next(&c, &it)) > 0)
        n += it.number == 2;
    assert_int_equal(rc, 0);
    return n;
}

/* More than one piece (128 KiB) has to be measured and sent. */
static void long_lists_come_in_pieces(void **state)
{
    enum { N = 600 };

    (void)state;
    make(1000, N);
    auto_answer a = get(CM "?labelSelector=l", PROTO);
    assert_int_equal(a.code, 200);
    assert_int_equal(count_items(buf_str(&a.body), "ConfigMapList"), N + 1);
    auto_answer page = get(CM "?limit=5", PROTO);
    assert_int_equal(count_items(buf_str(&page.body), "ConfigMapList"), 5);
    struct str meta = part_of(part_of(str_n(page.body.p + 4, page.body.n - 4), 2), 1);
    assert_true(part_of(meta, 3).n > 0); /* continue */
    auto_answer part =
        get(CM "?labelSelector=l", PROTO ";as=PartialObjectMetadataList;g=meta.k8s.io;v=v1");
    assert_int_equal(count_items(buf_str(&part.body), "PartialObjectMetadataList"), N + 1);
    auto_answer all = ask_as(&h, "admin+system:masters", "DELETE", CM, NULL, PROTO, NULL);
    assert_true(count_items(buf_str(&all.body), "ConfigMapList") > N);
}

/* ---- watches ---- */

struct frames {
    struct http_call *call;
    struct buf bytes;
    size_t want;
    bool enough, done;
    char type[80];
};

static size_t frame_size(const struct frames *f, size_t at)
{
    const unsigned char *p = (const unsigned char *)f->bytes.p + at;

    return (size_t)p[0] << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3];
}

static size_t count_frames(const struct frames *f)
{
    size_t n = 0, at = 0;

    while (at + 4 <= f->bytes.n && at + 4 + frame_size(f, at) <= f->bytes.n) {
        at += 4 + frame_size(f, at);
        n++;
    }
    return n;
}

static void on_head(struct http_call *c, void *arg, int status, const struct http_headers *hd)
{
    struct frames *f = arg;

    (void)c;
    assert_int_equal(status, 200);
    snprintf(f->type, sizeof f->type, STR_FMT, STR_ARG(http_headers_get(hd, "content-type")));
    f->enough = f->want == 0;
}

static void on_body(struct http_call *c, void *arg, const char *p, size_t n)
{
    struct frames *f = arg;

    (void)c;
    assert_int_equal(buf_add(&f->bytes, p, n), 0);
    f->enough = count_frames(f) >= f->want;
}

static void on_done(struct http_call *c, void *arg, const struct err *e)
{
    struct frames *f = arg;

    (void)c;
    (void)e;
    f->call = NULL;
    f->done = f->enough = true;
}

static void frames_start(struct frames *f, const char *target)
{
    static const struct http_call_events events = { .on_head = on_head,
                                                    .on_body = on_body,
                                                    .on_done = on_done };
    struct http_header headers[] = { { STR("Authorization"), STR("Bearer admin+system:masters") },
                                     { STR("Accept"), STR(PROTO ";stream=watch") } };
    struct http_call_config c = {
        .method = "GET", .target = target, .headers = headers, .n_headers = 2
    };

    *f = (struct frames){ .bytes = BUF(1024 * 1024) };
    http_call_start(&f->call, h.client, &c, &events, f);
    harness_wait(&h, &f->enough);
}

static void frames_wait(struct frames *f, size_t n)
{
    f->want = n;
    f->enough = f->done || count_frames(f) >= n;
    harness_wait(&h, &f->enough);
}

/* The object of the i-th event, whose type must be that. */
static json_t *frame_at(const struct frames *f, size_t i, const char *type, const char *gv,
                        const char *of)
{
    size_t at = 0;

    while (i--)
        at += 4 + frame_size(f, at);
    struct str event = str_n(f->bytes.p + at + 4, frame_size(f, at));
    if (!str_is(part_of(event, 1), type))
        fail_msg("event " STR_FMT ", want %s", STR_ARG(part_of(event, 1)), type);
    return read_as(part_of(part_of(event, 2), 1), gv, of);
}

static void frames_stop(struct frames *f)
{
    if (f->call)
        http_call_cancel(f->call);
    harness_wait(&h, &f->done);
    buf_deinit(&f->bytes);
}

static void events_come_in_frames(void **state)
{
    struct frames one, two;

    (void)state;
    auto_answer list = ask(&h, "GET", CM "?limit=1", NULL);
    auto_free char *target = /* not the state first: it may be of after the patch */
        mem_printf(CM "?watch=1&labelSelector=l&resourceVersion=%s",
                   json_str_at(list.doc, "metadata.resourceVersion", ""));
    frames_start(&one, target);
    frames_start(&two, target);
    assert_string_equal(one.type, PROTO ";stream=watch");
    make(5000, 1);
    auto_answer patched = ask(&h, "PATCH", CM "/c5000", "{\"data\":{\"x\":\"y\"}}");
    auto_answer gone = ask(&h, "DELETE", CM "/c5000", NULL);
    frames_wait(&one, 3);
    frames_wait(&two, 3);
    json_auto_t *added = frame_at(&one, 0, "ADDED", "core/v1", "ConfigMap");
    json_auto_t *modified = frame_at(&one, 1, "MODIFIED", "core/v1", "ConfigMap");
    json_auto_t *deleted = frame_at(&one, 2, "DELETED", "core/v1", "ConfigMap");
    assert_string_equal(json_str_at(added, "metadata.name", ""), "c5000");
    assert_string_equal(json_str_at(modified, "data.x", ""), "y");
    assert_string_not_equal(json_str_at(deleted, "metadata.resourceVersion", ""),
                            json_str_at(modified, "metadata.resourceVersion", ""));
    /* both saw the same bytes */
    assert_int_equal(one.bytes.n, two.bytes.n);
    assert_memory_equal(one.bytes.p, two.bytes.p, one.bytes.n);
    frames_stop(&one);
    frames_stop(&two);
}

static void initial_events_end_with_a_bookmark(void **state)
{
    struct frames f;

    (void)state;
    make(6000, 2);
    frames_start(&f, CM "?watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&"
                        "allowWatchBookmarks=true");
    frames_wait(&f, 3);
    json_auto_t *mark = frame_at(&f, 2, "BOOKMARK", "core/v1", "ConfigMap");
    assert_string_equal(
        json_str_at(mark, "metadata.annotations[\"k8s.io/initial-events-end\"]", ""), "true");
    assert_true(*json_str_at(mark, "metadata.resourceVersion", ""));
    frames_stop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(objects_and_errors_come_as_protobuf),
        cmocka_unit_test(long_lists_come_in_pieces),
        cmocka_unit_test(events_come_in_frames),
        cmocka_unit_test(initial_events_end_with_a_bookmark),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
