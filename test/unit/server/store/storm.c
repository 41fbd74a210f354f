#include "test/unit/server/store/storm.h"

#include "base/core/mem.h"

#include <inttypes.h>
#include <stdio.h>

void storm_key(char out[16], int key)
{
    snprintf(out, 16, "/k/%02d", key);
}

static uint64_t random_next(struct storm *st)
{
    st->random = st->random * 6364136223846793005u + 1442695040888963407u;
    return st->random >> 33;
}

/* ---- clients ---- */

static void client_write(struct storm_client *c);

static void on_written(void *arg, int64_t rev, size_t failed, struct store_obj *current,
                       const struct err *e)
{
    struct storm_client *c = arg;
    struct storm_note n = { .what = STORM_ACKED, .key = c->key, .rev = rev };
    (void)failed;

    c->waits = false;
    if (!e) {
        c->live = c->kind != STORE_DELETE;
    } else if (e->code == ERR_EXISTS || e->code == ERR_NOT_FOUND) {
        n.what = STORM_REFUSED;
        c->live = current != NULL;
    } else {
        c->lost = true;
        if (e->code != ERR_CLOSED) /* it may have happened: a client would not know either */
            return;
        n.what = STORM_REFUSED;
    }
    c->storm->note(c->storm->arg, &n);
    if (!c->storm->stopping && !c->lost)
        client_write(c);
}

static void client_write(struct storm_client *c)
{
    struct storm *st = c->storm;
    bool lease = c->key % 4 == 0;
    char key[16], value[64];
    struct storm_note n = { .what = STORM_BEGIN, .key = c->key };
    struct store_op op = { .ephemeral = lease };

    c->kind = !c->live ? STORE_CREATE : random_next(st) % 5 == 0 ? STORE_DELETE : STORE_UPDATE;
    storm_key(key, c->key);
    if (c->kind != STORE_DELETE) {
        n.value = (uint64_t)st->boot << 32 | ++st->n_values;
        snprintf(value, sizeof value, "%" PRIu64, n.value);
        op.value = str_of(value);
    }
    n.soft = lease && c->kind == STORE_UPDATE && !st->hard;
    st->note(st->arg, &n);
    op.kind = c->kind;
    op.key = str_of(key);
    c->waits = true;
    store_commit(st->s, &op, 1, on_written, c);
}

/* What is there now goes into the history, and the client goes on from it. */
static void on_looked(void *arg, struct store_obj *o, int64_t rev, const struct err *e)
{
    struct storm_client *c = arg;
    struct storm_note n = { .what = STORM_READ, .key = c->key };
    (void)rev;

    c->waits = false;
    if (e && e->code != ERR_NOT_FOUND)
        return; /* at the next poke */
    c->live = o != NULL;
    c->lost = false;
    n.value = o ? strtoull(o->value, NULL, 10) : 0;
    n.rev = o ? o->mod_rev : 0;
    c->storm->note(c->storm->arg, &n);
    if (!c->storm->stopping)
        client_write(c);
}

static void client_look(struct storm_client *c)
{
    char key[16];

    storm_key(key, c->key);
    c->waits = true;
    store_get(c->storm->s, str_of(key), on_looked, c);
}

/* ---- watches ---- */

static void watch_begin(struct storm_watch *w, int64_t from);

static bool on_event(void *arg, const struct store_event *ev)
{
    struct storm_watch *w = arg;
    const struct store_obj *o = ev->now ? ev->now : ev->prev;
    struct storm_note n = { .what = STORM_EVENT, .watch = w->i, .rev = ev->rev };

    n.key = atoi(o->key + 3);
    n.value = ev->now ? strtoull(ev->now->value, NULL, 10) : 0;
    w->seen = ev->rev;
    w->storm->note(w->storm->arg, &n);
    return true;
}

static void on_progress(void *arg, int64_t rev)
{
    struct storm_watch *w = arg;
    struct storm_note n = { .what = STORM_SEEN, .watch = w->i, .rev = rev };

    w->seen = rev;
    w->storm->note(w->storm->arg, &n);
}

static void on_end(void *arg, const struct err *e)
{
    struct storm_watch *w = arg;

    w->w = NULL;
    w->expired = e->code == ERR_EXPIRED;
    if (w->expired && !w->storm->stubborn) /* compacted meanwhile: a client lists and goes on */
        watch_begin(w, 0);
}

static void watch_begin(struct storm_watch *w, int64_t from)
{
    static const struct store_watch_events events = { on_event, on_progress, on_end };
    struct storm_note n = { .what = STORM_WATCH, .watch = w->i };

    n.rev = from ? from : store_revision(w->storm->s);
    w->seen = n.rev;
    w->storm->note(w->storm->arg, &n);
    store_watch_start(&w->w, w->storm->s, STR("/k/"), n.rev, &events, w);
}

void storm_start(struct storm *st, struct store *s, unsigned boot,
                 const int64_t from[STORM_WATCHES], storm_note_fn note, void *arg)
{
    *st = (struct storm){ .s = s,
                          .note = note,
                          .arg = arg,
                          .boot = boot + 1,
                          .random = boot,
                          .hard = st->hard,
                          .stubborn = st->stubborn };
    for (int i = 0; i < STORM_WATCHES; i++) {
        st->watches[i] = (struct storm_watch){ .storm = st, .i = i };
        watch_begin(&st->watches[i], from[i]);
    }
    for (int i = 0; i < STORM_KEYS; i++) {
        st->clients[i] = (struct storm_client){ .storm = st, .key = i };
        client_write(&st->clients[i]);
    }
}

void storm_poke(struct storm *st)
{
    for (int i = 0; i < STORM_KEYS && !st->stopping; i++)
        if (st->clients[i].lost && !st->clients[i].waits)
            client_look(&st->clients[i]);
    for (int i = 0; i < STORM_WATCHES && !st->stopping; i++)
        if (!st->watches[i].w)
            watch_begin(&st->watches[i], st->watches[i].expired ? 0 : st->watches[i].seen);
}

bool storm_is_quiet(const struct storm *st)
{
    for (int i = 0; i < STORM_KEYS; i++)
        if (st->clients[i].waits)
            return false;
    return st->stopping;
}

void storm_stop(struct storm *st)
{
    st->stopping = true;
    for (int i = 0; i < STORM_WATCHES; i++) {
        if (st->watches[i].w)
            store_watch_stop(st->watches[i].w);
        st->watches[i].w = NULL;
    }
}

/* ---- the other end ---- */

void storm_log_note(struct storm_log *l, const struct storm_note *n)
{
    char key[16], value[32];

    storm_key(key, n->key);
    snprintf(value, sizeof value, "%" PRIu64, n->value);
    switch (n->what) {
    case STORM_BEGIN:
        l->open[n->key] = history_begin(l->h, key, n->value ? value : NULL, n->soft);
        break;
    case STORM_ACKED:
        history_acked(l->h, l->open[n->key], n->rev);
        break;
    case STORM_REFUSED:
        history_refused(l->h, l->open[n->key]);
        break;
    case STORM_READ:
        history_read(l->h, key, value, n->rev);
        break;
    case STORM_WATCH:
        l->watch[n->watch] = history_watch(l->h, "/k/", n->rev);
        l->seen[n->watch] = n->rev;
        break;
    case STORM_EVENT:
        history_event(l->h, l->watch[n->watch], key, n->value ? value : NULL, n->rev);
        l->seen[n->watch] = n->rev;
        l->n_events++;
        break;
    case STORM_SEEN:
        history_seen(l->h, l->watch[n->watch], n->rev);
        l->seen[n->watch] = n->rev;
        break;
    }
}
