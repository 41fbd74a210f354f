#pragma once
/*
 * Node report: what an agent tells a server about the times when it was away: the body of POST
 * /v1-coracle/report (docs/protocols/node-why.md). Both ends use this module. Sans-I/O, any thread.
 *
 * Ages instead of times: an agent without a clock chip does not know what time it was, but it knows
 * how long ago. The one wall time in it is the agent's now, so that the server can tell how far its
 * clock is off.
 */
#include "base/core/buf.h"
#include "base/core/err.h"
#include "base/kube/cause.h"

#define NODE_REPORT_MAX_BYTES  (16 * 1024) /* of the body: some twice what we ever write */
#define NODE_REPORT_SPELLS_MAX 20
#define NODE_REPORT_RUN_BYTES  17 /* an agent process: 16 hex digits and '\0' */
#define NODE_SPELL_TEXT_BYTES  200
#define NODE_REPORT_AGE_MAX_MS (UINT64_C(10) * 366 * 86400 * 1000) /* ten years */

struct node_spell { /* a time during which one thing was wrong in one way */
    enum cause cause;
    uint64_t began_ago_ms;
    uint64_t lasted_ms;               /* so far, when ongoing */
    bool ongoing;                     /* still wrong at the agent's now */
    uint32_t n_times;                 /* attempts that failed so; at least 1 */
    char text[NODE_SPELL_TEXT_BYTES]; /* for people; no control characters */
};

struct node_report {
    char run[NODE_REPORT_RUN_BYTES]; /* which life of the agent: its spells replace what was told
                                      * before in the same life */
    int64_t now_unix_s;              /* the machine's own clock, when this was written */
    size_t n_spells;
    struct node_spell spells[NODE_REPORT_SPELLS_MAX]; /* oldest first */
};

/* ERR_LIMIT past out's maximum. */
MUST_USE int node_report_write(struct buf *out, const struct node_report *r);
/* ERR_INVALID names what is wrong, ERR_LIMIT: too many spells or too long. Spells whose cause is
 * not known here (a newer agent) are left out; texts are cut and cleaned. */
MUST_USE int node_report_parse(struct node_report *out, struct str body, struct err *e);

/* Copies text for a terminal: control characters (C0, DEL, C1) become '?', a UTF-8 sequence that
 * does not fit is left out whole. */
void node_text_clean(char *out, size_t n_bytes, struct str text);
