#pragma once
/*
 * Crilog: container log files as CRI runtimes write them, turned into what the log endpoint sends.
 *
 *     2016-10-06T00:17:09.669794202Z stdout F the line\n
 *     time (RFC 3339, any precision)  |     P: goes on in the next line of this stream; F: whole
 *                               stdout|stderr          more tags may follow with ':'
 *
 * No I/O: bytes of the file in, bytes of the answer out, memory independent of the lines' length.
 * Lines that have not this form are left out and counted. Any thread, one at a time. Format:
 * kubernetes design-proposals kubelet-cri-logging; meaning of the options: v1.PodLogOptions.
 */
#include "base/core/buf.h"
#include "base/core/err.h"

#define CRILOG_HEAD_MAX_BYTES 128 /* time, stream and tags; real ones have 50 */

enum crilog_stream { CRILOG_STDOUT, CRILOG_STDERR, CRILOG_BOTH };

struct crilog_options {
    int64_t tail_lines;    /* lines of the file to begin with; -1: all */
    int64_t limit_bytes;   /* of the answer; -1: none */
    int64_t since_unix_us; /* earlier lines are left out; INT64_MIN: none are */
    bool follow, timestamps, previous;
    enum crilog_stream stream;
};

/* The options of a query string; others are ignored. ERR_INVALID names the parameter. */
MUST_USE int crilog_options_parse(struct crilog_options *out, struct str query, int64_t now_unix_us,
                                  struct err *e);

struct crilog {
    struct crilog_options options;
    int64_t left_bytes;
    enum { CRILOG_HEAD, CRILOG_TEXT, CRILOG_SKIP } state;
    char head[CRILOG_HEAD_MAX_BYTES];
    size_t n_head;
    bool is_partial;
    enum crilog_stream stream; /* of the line at hand */
    bool in_line[2];           /* the last of that stream was partial: no time before the rest */
    bool is_full;              /* limit_bytes is reached: nothing comes any more */
    uint64_t n_bad;
};

void crilog_init(struct crilog *l, const struct crilog_options *o);
/* Adds at most CRILOG_OUT_MAX_BYTES(n) to out. ERR_LIMIT: out has no room for that. */
#define CRILOG_OUT_MAX_BYTES(n) (2 * (n) + CRILOG_HEAD_MAX_BYTES)
MUST_USE int crilog_feed(struct crilog *l, const char *p, size_t n, struct buf *out);
/* Another file begins: what was read of an unfinished line is forgotten. */
void crilog_restart(struct crilog *l);

/*
 * Where the last lines begin: give blocks from the end of the file backwards. *n_left is
 * tail_lines + 1 at first; true when *start, an index into this block, is the place. When the
 * beginning of the file is reached without, all of it is wanted.
 */
bool crilog_tail_block(uint64_t *n_left, const char *p, size_t n, size_t *start);
