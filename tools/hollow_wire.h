#pragma once
/*
 * Wire: a stream over another one that can misbehave: what a hollow agent's connections run over,
 * between TCP and TLS. All wires of one agent are in a group and have its faults.
 *
 *   WIRE_GOOD     bytes pass
 *   WIRE_SLOW     received bytes are taken at WIRE_SLOW_BYTES_PER_S, so the sender's window fills
 *   WIRE_SILENT   nothing is sent and nothing is read, but the connection stays: a machine that
 *                 fell off the net, seen through a middlebox that keeps it open
 *
 * Loop thread only.
 */
#include "base/core/list.h"
#include "base/io/stream.h"

#define WIRE_SLOW_BYTES_PER_S 4096

enum wire_fault { WIRE_GOOD, WIRE_SLOW, WIRE_SILENT };

struct wire_group {
    struct list wires;
    enum wire_fault fault;
};

void wire_group_init(struct wire_group *g);
/* For connections that are there and those to come. */
void wire_group_set(struct wire_group *g, enum wire_fault f);
/* Breaks all connections that are there, as a middlebox that lost its state. */
void wire_group_cut(struct wire_group *g);
size_t wire_group_n(const struct wire_group *g);

/* The stream that is read and written instead of tcp_take. g outlives it. */
struct stream *wire_wrap(struct wire_group *g, struct stream *tcp_take);
