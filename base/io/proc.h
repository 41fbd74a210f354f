#pragma once
/*
 * Proc: a child process: started, its output logged or filed, stopped with patience, its end told.
 *
 * Loop thread only. The child gets our environment unless env is given, default signal dispositions
 * and no descriptor of ours but its three. proc_start fails at once or the child runs; on_exit then
 * comes exactly once, from the loop, when the child ended and its output is read, and the proc is
 * gone by then.
 */
#include "base/core/err.h"
#include "base/core/str.h"

#include <uv.h>

struct proc;

struct proc_exit {
    int code;          /* exit status, when signal is 0 */
    int signal;        /* what killed it */
    bool was_stopped;  /* proc_stop had been called */
    struct str output; /* PROC_COLLECT: what it wrote to stdout and stderr, valid in the call */
};

enum proc_output {
    PROC_LOG,     /* each line becomes a log line, rate-limited: child=NAME line=... */
    PROC_FILE,    /* appended to output_path, created 0640 */
    PROC_COLLECT, /* kept up to collect_max_bytes, the rest is dropped */
    PROC_NULL,
    PROC_INHERIT,
};

struct proc_config {
    const char *name;        /* for logs; all strings are copied or used during proc_start only */
    const char *const *argv; /* NULL-terminated; argv[0] is looked up in PATH without a slash */
    const char *const *env;  /* NULL-terminated "K=V"; NULL: ours */
    const char *cwd;         /* NULL: ours */
    struct str input;        /* written to its stdin, which then ends; empty: /dev/null */
    enum proc_output output;
    const char *output_path;
    size_t collect_max_bytes; /* 0: 64 KiB */
    uint64_t timeout_ms;      /* then it is stopped, stop_grace_ms 1 s; 0: none */
    bool die_with_parent;     /* SIGTERM when our process goes (PR_SET_PDEATHSIG) */
    void (*on_exit)(void *arg, const struct proc_exit *x);
    void *arg;
};

/* ERR_NOT_FOUND: no such program (or cwd); ERR_DENIED: it cannot be executed. */
MUST_USE int proc_start(struct proc **out, uv_loop_t *loop, const struct proc_config *c,
                        struct err *e);
/* Descriptors above 2 that we were started with are not passed on to children. For main. */
void proc_seal_descriptors(void);
/* Raises the limit of open descriptors to what the system allows us (RLIMIT_NOFILE, soft to hard);
 * returns it. Again is fine. Children get the raised limit too, as those of a Go program do. */
size_t proc_raise_descriptors(void);

int proc_pid(const struct proc *p);
/* SIGTERM now, SIGKILL after grace_ms. on_exit still comes. Again is fine: the shorter grace
 * counts. */
void proc_stop(struct proc *p, uint64_t grace_ms);
void proc_signal(struct proc *p, int signal);

/* "exit status 3", "killed by SIGKILL": for logs and errors. Returns out. */
#define PROC_EXIT_TEXT_BYTES 48
char *proc_exit_text(char out[PROC_EXIT_TEXT_BYTES], const struct proc_exit *x);
