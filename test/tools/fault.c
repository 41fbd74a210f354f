/*
 * fault LISTEN TARGET SOCKET: a fault proxy between IP:PORTs, commanded through a Unix socket, one
 * line a command, one line an answer: "ok", "ok WHAT WAS ASKED" or "error: WHY".
 *
 *     fault 10.0.0.1:6443 10.0.0.2:6443 /run/fault.sock &
 *     echo 'hole up' | socat -t 5 - UNIX-CONNECT:/run/fault.sock
 *
 * The commands are in test/fault/cut.h; beside them:
 *
 *   random N [TIME_MAX_MS [CALM_MS]]   N random cuts, one after the other: each for up to
 *                                      TIME_MAX_MS (5000), then CALM_MS (2000) without
 *   next [TIME_MAX_MS]                 the next random cut, until "heal"; answers what it is and
 *                                      for how many ms it was drawn
 *
 * The seed comes from FAULT_SEED or is new; it is printed first. Each cut is printed as it begins.
 * Ends at SIGTERM.
 */
#include "base/core/mem.h"
#include "base/io/timer.h"
#include "base/io/unix.h"
#include "test/fault/cut.h"

#include <signal.h>
#include <stdio.h>

#define LINE_MAX_BYTES  256
#define REPLY_MAX_BYTES 512
#define TIME_MAX_MS     5000
#define CALM_MS         2000
#define CONTROL_MODE    0600

struct program {
    uv_loop_t loop;
    struct fault_proxy *proxy;
    struct listener *control;
    struct fault_rand rand;
    struct timer timer; /* of the random cuts */
    uint64_t n_cuts, time_max_ms, calm_ms;
};

struct caller {
    struct program *p;
    struct stream *s;
    struct buf line;
};

/* ---- random cuts ---- */

static void cut_print(const char *what, const struct fault_cut *c)
{
    char text[FAULT_CUT_TEXT_BYTES];

    printf("%s %s, %llu ms\n", what, fault_cut_text(text, c), (unsigned long long)c->time_ms);
    fflush(stdout);
}

static void cut_next(void *arg);

static void cut_over(void *arg)
{
    struct program *p = arg;

    fault_proxy_heal(p->proxy);
    printf("heal, %llu left\n", (unsigned long long)p->n_cuts);
    fflush(stdout);
    if (p->n_cuts)
        timer_start_ms(&p->timer, p->calm_ms, cut_next, p);
}

static void cut_next(void *arg)
{
    struct program *p = arg;
    struct fault_cut c;

    p->n_cuts--;
    fault_cut_random(&c, &p->rand, p->time_max_ms);
    cut_print("cut", &c);
    fault_cut_start(p->proxy, &c);
    timer_start_ms(&p->timer, c.time_ms, cut_over, p);
}

/* ---- commands ---- */

/* NAME and up to three numbers; those that are not there keep their values. */
static bool is_command(struct str line, const char *name, uint64_t *const *numbers, size_t n,
                       struct err *e)
{
    struct str w, rest = line;

    (void)str_cut(line, ' ', &w, &rest);
    if (!str_is(w, name))
        return false;
    for (size_t i = 0; i < n && rest.n; i++) {
        (void)str_cut(rest, ' ', &w, &rest);
        if (!str_to_u64(w, numbers[i]))
            err_set(e, ERR_INVALID, "%s: not a number: " STR_FMT, name, STR_ARG(w));
    }
    if (rest.n)
        err_set(e, ERR_INVALID, "%s: too much: " STR_FMT, name, STR_ARG(rest));
    return true;
}

static int run_line(struct program *p, struct str line, struct buf *reply, struct err *e)
{
    uint64_t n_cuts = 1, time_max_ms = TIME_MAX_MS, calm_ms = CALM_MS;
    uint64_t *const numbers[] = { &n_cuts, &time_max_ms, &calm_ms };
    char text[FAULT_CUT_TEXT_BYTES];
    struct err why = { 0 };
    struct fault_cut c;

    if (is_command(line, "random", numbers, 3, &why)) {
        p->n_cuts = n_cuts;
        p->time_max_ms = MAX(time_max_ms, (uint64_t)1);
        p->calm_ms = calm_ms;
        if (!why.code && n_cuts)
            timer_start_ms(&p->timer, 0, cut_next, p);
    } else if (is_command(line, "next", &numbers[1], 1, &why)) {
        if (!why.code) {
            fault_cut_random(&c, &p->rand, MAX(time_max_ms, (uint64_t)1));
            cut_print("cut", &c);
            fault_cut_start(p->proxy, &c);
            err_ignore(buf_addf(reply, "%s, %llu ms", fault_cut_text(text, &c),
                                (unsigned long long)c.time_ms)); /* there is room */
        }
    } else {
        return fault_command(p->proxy, line, reply, e);
    }
    if (why.code)
        *e = why;
    return why.code;
}

static void answer(struct caller *x, struct str line)
{
    auto_buf reply = BUF(REPLY_MAX_BYTES), out = BUF(2 * REPLY_MAX_BYTES);
    struct err e;
    int r;

    if (!str_trim(line).n)
        return;
    if (run_line(x->p, str_trim(line), &reply, &e))
        r = buf_addf(&out, "error: %s\n", e.text);
    else
        r = buf_addf(&out, "ok%s%s\n", reply.n ? " " : "", buf_cstr(&reply));
    if (!r)
        stream_write(x->s, out.p, out.n);
}

static void on_data(void *arg, const char *p, size_t n)
{
    struct caller *x = arg;
    struct str line, rest;

    if (buf_add(&x->line, p, n)) {
        stream_close(x->s);
        return;
    }
    while (str_cut(buf_str(&x->line), '\n', &line, &rest)) {
        answer(x, line);
        buf_drop(&x->line, x->line.n - rest.n);
    }
}

static void on_end(void *arg)
{
    struct caller *x = arg;

    stream_close_flushed(x->s, CALM_MS);
}

static void on_error(void *arg, const struct err *e)
{
    struct caller *x = arg;

    (void)e;
    stream_close(x->s);
}

static void on_closed(void *arg)
{
    struct caller *x = arg;

    buf_deinit(&x->line);
    free(x);
}

static void on_accept(void *arg, struct stream *s)
{
    static const struct stream_events events = {
        .on_data = on_data, .on_end = on_end, .on_error = on_error, .on_closed = on_closed
    };
    struct caller *x = mem_alloc(sizeof *x);

    x->p = arg;
    x->s = s;
    x->line = BUF(LINE_MAX_BYTES);
    stream_open(s, &events, x);
}

/* ---- life ---- */

static void on_signal(uv_signal_t *h, int signum)
{
    (void)signum;
    uv_stop(h->loop); /* everything else goes with the process, but for the socket's name */
}

int main(int argc, char **argv)
{
    static struct program p;
    uv_signal_t term;
    struct err e;

    if (argc != 4) {
        fprintf(stderr, "usage: fault LISTEN TARGET SOCKET\n");
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    uv_loop_init(&p.loop);
    timer_init(&p.timer, &p.loop);
    p.rand.state = fault_seed();
    if (fault_proxy_new(&p.proxy, &p.loop, argv[1], argv[2], &e) ||
        unix_listen(&p.control, &p.loop, argv[3], CONTROL_MODE, on_accept, &p, &e)) {
        fprintf(stderr, "fault: %s\n", e.text);
        return 1;
    }
    uv_signal_init(&p.loop, &term);
    uv_signal_start(&term, on_signal, SIGTERM);
    printf("FAULT_SEED=%llu port %u\n", (unsigned long long)p.rand.state,
           fault_proxy_port(p.proxy));
    fflush(stdout);
    uv_run(&p.loop, UV_RUN_DEFAULT);
    unlink(argv[3]);
    return 0;
}
