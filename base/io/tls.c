#include "base/io/tls_impl.h"

#include "base/core/clock.h"
#include "base/core/mem.h"
#include "base/io/timer.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <time.h>

/*
 * A TLS connection between an owner (plain bytes) and a raw stream (records).
 *
 *   owner --stream_write--> out --SSL_write--> BIO --stream_write--> raw
 *   owner <--emit_data------ SSL_read <------- BIO <-- in, view <--- raw
 *
 *   HANDSHAKE --> OPEN --> (stream_close)
 *        +----------+--> BROKEN
 *
 * OpenSSL sees a BIO that always takes what is written (the raw stream queues it) and that reads
 * first what an earlier turn left over (in), then what the raw stream gives now (view). Left-overs
 * exist only while the owner has paused; the raw stream is paused then too.
 */
enum tls_state { TLS_HANDSHAKE, TLS_OPEN, TLS_BROKEN };

#define RECORD_BYTES (16u * 1024) /* RFC 8446 5.1: the most one record carries */
#define IN_MAX_BYTES (1024u * 1024)

struct tls {
    struct stream s; /* first */
    struct stream *raw;
    struct tls_ctx *ctx;
    SSL *ssl;
    enum tls_state state;
    bool is_server, reading, raw_started, raw_ended, raw_paused, ended;
    bool want_shutdown, sent_shutdown;
    unsigned n_parts; /* raw and timer, while they are open */
    struct buf in;    /* records of earlier turns */
    size_t in_at;
    struct str view; /* records of this turn */
    struct buf out;  /* plain bytes of this turn */
    struct tls_peer peer;
    char *alpn, *server_name;
    long verify_error;
    char *verify_who; /* the certificate that is bad */
    /* client only, until done */
    struct timer timer;
    char *name;
    uint64_t timeout_ms;
    void (*done)(void *arg, struct stream *s, const struct err *e);
    void *done_arg;
};

static struct tls *tls_of(struct stream *s)
{
    return container_of(s, struct tls, s);
}

/* ---- the BIO ---- */

static size_t input_left(const struct tls *t)
{
    return t->in.n - t->in_at + t->view.n;
}

static int on_bio_write(BIO *b, const char *p, int n)
{
    struct tls *t = BIO_get_data(b);

    BIO_clear_retry_flags(b);
    stream_write(t->raw, p, (size_t)n);
    return n;
}

static int on_bio_read(BIO *b, char *p, int want)
{
    struct tls *t = BIO_get_data(b);
    size_t n;

    BIO_clear_retry_flags(b);
    if (t->in_at < t->in.n) {
        n = MIN((size_t)want, t->in.n - t->in_at);
        memcpy(p, t->in.p + t->in_at, n);
        t->in_at += n;
        return (int)n;
    }
    if (t->view.n) {
        n = MIN((size_t)want, t->view.n);
        memcpy(p, t->view.p, n);
        t->view.p += n;
        t->view.n -= n;
        return (int)n;
    }
    if (t->raw_ended)
        return 0;
    BIO_set_retry_read(b);
    return -1;
}

static long on_bio_ctrl(BIO *b, int cmd, long arg, void *p)
{
    (void)b;
    (void)arg;
    (void)p;
    return cmd == BIO_CTRL_FLUSH;
}

static BIO_METHOD *bio_method; /* written once, under the once below */

static void make_bio_method(void)
{
    BIO_METHOD *m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "stream");

    if (!m)
        return;
    BIO_meth_set_write(m, on_bio_write);
    BIO_meth_set_read(m, on_bio_read);
    BIO_meth_set_ctrl(m, on_bio_ctrl);
    bio_method = m;
}

/* ---- outcomes ---- */

int tls_on_verify(int ok, X509_STORE_CTX *store)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct tls *t = SSL_get_app_data(ssl);
    X509 *x = X509_STORE_CTX_get_current_cert(store);

    if (!ok && !t->verify_error) { /* the first is the cause, others follow from it */
        t->verify_error = X509_STORE_CTX_get_error(store);
        if (x && !t->is_server) {
            char subject[96], issuer[96];
            X509_NAME_oneline(X509_get_subject_name(x), subject, sizeof subject);
            X509_NAME_oneline(X509_get_issuer_name(x), issuer, sizeof issuer);
            free(t->verify_who);
            t->verify_who = mem_printf("certificate %s issued by %s", subject, issuer);
        }
    }
    return ok || t->is_server || t->ctx->insecure;
}

static void part_closed(void *arg)
{
    struct tls *t = arg;

    if (--t->n_parts == 0)
        stream_emit_closed(&t->s);
}

/* Tells the waiting client: e is NULL when the stream is ready. */
static void tell_done(struct tls *t, const struct err *e)
{
    void (*done)(void *arg, struct stream *s, const struct err *err) = t->done;

    t->done = NULL;
    timer_stop(&t->timer);
    if (e)
        stream_close(&t->s); /* nobody else knows of it */
    done(t->done_arg, e ? NULL : &t->s, e);
}

static void tls_fail(struct tls *t, const struct err *e)
{
    struct err copy = *e;

    if (t->state == TLS_BROKEN)
        return;
    if (t->state == TLS_HANDSHAKE) {
        if (t->name)
            err_wrap(&copy, "TLS handshake with %s", t->name);
        else
            err_wrap(&copy, "TLS handshake");
    }
    t->state = TLS_BROKEN;
    stream_flush(t->raw); /* the alert, if there is one */
    if (t->done)
        tell_done(t, &copy);
    else
        stream_emit_error(&t->s, &copy);
}

/* OpenSSL reported a failure, its queue says which. */
static void tls_fail_ssl(struct tls *t)
{
    struct err e;

    if (t->state == TLS_HANDSHAKE && t->verify_error && !t->is_server && !t->ctx->insecure) {
        ERR_clear_error();
        err_set(&e, ERR_DENIED, "%s: %s", t->verify_who ? t->verify_who : "certificate",
                X509_verify_cert_error_string(t->verify_error));
    } else if (t->raw_ended && !input_left(t)) {
        ERR_clear_error();
        err_set(&e, ERR_CLOSED,
                t->state == TLS_HANDSHAKE ? "the peer closed the connection"
                                          : "TLS: the peer closed without close_notify");
    } else {
        tls_err(&e, ERR_PROTOCOL, "TLS");
    }
    tls_fail(t, &e);
}

static bool unix_s_of(const ASN1_TIME *at, int64_t *unix_s)
{
    struct tm tm;

    if (ASN1_TIME_to_tm(at, &tm) != 1)
        return false;
    *unix_s = (int64_t)timegm(&tm);
    return true;
}

static void learn_validity(struct tls *t)
{
    STACK_OF(X509) *chain = SSL_get0_verified_chain(t->ssl);
    int64_t from = INT64_MIN, until = INT64_MAX, begins, ends;

    t->ctx->has_validity = false;
    for (int i = 0; i < sk_X509_num(chain); i++) {
        const X509 *x = sk_X509_value(chain, i);

        if (!unix_s_of(X509_get0_notBefore(x), &begins) || !unix_s_of(X509_get0_notAfter(x), &ends))
            return;
        from = MAX(from, begins);
        until = MIN(until, ends);
    }
    t->ctx->has_validity = sk_X509_num(chain) > 0;
    t->ctx->valid_from_unix_s = from;
    t->ctx->valid_until_unix_s = until;
}

static void learn_peer(struct tls *t)
{
    const unsigned char *alpn;
    unsigned alpn_bytes;
    const char *name;
    X509 *leaf = SSL_get0_peer_certificate(t->ssl);
    unsigned char *der = NULL;
    int n;

    SSL_get0_alpn_selected(t->ssl, &alpn, &alpn_bytes);
    t->alpn = mem_strndup((const char *)alpn, alpn_bytes);
    name = t->is_server ? SSL_get_servername(t->ssl, TLSEXT_NAMETYPE_host_name) : NULL;
    t->server_name = mem_strdup(name ? name : "");
    if (leaf && (n = i2d_X509(leaf, &der)) > 0) {
        t->peer.leaf_der = str_n(mem_dup(der, (size_t)n), (size_t)n);
        OPENSSL_free(der);
    }
    if (!t->verify_error) /* a resumed session: the callback did not run, the ticket knows */
        t->verify_error = SSL_get_verify_result(t->ssl);
    t->peer.alpn = t->alpn;
    t->peer.server_name = t->server_name;
    t->peer.verify_error = leaf ? t->verify_error : 0;
    t->peer.verify_text = X509_verify_cert_error_string(t->peer.verify_error);
    if (t->ctx->any_time && !t->is_server)
        learn_validity(t);
}

/* ---- writing ---- */

static void ssl_write(struct tls *t, const void *p, size_t n)
{
    size_t done;

    ERR_clear_error();
    if (n && SSL_write_ex(t->ssl, p, n, &done) != 1)
        tls_fail_ssl(t); /* the BIO takes everything, so this is not "try again" */
}

static void write_out(struct tls *t)
{
    if (t->state != TLS_OPEN)
        return;
    if (t->out.n) {
        ssl_write(t, t->out.p, t->out.n);
        buf_deinit(&t->out);
    }
    if (t->want_shutdown && !t->sent_shutdown && t->state == TLS_OPEN) {
        t->sent_shutdown = true;
        ERR_clear_error();
        if (SSL_shutdown(t->ssl) < 0)
            tls_fail_ssl(t);
    }
}

static void tls_write(struct stream *s, const void *p, size_t n)
{
    struct tls *t = tls_of(s);
    size_t whole;

    if (t->state == TLS_BROKEN)
        return;
    if (t->state == TLS_OPEN && !t->out.n) { /* whole records need no copy */
        whole = n - n % RECORD_BYTES;
        ssl_write(t, p, whole);
        p = (const char *)p + whole;
        n -= whole;
    }
    if (!n || t->state == TLS_BROKEN)
        return;
    err_ignore(buf_add(&t->out, p, n)); /* stream_write keeps the sum below the maximum */
    if (t->state == TLS_OPEN && t->out.n >= RECORD_BYTES) {
        whole = t->out.n - t->out.n % RECORD_BYTES;
        ssl_write(t, t->out.p, whole);
        buf_drop(&t->out, whole);
    }
    stream_kick(s);
}

static size_t tls_queued(const struct stream *s)
{
    const struct tls *t = container_of(s, const struct tls, s);

    return t->out.n + stream_queued(t->raw);
}

static void tls_flush(struct stream *s)
{
    struct tls *t = tls_of(s);

    write_out(t);
    stream_flush(t->raw);
}

static void tls_shutdown(struct stream *s)
{
    struct tls *t = tls_of(s);

    t->want_shutdown = true;
    write_out(t);
}

/* ---- reading ---- */

/* True when the connection is open. */
static bool handshake_step(struct tls *t)
{
    int r;

    ERR_clear_error();
    r = SSL_do_handshake(t->ssl);
    if (r != 1) {
        if (SSL_get_error(t->ssl, r) != SSL_ERROR_WANT_READ)
            tls_fail_ssl(t);
        return false;
    }
    t->state = TLS_OPEN;
    learn_peer(t);
    stream_kick(&t->s); /* what was written meanwhile */
    if (t->done)
        tell_done(t, NULL);
    return true;
}

static void read_step(struct tls *t)
{
    char plain[RECORD_BYTES]; /* on the stack: TLS may run inside TLS */
    int n;

    while (t->state == TLS_OPEN && t->reading && !t->ended && !stream_is_closing(&t->s)) {
        ERR_clear_error();
        n = SSL_read(t->ssl, plain, sizeof plain);
        if (n > 0) {
            stream_emit_data(&t->s, plain, (size_t)n);
            continue;
        }
        switch (SSL_get_error(t->ssl, n)) {
        case SSL_ERROR_WANT_READ:
            return;
        case SSL_ERROR_ZERO_RETURN:
            t->ended = true;
            stream_emit_end(&t->s);
            return;
        default:
            tls_fail_ssl(t);
            return;
        }
    }
}

/* Keeps what OpenSSL did not take, and holds the raw stream back meanwhile. */
static void settle_input(struct tls *t)
{
    struct err e;
    bool want;

    if (t->in_at == t->in.n) {
        buf_deinit(&t->in);
        t->in_at = 0;
    }
    if (t->state == TLS_BROKEN || t->ended) {
        t->view.n = 0;
    } else if (t->view.n) {
        int r = buf_add(&t->in, t->view.p, t->view.n);
        t->view.n = 0;
        if (r) {
            err_set(&e, ERR_LIMIT, "TLS: more than %u bytes came while paused", IN_MAX_BYTES);
            tls_fail(t, &e);
        }
    }
    if (stream_is_closing(&t->s))
        return;
    want = t->state == TLS_HANDSHAKE || t->ended || (t->reading && !t->in.n);
    if (want == t->raw_paused) {
        t->raw_paused = !want;
        if (want)
            stream_resume(t->raw);
        else
            stream_pause(t->raw);
    }
}

/* Something came, or the owner wants to read again. */
static void tls_step(struct tls *t)
{
    if (stream_is_closing(&t->s))
        return;
    if (t->state != TLS_HANDSHAKE || handshake_step(t))
        read_step(t);
    settle_input(t);
}

static void on_raw_data(void *arg, const char *p, size_t n)
{
    struct tls *t = arg;

    t->view = str_n(p, n);
    tls_step(t);
}

static void on_raw_end(void *arg)
{
    struct tls *t = arg;

    t->raw_ended = true;
    tls_step(t);
}

static void on_raw_written(void *arg)
{
    struct tls *t = arg;

    stream_emit_written(&t->s);
}

static void on_raw_error(void *arg, const struct err *e)
{
    tls_fail(arg, e);
}

static void on_raw_closed(void *arg)
{
    struct tls *t = arg;

    t->raw = NULL;
    part_closed(t);
}

static const struct stream_events raw_events = {
    .on_data = on_raw_data,
    .on_end = on_raw_end,
    .on_drain = on_raw_written,
    .on_error = on_raw_error,
    .on_closed = on_raw_closed,
    .on_empty = on_raw_written,
};

static void tls_set_reading(struct stream *s, bool on)
{
    tls_of(s)->reading = on;
    if (on)
        stream_kick(s); /* left-overs go on from the loop, never from inside the owner's call */
}

static void open_raw(struct tls *t)
{
    t->raw_started = true;
    t->n_parts++;
    stream_open(t->raw, &raw_events, t);
}

static void tls_start(struct stream *s)
{
    struct tls *t = tls_of(s);

    t->reading = true;
    if (t->is_server)
        open_raw(t);
    else
        stream_kick(s);
}

static void tls_kick(struct stream *s)
{
    struct tls *t = tls_of(s);

    if (!t->raw_started)
        return;
    tls_flush(s);
    stream_emit_written(s);
    tls_step(t);
}

/* ---- life ---- */

static void tls_close(struct stream *s)
{
    struct tls *t = tls_of(s);

    /* Good manners when nothing is lost by the close: the peer sees an end, not a cut. */
    if (t->state == TLS_OPEN && !t->out.n && !t->sent_shutdown && !stream_queued(t->raw)) {
        ERR_clear_error();
        if (SSL_shutdown(t->ssl) < 0)
            ERR_clear_error();
        stream_flush(t->raw);
    }
    stream_close(t->raw);
    if (!t->raw_started) /* then it goes without a word */
        t->raw = NULL;
    if (!t->is_server) {
        t->n_parts++;
        timer_close(&t->timer, part_closed, t);
    }
    if (!t->n_parts)
        stream_emit_closed(s);
}

static void tls_free(struct stream *s)
{
    struct tls *t = tls_of(s);

    SSL_free(t->ssl);
    tls_ctx_unref(t->ctx);
    buf_deinit(&t->in);
    buf_deinit(&t->out);
    free((void *)(uintptr_t)t->peer.leaf_der.p); /* mem_dup made it */
    free(t->alpn);
    free(t->server_name);
    free(t->verify_who);
    free(t->name);
    free(t);
}

static const struct tls_peer *tls_peer_of(const struct stream *s)
{
    const struct tls *t = container_of(s, const struct tls, s);

    return &t->peer;
}

static bool tls_local_addr(const struct stream *s, struct sockaddr_storage *out)
{
    const struct tls *t = container_of(s, const struct tls, s);

    return t->raw && stream_local_addr(t->raw, out);
}

static bool tls_peer_addr(const struct stream *s, struct sockaddr_storage *out)
{
    const struct tls *t = container_of(s, const struct tls, s);

    return t->raw && stream_peer_addr(t->raw, out);
}

static const struct stream_ops tls_ops = {
    .start = tls_start,
    .write = tls_write,
    .queued = tls_queued,
    .shutdown = tls_shutdown,
    .set_reading = tls_set_reading,
    .close = tls_close,
    .free = tls_free,
    .kick = tls_kick,
    .flush = tls_flush,
    .tls_peer = tls_peer_of,
    .local_addr = tls_local_addr,
    .peer_addr = tls_peer_addr,
};

static struct tls *tls_new(struct tls_ctx *ctx, struct stream *raw, bool is_server)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct tls *t = mem_alloc(sizeof *t);
    BIO *b;

    pthread_once(&once, make_bio_method);
    stream_init(&t->s, stream_loop(raw), &tls_ops);
    t->raw = raw;
    t->is_server = is_server;
    t->ctx = tls_ctx_ref(ctx);
    t->in = BUF(IN_MAX_BYTES);
    t->out = BUF(STREAM_QUEUE_MAX_BYTES);
    t->peer = (struct tls_peer){ .alpn = "", .server_name = "", .verify_text = "" };
    t->ssl = SSL_new(ctx->ssl);
    b = bio_method ? BIO_new(bio_method) : NULL;
    if (!t->ssl || !b) /* OpenSSL fails here only without memory, where all of us end */
        abort();
    BIO_set_data(b, t);
    BIO_set_init(b, 1);
    SSL_set_bio(t->ssl, b, b);
    SSL_set_app_data(t->ssl, t);
    if (!ctx->any_time) /* a time that is set would count */
        X509_VERIFY_PARAM_set_time(SSL_get0_param(t->ssl), (time_t)clock_wall_s());
    return t;
}

struct stream *tls_server_wrap(struct tls_server_config *c, struct stream *raw_take)
{
    struct tls *t = tls_new(c->ctx, raw_take, true);

    SSL_set_accept_state(t->ssl);
    return &t->s;
}

static void on_client_late(void *arg)
{
    struct tls *t = arg;
    struct err e;

    err_set(&e, ERR_TIMEOUT, "not complete within %llu ms", (unsigned long long)t->timeout_ms);
    tls_fail(t, &e);
}

static void on_canceled(void *arg)
{
    struct err e;

    err_set(&e, ERR_CANCELED, "canceled");
    tls_fail(arg, &e);
}

void tls_client_cancel(struct tls *t)
{
    if (t->done)
        timer_start_ms(&t->timer, 0, on_canceled, t);
}

static void on_bad_name(void *arg)
{
    struct err e;

    err_set(&e, ERR_INVALID, "not a name or IP address that a certificate can have");
    tls_fail(arg, &e);
}

static bool set_name(struct tls *t, const char *name)
{
    X509_VERIFY_PARAM *param = SSL_get0_param(t->ssl);
    unsigned char ip[16];

    if (inet_pton(AF_INET, name, ip) == 1 || inet_pton(AF_INET6, name, ip) == 1)
        return X509_VERIFY_PARAM_set1_ip_asc(param, name) == 1; /* RFC 6066 3: no SNI for these */
    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT |
                                               X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return *name && X509_VERIFY_PARAM_set1_host(param, name, 0) == 1 &&
           SSL_set_tlsext_host_name(t->ssl, name) == 1;
}

struct tls *tls_client_wrap(struct tls_client_config *c, struct stream *raw_take, const char *name,
                            uint64_t timeout_ms,
                            void (*done)(void *arg, struct stream *s, const struct err *e),
                            void *arg)
{
    struct tls *t = tls_new(c->ctx, raw_take, false);

    t->name = mem_strdup(name);
    t->timeout_ms = timeout_ms;
    t->done = done;
    t->done_arg = arg;
    timer_init(&t->timer, stream_loop(raw_take));
    SSL_set_connect_state(t->ssl);
    if (!set_name(t, name)) {
        ERR_clear_error();
        timer_start_ms(&t->timer, 0, on_bad_name, t);
        return t;
    }
    timer_start_ms(&t->timer, timeout_ms, on_client_late, t);
    open_raw(t);
    stream_kick(&t->s); /* the first flight goes out from the loop */
    return t;
}
