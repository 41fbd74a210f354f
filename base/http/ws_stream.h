#pragma once
/*
 * Ws stream: the binary messages of a websocket as one stream of bytes, for protocols that are
 * tunneled through one. The borders of messages mean nothing; text messages are bytes too. The
 * peer's Close is the end of the stream; shutdown sends ours, after which nothing is read either.
 */
#include "base/io/stream.h"

/* raw: the connection after the handshake (ws_upgrade), we are the server; taken. leftover: what
 * came behind the head; copied. */
struct stream *ws_stream_new(struct stream *raw_take, struct str leftover);
