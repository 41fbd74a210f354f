/* Conversations with one end of a session that speaks coracle.v1: a step per row, and what it said
 * because of it.
 *
 * Steps:  open; write N TEXT, fill N BYTES, shut N, pause N, resume N, ready N; close N [TEXT],
 *         flush N (graceful close after the queue), fail N ERRNO TEXT;
 *         recv FRAME (as below) and hex BYTES come from the peer; pong; wait MS; hold and go stop
 *         and start sending.
 * Frames: OPEN N CREDIT TIMEOUT TARGET; OPEN-OK N CREDIT; OPEN-FAIL N CODE ERRNO TEXT; DATA N TEXT
 *         (or *BYTES); CREDIT N BYTES; FIN N; RESET N CODE ERRNO TEXT; GOAWAY 0 CODE ERRNO TEXT.
 *         CODE is an err_code by name.
 * Said:   >FRAME; went out; opened N; data N TEXT; fin N; end N [CODE TEXT]; asked N TARGET; PING;
 *         dead CODE: TEXT; are events.
 */
#include "base/core/buf.h"
#include "base/core/mem.h"
#include "tunnel/framing.h"
#include "tunnel/mux_frame.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

enum { N_FLOWS = 256 };

struct end {
    struct tunnel_session *s;
    uint64_t now_ms;
    bool hold;
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

static void say_data(struct end *x, const char *what, int64_t number, struct str body)
{
    if (body.n > 60 || (body.n && body.p[0] == '\0'))
        say(x, "%s %lld *%zu;", what, (long long)number, body.n);
    else
        say(x, "%s %lld " STR_FMT ";", what, (long long)number, STR_ARG(body));
}

static void on_data(void *arg, const char *p, size_t n)
{
    struct flow *w = arg;

    say_data(w->end, "data", w->number, str_n(p, n));
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

static void on_fin(void *arg)
{
    struct flow *w = arg;

    say(w->end, "fin %lld;", (long long)w->number);
}

static void on_flow_open(void *arg)
{
    struct flow *w = arg;

    say(w->end, "opened %lld;", (long long)w->number);
}

static const struct tunnel_flow_events flow_events = {
    .on_data = on_data, .on_end = on_end, .on_fin = on_fin, .on_open = on_flow_open
};

static void on_work(void *arg)
{
    (void)arg;
}

static void on_ping(void *arg)
{
    say(arg, "PING;");
}

static struct flow *flow_add(struct end *x)
{
    assert_true(x->n_flows < N_FLOWS);
    x->flows[x->n_flows].end = x;
    return &x->flows[x->n_flows++];
}

static void on_asked(void *arg, struct tunnel_flow *f, struct str proto, struct str address)
{
    struct end *x = arg;
    struct flow *w = flow_add(x);

    w->f = f;
    w->number = tunnel_flow_number(f);
    say(x, "asked %lld " STR_FMT "/" STR_FMT ";", (long long)w->number, STR_ARG(proto),
        STR_ARG(address));
    tunnel_flow_bind(f, &flow_events, w);
}

static void on_dead(void *arg, const struct err *e)
{
    struct end *x = arg;
    struct mux_frame f;
    struct err bad;

    say(x, "dead %s: %s;", err_code_name(e->code), e->text);
    assert_int_equal(mux_frame_decode(&f, tunnel_session_goodbye(x->s, e), &bad), 0);
    assert_int_equal(f.type, MUX_GOAWAY);
}

static const struct tunnel_session_events session_events = { on_work, on_ping, on_asked, on_dead };

static void say_frame(struct end *x, struct str message)
{
    struct mux_frame f;
    struct err e;

    assert_int_equal(mux_frame_decode(&f, message, &e), 0);
    switch (f.type) {
    case MUX_OPEN:
        say(x, ">OPEN %u %u %u " STR_FMT ";", f.stream, f.credit, f.timeout_ms, STR_ARG(f.body));
        break;
    case MUX_DATA:
        say_data(x, ">DATA", f.stream, f.body);
        break;
    case MUX_OPEN_OK:
    case MUX_CREDIT:
        say(x, ">%s %u %u;", mux_frame_name(f.type), f.stream, f.credit);
        break;
    case MUX_FIN:
        say(x, ">FIN %u;", f.stream);
        break;
    default:
        say(x, ">%s %u %s %d " STR_FMT ";", mux_frame_name(f.type), f.stream,
            f.code ? err_code_name(f.code) : "graceful", f.sys, STR_ARG(f.body));
    }
}

static void pump(struct end *x)
{
    struct str m;

    tunnel_session_deliver(x->s);
    while (!x->hold && tunnel_session_next(x->s, &m, x->now_ms))
        say_frame(x, m);
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

static uint64_t number_of(struct str *rest)
{
    struct str word;
    uint64_t n = 0;

    str_cut(*rest, ' ', &word, rest);
    assert_true(str_to_u64(word, &n));
    return n;
}

static enum err_code code_of(struct str *rest)
{
    struct str word;

    str_cut(*rest, ' ', &word, rest);
    for (int c = ERR_INVALID; c <= ERR_IO; c++)
        if (str_is(word, err_code_name((enum err_code)c)))
            return (enum err_code)c;
    assert_true(str_is(word, "graceful"));
    return ERR_OK;
}

static void receive(struct end *x, struct str rest)
{
    static const char block[MUX_DATA_MAX];
    char bytes[MUX_SMALL_MAX];
    auto_buf b = BUF(64 * 1024);
    struct mux_frame f = { 0 };
    struct str type;
    uint64_t bulk = 0;

    str_cut(rest, ' ', &type, &rest);
    for (int t = MUX_OPEN; t <= MUX_GOAWAY; t++)
        if (str_is(type, mux_frame_name((enum mux_frame_type)t)))
            f.type = (enum mux_frame_type)t;
    f.stream = (uint32_t)number_of(&rest);
    if (f.type == MUX_OPEN || f.type == MUX_OPEN_OK || f.type == MUX_CREDIT)
        f.credit = (uint32_t)number_of(&rest);
    if (f.type == MUX_OPEN)
        f.timeout_ms = (uint32_t)number_of(&rest);
    if (f.type == MUX_OPEN_FAIL || f.type == MUX_RESET || f.type == MUX_GOAWAY) {
        f.code = code_of(&rest);
        f.sys = (int)number_of(&rest);
    }
    f.body = rest;
    if (f.type == MUX_DATA && rest.n && rest.p[0] == '*') {
        rest = str_n(rest.p + 1, rest.n - 1);
        bulk = number_of(&rest);
    }
    do { /* so many bytes, in frames of the maximum */
        if (bulk)
            f.body = str_n(block, MIN(bulk, sizeof block));
        bulk -= bulk ? f.body.n : 0;
        buf_clear(&b);
        assert_int_equal(buf_add(&b, bytes, mux_frame_encode(bytes, &f)), 0);
        if (f.type == MUX_DATA)
            assert_int_equal(buf_add_str(&b, f.body), 0);
        tunnel_session_receive(x->s, buf_str(&b), x->now_ms);
    } while (bulk);
}

static void flow_step(struct end *x, struct flow *w, struct str verb, struct str rest)
{
    struct tunnel_flow *f = w->f;
    struct err e;

    assert_non_null(f);
    if (str_is(verb, "write")) {
        tunnel_flow_write(f, rest.p, rest.n);
    } else if (str_is(verb, "fill")) {
        static const char zeros[1024 * 1024];
        tunnel_flow_write(f, zeros, (size_t)number_of(&rest));
    } else if (str_is(verb, "shut")) {
        assert_true(tunnel_flow_shutdown(f));
    } else if (str_is(verb, "pause")) {
        tunnel_flow_pause(f);
    } else if (str_is(verb, "resume")) {
        tunnel_flow_resume(f);
    } else if (str_is(verb, "ready")) {
        tunnel_flow_ready(f);
        tunnel_flow_resume(f);
    } else if (str_is(verb, "fail")) {
        int sys = (int)number_of(&rest);
        err_set(&e, ERR_IO, STR_FMT, STR_ARG(rest));
        e.sys = sys;
        tunnel_flow_fail(f, &e, false, x->now_ms);
        w->f = NULL;
    } else {
        auto_free char *text = rest.n ? str_dup(rest) : NULL;

        assert_true(str_is(verb, "close") || str_is(verb, "flush"));
        tunnel_flow_close(f, text, str_is(verb, "flush"), x->now_ms);
        w->f = NULL;
    }
}

static void open_one(struct end *x)
{
    struct flow *w = flow_add(x);
    struct err e;

    if (tunnel_session_open(x->s, &w->f, STR("tcp"), STR("127.0.0.1:10250"), 15000, x->now_ms,
                            &flow_events, w, &e)) {
        say(x, "cannot: %s;", e.text);
        return;
    }
    w->number = tunnel_flow_number(w->f);
    tunnel_flow_resume(w->f);
}

static void step(struct end *x, struct str line)
{
    struct str verb, rest;

    str_cut(line, ' ', &verb, &rest);
    if (str_is(verb, "open")) {
        open_one(x);
    } else if (str_is(verb, "recv")) {
        receive(x, rest);
    } else if (str_is(verb, "hex")) {
        char bytes[256];
        assert_true(str_unhex(bytes, rest.n / 2, rest));
        tunnel_session_receive(x->s, str_n(bytes, rest.n / 2), x->now_ms);
    } else if (str_is(verb, "wait")) {
        wait_ms(x, number_of(&rest));
    } else if (str_is(verb, "doubt")) {
        tunnel_session_doubt(x->s, x->now_ms);
        wait_ms(x, 0);
    } else if (str_is(verb, "pong")) {
        tunnel_session_control(x->s, true, x->now_ms);
    } else if (str_is(verb, "hold") || str_is(verb, "go")) {
        x->hold = str_is(verb, "hold");
    } else {
        uint64_t n = number_of(&rest);
        struct flow *w = NULL;

        for (size_t i = 0; i < x->n_flows; i++)
            if (x->flows[i].number == (int64_t)n)
                w = &x->flows[i];
        assert_non_null(w);
        flow_step(x, w, verb, rest);
    }
    pump(x);
}

struct row {
    const char *step, *said;
};

static void converse(enum tunnel_role role, size_t n_flows_max, const struct row *rows, size_t n)
{
    static struct end x;
    struct tunnel_session_config c = { .role = role,
                                       .framing = &tunnel_mux,
                                       .key = role == TUNNEL_SERVER ? "node-a" : "server-1",
                                       .n_flows_max = n_flows_max,
                                       .first_id = 1,
                                       .events = &session_events,
                                       .arg = &x };

    memset(&x, 0, sizeof x);
    x.now_ms = 1000000;
    x.log = BUF(1024 * 1024);
    tunnel_session_new(&x.s, &c, x.now_ms);
    for (size_t i = 0; i < n; i++) {
        buf_clear(&x.log);
        step(&x, str_of(rows[i].step));
        if (strcmp(x.log.n ? buf_cstr(&x.log) : "", rows[i].said) != 0)
            fail_msg("row %zu, %s:\n  said     %s\n  expected %s", i, rows[i].step,
                     x.log.n ? buf_cstr(&x.log) : "", rows[i].said);
    }
    buf_clear(&x.log);
    tunnel_session_free(x.s);
    buf_deinit(&x.log);
}

#define CONVERSE_MAX(role, n_flows_max, ...)                                                       \
    do {                                                                                           \
        static const struct row rows_[] = { __VA_ARGS__ };                                         \
        converse(role, n_flows_max, rows_, ARRAY_LEN(rows_));                                      \
    } while (0)
#define CONVERSE(role, ...) CONVERSE_MAX(role, 0, __VA_ARGS__)

#define OPEN_1                                                                                     \
    {                                                                                              \
        "open", ">OPEN 1 32768 15000 tcp/127.0.0.1:10250;"                                         \
    }
#define OPENED                                                                                     \
    OPEN_1,                                                                                        \
    {                                                                                              \
        "recv OPEN-OK 1 32768", "opened 1;"                                                        \
    }
/* 10 s with signs of life: the peer answers our pings before we need to ask. */
#define ALIVE_2S                                                                                   \
    { "pong", "" },                                                                                \
    {                                                                                              \
        "wait 1999", ""                                                                            \
    }
#define ALIVE_10S                                                                                  \
    ALIVE_2S, ALIVE_2S, ALIVE_2S, ALIVE_2S, ALIVE_2S, { "pong", "" },                              \
    {                                                                                              \
        "wait 5", ""                                                                               \
    }
#define ASKED                                                                                      \
    {                                                                                              \
        "recv OPEN 1 32768 15000 tcp/127.0.0.1:10250", "asked 1 tcp/127.0.0.1:10250;"              \
    }
#define READY                                                                                      \
    ASKED,                                                                                         \
    {                                                                                              \
        "ready 1", ">OPEN-OK 1 32768;"                                                             \
    }

/* ---- opening ---- */

static void a_dial_is_answered(void **state)
{
    (void)state;
    CONVERSE(TUNNEL_SERVER, OPENED, { "write 1 GET", ">DATA 1 GET;" },
             { "recv DATA 1 200", "data 1 200;" }, );
    CONVERSE(TUNNEL_CLIENT, READY, { "recv DATA 1 GET", "data 1 GET;" },
             { "write 1 200", ">DATA 1 200;" }, );
}

static void a_failed_dial_says_why(void **state)
{
    (void)state;
    CONVERSE(TUNNEL_SERVER, OPEN_1,
             { "recv OPEN-FAIL 1 io 111 connection refused", "end 1 io: connection refused;" },
             { "open", ">OPEN 2 32768 15000 tcp/127.0.0.1:10250;" },
             { "recv OPEN-FAIL 2 denied 0 not allowed", "end 2 denied: not allowed;" }, );
    CONVERSE(TUNNEL_CLIENT, ASKED,
             { "fail 1 111 connection refused", ">OPEN-FAIL 1 io 111 connection refused;" },
             { "recv RESET 1 graceful 0 ", "" }, );
}

static void a_dial_without_an_answer_ends_in_time(void **state)
{
    (void)state;
    CONVERSE(
        TUNNEL_SERVER, OPEN_1, { "wait 0", "PING;" }, ALIVE_10S, ALIVE_2S, ALIVE_2S, { "hold", "" },
        { "pong", "" }, { "wait 1001", "" },
        { "wait 1", "end 1 timeout: no answer from the other end of the tunnel after 15000 ms;" },
        { "go", ">RESET 1 timeout 0 dial timeout;" }, { "recv OPEN-OK 1 32768", "" },
        /* it crossed */);
}

static void a_dial_may_be_given_up(void **state)
{
    (void)state;
    CONVERSE(TUNNEL_SERVER, OPEN_1, { "close 1", ">RESET 1 graceful 0 ;" },
             { "recv OPEN-OK 1 100", "" }, { "recv DATA 1 hello", "" }, { "recv FIN 1", "" }, );
    CONVERSE(TUNNEL_SERVER, { "hold", "" }, { "open", "" }, { "close 1", "" }, { "go", "" },
             { "open", ">OPEN 2 32768 15000 tcp/127.0.0.1:10250;" }, );
    CONVERSE(TUNNEL_CLIENT, ASKED, { "recv RESET 1 graceful 0 ", "end 1;" }, );
}

static void too_many_streams_are_refused_one_by_one(void **state)
{
    (void)state;
    CONVERSE_MAX(TUNNEL_SERVER, 1, OPENED,
                 { "open", "cannot: 1 streams are open to node-a already;" }, );
    CONVERSE_MAX(TUNNEL_CLIENT, 1, READY,
                 { "recv OPEN 2 1 1 tcp/a:1", ">OPEN-FAIL 2 limit 0 1 streams are open already;" },
                 { "recv RESET 1 graceful 0 ", "end 1;" },
                 { "recv OPEN 3 1 1 tcp/a:1", "asked 3 tcp/a:1;" }, );
}

/* ---- ends ---- */

static void each_direction_ends_by_itself(void **state)
{
    (void)state;
    CONVERSE(TUNNEL_SERVER, OPENED, { "hold", "" }, { "write 1 last", "" }, { "shut 1", "" },
             { "go", ">DATA 1 last; >FIN 1;" }, { "write 1 too late", "" },
             { "recv DATA 1 answer", "data 1 answer;" }, { "recv FIN 1", "end 1;" },
             { "recv RESET 1 graceful 0 ", "" }, );
    CONVERSE(TUNNEL_CLIENT, READY, { "recv DATA 1 last", "data 1 last;" },
             { "recv FIN 1", "fin 1;" }, { "write 1 answer", ">DATA 1 answer;" },
             { "shut 1", ">FIN 1; end 1;" }, );
}

static void an_end_comes_after_the_data_before_it(void **state)
{
    (void)state;
    CONVERSE(TUNNEL_SERVER, OPENED, { "pause 1", "" }, { "recv DATA 1 one", "" },
             { "recv FIN 1", "" }, { "resume 1", "data 1 one; fin 1;" },
             { "shut 1", ">FIN 1; end 1;" }, );
    CONVERSE(TUNNEL_SERVER, OPENED, { "pause 1", "" }, { "recv DATA 1 one", "" },
             { "recv RESET 1 io 104 gone", "" }, { "resume 1", "data 1 one; end 1 io: gone;" }, );
}

static void a_close_waits_for_nobody(void **state)
{
    (void)state;
    CONVERSE(TUNNEL_SERVER, OPENED, { "hold", "" }, { "fill 1 100", "" }, { "close 1", "" },
             { "go", ">RESET 1 graceful 0 ;" }, );
    CONVERSE(TUNNEL_SERVER, OPENED, { "hold", "" }, { "fill 1 100", "" }, { "flush 1", "" },
             { "go", ">DATA 1 *100; >RESET 1 graceful 0 ;" }, );
    CONVERSE(TUNNEL_SERVER, OPENED, { "fail 1 104 reset", ">RESET 1 io 104 reset;" }, );
}

static void a_flush_without_credit_ends_after_30_s(void **state)
{
    (void)state;
    CONVERSE(TUNNEL_SERVER, OPEN_1, { "recv OPEN-OK 1 10", "opened 1;" },
             { "fill 1 100", ">DATA 1 *10;" }, { "flush 1", "" },
             { "wait 0", "PING;" }, /* the first one */
             ALIVE_10S, ALIVE_10S, ALIVE_2S, ALIVE_2S, ALIVE_2S, ALIVE_2S, { "pong", "" },
             { "wait 1999", "" }, { "pong", "" }, { "wait 4", "" },
             { "wait 1", ">RESET 1 graceful 0 ;" }, );
}

/* ---- credit ---- */

static void nothing_is_sent_beyond_the_credit(void **state)
{
    (void)state;
    CONVERSE(TUNNEL_SERVER, OPEN_1, { "recv OPEN-OK 1 5", "opened 1;" },
             { "write 1 hello world", ">DATA 1 hello;" }, { "recv CREDIT 1 1", ">DATA 1  ;" },
             { "shut 1", "" }, { "recv CREDIT 1 100", ">DATA 1 world; >FIN 1;" }, );
    CONVERSE(TUNNEL_CLIENT, { "recv OPEN 1 0 1000 tcp/a:1", "asked 1 tcp/a:1;" },
             { "ready 1", ">OPEN-OK 1 32768;" }, { "write 1 x", "" },
             { "recv CREDIT 1 7", ">DATA 1 x;" }, );
}

static void reading_grants_and_standing_still_does_not(void **state)
{
    (void)state;
    CONVERSE(TUNNEL_SERVER, OPENED, { "wait 0", "PING;" }, { "pong", "" }, { "wait 1500", "" },
             { "recv DATA 1 *16000", "data 1 *16000;" },
             { "recv DATA 1 *384", "data 1 *384; >CREDIT 1 16384;" }, { "pause 1", "" },
             { "recv DATA 1 *32768", "" }, { "wait 400", "" },
             { "resume 1", "data 1 *16368; data 1 *16400; >CREDIT 1 32768;" }, );
}

#define RTT_10                                                                                     \
    { "wait 0", "PING;" }, { "wait 10", "" },                                                      \
    {                                                                                              \
        "pong", ""                                                                                 \
    }
#define HALF "recv DATA 1 *16384", "data 1 *16368; data 1 *16; >CREDIT 1 "

/* To what comes in two round trips, doubling at most; bursts are averaged. */
static void a_window_that_is_the_limit_grows(void **state)
{
    (void)state;
    CONVERSE(TUNNEL_SERVER, OPENED, RTT_10, { HALF "16384;" }, { "wait 5", "" }, { HALF "16384;" },
             { "wait 5", "" }, { HALF "49152;" }, );
    CONVERSE(TUNNEL_SERVER, OPENED, RTT_10, { HALF "16384;" }, { "wait 1", "" }, { HALF "16384;" },
             { "wait 14", "" }, { HALF "27306;" }, );
}

/* A line that is full of it takes longer, but has no need of more. */
static void a_window_does_not_grow_into_a_full_line(void **state)
{
    (void)state;
    CONVERSE(TUNNEL_SERVER, OPENED, RTT_10, { HALF "16384;" }, { "wait 10", "" }, { HALF "16384;" },
             { "wait 10", "" }, { HALF "16384;" }, { "wait 1999", "" }, { "wait 1", "PING;" },
             { "wait 500", "" }, { "pong", "" }, { "wait 500", "" }, { HALF "16384;" }, );
}

#undef HALF
#undef RTT_10

static void a_peer_that_ignores_credit_is_cut_off(void **state)
{
    (void)state;
    CONVERSE(
        TUNNEL_SERVER, OPENED, { "pause 1", "" }, { "recv DATA 1 *32768", "" },
        { "recv DATA 1 x",
          "end 1 closed: tunnel disconnect: coracle.v1: stream 1: 1 bytes sent with a credit of "
          "0; dead protocol: coracle.v1: stream 1: 1 bytes sent with a credit of 0;" }, );
}

/* ---- turns ---- */

static void bulk_takes_turns_and_little_goes_first(void **state)
{
    (void)state;
    CONVERSE(TUNNEL_SERVER, OPENED, { "open", ">OPEN 2 32768 15000 tcp/127.0.0.1:10250;" },
             { "open", ">OPEN 3 32768 15000 tcp/127.0.0.1:10250;" },
             { "recv OPEN-OK 2 99999", "opened 2;" }, { "recv OPEN-OK 3 99999", "opened 3;" },
             { "hold", "" }, { "fill 1 32736", "" }, { "fill 2 32736", "" }, { "write 3 ls", "" },
             { "go", ">DATA 3 ls; >DATA 1 *16368; >DATA 2 *16368; >DATA 1 *16368; >DATA 2 "
                     "*16368;" }, );
}

static void little_ones_cannot_starve_bulk(void **state)
{
    struct row rows[32] = { OPENED };
    size_t n = 2;
    static char text[20][64];

    (void)state;
    for (unsigned i = 2; i < 12; i++) {
        snprintf(text[i], sizeof text[i], ">OPEN %u 32768 15000 tcp/127.0.0.1:10250;", i);
        rows[n++] = (struct row){ "open", text[i] };
    }
    rows[n++] = (struct row){ "hold", "" };
    rows[n++] = (struct row){ "fill 1 32736", "" };
    for (unsigned i = 2; i < 12; i++) {
        static char close[20][16];

        snprintf(close[i], sizeof close[i], "close %u", i);
        rows[n++] = (struct row){ close[i], "" };
    }
    rows[n++] = (struct row){
        "go",
        ">RESET 2 graceful 0 ; >RESET 3 graceful 0 ; >RESET 4 graceful 0 ; >RESET 5 graceful 0 "
        "; >RESET 6 graceful 0 ; >RESET 7 graceful 0 ; >RESET 8 graceful 0 ; >RESET 9 graceful "
        "0 ; >DATA 1 *16368; >RESET 10 graceful 0 ; >RESET 11 graceful 0 ; >DATA 1 *16368;"
    };
    assert_true(n <= ARRAY_LEN(rows));
    converse(TUNNEL_SERVER, 0, rows, n);
}

/* ---- the session ---- */

static void what_the_peer_must_not_do_ends_the_session(void **state)
{
    static const struct {
        enum tunnel_role role;
        bool opened;
        const char *step, *text;
    } t[] = {
        { TUNNEL_SERVER, false, "hex 0100000001000000010000000161", "the node tried to dial" },
        { TUNNEL_SERVER, false, "recv FIN 1", "FIN on stream 1, which was never opened" },
        { TUNNEL_SERVER, true, "recv OPEN-OK 1 1", "OPEN-OK, unasked" },
        { TUNNEL_SERVER, true, "recv OPEN-FAIL 1 io 0 x", "OPEN-FAIL, unasked" },
        { TUNNEL_SERVER, true, "recv CREDIT 1 2147483647", "a credit above 2147483647" },
        { TUNNEL_CLIENT, true, "recv OPEN-OK 1 1", "OPEN-OK, unasked" },
        { TUNNEL_CLIENT, true, "recv OPEN 1 1 1 tcp/a:1", "OPEN of stream 1 after that of 1" },
        { TUNNEL_CLIENT, true, "recv DATA 2 x", "DATA on stream 2, which was never opened" },
        { TUNNEL_CLIENT, false, "recv OPEN 1 1 1 nothing", "/" },
        { TUNNEL_CLIENT, false, "hex 00", "a frame of 1 bytes" },
        { TUNNEL_CLIENT, false, "hex 0900000001", "unknown type 9" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(t); i++) {
        static struct end x;
        struct tunnel_session_config c = {
            .role = t[i].role, .framing = &tunnel_mux, .events = &session_events, .arg = &x
        };

        memset(&x, 0, sizeof x);
        x.log = BUF(65536);
        tunnel_session_new(&x.s, &c, 1);
        if (t[i].opened && t[i].role == TUNNEL_SERVER) {
            step(&x, STR("open"));
            step(&x, STR("recv OPEN-OK 1 1"));
        } else if (t[i].opened) {
            step(&x, STR("recv OPEN 1 1 1 tcp/a:1"));
            step(&x, STR("ready 1"));
        }
        buf_clear(&x.log);
        step(&x, str_of(t[i].step));
        if (!strstr(buf_cstr(&x.log), "dead protocol: coracle.v1: ") ||
            !strstr(buf_cstr(&x.log), t[i].text))
            fail_msg("row %zu: %s", i, buf_cstr(&x.log));
        tunnel_session_free(x.s);
        buf_deinit(&x.log);
    }
}

static void data_after_fin_and_before_an_answer_end_the_session(void **state)
{
    (void)state;
    CONVERSE(TUNNEL_SERVER, OPENED, { "recv FIN 1", "fin 1;" },
             { "recv DATA 1 x", "end 1 closed: tunnel disconnect: coracle.v1: stream 1: DATA after "
                                "FIN; dead protocol: coracle.v1: stream 1: DATA after FIN;" }, );
    CONVERSE(TUNNEL_SERVER, OPEN_1,
             { "recv DATA 1 x",
               "end 1 closed: tunnel disconnect: coracle.v1: stream 1: DATA before OPEN-OK; dead "
               "protocol: coracle.v1: stream 1: DATA before OPEN-OK;" }, );
}

static void goaway_ends_the_session_with_its_words(void **state)
{
    (void)state;
    CONVERSE(TUNNEL_CLIENT, READY,
             { "recv GOAWAY 0 closed 0 bye",
               "end 1 closed: tunnel disconnect: the other end of the tunnel ended it: bye; dead "
               "closed: the other end of the tunnel ended it: bye;" }, );
}

static void a_silent_peer_is_noticed_within_10_s(void **state)
{
    (void)state;
    /* without streams */
    CONVERSE(TUNNEL_CLIENT, { "wait 0", "PING;" }, { "pong", "" }, { "wait 4999", "" },
             { "wait 1", "PING;" }, { "wait 2000", "PING;" }, { "wait 2249", "" },
             { "wait 1", "dead timeout: no answer from server-1 to pings, nothing for 9250 "
                         "ms;" }, );
    CONVERSE(TUNNEL_SERVER, { "wait 0", "PING;" }, { "pong", "" }, { "wait 5499", "" },
             { "wait 1", "PING;" }, { "wait 2000", "PING;" }, { "wait 2249", "" },
             { "wait 1", "dead timeout: no answer from node-a to pings, nothing for 9750 ms;" }, );
    /* with one */
    CONVERSE(TUNNEL_SERVER, { "wait 0", "PING;" }, { "pong", "" }, OPENED, { "wait 1999", "" },
             { "wait 1", "PING;" }, { "wait 2000", "PING;" },
             { "wait 2250", "end 1 closed: tunnel disconnect: no answer from node-a to pings, "
                            "nothing for 6250 ms; dead timeout: no answer from node-a to "
                            "pings, nothing for 6250 ms;" }, );
}

static void anything_heard_is_a_sign_of_life(void **state)
{
    (void)state;
    CONVERSE(TUNNEL_SERVER, { "wait 0", "PING;" }, { "pong", "" }, OPENED, { "wait 2000", "PING;" },
             { "wait 2000", "PING;" }, { "wait 2249", "" }, { "recv DATA 1 x", "data 1 x;" },
             { "wait 1999", "" }, { "wait 1", "PING;" }, );
}

/* One round trip of 4 s was a hole that healed; four of them are a slow link. */
static void only_a_link_that_is_always_slow_is_given_more_time(void **state)
{
    (void)state;
    CONVERSE(TUNNEL_SERVER, { "wait 0", "PING;" }, { "pong", "" }, OPENED, { "wait 2000", "PING;" },
             { "wait 2000", "PING;" }, { "wait 2000", "" }, { "pong", "" }, { "wait 1999", "" },
             { "wait 1", "PING;" }, { "wait 2000", "PING;" }, { "wait 2249", "" },
             { "wait 1",
               "end 1 closed: tunnel disconnect: no answer from node-a to pings, nothing for "
               "6250 ms; dead timeout: no answer from node-a to pings, nothing for 6250 ms;" }, );
    CONVERSE(TUNNEL_SERVER, { "wait 0", "PING;" }, { "wait 1000", "" }, { "pong", "" }, OPENED,
             { "wait 2000", "PING;" }, { "wait 1000", "" }, { "pong", "" },
             { "wait 2000", "PING;" }, { "wait 1000", "" }, { "pong", "" },
             { "wait 2000", "PING;" }, { "wait 1000", "" }, { "pong", "" }, { "wait 7999", "" },
             { "wait 1", "PING;" }, { "wait 3999", "" }, { "wait 1", "PING;" }, );
}

static void a_doubted_peer_has_one_answer_time(void **state)
{
    (void)state;
    CONVERSE(TUNNEL_SERVER, { "wait 0", "PING;" }, { "pong", "" }, { "wait 1000", "" },
             { "doubt", "PING;" }, { "pong", "" }, { "doubt", "PING;" }, { "wait 2249", "" },
             { "wait 1", "dead timeout: no answer from node-a to pings, nothing for 2250 ms;" }, );
}

static void a_dial_asks_for_a_sign_of_life_first(void **state)
{
    (void)state;
    CONVERSE(TUNNEL_SERVER, { "wait 0", "PING;" }, { "pong", "" }, { "wait 4000", "" }, OPEN_1,
             { "wait 0", "PING;" }, );
}

/* ---- the end of numbers ---- */

static void when_all_numbers_are_used_the_agent_must_connect_again(void **state)
{
    static struct end x;
    struct tunnel_session_config c = { .role = TUNNEL_SERVER,
                                       .framing = &tunnel_mux,
                                       .key = "node-a",
                                       .events = &session_events,
                                       .arg = &x };

    (void)state;
    memset(&x, 0, sizeof x);
    x.log = BUF(65536);
    tunnel_session_new(&x.s, &c, 1);
    x.s->next_number = 0xfffffffe;
    step(&x, STR("open"));
    step(&x, STR("open"));
    step(&x, STR("wait 0"));
    assert_string_equal(
        buf_cstr(&x.log),
        ">OPEN 4294967295 32768 15000 tcp/127.0.0.1:10250; cannot: no stream number "
        "to node-a is left, it connects again; end 4294967295 closed: tunnel "
        "disconnect: all stream numbers were used, connect again; dead limit: all "
        "stream numbers were used, connect again;");
    tunnel_session_free(x.s);
    buf_deinit(&x.log);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_dial_is_answered),
        cmocka_unit_test(a_failed_dial_says_why),
        cmocka_unit_test(a_dial_without_an_answer_ends_in_time),
        cmocka_unit_test(a_dial_may_be_given_up),
        cmocka_unit_test(too_many_streams_are_refused_one_by_one),
        cmocka_unit_test(each_direction_ends_by_itself),
        cmocka_unit_test(an_end_comes_after_the_data_before_it),
        cmocka_unit_test(a_close_waits_for_nobody),
        cmocka_unit_test(a_flush_without_credit_ends_after_30_s),
        cmocka_unit_test(nothing_is_sent_beyond_the_credit),
        cmocka_unit_test(reading_grants_and_standing_still_does_not),
        cmocka_unit_test(a_window_that_is_the_limit_grows),
        cmocka_unit_test(a_window_does_not_grow_into_a_full_line),
        cmocka_unit_test(a_peer_that_ignores_credit_is_cut_off),
        cmocka_unit_test(bulk_takes_turns_and_little_goes_first),
        cmocka_unit_test(little_ones_cannot_starve_bulk),
        cmocka_unit_test(what_the_peer_must_not_do_ends_the_session),
        cmocka_unit_test(data_after_fin_and_before_an_answer_end_the_session),
        cmocka_unit_test(goaway_ends_the_session_with_its_words),
        cmocka_unit_test(a_silent_peer_is_noticed_within_10_s),
        cmocka_unit_test(anything_heard_is_a_sign_of_life),
        cmocka_unit_test(only_a_link_that_is_always_slow_is_given_more_time),
        cmocka_unit_test(a_doubted_peer_has_one_answer_time),
        cmocka_unit_test(a_dial_asks_for_a_sign_of_life_first),
        cmocka_unit_test(when_all_numbers_are_used_the_agent_must_connect_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
