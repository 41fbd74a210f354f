#pragma once
/* Event TTL: how long an Event has still to live when it is first seen. Pure. */
#include <jansson.h>
#include <stdint.h>

#define EVENT_TTL_S 3600 /* --event-ttl of upstream's API server */

/* By its last occurrence, now being the wall clock: 0 to EVENT_TTL_S. Times of the future and
 * events without any count as new. */
int64_t event_ttl_left_s(const json_t *event, int64_t now_unix_s);
