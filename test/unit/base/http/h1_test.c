#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/http/h1.h"

/* What the parser said, as text: "GET /a host=h [body]." */
struct heard {
    struct buf text;
    struct h1 *p;
    int64_t content_length;
    bool keep_alive, upgrade, has_body, expect_continue;
};

static void add(struct heard *r, const char *what, struct str s)
{
    assert_int_equal(buf_addf(&r->text, "%s" STR_FMT, what, STR_ARG(s)), 0);
}

static void on_head(void *arg, const struct h1_head *h)
{
    struct heard *r = arg;

    if (h->status) {
        assert_int_equal(buf_addf(&r->text, "%d", h->status), 0);
    } else {
        add(r, "", h->method);
        add(r, " ", h->target);
    }
    for (size_t i = 0; i < h->headers.n; i++) {
        add(r, " ", h->headers.v[i].name);
        add(r, "=", h->headers.v[i].value);
    }
    r->content_length = h->content_length;
    r->keep_alive = h->keep_alive;
    r->upgrade = h->upgrade;
    r->has_body = h->has_body;
    r->expect_continue = h->expect_continue;
    add(r, " [", (struct str){ NULL, 0 });
}

static void on_body(void *arg, const char *p, size_t n)
{
    add(arg, "", str_n(p, n));
}

static void on_end(void *arg)
{
    add(arg, "].", (struct str){ NULL, 0 });
}

static const struct h1_events events = { on_head, on_body, on_end };

/* Feeds all messages in pieces of step bytes; the code of the first failure, and its status. */
static int hear(struct heard *r, enum h1_kind kind, struct str in, size_t step, int *status,
                size_t *consumed)
{
    struct h1 *p = h1_new(kind, &events, r);
    struct err e = { 0 };
    size_t used;
    int code = 0;

    *consumed = 0;
    while (code == 0 && *consumed < in.n) {
        if (h1_is_ended(p)) {
            if (r->upgrade)
                break;
            h1_next(p);
        }
        code = h1_feed(p, in.p + *consumed, MIN(step, in.n - *consumed), &used, &e);
        *consumed += used;
    }
    *status = code ? h1_error_status(p) : 0;
    h1_free(p);
    return code;
}

static void check_all_steps(enum h1_kind kind, const char *in, int status, const char *text)
{
    const size_t steps[] = { 100000, 1, 2, 3, 7 };

    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        struct heard r = { .text = BUF(1 << 20) };
        int got;
        size_t consumed;

        hear(&r, kind, str_of(in), steps[i], &got, &consumed);
        if (got != status || (text && strcmp(buf_cstr(&r.text), text) != 0))
            fail_msg("%s\nstep %zu: status %d not %d: \"%s\"", in, steps[i], got, status,
                     buf_cstr(&r.text));
        buf_deinit(&r.text);
    }
}

static void requests_are_read_or_refused_with_the_right_status(void **state)
{
    static const struct {
        const char *in;
        int status;
        const char *heard; /* NULL: it does not matter */
    } rows[] = {
        { "GET / HTTP/1.1\r\nHost: h\r\n\r\n", 0, "GET / Host=h []." },
        { "\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n", 0, "GET / Host=h []." },
        { "GET / HTTP/1.0\r\n\r\n", 0, "GET / []." },
        { "GET /a?b=c&d HTTP/1.1\r\nhost:h\r\nX-A:   v 1 \t\r\nX-B:\r\n\r\n", 0,
          "GET /a?b=c&d host=h X-A=v 1 X-B= []." },
        { "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabcGET /2 HTTP/1.1\r\nHost: "
          "i\r\n\r\n",
          0, NULL },
        { "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: Chunked\r\n\r\n0\r\n\r\n", 0,
          "POST / Host=h Transfer-Encoding=Chunked []." },
        { "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n", 0,
          "POST / Host=h Content-Length=0 []." },
        { "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n", 0, "OPTIONS * Host=h []." },
        { "CONNECT 10.0.0.1:10250 HTTP/1.1\r\nHost: h\r\n\r\nraw", 0,
          "CONNECT 10.0.0.1:10250 Host=h []." },
        { "PATCH / HTTP/1.1\r\nHost:\r\n\r\n", 0, "PATCH / Host= []." },
        /* the first line */
        { "GET / HTTP/2.0\r\nHost: h\r\n\r\n", 505, "" },
        { "GET / HTTP/1.2\r\nHost: h\r\n\r\n", 505, "" },
        { "GET / HTTP/0.9\r\nHost: h\r\n\r\n", 505, "" },
        { "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, "" },
        { "GET / HTTP/11\r\nHost: h\r\n\r\n", 400, "" },
        { "GET / RTSP/1.0\r\nHost: h\r\n\r\n", 400, "" },
        { "SOURCE / ICE/1.0\r\nHost: h\r\n\r\n", 400, "" },
        { "GET /\r\nHost: h\r\n\r\n", 400, "" },
        { "GET  / HTTP/1.1\r\nHost: h\r\n\r\n", 400, "" },
        { "GET / HTTP/1.1 \r\nHost: h\r\n\r\n", 400, "" },
        { "GET / a HTTP/1.1\r\nHost: h\r\n\r\n", 400, "" },
        { " GET / HTTP/1.1\r\nHost: h\r\n\r\n", 400, "" },
        { "G(T / HTTP/1.1\r\nHost: h\r\n\r\n", 400, "" },
        { "FROB / HTTP/1.1\r\nHost: h\r\n\r\n", 501, "" },
        { "\x16\x03\x01\x02", 400, "" }, /* a TLS hello on a plain port is refused at once */
        /* headers */
        { "GET / HTTP/1.1\r\n\r\n", 400, "" },
        { "GET / HTTP/1.1\r\nHost: h\r\nHost: h\r\n\r\n", 400, "" },
        { "GET / HTTP/1.1\r\nHost : h\r\n\r\n", 400, "" },
        { "GET / HTTP/1.1\r\nHost: h\r\nX\t: h\r\n\r\n", 400, "" },
        { "GET / HTTP/1.1\r\nHost: h\r\n folded\r\n\r\n", 400, "" },
        { "GET / HTTP/1.1\r\nHost: h\r\n: v\r\n\r\n", 400, "" },
        { "GET / HTTP/1.1\r\nHost: h\r\nnocolon\r\n\r\n", 400, "" },
        { "GET / HTTP/1.1\nHost: h\n\n", 400, "" },
        { "GET / HTTP/1.1\r\nHost: h\rX: y\r\n\r\n", 400, "" },
        { "GET / HTTP/1.1\r\nHost: h\x01\r\n\r\n", 400, "" },
        /* framing */
        { "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nTransfer-Encoding: "
          "chunked\r\n\r\n",
          400, "" },
        { "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nContent-Length: "
          "3\r\n\r\n",
          400, "" },
        { "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\n", 400, "" },
        { "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: -1\r\n\r\n", 400, "" },
        { "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1 2\r\n\r\n", 400, "" },
        { "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999999999999999\r\n\r\n", 400, "" },
        { "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip\r\n\r\n", 501, "" },
        { "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501, "" },
        { "POST / HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n", 400, "" },
        { "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400, NULL },
        { "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n", 400,
          NULL },
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        check_all_steps(H1_REQUEST, rows[i].in, rows[i].status, rows[i].heard);
}

static void responses_are_read(void **state)
{
    static const struct {
        const char *in;
        int status;
        const char *heard;
    } rows[] = {
        { "HTTP/1.1 204 No Content\r\n\r\n", 0, "204 []." },
        { "HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n", 0, "304 Content-Length=7 []." },
        { "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 0,
          "200 Content-Length=0 []." },
        { "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", 0, "200 Content-Length=0 []." },
        { "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\nraw", 0,
          "101 Upgrade=x Connection=Upgrade []." },
        { "HTTP/2 200 OK\r\n\r\n", 400, "" },
        { "ICY 200 OK\r\n\r\n", 400, "" },
        { "HTTP/1.1 abc OK\r\n\r\n", 400, "" },
        { "HTTP/1.1 200 OK\r\nA : b\r\n\r\n", 400, "" },
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        check_all_steps(H1_RESPONSE, rows[i].in, rows[i].status, rows[i].heard);
}

static void bodies_arrive_whole_however_they_are_cut(void **state)
{
    static const char in[] = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
                             "3\r\nabc\r\n10;ext=1\r\n0123456789abcdef\r\n0\r\nTrailer: x\r\n\r\n"
                             "PUT /2 HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nwxyz"
                             "GET /3 HTTP/1.1\r\nHost: h\r\n\r\n";
    (void)state;

    for (size_t step = 1; step < sizeof in; step++) {
        struct heard r = { .text = BUF(1 << 20) };
        size_t consumed;
        int status;

        assert_int_equal(hear(&r, H1_REQUEST, str_of(in), step, &status, &consumed), 0);
        assert_int_equal(consumed, sizeof in - 1);
        assert_string_equal(buf_cstr(&r.text),
                            "POST / Host=h Transfer-Encoding=chunked [abc0123456789abcdef]."
                            "PUT /2 Host=h Content-Length=4 [wxyz].GET /3 Host=h [].");
        buf_deinit(&r.text);
    }
}

static void an_upgrade_leaves_what_is_behind_the_head(void **state)
{
    static const char *const heads[] = {
        "GET /exec HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n\r\n",
        ("POST /exec HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\nConnection: keep-alive, "
         "Upgrade\r\nUpgrade: SPDY/3.1\r\n\r\n"),
        "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n",
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(heads); i++)
        for (size_t step = 1; step < 300; step++) {
            struct heard r = { .text = BUF(1 << 20) };
            auto_buf in = BUF(1000);
            size_t consumed;
            int status;

            assert_int_equal(buf_addf(&in, "%s\x80\x03raw\r\n\r\n", heads[i]), 0);
            assert_int_equal(hear(&r, H1_REQUEST, buf_str(&in), step, &status, &consumed), 0);
            assert_true(r.upgrade);
            assert_int_equal(consumed, strlen(heads[i]));
            buf_deinit(&r.text);
        }
}

static void keep_alive_follows_version_and_connection(void **state)
{
    static const struct {
        enum h1_kind kind;
        const char *in;
        bool keep;
    } rows[] = {
        { H1_REQUEST, "GET / HTTP/1.1\r\nHost: h\r\n\r\n", true },
        { H1_REQUEST, "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", false },
        { H1_REQUEST, "GET / HTTP/1.1\r\nHost: h\r\nConnection: x, Close\r\n\r\n", false },
        { H1_REQUEST, "GET / HTTP/1.0\r\nHost: h\r\n\r\n", false },
        { H1_REQUEST, "GET / HTTP/1.0\r\nHost: h\r\nConnection: keep-alive\r\n\r\n", true },
        { H1_RESPONSE, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n", true },
        { H1_RESPONSE, "HTTP/1.1 200 OK\r\n\r\n", false },
        { H1_RESPONSE, "HTTP/1.1 204 OK\r\n\r\n", true },
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct heard r = { .text = BUF(1000) };
        size_t consumed;
        int status;

        assert_int_equal(hear(&r, rows[i].kind, str_of(rows[i].in), 1000, &status, &consumed), 0);
        if (r.keep_alive != rows[i].keep)
            fail_msg("%s: keep_alive %d", rows[i].in, r.keep_alive);
        buf_deinit(&r.text);
    }
}

static void limits_hold(void **state)
{
    static const struct {
        size_t target, value, n_headers, trailer;
        int status;
    } rows[] = {
        { HTTP_TARGET_MAX_BYTES, 1, 1, 0, 0 },
        { HTTP_TARGET_MAX_BYTES + 1, 1, 1, 0, 414 },
        { HTTP_TARGET_MAX_BYTES * 20, 1, 1, 0, 414 },
        { 1, HTTP_HEADERS_MAX_BYTES - 100, 1, 0, 0 },
        { 1, HTTP_HEADERS_MAX_BYTES, 1, 0, 431 },
        { 1, HTTP_HEADERS_MAX_BYTES * 4, 1, 0, 431 },
        { 1, 1, HTTP_HEADERS_MAX - 2, 0, 0 }, /* and Host, Transfer-Encoding */
        { 1, 1, HTTP_HEADERS_MAX - 1, 0, 431 },
        { 1, 1, 1, 1000, 0 },
        { 1, 1, 1, 100000, 431 },
    };
    const size_t steps[] = { 1 << 20, 4096, 100 };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(rows) * ARRAY_LEN(steps); i++) {
        size_t row = i / ARRAY_LEN(steps), step = steps[i % ARRAY_LEN(steps)];
        struct heard r = { .text = BUF(1 << 20) };
        auto_buf in = BUF(1 << 20);
        size_t consumed;
        int status;

        assert_int_equal(buf_adds(&in, "GET "), 0);
        for (size_t j = 0; j < rows[row].target; j++)
            assert_int_equal(buf_addc(&in, '/'), 0);
        assert_int_equal(buf_adds(&in, " HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n"),
                         0);
        for (size_t j = 0; j < rows[row].n_headers; j++) {
            assert_int_equal(buf_addf(&in, "X%zu: ", j), 0);
            for (size_t k = 0; k < rows[row].value; k++)
                assert_int_equal(buf_addc(&in, 'v'), 0);
            assert_int_equal(buf_adds(&in, "\r\n"), 0);
        }
        assert_int_equal(buf_adds(&in, "\r\n0\r\nT: "), 0);
        for (size_t j = 0; j < rows[row].trailer; j++)
            assert_int_equal(buf_addc(&in, 't'), 0);
        assert_int_equal(buf_adds(&in, "\r\n\r\n"), 0);
        hear(&r, H1_REQUEST, buf_str(&in), step, &status, &consumed);
        if (status != rows[row].status)
            fail_msg("row %zu step %zu: %d", row, step, status);
        buf_deinit(&r.text);
    }
}

static void a_body_until_close_ends_with_finish(void **state)
{
    struct heard r = { .text = BUF(1000) };
    struct h1 *p = h1_new(H1_RESPONSE, &events, &r);
    struct err e = { 0 };
    size_t used;
    (void)state;

    assert_int_equal(h1_feed(p, "HTTP/1.1 200 OK\r\n\r\nabc", 22, &used, &e), 0);
    assert_int_equal(used, 22);
    assert_false(h1_is_ended(p));
    assert_int_equal(h1_finish(p, &e), 0);
    assert_string_equal(buf_cstr(&r.text), "200 [abc].");
    h1_free(p);
    buf_deinit(&r.text);
}

static void finish_in_the_middle_is_an_error(void **state)
{
    static const struct {
        const char *in;
        int code;
    } rows[] = {
        { "", 0 },
        { "GET /", ERR_CLOSED },
        { "GET / HTTP/1.1\r\nHost: h\r\n\r\n", 0 },
        { "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\na", ERR_CLOSED },
        { "PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n", ERR_CLOSED },
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct heard r = { .text = BUF(1000) };
        struct h1 *p = h1_new(H1_REQUEST, &events, &r);
        struct err e = { 0 };
        size_t used;

        assert_int_equal(h1_feed(p, rows[i].in, strlen(rows[i].in), &used, &e), 0);
        assert_int_equal(h1_finish(p, &e), rows[i].code);
        h1_free(p);
        buf_deinit(&r.text);
    }
}

static void an_answer_to_head_has_no_body(void **state)
{
    struct heard r = { .text = BUF(1000) };
    struct h1 *p = h1_new(H1_RESPONSE, &events, &r);
    struct err e = { 0 };
    size_t used;
    (void)state;

    h1_expect(p, true, false);
    assert_int_equal(h1_feed(p, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nHTTP/", 43, &used, &e),
                     0);
    assert_int_equal(used, 38);
    assert_true(r.keep_alive);
    assert_string_equal(buf_cstr(&r.text), "200 Content-Length=9 [].");
    h1_free(p);
    buf_deinit(&r.text);
}

static void heads_are_written(void **state)
{
    const struct http_header h[] = {
        { STR("Accept"), STR("*/*") },
        { STR("content-length"), STR("99") }, /* framing is not the caller's */
    };
    const struct http_header bad[] = { { STR("A"), STR("b\r\nEvil: c") } };
    auto_buf out = BUF(1000);
    struct err e = { 0 };
    (void)state;

    assert_int_equal(
        h1_put_request(&out, STR("GET"), STR("/a"), STR("h:1"), h, 2, H1_BODY_NONE, &e), 0);
    assert_string_equal(buf_cstr(&out), "GET /a HTTP/1.1\r\nHost: h:1\r\nAccept: */*\r\n\r\n");
    buf_clear(&out);
    assert_int_equal(h1_put_response(&out, 404, h, 2, 5, &e), 0);
    assert_string_equal(buf_cstr(&out),
                        "HTTP/1.1 404 Not Found\r\nAccept: */*\r\nContent-Length: 5\r\n\r\n");
    assert_int_equal(h1_put_response(&out, 200, bad, 1, 5, &e), ERR_INVALID);
    assert_int_equal(
        h1_put_request(&out, STR("GET"), STR("/ HTTP/1.1\r\n"), STR("h"), NULL, 0, 0, &e),
        ERR_INVALID);
    buf_clear(&out);
    assert_int_equal(h1_put_response(&out, 200, NULL, 0, H1_BODY_CHUNKED, &e), 0);
    assert_string_equal(buf_cstr(&out), "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_are_read_or_refused_with_the_right_status),
        cmocka_unit_test(responses_are_read),
        cmocka_unit_test(bodies_arrive_whole_however_they_are_cut),
        cmocka_unit_test(an_upgrade_leaves_what_is_behind_the_head),
        cmocka_unit_test(keep_alive_follows_version_and_connection),
        cmocka_unit_test(limits_hold),
        cmocka_unit_test(a_body_until_close_ends_with_finish),
        cmocka_unit_test(finish_in_the_middle_is_an_error),
        cmocka_unit_test(an_answer_to_head_has_no_body),
        cmocka_unit_test(heads_are_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
