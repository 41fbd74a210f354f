#include "agent/boot/refusal.h"

#include "base/core/mem.h"
#include "base/data/json.h"

#include <stdio.h>

void refusal_words(char out[REFUSAL_WORDS_BYTES], struct str body)
{
    json_auto_t *doc = NULL;
    struct err e;

    if (json_parse(&doc, body, &e) == 0 && json_str_at(doc, "message", NULL))
        snprintf(out, REFUSAL_WORDS_BYTES, "%s", json_str_at(doc, "message", ""));
    else
        snprintf(out, REFUSAL_WORDS_BYTES, STR_FMT,
                 STR_ARG(str_trim(str_n(body.p, MIN(body.n, (size_t)200)))));
}

enum cause refusal_read(char out[REFUSAL_TEXT_BYTES], const struct refusal *r)
{
    char message[REFUSAL_WORDS_BYTES];
    struct err e;
    enum cause c;

    snprintf(message, sizeof message, "%s", r->words);
    err_set(&e, ERR_DENIED, "%.200s", message);
    c = cause_of(&e, r->status);
    if (r->status == 403 && r->names_node) {
        c = CAUSE_PASSWORD;
        if (!message[0]) /* servers of 2021 say nothing */
            snprintf(message, sizeof message,
                     "node password rejected: another machine has joined by this name, or "
                     "%.160s/password was lost",
                     r->node_dir);
    }
    if (c == CAUSE_TOKEN && r->reviving)
        snprintf(out, REFUSAL_TEXT_BYTES,
                 "this node's certificate has expired, the server does not renew it (%.200s), and "
                 "%s: a token is needed",
                 message, r->has_token ? "it refuses the token" : "no token was given");
    else if (c == CAUSE_TOKEN && !r->has_token)
        snprintf(out, REFUSAL_TEXT_BYTES,
                 "the server refuses this node's certificate and no token was given: %s", message);
    else if (c == CAUSE_TOKEN && r->status == 401 && r->is_bootstrap)
        snprintf(
            out, REFUSAL_TEXT_BYTES,
            "the server refuses the token: the bootstrap token is not known there or has expired "
            "(%s)",
            message);
    else if (c == CAUSE_TOKEN)
        snprintf(out, REFUSAL_TEXT_BYTES, "the server refuses the token: %s",
                 message[0]         ? message
                 : r->status == 401 ? "Unauthorized"
                                    : "Forbidden");
    else
        snprintf(out, REFUSAL_TEXT_BYTES, "%s%s(HTTP %d)", message, message[0] ? " " : "",
                 r->status);
    return c;
}
