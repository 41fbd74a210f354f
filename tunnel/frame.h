#pragma once
/*
 * Frame: the messages of the remotedialer protocol as bytes, both directions. No I/O, no state.
 *
 *     varint id | varint conn | varint type | varint deadline (Data and Connect only) | body
 *
 * Varints are zig-zag LEB128, as Go's signed varints (encoding/binary): at most 10 bytes. Source
 * of facts: rancher/remotedialer v0.2.0 and v0.6; docs/protocols/remotedialer.md has the worked
 * bytes, test/golden/tunnel holds them as tests. Any thread.
 */
#include "base/core/err.h"
#include "base/core/str.h"

enum tunnel_frame_type {
    TUNNEL_FRAME_DATA = 1,
    TUNNEL_FRAME_CONNECT = 2,
    TUNNEL_FRAME_ERROR = 3,
    TUNNEL_FRAME_ADD_CLIENT = 4,
    TUNNEL_FRAME_REMOVE_CLIENT = 5,
    TUNNEL_FRAME_PAUSE = 6,
    TUNNEL_FRAME_RESUME = 7,
    TUNNEL_FRAME_SYNC = 8, /* SyncConnections */
};

#define TUNNEL_FRAME_HEAD_MAX 40  /* four varints of 10 bytes */
#define TUNNEL_FRAME_TEXT_MAX 100 /* peers read no more of an Error, AddClient, RemoveClient */
#define TUNNEL_FRAME_CONNECT_MAX                                                                   \
    100                                /* K3s v1.21 cuts a longer Connect silently: never send one \
                                        */
#define TUNNEL_FRAME_ADDRESS_MAX 266   /* what newer ends read of a Connect, and we too */
#define TUNNEL_FRAME_DEADLINE_MS 15000 /* what newer ends always write; K3s v1.21 dials with it */

struct tunnel_frame {
    int64_t id;   /* sender's counter, for logs only */
    int64_t conn; /* stream number; 0 for messages of the session */
    int64_t type; /* enum tunnel_frame_type, or one we do not know */
    int64_t deadline_ms;
    struct str body; /* a view into the message */
};

/* One whole message. Bodies are cut to what may be read of their type (Connect, Error, AddClient,
 * RemoveClient). An unknown type is no error. ERR_PROTOCOL: a varint that overflows or is cut off;
 * the text says which. */
MUST_USE int tunnel_frame_decode(struct tunnel_frame *out, struct str message, struct err *e);

/* Writes all of f but its body; returns how many bytes. */
size_t tunnel_frame_head(char out[TUNNEL_FRAME_HEAD_MAX], const struct tunnel_frame *f);

/* The parts of the bodies. Split at the first '/'; ERR_PROTOCOL when there is none. */
MUST_USE int tunnel_frame_connect(struct str body, struct str *proto, struct str *address,
                                  struct err *e);
/* "clientKey/sessionKey" with a decimal session key, else ERR_PROTOCOL. */
MUST_USE int tunnel_frame_client(struct str body, struct str *client, int64_t *session,
                                 struct err *e);

/* SyncConnections: little-endian 64-bit numbers. The count; ERR_PROTOCOL when the length is not a
 * multiple of 8. */
MUST_USE int tunnel_frame_sync_n(struct str body, size_t *n, struct err *e);
int64_t tunnel_frame_sync_get(struct str body, size_t i);
void tunnel_frame_sync_put(char out[8], int64_t conn);
