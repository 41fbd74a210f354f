/*
 * store_bench DIR [SECONDS]: durable writes per second of the default store with 1, 64 and 200
 * writers, then reads, watch fan-out and memory with 100 000 small objects. Figures on stdout, one
 * per line. DIR must be on the disk that is meant; its bench.db* files are removed.
 */
#include "base/core/mem.h"
#include "server/store/store_impl.h"

#include <stdio.h>
#include <unistd.h>

enum { VALUE_BYTES = 1024, N_OBJECTS = 100 * 1000, N_WATCHERS = 1000 };

struct bench {
    uv_loop_t loop;
    struct store *s;
    char path[256];
    uint64_t end_ns;
    size_t n_done, n_errors, n_running, n_created, n_events;
    int64_t seconds;
};
struct writer {
    struct bench *b;
    char key[64];
    bool made;
};

static char value[VALUE_BYTES];

static void turn_until_idle(struct bench *b)
{
    while (b->n_running)
        uv_run(&b->loop, UV_RUN_ONCE);
}

static void write_next(struct writer *w);
static void on_written(void *arg, int64_t rev, size_t failed, struct store_obj *current,
                       const struct err *e)
{
    struct writer *w = arg;
    (void)rev;
    (void)failed;
    (void)current;

    w->b->n_running--;
    w->b->n_done += !e;
    w->b->n_errors += e != NULL;
    w->made = true;
    if (uv_hrtime() < w->b->end_ns)
        write_next(w);
}
static void write_next(struct writer *w)
{
    struct store_op op = { .kind = w->made ? STORE_UPDATE : STORE_CREATE,
                           .key = str_of(w->key),
                           .value = str_n(value, sizeof value) };

    w->b->n_running++;
    store_commit(w->b->s, &op, 1, on_written, w);
}

static void bench_writers(struct bench *b, int n)
{
    struct writer *w = mem_calloc((size_t)n, sizeof *w);
    struct store_stats before, after;
    uint64_t start = uv_hrtime();
    double s;

    store_stats(b->s, &before);
    b->n_done = b->n_errors = 0;
    b->end_ns = start + (uint64_t)b->seconds * 1000000000u;
    for (int i = 0; i < n; i++) {
        w[i].b = b;
        snprintf(w[i].key, sizeof w[i].key, "/registry/configmaps/bench-%llu/%d",
                 (unsigned long long)start, i);
        write_next(&w[i]);
    }
    turn_until_idle(b);
    s = (double)(uv_hrtime() - start) / 1e9;
    store_stats(b->s, &after);
    printf("writes_per_s writers=%d value=%.0f errors=%zu per_group=%.1f bytes_per_write=%.0f\n", n,
           (double)b->n_done / s, b->n_errors,
           (double)b->n_done / (double)MAX(after.n_groups - before.n_groups, 1u),
           (double)(after.written_bytes - before.written_bytes) / (double)MAX(b->n_done, 1u));
    free(w);
}

static void on_listed(void *arg, const struct store_list *l, const struct err *e)
{
    struct bench *b = arg;

    b->n_done = e ? 0 : l->n;
    b->n_running--;
}

static void create_some(struct bench *b);
static void on_created(void *arg, int64_t rev, size_t failed, struct store_obj *current,
                       const struct err *e)
{
    struct bench *b = arg;
    (void)rev;
    (void)failed;
    (void)current;

    b->n_errors += e != NULL;
    b->n_running--;
    create_some(b);
}
static void create_some(struct bench *b)
{
    char key[64];

    while (b->n_running < 256 && b->n_created < N_OBJECTS) {
        struct store_op op = { .kind = STORE_CREATE, .value = str_n(value, 200) };
        op.key.n = (size_t)snprintf(key, sizeof key, "/registry/configmaps/many/object-%07zu",
                                    b->n_created++);
        op.key.p = key;
        b->n_running++;
        store_commit(b->s, &op, 1, on_created, b);
    }
}

static long rss_kib(void)
{
    long size = 0, rss = 0;
    FILE *f = fopen("/proc/self/statm", "r");

    if (f && fscanf(f, "%ld %ld", &size, &rss) != 2)
        rss = 0;
    if (f)
        fclose(f);
    return rss * (sysconf(_SC_PAGESIZE) / 1024);
}

static void open_store(struct bench *b)
{
    struct err e;

    if (store_sqlite_open(&b->s, &b->loop, b->path, &e)) {
        fprintf(stderr, "%s\n", e.text);
        exit(1);
    }
}

static void close_store(struct bench *b)
{
    store_close(b->s, NULL, NULL);
    uv_run(&b->loop, UV_RUN_DEFAULT);
}

static void bench_many(struct bench *b)
{
    struct store_stats st;
    uint64_t start = uv_hrtime();
    long first_kib;

    create_some(b);
    turn_until_idle(b);
    store_stats(b->s, &st);
    printf("create_100k seconds=%.2f errors=%zu rss_kib=%ld db_mib=%.1f wal_mib=%.1f\n",
           (double)(uv_hrtime() - start) / 1e9, b->n_errors, rss_kib(), (double)st.db_bytes / 1e6,
           (double)st.wal_bytes / 1e6);
    close_store(b);
    start = uv_hrtime();
    open_store(b);
    printf("open_100k ms=%.1f\n", (double)(uv_hrtime() - start) / 1e6);
    first_kib = rss_kib();
    for (int i = 0; i < 3; i++) {
        const struct store_list_opts o = { .limit = i == 1 ? 500 : 0 };
        start = uv_hrtime();
        b->n_running = 1;
        store_list(b->s, STR("/registry/configmaps/many/"), &o, on_listed, b);
        turn_until_idle(b);
        printf("list objects=%zu ms=%.1f rss_before_kib=%ld rss_kib=%ld\n", b->n_done,
               (double)(uv_hrtime() - start) / 1e6, first_kib, rss_kib());
    }
}

static bool on_event(void *arg, const struct store_event *ev)
{
    struct bench *b = arg;
    (void)ev;

    b->n_events++;
    return true;
}
static void on_end(void *arg, const struct err *e)
{
    (void)arg;
    (void)e;
}

static void bench_watch(struct bench *b)
{
    static const struct store_watch_events events = { .on_event = on_event, .on_end = on_end };
    struct store_watch **w = mem_calloc(N_WATCHERS, sizeof(struct store_watch *));
    uint64_t start;

    for (size_t i = 0; i < N_WATCHERS; i++)
        store_watch_start(&w[i], b->s, STR("/registry/configmaps/"), 0, &events, b);
    start = uv_hrtime();
    bench_writers(b, 1);
    printf("watch watchers=%d events_per_s=%.0f\n", N_WATCHERS,
           (double)b->n_events / ((double)(uv_hrtime() - start) / 1e9));
    for (size_t i = 0; i < N_WATCHERS; i++)
        store_watch_stop(w[i]);
    free(w);
}

int main(int argc, char **argv)
{
    struct bench b = { .seconds = argc > 2 ? atoi(argv[2]) : 3 };
    static const char *const suffixes[] = { "", "-wal", "-shm", ".lock" };

    if (argc < 2) {
        fprintf(stderr, "usage: %s DIR [SECONDS]\n", argv[0]);
        return 2;
    }
    memset(value, 'v', sizeof value);
    snprintf(b.path, sizeof b.path, "%s/bench.db", argv[1]);
    uv_loop_init(&b.loop);
    open_store(&b);
    bench_writers(&b, 1);
    bench_writers(&b, 64);
    bench_writers(&b, 200);
    bench_watch(&b);
    bench_many(&b);
    close_store(&b);
    uv_loop_close(&b.loop);
    for (size_t i = 0; i < ARRAY_LEN(suffixes); i++) {
        char p[300];
        snprintf(p, sizeof p, "%s%s", b.path, suffixes[i]);
        unlink(p);
    }
    return 0;
}
