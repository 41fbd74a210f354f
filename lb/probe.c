#include "lb/probe.h"

#include "base/core/log.h"
#include "base/core/mem.h"

#define PROBE_MIN_MS     1000 /* between two probes of one server, doubling */
#define PROBE_MAX_MS     30000
#define PROBE_TIMEOUT_MS 5000
#define N_PROBES_MAX     8 /* at a time: a long list must not cost a burst of sockets */

struct probe {
    struct list link;
    struct lb_prober *p;
    struct lb_server *s; /* ref'd */
    struct lb_connect *dial;
};

struct lb_prober {
    struct lb_prober_config c;
    struct list running;
    size_t n_running;
    bool closing;
    struct poller_task task;
    void (*done)(void *arg);
    void *done_arg;
};

static bool is_unproven(const struct lb_server *s)
{
    return s->state == LB_UNCHECKED || s->state == LB_FAILED ||
           (s->state == LB_STANDBY && !s->reached);
}

static void maybe_gone(void *arg)
{
    struct lb_prober *p = arg;
    void (*done)(void *) = p->done;
    void *done_arg = p->done_arg;

    if (p->n_running)
        return;
    poller_task_cancel(&p->task);
    free(p);
    done(done_arg);
}

static void on_dialed(void *arg, struct watch *w, uint64_t took_us, const struct err *e)
{
    struct probe *pr = arg;
    struct lb_prober *p = pr->p;
    struct lb_server *s = pr->s;
    uint64_t now_ms = poller_now_ms(p->c.dialer->poller);

    watch_close(w);
    list_remove(&pr->link);
    free(pr);
    p->n_running--;
    s->probing = false;
    s->probe_at_ms = now_ms + backoff_next_ms(&s->probe_backoff);
    if (!p->closing) {
        if (!e)
            s->rtt_us = took_us;
        /* a dial or a tunnel may have said more meanwhile */
        if (is_unproven(s))
            lb_server_set_event(p->c.set, s, e ? LB_CHECK_FAIL : LB_CHECK_OK, e, now_ms);
        log_debug("load balancer probed a server", kv("server", s->address),
                  kv("state", lb_state_name(s->state)), kv("err", e ? e->text : ""));
        p->c.on_probed(p->c.arg, s, e);
    }
    lb_server_unref(s);
    if (p->closing)
        maybe_gone(p);
}

void lb_prober_tick(struct lb_prober *p)
{
    struct lb_server *order[LB_SERVERS_MAX + 1];
    size_t n = lb_server_set_order(p->c.set, order);
    uint64_t now_ms = poller_now_ms(p->c.dialer->poller);

    for (size_t i = 0; i < n && !p->closing; i++) {
        struct lb_server *s = order[i];
        struct probe *pr;

        if (!is_unproven(s)) {
            backoff_reset(&s->probe_backoff);
            s->probe_at_ms = 0;
            continue;
        }
        if (s->probing || now_ms < s->probe_at_ms || p->n_running >= N_PROBES_MAX ||
            !p->c.wanted(p->c.arg, s))
            continue;
        if (!s->probe_backoff.min_ms)
            s->probe_backoff = (struct backoff)BACKOFF(PROBE_MIN_MS, PROBE_MAX_MS);
        s->probing = true;
        pr = mem_alloc(sizeof *pr);
        pr->p = p;
        pr->s = lb_server_ref(s);
        list_push(&p->running, &pr->link);
        p->n_running++;
        lb_connect_start(&pr->dial, p->c.dialer, s->address, PROBE_TIMEOUT_MS, NULL, on_dialed, pr);
    }
}

struct lb_prober *lb_prober_new(const struct lb_prober_config *c)
{
    struct lb_prober *p = mem_alloc(sizeof *p);

    p->c = *c;
    list_init(&p->running);
    return p;
}

void lb_prober_close(struct lb_prober *p, void (*done)(void *arg), void *arg)
{
    p->closing = true;
    p->done = done;
    p->done_arg = arg;
    list_each (pr, &p->running, struct probe, link)
        lb_connect_cancel(pr->dial);
    poller_soon(p->c.dialer->poller, &p->task, maybe_gone, p);
}
