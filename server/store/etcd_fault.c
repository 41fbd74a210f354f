#include "server/store/etcd_fault.h"

#include <stdio.h>
#include <string.h>

/* Part of the text decides: gRPC's codes are too few, and etcd uses them loosely. */
static const struct {
    const char *part;
    enum etcd_fate fate;
    enum err_code code;
    bool token;
    const char *advice;
} faults[] = {
    { "request is too large", ETCD_REFUSED, ERR_LIMIT, false,
      "etcd takes no larger requests: its --max-request-bytes" },
    { "received message larger than max", ETCD_REFUSED, ERR_LIMIT, false,
      "etcd takes no larger requests: its --max-request-bytes" },
    { "too many operations in txn", ETCD_REFUSED, ERR_LIMIT, false,
      "etcd takes no more at once: its --max-txn-ops" },
    { "database space exceeded", ETCD_REFUSED, ERR_LIMIT, false,
      "etcd is full: compact and defragment it or raise its quota, then disarm the alarm" },
    { "has been compacted", ETCD_REFUSED, ERR_EXPIRED, false, NULL },
    { "is a future revision", ETCD_REFUSED, ERR_INVALID, false, NULL },
    { "user name is empty", ETCD_REFUSED, ERR_DENIED, false,
      "etcd asks who we are: a client certificate, or http://user:password@host" },
    { "permission denied", ETCD_REFUSED, ERR_DENIED, false, NULL },
    { "invalid auth token", ETCD_NOT_DONE, ERR_AGAIN, true, NULL },
    { "revision of auth store is old", ETCD_NOT_DONE, ERR_AGAIN, true, NULL },
    { "too many requests", ETCD_NOT_DONE, ERR_AGAIN, false, NULL },
    { "no leader", ETCD_NOT_DONE, ERR_CLOSED, false, NULL },
    { "not supported for learner", ETCD_NOT_DONE, ERR_CLOSED, false, NULL },
};

struct etcd_fault etcd_fault_of(struct err *e)
{
    char text[sizeof e->text];

    for (size_t i = 0; i < ARRAY_LEN(faults); i++) {
        if (!strstr(e->text, faults[i].part))
            continue;
        e->code = faults[i].code;
        if (faults[i].advice) {
            snprintf(text, sizeof text, "%s", e->text);
            err_set(e, faults[i].code, "%s (%s)", text, faults[i].advice);
        }
        return (struct etcd_fault){ faults[i].fate, faults[i].token };
    }
    switch (e->code) {
    case ERR_INVALID: /* etcd said so, or our own side did before anything was sent */
    case ERR_NOT_FOUND:
    case ERR_EXISTS:
    case ERR_DENIED:
        return (struct etcd_fault){ .fate = ETCD_REFUSED };
    case ERR_LIMIT: /* etcd's own; ours may be about the answer */
        if (strstr(e->text, "RESOURCE_EXHAUSTED"))
            return (struct etcd_fault){ .fate = ETCD_REFUSED };
        break;
    case ERR_AGAIN: /* UNAVAILABLE is what etcd says for a request that timed out inside, too */
        e->code = ERR_CLOSED;
        break;
    default:
        break;
    }
    return (struct etcd_fault){ .fate = ETCD_UNKNOWN };
}
