/*
 * http_load [-2] [-v] [-c CONNECTIONS] [-m STREAMS] [-t SECONDS] [-E CERT -K KEY] HOST:PORT PATH:
 * one GET over and over through TLS, keep-alive, over HTTP/1.1 (one request at a time on a
 * connection) or HTTP/2 (-2, STREAMS at a time). Prints one line: requests per second, median
 * latency in us, MB of body per second, requests that did not end with 200.
 *
 * -v tells the cipher on stderr.
 *
 * It shares no code with what it measures (only memory helpers), so that every server meets the
 * same client, and does as little as a client can: no HPACK state, no verification of the server.
 */
#include "base/core/mem.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    IN_BYTES = 128 * 1024, /* an HTTP/2 frame of the default maximum always fits */
    OUT_BYTES = 64 * 1024,
    CONNS_MAX = 64,
    STREAMS_MAX = 128,
    STARTS = 1024, /* above STREAMS_MAX, so that times of open streams do not collide */
    LATENCIES_MAX = 4 * 1000 * 1000,
    PATIENCE_MS = 5000,
};
#define H2_WINDOW 0x7fffffffu

struct conn {
    int fd;
    SSL *ssl;
    unsigned char in[IN_BYTES];
    size_t n_in;
    unsigned char out[OUT_BYTES];
    size_t n_out;
    /* h1: what is left of the answer's body or chunk; h2: next stream and times */
    bool in_body, chunked, is_200;
    uint64_t left;
    uint32_t next_stream, n_open;
    uint64_t credit_used;
    double starts[STARTS];
    bool bad[STARTS];
};

static struct {
    const char *host, *path;
    uint16_t port;
    bool h2, verbose;
    unsigned n_conns, n_streams;
    double seconds;
} opt = { .n_conns = 8, .n_streams = 16, .seconds = 2 };

static uint64_t n_done, n_bad, n_body;
static float *latencies;

_Noreturn static void die(const char *what, const char *why)
{
    fprintf(stderr, "http_load: %s:%u: %s: %s\n", opt.host, opt.port, what, why);
    exit(1);
}

static double now_s(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void finished(double began, bool good)
{
    if (n_done < LATENCIES_MAX)
        latencies[n_done] = (float)((now_s() - began) * 1e6);
    n_done++;
    n_bad += !good;
}

static void out_add(struct conn *c, const void *p, size_t n)
{
    if (c->n_out + n > OUT_BYTES)
        die("request", "too much at once");
    memcpy(c->out + c->n_out, p, n);
    c->n_out += n;
}

static void out_send(struct conn *c)
{
    if (!c->n_out)
        return;
    for (int n; (n = SSL_write(c->ssl, c->out, (int)c->n_out)) <= 0;) {
        int why = SSL_get_error(c->ssl, n);
        struct pollfd p = { .fd = c->fd, .events = why == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT };

        if (why != SSL_ERROR_WANT_WRITE && why != SSL_ERROR_WANT_READ)
            die("write", "the connection broke");
        if (poll(&p, 1, PATIENCE_MS) <= 0)
            die("write", "the peer takes nothing");
    }
    c->n_out = 0;
}

/* ---- HTTP/1.1 ---- */

static void h1_ask(struct conn *c)
{
    char text[2048];
    int n = snprintf(text, sizeof text, "GET %s HTTP/1.1\r\nHost: %s:%u\r\n\r\n", opt.path,
                     opt.host, opt.port);

    out_add(c, text, (size_t)n);
    c->starts[0] = now_s();
}

/* Returns the bytes that were used; 0: more is needed. */
static size_t h1_head(struct conn *c)
{
    const char *p = (const char *)c->in, *end = memmem(p, c->n_in, "\r\n\r\n", 4), *length;
    size_t n;

    if (!end)
        return 0;
    n = (size_t)(end - p) + 4;
    c->in[n - 1] = '\0';
    c->is_200 = strncmp(p, "HTTP/1.1 200", 12) == 0;
    c->chunked = strcasestr(p, "\ntransfer-encoding: chunked") != NULL;
    length = strcasestr(p, "\ncontent-length:");
    if (!c->chunked && !length)
        die("answer", "neither a length nor chunks");
    c->left = c->chunked ? 0 : strtoull(length + 16, NULL, 10);
    c->in_body = true;
    return n;
}

static void h1_done(struct conn *c)
{
    c->in_body = false;
    finished(c->starts[0], c->is_200);
    h1_ask(c);
}

static size_t h1_step(struct conn *c, const unsigned char *p, size_t n)
{
    if (c->left) {
        size_t take = n < c->left ? n : (size_t)c->left;

        c->left -= take;
        n_body += take;
        if (!c->left && !c->chunked)
            h1_done(c);
        return take;
    }
    if (!c->chunked) { /* an empty body */
        h1_done(c);
        return 0;
    }
    const unsigned char *nl = memchr(p, '\n', n);
    if (!nl)
        return 0;
    if (nl - p > 1) { /* not the end of the chunk before */
        c->left = strtoull((const char *)p, NULL, 16);
        if (!c->left) { /* the last one, no trailers: \r\n follows */
            if (n < (size_t)(nl - p) + 3)
                return 0;
            h1_done(c);
            return (size_t)(nl - p) + 3;
        }
    }
    return (size_t)(nl - p) + 1;
}

static size_t h1_feed(struct conn *c)
{
    size_t at = 0;

    while (at < c->n_in) {
        bool was = c->in_body;
        size_t used;

        if (!was) {
            if (at) /* heads are parsed at the front */
                break;
            used = h1_head(c);
            if (used && !c->left && !c->chunked)
                h1_done(c);
        } else {
            used = h1_step(c, c->in + at, c->n_in - at);
        }
        if (!used)
            break;
        at += used;
    }
    return at;
}

/* ---- HTTP/2 ---- */

static void h2_frame(struct conn *c, unsigned type, unsigned flags, uint32_t stream, const void *p,
                     size_t n)
{
    unsigned char head[9] = { (unsigned char)(n >> 16), (unsigned char)(n >> 8), (unsigned char)n,
                              (unsigned char)type, (unsigned char)flags };

    stream = htonl(stream);
    memcpy(head + 5, &stream, 4);
    out_add(c, head, sizeof head);
    out_add(c, p, n);
}

static size_t literal(unsigned char *b, unsigned name_index, const char *value)
{
    size_t n = strlen(value);

    if (n > 126)
        die("request", "path or host too long for HTTP/2 here");
    b[0] = (unsigned char)name_index; /* without indexing, name from the static table */
    b[1] = (unsigned char)n;
    memcpy(b + 2, value, n);
    return n + 2;
}

static void h2_ask(struct conn *c)
{
    unsigned char b[512] = { 0x82, 0x87 }; /* GET, https */
    char authority[128];
    size_t n = 2;

    snprintf(authority, sizeof authority, "%s:%u", opt.host, opt.port);
    n += literal(b + n, 4, opt.path);
    n += literal(b + n, 1, authority);
    h2_frame(c, 1, 0x5, c->next_stream, b, n);
    c->starts[c->next_stream / 2 % STARTS] = now_s();
    c->bad[c->next_stream / 2 % STARTS] = true;
    c->next_stream += 2;
    c->n_open++;
}

static void h2_start(struct conn *c)
{
    static const unsigned char settings[] = { 0, 2, 0,    0,    0,    0, /* no push */
                                              0, 4, 0x7f, 0xff, 0xff, 0xff };
    uint32_t more = htonl(H2_WINDOW - 65535);

    out_add(c, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 24);
    h2_frame(c, 4, 0, 0, settings, sizeof settings);
    h2_frame(c, 8, 0, 0, &more, 4);
    c->next_stream = 1;
    for (unsigned i = 0; i < opt.n_streams; i++)
        h2_ask(c);
}

static void h2_on_frame(struct conn *c, unsigned type, unsigned flags, uint32_t stream,
                        const unsigned char *p, size_t n)
{
    unsigned slot = stream / 2 % STARTS;

    switch (type) {
    case 0:
        n_body += n;
        c->credit_used += n;
        if (c->credit_used > H2_WINDOW / 2) {
            uint32_t more = htonl((uint32_t)c->credit_used);
            h2_frame(c, 8, 0, 0, &more, 4);
            c->credit_used = 0;
        }
        break;
    case 1: /* :status 200 is entry 8, first but for a change of the table's size */
        if (n && memchr(p, 0x88, n < 8 ? n : 8))
            c->bad[slot] = false;
        break;
    case 3:
        die("answer", "the stream was reset");
    case 4:
        if (!(flags & 1))
            h2_frame(c, 4, 1, 0, "", 0);
        return;
    case 6:
        if (!(flags & 1))
            h2_frame(c, 6, 1, 0, p, n);
        return;
    case 7:
        die("answer", "GOAWAY");
    default:
        return;
    }
    if (flags & 1) { /* END_STREAM */
        c->n_open--;
        finished(c->starts[slot], !c->bad[slot]);
        h2_ask(c);
    }
}

static size_t h2_feed(struct conn *c)
{
    size_t at = 0;

    while (c->n_in - at >= 9) {
        const unsigned char *f = c->in + at;
        size_t n = (size_t)f[0] << 16 | (size_t)f[1] << 8 | f[2];
        uint32_t stream;

        if (n > IN_BYTES - 9)
            die("answer", "a frame too long");
        if (c->n_in - at < 9 + n)
            break;
        memcpy(&stream, f + 5, 4);
        h2_on_frame(c, f[3], f[4], ntohl(stream) & 0x7fffffff, f + 9, n);
        at += 9 + n;
    }
    return at;
}

/* ---- connections ---- */

static void conn_open(struct conn *c, SSL_CTX *ctx)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(opt.port) };
    struct timeval patience = { .tv_sec = PATIENCE_MS / 1000 };
    int one = 1;

    if (inet_pton(AF_INET, opt.host, &a.sin_addr) != 1)
        die("address", "an IPv4 address is wanted");
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&a, sizeof a))
        die("connect", strerror(errno));
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    c->ssl = SSL_new(ctx);
    SSL_set_fd(c->ssl, c->fd);
    if (SSL_connect(c->ssl) != 1)
        die("TLS", ERR_error_string(ERR_get_error(), NULL));
    const unsigned char *alpn;
    unsigned n_alpn;
    SSL_get0_alpn_selected(c->ssl, &alpn, &n_alpn);
    if (opt.h2 && (n_alpn != 2 || memcmp(alpn, "h2", 2) != 0))
        die("TLS", "the server does not speak h2");
    if (opt.verbose)
        fprintf(stderr, "%s %s\n", SSL_get_version(c->ssl), SSL_get_cipher_name(c->ssl));
    fcntl(c->fd, F_SETFL, O_NONBLOCK);
    if (opt.h2)
        h2_start(c);
    else
        h1_ask(c);
    out_send(c);
}

static void conn_read(struct conn *c)
{
    do {
        int n = SSL_read(c->ssl, c->in + c->n_in, (int)(IN_BYTES - c->n_in));

        if (n <= 0) {
            if (SSL_get_error(c->ssl, n) != SSL_ERROR_WANT_READ)
                die("read", "the peer closed");
            break;
        }
        c->n_in += (size_t)n;
        for (size_t used; c->n_in && (used = opt.h2 ? h2_feed(c) : h1_feed(c)) > 0;) {
            c->n_in -= used;
            memmove(c->in, c->in + used, c->n_in);
        }
        if (c->n_in == IN_BYTES)
            die("answer", "the head is too long");
    } while (SSL_pending(c->ssl));
    out_send(c);
}

static int by_size(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;

    return x < y ? -1 : x > y;
}

static SSL_CTX *context(const char *cert, const char *key)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());

    if (cert && (SSL_CTX_use_certificate_chain_file(ctx, cert) != 1 ||
                 SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) != 1))
        die("own certificate", ERR_error_string(ERR_get_error(), NULL));
    if (opt.h2)
        SSL_CTX_set_alpn_protos(ctx, (const unsigned char *)"\x02h2", 3);
    else
        SSL_CTX_set_alpn_protos(ctx, (const unsigned char *)"\x08http/1.1", 9);
    return ctx;
}

static void options(int argc, char **argv, const char **cert, const char **key)
{
    char *colon;

    for (int o; (o = getopt(argc, argv, "2vc:m:t:E:K:")) != -1;) {
        switch (o) {
        case '2':
            opt.h2 = true;
            break;
        case 'v':
            opt.verbose = true;
            break;
        case 'c':
            opt.n_conns = (unsigned)atoi(optarg);
            break;
        case 'm':
            opt.n_streams = (unsigned)atoi(optarg);
            break;
        case 't':
            opt.seconds = atof(optarg);
            break;
        case 'E':
            *cert = optarg;
            break;
        case 'K':
            *key = optarg;
            break;
        default:
            exit(2);
        }
    }
    if (argc - optind != 2 || !(colon = strchr(argv[optind], ':')) || !*cert != !*key ||
        opt.n_conns - 1 >= CONNS_MAX || opt.n_streams - 1 >= STREAMS_MAX) {
        fprintf(stderr, "usage: http_load [-2] [-v] [-c CONNECTIONS] [-m STREAMS] [-t SECONDS] "
                        "[-E CERT -K KEY] HOST:PORT PATH\n");
        exit(2);
    }
    *colon = '\0';
    opt.host = argv[optind];
    opt.port = (uint16_t)atoi(colon + 1);
    opt.path = argv[optind + 1];
}

int main(int argc, char **argv)
{
    const char *cert = NULL, *key = NULL;
    struct pollfd fds[CONNS_MAX];
    struct conn *conns;
    SSL_CTX *ctx;
    double began, end, t;

    signal(SIGPIPE, SIG_IGN);
    options(argc, argv, &cert, &key);
    ctx = context(cert, key);
    conns = mem_alloc(opt.n_conns * sizeof *conns);
    latencies = mem_alloc(LATENCIES_MAX * sizeof *latencies);
    for (unsigned i = 0; i < opt.n_conns; i++) {
        conn_open(&conns[i], ctx);
        fds[i] = (struct pollfd){ .fd = conns[i].fd, .events = POLLIN };
    }
    began = now_s();
    end = began + opt.seconds;
    while ((t = now_s()) < end) {
        if (poll(fds, opt.n_conns, PATIENCE_MS) <= 0)
            die("answer", "none in time");
        for (unsigned i = 0; i < opt.n_conns; i++)
            if (fds[i].revents)
                conn_read(&conns[i]);
    }
    uint64_t n_kept = n_done < LATENCIES_MAX ? n_done : LATENCIES_MAX;
    qsort(latencies, n_kept, sizeof *latencies, by_size);
    printf("%.1f %.1f %.2f %llu\n", (double)n_done / (t - began),
           n_kept ? (double)latencies[n_kept / 2] : 0, (double)n_body / 1e6 / (t - began),
           (unsigned long long)n_bad);
    for (unsigned i = 0; i < opt.n_conns; i++) {
        SSL_free(conns[i].ssl);
        close(conns[i].fd);
    }
    SSL_CTX_free(ctx);
    free(latencies);
    free(conns);
    return 0;
}
