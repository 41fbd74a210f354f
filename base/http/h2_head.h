#pragma once
/*
 * H2 head: the head and the trailers of an HTTP/2 message as they come in, field by field: pseudo
 * fields apart, within limits, and what a server has to refuse (RFC 9113 8.3). Sans-I/O.
 */
#include "base/http/h2.h"

#define H2_PSEUDO_MAX_BYTES (HTTP_TARGET_MAX_BYTES + 4 * 1024)
/* A head that was refused may still unpack to very much (HPACK bomb): then the connection goes. */
#define H2_REFUSED_HEAD_MAX_BYTES (16 * HTTP_HEADERS_MAX_BYTES)

enum h2_pseudo { H2_METHOD, H2_SCHEME, H2_AUTHORITY, H2_PATH, H2_N_PSEUDO };

struct h2_head_in {
    bool server;         /* requests come, which are refused with a status; else answers */
    struct h2_head head; /* its views are set when it is whole */
    struct http_headers trailers;
    bool is_whole; /* what follows are trailers */
    size_t n_bytes;
    struct buf pseudo;
    size_t at[H2_N_PSEUDO], n[H2_N_PSEUDO];
};

void h2_head_in_init(struct h2_head_in *in, bool server);
void h2_head_in_deinit(struct h2_head_in *in);

enum h2_head_verdict {
    H2_HEAD_GOOD,   /* also where it is to be refused: head.refuse */
    H2_HEAD_RESET,  /* the stream has to go */
    H2_HEAD_TOO_BIG /* so has the connection */
};
enum h2_head_verdict h2_head_in_add(struct h2_head_in *in, struct str name, struct str value);
/* The fields are complete; end: nothing follows. False: it was an interim answer (1xx), and
 * another head comes. */
bool h2_head_in_end(struct h2_head_in *in, bool end);
