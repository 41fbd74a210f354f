#include "agent/boot/join.h"

#include "agent/boot/refusal.h"
#include "agent/boot/time_call.h"
#include "base/core/clock.h"
#include "base/core/log.h"
#include "base/core/mem.h"
#include "base/core/rand.h"
#include "base/data/base64.h"
#include "base/http/client.h"
#include "base/http/date.h"
#include "base/io/backoff.h"
#include "base/io/file.h"
#include "base/io/tcp.h"
#include "base/io/timer.h"
#include "base/io/tls.h"
#include "base/pki/bundle.h"
#include "base/pki/token.h"
#include "base/pki/x509.h"
#include "lb/balancer.h"

#include <stdio.h>

#define CALL_TIMEOUT_MS  10000 /* K3s's, of each supervisor call */
#define ANSWER_MAX_BYTES (1024 * 1024)
#define RETRY_MIN_MS     500
#define RETRY_MAX_MS     10000
#define DOUBT_AGAIN_MS   10000 /* asking for the time, where the answer did not help */
#define HEARD_AGAIN_MS   (10u * 60 * 1000)
#define TURN_MAX_S       (uint64_t)60 /* of a Retry-After: more is a broken server */
#define TURNS_MAX        20 /* then from the start: the token or the CA may be others by now */
/* Around 1.25 of it: from the time that was asked for to one and a half of it. */
#define TURN_JITTER_PERCENT 20
#define AUTH_MAX_BYTES      (2 * TOKEN_MAX_BYTES)

enum join_state {
    JOIN_CACERTS,
    JOIN_VERIFY,
    JOIN_TIME,
    JOIN_REVIVE,
    JOIN_CONFIG, /* from here on the server has proved to be the cluster's */
    JOIN_CLIENT_CA,
    JOIN_SERVER_CA,
    JOIN_SERVING,
    JOIN_KUBELET,
    JOIN_PROXY,
    JOIN_CONTROLLER,
    JOIN_JOINED,
    JOIN_BACKOFF,
    N_JOIN_STATES,
};

static const struct step {
    const char *name, *target;
    enum join_state next;
    int credential; /* -1: no certificate is asked for */
    bool node_headers;
} steps[N_JOIN_STATES] = {
    [JOIN_CACERTS] = { "CACERTS", "/cacerts", JOIN_VERIFY, -1, false },
    [JOIN_VERIFY] = { "VERIFY", "/cacerts", JOIN_CONFIG, -1, false },
    [JOIN_TIME] = { "TIME", NULL, JOIN_CACERTS, -1, false },
    [JOIN_REVIVE] = { "REVIVE", "/v1-k3s/client-kubelet.crt", JOIN_CONFIG, CRED_KUBELET, true },
    [JOIN_CONFIG] = { "CONFIG", "/v1-k3s/config", JOIN_CLIENT_CA, -1, false },
    [JOIN_CLIENT_CA] = { "CLIENT_CA", "/v1-k3s/client-ca.crt", JOIN_SERVER_CA, -1, false },
    [JOIN_SERVER_CA] = { "SERVER_CA", "/v1-k3s/server-ca.crt", JOIN_SERVING, -1, false },
    [JOIN_SERVING] = { "SERVING", "/v1-k3s/serving-kubelet.crt", JOIN_KUBELET, CRED_SERVING, true },
    [JOIN_KUBELET] = { "KUBELET", "/v1-k3s/client-kubelet.crt", JOIN_PROXY, CRED_KUBELET, true },
    [JOIN_PROXY] = { "PROXY", "/v1-k3s/client-kube-proxy.crt", JOIN_CONTROLLER, CRED_PROXY, false },
    [JOIN_CONTROLLER] = { "CONTROLLER", "/v1-k3s/client-k3s-controller.crt", JOIN_JOINED,
                          CRED_CONTROLLER, false },
    [JOIN_JOINED] = { "JOINED", NULL, JOIN_JOINED, -1, false },
    [JOIN_BACKOFF] = { "BACKOFF", NULL, JOIN_CACERTS, -1, false },
};

enum time_for { TIME_FOR_HANDSHAKE, TIME_FOR_DATE, TIME_FOR_JOINED };

struct join {
    struct join_config c;
    enum join_state state;
    struct time_call *time_call; /* TIME */
    struct token token;
    bool has_token, has_joined, told_unpinned;
    bool use_get;        /* the server does not know POST of a request */
    bool no_client_cert; /* it was refused: only the token counts in this attempt */
    bool waits_turn;     /* BACKOFF: the server is busy, goes on at waits_at */
    enum join_state waits_at;
    unsigned n_turns;               /* in this attempt */
    bool tried_revival, asked_time; /* in this attempt */
    enum time_for time_for;
    char clock_text[256];  /* why the handshake failed, for TIME_FOR_HANDSHAKE */
    uint64_t ask_again_ms; /* TIME_FOR_JOINED: not before this loop time */
    struct buf pinned_ca;  /* of this attempt: what /cacerts answered, or what is on disk */
    struct tls_client_config *tls;
    struct http_endpoint *ep;
    struct http_call *call;
    struct timer timer;
    struct backoff backoff;
    struct cluster_config config;
    enum cause cause;
    char cause_text[512];
    bool closing;
    unsigned n_open; /* endpoints that are closing, and the timer */
    void (*done)(void *arg);
    void *done_arg;
};

static void join_step(struct join *j);

const char *join_state_name(const struct join *j)
{
    return steps[j->state].name;
}

/* ---- what is wrong ---- */

static void set_cause(struct join *j, enum cause c, const char *text)
{
    if (j->cause == c && strcmp(j->cause_text, text) == 0)
        return;
    j->cause = c;
    snprintf(j->cause_text, sizeof j->cause_text, "%s", text);
    if (c != CAUSE_NONE)
        log_warn("cannot join the cluster yet, will retry", kv("cause", cause_name(c)),
                 kv("step", steps[j->state].name), kv("why", text), kv("advice", cause_advice(c)));
    j->c.on_cause(j->c.arg, c, text);
}

/* The balancer closes a connection when no server answers: its own last error says why. */
static bool balancer_says(const struct join *j, struct err *e)
{
    struct balancer_server_status st[8];
    size_t n = balancer_status(j->c.balancer, st, ARRAY_LEN(st));
    const struct balancer_server_status *last = NULL;

    for (size_t i = 0; i < n; i++)
        if (st[i].last_error[0] && (!last || st[i].last_error_ago_ms < last->last_error_ago_ms))
            last = &st[i];
    if (!last || last->last_error_ago_ms > CALL_TIMEOUT_MS)
        return false;
    err_set(e, strstr(last->last_error, "resolve") ? ERR_NOT_FOUND : ERR_IO, "%.250s",
            last->last_error);
    return true;
}

static bool has_expired(const struct join *j)
{
    const struct pair *kubelet = &j->c.credentials->pairs[CRED_KUBELET];

    return kubelet->cert_pem.n && kubelet->not_after_unix_s <= clock_wall_s();
}

static void start_over(struct join *j)
{
    j->state = j->has_token || j->c.token_file ? JOIN_CACERTS
               : has_expired(j)                ? JOIN_REVIVE
                                               : JOIN_CONFIG;
    j->no_client_cert = false;
    join_step(j);
}

static void on_timer(void *arg)
{
    struct join *j = arg;

    if (j->waits_turn) {
        j->waits_turn = false;
        j->state = j->waits_at;
        join_step(j);
        return;
    }
    j->n_turns = 0;
    j->tried_revival = j->asked_time = false;
    start_over(j);
}

static void fail(struct join *j, enum cause c, const char *text)
{
    set_cause(j, c, text);
    j->state = JOIN_BACKOFF;
    timer_start_ms(&j->timer, backoff_next_ms(&j->backoff), on_timer, j);
}

/* Many join at once and we were asked to come back: what is done so far stands, only this step is
 * repeated, when the server said, or a little later: the others were told the same. */
static void wait_turn(struct join *j, const struct http_headers *h, const char *text)
{
    struct str after = str_trim(http_headers_get(h, "retry-after"));
    uint64_t seconds = 1;

    if (!str_to_u64(after, &seconds)) /* RFC 9110 10.2.3: it may be a date too; nobody sends one */
        seconds = 1;
    set_cause(j, CAUSE_BUSY, text);
    j->waits_turn = true;
    j->waits_at = j->state;
    j->n_turns++;
    j->state = JOIN_BACKOFF;
    timer_start_ms(
        &j->timer,
        rand_jitter_ms(1250 * MIN(MAX(seconds, (uint64_t)1), TURN_MAX_S), TURN_JITTER_PERCENT),
        on_timer, j);
}

/* ---- connections ---- */

static void dial_balancer(void *dial_arg, uint64_t timeout_ms, http_dialed_fn done, void *arg)
{
    struct join *j = dial_arg;

    tcp_dial(NULL, j->c.loop, "127.0.0.1", balancer_port(j->c.balancer), timeout_ms, done, arg);
}

static void maybe_gone(struct join *j)
{
    void (*done)(void *) = j->done;
    void *arg = j->done_arg;

    if (!j->closing || j->n_open || j->call)
        return;
    tls_client_config_free(j->tls);
    if (j->has_token)
        token_deinit(&j->token);
    buf_deinit(&j->pinned_ca);
    free(j);
    if (done)
        done(arg);
}

struct old_endpoint {
    struct join *j;
    struct tls_client_config *tls;
};

static void on_endpoint_closed(void *arg)
{
    struct old_endpoint *o = arg;
    struct join *j = o->j;

    tls_client_config_free(o->tls);
    free(o);
    j->n_open--;
    maybe_gone(j);
}

static void drop_endpoint(struct join *j)
{
    struct old_endpoint *o;

    if (!j->ep)
        return;
    o = mem_alloc(sizeof *o);
    *o = (struct old_endpoint){ j, STEAL(j->tls) };
    j->n_open++;
    http_endpoint_close(STEAL(j->ep), on_endpoint_closed, o);
}

/* A fresh endpoint with the trust of this state: anything for the first /cacerts, then the pinned
 * CA, and our client certificate once we are past the CA's check; the expired one to revive it. */
static int make_endpoint(struct join *j, struct err *e)
{
    const struct pair *kubelet = &j->c.credentials->pairs[CRED_KUBELET];
    struct tls_client_options o = { .insecure = j->state == JOIN_CACERTS };
    struct http_endpoint_config ec = { .authority = JOIN_SERVER_NAME,
                                       .dial = dial_balancer,
                                       .dial_arg = j,
                                       .proto = HTTP_H1,
                                       .dial_timeout_ms = CALL_TIMEOUT_MS,
                                       .n_connections_max = 1 };

    drop_endpoint(j);
    if (!o.insecure)
        o.ca_pem = buf_str(&j->pinned_ca);
    if (kubelet->cert_pem.n &&
        (j->state == JOIN_REVIVE ||
         (j->state >= JOIN_CONFIG && !j->no_client_cert && !has_expired(j)))) {
        o.cert_chain_pem = buf_str(&kubelet->cert_pem);
        o.key_pem = buf_str(&kubelet->key_pem);
    }
    if (tls_client_config_new(&j->tls, &o, e))
        return (int)e->code;
    ec.tls = j->tls;
    http_endpoint_new(&j->ep, j->c.loop, &ec);
    return 0;
}

/* ---- requests ---- */

static int authorization(const struct join *j, struct buf *out)
{
    auto_buf plain = BUF_SECRET(AUTH_MAX_BYTES);

    if (token_is_bootstrap(&j->token))
        return buf_addf(out, "Bearer %s.%s", j->token.bootstrap_id, j->token.bootstrap_secret);
    /* whatever user the token names, an agent is "node" */
    if (buf_addf(&plain, "node:%s", j->token.password) || buf_adds(out, "Basic "))
        return ERR_LIMIT;
    return base64_add(out, buf_str(&plain));
}

static void on_answer(void *arg, int status, const struct http_headers *h, struct str body,
                      const struct err *e);

static void ask(struct join *j)
{
    const struct step *s = &steps[j->state];
    const struct credentials *cr = j->c.credentials;
    auto_buf auth = BUF_SECRET(AUTH_MAX_BYTES), der = BUF(16 * 1024);
    auto_free char *ips = NULL;
    struct http_header headers[5];
    size_t n = 0;
    struct err e;

    if (j->has_token && j->state >= JOIN_CONFIG) {
        if (authorization(j, &auth)) {
            fail(j, CAUSE_TOKEN, "the token is too long");
            return;
        }
        headers[n++] = (struct http_header){ STR("Authorization"), buf_str(&auth) };
    }
    if (j->state == JOIN_CONFIG) /* should the token be refused, the server can say for whom */
        headers[n++] = (struct http_header){ STR("k3s-Node-Name"), str_of(j->c.node_name) };
    if (s->node_headers) {
        bool both = s->credential == CRED_SERVING && *j->c.node_external_ips;
        ips = mem_printf("%s%s%s", j->c.node_ips, both ? "," : "",
                         both ? j->c.node_external_ips : "");
        headers[n++] = (struct http_header){ STR("k3s-Node-Name"), str_of(j->c.node_name) };
        headers[n++] = (struct http_header){ STR("k3s-Node-Password"), str_of(cr->password) };
        headers[n++] = (struct http_header){ STR("k3s-Node-IP"), str_of(ips) };
    }
    if (s->credential >= 0 && !j->use_get &&
        credentials_csr(cr, (enum credential)s->credential, &der, &e)) {
        fail(j, CAUSE_LOCAL, e.text);
        return;
    }
    struct http_call_config c = { .method = der.n ? "POST" : "GET",
                                  .target = s->target,
                                  .headers = headers,
                                  .n_headers = n,
                                  .body = buf_str(&der),
                                  .timeout_ms = CALL_TIMEOUT_MS };
    j->call = http_fetch(j->ep, &c, ANSWER_MAX_BYTES, on_answer, j);
}

/* ---- answers ---- */

static int pin(struct join *j, struct str body, struct err *e)
{
    buf_clear(&j->pinned_ca);
    if (!bundle_n_certs(body))
        return err_set(e, ERR_INVALID,
                       "/cacerts holds no certificate: this is no K3s or Coracle server");
    return buf_add_str(&j->pinned_ca, body) ? err_set(e, ERR_LIMIT, "/cacerts is too long") : 0;
}

static int take(struct join *j, struct str body, struct err *e)
{
    const struct step *s = &steps[j->state];
    char hash[BUNDLE_HASH_CHARS + 1];

    switch (j->state) {
    case JOIN_CACERTS:
        return pin(j, body, e);
    case JOIN_VERIFY:
        bundle_ca_hash(hash, body, X509_ANY_TIME); /* a wrong clock must not change it */
        if (!j->token.ca_hash[0] && !j->told_unpinned) {
            j->told_unpinned = true;
            log_warn("the token has no CA hash: the server is trusted at first sight",
                     kv("ca_hash", hash));
        }
        return token_check_ca(&j->token, hash, e);
    case JOIN_CONFIG:
        return cluster_config_parse(&j->config, body, e) ||
                       cluster_config_fits(&j->config, j->c.node_ips, e)
                   ? (int)e->code
                   : 0;
    case JOIN_CLIENT_CA:
    case JOIN_SERVER_CA:
        return credentials_set_ca(j->c.credentials, j->state == JOIN_SERVER_CA, body, e);
    case JOIN_REVIVE:
    case JOIN_SERVING:
    case JOIN_KUBELET:
    case JOIN_PROXY:
    case JOIN_CONTROLLER:
        return credentials_answer(j->c.credentials, (enum credential)s->credential, body, e);
    case JOIN_TIME:
    case JOIN_JOINED:
    case JOIN_BACKOFF:
    case N_JOIN_STATES:
        break;
    }
    return 0;
}

static enum cause cause_of_take(const struct join *j, const struct err *e)
{
    if (j->state == JOIN_VERIFY)
        return CAUSE_TOKEN;
    if (e->code == ERR_IO || e->code == ERR_DENIED)
        return CAUSE_LOCAL;
    return j->state == JOIN_CONFIG ? CAUSE_CONFIG : CAUSE_PROTOCOL;
}

static void refused(struct join *j, int status, const struct http_headers *h, struct str body)
{
    const struct step *s = &steps[j->state];
    char words[REFUSAL_WORDS_BYTES], text[REFUSAL_TEXT_BYTES];

    if (status == 401 && j->state >= JOIN_CONFIG && j->has_token && has_expired(j) &&
        !j->tried_revival) {
        j->state = JOIN_REVIVE;
        join_step(j);
        return;
    }
    if ((status == 404 || status == 405) && s->credential >= 0 && j->state != JOIN_REVIVE &&
        !j->use_get) {
        j->use_get = true; /* a server from before CSRs */
        join_step(j);
        return;
    }
    /* Only behind VERIFY: before it nobody has proved to be the cluster, and the token would go
     * to whoever answers. */
    if (status == 401 && j->state >= JOIN_CONFIG && j->has_token && !j->no_client_cert &&
        j->c.credentials->pairs[CRED_KUBELET].cert_pem.n) {
        j->no_client_cert = true; /* K3s: repeat without the certificate, the token decides */
        j->state = JOIN_CONFIG;
        join_step(j);
        return;
    }
    refusal_words(words, body);
    if (status == 429 && j->state >= JOIN_CONFIG && j->n_turns < TURNS_MAX) {
        wait_turn(j, h, words);
        return;
    }
    const struct refusal r = {
        .status = status,
        .words = words,
        .reviving = j->state == JOIN_REVIVE,
        .names_node = s->node_headers,
        .has_token = j->has_token,
        .is_bootstrap = j->has_token && token_is_bootstrap(&j->token),
        .node_dir = j->c.credentials->node_dir,
    };
    enum cause c = refusal_read(text, &r);
    fail(j, c, text);
}

/* ---- the time ---- */

static void ask_time(struct join *j, enum time_for what_for)
{
    j->asked_time = true;
    j->time_for = what_for;
    j->state = JOIN_TIME;
    join_step(j);
}

/* The server's certificate does not fit our clock. Its word is worth something only under the CA
 * that the token or our disk pins. */
static void ask_time_after(struct join *j, const struct err *why)
{
    char hash[BUNDLE_HASH_CHARS + 1];
    struct err e;

    snprintf(j->clock_text, sizeof j->clock_text, "%s", why->text);
    if (j->state == JOIN_VERIFY) {
        bundle_ca_hash(hash, buf_str(&j->pinned_ca), X509_ANY_TIME);
        if (token_check_ca(&j->token, hash, &e)) {
            fail(j, CAUSE_TOKEN, e.text);
            return;
        }
    }
    ask_time(j, TIME_FOR_HANDSHAKE);
}

static void on_time(void *arg, bool moved, const struct err *e)
{
    struct join *j = arg;
    char text[520];

    j->time_call = NULL;
    j->n_open--;
    if (j->closing) {
        maybe_gone(j);
        return;
    }
    switch (j->time_for) {
    case TIME_FOR_HANDSHAKE:
        if (!e && moved) {
            start_over(j);
            break;
        }
        snprintf(text, sizeof text, "%s; %s", j->clock_text,
                 e ? e->text : "the server has the same time as this machine");
        fail(j, CAUSE_CLOCK, text);
        break;
    case TIME_FOR_DATE: /* the handshake was good: it goes on in any case */
        start_over(j);
        break;
    case TIME_FOR_JOINED:
        if (moved)
            j->ask_again_ms = 0;
        j->state = JOIN_JOINED;
        break;
    }
}

static void call_for_time(struct join *j)
{
    struct time_call_config c = { .loop = j->c.loop,
                                  .dial = dial_balancer,
                                  .dial_arg = j,
                                  .ca_pem = buf_str(&j->pinned_ca),
                                  .server_name = JOIN_SERVER_NAME };
    struct err e;

    if (!time_call_start(&j->time_call, &c, on_time, j, &e))
        j->n_open++;
    else if (j->time_for == TIME_FOR_JOINED)
        j->state = JOIN_JOINED;
    else
        fail(j, CAUSE_LOCAL, e.text);
}

static void on_answer(void *arg, int status, const struct http_headers *h, struct str body,
                      const struct err *e)
{
    struct join *j = arg;
    int64_t server_s;
    struct err why;

    j->call = NULL;
    if (j->closing) {
        maybe_gone(j);
        return;
    }
    if (e) {
        why = *e;
        if (e->code == ERR_CLOSED || e->code == ERR_TIMEOUT || e->code == ERR_IO)
            balancer_says(j, &why);
        if (cause_of(&why, 0) == CAUSE_CLOCK && !j->asked_time)
            ask_time_after(j, &why);
        else
            fail(j, cause_of(&why, 0), why.text);
        return;
    }
    if (j->state >= JOIN_CONFIG && !j->asked_time &&
        http_date_parse(&server_s, http_headers_get(h, "Date")) && !time_call_heard(server_s)) {
        ask_time(j, TIME_FOR_DATE);
        return;
    }
    if (status != 200) {
        refused(j, status, h, body);
        return;
    }
    if (take(j, body, &why)) {
        fail(j, cause_of_take(j, &why), why.text);
        return;
    }
    j->state = steps[j->state].next;
    join_step(j);
}

/* ---- the flow ---- */

/* The token file is read again at each attempt: it may appear or be mended while we wait. */
static int read_token(struct join *j, struct err *e)
{
    auto_buf text = BUF_SECRET(TOKEN_MAX_BYTES);
    struct token t;

    if (!j->c.token_file || j->c.token)
        return 0;
    if (file_read(j->c.token_file, TOKEN_MAX_BYTES, &text, e) ||
        token_parse(&t, str_trim(buf_str(&text)), e))
        return err_wrap(e, "token file");
    if (j->has_token)
        token_deinit(&j->token);
    j->token = t;
    j->has_token = true;
    return 0;
}

static void joined(struct join *j)
{
    bool renewed = j->has_joined;

    drop_endpoint(j);
    backoff_reset(&j->backoff);
    set_cause(j, CAUSE_NONE, "");
    j->has_joined = true;
    j->c.on_joined(j->c.arg, &j->config, renewed);
}

/* What was pinned when we first joined. */
static void pin_known(struct join *j)
{
    buf_clear(&j->pinned_ca);
    err_ignore(buf_add_str(&j->pinned_ca, buf_str(&j->c.credentials->server_ca)));
}

static bool changes_trust(enum join_state s)
{
    return s == JOIN_CACERTS || s == JOIN_VERIFY || s == JOIN_REVIVE || s == JOIN_CONFIG;
}

static void join_step(struct join *j)
{
    struct err e;

    if (j->closing)
        return;
    switch (j->state) {
    case JOIN_CACERTS:
        j->use_get = false;
        if (read_token(j, &e)) {
            fail(j, CAUSE_TOKEN, e.text);
            return;
        }
        break;
    case JOIN_TIME:
        call_for_time(j);
        return;
    case JOIN_REVIVE:
        j->tried_revival = true;
        pin_known(j);
        break;
    case JOIN_CONFIG:
        if (!j->has_token)
            pin_known(j);
        break;
    case JOIN_JOINED:
        joined(j);
        return;
    case JOIN_BACKOFF:
        return;
    default:
        break;
    }
    /* the rest goes on over the same connection */
    if ((changes_trust(j->state) || !j->ep) && make_endpoint(j, &e)) {
        fail(j, CAUSE_LOCAL, e.text);
        return;
    }
    ask(j);
}

void join_renew(struct join *j)
{
    if (j->state != JOIN_JOINED || j->closing)
        return;
    log_info("certificates are due for renewal: asking for new ones");
    j->state = JOIN_BACKOFF;
    timer_start_ms(&j->timer, 0, on_timer, j);
}

static void ask_in_passing(struct join *j, uint64_t again_ms)
{
    if (j->state != JOIN_JOINED || j->closing || uv_now(j->c.loop) < j->ask_again_ms)
        return;
    j->ask_again_ms = uv_now(j->c.loop) + again_ms; /* unless it helps */
    ask_time(j, TIME_FOR_JOINED);
}

void join_heard_time(struct join *j, int64_t server_s)
{
    if (!time_call_heard(server_s))
        ask_in_passing(j, HEARD_AGAIN_MS);
}

void join_doubt_time(struct join *j)
{
    ask_in_passing(j, DOUBT_AGAIN_MS);
}

int join_new(struct join **out, const struct join_config *c, struct err *e)
{
    struct join *j = mem_alloc(sizeof *j);

    j->c = *c;
    j->pinned_ca = BUF(BUNDLE_MAX_BYTES);
    j->backoff = (struct backoff)BACKOFF(RETRY_MIN_MS, RETRY_MAX_MS);
    j->backoff.jitter_percent = 30;
    if (c->token) {
        if (token_parse(&j->token, str_of(c->token), e)) {
            buf_deinit(&j->pinned_ca);
            free(j);
            return err_wrap(e, "--token");
        }
        j->has_token = true;
    } else if (!c->token_file && !credentials_have_joined(c->credentials)) {
        buf_deinit(&j->pinned_ca);
        free(j);
        return err_set(
            e, ERR_INVALID,
            "--token (or K3S_TOKEN, --token-file) is needed: this machine has not joined "
            "before");
    }
    timer_init(&j->timer, c->loop);
    j->n_open = 1;
    j->state = JOIN_BACKOFF;
    timer_start_ms(&j->timer, 0, on_timer, j);
    *out = j;
    return 0;
}

static void on_timer_closed(void *arg)
{
    struct join *j = arg;

    j->n_open--;
    maybe_gone(j);
}

void join_close(struct join *j, void (*done)(void *arg), void *arg)
{
    j->closing = true;
    j->done = done;
    j->done_arg = arg;
    if (j->call)
        http_call_cancel(j->call);
    if (j->time_call)
        time_call_cancel(j->time_call);
    drop_endpoint(j);
    timer_close(&j->timer, on_timer_closed, j);
}
