#pragma once
/*
 * Wire: protobuf's wire format, for messages that no generated code knows
 * (protobuf.dev/programming-guides/encoding). A field is a key (number << 3 | type) and a value.
 * Sans-I/O. Any thread.
 */
#include "base/core/buf.h"
#include "base/core/err.h"

enum wire_type { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2, WIRE_FIXED32 = 5 };

/* ---- reading ---- */
struct wire_cursor {
    const unsigned char *p, *end;
};
struct wire_item {
    uint32_t number;
    unsigned type;    /* enum wire_type */
    uint64_t n;       /* of all but WIRE_BYTES */
    struct str bytes; /* of WIRE_BYTES; a view */
};
struct wire_cursor wire_over(struct str message);
/* 1: an item, 0: the end, below 0: malformed. Groups are malformed too. */
MUST_USE int wire_next(struct wire_cursor *c, struct wire_item *out);
MUST_USE bool wire_varint(struct wire_cursor *c, uint64_t *out);

/* ---- writing, at the end of b; all 0 or ERR_LIMIT ---- */
MUST_USE int wire_add_varint(struct buf *b, uint64_t v);
MUST_USE int wire_add_int(struct buf *b, unsigned number, uint64_t v);
MUST_USE int wire_add_fixed64(struct buf *b, unsigned number, uint64_t v);
MUST_USE int wire_add_bytes(struct buf *b, unsigned number, struct str bytes);
/* The key and the length of n bytes that the caller adds next. */
MUST_USE int wire_add_head(struct buf *b, unsigned number, size_t n);
/* A message in place: *at is where it begins, and wire_close writes its length there. */
MUST_USE int wire_open(struct buf *b, unsigned number, size_t *at);
MUST_USE int wire_close(struct buf *b, size_t at);

/* What wire_add_bytes takes. */
size_t wire_bytes_size(unsigned number, size_t n);
