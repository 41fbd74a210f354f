#pragma once
/*
 * Params: the query parameters of API requests (meta/v1 ListOptions, GetOptions, DeleteOptions,
 * CreateOptions, PatchOptions), decoded and typed. Unknown ones are ignored, as upstream does.
 * Sans-I/O. Any thread.
 */
#include "base/core/buf.h"
#include "base/core/err.h"
#include "base/core/str.h"

struct params {
    bool watch, allow_watch_bookmarks, pretty, force;
    bool has_send_initial_events, send_initial_events;
    bool has_force;
    bool dry_run;              /* dryRun=All */
    bool has_resource_version; /* given and not "" */
    int64_t resource_version;  /* 0: "0" or absent */
    int64_t limit;             /* 0: none */
    int64_t timeout_s;         /* timeoutSeconds; 0: none */
    int64_t grace_period_s;    /* -1: absent */
    const char *continue_;     /* texts: "" when absent; they live in text */
    const char *resource_version_match;
    const char *label_selector, *field_selector;
    const char *propagation_policy;
    const char *field_manager, *field_validation;
    const char *include_object;
    const char *timeout; /* "10s": how long the client waits; only read, never enforced */
    struct buf text;
};

/* ERR_INVALID names the parameter. */
MUST_USE int params_parse(struct params *out, struct str query, struct err *e);
void params_deinit(struct params *p);
