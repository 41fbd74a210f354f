/*
 * Pods on the real containerd, in folders of their own, with a fake API server; skipped where
 * containerd is not installed or we are not root. A test that fails still removes its pods.
 */
#include "agent/pod/pods.h"

#include "base/core/buf.h"
#include "base/core/mem.h"
#include "base/data/json.h"
#include "base/io/file.h"
#include "base/io/timer.h"
#include "fake_api.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define PATIENCE_MS 60000
#define UID         "6f1c2a34-0000-4000-8000-000000000001"

struct fix {
    uv_loop_t loop;
    char dir[64], data[96], run[96], state[96], logs[96];
    char bridge[16], cidr[32]; /* by our pid: several of us may run at once */
    struct fake_api api;
    struct runtime *runtime;
    struct pods *pods;
    struct timer deadline;
    bool late, closed, api_up;
};

/* Where make put our busybox image: beside the program. */
static bool find_image(char out[512])
{
    char exe[400];
    ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 1);
    char *at;

    if (n <= 0)
        return false;
    exe[n] = '\0';
    at = strstr(exe, "/test/unit/");
    if (!at)
        return false;
    *at = '\0';
    snprintf(out, 512, "%s/images/busybox.tar", exe);
    return !access(out, R_OK);
}

static bool can_run(void)
{
    char image[512];

    return geteuid() == 0 && !access("/usr/bin/containerd", X_OK) && find_image(image);
}

static void on_change(void *arg)
{
    struct fix *f = arg;

    if (f->pods)
        pods_kick(f->pods);
}

static void on_late(void *arg)
{
    struct fix *f = arg;

    f->late = true;
}

static void run_until(struct fix *f, bool (*met)(struct fix *f), const char *what)
{
    f->late = false;
    timer_start_ms(&f->deadline, PATIENCE_MS, on_late, f);
    while (!met(f) && !f->late)
        uv_run(&f->loop, UV_RUN_ONCE);
    timer_stop(&f->deadline);
    if (f->late) {
        auto_free char *pod =
            f->api_up && fake_api_get(&f->api, UID) ? json_text(fake_api_get(&f->api, UID)) : NULL;

        print_error("never: %s\n%s\n%s\n%s\n", what, f->runtime ? runtime_why(f->runtime) : "",
                    pod ? pod : "no pod", f->api_up ? buf_cstr(&f->api.events) : "");
    }
    assert_false(f->late);
}

#define UNTIL(f, condition) run_until(f, condition, #condition)

static void start_agent(struct fix *f)
{
    static const char *const host_ips[] = { "192.0.2.7" };
    struct runtime_config rc = { .loop = &f->loop,
                                 .data_dir = f->data,
                                 .run_dir = f->run,
                                 .cni_bridge = f->bridge,
                                 .on_change = on_change,
                                 .arg = f };
    struct pods_config pc = { .loop = &f->loop,
                              .client = f->api.client,
                              .node_name = "node1",
                              .host_ips = host_ips,
                              .n_host_ips = 1,
                              .state_dir = f->state,
                              .log_root = f->logs };
    struct err e;

    assert_int_equal(runtime_start(&f->runtime, &rc, &e), 0);
    assert_int_equal(runtime_set_pod_cidr(f->runtime, f->cidr, &e), 0);
    pc.runtime = f->runtime;
    pods_start(&f->pods, &pc);
}

static void on_closed(void *arg)
{
    struct fix *f = arg;

    f->closed = true;
}

static bool is_closed(struct fix *f)
{
    return f->closed;
}

static void stop_agent(struct fix *f, bool stop_pods)
{
    f->closed = false;
    pods_close(STEAL(f->pods), on_closed, f);
    UNTIL(f, is_closed);
    f->closed = false;
    runtime_close(STEAL(f->runtime), stop_pods, on_closed, f);
    UNTIL(f, is_closed);
}

static int setup(void **state)
{
    struct fix *f = mem_alloc(sizeof *f);
    auto_free char *images = NULL;
    char image[512];
    struct err e;

    *state = f;
    if (!can_run())
        return 0;
    snprintf(f->bridge, sizeof f->bridge, "ct%d", (int)getpid());
    snprintf(f->cidr, sizeof f->cidr, "10.98.%d.0/24", (int)getpid() % 256);
    strcpy(f->dir, "/tmp/coracle-pods.XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->data, sizeof f->data, "%s/data", f->dir);
    snprintf(f->run, sizeof f->run, "%s/run", f->dir);
    snprintf(f->state, sizeof f->state, "%s/state", f->dir);
    snprintf(f->logs, sizeof f->logs, "%s/logs", f->dir);
    images = mem_printf("%s/agent/images", f->data);
    assert_int_equal(file_mkdirs(images, 0755, &e), 0);
    assert_true(find_image(image));
    free(images);
    images = mem_printf("%s/agent/images/busybox.tar", f->data);
    assert_int_equal(symlink(image, images), 0);
    assert_int_equal(uv_loop_init(&f->loop), 0);
    timer_init(&f->deadline, &f->loop);
    fake_api_start(&f->api, &f->loop);
    f->api_up = true;
    start_agent(f);
    return 0;
}

static int nothing_mounted(const char *dir)
{
    auto_buf b = BUF(1 << 20);
    FILE *m = fopen("/proc/self/mounts", "re");
    char line[4096];
    int n = 0;

    while (m && fgets(line, sizeof line, m))
        n += strstr(line, dir) != NULL;
    fclose(m);
    return n;
}

static int teardown(void **state)
{
    struct fix *f = *state;
    auto_free char *bridge = NULL;
    struct err e;
    int n_mounts;

    if (!f->dir[0]) {
        free(f);
        return 0;
    }
    if (f->runtime)
        stop_agent(f, true);
    f->closed = false;
    fake_api_stop(&f->api, on_closed, f);
    f->api_up = false;
    UNTIL(f, is_closed);
    timer_close(&f->deadline, NULL, NULL);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&f->loop), 0);
    n_mounts = nothing_mounted(f->dir);
    if (file_remove_tree(f->dir, &e))
        fail_msg("%s", e.text);
    assert_int_equal(n_mounts, 0);
    bridge = mem_printf("/sys/class/net/%s", f->bridge);
    assert_int_not_equal(access(bridge, F_OK), 0);
    free(f);
    return 0;
}

static json_t *pod(const char *name, const char *restart, const char *script)
{
    return json_pack("{s:s, s:s, s:{s:s, s:s, s:s}, s:{s:s, s:s, s:i, s:[{s:s, s:s, s:[s,s,s], "
                     "s:[{s:s, s:s}, {s:s, s:s}, {s:s, s:{s:{s:s}}}]}]}}",
                     "kind", "Pod", "apiVersion", "v1", "metadata", "name", name, "namespace",
                     "default", "uid", UID, "spec", "nodeName", "node1", "restartPolicy", restart,
                     "terminationGracePeriodSeconds", 1, "containers", "name", "main", "image",
                     "busybox:1", "command", "sh", "-c", script, "env", "name", "WHO", "value",
                     "world", "name", "GREETING", "value", "hello $(WHO)", "name", "IP",
                     "valueFrom", "fieldRef", "fieldPath", "status.podIP");
}

/* ---- what is waited for ---- */

static const char *phase(struct fix *f)
{
    return json_str_at(fake_api_get(&f->api, UID), "status.phase", "");
}

static bool is_running(struct fix *f)
{
    return strcmp(phase(f), "Running") == 0 &&
           json_at(fake_api_get(&f->api, UID), "status.containerStatuses[0].state.running");
}
static bool has_succeeded(struct fix *f)
{
    return strcmp(phase(f), "Succeeded") == 0;
}
static bool is_gone(struct fix *f)
{
    return !fake_api_get(&f->api, UID) && pods_n(f->pods) == 0;
}
static bool has_restarted(struct fix *f)
{
    return json_i64_at(fake_api_get(&f->api, UID), "status.containerStatuses[0].restartCount", 0) >=
           1;
}
static bool loops(struct fix *f)
{
    return strcmp(json_str_at(fake_api_get(&f->api, UID),
                              "status.containerStatuses[0].state.waiting.reason", ""),
                  "CrashLoopBackOff") == 0;
}
static bool never_pulls(struct fix *f)
{
    return strcmp(json_str_at(fake_api_get(&f->api, UID),
                              "status.containerStatuses[0].state.waiting.reason", ""),
                  "ErrImageNeverPull") == 0;
}
static bool is_refused(struct fix *f)
{
    return strcmp(json_str_at(fake_api_get(&f->api, UID),
                              "status.containerStatuses[0].state.waiting.reason", ""),
                  "CreateContainerConfigError") == 0;
}

static bool log_has(struct fix *f, const char *text)
{
    struct pods_container c;
    auto_buf b = BUF(1 << 20);
    struct err e;

    if (pods_container(f->pods, "default", "web", NULL, NULL, &c, &e) || !*c.log_path ||
        file_read(c.log_path, b.max, &b, &e))
        return false;
    return strstr(buf_cstr(&b), text) != NULL;
}

static bool says_hello(struct fix *f)
{
    return log_has(f, "stdout F hello world 10.98.");
}

/* ---- the tests ---- */

static void pod_runs_logs_and_leaves_nothing(void **state)
{
    struct fix *f = *state;
    struct pods_container c;
    json_auto_t *listed = NULL;
    const char *sandbox;
    struct stat st;
    struct err e;

    if (!can_run())
        skip();
    fake_api_put(&f->api, pod("web", "Always", "echo $GREETING $IP; exec sleep 1000"));
    UNTIL(f, is_running);
    UNTIL(f, says_hello);
    assert_true(
        json_bool_at(fake_api_get(&f->api, UID), "status.containerStatuses[0].ready", false));
    assert_string_equal(json_str_at(fake_api_get(&f->api, UID), "status.hostIP", ""), "192.0.2.7");
    assert_int_equal(
        strncmp(json_str_at(fake_api_get(&f->api, UID), "status.podIP", ""), "10.98.", 6), 0);
    assert_int_equal(strncmp(json_str_at(fake_api_get(&f->api, UID),
                                         "status.containerStatuses[0].containerID", ""),
                             "containerd://", 13),
                     0);
    assert_int_equal(pods_container(f->pods, "default", "web", UID, "main", &c, &e), 0);
    assert_true(c.running);
    assert_int_equal(pods_container(f->pods, "default", "web", NULL, "no", &c, &e), ERR_NOT_FOUND);
    assert_int_equal(pods_container(f->pods, "default", "no", NULL, NULL, &c, &e), ERR_NOT_FOUND);
    assert_int_equal(pods_sandbox(f->pods, "default", "web", NULL, &sandbox, &e), 0);
    listed = pods_list_json(f->pods);
    assert_string_equal(json_str_at(listed, "items[0].status.phase", ""), "Running");

    fake_api_delete(&f->api, UID, 1);
    UNTIL(f, is_gone);
    assert_int_equal(nothing_mounted(f->dir), 0);
    assert_int_not_equal(stat(c.log_path, &st), 0);
}

static void pod_that_ends_well_succeeds(void **state)
{
    struct fix *f = *state;

    if (!can_run())
        skip();
    fake_api_put(&f->api, pod("web", "Never", "echo $GREETING $IP"));
    UNTIL(f, has_succeeded);
    UNTIL(f, says_hello);
    assert_string_equal(json_str_at(fake_api_get(&f->api, UID),
                                    "status.containerStatuses[0].state.terminated.reason", ""),
                        "Completed");
    fake_api_delete(&f->api, UID, 1);
    UNTIL(f, is_gone);
}

static void failing_container_is_restarted_and_then_backs_off(void **state)
{
    struct fix *f = *state;

    if (!can_run())
        skip();
    fake_api_put(&f->api, pod("web", "Always", "exit 3"));
    UNTIL(f, has_restarted);
    UNTIL(f, loops);
    assert_int_equal(json_i64_at(fake_api_get(&f->api, UID),
                                 "status.containerStatuses[0].lastState.terminated.exitCode", 0),
                     3);
    fake_api_delete(&f->api, UID, 0);
    UNTIL(f, is_gone);
}

static void restarted_agent_takes_over_what_runs(void **state)
{
    struct fix *f = *state;
    auto_free char *id = NULL;
    struct pods_container c;
    struct err e;

    if (!can_run())
        skip();
    fake_api_put(&f->api, pod("web", "Always", "echo $GREETING $IP; exec sleep 1000"));
    UNTIL(f, is_running);
    assert_int_equal(pods_container(f->pods, "default", "web", NULL, NULL, &c, &e), 0);
    id = mem_strdup(c.container_id);
    stop_agent(f, false);
    start_agent(f);
    UNTIL(f, says_hello);
    assert_int_equal(pods_container(f->pods, "default", "web", NULL, NULL, &c, &e), 0);
    assert_string_equal(c.container_id, id);
    assert_false(has_restarted(f));
    fake_api_delete(&f->api, UID, 1);
    UNTIL(f, is_gone);
}

static bool no_sandbox(struct fix *f)
{
    const char *id;
    struct err e;

    return pods_sandbox(f->pods, "default", "web", NULL, &id, &e) == ERR_NOT_FOUND &&
           nothing_mounted(f->dir) == 0;
}

static void pod_deleted_while_we_were_away_is_removed(void **state)
{
    struct fix *f = *state;

    if (!can_run())
        skip();
    fake_api_put(&f->api, pod("web", "Always", "exec sleep 1000"));
    UNTIL(f, is_running);
    stop_agent(f, false);
    fake_api_remove(&f->api, UID);
    assert_int_not_equal(nothing_mounted(f->dir), 0);
    start_agent(f);
    UNTIL(f, no_sandbox);
}

static void missing_image_waits_with_its_reason(void **state)
{
    struct fix *f = *state;
    json_t *p;

    if (!can_run())
        skip();
    p = pod("web", "Always", "true");
    json_object_set_new(json_at(p, "spec.containers[0]"), "image", json_string("nowhere/none:1"));
    json_object_set_new(json_at(p, "spec.containers[0]"), "imagePullPolicy", json_string("Never"));
    fake_api_put(&f->api, p);
    UNTIL(f, never_pulls);
    assert_string_equal(phase(f), "Pending");
    fake_api_delete(&f->api, UID, 0);
    UNTIL(f, is_gone);
}

static void unsupported_field_is_named(void **state)
{
    struct fix *f = *state;
    json_t *p;

    if (!can_run())
        skip();
    p = pod("web", "Always", "true");
    json_object_set_new(json_at(p, "spec.containers[0]"), "livenessProbe",
                        json_pack("{s:{s:i}}", "tcpSocket", "port", 80));
    fake_api_put(&f->api, p);
    UNTIL(f, is_refused);
    assert_non_null(strstr(json_str_at(fake_api_get(&f->api, UID), "status.message", ""),
                           "spec.containers[0].livenessProbe"));
    fake_api_delete(&f->api, UID, 0);
    UNTIL(f, is_gone);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(pod_runs_logs_and_leaves_nothing),
        TEST(pod_that_ends_well_succeeds),
        TEST(failing_container_is_restarted_and_then_backs_off),
        TEST(restarted_agent_takes_over_what_runs),
        TEST(pod_deleted_while_we_were_away_is_removed),
        TEST(missing_image_waits_with_its_reason),
        TEST(unsupported_field_is_named),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
