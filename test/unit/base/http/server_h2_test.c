/* The server over HTTP/2, in memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/http/h2.h"
#include "test/unit/base/http/server_world.h"

/* A client end that speaks HTTP/2 over w->client. */
struct h2_client {
    struct world *w;
    struct h2 *h;
    struct h2_stream *s; /* the last with a head */
    struct buf text;
    size_t n_body;
    unsigned n_closed, n_goaways;
    uint32_t code;
    bool hold;
};

static void c_head(void *arg, struct h2_stream *s, const struct h2_head *head)
{
    struct h2_client *c = arg;

    c->s = s;
    assert_int_equal(buf_addf(&c->text, "%d", head->status), 0);
    for (size_t i = 0; i < head->headers.n; i++)
        if (!str_is(head->headers.v[i].name, "date"))
            assert_int_equal(buf_addf(&c->text, " " STR_FMT "=" STR_FMT,
                                      STR_ARG(head->headers.v[i].name),
                                      STR_ARG(head->headers.v[i].value)),
                             0);
    assert_int_equal(buf_adds(&c->text, " ["), 0);
}

static void c_data(void *arg, struct h2_stream *s, const char *p, size_t n)
{
    struct h2_client *c = arg;

    c->n_body += n;
    if (n < 1000)
        assert_int_equal(buf_add(&c->text, p, n), 0);
    if (!c->hold)
        h2_consume(s, n);
}

static void c_end(void *arg, struct h2_stream *s)
{
    (void)s;
    assert_int_equal(buf_adds(&((struct h2_client *)arg)->text, "]"), 0);
}

static void c_drain(void *arg, struct h2_stream *s)
{
    (void)arg;
    (void)s;
}

static void c_close(void *arg, struct h2_stream *s, uint32_t code)
{
    struct h2_client *c = arg;

    c->n_closed++;
    c->code = code;
    if (c->s == s)
        c->s = NULL;
}

static void c_goaway(void *arg, int32_t last_id, uint32_t code)
{
    (void)last_id;
    (void)code;
    ((struct h2_client *)arg)->n_goaways++;
}

static const struct h2_events h2_client_events = { c_head,  c_data,   c_end, c_drain,
                                                   c_close, c_goaway, NULL };

static void exchange(struct h2_client *c)
{
    for (int i = 0; i < 200; i++) {
        auto_buf out = BUF(1 << 20);
        struct err e = { 0 };

        assert_int_equal(h2_pull(c->h, &out, 64 * 1024, &e), 0);
        if (out.n > 0)
            stream_write(c->w->client, out.p, out.n);
        uv_run(&c->w->loop, UV_RUN_NOWAIT);
        if (c->w->got.n > 0) {
            assert_int_equal(h2_feed(c->h, c->w->got.p, c->w->got.n, &e), 0);
            buf_clear(&c->w->got);
        }
    }
}

static void open_h2(struct world *w, struct h2_client *c, uint64_t timeout_ms)
{
    open_world(w, timeout_ms);
    *c = (struct h2_client){ .w = w, .text = BUF(1 << 20) };
    c->h = h2_new(&(struct h2_config){ .events = &h2_client_events, .arg = c });
    exchange(c);
}

static void close_h2(struct world *w, struct h2_client *c)
{
    close_world(w);
    h2_free(c->h);
    buf_deinit(&c->text);
}

static struct h2_stream *ask(struct h2_client *c, const char *method, const char *path, bool end)
{
    struct h2_stream *s = NULL;
    struct err e = { 0 };

    assert_int_equal(h2_request(c->h, &s, str_of(method), STR("https"), STR("h"), str_of(path),
                                NULL, 0, end, NULL, &e),
                     0);
    return s;
}

static void h2_requests_get_their_answers(void **state)
{
    static const struct {
        const char *method, *path, *body, *out;
        uint32_t code;
    } rows[] = {
        { "GET", "/hello", NULL, "200 content-type=text/plain x-a=b content-length=2 [hi]", 0 },
        { "HEAD", "/hello", NULL, "200 content-type=text/plain x-a=b content-length=2 []", 0 },
        { "GET", "/no?a=b", NULL, "404 content-type=text/plain content-length=7 [/no?a=b]", 0 },
        { "POST", "/echo", "abcde", "200 content-type=text/plain content-length=5 [abcde]", 0 },
        { "POST", "/echo", "0123456789a",
          "413 content-type=text/plain; charset=utf-8 content-length=67 [413 Content Too Large: "
          "the "
          "body of the request is too large\n]",
          0 },
        { "POST", "/count", "abc", "200 content-type=text/plain content-length=1 [3]", 0 },
        { "POST", "/none", "abc", "204 []", 0 },
        { "GET", "/stream", NULL, "200 x-a=b [abcdefg]", 0 },
        { "HEAD", "/stream", NULL, "200 x-a=b []", 0 },
        { "GET", "/length", NULL, "200 content-length=3 [abc]", 0 },
        { "GET", "/badhead", NULL, "500 []", 0 },
        { "GET", "/up", NULL, NULL, 0 },
        { "GET", "/cut", NULL, NULL, H2_INTERNAL_ERROR },
    };
    struct world w;
    struct h2_client c;
    (void)state;

    open_h2(&w, &c, 0);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct h2_stream *s = ask(&c, rows[i].method, rows[i].path, !rows[i].body);
        unsigned n_closed = c.n_closed;

        buf_clear(&c.text);
        buf_clear(&w.body);
        if (rows[i].body) {
            exchange(&c);
            if (c.n_closed == n_closed) {
                h2_write(s, rows[i].body, strlen(rows[i].body));
                h2_end(s);
            }
        }
        exchange(&c);
        if (rows[i].out && !strstr(rows[i].out, "413") &&
            strcmp(buf_cstr(&c.text), rows[i].out) != 0)
            fail_msg("%s\nnot\n%s", buf_cstr(&c.text), rows[i].out);
        if (rows[i].out)
            assert_memory_equal(buf_cstr(&c.text), rows[i].out, 4);
        assert_int_equal(c.n_closed, n_closed + 1);
        assert_int_equal(c.code, rows[i].code);
    }
    assert_int_equal(w.n_requests, ARRAY_LEN(rows));
    assert_int_equal(w.n_done, ARRAY_LEN(rows));
    close_h2(&w, &c);
}

static void h2_requests_run_at_the_same_time(void **state)
{
    struct world w;
    struct h2_client c;
    (void)state;

    open_h2(&w, &c, 0);
    ask(&c, "GET", "/later", true);
    exchange(&c);
    ask(&c, "GET", "/none", true);
    exchange(&c);
    assert_string_equal(buf_cstr(&c.text), "204 []");
    http_reply(w.r, 200, NULL, STR("x"), NULL, 0);
    exchange(&c);
    assert_string_equal(buf_cstr(&c.text), "204 []200 content-length=1 [x]");
    assert_int_equal(w.n_done, 2);
    close_h2(&w, &c);
}

static void an_h2_answer_waits_for_a_slow_reader(void **state)
{
    struct world w;
    struct h2_client c;
    (void)state;

    open_h2(&w, &c, 0);
    c.hold = true;
    w.n_to_write = 8 << 20;
    ask(&c, "GET", "/bulk", true);
    exchange(&c);
    assert_int_equal(c.n_body, H2_STREAM_WINDOW_BYTES);
    assert_true(w.n_to_write > 6 << 20);
    c.hold = false;
    h2_consume(c.s, c.n_body);
    for (int i = 0; i < 10; i++)
        exchange(&c);
    assert_int_equal(c.n_body, 8 << 20);
    assert_int_equal(w.n_done, 1);
    assert_int_equal(w.done_code, 0);
    close_h2(&w, &c);
}

static void a_paused_h2_request_holds_only_its_own_stream(void **state)
{
    static char bulk[3 << 20];
    struct world w;
    struct h2_client c;
    struct h2_stream *s;
    (void)state;

    open_h2(&w, &c, 0);
    s = ask(&c, "PUT", "/paused", false);
    h2_write(s, bulk, sizeof bulk);
    h2_end(s);
    exchange(&c);
    assert_int_equal(w.body.n, 0);
    assert_int_equal(h2_queued(s), sizeof bulk - H2_STREAM_WINDOW_BYTES);
    ask(&c, "GET", "/none", true);
    exchange(&c);
    assert_string_equal(buf_cstr(&c.text), "204 []");
    http_req_resume(w.r);
    exchange(&c);
    assert_int_equal(w.body.n, sizeof bulk);
    assert_int_equal(w.n_bodies_ended, 1);
    http_reply(w.r, 204, NULL, STR(""), NULL, 0);
    exchange(&c);
    assert_int_equal(w.n_done, 2);
    close_h2(&w, &c);
}

static void an_h2_client_that_resets_or_leaves_ends_its_requests_once(void **state)
{
    struct world w;
    struct h2_client c;
    struct h2_stream *s;
    (void)state;

    open_h2(&w, &c, 0);
    s = ask(&c, "GET", "/later", true);
    exchange(&c);
    h2_reset(s, H2_CANCEL);
    exchange(&c);
    assert_int_equal(w.n_done, 1);
    assert_int_equal(w.done_code, ERR_CLOSED);
    ask(&c, "GET", "/later", true);
    ask(&c, "PUT", "/echo", false);
    exchange(&c);
    assert_int_equal(w.n_done, 1);
    drop_client(&w);
    assert_int_equal(w.n_done, 3);
    assert_int_equal(w.done_code, ERR_CLOSED);
    assert_int_equal(http_server_n_connections(w.server), 0);
    close_h2(&w, &c);
}

static void an_idle_h2_connection_gets_a_goaway(void **state)
{
    struct world w;
    struct h2_client c;
    struct err e = { 0 };
    (void)state;

    open_h2(&w, &c, 300); /* long enough for a slow machine to answer first */
    ask(&c, "GET", "/none", true);
    exchange(&c);
    await_end(&w);
    assert_int_equal(h2_feed(c.h, w.got.p, w.got.n, &e), 0);
    assert_int_equal(c.n_goaways, 1);
    close_h2(&w, &c);
}

static void an_h2_connection_goes_after_a_request_that_asked_for_it(void **state)
{
    struct world w;
    struct h2_client c;
    struct err e = { 0 };
    (void)state;

    open_h2(&w, &c, 0);
    ask(&c, "GET", "/later", true); /* another one runs: it is not cut */
    ask(&c, "GET", "/close", true);
    exchange(&c);
    assert_non_null(strstr(buf_cstr(&c.text), "[bye]"));
    assert_false(w.client_ended);
    http_reply(w.r, 200, "text/plain", STR("late"), NULL, 0);
    spin(&w);
    assert_true(w.client_ended);
    assert_int_equal(h2_feed(c.h, w.got.p, w.got.n, &e), 0);
    assert_int_equal(c.n_goaways, 1);
    assert_non_null(strstr(buf_cstr(&c.text), "[late]"));
    close_h2(&w, &c);
}

/* What runs goes on; the connection goes with it. */
static void h2_peers_hear_at_once_that_the_server_leaves(void **state)
{
    struct world w;
    struct h2_client c;
    struct h2_stream *s;
    struct err e = { 0 };
    (void)state;

    open_h2(&w, &c, 0);
    ask(&c, "GET", "/later", true);
    exchange(&c);
    http_server_leave(w.server);
    exchange(&c);
    assert_int_equal(c.n_goaways, 1);
    assert_false(w.client_ended);
    assert_int_equal(h2_request(c.h, &s, STR("GET"), STR("https"), STR("h"), STR("/none"), NULL, 0,
                                true, NULL, &e),
                     ERR_CLOSED);
    http_reply(w.r, 200, "text/plain", STR("late"), NULL, 0);
    exchange(&c);
    assert_non_null(strstr(buf_cstr(&c.text), "[late]"));
    assert_true(w.client_ended);
    assert_int_equal(c.n_goaways, 1);
    close_h2(&w, &c);
}

static void rubbish_behind_the_h2_preface_ends_the_connection(void **state)
{
    struct world w;
    (void)state;

    open_world(&w, 0);
    send_text(&w, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nrubbish that is no frame, and goes on and on");
    assert_true(w.client_ended);
    drop_client(&w);
    assert_int_equal(http_server_n_connections(w.server), 0);
    close_world(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(h2_requests_get_their_answers),
        cmocka_unit_test(h2_requests_run_at_the_same_time),
        cmocka_unit_test(an_h2_answer_waits_for_a_slow_reader),
        cmocka_unit_test(a_paused_h2_request_holds_only_its_own_stream),
        cmocka_unit_test(an_h2_client_that_resets_or_leaves_ends_its_requests_once),
        cmocka_unit_test(an_idle_h2_connection_gets_a_goaway),
        cmocka_unit_test(an_h2_connection_goes_after_a_request_that_asked_for_it),
        cmocka_unit_test(h2_peers_hear_at_once_that_the_server_leaves),
        cmocka_unit_test(rubbish_behind_the_h2_preface_ends_the_connection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
