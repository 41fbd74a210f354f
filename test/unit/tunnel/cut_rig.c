#include "test/unit/tunnel/cut_rig.h"

#include <dirent.h>
#include <malloc.h>
#include <stdio.h>

#define TICK_MS       20
#define CALM_OKS      3    /* requests that must work before the next cut */
#define CALM_MAX_MS   1500 /* and a random time after them: cuts meet pings at any moment */
#define STUCK_MS      60000
#define KUBELET_CONNS 8192
#define SLOW_MS       3500 /* worth a line */

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { SLOW = 4 };
#else
enum { SLOW = 1 };
#endif

/*  CONNECTING --> CALM --> CUT --heal--> WATCHING --usable--> CALM ... --> DONE
 *  waits for       oks      time_ms       for a request that works, and for the verdicts */
enum line_state { LINE_CONNECTING, LINE_CALM, LINE_CUT, LINE_WATCHING, LINE_DONE };

struct farm;

struct line {
    struct farm *f;
    char node[24];
    struct http_server *http;
    struct listener *listener;
    struct fault_proxy *proxy;
    struct tunnel_client *client;
    struct http_endpoint *ep;
    struct tunnel_dial_target target;
    enum line_state state;
    struct fault_cut cut;
    size_t n_cuts_left;
    unsigned n_oks;
    uint64_t next_request_ms, next_step_ms; /* CALM: the cut; CUT: the heal */
    uint64_t cut_ms, open_ms;               /* open_ms 0: not yet */
    uint64_t n_ended;                       /* sessions of the server when it was cut */
    bool usable, client_told, server_told;
};

struct request {
    struct line *l;
    uint64_t started_ms;
};

struct farm {
    uv_loop_t loop;
    struct farm_config c;
    struct farm_result *r;
    struct tls_server_config *tls;
    struct tls_client_config *kubelet_tls;
    struct http_server *kubelet;
    struct listener *kubelet_listener;
    struct tunnel_server *ts;
    struct tunnel_authorizer authorizer;
    struct fault_rand rand;
    struct line *lines;
    uv_timer_t tick;
    uint64_t last_turn_ms;
    size_t n_outstanding, n_open;
    bool quiet;   /* no new requests */
    bool may_cut; /* all were measured at rest */
    char kubelet_address[32];
};

/* ---- samples ---- */

void sample_add(struct sample *s, uint64_t ms)
{
    if ((s->n & (s->n + 1)) == 0 || !s->v) /* full at 1, 3, 7, ... */
        s->v = mem_realloc(s->v, (2 * s->n + 2) * sizeof *s->v);
    s->v[s->n++] = ms;
}

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

uint64_t sample_part(struct sample *s, unsigned per_mille)
{
    if (!s->n)
        return 0;
    qsort(s->v, s->n, sizeof *s->v, compare);
    return s->v[(s->n - 1) * per_mille / 1000];
}

void sample_print(struct sample *s, const char *what)
{
    printf("%s: n %zu, p50 %llu, p90 %llu, p99 %llu, max %llu ms\n", what, s->n,
           (unsigned long long)sample_part(s, 500), (unsigned long long)sample_part(s, 900),
           (unsigned long long)sample_part(s, 990), (unsigned long long)sample_part(s, 1000));
}

void sample_deinit(struct sample *s)
{
    free(s->v);
    *s = (struct sample){ 0 };
}

void farm_result_deinit(struct farm_result *r)
{
    sample_deinit(&r->usable);
    sample_deinit(&r->client);
    sample_deinit(&r->server);
    sample_deinit(&r->late);
}

static uint64_t now_ms(void)
{
    return uv_hrtime() / 1000000;
}

/* ---- requests ---- */

static void on_answer(void *arg, int status, const struct http_headers *h, struct str body,
                      const struct err *e)
{
    struct request *q = arg;
    struct line *l = q->l;
    struct farm *f = l->f;
    uint64_t now = now_ms();
    bool ok = !e && status == 200 && str_is(body, "ok");
    char text[FAULT_CUT_TEXT_BYTES];

    (void)h;
    f->n_outstanding--;
    f->r->n_requests++;
    f->r->n_failed += !ok;
    if (now > q->started_ms + REQUEST_MS)
        sample_add(&f->r->late, now - q->started_ms - REQUEST_MS);
    l->n_oks = ok ? l->n_oks + 1 : 0;
    if (ok && l->open_ms && !l->usable && q->started_ms >= l->open_ms) {
        l->usable = true;
        sample_add(&f->r->usable, now - l->open_ms);
        if (now - l->open_ms > SLOW_MS)
            printf("%s: usable %llu ms after %s for %llu ms\n", l->node,
                   (unsigned long long)(now - l->open_ms), fault_cut_text(text, &l->cut),
                   (unsigned long long)l->cut.time_ms);
    }
    free(q);
}

static void request_start(struct line *l)
{
    struct http_call_config c = { .method = "GET", .target = "/healthz", .timeout_ms = REQUEST_MS };
    struct request *q = mem_alloc(sizeof *q);

    q->l = l;
    q->started_ms = now_ms();
    l->f->n_outstanding++;
    http_fetch(l->ep, &c, 1024, on_answer, q);
}

/* ---- cuts ---- */

static uint64_t sessions_ended(const struct line *l, struct tunnel_node_state *st)
{
    assert_true(tunnel_server_node(l->f->ts, l->node, st));
    return st->n_connects - st->n_sessions;
}

/* Nothing passes that way, and who waits there is not told. A reset of one side leaves the other.
 */
static bool is_silent(const struct fault_cut *c, enum fault_ways way)
{
    return c->kind == FAULT_LOSE || (c->kind == FAULT_HOLE && c->ways & way) ||
           (c->kind == FAULT_RESET && c->ways == (FAULT_BOTH ^ way));
}

/* New connections pass, but the agent makes none before its verdict on the old one. */
static bool opens_by_verdict(const struct fault_cut *c)
{
    return c->kind != FAULT_HOLE && is_silent(c, FAULT_DOWN);
}

static void line_cut(struct line *l)
{
    struct farm *f = l->f;
    struct tunnel_node_state st;

    fault_cut_random(&l->cut, &f->rand, f->c.cut_max_ms);
    l->n_ended = sessions_ended(l, &st);
    l->usable = l->client_told = l->server_told = false;
    l->cut_ms = now_ms();
    l->next_step_ms = l->cut_ms + l->cut.time_ms;
    l->open_ms = l->cut.time_ms || opens_by_verdict(&l->cut) ? 0 : l->cut_ms;
    l->state = LINE_CUT;
    f->r->n_cuts++;
    fault_cut_start(l->proxy, &l->cut);
}

static void line_heal(struct line *l, uint64_t now)
{
    fault_proxy_heal(l->proxy);
    if (!l->open_ms && !opens_by_verdict(&l->cut))
        l->open_ms = now;
    l->state = LINE_WATCHING;
}

static void client_verdict(struct line *l, uint64_t now)
{
    l->client_told = true;
    sample_add(&l->f->r->client, now - l->cut_ms);
    if (!l->open_ms && opens_by_verdict(&l->cut))
        l->open_ms = now;
}

/* Has the server noticed? Looked up, for its owner is told only when a node's last session goes. */
static void look_at_server(struct line *l, uint64_t now)
{
    struct tunnel_node_state st;

    if (l->server_told || sessions_ended(l, &st) == l->n_ended)
        return;
    l->server_told = true;
    if (is_silent(&l->cut, FAULT_UP) && strstr(st.last_error, "no answer"))
        sample_add(&l->f->r->server, now - l->cut_ms);
}

/* An end that heard nothing for so long must have said so. When the path healed before, it need
 * not. */
static void look_for_undetected(struct line *l, uint64_t now)
{
    uint64_t silent_ms = l->cut.kind == FAULT_HOLE ? l->cut.time_ms : now - l->cut_ms;

    if (silent_ms < DETECT_MS + 1000 * SLOW + 10 * l->f->r->lag_ms)
        return;
    if ((is_silent(&l->cut, FAULT_DOWN) && !l->client_told) ||
        (is_silent(&l->cut, FAULT_UP) && !l->server_told))
        l->f->r->n_undetected++;
}

static void line_step(struct line *l, uint64_t now)
{
    struct farm *f = l->f;
    char text[FAULT_CUT_TEXT_BYTES];

    switch (l->state) {
    case LINE_CONNECTING:
        if (l->n_oks < CALM_OKS)
            return;
        l->state = LINE_CALM;
        l->next_step_ms = now + fault_rand_below(&f->rand, CALM_MAX_MS);
        return;
    case LINE_CALM:
        if (now < l->next_step_ms || l->n_oks < CALM_OKS || !f->may_cut)
            return;
        if (!l->n_cuts_left)
            l->state = LINE_DONE;
        else
            line_cut(l);
        return;
    case LINE_CUT:
        look_at_server(l, now);
        if (now >= l->next_step_ms)
            line_heal(l, now);
        return;
    case LINE_WATCHING:
        look_at_server(l, now);
        if (now > l->cut_ms + l->cut.time_ms + (uint64_t)STUCK_MS * SLOW)
            fail_msg("%s does not come back after %s", l->node, fault_cut_text(text, &l->cut));
        if (!l->usable || (l->cut.kind != FAULT_HOLE && is_silent(&l->cut, FAULT_UP) &&
                           !l->server_told && now < l->cut_ms + (uint64_t)STUCK_MS / 2))
            return;
        look_for_undetected(l, now);
        l->n_cuts_left--;
        l->state = LINE_CALM;
        l->next_step_ms = now + fault_rand_below(&f->rand, CALM_MAX_MS);
        return;
    case LINE_DONE:
        return;
    }
}

static void on_line_state(void *arg, const struct tunnel_client_status *st)
{
    struct line *l = arg;

    if (st->state == TUNNEL_CLIENT_WAITING && st->failure == TUNNEL_FAIL_SILENT &&
        (l->state == LINE_CUT || l->state == LINE_WATCHING) && !l->client_told &&
        is_silent(&l->cut, FAULT_DOWN))
        client_verdict(l, now_ms());
}

static void on_tick(uv_timer_t *t)
{
    struct farm *f = t->data;
    uint64_t now = now_ms();

    if (f->last_turn_ms && now > f->last_turn_ms + TICK_MS)
        f->r->lag_ms = MAX(f->r->lag_ms, now - f->last_turn_ms - TICK_MS);
    f->last_turn_ms = now;
    for (size_t i = 0; i < f->c.n_lines; i++) {
        struct line *l = &f->lines[i];

        line_step(l, now);
        if (now < l->next_request_ms || f->quiet)
            continue;
        l->next_request_ms = now + f->c.request_every_ms;
        request_start(l);
    }
}

/* ---- life ---- */

static void on_request(struct http_req *r, void *arg)
{
    struct line *l = arg;

    assert_true(str_is(http_req_path(r), "/v1-k3s/connect"));
    tunnel_server_accept(l->f->ts, r, str_of(l->node));
}

static void on_accept(void *arg, struct stream *s)
{
    struct line *l = arg;

    http_server_serve(l->http, tls_server_wrap(l->f->tls, s));
}

static void on_kubelet_request(struct http_req *r, void *arg)
{
    (void)arg;
    http_reply(r, 200, "text/plain", STR("ok"), NULL, 0);
}

static void on_kubelet_accept(void *arg, struct stream *s)
{
    struct farm *f = arg;

    http_server_serve(f->kubelet, tls_server_wrap(f->tls, s));
}

static void line_init(struct line *l, struct farm *f, size_t i)
{
    struct http_server_config hc = { .on_request = on_request, .arg = l };
    struct tunnel_client_options o = { .ca_pem = str_of(ca.cert_pem),
                                       .cert_chain_pem = str_of(node_cert.cert_pem),
                                       .key_pem = str_of(node_cert.key_pem),
                                       .authorizer = &f->authorizer,
                                       .on_state = on_line_state,
                                       .arg = l,
                                       .remotedialer = i % 2 };
    struct http_endpoint_config ec = { .authority = "127.0.0.1:10250",
                                       .dial = tunnel_server_http_dial,
                                       .dial_arg = &l->target,
                                       .tls = f->kubelet_tls,
                                       .proto = HTTP_H1,
                                       .dial_timeout_ms = 15000,
                                       .n_connections_max = 256 }; /* as server/api/connect.c */
    char address[32];
    struct err e;

    l->f = f;
    l->n_cuts_left = f->c.n_cuts;
    snprintf(l->node, sizeof l->node, "n%zu", i);
    http_server_new(&l->http, &f->loop, &hc);
    assert_int_equal(tcp_listen(&l->listener, &f->loop, "127.0.0.1", 0, on_accept, l, &e), 0);
    snprintf(address, sizeof address, "127.0.0.1:%u", listener_port(l->listener));
    assert_int_equal(fault_proxy_new(&l->proxy, &f->loop, "127.0.0.1:0", address, &e), 0);
    snprintf(address, sizeof address, "127.0.0.1:%u", fault_proxy_port(l->proxy));
    assert_int_equal(tunnel_client_new(&l->client, &f->loop, address, &o, &e), 0);
    l->target = (struct tunnel_dial_target){ f->ts, l->node, f->kubelet_address };
    http_endpoint_new(&l->ep, &f->loop, &ec);
}

static void farm_init(struct farm *f)
{
    static const char *const alpn[] = { "http/1.1", NULL };
    struct http_server_config hc = { .on_request = on_kubelet_request,
                                     .n_connections_max = KUBELET_CONNS };
    struct tunnel_server_config tc = { 0 };
    struct tls_client_options to = { .ca_pem = str_of(ca.cert_pem) };
    struct err e;

    assert_int_equal(uv_loop_init(&f->loop), 0);
    assert_int_equal(tls_server_config_new(&f->tls, str_of(server_cert.cert_pem),
                                           str_of(server_cert.key_pem), str_of(ca.cert_pem), alpn,
                                           &e),
                     0);
    assert_int_equal(tls_client_config_new(&f->kubelet_tls, &to, &e), 0);
    http_server_new(&f->kubelet, &f->loop, &hc);
    assert_int_equal(
        tcp_listen(&f->kubelet_listener, &f->loop, "127.0.0.1", 0, on_kubelet_accept, f, &e), 0);
    snprintf(f->kubelet_address, sizeof f->kubelet_address, "127.0.0.1:%u",
             listener_port(f->kubelet_listener));
    tunnel_server_new(&f->ts, &f->loop, &tc);
    assert_int_equal(tunnel_authorizer_init(&f->authorizer, STR("agent"), &e), 0);
    f->authorizer.kubelet_port = listener_port(f->kubelet_listener);
    f->rand.state = f->c.seed;
    f->lines = mem_calloc(f->c.n_lines, sizeof *f->lines);
    for (size_t i = 0; i < f->c.n_lines; i++)
        line_init(&f->lines[i], f, i);
    uv_timer_init(&f->loop, &f->tick);
    f->tick.data = f;
    uv_timer_start(&f->tick, on_tick, TICK_MS, TICK_MS);
}

static void on_one_closed(void *arg)
{
    ((struct farm *)arg)->n_open--;
}

static void farm_deinit(struct farm *f)
{
    f->n_open = 3 + 4 * f->c.n_lines; /* the rest is counted by the loop */
    for (size_t i = 0; i < f->c.n_lines; i++) {
        struct line *l = &f->lines[i];

        http_endpoint_close(l->ep, on_one_closed, f);
        tunnel_client_close(l->client, on_one_closed, f);
        http_server_close(l->http, on_one_closed, f);
        listener_close(l->listener, NULL, NULL);
        fault_proxy_close(l->proxy, on_one_closed, f);
    }
    tunnel_server_close(f->ts, on_one_closed, f);
    http_server_close(f->kubelet, on_one_closed, f);
    listener_close(f->kubelet_listener, on_one_closed, f);
    uv_close((uv_handle_t *)&f->tick, NULL);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_int_equal(f->n_open, 0);
    free(f->lines);
    tls_client_config_free(f->kubelet_tls);
    tls_server_config_free(f->tls);
    assert_int_equal(uv_loop_close(&f->loop), 0);
}

/* ---- the run ---- */

static bool all_are(const struct farm *f, enum line_state state)
{
    for (size_t i = 0; i < f->c.n_lines; i++)
        if (f->lines[i].state != state)
            return false;
    return true;
}

static void run_to(struct farm *f, enum line_state state)
{
    uint64_t end = now_ms() + (uint64_t)STUCK_MS * SLOW;

    while (!all_are(f, state)) {
        uv_run(&f->loop, UV_RUN_ONCE);
        if (state != LINE_DONE && now_ms() > end)
            fail_msg("the tunnels do not connect");
    }
}

static bool is_at_rest(const struct farm *f)
{
    struct tunnel_node_state st;
    struct fault_count count;

    if (f->n_outstanding)
        return false;
    for (size_t i = 0; i < f->c.n_lines; i++) {
        fault_proxy_count(f->lines[i].proxy, &count);
        if (!tunnel_server_node(f->ts, f->lines[i].node, &st) || st.n_sessions != 1 ||
            st.n_streams || count.n_connections != 1)
            return false;
    }
    return true;
}

/* Nothing but the tunnels themselves is left; what there is then is measured. */
static void rest(struct farm *f, long *fds, size_t *heap)
{
    uint64_t end = now_ms() + (uint64_t)STUCK_MS * SLOW;

    f->quiet = true;
    while (f->n_outstanding)
        uv_run(&f->loop, UV_RUN_ONCE);
    for (size_t i = 0; i < f->c.n_lines; i++)
        http_endpoint_reset(f->lines[i].ep);
    while (!is_at_rest(f)) {
        uv_run(&f->loop, UV_RUN_ONCE);
        if (now_ms() > end)
            fail_msg("something is left: %zu sessions, %zu requests",
                     tunnel_server_n_sessions(f->ts), f->n_outstanding);
    }
    /* closing takes the loop a few turns, and our own kubelet's end of a connection one more */
    for (int i = 0; i < 100; i++) {
        uv_run(&f->loop, UV_RUN_NOWAIT);
        uv_sleep(1);
    }
    *fds = count_fds();
    *heap = mallinfo2().uordblks;
    f->quiet = false;
    f->last_turn_ms = 0;
}

long count_fds(void)
{
    DIR *d = opendir("/proc/self/fd");
    long n = 0;

    assert_non_null(d);
    while (readdir(d))
        n++;
    closedir(d);
    return n;
}

void farm_run(struct farm_result *out, const struct farm_config *c)
{
    struct farm f = { .c = *c, .r = out };

    *out = (struct farm_result){ 0 };
    farm_init(&f);
    run_to(&f, LINE_CALM);
    rest(&f, &out->fds_before, &out->heap_before);
    f.may_cut = true;
    run_to(&f, LINE_DONE);
    rest(&f, &out->fds_after, &out->heap_after);
    farm_deinit(&f);
}
