/*
 * store_peer_bench DIR [SECONDS]: our store against etcd, both on the disk of DIR, fsync on, with
 * the same keys and values: durable writes per second of 1, 64 and 200 writers, and how many events
 * one writer brings to 1 000 watchers of one prefix. Ours is called in the process, as the API
 * server does; etcd is a process of its own on loopback, called by gRPC over one connection with
 * plain Puts, the cheapest write it has. In turns, ROUNDS of SECONDS each; medians and their ratio.
 */
#include "base/core/mem.h"
#include "base/http/grpc.h"
#include "base/io/loop.h"
#include "server/store/etcd_msg.h"
#include "server/store/store.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ROUNDS = 3, VALUE_BYTES = 1024, WATCHERS = 1000, WRITERS_MAX = 200, START_MS = 20000 };

struct bench {
    uv_loop_t loop;
    int64_t seconds;
    uint64_t end_ns;
    size_t n_done, n_errors, n_running, n_events;
    const struct target *target;
    /* ours */
    struct store *store;
    struct store_watch *watches[WATCHERS];
    /* etcd */
    pid_t pid;
    unsigned port;
    char dir[256];
    struct http_endpoint *ep;
    struct grpc_call *watch_call;
    size_t n_created;
};

struct writer {
    struct bench *b;
    char key[64];
    bool made;
};

struct target {
    const char *name;
    void (*write)(struct writer *w); /* written() when it is durable */
    void (*watch)(struct bench *b);
    void (*unwatch)(struct bench *b);
};

static char value[VALUE_BYTES];

static void written(struct writer *w, const struct err *e)
{
    struct bench *b = w->b;

    b->n_running--;
    b->n_done += !e;
    if (e && !b->n_errors++)
        fprintf(stderr, "%s: %s\n", b->target->name, e->text);
    w->made = true;
    if (uv_hrtime() < b->end_ns) {
        b->n_running++;
        b->target->write(w);
    }
}

/* ---- ours ---- */

static void on_committed(void *arg, int64_t rev, size_t failed, struct store_obj *current,
                         const struct err *e)
{
    (void)rev;
    (void)failed;
    (void)current;
    written(arg, e);
}

static void ours_write(struct writer *w)
{
    struct store_op op = { .kind = w->made ? STORE_UPDATE : STORE_CREATE,
                           .key = str_of(w->key),
                           .value = str_n(value, sizeof value) };

    store_commit(w->b->store, &op, 1, on_committed, w);
}

static bool on_our_event(void *arg, const struct store_event *ev)
{
    (void)ev;
    ((struct bench *)arg)->n_events++;
    return true;
}
static void on_our_end(void *arg, const struct err *e)
{
    (void)arg;
    (void)e;
}

static void ours_watch(struct bench *b)
{
    static const struct store_watch_events events = { .on_event = on_our_event,
                                                      .on_end = on_our_end };

    for (size_t i = 0; i < WATCHERS; i++)
        store_watch_start(&b->watches[i], b->store, STR("/registry/"), 0, &events, b);
}

static void ours_unwatch(struct bench *b)
{
    for (size_t i = 0; i < WATCHERS; i++)
        store_watch_stop(b->watches[i]);
}

/* ---- etcd ---- */

static void add_bytes(struct buf *out, char field, struct str s) /* protobuf: tag, length, bytes */
{
    size_t n = s.n;

    err_ignore(buf_addc(out, (char)(field << 3 | 2))); /* far below the buffer's maximum */
    for (; n > 127; n >>= 7)
        err_ignore(buf_addc(out, (char)(n | 0x80)));
    err_ignore(buf_addc(out, (char)n));
    err_ignore(buf_add_str(out, s));
}

static void on_put(void *arg, struct str reply, const struct err *e)
{
    (void)reply;
    written(arg, e);
}

static void etcd_write(struct writer *w)
{
    auto_buf m = BUF(4096);

    add_bytes(&m, 1, str_of(w->key)); /* PutRequest: key, value */
    add_bytes(&m, 2, str_n(value, sizeof value));
    grpc_unary(w->b->ep, "/etcdserverpb.KV/Put", buf_str(&m), 0, on_put, w);
}

static void on_watch_message(struct grpc_call *c, void *arg, struct str message)
{
    struct bench *b = arg;
    struct etcd_answer a;
    struct err e;
    (void)c;

    if (etcd_answer_read(&a, ETCD_ANSWER_WATCH, message, &e)) {
        fprintf(stderr, "etcd: %s\n", e.text);
        exit(1);
    }
    b->n_events += a.n_events;
    b->n_created += a.created;
    etcd_answer_deinit(&a);
}

static void on_watch_done(struct grpc_call *c, void *arg, const struct err *e)
{
    (void)c;
    (void)e;
    ((struct bench *)arg)->watch_call = NULL;
}

static void etcd_watch(struct bench *b)
{
    static const struct grpc_call_events events = { .on_message = on_watch_message,
                                                    .on_done = on_watch_done };
    struct grpc_call_config c = { .path = ETCD_WATCH };
    auto_buf create = BUF(4096), m = BUF(4096);

    add_bytes(&create, 1, STR("/registry/")); /* WatchCreateRequest: key, range_end */
    add_bytes(&create, 2, STR("/registry0"));
    add_bytes(&m, 1, buf_str(&create));
    b->n_created = 0;
    grpc_call_start(&b->watch_call, b->ep, &c, &events, b);
    for (size_t i = 0; i < WATCHERS; i++)
        grpc_call_send(b->watch_call, buf_str(&m));
    while (b->n_created < WATCHERS && b->watch_call)
        uv_run(&b->loop, UV_RUN_ONCE);
}

static void etcd_unwatch(struct bench *b)
{
    if (b->watch_call)
        grpc_cancel(b->watch_call);
    while (b->watch_call)
        uv_run(&b->loop, UV_RUN_ONCE);
}

static const struct target ours = { "ours", ours_write, ours_watch, ours_unwatch };
static const struct target etcd = { "etcd", etcd_write, etcd_watch, etcd_unwatch };

/* ---- etcd's process ---- */

static unsigned free_port(void)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t n = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof a) ||
        getsockname(fd, (struct sockaddr *)&a, &n)) {
        perror("port");
        exit(1);
    }
    close(fd);
    return ntohs(a.sin_port);
}

static void etcd_exec(const struct bench *b, unsigned peer_port)
{
    auto_free char *client = mem_printf("http://127.0.0.1:%u", b->port);
    auto_free char *peer = mem_printf("http://127.0.0.1:%u", peer_port);
    auto_free char *cluster = mem_printf("bench=%s", peer);
    auto_free char *log = mem_printf("%s.log", b->dir);

    prctl(PR_SET_PDEATHSIG, SIGKILL); /* it goes with us */
    if (!freopen(log, "we", stderr) || !freopen("/dev/null", "we", stdout))
        _exit(126);
    execlp("etcd", "etcd", "--name=bench", "--data-dir", b->dir, "--listen-client-urls", client,
           "--advertise-client-urls", client, "--listen-peer-urls", peer,
           "--initial-advertise-peer-urls", peer, "--initial-cluster", cluster, "--log-level=error",
           "--quota-backend-bytes=8589934592", (char *)NULL);
    _exit(127);
}

static void on_first(void *arg, struct str reply, const struct err *e)
{
    (void)reply;
    *(int *)arg = e ? -1 : 1;
}

/* False: it cannot be started here. */
static bool etcd_start(struct bench *b, const char *dir)
{
    unsigned peer_port = free_port();
    uint64_t until = uv_hrtime() + START_MS * UINT64_C(1000000);
    auto_free char *authority = NULL;
    int answered = 0;

    b->port = free_port();
    snprintf(b->dir, sizeof b->dir, "%s/etcd.bench", dir);
    b->pid = fork();
    if (b->pid == 0)
        etcd_exec(b, peer_port);
    authority = mem_printf("127.0.0.1:%u", b->port);
    struct http_endpoint_config ec = { .authority = authority,
                                       .proto = HTTP_H2,
                                       .n_connections_max = 1 };
    http_endpoint_new(&b->ep, &b->loop, &ec);
    while (answered != 1 && uv_hrtime() < until) {
        auto_buf m = BUF(64);
        add_bytes(&m, 1, STR("none"));
        answered = 0;
        grpc_unary(b->ep, ETCD_RANGE, buf_str(&m), 2000, on_first, &answered);
        while (!answered)
            uv_run(&b->loop, UV_RUN_ONCE);
        if (waitpid(b->pid, NULL, WNOHANG) == b->pid) {
            b->pid = 0;
            break;
        }
        usleep(100000);
    }
    return answered == 1 && b->pid;
}

static void etcd_stop(struct bench *b)
{
    auto_free char *cmd = mem_printf("rm -rf '%s' '%s.log'", b->dir, b->dir);

    if (b->pid) {
        kill(b->pid, SIGTERM);
        waitpid(b->pid, NULL, 0);
    }
    if (b->ep)
        http_endpoint_close(b->ep, NULL, NULL);
    if (system(cmd))
        fprintf(stderr, "%s stays behind\n", b->dir);
}

/* ---- rounds ---- */

static double run_writers(struct bench *b, const struct target *t, int n)
{
    static struct writer w[WRITERS_MAX];
    uint64_t start = uv_hrtime();

    b->target = t;
    b->n_done = b->n_events = 0;
    b->end_ns = start + (uint64_t)b->seconds * 1000000000u;
    for (int i = 0; i < n; i++) {
        w[i] = (struct writer){ .b = b };
        snprintf(w[i].key, sizeof w[i].key, "/registry/core/configmaps/bench-%llx/%d",
                 (unsigned long long)start, i);
        b->n_running++;
        t->write(&w[i]);
    }
    while (b->n_running)
        uv_run(&b->loop, UV_RUN_ONCE);
    return (double)b->n_done / ((double)(uv_hrtime() - start) / 1e9);
}

static double run_watch(struct bench *b, const struct target *t)
{
    uint64_t start;
    double rate;
    size_t want;

    t->watch(b);
    start = uv_hrtime();
    run_writers(b, t, 1);
    want = b->n_done * WATCHERS;
    while (b->n_events < want && uv_hrtime() < start + 120 * UINT64_C(1000000000))
        uv_run(&b->loop, UV_RUN_ONCE);
    rate = (double)b->n_events / ((double)(uv_hrtime() - start) / 1e9);
    if (b->n_events < want)
        fprintf(stderr, "%s: %zu events of %zu\n", t->name, b->n_events, want);
    t->unwatch(b);
    return rate;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static void compare(struct bench *b, int n_writers) /* 0: the watch */
{
    double v[2][ROUNDS];

    for (int i = 0; i < ROUNDS; i++)
        for (int k = 0; k < 2; k++) {
            const struct target *t =
                (i + k) % 2 ? &etcd : &ours; /* whose turn is first alternates */
            v[t == &etcd][i] = n_writers ? run_writers(b, t, n_writers) : run_watch(b, t);
        }
    qsort(v[0], ROUNDS, sizeof v[0][0], by_value);
    qsort(v[1], ROUNDS, sizeof v[1][0], by_value);
    if (n_writers)
        printf("durable writes, %3d writers", n_writers);
    else
        printf("events, one writer, %d watchers", WATCHERS);
    printf(": ours %.0f/s, etcd %.0f/s, ratio %.2f\n", v[0][ROUNDS / 2], v[1][ROUNDS / 2],
           v[0][ROUNDS / 2] / v[1][ROUNDS / 2]);
}

int main(int argc, char **argv)
{
    static const char *const suffixes[] = { "", "-wal", ".lock" };
    static struct bench b;
    struct err e;

    if (argc < 2) {
        fprintf(stderr, "usage: %s DIR [SECONDS]\n", argv[0]);
        return 2;
    }
    b.seconds = argc > 2 ? atoi(argv[2]) : 3;
    loop_ignore_sigpipe();
    setvbuf(stdout, NULL, _IOLBF, 0);
    memset(value, 'v', sizeof value);
    uv_loop_init(&b.loop);
    auto_free char *path = mem_printf("%s/peer.db", argv[1]);
    if (store_sqlite_open(&b.store, &b.loop, path, &e)) {
        fprintf(stderr, "%s\n", e.text);
        return 1;
    }
    if (etcd_start(&b, argv[1])) {
        compare(&b, 1);
        compare(&b, 64);
        compare(&b, 200);
        compare(&b, 0);
    } else {
        printf("etcd cannot be started: make deps-bench installs it\n");
    }
    etcd_stop(&b);
    store_close(b.store, NULL, NULL);
    uv_run(&b.loop, UV_RUN_DEFAULT);
    uv_loop_close(&b.loop);
    for (size_t i = 0; i < ARRAY_LEN(suffixes); i++) {
        auto_free char *p = mem_printf("%s%s", path, suffixes[i]);
        unlink(p);
    }
    return b.n_errors != 0;
}
