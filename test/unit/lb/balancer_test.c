#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/core/mem.h"
#include "base/core/rand.h"
#include "base/io/file.h"
#include "base/io/timer.h"
#include "lb/balancer.h"
#include "lb/state_file.h"

/* A server that says its name at once, then echoes, on a libuv listener of the same loop. */
struct server {
    uv_tcp_t listener;
    const char *name;
    uint16_t port;
    char address[32];
    struct peer *peers;
    size_t n_accepted;
};

struct peer {
    uv_tcp_t tcp;
    struct peer *next;
    struct server *server;
};

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

static void send_copy(uv_stream_t *to, const void *p, size_t n)
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

static void server_start(struct server *s, uv_loop_t *loop, const char *name)
{
    struct sockaddr_in addr;
    int n = sizeof addr;

    *s = (struct server){ .name = name };
    uv_ip4_addr("127.0.0.1", 0, &addr);
    uv_tcp_init(loop, &s->listener);
    assert_int_equal(uv_tcp_bind(&s->listener, (struct sockaddr *)&addr, 0), 0);
    assert_int_equal(uv_listen((uv_stream_t *)&s->listener, 64, on_connection), 0);
    uv_tcp_getsockname(&s->listener, (struct sockaddr *)&addr, &n);
    s->port = ntohs(addr.sin_port);
    snprintf(s->address, sizeof s->address, "127.0.0.1:%u", s->port);
}

static void server_kill(struct server *s)
{
    for (struct peer *p = s->peers; p; p = p->next)
        if (!uv_is_closing((uv_handle_t *)&p->tcp))
            uv_close((uv_handle_t *)&p->tcp, on_peer_closed);
    if (!uv_is_closing((uv_handle_t *)&s->listener))
        uv_close((uv_handle_t *)&s->listener, NULL);
}

/* One client connection to the balancer: what came, and whether the end came. */
struct client {
    uv_tcp_t tcp;
    uv_connect_t connect;
    struct buf got;
    bool ended, closed;
};

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
    assert_int_equal(status, 0);
    uv_read_start(req->handle, alloc, on_client_data);
}

static void client_start(struct client *c, uv_loop_t *loop, uint16_t port)
{
    struct sockaddr_in addr;

    *c = (struct client){ .got = BUF(64u << 20) };
    uv_ip4_addr("127.0.0.1", port, &addr);
    uv_tcp_init(loop, &c->tcp);
    assert_int_equal(
        uv_tcp_connect(&c->connect, &c->tcp, (struct sockaddr *)&addr, on_client_connected), 0);
}

static void client_stop(struct client *c)
{
    uv_close((uv_handle_t *)&c->tcp, on_client_closed);
    buf_deinit(&c->got);
}

/* Runs the loop until the condition holds; a generous bound keeps a broken test from hanging. */
static void nothing(void *arg)
{
    (void)arg;
}
static void free_timer(void *arg)
{
    free(arg);
}
#define RUN_UNTIL(loop, cond)                                                                      \
    do {                                                                                           \
        uint64_t until_ = uv_hrtime() + 30000000000ULL;                                            \
        struct timer *tick_ = mem_alloc(sizeof *tick_);                                            \
        timer_init(tick_, (loop));                                                                 \
        while (!(cond) && uv_hrtime() < until_) {                                                  \
            timer_start_ms(tick_, 20, nothing, NULL);                                              \
            uv_run((loop), UV_RUN_ONCE);                                                           \
        }                                                                                          \
        timer_close(tick_, free_timer, tick_);                                                     \
        assert_true(cond);                                                                         \
    } while (0)

static void on_gone(void *arg)
{
    *(bool *)arg = true;
}

static void finish(uv_loop_t *loop, struct balancer *b)
{
    bool gone = false;

    balancer_close(b, on_gone, &gone);
    uv_run(loop, UV_RUN_DEFAULT);
    assert_true(gone);
    assert_int_equal(uv_loop_close(loop), 0);
}

static enum lb_state state_of(const struct balancer *b, const char *address)
{
    struct balancer_server_status st[8];
    size_t n = balancer_status(b, st, ARRAY_LEN(st));

    for (size_t i = 0; i < n; i++)
        if (strcmp(st[i].address, address) == 0)
            return st[i].state;
    return LB_INVALID;
}

static void bytes_pass_both_ways_and_the_end_is_forwarded(void **state)
{
    enum { N_BYTES = 3 << 20 };
    struct balancer_options o = { .name = "t" };
    struct balancer *b;
    struct server s;
    struct client c;
    uv_loop_t loop;
    struct err e;
    char *bytes = mem_alloc(N_BYTES);
    (void)state;

    rand_bytes(bytes, N_BYTES);
    uv_loop_init(&loop);
    server_start(&s, &loop, "one");
    o.seed = s.address;
    assert_int_equal(balancer_new(&b, &loop, &o, &e), 0);
    client_start(&c, &loop, balancer_port(b));
    RUN_UNTIL(&loop, c.got.n == 3);
    send_copy((uv_stream_t *)&c.tcp, bytes, N_BYTES);
    uv_shutdown_t *shut = mem_alloc(sizeof *shut);
    uv_shutdown(shut, (uv_stream_t *)&c.tcp, NULL);
    RUN_UNTIL(&loop, c.ended);
    assert_int_equal(c.got.n, 3 + N_BYTES);
    assert_memory_equal(c.got.p + 3, bytes, N_BYTES);
    free(shut);
    client_stop(&c);
    server_kill(&s);
    finish(&loop, b);
    free(bytes);
}

static void a_killed_server_costs_the_next_request_nothing(void **state)
{
    struct balancer_options o = { .name = "t" };
    struct balancer *b;
    struct server one, two;
    struct client c1, c2;
    uv_loop_t loop;
    struct err e;
    const char *list[2];
    (void)state;

    uv_loop_init(&loop);
    server_start(&one, &loop, "one");
    server_start(&two, &loop, "two");
    o.seed = one.address;
    assert_int_equal(balancer_new(&b, &loop, &o, &e), 0);
    list[0] = one.address;
    list[1] = two.address;
    balancer_set_addresses(b, list, 2);
    client_start(&c1, &loop, balancer_port(b));
    RUN_UNTIL(&loop, c1.got.n == 3);
    bool first_is_one = strcmp(buf_cstr(&c1.got), "one") == 0;
    struct server *used = first_is_one ? &one : &two, *other = first_is_one ? &two : &one;
    server_kill(used);
    RUN_UNTIL(&loop, c1.ended);
    client_start(&c2, &loop, balancer_port(b));
    RUN_UNTIL(&loop, c2.got.n == 3);
    assert_string_equal(buf_cstr(&c2.got), other->name);
    assert_int_equal(state_of(b, used->address), LB_FAILED);
    client_stop(&c1);
    client_stop(&c2);
    server_kill(other);
    finish(&loop, b);
}

static void a_failed_tunnel_closes_the_connections_of_its_server(void **state)
{
    struct balancer_options o = { .name = "t" };
    struct balancer *b;
    struct server one, two;
    struct client c1, c2;
    uv_loop_t loop;
    struct err e;
    const char *list[2];
    (void)state;

    uv_loop_init(&loop);
    server_start(&one, &loop, "one");
    server_start(&two, &loop, "two");
    o.seed = one.address;
    assert_int_equal(balancer_new(&b, &loop, &o, &e), 0);
    list[0] = one.address;
    list[1] = two.address;
    balancer_set_addresses(b, list, 2);
    balancer_set_health(b, one.address, BALANCER_OK);
    RUN_UNTIL(&loop, state_of(b, one.address) == LB_PREFERRED);
    client_start(&c1, &loop, balancer_port(b));
    RUN_UNTIL(&loop, c1.got.n == 3);
    assert_string_equal(buf_cstr(&c1.got), "one");
    assert_int_equal(state_of(b, one.address), LB_ACTIVE);
    balancer_set_health(b, one.address, BALANCER_FAILED);
    balancer_set_health(b, two.address, BALANCER_OK);
    RUN_UNTIL(&loop, c1.ended); /* the server is well, but its connections were closed */
    assert_int_equal(state_of(b, one.address), LB_FAILED);
    client_start(&c2, &loop, balancer_port(b));
    RUN_UNTIL(&loop, c2.got.n == 3);
    assert_string_equal(buf_cstr(&c2.got), "two");
    client_stop(&c1);
    client_stop(&c2);
    server_kill(&one);
    server_kill(&two);
    finish(&loop, b);
}

static void no_server_means_a_close_without_bytes(void **state)
{
    struct balancer_options o = { .name = "t", .seed = "127.0.0.1:1" };
    struct balancer *b;
    struct client c;
    uv_loop_t loop;
    struct err e;
    (void)state;

    uv_loop_init(&loop);
    assert_int_equal(balancer_new(&b, &loop, &o, &e), 0);
    client_start(&c, &loop, balancer_port(b));
    RUN_UNTIL(&loop, c.ended);
    assert_int_equal(c.got.n, 0);
    client_stop(&c);
    finish(&loop, b);
}

static void a_taken_port_is_named(void **state)
{
    struct balancer_options o = { .name = "t", .seed = "127.0.0.1:1" };
    struct balancer *b, *b2;
    uv_loop_t loop;
    struct err e;
    char want[64];
    (void)state;

    uv_loop_init(&loop);
    assert_int_equal(balancer_new(&b, &loop, &o, &e), 0);
    o.port = balancer_port(b);
    assert_int_equal(balancer_new(&b2, &loop, &o, &e), ERR_EXISTS);
    snprintf(want, sizeof want, "load balancer: listen on 127.0.0.1:%u", o.port);
    assert_memory_equal(e.text, want, strlen(want));
    finish(&loop, b);
}

static void the_list_survives_a_restart_for_the_same_url_only(void **state)
{
    char dir[] = "/tmp/lb-test-XXXXXX";
    struct balancer_options o = { .name = "k3s-agent-load-balancer", .seed = "seed.example:6443" };
    const char *list[] = { "10.0.0.1:6443", "10.0.0.2:6443" };
    auto_buf text = BUF(4096);
    struct balancer *b;
    uv_loop_t loop;
    struct err e;
    (void)state;

    assert_non_null(mkdtemp(dir));
    auto_free char *etc = mem_printf("%s/etc", dir);
    auto_free char *path = mem_printf("%s/k3s-agent-load-balancer.json", etc);
    o.state_dir = etc;
    uv_loop_init(&loop);
    assert_int_equal(balancer_new(&b, &loop, &o, &e), 0);
    balancer_set_addresses(b, list, 2);
    balancer_set_addresses(b, list, 0); /* an empty list is never believed */
    finish(&loop, b);
    assert_int_equal(file_read(path, 4096, &text, &e), 0);
    assert_string_equal(buf_cstr(&text), "{\n  \"ServerURL\": \"https://seed.example:6443\",\n"
                                         "  \"ServerAddresses\": [\n    \"10.0.0.1:6443\",\n"
                                         "    \"10.0.0.2:6443\"\n  ]\n}");
    uv_loop_init(&loop);
    assert_int_equal(balancer_new(&b, &loop, &o, &e), 0);
    assert_int_equal(state_of(b, "10.0.0.2:6443"), LB_UNCHECKED);
    assert_int_equal(state_of(b, "seed.example:6443"), LB_STANDBY);
    finish(&loop, b);
    o.seed = "other.example:6443";
    uv_loop_init(&loop);
    assert_int_equal(balancer_new(&b, &loop, &o, &e), 0);
    assert_int_equal(state_of(b, "10.0.0.2:6443"), LB_INVALID);
    finish(&loop, b);
    unlink(path);
    rmdir(etc);
    rmdir(dir);
}

static void broken_state_files_are_refused_or_cleaned(void **state)
{
    static const struct {
        const char *text;
        int code;
        size_t n;
    } rows[] = {
        { "{\"ServerURL\":\"https://a:1\",\"ServerAddresses\":[\"b:1\"],\"Listener\":null}", 0, 1 },
        { "{\"ServerURL\":\"https://a:1\",\"ServerAddresses\":null}", 0, 0 },
        { "{\"ServerURL\":\"https://a:1\",\"ServerAddresses\":[1,\"b\",\"b:0\",\"b:x\",\"a/"
          "b:1\",\":1\"]}",
          0, 0 },
        { "{\"ServerAddresses\":[\"b:1\"]}", ERR_NOT_FOUND, 0 },
        { "{\"ServerURL\":7}", ERR_INVALID, 0 },
        { "not json", ERR_INVALID, 0 },
        { "", ERR_INVALID, 0 },
    };
    auto_free struct lb_state_file *f = mem_alloc(sizeof *f);
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct err e;
        assert_int_equal(lb_state_file_parse(f, str_of(rows[i].text), &e), rows[i].code);
        if (!rows[i].code)
            assert_int_equal(f->n_addresses, rows[i].n);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_pass_both_ways_and_the_end_is_forwarded),
        cmocka_unit_test(a_killed_server_costs_the_next_request_nothing),
        cmocka_unit_test(a_failed_tunnel_closes_the_connections_of_its_server),
        cmocka_unit_test(no_server_means_a_close_without_bytes),
        cmocka_unit_test(a_taken_port_is_named),
        cmocka_unit_test(the_list_survives_a_restart_for_the_same_url_only),
        cmocka_unit_test(broken_state_files_are_refused_or_cleaned),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
