#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "agent/stream/crilog.h"
#include "base/core/mem.h"

#define NOW_US 1700000000000000

static const struct crilog_options everything = {
    .tail_lines = -1, .limit_bytes = -1, .since_unix_us = INT64_MIN, .stream = CRILOG_BOTH
};

/* The same answer whether the bytes come at once or one by one. */
static void expect(const struct crilog_options *o, const char *in, const char *want, uint64_t n_bad)
{
    for (size_t piece = strlen(in) + 1; piece; piece = piece > 7 ? 7 : piece > 1 ? 1 : 0) {
        auto_buf out = BUF(64 * 1024);
        struct crilog l;

        crilog_init(&l, o);
        for (size_t at = 0; at < strlen(in); at += piece) {
            size_t n = MIN(piece, strlen(in) - at), before = out.n;
            assert_int_equal(crilog_feed(&l, in + at, n, &out), 0);
            assert_true(out.n - before <= CRILOG_OUT_MAX_BYTES(n));
        }
        assert_string_equal(buf_cstr(&out), want);
        assert_int_equal(l.n_bad, n_bad);
    }
}

static void lines_become_their_text(void **state)
{
    static const struct {
        const char *in, *want;
        uint64_t n_bad;
    } rows[] = {
        { "", "", 0 },
        { "2016-10-06T00:17:09.669794202Z stdout F hello\n", "hello\n", 0 },
        { "2016-10-06T00:17:09.669794202Z stderr F a b  c\n", "a b  c\n", 0 },
        { "2016-10-06T00:17:09.6Z stdout F \n", "\n", 0 },
        { "2016-10-06T00:17:09+02:00 stdout P part one, \n"
          "2016-10-06T00:17:09+02:00 stdout F part two\n",
          "part one, part two\n", 0 },
        { "2016-10-06T00:17:09Z stdout F:new:tags x\n", "x\n", 0 },
        { "2016-10-06T00:17:09Z stdout P:new x\n", "x", 0 },
        { "2016-10-06T00:17:09Z stdout F cut off", "cut off", 0 },
        { "2016-10-06T00:17:09Z stdout", "", 0 }, /* may go on */
        { "\n\n2016-10-06T00:17:09Z stdout F x\n", "x\n", 0 },
        { "nonsense\n2016-10-06T00:17:09Z stdout F x\n", "x\n", 1 },
        { "one two three four\n2016-10-06T00:17:09Z stdout F x\n", "x\n", 1 },
        { "2016-10-06T00:17:09Z stdmid F y\n2016-10-06T00:17:09Z stdout F x\n", "x\n", 1 },
        { "2016-13-06T00:17:09Z stdout F y\n2016-10-06T00:17:09Z stdout F x\n", "x\n", 1 },
        { "2016-10-06T00:17:09Z stdout F\n2016-10-06T00:17:09Z stdout F x\n", "x\n", 1 },
        { "{\"log\":\"docker's own format is not CRI's\"}\n", "", 1 },
        { "                                                                                      "
          "                                                                                  z\n"
          "2016-10-06T00:17:09Z stdout F x\n",
          "x\n", 1 },
        { "0000000000000000000000000000000000000000000000000000000000000000000000000000000000000"
          "0000000000000000000000000000000000000000000000000000000000000000000000000 stdout F y\n"
          "2016-10-06T00:17:09Z stdout F x\n",
          "x\n", 1 },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        expect(&everything, rows[i].in, rows[i].want, rows[i].n_bad);
}

static void times_have_nine_digits_and_keep_their_zone(void **state)
{
    static const struct {
        const char *in, *want;
    } rows[] = {
        { "2016-10-06T00:17:09.669794202Z stdout F x\n", "2016-10-06T00:17:09.669794202Z x\n" },
        { "2016-10-06T00:17:09.6Z stdout F x\n", "2016-10-06T00:17:09.600000000Z x\n" },
        { "2016-10-06T00:17:09Z stdout F x\n", "2016-10-06T00:17:09.000000000Z x\n" },
        { "2016-10-06T00:17:09.25+02:00 stdout F x\n", "2016-10-06T00:17:09.250000000+02:00 x\n" },
        { "2016-10-06T00:17:09.1234567899999Z stdout F x\n", "2016-10-06T00:17:09.123456789Z x\n" },
        /* one time per line, not per piece of it; streams mix */
        { "2016-10-06T00:17:09Z stdout P a\n2016-10-06T00:17:10Z stderr F e\n"
          "2016-10-06T00:17:11Z stdout F b\n2016-10-06T00:17:12Z stdout F c\n",
          "2016-10-06T00:17:09.000000000Z a2016-10-06T00:17:10.000000000Z e\nb\n"
          "2016-10-06T00:17:12.000000000Z c\n" },
    };
    struct crilog_options o = everything;

    (void)state;
    o.timestamps = true;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        expect(&o, rows[i].in, rows[i].want, 0);
}

static void options_filter_and_cut(void **state)
{
    static const char in[] = "2023-11-14T22:13:20Z stdout F one\n"
                             "2023-11-14T22:13:20.000001Z stderr F two\n"
                             "2023-11-14T22:13:21Z stdout F three\n";
    static const struct {
        int64_t since_unix_us, limit_bytes;
        enum crilog_stream stream;
        const char *want;
    } rows[] = {
        { INT64_MIN, -1, CRILOG_BOTH, "one\ntwo\nthree\n" },
        { NOW_US, -1, CRILOG_BOTH, "one\ntwo\nthree\n" }, /* not before since */
        { NOW_US + 1, -1, CRILOG_BOTH, "two\nthree\n" },
        { NOW_US + 1000001, -1, CRILOG_BOTH, "" },
        { INT64_MIN, -1, CRILOG_STDOUT, "one\nthree\n" },
        { INT64_MIN, -1, CRILOG_STDERR, "two\n" },
        { INT64_MIN, 1, CRILOG_BOTH, "o" },
        { INT64_MIN, 6, CRILOG_BOTH, "one\ntw" },
        { INT64_MIN, 4, CRILOG_STDOUT, "one\n" },
        { INT64_MIN, 1000, CRILOG_BOTH, "one\ntwo\nthree\n" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct crilog_options o = everything;
        o.since_unix_us = rows[i].since_unix_us;
        o.limit_bytes = rows[i].limit_bytes;
        o.stream = rows[i].stream;
        expect(&o, in, rows[i].want, 0);
    }
}

static void a_reached_limit_says_so(void **state)
{
    struct crilog_options o = everything;
    auto_buf out = BUF(1024);
    struct crilog l;

    (void)state;
    o.limit_bytes = 3;
    crilog_init(&l, &o);
    assert_int_equal(crilog_feed(&l, "2016-10-06T00:17:09Z stdout F ab", 32, &out), 0);
    assert_false(l.is_full);
    assert_int_equal(crilog_feed(&l, "c", 1, &out), 0);
    assert_true(l.is_full);
    assert_int_equal(crilog_feed(&l, "d\n", 2, &out), 0);
    assert_string_equal(buf_cstr(&out), "abc");
}

static void a_restart_forgets_the_unfinished_line(void **state)
{
    auto_buf out = BUF(1024);
    struct crilog l;

    (void)state;
    crilog_init(&l, &everything);
    assert_int_equal(crilog_feed(&l, "2016-10-06T00:1", 15, &out), 0);
    crilog_restart(&l);
    assert_int_equal(crilog_feed(&l, "2016-10-06T00:17:09Z stdout F x\n", 32, &out), 0);
    assert_string_equal(buf_cstr(&out), "x\n");
}

static void queries_become_options(void **state)
{
    static const struct {
        const char *query;
        struct crilog_options want; /* zero fields: see below */
        const char *err;            /* NULL: fine */
    } rows[] = {
        { "", { 0 }, NULL },
        { "follow=true", { .follow = true }, NULL },
        { "follow=1&timestamps=True&previous",
          { .follow = true, .timestamps = true, .previous = true },
          NULL },
        { "follow=false&timestamps=0&previous=FALSE", { 0 }, NULL },
        { "tailLines=0", { .tail_lines = 0 + 1 }, NULL },
        { "tailLines=10&limitBytes=5", { .tail_lines = 10 + 1, .limit_bytes = 5 }, NULL },
        { "sinceSeconds=10", { .since_unix_us = NOW_US - 10000000 }, NULL },
        { "sinceTime=2023-11-14T22%3A13%3A20Z", { .since_unix_us = NOW_US }, NULL },
        { "sinceTime=2023-11-15T00%3A13%3A20%2B02%3A00", { .since_unix_us = NOW_US }, NULL },
        { "stream=Stderr", { .stream = CRILOG_STDERR }, NULL },
        { "stream=All", { .stream = CRILOG_BOTH }, NULL },
        { "insecureSkipTLSVerifyBackend=true&unknown=%zz", { 0 }, NULL },
        { "tailLines=-1", { 0 }, "tailLines: must be greater than or equal to 0" },
        { "tailLines=x", { 0 }, "tailLines: \"x\" is not a number" },
        { "limitBytes=0", { 0 }, "limitBytes: must be greater than or equal to 1" },
        { "sinceSeconds=0", { 0 }, "sinceSeconds: must be greater than or equal to 1" },
        { "sinceTime=yesterday", { 0 }, "sinceTime: \"yesterday\" is not an RFC 3339 time" },
        { "sinceSeconds=1&sinceTime=2023-11-14T22%3A13%3A20Z",
          { 0 },
          "at most one of `sinceTime` or `sinceSeconds` may be specified" },
        { "stream=stdout", { 0 }, "stream: \"stdout\" is not All, Stdout or Stderr" },
        { "stream=Stdout&tailLines=1",
          { 0 },
          "`tailLines` and specific `stream` are mutually exclusive for now" },
        { "tailLines=%zz", { 0 }, "the value of tailLines is malformed or too long" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct crilog_options o = { .tail_lines = -7 }, want = rows[i].want;
        struct err e = { 0 };
        int rc = crilog_options_parse(&o, str_of(rows[i].query), NOW_US, &e);

        if (rows[i].err) {
            assert_int_equal(rc, ERR_INVALID);
            assert_string_equal(e.text, rows[i].err);
            assert_int_equal(o.tail_lines, -7); /* untouched */
            continue;
        }
        assert_int_equal(rc, 0);
        assert_int_equal(o.follow, want.follow);
        assert_int_equal(o.timestamps, want.timestamps);
        assert_int_equal(o.previous, want.previous);
        assert_int_equal(o.tail_lines, want.tail_lines - 1); /* 0 in the table: none */
        assert_int_equal(o.limit_bytes, want.limit_bytes ? want.limit_bytes : -1);
        assert_int_equal(o.since_unix_us, want.since_unix_us ? want.since_unix_us : INT64_MIN);
        assert_int_equal(o.stream, strstr(rows[i].query, "Stderr") ? CRILOG_STDERR : CRILOG_BOTH);
    }
}

static void a_far_since_is_the_beginning_of_time(void **state)
{
    struct crilog_options o;
    struct err e;

    (void)state;
    assert_int_equal(crilog_options_parse(&o, STR("sinceSeconds=9223372036854775807"), NOW_US, &e),
                     0);
    assert_int_equal(o.since_unix_us, 0);
}

static void the_tail_is_found_over_blocks(void **state)
{
    static const char file[] = "one\ntwo\nthree\nfour\nunfinished";
    static const struct {
        uint64_t lines;
        size_t start;
    } rows[] = {
        { 0, 19 }, { 1, 14 }, { 2, 8 }, { 3, 4 }, { 4, 0 }, { 5, 0 }, { 1000, 0 },
    };

    (void)state;
    for (size_t block = 1; block < sizeof file; block++)
        for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
            uint64_t n_left = rows[i].lines + 1;
            size_t end = sizeof file - 1, start = 0;
            bool found = false;

            while (end && !found) {
                size_t n = MIN(block, end);
                found = crilog_tail_block(&n_left, file + end - n, n, &start);
                start += end - n;
                end -= n;
            }
            assert_int_equal(found ? start : 0, rows[i].start);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_become_their_text),
        cmocka_unit_test(times_have_nine_digits_and_keep_their_zone),
        cmocka_unit_test(options_filter_and_cut),
        cmocka_unit_test(a_reached_limit_says_so),
        cmocka_unit_test(a_restart_forgets_the_unfinished_line),
        cmocka_unit_test(queries_become_options),
        cmocka_unit_test(a_far_since_is_the_beginning_of_time),
        cmocka_unit_test(the_tail_is_found_over_blocks),
    };
    return cmocka_run_group_tests_name("crilog", tests, NULL, NULL);
}
