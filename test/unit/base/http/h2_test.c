#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/core/mem.h"
#include "base/http/h2.h"
#include "base/io/stream.h"

/* One end of a connection in memory, and what it heard, as text. */
struct end {
    struct h2 *h;
    struct buf text;
    struct h2_stream *s; /* the last with a head */
    size_t n_body, n_unconsumed;
    unsigned n_closed, n_drains, n_goaways, n_pongs;
    uint32_t close_code;
    bool hold; /* do not consume */
};

static void add(struct end *x, const char *what, struct str s)
{
    assert_int_equal(buf_addf(&x->text, "%s" STR_FMT, what, STR_ARG(s)), 0);
}

static void on_head(void *arg, struct h2_stream *s, const struct h2_head *head)
{
    struct end *x = arg;

    x->s = s;
    if (head->status) {
        assert_int_equal(buf_addf(&x->text, "%d", head->status), 0);
    } else {
        add(x, "", head->method);
        add(x, " ", head->scheme);
        add(x, "://", head->authority);
        add(x, "", head->path);
    }
    if (head->refuse)
        assert_int_equal(buf_addf(&x->text, " refuse=%d", head->refuse), 0);
    for (size_t i = 0; i < head->headers.n && i < 10; i++) {
        add(x, " ", head->headers.v[i].name);
        add(x, "=", str_n(head->headers.v[i].value.p, MIN(head->headers.v[i].value.n, (size_t)20)));
    }
    add(x, " [", STR(""));
}

static void on_data(void *arg, struct h2_stream *s, const char *p, size_t n)
{
    struct end *x = arg;

    x->n_body += n;
    if (n < 100)
        add(x, "", str_n(p, n));
    if (x->hold)
        x->n_unconsumed += n;
    else
        h2_consume(s, n);
}

static void on_end(void *arg, struct h2_stream *s)
{
    struct end *x = arg;
    const struct http_headers *t = h2_trailers(s);

    add(x, "]", STR(""));
    for (size_t i = 0; i < t->n; i++) {
        add(x, " ", t->v[i].name);
        add(x, "=", t->v[i].value);
    }
    add(x, ".", STR(""));
}

static void on_drain(void *arg, struct h2_stream *s)
{
    (void)s;
    ((struct end *)arg)->n_drains++;
}

static void on_close(void *arg, struct h2_stream *s, uint32_t code)
{
    struct end *x = arg;

    x->n_closed++;
    x->close_code = code;
    if (x->s == s)
        x->s = NULL;
}

static void on_goaway(void *arg, int32_t last_id, uint32_t code)
{
    (void)last_id;
    (void)code;
    ((struct end *)arg)->n_goaways++;
}

static void on_pong(void *arg)
{
    ((struct end *)arg)->n_pongs++;
}

static const struct h2_events events = { on_head,  on_data,   on_end, on_drain,
                                         on_close, on_goaway, on_pong };

struct pair {
    struct end client, server;
};

static void open_pair(struct pair *p, uint32_t n_streams_max)
{
    *p = (struct pair){ 0 };
    p->client.text = p->server.text = BUF(1 << 20);
    p->client.h = h2_new(&(struct h2_config){ .events = &events, .arg = &p->client });
    p->server.h = h2_new(&(struct h2_config){
        .server = true, .n_streams_max = n_streams_max, .events = &events, .arg = &p->server });
}

static void close_pair(struct pair *p)
{
    h2_free(p->client.h);
    h2_free(p->server.h);
    buf_deinit(&p->client.text);
    buf_deinit(&p->server.text);
}

/* Moves bytes both ways until both are silent; step: how many at a time. */
static int move(struct pair *p, size_t step)
{
    struct end *from[] = { &p->client, &p->server };
    struct err e = { 0 };

    for (int quiet = 0, i = 0; quiet < 2; i ^= 1) {
        auto_buf out = BUF(1 << 20);
        assert_int_equal(h2_pull(from[i]->h, &out, 64 * 1024, &e), 0);
        quiet = out.n ? 0 : quiet + 1;
        for (size_t at = 0; at < out.n; at += step)
            if (h2_feed(from[!i]->h, out.p + at, MIN(step, out.n - at), &e))
                return e.code;
    }
    return 0;
}

static struct h2_stream *ask(struct pair *p, const char *method, const char *path,
                             const struct http_header *h, size_t n, bool end)
{
    struct h2_stream *s = NULL;
    struct err e = { 0 };

    if (h2_request(p->client.h, &s, str_of(method), STR("https"), STR("h:1"), str_of(path), h, n,
                   end, NULL, &e))
        fail_msg("%s", e.text);
    return s;
}

static void respond(struct h2_stream *s, int status, const struct http_header *h, size_t n,
                    bool end)
{
    struct err e = { 0 };

    if (h2_respond(s, status, h, n, end, &e))
        fail_msg("%s", e.text);
}

static void heads_bodies_and_trailers_arrive(void **state)
{
    const struct http_header h[] = {
        { STR("X-Remote-User"), STR("a") }, { STR("Connection"), STR("close") },
        { STR("TE"), STR("trailers") },     { STR("Upgrade"), STR("x") },
        { STR("Host"), STR("other") },
    };
    const struct http_header t[] = { { STR("Grpc-Status"), STR("0") } };
    (void)state;

    for (size_t step = 1; step < 60; step += 7) {
        struct pair p;
        struct h2_stream *s;
        struct err e = { 0 };

        open_pair(&p, 0);
        s = ask(&p, "POST", "/a?b", h, ARRAY_LEN(h), false);
        h2_write(s, "abc", 3);
        assert_int_equal(move(&p, step), 0);
        h2_write(s, "def", 3);
        h2_end(s);
        assert_int_equal(move(&p, step), 0);
        assert_string_equal(buf_cstr(&p.server.text),
                            "POST https://h:1/a?b x-remote-user=a te=trailers [abcdef].");
        respond(p.server.s, 200, NULL, 0, false);
        h2_write(p.server.s, "xyz", 3);
        assert_int_equal(h2_end_trailers(p.server.s, t, 1, &e), 0);
        assert_int_equal(move(&p, step), 0);
        assert_string_equal(buf_cstr(&p.client.text), "200 [xyz] grpc-status=0.");
        assert_int_equal(p.client.n_closed, 1);
        assert_int_equal(p.server.n_closed, 1);
        assert_int_equal(p.server.close_code, H2_NO_ERROR);
        assert_int_equal(h2_n_streams(p.server.h), 0);
        close_pair(&p);
    }
}

static void the_window_opens_only_when_the_consumer_consumed(void **state)
{
    struct pair p;
    struct h2_stream *s;
    static char bulk[3 << 20];
    (void)state;

    open_pair(&p, 0);
    assert_int_equal(move(&p, 1 << 20), 0); /* the settings */
    p.server.hold = true;
    s = ask(&p, "PUT", "/", NULL, 0, false);
    h2_write(s, bulk, sizeof bulk);
    h2_end(s);
    assert_int_equal(move(&p, 1 << 20), 0);
    assert_int_equal(p.server.n_body, H2_STREAM_WINDOW_BYTES);
    assert_int_equal(h2_queued(s), sizeof bulk - H2_STREAM_WINDOW_BYTES);
    assert_int_equal(p.client.n_drains, 0);
    p.server.hold = false;
    h2_consume(p.server.s, p.server.n_unconsumed);
    assert_int_equal(move(&p, 1 << 20), 0);
    assert_int_equal(p.server.n_body, sizeof bulk);
    assert_int_equal(h2_queued(s), 0);
    assert_int_equal(p.client.n_drains, 1);
    close_pair(&p);
}

static void unconsumed_bytes_of_closed_streams_do_not_eat_the_connection(void **state)
{
    struct pair p;
    static char bulk[1 << 20];
    (void)state;

    open_pair(&p, 0);
    assert_int_equal(move(&p, 1 << 20), 0);
    p.server.hold = true;
    for (int i = 0; i < 10; i++) {
        struct h2_stream *s = ask(&p, "PUT", "/", NULL, 0, false);
        p.server.n_body = 0;
        h2_write(s, bulk, sizeof bulk);
        assert_int_equal(move(&p, 1 << 20), 0);
        assert_int_equal(p.server.n_body, sizeof bulk);
        h2_reset(s, H2_CANCEL);
        assert_int_equal(move(&p, 1 << 20), 0);
        assert_int_equal(p.server.close_code, H2_CANCEL);
    }
    assert_int_equal(p.server.n_closed, 10);
    close_pair(&p);
}

static void an_early_answer_arrives_whole_before_the_reset(void **state)
{
    struct pair p;
    struct h2_stream *s;
    static char bulk[2 << 20];
    (void)state;

    open_pair(&p, 0);
    assert_int_equal(move(&p, 1 << 20), 0);
    p.server.hold = true;
    s = ask(&p, "PUT", "/", NULL, 0, false);
    h2_write(s, bulk, sizeof bulk);
    assert_int_equal(move(&p, 1 << 20), 0);
    respond(p.server.s, 413, NULL, 0, false);
    h2_write(p.server.s, "too large", 9);
    h2_end(p.server.s);
    assert_int_equal(move(&p, 1 << 20), 0);
    assert_string_equal(buf_cstr(&p.client.text), "413 [too large].");
    assert_int_equal(p.client.n_closed, 1);
    assert_int_equal(p.client.close_code, H2_NO_ERROR);
    assert_int_equal(p.server.close_code, H2_NO_ERROR);
    close_pair(&p);
}

static void heads_beyond_the_limits_are_marked(void **state)
{
    enum { N = 300 };
    static char value[HTTP_HEADERS_MAX_BYTES], path[HTTP_TARGET_MAX_BYTES + 10];
    struct http_header many[N],
        big[] = { { STR("x"), str_n(value, sizeof value - 1) }, { STR("y"), str_n(value, 100) } };
    const struct {
        const char *path;
        const struct http_header *h;
        size_t n;
        const char *want;
    } rows[] = {
        { "/", many, HTTP_HEADERS_MAX, "GET https://h:1/ n=v " },
        { "/", many, HTTP_HEADERS_MAX + 1, "GET https://h:1/ refuse=431" },
        { "/", big, 1, "GET https://h:1/ x=vvvv" },
        { "/", big, 2, "GET https://h:1/ refuse=431" },
        { path, NULL, 0, "GET https://h:1 refuse=414" },
    };
    (void)state;

    memset(value, 'v', sizeof value);
    memset(path, '/', sizeof path - 1);
    for (size_t i = 0; i < N; i++)
        many[i] = (struct http_header){ STR("n"), STR("v") };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct pair p;
        open_pair(&p, 0);
        ask(&p, "GET", rows[i].path, rows[i].h, rows[i].n, true);
        assert_int_equal(move(&p, 1 << 20), 0);
        if (strncmp(buf_cstr(&p.server.text), rows[i].want, strlen(rows[i].want)) != 0)
            fail_msg("row %zu: %s", i, buf_cstr(&p.server.text));
        close_pair(&p);
    }
}

static void bad_header_bytes_are_refused_before_they_go_out(void **state)
{
    const struct http_header bad[] = { { STR("a"), STR("b\r\nc") },
                                       { STR("a b"), STR("c") },
                                       { STR(":status"), STR("200") },
                                       { STR(""), STR("c") } };
    struct pair p;
    (void)state;

    open_pair(&p, 0);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct h2_stream *s;
        struct err e = { 0 };
        assert_int_equal(h2_request(p.client.h, &s, STR("GET"), STR("https"), STR("h"), STR("/"),
                                    &bad[i], 1, true, NULL, &e),
                         ERR_INVALID);
    }
    assert_int_equal(h2_n_streams(p.client.h), 0);
    close_pair(&p);
}

static void streams_at_once_are_limited(void **state)
{
    struct pair p;
    struct h2_stream *s;
    struct err e = { 0 };
    (void)state;

    open_pair(&p, 3);
    assert_int_equal(move(&p, 1 << 20), 0);
    for (int i = 0; i < 3; i++)
        ask(&p, "GET", "/", NULL, 0, true);
    assert_int_equal(h2_n_streams_left(p.client.h), 0);
    assert_int_equal(h2_request(p.client.h, &s, STR("GET"), STR("https"), STR("h"), STR("/"), NULL,
                                0, true, NULL, &e),
                     ERR_LIMIT);
    assert_int_equal(move(&p, 1 << 20), 0);
    respond(p.server.s, 204, NULL, 0, true);
    assert_int_equal(move(&p, 1 << 20), 0);
    assert_int_equal(h2_n_streams_left(p.client.h), 1);
    close_pair(&p);
}

static void goaway_lets_running_streams_end(void **state)
{
    struct pair p;
    struct h2_stream *s;
    struct err e = { 0 };
    (void)state;

    open_pair(&p, 0);
    ask(&p, "GET", "/", NULL, 0, true);
    assert_int_equal(move(&p, 1 << 20), 0);
    h2_goaway(p.server.h, H2_NO_ERROR);
    assert_int_equal(move(&p, 1 << 20), 0);
    assert_int_equal(p.client.n_goaways, 1);
    assert_int_equal(h2_request(p.client.h, &s, STR("GET"), STR("https"), STR("h"), STR("/"), NULL,
                                0, true, NULL, &e),
                     ERR_CLOSED);
    assert_false(h2_is_over(p.server.h));
    respond(p.server.s, 204, NULL, 0, true);
    assert_int_equal(move(&p, 1 << 20), 0);
    assert_string_equal(buf_cstr(&p.client.text), "204 [].");
    assert_true(h2_is_over(p.server.h));
    assert_true(h2_is_over(p.client.h));
    close_pair(&p);
}

static void a_request_that_was_never_sent_is_closed_too(void **state)
{
    struct pair p;
    struct h2_stream *s;
    (void)state;

    open_pair(&p, 0);
    assert_int_equal(move(&p, 1 << 20), 0);
    s = ask(&p, "GET", "/", NULL, 0, true);
    h2_reset(s, H2_CANCEL);
    assert_int_equal(move(&p, 1 << 20), 0);
    assert_int_equal(p.client.n_closed, 1);
    /* and one that crosses a goaway */
    h2_goaway(p.server.h, H2_NO_ERROR);
    ask(&p, "GET", "/", NULL, 0, true);
    assert_int_equal(move(&p, 1 << 20), 0);
    assert_int_equal(p.client.n_closed, 2);
    assert_int_equal(p.client.close_code, H2_REFUSED_STREAM);
    assert_int_equal(h2_n_streams(p.client.h), 0);
    close_pair(&p);
}

static void a_ping_is_answered(void **state)
{
    struct pair p;
    (void)state;

    open_pair(&p, 0);
    h2_ping(p.client.h);
    assert_int_equal(move(&p, 1 << 20), 0);
    assert_int_equal(p.client.n_pongs, 1);
    close_pair(&p);
}

static void fast_resets_end_the_connection(void **state)
{
    struct pair p;
    int n = 0;
    (void)state;

    open_pair(&p, 0);
    assert_int_equal(move(&p, 1 << 20), 0);
    while (n < 3000 && !p.client.n_goaways) {
        struct h2_stream *s = ask(&p, "GET", "/", NULL, 0, true);
        auto_buf out = BUF(1 << 20);
        struct err e = { 0 };
        assert_int_equal(h2_pull(p.client.h, &out, 1 << 16, &e), 0);
        h2_reset(s, H2_CANCEL);
        assert_int_equal(h2_pull(p.client.h, &out, 1 << 16, &e), 0);
        assert_int_equal(h2_feed(p.server.h, out.p, out.n, &e), 0);
        assert_int_equal(move(&p, 1 << 20), 0);
        n++;
    }
    assert_int_equal(p.client.n_goaways, 1);
    assert_in_range(n, 900, 2900);
    close_pair(&p);
}

static void rubbish_is_an_error(void **state)
{
    static const char *const rows[] = {
        "GET / HTTP/1.1\r\nHost: h\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nrubbish that is no frame at all",
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct pair p;
        struct err e = { 0 };
        auto_buf out = BUF(1 << 20);
        int r;

        open_pair(&p, 0);
        r = h2_feed(p.server.h, rows[i], strlen(rows[i]), &e);
        err_ignore(h2_pull(p.server.h, &out, 1 << 16, &e)); /* it may have failed */
        assert_true(r || h2_is_over(p.server.h));
        assert_int_equal(p.server.text.n, 0);
        close_pair(&p);
    }
}

static void the_preface_is_known_by_its_first_bytes(void **state)
{
    static const struct {
        const char *p;
        int is;
    } rows[] = {
        { "", -1 },
        { "P", -1 },
        { "PRI * HTTP/2.0\r\n\r\nSM\r\n\r", -1 },
        { "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 1 },
        { "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nxx", 1 },
        { "PO", 0 },
        { "GET / HTTP/1.1", 0 },
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_int_equal(h2_is_preface(rows[i].p, strlen(rows[i].p)), rows[i].is);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(heads_bodies_and_trailers_arrive),
        cmocka_unit_test(the_window_opens_only_when_the_consumer_consumed),
        cmocka_unit_test(unconsumed_bytes_of_closed_streams_do_not_eat_the_connection),
        cmocka_unit_test(an_early_answer_arrives_whole_before_the_reset),
        cmocka_unit_test(heads_beyond_the_limits_are_marked),
        cmocka_unit_test(bad_header_bytes_are_refused_before_they_go_out),
        cmocka_unit_test(streams_at_once_are_limited),
        cmocka_unit_test(goaway_lets_running_streams_end),
        cmocka_unit_test(a_request_that_was_never_sent_is_closed_too),
        cmocka_unit_test(a_ping_is_answered),
        cmocka_unit_test(fast_resets_end_the_connection),
        cmocka_unit_test(rubbish_is_an_error),
        cmocka_unit_test(the_preface_is_known_by_its_first_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
