#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/kube/cause.h"
#include "base/core/macros.h"

#include <string.h>

static void errors_have_causes(void **state)
{
    static const struct {
        enum err_code code;
        const char *text;
        int status;
        enum cause want;
    } rows[] = {
        /* what came instead of an answer */
        { ERR_NOT_FOUND, "dial x.invalid:6443: resolve x.invalid: unknown node", 0, CAUSE_DNS },
        { ERR_AGAIN, "dial x: resolve x: temporary failure", 0, CAUSE_DNS },
        { ERR_IO, "dial 10.0.0.1:6443: connection refused", 0, CAUSE_TCP },
        { ERR_TIMEOUT, "dial 10.0.0.1:6443: no answer within 3000 ms", 0, CAUSE_TCP },
        { ERR_CLOSED, "closed by the peer before the answer", 0, CAUSE_TCP },
        { ERR_DENIED, "h: certificate of CN=k3s by CN=x: self-signed certificate", 0, CAUSE_TLS },
        { ERR_TIMEOUT, "h: TLS handshake with kubernetes: no end within 10000 ms", 0, CAUSE_TLS },
        { ERR_DENIED, "certificate of CN=k3s: certificate has expired", 0, CAUSE_CLOCK },
        { ERR_DENIED, "certificate of CN=k3s: certificate is not yet valid", 0, CAUSE_CLOCK },
        { ERR_PROTOCOL, "HTTP/1.1: bad status line", 0, CAUSE_PROTOCOL },
        { ERR_LIMIT, "the body is longer than 1048576 bytes", 0, CAUSE_PROTOCOL },
        /* answers */
        { ERR_DENIED, "Unauthorized", 401, CAUSE_TOKEN },
        { ERR_DENIED, "forbidden", 403, CAUSE_TOKEN },
        { ERR_DENIED, "node password rejected", 403, CAUSE_PASSWORD },
        { ERR_DENIED, "", 429, CAUSE_BUSY },
        { ERR_DENIED, "", 500, CAUSE_BUSY },
        { ERR_DENIED, "", 502, CAUSE_BUSY },
        { ERR_DENIED, "", 503, CAUSE_BUSY },
        { ERR_DENIED, "", 504, CAUSE_BUSY },
        { ERR_DENIED, "", 404, CAUSE_PROTOCOL },
        { ERR_DENIED, "", 302, CAUSE_PROTOCOL },
        { ERR_DENIED, "certificate has expired", 400, CAUSE_PROTOCOL },
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct err e;
        err_set(&e, rows[i].code, "%s", rows[i].text);
        if (cause_of(&e, rows[i].status) != rows[i].want)
            fail_msg("%d %s: %s", rows[i].status, rows[i].text,
                     cause_name(cause_of(&e, rows[i].status)));
    }
}

static void every_cause_has_a_name_of_its_own(void **state)
{
    (void)state;

    assert_string_equal(cause_name(CAUSE_NONE), "");
    assert_string_equal(cause_advice(CAUSE_NONE), "");
    for (int i = 1; i < N_CAUSES; i++) {
        assert_true(*cause_name((enum cause)i) != '\0');
        for (int k = 0; k < i; k++)
            assert_string_not_equal(cause_name((enum cause)i), cause_name((enum cause)k));
        assert_int_equal(cause_parse(str_of(cause_name((enum cause)i))), i);
    }
    assert_int_equal(cause_parse(STR("")), CAUSE_NONE);
    assert_int_equal(cause_parse(STR("dns")), CAUSE_NONE);
    assert_string_equal(cause_name(N_CAUSES), "");
    assert_string_equal(cause_advice(N_CAUSES), "");
    assert_non_null(strstr(cause_advice(CAUSE_PASSWORD), "kubectl delete node"));
    assert_non_null(strstr(cause_advice(CAUSE_CLOCK), "clock"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(errors_have_causes),
        cmocka_unit_test(every_cause_has_a_name_of_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
