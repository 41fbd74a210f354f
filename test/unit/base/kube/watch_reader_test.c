#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/kube/metadata.h"
#include "base/kube/watch_reader.h"

/* Feeds text in pieces of that size; writes "A name," for each event; returns the error. */
static int read_all(struct buf *log, const char *text, size_t piece, size_t line_max, struct err *e)
{
    static const char letters[] = {
        [KUBE_ADDED] = 'A', [KUBE_MODIFIED] = 'M', [KUBE_DELETED] = 'D', [KUBE_BOOKMARK] = 'B'
    };
    struct watch_reader r;
    int code = 0;

    watch_reader_init(&r, line_max);
    for (size_t at = 0, n = strlen(text); at < n && !code; at += piece) {
        struct str in = str_n(text + at, MIN(piece, n - at));
        while (in.n > 0 && !code) {
            json_auto_t *object = NULL;
            enum kube_event_type type;
            code = watch_reader_read(&r, &in, &type, &object, e);
            if (!code && object)
                code = buf_addf(log, "%c %s,", letters[type], meta_name(object));
        }
    }
    if (!code)
        code = watch_reader_finish(&r, e);
    watch_reader_deinit(&r);
    return code;
}

#define EVENT(type, name)                                                                          \
    "{\"type\":\"" type "\",\"object\":{\"metadata\":{\"name\":\"" name "\"}}}"

static void events_are_read_in_pieces_of_any_size(void **state)
{
    static const struct {
        const char *text;
        int code;
        const char *want;
    } rows[] = {
        { "", 0, "" },
        { EVENT("ADDED", "a") "\n", 0, "A a," },
        { EVENT("ADDED", "a") "\r\n\n" EVENT("MODIFIED", "b") "\n" EVENT("DELETED", "c") "\n", 0,
          "A a,M b,D c," },
        { EVENT("BOOKMARK", "") "\n", 0, "B ," },
        { EVENT("FUTURE", "x") "\n" EVENT("ADDED", "a") "\n", 0, "A a," },
        { EVENT("ADDED", "a"), ERR_PROTOCOL, "" }, /* cut before the newline */
        { EVENT("ADDED", "a") "\n{\"type\"", ERR_PROTOCOL, "A a," },
        { "no json\n", ERR_PROTOCOL, "" },
        { "{}\n", ERR_PROTOCOL, "" },
        { "{\"type\":\"ADDED\",\"object\":7}\n", ERR_PROTOCOL, "" },
        { "[]\n", ERR_PROTOCOL, "" },
        { "{\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\",\"code\":410,\"reason\":\"Expired\","
          "\"message\":\"too old\"}}\n",
          ERR_EXPIRED, "" },
        { "{\"type\":\"ERROR\",\"object\":{}}\n", ERR_AGAIN, "" }, /* as a bare 500 */
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        for (size_t piece = 1; piece < 120; piece += 7) {
            struct err e = { 0 };
            auto_buf log = BUF(1000);
            int code = read_all(&log, rows[i].text, piece, 0, &e);
            if (code != rows[i].code)
                fail_msg("row %zu, pieces of %zu: %d %s", i, piece, code, e.text);
            assert_string_equal(buf_cstr(&log), rows[i].want);
        }
    }
}

static void the_longest_line_is_bounded(void **state)
{
    const char *text = EVENT("ADDED", "a") "\n";
    const size_t n = strlen(text) - 1;
    (void)state;

    for (size_t piece = 1; piece < 80; piece += 13) {
        auto_buf log = BUF(1000);
        struct err e = { 0 };
        assert_int_equal(read_all(&log, text, piece, n, &e), 0);
        assert_int_equal(read_all(&log, text, piece, n - 1, &e), ERR_LIMIT);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_are_read_in_pieces_of_any_size),
        cmocka_unit_test(the_longest_line_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
