#pragma once
/*
 * Loop: what every user of libuv's handles needs once per process. Any thread.
 */

/* A write to a peer that has gone must be an error and not the end of the process; libuv writes
 * with write(2), which has no flag for that. Children get the default back (uv_spawn). Called by
 * all that makes sockets and pipes here; again is fine. */
void loop_ignore_sigpipe(void);
