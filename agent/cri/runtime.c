/*
 * The runtime's states. Whatever a state waited for ends in runtime_step, with the outcome in err
 * (code 0: it went well).
 *
 *   PREPARE --> DIAL ---------> IMPORT ----------> RUNNING
 *   (pool)      Version and      pause image        Status, every 5 s, oftener until
 *     |  ^      Status, tried    (importer)         it says Ready
 *     v  |      every 25 ms..1 s
 *   backoff        ^                                  |
 *                  +---- the child ended, a call failed
 *
 *   NONE: --container-runtime-endpoint=/dev/null.  An external runtime skips PREPARE and IMPORT.
 *
 * Our containerd is one supervised child for our whole life; its end only moves us to DIAL. If it
 * runs but nobody answers at the socket for DIAL_STUCK_MS it is restarted: an older containerd that
 * was just ending has removed the new one's socket file then.
 *
 * Closing is a chain: pods (when asked) -> importer -> bridge (with the pods) -> calls -> child
 * -> timer.
 */
#include "agent/cri/runtime.h"

#include "agent/cri/config.h"
#include "agent/cri/host_probe.h"
#include "agent/cri/importer.h"
#include "base/core/buf.h"
#include "base/core/log.h"
#include "base/core/mem.h"
#include "base/io/backoff.h"
#include "base/io/file.h"
#include "base/io/supervise.h"
#include "base/io/timer.h"
#include "base/io/work.h"

#include <stdio.h>

#define CNI_BIN_DIR    "/usr/lib/cni"
#define STATUS_MS      5000
#define NOT_READY_MS   100 /* the CNI configuration may come at any moment */
#define CNI_SEEN_MS    20
#define NOT_READY_MAX  1000
#define DIAL_STUCK_MS  30000
#define STOP_GRACE_MS  10000
#define REMOVE_PODS_MS 90000
#define CONFIG_MAX     (64 * 1024)

enum runtime_state { NONE, PREPARE, DIAL, IMPORT, RUNNING };

struct prepare {             /* what the pool works on: copies */
    struct runtime *runtime; /* for on_prepared */
    char *root, *state, *socket, *config_path, *cni_conf_dir, *cni_bin_dir, *pause_image;
    char *archives_dir;
    char *snapshotter; /* NULL: find out */
    bool debug;
};

struct runtime {
    struct runtime_config c;
    enum runtime_state state;
    bool external;
    char *root, *run_dir, *socket, *conf_path, *cni_conf_path, *lease_dir, *archives_dir;
    char *list_path, *log_path, *pause_image, *snapshotter, *bridge;
    char *pod_cidr;

    struct cri *cri;
    struct cri_call *call; /* Version, Status or ImageStatus of this state machine */
    struct work *work;
    struct supervise *child;
    struct importer *importer;
    struct timer timer;
    struct backoff backoff;
    uint64_t dial_since_ms, not_ready_ms;
    struct err err;
    bool has_version; /* DIAL: Version has answered */
    bool pause_there;

    bool ready;
    char why[320];
    char version[96];

    bool closing, stop_pods;
    bool chain_began; /* of closing, see above */
    bool remove_bridge;
    struct proc *ip;
    unsigned n_removing;
    void (*done)(void *arg);
    void *done_arg;
};

static void runtime_step(struct runtime *r);
static void close_step(struct runtime *r);

static void on_timer(void *arg)
{
    struct runtime *r = arg;

    r->err.code = ERR_OK;
    runtime_step(r);
}

/* ---- what the owner sees ---- */

bool runtime_is_ready(const struct runtime *r)
{
    return r->ready;
}

const char *runtime_why(const struct runtime *r)
{
    return r->ready ? "" : r->why;
}

const char *runtime_version(const struct runtime *r)
{
    return r->version;
}

struct cri *runtime_cri(const struct runtime *r)
{
    return r->state == RUNNING && !r->closing ? r->cri : NULL;
}

bool runtime_is_importing(const struct runtime *r)
{
    return !r->external && (!r->importer || importer_is_busy(r->importer));
}

/* Last in its caller: the owner may close us. Only from the loop. */
static void set_ready(struct runtime *r, bool ready, const char *why)
{
    bool changed = r->ready != ready || (!ready && strcmp(r->why, why) != 0);

    if (!changed)
        return;
    if (ready)
        log_info("container runtime is ready", kv("runtime", r->version));
    else if (r->ready)
        log_warn("container runtime is not ready", kv("why", why));
    else
        log_debug("container runtime is not ready", kv("why", why));
    r->ready = ready;
    snprintf(r->why, sizeof r->why, "%s", why);
    r->c.on_change(r->c.arg);
}

/* ---- PREPARE, on the pool ---- */

static void prepare_free(struct prepare *p)
{
    free(p->root);
    free(p->state);
    free(p->socket);
    free(p->config_path);
    free(p->cni_conf_dir);
    free(p->cni_bin_dir);
    free(p->pause_image);
    free(p->archives_dir);
    free(p->snapshotter);
    free(p);
}

static int prepare_run(void *arg, struct err *e)
{
    struct prepare *p = arg;
    auto_buf text = BUF(CONFIG_MAX);
    struct config_containerd c = { .root = p->root,
                                   .state = p->state,
                                   .socket = p->socket,
                                   .pause_image = p->pause_image,
                                   .cni_bin_dir = p->cni_bin_dir,
                                   .cni_conf_dir = p->cni_conf_dir,
                                   .debug = p->debug };

    if (file_mkdirs(p->root, 0711, e) || file_mkdirs(p->state, 0711, e) ||
        file_mkdirs(p->cni_conf_dir, 0755, e) || file_mkdirs(p->archives_dir, 0755, e) ||
        file_mkdirs_for(p->config_path, 0755, e))
        return err_wrap(e, "prepare containerd");
    if (!p->snapshotter)
        p->snapshotter = mem_strdup(host_probe_has_overlayfs(p->root) ? "overlayfs" : "native");
    c.snapshotter = p->snapshotter;
    c.restrict_oom_score_adj = !host_probe_can_lower_oom_score();
    if (config_containerd(&text, &c))
        return err_set(e, ERR_LIMIT, "prepare containerd: its configuration is too long");
    if (file_write_if_changed(p->config_path, buf_str(&text), 0644, NULL, e))
        return err_wrap(e, "prepare containerd");
    return 0;
}

static void on_prepared(void *arg, const struct err *e)
{
    struct prepare *p = arg;
    struct runtime *r = p->runtime;

    r->work = NULL;
    r->err = e ? *e : (struct err){ 0 };
    if (!e) {
        free(r->snapshotter);
        r->snapshotter = STEAL(p->snapshotter);
    }
    prepare_free(p);
    runtime_step(r);
}

static void start_prepare(struct runtime *r)
{
    struct prepare *p = mem_alloc(sizeof *p);

    p->root = mem_strdup(r->root);
    p->state = mem_strdup(r->run_dir);
    p->socket = mem_strdup(r->socket);
    p->config_path = mem_strdup(r->conf_path);
    p->cni_conf_dir =
        mem_strndup(r->cni_conf_path, (size_t)(strrchr(r->cni_conf_path, '/') - r->cni_conf_path));
    p->cni_bin_dir = mem_strdup(r->c.cni_bin_dir ? r->c.cni_bin_dir : CNI_BIN_DIR);
    p->pause_image = mem_strdup(r->pause_image);
    p->archives_dir = mem_strdup(r->archives_dir);
    p->snapshotter = r->c.snapshotter ? mem_strdup(r->c.snapshotter) : NULL;
    p->debug = log_level_min == LOG_LVL_DEBUG;
    p->runtime = r;
    work_start(&r->work, r->c.loop, prepare_run, on_prepared, p);
}

/* ---- the child ---- */

static void lose(struct runtime *r, const char *why)
{
    if (r->state == NONE || r->state == PREPARE || r->closing)
        return;
    if (r->state != DIAL) {
        r->state = DIAL;
        r->dial_since_ms = uv_now(r->c.loop);
        r->has_version = false;
        backoff_reset(&r->backoff);
        timer_start_ms(&r->timer, backoff_next_ms(&r->backoff), on_timer, r);
    }
    set_ready(r, false, why);
}

static void on_child_started(void *arg, int pid)
{
    struct runtime *r = arg;

    log_info("containerd started", kv("pid", pid));
    r->dial_since_ms = uv_now(r->c.loop);
}

static void on_child_ended(void *arg, const struct err *e, uint64_t retry_ms)
{
    struct runtime *r = arg;
    char why[320];

    if (r->closing)
        return;
    log_warn("containerd ended, will start it again", kv("err", e->text), kv("retry_ms", retry_ms),
             kv("log", r->log_path));
    snprintf(why, sizeof why, "containerd ended: %s", e->text);
    lose(r, why);
}

static void start_child(struct runtime *r)
{
    const char *const argv[] = { "containerd", "--config", r->conf_path, NULL };
    struct supervise_config c = { .proc = { .name = "containerd",
                                            .argv = argv,
                                            .output = PROC_FILE,
                                            .output_path = r->log_path,
                                            .die_with_parent = true },
                                  .stop_grace_ms = STOP_GRACE_MS,
                                  .on_started = on_child_started,
                                  .on_ended = on_child_ended,
                                  .arg = r };

    supervise_new(&r->child, r->c.loop, &c);
}

/* ---- calls ---- */

static void outcome(struct runtime *r, const struct err *e)
{
    r->call = NULL;
    r->err = e ? *e : (struct err){ 0 };
    runtime_step(r);
}

static void on_version(void *arg, const struct cri_version *v, const struct err *e)
{
    struct runtime *r = arg;

    if (v) {
        snprintf(r->version, sizeof r->version, "%s://%s", v->runtime_name, v->runtime_version);
        r->has_version = true;
    }
    outcome(r, e);
}

/* DIAL and RUNNING: what the runtime thinks of itself becomes what we think of it. */
static void on_status(void *arg, const struct cri_status *s, const struct err *e)
{
    struct runtime *r = arg;
    bool ready = s && s->runtime_ready && s->network_ready && r->pause_there;
    char why[320] = "";

    if (s && !s->runtime_ready)
        snprintf(why, sizeof why, "container runtime is not ready: %s", s->runtime_why);
    else if (s && !s->network_ready)
        snprintf(why, sizeof why, "container network is not ready: %s", s->network_why);
    else if (s && !r->pause_there)
        snprintf(why, sizeof why, "the pause image is not imported yet");
    if (r->state != RUNNING || e || r->closing) {
        outcome(r, e);
        return;
    }
    r->call = NULL;
    r->not_ready_ms = ready ? NOT_READY_MS : MIN(2 * r->not_ready_ms, (uint64_t)NOT_READY_MAX);
    timer_start_ms(&r->timer, ready ? STATUS_MS : r->not_ready_ms, on_timer, r);
    set_ready(r, ready, why);
}

/* ---- IMPORT ---- */

static void on_pause(void *arg, const struct err *e)
{
    struct runtime *r = arg;

    if (r->closing)
        return;
    r->pause_there = !e;
    if (e) {
        set_ready(r, false, e->text);
    } else if (r->state == IMPORT) {
        r->err = (struct err){ 0 };
        runtime_step(r);
    }
}

static void on_archives(void *arg)
{
    struct runtime *r = arg;

    if (!r->closing)
        r->c.on_change(r->c.arg);
}

static void on_pause_status(void *arg, const struct cri_image *v, size_t n, const struct err *e)
{
    struct runtime *r = arg;
    struct importer_config c = { .loop = r->c.loop,
                                 .socket = r->socket,
                                 .snapshotter = r->snapshotter,
                                 .folder = r->archives_dir,
                                 .list_path = r->list_path,
                                 .force_pause = n == 0,
                                 .skip_pause = strcmp(r->pause_image, RUNTIME_PAUSE_IMAGE) != 0,
                                 .on_pause = on_pause,
                                 .on_change = on_archives,
                                 .arg = r };

    (void)v;
    if (e || r->closing) {
        outcome(r, e);
        return;
    }
    r->call = NULL;
    importer_start(&r->importer, &c); /* on_pause steps */
}

/* ---- the states ---- */

static void dial_failed(struct runtime *r)
{
    char why[320];

    if (r->state == DIAL) {
        if (r->child && supervise_pid(r->child) &&
            uv_now(r->c.loop) - r->dial_since_ms > DIAL_STUCK_MS) {
            log_warn("containerd does not answer, will restart it", kv("err", r->err.text));
            r->dial_since_ms = uv_now(r->c.loop);
            supervise_restart(r->child);
        }
        timer_start_ms(&r->timer, backoff_next_ms(&r->backoff), on_timer, r);
        snprintf(why, sizeof why, "container runtime does not answer: %s", r->err.text);
        set_ready(r, false, why);
        return;
    }
    snprintf(why, sizeof why, "container runtime does not answer: %s", r->err.text);
    lose(r, why);
}

static void on_network_told(void *arg, const struct err *e)
{
    (void)arg;
    if (e && e->code != ERR_CANCELED)
        log_warn("container runtime did not take the pod network", kv("err", e->text));
}

static void connected(struct runtime *r)
{
    backoff_reset(&r->backoff);
    if (!r->external && !r->importer) {
        r->state = IMPORT;
        r->call = cri_image_status(r->cri, r->pause_image, on_pause_status, r);
        return;
    }
    if (r->external) {
        r->pause_there = true; /* its owner's business */
        if (r->pod_cidr)
            cri_update_runtime_config(r->cri, r->pod_cidr, on_network_told, r);
    }
    r->state = RUNNING;
    r->not_ready_ms = NOT_READY_MS;
    r->call = cri_get_status(r->cri, on_status, r);
    r->c.on_change(r->c.arg); /* calls may be made now */
}

static void runtime_step(struct runtime *r)
{
    if (r->closing) {
        close_step(r);
        return;
    }
    switch (r->state) {
    case NONE:
        break;
    case PREPARE:
        if (r->work)
            break;
        if (r->err.code) {
            timer_start_ms(&r->timer, backoff_next_ms(&r->backoff), on_timer, r);
            log_warn("containerd cannot be started, will retry", kv("err", r->err.text));
            set_ready(r, false, r->err.text);
        } else if (!r->snapshotter) {
            start_prepare(r);
        } else {
            r->state = DIAL;
            r->backoff = (struct backoff)BACKOFF(25, 1000);
            r->dial_since_ms = uv_now(r->c.loop);
            start_child(r);
            timer_start_ms(&r->timer, backoff_next_ms(&r->backoff), on_timer, r);
        }
        break;
    case DIAL:
        if (r->call)
            break;
        if (r->err.code)
            dial_failed(r);
        else if (!r->has_version)
            r->call = cri_get_version(r->cri, on_version, r);
        else
            connected(r);
        break;
    case IMPORT:
        if (r->err.code)
            dial_failed(r);
        else if (r->pause_there)
            connected(r);
        break;
    case RUNNING:
        if (r->err.code)
            dial_failed(r);
        else if (!r->call)
            r->call = cri_get_status(r->cri, on_status, r);
        break;
    }
}

/* ---- start ---- */

static int endpoint_path(char **out, const char *endpoint, struct err *e)
{
    struct str s = str_of(endpoint);

    if (str_starts(s, STR("unix://")))
        endpoint += 7;
    if (*endpoint != '/')
        return err_set(e, ERR_INVALID,
                       "--container-runtime-endpoint=%s: not unix:///path and not /dev/null",
                       endpoint);
    *out = mem_strdup(endpoint);
    return 0;
}

int runtime_start(struct runtime **out, const struct runtime_config *c, struct err *e)
{
    bool none = c->endpoint && strcmp(c->endpoint, "/dev/null") == 0;
    char *socket = NULL;
    struct runtime *r;

    if (c->endpoint && *c->endpoint && !none && endpoint_path(&socket, c->endpoint, e))
        return e->code;
    r = mem_alloc(sizeof *r);
    r->c = *c;
    r->external = socket || none;
    r->root = mem_printf("%s/agent/containerd", c->data_dir);
    r->run_dir = mem_printf("%s/containerd", c->run_dir);
    r->socket = socket ? socket : mem_printf("%s/containerd.sock", r->run_dir);
    r->conf_path = mem_printf("%s/agent/etc/containerd/config.toml", c->data_dir);
    r->cni_conf_path = mem_printf("%s/agent/etc/cni/net.d/10-coracle.conflist", c->data_dir);
    r->archives_dir = mem_printf("%s/agent/images", c->data_dir);
    r->lease_dir = mem_printf("%s/cni", c->run_dir); /* gone after a reboot, as the pods are */
    r->list_path = mem_printf("%s/imported", r->root);
    r->log_path = mem_printf("%s/containerd.log", r->root);
    r->pause_image =
        mem_strdup(c->pause_image && *c->pause_image ? c->pause_image : RUNTIME_PAUSE_IMAGE);
    r->snapshotter = NULL;
    r->bridge = mem_strdup(c->cni_bridge ? c->cni_bridge : "cni0");
    r->c.cni_bin_dir = c->cni_bin_dir ? mem_strdup(c->cni_bin_dir) : NULL;
    r->c.snapshotter = c->snapshotter && *c->snapshotter ? mem_strdup(c->snapshotter) : NULL;
    r->c.data_dir = r->c.run_dir = r->c.endpoint = r->c.pause_image = r->c.cni_bridge = NULL;
    r->backoff = (struct backoff)BACKOFF(1000, 30000); /* of PREPARE */
    timer_init(&r->timer, c->loop);
    if (none) {
        r->state = NONE;
        snprintf(r->why, sizeof r->why,
                 "there is no container runtime (--container-runtime-endpoint=/dev/null)");
    } else {
        r->state = r->external ? DIAL : PREPARE;
        if (r->external)
            r->backoff = (struct backoff)BACKOFF(25, 1000);
        snprintf(r->why, sizeof r->why, "container runtime is starting");
        cri_new(&r->cri, c->loop, r->socket);
        r->dial_since_ms = uv_now(c->loop);
        timer_start_ms(&r->timer, 0, on_timer, r);
    }
    *out = r;
    return 0;
}

/* ---- the pod network ---- */

int runtime_set_pod_cidr(struct runtime *r, const char *cidrs, struct err *e)
{
    auto_buf text = BUF(CONFIG_MAX);

    if (r->pod_cidr && strcmp(r->pod_cidr, cidrs) == 0)
        return 0;
    if (config_cni(&text, cidrs, r->bridge, r->lease_dir, e))
        return e->code;
    if (r->external) {
        /* Its own configuration holds; some runtimes have a template that waits for this. */
        if (r->state == RUNNING)
            cri_update_runtime_config(r->cri, cidrs, on_network_told, r);
    } else if (file_mkdirs_for(r->cni_conf_path, 0755, e) ||
               file_write_if_changed(r->cni_conf_path, buf_str(&text), 0644, NULL, e)) {
        return err_wrap(e, "pod network");
    }
    free(r->pod_cidr);
    r->pod_cidr = mem_strdup(cidrs);
    if (r->state == RUNNING && !r->ready && !r->call && !r->closing) {
        r->not_ready_ms = NOT_READY_MS; /* containerd sees the file at once: ask it soon */
        timer_start_ms(&r->timer, CNI_SEEN_MS, on_timer, r);
    }
    return 0;
}

/* ---- closing ---- */

static void on_timer_closed(void *arg)
{
    struct runtime *r = arg;
    void (*done)(void *) = r->done;
    void *done_arg = r->done_arg;

    free(r->root);
    free(r->run_dir);
    free(r->socket);
    free(r->conf_path);
    free(r->cni_conf_path);
    free(r->lease_dir);
    free(r->archives_dir);
    free(r->list_path);
    free(r->log_path);
    free(r->pause_image);
    free(r->snapshotter);
    free(r->bridge);
    free(r->pod_cidr);
    free((void *)(uintptr_t)r->c.cni_bin_dir);
    free((void *)(uintptr_t)r->c.snapshotter);
    free(r);
    if (done)
        done(done_arg);
}

static void on_child_closed(void *arg)
{
    struct runtime *r = arg;

    r->child = NULL;
    timer_close(&r->timer, on_timer_closed, r);
}

static void on_cri_closed(void *arg)
{
    struct runtime *r = arg;

    r->cri = NULL;
    if (r->child)
        supervise_close(r->child, on_child_closed, r);
    else
        timer_close(&r->timer, on_timer_closed, r);
}

static void close_cri(struct runtime *r)
{
    if (r->cri)
        cri_close(r->cri, on_cri_closed, r); /* the pointer stays for what it cancels */
    else
        timer_close(&r->timer, on_timer_closed, r);
}

static void on_bridge_removed(void *arg, const struct proc_exit *x)
{
    struct runtime *r = arg;

    (void)x; /* there may have been none */
    r->ip = NULL;
    close_cri(r);
}

/* With the pods goes their bridge, which the plugin leaves behind. */
static void close_network(struct runtime *r)
{
    const char *const argv[] = { "ip", "link", "delete", "dev", r->bridge, NULL };
    struct proc_config c = { .name = "ip",
                             .argv = argv,
                             .output = PROC_NULL,
                             .timeout_ms = 5000,
                             .on_exit = on_bridge_removed,
                             .arg = r };
    struct err e;

    if (!r->remove_bridge || proc_start(&r->ip, r->c.loop, &c, &e))
        close_cri(r);
}

static void on_importer_closed(void *arg)
{
    struct runtime *r = arg;

    r->importer = NULL;
    close_network(r);
}

static void on_pods_late(void *arg)
{
    struct runtime *r = arg;

    log_warn("pods were not all removed in time", kv("left", r->n_removing));
    r->n_removing = 0;
    r->stop_pods = false;
    close_step(r);
}

struct removal {
    struct runtime *r;
    char *id;
};

static void removal_end(struct removal *x)
{
    struct runtime *r = x->r;

    free(x->id);
    free(x);
    if (r->n_removing && --r->n_removing == 0)
        close_step(r);
}

static void on_sandbox_removed(void *arg, const struct err *e)
{
    if (e && e->code != ERR_CANCELED)
        log_warn("pod not removed", kv("err", e->text));
    removal_end(arg);
}

static void on_sandbox_stopped(void *arg, const struct err *e)
{
    struct removal *x = arg;

    if (e && e->code == ERR_CANCELED)
        removal_end(x);
    else if (e)
        on_sandbox_removed(x, e);
    else if (x->r->chain_began)
        removal_end(x); /* too late */
    else
        cri_remove_sandbox(x->r->cri, x->id, on_sandbox_removed, x);
}

static void on_sandboxes(void *arg, const struct cri_sandbox *v, size_t n, const struct err *e)
{
    struct runtime *r = arg;

    r->call = NULL;
    if (e && e->code != ERR_CANCELED)
        log_warn("pods not stopped", kv("err", e->text));
    r->n_removing = (unsigned)n;
    for (size_t i = 0; i < n; i++) {
        struct removal *x = mem_alloc(sizeof *x);

        x->r = r;
        x->id = mem_strdup(v[i].id);
        cri_stop_sandbox(r->cri, x->id, on_sandbox_stopped, x);
    }
    if (!n)
        close_step(r);
}

/* Something that closing waited for is over. */
static void close_step(struct runtime *r)
{
    if (r->chain_began || r->work || r->n_removing)
        return;
    if (r->stop_pods) {
        if (r->call) /* a status that runs: its end brings us back */
            return;
        r->stop_pods = false;
        timer_start_ms(&r->timer, REMOVE_PODS_MS, on_pods_late, r);
        r->call = cri_list_sandboxes(r->cri, on_sandboxes, r);
        return;
    }
    r->chain_began = true;
    timer_stop(&r->timer);
    if (r->importer)
        importer_close(r->importer, on_importer_closed, r);
    else
        close_network(r);
}

void runtime_close(struct runtime *r, bool stop_pods, void (*done)(void *arg), void *arg)
{
    r->stop_pods = stop_pods && r->state == RUNNING;
    r->remove_bridge = r->stop_pods && !r->external;
    r->closing = true;
    r->done = done;
    r->done_arg = arg;
    timer_stop(&r->timer);
    if (r->work)
        work_cancel(r->work);
    close_step(r);
}
