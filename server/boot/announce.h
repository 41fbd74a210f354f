#pragma once
/*
 * Announce: puts this server's address into the endpoints of default/kubernetes where nobody else
 * does. That is the controllers' affair, who are told at once (peers.h); but when all servers were
 * down together they wait for their Lease, and agents would not hear of one that came up with
 * another address. With kube-apiserver each server adds itself, too.
 *
 *   start --> looks every LOOK_MS, for FOR_MS: missing twice in a row --> adds it, takes nobody
 * away
 *
 * Objects that are not there yet are left to the controllers. Loop thread only.
 */
#include <stdint.h>
#include <uv.h>

#define ANNOUNCE_LOOK_MS 2000
#define ANNOUNCE_FOR_MS  60000

struct api;
struct announce;

struct announce_config {
    uv_loop_t *loop;
    struct api *api;
    const char *ip; /* copied */
    uint16_t port;
    uint64_t look_ms; /* 0: ANNOUNCE_LOOK_MS */
};

void announce_start(struct announce **out, const struct announce_config *c);
void announce_close(struct announce *a, void (*done)(void *arg), void *arg);
