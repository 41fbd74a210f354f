#pragma once
/*
 * Cron: when something is due, from an expression of five fields as K3s reads it (robfig/cron v3,
 * standard parser): minute, hour, day of month, month, day of week, each "*" or a list of numbers,
 * names and ranges with steps; or @yearly, @monthly, @weekly, @daily, @hourly, @every <duration>.
 * A day counts when either day field names it, unless one of them is "*" (a star
 * with a wider step names days). Local time; a zone in the text (TZ=...) is refused. Any thread.
 */
#include "base/core/err.h"
#include "base/core/str.h"

#include <stdint.h>

struct cron { /* bit n: n is named */
    uint64_t minutes;
    uint32_t hours, month_days;
    uint16_t months;
    uint8_t week_days; /* 0: Sunday */
    bool any_month_day, any_week_day;
    int64_t every_s; /* @every; 0: the fields count */
};

/* ERR_INVALID in that parser's words, which the API server answers. */
MUST_USE int cron_parse(struct cron *out, struct str text, struct err *e);
/* The first moment behind unix_s; -1: there is none within five years (30 February). */
int64_t cron_next(const struct cron *c, int64_t unix_s);
