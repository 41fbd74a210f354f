#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/core/mem.h"
#include "base/data/zip.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[64], file[96], zip[96], out[96];

static int setup(void **state)
{
    (void)state;
    snprintf(dir, sizeof dir, "/tmp/zip_test.XXXXXX");
    assert_non_null(mkdtemp(dir));
    snprintf(file, sizeof file, "%s/file", dir);
    snprintf(zip, sizeof zip, "%s/file.zip", dir);
    snprintf(out, sizeof out, "%s/out", dir);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    unlink(file);
    unlink(zip);
    unlink(out);
    return rmdir(dir);
}

static void write_file(const char *path, const char *p, size_t n)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    assert_int_equal(write(fd, p, n), n);
    close(fd);
}

static char *read_file(const char *path, size_t *n)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    char *p;

    assert_int_equal(fstat(fd, &st), 0);
    *n = (size_t)st.st_size;
    p = mem_alloc(*n + 1);
    assert_int_equal(read(fd, p, *n), *n);
    close(fd);
    return p;
}

static void what_is_packed_is_unpacked(void **state)
{
    static const size_t sizes[] = { 0, 1, 65535, 65536, 65537, 300000 };
    struct err e = { 0 };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        auto_free char *text = mem_alloc(sizes[i] + 1), *again = NULL;
        size_t n;
        for (size_t k = 0; k < sizes[i]; k++)
            text[k] = (char)(k % 7 ? 'a' : k >> 3);
        write_file(file, text, sizes[i]);
        if (zip_pack(zip, file, "in/side", 1700000000, &e) || zip_unpack(zip, out, 1 << 20, &e))
            fail_msg("%s", e.text);
        assert_true(zip_is(zip));
        assert_false(zip_is(file));
        again = read_file(out, &n);
        assert_int_equal(n, sizes[i]);
        assert_memory_equal(text, again, n);
        unlink(zip);
        unlink(out);
    }
}

static void other_programs_read_it(void **state)
{
    struct err e;
    char cmd[256];
    (void)state;

    if (access("/bin/busybox", X_OK))
        skip();
    write_file(file, "hello hello hello\n", 18);
    assert_int_equal(zip_pack(zip, file, "hello.txt", 1700000000, &e), 0);
    snprintf(cmd, sizeof cmd,
             "test \"$(/bin/busybox unzip -p %s hello.txt)\" = \"hello hello hello\"", zip);
    assert_int_equal(system(cmd), 0);
    snprintf(cmd, sizeof cmd, "/bin/busybox unzip -l %s | grep -q '18 .*2023.* hello.txt'", zip);
    assert_int_equal(system(cmd), 0);
}

static void nothing_is_overwritten_and_nothing_left_behind(void **state)
{
    struct err e = { 0 };
    (void)state;

    write_file(file, "x", 1);
    write_file(zip, "mine", 4);
    assert_int_equal(zip_pack(zip, file, "x", 0, &e), ERR_EXISTS);
    assert_int_equal(zip_unpack(zip, out, 100, &e), ERR_INVALID);
    assert_non_null(strstr(e.text, "file.zip: no zip archive"));
    assert_int_not_equal(access(out, F_OK), 0);
    unlink(zip);
    assert_int_equal(zip_pack(zip, "/nonexistent/file", "x", 0, &e), ERR_NOT_FOUND);
    assert_int_not_equal(access(zip, F_OK), 0);
    assert_int_equal(zip_pack(zip, file, "x", 0, &e), 0);
    write_file(out, "mine", 4);
    assert_int_equal(zip_unpack(zip, out, 100, &e), ERR_EXISTS);
}

static void more_than_allowed_is_refused(void **state)
{
    auto_free char *zeros = mem_alloc(1 << 20);
    struct err e;
    (void)state;

    write_file(file, zeros, 1 << 20); /* 1 kB packed */
    assert_int_equal(zip_pack(zip, file, "x", 0, &e), 0);
    assert_int_equal(zip_unpack(zip, out, (1 << 20) - 1, &e), ERR_LIMIT);
    assert_int_not_equal(access(out, F_OK), 0);
}

static void damage_is_named(void **state)
{
    auto_free char *good = NULL;
    char text[2000];
    size_t n, n_refused = 0;
    (void)state;

    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (char)(i * i % 251);
    write_file(file, text, sizeof text);
    struct err e = { 0 };
    assert_int_equal(zip_pack(zip, file, "x", 0, &e), 0);
    good = read_file(zip, &n);
    for (size_t at = 0; at < n; at++) {
        good[at] = (char)(good[at] ^ 0x55);
        write_file(zip, good, n);
        good[at] = (char)(good[at] ^ 0x55);
        e = (struct err){ 0 };
        if (zip_unpack(zip, out, 1 << 20, &e)) {
            assert_true(e.code == ERR_INVALID || e.code == ERR_LIMIT);
            n_refused++;
        } else {
            size_t n_out;
            auto_free char *again = read_file(out, &n_out);
            assert_int_equal(n_out, sizeof text); /* a time, a name: the bytes are right */
            assert_memory_equal(again, text, n_out);
        }
        unlink(out);
    }
    assert_true(n_refused > n / 2);
    for (size_t cut = 0; cut < n; cut += 7) {
        write_file(zip, good, cut);
        assert_int_equal(zip_unpack(zip, out, 1 << 20, &e), ERR_INVALID);
    }
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(what_is_packed_is_unpacked),
        T(other_programs_read_it),
        T(nothing_is_overwritten_and_nothing_left_behind),
        T(more_than_allowed_is_refused),
        T(damage_is_named),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
