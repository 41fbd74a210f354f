#pragma once
/*
 * Inside of the port: what port.c, logs.c and session.c share. Nobody else includes it, but tests.
 */
#include "agent/stream/port.h"
#include "agent/stream/source.h"
#include "base/core/list.h"
#include "base/http/server.h"

/* Something that outlives its request for a while: a log being read, a session. The port waits for
 * all of them before it is gone. */
struct port_job {
    struct list in;
    struct port *port;
    void (*stop)(struct port_job *j); /* the port closes; may come more than once */
};
void port_job_begin(struct port *p, struct port_job *j, void (*stop)(struct port_job *j));
void port_job_end(struct port_job *j); /* last: the port may be gone afterwards */

/* As port_new, with other answers about the node. */
MUST_USE int port_new_from(struct port **out, const struct port_config *c,
                           const struct source *source, struct err *e);
struct node_view port_view(const struct port *p);
uv_loop_t *port_loop(const struct port *p);

/* A plain text answer that ends in a newline. */
void port_reply_text(struct http_req *r, int status, const char *fmt, ...) PRINTF_FMT(3, 4);
/* The source's errors: NOT_FOUND 404, INVALID 400, AGAIN 503, TIMEOUT 504, else 500. */
void port_reply_err(struct http_req *r, const struct err *e);

/* They own the request from here on. */
void logs_serve(struct port *p, struct http_req *r, const struct session_path *path);
void session_serve(struct port *p, struct http_req *r, const struct session_path *path);

/* ---- metrics.c ---- */
struct metrics_input {
    const char *version;
    size_t n_pods_running, n_containers_running;
};
void metrics_write(struct buf *out, const struct metrics_input *in);
