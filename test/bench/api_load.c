/*
 * api_load WHERE COMMAND...: load on an API server, and on an etcd for comparison, over the same
 * HTTP/2 client.
 *
 *   api_load HOST:PORT CA CERT KEY create CLIENTS SECONDS    ConfigMaps of 1 KiB, each client one
 *                                                            after the other
 *   api_load etcd HOST:PORT create CLIENTS SECONDS           the transactions that kube-apiserver
 *                                                            would send for them
 *   api_load HOST:PORT CA CERT KEY fill N                    N Pods of 4 kB, 32 at a time; every
 *                                                            hundredth has the label pick=yes
 *   api_load HOST:PORT CA CERT KEY fan WATCHERS ROUNDS       one write at a time to watchers of its
 *                                                            namespace
 *
 * create prints "per-second errors"; fan, for each round, the ms from the sending of the write to
 * its tenth delivery and to its last.
 */
#include "base/core/mem.h"
#include "base/http/grpc.h"
#include "base/io/file.h"
#include "base/io/loop.h"
#include "base/io/tls.h"
#include "server/store/etcd_msg.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    CLIENTS_MAX = 256,
    CALL_MS = 30000,
    PEM_MAX = 1 << 20,
    CONFIG_MAP_BYTES = 1024,
    POD_BYTES = 4000,
    FILL_CLIENTS = 32,
    WATCHES_PER_CONNECTION = 100,
    CONNECTIONS_MAX = 64,
    FIRST_N = 10,
};

#define CONFIG_MAPS "/api/v1/namespaces/default/configmaps"

struct load {
    uv_loop_t loop;
    struct tls_client_config *tls;
    const char *authority;
    bool etcd;
    struct http_endpoint *ep[CONNECTIONS_MAX];
    size_t n_eps;
    uint64_t run; /* tells the names of this run from those of others */
    uint64_t end_ns;
    size_t n_left, n_done, n_errors, n_running; /* left: of a fill */
    bool pods;
    size_t n_heads, n_events, n_wanted; /* fan */
    uint64_t first_ns, last_ns;
    char version[32]; /* where the watches begin */
};

struct client {
    struct load *l;
    unsigned number;
    uint64_t n;
};

static _Noreturn void die(const char *what, const char *why)
{
    fprintf(stderr, "api_load: %s: %s\n", what, why);
    exit(1);
}

static void endpoint(struct load *l, struct http_endpoint **out)
{
    struct http_endpoint_config c = {
        .authority = l->authority, .tls = l->tls, .proto = HTTP_H2, .n_connections_max = 1
    };

    http_endpoint_new(out, &l->loop, &c);
}

/* ---- bodies ---- */

static void pad(struct buf *b, size_t bytes, const char *tail)
{
    while (b->n + strlen(tail) < bytes)
        err_ignore(buf_addc(b, 'v')); /* far below the maximum */
    err_ignore(buf_adds(b, tail));
}

static void config_map(struct buf *b, const struct client *c)
{
    err_ignore(buf_addf(b,
                        "{\"kind\":\"ConfigMap\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":"
                        "\"load-%" PRIx64 "-%u-%" PRIu64 "\",\"namespace\":\"default\"},"
                        "\"data\":{\"v\":\"",
                        c->l->run, c->number, c->n));
    pad(b, CONFIG_MAP_BYTES, "\"}}");
}

static void pod(struct buf *b, const struct client *c)
{
    err_ignore(
        buf_addf(b,
                 "{\"kind\":\"Pod\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"load-%" PRIx64
                 "-%u-%" PRIu64 "\",\"namespace\":\"default\",\"labels\":{\"pick\":\"%s\"},"
                 "\"annotations\":{\"pad\":\"",
                 c->l->run, c->number, c->n, c->l->n_left % 100 == 0 ? "yes" : "no"));
    /* scheduled nowhere: what costs is keeping it */
    pad(b, POD_BYTES,
        "\"}},\"spec\":{\"schedulingGates\":[{\"name\":\"example.com/load\"}],\"containers\":"
        "[{\"name\":\"c\",\"image\":\"example.com/none\"}]}}");
}

/* ---- creates ---- */

static void create(struct client *c);

static void created(struct client *c, const char *problem)
{
    struct load *l = c->l;

    l->n_running--;
    l->n_done += !problem;
    if (problem && !l->n_errors++)
        fprintf(stderr, "api_load: %s\n", problem);
    if (l->end_ns ? uv_hrtime() < l->end_ns : l->n_left > 0)
        create(c);
}

static void on_answer(void *arg, int status, const struct http_headers *h, struct str body,
                      const struct err *e)
{
    auto_free char *text = NULL;
    (void)h;

    if (e || status != 201)
        text = e ? mem_strdup(e->text)
                 : mem_printf("%d: %.*s", status, (int)MIN(body.n, (size_t)300), body.p);
    created(arg, text);
}

static void on_txn(void *arg, struct str reply, const struct err *failure)
{
    struct etcd_answer a = { .n = 0 };
    struct err e;
    bool ok = !failure && !etcd_answer_read(&a, ETCD_ANSWER_TXN, reply, &e) && a.succeeded;

    etcd_answer_deinit(&a);
    created(arg, ok ? NULL : failure ? failure->text : "etcd did not create the key");
}

static void create_in_etcd(struct client *c, struct str value)
{
    auto_free char *key = mem_printf("/registry/configmaps/default/load-%" PRIx64 "-%u-%" PRIu64,
                                     c->l->run, c->number, c->n);
    struct store_obj *now = store_obj_new(str_of(key), value, 0, 0);
    struct store_write_op op = { .kind = STORE_CREATE, .key = str_of(key), .now = now };
    const struct store_write w = { .n_ops = 1, .ops = &op };
    auto_buf m = BUF(64 * 1024);

    err_ignore(etcd_pack_commit(&m, &w, NULL)); /* fits */
    grpc_unary(c->l->ep[0], ETCD_TXN, buf_str(&m), CALL_MS, on_txn, c);
    store_obj_unref(now);
}

static void create(struct client *c)
{
    const struct http_header json[] = { { STR("Content-Type"), STR("application/json") } };
    struct load *l = c->l;
    auto_buf b = BUF(16 * 1024);

    c->n++;
    if (l->pods)
        pod(&b, c);
    else
        config_map(&b, c);
    l->n_left -= l->n_left > 0;
    l->n_running++;
    if (l->etcd) {
        create_in_etcd(c, buf_str(&b));
        return;
    }
    struct http_call_config call = { .method = "POST",
                                     .target =
                                         l->pods ? "/api/v1/namespaces/default/pods" : CONFIG_MAPS,
                                     .headers = json,
                                     .n_headers = 1,
                                     .body = buf_str(&b),
                                     .timeout_ms = CALL_MS };
    http_fetch(l->ep[0], &call, 1 << 20, on_answer, c);
}

static void run_clients(struct load *l, size_t n)
{
    static struct client clients[CLIENTS_MAX];

    if (n - 1 >= CLIENTS_MAX)
        die("clients", "1 to 256 are possible");
    for (size_t i = 0; i < n; i++) {
        clients[i] = (struct client){ .l = l, .number = (unsigned)i };
        create(&clients[i]);
    }
    while (l->n_running)
        uv_run(&l->loop, UV_RUN_ONCE);
}

static int run_create(struct load *l, size_t clients, double seconds)
{
    uint64_t began;

    endpoint(l, &l->ep[l->n_eps++]);
    l->end_ns = 1; /* one each, so that the connection is there */
    run_clients(l, clients);
    l->n_done = 0;
    l->run++;
    began = uv_hrtime();
    l->end_ns = began + (uint64_t)(seconds * 1e9);
    run_clients(l, clients);
    printf("%.1f %zu\n", (double)l->n_done / ((double)(uv_hrtime() - began) / 1e9), l->n_errors);
    return l->n_errors != 0;
}

static int run_fill(struct load *l, size_t n)
{
    endpoint(l, &l->ep[l->n_eps++]);
    l->pods = true;
    l->n_left = n;
    run_clients(l, MIN(n, (size_t)FILL_CLIENTS));
    return l->n_errors != 0;
}

/* ---- watchers ---- */

static void on_head(struct http_call *c, void *arg, int status, const struct http_headers *h)
{
    (void)c;
    (void)h;
    if (status != 200)
        die("watch", "it was refused");
    ((struct load *)arg)->n_heads++;
}

/* A write is one event, and small: it comes in one piece or its end does. */
static void on_body(struct http_call *c, void *arg, const char *p, size_t n)
{
    struct load *l = arg;
    (void)c;

    if (!n || p[n - 1] != '\n')
        return;
    l->n_events++;
    if (l->n_events == FIRST_N)
        l->first_ns = uv_hrtime();
    if (l->n_events == l->n_wanted)
        l->last_ns = uv_hrtime();
}

static void on_done(struct http_call *c, void *arg, const struct err *e)
{
    (void)c;
    (void)arg;
    if (!e || e->code != ERR_CANCELED)
        die("watch", e ? e->text : "it ended");
}

static void on_list(void *arg, int status, const struct http_headers *h, struct str body,
                    const struct err *e)
{
    struct load *l = arg;
    (void)h;

    if (e || status != 200)
        die("list", e ? e->text : "it was refused");
    auto_free char *text = str_dup(body);
    const char *p = strstr(text, "\"resourceVersion\":\"");
    if (!p || sscanf(p, "\"resourceVersion\":\"%31[0-9]", l->version) != 1)
        die("list", "it has no version");
}

static void list_version(struct load *l)
{
    struct http_call_config list = { .method = "GET",
                                     .target = CONFIG_MAPS "?limit=1",
                                     .timeout_ms = CALL_MS };

    http_fetch(l->ep[0], &list, 1 << 20, on_list, l);
    while (!l->version[0])
        uv_run(&l->loop, UV_RUN_ONCE);
}

static int run_fan(struct load *l, size_t watchers, size_t rounds)
{
    static const struct http_call_events events = { .on_head = on_head,
                                                    .on_body = on_body,
                                                    .on_done = on_done };
    struct http_call *call;

    if (watchers > (CONNECTIONS_MAX - 1) * WATCHES_PER_CONNECTION || watchers < FIRST_N)
        die("watchers", "10 to 6300 are possible");
    endpoint(l, &l->ep[l->n_eps++]); /* the writer's */
    list_version(l);
    auto_free char *target = mem_printf(CONFIG_MAPS "?watch=true&resourceVersion=%s", l->version);
    struct http_call_config watch = { .method = "GET", .target = target };
    for (size_t i = 0; i < watchers; i++) {
        if (i % WATCHES_PER_CONNECTION == 0)
            endpoint(l, &l->ep[l->n_eps++]);
        http_call_start(&call, l->ep[l->n_eps - 1], &watch, &events, l);
    }
    while (l->n_heads < watchers)
        uv_run(&l->loop, UV_RUN_ONCE);
    for (size_t i = 0; i < rounds; i++) {
        uint64_t began = uv_hrtime();

        l->n_events = 0;
        l->n_wanted = watchers;
        l->end_ns = 1; /* one create */
        l->run++;
        run_clients(l, 1);
        while (l->n_events < watchers)
            uv_run(&l->loop, UV_RUN_ONCE);
        printf("%.2f %.2f\n", (double)(l->first_ns - began) / 1e6,
               (double)(l->last_ns - began) / 1e6);
    }
    return l->n_errors != 0;
}

/* ---- options ---- */

static struct tls_client_config *tls_of(char **files)
{
    static const char *const alpn[] = { "h2", NULL };
    struct tls_client_config *tls;
    auto_buf ca = BUF(PEM_MAX), cert = BUF(PEM_MAX), key = BUF(PEM_MAX);
    struct err e;

    if (file_read(files[0], PEM_MAX, &ca, &e) || file_read(files[1], PEM_MAX, &cert, &e) ||
        file_read(files[2], PEM_MAX, &key, &e))
        die("credentials", e.text);
    struct tls_client_options o = { .ca_pem = buf_str(&ca),
                                    .cert_chain_pem = buf_str(&cert),
                                    .key_pem = buf_str(&key),
                                    .alpn = alpn };
    if (tls_client_config_new(&tls, &o, &e))
        die("credentials", e.text);
    return tls;
}

static int usage(void)
{
    fprintf(stderr, "usage: api_load HOST:PORT CA CERT KEY (create CLIENTS SECONDS | fill N | fan "
                    "WATCHERS ROUNDS)\n"
                    "       api_load etcd HOST:PORT create CLIENTS SECONDS\n");
    return 2;
}

int main(int argc, char **argv)
{
    static struct load l;
    int rc = 2;

    loop_ignore_sigpipe();
    uv_loop_init(&l.loop);
    l.run = (uint64_t)getpid() << 16;
    l.etcd = argc > 2 && strcmp(argv[1], "etcd") == 0;
    char **rest = argv + (l.etcd ? 3 : 5);
    int n = argc - (l.etcd ? 3 : 5);
    if (n < 2)
        return usage();
    l.authority = argv[l.etcd ? 2 : 1];
    l.tls = l.etcd ? NULL : tls_of(argv + 2);
    if (n == 3 && strcmp(rest[0], "create") == 0)
        rc = run_create(&l, strtoul(rest[1], NULL, 10), atof(rest[2]));
    else if (n == 2 && !l.etcd && strcmp(rest[0], "fill") == 0)
        rc = run_fill(&l, strtoul(rest[1], NULL, 10));
    else if (n == 3 && !l.etcd && strcmp(rest[0], "fan") == 0)
        rc = run_fan(&l, strtoul(rest[1], NULL, 10), strtoul(rest[2], NULL, 10));
    else
        return usage();
    for (size_t i = 0; i < l.n_eps; i++)
        http_endpoint_close(l.ep[i], NULL, NULL);
    uv_run(&l.loop, UV_RUN_DEFAULT);
    uv_loop_close(&l.loop);
    tls_client_config_free(l.tls);
    return rc;
}
