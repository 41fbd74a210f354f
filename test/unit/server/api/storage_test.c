/* What a client sees when the disk of the datastore fails: reasons, and all that goes on. */
#include "test/unit/server/api/harness.h"

#include "base/core/clock.h"
#include "base/core/mem.h"
#include "base/data/db_io.h"

#include <errno.h>
#include <unistd.h>

#define CM        "/api/v1/namespaces/default/configmaps"
#define LEASES    "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
#define NAMED(n_) "{\"metadata\":{\"name\":\"" n_ "\"}}"

static struct harness h;
static _Atomic int fail; /* errno of every write */

static int on_disk(void *arg, const struct db_io_call *call)
{
    (void)arg;
    (void)call;
    return fail;
}

static int setup(void **state)
{
    (void)state;
    db_io_gate_set(on_disk, NULL);
    harness_open(&h, NULL);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    harness_close(&h);
    db_io_gate_set(NULL, NULL);
    return 0;
}

static const char *at(const struct answer *a, const char *path)
{
    return json_str_at(a->doc, path, "");
}

static void expect_code(const char *method, const char *target, const char *body, int code)
{
    auto_answer a = ask(&h, method, target, body);

    if (a.code != code)
        fail_msg("%s %s: %d, want %d: %s", method, target, a.code, code, buf_cstr(&a.body));
}

static void wait_ready(void)
{
    uint64_t until_ms = clock_mono_ms() + 30000;
    int code = 0;

    while (code != 200 && clock_mono_ms() < until_ms) {
        auto_answer a = ask(&h, "GET", "/readyz", NULL);
        code = a.code;
        usleep(10000);
    }
    assert_int_equal(code, 200);
}

static void a_disk_that_takes_nothing_is_503_with_the_reason(void **state)
{
    static const struct {
        int sys;
        const char *word;
    } rows[] = { { ENOSPC, "the disk is full" }, { EROFS, "read-only" } };
    (void)state;

    expect_code("POST", CM, NAMED("a"), 201);
    expect_code("POST", LEASES, NAMED("n"), 201);
    expect_code("PATCH", LEASES "/n", "{\"spec\":{\"leaseDurationSeconds\":39}}", 200);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        static const struct {
            const char *method, *target, *body;
        } writes[] = {
            { "POST", CM, NAMED("b") },
            { "PUT", CM "/a", "{\"metadata\":{\"name\":\"a\"},\"data\":{\"k\":\"v\"}}" },
            { "DELETE", CM "/a", NULL },
        };
        struct lines l;
        fail = rows[i].sys;
        for (size_t k = 0; k < ARRAY_LEN(writes); k++) {
            auto_answer a = ask(&h, writes[k].method, writes[k].target, writes[k].body);
            assert_int_equal(a.code, 503);
            assert_string_equal(at(&a, "reason"), "ServiceUnavailable");
            assert_non_null(strstr(at(&a, "message"), rows[i].word));
        }
        expect_code("GET", CM "/a", NULL, 200);
        expect_code("GET", CM, NULL, 200);
        expect_code("GET", CM "/b", NULL, 404);
        lines_start(&l, &h, "admin+system:masters",
                    LEASES "?watch=1&resourceVersion=0&fieldSelector=metadata.name%3Dn", NULL);
        lines_wait(&l, 1);
        expect_code("PATCH", LEASES "/n",
                    i ? "{\"spec\":{\"leaseDurationSeconds\":41}}"
                      : "{\"spec\":{\"leaseDurationSeconds\":40}}",
                    200); /* leases are in memory */
        lines_wait(&l, 2);
        lines_stop(&l);
        auto_answer page = ask(&h, "GET", "/readyz", NULL);
        assert_int_equal(page.code, 500);
        assert_non_null(strstr(buf_cstr(&page.body), "[-]storage failed: "));
        assert_non_null(strstr(buf_cstr(&page.body), rows[i].word));
        expect_code("GET", "/livez", NULL, 200); /* a restart would not help */
        assert_true(api_is_ready(h.api));        /* nor would agents gain by waiting */
        fail = 0;
        wait_ready();
    }
    expect_code("POST", CM, NAMED("b"), 201);
}

static void a_full_disk_takes_no_address(void **state)
{
    static const char service[] =
        "{\"metadata\":{\"name\":\"s\"},\"spec\":{\"clusterIP\":\"10.43.7.7\",\"ports\":[{"
        "\"port\":80}]}}";
    (void)state;

    fail = ENOSPC;
    expect_code("POST", "/api/v1/namespaces/default/services", service, 503);
    fail = 0;
    expect_code("POST", "/api/v1/namespaces/default/services", service, 201);
}

static void the_metrics_name_every_writer(void **state)
{
    (void)state;
    expect_code("POST", CM, NAMED("a"), 201);
    auto_answer a = ask(&h, "GET", "/metrics", NULL);
    const char *text = buf_cstr(&a.body);
    assert_int_equal(a.code, 200);
    assert_non_null(strstr(text, "# TYPE coracle_store_written_bytes_total counter\n"));
    assert_non_null(strstr(text, "coracle_store_written_bytes_total{writer=\"configmaps\"} "));
    assert_non_null(strstr(text, "coracle_store_written_bytes_total{writer=\"open\"} "));
    assert_non_null(strstr(text, "coracle_store_trouble 0\n"));
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(a_disk_that_takes_nothing_is_503_with_the_reason),
        T(a_full_disk_takes_no_address),
        T(the_metrics_name_every_writer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
