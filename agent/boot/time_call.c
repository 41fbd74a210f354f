#include "agent/boot/time_call.h"

#include "agent/boot/server_time.h"
#include "base/core/clock.h"
#include "base/core/log.h"
#include "base/core/mem.h"
#include "base/data/time.h"
#include "base/http/date.h"
#include "base/io/tls.h"

#include <stdlib.h>

#define CALL_TIMEOUT_MS  10000
#define ANSWER_MAX_BYTES (1024 * 1024)

struct time_call {
    struct tls_client_config *tls;
    struct http_endpoint *ep;
    struct http_call *call;
    bool moved;
    struct err err;
    time_call_fn done;
    void *arg;
};

static void confirm(int64_t server_s)
{
    clock_confirm_s(clock_wall_s());
    clock_raise_floor_s(server_time_floor_s(server_s, clock_machine_s()));
}

bool time_call_heard(int64_t server_s)
{
    if (llabs(server_s - clock_wall_s()) > CLOCK_SLACK_S)
        return false;
    confirm(server_s);
    return true;
}

/* Judges and acts. 0 or ERR_DENIED. */
static int take(struct time_call *c, const struct server_time_word *w, struct err *e)
{
    enum server_time_verdict v = server_time_judge(w);
    char ours[TIME_TEXT_BYTES], cluster[TIME_TEXT_BYTES];

    time_text_s(ours, w->now_unix_s);
    time_text_s(cluster, w->server_unix_s);
    if (*server_time_why(v))
        return err_set(e, ERR_DENIED, "it says %s, not taken: %s", cluster, server_time_why(v));
    if (v == SERVER_TIME_TAKE)
        clock_learn_s(w->server_unix_s);
    if (v == SERVER_TIME_MACHINE)
        clock_trust_machine();
    c->moved = v != SERVER_TIME_AGREES;
    if (c->moved)
        log_warn("our clock was wrong: going on with the cluster's time", kv("ours", ours),
                 kv("cluster", cluster));
    confirm(w->server_unix_s);
    return 0;
}

static void on_endpoint_closed(void *arg)
{
    struct time_call *c = arg;
    struct time_call gone = *c;

    tls_client_config_free(c->tls);
    free(c);
    gone.done(gone.arg, gone.moved, gone.err.code ? &gone.err : NULL);
}

static void on_answer(void *arg, int status, const struct http_headers *h, struct str body,
                      const struct err *e)
{
    struct time_call *c = arg;
    struct server_time_word w = { .now_unix_s = clock_wall_s(),
                                  .machine_unix_s = clock_machine_s(),
                                  .floor_unix_s = clock_floor_s(),
                                  .synced = clock_is_synced() };

    (void)status; /* any answer has a Date */
    (void)body;
    c->call = NULL;
    if (e)
        c->err = *e;
    else if (!http_date_parse(&w.server_unix_s, http_headers_get(h, "Date")) ||
             !tls_client_config_validity(c->tls, &w.from_unix_s, &w.until_unix_s))
        err_set(&c->err, ERR_DENIED, "its answer has no Date");
    else
        err_ignore(take(c, &w, &c->err)); /* kept in err */
    if (c->err.code)
        err_wrap(&c->err, "asked the server for the time");
    http_endpoint_close(STEAL(c->ep), on_endpoint_closed, c);
}

int time_call_start(struct time_call **out, const struct time_call_config *cfg, time_call_fn done,
                    void *arg, struct err *e)
{
    struct tls_client_options o = { .ca_pem = cfg->ca_pem, .any_time = true };
    struct http_call_config hc = { .method = "GET",
                                   .target = "/cacerts",
                                   .timeout_ms = CALL_TIMEOUT_MS };
    struct http_endpoint_config ec = { .authority = cfg->server_name,
                                       .dial = cfg->dial,
                                       .dial_arg = cfg->dial_arg,
                                       .proto = HTTP_H1,
                                       .dial_timeout_ms = CALL_TIMEOUT_MS,
                                       .n_connections_max = 1 };
    struct time_call *c = mem_alloc(sizeof *c);

    if (tls_client_config_new(&c->tls, &o, e)) {
        free(c);
        return (int)e->code;
    }
    c->done = done;
    c->arg = arg;
    ec.tls = c->tls;
    http_endpoint_new(&c->ep, cfg->loop, &ec);
    c->call = http_fetch(c->ep, &hc, ANSWER_MAX_BYTES, on_answer, c);
    *out = c;
    return 0;
}

void time_call_cancel(struct time_call *c)
{
    if (c->call)
        http_call_cancel(c->call);
}
