/*
 * proxy IP:PORT [USER:PASSWORD]: a small forward proxy for system tests, as a site that lets
 * nothing else out has one: HTTP CONNECT and SOCKS 5 CONNECT on the same port, told apart by the
 * first byte. With a user, HTTP wants Basic credentials and SOCKS the method of RFC 1929. Names are
 * resolved here.
 *
 * Prints one line a request: "http cluster.test:6443", "socks refused: ...". Ends at SIGTERM.
 */
#include "base/core/mem.h"
#include "base/data/base64.h"
#include "base/http/url.h"
#include "base/io/pump.h"
#include "base/io/tcp.h"

#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>

#define REQUEST_MAX_BYTES 8192
#define DIAL_MS           10000
#define FLUSH_MS          1000

struct program {
    uv_loop_t loop;
    const char *user; /* "user:password"; NULL: everybody */
};

enum step { STEP_GREETING, STEP_LOGIN, STEP_REQUEST, STEP_DONE };

struct session {
    struct program *p;
    struct stream *s;
    struct buf in;
    enum step step;
    bool is_socks, dialing, gone;
};

static void session_free(struct session *x)
{
    buf_deinit(&x->in);
    free(x);
}

static void refuse(struct session *x, struct str answer, const char *why)
{
    printf("%s refused: %s\n", x->is_socks ? "socks" : "http", why);
    fflush(stdout);
    x->step = STEP_DONE;
    stream_write(x->s, answer.p, answer.n);
    stream_close_flushed(x->s, FLUSH_MS);
}

/* ---- dialing ---- */

static void on_pumped(void *arg, const struct err *e)
{
    (void)e;
    session_free(arg);
}

static void on_dialed(void *arg, struct stream *s, const struct err *e)
{
    struct session *x = arg;

    x->dialing = false;
    if (x->gone) {
        if (s)
            stream_close(s);
        session_free(x);
        return;
    }
    if (e) {
        refuse(x,
               x->is_socks ? STR("\x05\x04\x00\x01\0\0\0\0\0\0")
                           : STR("HTTP/1.1 502 Bad Gateway\r\nConnection: close\r\n\r\n"),
               e->text);
        return;
    }
    struct str ok = x->is_socks ? STR("\x05\x00\x00\x01\0\0\0\0\0\0")
                                : STR("HTTP/1.1 200 Connection established\r\n\r\n");
    stream_write(x->s, ok.p, ok.n);
    pump_start((struct pump_end){ x->s, true, buf_str(&x->in) },
               (struct pump_end){ s, false, STR("") }, on_pumped, x);
}

static void dial(struct session *x, const char *host, uint16_t port)
{
    printf("%s %s:%u\n", x->is_socks ? "socks" : "http", host, port);
    fflush(stdout);
    x->step = STEP_DONE;
    x->dialing = true;
    tcp_dial(NULL, &x->p->loop, host, port, DIAL_MS, on_dialed, x);
}

/* ---- HTTP: RFC 9110 9.3.6 ---- */

static bool http_lets_in(const struct session *x, struct str head)
{
    auto_buf want = BUF(1024);

    if (!x->p->user)
        return true;
    return !buf_adds(&want, "Proxy-Authorization: Basic ") &&
           !base64_add(&want, str_of(x->p->user)) && !buf_adds(&want, "\r\n") &&
           memmem(head.p, head.n, want.p, want.n);
}

static void read_http(struct session *x)
{
    struct str head, rest, line, method, target, tail, host;
    uint16_t port;
    struct err e;

    if (!str_cut_str(buf_str(&x->in), STR("\r\n\r\n"), &head, &rest))
        return;
    head.n += 2; /* each line with its end */
    (void)str_cut_str(head, STR("\r\n"), &line, &tail);
    (void)str_cut(line, ' ', &method, &tail);
    (void)str_cut(tail, ' ', &target, &tail);
    if (!http_lets_in(x, head)) {
        refuse(x, STR("HTTP/1.1 407 Proxy Authentication Required\r\nConnection: close\r\n\r\n"),
               "credentials");
    } else if (!str_is(method, "CONNECT") || url_split_host_port(&host, &port, target, 0, &e)) {
        refuse(x, STR("HTTP/1.1 405 Method Not Allowed\r\nConnection: close\r\n\r\n"),
               "not CONNECT host:port");
    } else {
        auto_free char *name = str_dup(host);
        buf_drop(&x->in, x->in.n - rest.n);
        dial(x, name, port);
    }
}

/* ---- SOCKS: RFC 1928, RFC 1929; each true when it took something ---- */

static bool read_greeting(struct session *x)
{
    const char *b = x->in.p;
    size_t n = x->in.n < 2 ? 0 : 2 + (unsigned char)b[1];
    char want = x->p->user ? 2 : 0;

    if (!n || x->in.n < n)
        return false;
    if (!memchr(b + 2, want, n - 2)) {
        refuse(x, STR("\x05\xff"), "no login that we want");
        return false;
    }
    buf_drop(&x->in, n);
    stream_write(x->s, (char[]){ 5, want }, 2);
    x->step = want ? STEP_LOGIN : STEP_REQUEST;
    return true;
}

/* 01, length, user, length, password */
static bool read_login(struct session *x)
{
    const unsigned char *b = (const unsigned char *)x->in.p;
    size_t n_user = x->in.n < 2 ? 0 : b[1], n_password;

    if (x->in.n < 3 + n_user || x->in.n < 3 + n_user + (n_password = b[2 + n_user]))
        return false;
    auto_free char *got =
        mem_printf("%.*s:%.*s", (int)n_user, x->in.p + 2, (int)n_password, x->in.p + 3 + n_user);
    if (strcmp(got, x->p->user) != 0) {
        refuse(x, STR("\x01\x01"), "credentials");
        return false;
    }
    buf_drop(&x->in, 3 + n_user + n_password);
    stream_write(x->s, "\x01\x00", 2);
    x->step = STEP_REQUEST;
    return true;
}

/* 05, 01 CONNECT, 00, kind of address, address, port */
static bool read_request(struct session *x)
{
    const unsigned char *b = (const unsigned char *)x->in.p;
    char host[256];
    size_t at = 4, n;

    if (x->in.n < 5)
        return false;
    n = b[3] == 1 ? 4 : b[3] == 4 ? 16 : b[4];
    at += b[3] == 3;
    if (x->in.n < at + n + 2)
        return false;
    if (b[1] != 1 || (b[3] != 1 && b[3] != 3 && b[3] != 4)) {
        refuse(x, STR("\x05\x07\x00\x01\0\0\0\0\0\0"), "not CONNECT");
        return false;
    }
    if (b[3] == 3)
        snprintf(host, sizeof host, "%.*s", (int)n, x->in.p + at);
    else
        inet_ntop(b[3] == 1 ? AF_INET : AF_INET6, b + at, host, sizeof host);
    uint16_t port = (uint16_t)(b[at + n] << 8 | b[at + n + 1]);
    buf_drop(&x->in, at + n + 2);
    dial(x, host, port);
    return false;
}

static void read_socks(struct session *x)
{
    bool took = true;

    while (took)
        took = x->step == STEP_GREETING  ? read_greeting(x)
               : x->step == STEP_LOGIN   ? read_login(x)
               : x->step == STEP_REQUEST ? read_request(x)
                                         : false;
}

/* ---- clients ---- */

static void on_data(void *arg, const char *p, size_t n)
{
    struct session *x = arg;

    if (buf_add(&x->in, p, n)) {
        stream_close(x->s);
        return;
    }
    if (x->step == STEP_DONE) /* it waits for the other side */
        return;
    x->is_socks = x->in.p[0] == 5 || x->step != STEP_GREETING;
    if (x->is_socks)
        read_socks(x);
    else
        read_http(x);
}

static void on_gone(void *arg)
{
    stream_close(((struct session *)arg)->s);
}

static void on_error(void *arg, const struct err *e)
{
    (void)e;
    on_gone(arg);
}

static void on_closed(void *arg)
{
    struct session *x = arg;

    x->gone = true;
    if (!x->dialing) /* else the dial frees it */
        session_free(x);
}

static void on_accept(void *arg, struct stream *s)
{
    static const struct stream_events events = {
        .on_data = on_data, .on_end = on_gone, .on_error = on_error, .on_closed = on_closed
    };
    struct session *x = mem_alloc(sizeof *x);

    x->p = arg;
    x->s = s;
    x->in = BUF(REQUEST_MAX_BYTES);
    stream_open(s, &events, x);
}

int main(int argc, char **argv)
{
    static struct program p;
    struct listener *l;
    struct str host;
    uint16_t port;
    struct err e;

    if (argc < 2 || argc > 3) {
        fprintf(stderr, "usage: proxy IP:PORT [USER:PASSWORD]\n");
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    uv_loop_init(&p.loop);
    p.user = argc == 3 ? argv[2] : NULL;
    if (url_split_host_port(&host, &port, str_of(argv[1]), 0, &e)) {
        fprintf(stderr, "proxy: %s\n", e.text);
        return 2;
    }
    auto_free char *ip = str_dup(host);
    if (tcp_listen(&l, &p.loop, ip, port, on_accept, &p, &e)) {
        fprintf(stderr, "proxy: %s\n", e.text);
        return 1;
    }
    uv_run(&p.loop, UV_RUN_DEFAULT); /* until SIGTERM takes the process */
    return 0;
}
