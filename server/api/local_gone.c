#include "server/api/local_gone.h"

#include "base/core/mem.h"
#include "base/core/rand.h"
#include "server/api/request.h"

#include <stdio.h>

#define ROOT           "/registry/"
#define RETRY_MS       1000
#define RESOURCE_BYTES 600 /* more than keys of any kind have for it */
#define NS_BYTES       64  /* a label of DNS */

struct local_gone {
    struct list link; /* api.feeds */
    struct api *api;
    local_gone_fn fn;
    void *arg;
    struct store_watch *sw;
    struct timer timer;
};

/* False: the key is of an object in no namespace. */
static bool place_of(char resource[RESOURCE_BYTES], char ns[NS_BYTES], struct str key)
{
    struct str rest = str_n(key.p + strlen(ROOT), key.n - strlen(ROOT)), group, plural, space;

    if (!str_cut(rest, '/', &group, &rest) || !str_cut(rest, '/', &plural, &rest) ||
        !str_cut(rest, '/', &space, &rest))
        return false;
    if (str_is(group, "core"))
        group = STR("");
    snprintf(resource, RESOURCE_BYTES, STR_FMT "%s" STR_FMT, STR_ARG(plural), group.n ? "." : "",
             STR_ARG(group));
    snprintf(ns, NS_BYTES, STR_FMT, STR_ARG(space));
    return true;
}

static bool tells_changes(struct str key)
{
    return str_starts(key, STR(ROOT "core/services/")) ||
           str_starts(key, STR(ROOT "core/persistentvolumeclaims/"));
}

static bool on_event(void *arg, const struct store_event *ev)
{
    struct local_gone *g = arg;
    char resource[RESOURCE_BYTES], ns[NS_BYTES];
    struct str key = store_obj_key(ev->now ? ev->now : ev->prev);

    if ((!ev->now || (ev->prev && tells_changes(key))) && place_of(resource, ns, key))
        g->fn(g->arg, resource, ns); /* last: it may stop us */
    return true;
}

static void on_end(void *arg, const struct err *e);

static void follow(struct local_gone *g)
{
    static const struct store_watch_events events = { on_event, NULL, on_end };

    store_watch_start(&g->sw, g->api->store, STR(ROOT), 0, &events, g);
}

static void on_retry(void *arg)
{
    struct local_gone *g = arg;

    follow(g);
    g->fn(g->arg, NULL, NULL); /* last */
}

static void on_end(void *arg, const struct err *e)
{
    struct local_gone *g = arg;

    g->sw = NULL;
    if (e->code != ERR_CANCELED) /* then the store closes */
        timer_start_ms(&g->timer, e->code == ERR_EXPIRED ? 1 : rand_jitter_ms(RETRY_MS, 20),
                       on_retry, g);
}

void local_gone_start(struct local_gone **out, struct api *a, local_gone_fn fn, void *arg)
{
    struct local_gone *g = mem_alloc(sizeof *g);

    g->api = a;
    g->fn = fn;
    g->arg = arg;
    timer_init(&g->timer, a->loop);
    list_push(&a->feeds, &g->link);
    *out = g;
    follow(g);
}

static void on_timer_closed(void *arg)
{
    struct local_gone *g = arg;

    list_remove(&g->link);
    free(g);
}

void local_gone_stop(struct local_gone *g)
{
    if (g->sw)
        store_watch_stop(g->sw);
    g->sw = NULL;
    timer_close(&g->timer, on_timer_closed, g);
}
