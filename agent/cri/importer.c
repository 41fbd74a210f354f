/*
 *   READ --> PAUSE --> SCAN --> IMPORT ... --> SETTLE --> REST --> SCAN
 *   (list)   (ctr)    (folder,  (ctr, one      150 ms     30 s, or a backoff
 *             ^ |      digests)  archive each)            when something failed
 *             backoff
 *
 * READ and SCAN run on the pool. The list has one line per archive: digest, size, modification
 * time, name. Size and time say whether a file changed, the digest whether its contents did: a copy
 * of the same is not imported again. Lines of files that are gone are dropped. Losing the list
 * costs one import.
 */
#include "agent/cri/importer.h"

#include "base/core/buf.h"
#include "base/core/list.h"
#include "base/core/log.h"
#include "base/core/mem.h"
#include "base/io/backoff.h"
#include "base/io/digest.h"
#include "base/io/file.h"
#include "base/io/proc.h"
#include "base/io/timer.h"
#include "base/io/work.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

#define LIST_MAX_BYTES (1024 * 1024)
#define ARCHIVES_MAX   1000
#define SCAN_MS        30000
#define IMPORT_MS      (30 * 60 * 1000) /* a large image on slow flash */
#define PAUSE_MS       (60 * 1000)
#define SETTLE_MS      150 /* containerd's CRI hears of an image by an event, just after ctr ends */
#define PAUSE_NAME     "(pause)"

extern const char pause_image_tar[], pause_image_tar_end[]; /* mk/gen.mk */

struct archive {
    struct list link;
    char *name; /* in the folder */
    char digest[2 * DIGEST_SHA256_BYTES + 1];
    int64_t size_bytes, mtime_ns;
};

struct scan {                  /* what the pool works on: copies */
    struct importer *importer; /* for on_scanned */
    char *folder, *list_path;
    bool read_list;
    struct list known; /* of the list file */
    struct list found; /* in the folder now, with digests */
};

enum importer_state { READ, PAUSE, SCAN, IMPORT, SETTLE, REST };

struct importer {
    struct importer_config c;
    char *socket, *snapshotter, *folder, *list_path;
    enum importer_state state;
    struct list have; /* imported */
    struct list todo;
    struct archive *current; /* ctr runs for it */
    struct proc *ctr;
    struct work *work;
    struct timer timer;
    struct backoff backoff;
    bool went_through; /* the folder, once */
    bool failed;       /* something, in this round */
    bool closing;
    void (*done)(void *arg);
    void *done_arg;
};

static void importer_step(struct importer *m);

static struct str pause_image(void)
{
    // cppcheck-suppress comparePointers ; two labels of one array, which mk/gen.mk makes
    return str_n(pause_image_tar, (size_t)(pause_image_tar_end - pause_image_tar));
}

/* ---- archives ---- */

static void archive_free(struct archive *a)
{
    if (!a)
        return;
    free(a->name);
    free(a);
}

static void clear(struct list *l)
{
    while (!list_empty(l))
        archive_free(container_of(list_pop(l), struct archive, link));
}

static struct archive *by_digest(struct list *l, const char *digest)
{
    list_each (a, l, struct archive, link)
        if (strcmp(a->digest, digest) == 0)
            return a;
    return NULL;
}

/* ---- the scan, on the pool ---- */

static void read_list(struct scan *s)
{
    auto_buf b = BUF(LIST_MAX_BYTES);
    struct str rest, text, digest, size, mtime;
    struct err e;

    if (file_read(s->list_path, LIST_MAX_BYTES, &b, &e))
        return; /* none: everything is imported again, which is slow but right */
    for (rest = buf_str(&b); rest.n;) {
        struct archive *a = mem_alloc(sizeof *a);
        uint64_t n_size, n_mtime;

        str_cut(rest, '\n', &text, &rest);
        if (str_cut(text, ' ', &digest, &text) && str_cut(text, ' ', &size, &text) &&
            str_cut(text, ' ', &mtime, &text) && digest.n == sizeof a->digest - 1 && text.n &&
            str_to_u64(size, &n_size) && str_to_u64(mtime, &n_mtime)) {
            memcpy(a->digest, digest.p, digest.n);
            a->size_bytes = (int64_t)n_size;
            a->mtime_ns = (int64_t)n_mtime;
            a->name = str_dup(text);
            list_push(&s->known, &a->link);
        } else {
            free(a);
        }
    }
}

static void look_at(struct scan *s, const char *name)
{
    auto_free char *path = mem_printf("%s/%s", s->folder, name);
    unsigned char digest[DIGEST_SHA256_BYTES];
    struct archive *a;
    struct stat st;
    struct err e;

    if (stat(path, &st) || !S_ISREG(st.st_mode) || strchr(name, '\n'))
        return;
    a = mem_alloc(sizeof *a);
    a->name = mem_strdup(name);
    a->size_bytes = st.st_size;
    a->mtime_ns = st.st_mtim.tv_sec * INT64_C(1000000000) + st.st_mtim.tv_nsec;
    list_each (k, &s->known, struct archive, link)
        if (k->size_bytes == a->size_bytes && k->mtime_ns == a->mtime_ns &&
            strcmp(k->name, name) == 0)
            memcpy(a->digest, k->digest, sizeof a->digest);
    if (!a->digest[0]) {
        if (digest_sha256_file(digest, path, &e)) {
            log_warn("image archive cannot be read, it is left out", kv("err", e.text));
            archive_free(a);
            return;
        }
        str_hex(a->digest, digest, sizeof digest);
    }
    list_push(&s->found, &a->link);
}

static int scan_run(void *arg, struct err *e)
{
    struct scan *s = arg;
    struct dirent *d;
    size_t n = 0;
    DIR *dir;

    (void)e;
    if (s->read_list) {
        read_list(s);
        return 0;
    }
    dir = opendir(s->folder);
    if (!dir)
        return 0; /* no folder, no archives */
    while ((d = readdir(dir)) && n < ARCHIVES_MAX)
        if (str_ends(str_of(d->d_name), STR(".tar"))) {
            look_at(s, d->d_name);
            n++;
        }
    closedir(dir);
    return 0;
}

static struct archive *archive_copy(const struct archive *a)
{
    struct archive *c = mem_dup(a, sizeof *a);

    c->name = mem_strdup(a->name);
    list_init(&c->link);
    return c;
}

static void on_scanned(void *arg, const struct err *e);

static void start_scan(struct importer *m)
{
    struct scan *s = mem_alloc(sizeof *s);

    s->folder = mem_strdup(m->folder);
    s->list_path = mem_strdup(m->list_path);
    s->read_list = m->state == READ;
    list_init(&s->known);
    list_init(&s->found);
    list_each (a, &m->have, struct archive, link)
        list_push(&s->known, &archive_copy(a)->link);
    s->importer = m;
    work_start(&m->work, m->c.loop, scan_run, on_scanned, s);
}

static void scan_free(struct scan *s)
{
    clear(&s->known);
    clear(&s->found);
    free(s->folder);
    free(s->list_path);
    free(s);
}

/* ---- the list file ---- */

static void write_list(struct importer *m)
{
    auto_buf b = BUF(LIST_MAX_BYTES);
    struct err e;

    list_each (a, &m->have, struct archive, link)
        if (buf_addf(&b, "%s %lld %lld %s\n", a->digest, (long long)a->size_bytes,
                     (long long)a->mtime_ns, a->name))
            break; /* what is not in it is imported again */
    if (file_write_if_changed(m->list_path, buf_str(&b), 0644, NULL, &e))
        log_warn("list of imported images not written, they will be imported again",
                 kv("err", e.text));
}

/* ---- closing ---- */

static void on_timer_closed(void *arg)
{
    struct importer *m = arg;
    void (*done)(void *) = m->done;
    void *done_arg = m->done_arg;

    clear(&m->have);
    clear(&m->todo);
    archive_free(m->current);
    free(m->socket);
    free(m->snapshotter);
    free(m->folder);
    free(m->list_path);
    free(m);
    if (done)
        done(done_arg);
}

static void maybe_gone(struct importer *m)
{
    if (!m->work && !m->ctr)
        timer_close(&m->timer, on_timer_closed, m);
}

/* ---- importing ---- */

static void on_timer(void *arg)
{
    importer_step(arg);
}

/* Sorts what was found: imported already under this or another name, or still to do. */
static void take_found(struct importer *m, struct scan *s)
{
    struct list have = LIST(have);

    list_each (a, &s->found, struct archive, link) {
        list_remove(&a->link);
        list_push(by_digest(&m->have, a->digest) ? &have : &m->todo, &a->link);
    }
    list_each (a, &m->have, struct archive, link)
        if (strcmp(a->name, PAUSE_NAME) == 0) {
            list_remove(&a->link);
            list_push(&have, &a->link);
        }
    clear(&m->have);
    list_move_all(&m->have, &have);
}

static void on_scanned(void *arg, const struct err *e)
{
    struct scan *s = arg;
    struct importer *m = s->importer;

    m->work = NULL;
    if (m->closing) {
        scan_free(s);
        maybe_gone(m);
        return;
    }
    (void)e; /* only a cancellation, and then we are closing */
    if (m->state == READ)
        list_move_all(&m->have, &s->known);
    else
        take_found(m, s);
    scan_free(s);
    importer_step(m);
}

static void fail(struct importer *m, const struct archive *a, struct err *e)
{
    static struct log_limit limit = LOG_LIMIT(5, 60000);

    m->failed = true;
    err_wrap(e, "import image archive %s", a->name);
    if (log_allowed(&limit))
        log_warn("image archive not imported, will retry", kv("err", e->text));
    if (m->state == PAUSE) {
        timer_start_ms(&m->timer, backoff_next_ms(&m->backoff), on_timer, m);
        m->c.on_pause(m->c.arg, e);
    }
}

static void on_imported(void *arg, const struct proc_exit *x)
{
    struct importer *m = arg;
    struct archive *a = STEAL(m->current);
    char why[PROC_EXIT_TEXT_BYTES];
    struct err e;

    m->ctr = NULL;
    if (m->closing) {
        archive_free(a);
        maybe_gone(m);
        return;
    }
    if (!x->code && !x->signal) {
        log_info("image archive imported", kv("archive", a->name));
        list_push(&m->have, &a->link);
        write_list(m);
    } else {
        err_set(&e, ERR_IO, "ctr: %s: " STR_FMT, proc_exit_text(why, x),
                STR_ARG(str_trim(x->output)));
        fail(m, a, &e);
        archive_free(a);
        if (m->state == PAUSE)
            return; /* the timer steps */
    }
    importer_step(m);
}

/* Takes the archive. false: it failed at once. */
static bool import(struct importer *m, struct archive *a)
{
    bool is_pause = m->state == PAUSE;
    auto_free char *path = is_pause ? mem_strdup("-") : mem_printf("%s/%s", m->folder, a->name);
    const char *const argv[] = { "ctr",          "--address", m->socket, "--namespace",
                                 "k8s.io",       "images",    "import",  "--snapshotter",
                                 m->snapshotter, path,        NULL };
    struct proc_config cfg = { .name = "ctr",
                               .argv = argv,
                               .output = PROC_COLLECT,
                               .collect_max_bytes = 4096,
                               .timeout_ms = is_pause ? PAUSE_MS : IMPORT_MS,
                               .on_exit = on_imported,
                               .arg = m };
    struct err e;

    if (is_pause)
        cfg.input = pause_image();
    m->current = a;
    if (!proc_start(&m->ctr, m->c.loop, &cfg, &e))
        return true;
    m->current = NULL;
    fail(m, a, &e);
    archive_free(a);
    return false;
}

/* NULL: containerd has it. */
static struct archive *pause_archive(struct importer *m)
{
    unsigned char digest[DIGEST_SHA256_BYTES];
    struct archive *a, *known;

    if (m->c.skip_pause)
        return NULL;
    a = mem_alloc(sizeof *a);
    digest_sha256(digest, pause_image());
    str_hex(a->digest, digest, sizeof digest);
    a->name = mem_strdup(PAUSE_NAME);
    known = by_digest(&m->have, a->digest);
    if (!known)
        return a;
    if (m->c.force_pause) {
        list_remove(&known->link);
        archive_free(known);
        return a;
    }
    archive_free(a);
    return NULL;
}

static void after_pause(struct importer *m)
{
    backoff_reset(&m->backoff);
    m->state = SCAN;
    m->failed = false;
    start_scan(m);
    m->c.on_pause(m->c.arg, NULL); /* last: may close us */
}

static void import_next(struct importer *m)
{
    m->state = IMPORT;
    while (!list_empty(&m->todo))
        if (import(m, container_of(list_pop(&m->todo), struct archive, link)))
            return;
    m->state = SETTLE;
    timer_start_ms(&m->timer, SETTLE_MS, on_timer, m);
}

static void rest(struct importer *m)
{
    m->state = REST;
    m->went_through = true;
    write_list(m);
    if (!m->failed)
        backoff_reset(&m->backoff);
    timer_start_ms(&m->timer, m->failed ? backoff_next_ms(&m->backoff) : SCAN_MS, on_timer, m);
    m->failed = false;
}

/* What the state waited for ended: the pool, ctr, or the timer. */
static void importer_step(struct importer *m)
{
    struct archive *pause;

    switch (m->state) {
    case READ:
    case PAUSE:
        pause = pause_archive(m);
        m->c.force_pause = false;
        m->state = PAUSE;
        if (pause)
            import(m, pause); /* a failure has started the timer */
        else
            after_pause(m);
        break;
    case SCAN:
        if (!list_empty(&m->todo)) {
            import_next(m);
        } else if (m->went_through) {
            rest(m);
        } else {
            rest(m);
            m->c.on_change(m->c.arg);
        }
        break;
    case IMPORT:
        import_next(m);
        break;
    case SETTLE:
        rest(m);
        m->c.on_change(m->c.arg);
        break;
    case REST:
        m->state = SCAN;
        start_scan(m);
        break;
    }
}

void importer_start(struct importer **out, const struct importer_config *c)
{
    struct importer *m = mem_alloc(sizeof *m);

    m->c = *c;
    m->socket = mem_strdup(c->socket);
    m->snapshotter = mem_strdup(c->snapshotter);
    m->folder = mem_strdup(c->folder);
    m->list_path = mem_strdup(c->list_path);
    m->backoff = (struct backoff)BACKOFF(2000, 300000);
    list_init(&m->have);
    list_init(&m->todo);
    timer_init(&m->timer, c->loop);
    start_scan(m); /* of the list alone: state is READ */
    *out = m;
}

bool importer_is_busy(const struct importer *m)
{
    return m->state == IMPORT || m->state == SETTLE || !m->went_through;
}

void importer_close(struct importer *m, void (*done)(void *arg), void *arg)
{
    m->closing = true;
    m->done = done;
    m->done_arg = arg;
    timer_stop(&m->timer);
    if (m->work)
        work_cancel(m->work);
    if (m->ctr)
        proc_stop(m->ctr, 2000);
    maybe_gone(m);
}
