#include "agent/stream/session_ask.h"

#include "base/core/mem.h"
#include "base/http/url.h"

/* ---- path ---- */

static int part(char out[SESSION_NAME_MAX_BYTES + 1], struct str *rest, struct err *e)
{
    auto_buf b = BUF(SESSION_NAME_MAX_BYTES);
    struct str head;

    str_cut(*rest, '/', &head, rest);
    if (url_decode(&b, head) || !b.n || memchr(b.p, '/', b.n) || memchr(b.p, '\0', b.n))
        return err_set(e, ERR_INVALID, "\"" STR_FMT "\" in the path is not a name",
                       STR_ARG(str_n(head.p, MIN(head.n, (size_t)64))));
    memcpy(out, b.p, b.n);
    out[b.n] = '\0';
    return 0;
}

int session_path_parse(struct session_path *out, struct str path, struct err *e)
{
    static const struct {
        const char *name;
        enum session_kind kind;
        unsigned n_min, n_max; /* parts behind the name */
    } kinds[] = {
        { "containerLogs", SESSION_LOGS, 3, 3 },
        { "exec", SESSION_EXEC, 3, 4 },
        { "attach", SESSION_ATTACH, 3, 4 },
        { "portForward", SESSION_PORT_FORWARD, 2, 3 },
    };
    struct session_path p = { 0 };
    struct str name, rest = path;
    unsigned n = 1;

    if (!str_starts(path, STR("/")))
        return err_set(e, ERR_NOT_FOUND, "no such path");
    str_cut(str_n(path.p + 1, path.n - 1), '/', &name, &rest);
    for (size_t i = 0; i < rest.n; i++)
        n += rest.p[i] == '/';
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        if (!str_is(name, kinds[i].name) || n < kinds[i].n_min || n > kinds[i].n_max)
            continue;
        p.kind = kinds[i].kind;
        if (part(p.ns, &rest, e) || part(p.pod, &rest, e))
            return e->code;
        if (n == kinds[i].n_max && p.kind != SESSION_LOGS && part(p.uid, &rest, e))
            return e->code;
        if (p.kind != SESSION_PORT_FORWARD && part(p.container, &rest, e))
            return e->code;
        *out = p;
        return 0;
    }
    return err_set(e, ERR_NOT_FOUND, "no such path");
}

/* ---- query ---- */

static int add_arg(struct session_ask *a, struct str value, struct err *e)
{
    auto_buf b = BUF(URL_MAX_BYTES);

    if (a->n_argv == SESSION_ARGS_MAX)
        return err_set(e, ERR_INVALID, "the command has more than %d words", SESSION_ARGS_MAX);
    if (url_decode_query(&b, value))
        return err_set(e, ERR_INVALID, "word %zu of the command is malformed", a->n_argv + 1);
    if (!a->argv)
        a->argv = mem_calloc(SESSION_ARGS_MAX + 1, sizeof *a->argv);
    a->argv[a->n_argv++] = mem_strdup(buf_cstr(&b));
    return 0;
}

static int add_ports(struct session_ask *a, struct str value, struct err *e)
{
    auto_buf b = BUF(1024);
    struct str port, rest;
    uint64_t n;

    if (url_decode_query(&b, value))
        return err_set(e, ERR_INVALID, "query parameter \"port\" is malformed");
    for (rest = buf_str(&b); rest.n;) {
        str_cut(rest, ',', &port, &rest);
        if (!str_to_u64(port, &n) || n > 65535)
            return err_set(e, ERR_INVALID, "unable to parse \"" STR_FMT "\" as a port",
                           STR_ARG(port));
        if (n == 0)
            return err_set(e, ERR_INVALID, "port \"" STR_FMT "\" must be > 0", STR_ARG(port));
        if (a->n_ports == SESSION_PORTS_MAX)
            return err_set(e, ERR_INVALID, "more than %d ports", SESSION_PORTS_MAX);
        a->ports[a->n_ports++] = (int32_t)n;
    }
    return 0;
}

static int ask_parse(struct session_ask *a, struct str query, struct err *e)
{
    struct str name, value;

    for (struct str rest = query; url_query_next(&rest, &name, &value);) {
        bool on = str_is(value, "1");

        if (a->kind == SESSION_PORT_FORWARD) {
            if (str_is(name, "port") && add_ports(a, value, e))
                return e->code;
        } else if (str_is(name, "command")) {
            if (a->kind == SESSION_EXEC && add_arg(a, value, e))
                return e->code;
        } else if (str_is(name, "input")) {
            a->in = on;
        } else if (str_is(name, "output")) {
            a->out = on;
        } else if (str_is(name, "error")) {
            a->err = on;
        } else if (str_is(name, "tty")) {
            a->tty = on;
        }
    }
    if (a->kind == SESSION_PORT_FORWARD)
        return 0;
    if (a->tty && a->kind == SESSION_EXEC)
        a->err = false; /* a terminal has one output */
    if (!a->in && !a->out && !a->err)
        return err_set(e, ERR_INVALID, "you must specify at least 1 of stdin, stdout, stderr");
    if (a->kind == SESSION_EXEC && !a->n_argv)
        return err_set(e, ERR_INVALID, "you must specify a command");
    return 0;
}

int session_ask_parse(struct session_ask *out, enum session_kind kind, struct str query,
                      struct err *e)
{
    struct session_ask a = { .kind = kind };

    if (ask_parse(&a, query, e)) {
        session_ask_deinit(&a);
        return e->code;
    }
    *out = a;
    return 0;
}

void session_ask_deinit(struct session_ask *a)
{
    for (size_t i = 0; i < a->n_argv; i++)
        free(a->argv[i]);
    free(a->argv);
    *a = (struct session_ask){ 0 };
}

/* ---- websocket ---- */

bool session_ws_protocols(struct buf *out, enum session_kind kind, struct str offered)
{
    static const char *const of_commands[] = { "v4.channel.k8s.io", "v4.base64.channel.k8s.io",
                                               "channel.k8s.io", "base64.channel.k8s.io", NULL };
    static const char *const of_ports[] = { "v4.channel.k8s.io", "v4.base64.channel.k8s.io", NULL };
    const char *const *known = kind == SESSION_PORT_FORWARD ? of_ports : of_commands;
    struct str token;
    bool any = false;

    while (offered.n) {
        str_cut(offered, ',', &token, &offered);
        token = str_trim(token);
        for (size_t i = 0; known[i]; i++) {
            if (!str_is(token, known[i]))
                continue;
            if ((any && buf_adds(out, ", ")) || buf_add_str(out, token))
                return any; /* it is long enough to begin with */
            any = true;
        }
    }
    return any;
}
