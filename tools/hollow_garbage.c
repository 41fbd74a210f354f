#include "tools/hollow_garbage.h"

#include "agent/boot/join.h"
#include "base/core/mem.h"
#include "base/core/rand.h"
#include "base/http/url.h"
#include "base/http/ws.h"
#include "base/io/timer.h"
#include "tunnel/connect.h"

#define PIECE_EVERY_MS 20
#define PIECES         40 /* of them the first half in websocket frames */
#define PIECE_BYTES    300
#define LIFE_MS        10000

struct garbage {
    uv_loop_t *loop;
    struct tls_client_config *tls;
    struct tunnel_connect *attempt;
    struct stream *stream;
    struct ws *ws;
    struct timer timer;
    unsigned n_pieces;
    bool closing;
    unsigned n_open; /* the timer, the attempt or the stream */
    void (*done)(void *arg);
    void *arg;
};

static void part_closed(void *arg)
{
    struct garbage *g = arg;
    void (*done)(void *) = g->done;
    void *done_arg = g->arg;

    if (--g->n_open)
        return;
    ws_free(g->ws);
    tls_client_config_free(g->tls);
    free(g);
    done(done_arg);
}

static void end(struct garbage *g)
{
    if (g->closing)
        return;
    g->closing = true;
    if (g->attempt)
        tunnel_connect_cancel(g->attempt);
    if (g->stream)
        stream_close(g->stream);
    timer_close(&g->timer, part_closed, g);
}

static void on_end(void *arg)
{
    end(arg);
}

static void on_error(void *arg, const struct err *e)
{
    (void)e;
    end(arg);
}

static const struct stream_events stream_events = { .on_end = on_end,
                                                    .on_error = on_error,
                                                    .on_closed = part_closed };

static void send_piece(void *arg)
{
    struct garbage *g = arg;
    unsigned char bytes[PIECE_BYTES];
    size_t n = 1 + rand_below(sizeof bytes);
    auto_buf frame = BUF(4096);
    struct err e;

    if (g->n_pieces++ == PIECES) {
        timer_start_ms(&g->timer, LIFE_MS, on_end, g);
        return;
    }
    rand_bytes(bytes, n);
    if (g->n_pieces > PIECES / 2)
        stream_write(g->stream, bytes, n);
    else if (!ws_put(g->ws, &frame, false, (const char *)bytes, n, &e))
        stream_write(g->stream, frame.p, frame.n);
    timer_start_ms(&g->timer, PIECE_EVERY_MS, send_piece, g);
}

static void on_connected(void *arg, const struct tunnel_connect_result *r)
{
    struct garbage *g = arg;

    g->attempt = NULL;
    if (!r->stream || g->closing) {
        if (r->stream)
            stream_close(r->stream);
        end(g);
        part_closed(g);
        return;
    }
    g->stream = r->stream; /* takes the attempt's place in n_open */
    stream_handover(g->stream, &stream_events, g, r->leftover);
    send_piece(g);
}

int garbage_start(struct garbage **out, uv_loop_t *loop, const char *seed,
                  const struct credentials *c, void (*done)(void *arg), void *arg, struct err *e)
{
    static const char *const alpn[] = { "http/1.1", NULL };
    static const struct ws_events no_events = { 0 };
    struct tls_client_options o = { .ca_pem = buf_str(&c->server_ca),
                                    .cert_chain_pem = buf_str(&c->pairs[CRED_KUBELET].cert_pem),
                                    .key_pem = buf_str(&c->pairs[CRED_KUBELET].key_pem),
                                    .alpn = alpn };
    struct ws_config wc = { .role = WS_CLIENT, .message_max_bytes = 4096, .events = &no_events };
    struct tls_client_config *tls;
    auto_free char *name = NULL;
    struct garbage *g;
    struct str host;
    uint16_t port;

    if (url_split_host_port(&host, &port, str_of(seed), 0, e) || tls_client_config_new(&tls, &o, e))
        return (int)e->code;
    name = str_dup(host);
    g = mem_alloc(sizeof *g);
    g->loop = loop;
    g->tls = tls;
    g->ws = ws_new(&wc);
    g->done = done;
    g->arg = arg;
    timer_init(&g->timer, loop);
    g->n_open = 2;
    *out = g;
    struct tunnel_connect_config cc = { .loop = loop,
                                        .host = name,
                                        .port = port,
                                        .tls_name = JOIN_SERVER_NAME,
                                        .tls = tls,
                                        .client_id = "0123456789abcdef0123456789abcdef" };
    tunnel_connect_start(&g->attempt, &cc, on_connected, g);
    return 0;
}

void garbage_cancel(struct garbage *g, void (*done)(void *arg), void *arg)
{
    g->done = done;
    g->arg = arg;
    end(g);
}
