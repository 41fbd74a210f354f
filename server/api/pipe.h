#pragma once
/*
 * Pipe: two streams joined, bytes passed both ways with backpressure, until both directions ended
 * or one broke. Loop thread only.
 */
#include "base/core/buf.h"
#include "base/io/stream.h"

struct pipe;
/* Takes both streams, already open (handed over); the leftovers go to the other side first. done
 * comes once, later, when both are closed; the pipe is gone then. */
void pipe_start(struct pipe **out, struct stream *a_take, struct str a_leftover,
                struct stream *b_take, struct str b_leftover, void (*done)(void *arg), void *arg);
void pipe_close(struct pipe *p); /* done still comes, later */
