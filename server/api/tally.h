#pragma once
/*
 * Tally: what was asked, how long it took and how much was sent, as Prometheus text with the
 * names and labels of upstream (apiserver/pkg/endpoints/metrics/metrics.go), so that its dashboards
 * and alerts work. A series is made when it is first counted; past TALLY_SERIES_MAX new ones
 * share the resource "other", so no client can make it grow. Sans-I/O. Loop thread only.
 */
#include "base/core/buf.h"

struct tally;

#define TALLY_SERIES_MAX 1500

struct tally_request { /* labels as upstream has them; all borrowed */
    const char *verb;  /* "GET", "LIST", "POST", "APPLY", ... */
    const char *group, *version, *resource, *subresource;
    const char *scope; /* "resource", "namespace", "cluster", "" */
    bool dry_run;
    bool is_long; /* a watch or a stream: its length is no latency */
};

struct tally *tally_new(void);
void tally_free(struct tally *m);
void tally_count(struct tally *m, const struct tally_request *r, int code, uint64_t took_ns,
                 uint64_t sent_bytes);
void tally_watch_event(struct tally *m, const char *group, const char *version, const char *kind,
                       size_t bytes);
/* All of the above. What does not fit is left out. */
void tally_write(const struct tally *m, struct buf *b);

/* `verb="LIST",group="",...`, the labels that long-running requests have too. ERR_LIMIT. */
MUST_USE int tally_labels(struct buf *b, const struct tally_request *r);
/* The lines before a metric's first value. */
void tally_head(struct buf *b, const char *name, const char *type, const char *help);
