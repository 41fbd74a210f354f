#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/core/mem.h"
#include "base/io/file.h"

static char root[64];

static int make_root(void **state)
{
    (void)state;
    snprintf(root, sizeof root, "/tmp/file-test-XXXXXX");
    return mkdtemp(root) ? chdir(root) : -1;
}

static int remove_root(void **state)
{
    struct err e;
    (void)state;
    return chdir("/") || file_remove_tree(root, &e);
}

static mode_t mode_of(const char *path)
{
    struct stat st;
    assert_int_equal(lstat(path, &st), 0);
    return st.st_mode & 07777;
}

static int n_entries(const char *path)
{
    DIR *d = opendir(path);
    int n = -2;

    while (readdir(d))
        n++;
    closedir(d);
    return n;
}

static void written_files_read_back_with_their_mode(void **state)
{
    auto_buf b = BUF(100);
    mode_t old = umask(077);
    struct err e;
    (void)state;

    assert_int_equal(file_mkdirs("w", 0755, &e), 0);
    assert_int_equal(file_write_atomic("w/a", STR("one"), 0644, &e), 0);
    assert_int_equal(file_write_atomic("w/a", STR("two"), 0664, &e), 0);
    umask(old);
    assert_int_equal(file_read("w/a", 100, &b, &e), 0);
    assert_string_equal(buf_cstr(&b), "two");
    assert_int_equal(mode_of("w/a"), 0664);
    assert_int_equal(mode_of("w"), 0755);
    assert_int_equal(n_entries("w"), 1); /* no temporary file stays */
}

static void failed_writes_leave_the_old_file(void **state)
{
    auto_buf b = BUF(100);
    struct err e;
    (void)state;

    assert_int_equal(file_mkdirs("f", 0755, &e), 0);
    assert_int_equal(file_write_new("f/a", STR("old"), 0600, &e), 0);
    assert_int_equal(file_write_new("f/a", STR("new"), 0600, &e), ERR_EXISTS);
    assert_int_equal(file_mkdirs("f/dir", 0755, &e), 0);
    assert_int_equal(file_write_atomic("f/dir", STR("x"), 0600, &e), ERR_IO);
    assert_int_equal(file_write_atomic("no/such/dir", STR("x"), 0600, &e), ERR_NOT_FOUND);
    assert_non_null(strstr(e.text, "write no/such/dir: "));
    assert_int_equal(file_read("f/a", 100, &b, &e), 0);
    assert_string_equal(buf_cstr(&b), "old");
    assert_int_equal(n_entries("f"), 2);
}

static void reads_have_limits_and_reasons(void **state)
{
    static const struct {
        const char *path;
        size_t max;
        int code;
    } rows[] = {
        { "r/five", 5, 0 },
        { "r/five", 4, ERR_LIMIT },
        { "r/none", 5, ERR_NOT_FOUND },
        { "r", 5, ERR_INVALID },
        { "r/empty", 0, 0 },
        { "/proc/self/status", 10, ERR_LIMIT },
        { "/proc/self/status", 100000, 0 },
    };
    struct err e;
    (void)state;

    assert_int_equal(file_mkdirs("r", 0755, &e), 0);
    assert_int_equal(file_write_atomic("r/five", STR("12345"), 0600, &e), 0);
    assert_int_equal(file_write_atomic("r/empty", STR(""), 0600, &e), 0);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        auto_buf b = BUF(1000000);
        int r = file_read(rows[i].path, rows[i].max, &b, &e);

        if (r != rows[i].code)
            fail_msg("%s: %d %s", rows[i].path, r, e.text);
        if (r) {
            assert_int_equal(b.n, 0);
            assert_non_null(strstr(e.text, rows[i].path));
        }
    }
}

static void unchanged_files_are_not_written(void **state)
{
    struct stat a, b;
    bool changed;
    struct err e;
    (void)state;

    assert_int_equal(file_write_if_changed("u", STR("same"), 0600, &changed, &e), 0);
    assert_true(changed);
    assert_int_equal(stat("u", &a), 0);
    assert_int_equal(file_write_if_changed("u", STR("same"), 0600, &changed, &e), 0);
    assert_false(changed);
    assert_int_equal(stat("u", &b), 0);
    assert_int_equal(a.st_ino, b.st_ino);
    assert_int_equal(file_write_if_changed("u", STR("else"), 0600, &changed, &e), 0);
    assert_true(changed);
    assert_int_equal(file_write_if_changed("u", STR("else"), 0644, &changed, &e), 0);
    assert_true(changed); /* the mode counts as well */
}

static void directories_are_made_all_the_way(void **state)
{
    struct err e;
    (void)state;

    assert_int_equal(file_mkdirs("d/e//f/", 0700, &e), 0);
    assert_true(file_is_dir("d/e/f"));
    assert_int_equal(mode_of("d/e"), 0700);
    assert_int_equal(file_mkdirs("d/e", 0755, &e), 0);
    assert_int_equal(mode_of("d/e"), 0700); /* what exists is left alone */
    assert_int_equal(file_mkdirs_for("d/g/file", 0700, &e), 0);
    assert_true(file_is_dir("d/g") && !file_exists("d/g/file"));
    assert_int_equal(file_write_new("d/file", STR(""), 0600, &e), 0);
    assert_int_equal(file_mkdirs("d/file/x", 0700, &e), ERR_INVALID);
    assert_int_equal(file_mkdirs("", 0700, &e), ERR_INVALID);
}

static void keys_open_to_others_are_denied(void **state)
{
    struct err e;
    (void)state;

    assert_int_equal(file_write_atomic("key", STR("k"), 0600, &e), 0);
    assert_int_equal(file_check_private("key", &e), 0);
    assert_int_equal(chmod("key", 0640), 0);
    assert_int_equal(file_check_private("key", &e), ERR_DENIED);
    assert_non_null(strstr(e.text, "0640"));
    assert_int_equal(file_check_private("nokey", &e), ERR_NOT_FOUND);
}

static void trees_go_whole_and_links_are_not_followed(void **state)
{
    struct err e;
    (void)state;

    assert_int_equal(file_mkdirs("keep", 0755, &e), 0);
    assert_int_equal(file_write_new("keep/file", STR("x"), 0600, &e), 0);
    assert_int_equal(file_mkdirs("t/a/b/c", 0755, &e), 0);
    assert_int_equal(file_write_new("t/a/x", STR("x"), 0400, &e), 0);
    assert_int_equal(symlink("../../keep", "t/a/link"), 0);
    assert_int_equal(file_remove_tree("t", &e), 0);
    assert_false(file_exists("t"));
    assert_int_equal(symlink("keep", "link"), 0);
    assert_int_equal(file_remove_tree("link", &e), 0);
    assert_true(file_exists("keep/file"));
    assert_int_equal(file_remove_tree("keep/file", &e), 0);
    assert_int_equal(file_remove_tree("never-there", &e), 0);
    assert_int_equal(file_remove("never-there", &e), 0);
}

static void trees_deeper_than_any_path_go_too(void **state)
{
    struct err e;
    int fd = AT_FDCWD, next;
    (void)state;

    assert_int_equal(mkdir("deep", 0755), 0);
    fd = open("deep", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (int i = 0; i < 1500; i++) {
        assert_int_equal(mkdirat(fd, "dddd", 0755), 0);
        next = openat(fd, "dddd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        close(fd);
        fd = next;
    }
    close(fd);
    assert_int_equal(file_remove_tree("deep", &e), 0);
    assert_false(file_exists("deep"));
}

static void links_are_replaced_at_once(void **state)
{
    char to[16] = "";
    struct err e;
    (void)state;

    assert_int_equal(file_symlink_atomic("v1", "current", &e), 0);
    assert_int_equal(file_symlink_atomic("v2", "current", &e), 0);
    assert_int_equal(readlink("current", to, sizeof to - 1), 2);
    assert_string_equal(to, "v2");
}

static void relative_paths_begin_at_the_working_directory(void **state)
{
    auto_free char *cwd = getcwd(NULL, 0), *rooted = NULL, *relative = NULL;
    auto_free char *want = mem_printf("%s/a/b", cwd);
    struct err e;
    (void)state;

    assert_int_equal(file_absolute(&rooted, "/a", &e), 0);
    assert_string_equal(rooted, "/a");
    assert_int_equal(file_absolute(&relative, "a/b", &e), 0);
    assert_string_equal(relative, want);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(written_files_read_back_with_their_mode),
        cmocka_unit_test(failed_writes_leave_the_old_file),
        cmocka_unit_test(reads_have_limits_and_reasons),
        cmocka_unit_test(unchanged_files_are_not_written),
        cmocka_unit_test(directories_are_made_all_the_way),
        cmocka_unit_test(keys_open_to_others_are_denied),
        cmocka_unit_test(trees_go_whole_and_links_are_not_followed),
        cmocka_unit_test(trees_deeper_than_any_path_go_too),
        cmocka_unit_test(links_are_replaced_at_once),
        cmocka_unit_test(relative_paths_begin_at_the_working_directory),
    };
    return cmocka_run_group_tests(tests, make_root, remove_root);
}
