#pragma once
/*
 * Etcd_proc: real members of etcd on loopback ports of their own (test/lib/port.h), children of the test that
 * die with it.
 */
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define ETCD_MEMBERS_MAX 3

struct etcd_member {
    char dir[160]; /* data, log and what the test puts there */
    unsigned client_port, peer_port;
    pid_t pid; /* 0: does not run */
};

struct etcd_procs {
    struct etcd_member v[ETCD_MEMBERS_MAX];
    size_t n;
    bool tls;             /* clients by TLS, with ca.crt, server.crt and server.key of certs */
    const char *certs;    /* a folder */
    const char *extra[8]; /* further flags, up to a NULL */
    char endpoints[256];  /* as --datastore-endpoint takes them */
};

bool etcd_is_installed(void);
/* n members below place; those that ran there before find their data. Returns when they answer to
 * connections; the leader may come later. */
void etcd_procs_start(struct etcd_procs *p, const char *place, size_t n);
void etcd_member_start(struct etcd_procs *p, size_t i);            /* one that was killed */
void etcd_member_begin(struct etcd_procs *p, size_t i);            /* does not wait for it */
void etcd_member_kill(struct etcd_procs *p, size_t i, int signal); /* SIGKILL: waits for it */
void etcd_procs_stop(struct etcd_procs *p);
