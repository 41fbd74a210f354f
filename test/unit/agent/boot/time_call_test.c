/*
 * Asking servers for the time, with real TLS: a server that says what the test wants, our clock
 * anywhere, and thieves.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "agent/boot/time_call.h"
#include "base/core/clock.h"
#include "base/core/log.h"
#include "base/core/mem.h"
#include "base/http/date.h"
#include "base/io/tcp.h"
#include "base/io/tls.h"
#include "base/pki/issue.h"
#include "base/pki/key.h"
#include "base/pki/x509.h"

#define YEAR_S INT64_C(31536000)
#define NAME   "kubernetes"

static uv_loop_t loop;
static struct key *ca_key, *other_key;
static struct x509 *ca, *other_ca;
static struct buf ca_pem;
static int64_t real_s;

/* ---- the server ---- */

static struct tls_server_config *tls;
static struct listener *listener;
static const char *date; /* of its answer; NULL: none */

struct conn {
    struct stream *s;
    bool answered;
};

static void on_data(void *arg, const char *p, size_t n)
{
    struct conn *c = arg;
    auto_free char *text = mem_printf("HTTP/1.1 200 OK\r\n%s%s%sContent-Length: 2\r\n\r\nhi",
                                      date ? "Date: " : "", date ? date : "", date ? "\r\n" : "");

    (void)p;
    (void)n;
    if (!c->answered)
        stream_write(c->s, text, strlen(text));
    c->answered = true;
}

static void on_over(struct conn *c)
{
    stream_close(c->s);
}

static void on_end(void *arg)
{
    on_over(arg);
}

static void on_error(void *arg, const struct err *e)
{
    (void)e;
    on_over(arg);
}

static void on_closed(void *arg)
{
    free(arg);
}

static void on_accept(void *arg, struct stream *raw)
{
    static const struct stream_events events = {
        .on_data = on_data, .on_end = on_end, .on_error = on_error, .on_closed = on_closed
    };
    struct conn *c = mem_alloc(sizeof *c);
    (void)arg;

    c->s = tls_server_wrap(tls, raw);
    stream_open(c->s, &events, c);
}

static void server_with(bool thief, const char *name, int64_t issued_s)
{
    struct issue_spec spec = {
        .common_name = "k3s", .server_auth = true, .sans = &name, .n_sans = 1
    };
    auto_buf pem = BUF(64 * 1024), key_pem = BUF_SECRET(KEY_PEM_MAX_BYTES);
    AUTO(key) struct key *k = NULL;
    AUTO(x509) struct x509 *leaf = NULL;
    struct err e = { 0 };

    if (key_generate(&k, KEY_P256, &e) || key_to_pem(k, &key_pem, &e) ||
        issue_leaf(&leaf, thief ? other_ca : ca, thief ? other_key : ca_key, k, &spec, issued_s,
                   &e) ||
        x509_to_pem(leaf, &pem) ||
        tls_server_config_new(&tls, buf_str(&pem), buf_str(&key_pem), STR(""), NULL, &e) ||
        tcp_listen(&listener, &loop, "127.0.0.1", 0, on_accept, NULL, &e))
        fail_msg("%s", e.text);
}

static void server_gone(void)
{
    listener_close(listener, NULL, NULL);
    while (uv_run(&loop, UV_RUN_ONCE))
        ;
    tls_server_config_free(tls);
}

/* ---- the call ---- */

struct outcome {
    bool done, moved;
    struct err err;
};

static void on_called(void *arg, bool moved, const struct err *e)
{
    struct outcome *o = arg;

    assert_false(o->done);
    o->done = true;
    o->moved = moved;
    if (e)
        o->err = *e;
}

static void dial(void *arg, uint64_t timeout_ms, http_dialed_fn done, void *done_arg)
{
    (void)arg;
    tcp_dial(NULL, &loop, "127.0.0.1", listener_port(listener), timeout_ms, done, done_arg);
}

static struct outcome call(bool cancel)
{
    struct time_call_config c = {
        .loop = &loop, .dial = dial, .ca_pem = buf_str(&ca_pem), .server_name = NAME
    };
    struct outcome o = { 0 };
    struct time_call *t;
    struct err e = { 0 };

    if (time_call_start(&t, &c, on_called, &o, &e))
        fail_msg("%s", e.text);
    assert_false(o.done);
    if (cancel)
        time_call_cancel(t);
    while (!o.done)
        uv_run(&loop, UV_RUN_ONCE);
    return o;
}

/* A machine whose clock is that much ahead, at its start. */
static void machine_ahead(int64_t s)
{
    clock_set_offset_s(-10 * YEAR_S);
    clock_set_offset_s(s);
}

static void each_server_is_believed_as_far_as_it_deserves(void **state)
{
    enum { NONE = -1000 };
    static const struct {
        const char *name;
        bool thief;
        const char *server_name;
        double says, issued;   /* years from now; issued: its certificate, for one year */
        double machine, floor; /* NONE: no floor */
        bool moved;
        const char *why; /* NULL: believed */
        double clock;    /* afterwards */
    } rows[] = {
        { "all is well", false, NAME, 0, -0.3, 0, NONE, false, NULL, 0 },
        { "1970", false, NAME, 0, -0.3, -50, NONE, true, NULL, 0 },
        { "five years ahead", false, NAME, 0, -0.3, 5, NONE, true, NULL, 0 },
        { "a stranger", true, NAME, 0, -0.3, 5, NONE, false, "certificate", 5 },
        { "a kubelet of the cluster", false, "edge-2", 0, -0.3, 5, NONE, false, "ostname", 5 },
        { "a stolen old key, and the truth", false, NAME, 0, -3, 0, NONE, false, "own time", 0 },
        { "a stolen old key, and a time of then", false, NAME, -2.5, -3, 0, -0.1, false,
          "said already", 0 },
        { "no Date", false, NAME, NONE, -0.3, 5, NONE, false, "no Date", 5 },
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char text[HTTP_DATE_BYTES];
        struct outcome o;
        int64_t off_s;

        http_date_text(text, real_s + (int64_t)(rows[i].says * YEAR_S));
        date = rows[i].says == NONE ? NULL : text;
        machine_ahead((int64_t)(rows[i].machine * YEAR_S));
        if (rows[i].floor != NONE)
            clock_raise_floor_s(real_s + (int64_t)(rows[i].floor * YEAR_S));
        server_with(rows[i].thief, rows[i].server_name,
                    real_s + (int64_t)(rows[i].issued * YEAR_S));
        o = call(false);
        if (o.moved != rows[i].moved || (o.err.code != 0) != (rows[i].why != NULL) ||
            (rows[i].why && !strstr(o.err.text, rows[i].why)))
            fail_msg("%s: moved %d, \"%s\"", rows[i].name, o.moved, o.err.text);
        off_s = clock_wall_s() - real_s - (int64_t)(rows[i].clock * YEAR_S);
        if (llabs(off_s) > 120)
            fail_msg("%s: the clock is off by %lld s", rows[i].name, (long long)off_s);
        assert_int_equal(clock_known_s() != 0, !rows[i].why); /* kept only when believed */
        server_gone();
    }
}

static void what_is_heard_in_passing_confirms_but_moves_nothing(void **state)
{
    (void)state;

    machine_ahead(0);
    assert_false(time_call_heard(real_s - 1000));
    assert_int_equal(clock_known_s(), 0);
    assert_true(time_call_heard(real_s));
    assert_true(llabs(clock_known_s() - real_s) < 120);
    assert_true(llabs(clock_floor_s() - (real_s - 7200)) < 120);
}

static void it_can_be_cancelled(void **state)
{
    (void)state;

    date = NULL;
    server_with(false, NAME, real_s);
    assert_int_equal(call(true).err.code, ERR_CANCELED);
    server_gone();
}

static int setup(void **state)
{
    struct err e = { 0 };
    (void)state;

    log_level_min = LOG_LVL_ERROR;
    real_s = clock_machine_s();
    ca_pem = BUF(64 * 1024);
    return uv_loop_init(&loop) || key_generate(&ca_key, KEY_P256, &e) ||
           key_generate(&other_key, KEY_P256, &e) ||
           issue_ca(&ca, ca_key, "k3s-server", real_s - 5 * YEAR_S, &e) ||
           issue_ca(&other_ca, other_key, "k3s-server", real_s - 5 * YEAR_S, &e) ||
           x509_to_pem(ca, &ca_pem);
}

static int teardown(void **state)
{
    (void)state;
    clock_set_offset_s(0);
    assert_int_equal(uv_loop_close(&loop), 0);
    x509_free(ca);
    x509_free(other_ca);
    key_free(ca_key);
    key_free(other_key);
    buf_deinit(&ca_pem);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_server_is_believed_as_far_as_it_deserves),
        cmocka_unit_test(what_is_heard_in_passing_confirms_but_moves_nothing),
        cmocka_unit_test(it_can_be_cancelled),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
