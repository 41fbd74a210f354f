#include "agent/stream/crilog.h"
#include "agent/stream/session_ask.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const unsigned char *p, size_t n);

/* A request target of the kubelet's port, and the same bytes as websocket subprotocols. */
int LLVMFuzzerTestOneInput(const unsigned char *p, size_t n)
{
    static const enum session_kind kinds[] = { SESSION_EXEC, SESSION_ATTACH, SESSION_PORT_FORWARD };
    struct str path, query, in = str_n(p, n);
    struct crilog_options o;
    struct session_path where;
    auto_buf ws = BUF(1024);
    struct err e;

    str_cut(in, '?', &path, &query);
    if (session_path_parse(&where, path, &e) == 0 &&
        (!*where.ns || !*where.pod || (where.kind != SESSION_PORT_FORWARD && !*where.container)))
        abort();
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        struct session_ask a;

        if (session_ask_parse(&a, kinds[i], query, &e))
            continue;
        if (a.n_argv > SESSION_ARGS_MAX || a.n_ports > SESSION_PORTS_MAX ||
            (kinds[i] == SESSION_EXEC && (!a.n_argv || a.argv[a.n_argv])))
            abort();
        for (size_t k = 0; k < a.n_ports; k++)
            if (a.ports[k] < 1 || a.ports[k] > 65535)
                abort();
        session_ask_deinit(&a);
    }
    if (crilog_options_parse(&o, query, 1700000000000000, &e) == 0 &&
        (o.tail_lines < -1 || o.limit_bytes < -1 || o.limit_bytes == 0))
        abort();
    if (session_ws_protocols(&ws, SESSION_EXEC, in) != (ws.n > 0))
        abort();
    return 0;
}
