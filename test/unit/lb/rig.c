#include "test/unit/lb/rig.h"

#include "test/lib/port.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <netinet/in.h>
#include <stdio.h>

static void alloc(uv_handle_t *h, size_t n, uv_buf_t *b)
{
    (void)h;
    *b = uv_buf_init(mem_alloc(n), (unsigned)n);
}

static void on_written(uv_write_t *w, int status)
{
    (void)status;
    free(w->data);
    free(w);
}

void send_copy(uv_stream_t *to, const void *p, size_t n)
{
    uv_write_t *w = mem_alloc(sizeof *w);
    uv_buf_t b = uv_buf_init(mem_dup(p, n), (unsigned)n);

    w->data = b.base;
    uv_write(w, to, &b, 1, on_written);
}

static void on_peer_closed(uv_handle_t *h)
{
    struct peer *p = container_of((uv_tcp_t *)h, struct peer, tcp);

    for (struct peer **at = &p->server->peers; *at; at = &(*at)->next)
        if (*at == p) {
            *at = p->next;
            break;
        }
    free(p);
}

static void on_shut(uv_shutdown_t *req, int status)
{
    (void)status;
    if (!uv_is_closing((uv_handle_t *)req->handle))
        uv_close((uv_handle_t *)req->handle, on_peer_closed);
    free(req);
}

static void on_peer_data(uv_stream_t *s, ssize_t n, const uv_buf_t *b)
{
    if (n > 0)
        send_copy(s, b->base, (size_t)n);
    free(b->base);
    if (n < 0 && !uv_is_closing((uv_handle_t *)s)) {
        uv_read_stop(s);
        if (n == UV_EOF) /* the echo flushes before it ends */
            uv_shutdown(mem_alloc(sizeof(uv_shutdown_t)), s, on_shut);
        else
            uv_close((uv_handle_t *)s, on_peer_closed);
    }
}

static void on_connection(uv_stream_t *l, int status)
{
    struct server *s = container_of((uv_tcp_t *)l, struct server, listener);
    struct peer *p = mem_alloc(sizeof *p);

    assert_int_equal(status, 0);
    p->server = s;
    p->next = s->peers;
    s->peers = p;
    s->n_accepted++;
    uv_tcp_init(l->loop, &p->tcp);
    uv_accept(l, (uv_stream_t *)&p->tcp);
    send_copy((uv_stream_t *)&p->tcp, s->name, strlen(s->name));
    uv_read_start((uv_stream_t *)&p->tcp, alloc, on_peer_data);
}

void server_start(struct server *s, uv_loop_t *loop, const char *name)
{
    server_start_at(s, loop, name, "127.0.0.1", port_reserve()); /* some come back there */
}

void server_start_at(struct server *s, uv_loop_t *loop, const char *name, const char *ip,
                     uint16_t port)
{
    struct sockaddr_in addr;
    int n = sizeof addr;

    *s = (struct server){ .name = name };
    uv_ip4_addr(ip, port, &addr);
    uv_tcp_init(loop, &s->listener);
    assert_int_equal(uv_tcp_bind(&s->listener, (struct sockaddr *)&addr, 0), 0);
    assert_int_equal(uv_listen((uv_stream_t *)&s->listener, 64, on_connection), 0);
    uv_tcp_getsockname(&s->listener, (struct sockaddr *)&addr, &n);
    s->port = ntohs(addr.sin_port);
    snprintf(s->address, sizeof s->address, "%s:%u", ip, s->port);
}

static void on_listener_gone(uv_handle_t *h)
{
    container_of((uv_tcp_t *)h, struct server, listener)->closed = true;
}

void server_kill(struct server *s)
{
    for (struct peer *p = s->peers; p; p = p->next)
        if (!uv_is_closing((uv_handle_t *)&p->tcp))
            uv_close((uv_handle_t *)&p->tcp, on_peer_closed);
    if (!uv_is_closing((uv_handle_t *)&s->listener))
        uv_close((uv_handle_t *)&s->listener, on_listener_gone);
}

static void on_client_closed(uv_handle_t *h)
{
    container_of((uv_tcp_t *)h, struct client, tcp)->closed = true;
}

static void on_client_data(uv_stream_t *s, ssize_t n, const uv_buf_t *b)
{
    struct client *c = container_of((uv_tcp_t *)s, struct client, tcp);

    if (n > 0)
        assert_int_equal(buf_add(&c->got, b->base, (size_t)n), 0);
    free(b->base);
    if (n < 0)
        c->ended = true;
}

static void on_client_connected(uv_connect_t *req, int status)
{
    if (status == UV_ECANCELED) /* stopped before */
        return;
    assert_int_equal(status, 0);
    uv_read_start(req->handle, alloc, on_client_data);
}

void client_start(struct client *c, uv_loop_t *loop, uint16_t port)
{
    struct sockaddr_in addr;

    *c = (struct client){ .got = BUF(64u << 20) };
    uv_ip4_addr("127.0.0.1", port, &addr);
    uv_tcp_init(loop, &c->tcp);
    assert_int_equal(
        uv_tcp_connect(&c->connect, &c->tcp, (struct sockaddr *)&addr, on_client_connected), 0);
}

void client_stop(struct client *c)
{
    uv_close((uv_handle_t *)&c->tcp, on_client_closed);
    buf_deinit(&c->got);
}

void rig_nothing(void *arg)
{
    (void)arg;
}

static void on_gone(void *arg)
{
    *(bool *)arg = true;
}

void finish(uv_loop_t *loop, struct balancer *b)
{
    bool gone = false;

    balancer_close(b, on_gone, &gone);
    uv_run(loop, UV_RUN_DEFAULT);
    assert_true(gone);
    assert_int_equal(uv_loop_close(loop), 0);
}

enum lb_state state_of(const struct balancer *b, const char *address)
{
    struct balancer_server_status st[8];
    size_t n = balancer_status(b, st, ARRAY_LEN(st));

    for (size_t i = 0; i < n; i++)
        if (strcmp(st[i].address, address) == 0)
            return st[i].state;
    return LB_INVALID;
}
