/* Reports, sent to servers of our own making over real TLS. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "agent/boot/reporter.h"
#include "base/core/clock.h"
#include "base/core/log.h"
#include "base/core/mem.h"
#include "base/http/server.h"
#include "base/io/tcp.h"
#include "base/io/tls.h"
#include "base/kube/node_report.h"
#include "base/pki/issue.h"
#include "base/pki/key.h"
#include "base/pki/x509.h"

#include <stdio.h>

static uv_loop_t loop;
static uv_timer_t tick; /* uv_run must come back while nothing happens */
static struct credentials credentials;
static struct tls_server_config *tls;
static struct reporter *reporter;

static struct server {
    struct listener *listener;
    struct http_server *http;
    char address[32];
    int status; /* what it answers */
    size_t n_reports;
    struct node_report last;
} servers[2];

/* ---- the servers ---- */

static void on_body(struct http_req *r, void *arg, struct str body)
{
    struct server *s = arg;
    struct err e;

    if (node_report_parse(&s->last, body, &e))
        fail_msg("%s", e.text);
    s->n_reports++;
    http_reply(r, s->status, NULL, STR(""), NULL, 0);
}

static void on_done(struct http_req *r, void *arg, const struct err *e)
{
    (void)r;
    (void)arg;
    (void)e;
}

static const struct http_req_events events = { .on_done = on_done };

static void on_request(struct http_req *r, void *arg)
{
    assert_true(str_is(http_req_method(r), "POST"));
    assert_true(str_is(http_req_path(r), "/v1-coracle/report"));
    assert_true(stream_tls_peer(http_req_stream(r))->leaf_der.n > 0); /* it shows who it is */
    http_req_accept(r, &events, arg);
    http_req_read_body(r, NODE_REPORT_MAX_BYTES, on_body);
}

static void on_accept(void *arg, struct stream *s)
{
    struct server *server = arg;

    http_server_serve(server->http, tls_server_wrap(tls, s));
}

/* ---- the world ---- */

static void make_pair(const struct x509 *ca, const struct key *ca_key, const char *cn,
                      const char *san, struct buf *cert, struct buf *pem)
{
    AUTO(key) struct key *key = NULL;
    AUTO(x509) struct x509 *leaf = NULL;
    struct issue_spec spec = {
        .common_name = cn, .client_auth = true, .server_auth = true, .sans = &san, .n_sans = 1
    };
    struct err e;

    *cert = BUF(64 * 1024);
    *pem = BUF_SECRET(KEY_PEM_MAX_BYTES);
    if (key_generate(&key, KEY_P256, &e) ||
        issue_leaf(&leaf, ca, ca_key, key, &spec, clock_wall_s(), &e) || key_to_pem(key, pem, &e) ||
        x509_to_pem(leaf, cert))
        fail_msg("no certificate");
}

static void on_tick(uv_timer_t *t)
{
    (void)t;
}

static int setup(void **state)
{
    AUTO(key) struct key *ca_key = NULL;
    AUTO(x509) struct x509 *ca = NULL;
    struct pair *kubelet = &credentials.pairs[CRED_KUBELET];
    struct reporter_config rc = { .loop = &loop,
                                  .credentials = &credentials,
                                  .delay_min_ms = 1,
                                  .delay_max_ms = 3,
                                  .interval_ms = 5 };
    struct buf cert, key;
    struct err e;
    (void)state;

    log_level_min = LOG_LVL_ERROR;
    uv_loop_init(&loop);
    uv_timer_init(&loop, &tick);
    uv_timer_start(&tick, on_tick, 5, 5);
    assert_int_equal(key_generate(&ca_key, KEY_P256, &e), 0);
    assert_int_equal(issue_ca(&ca, ca_key, "server", clock_wall_s(), &e), 0);
    credentials.server_ca = BUF(64 * 1024);
    assert_int_equal(x509_to_pem(ca, &credentials.server_ca), 0);
    make_pair(ca, ca_key, "system:node:n", "n", &kubelet->cert_pem, &kubelet->key_pem);
    make_pair(ca, ca_key, "k3s", "kubernetes", &cert, &key);
    assert_int_equal(tls_server_config_new(&tls, buf_str(&cert), buf_str(&key),
                                           buf_str(&credentials.server_ca), NULL, &e),
                     0);
    buf_deinit(&cert);
    buf_deinit(&key);
    for (size_t i = 0; i < ARRAY_LEN(servers); i++) {
        struct server *s = &servers[i];
        struct http_server_config hc = { .on_request = on_request, .arg = s };

        *s = (struct server){ .status = 204 };
        http_server_new(&s->http, &loop, &hc);
        assert_int_equal(tcp_listen(&s->listener, &loop, "127.0.0.1", 0, on_accept, s, &e), 0);
        snprintf(s->address, sizeof s->address, "127.0.0.1:%u", listener_port(s->listener));
    }
    reporter_new(&reporter, &rc);
    return 0;
}

static void raise_flag(void *arg)
{
    *(bool *)arg = true;
}

static void wait_until(const bool *flag)
{
    uint64_t until = clock_mono_ms() + 30000;

    while (!*flag && clock_mono_ms() < until)
        uv_run(&loop, UV_RUN_ONCE);
    assert_true(*flag);
}

static int teardown(void **state)
{
    bool closed = false;
    (void)state;

    reporter_close(reporter, raise_flag, &closed);
    wait_until(&closed);
    for (size_t i = 0; i < ARRAY_LEN(servers); i++) {
        listener_close(servers[i].listener, NULL, NULL);
        closed = false;
        http_server_close(servers[i].http, raise_flag, &closed);
        wait_until(&closed);
    }
    uv_close((uv_handle_t *)&tick, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
    tls_server_config_free(tls);
    buf_deinit(&credentials.server_ca);
    buf_deinit(&credentials.pairs[CRED_KUBELET].cert_pem);
    buf_deinit(&credentials.pairs[CRED_KUBELET].key_pem);
    return 0;
}

static void turns(unsigned n)
{
    while (n--)
        uv_run(&loop, UV_RUN_ONCE);
}

static void wait_reports(const struct server *s, size_t n)
{
    uint64_t until = clock_mono_ms() + 30000;

    while (s->n_reports < n && clock_mono_ms() < until)
        uv_run(&loop, UV_RUN_ONCE);
    assert_int_equal(s->n_reports, n);
}

static void tunnel(const struct server *s, enum tunnel_client_state state, enum tunnel_failure f,
                   int http_status, const char *error, bool own_protocol)
{
    struct tunnel_client_status st = {
        .state = state, .failure = f, .http_status = http_status, .own_protocol = own_protocol
    };

    snprintf(st.address, sizeof st.address, "%s", s->address);
    snprintf(st.error, sizeof st.error, "%s", error);
    reporter_on_tunnel(reporter, &st);
}

static void up(const struct server *s)
{
    tunnel(s, TUNNEL_CLIENT_CONNECTED, TUNNEL_OK, 0, "", true);
}

static void down(const struct server *s, enum tunnel_failure f, const char *error)
{
    tunnel(s, TUNNEL_CLIENT_WAITING, f, 0, error, false);
}

/* ---- the tests ---- */

static void a_server_hears_when_the_tunnel_is_back(void **state)
{
    struct server *s = &servers[0];
    (void)state;

    reporter_note(reporter, "joining", CAUSE_TOKEN, "refused");
    reporter_note(reporter, "joining", CAUSE_NONE, "");
    down(s, TUNNEL_FAIL_DNS, "resolve x: no such name");
    turns(10);
    assert_int_equal(s->n_reports, 0); /* nobody to tell */
    up(s);
    wait_reports(s, 1);
    assert_int_equal(s->last.n_spells, 2);
    assert_int_equal(s->last.spells[0].cause, CAUSE_TOKEN);
    assert_int_equal(s->last.spells[1].cause, CAUSE_DNS);
    assert_false(s->last.spells[1].ongoing);
    assert_non_null(strstr(s->last.spells[1].text, s->address));
    turns(20);
    assert_int_equal(s->n_reports, 1); /* told once */
    reporter_note(reporter, "node", CAUSE_LEASE, "renew the lease: HTTP 500");
    reporter_note(reporter, "node", CAUSE_LEASE, "renew the lease: HTTP 500"); /* no news */
    wait_reports(s, 2);
    assert_int_equal(s->last.n_spells, 3);
    assert_true(s->last.spells[2].ongoing);
}

static void failures_of_tunnels_have_causes(void **state)
{
    static const struct {
        enum tunnel_failure f;
        int status;
        const char *error;
        enum cause want;
    } rows[] = {
        { TUNNEL_FAIL_DNS, 0, "resolve", CAUSE_DNS },
        { TUNNEL_FAIL_TCP, 0, "refused", CAUSE_TCP },
        { TUNNEL_FAIL_TLS, 0, "self-signed certificate", CAUSE_TLS },
        { TUNNEL_FAIL_TLS, 0, "certificate is not yet valid", CAUSE_CLOCK },
        { TUNNEL_FAIL_HTTP, 401, "the server answered 401", CAUSE_TLS },
        { TUNNEL_FAIL_HTTP, 503, "the server answered 503", CAUSE_BUSY },
        { TUNNEL_FAIL_HTTP, 302, "the server answered 302", CAUSE_PROTOCOL },
        { TUNNEL_FAIL_CLOSED, 0, "closed", CAUSE_SESSION },
        { TUNNEL_FAIL_SILENT, 0, "silent", CAUSE_SESSION },
        { TUNNEL_FAIL_PROTOCOL, 0, "nonsense", CAUSE_PROTOCOL },
    };
    struct server *s = &servers[0];
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        tunnel(s, TUNNEL_CLIENT_WAITING, rows[i].f, rows[i].status, rows[i].error, false);
        tunnel(s, TUNNEL_CLIENT_CONNECTING, TUNNEL_OK, 0, "", false); /* says nothing */
        up(s);
        wait_reports(s, i + 1);
        assert_int_equal(s->last.n_spells, i + 1);
        assert_int_equal(s->last.spells[i].cause, rows[i].want);
    }
}

static void each_server_with_a_tunnel_hears(void **state)
{
    (void)state;

    up(&servers[0]);
    up(&servers[1]);
    wait_reports(&servers[0], 1);
    wait_reports(&servers[1], 1);
    down(&servers[1], TUNNEL_FAIL_SILENT, "silent");
    wait_reports(&servers[0], 2);
    turns(20);
    assert_int_equal(servers[1].n_reports, 1);
    assert_true(servers[0].last.spells[0].ongoing);
    assert_string_equal(servers[0].last.run, servers[1].last.run);
}

static void servers_that_do_not_know_it_are_left_alone(void **state)
{
    static const int refusals[] = { 403, 404, 405 };
    struct server *s = &servers[0];
    (void)state;

    tunnel(&servers[1], TUNNEL_CLIENT_CONNECTED, TUNNEL_OK, 0, "", false); /* K3s */
    for (size_t i = 0; i < ARRAY_LEN(refusals); i++) {
        s->status = refusals[i];
        up(s);
        wait_reports(s, i + 1);
        turns(10);
        reporter_note(reporter, "node", i % 2 ? CAUSE_NONE : CAUSE_LEASE, "x");
        turns(20);
        assert_int_equal(s->n_reports, i + 1);
    }
    assert_int_equal(servers[1].n_reports, 0);
}

static void a_failure_is_not_repeated_at_once(void **state)
{
    struct server *s = &servers[0];
    (void)state;

    s->status = 500;
    up(s);
    wait_reports(s, 1);
    turns(30);
    assert_int_equal(s->n_reports, 1);
    s->status = 204;
    down(s, TUNNEL_FAIL_CLOSED, "closed");
    up(s); /* this is worth a try */
    wait_reports(s, 2);
}

static void closing_gives_up_a_report_under_way(void **state)
{
    (void)state;

    up(&servers[0]);
    uv_sleep(5);
    turns(1); /* dialing now; teardown closes */
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_server_hears_when_the_tunnel_is_back),
        TEST(failures_of_tunnels_have_causes),
        TEST(each_server_with_a_tunnel_hears),
        TEST(servers_that_do_not_know_it_are_left_alone),
        TEST(a_failure_is_not_repeated_at_once),
        TEST(closing_gives_up_a_report_under_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
