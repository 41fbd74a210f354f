#pragma once
/*
 * Job indexes: the text "1,3-5,7" in which a Job names indexes, rising and below completions
 * (pkg/apis/batch/validation, validateIndexesFormat). Any thread.
 */
#include "base/core/err.h"

#include <stdint.h>

/* How many they are. ERR_INVALID in upstream's words. */
MUST_USE int job_indexes_count(int64_t *out, const char *text, int64_t completions, struct err *e);
/* The first index that is in both; -1: none. Parts that are wrong are passed over. */
int64_t job_indexes_overlap(const char *a, const char *b, int64_t completions);
