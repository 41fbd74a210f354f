#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/core/mem.h"
#include "base/data/json.h"
#include "base/io/file.h"
#include "server/boot/snapshot_api.h"
#include "server/boot/snapshot_dir.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static char dir[64];

static int setup(void **state)
{
    (void)state;
    snprintf(dir, sizeof dir, "/tmp/snapdir-test-XXXXXX");
    return mkdtemp(dir) ? 0 : -1;
}
static int teardown(void **state)
{
    struct err e;
    (void)state;

    return file_remove_tree(dir, &e);
}

static void touch(const char *name)
{
    auto_free char *path = mem_printf("%s/%s", dir, name);
    struct err e;

    if (file_write_atomic(path, STR("x"), 0600, &e))
        fail_msg("%s", e.text);
}

static const char *names(const struct snapshot_files *l)
{
    static char text[1024];

    text[0] = '\0';
    for (size_t i = 0; i < l->n; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "%s%s", i ? " " : "",
                 l->v[i].name);
    return text;
}

static void names_are_k3s(void **state)
{
    char name[SNAPSHOT_NAME_MAX], longest[300];
    struct err e;
    (void)state;

    assert_int_equal(snapshot_dir_name(name, "etcd-snapshot", "srv-1.lan", 1796002475, false, &e),
                     0);
    assert_string_equal(name, "etcd-snapshot-srv-1.lan-1796002475");
    assert_int_equal(snapshot_dir_name(name, "a", "n", 1, true, &e), 0);
    assert_string_equal(name, "a-n-1.zip");
    static const char *const bad[] = { "", "a/b", "../x", ".hidden", "a b", "a\n" };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(snapshot_dir_name(name, bad[i], "n", 1, true, &e), ERR_INVALID);
    memset(longest, 'x', sizeof longest);
    longest[240] = '\0';
    assert_int_equal(snapshot_dir_name(name, longest, "n", 1796002475, true, &e), ERR_INVALID);
}

static void what_is_no_snapshot_is_left_alone(void **state)
{
    static const char *const all[] = { "a-n-20",  "a-n-3.zip", "notes.txt",    "a-n-",
                                       "-5",      "a-n-5.tar", ".hidden-n-20", "a-n-12345678901234",
                                       "a-n-20~", "b-n-7" };
    auto_snapshot_files l = { 0 }, gone = { 0 };
    auto_free char *sub = mem_printf("%s/d-n-9", dir);
    struct err e;
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        touch(all[i]);
    assert_int_equal(file_mkdirs(sub, 0700, &e), 0);
    assert_int_equal(snapshot_dir_list(&l, dir, &e), 0);
    assert_string_equal(names(&l), "a-n-3.zip b-n-7 a-n-20");
    assert_int_equal(l.v[2].created_unix_s, 20);
    assert_int_equal(l.v[2].size_bytes, 1);
    static const char *const no[] = { "notes.txt", "../x", "d-n-9", "", "a-n-5.tar" };
    for (size_t i = 0; i < ARRAY_LEN(no); i++)
        assert_int_equal(snapshot_dir_delete(&gone, dir, no[i], &e), ERR_NOT_FOUND);
    snapshot_files_free(&l);
    assert_int_equal(snapshot_dir_list(&l, "/nonexistent/dir", &e), 0);
    assert_int_equal(l.n, 0);
}

static void the_newest_of_one_name_on_one_node_stay(void **state)
{
    static const char *const all[] = { "a-n-1", "a-n-2.zip", "a-n-3",  "a-n-10",
                                       "a-m-1", "b-n-1",     "a-n-b-1" };
    auto_snapshot_files l = { 0 }, gone = { 0 };
    struct err e;
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        touch(all[i]);
    assert_int_equal(snapshot_dir_prune(&gone, dir, "a", "n", 0, &e), 0);
    assert_int_equal(gone.n, 0);
    assert_int_equal(snapshot_dir_prune(&gone, dir, "a", "n", 2, &e), 0);
    assert_string_equal(names(&gone), "a-n-2.zip a-n-1");
    assert_int_equal(snapshot_dir_list(&l, dir, &e), 0);
    assert_string_equal(names(&l), "a-m-1 a-n-b-1 b-n-1 a-n-3 a-n-10");
}

static void leftovers_go_and_the_folder_is_made(void **state)
{
    auto_free char *sub = mem_printf("%s/sub", dir), *part = snapshot_dir_part(dir, "a-n-1");
    struct err e;
    (void)state;

    touch(".a-n-1.part");
    touch(".a-n-1.part-journal");
    touch(".mine");
    assert_int_equal(snapshot_dir_prepare(dir, &e), 0);
    assert_false(file_exists(part));
    auto_free char *mine = mem_printf("%s/.mine", dir);
    assert_true(file_exists(mine));
    assert_int_equal(snapshot_dir_prepare(sub, &e), 0);
    assert_true(file_is_dir(sub));
}

/* ---- what is asked over HTTP ---- */

static void requests_are_read(void **state)
{
    struct snapshot_request r;
    struct err e;
    (void)state;

    assert_int_equal(snapshot_request_parse(&r,
                                            STR("{\"operation\":\"save\",\"name\":[\"x\"],"
                                                "\"compress\":true,\"dir\":\"/d\",\"s3\":null}"),
                                            &e),
                     0);
    assert_int_equal(r.ask.what, SNAPSHOTS_SAVE);
    assert_string_equal(r.ask.base, "x");
    assert_string_equal(r.ask.dir, "/d");
    assert_true(r.ask.compress);
    snapshot_request_deinit(&r);
    assert_int_equal(
        snapshot_request_parse(
            &r, STR("{\"operation\":\"delete\",\"name\":[\"a\",\"b\"],\"retention\":3}"), &e),
        0);
    assert_int_equal(r.ask.n_names, 2);
    assert_string_equal(r.ask.names[1], "b");
    assert_int_equal(r.ask.retention, 3);
    snapshot_request_deinit(&r);
}

static void wrong_requests_are_named(void **state)
{
    static const struct {
        const char *text, *word;
    } rows[] = {
        { "", "snapshot request" },
        { "[]", "no JSON object" },
        { "{}", "operation \"\" is not known" },
        { "{\"operation\":\"restore\"}", "\"restore\" is not known" },
        { "{\"operation\":\"save\",\"s3\":{\"bucket\":\"b\"}}", "S3" },
        { "{\"operation\":\"save\",\"name\":[\"a\",\"b\"]}", "one is enough" },
        { "{\"operation\":\"delete\"}", "no snapshot is named" },
        { "{\"operation\":\"delete\",\"name\":[7]}", "name[0] is not a string" },
        { "{\"operation\":\"list\",\"dir\":\"relative\"}", "not an absolute path" },
        { "{\"operation\":\"prune\",\"retention\":-1}", "retention -1" },
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct snapshot_request r;
        struct err e;
        assert_int_equal(snapshot_request_parse(&r, str_of(rows[i].text), &e), ERR_INVALID);
        if (!strstr(e.text, rows[i].word))
            fail_msg("%s: %s", rows[i].text, e.text);
    }
}

static void answers_are_k3s(void **state)
{
    auto_snapshot_files made = { 0 }, gone = { 0 };
    auto_buf list = BUF(4096), saved = BUF(4096);
    json_auto_t *doc = NULL;
    struct err e;
    (void)state;

    snapshot_files_add(&made, "a-n-60", 60, 1234);
    snapshot_files_add(&gone, "a-n-1", 1, 1);
    assert_int_equal(snapshot_answer(&saved, SNAPSHOTS_SAVE, "/d", "n", &made, &gone), 0);
    assert_string_equal(buf_cstr(&saved), "{\"created\":[\"a-n-60\"],\"deleted\":[\"a-n-1\"]}");
    assert_int_equal(snapshot_answer(&list, SNAPSHOTS_LIST, "/d", "n", &made, &gone), 0);
    assert_int_equal(json_parse(&doc, buf_str(&list), &e), 0);
    assert_string_equal(json_str_at(doc, "kind", ""), "ETCDSnapshotFileList");
    assert_string_equal(json_str_at(doc, "items[0].spec.location", ""), "file:///d/a-n-60");
    assert_string_equal(json_str_at(doc, "items[0].spec.nodeName", ""), "n");
    assert_string_equal(json_str_at(doc, "items[0].status.size", ""), "1234");
    assert_string_equal(json_str_at(doc, "items[0].status.creationTime", ""),
                        "1970-01-01T00:01:00Z");
    assert_true(json_bool_at(doc, "items[0].status.readyToUse", false));
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(names_are_k3s),
        T(what_is_no_snapshot_is_left_alone),
        T(the_newest_of_one_name_on_one_node_stay),
        T(leftovers_go_and_the_folder_is_made),
        T(requests_are_read),
        T(wrong_requests_are_named),
        T(answers_are_k3s),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
