#pragma once
/*
 * Stream: one flow of a session as a struct stream, so that TLS and HTTP run over it.
 *
 * The protocol has no half-close: an end of the peer ends both ways (on_end, or on_error with the
 * peer's words), and stream_shutdown sends nothing, because it would cut off the answer that the
 * owner waits for; the peer hears of the end by stream_close. The stream lives on its own loop time
 * and may outlive the session: it breaks when the session ends and stays its owner's to close.
 * Loop thread only.
 */
#include "base/io/stream.h"
#include "tunnel/session.h"

/* Opens a flow as tunnel_session_open does. name is put before the text of errors ("node X");
 * copied. On success *out is yours, not opened yet. */
MUST_USE int tunnel_stream_open(struct stream **out, uv_loop_t *loop, struct tunnel_session *s,
                                const char *name, struct str address, uint64_t timeout_ms,
                                struct err *e);
