#pragma once
/*
 * Cause: why a node is not where it should be, in one word: `agent status` and `node why` show it,
 * logs carry it, advice hangs on it, and agents tell it their servers (base/kube/node_report.h), so
 * a name once given stays. Derived from errors of the layers below; pure.
 */
#include "base/core/err.h"
#include "base/core/str.h"

enum cause {
    CAUSE_NONE,
    CAUSE_DNS,      /* the server's name does not resolve */
    CAUSE_TCP,      /* no connection: refused, unreachable, silent */
    CAUSE_TLS,      /* the certificate is not of this cluster, or the handshake fails */
    CAUSE_CLOCK,    /* the certificate is not valid at this machine's time */
    CAUSE_TOKEN,    /* missing, malformed, wrong, expired, or of another cluster */
    CAUSE_PASSWORD, /* the node password is not the one that this name joined with */
    CAUSE_BUSY,     /* the server is starting or asks for patience */
    CAUSE_SESSION,  /* the tunnel */
    CAUSE_CONFIG,   /* the cluster asks for something that we do not do */
    CAUSE_LOCAL,    /* files, disk */
    CAUSE_PROTOCOL, /* an answer that makes no sense */
    CAUSE_LEASE,    /* the node's lease is not renewed */
    CAUSE_KUBELET,  /* the kubelet port of the node does not answer */
    CAUSE_NODE,     /* the Node object: deleted, or not made yet */
    N_CAUSES,
};

const char *cause_name(enum cause c); /* "DNS", "TCP", ...; "" for NONE */
/* The cause of that name; CAUSE_NONE when there is none. */
enum cause cause_parse(struct str name);
/* What a person can do about it; "" where there is nothing to say. */
const char *cause_advice(enum cause c);

/* Of a failed dial, handshake or exchange. http_status: of the answer, 0 when none came. */
enum cause cause_of(const struct err *e, int http_status);
/* "certificate is not yet valid", "certificate has expired": OpenSSL's words for a wrong clock. */
bool cause_is_clock(const char *text);
