#pragma once
/*
 * Stream: one flow of a session as a struct stream, so that TLS and HTTP run over it.
 *
 * With our own framing it is handed out when the other end has connected it, and each direction
 * ends by itself. Remotedialer knows neither: the stream is handed out at once; an end of the peer
 * ends both ways (on_end, or on_error with the peer's words), and stream_shutdown sends nothing,
 * because it would cut off the answer that the owner waits for; the peer hears of the end by
 * stream_close. The stream lives on its own loop time
 * and may outlive the session: it breaks when the session ends and stays its owner's to close.
 * Loop thread only.
 */
#include "base/io/stream.h"
#include "tunnel/session.h"

/* s is yours, not opened yet; NULL: e says why. */
typedef void (*tunnel_stream_fn)(void *arg, struct stream *s, const struct err *e);

struct tunnel_stream;

/* Opens a flow as tunnel_session_open does, and fails as it does. name is put before the text of
 * errors ("node X"); copied. Else done comes once: from inside when there is nothing to wait for,
 * later from inside an event of the session otherwise, at the latest after timeout_ms. *out is
 * there until done, for tunnel_stream_cancel; NULL when done has come. */
MUST_USE int tunnel_stream_open(struct tunnel_stream **out, uv_loop_t *loop,
                                struct tunnel_session *s, const char *name, struct str address,
                                uint64_t timeout_ms, tunnel_stream_fn done, void *arg,
                                struct err *e);
/* Gives it up and tells the other end. done comes from inside, with ERR_CANCELED. */
void tunnel_stream_cancel(struct tunnel_stream *t);
