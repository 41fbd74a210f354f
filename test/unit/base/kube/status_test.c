/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "base/data/json.h"
#include "base/kube/metadata.h"
#include "base/kube/status.h"

#include <string.h>

static void check(json_t *s_take, int code, const char *reason, const char *message)
{
    json_auto_t *s = s_take;

    assert_int_equal(status_code(s), code);
    assert_string_equal(json_str_at(s, "reason", ""), reason);
    assert_string_equal(json_str_at(s, "message", ""), message);
    assert_string_equal(json_str_at(s, "status", ""), "Failure");
    assert_string_equal(json_str_at(s, "kind", ""), "Status");
}

static void messages_are_upstreams(void **state)
{
    json_auto_t *causes = json_array();

    (void)state;
    check(status_not_found("", "pods", "x"), 404, "NotFound", "pods \"x\" not found");
    check(status_not_found("apps", "deployments", "x"), 404, "NotFound",
          "deployments.apps \"x\" not found");
    check(status_already_exists("", "pods", "x"), 409, "AlreadyExists",
          "pods \"x\" already exists");
    check(status_conflict("", "pods", "x", NULL), 409, "Conflict",
          "Operation cannot be fulfilled on pods \"x\": the object has been modified; please apply "
          "your changes to the latest version and try again");
    check(status_forbidden("", "pods", "", "no"), 403, "Forbidden", "pods is forbidden: no");
    check(status_path_not_found(), 404, "NotFound",
          "the server could not find the requested resource");
    status_cause_add(causes, "FieldValueRequired", "spec.a", "Required value");
    check(status_invalid("", "Pod", "x", causes), 422, "Invalid",
          "Pod \"x\" is invalid: spec.a: Required value");
    status_cause_add(causes, "FieldValueInvalid", "spec.b", "Invalid value: %d", 1);
    check(status_invalid("apps", "Deployment", "x", causes), 422, "Invalid",
          "Deployment.apps \"x\" is invalid: [spec.a: Required value, spec.b: Invalid value: 1]");
    check(status_too_many_requests("later", 1), 429, "TooManyRequests", "later");
    /* a peer's bytes may be anything */
    check(status_new(STATUS_BAD_REQUEST, "%s", "a\xff z"), 400, "BadRequest", "a? z");
}

static void errors_map_to_reasons_and_back(void **state)
{
    (void)state;
    for (enum err_code c = ERR_INVALID; c <= ERR_EXPIRED; c++) {
        enum status_reason r = status_reason_of_err(c);

        assert_int_equal(status_err_code(status_reason_name(r), status_reason_code(r)), c);
    }
    assert_int_equal(status_err_code(NULL, 409), ERR_CONFLICT);
    assert_int_equal(status_err_code(NULL, 404), ERR_NOT_FOUND);
    assert_int_equal(status_err_code("Nonsense", 599), ERR_IO);
}

static void generated_names_fit_a_label(void **state)
{
    char out[64], base[100];

    (void)state;
    memset(base, 'a', 99);
    base[99] = '\0';
    meta_generate_name(out, base);
    assert_int_equal(strlen(out), 63);
    meta_generate_name(out, "x-");
    assert_int_equal(strlen(out), 7);
}

static void new_objects_get_what_the_server_owns(void **state)
{
    json_auto_t *o = json_pack("{s:{s:s, s:s, s:s, s:s}}", "metadata", "name", "n", "uid", "mine",
                               "selfLink", "/x", "deletionTimestamp", "now");

    (void)state;
    meta_init_new(o, 0);
    assert_int_equal(strlen(meta_uid(o)), 36);
    assert_string_equal(meta_str(o, "creationTimestamp"), "1970-01-01T00:00:00Z");
    assert_string_equal(meta_str(o, "selfLink"), "");
    assert_false(meta_is_deleting(o));
    json_auto_t *next = json_pack("{s:{s:s, s:s}}", "metadata", "name", "n", "uid", "other");
    meta_carry_over(next, o);
    assert_string_equal(meta_uid(next), meta_uid(o));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_are_upstreams),
        cmocka_unit_test(errors_map_to_reasons_and_back),
        cmocka_unit_test(generated_names_fit_a_label),
        cmocka_unit_test(new_objects_get_what_the_server_owns),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
