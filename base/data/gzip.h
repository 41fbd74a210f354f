#pragma once
/*
 * Gzip (RFC 1952): bytes packed piece by piece, as HTTP's Content-Encoding wants them, and unpacked
 * as a whole. Any thread, one at a time. Some hundred MB/s; an encoder holds 270 kB while it lives.
 */
#include "base/core/buf.h"
#include "base/core/err.h"

struct gzip;
struct gzip *gzip_new(void); /* the quickest level */
void gzip_free(struct gzip *z);
/* Adds what is packed of the piece to out; last: and the end of the stream. ERR_LIMIT past out's
 * maximum: the encoder is of no more use. */
MUST_USE int gzip_add(struct gzip *z, struct str piece, bool last, struct buf *out);
/* Adds what is packed in one stream to out. ERR_INVALID: that is no whole gzip stream, or something
 * follows it. ERR_LIMIT: more than out may hold. Whatever happens, out may have grown. */
MUST_USE int gzip_unpack(struct str packed, struct buf *out, struct err *e);
DEFINE_AUTO(gzip);
