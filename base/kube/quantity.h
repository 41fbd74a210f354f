#pragma once
/*
 * Quantity: an exact decimal with a suffix, as in "250m", "1.5Gi", "2e3"
 * (k8s.io/apimachinery/pkg/api/resource, "Quantity"). Values keep up to nine decimal places
 * (rounded away from zero); a magnitude past 2^63-1 is capped to it, like upstream. Any thread.
 */
#include "base/core/err.h"
#include "base/core/str.h"

enum quantity_format { QUANTITY_DECIMAL_SI, QUANTITY_BINARY_SI, QUANTITY_DECIMAL_EXPONENT };

struct quantity {
    __extension__ __int128 nano; /* value * 10^9 */
    enum quantity_format format;
};

/* ERR_INVALID with upstream's sentence ("quantities must match the regular expression ..."). */
MUST_USE int quantity_parse(struct quantity *out, struct str text, struct err *e);
/* Canonical: no fraction, the largest suffix that keeps it so. */
#define QUANTITY_TEXT_MAX 64
void quantity_print(char out[QUANTITY_TEXT_MAX], const struct quantity *q);
int quantity_cmp(const struct quantity *a, const struct quantity *b); /* <0, 0, >0 */
/* Results that do not fit are capped. */
struct quantity quantity_add(struct quantity a, const struct quantity *b);
struct quantity quantity_sub(struct quantity a, const struct quantity *b);
int64_t quantity_value(const struct quantity *q);       /* rounded up to whole units */
int64_t quantity_milli_value(const struct quantity *q); /* rounded up to thousandths */
/* Away from zero, to a thousandth. False: it was one already. */
bool quantity_round_milli(struct quantity *q);
struct quantity quantity_of(int64_t units, enum quantity_format format);
