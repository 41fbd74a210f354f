#pragma once
/*
 * Time call: asks a server what time it is and acts on the answer.
 *
 * The server is verified by the pinned CA and the name "kubernetes", dates left out; its word is
 * the Date of its answer to GET /cacerts, and server_time.h says what that is worth. Where it is
 * taken, the process's clock moves (base/core/clock.h) and the time is confirmed. Loop thread only.
 */
#include "base/core/err.h"
#include "base/http/client.h"

struct time_call;

struct time_call_config { /* borrowed until done */
    uv_loop_t *loop;
    http_dial_fn dial;
    void *dial_arg;
    struct str ca_pem;
    const char *server_name; /* as authority and in the certificate */
};

/* Once, later; the call is gone by then. e NULL: our clock agrees with the server's now; moved: it
 * did not before. ERR_DENIED: its word is not taken; the text says why. */
typedef void (*time_call_fn)(void *arg, bool moved, const struct err *e);

MUST_USE int time_call_start(struct time_call **out, const struct time_call_config *c,
                             time_call_fn done, void *arg, struct err *e);
void time_call_cancel(struct time_call *c); /* done comes with ERR_CANCELED */

/* A Date that came over a connection that was verified with its dates. False: it is not our time;
 * else it is confirmed. */
bool time_call_heard(int64_t server_unix_s);
