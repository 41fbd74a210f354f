#pragma once
/*
 * IntOrString: a count or a percentage of a total ("25%"), k8s.io/apimachinery pkg/util/intstr.
 * Any thread.
 */
#include "base/core/err.h"

#include <jansson.h>
#include <stdint.h>

/* An integer in range of int32, or a string. */
bool intorstring_valid(const json_t *v);
/* The count, or the percentage of total. ERR_INVALID: neither. */
MUST_USE int intorstring_scale(int64_t *out, const json_t *v, int64_t total, bool round_up,
                               struct err *e);
