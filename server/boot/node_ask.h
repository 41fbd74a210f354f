#pragma once
/*
 * Node ask: the asking end of `coracle node why`: one question to a server's /v1-coracle/why, with
 * the certificate of an admin's kubeconfig, and the answer as text (docs/protocols/node-why.md).
 * Blocks, on a loop of its own.
 */
#include "base/core/buf.h"
#include "base/core/err.h"

#include <jansson.h>

#define NODE_ASK_MAX_BYTES (32 * 1024 * 1024) /* a line for each of 8192 nodes */

struct node_ask {
    const char *kubeconfig; /* path */
    const char *server;     /* "https://host:port"; NULL: that of the kubeconfig */
    const char *node;       /* NULL: all */
    bool as_json;
};

/* Appends the answer to out. ERR_NOT_FOUND: nobody knows that node, in the server's words; or the
 * server has no such path. */
MUST_USE int node_ask(const struct node_ask *q, struct buf *out, struct err *e);

/* Sans-I/O: a document of /v1-coracle/why for people. ERR_LIMIT past out's maximum. */
MUST_USE int node_ask_text(struct buf *out, const json_t *doc);
