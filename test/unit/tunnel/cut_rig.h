#pragma once
/*
 * Cut rig: many tunnels to one tunnel server over loopback TLS, each through a fault proxy of its
 * own, with a stream of requests to a kubelet behind each, made as the API server makes them.
 *
 *   http_endpoint --> tunnel_server_dial ==> [TLS] ==> fault proxy ==> tunnel client --> kubelet
 *
 * Every line is cut, watched until it works again, and cut again. What was measured is kept as
 * lists of milliseconds; slowness of the machine is measured beside it, as the longest time that
 * the loop, which all of this shares, did not turn.
 */
#include "test/unit/tunnel/loop_rig.h"

#include "test/fault/cut.h"

#define REQUEST_MS 3000 /* deadline of a request */

struct sample { /* milliseconds */
    uint64_t *v;
    size_t n;
};
void sample_add(struct sample *s, uint64_t ms);
uint64_t sample_part(struct sample *s, unsigned per_mille); /* 990: p99; 1000: the longest */
void sample_print(struct sample *s, const char *what);
void sample_deinit(struct sample *s);

struct farm_config {
    size_t n_lines; /* every second one speaks remotedialer */
    size_t n_cuts;  /* of each line */
    uint64_t cut_max_ms, request_every_ms, seed;
};

struct farm_result {
    struct sample usable;         /* from the path being open to the first request that works */
    struct sample client, server; /* from the cut to the verdict on a silent peer */
    struct sample late;           /* requests: past their deadline */
    size_t n_cuts, n_undetected;  /* silent for longer than DETECT_MS, without a verdict */
    size_t n_requests, n_failed;  /* failed ones: most by their deadline, in a cut */
    uint64_t lag_ms;              /* the loop stood still for so long at most */
    long fds_before, fds_after;
    size_t heap_before, heap_after; /* bytes in use; 0 where it cannot be told */
};

#define DETECT_MS 10000

/* Runs all of it to its end; a line that does not come back within a minute fails the test. */
void farm_run(struct farm_result *out, const struct farm_config *c);
void farm_result_deinit(struct farm_result *r);
long count_fds(void);
