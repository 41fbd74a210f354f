/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "base/core/buf.h"
#include "base/data/json.h"
#include "server/resource/service_claims.h"

static json_t *doc(const char *spec)
{
    json_t *out;
    struct err e;

    if (!spec)
        return NULL;
    auto_buf b = BUF(4096);
    assert_int_equal(buf_addf(&b, "{\"spec\":%s}", spec), 0);
    assert_int_equal(json_parse(&out, buf_str(&b), &e), 0);
    return out;
}

static void what_changes_hands(void **state)
{
    static const struct {
        const char *now, *old, *claims;
    } rows[] = {
        { "{\"clusterIP\":\"10.43.0.7\",\"clusterIPs\":[\"10.43.0.7\"]}", NULL,
          "+serviceips/10.43.0.7 " },
        { NULL, "{\"clusterIP\":\"10.43.0.7\"}", "-serviceips/10.43.0.7 " },
        { "{\"clusterIP\":\"10.43.0.7\",\"clusterIPs\":[\"10.43.0.7\",\"fd00::7\"]}",
          "{\"clusterIP\":\"10.43.0.7\"}", "+serviceips/fd00::7 " },
        { "{\"clusterIP\":\"FD00:0::0007\",\"clusterIPs\":[\"FD00:0::0007\",\"10.43.0.7\"]}", NULL,
          "+serviceips/fd00::7 +serviceips/10.43.0.7 " }, /* however it is written */
        { "{\"clusterIP\":\"10.43.0.7\",\"clusterIPs\":[\"10.43.0.7\"]}",
          "{\"clusterIP\":\"10.43.0.7\",\"clusterIPs\":[\"10.43.0.7\",\"fd00::7\"]}",
          "-serviceips/fd00::7 " },               /* a downgrade to one family */
        { "{\"clusterIP\":\"None\"}", NULL, "" }, /* headless */
        { "{\"type\":\"ExternalName\"}", "{\"clusterIP\":\"10.43.0.7\"}",
          "-serviceips/10.43.0.7 " },
        { "{\"clusterIP\":\"10.43.0.7\",\"ports\":[{\"nodePort\":30001},{\"nodePort\":30001},{}]}",
          "{\"clusterIP\":\"10.43.0.7\",\"ports\":[{\"nodePort\":30002}]}",
          "+nodeports/30001 -nodeports/30002 " }, /* TCP and UDP of one Service share theirs */
        { "{\"clusterIP\":\"10.43.0.7\",\"healthCheckNodePort\":30009}",
          "{\"clusterIP\":\"10.43.0.7\"}", "+nodeports/30009 " },
        { "{\"clusterIP\":\"10.43.0.7\",\"ports\":[{\"nodePort\":30001}]}",
          "{\"clusterIP\":\"10.43.0.7\",\"ports\":[{\"nodePort\":30001}]}", "" },
        { NULL, NULL, "" },
    };
    static struct service_claims c;
    struct err e;
    (void)state;

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        json_auto_t *now = doc(rows[i].now), *old = doc(rows[i].old);
        auto_buf got = BUF(4096);

        assert_int_equal(service_claims_of(&c, now, old, &e), 0);
        for (size_t k = 0; k < c.n; k++) {
            assert_memory_equal(c.v[k].key, SERVICE_CLAIMS_PREFIX, strlen(SERVICE_CLAIMS_PREFIX));
            assert_int_equal(buf_addf(&got, "%c%s ", c.v[k].take ? '+' : '-',
                                      c.v[k].key + strlen(SERVICE_CLAIMS_PREFIX)),
                             0);
        }
        assert_string_equal(buf_cstr(&got), rows[i].claims);
    }
}

static void more_than_a_commit_takes_is_refused(void **state)
{
    json_auto_t *many = json_pack("{s:{s:[]}}", "spec", "ports");
    static struct service_claims c;
    struct err e;
    (void)state;

    for (int i = 0; i < SERVICE_CLAIMS_MAX; i++)
        json_array_append_new(json_at(many, "spec.ports"),
                              json_pack("{s:i}", "nodePort", 30000 + i));
    assert_int_equal(service_claims_of(&c, many, NULL, &e), 0);
    assert_int_equal(service_claims_of(&c, many, many, &e), 0);
    assert_int_equal(c.n, 0);
    json_array_append_new(json_at(many, "spec.ports"), json_pack("{s:i}", "nodePort", 32000));
    assert_int_equal(service_claims_of(&c, many, NULL, &e), ERR_LIMIT);
    assert_int_equal(service_claims_of(&c, NULL, many, &e), ERR_LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_changes_hands),
        cmocka_unit_test(more_than_a_commit_takes_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
