/*
 * hop_bench DIR [SECONDS]: bulk through one tunnel stream, each direction, both protocols, against
 * one TLS hop made of two HAProxy processes, in turns within one run: same client, same source and
 * sink, same bytes, the only TLS is the one between the two middle processes.
 *
 *   client --tcp--> near end ==TLS==> far end --tcp--> source and sink
 *                   tunnel server     tunnel client
 *                   haproxy           haproxy
 *
 * One process each. Prints medians, ratios, and the CPU time of both middle processes. Without
 * HAProxy only our own figures. Then an echo of a key stroke's size, idle and beside a bulk stream
 * that takes all it gets; what runs beside HAProxy's has a connection of its own.
 */
#include "base/core/clock.h"
#include "base/core/mem.h"
#include "base/io/pump.h"
#include "base/io/tcp.h"
#include "base/io/tls.h"
#include "base/pki/issue.h"
#include "base/pki/key.h"
#include "base/pki/x509.h"
#include "tunnel/client.h"
#include "tunnel/server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ROUNDS = 3, BLOCK = 256 * 1024, DIAL_MS = 2000, WARM_MS = 200, START_TRIES = 100 };

enum { OWN, REMOTEDIALER, HAPROXY, N_WAYS };
static const char *const way_names[N_WAYS] = { "coracle.v1", "remotedialer", "haproxy" };
static const char *const direction_names[2] = { "server to agent", "agent to server" };

static struct cert {
    char *cert_pem, *key_pem;
} ca, server_cert, node_cert;

_Noreturn static void die(const char *what)
{
    perror(what);
    exit(1);
}

_Noreturn static void die_err(const struct err *e)
{
    fprintf(stderr, "hop_bench: %s\n", e->text);
    exit(1);
}

/* ---- certificates ---- */

static void cert_texts(struct cert *c, const struct x509 *x, const struct key *k)
{
    auto_buf cert = BUF(KEY_PEM_MAX_BYTES), key = BUF(KEY_PEM_MAX_BYTES);
    struct err e;

    if (x509_to_pem(x, &cert) || key_to_pem(k, &key, &e))
        die("certificate as PEM");
    c->cert_pem = mem_strndup(cert.p, cert.n);
    c->key_pem = mem_strndup(key.p, key.n);
}

static void leaf(struct cert *c, const struct x509 *by, const struct key *by_key, const char *name,
                 bool server)
{
    static const char *const sans[] = { "127.0.0.1" };
    struct issue_spec spec = { .common_name = name,
                               .client_auth = !server,
                               .server_auth = server,
                               .sans = sans,
                               .n_sans = server };
    AUTO(key) struct key *k = NULL;
    AUTO(x509) struct x509 *x = NULL;
    struct err e;

    if (key_generate(&k, KEY_P256, &e) || issue_leaf(&x, by, by_key, k, &spec, clock_wall_s(), &e))
        die_err(&e);
    cert_texts(c, x, k);
}

static void make_certs(void)
{
    AUTO(key) struct key *k = NULL;
    AUTO(x509) struct x509 *x = NULL;
    struct err e;

    if (key_generate(&k, KEY_P256, &e) || issue_ca(&x, k, "bench", clock_wall_s(), &e))
        die_err(&e);
    cert_texts(&ca, x, k);
    leaf(&server_cert, x, k, "server", true);
    leaf(&node_cert, x, k, "system:node:n1", false);
}

/* ---- source and sink: one letter, then d: sends for ever, u: one byte back (the first byte is
 * the only acknowledgement of a dial that remotedialer has), then reads for ever, e: echoes ---- */

static pid_t spawn(void)
{
    pid_t pid;

    fflush(stdout);
    signal(SIGPIPE, SIG_IGN); /* as the program does */
    pid = fork();
    if (pid < 0)
        die("fork");
    if (pid == 0)
        prctl(PR_SET_PDEATHSIG, SIGKILL);
    return pid;
}

static int listen_on(uint16_t *port)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t n = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || bind(fd, (struct sockaddr *)&a, n) || listen(fd, 16) ||
        getsockname(fd, (struct sockaddr *)&a, &n))
        die("listen");
    *port = ntohs(a.sin_port);
    return fd;
}

static void no_delay(int fd)
{
    int one = 1;

    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

_Noreturn static void serve(int l)
{
    static char block[BLOCK];
    ssize_t n = 1;

    signal(SIGCHLD, SIG_IGN);
    for (int fd; (fd = accept(l, NULL, NULL)) >= 0; close(fd)) {
        if (spawn() > 0)
            continue;
        if (recv(fd, block, 1, 0) == 1) {
            if (block[0] == 'd')
                while (send(fd, block, BLOCK, MSG_NOSIGNAL) > 0)
                    ;
            else if (block[0] == 'e')
                for (no_delay(fd); n > 0 && send(fd, block, (size_t)n, MSG_NOSIGNAL) > 0;)
                    n = recv(fd, block, BLOCK, 0);
            else if (send(fd, block, 1, MSG_NOSIGNAL) == 1)
                while (recv(fd, block, BLOCK, 0) > 0)
                    ;
        }
        _exit(0);
    }
    die("accept");
}

/* ---- our two ends ---- */

struct near { /* lives as long as its process */
    uv_loop_t loop;
    struct tls_server_config *tls;
    struct http_server *http;
    struct tunnel_server *ts;
    char target[32];
};

static void near_on_request(struct http_req *r, void *arg)
{
    struct near *w = arg;

    tunnel_server_accept(w->ts, r, STR("n1"));
}

static void near_on_tunnel(void *arg, struct stream *s)
{
    struct near *w = arg;

    http_server_serve(w->http, tls_server_wrap(w->tls, s));
}

static void pumped(void *arg, const struct err *e)
{
    (void)arg;
    (void)e; /* the client ends by a reset */
}

static void near_dialed(void *arg, struct stream *s, const struct err *e)
{
    struct stream *client = arg;

    (void)e; /* not connected yet: the client tries again */
    if (s)
        pump_start((struct pump_end){ .stream = client }, (struct pump_end){ .stream = s }, pumped,
                   NULL);
    else
        stream_close(client);
}

static void near_on_client(void *arg, struct stream *s)
{
    struct near *w = arg;

    tunnel_server_dial(w->ts, "n1", w->target, DIAL_MS, near_dialed, s);
}

_Noreturn static void near_end(uint16_t target, bool remotedialer, int tell)
{
    static const char *const alpn[] = { "http/1.1", NULL };
    struct near *w = mem_alloc(sizeof *w);
    struct http_server_config hc = { .on_request = near_on_request, .arg = w };
    struct tunnel_server_config tc = { .remotedialer = remotedialer };
    struct listener *tunnels, *clients;
    uint16_t ports[2];
    struct err e;

    uv_loop_init(&w->loop);
    snprintf(w->target, sizeof w->target, "127.0.0.1:%u", target);
    if (tls_server_config_new(&w->tls, str_of(server_cert.cert_pem), str_of(server_cert.key_pem),
                              str_of(ca.cert_pem), alpn, &e))
        die_err(&e);
    http_server_new(&w->http, &w->loop, &hc);
    tunnel_server_new(&w->ts, &w->loop, &tc);
    if (tcp_listen(&tunnels, &w->loop, "127.0.0.1", 0, near_on_tunnel, w, &e) ||
        tcp_listen(&clients, &w->loop, "127.0.0.1", 0, near_on_client, w, &e))
        die_err(&e);
    ports[0] = listener_port(tunnels);
    ports[1] = listener_port(clients);
    if (write(tell, ports, sizeof ports) != sizeof ports)
        die("tell");
    uv_run(&w->loop, UV_RUN_DEFAULT);
    exit(1);
}

_Noreturn static void far_end(uint16_t server, uint16_t target, bool remotedialer)
{
    auto_free char *address = mem_printf("127.0.0.1:%u", server);
    struct tunnel_authorizer authorizer;
    struct tunnel_client_options o = { .ca_pem = str_of(ca.cert_pem),
                                       .cert_chain_pem = str_of(node_cert.cert_pem),
                                       .key_pem = str_of(node_cert.key_pem),
                                       .authorizer = &authorizer,
                                       .remotedialer = remotedialer };
    struct tunnel_client *c;
    uv_loop_t loop;
    struct err e;

    uv_loop_init(&loop);
    if (tunnel_authorizer_init(&authorizer, STR("agent"), &e))
        die_err(&e);
    authorizer.kubelet_port = target;
    if (tunnel_client_new(&c, &loop, address, &o, &e))
        die_err(&e);
    uv_run(&loop, UV_RUN_DEFAULT);
    exit(1);
}

/* ---- the ways ---- */

struct way {
    pid_t pids[2];
    uint16_t port;
    double rate[2][ROUNDS], cpu[2][ROUNDS]; /* MB/s, CPU us per MB of both processes */
};

static void start_tunnel(struct way *w, uint16_t target, bool remotedialer)
{
    uint16_t ports[2];
    int fds[2];

    if (pipe(fds))
        die("pipe");
    w->pids[0] = spawn();
    if (w->pids[0] == 0)
        near_end(target, remotedialer, fds[1]);
    close(fds[1]);
    if (read(fds[0], ports, sizeof ports) != sizeof ports)
        die("the tunnel's server end");
    close(fds[0]);
    w->pids[1] = spawn();
    if (w->pids[1] == 0)
        far_end(ports[0], target, remotedialer);
    w->port = ports[1];
}

static void write_file(const char *path, const char *a, const char *b)
{
    FILE *f = fopen(path, "we");

    if (!f || fprintf(f, "%s%s", a, b) < 0 || fclose(f))
        die(path);
}

/* What a port is free at the moment; HAProxy cannot tell which one the kernel chose. */
static uint16_t free_port(void)
{
    uint16_t port;

    close(listen_on(&port));
    return port;
}

static pid_t start_haproxy(const char *dir, const char *name, const char *lines)
{
    auto_free char *path = mem_printf("%s/%s.cfg", dir, name);
    pid_t pid;

    write_file(path,
               "global\n  nbthread 1\n  maxconn 512\ndefaults\n  mode tcp\n  timeout connect 5s\n"
               "  timeout client 60s\n  timeout server 60s\nlisten l\n",
               lines);
    pid = spawn();
    if (pid == 0) {
        int nul = open("/dev/null", O_WRONLY | O_CLOEXEC);
        dup2(nul, 1);
        dup2(nul, 2);
        execlp("haproxy", "haproxy", "-db", "-f", path, (char *)NULL);
        _exit(127);
    }
    return pid;
}

static void start_haproxies(struct way *w, const char *dir, uint16_t target)
{
    auto_free char *pem = mem_printf("%s/hop-server.pem", dir);
    auto_free char *node = mem_printf("%s/hop-node.pem", dir);
    auto_free char *trust = mem_printf("%s/hop-ca.pem", dir);
    uint16_t middle = free_port();

    w->port = free_port();
    write_file(pem, server_cert.cert_pem, server_cert.key_pem);
    write_file(node, node_cert.cert_pem, node_cert.key_pem);
    write_file(trust, ca.cert_pem, "");
    auto_free char *near = mem_printf("  bind 127.0.0.1:%u\n  server s 127.0.0.1:%u ssl crt %s "
                                      "ca-file %s verify required\n",
                                      w->port, middle, node, trust);
    auto_free char *far = mem_printf("  bind 127.0.0.1:%u ssl crt %s ca-file %s verify required\n"
                                     "  server s 127.0.0.1:%u\n",
                                     middle, pem, trust, target);
    w->pids[0] = start_haproxy(dir, "hop-near", near);
    w->pids[1] = start_haproxy(dir, "hop-far", far);
}

static void remove_files(const char *dir)
{
    static const char *const names[] = { "hop-server.pem", "hop-node.pem", "hop-ca.pem",
                                         "hop-near.cfg", "hop-far.cfg" };

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        auto_free char *path = mem_printf("%s/%s", dir, names[i]);
        unlink(path);
    }
}

/* ---- measuring ---- */

/* -1: nobody listens. Closing it is a reset, so that nothing waits for what is in flight. */
static int dial(uint16_t port)
{
    struct sockaddr_in a = { .sin_family = AF_INET,
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                             .sin_port = htons(port) };
    struct timeval patience = { .tv_sec = 5 };
    struct linger reset = { .l_onoff = 1 };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        die("socket");
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    no_delay(fd);
    if (connect(fd, (struct sockaddr *)&a, sizeof a)) {
        close(fd);
        return -1;
    }
    return fd;
}

static bool answers(uint16_t port)
{
    for (unsigned i = 0; i < START_TRIES; i++) {
        int fd = dial(port);
        char c = 'd';
        bool ok = fd >= 0 && send(fd, &c, 1, MSG_NOSIGNAL) == 1 && recv(fd, &c, 1, 0) == 1;

        if (fd >= 0)
            close(fd);
        if (ok)
            return true;
        usleep(50000);
    }
    return false;
}

/* User and system time so far of both middle processes. */
static double cpu_ms(const struct way *w)
{
    double sum = 0;

    for (size_t i = 0; i < 2; i++) {
        auto_free char *path = mem_printf("/proc/%d/stat", (int)w->pids[i]);
        unsigned long user = 0, sys = 0;
        FILE *f = fopen(path, "re");
        char text[1024];
        const char *p = f && fgets(text, sizeof text, f) ? strrchr(text, ')') : NULL;

        if (p &&
            sscanf(p + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &sys) == 2)
            sum += (double)(user + sys) * 1000 / (double)sysconf(_SC_CLK_TCK);
        if (f)
            fclose(f);
    }
    return sum;
}

static uint64_t now_ms(void)
{
    return uv_hrtime() / 1000000;
}

_Noreturn static void die_carry(bool up, uint64_t n_bytes)
{
    fprintf(stderr, "hop_bench: %s after %llu MB: %s\n", up ? "send" : "receive",
            (unsigned long long)(n_bytes / 1000000), strerror(errno));
    exit(1);
}

static uint64_t carry(int fd, bool up, char *block, uint64_t until_ms)
{
    uint64_t n_bytes = 0;

    while (now_ms() < until_ms) {
        ssize_t n = up ? send(fd, block, BLOCK, MSG_NOSIGNAL) : recv(fd, block, BLOCK, 0);
        if (n <= 0)
            die_carry(up, n_bytes);
        n_bytes += (uint64_t)n;
    }
    return n_bytes;
}

/* up: from the agent's side to the client, which is how logs and answers go. */
static void measure(struct way *w, bool up, unsigned round, double seconds)
{
    auto_free char *block = mem_alloc(BLOCK);
    int fd = dial(w->port);

    *block = up ? 'd' : 'u';
    if (fd < 0 || send(fd, block, 1, MSG_NOSIGNAL) != 1 || recv(fd, block, 1, 0) != 1)
        die("dial");
    carry(fd, !up, block, now_ms() + WARM_MS);
    double cpu = cpu_ms(w), began = (double)now_ms();
    double mb = (double)carry(fd, !up, block, now_ms() + (uint64_t)(seconds * 1000)) / 1e6;
    w->rate[up][round] = mb / (((double)now_ms() - began) / 1000);
    w->cpu[up][round] = (cpu_ms(w) - cpu) * 1000 / mb;
    close(fd);
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double median(const double v[ROUNDS])
{
    double sorted[ROUNDS];

    memcpy(sorted, v, sizeof sorted);
    qsort(sorted, ROUNDS, sizeof *sorted, by_size);
    return sorted[ROUNDS / 2];
}

/* ---- an echo beside bulk ---- */

struct echo { /* us, medians of the rounds */
    double p50[ROUNDS], p99[ROUNDS];
};

static void measure_echo(struct echo *out, const struct way *w, unsigned round, double seconds)
{
    static double took_us[200 * 1000];
    uint64_t end_ms = now_ms() + (uint64_t)(seconds * 1000), t;
    int fd = dial(w->port);
    size_t n = 0;
    char c = 'e';

    if (fd < 0 || send(fd, &c, 1, MSG_NOSIGNAL) != 1 || recv(fd, &c, 1, 0) != 1)
        die("dial");
    while (now_ms() < end_ms && n < ARRAY_LEN(took_us)) {
        usleep(1000); /* nobody types faster */
        t = uv_hrtime();
        if (send(fd, &c, 1, MSG_NOSIGNAL) != 1 || recv(fd, &c, 1, 0) != 1)
            die("echo");
        took_us[n++] = (double)(uv_hrtime() - t) / 1000;
    }
    close(fd);
    qsort(took_us, n, sizeof *took_us, by_size);
    out->p50[round] = took_us[n / 2];
    out->p99[round] = took_us[n * 99 / 100];
}

static pid_t start_bulk(const struct way *w)
{
    pid_t pid = spawn();

    if (pid == 0) {
        char *block = mem_alloc(BLOCK);
        int fd = dial(w->port);

        *block = 'd';
        if (fd < 0 || send(fd, block, 1, MSG_NOSIGNAL) != 1)
            die("dial");
        carry(fd, false, block, UINT64_MAX);
    }
    usleep(WARM_MS * 1000);
    return pid;
}

static void echoes(struct way ways[N_WAYS], size_t n_ways, double seconds)
{
    struct echo idle[N_WAYS], beside[N_WAYS];

    for (unsigned round = 0; round < ROUNDS; round++)
        for (size_t i = 0; i < n_ways; i++) {
            size_t k = (i + round) % n_ways;
            pid_t bulk;

            measure_echo(&idle[k], &ways[k], round, seconds);
            bulk = start_bulk(&ways[k]);
            measure_echo(&beside[k], &ways[k], round, seconds);
            kill(bulk, SIGKILL);
            waitpid(bulk, NULL, 0);
            usleep(WARM_MS * 1000);
        }
    for (size_t k = 0; k < n_ways; k++)
        printf("echo, %-12s idle p50 %5.0f us, p99 %5.0f us; beside bulk p50 %5.0f us (%.1fx), "
               "p99 %5.0f us (%.1fx; goal <= 3)\n",
               way_names[k], median(idle[k].p50), median(idle[k].p99), median(beside[k].p50),
               median(beside[k].p50) / median(idle[k].p50), median(beside[k].p99),
               median(beside[k].p99) / median(idle[k].p99));
}

int main(int argc, char **argv)
{
    static const double goals[N_WAYS] = { 0.6, 0.4, 1 };
    const char *dir = argc > 1 ? argv[1] : ".";
    double seconds = argc > 2 ? atof(argv[2]) : 2;
    struct way ways[N_WAYS] = { 0 };
    size_t n_ways = N_WAYS;
    uint16_t target;
    int l = listen_on(&target);
    pid_t server;

    prctl(PR_SET_CHILD_SUBREAPER, 1); /* what the source leaves behind is waited for, too */
    make_certs();
    server = spawn();
    if (server == 0)
        serve(l);
    close(l);
    start_tunnel(&ways[OWN], target, false);
    start_tunnel(&ways[REMOTEDIALER], target, true);
    start_haproxies(&ways[HAPROXY], dir, target);
    if (!answers(ways[OWN].port) || !answers(ways[REMOTEDIALER].port)) {
        fprintf(stderr, "hop_bench: a tunnel did not come up\n");
        return 1;
    }
    if (waitpid(ways[HAPROXY].pids[0], NULL, WNOHANG) != 0 || !answers(ways[HAPROXY].port)) {
        printf("haproxy: missing or not starting, so there is no ratio (make deps-bench)\n");
        n_ways = HAPROXY;
    }
    remove_files(dir);
    for (unsigned up = 0; up < 2; up++)
        for (unsigned round = 0; round < ROUNDS; round++)
            for (size_t k = 0; k < n_ways; k++) /* who begins alternates */
                measure(&ways[(k + round) % n_ways], up, round, seconds);
    for (unsigned up = 0; up < 2; up++)
        for (size_t k = 0; k < n_ways; k++) {
            double rate = median(ways[k].rate[up]);

            printf("one stream, %s, %-12s %7.0f MB/s, %6.0f us CPU per MB", direction_names[up],
                   way_names[k], rate, median(ways[k].cpu[up]));
            if (k != HAPROXY && n_ways > HAPROXY)
                printf(", %.2fx of haproxy (goal >= %.1f)", rate / median(ways[HAPROXY].rate[up]),
                       goals[k]);
            printf("\n");
        }
    echoes(ways, n_ways, seconds);
    for (size_t k = 0; k < n_ways; k++)
        for (size_t i = 0; i < 2; i++)
            kill(ways[k].pids[i], SIGKILL);
    kill(server, SIGKILL);
    while (wait(NULL) > 0)
        ;
    return 0;
}
