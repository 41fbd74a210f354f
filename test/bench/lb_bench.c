/*
 * lb_bench DIR [SECONDS]: the balancer against HAProxy (tcp mode, one thread, splice on): bulk
 * throughput in both directions and new connections per second, same client, same server, same
 * bytes, in turns within one run. One process each: client (this one), server, balancer, HAProxy.
 * Figures on stdout: the median of the rounds, the ratio, and the CPU time that each took for the
 * same work. Without HAProxy only our own figures are printed.
 */
#include "base/core/mem.h"
#include "lb/balancer.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <netinet/tcp.h>
#include <unistd.h>

enum { ROUNDS = 5, BLOCK = 256 * 1024, SMALL = 512, PARALLEL = 8, EVENTS = 64 };

enum job { DOWN, UP, CONNECT, N_JOBS };
static const char *const job_names[N_JOBS] = { "bulk, server to client", "bulk, client to server",
                                               "new connections" };
static const char *const job_units[N_JOBS] = { "MB/s", "MB/s", "1/s" };

static char block[BLOCK];

static void die(const char *what)
{
    int status;
    pid_t pid;

    perror(what);
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
        fprintf(stderr, "process %d ended: signal %d, exit %d\n", (int)pid, WTERMSIG(status),
                WEXITSTATUS(status));
    exit(1);
}

static int listen_on(uint16_t *port)
{
    struct sockaddr_in a = { .sin_family = AF_INET,
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                             .sin_port = htons(*port) };
    socklen_t n = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1;

    if (fd < 0)
        die("socket");
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&a, n) || listen(fd, 4096) ||
        getsockname(fd, (struct sockaddr *)&a, &n))
        die("listen");
    *port = ntohs(a.sin_port);
    return fd;
}

/* ---- the server: reads one letter: d sends for ever, u reads for ever, c answers SMALL bytes ----
 */

static void serve_one(int ep, int fd, char *mode)
{
    char in[BLOCK];

    if (!*mode) {
        ssize_t n = recv(fd, in, SMALL, 0);
        if (n <= 0) {
            if (n == 0 || errno != EAGAIN)
                close(fd);
            return;
        }
        *mode = in[0];
    }
    if (*mode == 'c') { /* one request, one answer, then the client ends */
        if (send(fd, block, SMALL, MSG_NOSIGNAL) < 0)
            perror("answer");
        *mode = 'e';
        return;
    }
    for (int i = 0; i < 16; i++) {
        ssize_t n = *mode == 'd' ? send(fd, block, BLOCK, MSG_NOSIGNAL) : recv(fd, in, BLOCK, 0);
        if (n > 0)
            continue;
        if (n < 0 && errno == EAGAIN)
            return;
        *mode = 0;
        close(fd);
        return;
    }
    struct epoll_event ev = { .events = EPOLLIN | EPOLLOUT | EPOLLET, .data.fd = fd };
    epoll_ctl(ep, EPOLL_CTL_MOD, fd, &ev);
}

static void serve(int l)
{
    static char modes[65536];
    int ep = epoll_create1(0);
    struct epoll_event ev = { .events = EPOLLIN, .data.fd = l }, got[EVENTS];

    epoll_ctl(ep, EPOLL_CTL_ADD, l, &ev);
    for (;;) {
        int n = epoll_wait(ep, got, EVENTS, -1);
        for (int i = 0; i < n; i++) {
            if (got[i].data.fd != l) {
                serve_one(ep, got[i].data.fd, &modes[got[i].data.fd]);
                continue;
            }
            for (int fd; (fd = accept4(l, NULL, NULL, SOCK_NONBLOCK)) >= 0;) {
                ev = (struct epoll_event){ .events = EPOLLIN | EPOLLOUT | EPOLLET, .data.fd = fd };
                modes[fd] = 0;
                epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev);
            }
        }
    }
}

/* ---- the client ---------------------------------------------------------------------------------
 */

static int dial(uint16_t port)
{
    struct sockaddr_in a = { .sin_family = AF_INET,
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                             .sin_port = htons(port) };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
    struct timeval patience = { .tv_sec = 10 };

    if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof a)) {
        fprintf(stderr, "port %u: ", port);
        die("connect");
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    return fd;
}

/* MB/s over one connection. */
static double bulk(uint16_t port, bool up, double seconds)
{
    char *buffer = mem_alloc(BLOCK);
    uint64_t began = uv_hrtime(), end, n_bytes = 0;
    int fd = dial(port);

    buffer[0] = up ? 'u' : 'd';
    if (send(fd, buffer, up ? BLOCK : 1, 0) < 0)
        die("send");
    end = began + (uint64_t)(seconds * 1e9);
    while (uv_hrtime() < end) {
        ssize_t n = up ? send(fd, buffer, BLOCK, 0) : recv(fd, buffer, BLOCK, 0);
        if (n <= 0)
            die(up ? "send" : "receive");
        n_bytes += (uint64_t)n;
    }
    close(fd);
    free(buffer);
    return (double)n_bytes / 1e6 / ((double)(uv_hrtime() - began) / 1e9);
}

/* Connect, a small request, its answer, close; PARALLEL at a time. */
static double connects(uint16_t port, double seconds)
{
    struct pollfd fds[PARALLEL];
    size_t got[PARALLEL] = { 0 };
    uint64_t began = uv_hrtime(), end = began + (uint64_t)(seconds * 1e9), n_done = 0;
    struct linger no_wait = { .l_onoff = 1 };
    char buffer[SMALL] = "c";

    for (int i = 0; i < PARALLEL; i++)
        fds[i].fd = -1;
    while (uv_hrtime() < end) {
        for (int i = 0; i < PARALLEL; i++) {
            if (fds[i].fd >= 0)
                continue;
            fds[i] = (struct pollfd){ .fd = dial(port), .events = POLLIN };
            got[i] = 0;
            buffer[0] = 'c';
            if (send(fds[i].fd, buffer, SMALL, 0) != SMALL)
                die("send");
        }
        if (poll(fds, PARALLEL, 10000) <= 0)
            die("poll");
        for (int i = 0; i < PARALLEL; i++) {
            if (!fds[i].revents)
                continue;
            ssize_t n = recv(fds[i].fd, buffer, SMALL, 0);
            if (n <= 0)
                die("answer");
            got[i] += (size_t)n;
            if (got[i] < SMALL)
                continue;
            /* a reset, so that no port waits in TIME_WAIT; both peers see the same */
            setsockopt(fds[i].fd, SOL_SOCKET, SO_LINGER, &no_wait, sizeof no_wait);
            close(fds[i].fd);
            fds[i].fd = -1;
            n_done++;
        }
    }
    for (int i = 0; i < PARALLEL; i++)
        if (fds[i].fd >= 0)
            close(fds[i].fd);
    return (double)n_done / ((double)(uv_hrtime() - began) / 1e9);
}

/* ---- the processes ------------------------------------------------------------------------------
 */

static pid_t spawn(void)
{
    pid_t pid = fork();

    if (pid < 0)
        die("fork");
    if (pid == 0)
        prctl(PR_SET_PDEATHSIG, SIGKILL);
    return pid;
}

static void balance(uint16_t server_port, int tell)
{
    auto_free char *seed = mem_printf("127.0.0.1:%u", server_port);
    struct balancer_options o = { .name = "bench", .seed = seed, .n_conns_max = 4096 };
    struct balancer *b;
    uv_loop_t loop;
    struct err e;
    uint16_t port;

    signal(SIGPIPE, SIG_IGN); /* as the program does */
    uv_loop_init(&loop);
    if (balancer_new(&b, &loop, &o, &e)) {
        fprintf(stderr, "%s\n", e.text);
        exit(1);
    }
    port = balancer_port(b);
    if (write(tell, &port, sizeof port) != sizeof port)
        die("tell");
    uv_run(&loop, UV_RUN_DEFAULT);
}

static pid_t start_haproxy(const char *dir, uint16_t port, uint16_t server_port)
{
    auto_free char *path = mem_printf("%s/haproxy.cfg", dir);
    FILE *f = fopen(path, "w");
    pid_t pid;

    if (!f)
        die(path);
    fprintf(f,
            "global\n  nbthread 1\n  maxconn 4096\n"
            "defaults\n  mode tcp\n  option splice-request\n  option splice-response\n"
            "  option tcpka\n  timeout connect 10s\n  timeout client 60s\n  timeout server 60s\n"
            "listen l\n  bind 127.0.0.1:%u\n  server s 127.0.0.1:%u\n",
            port, server_port);
    fclose(f);
    pid = spawn();
    if (pid == 0) {
        int nul = open("/dev/null", O_WRONLY);
        dup2(nul, 1);
        dup2(nul, 2);
        execlp("haproxy", "haproxy", "-db", "-f", path, (char *)NULL);
        _exit(127);
    }
    return pid;
}

/* User and system time of a process so far, in milliseconds. */
static double cpu_ms(pid_t pid)
{
    char path[64], text[1024];
    unsigned long user = 0, sys = 0;
    const char *p;
    FILE *f;

    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    f = fopen(path, "r");
    if (!f)
        return 0;
    p = fgets(text, sizeof text, f) ? strrchr(text, ')') : NULL;
    fclose(f);
    if (p)
        sscanf(p + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &sys);
    return (double)(user + sys) * 1000 / (double)sysconf(_SC_CLK_TCK);
}

struct peer {
    const char *name;
    pid_t pid;
    uint16_t port;
    double rate[N_JOBS][ROUNDS], cpu_per[N_JOBS][ROUNDS];
};

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double median(double v[ROUNDS])
{
    double sorted[ROUNDS];

    memcpy(sorted, v, sizeof sorted);
    qsort(sorted, ROUNDS, sizeof *sorted, by_size);
    return sorted[ROUNDS / 2];
}

static void measure(struct peer *p, enum job job, int round, double seconds)
{
    double before = cpu_ms(p->pid);
    double rate = job == CONNECT ? connects(p->port, seconds) : bulk(p->port, job == UP, seconds);

    p->rate[job][round] = rate;
    p->cpu_per[job][round] = (cpu_ms(p->pid) - before) / (rate * seconds);
}

static bool answers(uint16_t port)
{
    struct sockaddr_in a = { .sin_family = AF_INET,
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                             .sin_port = htons(port) };
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    bool ok = connect(fd, (struct sockaddr *)&a, sizeof a) == 0;

    close(fd);
    return ok;
}

int main(int argc, char **argv)
{
    const char *dir = argc > 1 ? argv[1] : ".";
    double seconds = argc > 2 ? atof(argv[2]) / ROUNDS : 1;
    struct peer peers[2] = { { .name = "coracle" }, { .name = "haproxy" } };
    uint16_t server_port = 0;
    size_t n_peers = 1;
    int pipe_fds[2], l = listen_on(&server_port);
    pid_t server = spawn();

    if (server == 0)
        serve(l);
    close(l);
    if (pipe(pipe_fds))
        die("pipe");
    peers[0].pid = spawn();
    if (peers[0].pid == 0)
        balance(server_port, pipe_fds[1]);
    if (read(pipe_fds[0], &peers[0].port, 2) != 2)
        die("balancer");
    peers[1].port = (uint16_t)(20000 + getpid() % 10000); /* no port that outgoing ones get */
    peers[1].pid = start_haproxy(dir, peers[1].port, server_port);
    for (int i = 0; i < 50 && n_peers == 1; i++) {
        usleep(50000);
        if (answers(peers[1].port))
            n_peers = 2;
    }
    if (n_peers == 1)
        printf("haproxy: missing or not starting, so there is no ratio (make deps-bench)\n");
    for (enum job j = 0; j < N_JOBS; j++) {
        for (int round = 0; round < ROUNDS; round++)
            for (size_t k = 0; k < n_peers; k++) /* who begins alternates */
                measure(&peers[(k + (size_t)round) % n_peers], j, round, seconds);
        for (size_t k = 0; k < n_peers; k++)
            printf("%-24s %-8s %10.0f %s, %.2f us CPU per %s\n", job_names[j], peers[k].name,
                   median(peers[k].rate[j]), job_units[j], median(peers[k].cpu_per[j]) * 1000,
                   j == CONNECT ? "connection" : "MB");
        if (n_peers == 2)
            printf("%-24s ratio    %10.2f, CPU per unit %.2f\n", job_names[j],
                   median(peers[0].rate[j]) / median(peers[1].rate[j]),
                   median(peers[0].cpu_per[j]) / median(peers[1].cpu_per[j]));
        fflush(stdout);
    }
    kill(server, SIGKILL);
    for (size_t k = 0; k < 2; k++)
        kill(peers[k].pid, SIGKILL);
    while (wait(NULL) > 0)
        ;
    return 0;
}
