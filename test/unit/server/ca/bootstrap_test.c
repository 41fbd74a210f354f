#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/core/log.h"
#include "base/core/mem.h"
#include "base/data/json.h"
#include "base/io/file.h"
#include "server/ca/bootstrap.h"
#include "server/ca/ca.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

struct place {
    char dir[64], server[80], kubeconfig[96];
};

static int setup(void **state)
{
    struct place *p = mem_alloc(sizeof *p);

    log_level_min = LOG_LVL_ERROR;
    snprintf(p->dir, sizeof p->dir, "/tmp/bootstrap-test-XXXXXX");
    if (!mkdtemp(p->dir))
        return -1;
    snprintf(p->server, sizeof p->server, "%s/server", p->dir);
    snprintf(p->kubeconfig, sizeof p->kubeconfig, "%s/k3s.yaml", p->dir);
    *state = p;
    return 0;
}

static int teardown(void **state)
{
    struct place *p = *state;
    struct err e;

    if (file_remove_tree(p->dir, &e))
        fail_msg("%s", e.text);
    free(p);
    return 0;
}

static struct ca *open_ca(const struct place *p, const char *token)
{
    static const char *const ips[] = { "192.0.2.7" };
    struct ca_options o = { .data_dir = p->dir,
                            .node_name = "srv1",
                            .node_ips = ips,
                            .n_node_ips = 1,
                            .kubeconfig_default = p->kubeconfig,
                            .token = token };
    struct ca *ca = NULL;
    struct err e;

    if (ca_open(&ca, &o, &e))
        fail_msg("%s", e.text);
    return ca;
}

static void a_cluster_opens_again_from_its_bootstrap_data(void **state)
{
    struct place *p = *state, *q = NULL;
    auto_buf doc = BUF_SECRET(BOOTSTRAP_MAX_BYTES), again = BUF_SECRET(BOOTSTRAP_MAX_BYTES);
    char path[128];
    struct stat a = { 0 }, b = { 0 };
    struct err e;

    ca_free(open_ca(p, "secret"));
    assert_int_equal(bootstrap_read(&doc, p->server, &e), 0);
    assert_int_equal(doc.p[doc.n - 1], '\n');
    assert_int_equal(setup((void **)&q), 0);
    assert_int_equal(bootstrap_write(q->server, buf_str(&doc), &e), 0);
    assert_int_equal(bootstrap_read(&again, q->server, &e), 0);
    assert_true(str_eq(buf_str(&doc), buf_str(&again))); /* also the times */
    snprintf(path, sizeof path, "%s/tls/server-ca.key", q->server);
    assert_int_equal(stat(path, &a), 0);
    assert_int_equal(a.st_mode & 0777, 0600);
    snprintf(path, sizeof path, "%s/tls", q->server);
    assert_int_equal(stat(path, &b), 0);
    assert_int_equal(b.st_mode & 0777, 0700);
    AUTO(ca) struct ca *old = open_ca(p, "secret"), *new = open_ca(q, "secret");
    assert_string_equal(ca_hash(old), ca_hash(new));
    assert_string_equal(ca_token(old), ca_token(new));
    assert_true(str_eq(ca_service_key(old), ca_service_key(new)));
    assert_string_equal(ca_ipsec_psk(old), ca_ipsec_psk(new));
    teardown((void **)&q);
}

static void a_missing_file_is_named(void **state)
{
    struct place *p = *state;
    auto_buf doc = BUF_SECRET(BOOTSTRAP_MAX_BYTES);
    char path[128];
    struct err e;

    ca_free(open_ca(p, NULL));
    snprintf(path, sizeof path, "%s/tls/etcd/peer-ca.crt", p->server);
    assert_int_equal(file_remove(path, &e), 0); /* need not be there */
    assert_int_equal(bootstrap_read(&doc, p->server, &e), 0);
    snprintf(path, sizeof path, "%s/tls/client-ca.key", p->server);
    assert_int_equal(file_remove(path, &e), 0);
    assert_int_equal(bootstrap_read(&doc, p->server, &e), ERR_NOT_FOUND);
    assert_non_null(strstr(e.text, "client-ca.key"));
}

static void what_is_no_bootstrap_data_is_refused_and_nothing_written(void **state)
{
    static const struct {
        const char *text, *word;
    } rows[] = {
        { "", "bootstrap data" },
        { "[]", "no JSON object" },
        { "{}", "lacks ServerCA" },
        { "{\"ServerCA\":{\"Content\":\"QQ==\"}}", "lacks ServerCAKey" },
        { "{\"ServerCA\":{\"Content\":\"not base64\"}}", "ServerCA is no base64" },
        { "{\"ServerCA\":{\"Content\":\"QQ==\"},\"ServerCAKey\":7}", "lacks ServerCAKey" },
    };
    struct place *p = *state;
    struct err e;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_int_equal(bootstrap_write(p->server, str_of(rows[i].text), &e), ERR_INVALID);
        if (!strstr(e.text, rows[i].word))
            fail_msg("%s: %s", rows[i].text, e.text);
        assert_false(file_exists(p->server));
    }
}

static void the_older_form_is_taken(void **state)
{
    static const char *const fields[] = { "ServerCA",           "ServerCAKey",     "ClientCA",
                                          "ClientCAKey",        "RequestHeaderCA", "ServiceKey",
                                          "RequestHeaderCAKey", "PasswdFile" };
    struct place *p = *state;
    json_auto_t *doc = json_object();
    auto_buf bytes = BUF(64);
    char path[128];
    struct err e;

    for (size_t i = 0; i < ARRAY_LEN(fields); i++)
        json_object_set_new(doc, fields[i], json_string("QQ=="));
    auto_free char *text = json_text(doc);
    assert_int_equal(bootstrap_check(str_of(text), &e), 0);
    assert_int_equal(bootstrap_write(p->server, str_of(text), &e), 0);
    snprintf(path, sizeof path, "%s/tls/request-header-ca.crt", p->server);
    assert_int_equal(file_read(path, 64, &bytes, &e), 0);
    assert_string_equal(buf_cstr(&bytes), "A");
}

static void put_file(const struct place *p, const char *rel, const char *text, int64_t mtime_s)
{
    auto_free char *path = mem_printf("%s/%s", p->server, rel);
    const struct timespec times[2] = { { .tv_sec = mtime_s }, { .tv_sec = mtime_s } };
    struct err e;

    assert_int_equal(file_write_atomic(path, str_of(text), 0600, &e), 0);
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

static void files_that_are_newer_on_the_disk_are_kept(void **state)
{
    struct place *p = *state;
    auto_buf doc = BUF_SECRET(BOOTSTRAP_MAX_BYTES);
    auto_free char *etcd = mem_printf("%s/tls/etcd", p->server);
    struct stat st;
    bool same = false;
    struct err e;

    ca_free(open_ca(p, "secret"));
    assert_int_equal(bootstrap_read(&doc, p->server, &e), 0);
    assert_int_equal(bootstrap_compare(p->server, buf_str(&doc), &same, &e), 0);
    assert_true(same);
    auto_free char *ca = mem_printf("%s/tls/server-ca.crt", p->server);
    assert_int_equal(stat(ca, &st), 0);
    put_file(p, "tls/server-ca.crt", "edited",
             st.st_mtim.tv_sec + 2); /* clocks are not that exact */
    assert_int_equal(bootstrap_compare(p->server, buf_str(&doc), &same, &e), 0);
    assert_false(same);
    put_file(p, "tls/server-ca.crt", "edited", st.st_mtim.tv_sec + 5);
    put_file(p, "tls/server-ca.key", "older", st.st_mtim.tv_sec - 1000);
    assert_int_equal(bootstrap_compare(p->server, buf_str(&doc), &same, &e), ERR_CONFLICT);
    assert_non_null(strstr(e.text, "tls/server-ca.crt"));
    assert_null(strstr(e.text, "server-ca.key"));
    assert_int_equal(file_remove_tree(etcd, &e), 0); /* a folder is gone: all is taken */
    assert_int_equal(bootstrap_compare(p->server, buf_str(&doc), &same, &e), 0);
    assert_false(same);
    assert_int_equal(bootstrap_write(p->server, buf_str(&doc), &e), 0);
    assert_int_equal(bootstrap_compare(p->server, buf_str(&doc), &same, &e), 0);
    assert_true(same);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(a_cluster_opens_again_from_its_bootstrap_data),
        T(a_missing_file_is_named),
        T(what_is_no_bootstrap_data_is_refused_and_nothing_written),
        T(the_older_form_is_taken),
        T(files_that_are_newer_on_the_disk_are_kept),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
