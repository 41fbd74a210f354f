#include "test/unit/agent/stream/rig.h"

#include "base/core/clock.h"
#include "base/data/json.h"
#include "base/io/file.h"
#include "base/io/tls.h"
#include "base/pki/issue.h"
#include "base/pki/key.h"
#include "base/pki/x509.h"
#include "test/unit/base/io/io_end.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- certificates ---- */

static void texts(struct ident *i)
{
    auto_buf cert = BUF(64 * 1024), key = BUF(64 * 1024);
    struct err e;

    assert_int_equal(x509_to_pem(i->cert, &cert), 0);
    assert_int_equal(key_to_pem(i->key, &key, &e), 0);
    i->cert_pem = buf_take(&cert);
    i->key_pem = buf_take(&key);
}

void ident_ca(struct ident *i, const char *prefix)
{
    struct err e;

    assert_int_equal(key_generate(&i->key, KEY_P256, &e), 0);
    assert_int_equal(issue_ca(&i->cert, i->key, prefix, clock_wall_s() - 10 * 86400, &e), 0);
    texts(i);
}

void ident_leaf(struct ident *i, const struct ident *ca, const char *cn, const char *org,
                const char *san, int64_t age_s)
{
    struct issue_spec spec = {
        .common_name = cn,
        .organizations = &org,
        .n_organizations = org != NULL,
        .client_auth = !san,
        .server_auth = san != NULL,
        .sans = &san,
        .n_sans = san != NULL,
        .days = 1,
    };
    struct err e;

    assert_int_equal(key_generate(&i->key, KEY_P256, &e), 0);
    assert_int_equal(
        issue_leaf(&i->cert, ca->cert, ca->key, i->key, &spec, clock_wall_s() - age_s, &e), 0);
    texts(i);
}

void ident_deinit(struct ident *i)
{
    x509_free(i->cert);
    key_free(i->key);
    free(i->cert_pem);
    free(i->key_pem);
}

/* ---- what the port asks ---- */

static int find_pod(const char *ns, const char *pod, struct err *e)
{
    if (strcmp(ns, "default") != 0 || strcmp(pod, "web") != 0)
        return err_set(e, ERR_NOT_FOUND, "pod \"%s\" does not exist", pod);
    return 0;
}

static int source_container(const struct pods *p, const char *ns, const char *pod, const char *uid,
                            const char *container, struct pods_container *out, struct err *e)
{
    (void)uid;
    if (find_pod(ns, pod, e))
        return e->code;
    if (strcmp(container, "app") != 0)
        return err_set(e, ERR_NOT_FOUND, "container \"%s\" not found in pod \"%s\"", container,
                       pod);
    *out = p->container;
    return 0;
}

static int source_sandbox(const struct pods *p, const char *ns, const char *pod, const char *uid,
                          const char **sandbox_id, struct err *e)
{
    (void)p;
    (void)uid;
    if (find_pod(ns, pod, e))
        return e->code;
    *sandbox_id = "sandbox1";
    return 0;
}

static json_t *source_list(const struct pods *p)
{
    json_t *state = p->container.running
                        ? json_pack("{s:{}}", "running")
                        : json_pack("{s:{s:s}}", "waiting", "reason", p->waiting_reason);

    return json_pack("{s:s,s:s,s:{},s:[{s:{s:s,s:s},s:{s:s,s:[{s:s,s:o}]}}]}", "kind", "PodList",
                     "apiVersion", "v1", "metadata", "items", "metadata", "name", "web",
                     "namespace", "default", "status", "phase", p->phase, "containerStatuses",
                     "name", "app", "state", state);
}

struct cri_call {
    struct runtime *runtime;
    struct timer timer;
    cri_text_fn done;
    void *arg;
    bool canceled;
};

static void free_call(void *arg)
{
    free(arg);
}

static void answer_call(void *arg)
{
    struct cri_call *c = arg;
    struct runtime *r = c->runtime;
    struct err e = r->err;

    if (c->canceled)
        err_set(&e, ERR_CANCELED, "canceled");
    c->done(c->arg, e.code ? NULL : r->url, e.code ? &e : NULL);
    timer_close(&c->timer, free_call, c);
}

static int source_url(struct runtime *r, const char *id, const struct session_ask *ask,
                      struct cri_call **call, cri_text_fn done, void *done_arg, struct err *e)
{
    auto_buf argv = BUF(sizeof r->last_argv - 1);

    r->n_asked++;
    snprintf(r->last_id, sizeof r->last_id, "%s", id);
    for (size_t i = 0; i < ask->n_argv; i++)
        assert_int_equal(buf_addf(&argv, "%s%s", i ? "|" : "", ask->argv[i]), 0);
    snprintf(r->last_argv, sizeof r->last_argv, "%s", buf_cstr(&argv));
    r->last = *ask;
    r->last.argv = NULL;
    if (r->is_gone)
        return err_set(e, ERR_AGAIN, "container runtime is not running: it is starting");
    struct cri_call *c = *call = mem_alloc(sizeof *c);
    c->runtime = r;
    c->done = done;
    c->arg = done_arg;
    timer_init(&c->timer, r->loop);
    if (!r->is_slow)
        timer_start_ms(&c->timer, 1, answer_call, c);
    return 0;
}

static void source_cancel(struct cri_call *c)
{
    c->runtime->n_canceled++;
    c->canceled = true;
    timer_start_ms(&c->timer, 0, answer_call, c);
}

static const struct source source = { source_container, source_sandbox, source_list, source_url,
                                      source_cancel };

/* ---- the rig ---- */

void rig_init(struct rig *g)
{
    struct err e = { 0 };

    memset(g, 0, sizeof *g);
    assert_int_equal(uv_loop_init(&g->loop), 0);
    snprintf(g->dir, sizeof g->dir, "/tmp/port-test-XXXXXX");
    assert_non_null(mkdtemp(g->dir));
    snprintf(g->pods.log_path, sizeof g->pods.log_path, "%s/1.log", g->dir);
    snprintf(g->pods.previous_path, sizeof g->pods.previous_path, "%s/0.log", g->dir);
    g->pods.phase = "Running";
    g->pods.waiting_reason = "ContainerCreating";
    g->pods.container = (struct pods_container){
        .pod_uid = "u1",
        .name = "app",
        .container_id = "c1",
        .log_path = g->pods.log_path,
        .running = true,
        .previous_id = "",
        .previous_log_path = "",
    };
    g->runtime.loop = &g->loop;
    g->body = BUF(64u * 1024 * 1024);
    ident_ca(&g->ca, "k3s-client");
    ident_leaf(&g->serving, &g->ca, "node1", NULL, "127.0.0.1", 0);
    ident_leaf(&g->api_server, &g->ca, "system:apiserver", "system:masters", NULL, 0);
    struct port_config c = {
        .loop = &g->loop,
        .bind_address = "127.0.0.1",
        .tls = { str_of(g->serving.cert_pem), str_of(g->serving.key_pem), str_of(g->ca.cert_pem) },
        .pods = &g->pods,
        .runtime = &g->runtime,
        .node_name = "node1",
        .version = "v1.32.4+k3s1",
    };
    if (port_new_from(&g->port, &c, &source, &e))
        fail_msg("%s", e.text);
}

static void raise_flag(void *arg)
{
    *(bool *)arg = true;
}

static int is_raised(void *arg)
{
    return *(bool *)arg;
}

void rig_deinit(struct rig *g)
{
    struct err e;

    if (g->port)
        port_close(g->port, raise_flag, &g->port_closed);
    run_until(&g->loop, is_raised, &g->port_closed);
    uv_run(&g->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&g->loop), 0);
    buf_deinit(&g->body);
    ident_deinit(&g->ca);
    ident_deinit(&g->serving);
    ident_deinit(&g->api_server);
    assert_int_equal(file_remove_tree(g->dir, &e), 0);
}

void rig_append(const struct rig *g, const char *text)
{
    int fd = open(g->pods.log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

/* ---- clients ---- */

void client_init(struct client *c, struct rig *g, const struct ident *i, const struct ident *trust)
{
    auto_free char *authority = mem_printf("127.0.0.1:%u", port_number(g->port));
    struct tls_client_options o = {
        .ca_pem = str_of(trust->cert_pem),
        .cert_chain_pem = str_of(i ? i->cert_pem : NULL),
        .key_pem = str_of(i ? i->key_pem : NULL),
    };
    struct err e = { 0 };

    c->closed = false;
    if (tls_client_config_new(&c->tls, &o, &e))
        fail_msg("%s", e.text);
    struct http_endpoint_config cfg = { .authority = authority, .tls = c->tls, .proto = HTTP_H1 };
    http_endpoint_new(&c->ep, &g->loop, &cfg);
}

void client_deinit(struct client *c, struct rig *g)
{
    http_endpoint_close(c->ep, raise_flag, &c->closed);
    run_until(&g->loop, is_raised, &c->closed);
    tls_client_config_free(c->tls);
}

static void on_fetched(void *arg, int status, const struct http_headers *h, struct str body,
                       const struct err *e)
{
    struct rig *g = arg;

    g->fetched = true;
    g->status = status;
    buf_clear(&g->body);
    g->type[0] = '\0';
    g->err = e ? *e : (struct err){ 0 };
    if (e)
        return;
    snprintf(g->type, sizeof g->type, STR_FMT, STR_ARG(http_headers_get(h, "content-type")));
    assert_int_equal(buf_add_str(&g->body, body), 0);
}

void rig_fetch_as(struct rig *g, const struct ident *i, const char *method, const char *target)
{
    struct http_call_config cfg = { .method = method, .target = target, .timeout_ms = 20000 };
    struct client c;

    client_init(&c, g, i, &g->ca);
    g->fetched = false;
    http_fetch(c.ep, &cfg, 64u * 1024 * 1024, on_fetched, g);
    run_until(&g->loop, is_raised, &g->fetched);
    client_deinit(&c, g);
}

void rig_fetch(struct rig *g, const char *method, const char *target)
{
    rig_fetch_as(g, &g->api_server, method, target);
    if (g->err.code)
        fail_msg("%s %s: %s", method, target, g->err.text);
}
