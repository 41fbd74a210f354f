#include "agent/stream/logread.h"

#include "base/core/mem.h"
#include "base/io/timer.h"
#include "base/io/work.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLOCK_BYTES (32u * 1024)
#define TICK_MS     1000 /* what no directory event tells: the container's end, a linked file */

/* What the pool works on; the loop leaves it alone meanwhile. */
struct job {
    char *path;
    uint64_t n_tail_left; /* tail_lines + 1; 0: from the beginning */
    int fd;
    off_t at, end;
    bool bounded; /* read to end, which was the file's when it was opened */
    char block[BLOCK_BYTES];
    size_t n;
    bool moved; /* the path names another file now */
};

enum state { LR_OPEN, LR_READ, LR_GIVE, LR_WAIT, LR_ENDED };

struct logread {
    const struct logread_events *events;
    void *arg;
    uv_loop_t *loop;
    enum state state;
    struct crilog log;
    struct job job;
    struct buf text; /* formatted, waits while paused */
    struct work *work;
    struct err err;
    bool paused, canceled, is_open;
    bool drained;     /* the old file gave nothing after it was found moved */
    bool dirty;       /* the directory changed since the last read began */
    bool was_running; /* before the last read began */
    struct timer timer;
    uv_fs_event_t watch;
    bool watching;
    unsigned n_handles;
};

static void step(struct logread *l);

/* ---- in the pool ---- */

static int find_tail(struct job *j, off_t size, struct err *e)
{
    off_t end = size;
    size_t start;

    while (end > 0) {
        size_t want = (size_t)MIN(end, (off_t)BLOCK_BYTES);
        ssize_t n = pread(j->fd, j->block, want, end - (off_t)want);

        if (n < 0)
            return err_sys(e, errno, "read %s", j->path);
        if ((size_t)n < want) /* it was cut while we read: begin where it begins */
            break;
        if (crilog_tail_block(&j->n_tail_left, j->block, want, &start)) {
            j->at = end - (off_t)want + (off_t)start;
            return 0;
        }
        end -= (off_t)want;
    }
    j->at = 0;
    return 0;
}

static int do_open(void *arg, struct err *e)
{
    struct job *j = arg;
    struct stat st;
    int fd = open(j->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a fifo must not hold us */

    if (fd < 0)
        return err_sys(e, errno, "open %s", j->path);
    if (j->fd >= 0)
        close(j->fd);
    j->fd = fd;
    j->moved = false;
    j->at = 0;
    if (fstat(fd, &st))
        return err_sys(e, errno, "stat %s", j->path);
    if (!S_ISREG(st.st_mode))
        return err_set(e, ERR_INVALID, "%s is not a regular file", j->path);
    j->end = st.st_size;
    return j->n_tail_left ? find_tail(j, st.st_size, e) : 0;
}

static int do_read(void *arg, struct err *e)
{
    struct job *j = arg;
    size_t want = BLOCK_BYTES;
    struct stat at_path, ours;

    j->n = 0;
    if (j->bounded)
        want = (size_t)MIN((off_t)want, MAX(j->end - j->at, (off_t)0));
    ssize_t n = want ? pread(j->fd, j->block, want, j->at) : 0;
    if (n < 0)
        return err_sys(e, errno, "read %s", j->path);
    j->n = (size_t)n;
    j->at += n;
    if (n || j->bounded)
        return 0;
    if (fstat(j->fd, &ours))
        return err_sys(e, errno, "stat %s", j->path);
    if (ours.st_size < j->at) /* cut in place, as copytruncate does */
        j->at = 0;
    j->moved = stat(j->path, &at_path) == 0 &&
               (at_path.st_ino != ours.st_ino || at_path.st_dev != ours.st_dev);
    return 0;
}

/* ---- on the loop ---- */

static void on_handle_closed(void *arg)
{
    struct logread *l = arg;

    if (--l->n_handles)
        return;
    const struct logread_events *events = l->events;
    void *events_arg = l->arg;
    struct err e = l->err;
    if (l->job.fd >= 0)
        close(l->job.fd);
    free(l->job.path);
    buf_deinit(&l->text);
    free(l);
    events->on_end(events_arg, e.code ? &e : NULL); /* last: the owner may go too */
}

static void on_watch_closed(uv_handle_t *h)
{
    on_handle_closed(h->data);
}

static void finish(struct logread *l)
{
    assert(l->state != LR_ENDED && !l->work);
    l->state = LR_ENDED;
    if (l->watching)
        uv_close((uv_handle_t *)&l->watch, on_watch_closed);
    timer_close(&l->timer, on_handle_closed, l);
}

static void on_work(void *arg, const struct err *e)
{
    struct logread *l = container_of((struct job *)arg, struct logread, job);

    l->work = NULL;
    if (e)
        l->err = *e;
    step(l);
}

static void begin_open(struct logread *l)
{
    l->state = LR_OPEN;
    work_start(&l->work, l->loop, do_open, on_work, &l->job);
}

static void begin_read(struct logread *l)
{
    l->state = LR_READ;
    l->dirty = false;
    l->was_running = l->log.options.follow && l->events->is_running(l->arg);
    work_start(&l->work, l->loop, do_read, on_work, &l->job);
}

static void on_tick(void *arg)
{
    struct logread *l = arg;

    if (l->state == LR_WAIT)
        step(l);
}

static void on_directory(uv_fs_event_t *h, const char *file, int events, int status)
{
    struct logread *l = h->data;

    (void)file;
    (void)events;
    (void)status;
    l->dirty = true;
    if (l->state == LR_WAIT)
        step(l);
}

/* The directory tells of writes and of the new file of a rotation alike. Without a watch (too many
 * of them on this host) the tick does alone. */
static void watch(struct logread *l)
{
    const char *slash = strrchr(l->job.path, '/');
    auto_free char *dir =
        slash ? mem_strndup(l->job.path, MAX((size_t)(slash - l->job.path), (size_t)1))
              : mem_strdup(".");

    if (l->watching)
        return;
    if (uv_fs_event_init(l->loop, &l->watch))
        return;
    l->watch.data = l;
    l->watching = true;
    l->n_handles++;
    if (uv_fs_event_start(&l->watch, on_directory, dir, 0) == 0)
        l->dirty = true; /* what was written before the watch began */
}

static void wait(struct logread *l)
{
    buf_deinit(&l->text); /* most of its life a reading waits */
    watch(l);
    if (l->dirty) {
        begin_read(l);
        return;
    }
    l->state = LR_WAIT;
    timer_start_ms(&l->timer, TICK_MS, on_tick, l); /* nothing else uses it in this state */
}

/* All of the block at hand was given away: what next? */
static void advance(struct logread *l)
{
    struct job *j = &l->job;

    if (j->n > 0) {
        l->drained = false;
        begin_read(l);
    } else if (!l->log.options.follow) {
        finish(l);
    } else if (j->moved && !l->drained) {
        l->drained = true; /* the runtime may have written to it until the new one was there */
        begin_read(l);
    } else if (j->moved) {
        l->drained = false;
        crilog_restart(&l->log);
        j->n_tail_left = 0;
        begin_open(l);
    } else if (!l->was_running) {
        finish(l);
    } else {
        wait(l);
    }
}

static void give(struct logread *l)
{
    if (l->paused)
        return; /* logread_resume steps */
    if (l->text.n)
        l->events->on_data(l->arg, l->text.p, l->text.n);
    buf_clear(&l->text);
    if (l->canceled)
        step(l);
    else if (l->log.is_full)
        finish(l);
    else
        advance(l);
}

static void opened(struct logread *l)
{
    if (!l->is_open) {
        l->is_open = true;
        l->job.bounded = !l->log.options.follow;
        l->events->on_open(l->arg);
    }
    if (l->canceled)
        step(l);
    else if (l->log.options.tail_lines == 0 && !l->log.options.follow)
        finish(l);
    else
        begin_read(l);
}

/* What we waited for ended. */
static void step(struct logread *l)
{
    if (l->state == LR_ENDED)
        return;
    if (l->canceled)
        err_set(&l->err, ERR_CANCELED, "canceled");
    if (l->err.code) {
        finish(l);
        return;
    }
    switch (l->state) {
    case LR_OPEN:
        opened(l);
        break;
    case LR_READ:
        l->state = LR_GIVE;
        if (crilog_feed(&l->log, l->job.block, l->job.n, &l->text)) {
            err_set(&l->err, ERR_LIMIT, "%s: no room for its lines", l->job.path);
            finish(l);
            return;
        }
        give(l);
        break;
    case LR_GIVE:
        give(l);
        break;
    case LR_WAIT:
        timer_stop(&l->timer);
        begin_read(l);
        break;
    case LR_ENDED:
        break;
    }
}

void logread_start(struct logread **out, uv_loop_t *loop, const char *path,
                   const struct crilog_options *o, const struct logread_events *events, void *arg)
{
    struct logread *l = mem_alloc(sizeof *l);

    l->events = events;
    l->arg = arg;
    l->loop = loop;
    l->text = BUF(CRILOG_OUT_MAX_BYTES(BLOCK_BYTES));
    l->job.path = mem_strdup(path);
    l->job.fd = -1;
    l->job.n_tail_left = o->tail_lines < 0 ? 0 : (uint64_t)o->tail_lines + 1;
    crilog_init(&l->log, o);
    timer_init(&l->timer, loop);
    l->n_handles = 1;
    *out = l;
    begin_open(l);
}

static void on_soon(void *arg)
{
    step(arg);
}

void logread_pause(struct logread *l)
{
    l->paused = true;
}

void logread_resume(struct logread *l)
{
    if (!l->paused)
        return;
    l->paused = false;
    if (l->state == LR_GIVE)
        timer_start_ms(&l->timer, 0, on_soon, l);
}

void logread_cancel(struct logread *l)
{
    l->canceled = true;
    if (l->work)
        work_cancel(l->work); /* its end steps us */
    else if (l->state != LR_ENDED)
        timer_start_ms(&l->timer, 0, on_soon, l);
}
