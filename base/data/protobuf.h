#pragma once
/*
 * Protobuf: messages of protobuf-c, read into an arena and packed into a buffer. What is generated
 * from a .proto file belongs to the module that speaks the protocol. Any thread.
 */
#include "base/core/arena.h"
#include "base/core/buf.h"
#include "base/core/err.h"

#include <protobuf-c/protobuf-c.h>

/* The message lives in the arena and ends with it. NULL with ERR_PROTOCOL: the bytes are no such
 * message, or need more memory than the arena gives. */
MUST_USE void *protobuf_unpack(struct arena *a, const ProtobufCMessageDescriptor *d,
                               struct str bytes, struct err *e);
/* Adds the bytes of m. ERR_LIMIT. */
MUST_USE int protobuf_pack(struct buf *out, const ProtobufCMessage *m);
