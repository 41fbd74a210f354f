#include "agent/stream/source.h"

#include "agent/stream/port_impl.h"

static int url(struct runtime *r, const char *id, const struct session_ask *ask,
               struct cri_call **call, cri_text_fn done, void *done_arg, struct err *e)
{
    struct cri *cri = runtime_cri(r);
    struct cri_stream_options o = {
        .tty = ask->tty, .in = ask->in, .out = ask->out, .err = ask->err
    };

    if (!cri)
        return err_set(e, ERR_AGAIN, "container runtime is not running: %s", runtime_why(r));
    if (ask->kind == SESSION_PORT_FORWARD)
        *call = cri_port_forward(cri, id, ask->ports, ask->n_ports, done, done_arg);
    else if (ask->kind == SESSION_ATTACH)
        *call = cri_attach(cri, id, o, done, done_arg);
    else
        *call = cri_exec(cri, id, (const char *const *)ask->argv, ask->n_argv, o, done, done_arg);
    return 0;
}

int port_new(struct port **out, const struct port_config *c, struct err *e)
{
    static const struct source source = {
        .container = pods_container,
        .sandbox = pods_sandbox,
        .list = pods_list_json,
        .url = url,
        .cancel = cri_cancel,
    };

    return port_new_from(out, c, &source, e);
}
