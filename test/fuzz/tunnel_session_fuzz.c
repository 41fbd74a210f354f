/* A session fed with messages of any content: the first byte chooses role and protocol, that of
 * each record is its length (0: a turn of the clock), the owner reads, pauses, writes and closes by
 * the same bytes. */
#include "tunnel/framing.h"

struct fuzz {
    struct tunnel_session *s;
    struct tunnel_flow *flows[64];
    uint64_t now_ms;
};

static void on_data(void *arg, const char *p, size_t n)
{
    (void)arg;
    (void)p;
    (void)n;
}
static void on_drain(void *arg)
{
    (void)arg;
}
static void on_end(void *arg, const struct err *e)
{
    (void)e;
    *(struct tunnel_flow **)arg = NULL;
}
static const struct tunnel_flow_events flow_events = { .on_data = on_data,
                                                       .on_sent = on_drain,
                                                       .on_end = on_end };

static void on_open(void *arg, struct tunnel_flow *f, struct str proto, struct str address)
{
    struct fuzz *z = arg;

    (void)proto;
    for (size_t i = 0; i < ARRAY_LEN(z->flows); i++)
        if (!z->flows[i] && address.n % 5) {
            z->flows[i] = f;
            tunnel_flow_bind(f, &flow_events, &z->flows[i]);
            return;
        }
    tunnel_flow_close(f, "not allowed", false, z->now_ms);
}
static void on_dead(void *arg, const struct err *e)
{
    (void)arg;
    (void)e;
}
static const struct tunnel_session_events events = { on_drain, on_drain, on_open, on_dead };

static void act(struct fuzz *z, uint8_t what)
{
    struct tunnel_flow **at = &z->flows[what % ARRAY_LEN(z->flows)];
    struct err e;

    if (!*at) {
        if (tunnel_session_open(z->s, at, STR("tcp"), STR("127.0.0.1:10250"), 1000, z->now_ms,
                                &flow_events, at, &e))
            *at = NULL;
        return;
    }
    switch (what / ARRAY_LEN(z->flows)) {
    case 0:
        tunnel_flow_resume(*at);
        break;
    case 1:
        tunnel_flow_pause(*at);
        tunnel_flow_ready(*at);
        break;
    case 2:
        tunnel_flow_write(*at, "hello", 5);
        if (what & 1)
            (void)tunnel_flow_shutdown(*at);
        break;
    default:
        tunnel_flow_close(*at, NULL, what & 1, z->now_ms);
        *at = NULL;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct fuzz z = { .now_ms = 1 };
    struct tunnel_session_config c = { .role = n && data[0] & 1 ? TUNNEL_SERVER : TUNNEL_CLIENT,
                                       .framing =
                                           n && data[0] & 2 ? &tunnel_mux : &tunnel_remotedialer,
                                       .first_id = 1,
                                       .n_flows_max = 32,
                                       .events = &events,
                                       .arg = &z };
    struct str m;

    tunnel_session_new(&z.s, &c, z.now_ms);
    for (size_t at = 1; at + 1 < n;) {
        size_t len = MIN((size_t)data[at], n - at - 2);

        act(&z, data[at + 1]);
        tunnel_session_receive(z.s, str_n(data + at + 2, len), z.now_ms);
        if (data[at] == 0)
            tunnel_session_tick(z.s, z.now_ms += 1000);
        tunnel_session_deliver(z.s);
        while (tunnel_session_next(z.s, &m, z.now_ms))
            ;
        at += len + 2;
    }
    tunnel_session_free(z.s);
    return 0;
}
