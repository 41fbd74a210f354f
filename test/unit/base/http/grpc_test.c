#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/http/grpc.h"
#include "test/unit/base/http/h2_peer.h"

/* ---- the codec ---- */

static void frames_have_the_bytes_of_the_protocol(void **state)
{
    /* a CRI VersionRequest{version:"v1"} as grpc-go sends it */
    static const char want[] = "\x00\x00\x00\x00\x04\x0a\x02v1";
    auto_buf b = BUF(20), small = BUF(8);
    (void)state;

    assert_int_equal(grpc_frame_add(&b, STR("\x0a\x02v1")), 0);
    assert_int_equal(b.n, sizeof want - 1);
    assert_memory_equal(b.p, want, b.n);
    assert_int_equal(grpc_frame_add(&b, STR("")), 0);
    assert_int_equal(b.n, sizeof want - 1 + 5);
    assert_int_equal(grpc_frame_add(&small, STR("four")), ERR_LIMIT);
    assert_int_equal(small.n, 0);
}

static void messages_are_read_in_pieces_of_any_size(void **state)
{
    static const struct {
        struct str bytes;
        int code;
        const char *want;
        bool between;
    } rows[] = {
        { STR(""), 0, "", true },
        { STR("\0\0\0\0\0"), 0, "[]", true },
        { STR("\0\0\0\0\2hi\0\0\0\0\0\0\0\0\0\3abc"), 0, "[hi][][abc]", true },
        { STR("\0\0\0\0\2h"), 0, "", false },
        { STR("\0\0\0"), 0, "", false },
        { STR("\0\0\0\0\11123456789"), ERR_LIMIT, "", false },
        { STR("\0\377\377\377\377"), ERR_LIMIT, "", false },
        { STR("\1\0\0\0\0"), ERR_PROTOCOL, "", false },
        { STR("\2\0\0\0\0"), ERR_PROTOCOL, "", false },
        { STR("HTTP/1.1 400 Bad Request"), ERR_PROTOCOL, "", false },
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        for (size_t piece = 1; piece < 30; piece += 3) {
            struct str all = rows[i].bytes;
            struct grpc_reader r;
            struct err e = { 0 };
            auto_buf log = BUF(100);
            int code = 0;
            grpc_reader_init(&r, 8);
            for (size_t at = 0; at < all.n && !code; at += piece) {
                struct str in = str_n(all.p + at, MIN(piece, all.n - at));
                bool done = true;
                while (done && !(code = grpc_reader_read(&r, &in, &done, &e)))
                    if (done)
                        assert_int_equal(
                            buf_addf(&log, "[" STR_FMT "]", STR_ARG(buf_str(&r.message))), 0);
            }
            assert_int_equal(code, rows[i].code);
            assert_string_equal(buf_cstr(&log), rows[i].want);
            if (!code)
                assert_int_equal(grpc_reader_is_between(&r), rows[i].between);
            grpc_reader_deinit(&r);
        }
    }
}

static void statuses_become_errors(void **state)
{
    static const struct {
        unsigned status;
        const char *message;
        int code;
        const char *text;
    } rows[] = {
        { 0, "ignored", 0, NULL },
        { 5, "no such container", ERR_NOT_FOUND, "NOT_FOUND: no such container" },
        { 5, "a%20b%3A%20%C3%A9", ERR_NOT_FOUND, "NOT_FOUND: a b: \xc3\xa9" },
        { 2, "100% broken", ERR_IO, "UNKNOWN: 100% broken" }, /* a bad escape hides nothing */
        { 4, "", ERR_TIMEOUT, "DEADLINE_EXCEEDED" },
        { 14, "", ERR_AGAIN, "UNAVAILABLE" },
        { 12, "unknown method", ERR_INVALID, "UNIMPLEMENTED: unknown method" },
        { 16, "", ERR_DENIED, "UNAUTHENTICATED" },
        { 17, "new", ERR_PROTOCOL, "gRPC status 17: new" },
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct err e = { 0 };
        assert_int_equal(grpc_status_err(&e, rows[i].status, str_of(rows[i].message)),
                         rows[i].code);
        if (rows[i].text)
            assert_string_equal(e.text, rows[i].text);
    }
}

static void timeouts_have_at_most_eight_digits(void **state)
{
    static const struct {
        uint64_t ms;
        const char *want;
    } rows[] = {
        { 1, "1m" },
        { 99999999, "99999999m" },
        { 100000000, "100000S" },
        { UINT64_MAX, "99999999S" },
    };
    char out[16];
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        grpc_timeout_text(out, rows[i].ms);
        assert_string_equal(out, rows[i].want);
    }
}

/* ---- calls ---- */

struct answer {
    int http_status;
    const char *type;
    struct str body;
    const char *head_status, *trailer_status, *message;
};

struct world {
    uv_loop_t loop;
    struct h2_peer peer;
    struct http_endpoint *ep;
    const struct answer *answer;
    struct h2_stream *open; /* a call that the peer leaves unanswered */
    char *asked;
    struct buf log;
    unsigned n_done;
};

static void on_peer_head(void *arg, struct h2_stream *s, const struct h2_head *h)
{
    struct world *w = arg;
    struct str content_type = http_headers_get(&h->headers, "content-type");
    struct str te = http_headers_get(&h->headers, "te");
    struct str timeout = http_headers_get(&h->headers, "grpc-timeout");

    (void)s;
    free(w->asked);
    w->asked =
        mem_printf(STR_FMT " " STR_FMT "|" STR_FMT "|" STR_FMT "|" STR_FMT, STR_ARG(h->method),
                   STR_ARG(h->path), STR_ARG(content_type), STR_ARG(te), STR_ARG(timeout));
}

static void on_peer_request(void *arg, struct h2_stream *s, struct str body)
{
    struct world *w = arg;
    const struct answer *a = w->answer;
    struct http_header head[3], trailer[2];
    size_t n = 0, n_trailer = 0;
    struct err e;

    w->open = s;
    if (!a)
        return;
    if (a->type)
        head[n++] = (struct http_header){ STR("content-type"), str_of(a->type) };
    if (a->head_status) {
        head[n++] = (struct http_header){ STR("grpc-status"), str_of(a->head_status) };
        head[n++] = (struct http_header){ STR("grpc-message"), str_of(a->message) };
    }
    if (a->trailer_status) {
        trailer[n_trailer++] =
            (struct http_header){ STR("grpc-status"), str_of(a->trailer_status) };
        if (a->message)
            trailer[n_trailer++] = (struct http_header){ STR("grpc-message"), str_of(a->message) };
    }
    assert_int_equal(h2_respond(s, a->http_status, head, n, a->head_status != NULL, &e), 0);
    if (a->head_status)
        return;
    if (a->body.p)
        h2_write(s, a->body.p, a->body.n);
    else
        h2_write(s, body.p, body.n); /* an echo */
    if (n_trailer > 0)
        assert_int_equal(h2_end_trailers(s, trailer, n_trailer, &e), 0);
    else
        h2_end(s);
}

static void world_init(struct world *w)
{
    struct http_endpoint_config c = { .proto = HTTP_H2 };
    struct err e = { 0 };

    memset(w, 0, sizeof *w);
    w->log = BUF(1 << 16);
    assert_int_equal(uv_loop_init(&w->loop), 0);
    w->peer.arg = w;
    w->peer.on_head = on_peer_head;
    w->peer.on_request = on_peer_request;
    if (h2_peer_init(&w->peer, &w->loop, &e))
        fail_msg("%s", e.text);
    c.authority = w->peer.authority;
    http_endpoint_new(&w->ep, &w->loop, &c);
}

static void world_deinit(struct world *w)
{
    http_endpoint_close(w->ep, h2_peer_close, &w->peer);
    uv_run(&w->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&w->loop), 0);
    h2_peer_deinit(&w->peer);
    free(w->asked);
    buf_deinit(&w->log);
}

static void run_until_done(struct world *w, unsigned n)
{
    while (w->n_done < n)
        uv_run(&w->loop, UV_RUN_ONCE);
}

static void on_reply(void *arg, struct str reply, const struct err *e)
{
    struct world *w = arg;

    w->n_done++;
    buf_clear(&w->log);
    if (e)
        assert_int_equal(buf_addf(&w->log, "%s|%s", err_code_name(e->code), e->text), 0);
    else
        assert_int_equal(buf_addf(&w->log, "ok|" STR_FMT, STR_ARG(reply)), 0);
}

#define GRPC "application/grpc"

static void unary_calls_have_one_outcome(void **state)
{
    static const struct {
        struct answer a;
        const char *want;
    } rows[] = {
        { { 200, GRPC, { 0 }, NULL, "0", NULL }, "ok|ask" },
        { { 200, GRPC "+proto", STR("\0\0\0\0\0"), NULL, "0", "" }, "ok|" },
        /* trailers-only */
        { { 200, GRPC, { 0 }, "5", NULL, "no%20pod" }, "not found|Do: NOT_FOUND: no pod" },
        /* the status behind a message wins */
        { { 200, GRPC, { 0 }, NULL, "14", "later" }, "again|Do: UNAVAILABLE: later" },
        { { 200, GRPC, STR(""), NULL, "0", NULL }, "protocol|Do: status OK without a reply" },
        { { 200, GRPC, STR("\0\0\0\0\0\0\0\0\0\0"), NULL, "0", NULL },
          "protocol|Do: more than one reply" },
        { { 200, GRPC, STR("\0\0\0\0\5cut"), NULL, "0", NULL },
          "protocol|Do: the answer ended in the middle of a message" },
        { { 200, GRPC, { 0 }, NULL, NULL, NULL },
          "protocol|Do: the answer ended without grpc-status" },
        { { 200, GRPC, { 0 }, NULL, "x", NULL }, "protocol|Do: bad grpc-status \"x\"" },
        { { 200, GRPC, STR("\1\0\0\0\0"), NULL, "0", NULL }, "protocol|Do: compressed" },
        { { 200, GRPC, STR("\0\377\0\0\0"), NULL, "0", NULL }, "limit|Do: gRPC message of" },
        { { 200, "text/html", STR("<h1>"), NULL, NULL, NULL },
          "protocol|Do: the answer is \"text/html\"" },
        { { 503, "text/html", STR("<h1>"), NULL, NULL, NULL },
          "again|Do: HTTP status 503: UNAVAILABLE" },
        { { 404, NULL, STR(""), NULL, NULL, NULL }, "invalid|Do: HTTP status 404: UNIMPLEMENTED" },
    };
    struct world w;
    (void)state;

    world_init(&w);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        w.answer = &rows[i].a;
        grpc_unary(w.ep, "/test.v1.Echo/Do", STR("ask"), 61000, on_reply, &w);
        run_until_done(&w, (unsigned)i + 1);
        if (strncmp(w.log.p, rows[i].want, strlen(rows[i].want)) != 0)
            fail_msg("row %zu: \"%s\" is not \"%s\"", i, w.log.p, rows[i].want);
        assert_string_equal(w.asked,
                            "POST /test.v1.Echo/Do|application/grpc+proto|trailers|61000m");
    }
    assert_int_equal(w.peer.n_conns, 1);
    world_deinit(&w);
}

static void a_big_message_goes_both_ways(void **state)
{
    static const struct answer echo = { 200, GRPC, { 0 }, NULL, "0", NULL };
    const size_t n = 5 << 20; /* beyond every window */
    auto_free char *big = mem_alloc(n);
    struct world w;
    (void)state;

    memset(big, 'x', n);
    world_init(&w);
    buf_deinit(&w.log);
    w.log = BUF(8 << 20);
    w.answer = &echo;
    grpc_unary(w.ep, "/a/B", str_n(big, n), 0, on_reply, &w);
    run_until_done(&w, 1);
    assert_int_equal(w.log.n, n + 3);
    world_deinit(&w);
}

static void a_canceled_call_resets_its_stream(void **state)
{
    struct grpc_call *c;
    struct world w;
    (void)state;

    world_init(&w);
    c = grpc_unary(w.ep, "/a/B", STR(""), 0, on_reply, &w);
    while (!w.open)
        uv_run(&w.loop, UV_RUN_ONCE);
    grpc_cancel(c);
    run_until_done(&w, 1);
    assert_string_equal(w.log.p, "canceled|B: the call was canceled");
    while (h2_n_streams(w.peer.conns[0].h2) > 0)
        uv_run(&w.loop, UV_RUN_ONCE);
    world_deinit(&w);
}

static void a_deadline_ends_a_call(void **state)
{
    struct world w;
    (void)state;

    world_init(&w);
    grpc_unary(w.ep, "/a/B", STR(""), 10, on_reply, &w);
    run_until_done(&w, 1);
    assert_int_equal(strncmp(w.log.p, "timeout|B: ", 11), 0);
    world_deinit(&w);
}

static void on_message(struct grpc_call *c, void *arg, struct str message)
{
    struct world *w = arg;

    (void)c;
    assert_int_equal(buf_addf(&w->log, "[" STR_FMT "]", STR_ARG(message)), 0);
}

static void on_stream_done(struct grpc_call *c, void *arg, const struct err *e)
{
    struct world *w = arg;

    (void)c;
    w->n_done++;
    assert_int_equal(buf_addf(&w->log, "%s", e ? e->text : "."), 0);
}

static const struct grpc_call_events stream_events = { .on_message = on_message,
                                                       .on_done = on_stream_done };

static void a_stream_brings_messages_as_they_come(void **state)
{
    static const struct http_header type = { STR("content-type"), STR(GRPC) };
    static const struct http_header ok = { STR("grpc-status"), STR("0") };
    const struct grpc_call_config cfg = { .path = "/a/Events" };
    struct grpc_call *c;
    struct world w;
    struct err e;
    (void)state;

    world_init(&w);
    grpc_call_start(&c, w.ep, &cfg, &stream_events, &w);
    grpc_call_send(c, STR("go"));
    grpc_call_end(c);
    while (!w.open)
        uv_run(&w.loop, UV_RUN_ONCE);
    assert_string_equal(w.asked, "POST /a/Events|application/grpc+proto|trailers|");
    assert_int_equal(h2_respond(w.open, 200, &type, 1, false, &e), 0);
    h2_write(w.open, "\0\0\0\0\3one\0\0\0\0\3t", 14);
    h2_peer_flush_all(&w.peer);
    while (w.log.n < 5)
        uv_run(&w.loop, UV_RUN_ONCE);
    assert_string_equal(w.log.p, "[one]");
    h2_write(w.open, "wo", 2);
    assert_int_equal(h2_end_trailers(w.open, &ok, 1, &e), 0);
    h2_peer_flush_all(&w.peer);
    run_until_done(&w, 1);
    assert_string_equal(w.log.p, "[one][two].");
    world_deinit(&w);
}

static void both_ways_may_stream_at_once(void **state)
{
    static const struct http_header type = { STR("content-type"), STR(GRPC) };
    static const struct http_header ok = { STR("grpc-status"), STR("0") };
    static const struct http_header token = { STR("token"), STR("etcd") };
    const struct grpc_call_config cfg = { .path = "/etcdserverpb.Watch/Watch",
                                          .metadata = &token,
                                          .n_metadata = 1 };
    struct h2_peer_req *r;
    struct grpc_call *c;
    struct world w;
    struct err e;
    (void)state;

    world_init(&w);
    grpc_call_start(&c, w.ep, &cfg, &stream_events, &w);
    grpc_call_send(c, STR("1"));
    while (!w.asked)
        uv_run(&w.loop, UV_RUN_ONCE);
    assert_null(w.open); /* our direction is open still */
    assert_string_equal(w.asked, "POST /etcdserverpb.Watch/Watch|application/grpc+proto|trailers|");
    grpc_call_send(c, STR("2"));
    grpc_call_end(c);
    while (!w.open)
        uv_run(&w.loop, UV_RUN_ONCE);
    r = h2_user(w.open);
    assert_int_equal(r->body.n, 12);
    assert_memory_equal(r->body.p, "\0\0\0\0\0011\0\0\0\0\0012", 12);
    assert_int_equal(h2_respond(w.open, 200, &type, 1, false, &e), 0);
    assert_int_equal(h2_end_trailers(w.open, &ok, 1, &e), 0);
    h2_peer_flush_all(&w.peer);
    run_until_done(&w, 1);
    assert_string_equal(w.log.p, ".");
    world_deinit(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_have_the_bytes_of_the_protocol),
        cmocka_unit_test(messages_are_read_in_pieces_of_any_size),
        cmocka_unit_test(statuses_become_errors),
        cmocka_unit_test(timeouts_have_at_most_eight_digits),
        cmocka_unit_test(unary_calls_have_one_outcome),
        cmocka_unit_test(a_big_message_goes_both_ways),
        cmocka_unit_test(a_canceled_call_resets_its_stream),
        cmocka_unit_test(a_deadline_ends_a_call),
        cmocka_unit_test(a_stream_brings_messages_as_they_come),
        cmocka_unit_test(both_ways_may_stream_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
