#include "base/io/tcp.h"

#include "base/core/clock.h"
#include "base/core/mem.h"
#include "base/io/sock.h"
#include "base/io/timer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <unistd.h>

/* Who is accepted waits in it: after a restart thousands of agents come within one turn of the
 * loop, and whom the kernel turns away comes back only after 1, 3, 7 s. It is capped at somaxconn.
 */
#define BACKLOG        4096
#define DIAL_ADDRS_MAX 16  /* of one name; more would only starve each of time */
#define ATTEMPT_MIN_MS 250 /* below this a try says nothing on a bad link */
#define HOST_MAX_BYTES 253 /* RFC 1035 2.3.4 */

char *tcp_addr_text(char out[TCP_ADDR_TEXT_BYTES], const struct sockaddr *addr)
{
    char ip[INET6_ADDRSTRLEN];

    if (addr->sa_family == AF_INET) {
        const struct sockaddr_in *a = (const void *)addr;
        snprintf(out, TCP_ADDR_TEXT_BYTES, "%s:%u", inet_ntop(AF_INET, &a->sin_addr, ip, sizeof ip),
                 ntohs(a->sin_port));
    } else if (addr->sa_family == AF_INET6) {
        const struct sockaddr_in6 *a = (const void *)addr;
        if (IN6_IS_ADDR_V4MAPPED(&a->sin6_addr)) /* of a socket for both families */
            snprintf(out, TCP_ADDR_TEXT_BYTES, "%s:%u",
                     inet_ntop(AF_INET, &a->sin6_addr.s6_addr[12], ip, sizeof ip),
                     ntohs(a->sin6_port));
        else
            snprintf(out, TCP_ADDR_TEXT_BYTES, "[%s]:%u",
                     inet_ntop(AF_INET6, &a->sin6_addr, ip, sizeof ip), ntohs(a->sin6_port));
    } else {
        snprintf(out, TCP_ADDR_TEXT_BYTES, "?");
    }
    return out;
}

/* IP text of either family, IPv6 with or without brackets and with a zone. */
static bool parse_ip(struct sockaddr_storage *out, const char *text, uint16_t port)
{
    char ip[INET6_ADDRSTRLEN + IF_NAMESIZE + 1];
    size_t n = strlen(text);

    if (n >= 2 && text[0] == '[' && text[n - 1] == ']') {
        text++;
        n -= 2;
    }
    if (n >= sizeof ip)
        return false;
    memcpy(ip, text, n);
    ip[n] = '\0';
    return !uv_ip4_addr(ip, port, (struct sockaddr_in *)out) ||
           !uv_ip6_addr(ip, port, (struct sockaddr_in6 *)out);
}

static socklen_t addr_bytes(const struct sockaddr *a)
{
    return a->sa_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
}

/* ---- listening ---- */

static int listen_fd(int *out, const struct sockaddr *addr, bool both, struct err *e)
{
    auto_close int fd = socket(addr->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int on = 1, v6only = !both;

    if (fd < 0)
        return err_sys(e, errno, "socket");
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) ||
        (addr->sa_family == AF_INET6 &&
         setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &v6only, sizeof v6only)))
        return err_sys(e, errno, "socket options");
    if (bind(fd, addr, addr_bytes(addr)))
        return err_sys(e, errno, "bind");
    if (listen(fd, BACKLOG))
        return err_sys(e, errno, "listen");
    *out = fd;
    fd = -1;
    return 0;
}

int tcp_listen(struct listener **out, uv_loop_t *loop, const char *address, uint16_t port,
               listener_accept_fn on_accept, void *arg, struct err *e)
{
    struct sockaddr_storage a;
    bool any = !*address || strcmp(address, "::") == 0;
    int fd, r;

    memset(&a, 0, sizeof a);
    if (!parse_ip(&a, any ? "::" : address, port))
        return err_set(e, ERR_INVALID, "listen on %s: not an IP address", address);
    r = listen_fd(&fd, (struct sockaddr *)&a, any, e);
    if (r && !*address && (e->sys == EAFNOSUPPORT || e->sys == EADDRNOTAVAIL) &&
        parse_ip(&a, "0.0.0.0", port)) /* a host without IPv6 */
        r = listen_fd(&fd, (struct sockaddr *)&a, false, e);
    if (r) {
        if (e->sys == EADDRINUSE)
            e->code = ERR_EXISTS;
        return err_wrap(e, "listen on %s port %u", any ? "all addresses" : address, port);
    }
    *out = listener_new(loop, fd, NULL, on_accept, arg);
    return 0;
}

int tcp_take(struct stream **out, uv_loop_t *loop, int fd_take, struct err *e)
{
    return sock_open(out, loop, fd_take, e);
}

/* ---- dialing ---- */

/*
 *   RESOLVE --> CONNECT --+--> done
 *      |          ^  |    |
 *      |          +--+ next address: refused, or its share of the time is over
 *      +--> done (no such name)
 *
 * The timer is the deadline of the state; cancel and literal addresses use it with 0 ms to get out
 * of the caller's call. The dial's memory stays until the timer and the resolver are both done.
 */
struct tcp_dial {
    uv_loop_t *loop;
    struct timer timer;
    uv_getaddrinfo_t resolve;
    bool resolving, finished, canceled;
    unsigned n_open;
    struct stream *attempt;
    struct sockaddr_storage addrs[DIAL_ADDRS_MAX];
    size_t n_addrs, next;
    uint16_t port;
    uint64_t deadline_ms; /* clock of the loop */
    uint64_t timeout_ms;
    struct err err; /* of the last try */
    tcp_dialed_fn done;
    void *arg;
    char host[HOST_MAX_BYTES + 1];
};

static void dial_part_closed(void *arg)
{
    struct tcp_dial *d = arg;

    if (--d->n_open == 0)
        free(d);
}

/* s: success; else d->err says why. */
static void dial_finish(struct tcp_dial *d, struct stream *s)
{
    tcp_dialed_fn done = d->done;
    void *arg = d->arg;
    struct err e = d->err;

    d->finished = true;
    if (d->resolving)
        uv_cancel((uv_req_t *)&d->resolve); /* running: it ends by itself */
    if (d->attempt && d->attempt != s)
        stream_close(d->attempt);
    d->attempt = NULL;
    if (!s) {
        if (e.text[0])
            err_wrap(&e, "dial %s:%u", d->host, d->port);
        else
            err_set(&e, e.code, "dial %s:%u", d->host, d->port);
    }
    timer_close(&d->timer, dial_part_closed, d);
    done(arg, s, s ? NULL : &e);
}

static uint64_t left_ms(const struct tcp_dial *d)
{
    uint64_t now = uv_now(d->loop);

    return d->deadline_ms > now ? d->deadline_ms - now : 0;
}

static void dial_next(struct tcp_dial *d);

static const struct sockaddr *current_addr(const struct tcp_dial *d)
{
    return (const struct sockaddr *)&d->addrs[d->next - 1];
}

static void on_connected(void *arg, struct stream *s, int status)
{
    struct tcp_dial *d = arg;
    char text[TCP_ADDR_TEXT_BYTES];

    if (!status) {
        dial_finish(d, s);
        return;
    }
    err_sys(&d->err, status, "connect to %s", tcp_addr_text(text, current_addr(d)));
    if (status == UV_ETIMEDOUT) /* the kernel gave up before us */
        d->err.code = ERR_TIMEOUT;
    stream_close(STEAL(d->attempt));
    dial_next(d);
}

static void on_attempt_late(void *arg)
{
    struct tcp_dial *d = arg;
    char text[TCP_ADDR_TEXT_BYTES];

    err_set(&d->err, ERR_TIMEOUT, "connect to %s: no answer in time",
            tcp_addr_text(text, current_addr(d)));
    stream_close(STEAL(d->attempt));
    dial_next(d);
}

static void dial_next(struct tcp_dial *d)
{
    while (d->next < d->n_addrs && left_ms(d)) {
        uint64_t share_ms = left_ms(d) / (d->n_addrs - d->next);

        d->next++;
        if (sock_connect(&d->attempt, d->loop, current_addr(d), on_connected, d, &d->err)) {
            char text[TCP_ADDR_TEXT_BYTES];
            err_wrap(&d->err, "%s", tcp_addr_text(text, current_addr(d)));
            continue;
        }
        timer_start_ms(&d->timer, MIN(left_ms(d), MAX(share_ms, (uint64_t)ATTEMPT_MIN_MS)),
                       on_attempt_late, d);
        return;
    }
    if (!d->err.code)
        err_set(&d->err, ERR_TIMEOUT, "no time left to connect");
    dial_finish(d, NULL);
}

static void on_timer_connect(void *arg)
{
    dial_next(arg);
}

static void on_resolve_late(void *arg)
{
    struct tcp_dial *d = arg;

    err_set(&d->err, ERR_TIMEOUT, "resolve %s: no answer within %llu ms", d->host,
            (unsigned long long)d->timeout_ms);
    dial_finish(d, NULL);
}

static void resolve_failed(struct tcp_dial *d, int status)
{
    enum err_code code = ERR_IO;

    if (status == UV_EAI_NONAME || status == UV_EAI_NODATA || status == UV_EAI_ADDRFAMILY)
        code = ERR_NOT_FOUND;
    else if (status == UV_EAI_AGAIN)
        code = ERR_AGAIN;
    err_set(&d->err, code, "resolve %s: %s", d->host, uv_strerror(status));
    dial_finish(d, NULL);
}

static void on_resolved(uv_getaddrinfo_t *req, int status, struct addrinfo *list)
{
    struct tcp_dial *d = req->data;

    d->resolving = false;
    if (!d->finished && !d->canceled) {
        for (struct addrinfo *a = list; a && d->n_addrs < DIAL_ADDRS_MAX; a = a->ai_next)
            if (a->ai_family == AF_INET || a->ai_family == AF_INET6)
                memcpy(&d->addrs[d->n_addrs++], a->ai_addr, a->ai_addrlen);
        timer_stop(&d->timer);
        if (status || !d->n_addrs)
            resolve_failed(d, status ? status : UV_EAI_NODATA);
        else
            dial_next(d);
    }
    uv_freeaddrinfo(list);
    dial_part_closed(d);
}

static struct tcp_dial *dial_new(struct tcp_dial **out, uv_loop_t *loop, uint64_t timeout_ms,
                                 tcp_dialed_fn done, void *arg)
{
    struct tcp_dial *d = mem_alloc(sizeof *d);

    uv_update_time(loop); /* the deadline counts from the call, not from the start of the turn */
    d->loop = loop;
    d->timeout_ms = timeout_ms;
    d->deadline_ms = uv_now(loop) + timeout_ms;
    d->done = done;
    d->arg = arg;
    d->n_open = 1;
    timer_init(&d->timer, loop);
    if (out)
        *out = d;
    return d;
}

static void on_start_failed(void *arg)
{
    dial_finish(arg, NULL);
}

void tcp_dial(struct tcp_dial **out, uv_loop_t *loop, const char *host, uint16_t port,
              uint64_t timeout_ms, tcp_dialed_fn done, void *arg)
{
    struct tcp_dial *d = dial_new(out, loop, timeout_ms, done, arg);
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV };
    char service[8];
    int r;

    d->port = port;
    snprintf(d->host, sizeof d->host, "%s", host);
    if (!*host || strlen(host) > HOST_MAX_BYTES) {
        err_set(&d->err, ERR_INVALID, "not a host name");
        timer_start_ms(&d->timer, 0, on_start_failed, d);
        return;
    }
    if (parse_ip(&d->addrs[0], host, port)) {
        d->n_addrs = 1;
        timer_start_ms(&d->timer, 0, on_timer_connect, d);
        return;
    }
    snprintf(service, sizeof service, "%u", port);
    d->resolve.data = d;
    r = uv_getaddrinfo(loop, &d->resolve, on_resolved, host, service, &hints);
    if (r) {
        err_sys(&d->err, r, "resolve %s", host);
        timer_start_ms(&d->timer, 0, on_start_failed, d);
        return;
    }
    d->resolving = true;
    d->n_open++;
    timer_start_ms(&d->timer, timeout_ms, on_resolve_late, d);
}

void tcp_dial_addr(struct tcp_dial **out, uv_loop_t *loop, const struct sockaddr *addr,
                   uint64_t timeout_ms, tcp_dialed_fn done, void *arg)
{
    struct tcp_dial *d = dial_new(out, loop, timeout_ms, done, arg);
    char text[TCP_ADDR_TEXT_BYTES];
    char *colon;

    tcp_addr_text(text, addr);
    colon = strrchr(text, ':');
    if (!colon) {
        snprintf(d->host, sizeof d->host, "?");
        err_set(&d->err, ERR_INVALID, "not an IP address (family %d)", addr->sa_family);
        timer_start_ms(&d->timer, 0, on_start_failed, d);
        return;
    }
    d->port =
        ntohs(((const struct sockaddr_in *)(const void *)addr)->sin_port); /* same place in 6 */
    *colon = '\0';
    snprintf(d->host, sizeof d->host, "%s", text);
    memcpy(&d->addrs[0], addr, addr_bytes(addr));
    d->n_addrs = 1;
    timer_start_ms(&d->timer, 0, on_timer_connect, d);
}

static void on_cancel(void *arg)
{
    struct tcp_dial *d = arg;

    dial_finish(d, NULL);
}

void tcp_dial_cancel(struct tcp_dial *d)
{
    if (d->canceled)
        return;
    d->canceled = true;
    if (d->attempt)
        stream_close(STEAL(d->attempt));
    if (d->resolving)
        uv_cancel((uv_req_t *)&d->resolve);
    err_set(&d->err, ERR_CANCELED, "canceled");
    timer_start_ms(&d->timer, 0, on_cancel, d);
}
