#pragma once
/*
 * Mux frame: the frames of our own tunnel protocol, coracle.v1, as bytes, both directions. No I/O,
 * no state.
 *
 *   0        1        2        3        4        5 ...
 * +--------+--------+--------+--------+--------+----------------
 * |  type  |              stream               |  body
 * +--------+--------+--------+--------+--------+----------------
 *
 * One websocket message is one frame; numbers are big-endian. docs/protocols/tunnel.md specifies
 * it and has the worked bytes; test/golden/tunnel holds them as tests. Any thread.
 */
#include "base/core/err.h"
#include "base/core/str.h"

enum mux_frame_type {
    MUX_OPEN = 1,
    MUX_OPEN_OK = 2,
    MUX_OPEN_FAIL = 3,
    MUX_DATA = 4,
    MUX_CREDIT = 5,
    MUX_FIN = 6,
    MUX_RESET = 7,
    MUX_GOAWAY = 8,
};

#define MUX_HEAD_BYTES 5
/* With this head and a client's websocket head (8) a frame fits into one TLS record of 16 KiB. */
#define MUX_DATA_MAX   (16384 - 16)
#define MUX_TARGET_MAX 300 /* a host name of 253 and a port */
#define MUX_TEXT_MAX   200 /* bytes of a reason's text */
#define MUX_CREDIT_MAX 0x7fffffffu
/* A frame that is no DATA. */
#define MUX_SMALL_MAX (MUX_HEAD_BYTES + 8 + MUX_TARGET_MAX)

struct mux_frame {
    enum mux_frame_type type;
    uint32_t stream;
    uint32_t credit;     /* OPEN, OPEN_OK, CREDIT */
    uint32_t timeout_ms; /* OPEN */
    /* OPEN_FAIL, RESET, GOAWAY: what ended it. ERR_OK: graceful. On the wire the code is one of
     * few; codes without a number of their own are written as ERR_IO. */
    enum err_code code;
    int sys;         /* errno, 0 for none */
    struct str body; /* OPEN: target; reasons: text; DATA: bytes. A view into the message. */
};

/* One whole message. Every field that the type does not have is 0. ERR_PROTOCOL, and the text says
 * which frame and why: too short, too long, unknown type, a credit or stream out of range. */
MUST_USE int mux_frame_decode(struct mux_frame *out, struct str message, struct err *e);

/* Writes the frame; for DATA only its head. Texts and targets beyond their maximum are cut. Returns
 * how many bytes. */
size_t mux_frame_encode(char out[MUX_SMALL_MAX], const struct mux_frame *f);

const char *mux_frame_name(enum mux_frame_type type); /* "OPEN-OK" */
