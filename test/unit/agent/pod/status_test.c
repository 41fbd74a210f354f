#include "agent/pod/status.h"

#include "base/data/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* One letter per container: W waiting, w waiting for its next run, R running, 0 ended well, 1 ended
 * badly. */
static size_t fill(struct status_container *v, const char *letters)
{
    size_t n = strlen(letters);

    for (size_t i = 0; i < n; i++) {
        v[i] = (struct status_container){ .name = "c", .image = "i", .image_id = "" };
        switch (letters[i]) {
        case 'w':
            v[i].last.id = "x";
            v[i].last.exit_code = 1;
            /* fallthrough */
        case 'W':
            v[i].state = STATUS_WAITING;
            v[i].reason = "ContainerCreating";
            break;
        case 'R':
            v[i].state = STATUS_RUNNING;
            v[i].run.id = "x";
            break;
        default:
            v[i].state = STATUS_TERMINATED;
            v[i].run.id = "x";
            v[i].run.exit_code = letters[i] - '0';
        }
    }
    return n;
}

static void phase_follows_the_containers(void **state)
{
    static const struct {
        const char *init, *main;
        enum spec_restart restart;
        const char *phase;
    } rows[] = {
        { "", "W", SPEC_ALWAYS, "Pending" },  { "", "RW", SPEC_ALWAYS, "Pending" },
        { "", "R", SPEC_ALWAYS, "Running" },  { "", "R0", SPEC_NEVER, "Running" },
        { "", "w", SPEC_ALWAYS, "Running" },  { "", "0", SPEC_ALWAYS, "Running" },
        { "", "0", SPEC_NEVER, "Succeeded" }, { "", "00", SPEC_ON_FAILURE, "Succeeded" },
        { "", "01", SPEC_NEVER, "Failed" },   { "", "01", SPEC_ON_FAILURE, "Running" },
        { "R", "W", SPEC_ALWAYS, "Pending" }, { "0R", "W", SPEC_ALWAYS, "Pending" },
        { "1", "W", SPEC_ALWAYS, "Pending" }, { "1", "W", SPEC_NEVER, "Failed" },
        { "0", "R", SPEC_NEVER, "Running" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct status_container init[4], main[4];
        struct status_facts f = { .restart = rows[i].restart, .init = init, .main = main };

        f.n_init = fill(init, rows[i].init);
        f.n_main = fill(main, rows[i].main);
        assert_string_equal(status_phase(&f), rows[i].phase);
    }
}

static void status_says_what_runs_and_where(void **state)
{
    static const char *const ips[] = { "10.42.0.5" }, *const hosts[] = { "192.0.2.1" };
    struct status_container c = { .name = "web",
                                  .image = "busybox:1",
                                  .image_id = "sha256:1",
                                  .state = STATUS_RUNNING,
                                  .run = { .id = "abc", .started_unix_s = 1000 },
                                  .last = { .id = "aaa", .exit_code = 2 },
                                  .restart_count = 1 };
    struct status_facts f = { .scheme = "containerd",
                              .pod_ips = ips,
                              .n_pod_ips = 1,
                              .host_ips = hosts,
                              .n_host_ips = 1,
                              .now_unix_s = 5000,
                              .start_unix_s = 900,
                              .main = &c,
                              .n_main = 1 };
    json_auto_t *s = status_json(&f, NULL);

    (void)state;
    assert_string_equal(json_str_at(s, "phase", ""), "Running");
    assert_string_equal(json_str_at(s, "podIP", ""), "10.42.0.5");
    assert_string_equal(json_str_at(s, "podIPs[0].ip", ""), "10.42.0.5");
    assert_string_equal(json_str_at(s, "hostIP", ""), "192.0.2.1");
    assert_string_equal(json_str_at(s, "startTime", ""), "1970-01-01T00:15:00Z");
    assert_string_equal(json_str_at(s, "containerStatuses[0].containerID", ""), "containerd://abc");
    assert_int_equal(json_i64_at(s, "containerStatuses[0].restartCount", 0), 1);
    assert_string_equal(json_str_at(s, "containerStatuses[0].lastState.terminated.reason", ""),
                        "Error");
    assert_string_equal(json_str_at(s, "conditions[2].type", ""), "Ready");
    assert_string_equal(json_str_at(s, "conditions[2].status", ""), "True");
}

static void times_of_conditions_stay_until_they_change(void **state)
{
    struct status_container c;
    struct status_facts f = { .scheme = "containerd", .now_unix_s = 1000, .main = &c, .n_main = 1 };
    json_auto_t *first = NULL, *second = NULL, *third = NULL;

    (void)state;
    fill(&c, "R");
    first = status_json(&f, NULL);
    f.now_unix_s = 2000;
    second = status_json(&f, first);
    assert_true(json_equal(first, second));
    fill(&c, "w");
    third = status_json(&f, second);
    assert_string_equal(json_str_at(third, "conditions[0].lastTransitionTime", ""),
                        json_str_at(first, "conditions[0].lastTransitionTime", "x"));
    assert_string_equal(json_str_at(third, "conditions[2].lastTransitionTime", ""),
                        "1970-01-01T00:33:20Z");
    assert_string_equal(json_str_at(third, "conditions[2].reason", ""), "ContainersNotReady");
    assert_string_equal(json_str_at(third, "conditions[2].message", ""),
                        "containers with unready status: [c]");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(phase_follows_the_containers),
        cmocka_unit_test(status_says_what_runs_and_where),
        cmocka_unit_test(times_of_conditions_stay_until_they_change),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
