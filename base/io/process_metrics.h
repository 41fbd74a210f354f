#pragma once
/*
 * Process metrics: what this process uses, read from /proc, as Prometheus text with the names that
 * every Prometheus client uses (process_cpu_seconds_total, process_resident_memory_bytes,
 * process_virtual_memory_bytes, process_start_time_seconds, process_open_fds, process_max_fds).
 * What cannot be read is left out, and what does not fit into out. Any thread.
 */
#include "base/core/buf.h"

void process_metrics_write(struct buf *out);
