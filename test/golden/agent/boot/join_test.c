/*
 * The join against a supervisor that plays K3s: [N], the newest (2026), which signs requests that
 * are posted, and [O], v1.21.2, which hands out shared keys to any method. Each row is one
 * conversation, as docs/protocols/registration.md has it: what was asked with which credentials,
 * and what the user is told. The TLS, the certificates and the balancer between are real.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "test/golden/agent/boot/join_world.h"

/* ---- one join ---- */

static void on_joined(void *arg, const struct cluster_config *config, bool renewed)
{
    struct world *w = arg;

    w->n_joined++;
    w->renewed = renewed;
    w->config = *config;
    w->flag = true;
}

static void on_cause(void *arg, enum cause c, const char *text)
{
    struct world *w = arg;

    if (c == CAUSE_NONE) {
        w->cause = c;
        return;
    }
    w->cause = c;
    snprintf(w->why, sizeof w->why, "%s", text);
    if (!w->first_cause) {
        w->first_cause = c;
        if (!w->row->joins)
            w->flag = true;
    }
}

static void make_token(const struct world *w, enum token_kind kind, char *out, size_t n)
{
    char hash[BUNDLE_HASH_CHARS + 1];

    bundle_ca_hash(hash, buf_str(&w->server_ca.pem), clock_wall_s());
    switch (kind) {
    case TOKEN_NONE:
        out[0] = '\0';
        break;
    case TOKEN_FULL: /* whatever user it names, an agent is "node" */
        snprintf(out, n, "K10%s::server:" PASSWORD, hash);
        break;
    case TOKEN_SHORT:
        snprintf(out, n, PASSWORD);
        break;
    case TOKEN_BOOTSTRAP:
        snprintf(out, n, BOOTSTRAP);
        break;
    case TOKEN_BOOTSTRAP_FULL:
        snprintf(out, n, "K10%s::" BOOTSTRAP, hash);
        break;
    case TOKEN_WRONG_PASSWORD:
        snprintf(out, n, "K10%s::node:other", hash);
        break;
    case TOKEN_WRONG_HASH:
        hash[0] = hash[0] == '0' ? '1' : '0';
        snprintf(out, n, "K10%s::node:" PASSWORD, hash);
        break;
    }
}

static int open_join(struct world *w, const char *token, const char *token_file, struct err *e)
{
    char seed[64];
    struct balancer_options bo = { .name = "test", .seed = seed };

    snprintf(seed, sizeof seed, "127.0.0.1:%u", w->port);
    if (w->row->flaw == FLAW_NO_SERVER)
        snprintf(seed, sizeof seed, "127.0.0.1:1");
    if (w->row->flaw == FLAW_NO_NAME)
        snprintf(seed, sizeof seed, "no-such-server.invalid:6443");
    if (balancer_new(&w->balancer, &w->loop, &bo, e) ||
        credentials_open(&w->credentials, w->dir, w->node_dir, e))
        fail_msg("%s", e->text);
    struct join_config jc = { .loop = &w->loop,
                              .balancer = w->balancer,
                              .credentials = &w->credentials,
                              .token = token && *token ? token : NULL,
                              .token_file = token_file,
                              .node_name = "edge-1",
                              .node_ips = "10.0.0.5,fd00::5",
                              .node_external_ips = "203.0.113.5",
                              .on_joined = on_joined,
                              .on_cause = on_cause,
                              .arg = w };
    w->flag = false;
    w->first_cause = w->cause = CAUSE_NONE;
    w->why[0] = '\0';
    return join_new(&w->join, &jc, e);
}

static void close_join(struct world *w)
{
    if (w->join) {
        w->flag = false;
        join_close(STEAL(w->join), raise_flag, w);
        wait_for(w, &w->flag);
    }
    w->flag = false;
    balancer_close(w->balancer, raise_flag, w);
    wait_for(w, &w->flag);
    credentials_deinit(&w->credentials);
}

static void join_once(struct world *w, enum token_kind kind)
{
    char token[256];
    struct err e = { 0 };

    make_token(w, kind, token, sizeof token);
    if (open_join(w, token, NULL, &e))
        fail_msg("%s: %s", w->row->name, e.text);
    wait_for(w, &w->flag);
}

/* registration.md 8: what is on disk afterwards, and who may read it */
static void check_files(const struct world *w)
{
    static const struct {
        const char *name;
        mode_t mode;
    } files[] = {
        { "agent", 0700 },
        { "agent/client-ca.crt", 0600 },
        { "agent/server-ca.crt", 0600 },
        { "agent/serving-kubelet.crt", 0600 },
        { "agent/serving-kubelet.key", 0600 },
        { "agent/client-kubelet.crt", 0600 },
        { "agent/client-kubelet.key", 0600 },
        { "agent/client-kube-proxy.crt", 0600 },
        { "agent/client-kube-proxy.key", 0600 },
        { "agent/client-k3s-controller.crt", 0600 },
        { "agent/client-k3s-controller.key", 0600 },
        { "etc/node", 0755 },
        { "etc/node/password", 0600 },
    };

    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        auto_free char *path = mem_printf("%s/%s", w->dir, files[i].name);
        struct stat st;
        if (stat(path, &st))
            fail_msg("%s: %s is missing", w->row->name, files[i].name);
        if ((st.st_mode & 07777) != files[i].mode)
            fail_msg("%s: %s has mode %o", w->row->name, files[i].name, st.st_mode & 07777);
    }
    assert_string_equal(w->config.cluster_dns, "10.43.0.10");
    assert_string_equal(w->config.cluster_domain, "cluster.local");
    assert_string_equal(w->config.egress_mode, "agent");
    assert_true(w->config.disable_ccm);
    assert_true(credentials_complete(&w->credentials, clock_wall_s()));
}

/* What the flow asks once the CA is checked; a: credentials shown, m: method of the last four. */
#define HEAD "GET /cacerts -\nGET /cacerts -\n"
#define REST(a, m)                                                                                 \
    "GET /v1-k3s/config " a "\nGET /v1-k3s/client-ca.crt " a "\nGET /v1-k3s/server-ca.crt " a      \
    "\n" m " /v1-k3s/serving-kubelet.crt " a "\n" m " /v1-k3s/client-kubelet.crt " a "\n" m        \
    " /v1-k3s/client-kube-proxy.crt " a "\n" m " /v1-k3s/client-k3s-controller.crt " a "\n"
#define UP_TO_SERVING(a)                                                                           \
    "GET /v1-k3s/config " a "\nGET /v1-k3s/client-ca.crt " a "\nGET /v1-k3s/server-ca.crt " a      \
    "\nPOST /v1-k3s/serving-kubelet.crt " a "\n"
/* A server that refuses POST is asked by GET from then on. */
#define FALL_BACK(a)                                                                               \
    UP_TO_SERVING(a)                                                                               \
    "GET /v1-k3s/serving-kubelet.crt " a "\nGET /v1-k3s/client-kubelet.crt " a                     \
    "\nGET /v1-k3s/client-kube-proxy.crt " a "\nGET /v1-k3s/client-k3s-controller.crt " a "\n"

#define REVIVE "POST /v1-k3s/client-kubelet.crt - cert(bad)\n"

#define STATUS(message) "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"message\":\"" message "\"}"

static const struct row rows[] = {
    { .name = "[N] full token",
      .token = TOKEN_FULL,
      .joins = true,
      .asked = HEAD REST("basic", "POST") },
    { .name = "[N] short token",
      .token = TOKEN_SHORT,
      .joins = true,
      .asked = HEAD REST("basic", "POST") },
    { .name = "[N] bootstrap token",
      .token = TOKEN_BOOTSTRAP,
      .joins = true,
      .asked = HEAD REST("bearer", "POST") },
    { .name = "[N] bootstrap token with CA hash",
      .token = TOKEN_BOOTSTRAP_FULL,
      .joins = true,
      .asked = HEAD REST("bearer", "POST") },
    { .name = "[O] POST is answered like GET, with the shared key",
      .token = TOKEN_FULL,
      .generation = GEN_O,
      .joins = true,
      .asked = HEAD REST("basic", "POST") },
    { .name = "405 to POST",
      .token = TOKEN_FULL,
      .generation = GEN_GET_405,
      .joins = true,
      .asked = HEAD FALL_BACK("basic") },
    { .name = "404 to POST",
      .token = TOKEN_FULL,
      .generation = GEN_GET_404,
      .joins = true,
      .asked = HEAD FALL_BACK("basic") },
    { .name = "rejoin with token and certificate",
      .token = TOKEN_FULL,
      .before = JOINED,
      .joins = true,
      .asked = HEAD REST("basic cert", "POST") },
    { .name = "rejoin with the certificate alone",
      .token = TOKEN_NONE,
      .before = JOINED,
      .joins = true,
      .asked = REST("- cert", "POST") },
    { .name = "[O] rejoin: no certificate is looked at, the token is there",
      .token = TOKEN_FULL,
      .generation = GEN_O,
      .before = JOINED,
      .joins = true,
      .asked = HEAD REST("basic cert", "POST") },
    { .name = "401 for the certificate: again without it",
      .token = TOKEN_FULL,
      .before = JOINED,
      .rules = { { "GET /v1-k3s/config", 1, 401, STATUS("Unauthorized") } },
      .joins = true,
      .asked = HEAD "GET /v1-k3s/config basic cert\n" REST("basic", "POST") },
    { .name = "401 for a deleted node's certificate, late",
      .token = TOKEN_FULL,
      .before = JOINED,
      .rules = { { "POST /v1-k3s/serving-kubelet.crt", 1, 401, STATUS("Unauthorized") } },
      .joins = true,
      .asked = HEAD UP_TO_SERVING("basic cert") REST("basic", "POST") },
    { .name = "wrong CA hash",
      .token = TOKEN_WRONG_HASH,
      .cause = CAUSE_TOKEN,
      .why = "CA",
      .asked = HEAD },
    { .name = "wrong password",
      .token = TOKEN_WRONG_PASSWORD,
      .cause = CAUSE_TOKEN,
      .why = "the server refuses the token: Unauthorized",
      .asked = HEAD "GET /v1-k3s/config wrong-basic\n" },
    { .name = "[O] wrong password: an empty 401",
      .token = TOKEN_WRONG_PASSWORD,
      .generation = GEN_O,
      .rules = { { "GET /v1-k3s/config", 0, 401, "" } },
      .cause = CAUSE_TOKEN,
      .why = "the server refuses the token: Unauthorized",
      .asked = HEAD "GET /v1-k3s/config wrong-basic\n" },
    { .name = "expired bootstrap token",
      .token = TOKEN_BOOTSTRAP,
      .rules = { { "GET /v1-k3s/config", 0, 401,
                   STATUS("bootstrap token abcdef has expired at 2020") } },
      .cause = CAUSE_TOKEN,
      .why = "abcdef has expired",
      .asked = HEAD "GET /v1-k3s/config bearer\n" },
    { .name = "a token of the wrong role",
      .token = TOKEN_FULL,
      .rules = { { "GET /v1-k3s/config", 0, 403, STATUS("forbidden") } },
      .cause = CAUSE_TOKEN,
      .why = "the server refuses the token: forbidden",
      .asked = HEAD "GET /v1-k3s/config basic\n" },
    { .name = "[N] node password rejected",
      .token = TOKEN_FULL,
      .rules = { { "POST /v1-k3s/serving-kubelet.crt", 0, 403,
                   STATUS("node password rejected for \\\"edge-1\\\"") } },
      .cause = CAUSE_PASSWORD,
      .why = "node password rejected for \"edge-1\"",
      .asked = HEAD UP_TO_SERVING("basic") },
    { .name = "[O] node password rejected: an empty 403",
      .token = TOKEN_FULL,
      .generation = GEN_O,
      .rules = { { "POST /v1-k3s/serving-kubelet.crt", 0, 403, "" } },
      .cause = CAUSE_PASSWORD,
      .why = "node password",
      .asked = HEAD UP_TO_SERVING("basic") },
    { .name = "503 while it starts, then fine",
      .token = TOKEN_FULL,
      .rules = { { "GET /v1-k3s/config", 1, 503, STATUS("starting") } },
      .cause = CAUSE_BUSY,
      .why = "starting (HTTP 503)",
      .joins = true,
      .asked = HEAD "GET /v1-k3s/config basic\n" HEAD REST("basic", "POST") },
    { .name = "429 in the middle: only that step again",
      .token = TOKEN_FULL,
      .rules = { { "POST /v1-k3s/client-kubelet.crt", 1, 429, STATUS("please retry") } },
      .cause = CAUSE_BUSY,
      .why = "please retry",
      .joins = true,
      .asked = HEAD UP_TO_SERVING("basic") "POST /v1-k3s/client-kubelet.crt basic\n"
                                           "POST /v1-k3s/client-kubelet.crt basic\n"
                                           "POST /v1-k3s/client-kube-proxy.crt basic\n"
                                           "POST /v1-k3s/client-k3s-controller.crt basic\n" },
    { .name = "no certificate at /cacerts",
      .token = TOKEN_FULL,
      .rules = { { "GET /cacerts", 0, 200, "<html>hello</html>" } },
      .cause = CAUSE_PROTOCOL,
      .why = "no K3s or Coracle server",
      .asked = "GET /cacerts -\n" },
    { .name = "a config that is none",
      .token = TOKEN_FULL,
      .rules = { { "GET /v1-k3s/config", 0, 200, "[]" } },
      .cause = CAUSE_CONFIG,
      .why = "config",
      .asked = HEAD "GET /v1-k3s/config basic\n" },
    { .name = "a certificate for somebody else's key",
      .token = TOKEN_FULL,
      .rules = { { "POST /v1-k3s/serving-kubelet.crt", 0, 200, "hello" } },
      .cause = CAUSE_PROTOCOL,
      .why = "serving-kubelet.crt",
      .asked = HEAD UP_TO_SERVING("basic") },
    { .name = "an expired server certificate, or a clock that is wrong",
      .token = TOKEN_FULL,
      .flaw = FLAW_EXPIRED,
      .cause = CAUSE_CLOCK,
      .why = "not valid at the server's own time",
      .asked = "GET /cacerts -\nGET /cacerts -\n" }, /* the second asks what time it is */
    { .name = "the same under a CA that the token does not pin: nobody is asked for the time",
      .token = TOKEN_WRONG_HASH,
      .flaw = FLAW_EXPIRED,
      .cause = CAUSE_TOKEN,
      .why = "CA",
      .asked = "GET /cacerts -\n" },
    { .name = "a server certificate without the cluster's name",
      .token = TOKEN_FULL,
      .flaw = FLAW_NAME,
      .cause = CAUSE_TLS,
      .why = "kubernetes",
      .asked = "GET /cacerts -\n" },
    { .name = "nobody listens",
      .token = TOKEN_FULL,
      .flaw = FLAW_NO_SERVER,
      .cause = CAUSE_TCP,
      .why = "refused",
      .asked = "" },
    { .name = "no such name",
      .token = TOKEN_FULL,
      .flaw = FLAW_NO_NAME,
      .cause = CAUSE_DNS,
      .why = "no-such-server.invalid",
      .asked = "" },
    { .name = "new CA, certificate alone",
      .token = TOKEN_NONE,
      .before = JOINED_THEN_NEW_CA,
      .cause = CAUSE_TLS,
      .why = "certificate",
      .asked = "" },
    { .name = "new CA, new token",
      .token = TOKEN_FULL,
      .before = JOINED_THEN_NEW_CA,
      .joins = true,
      .asked = HEAD REST("basic cert(bad)", "POST") },
    { .name = "certificate alone, refused",
      .token = TOKEN_NONE,
      .before = JOINED,
      .rules = { { "GET /v1-k3s/config", 0, 401, STATUS("Unauthorized") } },
      .cause = CAUSE_TOKEN,
      .why = "no token was given",
      .asked = "GET /v1-k3s/config - cert\n" },
    { .name = "back after two years without a token",
      .token = TOKEN_NONE,
      .before = JOINED_THEN_YEARS,
      .revives = true,
      .joins = true,
      .asked = REVIVE REST("- cert", "POST") },
    { .name = "back after two years with a token",
      .token = TOKEN_FULL,
      .before = JOINED_THEN_YEARS,
      .revives = true,
      .joins = true,
      .asked = HEAD REST("basic", "POST") },
    { .name = "back after two years with a bootstrap token that has expired too",
      .token = TOKEN_BOOTSTRAP,
      .before = JOINED_THEN_YEARS,
      .revives = true,
      .rules = { { "GET /v1-k3s/config", 1, 401, STATUS("Unauthorized") } },
      .joins = true,
      .asked = HEAD "GET /v1-k3s/config bearer\n" REVIVE REST("bearer cert", "POST") },
    { .name = "[N] back after two years without a token: K3s wants one",
      .token = TOKEN_NONE,
      .before = JOINED_THEN_YEARS,
      .cause = CAUSE_TOKEN,
      .why = "no token was given: a token is needed",
      .asked = REVIVE },
    { .name = "[N] the same with a token that is refused",
      .token = TOKEN_WRONG_PASSWORD,
      .before = JOINED_THEN_YEARS,
      .cause = CAUSE_TOKEN,
      .why = "it refuses the token: a token is needed",
      .asked = HEAD "GET /v1-k3s/config wrong-basic\n" REVIVE },
    { .name = "back after two years, the password was lost",
      .token = TOKEN_NONE,
      .before = JOINED_THEN_YEARS,
      .revives = true,
      .rules = { { "POST /v1-k3s/client-kubelet.crt", 1, 403,
                   STATUS("node password rejected for \\\"edge-1\\\"") } },
      .cause = CAUSE_PASSWORD,
      .why = "node password rejected for \"edge-1\"",
      .asked = REVIVE },
    /* whoever sits in between must not get the token by refusing before it proved to be the
     * cluster */
    { .name = "401 before the CA is verified",
      .token = TOKEN_FULL,
      .before = JOINED,
      .rules = { { "GET /cacerts", 2, 401, STATUS("Unauthorized") } },
      .cause = CAUSE_TOKEN,
      .why = "",
      .asked = HEAD },
};

static void play(const struct row *row)
{
    struct world w;
    static const struct row plain = { .name = "before", .joins = true };

    world_init(&w, row);
    if (row->before != FRESH) {
        struct row first = plain;
        first.generation = row->generation;
        w.row = &first;
        join_once(&w, TOKEN_FULL);
        close_join(&w);
        w.row = row;
        buf_clear(&w.asked);
        w.n_joined = 0;
    }
    if (row->before == JOINED_THEN_NEW_CA) {
        authority_deinit(&w.server_ca);
        authority_deinit(&w.client_ca);
        make_cas(&w);
    }
    if (row->before == JOINED_THEN_YEARS)
        clock_set_offset_s(2 * 365 * 86400);
    set_server_cert(&w, row->flaw);
    join_once(&w, row->token);
    if (w.first_cause != row->cause || (row->why && !strstr(w.why, row->why)))
        fail_msg("%s: cause %s: %s", row->name, cause_name(w.first_cause), w.why);
    if (strcmp(buf_cstr(&w.asked), row->asked) != 0)
        fail_msg("%s: asked\n%snot\n%s", row->name, buf_cstr(&w.asked), row->asked);
    if (row->joins) {
        assert_int_equal(w.cause, CAUSE_NONE);
        assert_string_equal(join_state_name(w.join), "JOINED");
        assert_false(w.renewed);
        check_files(&w);
    } else {
        assert_int_equal(w.n_joined, 0);
        assert_null(strstr(w.why, PASSWORD));
    }
    close_join(&w);
    world_deinit(&w);
    clock_set_offset_s(0);
}

static void each_conversation_goes_as_written(void **state)
{
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        play(&rows[i]);
}

static void a_renewal_brings_new_certificates(void **state)
{
    static const struct row row = { .name = "renewal", .joins = true };
    auto_buf before = BUF(BUNDLE_MAX_BYTES);
    struct world w;
    (void)state;

    world_init(&w, &row);
    join_once(&w, TOKEN_FULL);
    assert_int_equal(buf_add_str(&before, buf_str(&w.credentials.pairs[CRED_KUBELET].cert_pem)), 0);
    buf_clear(&w.asked);
    w.flag = false;
    join_renew(w.join);
    join_renew(w.join); /* does nothing: it runs */
    wait_for(&w, &w.flag);
    assert_true(w.renewed);
    assert_string_equal(buf_cstr(&w.asked), HEAD REST("basic cert", "POST"));
    assert_false(str_eq(buf_str(&before), buf_str(&w.credentials.pairs[CRED_KUBELET].cert_pem)));
    close_join(&w);
    world_deinit(&w);
}

/* A running agent hears a time that is not its own. Here the server agrees when it is asked, so it
 * is not asked again soon. */
static void a_time_that_is_not_ours_is_asked_for_in_passing(void **state)
{
    static const struct row row = { .name = "time", .joins = true };
    struct world w;
    (void)state;

    world_init(&w, &row);
    join_once(&w, TOKEN_FULL);
    buf_clear(&w.asked);
    join_heard_time(w.join, clock_wall_s() + 100);
    assert_string_equal(join_state_name(w.join), "JOINED");
    for (int i = 0; i < 2; i++) {
        join_heard_time(w.join, clock_wall_s() + 1000);
        assert_string_equal(join_state_name(w.join), i ? "JOINED" : "TIME");
        while (strcmp(join_state_name(w.join), "JOINED") != 0)
            uv_run(&w.loop, UV_RUN_ONCE);
        assert_string_equal(buf_cstr(&w.asked), "GET /cacerts -\n");
    }
    join_doubt_time(w.join);
    assert_string_equal(join_state_name(w.join), "JOINED");
    assert_int_equal(w.n_joined, 1);
    close_join(&w);
    world_deinit(&w);
}

static void a_token_file_is_waited_for_and_read_again(void **state)
{
    static const struct row row = { .name = "token file", .joins = true };
    char token[256];
    struct world w;
    struct err e = { 0 };
    (void)state;

    world_init(&w, &row);
    auto_free char *path = mem_printf("%s/token", w.dir);
    assert_int_equal(open_join(&w, NULL, path, &e), 0);
    while (!w.first_cause)
        uv_run(&w.loop, UV_RUN_ONCE);
    assert_int_equal(w.first_cause, CAUSE_TOKEN);
    assert_non_null(strstr(w.why, "token file"));
    make_token(&w, TOKEN_FULL, token, sizeof token - 1);
    strcat(token, "\n");
    assert_int_equal(file_write_atomic(path, str_of(token), 0600, &e), 0);
    wait_for(&w, &w.flag);
    assert_int_equal(w.cause, CAUSE_NONE);
    check_files(&w);
    close_join(&w);
    world_deinit(&w);
}

static void what_waiting_cannot_mend_is_refused_at_once(void **state)
{
    static const struct row row = { .name = "refused" };
    static const struct {
        const char *token, *want;
    } tokens[] = { { NULL, "--token" }, { "K10abc::x:y", "--token" }, { "K10", "--token" } };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(tokens); i++) {
        struct world w;
        struct err e = { 0 };

        world_init(&w, &row);
        assert_int_equal(open_join(&w, tokens[i].token, NULL, &e), ERR_INVALID);
        assert_non_null(strstr(e.text, tokens[i].want));
        close_join(&w);
        world_deinit(&w);
    }
}

static void it_can_be_closed_at_any_moment(void **state)
{
    static const struct row row = { .name = "closing", .joins = true };
    (void)state;

    for (unsigned turns = 0; turns < 120; turns += 3) {
        char token[256];
        struct world w;
        struct err e = { 0 };

        world_init(&w, &row);
        make_token(&w, TOKEN_FULL, token, sizeof token);
        assert_int_equal(open_join(&w, token, NULL, &e), 0);
        for (unsigned i = 0; i < turns; i++)
            uv_run(&w.loop, UV_RUN_NOWAIT);
        close_join(&w);
        world_deinit(&w);
    }
}

static int quiet(void **state)
{
    (void)state;
    log_level_min = LOG_LVL_ERROR; /* every refusal is a warning */
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_conversation_goes_as_written),
        cmocka_unit_test(a_renewal_brings_new_certificates),
        cmocka_unit_test(a_time_that_is_not_ours_is_asked_for_in_passing),
        cmocka_unit_test(a_token_file_is_waited_for_and_read_again),
        cmocka_unit_test(what_waiting_cannot_mend_is_refused_at_once),
        cmocka_unit_test(it_can_be_closed_at_any_moment),
    };
    return cmocka_run_group_tests(tests, quiet, NULL);
}
