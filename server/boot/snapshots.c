#include "server/boot/snapshots.h"

#include "base/core/clock.h"
#include "base/core/list.h"
#include "base/core/log.h"
#include "base/core/mem.h"
#include "base/data/cron.h"
#include "base/io/timer.h"
#include "base/io/work.h"
#include "base/pki/seal.h"
#include "base/pki/token.h"
#include "server/ca/bootstrap.h"
#include "server/ca/ca.h"
#include "server/store/snapshot.h"
#include "server/store/store.h"

#include <stdio.h>
#include <unistd.h>

enum { LOOK_EVERY_MS = 60 * 1000 }; /* at the wall clock, which may be set */

struct snapshots {
    uv_loop_t *loop;
    struct store *store;
    struct ca *ca;
    char *dir, *base, *node, *version;
    size_t retention;
    bool compress;
    bool scheduled;
    struct cron cron;
    int64_t due_unix_s; /* -1: never */
    struct timer timer;
    struct job *saving; /* there is one at most */
    struct list jobs;   /* all that is under way */
    bool closing, timer_closed;
    void (*closed)(void *arg);
    void *closed_arg;
};

/* One ask. The pool touches only what is above the line, and nobody else does meanwhile. */
struct job {
    int what;
    char *dir, *base, *node, *name;
    bool compress;
    size_t retention;
    char **names;
    size_t n_names;
    struct buf token;
    char *server_dir;
    struct snapshot_facts facts;
    struct snapshot_files made, gone;
    struct err refused;
    /* ---- */
    struct list link;
    struct snapshots *s;
    struct work *work;
    bool scheduled;
    snapshots_done_fn done;
    void *arg;
};

/* ---- in the pool ---- */

static int prepare(void *arg, struct err *e)
{
    struct job *j = arg;
    auto_buf doc = BUF_SECRET(BOOTSTRAP_MAX_BYTES), password = BUF_SECRET(TOKEN_MAX_BYTES);

    if (snapshot_dir_prepare(j->dir, e) || bootstrap_read(&doc, j->server_dir, e) ||
        token_password(buf_str(&j->token), &password, e) ||
        seal_close(&j->facts.sealed, buf_str(&doc), buf_str(&password), e))
        return (int)e->code;
    return 0;
}

static int take(void *arg, struct err *e)
{
    struct job *j = arg;
    auto_snapshot_files all = { 0 };

    if (snapshot_dir_take(j->dir, j->name, &j->facts, e) || snapshot_dir_list(&all, j->dir, e))
        return (int)e->code;
    for (size_t i = 0; i < all.n; i++)
        if (strcmp(all.v[i].name, j->name) == 0)
            snapshot_files_add(&j->made, all.v[i].name, all.v[i].created_unix_s,
                               all.v[i].size_bytes);
    return snapshot_dir_prune(&j->gone, j->dir, j->base, j->node, j->retention, e);
}

static int look_or_remove(void *arg, struct err *e)
{
    struct job *j = arg;

    if (j->refused.code) { /* answered later, like everything */
        *e = j->refused;
        return (int)e->code;
    }
    if (j->what == SNAPSHOTS_LIST)
        return snapshot_dir_list(&j->made, j->dir, e);
    if (j->what == SNAPSHOTS_PRUNE)
        return snapshot_dir_prune(&j->gone, j->dir, j->base, j->node, j->retention, e);
    for (size_t i = 0; i < j->n_names; i++)
        if (snapshot_dir_delete(&j->gone, j->dir, j->names[i], e))
            return (int)e->code;
    return 0;
}

/* ---- jobs ---- */

static struct job *job_new(struct snapshots *s, const struct snapshots_ask *ask)
{
    struct job *j = mem_alloc(sizeof *j);
    bool save = ask->what == SNAPSHOTS_SAVE;

    j->s = s;
    j->what = ask->what;
    j->dir = mem_strdup(ask->dir && *ask->dir ? ask->dir : s->dir);
    j->base = mem_strdup(ask->base && *ask->base ? ask->base : save ? "on-demand" : s->base);
    j->node = mem_strdup(s->node);
    j->compress = ask->compress;
    j->retention = save ? 0 : ask->retention ? ask->retention : s->retention;
    j->names = mem_calloc(ask->n_names + 1, sizeof *j->names);
    for (size_t i = 0; i < ask->n_names; i++)
        j->names[j->n_names++] = mem_strdup(ask->names[i]);
    j->token = BUF_SECRET(TOKEN_MAX_BYTES);
    j->facts.sealed = BUF(SNAPSHOT_SEALED_MAX);
    list_init(&j->link);
    return j;
}

static void job_free(struct job *j)
{
    for (size_t i = 0; i < j->n_names; i++)
        free(j->names[i]);
    free(j->names);
    snapshot_files_free(&j->made);
    snapshot_files_free(&j->gone);
    snapshot_facts_deinit(&j->facts);
    buf_deinit(&j->token);
    free(j->dir);
    free(j->base);
    free(j->node);
    free(j->name);
    free(j->server_dir);
    free(j);
}

static void free_if_closed(struct snapshots *s);

static void job_done(struct job *j, const struct err *e)
{
    struct snapshots *s = j->s;

    list_remove(&j->link);
    if (s->saving == j)
        s->saving = NULL;
    if (j->done)
        j->done(j->arg, &j->made, &j->gone, e);
    job_free(j);
    free_if_closed(s);
}

static void on_job_done(void *arg, const struct err *e)
{
    job_done(arg, e);
}

static void on_taken(void *arg, const struct err *e)
{
    struct job *j = arg;

    j->work = NULL;
    if (!e)
        log_info("snapshot made", kv("name", j->name), kv("dir", j->dir),
                 kv("bytes", j->made.n ? j->made.v[0].size_bytes : 0), kv("pruned", j->gone.n));
    job_done(j, e);
}

static void on_copied(void *arg, const struct err *e)
{
    struct job *j = arg;

    if (e)
        job_done(j, e);
    else /* to its end, also while we close: it is what people wait for */
        work_start(&j->work, j->s->loop, take, on_taken, j);
}

static void on_prepared(void *arg, const struct err *e)
{
    struct job *j = arg;
    auto_free char *part = NULL;

    j->work = NULL;
    if (e) {
        job_done(j, e);
        return;
    }
    part = snapshot_dir_part(j->dir, j->name);
    store_copy(j->s->store, part, on_copied, j);
}

static int save_start(struct snapshots *s, struct job *j, struct err *e)
{
    char name[SNAPSHOT_NAME_MAX];

    if (s->saving)
        return err_set(e, ERR_AGAIN, "a snapshot is being made already: %s", s->saving->name);
    j->facts.created_unix_s = clock_wall_s();
    if (snapshot_dir_name(name, j->base, j->node, j->facts.created_unix_s, j->compress, e))
        return (int)e->code;
    j->name = mem_strdup(name);
    j->server_dir = mem_strdup(ca_server_dir(s->ca));
    snprintf(j->facts.node, sizeof j->facts.node, "%s", s->node);
    snprintf(j->facts.version, sizeof j->facts.version, "%s", s->version);
    if (buf_adds(&j->token, ca_token(s->ca)))
        return err_set(e, ERR_LIMIT, "the token is too long");
    s->saving = j;
    work_start(&j->work, s->loop, prepare, on_prepared, j);
    return 0;
}

static void run(struct snapshots *s, struct job *j)
{
    list_push(&s->jobs, &j->link);
    if (s->closing)
        err_set(&j->refused, ERR_CANCELED, "the server is stopping");
    else if (j->what == SNAPSHOTS_SAVE && !save_start(s, j, &j->refused))
        return;
    work_start(NULL, s->loop, look_or_remove, on_job_done, j);
}

void snapshots_run(struct snapshots *s, const struct snapshots_ask *ask, snapshots_done_fn done,
                   void *arg)
{
    struct job *j = job_new(s, ask);

    j->done = done;
    j->arg = arg;
    run(s, j);
}

/* ---- the schedule ---- */

static void on_scheduled(void *arg, const struct snapshot_files *made,
                         const struct snapshot_files *gone, const struct err *e)
{
    (void)arg;
    (void)made;
    (void)gone;
    if (e && e->code != ERR_CANCELED)
        log_error("scheduled snapshot failed", kv("err", e->text));
}

static void on_timer(void *arg)
{
    struct snapshots *s = arg;
    int64_t now_s = clock_wall_s();

    if (s->due_unix_s >= 0 && now_s >= s->due_unix_s) {
        struct snapshots_ask ask = { .what = SNAPSHOTS_SAVE,
                                     .base = s->base,
                                     .compress = s->compress };
        struct job *j = job_new(s, &ask);
        j->retention = s->retention;
        j->done = on_scheduled;
        run(s, j);
    }
    s->due_unix_s = cron_next(&s->cron, now_s);
    if (s->due_unix_s < 0)
        return;
    timer_start_ms(&s->timer, (uint64_t)MIN((s->due_unix_s - now_s) * 1000, (int64_t)LOOK_EVERY_MS),
                   on_timer, s);
}

/* ---- life ---- */

int snapshots_new(struct snapshots **out, const struct snapshots_config *c, struct err *e)
{
    char name[SNAPSHOT_NAME_MAX];
    struct cron cron = { 0 };

    if ((c->schedule && cron_parse(&cron, str_of(c->schedule), e)) ||
        snapshot_dir_name(name, c->base, c->node, 0, false, e))
        return (int)e->code;
    struct snapshots *s = mem_alloc(sizeof *s);
    s->loop = c->loop;
    s->store = c->store;
    s->ca = c->ca;
    s->dir = c->dir && *c->dir ? mem_strdup(c->dir) : ca_path(c->ca, "db/snapshots");
    s->base = mem_strdup(c->base);
    s->node = mem_strdup(c->node);
    s->version = mem_strdup(c->version);
    s->retention = c->retention;
    s->compress = c->compress;
    s->scheduled = c->schedule != NULL;
    s->cron = cron;
    list_init(&s->jobs);
    timer_init(&s->timer, s->loop);
    *out = s;
    return 0;
}

void snapshots_start(struct snapshots *s)
{
    s->due_unix_s = -1;
    if (s->scheduled)
        on_timer(s);
}

static void free_if_closed(struct snapshots *s)
{
    void (*done)(void *arg) = s->closed;
    void *arg = s->closed_arg;

    if (!s->closing || !s->timer_closed || !list_empty(&s->jobs))
        return;
    free(s->dir);
    free(s->base);
    free(s->node);
    free(s->version);
    free(s);
    if (done)
        done(arg);
}

static void on_timer_closed(void *arg)
{
    struct snapshots *s = arg;

    s->timer_closed = true;
    free_if_closed(s);
}

void snapshots_close(struct snapshots *s, void (*done)(void *arg), void *arg)
{
    s->closing = true;
    s->closed = done;
    s->closed_arg = arg;
    if (s->saving && s->saving->work)
        work_cancel(s->saving->work);
    timer_close(&s->timer, on_timer_closed, s);
}

const char *snapshots_dir(const struct snapshots *s)
{
    return s->dir;
}

const char *snapshots_node(const struct snapshots *s)
{
    return s->node;
}
