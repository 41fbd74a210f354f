#pragma once
/*
 * Pump: carries bytes between two streams, both ways, with backpressure, until both directions have
 * ended. The end of one direction is forwarded and the other goes on. When one stream breaks, both
 * are closed, the other after what it was given before has been sent.
 *
 * Loop thread only. The pump owns both streams from pump_start on; done is called exactly once,
 * later, when both are closed; the pump is gone by then.
 */
#include "base/io/stream.h"

struct pump;
typedef void (*pump_done_fn)(void *arg, const struct err *e); /* e NULL: both ended in peace */

/* a and b: streams that were not opened yet, or (with is_open) streams whose owner hands them over;
 * leftover bytes were read from that stream already and go first. */
struct pump_end {
    struct stream *stream;
    bool is_open;
    struct str leftover;
};
struct pump *pump_start(struct pump_end a, struct pump_end b, pump_done_fn done, void *arg);
void pump_cancel(struct pump *p); /* drops what is queued; done comes with ERR_CANCELED */
