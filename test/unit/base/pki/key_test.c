#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/core/mem.h"
#include "base/pki/key.h"
#include "base/pki/pemfile.h"

static char dir[] = "/tmp/key-test-XXXXXX";

static int make(void **state)
{
    (void)state;
    return mkdtemp(dir) ? 0 : -1;
}

static int unmake(void **state)
{
    (void)state;
    return rmdir(dir); /* every test cleans up, .tmp files too */
}

static void pem_is_what_go_writes_and_reads_back(void **state)
{
    static const struct {
        enum key_kind kind;
        unsigned bits;
        const char *begin;
    } rows[] = {
        { KEY_P256, 256, "-----BEGIN EC PRIVATE KEY-----\n" },
        { KEY_RSA, 2048, "-----BEGIN RSA PRIVATE KEY-----\n" },
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        AUTO(key) struct key *k = NULL, *again = NULL;
        auto_buf pem = BUF_SECRET(KEY_PEM_MAX_BYTES);
        struct err e;

        assert_int_equal(key_generate(&k, rows[i].kind, &e), 0);
        assert_int_equal(key_bits(k), rows[i].bits);
        assert_int_equal(key_to_pem(k, &pem, &e), 0);
        assert_true(str_starts(buf_str(&pem), str_of(rows[i].begin)));
        assert_int_equal(key_parse_pem(&again, buf_str(&pem), &e), 0);
        assert_int_equal(key_kind(again), rows[i].kind);
        assert_true(key_same_public(k, again));
    }
}

static void texts_that_are_no_key_say_why(void **state)
{
    static const struct {
        const char *pem, *word;
    } rows[] = {
        { "", "no private key" },
        { "hello\n", "no private key" },
        { "-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n", "EC PRIVATE" },
        { "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
          "encrypted" },
        { "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: "
          "AES-128-CBC,00112233445566778899AABBCCDDEEFF\n\nAAAA\n-----END RSA PRIVATE KEY-----\n",
          "RSA" },
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        AUTO(key) struct key *k = NULL;
        struct err e = { 0 };

        assert_int_equal(key_parse_pem(&k, str_of(rows[i].pem), &e), ERR_INVALID);
        if (!strstr(e.text, rows[i].word))
            fail_msg("row %zu: %s", i, e.text);
    }
}

static void a_key_file_is_made_once_and_then_kept(void **state)
{
    auto_free char *path = mem_printf("%s/a.key", dir);
    AUTO(key) struct key *k = NULL, *again = NULL;
    bool created = false;
    struct stat st;
    struct err e = { 0 };
    mode_t mask = umask(0077);
    (void)state;

    assert_int_equal(key_load_or_create(&k, path, KEY_P256, &created, &e), 0);
    umask(mask);
    assert_true(created);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(key_load_or_create(&again, path, KEY_P256, &created, &e), 0);
    assert_false(created);
    assert_true(key_same_public(k, again));
    assert_int_equal(unlink(path), 0);
}

static void a_broken_key_file_is_named_and_left_alone(void **state)
{
    auto_free char *path = mem_printf("%s/broken.key", dir);
    AUTO(key) struct key *k = NULL;
    auto_buf text = BUF(100);
    struct err e = { 0 };
    (void)state;

    assert_int_equal(pemfile_write(path, STR("garbage"), 0600, &e), 0);
    assert_int_equal(key_load_or_create(&k, path, KEY_P256, NULL, &e), ERR_INVALID);
    assert_non_null(strstr(e.text, path));
    assert_int_equal(pemfile_read(&text, path, &e), 0);
    assert_string_equal(buf_cstr(&text), "garbage");
    assert_int_equal(unlink(path), 0);
}

static void files_are_replaced_whole_and_limits_hold(void **state)
{
    auto_free char *path = mem_printf("%s/f", dir);
    auto_buf small = BUF(3), text = BUF(100);
    struct stat st;
    struct err e = { 0 };
    (void)state;

    assert_int_equal(pemfile_read(&text, path, &e), ERR_NOT_FOUND);
    assert_int_equal(pemfile_write(path, STR("old!"), 0600, &e), 0);
    assert_int_equal(pemfile_write(path, STR("new!"), 0644, &e), 0);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0644);
    assert_int_equal(pemfile_read(&small, path, &e), ERR_LIMIT);
    assert_int_equal(small.n, 0);
    assert_int_equal(pemfile_read(&text, path, &e), 0);
    assert_string_equal(buf_cstr(&text), "new!");
    assert_int_equal(pemfile_read(&text, dir, &e), ERR_INVALID);
    assert_int_equal(pemfile_mkdir(path, 0700, &e), ERR_INVALID);
    assert_int_equal(unlink(path), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pem_is_what_go_writes_and_reads_back),
        cmocka_unit_test(texts_that_are_no_key_say_why),
        cmocka_unit_test(a_key_file_is_made_once_and_then_kept),
        cmocka_unit_test(a_broken_key_file_is_named_and_left_alone),
        cmocka_unit_test(files_are_replaced_whole_and_limits_hold),
    };
    return cmocka_run_group_tests(tests, make, unmake);
}
