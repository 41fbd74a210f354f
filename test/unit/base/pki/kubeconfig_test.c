#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/pki/kubeconfig.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_embedded_form_is_k3ss),
        cmocka_unit_test(the_path_form_is_k3ss),
        cmocka_unit_test(names_that_yaml_would_misread_are_refused),
        cmocka_unit_test(a_buffer_that_is_too_small_stays_as_it_was),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
