#include "test/unit/server/store/etcd_proc.h"

#include "base/core/err.h"
#include "base/core/mem.h"
#include "test/lib/port.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define START_MS 60000

bool etcd_is_installed(void)
{
    return access("/usr/bin/etcd", X_OK) == 0;
}

static void die(const char *what)
{
    fprintf(stderr, "etcd for the test: %s: %s\n", what, strerror(errno));
    abort();
}

/* With the end of its log, which goes with the test's folder. */
static void die_of(const struct etcd_member *m)
{
    auto_free char *command = mem_printf("tail -n 20 %s/log >&2", m->dir);

    fprintf(stderr, "etcd for the test did not start:\n");
    err_ignore(system(command));
    abort();
}

static bool answers(unsigned port)
{
    struct sockaddr_in a = { .sin_family = AF_INET,
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                             .sin_port = htons((uint16_t)port) };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool ok = connect(fd, (struct sockaddr *)&a, sizeof a) == 0;

    close(fd);
    return ok;
}

struct args {
    char text[32][400];
    char *v[33];
    int n;
};

static void arg(struct args *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void arg(struct args *a, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(a->text[a->n], sizeof a->text[0], fmt, ap);
    va_end(ap);
    a->v[a->n] = a->text[a->n];
    a->v[++a->n] = NULL;
}

static void child(struct etcd_procs *p, size_t i, pid_t parent)
{
    struct etcd_member *m = &p->v[i];
    const char *scheme = p->tls ? "https" : "http";
    static struct args a;
    char cluster[256] = "", log[200];
    size_t n = 0;
    int fd;

    for (size_t j = 0; j < p->n; j++)
        n += (size_t)snprintf(cluster + n, sizeof cluster - n, "%sm%zu=http://127.0.0.1:%u",
                              j ? "," : "", j, p->v[j].peer_port);
    arg(&a, "etcd");
    arg(&a, "--name=m%zu", i);
    arg(&a, "--data-dir=%s/data", m->dir);
    arg(&a, "--listen-client-urls=%s://127.0.0.1:%u", scheme, m->client_port);
    arg(&a, "--advertise-client-urls=%s://127.0.0.1:%u", scheme, m->client_port);
    arg(&a, "--listen-peer-urls=http://127.0.0.1:%u", m->peer_port);
    arg(&a, "--initial-advertise-peer-urls=http://127.0.0.1:%u", m->peer_port);
    arg(&a, "--initial-cluster=%s", cluster);
    arg(&a, "--heartbeat-interval=50");
    arg(&a, "--election-timeout=500");
    arg(&a, "--logger=zap");
    arg(&a, "--log-level=warn");
    if (p->tls) {
        arg(&a, "--cert-file=%s/server.crt", p->certs);
        arg(&a, "--key-file=%s/server.key", p->certs);
        arg(&a, "--trusted-ca-file=%s/ca.crt", p->certs);
        arg(&a, "--client-cert-auth");
    }
    for (size_t j = 0; p->extra[j]; j++)
        arg(&a, "%s", p->extra[j]);
    snprintf(log, sizeof log, "%s/log", m->dir);
    fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
    if (fd < 0 || dup2(fd, 1) < 0 || dup2(fd, 2) < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) ||
        getppid() != parent)
        _exit(126);
    execv("/usr/bin/etcd", a.v);
    _exit(127);
}

void etcd_member_begin(struct etcd_procs *p, size_t i)
{
    struct etcd_member *m = &p->v[i];
    pid_t me = getpid();

    m->pid = fork();
    if (m->pid < 0)
        die("fork");
    if (m->pid == 0)
        child(p, i, me);
}

void etcd_member_start(struct etcd_procs *p, size_t i)
{
    struct etcd_member *m = &p->v[i];
    int status;

    etcd_member_begin(p, i);
    for (int ms = 0; !answers(m->client_port); ms += 10) {
        if (waitpid(m->pid, &status, WNOHANG) == m->pid || ms > START_MS)
            die_of(m);
        usleep(10 * 1000);
    }
}

void etcd_procs_start(struct etcd_procs *p, const char *place, size_t n)
{
    size_t len = 0;

    p->n = n;
    for (size_t i = 0; i < n; i++) {
        snprintf(p->v[i].dir, sizeof p->v[i].dir, "%s/m%zu", place, i);
        if (mkdir(p->v[i].dir, 0700) && errno != EEXIST)
            die(p->v[i].dir);
        p->v[i].client_port = port_reserve();
        p->v[i].peer_port = port_reserve();
        len +=
            (size_t)snprintf(p->endpoints + len, sizeof p->endpoints - len, "%s%s://127.0.0.1:%u",
                             i ? "," : "", p->tls ? "https" : "http", p->v[i].client_port);
    }
    for (size_t i = 0; i + 1 < n; i++) /* they need each other: wait for the last */
        etcd_member_begin(p, i);
    etcd_member_start(p, n - 1);
    for (size_t i = 0; i < n; i++)
        for (int ms = 0; ms < START_MS && !answers(p->v[i].client_port); ms += 10)
            usleep(10 * 1000);
}

void etcd_member_kill(struct etcd_procs *p, size_t i, int signal)
{
    struct etcd_member *m = &p->v[i];
    int status;

    if (!m->pid || kill(m->pid, signal))
        return;
    if (signal == SIGSTOP)
        waitpid(m->pid, &status, WUNTRACED); /* its threads stop one after the other */
    if (signal != SIGKILL && signal != SIGTERM)
        return;
    waitpid(m->pid, &status, 0);
    m->pid = 0;
}

void etcd_procs_stop(struct etcd_procs *p)
{
    for (size_t i = 0; i < p->n; i++)
        etcd_member_kill(p, i, SIGKILL);
}
