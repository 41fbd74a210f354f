/* gRPC calls against recordings of a real containerd (README.md). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>

#include "base/http/grpc.h"
#include "base/io/tcp.h"

#define DIR         "test/golden/base/http/"
#define PREFACE_LEN 24 /* RFC 9113 3.4 */

struct world {
    uv_loop_t loop;
    struct listener *listener;
    struct stream *s;
    struct http_endpoint *ep;
    struct buf in, recording;
    bool replayed;
    char text[256];
    enum err_code code;
};

/* The question is whole once its DATA frame (type 0) has come. */
static bool has_data_frame(const struct buf *b)
{
    for (size_t at = PREFACE_LEN; at + 9 <= b->n;) {
        const unsigned char *p = (const unsigned char *)b->p + at;
        size_t n = (size_t)p[0] << 16 | (size_t)p[1] << 8 | p[2];
        if (p[3] == 0)
            return at + 9 + n <= b->n;
        at += 9 + n;
    }
    return false;
}

static void on_data(void *arg, const char *p, size_t n)
{
    struct world *w = arg;

    assert_int_equal(buf_add(&w->in, p, n), 0);
    if (w->replayed || !has_data_frame(&w->in))
        return;
    w->replayed = true;
    for (size_t i = 0; i < w->recording.n; i++)
        stream_write(w->s, w->recording.p + i, 1);
}

static void on_end(void *arg)
{
    struct world *w = arg;

    stream_close(w->s);
}

static void on_error(void *arg, const struct err *e)
{
    (void)e;
    on_end(arg);
}

static void on_accept(void *arg, struct stream *s)
{
    static const struct stream_events events = { .on_data = on_data,
                                                 .on_end = on_end,
                                                 .on_error = on_error };
    struct world *w = arg;

    w->s = s;
    stream_open(s, &events, w);
}

static void close_listener(void *arg)
{
    struct world *w = arg;

    listener_close(w->listener, NULL, NULL);
}

static void on_reply(void *arg, struct str reply, const struct err *e)
{
    struct world *w = arg;

    w->code = e ? e->code : ERR_OK;
    if (e)
        snprintf(w->text, sizeof w->text, "%s", e->text);
    else
        snprintf(w->text, sizeof w->text, STR_FMT, STR_ARG(reply));
    http_endpoint_close(w->ep, close_listener, w);
}

static void read_file(struct buf *out, const char *path)
{
    char piece[512];
    size_t n;
    FILE *f = fopen(path, "rb");

    assert_non_null(f);
    while ((n = fread(piece, 1, sizeof piece, f)) > 0)
        assert_int_equal(buf_add(out, piece, n), 0);
    fclose(f);
}

static void containerds_answers_are_understood(void **state)
{
    static const struct {
        const char *file, *path;
        enum err_code code;
        const char *text;
    } rows[] = {
        { "containerd-1.6.20-version.bin", "/runtime.v1.RuntimeService/Version", ERR_OK,
          "\n\0050.1.0\022\ncontainerd\032\n1.6.20~ds1\"\002v1" },
        { "containerd-1.6.20-stop-notfound.bin", "/runtime.v1.RuntimeService/StopContainer",
          ERR_NOT_FOUND,
          "StopContainer: NOT_FOUND: an error occurred when try to find container \"abc\": not "
          "found" },
        { "containerd-1.6.20-unimplemented.bin", "/runtime.v1.RuntimeService/Nope", ERR_INVALID,
          "Nope: UNIMPLEMENTED: unknown method Nope for service runtime.v1.RuntimeService" },
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct world w = { .in = BUF(1 << 16), .recording = BUF(1 << 16) };
        struct err e = { 0 };
        char file[128], authority[32];

        snprintf(file, sizeof file, DIR "%s", rows[i].file);
        read_file(&w.recording, file);
        assert_int_equal(uv_loop_init(&w.loop), 0);
        if (tcp_listen(&w.listener, &w.loop, "127.0.0.1", 0, on_accept, &w, &e))
            fail_msg("%s", e.text);
        snprintf(authority, sizeof authority, "127.0.0.1:%u", listener_port(w.listener));
        http_endpoint_new(
            &w.ep, &w.loop,
            &(struct http_endpoint_config){ .authority = authority, .proto = HTTP_H2 });
        grpc_unary(w.ep, rows[i].path, STR(""), 60000, on_reply, &w);
        uv_run(&w.loop, UV_RUN_DEFAULT);
        assert_int_equal(uv_loop_close(&w.loop), 0);
        assert_int_equal(w.code, rows[i].code);
        assert_string_equal(w.text, rows[i].text);
        buf_deinit(&w.in);
        buf_deinit(&w.recording);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(containerds_answers_are_understood),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
