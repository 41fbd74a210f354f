/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "base/core/mem.h"
#include "lb/front.h"
#include "lb/poller.h"

#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct door {
    uv_loop_t loop;
    struct poller *poller;
    struct front *front;
    size_t n_room, n_clients;
};

static bool has_room(void *arg)
{
    return ((struct door *)arg)->n_room > 0;
}

static void on_client(void *arg, int fd_take)
{
    struct door *d = arg;

    close(fd_take);
    d->n_room--;
    d->n_clients++;
}

static struct front_config config(struct door *d, uint16_t port)
{
    return (struct front_config){ d->poller, port, has_room, on_client, d };
}

static void door_open(struct door *d, size_t n_room)
{
    struct front_config c;
    struct err e;

    memset(d, 0, sizeof *d);
    d->n_room = n_room;
    assert_int_equal(uv_loop_init(&d->loop), 0);
    assert_int_equal(poller_new(&d->poller, &d->loop, &e), 0);
    c = config(d, 0);
    assert_int_equal(front_open(&d->front, &c, &e), 0);
}

static void door_close(struct door *d)
{
    front_close(d->front);
    poller_close(d->poller, NULL, NULL);
    uv_run(&d->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&d->loop), 0);
}

/* A client of that family; -1 where the host has no such loopback. */
static int knock(const struct door *d, int family)
{
    struct sockaddr_in v4 = { .sin_family = AF_INET,
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                              .sin_port = htons(front_port(d->front)) };
    struct sockaddr_in6 v6 = { .sin6_family = AF_INET6,
                               .sin6_addr = IN6ADDR_LOOPBACK_INIT,
                               .sin6_port = htons(front_port(d->front)) };
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool in = fd >= 0 && (family == AF_INET ? connect(fd, (struct sockaddr *)&v4, sizeof v4)
                                            : connect(fd, (struct sockaddr *)&v6, sizeof v6)) == 0;

    if (!in && fd >= 0)
        close(fd);
    return in ? fd : -1;
}

static void wait_for(struct door *d, size_t n_clients)
{
    for (int i = 0; i < 10000 && d->n_clients < n_clients; i++)
        uv_run(&d->loop, UV_RUN_ONCE);
    assert_int_equal(d->n_clients, n_clients);
}

static void clients_of_both_families_come_in(void **state)
{
    struct door d;
    (void)state;

    door_open(&d, 10);
    auto_close int four = knock(&d, AF_INET), six = knock(&d, AF_INET6);
    assert_true(four >= 0);
    wait_for(&d, six >= 0 ? 2 : 1);
    door_close(&d);
}

static void who_finds_no_room_waits_until_there_is_some(void **state)
{
    struct door d;
    (void)state;

    door_open(&d, 1);
    auto_close int a = knock(&d, AF_INET), b = knock(&d, AF_INET);
    assert_true(a >= 0 && b >= 0); /* the kernel takes them both */
    wait_for(&d, 1);
    for (int i = 0; i < 20; i++)
        uv_run(&d.loop, UV_RUN_NOWAIT);
    assert_int_equal(d.n_clients, 1);
    d.n_room = 1;
    front_go_on(d.front);
    wait_for(&d, 2);
    door_close(&d);
}

static void a_port_that_is_taken_is_named(void **state)
{
    struct front_config c;
    struct front *second = NULL;
    struct door d;
    struct err e;
    (void)state;

    door_open(&d, 1);
    c = config(&d, front_port(d.front));
    assert_int_equal(front_open(&second, &c, &e), ERR_EXISTS);
    assert_non_null(strstr(e.text, "127.0.0.1:"));
    assert_null(second);
    door_close(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clients_of_both_families_come_in),
        cmocka_unit_test(who_finds_no_room_waits_until_there_is_some),
        cmocka_unit_test(a_port_that_is_taken_is_named),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
