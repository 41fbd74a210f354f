/*
 * tunnel_bench DIR [SECONDS]: sessions of both protocols, wired end to end in memory: a million
 * streams opened and closed, every tenth given up while it is dialed, and what memory that leaves
 * behind; and how many bytes a second one stream moves, websocket frames included, before TLS and
 * sockets. DIR is not used. Figures on stdout, one per line; a growth of 1 % or more fails.
 */
#include "base/core/mem.h"
#include "base/http/ws.h"
#include "tunnel/framing.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { N_CYCLES = 1000 * 1000, N_WARM = 100 * 1000, N_AT_ONCE = 16 };

struct end {
    struct tunnel_session *session;
    struct ws *ws;
    struct tunnel_flow *flows[N_AT_ONCE];
    size_t n_bytes, n_ends;
    uint64_t now_ms;
};

static void ignore(void *arg)
{
    (void)arg;
}

static void on_data(void *arg, const char *p, size_t n)
{
    struct end *x = arg;

    (void)p;
    x->n_bytes += n;
}

static void on_end(void *arg, const struct err *e)
{
    struct end *x = arg;

    (void)e;
    x->n_ends++;
}

static const struct tunnel_flow_events flow_events = { .on_data = on_data, .on_end = on_end };

static void on_open(void *arg, struct tunnel_flow *f, struct str proto, struct str address)
{
    struct end *x = arg;

    (void)proto;
    (void)address;
    tunnel_flow_bind(f, &flow_events, x);
    tunnel_flow_ready(f);
    tunnel_flow_resume(f);
}

static void on_dead(void *arg, const struct err *e)
{
    (void)arg;
    fprintf(stderr, "a session died: %s\n", e->text);
    exit(1);
}

static const struct tunnel_session_events session_events = { ignore, ignore, on_open, on_dead };

static void on_message(void *arg, bool text, const char *p, size_t n, bool first, bool last)
{
    struct end *x = arg;

    (void)text;
    (void)first;
    (void)last;
    tunnel_session_receive(x->session, str_n(p, n), x->now_ms);
}

static void on_close(void *arg, int code, struct str reason)
{
    (void)arg;
    (void)code;
    (void)reason;
}

static const struct ws_events ws_events = { .on_message = on_message, .on_close = on_close };

static void end_init(struct end *x, enum tunnel_role role, const struct tunnel_framing *framing)
{
    struct tunnel_session_config c = {
        .role = role, .framing = framing, .key = "x", .events = &session_events, .arg = x
    };
    struct ws_config wc = { .role = role == TUNNEL_SERVER ? WS_SERVER : WS_CLIENT,
                            .message_max_bytes = 1024 * 1024,
                            .zero_mask = true,
                            .events = &ws_events,
                            .arg = x };

    *x = (struct end){ .now_ms = 1000 };
    tunnel_session_new(&x->session, &c, x->now_ms);
    x->ws = ws_new(&wc);
}

static void end_deinit(struct end *x)
{
    tunnel_session_free(x->session);
    ws_free(x->ws);
}

/* Up to 64 KiB from one end to the other, as the link moves them. */
static void move(struct end *from, struct end *to, struct buf *wire)
{
    struct str m;
    struct err e;

    tunnel_session_deliver(from->session);
    buf_clear(wire);
    while (wire->n < 64 * 1024 && tunnel_session_next(from->session, &m, from->now_ms))
        if (ws_put(from->ws, wire, false, m.p, m.n, &e))
            on_dead(NULL, &e);
    if (ws_feed(to->ws, wire->p, wire->n, &e))
        on_dead(NULL, &e);
    tunnel_session_deliver(to->session);
}

static void cycle(struct end *server, struct end *client, struct buf *wire, size_t n)
{
    static const char request[200];
    struct err e;

    for (size_t at = 0; at < n; at += N_AT_ONCE) {
        for (size_t i = 0; i < N_AT_ONCE; i++) {
            if (tunnel_session_open(server->session, &server->flows[i], STR("tcp"),
                                    STR("127.0.0.1:10250"), 15000, server->now_ms, &flow_events,
                                    server, &e))
                on_dead(NULL, &e);
            if ((at + i) % 10 == 0) { /* while it is dialed, sent or not */
                if (i % 2)
                    move(server, client, wire);
                tunnel_flow_close(STEAL(server->flows[i]), NULL, false, server->now_ms);
            }
        }
        move(server, client, wire);
        move(client, server, wire);
        for (size_t i = 0; i < N_AT_ONCE; i++) {
            if (!server->flows[i])
                continue;
            tunnel_flow_write(server->flows[i], request, sizeof request);
            tunnel_flow_close(STEAL(server->flows[i]), NULL, true, server->now_ms);
        }
        for (unsigned i = 0; i < 2; i++) {
            move(server, client, wire);
            move(client, server, wire);
        }
        if (tunnel_session_n_flows(server->session) + tunnel_session_n_flows(client->session)) {
            fprintf(stderr, "streams were left after %zu\n", at);
            exit(1);
        }
    }
}

static double seconds_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Without the pages of the program and its libraries, which are read when first used. */
static long rss_kib(void)
{
    char line[128];
    long kib = 0;
    FILE *f = fopen("/proc/self/status", "re");

    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "RssAnon: %ld", &kib) == 1)
            break;
    if (f)
        fclose(f);
    return kib;
}

static bool cycles(const struct tunnel_framing *framing)
{
    auto_buf wire = BUF(1024 * 1024);
    struct end server, client;
    double t;
    long before, after;
    size_t heap;
    bool ok;

    end_init(&server, TUNNEL_SERVER, framing);
    end_init(&client, TUNNEL_CLIENT, framing);
    cycle(&server, &client, &wire, N_WARM);
    before = rss_kib();
    heap = mallinfo2().uordblks;
    t = seconds_now();
    cycle(&server, &client, &wire, N_CYCLES);
    t = seconds_now() - t;
    after = rss_kib();
    printf("%s: %d streams opened and closed, every tenth given up: %.0f/s, RSS %ld -> %ld KiB, "
           "heap in use %zu -> %zu bytes\n",
           framing->name, N_CYCLES, N_CYCLES / t, before, after, heap, mallinfo2().uordblks);
    ok = (after - before) * 100 <= before && mallinfo2().uordblks <= heap + 4096;
    end_deinit(&server);
    end_deinit(&client);
    return ok;
}

static void bulk(const struct tunnel_framing *framing, bool up, double seconds)
{
    static char block[64 * 1024];
    auto_buf wire = BUF(1024 * 1024);
    struct end server, client;
    double t0, t;
    struct err e;

    end_init(&server, TUNNEL_SERVER, framing);
    end_init(&client, TUNNEL_CLIENT, framing);
    if (tunnel_session_open(server.session, &server.flows[0], STR("tcp"), STR("a:1"), 15000, 1000,
                            &flow_events, &server, &e))
        on_dead(NULL, &e);
    tunnel_flow_resume(server.flows[0]);
    move(&server, &client, &wire);
    move(&client, &server, &wire);
    t0 = t = seconds_now();
    while (t < t0 + seconds) {
        struct end *from = up ? &client : &server;
        struct tunnel_flow *f =
            up ? list_first(&client.session->flows, struct tunnel_flow, all) : server.flows[0];

        for (unsigned i = 0; i < 100; i++) {
            while (tunnel_flow_queued(f) < 256 * 1024)
                tunnel_flow_write(f, block, sizeof block);
            move(from, up ? &server : &client, &wire);
            move(up ? &server : &client, from, &wire);
        }
        t = seconds_now();
    }
    printf("%s: one stream, agent to server %s: %.2f GB/s\n", framing->name, up ? "yes" : "no",
           (double)(server.n_bytes + client.n_bytes) / 1e9 / (t - t0));
    end_deinit(&server);
    end_deinit(&client);
}

int main(int argc, char **argv)
{
    double seconds = argc > 2 ? atof(argv[2]) : 1;
    bool ok = true;

    for (unsigned i = 0; i < 2; i++) {
        const struct tunnel_framing *framing = i ? &tunnel_remotedialer : &tunnel_mux;

        bulk(framing, false, seconds);
        bulk(framing, true, seconds);
        ok = cycles(framing) && ok;
    }
    printf("memory of an idle session: %zu bytes, and up to 2 flows of %zu for reuse\n",
           sizeof(struct tunnel_session), sizeof(struct tunnel_flow));
    return ok ? 0 : 1;
}
