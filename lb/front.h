#pragma once
/*
 * Front: where the clients of a balancer come in: a listening socket on 127.0.0.1 and, where the
 * host has it, one on ::1, at the same port. Takes a bounded number of connections a turn, none
 * while there is no room for them, and rests when the process has no descriptors left. Loop thread
 * only.
 */
#include "base/core/err.h"

#include <stdbool.h>
#include <stdint.h>

struct front;
struct poller;

struct front_config {
    struct poller *poller; /* borrowed */
    uint16_t port;         /* 0: a random one */
    bool (*has_room)(void *arg);
    void (*on_client)(void *arg, int fd_take);
    void *arg;
};

/* ERR_EXISTS: the port is taken, the text says which. */
MUST_USE int front_open(struct front **out, const struct front_config *c, struct err *e);
uint16_t front_port(const struct front *f);
void front_go_on(struct front *f); /* there is room again */
void front_close(struct front *f); /* NULL is fine */
