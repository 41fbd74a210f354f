#include "tunnel/pump.h"

#include "base/core/log.h"
#include "base/core/mem.h"
#include "base/io/tcp.h"

#include <ctype.h>
#include <stdio.h>

#define CLOSE_MS 10000 /* for what still goes to the local connection */

struct tunnel_pump {
    uv_loop_t *loop;
    struct tunnel_flow *flow; /* NULL once it has ended */
    struct tcp_dial *dial;    /* while dialing */
    struct stream *tcp;       /* NULL before, and once it is being closed */
    struct tunnel_target target;
};

static void flow_close(struct tunnel_pump *p)
{
    if (p->flow)
        tunnel_flow_close(STEAL(p->flow), NULL, true, uv_now(p->loop));
}

/* ---- the flow ---- */

static void on_flow_data(void *arg, const char *bytes, size_t n)
{
    struct tunnel_pump *p = arg;

    stream_write(p->tcp, bytes, n);
    if (stream_queued(p->tcp) > STREAM_HIGH_BYTES)
        tunnel_flow_pause(p->flow); /* on_tcp_drain resumes */
}

static void on_flow_sent(void *arg)
{
    struct tunnel_pump *p = arg;

    if (p->tcp && tunnel_flow_queued(p->flow) <= STREAM_HIGH_BYTES / 2)
        stream_resume(p->tcp);
}

static void on_flow_end(void *arg, const struct err *e)
{
    struct tunnel_pump *p = arg;

    p->flow = NULL;
    if (p->dial)
        tcp_dial_cancel(p->dial);
    else if (p->tcp && e)
        stream_close(STEAL(p->tcp));
    else if (p->tcp)
        stream_close_flushed(STEAL(p->tcp), CLOSE_MS);
}

static void on_flow_fin(void *arg)
{
    struct tunnel_pump *p = arg;

    if (p->tcp)
        stream_shutdown(p->tcp);
}

static const struct tunnel_flow_events flow_events = {
    .on_data = on_flow_data, .on_sent = on_flow_sent, .on_end = on_flow_end, .on_fin = on_flow_fin
};

/* ---- the local connection ---- */

static void on_tcp_data(void *arg, const char *bytes, size_t n)
{
    struct tunnel_pump *p = arg;

    if (!p->flow)
        return;
    tunnel_flow_write(p->flow, bytes, n);
    if (tunnel_flow_queued(p->flow) > STREAM_HIGH_BYTES)
        stream_pause(p->tcp); /* on_flow_sent resumes */
}

static void on_tcp_end(void *arg)
{
    struct tunnel_pump *p = arg;

    if (p->flow && tunnel_flow_shutdown(p->flow))
        return; /* on_flow_end comes when the other direction has ended too */
    flow_close(p);
    if (p->tcp)
        stream_close_flushed(STEAL(p->tcp), CLOSE_MS);
}

static void on_tcp_drain(void *arg)
{
    struct tunnel_pump *p = arg;

    if (p->flow)
        tunnel_flow_resume(p->flow);
}

static void on_tcp_error(void *arg, const struct err *e)
{
    struct tunnel_pump *p = arg;

    if (p->flow)
        tunnel_flow_fail(STEAL(p->flow), e, true, uv_now(p->loop));
    if (p->tcp)
        stream_close(STEAL(p->tcp));
}

static void on_tcp_closed(void *arg)
{
    free(arg);
}

static const struct stream_events tcp_events = { .on_data = on_tcp_data,
                                                 .on_end = on_tcp_end,
                                                 .on_drain = on_tcp_drain,
                                                 .on_error = on_tcp_error,
                                                 .on_closed = on_tcp_closed };

/* "dial tcp 127.0.0.1:1: connect: connection refused", as Go puts it: server code matches it */
static void dial_error(struct err *out, const struct tunnel_target *t, const struct err *e)
{
    bool v6 = strchr(t->host, ':') != NULL;
    char why[300];

    if (e->sys)
        snprintf(why, sizeof why, "connect: %s", strerror(e->sys));
    else
        snprintf(why, sizeof why, "%s", e->code == ERR_TIMEOUT ? "i/o timeout" : e->text);
    if (e->sys) /* Go writes errno texts in lower case */
        why[strlen("connect: ")] = (char)tolower((unsigned char)why[strlen("connect: ")]);
    err_set(out, e->code, "dial tcp %s%s%s:%u: %s", v6 ? "[" : "", t->host, v6 ? "]" : "", t->port,
            why);
    out->sys = e->sys;
}

static void on_dialed(void *arg, struct stream *tcp, const struct err *e)
{
    struct tunnel_pump *p = arg;
    struct err why;

    p->dial = NULL;
    if (e || !p->flow) {
        if (e && p->flow) {
            dial_error(&why, &p->target, e);
            log_debug("tunnel dial failed", kv("err", why.text));
            tunnel_flow_fail(STEAL(p->flow), &why, true, uv_now(p->loop));
        }
        if (tcp)
            stream_close(tcp);
        free(p);
        return;
    }
    p->tcp = tcp;
    stream_open(tcp, &tcp_events, p);
    tunnel_flow_ready(p->flow);
    tunnel_flow_resume(p->flow);
}

void tunnel_pump_start(uv_loop_t *loop, struct tunnel_flow *f, const struct tunnel_target *target)
{
    struct tunnel_pump *p = mem_alloc(sizeof *p);

    p->loop = loop;
    p->flow = f;
    p->target = *target;
    tunnel_flow_bind(f, &flow_events, p);
    tcp_dial(&p->dial, loop, target->host, target->port,
             tunnel_flow_timeout_ms(f, TUNNEL_PUMP_DIAL_MS), on_dialed, p);
}
