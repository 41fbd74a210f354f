/* Who may use an etcd, what of it is ours, and how large it may be. */
#include "test/unit/server/store/etcd_world.h"

#include "base/io/file.h"
#include "test/unit/base/io/certs.h"

#include <signal.h>
#include <stdio.h>

/* ---- who we are ---- */

static void save(const char *dir, const char *name, const char *pem, char path[160])
{
    struct err e;

    snprintf(path, 160, "%s/%s", dir, name);
    assert_int_equal(file_write_atomic(path, str_of(pem), 0600, &e), 0);
}

static void tls_with_client_certificates(void **state)
{
    struct world *w = *state;
    struct cert ca, server, client, other;
    char ca_path[160], cert_path[160], key_path[160], wrong_cert[160], wrong_key[160], path[160];
    struct store_etcd_options o = { .ca_file = ca_path,
                                    .cert_file = cert_path,
                                    .key_file = key_path };
    struct err e;

    cert_make(&ca, NULL, "ca", NULL, NULL, 3600);
    cert_make(&server, &ca, "etcd", "IP:127.0.0.1", "serverAuth,clientAuth", 3600);
    cert_make(&client, &ca, "coracle", NULL, "clientAuth", 3600);
    cert_make(&other, NULL, "stranger", NULL, "clientAuth", 3600);
    save(w->place, "ca.crt", ca.cert_pem, ca_path);
    save(w->place, "server.crt", server.cert_pem, path);
    save(w->place, "server.key", server.key_pem, path);
    save(w->place, "client.crt", client.cert_pem, cert_path);
    save(w->place, "client.key", client.key_pem, key_path);
    save(w->place, "wrong.crt", other.cert_pem, wrong_cert);
    save(w->place, "wrong.key", other.key_pem, wrong_key);
    w->procs.tls = true;
    w->procs.certs = w->place;
    etcd_procs_start(&w->procs, w->place, 1);
    world_open(w, 0, o);
    world_must_write(w, 0, STORE_CREATE, "/r/x", "1", 0);
    assert_string_equal(world_read(w, 0, "/r/x").value, "1");

    o.timeout_ms = 3000;
    o.cert_file = wrong_cert;
    o.key_file = wrong_key;
    assert_int_equal(world_try_open(w, 1, o, &e), ERR_CLOSED); /* etcd ends the connection */
    o.cert_file = o.key_file = NULL;
    assert_int_equal(world_try_open(w, 1, o, &e), ERR_CLOSED);
    o.ca_file = wrong_cert; /* we do not trust it */
    assert_int_equal(world_try_open(w, 1, o, &e), ERR_CLOSED);
    assert_non_null(strstr(e.text, "issuer certificate"));
    o.key_file = key_path;
    assert_int_equal(world_try_open(w, 1, o, &e), ERR_INVALID);
    assert_non_null(strstr(e.text, "belong together"));
    o.cert_file = "/nonexistent/x.crt";
    assert_int_equal(world_try_open(w, 1, o, &e), ERR_NOT_FOUND);
    assert_non_null(strstr(e.text, "--datastore-certfile"));
    cert_deinit(&ca);
    cert_deinit(&server);
    cert_deinit(&client);
    cert_deinit(&other);
}

static void with_user(struct world *w, const char *user, char out[300])
{
    snprintf(out, 300, "http://%s@%s", user, w->procs.endpoints + strlen("http://"));
}

/* Within a second etcd may not have answered at all. */
static bool refused_with(struct world *w, const char *endpoints, const char *text)
{
    struct store_etcd_options o = { .endpoints = endpoints };
    struct err e;

    for (o.timeout_ms = 1000; o.timeout_ms <= 64000; o.timeout_ms *= 4) {
        assert_int_equal(world_try_open(w, 0, o, &e), ERR_CLOSED);
        assert_null(strstr(e.text, "guess"));
        if (strstr(e.text, text))
            return true;
    }
    print_message("%s\n", e.text);
    return false;
}

static void a_user_with_a_password_and_tokens_that_end(void **state)
{
    struct world *w = *state;
    char right[300], wrong[300];

    etcd_procs_start(&w->procs, w->place, 1);
    with_user(w, "root:se%40cret", right);
    with_user(w, "root:guess", wrong);
    world_open(w, 0, (struct store_etcd_options){ .endpoints = right }); /* nobody asks yet */
    world_close(w, 0);
    RAW(w, "/etcdserverpb.Auth/UserAdd", "\x0a\x04root\x12\x07se@cret");
    RAW(w, "/etcdserverpb.Auth/RoleAdd", "\x0a\x04root");
    RAW(w, "/etcdserverpb.Auth/UserGrantRole", "\x0a\x04root\x12\x04root");
    RAW(w, "/etcdserverpb.Auth/AuthEnable", "");

    assert_true(refused_with(w, NULL, "user:password@"));
    assert_true(refused_with(w, wrong, "invalid user ID or password"));
    world_open(w, 0, (struct store_etcd_options){ .endpoints = right });
    world_must_write(w, 0, STORE_CREATE, "/r/x", "1", 0);
    /* Its tokens live in its memory. */
    etcd_member_kill(&w->procs, 0, SIGKILL);
    etcd_member_start(&w->procs, 0);
    assert_string_equal(world_read_patiently(w, 0, "/r/x").value, "1");
    world_must_write(w, 0, STORE_UPDATE, "/r/x", "2", 0);
    assert_string_equal(world_read(w, 0, "/r/x").value, "2");
}

/* ---- what is there already ---- */

static void the_objects_of_a_kubernetes_are_refused_by_name(void **state)
{
    struct world *w = *state;
    const struct store_etcd_options ours = { .prefix = "/registry/" }, all = { .prefix = "" };
    struct store_op op = { .kind = STORE_CREATE,
                           .key = STR("/registry/core/pods/ns/p"),
                           .value = STR("k8s\0\n\017") };
    struct got g;
    struct err e;

    etcd_procs_start(&w->procs, w->place, 1);
    world_open(w, 0, all);
    world_open(w, 1, ours);
    assert_int_equal(world_commit(w, 0, op).err.code, 0);
    g = world_read(w, 1, "/registry/core/pods/ns/p");
    assert_int_equal(g.err.code, ERR_INVALID);
    assert_non_null(strstr(g.err.text, "/registry/core/pods/ns/p"));
    assert_non_null(strstr(g.err.text, "Kubernetes"));
    world_close(w, 1);
    assert_int_equal(world_try_open(w, 1, ours, &e), ERR_INVALID); /* it is the first of all */
    world_must_write(w, 0, STORE_DELETE, "/registry/core/pods/ns/p", "", 0);
    world_open(w, 1, ours);
    world_close(w, 1);
    op.key = STR("/registry/namespaces/default");
    world_must_write(w, 0, STORE_CREATE, "/registry/core/a", "{}", 0);
    assert_int_equal(world_commit(w, 0, op).err.code, 0);
    assert_int_equal(world_try_open(w, 1, ours, &e), ERR_INVALID);
    assert_non_null(strstr(e.text, "/registry/namespaces/default"));
}

static void keys_outside_the_prefix_are_not_ours(void **state)
{
    struct world *w = *state;
    struct seen seen_ours = { 0 };
    int64_t a, c;
    char want[64];

    etcd_procs_start(&w->procs, w->place, 1);
    world_open(w, 0, (struct store_etcd_options){ .prefix = "/r/" });
    world_open(w, 1, (struct store_etcd_options){ .prefix = "" });
    watch(&w->f[0], &seen_ours, "", 0);
    assert_int_equal(world_write(w, 0, STORE_CREATE, "/other/x", "1", 0).err.code, ERR_INVALID);
    assert_int_equal(world_read(w, 0, "/other/x").err.code, ERR_INVALID);
    a = world_must_write(w, 1, STORE_CREATE, "/r/x", "1", 0);
    world_must_write(w, 1, STORE_CREATE, "/other/x", "1", 0);
    c = world_must_write(w, 0, STORE_CREATE, "/r/y", "1", 0);
    assert_int_equal(c, a + 2);
    while (seen_ours.n_events < 2)
        uv_run(&w->loop, UV_RUN_ONCE);
    snprintf(want, sizeof want, "+/r/x=1@%lld +/r/y=1@%lld", (long long)a, (long long)c);
    assert_string_equal(seen_ours.text, want);
    unwatch(&seen_ours);
}

/* ---- sizes ---- */

struct counted {
    bool done;
    size_t n, n_bytes;
    struct err err;
};
static void on_list(void *arg, const struct store_list *l, const struct err *e)
{
    struct counted *c = arg;

    c->done = true;
    if (e)
        c->err = *e;
    for (size_t i = 0; l && i < l->n; i++) {
        c->n++;
        c->n_bytes += l->v[i]->value_n;
    }
}

static void values_beyond_what_etcd_takes_are_refused(void **state)
{
    struct world *w = *state;
    enum { BIG = 1000 * 1000, N_BIG = 70 };
    char *big = mem_alloc(3 * BIG + 1);
    struct counted c = { 0 };
    struct answer a;

    memset(big, 'v', 3 * BIG);
    etcd_procs_start(&w->procs, w->place, 1);
    world_open(w, 0, (struct store_etcd_options){ 0 });
    for (int n = 2; n <= 3; n++) { /* too large for etcd, then for its gRPC */
        a = world_commit(w, 0,
                         (struct store_op){ .kind = STORE_CREATE,
                                            .key = STR("/r/x"),
                                            .value = str_n(big, n * BIG) });
        assert_int_equal(a.err.code, ERR_LIMIT);
        assert_non_null(strstr(a.err.text, "--max-request-bytes"));
    }
    assert_int_equal(world_read(w, 0, "/r/x").err.code, ERR_NOT_FOUND);
    for (int i = 0; i < N_BIG; i++) { /* more than one answer may have */
        char key[16];
        snprintf(key, sizeof key, "/r/%02d", i);
        a = world_commit(w, 0,
                         (struct store_op){
                             .kind = STORE_CREATE, .key = str_of(key), .value = str_n(big, BIG) });
        if (a.err.code)
            fail_msg("%s", a.err.text);
    }
    for (int i = 0; i < 6; i++) { /* 70 MB in the time of a request: not when much else runs */
        c = (struct counted){ 0 };
        store_list(w->s[0], STR("/r/"), NULL, on_list, &c);
        while (!c.done)
            uv_run(&w->loop, UV_RUN_ONCE);
        if (c.err.code != ERR_CLOSED)
            break;
    }
    if (c.err.code)
        fail_msg("%s", c.err.text);
    assert_int_equal(c.n, N_BIG);
    assert_int_equal(c.n_bytes, (size_t)N_BIG * BIG);
    free(big);
}

static void nobody_there_is_said_with_the_reason(void **state)
{
    struct world *w = *state;
    struct err e;

    assert_int_equal(world_try_open(w, 0,
                                    (struct store_etcd_options){
                                        .endpoints = "http://127.0.0.1:1,http://127.0.0.1:2",
                                        .timeout_ms = 500 },
                                    &e),
                     ERR_CLOSED);
    assert_non_null(strstr(e.text, "127.0.0.1:"));
    assert_non_null(strstr(e.text, "refused"));
    assert_int_equal(
        world_try_open(w, 0, (struct store_etcd_options){ .endpoints = "postgres://x" }, &e),
        ERR_INVALID);
}

static void the_member_says_how_large_it_is(void **state)
{
    struct world *w = *state;
    struct store_etcd_options o = { 0 };
    struct store_stats stats = { 0 };

    etcd_procs_start(&w->procs, w->place, 1);
    world_open(w, 0, o);
    for (int i = 0; i < PATIENT_MS / 20 && !stats.db_bytes; i++) {
        world_run_ms(w, 20);
        store_stats(w->s[0], &stats);
    }
    assert_true(stats.db_bytes >= 4096);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, world_setup, world_teardown)
    const struct CMUnitTest tests[] = {
        T(nobody_there_is_said_with_the_reason),
        T(tls_with_client_certificates),
        T(a_user_with_a_password_and_tokens_that_end),
        T(the_objects_of_a_kubernetes_are_refused_by_name),
        T(keys_outside_the_prefix_are_not_ours),
        T(values_beyond_what_etcd_takes_are_refused),
        T(the_member_says_how_large_it_is),
    };
    return world_main(tests);
}
