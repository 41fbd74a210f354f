#pragma once
/*
 * Session_ask: what a request for exec, attach or port-forward wants, read from its path and query.
 * No I/O. Any thread.
 *
 *   /exec/{ns}/{pod}[/{uid}]/{container}?command=sh&command=-c&input=1&output=1&error=1&tty=1
 *   /attach/{ns}/{pod}[/{uid}]/{container}?...       /portForward/{ns}/{pod}[/{uid}]?port=80
 *   /containerLogs/{ns}/{pod}/{container}?...        (the options: agent/stream/crilog.h)
 *
 * Source: kubelet/pkg/server and cri/streaming/remotecommand, 1.32.
 */
#include "base/core/buf.h"
#include "base/core/err.h"

#define SESSION_ARGS_MAX       1024 /* of a command; its bytes are bounded by the request line */
#define SESSION_PORTS_MAX      64
#define SESSION_NAME_MAX_BYTES 253 /* of a namespace, pod, uid or container; RFC 1123 subdomain */

enum session_kind { SESSION_LOGS, SESSION_EXEC, SESSION_ATTACH, SESSION_PORT_FORWARD };

struct session_path {
    enum session_kind kind;
    /* uid and container may be "" */
    char ns[SESSION_NAME_MAX_BYTES + 1], pod[SESSION_NAME_MAX_BYTES + 1],
        uid[SESSION_NAME_MAX_BYTES + 1], container[SESSION_NAME_MAX_BYTES + 1];
};
/* ERR_NOT_FOUND: no such path; ERR_INVALID: a part of it is malformed. */
MUST_USE int session_path_parse(struct session_path *out, struct str path, struct err *e);

struct session_ask {
    enum session_kind kind;
    bool in, out, err, tty;
    char **argv; /* NULL-terminated; exec only */
    size_t n_argv;
    int32_t ports[SESSION_PORTS_MAX]; /* port-forward only; SPDY names them later, in its streams */
    size_t n_ports;
};
/* kind is not SESSION_LOGS. ERR_INVALID with kubelet's words. */
MUST_USE int session_ask_parse(struct session_ask *out, enum session_kind kind, struct str query,
                               struct err *e);
void session_ask_deinit(struct session_ask *a);

/*
 * The websocket subprotocols of offered (a Sec-WebSocket-Protocol value) that a runtime's streaming
 * server speaks, as such a value; false when there is none. v5.channel.k8s.io is not among them: it
 * has a message that ends stdin, which v4 cannot say. kubectl then goes on with SPDY.
 */
bool session_ws_protocols(struct buf *out, enum session_kind kind, struct str offered);
