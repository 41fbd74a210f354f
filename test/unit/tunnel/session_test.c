/* Conversations with one end of a session: a step per row, and what it said because of it.
 *
 * Steps:  open, write N TEXT, fill N KIB, close N [TEXT], flush N (graceful close after the queue),
 *         pause N, resume N, ready N; recv TYPE CONN BODY and hex BYTES come from the peer;
 *         ping, pong; wait MS; cut TEXT; hold and go stop and start sending; mute: the peer answers
 *         no pings from now on, till then it does.
 * Said:   >TYPE CONN BODY; went out; data N TEXT; end N [CODE TEXT]; open N TEXT; left BYTES; PING;
 *         dead TEXT; are events. Long bodies are told by their size: [32768].
 */
#include "base/core/buf.h"
#include "base/core/mem.h"
#include "base/core/rand.h"
#include "tunnel/frame.h"
#include "tunnel/framing.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

enum { N_FLOWS = 64 };

struct end {
    struct tunnel_session *s;
    uint64_t now_ms;
    bool hold, worked, mute;
    const char *refuse; /* on_open refuses with it */
    struct flow {
        struct end *end;
        struct tunnel_flow *f;
        int64_t number;
    } flows[N_FLOWS];
    size_t n_flows;
    struct buf log;
};

static void say(struct end *x, const char *fmt, ...) PRINTF_FMT(2, 3);
static void say(struct end *x, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    if (x->log.n)
        err_ignore(buf_addc(&x->log, ' '));
    assert_int_equal(buf_vaddf(&x->log, fmt, ap), 0);
    va_end(ap);
}

static void say_body(struct end *x, const char *what, int64_t number, struct str body)
{
    if (body.n > 60)
        say(x, "%s %lld [%zu];", what, (long long)number, body.n);
    else if (body.n)
        say(x, "%s %lld " STR_FMT ";", what, (long long)number, STR_ARG(body));
    else
        say(x, "%s %lld;", what, (long long)number);
}

static void on_data(void *arg, const char *p, size_t n)
{
    struct flow *w = arg;

    say_body(w->end, "data", w->number, str_n(p, n));
}

static void on_sent(void *arg)
{
    struct flow *w = arg;

    say(w->end, "left %zu;", tunnel_flow_queued(w->f));
}

static void on_end(void *arg, const struct err *e)
{
    struct flow *w = arg;

    w->f = NULL;
    if (e)
        say(w->end, "end %lld %s: %s;", (long long)w->number, err_code_name(e->code), e->text);
    else
        say(w->end, "end %lld;", (long long)w->number);
}

static const struct tunnel_flow_events flow_events = { .on_data = on_data, .on_end = on_end };
static const struct tunnel_flow_events sent_events = { .on_data = on_data,
                                                       .on_sent = on_sent,
                                                       .on_end = on_end };

static void on_work(void *arg)
{
    ((struct end *)arg)->worked = true;
}

static void on_ping(void *arg)
{
    struct end *x = arg;

    if (x->mute)
        say(x, "PING;");
    else
        tunnel_session_control(x->s, true, x->now_ms);
}

static void on_open(void *arg, struct tunnel_flow *f, struct str proto, struct str address)
{
    struct end *x = arg;
    struct flow *w = &x->flows[x->n_flows++];

    say(x, "open %lld " STR_FMT " " STR_FMT ";", (long long)tunnel_flow_number(f), STR_ARG(proto),
        STR_ARG(address));
    if (x->refuse) {
        tunnel_flow_close(f, x->refuse, false, x->now_ms);
        return;
    }
    *w = (struct flow){ x, f, tunnel_flow_number(f) };
    tunnel_flow_bind(f, &flow_events, w);
}

static void on_dead(void *arg, const struct err *e)
{
    say(arg, "dead %s: %s;", err_code_name(e->code), e->text);
}

static const struct tunnel_session_events session_events = { on_work, on_ping, on_open, on_dead };

static const char *const type_names[] = { "?",     "Data",      "Connect",
                                          "Error", "AddClient", "RemoveClient",
                                          "Pause", "Resume",    "Sync" };

static void pump(struct end *x)
{
    struct tunnel_frame f;
    struct str m;
    struct err e;

    tunnel_session_deliver(x->s);
    while (!x->hold && tunnel_session_next(x->s, &m, x->now_ms)) {
        char what[32];

        assert_int_equal(tunnel_frame_decode(&f, m, &e), 0);
        snprintf(what, sizeof what, ">%s", type_names[f.type]);
        if (f.type == TUNNEL_FRAME_SYNC) {
            say(x, "%s", what);
            for (size_t i = 0; i < f.body.n / 8; i++)
                say(x, "%lld", (long long)tunnel_frame_sync_get(f.body, i));
        } else {
            say_body(x, what, f.conn, f.body);
        }
    }
    tunnel_session_deliver(x->s);
}

static void wait_ms(struct end *x, uint64_t ms)
{
    uint64_t until = x->now_ms + ms, deadline;

    while ((deadline = tunnel_session_deadline(x->s)) <= until) {
        x->now_ms = MAX(x->now_ms, deadline);
        tunnel_session_tick(x->s, x->now_ms);
        pump(x);
    }
    x->now_ms = until;
}

static void receive(struct end *x, int64_t type, int64_t conn, struct str body)
{
    struct tunnel_frame f = { .id = 77, .conn = conn, .type = type, .deadline_ms = 15000 };
    struct buf b = BUF(1024 * 1024);
    char head[TUNNEL_FRAME_HEAD_MAX];

    assert_int_equal(buf_add(&b, head, tunnel_frame_head(head, &f)), 0);
    assert_int_equal(buf_add_str(&b, body), 0);
    tunnel_session_receive(x->s, buf_str(&b), x->now_ms);
    buf_deinit(&b);
}

static struct tunnel_flow *flow_of(struct end *x, int64_t number)
{
    for (size_t i = x->n_flows; i-- > 0;)
        if (x->flows[i].number == number)
            return x->flows[i].f;
    fail_msg("no flow %lld", (long long)number);
    return NULL;
}

static void open_one(struct end *x)
{
    struct flow *w = &x->flows[x->n_flows++];
    struct err e;

    w->end = x;
    if (tunnel_session_open(x->s, &w->f, STR("tcp"), STR("127.0.0.1:10250"), 15000, x->now_ms,
                            &flow_events, w, &e)) {
        say(x, "cannot: %s;", e.text);
        return;
    }
    w->number = tunnel_flow_number(w->f);
    tunnel_flow_resume(w->f);
}

static void receive_named(struct end *x, struct str rest)
{
    struct str type, conn, list, one;
    uint64_t number = 0;
    int64_t n = 0;

    str_cut(rest, ' ', &type, &rest);
    str_cut(rest, ' ', &conn, &rest);
    assert_true(str_to_i64(conn, &n));
    for (size_t i = 1; i < ARRAY_LEN(type_names); i++) {
        char ids[64 * 8];
        size_t n_ids = 0;

        if (!str_is(type, type_names[i]))
            continue;
        if (str_starts(rest, STR("*"))) { /* so many KiB, in messages of 32 KiB */
            static const char block[32 * 1024];

            assert_true(str_to_u64(str_n(rest.p + 1, rest.n - 1), &number));
            for (; number >= 32; number -= 32)
                receive(x, (int64_t)i, n, str_n(block, sizeof block));
            return;
        }
        for (list = rest; i == TUNNEL_FRAME_SYNC && list.n; n_ids += 8) {
            str_cut(list, ' ', &one, &list);
            assert_true(str_to_u64(one, &number));
            tunnel_frame_sync_put(ids + n_ids, (int64_t)number);
        }
        receive(x, (int64_t)i, n, i == TUNNEL_FRAME_SYNC ? str_n(ids, n_ids) : rest);
        return;
    }
    fail_msg("no type " STR_FMT, STR_ARG(type));
}

static void step(struct end *x, struct str line)
{
    static const char zeros[1024 * 1024];
    struct str verb, rest, number;
    struct err e;
    uint64_t n = 0, kib;

    str_cut(line, ' ', &verb, &rest);
    if (str_is(verb, "open")) {
        open_one(x);
    } else if (str_is(verb, "recv")) {
        receive_named(x, rest);
    } else if (str_is(verb, "hex")) {
        char bytes[256];

        assert_true(str_unhex(bytes, rest.n / 2, rest));
        tunnel_session_receive(x->s, str_n(bytes, rest.n / 2), x->now_ms);
    } else if (str_is(verb, "wait")) {
        assert_true(str_to_u64(rest, &n));
        wait_ms(x, n);
    } else if (str_is(verb, "ping") || str_is(verb, "pong")) {
        tunnel_session_control(x->s, str_is(verb, "pong"), x->now_ms);
    } else if (str_is(verb, "mute")) {
        x->mute = true;
    } else if (str_is(verb, "cut")) {
        err_set(&e, ERR_CLOSED, STR_FMT, STR_ARG(rest));
        tunnel_session_kill(x->s, &e);
    } else if (str_is(verb, "hold") || str_is(verb, "go")) {
        x->hold = str_is(verb, "hold");
    } else {
        struct tunnel_flow *f;

        str_cut(rest, ' ', &number, &rest);
        assert_true(str_to_u64(number, &n));
        f = flow_of(x, (int64_t)n);
        assert_non_null(f);
        if (str_is(verb, "write")) {
            tunnel_flow_write(f, rest.p, rest.n);
        } else if (str_is(verb, "fill")) {
            assert_true(str_to_u64(rest, &kib));
            for (; kib > 0; kib -= MIN(kib, 1024u))
                tunnel_flow_write(f, zeros, MIN(kib, 1024u) * 1024);
        } else if (str_is(verb, "pause")) {
            tunnel_flow_pause(f);
        } else if (str_is(verb, "resume")) {
            tunnel_flow_resume(f);
        } else if (str_is(verb, "listen")) {
            for (size_t i = 0; i < x->n_flows; i++)
                if (x->flows[i].f == f)
                    tunnel_flow_bind(f, &sent_events, &x->flows[i]);
        } else if (str_is(verb, "ready")) {
            tunnel_flow_ready(f);
        } else if (str_is(verb, "close") || str_is(verb, "flush")) {
            auto_free char *text = rest.n ? str_dup(rest) : NULL;

            tunnel_flow_close(f, text, str_is(verb, "flush"), x->now_ms);
            for (size_t i = 0; i < x->n_flows; i++)
                if (x->flows[i].number == (int64_t)n)
                    x->flows[i].f = NULL;
        } else {
            fail_msg("no step " STR_FMT, STR_ARG(verb));
        }
    }
    pump(x);
}

struct row {
    const char *step, *said;
};

static void converse(enum tunnel_role role, const char *refuse, size_t n_flows_max,
                     const struct row *rows, size_t n)
{
    struct end x = { .now_ms = 1000000, .refuse = refuse, .log = BUF(1024 * 1024) };
    struct tunnel_session_config c = { .role = role,
                                       .framing = &tunnel_remotedialer,
                                       .key = role == TUNNEL_SERVER ? "node-a" : "server-1",
                                       .n_flows_max = n_flows_max,
                                       .first_id = 1,
                                       .events = &session_events,
                                       .arg = &x };

    tunnel_session_new(&x.s, &c, x.now_ms);
    for (size_t i = 0; i < n; i++) {
        buf_clear(&x.log);
        step(&x, str_of(rows[i].step));
        if (strcmp(x.log.n ? buf_cstr(&x.log) : "", rows[i].said) != 0)
            fail_msg("row %zu, %s:\n  said     %s\n  expected %s", i, rows[i].step,
                     x.log.n ? buf_cstr(&x.log) : "", rows[i].said);
    }
    tunnel_session_free(x.s);
    buf_deinit(&x.log);
}

#define CONVERSE(role, ...)                                                                        \
    do {                                                                                           \
        static const struct row rows_[] = { __VA_ARGS__ };                                         \
        converse(role, NULL, 0, rows_, ARRAY_LEN(rows_));                                          \
    } while (0)

/* ---- opening ---- */

static void the_first_stream_is_2_and_data_may_follow_at_once(void **state)
{
    (void)state;
    CONVERSE(TUNNEL_SERVER, { "hold", "" }, { "open", "" }, { "write 2 GET", "" },
             { "go", ">Connect 2 tcp/127.0.0.1:10250; >Data 2 GET;" },
             { "open", ">Connect 3 tcp/127.0.0.1:10250;" }, { "recv Data 2 OK", "data 2 OK;" }, );
}

static void a_failed_dial_reaches_the_caller_with_its_text(void **state)
{
    (void)state;
    CONVERSE(TUNNEL_SERVER, { "open", ">Connect 2 tcp/127.0.0.1:10250;" },
             { "recv Error 2 connect: connection refused",
               "end 2 io: connect: connection refused; >Error 2 connect: connection refused;" },
             { "recv Error 2 EOF", "" }, /* a K3s agent sends this one as well */
    );
}

static void an_open_without_any_answer_times_out(void **state)
{
    (void)state;
    CONVERSE(TUNNEL_SERVER, { "open", ">Connect 2 tcp/127.0.0.1:10250;" }, { "wait 14999", "" },
             { "wait 1", "end 2 timeout: no answer from the other end of the tunnel after 15000 "
                         "ms; >Error 2 dial timeout;" },
             { "recv Data 2 late", ">Error 2 connection not found node-a/0/2;" }, );
}

static void an_answer_ends_the_wait_for_the_open(void **state)
{
    (void)state;
    CONVERSE(TUNNEL_SERVER, { "open", ">Connect 2 tcp/127.0.0.1:10250;" },
             { "recv Data 2 x", "data 2 x;" }, { "wait 30000", "" }, );
}

static void an_open_closed_before_it_was_sent_leaves_no_trace(void **state)
{
    (void)state;
    CONVERSE(TUNNEL_SERVER, { "hold", "" }, { "open", "" }, { "close 2", "" }, { "go", "" }, );
}

static void a_node_may_not_dial_through_the_server(void **state)
{
    (void)state;
    CONVERSE(TUNNEL_SERVER, { "open", ">Connect 2 tcp/127.0.0.1:10250;" },
             { "recv Connect 9 tcp/127.0.0.1:22",
               "end 2 closed: tunnel disconnect: remotedialer: the node tried to dial through the "
               "server; dead protocol: remotedialer: the node tried to dial through the server;" },
             { "recv Data 2 x", "" }, );
}

static void the_client_buffers_data_while_it_dials(void **state)
{
    (void)state;
    CONVERSE(TUNNEL_CLIENT, { "recv Connect 2 tcp/127.0.0.1:10250", "open 2 tcp 127.0.0.1:10250;" },
             { "recv Data 2 hel", "" }, { "recv Data 2 lo", "" }, { "ready 2", "" },
             { "resume 2", "data 2 hello;" }, { "write 2 hi", ">Data 2 hi;" }, );
}

static void a_dial_of_the_client_has_a_deadline(void **state)
{
    (void)state;
    CONVERSE(TUNNEL_CLIENT, { "recv Connect 2 tcp/127.0.0.1:10250", "open 2 tcp 127.0.0.1:10250;" },
             { "wait 59999", "" },
             { "wait 1", "end 2 timeout: no answer from the other end of the tunnel after "
                         "60000 ms; >Error 2 dial timeout; >Sync" }, );
}

static void a_refused_connect_ends_that_stream_only(void **state)
{
    static const struct row rows[] = {
        { "recv Connect 2 tcp/10.0.0.1:22",
          "open 2 tcp 10.0.0.1:22; >Error 2 not allowed: 10.0.0.1:22;" },
        { "recv Data 2 x", ">Error 2 connection not found client/0/2;" },
        { "recv Error 2 not allowed", "" },
        { "recv Connect 3 tcp/10.0.0.1:22",
          "open 3 tcp 10.0.0.1:22; >Error 3 not allowed: 10.0.0.1:22;" },
    };

    (void)state;
    converse(TUNNEL_CLIENT, "not allowed: 10.0.0.1:22", 0, rows, ARRAY_LEN(rows));
}

static void a_connect_without_a_slash_ends_the_session(void **state)
{
    (void)state;
    CONVERSE(
        TUNNEL_CLIENT,
        { "recv Connect 2 tcp", "dead protocol: remotedialer: Connect without a '/': tcp;" }, );
}

static void a_stream_opened_twice_is_ended(void **state)
{
    (void)state;
    CONVERSE(TUNNEL_CLIENT, { "recv Connect 2 tcp/127.0.0.1:10250", "open 2 tcp 127.0.0.1:10250;" },
             { "recv Connect 2 tcp/127.0.0.1:10250",
               "end 2 protocol: stream 2 was opened twice; >Error 2 stream was opened twice;" },
             { "recv Connect 2 tcp/127.0.0.1:10250", "open 2 tcp 127.0.0.1:10250;" }, );
}

static void streams_are_counted_at_both_ends(void **state)
{
    static const struct row server[] = {
        { "open", ">Connect 2 tcp/127.0.0.1:10250;" },
        { "open", ">Connect 3 tcp/127.0.0.1:10250;" },
        { "open", "cannot: 2 streams are open to node-a already;" },
        { "close 2", ">Error 2 EOF;" },
        { "open", ">Connect 4 tcp/127.0.0.1:10250;" },
    };
    static const struct row client[] = {
        { "recv Connect 2 tcp/127.0.0.1:1", "open 2 tcp 127.0.0.1:1;" },
        { "recv Connect 3 tcp/127.0.0.1:1", "open 3 tcp 127.0.0.1:1;" },
        { "recv Connect 4 tcp/127.0.0.1:1", ">Error 4 too many streams;" },
    };

    (void)state;
    converse(TUNNEL_SERVER, NULL, 2, server, ARRAY_LEN(server));
    converse(TUNNEL_CLIENT, NULL, 2, client, ARRAY_LEN(client));
}

/* ---- ends ---- */

#define OPENED                                                                                     \
    { "open", ">Connect 2 tcp/127.0.0.1:10250;" },                                                 \
    {                                                                                              \
        "recv Data 2 x", "data 2 x;"                                                               \
    }

static void an_error_is_echoed_once_and_duplicates_are_ignored(void **state)
{
    (void)state;
    CONVERSE(TUNNEL_SERVER, OPENED, { "recv Error 2 EOF", "end 2; >Error 2 EOF;" },
             { "recv Error 2 EOF", "" }, { "recv Error 99 EOF", "" }, );
}

static void an_error_text_is_echoed_as_it_came(void **state)
{
    (void)state;
    CONVERSE(TUNNEL_SERVER, OPENED,
             { "recv Error 2 read: connection reset",
               "end 2 closed: read: connection reset; >Error 2 read: connection reset;" }, );
}

static void our_close_is_told_and_its_echo_ignored(void **state)
{
    (void)state;
    CONVERSE(TUNNEL_SERVER, OPENED, { "close 2", ">Error 2 EOF;" }, { "recv Error 2 EOF", "" },
             { "recv Data 2 late", ">Error 2 connection not found node-a/0/2;" }, );
}

static void a_close_drops_the_queue_and_a_flush_sends_it(void **state)
{
    (void)state;
    CONVERSE(TUNNEL_SERVER, OPENED, { "hold", "" }, { "write 2 abc", "" }, { "close 2 gone", "" },
             { "go", ">Error 2 gone;" }, );
    CONVERSE(TUNNEL_SERVER, OPENED, { "hold", "" }, { "write 2 abc", "" }, { "flush 2", "" },
             { "recv Data 2 ignored", "" }, { "go", ">Data 2 abc; >Error 2 EOF;" }, );
}

static void a_flush_to_a_peer_that_pauses_ends_after_30_s(void **state)
{
    (void)state;
    CONVERSE(TUNNEL_SERVER, OPENED, { "recv Pause 2 ", "" }, { "write 2 abc", "" },
             { "flush 2", "" }, { "wait 29999", "" }, { "wait 1", ">Error 2 EOF;" }, );
}

static void an_end_that_crosses_a_flush_drops_the_rest(void **state)
{
    (void)state;
    CONVERSE(TUNNEL_SERVER, OPENED, { "hold", "" }, { "write 2 abc", "" }, { "flush 2", "" },
             { "recv Error 2 EOF", "" }, { "go", ">Error 2 EOF;" }, );
}

static void buffered_data_comes_before_the_end(void **state)
{
    (void)state;
    CONVERSE(TUNNEL_SERVER, OPENED, { "pause 2", "" }, { "recv Data 2 abc", "" },
             { "recv Error 2 boom", ">Error 2 boom;" },
             { "recv Data 2 y", ">Error 2 connection not found node-a/0/2;" },
             { "resume 2", "data 2 abc; end 2 closed: boom;" }, );
}

static void data_for_an_unknown_stream_is_answered(void **state)
{
    (void)state;
    CONVERSE(TUNNEL_SERVER, { "recv Data 7 x", ">Error 7 connection not found node-a/0/7;" }, );
    CONVERSE(TUNNEL_CLIENT, { "recv Data 7 x", ">Error 7 connection not found client/0/7;" }, );
}

static void answers_that_wait_are_bounded_and_one_per_stream(void **state)
{
    struct end x = { .now_ms = 1000, .log = BUF(1024 * 1024) };
    struct tunnel_session_config c = {
        .framing = &tunnel_remotedialer, .key = "n", .events = &session_events, .arg = &x
    };
    struct str m;
    size_t n = 0;

    (void)state;
    tunnel_session_new(&x.s, &c, x.now_ms);
    for (int64_t i = 0; i < 10000; i++)
        receive(&x, TUNNEL_FRAME_DATA, i / 2, STR("x"));
    while (tunnel_session_next(x.s, &m, x.now_ms))
        n++;
    assert_int_equal(n, TUNNEL_ANSWERS_MAX);
    tunnel_session_free(x.s);
}

static void the_end_of_the_session_ends_its_streams(void **state)
{
    (void)state;
    CONVERSE(TUNNEL_SERVER, OPENED,
             { "cut connection reset", "end 2 closed: tunnel disconnect: connection reset;" },
             { "open", "cannot: the session with node-a has ended;" }, { "wait 100000", "" }, );
}

/* ---- flow control ---- */

static void a_pause_of_the_peer_stops_data_until_resume(void **state)
{
    (void)state;
    CONVERSE(TUNNEL_SERVER, OPENED, { "recv Resume 2 ", "" }, { "recv Pause 2 ", "" },
             { "write 2 abc", "" }, { "recv Data 2 y", "data 2 y;" },
             { "recv Resume 2 ", ">Data 2 abc;" }, { "recv Pause 9 ", "" },
             { "recv Resume 9 ", "" }, );
}

static void an_unread_buffer_pauses_the_peer_again_and_again(void **state)
{
    (void)state;
    CONVERSE(TUNNEL_SERVER, OPENED, { "pause 2", "" }, { "recv Data 2 *2048", "" },
             { "recv Data 2 *32", ">Pause 2;" }, { "recv Data 2 *32", ">Pause 2;" },
             { "recv Resume 2 ", "" }, { "recv Data 2 *32", ">Pause 2;" }, );
}

static void a_drained_buffer_resumes_the_peer_once(void **state)
{
    struct end x = { .now_ms = 1000, .log = BUF(1024 * 1024) };
    struct tunnel_session_config c = { .framing = &tunnel_remotedialer,
                                       .role = TUNNEL_SERVER,
                                       .key = "n",
                                       .events = &session_events,
                                       .arg = &x };
    const char *p;
    size_t n = 0;

    (void)state;
    tunnel_session_new(&x.s, &c, x.now_ms);
    step(&x, STR("open"));
    step(&x, STR("pause 2"));
    step(&x, STR("recv Data 2 *4096"));
    step(&x, STR("resume 2"));
    for (p = buf_cstr(&x.log); (p = strstr(p, ">Resume 2;")); p++)
        n++;
    assert_int_equal(n, 1);
    assert_int_equal(x.s->rx_bytes, 0);
    tunnel_session_free(x.s);
    buf_deinit(&x.log);
}

static void a_peer_that_never_stops_loses_the_stream_at_16_mib(void **state)
{
    (void)state;
    CONVERSE(TUNNEL_SERVER, OPENED, { "pause 2", "" }, { "hold", "" }, { "recv Data 2 *16384", "" },
             { "recv Data 2 *32",
               "end 2 limit: stream 2: 16777216 bytes wait unread, the peer did not pause;" },
             { "go", ">Error 2 receive buffer is full;" },
             { "recv Data 2 y", ">Error 2 connection not found node-a/0/2;" }, );
}

static void an_owner_that_never_stops_loses_the_stream_at_16_mib(void **state)
{
    (void)state;
    CONVERSE(TUNNEL_SERVER, OPENED, { "hold", "" }, { "fill 2 16384", "" },
             { "write 2 y", "end 2 limit: stream 2: 16777216 bytes wait unsent;" },
             { "go", ">Error 2 send queue is full;" }, );
}

static void the_owner_hears_how_its_queue_goes_out(void **state)
{
    (void)state;
    CONVERSE(
        TUNNEL_SERVER, OPENED, { "listen 2", "" }, { "hold", "" }, { "fill 2 80", "" },
        { "go",
          "left 49152; >Data 2 [32768]; left 16384; >Data 2 [32768]; left 0; >Data 2 [16384];" }, );
}

static void streams_take_turns_and_little_ones_go_first(void **state)
{
    (void)state;
    CONVERSE(TUNNEL_SERVER, { "open", ">Connect 2 tcp/127.0.0.1:10250;" },
             { "open", ">Connect 3 tcp/127.0.0.1:10250;" },
             { "open", ">Connect 4 tcp/127.0.0.1:10250;" }, { "hold", "" }, { "fill 2 96", "" },
             { "fill 3 64", "" }, { "write 4 ls", "" },
             { "go",
               ">Data 4 ls; >Data 2 [32768]; >Data 3 [32768]; >Data 2 [32768]; >Data 3 [32768]; "
               ">Data 2 [32768];" }, );
}

static void small_writes_of_a_turn_share_a_message(void **state)
{
    (void)state;
    CONVERSE(TUNNEL_SERVER, OPENED, { "hold", "" }, { "write 2 ab", "" }, { "write 2 cd", "" },
             { "go", ">Data 2 abcd;" }, );
}

/* ---- lists of streams ---- */

static void the_client_lists_its_streams_every_minute(void **state)
{
    (void)state;
    CONVERSE(TUNNEL_CLIENT, { "wait 4000", "" }, { "recv Connect 5 tcp/a:1", "open 5 tcp a:1;" },
             { "recv Connect 2 tcp/a:1", "open 2 tcp a:1;" }, { "ready 5", "" },
             { "wait 55999", "" }, { "wait 1", ">Sync 2 5" }, );
}

static void a_stream_missing_from_a_list_is_dropped_when_old_or_missing_twice(void **state)
{
    (void)state;
    CONVERSE(TUNNEL_SERVER, OPENED, { "recv Sync 0 ", "" }, { "recv Sync 0 2", "" },
             { "recv Sync 0 ", "" },
             { "recv Sync 0 3", "end 2 closed: the other end of the tunnel has lost stream 2;" }, );
    CONVERSE(TUNNEL_SERVER, OPENED, { "wait 60000", "" },
             { "recv Sync 0 ", "end 2 closed: the other end of the tunnel has lost stream 2;" }, );
    CONVERSE(TUNNEL_CLIENT, { "recv Connect 2 tcp/a:1", "open 2 tcp a:1;" }, { "ready 2", "" },
             { "recv Sync 0 ", "" },
             { "recv Sync 0 ", "end 2 closed: the other end of the tunnel has lost stream 2;" }, );
}

static void a_list_of_odd_length_ends_the_session(void **state)
{
    (void)state;
    CONVERSE(TUNNEL_SERVER,
             { "hex 1000100200",
               "dead protocol: remotedialer: SyncConnections of 2 bytes, not a multiple of 8;" }, );
}

/* ---- the rest of the messages ---- */

static void peering_is_read_and_ignored_and_unknown_types_too(void **state)
{
    (void)state;
    CONVERSE(TUNNEL_SERVER, { "recv AddClient 0 node-a/7", "" }, { "recv RemoveClient 0 n/7", "" },
             { "hex 020412414243", "" },
             { "recv AddClient 0 node-a",
               "dead protocol: remotedialer: not clientKey/sessionKey: node-a;" }, );
}

static void a_broken_message_ends_the_session(void **state)
{
    (void)state;
    CONVERSE(TUNNEL_CLIENT, { "hex 80", "dead protocol: remotedialer: message id is cut off;" }, );
}

/* ---- signs of life ---- */

static void the_client_pings_every_5_s_whatever_it_hears(void **state)
{
    (void)state;
    CONVERSE(TUNNEL_CLIENT, { "mute", "" }, { "wait 0", "PING;" }, { "pong", "" },
             { "recv Connect 2 tcp/a:1", "open 2 tcp a:1;" }, { "wait 4000", "" },
             { "recv Resume 2 ", "" }, { "wait 999", "" }, { "wait 1", "PING;" }, { "wait 40", "" },
             { "pong", "" }, { "wait 4959", "" }, { "wait 1", "PING;" }, { "recv Resume 2 ", "" },
             { "wait 5000", "PING;" }, );
}

static void a_silent_peer_is_noticed_within_10_s(void **state)
{
    (void)state;
    CONVERSE(TUNNEL_CLIENT, { "wait 0", "" }, { "mute", "" },
             { "recv Connect 2 tcp/a:1", "open 2 tcp a:1;" }, { "wait 4999", "" },
             { "wait 1", "PING;" }, { "wait 2000", "PING;" }, { "wait 2249", "" },
             { "wait 1", "end 2 closed: tunnel disconnect: no answer from server-1 to pings, "
                         "nothing for 9250 ms; dead timeout: no answer from server-1 to pings, "
                         "nothing for 9250 ms;" },
             { "wait 100000", "" }, );
    CONVERSE(TUNNEL_SERVER, { "wait 0", "" }, { "mute", "" },
             { "open", ">Connect 2 tcp/127.0.0.1:10250;" }, { "recv Data 2 x", "data 2 x;" },
             { "wait 5499", "" }, { "wait 1", "PING;" }, { "wait 2000", "PING;" },
             { "wait 2249", "" },
             { "wait 1", "end 2 closed: tunnel disconnect: no answer from node-a to pings, "
                         "nothing for 9750 ms; dead timeout: no answer from node-a to pings, "
                         "nothing for 9750 ms;" }, );
}

static void an_agent_that_pings_is_not_asked(void **state)
{
    (void)state;
    CONVERSE(TUNNEL_SERVER, { "wait 0", "" }, { "mute", "" }, { "wait 5000", "" }, { "ping", "" },
             { "wait 5000", "" }, { "recv Resume 9 ", "" }, { "wait 5499", "" },
             { "wait 1", "PING;" }, { "wait 2000", "PING;" }, { "ping", "" },
             { "wait 5499", "" }, );
}

static void a_sleeper_first_reads_what_has_come_meanwhile(void **state)
{
    struct end x = { .now_ms = 1000, .log = BUF(4096) };
    struct tunnel_session_config c = { .framing = &tunnel_remotedialer,
                                       .role = TUNNEL_SERVER,
                                       .key = "n",
                                       .events = &session_events,
                                       .arg = &x };

    (void)state;
    tunnel_session_new(&x.s, &c, x.now_ms);
    tunnel_session_tick(x.s, 1000); /* learns the round trip */
    x.mute = true;
    tunnel_session_tick(x.s, 6500);
    tunnel_session_tick(x.s, 8500);
    tunnel_session_tick(x.s, 3600000); /* stopped for an hour after it had asked twice */
    assert_false(tunnel_session_is_dead(x.s));
    tunnel_session_control(x.s, false, 3600001);
    tunnel_session_tick(x.s, 3600250);
    assert_false(tunnel_session_is_dead(x.s));
    tunnel_session_free(x.s);
    buf_deinit(&x.log);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_stream_is_2_and_data_may_follow_at_once),
        cmocka_unit_test(a_failed_dial_reaches_the_caller_with_its_text),
        cmocka_unit_test(an_open_without_any_answer_times_out),
        cmocka_unit_test(an_answer_ends_the_wait_for_the_open),
        cmocka_unit_test(an_open_closed_before_it_was_sent_leaves_no_trace),
        cmocka_unit_test(a_node_may_not_dial_through_the_server),
        cmocka_unit_test(the_client_buffers_data_while_it_dials),
        cmocka_unit_test(a_dial_of_the_client_has_a_deadline),
        cmocka_unit_test(a_refused_connect_ends_that_stream_only),
        cmocka_unit_test(a_connect_without_a_slash_ends_the_session),
        cmocka_unit_test(a_stream_opened_twice_is_ended),
        cmocka_unit_test(streams_are_counted_at_both_ends),
        cmocka_unit_test(an_error_is_echoed_once_and_duplicates_are_ignored),
        cmocka_unit_test(an_error_text_is_echoed_as_it_came),
        cmocka_unit_test(our_close_is_told_and_its_echo_ignored),
        cmocka_unit_test(a_close_drops_the_queue_and_a_flush_sends_it),
        cmocka_unit_test(a_flush_to_a_peer_that_pauses_ends_after_30_s),
        cmocka_unit_test(an_end_that_crosses_a_flush_drops_the_rest),
        cmocka_unit_test(buffered_data_comes_before_the_end),
        cmocka_unit_test(data_for_an_unknown_stream_is_answered),
        cmocka_unit_test(answers_that_wait_are_bounded_and_one_per_stream),
        cmocka_unit_test(the_end_of_the_session_ends_its_streams),
        cmocka_unit_test(a_pause_of_the_peer_stops_data_until_resume),
        cmocka_unit_test(an_unread_buffer_pauses_the_peer_again_and_again),
        cmocka_unit_test(a_drained_buffer_resumes_the_peer_once),
        cmocka_unit_test(a_peer_that_never_stops_loses_the_stream_at_16_mib),
        cmocka_unit_test(an_owner_that_never_stops_loses_the_stream_at_16_mib),
        cmocka_unit_test(the_owner_hears_how_its_queue_goes_out),
        cmocka_unit_test(streams_take_turns_and_little_ones_go_first),
        cmocka_unit_test(small_writes_of_a_turn_share_a_message),
        cmocka_unit_test(the_client_lists_its_streams_every_minute),
        cmocka_unit_test(a_stream_missing_from_a_list_is_dropped_when_old_or_missing_twice),
        cmocka_unit_test(a_list_of_odd_length_ends_the_session),
        cmocka_unit_test(peering_is_read_and_ignored_and_unknown_types_too),
        cmocka_unit_test(a_broken_message_ends_the_session),
        cmocka_unit_test(the_client_pings_every_5_s_whatever_it_hears),
        cmocka_unit_test(a_silent_peer_is_noticed_within_10_s),
        cmocka_unit_test(an_agent_that_pings_is_not_asked),
        cmocka_unit_test(a_sleeper_first_reads_what_has_come_meanwhile),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
