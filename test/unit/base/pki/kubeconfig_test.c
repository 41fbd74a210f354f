#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/core/mem.h"
#include "base/io/file.h"
#include "base/pki/kubeconfig.h"

#include <stdio.h>
#include <stdlib.h>

static void the_embedded_form_is_k3ss(void **state)
{
    const struct kubeconfig_data d = { .server_url = "https://127.0.0.1:6443",
                                       .ca_pem = STR("ca\n"),
                                       .cert_pem = STR("cert\n"),
                                       .key_pem = STR("key\n") };
    auto_buf out = BUF_SECRET(KUBECONFIG_MAX_BYTES);
    struct err e;
    (void)state;

    assert_int_equal(kubeconfig_embedded(&out, &d, &e), 0);
    assert_string_equal(buf_cstr(&out), "apiVersion: v1\n"
                                        "clusters:\n"
                                        "- cluster:\n"
                                        "    certificate-authority-data: Y2EK\n"
                                        "    server: https://127.0.0.1:6443\n"
                                        "  name: default\n"
                                        "contexts:\n"
                                        "- context:\n"
                                        "    cluster: default\n"
                                        "    user: default\n"
                                        "  name: default\n"
                                        "current-context: default\n"
                                        "kind: Config\n"
                                        "preferences: {}\n"
                                        "users:\n"
                                        "- name: default\n"
                                        "  user:\n"
                                        "    client-certificate-data: Y2VydAo=\n"
                                        "    client-key-data: a2V5Cg==\n");
}

static void the_path_form_is_k3ss(void **state)
{
    const struct kubeconfig_paths p = { "https://127.0.0.1:6444", "/a/ca.crt", "/a/x.crt",
                                        "/a/x.key" };
    auto_buf out = BUF(KUBECONFIG_MAX_BYTES);
    struct err e;
    (void)state;

    assert_int_equal(kubeconfig_files(&out, &p, &e), 0);
    assert_string_equal(buf_cstr(&out), "apiVersion: v1\n"
                                        "clusters:\n"
                                        "- cluster:\n"
                                        "    server: https://127.0.0.1:6444\n"
                                        "    certificate-authority: /a/ca.crt\n"
                                        "  name: local\n"
                                        "contexts:\n"
                                        "- context:\n"
                                        "    cluster: local\n"
                                        "    namespace: default\n"
                                        "    user: user\n"
                                        "  name: Default\n"
                                        "current-context: Default\n"
                                        "kind: Config\n"
                                        "preferences: {}\n"
                                        "users:\n"
                                        "- name: user\n"
                                        "  user:\n"
                                        "    client-certificate: /a/x.crt\n"
                                        "    client-key: /a/x.key\n");
}

static void names_that_yaml_would_misread_are_refused(void **state)
{
    static const char *const bad[] = { "", "a: b", "a\nb", "*x", "a #b", "\"x\"", "x:" };
    (void)state;

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct kubeconfig_data d = { .name = bad[i], .server_url = "https://x" };
        auto_buf out = BUF(KUBECONFIG_MAX_BYTES);
        struct err e;

        assert_int_equal(kubeconfig_embedded(&out, &d, &e), ERR_INVALID);
        assert_int_equal(out.n, 0);
    }
}

static void a_buffer_that_is_too_small_stays_as_it_was(void **state)
{
    const struct kubeconfig_paths p = { "https://x", "/ca", "/crt", "/key" };
    auto_buf out = BUF(100);
    struct err e;
    (void)state;

    assert_int_equal(buf_adds(&out, "before"), 0);
    assert_int_equal(kubeconfig_files(&out, &p, &e), ERR_LIMIT);
    assert_string_equal(buf_cstr(&out), "before");
}

/* ---- reading ---- */

static char dir[] = "/tmp/kubeconfig-test-XXXXXX";

static char *write_file(const char *name, struct str text)
{
    char *path = mem_printf("%s/%s", dir, name);
    FILE *f = fopen(path, "w");

    assert_non_null(f);
    fwrite(text.p, 1, text.n, f);
    fclose(f);
    return path;
}

static void both_forms_are_read(void **state)
{
    const struct kubeconfig_data d = { .server_url = "https://192.0.2.7:6443",
                                       .ca_pem = STR("the ca"),
                                       .cert_pem = STR("the cert"),
                                       .key_pem = STR("the key") };
    auto_free char *ca = write_file("ca.crt", d.ca_pem), *cert = write_file("x.crt", d.cert_pem),
                   *key = write_file("x.key", d.key_pem);
    const struct kubeconfig_paths p = { d.server_url, "ca.crt", cert, key }; /* one is relative */
    auto_buf one = BUF(KUBECONFIG_MAX_BYTES), two = BUF(KUBECONFIG_MAX_BYTES);
    struct err e;
    (void)state;

    assert_int_equal(kubeconfig_embedded(&one, &d, &e), 0);
    assert_int_equal(kubeconfig_files(&two, &p, &e), 0);
    for (int i = 0; i < 2; i++) {
        auto_free char *path = write_file("config", buf_str(i ? &two : &one));
        struct kubeconfig k;

        if (kubeconfig_read(&k, path, &e))
            fail_msg("%s", e.text);
        assert_string_equal(k.server_url, d.server_url);
        assert_true(str_eq(buf_str(&k.ca_pem), d.ca_pem));
        assert_true(str_eq(buf_str(&k.cert_pem), d.cert_pem));
        assert_true(str_eq(buf_str(&k.key_pem), d.key_pem));
        kubeconfig_deinit(&k);
    }
}

static void what_is_missing_is_named(void **state)
{
#define C "contexts: [{name: c, context: {cluster: l, user: u}}]\n"
#define L "clusters: [{name: l, cluster: {server: 'https://x'}}]\n"
#define U "users: [{name: u, user: {client-key-data: '%%%'}}]\n"
    static const struct {
        const char *text, *why;
    } rows[] = {
        { "", "has no entry" },
        { "a: [", "config" },
        { "current-context: c\n" L U, "context \"c\" has no entry" },
        { "current-context: c\n" C U, "no cluster" },
        { "current-context: c\n" C L, "no user" },
        { "current-context: c\n" C U "clusters: [{name: l, cluster: {}}]\n", "no server" },
        { "current-context: c\n" C L U, "client-key-data is no base64" },
        { "current-context: c\n" C L "users: [{name: u, user: {client-key: gone}}]\n", "gone" },
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        auto_free char *path = write_file("config", str_of(rows[i].text));
        struct kubeconfig k;
        struct err e;

        assert_int_not_equal(kubeconfig_read(&k, path, &e), 0);
        if (!strstr(e.text, rows[i].why))
            fail_msg("row %zu: %s", i, e.text);
    }
    struct kubeconfig k;
    struct err e;
    assert_int_equal(kubeconfig_read(&k, "/no/such/file", &e), ERR_NOT_FOUND);
}

static int make_dir(void **state)
{
    (void)state;
    return mkdtemp(dir) == NULL;
}

static int remove_dir(void **state)
{
    struct err e;

    (void)state;
    return file_remove_tree(dir, &e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_embedded_form_is_k3ss),
        cmocka_unit_test(the_path_form_is_k3ss),
        cmocka_unit_test(names_that_yaml_would_misread_are_refused),
        cmocka_unit_test(a_buffer_that_is_too_small_stays_as_it_was),
        cmocka_unit_test(both_forms_are_read),
        cmocka_unit_test(what_is_missing_is_named),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
