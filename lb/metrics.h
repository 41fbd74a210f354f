#pragma once
/*
 * Metrics of balancers in the Prometheus text format, with K3s's names: connections and state of
 * each server, and how long dials took. Loop thread only.
 */
#include "lb/balancer.h"

MUST_USE int lb_metrics_add(struct buf *out, const struct balancer *const *balancers, size_t n);
