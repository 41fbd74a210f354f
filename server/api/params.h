#pragma once
/*
 * Params: the query parameters of API requests (meta/v1 ListOptions, GetOptions, DeleteOptions,
 * CreateOptions, PatchOptions), decoded and typed. Unknown ones are ignored, of those that come
 * twice the first counts (apimachinery/pkg/runtime/conversion.go). What a value may be depends on
 * the verb: server/api/options.h asks that. Sans-I/O. Any thread.
 */
#include "base/core/buf.h"
#include "base/core/err.h"
#include "base/core/str.h"

struct params {
    bool watch, allow_watch_bookmarks, force;
    bool has_pretty, pretty;
    bool has_send_initial_events, send_initial_events;
    bool has_force;
    bool dry_run;              /* dryRun is there */
    bool has_resource_version; /* given and not "" */
    int64_t resource_version;  /* 0: "0", absent or none */
    int64_t limit;             /* 0: none; never negative */
    bool has_timeout;          /* timeoutSeconds is there and not 0 */
    int64_t timeout_s;         /* below 0: over at once */
    int64_t grace_period_s;    /* -1: absent */
    const char *continue_;     /* texts: "" when absent; they live in text */
    const char *resource_version_match;
    const char *label_selector, *field_selector;
    const char *propagation_policy;
    const char *field_manager, *field_validation;
    const char *include_object;
    int64_t deadline_ms; /* timeout, "10s": how long the client waits for the answer; 0: not said */

    /* What is wrong, in upstream's words; "" if nothing is. */
    const char *bad_resource_version; /* the text that is none ... */
    const char *bad_resource_why;     /* ... "invalid syntax", "value out of range" */
    const char *bad_dry_run;          /* NULL: fine; "" is a wrong value too */
    char bad_list[128], bad_delete[128], bad_timeout[128];
    struct buf text;
};

/* ERR_INVALID: a broken escape; the text names the parameter. */
MUST_USE int params_parse(struct params *out, struct str query, struct err *e);
void params_deinit(struct params *p);

/* A time as Go writes it: "1h30m", "1.5s", "300ms", "-2s", "0". False: it is none. */
MUST_USE bool params_duration_ms(int64_t *out, struct str text);
