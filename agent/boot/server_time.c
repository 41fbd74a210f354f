#include "agent/boot/server_time.h"

#include "base/core/clock.h"
#include "base/core/macros.h"

#include <stdlib.h>

/* A server without a battery may come back this much earlier than it was: it keeps its time hourly.
 */
#define FLOOR_SLACK_S (2 * 3600)

static bool agree(int64_t a, int64_t b)
{
    return llabs(a - b) <= CLOCK_SLACK_S;
}

enum server_time_verdict server_time_judge(const struct server_time_word *w)
{
    int64_t said = w->server_unix_s;
    bool ours_fits = w->from_unix_s <= w->now_unix_s && w->now_unix_s <= w->until_unix_s;

    if (said < w->from_unix_s || said > w->until_unix_s)
        return SERVER_TIME_OWN_CERT;
    if (agree(said, w->now_unix_s))
        return SERVER_TIME_AGREES;
    if (ours_fits && w->synced)
        return SERVER_TIME_AGREES;
    if (agree(said, w->machine_unix_s))
        return SERVER_TIME_MACHINE; /* what we were told or kept was wrong */
    if (said > w->now_unix_s)
        return SERVER_TIME_TAKE; /* this only makes more certificates expire */
    if (said < w->floor_unix_s)
        return SERVER_TIME_FLOOR;
    return w->synced ? SERVER_TIME_SYNCED : SERVER_TIME_TAKE;
}

const char *server_time_why(enum server_time_verdict v)
{
    static const char *const why[] = {
        [SERVER_TIME_OWN_CERT] = "the server's certificate is not valid at the server's own time",
        [SERVER_TIME_FLOOR] = "the server's time is before what servers said already",
        [SERVER_TIME_SYNCED] = "a time service keeps this machine's clock: the certificate is old",
    };

    return (unsigned)v < ARRAY_LEN(why) && why[v] ? why[v] : "";
}

int64_t server_time_floor_s(int64_t server_unix_s, int64_t machine_unix_s)
{
    return MIN(server_unix_s, machine_unix_s) - FLOOR_SLACK_S;
}
