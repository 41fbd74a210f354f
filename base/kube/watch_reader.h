#pragma once
/*
 * Watch reader: the events of a watch, one JSON document per line
 * ({"type":"ADDED","object":{...}}), from bytes as they come. No I/O. Loop thread only.
 */
#include "base/core/buf.h"
#include "base/core/err.h"
#include "base/kube/client.h"

#define WATCH_LINE_MAX_BYTES (16u * 1024 * 1024) /* etcd's largest object, escaped, and room */

struct watch_reader {
    struct buf line; /* what came of it so far */
};

void watch_reader_init(struct watch_reader *r, size_t line_max_bytes); /* 0: WATCH_LINE_MAX_BYTES */
void watch_reader_deinit(struct watch_reader *r);

/* Reads from the front of *in, moving it on. 0 with *object: an event, the reference is yours; 0
 * without: *in is used up. An ERROR event is the error that its Status says (410: ERR_EXPIRED).
 * ERR_LIMIT: too long a line; ERR_PROTOCOL: not an event. Events of unknown type are skipped. */
MUST_USE int watch_reader_read(struct watch_reader *r, struct str *in, enum kube_event_type *type,
                               json_t **object, struct err *e);
/* The stream ended: ERR_PROTOCOL in the middle of a line. */
MUST_USE int watch_reader_finish(const struct watch_reader *r, struct err *e);
