#include "base/kube/cause.h"

#include <errno.h>
#include <string.h>

const char *cause_name(enum cause c)
{
    static const char *const names[N_CAUSES] = { "",        "DNS",          "TCP",      "TLS",
                                                 "clock",   "token",        "password", "server",
                                                 "session", "config",       "local",    "protocol",
                                                 "lease",   "kubelet port", "node" };
    return (size_t)c < N_CAUSES ? names[c] : "";
}

enum cause cause_parse(struct str name)
{
    for (int c = CAUSE_NONE + 1; c < N_CAUSES; c++)
        if (str_is(name, cause_name((enum cause)c)))
            return (enum cause)c;
    return CAUSE_NONE;
}

const char *cause_advice(enum cause c)
{
    static const char *const advice[N_CAUSES] = {
        [CAUSE_DNS] = "check the name in --server and this machine's resolver",
        [CAUSE_TCP] = "check that the server runs and that nothing in between blocks its port",
        [CAUSE_TLS] = "check that --server is this cluster and that nothing in between ends TLS",
        [CAUSE_CLOCK] =
            "check this machine's clock: the server's certificate is not valid at its time",
        [CAUSE_TOKEN] = "take the token from <data>/server/agent-token on a server",
        [CAUSE_PASSWORD] = "on a server: kubectl delete node NAME, or start with --with-node-id",
        [CAUSE_BUSY] = "nothing to do: it is tried again",
        [CAUSE_SESSION] = "nothing to do: it is tried again",
        [CAUSE_CONFIG] = "the cluster asks for something that this version does not do",
        [CAUSE_LOCAL] = "check the disk and the folder's permissions",
        [CAUSE_KUBELET] = "check the agent on that node, and what filters its loopback",
        [CAUSE_NODE] = "restart the agent on that node: it registers again",
    };
    return (size_t)c < N_CAUSES && advice[c] ? advice[c] : "";
}

bool cause_is_clock(const char *text)
{
    return strstr(text, "not yet valid") || strstr(text, "has expired");
}

enum cause cause_of(const struct err *e, int http_status)
{
    switch (http_status) {
    case 0:
        break;
    case 401:
        return CAUSE_TOKEN;
    case 403:
        return strstr(e->text, "password") ? CAUSE_PASSWORD : CAUSE_TOKEN;
    case 429:
    case 500:
    case 502:
    case 503:
    case 504:
        return CAUSE_BUSY;
    default:
        return CAUSE_PROTOCOL;
    }
    if (cause_is_clock(e->text))
        return CAUSE_CLOCK;
    if (strstr(e->text, "resolve"))
        return CAUSE_DNS;
    if (strstr(e->text, "TLS") || strstr(e->text, "certificate"))
        return CAUSE_TLS;
    switch (e->code) {
    case ERR_NOT_FOUND:
        return CAUSE_DNS;
    case ERR_DENIED:
        return CAUSE_TLS;
    case ERR_PROTOCOL:
    case ERR_INVALID:
    case ERR_LIMIT:
        return CAUSE_PROTOCOL;
    default:
        return CAUSE_TCP;
    }
}
