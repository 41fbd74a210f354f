#pragma once
/*
 * Hole: an address of this host that swallows connects, as one behind a dead link does: a listener
 * whose queue is full and that nobody accepts from. Include after cmocka.h.
 */
#include <arpa/inet.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

struct hole {
    int listener, fillers[8];
    uint16_t port;
    char address[32]; /* "127.0.0.1:port" */
};

static inline void hole_dig_at(struct hole *h, const char *ip, uint16_t port)
{
    struct sockaddr_in a = { .sin_family = AF_INET,
                             .sin_addr.s_addr = inet_addr(ip),
                             .sin_port = htons(port) };
    socklen_t n = sizeof a;
    int on = 1;

    h->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(setsockopt(h->listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on), 0);
    assert_int_equal(bind(h->listener, (struct sockaddr *)&a, n), 0);
    assert_int_equal(listen(h->listener, 0), 0);
    assert_int_equal(getsockname(h->listener, (struct sockaddr *)&a, &n), 0);
    h->port = ntohs(a.sin_port);
    snprintf(h->address, sizeof h->address, "%s:%u", ip, h->port);
    for (size_t i = 0; i < sizeof h->fillers / sizeof *h->fillers; i++) {
        h->fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        (void)!connect(h->fillers[i], (struct sockaddr *)&a, n);
    }
}

static inline void hole_dig(struct hole *h, const char *ip)
{
    hole_dig_at(h, ip, 0);
}

static inline void hole_fill(const struct hole *h)
{
    for (size_t i = 0; i < sizeof h->fillers / sizeof *h->fillers; i++)
        close(h->fillers[i]);
    close(h->listener);
}
